"""What a site shows to a stranger: no credentials of ours are sent, at most the password that opens a protected storefront."""

from __future__ import annotations

import re

import requests

TIMEOUTS = (3.05, 10.0)


def status(url: str, *, password: str = "") -> int | str:
    """The HTTP status of the page, or in words why there is none. ``password``: of a storefront's protection (A247)."""
    try:
        return requests.get(url, timeout=TIMEOUTS, allow_redirects=False, auth=("storefront", password) if password else None).status_code
    except requests.exceptions.SSLError:
        return "cannot be reached: its certificate is not accepted"
    except (requests.RequestException, ValueError):  # a host name that can be none is refused with various kinds of ValueError
        return "cannot be reached"


def magento_version(base_url: str) -> str:
    """What the store tells everybody about its version ("Magento/2.4 (Community)"); empty when it hides it, as many do."""
    try:
        answer = requests.get(f"{base_url}/magento_version", timeout=TIMEOUTS, allow_redirects=False)
    except (requests.RequestException, ValueError):
        return ""
    text = answer.text.strip()
    return text if answer.status_code == 200 and re.fullmatch(r"Magento/[\w.]+ \([\w ]+\)", text) else ""

"""What a Sandbox account never asks a store to do, whatever code asks for it: take money, or write to a buyer (A248, A249). Pure."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

#: Keys that capture a payment when they are true, by any of the storefronts.
CAPTURES = frozenset({"capture", "captured"})
#: Keys that have the store send a mail to the buyer.
NOTIFIES = frozenset({"notify", "customer_note_notify", "is_customer_notified", "email_sent", "send_email"})


def danger(url: str, body: Any) -> str | None:
    """Why a Sandbox account may not send this request to a store; None when it may. ``body``: text or bytes; a stream is a file and holds no switches."""
    path = urlsplit(url).path.rstrip("/")
    if path.endswith("/emails"):
        return "a Sandbox account has no order mail sent."
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    if not isinstance(text, str) or not any(f'"{key}"' in text for key in CAPTURES | NOTIFIES):
        return None
    try:
        found = _switched_on(json.loads(text))
    except ValueError:
        return None  # no JSON: no store reads switches from it
    if found & CAPTURES:
        return "a Sandbox account captures no payment."
    if found & NOTIFIES:
        return "a Sandbox account has no mail sent to a buyer."
    return None


def _switched_on(value: Any) -> set[str]:
    """Every key whose value is on, at any depth."""
    if isinstance(value, dict):
        own = {key for key, each in value.items() if each is True or each in (1, "1", "true")}
        return own.union(*map(_switched_on, value.values()))
    return set().union(*map(_switched_on, value)) if isinstance(value, list) else set()

"""What the built-in practice servers tell the product about themselves, so that a newcomer types no keys (product.md 13)."""

from __future__ import annotations

from typing import Any

import requests

from connector.clients.errors import Unavailable, Unexpected

TIMEOUTS = (3.05, 20.0)


def marketplace_app(base_url: str, *, redirect_url: str | None = None) -> dict[str, Any]:
    """``{app_key, app_secret, service_id, redirect_url, scopes, shops}`` of the practice marketplace's app.

    ``redirect_url`` is what a real app is given in Partner Center: where the seller's browser comes back to.
    """
    if redirect_url:
        return _call("POST", base_url, "/practice/app", {"redirect_url": redirect_url})
    return _call("GET", base_url, "/practice/app")


def store_integration(base_url: str) -> dict[str, Any]:
    """The four OAuth 1.0a keys of a new integration of the practice store that may do everything."""
    return _call("POST", base_url, "/practice/integrations", {"acl": "all"})


def order_mails_off(base_url: str) -> None:
    """Switch the practice store's order confirmation mails off: placing an order by its checkout sends one otherwise (A249, MAG §4.4.2)."""
    _call("POST", base_url, "/practice/settings", {"emails": False})


def storefront_client(base_url: str) -> dict[str, Any]:
    """``{client_id, client_secret, storefront_password}`` of the practice storefront's one API client."""
    return _call("GET", base_url, "/practice/client")


def tell_oms(base_url: str, **facts: Any) -> None:
    """Change the practice OMS's settings: ``product_url``, ``account_id``, ``carrier``, ``secret``, ``api_token``, ``pull_token``."""
    _call("POST", base_url, "/practice/settings", facts)


def _call(method: str, base_url: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    system = "practice"
    try:
        answer = requests.request(method, f"{base_url}{path}", json=body, timeout=TIMEOUTS, allow_redirects=False)
    except requests.RequestException as fault:
        raise Unavailable(
            f"The practice server at {base_url} cannot be reached.",
            system=system,
            operation=path,
            code="net.unreachable",
        ) from fault
    if answer.status_code >= 500:
        raise Unavailable(
            f"The practice server answered HTTP {answer.status_code}.",
            system=system,
            operation=path,
            status=answer.status_code,
        )
    try:
        data = answer.json()
    except ValueError:
        data = None
    if answer.status_code >= 400 or not isinstance(data, dict):
        raise Unexpected(
            f"{base_url}{path} answered HTTP {answer.status_code}; it is not a practice server.",
            system=system,
            operation=path,
        )
    return data

"""The menu (A003). Entries whose page this installation does not have, or whose permission the user lacks, are left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flask import current_app, request, url_for
from flask_login import current_user
from markupsafe import Markup

from connector.web.auth import can

ROOT = "TikTok Marketplace"


class Entry(NamedTuple):
    label: str
    endpoint: str
    icon: str
    permission: str
    group: str


ENTRIES = (
    Entry("Today", "home.index", "home", "home.read", "Sell"),
    Entry("Orders", "orders.index", "shopping-cart", "orders.read", "Sell"),
    Entry("On hold", "holds.index", "hourglass", "holds.read", "Sell"),
    Entry("Cancellations", "cancellations.index", "ban", "cancellations.read", "Sell"),
    Entry("Deadlines", "deadlines.index", "clock", "orders.read", "Sell"),
    Entry("Products", "products.index", "package", "products.read", "Sell"),
    Entry("Listing Templates", "templates.index", "template", "templates.read", "Sell"),
    Entry("Return/Refund", "returns.index", "receipt-refund", "returns.read", "Sell"),
    Entry("TikTok Account", "accounts.index", "building-store", "accounts.read", "Set up"),
    Entry("TikTok Policies", "policies.index", "adjustments", "policies.read", "Set up"),
    Entry("OMS", "oms.index", "truck-delivery", "oms.read", "Set up"),
    Entry("Attributes", "attributes.index", "tags", "attributes.read", "Set up"),
    Entry("Configuration", "configuration.index", "settings", "configuration.read", "Set up"),
    Entry("Users", "auth.users", "users", "users.read", "Set up"),
    Entry("Queue Process", "queue.index", "list-details", "queue.read", "Watch"),
    Entry("Reconciliation", "reconciliation.index", "scale", "reconciliation.read", "Watch"),
    Entry("API calls", "api_calls.index", "api", "api_calls.read", "Watch"),
    Entry("Audit log", "audit.index", "history", "audit.read", "Watch"),
)


class Item(NamedTuple):
    label: str
    url: str
    icon: str
    current: bool


def drawn_menu(draw: Callable[[list[tuple[str, list[Item]]]], Markup]) -> Markup:
    """``draw(menu())``, kept: it depends on the role and the page alone."""
    known: dict[tuple[str, ...], Markup] = current_app.extensions.setdefault("connector.menus", {})
    key = (current_user.role if current_user.is_authenticated else "", request.endpoint or "", request.script_root)
    if key not in known or current_app.debug:
        known[key] = draw(menu())
    return known[key]


def menu() -> list[tuple[str, list[Item]]]:
    """(group, entries) for the present user."""
    groups: dict[str, list[Item]] = {}
    area = request.blueprint or ""
    for entry in ENTRIES:
        if entry.endpoint in current_app.view_functions and can(entry.permission):
            own = entry.endpoint.split(".")[0]
            current = request.endpoint == entry.endpoint or (area == own and own != "auth")
            groups.setdefault(entry.group, []).append(Item(entry.label, url_for(entry.endpoint), entry.icon, current))
    return list(groups.items())

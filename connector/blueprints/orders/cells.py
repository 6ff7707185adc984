"""The cells of the orders grid that no other grid has (A190-A201)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from markupsafe import Markup, escape

from connector.core.clock import utcnow
from connector.domain import tiktok_order as tiktok
from connector.domain.deadlines import MAY_BE_CANCELLED
from connector.grids import Column
from connector.models.order import CREATED
from connector.services.storefronts import EXTERNAL
from connector.web import filters
from connector.web.cells import Cell, badge

Row = Mapping[str, Any]

#: While an order has one of these statuses TikTok's deadline for shipping it counts down; afterwards it is a date of the past.
BEFORE_SHIPPING = frozenset({tiktok.ON_HOLD, tiktok.AWAITING_SHIPMENT, tiktok.PARTIALLY_SHIPPING})
IN_STOREFRONT = "In storefront"
_CANCEL_ASKED = Markup(' <span class="chip chip-danger" title="The buyer asks to cancel this order">cancel asked</span>')


def order_status(value: str, row: Row, column: Column) -> Markup:
    """TikTok's status; who cancelled and why; that the buyer asks to cancel; our tag."""
    why = ""
    if value == tiktok.CANCELLED:
        why = (
            "Cancelled" + (f" by {row['cancelled_by'].lower()}" if row["cancelled_by"] else "") + (f": {row['cancel_reason']}" if row["cancel_reason"] else "")
        )
    drawn = badge(*column.label_of(value), why)
    if why and row["cancel_reason"]:
        drawn += Markup('<span class="visually-hidden">{}</span>').format(why)
    if row["cancel_requested"] and value != tiktok.CANCELLED:
        drawn += _CANCEL_ASKED
    if row["tag"]:
        drawn += Markup(' <span class="chip">{}</span>').format(row["tag"])
    return Markup('<span class="two-lines">{}</span>').format(drawn) if row["cancel_requested"] or row["tag"] else drawn


def order_state(value: str, row: Row, column: Column) -> Markup:
    """Our import state; a created order is in the store that its account has chosen."""
    label = column.label_of(value)
    return badge(IN_STOREFRONT if value == CREATED and row["storefront"] == EXTERNAL else label.text, label.tone)


def order_failure(value: str | None, row: Row, column: Column) -> Markup | str:
    """What went wrong and what to do, behind a badge; else the warning, if there is one (A195)."""
    if value:
        remedy = Markup("<p><strong>What to do:</strong> {}</p>").format(row["failure_remedy"]) if row["failure_remedy"] else ""
        return Markup(
            '<details class="pop error-pop" data-pop><summary>{}</summary>'
            '<div class="pop-sheet error-pop-body"><p>{}</p>{}<p class="small text-secondary">{}</p></div></details>'
        ).format(badge("Error", "danger"), row["failure_message"], remedy, value)
    if row["warning"]:
        return Markup('<span title="{}">{}</span>').format(row["warning"], badge("Warning", "warning"))
    return ""


def base_money(value: Any, row: Row, column: Column) -> str:
    return filters.money(value, row["base_currency"])


def ship_by(value: Any, row: Row, column: Column) -> Any:
    """Time left by the shop's clock while the order waits to be shipped; the date afterwards."""
    if value and row["status_now"] in BEFORE_SHIPPING:
        return filters.deadline(value, utcnow() + timedelta(seconds=row["offset"] or 0))
    return filters.when(value)


def cancel_by(value: Any, row: Row, column: Column) -> Any:
    """Time left by the shop's clock while TikTok may still cancel the order by itself; the date afterwards."""
    if value and row["status_now"] in MAY_BE_CANCELLED:
        return filters.deadline(value, utcnow() + timedelta(seconds=row["offset"] or 0))
    return filters.when(value)


def order_data(value: int, row: Row, column: Column) -> Markup:
    return Markup(f'<a href="/orders/{int(row["pk"])}/data">JSON</a>')  # noqa: S704 - a number


def order_items(value: int, row: Row, column: Column) -> Markup:
    return Markup(f'<a href="/orders/{int(row["pk"])}/items">View Items ({escape(value)})</a>')  # noqa: S704 - numbers


ORDER_CELLS: dict[str, Cell] = {
    each.__name__: each for each in (order_status, order_state, order_failure, base_money, ship_by, cancel_by, order_data, order_items)
}

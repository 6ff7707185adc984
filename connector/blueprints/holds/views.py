"""Orders inside their hold hour: the countdown, what is reserved, what happens at zero (A245, A246)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import Blueprint, g, render_template
from markupsafe import Markup
from sqlalchemy import func, select

from connector.core.clock import utcnow
from connector.core.db import db
from connector.domain import tiktok_order as tiktok
from connector.grids import Column
from connector.grids.holds import HOLDS
from connector.models.account import Account
from connector.models.order import CREATED, CREATING, HELD, READY, REVIEW, SCHEDULE, Order, Reservation
from connector.services.orders import intake
from connector.web import filters
from connector.web.auth import requires
from connector.web.cells import badge, long_text
from connector.web.grids import grid_routes

bp = Blueprint("holds", __name__, url_prefix="/holds")

Row = Mapping[str, Any]
SOON = timedelta(minutes=10)


def hold_ends(value: Any, row: Row, column: Column) -> Any:
    """Counted down by the shop's clock; the instant itself stands beside it for those without JavaScript."""
    if value is None:
        return "not told"
    left = (value - utcnow() - timedelta(seconds=row["offset"] or 0)).total_seconds()
    return Markup('<span class="two-lines">{} <span class="small text-secondary text-nowrap">{}</span></span>').format(countdown(left), filters.when(value))


def countdown(seconds: float) -> Markup:
    """Time left, as the page's script writes it every second as well (``app.js``, ``data-countdown``: seconds left when the page was made)."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    words = f"{hours} h {minutes:02d} min left" if hours else f"{minutes} min {rest:02d} s left"
    return Markup('<strong class="countdown" data-countdown="{}">{}</strong>').format(whole, words if whole else "ends now")


def reserved(value: str | None, row: Row, column: Column) -> Any:
    return long_text(value, row, column) or badge("Nothing", "warning", "TikTok ships this order, or its SKUs are not matched")


def at_zero(value: str, row: Row, column: Column) -> Any:
    """What becomes of the order when its hold ends, by the present policy of its account."""
    if row["cancel_requested"]:
        return badge("Cancellation requested", "danger") + " it waits for the answer"
    if value in (CREATED, CREATING):
        return badge("In the store already", "success")
    if value != HELD:
        return "Stays as it is"
    target = intake.next_state(tiktok.AWAITING_SHIPMENT, current=HELD, origin=row["origin"], policy=_policy(row["account_id"]))
    if target == READY:
        return badge("Created in the store", "progress")
    if target == REVIEW:
        return badge("Waits for a person", "warning") + " Create Sales Order"
    return "Stored; the policy creates it later or not at all"


def _policy(account_id: int) -> Any:
    known: dict[int, Any] = g.setdefault("hold_policies", {})
    if account_id not in known:
        known[account_id] = intake.rules_for(account_id, SCHEDULE).policy
    return known[account_id]


def totals() -> dict[str, Any]:
    """What the board says on top: orders, units reserved, amounts by currency, how many end within ten minutes by their shop's clock."""
    held = Order.remote_status == tiktok.ON_HOLD
    rows = db.session.execute(select(Order.currency, func.count(), func.sum(Order.total)).where(held).group_by(Order.currency).order_by(Order.currency)).all()
    units = select(func.coalesce(func.sum(Reservation.quantity), 0)).join(Order, Order.id == Reservation.order_id)
    soon = 0
    for account in db.session.scalars(select(Account)):
        edge = utcnow() + timedelta(seconds=account.clock_offset_seconds or 0) + SOON
        soon += db.session.scalar(select(func.count()).select_from(Order).where(held, Order.account_id == account.id, Order.hold_until <= edge)) or 0
    return {
        "orders": sum(count for _, count, _ in rows),
        "amounts": [(currency, total) for currency, _, total in rows],
        "units": db.session.scalar(units.where(held, Reservation.released_at.is_(None))) or 0,
        "soon": soon,
        "asked": db.session.scalar(select(func.count()).select_from(Order).where(held, Order.cancel_requested.is_(True))) or 0,
    }


grid_routes(bp, HOLDS, "holds/index.html", cells={"hold_ends": hold_ends, "reserved": reserved, "at_zero": at_zero}, context=lambda: {"totals": totals()})


@bp.get("/totals")
@requires("holds.read")
def totals_only() -> str:
    """The figures alone, for live pages."""
    return render_template("holds/_totals.html", totals=totals())

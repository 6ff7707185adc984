"""The calendar of the marketplace (TTS §6.1-§6.3): lets everything happen when it is due.

Times are Unix seconds of the shop clock. A transition is dated with the time it was due, however late somebody looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .audits import settle_audits
from .life import cancel_now, collect, complete, deliver, fulfil_by_platform, grant, move_cancellation, pay, release
from .orderbook import Order, all_orders, from_row, save
from .returns_life import advance_return, open_returns

if TYPE_CHECKING:
    from .marketplace import Marketplace

CLOSED = ("COMPLETED", "CANCELLED")


def next_due(market: Marketplace, order: Order) -> tuple[int, str, Any] | None:
    """The next thing that will happen to an order by itself: (time, what, package or cancellation)."""
    settings, inner, doc = market.settings, order.inner, order.doc
    plans: list[tuple[int | None, str, Any]] = []
    if order.status == "UNPAID":
        plans.append((inner.get("pay_at"), "pay", None))
        plans.append((inner.get("unpaid_until") if settings.auto_cancel else None, "system_cancel_unpaid_time_out", None))
    elif order.status == "ON_HOLD":
        plans.append((inner["hold_until"], "release", None))
    elif order.status in ("AWAITING_SHIPMENT", "PARTIALLY_SHIPPING"):
        if inner.get("ship_at"):
            plans.append((inner["ship_at"], "fulfil", None))
        elif settings.auto_cancel:
            plans.append((doc["cancel_order_sla_time"], "system_cancel_order_reason_shipping_timeout", None))
    elif order.status == "DELIVERED":
        closed = max((each["update_time"] for each in inner.get("returns", {}).values()), default=0)
        plans.append((None if open_returns(order) else max(inner["complete_at"], closed), "complete", None))
    for package in order.packages.values():
        if package["status"] == "PROCESSING":
            if settings.carrier_moves:
                plans.append((package["_collect_at"], "collect", package))
            elif settings.auto_cancel and order.status == "AWAITING_COLLECTION":
                plans.append((doc["collection_due_time"], "system_cancel_order_untracked", None))
        elif package["status"] == "FULFILLING":
            if settings.carrier_moves:
                plans.append((package["_deliver_at"], "deliver", package))
            elif settings.auto_cancel and order.status == "IN_TRANSIT":
                plans.append((doc["delivery_due_time"], "system_cancel_order_exceed_edt_not_arrive", None))
    for cancellation in order.cancellations.values():
        if cancellation["cancel_status"] == "CANCELLATION_REQUEST_PENDING":
            plans.append((cancellation["_deadline"], "grant", cancellation))
        elif cancellation["cancel_status"] == "CANCELLATION_REQUEST_SUCCESS":
            plans.append((cancellation["_complete_at"], "refund", cancellation))
    if order.status not in CLOSED:
        plans.append((inner.get("risk_at"), "system_cancel_order_reason_potential_fraud", None))
    plans += [(each["_due"], "return", each) for each in open_returns(order)]
    known = [plan for plan in plans if plan[0] is not None]
    return min(known, key=lambda plan: plan[0]) if known else None


def advance(market: Marketplace, order: Order, now: int) -> None:
    """Lets everything happen that is due until `now`."""
    while (plan := next_due(market, order)) is not None and plan[0] <= now:
        at, what, subject = plan
        if what == "pay":
            pay(market, order, at)
        elif what == "release":
            release(market, order, at)
        elif what == "fulfil":
            fulfil_by_platform(market, order, at)
        elif what == "collect":
            collect(market, order, subject, at)
        elif what == "deliver":
            deliver(market, order, subject, at)
        elif what == "complete":
            complete(order, at)
        elif what == "grant":
            grant(market, order, subject, at)
        elif what == "refund":
            move_cancellation(order, subject, "CANCELLATION_REQUEST_COMPLETE", at)
        elif what == "return":
            advance_return(market, order, subject, at)
        elif what == "system_cancel_order_reason_potential_fraud":
            cancel_now(market, order, "OPERATOR", what, at)
        else:
            unshipped = [line["id"] for line in order.lines_in("UNPAID", "AWAITING_SHIPMENT")]
            cancel_now(market, order, "SYSTEM", what, at, unshipped or None)


def settle(market: Marketplace) -> None:
    """Brings every order and every audit up to the present. Called before each read, so that nobody ever sees a past state."""
    settle_audits(market)
    now = market.clock.seconds()
    due = "SELECT doc, inner FROM orders WHERE due_time <= ? ORDER BY due_time LIMIT ?"
    while market.store.read.execute(due, (now, 1)).fetchone() is not None:
        with market.store.write() as db:
            orders = [from_row(row) for row in db.execute(due, (now, 500)).fetchall()]
            for order in orders:
                advance(market, order, now)
            save(market, *orders)


def reschedule(market: Marketplace) -> None:
    """Works all due times out anew, after a setting of the calendar has changed."""
    for orders in all_orders(market):
        save(market, *(order for order in orders))

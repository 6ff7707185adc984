"""Parcels on their way to TikTok: storing them, which are due, and what became of them. No remote call is made here.

A parcel is a ``Shipment`` row, unique by (order, tracking number). Its states: waiting_carrier (nobody mapped the carrier yet), pending, sending
(a call is under way, or its answer was lost), delivered (TikTok has it), failed, ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, and_, or_, select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.domain.shipping import clean_tracking, same_tracking
from connector.models.account import Account
from connector.models.order import Order, OrderLine, Shipment
from connector.services import events, policies, runs
from connector.services.orders import recall, state
from connector.services.storefronts import EXTERNAL, LABELS

WAITING_CARRIER, PENDING, SENDING, DELIVERED, FAILED, IGNORED = "waiting_carrier", "pending", "sending", "delivered", "failed", "ignored"
OPEN_STATES = (PENDING, SENDING, WAITING_CARRIER, FAILED)
#: Refusal of a parcel whose order TikTok has cancelled.
CANCELLED = "ship.cancelled"
#: Codes of an order's error that a delivered parcel settles.
SETTLED = ("ship.", "carrier.", "tts.", "label.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one parcel in one attempt. ``state`` is the parcel's; an empty ``code`` means that TikTok has it."""

    tracking_number: str
    state: str
    message: str
    code: str = ""
    remedy: str = ""


def keep(
    order: Order,
    tracking_number: str,
    *,
    origin: str,
    carrier: str = "",
    provider: str = "",
    quantities: Mapping[str, int] | None = None,
    magento_shipment_id: str | None = None,
    shipped_at: datetime | None = None,
) -> tuple[Shipment, bool]:
    """Store a parcel of ``order`` in the caller's transaction; the one that has this tracking number already is taken up instead.

    Returns the parcel and whether anything changed. A delivered one is reopened only when it now names more units than it was sent with.
    """
    wanted, tracking_number = dict(quantities or {}), clean_tracking(tracking_number)
    same = [one for one in db.session.scalars(select(Shipment).where(Shipment.order_id == order.id)) if same_tracking(one.tracking_number, tracking_number)]
    if not same:
        parcel = Shipment(
            account_id=order.account_id, order_id=order.id, origin=origin, magento_shipment_id=magento_shipment_id, magento_carrier=carrier[:120],
            tracking_number=tracking_number, quantities=wanted, provider_name=provider[:120], state=PENDING, shipped_at=shipped_at,
        )  # fmt: skip
        db.session.add(parcel)
        db.session.flush()
        state.clear_flag(order, "ship.no_tracking", reason=f"parcel {tracking_number}")
        if origin == "magento" and order.remote_status == "CANCELLED":
            recall.open_for(db.session, order, f"parcel {tracking_number} had left")
        source = LABELS[EXTERNAL].lower() if origin == "magento" and order.account.storefront == EXTERNAL else origin
        text = f"Parcel {tracking_number}" + (f" by {carrier or provider}" if carrier or provider else "") + f" is to be sent to TikTok ({source})."
        events.record("parcel.stored", "order", order.id, text, account_id=order.account_id, after={"tracking_number": tracking_number, "quantities": wanted})
        return parcel, True
    parcel = same[0]
    more = bool(wanted) and bool(parcel.quantities) and sum(wanted.values()) > sum(parcel.quantities.values())
    if parcel.state == DELIVERED and not more:
        return parcel, False
    other_carrier = bool(carrier or provider) and (carrier, provider) != (parcel.magento_carrier, parcel.provider_name)
    if not more and (not other_carrier or parcel.state in (DELIVERED, SENDING)):
        return parcel, False
    if more:
        parcel.quantities = wanted
    if other_carrier and (origin != "magento" or parcel.origin == "magento"):  # what a person chose outlives Magento's title
        parcel.magento_carrier, parcel.provider_name, parcel.origin = carrier[:120], provider[:120], origin
    parcel.magento_shipment_id = magento_shipment_id or parcel.magento_shipment_id
    if parcel.state != SENDING:
        parcel.state, parcel.retry_at = PENDING, None
    return parcel, True


def due_query(account_id: int, now: datetime) -> Select[tuple[int, str]]:
    """Orders with a parcel to be sent now, the most urgent first: (order id, TikTok order number)."""
    when = or_(Shipment.retry_at.is_(None), Shipment.retry_at <= now)
    again = and_(Shipment.state.in_((FAILED, SENDING)), Shipment.retry_at <= now)
    ready = or_(and_(Shipment.state == PENDING, when), again)
    found = select(Order.id, Order.number).join(Shipment, Shipment.order_id == Order.id).where(Shipment.account_id == account_id, ready)
    if not pushes(account_id):
        found = found.where(Shipment.origin != "magento")  # "Shipment Creation: No" leaves Magento's shipments to the Ship action (A112)
    return found.group_by(Order.id, Order.number).order_by(Order.ship_by_at.is_(None), Order.ship_by_at, Order.id)


def pushes(account_id: int) -> bool:
    """Does the account's order policy send Magento shipments by itself (A112)?"""
    account = db.session.get(Account, account_id)
    return account is not None and bool(policies.order_policy_row(account).body.get("push_shipments", True))


def due_orders(account_id: int, limit: int = 5000) -> list[tuple[str, str]]:
    """The orders with something to send now, as items of a run."""
    return [(str(order_id), number) for order_id, number in db.session.execute(due_query(account_id, utcnow()).limit(limit))]


def submit_due(account_id: int, *, started_by: str = "system") -> int | None:
    """Submit one run that sends everything due; its id, or None when nothing is due."""
    due = due_orders(account_id)
    if not due:
        return None
    # the scheduler's key: while a sending run is open, there is no second one beside it
    return runs.submit("shipments.push", account_id=account_id, items=due, key=f"schedule:shipments.push:{account_id}", started_by=started_by).run_id


def delivered(
    parcel_id: int, *, line_ids: list[str], package_ids: list[str], provider_id: str = "", provider_name: str = "", warning: str = "", note: str = ""
) -> Outcome:
    """Record that TikTok has the parcel; the order is marked to be read again, so that its status follows."""
    with unit_of_work() as session:
        parcel = session.get_one(Shipment, parcel_id, populate_existing=True)
        order = session.get_one(Order, parcel.order_id)
        parcel.state, parcel.delivered_at, parcel.retry_at = DELIVERED, utcnow(), None
        parcel.error_code = parcel.error_message = parcel.error_remedy = None
        parcel.line_ids = list(dict.fromkeys([*parcel.line_ids, *line_ids]))
        parcel.package_id = (package_ids or [parcel.package_id])[0]
        parcel.provider_id, parcel.provider_name = provider_id or parcel.provider_id, provider_name or parcel.provider_name
        parcel.warning = warning or parcel.warning
        session.execute(
            update(OrderLine)
            .where(OrderLine.order_id == order.id, OrderLine.line_id.in_(line_ids), OrderLine.tracking_number == "")
            .values(tracking_number=parcel.tracking_number, shipping_provider_id=parcel.provider_id, package_id=parcel.package_id)
        )
        if package_ids:  # orders in one package with this one leave with it
            with_it = select(OrderLine.order_id).where(OrderLine.package_id.in_(package_ids), OrderLine.order_id != order.id)
            session.execute(
                update(Order)
                .where(Order.id.in_(with_it), Order.dirty_at.is_(None))
                .values(dirty_at=utcnow(), updated_at=Order.updated_at)
                .execution_options(synchronize_session=False)
            )
        order.tracking_number = order.tracking_number or parcel.tracking_number
        order.carrier_name = order.carrier_name or parcel.provider_name
        order.dirty_at = order.dirty_at or utcnow()
        if order.remote_status == "CANCELLED":
            recall.open_for(session, order, f"parcel {parcel.tracking_number} had left")
        if order.failure_code and order.failure_code.startswith(SETTLED):
            state.clear_flag(order, reason=f"parcel {parcel.tracking_number} delivered to TikTok")
        message = note or f"TikTok accepted parcel {parcel.tracking_number}" + (f" by {parcel.provider_name}" if parcel.provider_name else "") + "."
        if warning:
            message += f" {warning}"
        events.record(
            "parcel.delivered", "order", order.id, message, account_id=order.account_id,
            after={"tracking_number": parcel.tracking_number, "line_ids": line_ids, "package_ids": package_ids},
        )  # fmt: skip
        return Outcome(parcel.tracking_number, DELIVERED, message)


def held_back(parcel_id: int, new_state: str, code: str, message: str, remedy: str, *, retry_in: timedelta | None, flag: bool) -> Outcome:
    """Record why the parcel did not leave. ``retry_in``: when it is tried again by itself; ``flag``: show it as the order's error."""
    with unit_of_work() as session:
        parcel = session.get_one(Shipment, parcel_id, populate_existing=True)
        order = session.get_one(Order, parcel.order_id)
        changed = parcel.error_code != code or parcel.error_message != message
        parcel.state, parcel.error_code, parcel.error_message, parcel.error_remedy = new_state, code, message, remedy
        parcel.retry_at = None if retry_in is None else utcnow() + retry_in
        if flag:
            state.flag(order, code, message, remedy, reason=f"parcel {parcel.tracking_number}")
        if changed:
            events.record(
                "parcel.held_back", "order", order.id, message, account_id=order.account_id,
                after={"tracking_number": parcel.tracking_number, "state": new_state, "code": code},
            )  # fmt: skip
        return Outcome(parcel.tracking_number, new_state, message, code, remedy)


def patience(attempts: int) -> timedelta:
    """How long a refused parcel rests: 2, 4, 8 ... 60 minutes."""
    return timedelta(minutes=min(60, 2 ** min(attempts, 6)))

"""The cancel/ship fence (product.md 7): of two workers, one shipping an order and one cancelling it, never both get through.

Both take the order's row, look for the other's claim and write their own in the same transaction. A parcel's claim is its state ``sending`` (written
before the order is read), a label's is the action ``arrange``; that of an accepted cancellation is its ``answer_state``, that of a rejection the action
``reject``. A claim is believed for ``CLAIM``: longer than any call lasts; after that the order itself, read again, tells what became of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, aliased

from connector.core.clock import utcnow
from connector.core.db import db
from connector.domain import cancellations as requests
from connector.models.order import Cancellation, Order, OrderLine, OutgoingAction, Shipment

ARRANGE = "arrange"
CLAIM = timedelta(minutes=3)


def lock(session: Session, order_id: int) -> Order:
    """The order's row, held until the caller's transaction ends."""
    order = session.get(Order, order_id, populate_existing=True, with_for_update=True)
    assert order is not None
    return order


def together(order_id: int) -> list[int]:
    """This order and those whose lines are in one package with its own (TTS §5.5.10), in the order in which they are locked."""
    mine, other = aliased(OrderLine), aliased(OrderLine)
    query = select(other.order_id).join(mine, mine.package_id == other.package_id).where(mine.order_id == order_id, mine.package_id != "")
    return sorted({order_id, *db.session.scalars(query)})


def lock_together(session: Session, order_id: int) -> dict[int, Order]:
    """The rows of all of them, by id: what leaves in one package leaves for every order in it."""
    return {one: lock(session, one) for one in together(order_id)}


def cancelling(order_id: int, since: datetime | None = None) -> bool:
    """Is an acceptance or a rejection of this order under way, or has one gone through since ``since`` (when the shipper read the order)?"""
    recent = utcnow() - CLAIM
    state = and_(Cancellation.answer_state == requests.SENDING, Cancellation.answered_at >= recent)
    moved = and_(OutgoingAction.state == "sent", OutgoingAction.updated_at >= recent)
    if since is not None:
        state = or_(state, and_(Cancellation.answer_state == requests.ACCEPTED, Cancellation.answered_at >= since))
        moved = or_(moved, and_(OutgoingAction.state == "accepted", OutgoingAction.updated_at >= since))
    accepted = select(Cancellation.id).where(Cancellation.order_id == order_id, Cancellation.answer == requests.APPROVE, state)
    rejected = select(OutgoingAction.id).where(OutgoingAction.order_id == order_id, OutgoingAction.action == "reject", moved)
    return db.session.scalar(accepted.limit(1)) is not None or db.session.scalar(rejected.limit(1)) is not None


def being_sent(order_id: int) -> str | None:
    """The tracking number of a parcel that is being sent to TikTok right now, "label" while one is arranged, else None."""
    orders = together(order_id)
    parcel = db.session.scalar(select(Shipment.tracking_number).where(Shipment.order_id.in_(orders), Shipment.state == "sending").limit(1))
    if parcel is not None:
        return parcel
    query = select(OutgoingAction.id).where(OutgoingAction.order_id.in_(orders), OutgoingAction.action == ARRANGE, OutgoingAction.state == "sent")
    query = query.where(OutgoingAction.updated_at >= utcnow() - CLAIM)
    return "label" if db.session.scalar(query.limit(1)) is not None else None

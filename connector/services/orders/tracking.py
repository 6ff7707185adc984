"""Correcting tracking numbers at TikTok, which takes that within 72 hours after shipping (TTS §5.5.4): a parcel that TikTok has, or one whose units
TikTok shows as shipped under another number."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import shipping
from connector.domain.carriers import CarrierMatch, match_carrier
from connector.domain.shipping import Unit
from connector.models.account import Account
from connector.models.order import Order, OrderLine, Shipment
from connector.services import connections, events
from connector.services.orders import parcels, providers, push, state
from connector.services.orders.parcels import DELIVERED, FAILED, IGNORED, Outcome

#: A parcel of an order that TikTok shows as shipped with another number, and the two answers to it.
OTHER = "ship.other_tracking"
OURS, THEIRS = "ours", "theirs"


def correct(parcel_id: int, tracking_number: str, provider_name: str, *, actor: str) -> Outcome:
    """Correct the tracking of a parcel that TikTok has. Raises ``DomainError`` and ``ApiError``."""
    number = _checked(tracking_number)
    parcel = db.session.get(Shipment, parcel_id)
    if parcel is None or parcel.state != DELIVERED:
        raise DomainError("ship.not_delivered", "TikTok does not have this parcel yet.", "Ship it first; only then can its tracking be corrected.")
    order = db.session.get_one(Order, parcel.order_id)
    offered = providers.providers_for(parcel.account_id, order.delivery_option_id, buyer_region="")
    match = match_carrier(provider_name or parcel.provider_name, {}, offered)
    if not match.ok:
        raise DomainError(
            "carrier.not_offered", f"TikTok does not offer the carrier {match.title!r} for this order.",
            f"Choose one of: {', '.join(one.name for one in offered)}.", field="carrier",
        )  # fmt: skip
    end_reading()
    _tell(order, parcel.package_id, number, match)
    with unit_of_work() as session:
        parcel = session.get_one(Shipment, parcel_id, populate_existing=True)
        before = {"tracking_number": parcel.tracking_number, "carrier": parcel.provider_name}
        order = _renumber(session, order.id, parcel.line_ids, parcel.tracking_number, number, match)
        parcel.tracking_number, parcel.provider_id, parcel.provider_name = number, match.provider_id, match.provider_name
        message = f"Tracking corrected at TikTok: {before['tracking_number']} is now {number} by {match.provider_name}."
        events.record(
            "parcel.corrected", "order", order.id, message, account_id=order.account_id, actor=actor,
            before=before, after={"tracking_number": number, "carrier": match.provider_name},
        )  # fmt: skip
        return Outcome(number, DELIVERED, message)


def settle(order_id: int, answer: str, *, actor: str) -> str:
    """Answer every parcel of an order whose number is another than TikTok's: ``ours`` gives TikTok the parcel's number, ``theirs`` keeps TikTok's and
    sends nothing. What was done, as a sentence; safe to call again. Raises ``DomainError`` with why it is not possible, and ``ApiError``."""
    if answer not in (OURS, THEIRS):
        raise DomainError("ship.answer", "Which number is right was not said.", "Choose this parcel's number or TikTok's.")
    query = select(Shipment.id).where(Shipment.order_id == order_id, Shipment.state == FAILED, Shipment.error_code == OTHER).order_by(Shipment.id)
    found = list(db.session.scalars(query))
    end_reading()
    token = connections.order_now.set(order_id)
    try:
        done = [_give(parcel_id, actor) if answer == OURS else _keep(parcel_id, actor) for parcel_id in found]
    finally:
        connections.order_now.reset(token)
    if not found:
        with unit_of_work() as session:
            state.clear_flag(session.get_one(Order, order_id), OTHER, reason="no parcel has another number any more")
    return " ".join(done) or "No parcel of this order has another number than TikTok's any more."


def _give(parcel_id: int, actor: str) -> str:
    """TikTok's one package of these units gets the parcel's number."""
    parcel = db.session.get_one(Shipment, parcel_id, populate_existing=True)
    order, account = db.session.get_one(Order, parcel.order_id), db.session.get_one(Account, parcel.account_id)
    number = _checked(parcel.tracking_number)
    lines = db.session.execute(select(OrderLine.line_id, OrderLine.magento_sku).where(OrderLine.order_id == order.id))
    skus = {line_id: sku for line_id, sku in lines if sku}
    client = connections.tiktok(account.id)
    end_reading()
    payload = push.read_order(client, order.number)
    units = shipping.shipped_with(shipping.units_of(payload, skus), parcel.quantities)
    shown = list(dict.fromkeys(unit.tracking_number for unit in units))
    match = push.carrier_of(parcel, account, payload)
    end_reading()
    if match is None:
        raise DomainError("ship.not_ours", f"TikTok itself ships order {order.number}.", "Keep TikTok's number.")
    if not match.ok:
        raise DomainError(match.code, match.message, match.remedy)
    if len(shown) != 1:
        text = f"TikTok shows {len(shown)} tracking numbers for the units of parcel {number}" + (f": {', '.join(shown)}." if shown else ".")
        raise DomainError("ship.other_tracking_several", text, "Correct them in Seller Center, then keep TikTok's numbers here.")
    packages = list(dict.fromkeys(unit.package_id for unit in units if unit.package_id))
    if not shipping.same_tracking(shown[0], number):
        _tell(order, packages[0] if packages else "", number, match)
    return _given(parcel_id, units, shown[0], match, actor)


def _given(parcel_id: int, units: Sequence[Unit], before: str, match: CarrierMatch, actor: str) -> str:
    """Our side, in one transaction. After a lost answer ``before`` is the parcel's own number already: what it replaces is known by its lines."""
    line_ids, packages = [unit.line_id for unit in units], list(dict.fromkeys(unit.package_id for unit in units if unit.package_id))
    with unit_of_work() as session:
        parcel = session.get_one(Shipment, parcel_id, populate_existing=True, with_for_update=True)
        number = parcel.tracking_number
        replaced = [
            other
            for other in session.scalars(select(Shipment).where(Shipment.order_id == parcel.order_id, Shipment.id != parcel.id, Shipment.state == DELIVERED))
            if set(other.line_ids) & set(line_ids)
        ]
        if shipping.same_tracking(before, number) and replaced:
            before = replaced[0].tracking_number
        text = f"TikTok has tracking number {number}" + ("." if shipping.same_tracking(before, number) else f" instead of {before}.")
        if parcel.state == DELIVERED:
            return text
        order = _renumber(session, parcel.order_id, line_ids, before, number, match)
        for other in replaced:
            other.state, other.error_message, other.error_remedy = IGNORED, f"TikTok has {number} instead.", ""
        events.record(
            "parcel.corrected", "order", order.id, text, account_id=order.account_id, actor=actor,
            before={"tracking_number": before}, after={"tracking_number": number, "carrier": match.provider_name},
        )  # fmt: skip
        return parcels.delivered(
            parcel_id, line_ids=line_ids, package_ids=packages, provider_id=match.provider_id, provider_name=match.provider_name, note=text,
        ).message  # fmt: skip


def _keep(parcel_id: int, actor: str) -> str:
    """TikTok's number is right: the parcel is not sent, and no error any more."""
    with unit_of_work() as session:
        parcel = session.get_one(Shipment, parcel_id, populate_existing=True, with_for_update=True)
        order = session.get_one(Order, parcel.order_id, populate_existing=True)
        text = f"TikTok's tracking number is kept; {parcel.tracking_number} is not sent."
        if (parcel.state, parcel.error_code) == (FAILED, OTHER):
            parcel.state, parcel.retry_at = IGNORED, None
            parcel.error_message, parcel.error_remedy = text, ""
            state.clear_flag(order, OTHER, reason=text)
            events.record("parcel.not_sent", "order", order.id, text, account_id=order.account_id, actor=actor)
        return text


def _checked(tracking_number: str) -> str:
    number = shipping.clean_tracking(tracking_number)
    problem = shipping.tracking_problem(number)
    if problem:
        raise DomainError("ship.tracking", problem, "Enter the number as it stands on the label.", field="tracking_number")
    return number


def _tell(order: Order, package_id: str, number: str, match: CarrierMatch) -> None:
    """The call; saying the same number again changes nothing."""
    client = connections.tiktok(order.account_id)
    token = connections.order_now.set(order.id)
    try:
        if package_id:
            client.update_package_shipping_info(package_id, tracking_number=number, shipping_provider_id=match.provider_id)
        else:
            client.update_order_shipping_info(order.number, tracking_number=number, shipping_provider_id=match.provider_id)
    finally:
        connections.order_now.reset(token)


def _renumber(session: Session, order_id: int, line_ids: Sequence[str], before: str, number: str, match: CarrierMatch) -> Order:
    """Our copy of the order's lines and numbers, until it is read again."""
    order = session.get_one(Order, order_id, populate_existing=True)
    for line in session.scalars(select(OrderLine).where(OrderLine.order_id == order_id, OrderLine.line_id.in_(line_ids))):
        line.tracking_number, line.shipping_provider_id = number, match.provider_id
    if shipping.same_tracking(order.tracking_number, before):
        order.tracking_number, order.carrier_name = number, match.provider_name
    order.dirty_at = order.dirty_at or utcnow()
    return order

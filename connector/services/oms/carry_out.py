"""What each type of update does to its order; each ends in the function that the button calls. ``DomainError`` says why one cannot be carried out."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import cancellations as requests
from connector.domain import oms_events
from connector.domain.shipping import same_tracking
from connector.models.aftersales import GOODS_ASK, GOODS_EXPECTED, GOODS_RECEIVED, RECALL_RECEIVED, RecallTask, Return
from connector.models.order import Cancellation, Order, OrderLine, Shipment
from connector.services import cancellations, connections
from connector.services.oms.apply import ACTOR, Applied, Claimed, done, ignored, waits
from connector.services.orders import own_fleet, parcels, push, reject, ship

ORIGIN = "oms"
#: A refused parcel that waits for something that passes is looked at again.
LOOK_AGAIN = timedelta(minutes=10)
_PASSING = ("not_on_hold", "no_open_cancellation")


def shipped(job: Claimed) -> Applied:
    """A parcel: entered as a person would, and sent to TikTok (A257, A258)."""
    number = job.text("tracking_number")
    order, lines = _order(job)
    parcel = _parcel(order.id, number)
    wanted = _by_store_sku(job, order, lines)
    there = [line for line in lines if same_tracking(line.tracking_number, number)]
    if (there and (not wanted or _held(there, wanted))) or (parcel and parcel.state == parcels.DELIVERED and _covers(parcel, wanted)):
        return ignored(f"TikTok already has parcel {number} of order {order.number}.")
    if order.remote_status == "CANCELLED":
        raise _left_too_late(order, number)
    if parcel is not None and parcel.quantities and wanted:  # two messages about one parcel: together they say what is in it
        wanted = {sku: max(wanted.get(sku, 0), parcel.quantities.get(sku, 0)) for sku in {*wanted, *parcel.quantities}}
    refusal = ship.why_not(order)
    if refusal is not None and refusal["check"] not in _PASSING:
        raise DomainError(f"ship.{refusal['check']}", refusal["message"], refusal["remedy"])
    with unit_of_work() as session:
        kept = session.get(Order, order.id, populate_existing=True)
        assert kept is not None
        stored = ship.enter(kept, ship.Tracking(job.text("carrier"), number, wanted or None), origin=ORIGIN)
        ours, parcel_id = stored.tracking_number, stored.id
    outcomes = [one for one in push.push_order(order.id, only=parcel_id) if same_tracking(one.tracking_number, ours)]
    if not outcomes:
        return ignored(f"TikTok already has parcel {number} of order {order.number}.")
    (outcome,) = outcomes
    if outcome.state in (parcels.DELIVERED, ""):
        return done(outcome.message)
    if outcome.state in (parcels.PENDING, parcels.WAITING_CARRIER):
        return waits(outcome.message, LOOK_AGAIN, code=outcome.code, remedy=outcome.remedy)
    raise DomainError(outcome.code or "ship.refused", outcome.message, outcome.remedy)


def cancelled(job: Claimed) -> Applied:
    """The seller cancels (A265, A266): a buyer's open request is accepted, else the order is rejected with the reason that is meant."""
    order, _ = _order(job)
    reason = oms_events.cancel_reason(job.text("reason"))
    assert reason is not None  # checked when it was taken in
    if (finished := _unfinished(order.id)) is not None:
        return finished
    if order.remote_status == "CANCELLED" and not reject.unfinished(order.id):
        return ignored(f"Order {order.number} is cancelled on TikTok already.")
    left = db.session.scalars(
        select(Shipment.tracking_number)
        .where(Shipment.order_id == order.id, Shipment.state.in_((parcels.PENDING, parcels.WAITING_CARRIER, parcels.SENDING, parcels.DELIVERED)))
        .order_by(Shipment.id)
    ).first()
    if left is not None and order.remote_status not in ("PARTIALLY_SHIPPING", "CANCELLED"):
        raise DomainError(
            "oms.cancel_after_ship", f"Order {order.number} has left with parcel {left}, so it cannot be cancelled any more.",
            "Stop the parcel with the carrier; the buyer may return the goods.",
        )  # fmt: skip
    asked = cancellations.open_requests(order.id)
    end_reading()
    if asked:
        return done(cancellations.answer_one(asked[0].id, "approve", actor=ACTOR))
    return done(reject.reject_one(order.id, reason, actor=ACTOR))


def delivered(job: Claimed) -> Applied:
    """TikTok hears of a delivery from the carrier; only a seller's own fleet reports it (TTS §5.5.10)."""
    order, _ = _order(job)
    if order.remote_status in ("DELIVERED", "COMPLETED"):
        return ignored(f"Order {order.number} is {order.remote_status} on TikTok already.")
    if own_fleet.reports(order):
        said = own_fleet.delivered(order.id)
        return done(said) if said else ignored(f"No package of order {order.number} is on its way, so there is no delivery to report.")
    return ignored(f"Nothing is sent: TikTok hears from the carrier that order {order.number} was delivered. On TikTok it is {order.remote_status}.")


def cancellation_answered(job: Claimed) -> Applied:
    """The answer to the buyer's request to cancel."""
    answer = "approve" if job.data.get("accept") else "reject"
    asked = cancellations.open_requests(job.order_id)
    end_reading()
    if not asked:  # the request may be newer than the last import
        cancellations.import_account(job.account_id)
        asked = cancellations.open_requests(job.order_id)
        end_reading()
    if asked:
        return done(cancellations.answer_one(asked[0].id, answer, reason=job.text("reason"), actor=ACTOR))
    if (finished := _unfinished(job.order_id)) is not None:
        return finished
    last = db.session.scalars(
        select(Cancellation)
        .where(Cancellation.order_id == job.order_id, Cancellation.cancel_type == cancellations.BUYER_CANCEL)
        .order_by(Cancellation.remote_updated_at.desc())
    ).first()
    order, _ = _order(job)
    if last is None:
        raise DomainError(
            "oms.no_request", f"The buyer of order {order.number} has not asked to cancel it.", "Send cancelled with a reason if the seller wants to cancel."
        )
    if answer == "approve" and order.remote_status != "CANCELLED":
        raise DomainError(
            "oms.request_closed", f"The buyer's request to cancel order {order.number} is {last.remote_status} on TikTok; it cannot be accepted any more.",
            "Send cancelled with a reason if the order is to be cancelled all the same.",
        )  # fmt: skip
    return ignored(f"The buyer's request to cancel order {order.number} is answered already: {last.remote_status}.")


def _unfinished(order_id: int) -> Applied | None:
    """An answer of ours that TikTok took while its worker was killed is finished on our side; None when there is none."""
    sent = select(Cancellation).where(Cancellation.order_id == order_id, Cancellation.answer_state == requests.SENDING)
    one = db.session.scalars(sent.order_by(Cancellation.answered_at.desc())).first()
    end_reading()
    if one is None:
        return None
    cancellations.read_again(connections.tiktok(one.account_id), one.account_id, one.cancel_id)
    one = cancellations.get(one.id)
    cancellation_id, answer, reason, taken = one.id, one.answer, one.answer_reason, one.remote_status in requests.TAKEN[one.answer]
    end_reading()
    return done(cancellations.answer_one(cancellation_id, answer, reason=reason, actor=ACTOR)) if taken else None


def goods_received(job: Claimed) -> Applied:
    """Goods came back: those of a return, or of a parcel that was recalled. They go back into stock once."""
    from connector.services.orders import recall
    from connector.services.returns import goods

    order, _ = _order(job)
    wanted = job.text("return_id")
    rows = db.session.scalars(select(Return).where(Return.order_id == order.id).order_by(Return.remote_created_at, Return.id)).all()
    end_reading()
    if wanted:
        rows = [row for row in rows if row.return_id == wanted]
        if not rows:
            raise DomainError("oms.return_unknown", f"Order {order.number} has no return {wanted}.", "Check the return id, or leave it out.", field="return_id")
    expected = [row for row in rows if row.goods in (GOODS_EXPECTED, GOODS_ASK)]
    if len(expected) > 1:
        ids = ", ".join(row.return_id for row in expected)
        raise DomainError("oms.return_unclear", f"Order {order.number} has several returns that expect goods: {ids}.", "Name the return_id.", field="return_id")
    if expected:
        return done(goods.received(expected[0].id, sellable=True, actor=ACTOR))
    if any(row.goods == GOODS_RECEIVED for row in rows):
        return ignored(f"The goods of order {order.number} were taken in already.")
    task = db.session.scalar(select(RecallTask).where(RecallTask.order_id == order.id))
    end_reading()
    if task is None or wanted:
        raise DomainError(
            "oms.no_goods_expected", f"No goods of order {order.number} are expected: it has no return on its way and no recall.",
            "Check the order number; a return appears here when TikTok shows it.",
        )  # fmt: skip
    if task.state == RECALL_RECEIVED:
        return ignored(f"The recalled parcel of order {order.number} was taken in already.")
    return done(recall.move(order.id, RECALL_RECEIVED, received=job.units or None, note="", actor=ACTOR))


def _order(job: Claimed) -> tuple[Order, list[OrderLine]]:
    order = db.session.get(Order, job.order_id, populate_existing=True)
    assert order is not None
    lines = list(db.session.scalars(select(OrderLine).where(OrderLine.order_id == order.id).order_by(OrderLine.id).execution_options(populate_existing=True)))
    end_reading()
    return order, lines


def _parcel(order_id: int, number: str) -> Shipment | None:
    found = [one for one in db.session.scalars(select(Shipment).where(Shipment.order_id == order_id)) if same_tracking(one.tracking_number, number)]
    end_reading()
    return found[0] if found else None


def _by_store_sku(job: Claimed, order: Order, lines: list[OrderLine]) -> dict[str, int]:
    """Units of the parcel by the SKU that parcels are kept by; the OMS may name TikTok's seller SKU or the store's."""
    names = {name: line.magento_sku or line.seller_sku for line in lines for name in (line.seller_sku, line.magento_sku) if name}
    unknown = sorted(set(job.units) - set(names))
    if unknown:
        raise DomainError(
            "oms.sku_unknown", f"Order {order.number} has no line with SKU {', '.join(unknown)}. Its SKUs are: {', '.join(sorted(set(names)))}.",
            "Correct the SKU and send the update with another id.", field="items",
        )  # fmt: skip
    found: dict[str, int] = {}
    for sku, quantity in job.units.items():
        found[names[sku]] = found.get(names[sku], 0) + quantity
    return found


def _held(lines: list[OrderLine], wanted: dict[str, int]) -> bool:
    """Do these lines hold at least the wanted units? A line is one unit."""
    return all(sum((line.magento_sku or line.seller_sku) == sku for line in lines) >= quantity for sku, quantity in wanted.items())


def _covers(parcel: Shipment, wanted: dict[str, int]) -> bool:
    return not wanted or not parcel.quantities or all(parcel.quantities.get(sku, 0) >= quantity for sku, quantity in wanted.items())


def _left_too_late(order: Order, number: str) -> DomainError:
    return DomainError(
        "oms.ship_after_cancel", f"Order {order.number} is CANCELLED on TikTok, so parcel {number} was not sent there.",
        "Stop the parcel with the carrier if it has left; send goods_received when it is back.",
    )  # fmt: skip

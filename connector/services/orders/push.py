"""Sending parcels to TikTok until they are accepted (product.md 6 "Shipment push"; TTS §5.5; A256-A258).

One parcel at a time: claim it, read the order again right before the call (the cancel/ship fence), decide, store the chosen lines, call, record.
After a lost answer the same reading shows whether the parcel is there already, so that it never becomes two packages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.domain import shipping
from connector.domain.carriers import CarrierMatch
from connector.domain.shipping import Check, ShipFacts, Verdict
from connector.models.account import Account
from connector.models.order import Cancellation, Order, OrderLine, Shipment
from connector.services import connections, events, policies, runs
from connector.services.orders import fence, parcels, providers, splitting
from connector.services.orders.parcels import DELIVERED, FAILED, IGNORED, PENDING, SENDING, WAITING_CARRIER, Outcome

#: How long a claimed parcel is believed to be under way, unless no run is alive that may have claimed it.
CLAIM = timedelta(seconds=60)
SENDERS = ("shipments.push", "orders.ship", "oms.apply")
#: Sending takes a second or two: who finds a parcel claimed looks again soon.
LOOK_SECONDS = 3.0
#: Refusals that pass by themselves: the parcel stays pending and is tried again.
_PASSING = {"not_on_hold": timedelta(minutes=10), "no_open_cancellation": timedelta(minutes=15), "lines": timedelta(minutes=15)}
#: TikTok's refusals that pass by themselves; the order is not shown as an error.
_PASSING_CODES = {"tts.on_hold": timedelta(minutes=10), "tts.aftersale_open": timedelta(minutes=15), "tts.package_not_found": timedelta(minutes=5)}


@dataclass(frozen=True, slots=True)
class _Job:
    """A claimed parcel with what is needed to send it."""

    parcel: Shipment
    order: Order
    account: Account
    skus: dict[str, str]
    since: datetime  #: when it was claimed: before the order was read
    attempt: int  #: which claim of the parcel this is: a later one is another worker's


def push_order(order_id: int, *, only: int | None = None) -> list[Outcome]:
    """Send every open parcel of one order, oldest first, or the one parcel ``only``; the outcome of each.

    Raises ``ApiError`` for what should be tried again later (``Unavailable``, ``Uncertain``, ``Unauthorized``); the parcels keep their place.
    """
    query = select(Shipment.id).where(Shipment.order_id == order_id, Shipment.state.in_(parcels.OPEN_STATES)).order_by(Shipment.id)
    found = [parcel_id for parcel_id in db.session.scalars(query) if only in (None, parcel_id)]
    end_reading()
    token = connections.order_now.set(order_id)
    try:
        return [push(parcel_id) for parcel_id in found]
    finally:
        connections.order_now.reset(token)


def push(parcel_id: int) -> Outcome:
    """Send one parcel, or say why not."""
    job = _claim(parcel_id)
    if job is None:
        return Outcome("", DELIVERED, "TikTok already has this parcel.")
    try:
        return _send(connections.tiktok(job.account.id), job)
    except api.Uncertain as lost:
        _rest(job, SENDING, lost)
        raise
    except (api.Unavailable, api.Unauthorized) as later:
        _rest(job, PENDING, later)
        raise
    except api.ApiError as refused:
        return _refused_by_tiktok(job, refused)
    except BaseException:
        _rest(job, SENDING, None)
        raise


def _claim(parcel_id: int) -> _Job | None:
    """Make this worker the only one that sends the parcel. None when it is delivered already."""
    now = utcnow()
    with unit_of_work() as session:
        parcel = session.get(Shipment, parcel_id, populate_existing=True, with_for_update=True)
        if parcel is None or parcel.state in (DELIVERED, IGNORED):
            return None
        if parcel.state == SENDING and parcel.retry_at and parcel.retry_at > now and not runs.alone(parcel.account_id, *SENDERS):
            raise _in_progress(parcel, max(1.0, min(LOOK_SECONDS, (parcel.retry_at - now).total_seconds())))
        parcel.state, parcel.attempts, parcel.retry_at = SENDING, parcel.attempts + 1, now + CLAIM
        order, account = session.get(Order, parcel.order_id), session.get(Account, parcel.account_id)
        assert order is not None
        assert account is not None
        lines = session.execute(select(OrderLine.line_id, OrderLine.magento_sku).where(OrderLine.order_id == order.id))
        return _Job(parcel, order, account, {line_id: sku for line_id, sku in lines if sku}, now, parcel.attempts)


def _in_progress(parcel: Shipment, retry_after: float) -> api.Unavailable:
    text = f"Parcel {parcel.tracking_number} is being sent by another worker"
    return api.Unavailable(text, system="tiktok", operation="ship", code="ship.in_progress", retry_after=retry_after)


def _hold(job: _Job) -> Shipment:
    """Go on holding the parcel, right before something is sent. Raises ``Unavailable`` when another worker believed this one dead and has taken it."""
    with unit_of_work() as session:
        parcel = session.get_one(Shipment, job.parcel.id, populate_existing=True, with_for_update=True)
        if (parcel.state, parcel.attempts) != (SENDING, job.attempt):
            raise _in_progress(parcel, LOOK_SECONDS)
        parcel.retry_at = utcnow() + CLAIM
        return parcel


def _send(client: TikTokClient, job: _Job) -> Outcome:
    parcel, order = job.parcel, job.order
    payload = read_order(client, order.number)
    match = carrier_of(parcel, job.account, payload)
    verdict = _decide(job, payload, match)
    if verdict.outcome == "done":
        facts = verdict.checks[0]["facts"]
        return parcels.delivered(
            parcel.id, line_ids=list(verdict.choice.line_ids), package_ids=[one for one in facts["package_ids"] if one],
            note=verdict.checks[0]["message"],
        )  # fmt: skip
    if verdict.refusal is not None:
        return _refused_by_us(job, verdict.refusal, match)
    assert match is not None
    units = shipping.units_of(payload, job.skus)
    warning = _missing_warning(verdict)
    if verdict.route == shipping.MARK_SHIPPED:
        marked = client.mark_shipped(
            order.number, line_ids=verdict.choice.line_ids, tracking_number=parcel.tracking_number, shipping_provider_id=match.provider_id
        )
        package_ids, warning = [marked.package_id], " ".join(filter(None, (marked.warning and f"TikTok warns: {marked.warning.rstrip('.')}.", warning)))
    else:
        if verdict.split:
            if (refusal := splitting.why_not(client, order.number)) is not None:
                return parcels.held_back(
                    parcel.id, PENDING, "ship.split", refusal["message"], refusal["remedy"], retry_in=timedelta(minutes=15), flag=True
                )  # fmt: skip
            _hold(job)
            package_ids = [splitting.split_off(client, order, verdict.split)]
        else:
            package_ids = shipping.packages_of(units, verdict.choice.line_ids)
        for package_id in package_ids:
            _hold(job)
            client.ship_package(package_id, tracking_number=parcel.tracking_number, shipping_provider_id=match.provider_id)
    return parcels.delivered(
        parcel.id, line_ids=list(verdict.choice.line_ids), package_ids=package_ids,
        provider_id=match.provider_id, provider_name=match.provider_name, warning=warning,
    )  # fmt: skip


def read_order(client: TikTokClient, number: str) -> dict[str, Any]:
    """The order as TikTok has it now. Raises ``NotFound`` when TikTok does not give it."""
    found = next((one for one in client.get_orders([number]) if str(one.get("id")) == number), None)
    if found is None:
        raise api.NotFound(f"TikTok does not know order {number} of this shop", system="tiktok", operation="get_orders", code="tts.order_not_found")
    return found


def carrier_of(parcel: Shipment, account: Account, payload: Mapping[str, Any]) -> CarrierMatch | None:
    """The provider for this parcel of a TikTok order object; None where the seller does not ship, so that there is nothing to choose."""
    way = shipping.route(market_of(account), str(payload.get("shipping_type") or ""), str(payload.get("fulfillment_type") or ""))
    if way not in (shipping.MARK_SHIPPED, shipping.SHIP_PACKAGE):
        return None
    policy, _ = policies.order_policy(account)
    option = str(payload.get("delivery_option_id") or "")
    region = str((payload.get("recipient_address") or {}).get("region_code") or "")
    offered = providers.providers_for(account.id, option, buyer_region=region)
    return providers.resolve(parcel, policy, offered, delivery_option=str(payload.get("delivery_option_name") or ""))


def _decide(job: _Job, payload: Mapping[str, Any], match: CarrierMatch | None) -> Verdict:
    """Judge, and when the parcel may leave store its lines in the same transaction, so that no other parcel of the order takes them."""
    with unit_of_work() as session:
        members = fence.lock_together(session, job.order.id)
        order, parcel = members[job.order.id], _hold(job)
        others = session.scalars(select(Shipment).where(Shipment.order_id == order.id, Shipment.id != parcel.id, Shipment.state.in_((SENDING, DELIVERED))))
        facts = ShipFacts(
            number=order.number,
            market=market_of(job.account),
            status=str(payload.get("status") or ""),
            fulfillment_type=str(payload.get("fulfillment_type") or ""),
            shipping_type=str(payload.get("shipping_type") or ""),
            cancel_requested=bool(payload.get("is_buyer_request_cancel")) or any(cancellation_open(one) or fence.cancelling(one, job.since) for one in members),
            units=shipping.units_of(payload, job.skus),
            quantities=parcel.quantities,
            mine=frozenset(parcel.line_ids),
            taken=frozenset(line_id for other in others for line_id in other.line_ids),
            tracking=parcel.tracking_number,
            carrier=match,
            combined=payload.get("split_or_combine_tag") == "COMBINED",
        )
        verdict = shipping.ship_verdict(facts)
        if verdict.outcome == "ship" and verdict.route == shipping.SHIP_PACKAGE:
            _one_at_a_time(parcel)
        if verdict.outcome == "ship":
            assert match is not None
            there = [unit.line_id for unit in shipping.already_there(facts)]
            parcel.line_ids, parcel.provider_id = [*there, *verdict.choice.line_ids], match.provider_id
        if verdict.outcome == "ship" or parcel.error_code != f"ship.{verdict.refusal['check'] if verdict.refusal else ''}":
            events.record_decision("order", order.id, "ship", [dict(check) for check in verdict.checks])
        return verdict


def _one_at_a_time(parcel: Shipment) -> None:
    """A split changes the packages of the whole order: while another parcel of it is being sent, this one waits. Raises ``Unavailable``."""
    query = select(Shipment).where(Shipment.order_id == parcel.order_id, Shipment.id < parcel.id, Shipment.state == SENDING, Shipment.retry_at > utcnow())
    other = db.session.scalar(query.limit(1))
    if other is not None:
        raise _in_progress(other, 5.0)


def _refused_by_us(job: _Job, check: Check, match: CarrierMatch | None) -> Outcome:
    name, parcel_id = check["check"], job.parcel.id
    message, remedy = check["message"], check["remedy"]
    if name == "carrier":
        assert match is not None
        return parcels.held_back(parcel_id, WAITING_CARRIER, match.code, message, remedy, retry_in=None, flag=True)
    if name in ("fulfilled_by_seller", "shipped_by_seller"):
        return parcels.held_back(parcel_id, IGNORED, f"ship.{name}", message, remedy, retry_in=None, flag=False)
    if name == "cancelled":  # what the store has shipped is no error to be solved: the order is read again, and the recall that this opens says what to do
        with unit_of_work() as session:
            order = session.get_one(Order, job.order.id, populate_existing=True)
            order.dirty_at = order.dirty_at or utcnow()
        return parcels.held_back(parcel_id, FAILED, parcels.CANCELLED, message, remedy, retry_in=None, flag=job.parcel.origin != "magento")
    passing = _PASSING.get(name)
    if passing is not None and (name != "lines" or "left_out" in check["facts"] or "line_ids" in check["facts"]):
        return parcels.held_back(parcel_id, PENDING, f"ship.{name}", message, remedy, retry_in=passing, flag=name == "lines")
    return parcels.held_back(parcel_id, FAILED, f"ship.{name}", message, remedy, retry_in=None, flag=True)


def _refused_by_tiktok(job: _Job, error: api.ApiError) -> Outcome:
    """A refusal in TikTok's words. "Already shipped" is success when TikTok shows our tracking number (TTS §3.4, 21011006)."""
    parcel = job.parcel
    if error.code == "tts.already_shipped":
        payload = read_order(connections.tiktok(job.account.id), job.order.number)
        units = shipping.units_of(payload, job.skus)
        there = [unit for unit in units if shipping.same_tracking(unit.tracking_number, parcel.tracking_number)]
        if there:
            return parcels.delivered(
                parcel.id, line_ids=[unit.line_id for unit in there], package_ids=list(dict.fromkeys(unit.package_id for unit in there if unit.package_id)),
                note=f"TikTok already shows tracking number {parcel.tracking_number}.",
            )  # fmt: skip
        shown = sorted({unit.tracking_number for unit in units if unit.tracking_number})
        return _refused_by_us(job, shipping.other_tracking(job.order.number, str(payload.get("status") or ""), shown, parcel.tracking_number), None)
    code, title, advice = api.describe(error)
    text = f"{title}. TikTok answered: {error.remote_message}" if error.remote_message else f"{title}: {error}"
    if code in _PASSING_CODES:
        return parcels.held_back(parcel.id, PENDING, code, text, advice, retry_in=_PASSING_CODES[code], flag=False)
    return parcels.held_back(parcel.id, FAILED, code, text, advice, retry_in=parcels.patience(parcel.attempts), flag=True)


def _rest(job: _Job, new_state: str, error: api.ApiError | None) -> None:
    """Give the claim back after a call that may be repeated: at once by the same run, in a moment by the sweep. Another worker's is left alone."""
    with unit_of_work() as session:
        parcel = session.get(Shipment, job.parcel.id, populate_existing=True)
        if parcel is None or (parcel.state, parcel.attempts) != (SENDING, job.attempt):
            return
        parcel.state, parcel.retry_at = new_state, utcnow()
        if error is not None:
            code, title, advice = api.describe(error)
            parcel.error_code, parcel.error_message, parcel.error_remedy = code, f"{title}: {error}", advice


def market_of(account: Account) -> str:
    return (account.shop_region or account.country or "").upper()


def cancellation_open(order_id: int) -> bool:
    """A buyer's cancellation request of this order waits for an answer (TTS §5.6.3)."""
    query = select(Cancellation.id).where(
        Cancellation.order_id == order_id, Cancellation.cancel_type == "BUYER_CANCEL", Cancellation.remote_status == "CANCELLATION_REQUEST_PENDING"
    )
    return db.session.scalar(query.limit(1)) is not None


def _missing_warning(verdict: Verdict) -> str:
    missing = verdict.choice.missing
    if not missing:
        return ""
    return "The parcel was said to hold more than TikTok waits for: " + ", ".join(f"{quantity} x {sku}" for sku, quantity in missing.items()) + "."

"""The Ship action (A207): orders with a Magento shipment use its tracking, the others take a form or a CSV file.

``preview`` only reads what is stored; the job reads every order again right before the call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from connector.clients.errors import ApiError, Rejected, Uncertain, describe
from connector.clients.tiktok import TikTokClient
from connector.clients.tiktok.fulfillment import ShippingDocument
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import shipping
from connector.domain.carriers import normalise
from connector.domain.shipping import Check, ShipFacts, Unit
from connector.models.account import Account
from connector.models.order import Order, OrderLine, Shipment
from connector.services import connections, events, runs
from connector.services.orders import actions, combining, fence, parcels, push, shipments, state
from connector.services.orders.providers import known_providers
from connector.services.orders.push import cancellation_open, market_of

READY, FORM, LABEL, CANNOT, WITH = "ready", "form", "label", "cannot", "with"


@dataclass(frozen=True, slots=True)
class ShipPreview:
    """One order on the confirm page.

    ``kind``: ready (a parcel with tracking is there), form (needs carrier and number), label (platform shipping: print TikTok's label), cannot,
    with (it is combined in one package with an order before it in the list, and leaves with that).
    """

    order_id: int
    number: str
    account_id: int
    kind: str
    checks: tuple[Check, ...]
    parcels: tuple[tuple[str, str], ...]  #: (carrier, tracking number) of what would be sent
    combined_with: tuple[str, ...] = ()  #: the other orders in its package

    @property
    def why_not(self) -> Check | None:
        return next((check for check in self.checks if not check["ok"]), None)


@dataclass(frozen=True, slots=True)
class Tracking:
    """What a person enters for one order. ``carrier``: a TikTok provider's name or a Magento carrier title; ``quantities``: SKU -> units, empty: all."""

    carrier: str
    number: str
    quantities: Mapping[str, int] | None = None


def preview(order_ids: Sequence[int]) -> list[ShipPreview]:
    """What shipping these orders would do, and for which it asks tracking; local knowledge only."""
    found: list[ShipPreview] = []
    shared, leaders = combining.shares(order_ids), set[str]()
    for order in db.session.scalars(select(Order).where(Order.id.in_(list(order_ids))).order_by(Order.id)):
        account = db.session.get(Account, order.account_id)
        assert account is not None
        open_parcels = db.session.scalars(
            select(Shipment).where(Shipment.order_id == order.id, Shipment.state.in_(parcels.OPEN_STATES)).order_by(Shipment.id)
        ).all()
        verdict = shipping.ship_verdict(_stored_facts(order, account))
        rows = tuple((parcel.magento_carrier or parcel.provider_name, parcel.tracking_number) for parcel in open_parcels)
        kind = READY if rows else FORM
        if verdict.outcome != "ship":
            kind = LABEL if verdict.route == shipping.LABEL else CANNOT
        with_it = shared.get(order.id, ())
        if kind == FORM and leaders & set(with_it):
            kind = WITH
        elif kind in (READY, FORM):
            leaders.add(order.number)
        found.append(ShipPreview(order.id, order.number, account.id, kind, verdict.checks, rows, with_it))
    return found


def why_not(order: Order) -> Check | None:
    """The first reason why an order cannot be shipped now, or None: what the row's button asks."""
    account = db.session.get(Account, order.account_id)
    assert account is not None
    return shipping.ship_verdict(_stored_facts(order, account)).refusal


def submit(order_ids: Sequence[int], tracking: Mapping[int, Tracking] | None = None, *, started_by: str, origin: str = "form") -> list[runs.Submitted]:
    """Store what was entered and submit one run per account. Orders that cannot be shipped are left out; the preview said why.

    Raises ``DomainError`` with the field ``number-<order id>`` or ``carrier-<order id>`` for input that can never work, before anything is stored.
    """
    entered = tracking or {}
    by_account: dict[int, list[tuple[str, str]]] = {}
    with unit_of_work() as session:
        for row in preview(order_ids):
            given = entered.get(row.order_id)
            if row.kind in (LABEL, CANNOT, WITH) or (row.kind == FORM and given is None):
                continue
            if given is not None:
                order = session.get(Order, row.order_id)
                assert order is not None
                enter(order, given, origin=origin)
            by_account.setdefault(row.account_id, []).append((str(row.order_id), row.number))
        if not by_account:
            raise DomainError(
                "ship.none", "None of these orders can be shipped as they are.", "Enter carrier and tracking number where the list asks for them."
            )
        return [runs.submit("orders.ship", account_id=account_id, items=items, started_by=started_by) for account_id, items in by_account.items()]


def enter(order: Order, given: Tracking, *, origin: str) -> Shipment:
    """Store one entered tracking number in the caller's transaction."""
    number = shipping.clean_tracking(given.number)
    problem = shipping.tracking_problem(number)
    if problem:
        raise DomainError("ship.tracking", f"Order {order.number}: {problem}", "Enter the number as it stands on the label.", field=f"number-{order.id}")
    carrier = given.carrier.strip()
    if not carrier:
        raise DomainError("ship.carrier", f"Order {order.number}: no carrier is chosen.", "Choose the carrier.", field=f"carrier-{order.id}")
    provider = next((one.name for one in known_providers(order.account_id) if normalise(one.name) == normalise(carrier)), None)
    parcel, _ = parcels.keep(order, number, origin=origin, provider=provider or "", carrier="" if provider else carrier, quantities=given.quantities)
    return parcel


def ship_one(order_id: int) -> list[parcels.Outcome]:
    """Send the parcels of one order now; looks into Magento first when none is known. Raises ``DomainError("ship.no_tracking")`` when there is none."""
    query = select(Shipment.id).where(Shipment.order_id == order_id, Shipment.state.in_(parcels.OPEN_STATES)).limit(1)
    if db.session.scalar(query) is None:
        end_reading()
        shipments.collect_order(order_id)
    outcomes = push.push_order(order_id)
    if not outcomes:
        order = db.session.get(Order, order_id)
        number = order.number if order else order_id
        sent = db.session.scalar(select(Shipment.tracking_number).where(Shipment.order_id == order_id, Shipment.state == parcels.DELIVERED).limit(1))
        end_reading()
        if sent:
            return [parcels.Outcome(sent, parcels.DELIVERED, f"TikTok already has parcel {sent} of order {number}.")]
        raise DomainError(
            "ship.no_tracking", f"Order {number} has no shipment with a tracking number in Magento.", "Enter carrier and tracking number with the Ship action."
        )
    return outcomes


def label(order_id: int, *, document_type: str = "SHIPPING_LABEL") -> ShippingDocument:
    """TikTok's label for a platform-shipped order (TTS §5.5.7, §5.5.8); arranges the shipment first when nobody has. Valid for 24 hours.

    Raises ``DomainError`` when the order is not shipped by the platform or must not leave now, and ``ApiError``.
    """
    order = db.session.get(Order, order_id)
    if order is None:
        raise state.unknown(order_id)
    account = db.session.get(Account, order.account_id)
    assert account is not None
    market = market_of(account)
    if shipping.route(market, order.shipping_type, order.fulfillment_type) != shipping.LABEL:
        raise DomainError(
            "label.not_platform", f"Order {order.number} is not shipped by TikTok's platform shipping.", "Use the Ship action with your own carrier."
        )
    requested = cancellation_open(order.id)
    end_reading()
    client = connections.tiktok(account.id)
    token = connections.order_now.set(order_id)
    try:
        payload = push.read_order(client, order.number)
        lines = payload.get("line_items") or ()
        arranged = [str(line["package_id"]) for line in lines if line.get("package_id") and line.get("tracking_number")]
        if not arranged:
            _may_be_arranged(order.number, payload, requested)
            _claim_label(order_id)
            try:
                arranged = _arrange(client, order.number, market, payload)
            except (ApiError, DomainError) as error:
                if not isinstance(error, Uncertain):
                    with unit_of_work() as session:
                        row = fence.lock(session, order_id)
                        actions.take(row, fence.ARRANGE).state = "failed"
                        _flag_label(row, error)
                raise
            with unit_of_work() as session:
                row = fence.lock(session, order_id)
                actions.take(row, fence.ARRANGE).state = "accepted"
                if row.failure_code and row.failure_code.startswith(parcels.SETTLED):
                    state.clear_flag(row, reason="label arranged")
                row.dirty_at = row.dirty_at or utcnow()
                events.record("order.arranged", "order", order_id, "Platform shipping was arranged; TikTok gave the label.", account_id=account.id)
        return client.shipping_document(arranged[0], document_type=document_type)
    finally:
        connections.order_now.reset(token)


def _flag_label(order: Order, error: ApiError | DomainError) -> None:
    """A label that TikTok refused makes an abnormal package (A271) until it is arranged; a fault that passes by itself does not."""
    if isinstance(error, DomainError):
        state.flag(order, error.code, error.message, error.remedy, reason="label")
    elif isinstance(error, Rejected):
        code, title, advice = describe(error)
        text = f"The label could not be made. {title}. TikTok answered: {error.remote_message or error}"
        state.flag(order, code, text, advice, reason="label")


def _claim_label(order_id: int) -> None:
    """The fence's claim for a label: no acceptance of a cancellation may go through until its answer is known."""
    with unit_of_work() as session:
        row = fence.lock(session, order_id)
        if cancellation_open(order_id) or fence.cancelling(order_id):
            raise DomainError("ship.no_open_cancellation", f"A cancellation of order {row.number} is open or under way.", "Accept or reject the request first.")
        action = actions.take(row, fence.ARRANGE)
        action.state, action.attempts = "sent", action.attempts + 1


def _may_be_arranged(number: str, payload: Mapping[str, Any], cancellation_requested: bool) -> None:
    status = str(payload.get("status") or "")
    if status not in shipping.SHIPPABLE:
        raise DomainError("label.status", f"Order {number} is {status} on TikTok; there is no label to print.", "Labels are made while it awaits shipment.")
    if cancellation_requested or payload.get("is_buyer_request_cancel"):
        raise DomainError("ship.no_open_cancellation", f"The buyer of order {number} has asked to cancel it.", "Accept or reject the request first.")


def _arrange(client: TikTokClient, number: str, market: str, payload: Mapping[str, Any]) -> list[str]:
    """US, UK, JP: buy the default label; elsewhere hand over the packages that TikTok has made (TTS §5.5.1)."""
    if market in shipping.BUYS_LABELS:
        return [str(client.create_package(number)["package_id"])]
    units = shipping.units_of(payload)
    packages = shipping.packages_of(units, [unit.line_id for unit in units])
    if not packages:
        raise DomainError("label.no_package", f"TikTok has not made a package for order {number} yet.", "Try again in a minute.")
    for package_id in packages:
        client.ship_package(package_id, handover_method="DROP_OFF")
    return packages


def _stored_facts(order: Order, account: Account) -> ShipFacts:
    lines = db.session.scalars(select(OrderLine).where(OrderLine.order_id == order.id).order_by(OrderLine.id))
    return ShipFacts(
        number=order.number,
        market=market_of(account),
        status=order.remote_status,
        fulfillment_type=order.fulfillment_type,
        shipping_type=order.shipping_type,
        cancel_requested=order.cancel_requested or cancellation_open(order.id),
        units=tuple(
            Unit(line.line_id, line.magento_sku or line.seller_sku, line.remote_status or order.remote_status, line.package_id, line.tracking_number)
            for line in lines
        ),
    )

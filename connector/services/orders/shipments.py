"""Collecting the shipments that the merchant makes in Magento (MAG §4.6.2): new ones by entity id, and tracking numbers that come later.

The cursor is the account's, although the shipments are the store's: each account walks the store's shipments by itself and takes those of its own
orders, so accounts that share a store never wait for each other and one that is added later starts where its own orders start.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from connector.clients.magento import MagentoClient
from connector.clients.magento.search import SearchCriteria
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.domain.shipping import clean_tracking, same_tracking
from connector.models.account import Account, StoreReference
from connector.models.order import Order, Shipment, TracklessShipment
from connector.services import connections, storefronts
from connector.services.orders import flags, parcels, state

#: Entity ids are given before the transaction that holds them is committed: the last ones are read again.
OVERLAP = 50
BATCH = 100
#: A store's clock may be behind ours when we look for the first shipment of an account.
CLOCK_SLACK = timedelta(days=1)
#: Late tracking numbers: looked for every few minutes at first, then hourly, for two weeks.
EARLY, EARLY_EVERY, LATE_EVERY, GIVE_UP = timedelta(hours=2), timedelta(minutes=2), timedelta(hours=1), timedelta(days=14)

Row = dict[str, Any]
Guard = Callable[[Session], None]


@dataclass(slots=True)
class Collected:
    """Shipments looked at, parcels stored or changed, shipments without a tracking number."""

    seen: int = 0
    parcels: int = 0
    trackless: int = 0


def collect(account_id: int, *, guard: Guard | None = None) -> Collected:
    """Read the store's new shipments and the trackless ones that are due. ``guard`` runs inside every transaction (fencing).

    Raises ``ApiError`` when the store cannot be read; what was stored before stays, and the next call goes on from there.
    """
    if external := storefronts.external_of(account_id):
        return external.collect(account_id, guard=guard)
    account = db.session.get(Account, account_id, populate_existing=True)
    assert account is not None
    found = Collected()
    since = db.session.scalar(select(func.min(Order.magento_created_at)).where(Order.account_id == account_id, Order.magento_id.is_not(None)))
    if account.magento_id is None or since is None:
        return found
    after, magento_id = max(0, account.shipments_cursor - OVERLAP), account.magento_id
    end_reading()
    client = connections.magento_for(account_id)
    criteria = SearchCriteria().where("created_at", "gteq", _magento_time(since - CLOCK_SLACK))
    for batch in _batches(client.iter_shipments(str(after), criteria=criteria)):
        _store(client, account_id, magento_id, batch, found, guard)
        with unit_of_work() as session:
            if guard:
                guard(session)
            row = session.get(Account, account_id, populate_existing=True)
            assert row is not None
            row.shipments_cursor = max(row.shipments_cursor, max(int(one["entity_id"]) for one in batch))
    _reread_trackless(client, account_id, magento_id, found, guard)
    return found


def collect_order(order_id: int) -> Collected:
    """Read the Magento shipments of one order now (the Ship action does not wait for the next collection)."""
    order = db.session.get(Order, order_id)
    found = Collected()
    if order is None or not order.magento_id:
        return found
    if external := storefronts.external_of(order.account_id):
        return external.collect_order(order_id)
    account = db.session.get(Account, order.account_id)
    assert account is not None
    assert account.magento_id is not None
    end_reading()
    client = connections.magento_for(account.id)
    _store(client, account.id, account.magento_id, client.shipments_of(order.magento_id), found, None)
    return found


def _store(client: MagentoClient, account_id: int, magento_id: int, rows: list[Row], found: Collected, guard: Guard | None) -> None:
    """Turn Magento shipments of this account's orders into parcels; those of other orders of the store are none of ours."""
    ids = {str(row["order_id"]) for row in rows}
    query = select(Order.magento_id, Order.id).where(Order.account_id == account_id, Order.magento_id.in_(ids))
    known: dict[str, int] = {str(magento_order): order_id for magento_order, order_id in db.session.execute(query)}
    end_reading()
    rows = [row for row in rows if str(row["order_id"]) in known]
    found.seen += len(rows)
    if not rows:
        return
    shared = _same_number_twice(client, rows, known)
    statuses = _order_statuses(client, sorted(known))
    with unit_of_work() as session:
        if guard:
            guard(session)
        for row in rows:
            order = session.get(Order, known[str(row["order_id"])])
            assert order is not None
            _take(session, order, magento_id, row, shared, found)
        for magento_order, facts in statuses.items():
            order = session.get(Order, known[magento_order])
            assert order is not None
            order.magento_state, order.magento_status = facts
            flags.judge(order)


def _take(session: Session, order: Order, magento_id: int, row: Row, shared: dict[tuple[int, str], dict[str, int]], found: Collected) -> None:
    """One Magento shipment: a parcel for its tracking number, or a place on the re-read list when it has none."""
    shipment_id = str(row["entity_id"])
    tracks = [(clean_tracking(str(track.get("track_number") or "")), track) for track in row.get("tracks") or ()]
    tracks = [(number, track) for number, track in tracks if number]
    present = session.scalar(select(TracklessShipment).where(TracklessShipment.magento_id == magento_id, TracklessShipment.magento_shipment_id == shipment_id))
    if not tracks:
        found.trackless += 1
        if present is None:
            session.add(TracklessShipment(magento_id=magento_id, magento_shipment_id=shipment_id, order_id=order.id, read_again_at=utcnow() + EARLY_EVERY))
        return
    if present is not None:
        session.delete(present)
    number, track = tracks[0]
    title = str(track.get("title") or track.get("carrier_code") or "").strip()
    _remember_carrier(session, magento_id, title, str(track.get("carrier_code") or ""))
    _, changed = parcels.keep(
        order, number, origin="magento", carrier=title, quantities=shared.get((order.id, number.casefold())) or quantities_of(row),
        magento_shipment_id=shipment_id, shipped_at=read_time(row.get("created_at")),
    )  # fmt: skip
    found.parcels += changed
    if len(tracks) > 1:
        others = ", ".join(number for number, _ in tracks[1:])
        state.warn(
            order,
            f"Magento shipment {row.get('increment_id') or shipment_id} has several tracking numbers. TikTok takes one per parcel: "
            f"{number} is sent, {others} is not. Make one Magento shipment per parcel to send each.",
        )


def _same_number_twice(client: MagentoClient, rows: list[Row], known: dict[str, int]) -> dict[tuple[int, str], dict[str, int]]:
    """Units per (order, tracking number) where several Magento shipments of an order carry the same number: together they are one parcel."""
    seen: dict[tuple[int, str], set[str]] = defaultdict(set)
    orders: dict[int, str] = {}
    for row in rows:
        order_id = known[str(row["order_id"])]
        orders[order_id] = str(row["order_id"])
        for track in row.get("tracks") or ():
            seen[order_id, clean_tracking(str(track.get("track_number") or "")).casefold()].add(str(row["entity_id"]))
    query = select(Shipment.order_id, Shipment.tracking_number, Shipment.magento_shipment_id).where(
        Shipment.order_id.in_(orders), Shipment.magento_shipment_id.is_not(None)
    )
    for order_id, number, shipment_id in db.session.execute(query):
        if (order_id, number.casefold()) in seen and shipment_id:
            seen[order_id, number.casefold()].add(shipment_id)
    end_reading()
    shared: dict[tuple[int, str], dict[str, int]] = {}
    for (order_id, number), shipments in seen.items():
        if number and len(shipments) > 1:
            units: dict[str, int] = defaultdict(int)
            for row in client.shipments_of(orders[order_id]):
                first = next((str(track.get("track_number") or "") for track in row.get("tracks") or () if track.get("track_number")), "")
                if same_tracking(first, number):
                    for sku, quantity in quantities_of(row).items():
                        units[sku] += quantity
            shared[order_id, number] = dict(units)
    return shared


def _order_statuses(client: MagentoClient, ids: list[str]) -> dict[str, tuple[str | None, str | None]]:
    """State and status of these Magento orders, verbatim: a shipment moves them without changing anything that can be polled (MAG §4.6.2)."""
    found: dict[str, tuple[str | None, str | None]] = {}
    for chunk in _batches(iter(ids)):
        criteria = SearchCriteria().where("entity_id", "in", chunk).page(1, BATCH).only("items[entity_id,state,status],total_count")
        for row in client.orders(criteria).items:
            found[str(row["entity_id"])] = (row.get("state"), row.get("status"))
    return found


def _reread_trackless(client: MagentoClient, account_id: int, magento_id: int, found: Collected, guard: Guard | None) -> None:
    now = utcnow()
    query = (
        select(TracklessShipment.magento_shipment_id)
        .join(Order, Order.id == TracklessShipment.order_id)
        .where(Order.account_id == account_id, TracklessShipment.magento_id == magento_id, TracklessShipment.read_again_at <= now)
        .order_by(TracklessShipment.read_again_at)
        .limit(1000)
    )
    due = list(db.session.scalars(query))
    end_reading()
    for chunk in _batches(iter(due)):
        rows = list(client.iter_shipments(criteria=SearchCriteria().where("entity_id", "in", chunk)))
        _store(client, account_id, magento_id, rows, found, guard)
        with unit_of_work() as session:
            if guard:
                guard(session)
            still = session.scalars(
                select(TracklessShipment).where(TracklessShipment.magento_id == magento_id, TracklessShipment.magento_shipment_id.in_(chunk))
            )
            for one in still:
                age = now - one.seen_at
                one.read_again_at = now + (EARLY_EVERY if age < EARLY else LATE_EVERY)
            session.execute(delete(TracklessShipment).where(TracklessShipment.magento_id == magento_id, TracklessShipment.seen_at < now - GIVE_UP))


def quantities_of(row: Row) -> dict[str, int]:
    """Units per SKU of a Magento shipment; fractions do not occur on TikTok and are cut off."""
    units: dict[str, int] = defaultdict(int)
    for item in row.get("items") or ():
        units[str(item.get("sku") or "")] += int(Decimal(str(item.get("qty") or 0)))
    return {sku: quantity for sku, quantity in units.items() if sku and quantity > 0}


def _remember_carrier(session: Session, magento_id: int, title: str, code: str) -> None:
    """Carriers cannot be listed over REST: the policy's suggestions come from the shipments seen (product.md 4)."""
    if not title:
        return
    query = select(StoreReference).where(StoreReference.magento_id == magento_id, StoreReference.kind == "carrier", StoreReference.code == title[:120])
    known = session.scalar(query)
    if known is None:
        known = StoreReference(magento_id=magento_id, kind="carrier", code=title[:120], label=title, data={"carrier_code": code})
        session.add(known)
        session.flush()
    known.seen_at = utcnow()


def _batches(rows: Iterator[Any]) -> Iterable[list[Any]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _magento_time(moment: datetime) -> str:
    """Magento stores and filters UTC in this form."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def read_time(text: Any) -> datetime | None:
    """Magento's ``YYYY-MM-DD HH:MM:SS``, which is UTC (MAG §0.2); None for anything else."""
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None

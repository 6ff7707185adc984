"""Order feeds (A251, A252): files with every order that is new or has changed since the feed before.

What is in a feed is decided by the instant of an order's last change (``Order.updated_at``). A window ends where everything before it is settled: no
transaction is open any more that could still bring a change with an earlier instant (``_settled_until``), so nothing falls between two feeds. An order
that changes while its feed is being built is in the next feed as well; none is in no feed. Orders that nobody has paid, or that are in their hold hour,
are left out until that ends (A243, A245), which is a change.

A file is built in chunks of 500 orders, each compressed, encrypted and stored with its position in one transaction: a build that was killed is
continued where it stopped, and what is downloaded is what was stored, byte for byte, however often it is asked for.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, select, text, tuple_, update
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.crypto import vault
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import NotFoundError
from connector.domain import tiktok_order as tiktok
from connector.models.account import Account
from connector.models.oms import FEED_BUILDING, FEED_READY, OmsConnection, OrderFeed, OrderFeedChunk
from connector.models.order import HELD, Order, OrderLine, OrderPayload
from connector.services import events
from connector.services.oms import records
from connector.services.oms.connection import CSV, JSONL

CHUNK = 500
#: For clocks of several machines that are not quite the same, and for one that is set back a little.
MARGIN = timedelta(seconds=5)
MEDIA_TYPES = {JSONL: "application/x-ndjson", CSV: "text/csv; charset=utf-8"}
WAITING, ANNOUNCED, FAILED = "waiting", "announced", "failed"

Guard = Callable[[Session], None]
_ORDER = (
    Order.id, Order.number, Order.updated_at, Order.remote_status, Order.state, Order.tag, Order.magento_number, Order.magento_state, Order.magento_status,
    Order.placed_at, Order.paid_at, Order.hold_until, Order.ship_by_at, Order.cancel_by_at, Order.cancelled_at, Order.remote_updated_at, Order.currency,
    Order.total, Order.fulfillment_type, Order.shipping_type, Order.delivery_option_name, Order.warehouse_id, Order.buyer_id, Order.address_masked,
    Order.carrier_name, Order.cancel_requested, Order.cancelled_by, Order.cancel_reason,
)  # fmt: skip
_LINE = (
    OrderLine.order_id, OrderLine.line_id, OrderLine.seller_sku, OrderLine.sku_id, OrderLine.product_id, OrderLine.name, OrderLine.variant,
    OrderLine.is_gift, OrderLine.remote_status, OrderLine.package_id, OrderLine.tracking_number, OrderLine.shipping_provider_id,
    OrderLine.cancel_reason, OrderLine.cancelled_by, OrderLine.sale_price, OrderLine.original_price, OrderLine.seller_discount,
    OrderLine.platform_discount, OrderLine.tax,
)  # fmt: skip


def _anybody(session: Session) -> None:
    """The guard of a build that no run owns."""


def get(feed_id: int) -> OrderFeed:
    """The feed as it is now, or ``NotFoundError``."""
    found = db.session.get(OrderFeed, feed_id, populate_existing=True)
    if found is None:
        raise NotFoundError("oms.feed_unknown", f"There is no feed {feed_id}.", "Feeds are removed after the log retention; ask for a newer one.")
    return found


def file_name(feed: OrderFeed) -> str:
    return f"orders-{feed.account_id}-{feed.number:06d}.{feed.format}"


# --- making


def make(account_id: int, *, guard: Guard = _anybody, progress: Callable[[int], None] = lambda orders: None) -> list[int]:
    """Finish what was begun, then write what has changed since: ids of the feeds that are ready now. Safe to call again at any point."""
    ready = []
    for feed_id in [*_unfinished(account_id), *_begin(account_id, guard)]:
        if build(feed_id, guard=guard, progress=progress):
            ready.append(feed_id)
    return ready


def _unfinished(account_id: int) -> list[int]:
    query = select(OrderFeed.id).where(OrderFeed.account_id == account_id, OrderFeed.state == FEED_BUILDING).order_by(OrderFeed.id)
    found = list(db.session.scalars(query))
    end_reading()
    return found


def _begin(account_id: int, guard: Guard) -> list[int]:
    """Open the next window: one feed for each format, none if nothing has changed. The connection's watermark moves in the same transaction."""
    with unit_of_work() as session:
        guard(session)
        mine = select(OmsConnection).where(OmsConnection.account_id == account_id).with_for_update()
        row = session.scalar(mine.execution_options(populate_existing=True))
        if row is None or not row.active or not row.feed_formats:
            return []
        until = _settled_until(session)
        if row.feed_from_at is not None and until <= row.feed_from_at:
            return []
        if not session.scalar(select(exists().where(*_window(account_id, row.feed_from_at, until)))):
            row.feed_from_at = until
            return []
        last = session.scalar(select(func.max(OrderFeed.number)).where(OrderFeed.account_id == account_id)) or 0
        feeds = [
            OrderFeed(account_id=account_id, number=last + 1, format=each, state=FEED_BUILDING, from_at=row.feed_from_at, until_at=until, position={})
            for each in row.feed_formats
        ]
        session.add_all(feeds)
        row.feed_from_at = until
        session.flush()
        return [feed.id for feed in feeds]


def _settled_until(session: Session) -> datetime:
    """Every change with an earlier ``updated_at`` is committed and visible.

    An order's ``updated_at`` is set inside the transaction that writes it. On SQLite this transaction holds the only write lock, so no other is open.
    PostgreSQL says how long its oldest writing transaction has been open; asked in its own clock, so that only durations are compared, and after ours was
    read, so that a slow answer moves the end back and not forward. It shows the transactions of its own role alone: all processes use one.
    """
    now = utcnow()
    if session.get_bind().dialect.name == "sqlite":
        return now - MARGIN
    oldest = session.scalar(
        text(
            "SELECT extract(epoch FROM max(clock_timestamp() - xact_start)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
        )
    )
    return now - timedelta(seconds=float(oldest or 0)) - MARGIN


def _window(account_id: int, from_at: datetime | None, until: datetime) -> list[ColumnElement[bool]]:
    clauses = [
        Order.account_id == account_id,
        Order.updated_at < until,
        Order.state != HELD,
        Order.remote_status.not_in((tiktok.UNPAID, tiktok.ON_HOLD)),
    ]
    return clauses if from_at is None else [*clauses, Order.updated_at >= from_at]


def build(feed_id: int, *, guard: Guard = _anybody, progress: Callable[[int], None] = lambda orders: None) -> bool:
    """Build what is not built yet of one feed; whether it is ready now (False: nothing was left to put into it, and it is gone).

    ``guard`` is called inside each chunk's transaction and raises for a worker that was replaced; ``progress`` gets the number of orders so far.
    """
    account = select(Account.title).join(OrderFeed, OrderFeed.account_id == Account.id).where(OrderFeed.id == feed_id)
    title = db.session.scalar(account) or ""
    while True:
        feed = get(feed_id)
        if feed.state != FEED_BUILDING:
            end_reading()
            return feed.state == FEED_READY
        position: dict[str, Any] = dict(feed.position)
        found, last = _read(feed, position, title)
        chunks = int(position.get("chunks", 0))
        data, rows = records.jsonl(found) if feed.format == JSONL else records.as_csv(found, heading=chunks == 0)
        end_reading()
        if last is None:
            return _finish(feed_id, guard)
        body = vault().seal(zlib.compress(data, 6))
        after = {"at": last[0].isoformat(), "id": last[1], "orders": int(position.get("orders", 0)) + len(found), "chunks": chunks + 1}
        with unit_of_work() as session:
            guard(session)
            feed = session.get_one(OrderFeed, feed_id, with_for_update=True, populate_existing=True)
            if feed.state != FEED_BUILDING or dict(feed.position) != position:
                raise RuntimeError(f"feed {feed_id} is being built by somebody else")
            chunk = OrderFeedChunk(feed_id=feed_id, position=chunks, start=feed.size, length=len(data), body=body)
            session.add(chunk)
            feed.position, feed.rows, feed.size = after, feed.rows + rows, feed.size + len(data)
            session.flush()
            session.expunge(chunk)
        progress(after["orders"])


def _read(feed: OrderFeed, position: dict[str, Any], title: str) -> tuple[list[dict[str, Any]], tuple[datetime, int] | None]:
    """The records of the next chunk, and where it ends; None when nothing is left."""
    query = select(*_ORDER).where(*_window(feed.account_id, feed.from_at, feed.until_at)).order_by(Order.updated_at, Order.id).limit(CHUNK)
    if position:
        at = datetime.fromisoformat(position["at"]).astimezone(UTC)
        query = query.where(Order.updated_at >= at, tuple_(Order.updated_at, Order.id) > tuple_(at, int(position["id"])))
    orders = db.session.execute(query).mappings().all()
    if not orders:
        return [], None
    ids = [order["id"] for order in orders]
    lines: dict[int, list[Any]] = {}
    for line in db.session.execute(select(*_LINE).where(OrderLine.order_id.in_(ids)).order_by(OrderLine.order_id, OrderLine.id)).mappings():
        lines.setdefault(line["order_id"], []).append(line)
    payloads = _payloads(ids)
    found = []
    for order in orders:
        body, address = payloads.get(order["id"], (None, None))
        found.append(records.record({**order, "account": title}, lines.get(order["id"], []), body or {}, address))
    return found, (orders[-1]["updated_at"], ids[-1])


def _payloads(ids: list[int]) -> dict[int, tuple[Any, Any]]:
    """What TikTok sent of these orders. One that cannot be decrypted is left out, and its order says so; the feed goes on without its buyer's data."""
    query = select(OrderPayload.order_id, OrderPayload.body, OrderPayload.address).where(OrderPayload.order_id.in_(ids))
    try:
        return {order_id: (body, address) for order_id, body, address in db.session.execute(query)}
    except ValueError as error:
        db.session.rollback()
        if len(ids) > 1:
            return _payloads(ids[: len(ids) // 2]) | _payloads(ids[len(ids) // 2 :])
        with unit_of_work() as session:
            order = session.get_one(Order, ids[0])
            text = f"The buyer's data of order {order.number} cannot be read, so the order feed holds it without address: {error}"
            events.record("oms.feed_unreadable", "order", order.id, text, account_id=order.account_id)
        return {}


def _finish(feed_id: int, guard: Guard) -> bool:
    """Name the digest of what will be downloaded, read back as it will be; remove a feed that holds nothing."""
    digest = hashlib.sha256()
    for part in _parts(feed_id, 0, None):
        digest.update(part)
    with unit_of_work() as session:
        guard(session)
        feed = session.get_one(OrderFeed, feed_id, with_for_update=True, populate_existing=True)
        if not feed.position:  # everything in it changed meanwhile, and is in the next one
            session.delete(feed)
            return False
        notify = session.scalar(select(OmsConnection.notify_url).where(OmsConnection.account_id == feed.account_id))
        feed.state, feed.sha256, feed.notify_state = FEED_READY, digest.hexdigest(), WAITING if notify else ""
        orders = int(feed.position["orders"])
        message = f"Order feed {feed.number} ({feed.format}) holds {orders:,} order{'' if orders == 1 else 's'}."
        events.record("oms.feed_ready", "order_feed", feed.id, message, account_id=feed.account_id)
        return True


# --- giving out


def stream(feed_id: int, start: int = 0, end: int | None = None, *, by: str = "") -> Iterator[bytes]:
    """The bytes from ``start`` to before ``end`` of a feed that is ready, chunk by chunk; no transaction is open between two chunks.

    ``by``: who collects it; noted when the last byte has been taken.
    """
    yield from _parts(feed_id, start, end)
    if by and (end is None or end >= get(feed_id).size):
        note_collected(feed_id, by=by)


def _parts(feed_id: int, start: int, end: int | None) -> Iterator[bytes]:
    here = and_(OrderFeedChunk.feed_id == feed_id, OrderFeedChunk.start + OrderFeedChunk.length > start)
    if end is not None:
        here = and_(here, OrderFeedChunk.start < end)
    chunks = db.session.execute(select(OrderFeedChunk.id, OrderFeedChunk.start).where(here).order_by(OrderFeedChunk.position)).all()
    end_reading()
    for chunk_id, first in chunks:
        body = db.session.scalar(select(OrderFeedChunk.body).where(OrderFeedChunk.id == chunk_id))
        end_reading()
        if body is None:
            raise NotFoundError("oms.feed_unknown", f"Feed {feed_id} was removed while it was read.", "Ask for a newer one.")
        data = zlib.decompress(vault().unseal(body))
        yield data[max(0, start - first) : None if end is None else max(0, end - first)]


def note_collected(feed_id: int, *, by: str) -> None:
    """Somebody has the whole file. Only the first time is an event."""
    with unit_of_work() as session:
        now = utcnow()
        first = session.execute(update(OrderFeed).where(OrderFeed.id == feed_id, OrderFeed.collected_at.is_(None)).values(collected_at=now)).rowcount
        session.execute(update(OrderFeed).where(OrderFeed.id == feed_id).values(collected_count=OrderFeed.collected_count + 1))
        if first:
            feed = get(feed_id)
            message = f"Order feed {feed.number} ({feed.format}) was collected by {by}."
            events.record("oms.feed_collected", "order_feed", feed_id, message, account_id=feed.account_id, actor=by)


def removable(before: datetime) -> ColumnElement[bool]:
    """Feeds that housekeeping may remove. The newest of an account stays: its number is the last that was used."""
    newest = select(func.max(OrderFeed.id)).group_by(OrderFeed.account_id)
    return and_(OrderFeed.created_at < before, OrderFeed.state != FEED_BUILDING, OrderFeed.id.not_in(newest))

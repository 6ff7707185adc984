"""Cancellation requests as TikTok lists them (TTS §5.6.3): who asks, why, and until when an answer is due."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from connector.clients.tiktok import TikTokClient
from connector.core import logs
from connector.core.clock import from_epoch, to_epoch, utcnow
from connector.core.db import db, dialect_of, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import cancellations as requests
from connector.domain import tiktok_order as tiktok
from connector.domain.cancellations import BUYER_CANCEL, PENDING
from connector.models.order import READY, Cancellation, Order, Shipment
from connector.services import connections, events
from connector.services.orders import polling
from connector.services.orders.received import BadRecord

log = logs.get(__name__)

#: Overlap with what is stored already, and the reach of the first import.
OVERLAP, FIRST_REACH = timedelta(minutes=10), timedelta(days=7)
Park = Callable[[str, str, DomainError, dict[str, Any]], None]
_COLUMNS = ("cancel_type", "remote_status", "role", "reason", "reason_text", "respond_by_at", "remote_created_at", "remote_updated_at", "data", "updated_at")


def import_account(account_id: int, *, park: Park | None = None) -> dict[str, int]:
    """Store the cancellations that TikTok updated since the last known one; ``{read, changed, pending, bad}``.

    They are read oldest first and stored page by page, so the greatest update time stored is a safe place to go on from. Orders that are not known
    yet are imported on the way. ``park(ref, label, error, data)`` gets every payload that cannot be stored; its neighbours go on.
    """
    client = connections.tiktok(account_id)
    since = db.session.scalar(select(func.max(Cancellation.remote_updated_at)).where(Cancellation.account_id == account_id))
    end_reading()
    since = (since or client.now() - FIRST_REACH) - OVERLAP
    filters = {"update_time_ge": to_epoch(since)}
    counts = {"read": 0, "changed": 0, "bad": 0}
    token: str | None = None
    while True:
        page = client.search_cancellations(filters, page_token=token)
        _store(account_id, client, page.items, counts, park)
        token = page.next_page_token
        if token is None:
            break
    counts["pending"] = (
        db.session.scalar(select(func.count()).select_from(Cancellation).where(Cancellation.account_id == account_id, Cancellation.remote_status == PENDING))
        or 0
    )
    end_reading()
    return counts


def read_again(client: TikTokClient, account_id: int, cancel_id: str) -> dict[str, Any] | None:
    """One cancellation as TikTok has it now, stored; None when TikTok does not give it."""
    page = client.search_cancellations({"cancel_ids": [cancel_id]})
    found = [item for item in page.items if str(item.get("cancel_id")) == cancel_id]
    _store(account_id, client, found, {"read": 0, "changed": 0, "bad": 0}, None)
    return found[0] if found else None


def respond_by(cancellation: dict[str, Any]) -> datetime | None:
    """Until when the seller has to answer: TikTok's own deadline, never a constant (TTS §6.2)."""
    answers = cancellation.get("seller_next_action_response") or []
    deadlines = [int(answer["deadline"]) for answer in answers if answer.get("action") == "SELLER_RESPOND_CANCEL" and answer.get("deadline")]
    return from_epoch(min(deadlines)) if deadlines else None


def _store(account_id: int, client: TikTokClient, items: Iterable[Any], counts: dict[str, int], park: Park | None) -> None:
    """One page: read, import what is unknown of its orders, write in one transaction."""

    def set_aside(payload: Any, error: DomainError) -> None:
        counts["bad"] += 1
        named = payload.get("cancel_id") if isinstance(payload, Mapping) else None
        log.warning("cancellation_unreadable", account_id=account_id, cancel_id=str(named or "")[:40], fault=str(error)[:200])
        if park is not None:
            record = BadRecord(f"cancellation-{str(named or 'unreadable')[:40]}", payload, error)
            park(record.ref, f"Cancellation {named or 'without an id'}", error, record.parked_data())

    read: dict[str, tuple[str, dict[str, Any]]] = {}
    for item in items:
        counts["read"] += 1
        try:
            number, row = _row(account_id, item)
        except Exception as fault:  # whatever is wrong with one cancellation, its neighbours are taken in
            set_aside(item, _unreadable(f"{type(fault).__name__}: {fault}"))
            continue
        if row["cancel_id"] not in read or read[row["cancel_id"]][1]["remote_updated_at"] <= row["remote_updated_at"]:
            read[row["cancel_id"]] = number, row
    numbers = {number for number, _ in read.values()}
    polling.import_unknown(account_id, client, numbers, park=lambda record: set_aside(record.payload, record.error))
    strangers = []
    with unit_of_work() as session:
        orders = {order.number: order for order in session.scalars(select(Order).where(Order.account_id == account_id, Order.number.in_(numbers)))}
        columns = (Cancellation.cancel_id, Cancellation.remote_updated_at, Cancellation.remote_status, Cancellation.respond_by_at)
        query = select(*columns).where(Cancellation.account_id == account_id, Cancellation.cancel_id.in_(read))
        known = {row.cancel_id: row for row in session.execute(query)}
        rows: dict[str, dict[str, Any]] = {}
        for cancel_id, (number, row) in read.items():
            order, before = orders.get(number), known.get(cancel_id)
            if order is None:
                strangers.append(row["data"])
            elif before is None or not _old(before, row):
                respond = row["respond_by_at"] or (before.respond_by_at if before else None)  # TikTok drops it with the answer; it tells an automatic one
                rows[cancel_id] = row | {"order_id": order.id, "respond_by_at": respond}
        if rows:
            counts["changed"] += len(rows)
            dialect = dialect_of(session)
            statement = dialect.insert(Cancellation.__table__)
            session.execute(
                statement.on_conflict_do_update(index_elements=["account_id", "cancel_id"], set_={name: statement.excluded[name] for name in _COLUMNS}),
                list(rows.values()),
            )
            _note_endings(session, {row.cancel_id: row.remote_status for row in known.values()}, list(rows))
            _flag_orders(session, orders, list(rows.values()))
    for payload in strangers:
        set_aside(payload, _unreadable(f"it names the order {payload.get('order_id')}, which TikTok does not give to this shop"))


def _old(before: Any, row: dict[str, Any]) -> bool:
    """Whether what is stored is the same, or newer."""
    same = (before.remote_updated_at, before.remote_status) == (row["remote_updated_at"], row["remote_status"])
    return same or bool(before.remote_updated_at and before.remote_updated_at > row["remote_updated_at"])


def _unreadable(why: str) -> DomainError:
    return DomainError("cancellation.unreadable", f"TikTok sent a cancellation that cannot be read: {why}", "Look at the order in Seller Center.")


def _note_endings(session: Session, were: dict[str, str], changed: list[str]) -> None:
    """A request that ended without an answer of ours: granted at its deadline, answered elsewhere, withdrawn. Its order is read again."""
    waited = [cancel_id for cancel_id in changed if were.get(cancel_id) == PENDING]
    query = select(Cancellation).where(Cancellation.cancel_id.in_(waited)).execution_options(populate_existing=True)
    for one in session.scalars(query) if waited else ():
        ours = one.answer_state in (requests.SENDING, requests.ACCEPTED)
        order = session.get(Order, one.order_id)
        assert order is not None
        moved_at = (order.cancelled_at if one.remote_status in requests.GRANTED else None) or one.remote_updated_at
        assert moved_at is not None
        how = requests.ending(PENDING, one.remote_status, ours=ours, deadline=one.respond_by_at, moved_at=moved_at)
        order.dirty_at = order.dirty_at or utcnow()
        if how:
            one.answer_state = how
            events.record(
                f"cancellation.{how}", "order", order.id, f"Cancellation request {one.cancel_id}: {requests.ENDINGS[how]} ({one.remote_status}).",
                account_id=one.account_id,
            )  # fmt: skip


def _row(account_id: int, item: Any) -> tuple[str, dict[str, Any]]:
    """(TikTok's order id, the row without our order). Raises for another shape, also of what only the pages show."""
    row = {
        "account_id": account_id,
        "cancel_id": str(item["cancel_id"] or ""),
        "cancel_type": str(item.get("cancel_type") or "")[:40],
        "remote_status": str(item.get("cancel_status") or "")[:60],
        "role": str(item.get("role") or "")[:20],
        "reason": str(item.get("cancel_reason") or "")[:200],
        "reason_text": str(item.get("cancel_reason_text") or "")[:500],
        "respond_by_at": respond_by(item),
        "remote_created_at": from_epoch(item.get("create_time")),
        "remote_updated_at": from_epoch(item.get("update_time") or item["create_time"]),
        "data": item,
        "updated_at": utcnow(),
    }
    if not 0 < len(row["cancel_id"]) <= 40 or row["remote_updated_at"] is None:
        raise ValueError("its id or update time is missing")
    requests.line_ids(item)
    dict(item.get("refund_amount") or {})
    return str(item["order_id"]), row


def _flag_orders(session: Session, orders: dict[str, Order], rows: list[dict[str, Any]]) -> None:
    """Whether the buyer's request still waits decides the order's flag (the gate "no open cancellation request" reads it). Where a type or status is
    unknown nothing is guessed: the flag stays as TikTok's order has it."""
    by_id = {order.id: order for order in orders.values()}
    touched = {row["order_id"] for row in rows}
    query = select(Cancellation.order_id, Cancellation.cancel_type, Cancellation.remote_status).where(Cancellation.order_id.in_(touched))
    requested = [tuple(row) for row in session.execute(query)]
    waiting = {order_id for order_id, *words in requested if words == [BUYER_CANCEL, PENDING]}
    unclear = {order_id for order_id, kind, status in requested if not requests.known(kind, status)}
    for order_id in touched - (unclear - waiting):
        order, asked = by_id[order_id], order_id in waiting
        if order.cancel_requested != asked and order.remote_status != tiktok.CANCELLED:
            order.cancel_requested = asked
            text = "The buyer asks to cancel this order." if asked else "The buyer's request to cancel is answered or withdrawn."
            events.record("order.cancel_requested" if asked else "order.cancel_answered", "order", order_id, text, account_id=order.account_id)
        if not asked and order.remote_status != tiktok.CANCELLED:
            let_go(session, order)


def let_go(session: Session, order: Order) -> None:
    """No request is open any more: what waited for the answer is tried at once, parcels and the order's creation."""
    waiting = (Shipment.order_id == order.id, Shipment.state == "pending", Shipment.error_code == "ship.no_open_cancellation")
    session.execute(update(Shipment).where(*waiting).values(retry_at=None).execution_options(synchronize_session=False))
    if order.state == READY:
        order.retry_at = None


def open_requests(order_id: int) -> list[Cancellation]:
    """The buyer's requests of an order that wait for an answer, most urgent first."""
    query = select(Cancellation).where(Cancellation.order_id == order_id, Cancellation.cancel_type == BUYER_CANCEL, Cancellation.remote_status == PENDING)
    return list(db.session.scalars(query.order_by(Cancellation.respond_by_at)))


def get(cancellation_id: int) -> Cancellation:
    """By our number, not TikTok's. Raises ``DomainError`` cancellation.unknown."""
    found = db.session.get(Cancellation, cancellation_id)
    if found is None:
        raise DomainError("cancellation.unknown", f"There is no cancellation {cancellation_id}.", "It may have been removed.")
    return found

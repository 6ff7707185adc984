"""Returns and refunds as TikTok lists them (TTS §5.6.5; A216-A219): oldest update first, a page a transaction, an older version never over a newer one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from connector.clients.tiktok import TikTokClient
from connector.core.clock import to_epoch, utcnow
from connector.core.db import db, dialect_of, end_reading, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.domain import returns as rules
from connector.domain.returns import BadReturn, ReturnSnapshot
from connector.models.account import Account
from connector.models.aftersales import GOODS_ASK, GOODS_EXPECTED, GOODS_LOST, GOODS_NONE, GOODS_RECEIVED, Return
from connector.models.order import Order
from connector.services import connections, events, runs
from connector.services.orders import intake, polling

#: Overlap with what is stored already, and the reach of the first import (a return may wait for weeks).
OVERLAP, FIRST_REACH = timedelta(minutes=10), timedelta(days=60)
PAGE = 50  # TTS §5.6.5
#: Granted: money goes back, so Magento may have something to do.
GRANTED = ("refunding", "done")
_WAITS_FOR_GOODS = ("AWAITING_BUYER_SHIP", "BUYER_SHIPPED_ITEM")

Park = Callable[[str, str, DomainError, dict[str, Any]], None]


def import_account(account_id: int, *, park: Park | None = None) -> dict[str, int]:
    """Store the returns that TikTok updated since the last known one, and those that a webhook pointed at: ``{read, changed, open, bad}``.

    They are read oldest first and stored page by page, so the greatest update time stored is a safe place to go on from. Orders that are not known yet
    are imported on the way. ``park(ref, label, error, data)`` gets every payload that cannot be stored; its neighbours go on.
    """
    client = connections.tiktok(account_id)
    since = db.session.scalar(select(func.max(Return.remote_updated_at)).where(Return.account_id == account_id))
    marked = list(db.session.scalars(select(Return.return_id).where(Return.account_id == account_id, Return.dirty_at.is_not(None)).order_by(Return.id)))
    end_reading()
    counts = {"read": 0, "changed": 0, "bad": 0}
    for first in range(0, len(marked), PAGE):
        begun = utcnow()
        ids = marked[first : first + PAGE]
        store(account_id, client, client.search_returns({"return_ids": ids}, page_size=PAGE).items, counts, park)
        _looked_at(account_id, ids, begun)
    filters = {"update_time_ge": to_epoch((since or client.now() - FIRST_REACH) - OVERLAP)}
    token: str | None = None
    while True:
        page = client.search_returns(filters, page_size=PAGE, page_token=token)
        store(account_id, client, page.items, counts, park)
        token = page.next_page_token
        if token is None:
            break
    still_open = Return.phase.not_in(("done", "closed"))
    counts["open"] = db.session.scalar(select(func.count()).select_from(Return).where(Return.account_id == account_id, still_open)) or 0
    end_reading()
    return counts


def read_one(return_pk: int) -> Return:
    """Read one return again from TikTok and store it. Raises ``ApiError``; ``DomainError`` when TikTok does not give it any more."""
    row = get(return_pk)
    account_id, return_id = row.account_id, row.return_id
    client = connections.tiktok(account_id)
    end_reading()
    begun = utcnow()
    items = client.search_returns({"return_ids": [return_id]}, page_size=10).items
    if not items:
        raise DomainError("return.gone", f"TikTok does not show return {return_id} any more.", "Look at the order in Seller Center.")

    def refuse(_ref: str, _label: str, error: DomainError, _data: dict[str, Any]) -> None:
        raise error

    store(account_id, client, items, {"read": 0, "changed": 0, "bad": 0}, refuse)
    _looked_at(account_id, [return_id], begun)
    return get(return_pk)


def mark(session: Session, account_id: int, return_ids: Sequence[str]) -> None:
    """A webhook said: look at these returns; in the caller's transaction."""
    session.execute(
        update(Return)
        .where(Return.account_id == account_id, Return.return_id.in_(return_ids))
        .values(dirty_at=utcnow(), updated_at=Return.updated_at)
        .execution_options(synchronize_session=False)
    )


def get(return_pk: int) -> Return:
    """By our number, not TikTok's return id; as the database has it now. Raises ``NotFoundError``."""
    found = db.session.get(Return, return_pk, populate_existing=True)
    if found is None:
        raise NotFoundError("return.unknown", f"There is no return {return_pk}.", "It may have been removed; open Return/Refund for the present ones.")
    return found


def snapshot_of(row: Return, country: str = "") -> ReturnSnapshot:
    """The stored return, read again from what TikTok sent."""
    return rules.read_return(row.body, country=country)


def store(account_id: int, client: TikTokClient, items: Iterable[Any], counts: dict[str, int], park: Park | None) -> None:
    """One page: read, import what is unknown of its orders, write in one transaction."""
    account = db.session.get(Account, account_id)
    country = account.country if account else ""
    end_reading()
    good: dict[str, tuple[ReturnSnapshot, dict[str, Any]]] = {}

    def set_aside(payload: Any, error: DomainError) -> None:
        counts["bad"] += 1
        if park is not None:
            named = payload.get("return_id") if isinstance(payload, Mapping) else None
            record = intake.BadRecord(f"return-{str(named or 'unreadable')[:40]}", payload, error)
            park(record.ref, f"Return {named or 'without an id'}", error, record.parked_data())

    for payload in items:
        counts["read"] += 1
        try:
            snapshot = rules.read_return(payload, country=country)
            if snapshot.updated_at is None:
                raise BadReturn("update_time", "is missing")
            if len(snapshot.return_id) > 40:
                raise BadReturn("return_id", "is longer than 40 characters")
        except BadReturn as error:
            set_aside(payload, error)
            continue
        except Exception as error:  # whatever is wrong with one return, its neighbours are taken in
            set_aside(payload, BadReturn("return", f"has an unknown shape ({type(error).__name__}: {error})"))
            continue
        known = good.get(snapshot.return_id)
        if known is None or known[0].updated_at is None or known[0].updated_at <= snapshot.updated_at:
            good[snapshot.return_id] = (snapshot, payload)
    if not good:
        return
    numbers = {snapshot.order_id for snapshot, _ in good.values()}
    polling.import_unknown(account_id, client, numbers, park=lambda record: set_aside(record.payload, record.error))
    strangers = []
    with unit_of_work() as session:
        query = select(Order).where(Order.account_id == account_id, Order.number.in_({snapshot.order_id for snapshot, _ in good.values()}))
        orders = {order.number: order for order in session.scalars(query)}
        strangers = [payload for snapshot, payload in good.values() if snapshot.order_id not in orders]
        mine = {return_id: pair for return_id, pair in sorted(good.items()) if pair[0].order_id in orders}
        counts["changed"] += _write(session, account_id, mine, orders)
    for payload in strangers:
        set_aside(payload, BadReturn("order_id", f"names the order {payload.get('order_id')}, which TikTok does not give to this shop"))


def _write(session: Session, account_id: int, mine: Mapping[str, tuple[ReturnSnapshot, dict[str, Any]]], orders: Mapping[str, Order]) -> int:
    if not mine:
        return 0
    dialect = dialect_of(session)
    known = set(session.scalars(select(Return.return_id).where(Return.account_id == account_id, Return.return_id.in_(mine))))
    fresh = {return_id for return_id in mine if return_id not in known}
    for return_id in sorted(fresh):
        snapshot, payload = mine[return_id]
        row = {"account_id": account_id, "order_id": orders[snapshot.order_id].id, "return_id": return_id, "remote_updated_at": snapshot.updated_at}
        statement = dialect.insert(Return).values(**row, body=payload, created_at=utcnow(), updated_at=utcnow())
        session.execute(statement.on_conflict_do_nothing(index_elements=["account_id", "return_id"]))
    query = select(Return).where(Return.account_id == account_id, Return.return_id.in_(mine)).order_by(Return.return_id)
    changed, granted = 0, False
    for row in session.scalars(query.with_for_update().execution_options(populate_existing=True)):
        snapshot, payload = mine[row.return_id]
        assert snapshot.updated_at is not None
        new = row.return_id in fresh and not row.remote_status
        if not new and _older(row, snapshot, payload):
            continue
        _apply(row, snapshot, payload, new=new)
        changed += 1
        granted = granted or row.phase in GRANTED
    if granted:
        ring_memos(account_id)
    return changed


def _older(row: Return, snapshot: ReturnSnapshot, payload: dict[str, Any]) -> bool:
    """Whether what came is the same as, or older than, what is stored. TikTok's times are whole seconds: within one, what is final was last."""
    assert snapshot.updated_at is not None
    if row.remote_updated_at != snapshot.updated_at:
        return row.remote_updated_at > snapshot.updated_at
    return row.body == payload or (row.phase in ("done", "closed") and snapshot.open)


def _apply(row: Return, snapshot: ReturnSnapshot, payload: dict[str, Any], *, new: bool) -> None:
    """TikTok's side onto the row, and what follows from it for ours."""
    before = (row.remote_status, row.arbitration_status)
    assert snapshot.updated_at is not None
    row.return_type, row.remote_status = snapshot.return_type[:40], snapshot.status[:60]
    row.arbitration_status = snapshot.arbitration_status[:40]
    row.reason, row.reason_text = snapshot.reason[:200], snapshot.reason_text
    row.currency, row.amount = snapshot.currency[:3], snapshot.amount
    row.item_count, row.line_ids = len(snapshot.items), list(snapshot.order_line_ids)
    row.next_action, row.respond_by_at, row.deadline_estimated = snapshot.next_action[:80], snapshot.deadline, snapshot.deadline_estimated
    row.tracking_number, row.carrier_name = snapshot.tracking_number[:120], snapshot.carrier[:120]
    row.remote_created_at, row.remote_updated_at, row.body = snapshot.created_at, snapshot.updated_at, payload
    decided = snapshot.arbitration_status == "IN_PROGRESS" and snapshot.open
    row.phase = "platform" if decided else snapshot.meaning.phase
    row.needs_answer = snapshot.needs_answer and snapshot.open
    if not row.needs_answer:
        row.respond_by_at, row.deadline_estimated = None, False
    row.seen_on_the_way = row.seen_on_the_way or rules.ALIASES.get(snapshot.status, snapshot.status) == "BUYER_SHIPPED_ITEM"
    row.goods = goods_now(row, snapshot)
    if before != (row.remote_status, row.arbitration_status):
        row.decisions_read_at = None  # what may be answered has changed with it
        kind = "return.imported" if new else "return.status"
        said = rules.arbitration(row.arbitration_status)
        text = f"Return {row.return_id}: {snapshot.meaning.label}{f'; {said.label}' if said else ''}."
        if snapshot.unknown:
            text += f" The connector does not know its {' and '.join(name.replace('_', ' ') for name in snapshot.unknown)}; it is kept as TikTok sent it."
        events.record(
            kind, "return", row.id, text, account_id=row.account_id,
            before={"status": before[0], "arbitration": before[1]}, after={"status": row.remote_status, "arbitration": row.arbitration_status},
        )  # fmt: skip
        events.record(kind, "order", row.order_id, text, account_id=row.account_id, after={"status": row.remote_status, "return": row.return_id})


def goods_now(row: Return, snapshot: ReturnSnapshot) -> str:
    """What is known of the goods; what a person has said stands."""
    if row.goods in (GOODS_RECEIVED, GOODS_LOST):
        return row.goods
    back = rules.goods_back(snapshot, package_accepted=row.package_accepted, seen_on_the_way=row.seen_on_the_way)
    if back == "received":
        return GOODS_RECEIVED
    if back == "ask":
        return GOODS_ASK
    waits = rules.ALIASES.get(snapshot.status, snapshot.status) in _WAITS_FOR_GOODS
    return GOODS_EXPECTED if waits and snapshot.return_type != rules.REFUND and not snapshot.buyer_keeps_item else GOODS_NONE


def ring_memos(account_id: int) -> None:
    """Look for credit memos that are due; in the caller's transaction."""
    runs.submit("returns.memos", account_id=account_id, key=f"returns.memos:{account_id}", quiet=True)


def _looked_at(account_id: int, return_ids: Sequence[str], begun: datetime) -> None:
    """Not marked any more, unless another webhook came meanwhile."""
    with unit_of_work() as session:
        session.execute(
            update(Return)
            .where(Return.account_id == account_id, Return.return_id.in_(return_ids), Return.dirty_at <= begun)
            .values(dirty_at=None, updated_at=Return.updated_at)
            .execution_options(synchronize_session=False)
        )

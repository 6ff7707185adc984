"""Taking TikTok orders in (product.md 6): a page of payloads becomes orders, lines, encrypted payloads, buyer tokens and reservations.

One transaction a page, with one statement a table. An unchanged order is recognised by its digest and costs a look-up; an older version never
overwrites a newer one; a record that cannot be read or stored is parked with its payload and its reason while its neighbours go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert, or_, select
from sqlalchemy.exc import DataError, IntegrityError, StatementError
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import dialect_of, unit_of_work
from connector.core.errors import DomainError
from connector.domain import tiktok_order as tiktok
from connector.domain.tiktok_order import BadOrder
from connector.models.order import CREATED, READY, STORED, Order
from connector.models.run import OPEN_STATES, JobItem, JobRun
from connector.models.trace import Event
from connector.services import connections, events, policies, runs
from connector.services.orders import order_rows, recall, reservations
from connector.services.orders.advance import Rules, addresses_of_created, advance, next_state, unknown_status
from connector.services.orders.received import BadRecord, ReadPage, Received, read_page

#: How many ``ready`` orders one sweep hands to one run.
SWEEP_LIMIT = 1000


@dataclass(slots=True)
class Outcome:
    """What became of a page or of many; ``bad`` were parked."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    stale: int = 0
    bad: int = 0
    ready: list[int] = field(default_factory=list)
    numbers: set[str] = field(default_factory=set)  #: every TikTok order id that was read, stored or not

    def add(self, other: Outcome) -> None:
        self.new += other.new
        self.changed += other.changed
        self.unchanged += other.unchanged
        self.stale += other.stale
        self.bad += other.bad
        self.ready += other.ready
        self.numbers |= other.numbers

    @property
    def read(self) -> int:
        return self.new + self.changed + self.unchanged + self.stale + self.bad

    def facts(self) -> dict[str, int]:
        """For a run's result."""
        return {"read": self.read, "new": self.new, "changed": self.changed, "unchanged": self.unchanged, "bad": self.bad, "ready": len(self.ready)}

    def sentence(self) -> str:
        """For a run's message."""
        parts = [f"{self.read} order{'' if self.read == 1 else 's'} read: {self.new} new, {self.changed} changed, {self.unchanged + self.stale} unchanged"]
        if self.bad:
            parts.append(f"{self.bad} could not be read and are listed here")
        return "; ".join(parts) + "."


Park = Callable[[BadRecord], None]
Also = Callable[[Session], None]


def rules_for(account_id: int, origin: str) -> Rules:
    """The present order policy of the account, for a whole run."""
    account = connections.account_of(account_id)
    try:
        policy, version_id = policies.order_policy(account)
    except DomainError:  # no policy chosen yet: orders are taken in all the same, the gates say what is missing
        policy, version_id = None, None
    return Rules(account_id, origin, policy, version_id)


def store_page(rules: Rules, payloads: Iterable[Any], *, park: Park | None = None, also: Also | None = None) -> Outcome:
    """Read and store one page of payloads; see ``store``."""
    return store(rules, read_page(payloads), park=park, also=also)


def store(rules: Rules, page: ReadPage, *, park: Park | None = None, also: Also | None = None) -> Outcome:
    """Store one page. ``park`` gets every record that could not be read or stored, before the page is committed; ``also`` runs inside the page's
    transaction (check-point, fence). Without ``park`` a bad record raises its ``BadOrder``."""
    received, bad = page
    outcome = Outcome()

    def set_aside(record: BadRecord) -> None:
        if park is None:
            raise record.error
        park(record)
        outcome.bad += 1
        outcome.numbers.add(record.ref)

    for record in bad:
        set_aside(record)
    try:
        with unit_of_work() as session:
            stored = _store(session, rules, received)
            if also is not None:
                also(session)
        outcome.add(stored)
    except (DataError, IntegrityError, StatementError, ValueError) as error:
        if isinstance(error, StatementError) and not isinstance(error, DataError | IntegrityError) and not isinstance(error.orig, ValueError | TypeError):
            raise  # the database itself, not one of the records
        for one in received:
            try:
                with unit_of_work() as session:
                    stored = _store(session, rules, [one])
            except (DataError, IntegrityError, StatementError, ValueError) as fault:
                reason = str(getattr(fault, "orig", None) or fault).splitlines()[0][:200]
                set_aside(BadRecord(one.snapshot.number, one.payload, BadOrder("order", f"cannot be stored ({reason})")))
            else:
                outcome.add(stored)
        if also is not None:
            with unit_of_work() as session:
                also(session)
    return outcome


def _store(session: Session, rules: Rules, received: Sequence[Received]) -> Outcome:
    outcome = Outcome(numbers={one.snapshot.number for one in received})
    if not received:
        return outcome
    known = _known(session, rules.account_id, outcome.numbers)
    now = utcnow()  # inside the transaction, which began with the read: a feed of what changed relies on it
    writing: list[Received] = []
    for one in received:
        before = known.get(one.snapshot.number)
        if before is None:
            writing.append(one)
        elif before.digest == one.digest:
            outcome.unchanged += 1
        elif before.remote_updated_at > one.snapshot.remote_updated_at:
            outcome.stale += 1
        else:
            writing.append(one)
    if not writing:
        return outcome
    writing.sort(key=lambda one: one.snapshot.number)  # one order of locks for all writers
    addresses = addresses_of_created(session, known, writing)
    session.execute(order_rows.upsert_orders(dialect_of(session)), [_order_row(rules, one, known.get(one.snapshot.number), now) for one in writing])
    ids = _written(session, rules.account_id, writing)
    fresh = {number: row.id for number, row in ids.items() if row.created_at == now and number not in known}
    written = [one for one in writing if one.snapshot.number in ids]
    outcome.new, outcome.changed = len(fresh), len(written) - len(fresh)
    order_rows.write_beside(session, {one.snapshot.number: ids[one.snapshot.number].id for one in written}, written)
    ready, follow, states = advance(session, rules, known, written, ids, fresh, addresses)
    _reserve(session, rules.account_id, written, ids, set(fresh.values()), states)
    _record_imports(session, rules, written, fresh, states, now)
    outcome.ready = [order_id for order_id, _ in ready]
    session.flush()
    if ready:
        runs.submit("orders.create", account_id=rules.account_id, items=_items(ready))
    if follow:
        runs.submit("orders.follow", account_id=rules.account_id, items=_items(follow))
    return outcome


def _items(orders: Iterable[tuple[int, str]]) -> list[tuple[str, str]]:
    return [(str(order_id), number) for order_id, number in orders]


def _known(session: Session, account_id: int, numbers: set[str]) -> dict[str, Any]:
    """What we have of these orders; the rows are locked where the database can (SQLite's writer is alone anyway)."""
    rows = session.execute(
        select(Order.id, Order.number, Order.digest, Order.remote_updated_at, Order.remote_status, Order.state, Order.cancel_requested)
        .where(Order.account_id == account_id, Order.number.in_(numbers))
        .order_by(Order.number)
        .with_for_update()
    )
    return {row.number: row for row in rows}


# --- rows ---------------------------------------------------------------------------------------------------------------------------------


def _order_row(rules: Rules, one: Received, before: Any, now: datetime) -> dict[str, Any]:
    """The columns of a new order; an existing one takes over only TikTok's side (see ``order_rows.upsert_orders``)."""
    snapshot = one.snapshot
    row = dict(zip(order_rows.HEADER, order_rows.header_of(snapshot), strict=True))
    row["account_id"] = rules.account_id
    row["digest"] = one.digest
    row["origin"] = rules.origin
    row["state"] = STORED if before else next_state(snapshot.remote_status, current=None, origin=rules.origin, policy=rules.policy)
    row["policy_version_id"] = rules.policy_version_id
    left = snapshot.remote_status == tiktok.CANCELLED and any(line.tracking_number for line in snapshot.lines)
    row["tag"] = recall.TAG if left and snapshot.fulfillment_type != tiktok.BY_TIKTOK else ""
    row["warning"] = "" if tiktok.is_known(snapshot.remote_status) else unknown_status(snapshot.remote_status)
    row["state_changed_at"] = row["created_at"] = row["updated_at"] = now
    return row


def _written(session: Session, account_id: int, writing: Sequence[Received]) -> dict[str, Any]:
    """The rows that now hold this version; one that another writer has overtaken is not among them."""
    digests = {one.snapshot.number: one.digest for one in writing}
    rows = session.execute(select(Order.id, Order.number, Order.digest, Order.created_at).where(Order.account_id == account_id, Order.number.in_(digests)))
    return {row.number: row for row in rows if row.digest == digests[row.number]}


# --- consequences -------------------------------------------------------------------------------------------------------------------------


def _reserve(session: Session, account_id: int, written: Sequence[Received], ids: dict[str, Any], fresh: set[int], states: dict[int, str]) -> None:
    wanted: dict[int, dict[str, int]] = {}
    reasons: dict[int, str] = {}
    directly = reservations.written_directly(session, [order_id for order_id, state_now in states.items() if state_now == CREATED])
    recalled = recall.under_way(session, [ids[one.snapshot.number].id for one in written if one.snapshot.remote_status == tiktok.CANCELLED])
    for one in written:
        order_id, snapshot = ids[one.snapshot.number].id, one.snapshot
        holds = reservations.reserves(snapshot.remote_status, states[order_id], snapshot.fulfillment_type, directly=order_id in directly)
        if order_id in recalled:
            continue  # its goods are under way: what it holds stays held until they are back
        if holds or order_id not in fresh:
            wanted[order_id] = dict(snapshot.units) if holds else {}
            reasons[order_id] = _why_released(snapshot.remote_status, states[order_id])
    if wanted:
        reservations.keep(session, account_id, wanted, fresh, reasons)


def _why_released(status: str, present: str) -> str:
    if status == tiktok.CANCELLED:
        return "cancelled"
    return "created" if present == CREATED else "shipped" if tiktok.is_shipped(status) else "changed"


def _record_imports(session: Session, rules: Rules, written: Sequence[Received], fresh: dict[str, int], states: dict[int, str], now: datetime) -> None:
    """One event per new order, in one statement."""
    actor, run_id = events.actor_now.get(), events.run_now.get()
    rows = [
        {
            "at": now,
            "actor": actor,
            "kind": "order.imported",
            "subject_type": "order",
            "subject_id": str(fresh[one.snapshot.number]),
            "account_id": rules.account_id,
            "message": "Imported from TikTok.",
            "before": None,
            "after": {"status": one.snapshot.remote_status, "state": states[fresh[one.snapshot.number]]},
            "reason": rules.origin,
            "run_id": run_id,
            "policy_version_id": rules.policy_version_id,
        }
        for one in written
        if one.snapshot.number in fresh
    ]
    if rows:
        session.execute(insert(Event.__table__), rows)


# --- nothing is forgotten -----------------------------------------------------------------------------------------------------------------


def sweep_ready(account_id: int) -> int | None:
    """Hand ``ready`` orders that no open run is going to create to a run; its id, or None when there are none.

    A run can end without having tried an order (cancelled, stopped after repeated faults); such an order must not wait for ever. ``retry_at`` is
    respected.
    """
    with unit_of_work() as session:
        taken = set(
            session.scalars(
                select(JobItem.ref)
                .join(JobRun, JobRun.id == JobItem.run_id)
                .where(
                    JobRun.kind == "orders.create",
                    JobRun.account_id == account_id,
                    JobRun.state.in_(OPEN_STATES),
                    JobItem.state.in_(("open", "waiting")),
                )
            )
        )
        rows = session.execute(
            select(Order.id, Order.number)
            .where(Order.account_id == account_id, Order.state == READY, or_(Order.retry_at.is_(None), Order.retry_at <= utcnow()))
            .order_by(Order.id)
        )
        waiting = [(row.id, row.number) for row in rows if str(row.id) not in taken][:SWEEP_LIMIT]
        if not waiting:
            return None
        return runs.submit("orders.create", account_id=account_id, items=_items(waiting), key=f"orders.create:sweep:{account_id}").run_id

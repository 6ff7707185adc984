"""Taking in what the OMS says, whichever way it came (A253-A255): checked, stored once by its event id, and carried out by the job ``oms.apply``.

Events, pull, upload and drop folder all end in ``receive``; nothing remote is called here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import not_, or_, select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import NotFoundError
from connector.domain import oms_events
from connector.domain.shipping import same_tracking
from connector.models.account import Account
from connector.models.oms import EVENT, UPDATE_FAILED, UPDATE_IGNORED, UPDATE_RECEIVED, OmsUpdate
from connector.models.order import Order
from connector.services import events, runs
from connector.services.oms.apply import find_order

#: The code of an entry that could not be read.
UNREADABLE = "oms.unreadable"
#: With this begins the key of a row that is no update of its own: the line of a file that is known or belongs to another line, an entry that cannot be read.
#: Event ids of an OMS are stripped, so none begins like it.
ROW = " "
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that was not taken: its id as far as it could be read, its line in a file, and what is wrong with which field."""

    id: str
    field: str
    message: str
    remedy: str
    line: int = 0


@dataclass(slots=True)
class Received:
    """How many updates are new, how many were known, and which could not be taken."""

    accepted: int = 0
    repeated: int = 0
    bad: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of a file. ``entry``: what ``domain.oms_events.read`` takes; ``of``: its parcel stands in that earlier line; ``fault``: found already."""

    number: int
    entry: Any
    of: int = 0
    fault: oms_events.BadEntry | None = None


def receive(account_id: int, source: str, entries: Iterable[Any], *, batch_id: int | None = None) -> Received:
    """Store the entries (mappings as ``domain.oms_events`` reads them, or ``Line`` of a file) and ring for what is new.

    An entry whose event id is known has no effect. Bad ones are named and hold up no other; but for events, whose sender gets the answer, they are kept
    as failed updates. Every line of a file (``batch_id``) keeps a row of its own that says what became of it. Joins the caller's transaction.
    """
    found = Received()
    lines = [one if isinstance(one, Line) else Line(0, one) for one in entries]
    for start in range(0, len(lines), _AT_ONCE):
        with unit_of_work():
            _store(account_id, source, lines[start : start + _AT_ONCE], batch_id, found)
    if found.accepted:
        ring(account_id)
    return found


def ring(account_id: int, *, started_by: str = "system") -> runs.Submitted:
    """Have the waiting updates carried out: one run at a time for an account."""
    return runs.submit("oms.apply", account_id=account_id, key=f"schedule:oms.apply:{account_id}", started_by=started_by, quiet=True)


def retry(update_ids: Sequence[int], *, actor: str) -> runs.Submitted | None:
    """Carry failed updates out again; None when none of them has failed. Entries that could not be read stay as they are."""
    with unit_of_work() as session:
        rows = session.scalars(
            select(OmsUpdate).where(OmsUpdate.id.in_(list(update_ids)), OmsUpdate.state == UPDATE_FAILED, OmsUpdate.action != "", OmsUpdate.code != UNREADABLE)
        ).all()
        for row in rows:
            row.state, row.code, row.message, row.remedy, row.retry_at, row.done_at = UPDATE_RECEIVED, None, "", "", None, None
            events.record("oms.retried", "oms_update", row.id, f"Update {row.event_id} is carried out again.", account_id=row.account_id, actor=actor)
        submitted = [ring(account_id, started_by=actor) for account_id in sorted({row.account_id for row in rows})]
        return submitted[0] if submitted else None


def set_aside(update_ids: Sequence[int], *, actor: str) -> int:
    """A person has seen to what failed, or nothing is to be done: it waits for nobody any more. How many there were."""
    with unit_of_work() as session:
        rows = session.scalars(select(OmsUpdate).where(OmsUpdate.id.in_(list(update_ids)), OmsUpdate.state == UPDATE_FAILED).with_for_update()).all()
        for row in rows:
            row.state, row.message, row.remedy = UPDATE_IGNORED, f"Set aside by {actor}. It had failed: {row.message}", ""
            text = f"Update {own_id(row) or row.event_id.strip()} was set aside."
            events.record("oms.set_aside", "oms_update", row.id, text, account_id=row.account_id, reason=row.message, actor=actor)
        return len(rows)


def get(update_id: int) -> OmsUpdate:
    """By our number, not the sender's event id. Raises ``NotFoundError``."""
    found = db.session.get(OmsUpdate, update_id)
    if found is None:
        raise NotFoundError("oms.update_unknown", f"There is no update {update_id}.", "Open the list of updates for the present ones.")
    return found


def listed(account_id: int, *, after: int = 0, state: str | None = None, event_id: str = "", order_id: str = "", limit: int = 100) -> list[OmsUpdate]:
    """The account's updates in the order in which they came, after the one with our number ``after``. Lines of files that are no updates are left out."""
    query = select(OmsUpdate).where(OmsUpdate.account_id == account_id, OmsUpdate.id > after)
    query = query.where(or_(not_(OmsUpdate.event_id.startswith(ROW)), OmsUpdate.state != UPDATE_IGNORED))
    for column, wanted in ((OmsUpdate.state, state), (OmsUpdate.event_id, event_id), (OmsUpdate.order_number, order_id)):
        if wanted:
            query = query.where(column == wanted)
    return list(db.session.scalars(query.order_by(OmsUpdate.id).limit(limit)))


def own_id(row: OmsUpdate) -> str:
    """The OMS's own id of an update; empty when it gave none."""
    if row.event_id.startswith((ROW, oms_events.DIGEST)):
        return str(row.data.get("id") or "")
    return row.event_id


def known_account(account_id: int) -> Account:
    """The account, or ``NotFoundError``."""
    found = db.session.get(Account, account_id)
    if found is None:
        raise NotFoundError("account.unknown", f"There is no account {account_id}.", "Look at the account's page for its number.")
    return found


def _store(account_id: int, source: str, lines: list[Line], batch_id: int | None, found: Received) -> None:
    def refuse(line: Line, problem: Problem) -> None:
        found.bad.append(problem)
        if source != EVENT:
            _keep_bad(account_id, source, line, batch_id, problem)

    # The account's row is taken first: two senders of the same event are served one after the other.
    db.session.scalar(select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))
    read: list[tuple[Line, dict[str, Any], str]] = []
    for line in lines:
        try:
            entry = _read(line)
        except oms_events.BadEntry as fault:
            refuse(line, Problem(_id_of(line.entry), fault.field, str(fault.message), fault.remedy, line.number))
            continue
        read.append((line, entry, oms_events.event_id(entry)))
    numbers, ids = {entry["order_id"] for _, entry, _ in read}, {key for _, _, key in read}
    orders = dict(db.session.execute(select(Order.number, Order.id).where(Order.account_id == account_id, Order.number.in_(numbers))).all())
    rows = db.session.scalars(select(OmsUpdate).where(OmsUpdate.account_id == account_id, OmsUpdate.event_id.in_(ids)))
    known = {row.event_id: row for row in rows}
    for line, entry, key in read:
        if not line.of and key in known and _is_another(known[key], entry):
            first = known[key]
            problem = Problem(
                str(entry.get("id") or ""), "id", f"id: {key} is the id of another event: {first.action} of order {first.order_number}. Nothing was done.",
                "Send it again with an id of its own.", line.number,
            )  # fmt: skip
            refuse(line, problem)
            continue
        if line.of or key in known:
            found.repeated += not line.of
            found.accepted += bool(line.of)
            if batch_id is not None:
                text = f"It belongs to the parcel of line {line.of}." if line.of else f"Update {key} was received before; nothing is done twice."
                db.session.add(
                    _row(
                        account_id, _line_key(batch_id, line), source, entry, orders,
                        batch_id=batch_id, line=line.number, state=UPDATE_IGNORED, message=text, done_at=utcnow(),
                    )
                )  # fmt: skip
            continue
        known[key] = _row(account_id, key, source, entry, orders, batch_id=batch_id, line=0 if source == EVENT else line.number)
        found.accepted += 1
        db.session.add(known[key])
    db.session.flush()


def _is_another(row: OmsUpdate, entry: dict[str, Any]) -> bool:
    """Does an entry with the id of a known update say something else? The order may be named by either of its numbers, the same event told in other words."""
    first, second = (str(one.get("tracking_number") or "") for one in (row.data, entry))
    if row.action != entry["type"] or (first != second and not same_tracking(first, second)):
        return True
    if row.order_number == entry["order_id"]:
        return False
    named = {find_order(row.account_id, number) for number in (row.order_number, entry["order_id"])}
    return len(named) > 1 or None in named


def _read(line: Line) -> dict[str, Any]:
    if line.fault is not None:
        raise line.fault
    return oms_events.read(line.entry)


def _id_of(entry: Any) -> str:
    return oms_events.safe_id(entry.get("id")) if isinstance(entry, dict) else ""


def _line_key(batch_id: int, line: Line) -> str:
    return f"{ROW}line:{batch_id}:{line.number}"


def _row(account_id: int, key: str, source: str, entry: dict[str, Any], orders: dict[str, int], **facts: Any) -> OmsUpdate:
    data = {name: value for name, value in entry.items() if name not in ("type", "order_id") and (name != "id" or key.startswith(ROW))}
    return OmsUpdate(
        account_id=account_id, event_id=key, source=source, order_number=entry["order_id"], order_id=orders.get(entry["order_id"]),
        action=entry["type"], data=data, **facts,
    )  # fmt: skip


def _keep_bad(account_id: int, source: str, line: Line, batch_id: int | None, problem: Problem) -> None:
    """A row that says what is wrong; the same bad entry again (a pull that is repeated) is kept once."""
    entry = line.entry if isinstance(line.entry, dict) else {}
    key = _line_key(batch_id, line) if batch_id is not None else f"{ROW}bad:{oms_events.digest(line.entry)}"
    if batch_id is None and db.session.scalar(select(OmsUpdate.id).where(OmsUpdate.account_id == account_id, OmsUpdate.event_id == key)):
        return
    order, action = (value if isinstance(value, str) else "" for value in (entry.get("order_id"), entry.get("type")))
    db.session.add(
        OmsUpdate(
            account_id=account_id, event_id=key, source=source, batch_id=batch_id, line=line.number, order_number=oms_events.safe_id(order)[:60],
            action=action if action in oms_events.TYPES else "", data={"field": problem.field, "id": problem.id}, state=UPDATE_FAILED, code=UNREADABLE,
            message=problem.message, remedy=problem.remedy, done_at=utcnow(),
        )
    )  # fmt: skip
    db.session.flush()

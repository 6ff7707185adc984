"""Carrying out what the OMS said, through the same functions as the buttons (A253-A255, A265, A266; product.md 8).

The updates of one order are carried out one after the other, the earliest first. An update that says what is so already is ``ignored``; one whose order
is not known yet waits for it for a day; a failed one says what, why and what to do, and can be carried out again (``updates.retry``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import RLock

from sqlalchemy import or_, select, update

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import oms_events
from connector.models.oms import UPDATE_DONE, UPDATE_FAILED, UPDATE_IGNORED, UPDATE_RECEIVED, OmsUpdate
from connector.models.order import Order
from connector.services import events, runs

#: How long a claimed update is believed to be under way, unless no other run is alive that may have claimed it.
CLAIM = timedelta(seconds=120)
#: A claimed update is looked at again after these seconds, then ever less often: the eight attempts of a run's item outlast the claim of a dead worker.
LOOK_SECONDS = 3.0
PATIENCE = timedelta(days=1)
UNKNOWN_ORDER, WAITING = "oms.order_unknown", "oms.waits"
ACTOR = "OMS"
#: The threads of one process take turns for an order; between processes the claim decides.
_turns = tuple(RLock() for _ in range(64))


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of an update: done, ignored, or received (it waits, ``again`` from now)."""

    state: str
    message: str
    again: timedelta | None = None
    code: str | None = None
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An update that this worker carries out, with what it says."""

    id: int
    account_id: int
    order_id: int
    number: str
    action: str
    data: dict[str, object]
    received_at: datetime

    def text(self, name: str) -> str:
        return str(self.data.get(name) or "")

    @property
    def units(self) -> dict[str, int]:
        return oms_events.units(self.data.get("items"))


def done(message: str) -> Applied:
    return Applied(UPDATE_DONE, message)


def ignored(message: str) -> Applied:
    return Applied(UPDATE_IGNORED, message)


def waits(message: str, again: timedelta, *, code: str = WAITING, remedy: str = "") -> Applied:
    """Not yet: the update stays open and is looked at again after ``again``."""
    return Applied(UPDATE_RECEIVED, message, again, code, remedy)


def due(account_id: int, *, after: int = 0, limit: int = 1000) -> list[tuple[str, str]]:
    """The updates to carry out now, as items of a run: (update id, order number and action)."""
    rows = db.session.execute(
        select(OmsUpdate.id, OmsUpdate.order_number, OmsUpdate.action)
        .where(OmsUpdate.account_id == account_id, OmsUpdate.state == UPDATE_RECEIVED, OmsUpdate.id > after, _now_due())
        .order_by(OmsUpdate.id)
        .limit(limit)
    ).all()
    db.session.commit()
    return [(str(row.id), f"{row.order_number} {row.action}") for row in rows]


def apply_one(update_id: int) -> str:
    """Carry out one update, after the earlier ones of its order; what became of it, in words. Safe to call again at any point.

    Raises ``DomainError`` with the reason of a failed update, and ``ApiError`` for what should be tried again later.
    """
    row = db.session.get(OmsUpdate, update_id, populate_existing=True)
    if row is None:
        raise DomainError("oms.update_unknown", f"There is no update {update_id}.", "It may have been removed.")
    end_reading()
    if row.state != UPDATE_RECEIVED:
        return _said(row)
    with _turns[hash((row.account_id, row.order_number)) % len(_turns)]:
        for earlier in _earlier(row):
            try:
                apply_one(earlier)
            except DomainError:
                pass  # it has its own line; it does not hold up what came after it
        return _carry_out(update_id)


def _carry_out(update_id: int) -> str:
    job = _claim(update_id)
    if isinstance(job, str):
        return job
    acting = events.actor_now.set(ACTOR)
    try:
        applied = _outcome(job)
    except DomainError as refused:
        _record(job, Applied(UPDATE_FAILED, refused.message, None, refused.code, refused.remedy))
        raise
    except (api.Unavailable, api.Uncertain, api.Unauthorized) as later:
        code, title, advice = api.describe(later)
        _record(job, waits(f"{title}: {later}", timedelta(), code=code, remedy=advice))
        raise
    except api.ApiError as refused:
        code, title, advice = api.describe(refused)
        text = f"{title}. TikTok answered: {refused.remote_message}" if refused.remote_message else f"{title}: {refused}"
        _record(job, Applied(UPDATE_FAILED, text, None, code, advice))
        raise DomainError(code, text, advice) from refused
    except Exception as unexpected:
        text = f"An unexpected error occurred ({type(unexpected).__name__})."
        _record(job, Applied(UPDATE_FAILED, text, None, "internal", "Choose Retry; if it stays, look into the log and report it."))
        raise
    except BaseException:
        _record(job, waits("It was interrupted and is carried out again.", timedelta(seconds=30)))
        raise
    finally:
        events.actor_now.reset(acting)
    _record(job, applied)
    return applied.message


def _outcome(job: Claimed) -> Applied:
    if not job.order_id:
        return _unknown_order(job)
    from connector.services.oms import carry_out

    actions: dict[str, Callable[[Claimed], Applied]] = {
        oms_events.SHIPPED: carry_out.shipped,
        oms_events.CANCELLED: carry_out.cancelled,
        oms_events.DELIVERED: carry_out.delivered,
        oms_events.CANCELLATION_ANSWERED: carry_out.cancellation_answered,
        oms_events.GOODS_RECEIVED: carry_out.goods_received,
    }
    applied = actions[job.action](job)
    if applied.state == UPDATE_RECEIVED and utcnow() - job.received_at > PATIENCE:
        raise DomainError(applied.code or WAITING, f"{applied.message} It has waited for a day.", applied.remedy or "Solve the cause, then choose Retry.")
    return applied


def _unknown_order(job: Claimed) -> Applied:
    age = utcnow() - job.received_at
    if age > PATIENCE:
        raise DomainError(
            UNKNOWN_ORDER, f"Order {job.number} is not known here, and did not come within a day.",
            "Check the number with the OMS. If it is right, import the order (Orders, Import Orders), then choose Retry.",
        )  # fmt: skip
    again = min(max(timedelta(minutes=1), age / 4), timedelta(minutes=30))
    return waits(
        f"Order {job.number} is not known here yet; the update waits for it.", again, code=UNKNOWN_ORDER,
        remedy="Import the order (Orders, Import Orders), or check its number with the OMS.",
    )  # fmt: skip


def _now_due() -> object:
    return or_(OmsUpdate.retry_at.is_(None), OmsUpdate.retry_at <= utcnow())


def _earlier(row: OmsUpdate) -> list[int]:
    """Open updates of the same order that come first. A parcel that only waits (for a carrier, for the end of the hold) holds up nobody."""
    rows = db.session.scalars(
        select(OmsUpdate).where(
            OmsUpdate.account_id == row.account_id, OmsUpdate.state == UPDATE_RECEIVED, OmsUpdate.order_number == row.order_number, OmsUpdate.id != row.id
        )
    ).all()
    end_reading()
    now = utcnow()
    before = [one for one in rows if _turn(one) < _turn(row) and not (one.code and one.retry_at and one.retry_at > now)]
    return [one.id for one in sorted(before, key=_turn)]


def _turn(row: OmsUpdate) -> tuple[datetime, int]:
    happened = row.data.get("occurred_at")
    return datetime.fromisoformat(str(happened)) if happened else row.received_at, row.id


def _claim(update_id: int) -> Claimed | str:
    """Make this worker the only one that carries the update out; words when it is settled. Raises ``Unavailable`` while another one is at it."""
    now = utcnow()
    with unit_of_work() as session:
        claim = update(OmsUpdate).where(OmsUpdate.id == update_id, OmsUpdate.state == UPDATE_RECEIVED)
        claim = claim.values(attempts=OmsUpdate.attempts + 1, retry_at=now + CLAIM, code=None, message="", remedy="")
        won: int = session.execute(claim.where(or_(OmsUpdate.code.is_not(None), _now_due()))).rowcount  # type: ignore[attr-defined]
        row = session.get(OmsUpdate, update_id, populate_existing=True)
        assert row is not None
        if won != 1 and row.state == UPDATE_RECEIVED and runs.alone(row.account_id, "oms.apply"):  # who had it in hand is dead
            won = session.execute(claim).rowcount  # type: ignore[attr-defined]
            session.refresh(row)
        if won != 1:
            if row.state != UPDATE_RECEIVED:
                return _said(row) if row.state != UPDATE_FAILED else row.message
            left = ((row.retry_at or now) - now).total_seconds()
            raise api.Unavailable(
                f"Update {row.event_id} is being carried out by another worker", system="connector", operation="oms.apply", code="oms.in_progress",
                retry_after=max(1.0, min(left, max(LOOK_SECONDS, CLAIM.total_seconds() - left))),
            )  # fmt: skip
        if row.order_id is None:
            row.order_id = find_order(row.account_id, row.order_number)
        return Claimed(row.id, row.account_id, row.order_id or 0, row.order_number, row.action, dict(row.data), row.received_at)


def find_order(account_id: int, number: str) -> int | None:
    """Our id of an order that the OMS names by TikTok's order id or by the store's number."""
    found = db.session.scalar(select(Order.id).where(Order.account_id == account_id, Order.number == number))
    if found is None:
        named = db.session.scalars(select(Order.id).where(Order.account_id == account_id, Order.magento_number == number).limit(2)).all()
        found = named[0] if len(named) == 1 else None
    return found


def _said(row: OmsUpdate) -> str:
    if row.state == UPDATE_FAILED:
        raise DomainError(row.code or "oms.failed", row.message, row.remedy)
    return row.message


def _record(job: Claimed, applied: Applied) -> None:
    settled = applied.state != UPDATE_RECEIVED
    with unit_of_work() as session:
        session.execute(
            update(OmsUpdate)
            .where(OmsUpdate.id == job.id, OmsUpdate.state == UPDATE_RECEIVED)
            .values(
                state=applied.state, code=applied.code, message=applied.message, remedy=applied.remedy, done_at=utcnow() if settled else None,
                retry_at=None if settled or not applied.again else utcnow() + applied.again,
            )
        )  # fmt: skip
        if applied.state == UPDATE_FAILED and job.order_id:
            text = f"The OMS said “{job.action.replace('_', ' ')}”; it was refused: {applied.message}"
            events.record("oms.refused", "order", job.order_id, text, account_id=job.account_id, after={"code": applied.code}, actor=ACTOR)

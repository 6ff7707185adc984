"""What is due, by the shop's own clock: set-based queries, each along an index, whatever the number of orders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, literal, or_, select

from connector.core.db import db
from connector.domain import deadlines
from connector.domain.deadlines import ANSWER_CANCELLATION, ANSWER_RETURN, AUTO_CANCEL, RECALL, SHIP_BY
from connector.models.account import Account
from connector.models.aftersales import RECALL_OPEN, RECALL_RETURNING, RecallTask, Return
from connector.models.order import Cancellation, Order
from connector.services import connections

#: Subjects without a deadline of TikTok's are estimated one by one: more of them than this are not looked at in one question.
ESTIMATED_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Deadline:
    """One thing that is due. ``number``: the TikTok order id; ``reference``: TikTok's id of the cancellation or return, empty for an order.

    ``due_at`` is an instant of the shop's clock (a recall's was set by us); ``offset`` seconds are that clock's lead over ours.
    ``estimated``: TikTok named no deadline, the country's table was used. ``trouble``: what stands in the order's way, in words.
    """

    kind: str
    subject_type: str  #: order, cancellation, return, recall
    subject_id: int
    account_id: int
    account: str
    order_id: int
    number: str
    reference: str
    status: str  #: TikTok's status of the order, verbatim
    start: datetime | None
    due_at: datetime
    estimated: bool
    trouble: str
    offset: float

    @property
    def what_then(self) -> str:
        return deadlines.what_then(self.kind, self.status)

    @property
    def here_at(self) -> datetime:
        """The instant of our own clock at which it is due: what a countdown on screen counts to."""
        return self.due_at - timedelta(seconds=self.offset)

    @property
    def url_endpoint(self) -> str:
        return "orders.order"

    @property
    def url_args(self) -> dict[str, int]:
        return {"order_id": self.order_id}


@dataclass(frozen=True, slots=True)
class Source:
    """Where deadlines of one kind come from. ``pk``, ``due`` and ``start`` are columns; ``cases`` are tried one after the other, so that each is one
    walk along an index."""

    kind: str
    subject_type: str
    pk: Any
    due: Any
    start: Any
    account: Any
    reference: Any
    cases: tuple[ColumnElement[bool], ...]
    order_id: Any = Order.id
    estimable: Collection[str] | None = None  #: order statuses for which the table has a word; None: all, empty: none
    guessed: Any = None  #: whether ``due`` is an estimate that was stored; None: never
    trouble: Any = Order.failure_message

    def select(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        found = select(
            self.pk.label("pk"), self.order_id.label("order_id"), Order.number, self.reference.label("reference"), Order.remote_status,
            self.start.label("start"), self.due.label("due"), (false() if self.guessed is None else self.guessed).label("guessed"),
            func.coalesce(self.trouble, literal("")).label("trouble"),
        )  # fmt: skip
        if self.order_id is not Order.id:
            found = found.join(Order, Order.id == self.order_id)
        return found.where(*conditions)


_SELLER_SHIPS = Order.fulfillment_type != "FULFILLMENT_BY_TIKTOK"
_PAID = func.coalesce(Order.paid_at, Order.placed_at)


def _orders(kind: str, due: Any, statuses: Iterable[str]) -> Source:
    cases = tuple(and_(Order.remote_status == status, _SELLER_SHIPS) for status in statuses)
    return Source(kind, "order", Order.id, due, _PAID, Order.account_id, literal(""), cases, estimable=deadlines.TO_SHIP)


SOURCES: dict[str, Source] = {
    SHIP_BY: _orders(SHIP_BY, Order.ship_by_at, deadlines.TO_SHIP),
    AUTO_CANCEL: _orders(AUTO_CANCEL, Order.cancel_by_at, deadlines.MAY_BE_CANCELLED),
    ANSWER_CANCELLATION: Source(
        ANSWER_CANCELLATION, "cancellation", Cancellation.id, Cancellation.respond_by_at,
        func.coalesce(Cancellation.remote_created_at, Cancellation.remote_updated_at, Cancellation.updated_at), Cancellation.account_id, Cancellation.cancel_id,
        (and_(Cancellation.remote_status == "CANCELLATION_REQUEST_PENDING", Cancellation.cancel_type == "BUYER_CANCEL"),), order_id=Cancellation.order_id,
    ),
    ANSWER_RETURN: Source(
        ANSWER_RETURN, "return", Return.id, Return.respond_by_at, func.coalesce(Return.remote_created_at, Return.remote_updated_at), Return.account_id,
        Return.return_id, (Return.needs_answer.is_(True),), order_id=Return.order_id, guessed=Return.deadline_estimated,
    ),
    # a parcel that left although its order is cancelled (A264); a recall always has its date, so nothing is estimated
    RECALL: Source(
        RECALL, "recall", RecallTask.id, RecallTask.due_at, RecallTask.opened_at, RecallTask.account_id, literal(""),
        (RecallTask.state.in_((RECALL_OPEN, RECALL_RETURNING)),), order_id=RecallTask.order_id, estimable=(), trouble=RecallTask.why,
    ),
}  # fmt: skip


def upcoming(
    *, account_id: int | None = None, within: timedelta | None = None, limit: int = 200, passed: bool = True, kinds: Collection[str] = tuple(SOURCES)
) -> list[Deadline]:
    """What is due, earliest first: everything, or what falls due ``within`` that time. ``passed`` includes what is overdue. Active accounts only, each by
    its shop's clock."""
    found: list[Deadline] = []
    for account in accounts(account_id):
        now = connections.shop_now(account)
        until = now + within if within is not None else None
        for source in (SOURCES[kind] for kind in kinds):
            found += rows(source, account, after=None if passed else now, until=until, limit=limit)
    return in_order(found)[:limit]


def passing_soon(within: timedelta, *, limit: int) -> list[Deadline]:
    """What passes within that time and has not passed yet."""
    return upcoming(within=within, passed=False, limit=limit)


def accounts(account_id: int | None = None) -> Sequence[Account]:
    query = select(Account).where(Account.active)
    return db.session.scalars(query.where(Account.id == account_id) if account_id is not None else query.order_by(Account.id)).all()


def in_order(found: Iterable[Deadline]) -> list[Deadline]:
    return sorted(found, key=lambda one: (one.due_at, one.kind, one.subject_id))


def rows(
    source: Source,
    account: Account,
    *,
    after: datetime | None = None,
    until: datetime | None = None,
    limit: int,
    conditions: Sequence[ColumnElement[bool]] = (),
    given: Sequence[ColumnElement[bool]] = (),
) -> Iterator[Deadline]:
    """The deadlines of one source with ``after`` < due <= ``until``: the stored ones, then those estimated now. ``given``: conditions on the former only."""
    for case in source.cases:
        base = (source.account == account.id, case, *conditions)
        window = [source.due.is_not(None)]
        window += [source.due > after] if after is not None else []
        window += [source.due <= until] if until is not None else []
        for row in db.session.execute(source.select(*base, *window, *given).order_by(source.due, source.pk).limit(limit)):
            yield _deadline(source, account, row, row.due, bool(row.guessed))
        yield from estimated(source, account, case, after=after, until=until, conditions=conditions)


def estimated(
    source: Source,
    account: Account,
    case: ColumnElement[bool],
    *,
    after: datetime | None,
    until: datetime | None,
    conditions: Sequence[ColumnElement[bool]] = (),
) -> Iterator[Deadline]:
    """Deadlines that TikTok does not name, by the country's table."""
    if source.estimable is not None and not source.estimable:
        return
    query = source.select(source.account == account.id, case, source.due.is_(None), *conditions)
    if until is not None:
        query = query.where(source.start <= until - deadlines.span(source.kind, account.country).shortest)
    for row in db.session.execute(query.order_by(source.start).limit(ESTIMATED_AT_ONCE)):
        if source.estimable is not None and row.remote_status not in source.estimable:
            continue
        at, guess = deadlines.due(source.kind, account.country, given=None, start=row.start)
        if at is not None and (after is None or at > after) and (until is None or at <= until):
            yield _deadline(source, account, row, at, guess)


def _deadline(source: Source, account: Account, row: Any, at: datetime, guess: bool) -> Deadline:
    return Deadline(
        source.kind, source.subject_type, row.pk, account.id, account.title, row.order_id, row.number, row.reference, row.remote_status, row.start, at, guess,
        row.trouble, account.clock_offset_seconds or 0.0,
    )  # fmt: skip


def named(source: Source, ids: Collection[str]) -> ColumnElement[bool]:
    """Subjects with one of these TikTok ids: the order's, or the request's own."""
    by_order = Order.number.in_(ids)
    return by_order if source.order_id is Order.id else or_(by_order, source.reference.in_(ids))

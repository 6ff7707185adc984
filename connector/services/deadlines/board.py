"""The board of pending actions, as Seller Center groups them (A271): six states and our own recalls, each an index walk, searched by up to 100 ids."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select

from connector.core.db import db
from connector.domain.deadlines import ANSWER_CANCELLATION, ANSWER_RETURN, AUTO_CANCEL, RECALL, SHIP_BY
from connector.models.account import Account
from connector.models.order import Order, Shipment
from connector.services import connections
from connector.services.deadlines.finding import SOURCES, Deadline, Source, accounts, estimated, in_order, named, rows
from connector.services.orders import parcels

#: As many ids as one search takes.
IDS = 100
PER_PAGE = 100
#: The deepest page: further rows are found by narrowing or in the orders grid.
PAGES = 20
DAY = timedelta(hours=24)

#: key -> (title, kind of deadline)
STATES: dict[str, tuple[str, str]] = {
    "ship": ("Ship within 24 hours", SHIP_BY),
    "auto_cancel": ("Auto-cancel within 24 hours", AUTO_CANCEL),
    "overdue": ("Overdue", SHIP_BY),
    "cancel_requested": ("Cancel requested", ANSWER_CANCELLATION),
    "abnormal": ("Abnormal package", SHIP_BY),
    "return_requested": ("Return/refund requested", ANSWER_RETURN),
    "recall": ("Parcel to recall", RECALL),
}


@dataclass(frozen=True, slots=True)
class Page:
    """``counts``: entries of every state; ``unknown``: ids of the search that nothing is pending for."""

    state: str
    rows: list[Deadline]
    counts: dict[str, int]
    page: int
    pages: int
    unknown: list[str] = field(default_factory=list)


def ids_in(text: str) -> list[str]:
    """The ids of a search box (any separators), each once, the first 100."""
    return list(dict.fromkeys(re.findall(r"[^\s,;]+", text)))[:IDS]


def board(state: str = "", *, account_id: int | None = None, ids: Sequence[str] = (), page: int = 1) -> Page:
    """One state of the board; without one the first that has entries."""
    shops = accounts(account_id)
    counts = {key: sum(_count(key, account, ids) for account in shops) for key in STATES}
    if state not in STATES:
        state = next((key for key, count in counts.items() if count), next(iter(STATES)))
    pages = min(PAGES, max(1, -(-counts[state] // PER_PAGE)))
    page = min(max(page, 1), pages)
    found = in_order(one for account in shops for one in _rows(state, account, ids, limit=page * PER_PAGE))[(page - 1) * PER_PAGE : page * PER_PAGE]
    unknown = _without_anything(shops, ids) if ids else []
    return Page(state, found, counts, page, pages, unknown)


def _without_anything(shops: Sequence[Account], ids: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    for key in STATES:
        for account in shops:
            for one in _rows(key, account, ids, limit=len(ids) * 5):
                seen |= {one.number, one.reference}
    return [one for one in ids if one not in seen]


def _window(state: str, now: datetime) -> tuple[datetime | None, datetime | None]:
    """(after, until) of a state."""
    if state in ("ship", "auto_cancel"):
        return now, now + DAY
    return (None, now) if state == "overdue" else (None, None)


def _conditions(state: str, source: Source, ids: Collection[str]) -> list[ColumnElement[bool]]:
    found = [named(source, ids)] if ids else []
    if state == "abnormal":
        stuck = select(Shipment.order_id).where(Shipment.state.in_((parcels.FAILED, parcels.WAITING_CARRIER)))
        found.append(or_(Order.id.in_(stuck), *(Order.failure_code.startswith(code) for code in parcels.SETTLED)))
    return found


def _rows(state: str, account: Account, ids: Collection[str], *, limit: int) -> list[Deadline]:
    source = SOURCES[STATES[state][1]]
    after, until = _window(state, connections.shop_now(account))
    return list(rows(source, account, after=after, until=until, limit=limit, conditions=_conditions(state, source, ids)))


def _count(state: str, account: Account, ids: Collection[str]) -> int:
    source = SOURCES[STATES[state][1]]
    after, until = _window(state, connections.shop_now(account))
    conditions = _conditions(state, source, ids)
    total = 0
    for case in source.cases:
        given = source.select(source.account == account.id, case, source.due.is_not(None), *conditions)
        given = given.where(source.due > after) if after is not None else given
        given = given.where(source.due <= until) if until is not None else given
        total += db.session.scalar(select(func.count()).select_from(given.subquery())) or 0
        total += sum(1 for _ in estimated(source, account, case, after=after, until=until, conditions=conditions))
    return total

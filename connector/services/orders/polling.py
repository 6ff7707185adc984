"""Reading orders from TikTok: scheduled windows by update time, a range or single orders by hand (TTS §4, product rule 4).

A window is read by a thread that stays one page ahead of the one writer, which stores each page together with the window's position. The account's
cursor moves only after every page of every window is stored, and the next run begins ten minutes before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.clients.tiktok import DETAIL_LIMIT, TikTokClient
from connector.core.clock import from_epoch, to_epoch, utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.domain import tiktok_order as tiktok
from connector.models.account import Account
from connector.models.order import MANUAL, SCHEDULE, Order
from connector.models.run import JobItem, JobRun
from connector.services import connections, runs
from connector.services.orders import intake, windows
from connector.services.orders.advance import Rules
from connector.services.orders.intake import Outcome
from connector.services.orders.received import BadRecord
from connector.services.runs import Run

OVERLAP = timedelta(minutes=10)
#: How far the first scheduled import of a new account looks back: about what is still to be shipped. Older orders come by Import Orders.
FIRST_REACH = timedelta(days=3)
#: Windows are read in parallel from this span on; below it one is as fast.
PARALLEL_FROM = timedelta(hours=2)
WINDOWS = 4
#: The shop's clock is known to about two seconds; what happened this very second is read as well, and again by the next run.
AHEAD = timedelta(seconds=5)
LONGEST_RANGE = timedelta(days=90)
_PARKED_FOR = timedelta(days=2)


# --- scheduled import ---------------------------------------------------------------------------------------------------------------------


def poll(run: Run, account_id: int, *, parallel: int | None = None) -> Outcome:
    """Store everything that TikTok updated since the cursor, then move the cursor.

    The upper bound is fixed at the start from the shop's clock. When that clock has gone on by much meanwhile (a long import, a practice clock that
    was moved), one more round follows at once. Continues from the check-point after an interruption.
    """
    client = connections.tiktok(account_id)
    rules = intake.rules_for(account_id, SCHEDULE)
    outcome = Outcome()
    for _ in range(2):
        if "windows" not in run.checkpoint:
            start, end = _bounds(account_id, client)
            threads = parallel or (WINDOWS if end - start >= PARALLEL_FROM else 1)
            _save(run, windows=windows.split(to_epoch(start), to_epoch(end), threads), upper=to_epoch(end), threads=threads)
        if not read_windows(run, client, rules, "update_time", {}, outcome, threads=run.checkpoint["threads"], park=_Parking(run, account_id)):
            return outcome
        upper = int(run.checkpoint["upper"])
        _move_cursor(run, account_id, upper, client.now())
        if (client.now() - _moment(upper)) < timedelta(minutes=2):
            break
    return outcome


def _bounds(account_id: int, client: TikTokClient) -> tuple[datetime, datetime]:
    cursor = connections.account_of(account_id, fresh=True).orders_cursor_at
    end_reading()
    now = client.now()
    return min((cursor or now - FIRST_REACH), now) - OVERLAP, now + AHEAD


def _move_cursor(run: Run, account_id: int, upper: int, now: datetime) -> None:
    """Forward only, never beyond the shop's clock as now known: a cursor in the future would skip what happens until then."""
    with unit_of_work() as session:
        account = session.get(Account, account_id, populate_existing=True)
        assert account is not None
        reached = min(_moment(upper), now)
        if account.orders_cursor_at is None or account.orders_cursor_at > now or account.orders_cursor_at < reached:
            account.orders_cursor_at = reached
        run.checkpoint.pop("windows", None)
        run.save_checkpoint(session, upper=upper)


# --- by hand (A181-A187) ------------------------------------------------------------------------------------------------------------------


def request_import(
    account_id: int,
    *,
    status: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
    order_ids: Iterable[str] = (),
    started_by: str,
    origin: str = MANUAL,
    key: str | None = None,
) -> runs.Submitted:
    """Submit an import with the pop-up's fields; order ids come before everything else, a range is by the time of order, both ends aware.

    Raises ``DomainError`` with ``field``: ``account``, ``status``, ``start``, ``end``, ``order_id``.
    """
    account = connections.account_of(account_id, fresh=True)
    if not account.active or not account.connected:
        raise DomainError(
            "import.account",
            f"Account {account.title} is {'not authorised' if account.active else 'disabled'}, so its orders cannot be read.",
            "Authorise and enable it on the Accounts page.",
            field="account",
        )
    numbers = list(dict.fromkeys(number.strip() for number in order_ids if number.strip()))
    if numbers:
        for number in numbers:
            if not number.isdigit() or len(number) > 40:
                raise DomainError("import.order_id", f"{number} is not a TikTok order id.", "An order id has digits only.", field="order_id")
        return runs.submit(
            "orders.import",
            account_id=account_id,
            args={"origin": origin},
            items=[(number, number) for number in numbers],
            title="Import orders by id",
            started_by=started_by,
            key=key,
        )
    if status and not tiktok.is_known(status):
        raise DomainError("import.status", f"{status} is not a TikTok order status.", "Choose one of the list.", field="status")
    end = end or connections.shop_now(account)
    start = start or end - timedelta(days=30)
    check_range(start, end)
    return runs.submit(
        "orders.import",
        account_id=account_id,
        args={"from": to_epoch(start), "to": to_epoch(end), "status": status, "origin": origin},
        title="Import orders by date",
        started_by=started_by,
        key=key or f"orders.import:{account_id}:{to_epoch(start)}:{to_epoch(end)}:{status}",
    )


def check_range(start: datetime, end: datetime) -> None:
    """Refuse a range that is reversed, empty or longer than ``LONGEST_RANGE``."""
    if start >= end:
        raise DomainError(
            "import.dates_reversed",
            f"From ({start:%Y-%m-%d %H:%M}) is not before To ({end:%Y-%m-%d %H:%M}).",
            "Exchange the two dates or choose others.",
            field="start",
        )
    if end - start > LONGEST_RANGE:
        raise DomainError(
            "import.range_too_long",
            f"The range has {(end - start).days} days; at most {LONGEST_RANGE.days} can be imported at once.",
            "Import the time in parts.",
            field="end",
        )


def import_range(run: Run, account_id: int, *, start: int, end: int, status: str = "", origin: str = MANUAL, parallel: int | None = None) -> Outcome:
    """Store the orders placed in [start, end), Unix seconds, of one status or of all."""
    client = connections.tiktok(account_id)
    if "windows" not in run.checkpoint:
        threads = parallel or (WINDOWS if end - start >= PARALLEL_FROM.total_seconds() else 1)
        _save(run, windows=windows.split(start, end, threads), threads=threads)
    outcome = Outcome()
    filters = {"order_status": status} if status else {}
    rules, park = intake.rules_for(account_id, origin), _Parking(run, account_id, again=True)
    read_windows(run, client, rules, "create_time", filters, outcome, threads=run.checkpoint["threads"], park=park)
    return outcome


class ById:
    """Orders by TikTok order id, read and stored fifty at a time when the first of each fifty is asked for (TTS §5.4.2)."""

    def __init__(self, account_id: int, numbers: Sequence[str], origin: str) -> None:
        self._account_id = account_id
        self._chunk_of = {number: chunk for chunk in _chunks(numbers, DETAIL_LIMIT) for number in chunk}
        self._done: dict[str, str] = {}
        self._bad: dict[str, DomainError] = {}
        self._client = connections.tiktok(account_id)
        self._rules = intake.rules_for(account_id, origin)
        self.outcome = Outcome()

    def take(self, number: str, also: Callable[[Session], None] | None = None) -> None:
        """Make sure this order is stored. Raises ``NotFoundError`` when TikTok does not give it, ``BadOrder`` when it cannot be read."""
        if number not in self._done:
            self._load(self._chunk_of[number], also)
        if number in self._bad:
            raise self._bad[number]
        if self._done[number] != "stored":
            raise NotFoundError(
                "order.not_at_tiktok",
                f"TikTok gave no order {number} for this account.",
                "Check the id and the account; an order placed seconds ago can take half a minute to be readable.",
            )

    def _load(self, chunk: Sequence[str], also: Callable[[Session], None] | None) -> None:
        end_reading()
        valid = [number for number in chunk if number.isdigit()]
        payloads = self._client.get_orders(valid)
        outcome = intake.store_page(self._rules, payloads, park=self._remember, also=also)
        self.outcome.add(outcome)
        for number in chunk:
            self._done[number] = "stored" if number in outcome.numbers else "absent"

    def _remember(self, record: BadRecord) -> None:
        self._bad[record.ref] = record.error


def _chunks(numbers: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for first in range(0, len(numbers), size):
        yield numbers[first : first + size]


# --- storing ------------------------------------------------------------------------------------------------------------------------------


def read_windows(
    run: Run, client: TikTokClient, rules: Rules, field: str, filters: Mapping[str, Any], outcome: Outcome, *, threads: int, park: Callable[[BadRecord], None]
) -> bool:
    """Read and store every window of the run's check-point that is not done; False when the run was cancelled on the way."""
    reading = windows.Reading(client, run.checkpoint["windows"], field, filters)
    total = 0
    with reading.pages(threads) as batches:
        for pages in batches:
            if run.cancelled:
                return False
            if not pages:
                continue
            for page in pages:
                total += page.total or 0
                reading.mark_stored(page)
            orders = [order for page in pages for order in page.orders]
            outcome.add(intake.store_page(rules, orders, park=park, also=lambda session: run.save_checkpoint(session, windows=reading.position())))
            run.progress(outcome.read, max(outcome.read, total), "Reading orders")
    return not run.cancelled


class _Parking:
    """Parks bad records in the run. The overlap brings a scheduled import the same bad record again: the same content is parked once in two days."""

    def __init__(self, run: Run, account_id: int, *, again: bool = False) -> None:
        self._run, self._account_id, self._again = run, account_id, again

    def __call__(self, record: BadRecord) -> None:
        data = record.parked_data()
        if not self._again and self._known(record.ref, data["digest"]):
            return
        self._run.park(record.ref, record.ref, record.error, data)

    def _known(self, ref: str, digest: str) -> bool:
        since = utcnow() - _PARKED_FOR
        parked = db.session.scalars(
            select(JobItem.data)
            .join(JobRun, JobRun.id == JobItem.run_id)
            .where(JobRun.account_id == self._account_id, JobRun.kind == "orders.import", JobRun.created_at > since)
            .where(JobItem.ref == ref, JobItem.state == "failed")
        ).all()
        end_reading()
        return any((data or {}).get("digest") == digest for data in parked)


def _save(run: Run, **values: Any) -> None:
    with unit_of_work() as session:
        run.save_checkpoint(session, **values)


def _moment(seconds: int) -> datetime:
    moment = from_epoch(seconds)
    assert moment is not None
    return moment


def import_unknown(account_id: int, client: TikTokClient, numbers: set[str], *, park: Callable[[BadRecord], None]) -> None:
    """Take in those of the orders that are not known yet; what TikTok says of an order may arrive before the order. Call it outside a transaction."""
    known = set(db.session.scalars(select(Order.number).where(Order.account_id == account_id, Order.number.in_(numbers))))
    end_reading()
    unknown = sorted(number for number in numbers - known if number.isdigit())
    if not unknown:
        return
    rules = intake.rules_for(account_id, SCHEDULE)
    end_reading()
    for first in range(0, len(unknown), DETAIL_LIMIT):
        intake.store_page(rules, client.get_orders(unknown[first : first + DETAIL_LIMIT]), park=park)

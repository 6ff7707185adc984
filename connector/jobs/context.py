"""What a job body is given: its run, its items, and the guarded ways to record progress."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import current_app
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from connector.clients import errors as api
from connector.core import logs
from connector.core.clock import utcnow
from connector.core.db import db, dialect_of, end_reading, is_away, unit_of_work
from connector.core.errors import DomainError
from connector.jobs import doorbell
from connector.models.run import RUNNING, JobItem, JobRun

#: Passes an item may need because the remote side was away before it counts as failed.
MAX_ATTEMPTS = 8
#: Unknown failures in a row that stop a run: the fault is then not the items'.
MAX_INTERNAL_IN_A_ROW = 5


class LeaseLost(Exception):
    """Another worker has taken the run over; whatever this one still holds must not be written."""


class RunWaits(Exception):
    """The run cannot go on now and is continued later."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds


#: Set when this process is asked to end: a run is then handed back between two items, or at its next sign of progress.
leaving = threading.Event()


class HandedBack(RunWaits):
    """The worker is being stopped; what is left of the run is for another one."""

    def __init__(self) -> None:
        super().__init__("Its worker was stopped; another one goes on with it.", 0.0)


class Skip(Exception):
    """This item is deliberately left undone."""

    def __init__(self, code: str, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.remedy = code, message, remedy


class Later(Exception):
    """This item waits for something that is not its fault (an audit, a daily limit): it stays open, and the pass does not count against it."""

    def __init__(self, code: str, message: str, remedy: str, seconds: float) -> None:
        super().__init__(message)
        self.code, self.message, self.remedy, self.seconds = code, message, remedy, seconds


@dataclass(frozen=True)
class Item:
    """One unit of a run: ``ref`` names the thing, ``attempts`` counts earlier passes."""

    id: int
    ref: str
    label: str
    attempts: int
    data: dict[str, Any]


@dataclass
class _Outcome:
    state: str
    code: str | None = None
    message: str = ""
    remedy: str = ""
    data: dict[str, Any] | None = None
    retry_in: float | None = None
    counts: bool = True  #: as one of the item's attempts


class JobContext:
    """One pass of one run by one worker."""

    def __init__(self, run: JobRun, lease_seconds: int) -> None:
        self.run_id: int = run.id
        self.kind = run.kind
        self.account_id = run.account_id
        self.args: dict[str, Any] = dict(run.args or {})
        self.started_by = run.started_by
        self.checkpoint: dict[str, Any] = dict(run.checkpoint or {})
        self.fence = run.fence
        self.lease_seconds = lease_seconds
        self.log = logs.get("connector.jobs").bind(run=run.id, kind=run.kind)
        self.message = ""
        self.result: dict[str, Any] = {}
        self._cancelled = threading.Event()
        self._lost = threading.Event()
        self._progress_lock = threading.Lock()
        self._last_progress = 0.0
        self._unwritten: dict[str, Any] = {}
        self._app = current_app._get_current_object()  # type: ignore[attr-defined]

    # --- guarded writes ----------------------------------------------------------------------------------------------------------

    def commit_guard(self, session: Session, **values: Any) -> None:
        """Inside the caller's transaction: make sure this worker still owns the run, or raise ``LeaseLost``.

        The update takes the run's row, so that a worker which takes the run over waits until this transaction has ended.
        """
        if self._lost.is_set():
            raise LeaseLost
        changed = session.execute(
            update(JobRun).where(JobRun.id == self.run_id, JobRun.fence == self.fence, JobRun.state == RUNNING).values(version=JobRun.version + 1, **values)
        ).rowcount
        if changed != 1:
            self._lost.set()
            raise LeaseLost

    def save_checkpoint(self, session: Session, **values: Any) -> None:
        """Merge ``values`` into the run's check-point in the caller's transaction, guarded by the fence."""
        self.checkpoint = {**self.checkpoint, **values}
        self.commit_guard(session, checkpoint=self.checkpoint, takes=0)

    def progress(self, done: int | None = None, total: int | None = None, stage: str | None = None, *, force: bool = False) -> None:
        """Show how far the run is. Cheap: written at most twice a second. Raises ``HandedBack`` when this worker is being stopped."""
        with self._progress_lock:
            self._unwritten |= {key: value for key, value in (("done", done), ("total", total), ("stage", stage)) if value is not None}
            if leaving.is_set():
                raise HandedBack
            now = time.monotonic()
            if not force and now - self._last_progress < 0.5:
                return
            self._last_progress = now
            values: dict[str, Any] = {"takes": 0, **self._unwritten}
            self._unwritten = {}
        with unit_of_work() as session:
            self.commit_guard(session, **values)
        doorbell.announce("run", id=self.run_id)

    def last_progress(self) -> dict[str, Any]:
        """What was told since the last write: the end of the run writes it, or a run would end at "0 of 100"."""
        with self._progress_lock:
            values, self._unwritten = self._unwritten, {}
        return values

    def finish(self, message: str, **result: Any) -> None:
        """What the run says at its end."""
        self.message = message
        self.result = result

    def wait(self, reason: str, seconds: float) -> None:
        """Give the run back; it is continued after ``seconds``."""
        raise RunWaits(reason, seconds)

    @property
    def cancelled(self) -> bool:
        """A person asked to stop, or the run was lost to another worker."""
        return self._cancelled.is_set() or self._lost.is_set()

    # --- items -------------------------------------------------------------------------------------------------------------------

    def has_items(self) -> bool:
        """Whether the run has any units, open or ended."""
        found = db.session.scalar(select(JobItem.id).where(JobItem.run_id == self.run_id).limit(1)) is not None
        end_reading()
        return found

    def open_refs(self) -> list[str]:
        """What is left to do, in the order in which it was submitted."""
        refs = list(db.session.scalars(select(JobItem.ref).where(JobItem.run_id == self.run_id, JobItem.state == "open").order_by(JobItem.id)))
        end_reading()
        return refs

    def add_items(self, items: Iterable[tuple[str, str]]) -> None:
        """Add units to the run; ones it already has are left alone."""
        rows = [{"run_id": self.run_id, "ref": str(ref), "label": label[:200], "state": "open", "attempts": 0, "message": "", "remedy": "", "data": {}}
                for ref, label in dict(items).items()]  # fmt: skip
        with unit_of_work() as session:
            self.commit_guard(session)
            if rows:
                dialect = dialect_of(session)
                session.execute(dialect.insert(JobItem).on_conflict_do_nothing(index_elements=["run_id", "ref"]), rows)
            total = session.scalar(select(func.count()).select_from(JobItem).where(JobItem.run_id == self.run_id))
            session.execute(update(JobRun).where(JobRun.id == self.run_id).values(total=total))

    def park(self, ref: str, label: str, error: Exception, data: dict[str, Any] | None = None) -> None:
        """Record a bad record with its reason and remedy, without stopping its neighbours (product rule 5)."""
        self.add_items([(ref, label)])
        outcome = _describe(error, attempts=MAX_ATTEMPTS)
        outcome.data = data or {}
        item = db.session.execute(select(JobItem).where(JobItem.run_id == self.run_id, JobItem.ref == str(ref))).scalar_one()
        self._record(Item(item.id, item.ref, item.label, item.attempts, item.data), outcome)

    def stage(self, ref: str, words: str) -> None:
        """Show what is being done to one item right now; "" when nothing is."""
        with unit_of_work() as session:
            self.commit_guard(session)
            session.execute(update(JobItem).where(JobItem.run_id == self.run_id, JobItem.ref == str(ref)).values(stage=words[:60]))
        doorbell.announce("run", id=self.run_id)

    def map(self, fn: Callable[[Item], Any], *, parallel: int = 1) -> None:
        """Run ``fn`` once for every open item; see the package documentation for what its answers and errors mean."""
        rows = db.session.execute(
            select(JobItem.id, JobItem.ref, JobItem.label, JobItem.attempts, JobItem.data)
            .where(JobItem.run_id == self.run_id, JobItem.state == "open")
            .order_by(JobItem.id)
        ).all()
        db.session.commit()
        items = iter(Item(*row) for row in rows)
        internal_in_a_row = 0
        retry_after: list[tuple[float, str]] = []
        lost_authorisation: Exception | None = None

        def one(item: Item) -> _Outcome:
            with self._app.app_context():
                try:
                    answer = fn(item)
                except BaseException as error:
                    db.session.rollback()
                    if isinstance(error, (LeaseLost, RunWaits, api.Unauthorized)) or is_away(error) or not isinstance(error, Exception):
                        raise
                    outcome = _describe(error, attempts=item.attempts + 1)
                    if outcome.code == "internal":
                        self.log.error("item_failed", item=item.ref, reference=(outcome.data or {}).get("reference"), exc_info=error)
                else:
                    outcome = _Outcome("done", message=answer if isinstance(answer, str) else "", data=answer if isinstance(answer, dict) else None)
                self._record(item, outcome)
                return outcome

        with ThreadPoolExecutor(max_workers=max(1, parallel), thread_name_prefix=f"run-{self.run_id}") as pool:
            pending: set[Future[_Outcome]] = set()
            exhausted = False
            stop: BaseException | None = None
            while True:
                while not exhausted and stop is None and len(pending) < max(1, parallel) and not self.cancelled and not leaving.is_set():
                    item = next(items, None)
                    if item is None:
                        exhausted = True
                        break
                    pending.add(pool.submit(copy_context().run, one, item))  # the thread acts as, and for, this run
                if not pending:
                    break
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    error = future.exception()
                    if isinstance(error, api.Unauthorized):
                        lost_authorisation = stop = error
                    elif error is not None:
                        stop = error
                    else:
                        outcome = future.result()
                        internal_in_a_row = internal_in_a_row + 1 if outcome.code == "internal" else 0
                        if internal_in_a_row >= MAX_INTERNAL_IN_A_ROW:
                            stop = RuntimeError(
                                f"{MAX_INTERNAL_IN_A_ROW} items in a row failed for a reason the connector does not know; the log has the tracebacks."
                            )
                        if outcome.retry_in is not None:
                            retry_after.append((outcome.retry_in, outcome.message))
        if self._lost.is_set():
            raise LeaseLost
        if lost_authorisation is not None:
            raise lost_authorisation
        if stop is not None:
            raise stop
        if not exhausted and leaving.is_set() and not self.cancelled:
            raise HandedBack
        if retry_after and not self.cancelled:
            seconds, reason = min(retry_after)
            raise RunWaits(reason, seconds)

    def _record(self, item: Item, outcome: _Outcome) -> None:
        now = utcnow()
        values: dict[str, Any] = {
            "state": outcome.state,
            "attempts": item.attempts + outcome.counts,
            "code": outcome.code,
            "message": outcome.message,
            "remedy": outcome.remedy,
            "stage": "",
            "retry_at": None if outcome.retry_in is None else now + timedelta(seconds=outcome.retry_in),
        }
        if outcome.data is not None:
            values["data"] = outcome.data
        if outcome.state != "open":
            values["finished_at"] = now
        counts: dict[str, Any] = {"takes": 0}
        column = {"done": JobRun.done, "failed": JobRun.failed, "skipped": JobRun.skipped}.get(outcome.state)
        if column is not None:
            counts[column.key] = column + 1
        with unit_of_work() as session:
            self.commit_guard(session, **counts)
            session.execute(update(JobItem).where(JobItem.id == item.id).values(**values))
        with self._progress_lock:
            due = time.monotonic() - self._last_progress > 0.5
            if due:
                self._last_progress = time.monotonic()
        if due:
            doorbell.announce("run", id=self.run_id)

    # --- lease -------------------------------------------------------------------------------------------------------------------

    def keep_lease(self, stop: threading.Event) -> None:
        """Heartbeat of the pass, in a thread of its own: prolongs the lease, hears about cancellation and about its own replacement."""
        while not stop.wait(min(2.0, self.lease_seconds / 4)):
            try:
                with self._app.app_context(), unit_of_work() as session:
                    row = session.execute(select(JobRun.fence, JobRun.state, JobRun.cancel_asked).where(JobRun.id == self.run_id)).one_or_none()
                    if row is None or row.fence != self.fence or row.state != RUNNING:
                        self._lost.set()
                        return
                    if row.cancel_asked:
                        self._cancelled.set()
                    session.execute(
                        update(JobRun)
                        .where(JobRun.id == self.run_id, JobRun.fence == self.fence)
                        .values(lease_until=utcnow() + timedelta(seconds=self.lease_seconds))
                    )
            except Exception as error:
                self.log.warning("heartbeat_missed", error=repr(error))


def _describe(error: Exception, *, attempts: int) -> _Outcome:
    """Turn an error of one item into its recorded outcome."""
    if isinstance(error, Skip):
        return _Outcome("skipped", error.code, error.message, error.remedy)
    if isinstance(error, Later):
        return _Outcome("open", error.code, error.message, error.remedy, retry_in=error.seconds, counts=False)
    if isinstance(error, DomainError):
        return _Outcome("failed", error.code, error.message, error.remedy)
    if isinstance(error, (api.Unavailable, api.Uncertain)) or (isinstance(error, api.Rejected) and getattr(error, "transient", False)):
        code, title, advice = api.describe(error)
        if attempts < MAX_ATTEMPTS:
            delay = float(getattr(error, "retry_after", None) or min(120.0, 1.5**attempts))
            return _Outcome("open", code, f"{title}: {error}", advice, retry_in=delay)
        return _Outcome("failed", code, f"{title}: {error}", advice)
    if isinstance(error, api.ApiError):
        code, title, advice = api.describe(error)
        return _Outcome("failed", code, f"{title}: {error}" if str(error) not in title else title, advice)
    reference = uuid.uuid4().hex[:12]
    return _Outcome(
        "failed",
        "internal",
        f"An unexpected error occurred (reference {reference}).",
        "Search the log for the reference and report the issue with it.",
        data={"reference": reference},
    )

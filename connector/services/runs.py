"""Submitting, cancelling, retrying and pausing long work (product rules 1, 2, 10).

``submit`` only writes rows. The doorbell (RQ) is rung after the commit by the outbox; if Redis is away, the sweeper rings later, so nothing
is lost. Nobody but ``connector.jobs`` knows RQ: it hands its bell to ``set_bell``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from flask import Flask
from sqlalchemy import event, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.run import CANCELLED, FAILED, OPEN_STATES, PARTIAL, QUEUED, RUNNING, WAITING, JobItem, JobRun, Pause
from connector.services import events
from connector.services.kinds import KINDS


class Run(Protocol):
    """What a use case needs of the run it works for (``connector.jobs`` gives it)."""

    checkpoint: dict[str, Any]

    def save_checkpoint(self, session: Session, **values: Any) -> None: ...
    def park(self, ref: str, label: str, error: Exception, data: dict[str, Any] | None = None) -> None: ...
    def progress(self, done: int | None = None, total: int | None = None, stage: str | None = None) -> None: ...
    @property
    def cancelled(self) -> bool: ...


Bell = Callable[[int, int, str], None]
_bell: Bell | None = None


def set_bell(bell: Bell) -> None:
    """Who rings for a run: called with (run id, fence, queue) after the commit; must not raise."""
    global _bell
    _bell = bell


def install_outbox(app: Flask) -> None:
    """Ring for submitted runs when, and only when, their rows are committed."""
    session_class = db.session.session_factory.class_
    if getattr(session_class, "_outbox_installed", False):
        return
    session_class._outbox_installed = True

    @event.listens_for(session_class, "after_commit")
    def _ring(session: Session) -> None:
        if session.in_nested_transaction():  # a savepoint: the row is not there for others yet
            return
        waiting = session.info.pop("outbox", [])
        for run_id, fence, queue in waiting:
            if _bell is not None:
                _bell(run_id, fence, queue)

    @event.listens_for(session_class, "after_soft_rollback")
    def _forget(session: Session, previous: Any) -> None:
        if not session.in_nested_transaction() and previous.parent is None:
            session.info.pop("outbox", None)


@dataclass(frozen=True)
class Submitted:
    """What became of a submission: ``existing`` is true when the same work was already open and is shown instead."""

    run_id: int
    existing: bool = False


def ring_after_commit(run: JobRun) -> None:
    db.session.info.setdefault("outbox", []).append((run.id, run.fence, run.queue))


def submit(
    kind: str,
    *,
    account_id: int | None = None,
    args: dict[str, Any] | None = None,
    items: Iterable[tuple[str, str]] = (),
    key: str | None = None,
    title: str | None = None,
    started_by: str = "system",
    parent_id: int | None = None,
    not_before: datetime | None = None,
    quiet: bool = False,
) -> Submitted:
    """Write one run and ring for it after the commit.

    ``items``: (ref, label) pairs, the units of the run. ``key``: what would make two runs the same; while such a run is open, it is returned
    with ``existing=True`` instead of a second one. ``args``: JSON scalars and ids only. ``quiet``: shown among the work only when it does not succeed,
    and forgotten soon after it has. Joins the caller's transaction if there is one.
    """
    spec = KINDS[kind]
    with unit_of_work() as session:
        if key and (found := _open_run(key)):
            return Submitted(found, existing=True)
        run = JobRun(
            kind=kind,
            title=title or spec.title,
            queue=spec.queue,
            account_id=account_id,
            args=args or {},
            dedupe_key=key,
            started_by=started_by,
            parent_id=parent_id,
            not_before=not_before,
            quiet=quiet,
        )
        try:
            with session.begin_nested():
                session.add(run)
                session.flush()
        except IntegrityError:
            found = _open_run(key or "")
            if found is None:
                raise
            return Submitted(found, existing=True)
        units = [{"run_id": run.id, "ref": str(ref), "label": label[:200]} for ref, label in dict(items).items()]
        if units:
            session.execute(insert(JobItem), units)
            run.total = len(units)
            session.flush()
        ring_after_commit(run)
        return Submitted(run.id)


def alive(run_id: int) -> bool:
    """Whether a worker is at the run, as far as its lease tells. Joins the caller's transaction."""
    query = select(JobRun.id).where(JobRun.id == run_id, JobRun.state == RUNNING, JobRun.lease_until >= utcnow())
    return db.session.scalar(query) is not None


def alone(account_id: int, *kinds: str) -> bool:
    """Whether the present work is the only living run of these kinds for the account: what another one had in hand is nobody's any more, because its
    worker is dead. False outside a run. Joins the caller's transaction."""
    if (mine := events.run_now.get()) is None:
        return False
    others = (JobRun.account_id == account_id, JobRun.kind.in_(kinds), JobRun.state == RUNNING, JobRun.lease_until >= utcnow(), JobRun.id != mine)
    return db.session.scalar(select(JobRun.id).where(*others).limit(1)) is None


def _open_run(key: str) -> int | None:
    return db.session.scalar(select(JobRun.id).where(JobRun.dedupe_key == key, JobRun.state.in_(OPEN_STATES)))


def get(run_id: int) -> JobRun:
    run = db.session.get(JobRun, run_id)
    if run is None:
        raise DomainError("run.unknown", f"There is no run {run_id}.", "It may have been removed by housekeeping; open Queue Process for the present ones.")
    return run


def cancel(run_id: int, *, actor: str) -> JobRun:
    """Ask a run to stop. One that no worker has taken ends at once; a running one ends after its present item."""
    with unit_of_work() as session:
        run = get(run_id)
        if run.state not in OPEN_STATES:
            raise DomainError("run.ended", f"Run {run_id} has already ended ({run.state}).", "Nothing needs to be done.")
        now = utcnow()
        ended = session.execute(
            update(JobRun)
            .where(JobRun.id == run_id, JobRun.state.in_((QUEUED, WAITING)))
            .values(state=CANCELLED, cancel_asked=True, finished_at=now, message=f"Cancelled by {actor}.", version=JobRun.version + 1)
        ).rowcount
        if ended:
            session.execute(update(JobItem).where(JobItem.run_id == run_id, JobItem.state.in_(("open", "waiting"))).values(state="cancelled", finished_at=now))
        else:
            session.execute(update(JobRun).where(JobRun.id == run_id, JobRun.state == RUNNING).values(cancel_asked=True, version=JobRun.version + 1))
        session.expire_all()
        return get(run_id)


def retry_failed(run_id: int, *, actor: str) -> Submitted:
    """A child run of the failed items only."""
    with unit_of_work() as session:
        run = get(run_id)
        if run.state in OPEN_STATES:
            raise DomainError("run.open", f"Run {run_id} is still {run.state}.", "Wait for its end, or cancel it, then retry what failed.")
        failed = session.execute(select(JobItem.ref, JobItem.label).where(JobItem.run_id == run_id, JobItem.state.in_(("failed", "cancelled")))).all()
        if not failed and run.state not in (FAILED, PARTIAL, CANCELLED):
            raise DomainError("run.nothing_failed", f"Nothing failed in run {run_id}.", "There is nothing to retry.")
        return submit(
            run.kind,
            account_id=run.account_id,
            args=run.args,
            items=[(ref, label) for ref, label in failed],
            key=f"retry:{run_id}",
            title=run.title,
            started_by=actor,
            parent_id=run.id,
        )


def wake(kind: str | None = None, account_id: int | None = None) -> int:
    """Make waiting runs due now (an authorisation came back, a pause ended). The number of runs woken."""
    with unit_of_work() as session:
        query = select(JobRun).where(JobRun.state == WAITING)
        if kind:
            query = query.where(JobRun.kind == kind)
        if account_id:
            query = query.where(JobRun.account_id == account_id)
        waiting = session.scalars(query).all()
        for run in waiting:
            run.state, run.not_before, run.wait_reason, run.version = QUEUED, None, "", run.version + 1
            ring_after_commit(run)
        return len(waiting)


def pause(*, account_id: int | None, kind: str = "*", reason: str = "", actor: str) -> None:
    """Stop taking up a kind of work, or all work of an account, until it is resumed."""
    with unit_of_work() as session:
        found = session.scalar(select(Pause).where(Pause.account_id.is_(None) if account_id is None else Pause.account_id == account_id, Pause.kind == kind))
        if found is None:
            session.add(Pause(account_id=account_id, kind=kind, reason=reason, created_by=actor))


def resume(pause_id: int) -> None:
    with unit_of_work() as session:
        found = session.get(Pause, pause_id)
        if found is not None:
            session.delete(found)
    wake()


def pause_for(kind: str, account_id: int | None) -> Pause | None:
    """The pause that stops this kind of work for this account, if any."""
    query = select(Pause).where(Pause.kind.in_((kind, "*")), (Pause.account_id.is_(None)) | (Pause.account_id == account_id))
    return db.session.scalars(query).first()

"""Ringing again: the part that makes Redis a mere doorbell (product rule 1)."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import and_, delete, or_, select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.jobs import doorbell
from connector.models.run import QUEUED, RUNNING, WAITING, JobRun, Schedule


def sweep() -> int:
    """Ring for every run that is due and may not have been heard; return how many.

    Waiting runs whose time has come, queued runs (their message may be lost with Redis), and running ones whose worker fell silent.
    """
    now = utcnow()
    rows = db.session.execute(
        select(JobRun.id, JobRun.fence, JobRun.queue, JobRun.state, JobRun.created_at)
        .where(
            or_(
                and_(JobRun.state.in_((QUEUED, WAITING)), or_(JobRun.not_before.is_(None), JobRun.not_before <= now)),
                and_(JobRun.state == RUNNING, JobRun.lease_until < now),
            )
        )
        .order_by(JobRun.id)
        .limit(500)
    ).all()
    db.session.commit()
    for row in rows:
        # A bell that was swallowed by a dying worker keeps its job id taken in RQ: after a while ring under another one.
        swallowed = row.state == RUNNING or now - row.created_at > timedelta(seconds=20)
        doorbell.ring(row.id, row.fence, row.queue, again=swallowed)
    return len(rows)


def requeue_stale() -> int:
    """Show runs of silent workers as queued again, so that nobody reads "running" where nothing runs."""
    with unit_of_work() as session:
        return session.execute(
            update(JobRun)
            .where(JobRun.state == RUNNING, JobRun.lease_until < utcnow() - timedelta(seconds=1))
            .values(
                state=QUEUED,
                fence=JobRun.fence + 1,
                wait_reason="Its worker fell silent; another one takes it over.",
                lease_until=None,
                version=JobRun.version + 1,
            )
        ).rowcount


def forget_quiet(older_than: timedelta = timedelta(minutes=15)) -> int:
    """Remove scheduled runs that found nothing to do, so that Activity shows work; their schedule keeps the outcome."""
    with unit_of_work() as session:
        gone = session.scalars(select(JobRun.id).where(JobRun.quiet, JobRun.finished_at < utcnow() - older_than).limit(1000)).all()
        if gone:
            session.execute(update(Schedule).where(Schedule.last_run_id.in_(gone)).values(last_run_id=None))
            session.execute(delete(JobRun).where(JobRun.id.in_(gone)))
        return len(gone)

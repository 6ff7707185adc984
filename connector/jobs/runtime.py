"""Executing runs (product rules 1, 2, 5, 10).

``perform`` is all that RQ calls. A worker takes a run with one conditional update that raises the fence; a run that nobody may take (paused,
not due, authorisation lost, already taken) is left to the sweeper. A body is registered with ``@job`` and receives a ``JobContext``.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import has_app_context
from sqlalchemy import and_, func, or_, select, update

from connector.clients import errors as api
from connector.core import logs
from connector.core.clock import utcnow
from connector.core.db import db, is_away, unit_of_work
from connector.core.errors import DomainError
from connector.jobs import doorbell
from connector.jobs.context import Item, JobContext, LeaseLost, RunWaits, Skip, leaving
from connector.models.account import Account
from connector.models.run import CANCELLED, FAILED, PARTIAL, QUEUED, RUNNING, SUCCEEDED, WAITING, JobItem, JobRun, Schedule
from connector.services import events, runs
from connector.services.kinds import KINDS

__all__ = ["Item", "JobContext", "LeaseLost", "RunWaits", "Skip", "job", "perform"]

Body = Callable[[JobContext], None]
BODIES: dict[str, Body] = {}
log = logs.get(__name__)

#: Kinds of work after which open orders pages look again.
ORDER_WORK = ("orders.", "shipments.", "cancellations.", "returns.")
CATALOGUE_WORK = ("products.", "templates.")
#: A run that costs so many workers their lives without any progress is stopped instead of killing more of them.
MAX_TAKES = 6
#: How soon a run that waits for a person (pause, authorisation) is looked at again.
BLOCKED_SECONDS = 20.0
#: How often a worker looks whether the database is back.
AWAY_SECONDS = 2.0


def job(kind: str) -> Callable[[Body], Body]:
    """Register the body of a kind of work; the kind must stand in ``connector.services.kinds``."""
    if kind not in KINDS:
        raise KeyError(f"{kind} is not a kind of work")

    def register(body: Body) -> Body:
        BODIES[kind] = body
        return body

    return register


def perform(run_id: int) -> None:
    """Take the run and execute its body; every way out leaves the truth in the database."""
    if not has_app_context():
        from connector.jobs.worker import worker_app

        with worker_app().app_context():
            perform(run_id)
        return
    try:
        _perform(run_id)
    except Exception as error:
        if not is_away(error):
            raise
        log.warning("database_away", run=run_id, error=type(error).__name__)
        leaving.wait(AWAY_SECONDS)  # the run stands as it was, and the sweeper rings for it
    finally:
        db.session.remove()


def _perform(run_id: int) -> None:
    run = _take(run_id)
    if run is None:
        return
    context = JobContext(run, KINDS[run.kind].lease_seconds)
    actor = events.actor_now.set(f"job {run.kind}" + (f" for {run.started_by}" if run.started_by != "system" else ""))
    current_run = events.run_now.set(run.id)
    stop = threading.Event()
    heartbeat = threading.Thread(target=context.keep_lease, args=(stop,), name=f"lease-{run.id}", daemon=True)
    heartbeat.start()
    doorbell.announce("run", id=run.id)
    try:
        try:
            BODIES[run.kind](context)
        except BaseException:
            db.session.rollback()
            raise
        _finish(context)
    except LeaseLost:
        context.log.warning("lease_lost")
    except RunWaits as waits:
        _give_back(context, waits.reason, waits.seconds)
    except api.Unauthorized as error:
        from connector.services import accounts

        if run.account_id is not None and error.system == "tiktok":
            accounts.authorisation_lost(run.account_id, error)
        _give_back(context, api.describe(error)[1] + f": {error}", BLOCKED_SECONDS)
    except (api.Unavailable, api.Uncertain) as error:
        _give_back(context, f"{api.describe(error)[1]}: {error}", float(error.retry_after or _patience(run)))
    except api.ApiError as error:
        code, title, advice = api.describe(error)
        _end(context, FAILED, f"{title}: {error} {advice}", code)
    except DomainError as error:
        _end(context, FAILED, str(error), error.code)
    except Exception as error:
        if is_away(error):
            _give_back_in_time(context, error)
            return
        context.log.error("run_failed", exc_info=error)
        _end(context, FAILED, f"The run stopped on an unexpected error: {error}. The log has the traceback under run {run.id}.", "internal")
    finally:
        stop.set()
        events.actor_now.reset(actor)
        events.run_now.reset(current_run)
        heartbeat.join(timeout=5)
        doorbell.announce("run", id=run.id)
        if run.kind.startswith(ORDER_WORK):
            doorbell.announce("orders")
        if run.kind.startswith(CATALOGUE_WORK):
            doorbell.announce("products")


def _take(run_id: int) -> JobRun | None:
    now = utcnow()
    run = db.session.get(JobRun, run_id, populate_existing=True)
    if run is None or run.state not in (QUEUED, WAITING, RUNNING):
        return None
    reason = _blocked(run)
    db.session.commit()
    if reason:
        if run.state != RUNNING:
            _mark_waiting(run_id, run.fence, reason, BLOCKED_SECONDS)
        return None
    due = or_(JobRun.not_before.is_(None), JobRun.not_before <= now)
    with unit_of_work() as session:
        taken = session.execute(
            update(JobRun)
            .where(
                JobRun.id == run_id,
                or_(and_(JobRun.state.in_((QUEUED, WAITING)), due), and_(JobRun.state == RUNNING, JobRun.lease_until < now)),
            )
            .values(
                state=RUNNING,
                fence=JobRun.fence + 1,
                takes=JobRun.takes + 1,
                lease_until=now + timedelta(seconds=KINDS[run.kind].lease_seconds),
                worker=f"{socket.gethostname()}:{os.getpid()}",
                started_at=func.coalesce(JobRun.started_at, now),
                not_before=None,
                wait_reason="",
                version=JobRun.version + 1,
            )
        ).rowcount
    if taken != 1:
        return None
    run = db.session.get(JobRun, run_id, populate_existing=True)
    db.session.commit()
    assert run is not None
    if run.takes > MAX_TAKES:
        _end(JobContext(run, 60), FAILED, f"{MAX_TAKES} workers in a row died on this run without getting on.", "run.kills_workers")
        return None
    return run


def _blocked(run: JobRun) -> str:
    """Why the run may not be taken now; empty when it may."""
    stopped = runs.pause_for(run.kind, run.account_id)
    if stopped is not None:
        return f"Paused by {stopped.created_by}{': ' + stopped.reason if stopped.reason else ''}. Resume it on the Queue page."
    if run.account_id is not None and KINDS[run.kind].remote:
        account = db.session.get(Account, run.account_id, populate_existing=True)
        if account is not None and not account.active:
            return f"The account {account.title} is disabled. Enable it on the Accounts page."
        if account is not None and not account.connected:
            return f"The authorisation of {account.title} has ended. Re-authorise it on the Accounts page; the work then goes on by itself."
    return ""


def _patience(run: JobRun) -> float:
    """Seconds until a run whose remote side is away is tried again: the longer it has waited already, the longer, up to two minutes."""
    waited = (utcnow() - run.started_at).total_seconds() if run.started_at else 0.0
    return min(120.0, max(2.0, waited / 4))


def _mark_waiting(run_id: int, fence: int, reason: str, seconds: float) -> None:
    with unit_of_work() as session:
        session.execute(
            update(JobRun)
            .where(JobRun.id == run_id, JobRun.fence == fence, JobRun.state.in_((QUEUED, WAITING, RUNNING)))
            .values(state=WAITING, takes=0, wait_reason=reason, not_before=utcnow() + timedelta(seconds=seconds), lease_until=None, version=JobRun.version + 1)
        )


def _give_back(context: JobContext, reason: str, seconds: float) -> None:
    if context.cancelled:
        _end(context, CANCELLED, "Cancelled.", None)
        return
    _mark_waiting(context.run_id, context.fence, reason, seconds)


def _give_back_in_time(context: JobContext, error: Exception) -> None:
    """The database went away in the middle: give the run back when it answers again; if that takes longer than the lease, the scheduler does."""
    ends = time.monotonic() + context.lease_seconds
    while True:
        db.session.rollback()
        try:
            _give_back(context, "The database did not answer for a while.", 0.0)
            return
        except Exception as still:
            if not is_away(still) or time.monotonic() > ends or leaving.wait(AWAY_SECONDS):
                raise
        context.log.warning("database_away", error=type(error).__name__)


def _finish(context: JobContext) -> None:
    counts = dict(db.session.execute(select(JobItem.state, func.count()).where(JobItem.run_id == context.run_id).group_by(JobItem.state)).all())
    db.session.commit()
    failed, done = counts.get("failed", 0), counts.get("done", 0) + counts.get("skipped", 0)
    if context.cancelled and (counts.get("open") or not counts):
        _end(context, CANCELLED, context.message or "Cancelled.", None)
        return
    state = SUCCEEDED if not failed else PARTIAL if done or not counts or context.result else FAILED
    _end(context, state, context.message, None)


def _did_something(context: JobContext) -> bool:
    """Whether the run has items or counted anything."""
    counted = any(value for value in context.result.values() if isinstance(value, int | float))
    return counted or db.session.scalar(select(JobItem.id).where(JobItem.run_id == context.run_id).limit(1)) is not None


def _end(context: JobContext, state: str, message: str, code: str | None) -> None:
    now = utcnow()
    with unit_of_work() as session:
        try:
            ended = {"state": state, "message": message, "error_code": code, "finished_at": now, "lease_until": None, "result": context.result, "stage": ""}
            context.commit_guard(session, **{**context.last_progress(), **ended})
        except LeaseLost:
            return
        if state in (CANCELLED, FAILED):
            session.execute(
                update(JobItem)
                .where(JobItem.run_id == context.run_id, JobItem.state == "open")
                .values(state="cancelled", message="Not done: the run ended before.", finished_at=now)
            )
        if state != SUCCEEDED:
            session.execute(update(JobRun).where(JobRun.id == context.run_id).values(quiet=False))
        elif context.started_by == "scheduler" and not _did_something(context):
            session.execute(update(JobRun).where(JobRun.id == context.run_id).values(quiet=True))
        outcome: dict[str, Any] = {"last_outcome": message or state}
        if state in (SUCCEEDED, PARTIAL):
            outcome["last_ok_at"] = now
        session.execute(update(Schedule).where(Schedule.last_run_id == context.run_id).values(**outcome))
    log.info("run_ended", run=context.run_id, kind=context.kind, state=state)

"""The scheduler process: rings, sweeps and starts what is due. Its schedule is a table, so it survives an empty Redis and can be edited."""

from __future__ import annotations

import signal
import threading
import time
from datetime import timedelta

from flask import Flask
from sqlalchemy import select, update

from connector.core import logs
from connector.core.clock import utcnow
from connector.core.db import db, is_away, unit_of_work
from connector.jobs import sweeper
from connector.models.account import Account
from connector.models.run import Heartbeat, Schedule
from connector.services import runs
from connector.services.accounts.editing import ensure_all_schedules

log = logs.get(__name__)

TICK_SECONDS = 1.0


def run_forever(app: Flask, stop: threading.Event | None = None) -> None:
    """Tick until told to stop; one failing tick is logged and the next one tries again."""
    stop = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with app.app_context():
        try:
            ensure_all_schedules()
        except Exception as error:
            log.error("schedules_not_ensured", exc_info=error)
        finally:
            db.session.remove()
    while not stop.wait(TICK_SECONDS):
        with app.app_context():
            try:
                tick()
            except Exception as error:
                if is_away(error):
                    log.warning("database_away", error=type(error).__name__)
                    stop.wait(TICK_SECONDS)
                else:
                    log.error("scheduler_tick_failed", exc_info=error)
            finally:
                db.session.remove()


_last_forgetting = 0.0


def tick() -> None:
    """One round: sign of life, silent workers, bells, schedules; once a minute the runs that found nothing to do are forgotten."""
    global _last_forgetting
    if time.monotonic() - _last_forgetting > 60:
        _last_forgetting = time.monotonic()
        sweeper.forget_quiet()
    beat("scheduler")
    sweeper.requeue_stale()
    start_due()
    sweeper.sweep()


def beat(name: str, **facts: object) -> None:
    """Record a sign of life."""
    with unit_of_work() as session:
        session.merge(Heartbeat(name=name, at=utcnow(), facts=dict(facts)))


def start_due() -> int:
    """Submit a run for every enabled schedule that is due; several schedulers may try, the conditional update lets one win."""
    now = utcnow()
    due = db.session.scalars(select(Schedule).where(Schedule.enabled, Schedule.next_due_at <= now)).all()
    db.session.commit()
    started = 0
    for schedule in due:
        with unit_of_work() as session:
            won = session.execute(
                update(Schedule)
                .where(Schedule.id == schedule.id, Schedule.next_due_at == schedule.next_due_at)
                .values(next_due_at=now + timedelta(seconds=schedule.interval_seconds), last_started_at=now)
            ).rowcount
            if won != 1:
                continue
            account = session.get(Account, schedule.account_id) if schedule.account_id else None
            if account is not None and not account.active:
                session.execute(update(Schedule).where(Schedule.id == schedule.id).values(last_outcome="Not run: the account is disabled."))
                continue
            key = f"schedule:{schedule.kind}:{schedule.account_id or 'all'}"
            submitted = runs.submit(schedule.kind, account_id=schedule.account_id, key=key, started_by="scheduler")
            session.execute(update(Schedule).where(Schedule.id == schedule.id).values(last_run_id=submitted.run_id))
            started += 0 if submitted.existing else 1
    return started

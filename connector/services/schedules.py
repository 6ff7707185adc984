"""The schedule's health: tasks that should have run and did not (product.md 5, Automation)."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from connector.core.clock import utcnow
from connector.core.db import db
from connector.models.run import Heartbeat, Schedule

SILENT_AFTER = timedelta(seconds=30)


def missed() -> list[Schedule]:
    """Enabled tasks that have missed two of their periods."""
    now = utcnow()
    return [row for row in db.session.scalars(select(Schedule).where(Schedule.enabled)) if now - row.next_due_at > timedelta(seconds=2 * row.interval_seconds)]


def scheduler_silent_for() -> timedelta | None:
    """How long the scheduler has been silent, None while it is alive."""
    beat = db.session.get(Heartbeat, "scheduler")
    if beat is None:
        return timedelta.max
    silent = utcnow() - beat.at
    return silent if silent > SILENT_AFTER else None

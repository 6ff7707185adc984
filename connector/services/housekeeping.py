"""Removing what is old: log retention (A050). Orders, policies, events and failed work are never removed here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select

from connector.core.clock import utcnow
from connector.core.db import unit_of_work
from connector.models.account import OAuthState, OutgoingMail, WebhookDelivery
from connector.models.aftersales import DeadlineWarning
from connector.models.oms import UPDATE_DONE, UPDATE_IGNORED, OmsUpdate, OrderFeed
from connector.models.run import CANCELLED, SUCCEEDED, Heartbeat, JobRun
from connector.models.trace import ApiCall
from connector.services import settings
from connector.services.oms import feed
from connector.services.products import ledger

BATCH = 2000


def clean_up(progress: Callable[[str], None] = lambda stage: None) -> dict[str, int]:
    """Remove API calls, finished runs, webhook deliveries, sent mail, feeds, carried-out OMS updates and warnings older than the retention; counts by name.

    In batches, so that nothing waits long. An old update that an OMS sends once more finds that what it says is so already.
    """
    now = utcnow()
    before = now - timedelta(days=int(settings.get("log_retention_days")))
    ended = JobRun.state.in_((SUCCEEDED, CANCELLED))
    plan: tuple[tuple[str, Any, Any], ...] = (
        ("API calls", ApiCall.id, ApiCall.at < before),
        ("finished runs", JobRun.id, ended & (JobRun.finished_at < _runs_before(now, before))),
        ("webhook deliveries", WebhookDelivery.notification_id, WebhookDelivery.received_at < before),
        ("mails", OutgoingMail.id, OutgoingMail.state.in_(("sent", "kept")) & (OutgoingMail.created_at < before)),
        ("consent states", OAuthState.state, OAuthState.created_at < now - timedelta(days=1)),
        ("order feeds", OrderFeed.id, feed.removable(before)),
        ("OMS updates", OmsUpdate.id, OmsUpdate.state.in_((UPDATE_DONE, UPDATE_IGNORED)) & (OmsUpdate.received_at < before)),
        ("deadline warnings", DeadlineWarning.id, (DeadlineWarning.due_at < before) & (DeadlineWarning.warned_at < before)),
        ("signs of life", Heartbeat.name, Heartbeat.at < now - timedelta(days=7)),
    )
    counts = {}
    for name, key, condition in plan:
        progress(name)
        counts[name] = _remove(key, condition)
    progress("stock ledger")
    counts["stock ledger entries"] = ledger.carry()
    return counts


def _runs_before(now: datetime, before: datetime) -> datetime:
    """Runs of schedules come every minute: two days of the uneventful ones are enough."""
    return max(before, now - timedelta(days=2))


def _remove(key: Any, condition: Any) -> int:
    total = 0
    while True:
        with unit_of_work() as session:
            ids = list(session.scalars(select(key).where(condition).limit(BATCH)))
            if ids:
                session.execute(delete(key.class_).where(key.in_(ids)))
        total += len(ids)
        if len(ids) < BATCH:
            return total

"""Writing the trace of changes (product rule 8): one call, used by every service."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from connector.core.db import db
from connector.models.trace import Decision, Event

#: Who acts in this context: a user's e-mail (set by the web), or ``job <kind>`` (set by the runtime).
actor_now: ContextVar[str] = ContextVar("actor_now", default="system")
run_now: ContextVar[int | None] = ContextVar("run_now", default=None)


def record(
    kind: str,
    subject_type: str,
    subject_id: object,
    message: str,
    *,
    account_id: int | None = None,
    before: Any = None,
    after: Any = None,
    reason: str = "",
    actor: str | None = None,
    policy_version_id: int | None = None,
) -> Event:
    """Add one event to the caller's transaction."""
    event = Event(
        kind=kind,
        subject_type=subject_type,
        subject_id=str(subject_id),
        message=message,
        account_id=account_id,
        before=before,
        after=after,
        reason=reason,
        actor=actor or actor_now.get(),
        run_id=run_now.get(),
        policy_version_id=policy_version_id,
    )
    db.session.add(event)
    return event


def record_decision(subject_type: str, subject_id: object, action: str, checks: list[dict[str, Any]], *, policy_version_id: int | None = None) -> Decision:
    """Keep an ordered list of checks with its verdict (product rule 9)."""
    decision = Decision(
        subject_type=subject_type,
        subject_id=str(subject_id),
        action=action,
        allowed=all(check["ok"] for check in checks),
        checks=checks,
        run_id=run_now.get(),
        policy_version_id=policy_version_id,
    )
    db.session.add(decision)
    return decision

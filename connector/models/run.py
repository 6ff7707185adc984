"""Job runs and their items, schedules, pauses and heartbeats: the truth about long work (product rules 1, 2, 10)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from connector.core.clock import utcnow
from connector.core.db import Base, BigId, JSONText, UTCDateTime

QUEUED, RUNNING, WAITING, SUCCEEDED, PARTIAL, FAILED, CANCELLED = (
    "queued", "running", "waiting", "succeeded", "partial", "failed", "cancelled",
)  # fmt: skip
OPEN_STATES = (QUEUED, RUNNING, WAITING)
FINAL_STATES = (SUCCEEDED, PARTIAL, FAILED, CANCELLED)

_OPEN = text("state IN ('queued', 'running', 'waiting')")


class JobRun(Base):
    """One piece of long work. RQ receives only its id.

    A worker takes it with a conditional update that raises ``fence`` and sets ``lease_until``; every later write of that worker is guarded by the
    fence, so a worker that was thought dead cannot write over its successor. ``waiting`` is queued with a reason and a ``not_before``.
    """

    __tablename__ = "job_run"
    __table_args__ = (
        Index("uq_job_run_open_key", "dedupe_key", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_job_run_state", "state", "not_before"),
        Index("ix_job_run_created", "created_at", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(60))
    title: Mapped[str] = mapped_column(String(200))
    queue: Mapped[str] = mapped_column(String(20), default="default")
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    args: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    dedupe_key: Mapped[str | None] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20), default=QUEUED)
    wait_reason: Mapped[str] = mapped_column(Text, default="")
    not_before: Mapped[datetime | None] = mapped_column(UTCDateTime)
    started_by: Mapped[str] = mapped_column(String(200), default="system")
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("job_run.id", ondelete="SET NULL"))
    total: Mapped[int | None] = mapped_column(Integer)
    done: Mapped[int] = mapped_column(Integer, default=0)
    failed: Mapped[int] = mapped_column(Integer, default=0)
    skipped: Mapped[int] = mapped_column(Integer, default=0)
    stage: Mapped[str] = mapped_column(String(120), default="")
    message: Mapped[str] = mapped_column(Text, default="")
    error_code: Mapped[str | None] = mapped_column(String(60))
    checkpoint: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    result: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    cancel_asked: Mapped[bool] = mapped_column(Boolean, default=False)
    quiet: Mapped[bool] = mapped_column(Boolean, default=False)  #: scheduled and found nothing to do, or following a webhook; forgotten after a while
    fence: Mapped[int] = mapped_column(Integer, default=0)
    takes: Mapped[int] = mapped_column(Integer, default=0)  #: how often a worker took it: one that kills its workers does not loop for ever
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    worker: Mapped[str] = mapped_column(String(80), default="")
    version: Mapped[int] = mapped_column(Integer, default=0)  #: raised by every visible change; live pages ask with the one they have
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    account = relationship("Account")


class JobItem(Base):
    """One unit of a run. ``state``: open, done, failed, skipped, waiting, cancelled."""

    __tablename__ = "job_item"
    __table_args__ = (
        UniqueConstraint("run_id", "ref"),
        Index("ix_job_item_run_state", "run_id", "state", "id"),
        Index("ix_job_item_state", "state", "id"),
        Index("ix_job_item_ref", "ref", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("job_run.id", ondelete="CASCADE"))
    ref: Mapped[str] = mapped_column(String(120))  #: what it is about, e.g. our order id
    label: Mapped[str] = mapped_column(String(200), default="")
    state: Mapped[str] = mapped_column(String(20), default="open")
    stage: Mapped[str] = mapped_column(String(60), default="")  #: what is being done to it right now, in words
    retry_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: an open item that failed for a passing reason is tried again then
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    code: Mapped[str | None] = mapped_column(String(60))
    message: Mapped[str] = mapped_column(Text, default="")
    remedy: Mapped[str] = mapped_column(Text, default="")
    data: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Schedule(Base):
    """A task the scheduler runs on its interval, for one account or for the whole installation."""

    __tablename__ = "schedule"
    __table_args__ = (UniqueConstraint("kind", "account_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(60))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    interval_seconds: Mapped[int] = mapped_column(Integer)
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    next_due_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    last_run_id: Mapped[int | None] = mapped_column(BigId)
    last_started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_ok_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_outcome: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    account = relationship("Account")


class Heartbeat(Base):
    """Signs of life of long processes: ``scheduler``, ``worker:<name>``."""

    __tablename__ = "heartbeat"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)


class Pause(Base):
    """A person stopped a kind of work, or all work of an account (``kind`` = ``*``)."""

    __tablename__ = "pause"
    __table_args__ = (UniqueConstraint("account_id", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(60), default="*")
    reason: Mapped[str] = mapped_column(Text, default="")
    created_by: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

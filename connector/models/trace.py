"""What happened and why: events (timeline and audit log), decision traces, API calls (product rules 8 and 9, product.md 12)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from connector.core.clock import utcnow
from connector.core.db import Base, BigId, EncryptedText, JSONText, UTCDateTime


class Event(Base):
    """One change or happening: who, when, to what, from what to what, why. Timeline of a record and audit log of the installation."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_subject", "subject_type", "subject_id", "id"), Index("ix_event_at", "at", "id"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    actor: Mapped[str] = mapped_column(String(200), default="system")  #: a user's e-mail, or ``job <kind>``
    kind: Mapped[str] = mapped_column(String(60))  #: e.g. ``order.imported``, ``policy.saved``, ``note``
    subject_type: Mapped[str] = mapped_column(String(40))
    subject_id: Mapped[str] = mapped_column(String(64))
    account_id: Mapped[int | None] = mapped_column(Integer)
    message: Mapped[str] = mapped_column(Text)
    before: Mapped[Any] = mapped_column(JSONText, nullable=True)
    after: Mapped[Any] = mapped_column(JSONText, nullable=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    run_id: Mapped[int | None] = mapped_column(BigId)
    policy_version_id: Mapped[int | None] = mapped_column(Integer)


class Decision(Base):
    """An ordered list of checks with the first failing one: why something was, or was not, done (product rule 9)."""

    __tablename__ = "decision"
    __table_args__ = (Index("ix_decision_subject", "subject_type", "subject_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    subject_type: Mapped[str] = mapped_column(String(40))
    subject_id: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(40))
    allowed: Mapped[bool] = mapped_column(Boolean)
    #: ``[{"check", "ok", "facts", "message", "remedy"}]``
    checks: Mapped[list[dict[str, Any]]] = mapped_column(JSONText)
    policy_version_id: Mapped[int | None] = mapped_column(Integer)
    run_id: Mapped[int | None] = mapped_column(BigId)


class ApiCall(Base):
    """One request to TikTok or Magento and its answer, secrets and buyer data masked; the bodies are encrypted as well."""

    __tablename__ = "api_call"
    __table_args__ = (
        Index("ix_api_call_at", "at", "id"),
        Index("ix_api_call_order", "order_id", "id"),
        Index("ix_api_call_failed", "failed", "at", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    system: Mapped[str] = mapped_column(String(20))  #: tiktok, magento
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    magento_id: Mapped[int | None] = mapped_column(Integer)
    operation: Mapped[str] = mapped_column(String(80))
    method: Mapped[str] = mapped_column(String(8))
    url: Mapped[str] = mapped_column(Text)
    status: Mapped[int | None] = mapped_column(Integer)
    code: Mapped[str] = mapped_column(String(40), default="")
    request_id: Mapped[str] = mapped_column(String(80), default="")
    milliseconds: Mapped[int] = mapped_column(Integer, default=0)
    failed: Mapped[bool] = mapped_column(Boolean, default=False)
    error: Mapped[str] = mapped_column(Text, default="")
    request_body: Mapped[str | None] = mapped_column(EncryptedText)
    response_body: Mapped[str | None] = mapped_column(EncryptedText)
    safe: Mapped[bool] = mapped_column(Boolean, default=False)  #: a read: may be replayed
    run_id: Mapped[int | None] = mapped_column(BigId)
    order_id: Mapped[int | None] = mapped_column(BigId)
    replay_of: Mapped[int | None] = mapped_column(BigId)

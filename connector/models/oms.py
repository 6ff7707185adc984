"""An order management system beside the store, and a storefront that is no Magento (A243-A258, A265; product.md 8)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from connector.core.clock import utcnow
from connector.core.db import Base, BigId, EncryptedJSON, EncryptedText, JSONText, UTCDateTime

FEED_BUILDING, FEED_READY, FEED_FAILED = "building", "ready", "failed"
#: How an update of the OMS came.
EVENT, PULL, IMPORT, FOLDER = "event", "pull", "import", "folder"
#: What became of it. ``ignored``: it said what was so already.
UPDATE_RECEIVED, UPDATE_DONE, UPDATE_IGNORED, UPDATE_FAILED = "received", "done", "ignored", "failed"


class ExternalStore(Base):
    """The external storefront of an account whose ``storefront`` is ``external`` (A243): how to call it, and what its last test said."""

    __tablename__ = "external_store"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), unique=True)
    environment: Mapped[str] = mapped_column(String(20), default="production")
    base_url: Mapped[str] = mapped_column(String(500))
    client_id: Mapped[str] = mapped_column(String(120), default="")
    client_secret: Mapped[str | None] = mapped_column(EncryptedText)
    storefront_password: Mapped[str | None] = mapped_column(EncryptedText)  #: of a protected development or staging storefront (A247)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)  #: result of the last "Test connection": protection, capture, mails
    checked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    orders_cursor_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: every order that the store changed before this instant was looked at
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)

    account = relationship("Account")


class OmsConnection(Base):
    """The OMS of an account: where feeds are announced, where statuses are pulled, which folder is watched. ``secret`` signs both directions, and so do
    ``old_secrets`` until their time: ``[{"secret", "until": ISO 8601}]``, newest first."""

    __tablename__ = "oms_connection"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), unique=True)
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    secret: Mapped[str] = mapped_column(EncryptedText)
    old_secrets: Mapped[list[dict[str, str]] | None] = mapped_column(EncryptedJSON)
    feed_formats: Mapped[list[str]] = mapped_column(JSONText, default=list)  #: jsonl, csv
    feed_minutes: Mapped[int] = mapped_column(Integer, default=15)
    notify_url: Mapped[str] = mapped_column(String(500), default="")
    feed_from_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: everything changed before is in a feed
    pull_url: Mapped[str] = mapped_column(String(500), default="")
    pull_token: Mapped[str | None] = mapped_column(EncryptedText)
    pull_minutes: Mapped[int] = mapped_column(Integer, default=5)
    pull_cursor: Mapped[str] = mapped_column(String(200), default="")
    drop_folder: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)

    account = relationship("Account")


class OrderFeed(Base):
    """One file with new and changed orders (A251): built chunk by chunk, announced, collected; the same bytes whenever it is asked for."""

    __tablename__ = "order_feed"
    __table_args__ = (UniqueConstraint("account_id", "number", "format"), Index("ix_order_feed_created", "created_at", "id"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    format: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(20), default=FEED_BUILDING)
    from_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: orders changed at or after this instant ...
    until_at: Mapped[datetime] = mapped_column(UTCDateTime)  #: ... and before this one
    position: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)  #: after which order the next chunk begins
    rows: Mapped[int] = mapped_column(Integer, default=0)
    size: Mapped[int] = mapped_column(BigInteger, default=0)  #: bytes
    sha256: Mapped[str] = mapped_column(String(64), default="")
    notify_state: Mapped[str] = mapped_column(String(20), default="")  #: "", waiting, announced, failed
    notify_attempts: Mapped[int] = mapped_column(Integer, default=0)
    notify_message: Mapped[str] = mapped_column(Text, default="")
    notified_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    collected_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    collected_count: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    account = relationship("Account")


class OrderFeedChunk(Base):
    """A piece of a feed file, compressed and encrypted (it holds buyers' addresses); ``start`` and ``length`` are those of the plain bytes."""

    __tablename__ = "order_feed_chunk"
    __table_args__ = (UniqueConstraint("feed_id", "position"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    feed_id: Mapped[int] = mapped_column(ForeignKey("order_feed.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    start: Mapped[int] = mapped_column(BigInteger)
    length: Mapped[int] = mapped_column(Integer)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class OmsBatch(Base):
    """A file of updates, uploaded or found in the drop folder (A255). The same bytes again are the same batch."""

    __tablename__ = "oms_batch"
    __table_args__ = (UniqueConstraint("account_id", "digest"), Index("ix_oms_batch_created", "created_at", "id"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    source: Mapped[str] = mapped_column(String(20))
    file_name: Mapped[str] = mapped_column(String(200), default="")
    digest: Mapped[str] = mapped_column(String(64))
    rows: Mapped[int] = mapped_column(Integer, default=0)
    created_by: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    account = relationship("Account")


class OmsUpdate(Base):
    """One thing that the OMS says of one order: shipped, cancelled, ... Unique by account and event id, so that a repeat has no effect."""

    __tablename__ = "oms_update"
    __table_args__ = (
        UniqueConstraint("account_id", "event_id"),
        Index("ix_oms_update_state", "account_id", "state", "id"),
        Index("ix_oms_update_batch", "batch_id", "line"),
        Index("ix_oms_update_received", "received_at", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    event_id: Mapped[str] = mapped_column(String(120))
    source: Mapped[str] = mapped_column(String(20))
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("oms_batch.id", ondelete="CASCADE"))
    line: Mapped[int] = mapped_column(Integer, default=0)  #: in the batch's file
    order_number: Mapped[str] = mapped_column(String(60), default="")
    order_id: Mapped[int | None] = mapped_column(ForeignKey("order.id", ondelete="SET NULL"))
    action: Mapped[str] = mapped_column(String(30), default="")
    data: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    state: Mapped[str] = mapped_column(String(20), default=UPDATE_RECEIVED)
    code: Mapped[str | None] = mapped_column(String(60))
    message: Mapped[str] = mapped_column(Text, default="")
    remedy: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    retry_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    received_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    done_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

"""What comes after an order: returns and refunds, Magento credit memos in both directions, recalls, deadlines that were warned about (A213-A220, A264)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from connector.core.clock import utcnow
from connector.core.db import Amount, Base, BigId, EncryptedJSON, JSONText, UTCDateTime

# What is known of the goods of a return.
GOODS_NONE = ""  #: none are expected (a refund without return, goods the buyer keeps)
GOODS_EXPECTED = "expected"  #: the buyer sends them, or they are under way
GOODS_ASK = "ask"  #: granted after they were sent, and nobody said that they came: a person looks
GOODS_RECEIVED = "received"  #: somebody took them in
GOODS_LOST = "lost"  #: a person said that they did not come, or cannot be sold

# A credit memo's way and state.
TO_MAGENTO, FROM_MAGENTO = "to_magento", "from_magento"
MEMO_WAITING, MEMO_SENDING, MEMO_DONE, MEMO_FAILED, MEMO_IGNORED = "waiting", "sending", "done", "failed", "ignored"

# A recall: a parcel that left although its order is cancelled.
RECALL_OPEN, RECALL_RETURNING, RECALL_RECEIVED, RECALL_LOST = "open", "returning", "received", "lost"


class Return(Base):
    """One TikTok return, refund, replacement or exchange (A217, A218; TTS §5.6.4-5.6.8). An older version never overwrites a newer one.

    ``respond_by_at`` is TikTok's own deadline; ``deadline_estimated`` says that TikTok named none and the country's table was used. ``phase`` is that of
    ``domain.returns.meaning``.
    """

    __tablename__ = "return_request"
    __table_args__ = (
        UniqueConstraint("account_id", "return_id"),
        Index("ix_return_request_order", "order_id"),
        Index("ix_return_request_number", "return_id"),
        Index("ix_return_request_due", "respond_by_at", "id"),
        Index("ix_return_request_updated", "remote_updated_at", "id"),
        Index("ix_return_request_status", "remote_status", "respond_by_at", "id"),
        Index("ix_return_request_phase", "phase", "respond_by_at", "id"),
        Index("ix_return_request_account_updated", "account_id", "remote_updated_at", "id"),
        Index("ix_return_request_awaits", "respond_by_at", "id", sqlite_where=text("needs_answer IS 1"), postgresql_where=text("needs_answer IS true")),
        Index("ix_return_request_dirty", "dirty_at", sqlite_where=text("dirty_at IS NOT NULL"), postgresql_where=text("dirty_at IS NOT NULL")),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"))
    return_id: Mapped[str] = mapped_column(String(40))

    # --- TikTok's side, verbatim
    return_type: Mapped[str] = mapped_column(String(40), default="")
    remote_status: Mapped[str] = mapped_column(String(60), default="")
    arbitration_status: Mapped[str] = mapped_column(String(40), default="")
    reason: Mapped[str] = mapped_column(String(200), default="")
    reason_text: Mapped[str] = mapped_column(Text, default="")
    currency: Mapped[str] = mapped_column(String(3), default="")
    amount: Mapped[Decimal] = mapped_column(Amount, default=Decimal(0))  #: what TikTok would refund, in ``currency``
    item_count: Mapped[int] = mapped_column(Integer, default=0)
    line_ids: Mapped[list[str]] = mapped_column(JSONText, default=list)  #: TikTok order line ids
    next_action: Mapped[str] = mapped_column(String(80), default="")
    respond_by_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    deadline_estimated: Mapped[bool] = mapped_column(Boolean, default=False)
    tracking_number: Mapped[str] = mapped_column(String(120), default="")
    carrier_name: Mapped[str] = mapped_column(String(120), default="")
    remote_created_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    remote_updated_at: Mapped[datetime] = mapped_column(UTCDateTime)
    body: Mapped[dict[str, Any]] = mapped_column(EncryptedJSON)  #: what TikTok sent, whole (the buyer's words are in it)
    records: Mapped[list[dict[str, Any]]] = mapped_column(EncryptedJSON, nullable=True)  #: what both sides said, with pictures; read when the page asks
    records_read_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    decisions: Mapped[list[dict[str, Any]]] = mapped_column(JSONText, default=list)  #: last answer of decision eligibility
    decisions_read_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    # --- ours
    phase: Mapped[str] = mapped_column(String(20), default="unknown")
    needs_answer: Mapped[bool] = mapped_column(Boolean, default=False)
    goods: Mapped[str] = mapped_column(String(20), default=GOODS_NONE)
    seen_on_the_way: Mapped[bool] = mapped_column(Boolean, default=False)  #: it was BUYER_SHIPPED_ITEM once
    package_accepted: Mapped[bool] = mapped_column(Boolean, default=False)  #: our APPROVE_RECEIVED_PACKAGE went through
    restocked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: the units went back into stock, once
    decision: Mapped[str] = mapped_column(String(60), default="")  #: our last answer that TikTok accepted
    answered_by: Mapped[str] = mapped_column(String(200), default="")
    answered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    answer_state: Mapped[str] = mapped_column(String(20), default="")  #: "", sending, failed
    failure_code: Mapped[str | None] = mapped_column(String(60))
    failure_message: Mapped[str | None] = mapped_column(Text)
    failure_remedy: Mapped[str | None] = mapped_column(Text)
    dirty_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: a webhook said: look at this return
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)

    order = relationship("Order")
    account = relationship("Account")


class CreditMemo(Base):
    """One refund between TikTok and the store, at most once in effect: unique by order and key.

    ``key`` is ``return:<return id>``, ``lines:<digest of the line ids>`` (units that TikTok cancelled and that never left), ``recall``, ``recall:gone``,
    ``restock:<return id>`` (goods that came back after the money was refunded) for the way to Magento,
    ``memo:<Magento credit memo id>`` for the way from it. ``items``: Magento order item id -> units; ``return_to_stock`` names those that go back on the
    shelf.
    """

    __tablename__ = "credit_memo"
    __table_args__ = (UniqueConstraint("order_id", "key"), Index("ix_credit_memo_state", "account_id", "state", "id"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"))
    return_pk: Mapped[int | None] = mapped_column(ForeignKey("return_request.id", ondelete="SET NULL"))
    key: Mapped[str] = mapped_column(String(80))
    direction: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20), default=MEMO_WAITING)
    memo_id: Mapped[str | None] = mapped_column(String(20))  #: Magento's entity id
    currency: Mapped[str] = mapped_column(String(3), default="")
    amount: Mapped[Decimal] = mapped_column(Amount, default=Decimal(0))
    items: Mapped[dict[str, int]] = mapped_column(JSONText, default=dict)
    return_to_stock: Mapped[list[str]] = mapped_column(JSONText, default=list)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    failure_code: Mapped[str | None] = mapped_column(String(60))
    failure_message: Mapped[str | None] = mapped_column(Text)
    failure_remedy: Mapped[str | None] = mapped_column(Text)
    retry_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    done_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    order = relationship("Order")


class RecallTask(Base):
    """A parcel that left although its order is cancelled (A264): stop it, await it, take it in once. One for an order."""

    __tablename__ = "recall_task"
    __table_args__ = (Index("ix_recall_task_state", "state", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"), unique=True)
    state: Mapped[str] = mapped_column(String(20), default=RECALL_OPEN)
    why: Mapped[str] = mapped_column(String(300), default="")
    units: Mapped[dict[str, int]] = mapped_column(JSONText, default=dict)  #: seller SKU -> units that were sent
    received: Mapped[dict[str, int]] = mapped_column(JSONText, default=dict)  #: the same for those that may be sold again
    note: Mapped[str] = mapped_column(Text, default="")
    opened_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    due_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: by when somebody should have seen to it; ours, TikTok sets none
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    closed_by: Mapped[str] = mapped_column(String(200), default="")
    restocked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    order = relationship("Order")


class DeadlineWarning(Base):
    """A deadline that was warned about: once for each subject, kind, instant and level (``soon``, ``passed``)."""

    __tablename__ = "deadline_warning"
    __table_args__ = (UniqueConstraint("subject_type", "subject_id", "kind", "due_at", "level"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    subject_type: Mapped[str] = mapped_column(String(20))  #: order, cancellation, return, recall
    subject_id: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(30))  #: ship_by, auto_cancel, answer_cancellation, answer_return, recall
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)
    level: Mapped[str] = mapped_column(String(10))
    warned_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

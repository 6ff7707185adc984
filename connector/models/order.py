"""TikTok orders, their lines, what became of them in Magento, and their parcels (A179-A212, A226-A241)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from connector.core.clock import utcnow
from connector.core.db import Amount, Base, BigId, EncryptedJSON, EncryptedText, JSONText, UTCDateTime

# Our own import state, beside TikTok's and Magento's statuses (inventory A20, contradiction 3).
STORED = "stored"  #: taken in; nothing to do (UNPAID, a status below the policy's, creation off)
REVIEW = "review"  #: imported by hand: waits for Create Sales Order (A182)
HELD = "held"  #: inside the hold hour; stock reserved here
READY = "ready"  #: will be created in Magento
CREATING = "creating"  #: a writer is at work, or was when it died
CREATED = "created"  #: exists in Magento
SKIPPED = "skipped"  #: deliberately not created; ``failure_*`` says why
FAILED = "failed"  #: refused or broken; ``failure_*`` says why and what to do
CANCELLED = "cancelled"  #: cancelled before it reached Magento
ORDER_STATES = (STORED, REVIEW, HELD, READY, CREATING, CREATED, SKIPPED, FAILED, CANCELLED)
#: How an order came in (``Order.origin``).
SCHEDULE, WEBHOOK, MANUAL, HEAL = "schedule", "webhook", "manual", "heal"


class Order(Base):
    """One TikTok order. Unique by (account, TikTok order id); an older version never overwrites a newer one."""

    __tablename__ = "order"
    __table_args__ = (
        UniqueConstraint("account_id", "number"),
        Index("ix_order_placed_at_id", "placed_at", "id"),
        Index("ix_order_remote_status_placed", "remote_status", "placed_at", "id"),
        Index("ix_order_account_status_placed", "account_id", "remote_status", "placed_at", "id"),
        Index("ix_order_account_placed", "account_id", "placed_at", "id"),
        Index("ix_order_total_id", "total", "id"),
        Index("ix_order_state_id", "state", "id"),
        Index("ix_order_state_placed", "state", "placed_at", "id"),
        Index("ix_order_created_at", "created_at", "id"),
        Index("ix_order_fulfillment", "fulfillment_type", "placed_at", "id"),
        Index(
            "ix_order_cancel_requested", "placed_at", "id",
            sqlite_where=text("cancel_requested IS 1"), postgresql_where=text("cancel_requested IS true"),
        ),
        Index("ix_order_tag", "tag", "placed_at", "id", sqlite_where=text("tag != ''"), postgresql_where=text("tag != ''")),
        Index("ix_order_number", "number"),
        Index("ix_order_magento_number", "magento_number"),
        Index("ix_order_ship_by", "ship_by_at", "id"),
        Index("ix_order_cancel_by", "cancel_by_at", "id"),
        Index("ix_order_account_status_ship_by", "account_id", "remote_status", "ship_by_at", "id"),
        Index("ix_order_account_status_cancel_by", "account_id", "remote_status", "cancel_by_at", "id"),
        Index("ix_order_account_updated", "account_id", "updated_at", "id"),
        Index("ix_order_hold", "hold_until", "id", sqlite_where=text("state = 'held'"), postgresql_where=text("state = 'held'")),
        Index(
            "ix_order_failed", "failure_code", "id",
            sqlite_where=text("failure_code IS NOT NULL"), postgresql_where=text("failure_code IS NOT NULL"),
        ),
        Index("ix_order_dirty", "dirty_at", sqlite_where=text("dirty_at IS NOT NULL"), postgresql_where=text("dirty_at IS NOT NULL")),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    number: Mapped[str] = mapped_column(String(40))  #: TikTok order id (A190)
    origin: Mapped[str] = mapped_column(String(20), default="schedule")  #: schedule, webhook, manual, heal

    # --- TikTok's side, verbatim
    remote_status: Mapped[str] = mapped_column(String(60))
    remote_updated_at: Mapped[datetime] = mapped_column(UTCDateTime)
    digest: Mapped[str] = mapped_column(String(32))  #: of the payload: an unchanged one is not written again
    placed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    paid_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    hold_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ship_by_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: TikTok's deadline for arranging the shipment
    cancel_by_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: TikTok cancels by itself at this instant
    cancelled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    currency: Mapped[str] = mapped_column(String(3))
    total: Mapped[Decimal] = mapped_column(Amount)  #: what the buyer paid, in ``currency``
    total_base: Mapped[Decimal | None] = mapped_column(Amount)  #: in Magento's base currency (A196)
    base_currency: Mapped[str | None] = mapped_column(String(3))
    fulfillment_type: Mapped[str] = mapped_column(String(40), default="")
    shipping_type: Mapped[str] = mapped_column(String(40), default="")
    delivery_option_id: Mapped[str] = mapped_column(String(64), default="")
    delivery_option_name: Mapped[str] = mapped_column(String(200), default="")
    warehouse_id: Mapped[str] = mapped_column(String(64), default="")
    buyer_id: Mapped[str] = mapped_column(String(64), default="")
    item_count: Mapped[int] = mapped_column(Integer, default=0)
    has_address: Mapped[bool] = mapped_column(Boolean, default=False)
    address_masked: Mapped[bool] = mapped_column(Boolean, default=False)
    cancel_requested: Mapped[bool] = mapped_column(Boolean, default=False)
    cancel_reason: Mapped[str] = mapped_column(String(200), default="")
    cancelled_by: Mapped[str] = mapped_column(String(40), default="")
    tracking_number: Mapped[str] = mapped_column(String(120), default="", index=True)
    carrier_name: Mapped[str] = mapped_column(String(120), default="")
    tag: Mapped[str] = mapped_column(String(60), default="")  #: e.g. ``cancel after shipped``

    # --- ours
    state: Mapped[str] = mapped_column(String(20), default=STORED)
    state_changed_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)  #: when synced into the connector (A198)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)
    dirty_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: a webhook said: look at this order
    failure_code: Mapped[str | None] = mapped_column(String(60))
    failure_message: Mapped[str | None] = mapped_column(Text)
    failure_remedy: Mapped[str | None] = mapped_column(Text)
    failed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    retry_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    policy_version_id: Mapped[int | None] = mapped_column(ForeignKey("policy_version.id"))

    # --- Magento's side, verbatim
    magento_id: Mapped[str | None] = mapped_column(String(20), index=True)  #: entity id
    magento_number: Mapped[str | None] = mapped_column(String(60))  #: Sales Order Increment ID (A192)
    magento_state: Mapped[str | None] = mapped_column(String(40))
    magento_status: Mapped[str | None] = mapped_column(String(60))
    magento_created_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    invoiced: Mapped[bool] = mapped_column(Boolean, default=False)
    referenced_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: external reference accepted by TikTok (TTS §5.4.4)
    warning: Mapped[str] = mapped_column(Text, default="")

    account = relationship("Account")
    lines: Mapped[list[OrderLine]] = relationship(back_populates="order", order_by="OrderLine.id", passive_deletes=True)
    payload: Mapped[OrderPayload | None] = relationship(back_populates="order", uselist=False, passive_deletes=True)


class OrderPayload(Base):
    """What TikTok sent, whole and encrypted (it holds the buyer's data); aside, so that grids never read it."""

    __tablename__ = "order_payload"

    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"), primary_key=True)
    body: Mapped[dict[str, Any]] = mapped_column(EncryptedJSON)
    #: The last unmasked address seen; a masked one never overwrites it (TTS §5.4.5).
    address: Mapped[dict[str, Any] | None] = mapped_column(EncryptedJSON)
    buyer_name: Mapped[str | None] = mapped_column(EncryptedText)
    buyer_email: Mapped[str | None] = mapped_column(EncryptedText)

    order: Mapped[Order] = relationship(back_populates="payload")


class OrderLine(Base):
    """One TikTok line item, which is one unit (TTS §0 point 4)."""

    __tablename__ = "order_line"
    __table_args__ = (
        UniqueConstraint("order_id", "line_id"),
        Index("ix_order_line_sku", "seller_sku", "order_id"),
        Index("ix_order_line_name", "name", "order_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"))
    line_id: Mapped[str] = mapped_column(String(40))
    product_id: Mapped[str] = mapped_column(String(40), default="")
    sku_id: Mapped[str] = mapped_column(String(40), default="")
    seller_sku: Mapped[str] = mapped_column(String(120), default="")
    name: Mapped[str] = mapped_column(String(500), default="")
    variant: Mapped[str] = mapped_column(String(300), default="")
    image_url: Mapped[str] = mapped_column(String(500), default="")
    sale_price: Mapped[Decimal] = mapped_column(Amount)  #: after both discounts
    original_price: Mapped[Decimal] = mapped_column(Amount)
    seller_discount: Mapped[Decimal] = mapped_column(Amount, default=Decimal(0))
    platform_discount: Mapped[Decimal] = mapped_column(Amount, default=Decimal(0))
    tax: Mapped[Decimal] = mapped_column(Amount, default=Decimal(0))
    is_gift: Mapped[bool] = mapped_column(Boolean, default=False)
    remote_status: Mapped[str] = mapped_column(String(60), default="")
    package_id: Mapped[str] = mapped_column(String(40), default="", index=True)
    tracking_number: Mapped[str] = mapped_column(String(120), default="", index=True)
    shipping_provider_id: Mapped[str] = mapped_column(String(64), default="")
    cancel_reason: Mapped[str] = mapped_column(String(200), default="")
    cancelled_by: Mapped[str] = mapped_column(String(40), default="")
    magento_sku: Mapped[str | None] = mapped_column(String(120))
    magento_item_id: Mapped[str | None] = mapped_column(String(20))

    order: Mapped[Order] = relationship(back_populates="lines")


class BuyerToken(Base):
    """Keyed digests of the words of a buyer's name, e-mail and phone: buyers can be searched though their data is encrypted."""

    __tablename__ = "buyer_token"
    __table_args__ = (Index("ix_buyer_token_token", "token", "order_id"),)

    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"), primary_key=True)
    token: Mapped[str] = mapped_column(String(32), primary_key=True)


class MagentoOrderIntent(Base):
    """The creation of one order in Magento, step by step, so that a killed writer is continued and never repeated blindly.

    ``step``: new -> placing -> placed -> done (MAG §4.4.7); what is done after placing is looked up in Magento, not remembered here.
    Unique by order; ``fence`` counts the writers: a late one's record is refused.
    """

    __tablename__ = "magento_order_intent"

    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"), primary_key=True)
    writer: Mapped[str] = mapped_column(String(20), default="checkout")  #: checkout (A+) or direct (B)
    step: Mapped[str] = mapped_column(String(20), default="new")
    store_code: Mapped[str] = mapped_column(String(64), default="")
    cart_id: Mapped[str | None] = mapped_column(String(40))
    entity_id: Mapped[str | None] = mapped_column(String(20))
    placing_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    fence: Mapped[int] = mapped_column(Integer, default=0)
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)  #: planned lines and totals: what was decided before the first call
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)


class Reservation(Base):
    """Units of a SKU that a TikTok order holds and Magento does not know about yet: the ``open`` term of the stock formula."""

    __tablename__ = "reservation"
    __table_args__ = (
        UniqueConstraint("order_id", "sku"),
        Index("ix_reservation_open", "sku", sqlite_where=text("released_at IS NULL"), postgresql_where=text("released_at IS NULL")),
        Index("ix_reservation_released", "released_at", sqlite_where=text("released_at IS NOT NULL"), postgresql_where=text("released_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    sku: Mapped[str] = mapped_column(String(120))
    quantity: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    released_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    release_reason: Mapped[str] = mapped_column(String(60), default="")


class SkuMapping(Base):
    """A seller SKU that a person matched to a Magento SKU; remembered for every later order (product.md 6, gates)."""

    __tablename__ = "sku_mapping"
    __table_args__ = (UniqueConstraint("account_id", "seller_sku"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    seller_sku: Mapped[str] = mapped_column(String(120))
    magento_sku: Mapped[str] = mapped_column(String(120))
    created_by: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)


class MagentoCustomer(Base):
    """Customers made for the policy's "Real Customer": keyed by the buyer's TikTok id, so that a repeat buyer is one customer."""

    __tablename__ = "magento_customer"
    __table_args__ = (UniqueConstraint("magento_id", "buyer_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    magento_id: Mapped[int] = mapped_column(ForeignKey("magento_connection.id", ondelete="CASCADE"))
    buyer_id: Mapped[str] = mapped_column(String(64))
    customer_id: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)


class Shipment(Base):
    """A parcel on its way to TikTok: from a Magento shipment, from the dashboard's form or from a CSV file.

    Unique by (order, tracking number). ``state``: waiting_tracking, waiting_carrier, pending, sending, delivered (accepted by TikTok), failed,
    ignored. ``line_ids`` are the TikTok lines in the parcel, chosen when it is first sent.
    """

    __tablename__ = "shipment"
    __table_args__ = (
        UniqueConstraint("order_id", "tracking_number"),
        Index("ix_shipment_state", "state", "id"),
        Index("ix_shipment_tracking_number", "tracking_number"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"))
    origin: Mapped[str] = mapped_column(String(20), default="magento")  #: magento, form, csv, oms
    magento_shipment_id: Mapped[str | None] = mapped_column(String(20), index=True)
    magento_carrier: Mapped[str] = mapped_column(String(120), default="")  #: title (or code) as Magento has it
    tracking_number: Mapped[str] = mapped_column(String(120))
    quantities: Mapped[dict[str, int]] = mapped_column(JSONText, default=dict)  #: Magento SKU -> units; empty: everything open
    provider_id: Mapped[str] = mapped_column(String(64), default="")
    provider_name: Mapped[str] = mapped_column(String(120), default="")
    line_ids: Mapped[list[str]] = mapped_column(JSONText, default=list)
    package_id: Mapped[str] = mapped_column(String(40), default="")
    state: Mapped[str] = mapped_column(String(20), default="pending")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error_code: Mapped[str | None] = mapped_column(String(60))
    error_message: Mapped[str | None] = mapped_column(Text)
    error_remedy: Mapped[str | None] = mapped_column(Text)
    warning: Mapped[str] = mapped_column(Text, default="")
    shipped_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    delivered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: when TikTok accepted it
    retry_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)

    order: Mapped[Order] = relationship()


class TracklessShipment(Base):
    """A Magento shipment seen without a tracking number: read again until it has one (MAG §4.6.2, late tracking numbers)."""

    __tablename__ = "trackless_shipment"
    __table_args__ = (UniqueConstraint("magento_id", "magento_shipment_id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    magento_id: Mapped[int] = mapped_column(ForeignKey("magento_connection.id", ondelete="CASCADE"))
    magento_shipment_id: Mapped[str] = mapped_column(String(20))
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"))
    read_again_at: Mapped[datetime] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)


class Cancellation(Base):
    """A cancellation as TikTok lists it (TTS §5.6.3); the gate "no open cancellation request" reads it."""

    __tablename__ = "cancellation"
    __table_args__ = (
        UniqueConstraint("account_id", "cancel_id"),
        Index("ix_cancellation_order", "order_id"),
        Index("ix_cancellation_status_due", "remote_status", "respond_by_at", "id"),
        Index("ix_cancellation_updated", "remote_updated_at", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"))
    cancel_id: Mapped[str] = mapped_column(String(40))
    cancel_type: Mapped[str] = mapped_column(String(40), default="")
    remote_status: Mapped[str] = mapped_column(String(60), default="")
    role: Mapped[str] = mapped_column(String(20), default="")
    reason: Mapped[str] = mapped_column(String(200), default="")
    reason_text: Mapped[str] = mapped_column(Text, default="")
    respond_by_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    remote_created_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    remote_updated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    data: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    answer: Mapped[str] = mapped_column(String(20), default="", server_default="")  #: ours: approve or reject, once TikTok took it or while it is sent
    answer_state: Mapped[str] = mapped_column(String(20), default="", server_default="")  #: "", sending, accepted, failed
    answer_reason: Mapped[str] = mapped_column(String(200), default="", server_default="")
    answered_by: Mapped[str] = mapped_column(String(200), default="", server_default="")
    answered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    failure_code: Mapped[str | None] = mapped_column(String(60))
    failure_message: Mapped[str | None] = mapped_column(Text)
    failure_remedy: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)

    order = relationship("Order")
    account = relationship("Account")


class OutgoingAction(Base):
    """Something the connector does to an order at TikTok or Magento, at most once in effect (product rule 2).

    Unique by (account, order, action, key): ``reject``, ``external_reference``, ``cancel_magento``, ``status``, ``comment``... ``state``: pending, sent,
    accepted, failed.
    """

    __tablename__ = "outgoing_action"
    __table_args__ = (UniqueConstraint("account_id", "order_id", "action", "key"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE"))
    action: Mapped[str] = mapped_column(String(40))
    key: Mapped[str] = mapped_column(String(120), default="")
    state: Mapped[str] = mapped_column(String(20), default="pending")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    request: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    answer: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    error_code: Mapped[str | None] = mapped_column(String(60))
    error_message: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)


class ReconciliationDay(Base):
    """The no-order-lost certificate of one account and day (product.md 12): ids TikTok lists against ids stored and created."""

    __tablename__ = "reconciliation_day"
    __table_args__ = (UniqueConstraint("account_id", "day"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    day: Mapped[str] = mapped_column(String(10))  #: ``YYYY-MM-DD``, UTC, by order creation
    listed: Mapped[int] = mapped_column(Integer, default=0)
    stored: Mapped[int] = mapped_column(Integer, default=0)
    created: Mapped[int] = mapped_column(Integer, default=0)
    skipped: Mapped[int] = mapped_column(Integer, default=0)
    pending: Mapped[int] = mapped_column(Integer, default=0)
    missing: Mapped[list[str]] = mapped_column(JSONText, default=list)
    duplicates: Mapped[list[str]] = mapped_column(JSONText, default=list)
    skip_reasons: Mapped[dict[str, int]] = mapped_column(JSONText, default=dict)
    totals: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

"""Accounts (one TikTok Shop each), the Magento connection, and what is known of both sides (A032-A050)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from connector.core.clock import utcnow
from connector.core.db import Base, BigId, EncryptedText, JSONText, UTCDateTime

PRODUCTION, SANDBOX = "production", "sandbox"

#: States of an account's authorisation. Only ``connected`` lets work go out; the other ones pause it (product.md 3).
AUTH_NONE, AUTH_CONNECTED, AUTH_EXPIRED, AUTH_REVOKED = "none", "connected", "expired", "revoked"


class MagentoConnection(Base):
    """How to reach the Magento store. One per installation (A034); the tables are ready for several."""

    __tablename__ = "magento_connection"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(120), default="Magento")
    environment: Mapped[str] = mapped_column(String(20), default=PRODUCTION)
    base_url: Mapped[str] = mapped_column(String(500))
    auth_kind: Mapped[str] = mapped_column(String(20), default="oauth1")  #: ``oauth1`` or ``bearer`` (MAG §1.2)
    consumer_key: Mapped[str | None] = mapped_column(EncryptedText)
    consumer_secret: Mapped[str | None] = mapped_column(EncryptedText)
    access_token: Mapped[str | None] = mapped_column(EncryptedText)
    access_token_secret: Mapped[str | None] = mapped_column(EncryptedText)
    signing_base_url: Mapped[str | None] = mapped_column(String(500))  #: expert setting for stores behind a TLS proxy
    parallel_slots: Mapped[int] = mapped_column(Integer, default=2)  #: writers the store is given at once (MAG §4.4.7)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)  #: result of the last "Test connection"
    checked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)


class Account(Base):
    """One TikTok Shop (A011-A015, A038-A046)."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(120), unique=True)
    environment: Mapped[str] = mapped_column(String(20), default=PRODUCTION)
    country: Mapped[str] = mapped_column(String(2))  #: immutable after the first save (A014)
    locale: Mapped[str | None] = mapped_column(String(10))
    store_view: Mapped[str] = mapped_column(String(64), default="all")  #: Magento store view code, or ``all`` (A042)
    storefront: Mapped[str] = mapped_column(String(20), default="magento")
    magento_id: Mapped[int | None] = mapped_column(ForeignKey("magento_connection.id"))
    sync_policy_id: Mapped[int | None] = mapped_column(ForeignKey("policy.id"))
    order_policy_id: Mapped[int | None] = mapped_column(ForeignKey("policy.id"))
    active: Mapped[bool] = mapped_column(Boolean, default=True)

    auth_state: Mapped[str] = mapped_column(String(20), default=AUTH_NONE)
    auth_message: Mapped[str | None] = mapped_column(Text)
    open_id: Mapped[str | None] = mapped_column(String(120))
    seller_name: Mapped[str | None] = mapped_column(String(200))
    shop_id: Mapped[str | None] = mapped_column(String(40), index=True)
    shop_code: Mapped[str | None] = mapped_column(String(60))
    shop_name: Mapped[str | None] = mapped_column(String(200))
    shop_region: Mapped[str | None] = mapped_column(String(4))
    shop_cipher: Mapped[str | None] = mapped_column(EncryptedText)
    access_token: Mapped[str | None] = mapped_column(EncryptedText)
    access_expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    refresh_token: Mapped[str | None] = mapped_column(EncryptedText)
    refresh_expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    refreshing_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: lease of the one process that refreshes the tokens now
    granted_scopes: Mapped[list[str]] = mapped_column(JSONText, default=list)
    clock_offset_seconds: Mapped[float] = mapped_column(default=0.0)  #: TikTok's clock minus ours, learned from its answers

    #: Everything that TikTok updated before this instant (TikTok's clock) is stored; moved only afterwards (product rule 4).
    orders_cursor_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Every product that TikTok updated before this instant (TikTok's clock) was compared with its listing.
    products_cursor_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Greatest Magento shipment id already looked at.
    shipments_cursor: Mapped[int] = mapped_column(Integer, default=0)
    #: Greatest Magento credit memo id already looked at.
    creditmemos_cursor: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    onboarded_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    go_live: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)

    magento: Mapped[MagentoConnection | None] = relationship()
    order_policy = relationship("Policy", foreign_keys=[order_policy_id])
    sync_policy = relationship("Policy", foreign_keys=[sync_policy_id])

    @property
    def connected(self) -> bool:
        """Verified/Connected (A011): authorised and the right shop found."""
        return self.auth_state == AUTH_CONNECTED and bool(self.shop_cipher)


class OAuthState(Base):
    """A consent that was started: single-use and bound to the browser session that started it (TTS §1.2)."""

    __tablename__ = "oauth_state"

    state: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    session_digest: Mapped[str] = mapped_column(String(64))
    next_url: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class ShopReference(Base):
    """Onboarding data of a shop (A036): warehouses, delivery options, shipping providers, reasons, order statuses.

    ``kind`` is one of ``warehouse``, ``delivery_option`` (parent: warehouse), ``shipping_provider`` (parent: delivery option),
    ``cancel_reason``, ``reject_reason``, ``order_status``; ``data`` keeps what TikTok said.
    """

    __tablename__ = "shop_reference"
    __table_args__ = (UniqueConstraint("account_id", "kind", "parent_id", "remote_id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(30))
    parent_id: Mapped[str] = mapped_column(String(64), default="")
    remote_id: Mapped[str] = mapped_column(String(120))
    name: Mapped[str] = mapped_column(String(300), default="")
    data: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    fetched_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)


class StoreReference(Base):
    """What is known of the Magento side: ``store_view``, ``website``, ``source``, ``stock``, ``carrier``, ``order_status``, ``attribute``...

    Carriers and order statuses cannot be listed over REST (MAG §4.5.1): they are harvested from orders and shipments seen.
    """

    __tablename__ = "store_reference"
    __table_args__ = (UniqueConstraint("magento_id", "kind", "code"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    magento_id: Mapped[int] = mapped_column(ForeignKey("magento_connection.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(30))
    code: Mapped[str] = mapped_column(String(120))
    label: Mapped[str] = mapped_column(String(300), default="")
    data: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)


class Setting(Base):
    """One value of the Configuration page; secret ones are in ``secret``, encrypted (A050)."""

    __tablename__ = "setting"

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    value: Mapped[Any] = mapped_column(JSONText, nullable=True)
    secret: Mapped[str | None] = mapped_column(EncryptedText)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)
    updated_by: Mapped[str | None] = mapped_column(String(200))


class WebhookDelivery(Base):
    """A webhook that TikTok sent; unique by notification id, so that a repeat is recognised (TTS §5.8.4)."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (Index("ix_webhook_delivery_received_at", "received_at"),)

    notification_id: Mapped[str] = mapped_column(String(80), primary_key=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    shop_id: Mapped[str] = mapped_column(String(40))
    type: Mapped[int] = mapped_column(Integer)
    data: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    sent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    received_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    outcome: Mapped[str] = mapped_column(String(120), default="")


class OutgoingMail(Base):
    """Mail to the operators. Accounts in Sandbox never send: their mail stays here, on screen (A249)."""

    __tablename__ = "outgoing_mail"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    recipient: Mapped[str] = mapped_column(EncryptedText)
    subject: Mapped[str] = mapped_column(String(300))
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(20), default="queued")  #: queued, sent, kept (sandbox), failed
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    sent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

"""Receiving TikTok's webhooks (TTS §5.8): verified on the raw bytes, kept once, answered at once; the work is done by a run.

A webhook only says "look at this order" or "look at this product": what it claims is never believed, the thing is read again. Losing one costs time,
not orders, because the scheduled import and the status sync poll all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from connector.clients.errors import Unauthorized
from connector.clients.tiktok import verify_webhook
from connector.core import logs
from connector.core.clock import from_epoch, utcnow
from connector.core.db import db, dialect_of, end_reading, unit_of_work
from connector.models.account import PRODUCTION, SANDBOX, Account, WebhookDelivery
from connector.models.order import Order
from connector.services import accounts, connections, events, mail, returns, runs, settings
from connector.services.orders import refresh
from connector.services.products import status_sync

log = logs.get(__name__)

ORDER_STATUS_CHANGE, REVERSE_STATUS_UPDATE, RECIPIENT_ADDRESS_UPDATE, PACKAGE_UPDATE = 1, 2, 3, 4
SELLER_DEAUTHORIZATION, UPCOMING_AUTHORIZATION_EXPIRATION = 6, 7
CANCELLATION_STATUS_CHANGE, RETURN_STATUS_CHANGE = 11, 12
#: Of the coming model (TTS §5.6.9): they name requests, not returns, so they only say that something changed.
AFTERSALES_STATUS, RMA_STATUS, REFUND_SUCCESS = 64, 65, 67
PRODUCT_STATUS_CHANGE, PRODUCT_INFORMATION_CHANGE, PRODUCT_CREATION, PRODUCT_CATEGORY_CHANGE = 5, 15, 16, 18
PRODUCT_AUDIT_STATUS_CHANGE, SKU_STATUS_CHANGE = 37, 50
ABOUT_PRODUCTS = frozenset({
    PRODUCT_STATUS_CHANGE, PRODUCT_INFORMATION_CHANGE, PRODUCT_CREATION, PRODUCT_CATEGORY_CHANGE, PRODUCT_AUDIT_STATUS_CHANGE, SKU_STATUS_CHANGE,
})  # fmt: skip
ABOUT_ORDERS = frozenset({ORDER_STATUS_CHANGE, RECIPIENT_ADDRESS_UPDATE, PACKAGE_UPDATE, CANCELLATION_STATUS_CHANGE, RETURN_STATUS_CHANGE})
ABOUT_RETURNS = frozenset({REVERSE_STATUS_UPDATE, RETURN_STATUS_CHANGE, AFTERSALES_STATUS, RMA_STATUS, REFUND_SUCCESS})

#: TikTok repeats for about sixteen hours (TTS §5.8.4); anything older is somebody replaying an old message.
OLDEST = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The HTTP status to answer and why, for the log."""

    status: int
    reason: str


def receive(raw: bytes, signature: str | None) -> Verdict:
    """Take one delivery: 200 when it is TikTok's own (used, repeated or of no use here), 401 with no effect when it is not, 400 when it is TikTok's and
    unreadable."""
    environment = _verified_for(raw, signature)
    if environment is None:
        log.warning("webhook_refused", reason="signature", bytes=len(raw))
        return Verdict(401, "The signature is not right.")
    try:
        message = orjson.loads(raw)
        kind, notification, shop_id = int(message["type"]), str(message["tts_notification_id"])[:80], str(message["shop_id"])
        sent_at, data = from_epoch(message.get("timestamp")), message.get("data")
        data = data if isinstance(data, dict) else {}
    except (ValueError, KeyError, TypeError, OverflowError):
        log.warning("webhook_refused", reason="unreadable", bytes=len(raw))
        return Verdict(400, "The message is not in TikTok's envelope.")
    found = db.session.scalars(select(Account).where(Account.shop_id == shop_id, Account.environment == environment)).all()
    end_reading()
    if not found:
        log.info("webhook_unknown_shop", shop=shop_id, type=kind)
        return Verdict(200, "No account has this shop.")
    if sent_at is not None and sent_at < connections.shop_now(found[0]) - OLDEST:
        log.warning("webhook_refused", reason="too old", shop=shop_id, type=kind)
        return Verdict(401, "The message is too old.")
    for account in found:
        if not _keep(account, kind, notification, shop_id, sent_at, data, several=len(found) > 1):
            return Verdict(200, "Already received.")
    return Verdict(200, "Received.")


def _verified_for(raw: bytes, signature: str | None) -> str | None:
    """The environment whose app signed these bytes. All apps are tried, so that the time taken says nothing."""
    signed: str | None = None
    for environment in (PRODUCTION, SANDBOX):
        app = settings.tiktok_app(environment)
        if app.complete and verify_webhook(app.app_key, app.app_secret, raw, signature):
            signed = signed or environment
    return signed


def _keep(account: Account, kind: int, notification: str, shop_id: str, sent_at: datetime | None, data: dict[str, Any], *, several: bool) -> bool:
    """Record the delivery and what follows from it in one transaction; False for a repeat."""
    numbers = _orders_in(kind, data)
    notification_id = f"{notification}:{account.id}"[:80] if several else notification
    used = kind in ABOUT_PRODUCTS | ABOUT_RETURNS or kind in (SELLER_DEAUTHORIZATION, UPCOMING_AUTHORIZATION_EXPIRATION)
    outcome = refresh.WAITING if numbers else ("received" if used else "of no use here")
    with unit_of_work() as session:
        dialect = dialect_of(session)
        statement = dialect.insert(WebhookDelivery.__table__).on_conflict_do_nothing(index_elements=["notification_id"])
        fresh = session.scalar(
            statement.returning(WebhookDelivery.__table__.c.notification_id),
            {
                "notification_id": notification_id,
                "account_id": account.id,
                "shop_id": shop_id,
                "type": kind,
                "data": {**data, "order_ids": numbers} if numbers else data,
                "sent_at": sent_at,
                "received_at": utcnow(),
                "outcome": outcome,
            },
        )
        if fresh is None:
            return False
        if numbers:
            _mark_dirty(session, account.id, numbers)
            refresh.submit_waiting(account.id)
        if kind in ABOUT_PRODUCTS and status_sync.mark(session, account.id, _products_in(data)):
            status_sync.submit_marked(account.id)
        if kind == CANCELLATION_STATUS_CHANGE:
            runs.submit("cancellations.import", account_id=account.id, key=f"cancellations.import:{account.id}:webhooks", started_by="webhook")
        elif kind in ABOUT_RETURNS:
            if named := _returns_in(data):
                returns.mark(session, account.id, named)
            runs.submit("returns.import", account_id=account.id, key=f"returns.import:{account.id}:webhooks", started_by="webhook")
        elif kind == UPCOMING_AUTHORIZATION_EXPIRATION:
            _expiry_announced(session, account.id, data)
    if kind == SELLER_DEAUTHORIZATION:
        accounts.authorisation_lost(
            account.id,
            Unauthorized(
                "The seller removed the authorisation of the app.",
                reason="revoked",
                system="tiktok",
                operation="webhook",
                code="tts.deauthorized",
                remote_message=str(data.get("message") or ""),
            ),
        )
    return True


def _orders_in(kind: int, data: dict[str, Any]) -> list[str]:
    """The TikTok order ids that a message is about; they may come as integers of any size."""
    if kind not in ABOUT_ORDERS:
        return []
    named = [data.get("order_id")]
    packages = data.get("package_list")
    for package in packages if isinstance(packages, list) else ():
        listed = package.get("order_id_list") if isinstance(package, dict) else None
        named += listed if isinstance(listed, list) else []
    return list(dict.fromkeys(text for value in named if value is not None and (text := str(value)).isdigit() and len(text) <= 40))


def _products_in(data: dict[str, Any]) -> list[str]:
    """The TikTok product id that a message is about, which comes as text or as an integer of any size."""
    text = str(data.get("product_id") or "")
    return [text] if text.isdigit() and len(text) <= 40 else []


def _returns_in(data: dict[str, Any]) -> list[str]:
    """The TikTok return id that a message is about; the legacy message calls it ``reverse_order_id``."""
    named = (str(data.get(name) or "") for name in ("return_id", "reverse_order_id"))
    return [text for text in named if text.isdigit() and len(text) <= 40]


def _mark_dirty(session: Session, account_id: int, numbers: list[str]) -> None:
    session.execute(
        update(Order)
        .where(Order.account_id == account_id, Order.number.in_(numbers))
        .values(dirty_at=utcnow(), updated_at=Order.updated_at)
        .execution_options(synchronize_session=False)
    )


def _expiry_announced(session: Session, account_id: int, data: dict[str, Any]) -> None:
    account = session.get(Account, account_id, populate_existing=True)
    if account is None:
        return
    ends = from_epoch(data.get("expiration_time"))
    when = f" on {ends:%d %B %Y}" if ends else " soon"
    account.auth_message = f"TikTok announces that the seller's consent ends{when}. Re-authorise before then, so that work does not pause."
    events.record("account.consent_ends", "account", account_id, account.auth_message, account_id=account_id)
    mail.notify("authorisation", subject=f"{account.title}: authorisation ends soon", body=account.auth_message, account=account)

"""What needs a person: orders that Magento has completed and TikTok has no tracking for (A234), deadlines, and the figures of the Today page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from connector.core.db import db, unit_of_work
from connector.domain.shipping import SHIPPABLE
from connector.models.account import AUTH_CONNECTED, AUTH_NONE, Account
from connector.models.aftersales import MEMO_FAILED, RECALL_OPEN, RECALL_RETURNING, CreditMemo, RecallTask, Return
from connector.models.order import Cancellation, Order, Shipment
from connector.services import connections
from connector.services.orders import parcels, state

NO_TRACKING = "ship.no_tracking"
#: Magento's word and an external storefront's for an order of which everything was sent.
COMPLETE = ("complete", "COMPLETED")
#: Hours left to ship, as the Today page groups them; the last group is everything later.
SHIP_BANDS = (0, 4, 24, 48)
EXPIRES_SOON = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Band:
    """Orders to ship with ``hours`` or less left (0: late; None: more than the last band)."""

    hours: int | None
    orders: int


@dataclass(frozen=True, slots=True)
class Expiring:
    """An account whose authorisation has ended or ends soon."""

    account_id: int
    title: str
    state: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attention:
    """What the Today page shows first. ``failed`` counts orders by cause code; ``cancellations`` and ``returns`` wait for an answer, ``recalls`` are under
    way, ``memos`` are orders with a refund that could not be carried over."""

    to_ship: tuple[Band, ...]
    cancellations: int
    returns: int
    recalls: int
    memos: int
    failed: tuple[tuple[str, int], ...]
    waiting_carrier: int
    not_sent: int
    expiring: tuple[Expiring, ...]

    @property
    def total(self) -> int:
        late = sum(band.orders for band in self.to_ship)
        return (
            late
            + self.cancellations
            + self.returns
            + self.recalls
            + self.memos
            + sum(count for _, count in self.failed)
            + self.waiting_carrier
            + len(self.expiring)
        )


def judge(order: Order) -> bool:
    """Flag an order that Magento calls complete while TikTok still waits for tracking, or take the flag off; True when something changed (A234)."""
    if order.magento_state in COMPLETE and order.remote_status in SHIPPABLE and order.shipping_type == "SELLER" and not _has_parcel(order.id):
        number = order.magento_number or order.magento_id
        return state.flag(
            order,
            NO_TRACKING,
            f"{'Magento' if order.magento_state == 'complete' else 'Store'} order {number} is complete, but it has no tracking number, so TikTok still shows order {order.number} as {order.remote_status}.",
            "Add the tracking number to the shipment in Magento, or enter it with the Ship action.",
        )
    if order.failure_code == NO_TRACKING:
        return state.clear_flag(order, NO_TRACKING, reason="tracking is there, or no longer needed")
    return False


def sweep(account_id: int) -> int:
    """Judge every order of an account that may need its A234 flag set or taken off; the number of changes."""
    flagged = Order.failure_code == NO_TRACKING
    suspicious = and_(Order.magento_state.in_(COMPLETE), Order.remote_status.in_(SHIPPABLE), or_(Order.failure_code.is_(None), ~flagged))
    query = select(Order).where(Order.account_id == account_id, or_(suspicious, flagged)).limit(2000)
    with unit_of_work() as session:
        return sum(judge(order) for order in session.scalars(query).all())


def _has_parcel(order_id: int) -> bool:
    query = select(Shipment.id).where(Shipment.order_id == order_id, Shipment.tracking_number != "", Shipment.state != parcels.IGNORED)
    return db.session.scalar(query.limit(1)) is not None


def attention(account_ids: Iterable[int] | None = None) -> Attention:
    """The figures of the Today page, over all accounts or the given ones. Deadlines are judged by each shop's own clock."""
    accounts = list(db.session.scalars(select(Account).where(Account.active)))
    if account_ids is not None:
        wanted = set(account_ids)
        accounts = [account for account in accounts if account.id in wanted]
    ids = [account.id for account in accounts]
    bands = dict.fromkeys((*SHIP_BANDS, None), 0)
    for account in accounts:
        for hours, count in _to_ship(account).items():
            bands[hours] += count
    requests = (Cancellation.account_id.in_(ids), Cancellation.cancel_type == "BUYER_CANCEL", Cancellation.remote_status == "CANCELLATION_REQUEST_PENDING")
    asked = select(func.count()).select_from(Cancellation).where(*requests)
    awaited = select(func.count()).select_from(Return).where(Return.account_id.in_(ids), Return.needs_answer)
    recalled = select(func.count()).select_from(RecallTask).where(RecallTask.account_id.in_(ids), RecallTask.state.in_((RECALL_OPEN, RECALL_RETURNING)))
    stuck = select(func.count(CreditMemo.order_id.distinct())).where(CreditMemo.account_id.in_(ids), CreditMemo.state == MEMO_FAILED)
    failed = db.session.execute(
        select(Order.failure_code, func.count())
        .where(Order.account_id.in_(ids), Order.failure_code.is_not(None))
        .group_by(Order.failure_code)
        .order_by(func.count().desc())
    ).all()
    by_state = dict(
        db.session.execute(
            select(Shipment.state, func.count())
            .where(Shipment.account_id.in_(ids), Shipment.state.in_((parcels.WAITING_CARRIER, parcels.FAILED)))
            .group_by(Shipment.state)
        ).all()
    )
    return Attention(
        to_ship=tuple(Band(hours, count) for hours, count in bands.items()),
        cancellations=db.session.scalar(asked) or 0,
        returns=db.session.scalar(awaited) or 0,
        recalls=db.session.scalar(recalled) or 0,
        memos=db.session.scalar(stuck) or 0,
        failed=tuple((code, count) for code, count in failed),
        waiting_carrier=by_state.get(parcels.WAITING_CARRIER, 0),
        not_sent=by_state.get(parcels.FAILED, 0),
        expiring=tuple(one for account in accounts if (one := _expiring(account))),
    )


def awaits_shipping() -> ColumnElement[bool]:
    """Orders the seller still has to ship, those with TikTok's label among them: neither fulfilled by TikTok nor sent."""
    return and_(Order.remote_status.in_(SHIPPABLE), Order.fulfillment_type.in_(("", "FULFILLMENT_BY_SELLER")))


def _to_ship(account: Account) -> dict[int | None, int]:
    now = connections.shop_now(account)
    edges = [now + timedelta(hours=hours) for hours in SHIP_BANDS]
    counts: dict[int | None, int] = {}
    base = select(func.count()).select_from(Order).where(Order.account_id == account.id, awaits_shipping(), Order.ship_by_at.is_not(None))
    lower: datetime | None = None
    for hours, edge in zip(SHIP_BANDS, edges, strict=True):
        query = base.where(Order.ship_by_at <= edge)
        counts[hours] = db.session.scalar(query.where(Order.ship_by_at > lower) if lower else query) or 0
        lower = edge
    counts[None] = db.session.scalar(base.where(Order.ship_by_at > edges[-1])) or 0
    return counts


def _expiring(account: Account) -> Expiring | None:
    now = connections.shop_now(account)
    soon = account.refresh_expires_at is not None and account.refresh_expires_at < now + EXPIRES_SOON
    if account.auth_state == AUTH_NONE or (account.auth_state == AUTH_CONNECTED and not soon):
        return None
    return Expiring(account.id, account.title, account.auth_state, account.refresh_expires_at)

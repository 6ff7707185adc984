"""Figures of the Today page: orders and revenue per day, time to Magento, failures, what the catalogue needs (product.md 12)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select

from connector.core.clock import utcnow
from connector.core.db import AMOUNT_SCALE, db
from connector.models.account import Account
from connector.models.listing import INCOMPLETE, REJECTED, Listing, ListingSku
from connector.models.order import CREATED, FAILED, SKIPPED, Order
from connector.services.products import risks

DAYS = 14


@dataclass(frozen=True, slots=True)
class Day:
    """One day by the user's calendar: orders placed and, per currency, what buyers paid."""

    day: str
    orders: int
    revenue: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Figures:
    """``minutes_to_magento``: median from order (or end of hold) to creation over the last orders; ``failure_rate``: failed of all decided, 0..1."""

    days: tuple[Day, ...]
    by_account: tuple[tuple[int, str, int], ...]
    minutes_to_magento: float | None
    failure_rate: float | None


def last_days(zone: ZoneInfo) -> Figures:
    """The figures of the last ``DAYS`` days."""
    today = utcnow().astimezone(zone).date()
    first = today - timedelta(days=DAYS - 1)
    starts = [datetime.combine(first + timedelta(days=n), datetime.min.time(), zone).astimezone(UTC) for n in range(DAYS + 1)]
    days = []
    for start, end in itertools.pairwise(starts):
        rows = db.session.execute(
            select(Order.currency, func.count(), func.sum(Order.total))
            .where(Order.placed_at >= start, Order.placed_at < end, Order.remote_status != "CANCELLED")
            .group_by(Order.currency)
        ).all()
        days.append(Day(start.astimezone(zone).date().isoformat(), sum(row[1] for row in rows), {row[0]: _exact(row[2]) for row in rows}))
    accounts = db.session.execute(
        select(Account.id, Account.title, func.count(Order.id))
        .join(Order, Order.account_id == Account.id)
        .where(Order.placed_at >= starts[0])
        .group_by(Account.id, Account.title)
        .order_by(Account.title)
    ).all()
    return Figures(tuple(days), tuple((row[0], row[1], row[2]) for row in accounts), _minutes_to_magento(), _failure_rate(starts[0]))


def _exact(value: object) -> Decimal:
    """Sums come back through the column's type, or as plain scaled integers where the database drops it."""
    return value if isinstance(value, Decimal) else Decimal(int(value or 0)) / AMOUNT_SCALE  # type: ignore[call-overload]


def _minutes_to_magento() -> float | None:
    rows = db.session.execute(
        select(Order.created_at, Order.hold_until, Order.magento_created_at)
        .where(Order.state == CREATED, Order.magento_created_at.is_not(None))
        .order_by(Order.id.desc())
        .limit(200)
    ).all()
    waits = sorted(max(0.0, (row.magento_created_at - max(row.created_at, row.hold_until or row.created_at)).total_seconds() / 60) for row in rows)
    return waits[len(waits) // 2] if waits else None


def _failure_rate(since: datetime) -> float | None:
    """Orders that carry an error, of all that were decided."""
    decided, failed = db.session.execute(
        select(func.count(), func.count(Order.failure_code)).where(
            Order.placed_at >= since, or_(Order.state.in_((CREATED, FAILED, SKIPPED)), Order.failure_code.is_not(None))
        )
    ).one()
    return failed / decided if decided else None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What an account's products need: listings that TikTok rejected, that lack details, that failed; SKUs by what is wrong with stock and price."""

    account_id: int
    title: str
    rejected: int
    incomplete: int
    failed: int
    oversell: int
    falling: int
    price_blocked: int
    unread: int

    @property
    def total(self) -> int:
        return self.rejected + self.incomplete + self.failed + self.oversell + self.falling + self.price_blocked + self.unread


def catalogue() -> tuple[Catalogue, ...]:
    """One line for each active account that has listings; every count by an index."""
    found = []
    for account_id, title in db.session.execute(select(Account.id, Account.title).where(Account.active).order_by(Account.title)).all():
        listings = select(func.count()).select_from(Listing).where(Listing.account_id == account_id)
        skus = select(func.count()).select_from(ListingSku).where(ListingSku.account_id == account_id)
        if db.session.scalar(select(Listing.id).where(Listing.account_id == account_id).limit(1)) is None:
            continue
        row = db.session.execute(
            select(
                listings.where(Listing.marketplace_state == REJECTED).scalar_subquery(),
                listings.where(Listing.validation == INCOMPLETE).scalar_subquery(),
                listings.where(Listing.failure_code.is_not(None)).scalar_subquery(),
                *(skus.where(*conditions).scalar_subquery() for conditions in (risks.oversell(), risks.FALLING, risks.PRICE_BLOCKED, risks.UNREAD)),
            )
        ).one()
        found.append(Catalogue(account_id, title, *row))
    return tuple(found)

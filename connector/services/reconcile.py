"""The no-order-lost certificate (product.md 12): per account and day, what TikTok lists against what is stored here and created in Magento.

A day is a UTC day of order creation by TikTok's clock. Every listed order is in exactly one of: missing, created, deliberately skipped, pending. The
store is asked as well: two Magento orders with the same ``ext_order_id`` are duplicates, whatever our tables say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.clients.magento import SearchCriteria
from connector.clients.tiktok import TikTokClient, Window
from connector.core.clock import utcnow
from connector.core.db import db, dialect_of, end_reading, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.domain import tiktok_order as tiktok
from connector.models.account import Account
from connector.models.order import CANCELLED, CREATED, FAILED, HEAL, REVIEW, SKIPPED, STORED, Order, ReconciliationDay
from connector.services import connections, runs, storefronts
from connector.services.orders import polling

_ID_CHUNK = 100
_FIELDS = "items[entity_id,increment_id,ext_order_id,grand_total,order_currency_code,status,state],total_count"


@dataclass(slots=True)
class Findings:
    """One day's comparison before it is stored."""

    listed: dict[str, tuple[str, Decimal, str]]  #: TikTok order id -> (currency, total, status)
    stored: int = 0
    created: int = 0
    pending: int = 0
    failed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    totals: dict[str, dict[str, Decimal]] = field(default_factory=dict)

    def add_total(self, currency: str, side: str, amount: Decimal) -> None:
        sums = self.totals.setdefault(currency, {"tiktok": Decimal(0), "stored": Decimal(0), "magento": Decimal(0)})
        sums[side] += amount


def default_days(account_id: int) -> list[str]:
    """Yesterday and today by the shop's clock."""
    today = connections.shop_now(connections.account_of(account_id)).date()
    end_reading()
    return [(today - timedelta(days=1)).isoformat(), today.isoformat()]


def check_day(account_id: int, day: str, *, guard: Callable[[Session], None] | None = None) -> ReconciliationDay:
    """Compare one day and store the result; an earlier result of the same day is replaced. ``day`` is ``YYYY-MM-DD``."""
    start = _start_of(day)
    account = connections.account_of(account_id)
    magento_id = account.magento_id
    end_reading()
    client = connections.tiktok(account_id)
    findings = Findings(_listed(client, start))
    _compare(account_id, findings)
    if storefronts.external_of(account_id):
        _ask_storefront(account_id, findings, start)
    elif magento_id is not None:
        _ask_store(account_id, findings)
    with unit_of_work() as session:
        if guard is not None:
            guard(session)
        dialect = dialect_of(session)
        row = {
            "account_id": account_id,
            "day": day,
            "listed": len(findings.listed),
            "stored": findings.stored,
            "created": findings.created,
            "skipped": sum(findings.skipped.values()),
            "pending": findings.pending,
            "missing": findings.missing,
            "duplicates": findings.duplicates,
            "skip_reasons": dict(findings.skipped),
            "totals": {
                "failed": findings.failed,
                "currencies": {currency: {side: str(amount) for side, amount in sums.items()} for currency, sums in findings.totals.items()},
            },
            "checked_at": utcnow(),
        }
        statement = dialect.insert(ReconciliationDay.__table__)
        session.execute(statement.on_conflict_do_update(index_elements=["account_id", "day"], set_={k: statement.excluded[k] for k in row}), [row])
    found = db.session.scalar(
        select(ReconciliationDay).where(ReconciliationDay.account_id == account_id, ReconciliationDay.day == day).execution_options(populate_existing=True)
    )
    end_reading()
    assert found is not None
    return found


def heal(account_id: int, day: str, *, started_by: str) -> runs.Submitted:
    """Import what the day's certificate misses; the account's order policy then acts on it as on any scheduled order."""
    found = db.session.scalar(select(ReconciliationDay).where(ReconciliationDay.account_id == account_id, ReconciliationDay.day == day))
    if found is None:
        raise NotFoundError("reconcile.unknown", f"{day} has not been reconciled for this account.", "Run the reconciliation of that day first.")
    if not found.missing:
        raise DomainError("reconcile.nothing_missing", f"No order of {day} is missing.", "Nothing needs to be done.")
    return polling.request_import(account_id, order_ids=found.missing, started_by=started_by, origin=HEAL, key=f"heal:{account_id}:{day}")


def submit(account_id: int, day: str, *, started_by: str) -> runs.Submitted:
    """Submit the check of one day."""
    _start_of(day)
    return runs.submit(
        "reconcile", account_id=account_id, args={"day": day}, key=f"reconcile:{account_id}:{day}", title=f"Reconcile {day}", started_by=started_by
    )


def submit_all(*, started_by: str) -> int:
    """A run for every account that can work; their number."""
    accounts = [account for account in db.session.scalars(select(Account).where(Account.active)) if account.connected]
    for account in accounts:
        runs.submit("reconcile", account_id=account.id, key=f"reconcile:{account.id}", started_by=started_by)
    return len(accounts)


# --- the three sides ----------------------------------------------------------------------------------------------------------------------


def _listed(client: TikTokClient, start: datetime) -> dict[str, tuple[str, Decimal, str]]:
    """Every order TikTok lists for the day, read without storing anything."""
    listed: dict[str, tuple[str, Decimal, str]] = {}
    for order in client.iter_orders(Window(start, start + timedelta(days=1), "create_time")):
        payment = order.get("payment") or {}
        try:
            total = Decimal(str(payment.get("total_amount") or "0"))
        except InvalidOperation:
            total = Decimal(0)
        listed[str(order.get("id"))] = (str(payment.get("currency") or "?")[:3], total, str(order.get("status") or ""))
    return listed


def _compare(account_id: int, findings: Findings) -> None:
    known: dict[str, Any] = {}
    for numbers in _chunks(list(findings.listed)):
        rows = db.session.execute(
            select(Order.number, Order.state, Order.remote_status, Order.failure_code, Order.failure_message, Order.total, Order.currency).where(
                Order.account_id == account_id, Order.number.in_(numbers)
            )
        )
        known |= {row.number: row for row in rows}
    end_reading()
    findings.stored = len(known)
    for number, (currency, total, _) in findings.listed.items():
        findings.add_total(currency, "tiktok", total)
        row = known.get(number)
        if row is None:
            findings.missing.append(number)
            continue
        findings.add_total(row.currency, "stored", row.total)
        if row.state == CREATED:
            findings.created += 1
        elif reason := _why_skipped(row):
            findings.skipped[reason] += 1
        else:
            findings.pending += 1
            findings.failed += row.state == FAILED


def _why_skipped(order: Any) -> str:
    """The reason for which an order is deliberately not in Magento; empty when it is still to come."""
    if order.state == SKIPPED:
        return str(order.failure_message or order.failure_code or "skipped by a gate")[:200]
    if order.state == CANCELLED:
        return "cancelled before it reached Magento"
    if order.state == REVIEW:
        return "imported by hand, waits for Create Sales Order"
    if order.state == STORED and order.remote_status == tiktok.UNPAID:
        return "not paid yet"
    if order.state == STORED:
        return f"the order policy does not create orders that are {tiktok.label(order.remote_status)}"
    return ""


def _ask_store(account_id: int, findings: Findings) -> None:
    """What the store has under these TikTok order ids, a hundred a call."""
    client = connections.magento_for(account_id)
    end_reading()
    seen: Counter[str] = Counter()
    for numbers in _chunks(list(findings.listed)):
        criteria = SearchCriteria().where("ext_order_id", "in", numbers).only(_FIELDS)
        for order in client.iter_orders(criteria):
            number = str(order.get("ext_order_id") or "")
            seen[number] += 1
            if seen[number] == 1:
                findings.add_total(str(order.get("order_currency_code") or "?"), "magento", Decimal(str(order.get("grand_total") or 0)))
    findings.duplicates = sorted(number for number, count in seen.items() if count > 1)


def _ask_storefront(account_id: int, findings: Findings, start: datetime) -> None:
    """The same of an external storefront, which lists by change: what was placed on a day was changed since."""
    client = connections.storefront_for(account_id)
    end_reading()
    seen: Counter[str] = Counter()
    for order in client.orders_modified_since(start):
        number = str(order.get("externalOrderId") or "")
        if number in findings.listed:
            seen[number] += 1
            if seen[number] == 1:
                findings.add_total(str((order.get("payment") or {}).get("currency") or "?"), "magento", Decimal(str(order.get("total") or 0)))
    findings.duplicates = sorted(number for number, count in seen.items() if count > 1)


def _chunks(numbers: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(numbers), _ID_CHUNK):
        yield numbers[first : first + _ID_CHUNK]


def _start_of(day: str) -> datetime:
    try:
        parsed = date.fromisoformat(day)
    except ValueError:
        raise DomainError("reconcile.day", f"{day} is not a day.", "Write it as YYYY-MM-DD.", field="day") from None
    return datetime(parsed.year, parsed.month, parsed.day, tzinfo=UTC)

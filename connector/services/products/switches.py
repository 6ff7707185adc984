"""The synchronization policy in force, and its switches as schedules of each account (A045, A067-A079).

The bodies of the runs are in ``jobs/products_auto.py``; falling stock goes out whatever the switches say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.domain.automation import STATUSES
from connector.domain.policies import SYNCHRONIZATION, SynchronizationPolicy
from connector.models.account import Account
from connector.models.listing import Listing, ListingTemplate
from connector.models.policy import Policy
from connector.models.product import Product, ProductCursor
from connector.models.run import Schedule
from connector.services import events
from connector.services.kinds import KINDS

#: Kind of work -> the policy's switch and its interval.
SWITCHES: dict[str, tuple[str, str]] = {
    "templates.assign": ("product_assign", "assign_every_minutes"),
    "products.auto_upload": ("product_upload", "upload_every_minutes"),
    "products.auto_update": ("product_update", "update_every_minutes"),
    "products.sync": ("inventory_price_sync", "inventory_price_every_minutes"),
}


class InForce(NamedTuple):
    """A synchronization policy as it applies to an account."""

    policy_id: int
    title: str
    body: SynchronizationPolicy


def in_force(account: Account) -> InForce:
    """The account's synchronization policy: the assigned one, else the default (A045). Raises ``LookupError`` before anything was seeded."""
    found = all_in_force([account]).get(account.id)
    if found is None:
        raise LookupError("there is no synchronization policy")
    return found


def all_in_force(accounts: Sequence[Account]) -> dict[int, InForce]:
    rows = db.session.scalars(select(Policy).where(Policy.kind == SYNCHRONIZATION, Policy.deleted_at.is_(None))).all()
    by_id = {row.id: InForce(row.id, row.title, SynchronizationPolicy.model_validate(row.body)) for row in rows}
    default = next((by_id[row.id] for row in rows if row.is_default), None)
    chosen = {account.id: by_id.get(account.sync_policy_id or 0) or default for account in accounts}
    return {account_id: policy for account_id, policy in chosen.items() if policy is not None}


def synced_statuses(account: Account) -> frozenset[int]:
    """Magento statuses whose rising stock and whose prices are sent by themselves; empty while Inventory/Price Sync is off."""
    return STATUSES[in_force(account).body.inventory_price_sync]


def synchronised(query: Select[Any], statuses: Collection[int]) -> Select[Any]:
    """Narrow a query of listings to what goes out by itself: products of these Magento statuses in an enabled template."""
    enabled = select(ListingTemplate.id).where(ListingTemplate.enabled)
    chosen = select(Product.id).where(Product.status.in_(list(statuses)))
    return query.where(Listing.product_id.in_(chosen), Listing.template_id.in_(enabled))


# --- schedules


@contextmanager
def following() -> Iterator[None]:
    """Whatever happens inside (a policy saved, assigned, replaced): each account's schedules are as its policy says afterwards.

    A person's own switch on the Schedule page stays until the policy's switch itself is changed.
    """
    before = all_in_force(_accounts())
    yield
    with unit_of_work() as session:
        session.flush()
        accounts = _accounts()
        for account_id, now in all_in_force(accounts).items():
            earlier = before.get(account_id)
            if earlier is None or earlier.body != now.body:
                apply(account_id, now, earlier)


def apply(account_id: int, policy: InForce, earlier: InForce | None = None) -> None:
    """Make the account's schedule rows those of the policy, in the caller's transaction. Rows that are missing are made."""
    with unit_of_work() as session:
        rows = {row.kind: row for row in session.scalars(select(Schedule).where(Schedule.account_id == account_id, Schedule.kind.in_(SWITCHES)))}
        now = utcnow()
        for kind, (switch, every) in SWITCHES.items():
            on, seconds = getattr(policy.body, switch) != "off", 60 * getattr(policy.body, every)
            row = rows.get(kind)
            if row is None:
                session.add(
                    Schedule(kind=kind, account_id=account_id, interval_seconds=seconds, enabled=on, next_due_at=now, last_outcome=_off_words(on, policy))
                )
                continue
            was_on = earlier is not None and getattr(earlier.body, switch) != "off"
            if row.interval_seconds != seconds:
                row.interval_seconds = seconds
                row.next_due_at = min(row.next_due_at, now + timedelta(seconds=seconds))
            if (earlier is None or on != was_on) and row.enabled != on:
                row.enabled, row.next_due_at = on, now
                row.last_outcome = _off_words(on, policy) or row.last_outcome
                state = "on" if on else "off"
                message = f"{KINDS[kind].title}: {state}, as {policy.title} says."
                events.record("schedule.switched", "schedule", row.id, message, account_id=account_id)
        session.flush()


def ensure(account: Account) -> None:
    """The rows of an account that has none yet; existing ones stay as they are."""
    kinds = set(db.session.scalars(select(Schedule.kind).where(Schedule.account_id == account.id, Schedule.kind.in_(SWITCHES))))
    policy = all_in_force([account]).get(account.id)
    if policy is not None and kinds != set(SWITCHES):
        apply(account.id, policy, policy)


def whole_import_due(account: Account) -> bool:
    """Whether the account's store was last read completely more than a day ago: deleted products are found only then."""
    views = {"all", account.store_view or "all"}
    query = select(func.min(ProductCursor.full_at)).where(ProductCursor.magento_id == account.magento_id, ProductCursor.store_view.in_(views))
    last = db.session.scalar(query)
    return last is not None and last < utcnow() - timedelta(days=1)


def _off_words(on: bool, policy: InForce) -> str:
    return "" if on else f"Off in the synchronization policy {policy.title}."


def _accounts() -> list[Account]:
    return list(db.session.scalars(select(Account).order_by(Account.id)))

"""Who writes an order into Magento, and how far it has come (MAG §4.4.7).

One row an order. A writer claims it with a lease and a fence; every step it records is refused once another writer has claimed the row after it.
The cart's id is stored before anything is placed, so that a killed writer's order is found by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update

from connector.clients.errors import Unavailable
from connector.core.clock import utcnow
from connector.core.db import db, dialect_of, unit_of_work
from connector.models.order import CREATED, CREATING, MagentoOrderIntent, Order
from connector.services import events
from connector.services.orders import state

NEW, PLACING, PLACED, DONE = "new", "placing", "placed", "done"

#: A silent writer is believed alive that long; longer than any one call may take.
LEASE = timedelta(seconds=75)


@dataclass
class Claim:
    """A writer's hold on one order. ``resumed``: somebody has worked on it before, so every step is looked up first."""

    order_id: int
    fence: int
    writer: str
    step: str = NEW
    cart_id: str | None = None
    entity_id: str | None = None
    placing_since: datetime | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    resumed: bool = False


def claim(order: Order, writer: str, facts: dict[str, Any]) -> Claim:
    """Take the order for writing and show it as ``creating``. Raises ``Unavailable`` while another writer is at work on it.

    A later pass of the same run may take over at once: its earlier worker is gone, or will be refused by the fence.
    """
    now, run_id = utcnow(), events.run_now.get()
    with unit_of_work() as session:
        dialect = dialect_of(session)
        fresh = {"order_id": order.id, "writer": writer, "step": NEW, "store_code": "", "fence": 0, "facts": {}, "updated_at": now}
        session.execute(dialect.insert(MagentoOrderIntent).values(fresh).on_conflict_do_nothing())  # two writers may begin at once
        row = session.get(MagentoOrderIntent, order.id, with_for_update=True, populate_existing=True)
        assert row is not None
        held = row.facts.get("run") if row.facts else None
        if row.lease_until is not None and row.lease_until > now and (run_id is None or held != run_id):
            raise Unavailable(
                f"Order {order.number} is being created in Magento by another run.", system="connector", operation="create", code="order.busy",
                retry_after=max(1.0, (row.lease_until - now).total_seconds() / 2),
            )  # fmt: skip
        current = session.get(Order, order.id, populate_existing=True)
        assert current is not None
        if current.state == CREATED:
            raise Unavailable(f"Order {order.number} has just been created.", system="connector", operation="create", code="order.busy", retry_after=0.2)
        resumed = row.step != NEW
        if not resumed or row.step == DONE:
            row.writer = writer  # an order that was begun one way is finished that way
        row.fence = (row.fence or 0) + 1
        row.lease_until = now + LEASE
        row.facts = {**(row.facts or {}), **facts, "run": run_id}
        state.set_state(current, CREATING, reason="gates passed" if not resumed else "an earlier writer did not finish")
        return Claim(
            order.id, row.fence, row.writer, row.step, row.cart_id, row.entity_id, row.placing_since, dict(row.facts), resumed
        )  # fmt: skip


def advance(held: Claim, step: str, **values: Any) -> None:
    """Record a step in a short transaction of its own."""
    with unit_of_work():
        record(held, step, **values)


def record(held: Claim, step: str, *, lease: bool = True, **values: Any) -> None:
    """Record a step in the caller's transaction, and prolong the lease (or end it). Raises ``Unavailable`` when the claim was taken over."""
    until = utcnow() + LEASE if lease else None
    changed = db.session.execute(
        update(MagentoOrderIntent)
        .where(MagentoOrderIntent.order_id == held.order_id, MagentoOrderIntent.fence == held.fence)
        .values(step=step, lease_until=until, updated_at=utcnow(), **values)
        .execution_options(synchronize_session=False)
    ).rowcount
    if changed != 1:
        raise Unavailable("Another worker has taken this order over.", system="connector", operation="create", code="order.busy", retry_after=3)
    held.step = step
    for name, value in values.items():
        setattr(held, name, value)


def release(held: Claim) -> None:
    """Give the order back unfinished, so that the next writer need not wait for the lease."""
    with unit_of_work() as session:
        session.execute(
            update(MagentoOrderIntent)
            .where(MagentoOrderIntent.order_id == held.order_id, MagentoOrderIntent.fence == held.fence)
            .values(lease_until=None)
            .execution_options(synchronize_session=False)
        )

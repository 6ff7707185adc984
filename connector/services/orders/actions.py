"""The ledger of what the connector does to an order elsewhere: one row per order, action and key, whoever asks first (product rule 2)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from connector.core.db import db, dialect_of
from connector.models.order import Order, OutgoingAction
from connector.services import events


def take(order: Order, action: str, key: str = "") -> OutgoingAction:
    """The row of this action in the caller's transaction, locked; made when nobody has. Two writers get the same row, one after the other."""
    dialect = dialect_of(db.session)
    values: dict[str, Any] = {"account_id": order.account_id, "order_id": order.id, "action": action, "key": key, "created_by": events.actor_now.get()}
    values |= {"state": "pending", "attempts": 0, "request": {}, "answer": {}}
    db.session.execute(dialect.insert(OutgoingAction).values(**values).on_conflict_do_nothing(index_elements=["account_id", "order_id", "action", "key"]))
    query = select(OutgoingAction).where(
        OutgoingAction.account_id == order.account_id, OutgoingAction.order_id == order.id, OutgoingAction.action == action, OutgoingAction.key == key
    )
    return db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).one()

"""Writing the store's order numbers back to TikTok as external order references (TTS §5.4.4), a hundred orders a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from connector.clients.tiktok import external_order
from connector.core.clock import utcnow
from connector.core.db import db, dialect_of, end_reading, unit_of_work
from connector.models.account import Account
from connector.models.order import CREATED, Order, OutgoingAction
from connector.services import connections, events, storefronts

BATCH = 100
MOST_LINES = 100
ACTION = "external_reference"
#: After so many refusals an order is left to a person.
MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Refused:
    """TikTok did not take the reference of one order."""

    order_id: int
    number: str
    code: str
    message: str


def waiting(account_id: int, *, after: int = 0) -> list[int]:
    """Created orders of the account whose number TikTok has not got, oldest first, at most one batch."""
    tried = select(OutgoingAction.order_id).where(
        OutgoingAction.account_id == account_id, OutgoingAction.action == ACTION, OutgoingAction.attempts >= MAX_ATTEMPTS
    )
    query = (
        select(Order.id)
        .where(Order.account_id == account_id, Order.state == CREATED, Order.referenced_at.is_(None), Order.id > after, Order.id.not_in(tried))
        .order_by(Order.id)
        .limit(BATCH)
    )
    found = list(db.session.scalars(query))
    db.session.commit()
    return found


def count_waiting(account_id: int) -> int:
    """Orders that are in the store and whose number TikTok does not have yet (TTS §5.4.4)."""
    found = db.session.scalar(
        select(func.count()).select_from(Order).where(Order.account_id == account_id, Order.state == CREATED, Order.referenced_at.is_(None))
    )
    db.session.commit()
    return found or 0


def write_batch(account_id: int, order_ids: list[int], *, guard: Callable[[Session], None] | None = None) -> list[Refused]:
    """Write one batch; the ones TikTok refused. The same order and platform again is an edit, so a lost answer is simply repeated."""
    account = db.session.get(Account, account_id)
    orders = db.session.scalars(select(Order).where(Order.id.in_(order_ids)).options(selectinload(Order.lines)).order_by(Order.id)).all()
    store = storefronts.for_account(account_id)
    entries = [
        external_order(
            order.number,
            order.magento_number or "",
            {line.line_id: line.magento_item_id for line in order.lines[:MOST_LINES] if line.magento_item_id},
            platform=store.platform,
        )
        for order in orders
        if order.magento_number
    ]
    end_reading()
    if not entries or account is None:
        return []
    errors = connections.tiktok(account_id).put_external_orders(entries).errors
    refused = [Refused(order.id, order.number, str(errors[order.number].code), errors[order.number].message) for order in orders if order.number in errors]
    with unit_of_work() as session:
        if guard is not None:
            guard(session)
        for order in session.scalars(select(Order).where(Order.id.in_(order_ids)).execution_options(populate_existing=True)):
            if order.number not in errors and order.magento_number:
                order.referenced_at = utcnow()
                events.record("order.referenced", "order", order.id, f"TikTok knows {store.name} order {order.magento_number}.", account_id=account_id)
        for one in refused:
            _note(session, account_id, one)
    return refused


def _note(session: Session, account_id: int, refused: Refused) -> None:
    dialect = dialect_of(session)
    statement = dialect.insert(OutgoingAction).values(
        account_id=account_id, order_id=refused.order_id, action=ACTION, key="", state="failed", attempts=1, request={}, answer={},
        error_code=refused.code, error_message=refused.message,
    )  # fmt: skip
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["account_id", "order_id", "action", "key"],
            set_={"attempts": OutgoingAction.attempts + 1, "error_code": refused.code, "error_message": refused.message, "updated_at": utcnow()},
        )
    )

"""What Magento is owed: a ``CreditMemo`` row for each return that TikTok granted, for lines that it cancelled, for goods that came after the money.

Local knowledge only; ``credit_memos`` carries the rows out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import dialect_of, unit_of_work
from connector.domain.order_policy import OrderPolicy
from connector.models.aftersales import (
    FROM_MAGENTO,
    GOODS_RECEIVED,
    MEMO_IGNORED,
    MEMO_SENDING,
    MEMO_WAITING,
    TO_MAGENTO,
    CreditMemo,
    RecallTask,
    Return,
)
from connector.models.order import CREATED, Order, OrderLine
from connector.services import storefronts
from connector.services.orders import recall, state
from connector.services.returns import from_magento, importing, planning
from connector.services.returns.terms import policy_of

#: Cancelled lines are looked for among the orders that changed since.
REACH = timedelta(days=3)


def prepare(account_id: int) -> None:
    """A row for everything that is owed and has none. Local knowledge only."""
    policy = policy_of(account_id)
    with unit_of_work() as session:
        _prepare_returns(session, account_id, policy)
        _prepare_lines(session, account_id)
        _prepare_restocks(session, account_id, policy)


def _prepare_returns(session: Session, account_id: int, policy: OrderPolicy) -> None:
    has_row = exists().where(CreditMemo.order_id == Return.order_id, CreditMemo.key == "return:" + Return.return_id)
    ours = exists().where(CreditMemo.return_pk == Return.id, CreditMemo.direction == FROM_MAGENTO)
    query = (
        select(Return)
        .join(Order, Order.id == Return.order_id)
        .where(
            Return.account_id == account_id,
            Return.phase.in_(importing.GRANTED),
            Order.state == CREATED,
            Order.magento_id.is_not(None),
            ~has_row,
            ~ours,
            planning.PAYS,
        )
        .order_by(Return.id)
    )
    for row in session.scalars(query).all():
        if from_magento.in_doubt(session, row):
            continue
        values: dict[str, Any] = {"return_pk": row.id, "currency": row.currency, "amount": row.amount}
        if not policy.credit_memos:
            values |= {"state": MEMO_IGNORED, "failure_message": "The order policy writes no credit memos: refund it in Magento by hand."}
        _add(session, row.account_id, row.order_id, f"return:{row.return_id}", values)


def _prepare_lines(session: Session, account_id: int) -> None:
    """Lines that TikTok cancelled one by one, of orders that go on; of a recalled order those that never left."""
    recalled = exists().where(RecallTask.order_id == Order.id, RecallTask.state.in_(recall.UNDER_WAY))
    query = (
        select(OrderLine.order_id, OrderLine.line_id)
        .join(Order, Order.id == OrderLine.order_id)
        .where(
            Order.account_id == account_id, Order.state == CREATED, Order.magento_id.is_not(None), or_(Order.remote_status != "CANCELLED", recalled),
            Order.updated_at > utcnow() - REACH, OrderLine.remote_status == "CANCELLED", OrderLine.magento_item_id.is_not(None),
        )
        .order_by(OrderLine.order_id, OrderLine.line_id)
    )  # fmt: skip
    lines: dict[int, list[str]] = {}
    for order_id, line_id in session.execute(query):
        lines.setdefault(order_id, []).append(line_id)
    kept = select(CreditMemo.order_id, CreditMemo.key).where(CreditMemo.order_id.in_(lines), CreditMemo.key.startswith("lines:"))
    known = {(row.order_id, row.key) for row in session.execute(kept)}
    left = select(RecallTask.order_id, RecallTask.units).where(RecallTask.order_id.in_(lines))
    away = {order_id: sum(units.values()) for order_id, units in session.execute(left)}
    for order_id, line_ids in lines.items():
        if away.get(order_id, 0) >= len(line_ids):
            continue
        digest = hashlib.sha256(",".join(line_ids).encode()).hexdigest()[:16]
        if (order_id, f"lines:{digest}") in known:
            continue
        values: dict[str, Any] = {}
        order = session.get_one(Order, order_id)
        if why := by_hand(order):
            alive = order.remote_status != "CANCELLED"  # of a cancelled one the recall, or the external storefront, sees to them
            values = {"state": MEMO_IGNORED, "failure_message": lines_cancelled(session, order) if alive else f"{why}."}
        _add(session, account_id, order_id, f"lines:{digest}", values)


def _prepare_restocks(session: Session, account_id: int, policy: OrderPolicy) -> None:
    """Goods that were received and that no credit memo has brought, or will bring, back into stock."""
    if not policy.restock_returns:
        return
    settled = exists().where(
        CreditMemo.order_id == Return.order_id, CreditMemo.key == "return:" + Return.return_id, CreditMemo.state.in_((MEMO_WAITING, MEMO_SENDING))
    )
    has_row = exists().where(CreditMemo.order_id == Return.order_id, CreditMemo.key == "restock:" + Return.return_id)
    query = (
        select(Return)
        .join(Order, Order.id == Return.order_id)
        .where(
            Return.account_id == account_id, Return.goods == GOODS_RECEIVED, Return.restocked_at.is_(None), Return.phase.in_(importing.GRANTED),
            Order.state == CREATED, Order.magento_id.is_not(None), ~settled, ~has_row,
        )
    )  # fmt: skip
    for row in session.scalars(query).all():
        _add(session, row.account_id, row.order_id, f"restock:{row.return_id}", {"return_pk": row.id})


def _add(session: Session, account_id: int, order_id: int, key: str, values: Mapping[str, Any]) -> None:
    dialect = dialect_of(session)
    row = {"account_id": account_id, "order_id": order_id, "key": key, "direction": TO_MAGENTO, "state": MEMO_WAITING, **values}
    session.execute(dialect.insert(CreditMemo).values(**row).on_conflict_do_nothing(index_elements=["order_id", "key"]))


def lines_cancelled(session: Session, order: Order) -> str:
    """Lines of an order that lives on were cancelled on TikTok: what happens to the same units of the store's order, in a sentence. In the caller's
    transaction; where the connector does it itself it is rung for, otherwise the order warns."""
    if order.state != CREATED or not order.magento_id:
        return ""
    number = order.magento_number or order.magento_id
    if why := by_hand(order):
        text = f"Some lines were cancelled on TikTok. {why}: take the same units off order {number} in the store."
        state.warn(order, text)
        return text
    importing.ring_memos(order.account_id)
    return f"Their units are taken off Magento order {number} and return to stock."


def by_hand(order: Order) -> str:
    """Why a person has to take cancelled units off the store's order; "" when the connector does."""
    if order.account.storefront != storefronts.MAGENTO:
        return "The external storefront books no refunds"
    return "" if policy_of(order.account_id).credit_memos else "The order policy writes no credit memos"

"""Delivered orders and buyers who ask for something back, at the practice marketplace and store."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from connector.core.db import db
from connector.models.account import Account
from connector.models.aftersales import CreditMemo, Return
from connector.models.order import Order
from connector.services import connections, returns
from connector.services.orders import push
from tests.factories.parcels import Store, in_magento, parcel, place, take_in
from tests.factories.shop import Market


def delivered(
    market: Market, account: Account, *lines: tuple[str, int], store: Store | None = None, tracking: str = "RM000000001GB", still_going: bool = False
) -> Order:
    """An order that reached its buyer, or is on its way to him; with ``store`` it exists in Magento, was shipped there and is invoiced."""
    order = in_magento(market, account, *lines) if store else place(market, account, *lines)
    if store:
        store.ship(order, tracking)
    push.push(parcel(order, tracking))
    market.post(f"orders/{order.number}/collect")
    if not still_going:
        market.post(f"orders/{order.number}/deliver")
    return take_in(account, order.number)


def ask(market: Market, account: Account, order: Order, kind: str = "REFUND", units: int | None = None, **wish: Any) -> Return:
    """The buyer asks for it; as the import has stored it. ``units``: of the order's first lines only."""
    if units:
        wish["line_ids"] = [line["id"] for line in market.order(order.number)["line_items"]][:units]
    return_id = market.post(f"orders/{order.number}/return", type=kind, **wish)["returns"][-1]["return_id"]
    return imported(account, return_id)


def imported(account: Account, return_id: str) -> Return:
    returns.import_account(account.id)
    db.session.expire_all()
    found = db.session.scalars(select(Return).where(Return.return_id == return_id)).one()
    db.session.commit()
    return found


def again(row: Return) -> Return:
    db.session.expire_all()
    found = db.session.get_one(Return, row.id)
    db.session.commit()
    return found


def memos(order: Order) -> list[CreditMemo]:
    db.session.expire_all()
    found = list(db.session.scalars(select(CreditMemo).where(CreditMemo.order_id == order.id).order_by(CreditMemo.id)))
    db.session.commit()
    return found


def in_store(order: Order) -> list[dict[str, Any]]:
    """The credit memos that Magento has of an order."""
    return connections.magento_for(order.account_id).creditmemos_of(order.magento_id or "")


def physical(store: Store, sku: str) -> float:
    """Units of a SKU on all shelves of the store, and what can be sold of it."""
    stocks = store.get("ledger", sku=sku)["stocks"]
    return sum(float(stock["physical"]) for stock in stocks)


def salable(store: Store, sku: str) -> list[float]:
    return [float(stock["salable"]) for stock in store.get("ledger", sku=sku)["stocks"]]

"""What the tests of creation share: the two practice servers' control interfaces and an account whose policy is complete."""

from __future__ import annotations

from typing import Any

import requests
from sqlalchemy import inspect

from connector.core.db import db
from connector.models.account import Account
from connector.models.order import Order
from connector.services import connections
from connector.services.orders import create
from tests.factories import parcels
from tests.factories.shop import change_policy

CARRIERS = [{"magento_carrier": "Royal Mail", "tiktok_carrier": "Royal Mail"}]


class Store(parcels.Store):
    """The practice store: faults, settings and its own books besides the merchant at work."""

    def orders_of(self, order: Order) -> list[dict[str, Any]]:
        """Every Magento order of a TikTok order, as the store itself sees them."""
        return self.get("orders", ext_order_id=order.number)

    def fault(self, kind: str, method: str = "", path: str = "", **more: Any) -> None:
        self.post("faults", kind=kind, match={"method": method, "path": path}, **more)

    def calm(self) -> None:
        assert requests.delete(f"{self.url}/practice/faults", timeout=30).ok

    def reserved(self, sku: str) -> dict[str, Any]:
        """The books of one SKU in the website's stock: physical, reservations, salable, open, balanced."""
        return next(row for row in self.get("ledger", sku=sku)["stocks"] if row["sku"] == sku and row["stock_id"] != 1)

    def salable(self, sku: str) -> Any:
        """Units of a SKU that the website still offers."""
        return self.reserved(sku)["salable"]

    def calls(self) -> dict[str, int]:
        """How often each route was called since the last reset."""
        return {route: sum(counts.values()) for route, counts in self.get("calls")["by_route"].items()}


def complete(account: Account, **changes: Any) -> Account:
    """Make the account's order policy valid for the practice shop, with these fields changed."""
    change_policy(account, **{"carrier_mapping": CARRIERS, **changes})
    db.session.expire_all()
    return account


def fresh(order: Order) -> Order:
    """The order as the database has it now, its lines too."""
    db.session.expire_all()
    found = db.session.get(Order, inspect(order).identity)
    assert found is not None
    assert found.lines is not None
    db.session.commit()
    return found


def created(order: Order, **options: Any) -> Order:
    """Create it and hand it back; the reason is shown when it was refused."""
    result = create.create_one(order.id, **options)
    order = fresh(order)
    assert result.outcome == "created", result
    assert (order.state, order.failure_code) == ("created", None)
    return order


def refused(order: Order, code: str, state: str) -> Order:
    """Try to create it: refused under this cause, and in this state of ours afterwards."""
    result = create.create_one(order.id)
    order = fresh(order)
    assert (result.code, order.state) == (code, state), result
    return order


def in_store(order: Order) -> dict[str, Any]:
    """The Magento order, as the connector reads it."""
    assert order.magento_id is not None
    return connections.magento_for(order.account_id).order(order.magento_id)

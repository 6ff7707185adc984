"""Magento behind the storefront interface: the functions of ``services.orders`` as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from sqlalchemy.orm import Session

from connector.core.db import db, end_reading
from connector.models.order import Order
from connector.services import connections
from connector.services.orders import create, follow, shipments, undo
from connector.services.orders.writers.task import amount, order_lines
from connector.services.storefronts import LABELS, MAGENTO, NotPossible, StoreOrder


class Magento:
    """See ``Storefront``."""

    name = LABELS[MAGENTO]
    platform = "MAGENTO"

    def create(self, order_id: int, *, by_hand: bool = False) -> create.Result:
        return create.create_one(order_id, by_hand=by_hand)

    def cancel(self, order_id: int, *, reason: str, after_shipped: bool = False) -> undo.Undone:
        """What has shipped in Magento is seen there; ``after_shipped`` adds nothing."""
        return undo.cancel_in_magento(order_id, reason=reason)

    def follow(self, order_id: int) -> follow.Followed:
        return follow.follow_one(order_id)

    def read(self, order_id: int) -> StoreOrder | None:
        order = db.session.get(Order, order_id)
        if order is None or not order.magento_id:
            end_reading()
            return None
        account_id, magento_id, number = order.account_id, order.magento_id, order.magento_number or order.magento_id
        client = connections.magento_for(account_id)
        end_reading()
        facts = client.order(magento_id)
        shipped = any(amount(line.get("qty_shipped")) > 0 for line in order_lines(facts))
        return StoreOrder(number, str(facts.get("state") or ""), str(facts.get("status") or ""), shipped)

    def refund(self, order_id: int, *, items: Mapping[str, Decimal], shipping_amount: Decimal, comment: str = "") -> str:
        """An offline credit memo over Magento line ids; its id. Nothing returns to stock by it."""
        order = db.session.get(Order, order_id)
        if order is None or not order.magento_id:
            raise NotPossible("The order is not in Magento, so there is nothing to refund there.", "Nothing needs to be done.")
        magento_id = order.magento_id
        client = connections.magento_for(order.account_id)
        end_reading()
        return client.refund(magento_id, items=dict(items), shipping_amount=shipping_amount, comment=comment)

    def restock(self, order_id: int, quantities: Mapping[str, int]) -> str:
        raise NotPossible(
            "Magento takes goods back with a credit memo or through its sources.", "Use the recall task or the return: they return the units once."
        )

    def collect(self, account_id: int, *, guard: Callable[[Session], None] | None = None) -> shipments.Collected:
        return shipments.collect(account_id, guard=guard)

    def collect_order(self, order_id: int) -> shipments.Collected:
        return shipments.collect_order(order_id)

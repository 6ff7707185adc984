"""Writer B: save the order as TikTok has it, without a cart (MAG §4.4.5). Nothing is checked and no stock is reserved.

For stores where Magento is not the stock authority, and for lines that a cart refuses although the policy says "create anyway". The own increment
id is unique in Magento, which makes a repeated save harmless.
"""

from __future__ import annotations

from decimal import Decimal

from connector.clients.errors import Conflict, Uncertain
from connector.core.errors import DomainError
from connector.domain.money import MoneyLine, OrderMoney
from connector.services.orders import intent
from connector.services.orders.writers.task import (
    DISCOUNT_WORDS,
    Row,
    Task,
    Written,
    adopted,
    amount,
    base_step,
    currency_keys,
    customer_keys,
    header_amounts,
    items_by_sku,
    line_amounts,
    verified,
)


def write(task: Task) -> Written:
    """One save, then the order read back. Errors as of the checkout writer."""
    if task.existing is not None and not task.claim.resumed:
        return adopted(task, task.money({}))
    money = task.money({})
    increment_id = f"{task.policy.order_id_prefix}{task.number}"[:50]
    entity_id = task.claim.entity_id or _found(task, increment_id)
    if entity_id is None:
        intent.advance(task.claim, intent.PLACING)
        entity_id = _save(task, _entity(task, money, increment_id), increment_id)
    if task.claim.entity_id != entity_id:
        intent.advance(task.claim, intent.PLACED, entity_id=entity_id)
    order = task.client.order(entity_id)
    if not amount(order.get("total_paid")):
        verified(task, order, money)
    warnings = (
        ("Magento's own tax rules need a cart; this order was written directly, with the tax inside its prices.",) if task.policy.taxes == "magento" else ()
    )
    return Written(order, money, items_by_sku(order), warnings)


def _found(task: Task, increment_id: str) -> str | None:
    """Only where an earlier writer may have come that far: a fresh order was looked up before."""
    if task.existing is not None:
        return str(task.existing["entity_id"])
    if not task.claim.resumed:
        return None
    rows = task.client.find_orders(increment_id=increment_id, fields="items[entity_id,increment_id,ext_order_id],total_count")
    return next((str(row["entity_id"]) for row in rows if str(row.get("ext_order_id")) == task.number), None)


def _save(task: Task, entity: Row, increment_id: str) -> str:
    for last in (False, True):
        try:
            return str(task.client.create_order_direct(entity, store=task.store.facts.code)["entity_id"])
        except (Uncertain, Conflict):
            rows = task.client.find_orders(increment_id=increment_id, fields="items[entity_id,increment_id,ext_order_id,store_id],total_count")
            ours = next((row for row in rows if str(row.get("ext_order_id")) == task.number), None)
            if ours is not None:
                return str(ours["entity_id"])
            if rows:
                raise DomainError(
                    "magento.number_taken",
                    f"Magento has another order with the number {increment_id}.",
                    "Choose an Order ID Prefix in the order policy that no other order number begins with.",
                ) from None
            if last:
                raise
    raise AssertionError("unreachable")


def _entity(task: Task, money: OrderMoney, increment_id: str) -> Row:
    base = money.in_base(task.rate, base_step(task))
    facts = task.store.facts
    billing = {"address_type": "billing", **task.address.as_magento(task.customer.email)}
    shipping = {"address_type": "shipping", **task.address.as_magento(task.customer.email)}
    weight = sum((task.products[line.sku.casefold()].weight * line.qty for line in money.lines), Decimal(0))
    entity: Row = {
        "customer_email": task.customer.email,  # first: older releases read the address before it otherwise (#24130)
        "increment_id": increment_id, "ext_order_id": task.number, **({"ext_customer_id": task.buyer_id[:32]} if task.buyer_id else {}),
        "store_id": facts.store_id, "state": "new", "status": "pending",
        "customer_is_guest": 1, "customer_group_id": 0, "customer_firstname": task.address.firstname, "customer_lastname": task.address.lastname,
        "customer_note_notify": 0, "is_virtual": int(task.virtual), **({"created_at": task.placed_at} if task.placed_at else {}),
        "base_currency_code": facts.base_currency, "global_currency_code": facts.base_currency, "store_currency_code": facts.base_currency,
        "base_to_global_rate": 1, "store_to_base_rate": 0, **currency_keys(task), **header_amounts(money, base),
        "total_qty_ordered": sum(line.qty for line in money.lines), "total_item_count": len(money.lines), "weight": weight,
        "shipping_description": task.shipping_description,
        "items": [_item(task, line, twin) for line, twin in zip(money.lines, base.lines, strict=True)],
        "billing_address": billing,
        "payment": {
            "method": task.policy.payment_method, "amount_ordered": money.grand_total, "base_amount_ordered": base.grand_total,
            "shipping_amount": money.shipping, "base_shipping_amount": base.shipping, "additional_information": ["TikTok Shop"],
        },
    }  # fmt: skip
    if money.discount:
        entity["discount_description"] = DISCOUNT_WORDS
    if not task.virtual:
        entity["extension_attributes"] = {"shipping_assignments": [{"shipping": {"address": shipping, "method": task.policy.shipping_method}, "items": []}]}
    return entity | customer_keys(task.customer)


def _item(task: Task, line: MoneyLine, base: MoneyLine) -> Row:
    product = task.products[line.sku.casefold()]
    return {
        "sku": product.sku, "name": product.name, "product_id": int(product.product_id), "product_type": product.type_id,
        "store_id": task.store.facts.store_id, "ext_order_item_id": ",".join(line.line_ids)[:255], "qty_ordered": line.qty,
        "is_virtual": int(product.type_id != "simple"), "weight": product.weight, "row_weight": product.weight * line.qty, **line_amounts(line, base),
    }  # fmt: skip

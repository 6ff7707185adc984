"""Cheap orders by the thousand for load tests: clones of one direct order."""

from __future__ import annotations

import orjson

from .numbers import now
from .routing import perform
from .storage import Doc, Tables

ADDRESS: Doc = {
    "firstname": "Buyer",
    "lastname": "Example",
    "street": ["1 Example Street", "Flat 2"],
    "city": "Austin",
    "region": "Texas",
    "region_id": 57,
    "region_code": "TX",
    "postcode": "73301",
    "country_id": "US",
    "telephone": "5550100",
}


def direct_order(sku: str, name: str, product_id: int | None, quantity: int, price: float, shipping: float, **header) -> Doc:
    """The body of `POST /V1/orders` for one simple line (MAG §4.4.5); `header` adds or overrides order columns."""
    row, total = quantity * price, quantity * price + shipping
    money = {
        "subtotal": row,
        "subtotal_incl_tax": row,
        "shipping_amount": shipping,
        "shipping_incl_tax": shipping,
        "tax_amount": 0,
        "discount_amount": 0,
        "grand_total": total,
        "total_due": total,
    }
    line = {
        "price": price,
        "original_price": price,
        "price_incl_tax": price,
        "row_total": row,
        "row_total_incl_tax": row,
        "tax_amount": 0,
        "discount_amount": 0,
    }
    item = {
        **line,
        **{f"base_{k}": v for k, v in line.items()},
        "sku": sku,
        "name": name,
        "product_type": "simple",
        "qty_ordered": quantity,
        "tax_percent": 0,
        "store_id": 1,
        "is_virtual": 0,
    }
    if product_id:
        item["product_id"] = product_id
    shipping_total = {"shipping_amount": shipping, "shipping_incl_tax": shipping}
    email = header.get("customer_email", "buyer@orders.example.com")
    return {
        "entity": {
            "store_id": 1,
            "customer_email": email,
            "customer_firstname": "Buyer",
            "customer_lastname": "Example",
            "customer_is_guest": 1,
            "customer_group_id": 0,
            "base_currency_code": "USD",
            "order_currency_code": "USD",
            "store_currency_code": "USD",
            "global_currency_code": "USD",
            "base_to_global_rate": 1,
            "base_to_order_rate": 1,
            "store_to_base_rate": 1,
            "store_to_order_rate": 1,
            **money,
            **{f"base_{k}": v for k, v in money.items()},
            "total_item_count": 1,
            "total_qty_ordered": quantity,
            "is_virtual": 0,
            "weight": 1,
            "shipping_description": "TikTok Shipping",
            **header,
            "billing_address": {"address_type": "billing", **ADDRESS, "email": email},
            "payment": {
                "method": "checkmo",
                "amount_ordered": total,
                "base_amount_ordered": total,
                "shipping_amount": shipping,
                "base_shipping_amount": shipping,
                "additional_information": ["TikTok order"],
            },
            "items": [item],
            "extension_attributes": {
                "shipping_assignments": [
                    {
                        "shipping": {
                            "address": {"address_type": "shipping", **ADDRESS, "email": email},
                            "method": "flatrate_flatrate",
                            "total": {**shipping_total, **{f"base_{k}": v for k, v in shipping_total.items()}},
                        },
                        "items": [],
                    }
                ]
            },
        }
    }


def bulk_orders(db: Tables, count: int) -> int:
    """Add `count` direct orders `SEED-<n>`; they reserve nothing."""
    start = db.one("SELECT COUNT(*) FROM sales_order")[0]
    body = direct_order(
        "SEED-SKU", "Seeded article", None, 1, 10, 5, state="processing", status="processing", increment_id=f"SEED-{start}", ext_order_id=f"SEED-{start}"
    )
    first = perform(db, "POST", "/V1/orders", body)["entity_id"]
    order = db.get("sales_order", first)
    (item,) = db.where("order_item", "json_extract(doc,'$.order_id') = ?", first)
    item_id = item["item_id"]
    orders, items = [], []
    for number in range(1, count):
        key = first + number
        order.update(entity_id=key, increment_id=f"SEED-{start + number}", ext_order_id=f"SEED-{start + number}", updated_at=now())
        item.update(item_id=item_id + number, order_id=key)
        orders.append((key, orjson.dumps(order).decode()))
        items.append((item["item_id"], orjson.dumps(item).decode()))
    db.run_many("INSERT INTO sales_order (id, doc) VALUES (?, ?)", orders)
    db.run_many("INSERT INTO order_item (id, doc) VALUES (?, ?)", items)
    return count

"""The body of a direct order (path B) for one product as read."""

from __future__ import annotations

from connector.practice.magento.load import direct_order


def direct(product: dict, quantity: int, **header) -> dict:
    given = {"state": "processing", "status": "processing", **header}
    return direct_order(product["sku"], product["name"], product["id"], quantity, product["price"], 5, **given)

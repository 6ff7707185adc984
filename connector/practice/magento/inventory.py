"""The MSI ledger: source items, append-only reservations, salable quantity (MAG §4.3.1)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from .errors import Crash, RestError
from .numbers import ZERO, dec, num
from .storage import Doc, Tables

COMPOSITE = ("configurable", "bundle", "grouped")


def product_by_sku(db: Tables, sku: str) -> Doc | None:
    """SKUs compare without case and surrounding spaces; the store's spelling is in the document."""
    row = db.one("SELECT doc FROM product WHERE sku = ? ORDER BY id LIMIT 1", str(sku).strip())
    return orjson.loads(row[0]) if row else None


def stock_of_website(world: Doc, website_code: str) -> Doc | None:
    for stock in world["stocks"]:
        if any(channel["code"] == website_code for channel in stock["sales_channels"]):
            return stock
    return None


def stock_of_store(world: Doc, store_id: int) -> Doc | None:
    store = next((s for s in world["stores"] if s["id"] == store_id), None)
    website = store and next((w for w in world["websites"] if w["id"] == store["website_id"]), None)
    return stock_of_website(world, website["code"]) if website else None


def sources_of_stock(world: Doc, stock_id: int) -> list[Doc]:
    """Enabled and disabled sources of a stock, by priority."""
    links = sorted((link for link in world["links"] if link["stock_id"] == stock_id), key=lambda link: link["priority"])
    by_code = {source["source_code"]: source for source in world["sources"]}
    return [by_code[link["source_code"]] for link in links if link["source_code"] in by_code]


def source_items(db: Tables, sku: str) -> dict[str, tuple[Decimal, int]]:
    """`{source_code: (quantity, status)}` of one SKU."""
    rows = db.all("SELECT source_code, quantity, status FROM source_item WHERE sku = ?", sku)
    return {code: (dec(quantity), status) for code, quantity, status in rows}


class Stock:
    """What one stock knows of its SKUs, inside one transaction."""

    def __init__(self, db: Tables, stock_id: int) -> None:
        self.db = db
        self.id = stock_id
        world = db.config("world")
        self.codes = [s["source_code"] for s in sources_of_stock(world, stock_id) if s["enabled"]]

    def linked(self, sku: str) -> dict[str, tuple[Decimal, int]]:
        return {code: item for code, item in source_items(self.db, sku).items() if code in self.codes}

    def index_quantity(self, sku: str) -> Decimal:
        """Sum of the in-stock source items, reservations not counted."""
        return sum((quantity for quantity, status in self.linked(sku).values() if status), ZERO)

    def reserved(self, sku: str) -> Decimal:
        row = self.db.one("SELECT SUM(quantity) FROM reservation WHERE sku = ? AND stock_id = ?", sku, self.id)
        return dec(row[0])

    def quantity(self, sku: str) -> Decimal:
        return self.index_quantity(sku) + self.reserved(sku)

    def is_salable(self, product: Doc) -> bool:
        if product["type_id"] in COMPOSITE:
            children = [self.db.get("product", child) for child in product.get("links", [])]
            return not children or any(child and child["status"] == 1 and self.is_salable(child) for child in children)
        if not any(status for _, status in self.linked(product["sku"]).values()):
            return False
        item = product["stock_item"]
        return not item["manage_stock"] or item["backorders"] > 0 or self.quantity(product["sku"]) > 0

    def faults_for(self, product: Doc, quantity: Decimal) -> list[Doc]:
        """Why `quantity` cannot be sold: `[{code, message}]`, empty when it can."""
        if not self.linked(product["sku"]):
            text = "The requested sku is not assigned to given stock"
            return [{"code": "is_salable_with_reservations-no_data", "message": text}]
        item = product["stock_item"]
        in_stock = any(status for _, status in self.linked(product["sku"]).values())
        if in_stock and (not item["manage_stock"] or item["backorders"] or self.quantity(product["sku"]) >= quantity):
            return []
        return [
            {"code": "back_order-disabled", "message": "Backorders are disabled"},
            {"code": "manage_stock-enabled", "message": "Manage stock is enabled"},
            {"code": "is_salable_with_reservations-not_enough_qty", "message": "The requested qty is not available"},
        ]


def reserve(db: Tables, stock_id: int, sku: str, quantity: Decimal, event: str, increment_id: str | None) -> None:
    """Append one reservation row: negative when sold, positive when shipped, cancelled or refunded."""
    if quantity:
        sql = "INSERT INTO reservation (stock_id, sku, quantity, event, increment_id) VALUES (?, ?, ?, ?, ?)"
        db.run(sql, stock_id, sku, num(quantity), event, increment_id)


def managed(db: Tables, line: Doc) -> bool:
    """Whether an order line moves stock at all: an existing product with "manage stock" on."""
    product = db.get("product", line["product_id"]) if line.get("product_id") else None
    return product is None or product["stock_item"]["manage_stock"]


class NotEnough(Exception):
    """A source without enough quantity; the caller answers its own technical error."""


def move(db: Tables, source_code: str, sku: str, delta: Decimal) -> None:
    """Change one source item by `delta`; NotEnough when it would go below zero or does not exist."""
    row = db.one("SELECT quantity FROM source_item WHERE sku = ? AND source_code = ?", sku, source_code)
    if row is None or dec(row[0]) + delta < 0:
        raise NotEnough(sku)
    left = dec(row[0]) + delta
    db.run("UPDATE source_item SET quantity = ? WHERE sku = ? AND source_code = ?", num(left), sku, source_code)


def set_source_item(db: Tables, sku: str, source_code: str, quantity: Any, status: int) -> None:
    db.run(
        "INSERT INTO source_item (sku, source_code, quantity, status) VALUES (?, ?, ?, ?) ON CONFLICT (sku, source_code)"
        " DO UPDATE SET quantity = excluded.quantity, status = excluded.status",
        sku,
        source_code,
        num(quantity),
        status,
    )


def source_for_shipment(db: Tables, stock_id: int, given: str | None) -> str:
    """The source named, else the only linked one, else `default` even when it is not linked (MAG §4.6.2)."""
    if given:
        return given
    sources = sources_of_stock(db.config("world"), stock_id)
    return sources[0]["source_code"] if len(sources) == 1 else "default"


def salable_quantity(db: Tables, sku: str, stock_id: int) -> Decimal:
    """The REST answer for one SKU: refuses composites and unknown stocks, crashes on an unknown SKU (MAG §4.3.3)."""
    if not any(stock["stock_id"] == stock_id for stock in db.config("world")["stocks"]):
        raise RestError(400, "Could not receive Stock Item data")
    product = product_by_sku(db, sku)
    if product is None:
        raise Crash()
    if product["type_id"] in COMPOSITE:
        raise RestError(400, "Can't check requested quantity for products without Source Items support.")
    stock = Stock(db, stock_id)
    if not stock.linked(sku):
        raise RestError(400, "The requested sku is not assigned to given stock")
    return stock.quantity(sku) if any(status for _, status in stock.linked(sku).values()) else ZERO

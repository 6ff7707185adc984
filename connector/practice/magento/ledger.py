"""What the practice store knows about itself: ledger, summaries (control API only)."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from .numbers import ZERO, dec, num
from .storage import Doc, Tables


def open_quantities(db: Tables, sku: str | None = None) -> dict[tuple[str, str, int], Decimal]:
    """Units that placed orders (path A) still hold, by (increment id, SKU, stock): what the reservations must add up to."""
    sql = (
        "SELECT i.id, json_extract(o.doc,'$.increment_id'), json_extract(o.doc,'$._stock_id'), json_extract(i.doc,'$.sku'),"
        " json_extract(i.doc,'$.qty_ordered'), json_extract(i.doc,'$.qty_shipped'), json_extract(i.doc,'$.qty_canceled'),"
        " json_extract(i.doc,'$._refunded_unshipped'), json_extract(i.doc,'$.is_virtual'), json_extract(i.doc,'$._delivered'),"
        " COALESCE(json_extract(p.doc,'$.stock_item.manage_stock'), 1)"
        " FROM sales_order o JOIN order_item i ON json_extract(i.doc,'$.order_id') = o.id"
        " LEFT JOIN product p ON p.id = COALESCE(json_extract(i.doc,'$._child_product_id'), json_extract(i.doc,'$.product_id'))"
        " WHERE json_extract(o.doc,'$._path') = 'A' AND json_extract(i.doc,'$.parent_item_id') IS NULL"
    )
    args: tuple = ()
    if sku:
        sql, args = sql + " AND json_extract(i.doc,'$.sku') = ?", (sku,)
    totals: dict[tuple[str, str, int], Decimal] = {}
    for _, number, stock, line_sku, ordered, shipped, canceled, refunded, virtual, delivered, managed in db.all(sql, *args):
        if managed:
            gone = dec(delivered if virtual else shipped) + dec(canceled) + dec(refunded)
            key = (number, line_sku, stock)
            totals[key] = totals.get(key, ZERO) + dec(ordered) - gone
    return totals


def ledger(db: Tables, sku: str | None = None) -> Doc:
    """Per stock and SKU: sources, reservations, salable, open; per order what does not add up."""
    opened = open_quantities(db, sku)
    sql, args = "SELECT increment_id, sku, stock_id, SUM(quantity) FROM reservation", ()
    if sku:
        sql, args = sql + " WHERE sku = ?", (sku,)
    reserved = {(row[0], row[1], row[2]): dec(row[3]) for row in db.all(sql + " GROUP BY 1, 2, 3", *args)}
    odd = [
        {"increment_id": key[0], "sku": key[1], "reserved": num(reserved.get(key, ZERO)), "open": num(opened.get(key, ZERO))}
        for key in sorted({*opened, *reserved}, key=str)
        if reserved.get(key, ZERO) != -opened.get(key, ZERO)
    ]
    world, stocks = db.config("world"), []
    condition, args = ("WHERE sku = ?", (sku,)) if sku else ("", ())
    items: dict[str, dict[str, Decimal]] = {}
    for item_sku, code, quantity, status in db.all(f"SELECT sku, source_code, quantity, status FROM source_item {condition}", *args):
        items.setdefault(item_sku, {})[code] = dec(quantity) if status else ZERO
    by_sku, open_by_sku = Counter(), Counter()
    for (_, item_sku, stock_id), quantity in reserved.items():
        by_sku[item_sku, stock_id] += quantity
    for (_, item_sku, stock_id), quantity in opened.items():
        open_by_sku[item_sku, stock_id] += quantity
    for stock in world["stocks"]:
        codes = [link["source_code"] for link in world["links"] if link["stock_id"] == stock["stock_id"]]
        for item_sku, quantities in items.items():
            sources = {code: num(quantities[code]) for code in codes if code in quantities}
            if not sources:
                continue
            key = (item_sku, stock["stock_id"])
            physical = sum((quantities[code] for code in sources), ZERO)
            stocks.append(
                {
                    "stock_id": stock["stock_id"],
                    "sku": item_sku,
                    "sources": sources,
                    "physical": num(physical),
                    "reservations": num(by_sku[key]),
                    "salable": num(physical + by_sku[key]),
                    "open": num(open_by_sku[key]),
                    "balanced": by_sku[key] == -open_by_sku[key],
                }
            )
    return {"balanced": not odd and all(s["balanced"] for s in stocks), "stocks": stocks, "open_orders": odd}


def orders(db: Tables, ext_order_id: str | None = None, status: str | None = None, limit: int | None = None) -> list[Doc]:
    """A short view of every order, as the store itself sees it."""
    condition, args = "1", []
    for name, value in (("ext_order_id", ext_order_id), ("status", status)):
        if value:
            condition += f" AND json_extract(doc,'$.{name}') COLLATE NOCASE = ?"
            args.append(value)
    condition += " ORDER BY id" + (f" LIMIT {int(limit)}" if limit else "")
    keys = ["entity_id", "increment_id", "ext_order_id", "store_id", "status", "state", "grand_total", "total_paid", "quote_id", "customer_email", "created_at"]
    item_keys = ["item_id", "sku", "qty_ordered", "qty_invoiced", "qty_shipped", "qty_canceled", "qty_refunded"]
    lines: dict[int, list[Doc]] = {}
    for item in db.where("order_item", "json_extract(doc,'$.parent_item_id') IS NULL ORDER BY id"):
        lines.setdefault(item["order_id"], []).append({key: item.get(key) for key in item_keys})
    return [{**{key: order.get(key) for key in keys}, "items": lines.get(order["entity_id"], [])} for order in db.where("sales_order", condition, *args)]


def summary(db: Tables) -> Doc:
    def repeated(name: str) -> list:
        sql = f"SELECT json_extract(doc,'$.{name}') AS v FROM sales_order WHERE v IS NOT NULL GROUP BY v HAVING COUNT(*) > 1"
        return [row[0] for row in db.all(sql)]

    def count(table: str, condition: str = "1") -> int:
        return db.one(f"SELECT COUNT(*) FROM {table} WHERE {condition}")[0]

    statuses = db.all("SELECT COALESCE(json_extract(doc,'$.status'), 'NULL'), COUNT(*) FROM sales_order GROUP BY 1")
    return {
        "orders": count("sales_order"),
        "by_status": dict(statuses),
        "ext_order_ids": count("sales_order", "json_extract(doc,'$.ext_order_id') IS NOT NULL"),
        "duplicate_ext_order_ids": repeated("ext_order_id"),
        "duplicate_quote_ids": repeated("quote_id"),
        "invoices": count("invoice"),
        "shipments": count("shipment"),
        "creditmemos": count("creditmemo"),
        "carts_active": count("quote", "json_extract(doc,'$.is_active') = 1"),
        "emails": count("email"),
        "balanced": ledger(db)["balanced"],
    }

"""Stock and price calls (TTS §5.3.15-§5.3.18). They take effect at once and need no audit."""

from __future__ import annotations

from typing import Any

import orjson

from . import refusals as codes
from .findings import Findings, listed, nested, text
from .listings import load, save, sku_rows, stock_rows
from .operations import Call, operation
from .orderbook import Document
from .products import SCOPE
from .refusals import Refusal
from .shelf import tell
from .variants import check_price, quantity_problem, sales_warehouses, stock_row

MOST_PRODUCT_IDS, MOST_SKU_IDS, MOST_SETTINGS = 100, 600, 500


@operation("inventory.update", "POST /product/{version}/products/{product_id}/inventory/update", "202309", SCOPE, writes=True)
def update_inventory(call: Call) -> dict[str, Any]:
    """Absolute available quantities, every warehouse of a SKU and no other. SKUs stand alone: what is wrong with one does not stop the others."""
    listing = load(call.market, call.path["product_id"], call.shop)
    if listing.status in ("FREEZE", "DELETED"):
        raise Refusal(codes.PRODUCT_STATUS, f"product {listing.id} is {listing.status}: its inventory cannot be updated")
    wanted = call.objects("skus", required=True)
    known = {row["id"] for row in sku_rows(call.market, [listing.id], pending=True)[listing.id]}
    assigned = stock_rows(call.market, [each for each in known if any(each == entry.get("id") for entry in wanted)])
    errors, changed = [], []
    for entry in wanted:
        sku_id = text(entry, "id", "body.skus") or ""
        if sku_id not in known:
            errors.append(_error(sku_id, [{"code": codes.SKU_MISSING, "message": f"SKU {sku_id} does not exist in product {listing.id}"}]))
            continue
        rows, causes = _stock(call, sku_id, listed(entry, "inventory", "body.skus"), [row["warehouse_id"] for row in assigned[sku_id]])
        if causes:
            errors.append(_error(sku_id, causes))
            continue
        call.market.store.read.executemany(
            "UPDATE stock SET available = ?, more = ? WHERE sku_id = ? AND warehouse_id = ?",
            [(row["quantity"], orjson.dumps(row["more"]) if row["more"] else None, sku_id, row["warehouse_id"]) for row in rows],
        )
        changed.append(sku_id)
    tell(call.market, changed, "OPEN_API", {}, call.now)
    return {"errors": errors} if errors else {}


def _error(sku_id: str, causes: list[Document]) -> Document:
    return {"code": codes.CHECK_FAILED, "message": "check failed", "detail": {"sku_id": sku_id, "extra_errors": causes}}


def _stock(call: Call, sku_id: str, inventory: list[Document], assigned: list[str]) -> tuple[list[Document], list[Document]]:
    """Rows to store, and what is wrong with them."""
    rows: dict[str, Document] = {}
    causes: list[Document] = []

    def wrong(code: int, message: str, warehouse_id: str = "") -> None:
        causes.append({"code": code, "message": message, **({"warehouse_id": warehouse_id} if warehouse_id else {})})

    if not inventory:
        wrong(codes.INVENTORY_MISSING, f"the inventory of SKU {sku_id} is missing")
        return [], causes
    for entry in inventory:
        warehouse_id = text(entry, "warehouse_id", "body.skus.inventory")
        if warehouse_id is None and len(assigned) == 1:
            warehouse_id = assigned[0]
        if warehouse_id is None:
            wrong(codes.WAREHOUSE_NOT_NAMED, f"SKU {sku_id} is in {len(assigned)} warehouses: warehouse_id is missing")
        elif warehouse_id not in sales_warehouses(call.shop):
            wrong(codes.WAREHOUSE_UNKNOWN, f"warehouse {warehouse_id} does not exist or is no sales warehouse", warehouse_id)
        elif warehouse_id not in assigned:
            wrong(codes.WAREHOUSE_NOT_OF_SKU, f"SKU {sku_id} is not in warehouse {warehouse_id}", warehouse_id)
        elif problem := quantity_problem(entry, least=0):
            wrong(*problem, warehouse_id)
        elif warehouse_id in rows:
            wrong(codes.INPUT_INVALID, f"warehouse {warehouse_id} is named twice", warehouse_id)
        else:
            rows[warehouse_id] = stock_row(warehouse_id, entry)
    if not causes:
        for warehouse_id in assigned:
            if warehouse_id not in rows:
                wrong(codes.WAREHOUSE_LEFT_OUT, f"all warehouses of SKU {sku_id} must be listed: {warehouse_id} is missing", warehouse_id)
    return list(rows.values()), causes


@operation("inventory.search", "POST /product/{version}/inventory/search", "202309", "seller.product.basic")
def search_inventory(call: Call) -> dict[str, Any]:
    """By SKU ids, else by product ids. What does not exist is left out."""
    sku_ids, product_ids = call.strings("sku_ids"), call.strings("product_ids")
    if len(sku_ids) > MOST_SKU_IDS:
        raise Refusal(codes.TOO_MANY_SKU_IDS, f"sku_ids holds {len(sku_ids)} ids, at most {MOST_SKU_IDS} are allowed")
    if len(product_ids) > MOST_PRODUCT_IDS:
        raise Refusal(codes.TOO_MANY_PRODUCT_IDS, f"product_ids holds {len(product_ids)} ids, at most {MOST_PRODUCT_IDS} are allowed")
    if not sku_ids and not product_ids:
        raise Refusal(codes.BAD_REQUEST, "param body.product_ids is missing")
    column, ids = ("id", sku_ids) if sku_ids else ("product_id", product_ids)
    query = f"SELECT id, product_id, seller_sku FROM skus WHERE {column} IN ({','.join('?' * len(ids))}) AND +shop_id = ? AND live = 1 ORDER BY product_id, position"
    rows = call.market.store.read.execute(query, (*ids, call.shop["id"])).fetchall()
    stock = stock_rows(call.market, [row["id"] for row in rows])
    found: dict[str, Document] = {}
    for row in rows:
        product = found.setdefault(row["product_id"], {"product_id": row["product_id"], "skus": []})
        available, committed = (sum(each[name] for each in stock[row["id"]]) for name in ("available", "committed"))
        product["skus"].append(
            {
                "id": row["id"],
                "seller_sku": row["seller_sku"],
                "total_available_quantity": available,
                "total_committed_quantity": committed,
                "total_available_inventory_distribution": {"in_shop_inventory": {"quantity": available}, "campaign_inventory": [], "creator_inventory": []},
                "warehouse_inventory": [
                    {"warehouse_id": each["warehouse_id"], "available_quantity": each["available"], "committed_quantity": each["committed"]}
                    for each in stock[row["id"]]
                ],
            }
        )
    return {"inventory": list(found.values())}


@operation("prices.update", "POST /product/{version}/products/{product_id}/prices/update", "202309", SCOPE, writes=True)
def update_prices(call: Call) -> dict[str, Any]:
    """All or nothing. Only live products, and no SKU in a running promotion."""
    listing = load(call.market, call.path["product_id"], call.shop)
    if listing.status != "ACTIVATE":
        raise Refusal(codes.PRODUCT_STATUS, f"product {listing.id} is {listing.status}: the price of live products only can be updated")
    wanted = call.objects("skus", required=True)
    if listing.inner.get("promotion"):
        raise Refusal(codes.PRICE_LOCKED, f"product {listing.id} is in a running promotion: its price cannot be changed")
    rows = {row["id"]: row for row in sku_rows(call.market, [listing.id], pending=True)[listing.id]}
    found, prices = Findings(), []
    for entry in wanted:
        sku_id = text(entry, "id", "body.skus") or ""
        if sku_id not in rows:
            raise Refusal(codes.SKU_MISSING, f"SKU {sku_id} does not exist in product {listing.id}")
        if rows[sku_id]["locked"]:
            raise Refusal(codes.SKU_PRICE_LOCKED, f"SKU {sku_id} is in a running promotion: its price cannot be changed")
        price = check_price(found, call.shop, nested(entry, "price", "body.skus"), nested(entry, "list_price", "body.skus"), sku_id)
        prices.append((orjson.dumps(price), sku_id))
    found.refuse(wrapped=False)
    call.market.store.read.executemany("UPDATE skus SET price = ? WHERE id = ?", prices)
    listing.touch(call.now)
    save(call.market, listing)
    return {}


@operation("inventory.settings", "POST /product/{version}/inventory/operation/settings", "202608", SCOPE, writes=True)
def stock_settings(call: Call) -> dict[str, Any]:
    """Whether the marketplace puts stock back after a cancellation."""
    call.field("seller_id", required=True)
    sku_ids = call.strings("sku_ids", required=True)
    if not sku_ids:
        raise Refusal(codes.BAD_REQUEST, "param body.sku_ids is missing")
    if len(sku_ids) > MOST_SETTINGS:
        raise Refusal(codes.TOO_MANY_SKU_IDS, f"sku_ids holds {len(sku_ids)} ids, at most {MOST_SETTINGS} are allowed")
    setting = call.field("stock_operation_setting", dict, required=True)
    switch = call.field("enable_auto_restock", bool, inside=setting)
    if switch is None:
        raise Refusal(codes.BAD_REQUEST, "param body.stock_operation_setting.enable_auto_restock is missing")
    with call.market.store.write() as db:
        for sku_id in sku_ids:
            if not db.execute("UPDATE skus SET auto_restock = ? WHERE id = ? AND shop_id = ?", (int(switch), sku_id, call.shop["id"])).rowcount:
                raise Refusal(codes.SKU_MISSING, f"SKU {sku_id} does not exist")
    return {}

"""Stock routes: legacy stock items and MSI (MAG §4.3.2-4.3.4)."""

from __future__ import annotations

from typing import Any

from . import products
from .catalog import find
from .errors import RestError
from .inventory import (
    COMPOSITE,
    Stock,
    product_by_sku,
    salable_quantity,
    set_source_item,
    source_items,
    sources_of_stock,
    stock_of_website,
)
from .numbers import ZERO, dec, num
from .routing import Call, route
from .search_criteria import Column, search_list, search_rows, snake
from .storage import Doc

STOCK = "Magento_InventoryApi::stock"
SOURCE = "Magento_InventoryApi::source"
ITEMS = "Magento_InventoryApi::source"
SALES = "Magento_InventorySalesApi::stock"
LEGACY = "Magento_Catalog::catalog_inventory"
_ITEM_COLUMNS = {
    "sku": Column("sku"),
    "source_code": Column("source_code"),
    "quantity": Column("quantity", "float"),
    "status": Column("status", "int"),
}


# --- legacy ---------------------------------------------------------------------------------------------------------------------


@route("GET", "/V1/stockItems/:productSku", LEGACY)
def stock_item(call: Call, sku: str) -> Doc:
    return products.stock_item_view(call.db, products.require(call.db, sku))


@route("PUT", "/V1/products/:productSku/stockItems/:itemId", LEGACY)
def put_stock_item(call: Call, sku: str, item_id: str) -> int:
    """The item id of the path is ignored: the SKU decides."""
    product = products.require(call.db, sku)
    given = {snake(key): value for key, value in call.param("stockItem").items()}
    products.apply_stock_item(call.db, product, given)
    products.put(call.db, product)
    return product["stock_item"]["item_id"]


@route("GET", "/V1/stockStatuses/:productSku", LEGACY)
def stock_status(call: Call, sku: str) -> Doc:
    """`qty` is the index of the website's stock although `stock_id` says 1; reservations are not counted."""
    product = products.require(call.db, sku)
    website = next(w for w in call.world["websites"] if w["id"] == (call.store["website_id"] or 1))
    entry = stock_of_website(call.world, website["code"])
    stock = Stock(call.db, entry["stock_id"]) if entry else None
    return {
        "product_id": product["id"],
        "stock_id": 1,
        "qty": num(stock.index_quantity(product["sku"]) if stock else ZERO),
        "stock_status": int(bool(stock and stock.is_salable(product))),
        "stock_item": products.stock_item_view(call.db, product),
    }


# --- sources, stocks, links -----------------------------------------------------------------------------------------------------


def _source(entry: Doc) -> Doc:
    shown = {key: value for key, value in entry.items() if value is not None}
    shown.update(use_default_carrier_config=True, carrier_links=[])
    name = "" if entry["source_code"] == "default" else entry["name"]
    shown["extension_attributes"] = {"is_pickup_location_active": False, "frontend_name": name}
    return shown


def _stock(entry: Doc) -> Doc:
    extension = {"sales_channels": entry["sales_channels"]}
    return {"stock_id": entry["stock_id"], "name": entry["name"], "extension_attributes": extension}


def _searched(call: Call, rows: list[Doc], view: Any) -> Doc:
    criteria = call.criteria()
    found, total = search_list(rows, criteria)
    return call.found(criteria, [view(row) for row in found], total)


@route("GET", "/V1/inventory/sources", SOURCE)
def sources(call: Call) -> Doc:
    return _searched(call, call.world["sources"], _source)


@route("GET", "/V1/inventory/sources/:sourceCode", SOURCE)
def source(call: Call, code: str) -> Doc:
    entry = next((s for s in call.world["sources"] if s["source_code"] == code), None)
    if entry is None:
        raise RestError(404, 'Source with code "%value" does not exist.', {"value": code})
    return _source(entry)


@route("GET", "/V1/inventory/stocks", STOCK)
def stocks(call: Call) -> Doc:
    return _searched(call, call.world["stocks"], _stock)


@route("GET", "/V1/inventory/stock-source-links", "Magento_InventoryApi::stock_source_link")
def links(call: Call) -> Doc:
    return _searched(call, call.world["links"], dict)


@route("GET", "/V1/inventory/stock-resolver/:type/:code", SALES)
def resolver(call: Call, kind: str, code: str) -> Doc:
    entry = stock_of_website(call.world, code) if kind == "website" else None
    if entry is None:
        raise RestError(404, "No linked stock found")
    return _stock(entry)


@route("GET", "/V1/inventory/get-sources-assigned-to-stock-ordered-by-priority/:stockId", SOURCE)
def sources_by_priority(call: Call, stock_id: str) -> list:
    return [_source(entry) for entry in sources_of_stock(call.world, int(stock_id))]


# --- source items ---------------------------------------------------------------------------------------------------------------


@route("GET", "/V1/inventory/source-items", ITEMS)
def list_source_items(call: Call) -> Doc:
    criteria = call.criteria()
    rows, total = search_rows(
        call.db,
        "source_item",
        _ITEM_COLUMNS,
        criteria,
        select="sku, source_code, quantity, status",
        repeat_last_page=call.repeats_last_page,
    )
    items = [dict(zip(_ITEM_COLUMNS, row, strict=True)) for row in rows]
    return call.found(criteria, items, total)


@route("POST", "/V1/inventory/source-items", ITEMS)
def save_source_items(call: Call) -> list:
    """Absolute upsert: the whole batch is validated first, unknown SKUs are accepted, unknown sources are not."""
    given = [{snake(key): value for key, value in item.items()} for item in call.param("sourceItems")]
    if not given:
        raise RestError(400, "Input data is empty")
    faults = [field for item in given for field in _empty_fields(item)]
    if faults:
        listed = [{"message": '"%field" can not be empty.', "parameters": {"field": name}} for name in faults]
        text = "\n".join(f'"{name}" can not be empty.' for name in faults)
        raise RestError(400, f"Validation Failed: {text}", errors=listed)
    known = {entry["source_code"] for entry in call.world["sources"]}
    if any(item["source_code"] not in known for item in given):
        raise RestError(400, "Could not save Source Item")
    for item in given:
        set_source_item(call.db, str(item["sku"]).strip(), item["source_code"], item["quantity"], int(item["status"]))
    return []


def _empty_fields(item: Doc) -> list[str]:
    empty = [name for name in ("sku", "source_code") if not str(item.get(name) or "").strip()]
    return empty + [name for name in ("quantity", "status") if item.get(name) is None]


# --- salable --------------------------------------------------------------------------------------------------------------------


@route("GET", "/V1/inventory/get-product-salable-quantity/:sku/:stockId", SALES)
def get_salable(call: Call, sku: str, stock_id: str) -> Any:
    return num(salable_quantity(call.db, sku, int(stock_id)))


@route("GET", "/V1/inventory/is-product-salable/:sku/:stockId", SALES)
def is_salable(call: Call, sku: str, stock_id: str) -> bool:
    product = product_by_sku(call.db, sku)
    return product is not None and Stock(call.db, int(stock_id)).is_salable(product)


@route("GET", "/V1/inventory/are-products-salable", SALES)
def are_salable(call: Call) -> list:
    skus, stock_id = call.param("skus"), call.param("stockId")
    names = list(skus.values()) if isinstance(skus, dict) else [skus]
    return [{"sku": sku, "stock_id": int(stock_id), "salable": is_salable(call, sku, stock_id)} for sku in names]


@route("GET", "/V1/inventory/is-product-salable-for-requested-qty/:sku/:stockId/:requestedQty", SALES)
def is_salable_for(call: Call, sku: str, stock_id: str, quantity: str) -> Doc:
    product = products.require(call.db, sku)
    faults = Stock(call.db, int(stock_id)).faults_for(product, dec(quantity))
    return {"salable": not faults, "errors": faults}


@route("GET", "/V1/inventory/export-stock-salable-qty/:salesChannelType/:salesChannelCode", STOCK)
def export(call: Call, kind: str, code: str) -> Doc:
    """Salable quantities with reservations; `total_count` is that of the page only (MAG §4.3.4)."""
    criteria = call.criteria()
    stock = _channel_stock(call, code)
    rows, _ = find(call, criteria)
    items = []
    for product in rows:
        if product["type_id"] in COMPOSITE:
            items.append({"sku": product["sku"], "qty": 0, "is_salable": stock.is_salable(product)})
        elif stock.linked(product["sku"]):
            managed = product["stock_item"]["manage_stock"]
            quantity = stock.quantity(product["sku"]) if managed else ZERO
            items.append({"sku": product["sku"], "qty": num(quantity), "is_salable": stock.is_salable(product)})
    return call.found(criteria, items, len(items))


@route("GET", "/V1/inventory/dump-stock-index-data/:salesChannelType/:salesChannelCode", STOCK)
def dump(call: Call, kind: str, code: str) -> list:
    """The whole index, reservations not counted, unpaged."""
    stock, shown = _channel_stock(call, code), []
    for (sku,) in call.db.all("SELECT sku FROM product ORDER BY id"):
        product = product_by_sku(call.db, sku)
        if stock.linked(sku):
            quantity = stock.index_quantity(sku) if product["stock_item"]["manage_stock"] else ZERO
            shown.append({"sku": sku, "qty": num(quantity), "is_salable": stock.is_salable(product)})
    return shown


def _channel_stock(call: Call, code: str) -> Stock:
    entry = stock_of_website(call.world, code)
    if entry is None:
        raise RestError(404, "No linked stock found")
    return Stock(call.db, entry["stock_id"])


@route(
    "POST",
    "/V1/inventory/source-selection-algorithm-result",
    "Magento_InventorySourceSelectionApi::source_selection_algorithm_post",
)
def source_selection(call: Call) -> Doc:
    """Which sources to ship from, by priority; reservations play no part."""
    given = {snake(key): value for key, value in call.param("inventoryRequest").items()}
    ordered = sources_of_stock(call.world, int(given["stock_id"]))
    chosen, shippable = [], True
    for item in given.get("items", []):
        left, stocked = dec(item["qty"]), source_items(call.db, item["sku"])
        for entry in ordered:
            quantity, status = stocked.get(entry["source_code"], (ZERO, 0))
            if not entry["enabled"] or not status or quantity <= 0:
                continue
            take = min(left, quantity)
            chosen.append(
                {
                    "source_code": entry["source_code"],
                    "sku": item["sku"],
                    "qty_to_deduct": num(take),
                    "qty_available": num(quantity),
                }
            )
            left -= take
        shippable = shippable and left <= 0
    return {"source_selection_items": chosen, "shippable": shippable}


@route("GET", "/V1/inventory/source-selection-algorithm-list", "Magento_InventorySourceSelectionApi::source_selection_algorithm")
def algorithms(call: Call) -> list:
    text = "Algorithm which provides Source Selections based on predefined priority of Sources"
    return [{"code": "priority", "title": "Source Priority", "description": text}]

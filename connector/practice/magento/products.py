"""Product documents: how they are stored, shown and saved (MAG §4.2.2, §4.2.5)."""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from typing import Any

from .errors import RestError
from .inventory import product_by_sku, set_source_item, source_items
from .numbers import ZERO, dec, now, num
from .schema import mysql_text
from .storage import Doc, Tables

DEFAULT_ATTRIBUTES = {
    "options_container": "container2",
    "msrp_display_actual_price_type": "0",
    "required_options": "0",
    "has_options": "0",
}
_FIRST = [
    "image",
    "small_image",
    "swatch_image",
    "thumbnail",
    "options_container",
    "url_key",
    "msrp_display_actual_price_type",
    "required_options",
    "has_options",
    "image_label",
    "small_image_label",
    "thumbnail_label",
    "tax_class_id",
    "category_ids",
]
_IMAGE_CODES = ("image", "small_image", "swatch_image", "thumbnail")
_SCALARS = ("name", "attribute_set_id", "price", "status", "visibility", "type_id", "weight")
STOCK_DEFAULTS: Doc = {
    "is_in_stock": True,
    "is_qty_decimal": False,
    "use_config_backorders": True,
    "backorders": 0,
    "use_config_manage_stock": True,
    "manage_stock": True,
}


def stock_item_view(db: Tables, product: Doc) -> Doc:
    """The legacy stock item: the quantity of source `default`, reservations not subtracted."""
    item = product["stock_item"]
    default = source_items(db, product["sku"]).get("default")
    quantity = num(default[0]) if default else item.get("qty", 0)
    in_stock = bool(default[1]) if default else item["is_in_stock"]
    return {
        "item_id": item["item_id"],
        "product_id": product["id"],
        "stock_id": 1,
        "qty": quantity,
        "is_in_stock": in_stock,
        "is_qty_decimal": item["is_qty_decimal"],
        "show_default_notification_message": False,
        "use_config_min_qty": True,
        "min_qty": 0,
        "use_config_min_sale_qty": 1,
        "min_sale_qty": 1,
        "use_config_max_sale_qty": True,
        "max_sale_qty": 10000,
        "use_config_backorders": item["use_config_backorders"],
        "backorders": item["backorders"],
        "use_config_notify_stock_qty": True,
        "notify_stock_qty": 1,
        "use_config_qty_increments": True,
        "qty_increments": 0,
        "use_config_enable_qty_inc": True,
        "enable_qty_increments": False,
        "use_config_manage_stock": item["use_config_manage_stock"],
        "manage_stock": item["manage_stock"],
        "low_stock_date": None,
        "is_decimal_divided": False,
        "stock_status_changed_auto": 0,
    }


def values_in(product: Doc, store_id: int) -> Doc:
    """Name and attributes as one store view sees them: its own values over the defaults."""
    own = product.get("store_values", {}).get(str(store_id), {})
    return {"name": product["name"], **product["attributes"], **own}


def _custom(product: Doc, values: Doc, fresh: bool) -> list[Doc]:
    shown: Doc = {**DEFAULT_ATTRIBUTES, **{k: v for k, v in values.items() if k != "name"}}
    shown["url_key"] = product["url_key"]
    shown["category_ids"] = [str(category) for category in product["category_ids"]]
    shown.setdefault("tax_class_id", "2")
    if not fresh:
        media = product["media"]
        for code in _IMAGE_CODES:
            used = next((m for m in media if code in m["types"]), None)
            if used or product["type_id"] != "configurable":
                shown[code] = used["file"] if used else "no_selection"
            if used and used.get("label") and code != "swatch_image":
                shown[f"{code}_label"] = used["label"]
    order = [code for code in _FIRST if code in shown] + [code for code in shown if code not in _FIRST]
    return [{"attribute_code": code, "value": shown[code]} for code in order if shown[code] is not None]


def media_view(entry: Doc) -> Doc:
    keys = ("id", "media_type", "label", "position", "disabled", "types", "file")
    return {key: entry[key] for key in keys}


def option_views(product: Doc) -> list[Doc]:
    return [
        {
            "id": o["id"],
            "attribute_id": str(o["attribute_id"]),
            "label": o["label"],
            "position": o["position"],
            "values": [{"value_index": value} for value in o["values"]],
            "product_id": product["id"],
        }
        for o in product.get("configurable_options", [])
    ]


def view(db: Tables, product: Doc, store_id: int, *, kind: str = "single", fresh: bool = False) -> Doc:
    """`kind`: single (with stock item), list (without) or child (thin); `fresh` is the answer of a create."""
    values = values_in(product, store_id)
    shown: Doc = {
        "id": product["id"],
        "sku": product["sku"],
        "name": values["name"],
        "attribute_set_id": product["attribute_set_id"],
        "price": product["price"],
        "status": product["status"],
        "visibility": product["visibility"],
        "type_id": product["type_id"],
        "created_at": product["created_at"],
        "updated_at": product["updated_at"],
    }
    if product.get("weight") is not None:
        shown["weight"] = product["weight"]
    if kind != "child":
        extension: Doc = {"website_ids": product["website_ids"]}
        if product["category_ids"]:
            extension["category_links"] = [{"position": 0, "category_id": str(c)} for c in product["category_ids"]]
        if kind == "single":
            extension["stock_item"] = stock_item_view(db, product)
        if product["type_id"] == "configurable":
            extension["configurable_product_options"] = option_views(product)
            extension["configurable_product_links"] = product.get("links", [])
        shown["extension_attributes"] = extension
        shown["options"] = product.get("options", [])
        shown["media_gallery_entries"] = [media_view(entry) for entry in product["media"]]
    if not fresh:
        shown["product_links"] = []
        shown["tier_prices"] = product["tier_prices"]
    shown["custom_attributes"] = _custom(product, values, fresh)
    return shown


# --- saving -------------------------------------------------------------------------------------------------------------------


def url_key(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "product"


def new_product(db: Tables, sku: str, name: str, website_ids: list[int], **fields: Any) -> Doc:
    """Insert a product with Magento's defaults; a taken url key is a 400."""
    at = now()
    product: Doc = {
        "sku": sku.strip(),
        "name": name,
        "attribute_set_id": 4,
        "price": 0,
        "status": 1,
        "visibility": 4,
        "type_id": "simple",
        "created_at": at,
        "updated_at": at,
        "weight": None,
        "website_ids": website_ids,
        "category_ids": [],
        "url_key": url_key(name),
        "attributes": {},
        "store_values": {},
        "media": [],
        "tier_prices": [],
        "options": [],
        "stock_item": {**STOCK_DEFAULTS, "item_id": db.next("stock_item")},
        **fields,
    }
    try:
        db.add("product", product, "id", sku=product["sku"], url_key=product["url_key"])
    except sqlite3.IntegrityError:
        raise RestError(400, "URL key for specified store already exists.") from None
    return product


def apply(db: Tables, product: Doc, given: Doc, store_id: int) -> None:
    """Write a request product into a document: scalars, custom attributes (store values for a store view), stock item."""
    for name in _SCALARS:
        if given.get(name) is not None:
            if name == "name" and store_id != 0 and product["name"] != given[name]:
                product["store_values"].setdefault(str(store_id), {})["name"] = mysql_text(given[name])
            else:
                product[name] = mysql_text(given[name]) if isinstance(given[name], str) else num(given[name])
    for entry in custom_list(given.get("custom_attributes")):
        code, value = entry["attribute_code"], entry["value"]
        value = [str(v) for v in value] if isinstance(value, list) else None if value is None else mysql_text(str(value))
        if code == "url_key":
            product["url_key"] = value
        elif code == "category_ids":
            product["category_ids"] = [int(v) for v in value or []]
        elif store_id != 0 and code not in ("special_price", "tax_class_id"):
            product["store_values"].setdefault(str(store_id), {})[code] = value
        else:
            product["attributes"][code] = value
    extension = given.get("extension_attributes") or {}
    if extension.get("website_ids") is not None:
        product["website_ids"] = extension["website_ids"]
    if extension.get("category_links") is not None:
        product["category_ids"] = [int(link["category_id"]) for link in extension["category_links"]]
    if extension.get("stock_item"):
        apply_stock_item(db, product, extension["stock_item"])
    if given.get("tier_prices") is not None:
        product["tier_prices"] = given["tier_prices"]


def custom_list(given: Any) -> list[Doc]:
    """custom_attributes as a list of pairs or as an object."""
    if isinstance(given, dict):
        return [{"attribute_code": code, "value": value} for code, value in given.items()]
    return [{"attribute_code": e["attribute_code"], "value": e.get("value")} for e in given or []]


def apply_stock_item(db: Tables, product: Doc, given: Doc) -> None:
    """Legacy stock item data; with MSI the quantity is copied to source `default` only."""
    item = product["stock_item"]
    for key in ("use_config_backorders", "use_config_manage_stock", "manage_stock", "is_qty_decimal", "is_in_stock"):
        if given.get(key) is not None:
            item[key] = bool(given[key])
    if given.get("backorders") is not None:
        item["backorders"] = int(given["backorders"])
    if item["use_config_backorders"]:
        item["backorders"] = 0
    if item["use_config_manage_stock"]:
        item["manage_stock"] = True
    if given.get("qty") is not None or given.get("is_in_stock") is not None:
        current = source_items(db, product["sku"]).get("default", (ZERO, 0))
        quantity = current[0] if given.get("qty") is None else dec(given["qty"])
        status = int(item["is_in_stock"]) if given.get("is_in_stock") is not None else int(quantity > 0)
        set_source_item(db, product["sku"], "default", quantity, status)


def store(db: Tables, product: Doc) -> None:
    """Write a product document back with its key columns."""
    product["updated_at"] = now()
    put(db, product)


def put(db: Tables, product: Doc) -> None:
    """The same without touching `updated_at` (stock and price endpoints do not bump it)."""
    db.put("product", product["id"], product)
    try:
        db.run("UPDATE product SET sku = ?, url_key = ? WHERE id = ?", product["sku"], product["url_key"], product["id"])
    except sqlite3.IntegrityError:
        raise RestError(400, "URL key for specified store already exists.") from None


def require(db: Tables, sku: str) -> Doc:
    product = product_by_sku(db, sku)
    if product is None:
        raise RestError(404, "The product that was requested doesn't exist. Verify the product and try again.")
    return product

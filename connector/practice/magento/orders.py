"""Orders as the REST API shows them: header, lines, addresses, payment, history (MAG §4.5.1)."""

from __future__ import annotations

from typing import Any

from . import schema
from .errors import NOT_FOUND, RestError
from .numbers import ZERO, dec, num
from .routing import Call, route
from .search_criteria import document_columns, search_docs
from .storage import Doc, Tables

VIEW = "Magento_Sales::actions_view"
ORDER_COLUMNS = document_columns(schema.ORDER)
ITEM_COLUMNS = document_columns(schema.ITEM)
_SHOWN_MINUS_DISCOUNT = ("row_total", "base_row_total", "row_total_incl_tax", "base_row_total_incl_tax")
_SHIPPING_TOTALS = [name for name in schema.ORDER if name.startswith(("shipping_", "base_shipping_")) and name != "shipping_description"]


def load_order(db: Tables, order_id: Any) -> Doc:
    """The stored order document (its `_` keys are internal); 404 when there is none."""
    order = db.get("sales_order", int(order_id)) if str(order_id).isdigit() else None
    if order is None:
        raise RestError(404, NOT_FOUND)
    return order


def order_items(db: Tables, order_id: int) -> list[Doc]:
    return db.where("order_item", "json_extract(doc,'$.order_id') = ? ORDER BY id", order_id)


def public(doc: Doc) -> Doc:
    """A document without its internal keys and without nulls."""
    return {key: value for key, value in doc.items() if value is not None and key[0] != "_"}


def item_view(db: Tables, item: Doc, parents: dict[int, Doc] | None = None) -> Doc:
    """One line; its row totals are shown minus the discount, the trap of MAG §4.4.6."""
    shown = public(item)
    if shown.get("original_price") is None and "price" in shown:
        shown["original_price"] = shown["price"]
    shown.setdefault("sku", None)
    for name in _SHOWN_MINUS_DISCOUNT:
        discount = item.get("base_discount_amount" if name.startswith("base_") else "discount_amount")
        shown[name] = num(dec(item.get(name)) - dec(discount))
    if item.get("_options"):
        shown["product_option"] = {"extension_attributes": {"configurable_item_options": item["_options"]}}
    if item.get("parent_item_id"):
        parent = (parents or {}).get(item["parent_item_id"]) or db.get("order_item", item["parent_item_id"])
        if parent:
            shown["parent_item"] = item_view(db, parent)
    return shown


def total_due(doc: Doc, prefix: str = "") -> Any:
    """Magento computes it from the grand total and what was paid, never below zero."""
    return num(max(dec(doc.get(f"{prefix}grand_total")) - dec(doc.get(f"{prefix}total_paid")), ZERO))


def order_view(db: Tables, order: Doc) -> Doc:
    """The full order object of GET and of the list."""
    shown = public(order)
    for prefix in ("", "base_"):
        shown.setdefault(f"{prefix}grand_total", None)
        shown[f"{prefix}total_due"] = total_due(order, prefix)
    shown.setdefault("customer_email", None)
    stored = order_items(db, order["entity_id"])
    by_id = {item["item_id"]: item for item in stored}
    items = [item_view(db, item, by_id) for item in stored]
    shown["items"] = items
    shown["billing_address"] = order["_billing_address"]
    shown["payment"] = order["_payment"]
    shown["status_histories"] = list(reversed(order["_histories"]))
    shipping: Doc = {}
    if order.get("_shipping_address"):
        shipping["address"] = order["_shipping_address"]
    if order.get("_shipping_method"):
        shipping["method"] = order["_shipping_method"]
    shipping["total"] = {name: order[name] for name in _SHIPPING_TOTALS if order.get(name) is not None}
    information = order["_payment"].get("additional_information") or []
    key = "method_title" if order.get("_path") == "A" else None
    shown["extension_attributes"] = {
        "shipping_assignments": [{"shipping": shipping, "items": items}],
        "payment_additional_info": [{"key": key or str(position), "value": value} for position, value in enumerate(information)],
        "applied_taxes": [],
        "item_applied_taxes": [],
    }
    return shown


@route("GET", "/V1/orders", VIEW)
def list_orders(call: Call) -> Doc:
    criteria = call.criteria()
    rows, total = search_docs(call.db, "sales_order", ORDER_COLUMNS, criteria, repeat_last_page=call.repeats_last_page)
    return call.found(criteria, [order_view(call.db, order) for order in rows], total)


@route("GET", "/V1/orders/items", VIEW)
def list_items(call: Call) -> Doc:
    criteria = call.criteria()
    rows, total = search_docs(call.db, "order_item", ITEM_COLUMNS, criteria, repeat_last_page=call.repeats_last_page)
    return call.found(criteria, [item_view(call.db, item) for item in rows], total)


@route("GET", "/V1/orders/items/:id", VIEW)
def get_item(call: Call, item_id: str) -> Doc:
    item = call.db.get("order_item", int(item_id)) if item_id.isdigit() else None
    if item is None:
        raise RestError(404, NOT_FOUND)
    return item_view(call.db, item)


@route("GET", "/V1/orders/:id", VIEW)
def get_order(call: Call, order_id: str) -> Doc:
    return order_view(call.db, load_order(call.db, order_id))


@route("GET", "/V1/orders/:id/statuses", VIEW)
def get_status(call: Call, order_id: str) -> Any:
    """The status code of that order; `[]` when it is NULL."""
    return load_order(call.db, order_id).get("status") or []


@route("GET", "/V1/orders/:id/comments", VIEW)
def get_comments(call: Call, order_id: str) -> Doc:
    """Unpaged, oldest first; an unknown order answers an empty list."""
    order = call.db.get("sales_order", int(order_id)) if order_id.isdigit() else None
    items = order["_histories"] if order else []
    echo = {"filter_groups": [{"filters": [{"field": "parent_id", "value": order_id, "condition_type": "eq"}]}]}
    return {"items": items, "search_criteria": echo, "total_count": len(items)}

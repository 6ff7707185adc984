"""`POST /V1/orders` = `PUT /V1/orders/create`: insert (path B) or partial update, with every trap of MAG §4.4.5-4.4.6."""

from __future__ import annotations

import secrets
import sqlite3
from typing import Any

from . import schema
from .checkout import EMAIL, next_increment, store_name
from .errors import NOT_FOUND, Masked, RestError
from .inventory import stock_of_store
from .numbers import now
from .orders import item_view, load_order, order_items, public, total_due
from .regions import ZIP_OPTIONAL, complete_region
from .routing import Call, route
from .storage import Doc, Tables

CREATE = "Magento_Sales::create"
NO_PAYMENT = "Please provide payment for the order."
_LABELS = {
    "postcode": "Zip code",
    "lastname": "Last name",
    "street": "Street",
    "city": "City",
    "country_id": "Country",
    "firstname": "First Name",
    "telephone": "Phone Number",
}
# Database defaults of a line written without these columns.
_ITEM_DEFAULTS = dict.fromkeys(
    [
        "amount_refunded",
        "base_amount_refunded",
        "base_cost",
        "base_discount_amount",
        "base_discount_invoiced",
        "base_price",
        "base_row_invoiced",
        "base_row_total",
        "base_tax_amount",
        "base_tax_invoiced",
        "discount_amount",
        "discount_invoiced",
        "discount_percent",
        "free_shipping",
        "no_discount",
        "price",
        "qty_backordered",
        "qty_canceled",
        "qty_invoiced",
        "qty_ordered",
        "qty_refunded",
        "qty_shipped",
        "row_invoiced",
        "row_total",
        "row_weight",
        "tax_amount",
        "tax_invoiced",
        "tax_percent",
        "weight",
    ],
    0,
)


@route("POST", "/V1/orders", CREATE)
@route("PUT", "/V1/orders/create", CREATE)
def save(call: Call) -> Doc:
    entity = schema.clean(call.param("entity"), schema.ORDER, schema.ORDER_PARTS)
    for item in entity.get("items") or []:
        schema.clean(item, schema.ITEM, schema.ITEM_PARTS, "items")
    existing = call.db.get("sales_order", entity["entity_id"]) if entity.get("entity_id") else None
    if existing is None and not entity.get("payment"):
        raise RestError(400, NO_PAYMENT)
    if entity.get("customer_id") and call.db.get("customer", entity["customer_id"]) is None:
        raise Masked()  # a foreign key of the order table
    try:
        return update(call, existing, entity) if existing else insert(call, entity)
    except sqlite3.IntegrityError:
        raise RestError(400, "Unique constraint violation found") from None


# --- partial update -----------------------------------------------------------------------------------------------------------


def update(call: Call, order: Doc, entity: Doc) -> Doc:
    """Only the keys sent are written; the answer is a stub of what was sent."""
    db, sent = call.db, _header(entity)
    if sent.get("increment_id") == "":
        sent["increment_id"] = None  # stored as NULL
    items = [_update_line(call, order, given) for given in entity.get("items") or []]
    order.update(sent)
    order["updated_at"] = now()
    if entity.get("payment"):
        _update_payment(db, order, entity["payment"])
    for given in entity.get("status_histories") or []:
        order["_histories"].append({**given, "entity_id": db.next("order_history"), "parent_id": order["entity_id"]})
    db.put("sales_order", order["entity_id"], order)
    stub = public(sent)
    for prefix in ("", "base_"):
        stub.setdefault(f"{prefix}grand_total", None)
        stub[f"{prefix}total_due"] = total_due(stub, prefix)
    stub.setdefault("customer_email", None)
    for key in ("billing_address_id", "created_at", "entity_id", "increment_id", "updated_at"):
        if order.get(key) is not None:
            stub[key] = order[key]
    stored = order_items(db, order["entity_id"])
    stub["items"] = [item for item in items if item] if "items" in entity else [item_view(db, item) for item in stored]
    stub["billing_address"] = order["_billing_address"]
    stub["payment"] = order["_payment"]
    stub["status_histories"] = list(reversed(order["_histories"]))
    return stub


def _header(entity: Doc) -> Doc:
    return {key: value for key, value in entity.items() if key not in schema.ORDER_PARTS}


def _update_line(call: Call, order: Doc, given: Doc) -> Doc | None:
    """Write one line of an update; a foreign `item_id` moves that line here, an unknown one is ignored, none adds a line."""
    sent = schema.clean(given, schema.ITEM, schema.ITEM_PARTS, "items")
    sent = {key: value for key, value in sent.items() if key not in schema.ITEM_PARTS}
    if not sent.get("item_id"):
        line = _new_line(call.db, order, sent)
        return _line_stub(line, sent)
    line = call.db.get("order_item", sent["item_id"])
    if line is None:
        return None
    had_options = bool(line.get("_options"))
    line.update(sent)
    line["order_id"] = order["entity_id"]
    line["updated_at"] = now()
    if had_options:
        line["_options"] = None
        line["_options_lost"] = True  # product_options became []: neither shippable nor refundable any more
    call.db.put("order_item", line["item_id"], line)
    return _line_stub(line, sent)


def _line_stub(line: Doc, sent: Doc) -> Doc:
    keys = {*sent, "created_at", "item_id", "order_id", "updated_at"}
    return item_view(None, {key: line[key] for key in line if key in keys and key != "parent_item_id"})


def _update_payment(db: Tables, order: Doc, given: Doc) -> None:
    """With its `entity_id` the payment row changes; without, a second row appears beside the one shown."""
    sent = schema.clean(given, schema.PAYMENT, ("additional_information", "extension_attributes"), "payment")
    sent.pop("extension_attributes", None)
    if sent.get("entity_id") == order["_payment"]["entity_id"]:
        order["_payment"].update(sent)
    else:
        order.setdefault("_other_payments", []).append({**sent, "entity_id": db.next("order_payment")})


# --- insert -------------------------------------------------------------------------------------------------------------------


def insert(call: Call, entity: Doc) -> Doc:
    """Path B: no stock check, no reservation, no email; amounts as given."""
    db, at = call.db, now()
    order = {key: value for key, value in _header(entity).items() if value is not None and key != "entity_id"}
    order.setdefault("store_id", call.store["id"])
    order["store_name"] = store_name(call.world, order["store_id"])
    stock = stock_of_store(call.world, order["store_id"])
    extension = entity.get("extension_attributes") or {}
    assignments = extension.get("shipping_assignments") or []
    shipping = (assignments[0].get("shipping") or {}) if assignments else {}
    billing = _checked_address(order, entity.get("billing_address"), "billing")
    shipping_address = None
    if not order.get("is_virtual") and shipping.get("address"):
        shipping_address = _checked_address(order, shipping["address"], "shipping")
    if not order.get("increment_id"):
        order["increment_id"] = next_increment(db, order["store_id"])
    order.setdefault("created_at", at)
    order.update(updated_at=at, protect_code=secrets.token_hex(16), _path="B", _stock_id=stock and stock["stock_id"])
    order_id = db.add("sales_order", order, "entity_id")
    for kind, address in (("billing", billing), ("shipping", shipping_address)):
        if address:
            address.update(entity_id=db.next("order_address"), parent_id=order_id, address_type=kind)
    order["_billing_address"], order["_shipping_address"] = billing, shipping_address
    if billing:
        order["billing_address_id"] = billing["entity_id"]
    order["_shipping_method"] = shipping.get("method")
    order["_payment"] = _new_payment(db, order_id, entity["payment"])
    order["_histories"] = []
    for given in entity.get("status_histories") or []:
        order["_histories"].append({**given, "entity_id": db.next("order_history"), "parent_id": order_id, "created_at": at})
    lines = []
    for given in entity.get("items") or []:
        sent = {key: value for key, value in schema.clean(given, schema.ITEM, schema.ITEM_PARTS).items() if key not in schema.ITEM_PARTS}
        lines.append(_line_stub(_new_line(db, order, sent), {**sent, "store_id": 0, "sku": 0}))
    db.put("sales_order", order_id, order)
    return _inserted(order, lines, shipping)


def _inserted(order: Doc, lines: list[Doc], shipping: Doc) -> Doc:
    """The saved order as the service answers it: what was sent plus what saving added."""
    shown = public(order)
    for prefix in ("", "base_"):
        shown.setdefault(f"{prefix}grand_total", None)
        shown[f"{prefix}total_due"] = total_due(order, prefix)
    shown["items"] = lines
    shown["billing_address"] = order["_billing_address"]
    shown["payment"] = order["_payment"]
    shown["status_histories"] = order["_histories"]
    if shipping:
        echo = {"address": order["_shipping_address"], "method": order["_shipping_method"], "total": shipping.get("total")}
        echo = {key: value for key, value in echo.items() if value}
        shown["extension_attributes"] = {"shipping_assignments": [{"shipping": echo, "items": []}]}
    return shown


def _new_payment(db: Tables, order_id: int, given: Doc) -> Doc:
    sent = schema.clean(given, schema.PAYMENT, ("additional_information", "extension_attributes"), "payment")
    sent.pop("extension_attributes", None)
    information = sent.get("additional_information") or []
    sent["additional_information"] = list(information.values()) if isinstance(information, dict) else information
    row = {"account_status": None, "cc_last4": None, **sent, "entity_id": db.next("order_payment"), "parent_id": order_id}
    return {key: value for key, value in row.items() if value is not None or key in ("account_status", "cc_last4")}


def _new_line(db: Tables, order: Doc, sent: Doc) -> Doc:
    at = now()
    given = {key: value for key, value in sent.items() if value is not None and key != "item_id"}
    line = {**_ITEM_DEFAULTS, **given}
    line.update(order_id=order["entity_id"], created_at=at, updated_at=at)
    line.setdefault("store_id", order.get("store_id"))
    db.add("order_item", line, "item_id")
    return line


def _checked_address(order: Doc, given: Any, kind: str) -> Doc | None:
    """The address validator: one message with all faults; the e-mail is the order's customer e-mail."""
    address = {k: v for k, v in schema.address(given or {}).items() if v is not None and k != "save_in_address_book"}
    complete_region(address)
    address["email"] = order.get("customer_email") or ""
    faults = [
        f'"{label}" is required. Enter and try again.'
        for name, label in _LABELS.items()
        if not any(address.get(name) or []) and not (name == "postcode" and address.get("country_id") in ZIP_OPTIONAL)
    ]
    if not EMAIL.fullmatch(address["email"]):
        faults.append("Email has a wrong format")
    if faults:
        raise RestError(400, "We can't save the address:\n%1", ["\n".join(faults)])
    return {"address_type": kind, **address}


# --- one address --------------------------------------------------------------------------------------------------------------


@route("PUT", "/V1/orders/:parent_id", CREATE)
def put_address(call: Call, order_id: str) -> Doc:
    """Edit one order address, named by its `entity_id`."""
    sent = {k: v for k, v in schema.address(call.param("entity")).items() if v is not None}
    order = load_order(call.db, order_id)
    for key in ("_billing_address", "_shipping_address"):
        address = order.get(key)
        if address and address["entity_id"] == sent.get("entity_id"):
            if {"region_id", "country_id"} & sent.keys() and "region_code" not in sent:
                address.pop("region_code", None)
            address.update(sent, parent_id=order["entity_id"])
            complete_region(address)
            call.db.put("sales_order", order["entity_id"], order)
            return address
    raise RestError(404, NOT_FOUND)

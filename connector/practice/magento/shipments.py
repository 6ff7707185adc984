"""Shipments and tracks: one source each, quantities cut to what is open (MAG §4.6.2)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from . import documents
from .checkout import next_increment
from .documents import children_of, top_lines, touch, validation
from .emails import log_email
from .errors import Crash, RestError
from .inventory import NotEnough, managed, move, reserve, source_for_shipment
from .invoices import open_to_invoice, unshipped
from .numbers import ZERO, dec, now, num
from .order_actions import set_state
from .orders import load_order, order_items, public
from .routing import Call, route
from .search_criteria import snake
from .storage import Doc, Tables

TECHNICAL = "Could not save a shipment, see error log for details"


def open_to_ship(item: Doc) -> Decimal:
    """Ordered minus shipped minus cancelled; refunded units still count as shippable, as on the live store."""
    if item.get("is_virtual"):
        return ZERO
    gone = dec(item.get("qty_shipped")) + dec(item.get("qty_canceled"))
    return max(dec(item.get("qty_ordered")) - gone, ZERO)


@route("POST", "/V1/order/:orderId/ship", "Magento_Sales::ship")
def ship(call: Call, order_id: str) -> str:
    db = call.db
    order = load_order(db, order_id)
    items = order_items(db, order["entity_id"])
    lines = top_lines(items)
    if any(line.get("product_type") is None for line in lines):
        raise Crash()
    asked = documents.requested(call, lines)
    quantities = {}
    for line in lines:
        wanted = open_to_ship(line) if asked is None else min(asked.get(line["item_id"], ZERO), open_to_ship(line))
        if wanted > 0:
            quantities[line["item_id"]] = wanted
    tracks = [{snake(key): value for key, value in track.items()} for track in call.param("tracks", None) or []]
    faults = []
    if order.get("state") in ("payment_review", "holded", "canceled"):
        faults.append(f"A shipment cannot be created when an order has a status of {order.get('status')}")
    elif not any(open_to_ship(line) for line in lines):
        faults.append("The order does not allow a shipment to be created.")
    if not quantities:
        faults.append("You can't create a shipment without products.")
    if any(not track.get("track_number") for track in tracks):
        faults.append("Please enter a tracking number.")
    if faults:
        raise validation("Shipment", *faults)
    if any(not track.get("carrier_code") for track in tracks) or any(line.get("_options_lost") for line in lines):
        raise RestError(400, TECHNICAL)
    arguments = {snake(k): v for k, v in (call.param("arguments", None) or {}).items()}
    extension = {snake(k): v for k, v in (arguments.get("extension_attributes") or {}).items()}
    source = source_for_shipment(db, order["_stock_id"], extension.get("source_code"))
    document = build(call, order, lines, quantities, tracks, source)
    for line in lines:
        for child in children_of(items, line):
            if line["item_id"] in quantities:
                child["qty_shipped"] = num(dec(child.get("qty_shipped")) + quantities[line["item_id"]])
                touch(db, child)
    if call.param("notify", False):
        log_email(db, "shipment", order)
    settle(db, order, lines)
    return str(document["entity_id"])


def build(call: Call, order: Doc, lines: list[Doc], quantities: dict[int, Decimal], tracks: list[Doc], source: str) -> Doc:
    db = call.db
    if not any(entry["source_code"] == source for entry in call.world["sources"]):
        raise RestError(400, TECHNICAL)
    head = documents.header(order)
    names = ("billing_address_id", "shipping_address_id", "created_at", "updated_at", "order_id", "store_id")
    document: Doc = {name: head[name] for name in names if name in head}
    document.update(
        increment_id=next_increment(db, order["store_id"], "shipment"),
        packages=[],
        comments=[],
        total_qty=num(sum(quantities.values(), ZERO)),
        extension_attributes={"source_code": source},
    )
    db.add("shipment", document, "entity_id")
    document["items"] = []
    for line in lines:
        quantity = quantities.get(line["item_id"])
        if not quantity:
            continue
        take(db, order, line, source, quantity)
        line["qty_shipped"] = num(dec(line.get("qty_shipped")) + quantity)
        touch(db, line)
        entry = {
            "entity_id": db.next("shipment_item"),
            "name": line.get("name"),
            "parent_id": document["entity_id"],
            "price": line.get("price"),
            "product_id": line.get("product_id"),
            "sku": line["sku"],
            "weight": line.get("weight"),
            "order_item_id": line["item_id"],
            "qty": num(quantity),
        }
        document["items"].append({key: value for key, value in entry.items() if value is not None})
    for track in tracks:
        add_track(db, document, track)
    document["comments"] = documents.comments(call, "shipment_comment", document)
    db.put("shipment", document["entity_id"], document)
    return document


def take(db: Tables, order: Doc, line: Doc, source: str, quantity: Decimal) -> None:
    """−source and +reservation of shipped units; a line without a product moves nothing."""
    product_id = line.get("_child_product_id") or line.get("product_id")
    if not product_id or not managed(db, {"product_id": product_id}):
        return
    try:
        move(db, source, line["sku"], -quantity)
    except NotEnough:
        raise RestError(400, TECHNICAL) from None
    reserve(db, order["_stock_id"], line["sku"], quantity, "shipment_created", order.get("increment_id"))


def settle(db: Tables, order: Doc, lines: list[Doc]) -> None:
    """Complete when all is shipped and invoiced; a first shipment makes a new order processing; a custom status survives the rest."""
    if not any(unshipped(line) for line in lines) and not any(open_to_invoice(line) for line in lines):
        if order.get("state") != "closed":
            set_state(order, "complete")
        order["updated_at"] = now()
    elif order.get("state") == "new":
        set_state(order, "processing")
    order["customer_note_notify"] = 0
    db.put("sales_order", order["entity_id"], order)


# --- tracks -------------------------------------------------------------------------------------------------------------------


def add_track(db: Tables, shipment: Doc, given: Doc) -> Doc:
    at = now()
    track = {
        "order_id": shipment["order_id"],
        "created_at": at,
        "parent_id": shipment["entity_id"],
        "updated_at": at,
        "weight": given.get("weight"),
        "qty": given.get("qty"),
        "description": given.get("description"),
        "track_number": str(given["track_number"]),
        "title": given.get("title"),
        "carrier_code": str(given["carrier_code"]),
    }
    db.add("track", track, "entity_id", parent_id=shipment["entity_id"])
    return track


@route("POST", "/V1/shipment/track", "Magento_Sales::shipment")
def post_track(call: Call) -> Doc:
    """A later track; it changes `updated_at` of neither the shipment nor the order."""
    given = {snake(key): value for key, value in call.param("entity").items()}
    shipment = call.db.get("shipment", int(given.get("parent_id") or 0))
    if shipment is None or shipment["order_id"] != int(given.get("order_id") or 0):
        raise RestError(400, "Could not save the shipment tracking.")
    if not given.get("track_number") or not given.get("carrier_code"):
        raise RestError(400, "Could not save the shipment tracking.")
    return add_track(call.db, shipment, given)


@route("DELETE", "/V1/shipment/track/:id", "Magento_Sales::shipment")
def delete_track(call: Call, track_id: str) -> bool:
    call.db.run("DELETE FROM track WHERE id = ?", track_id)
    return True


# --- reads --------------------------------------------------------------------------------------------------------------------


def view(db: Tables, shipment: Doc) -> Doc:
    rows = db.all("SELECT doc FROM track WHERE parent_id = ? ORDER BY id", shipment["entity_id"])
    tracks: list[Any] = [orjson.loads(row[0]) for row in rows]
    return {**public(shipment), "tracks": tracks}


@route("GET", "/V1/shipments", "Magento_Sales::shipment")
def list_shipments(call: Call) -> Doc:
    return documents.search(call, "shipment", view)


@route("GET", "/V1/shipment/:id", "Magento_Sales::shipment")
def get_shipment(call: Call, shipment_id: str) -> Doc:
    return view(call.db, documents.one(call, "shipment", shipment_id))

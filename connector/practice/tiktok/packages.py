"""Package reads, documents, tracking, split attributes (TTS §5.5.5-§5.5.10)."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, current_app, request

from . import refusals as codes
from .documents import pdf, png, zpl
from .fulfillment import SCOPE, package_of
from .life import rules
from .operations import Call, Raw, operation
from .orderbook import Document, Order, load, public
from .pages import Page, joined, time_window
from .refusals import Refusal

if TYPE_CHECKING:
    from .marketplace import Marketplace

blueprint = Blueprint("documents", __name__)
STATUSES = ("TO_FULFILL", "PROCESSING", "FULFILLING", "COMPLETED", "CANCELLED")
KINDS = (
    *("SHIPPING_LABEL", "PACKING_SLIP", "SHIPPING_LABEL_AND_PACKING_SLIP"),
    *("SHIPPING_LABEL_PICTURE", "HAZMAT_LABEL", "INVOICE_LABEL"),
)
DOCUMENT_LIFE = 24 * 3600


@operation("packages.search", "POST /fulfillment/{version}/packages/search", "202309", SCOPE)
def search_packages(call: Call) -> Raw:
    where, values = "shop_id = ?", (call.shop["id"],)
    if status := call.field("package_status"):
        if status not in STATUSES:
            raise Refusal(codes.FULFILLMENT_PARAMETER, f"package_status {status} is invalid")
        where, values = where + " AND status = ?", (*values, status)
    window, bounds = time_window(call, "create_time", "update_time")
    column = call.parameter("sort_field", "create_time", "update_time", "order_pay_time", default="create_time")
    descending = call.parameter("sort_order", "ASC", "DESC", default="DESC") == "DESC"
    rows, token, total = Page(call, "packages", column, descending, call.whole("page_size", 1, 50), where + window, (*values, *bounds)).fetch()
    return Raw(joined(b"packages", [row["doc"] for row in rows], token, total))


@operation("packages.detail", "GET /fulfillment/{version}/packages/{package_id}", "202309", SCOPE)
def package_detail(call: Call) -> dict[str, Any]:
    order, package = package_of(call, call.path["package_id"])
    shown = public(package)
    shown["package_id"], shown["package_status"] = shown.pop("id"), shown.pop("status")
    alive = [each for each in order.packages.values() if each["status"] != "CANCELLED"]
    units = [line["sku_id"] for line in order.lines if line["id"] in package["order_line_item_ids"]]
    return {
        "handover_method": "DROP_OFF",
        "weight": {"value": "500", "unit": "GRAM"},
        "dimension": {"length": "20", "width": "15", "height": "10", "unit": "CM"},
        **shown,
        "shipping_type": order.doc["shipping_type"],
        "delivery_option_id": order.doc["delivery_option_id"],
        "delivery_option_name": order.doc["delivery_option_name"],
        "recipient_address": order.doc.get("recipient_address", {}),
        "sender_address": call.shop["warehouses"][0]["address"],
        "split_and_combine_tag": "COMBINE" if len(package["orders"]) > 1 else "SPLIT" if len(alive) > 1 else "DEFAULT",
        "has_multi_skus": len(set(units)) > 1,
        "note_tag": "BUYER_NOTED" if order.doc.get("buyer_message") else "BUYER_UNNOTED",
    }


# -- documents ------------------------------------------------------------------------------------------------------------------------------


@operation("packages.shipping_documents", "GET /fulfillment/{version}/packages/{package_id}/shipping_documents", "202309", SCOPE)
def shipping_documents(call: Call) -> dict[str, Any]:
    kind = call.parameter("document_type", *KINDS)
    call.parameter("document_size", "A5", "A6", default="A6")
    form = call.parameter("document_format", "PDF", "ZPL", default="PDF")
    order, package = package_of(call, call.path["package_id"])
    if order.doc["shipping_type"] != "TIKTOK":
        raise Refusal(codes.FULFILLMENT_PARAMETER, f"order {order.id} is shipped by the seller; the platform has no document for it")
    if package["status"] in ("TO_FULFILL", "CANCELLED"):
        raise Refusal(codes.PACKAGE_STATUS, f"package {package['id']} has the status {package['status']}; there is no document")
    suffix = "png" if kind == "SHIPPING_LABEL_PICTURE" else form.lower()
    expires = call.now + DOCUMENT_LIFE
    seal = document_seal(call.market, package["id"], kind, expires)
    address = f"{call.root}/documents/{package['id']}/{kind}.{suffix}?expires={expires}&seal={seal}"
    return {"doc_url": address, "tracking_number": package["tracking_number"]}


def document_seal(market: Marketplace, package_id: str, kind: str, expires: int) -> str:
    text = f"{package_id}:{kind}:{expires}".encode()
    return hmac.new(market.app["app_secret"].encode(), text, sha256).hexdigest()[:32]


@blueprint.get("/documents/<package_id>/<kind>.<suffix>")
def document(package_id: str, kind: str, suffix: str) -> Response:
    """The file behind a `doc_url`; 403 when the link was made up or is older than 24 hours."""
    market: Marketplace = current_app.extensions["marketplace"]
    expires = request.args.get("expires", type=int) or 0
    genuine = hmac.compare_digest(request.args.get("seal", "").encode(), document_seal(market, package_id, kind, expires).encode())
    if not genuine or expires < market.clock.now():
        abort(403)
    row = market.store.read.execute("SELECT order_id FROM packages WHERE id = ?", (package_id,)).fetchone()
    if row is None:
        abort(404)
    order = load(market, row["order_id"])
    text = label_text(order, order.packages[package_id], kind)
    make, mimetype = {"pdf": (pdf, "application/pdf"), "png": (png, "image/png"), "zpl": (zpl, "text/plain")}.get(suffix, (pdf, "application/pdf"))
    return Response(make(text), mimetype=mimetype)


def label_text(order: Order, package: Document, kind: str) -> list[str]:
    address = order.doc.get("recipient_address", {})
    units = [line for line in order.lines if line["id"] in package["order_line_item_ids"]]
    lines = [kind.replace("_", " "), f"{package['shipping_provider_name']}  {package['tracking_number']}", "", address.get("name", "")]
    lines += [address.get("full_address", ""), "", f"Order {order.id}   Package {package['id']}"]
    if "PACKING" in kind:
        lines += [f"1 x {line['seller_sku']}  {line['product_name']}" for line in units]
    return lines


# -- tracking -------------------------------------------------------------------------------------------------------------------------------

STEPS = (("_rts_time", "Shipment arranged", 1, "ARRANGED"), ("_collected", "Parcel collected", 2, "COLLECTED"), ("_delivered", "Delivered", 9, "DELIVERED"))


def track(package: Document) -> list[Document]:
    """Newest first."""
    steps = [
        {
            "description": text,
            "tracking_no": package["tracking_number"],
            "update_time_millis": package[key] * 1000,
            "action_code": code,
            "action_code_name": name,
        }
        for key, text, code, name in STEPS
        if key in package
    ]
    return steps[::-1]


@operation("orders.tracking_202309", "GET /fulfillment/{version}/orders/{order_id}/tracking", "202309", SCOPE)
def order_tracking(call: Call) -> dict[str, Any]:
    order = load(call.market, call.path["order_id"], call.shop)
    steps = [step for package in order.packages.values() for step in track(package)]
    steps.sort(key=lambda step: -step["update_time_millis"])
    return {"tracking": [{name: step[name] for name in ("description", "update_time_millis")} for step in steps]}


@operation("orders.tracking", "GET /logistics/{version}/orders/{order_id}/tracking", "202604", "seller.logistics")
def parcel_tracking(call: Call) -> dict[str, Any]:
    order = load(call.market, call.path["order_id"], call.shop)
    parcels = [package for package in order.packages.values() if package.get("tracking_number")]
    details = [
        {"newest_tracking_no": package["tracking_number"], "carrier_name": package["shipping_provider_name"], "track_list": track(package)}
        for package in parcels
    ]
    return {"order_id": order.id, "logistics_details": details}


@operation("orders.split_attributes", "GET /fulfillment/{version}/orders/split_attributes", "202309", SCOPE)
def split_attributes(call: Call) -> dict[str, Any]:
    return {
        "split_attributes": [
            _split_attribute(load(call.market, each, call.shop), call.market.settings.most_units_in_a_package)
            for each in call.parameter("order_ids").split(",")
        ]
    }


def _split_attribute(order: Order, most: int | None) -> Document:
    """US and UK split by unit, the others by whole SKU (TTS §5.5.1). More than ``most`` units have to be split."""
    waiting = order.lines_in("AWAITING_SHIPMENT")
    parts = len(waiting) if rules(order).marks_shipped else len({line["sku_id"] for line in waiting})
    can_split = order.status in ("AWAITING_SHIPMENT", "PARTIALLY_SHIPPING") and parts > 1
    reason = "" if can_split else ("The order has one item" if parts <= 1 else f"The order has the status {order.status}")
    limits = [{"type": "TOTAL_COUNT_LIMITATION", "category_id": "", "max_count": most}] if can_split and most and len(waiting) > most else []
    return {"order_id": order.id, "can_split": can_split, "reason": reason, "must_split": bool(limits), "must_split_reasons": limits}


@operation("packages.handover_time_slots", "GET /fulfillment/{version}/packages/{package_id}/handover_time_slots", "202309", SCOPE)
def handover_time_slots(call: Call) -> dict[str, Any]:
    package_of(call, call.path["package_id"])
    day = call.now - call.now % 86_400 + 86_400
    slots = [
        {"start_time": day + hour * 3600, "end_time": day + (hour + 4) * 3600, "avaliable": hour != 17}  # the API's own spelling
        for hour in (9, 13, 17)
    ]
    can_van = call.shop["region"] == "GB"
    return {"can_pickup": True, "can_drop_off": True, "can_van_collection": can_van, "drop_off_point_url": "", "pickup_slots": slots}

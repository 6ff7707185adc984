"""Shipping: which call ships depends on market and shipping type (TTS §5.5.1-§5.5.4, §5.5.7)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from . import refusals as codes
from .combining import others
from .life import arrange, close_request, open_package, rules
from .markets import provider_name, stable_id
from .operations import Call, operation
from .orderbook import Document, Order, load, load_by_package, save
from .refusals import Refusal

SCOPE = "seller.fulfillment.basic"
TRACKING = re.compile(r"[A-Za-z0-9_./-]{4,50}")
MOST_ORDERS_PER_TRACKING = 20
# numbers that give their carrier away; another carrier with such a number is warned about, not refused
KNOWN_SHAPES = (("UPS", re.compile(r"1Z[A-Z0-9]{16}")), ("Royal Mail", re.compile(r"[A-Z]{2}\d{9}GB")), ("USPS", re.compile(r"9[2-5]\d{20}")))


def bad(message: str) -> Refusal:
    return Refusal(codes.FULFILLMENT_PARAMETER, message)


# -- what every shipping call checks ------------------------------------------------------------------------------------------------------


def check_status(order: Order) -> None:
    """Raises Refusal unless lines of this order can be shipped by the seller now."""
    if order.status == "ON_HOLD":
        raise Refusal(codes.ON_HOLD, f"order {order.id} is on hold and cannot be shipped")
    if order.doc["fulfillment_type"] != "FULFILLMENT_BY_SELLER":
        raise Refusal(codes.PACKAGE_STATUS, f"order {order.id} is fulfilled by TikTok")
    if order.status in ("AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED"):
        raise Refusal(codes.ALREADY_SHIPPED, f"order {order.id} has already been shipped")
    if order.status not in ("AWAITING_SHIPMENT", "PARTIALLY_SHIPPING"):
        raise Refusal(codes.PACKAGE_STATUS, f"order {order.id} has the status {order.status} and cannot be shipped")


def check_lines(order: Order, line_ids: list[str]) -> None:
    known = {line["id"]: line for line in order.lines}
    for line_id in line_ids:
        if line_id not in known:
            raise bad(f"order line {line_id} does not belong to order {order.id}")
        status = known[line_id]["display_status"]
        if status == "CANCELLED":
            raise Refusal(codes.PACKAGE_STATUS, f"order line {line_id} is cancelled")
        if status != "AWAITING_SHIPMENT":
            raise Refusal(codes.ALREADY_SHIPPED, f"order line {line_id} has already been shipped")


def settle_request(call: Call, order: Order, line_ids: list[str]) -> None:
    """Shipping rejects an open cancellation request in the US; elsewhere the request has to be answered first (TTS §6.2).
    Lines that the request does not ask for can be shipped meanwhile."""
    request = order.open_request()
    if request is None or not {each["order_line_item_id"] for each in request["cancel_line_items"]} & set(line_ids):
        return
    if not rules(order).ship_rejects_request:
        raise Refusal(codes.OPEN_AFTERSALE, f"order {order.id} has an open cancellation request {request['cancel_id']}")
    close_request(call.market, order, request, call.now, "rejected by shipping")


def carrier(call: Call, holder: Document) -> tuple[str, str, str]:
    """Tracking number, provider id and provider name out of a body; refuses what is missing, malformed, unknown or used too often."""
    tracking = call.field("tracking_number", required=True, inside=holder)
    provider_id = call.field("shipping_provider_id", required=True, inside=holder)
    name = provider_name(call.shop, provider_id)
    if name is None:
        raise bad(f"shipping_provider_id {provider_id} is not a shipping provider of this shop")
    if not TRACKING.fullmatch(tracking):
        raise bad(f"tracking_number {tracking} is invalid: 4 to 50 letters, digits, - _ . /")
    used = call.market.store.read.execute("SELECT count(DISTINCT order_id) FROM packages WHERE tracking_number = ?", (tracking,))
    if used.fetchone()[0] >= MOST_ORDERS_PER_TRACKING:
        raise bad(f"tracking_number {tracking} is already used on {MOST_ORDERS_PER_TRACKING} orders")
    return tracking, provider_id, name


def mismatch(tracking: str, provider: str) -> Document:
    for name, shape in KNOWN_SHAPES:
        if shape.fullmatch(tracking) and name != provider:
            return {"warning": {"message": f"The tracking number {tracking} looks like one of {name}, not of {provider}"}}
    return {}


# -- mark as shipped, US, UK, JP, EU ------------------------------------------------------------------------------------------------------


@operation("packages.mark_shipped", "POST /fulfillment/{version}/orders/{order_id}/packages", "202610 202309", SCOPE, writes=True)
def mark_shipped(call: Call) -> dict[str, Any]:
    order = load(call.market, call.path["order_id"], call.shop)
    if call.version == "202610":
        line_ids = [call.field("order_line_id", required=True, inside=each) for each in call.objects("order_line_list")]
        entries = call.objects("shipping_info_list", required=True)
        if len(entries) > 1:
            raise bad("shipping_info_list may hold one entry")
        holder = entries[0]
    else:
        line_ids, holder = call.strings("order_line_item_ids"), call.body
    tracking, provider_id, provider = carrier(call, holder)
    if not rules(order).marks_shipped:
        raise bad(f"packages of {order.inner['region']} orders are shipped by package id")
    if order.doc["shipping_type"] != "SELLER" and order.doc["fulfillment_type"] == "FULFILLMENT_BY_SELLER":
        raise bad(f"order {order.id} is shipped by the platform")
    check_status(order)
    if not line_ids:
        if call.market.settings.require_line_ids or order.status == "PARTIALLY_SHIPPING":
            raise Refusal(codes.LINES_REQUIRED, "order_line_item_ids must be given")
        line_ids = [line["id"] for line in order.lines_in("AWAITING_SHIPMENT")]
    line_ids = list(dict.fromkeys(line_ids))
    check_lines(order, line_ids)
    settle_request(call, order, line_ids)
    package = open_package(call.market, order, line_ids, call.now)
    arrange(call.market, order, package, tracking, provider_id, provider, call.now)
    save(call.market, order)
    return {"order_id": order.id, "order_line_item_ids": line_ids, "package_id": package["id"], **mismatch(tracking, provider)}


# -- ship a package, SEA, LATAM, and platform shipping where packages exist ----------------------------------------------------------------


@operation("packages.ship", "POST /fulfillment/{version}/packages/{package_id}/ship", "202309", SCOPE, writes=True)
def ship_package(call: Call) -> dict[str, Any]:
    _ship(call, call.path["package_id"], call.body if isinstance(call.body, dict) else {})
    return {}


@operation("packages.batch_ship", "POST /fulfillment/{version}/packages/ship", "202309", SCOPE, writes=True)
def batch_ship(call: Call) -> dict[str, Any]:
    return each_package(call, _ship)


def each_package(call: Call, act: Callable[[Call, str, Document], object]) -> dict[str, Any]:
    """Each package of the body stands alone; the ones that failed are named (TTS §3.1)."""
    errors = []
    for entry in call.objects("packages", required=True, most=50):
        package_id = call.field("id", required=True, inside=entry)
        try:
            act(call, package_id, entry)
        except Refusal as refusal:
            errors.append(refusal.as_error(package_id=package_id))
    return {"errors": errors} if errors else {}


def package_of(call: Call, package_id: str) -> tuple[Order, Document]:
    order = load_by_package(call.market, package_id, call.shop)
    if order is None:
        raise Refusal(codes.PACKAGE_NOT_FOUND, f"package {package_id} does not exist")
    return order, order.packages[package_id]


def _ship(call: Call, package_id: str, entry: Document) -> None:
    order, package = package_of(call, package_id)
    if package["status"] in ("PROCESSING", "FULFILLING", "COMPLETED"):
        raise Refusal(codes.ALREADY_SHIPPED, f"package {package_id} has already been shipped")
    if package["status"] == "CANCELLED":
        raise Refusal(codes.PACKAGE_STATUS, f"package {package_id} is cancelled")
    check_status(order)
    own = call.field("self_shipment", dict, inside=entry)
    if order.doc["shipping_type"] == "SELLER":
        if own is None:
            raise Refusal(codes.BAD_REQUEST, "param body.self_shipment is missing")
        tracking, provider_id, provider = carrier(call, own)
    else:
        handover = call.field("handover_method", inside=entry) or "DROP_OFF"
        if handover not in ("PICKUP", "DROP_OFF"):
            raise bad(f"handover_method {handover} is invalid")
        package["handover_method"] = handover
        if slot := call.field("pickup_slot", dict, inside=entry):
            package["pickup_slot"] = slot
        tracking, provider_id, provider = platform_label(call, package_id)
    members = (order, *others(call.market, order, package))
    for member in members:
        settle_request(call, member, package["order_line_item_ids"])
    for member in members:
        arrange(call.market, member, member.packages[package_id], tracking, provider_id, provider, call.now)
        save(call.market, member)


def platform_label(call: Call, package_id: str) -> tuple[str, str, str]:
    """The tracking number that TikTok's own label carries, and its carrier."""
    first = call.shop["shipping_providers"][0]
    return f"TT{call.shop['region']}{package_id[-12:]}", first["id"], first["name"]


# -- platform shipping, US, UK, JP ----------------------------------------------------------------------------------------------------------


@operation("shipping_services.query", "POST /fulfillment/{version}/orders/{order_id}/shipping_services/query", "202309", SCOPE)
def shipping_services(call: Call) -> dict[str, Any]:
    order = load(call.market, call.path["order_id"], call.shop)
    check_status(order)
    line_ids = call.strings("order_line_item_ids") or [line["id"] for line in order.lines_in("AWAITING_SHIPMENT")]
    check_lines(order, line_ids)
    size = {name: call.field(name, dict) or {} for name in ("dimension", "weight")}
    return {"order_id": order.id, "order_line_id": line_ids, **size, "shipping_services": services(call, order)}


def services(call: Call, order: Order) -> list[Document]:
    if order.doc["shipping_type"] != "TIKTOK":
        raise Refusal(codes.NO_SHIPPING_SERVICE, f"order {order.id} is shipped by the seller; there is no shipping service for it")
    fee = order.doc["payment"]["original_shipping_fee"]
    return [
        {
            "id": stable_id("7208", f"service:{call.shop['region']}:{each['name']}"),
            "name": f"{each['name']} Standard",
            "price": fee,
            "currency": call.shop["currency"],
            "earliest_delivery_days": 2 + number,
            "latest_delivery_days": 4 + number,
            "is_default": number == 0,
            "shipping_provider_id": each["id"],
            "shipping_provider_name": each["name"],
        }
        for number, each in enumerate(call.shop["shipping_providers"][:3])
    ]


@operation("packages.create", "POST /fulfillment/{version}/packages", "202512 202309", SCOPE, writes=True)
def create_package(call: Call) -> dict[str, Any]:
    """Buys a label for a platform-shipped order."""
    line_ids = call.strings("order_line_item_ids")
    if call.version == "202512":
        ship_type = call.field("ship_type", required=True)
        if ship_type == "3":
            raise Refusal(codes.BATCH_NOT_ALLOWED, "these orders cannot be combined")
        if ship_type not in ("1", "2"):
            raise bad(f"ship_type {ship_type} is invalid")
        line_ids = [call.field("order_line_id", required=True, inside=each) for each in call.objects("order_line_item", required=ship_type == "2")]
    order = load(call.market, call.field("order_id", required=True), call.shop)
    if not rules(order).marks_shipped:
        raise bad(f"packages of {order.inner['region']} orders exist already and are shipped by package id")
    check_status(order)
    offers = services(call, order)
    line_ids = list(dict.fromkeys(line_ids)) or [line["id"] for line in order.lines_in("AWAITING_SHIPMENT")]
    check_lines(order, line_ids)
    wanted = call.field("shipping_service_id")
    offer = next((each for each in offers if each["id"] == wanted or (wanted is None and each["is_default"])), None)
    if offer is None:
        raise Refusal(codes.NO_SHIPPING_SERVICE, f"shipping service {wanted} is not available for order {order.id}")
    settle_request(call, order, line_ids)
    package = open_package(call.market, order, line_ids, call.now)
    for name in ("dimension", "weight"):
        if given := call.field(name, dict):
            package[name] = given
    tracking = platform_label(call, package["id"])[0]
    arrange(call.market, order, package, tracking, offer["shipping_provider_id"], offer["shipping_provider_name"], call.now)
    save(call.market, order)
    info = {name: offer[name] for name in ("id", "name", "price", "currency", "shipping_provider_id", "shipping_provider_name")}
    return {
        "package_id": package["id"],
        "order_id": order.id,
        "order_line_item_ids": line_ids,
        "shipping_service_info": info,
        "tracking_number": tracking,
        "create_time": call.now,
        **{name: package[name] for name in ("dimension", "weight") if name in package},
    }


# -- update tracking ------------------------------------------------------------------------------------------------------------------------


@operation("orders.update_shipping_info", "POST /fulfillment/{version}/orders/{order_id}/shipping_info/update", "202309", SCOPE, writes=True)
def update_order_shipping(call: Call) -> dict[str, Any]:
    order = load(call.market, call.path["order_id"], call.shop)
    shipped = [each for each in order.packages.values() if each["status"] not in ("TO_FULFILL", "CANCELLED")]
    if not shipped:
        raise Refusal(codes.PACKAGE_STATUS, f"order {order.id} has not been shipped")
    if len(shipped) > 1:
        raise bad(f"order {order.id} is split into {len(shipped)} packages; update each package")
    return _update(call, order, shipped[0], call.body)


@operation("packages.update_shipping_info", "POST /fulfillment/{version}/packages/{package_id}/shipping_info/update", "202610 202309", SCOPE, writes=True)
def update_package_shipping(call: Call) -> dict[str, Any]:
    order, package = package_of(call, call.path["package_id"])
    holder = call.body
    if call.version == "202610":
        entries = call.objects("shipping_info_list", required=True)
        if len(entries) > 1:
            raise bad("shipping_info_list may hold one entry")
        holder = entries[0]
    return _update(call, order, package, holder)


def _update(call: Call, order: Order, package: Document, holder: Any) -> dict[str, Any]:
    """Seller shipping only, within 72 hours after shipping (TTS §5.5.4)."""
    if order.doc["shipping_type"] != "SELLER":
        raise bad(f"order {order.id} is shipped by the platform")
    if package["status"] not in ("PROCESSING", "FULFILLING"):
        raise Refusal(codes.PACKAGE_STATUS, f"package {package['id']} has the status {package['status']}")
    tracking, provider_id, provider = carrier(call, holder if isinstance(holder, dict) else {})
    if call.now > package["_rts_time"] + int(call.market.settings.edit_tracking_window_seconds):
        raise Refusal(codes.PACKAGE_STATUS, f"the tracking of package {package['id']} can no longer be changed")
    changed = {"tracking_number": tracking, "shipping_provider_id": provider_id, "shipping_provider_name": provider}
    package |= {**changed, "update_time": call.now}
    for line in order.lines:
        if line.get("package_id") == package["id"]:
            line |= changed
    order.doc |= {"tracking_number": tracking, "shipping_provider": provider, "shipping_provider_id": provider_id}
    order.note(call.now, "tracking changed", f"{provider} {tracking}")
    order.touch(call.now)
    save(call.market, order)
    return mismatch(tracking, provider)

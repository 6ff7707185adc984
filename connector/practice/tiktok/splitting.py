"""Splitting an order into packages, combining orders in one, and the seller's own deliveries (TTS §5.5.10)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

import orjson

from . import refusals as codes
from .combining import combine, leave_combined, list_packages, others, tell
from .fulfillment import SCOPE, bad, check_lines, check_status, each_package, package_of
from .life import collect, deliver, open_package, rules
from .operations import Call, operation
from .orderbook import Document, Order, from_row, load, save
from .pages import keyset
from .refusals import Refusal

FAILURES = (
    *("INVALID_ADDRESS", "UNABLE_RECEIVE", "UNABLE_CONTACT_BUYER", "BUYER_REFUSED", "DELAY_DELIVERY"),
    *("PACKAGE_LOST", "PACKAGE_DAMAGE", "FORCE_MAJEURE", "OTHER"),
)


@operation("orders.split", "POST /fulfillment/{version}/orders/{order_id}/split", "202309", SCOPE, writes=True)
def split(call: Call) -> dict[str, Any]:
    """Lines that no group names stay together. Singapore splits by whole SKU only (TTS §5.5.1)."""
    order = load(call.market, call.path["order_id"], call.shop)
    check_status(order)
    groups: list[tuple[str, list[str]]] = []
    for entry in call.objects("splittable_groups", required=True):
        line_ids = list(dict.fromkeys(call.strings("order_line_item_ids", required=True, inside=entry)))
        groups.append((call.field("id", required=True, inside=entry), line_ids))
    named = [line_id for _, line_ids in groups for line_id in line_ids]
    if len(set(named)) < len(named) or len({label for label, _ in groups}) < len(groups):
        raise bad("splittable_groups name a line or an id twice")
    check_lines(order, named)
    waiting = [line["id"] for line in order.lines_in("AWAITING_SHIPMENT")]
    rest = [line_id for line_id in waiting if line_id not in named]
    parts = [line_ids for _, line_ids in groups if line_ids] + ([rest] if rest else [])
    if len(parts) < 2:
        raise Refusal(codes.PACKAGE_STATUS, f"order {order.id} cannot be split into {len(parts)} part")
    if any(len(each["orders"]) > 1 and each["status"] == "TO_FULFILL" for each in order.packages.values()):
        raise Refusal(codes.BATCH_NOT_ALLOWED, f"order {order.id} is in a combined package")
    if not rules(order).marks_shipped:
        skus = [{line["sku_id"] for line in order.lines if line["id"] in part} for part in parts]
        if sum(map(len, skus)) > len(set().union(*skus)):
            raise bad(f"{order.inner['region']} orders are split by whole SKU")
    made = [open_package(call.market, order, line_ids, call.now) for line_ids in parts]
    list_packages(order)
    tell(order, "SPLIT", "SELLER", made, call.now)
    order.note(call.now, "split", f"{len(made)} packages")
    order.touch(call.now)
    save(call.market, order)
    return {"packages": [{"id": package["id"], "splittable_group_id": label} for package, (label, _) in zip(made, groups, strict=False)]}


# -- combining ------------------------------------------------------------------------------------------------------------------------------


def _combinable(order: Order) -> bool:
    """A market where packages exist before shipping, one plain unshipped package, nothing open."""
    unshipped = [each for each in order.packages.values() if each["status"] != "CANCELLED"]
    plain = len(unshipped) == 1 and unshipped[0]["status"] == "TO_FULFILL" and len(unshipped[0]["orders"]) == 1
    mine = order.doc["fulfillment_type"] == "FULFILLMENT_BY_SELLER" and not rules(order).marks_shipped
    return plain and mine and order.status == "AWAITING_SHIPMENT" and order.open_request() is None


def _together(order: Order) -> tuple[str, ...]:
    doc = order.doc
    return doc["user_id"], doc["recipient_address"]["full_address"], doc["shipping_type"], doc["warehouse_id"], doc["delivery_option_id"]


@operation("packages.combinable", "GET /fulfillment/{version}/combinable_packages/search", "202309", SCOPE)
def combinable(call: Call) -> dict[str, Any]:
    size = call.whole("page_size", 1, 50)
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    query = "SELECT doc, inner FROM orders WHERE shop_id = ? AND status = 'AWAITING_SHIPMENT' ORDER BY id"
    for row in call.market.store.read.execute(query, (call.shop["id"],)):
        order = from_row(row)
        if _combinable(order):
            groups[_together(order)].append(order.id)
    found = {_group_id(ids): ids for ids in groups.values() if len(ids) > 1}
    page, token = keyset(call, "combinable", [], sorted(found, key=int), size)
    return {"combinable_packages": [{"id": each, "order_ids": found[each]} for each in page], "next_page_token": token, "total_count": len(found)}


def _group_id(order_ids: list[str]) -> str:
    return "1154" + str(int(hashlib.sha1(orjson.dumps(sorted(order_ids))).hexdigest(), 16) % 10**15).zfill(15)


@operation("packages.combine", "POST /fulfillment/{version}/packages/combine", "202309", SCOPE, writes=True)
def combine_packages(call: Call) -> dict[str, Any]:
    """Each group stands alone. 10007014 when the orders of one may not go together."""
    made, errors = [], []
    for entry in call.objects("combinable_packages", required=True, most=50):
        label = call.field("id", required=True, inside=entry)
        order_ids = list(dict.fromkeys(call.strings("order_ids", required=True, inside=entry)))
        try:
            orders = [load(call.market, each, call.shop) for each in order_ids]
            if len(orders) < 2 or not all(map(_combinable, orders)) or len({_together(order) for order in orders}) > 1:
                raise Refusal(codes.BATCH_NOT_ALLOWED, f"orders {', '.join(order_ids)} cannot be combined")
        except Refusal as refusal:
            errors.append(refusal.as_error(id=label, order_ids=order_ids))
            continue
        package = combine(call.market, orders, call.now)
        save(call.market, *orders)
        made.append({"id": package["id"], "order_ids": order_ids})
    return {"packages": made, **({"errors": errors} if errors else {})}


@operation("packages.uncombine", "POST /fulfillment/{version}/packages/{package_id}/uncombine", "202309", SCOPE, writes=True)
def uncombine(call: Call) -> dict[str, Any]:
    """Takes the named orders out, or takes the package apart when none is named."""
    _, package = package_of(call, call.path["package_id"])
    members = [each["id"] for each in package["orders"]]
    if len(members) < 2 or package["status"] != "TO_FULFILL":
        raise Refusal(codes.BATCH_NOT_ALLOWED, f"package {package['id']} cannot be taken apart: it holds {len(members)} orders and is {package['status']}")
    wanted = call.strings("order_ids") or members[1:]
    if set(wanted) - set(members):
        raise bad(f"order_ids names orders that are not in package {package['id']}")
    made = []
    for order_id in wanted:
        leaving = load(call.market, order_id, call.shop)
        if mine := leave_combined(call.market, leaving, "CANCEL_COMBINE", "SELLER", call.now):
            leaving.touch(call.now)
            save(call.market, leaving)
            made.append({"id": mine["id"], "order_ids": [order_id]})
    stay = [each for each in members if each not in [one["order_ids"][0] for one in made]]
    return {"packages": [*made, *([{"id": package["id"], "order_ids": stay}] if stay else [])]}


# -- the seller's own fleet -----------------------------------------------------------------------------------------------------------------


@operation("packages.deliver", "POST /fulfillment/{version}/packages/deliver", "202309", "seller.delivery.status.write", writes=True)
def report_delivery(call: Call) -> dict[str, Any]:
    """Own deliveries in South-East Asia: nobody scans them, so the seller reports."""
    return each_package(call, _report)


def _report(call: Call, package_id: str, entry: Document) -> None:
    order, package = package_of(call, package_id)
    kind = call.field("delivery_type", required=True, inside=entry)
    if kind not in ("DELIVERY_SUCCESS", "DELIVERY_FAILED", "UPDATE_POD"):
        raise bad(f"delivery_type {kind} is invalid")
    if rules(order).marks_shipped or order.doc["shipping_type"] != "SELLER":
        raise bad(f"the delivery of package {package_id} is reported by its carrier")
    reason = call.field("fail_delivery_reason", inside=entry)
    if kind == "DELIVERY_FAILED" and reason not in FAILURES:
        raise bad(f"fail_delivery_reason {reason} is invalid: one of {', '.join(FAILURES)}")
    if kind == "UPDATE_POD" and not call.field("file_url", inside=entry):
        raise bad("file_url is missing")
    if package["status"] not in (("COMPLETED",) if kind == "UPDATE_POD" else ("PROCESSING", "FULFILLING")):
        raise Refusal(codes.PACKAGE_STATUS, f"package {package_id} has the status {package['status']}")
    for member in (order, *others(call.market, order, package)):
        parcel = member.packages[package_id]
        if kind == "DELIVERY_SUCCESS":
            if parcel["status"] == "PROCESSING":
                collect(call.market, member, parcel, call.now)
            deliver(call.market, member, parcel, call.now)
        else:
            member.note(call.now, "delivery reported", reason or "proof of delivery")
        save(call.market, member)

"""Order reads and external references (TTS §5.4)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from . import refusals as codes
from .operations import Call, Raw, operation
from .orderbook import Document, load
from .pages import Page, joined, time_window
from .refusals import Refusal

STATUSES = (
    *("UNPAID", "ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION"),
    *("IN_TRANSIT", "DELIVERED", "COMPLETED", "CANCELLED"),
)
PLATFORMS = (
    *("SHOPIFY", "WOOCOMMERCE", "BIGCOMMERCE", "MAGENTO", "SALESFORCE_COMMERCE_CLOUD", "CHANNEL_ADVISOR", "AMAZON"),
    *("ORDER_MANAGEMENT_SYSTEM", "WAREHOUSE_MANAGEMENT_SYSTEM", "ERP_SYSTEM"),
)
MOST_IDS = 50


@operation("orders.search", "POST /order/{version}/orders/search", "202309", "seller.order.info")
def search(call: Call) -> Raw:
    where, values = "shop_id = ?", (call.shop["id"],)
    where, values = _readable(call, where, values)
    status = call.field("order_status")
    if status is not None:
        if status not in STATUSES:
            raise Refusal(codes.ORDER_PARAMETER, f"order_status {status} is invalid")
        where, values = where + " AND status = ?", (*values, status)
    shipping_type = call.field("shipping_type")
    if shipping_type is not None:
        if shipping_type not in ("TIKTOK", "SELLER"):
            raise Refusal(codes.ORDER_PARAMETER, f"shipping_type {shipping_type} is invalid")
        where, values = where + " AND shipping_type = ?", (*values, shipping_type)
    if (buyer := call.field("buyer_user_id")) is not None:
        where, values = where + " AND buyer_user_id = ?", (*values, buyer)
    if (requested := call.field("is_buyer_request_cancel", bool)) is not None:
        where, values = where + " AND cancel_requested = ?", (*values, int(requested))
    if warehouses := call.strings("warehouse_ids", most=100):
        where, values = where + f" AND warehouse_id IN ({','.join('?' * len(warehouses))})", (*values, *warehouses)
    window, bounds = time_window(call, "create_time", "update_time")
    column = call.parameter("sort_field", "create_time", "update_time", default="create_time")
    descending = call.parameter("sort_order", "ASC", "DESC", default="DESC") == "DESC"
    page = Page(call, "orders", column, descending, call.whole("page_size", 1, 100), where + window, (*values, *bounds))
    rows, token, total = page.fetch()
    return Raw(joined(b"orders", [row["doc"] for row in rows], token, total))


def _readable(call: Call, where: str, values: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """New orders can take a while to be readable (TTS §5.4.2)."""
    delay = int(call.market.settings.new_order_delay_seconds)
    return (where + " AND create_time <= ?", (*values, call.now - delay)) if delay else (where, values)


@operation("orders.detail", "GET /order/{version}/orders", "202507 202309", "seller.order.info")
def detail(call: Call) -> Raw:
    """Ids of nobody or of another shop are left out, as callers have to compare anyway."""
    ids = [each for each in call.parameter("ids").split(",") if each]
    if len(ids) > MOST_IDS:
        raise Refusal(codes.ORDER_PARAMETER, f"ids is invalid: at most {MOST_IDS}")
    if not all(each.isdecimal() for each in ids):
        raise Refusal(codes.ORDER_PARAMETER, "ids is invalid: must be order ids")
    # "+": the ids find the rows, not an index of the whole shop
    where, values = _readable(call, f"id IN ({','.join('?' * len(ids))}) AND +shop_id = ?", (*ids, call.shop["id"]))
    rows = call.market.store.read.execute(f"SELECT id, doc FROM orders WHERE {where}", values).fetchall()
    found = {row["id"]: row["doc"] for row in rows}
    return Raw(b'{"orders":[' + b",".join(found[each] for each in dict.fromkeys(ids) if each in found) + b"]}")


@operation("orders.price_detail", "GET /order/{version}/orders/{order_id}/price_detail", "202407", "seller.order.info")
def price_detail(call: Call) -> dict[str, Any]:
    return price_document(load(call.market, call.path["order_id"], call.shop).doc)


def price_document(doc: Document) -> Document:
    """Order and line amounts with the relations of TTS §5.4.3; the shipping of the order stays with the order."""
    payment = doc["payment"]
    fees = {"small_order_fee": payment["small_order_fee"]} if "small_order_fee" in payment else {}
    top = {
        "currency": payment["currency"],
        "payment": payment["total_amount"],
        "total": _sum(payment["original_total_product_price"], payment["original_shipping_fee"]),
        "subtotal": payment["sub_total"],
        "subtotal_tax_amount": payment["product_tax"],
        "subtotal_deduction_seller": payment["seller_discount"],
        "subtotal_deduction_platform": payment["platform_discount"],
        "sku_list_price": payment["original_total_product_price"],
        "sku_sale_price": payment["sub_total"],
        "shipping_list_price": payment["original_shipping_fee"],
        "shipping_sale_price": payment["shipping_fee"],
        "shipping_fee_deduction_seller": payment["shipping_fee_seller_discount"],
        "shipping_fee_deduction_platform": payment["shipping_fee_platform_discount"],
        "tax_amount": payment["tax"],
        "net_price_amount": payment["sub_total"],
        "voucher_deduction_platform": "0",
        "voucher_deduction_seller": "0",
        **fees,
    }
    return {**top, "line_items": [_line_price(line) for line in doc["line_items"]]}


def _line_price(line: Document) -> Document:
    taxes = line.get("item_tax", [])
    tax = _sum(*(each["tax_amount"] for each in taxes))
    return {
        "id": line["id"],
        "currency": line["currency"],
        "payment": _sum(line["sale_price"], tax),
        "total": line["original_price"],
        "subtotal": line["sale_price"],
        "subtotal_tax_amount": tax,
        "subtotal_deduction_seller": line["seller_discount"],
        "subtotal_deduction_platform": line["platform_discount"],
        "sku_list_price": line["original_price"],
        "sku_sale_price": line["sale_price"],
        "tax_amount": tax,
        "tax_rate": taxes[0]["tax_rate"] if taxes else "0",
        "net_price_amount": line["sale_price"],
        **({"sku_gift_original_price": line["gift_retail_price"], "sku_gift_net_price": "0"} if line["is_gift"] else {}),
    }


def _sum(*amounts: str) -> str:
    return f"{sum((Decimal(amount) for amount in amounts), Decimal()):.2f}"


# -- external references ------------------------------------------------------------------------------------------------------------------


@operation("external_orders.add", "POST /order/{version}/orders/external_orders", "202406", "seller.order.info", writes=True)
def add_external_orders(call: Call) -> dict[str, Any]:
    """Each entry stands alone; the same order and platform again replaces (TTS §5.4.4). `code` is a string in these errors."""
    errors = []
    for entry in call.objects("orders", required=True, most=100):
        external = call.field("external_order", dict, inside=entry) or {}
        try:
            _add_external_order(call, entry, external)
        except Refusal as refusal:
            named = {"id": external.get("id", ""), "platform": external.get("platform", "")}
            detail = {"order_id": entry.get("id", ""), "external_order": named}
            errors.append({"code": str(refusal.code), "message": refusal.message, "detail": detail})
    return {"errors": errors} if errors else {}


def _add_external_order(call: Call, entry: Document, external: Document) -> None:
    order_id = call.field("id", required=True, inside=entry)
    external_id = call.field("id", required=True, inside=external)
    platform = call.field("platform", required=True, inside=external)
    if platform not in PLATFORMS:
        raise Refusal(codes.BAD_REQUEST, f"param body.platform is invalid: {platform}")
    try:
        order = load(call.market, order_id, call.shop)
    except Refusal:
        raise Refusal(codes.EXTERNAL_ORDER_ID, f"order id {order_id} is invalid") from None
    lines = [
        {"id": call.field("id", required=True, inside=line), "origin_id": call.field("origin_id", required=True, inside=line)}
        for line in call.objects("line_items", required=True, most=100, inside=external)
    ]
    known = {line["id"] for line in order.lines}
    for line in lines:
        if line["origin_id"] not in known:
            raise Refusal(codes.EXTERNAL_ORDER_ID, f"line item {line['origin_id']} does not belong to order {order_id}")
    document = {"id": external_id, "platform": platform, "line_items": lines}
    with call.market.store.write() as db:
        db.execute(
            "INSERT OR REPLACE INTO external_orders VALUES (?, ?, ?, ?, ?)",
            (order_id, platform, external_id, call.shop["id"], orjson.dumps(document)),
        )


@operation("external_orders.get", "GET /order/{version}/orders/{order_id}/external_orders", "202406", "seller.order.info")
def get_external_orders(call: Call) -> dict[str, Any]:
    order = load(call.market, call.path["order_id"], call.shop)
    rows = call.market.store.read.execute("SELECT platform, doc FROM external_orders WHERE order_id = ?", (order.id,)).fetchall()
    platform = call.query.get("platform")
    return {"external_orders": [orjson.loads(row["doc"]) for row in rows if platform in (None, row["platform"])]}


@operation("external_orders.search", "POST /order/{version}/orders/external_order_search", "202406", "seller.order.info")
def search_external_orders(call: Call) -> dict[str, Any]:
    rows = call.market.store.read.execute(
        "SELECT order_id, doc FROM external_orders WHERE shop_id = ? AND platform = ? AND external_id = ?",
        (call.shop["id"], call.parameter("platform", *PLATFORMS), call.parameter("external_order_id")),
    ).fetchall()
    return {"orders": [{"id": row["order_id"], "external_order": orjson.loads(row["doc"])} for row in rows]}

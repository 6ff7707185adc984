"""The order that replaces or exchanges goods (TTS §5.4.5): the same lines for nothing, ready to be shipped."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from .orderbook import Document, Order

if TYPE_CHECKING:
    from .marketplace import Marketplace

FRESH = ("package_id", "package_status", "tracking_number", "shipping_provider_id", "shipping_provider_name", "rts_time", "cancel_reason", "cancel_user")
KEPT = ("user_id", "buyer_email", "buyer_nickname", "shipping_type", "fulfillment_type", "delivery_type", "delivery_option_id", "delivery_option_name")
ALSO_KEPT = ("order_type", "commerce_platform", "warehouse_id", "payment_method_name")
OFF = ("is_sample_order", "is_cod", "is_on_hold_order", "is_replacement_order", "is_exchange_order", "is_subscription_order")


def replace_order(market: Marketplace, order: Order, document: Document, at: int, *, exchange: bool = False) -> None:
    """Places the order that goes out instead; it is saved together with the old one and needs no hold."""
    from .life import pay, release

    chosen = [each["order_line_item_id"] for each in document["return_line_items"]]
    sources = [line for line in order.lines if line["id"] in chosen]
    lines = []
    for line_id, source in zip(market.ids("line", len(sources)), sources, strict=True):
        line = {name: deepcopy(value) for name, value in source.items() if name not in FRESH}
        nothing = {"original_price": "0.00", "sale_price": "0.00", "seller_discount": "0", "platform_discount": "0", "item_tax": []}
        lines.append({**line, **nothing, "id": line_id, "display_status": "UNPAID"})
    payment = {name: value if name == "currency" else "0" for name, value in order.doc["payment"].items()} | {"total_amount": "0.00", "sub_total": "0.00"}
    doc = {
        "id": market.ids("order")[0],
        "status": "UNPAID",
        **{name: order.doc[name] for name in (*KEPT, *ALSO_KEPT)},
        **dict.fromkeys((*OFF, "is_buyer_request_cancel", "has_updated_recipient_address"), False),
        **({"is_exchange_order": True, "exchange_source_order_id": order.id} if exchange else {"is_replacement_order": True, "replaced_order_id": order.id}),
        "buyer_message": "",
        "create_time": at,
        "update_time": at,
        "payment": payment,
        "packages": [],
        "line_items": lines,
    }
    inner = {
        **{name: order.inner[name] for name in ("shop_id", "region", "address")},
        "unpaid_until": at,
        "packages": {},
        "cancellations": {},
        "timeline": [{"time": at, "event": "placed", "detail": f"instead of {order.id}, return {document['return_id']}"}],
    }
    born = Order(doc, inner)
    pay(market, born, at)
    release(market, born, at)
    order.born.append(born)

"""Reason keys by market and status (TTS §5.6.10). Callers must take them from the eligibility answers, never from a list of their own."""

from __future__ import annotations

from .life import rules
from .orderbook import Order

BUYER_MISTAKE = "ecom_order_to_ship_canceled_reason_created_by_mistakes"
BUYER_UNPAID = "ecom_order_unpaid_canceled_reason_created_by_mistakes"


def seller_cancel_reasons(order: Order) -> list[str]:
    """What the seller may give for this order now; empty when the seller may not cancel (TTS §6.2)."""
    suffix = rules(order).reason_suffix
    asked = order.inner["region"] in ("US", "GB")  # not in Singapore
    if order.status == "UNPAID":
        names = ["seller_cancel_unpaid_reason_out_of_stock", "seller_cancel_unpaid_reason_wrong_price"]
        names.append("seller_cancel_unpaid_reason_buyer_hasnt_paid_within_time_allowed")
        names += ["seller_cancel_unpaid_reason_buyer_requested_cancellation"] * asked
    elif order.status in ("ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING"):
        names = ["seller_cancel_reason_out_of_stock", "seller_cancel_reason_wrong_price", "seller_cancel_paid_reason_address_not_deliver"]
        names += ["seller_cancel_paid_reason_buyer_requested_cancellation"] * asked
    elif order.status == "AWAITING_COLLECTION" and order.inner["region"] == "US":
        names = ["seller_cancel_reason_out_of_stock", "seller_cancel_reason_wrong_price"]
    else:
        names = []
    return [name + suffix for name in names]


def buyer_cancel_reasons(order: Order) -> list[str]:
    suffix = rules(order).reason_suffix
    if order.status == "UNPAID":
        return [BUYER_UNPAID + suffix]
    if order.status in ("ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING"):
        return [BUYER_MISTAKE + suffix, "buyer_cancel_late_shipment"]
    return []


WRONG = ("missing_product", "product_damaged", "wrong_product", "product_does_not_match_description")
NOT_NEEDED = "no_longer_needed"
FAMILIES = {"REFUND": "ecom_order_delivered_refund_reason_", "RETURN_AND_REFUND": "ecom_order_delivered_refund_and_return_reason_"}
AGREED = "seller_reject_apply_you_have_reached_an_agreement_with_the_buyer"
NOT_LATE = "seller_reject_apply_package_has_not_exceeded_estimated_delivery_time"


def return_reasons(kind: str, user: str) -> list[str]:
    """What a return may be asked for with; the seller's own keys end in `_seller`. A replacement takes those of a return."""
    family = FAMILIES.get(kind, FAMILIES["RETURN_AND_REFUND"])
    names = [family + what for what in WRONG] + [family + NOT_NEEDED] * (kind != "REFUND")
    return [name + "_seller" * (user == "SELLER") for name in names]


def return_reject_reasons(order: Order, document: dict[str, object]) -> list[dict[str, str]]:
    """What the seller may answer to a buyer's return: that the parcel is not late yet only while it is under way."""
    lines = [each["order_line_item_id"] for each in document["return_line_items"]]  # type: ignore[attr-defined]
    going = any(line["id"] in lines and line["display_status"] != "DELIVERED" for line in order.lines)
    return [{"name": name, "text": _text(name)} for name in (AGREED, *((NOT_LATE,) if going else ()))]


def reject_reasons(order: Order) -> list[dict[str, str]]:
    """What the seller may answer to a buyer's cancellation, by market."""
    if order.inner["region"] == "US":
        names = [
            "ecom_reverse_reject_refund_request_package_delivery_multiple_boxes",
            "seller_reject_apply_unable_to_change_address",
            "ecom_reverse_reject_cancel_reason_product_packed",
        ]
    else:
        suffix = rules(order).reason_suffix
        family = "order_manage_list_action_respond_popup_reject_reason_"
        names = [f"{family}{what}{suffix}" for what in ("invalid_cancellation_reason", "delivered", "buyer_agree")]
        names.append("seller_reject_apply_product_has_been_packed")
    return [{"name": name, "text": _text(name)} for name in names]


def _text(name: str) -> str:
    return name.removesuffix("_uk").rsplit("reason_", 1)[-1].removeprefix("seller_reject_apply_").replace("_", " ").capitalize()

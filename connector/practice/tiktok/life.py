"""The life of an order (TTS §6.1-§6.3): every transition. Times are Unix seconds of the shop clock."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .combining import leave_combined
from .markets import MARKETS, Market, add_days, stable_id
from .orderbook import Document, Order
from .returns_life import close_all

if TYPE_CHECKING:
    from .marketplace import Marketplace

DAY = 86_400
LADDER = ("AWAITING_SHIPMENT", "AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED")


def rules(order: Order) -> Market:
    return MARKETS[order.inner["region"]]


# -- transitions --------------------------------------------------------------------------------------------------------------------------


def set_status(order: Order, status: str, at: int) -> None:
    """Moves `update_time` and sends webhook 1, which spells CANCELLED as CANCEL and does not know PARTIALLY_SHIPPING (TTS §5.8.2)."""
    if status == order.status:
        return
    order.doc["status"] = status
    order.touch(at)
    order.note(at, "status", status)
    if status != "PARTIALLY_SHIPPING":
        data = {
            "order_id": order.id,
            "order_status": "CANCEL" if status == "CANCELLED" else status,
            "is_on_hold_order": status == "ON_HOLD",
            "update_time": order.doc["update_time"],
        }
        order.announce(1, data, at)


def derive_status(order: Order, at: int) -> None:
    """The order's status from its lines: the least advanced living line counts, a mix with unshipped ones is partial."""
    living = {line["display_status"] for line in order.lines} - {"CANCELLED"}
    if not living:
        return
    ranks = sorted(LADDER.index(status) for status in living)
    if ranks[0] == 0 and ranks[-1] > 0:
        set_status(order, "PARTIALLY_SHIPPING", at)
    else:
        set_status(order, LADDER[ranks[0]], at)


def pay(market: Marketplace, order: Order, at: int) -> None:
    """UNPAID -> ON_HOLD; the deadlines are known from here on."""
    rule, days = rules(order), market.settings.no_shipment_days
    unshipped_until = add_days(at, rule.cancel_days, rule.business_days) if days is None else at + int(days * DAY)
    order.inner["hold_until"] = at + int(market.settings.hold_seconds)
    order.doc |= {
        "paid_time": at,
        "is_on_hold_order": True,
        "rts_sla_time": add_days(at, rule.arrange_days, rule.business_days),
        "tts_sla_time": add_days(at, rule.arrange_days + 2, rule.business_days),
        "shipping_due_time": unshipped_until,
        "cancel_order_sla_time": unshipped_until,
    }
    for line in order.lines_in("UNPAID"):
        line["display_status"] = "AWAITING_SHIPMENT"
    set_status(order, "ON_HOLD", at)


def release(market: Marketplace, order: Order, at: int) -> None:
    """ON_HOLD -> AWAITING_SHIPMENT: the address is shown, and a package exists where the market ships packages."""
    order.doc["is_on_hold_order"] = False
    order.doc["recipient_address"] = order.inner["address"]
    if order.doc["fulfillment_type"] != "FULFILLMENT_BY_SELLER":
        order.inner["ship_at"] = at + int(market.settings.platform_fulfillment_seconds)
    if not rules(order).marks_shipped:
        open_package(market, order, [line["id"] for line in order.lines_in("AWAITING_SHIPMENT")], at)
    set_status(order, "AWAITING_SHIPMENT", at)


def open_package(market: Marketplace, order: Order, line_ids: list[str], at: int) -> Document:
    """A package of these lines. They leave the unshipped package they were in; one that holds just them is the package itself."""
    for package in [each for each in order.packages.values() if each["status"] == "TO_FULFILL"]:
        if set(package["order_line_item_ids"]) == set(line_ids):
            return package
        if left := [each for each in package["order_line_item_ids"] if each not in line_ids]:
            package |= {"order_line_item_ids": left, "update_time": at}
        else:
            package |= {"status": "CANCELLED", "update_time": at}
    package_id = market.ids("package")[0]
    package = {
        "id": package_id,
        "status": "TO_FULFILL",
        "orders": [{"id": order.id, "skus": []}],
        "order_line_item_ids": line_ids,
        "create_time": at,
        "update_time": at,
    }
    order.packages[package_id] = package
    order.doc["packages"] = [{"id": each} for each in order.packages]
    for line in order.lines:
        if line["id"] in line_ids:
            line |= {"package_id": package_id, "package_status": "TO_FULFILL"}
    return package


def arrange(market: Marketplace, order: Order, package: Document, tracking: str, provider_id: str, provider: str, at: int) -> None:
    """Shipment is arranged: the package waits for the carrier."""
    package |= {
        "status": "PROCESSING",
        "tracking_number": tracking,
        "shipping_provider_id": provider_id,
        "shipping_provider_name": provider,
        "update_time": at,
        "_rts_time": at,
        "_collect_at": at + int(market.settings.collect_after_seconds),
    }
    shipped = {"shipping_provider_id": provider_id, "shipping_provider_name": provider, "tracking_number": tracking}
    _move_lines(order, package, "AWAITING_COLLECTION", **shipped, rts_time=at)
    order.doc |= {"tracking_number": tracking, "shipping_provider": provider, "shipping_provider_id": provider_id}
    order.doc.setdefault("rts_time", at)
    order.doc["collection_due_time"] = at + 5 * DAY
    order.note(at, "shipment arranged", f"{provider} {tracking}")
    order.touch(at)
    derive_status(order, at)


def collect(market: Marketplace, order: Order, package: Document, at: int) -> None:
    """The carrier's first scan."""
    package |= {"status": "FULFILLING", "update_time": at, "_collected": at, "_deliver_at": at + int(market.settings.transit_seconds)}
    _move_lines(order, package, "IN_TRANSIT")
    order.doc.setdefault("collection_time", at)
    order.doc |= {"delivery_due_time": at + 21 * DAY, "delivery_sla_time": at + 7 * DAY}
    order.note(at, "carrier scan", package["tracking_number"])
    order.touch(at)
    derive_status(order, at)


def deliver(market: Marketplace, order: Order, package: Document, at: int) -> None:
    package |= {"status": "COMPLETED", "update_time": at, "_delivered": at}
    _move_lines(order, package, "DELIVERED")
    order.doc["delivery_time"] = at
    order.inner["complete_at"] = at + int(market.settings.complete_after_seconds)
    order.note(at, "delivery scan", package["tracking_number"])
    order.touch(at)
    derive_status(order, at)


def complete(order: Order, at: int) -> None:
    for line in order.lines_in("DELIVERED"):
        line["display_status"] = "COMPLETED"
    derive_status(order, at)


def _move_lines(order: Order, package: Document, display_status: str, **more: Any) -> None:
    for line in order.lines:
        if line["id"] in package["order_line_item_ids"] and line["display_status"] != "CANCELLED":
            line |= {"display_status": display_status, "package_id": package["id"], "package_status": package["status"], **more}


def fulfil_by_platform(market: Marketplace, order: Order, at: int) -> None:
    """The platform's own warehouse ships what is fulfilled by TikTok."""
    order.inner["ship_at"] = None
    waiting = [line["id"] for line in order.lines_in("AWAITING_SHIPMENT")]
    package = next((each for each in order.packages.values() if each["status"] == "TO_FULFILL"), None)
    carrier = rules(order).carriers[0]
    provider_id = stable_id("6617", f"carrier:{order.inner['region']}:{carrier}")
    arrange(market, order, package or open_package(market, order, waiting, at), f"TTP{order.id[-12:]}", provider_id, carrier, at)


# -- cancelling ---------------------------------------------------------------------------------------------------------------------------


def open_cancellation(market: Marketplace, order: Order, line_ids: list[str], role: str, reason: str, status: str, at: int) -> Document:
    """A cancellation in the given status; `BUYER_CANCEL` for the buyer's, `CANCEL` for all others (TTS §5.6.3)."""
    lines = [line for line in order.lines if line["id"] in line_ids]
    whole = len(lines) == len(order.lines)
    paid = order.status != "UNPAID"
    cancel_id = market.ids("cancellation")[0]
    cancellation = {
        "cancel_id": cancel_id,
        "order_id": order.id,
        "cancel_type": "BUYER_CANCEL" if role == "BUYER" else "CANCEL",
        "cancel_status": status,
        "role": role,
        "cancel_reason": reason,
        "cancel_reason_text": reason.removesuffix("_uk").rsplit("reason_", 1)[-1].replace("_", " ").capitalize(),
        "refund_amount": refund_amount(order, lines if paid else [], with_shipping=whole and paid),
        "cancel_line_items": [
            {
                "cancel_line_item_id": f"{cancel_id[:-4]}{number:04d}",
                "order_line_item_id": line["id"],
                **{name: line[name] for name in ("sku_id", "seller_sku", "sku_name", "product_name")},
                "product_image": line["sku_image"],
                "refund_amount": refund_amount(order, [line] if paid else [], with_shipping=False),
            }
            for number, line in enumerate(lines, 1)
        ],
        "should_replenish_stock": not any(line.get("rts_time") for line in lines),
        "create_time": at,
        "update_time": at,
    }
    order.cancellations[cancel_id] = cancellation
    _announce_cancellation(order, cancellation, at)
    return cancellation


def refund_amount(order: Order, lines: list[Document], *, with_shipping: bool) -> Document:
    payment = order.doc["payment"]
    subtotal = sum((Decimal(line["sale_price"]) for line in lines), Decimal())
    tax = sum((Decimal(each["tax_amount"]) for line in lines for each in line.get("item_tax", [])), Decimal())
    shipping = Decimal(payment["shipping_fee"]) if with_shipping else Decimal()
    fee = Decimal(payment.get("retail_delivery_fee", "0")) if with_shipping else Decimal()
    if with_shipping:
        tax += Decimal(payment["shipping_fee_tax"])
    amounts = {"refund_subtotal": subtotal, "refund_shipping_fee": shipping, "refund_tax": tax, "retail_delivery_fee": fee}
    total = sum(amounts.values(), Decimal())
    return {"currency": payment["currency"], "refund_total": f"{total:.2f}", **{name: f"{value:.2f}" for name, value in amounts.items()}}


def _announce_cancellation(order: Order, cancellation: Document, at: int) -> None:
    data = {
        "order_id": order.id,
        "cancel_id": cancellation["cancel_id"],
        "cancellations_role": cancellation["role"],
        "cancel_status": cancellation["cancel_status"],
        "create_time": cancellation["create_time"],
    }
    order.announce(11, data, at)


def move_cancellation(order: Order, cancellation: Document, status: str, at: int) -> None:
    cancellation |= {"cancel_status": status, "update_time": at}
    cancellation.pop("seller_next_action_response", None)
    _announce_cancellation(order, cancellation, at)


def cancel_lines(market: Marketplace, order: Order, cancellation: Document, at: int, user: str) -> None:
    """The effect of a granted cancellation. The refund follows later and makes it `COMPLETE`."""
    line_ids = [each["order_line_item_id"] for each in cancellation["cancel_line_items"]]
    reason = cancellation["cancel_reason"]
    for line in order.lines:
        if line["id"] in line_ids:
            line |= {"display_status": "CANCELLED", "cancel_reason": reason, "cancel_user": user}
    cancellation["_complete_at"] = at + (int(market.settings.refund_seconds) if "paid_time" in order.doc else 0)
    order.note(at, "cancelled", f"{user}: {reason} ({len(line_ids)} of {len(order.lines)} lines)")
    order.touch(at)
    order.doc.setdefault("cancel_reason", reason)
    leave_combined(market, order, "CANCEL_FULFILL_SPLIT", user, at, line_ids)
    _shrink_packages(order, line_ids, user, at)
    if len(order.lines_in("CANCELLED")) == len(order.lines):
        order.doc |= {"cancel_time": at, "cancellation_initiator": "SYSTEM" if user == "OPERATOR" else user, "is_on_hold_order": False}
        close_all(market, order, at)
        set_status(order, "CANCELLED", at)
    elif order.status != "ON_HOLD":
        derive_status(order, at)


def _shrink_packages(order: Order, line_ids: list[str], user: str, at: int) -> None:
    """A package loses its cancelled lines; one that keeps some came apart, which webhook 4 tells."""
    for package in order.packages.values():
        left = [each for each in package["order_line_item_ids"] if each not in line_ids]
        if len(left) == len(package["order_line_item_ids"]):
            continue
        package["update_time"] = at
        if left:
            package["order_line_item_ids"] = left
            data = {
                "sc_type": "PARTLY_CANCEL_SPLIT",
                "role_type": {"BUYER": "ROLE_USER"}.get(user, f"ROLE_{user}"),
                "package_list": [{"package_id": package["id"], "order_id_list": [order.id]}],
                "update_time": at,
            }
            order.announce(4, data, at)
        else:
            package["status"] = "CANCELLED"
            for line in order.lines:
                if line.get("package_id") == package["id"]:
                    line["package_status"] = "CANCELLED"


def cancel_now(market: Marketplace, order: Order, by: str, reason: str, at: int, line_ids: list[str] | None = None) -> Document:
    """Cancels at once, without anybody's answer. An open request of the buyer ends with it."""
    waiting = order.open_request()
    if waiting is not None:
        move_cancellation(order, waiting, market.settings.cancelled_spelling, at)
        order.doc["is_buyer_request_cancel"] = False
    ids = line_ids or [line["id"] for line in order.lines if line["display_status"] != "CANCELLED"]
    cancellation = open_cancellation(market, order, ids, by, reason, "CANCELLATION_REQUEST_SUCCESS", at)
    cancel_lines(market, order, cancellation, at, by)
    return cancellation


def request_cancel(market: Marketplace, order: Order, reason: str, at: int, line_ids: list[str] | None = None) -> Document:
    """The buyer asks; the seller answers before the deadline, or the request is granted by itself (TTS §6.2)."""
    ids = [line["id"] for line in order.lines_in("AWAITING_SHIPMENT") if line_ids is None or line["id"] in line_ids]
    cancellation = open_cancellation(market, order, ids, "BUYER", reason, "CANCELLATION_REQUEST_PENDING", at)
    hours = market.settings.cancel_answer_hours
    deadline = at + int((rules(order).request_hours if hours is None else hours) * 3600)
    cancellation["seller_next_action_response"] = [{"action": "SELLER_RESPOND_CANCEL", "deadline": deadline}]
    cancellation["_deadline"] = deadline
    order.doc |= {"is_buyer_request_cancel": True, "request_cancel_time": at}
    order.note(at, "cancellation requested", reason)
    order.touch(at)
    return cancellation


def grant(market: Marketplace, order: Order, cancellation: Document, at: int) -> None:
    move_cancellation(order, cancellation, "CANCELLATION_REQUEST_SUCCESS", at)
    cancel_lines(market, order, cancellation, at, "BUYER")
    if order.status != "CANCELLED":
        order.doc["is_buyer_request_cancel"] = False  # a part was cancelled: nothing is asked any more


def close_request(market: Marketplace, order: Order, cancellation: Document, at: int, why: str) -> None:
    """Rejected by the seller, withdrawn by the buyer, or overtaken by the shipment."""
    move_cancellation(order, cancellation, market.settings.cancelled_spelling, at)
    order.doc["is_buyer_request_cancel"] = False
    order.note(at, "cancellation closed", why)
    order.touch(at)

"""Cancellations, from both sides (TTS §5.6.2-§5.6.4)."""

from __future__ import annotations

from typing import Any

from . import refusals as codes
from .aftersales import SCOPE, cancel_request, cancellable, checked_pictures, chosen_lines, once
from .life import cancel_lines, close_request, grant, open_cancellation, rules
from .operations import Call, Raw, operation
from .orderbook import Document, Order, load, save
from .pages import Page, joined, time_window
from .reasons import reject_reasons, seller_cancel_reasons
from .refusals import Refusal

# -- the seller cancels ---------------------------------------------------------------------------------------------------------------------


@operation("cancellations.create", "POST /return_refund/{version}/cancellations", "202602 202309", SCOPE, writes=True)
def cancel_order(call: Call) -> dict[str, Any]:
    order = load(call.market, call.field("order_id", required=True), call.shop)
    reason = call.field("cancel_reason", required=True)
    allowed = seller_cancel_reasons(order)
    if not allowed:
        raise Refusal(codes.AFTERSALE_STATUS, f"order {order.id} has the status {order.status}, which does not allow cancelling")
    if reason not in allowed:
        raise Refusal(codes.CANCEL_REASON, f"cancel_reason {reason} does not fit the order status {order.status}")
    everything = [line["id"] for line in order.lines if line["display_status"] in cancellable(order)]
    line_ids = chosen_lines(call, order, everything, "cancelled")
    if set(line_ids) != set(everything) and not rules(order).cancels_lines:
        raise Refusal(codes.AFTERSALE_STATUS, f"{order.inner['region']} orders can only be cancelled as a whole")
    request = order.open_request()
    if request is not None:
        close_request(call.market, order, request, call.now, "overtaken by the seller's cancellation")
    cancellation = open_cancellation(call.market, order, line_ids, "SELLER", reason, "CANCELLATION_REQUEST_SUCCESS", call.now)
    cancel_lines(call.market, order, cancellation, call.now, "SELLER")
    save(call.market, order)
    return {"cancel_id": cancellation["cancel_id"], "cancel_status": cancellation["cancel_status"]}


# -- search ---------------------------------------------------------------------------------------------------------------------------------


@operation("cancellations.search", "POST /return_refund/{version}/cancellations/search", "202602 202309", SCOPE)
def search_cancellations(call: Call) -> Raw:
    where, values = "shop_id = ?", (call.shop["id"],)
    columns = {"cancel_ids": "id", "order_ids": "order_id", "buyer_user_ids": "buyer_user_id", "cancel_types": "type", "cancel_status": "status"}
    for name, column in columns.items():
        if chosen := call.strings(name, most=100):
            where, values = where + f" AND {column} IN ({','.join('?' * len(chosen))})", (*values, *chosen)
    window, bounds = time_window(call, "create_time", "update_time")
    column = call.parameter("sort_field", "create_time", "update_time", default="create_time")
    descending = call.parameter("sort_order", "ASC", "DESC", default="ASC") == "DESC"
    size = call.whole("page_size", 1, 50, default=10)
    rows, token, total = Page(call, "cancellations", column, descending, size, where + window, (*values, *bounds)).fetch()
    return Raw(joined(b"cancellations", [row["doc"] for row in rows], token, total))


# -- the seller answers the buyer -------------------------------------------------------------------------------------------------------------


def _open_request(call: Call) -> tuple[Order, Document]:
    order, cancellation = cancel_request(call, call.path["cancel_id"])
    if cancellation["cancel_status"] != "CANCELLATION_REQUEST_PENDING":
        status = cancellation["cancel_status"]
        raise Refusal(codes.AFTERSALE_STATUS, f"cancellation {cancellation['cancel_id']} has the status {status} and waits for no answer")
    return order, cancellation


@operation("cancellations.approve", "POST /return_refund/{version}/cancellations/{cancel_id}/approve", "202309", SCOPE, writes=True)
def approve(call: Call) -> dict[str, Any]:
    def work() -> Document:
        order, cancellation = _open_request(call)
        grant(call.market, order, cancellation, call.now)
        save(call.market, order)
        return {}

    return once(call, f"approve{call.path['cancel_id']}", work)


@operation("cancellations.reject", "POST /return_refund/{version}/cancellations/{cancel_id}/reject", "202309", SCOPE, writes=True)
def reject(call: Call) -> dict[str, Any]:
    reason, comment = call.field("reject_reason", required=True), call.field("comment") or ""
    pictures = checked_pictures(call)

    def work() -> Document:
        order, cancellation = _open_request(call)
        if reason not in [each["name"] for each in reject_reasons(order)]:
            raise Refusal(codes.CANCEL_REASON, f"reject_reason {reason} is not available for cancellation {cancellation['cancel_id']}")
        cancellation |= {"_reject_reason": reason, "_comment": comment, "_pictures": pictures}
        close_request(call.market, order, cancellation, call.now, f"rejected by the seller: {reason} {comment}".rstrip())
        save(call.market, order)
        return {}

    return once(call, f"reject{call.path['cancel_id']}", work)

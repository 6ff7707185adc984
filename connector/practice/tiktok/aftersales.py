"""Cancelling, from both sides, and the search for returns (TTS §5.6)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from . import refusals as codes
from .life import cancel_lines, close_request, grant, open_cancellation, rules
from .operations import Call, Raw, operation
from .orderbook import Document, Order, load, load_by_cancellation, save
from .pages import Page, joined, time_window
from .reasons import buyer_cancel_reasons, reject_reasons, seller_cancel_reasons
from .refusals import Refusal

SCOPE = "seller.return_refund.basic"
REQUEST_TYPES = ("CANCEL", "REFUND", "RETURN_AND_REFUND")
UNSHIPPED = ("UNPAID", "AWAITING_SHIPMENT")


# -- eligibility ----------------------------------------------------------------------------------------------------------------------------


@operation("aftersales.eligibility", "GET /return_refund/{version}/orders/{order_id}/aftersale_eligibility", "202602 202512 202309", SCOPE)
def eligibility(call: Call) -> dict[str, Any]:
    order = load(call.market, call.path["order_id"], call.shop)
    user = call.parameter("initiate_aftersale_user", "SELLER", "BUYER", default="SELLER")
    wanted = REQUEST_TYPES
    if call.version != "202309" and call.query.get("request_types"):
        wanted = tuple(call.query["request_types"].split(","))
        if unknown := set(wanted) - set(REQUEST_TYPES):
            raise Refusal(codes.BAD_REQUEST, f"param request_types is invalid: {', '.join(sorted(unknown))}")
    by_sku: dict[str, list[Document]] = defaultdict(list)
    for line in order.lines:
        by_sku[line["sku_id"]].append(line)
    return {
        "sku_eligibility": [
            {"sku_id": sku_id, "line_item_eligibility": [_line_eligibility(call, order, lines, kind, user) for kind in wanted]}
            for sku_id, lines in by_sku.items()
        ]
    }


def _line_eligibility(call: Call, order: Order, lines: list[Document], kind: str, user: str) -> Document:
    reasons: list[str] = []
    if kind == "CANCEL":
        reasons = seller_cancel_reasons(order) if user == "SELLER" else buyer_cancel_reasons(order)
        lines = [line for line in lines if line["display_status"] in cancellable(order)]
    eligible = bool(reasons) and bool(lines)
    why = "" if eligible else f"The order status {order.status} does not allow this request"
    answer = {
        "request_type": kind,
        "eligible": eligible,
        "ineligible_code": 0 if eligible else codes.AFTERSALE_STATUS,
        "ineligible_reason": why,
        "order_line_items_ids": [line["id"] for line in lines],  # the API's own spelling
    }
    if call.version != "202309":
        answer["available_reason_names"] = reasons if eligible else []
        answer["order_line_list"] = [{"order_line_item_id": line["id"], "sub_order_line_item_id": ""} for line in lines]
    return answer


def cancellable(order: Order) -> tuple[str, ...]:
    return (*UNSHIPPED, "AWAITING_COLLECTION") if order.status == "AWAITING_COLLECTION" else UNSHIPPED


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
    line_ids = _chosen_lines(call, order)
    everything = [line["id"] for line in order.lines if line["display_status"] in cancellable(order)]
    if set(line_ids) != set(everything) and not rules(order).cancels_lines:
        raise Refusal(codes.AFTERSALE_STATUS, f"{order.inner['region']} orders can only be cancelled as a whole")
    request = order.open_request()
    if request is not None:
        close_request(call.market, order, request, call.now, "overtaken by the seller's cancellation")
    cancellation = open_cancellation(call.market, order, line_ids, "SELLER", reason, "CANCELLATION_REQUEST_SUCCESS", call.now)
    cancel_lines(call.market, order, cancellation, call.now, "SELLER")
    save(call.market, order)
    return {"cancel_id": cancellation["cancel_id"], "cancel_status": cancellation["cancel_status"]}


def _chosen_lines(call: Call, order: Order) -> list[str]:
    """Line ids out of at most one of `skus`, `order_line_list`, `order_line_item_ids`; all that can be cancelled when none is given."""
    open_lines = [line for line in order.lines if line["display_status"] in cancellable(order)]
    given = [name for name in ("skus", "order_line_list", "order_line_item_ids") if call.field(name, list)]
    if len(given) > 1:
        raise Refusal(codes.BAD_PARAMETER, f"only one of {', '.join(given)} may be given")
    if not given:
        if not open_lines:
            raise Refusal(codes.AFTERSALE_STATUS, f"order {order.id} has no line that can be cancelled")
        return [line["id"] for line in open_lines]
    if given == ["skus"]:
        chosen: list[str] = []
        for entry in call.objects("skus"):
            sku_id, quantity = call.field("sku_id", required=True, inside=entry), call.field("quantity", int, required=True, inside=entry)
            matching = [line["id"] for line in open_lines if line["sku_id"] == sku_id]
            if not 0 < quantity <= len(matching):
                raise Refusal(codes.BAD_PARAMETER, f"quantity {quantity} of sku {sku_id} cannot be cancelled: {len(matching)} are open")
            chosen += matching[:quantity]
        return chosen
    if given == ["order_line_list"]:
        ids = [call.field("order_line_item_id", required=True, inside=entry) for entry in call.objects("order_line_list")]
    else:
        ids = call.strings("order_line_item_ids")
    for line_id in ids:
        if line_id not in [line["id"] for line in open_lines]:
            raise Refusal(codes.AFTERSALE_STATUS, f"order line {line_id} cannot be cancelled")
    return list(dict.fromkeys(ids))


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


@operation("returns.search", "POST /return_refund/{version}/returns/search", "202602 202309", SCOPE)
def search_returns(call: Call) -> dict[str, Any]:
    """`return_orders` is missing when there is none (TTS §3.1)."""
    call.whole("page_size", 10, 50, default=10)
    time_window(call, "create_time", "update_time")
    return {"total_count": 0, "next_page_token": ""}


# -- the seller answers the buyer -------------------------------------------------------------------------------------------------------------


def _request_of(call: Call, cancel_id: str) -> tuple[Order, Document]:
    order = load_by_cancellation(call.market, cancel_id, call.shop)
    if order is None:
        raise Refusal(codes.BAD_PARAMETER, f"cancellation {cancel_id} does not exist")
    return order, order.cancellations[cancel_id]


def _once(call: Call, name: str) -> bool:
    """False when this idempotency key was used before: then the earlier answer stands and nothing is done again."""
    key = call.query.get("idempotency_key")
    if not key:
        return True
    if len(key) > 255:
        raise Refusal(codes.BAD_REQUEST, "param idempotency_key is invalid: at most 255 characters")
    with call.market.store.write() as db:
        return db.execute("INSERT OR IGNORE INTO idempotency VALUES (?, ?, ?, ?)", (call.shop["id"], name + call.path["cancel_id"], key, b"{}")).rowcount == 1


def _open_request(call: Call) -> tuple[Order, Document]:
    order, cancellation = _request_of(call, call.path["cancel_id"])
    if cancellation["cancel_status"] != "CANCELLATION_REQUEST_PENDING":
        status = cancellation["cancel_status"]
        raise Refusal(codes.AFTERSALE_STATUS, f"cancellation {cancellation['cancel_id']} has the status {status} and waits for no answer")
    return order, cancellation


@operation("cancellations.approve", "POST /return_refund/{version}/cancellations/{cancel_id}/approve", "202309", SCOPE, writes=True)
def approve(call: Call) -> dict[str, Any]:
    if _once(call, "approve"):
        order, cancellation = _open_request(call)
        grant(call.market, order, cancellation, call.now)
        save(call.market, order)
    return {}


@operation("cancellations.reject", "POST /return_refund/{version}/cancellations/{cancel_id}/reject", "202309", SCOPE, writes=True)
def reject(call: Call) -> dict[str, Any]:
    reason = call.field("reject_reason", required=True)
    if _once(call, "reject"):
        order, cancellation = _open_request(call)
        if reason not in [each["name"] for each in reject_reasons(order)]:
            raise Refusal(codes.CANCEL_REASON, f"reject_reason {reason} is not available for cancellation {cancellation['cancel_id']}")
        cancellation["_reject_reason"] = reason
        close_request(call.market, order, cancellation, call.now, f"rejected by the seller: {reason}")
        save(call.market, order)
    return {}


@operation("aftersales.reject_reasons", "GET /return_refund/{version}/reject_reasons", "202309", SCOPE)
def list_reject_reasons(call: Call) -> dict[str, Any]:
    order, _ = _request_of(call, call.parameter("return_or_cancel_id"))
    return {"reasons": reject_reasons(order)}


@operation("aftersales.decision_eligibility", "GET /return_refund/{version}/decision_eligibility", "202601", SCOPE)
def decision_eligibility(call: Call) -> dict[str, Any]:
    order, cancellation = _request_of(call, call.parameter("return_or_cancel_id"))
    asked = tuple(filter(None, call.query.get("check_decisions", "").split(","))) or ("APPROVE_REQUEST_CANCEL", "REJECT_REQUEST_CANCEL")
    pending = cancellation["cancel_status"] == "CANCELLATION_REQUEST_PENDING"
    decisions = []
    for decision in asked:
        eligible = pending and decision in ("APPROVE_REQUEST_CANCEL", "REJECT_REQUEST_CANCEL")
        decisions.append(
            {
                "decision": decision,
                "eligible": eligible,
                "ineligible_code": 0 if eligible else codes.AFTERSALE_STATUS,
                "ineligible_reason": "" if eligible else f"The cancellation has the status {cancellation['cancel_status']}",
                "available_reject_reasons": reject_reasons(order) if eligible and decision == "REJECT_REQUEST_CANCEL" else [],
            }
        )
    return {"decisions": decisions}

"""What may be asked of an order or a request, and what it would cost: eligibility, decisions, reasons, refunds (TTS §5.6.1, §5.6.4, §5.6.7)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import orjson

from . import refusals as codes
from .operations import Call, operation
from .orderbook import Document, Order, load, load_by_cancellation, load_by_return
from .reasons import buyer_cancel_reasons, reject_reasons, return_reasons, return_reject_reasons, seller_cancel_reasons
from .refusals import Refusal
from .returns_decisions import DECISIONS, possible, refuses
from .returns_life import amount_of, returnable
from .uploads import picture_row

SCOPE = "seller.return_refund.basic"
REQUEST_TYPES = ("CANCEL", "REFUND", "RETURN_AND_REFUND")
UNSHIPPED = ("UNPAID", "AWAITING_SHIPMENT")
CANCEL_DECISIONS = ("APPROVE_REQUEST_CANCEL", "REJECT_REQUEST_CANCEL")


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
    open_lines, reasons = request_terms(order, kind, user)
    chosen = [line["id"] for line in lines if line["id"] in open_lines]
    eligible = bool(reasons) and bool(chosen)
    answer = {
        "request_type": kind,
        "eligible": eligible,
        "ineligible_code": 0 if eligible else codes.AFTERSALE_STATUS,
        "ineligible_reason": "" if eligible else f"The order status {order.status} does not allow this request",
        "order_line_items_ids": chosen,  # the API's own spelling
    }
    if call.version != "202309":
        answer["available_reason_names"] = reasons if eligible else []
        answer["order_line_list"] = [{"order_line_item_id": line_id, "sub_order_line_item_id": ""} for line_id in chosen]
    return answer


def request_terms(order: Order, kind: str, user: str) -> tuple[list[str], list[str]]:
    """Line ids and reason names for a request of this kind, now."""
    if kind == "CANCEL":
        reasons = seller_cancel_reasons(order) if user == "SELLER" else buyer_cancel_reasons(order)
        return [line["id"] for line in order.lines if line["display_status"] in cancellable(order)], reasons
    return [line["id"] for line in returnable(order, kind, user)], return_reasons(kind, user)


def cancellable(order: Order) -> tuple[str, ...]:
    return (*UNSHIPPED, "AWAITING_COLLECTION") if order.status == "AWAITING_COLLECTION" else UNSHIPPED


def chosen_lines(call: Call, order: Order, open_lines: list[str], verb: str) -> list[str]:
    """Line ids out of at most one of `skus`, `order_line_list`, `order_line_item_ids`; all open ones when none is given."""
    given = [name for name in ("skus", "order_line_list", "order_line_item_ids") if call.field(name, list)]
    if len(given) > 1:
        raise Refusal(codes.BAD_PARAMETER, f"only one of {', '.join(given)} may be given")
    if not given:
        if not open_lines:
            raise Refusal(codes.AFTERSALE_STATUS, f"order {order.id} has no line that can be {verb}")
        return open_lines
    if given == ["skus"]:
        chosen: list[str] = []
        for entry in call.objects("skus"):
            sku_id, quantity = call.field("sku_id", required=True, inside=entry), call.field("quantity", int, required=True, inside=entry)
            matching = [line["id"] for line in order.lines if line["id"] in open_lines and line["sku_id"] == sku_id]
            if not 0 < quantity <= len(matching):
                raise Refusal(codes.BAD_PARAMETER, f"quantity {quantity} of sku {sku_id} cannot be {verb}: {len(matching)} are open")
            chosen += matching[:quantity]
        return list(dict.fromkeys(chosen))
    if given == ["order_line_list"]:
        ids = [call.field("order_line_item_id", required=True, inside=entry) for entry in call.objects("order_line_list")]
    else:
        ids = call.strings("order_line_item_ids")
    for line_id in ids:
        if line_id not in open_lines:
            raise Refusal(codes.AFTERSALE_STATUS, f"order line {line_id} cannot be {verb}")
    return list(dict.fromkeys(ids))


def checked_pictures(call: Call, most: int | None = None) -> list[str]:
    """The `images` of a body: uris of pictures that were uploaded before (TTS §5.6.4, §5.6.6)."""
    uris = [call.field("image_id", required=True, inside=entry) for entry in call.objects("images", most=most)]
    for uri in uris:
        if picture_row(call.market, uri) is None:
            raise Refusal(codes.BAD_PARAMETER, f"image_id {uri} is not an uploaded picture")
    return uris


def once(call: Call, name: str, work: Callable[[], Document]) -> Document:
    """Does the work, or gives the answer of the first time when this idempotency key was used before (TTS §3.6)."""
    key = call.query.get("idempotency_key")
    if not key:
        return work()
    if len(key) > 255:
        raise Refusal(codes.BAD_REQUEST, "param idempotency_key is invalid: at most 255 characters")
    with call.market.store.write() as db:
        told = db.execute("SELECT answer FROM idempotency WHERE shop_id = ? AND operation = ? AND key = ?", (call.shop["id"], name, key)).fetchone()
        if told is not None:
            return orjson.loads(told["answer"])
        answer = work()
        db.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?)", (call.shop["id"], name, key, orjson.dumps(answer)))
        return answer


# -- a request ------------------------------------------------------------------------------------------------------------------------------


def cancel_request(call: Call, cancel_id: str) -> tuple[Order, Document]:
    order = load_by_cancellation(call.market, cancel_id, call.shop)
    if order is None:
        raise Refusal(codes.BAD_PARAMETER, f"cancellation {cancel_id} does not exist")
    return order, order.cancellations[cancel_id]


def return_request(call: Call, return_id: str) -> tuple[Order, Document]:
    order = load_by_return(call.market, return_id, call.shop)
    if order is None:
        raise Refusal(codes.BAD_PARAMETER, f"return {return_id} does not exist")
    return order, order.returns[return_id]


@operation("aftersales.reject_reasons", "GET /return_refund/{version}/reject_reasons", "202309", SCOPE)
def list_reject_reasons(call: Call) -> dict[str, Any]:
    request_id = call.parameter("return_or_cancel_id")
    if load_by_return(call.market, request_id, call.shop) is not None:
        return {"reasons": return_reject_reasons(*return_request(call, request_id))}
    return {"reasons": reject_reasons(cancel_request(call, request_id)[0])}


@operation("aftersales.decision_eligibility", "GET /return_refund/{version}/decision_eligibility", "202601", SCOPE)
def decision_eligibility(call: Call) -> dict[str, Any]:
    request_id = call.parameter("return_or_cancel_id")
    known = (*CANCEL_DECISIONS, *DECISIONS)
    asked = tuple(filter(None, call.query.get("check_decisions", "").split(",")))
    if unknown := set(asked) - set(known):
        raise Refusal(codes.BAD_REQUEST, f"param check_decisions is invalid: {', '.join(sorted(unknown))}")
    if load_by_return(call.market, request_id, call.shop) is not None:
        order, document = return_request(call, request_id)
        allowed, what, status, reasons = possible(document), "return", document["return_status"], return_reject_reasons(order, document)
        asked = asked or DECISIONS
    else:
        order, document = cancel_request(call, request_id)
        what, status, reasons = "cancellation", document["cancel_status"], reject_reasons(order)
        allowed = CANCEL_DECISIONS if status == "CANCELLATION_REQUEST_PENDING" else ()
        asked = asked or CANCEL_DECISIONS
    return {
        "decisions": [
            {
                "decision": decision,
                "eligible": decision in allowed,
                "ineligible_code": 0 if decision in allowed else codes.AFTERSALE_STATUS,
                "ineligible_reason": "" if decision in allowed else f"The {what} has the status {status}",
                "available_reject_reasons": reasons if decision in allowed and refuses(decision) else [],
            }
            for decision in asked
        ]
    }


@operation("aftersales.calculate_refund", "POST /return_refund/{version}/refunds/calculate", "202602 202309", SCOPE)
def calculate_refund(call: Call) -> dict[str, Any]:
    """What a request of the seller would refund; changes nothing (TTS §5.6.7)."""
    order = load(call.market, call.field("order_id", required=True), call.shop)
    kind, reason = call.field("request_type", required=True), call.field("reason_name", required=True)
    if kind not in REQUEST_TYPES:
        raise Refusal(codes.BAD_REQUEST, f"param body.request_type is invalid: {kind} is not one of {', '.join(REQUEST_TYPES)}")
    open_lines, reasons = request_terms(order, kind, "SELLER")
    if not open_lines or not reasons:
        raise Refusal(codes.AFTERSALE_STATUS, f"order {order.id} has the status {order.status}, which does not allow this request")
    if reason not in reasons:
        raise Refusal(codes.CANCEL_REASON, f"reason_name {reason} does not fit the order status {order.status}")
    chosen = chosen_lines(call, order, open_lines, "refunded")
    lines = [line for line in order.lines if line["id"] in chosen]
    return {"order_refund_amount": amount_of(order, lines if "paid_time" in order.doc else [])}

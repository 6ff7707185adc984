"""Returns as the seller's app sees them: search, records, creating, answering (TTS §5.6.5-§5.6.7)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from flask import request

from . import refusals as codes
from .aftersales import SCOPE, checked_pictures, chosen_lines, once, request_terms, return_request
from .operations import Call, Raw, operation
from .orderbook import Document, Order, load, save
from .pages import Page, joined, time_window
from .reasons import return_reject_reasons
from .refusals import Refusal
from .returns_decisions import DECISIONS, OFFER, OFFER_LATER, possible, refuses
from .returns_life import (
    APPEALABLE,
    AWAITING_SHIP,
    EXCHANGE,
    PENDING,
    REFUSED_PACKAGE,
    REJECTED,
    REPLACEMENT,
    SUCCESS,
    Request,
    amount_of,
    approve,
    move,
    offer,
    open_return,
)
from .uploads import address, picture_row

FILTERS = {
    "return_ids": "id",
    "order_ids": "order_id",
    "buyer_user_ids": "buyer_user_id",
    "return_types": "type",
    "return_status": "status",
    "arbitration_status": "arbitration",
    "seller_proposed_return_type": "proposed",
}
COMMENT, PICTURES = 500, 6


@operation("returns.search", "POST /return_refund/{version}/returns/search", "202602 202309", SCOPE)
def search_returns(call: Call) -> Raw | dict[str, Any]:
    """`return_orders` is missing when there is none (TTS §3.1)."""
    where, values = "shop_id = ?", (call.shop["id"],)
    for name, column in FILTERS.items():
        if chosen := call.strings(name, most=100):
            where, values = where + f" AND {column} IN ({','.join('?' * len(chosen))})", (*values, *chosen)
    window, bounds = time_window(call, "create_time", "update_time")
    column = call.parameter("sort_field", "create_time", "update_time", default="create_time")
    descending = call.parameter("sort_order", "ASC", "DESC", default="ASC") == "DESC"
    size = call.whole("page_size", 10, 50, default=10)
    rows, token, total = Page(call, "returns", column, descending, size, where + window, (*values, *bounds)).fetch()
    if not rows:
        return {"total_count": total, "next_page_token": ""}
    return Raw(joined(b"return_orders", [row["doc"] for row in rows], token, total))


@operation("returns.records", "GET /return_refund/{version}/returns/{return_id}/records", "202309", SCOPE)
def records(call: Call) -> dict[str, Any]:
    """Everything that was said and done, oldest first, with the pictures of both sides."""
    _, document = return_request(call, call.path["return_id"])
    return {"records": [_record(call, each) for each in document["_records"]]}


def _record(call: Call, entry: Document) -> Document:
    rows = [picture_row(call.market, uri) for uri in entry["_pictures"]]
    images = [{"url": address(call.root, row["uri"]), "width": row["width"], "height": row["height"]} for row in rows if row is not None]
    return {**{name: value for name, value in entry.items() if name != "_pictures"}, "images": images, "videos": []}


# -- the seller creates a return ------------------------------------------------------------------------------------------------------------


@operation("returns.create", "POST /return_refund/{version}/returns", "202602 202309", SCOPE, writes=True)
def create_return(call: Call) -> dict[str, Any]:
    """The seller's own refund or return; granted at once, because nobody is left to ask."""
    order_id, kind, reason = (call.field(name, required=True) for name in ("order_id", "return_type", "return_reason"))

    def work() -> Document:
        order = load(call.market, order_id, call.shop)
        if kind not in ("REFUND", "RETURN_AND_REFUND"):
            raise Refusal(codes.BAD_REQUEST, f"param body.return_type is invalid: {kind} is not one of REFUND, RETURN_AND_REFUND")
        open_lines, reasons = request_terms(order, kind, "SELLER")
        if not open_lines:
            raise Refusal(codes.AFTERSALE_STATUS, f"order {order.id} has the status {order.status}, which does not allow a {kind} of the seller")
        if reason not in reasons:
            raise Refusal(codes.CANCEL_REASON, f"return_reason {reason} is not available for order {order.id}")
        chosen = chosen_lines(call, order, open_lines, "returned")
        lines = [line for line in order.lines if line["id"] in chosen]
        most = Decimal(amount_of(order, lines)["refund_total"])
        amount = checked_amount(call, call.field("refund_total"), call.field("currency"), order, most, "refund_total")
        shipment, handover = call.field("shipment_type") or "PLATFORM", call.field("handover_method") or "DROP_OFF"
        if shipment not in ("PLATFORM", "BUYER_ARRANGE") or handover not in ("DROP_OFF", "PICKUP"):
            raise Refusal(codes.BAD_PARAMETER, f"shipment_type {shipment} or handover_method {handover} is invalid")
        document = open_return(call.market, order, Request(kind, "SELLER", reason, lines, amount, "", [], shipment, handover), call.now)
        save(call.market, order)
        return {"return_id": document["return_id"], "return_status": document["return_status"]}

    return once(call, f"return{order_id}", work)


def checked_amount(call: Call, text: Any, currency: Any, order: Order, most: Decimal, name: str) -> Decimal | None:
    """An amount of the body, None when there is none. Raises Refusal when it is no money, too much or in another currency."""
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise Refusal(codes.BAD_PARAMETER, f"{name} {text} is not an amount") from None
    if currency != order.doc["payment"]["currency"]:
        raise Refusal(codes.BAD_PARAMETER, f"currency {currency} is not the currency of order {order.id}")
    if not amount.is_finite() or not 0 < amount <= most or amount != round(amount, 2):
        raise Refusal(codes.BAD_PARAMETER, f"{name} {text} is not between 0.01 and {most}")
    return amount


# -- the seller answers ---------------------------------------------------------------------------------------------------------------------


def _decision(call: Call, *, refusing: bool) -> str:
    decision = call.field("decision", required=True)
    if decision not in (*DECISIONS, OFFER, OFFER_LATER) or refuses(decision) != refusing:
        raise Refusal(codes.BAD_REQUEST, f"param body.decision is invalid: {decision}")
    return decision


def _open_for(call: Call, decision: str) -> tuple[Order, Document]:
    order, document = return_request(call, call.path["return_id"])
    if decision not in possible(document):
        status = document["return_status"]
        raise Refusal(codes.AFTERSALE_STATUS, f"return {document['return_id']} has the status {status}, which does not allow {decision}")
    return order, document


def _offered(call: Call, order: Order, document: Document, holder: str, name: str) -> Decimal:
    part = call.field(holder, dict, required=True)
    most = Decimal(document["refund_amount"]["refund_total"])
    amount = checked_amount(call, call.field(name, required=True, inside=part), call.field("currency", inside=part), order, most, f"{holder}.{name}")
    assert amount is not None
    return amount


@operation("returns.approve", "POST /return_refund/{version}/returns/{return_id}/approve", "202309", SCOPE, writes=True)
def approve_return(call: Call) -> dict[str, Any]:
    decision = _decision(call, refusing=False)
    keep = call.field("buyer_keep_item", bool)
    if keep and decision != "APPROVE_RETURN":
        raise Refusal(codes.BAD_PARAMETER, "buyer_keep_item goes with APPROVE_RETURN only")
    if call.field("partial_refund", dict) and decision != OFFER:
        raise Refusal(codes.BAD_PARAMETER, f"partial_refund goes with {OFFER} only")

    def work() -> Document:
        order, document = _open_for(call, decision)
        if decision == OFFER:
            offer(call.market, order, document, _offered(call, order, document, "partial_refund", "amount"), call.now)
        elif decision == "ISSUE_REPLACEMENT_REFUND":
            move(call.market, order, document, REPLACEMENT + "REFUND_SUCCESS", call.now, "SELLER", "The seller refunds instead of replacing")
        elif decision == "ISSUE_EXCHANGE_REFUND":
            move(call.market, order, document, EXCHANGE + "REFUND_SUCCESS", call.now, "SELLER", "The seller refunds instead of exchanging")
        elif decision == "DIRECT_REFUND" or keep:
            document["can_buyer_keep_item"] = True
            move(call.market, order, document, SUCCESS, call.now, "SELLER", "The seller refunds; the buyer keeps the goods")
        else:
            approve(call.market, order, document, call.now)
        save(call.market, order)
        return {}

    return once(call, f"approve_return{call.path['return_id']}", work)


@operation("returns.reject", "POST /return_refund/{version}/returns/{return_id}/reject", "202606 202309", SCOPE, writes=True)
def reject_return(call: Call) -> dict[str, Any]:
    decision = _decision(call, refusing=True)
    partial = decision == OFFER_LATER
    if partial and call.version == "202309":
        raise Refusal(codes.BAD_REQUEST, f"param body.decision is invalid: {decision}")
    reason, comment = call.field("reject_reason", required=True), call.field("comment") or ""
    if partial and len(comment) > COMMENT:
        raise Refusal(codes.BAD_PARAMETER, f"comment is too long: at most {COMMENT} characters")
    pictures = checked_pictures(call, PICTURES if partial else None)

    def work() -> Document:
        order, document = _open_for(call, decision)
        reasons = {each["name"]: each["text"] for each in return_reject_reasons(order, document)}
        if reason not in reasons:
            raise Refusal(codes.CANCEL_REASON, f"reject_reason {reason} is not available for return {document['return_id']}")
        said: dict[str, Any] = {"reason": reasons[reason], "note": comment, "pictures": pictures}
        if partial:
            offer(call.market, order, document, _offered(call, order, document, "partial_refund_amount", "partial_refund_total"), call.now, **said)
        else:
            after = {"REJECT_RECEIVED_PACKAGE": REFUSED_PACKAGE, "REJECT_REPLACEMENT": REPLACEMENT + "REJECT"}.get(decision, REJECTED)
            move(call.market, order, document, after, call.now, "SELLER", "The seller refused", **said)
        save(call.market, order)
        return {}

    return once(call, f"reject_return{call.path['return_id']}", work)


@operation("returns.shipping_documents", "POST /return_refund/{version}/returns/shipping_documents", "202405", SCOPE, writes=True)
def return_label(call: Call) -> dict[str, Any]:
    """The seller's own label or QR code for returns that wait to be sent (multipart)."""
    return_ids = call.parameter("return_ids").split(",")
    files = [name for name in ("return_shipping_label", "return_qr_code") if request.files.get(name)]
    tracking, provider = request.form.get("tracking_number", ""), request.form.get("return_provider_id", "")
    if not files:
        raise Refusal(codes.BAD_REQUEST, "param return_shipping_label is missing: a file part")
    for return_id in return_ids:
        order, document = return_request(call, return_id)
        if document["return_status"] not in (PENDING, AWAITING_SHIP, *APPEALABLE):
            raise Refusal(codes.AFTERSALE_STATUS, f"return {return_id} has the status {document['return_status']} and needs no label")
        document |= {"return_shipping_document_type": "SHIPPING_LABEL" if files[0] == "return_shipping_label" else "QR_CODE", "return_method": "SELLER_SHIPPED"}
        document |= {name: value for name, value in (("return_tracking_number", tracking), ("return_provider_id", provider)) if value}
        document["update_time"] = call.now
        save(call.market, order)
    return {}

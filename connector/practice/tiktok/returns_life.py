"""The life of a return (TTS §5.6.5-§5.6.8, §6.6): every transition, and the calendar that lets them happen when they are due.

A return belongs to its order and is saved with it. Keys that begin with `_` never leave the marketplace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .generator import spread
from .markets import stable_id
from .orderbook import Document, Order
from .replacements import replace_order

if TYPE_CHECKING:
    from .marketplace import Marketplace

TYPES = ("REFUND", "RETURN_AND_REFUND", "REPLACEMENT", "EXCHANGE")
PENDING, REJECTED = "RETURN_OR_REFUND_REQUEST_PENDING", "REFUND_OR_RETURN_REQUEST_REJECT"
AWAITING_SHIP, SHIPPED, REFUSED_PACKAGE = "AWAITING_BUYER_SHIP", "BUYER_SHIPPED_ITEM", "REJECT_RECEIVE_PACKAGE"
AWAITING_ANSWER = "AWAITING_BUYER_RESPONSE"
SUCCESS, COMPLETE, CANCELLED = "RETURN_OR_REFUND_REQUEST_SUCCESS", "RETURN_OR_REFUND_REQUEST_COMPLETE", "RETURN_OR_REFUND_REQUEST_CANCEL"
REPLACEMENT, EXCHANGE = "REPLACEMENT_REQUEST_", "EXCHANGE_REQUEST_"
FINAL = (COMPLETE, CANCELLED, *(family + end for family in (REPLACEMENT, EXCHANGE) for end in ("CANCEL", "COMPLETE")))
STATUSES = (
    *(PENDING, REJECTED, AWAITING_SHIP, SHIPPED, REFUSED_PACKAGE, AWAITING_ANSWER, SUCCESS, COMPLETE, CANCELLED),
    *(REPLACEMENT + end for end in ("PENDING", "REJECT", "REFUND_SUCCESS", "CANCEL", "COMPLETE")),
    *(EXCHANGE + end for end in ("PENDING", "REFUND_SUCCESS", "CANCEL", "COMPLETE")),
)
APPEALABLE = (REJECTED, REFUSED_PACKAGE, REPLACEMENT + "REJECT")
GRANTED = (SUCCESS, REPLACEMENT + "REFUND_SUCCESS", EXCHANGE + "REFUND_SUCCESS")
OUTCOMES = ("SUPPORT_BUYER", "SUPPORT_SELLER", "CLOSED")
ANSWERS = {
    ("REFUND", PENDING): "SELLER_RESPOND_REFUND",
    ("RETURN_AND_REFUND", PENDING): "SELLER_RESPOND_RETURN",
    ("RETURN_AND_REFUND", SHIPPED): "SELLER_RESPOND_RECEIVE_PACKAGE",
    ("REPLACEMENT", REPLACEMENT + "PENDING"): "SELLER_RESPOND_REPLACEMENT",
}
# who may ask for what, by the status of the line (TTS §6.6); "market" in the contract is read as: not in Singapore
_GOING, _GONE = ("AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED"), ("DELIVERED",)
RIGHTS: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {
    ("BUYER", "REFUND"): {"GB": _GOING, "US": _GOING, "SG": _GONE},
    ("BUYER", "RETURN_AND_REFUND"): {"GB": _GONE, "US": _GONE, "SG": _GONE},
    ("BUYER", "REPLACEMENT"): {"GB": _GONE, "US": _GONE},
    ("BUYER", "EXCHANGE"): {"GB": _GONE, "US": _GONE},
    ("SELLER", "REFUND"): {"GB": _GONE, "US": ("IN_TRANSIT", "DELIVERED")},
    ("SELLER", "RETURN_AND_REFUND"): {"US": ("IN_TRANSIT", "DELIVERED")},
}


@dataclass
class Request:
    """What somebody asks for. `amount` None means everything that can be refunded; `pictures` are uris of uploaded pictures."""

    kind: str
    role: str
    reason: str
    lines: Sequence[Document]
    amount: Decimal | None = None
    note: str = ""
    pictures: list[str] = field(default_factory=list)
    shipment_type: str = "PLATFORM"
    handover_method: str = "DROP_OFF"
    quick_refund: bool = False


def returnable(order: Order, kind: str, user: str) -> list[Document]:
    """The lines that `user` may ask `kind` for now: of a fitting status, without an open return, not refunded yet."""
    allowed = RIGHTS.get((user, kind), {}).get(order.inner["region"], ())
    if order.status in ("COMPLETED", "CANCELLED"):
        return []
    busy = {each["order_line_item_id"] for one in order.returns.values() if one["return_status"] not in FINAL for each in one["return_line_items"]}
    return [line for line in order.lines if line["display_status"] in allowed and line["id"] not in busy and refundable(order, line) > 0]


def line_total(line: Document) -> Decimal:
    return Decimal(line["sale_price"]) + sum((Decimal(each["tax_amount"]) for each in line.get("item_tax", [])), Decimal())


def refundable(order: Order, line: Document) -> Decimal:
    return line_total(line) - Decimal(order.inner.get("refunded", {}).get(line["id"], "0"))


def amount_of(order: Order, lines: Sequence[Document], amount: Decimal | None = None) -> Document:
    """The refund of lines (TTS §5.6.7): shipping goes back when nothing of the order stays. `amount` asks for less than that."""
    from .life import refund_amount

    untouched = not order.inner.get("refunded")
    whole = untouched and {line["id"] for line in lines} == {line["id"] for line in order.lines if line["display_status"] != "CANCELLED"}
    full = refund_amount(order, list(lines), with_shipping=whole)
    if not untouched:
        full["refund_total"] = full["refund_subtotal"] = f"{sum((refundable(order, line) for line in lines), Decimal()):.2f}"
        full["refund_tax"] = "0.00"
    if amount is None or amount == Decimal(full["refund_total"]):
        return full
    return {"currency": full["currency"], "refund_total": f"{amount:.2f}", "refund_subtotal": f"{amount:.2f}"} | dict.fromkeys(
        ("refund_shipping_fee", "refund_tax", "retail_delivery_fee"), "0.00"
    )


# -- transitions --------------------------------------------------------------------------------------------------------------------------


def open_return(market: Marketplace, order: Order, request: Request, at: int) -> Document:
    """A new return. The buyer's waits for the seller; the seller's own, and the platform's, is granted at once (TTS §5.6.7, §6.6)."""
    return_id = market.ids("return")[0]
    payment = order.doc["payment"]
    family = {"REPLACEMENT": REPLACEMENT, "EXCHANGE": EXCHANGE}.get(request.kind, "RETURN_OR_REFUND_REQUEST_")
    document: Document = {
        "return_id": return_id,
        "order_id": order.id,
        "return_type": request.kind,
        "return_status": family + "PENDING",
        "role": request.role,
        "return_reason": request.reason,
        "return_reason_text": request.reason.removesuffix("_seller").rsplit("reason_", 1)[-1].replace("_", " ").capitalize(),
        "discount_amount": [
            {
                "currency": payment["currency"],
                **{
                    f"product_{who}_discount": f"{sum((Decimal(line[f'{who}_discount']) for line in request.lines), Decimal()):.2f}"
                    for who in ("seller", "platform")
                },
                **{f"shipping_fee_{who}_discount": payment[f"shipping_fee_{who}_discount"] for who in ("seller", "platform")},
            }
        ],
        "return_line_items": [
            {
                "return_line_item_id": f"{return_id[:-4]}{number:04d}",
                "order_line_item_id": line["id"],
                **{name: line[name] for name in ("sku_id", "seller_sku", "sku_name", "product_name")},
                "product_image": line["sku_image"],
            }
            for number, line in enumerate(request.lines, 1)
        ],
        "can_buyer_keep_item": False,
        "is_combined_return": False,
        "is_quick_refund": request.quick_refund,
        "create_time": at,
        "update_time": at,
        "_records": [],
    }
    if request.kind in ("RETURN_AND_REFUND", "REPLACEMENT", "EXCHANGE"):
        fee = {f"{who}_paid_return_shipping_fee": "0.00" for who in ("seller", "platform", "buyer")}
        by_platform = request.shipment_type == "PLATFORM"
        document |= {
            "shipment_type": request.shipment_type,
            "handover_method": request.handover_method,
            "return_method": "PLATFORM_SHIPPED" if by_platform else "BUYER_SHIPPED",
            "return_warehouse_address": {"full_address": market.shops[order.inner["shop_id"]]["warehouses"][-1]["address"]["full_address"]},
            "shipping_fee_amount": [{"currency": payment["currency"], **fee, "platform_paid_return_shipping_fee": "2.00" if by_platform else "0.00"}],
            **({"return_shipping_document_type": "QR_CODE"} if by_platform else {}),
        }
    order.returns[return_id] = document
    set_amount(order, document, amount_of(order, request.lines, request.amount))
    record(document, at, request.role, "The return was requested", reason=document["return_reason_text"], note=request.note, pictures=request.pictures)
    order.note(at, "return requested", f"{request.role}: {request.kind}, {request.reason}")
    if request.role == "BUYER":
        _wait(market, document, at)
        _announce(order, document, at)
    else:
        granted = {"REFUND": SUCCESS, "RETURN_AND_REFUND": AWAITING_SHIP}
        _set(market, order, document, granted.get(request.kind, family + "COMPLETE"), at)
    return document


def set_amount(order: Order, document: Document, amount: Document) -> None:
    """The refund, and its share for each line, exact to the cent. Shipping and fees belong to no line."""
    document["refund_amount"] = amount
    goods = Decimal(amount["refund_subtotal"]) + Decimal(amount["refund_tax"])
    lines = {line["id"]: line for line in order.lines}
    items = document["return_line_items"]
    weights = [refundable(order, lines[each["order_line_item_id"]]) for each in items]
    for each, share in zip(items, spread(goods, weights), strict=True):
        each["refund_amount"] = {"currency": amount["currency"], "refund_total": f"{share:.2f}", "refund_subtotal": f"{share:.2f}"}


def record(document: Document, at: int, role: str, description: str, *, reason: str = "", note: str = "", pictures: Sequence[str] = ()) -> None:
    """`event` is always ORDER_RETURN, as the older text has it (TTS §5.6.5)."""
    entry = {"event": "ORDER_RETURN", "role": role, "description": description, "reason_text": reason, "note": note, "create_time": at}
    document["_records"].append({**entry, "_pictures": list(pictures)})


def move(market: Marketplace, order: Order, document: Document, status: str, at: int, role: str, what: str, **more: Any) -> None:
    """Into a status, with a record and a webhook. What is granted is refunded later; what is final stays."""
    record(document, at, role, what, **more)
    _set(market, order, document, status, at)


def _set(market: Marketplace, order: Order, document: Document, status: str, at: int) -> None:
    document |= {"return_status": status, "update_time": at}
    order.note(at, "return", f"{document['return_id']}: {status}")
    _wait(market, document, at)
    if status == REPLACEMENT + "COMPLETE" and not document.get("_refunded"):
        replace_order(market, order, document, at)
    elif status == EXCHANGE + "COMPLETE" and not document.get("_refunded"):
        replace_order(market, order, document, at, exchange=True)
    _announce(order, document, at)


def _wait(market: Marketplace, document: Document, at: int) -> None:
    """Who has to act until when, after a change of status."""
    settings, status = market.settings, document["return_status"]
    document.pop("seller_next_action_response", None)
    wait = {
        AWAITING_SHIP: settings.buyer_ship_seconds,
        AWAITING_ANSWER: settings.offer_answer_seconds,
        **dict.fromkeys(APPEALABLE, settings.appeal_seconds),
        **dict.fromkeys(GRANTED, settings.refund_seconds),
        EXCHANGE + "PENDING": settings.return_answer_seconds,
    }.get(status)
    if action := ANSWERS.get((document["return_type"], status)):
        wait = settings.package_answer_seconds if status == SHIPPED else settings.return_answer_seconds
        document["seller_next_action_response"] = [{"action": action, "deadline": at + int(wait)}]
    document["_due"] = None if wait is None else at + int(wait)


def _announce(order: Order, document: Document, at: int) -> None:
    data = {name: document[name] for name in ("order_id", "return_id", "return_type", "return_status", "create_time", "update_time")}
    order.announce(12, {**data, "return_role": document["role"]}, at)


def approve(market: Marketplace, order: Order, document: Document, at: int, role: str = "SELLER", note: str = "") -> None:
    """What a plain approval means in the return's situation; also what happens when nobody answers in time."""
    status, kind = document["return_status"], document["return_type"]
    words = "The request was approved" if role == "SELLER" else "Nobody answered in time: the request is approved"
    if status.startswith((REPLACEMENT, EXCHANGE)):
        after = (REPLACEMENT if kind == "REPLACEMENT" else EXCHANGE) + "COMPLETE"
    else:
        after = AWAITING_SHIP if (kind, status) == ("RETURN_AND_REFUND", PENDING) else SUCCESS
    move(market, order, document, after, at, role, words, note=note)


def offer(market: Marketplace, order: Order, document: Document, amount: Decimal, at: int, **more: Any) -> None:
    """A part of the money instead of the whole; the buyer answers."""
    document |= {
        "partial_refund": {"amount": f"{amount:.2f}", "currency": document["refund_amount"]["currency"]},
        "seller_proposed_return_type": "PARTIAL_REFUND",
        "_before_offer": document["return_status"],
    }
    move(market, order, document, AWAITING_ANSWER, at, "SELLER", f"The seller offers {amount:.2f}", **more)


def decline_offer(market: Marketplace, order: Order, document: Document, at: int, role: str = "BUYER") -> None:
    """Back to where the seller has to answer; the offer cannot be made again."""
    document["buyer_rejected_partial_refund"] = True
    words = "The buyer declined the partial refund" if role == "BUYER" else "The buyer did not answer the offer in time"
    move(market, order, document, document["_before_offer"], at, role, words)


def appeal(market: Marketplace, order: Order, document: Document, at: int, note: str = "") -> None:
    """The platform decides; the status stays until it has."""
    document |= {"arbitration_status": "IN_PROGRESS", "update_time": at, "_due": at + int(market.settings.arbitration_seconds)}
    record(document, at, "BUYER", "The buyer asked the platform to decide", note=note)
    order.note(at, "return", f"{document['return_id']}: appeal")
    _announce(order, document, at)


def arbitrate(market: Marketplace, order: Order, document: Document, outcome: str, at: int) -> None:
    document["arbitration_status"] = outcome
    status = document["return_status"]
    words = {"SUPPORT_BUYER": "The platform decided for the buyer", "SUPPORT_SELLER": "The platform decided for the seller"}
    if outcome != "SUPPORT_BUYER":
        close(market, order, document, at, "OPERATOR", words.get(outcome, "The platform closed the case"))
    elif status.startswith(REPLACEMENT):
        move(market, order, document, REPLACEMENT + "COMPLETE", at, "OPERATOR", words[outcome])
    else:
        send = document["return_type"] == "RETURN_AND_REFUND" and status == REJECTED
        move(market, order, document, AWAITING_SHIP if send else SUCCESS, at, "OPERATOR", words[outcome])


def close(market: Marketplace, order: Order, document: Document, at: int, role: str, why: str) -> None:
    family = {"REPLACEMENT": REPLACEMENT, "EXCHANGE": EXCHANGE}.get(document["return_type"], "RETURN_OR_REFUND_REQUEST_")
    move(market, order, document, family + "CANCEL", at, role, why)


def refund(market: Marketplace, order: Order, document: Document, at: int) -> None:
    """The money is back. An order of which everything is refunded is completed, shipped or not (TTS §6.1)."""
    from .life import derive_status

    refunded = order.inner.setdefault("refunded", {})
    for each in document["return_line_items"]:
        line_id = each["order_line_item_id"]
        refunded[line_id] = f"{Decimal(refunded.get(line_id, '0')) + Decimal(each['refund_amount']['refund_total']):.2f}"
    document["_refunded"] = True
    family = {"REPLACEMENT": REPLACEMENT, "EXCHANGE": EXCHANGE}.get(document["return_type"], "RETURN_OR_REFUND_REQUEST_")
    move(market, order, document, family + "COMPLETE", at, "SYSTEM", "The refund was paid")
    living = [line for line in order.lines if line["display_status"] != "CANCELLED"]
    if living and all(refundable(order, line) <= 0 for line in living):
        for line in living:
            line["display_status"] = "COMPLETED"
        for package in order.packages.values():
            if package["status"] != "CANCELLED":
                package |= {"status": "COMPLETED", "update_time": at}
        order.touch(at)
        derive_status(order, at)


# -- calendar -----------------------------------------------------------------------------------------------------------------------------


def open_returns(order: Order) -> list[Document]:
    return [each for each in order.inner.get("returns", {}).values() if each["return_status"] not in FINAL]


def advance_return(market: Marketplace, order: Order, document: Document, at: int) -> None:
    """What happens to a return when its time is up."""
    status = document["return_status"]
    if status in GRANTED:
        refund(market, order, document, at)
    elif document.get("arbitration_status") == "IN_PROGRESS":
        arbitrate(market, order, document, market.settings.arbitration_outcome, at)
    elif status == AWAITING_SHIP:
        close(market, order, document, at, "SYSTEM", "The buyer did not send the goods in time")
    elif status == AWAITING_ANSWER:
        decline_offer(market, order, document, at, "SYSTEM")
    elif status in APPEALABLE:
        close(market, order, document, at, "SYSTEM", "The buyer did not appeal in time")
    else:
        approve(market, order, document, at, "SYSTEM")


def close_all(market: Marketplace, order: Order, at: int) -> None:
    """An order that is cancelled takes its open returns with it."""
    for document in open_returns(order):
        close(market, order, document, at, "SYSTEM", "The order was cancelled")


def send_back(market: Marketplace, order: Order, document: Document, at: int, tracking: str, provider: str) -> None:
    """The buyer hands the goods over."""
    shop = market.shops[order.inner["shop_id"]]
    name = provider or shop["shipping_providers"][0]["name"]
    document |= {
        "return_tracking_number": tracking or f"RET{document['return_id'][-12:]}",
        "return_provider_name": name,
        "return_provider_id": stable_id("6617", f"carrier:{order.inner['region']}:{name}"),
    }
    move(market, order, document, SHIPPED, at, "BUYER", f"The goods were sent: {name} {document['return_tracking_number']}")

"""What a TikTok return says, read once and kept as plain facts, and what may be answered to it (TTS §5.6.4-§5.6.8, §6.2, §6.6; A213-A220). Pure.

Statuses, types and decisions that the contract does not name are kept as they came and flagged; nothing here fails on one. The reading is a thin
adapter: TikTok is replacing returns by "aftersales requests" and RMAs (TTS §5.6.9), and only this module knows the old shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from connector.core.errors import DomainError
from connector.domain import money

REFUND, RETURN_AND_REFUND, REPLACEMENT, EXCHANGE = "REFUND", "RETURN_AND_REFUND", "REPLACEMENT", "EXCHANGE"
TYPE_LABELS: Mapping[str, str] = {REFUND: "Refund", RETURN_AND_REFUND: "Return & Refund", REPLACEMENT: "Replacement", EXCHANGE: "Exchange"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """``tone`` is one of the colours of a badge. ``phase``: ``seller`` waits for our answer, ``buyer`` and ``platform`` for others, ``refunding`` is
    granted, ``done`` and ``closed`` are final (paid or replaced; nothing came of it), ``unknown`` is a status the contract does not name."""

    label: str
    tone: str
    phase: str
    known: bool = True


#: TTS §5.6.8
STATUSES: Mapping[str, Meaning] = {
    "RETURN_OR_REFUND_REQUEST_PENDING": Meaning("Waiting for your answer", "warning", "seller"),
    "REFUND_OR_RETURN_REQUEST_REJECT": Meaning("Rejected; the buyer may appeal", "neutral", "buyer"),
    "AWAITING_BUYER_SHIP": Meaning("Approved; the buyer sends the goods", "progress", "buyer"),
    "BUYER_SHIPPED_ITEM": Meaning("Goods on the way back", "progress", "seller"),
    "REJECT_RECEIVE_PACKAGE": Meaning("Package refused; the buyer may appeal", "neutral", "buyer"),
    "AWAITING_BUYER_RESPONSE": Meaning("Offer made; the buyer answers", "progress", "buyer"),
    "RETURN_OR_REFUND_REQUEST_SUCCESS": Meaning("Granted; the refund is under way", "info", "refunding"),
    "RETURN_OR_REFUND_REQUEST_COMPLETE": Meaning("Refunded", "success", "done"),
    "RETURN_OR_REFUND_REQUEST_CANCEL": Meaning("Closed without a refund", "neutral", "closed"),
    "REPLACEMENT_REQUEST_PENDING": Meaning("Replacement: waiting for your answer", "warning", "seller"),
    "REPLACEMENT_REQUEST_REJECT": Meaning("Replacement rejected; the buyer may appeal", "neutral", "buyer"),
    "REPLACEMENT_REQUEST_REFUND_SUCCESS": Meaning("Refund instead of replacement is under way", "info", "refunding"),
    "REPLACEMENT_REQUEST_CANCEL": Meaning("Replacement closed", "neutral", "closed"),
    "REPLACEMENT_REQUEST_COMPLETE": Meaning("Replacement settled", "success", "done"),
    "EXCHANGE_REQUEST_PENDING": Meaning("Exchange requested", "progress", "platform"),
    "EXCHANGE_REQUEST_REFUND_SUCCESS": Meaning("Refund instead of exchange is under way", "info", "refunding"),
    "EXCHANGE_REQUEST_CANCEL": Meaning("Exchange closed", "neutral", "closed"),
    "EXCHANGE_REQUEST_COMPLETE": Meaning("Exchange settled", "success", "done"),
}
#: Spellings of the coming model and of the other sources (TTS §5.6.9, §9).
ALIASES: Mapping[str, str] = {
    "AWAITING_BUYER_RETURN": "AWAITING_BUYER_SHIP",
    "AWAITING_BUYER_SHIPPED": "AWAITING_BUYER_SHIP",
    "RETURN_OR_REFUND_REQUEST_CANCELLED": "RETURN_OR_REFUND_REQUEST_CANCEL",
    "REPLACEMENT_REQUEST_CANCELLED": "REPLACEMENT_REQUEST_CANCEL",
    "EXCHANGE_REQUEST_CANCELLED": "EXCHANGE_REQUEST_CANCEL",
}
ARBITRATION: Mapping[str, Meaning] = {
    "IN_PROGRESS": Meaning("TikTok Shop is deciding", "warning", "platform"),
    "SUPPORT_BUYER": Meaning("TikTok Shop decided for the buyer", "danger", "done"),
    "SUPPORT_SELLER": Meaning("TikTok Shop decided for you", "success", "done"),
    "CLOSED": Meaning("The case is closed", "neutral", "closed"),
}


def meaning(status: str) -> Meaning:
    """What a return status means; an unknown one is its own label."""
    return STATUSES.get(ALIASES.get(status, status)) or Meaning(status or "No status", "warning", "unknown", known=False)


def arbitration(status: str) -> Meaning | None:
    """What an arbitration status means; None when nobody appealed."""
    return (ARBITRATION.get(status) or Meaning(status, "warning", "unknown", known=False)) if status else None


def type_label(return_type: str) -> str:
    return TYPE_LABELS.get(return_type, return_type)


# -- actions ------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Action:
    """A button. ``rejects``: goes to the reject call and needs a reason; ``partial``: needs an amount; ``keep_item``: may let the buyer keep the
    goods. ``reasons`` are TikTok's ``(name, text)`` for a rejection."""

    decision: str
    label: str
    rejects: bool = False
    partial: bool = False
    keep_item: bool = False
    known: bool = True
    reasons: tuple[tuple[str, str], ...] = ()


OFFER, OFFER_AFTER_RECEIVING = "OFFER_PARTIAL_REFUND", "OFFER_PARTIAL_REFUND_AFTER_RECEIVING_PKG"
ACTIONS: Mapping[str, Action] = {
    each.decision: each
    for each in (
        Action("APPROVE_REFUND", "Accept refund"),
        Action("APPROVE_RETURN", "Accept return", keep_item=True),
        Action("DIRECT_REFUND", "Refund without return"),
        Action("APPROVE_RECEIVED_PACKAGE", "Accept received goods"),
        Action("APPROVE_REPLACEMENT", "Accept replacement"),
        Action("ISSUE_REPLACEMENT_REFUND", "Refund instead of replacement"),
        Action("ISSUE_EXCHANGE_REFUND", "Refund instead of exchange"),
        Action(OFFER, "Offer partial refund", partial=True),
        Action("REJECT_REFUND", "Reject refund", rejects=True),
        Action("REJECT_RETURN", "Reject return", rejects=True),
        Action("REJECT_RECEIVED_PACKAGE", "Refuse received goods", rejects=True),
        Action(OFFER_AFTER_RECEIVING, "Offer partial refund for received goods", rejects=True, partial=True),
        Action("REJECT_REPLACEMENT", "Reject replacement", rejects=True),
    )
}
#: Decision eligibility (TTS §5.6.4) does not name the partial offers; they stand beside these decisions (TTS §5.6.6).
_OFFERS_BESIDE = {"APPROVE_REFUND": OFFER, "APPROVE_RETURN": OFFER, "REJECT_RECEIVED_PACKAGE": OFFER_AFTER_RECEIVING}
_CANCEL_DECISIONS = ("APPROVE_REQUEST_CANCEL", "REJECT_REQUEST_CANCEL")


def actions(decisions: Sequence[Mapping[str, Any]], *, offer_declined: bool = False) -> tuple[Action, ...]:
    """The buttons of a return out of the answer of decision eligibility. An eligible decision that is not known becomes a flagged action, which
    cannot be sent. ``offer_declined``: the buyer declined a partial refund, which is not offered twice."""
    named = {str(each.get("decision") or "") for each in decisions}
    found: list[Action] = []
    for each in decisions:
        name = str(each.get("decision") or "")
        if not each.get("eligible") or not name or name in _CANCEL_DECISIONS:
            continue
        reasons = tuple((str(one.get("name") or ""), str(one.get("text") or "")) for one in each.get("available_reject_reasons") or ())
        found.append(_action(name, reasons))
        beside = _OFFERS_BESIDE.get(name)
        if beside and beside not in named and not offer_declined and beside not in [one.decision for one in found]:
            found.append(_action(beside, reasons))
    order = list(ACTIONS)
    return tuple(sorted(found, key=lambda action: order.index(action.decision) if action.known else len(order)))


def _action(name: str, reasons: tuple[tuple[str, str], ...]) -> Action:
    base = ACTIONS.get(name) or Action(name, name, rejects=name.startswith("REJECT"), known=False)
    return Action(base.decision, base.label, base.rejects, base.partial, base.keep_item, base.known, reasons if base.rejects else ())


# -- the return ---------------------------------------------------------------------------------------------------------------------------


class BadReturn(DomainError):
    """A payload that cannot be stored as a return; ``field`` says where."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(
            "return.bad_payload",
            f"TikTok sent a return that cannot be read: {field} {problem}.",
            "Open the record to see what TikTok sent; look at the return in Seller Center.",
            field=field,
        )


@dataclass(frozen=True, slots=True)
class ReturnItem:
    """One unit that the buyer gives back or is refunded for; ``amount`` is what TikTok refunds for it."""

    return_line_item_id: str
    order_line_id: str
    sku_id: str
    seller_sku: str
    name: str
    variant: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class ReturnSnapshot:
    """A return as it stands. ``deadline`` is when the seller's time ends, ``next_action`` TikTok's word for what is awaited; ``deadline_estimated``:
    TikTok named no deadline, so it comes from the table of the country. ``unknown`` names the fields whose values the contract does not know."""

    return_id: str
    order_id: str
    return_type: str
    type_label: str
    status: str
    meaning: Meaning
    arbitration_status: str
    role: str
    reason: str
    reason_text: str
    currency: str
    amount: Decimal
    offered_amount: Decimal | None
    offer_declined: bool
    buyer_keeps_item: bool
    quick_refund: bool
    items: tuple[ReturnItem, ...]
    next_action: str
    deadline: datetime | None
    deadline_estimated: bool
    tracking_number: str
    carrier: str
    previous_id: str
    next_id: str
    created_at: datetime | None
    updated_at: datetime | None
    unknown: tuple[str, ...]

    @property
    def order_line_ids(self) -> tuple[str, ...]:
        return tuple(item.order_line_id for item in self.items)

    @property
    def open(self) -> bool:
        """Whether anything can still happen; a status nobody knows is taken for open."""
        return self.meaning.phase not in ("done", "closed")

    @property
    def needs_answer(self) -> bool:
        """Whether TikTok waits for the seller, by its own word where there is one."""
        return bool(self.next_action) or (self.meaning.phase == "seller" and self.arbitration_status != "IN_PROGRESS")


#: Only for a return that names no deadline itself: hours to answer (TTS §6.2; ``""`` = everywhere else). The field is right by definition.
ANSWER_HOURS: Mapping[str, int] = {"": 48, "US": 24, "TH": 24}
#: The same for goods that came back (TTS §6.6: 2 to 4 business days in the newest US text; the shortest is taken).
INSPECTION_HOURS: Mapping[str, int] = {"": 48}


def read_return(payload: Mapping[str, Any], *, country: str = "") -> ReturnSnapshot:
    """One object of ``return_orders``. ``country`` (ISO code of the shop) serves the fallback table only. Raises ``BadReturn``."""
    return_id, order_id = _required(payload, "return_id"), _required(payload, "order_id")
    status, kind = _text(payload, "return_status"), _text(payload, "return_type")
    said = meaning(status)
    refund = payload.get("refund_amount") or {}
    if not isinstance(refund, Mapping):
        raise BadReturn("refund_amount", "is no object")
    partial = payload.get("partial_refund") or {}
    arbitrated = _text(payload, "arbitration_status")
    updated = _time(payload, "update_time") or _time(payload, "create_time")
    action, deadline = _next(payload)
    estimated = False
    if deadline is None and updated is not None and (action or (said.phase == "seller" and arbitrated != "IN_PROGRESS")):
        came_back = ALIASES.get(status, status) == "BUYER_SHIPPED_ITEM"
        table, since = (INSPECTION_HOURS, updated) if came_back else (ANSWER_HOURS, _time(payload, "create_time") or updated)
        deadline, estimated = since + timedelta(hours=table.get(country, table[""])), True
    unknown = [name for name, known in (("return_type", kind in TYPE_LABELS), ("return_status", said.known)) if not known]
    if arbitrated and arbitrated not in ARBITRATION:
        unknown.append("arbitration_status")
    return ReturnSnapshot(
        return_id=return_id,
        order_id=order_id,
        return_type=kind,
        type_label=type_label(kind),
        status=status,
        meaning=said,
        arbitration_status=arbitrated,
        role=_text(payload, "role"),
        reason=_text(payload, "return_reason"),
        reason_text=_text(payload, "return_reason_text"),
        currency=_text(refund, "currency"),
        amount=_money(refund, "refund_total", "refund_amount"),
        offered_amount=_money(partial, "amount", "partial_refund") if partial else None,
        offer_declined=bool(payload.get("buyer_rejected_partial_refund")),
        buyer_keeps_item=bool(payload.get("can_buyer_keep_item")),
        quick_refund=bool(payload.get("is_quick_refund")),
        items=tuple(_item(item, f"return_line_items[{place}]") for place, item in enumerate(payload.get("return_line_items") or ())),
        next_action=action,
        deadline=deadline,
        deadline_estimated=estimated,
        tracking_number=_text(payload, "return_tracking_number"),
        carrier=_text(payload, "return_provider_name"),
        previous_id=_text(payload, "pre_return_id"),
        next_id=_text(payload, "next_return_id"),
        created_at=_time(payload, "create_time"),
        updated_at=updated,
        unknown=tuple(unknown),
    )


def _next(payload: Mapping[str, Any]) -> tuple[str, datetime | None]:
    """What TikTok awaits of the seller first, and until when."""
    rows = [row for row in payload.get("seller_next_action_response") or () if isinstance(row, Mapping)]
    dated = sorted((at, str(row.get("action") or "")) for row in rows if (at := _time(row, "deadline")) is not None)
    if dated:
        return dated[0][1], dated[0][0]
    return (str(rows[0].get("action") or ""), None) if rows else ("", None)


def _item(item: Any, where: str) -> ReturnItem:
    if not isinstance(item, Mapping):
        raise BadReturn(where, "is no object")
    refund = item.get("refund_amount") or {}
    return ReturnItem(
        _text(item, "return_line_item_id"),
        _required(item, "order_line_item_id", f"{where}."),
        _text(item, "sku_id"),
        _text(item, "seller_sku"),
        _text(item, "product_name"),
        _text(item, "sku_name"),
        _money(refund, "refund_total", f"{where}.refund_amount"),
    )


def can_be_offered(amount: Decimal | None, whole: Decimal, currency: str) -> bool:
    """Whether ``amount`` may be a partial refund of ``whole``: a part of it, in steps that the currency has (TTS §5.6.6)."""
    return amount is not None and amount.is_finite() and 0 < amount < whole and amount % money.minor_unit(currency) == 0


# -- stock --------------------------------------------------------------------------------------------------------------------------------


def goods_back(snapshot: ReturnSnapshot, *, package_accepted: bool = False, seen_on_the_way: bool = False) -> Literal["received", "ask", "no"]:
    """Whether the units of ``order_line_ids`` may go back into stock, once. ``received``: the seller accepted the package that came back
    (``package_accepted``: APPROVE_RECEIVED_PACKAGE went through). ``ask``: the return was granted after the goods were sent (``seen_on_the_way``: it was
    BUYER_SHIPPED_ITEM, or it carries a tracking number), but nobody said that they came - silence until the deadline and TikTok's arbitration grant as
    well; a person has to look. ``no``: a refund without goods, goods the buyer keeps, a refused package, a parcel under way."""
    if snapshot.return_type == REFUND or snapshot.buyer_keeps_item:
        return "no"
    if package_accepted:
        return "received"
    sent = seen_on_the_way or bool(snapshot.tracking_number)
    return "ask" if sent and snapshot.meaning.phase in ("refunding", "done") else "no"


# -- parts --------------------------------------------------------------------------------------------------------------------------------


def _text(source: Mapping[str, Any], field: str) -> str:
    value = source.get(field)
    return "" if value is None else str(value)


def _required(source: Mapping[str, Any], field: str, where: str = "") -> str:
    if text := _text(source, field):
        return text
    raise BadReturn(f"{where}{field}", "is missing")


def _money(source: Any, field: str, where: str) -> Decimal:
    if not isinstance(source, Mapping):
        raise BadReturn(where, "is no object")
    try:
        found = money.amount(source.get(field))
    except ValueError as fault:
        raise BadReturn(f"{where}.{field}", str(fault)) from None
    if not found.is_finite() or found < 0:
        raise BadReturn(f"{where}.{field}", f"{found} is not an amount")
    return found


def _time(source: Mapping[str, Any], field: str) -> datetime | None:
    value = source.get(field)
    if value in (None, "", 0, "0"):
        return None
    try:
        return datetime.fromtimestamp(int(str(value)), UTC)
    except (ValueError, OverflowError, OSError):
        raise BadReturn(field, f"{value!r} is not a time") from None

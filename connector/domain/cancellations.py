"""What a cancellation means (TTS §5.6.3, §5.6.4, §6.2): statuses, answers, how it ended. Pure; unknown values are shown as they came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

PENDING, SUCCESS, COMPLETE = "CANCELLATION_REQUEST_PENDING", "CANCELLATION_REQUEST_SUCCESS", "CANCELLATION_REQUEST_COMPLETE"
#: Withdrawn, rejected, or overtaken by the shipment; TikTok spells it in two ways.
CLOSED = ("CANCELLATION_REQUEST_CANCEL", "CANCELLATION_REQUEST_CANCELLED")
GRANTED = (SUCCESS, COMPLETE)
LABELS = {PENDING: "Waits for answer", SUCCESS: "Cancelled", COMPLETE: "Cancelled and refunded", **dict.fromkeys(CLOSED, "Closed")}
#: Decided by the seller or by TikTok; asked for by the buyer, who needs an answer.
CANCEL, BUYER_CANCEL = "CANCEL", "BUYER_CANCEL"

APPROVE, REJECT = "approve", "reject"
ANSWERS = {APPROVE: "Accept", REJECT: "Reject"}
DECISIONS = {APPROVE: "APPROVE_REQUEST_CANCEL", REJECT: "REJECT_REQUEST_CANCEL"}
#: The statuses that say that an answer took effect.
TAKEN = {APPROVE: GRANTED, REJECT: CLOSED}

# How far our answer is (``Cancellation.answer_state``), or how the request ended without one.
SENDING, ACCEPTED, FAILED = "sending", "accepted", "failed"
AUTOMATIC, ELSEWHERE, WITHDRAWN = "automatic", "elsewhere", "withdrawn"
ENDINGS = {
    AUTOMATIC: "Granted by TikTok: the deadline passed without an answer",
    ELSEWHERE: "Answered outside the connector",
    WITHDRAWN: "Closed without our answer: withdrawn, or answered outside the connector",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """What TikTok lets the seller answer now; ``why_not`` are its own words, ``reasons`` (name, text) those of a rejection."""

    eligible: bool
    why_not: str = ""
    reasons: tuple[tuple[str, str], ...] = ()


def read_offer(decisions: Iterable[Mapping[str, Any]], answer: str) -> Offer:
    """Decision eligibility (TTS §5.6.4) for one answer. A decision that TikTok does not name is one it does not offer."""
    found = next((one for one in decisions if one.get("decision") == DECISIONS[answer]), None)
    if found is None:
        return Offer(False, f"it does not offer {DECISIONS[answer]}")
    if not found.get("eligible"):
        return Offer(False, str(found.get("ineligible_reason") or found.get("ineligible_code") or "it gives no reason"))
    return Offer(True, reasons=read_reasons(found.get("available_reject_reasons") or ()))


def read_reasons(reasons: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """[{name, text}] as (name, text); a reason without a text is shown by its name."""
    return tuple((str(one["name"]), str(one.get("text") or one["name"])) for one in reasons if one.get("name"))


def ending(was: str, status: str, *, ours: bool, deadline: datetime | None, moved_at: datetime) -> str:
    """How a request that waited (``was``) ended without an answer of ours; "" when there is nothing to say."""
    if was != PENDING or status == PENDING or ours:
        return ""
    if status in GRANTED:
        return AUTOMATIC if deadline is not None and moved_at >= deadline else ELSEWHERE
    return WITHDRAWN if status in CLOSED else ""


def line_ids(request: Mapping[str, Any]) -> tuple[str, ...]:
    """The order lines that a cancellation is about."""
    return tuple(str(one["order_line_item_id"]) for one in request.get("cancel_line_items") or () if one.get("order_line_item_id"))


def known(cancel_type: str, status: str) -> bool:
    """Whether type and status are the contract's; otherwise nobody can tell whether a buyer waits for an answer."""
    return cancel_type in (CANCEL, BUYER_CANCEL) and status in LABELS


def label(status: str) -> str:
    return LABELS.get(status, status)

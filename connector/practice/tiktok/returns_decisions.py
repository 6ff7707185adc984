"""Which decisions a return is open to (TTS §5.6.4, §5.6.6)."""

from __future__ import annotations

from .orderbook import Document
from .returns_life import EXCHANGE, PENDING, REPLACEMENT, SHIPPED

# the names decision eligibility knows; the partial offers are decisions of approve and reject only
DECISIONS = (
    *("APPROVE_REFUND", "REJECT_REFUND", "APPROVE_RETURN", "REJECT_RETURN", "APPROVE_RECEIVED_PACKAGE", "REJECT_RECEIVED_PACKAGE"),
    *("APPROVE_REPLACEMENT", "REJECT_REPLACEMENT", "ISSUE_REPLACEMENT_REFUND", "ISSUE_EXCHANGE_REFUND", "DIRECT_REFUND"),
)
OFFER, OFFER_LATER = "OFFER_PARTIAL_REFUND", "OFFER_PARTIAL_REFUND_AFTER_RECEIVING_PKG"
_TABLE = {
    ("REFUND", PENDING): ("APPROVE_REFUND", OFFER, "REJECT_REFUND"),
    ("RETURN_AND_REFUND", PENDING): ("APPROVE_RETURN", "DIRECT_REFUND", OFFER, "REJECT_RETURN"),
    ("RETURN_AND_REFUND", SHIPPED): ("APPROVE_RECEIVED_PACKAGE", "REJECT_RECEIVED_PACKAGE", OFFER_LATER),
    ("REPLACEMENT", REPLACEMENT + "PENDING"): ("APPROVE_REPLACEMENT", "ISSUE_REPLACEMENT_REFUND", "REJECT_REPLACEMENT"),
    ("EXCHANGE", EXCHANGE + "PENDING"): ("ISSUE_EXCHANGE_REFUND",),
}


def possible(document: Document) -> tuple[str, ...]:
    """What the seller may decide now. A declined offer is not made again; a package of a quick refund is not refused."""
    decisions = _TABLE.get((document["return_type"], document["return_status"]), ())
    barred = {OFFER, OFFER_LATER} if document.get("buyer_rejected_partial_refund") else set()
    if document["is_quick_refund"]:
        barred |= {"REJECT_RECEIVED_PACKAGE", OFFER_LATER}
    return tuple(each for each in decisions if each not in barred)


def refuses(decision: str) -> bool:
    return decision.startswith("REJECT_") or decision == OFFER_LATER

"""What TikTok's words about a product mean to a merchant (TTS §5.3.10, A170, A175): one state, and what to do when something is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: ``status`` holds sale state and audit together. What is not here is shown verbatim as unknown.
STATES: Mapping[str, str] = {
    "DRAFT": "draft",
    "PENDING": "in_review",
    "FAILED": "rejected",
    "ACTIVATE": "live",
    "SELLER_DEACTIVATED": "inactive",
    "PLATFORM_DEACTIVATED": "inactive",
    "FREEZE": "frozen",
    "DELETED": "deleted",
}
#: Statuses in which get product is refused: only the search shows them.
UNREADABLE = ("FREEZE", "DELETED")
#: Words for an event when a product comes into a state.
WORDS: Mapping[str, str] = {
    "draft": "Saved as a draft on TikTok Shop.",
    "in_review": "In review: TikTok Shop's audit decides.",
    "rejected": "Rejected by TikTok Shop's audit.",
    "live": "Live on TikTok Shop.",
    "inactive": "Inactive: hidden on TikTok Shop.",
    "frozen": "Frozen by TikTok Shop.",
    "deleted": "Deleted on TikTok Shop.",
    "unknown": "TikTok Shop shows a status that this connector does not know.",
    "not_uploaded": "Not on TikTok Shop.",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a product on TikTok is not as it should be. TikTok's words stand verbatim in ``message``."""

    code: str
    message: str
    remedy: str


def state_of(product: Mapping[str, Any]) -> str:
    """The Marketplace Status of a product that was read; ``unknown`` for a status that the contract does not name."""
    return STATES.get(str(product.get("status") or ""), "unknown")


def reasons_of(product: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Why the audit failed, or what it still waits for, as TikTok's rows ``{position, reasons, suggestions, listing_platform}``."""
    audit = product.get("audit") or {}
    if audit.get("status") == "PRE_APPROVED":
        return [{"position": "", "reasons": [str(reason) for reason in audit.get("pre_approved_reasons") or []], "suggestions": []}]
    return [dict(row) for row in product.get("audit_failed_reasons") or []] if audit.get("status") == "FAILED" else []


def trouble_of(product: Mapping[str, Any]) -> Trouble | None:
    """What a person has to do about the product's status; None when there is nothing."""
    status, audit = str(product.get("status") or ""), str((product.get("audit") or {}).get("status") or "")
    rows = reasons_of(product)
    said, advice = _said(rows), " ".join(f"TikTok Shop suggests: {text}." for row in rows for text in _texts(row, "suggestions"))
    if status == "FREEZE":
        return Trouble(
            "listing.frozen",
            f"TikTok Shop has frozen the product (FREEZE). {said}".strip(),
            "Nothing can be done here: read the violation in Seller Center and appeal there.",
        )
    if status == "DELETED":
        return Trouble(
            "listing.deleted", "The product was deleted on TikTok Shop (DELETED).", "Recover it, or unlink it here; then Upload makes a new product of it."
        )
    if status == "PLATFORM_DEACTIVATED":
        remedy = "Read the violation in Seller Center, correct the product in Magento, upload it, then choose Change Status, Active."
        return Trouble(
            "listing.platform_deactivated", f"TikTok Shop has taken the product off sale (PLATFORM_DEACTIVATED). {said}".strip(), f"{advice} {remedy}".strip()
        )
    if status == "FAILED" or (audit == "FAILED" and status != "ACTIVATE"):
        remedy = "Correct it in Magento or in the listing template, validate, and upload again."
        return Trouble("listing.rejected", f"TikTok Shop's audit refused the product. {said}".strip(), f"{advice} {remedy}".strip())
    if audit == "FAILED":
        remedy = "Buyers see the version before it. Correct it in Magento or in the listing template, and upload again."
        return Trouble("listing.edit_rejected", f"TikTok Shop's audit refused the last change. {said}".strip(), f"{advice} {remedy}".strip())
    if audit == "PRE_APPROVED":
        return Trouble(
            "listing.pre_approved",
            f"The audit has passed, but TikTok Shop still waits for something (PRE_APPROVED). {said}".strip(),
            "Complete it in Seller Center: KYC_PENDING is the shop's verification, RESTRICTED_CATEGORY_PENDING the permission for the category.",
        )
    if status and status not in STATES:
        return Trouble(
            "listing.unknown_status",
            f"TikTok Shop shows the status {status}, which this connector does not know.",
            "Look at the product in Seller Center, and report the status so that it can be added.",
        )
    return None


#: The codes that ``trouble_of`` gives; a status that is well again clears them, and only them.
TROUBLES = frozenset({
    "listing.frozen", "listing.deleted", "listing.platform_deactivated", "listing.rejected", "listing.edit_rejected", "listing.pre_approved",
    "listing.unknown_status",
})  # fmt: skip


def _said(rows: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for row in rows:
        texts, where = "; ".join(_texts(row, "reasons")), str(row.get("position") or "")
        if texts:
            parts.append(f"{where}: {texts}" if where else texts)
    return f"TikTok Shop says: {' | '.join(parts)}." if parts else ""


def _texts(row: Mapping[str, Any], key: str) -> list[str]:
    return [str(text).rstrip(".") for text in row.get(key) or []]

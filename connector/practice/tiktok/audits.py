"""The audit of listings: it takes its time on the shop clock, passes or fails, and can be forced either way (TTS §5.3.8, §8 point 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .listings import Listing, announce_skus, from_row, publish, save, sku_rows, version
from .orderbook import Document

if TYPE_CHECKING:
    from .marketplace import Marketplace

REASON = "The product violates the rules on restricted goods"
SUGGESTION = "Change the title so that it describes an article you may sell"


def submit(market: Marketplace, listing: Listing, plan: str, at: int) -> None:
    """Starts an audit. `plan` is what passing means: `first` goes live, `reactivate` goes live again, `edit` puts the reviewed content live,
    `quiet` changes nothing but the audit (the edit of a product that is not for sale)."""
    listing.inner |= {"plan": plan, "reasons": []}
    listing.due = at + int(market.settings.audit_delay_seconds)
    _set_audit(listing, "AUDITING", at)
    listing.derive_status(at)


def _set_audit(listing: Listing, status: str, at: int, pre_approved: list[str] | None = None) -> None:
    listing.doc["audit"] = {"status": status, "pre_approved_reasons": pre_approved or []}
    listing.touch(at)
    listing.announce(37, {"product_id": int(listing.id), "audit": listing.doc["audit"], "update_time": listing.doc["update_time"]}, at)


def verdict(market: Marketplace, content: Document) -> list[Document]:
    """Reasons to fail by the words in the title; empty when the audit passes."""
    words = [word.strip() for word in market.settings.audit_reject_words.split(",") if word.strip()]
    bad = [word for word in words if word.casefold() in content["title"].casefold()]
    return [failure("title", [f"{REASON}: {', '.join(bad)}"], [SUGGESTION])] if bad else []


def failure(position: str, reasons: list[str], suggestions: list[str]) -> Document:
    return {"position": position, "reasons": reasons, "suggestions": suggestions, "listing_platform": "TIKTOK_SHOP"}


def finish(market: Marketplace, listing: Listing, reasons: list[Document] | None, at: int) -> None:
    """Ends the audit: None decides by the rules, a list of failures fails, an empty list passes."""
    plan, under_review = listing.inner.get("plan", "quiet"), version(market, listing.id, "review")
    content = under_review if plan == "edit" and under_review else version(market, listing.id, "live")
    listing.due = None
    failed = verdict(market, content) if reasons is None else reasons
    listing.inner["reasons"] = failed
    _set_audit(listing, "FAILED" if failed else "APPROVED", at)
    if failed:
        data = {"product_id": int(listing.id), "status": "PRODUCT_AUDIT_FAILURE", "suspended_reason": "", "update_time": at}
        listing.announce(5, {**data, "suspended_reason": "; ".join(reason for each in failed for reason in each["reasons"])}, at)
        listing.derive_status(at)
        return
    listing.inner["plan"] = ""
    if plan == "edit":
        publish(market, listing, content, at)
    if plan in ("first", "reactivate"):
        listing.set_status("ACTIVATE", at)
        status = "PRODUCT_FIRST_PASS_REVIEW" if plan == "first" else "PRODUCT_STATUS_CHANGED"
        listing.announce(5, {"product_id": int(listing.id), "status": status, "suspended_reason": "", "update_time": at}, at)
        told = "CREATED" if plan == "first" else "ACTIVATED"
        announce_skus(listing, [(row["id"], told) for row in sku_rows(market, [listing.id])[listing.id]], at)


def pre_approve(listing: Listing, reasons: list[str], at: int) -> None:
    """The audit passed, but something of the shop is still missing; the product stays where it is."""
    listing.due = None
    _set_audit(listing, "PRE_APPROVED", at, reasons)


def settle_audits(market: Marketplace) -> None:
    """Ends the audits that are due, each with the date it was due."""
    now = market.clock.seconds()
    due = "SELECT doc, inner, due_time FROM products WHERE due_time <= ? ORDER BY due_time LIMIT ?"
    while market.store.read.execute(due, (now, 1)).fetchone() is not None:
        with market.store.write() as db:
            listings = [from_row(row) for row in db.execute(due, (now, 500)).fetchall()]
            for listing in listings:
                finish(market, listing, None, listing.due or now)
            save(market, *listings)

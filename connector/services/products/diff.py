"""The dry run: what a push would change on TikTok, field by field, before anything goes out (product.md 14)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from connector.core.db import end_reading
from connector.domain.listing_codes import ListingProblem
from connector.domain.listing_diff import Change, changes
from connector.models.listing import IN_REVIEW
from connector.services.products import drafts, state
from connector.services.products.drafts import PENDING, Prepared


@dataclass(frozen=True, slots=True)
class Review:
    """An edit that TikTok is looking at: the comparison is with what buyers see until it is approved."""

    status: str  #: of the audit, TikTok's word
    sent_at: datetime | None
    words: str


@dataclass(frozen=True, slots=True)
class Diff:
    """``changes``: field, on TikTok now, would send, why; of kind content, price or stock. ``new``: the product is not on TikTok yet.

    ``problems`` say why it cannot be sent; ``notes`` what was changed or left out on the way. ``fingerprint`` goes along with the confirmation: the push
    is refused when anything has changed since.
    """

    changes: tuple[Change, ...]
    fingerprint: str
    problems: tuple[ListingProblem, ...] = ()
    notes: tuple[str, ...] = ()
    new: bool = False
    review: Review | None = None

    @property
    def blocked(self) -> bool:
        return any(not problem.warning for problem in self.problems)

    @property
    def destructive(self) -> tuple[Change, ...]:
        """What buyers see and would lose."""
        return tuple(change for change in self.changes if change.destructive)


def preview(listing_id: int) -> Diff:
    """One listing's dry run, from what is stored: no HTTP, nothing is changed. Raises ``NotFoundError``."""
    one = drafts.prepare([listing_id]).get(listing_id)
    if one is None:
        raise state.unknown(listing_id)
    found = of(one)
    end_reading()
    return found


def of(one: Prepared) -> Diff:
    """The dry run of a listing that is prepared already."""
    if one.shown is None or one.draft is None or one.plan is None:
        return Diff((), one.fingerprint, one.problems, one.notes, one.live is None)
    names = {attribute.id: attribute.name for attribute in one.plan.category.attributes.values()}
    reasons = {**one.draft.reasons, "category_id": f"Category of the listing template {one.template.name}" if one.template else ""}
    found = (_in_words(change) for change in changes(one.live, one.shown, reasons, names))
    return Diff(tuple(found), one.fingerprint, one.problems, one.notes, one.live is None, _review(one))


def _in_words(change: Change) -> Change:
    """A picture that is still to be uploaded has no name at TikTok."""
    return replace(change, send=change.send.replace(PENDING, "to be uploaded: ")) if PENDING in change.send else change


def _review(one: Prepared) -> Review | None:
    listing = one.listing
    if listing.audit_status != "AUDITING" and listing.marketplace_state != IN_REVIEW:
        return None
    words = "TikTok Shop is reviewing what was sent last; buyers see the version before it until that is approved."
    if listing.remote_status == "PENDING":
        words = "TikTok Shop is reviewing the product; buyers do not see it yet."
    return Review(listing.audit_status or listing.remote_status, listing.sent_at, words)

"""What a person does to one product on its page beside the actions of the grid: sending what the preview showed, deleting, recovering, unlinking."""

from __future__ import annotations

from connector.core.db import db
from connector.core.errors import DomainError
from connector.models.account import Account
from connector.models.listing import DELETED, FROZEN, NOT_UPLOADED, Listing
from connector.services import runs
from connector.services.products import actions, diff, linking

DELETE, RECOVER, UNLINK = "delete", "recover", "unlink"


def send_seen(listing: Listing, fingerprint: str, *, started_by: str) -> runs.Submitted:
    """Upload what the dry run with this fingerprint showed. Raises ``DomainError`` ``listing.changed_since`` when it would show something else now."""
    (verdict,) = actions.verdicts(actions.UPLOAD, listing.account_id, listing_ids=[listing.id])
    verdict.require()
    found = diff.preview(listing.id)
    if found.fingerprint != fingerprint:
        raise DomainError(
            "listing.changed_since",
            f"{verdict.subject.sku} is no longer as the preview showed it, so nothing was sent.",
            "This is the preview as it is now: look at it again and confirm it.",
        )
    if found.blocked:
        raise DomainError("listing.not_ready", f"{verdict.subject.sku} cannot be sent: {found.problems[0].message}", found.problems[0].remedy)
    return runs.submit(
        "products.upload", account_id=listing.account_id, args={"seen": {str(listing.id): fingerprint}}, items=[(str(listing.id), verdict.subject.label)],
        key=f"products.upload:{listing.id}:{fingerprint}", started_by=started_by,
    )  # fmt: skip


def why_not(verb: str, listing: Listing) -> DomainError | None:
    """The reason why a listing cannot be deleted, recovered or unlinked; None when it can."""
    sku, account = str(listing.product.sku), db.session.get_one(Account, listing.account_id)
    if listing.tiktok_id is None:
        return DomainError("listing.not_uploaded", f"{sku} is not on TikTok Shop.", "Nothing needs to be done.")
    if verb == UNLINK:
        return None
    if not account.active or not account.connected:
        why = "is not authorised" if account.active else "is disabled"
        return DomainError("account.not_connected", f"The account {account.title} {why}.", "See TikTok Account.")
    if verb == RECOVER and listing.marketplace_state != DELETED:
        return DomainError("listing.not_deleted", f"{sku} is not deleted on TikTok Shop.", "Nothing needs to be done.")
    if verb == DELETE and listing.marketplace_state in (DELETED, FROZEN, NOT_UPLOADED):
        return DomainError(
            "listing.not_deletable", f"TikTok Shop shows {sku} as {listing.remote_status}; such a product cannot be deleted.", "See Seller Center."
        )
    return None


def carry_out(verb: str, listing: Listing, *, started_by: str) -> runs.Submitted | str:
    """Delete or recover it with a run, or unlink it now (a sentence). Raises ``DomainError``."""
    refused = why_not(verb, listing)
    if refused is not None:
        raise refused
    if verb == UNLINK:
        return linking.unlink(listing.id, actor=started_by)
    return runs.submit(
        "products.change_status", account_id=listing.account_id, args={"action": verb}, items=[(str(listing.id), f"{listing.product.name} ({listing.product.sku})")],
        key=f"products.change_status:{listing.account_id}:{verb}:{listing.id}", started_by=started_by,
        title="Delete on TikTok Shop" if verb == DELETE else "Recover on TikTok Shop",
    )  # fmt: skip

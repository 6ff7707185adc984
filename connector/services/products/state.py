"""What TikTok has of a listing: read in one way, and written onto ``Listing`` and ``ListingSku`` in this one place (TTS §5.3.10, A170-A175)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import select

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.clock import from_epoch, utcnow
from connector.core.db import db
from connector.core.errors import DomainError, NotFoundError
from connector.domain.listing_body import ListingBody, body_of, live_body
from connector.domain.listing_diff import CONTENT, Change, changes
from connector.domain.listing_state import TROUBLES, WORDS, reasons_of, state_of, trouble_of
from connector.models.account import Account
from connector.models.listing import LIVE, NOT_UPLOADED, Listing, ListingSku
from connector.services import events
from connector.services.accounts.editing import get

#: Refusals of get product that mean: frozen, deleted, or not there any more (TTS §5.3.10).
_NOT_READABLE = frozenset({"tts.product.status", "tts.product.not_found", "tts.product.foreign"})
_SETTLE = timedelta(seconds=2)


def unknown(listing_id: int) -> NotFoundError:
    """What is raised for the id of no listing."""
    return NotFoundError("listing.unknown", f"There is no listing {listing_id}.", "It may have been removed; reload the page.")


@dataclass(frozen=True, slots=True)
class Read:
    """A product as TikTok shows it. ``whole``: from get product, not the short form of the search. ``content``: the version that holds the last edit,
    which is the one in review while there is one; None when it cannot be read."""

    product: Mapping[str, Any]
    whole: bool
    content: ListingBody | None


def fetch(client: TikTokClient, tiktok_id: str, seller_skus: Iterable[str] = ()) -> Read:
    """Read one product. Frozen and deleted ones are found by their seller SKUs; one that TikTok shows nowhere is told as ``DELETED``."""
    try:
        product = client.get_product(tiktok_id)
    except api.Rejected as refused:
        if refused.code not in _NOT_READABLE:
            raise
        wanted = [sku for sku in seller_skus if sku]
        head = next((one for one in client.products_by_seller_sku(wanted) if str(one.get("id")) == tiktok_id), None)
        return Read(head or {"id": tiktok_id, "status": "DELETED"}, False, None)
    audit = str((product.get("audit") or {}).get("status") or "")
    if audit == "AUDITING" and product.get("status") != "PENDING":
        return Read(product, True, live_body(client.get_product(tiktok_id, under_review=True)))
    return Read(product, True, None if audit == "FAILED" and product.get("status") == "ACTIVATE" else live_body(product))


def fetch_listing(client: TikTokClient, listing_id: int) -> Read:
    """``fetch`` for a listing that has a TikTok id; ends the reading transaction before the call."""
    tiktok_id = db.session.scalar(select(Listing.tiktok_id).where(Listing.id == listing_id))
    skus = db.session.scalars(select(ListingSku.seller_sku).where(ListingSku.listing_id == listing_id).order_by(ListingSku.position).limit(10)).all()
    db.session.commit()
    assert tiktok_id is not None
    return fetch(client, tiktok_id, skus)


def read(listing: Listing, product: Mapping[str, Any], *, whole: bool = True, content: ListingBody | None = None, sent: ListingBody | None = None) -> list[str]:
    """Write TikTok's product onto the listing and its SKUs, inside the caller's ``unit_of_work``; what changed, in words.

    ``whole`` False: ``product`` is the short form of the search, so the stored body stays. ``content``: the version that is compared with what we sent
    last (drift); None: not compared. ``sent``: the body that made the SKUs, to match them by variant when they have no seller SKU.
    """
    before, now = listing.marketplace_state, utcnow()
    listing.tiktok_id = str(product.get("id") or listing.tiktok_id)
    listing.remote_status = str(product.get("status") or "")[:40]
    listing.product_status = str(product.get("product_status") or listing.remote_status)[:40]
    if "audit" in product or whole:
        listing.audit_status = str((product.get("audit") or {}).get("status") or "")[:40]
    if whole or not reasons_of(product):
        listing.audit_reasons = reasons_of(product)
    listing.marketplace_state = state_of(product)
    listing.remote_updated_at = from_epoch(product.get("update_time")) or listing.remote_updated_at
    listing.read_at = now
    if whole:
        listing.live = dict(product)
    words = _told(listing, product, before)
    if "skus" in product:
        words += _read_skus(listing, product, sent)
    if content is not None:
        words += _drift(listing, content, sent)
    return words


def unread(listing: Listing) -> None:
    """Forget everything that TikTok has of it: it was unlinked."""
    listing.tiktok_id = None
    listing.remote_status = listing.product_status = listing.audit_status = ""
    listing.audit_reasons, listing.live, listing.drift = [], None, []
    listing.marketplace_state, listing.remote_updated_at, listing.status_due = NOT_UPLOADED, None, False
    listing.sent_hash, listing.sent_at, listing.upload_key, listing.upload_body = "", None, "", None
    clear_failure(listing)
    for sku in skus_of(listing):
        _forget(sku)


def fail(listing: Listing, code: str, message: str, remedy: str, *, retry_in: float | None = None) -> None:
    """Park the listing with its reason; the same one is not told twice."""
    if (listing.failure_code, listing.failure_message) != (code, message):
        events.record("listing.failed", "listing", listing.id, f"{message} {remedy}".strip(), account_id=listing.account_id, reason=code)
    listing.failure_code, listing.failure_message, listing.failure_remedy, listing.failed_at = code, message, remedy, utcnow()
    listing.retry_at = None if retry_in is None else utcnow() + timedelta(seconds=retry_in)


def clear_failure(listing: Listing) -> None:
    listing.failure_code, listing.failure_message, listing.failure_remedy, listing.failed_at, listing.retry_at = None, "", "", None, None


def skus_of(listing: Listing) -> Sequence[ListingSku]:
    return db.session.scalars(select(ListingSku).where(ListingSku.listing_id == listing.id).order_by(ListingSku.position)).all()


def sent_body(listing: Listing) -> ListingBody | None:
    """The body that TikTok accepted last, if we sent one."""
    return body_of(listing.upload_body) if listing.upload_body and not listing.upload_key else None


def _told(listing: Listing, product: Mapping[str, Any], before: str) -> list[str]:
    """Failure and event of a change of state."""
    trouble = trouble_of(product)
    if trouble is not None:
        fail(listing, trouble.code, trouble.message, trouble.remedy)
    elif listing.failure_code in TROUBLES:
        clear_failure(listing)
    if listing.marketplace_state == before:
        return []
    message = WORDS[listing.marketplace_state]
    if listing.remote_status == "PLATFORM_DEACTIVATED":
        message = "TikTok Shop has taken it off sale."
    elif listing.marketplace_state == "unknown":
        message = f"{message} It says {listing.remote_status}."
    events.record(
        f"listing.{listing.marketplace_state}", "listing", listing.id, message, account_id=listing.account_id,
        before={"state": before}, after={"state": listing.marketplace_state, "status": listing.remote_status, "audit": listing.audit_status},
        reason=trouble.message if trouble else "",
    )  # fmt: skip
    return [message]


# --- SKUs -----------------------------------------------------------------------------------------------------------------------------------


def _read_skus(listing: Listing, product: Mapping[str, Any], sent: ListingBody | None) -> list[str]:
    ours, theirs = skus_of(listing), list(product.get("skus") or [])
    differs, found = False, matched(ours, theirs, sent)
    for sku in ours:
        row = found.get(sku.id)
        if row is None:
            _forget(sku)
            continue
        sku.tiktok_sku_id = str(row["id"])
        price = _amount((row.get("price") or {}).get("amount"))
        if price is not None:
            sku.live_price = price
        if row.get("inventory") is not None:
            sku.live_warehouses = {str(place["warehouse_id"]): int(place.get("quantity") or 0) for place in row["inventory"]}
            sku.live_quantity = sum(sku.live_warehouses.values())
        differs |= sku.wanted_quantity is not None and sku.wanted_quantity != sku.live_quantity
        differs |= sku.wanted_price is not None and sku.wanted_price != sku.live_price
    if differs and listing.marketplace_state == LIVE and listing.due_at is None:
        # worked out anew before anything is sent: the difference may be a sale that is not counted yet
        listing.due_at, listing.due_reason = utcnow() + _SETTLE, "TikTok shows another price or quantity"
    strange = [str(row.get("seller_sku") or row.get("id")) for row in theirs if str(row["id"]) not in {str(one["id"]) for one in found.values()}]
    return [f"TikTok has variants that the Magento product lacks: {', '.join(strange)}."] if strange else []


def matched(ours: Sequence[ListingSku], theirs: Sequence[Mapping[str, Any]], sent: ListingBody | None = None) -> dict[int, Mapping[str, Any]]:
    """TikTok's SKU for each of ours, by ``ListingSku.id``: by the id that we know, by seller SKU case aside, else by the variant that was sent."""
    left = {str(row["id"]): row for row in theirs}
    found: dict[int, Mapping[str, Any]] = {sku.id: left.pop(sku.tiktok_sku_id) for sku in ours if sku.tiktok_sku_id in left}
    by_name = {str(row["seller_sku"]).casefold(): key for key, row in left.items() if row.get("seller_sku")}
    for sku in ours:
        if sku.id not in found and (key := by_name.get(sku.seller_sku_key)) in left:
            found[sku.id] = left.pop(key)
    lacking = [sku for sku in ours if sku.id not in found]
    if not lacking or not left or sent is None:
        return found
    shown = live_body({"skus": list(left.values())})
    ids = {sku.seller_sku.casefold(): sku.id for sku in sent.with_sku_ids(shown).skus if sku.id}
    return found | {sku.id: left.pop(ids[sku.seller_sku_key]) for sku in lacking if ids.get(sku.seller_sku_key) in left}


def _forget(sku: ListingSku) -> None:
    sku.tiktok_sku_id, sku.live_price, sku.live_quantity, sku.live_warehouses, sku.live_committed = "", None, None, {}, 0


def _amount(text: Any) -> Decimal | None:
    try:
        return Decimal(str(text)) if text else None
    except InvalidOperation:
        return None


# --- drift ----------------------------------------------------------------------------------------------------------------------------------


def differences(content: ListingBody, sent: ListingBody) -> list[Change]:
    """Fields of content that TikTok shows otherwise than they were sent; price and stock have their own read-back."""
    return [change for change in changes(content, sent) if change.kind == CONTENT]


def as_rows(found: Iterable[Change]) -> list[dict[str, Any]]:
    """Differences as ``Listing.drift`` keeps them."""
    return [{"field": one.field, "label": one.label, "now": one.now, "sent": one.send, "destructive": one.destructive} for one in found]


def _drift(listing: Listing, content: ListingBody, sent: ListingBody | None) -> list[str]:
    sent = sent or sent_body(listing)
    if sent is None:
        return []
    rows = as_rows(differences(content, sent))
    if rows == listing.drift:
        return []
    names = ", ".join(row["label"] for row in rows)
    message = f"TikTok Shop shows other values than were sent: {names}." if rows else "TikTok Shop shows what was sent again."
    events.record("listing.drift", "listing", listing.id, message, account_id=listing.account_id, before=listing.drift, after=rows)
    listing.drift = rows
    return [message]


# --- refusals that every action shares ------------------------------------------------------------------------------------------------------


def name_of(listing: Listing) -> str:
    """How messages call it: the SKU of its Magento product."""
    return str(listing.product.sku)


def working_account(account_id: int) -> Account:
    """The account, which must be able to work. Raises ``DomainError``."""
    account = get(account_id)
    if not account.active:
        raise DomainError("listing.account_inactive", f"The account {account.title} is disabled.", "Enable it on the Accounts page.")
    if not account.connected:
        raise DomainError("listing.account_not_connected", f"The account {account.title} is not authorised.", "Authorise it on the Accounts page.")
    return account


def refuse_disabled_template(listing: Listing) -> None:
    """A disabled template's products can be neither uploaded nor acted upon (product.md 5). Raises ``DomainError``."""
    template = listing.template
    if template is not None and not template.enabled:
        raise DomainError(
            "listing.template_disabled",
            f"{name_of(listing)} belongs to the listing template {template.name}, which is disabled.",
            "Enable the template on the Listing Templates page, or assign the product to another one.",
        )

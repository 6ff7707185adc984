"""Upload: validate, pictures, create or edit, read back, wait for the audit (A158, A177; TTS §5.3.8-§5.3.13).

One product at a time, claimed with a lease. A create is stored with its idempotency key before it is sent and looked up before it is repeated, so
that one Magento product never becomes two on TikTok. Accepted is not done: every field is compared with what TikTok shows afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select, update

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient, explain_all
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain.listing_body import ListingBody
from connector.domain.listing_codes import ListingProblem
from connector.domain.listing_diff import Change
from connector.models.account import Account
from connector.models.listing import DELETED, FROZEN, LIVE, Listing, ListingSku
from connector.services import connections, events
from connector.services.products import creating, drafts, evaluate, images, prerequisites, price_push, send_only, state, status_sync, stock_push, validate
from connector.services.products.claims import CLAIM, Claim, busy
from connector.services.products.drafts import Prepared

Stage = Callable[[str], None]

VALIDATING, PICTURES, CREATING, EDITING, READING, REVIEW = (
    "Validating", "Uploading pictures", "Creating on TikTok Shop", "Editing on TikTok Shop", "Reading back", "In review",
)  # fmt: skip
#: An edit waits that long for the audit of the version before it.
AUDIT_WAIT = 180.0


class Waits(DomainError):
    """It cannot go out now and will by itself, after about ``seconds``; nobody needs to press anything."""

    def __init__(self, code: str, message: str, remedy: str, seconds: float) -> None:
        super().__init__(code, message, remedy)
        self.seconds = seconds


@dataclass
class Uploads:
    """What the uploads of one pass share. ``blocked``: why new products have to wait, once one of them has found out: (code, message, remedy)."""

    blocked: tuple[str, str, str] | None = None
    common: drafts.Common = field(default_factory=drafts.Common)


@dataclass(frozen=True, slots=True)
class _Work:
    """A claimed listing with what is needed to send it."""

    listing: Listing
    account: Account
    client: TikTokClient
    claim: Claim
    stage: Stage
    shared: Uploads


def upload_one(
    listing_id: int, *, seen_fingerprint: str | None = None, stage: Stage = lambda words: None, shared: Uploads | None = None, last_try: bool = False
) -> str:
    """Bring one listing to TikTok; what came of it, in a sentence.

    ``seen_fingerprint``: of the dry run that a person has seen; refused when it would be another one now. ``last_try``: an outage is parked as well. Raises ``DomainError`` (parked on the
    listing), ``Waits``, and ``ApiError`` for what should be tried again.
    """
    with _claimed(listing_id) as claim:
        listing = _again(listing_id)
        account = state.working_account(listing.account_id)
        work = _Work(listing, account, connections.tiktok(account.id), claim, stage, shared or Uploads())
        try:
            _refuse(listing)
            work_out([listing_id])
            message, sent = _upload(work, seen_fingerprint)
        except Waits as later:
            _park(listing_id, later, later.seconds)
            raise
        except DomainError as refused:
            _park(listing_id, refused)
            raise
        except (api.Unavailable, api.Uncertain) as away:
            if last_try:
                code, title, advice = api.describe(away)
                _park(listing_id, DomainError(code, f"{title}: {away}", advice))
            raise
        except api.Unauthorized:
            raise
        except api.ApiError as refused:
            found = _in_words(refused, state.name_of(listing))
            _park(listing_id, found, found.seconds if isinstance(found, Waits) else None)
            if isinstance(found, Waits) and listing.tiktok_id is None:
                work.shared.blocked = (found.code, found.message, found.remedy)
            raise found from refused
    return message + (_offers(listing_id) if sent else "")


def work_out(listing_ids: Sequence[int]) -> None:
    """Evaluate those that were assigned a moment ago and have no variants yet: without them nobody sees that a seller SKU is taken, nor whose stock is sent."""
    for first in range(0, len(listing_ids), drafts.BATCH):
        wanted = listing_ids[first : first + drafts.BATCH]
        known = set(db.session.scalars(select(ListingSku.listing_id).where(ListingSku.listing_id.in_(wanted))))
        end_reading()
        if new := [each for each in wanted if each not in known]:
            evaluate.evaluate(new, reason="Upload")


# --- the chain ------------------------------------------------------------------------------------------------------------------------------


def _upload(work: _Work, seen: str | None) -> tuple[str, bool]:
    """The sentence, and whether an existing product was edited, whose price and stock follow by their own endpoints."""
    listing, client = work.listing, work.client
    work.stage(VALIDATING)
    if listing.upload_key and listing.tiktok_id is None:
        adopted = creating.resume(client, listing.id)
        if adopted is not None:
            return _created(work, adopted), False
    prepared = _prepare(work, seen)
    body = prepared.body
    assert body is not None
    listing = _again(listing.id)
    if listing.tiktok_id is None:
        if work.shared.blocked is not None:
            raise Waits(*work.shared.blocked, seconds=prerequisites.AGAIN)
        work.stage(CREATING)
        return _created(work, creating.create(client, listing.id, body)), False
    found = state.fetch_listing(client, listing.id)
    status_sync.write(listing.id, found)
    listing = _again(listing.id)
    _refuse(listing)
    _wait_for_audit(listing)
    if found.content is not None:
        body = body.with_sku_ids(found.content)
    refused = listing.remote_status in ("FAILED", "DRAFT") or listing.audit_status == "FAILED"
    if listing.sent_hash and prepared.content_hash == listing.sent_hash and not listing.drift and not refused:
        return f"Nothing to send: TikTok Shop has everything as it should be ({listing.remote_status}).", True
    if seen is None:
        _keep_strangers(listing, body, found.content)
    return _edit(work, listing, body, found, prepared, refused=refused), True


def _prepare(work: _Work, seen: str | None) -> Prepared:
    """The listing as it goes out, pictures hosted, without problems. Raises ``DomainError`` with the first problem and the number of others."""
    listing_id = work.listing.id
    prepared = _prepared(work)
    if seen is not None and prepared.fingerprint != seen:
        raise DomainError(
            "listing.changed_since", f"{state.name_of(work.listing)} is no longer as the preview showed it, so nothing was sent.",
            "Look at the preview again and confirm it.",
        )  # fmt: skip
    if not prepared.refusals and prepared.needed_files:
        work.stage(PICTURES)
        if images.host(work.account, work.listing.product.magento_id, prepared.needed_files) != prepared.hosted:
            prepared = _prepared(work)
    validate.keep({listing_id: prepared})
    if prepared.refusals or prepared.body is None:
        raise _not_ready(work.listing, prepared.refusals)
    work.claim.prolong()
    return prepared


def _prepared(work: _Work) -> Prepared:
    found = drafts.prepare([work.listing.id], common=work.shared.common).get(work.listing.id)
    end_reading()
    if found is None:
        raise state.unknown(work.listing.id)
    return found


def _created(work: _Work, made: creating.Created) -> str:
    """Record a new product after it was read; TikTok's warnings name what it cleared."""
    listing_id = work.listing.id
    work.stage(READING)
    lacking = creating.record(listing_id, made)
    work.stage(REVIEW)
    warned = f" TikTok Shop warns: {'; '.join(made.warnings)}." if made.warnings else ""
    if lacking:
        return f"In review as {made.product['id']}, but TikTok Shop does not show everything that was sent: {lacking}.{warned}"
    return f"In review as {made.product['id']}.{warned}" if made.product.get("status") == "PENDING" else f"On TikTok Shop as {made.product['id']}.{warned}"


def _edit(work: _Work, listing: Listing, body: ListingBody, found: state.Read, prepared: Prepared, *, refused: bool) -> str:
    """Send the whole body, or the chosen attributes only, and read it back; once more when TikTok accepted it without effect."""
    client, chosen = work.client, send_only.codes(work.account)
    partial = send_only.part(body, found.content or ListingBody(), chosen, prepared) if chosen and found.content is not None else None
    if partial is not None and not partial.fields:
        return f"Nothing to send: the synchronization policy sends only {', '.join(chosen)}, and none of them belongs to this listing."
    expected = partial.expected if partial is not None else body
    if not refused and found.content is not None and not state.differences(found.content, expected):
        _sent(listing.id, expected, [], prepared.content_hash)
        return f"Nothing to send: TikTok Shop already shows all of it ({listing.remote_status})."
    lacking: list[Change] = []
    warnings: tuple[str, ...] = ()
    for _ in range(2):
        work.stage(EDITING)
        if partial is not None:
            saved = client.partial_edit_product(str(listing.tiktok_id), partial.fields)
        else:
            saved = client.edit_product(str(listing.tiktok_id), body.as_dict(edit=True))
        warnings = saved.warnings
        work.stage(READING)
        read = state.fetch_listing(client, listing.id)
        lacking = [] if read.content is None else state.differences(read.content, expected)
        if not lacking or warnings:
            break
    _sent(listing.id, expected, lacking, prepared.content_hash if not lacking or warnings else "", read=read)
    names = ", ".join(change.label for change in lacking)
    warned = f" TikTok Shop warns: {'; '.join(warnings)}." if warnings else ""
    if lacking:
        raise DomainError(
            "listing.not_applied", f"TikTok Shop accepted the edit of {state.name_of(listing)}, but does not show: {names}.{warned}",
            "The differences are listed on the product. Correct what TikTok Shop clears, or upload again in a while.",
        )  # fmt: skip
    work.stage(REVIEW)
    audit = str((read.product.get("audit") or {}).get("status") or "")
    return f"Edited; in review, the version before it stays live meanwhile.{warned}" if audit == "AUDITING" else f"Edited and read back.{warned}"


def _sent(listing_id: int, expected: ListingBody, lacking: list[Change], content_hash: str, *, read: state.Read | None = None) -> None:
    with unit_of_work() as session:
        listing = session.get(Listing, listing_id, populate_existing=True, with_for_update=True)
        assert listing is not None
        listing.upload_body, listing.upload_key = expected.as_dict(), ""
        listing.sent_hash = content_hash
        state.clear_failure(listing)
        if read is not None:
            listing.sent_at = utcnow()
            state.read(listing, read.product, whole=read.whole, sent=expected)
            events.record("listing.edited", "listing", listing_id, "Sent to TikTok Shop and read back.", account_id=listing.account_id)
        listing.drift = state.as_rows(lacking)


def _offers(listing_id: int) -> str:
    """Price and stock of SKUs that exist go by their own endpoints, after the claim is given back; what is refused there is shown there."""
    if db.session.scalar(select(Listing.marketplace_state).where(Listing.id == listing_id)) != LIVE:
        return ""
    end_reading()
    try:
        stock_push.push(listing_id)
        price_push.push(listing_id)
    except (DomainError, api.ApiError) as error:
        return f" Price or stock follow later: {error}"
    return ""


# --- refusals -------------------------------------------------------------------------------------------------------------------------------


def _refuse(listing: Listing) -> None:
    name = state.name_of(listing)
    if listing.template is None:
        raise DomainError(
            "listing.no_template", f"{name} has no listing template, so there is nothing to make a listing of.", "Assign it to a listing template."
        )
    state.refuse_disabled_template(listing)
    if listing.marketplace_state == FROZEN:
        raise DomainError(
            "listing.frozen", f"TikTok Shop has frozen {name} (FREEZE), so it cannot be changed.", "Read the violation in Seller Center and appeal there."
        )
    if listing.marketplace_state == DELETED:
        raise DomainError("listing.deleted", f"{name} was deleted on TikTok Shop.", "Recover it, or unlink it here; then Upload makes a new product of it.")


def _wait_for_audit(listing: Listing) -> None:
    """A product in its first audit takes no edit; a live one in re-audit does, but only the last version would ever be seen (TTS §5.3.10, §5.3.12)."""
    if listing.remote_status == "PENDING":
        raise Waits(
            "listing.in_audit", f"{state.name_of(listing)} is in TikTok Shop's audit (PENDING); it cannot be edited before that ends.",
            "Nothing to do: it is sent when the audit has ended.", AUDIT_WAIT,
        )  # fmt: skip


def _keep_strangers(listing: Listing, body: ListingBody, live: ListingBody | None) -> None:
    """A variant that is left out of an edit is deleted (TTS §5.3.12). One that we never sent goes only after a person has seen it in the preview."""
    sent = state.sent_body(listing)
    known = {sku.seller_sku.casefold() for sku in (*body.skus, *(sent.skus if sent else ()))}
    kept = {sku.id for sku in body.skus}
    lost = [sku.label for sku in (live.skus if live else ()) if sku.id not in kept and sku.seller_sku.casefold() not in known]
    if lost:
        raise DomainError(
            "listing.would_delete", f"{state.name_of(listing)} has variants on TikTok Shop that Magento lacks: {', '.join(lost)}. An edit would delete them.",
            "Look at the preview and confirm it there, or add the variants in Magento.",
        )  # fmt: skip


def _not_ready(listing: Listing, faults: list[ListingProblem]) -> DomainError:
    more = f" And {len(faults) - 1} more." if len(faults) > 1 else ""
    return DomainError("listing.not_ready", f"{state.name_of(listing)} is not ready: {faults[0].message}{more}", faults[0].remedy, field=faults[0].field)


def _in_words(error: api.ApiError, name: str) -> DomainError:
    """TikTok's refusal, its words verbatim; one that is about the shop, not the product, waits."""
    extra = tuple(error.parameters) if isinstance(error.parameters, tuple) else ()
    if error.remote_code is None:
        code, title, advice = api.describe(error)
        return DomainError(code, f"{name}: {title}. {error}", advice)
    causes = explain_all(error.remote_code, error.remote_message or str(error), extra)
    said = "; ".join(f"{cause.message} ({cause.code})" for cause in causes)
    remedy = " ".join(dict.fromkeys(cause.remedy for cause in causes))
    shop = next((cause for cause in causes if cause.family in prerequisites.SHOP_FAULTS), None)
    if shop is not None:
        return Waits(shop.family, f"{shop.title}. TikTok Shop answered: {said}.", shop.remedy, prerequisites.AGAIN)
    return DomainError(causes[0].family, f"TikTok Shop refused {name}: {said}.", remedy)


# --- the claim ------------------------------------------------------------------------------------------------------------------------------


@contextmanager
def _claimed(listing_id: int) -> Iterator[Claim]:
    """Make this worker the only one that writes the product. Raises ``Unavailable`` while another one does."""
    now = utcnow()
    claim = Claim([listing_id], now + CLAIM + timedelta(microseconds=random.randrange(1_000_000)))
    with unit_of_work() as session:
        taken = session.execute(
            update(Listing)
            .where(Listing.id == listing_id, or_(Listing.busy_until.is_(None), Listing.busy_until <= now))
            .values(busy_until=claim.until, updated_at=Listing.updated_at)
            .execution_options(synchronize_session=False)
        ).rowcount
    if taken != 1:
        raise busy(_again(listing_id).busy_until)
    try:
        yield claim
    finally:
        db.session.rollback()
        claim.give_back()


def _again(listing_id: int) -> Listing:
    """The listing as it is now, with the rows around it; leaves no transaction open."""
    listing = db.session.get(Listing, listing_id, populate_existing=True)
    if listing is None:
        raise state.unknown(listing_id)
    _ = listing.product, listing.template, listing.account
    end_reading()
    return listing


def _park(listing_id: int, error: DomainError, retry_in: float | None = None) -> None:
    with unit_of_work() as session:
        listing = session.get(Listing, listing_id, populate_existing=True)
        if listing is not None:
            state.fail(listing, error.code, error.message, error.remedy, retry_in=retry_in)


def seen_of(args: Mapping[str, Any], ref: str) -> str | None:
    """The fingerprint that a person confirmed for this item, from the run's ``args``: ``{"seen": {listing id: fingerprint}}``."""
    found = (args.get("seen") or {}).get(ref)
    return None if found is None else str(found)

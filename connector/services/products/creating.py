"""Creating one product on TikTok, once (TTS §3.6, §5.3.8).

Key and body are stored before they are sent. Before every create the shop is searched for the seller SKUs: a product that is there with our external
id is ours (its answer was lost, or the worker died), any other one is somebody else's and is named instead of being doubled.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain.listing_body import ListingBody, body_of, live_body
from connector.domain.listing_state import UNREADABLE
from connector.models.listing import Listing
from connector.services import events
from connector.services.products import state
from connector.services.products.drafts import content_hash

#: How long a product that was accepted may take to be readable.
SHOWS_IN = 30.0


@dataclass(frozen=True, slots=True)
class Created:
    """``product``: as get product shows it. ``body``: what was sent. ``foreign``: it was there before and was not made by this body."""

    product: Mapping[str, Any]
    body: ListingBody
    warnings: tuple[str, ...] = ()
    foreign: bool = False


def resume(client: TikTokClient, listing_id: int) -> Created | None:
    """Finish a create whose end is not known: take the product over when it is there, else send the same body with the same key again.

    None when TikTok refuses that body now: then nothing was created, and a new one may be made.
    """
    listing = _listing(listing_id)
    body, name = body_of(listing.upload_body or {}), state.name_of(listing)
    there = find(client, body, name)
    if there is not None:
        return Created(there, body)
    try:
        return _send(client, listing_id, body)
    except api.Rejected:
        return None


def create(client: TikTokClient, listing_id: int, body: ListingBody) -> Created:
    """Make the product. Raises ``DomainError`` when TikTok already has another one with these SKUs, and ``ApiError``."""
    there = find(client, body, state.name_of(_listing(listing_id)))
    if there is not None:
        return Created(there, body, foreign=True)
    with unit_of_work() as session:
        listing = session.get(Listing, listing_id, populate_existing=True, with_for_update=True)
        assert listing is not None
        if listing.upload_key or listing.tiktok_id:  # another worker took this one for dead
            raise api.Unavailable(
                f"{state.name_of(listing)} is being created by another worker", system="connector", operation="upload", code="listing.busy", retry_after=5
            )
        listing.upload_key, listing.upload_body = uuid.uuid4().hex, body.as_dict()
    return _send(client, listing_id, body)


def find(client: TikTokClient, body: ListingBody, name: str) -> Mapping[str, Any] | None:
    """The product of this body that the shop has already, by seller SKU and external id. Raises ``DomainError`` when the SKU is another product's."""
    wanted = {sku.seller_sku.casefold() for sku in body.skus if sku.seller_sku}
    for head in client.products_by_seller_sku([sku.seller_sku for sku in body.skus if sku.seller_sku]):
        skus = [str(sku.get("seller_sku") or "") for sku in head.get("skus") or []]
        if head.get("status") in UNREADABLE or not wanted & {sku.casefold() for sku in skus}:
            continue
        product = client.get_product(str(head["id"]))
        if body.external_product_id and str(product.get("external_product_id") or "") == body.external_product_id:
            return product
        shared = ", ".join(sku for sku in skus if sku.casefold() in wanted)
        raise DomainError(
            "listing.sku_on_tiktok", f"TikTok Shop already has the product {head['id']} ({head.get('title')}) with the seller SKU {shared}, so {name} was not created a second time.",
            "Link that product on the Product Linking page, or change the SKU on one side.",
        )  # fmt: skip
    return None


def record(listing_id: int, made: Created) -> str:
    """Write the new product down; the labels of what TikTok does not show of it. Raises ``DomainError`` when another listing holds the product."""
    tiktok_id = str(made.product["id"])
    shown = live_body(made.product)
    lacking = state.differences(shown, made.body.with_sku_ids(shown))
    try:
        with unit_of_work() as session:
            listing = session.get(Listing, listing_id, populate_existing=True, with_for_update=True)
            assert listing is not None
            listing.tiktok_id, listing.upload_key, listing.upload_body = tiktok_id, "", made.body.with_sku_ids(shown).as_dict()
            listing.sent_hash, listing.sent_at = ("" if made.foreign else content_hash(made.body)), utcnow()
            state.clear_failure(listing)
            what = "Found on TikTok Shop, and taken over" if made.foreign else "Created on TikTok Shop"
            events.record(
                "listing.created", "listing", listing_id, f"{what} as {tiktok_id}.", account_id=listing.account_id, after={"warnings": list(made.warnings)}
            )
            state.read(listing, made.product, sent=made.body)
            listing.drift = state.as_rows(lacking)
            names = ", ".join(change.label for change in lacking)
            if lacking and not made.foreign:
                said = f" It warned: {'; '.join(made.warnings)}." if made.warnings else ""
                state.fail(
                    listing, "listing.not_applied", f"TikTok Shop accepted the product, but does not show: {names}.{said}",
                    "Correct what TikTok Shop clears, then upload again when the audit has ended.",
                )  # fmt: skip
            session.flush()
            return names
    except IntegrityError as error:
        raise DomainError(
            "listing.taken",
            f"The TikTok product {tiktok_id} belongs to another listing of this account.",
            "Unlink it there first, on the Product Linking page.",
        ) from error


def _send(client: TikTokClient, listing_id: int, body: ListingBody) -> Created:
    """Send the stored key and body, and read the product. Accepted but not to be found is sent once more: the same key makes no second one."""
    listing = _listing(listing_id)
    key, stored = listing.upload_key, listing.upload_body or {}
    for _ in range(2):
        try:
            saved = client.create_product(stored, idempotency_key=key)
        except api.Rejected:
            _forget_key(listing_id)  # refused: nothing was made, and a corrected body needs a key of its own
            raise
        try:
            return Created(client.get_product(saved.product_id), body, saved.warnings)
        except api.NotFound:
            continue
    raise api.Unavailable(
        f"TikTok Shop accepted {state.name_of(listing)} as {saved.product_id}, but does not show it yet", system="tiktok", operation="create_product",
        code="listing.not_applied", retry_after=SHOWS_IN,
    )  # fmt: skip


def _forget_key(listing_id: int) -> None:
    with unit_of_work() as session:
        listing = session.get(Listing, listing_id, populate_existing=True)
        assert listing is not None
        listing.upload_key, listing.upload_body = "", None


def _listing(listing_id: int) -> Listing:
    listing = db.session.get(Listing, listing_id, populate_existing=True)
    assert listing is not None
    _ = listing.product
    end_reading()
    return listing

"""Seller SKUs and identifier codes that others of an account have already: TikTok takes each of them once (TTS §3.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, exists, select

from connector.core.db import db, in_parts
from connector.domain.listing_body import ListingBody
from connector.models.listing import Listing, ListingSku, ListingTemplate, TikTokProduct
from connector.models.product import Product
from connector.services.products.evaluation_facts import SIMPLE


@dataclass(slots=True)
class InUse:
    """Seller SKUs and identifier codes that are in use in the account: by which listing, 0 for products on TikTok that are linked to none."""

    by_sku: dict[str, set[int]] = field(default_factory=dict)
    by_code: dict[str, set[int]] = field(default_factory=dict)

    def facts(self, listing_id: int, body: ListingBody) -> dict[str, frozenset[str]]:
        """The fields of ``ShopFacts`` for one listing: what others than itself have."""
        skus = {sku.seller_sku.casefold() for sku in body.skus}
        found = {sku.identifier.code for sku in body.skus if sku.identifier}
        return {
            "taken_seller_skus": frozenset(key for key in skus if self.by_sku.get(key, set()) - {listing_id}),
            "taken_identifiers": frozenset(code for code in found if self.by_code.get(code, set()) - {listing_id}),
        }


def in_use(account_id: int, skus: set[str], codes: set[str]) -> InUse:
    """Who has these seller SKUs (casefolded) and identifier codes; "" is nobody's."""
    taken = InUse()
    for part in in_parts(skus - {""}):
        query = select(ListingSku.seller_sku_key, ListingSku.listing_id).where(ListingSku.account_id == account_id, ListingSku.seller_sku_key.in_(part))
        for key, listing_id in db.session.execute(query):
            taken.by_sku.setdefault(key, set()).add(listing_id)
        for key, listing_id, options in db.session.execute(_to_be_worked_out(account_id).where(Product.sku_key.in_(part))):
            if (options or {}).get("seller_sku_attribute", "sku") in ("", "sku"):
                taken.by_sku.setdefault(key, set()).add(listing_id)
    strangers = select(TikTokProduct.seller_skus).where(
        TikTokProduct.account_id == account_id, TikTokProduct.listing_id.is_(None), TikTokProduct.status != "DELETED"
    )
    for text in db.session.scalars(strangers) if skus - {""} else ():
        for key in set(text.casefold().split("\n")) & skus:
            taken.by_sku.setdefault(key, set()).add(0)
    for part in in_parts(codes - {""}):
        query = select(ListingSku.identifier, ListingSku.listing_id).where(
            ListingSku.account_id == account_id, ListingSku.identifier.in_(part), ListingSku.tiktok_sku_id != ""
        )
        for code, listing_id in db.session.execute(query):
            taken.by_code.setdefault(code, set()).add(listing_id)
    return taken


def _to_be_worked_out(account_id: int) -> Select[Any]:
    """SKU, listing and template options of simple products that were assigned a moment ago: their variants are written by the first evaluation."""
    query = select(Product.sku_key, Listing.id, ListingTemplate.options).join(Listing, Listing.product_id == Product.id).join(Listing.template)
    worked_out = exists().where(ListingSku.listing_id == Listing.id)
    return query.where(Listing.account_id == account_id, Product.type_id.in_(SIMPLE), Product.gone_at.is_(None), ~worked_out)

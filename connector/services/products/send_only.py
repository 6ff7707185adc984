"""The synchronization policy's "Send only these attributes": which parts of a listing an edit may touch (product.md 4; TTS §5.3.13)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from connector.core.db import end_reading
from connector.domain.attribute_mapping import mapping_for
from connector.domain.listing_body import ListingBody, ProductAttribute, SkuBody
from connector.models.account import Account
from connector.services.products import switches
from connector.services.products.drafts import Prepared

#: Magento's codes for pictures, whatever the image policy takes the main one from.
_PICTURES = frozenset({"image", "small_image", "thumbnail", "media_gallery"})


@dataclass(frozen=True, slots=True)
class Part:
    """``fields``: the body of the partial edit. ``expected``: what TikTok must show afterwards."""

    fields: dict[str, Any]
    expected: ListingBody


def codes(account: Account) -> tuple[str, ...]:
    """The Magento attributes that edits of this account are limited to; () for no limit."""
    try:
        policy = switches.in_force(account).body
    except LookupError:
        return ()
    finally:
        end_reading()
    return tuple(code for code in policy.send_only if code)


def part(body: ListingBody, live: ListingBody, chosen: Collection[str], prepared: Prepared) -> Part:
    """The properties of ``body`` that come from the chosen attributes. Each replaces TikTok's whole property, so attributes that were not chosen go
    along as TikTok has them. ``prepared``: from ``drafts.prepare``."""
    plan, wanted = prepared.plan, set(chosen)
    assert plan is not None
    assert prepared.image_policy is not None
    assert prepared.product is not None
    fields: list[str] = []
    if plan.title_attribute in wanted:
        fields.append("title")
    if plan.description_attribute in wanted:
        fields.append("description")
    if wanted & {*_PICTURES, prepared.image_policy.main_image_attribute}:
        fields.append("main_images")
    if "weight" in wanted:
        fields.append("package_weight")
    if wanted & set(plan.dimension_attributes):
        fields.append("package_dimensions")
    expected = replace(live, **{name: getattr(body, name) for name in fields})
    attributes = [
        each.id for each in plan.category.product_attributes()
        if (mapping := mapping_for(plan.mappings, each.id, plan.category.id)) is not None and mapping.magento_attribute in wanted
    ]  # fmt: skip
    if attributes:
        fields.append("product_attributes")
        expected = replace(expected, product_attributes=_merged(live.product_attributes, body.product_attributes, attributes))
    if wanted & {*prepared.product.axes, plan.seller_sku_attribute, plan.identifier_attribute} - {""}:
        fields.append("skus")
        expected = replace(expected, skus=body.skus)
    as_sent = expected.as_dict(edit=False)
    return Part({name: _skus(expected.skus) if name == "skus" else as_sent[name] for name in fields if name in as_sent}, expected)


def _merged(live: Iterable[ProductAttribute], ours: Iterable[ProductAttribute], chosen: Collection[str]) -> tuple[ProductAttribute, ...]:
    kept = [each for each in live if each.id not in chosen]
    return (*kept, *(each for each in ours if each.id in chosen))


def _skus(skus: Iterable[SkuBody]) -> list[dict[str, Any]]:
    """Partial edit wants all SKUs with all their fields, price and stock among them (TTS §5.3.13)."""
    return [sku.as_dict() for sku in skus]

"""A listing field by field: what Magento has, what would be sent, what TikTok shows now, and what waits for its review (product.md 5 and 14).

From what is stored, without a call. The differences are those of the dry run, so that a product's page and its preview never disagree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from connector.core.db import db
from connector.domain.attribute_mapping import mapping_for
from connector.domain.listing_body import Choice, Dimensions, Identifier, ListingBody, Measure, SkuBody
from connector.domain.listing_diff import LABELS, Change
from connector.models.account import ShopReference
from connector.models.listing import ListingSku
from connector.models.product import HostedImage, Product, SourceImage
from connector.services.products import state
from connector.services.products.diff import Diff
from connector.services.products.drafts import PENDING, Prepared

TEXT, HTML, PICTURES = "text", "html", "pictures"
_ID = re.compile(r"\b\d{5,}\b")
_UNITS = {"KILOGRAM": "kg", "GRAM": "g", "POUND": "lb", "CENTIMETER": "cm", "INCH": "in"}


@dataclass(frozen=True, slots=True)
class Picture:
    """``file``: how Magento names it, "" for one that did not come from there; ``address``: where TikTok shows it; ``words``: what it is."""

    file: str
    address: str
    words: str
    product_id: int | None = None  #: whose picture it is, when it is not the listing's own product


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One field. The values are text, HTML of a description, or pictures, as ``kind`` says; None: there is nothing to say there."""

    key: str
    label: str
    magento: Any = None
    send: Any = None
    live: Any = None
    review: Any = None
    why: str = ""
    kind: str = TEXT
    differs: bool = False
    destructive: bool = False


@dataclass(slots=True, kw_only=True)
class Variant:
    """One SKU: ``sku`` is our row of it, None for one that stands on TikTok only. Quantities are units, prices in ``currency``."""

    seller_sku: str
    values: str = ""
    live_values: str = ""
    identifier: str = ""
    live_identifier: str = ""
    magento_price: Decimal | None = None
    magento_quantity: int | None = None
    price: Decimal | None = None
    currency: str = ""
    quantity: int | None = None
    live_price: Decimal | None = None
    live_quantity: int | None = None
    on_tiktok: bool = False
    sku: ListingSku | None = None
    product_id: int | None = None
    picture: str = ""
    lost: bool = False  #: the next edit deletes it on TikTok
    notes: list[str] = field(default_factory=list)

    @property
    def price_differs(self) -> bool:
        return self.on_tiktok and self.price is not None and self.price != self.live_price

    @property
    def quantity_differs(self) -> bool:
        return self.on_tiktok and self.quantity is not None and self.quantity != self.live_quantity

    @property
    def details_differ(self) -> bool:
        return self.on_tiktok and not self.lost and bool(self.live_values) and (self.values, self.identifier) != (self.live_values, self.live_identifier)


@dataclass(frozen=True, slots=True)
class Page:
    rows: tuple[Row, ...]
    variants: tuple[Variant, ...]
    in_review: bool  #: whether the rows have something to say of a version in review


def of(one: Prepared, found: Diff) -> Page:
    """``found``: the dry run of the same listing."""
    names = _Names(one)
    review = state.sent_body(one.listing) if found.review is not None and one.live is not None else None
    changed = {change.field: change for change in found.changes}
    return Page(tuple(_rows(one, review, changed, names)), tuple(_variants(one, names)), review is not None)


def warehouses(account_id: int) -> dict[str, str]:
    """Names of TikTok's warehouses by id."""
    query = select(ShopReference.remote_id, ShopReference.name).where(ShopReference.account_id == account_id, ShopReference.kind == "warehouse")
    return {remote_id: name or remote_id for remote_id, name in db.session.execute(query)}


class Words:
    """A dry run's changes as people read them: names in place of TikTok's ids, pictures in place of their uris."""

    def __init__(self, one: Prepared) -> None:
        self._names, self._places = _Names(one), warehouses(one.listing.account_id)

    def label(self, change: Change) -> str:
        """With the name of its warehouse."""
        place = change.field.rpartition(".inventory[")[2].rstrip("]") if ".inventory[" in change.field else ""
        return change.label.replace(place, self._places[place]) if place in self._places else change.label

    def text(self, change: Change, side: str) -> str:
        """``side``: the change's ``now`` or ``send``."""
        if change.field == "category_id":
            return self._names.category(side)
        if change.field == "brand_id":
            return self._names.brand(side)
        if change.field.startswith("product_attributes[") or change.field.endswith((".sales_attributes", "]")):
            return _ID.sub(lambda found: self._names.known(found[0]), side)
        return side

    def pictures(self, change: Change, side: str) -> tuple[Picture, ...]:
        """Of a change of pictures; () for every other one."""
        if not (change.field == "main_images" or change.field.endswith(".sku_img")) or not side:
            return ()
        return tuple(self._names.picture(uri.replace("to be uploaded: ", PENDING), place) for place, uri in enumerate(side.split(", "), 1))


# --- the product's own fields ---------------------------------------------------------------------------------------------------------------


class _Names:
    """Names for the ids that bodies hold, and where their pictures came from."""

    def __init__(self, one: Prepared) -> None:
        listing, self._shown = one.listing, dict(one.listing.live or {})
        self.files = {image.uri: source for source, image in one.hosted.images.items()}
        self.files |= self._uploaded_before(one)
        query = select(Product.id, Product.image).join(ListingSku, ListingSku.product_id == Product.id).where(ListingSku.listing_id == listing.id)
        self._owners = {image: product_id for product_id, image in db.session.execute(query) if product_id != listing.product_id}
        self.addresses = {str(image.get("uri")): str((image.get("urls") or [""])[0]) for image in self._shown.get("main_images") or ()}
        self._categories: dict[str, str] = {}
        if listing.template is not None:
            self._categories[listing.template.category_id] = listing.template.category_path
        chain = self._shown.get("category_chains") or []
        if chain:
            self._categories.setdefault(str(chain[-1].get("id")), " > ".join(str(each.get("local_name") or each.get("id")) for each in chain))
        brand = self._shown.get("brand") or {}
        self._brands = {str(brand.get("id")): str(brand.get("name") or "")} if brand else {}
        self.attributes = {str(each["id"]): str(each.get("name") or each["id"]) for each in self._shown.get("product_attributes") or ()}
        self._choices: dict[str, str] = {}
        if one.plan is not None:
            for attribute in one.plan.category.attributes.values():
                self.attributes[attribute.id] = attribute.name
                self._choices |= attribute.values

    def _uploaded_before(self, one: Prepared) -> dict[str, str]:
        """Magento's names of pictures that TikTok shows and that would not be sent any more."""
        shown = {uri for body in (one.live, state.sent_body(one.listing)) if body for uri in (*body.main_images, *_sku_pictures(body))} - set(self.files)
        query = (
            select(HostedImage.uri, SourceImage.source)
            .join(SourceImage, SourceImage.hosted_id == HostedImage.id)
            .where(HostedImage.uri.in_(shown), SourceImage.magento_id == one.record.magento_id)
        )
        return dict(db.session.execute(query).all()) if shown else {}

    def category(self, key: str) -> str:
        return self._categories.get(key) or key

    def brand(self, key: str) -> str:
        return self._brands.get(key) or key

    def choices(self, values: Sequence[Choice]) -> str:
        return ", ".join(choice.name or self._choices.get(choice.id, choice.id) for choice in values)

    def known(self, key: str) -> str:
        """The name of an attribute or of a value, by its id."""
        return self._choices.get(key) or self.attributes.get(key, key)

    def variant(self, sku: SkuBody) -> str:
        return " / ".join(each.value_name or self._choices.get(each.value_id, each.value_id) for each in sku.sales_attributes)

    def pictures(self, body: ListingBody | None) -> tuple[Picture, ...]:
        return tuple(self.picture(uri, place) for place, uri in enumerate(body.main_images, 1)) if body else ()

    def picture(self, uri: str, place: int) -> Picture:
        if uri.startswith(PENDING):
            file = uri.removeprefix(PENDING)
            return Picture(file, "", f"Picture {place}, to be uploaded: {file}", self._owners.get(file))
        file = self.files.get(uri, "")
        words = f"Picture {place}: {file}" if file else f"Picture {place}, which is not one of those in Magento"
        return Picture(file, self.addresses.get(uri, ""), words, self._owners.get(file))


def _sku_pictures(body: ListingBody) -> set[str]:
    return {attribute.image for sku in body.skus for attribute in sku.sales_attributes if attribute.image}


def _rows(one: Prepared, review: ListingBody | None, changed: Mapping[str, Change], names: _Names) -> list[Row]:
    product, plan = one.product, one.plan
    reasons = one.draft.reasons if one.draft else {}

    def values(read: Any) -> dict[str, Any]:
        return {"send": read(one.shown) if one.shown else None, "live": read(one.live) if one.live else None, "review": read(review) if review else None}

    def row(key: str, magento: Any, read: Any, kind: str = TEXT, label: str = "") -> Row:
        change = changed.get(key)
        differs = change is not None and one.live is not None
        return Row(
            key=key, label=label or LABELS[key], magento=magento, why=reasons.get(key, ""), kind=kind, differs=differs,
            destructive=bool(change and change.destructive), **values(read),
        )  # fmt: skip

    def raw(code: str) -> str:
        return product.text(code) if product and code else ""

    gallery = tuple(Picture(file, "", f"Picture {place}: {file}") for place, file in enumerate(_files(one), 1))
    sides = [raw(code) or "?" for code in plan.dimension_attributes if code] if plan else []
    rows = [
        row("title", raw(plan.title_attribute if plan else "name"), lambda body: body.title),
        row("description", raw(plan.description_attribute if plan else "description"), lambda body: body.description, HTML),
        row("category_id", None, lambda body: names.category(body.category_id)),
        row("main_images", gallery, names.pictures, PICTURES),
        row("brand_id", None, lambda body: names.brand(body.brand_id)),
        *_attributes(one, review, changed, names),
        row(
            "package_weight",
            f"{product.weight.normalize():f} {'lb' if plan and plan.weight_unit == 'lbs' else 'kg'}" if product and product.weight else "",
            _weight,
        ),
        row("package_dimensions", " x ".join(sides), _size),
        row("external_product_id", None, lambda body: body.external_product_id),
    ]
    if any(body is not None and body.size_chart for body in (one.shown, one.live)):
        rows.append(row("size_chart", None, lambda body: "Size chart" if body.size_chart else ""))
    return [each for each in rows if each.magento or each.send or each.live or each.review]


def _attributes(one: Prepared, review: ListingBody | None, changed: Mapping[str, Change], names: _Names) -> list[Row]:
    bodies = {name: {each.id: names.choices(each.values) for each in body.product_attributes} if body else None for name, body in
              (("send", one.shown), ("live", one.live), ("review", review))}  # fmt: skip
    reasons = one.draft.reasons if one.draft else {}
    rows = []
    for key in dict.fromkeys(key for body in bodies.values() if body for key in body):
        path = f"product_attributes[{key}]"
        change = changed.get(path)
        rows.append(
            Row(
                key=path, label=names.attributes.get(key, f"Attribute {key}"), magento=_magento_value(one, key), why=reasons.get(path, ""),
                differs=change is not None and one.live is not None, destructive=bool(change and change.destructive),
                **{name: body.get(key, "") if body is not None else None for name, body in bodies.items()},
            )
        )  # fmt: skip
    return rows


def _magento_value(one: Prepared, attribute_id: str) -> str | None:
    if one.plan is None or one.product is None:
        return None
    mapping = mapping_for(one.plan.mappings, attribute_id, one.plan.category.id)
    return one.product.text(mapping.magento_attribute) if mapping is not None and mapping.source == "magento" else None


def _files(one: Prepared) -> tuple[str, ...]:
    if one.product is None:
        return ()
    if one.image_policy is not None:
        return one.product.pictures(one.image_policy)
    return tuple(image.file for image in one.product.images)


def _weight(body: ListingBody) -> str:
    weight: Measure | None = body.package_weight
    return f"{weight.value} {_UNITS.get(weight.unit, weight.unit)}" if weight else ""


def _size(body: ListingBody) -> str:
    size: Dimensions | None = body.package_dimensions
    return f"{size.length} x {size.width} x {size.height} {_UNITS.get(size.unit, size.unit)}" if size else ""


def _code(identifier: Identifier | None) -> str:
    return f"{identifier.type} {identifier.code}" if identifier else ""


# --- variants -------------------------------------------------------------------------------------------------------------------------------


def _variants(one: Prepared, names: _Names) -> list[Variant]:
    """Ours in their order, then what stands on TikTok only."""
    listing = one.listing
    query = select(ListingSku).where(ListingSku.listing_id == listing.id).options(joinedload(ListingSku.product)).order_by(ListingSku.position, ListingSku.id)
    ours = db.session.scalars(query.execution_options(populate_existing=True)).all()
    sending = {sku.external_sku_id or sku.seller_sku.casefold(): sku for sku in (one.shown.skus if one.shown else ())}
    live = {sku.id: sku for sku in (one.live.skus if one.live else ())}
    found = [_ours(row, sending, live, one, names) for row in ours]
    kept = {sku.id for sku in sending.values() if sku.id}
    for sku in live.values():  # what is left is known to no row of ours
        quantity = sum(units.quantity or 0 for units in sku.inventory)
        found.append(
            Variant(
                seller_sku=sku.label, live_values=names.variant(sku), live_identifier=_code(sku.identifier), live_price=_decimal(sku.amount), currency=sku.currency,
                live_quantity=quantity, on_tiktok=True, lost=bool(one.shown) and sku.id not in kept, notes=["Magento has no such variant."],
            )
        )  # fmt: skip
    return found


def _ours(row: ListingSku, sending: Mapping[str, SkuBody], live: dict[str, SkuBody], one: Prepared, names: _Names) -> Variant:
    product, send = row.product, sending.get(str(row.product.entity_id)) or sending.get(row.seller_sku_key)
    there = live.pop(row.tiktok_sku_id or (send.id if send else ""), None)
    variant = Variant(
        seller_sku=row.seller_sku, magento_price=product.price, magento_quantity=product.quantity, price=row.wanted_price, currency=row.currency,
        quantity=row.wanted_quantity, live_price=row.live_price, live_quantity=row.live_quantity, on_tiktok=bool(row.tiktok_sku_id), sku=row, product_id=product.id,
        picture=product.image,
    )  # fmt: skip
    if send is not None:
        variant.values, variant.identifier = names.variant(send), _code(send.identifier)
    elif one.shown is not None:
        variant.lost = there is not None
        variant.notes.append("It is left out." if product.status == 1 else "It is disabled in Magento and left out.")
    if there is not None:
        variant.live_values, variant.live_identifier = names.variant(there), _code(there.identifier)
        if there.seller_sku and there.seller_sku != row.seller_sku:
            variant.notes.append(f"TikTok calls it {there.seller_sku}.")
    return variant


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except ArithmeticError:
        return None

"""The body of a TikTok listing as values: what create and edit send, and what get product shows, in one shape (TTS §5.3.8, §5.3.10, §5.3.12)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of an attribute: TikTok's ``id``, else a ``name`` of one's own; the id wins."""

    id: str = ""
    name: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"id": self.id} if self.id else {"name": self.name}


@dataclass(frozen=True, slots=True)
class ProductAttribute:
    id: str
    values: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class SalesAttribute:
    """One axis of a variant and its value, each by id or by name; ``image`` is the uri of ``sku_img``."""

    id: str = ""
    name: str = ""
    value_id: str = ""
    value_name: str = ""
    image: str = ""

    @property
    def axis(self) -> str:
        return self.id or self.name.casefold()

    @property
    def value(self) -> str:
        return self.value_id or self.value_name.casefold()

    def as_dict(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"id": self.id} if self.id else {"name": self.name}
        answer |= {"value_id": self.value_id} if self.value_id else {"value_name": self.value_name}
        return answer | ({"sku_img": {"uri": self.image}} if self.image else {})


@dataclass(frozen=True, slots=True)
class Units:
    """Units in one warehouse; ``quantity`` None when the body does not say."""

    warehouse_id: str
    quantity: int | None
    backorder_quantity: int | None = None
    handling_time: int | None = None

    def as_dict(self) -> dict[str, Any]:
        facts = {"quantity": self.quantity, "backorder_quantity": self.backorder_quantity, "handling_time": self.handling_time}
        return {"warehouse_id": self.warehouse_id} | {key: value for key, value in facts.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Measure:
    """Package weight: a decimal string and its unit."""

    value: str
    unit: str


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Package size: numbers as strings and their unit, CENTIMETER or, in the US, INCH (TTS §5.3.8)."""

    length: str
    width: str
    height: str
    unit: str


@dataclass(frozen=True, slots=True)
class Identifier:
    """A variant's ``identifier_code`` (TTS §5.3.8); ``type``: GTIN, EAN, UPC, ISBN or JAN, checked by ``domain.identifiers``."""

    code: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SkuBody:
    """One variant. ``id`` is TikTok's, "" for a new one. ``more`` keeps fields that we do not handle, as they are."""

    seller_sku: str = ""
    id: str = ""
    external_sku_id: str = ""
    amount: str = ""
    currency: str = ""
    sale_price: str = ""
    inventory: tuple[Units, ...] = ()
    sales_attributes: tuple[SalesAttribute, ...] = ()
    identifier: Identifier | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def variant(self) -> tuple[tuple[str, str], ...]:
        """Axis and value pairs, whatever their order."""
        return tuple(sorted((attribute.axis, attribute.value) for attribute in self.sales_attributes))

    @property
    def label(self) -> str:
        """How to name this variant to a person."""
        return self.seller_sku or " / ".join(attribute.value_name or attribute.value_id for attribute in self.sales_attributes) or "the SKU"

    def as_dict(self, *, offer: bool = True) -> dict[str, Any]:
        """``offer``: with price and inventory."""
        answer: dict[str, Any] = {"id": self.id, "seller_sku": self.seller_sku, "external_sku_id": self.external_sku_id}
        if offer:
            price = {"amount": self.amount, "currency": self.currency, "sale_price": self.sale_price}
            answer["price"] = {key: value for key, value in price.items() if value}
            answer["inventory"] = [units.as_dict() for units in self.inventory]
        answer["sales_attributes"] = [attribute.as_dict() for attribute in self.sales_attributes]
        if self.identifier is not None:
            answer["identifier_code"] = {"code": self.identifier.code, "type": self.identifier.type}
        return {key: value for key, value in answer.items() if value} | dict(self.more)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingBody:
    """The whole listing. Amounts, weights and measures are strings, as they go out; what is blank is not sent."""

    title: str = ""
    description: str = ""
    category_id: str = ""
    category_version: str = ""
    save_mode: str = ""
    main_images: tuple[str, ...] = ()
    skus: tuple[SkuBody, ...] = ()
    package_weight: Measure | None = None
    package_dimensions: Dimensions | None = None
    product_attributes: tuple[ProductAttribute, ...] = ()
    brand_id: str = ""
    external_product_id: str = ""
    size_chart: Mapping[str, Any] = field(default_factory=dict)
    certifications: tuple[Mapping[str, Any], ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self, *, edit: bool = False) -> dict[str, Any]:
        """The body for create, or, with ``edit``, for edit: a SKU that exists keeps its price and stock, which have endpoints of their own."""
        answer: dict[str, Any] = {
            "title": self.title,
            "description": self.description,
            "category_id": self.category_id,
            "category_version": self.category_version,
            "save_mode": self.save_mode,
            "main_images": [{"uri": uri} for uri in self.main_images],
            "brand_id": self.brand_id,
            "product_attributes": [{"id": each.id, "values": [choice.as_dict() for choice in each.values]} for each in self.product_attributes],
            "external_product_id": self.external_product_id,
            "size_chart": dict(self.size_chart),
            "certifications": [dict(each) for each in self.certifications],
            "skus": [sku.as_dict(offer=not (edit and sku.id)) for sku in self.skus],
        }
        if self.package_weight is not None:
            answer["package_weight"] = {"value": self.package_weight.value, "unit": self.package_weight.unit}
        if (size := self.package_dimensions) is not None:
            answer["package_dimensions"] = {"length": size.length, "width": size.width, "height": size.height, "unit": size.unit}
        return {key: value for key, value in answer.items() if value} | dict(self.more)

    @property
    def fingerprint(self) -> str:
        """Changes when anything that would be sent changes: a dry run is refused when its inputs changed since."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def with_sku_ids(self, live: ListingBody) -> ListingBody:
        """The same body with TikTok's SKU ids, matched by seller SKU, else by variant (TTS §5.3.8)."""
        by_sku = {sku.seller_sku.casefold(): sku.id for sku in live.skus if sku.seller_sku}
        by_variant = {sku.variant: sku.id for sku in live.skus}
        taken: set[str] = set()
        skus = []
        for sku in self.skus:
            found = by_sku.get(sku.seller_sku.casefold()) or by_variant.get(sku.variant, "")
            found = "" if found in taken else found
            taken.add(found)
            skus.append(replace(sku, id=found))
        return replace(self, skus=tuple(skus))


_SKU_FIELDS = frozenset(("id", "seller_sku", "external_sku_id", "price", "inventory", "sales_attributes", "identifier_code"))
_BODY_FIELDS = frozenset((
    "title", "description", "category_id", "category_version", "save_mode", "main_images", "skus", "package_weight", "package_dimensions",
    "product_attributes", "brand_id", "external_product_id", "size_chart", "certifications", "idempotency_key",
))  # fmt: skip


def body_of(data: Mapping[str, Any]) -> ListingBody:
    """A create or edit body read back into values; fields that we do not handle are kept in ``more``."""
    weight, size = data.get("package_weight"), data.get("package_dimensions")
    return ListingBody(
        title=_text(data, "title"),
        description=_text(data, "description"),
        category_id=_text(data, "category_id"),
        category_version=_text(data, "category_version"),
        save_mode=_text(data, "save_mode"),
        main_images=tuple(_text(image, "uri") for image in _rows(data, "main_images")),
        skus=tuple(_sku(sku, {key: value for key, value in sku.items() if key not in _SKU_FIELDS}) for sku in _rows(data, "skus")),
        package_weight=Measure(_text(weight, "value"), _text(weight, "unit")) if weight else None,
        package_dimensions=Dimensions(_text(size, "length"), _text(size, "width"), _text(size, "height"), _text(size, "unit")) if size else None,
        product_attributes=tuple(
            ProductAttribute(_text(each, "id"), tuple(Choice(_text(value, "id"), _text(value, "name")) for value in _rows(each, "values")))
            for each in _rows(data, "product_attributes")
        ),
        brand_id=_text(data, "brand_id"),
        external_product_id=_text(data, "external_product_id"),
        size_chart=data.get("size_chart") or {},
        certifications=tuple(_rows(data, "certifications")),
        more={key: value for key, value in data.items() if key not in _BODY_FIELDS},
    )


def live_body(product: Mapping[str, Any]) -> ListingBody:
    """What get product shows, in the same shape (TTS §5.3.10): the leaf of the category chain, the brand's id, ``price.amount`` as the client read it."""
    leaf = next((_text(each, "id") for each in _rows(product, "category_chains") if each.get("is_leaf")), _text(product, "category_id"))
    body = body_of({key: value for key, value in product.items() if key in _BODY_FIELDS})
    return replace(
        body,
        category_id=leaf,
        brand_id=_text(product.get("brand") or {}, "id"),
        skus=tuple(replace(_sku(sku, {}), sale_price="") for sku in _rows(product, "skus")),
        more={},
    )


def _sku(sku: Mapping[str, Any], more: Mapping[str, Any]) -> SkuBody:
    price, code = sku.get("price") or {}, sku.get("identifier_code") or {}
    return SkuBody(
        seller_sku=_text(sku, "seller_sku"),
        id=_text(sku, "id"),
        external_sku_id=_text(sku, "external_sku_id"),
        amount=_text(price, "amount"),
        currency=_text(price, "currency"),
        sale_price=_text(price, "sale_price"),
        inventory=tuple(
            Units(_text(each, "warehouse_id"), each.get("quantity"), each.get("backorder_quantity"), each.get("handling_time"))
            for each in _rows(sku, "inventory")
        ),
        sales_attributes=tuple(
            SalesAttribute(_text(each, "id"), _text(each, "name"), _text(each, "value_id"), _text(each, "value_name"), _text(each.get("sku_img") or {}, "uri"))
            for each in _rows(sku, "sales_attributes")
        ),
        identifier=Identifier(_text(code, "code"), _text(code, "type")) if code else None,
        more=more,
    )


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return "" if value is None else str(value)


def _rows(data: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    return data.get(key) or ()

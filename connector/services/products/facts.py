"""Magento's products and stock as the pure domain wants them: read from our database, in bulk, without HTTP."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from connector.core.db import db, in_parts
from connector.core.errors import DomainError
from connector.domain.magento_product import NO_IMAGE, GalleryImage, MagentoProduct
from connector.domain.pricing import PriceFacts, SpecialPrice, special_price
from connector.models.account import Account, MagentoConnection, StoreReference
from connector.models.product import Product, ProductStock, ProductView
from connector.services.products import store_attributes
from connector.services.products.stock_reading import website_of

ALL = "all"


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """An account's store. ``store_view``: a code, or "all" for the values without overrides; ``media_url`` ends in a slash and goes before
    ``catalog/product`` (MAG §4.2.3); ``weight_unit``: kgs or lbs; ``zone``: whose days special prices have."""

    magento_id: int
    store_view: str
    website_code: str
    base_currency: str
    weight_unit: str
    zone: tzinfo
    media_url: str
    has_msi: bool

    def image_url(self, file: str) -> str:
        """Where a picture that Magento names ``/t/e/tee.jpg`` can be fetched."""
        return f"{self.media_url}catalog/product/{file.lstrip('/')}"


def store_facts(account: Account) -> StoreFacts:
    """From what was last read of the store. Raises ``DomainError`` when the account has none, or none that was ever read."""
    connection = db.session.get(MagentoConnection, account.magento_id) if account.magento_id else None
    if connection is None:
        raise DomainError("magento.none", f"Account {account.title} has no Magento store.", "Connect Magento under Configuration > Magento.")
    view = account.store_view or ALL
    website = website_of(connection.id, view)
    if website is None:
        raise DomainError(
            "magento.store_view", f"Magento's store view {view} of account {account.title} is not known.", "Choose Test connection, or another store view."
        )
    config, known = _config(connection.id, view, website), connection.facts or {}
    return StoreFacts(
        magento_id=connection.id,
        store_view=view,
        website_code=website,
        base_currency=str(config.get("base_currency_code") or known.get("currency") or ""),
        weight_unit=str(config.get("weight_unit") or "kgs"),
        zone=_zone(str(config.get("timezone") or "")),
        media_url=str(config.get("secure_base_media_url") or config.get("base_media_url") or f"{connection.base_url}/media/").rstrip("/") + "/",
        has_msi=bool(known.get("msi")),
    )


def magento_products(ids: Collection[int], store_view: str, *, with_children: bool = True) -> dict[int, MagentoProduct]:
    """By our product id, with the values and option labels of the store view; children of configurables beside them.

    Ids that do not exist are left out; children that are gone from Magento too. Four queries for every 500 products.
    """
    rows = _products(ids)
    if with_children:
        wanted = {child for child_ids in children(list(rows)).values() for child in child_ids} - set(rows)
        rows |= _products(wanted)
    views = _views(rows, store_view)
    describe = {magento_id: _Describe(magento_id, store_view) for magento_id in {row.magento_id for row in rows.values()}}
    return {product_id: describe[row.magento_id].product(row, views.get(product_id, {})) for product_id, row in rows.items()}


def children(ids: Collection[int]) -> dict[int, list[int]]:
    """Our ids of a configurable's children, in Magento's order, without those that are gone; only configurables are in it."""
    found: dict[int, list[int]] = {}
    for part in in_parts(ids):
        query = select(Product.id, Product.magento_id, Product.child_ids).where(Product.id.in_(part), Product.type_id == "configurable")
        parents = db.session.execute(query).all()
        wanted = {(row.magento_id, child) for row in parents for child in row.child_ids}
        known: dict[tuple[int, int], int] = {}
        for magento_id in {magento_id for magento_id, _ in wanted}:
            for group in in_parts({child for owner, child in wanted if owner == magento_id}):
                columns = select(Product.entity_id, Product.id).where(Product.magento_id == magento_id, Product.entity_id.in_(group), Product.gone_at.is_(None))
                known |= {(magento_id, number): product_id for number, product_id in db.session.execute(columns)}
        for row in parents:
            found[row.id] = [known[row.magento_id, child] for child in row.child_ids if (row.magento_id, child) in known]
    return found


def stock_levels(ids: Collection[int], website_code: str) -> dict[int, ProductStock]:
    """Stock as last read, by our product id; products whose stock was never read are left out."""
    found: dict[int, ProductStock] = {}
    for part in in_parts(ids):
        query = select(ProductStock).where(ProductStock.website_code == website_code, ProductStock.product_id.in_(part))
        found |= {row.product_id: row for row in db.session.scalars(query)}
    return found


def price_facts(products: Mapping[int, MagentoProduct], store: StoreFacts, currency: str, now: datetime) -> dict[int, PriceFacts]:
    """What the pricing rules need, by the keys of ``products``. Every attribute with a number in it may be the price or the cost."""
    return {
        key: PriceFacts(
            sku=product.sku,
            values=_Numbers(product),
            currency=currency,
            now=now,
            base_currency=store.base_currency,
            special=_special(product, store.zone),
        )
        for key, product in products.items()
    }


class _Numbers(Mapping[str, Decimal | None]):
    """A product's attributes as numbers, worked out when they are asked for."""

    def __init__(self, product: MagentoProduct) -> None:
        self._product = product

    def __getitem__(self, code: str) -> Decimal | None:
        if code not in self._product.values:
            raise KeyError(code)
        return self._product.number(code)

    def __iter__(self) -> Iterator[str]:
        return iter(self._product.values)

    def __len__(self) -> int:
        return len(self._product.values)


def _special(product: MagentoProduct, zone: tzinfo) -> SpecialPrice | None:
    """A special price that cannot be read is none: the regular price goes out, never a wrong one."""
    values = product.values
    try:
        return special_price(values.get("special_price"), values.get("special_from_date"), values.get("special_to_date"), zone)
    except ValueError:
        return None


# --- rows into products -------------------------------------------------------------------------------------------------------------------


class _Describe:
    """What all products of a store share: option labels of the store view and attribute codes, read once."""

    def __init__(self, magento_id: int, store_view: str) -> None:
        query = select(StoreReference.code, StoreReference.label, StoreReference.data).where(
            StoreReference.magento_id == magento_id, StoreReference.kind == store_attributes.ATTRIBUTE
        )
        self.options: dict[str, Mapping[str, str]] = {}
        self.codes: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        for code, label, data in db.session.execute(query):
            own = (data.get("options_by_view") or {}).get(store_view, {})
            labels = {value: own.get(value) or text for value, text in (data.get("options") or {}).items()}
            if labels or data.get("deleted"):
                self.options[code] = labels
            elif data.get("frontend_input") == "boolean":
                self.options[code] = {"0": "No", "1": "Yes"}
            if data.get("id"):
                self.codes[str(data["id"])] = code
            self.labels[code] = (data.get("labels_by_view") or {}).get(store_view) or label

    def product(self, row: Product, view: Mapping[str, Any]) -> MagentoProduct:
        price = view.get("price", row.price)
        values: dict[str, Any] = {**row.data.get("values", {}), **view.get("values", {})}
        values |= {
            "price": None if price is None else str(price),
            "status": str(view.get("status", row.status)),
            "visibility": str(view.get("visibility", row.visibility)),
            "attribute_set_id": str(row.attribute_set_id),
            "created_at": _text(row.remote_created_at),
            "updated_at": _text(row.remote_updated_at),
        }
        axes = [(self.codes.get(axis["attribute_id"], axis["code"]), axis) for axis in row.data.get("axes", ())]
        return MagentoProduct(
            product_id=str(row.entity_id),
            sku=row.sku,
            name=str(view.get("name", row.name)),
            type_id=row.type_id,
            status=int(view.get("status", row.status)),
            weight=row.weight,
            values={code: value for code, value in values.items() if value is not None},
            options=self.options,
            images=_images(row.data.get("images", ())),
            axes=tuple(code for code, _ in axes),
            axis_labels={code: str(axis.get("label") or self.labels.get(code, code)) for code, axis in axes},
        )


def _products(ids: Collection[int]) -> dict[int, Product]:
    found: dict[int, Product] = {}
    for part in in_parts(ids):
        found |= {row.id: row for row in db.session.scalars(select(Product).where(Product.id.in_(part)))}
    return found


def _views(ids: Collection[int], store_view: str) -> dict[int, dict[str, Any]]:
    if store_view in (ALL, ""):
        return {}
    found: dict[int, dict[str, Any]] = {}
    for part in in_parts(ids):
        query = select(ProductView.product_id, ProductView.data).where(ProductView.store_view == store_view, ProductView.product_id.in_(part))
        found |= dict(db.session.execute(query).all())
    return found


def _images(entries: Sequence[Mapping[str, Any]]) -> tuple[GalleryImage, ...]:
    """Disabled entries and videos are no pictures to send."""
    return tuple(
        GalleryImage(str(entry["file"]), int(entry.get("position") or 0), str(entry.get("label") or ""), tuple(entry.get("types") or ()))
        for entry in entries
        if entry.get("file") and entry["file"] != NO_IMAGE and not entry.get("disabled") and (entry.get("media_type") or "image") == "image"
    )


def _config(magento_id: int, view: str, website: str) -> Mapping[str, Any]:
    """The store view's settings; those of the website's first one for ``all``."""
    query = select(StoreReference.code, StoreReference.data).where(StoreReference.magento_id == magento_id, StoreReference.kind == "store_view")
    rows = dict(db.session.execute(query).all())
    if view in rows:
        return rows[view].get("config") or {}
    configs = [
        data.get("config") or {} for code, data in sorted(rows.items(), key=lambda pair: int(pair[1].get("id") or 0)) if website_of(magento_id, code) == website
    ]
    return next((config for config in configs if config), {})


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        return UTC


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")

"""A product as Magento's list shows it, read into the columns of ``Product``, and what differs between two readings (MAG §4.2.2, §4.2.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import orjson

from connector.core.errors import DomainError

FIELDS = (
    "items[id,sku,name,attribute_set_id,price,status,visibility,type_id,created_at,updated_at,weight,"
    "extension_attributes[website_ids,category_links,configurable_product_options,configurable_product_links],"
    "media_gallery_entries,custom_attributes],total_count"
)
VIEW_FIELDS = "items[id,name,price,status,visibility,custom_attributes],total_count"

#: Columns that are compared as a whole, with the word that stands for each where changes are named.
_NAMED = {
    "sku": "sku",
    "name": "name",
    "type_id": "type_id",
    "status": "status",
    "visibility": "visibility",
    "attribute_set_id": "attribute_set_id",
    "price": "price",
    "weight": "weight",
    "category_ids": "category_ids",
    "website_ids": "website_ids",
    "child_ids": "variants",
}
_MEDIA = ("id", "media_type", "label", "position", "disabled", "types", "file")
_STEP = Decimal("0.0001")
#: Longest reason that fits ``Listing.due_reason``.
_REASON = 200

Row = dict[str, Any]


class BadProduct(DomainError):
    """A record that cannot be taken in; it is parked, its neighbours go on."""


def entity_id(row: Mapping[str, Any]) -> int | None:
    """Magento's id, or None when there is none to go by."""
    text = str(row.get("id") or "")
    return int(text) if text.isdigit() and 0 < int(text) < 2**31 else None


def read_product(row: Mapping[str, Any], codes: Mapping[str, str]) -> Row:
    """The columns, ``digest`` among them. ``codes``: attribute id -> code. Raises ``BadProduct``."""
    number, sku = entity_id(row), _text(row.get("sku"))
    if number is None:
        raise BadProduct("product.no_id", f"Magento gave a product without an id (SKU {sku or 'empty'}).", "Save the product again in Magento.")
    if not sku:
        raise BadProduct("product.no_sku", f"Product {number} has no SKU in Magento.", "Enter a SKU in Magento; it is read again with the next change.")
    if len(sku) > 128:
        raise BadProduct("product.sku_long", f"The SKU of product {number} has {len(sku)} characters.", "Magento allows 64: shorten it there.")
    extension = row.get("extension_attributes") or {}
    values = _values(row)
    columns: Row = {
        "entity_id": number,
        "sku": sku,
        "sku_key": sku.casefold(),
        "name": _text(row.get("name"))[:300],
        "type_id": str(row.get("type_id") or "simple")[:30],
        "status": _whole(row, "status", sku, (1, 2), 1),
        "visibility": _whole(row, "visibility", sku, (1, 2, 3, 4), 4),
        "attribute_set_id": _whole(row, "attribute_set_id", sku, (), 4),
        "price": _amount(row, "price", sku),
        "weight": _amount(row, "weight", sku),
        "image": _picture(values.get("image")),
        "category_ids": _list_text(_categories(extension, values)),
        "website_ids": [int(each) for each in extension.get("website_ids") or ()],
        "child_ids": [int(each) for each in extension.get("configurable_product_links") or ()],
        "data": {"values": values, "images": _images(row), "axes": _axes(extension, codes)},
        "remote_created_at": instant(row.get("created_at")),
    }
    columns["digest"] = hashlib.blake2b(orjson.dumps(columns, option=orjson.OPT_SORT_KEYS, default=str), digest_size=16).hexdigest()
    columns["remote_updated_at"] = instant(row.get("updated_at"))
    return columns


def difference(product: Mapping[str, Any], row: Mapping[str, Any]) -> Row:
    """``ProductView.data``: what a store view (``row``) has otherwise than the columns of scope ``all``; ``{}`` for nothing. Raises ``BadProduct``."""
    sku, found = product["sku"], Row()
    name = _text(row.get("name"))[:300]
    if name != product["name"]:
        found["name"] = name
    for key, allowed in (("status", (1, 2)), ("visibility", (1, 2, 3, 4))):
        value = _whole(row, key, sku, allowed, product[key])
        if value != product[key]:
            found[key] = value
    price = _amount(row, "price", sku)
    if price != product["price"]:
        found["price"] = None if price is None else str(price)
    base, own = product["data"]["values"], _values(row)
    values = {code: own.get(code) for code in {*base, *own} if own.get(code) != base.get(code)}
    return {**found, **({"values": dict(sorted(values.items()))} if values else {})}


def changed_codes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Attribute codes that differ between two readings; ``media_gallery`` and ``variants`` stand for pictures and children."""
    codes = [word for column, word in _NAMED.items() if before[column] != after[column]]
    old, new = before["data"], after["data"]
    codes += sorted(_differing(old.get("values", {}), new["values"]) - set(codes))
    if old.get("images") != new["images"]:
        codes.append("media_gallery")
    if old.get("axes") != new["axes"] and "variants" not in codes:
        codes.append("variants")
    return codes


def changed_in_view(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The same for two ``ProductView.data``."""
    codes = _differing({**before, "values": None}, {**after, "values": None})
    return sorted(codes | _differing(before.get("values", {}), after.get("values", {})))


def reason(codes: Iterable[str]) -> str:
    """``Magento: name, price changed``. One that would not fit ends in "and others", which stands for any attribute."""
    listed = list(dict.fromkeys(codes))
    text = f"Magento: {', '.join(listed)} changed"
    while len(text) > _REASON:
        listed.pop()
        text = f"Magento: {', '.join(listed)} and others changed"
    return text


def instant(text: Any) -> datetime | None:
    """Magento's timestamps are UTC without saying so; None for none and for 0000-00-00."""
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=UTC) if text else None
    except ValueError:
        return None


def _text(value: Any) -> str:
    """PostgreSQL keeps no NUL."""
    return str(value or "").replace("\0", "").strip()


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {code for code in {*before, *after} if before.get(code) != after.get(code)}


def _values(row: Mapping[str, Any]) -> Row:
    """Custom attributes by code, verbatim. A filtered list comes as an object keyed by position (MAG §2.3)."""
    given = row.get("custom_attributes") or ()
    listed = given.values() if isinstance(given, Mapping) else given
    return {str(each["attribute_code"]): _plain(each.get("value")) for each in listed if each.get("attribute_code")}


def _plain(value: Any) -> Any:
    """As it comes back from the database, so that two readings can be compared."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Decimal) else value


def _images(row: Mapping[str, Any]) -> list[Row]:
    entries = row.get("media_gallery_entries") or ()
    return [{key: _plain(entry.get(key)) for key in _MEDIA} for entry in sorted(entries, key=lambda entry: (entry.get("position") or 0, entry.get("id") or 0))]


def _axes(extension: Mapping[str, Any], codes: Mapping[str, str]) -> list[Row]:
    options = sorted(extension.get("configurable_product_options") or (), key=lambda option: int(option.get("position") or 0))
    ids = [(str(option.get("attribute_id")), str(option.get("label") or "")) for option in options]
    return [{"attribute_id": number, "code": codes.get(number, number), "label": label} for number, label in ids]


def _categories(extension: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    links = extension.get("category_links")
    return [str(link["category_id"]) for link in links] if links else [str(each) for each in values.get("category_ids") or ()]


def _list_text(ids: list[str]) -> str:
    return f",{','.join(ids)}," if ids else ""


def _picture(value: Any) -> str:
    return "" if value in (None, "no_selection") else str(value)[:255]


def _whole(row: Mapping[str, Any], key: str, sku: str, allowed: tuple[int, ...], default: int) -> int:
    value = row.get(key)
    if value in (None, ""):
        return default
    text = str(value)
    if not text.isdigit() or (allowed and int(text) not in allowed):
        raise BadProduct(f"product.{key}", f"{sku}: {key} is {value!r} in Magento.", "Save the product again in Magento, or correct it there.")
    return int(text)


def _amount(row: Mapping[str, Any], key: str, sku: str) -> Decimal | None:
    """Ten-thousandths; Magento keeps up to six decimals."""
    value = row.get(key)
    if value in (None, ""):
        return None
    try:
        number = Decimal(str(value)).quantize(_STEP, ROUND_HALF_UP)
    except ArithmeticError:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) >= 10**12:
        raise BadProduct(f"product.{key}", f"{sku}: {key} is {value!r} in Magento, which is no amount.", "Correct it in Magento.")
    return number

"""What a push would change: field, on TikTok now, would send, why (product.md 14). Also what a read-back must find."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from connector.domain.listing import ListingPlan
from connector.domain.listing_body import Choice, Dimensions, Identifier, ListingBody, Measure, ProductAttribute, SalesAttribute, SkuBody, Units
from connector.domain.policies import ImagePolicy, PricingPolicy

LABELS = {
    "title": "Title",
    "description": "Description",
    "category_id": "Category",
    "main_images": "Main images",
    "brand_id": "Brand",
    "package_weight": "Package weight",
    "package_dimensions": "Package dimensions",
    "external_product_id": "External id",
    "size_chart": "Size chart",
}
CONTENT, PRICE, STOCK = "content", "price", "stock"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``field`` is a path; ``now`` and ``send`` are in words, "" for nothing; ``kind`` tells which endpoint sends it: content goes
    to a new audit, price and stock take effect at once. ``destructive``: something that buyers see is removed."""

    field: str
    label: str
    now: str
    send: str
    why: str
    kind: str = CONTENT
    destructive: bool = False


def changes(now: ListingBody | None, send: ListingBody, reasons: Mapping[str, str] | None = None, names: Mapping[str, str] | None = None) -> list[Change]:
    """Differences in the order of the form; [] when there is nothing to send. ``now`` None: the product is not on TikTok yet.

    ``reasons``: from ``listing.Draft``. ``names``: labels of attribute ids.
    """
    why, labels, before = reasons or {}, names or {}, now or ListingBody()
    found: list[Change] = []
    for field, ours, theirs, same in (
        ("title", send.title, before.title, send.title == before.title),
        ("description", send.description, before.description, _markup(send.description) == _markup(before.description)),
        ("category_id", send.category_id, before.category_id, send.category_id == before.category_id),
        ("main_images", ", ".join(send.main_images), ", ".join(before.main_images), send.main_images == before.main_images),
        ("brand_id", send.brand_id, before.brand_id, send.brand_id == before.brand_id),
        ("package_weight", _weight(send.package_weight), _weight(before.package_weight), _same_weight(send.package_weight, before.package_weight)),
        (
            "package_dimensions",
            _size(send.package_dimensions),
            _size(before.package_dimensions),
            _size(send.package_dimensions) == _size(before.package_dimensions),
        ),
        ("external_product_id", send.external_product_id, before.external_product_id, send.external_product_id == before.external_product_id),
        ("size_chart", _chart(send), _chart(before), _chart(send) == _chart(before)),
    ):
        if not same:
            found.append(Change(field, LABELS[field], theirs, ours, why.get(field, ""), destructive=bool(theirs) and not ours))
    found += _attributes(before.product_attributes, send.product_attributes, why, labels)
    found += _skus(before, send, why)
    return found


def behind(field: str, plan: ListingPlan, images: ImagePolicy, pricing: PricingPolicy) -> tuple[str, ...]:
    """Magento attribute codes behind one field of a listing (``Change.field``)."""
    pictures = (images.main_image_attribute, "media_gallery")
    simple: dict[str, tuple[str, ...]] = {
        "title": (plan.title_attribute,),
        "description": (plan.description_attribute,),
        "main_images": pictures,
        "package_weight": ("weight",),
        "package_dimensions": tuple(plan.dimension_attributes),
    }
    if field in simple:
        return simple[field]
    if field.startswith("product_attributes["):
        wanted = field.removeprefix("product_attributes[").removesuffix("]")
        return tuple(mapping.magento_attribute for mapping in plan.mappings if mapping.attribute_id == wanted and mapping.magento_attribute)
    part = field.rpartition("].")[2].partition("[")[0]
    of_sku: dict[str, tuple[str, ...]] = {
        "seller_sku": (plan.seller_sku_attribute,),
        "price": (pricing.price_attribute or "price", "special_price"),
        "inventory": ("quantity",),
        "identifier_code": (plan.identifier_attribute,),
        "sku_img": pictures,
    }
    if part in of_sku:
        return of_sku[part]
    axes = tuple(mapping.magento_attribute for mapping in plan.mappings if mapping.magento_attribute)
    return axes if field.startswith("skus[") else ()


def _attributes(now: Sequence[ProductAttribute], send: Sequence[ProductAttribute], why: Mapping[str, str], labels: Mapping[str, str]) -> list[Change]:
    before, after = {each.id: each.values for each in now}, {each.id: each.values for each in send}
    found = []
    for key in dict.fromkeys([*after, *before]):
        theirs, ours = before.get(key, ()), after.get(key, ())
        if not _same_choices(theirs, ours):
            field = f"product_attributes[{key}]"
            found.append(
                Change(field, labels.get(key, f"Attribute {key}"), _names(theirs), _names(ours), why.get(field, ""), destructive=bool(theirs) and not ours)
            )
    return found


def _skus(now: ListingBody, send: ListingBody, why: Mapping[str, str]) -> list[Change]:
    send = send.with_sku_ids(now) if now.skus else send
    before = {sku.id: sku for sku in now.skus if sku.id}
    found: list[Change] = []
    for sku in send.skus:
        old = before.pop(sku.id, None) if sku.id else None
        found += _new(sku, why) if old is None else _sku(old, sku, why)
    for sku in before.values():
        text = "A variant that is left out of an edit is deleted by TikTok Shop."
        found.append(Change(f"skus[{sku.label}]", f"Variant {sku.label}", sku.label, "", text, destructive=True))
    return found


def _new(sku: SkuBody, why: Mapping[str, str]) -> list[Change]:
    facts = [
        f"{sku.amount} {sku.currency}" if sku.amount else "",
        f"{sum(units.quantity or 0 for units in sku.inventory):,} units",
        _variant(sku.sales_attributes),
    ]
    return [Change(f"skus[{sku.label}]", f"Variant {sku.label}", "", ", ".join(fact for fact in facts if fact), why.get(f"{sku.seller_sku}.price", ""))]


def _sku(old: SkuBody, new: SkuBody, why: Mapping[str, str]) -> list[Change]:
    at, label = f"skus[{new.label}]", new.label
    found = []
    if old.seller_sku != new.seller_sku:
        found.append(Change(f"{at}.seller_sku", f"{label}: seller SKU", old.seller_sku, new.seller_sku, "SKU in Magento"))
    if new.amount and (_decimal(old.amount) != _decimal(new.amount) or old.currency != new.currency):
        now, send = (f"{sku.amount} {sku.currency}".strip() for sku in (old, new))
        found.append(Change(f"{at}.price", f"{label}: price", now, send, why.get(f"{new.seller_sku}.price", ""), PRICE))
    if new.inventory and (moved := _moved(old.inventory, new.inventory)):
        reason = why.get(f"{new.seller_sku}.inventory", "")
        found += [Change(f"{at}.inventory[{place}]", f"{label}: quantity in {place}", now, send, reason, STOCK) for place, now, send in moved]
    if not _same_variant(old.sales_attributes, new.sales_attributes):
        found.append(
            Change(
                f"{at}.sales_attributes", f"{label}: variant", _variant(old.sales_attributes), _variant(new.sales_attributes), "Variant attributes in Magento"
            )
        )
    if _pictures(old) != _pictures(new) and _pictures(new):
        found.append(Change(f"{at}.sku_img", f"{label}: picture", _pictures(old), _pictures(new), "Picture of the variant in Magento"))
    if old.identifier != new.identifier:
        found.append(Change(f"{at}.identifier_code", f"{label}: identifier", _code(old.identifier), _code(new.identifier), "Identifier attribute in Magento"))
    return found


def _moved(old: Sequence[Units], new: Sequence[Units]) -> list[tuple[str, str, str]]:
    """A warehouse that the body does not name keeps what it has."""
    before = {units.warehouse_id: units.quantity for units in old}
    return [
        (units.warehouse_id, "" if before.get(units.warehouse_id) is None else f"{before[units.warehouse_id]:,}", f"{units.quantity or 0:,}")
        for units in new
        if before.get(units.warehouse_id) != units.quantity
    ]


def _same(one: Choice, other: Choice) -> bool:
    return bool(one.id and one.id == other.id) or bool(one.name and one.name.casefold() == other.name.casefold())


def _same_choices(one: Sequence[Choice], other: Sequence[Choice]) -> bool:
    """Whatever the order, by id or by name."""
    return len(one) == len(other) and all(any(_same(each, another) for another in other) for each in one)


def _same_variant(one: Sequence[SalesAttribute], other: Sequence[SalesAttribute]) -> bool:
    """TikTok gives names and ids back; we may have sent either."""

    def matches(a: SalesAttribute, b: SalesAttribute) -> bool:
        return _same(Choice(a.id, a.name), Choice(b.id, b.name)) and _same(Choice(a.value_id, a.value_name), Choice(b.value_id, b.value_name))

    return len(one) == len(other) and all(any(matches(each, another) for another in other) for each in one)


def _markup(text: str) -> str:
    """HTML without what makes no difference: white space between tags, quotes, a closing slash."""
    text = re.sub(r"\s+", " ", text).replace(" />", ">").replace("/>", ">").replace("'", '"')
    return re.sub(r">\s+<", "><", text).strip()


def _weight(weight: Measure | None) -> str:
    return f"{weight.value} {weight.unit}" if weight else ""


def _same_weight(one: Measure | None, other: Measure | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.unit == other.unit and _decimal(one.value) == _decimal(other.value)


def _size(size: Dimensions | None) -> str:
    return " x ".join(_plain(side) for side in (size.length, size.width, size.height)) + f" {size.unit}" if size else ""


def _decimal(text: str) -> Decimal | str:
    try:
        return Decimal(text).normalize()
    except ArithmeticError:
        return text


def _plain(text: str) -> str:
    """A number without needless zeros, never as 3E+1."""
    number = _decimal(text)
    return f"{number:f}" if isinstance(number, Decimal) else number


def _chart(body: ListingBody) -> str:
    chart = body.size_chart
    return str((chart.get("template") or {}).get("id") or (chart.get("image") or {}).get("uri") or "")


def _names(choices: Sequence[Choice]) -> str:
    return ", ".join(choice.name or choice.id for choice in choices)


def _variant(attributes: Sequence[SalesAttribute]) -> str:
    return " / ".join(f"{each.name or each.id} {each.value_name or each.value_id}" for each in attributes)


def _pictures(sku: SkuBody) -> str:
    return ", ".join(attribute.image for attribute in sku.sales_attributes if attribute.image)


def _code(identifier: Identifier | None) -> str:
    return f"{identifier.type} {identifier.code}" if identifier else ""

"""The axes of a configurable product: which TikTok sales attribute each is, and what each variant's value is called (TTS §5.3.8; MAG §4.2.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.domain import listing_codes as codes
from connector.domain.attribute_mapping import AttributeMapping, mapping_for
from connector.domain.listing_body import SalesAttribute
from connector.domain.listing_category import CategoryAttribute, CategoryFacts
from connector.domain.listing_codes import Findings
from connector.domain.magento_product import MagentoProduct


def sales_attributes(
    found: Findings,
    product: MagentoProduct,
    variants: Sequence[MagentoProduct],
    category: CategoryFacts,
    mappings: Sequence[AttributeMapping],
    pictures: Mapping[str, str],
    image_axis: str = "",
) -> dict[str, tuple[SalesAttribute, ...]]:
    """By SKU. ``pictures``: uri by SKU; they go on one axis, and only when each of its values has one."""
    image_code, pictured = _pictured(product, variants, pictures, image_axis)
    axes = {code: _axis(code, product, category, mappings) for code in product.axes}
    answer: dict[str, tuple[SalesAttribute, ...]] = {}
    for variant in variants:
        values = []
        for code in product.axes:
            attribute, mapping = axes[code]
            raw, label = next(iter(variant.raw(code)), ""), variant.text(code).strip()
            if raw and not label:
                text = f"The option {raw} of {code} of {variant.sku} has no label in Magento."
                found.wrong(codes.AXIS_VALUE, f"{variant.sku}.{code}", text, "Give the option a label in Magento.")
            image = pictured.get(label, "") if code == image_code else ""
            values.append(_value(attribute, mapping, product.axis_labels.get(code, code), raw, label, image))
        answer[variant.sku] = tuple(values)
    return answer


def _axis(
    code: str, product: MagentoProduct, category: CategoryFacts, mappings: Sequence[AttributeMapping]
) -> tuple[CategoryAttribute | None, AttributeMapping | None]:
    """The sales attribute that is mapped to this Magento attribute, else the one of the same name."""
    label = product.axis_labels.get(code, code).casefold()
    for attribute in category.sales_attributes():
        mapping = mapping_for(mappings, attribute.id, category.id)
        if mapping is not None and mapping.magento_attribute == code:
            return attribute, mapping
    return next((each for each in category.sales_attributes() if each.name.casefold() in (label, code.casefold())), None), None


def _value(attribute: CategoryAttribute | None, mapping: AttributeMapping | None, axis: str, raw: str, label: str, image: str) -> SalesAttribute:
    if attribute is None:
        return SalesAttribute(name=axis, value_name=label, image=image)
    mapped = (mapping.values.get(raw) or mapping.values.get(label, "")) if mapping else ""
    return SalesAttribute(id=attribute.id, name=attribute.name, value_id=mapped or attribute.value_named(label), value_name=label, image=image)


def _pictured(product: MagentoProduct, variants: Sequence[MagentoProduct], pictures: Mapping[str, str], image_axis: str) -> tuple[str, dict[str, str]]:
    """The axis that gets pictures, and a uri for each of its values; ("", {}) when a value has none. It is the colour, else the first axis: the
    picture of a red shirt says nothing about size M."""
    colours = [code for code in product.axes if "colo" in code.casefold() or "colo" in product.axis_labels.get(code, "").casefold()]
    for code in (image_axis,) if image_axis else (colours or product.axes)[:1]:
        shown: dict[str, str] = {}
        for variant in variants:
            if uri := pictures.get(variant.sku):
                shown.setdefault(variant.text(code).strip(), uri)
        if shown and all(variant.text(code).strip() in shown for variant in variants):
            return code, shown
    return "", {}

"""A Magento product as listings need it: values with the labels people read, and its pictures (MAG §4.2.2, §4.2.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from connector.domain.policies import ImagePolicy

ENABLED = 1
NO_IMAGE = "no_selection"
MAX_IMAGES = 9

Options = Mapping[str, Mapping[str, str]]  #: attribute code -> option id -> label of the wanted store


@dataclass(frozen=True, slots=True)
class GalleryImage:
    """``file`` as Magento names it, such as ``/t/e/tee-red_1.jpg``; ``roles``: image, small_image, thumbnail."""

    file: str
    position: int = 0
    label: str = ""
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MagentoProduct:
    """One product. ``values``: all attributes verbatim (option ids for selects); ``options``: their labels; ``axes``: codes of a configurable's
    variant attributes, in order, with ``axis_labels`` beside them."""

    product_id: str
    sku: str
    name: str = ""
    type_id: str = "simple"
    status: int = ENABLED
    weight: Decimal | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=dict)
    images: tuple[GalleryImage, ...] = ()
    axes: tuple[str, ...] = ()
    axis_labels: Mapping[str, str] = field(default_factory=dict)

    def raw(self, code: str) -> tuple[str, ...]:
        """The values of an attribute as text, verbatim: option ids for selects; () when it is empty."""
        if code in ("name", "sku"):
            value: Any = self.name if code == "name" else self.sku
        elif code == "weight":
            value = self.weight
        else:
            value = self.values.get(code)
        if value is None or value == "" or value == []:
            return ()
        if isinstance(value, list | tuple):
            return tuple(str(each) for each in value)
        if code in self.options and isinstance(value, str) and "," in value and all(part.strip() in self.options[code] for part in value.split(",")):
            return tuple(part.strip() for part in value.split(","))  # multiselects come as one string
        return (str(value),)

    def labels(self, code: str) -> tuple[str, ...]:
        """What people read: option labels for selects, else the value itself. An option without a label is left out; see ``unlabelled``."""
        known = self.options.get(code)
        return self.raw(code) if known is None else tuple(known[value] for value in self.raw(code) if known.get(value, "").strip())

    def unlabelled(self, code: str) -> tuple[str, ...]:
        """Option ids that have no label in this store: they were deleted, or never translated."""
        known = self.options.get(code)
        return () if known is None else tuple(value for value in self.raw(code) if not known.get(value, "").strip())

    def text(self, code: str) -> str:
        return ", ".join(self.labels(code))

    def number(self, code: str) -> Decimal | None:
        """A numeric attribute; None when it is empty or not a number."""
        text = self.text(code).strip()
        try:
            value = Decimal(text) if text else None
        except ArithmeticError:
            return None
        return value if value is not None and value.is_finite() else None

    def pictures(self, policy: ImagePolicy) -> tuple[str, ...]:
        """The files to send, main one first, 9 at most (A062-A066): the gallery after it, the default image only when there is none."""
        main = next((file for file in self.raw(policy.main_image_attribute) if file != NO_IMAGE), "")
        gallery = [image.file for image in sorted(self.images, key=lambda image: image.position)]
        if not main:
            main = next((image.file for image in self.images if policy.main_image_attribute in image.roles), gallery[0] if gallery else "")
        if not main:
            return (policy.default_image,) if policy.default_image else ()
        rest = [file for file in dict.fromkeys(gallery) if file != main]
        return (main, *rest[: policy.gallery_images])[:MAX_IMAGES]


def magento_product(product: Mapping[str, Any], options: Options | None = None, attribute_codes: Mapping[str, str] | None = None) -> MagentoProduct:
    """From Magento's REST object. ``attribute_codes``: attribute id -> code, because a configurable names its axes by id only."""
    extension = product.get("extension_attributes") or {}
    values = {str(each["attribute_code"]): each.get("value") for each in product.get("custom_attributes") or []}
    for key in ("price", "created_at", "updated_at", "attribute_set_id", "visibility"):
        if key in product:
            values.setdefault(key, product[key])
    codes = attribute_codes or {}
    chosen = sorted(extension.get("configurable_product_options") or [], key=lambda option: int(option.get("position") or 0))
    axes = tuple(codes.get(str(option.get("attribute_id")), str(option.get("attribute_id"))) for option in chosen)
    weight = product.get("weight")
    return MagentoProduct(
        product_id=str(product.get("id") or ""),
        sku=str(product["sku"]),
        name=str(product.get("name") or "").strip(),
        type_id=str(product.get("type_id") or "simple"),
        status=int(product.get("status") or ENABLED),
        weight=None if weight in (None, "") else Decimal(str(weight)),
        values=values,
        options=options or {},
        images=_images(product.get("media_gallery_entries") or ()),
        axes=axes,
        axis_labels={code: str(option.get("label") or code) for code, option in zip(axes, chosen, strict=True)},
    )


def _images(entries: Sequence[Mapping[str, Any]]) -> tuple[GalleryImage, ...]:
    """Disabled entries and videos are no pictures to send."""
    return tuple(
        GalleryImage(str(entry["file"]), int(entry.get("position") or 0), str(entry.get("label") or ""), tuple(entry.get("types") or ()))
        for entry in entries
        if entry.get("file") and entry["file"] != NO_IMAGE and not entry.get("disabled") and entry.get("media_type", "image") == "image"
    )

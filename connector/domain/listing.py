"""From a Magento product to the TikTok listing it becomes: pure mapping, with everything that was wrong on the way (product.md 5, A157, A158).

``build`` makes the body and says why each field is what it is; ``listing_rules.check`` then looks at the body as TikTok will.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal

from connector.domain import listing_codes as codes
from connector.domain.attribute_mapping import AttributeMapping, mapping_for, resolve
from connector.domain.identifiers import kind_of
from connector.domain.listing_body import Dimensions, Identifier, ListingBody, Measure, ProductAttribute, SkuBody, Units
from connector.domain.listing_category import CategoryFacts
from connector.domain.listing_codes import Findings, ListingProblem
from connector.domain.listing_limits import Limits, limits
from connector.domain.listing_text import HostedImage, clean_description
from connector.domain.listing_variants import sales_attributes
from connector.domain.magento_product import ENABLED, MagentoProduct
from connector.domain.policies import ImagePolicy
from connector.domain.pricing import Price
from connector.domain.stock import Ledger

LISTABLE = ("simple", "configurable", "virtual", "downloadable")
POUND = Decimal("0.45359237")  #: kilograms
INCH = Decimal("2.54")  #: centimetres


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingPlan:
    """What the listing template decides beside its policies. Attribute codes are Magento's; blank: not sent.

    ``usual_weight`` (in ``weight_unit``) and ``usual_dimensions`` (length, width, height in ``dimension_unit``) stand in where a product has none.
    ``image_axis``: the variant attribute that gets pictures, blank: the first that has one for each value.
    """

    category: CategoryFacts
    mappings: Sequence[AttributeMapping] = ()
    title_attribute: str = "name"
    description_attribute: str = "description"
    seller_sku_attribute: str = "sku"
    brand_id: str = ""
    identifier_attribute: str = ""
    identifier_type: str = ""
    weight_unit: str = "kgs"  #: Magento's ``weight_unit`` of storeConfigs: kgs or lbs
    usual_weight: Decimal | None = None
    dimension_attributes: tuple[str, str, str] = ("", "", "")
    dimension_unit: str = "cm"  #: cm or in
    usual_dimensions: tuple[Decimal, Decimal, Decimal] | None = None
    image_axis: str = ""
    size_chart_uri: str = ""
    save_mode: str = "LISTING"
    category_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One variant with its price and stock, worked out by their policies."""

    product: MagentoProduct
    price: Price
    stock: Ledger


@dataclass(frozen=True, slots=True)
class Draft:
    """The body; ``problems`` that the body cannot show (a blocked price, an option without label); ``notes``: what was changed or left out on
    the way; ``reasons``: by field, where its value comes from."""

    body: ListingBody
    problems: tuple[ListingProblem, ...]
    notes: tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)


def build(
    product: MagentoProduct,
    offers: Sequence[Offer],
    *,
    plan: ListingPlan,
    images: ImagePolicy,
    hosted: Mapping[str, HostedImage],
    region: str,
    live: ListingBody | None = None,
) -> Draft:
    """``offers``: the product itself for a simple one, the children of a configurable. ``hosted``: uploaded images by Magento file or source.

    Disabled children are left out, and so are new variants without stock while others have some: TikTok takes a new SKU with a unit at least.
    """
    found, notes, reasons, market = Findings(), list[str](), dict[str, str](), limits(region)
    if product.type_id not in LISTABLE:
        found.wrong(
            codes.INPUT_INVALID,
            "type",
            f"{product.sku} is a {product.type_id} product.",
            "List its simple products instead; TikTok Shop sells simple and configurable ones.",
        )
    chosen = _offers(product, offers, live, notes)
    description = clean_description(product.text(plan.description_attribute), hosted)
    notes += description.notes
    pictures = product.pictures(images)
    body = ListingBody(
        title=product.text(plan.title_attribute).strip(),
        description=description.html,
        category_id=plan.category.id,
        category_version=plan.category_version or plan.category.version,
        save_mode=plan.save_mode,
        main_images=tuple(hosted[file].uri for file in pictures if file in hosted),
        skus=_skus(found, product, chosen, plan, images, hosted, reasons),
        package_weight=_weight(product, chosen, plan, market, notes),
        package_dimensions=_dimensions(product, chosen, plan, market, notes),
        product_attributes=_attributes(found, product, chosen, plan, reasons),
        brand_id=plan.brand_id,
        external_product_id=f"magento:{product.product_id}" if product.product_id else "",
        size_chart={"image": {"uri": plan.size_chart_uri}} if plan.size_chart_uri else {},
    )
    missing = [file for file in pictures if file not in hosted]
    notes += [f"The image {file} is not uploaded yet." for file in missing]
    reasons |= {
        "title": f"Magento attribute {plan.title_attribute}",
        "description": f"Magento attribute {plan.description_attribute}, cleaned for TikTok Shop",
        "category_id": "Category of the listing template",
        "main_images": f"Magento attribute {images.main_image_attribute} and {images.gallery_images} gallery images of the image policy",
        "brand_id": "Brand of the listing template",
        "package_weight": f"Weight in Magento ({plan.weight_unit})",
        "package_dimensions": f"Measures in Magento or of the listing template ({plan.dimension_unit})",
        "external_product_id": "Magento product id",
    }
    return Draft(body.with_sku_ids(live) if live else body, tuple(found.problems), tuple(dict.fromkeys(notes)), reasons)


def files_needed(product: MagentoProduct, offers: Sequence[Offer], *, plan: ListingPlan, images: ImagePolicy) -> dict[str, str]:
    """Every picture that ``build`` wants uploaded: Magento file or source -> TikTok's use case (TTS §5.3.7)."""
    needed = dict.fromkeys(clean_description(product.text(plan.description_attribute), {}).images, "DESCRIPTION_IMAGE")
    for offer in offers:
        if offer.product.status == ENABLED and product.axes:
            needed |= dict.fromkeys(offer.product.pictures(_own(images))[:1], "ATTRIBUTE_IMAGE")
    return needed | dict.fromkeys(product.pictures(images), "MAIN_IMAGE")


def _own(images: ImagePolicy) -> ImagePolicy:
    """A variant's own picture: the default image says nothing about a colour."""
    return images.model_copy(update={"default_image": "", "gallery_images": 0})


def _offers(product: MagentoProduct, offers: Sequence[Offer], live: ListingBody | None, notes: list[str]) -> list[Offer]:
    enabled = [offer for offer in offers if offer.product.status == ENABLED or offer.product is product]
    if len(enabled) < len(offers):
        notes.append(f"{len(offers) - len(enabled)} of {len(offers)} variants are disabled in Magento and are left out.")
    there = {sku.seller_sku.casefold() for sku in live.skus} if live else set()
    sold_out = [offer for offer in enabled if offer.stock.sent <= 0 and offer.product.sku.casefold() not in there]
    if not sold_out or len(sold_out) == len(enabled):
        return enabled
    left = ", ".join(offer.product.sku for offer in sold_out)
    notes.append(f"{left}: out of stock, and left out until there is some, because TikTok Shop takes a new variant with a unit at least.")
    return [offer for offer in enabled if offer not in sold_out]


def _skus(
    found: Findings,
    product: MagentoProduct,
    offers: Sequence[Offer],
    plan: ListingPlan,
    images: ImagePolicy,
    hosted: Mapping[str, HostedImage],
    reasons: dict[str, str],
) -> tuple[SkuBody, ...]:
    own = _own(images)
    pictures = {offer.product.sku: image.uri for offer in offers for file in offer.product.pictures(own)[:1] if (image := hosted.get(file)) is not None}
    axes = (
        sales_attributes(found, product, [offer.product for offer in offers], plan.category, plan.mappings, pictures, plan.image_axis) if product.axes else {}
    )
    skus = []
    for place, offer in enumerate(offers):
        variant = offer.product
        seller_sku = variant.text(plan.seller_sku_attribute).strip()
        if offer.price.block is not None:
            block = offer.price.block
            named = block.reason if variant.sku in block.reason else f"{variant.sku}: {block.reason}"
            found.wrong(codes.PRICE_INVALID, f"skus[{place}].price", named, block.remedy)
        reasons[f"{seller_sku}.price"] = offer.price.explanation
        reasons[f"{seller_sku}.inventory"] = offer.stock.explanation
        code = variant.text(plan.identifier_attribute).strip() if plan.identifier_attribute else ""
        skus.append(
            SkuBody(
                seller_sku=seller_sku,
                external_sku_id=variant.product_id,
                amount="" if offer.price.amount is None else offer.price.text,
                currency=offer.price.currency,
                inventory=_inventory(offer.stock),
                sales_attributes=axes.get(variant.sku, ()),
                identifier=Identifier(code, plan.identifier_type or kind_of(code)) if code else None,
            )
        )
    return tuple(skus)


def _inventory(stock: Ledger) -> tuple[Units, ...]:
    """Warehouses that hold some; all of them when none does, so that the check can say so."""
    holding = {warehouse: amount for warehouse, amount in stock.warehouses.items() if amount > 0}
    return tuple(Units(warehouse, amount) for warehouse, amount in (holding or stock.warehouses).items())


def _attributes(found: Findings, product: MagentoProduct, offers: Sequence[Offer], plan: ListingPlan, reasons: dict[str, str]) -> tuple[ProductAttribute, ...]:
    """Values of the product; where it has none, those that all its variants share."""
    chosen = []
    for attribute in plan.category.product_attributes():
        mapping = mapping_for(plan.mappings, attribute.id, plan.category.id)
        if mapping is None:
            continue
        answer = resolve(mapping, attribute, product)
        if not answer.choices and offers:
            of_variants = [resolve(mapping, attribute, offer.product) for offer in offers]
            if len({each.choices for each in of_variants}) == 1:
                answer = of_variants[0]
        where = f"product_attributes[{attribute.id}]"
        if answer.problem:
            found.wrong(
                codes.ATTRIBUTE_VALUES_UNUSABLE,
                where,
                f"{attribute.name}: {answer.problem}",
                "Give the option a label in Magento, or map its value on the Attributes page.",
            )
        if answer.choices:
            chosen.append(ProductAttribute(attribute.id, answer.choices))
            reasons[where] = answer.words
    return tuple(chosen)


def _weight(product: MagentoProduct, offers: Sequence[Offer], plan: ListingPlan, market: Limits, notes: list[str]) -> Measure | None:
    """The product's weight, else that of its heaviest variant, else the template's; in pounds only where the market has them."""
    own = product.weight if product.weight else max((offer.product.weight for offer in offers if offer.product.weight), default=None)
    value = own or plan.usual_weight or product.weight
    if value is None:
        return None
    if not own and plan.usual_weight:
        notes.append(f"{product.sku} has no weight in Magento; the listing template's is used.")
    pounds = plan.weight_unit == "lbs"
    if pounds and market.imperial and plan.dimension_unit == "in":
        return Measure(_up(value, 2, notes, "weight"), "POUND")
    return Measure(_up(value * POUND if pounds else value, 3, [] if pounds else notes, "weight"), "KILOGRAM")


def _dimensions(product: MagentoProduct, offers: Sequence[Offer], plan: ListingPlan, market: Limits, notes: list[str]) -> Dimensions | None:
    """Whole numbers, rounded up: a package is never smaller than said. Missing ones come from the template."""
    sides = []
    for place, code in enumerate(plan.dimension_attributes):
        value = product.number(code) if code else None
        if value is None and code:
            value = max((number for offer in offers if (number := offer.product.number(code)) is not None), default=None)
        sides.append(value if value is not None else plan.usual_dimensions[place] if plan.usual_dimensions else None)
    if all(side is None for side in sides):
        return None
    inches = plan.dimension_unit == "in"
    keeps_inches = inches and market.imperial and plan.weight_unit == "lbs"
    factor = INCH if inches and not keeps_inches else Decimal(1)
    length, width, height = ("" if side is None else _up(side * factor, 0, notes if factor == 1 else [], "measures") for side in sides)
    return Dimensions(length, width, height, "INCH" if keeps_inches else "CENTIMETER")


def _up(value: Decimal, places: int, notes: list[str], what: str) -> str:
    rounded = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_CEILING)
    if rounded != value:
        notes.append(f"The {what} {value.normalize():f} is sent as {rounded:f}: TikTok Shop takes {places or 'no'} decimals.")
    return f"{rounded.normalize():f}" if places else f"{rounded:f}"

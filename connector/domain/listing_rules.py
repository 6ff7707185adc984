"""Everything TikTok will check in a listing, checked here first: all problems at once, each with its code, field and remedy (TTS §5.3.8, §3.4).

``check`` looks at the body alone, as TikTok does; ``listing.build`` makes the body and tells what was wrong on the Magento side.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from connector.domain import listing_codes as codes
from connector.domain.listing_body import Choice, ListingBody
from connector.domain.listing_category import CategoryAttribute, CategoryFacts, holds
from connector.domain.listing_codes import Findings, ListingProblem
from connector.domain.listing_limits import ATTRIBUTE_VALUE, CERTIFICATES, EXTERNAL_ID, IMAGE_SIDES, IMAGES, Limits, limits
from connector.domain.listing_sku_rules import check_skus
from connector.domain.listing_text import HostedImage, check_description, check_title

_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopFacts:
    """What is known of the shop. None means not known: then TikTok alone can tell, and the check is left out.

    ``images``: what was uploaded, by uri. ``taken_seller_skus`` and ``taken_external_ids``: of other products of this shop, in lower case.
    ``brands``: by id, whether they are usable in the category. ``category_version``: the tree the shop has to use, "" for the market's rule.
    ``least_quantity``: of a new SKU; documented as 1, updates take 0 (TTS §5.3.8).
    """

    region: str
    currency: str
    now: datetime
    warehouses: Collection[str] | None = None
    category_version: str = ""
    images: Mapping[str, HostedImage] | None = None
    brands: Mapping[str, bool] | None = None
    taken_seller_skus: Collection[str] = ()
    taken_external_ids: Collection[str] = ()
    taken_identifiers: Collection[str] = ()
    least_quantity: int = 1


def check(
    body: ListingBody, *, category: CategoryFacts | None, shop: ShopFacts, live: ListingBody | None = None, live_is_draft: bool = False
) -> list[ListingProblem]:
    """All problems of the body. ``category`` None, or another than the body's: it is not in the tree. ``live``: what TikTok has now, when this is an edit.

    With ``warning`` False TikTok refuses; with True it lists the product all the same.
    """
    found, market = Findings(draft=body.save_mode == "AS_DRAFT"), limits(shop.region)
    check_title(found, body.title, market)
    check_description(found, body.description, None if shop.images is None else {image.url: image for image in shop.images.values() if image.url})
    if category is not None and category.id != body.category_id:
        category = None
    usable = _category(found, body, category, shop.category_version or market.tree, shop.region)
    _main_images(found, body, shop)
    _external_id(found, body, shop)
    if category is not None and usable:
        _brand(found, body, shop)
        chosen = _attributes(found, body, category)
        _certificates(found, body, category, chosen, shop)
        _size_chart(found, body, category, shop)
    _package(found, body, category if usable else None, market)
    check_skus(found, body, category=category if usable else None, market=market, shop=shop, live=live, live_is_draft=live_is_draft)
    return found.problems


def refusals(problems: list[ListingProblem]) -> list[ListingProblem]:
    """Those that stop the listing."""
    return [problem for problem in problems if not problem.warning]


def _category(found: Findings, body: ListingBody, category: CategoryFacts | None, tree: str, region: str) -> bool:
    """Whether its attributes and rules can be asked. ``tree``: the version the shop has to use."""
    where, choose = "category_id", "Choose another category in the listing template."
    if not body.category_id:
        found.absent(codes.CATEGORY_MISSING, where, "There is no category.", "Choose a category in the listing template.")
        return False
    if tree and (body.category_version or "v1") != tree:
        text = f"The category is sent as one of the {body.category_version or 'v1'} tree; this {region} shop lists in the {tree} tree."
        found.wrong(codes.CATEGORY_VERSION, "category_version", text, "Fetch the categories of the account again and choose the category anew.")
        return False
    if category is None or not category.exists:
        text = f"The category {body.category_id} is not in TikTok's tree."
        found.wrong(codes.CATEGORY_MISSING, where, text, "Fetch the categories again; if it stays, choose another category in the listing template.")
        return False
    if category.version and category.version != (body.category_version or "v1"):
        text = f"The category {category.label} is of the {category.version} tree and is sent as one of the {body.category_version or 'v1'} tree."
        found.wrong(codes.CATEGORY_OTHER_TREE, "category_version", text, "Choose the category anew from the other tree.")
        return False
    if not category.permission_statuses:
        found.wrong(codes.CATEGORY_NOT_AVAILABLE, where, f"The category {category.label} is not available.", choose)
        return False
    if not category.is_leaf:
        found.wrong(codes.CATEGORY_NOT_LEAF, where, f"The category {category.label} has categories below it.", "Choose one of the categories below it.")
        return False
    refused = {
        "PROHIBITED": (codes.CATEGORY_PROHIBITED, "is prohibited for this shop", choose),
        "INVITE_ONLY": (codes.CATEGORY_INVITE_ONLY, "is open by invitation only", "Apply for it in Seller Center, or choose another category."),
        "NON_MAIN_CATEGORY": (codes.CATEGORY_NOT_IN_RANGE, "is not in the shop's range", "Apply for it in Seller Center, or choose another category."),
    }
    for status in category.permission_statuses:
        if status in refused:
            code, what, remedy = refused[status]
            found.wrong(code, where, f"The category {category.label} {what}.", remedy)
    return True


def _main_images(found: Findings, body: ListingBody, shop: ShopFacts) -> None:
    where = "main_images"
    if not body.main_images:
        found.absent(codes.MAIN_IMAGE_MISSING, where, "There is no main image.", "Give the product an image in Magento, or the image policy a default image.")
    if len(body.main_images) > IMAGES:
        text = f"There are {len(body.main_images)} main images; {IMAGES} are allowed."
        found.wrong(codes.MAIN_IMAGE_COUNT, where, text, "Lower Gallery Images in the image policy.")
    least, most = IMAGE_SIDES
    for place, uri in enumerate(body.main_images):
        image = None if shop.images is None else shop.images.get(uri)
        if shop.images is not None and image is None:
            text = f"The image {uri or '(no uri)'} is not uploaded to TikTok Shop."
            found.wrong(codes.MAIN_IMAGE_URI, f"{where}[{place}]", text, "Upload it again.")
        elif image is not None and image.use_case != "MAIN_IMAGE" and not (least <= min(image.width, image.height) and max(image.width, image.height) <= most):
            text = f"The image {uri} was uploaded as {image.use_case} with {image.width} x {image.height} pixels; a main image has {least} to {most} a side."
            found.wrong(codes.MAIN_IMAGE_USE_CASE, f"{where}[{place}]", text, "Use an image of the right size.")


def _external_id(found: Findings, body: ListingBody, shop: ShopFacts) -> None:
    external = body.external_product_id
    if len(external) > EXTERNAL_ID:
        text = f"The external id has {len(external)} characters; {EXTERNAL_ID} are allowed."
        found.wrong(codes.EXTERNAL_ID_INVALID, "external_product_id", text, "Use a shorter id.")
    elif external and external.casefold() in shop.taken_external_ids:
        text = f"Another TikTok product already has the external id {external}."
        found.wrong(codes.EXTERNAL_ID_TAKEN, "external_product_id", text, "Link that product instead of uploading this one again.")


def _brand(found: Findings, body: ListingBody, shop: ShopFacts) -> None:
    if not body.brand_id or shop.brands is None:
        return
    if body.brand_id not in shop.brands:
        found.wrong(
            codes.BRAND_INVALID, "brand_id", f"The brand {body.brand_id} does not exist.", "Fetch the brands again and choose one, or list without a brand."
        )
    elif not shop.brands[body.brand_id]:
        text = f"The brand {body.brand_id} cannot be used in this category; TikTok Shop clears it."
        found.warn(codes.BRAND_INVALID, "brand_id", text, "Request its authorization in Seller Center, choose another brand, or list without a brand.")


def _attributes(found: Findings, body: ListingBody, category: CategoryFacts) -> dict[str, set[str]]:
    """Checks the product attributes; returns the value ids that stay, by attribute."""
    chosen: dict[str, set[str]] = {}
    seen: set[str] = set()
    for entry in body.product_attributes:
        attribute, where = category.attributes.get(entry.id), f"product_attributes[{entry.id}]"
        if attribute is None or attribute.is_sales:
            text = f"The category {category.label} has no product attribute {entry.id}; TikTok Shop clears it."
            found.warn(codes.INPUT_INVALID, where, text, "Remove the mapping on the Attributes page, or fetch the attributes again.")
            continue
        if entry.id in seen:
            found.wrong(codes.INPUT_INVALID, where, f"{attribute.name} is given twice.", "Map it once.")
            continue
        seen.add(entry.id)
        kept = _values(found, attribute, entry.values, where)
        if kept:
            chosen[entry.id] = {choice.id for choice in kept}
    for attribute in category.product_attributes():
        if attribute.id in chosen:
            continue
        where, remedy = f"product_attributes[{attribute.id}]", f"Map {attribute.name} on the Attributes page."
        if attribute.is_required and attribute.id in seen:
            found.wrong(codes.ATTRIBUTE_VALUES_UNUSABLE, where, f"{attribute.name} is required and has no value that can be used.", remedy)
        elif attribute.is_required:
            found.absent(codes.ATTRIBUTE_MISSING, where, f"{attribute.name} is required in {category.label} and is missing.", remedy)
        elif met := holds(attribute.conditions, chosen):
            cause = category.attributes.get(met.attribute_id)
            because = f"{cause.name} is {cause.values.get(met.value_id, met.value_id)}" if cause else "of another attribute's value"
            found.absent(codes.ATTRIBUTE_CONDITIONAL, where, f"{attribute.name} is missing; it is required because {because}.", remedy)
    return chosen


def _values(found: Findings, attribute: CategoryAttribute, choices: tuple[Choice, ...], where: str) -> list[Choice]:
    """The values that TikTok keeps, each with its id where it is a recommended one."""
    kept: list[Choice] = []
    change = f"Change the mapping of {attribute.name} on the Attributes page."
    for choice in choices:
        value_id = choice.id or attribute.value_named(choice.name)
        if value_id in attribute.values:
            kept.append(Choice(value_id, attribute.values[value_id]))
        elif choice.id:
            text = f"{attribute.name} has no value {choice.id} any more; TikTok Shop clears it."
            found.warn(codes.INPUT_INVALID, where, text, f"Fetch the attributes again and map the value of {attribute.name} anew.")
        elif not choice.name:
            found.warn(codes.INPUT_INVALID, where, f"{attribute.name} has an empty value; TikTok Shop clears it.", change)
        elif attribute.is_number and (not _NUMBER.fullmatch(choice.name) or Decimal(choice.name) <= 0):
            found.warn(codes.INPUT_INVALID, where, f"{attribute.name} takes a number above zero, not {choice.name}; TikTok Shop clears it.", change)
        elif not attribute.takes_own_values:
            text = f"{attribute.name} takes recommended values only, not {choice.name}; TikTok Shop clears it."
            found.warn(codes.INPUT_INVALID, where, text, f"Map {choice.name} to one of the recommended values of {attribute.name}.")
        elif len(choice.name) > ATTRIBUTE_VALUE:
            text = f"{attribute.name} has a value of {len(choice.name):,} characters; {ATTRIBUTE_VALUE:,} are allowed."
            found.wrong(codes.INPUT_INVALID, where, text, "Shorten the value in Magento.")
        else:
            kept.append(choice)
    labels = [choice.name or choice.id for choice in kept]
    if len(set(labels)) < len(labels):
        found.wrong(codes.INPUT_INVALID, where, f"{attribute.name} has a value twice.", change)
    if len(kept) > 1 and not attribute.is_multiple:
        found.wrong(codes.INPUT_INVALID, where, f"{attribute.name} takes one value; {len(kept)} are given.", change)
    return kept


def _certificates(found: Findings, body: ListingBody, category: CategoryFacts, chosen: Mapping[str, set[str]], shop: ShopFacts) -> None:
    where, add = "certifications", "Add the document on the listing template."
    if len(body.certifications) > CERTIFICATES:
        found.wrong(codes.INPUT_INVALID, where, f"There are {len(body.certifications)} certificates; {CERTIFICATES} are allowed.", "Send fewer.")
    given: dict[str, Mapping[str, Any]] = {}
    for entry in body.certifications:
        pictures = [str(image.get("uri") or "") for image in entry.get("images") or ()]
        known = [uri for uri in pictures if shop.images is None or uri in shop.images]
        if len(known) < len(pictures):
            found.wrong(codes.CERTIFICATE_MISSING, where, f"The certificate {entry.get('id')} names an image that is not uploaded.", "Upload it again.")
        if known or entry.get("files"):
            given[str(entry.get("id") or "")] = entry
    for rule in category.certificates:
        present = given.get(rule.id)
        if present is None:
            if rule.is_required or holds(rule.conditions, chosen):
                found.absent(codes.CERTIFICATE_MISSING, where, f"The certificate {rule.name} is missing.", add)
        elif rule.needs_expiry:
            expires = present.get("expiration_date")
            if not isinstance(expires, int):
                found.wrong(codes.CERTIFICATE_MISSING, where, f"The certificate {rule.name} has no expiration date.", "Enter the date until which it is valid.")
            elif expires <= shop.now.timestamp():
                when = datetime.fromtimestamp(expires, UTC).date()
                found.wrong(codes.CERTIFICATE_MISSING, where, f"The certificate {rule.name} expired on {when}.", "Add the present certificate.")


def _size_chart(found: Findings, body: ListingBody, category: CategoryFacts, shop: ShopFacts) -> None:
    """An unsupported chart is ignored by TikTok, silently."""
    template, image = ((body.size_chart.get(kind) or {}).get(key) for kind, key in (("template", "id"), ("image", "uri")))
    has = bool(template or (image and (shop.images is None or image in shop.images)))
    if category.size_chart_required and category.size_chart_supported and not has:
        found.absent(codes.SIZE_CHART_REQUIRED, "size_chart", f"The category {category.label} needs a size chart.", "Add a size chart to the listing template.")


def _package(found: Findings, body: ListingBody, category: CategoryFacts | None, market: Limits) -> None:
    weight, size = body.package_weight, body.package_dimensions
    units = {"package_weight": weight.unit if weight else "", "package_dimensions": size.unit if size else ""}
    for where, unit in units.items():
        if unit in ("POUND", "INCH") and not market.imperial:
            found.wrong(codes.IMPERIAL_OUTSIDE_US, where, f"{unit} is for US shops only.", "Send kilograms and centimetres.")
    _weight(found, body, market)
    if size is None:
        rule = category.dimensions_required if category else False
        if market.dimensions_required if rule is None else rule:
            text = "Length, width and height of the package are missing."
            found.absent(
                codes.DIMENSIONS_MISSING, "package_dimensions", text, "Map them to Magento attributes in the listing template, or enter usual ones there."
            )
        return
    if size.unit not in ("CENTIMETER", "INCH"):
        found.wrong(
            codes.DIMENSIONS_INVALID,
            "package_dimensions.unit",
            f"{size.unit or 'No unit'} is not CENTIMETER or INCH.",
            "Choose the unit in the listing template.",
        )
    for name, value in (("length", size.length), ("width", size.width), ("height", size.height)):
        number = _number(value)
        if number is None or number <= 0 or number % 1:
            text = f"The {name} {value or '(empty)'} is not a whole number above zero."
            found.wrong(codes.DIMENSIONS_INVALID, f"package_dimensions.{name}", text, f"Correct the {name} in Magento or in the listing template.")
    if weight is not None:
        metric = weight.unit in ("KILOGRAM", "GRAM")
        if metric and size.unit == "INCH":
            found.wrong(
                codes.METRIC_WEIGHT_IMPERIAL_SIZE, "package_dimensions.unit", "The weight is metric, the measures are in inches.", "Use one system of units."
            )
        elif weight.unit == "POUND" and size.unit == "CENTIMETER":
            found.wrong(
                codes.IMPERIAL_WEIGHT_METRIC_SIZE, "package_weight.unit", "The weight is in pounds, the measures are metric.", "Use one system of units."
            )


def _weight(found: Findings, body: ListingBody, market: Limits) -> None:
    weight, where, enter = body.package_weight, "package_weight", "Enter the weight in Magento, or a usual one in the listing template."
    if weight is None:
        found.absent(codes.WEIGHT_INVALID, where, "The weight is missing.", enter)
        return
    known = weight.unit in market.weight_units
    if not known and not (weight.unit == "POUND" and not market.imperial):
        text = f"{weight.unit or 'No unit'} is not a unit of weight in {market.region}: {', '.join(market.weight_units)}."
        found.wrong(codes.WEIGHT_INVALID, where, text, "Choose the unit in the listing template.")
    number = _number(weight.value)
    if number is None:
        found.wrong(codes.WEIGHT_INVALID, where, f"The weight {weight.value or '(empty)'} is not a number.", enter)
    elif number == 0:
        found.wrong(codes.WEIGHT_ZERO, where, "The weight is zero.", enter)
    elif (places := market.weight_units.get(weight.unit, 2 if weight.unit == "POUND" else None)) is not None and number % Decimal(1).scaleb(-places):
        allowed = f"{places} decimals" if places else "whole numbers"
        found.wrong(
            codes.WEIGHT_INVALID, where, f"The weight {weight.value} {weight.unit} has more decimals than TikTok takes: {allowed}.", "Round the weight."
        )


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None

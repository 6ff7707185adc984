"""The variants of a listing: their number, SKUs, axes, identifiers, prices and stock, as TikTok checks them (TTS §5.3.8 `skus[]`)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from connector.domain import listing_codes as codes
from connector.domain.identifiers import why_doubtful, why_wrong
from connector.domain.listing_body import ListingBody, SalesAttribute, SkuBody
from connector.domain.listing_category import CategoryAttribute, CategoryFacts
from connector.domain.listing_codes import Findings
from connector.domain.listing_limits import AXES, AXIS_NAME, AXIS_VALUE, EXTERNAL_ID, UNITS, Limits
from connector.domain.money import minor_unit
from connector.domain.pricing import CURRENCIES

if TYPE_CHECKING:
    from connector.domain.listing_text import HostedImage

SPECIAL_TYPES = ("PRE_ORDER", "MADE_TO_ORDER", "CUSTOM")

_STRICT_SKU = re.compile(r"[A-Za-z0-9_-]{6,50}")
_NUMBER = re.compile(r"\d+(\.\d+)?")


class Shop(Protocol):
    """The part of ``ShopFacts`` that variants need."""

    @property
    def currency(self) -> str: ...
    @property
    def warehouses(self) -> Collection[str] | None: ...
    @property
    def images(self) -> Mapping[str, HostedImage] | None: ...
    @property
    def taken_seller_skus(self) -> Collection[str]: ...
    @property
    def taken_identifiers(self) -> Collection[str]: ...
    @property
    def least_quantity(self) -> int: ...


def check_skus(
    found: Findings, body: ListingBody, *, category: CategoryFacts | None, market: Limits, shop: Shop, live: ListingBody | None, live_is_draft: bool
) -> None:
    """``live``: what TikTok has now; an edit leaves price and stock of a SKU that has an ``id`` alone (TTS §5.3.12)."""
    skus = body.skus
    if not skus:
        found.absent(
            codes.NO_SKU, "skus", "There is no variant to sell.", "Enable at least one simple product below it in Magento, or list it as a simple product."
        )
        return
    if len(skus) > market.skus:
        text = f"There are {len(skus)} variants; {market.region} takes {market.skus}."
        found.wrong(codes.TOO_MANY_SKUS, "skus", text, "Split the product into several listings, for instance one a colour.")
    _seller_skus(found, skus, market, shop)
    _axes(found, skus, category, shop)
    _identifiers(found, skus, shop, live, fixed=not live_is_draft)
    known = {sku.id for sku in live.skus} if live else set()
    for place, sku in enumerate(skus):
        if sku.id and sku.id not in known:
            text = f"TikTok has no SKU {sku.id} in this product."
            found.wrong(codes.SKU_MISSING, f"skus[{place}].id", text, "Run Marketplace Status Sync: the variant was deleted there.")
        if not sku.id:
            _price(found, sku, f"skus[{place}].price", market, shop.currency)
            _inventory(found, sku, f"skus[{place}].inventory", shop)
        special = (sku.more.get("pre_sale") or {}).get("type")
        if special is not None and special not in (SPECIAL_TYPES if market.region == "US" else SPECIAL_TYPES[:1]):
            found.wrong(
                codes.INPUT_INVALID,
                f"skus[{place}].pre_sale",
                f"The sale type {special} is not offered in {market.region}.",
                "Remove it from the listing template.",
            )
        if len(sku.external_sku_id) > EXTERNAL_ID:
            text = f"The external id of {sku.label} has {len(sku.external_sku_id)} characters; {EXTERNAL_ID} are allowed."
            found.wrong(codes.EXTERNAL_ID_INVALID, f"skus[{place}].external_sku_id", text, "Use a shorter id.")


def _seller_skus(found: Findings, skus: Sequence[SkuBody], market: Limits, shop: Shop) -> None:
    """SKUs are compared without case: Magento does so, and two that differ in case only would be one order line (MAG §4.2.3)."""
    times = Counter(sku.seller_sku.casefold() for sku in skus if sku.seller_sku)
    for place, sku in enumerate(skus):
        where, text = f"skus[{place}].seller_sku", sku.seller_sku
        change = "Change the SKU in Magento, or map another attribute as seller SKU."
        if not text:
            continue
        if len(text) > 50 or any(character.isspace() for character in text):
            found.wrong(codes.SELLER_SKU_INVALID, where, f"The seller SKU {text} has spaces or more than 50 characters.", change)
        elif market.strict_seller_sku and not _STRICT_SKU.fullmatch(text):
            found.wrong(
                codes.SELLER_SKU_INVALID, where, f"The seller SKU {text} is not 6 to 50 letters, digits, - or _, which {market.region} asks for.", change
            )
        if times[text.casefold()] > 1:
            found.wrong(codes.SELLER_SKU_DUPLICATE, where, f"The seller SKU {text} is used by {times[text.casefold()]} variants of this product.", change)
        elif text.casefold() in shop.taken_seller_skus:
            found.wrong(
                codes.SELLER_SKU_DUPLICATE,
                where,
                f"The seller SKU {text} belongs to another product of this shop.",
                "Link that product instead, or change the SKU.",
            )


def _axes(found: Findings, skus: Sequence[SkuBody], category: CategoryFacts | None, shop: Shop) -> None:
    where, map_it = "skus.sales_attributes", "Map the variant attributes on the Attributes page."
    if len(skus) > 1 and (bare := [sku.label for sku in skus if not sku.sales_attributes]):
        text = f"Each of several variants needs a variant attribute; {len(bare)} of {len(skus)} have none: {', '.join(bare[:5])}."
        found.wrong(codes.AXIS_REQUIRED, where, text, map_it)
        return
    axes = {attribute.axis: attribute for sku in skus for attribute in sku.sales_attributes}
    for place, sku in enumerate(skus):
        own = [attribute.axis for attribute in sku.sales_attributes]
        if len(own) > AXES:
            found.wrong(
                codes.AXIS_COUNT, f"skus[{place}].sales_attributes", f"{sku.label} has {len(own)} variant attributes; {AXES} are allowed.", "Use fewer."
            )
        if len(own) != len(set(own)):
            found.wrong(codes.AXIS_NAME, f"skus[{place}].sales_attributes", f"{sku.label} has a variant attribute twice.", "Map each attribute once.")
        if set(own) != set(axes):
            text = f"{sku.label} has not the same variant attributes as the other variants."
            found.wrong(codes.AXIS_MISMATCH, f"skus[{place}].sales_attributes", text, "Give every variant a value of each attribute in Magento.")
        _axis_values(found, sku, f"skus[{place}].sales_attributes", category)
    for variant, count in Counter(sku.variant for sku in skus).items():
        if count > 1 and variant:
            named = next(sku for sku in skus if sku.variant == variant)
            values = " / ".join(attribute.value_name or attribute.value_id for attribute in named.sales_attributes)
            found.wrong(codes.AXIS_DUPLICATE, where, f"{count} variants are {values}.", "Make every combination of values different in Magento.")
    _axis_images(found, skus, shop)


def _axis_values(found: Findings, sku: SkuBody, where: str, category: CategoryFacts | None) -> None:
    for attribute in sku.sales_attributes:
        shown = attribute.name or attribute.id
        if not attribute.id and not attribute.name:
            found.wrong(codes.AXIS_NAME, where, f"A variant attribute of {sku.label} has no name.", "Give it a name of at most 20 characters.")
        elif not attribute.id and len(attribute.name) > AXIS_NAME:
            found.wrong(
                codes.AXIS_NAME,
                where,
                f"The variant attribute {shown} has {len(attribute.name)} characters; {AXIS_NAME} are allowed.",
                "Map it to a shorter name.",
            )
        known = _known_axis(attribute, category)
        if attribute.id and category is not None and (known is None or not known.is_sales):
            text = f"The category {category.label} has no variant attribute {attribute.id}."
            found.wrong(codes.AXIS_UNKNOWN, where, text, "Fetch the attributes again, or send the attribute by its name.")
        if not attribute.value_id and not attribute.value_name:
            found.wrong(codes.AXIS_VALUE, where, f"{sku.label} has no value of {shown}.", f"Give it a value of {shown} in Magento.")
        elif not attribute.value_id and len(attribute.value_name) > AXIS_VALUE:
            text = f"The value {attribute.value_name} of {shown} has {len(attribute.value_name)} characters; {AXIS_VALUE} are allowed."
            found.wrong(codes.AXIS_VALUE, where, text, "Shorten the option's label in Magento.")
        elif attribute.value_id and not attribute.value_name and category is not None and (known is None or attribute.value_id not in known.values):
            text = f"{known.name if known else shown} has no value {attribute.value_id}."
            found.wrong(codes.AXIS_VALUE, where, text, f"Fetch the attributes again and map the value of {known.name if known else shown} anew.")


def _known_axis(attribute: SalesAttribute, category: CategoryFacts | None) -> CategoryAttribute | None:
    """The category's own attribute, by id, else by name."""
    if category is None:
        return None
    if attribute.id:
        return category.attributes.get(attribute.id)
    return next((each for each in category.sales_attributes() if each.name == attribute.name), None)


def _axis_images(found: Findings, skus: Sequence[SkuBody], shop: Shop) -> None:
    """Pictures on one axis only, and then for each of its values."""
    where = "skus.sales_attributes.sku_img"
    with_images = {attribute.axis for sku in skus for attribute in sku.sales_attributes if attribute.image}
    if len(with_images) > 1:
        found.wrong(codes.AXIS_IMAGES, where, "More than one variant attribute has pictures.", "Send pictures of one attribute only, usually the colour.")
    elif with_images:
        values: dict[str, bool] = {}
        for sku in skus:
            for attribute in sku.sales_attributes:
                if attribute.axis in with_images:
                    values[attribute.value_name or attribute.value_id] = values.get(attribute.value_name or attribute.value_id, False) or bool(attribute.image)
        if missing := [value for value, has in values.items() if not has]:
            text = f"These values have no picture while others have: {', '.join(missing)}."
            found.wrong(codes.AXIS_IMAGE_MISSING, where, text, "Give each of them a picture in Magento, or send none.")
    uris = {attribute.image for sku in skus for attribute in sku.sales_attributes if attribute.image}
    if shop.images is not None:
        for uri in sorted(uris - set(shop.images)):
            found.wrong(codes.AXIS_IMAGE_URI, where, f"The picture {uri} is not uploaded to TikTok Shop.", "Upload it again.")


def _identifiers(found: Findings, skus: Sequence[SkuBody], shop: Shop, live: ListingBody | None, *, fixed: bool) -> None:
    times = Counter(sku.identifier.code for sku in skus if sku.identifier)
    before = {sku.id: sku.identifier for sku in live.skus} if live else {}
    for place, sku in enumerate(skus):
        code, where = sku.identifier, f"skus[{place}].identifier_code"
        if code is not None:
            if wrong := why_wrong(code.code, code.type):
                text = f"The identifier {code.code or '(empty)'} of {sku.label} {wrong}."
                found.wrong(codes.IDENTIFIER_FORMAT, where, text, "Correct the code in Magento, or map no identifier.")
            elif doubt := why_doubtful(code.code, code.type):
                text = f"The identifier {code.code} of {sku.label} {doubt}: a digit is probably mistyped."
                found.warn(codes.IDENTIFIER_FORMAT, where, text, "Compare the code with the one on the product.")
            if times[code.code] > 1:
                found.wrong(
                    codes.IDENTIFIER_DUPLICATE,
                    where,
                    f"The identifier {code.code} is used by {times[code.code]} variants.",
                    "Each variant has a code of its own.",
                )
            elif code.code in shop.taken_identifiers:
                found.wrong(codes.IDENTIFIER_DUPLICATE, where, f"The identifier {code.code} belongs to another product.", "Each variant has a code of its own.")
        if fixed and sku.id and (old := before.get(sku.id)) is not None and old != code:
            text = f"The identifier of {sku.label} is {old.code} on TikTok; it can be changed in a draft only."
            found.wrong(codes.IDENTIFIER_FIXED, where, text, "Put the old code back in Magento, or map no identifier for this product.")


def _price(found: Findings, sku: SkuBody, where: str, market: Limits, currency: str) -> None:
    if sku.sale_price:
        found.warn(
            codes.PRICE_INVALID,
            f"{where}.sale_price",
            f"The sale price of {sku.label} is for cross-border sellers; TikTok Shop clears it.",
            "Send the shelf price only.",
        )
    if sku.currency != currency or sku.currency not in CURRENCIES:
        text = f"The price of {sku.label} is in {sku.currency or 'no currency'}; the shop sells in {currency}."
        say = found.wrong if sku.amount or sku.currency else found.absent
        say(codes.CURRENCY_WRONG, f"{where}.currency", text, "Check the account's shop and the pricing policy's conversion rate.")
    if not sku.amount:
        found.absent(codes.PRICE_INVALID, where, f"{sku.label} has no price.", "See the pricing policy and the product's price in Magento.")
        return
    if not _NUMBER.fullmatch(sku.amount):
        found.wrong(
            codes.PRICE_INVALID, f"{where}.amount", f"The price {sku.amount or '(empty)'} of {sku.label} is not a plain decimal.", "See the pricing policy."
        )
        return
    amount = Decimal(sku.amount)
    if amount % minor_unit(currency):
        text = f"The price {sku.amount} of {sku.label} has more decimals than {currency} allows."
        found.wrong(codes.PRICE_INVALID, f"{where}.amount", text, "Choose a rounding in the pricing policy.")
    least, most = market.prices or (minor_unit(currency), None)
    if amount < least:
        found.wrong(codes.PRICE_TOO_LOW, f"{where}.amount", f"The price {sku.amount} {currency} of {sku.label} is below {least}.", "Raise the price.")
    elif most is not None and amount > most:
        found.wrong(codes.PRICE_TOO_HIGH, f"{where}.amount", f"The price {sku.amount} {currency} of {sku.label} is above {most}.", "Lower the price.")


def _inventory(found: Findings, sku: SkuBody, where: str, shop: Shop) -> None:
    if not sku.inventory:
        found.absent(
            codes.INVENTORY_MISSING, where, f"{sku.label} has no stock in any warehouse.", "Fetch Onboarding Data for the account: it has no warehouse yet."
        )
        return
    for warehouse, count in Counter(units.warehouse_id for units in sku.inventory if units.warehouse_id).items():
        if count > 1:
            found.wrong(codes.INPUT_INVALID, where, f"The warehouse {warehouse} is named {count} times for {sku.label}.", "Name each warehouse once.")
    for units in sku.inventory:
        if not units.warehouse_id:
            found.wrong(codes.WAREHOUSE_NOT_NAMED, where, f"The stock of {sku.label} names no warehouse.", "Choose the warehouse in the inventory policy.")
        elif shop.warehouses is not None and units.warehouse_id not in shop.warehouses:
            text = f"The shop has no warehouse {units.warehouse_id}."
            found.wrong(codes.WAREHOUSE_UNKNOWN, where, text, "Fetch Onboarding Data for the account, then choose the warehouse in the inventory policy.")
        if units.quantity is None:
            found.wrong(codes.INVENTORY_MISSING, where, f"The stock of {sku.label} has no quantity.", "See the inventory policy.")
        elif not shop.least_quantity <= units.quantity <= UNITS:
            text = f"The quantity {units.quantity:,} of {sku.label} is not within {shop.least_quantity:,} and {UNITS:,}."
            found.wrong(codes.INVENTORY_RANGE, where, text, "Raise the stock in Magento, or see the inventory policy.")
        if (units.backorder_quantity is None) != (units.handling_time is None):
            text = f"The backorder of {sku.label} needs both a quantity and a handling time."
            found.wrong(codes.BACKORDER_INCOMPLETE, where, text, "Send both, or none.")

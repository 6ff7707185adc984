"""The check of a product's SKUs: sales attributes, prices, stock, codes (TTS §5.3.8), and the SKUs in the marketplace's own form."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from . import refusals as codes
from .findings import Findings, decimals, listed, nested, number, text, whole
from .markets import stable_id
from .orderbook import Document
from .traits import Attribute, attributes
from .tree import Node
from .uploads import picture_row

if TYPE_CHECKING:
    from .marketplace import Marketplace

MOST_SKUS = {"GB": 300, "US": 300, "SG": 100}
MOST_AXES = 3
NAME_CHARACTERS, VALUE_CHARACTERS, SELLER_SKU_CHARACTERS, EXTERNAL_CHARACTERS = 20, 50, 50, 999
TOP_QUANTITY = 99_999
PRICES = {"GB": (Decimal("0.01"), Decimal(5600)), "US": (Decimal("0.01"), Decimal(7600)), "SG": (Decimal("0.01"), Decimal(10_000))}
CODE_FORMATS = {
    "GTIN": r"[0-9]{14}",
    "EAN": r"[0-9]{8}|[0-9]{13}|[0-9]{14}",
    "UPC": r"[0-9]{12}",
    "ISBN": r"[0-9]{13}|[0-9]{9}X",
    "JAN": r"[0-9]{8}|[0-9]{13}",
}
SPECIAL_TYPES = ("PRE_ORDER", "MADE_TO_ORDER", "CUSTOM")
PLAIN_FIELDS = (
    "pre_sale",
    "sku_weight",
    "sku_dimensions",
    "combined_skus",
    "external_urls",
    "extra_identifier_codes",
    "fees",
    "sku_unit_count",
    "external_list_prices",
)


@dataclass
class Variant:
    """One SKU as it was asked for. `id` is None for a new one; price and stock of one that exists already are left alone."""

    id: str | None
    doc: Document
    price: Document
    stock: list[Document]

    @property
    def seller_sku(self) -> str:
        return self.doc["seller_sku"]

    @property
    def code(self) -> str | None:
        return self.doc.get("identifier_code", {}).get("code")


def check_variants(
    found: Findings, market: Marketplace, shop: Document, body: Document, node: Node | None, product: Document | None, before: dict[str, Document]
) -> list[Variant]:
    """`product` is the head of the product that is edited, `before` its SKUs by id."""
    entries = listed(body, "skus")
    if not entries:
        found.wrong(codes.NO_SKU, "skus is missing: a product has at least one SKU", absent=True)
    if len(entries) > MOST_SKUS[shop["region"]]:
        found.wrong(codes.TOO_MANY_SKUS, f"the product has {len(entries)} SKUs, at most {MOST_SKUS[shop['region']]} are allowed")
    variants = [_variant(found, market, shop, entry, node, product, before) for entry in entries]
    _check_axes(found, market, variants, node)
    _check_seller_skus(found, market, shop, variants, product)
    _check_codes(found, market, shop, variants, product, before)
    return variants


def _variant(
    found: Findings, market: Marketplace, shop: Document, entry: Document, node: Node | None, product: Document | None, before: dict[str, Document]
) -> Variant:
    sku_id, seller_sku = text(entry, "id", "body.skus"), text(entry, "seller_sku", "body.skus") or ""
    if sku_id is not None and sku_id not in before:
        found.wrong(codes.SKU_MISSING, f"SKU {sku_id} does not exist in this product")
    if seller_sku and (len(seller_sku) > SELLER_SKU_CHARACTERS or re.search(r"\s", seller_sku)):
        found.wrong(codes.SELLER_SKU_INVALID, f"seller_sku {seller_sku!r} is not valid: 1 to {SELLER_SKU_CHARACTERS} characters without spaces")
    external = text(entry, "external_sku_id", "body.skus")
    if external is not None and len(external) > EXTERNAL_CHARACTERS:
        found.wrong(codes.EXTERNAL_ID_INVALID, f"external_sku_id has {len(external)} characters, at most {EXTERNAL_CHARACTERS} are allowed")
    doc: Document = {"seller_sku": seller_sku, "external_sku_id": external or "", "sales_attributes": _sales_attributes(found, entry, node)}
    doc |= {name: entry[name] for name in PLAIN_FIELDS if entry.get(name) is not None}
    special = nested(entry, "pre_sale", "body.skus").get("type")
    if special is not None and (special not in SPECIAL_TYPES or (shop["region"] != "US" and special != "PRE_ORDER")):
        found.wrong(codes.INPUT_INVALID, f"pre_sale type {special} is not allowed in {shop['region']}")
    if code := nested(entry, "identifier_code", "body.skus"):
        doc["identifier_code"] = {"code": text(code, "code", "body.skus.identifier_code") or "", "type": text(code, "type", "body.skus.identifier_code") or ""}
    if sku_id is not None and sku_id in before:
        return Variant(sku_id, doc, {}, [])
    label = seller_sku or "without seller_sku"
    price = check_price(found, shop, nested(entry, "price", "body.skus"), nested(entry, "list_price", "body.skus"), label)
    return Variant(None, doc, price, _check_stock(found, market, shop, listed(entry, "inventory", "body.skus"), label))


# -- price and stock ----------------------------------------------------------------------------------------------------------------------


def check_price(found: Findings, shop: Document, price: Document, list_price: Document, label: str) -> Document:
    """The price as it is kept: currency, amount, and a list price that makes sense."""
    currency, amount = price.get("currency"), price.get("amount")
    least, most = PRICES[shop["region"]]
    if currency != shop["currency"] and (price or not found.draft):
        found.wrong(codes.CURRENCY_WRONG, f"the price of SKU {label} is in {currency}, the shop sells in {shop['currency']}")
    value = number(amount)
    if value is None:
        found.wrong(codes.PRICE_INVALID, f"the price {amount} of SKU {label} is not an amount", absent=amount is None)
        return {"currency": shop["currency"], "amount": "0"}
    if decimals(value) > 2:
        found.wrong(codes.PRICE_INVALID, f"the price {amount} of SKU {label} has more decimals than {shop['currency']} has")
    if value < least:
        found.wrong(codes.PRICE_TOO_LOW, f"the price {amount} of SKU {label} is below {least}")
    if value > most:
        found.wrong(codes.PRICE_TOO_HIGH, f"the price {amount} of SKU {label} is above {most}")
    if price.get("sale_price"):
        found.warn(f"sale_price of SKU {label} was cleared: it is for cross-border sellers")
    kept: Document = {"currency": shop["currency"], "amount": amount}
    if list_price:
        higher = number(list_price.get("amount"))
        if shop["region"] == "US" and higher is not None and higher >= value:
            kept["list_price"] = {"amount": list_price["amount"], "currency": "USD"}
        else:
            found.warn(f"list_price of SKU {label} was cleared: it must not be below the price, and is for the US only")
    return kept


def sales_warehouses(shop: Document) -> list[str]:
    return [each["id"] for each in shop["warehouses"] if each["type"] == "SALES_WAREHOUSE"]


def quantity_problem(entry: Document, *, least: int) -> tuple[int, str] | None:
    quantity = whole(entry, "quantity", "body.skus.inventory")
    if quantity is None:
        return codes.INVENTORY_MISSING, "quantity is missing"
    if not least <= quantity <= TOP_QUANTITY:
        return codes.INVENTORY_RANGE, f"quantity {quantity} is not between {least} and {TOP_QUANTITY}"
    backorder = [entry.get(name) is not None for name in ("backorder_quantity", "handling_time")]
    if any(backorder) and not all(backorder):
        return codes.BACKORDER_INCOMPLETE, "backorder needs both backorder_quantity and handling_time"
    return None


def stock_row(warehouse_id: str, entry: Document) -> Document:
    more = {name: entry[name] for name in ("backorder_quantity", "handling_time") if entry.get(name) is not None}
    return {"warehouse_id": warehouse_id, "quantity": entry["quantity"], "more": more}


def _check_stock(found: Findings, market: Marketplace, shop: Document, inventory: list[Document], label: str) -> list[Document]:
    if not inventory:
        found.wrong(codes.INVENTORY_MISSING, f"the inventory of SKU {label} is missing", absent=True)
    kept: dict[str, Document] = {}
    for entry in inventory:
        warehouse_id = text(entry, "warehouse_id", "body.skus.inventory")
        if warehouse_id is None:
            found.wrong(codes.WAREHOUSE_NOT_NAMED, f"the inventory of SKU {label} names no warehouse")
            continue
        if warehouse_id not in sales_warehouses(shop):
            found.wrong(codes.WAREHOUSE_UNKNOWN, f"warehouse {warehouse_id} does not exist or is no sales warehouse")
            continue
        if problem := quantity_problem(entry, least=0 if market.settings.zero_stock_on_create else 1):
            found.wrong(problem[0], f"the inventory of SKU {label}: {problem[1]}")
            continue
        if warehouse_id in kept:
            found.wrong(codes.INPUT_INVALID, f"the inventory of SKU {label} names warehouse {warehouse_id} twice")
        kept[warehouse_id] = stock_row(warehouse_id, entry)
    return list(kept.values())


# -- sales attributes ---------------------------------------------------------------------------------------------------------------------


def _sales_attributes(found: Findings, entry: Document, node: Node | None) -> list[Document]:
    known = {each.id: each for each in attributes(node.traits).values() if each.sales} if node else {}
    kept = []
    for wish in listed(entry, "sales_attributes", "body.skus"):
        kept.append(_sales_attribute(found, wish, known))
    if len(kept) > MOST_AXES:
        found.wrong(codes.AXIS_COUNT, f"a SKU has {len(kept)} sales attributes, at most {MOST_AXES} are allowed")
    return kept


def _sales_attribute(found: Findings, wish: Document, known: dict[str, Attribute]) -> Document:
    where = "body.skus.sales_attributes"
    axis_id, name, value_id, value = (text(wish, each, where) for each in ("id", "name", "value_id", "value_name"))
    attribute = known.get(axis_id) if axis_id else next((each for each in known.values() if each.name == name), None)
    if axis_id is not None and attribute is None and not axis_id.startswith("9"):  # 9…: of the seller's own, as given back before
        found.wrong(codes.AXIS_UNKNOWN, f"sales attribute {axis_id} does not exist in this category")
    if attribute is not None:
        name, axis_id = attribute.name, attribute.id
    if not name and axis_id is None:
        found.wrong(codes.AXIS_NAME, "a sales attribute has neither id nor name")
    if name and len(name) > NAME_CHARACTERS:
        found.wrong(codes.AXIS_NAME, f"the name {name} of a sales attribute has more than {NAME_CHARACTERS} characters")
    if attribute is not None and value_id is not None and attribute.value_of(value_id):
        value = attribute.value_of(value_id)
    elif attribute is not None and value in attribute.values:
        value_id = attribute.value_id(value)
    elif not value:
        found.wrong(codes.AXIS_VALUE, f"the sales attribute {name or axis_id} has no value" + (f": value_id {value_id} does not exist" if value_id else ""))
    if value and len(value) > VALUE_CHARACTERS:
        found.wrong(codes.AXIS_VALUE, f"the value {value} of the sales attribute {name} has more than {VALUE_CHARACTERS} characters")
    kept = {
        "id": axis_id or stable_id("9", f"axis:{(name or '').casefold()}", 18),
        "name": name or "",
        "value_id": value_id or stable_id("9", f"value:{(name or '').casefold()}:{value}", 18),
        "value_name": value or "",
    }
    return {**kept, **{each: wish[each] for each in ("sku_img", "supplementary_sku_images") if wish.get(each)}}


def _check_axes(found: Findings, market: Marketplace, variants: list[Variant], node: Node | None) -> None:
    axes = [[each["id"] for each in variant.doc["sales_attributes"]] for variant in variants]
    if len(variants) > 1 and not all(axes):
        found.wrong(codes.AXIS_REQUIRED, "sales_attributes is missing: a product with several SKUs needs them in each")
        return
    if any(len(set(each)) != len(each) for each in axes):
        found.wrong(codes.AXIS_NAME, "a SKU has the same sales attribute twice")
    if len({frozenset(each) for each in axes}) > 1:
        found.wrong(codes.AXIS_MISMATCH, "the SKUs have different sales attributes")
    combinations = [frozenset((each["id"], each["value_id"]) for each in variant.doc["sales_attributes"]) for variant in variants]
    if len(variants) > 1 and len(set(combinations)) < len(combinations):
        found.wrong(codes.AXIS_DUPLICATE, "two SKUs have the same combination of sales attributes")
    _check_axis_images(found, market, variants)


def _check_axis_images(found: Findings, market: Marketplace, variants: list[Variant]) -> None:
    """Pictures belong to one axis only, and then to each of its values."""
    pictured: dict[str, set[str]] = {}
    values: dict[str, set[str]] = {}
    for variant in variants:
        for each in variant.doc["sales_attributes"]:
            values.setdefault(each["id"], set()).add(each["value_id"])
            if "sku_img" not in each:
                continue
            pictured.setdefault(each["id"], set()).add(each["value_id"])
            uri = each["sku_img"].get("uri") if isinstance(each["sku_img"], dict) else None
            if picture_row(market, uri) is None:
                found.wrong(codes.AXIS_IMAGE_URI, f"the SKU image {uri} is not an uploaded image")
    if len(pictured) > 1:
        found.wrong(codes.AXIS_IMAGES, "sku_img stands on more than one sales attribute")
    for axis, shown in pictured.items():
        if shown != values[axis]:
            found.wrong(codes.AXIS_IMAGE_MISSING, f"sku_img is missing for {len(values[axis] - shown)} values of the sales attribute {axis}")


# -- codes --------------------------------------------------------------------------------------------------------------------------------


def _check_seller_skus(found: Findings, market: Marketplace, shop: Document, variants: list[Variant], product: Document | None) -> None:
    counted = Counter(variant.seller_sku for variant in variants if variant.seller_sku)
    for seller_sku in (each for each, count in counted.items() if count > 1):
        found.wrong(codes.SELLER_SKU_DUPLICATE, f"seller_sku {seller_sku} is used by two SKUs of the product")
    if market.settings.unique_seller_sku:
        for seller_sku, other in _taken(market, shop, "seller_sku", counted, product):
            found.wrong(codes.SELLER_SKU_DUPLICATE, f"seller_sku {seller_sku} is used by product {other} already")


def _check_codes(found: Findings, market: Marketplace, shop: Document, variants: list[Variant], product: Document | None, before: dict[str, Document]) -> None:
    fixed = product is not None and product["product_status"] != "DRAFT"
    for variant in variants:
        code = variant.doc.get("identifier_code")
        old = before.get(variant.id or "", {}).get("identifier_code")
        if code and not re.fullmatch(CODE_FORMATS.get(code["type"], "(?!)"), code["code"]):
            found.wrong(codes.IDENTIFIER_FORMAT, f"identifier code {code['code']} is not a valid {code['type'] or 'code without type'}")
        if variant.id in before and fixed and old and code != old:
            found.wrong(codes.IDENTIFIER_FIXED, f"the identifier code of SKU {variant.id} can be changed in a draft only")
    counted = Counter(variant.code for variant in variants if variant.code)
    for code in (each for each, count in counted.items() if count > 1):
        found.wrong(codes.IDENTIFIER_DUPLICATE, f"identifier code {code} is used by two SKUs of the product")
    for code, other in _taken(market, shop, "code", counted, product):
        found.wrong(codes.IDENTIFIER_DUPLICATE, f"identifier code {code} is used by product {other} already")


def _taken(market: Marketplace, shop: Document, column: str, values: Any, product: Document | None) -> list[tuple[str, str]]:
    """(value, product id) of values that another product of the shop has, deleted ones apart."""
    asked = list(values)
    query = (
        f"SELECT skus.{column}, skus.product_id FROM skus JOIN products ON products.id = product_id WHERE skus.shop_id = ? "
        f"AND skus.{column} IN ({','.join('?' * len(asked))}) AND products.status != 'DELETED' AND skus.product_id != ?"
    )
    rows = market.store.read.execute(query, (shop["id"], *asked, product["id"] if product else "")).fetchall()
    return [(row[0], row[1]) for row in rows]

"""Makes orders: from a buyer's basket, or as many as asked for by chance, the same for the same seed (TTS §8 point 8)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from connector.practice.catalogue import BY_SKU, DEMO_PRODUCTS, DemoProduct, bulk_product

from .buyers import buyer, masked
from .markets import MARKETS, stable_id
from .orderbook import Document, Order
from .shelf import Offer, take
from .uploads import address_here

if TYPE_CHECKING:
    from .marketplace import Marketplace

CENT = Decimal("0.01")
KINDS = {
    "platform_shipping": 0.15,
    "fulfilled_by_tiktok": 0.04,
    "seller_discount": 0.30,
    "platform_discount": 0.20,
    "gift": 0.03,
    "emoji": 0.03,
    "thirty_lines": 0.005,
    "multi_line": 0.35,
    "multi_unit": 0.30,
    "message": 0.10,
    "cancel_request": 0.02,
    "name_in_one_field": 0.05,
    "free_shipping": 0.15,
    "sample": 0.0,
    "bundle": 0.0,
    "fees": 0.0,
}


@dataclass(frozen=True)
class Unit:
    """One unit of one product, as it becomes one order line. `offer` is its live listing, when the shop lists it."""

    product: DemoProduct
    price: Decimal
    gift: bool = False
    offer: Offer | None = None


@dataclass
class Basket:
    """What a buyer puts together. `kinds` are the names out of KINDS that apply to this order."""

    units: list[Unit]
    buyer_number: int
    kinds: set[str] = field(default_factory=set)
    message: str = ""
    shipping_type: str = "SELLER"
    fulfillment_type: str = "FULFILLMENT_BY_SELLER"


def product_of(sku: str) -> DemoProduct:
    """Raises KeyError when neither the demonstration catalogue nor the bulk range knows the SKU."""
    if sku in BY_SKU:
        return BY_SKU[sku]
    if sku.startswith("BULK-") and sku[5:].isdecimal():
        return bulk_product(int(sku[5:]))
    raise KeyError(f"there is no product {sku!r} in the practice catalogue")


def listed_product(listed: Offer) -> DemoProduct:
    """A listed SKU as a product; the listing may be of an article that the practice catalogue does not know."""
    return BY_SKU.get(listed.seller_sku) or DemoProduct(listed.seller_sku, listed.title, listed.price, Decimal("0.1"), listed.available)


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def money(amount: Decimal) -> str:
    return f"{amount:.2f}" if amount else "0"


def spread(total: Decimal, parts: list[Decimal]) -> list[Decimal]:
    """`total` over parts in proportion, exact to the cent. A part of nothing, such as a gift, gets nothing."""
    whole, reached, shares, given = sum(parts, Decimal()), Decimal(), [], Decimal()
    for part in parts:
        reached += part
        share = cents(total * reached / whole) - given if whole else Decimal()
        shares.append(share)
        given += share
    return shares


def build(market: Marketplace, shop: Document, basket: Basket, at: int, dice: random.Random, ids: Callable[[str], str]) -> Order:
    """An UNPAID order of one line a unit, with money that adds up to the cent (TTS §5.4.5). Commits the stock of what is listed; raises SoldOut."""
    rule = MARKETS[shop["region"]]
    person = buyer(shop["region"], basket.buyer_number, emoji="emoji" in basket.kinds, one_field="name_in_one_field" in basket.kinds)
    platform = basket.shipping_type == "TIKTOK" or basket.fulfillment_type != "FULFILLMENT_BY_SELLER"
    free = "sample" in basket.kinds
    prices = [Decimal() if unit.gift or free else unit.price for unit in basket.units]
    list_total = sum(prices, Decimal())
    seller = cents(list_total * dice.choice((5, 10, 15)) / 100) if "seller_discount" in basket.kinds else Decimal()
    platform_cut = cents(list_total * dice.choice((3, 7)) / 100) if "platform_discount" in basket.kinds else Decimal()
    seller_parts, platform_parts = spread(seller, prices), spread(platform_cut, prices)
    rate = Decimal(person["tax_rate"])
    lines = [
        _line(ids("line"), unit, price, off, cut, rule.currency, rate, shop)
        for unit, price, off, cut in zip(basket.units, prices, seller_parts, platform_parts, strict=True)
    ]
    if "bundle" in basket.kinds:
        _make_bundle(lines[0], basket.units[0].product)
    shipping = Decimal() if free else rule.shipping_fee
    shipping_off = shipping if "free_shipping" in basket.kinds else Decimal()
    shipping_by_seller = shipping_off if dice.random() < 0.5 else Decimal()
    payment = _payment(lines, rule.currency, rate, shipping, shipping_by_seller, shipping_off - shipping_by_seller)
    if person["state_code"] == "CO" and list_total:
        _add_fee(payment, "retail_delivery_fee", Decimal("0.29"))
    if "fees" in basket.kinds:
        _add_fee(payment, "small_order_fee", Decimal("0.99"))
    option = shop["delivery_options"][0 if platform else 2]
    warehouse = shop["warehouses"][0 if dice.random() < 0.9 else 1]
    holds = _commit(market, shop, basket.units, lines, warehouse["id"], at)
    warehouse_ids = Counter(warehouse_id for _, warehouse_id, _ in holds.values()).most_common(1)
    doc = {
        "id": ids("order"),
        "status": "UNPAID",
        "order_type": "NORMAL",
        "commerce_platform": "TIKTOK_SHOP",
        "fulfillment_type": basket.fulfillment_type,
        "shipping_type": "TIKTOK" if platform else "SELLER",
        "delivery_type": "HOME_DELIVERY",
        "delivery_option_id": option["id"],
        "delivery_option_name": option["name"],
        "warehouse_id": warehouse_ids[0][0] if warehouse_ids else warehouse["id"],
        "is_sample_order": free,
        **dict.fromkeys(("is_cod", "is_on_hold_order", "is_replacement_order", "is_exchange_order", "is_subscription_order"), False),
        "is_buyer_request_cancel": False,
        "has_updated_recipient_address": False,
        "user_id": person["user_id"],
        "buyer_email": person["email"],
        "buyer_nickname": person["nickname"],
        "buyer_message": basket.message,
        "payment_method_name": "Practice card",
        "create_time": at,
        "update_time": at,
        "payment": payment,
        "packages": [],
        "line_items": lines,
    }
    inner = {
        "shop_id": shop["id"],
        "region": shop["region"],
        "address": masked(person["address"]) if platform else person["address"],
        "unpaid_until": at + int(market.settings.unpaid_timeout_seconds),
        "packages": {},
        "cancellations": {},
        "timeline": [{"time": at, "event": "placed", "detail": f"{len(lines)} units by {person['nickname']}"}],
        **({"holds": holds} if holds else {}),
    }
    return Order(doc, inner)


def _commit(market: Marketplace, shop: Document, units: list[Unit], lines: list[Document], prefer: str, at: int) -> dict[str, list[str]]:
    """Stock held by line id: SKU, warehouse, state."""
    held: dict[str, list[str]] = {}
    by_sku: dict[str, list[tuple[Offer, Document]]] = {}
    for unit, line in zip(units, lines, strict=True):
        if unit.offer is not None:
            by_sku.setdefault(unit.offer.sku_id, []).append((unit.offer, line))
    for sku_id, pairs in by_sku.items():
        warehouses = take(market, shop, pairs[0][0], len(pairs), prefer, at)
        for (_, line), warehouse_id in zip(pairs, warehouses, strict=True):
            held[line["id"]] = [sku_id, warehouse_id, "committed"]
    return held


def _line(line_id: str, unit: Unit, price: Decimal, off: Decimal, cut: Decimal, currency: str, rate: Decimal, shop: Document) -> Document:
    product, sale = unit.product, price - off - cut
    tax = [{"tax_type": "SALES_TAX", "tax_amount": money(cents(sale * rate)), "tax_rate": f"{rate:f}"}] if currency == "USD" else []
    listed = unit.offer
    return {
        "id": line_id,
        "product_id": listed.product_id if listed else stable_id("1729", f"product:{shop['id']}:{product.parent_sku or product.sku}"),
        "sku_id": listed.sku_id if listed else stable_id("1729", f"sku:{shop['id']}:{product.sku}"),
        "seller_sku": product.sku,
        "product_name": listed.title if listed else product.name,
        "sku_name": listed.sku_name if listed else ", ".join(part for part in (product.colour, product.size) if part) or "Default",
        "sku_image": address_here(listed.image_uri) if listed else "",
        "sku_type": "NORMAL",
        "original_price": f"{price:.2f}",
        "sale_price": f"{sale:.2f}",
        "seller_discount": money(off),
        "platform_discount": money(cut),
        "currency": currency,
        "item_tax": tax,
        "display_status": "UNPAID",
        "is_gift": unit.gift,
        **({"gift_retail_price": f"{unit.price:.2f}"} if unit.gift else {}),
        "is_dangerous_good": False,
        "needs_prescription": False,
    }


def _make_bundle(line: Document, product: DemoProduct) -> None:
    """A virtual bundle: the stock to deduct stands in `combined_listing_skus`."""
    parts = [{name: line[name] for name in ("product_id", "sku_id", "seller_sku")} | {"sku_count": 2}]
    line |= {"combined_listing_skus": parts, "seller_sku": f"BUNDLE-{product.sku}", "product_name": f"{product.name}, set of two"}


def _payment(lines: list[Document], currency: str, rate: Decimal, shipping: Decimal, by_seller: Decimal, by_platform: Decimal) -> Document:
    """Amounts with the relations of TTS §5.4.5. US figures are before tax, the others include it."""
    original, seller, platform, sub_total = (
        sum((Decimal(line[name]) for line in lines), Decimal()) for name in ("original_price", "seller_discount", "platform_discount", "sale_price")
    )
    product_tax = sum((Decimal(each["tax_amount"]) for line in lines for each in line["item_tax"]), Decimal())
    fee = shipping - by_seller - by_platform
    shipping_tax = cents(fee * rate)
    return {
        "currency": currency,
        "original_total_product_price": f"{original:.2f}",
        "seller_discount": money(seller),
        "platform_discount": money(platform),
        "sub_total": f"{sub_total:.2f}",
        "original_shipping_fee": money(shipping),
        "shipping_fee_seller_discount": money(by_seller),
        "shipping_fee_platform_discount": money(by_platform),
        "shipping_fee_cofunded_discount": "0",
        "shipping_fee": money(fee),
        "shipping_fee_tax": money(shipping_tax),
        "product_tax": money(product_tax),
        "tax": money(product_tax + shipping_tax),
        "total_amount": f"{sub_total + fee + product_tax + shipping_tax:.2f}",
    }


def _add_fee(payment: Document, name: str, amount: Decimal) -> None:
    payment[name] = money(amount)
    payment["total_amount"] = f"{Decimal(payment['total_amount']) + amount:.2f}"


# -- by chance ----------------------------------------------------------------------------------------------------------------------------


def probabilities(overrides: dict[str, Any]) -> dict[str, float]:
    """KINDS with overrides. Raises ValueError for an unknown kind or a figure outside 0..1."""
    for name, value in overrides.items():
        if name not in KINDS:
            raise ValueError(f"there is no kind {name!r}; known: {', '.join(KINDS)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ValueError(f"the probability of kind {name!r} must be between 0 and 1")
    return {**KINDS, **overrides}


def assortment(bulk: int | None) -> list[DemoProduct]:
    """What chance draws from: the first `bulk` bulk articles, or everything of the demonstration catalogue that a plain order line can hold in quantity."""
    if bulk:
        return [bulk_product(number) for number in range(1, bulk + 1)]
    return [product for product in DEMO_PRODUCTS if product.sellable and product.qty > 1 and product.type_id == "simple"]


def random_basket(dice: random.Random, products: list[DemoProduct], chances: dict[str, float], people: int, lines: tuple[int, int] | None) -> Basket:
    kinds = {name for name, chance in chances.items() if dice.random() < chance}
    if lines:
        distinct = dice.randint(*lines)
    elif "thirty_lines" in kinds:
        distinct = 30
    else:
        distinct = dice.randint(2, 4) if "multi_line" in kinds else 1
    # thirty lines are thirty units; a small assortment repeats its products
    chosen = dice.sample(products, distinct) if distinct <= len(products) else dice.choices(products, k=distinct)
    units = []
    for product in chosen:
        count = dice.randint(2, 4) if "multi_unit" in kinds and "thirty_lines" not in kinds and not lines else 1
        units += [Unit(product, product.price)] * count
    if "gift" in kinds:
        gift = dice.choice(products)
        units.append(Unit(gift, gift.price, gift=True))
    by_tiktok = "fulfilled_by_tiktok" in kinds
    return Basket(
        units,
        buyer_number=dice.randint(1, people),
        kinds=kinds,
        message=dice.choice(("Please leave with a neighbour", "It is a present 🎂", "Ring twice")) if "message" in kinds else "",
        shipping_type="TIKTOK" if by_tiktok or "platform_shipping" in kinds else "SELLER",
        fulfillment_type="FULFILLMENT_BY_TIKTOK" if by_tiktok else "FULFILLMENT_BY_SELLER",
    )

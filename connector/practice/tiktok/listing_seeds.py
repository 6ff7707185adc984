"""Listings that the marketplace makes itself: of the demonstration catalogue, of bulk articles, checked by the same rules as everybody's."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from connector.practice.catalogue import DEMO_PRODUCTS, DemoProduct, bulk_product

from .audits import finish
from .categories import recommend, usual_version
from .listings import Listing, save
from .orderbook import Document
from .products import create, examine
from .traits import attributes
from .tree import Node, tree
from .uploads import seeded_picture
from .variants import TOP_QUANTITY, sales_warehouses

if TYPE_CHECKING:
    from .marketplace import Marketplace

BATCH = 500
MOST = 200_000
MOST_LEFT_OUT = 200


def seed_listings(market: Marketplace, wish: dict[str, Any]) -> dict[str, Any]:
    """See README.md, `POST /practice/catalogue/seed`. Raises ValueError or KeyError."""
    started = time.monotonic()
    shop = market.shop(wish.get("shop", "GB"))
    wanted = wish.get("products", 19)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 0 <= wanted <= MOST:
        raise ValueError(f"products must be a whole number between 0 and {MOST}")
    groups = _groups(int(wish.get("first", 1)), bulk=bool(wish.get("bulk")))
    stock, live = wish.get("stock"), bool(wish.get("live", True))
    warehouses = sales_warehouses(shop)[: int(wish.get("warehouses", 1))]
    ids: list[str] = []
    left_out: list[Document] = []
    skus = 0
    while len(ids) < wanted and len(left_out) <= 2 * wanted + 1000:  # a shop that may list nothing must come to an end
        batch = list(islice(groups, min(BATCH, wanted - len(ids))))
        with market.store.write():
            picture, now, made = seeded_picture(market, market.clock.seconds()), market.clock.seconds(), []
            for group in batch:
                body = seed_body(market, shop, group, picture, warehouses, stock)
                found, content, variants = examine(market, shop, body)
                if found.problems:
                    left_out.append({"sku": group[0].sku, "code": found.problems[0][0], "message": found.problems[0][1]})
                    continue
                listing, _ = create(market, shop, content, variants, now, draft=False)
                listing.inner["seeded"] = True  # takes nothing from the day's listing limit
                if live:
                    finish(market, listing, [], now)
                if not wish.get("webhooks"):
                    listing.events.clear()
                made.append(listing)
                skus += len(variants)
            save(market, *made)
            _sold_out(market, made, batch)
            ids += [listing.id for listing in made]
    return {"products": len(ids), "skus": skus, "ids": ids, "left_out": left_out[:MOST_LEFT_OUT], "seconds": round(time.monotonic() - started, 3)}


def _groups(first: int, *, bulk: bool) -> Iterator[list[DemoProduct]]:
    """Products with their variants, without end: the demonstration catalogue first, then bulk articles."""
    families: dict[str, list[DemoProduct]] = defaultdict(list)
    for product in () if bulk else DEMO_PRODUCTS:
        if product.type_id != "configurable" and product.status == 1:
            families[product.parent_sku or product.sku].append(product)
    yield from families.values()
    for number in count(first):
        yield [bulk_product(number)]


@lru_cache(maxsize=1000)
def seed_category(version: str, name: str) -> Node:
    """The recommended leaf that anybody may list in, else one that fits everything."""
    found = recommend(version, name, "")
    if found is not None and found.status == "AVAILABLE" and "sizechart" not in found.traits and "cert" not in found.traits:
        return found
    return next(node for node in tree(version).values() if node.name == "Shopping Bags")


def seed_body(market: Marketplace, shop: Document, group: list[DemoProduct], picture: str, warehouses: list[str], stock: int | None) -> Document:
    """A complete create body for one product or a family of variants."""
    first = group[0]
    name = first.name if len(group) == 1 else first.name.removesuffix(f" {first.colour.lower()} {first.size}")
    title = name if shop["region"] != "SG" else f"{name}, article of the practice shop"
    node = seed_category(usual_version(shop), re.sub(r"\d+", "", name))
    known = attributes(node.traits)
    required = [each for each in known.values() if each.required]
    values = [
        {"id": each.id, "values": [{"id": each.value_id(each.values[-1])} if each.values else {"name": "10" if each.number else "Practice"}]}
        for each in required
    ]
    return {
        "title": title,
        "description": f"<p>{name}, sold by the practice shop.</p>",
        "category_id": node.id,
        "category_version": node.version,
        "main_images": [{"uri": picture}],
        "package_weight": {"value": f"{first.weight_kg:f}", "unit": "KILOGRAM"},
        "package_dimensions": {"length": "20", "width": "15", "height": "10", "unit": "CENTIMETER"},
        "product_attributes": values,
        "external_product_id": f"practice:{first.parent_sku or first.sku}",
        "skus": [_sku(shop, product, warehouses, stock, several=len(group) > 1) for product in group],
    }


def _sku(shop: Document, product: DemoProduct, warehouses: list[str], stock: int | None, *, several: bool) -> Document:
    axes = [(name, value) for name, value in (("Color", product.colour), ("Size", product.size)) if value] if several else []
    return {
        "seller_sku": product.sku,
        "external_sku_id": product.sku,
        "price": {"amount": f"{product.price.quantize(Decimal('0.01'))}", "currency": shop["currency"]},
        "inventory": [{"warehouse_id": each, "quantity": max(1, min(TOP_QUANTITY, product.qty if stock is None else stock))} for each in warehouses],
        "sales_attributes": [{"name": name, "value_name": value} for name, value in axes],
    }


def _sold_out(market: Marketplace, made: list[Listing], batch: list[list[DemoProduct]]) -> None:
    """A listing is made with at least one unit; what is sold out in the catalogue is emptied afterwards."""
    empty = [product.sku for group in batch for product in group if product.qty == 0]
    if not empty:
        return
    with market.store.write() as db:
        for listing in made:
            for sku in empty:
                db.execute("UPDATE stock SET available = 0 WHERE sku_id IN (SELECT id FROM skus WHERE product_id = ? AND seller_sku = ?)", (listing.id, sku))

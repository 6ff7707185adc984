"""Seeds orders that look as if the shop had been open for a while: each is led through its life with dates in the past."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .generator import Unit, assortment, build, listed_product, probabilities, product_of, random_basket
from .life import arrange, cancel_now, collect, complete, deliver, fulfil_by_platform, open_package, pay, release, request_cancel
from .markets import MARKETS
from .orderbook import Document, Order, save
from .orders import STATUSES
from .shelf import SoldOut, offer

if TYPE_CHECKING:
    from connector.practice.catalogue import DemoProduct

    from .marketplace import Marketplace

MIX = (3, 7, 52, 3, 10, 9, 7, 4, 5)  # in the order of STATUSES
BATCH = 500
GRACE = 6 * 3600  # no seeded order is overdue on arrival


def seed(market: Marketplace, wish: dict[str, Any]) -> dict[str, Any]:
    """See README.md, `POST /practice/seed`. Raises ValueError or KeyError for a wish that cannot be granted."""
    started = time.monotonic()
    count = wish.get("orders", 200)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 200_000:
        raise ValueError("orders must be a whole number between 0 and 200000")
    status = wish.get("status")
    if status is not None and status not in STATUSES:
        raise ValueError(f"status must be null or one of {', '.join(STATUSES)}")
    shops = [market.shop(name) for name in ([wish["region"]] if wish.get("region") else wish.get("shops") or MARKETS)]
    dice = random.Random(wish.get("seed", 7))
    chances = probabilities(wish.get("kinds") or {})
    products = [_product(market, shops, sku) for sku in wish["skus"]] if wish.get("skus") else assortment(wish.get("bulk"))
    span = int(float(wish.get("since_hours", 48)) * 3600)
    if span <= 0:
        raise ValueError("since_hours must be above 0")
    lines = tuple(wish["lines"]) if wish.get("lines") else None
    people = max(20, count // 2)
    listing_shops = {row[0] for row in market.store.read.execute("SELECT DISTINCT shop_id FROM products")}
    ids: list[str] = []
    by_status: Counter[str] = Counter()
    by_shop: Counter[str] = Counter()
    for first in range(0, count, BATCH):
        size = min(BATCH, count - first)
        with market.store.write():
            baskets = [random_basket(dice, products, chances, people, lines) for _ in range(size)]
            now = market.clock.seconds()
            numbers: dict[str, Iterator[str]] = {"order": iter(market.ids("order", size)), "line": iter(market.ids("line", sum(len(b.units) for b in baskets)))}
            orders = []
            for basket in baskets:
                shop = dice.choice(shops)
                if shop["id"] in listing_shops:
                    basket.units = in_stock(market, shop, basket.units, products, dice)
                    if not basket.units:
                        continue
                wanted = status or dice.choices(STATUSES, MIX)[0]
                placed = _placed_at(wanted, now, span, dice)
                order = build(market, shop, basket, placed, dice, _taking(numbers))
                lead(market, order, shop, wanted, now, dice)
                if "cancel_request" in basket.kinds and order.status == "AWAITING_SHIPMENT":
                    request_cancel(market, order, "ecom_order_to_ship_canceled_reason_created_by_mistakes", min(now, order.doc["update_time"] + 600))
                if wish.get("arriving"):  # a connector that polls already sees them now, however long ago they were placed
                    order.doc["update_time"] = max(order.doc["update_time"], now)
                if not wish.get("webhooks"):
                    order.events.clear()
                orders.append(order)
                ids.append(order.id)
                by_status[order.status] += 1
                by_shop[shop["region"]] += 1
            save(market, *orders)
    seconds = round(time.monotonic() - started, 3)
    return {"orders": len(ids), "by_status": dict(by_status), "by_shop": dict(by_shop), "ids": ids, "seconds": seconds}


def _product(market: Marketplace, shops: list[Document], sku: str) -> DemoProduct:
    """Raises KeyError when neither the practice catalogue nor a listing of the shops knows the SKU."""
    try:
        return product_of(sku)
    except KeyError:
        offers = [offer(market, shop, sku) for shop in shops]
        if listed := next((each for each in offers if each), None):
            return listed_product(listed)
        raise


def in_stock(market: Marketplace, shop: Document, units: list[Unit], products: list[DemoProduct], dice: random.Random) -> list[Unit]:
    """The units as the shop can sell them: listed SKUs only as far as they are for sale and in stock; chance picks something else instead, if there is."""
    left: dict[str, int] = {}
    served: list[Unit] = []
    for unit in units:
        for product in (unit.product, *(dice.choice(products) for _ in range(3))):
            try:
                listed = offer(market, shop, product.sku)
            except SoldOut:
                continue
            if listed is not None:
                if left.setdefault(product.sku, listed.available) < 1:
                    continue
                left[product.sku] -= 1
            same = product is unit.product
            served.append(Unit(product, listed.price if listed else unit.price if same else product.price, unit.gift, listed))
            break
    return served


def _taking(numbers: dict[str, Iterator[str]]) -> Callable[[str], str]:
    return lambda kind: next(numbers[kind])


def _placed_at(status: str, now: int, span: int, dice: random.Random) -> int:
    """Young enough for a status that does not last, else anywhere in the span."""
    if status in ("UNPAID", "ON_HOLD"):
        return now - dice.randint(30, min(span, 3000) + 30)
    return now - dice.randint(min(span, 7200), max(span, 7200))


def lead(market: Marketplace, order: Order, shop: Document, status: str, now: int, dice: random.Random) -> None:
    """Leads a new order to a status at moments between its placing and now; what it plans next lies in the future."""
    if status == "UNPAID":
        return
    paid = order.doc["create_time"] + dice.randint(5, 25)
    pay(market, order, paid)
    if status == "ON_HOLD":
        order.inner["hold_until"] = max(order.inner["hold_until"], now + 60)
        return
    released = min(order.inner["hold_until"], now - 5)
    if status == "CANCELLED" and dice.random() < 0.5:
        reason = "ecom_order_to_ship_canceled_reason_created_by_mistakes"
        cancel_now(market, order, "BUYER", reason, dice.randint(paid, max(paid, released)))
        _plan_ahead(order, now, dice)
        return
    release(market, order, released)
    steps = sorted(dice.randint(released, now - 1) for _ in range(4))
    if status == "CANCELLED":
        by = dice.choice(("BUYER", "SYSTEM", "OPERATOR"))
        reason = {"BUYER": "ecom_order_to_ship_canceled_reason_created_by_mistakes", "SYSTEM": "system_cancel_order_reason_shipping_timeout"}
        cancel_now(market, order, by, reason.get(by, "system_cancel_order_reason_potential_fraud"), steps[0])
    elif status != "AWAITING_SHIPMENT":
        _ship(market, order, shop, steps[0], partial=status == "PARTIALLY_SHIPPING", dice=dice)
        for wanted, at, move in (("IN_TRANSIT", steps[1], collect), ("DELIVERED", steps[2], deliver)):
            if STATUSES.index(status) >= STATUSES.index(wanted):
                for package in order.packages.values():
                    move(market, order, package, at)
        if status == "COMPLETED":
            complete(order, steps[3])
    _plan_ahead(order, now, dice)


def _ship(market: Marketplace, order: Order, shop: Document, at: int, *, partial: bool, dice: random.Random) -> None:
    if order.doc["fulfillment_type"] != "FULFILLMENT_BY_SELLER":
        if not partial:
            fulfil_by_platform(market, order, at)
        return
    waiting = [line["id"] for line in order.lines_in("AWAITING_SHIPMENT")]
    if partial:
        if len(waiting) < 2 or order.packages:  # nothing to split, or a market that ships whole packages
            return
        waiting = waiting[: len(waiting) // 2]
    package = next(iter(order.packages.values()), None) or open_package(market, order, waiting, at)
    carrier = dice.choice(shop["shipping_providers"])
    arrange(market, order, package, f"PRAC{order.id[-10:]}", carrier["id"], carrier["name"], at)


def _plan_ahead(order: Order, now: int, dice: random.Random) -> None:
    later = now + GRACE + dice.randint(0, 24 * 3600)
    for name in ("shipping_due_time", "cancel_order_sla_time", "collection_due_time", "delivery_due_time"):
        if name in order.doc:
            order.doc[name] = max(order.doc[name], later)
    for name in ("ship_at", "complete_at"):
        if order.inner.get(name):
            order.inner[name] = max(order.inner[name], later)
    for package in order.packages.values():
        for name in ("_collect_at", "_deliver_at"):
            if name in package:
                package[name] = max(package[name], later)

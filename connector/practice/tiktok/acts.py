"""What a buyer, a carrier or the platform does to an order, for the console and the control API. Raises ValueError when it cannot be done."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from .combining import leave_combined, others
from .generator import Basket, Unit, build, listed_product, probabilities, product_of
from .life import cancel_now, close_request, collect, complete, deliver, pay, release, request_cancel
from .orderbook import Document, Order, load, save
from .reasons import buyer_cancel_reasons, seller_cancel_reasons
from .returns_acts import ask_return
from .returns_life import open_returns
from .schedule import settle
from .shelf import offer

if TYPE_CHECKING:
    from .marketplace import Marketplace

MOST_UNITS = 200


def place(market: Marketplace, wish: dict[str, Any]) -> Order:
    """A buyer's order: `shop`, `lines` [{sku, quantity, price}], `pay` and more (README.md, `POST /practice/orders`)."""
    shop = market.shop(wish.get("shop", "GB"))
    units: list[Unit] = []
    for line in wish.get("lines") or []:
        listed = offer(market, shop, line.get("sku", ""))
        product = product_of(line.get("sku", "")) if listed is None else listed_product(listed)
        quantity = line.get("quantity", 1)
        if isinstance(quantity, bool) or not isinstance(quantity, int) or not 1 <= quantity <= MOST_UNITS:
            raise ValueError(f"quantity must be a whole number between 1 and {MOST_UNITS}")
        try:
            price = Decimal(str(line["price"])) if line.get("price") is not None else (listed or product).price
        except InvalidOperation:
            raise ValueError(f"price {line['price']!r} is not an amount") from None
        units += [Unit(product, price, gift=bool(line.get("gift")), offer=listed)] * quantity
    if not 1 <= len(units) <= MOST_UNITS:
        raise ValueError(f"an order has between 1 and {MOST_UNITS} units")
    shipping, fulfillment = wish.get("shipping_type", "SELLER"), wish.get("fulfillment_type", "FULFILLMENT_BY_SELLER")
    if shipping not in ("SELLER", "TIKTOK") or fulfillment not in ("FULFILLMENT_BY_SELLER", "FULFILLMENT_BY_TIKTOK"):
        raise ValueError("shipping_type is SELLER or TIKTOK, fulfillment_type FULFILLMENT_BY_SELLER or FULFILLMENT_BY_TIKTOK")
    kinds = set(wish.get("kinds") or ())
    probabilities(dict.fromkeys(kinds, 1))  # names the unknown ones
    basket = Basket(units, int(wish.get("buyer", 42)), kinds, wish.get("message", ""), shipping, fulfillment)
    with market.store.write():
        now = market.clock.seconds()
        order = build(market, shop, basket, now, random.Random(market.store.take_numbers("dice")[0]), lambda kind: market.ids(kind)[0])
        order.announce(1, {"order_id": order.id, "order_status": "UNPAID", "is_on_hold_order": False, "update_time": now}, now)
        if wish.get("pay", True):
            pay(market, order, now)
        save(market, order)
    return order


def act(market: Marketplace, order_id: str, name: str, wish: dict[str, Any]) -> Order:
    """One of ACTS on an order, in one transaction."""
    settle(market)
    with market.store.write():
        order = load(market, order_id)
        ACTS[name](market, order, wish, market.clock.seconds())
        save(market, order)
    return order


def _pay(market: Marketplace, order: Order, wish: Document, now: int) -> None:
    _only(order, "UNPAID")
    pay(market, order, now)


def _release(market: Marketplace, order: Order, wish: Document, now: int) -> None:
    _only(order, "ON_HOLD")
    release(market, order, now)


def _cancel(market: Marketplace, order: Order, wish: Document, now: int) -> None:
    by = wish.get("by", "BUYER")
    if by not in ("BUYER", "SELLER", "SYSTEM", "OPERATOR"):
        raise ValueError("by is BUYER, SELLER, SYSTEM or OPERATOR")
    if order.status in ("COMPLETED", "CANCELLED"):
        raise ValueError(f"order {order.id} is {order.status}")
    known = [line["id"] for line in order.lines if line["display_status"] != "CANCELLED"]
    line_ids = wish.get("line_ids")
    if line_ids and not set(line_ids) <= set(known):
        raise ValueError("line_ids names lines that are not in the order or are cancelled")
    if by == "BUYER":
        reasons = buyer_cancel_reasons(order)
        if not reasons:
            raise ValueError(f"a buyer cannot cancel an order that is {order.status}")
        reason = wish.get("reason") or reasons[0]
        if order.status in ("UNPAID", "ON_HOLD"):
            cancel_now(market, order, "BUYER", reason, now, line_ids)
        elif order.open_request():
            raise ValueError(f"order {order.id} has an open cancellation request already")
        else:
            request_cancel(market, order, reason, now, line_ids)
        return
    offered = seller_cancel_reasons(order)
    fallback = {
        "SELLER": offered[0] if offered else "seller_cancel_reason_out_of_stock",
        "SYSTEM": "package_lost",
        "OPERATOR": "system_cancel_order_reason_potential_fraud",
    }
    cancel_now(market, order, by, wish.get("reason") or fallback[by], now, line_ids)


def _withdraw(market: Marketplace, order: Order, wish: Document, now: int) -> None:
    request = order.open_request()
    if request is None:
        raise ValueError(f"order {order.id} has no open cancellation request")
    close_request(market, order, request, now, "withdrawn by the buyer")


def _move(market: Marketplace, order: Order, wish: Document, now: int) -> None:
    """The buyer changes the address; before the end of the hold nobody sees it yet."""
    if order.status in ("COMPLETED", "CANCELLED"):
        raise ValueError(f"order {order.id} is {order.status}")
    before = order.inner["address"]
    unknown = set(wish) - set(before)
    if unknown:
        raise ValueError(f"the address has no field {', '.join(sorted(unknown))}")
    changes = wish or {"address_line1": "99 Moved Street", "address_detail": "99 Moved Street"}
    after = {**before, **changes}
    if "full_address" not in wish:
        after["full_address"] = before["full_address"].replace(before["address_line1"], after["address_line1"], 1)
    leave_combined(market, order, "ADDRESS_UPDATE_SPLIT", "BUYER", now)
    order.inner["address"] = after
    order.note(now, "address changed", after["full_address"])
    if "recipient_address" in order.doc:
        order.doc |= {"recipient_address": after, "has_updated_recipient_address": True}
        order.touch(now)
        order.announce(3, {"order_id": order.id, "update_time": order.doc["update_time"]}, now)


def _parcels(order: Order, wish: Document, status: str) -> list[Document]:
    chosen = [each for each in order.packages.values() if each["status"] == status and wish.get("package_id") in (None, "", each["id"])]
    if not chosen:
        raise ValueError(f"order {order.id} has no package with the status {status}")
    return chosen


def _collect(market: Marketplace, order: Order, wish: Document, now: int) -> None:
    for package in _parcels(order, wish, "PROCESSING"):
        collect(market, order, package, now)
        for member in others(market, order, package):
            collect(market, member, member.packages[package["id"]], now)
            save(market, member)


def _deliver(market: Marketplace, order: Order, wish: Document, now: int) -> None:
    for package in _parcels(order, wish, "FULFILLING"):
        deliver(market, order, package, now)
        for member in others(market, order, package):
            deliver(market, member, member.packages[package["id"]], now)
            save(market, member)


def _complete(market: Marketplace, order: Order, wish: Document, now: int) -> None:
    _only(order, "DELIVERED")
    if open_returns(order):
        raise ValueError(f"order {order.id} has an open return")
    complete(order, now)


def _risk(market: Marketplace, order: Order, wish: Document, now: int) -> None:
    """Risk control takes the order in its sights and cancels it after `seconds`."""
    if order.status in ("COMPLETED", "CANCELLED"):
        raise ValueError(f"order {order.id} is {order.status}")
    order.inner["risk_at"] = now + int(wish.get("seconds", 0))
    order.note(now, "risk control", "looks at the order")


def _only(order: Order, status: str) -> None:
    if order.status != status:
        raise ValueError(f"order {order.id} is {order.status}, not {status}")


ACTS: dict[str, Callable[[Any, Order, Document, int], None]] = {
    "pay": _pay,
    "release": _release,
    "cancel": _cancel,
    "withdraw": _withdraw,
    "address": _move,
    "collect": _collect,
    "deliver": _deliver,
    "complete": _complete,
    "return": ask_return,
    "risk": _risk,
}

"""From a filled cart to an order: addresses, shipping method, placing (MAG §4.4.4, steps 3 and 4)."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from . import schema
from .auth import release
from .carts import both, currency, load, save, sellable_lines
from .emails import log_email
from .errors import RestError
from .inventory import Stock, managed, reserve, stock_of_store
from .numbers import ZERO, cents, dec, now, num
from .regions import COUNTRIES, REGION_REQUIRED, ZIP_OPTIONAL, complete_region
from .routing import ANONYMOUS, Call, route
from .storage import Doc, Storage, Tables
from .totals import payment_methods, rates, totals

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
BUSY = "A server error stopped your order from being placed. Please try to place your order again."


# --- addresses and shipping method ------------------------------------------------------------------------------------------


def _address(call: Call, given: Any) -> Doc:
    cleaned = schema.address(given)
    cleaned = {k: v for k, v in cleaned.items() if k not in ("save_in_address_book", "same_as_billing", "custom_attributes")}
    complete_region(cleaned)
    return {"id": call.db.next("quote_address"), **cleaned}


@both("POST", "/shipping-information")
def shipping_information(call: Call, cart_id: str) -> Doc:
    given = {schema.snake(key): value for key, value in call.param("addressInformation").items()}
    quote = load(call, cart_id)
    lines = sellable_lines(call.db, quote)
    if not lines:
        raise RestError(400, "The shipping method can't be set for an empty cart. Add an item to cart and try again.")
    shipping = _address(call, given.get("shipping_address") or {})
    billing = _address(call, given.get("billing_address") or given.get("shipping_address") or {})
    if not shipping.get("country_id"):
        raise RestError(400, "The shipping address is missing. Set the address and try again.")
    bad_email = any(a.get("email") and not EMAIL.fullmatch(a["email"]) for a in (shipping, billing))
    if bad_email or any(a.get("country_id") not in COUNTRIES for a in (shipping, billing)):
        text = 'The shipping information was unable to be saved. Error: "%message"'
        raise RestError(400, text, {"message": "The address failed to save. Verify the address and try again."})
    quote["shipping_address"], quote["billing_address"] = shipping, billing
    carrier, method = given.get("shipping_carrier_code", ""), given.get("shipping_method_code", "")
    found = next((r for r in rates(call, quote) if (r["carrier_code"], r["method_code"]) == (carrier, method)), None)
    if found is None:
        raise RestError(404, "Carrier with such method not found: %1, %2", [carrier, method])
    quote["shipping"] = {
        "method": f"{carrier}_{method}",
        "amount": found["amount"],
        "base_amount": found["base_amount"],
        "description": f"{found['carrier_title']} - {found['method_title']}",
    }
    save(call, quote)
    return {"payment_methods": payment_methods(call), "totals": totals(call, quote)}


@both("POST", "/billing-address")
def billing_address(call: Call, cart_id: str) -> str:
    quote = load(call, cart_id)
    quote["billing_address"] = _address(call, call.param("address"))
    if call.param("useForShipping", False):
        quote["shipping_address"] = quote["billing_address"]
    save(call, quote)
    return str(quote["billing_address"]["id"])


#: How long two callers of a leaking lock wait for each other at most.
LEAK_SECONDS = 30.0


# --- placing ------------------------------------------------------------------------------------------------------------------


@contextmanager
def placing(storage: Storage, arguments: list[str]) -> Iterator[bool]:
    """Magento's lock per cart: a second placing while the first runs is refused.

    With the switch `leaking_cart_lock` one second caller slips through, as on a live 2.4.6 (MAG §4.4.7): yields True for it.
    """
    cart = arguments[0]
    with storage.read() as db:
        leaking = db.config("settings")["leaking_cart_lock"]
        quote = db.get("quote", int(cart)) if cart.isdigit() else None
    with storage.flights_lock:
        running = storage.flights.get(cart, 0)
        if running >= (2 if leaking and quote and quote["is_active"] else 1):
            raise RestError(400, BUSY)
        storage.flights[cart] = running + 1
        joined, passed = storage.leaks.setdefault(cart, (threading.Event(), threading.Event()))
    if leaking and running:  # the second caller comes while the first is at work and ends after it, however busy the machine is
        joined.set()
        passed.wait(LEAK_SECONDS)
    elif leaking:
        joined.wait(LEAK_SECONDS)
    try:
        yield running == 1
    finally:
        passed.set()
        with storage.flights_lock:
            storage.flights[cart] -= 1
            if not storage.flights[cart]:
                del storage.flights[cart], storage.leaks[cart]


@both("PUT", "/order", guard=placing)
def place(call: Call, cart_id: str) -> int:
    quote = load(call, cart_id)
    payment = call.param("paymentMethod", None) or quote["payment"] or {}
    code = payment.get("method")
    lines = sellable_lines(call.db, quote)
    method = next((m for m in payment_methods(call) if m["code"] == code), None)
    if method is None or not lines:
        raise RestError(400, "The requested Payment Method is not available.")
    virtual = all(line["product_type"] == "virtual" for line in lines)
    stock_entry = stock_of_store(call.world, call.store["id"])
    if stock_entry is None:
        raise _type_error()
    check_addresses(quote, virtual, strict_city=release(call.settings) >= (2, 4, 8))
    check_stock(call, lines, stock_entry["stock_id"])
    quote["store_id"] = call.store["id"]
    quote["payment"] = {**payment, "title": method["title"]}
    order_id = create_order(call, quote, lines, virtual, stock_entry["stock_id"])
    quote["is_active"] = False
    call.db.put("quote", quote["id"], quote)
    return order_id


@route("POST", "/V1/guest-carts/:cartId/payment-information", ANONYMOUS, guard=placing)
def payment_information(call: Call, cart_id: str) -> int:
    """Guest checkout in one step: e-mail, optional billing address, payment, order."""
    quote = load(call, cart_id)
    if call.param("billingAddress", None):
        quote["billing_address"] = {**_address(call, call.param("billingAddress")), "email": call.param("email")}
        save(call, quote)
    return place(call, cart_id)


def _type_error() -> RestError:
    """A cart of the admin store has no stock to reserve from (MAG §1.1)."""
    kind = "Magento\\InventoryIndexer\\Model\\Queue\\ReservationData"
    text = f"{kind}::__construct(): Argument #2 ($stock) must be of type int, null given, called in AbstractFactory.php on line 121"
    return RestError(400, "Type Error occurred when creating object: %type, %msg", {"type": kind, "msg": text})


def check_addresses(quote: Doc, virtual: bool, strict_city: bool = False) -> None:
    """The checks Magento leaves to placing: country, mandatory fields, e-mail; from 2.4.8 the letters of the city."""
    wanted = [("billing", quote["billing_address"])]
    if not virtual:
        wanted.insert(0, ("shipping", quote["shipping_address"]))
        if not quote["shipping_address"] or not quote["shipping"]:
            text = "Some addresses can't be used due to the configurations for specific countries."
            raise RestError(400, text, [""])
    for kind, address in wanted:
        faults = address_faults(address or {})
        if faults:
            listed = " ".join(f'"{name}" is required. Enter and try again.' for name in faults)
            raise RestError(400, f"Please check the {kind} address information. %1", [listed])
        if strict_city and re.search(r"[\d.&()]", address["city"]):
            raise RestError(400, f"Please check the {kind} address information. %1", ["Invalid City. Please use only letters."])
        if not EMAIL.fullmatch((address or {}).get("email") or ""):
            raise RestError(400, "Failed address validation:\n%1", ["Email has a wrong format"])


def address_faults(address: Doc) -> list[str]:
    country = address.get("country_id")
    faults = [name for name in ("firstname", "lastname", "street", "city", "telephone") if not _filled(address.get(name))]
    if not address.get("postcode") and country not in ZIP_OPTIONAL:
        faults.append("postcode")
    if not country:
        faults.append("countryId")
    elif country in REGION_REQUIRED and not address.get("region_id"):
        faults.append("regionId")
    return faults


def _filled(value: Any) -> bool:
    return any(str(line).strip() for line in value) if isinstance(value, list) else bool(str(value or "").strip())


def check_stock(call: Call, lines: list[Doc], stock_id: int) -> None:
    stock = Stock(call.db, stock_id)
    for line in lines:
        product = call.db.get("product", line["child"]["product_id"] if line.get("child") else line["product_id"])
        if not stock.linked(product["sku"]):
            raise RestError(400, "The requested sku is not assigned to given stock")
        if not stock.is_salable(product):
            raise RestError(400, "Some of the products are out of stock.")
        if stock.faults_for(product, dec(line["qty"])):
            raise RestError(400, "The requested qty is not available")


def next_increment(db: Tables, store_id: int, kind: str = "order") -> str:
    """The next number of a store view: prefix = its id (none for store 1), nine digits."""
    prefix = "" if store_id == 1 else str(store_id)
    while True:
        number = f"{prefix}{db.next(f'sequence_{kind}_{store_id}'):09d}"
        if kind != "order" or not db.one("SELECT 1 FROM sales_order WHERE json_extract(doc,'$.increment_id') COLLATE NOCASE = ?", number):
            return number


def store_name(world: Doc, store_id: int) -> str:
    store = next((s for s in world["stores"] if s["id"] == store_id), None)
    if store is None:
        text = "The store that was requested wasn't found. Verify the store and try again."
        raise RestError(404, text)
    website = next(w for w in world["websites"] if w["id"] == store["website_id"])
    group = next(g for g in world["groups"] if g["id"] == store["store_group_id"])
    return f"{website['name']}\n{group['name']}\n{store['name']}"


_ZERO_HEADER = ["discount_amount", "discount_tax_compensation_amount", "shipping_discount_amount", "shipping_tax_amount", "tax_amount"]
_ZERO_ITEM = ["amount_refunded", "discount_amount", "discount_invoiced", "discount_tax_compensation_amount", "row_invoiced", "tax_amount", "tax_invoiced"]


def create_order(call: Call, quote: Doc, lines: list[Doc], virtual: bool, stock_id: int) -> int:
    """Write the order with its lines, reserve the stock, log the order email; all in the caller's transaction."""
    db, at = call.db, now()
    code, rate = currency(call.world, quote)
    base = call.world["base_currency"]
    increment_id = next_increment(db, quote["store_id"])
    billing = quote["billing_address"]
    customer = db.get("customer", quote["customer_id"]) if quote["customer_id"] else None
    order: Doc = {
        "increment_id": increment_id,
        "store_id": quote["store_id"],
        "store_name": store_name(call.world, quote["store_id"]),
        "quote_id": quote["id"],
        "state": "new",
        "status": "pending",
        "created_at": at,
        "updated_at": at,
        "protect_code": secrets.token_hex(16),
        "remote_ip": "127.0.0.1",
        "is_virtual": int(virtual),
        "customer_email": (customer or billing)["email"],
        "customer_firstname": (customer or billing)["firstname"],
        "customer_lastname": (customer or billing)["lastname"],
        "customer_group_id": customer["group_id"] if customer else 0,
        "customer_is_guest": 0 if customer else 1,
        "customer_note_notify": 1,
        "base_currency_code": base,
        "global_currency_code": base,
        "store_currency_code": base,
        "order_currency_code": code,
        "base_to_global_rate": 1,
        "base_to_order_rate": num(rate),
        "store_to_base_rate": 0,
        "store_to_order_rate": 0,
        "_path": "A",
        "_stock_id": stock_id,
    }
    if customer:
        order["customer_id"] = customer["id"]
    for name in _ZERO_HEADER:
        order[name] = order[f"base_{name}"] = 0
    order["shipping_discount_tax_compensation_amount"] = order["base_shipping_discount_tax_compensation_amnt"] = 0
    shipping = quote["shipping"] if quote["shipping"] and not virtual else None
    for prefix in ("", "base_"):
        amount = shipping[f"{prefix}amount"] if shipping else 0
        order[f"{prefix}shipping_amount"] = order[f"{prefix}shipping_incl_tax"] = amount
    if shipping:
        order["shipping_description"] = shipping["description"]
    order_id = db.add("sales_order", order, "entity_id")
    sums = {"": ZERO, "base_": ZERO}
    quantity = weight = ZERO
    for line in lines:
        item = order_line(line, order, rate)
        db.add("order_item", item, "item_id")
        for prefix in sums:
            sums[prefix] += dec(item[f"{prefix}row_total"])
        quantity, weight = quantity + dec(line["qty"]), weight + dec(item.get("row_weight"))
        if line.get("child"):
            db.add("order_item", child_line(line, item), "item_id")
        if managed(db, {"product_id": line["child"]["product_id"] if line.get("child") else line["product_id"]}):
            reserve(db, stock_id, line["sku"], -dec(line["qty"]), "order_placed", increment_id)
    for prefix, subtotal in sums.items():
        order[f"{prefix}subtotal"] = order[f"{prefix}subtotal_incl_tax"] = num(subtotal)
        order[f"{prefix}grand_total"] = num(subtotal + dec(order[f"{prefix}shipping_amount"]))
    order.update(total_qty_ordered=num(quantity), total_item_count=len(lines), weight=num(weight))
    order["_shipping_address"] = None if virtual else _order_address(db, quote["shipping_address"], "shipping", order_id)
    order["_billing_address"] = _order_address(db, billing, "billing", order_id)
    order["_shipping_method"] = shipping["method"] if shipping else None
    order["_payment"] = _payment(db, quote["payment"], order)
    order["_histories"] = []
    order["billing_address_id"] = order["_billing_address"]["entity_id"]
    db.put("sales_order", order_id, order)
    quote["reserved_order_id"] = increment_id
    if call.settings["emails"]:
        log_email(db, "order", order)
    return order_id


def _order_address(db: Tables, address: Doc, kind: str, order_id: int) -> Doc:
    kept = {key: value for key, value in address.items() if key != "id" and value is not None}
    return {"address_type": kind, **kept, "entity_id": db.next("order_address"), "parent_id": order_id}


def _payment(db: Tables, payment: Doc, order: Doc) -> Doc:
    row = {
        "account_status": None,
        "additional_information": [payment["title"]],
        "amount_ordered": order["grand_total"],
        "base_amount_ordered": order["base_grand_total"],
        "base_shipping_amount": order["base_shipping_amount"],
        "cc_last4": None,
        "entity_id": db.next("order_payment"),
        "method": payment["method"],
        "parent_id": order["entity_id"],
        "shipping_amount": order["shipping_amount"],
    }
    number = payment.get("po_number") or payment.get("poNumber")
    if number:
        row["po_number"] = str(number)[:32]
    return row


def order_line(line: Doc, order: Doc, rate: Decimal) -> Doc:
    quantity, weight = dec(line["qty"]), dec(line["weight"])
    base_price = dec(line["base_price"])
    item: Doc = {
        "order_id": order["entity_id"],
        "sku": line["sku"],
        "name": line["name"],
        "product_id": line["product_id"],
        "product_type": line["product_type"],
        "store_id": order["store_id"],
        "quote_item_id": line["item_id"],
        "created_at": order["created_at"],
        "updated_at": order["updated_at"],
        "qty_ordered": line["qty"],
        "is_virtual": int(line["product_type"] == "virtual"),
        "free_shipping": 0,
        "no_discount": 0,
        "is_qty_decimal": 0,
        "discount_percent": 0,
        "tax_percent": 0,
        "row_weight": num(weight * quantity),
    }
    for name in ("canceled", "invoiced", "refunded", "shipped"):
        item[f"qty_{name}"] = 0
    if line["weight"] is not None and line["product_type"] != "virtual":
        item["weight"] = num(weight)
    for prefix, price in (("", cents(base_price * rate)), ("base_", base_price)):
        row = num(cents(price * quantity))
        item.update({f"{prefix}{name}": 0 for name in _ZERO_ITEM})
        item.update({f"{prefix}{name}": num(price) for name in ("price", "original_price", "price_incl_tax")})
        item.update({f"{prefix}{name}": row for name in ("row_total", "row_total_incl_tax")})
    if line.get("options"):
        item["_options"] = line["options"]
        item["_child_product_id"] = line["child"]["product_id"]
    return item


def child_line(line: Doc, parent: Doc) -> Doc:
    """The simple line under a configurable one: quantities, no money."""
    child = line["child"]
    kept = ("order_id", "sku", "store_id", "created_at", "updated_at", "qty_ordered", "is_virtual", "free_shipping", "no_discount")
    item = {key: parent[key] for key in (*kept, "is_qty_decimal")}
    zero = (
        "amount_refunded base_amount_refunded base_discount_amount base_discount_invoiced base_price base_row_invoiced"
        " base_row_total base_tax_amount base_tax_invoiced discount_amount discount_invoiced discount_percent original_price price"
        " qty_canceled qty_invoiced qty_refunded qty_shipped row_invoiced row_total row_weight tax_amount tax_invoiced tax_percent"
    )
    item.update(dict.fromkeys(zero.split(), 0))
    item.update(
        name=child["name"],
        product_id=child["product_id"],
        product_type="simple",
        quote_item_id=child["item_id"],
        parent_item_id=parent["item_id"],
    )
    if child["weight"] is not None:
        item["weight"] = num(child["weight"])
    return item

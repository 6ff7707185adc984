"""Carts: numeric (integration) and masked (guest); lines, rates, totals (MAG §4.4.4)."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any

import orjson

from .errors import RestError, no_such, required
from .inventory import Stock, product_by_sku, stock_of_store
from .numbers import ZERO, cents, dec, now, num
from .routing import ANONYMOUS, Call, route
from .storage import Doc, Tables

MANAGE = "Magento_Cart::manage"
NOT_AVAILABLE = "Product that you are trying to add is not available."
NO_PRODUCT = "The product that was requested doesn't exist. Verify the product and try again."


def both(method: str, path: str, guard: Any = None):
    """Register a cart route for numeric ids and for guest masks."""

    def register(handler):
        route(method, f"/V1/carts/:cartId{path}", MANAGE, guard)(handler)
        route(method, f"/V1/guest-carts/:cartId{path}", ANONYMOUS, guard)(handler)
        return handler

    return register


def load(call: Call, cart_id: str, active: bool = True) -> Doc:
    """The cart of a path or body id; 404 when unknown, or finished while `active` is asked for."""
    if "guest-carts" in call.route.path and not str(cart_id).isdigit():
        row = call.db.one("SELECT doc FROM quote WHERE json_extract(doc,'$.mask') = ?", str(cart_id))
        quote = orjson.loads(row[0]) if row else None
    else:
        quote = call.db.get("quote", int(cart_id)) if str(cart_id).isdigit() else None
    if quote is None or (active and not quote["is_active"] and not call.leak):
        raise no_such("cartId", int(cart_id) if str(cart_id).isdigit() else cart_id)
    return quote


def save(call: Call, quote: Doc) -> None:
    """A cart follows the store code of the last call that wrote it."""
    if call.store["id"] != quote["store_id"]:
        quote["store_id"] = call.store["id"]
    quote["updated_at"] = now()
    call.db.put("quote", quote["id"], quote)


def new_cart(call: Call, mask: str | None) -> Doc:
    at = now()
    quote = {
        "mask": mask,
        "store_id": call.store["id"],
        "is_active": True,
        "created_at": at,
        "updated_at": at,
        "items": [],
        "shipping_address": None,
        "billing_address": None,
        "shipping": None,
        "payment": None,
        "customer_id": None,
        "reserved_order_id": None,
    }
    call.db.add("quote", quote, "id")
    return quote


@route("POST", "/V1/carts", MANAGE)
def create(call: Call) -> str:
    return str(new_cart(call, None)["id"])


@route("POST", "/V1/guest-carts", ANONYMOUS)
def create_guest(call: Call) -> str:
    return new_cart(call, secrets.token_urlsafe(24)[:32])["mask"]


@route("PUT", "/V1/carts/mine", "self")
def mine(call: Call) -> list:
    """An integration has no cart of its own: nothing useful happens (MAG §4.4.4)."""
    new_cart(call, None)
    return []


@route("PUT", "/V1/carts/:cartId", MANAGE)
def assign_customer(call: Call, cart_id: str) -> bool:
    quote = load(call, cart_id)
    customer = call.db.get("customer", int(call.param("customerId")))
    if customer is None:
        raise no_such("customerId", call.param("customerId"))
    quote["customer_id"] = customer["id"]
    save(call, quote)
    return True


# --- lines ----------------------------------------------------------------------------------------------------------------


@both("GET", "/items")
def items(call: Call, cart_id: str) -> list:
    quote = load(call, cart_id)
    return [line_view(call.db, quote, line) for line in quote["items"]]


@both("POST", "/items")
def add_item(call: Call, cart_id: str) -> Doc:
    given = call.param("cartItem")
    quote_id = given.get("quote_id", given.get("quoteId"))
    if not quote_id:
        raise required("quoteId")
    quote = load(call, quote_id)
    quantity = dec(given.get("qty") or 1)
    product = product_by_sku(call.db, given.get("sku", ""))
    if product is None:
        raise RestError(404, NO_PRODUCT)
    line = _line_for(call, quote, product, given)
    if quantity != quantity.to_integral_value() and not product["stock_item"].get("is_qty_decimal"):
        raise RestError(400, "You cannot use decimal quantity for this product.")
    total = dec(line.get("qty", 0)) + quantity
    _check_stock(call, quote, product_by_sku(call.db, line["sku"]), total)
    line["qty"] = num(total)
    line["base_price"] = num(final_price(product if not line.get("child") else line["child"]["product"], total))
    if line.get("child"):
        line["child"] = {k: v for k, v in line["child"].items() if k != "product"}
    if "item_id" not in line:
        line["item_id"] = call.db.next("quote_item")
        if line.get("child"):
            line["child"]["item_id"] = call.db.next("quote_item")
        quote["items"].append(line)
    save(call, quote)
    return line_view(call.db, quote, line)


def _line_for(call: Call, quote: Doc, product: Doc, given: Doc) -> Doc:
    """The cart line this product belongs to: an existing one of the same product, or a new one."""
    if product["status"] != 1:
        raise RestError(400, NOT_AVAILABLE)
    if any(option.get("is_require") for option in product.get("options", [])):
        text = "The product's required option(s) weren't entered. Make sure the options are entered and try again."
        raise RestError(400, text)
    child, options = None, None
    if product["type_id"] == "configurable":
        extension = (given.get("product_option") or given.get("productOption") or {}).get("extension_attributes") or {}
        options = extension.get("configurable_item_options")
        child = options and _child(call.db, product, options)
        if not child:
            raise RestError(400, "You need to choose options for your item.")
    elif product["type_id"] in ("bundle", "grouped"):
        raise RestError(400, "Please specify product option(s).")
    sold = child or product
    for line in quote["items"]:
        if line["product_id"] == product["id"] and line["sku"] == sold["sku"]:
            if child:
                line["child"]["product"] = child
            return line
    line = {
        "sku": sold["sku"],
        "product_id": product["id"],
        "name": product["name"],
        "product_type": product["type_id"],
        "weight": sold.get("weight"),
    }
    if child:
        line["options"] = options
        line["child"] = {"product": child, "product_id": child["id"], "name": child["name"], "weight": child.get("weight")}
    return line


def _child(db: Tables, product: Doc, options: list[Doc]) -> Doc | None:
    codes = {str(o["attribute_id"]): o["code"] for o in product.get("configurable_options", [])}
    wanted = {codes.get(str(o.get("option_id"))): str(o.get("option_value")) for o in options}
    for child_id in product.get("links", []):
        child = db.get("product", child_id)
        if child and all(str(child["attributes"].get(code)) == value for code, value in wanted.items()):
            return child
    return None


def _check_stock(call: Call, quote: Doc, product: Doc, quantity: Decimal) -> None:
    entry = stock_of_store(call.world, quote["store_id"])
    if entry is None:
        return  # the admin store has no stock: such a cart can be filled but not placed
    stock = Stock(call.db, entry["stock_id"])
    if not stock.is_salable(product):
        raise RestError(400, NOT_AVAILABLE)
    if stock.faults_for(product, quantity):
        raise RestError(400, "The requested qty is not available")


def final_price(product: Doc, quantity: Decimal) -> Decimal:
    """Catalogue price with special price and tier prices; a price sent with the line is ignored (MAG §4.4.2)."""
    price = dec(product.get("price"))
    special, today = product["attributes"].get("special_price"), now()
    starts = product["attributes"].get("special_from_date") or ""
    ends = product["attributes"].get("special_to_date") or "9999"
    if special and starts <= today <= ends[:10] + " 23:59:59":
        price = min(price, dec(special))
    for tier in product.get("tier_prices", []):
        if quantity >= dec(tier["qty"]) and tier.get("customer_group_id") in (0, 32000):
            price = min(price, dec(tier["value"]))
    return price


@both("PUT", "/items/:itemId")
def change_item(call: Call, cart_id: str, item_id: str) -> Doc:
    given = call.param("cartItem")
    quote = load(call, given.get("quote_id") or cart_id)
    line = _line(quote, item_id)
    quantity = dec(given.get("qty") or 1)
    _check_stock(call, quote, product_by_sku(call.db, line["sku"]), quantity)
    line["qty"] = num(quantity)
    save(call, quote)
    return line_view(call.db, quote, line)


@both("DELETE", "/items/:itemId")
def remove_item(call: Call, cart_id: str, item_id: str) -> bool:
    quote = load(call, cart_id)
    quote["items"].remove(_line(quote, item_id))
    save(call, quote)
    return True


def _line(quote: Doc, item_id: str) -> Doc:
    line = next((line for line in quote["items"] if str(line["item_id"]) == str(item_id)), None)
    if line is None:
        text = "The %1 Cart doesn't contain the %2 item."
        raise RestError(404, text, [quote["id"], int(item_id) if item_id.isdigit() else item_id])
    return line


def currency(world: Doc, quote: Doc) -> tuple[str, Decimal]:
    """The display currency of the cart's store view and its rate to the base currency."""
    store = next(s for s in world["stores"] if s["id"] == quote["store_id"])
    code = store.get("currency") or world["base_currency"]
    return code, dec(world["rates"].get(code, 1))


def line_view(db: Tables, quote: Doc, line: Doc) -> Doc:
    rate = currency(db.config("world"), quote)[1]
    shown = {
        "item_id": line["item_id"],
        "sku": line["sku"],
        "qty": line["qty"],
        "name": line["name"],
        "price": num(cents(dec(line["base_price"]) * rate)),
        "product_type": line["product_type"],
        "quote_id": str(quote["id"]),
    }
    if line.get("options"):
        shown["product_option"] = {"extension_attributes": {"configurable_item_options": line["options"]}}
    return shown


def sellable_lines(db: Tables, quote: Doc) -> list[Doc]:
    """The lines of a cart; one whose product was disabled or deleted since has left it."""
    return [line for line in quote["items"] if (p := db.get("product", line["product_id"])) and p["status"] == 1]


# --- the cart itself ---------------------------------------------------------------------------------------------------------


@both("GET", "")
def get_cart(call: Call, cart_id: str) -> Doc:
    """A finished cart answers too: `is_active` false and the order number it led to."""
    quote = load(call, cart_id, active=False)
    code, rate = currency(call.world, quote)
    base = call.world["base_currency"]
    lines = sellable_lines(call.db, quote)
    shown: Doc = {
        "id": quote["id"],
        "created_at": quote["created_at"],
        "updated_at": quote["updated_at"],
        "is_active": quote["is_active"],
        "is_virtual": bool(lines) and all(line["product_type"] == "virtual" for line in lines),
    }
    if quote["is_active"]:
        shown["items"] = [line_view(call.db, quote, line) for line in lines]
    shown["items_count"] = len(lines)
    shown["items_qty"] = num(sum((dec(line["qty"]) for line in lines), ZERO))
    customer = call.db.get("customer", quote["customer_id"]) if quote["customer_id"] else None
    shown["customer"] = customer or {"email": None, "firstname": None, "lastname": None}
    address = quote["billing_address"] or {"id": None, "region": None, "street": [""]}
    shown["billing_address"] = {**{k: v for k, v in address.items() if v is not None}, "same_as_billing": 0, "save_in_address_book": 0}
    if quote["reserved_order_id"]:
        shown["reserved_order_id"] = quote["reserved_order_id"]
    shown["orig_order_id"] = 0
    shown["currency"] = {
        "global_currency_code": base,
        "base_currency_code": base,
        "store_currency_code": base,
        "quote_currency_code": code,
        "store_to_base_rate": 0,
        "store_to_quote_rate": 0,
        "base_to_global_rate": 1,
        "base_to_quote_rate": num(rate),
    }
    guest = {"customer_is_guest": customer is None, "customer_note_notify": True, "customer_tax_class_id": 3}
    shown.update(guest, store_id=quote["store_id"])
    if quote["is_active"]:
        shown["extension_attributes"] = {"shipping_assignments": []}
    return shown

"""Shipping rates, payment methods and totals of a cart (MAG §4.4.4, step 3)."""

from __future__ import annotations

from .carts import both, currency, load, sellable_lines
from .numbers import ZERO, cents, dec, num
from .routing import Call
from .storage import Doc


def rates(call: Call, quote: Doc) -> list[Doc]:
    """Rates of the active carriers, cheapest first."""
    physical = [line for line in sellable_lines(call.db, quote) if line["product_type"] != "virtual"]
    if not physical:
        return []
    rate = currency(call.world, quote)[1]
    units = sum((dec(line["qty"]) for line in physical), ZERO)
    found = []
    for code, carrier in call.settings["carriers"].items():
        if carrier["active"]:
            base = dec(carrier["price"]) * (units if code == "flatrate" else 1)
            amount = num(cents(base * rate))
            found.append(
                {
                    "carrier_code": code,
                    "method_code": code,
                    "carrier_title": carrier["title"],
                    "method_title": carrier["name"],
                    "amount": amount,
                    "base_amount": num(base),
                    "available": True,
                    "error_message": "",
                    "price_excl_tax": amount,
                    "price_incl_tax": amount,
                }
            )
    return sorted(found, key=lambda entry: dec(entry["base_amount"]))


def payment_methods(call: Call) -> list[Doc]:
    methods = call.settings["payments"].items()
    return [{"code": code, "title": method["title"]} for code, method in methods if method["active"]]


@both("POST", "/estimate-shipping-methods")
def estimate(call: Call, cart_id: str) -> list:
    call.param("address")
    return rates(call, load(call, cart_id))


@both("GET", "/shipping-methods")
def shipping_methods(call: Call, cart_id: str) -> list:
    return rates(call, load(call, cart_id))


@both("GET", "/payment-methods")
def list_payment_methods(call: Call, cart_id: str) -> list:
    load(call, cart_id)
    return payment_methods(call)


@both("GET", "/totals")
def get_totals(call: Call, cart_id: str) -> Doc:
    return totals(call, load(call, cart_id))


def totals(call: Call, quote: Doc) -> Doc:
    """The totals block; no tax rule applies to guests of the practice store."""
    code, rate = currency(call.world, quote)
    lines, shown = sellable_lines(call.db, quote), []
    subtotal = base_subtotal = ZERO
    for line in lines:
        base_row = cents(dec(line["base_price"]) * dec(line["qty"]))
        price = cents(dec(line["base_price"]) * rate)
        row = cents(price * dec(line["qty"]))
        subtotal, base_subtotal = subtotal + row, base_subtotal + base_row
        shown.append(
            {
                "item_id": line["item_id"],
                "price": num(price),
                "base_price": line["base_price"],
                "qty": line["qty"],
                "row_total": num(row),
                "base_row_total": num(base_row),
                "row_total_with_discount": 0,
                "tax_amount": 0,
                "base_tax_amount": 0,
                "tax_percent": 0,
                "discount_amount": 0,
                "base_discount_amount": 0,
                "discount_percent": 0,
                "price_incl_tax": num(price),
                "base_price_incl_tax": line["base_price"],
                "row_total_incl_tax": num(row),
                "base_row_total_incl_tax": num(base_row),
                "options": "[]",
                "weee_tax_applied_amount": None,
                "weee_tax_applied": None,
                "name": line["name"],
            }
        )
    shipping = quote["shipping"] or {"amount": 0, "base_amount": 0, "description": ""}
    grand, base_grand = subtotal + dec(shipping["amount"]), base_subtotal + dec(shipping["base_amount"])
    title = f"Shipping & Handling ({shipping['description']})" if shipping["description"] else "Shipping & Handling"
    return {
        "grand_total": num(grand),
        "base_grand_total": num(base_grand),
        "subtotal": num(subtotal),
        "base_subtotal": num(base_subtotal),
        "discount_amount": 0,
        "base_discount_amount": 0,
        "subtotal_with_discount": num(subtotal),
        "base_subtotal_with_discount": num(base_subtotal),
        "shipping_amount": shipping["amount"],
        "base_shipping_amount": shipping["base_amount"],
        "shipping_discount_amount": 0,
        "base_shipping_discount_amount": 0,
        "tax_amount": 0,
        "base_tax_amount": 0,
        "weee_tax_applied_amount": None,
        "shipping_tax_amount": 0,
        "base_shipping_tax_amount": 0,
        "subtotal_incl_tax": num(subtotal),
        "shipping_incl_tax": shipping["amount"],
        "base_shipping_incl_tax": shipping["base_amount"],
        "base_currency_code": call.world["base_currency"],
        "quote_currency_code": code,
        "items_qty": num(sum((dec(line["qty"]) for line in lines), ZERO)),
        "items": shown,
        "total_segments": [
            {"code": "subtotal", "title": "Subtotal", "value": num(subtotal)},
            {"code": "shipping", "title": title, "value": shipping["amount"]},
            {"code": "tax", "title": "Tax", "value": 0, "extension_attributes": {"tax_grandtotal_details": []}},
            {"code": "grand_total", "title": "Grand Total", "value": num(grand), "area": "footer"},
        ],
    }

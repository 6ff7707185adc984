"""Price endpoints and the only source of final prices (MAG §4.2.1, §4.2.4)."""

from __future__ import annotations

import json
from decimal import Decimal

from . import products
from .carts import final_price
from .catalog import PRODUCTS, find
from .inventory import Stock, product_by_sku, stock_of_store
from .numbers import dec, num
from .routing import ANONYMOUS, Call, route
from .storage import Doc

INVALID = "Invalid attribute %fieldName = %fieldValue."
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


def _known(call: Call) -> list[Doc]:
    return [product for sku in call.param("skus") if (product := product_by_sku(call.db, sku))]


@route("POST", "/V1/products/base-prices-information", PRODUCTS)
def base_prices(call: Call) -> list:
    """Unknown SKUs are simply left out."""
    return [{"price": p["price"], "store_id": 0, "sku": p["sku"]} for p in _known(call)]


@route("POST", "/V1/products/special-price-information", PRODUCTS)
def special_prices(call: Call) -> list:
    return [
        {
            "price": num(p["attributes"]["special_price"]),
            "store_id": 0,
            "sku": p["sku"],
            "price_from": p["attributes"].get("special_from_date"),
            "price_to": p["attributes"].get("special_to_date"),
        }
        for p in _known(call)
        if p["attributes"].get("special_price")
    ]


@route("POST", "/V1/products/tier-prices-information", PRODUCTS)
def tier_prices(call: Call) -> list:
    return [
        {
            "price": tier["value"],
            "price_type": "fixed",
            "website_id": 0,
            "sku": p["sku"],
            "customer_group": "all groups" if tier["customer_group_id"] == 32000 else "NOT LOGGED IN",
            "quantity": tier["qty"],
        }
        for p in _known(call)
        for tier in p["tier_prices"]
    ]


def _write(call: Call, change) -> list:
    """Write what is valid; the faults of the rest come back with HTTP 200."""
    faults = []
    for entry in call.param("prices"):
        product = product_by_sku(call.db, entry.get("sku", ""))
        if dec(entry.get("price")) < 0:
            faults.append({"message": INVALID, "parameters": ["Price", str(num(entry["price"]))]})
        elif product is None:
            faults.append({"message": INVALID, "parameters": ["SKU", str(entry.get("sku"))]})
        else:
            change(product, entry)
            products.put(call.db, product)
    return faults


@route("POST", "/V1/products/base-prices", PRODUCTS)
def write_base(call: Call) -> list:
    return _write(call, lambda product, entry: product.update(price=num(entry["price"])))


@route("POST", "/V1/products/special-price", PRODUCTS)
def write_special(call: Call) -> list:
    def change(product: Doc, entry: Doc) -> None:
        product["attributes"]["special_price"] = f"{dec(entry['price']):.6f}"
        product["attributes"]["special_from_date"] = entry.get("price_from")
        product["attributes"]["special_to_date"] = entry.get("price_to")

    return _write(call, change)


@route("POST", "/V1/products/tier-prices", PRODUCTS)
def write_tier(call: Call) -> list:
    def change(product: Doc, entry: Doc) -> None:
        kept = [tier for tier in product["tier_prices"] if dec(tier["qty"]) != dec(entry["quantity"])]
        tier = {
            "customer_group_id": 32000,
            "qty": num(entry["quantity"]),
            "value": num(entry["price"]),
            "extension_attributes": {"website_id": 0},
        }
        product["tier_prices"] = [*kept, tier]

    return _write(call, change)


# --- render info ----------------------------------------------------------------------------------------------------------------

_PLACEHOLDERS = (
    ("recently_viewed_products_grid_content_widget", 240, 300),
    ("recently_viewed_products_list_content_widget", 270, 340),
    ("recently_viewed_products_images_names_widget", 75, 90),
    ("recently_compared_products_grid_content_widget", 240, 300),
    ("recently_compared_products_list_content_widget", 270, 207),
    ("recently_compared_products_images_names_widget", 75, 90),
)


@route("GET", "/V1/products-render-info", ANONYMOUS)
def render_info(call: Call) -> Doc:
    criteria = call.criteria()
    store_id, code = int(call.param("storeId")), str(call.param("currencyCode"))
    rows, _ = find(call, criteria)
    shown = [_rendered(call, p, store_id, code) for p in rows if p["status"] == 1 and p["visibility"] != 1]
    return {"items": shown}


def _rendered(call: Call, product: Doc, store_id: int, code: str) -> Doc:
    final, regular = final_price(product, Decimal(1)), dec(product["price"])
    special = num(final) if final < regular else None
    stock = stock_of_store(call.world, store_id)
    salable = bool(stock) and Stock(call.db, stock["stock_id"]).is_salable(product)
    url = f"{call.root}/{product['url_key']}.html"
    add = {"action": f"{call.root}/checkout/cart/add/uenc/%25uenc%25/product/{product['id']}/", "data": {"product": str(product["id"]), "uenc": "%uenc%"}}
    compare = {"action": f"{call.root}/catalog/product_compare/add/", "data": {"product": str(product["id"]), "uenc": ""}}
    wish = {"action": f"{call.root}/wishlist/index/add/", "data": {"product": product["id"], "uenc": ""}}

    def shown(amount: Decimal) -> str:
        return f'<span class="price">{_SYMBOLS.get(code, code)}{amount:.2f}</span>'

    prices = {
        "final_price": num(final),
        "max_price": num(final),
        "max_regular_price": num(regular),
        "minimal_regular_price": num(regular),
        "special_price": special,
        "minimal_price": num(final),
        "regular_price": num(regular),
    }
    formatted = {
        "final_price": shown(final),
        "max_price": shown(final),
        "minimal_price": shown(final),
        "max_regular_price": shown(regular),
        "minimal_regular_price": None,
        "special_price": shown(final) if special is not None else None,
        "regular_price": shown(regular),
    }
    adjustments = {**prices, "special_price": num(final), "formatted_prices": {**formatted, "special_price": shown(final)}}
    msrp = {
        "msrp_price": shown(Decimal(0)),
        "is_applicable": "",
        "is_shown_price_on_gesture": "",
        "msrp_message": "",
        "explanation_message": "",
    }
    extension = {"msrp": msrp, "tax_adjustments": adjustments, "weee_attributes": [], "weee_adjustment": shown(final)}
    picture = next((m["file"] for m in product["media"] if not m["disabled"]), None)
    image = f"{call.root}/media/catalog/product{picture}" if picture else f"{call.root}/static/placeholder/small_image.jpg"
    return {
        "add_to_cart_button": {"post_data": json.dumps(add), "url": add["action"], "required_options": False},
        "add_to_compare_button": {"post_data": None, "url": json.dumps(compare), "required_options": None},
        "price_info": {**prices, "formatted_prices": formatted, "extension_attributes": extension},
        "images": [
            {"url": image, "code": name, "height": h, "width": w, "label": product["name"], "resized_width": w, "resized_height": h}
            for name, w, h in _PLACEHOLDERS
        ],
        "url": url,
        "id": product["id"],
        "name": product["name"],
        "type": product["type_id"],
        "is_salable": "1" if salable else "",
        "store_id": store_id,
        "currency_code": code,
        "extension_attributes": {
            "review_html": f'<a class="action add" href="{url}#review-form">Be the first to review this product</a>',
            "wishlist_button": {"post_data": None, "url": json.dumps(wish), "required_options": None},
        },
    }

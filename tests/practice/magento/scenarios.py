"""The steps that bring a fresh recorded world to where each exchange was recorded.

Ids differ from the recording, so each scenario makes its own carts and orders and maps the recorded ids to them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from typing import Any
from urllib.parse import quote

from .replay import Replay, load
from .shop import ADDRESS, Shop

AS_SEEDED = [
    "auth-admin-token-wrong-password",
    "body-malformed-json",
    "body-missing-wrapper",
    "body-type-error",
    "body-unknown-field",
    "catalog-attribute-options-fr",
    "catalog-attribute-set-attributes",
    "catalog-attribute-sets",
    "catalog-attributes-page",
    "catalog-base-prices-errors",
    "catalog-base-prices-information",
    "catalog-categories-list",
    "catalog-categories-tree",
    "catalog-category-products",
    "catalog-children",
    "catalog-config-options",
    "catalog-media",
    "catalog-media-post",
    "catalog-product-configurable",
    "catalog-product-create",
    "catalog-product-duplicate-url-key",
    "catalog-product-put-price",
    "catalog-product-simple",
    "catalog-product-slash-encoded",
    "catalog-product-types",
    "catalog-product-unknown",
    "catalog-render-info",
    "catalog-special-price-information",
    "catalog-tier-prices-information",
    "cart-guest-create",
    "creditmemos-by-order",
    "customer-create-address-incomplete",
    "customer-create",
    "customer-create-duplicate",
    "customer-get",
    "customer-groups",
    "customer-is-email-available",
    "customer-search-email",
    "directory-country-us",
    "directory-currency",
    "header-accept-html",
    "header-accept-xml",
    "header-wrong-content-type",
    "invoices-by-order",
    "modules",
    "order-comments",
    "order-post-address-missing-fields",
    "order-post-no-email",
    "order-post-no-payment",
    "order-post-unknown-store",
    "order-put-create",
    "order-statuses",
    "order-unknown",
    "route-orders-create-post",
    "route-unknown-store-code",
    "route-unknown",
    "route-wrong-method",
    "search-bad-field-orders",
    "search-bad-field-products",
    "search-bad-page-size",
    "search-bad-sort-direction",
    "search-fields-custom-attributes",
    "search-fields-into-scalar-list",
    "search-fields-malformed",
    "search-missing-criteria",
    "search-orders-page-1",
    "search-products-page-1",
    "search-products-page-beyond-last",
    "shipments-by-order",
    "stock-are-salable",
    "stock-dump-index",
    "stock-export-page",
    "stock-export-sku-in",
    "stock-is-salable-for-qty",
    "stock-item-get",
    "stock-item-put",
    "stock-links",
    "stock-resolver",
    "stock-salable-configurable",
    "stock-salable-unknown-sku",
    "stock-source-items-batch-one-bad",
    "stock-source-items-save-unknown-sku",
    "stock-source-items-save-unknown-source",
    "stock-source-items-save",
    "stock-source-selection",
    "stock-sources-by-priority",
    "stock-sources",
    "stock-statuses",
    "stock-stocks",
    "store-configs",
    "store-groups",
    "store-views",
    "store-websites",
    "tax-classes",
    "tax-rates",
]


def as_seeded(replay: Replay) -> None:
    """Exchanges that need nothing but the seeded world."""
    # search-bad-page-size and the like come before catalog writes; customer-create before its duplicate.
    for name in AS_SEEDED:
        replay(name)
    replay("search-moreq", {"3": 999999})  # the recorded store had no order 3


def switches(replay: Replay) -> None:
    """Exchanges that need a setting of the store."""
    shop = replay.shop
    for name, setting, before in (
        ("auth-bearer-disabled", {"bearer": False}, {"bearer": True}),
        ("maintenance-mode", {"maintenance": True}, {"maintenance": False}),
        ("search-input-limit", {"input_limit": {"maximum_page_size": 300}}, {"input_limit": None}),
    ):
        shop.control("POST", "settings", setting)
        replay(name)
        shop.control("POST", "settings", before)
    limited = shop.control("POST", "integrations", {"acl": ["Magento_Sales::ship"]})
    replay("auth-missing-acl", headers={"Authorization": f"Bearer {limited['access_token']}"})


# --- OAuth, signed here from the RFC and the contract's rules, not with the store's own code ---------------------------------------


def oauth_header(shop: Shop, keys: dict, method: str, path: str, query: list, *, algorithm: str = "HMAC-SHA256", **override: Any) -> str:
    """`path` is the path to sign."""
    enc = lambda text: quote(str(text), safe="~")  # noqa: E731
    oauth = {
        "oauth_consumer_key": keys["consumer_key"], "oauth_nonce": secrets.token_hex(16), "oauth_signature_method": algorithm,
        "oauth_timestamp": str(int(time.time())), "oauth_token": keys["access_token"], "oauth_version": "1.0", **override,
    }  # fmt: skip
    pairs = sorted((enc(k), enc(v)) for k, v in [*oauth.items(), *query])
    base = "&".join((method, enc(shop.url + path), enc("&".join(f"{k}={v}" for k, v in pairs))))
    key = f"{keys['consumer_secret']}&{keys['access_token_secret']}"
    digest = hashlib.sha1 if algorithm == "HMAC-SHA1" else hashlib.sha256
    signature = base64.b64encode(hmac.new(key.encode(), base.encode(), digest).digest()).decode()
    oauth.setdefault("oauth_signature", signature)
    return "OAuth " + ",".join(f'{k}="{enc(v)}"' for k, v in oauth.items())


def oauth(replay: Replay) -> None:
    shop = replay.shop
    keys = shop.control("GET", "integrations")[0]
    path = "/rest/V1/store/websites"
    wrong = oauth_header(shop, keys, "GET", path, [], oauth_signature="bm9wZQ==")
    replay("auth-oauth-bad-signature", headers={"Authorization": wrong})
    replay("auth-oauth-sha1", headers={"Authorization": oauth_header(shop, keys, "GET", path, [], algorithm="HMAC-SHA1")})
    header = oauth_header(shop, keys, "GET", path, [])
    assert shop.send("GET", path, headers={"Authorization": header}).status_code == 200
    replay("auth-oauth-nonce-reused", headers={"Authorization": header})
    decoded = oauth_header(shop, keys, "GET", "/rest/V1/products/MUG/02%20slash", [("fields", "sku")])
    replay("auth-oauth-slash-signed-decoded", headers={"Authorization": decoded})


# --- A+ ----------------------------------------------------------------------------------------------------------------------------


def a_plus(replay: Replay) -> None:
    """The whole life of one A+ order, in the recorded order of steps."""
    shop = replay.shop
    before = replay("aplus-00-salable-before")
    replay("aplus-01-lookup-ext-order-id")
    ids: dict[Any, Any] = {10: int(replay("aplus-02-cart-create"))}
    replay("aplus-03-item-1", ids, values=True)
    cart = ids[10]
    shop.rest("POST", f"/carts/{cart}/items", {"cartItem": {"quote_id": cart, "sku": "LAMP-01", "qty": 1}})
    replay("aplus-05-shipping-information", ids, values=True)
    ids[81] = replay("aplus-06-place", ids)
    found = replay("aplus-07-lookup-quote-id", ids)
    ids["000000071"] = found["items"][0]["increment_id"]
    placed = replay("aplus-08-order-after-place", ids)
    ids[78], ids[79] = (item["item_id"] for item in placed["items"])
    assert replay("aplus-09-salable-after-place") == before - 3
    replay("aplus-10-correct", ids, values=True)
    replay("aplus-11-order-after-correct", ids, values=True)
    replay("aplus-13-comment-with-status", ids)
    ids[13] = int(replay("aplus-14-invoice", ids))
    replay("aplus-15-invoice-get", ids, values=True)
    ids[18] = int(replay("aplus-17-ship-partial", ids))
    replay("aplus-18-shipment-get", ids, values=True)
    replay("aplus-20-source-items-after-partial-ship", ids)
    ids[19] = int(replay("aplus-21-ship-rest", ids))
    track = replay("aplus-22-track-add", ids)
    ids[6] = int(replay("aplus-24-refund-one-returned", ids))
    replay("aplus-25-creditmemo-get", ids, values=True)
    replay("aplus-27-refund-rest", ids)
    replay("aplus-28-order-closed", ids, values=True)
    assert replay("aplus-29-salable-end") == before
    replay("aplus-30-place-same-cart-again", ids)
    replay("aplus-31-cart-after-place", ids)
    replay("track-delete", {7: track["entity_id"]})


def correction(order: dict, lines: list[dict], **header: Any) -> dict:
    """An A+ correction body with the `base_` twin of every amount."""

    def twins(given: dict) -> dict:
        return {**given, **{f"base_{k}": v for k, v in given.items() if isinstance(v, (int, float)) and k not in ("item_id", "tax_percent")}}

    entity = {"entity_id": order["entity_id"], "increment_id": order["increment_id"]}
    text = {k: v for k, v in header.items() if isinstance(v, str)}
    money = {k: v for k, v in header.items() if not isinstance(v, str)}
    items = [{**{k: v for k, v in line.items() if isinstance(v, str)}, **twins({k: v for k, v in line.items() if not isinstance(v, str)})} for line in lines]
    return {"entity": {**entity, **text, **twins(money), "items": items}}


def variants(replay: Replay) -> None:
    """Cancel, attach a customer, change the number, configurable, virtual, admin store."""
    shop = replay.shop
    order = shop.order(("BULK-013", 3))
    line = {
        "item_id": order["items"][0]["item_id"], "ext_order_item_id": "576461000000000002-1", "price": 7.77, "original_price": 7.77,
        "price_incl_tax": 8.3833, "row_total": 23.31, "row_total_incl_tax": 25.15, "tax_amount": 1.84, "discount_amount": 1.11,
        "tax_percent": 8.29,
    }  # fmt: skip
    header = {
        "subtotal": 23.31, "subtotal_incl_tax": 25.15, "shipping_amount": 2.5, "shipping_incl_tax": 2.7, "shipping_tax_amount": 0.2,
        "tax_amount": 2.04, "discount_amount": -1.11, "grand_total": 26.74, "ext_order_id": "576461000000000002",
    }  # fmt: skip
    shop.rest("POST", "/orders", correction(order, [line], **header))
    ids = {82: order["entity_id"]}
    replay("cancel-08-cancel", ids)
    replay("cancel-09-order-canceled", ids)
    replay("cancel-11-cancel-again", ids)

    order = shop.order(("BULK-017", 1))
    ids = {83: order["entity_id"], "000000073": order["increment_id"]}
    replay("attach-01-customer", ids)
    replay("attach-03-unknown-customer", ids)
    order = shop.order(("BULK-018", 2))
    replay("increment-01-change-after-place", {84: order["entity_id"]})

    cart = int(shop.rest("POST", "/carts/"))
    replay("config-01-item-by-options", {14: cart}, values=True)
    information = {
        "shipping_address": ADDRESS, "billing_address": ADDRESS, "shipping_carrier_code": "freeshipping",
        "shipping_method_code": "freeshipping",
    }  # fmt: skip
    shop.rest("POST", f"/carts/{cart}/shipping-information", {"addressInformation": information})
    placed = shop.place(str(cart))
    order = replay("config-02-order", {85: placed})
    ids = {85: placed, 83: order["items"][0]["item_id"], "000000075": order["increment_id"]}
    replay("config-03-correct-parent-line", ids)
    replay("config-04-ship-fails", ids)

    cart = int(shop.rest("POST", "/carts/"))
    shop.rest("POST", f"/carts/{cart}/items", {"cartItem": {"quote_id": cart, "sku": "VIRT-01", "qty": 2}})
    replay("virtual-01-billing-address", {16: cart})
    placed = shop.place(str(cart))
    shop.rest("POST", f"/order/{placed}/invoice", {"capture": True})
    replay("virtual-04-order", {87: placed}, values=True)

    made = shop.send("POST", "/rest/all/V1/carts/").json()
    item = {"cartItem": {"quote_id": made, "sku": "MUG-01", "qty": 1}}
    assert shop.send("POST", f"/rest/all/V1/carts/{made}/items", item).status_code == 200
    assert shop.send("POST", f"/rest/all/V1/carts/{made}/shipping-information", {"addressInformation": information}).status_code == 200
    replay("scope-all-place", {26: made})
    replay("integration-carts-mine", {26: made})


def carts(replay: Replay) -> None:
    shop = replay.shop
    cart = shop.rest("POST", "/carts/")
    shop.rest("POST", f"/carts/{cart}/items", {"cartItem": {"quote_id": cart, "sku": "BULK-019", "qty": 2}})
    for name in ("cart-totals", "cart-payment-methods", "cart-items", "refuse-03-too-many"):
        replay(name, {11: int(cart)}, values=name == "cart-totals")
    replay("cart-assign-customer", {12: int(shop.rest("POST", "/carts/"))})

    cart = int(shop.rest("POST", "/carts/"))
    ids = {17: cart}
    for name in (
        "refuse-01-out-of-stock", "refuse-05-custom-option", "refuse-07-no-quote-id", "refuse-08-price-ignored",
        "refuse-09-place-before-address", "refuse-10-unknown-carrier", "refuse-11-bad-email", "refuse-12-estimate-shipping",
    ):  # fmt: skip
        replay(name, ids)

    def set_address(address: dict) -> None:
        information = {
            "shipping_address": address, "billing_address": address, "shipping_carrier_code": "freeshipping",
            "shipping_method_code": "freeshipping",
        }  # fmt: skip
        shop.rest("POST", f"/carts/{cart}/shipping-information", {"addressInformation": information})

    set_address({key: value for key, value in ADDRESS.items() if key != "telephone"})
    replay("refuse-14-no-phone-place", ids)
    set_address(ADDRESS)
    replay("refuse-15-payment-inactive", ids)
    shop.control("POST", "products/BULK-019/stock", {"source": "wh_west", "quantity": 0, "status": 0})
    replay("refuse-17-stock-gone-at-place", ids)


# --- path B and the traps ------------------------------------------------------------------------------------------------------------


def path_b(replay: Replay) -> None:
    shop = replay.shop
    # Recorded product ids are those of the recorded store: the body carries ours.
    product = shop.rest("GET", "/products/BULK-026")["id"]
    ids: dict[Any, Any] = {46: product}
    before = shop.salable("BULK-026")
    order = replay("b-01-direct-post", ids, values=True)
    assert replay("b-02-salable-after-post") == before
    ids[89] = order["entity_id"]
    replay("b-03-ship", ids)
    assert replay("b-04-salable-after-ship") == before  # too high for good: -2 at the source, +2 reserved
    replay("b-06-same-increment-id", ids)
    for name, missing, recorded in (
        ("b-10-cancel-line-without-product-id", "product_id", 92), ("b-12-cancel-without-product-type", "product_type", 93),
    ):  # fmt: skip
        body = swap_line(load("b-01-direct-post").request["body"], missing)
        placed = shop.rest("POST", "/orders", body)
        replay(name, {recorded: placed["entity_id"]})


def swap_line(body: dict, missing: str) -> dict:
    entity = {key: value for key, value in body["entity"].items() if key not in ("increment_id", "ext_order_id")}
    item = {key: value for key, value in entity["items"][0].items() if key not in (missing, "product_id")}
    return {"entity": {**entity, "state": "new", "status": "pending", "items": [item]}}


def traps(replay: Replay) -> None:
    shop = replay.shop
    order = shop.order(("MUG-01", 1))
    replay("trap-02-ship-no-source", {95: order["entity_id"]})
    replay("trap-03-salable-after-ship")

    order = shop.order(("BULK-012", 2))
    item = order["items"][0]["item_id"]
    replay("trap-04-ship-more-than-open", {96: order["entity_id"], 94: item})
    assert shop.rest("GET", f"/orders/items/{item}")["qty_shipped"] == 2

    order = shop.order(("BULK-014", 1))
    item = order["items"][0]["item_id"]
    line = {
        "item_id": item, "ext_order_item_id": "x", "price": 9.5, "original_price": 9.5, "price_incl_tax": 10.2, "row_total": 9.5,
        "row_total_incl_tax": 10.2, "tax_amount": 0.7, "discount_amount": 1, "tax_percent": 8.24,
    }  # fmt: skip
    shop.rest("POST", "/orders", correction(order, [line]))
    ids = {97: order["entity_id"], 95: item, "000000085": order["increment_id"]}
    replay("trap-07-line-echoed", ids, values=True)
    replay("trap-08-line-as-read-again", ids, values=True)

    order = shop.order(("BULK-014", 1))
    shop.rest("POST", f"/order/{order['entity_id']}/invoice", {})
    replay("trap-09-refund-unshipped-no-return", {98: order["entity_id"]})
    replay("trap-10-source-items")

    order = shop.order(("BULK-015", 1))
    replay("trap-11-comment-no-status", {99: order["entity_id"]})
    replay("trap-12-statuses", {99: order["entity_id"]})

    foreign, own = shop.order(("BULK-014", 1)), shop.order(("BULK-015", 1))
    ids = {
        100: own["entity_id"], "000000088": own["increment_id"], 97: foreign["items"][0]["item_id"], 98: own["items"][0]["item_id"],
    }  # fmt: skip
    replay("trap-15-foreign-item-id", ids, values=True)
    replay("trap-16-order-with-stolen-line", ids)


# --- order actions and documents -------------------------------------------------------------------------------------------------------


def documents(replay: Replay) -> None:
    shop = replay.shop
    replay("order-hold")
    replay("order-hold-twice")
    replay("invoice-held")
    replay("order-unhold")
    replay("order-unhold-twice")

    order = shop.order(("BULK-006", 2))
    ids = {81: order["entity_id"], 78: order["items"][0]["item_id"]}
    replay("order-items-by-order", ids)
    replay("order-emails", ids)
    replay("ship-source-too-small", ids)  # wh_east has none of it
    shop.rest("POST", f"/order/{order['entity_id']}/invoice", {})
    replay("refund-too-much", ids)
    replay("refund-qty-too-big", ids)

    billing = order["billing_address"]["entity_id"]
    replay("order-address-put", {58: order["entity_id"], 92: billing})
    replay("refund-uninvoiced", {16: 16})
    replay("ship-track-empty-number", {8: 8})
    replay("ship-track-missing-carrier", {6: 6})
    replay("track-add-unknown-shipment", {5: 5})

    order = shop.order(("BULK-007", 1))
    shop.rest("POST", f"/order/{order['entity_id']}/invoice", {"capture": True})
    replay("invoice-twice", {1: order["entity_id"]})
    order = shop.order(("BULK-007", 1))
    shop.ship(order["entity_id"], None, "wh_west")
    replay("ship-twice", {1: order["entity_id"]})


def bulk(replay: Replay) -> None:
    accepted = replay("async-bulk")
    replay("async-bulk-status", {"0f7a98fc-1049-4b91-be65-0a763e054371": accepted["bulk_uuid"]})


SCENARIOS = (as_seeded, switches, oauth, a_plus, variants, carts, path_b, traps, documents, bulk)

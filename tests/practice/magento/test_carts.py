"""Carts and placing (MAG §4.4.4, §4.4.7)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from .shop import ADDRESS, Refused, Shop

PAY = {"paymentMethod": {"method": "checkmo"}}


def place_many(shop: Shop, carts: list[str]) -> list[tuple[int, str]]:
    """Place carts at the same time, each over its own connection."""

    def one(cart: str) -> tuple[int, str]:
        own = Shop(shop.url)
        own.token = shop.token
        response = own.send("PUT", f"/rest/V1/carts/{cart}/order", PAY)
        return response.status_code, response.text

    with ThreadPoolExecutor(len(carts)) as pool:
        return list(pool.map(one, carts))


def test_the_same_sku_in_any_case_is_one_line(shop: Shop) -> None:
    cart = shop.cart(("MUG-01", 1))
    line = shop.rest("POST", f"/carts/{cart}/items", {"cartItem": {"quote_id": cart, "sku": "mug-01", "qty": 2}})
    assert (line["sku"], line["qty"]) == ("MUG-01", 3)
    assert len(shop.rest("GET", f"/carts/{cart}/items")) == 1


def test_a_guest_cart_is_placed_without_a_token(shop: Shop) -> None:
    anonymous = Shop(shop.url)
    mask = anonymous.rest("POST", "/guest-carts")
    assert len(mask) == 32
    anonymous.rest("POST", f"/guest-carts/{mask}/items", {"cartItem": {"quote_id": mask, "sku": "MUG-01", "qty": 1}})
    information = {"shippingAddress": ADDRESS, "billingAddress": ADDRESS, "shippingCarrierCode": "flatrate",
                   "shippingMethodCode": "flatrate"}  # fmt: skip
    anonymous.rest("POST", f"/guest-carts/{mask}/shipping-information", {"addressInformation": information})
    order = shop.rest("GET", f"/orders/{anonymous.rest('PUT', f'/guest-carts/{mask}/order', PAY)}")
    assert (order["grand_total"], order["quote_id"]) == (17.5, anonymous.rest("GET", f"/guest-carts/{mask}")["id"])


def test_a_guest_pays_and_orders_in_one_step(shop: Shop) -> None:
    anonymous = Shop(shop.url)
    mask = anonymous.rest("POST", "/guest-carts")
    anonymous.rest("POST", f"/guest-carts/{mask}/items", {"cartItem": {"quote_id": mask, "sku": "MUG-01", "qty": 1}})
    information = {"shipping_address": ADDRESS, "shipping_carrier_code": "flatrate", "shipping_method_code": "flatrate"}
    anonymous.rest("POST", f"/guest-carts/{mask}/shipping-information", {"addressInformation": information})
    body = {"email": "guest@orders.example.com", "billingAddress": ADDRESS, **PAY}
    order_id = anonymous.rest("POST", f"/guest-carts/{mask}/payment-information", body)
    assert shop.rest("GET", f"/orders/{order_id}")["customer_email"] == "guest@orders.example.com"


def test_a_special_price_and_a_tier_price_apply_and_a_sent_price_does_not(shop: Shop) -> None:
    cart = shop.rest("POST", "/carts/")
    line = shop.rest("POST", f"/carts/{cart}/items", {"cartItem": {"quote_id": cart, "sku": "SALE-01", "qty": 1, "price": 1}})
    assert line["price"] == 59.99


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"region_id": None, "region_code": None}, '"regionId" is required'),
        ({"postcode": ""}, '"postcode" is required'),
        ({"lastname": ""}, '"lastname" is required'),
        ({"email": None}, "Email has a wrong format"),
    ],
)
def test_placing_checks_what_shipping_information_let_through(shop: Shop, change: dict, text: str) -> None:
    cart = shop.cart(("MUG-01", 1), address={**ADDRESS, **change})
    with pytest.raises(Refused) as refused:
        shop.place(cart)
    assert refused.value.status == 400
    assert text in str(refused.value.body["parameters"])
    assert shop.rest("GET", f"/carts/{cart}")["is_active"] is True


def test_a_cart_whose_product_was_disabled_is_empty(shop: Shop) -> None:
    cart = shop.cart(("MUG-01", 1))
    shop.control("POST", "products/MUG-01", {"status": 2})
    with pytest.raises(Refused, match="The requested Payment Method is not available"):
        shop.place(cart)
    with pytest.raises(Refused, match="Product that you are trying to add is not available"):
        shop.cart(("MUG-01", 1))


def test_eight_carts_at_once_give_eight_orders_and_one_unit_one_order(shop: Shop) -> None:
    answers = place_many(shop, [shop.cart(("MUG-01", 1)) for _ in range(8)])
    assert [status for status, _ in answers] == [200] * 8
    carts = [shop.cart(("ONE-LEFT", 1)) for _ in range(4)]
    assert sorted(status for status, _ in place_many(shop, carts)) == [200, 400, 400, 400]
    assert shop.control("GET", "ledger")["balanced"]


def test_placing_one_cart_many_times_at_once_gives_one_order(shop: Shop) -> None:
    shop.control("POST", "latency", {"ms": 100})
    answers = place_many(shop, [shop.cart(("MUG-01", 1))] * 6)
    assert sorted(status for status, _ in answers) == [200, *[400] * 5]
    assert all("A server error stopped your order from being placed." in text for status, text in answers if status == 400)
    assert shop.control("GET", "summary")["orders"] == 1


def test_with_the_leaking_lock_one_cart_can_become_two_orders(shop: Shop) -> None:
    shop.control("POST", "settings", {"leaking_cart_lock": True})
    shop.control("POST", "latency", {"ms": 200})
    cart = shop.cart(("MUG-01", 1))
    answers = sorted(status for status, _ in place_many(shop, [cart] * 6))
    assert answers[:2] == [200, 200] and 200 not in answers[2:]
    assert shop.control("GET", "summary")["duplicate_quote_ids"] == [int(cart)]
    assert shop.find("/orders", "quote_id", cart)["total_count"] == 2


def test_a_disabled_and_a_sold_out_product_are_refused_alike(shop: Shop) -> None:
    for sku in ("DISABLED-01", "OOS-01"):
        with pytest.raises(Refused, match="Product that you are trying to add is not available"):
            shop.cart((sku, 1))
    with pytest.raises(Refused) as refused:
        shop.cart(("NOPE", 1))
    assert refused.value.status == 404

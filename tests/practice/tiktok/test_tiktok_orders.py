"""Order reads: search, pages, detail, prices, external references (TTS §4, §5.4)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from .seller import Seller

SEARCH = "/order/202309/orders/search"
EXTERNAL = "/order/202406/orders"


def pages(seller: Seller, body: dict[str, Any], **query: Any) -> list[list[dict[str, Any]]]:
    found, token = [], None
    while True:
        data = seller.data("POST", SEARCH, body=body, page_token=token, **query)
        found.append(data["orders"])
        token = data["next_page_token"]
        if not token:
            return found


def test_all_pages_together_hold_every_order_once_in_order(seller: Seller) -> None:
    ids = seller.control("POST", "seed", {"orders": 230, "shops": ["GB"], "seed": 11})["ids"]
    for field, order in (("update_time", "ASC"), ("create_time", "DESC")):
        orders = [each for page in pages(seller, {}, page_size=50, sort_field=field, sort_order=order) for each in page]
        assert sorted(each["id"] for each in orders) == sorted(ids)
        times = [each[field] for each in orders]
        assert times == sorted(times, reverse=order == "DESC")
    first = seller.data("POST", SEARCH, body={}, page_size=50)
    assert first["total_count"] == 230


def test_page_tokens_need_escaping_expire_and_belong_to_their_filters(seller: Seller) -> None:
    seller.control("POST", "seed", {"orders": 30, "shops": ["GB"], "status": "AWAITING_SHIPMENT"})
    body = {"order_status": "AWAITING_SHIPMENT"}
    token = seller.data("POST", SEARCH, body=body, page_size=10)["next_page_token"]
    assert all(sign in token for sign in "+/=")
    assert len(seller.data("POST", SEARCH, body=body, page_size=10, page_token=token)["orders"]) == 10
    assert seller.code("POST", SEARCH, body={}, page_size=10, page_token=token) == 98001004
    assert seller.code("POST", SEARCH, body=body, page_size=10, page_token=token, sort_order="ASC") == 98001004
    assert seller.code("POST", SEARCH, "US", body, page_size=10, page_token=token) == 98001004
    assert seller.code("POST", SEARCH, body=body, page_size=10, page_token=token[:-6] + "AAAA==") == 98001004
    assert seller.code("POST", SEARCH, body=body, page_size=10, page_token="not base64") == 98001004
    seller.control("POST", "clock", {"advance_seconds": 601})
    assert seller.code("POST", SEARCH, body=body, page_size=10, page_token=token, timestamp=seller.now()) == 98001004


def test_rows_that_change_while_pages_are_read_are_not_lost(seller: Seller) -> None:
    ids = seller.control("POST", "seed", {"orders": 40, "shops": ["GB"], "status": "AWAITING_SHIPMENT", "kinds": {"cancel_request": 0}})["ids"]
    first = seller.data("POST", SEARCH, body={}, page_size=15, sort_field="update_time", sort_order="ASC")
    seller.control("POST", f"orders/{first['orders'][0]['id']}/address", {})
    seen, token = {each["id"] for each in first["orders"]}, first["next_page_token"]
    while token:
        data = seller.data("POST", SEARCH, body={}, page_size=15, sort_field="update_time", sort_order="ASC", page_token=token)
        seen |= {each["id"] for each in data["orders"]}
        token = data["next_page_token"]
    assert seen == set(ids)


def test_filters_are_anded_and_windows_are_half_open(seller: Seller) -> None:
    seller.control("POST", "seed", {"orders": 120, "shops": ["GB"], "seed": 5, "kinds": {"platform_shipping": 0.5}})
    everything = [each for page in pages(seller, {}, page_size=100) for each in page]
    moments = sorted(each["update_time"] for each in everything)
    low, high = moments[20], moments[80]
    body = {"update_time_ge": low, "update_time_lt": high, "shipping_type": "TIKTOK"}
    found = {each["id"] for page in pages(seller, body, page_size=7) for each in page}
    assert found == {each["id"] for each in everything if low <= each["update_time"] < high and each["shipping_type"] == "TIKTOK"}
    buyer = everything[0]["user_id"]
    assert {each["user_id"] for page in pages(seller, {"buyer_user_id": buyer}, page_size=50) for each in page} == {buyer}
    warehouse = everything[0]["warehouse_id"]
    assert {each["warehouse_id"] for page in pages(seller, {"warehouse_ids": [warehouse]}, page_size=50) for each in page} == {warehouse}
    assert pages(seller, {"update_time_ge": high, "update_time_lt": low}, page_size=50) == [[]]


@pytest.mark.parametrize(
    ("body", "query", "code"),
    [
        ({}, {}, 36009004),
        ({}, {"page_size": 101}, 36009004),
        ({}, {"page_size": 0}, 36009004),
        ({"order_status": "SHIPPED"}, {"page_size": 10}, 11050001),
        ({"shipping_type": "PIGEON"}, {"page_size": 10}, 11050001),
        ({"create_time_ge": "yesterday"}, {"page_size": 10}, 36009004),
        ({}, {"page_size": 10, "sort_field": "id"}, 36009004),
    ],
)
def test_wrong_parameters_of_a_search_are_refused(seller: Seller, body: dict[str, Any], query: dict[str, Any], code: int) -> None:
    answer = seller.call("POST", SEARCH, body=body, **query)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_detail_takes_fifty_ids_and_leaves_out_the_unknown_and_the_foreign(seller: Seller) -> None:
    ids = seller.control("POST", "seed", {"orders": 51, "shops": ["GB"]})["ids"]
    foreign = seller.place("US")
    for version in ("202507", "202309"):
        path = f"/order/{version}/orders"
        assert len(seller.data("GET", path, ids=",".join(ids[:50]))["orders"]) == 50
        assert seller.code("GET", path, ids=",".join(ids)) == 11050001
        data = seller.data("GET", path, ids=",".join([ids[3], "576469999999999999", foreign, ids[1]]))
        assert [each["id"] for each in data["orders"]] == [ids[3], ids[1]]
    assert seller.code("GET", "/order/202507/orders") == 36009004


def test_a_new_order_can_take_a_while_to_be_readable(seller: Seller) -> None:
    seller.control("POST", "settings", {"new_order_delay_seconds": 30})
    order_id = seller.place(release=False)
    assert seller.data("GET", "/order/202507/orders", ids=order_id)["orders"] == []
    assert seller.data("POST", SEARCH, body={}, page_size=10)["orders"] == []
    seller.control("POST", "clock", {"advance_seconds": 31})
    assert len(seller.data("GET", "/order/202507/orders", ids=order_id, timestamp=seller.now())["orders"]) == 1


def money(document: dict[str, Any], *names: str) -> Decimal:
    return sum((Decimal(document.get(name, "0")) for name in names), Decimal())


def test_money_adds_up_to_the_cent_in_every_seeded_order(seller: Seller) -> None:
    kinds = {"seller_discount": 0.6, "platform_discount": 0.6, "gift": 0.3, "fees": 0.3, "sample": 0.05, "thirty_lines": 0.1, "bundle": 0.1}
    seller.control("POST", "seed", {"orders": 300, "seed": 21, "kinds": kinds})
    fees = 0
    for shop in ("GB", "US", "SG"):
        token = None
        while token != "":
            data = seller.data("POST", SEARCH, shop, {}, page_size=100, page_token=token)
            token = data["next_page_token"]
            for order in data["orders"]:
                payment, lines = order["payment"], order["line_items"]
                assert money(payment, "sub_total") == sum(money(line, "sale_price") for line in lines)
                original = money(payment, "original_total_product_price")
                assert money(payment, "sub_total") == original - money(payment, "seller_discount", "platform_discount")
                assert original == sum(money(line, "original_price") for line in lines)
                off = money(payment, "shipping_fee_seller_discount", "shipping_fee_platform_discount")
                assert money(payment, "shipping_fee") == money(payment, "original_shipping_fee") - off
                parts = ("sub_total", "shipping_fee", "product_tax", "shipping_fee_tax", "retail_delivery_fee", "small_order_fee")
                assert money(payment, "total_amount") == money(payment, *parts)
                assert all(money(line, "sale_price") >= 0 for line in lines)
                assert all(money(line, "original_price") == 0 for line in lines if line["is_gift"])
                fees += "retail_delivery_fee" in payment
                if shop != "US":
                    assert payment["tax"] == "0"
    assert fees > 0


def test_price_detail_keeps_its_relations_and_matches_the_order(seller: Seller) -> None:
    seller.control("POST", "seed", {"orders": 20, "shops": ["US"], "status": "AWAITING_SHIPMENT", "kinds": {"seller_discount": 1, "platform_discount": 1}})
    for order in seller.data("POST", SEARCH, "US", {}, page_size=20)["orders"]:
        detail = seller.data("GET", f"/order/202407/orders/{order['id']}/price_detail", "US")
        sale = money(detail, "sku_list_price") - money(detail, "subtotal_deduction_seller", "subtotal_deduction_platform")
        assert money(detail, "sku_sale_price") == sale
        assert detail["payment"] == order["payment"]["total_amount"]
        fee = money(order["payment"], "retail_delivery_fee")
        assert money(detail, "payment") == money(detail, "sku_sale_price", "shipping_sale_price", "tax_amount") + fee
        assert [line["id"] for line in detail["line_items"]] == [line["id"] for line in order["line_items"]]
    assert seller.code("GET", "/order/202407/orders/1/price_detail", "US") == 21008111


def test_the_generator_makes_every_kind_and_the_same_orders_for_the_same_seed(seller: Seller) -> None:
    kinds = {"emoji": 0.2, "thirty_lines": 0.1, "platform_shipping": 0.3, "fulfilled_by_tiktok": 0.1, "name_in_one_field": 0.3, "gift": 0.2}
    wish = {"orders": 150, "seed": 3, "status": "AWAITING_SHIPMENT", "kinds": kinds, "since_hours": 12}

    def made() -> list[tuple[Any, ...]]:
        found = []
        for shop in ("GB", "US", "SG"):
            for order in [each for page in pages_of(seller, shop) for each in page]:
                skus = tuple(line["seller_sku"] for line in order["line_items"])
                found.append((order["user_id"], skus, order["payment"]["total_amount"], order["recipient_address"]["full_address"]))
        return sorted(found)

    seller.control("POST", "seed", wish)
    first = made()
    orders = [each for shop in ("GB", "US", "SG") for page in pages_of(seller, shop) for each in page]
    assert any("🎁" in each["recipient_address"]["name"] for each in orders)
    assert any(len(each["line_items"]) >= 30 for each in orders)
    assert any(line["is_gift"] for each in orders for line in each["line_items"])
    assert {each["fulfillment_type"] for each in orders} == {"FULFILLMENT_BY_SELLER", "FULFILLMENT_BY_TIKTOK"}
    for each in orders:
        hidden = each["shipping_type"] == "TIKTOK"
        assert ("*" in each["recipient_address"]["phone_number"]) is hidden
        assert len(each["id"]) == 18
    assert any(each["recipient_address"]["first_name"] == "" for each in orders)
    seller.control("POST", "reset")
    seller.control("POST", "seed", wish)
    assert made() == first


def pages_of(seller: Seller, shop: str) -> list[list[dict[str, Any]]]:
    found, token = [], None
    while token != "":
        data = seller.data("POST", SEARCH, shop, {}, page_size=100, page_token=token)
        found.append(data["orders"])
        token = data["next_page_token"]
    return found


@pytest.mark.parametrize(
    "status",
    ["UNPAID", "ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED", "CANCELLED"],
)
def test_orders_can_be_seeded_in_every_status_and_stay_there(seller: Seller, status: str) -> None:
    wish = {"orders": 25, "shops": ["GB"], "status": status, "lines": [2, 3], "kinds": {"fulfilled_by_tiktok": 0, "cancel_request": 0}}
    assert seller.control("POST", "seed", wish)["by_status"] == {status: 25}
    assert len(seller.data("POST", SEARCH, body={"order_status": status}, page_size=50)["orders"]) == 25


def test_wishes_that_cannot_be_granted_are_named(seller: Seller) -> None:
    for wish in ({"orders": -1}, {"status": "SHIPPED"}, {"kinds": {"nonsense": 1}}, {"kinds": {"gift": 2}}, {"since_hours": 0}):
        answer = seller.http.post(f"{seller.url}/practice/seed", json=wish, timeout=10)
        assert answer.status_code == 400
        assert answer.json()["error"]
    for wish in ({"shops": ["FR"]}, {"skus": ["NO-SUCH"]}):
        assert seller.http.post(f"{seller.url}/practice/seed", json=wish, timeout=10).status_code == 404


def external(order: dict[str, Any], number: str, platform: str = "MAGENTO", count: int | None = None) -> dict[str, Any]:
    lines = [{"id": str(100 + n), "origin_id": line["id"]} for n, line in enumerate(order["line_items"][:count])]
    return {"id": order["id"], "external_order": {"id": number, "platform": platform, "line_items": lines}}


def test_external_references_are_added_replaced_read_and_found(seller: Seller) -> None:
    order = seller.order(seller.place(lines=[("MUG-01", 2)]))
    assert seller.data("POST", f"{EXTERNAL}/external_orders", body={"orders": [external(order, "000000017")]}) == {}
    assert seller.data("POST", f"{EXTERNAL}/external_orders", body={"orders": [external(order, "000000018")]}) == {}
    assert seller.data("POST", f"{EXTERNAL}/external_orders", body={"orders": [external(order, "E-1", "ERP_SYSTEM")]}) == {}
    references = seller.data("GET", f"{EXTERNAL}/{order['id']}/external_orders", platform="MAGENTO")["external_orders"]
    assert [each["id"] for each in references] == ["000000018"]
    assert len(seller.data("GET", f"{EXTERNAL}/{order['id']}/external_orders")["external_orders"]) == 2
    path = f"{EXTERNAL}/external_order_search"
    assert seller.data("POST", path, platform="MAGENTO", external_order_id="000000018")["orders"][0]["id"] == order["id"]
    assert seller.data("POST", path, platform="MAGENTO", external_order_id="000000017")["orders"] == []
    truth = seller.control("GET", f"orders?ids={order['id']}")["orders"][0]
    assert {each["platform"] for each in truth["external_orders"]} == {"MAGENTO", "ERP_SYSTEM"}


def test_each_wrong_reference_is_named_and_the_right_ones_are_stored(seller: Seller) -> None:
    good, other = seller.order(seller.place()), seller.order(seller.place())
    foreign_line = {"id": good["id"], "external_order": {**external(other, "9")["external_order"]}}
    entries = [external(good, "1"), {**external(good, "2"), "id": "576469999999999999"}, external(other, "3", "PRESTASHOP"), foreign_line]
    errors = seller.data("POST", f"{EXTERNAL}/external_orders", body={"orders": entries})["errors"]
    assert [type(each["code"]) for each in errors] == [str, str, str]
    assert errors[0]["code"] == "36020001"
    assert errors[0]["detail"] == {"order_id": "576469999999999999", "external_order": {"id": "2", "platform": "MAGENTO"}}
    assert [each["id"] for each in seller.data("GET", f"{EXTERNAL}/{good['id']}/external_orders")["external_orders"]] == ["1"]

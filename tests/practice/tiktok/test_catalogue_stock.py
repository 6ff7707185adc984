"""Stock, prices and what orders do to them (TTS §5.3.15-§5.3.18, §5.6.10, §6.7). Nothing is ever sold twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from .lister import CREATE, INVENTORY, SEARCH, listed, mug, product, stock, variants, warehouses
from .receiver import Receiver, until
from .seller import Seller


def update(seller: Seller, product_id: str, sku_id: str, inventory: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The extra_errors of the one SKU."""
    answer = seller.data("POST", f"{CREATE}/{product_id}/inventory/update", "US", {"skus": [{"id": sku_id, "inventory": inventory}]})
    if not answer:
        return []
    assert answer["errors"][0]["code"] == 12052990
    assert answer["errors"][0]["detail"]["sku_id"] == sku_id
    return answer["errors"][0]["detail"]["extra_errors"]


def test_an_update_names_every_warehouse_of_the_sku_and_no_other(seller: Seller) -> None:
    body, houses = mug(seller), warehouses(seller)
    body["skus"][0]["inventory"] = [{"warehouse_id": each, "quantity": 5} for each in houses]
    made = listed(seller, body=body)
    sku = product(seller, made)["skus"][0]["id"]
    full = [{"warehouse_id": each, "quantity": 7} for each in houses]
    assert update(seller, made, sku, full) == []
    assert [each["quantity"] for each in product(seller, made)["skus"][0]["inventory"]] == [7, 7]
    every = seller.data("GET", "/logistics/202309/warehouses", "US")["warehouses"]
    holiday = next(each["id"] for each in every if each["effect_status"] == "RESTRICTED")
    returns = next(each["id"] for each in every if each["type"] == "RETURN_WAREHOUSE")
    cases = {
        12019027: full[:1],
        12019022: [*full, {"warehouse_id": holiday, "quantity": 1}],
        12052097: [*full, {"warehouse_id": returns, "quantity": 1}],
        12019024: [{"quantity": 1}],
        12052910: [*full, full[0]],
        12052036: [],
        12052037: [{**full[0], "quantity": 100_000}, full[1]],
        12052055: [{**full[0], "handling_time": 3}, full[1]],
    }
    for code, inventory in cases.items():
        assert [each["code"] for each in update(seller, made, sku, inventory)] == [code]
    assert update(seller, made, sku, full[:1])[0]["warehouse_id"] == houses[1]
    assert update(seller, made, sku, [{**full[0], "quantity": -1}, full[1]])[0]["code"] == 12052037
    assert stock(seller, "MUG-GREEN") == (14, 0), "a refused update changes nothing"
    assert update(seller, made, sku, [{**each, "quantity": 0} for each in full]) == [], "0 is out of stock"


def test_skus_of_one_update_stand_alone_and_one_warehouse_needs_no_name(seller: Seller) -> None:
    made = listed(seller, body=variants(mug(seller), [("Color", "Green")], [("Color", "Red")]))
    first, second = (each["id"] for each in product(seller, made)["skus"])
    skus = [{"id": first, "inventory": [{"quantity": 3}]}, {"id": second, "inventory": [{"quantity": 10**6}]}, {"id": "1729", "inventory": [{"quantity": 1}]}]
    errors = seller.data("POST", f"{CREATE}/{made}/inventory/update", "US", {"skus": skus})["errors"]
    assert [(each["detail"]["sku_id"], each["detail"]["extra_errors"][0]["code"]) for each in errors] == [(second, 12052037), ("1729", 12052260)]
    assert [each["inventory"][0]["quantity"] for each in product(seller, made)["skus"]] == [3, 25]
    assert seller.code("POST", f"{CREATE}/1729/inventory/update", "US", {"skus": skus}) == 12052032
    seller.data("DELETE", CREATE, "US", {"product_ids": [made]})
    assert seller.code("POST", f"{CREATE}/{made}/inventory/update", "US", {"skus": skus}) == 12052901


def test_inventory_search_shows_available_and_committed_by_warehouse(seller: Seller) -> None:
    made = listed(seller)
    seller.place("US", [("MUG-GREEN", 4)])
    sku = product(seller, made)["skus"][0]["id"]
    for body in ({"product_ids": [made, "1729"]}, {"sku_ids": [sku], "product_ids": ["1729"]}):
        found = seller.data("POST", INVENTORY, "US", body)["inventory"]
        assert [each["product_id"] for each in found] == [made]
        shown = found[0]["skus"][0]
        assert (shown["total_available_quantity"], shown["total_committed_quantity"], shown["seller_sku"]) == (21, 4, "MUG-GREEN")
        assert shown["warehouse_inventory"][0] == {"warehouse_id": warehouses(seller)[0], "available_quantity": 21, "committed_quantity": 4}
        assert shown["total_available_inventory_distribution"]["in_shop_inventory"] == {"quantity": 21}
    assert seller.code("POST", INVENTORY, "US", {"product_ids": [str(n) for n in range(101)]}) == 12019120
    assert seller.code("POST", INVENTORY, "US", {"sku_ids": [str(n) for n in range(601)]}) == 12019087
    assert seller.code("POST", INVENTORY, "US", {}) == 36009004
    assert seller.data("POST", INVENTORY, "GB", {"product_ids": [made]}) == {"inventory": []}


def test_prices_change_for_live_products_outside_promotions_only(seller: Seller) -> None:
    made = listed(seller)
    sku = product(seller, made)["skus"][0]["id"]
    path = f"{CREATE}/{made}/prices/update"

    def code(amount: str = "20.00", currency: str = "USD", sku_id: str = sku, **more: Any) -> int:
        return seller.code("POST", path, "US", {"skus": [{"id": sku_id, "price": {"amount": amount, "currency": currency}, **more}]})

    assert seller.data("POST", path, "US", {"skus": [{"id": sku, "price": {"amount": "19.90", "currency": "USD"}}]}) == {}
    assert product(seller, made)["skus"][0]["price"]["sale_price"] == "19.90"
    assert code(list_price={"amount": "30.00", "currency": "USD"}) == 0
    assert product(seller, made)["skus"][0]["list_price"] == {"amount": "30.00", "currency": "USD"}
    assert (code("0"), code("8000"), code("9.999"), code(currency="EUR"), code(sku_id="1")) == (12052570, 12052571, 12052560, 12052550, 12052260)
    seller.control("POST", f"listings/{made}", {"promotion_lock": True})
    assert code() == 12052038
    seller.control("POST", f"listings/{made}", {"promotion_lock": False})
    seller.control("POST", f"listings/{made}", {"promotion_lock": True, "skus": ["MUG-GREEN"]})
    assert code() == 12019045
    seller.control("POST", f"listings/{made}", {"promotion_lock": False, "skus": ["MUG-GREEN"]})
    assert code() == 0
    seller.data("POST", f"{CREATE}/deactivate", "US", {"product_ids": [made]})
    assert code() == 12052901
    assert code(sku_id="x") == 12052901


def test_an_accepted_update_can_do_nothing(seller: Seller) -> None:
    made = listed(seller)
    sku = product(seller, made)["skus"][0]["id"]
    seller.control("POST", "faults", {"kind": "no_effect", "operation": "inventory.update", "times": 1})
    assert update(seller, made, sku, [{"quantity": 3}]) == []
    assert stock(seller, "MUG-GREEN") == (25, 0)
    assert update(seller, made, sku, [{"quantity": 3}]) == []
    assert stock(seller, "MUG-GREEN") == (3, 0)
    seller.control(
        "POST", "faults", {"kind": "refusal", "operation": "prices.update", "code": 12052109, "message": "too many requests on the product", "times": 1}
    )
    assert seller.code("POST", f"{CREATE}/{made}/prices/update", "US", {"skus": []}) == 12052109


# -- orders -------------------------------------------------------------------------------------------------------------------------------


def test_an_order_refers_to_the_listing_and_commits_its_stock_until_it_ships(seller: Seller) -> None:
    made = listed(seller)
    shown = product(seller, made)
    order_id = seller.place("US", [("MUG-GREEN", 3)], release=False, pay=False)
    line = seller.order(order_id, "US")["line_items"][0]
    assert (line["product_id"], line["sku_id"], line["product_name"]) == (made, shown["skus"][0]["id"], shown["title"])
    assert (line["original_price"], seller.http.get(line["sku_image"], timeout=10).status_code) == ("14.90", 200)
    assert stock(seller, "MUG-GREEN") == (22, 3), "an unpaid order holds its units"
    seller.control("POST", f"orders/{order_id}/pay")
    seller.control("POST", f"orders/{order_id}/release")
    body = {"tracking_number": "TRACK-1", "shipping_provider_id": seller.provider("US"), "order_line_item_ids": [line["id"]]}
    seller.data("POST", f"/fulfillment/202309/orders/{order_id}/packages", "US", body)
    assert stock(seller, "MUG-GREEN") == (22, 2)
    seller.control("POST", f"orders/{order_id}/cancel", {"by": "SYSTEM"})
    assert stock(seller, "MUG-GREEN") == (24, 0), "what was shipped does not come back"


@pytest.mark.parametrize("act", ["buyer", "timeout", "seller"])
def test_a_cancelled_order_gives_its_units_back(seller: Seller, act: str) -> None:
    listed(seller)
    order_id = seller.place("US", [("MUG-GREEN", 5)], release=act == "seller", pay=act == "seller")
    if act == "buyer":
        seller.control("POST", f"orders/{order_id}/cancel")
    elif act == "timeout":
        seller.control("POST", "clock", {"advance_seconds": 2 * 86_400 + 1})
    else:
        seller.data("POST", "/return_refund/202602/cancellations", "US", {"order_id": order_id, "cancel_reason": "seller_cancel_reason_wrong_price"})
    assert stock(seller, "MUG-GREEN") == (25, 0)


def test_a_cancellation_for_lack_of_stock_empties_the_whole_listing(seller: Seller) -> None:
    listed(seller, body=variants(mug(seller), [("Color", "Green")], [("Color", "Red")]))
    order_id = seller.place("US", [("V-0", 1)])
    reason = {"order_id": order_id, "cancel_reason": "seller_cancel_reason_out_of_stock"}
    seller.data("POST", "/return_refund/202602/cancellations", "US", reason)
    assert (stock(seller, "V-0"), stock(seller, "V-1")) == ((0, 0), (0, 0))


def test_without_automatic_restock_the_units_of_a_cancelled_order_do_not_come_back(seller: Seller) -> None:
    made = listed(seller)
    sku = product(seller, made)["skus"][0]["id"]
    path = "/product/202608/inventory/operation/settings"
    setting = {"seller_id": "1", "sku_ids": [sku], "stock_operation_setting": {"enable_auto_restock": False}}
    assert seller.data("POST", path, "US", setting) == {}
    seller.control("POST", f"orders/{seller.place('US', [('MUG-GREEN', 5)], release=False)}/cancel")
    assert stock(seller, "MUG-GREEN") == (20, 0)
    assert seller.code("POST", path, "US", {**setting, "sku_ids": ["1"]}) == 12052260
    assert seller.code("POST", path, "US", {**setting, "sku_ids": []}) == 36009004
    assert seller.code("POST", path, "US", {**setting, "stock_operation_setting": {}}) == 36009004


def test_a_buyer_gets_no_more_than_there_is_and_nothing_that_is_not_live(seller: Seller) -> None:
    made = listed(seller)

    def buy(quantity: int) -> requests.Response:
        wish = {"shop": "US", "lines": [{"sku": "MUG-GREEN", "quantity": quantity}]}
        return seller.http.post(f"{seller.url}/practice/orders", json=wish, timeout=10)

    refused = buy(26)
    assert refused.status_code == 400
    assert "25 units left" in refused.json()["error"]
    assert stock(seller, "MUG-GREEN") == (25, 0)
    seller.data("POST", f"{CREATE}/deactivate", "US", {"product_ids": [made]})
    assert "not for sale" in buy(1).json()["error"]
    assert seller.control("GET", "orders")["total"] == 0
    assert seller.place("GB", [("MUG-01", 1)], release=False), "what a shop does not list is sold as ever"


def test_units_come_from_several_warehouses_when_one_does_not_have_them(seller: Seller) -> None:
    body, houses = mug(seller), warehouses(seller)
    body["skus"][0]["inventory"] = [{"warehouse_id": each, "quantity": 3} for each in houses]
    listed(seller, body=body)
    seller.place("US", [("MUG-GREEN", 5)], release=False)
    sku = seller.control("GET", "listings?seller_sku=MUG-GREEN")["listings"][0]["skus"][0]
    assert sorted((each["available"], each["committed"]) for each in sku["stock"]) == [(0, 3), (1, 2)]


def test_a_storm_of_buyers_never_gets_more_than_was_there(seller: Seller) -> None:
    skus = seller.control("POST", "catalogue/seed", {"shop": "US", "products": 20, "bulk": True, "stock": 12})
    assert skus["skus"] == 20

    def buy(number: int) -> int:
        wish = {"shop": "US", "lines": [{"sku": f"BULK-{number % 20 + 1:06d}", "quantity": 1 + number % 2}], "buyer": number}
        return requests.post(f"{seller.url}/practice/orders", json=wish, timeout=60).status_code

    with ThreadPoolExecutor(32) as pool:
        outcomes = list(pool.map(buy, range(500)))
    assert set(outcomes) == {200, 400}
    lines = [seller.control("GET", f"orders/{each['id']}")["order"]["line_items"] for each in seller.control("GET", "orders")["orders"][:5]]
    assert all(line["sku_id"].startswith("17296") for each in lines for line in each)
    shelf = [sku for each in seller.control("GET", "listings?shop=US")["listings"] for sku in each["skus"]]
    sold = sum(each["units"] for each in seller.control("GET", "orders")["orders"])
    assert all(sku["available"] >= 0 and sku["available"] + sku["committed"] == 12 for sku in shelf)
    assert sold == sum(sku["committed"] for sku in shelf) <= 240
    assert sold >= 235


def test_seeded_orders_sell_listed_products_only_as_far_as_they_are_there(seller: Seller) -> None:
    seller.control("POST", "catalogue/seed", {"shop": "US", "products": 3, "bulk": True, "stock": 10})
    wish = {"region": "US", "orders": 60, "bulk": 3, "status": "AWAITING_SHIPMENT", "kinds": {"gift": 0, "bundle": 0, "thirty_lines": 0}}
    made = seller.control("POST", "seed", wish)
    shelf = [sku for each in seller.control("GET", "listings?shop=US")["listings"] for sku in each["skus"]]
    assert 0 < made["orders"] < 60
    assert sum(sku["committed"] for sku in shelf) == sum(each["units"] for each in seller.control("GET", "orders")["orders"]) == 30
    assert {sku["available"] for sku in shelf} == {0}
    assert seller.control("POST", "seed", {"region": "GB", "orders": 20})["orders"] == 20


def test_stock_webhooks_tell_of_each_change_when_they_are_switched_on(seller: Seller, receiver: Receiver) -> None:
    seller.control("POST", "settings", {"inventory_webhooks": True})
    made = listed(seller)
    seller.place("US", [("MUG-GREEN", 21)], release=False)
    changed = until(lambda: receiver.of(71))[0]["data"]
    assert (changed["product_id"], changed["change_detail"][0]["available_delta"]) == (int(made), -21)
    assert changed["quantity_snapshot_after_change"]["total_available_quantity"] == 4
    low = until(lambda: receiver.of(27))[0]["data"]
    assert (low["product_id"], low["current_inventory_status"]) == (made, "LOW_STOCK")


# -- seeding and reset ----------------------------------------------------------------------------------------------------------------------


def test_the_demonstration_catalogue_is_listed_with_its_variants_and_says_what_it_left_out(seller: Seller) -> None:
    made = seller.control("POST", "catalogue/seed", {"shop": "GB", "products": 30, "warehouses": 2})
    shelf = seller.control("GET", "listings?shop=GB")
    assert shelf["by_status"] == {"ACTIVATE": 30}
    assert made["products"] == len(made["ids"]) == 30
    assert {each["sku"]: each["code"] for each in made["left_out"]} == {"MUG/02 slash": 12052054, "VIRT-01": 12052181}
    tees = next(each for each in shelf["listings"] if each["title"] == "Plain tee")
    assert len(tees["skus"]) == 12
    assert all(len(sku["stock"]) == 2 for sku in tees["skus"])
    sold_out = next(each for each in shelf["listings"] if each["title"] == "Sold-out scarf")
    assert sold_out["skus"][0]["available"] == 0
    assert seller.data("POST", SEARCH, "GB", {"seller_skus": ["TEE-BLA-S"]}, page_size=10)["products"][0]["title"] == "Plain tee"
    shown = product(seller, tees["id"], "GB")
    assert {each["name"] for each in shown["skus"][0]["sales_attributes"]} == {"Color", "Size"}
    waiting = seller.control("POST", "catalogue/seed", {"shop": "SG", "products": 2, "live": False})
    assert {each["status"] for each in seller.control("GET", "listings?shop=SG")["listings"]} == {"PENDING"}
    assert waiting["products"] == 2
    seller.control("POST", "reset")
    assert seller.control("GET", "listings")["total"] == 0

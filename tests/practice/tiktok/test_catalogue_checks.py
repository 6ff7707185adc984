"""Every rule of a product body has its code, in listing check and in create alike (TTS §5.3.8, §5.3.9, §3.4)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from .lister import CREATE, attribute, jpeg, leaf, listed, mug, png, product, send, uploaded, variants, warehouses
from .seller import Seller

Body = dict[str, Any]
Spoil = Callable[[Seller, Body], Any]


def sku(**changes: Any) -> Spoil:
    return lambda seller, body: body["skus"][0].update(changes)


def price(**changes: Any) -> Spoil:
    return lambda seller, body: body["skus"][0]["price"].update(changes)


def stock(**changes: Any) -> Spoil:
    return lambda seller, body: body["skus"][0]["inventory"][0].update(changes)


def top(**changes: Any) -> Spoil:
    return lambda seller, body: body.update(changes)


def category(name: str, version: str = "v2", **changes: Any) -> Spoil:
    return lambda seller, body: body.update(category_id=leaf(seller, name, "US" if version == "v2" else "GB", version), **changes)


def axes(*skus: list[tuple[str, str]]) -> Spoil:
    return lambda seller, body: body.update(variants(body, *skus))


def weight(value: str, unit: str = "KILOGRAM") -> Spoil:
    return top(package_weight={"value": value, "unit": unit})


def size(length: str = "12", unit: str = "CENTIMETER") -> Spoil:
    return top(package_dimensions={"length": length, "width": "12", "height": "14", "unit": unit})


def image_in_description(seller: Seller, body: Body, times: int = 1, data: bytes | None = None, attributes: str = 'width="600" height="600"') -> None:
    url = send(seller, "images", data or png(), use_case="DESCRIPTION_IMAGE")["data"]["url"]
    body["description"] = f'<p>x</p><img src="{url}" {attributes}>' * times


def two(change: Callable[[Body, Body], Any]) -> Spoil:
    """Spoils one of two proper variants."""

    def spoil(seller: Seller, body: Body) -> None:
        body.update(variants(body, [("Color", "Green")], [("Color", "Red")]))
        change(*body["skus"])

    return spoil


def pictured(seller: Seller, body: Body, *places: tuple[int, int]) -> None:
    body.update(variants(body, [("Color", "Green"), ("Size", "S")], [("Color", "Red"), ("Size", "M")]))
    uri = uploaded(seller, use_case="ATTRIBUTE_IMAGE")
    for number, axis in places:
        body["skus"][number]["sales_attributes"][axis]["sku_img"] = {"uri": uri}


def with_attribute(name: str, *values: Body, where: str = "Stoneware Mugs") -> Spoil:
    def spoil(seller: Seller, body: Body) -> None:
        body["category_id"] = leaf(seller, where)
        body["product_attributes"] = [{"id": attribute(seller, body["category_id"], name)["id"], "values": list(values)}]

    return spoil


def battery(seller: Seller, body: Body, *, kind: str | None) -> None:
    body["category_id"] = leaf(seller, "Wall Chargers")
    has, made = (attribute(seller, body["category_id"], name) for name in ("Contains Batteries or Cells?", "Battery Type"))
    capacity = attribute(seller, body["category_id"], "Battery Capacity (mAh)")
    chosen = [(has, "Yes"), *([(made, kind)] if kind else [])]
    body["product_attributes"] = [{"id": each["id"], "values": [{"id": next(v["id"] for v in each["values"] if v["name"] == name)}]} for each, name in chosen]
    if kind == "Lithium-ion":
        body["product_attributes"].append({"id": capacity["id"], "values": [{"name": "2000"}]})


def gate(item: str) -> Spoil:
    return lambda seller, body: seller.control("POST", "shops/US/prerequisites", {item: ["as set by the test"]})


RULES: dict[str, tuple[int, Spoil]] = {
    "title missing": (36009004, top(title="")),
    "title of the wrong type": (36009004, top(title=5)),
    "title too long": (12052051, top(title="Mug " * 64)),
    "title with an HTML escape": (12052931, top(title="Mug &amp; lid")),
    "title with an emoji": (12052932, top(title="Mug 🎁")),
    "title with a control character": (12052933, top(title="Mug\tgreen")),
    "title of symbols": (12052934, top(title="*** !!! ***")),
    "title with a character ten times": (12052935, top(title="Muuuuuuuuuug and a lid")),
    "description missing": (36009004, top(description="")),
    "description too long": (12052013, top(description="<p>" + "x" * 10_000 + "</p>")),
    "description with a script": (12052345, top(description="<p>a</p><script>alert(1)</script>")),
    "description with a link": (12052345, top(description='<a href="https://example.com">x</a>')),
    "image of another host": (12052340, top(description='<img src="https://example.com/a.png" width="10" height="10">')),
    "image without width and height": (12052348, lambda s, b: image_in_description(s, b, attributes="")),
    "31 images": (12052341, lambda s, b: image_in_description(s, b, times=31)),
    "image of 4000 px in the description": (12052342, lambda s, b: image_in_description(s, b, data=jpeg(4000, 4000))),
    "category missing": (12052023, top(category_id="")),
    "category unknown": (12052023, top(category_id="123")),
    "category with children": (12052024, category("Ceramic Mugs")),
    "category gone": (12052025, lambda s, b: s.control("POST", f"categories/{b['category_id']}", {"available": False})),
    "category of the old tree": (12052230, category("Stoneware Mugs", "v1")),
    "category version left out": (12052217, top(category_version="")),
    "category prohibited": (12052220, category("Beer")),
    "category by invitation": (12052221, category("Wedding Dresses")),
    "category out of range": (12052222, category("Perfumes")),
    "brand unknown": (12052026, top(brand_id="1")),
    "main image missing": (12052028, top(main_images=[])),
    "ten main images": (12052301, lambda s, b: b.update(main_images=b["main_images"] * 10)),
    "main image never uploaded": (12052302, top(main_images=[{"uri": "tos-elsewhere/aaaa"}])),
    "main image uploaded too small for another use": (12052303, lambda s, b: b.update(main_images=[{"uri": uploaded(s, png(200, 200), "DESCRIPTION_IMAGE")}])),
    "external id too long": (12052369, top(external_product_id="x" * 1000)),
    "external SKU id too long": (12052369, sku(external_sku_id="x" * 1000)),
    "required attribute missing": (12052104, category("Men's Shirts")),
    "required attribute with an unknown value only": (12052183, with_attribute("Material", {"id": "1"}, where="Men's Shirts")),
    "conditional attribute missing": (12052182, lambda s, b: battery(s, b, kind=None)),
    "attribute value too long": (12052910, with_attribute("Material", {"name": "x" * 2001})),
    "two values where one is allowed": (12052910, with_attribute("Dishwasher Safe", {"name": "Yes"}, {"name": "No"})),
    "one value twice": (12052910, with_attribute("Material", {"name": "Glass"}, {"name": "Glass"})),
    "conditional certificate missing": (12052105, lambda s, b: battery(s, b, kind="Lithium-ion")),
    "required certificate missing": (12052105, category("Helmets")),
    "size chart missing": (12052673, with_attribute("Material", {"name": "Silk"}, where="Party Dresses")),
    "weight missing": (12052116, top(package_weight=None)),
    "weight no number": (12052116, weight("heavy")),
    "weight with four decimals": (12052116, weight("0.4501")),
    "weight in grams": (12052116, weight("450", "GRAM")),
    "weight zero": (12052181, weight("0.000")),
    "dimensions missing": (12019011, top(package_dimensions=None)),
    "dimensions with decimals": (12019012, size("12.5")),
    "dimensions zero": (12019012, size("0")),
    "dimensions in millimetres": (12019012, size(unit="MILLIMETER")),
    "kilograms and inches": (12052915, size(unit="INCH")),
    "pounds and centimetres": (12052916, weight("1", "POUND")),
    "no SKU": (12052902, top(skus=[])),
    "301 SKUs": (12052050, axes(*([("Specification", f"No {n}")] for n in range(301)))),
    "seller_sku with a space": (12052054, sku(seller_sku="MUG GREEN")),
    "seller_sku with 51 characters": (12052054, sku(seller_sku="M" * 51)),
    "seller_sku twice": (12019059, two(lambda a, b: b.update(seller_sku=a["seller_sku"]))),
    "four sales attributes": (12052520, sku(sales_attributes=[{"name": name, "value_name": "x"} for name in "abcd"])),
    "sales attribute without name": (12052521, sku(sales_attributes=[{"value_name": "x"}])),
    "sales attribute with a long name": (12052521, sku(sales_attributes=[{"name": "n" * 21, "value_name": "x"}])),
    "the same sales attribute twice": (12052521, sku(sales_attributes=[{"name": "Color", "value_name": "Red"}, {"name": "Color", "value_name": "Blue"}])),
    "sales attribute without value": (12052522, sku(sales_attributes=[{"name": "Color"}])),
    "sales attribute with a long value": (12052522, sku(sales_attributes=[{"name": "Color", "value_name": "x" * 51}])),
    "SKUs with different sales attributes": (12052523, two(lambda a, b: b["sales_attributes"][0].update(name="Size"))),
    "the same combination twice": (12052524, two(lambda a, b: b["sales_attributes"][0].update(value_name="Green"))),
    "pictures on two axes": (12052525, lambda s, b: pictured(s, b, (0, 0), (1, 0), (0, 1), (1, 1))),
    "pictures for one value only": (12052526, lambda s, b: pictured(s, b, (0, 0))),
    "SKU picture never uploaded": (12052527, two(lambda a, b: [each["sales_attributes"][0].update(sku_img={"uri": "x"}) for each in (a, b)])),
    "sales attribute of another category": (12052528, sku(sales_attributes=[{"id": "100999", "value_name": "x"}])),
    "two SKUs without sales attributes": (12052529, two(lambda a, b: b.pop("sales_attributes"))),
    "identifier code too short": (12052591, sku(identifier_code={"code": "123", "type": "EAN"})),
    "identifier code of an unknown type": (12052591, sku(identifier_code={"code": "12345678", "type": "PLU"})),
    "identifier code twice": (12052592, two(lambda a, b: [each.update(identifier_code={"code": "12345670", "type": "EAN"}) for each in (a, b)])),
    "SKU id in a new product": (12052260, sku(id="1729000000000000000")),
    "pre-sale of an unknown type": (12052910, sku(pre_sale={"type": "SOMEDAY"})),
    "price missing": (12052550, sku(price=None)),
    "price in another currency": (12052550, price(currency="EUR")),
    "price no number": (12052560, price(amount="12,90")),
    "price with three decimals": (12052560, price(amount="12.905")),
    "price zero": (12052570, price(amount="0")),
    "price above the top": (12052571, price(amount="7600.01")),
    "inventory missing": (12052036, sku(inventory=[])),
    "quantity missing": (12052036, stock(quantity=None)),
    "quantity zero": (12052037, stock(quantity=0)),
    "quantity above the top": (12052037, stock(quantity=100_000)),
    "half of a backorder": (12052055, stock(backorder_quantity=5)),
    "warehouse not named": (12019024, stock(warehouse_id=None)),
    "warehouse unknown": (12052097, stock(warehouse_id="7068000000000000000")),
    "shop not set up": (12052419, gate("SHOP_STATUS")),
    "seller not active": (12052700, gate("SELLER")),
    "no return warehouse": (12052535, gate("RETURN_WAREHOUSE")),
}


@pytest.mark.parametrize("name", RULES)
def test_what_is_wrong_is_found_by_the_check_and_refused_by_create_with_the_same_code(seller: Seller, name: str) -> None:
    code, spoil = RULES[name]
    body = mug(seller)
    spoil(seller, body)
    try:
        checked = seller.call("POST", f"{CREATE}/listing_check", "US", body).json()
        created = seller.call("POST", CREATE, "US", body).json()
        assert created["code"] == code, created
        if name == "title of the wrong type":
            assert checked["code"] == code
            return
        assert checked["data"]["check_result"] == "FAILED"
        assert code in [each["code"] for each in checked["data"]["fail_reasons"]]
        assert created["message"] in [each["message"] for each in checked["data"]["fail_reasons"]]
        assert seller.control("GET", "listings")["total"] == 0
    finally:
        seller.control("POST", "reset")


def test_a_proper_body_passes_and_the_check_makes_nothing(seller: Seller) -> None:
    body = mug(seller)
    assert seller.data("POST", f"{CREATE}/listing_check", "US", body) == {"check_result": "PASS", "fail_reasons": []}
    assert seller.control("GET", "listings")["total"] == 0
    made = seller.data("POST", CREATE, "US", body)
    assert made["warnings"] == []
    assert made["skus"][0]["seller_sku"] == "MUG-GREEN"
    assert len(made["product_id"]) == 19


def test_imperial_units_and_short_titles_depend_on_the_market(seller: Seller) -> None:
    pounds = {"package_weight": {"value": "1.25", "unit": "POUND"}, "package_dimensions": {"length": "5", "width": "5", "height": "6", "unit": "INCH"}}
    assert seller.code("POST", CREATE, "US", mug(seller, **pounds)) == 0
    assert seller.code("POST", CREATE, "GB", mug(seller, "GB", **pounds)) == 12019061
    assert seller.code("POST", CREATE, "GB", mug(seller, "GB", title="Mug")) == 0
    assert seller.code("POST", CREATE, "SG", mug(seller, "SG", title="Mug")) == 12052051
    assert seller.code("POST", CREATE, "SG", mug(seller, "SG")) == 0
    many = variants(mug(seller, "SG"), *([("Specification", f"No {n}")] for n in range(101)))
    assert seller.code("POST", CREATE, "SG", many) == 12052050


def test_what_cannot_be_used_is_cleared_with_a_warning(seller: Seller) -> None:
    brands = seller.data("GET", "/product/202309/brands", "US", page_size=100)["brands"]
    locked = next(each["id"] for each in brands if each["is_t1_brand"] and each["authorized_status"] == "UNAUTHORIEZD")
    foreign = next(each["id"] for each in brands if each["name"].endswith("Denim") and not each["is_t1_brand"])
    free = next(each["id"] for each in brands if each["name"].endswith("Home") and not each["is_t1_brand"])
    body = mug(seller)
    material = attribute(seller, body["category_id"], "Material")["id"]
    capacity = attribute(seller, body["category_id"], "Capacity (ml)")["id"]
    values = [{"id": material, "values": [{"name": "Stoneware"}]}, {"id": capacity, "values": [{"name": "a lot"}]}, {"id": "1", "values": [{"name": "x"}]}]
    made = seller.data("POST", CREATE, "US", {**body, "brand_id": locked, "product_attributes": values})
    assert len(made["warnings"]) == 3
    assert [key for each in made["warnings"] for key in each] == ["message"] * 3
    shown = product(seller, made["product_id"])
    assert "brand" not in shown
    assert [each["name"] for each in shown["product_attributes"]] == ["Material"]
    assert shown["product_attributes"][0]["values"][0]["name"] == "Stoneware"
    assert shown["product_attributes"][0]["values"][0]["id"]
    checked = seller.data("POST", f"{CREATE}/listing_check", "US", {**mug(seller), "skus": [{**body["skus"][0], "seller_sku": "B"}], "brand_id": foreign})
    assert checked["check_result"] == "PASS"
    assert "not available" in checked["warnings"]["message"]
    kept = seller.data("POST", CREATE, "US", {**body, "skus": [{**body["skus"][0], "seller_sku": "C"}], "brand_id": free})
    assert product(seller, kept["product_id"])["brand"]["id"] == free
    seller.control("POST", "settings", {"refuse_unusable_brand": True})
    assert seller.code("POST", CREATE, "US", {**body, "brand_id": locked, "skus": [{**body["skus"][0], "seller_sku": "D"}]}) == 12052201
    assert seller.code("POST", CREATE, "US", {**body, "brand_id": foreign, "skus": [{**body["skus"][0], "seller_sku": "D"}]}) == 12052208


def test_numbers_of_other_products_are_taken(seller: Seller) -> None:
    code = {"code": "00012345600012", "type": "GTIN"}
    body = mug(seller, external_product_id="magento:1")
    body["skus"][0]["identifier_code"] = code
    first = listed(seller, body=body)
    other = {**copy.deepcopy(body), "external_product_id": "magento:2"}
    assert seller.code("POST", CREATE, "US", {**other, "external_product_id": "magento:1"}) == 12052996
    assert seller.code("POST", CREATE, "US", other) == 12019059
    other["skus"][0]["seller_sku"] = "OTHER"
    assert seller.code("POST", CREATE, "US", other) == 12052592
    other["skus"][0].pop("identifier_code")
    assert seller.code("POST", CREATE, "US", other) == 0
    seller.data("DELETE", CREATE, "US", {"product_ids": [first]})
    assert seller.code("POST", CREATE, "US", body) == 0, "a deleted product holds nothing"


def test_an_idempotency_key_makes_one_product_however_often_it_is_sent(seller: Seller) -> None:
    body = mug(seller, idempotency_key="5d1b6e0e-2f6a")
    answers = [seller.data("POST", CREATE, "US", body) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert seller.control("GET", "listings")["total"] == 1
    assert seller.code("POST", CREATE, "US", {**body, "idempotency_key": "k" * 129}) == 36009004


def test_the_wrapper_holds_every_cause_when_it_is_switched_on(seller: Seller) -> None:
    seller.control("POST", "settings", {"wrap_product_errors": True})
    answer = seller.call("POST", CREATE, "US", mug(seller, title="Mug 🎁", main_images=[])).json()
    assert answer["code"] == 12052990
    error = answer["data"]["errors"][0]
    assert [each["code"] for each in error["detail"]["extra_errors"]] == [12052932, 12052028]


def test_the_daily_listing_limit_refuses_listings_and_not_drafts(seller: Seller) -> None:
    seller.control("POST", "settings", {"daily_listing_limit": 1})
    body = mug(seller)
    assert seller.code("POST", CREATE, "US", body) == 0
    body["skus"][0]["seller_sku"] = "SECOND"
    assert seller.code("POST", CREATE, "US", body) == 12052093
    failed = [each["check_item"] for each in seller.data("GET", "/product/202312/prerequisites", "US")["check_results"] if each["is_failed"]]
    assert failed == ["PRODUCT_QUANTITY_LIMIT"]
    assert seller.code("POST", f"{CREATE}/listing_check", "US", body) == 0
    assert seller.code("POST", CREATE, "US", {**body, "save_mode": "AS_DRAFT"}) == 0


def test_a_draft_may_leave_out_what_is_missing_but_not_be_wrong(seller: Seller) -> None:
    made = seller.data("POST", CREATE, "US", {"title": "A draft", "save_mode": "AS_DRAFT"})
    assert product(seller, made["product_id"])["status"] == "DRAFT"
    assert seller.code("POST", CREATE, "US", {"title": "A draft 🎁", "save_mode": "AS_DRAFT"}) == 12052932
    assert seller.code("POST", CREATE, "US", {"title": "A draft", "save_mode": "LATER"}) == 36009004


def test_stock_may_stand_in_several_warehouses_and_start_at_zero_when_that_is_switched_on(seller: Seller) -> None:
    seller.control("POST", "settings", {"zero_stock_on_create": True})
    body = mug(seller)
    body["skus"][0]["inventory"] = [{"warehouse_id": each, "quantity": 0, "backorder_quantity": 3, "handling_time": 5} for each in warehouses(seller)]
    shown = product(seller, listed(seller, body=body))["skus"][0]["inventory"]
    assert len(shown) == 2
    assert {(each["quantity"], each["backorder_quantity"], each["handling_time"]) for each in shown} == {(0, 3, 5)}

"""Categories, attributes, rules, brands, prerequisites of the practice marketplace (TTS §5.3.1-§5.3.6, §8 point 6)."""

from __future__ import annotations

import json

import pytest

from .lister import attribute, leaf
from .seller import Seller

CATEGORIES = "/product/202309/categories"


def test_the_trees_have_three_and_seven_levels_and_only_leaves_have_no_children(seller: Seller) -> None:
    for version, depth, shop in (("v1", 3, "GB"), ("v2", 7, "US")):
        nodes = {each["id"]: each for each in seller.data("GET", CATEGORIES, shop, category_version=version)["categories"]}
        assert 300 < len(nodes) < 700
        parents = {each["parent_id"] for each in nodes.values()}
        assert all(each["is_leaf"] == (each["id"] not in parents) for each in nodes.values())

        def level(each: dict, nodes: dict = nodes) -> int:
            return 1 if each["parent_id"] == "0" else 1 + level(nodes[each["parent_id"]])

        assert max(level(each) for each in nodes.values()) == depth
        statuses = {status for each in nodes.values() for status in each["permission_statuses"]}
        assert statuses == {"AVAILABLE", "INVITE_ONLY", "NON_MAIN_CATEGORY"}
    every = seller.data("GET", CATEGORIES, "US", category_version="v2", include_prohibited_categories="true")["categories"]
    assert any(each["permission_statuses"] == ["PROHIBITED"] for each in every)


def test_a_keyword_is_sought_in_the_local_name_of_the_locale(seller: Seller) -> None:
    found = seller.data("GET", CATEGORIES, "US", category_version="v2", keyword="sneakers")["categories"]
    assert {each["local_name"] for each in found} == {"Women's Sneakers", "Men's Sneakers"}
    assert seller.data("GET", CATEGORIES, "US", category_version="v2", keyword="sneakers", locale="en-GB")["categories"] == []
    assert seller.data("GET", CATEGORIES, "GB", keyword="Becher", locale="de-DE")["categories"]
    assert seller.code("GET", CATEGORIES, "GB", locale="xx-XX") == 36009004


@pytest.mark.parametrize(
    ("shop", "version", "code"),
    [("US", None, 12052217), ("US", "v1", 12052217), ("SG", None, 12052217), ("GB", None, 0), ("GB", "v2", 0), ("GB", "v3", 36009004)],
)
def test_each_market_wants_its_tree(seller: Seller, shop: str, version: str | None, code: int) -> None:
    assert seller.code("GET", CATEGORIES, shop, category_version=version) == code


@pytest.mark.parametrize("what", ["attributes", "rules"])
def test_attributes_and_rules_are_answered_for_usable_leaves_of_the_right_tree_only(seller: Seller, what: str) -> None:
    parent, old, new = leaf(seller, "Ceramic Mugs"), leaf(seller, "Stoneware Mugs", "GB", "v1"), leaf(seller, "Stoneware Mugs")
    for category, code in (("999999", 12052023), (parent, 12052024), (old, 12052230), (new, 0)):
        assert seller.code("GET", f"{CATEGORIES}/{category}/{what}", "US", category_version="v2") == code
    assert seller.code("GET", f"{CATEGORIES}/{new}/{what}", "GB") == 12052230
    assert seller.code("GET", f"{CATEGORIES}/{new}/{what}", "US") == 12052217
    seller.control("POST", f"categories/{new}", {"available": False})
    assert seller.code("GET", f"{CATEGORIES}/{new}/{what}", "US", category_version="v2") == 12052025


def test_attributes_have_the_documented_and_the_misspelt_fields(seller: Seller) -> None:
    shirts = leaf(seller, "Men's Shirts")
    material, colour = attribute(seller, shirts, "Material"), attribute(seller, shirts, "Color")
    assert (material["is_requried"], material["is_multiple_selection"], material["type"]) == (True, True, "PRODUCT_PROPERTY")
    assert colour["type"] == "SALES_PROPERTY"
    assert "is_requried" not in colour
    assert {"id", "name"} == set(colour["values"][0])
    chargers = leaf(seller, "Wall Chargers")
    kind, battery = attribute(seller, chargers, "Battery Type"), attribute(seller, chargers, "Contains Batteries or Cells?")
    yes = next(each["id"] for each in battery["values"] if each["name"] == "Yes")
    assert kind["requirement_conditions"] == [{"condition_type": "VALUE_ID_MATCH", "attribute_id": battery["id"], "attribute_value_id": yes}]
    assert attribute(seller, chargers, "Rated Power (W)")["value_data_format"] == "POSITIVE_INT_OR_DECIMAL"
    assert "values" not in attribute(seller, chargers, "Rated Power (W)")


def test_rules_differ_by_category(seller: Seller) -> None:
    def rules(name: str) -> dict:
        return seller.data("GET", f"{CATEGORIES}/{leaf(seller, name)}/rules", "US", category_version="v2")

    assert rules("Party Dresses")["size_chart"] == {"is_required": True, "is_supported": True}
    assert rules("Stoneware Mugs")["size_chart"] == {"is_required": False, "is_supported": False}
    assert [rules(name)["package_dimension"]["is_required"] for name in ("Novels", "Stoneware Mugs")] == [False, True]
    assert rules("Car Seats")["product_certifications"][0]["is_required"] is True
    conditional = rules("Wall Chargers")["product_certifications"][0]
    assert conditional["is_required"] is False
    assert conditional["requirement_conditions"][0]["condition_type"] == "VALUE_ID_MATCH"
    assert set(rules("Novels")) >= {"cod", "epr", "manufacturer", "responsible_person", "fees", "allowed_special_product_types"}


def test_a_category_can_change_under_the_seller(seller: Seller) -> None:
    mugs = leaf(seller, "Stoneware Mugs")
    capacity = attribute(seller, mugs, "Capacity (ml)")
    assert capacity["is_requried"] is False
    seller.control("POST", f"categories/{mugs}", {"required": [capacity["id"]], "rules": {"epr": {"is_required": True}}})
    assert attribute(seller, mugs, "Capacity (ml)")["is_requried"] is True
    assert seller.data("GET", f"{CATEGORIES}/{mugs}/rules", "US", category_version="v2")["epr"] == {"is_required": True}
    seller.control("POST", f"categories/{mugs}", {"leaf": False, "status": "INVITE_ONLY"})
    assert seller.code("GET", f"{CATEGORIES}/{mugs}/rules", "US", category_version="v2") == 12052024
    shown = seller.data("GET", CATEGORIES, "US", category_version="v2", keyword="Stoneware Mugs")["categories"][0]
    assert (shown["is_leaf"], shown["permission_statuses"]) == (False, ["INVITE_ONLY"])
    seller.control("POST", "reset")
    assert attribute(seller, mugs, "Capacity (ml)")["is_requried"] is False


def test_a_category_is_recommended_by_title_with_its_chain(seller: Seller) -> None:
    path = f"{CATEGORIES}/recommend"
    for title, name in (("Stoneware mug with lid", "Stoneware Mugs"), ("Leather belt, brown", "Leather Belts"), ("USB cable 2 m", "USB Cables")):
        found = seller.data("POST", path, "US", {"product_title": title, "category_version": "v2"})
        assert found["categories"][-1]["name"] == name
        assert found["leaf_category_id"] == found["categories"][-1]["id"]
        assert [each["level"] for each in found["categories"]] == list(range(1, len(found["categories"]) + 1))
        assert [each["is_leaf"] for each in found["categories"]] == [False] * (len(found["categories"]) - 1) + [True]
    assert seller.code("POST", path, "US", {"product_title": "Qwertz", "category_version": "v2"}) == 12052912
    assert seller.code("POST", path, "US", {"product_title": "Mug"}) == 12052217
    assert seller.code("POST", path, "US", {}) == 36009004


def test_brands_are_paged_filtered_and_spelt_as_the_api_spells_them(seller: Seller) -> None:
    path, names, token = "/product/202309/brands", [], ""
    while True:
        page = seller.data("GET", path, "US", page_size=100, page_token=token or None)
        names += [each["name"] for each in page["brands"]]
        if not (token := page["next_page_token"]):
            break
        assert "=" in token
    assert len(names) == len(set(names)) == page["total_count"]
    only = seller.data("GET", path, "US", page_size=100, is_authorized=1)["brands"]
    assert {each["authorized_status"] for each in only} == {"AUTHORIZED"}
    cases = {(each["authorized_status"], each["is_t1_brand"]) for each in seller.data("GET", path, "US", page_size=100)["brands"]}
    assert len(cases) == 4
    assert {status for status, _ in cases} == {"AUTHORIZED", "UNAUTHORIEZD"}
    chosen = seller.data("GET", path, "US", page_size=20, brand_name="alder", category_id=leaf(seller, "Stoneware Mugs"), category_version="v2")["brands"]
    assert all(each["name"].startswith("Alder") for each in chosen)
    assert {each["brand_status"] for each in chosen} == {"AVAILABLE", "UNAVAILABLE"}
    assert seller.code("GET", path, "US") == 36009004
    assert seller.code("GET", path, "US", page_size=10, page_token="bm8=") == 98001004


def test_brands_are_created_without_cipher_and_within_limits(seller: Seller) -> None:
    path = "/product/202309/brands"
    made = seller.data("POST", path, None, {"name": "Practice Pots"})["id"]
    assert seller.data("GET", path, "US", page_size=10, brand_name="practice")["brands"][0]["id"] == made
    assert seller.code("POST", path, "US", {"name": "With Cipher"}) == 36009004
    for name in ("P", "P" * 31, "瓷器 pots", "practice pots"):
        assert seller.code("POST", path, None, {"name": name}) == 12052026
    seller.control("POST", "settings", {"daily_brand_limit": 2})
    assert seller.code("POST", path, None, {"name": "Second"}) == 0
    assert seller.code("POST", path, None, {"name": "Third"}) == 12052093


def test_prerequisites_are_a_list_and_in_202309_text_within_text(seller: Seller) -> None:
    seller.control("POST", "shops/US/prerequisites", {"BANk_ACCOUNT": ["No bank account"]})
    results = {each["check_item"]: each for each in seller.data("GET", "/product/202312/prerequisites", "US")["check_results"]}
    assert results["BANk_ACCOUNT"] == {"check_item": "BANk_ACCOUNT", "is_failed": True, "fail_reasons": ["No bank account"]}
    assert sum(each["is_failed"] for each in results.values()) == 1
    assert len(results) == 10
    old = json.loads(seller.data("GET", "/product/202309/prerequisites", "US")["check_results"])
    assert json.loads(next(each for each in old if each["check_item"] == "BANk_ACCOUNT")["fail_reasons"]) == ["No bank account"]
    assert not any(each["is_failed"] for each in seller.data("GET", "/product/202312/prerequisites", "GB")["check_results"])

"""The dry run: what is on TikTok, what would be sent, and why; and bodies that survive the way out and back (product.md 14)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from connector.domain.listing_body import body_of, live_body
from connector.domain.listing_diff import changes
from tests.unit.listings import SECOND, WAREHOUSE, good


def on_tiktok() -> dict[str, Any]:
    """The good listing as get product shows it, prices read by the client."""
    shown = deepcopy(good())
    shown |= {"id": "1729", "status": "ACTIVATE", "category_chains": [{"id": "6", "is_leaf": False}, {"id": "600", "is_leaf": True}], "brand": None}
    del shown["category_id"], shown["category_version"], shown["save_mode"]
    shown["package_weight"]["value"] = "0.25"
    shown["product_attributes"] = [
        {"id": "201", "name": "Contains battery", "values": [{"id": "3002", "name": "No"}]},
        {"id": "200", "name": "Material", "values": [{"id": "2001", "name": "Cotton"}]},
    ]
    for number, sku in enumerate(shown["skus"]):
        sku["id"] = f"s{number}"
        sku["price"] = {"currency": "USD", "sale_price": "19.5", "tax_exclusive_price": "19.5", "amount": "19.5"}
        sku["sales_attributes"][0] |= {"name": "Color", "value_name": "Red"}
        sku["sales_attributes"][1] |= {"id": "101", "value_id": f"9{number}"}
    return shown


def test_a_body_survives_the_way_out_and_back() -> None:
    body = good() | {"video": {"id": "v1"}, "brand_id": "77", "size_chart": {"image": {"uri": "tos/chart"}}, "is_cod_allowed": False}
    body["skus"][0] |= {"identifier_code": {"code": "4006381333931", "type": "EAN"}, "pre_sale": {"type": "PRE_ORDER"}}
    assert body_of(body).as_dict() == body
    assert body_of(body_of(body).as_dict()).fingerprint == body_of(body).fingerprint


def test_any_change_of_what_is_sent_changes_the_fingerprint() -> None:
    other = good()
    other["skus"][1]["inventory"][0]["quantity"] = 6
    assert body_of(other).fingerprint != body_of(good()).fingerprint


def test_nothing_is_different_when_tiktok_shows_what_was_sent_in_its_own_words() -> None:
    assert changes(live_body(on_tiktok()), body_of(good())) == []


def test_an_edit_carries_sku_ids_and_leaves_price_and_stock_of_known_ones_out() -> None:
    shown = on_tiktok()
    shown["skus"].pop()
    sent = body_of(good()).with_sku_ids(live_body(shown)).as_dict(edit=True)
    assert [sku.get("id") for sku in sent["skus"]] == ["s0", "s1", None]
    assert ["price" in sku for sku in sent["skus"]] == [False, False, True]
    assert ["inventory" in sku for sku in sent["skus"]] == [False, False, True]


def test_a_sku_whose_code_was_changed_by_hand_is_found_by_its_variant() -> None:
    shown, body = on_tiktok(), good()
    shown["skus"][0]["seller_sku"] = "OLD"
    body["skus"][0]["sales_attributes"] = deepcopy(shown["skus"][0]["sales_attributes"])
    (change,) = changes(live_body(shown), body_of(body))
    assert (change.field, change.now, change.send) == ("skus[TEE-RED-M].seller_sku", "OLD", "TEE-RED-M")


def test_each_difference_says_what_is_there_what_would_be_sent_and_why() -> None:
    shown, body = on_tiktok(), good()
    shown["title"] = "Old title"
    shown["product_attributes"][1]["values"] = [{"id": "2002", "name": "Wool"}]
    body["package_weight"]["value"] = "0.3"
    body["skus"][0]["price"]["amount"] = "21.00"
    body["skus"][1]["inventory"] = [{"warehouse_id": WAREHOUSE, "quantity": 2}, {"warehouse_id": SECOND, "quantity": 1}]
    reasons = {"title": "Magento attribute name", "TEE-RED-M.price": "price is 19.50 USD.", "TEE-RED-L.inventory": "Magento's stock item holds 3 units."}
    found = changes(live_body(shown), body_of(body), reasons, {"200": "Material"})
    assert [(change.label, change.now, change.send, change.why, change.kind) for change in found] == [
        ("Title", "Old title", "Plain tee of organic cotton", "Magento attribute name", "content"),
        ("Package weight", "0.25 KILOGRAM", "0.3 KILOGRAM", "", "content"),
        ("Material", "Wool", "2001", "", "content"),
        ("TEE-RED-M: price", "19.5 USD", "21.00 USD", "price is 19.50 USD.", "price"),
        (f"TEE-RED-L: quantity in {WAREHOUSE}", "5", "2", "Magento's stock item holds 3 units.", "stock"),
        (f"TEE-RED-L: quantity in {SECOND}", "", "1", "Magento's stock item holds 3 units.", "stock"),
    ]


def test_what_an_edit_would_remove_is_marked() -> None:
    body = good()
    body["skus"].pop(0)
    body["product_attributes"].pop(1)
    body["external_product_id"] = ""
    found = [change for change in changes(live_body(on_tiktok()), body_of(body)) if change.destructive]
    assert [change.field for change in found] == ["external_product_id", "product_attributes[201]", "skus[TEE-RED-M]"]


def test_a_product_that_is_not_on_tiktok_yet_is_all_new() -> None:
    found = changes(None, body_of(good()))
    assert {change.now for change in found} == {""}
    assert "skus[TEE-BLUE-M]" in {change.field for change in found}


def test_white_space_between_tags_and_closing_slashes_make_no_difference() -> None:
    shown = on_tiktok()
    shown["description"] = "<p>A tee.</p>\n  <img src='https://p16.example/obj/tos/text' width='900' height='900' />"
    assert changes(live_body(shown), body_of(good())) == []

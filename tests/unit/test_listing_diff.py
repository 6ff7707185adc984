"""The dry run: what is on TikTok, what would be sent, and why; and bodies that survive the way out and back (product.md 14)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from connector.domain.attribute_mapping import AttributeMapping
from connector.domain.listing import ListingPlan
from connector.domain.listing_body import body_of, live_body
from connector.domain.listing_diff import behind, changes
from connector.domain.policies import ImagePolicy, PricingPolicy
from tests.unit.listings import SECOND, WAREHOUSE, category, good


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


def test_every_field_of_the_form_is_compared_in_its_order_in_words() -> None:
    shown, body = on_tiktok(), good()
    shown |= {"brand": {"id": "76"}, "size_chart": {"template": {"id": "t1"}}}
    shown["skus"][0]["identifier_code"] = {"code": "4006381333931", "type": "EAN"}
    body |= {
        "title": "Tee", "description": "<p>Another.</p>", "category_id": "601", "main_images": [{"uri": "tos/main"}, {"uri": "tos/second"}], "brand_id": "77",
        "package_weight": {"value": "0.25", "unit": "POUND"}, "external_product_id": "magento:413", "size_chart": {"image": {"uri": "tos/chart"}},
        "package_dimensions": {"length": "30", "width": "20.5", "height": "3", "unit": "CENTIMETER"},
    }  # fmt: skip
    body["skus"][0] |= {"identifier_code": {"code": "4006381333948", "type": "EAN"}, "price": {"amount": "19.50", "currency": "GBP"}}
    body["skus"][0]["sales_attributes"][0]["sku_img"] = {"uri": "tos/blue"}
    found = changes(live_body(shown), body_of(body))
    assert [(change.field, change.now, change.send) for change in found] == [
        ("title", "Plain tee of organic cotton", "Tee"),
        ("description", shown["description"], "<p>Another.</p>"),
        ("category_id", "600", "601"),
        ("main_images", "tos/main", "tos/main, tos/second"),
        ("brand_id", "76", "77"),
        ("package_weight", "0.25 KILOGRAM", "0.25 POUND"),
        ("package_dimensions", "30 x 20 x 3 CENTIMETER", "30 x 20.5 x 3 CENTIMETER"),
        ("external_product_id", "magento:412", "magento:413"),
        ("size_chart", "t1", "tos/chart"),
        ("skus[TEE-RED-M].price", "19.5 USD", "19.50 GBP"),
        ("skus[TEE-RED-M].sku_img", "tos/red", "tos/blue"),
        ("skus[TEE-RED-M].identifier_code", "EAN 4006381333931", "EAN 4006381333948"),
    ]
    assert not any(change.destructive for change in found)
    assert [change.why for change in found[-2:]] == ["Picture of the variant in Magento", "Identifier attribute in Magento"]


def test_what_a_body_does_not_say_is_left_as_it_is() -> None:
    shown, body = on_tiktok(), good()
    shown["skus"][0]["inventory"].append({"warehouse_id": SECOND, "quantity": 9})
    for sku in body["skus"]:
        del sku["price"]
    for attribute in body["skus"][0]["sales_attributes"] + body["skus"][1]["sales_attributes"]:
        attribute.pop("sku_img", None)
    assert changes(live_body(shown), body_of(body)) == []
    del body["package_weight"]
    (weight,) = changes(live_body(shown), body_of(body))
    assert (weight.label, weight.now, weight.send, weight.destructive) == ("Package weight", "0.25 KILOGRAM", "", True)


def test_a_changed_variant_and_a_new_one_are_told_with_their_values() -> None:
    shown, body = on_tiktok(), good()
    body["skus"][2]["sales_attributes"][1]["value_name"] = "XL"
    body["skus"].append({
        "seller_sku": "TEE-BLUE-L", "price": {"amount": "21.00", "currency": "USD"},
        "inventory": [{"warehouse_id": WAREHOUSE, "quantity": 1200}, {"warehouse_id": SECOND, "quantity": 34}],
        "sales_attributes": [{"id": "100", "value_id": "1002"}, {"name": "Size", "value_name": "L"}],
    })  # fmt: skip
    changed, new = changes(live_body(shown), body_of(body), {"TEE-BLUE-L.price": "price is 21.00 USD."})
    assert (changed.field, changed.send, changed.why) == ("skus[TEE-BLUE-M].sales_attributes", "100 1002 / Size XL", "Variant attributes in Magento")
    assert (new.field, new.now, new.send, new.why) == (
        "skus[TEE-BLUE-L]", "", "21.00 USD, 1,234 units, 100 1002 / Size L", "price is 21.00 USD.",
    )  # fmt: skip


def test_values_are_the_same_by_id_or_by_name_in_any_order() -> None:
    shown, body = on_tiktok(), good()
    both = [{"id": "2001", "name": "Cotton"}, {"id": "2002", "name": "Wool"}]
    shown["product_attributes"][1]["values"] = both
    body["product_attributes"][0]["values"] = [{"name": "WOOL"}, {"id": "2001"}]
    assert changes(live_body(shown), body_of(body)) == []
    body["product_attributes"][0]["values"].append({"name": "Silk"})
    (change,) = changes(live_body(shown), body_of(body))
    assert (change.label, change.now, change.send, change.destructive) == ("Attribute 200", "Cotton, Wool", "WOOL, 2001, Silk", False)
    body["product_attributes"][0]["values"] = [{"name": "Wool"}, {"name": "Silk"}]
    assert len(changes(live_body(shown), body_of(body))) == 1


def test_the_magento_attributes_behind_each_field() -> None:
    mappings = (
        AttributeMapping(attribute_id="100", magento_attribute="color"),
        AttributeMapping(attribute_id="200", magento_attribute="material"),
        AttributeMapping(attribute_id="201"),
    )
    plan = ListingPlan(category=category(), mappings=mappings, identifier_attribute="ean", dimension_attributes=("l", "w", "h"))

    def of(field: str, pricing: PricingPolicy | None = None) -> tuple[str, ...]:
        return behind(field, plan, ImagePolicy(main_image_attribute="base"), pricing or PricingPolicy())

    assert [of(field) for field in ("title", "description", "package_weight", "package_dimensions")] == [
        ("name",),
        ("description",),
        ("weight",),
        ("l", "w", "h"),
    ]
    assert of("main_images") == of("skus[TEE].sku_img") == ("base", "media_gallery")
    assert (of("product_attributes[200]"), of("product_attributes[201]"), of("product_attributes[9]")) == (("material",), (), ())
    assert (of("skus[TEE].seller_sku"), of("skus[TEE].identifier_code"), of("skus[TEE].inventory[7]")) == (("sku",), ("ean",), ("quantity",))
    assert of("skus[TEE].price", PricingPolicy(price_attribute="b2c")) == ("b2c", "special_price")
    assert of("skus[TEE].sales_attributes") == of("skus[TEE]") == ("color", "material")
    assert of("size_chart") == ()

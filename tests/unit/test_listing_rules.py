"""Validation finds before TikTok does: every rule of TTS §5.3.8 broken on purpose, with its code, field and remedy (A157, A176)."""

from __future__ import annotations

from typing import Any

import pytest

from connector.domain import listing_codes as codes
from connector.domain.listing_body import body_of
from tests.unit.listings import SECOND, WAREHOUSE, Break, category, good, put, shop, verdict


def test_a_good_listing_has_no_problem() -> None:
    assert verdict(good()) == []


IMG = '<p>A</p><img src="https://p16.example/obj/tos/text" width="1" height="1">'

BROKEN: list[tuple[str, Break, int]] = [
    ("title missing", put("title", ""), codes.PARAMETER_MISSING),
    ("title too long", put("title", "Tee " * 64), codes.TITLE_LENGTH),
    ("title with a named escape", put("title", "Tee &amp; shirt"), codes.TITLE_ESCAPES),
    ("title with a numbered escape", put("title", "Tee &#39;one&#39;"), codes.TITLE_ESCAPES),
    ("title with an emoji", put("title", "Tee \U0001f455"), codes.TITLE_EMOJI),
    ("title with a heart", put("title", "Tee ❤ you"), codes.TITLE_EMOJI),
    ("title with a tab", put("title", "Tee\tshirt"), codes.TITLE_CONTROL),
    ("title of symbols", put("title", "*** --- ***"), codes.TITLE_SYMBOLS),
    ("title with ten of a kind", put("title", "Teeeeeeeeeee shirt"), codes.TITLE_REPEATS),
    ("description missing", put("description", ...), codes.PARAMETER_MISSING),
    ("description too long", put("description", "<p>" + "a" * 10_000 + "</p>"), codes.DESCRIPTION_LENGTH),
    ("description with a script", put("description", "<p>A</p><script>alert(1)</script>"), codes.DESCRIPTION_TAG),
    ("description with an iframe", put("description", "<iframe src='https://x.test'></iframe>"), codes.DESCRIPTION_TAG),
    ("description with an image without size", put("description", '<img src="https://p16.example/obj/tos/text">'), codes.DESCRIPTION_TAG_ATTRIBUTE),
    ("description with a foreign image", put("description", '<img src="https://shop.example/a.jpg" width="9" height="9">'), codes.DESCRIPTION_IMAGE_URL),
    ("description with a huge image", put("description", IMG.replace("tos/text", "tos/wide")), codes.DESCRIPTION_IMAGE_SIZE),
    ("description with too many images", put("description", IMG * 31), codes.DESCRIPTION_IMAGE_COUNT),
    ("category missing", put("category_id", ""), codes.CATEGORY_MISSING),
    ("category of the other tree", put("category_version", "v1"), codes.CATEGORY_VERSION),
    ("no main image", put("main_images", []), codes.MAIN_IMAGE_MISSING),
    ("ten main images", put("main_images", [{"uri": "tos/main"}] * 10), codes.MAIN_IMAGE_COUNT),
    ("main image not uploaded", put("main_images", [{"uri": "tos/gone"}]), codes.MAIN_IMAGE_URI),
    ("main image too small", put("main_images", [{"uri": "tos/tiny"}]), codes.MAIN_IMAGE_USE_CASE),
    ("external id too long", put("external_product_id", "x" * 1000), codes.EXTERNAL_ID_INVALID),
    ("required attribute missing", put("product_attributes.0", ...), codes.ATTRIBUTE_MISSING),
    ("required attribute with an unknown value", put("product_attributes.1.values", [{"id": "9"}]), codes.ATTRIBUTE_VALUES_UNUSABLE),
    ("required attribute with a forbidden own value", put("product_attributes.1.values", [{"name": "Perhaps"}]), codes.ATTRIBUTE_VALUES_UNUSABLE),
    ("conditional attribute missing", put("product_attributes.1.values", [{"name": "yes"}]), codes.ATTRIBUTE_CONDITIONAL),
    ("two values where one is taken", put("product_attributes.1.values", [{"id": "3001"}, {"id": "3002"}]), codes.INPUT_INVALID),
    ("a value twice", put("product_attributes.0.values", [{"id": "2001"}, {"name": "Cotton"}]), codes.INPUT_INVALID),
    ("a value too long", put("product_attributes.0.values", [{"name": "x" * 2001}]), codes.INPUT_INVALID),
    ("an attribute twice", lambda body: body["product_attributes"].append(body["product_attributes"][0]), codes.INPUT_INVALID),
    ("weight missing", put("package_weight", ...), codes.WEIGHT_INVALID),
    ("weight no number", put("package_weight.value", "heavy"), codes.WEIGHT_INVALID),
    ("weight negative", put("package_weight.value", "-1"), codes.WEIGHT_INVALID),
    ("weight zero", put("package_weight.value", "0.000"), codes.WEIGHT_ZERO),
    ("weight with four decimals", put("package_weight.value", "0.2505"), codes.WEIGHT_INVALID),
    ("weight in stones", put("package_weight.unit", "STONE"), codes.WEIGHT_INVALID),
    ("weight in grams in the US", put("package_weight.unit", "GRAM"), codes.WEIGHT_INVALID),
    ("dimensions missing", put("package_dimensions", ...), codes.DIMENSIONS_MISSING),
    ("a side with a fraction", put("package_dimensions.width", "20.5"), codes.DIMENSIONS_INVALID),
    ("a side of zero", put("package_dimensions.height", "0"), codes.DIMENSIONS_INVALID),
    ("a side missing", put("package_dimensions.length", ""), codes.DIMENSIONS_INVALID),
    ("sides in metres", put("package_dimensions.unit", "METER"), codes.DIMENSIONS_INVALID),
    ("kilograms and inches", put("package_dimensions.unit", "INCH"), codes.METRIC_WEIGHT_IMPERIAL_SIZE),
    ("pounds and centimetres", put("package_weight", {"value": "1", "unit": "POUND"}), codes.IMPERIAL_WEIGHT_METRIC_SIZE),
    ("no SKU", put("skus", []), codes.NO_SKU),
    ("a SKU with a space", put("skus.0.seller_sku", "TEE RED"), codes.SELLER_SKU_INVALID),
    ("a SKU of 51 characters", put("skus.0.seller_sku", "T" * 51), codes.SELLER_SKU_INVALID),
    ("a SKU twice", put("skus.0.seller_sku", "TEE-BLUE-M"), codes.SELLER_SKU_DUPLICATE),
    ("two SKUs that differ in case", put("skus.0.seller_sku", "tee-blue-m"), codes.SELLER_SKU_DUPLICATE),
    ("variants without axes", lambda body: [sku.pop("sales_attributes") for sku in body["skus"]], codes.AXIS_REQUIRED),
    ("one variant without axes", put("skus.1.sales_attributes", []), codes.AXIS_REQUIRED),
    ("a variant that lacks an axis", put("skus.1.sales_attributes.1", ...), codes.AXIS_MISMATCH),
    ("an axis twice", lambda body: body["skus"][0]["sales_attributes"].append({"name": "size", "value_name": "XL"}), codes.AXIS_NAME),
    (
        "four axes",
        lambda body: [sku["sales_attributes"].extend([{"name": "Cut", "value_name": "A"}, {"name": "Print", "value_name": "B"}]) for sku in body["skus"]],
        codes.AXIS_COUNT,
    ),
    ("an axis without name", put("skus.0.sales_attributes.1.name", ""), codes.AXIS_NAME),
    ("an axis with a long name", lambda body: [put("sales_attributes.1.name", "S" * 21)(sku) for sku in body["skus"]], codes.AXIS_NAME),
    ("an axis without value", put("skus.0.sales_attributes.1.value_name", ""), codes.AXIS_VALUE),
    ("an axis with a long value", put("skus.0.sales_attributes.1.value_name", "M" * 51), codes.AXIS_VALUE),
    ("an axis with an unknown value", put("skus.0.sales_attributes.0.value_id", "1999"), codes.AXIS_VALUE),
    ("an axis the category does not have", lambda body: [put("sales_attributes.0.id", "299")(sku) for sku in body["skus"]], codes.AXIS_UNKNOWN),
    ("a product attribute as axis", lambda body: [put("sales_attributes.0.id", "200")(sku) for sku in body["skus"]], codes.AXIS_UNKNOWN),
    ("the same combination twice", put("skus.1.sales_attributes.1.value_name", "M"), codes.AXIS_DUPLICATE),
    ("pictures on two axes", put("skus.0.sales_attributes.1.sku_img", {"uri": "tos/red"}), codes.AXIS_IMAGES),
    ("a value without picture", put("skus.2.sales_attributes.0.sku_img", ...), codes.AXIS_IMAGE_MISSING),
    ("a picture not uploaded", put("skus.2.sales_attributes.0.sku_img.uri", "tos/gone"), codes.AXIS_IMAGE_URI),
    ("a code of the wrong length", put("skus.0.identifier_code", {"code": "12345", "type": "EAN"}), codes.IDENTIFIER_FORMAT),
    ("a code of no type", put("skus.0.identifier_code", {"code": "4006381333931", "type": "ASIN"}), codes.IDENTIFIER_FORMAT),
    (
        "a code twice",
        lambda body: [sku.update(identifier_code={"code": "4006381333931", "type": "EAN"}) for sku in body["skus"]],
        codes.IDENTIFIER_DUPLICATE,
    ),
    ("no price", put("skus.0.price", ...), codes.PRICE_INVALID),
    ("a price in words", put("skus.0.price.amount", "cheap"), codes.PRICE_INVALID),
    ("a price with three decimals", put("skus.0.price.amount", "19.505"), codes.PRICE_INVALID),
    ("a price of zero", put("skus.0.price.amount", "0"), codes.PRICE_TOO_LOW),
    ("a price too high", put("skus.0.price.amount", "7600.01"), codes.PRICE_TOO_HIGH),
    ("a price in another currency", put("skus.0.price.currency", "GBP"), codes.CURRENCY_WRONG),
    ("no inventory", put("skus.0.inventory", []), codes.INVENTORY_MISSING),
    ("no quantity", put("skus.0.inventory.0.quantity", ...), codes.INVENTORY_MISSING),
    ("a negative quantity", put("skus.0.inventory.0.quantity", -1), codes.INVENTORY_RANGE),
    ("no unit of a new SKU", put("skus.0.inventory.0.quantity", 0), codes.INVENTORY_RANGE),
    ("a hundred thousand units", put("skus.0.inventory.0.quantity", 100_000), codes.INVENTORY_RANGE),
    ("an unnamed warehouse", put("skus.0.inventory.0.warehouse_id", ""), codes.WAREHOUSE_NOT_NAMED),
    ("an unknown warehouse", put("skus.0.inventory.0.warehouse_id", "7"), codes.WAREHOUSE_UNKNOWN),
    ("a warehouse twice", lambda body: body["skus"][0]["inventory"].append(body["skus"][0]["inventory"][0]), codes.INPUT_INVALID),
    ("half a backorder", put("skus.0.inventory.0.backorder_quantity", 5), codes.BACKORDER_INCOMPLETE),
    ("external SKU id too long", put("skus.0.external_sku_id", "x" * 1000), codes.EXTERNAL_ID_INVALID),
    ("an unknown sale type", put("skus.0.pre_sale", {"type": "SOON"}), codes.INPUT_INVALID),
    ("a SKU id that TikTok does not have", put("skus.0.id", "1729"), codes.SKU_MISSING),
    ("more than ten certificates", put("certifications", [{"id": str(n), "files": [{"id": "f"}]} for n in range(11)]), codes.INPUT_INVALID),
]


@pytest.mark.parametrize(("name", "act", "code"), BROKEN, ids=[name for name, *_ in BROKEN])
def test_a_broken_rule_is_found_with_field_and_remedy(name: str, act: Break, code: int) -> None:
    body = good()
    act(body)
    problems = [problem for problem in verdict(body) if not problem.warning]
    assert code in {problem.code for problem in problems}
    for problem in problems:
        assert problem.field
        assert problem.message.endswith(".")
        assert problem.remedy.endswith(".")
        assert "!" not in problem.message + problem.remedy


def test_all_problems_are_told_at_once() -> None:
    body = good()
    for name, act, _ in BROKEN:
        if name in ("title with an emoji", "no main image", "weight zero", "dimensions missing", "no price", "a SKU with a space"):
            act(body)
    found = {problem.code for problem in verdict(body)}
    assert found >= {codes.TITLE_EMOJI, codes.MAIN_IMAGE_MISSING, codes.WEIGHT_ZERO, codes.DIMENSIONS_MISSING, codes.PRICE_INVALID, codes.SELLER_SKU_INVALID}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"category": None}, codes.CATEGORY_MISSING),
        ({"category": category(node={"is_leaf": False})}, codes.CATEGORY_NOT_LEAF),
        ({"category": category(node={"permission_statuses": []})}, codes.CATEGORY_NOT_AVAILABLE),
        ({"category": category(node={"permission_statuses": ["INVITE_ONLY"]})}, codes.CATEGORY_INVITE_ONLY),
        ({"category": category(node={"permission_statuses": ["NON_MAIN_CATEGORY"]})}, codes.CATEGORY_NOT_IN_RANGE),
        ({"category": category(node={"permission_statuses": ["PROHIBITED"]})}, codes.CATEGORY_PROHIBITED),
        ({"category": category(version="v1")}, codes.CATEGORY_OTHER_TREE),
        ({"category": category(rules={"size_chart": {"is_required": True, "is_supported": True}})}, codes.SIZE_CHART_REQUIRED),
        ({"category": category(rules={"product_certifications": [{"id": "9", "name": "Declaration", "is_required": True}]})}, codes.CERTIFICATE_MISSING),
        ({"shop": shop(taken_external_ids={"magento:412"})}, codes.EXTERNAL_ID_TAKEN),
        ({"shop": shop(taken_seller_skus={"tee-red-m"})}, codes.SELLER_SKU_DUPLICATE),
        ({"shop": shop(region="GB", currency="GBP")}, codes.CURRENCY_WRONG),
        ({"shop": shop(region="DE", currency="USD")}, None),
    ],
)
def test_what_the_category_or_the_shop_forbids_is_found(changes: dict[str, Any], code: int | None) -> None:
    found = {problem.code for problem in verdict(good(), **changes) if not problem.warning}
    assert found == ({code} if code else set())


def test_a_certificate_is_asked_for_as_soon_as_its_condition_holds_and_must_not_be_expired() -> None:
    body = good()
    body["product_attributes"][1]["values"] = [{"id": "3001"}]
    body["product_attributes"].append({"id": "202", "values": [{"name": "Lithium"}]})
    assert [problem.code for problem in verdict(body)] == [codes.CERTIFICATE_MISSING]
    body["certifications"] = [{"id": "901", "files": [{"id": "f1"}], "expiration_date": 1_700_000_000}]
    assert "expired" in verdict(body)[0].message
    body["certifications"][0]["expiration_date"] = 1_900_000_000
    assert verdict(body) == []


@pytest.mark.parametrize(
    ("region", "length", "fits"),
    [("US", 1, True), ("US", 255, True), ("US", 256, False), ("BR", 300, True), ("BR", 301, False), ("SG", 24, False), ("SG", 25, True), ("PL", 24, False)],
)
def test_the_length_of_a_title_depends_on_the_market(region: str, length: int, fits: bool) -> None:
    body = good()
    body["title"] = ("Tee of cotton " * 30)[: length - 1] + "x"
    found = {problem.code for problem in verdict(body, shop=shop(region=region))}
    assert (codes.TITLE_LENGTH not in found) is fits


@pytest.mark.parametrize(("region", "count", "fits"), [("US", 300, True), ("US", 301, False), ("FR", 300, True), ("SG", 100, True), ("SG", 101, False)])
def test_the_number_of_variants_depends_on_the_market(region: str, count: int, fits: bool) -> None:
    body = good()
    first = body["skus"][0]
    body["skus"] = [
        first | {"seller_sku": f"TEE-{n:04d}", "sales_attributes": [{"id": "100", "value_id": "1001"}, {"name": "Size", "value_name": str(n)}]}
        for n in range(count)
    ]
    found = {problem.code for problem in verdict(body, shop=shop(region=region))}
    assert (codes.TOO_MANY_SKUS not in found) is fits


def test_units_of_weight_and_size_depend_on_the_market() -> None:
    body = good()
    body["package_weight"] = {"value": "0.55", "unit": "POUND"}
    body["package_dimensions"]["unit"] = "INCH"
    assert verdict(body) == []
    assert {problem.code for problem in verdict(body, shop=shop(region="GB"))} >= {codes.IMPERIAL_OUTSIDE_US}
    body["package_weight"] = {"value": "250", "unit": "GRAM"}
    body["package_dimensions"]["unit"] = "CENTIMETER"
    assert {problem.code for problem in verdict(body, shop=shop(region="MX"))} == set()
    body["package_weight"]["value"] = "250.5"
    assert {problem.code for problem in verdict(body, shop=shop(region="MX"))} == {codes.WEIGHT_INVALID}


def test_dimensions_may_be_left_out_where_the_rule_or_the_market_says_so() -> None:
    body = good()
    del body["package_dimensions"]
    assert verdict(body, category=category(rules={"package_dimension": {"is_required": False}})) == []
    silent = category(rules={"package_dimension": {}})
    assert verdict(body, category=silent, shop=shop(region="TH")) == []
    assert [problem.code for problem in verdict(body, category=silent)] == [codes.DIMENSIONS_MISSING]


def test_the_newest_eu_rule_for_seller_skus_is_applied_where_it_holds() -> None:
    body = good()
    body["skus"] = [body["skus"][0] | {"seller_sku": "MUG/2", "sales_attributes": []}]
    assert [problem.code for problem in verdict(body, shop=shop(region="DE"))] == [codes.SELLER_SKU_INVALID]
    assert verdict(body) == []


def test_what_tiktok_only_clears_is_a_warning_and_no_refusal() -> None:
    body = good()
    body["brand_id"] = "77"
    body["product_attributes"] += [{"id": "203", "values": [{"name": "much"}]}, {"id": "999", "values": [{"name": "x"}]}]
    body["skus"][0]["price"]["sale_price"] = "18.00"
    body["skus"][0]["identifier_code"] = {"code": "4006381333932", "type": "EAN"}
    problems = verdict(body, shop=shop(brands={"77": False}))
    assert all(problem.warning for problem in problems)
    assert [problem.field for problem in problems] == [
        "brand_id",
        "product_attributes[203]",
        "product_attributes[999]",
        "skus[0].identifier_code",
        "skus[0].price.sale_price",
    ]
    assert [problem.code for problem in verdict(body, shop=shop(brands={})) if not problem.warning] == [codes.BRAND_INVALID]


def test_a_draft_may_leave_things_out_but_not_get_them_wrong() -> None:
    body = {"title": "Plain tee", "save_mode": "AS_DRAFT", "package_weight": {"value": "0", "unit": "KILOGRAM"}}
    assert [problem.code for problem in verdict(body)] == [codes.WEIGHT_ZERO]


def test_what_is_not_known_of_the_shop_is_not_judged() -> None:
    body = good()
    body["main_images"] = [{"uri": "tos/never-seen"}]
    body["skus"][0]["inventory"][0]["warehouse_id"] = SECOND + "9"
    assert verdict(body, shop=shop(images=None, warehouses=None)) == []


def test_an_edit_leaves_price_and_stock_of_known_skus_alone_but_not_their_identifiers() -> None:
    live = body_of(good() | {"skus": [good()["skus"][0] | {"id": "1", "identifier_code": {"code": "4006381333931", "type": "EAN"}}]})
    body = good()
    body["skus"] = [body["skus"][0] | {"id": "1", "price": {}, "inventory": []}]
    assert [problem.code for problem in verdict(body, live=live)] == [codes.IDENTIFIER_FIXED]
    assert verdict(body, live=live, live_is_draft=True) == []
    body["skus"][0]["identifier_code"] = {"code": "4006381333931", "type": "EAN"}
    assert verdict(body, live=live) == []


def test_one_sku_needs_no_axis() -> None:
    body = good()
    body["skus"] = [body["skus"][0] | {"sales_attributes": [], "inventory": [{"warehouse_id": WAREHOUSE, "quantity": 99_999}]}]
    assert verdict(body) == []

"""Catalogue, listings, stock and prices of the TikTok Shop client against a scripted server (TTS §5.3, §3.4)."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Mapping
from typing import Any

import pytest

from connector.clients.errors import ApiError, Conflict, NotFound, PageTokenRefused, RateLimited, Rejected, Uncertain, describe
from connector.clients.tiktok import OPERATIONS, explain, explain_all, shelf_price, sign
from connector.clients.tiktok.product_codes import PRODUCT_CODES
from tests.clients.scripted import Reply, ScriptedServer, tts

NO_CIPHER = {"create_brand", "upload_image"}

CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, str, Mapping[str, str], Any]] = [
    ("prerequisites", (), {}, "GET", "/product/202312/prerequisites", {}, None),
    ("categories", (), {"version": "v2", "locale": "en-GB"}, "GET", "/product/202309/categories", {"category_version": "v2", "locale": "en-GB"}, None),
    ("categories", (), {"prohibited": True}, "GET", "/product/202309/categories", {"include_prohibited_categories": "true"}, None),
    (
        "recommend_category",
        ("Stoneware mug",),
        {"image_uris": ["tos/a"], "version": "v2", "origin_platform_product_type": "simple"},
        "POST",
        "/product/202309/categories/recommend",
        {},
        {"product_title": "Stoneware mug", "images": [{"uri": "tos/a"}], "category_version": "v2", "origin_platform_product_type": "simple"},
    ),
    ("category_attributes", ("600",), {"version": "v2"}, "GET", "/product/202309/categories/600/attributes", {"category_version": "v2"}, None),
    ("category_rules", ("600",), {"version": "v1"}, "GET", "/product/202309/categories/600/rules", {"category_version": "v1"}, None),
    (
        "brands",
        (),
        {"category_id": "600", "authorized_only": True, "name": "Ex", "page_token": "a+/="},
        "GET",
        "/product/202309/brands",
        {"page_size": "100", "category_id": "600", "is_authorized": "1", "brand_name": "Ex", "page_token": "a+/="},
        None,
    ),
    ("create_brand", ("Example",), {}, "POST", "/product/202309/brands", {}, {"name": "Example"}),
    ("check_listing", ({"title": "A"},), {}, "POST", "/product/202309/products/listing_check", {}, {"title": "A"}),
    ("create_product", ({"title": "A"},), {"idempotency_key": "k"}, "POST", "/product/202309/products", {}, {"title": "A", "idempotency_key": "k"}),
    ("get_product", ("17",), {"under_review": True}, "GET", "/product/202309/products/17", {"return_under_review_version": "true"}, None),
    ("get_product", ("17",), {"draft": True}, "GET", "/product/202309/products/17", {"return_draft_version": "true"}, None),
    (
        "search_products",
        ({"update_time_le": 5, "status": "ALL"},),
        {"page_size": 50},
        "POST",
        "/product/202502/products/search",
        {"page_size": "50"},
        {"update_time_le": 5, "status": "ALL"},
    ),
    ("edit_product", ("17", {"title": "B"}), {}, "PUT", "/product/202509/products/17", {}, {"title": "B"}),
    ("partial_edit_product", ("17", {"title": "B"}), {}, "POST", "/product/202509/products/17/partial_edit", {}, {"title": "B"}),
    ("activate_products", (["17"],), {}, "POST", "/product/202309/products/activate", {}, {"product_ids": ["17"]}),
    ("deactivate_products", (["17"],), {}, "POST", "/product/202309/products/deactivate", {}, {"product_ids": ["17"]}),
    ("recover_products", (["17"],), {}, "POST", "/product/202309/products/recover", {}, {"product_ids": ["17"]}),
    ("delete_products", (["17"],), {}, "DELETE", "/product/202309/products", {}, {"product_ids": ["17"]}),
    (
        "update_inventory",
        ("17", {"s1": {"w1": 3, "w2": 0}}),
        {},
        "POST",
        "/product/202309/products/17/inventory/update",
        {},
        {"skus": [{"id": "s1", "inventory": [{"warehouse_id": "w1", "quantity": 3}, {"warehouse_id": "w2", "quantity": 0}]}]},
    ),
    ("search_inventory", (), {"sku_ids": ["s1"]}, "POST", "/product/202309/inventory/search", {}, {"sku_ids": ["s1"]}),
    (
        "update_prices",
        ("17", {"s1": {"amount": "9.90", "currency": "GBP"}}),
        {},
        "POST",
        "/product/202309/products/17/prices/update",
        {},
        {"skus": [{"id": "s1", "price": {"amount": "9.90", "currency": "GBP"}}]},
    ),
    (
        "stock_settings",
        ("7", ["s1"]),
        {"auto_restock": False},
        "POST",
        "/product/202608/inventory/operation/settings",
        {},
        {"seller_id": "7", "sku_ids": ["s1"], "stock_operation_setting": {"enable_auto_restock": False}},
    ),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "method", "path", "query", "body"), CALLS)
def test_a_method_sends_what_the_contract_says(
    name: str, args: Any, kwargs: Any, method: str, path: str, query: Mapping[str, str], body: Any, server: ScriptedServer, tiktok: Any
) -> None:
    server.default = tts({"id": "1", "product_id": "17", "leaf_category_id": "600"})
    getattr(tiktok(), name)(*args, **kwargs)
    (request,) = server.received
    assert (request.method, request.path) == (method, path)
    assert query.items() <= request.query.items()
    assert (request.json if request.body else None) == body
    assert ("shop_cipher" in request.query) == (name not in NO_CIPHER), "TTS §1.6"


def test_every_product_operation_of_the_registry_is_covered() -> None:
    of_products = {name for name, operation in OPERATIONS.items() if operation.path.startswith("/product/")}
    assert of_products == {call[0] for call in CALLS} | {"upload_image"}


def test_an_image_goes_out_as_its_own_bytes_unsigned_and_without_cipher(server: ScriptedServer, tiktok: Any) -> None:
    content = bytes(range(256)) * 40
    server.default = tts({"uri": "tos-example/aaaa", "url": "https://p16.example/aaaa.jpg", "width": 600, "height": 600, "use_case": "MAIN_IMAGE"})
    image = tiktok().upload_image(content, file_name="tee red.png", media_type="image/png")
    assert (image.uri, image.width, image.use_case) == ("tos-example/aaaa", 600, "MAIN_IMAGE")
    (request,) = server.received
    assert request.path == "/product/202309/images/upload"
    assert "shop_cipher" not in request.query
    head = f"content-type: {request.headers['Content-Type']}\r\n\r\n".encode()
    parts = {
        part.get_param("name", header="content-disposition"): part
        for part in email.message_from_bytes(head + request.body, policy=email.policy.HTTP).iter_parts()
    }
    assert parts["data"].get_payload(decode=True) == content
    assert (parts["data"].get_filename(), parts["data"].get_content_type()) == ("tee red.png", "image/png")
    assert parts["use_case"].get_payload(decode=True) == b"MAIN_IMAGE"
    assert request.query["sign"] == sign("app-secret-never-shown", request.path, request.query, None, None), "the body takes no part (TTS §2.2)"


def test_an_upload_with_an_expired_token_is_sent_again_whole(server: ScriptedServer, tiktok: Any) -> None:
    server.then(tts(code=105002, message="expired", status=401)).default = tts({"uri": "u"})
    tokens = iter(["old", "new"])
    tiktok(token=lambda: next(tokens), refresh=lambda refused: None).upload_image(b"\x89PNG", file_name="a.png", media_type="image/png")
    first, second = server.received
    assert b"\x89PNG" in first.body
    assert b"\x89PNG" in second.body
    assert second.headers["x-tts-access-token"] == "new"


def test_a_lost_answer_to_a_create_is_uncertain_and_sent_once(server: ScriptedServer, tiktok: Any) -> None:
    server.default = Reply(close=True)
    with pytest.raises(Uncertain):
        tiktok().create_product({"title": "A"}, idempotency_key="k")
    assert len(server.received) == 1


@pytest.mark.parametrize("spelling", ["is_requried", "is_required"])
def test_both_spellings_of_required_are_read(spelling: str, server: ScriptedServer, tiktok: Any) -> None:
    """A132"""
    server.default = tts(
        {"attributes": [{"id": "1", "name": "Material", spelling: True}, {"id": "2", "name": "Season", spelling: False}, {"id": "3", "name": "Pattern"}]}
    )
    assert [row["is_required"] for row in tiktok().category_attributes("600")] == [True, False, False]


@pytest.mark.parametrize(
    ("price", "shown"),
    [
        ({"currency": "GBP", "sale_price": "12.00", "tax_exclusive_price": "10.00"}, "12.00"),
        ({"currency": "GBP", "tax_exclusive_price": "10.00"}, "10.00"),
        ({"currency": "GBP", "sale_price": "", "tax_exclusive_price": "10.00"}, "10.00"),
        ({"currency": "GBP"}, None),
    ],
)
def test_the_shelf_price_is_the_sale_price_else_the_tax_exclusive_price(price: dict[str, str], shown: str | None, server: ScriptedServer, tiktok: Any) -> None:
    """A172"""
    assert shelf_price(price) == shown
    server.default = tts({"id": "17", "skus": [{"id": "s1", "price": price}, {"id": "s2"}], "products": [{"id": "17", "skus": [{"id": "s1", "price": price}]}]})
    client = tiktok()
    assert client.get_product("17")["skus"] == [{"id": "s1", "price": price | {"amount": shown}}, {"id": "s2"}]
    assert client.search_products().items[0]["skus"][0]["price"]["amount"] == shown


def test_warnings_of_create_and_of_the_check_are_kept(server: ScriptedServer, tiktok: Any) -> None:
    skus = [{"id": "s1", "seller_sku": "MUG", "external_sku_id": "2046", "sales_attributes": [{"id": "100", "value_id": "7"}]}]
    server.then(
        tts({"product_id": "17", "skus": skus, "warnings": [{"message": "The brand_id was cleared"}]}),
        tts({"check_result": "FAILED", "fail_reasons": [{"code": 12052051, "message": "Title too long"}], "warnings": {"message": "The brand_id was cleared"}}),
        tts({"check_result": "PASS"}),
    )
    client = tiktok()
    saved = client.create_product({}, idempotency_key="k")
    assert (saved.product_id, saved.warnings) == ("17", ("The brand_id was cleared",))
    assert (saved.skus[0].id, saved.skus[0].seller_sku, saved.skus[0].sales_attributes) == ("s1", "MUG", (("100", "7"),))
    check = client.check_listing({})
    assert (check.passed, check.warnings) == (False, ("The brand_id was cleared",))
    assert [(refusal.code, refusal.message) for refusal in check.refusals] == [(12052051, "Title too long")]
    assert client.check_listing({}).passed


def test_an_edit_that_does_not_repeat_the_product_id_keeps_the_one_it_was_sent_with(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts({})
    assert tiktok().edit_product("17", {}).product_id == "17"


def test_batch_errors_are_told_per_product_and_per_sku_with_their_causes(server: ScriptedServer, tiktok: Any) -> None:
    wrapped = {
        "code": 12052990,
        "message": "check failed",
        "detail": {"sku_id": "s1", "extra_errors": [{"code": 12052097, "message": "warehouse does not exist", "warehouse_id": "w9"}]},
    }
    server.then(
        tts({"errors": [{"code": "12052901", "message": "status", "detail": {"product_id": "18"}}]}),
        tts({"errors": [wrapped]}),
    )
    client = tiktok()
    assert client.activate_products(["17", "18"]).errors["18"].code == "12052901"
    result = client.update_inventory("17", {"s1": {"w9": 1}, "s2": {"w1": 1}})
    assert list(result.errors) == ["s1"]
    (cause,) = explain_all(result.errors["s1"].code, result.errors["s1"].message, result.errors["s1"].extra)
    assert (cause.family, cause.field, cause.message) == ("tts.product.warehouse", "skus.inventory.warehouse_id", "warehouse does not exist")
    assert result.data["errors"][0]["detail"]["extra_errors"][0]["warehouse_id"] == "w9"


def test_no_matching_category_is_an_answer_and_not_an_error(server: ScriptedServer, tiktok: Any) -> None:
    server.then(tts(code=12052912, message="no match"), tts(code=12019064, message="no match"), tts(code=12052910, message="input"))
    client = tiktok()
    assert client.recommend_category("?") is None
    assert client.recommend_category("?") is None
    with pytest.raises(Rejected):
        client.recommend_category("?")


def test_prerequisites_name_what_the_shop_lacks(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts(
        {"check_results": [{"check_item": "BANk_ACCOUNT", "is_failed": True, "fail_reasons": ["No account"]}, {"check_item": "SHOP_TAX", "is_failed": False}]}
    )
    assert [(p.check_item, p.is_failed, p.fail_reasons) for p in tiktok().prerequisites()] == [
        ("BANk_ACCOUNT", True, ("No account",)),
        ("SHOP_TAX", False, ()),
    ]


@pytest.mark.parametrize(
    ("facts", "usable"),
    [
        ({"authorized_status": "AUTHORIZED", "brand_status": "AVAILABLE"}, True),
        ({"authorized_status": "AUTHORIZED", "brand_status": "UNAVAILABLE"}, False),
        ({"authorized_status": "AUTHORIZED"}, True),
        ({"authorized_status": "UNAUTHORIEZD", "is_t1_brand": False}, True),
        ({"authorized_status": "UNAUTHORIEZD", "is_t1_brand": True}, False),
    ],
)
def test_a_brand_is_usable_as_the_contract_says(facts: dict[str, Any], usable: bool, server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts({"brands": [{"id": "1", "name": "Example", **facts}]})
    assert [brand["is_usable"] for brand in tiktok().iter_brands(category_id="600")] == [usable]


def test_pages_are_read_to_the_end_with_the_same_filters(server: ScriptedServer, tiktok: Any) -> None:
    server.then(tts({"products": [{"id": "1"}], "next_page_token": "b+/="}), tts({"next_page_token": "c"}), tts({"products": [{"id": "2"}]}))
    assert [product["id"] for product in tiktok().iter_products({"status": "ACTIVATE"})] == ["1", "2"]
    assert [request.query.get("page_token") for request in server.received] == [None, "b+/=", "c"]
    assert all(request.json == {"status": "ACTIVATE"} for request in server.received)


def test_a_refused_page_token_of_a_product_search_is_named(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts(code=36009004, message="page_token is invalid", status=400)
    with pytest.raises(PageTokenRefused):
        tiktok().search_products(page_token="old")


def test_seller_skus_are_asked_for_ten_at_a_time_and_inventory_a_hundred(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts({"products": [], "inventory": []})
    client = tiktok()
    assert list(client.products_by_seller_sku(f"SKU-{n}" for n in range(23))) == []
    assert [len(request.json["seller_skus"]) for request in server.received] == [10, 10, 3]
    server.received.clear()
    assert list(client.iter_inventory(str(n) for n in range(230))) == []
    assert [len(request.json["product_ids"]) for request in server.received] == [100, 100, 30]


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("activate_products", (["1"] * 21,), {}),
        ("search_products", ({"seller_skus": ["1"] * 11},), {}),
        ("search_inventory", (), {"product_ids": ["1"] * 101}),
        ("search_inventory", (), {"sku_ids": ["1"] * 601}),
        ("search_inventory", (), {"sku_ids": ["1"], "product_ids": ["1"]}),
        ("stock_settings", ("7", ["1"] * 501), {"auto_restock": True}),
        ("get_product", ("1",), {"under_review": True, "draft": True}),
    ],
)
def test_what_the_contract_forbids_is_refused_before_sending(name: str, args: Any, kwargs: Any, server: ScriptedServer, tiktok: Any) -> None:
    with pytest.raises(ValueError):
        getattr(tiktok(), name)(*args, **kwargs)
    assert server.received == []


def test_an_older_version_of_the_search_and_the_edit_is_used_when_the_new_one_is_gone(server: ScriptedServer, tiktok: Any) -> None:
    server.then(tts(code=36009009, message="no", status=404), tts({}), tts(code=36009014, message="no", status=400), tts({}))
    client = tiktok()
    client.search_products()
    client.edit_product("17", {})
    assert [request.path.split("/")[2] for request in server.received] == ["202502", "202312", "202509", "202309"]


KINDS: dict[int, type[ApiError]] = {
    12052038: Conflict,
    12019045: Conflict,
    12052032: NotFound,
    12019150: NotFound,
    12052260: NotFound,
    12052048: NotFound,
    12052109: RateLimited,
}


@pytest.mark.parametrize("code", sorted(PRODUCT_CODES))
def test_every_product_code_is_told_with_field_and_remedy(code: int, server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts(code=code, message="TikTok's own words")
    with pytest.raises(ApiError) as caught:
        tiktok().create_product({}, idempotency_key="k")
    error, known = caught.value, PRODUCT_CODES[code]
    assert type(error) is KINDS.get(code, Rejected)
    assert (error.code, error.remote_code, error.remote_message) == (known.ours, str(code), "TikTok's own words")
    problem = explain(code, "TikTok's own words")
    assert (problem.message, problem.field) == ("TikTok's own words", known.field)
    assert describe(error).title
    assert describe(error).advice.endswith(".")
    assert "!" not in known.title + known.remedy


def test_the_table_holds_every_code_of_the_contract() -> None:
    """TTS §3.4, product table, as printed; spans are written with a dash there."""
    printed = """12052023, 12052024, 12052025 12019064, 12052912 12052217, 12052230 12052220–12052227 12052026, 12052201, 12052208 12052028 12052301–12052306
        12019116, 12038002, 12038004, 12038005, 12038014, 12038015 12052051 12052931–12052935 12052013, 12052340–12052352 12052345 12052348
        12052104, 12052182, 12052183 12052105 12052520–12052529 12052050, 12052902 12052054, 12019059 12052591–12052600 12052673
        12052116, 12052181, 12019011, 12019012, 12052915, 12052916, 12019061 12052036, 12052037, 12052055
        12052094, 12052097, 12019022, 12019024, 12019027, 12019028 12052535 12052570, 12052571, 12052550, 12052560 12052038, 12019045 12052369, 12052996
        12052032, 12019150, 12052260 12052048 12052901, 12019113 12052093, 12052109 12052180 12019087, 12019120 12052419, 12052700 12052910 12052990"""
    expected = {int(code) for code in re.findall(r"\d{8}", printed)}
    for first, last in re.findall(r"(\d{8})–(\d{8})", printed):
        expected |= set(range(int(first), int(last) + 1))
    assert set(PRODUCT_CODES) == expected


def test_a_code_nobody_told_us_is_shown_as_it_came() -> None:
    assert explain("12059999", "Something new").message == "Something new"
    assert explain("E_NEW", "Something new").family == "tts.rejected"

"""Shipping in the three markets, its refusals, packages, documents and tracking (TTS §5.5)."""

from __future__ import annotations

from typing import Any

import pytest

from .seller import Seller

HOUR = 3600


def mark(seller: Seller, order_id: str, lines: list[str] | None = None, *, shop: str = "GB", version: str = "202309", **more: Any) -> dict[str, Any]:
    tracking = more.pop("tracking", f"T-{order_id[-6:]}")
    info = {"tracking_number": tracking, "shipping_provider_id": more.pop("provider", None) or seller.provider(shop)}
    if version == "202610":
        body = {"order_line_list": [{"order_line_id": each} for each in lines or []], "shipping_info_list": [info]}
    else:
        body = {**({"order_line_item_ids": lines} if lines else {}), **info}
    return seller.call("POST", f"/fulfillment/{version}/orders/{order_id}/packages", shop, body, **more).json()


def lines_of(seller: Seller, order_id: str, shop: str = "GB") -> list[str]:
    return [line["id"] for line in seller.order(order_id, shop)["line_items"]]


@pytest.mark.parametrize("version", ["202309", "202610"])
@pytest.mark.parametrize("shop", ["GB", "US"])
def test_marking_the_lines_as_shipped_makes_a_package_and_awaits_collection(seller: Seller, shop: str, version: str) -> None:
    order_id = seller.place(shop, [("MUG-01", 2)])
    lines = lines_of(seller, order_id, shop)
    answer = mark(seller, order_id, lines, shop=shop, version=version)
    assert answer["code"] == 0
    assert answer["data"]["order_line_item_ids"] == lines
    order = seller.order(order_id, shop)
    assert order["status"] == "AWAITING_COLLECTION"
    assert order["packages"] == [{"id": answer["data"]["package_id"]}]
    assert {line["tracking_number"] for line in order["line_items"]} == {f"T-{order_id[-6:]}"}


def test_part_of_the_lines_is_a_partial_shipment_and_the_rest_a_second_package(seller: Seller) -> None:
    order_id = seller.place(lines=[("MUG-01", 3)])
    lines = lines_of(seller, order_id)
    first = mark(seller, order_id, lines[:1], tracking="FIRST-1")["data"]["package_id"]
    order = seller.order(order_id)
    assert order["status"] == "PARTIALLY_SHIPPING"
    assert [line["display_status"] for line in order["line_items"]] == ["AWAITING_COLLECTION", "AWAITING_SHIPMENT", "AWAITING_SHIPMENT"]
    assert mark(seller, order_id, lines[:1], tracking="FIRST-1")["code"] == 21011006
    assert mark(seller, order_id, None)["code"] == 21011048
    second = mark(seller, order_id, lines[1:], tracking="SECOND-2")["data"]["package_id"]
    order = seller.order(order_id)
    assert order["status"] == "AWAITING_COLLECTION"
    assert [each["id"] for each in order["packages"]] == [first, second]
    truth = seller.control("GET", f"orders/{order_id}")["summary"]
    assert [each["tracking_number"] for each in truth["packages"]] == ["FIRST-1", "SECOND-2"]


def test_an_order_on_hold_cannot_be_shipped(seller: Seller) -> None:
    assert mark(seller, seller.place(release=False))["code"] == 21011044


def test_a_second_shipment_of_the_same_order_is_21011006(seller: Seller) -> None:
    order_id = seller.place()
    assert mark(seller, order_id)["code"] == 0
    assert mark(seller, order_id)["code"] == 21011006


def test_orders_of_nobody_and_of_another_shop_are_21008111(seller: Seller) -> None:
    foreign = seller.place("US")
    assert mark(seller, foreign)["code"] == 21008111
    assert mark(seller, "576469999999999999")["code"] == 21008111


def test_unpaid_cancelled_and_platform_fulfilled_orders_cannot_be_shipped(seller: Seller) -> None:
    assert mark(seller, seller.place(pay=False))["code"] == 21011029
    cancelled = seller.place(release=False)
    seller.control("POST", f"orders/{cancelled}/cancel")
    assert mark(seller, cancelled)["code"] == 21011029
    assert mark(seller, seller.place(fulfillment_type="FULFILLMENT_BY_TIKTOK"))["code"] == 21011029
    assert mark(seller, seller.place(shipping_type="TIKTOK"))["code"] == 21001001


@pytest.mark.parametrize("tracking", ["abc", "x" * 51, "with space", "ümlaut-1"])
def test_a_malformed_tracking_number_is_refused(seller: Seller, tracking: str) -> None:
    assert mark(seller, seller.place(), tracking=tracking)["code"] == 21001001


def test_an_unknown_carrier_a_foreign_line_and_missing_fields_are_refused(seller: Seller) -> None:
    order_id, other = seller.place(), seller.place()
    assert mark(seller, order_id, provider="1")["code"] == 21001001
    assert mark(seller, order_id, lines_of(seller, other))["code"] == 21001001
    path = f"/fulfillment/202309/orders/{order_id}/packages"
    assert seller.code("POST", path, body={"shipping_provider_id": seller.provider()}) == 36009004
    assert seller.code("POST", path, body={"tracking_number": "ABCD-1"}) == 36009004
    assert seller.order(order_id)["status"] == "AWAITING_SHIPMENT"


def test_a_number_of_another_carrier_is_a_warning_and_a_number_on_twenty_orders_is_full(seller: Seller) -> None:
    answer = mark(seller, seller.place(), tracking="1Z999AA10123456784")
    assert answer["code"] == 0
    assert "UPS" in answer["data"]["warning"]["message"]
    provider = seller.provider()
    codes = [mark(seller, seller.place(), tracking="SHARED-1", provider=provider)["code"] for _ in range(21)]
    assert codes == [0] * 20 + [21001001]


def test_singapore_ships_the_package_that_exists_and_not_by_marking(seller: Seller) -> None:
    order_id = seller.place("SG", [("MUG-01", 2)])
    assert mark(seller, order_id, shop="SG")["code"] == 21001001
    package = seller.order(order_id, "SG")["line_items"][0]["package_id"]
    path = f"/fulfillment/202309/packages/{package}/ship"
    assert seller.code("POST", path, "SG", {"handover_method": "DROP_OFF"}) == 36009004
    own = {"self_shipment": {"tracking_number": "NV-12345", "shipping_provider_id": seller.provider("SG")}}
    assert seller.data("POST", path, "SG", own) == {}
    order = seller.order(order_id, "SG")
    assert (order["status"], order["tracking_number"]) == ("AWAITING_COLLECTION", "NV-12345")
    assert seller.code("POST", path, "SG", own) == 21011006
    assert seller.code("POST", "/fulfillment/202309/packages/1153999999999999999/ship", "SG", own) == 21011001


def test_a_batch_ships_what_can_be_shipped_and_names_the_rest(seller: Seller) -> None:
    packages = [seller.order(seller.place("SG"), "SG")["line_items"][0]["package_id"] for _ in range(2)]
    own = {"tracking_number": "NV-77777", "shipping_provider_id": seller.provider("SG")}
    entries = [{"id": each, "self_shipment": own} for each in (packages[0], "1153999999999999999", packages[1])]
    data = seller.data("POST", "/fulfillment/202309/packages/ship", "SG", {"packages": entries})
    assert [(each["code"], each["detail"]) for each in data["errors"]] == [(21011001, {"package_id": "1153999999999999999"})]
    shipped = seller.data("POST", "/fulfillment/202309/packages/search", "SG", {"package_status": "PROCESSING"}, page_size=10)["packages"]
    assert {each["id"] for each in shipped} == set(packages)
    again = seller.data("POST", "/fulfillment/202309/packages/ship", "SG", {"packages": entries[:1]})
    assert again["errors"][0]["code"] == 21011006


def test_the_tracking_can_be_changed_for_72_hours(seller: Seller) -> None:
    order_id = seller.place()
    package = mark(seller, order_id, tracking="WRONG-1")["data"]["package_id"]
    provider = seller.provider(index=1)
    right = {"tracking_number": "RIGHT-2", "shipping_provider_id": provider}
    assert seller.data("POST", f"/fulfillment/202309/orders/{order_id}/shipping_info/update", body=right) == {}
    order = seller.order(order_id)
    assert (order["tracking_number"], order["line_items"][0]["shipping_provider_id"]) == ("RIGHT-2", provider)
    third = {"tracking_number": "THIRD-3", "shipping_provider_id": provider}
    assert seller.data("POST", f"/fulfillment/202309/packages/{package}/shipping_info/update", body=third) == {}
    newest = {"shipping_info_list": [{"tracking_number": "FOURTH-4", "shipping_provider_id": provider}]}
    path = f"/fulfillment/202610/packages/{package}/shipping_info/update"
    assert seller.data("POST", path, body=newest) == {}
    assert seller.data("GET", f"/fulfillment/202309/packages/{package}")["tracking_number"] == "FOURTH-4"
    seller.control("POST", "settings", {"carrier_moves": False})
    seller.control("POST", "clock", {"advance_seconds": 73 * HOUR})
    assert seller.code("POST", path, body=newest, timestamp=seller.now()) == 21011029


def test_tracking_of_an_unshipped_or_split_order_is_not_updated_by_order(seller: Seller) -> None:
    order_id = seller.place(lines=[("MUG-01", 2)])
    body = {"tracking_number": "NEW-1", "shipping_provider_id": seller.provider()}
    path = f"/fulfillment/202309/orders/{order_id}/shipping_info/update"
    assert seller.code("POST", path, body=body) == 21011029
    for line in lines_of(seller, order_id):
        mark(seller, order_id, [line])
    assert seller.code("POST", path, body=body) == 21001001


def test_platform_shipping_buys_a_label_and_gives_a_real_pdf_with_an_expiring_link(seller: Seller) -> None:
    order_id = seller.place("US", [("MUG-01", 2)], shipping_type="TIKTOK")
    size = {"dimension": {"length": "10", "width": "10", "height": "10", "unit": "CM"}, "weight": {"value": "500", "unit": "GRAM"}}
    offers = seller.data("POST", f"/fulfillment/202309/orders/{order_id}/shipping_services/query", "US", size)["shipping_services"]
    assert [each["is_default"] for each in offers].count(True) == 1
    body = {"ship_type": "1", "order_id": order_id, "shipping_service_id": offers[1]["id"], **size}
    bought = seller.data("POST", "/fulfillment/202512/packages", "US", body)
    assert bought["shipping_service_info"]["id"] == offers[1]["id"]
    assert seller.order(order_id, "US")["status"] == "AWAITING_COLLECTION"
    documents = f"/fulfillment/202309/packages/{bought['package_id']}/shipping_documents"
    link = seller.data("GET", documents, "US", document_type="SHIPPING_LABEL")
    answer = seller.http.get(link["doc_url"], timeout=10)
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-1.4")
    assert answer.content.rstrip().endswith(b"%%EOF")
    assert link["tracking_number"].encode() in answer.content
    picture = seller.data("GET", documents, "US", document_type="SHIPPING_LABEL_PICTURE")["doc_url"]
    assert seller.http.get(picture, timeout=10).content.startswith(b"\x89PNG")
    assert seller.http.get(link["doc_url"].replace("seal=", "seal=0"), timeout=10).status_code == 403
    seller.control("POST", "clock", {"advance_seconds": 25 * HOUR})
    assert seller.http.get(link["doc_url"], timeout=10).status_code == 403


def test_part_of_a_platform_order_can_be_labelled_and_the_old_version_works(seller: Seller) -> None:
    order_id = seller.place("GB", [("MUG-01", 3)], shipping_type="TIKTOK")
    lines = lines_of(seller, order_id)
    part = {"ship_type": "2", "order_id": order_id, "order_line_item": [{"order_line_id": lines[0]}]}
    seller.data("POST", "/fulfillment/202512/packages", body=part)
    assert seller.order(order_id)["status"] == "PARTIALLY_SHIPPING"
    seller.data("POST", "/fulfillment/202309/packages", body={"order_id": order_id, "order_line_item_ids": lines[1:]})
    assert seller.order(order_id)["status"] == "AWAITING_COLLECTION"
    assert seller.code("POST", "/fulfillment/202512/packages", body={"ship_type": "1", "order_id": order_id}) == 21011006


def test_seller_shipped_orders_have_no_service_and_no_document(seller: Seller) -> None:
    order_id = seller.place()
    assert seller.code("POST", f"/fulfillment/202309/orders/{order_id}/shipping_services/query", body={}) == 21011037
    package = mark(seller, order_id)["data"]["package_id"]
    path = f"/fulfillment/202309/packages/{package}/shipping_documents"
    assert seller.code("GET", path, document_type="SHIPPING_LABEL") == 21001001
    assert seller.code("GET", path) == 36009004
    assert seller.code("GET", "/fulfillment/202309/packages/1153999999999999999/shipping_documents", document_type="PACKING_SLIP") == 21011001


def test_packages_are_searched_in_pages_and_shown_in_detail(seller: Seller) -> None:
    seller.control("POST", "seed", {"orders": 60, "shops": ["GB"], "status": "AWAITING_COLLECTION"})
    found, token = [], None
    while token != "":
        data = seller.data("POST", "/fulfillment/202309/packages/search", body={}, page_size=25, page_token=token)
        found += [each["id"] for each in data["packages"]]
        token = data["next_page_token"]
    assert len(found) == len(set(found)) == data["total_count"] == 60
    assert not any(key.startswith("_") for each in data["packages"] for key in each)
    detail = seller.data("GET", f"/fulfillment/202309/packages/{found[0]}")
    assert (detail["package_id"], detail["package_status"]) == (found[0], "PROCESSING")
    assert detail["sender_address"]["distict"]
    assert seller.code("POST", "/fulfillment/202309/packages/search", body={}, page_size=51) == 36009004


def test_tracking_follows_the_carrier_in_both_versions(seller: Seller) -> None:
    order_id = seller.place()
    mark(seller, order_id, tracking="FOLLOW-1")
    seller.control("POST", f"orders/{order_id}/collect")
    seller.control("POST", f"orders/{order_id}/deliver")
    old = seller.data("GET", f"/fulfillment/202309/orders/{order_id}/tracking")["tracking"]
    assert [each["description"] for each in old] == ["Delivered", "Parcel collected", "Shipment arranged"]
    new = seller.data("GET", f"/logistics/202604/orders/{order_id}/tracking")
    assert new["logistics_details"][0]["newest_tracking_no"] == "FOLLOW-1"
    assert new["logistics_details"][0]["track_list"][0]["update_time_millis"] == old[0]["update_time_millis"]


def test_split_attributes_know_units_and_whole_skus(seller: Seller) -> None:
    two_units, single = seller.place(lines=[("MUG-01", 2)]), seller.place()
    data = seller.data("GET", "/fulfillment/202309/orders/split_attributes", order_ids=f"{two_units},{single}")["split_attributes"]
    assert [each["can_split"] for each in data] == [True, False]
    assert data[1]["reason"]
    sku_only = seller.place("SG", [("MUG-01", 2)])
    data = seller.data("GET", "/fulfillment/202309/orders/split_attributes", "SG", order_ids=sku_only)["split_attributes"]
    assert data[0]["can_split"] is False


def test_handover_slots_keep_the_misspelt_field(seller: Seller) -> None:
    package = seller.order(seller.place("SG"), "SG")["line_items"][0]["package_id"]
    slots = seller.data("GET", f"/fulfillment/202309/packages/{package}/handover_time_slots", "SG")
    assert "avaliable" in slots["pickup_slots"][0]


def test_a_signed_post_without_a_body_is_answered_and_does_not_stumble(seller: Seller) -> None:
    order_id = seller.place()
    assert seller.code("POST", f"/fulfillment/202309/orders/{order_id}/packages") == 36009004

"""Cancelling from both sides (TTS §5.6, §6.2)."""

from __future__ import annotations

from typing import Any

import pytest

from .seller import Seller

CANCEL = "/return_refund/202602/cancellations"
HOUR = 3600


def reasons(seller: Seller, order_id: str, shop: str = "GB", version: str = "202602", **query: Any) -> list[str]:
    path = f"/return_refund/{version}/orders/{order_id}/aftersale_eligibility"
    first = seller.data("GET", path, shop, request_types="CANCEL", **query)["sku_eligibility"][0]["line_item_eligibility"][0]
    return first["available_reason_names"] if first["eligible"] else []


def cancel(seller: Seller, order_id: str, reason: str, shop: str = "GB", **more: Any) -> dict[str, Any]:
    return seller.call("POST", CANCEL, shop, {"order_id": order_id, "cancel_reason": reason, **more}).json()


def found(seller: Seller, body: dict[str, Any], shop: str = "GB", **query: Any) -> list[dict[str, Any]]:
    return seller.data("POST", f"{CANCEL}/search", shop, body, page_size=50, **query)["cancellations"]


def requested(seller: Seller, shop: str = "GB", **more: Any) -> tuple[str, str]:
    """An order with an open request of its buyer: order id and cancel id."""
    order_id = seller.place(shop, **more)
    seller.control("POST", f"orders/{order_id}/cancel")
    return order_id, found(seller, {"order_ids": [order_id]}, shop)[0]["cancel_id"]


def test_eligibility_names_the_reasons_of_market_and_status(seller: Seller) -> None:
    gb, us, sg = (seller.place(shop) for shop in ("GB", "US", "SG"))
    british, asian = reasons(seller, gb), reasons(seller, sg, "SG")
    assert british and all(name.endswith("_uk") for name in british)
    assert "seller_cancel_reason_out_of_stock" in reasons(seller, us, "US")
    assert asian and "seller_cancel_paid_reason_buyer_requested_cancellation" not in asian
    unpaid = reasons(seller, seller.place("US", pay=False), "US")
    assert unpaid and all("unpaid" in name for name in unpaid)
    assert "buyer_cancel_late_shipment" in reasons(seller, us, "US", initiate_aftersale_user="BUYER")


def test_the_versions_of_eligibility_differ_as_documented(seller: Seller) -> None:
    order_id = seller.place(lines=[("MUG-01", 2)])
    path = "/return_refund/{}/orders/" + order_id + "/aftersale_eligibility"
    old = seller.data("GET", path.format("202309"))["sku_eligibility"][0]["line_item_eligibility"]
    assert {each["request_type"] for each in old} == {"CANCEL", "REFUND", "RETURN_AND_REFUND"}
    assert len(old[0]["order_line_items_ids"]) == 2
    assert "available_reason_names" not in old[0]
    assert old[1]["ineligible_code"] == 25001001
    assert reasons(seller, order_id, version="202512")
    assert seller.code("GET", path.format("202602"), request_types="NONSENSE") == 36009004


@pytest.mark.parametrize("version", ["202602", "202309"])
def test_the_seller_cancels_a_whole_order_with_an_offered_reason(seller: Seller, version: str) -> None:
    order_id = seller.place(lines=[("MUG-01", 2)])
    reason = reasons(seller, order_id)[0]
    answer = seller.data("POST", f"/return_refund/{version}/cancellations", body={"order_id": order_id, "cancel_reason": reason})
    assert answer["cancel_status"] == "CANCELLATION_REQUEST_SUCCESS"
    order = seller.order(order_id)
    assert (order["status"], order["cancellation_initiator"], order["cancel_reason"]) == ("CANCELLED", "SELLER", reason)
    assert {line["cancel_user"] for line in order["line_items"]} == {"SELLER"}
    entry = found(seller, {"cancel_ids": [answer["cancel_id"]]})[0]
    assert (entry["cancel_type"], entry["role"]) == ("CANCEL", "SELLER")
    assert entry["refund_amount"]["refund_total"] == order["payment"]["total_amount"]
    assert len(entry["cancel_line_items"]) == 2
    assert not any(key.startswith("_") for key in entry)
    seller.control("POST", "clock", {"advance_seconds": 2 * HOUR})
    later = found(seller, {"cancel_ids": [answer["cancel_id"]]}, timestamp=seller.now())[0]
    assert later["cancel_status"] == "CANCELLATION_REQUEST_COMPLETE"


def test_a_reason_of_another_market_or_status_is_25001021(seller: Seller) -> None:
    order_id = seller.place()
    assert cancel(seller, order_id, "seller_cancel_reason_out_of_stock")["code"] == 25001021
    assert cancel(seller, order_id, "seller_cancel_unpaid_reason_out_of_stock_uk")["code"] == 25001021
    assert seller.order(order_id)["status"] == "AWAITING_SHIPMENT"


def test_after_shipping_the_seller_cannot_cancel_in_the_uk_but_in_the_us(seller: Seller) -> None:
    for shop, code in (("GB", 25001001), ("US", 0)):
        order_id = seller.place(shop)
        reason = reasons(seller, order_id, shop)[0]
        body = {"tracking_number": "SHIPPED-1", "shipping_provider_id": seller.provider(shop)}
        seller.data("POST", f"/fulfillment/202309/orders/{order_id}/packages", shop, body)
        assert cancel(seller, order_id, reason, shop)["code"] == code


def test_lines_can_be_cancelled_in_the_uk_and_only_whole_orders_in_singapore(seller: Seller) -> None:
    order_id = seller.place(lines=[("MUG-01", 2), ("CAP-01", 1)])
    order = seller.order(order_id)
    mug = next(line for line in order["line_items"] if line["seller_sku"] == "MUG-01")
    reason = reasons(seller, order_id)[0]
    assert cancel(seller, order_id, reason, skus=[{"sku_id": mug["sku_id"], "quantity": 1}])["code"] == 0
    order = seller.order(order_id)
    assert order["status"] == "AWAITING_SHIPMENT"
    assert [line["display_status"] for line in order["line_items"]].count("CANCELLED") == 1
    rest = [line["id"] for line in order["line_items"] if line["display_status"] != "CANCELLED"]
    assert cancel(seller, order_id, reason, order_line_list=[{"order_line_item_id": rest[0]}])["code"] == 0
    assert cancel(seller, order_id, reason, order_line_item_ids=[rest[0]])["code"] == 25001001
    assert cancel(seller, order_id, reason, order_line_item_ids=[rest[1]])["code"] == 0
    assert seller.order(order_id)["status"] == "CANCELLED"
    whole = seller.place("SG", [("MUG-01", 2)])
    one = seller.order(whole, "SG")["line_items"][0]["id"]
    assert cancel(seller, whole, reasons(seller, whole, "SG")[0], "SG", order_line_item_ids=[one])["code"] == 25001001


def test_the_buyer_cancels_freely_inside_the_hold(seller: Seller) -> None:
    order_id = seller.place(release=False)
    seller.control("POST", f"orders/{order_id}/cancel")
    order = seller.order(order_id)
    assert (order["status"], order["cancellation_initiator"]) == ("CANCELLED", "BUYER")
    assert "recipient_address" not in order
    entry = found(seller, {"order_ids": [order_id]})[0]
    assert (entry["cancel_type"], entry["cancel_status"]) == ("BUYER_CANCEL", "CANCELLATION_REQUEST_SUCCESS")
    assert "seller_next_action_response" not in entry


def test_after_the_hold_the_buyer_asks_and_the_seller_approves_once(seller: Seller) -> None:
    order_id, cancel_id = requested(seller)
    order = seller.order(order_id)
    assert (order["status"], order["is_buyer_request_cancel"]) == ("AWAITING_SHIPMENT", True)
    open_ones = seller.data("POST", "/order/202309/orders/search", body={"is_buyer_request_cancel": True}, page_size=10)["orders"]
    assert [each["id"] for each in open_ones] == [order_id]
    entry = found(seller, {"cancel_status": ["CANCELLATION_REQUEST_PENDING"]})[0]
    action = entry["seller_next_action_response"][0]
    assert action["action"] == "SELLER_RESPOND_CANCEL"
    assert abs(action["deadline"] - seller.now() - 48 * HOUR) < 10
    path = f"/return_refund/202309/cancellations/{cancel_id}/approve"
    assert seller.data("POST", path, idempotency_key="key-1") == {}
    assert seller.data("POST", path, idempotency_key="key-1") == {}
    assert seller.code("POST", path, idempotency_key="key-2") == 25001001
    order = seller.order(order_id)
    assert (order["status"], order["cancellation_initiator"]) == ("CANCELLED", "BUYER")


def test_the_seller_rejects_with_a_reason_from_the_list_only(seller: Seller) -> None:
    order_id, cancel_id = requested(seller)
    offered = [each["name"] for each in seller.data("GET", "/return_refund/202309/reject_reasons", return_or_cancel_id=cancel_id)["reasons"]]
    decisions = seller.data("GET", "/return_refund/202601/decision_eligibility", return_or_cancel_id=cancel_id)["decisions"]
    by_name = {each["decision"]: each for each in decisions}
    assert by_name["APPROVE_REQUEST_CANCEL"]["eligible"]
    assert [each["name"] for each in by_name["REJECT_REQUEST_CANCEL"]["available_reject_reasons"]] == offered
    path = f"/return_refund/202309/cancellations/{cancel_id}/reject"
    assert seller.code("POST", path, body={}) == 36009004
    assert seller.code("POST", path, body={"reject_reason": "because"}) == 25001021
    assert seller.data("POST", path, body={"reject_reason": offered[0]}) == {}
    order = seller.order(order_id)
    assert (order["status"], order["is_buyer_request_cancel"]) == ("AWAITING_SHIPMENT", False)
    assert found(seller, {"cancel_ids": [cancel_id]})[0]["cancel_status"] == "CANCELLATION_REQUEST_CANCEL"
    after = seller.data("GET", "/return_refund/202601/decision_eligibility", return_or_cancel_id=cancel_id)["decisions"]
    assert not any(each["eligible"] for each in after)


def test_a_request_nobody_answers_is_granted_at_its_deadline(seller: Seller) -> None:
    order_id, cancel_id = requested(seller, "US")
    deadline = found(seller, {"cancel_ids": [cancel_id]}, "US")[0]["seller_next_action_response"][0]["deadline"]
    seller.control("POST", "clock", {"advance_seconds": 24 * HOUR + 60})
    order = seller.data("GET", "/order/202507/orders", "US", ids=order_id, timestamp=seller.now())["orders"][0]
    assert (order["status"], order["cancel_time"]) == ("CANCELLED", deadline)


def test_shipping_with_an_open_request_rejects_it_in_the_us_and_is_21011007_in_the_uk(seller: Seller) -> None:
    for shop, code in (("US", 0), ("GB", 21011007)):
        order_id, cancel_id = requested(seller, shop)
        body = {"tracking_number": "RACE-1", "shipping_provider_id": seller.provider(shop)}
        assert seller.code("POST", f"/fulfillment/202309/orders/{order_id}/packages", shop, body) == code
        status = found(seller, {"cancel_ids": [cancel_id]}, shop)[0]["cancel_status"]
        assert status == ("CANCELLATION_REQUEST_CANCEL" if code == 0 else "CANCELLATION_REQUEST_PENDING")


def test_the_buyer_can_take_the_request_back_and_the_other_spelling_can_be_switched_on(seller: Seller) -> None:
    seller.control("POST", "settings", {"cancelled_spelling": "CANCELLATION_REQUEST_CANCELLED"})
    order_id, cancel_id = requested(seller)
    seller.control("POST", f"orders/{order_id}/withdraw")
    assert seller.order(order_id)["is_buyer_request_cancel"] is False
    assert found(seller, {"cancel_ids": [cancel_id]})[0]["cancel_status"] == "CANCELLATION_REQUEST_CANCELLED"


def test_a_line_that_the_seller_cancels_ends_the_buyers_request(seller: Seller) -> None:
    order_id = seller.place(lines=[("MUG-01", 2)])
    seller.control("POST", f"orders/{order_id}/cancel", {"by": "BUYER"})
    line = seller.order(order_id)["line_items"][0]["id"]
    seller.control("POST", f"orders/{order_id}/cancel", {"by": "SELLER", "line_ids": [line]})
    order = seller.order(order_id)
    assert (order["status"], order["is_buyer_request_cancel"]) == ("AWAITING_SHIPMENT", False)
    assert sorted(one["cancel_status"] for one in found(seller, {"order_ids": [order_id]})) == ["CANCELLATION_REQUEST_CANCEL", "CANCELLATION_REQUEST_SUCCESS"]


def test_tiktok_cancels_for_fraud_and_after_shipping(seller: Seller) -> None:
    fraud = seller.place()
    seller.control("POST", f"orders/{fraud}/cancel", {"by": "OPERATOR"})
    order = seller.order(fraud)
    assert (order["status"], order["line_items"][0]["cancel_user"]) == ("CANCELLED", "OPERATOR")
    lost = seller.place()
    body = {"tracking_number": "LOST-1", "shipping_provider_id": seller.provider()}
    seller.data("POST", f"/fulfillment/202309/orders/{lost}/packages", body=body)
    seller.control("POST", f"orders/{lost}/collect")
    seller.control("POST", f"orders/{lost}/cancel", {"by": "SYSTEM", "reason": "package_lost"})
    order = seller.order(lost)
    assert (order["status"], order["cancel_reason"], order["tracking_number"]) == ("CANCELLED", "package_lost", "LOST-1")
    assert found(seller, {"order_ids": [lost]})[0]["should_replenish_stock"] is False


def test_cancellations_are_searched_in_pages_of_ten_from_the_oldest(seller: Seller) -> None:
    seller.control("POST", "seed", {"orders": 25, "shops": ["GB"], "status": "CANCELLED"})
    first = seller.data("POST", f"{CANCEL}/search", body={})
    assert len(first["cancellations"]) == 10
    times = [each["create_time"] for each in first["cancellations"]]
    assert times == sorted(times)
    assert first["total_count"] == 25
    assert seller.code("POST", f"{CANCEL}/search", body={}, page_size=51) == 36009004


def test_a_search_for_returns_without_any_leaves_the_list_out(seller: Seller) -> None:
    data = seller.data("POST", "/return_refund/202602/returns/search", body={}, page_size="20")
    assert data == {"total_count": 0, "next_page_token": ""}
    assert seller.code("POST", "/return_refund/202602/returns/search", body={}, page_size="5") == 36009004

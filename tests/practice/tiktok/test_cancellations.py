"""What the first tests of cancelling leave open: filters, comments with pictures, deadlines as settings, fraud and no shipment by the clock, and
what a cancellation does after shipping (TTS §5.6.2-§5.6.4, §6.2)."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from .aftersale_shop import DAY, HOUR, ROOT, Desk
from .seller import Seller


@pytest.fixture
def desk(seller: Seller) -> Desk:
    return Desk(seller)


def requested(desk: Desk, lines: list[tuple[str, int]] | None = None, **wish: Any) -> tuple[str, str]:
    order_id = desk.seller.place(desk.shop, lines)
    summary = desk.seller.control("POST", f"orders/{order_id}/cancel", wish)
    return order_id, summary["cancellations"][-1]["cancel_id"]


def found(desk: Desk, body: dict[str, Any] | None = None, **query: Any) -> list[dict[str, Any]]:
    return desk.data("POST", f"{ROOT}/202602/cancellations/search", body or {}, **{"page_size": 50, **query})["cancellations"]


def test_search_takes_every_filter_and_pages(desk: Desk) -> None:
    asked = [requested(desk) for _ in range(3)]
    own = desk.seller.place("GB")
    desk.seller.control("POST", f"orders/{own}/cancel", {"by": "SELLER"})
    ids = [cancel_id for _, cancel_id in asked]
    assert [each["cancel_id"] for each in found(desk, {"cancel_types": ["BUYER_CANCEL"]})] == ids
    assert [each["order_id"] for each in found(desk, {"cancel_types": ["CANCEL"]})] == [own]
    assert [each["cancel_id"] for each in found(desk, {"cancel_status": ["CANCELLATION_REQUEST_PENDING"], "locale": "en-GB"})] == ids
    assert [each["cancel_id"] for each in found(desk, {"order_ids": [asked[1][0]]})] == [ids[1]]
    buyer = desk.order(own)["user_id"]
    assert len(found(desk, {"buyer_user_ids": [buyer]})) == 4 and found(desk, {"buyer_user_ids": ["1"]}) == []
    desk.advance(HOUR)
    desk.data("POST", f"{ROOT}/202309/cancellations/{ids[2]}/approve")
    assert [each["cancel_id"] for each in found(desk, {"update_time_ge": desk.now() - 60, "cancel_ids": ids})] == [ids[2]]
    first = desk.data("POST", f"{ROOT}/202602/cancellations/search", {}, page_size=3)
    rest = found(desk, page_token=first["next_page_token"], page_size=3)
    assert (first["total_count"], len(first["cancellations"]), len(rest)) == (4, 3, 1)
    assert found(desk, sort_field="update_time", sort_order="DESC")[0]["cancel_id"] in (ids[2], found(desk, {"order_ids": [own]})[0]["cancel_id"])


def test_a_rejection_takes_a_comment_and_uploaded_pictures_only(desk: Desk) -> None:
    _, cancel_id = requested(desk)
    reason = desk.data("GET", f"{ROOT}/202309/reject_reasons", return_or_cancel_id=cancel_id)["reasons"][0]
    assert reason["name"] and reason["text"]
    path = f"{ROOT}/202309/cancellations/{cancel_id}/reject"
    body = {"reject_reason": reason["name"], "comment": "It is packed"}
    assert desk.call("POST", path, {**body, "images": [{"image_id": "nowhere"}]})["code"] == 98001004
    assert desk.call("POST", path, {**body, "images": [{"mime_type": "image/png"}]})["code"] == 36009004
    assert desk.data("POST", path, {**body, "images": [{"image_id": desk.upload()}]}, idempotency_key="k") == {}
    assert desk.data("POST", path, body, idempotency_key="k") == {}
    assert desk.call("POST", path, body)["code"] == 25001001


@pytest.mark.parametrize("hours", [1, 3, 5])
def test_a_us_shop_may_approve_by_itself_after_a_few_hours(seller: Seller, hours: int) -> None:
    desk = Desk(seller, "US")
    seller.control("POST", "settings", {"cancel_answer_hours": hours})
    order_id, cancel_id = requested(desk)
    desk.advance(hours * HOUR - 60)
    assert found(desk, {"cancel_ids": [cancel_id]})[0]["cancel_status"] == "CANCELLATION_REQUEST_PENDING"
    desk.advance(120)
    assert found(desk, {"cancel_ids": [cancel_id]})[0]["cancel_status"] == "CANCELLATION_REQUEST_SUCCESS"
    assert desk.order(order_id)["status"] == "CANCELLED"


def test_risk_control_cancels_when_its_time_has_come(desk: Desk) -> None:
    order_id = desk.seller.place("GB")
    desk.seller.control("POST", f"orders/{order_id}/risk", {"seconds": 2 * HOUR})
    desk.advance(HOUR)
    assert desk.order(order_id)["status"] == "AWAITING_SHIPMENT"
    desk.advance(HOUR + 60)
    order = desk.order(order_id)
    assert (order["status"], order["cancel_reason"]) == ("CANCELLED", "system_cancel_order_reason_potential_fraud")
    (entry,) = found(desk, {"order_ids": [order_id]})
    assert (entry["cancel_type"], entry["role"], entry["should_replenish_stock"]) == ("CANCEL", "OPERATOR", True)


def test_the_no_shipment_limit_is_a_setting_and_the_orders_own_fields_say_so(desk: Desk) -> None:
    desk.seller.control("POST", "settings", {"no_shipment_days": 15})
    order_id = desk.seller.place("GB")
    order = desk.order(order_id)
    assert order["shipping_due_time"] - order["paid_time"] == 15 * DAY
    desk.advance(15 * DAY + 60)
    order = desk.order(order_id)
    assert (order["status"], order["cancel_reason"]) == ("CANCELLED", "system_cancel_order_reason_shipping_timeout")
    assert order["cancel_time"] == order["cancel_order_sla_time"]


@pytest.mark.parametrize(("status", "by"), [("AWAITING_COLLECTION", "SYSTEM"), ("IN_TRANSIT", "OPERATOR"), ("DELIVERED", "SYSTEM")])
def test_a_cancellation_after_shipping_says_that_nothing_is_to_be_restocked(desk: Desk, status: str, by: str) -> None:
    order_id = desk.shipped(to=status)
    desk.seller.control("POST", f"orders/{order_id}/cancel", {"by": by, "reason": "package_lost"})
    order = desk.order(order_id)
    (entry,) = found(desk, {"order_ids": [order_id]})
    assert (order["status"], entry["should_replenish_stock"], entry["cancel_reason"]) == ("CANCELLED", False, "package_lost")
    assert order["line_items"][0]["tracking_number"]


def test_uncollected_and_undelivered_parcels_are_cancelled_by_the_clock(desk: Desk) -> None:
    desk.seller.control("POST", "settings", {"carrier_moves": False})
    stuck, lost = desk.shipped(to="AWAITING_COLLECTION"), desk.shipped(to="IN_TRANSIT")
    desk.advance(22 * DAY)
    assert desk.order(stuck)["cancel_reason"] == "system_cancel_order_untracked"
    assert desk.order(lost)["cancel_reason"] == "system_cancel_order_exceed_edt_not_arrive"


def test_a_buyer_may_ask_for_some_lines_and_the_others_can_be_shipped_meanwhile(desk: Desk) -> None:
    order_id = desk.seller.place("GB", [("MUG-01", 2)])
    first, second = (line["id"] for line in desk.order(order_id)["line_items"])
    desk.seller.control("POST", f"orders/{order_id}/cancel", {"line_ids": [first]})
    (entry,) = found(desk, {"order_ids": [order_id]})
    assert [each["order_line_item_id"] for each in entry["cancel_line_items"]] == [first]
    provider = desk.seller.provider("GB")
    path = f"/fulfillment/202309/orders/{order_id}/packages"
    body = {"tracking_number": "PART-1", "shipping_provider_id": provider}
    assert desk.call("POST", path, {**body, "order_line_item_ids": [first]})["code"] == 21011007
    assert desk.call("POST", path, {**body, "order_line_item_ids": [second]})["code"] == 0
    desk.data("POST", f"{ROOT}/202309/cancellations/{entry['cancel_id']}/approve")
    order = desk.order(order_id)
    assert [line["display_status"] for line in order["line_items"]] == ["CANCELLED", "AWAITING_COLLECTION"]
    assert order["status"] == "AWAITING_COLLECTION"


def test_a_buyer_cannot_cancel_what_is_shipped(desk: Desk) -> None:
    order_id = desk.shipped(to="AWAITING_COLLECTION")
    with pytest.raises(requests.HTTPError):
        desk.seller.control("POST", f"orders/{order_id}/cancel")

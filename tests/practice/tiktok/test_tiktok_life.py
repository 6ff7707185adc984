"""The life of an order on the shop clock (TTS §6.1-§6.3)."""

from __future__ import annotations

from typing import Any

import pytest

from .receiver import until
from .seller import Seller

HOUR, DAY = 3600, 86_400
SEARCH = "/order/202309/orders/search"


@pytest.fixture(autouse=True)
def long_authorization(seller: Seller) -> None:
    """These tests move the clock by weeks; the tokens are to outlive them."""
    seller.control("POST", "settings", {"access_token_life_seconds": 80 * DAY})
    seller.authorize("GB", "US", "SG")


def forward(seller: Seller, seconds: float) -> None:
    seller.control("POST", "clock", {"advance_seconds": seconds})


def look(seller: Seller, order_id: str, shop: str = "GB") -> dict[str, Any]:
    return seller.data("GET", "/order/202507/orders", shop, ids=order_id, timestamp=seller.now())["orders"][0]


def ship(seller: Seller, order_id: str, shop: str = "GB") -> None:
    body = {"tracking_number": f"TRACK-{order_id[-5:]}", "shipping_provider_id": stale_safe_provider(seller, shop)}
    seller.data("POST", f"/fulfillment/202309/orders/{order_id}/packages", shop, body, timestamp=seller.now())


def stale_safe_provider(seller: Seller, shop: str) -> str:
    """The first carrier of a shop, read with a timestamp of the shop clock."""
    now = seller.now()
    warehouse = seller.data("GET", "/logistics/202309/warehouses", shop, timestamp=now)["warehouses"][0]["id"]
    options = seller.data("GET", f"/logistics/202309/warehouses/{warehouse}/delivery_options", shop, timestamp=now)["delivery_options"]
    own = next(each["id"] for each in options if each["type"] == "SEND_BY_SELLER")
    return seller.data("GET", f"/logistics/202309/delivery_options/{own}/shipping_providers", shop, timestamp=now)["shipping_providers"][0]["id"]


def test_an_order_goes_from_unpaid_to_completed_and_every_step_is_dated_when_it_was_due(seller: Seller) -> None:
    order_id = seller.place(lines=[("MUG-01", 3)], pay=False, release=False)
    assert look(seller, order_id)["status"] == "UNPAID"
    seller.control("POST", f"orders/{order_id}/pay")
    held = look(seller, order_id)
    assert (held["status"], held["is_on_hold_order"]) == ("ON_HOLD", True)
    assert "recipient_address" not in held
    assert len(held["line_items"]) == 3
    assert "package_id" not in held["line_items"][0]

    forward(seller, 5 * HOUR)
    free = look(seller, order_id)
    assert (free["status"], free["is_on_hold_order"]) == ("AWAITING_SHIPMENT", False)
    assert free["update_time"] == held["paid_time"] + HOUR
    assert free["recipient_address"]["name"]
    assert free["rts_sla_time"] < free["shipping_due_time"]

    ship(seller, order_id)
    shipped = look(seller, order_id)
    assert shipped["status"] == "AWAITING_COLLECTION"
    assert {line["package_status"] for line in shipped["line_items"]} == {"PROCESSING"}

    forward(seller, 6 * DAY)
    delivered = look(seller, order_id)
    assert delivered["status"] == "DELIVERED"
    assert delivered["collection_time"] == shipped["rts_time"] + 12 * HOUR
    assert delivered["delivery_time"] == delivered["update_time"] == delivered["collection_time"] + 2 * DAY

    forward(seller, 14 * DAY)
    done = look(seller, order_id)
    assert done["status"] == "COMPLETED"
    assert done["update_time"] == delivered["delivery_time"] + 14 * DAY
    events = [each["detail"] for each in seller.control("GET", f"orders/{order_id}")["timeline"] if each["event"] == "status"]
    assert events == ["ON_HOLD", "AWAITING_SHIPMENT", "AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED"]


def test_a_poller_with_windows_on_the_shop_clock_sees_each_transition_in_its_window(seller: Seller) -> None:
    ids = [seller.place(release=False) for _ in range(3)]
    start = seller.now() + 5
    forward(seller, 2 * HOUR)
    window = {"update_time_ge": start, "update_time_lt": start + HOUR}
    found = seller.data("POST", SEARCH, body=window, page_size=50, sort_field="update_time", sort_order="ASC", timestamp=seller.now())["orders"]
    assert sorted(each["id"] for each in found) == sorted(ids)
    assert {each["status"] for each in found} == {"AWAITING_SHIPMENT"}


def test_an_unpaid_order_is_cancelled_by_the_system_when_nobody_pays(seller: Seller) -> None:
    order_id = seller.place(pay=False, release=False)
    forward(seller, 2 * DAY + 1)
    order = look(seller, order_id)
    assert (order["status"], order["cancellation_initiator"]) == ("CANCELLED", "SYSTEM")
    assert order["cancel_reason"] == "system_cancel_unpaid_time_out"


def test_an_order_nobody_ships_is_cancelled_at_its_own_deadline(seller: Seller) -> None:
    order_id = seller.place()
    deadline = look(seller, order_id)["cancel_order_sla_time"]
    forward(seller, deadline - seller.now() - 60)
    assert look(seller, order_id)["status"] == "AWAITING_SHIPMENT"
    forward(seller, 120)
    order = look(seller, order_id)
    assert (order["status"], order["cancel_time"]) == ("CANCELLED", deadline)
    assert order["cancel_reason"] == "system_cancel_order_reason_shipping_timeout"
    assert order["recipient_address"]["name"]


def test_a_parcel_the_carrier_never_collects_is_cancelled_when_the_carrier_stands_still(seller: Seller) -> None:
    order_id = seller.place()
    seller.control("POST", "settings", {"carrier_moves": False})
    ship(seller, order_id)
    forward(seller, 2 * DAY)
    assert look(seller, order_id)["status"] == "AWAITING_COLLECTION"
    forward(seller, 4 * DAY)
    assert look(seller, order_id)["cancel_reason"] == "system_cancel_order_untracked"


def test_the_carrier_and_the_after_sales_window_can_be_moved_by_hand(seller: Seller) -> None:
    order_id = seller.place()
    ship(seller, order_id)
    for name, status in (("collect", "IN_TRANSIT"), ("deliver", "DELIVERED"), ("complete", "COMPLETED")):
        assert seller.control("POST", f"orders/{order_id}/{name}")["status"] == status
    assert seller.http.post(f"{seller.url}/practice/orders/{order_id}/deliver", json={}, timeout=10).status_code == 400


def test_orders_fulfilled_by_tiktok_ship_themselves(seller: Seller) -> None:
    order_id = seller.place(fulfillment_type="FULFILLMENT_BY_TIKTOK")
    assert "*" in look(seller, order_id)["recipient_address"]["name"]
    forward(seller, 7 * HOUR)
    order = look(seller, order_id)
    assert order["status"] == "AWAITING_COLLECTION"
    assert order["tracking_number"]


def test_a_package_exists_before_shipping_only_where_the_market_ships_packages(seller: Seller) -> None:
    assert look(seller, seller.place("GB"))["packages"] == []
    order = look(seller, seller.place("SG"), "SG")
    assert [each["id"] for each in order["packages"]] == [order["line_items"][0]["package_id"]]
    assert order["line_items"][0]["package_status"] == "TO_FULFILL"


def test_the_clock_runs_faster_stands_still_and_returns(seller: Seller) -> None:
    seller.control("POST", "settings", {"hold_seconds": 600})
    order_id = seller.place(release=False)
    assert look(seller, order_id)["status"] == "ON_HOLD"
    seller.control("POST", "clock", {"rate": 1200})
    until(lambda: look(seller, order_id)["status"] == "AWAITING_SHIPMENT")
    seller.control("POST", "clock", {"rate": 0})
    assert seller.now() == seller.now()
    state = seller.control("POST", "clock", {"reset": True})
    assert (state["rate"], round(state["offset_seconds"])) == (1.0, 0)
    assert seller.http.post(f"{seller.url}/practice/clock", json={"rate": -1}, timeout=10).status_code == 400


def test_an_address_change_is_carried_over_before_and_after_the_hold(seller: Seller) -> None:
    held = seller.place(release=False)
    seller.control("POST", f"orders/{held}/address", {"address_line1": "7 Early Street"})
    assert "recipient_address" not in look(seller, held)
    seller.control("POST", f"orders/{held}/release")
    early = look(seller, held)
    assert early["recipient_address"]["address_line1"] == "7 Early Street"
    assert early["has_updated_recipient_address"] is False
    seller.control("POST", f"orders/{held}/address", {"postal_code": "ZZ9 9ZZ"})
    late = look(seller, held)
    assert late["has_updated_recipient_address"] is True
    assert late["recipient_address"]["postal_code"] == "ZZ9 9ZZ"
    assert seller.http.post(f"{seller.url}/practice/orders/{held}/address", json={"planet": "Mars"}, timeout=10).status_code == 400


def test_five_thousand_orders_are_seeded_at_once_and_found(seller: Seller) -> None:
    assert seller.control("POST", "seed", {"orders": 5000, "seed": 9})["orders"] == 5000
    assert seller.control("GET", "orders?limit=1")["total"] == 5000

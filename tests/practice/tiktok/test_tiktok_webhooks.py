"""Webhooks as a receiver sees them (TTS §5.8)."""

from __future__ import annotations

from typing import Any

from connector.practice.tiktok.signature import webhook_is_genuine

from .receiver import Receiver, until
from .seller import Seller

HOUR = 3600


def statuses(receiver: Receiver) -> list[str]:
    return [each["data"]["order_status"] for each in receiver.of(1)]


def test_status_changes_are_announced_signed_and_spelt_as_webhooks_spell_them(seller: Seller, receiver: Receiver) -> None:
    order_id = seller.place()
    until(lambda: len(receiver.of(1)) == 3)
    seller.control("POST", f"orders/{order_id}/cancel", {"by": "SYSTEM"})
    until(lambda: len(receiver.of(1)) == 4)
    assert set(statuses(receiver)) == {"UNPAID", "ON_HOLD", "AWAITING_SHIPMENT", "CANCEL"}
    document, body, signature = receiver.got[0]
    assert set(document) == {"type", "tts_notification_id", "shop_id", "timestamp", "data"}
    assert document["shop_id"] == next(shop["id"] for shop in seller.app["shops"] if shop["region"] == "GB")
    assert {each["data"]["order_id"] for each in receiver.of(1)} == {order_id}
    assert len({each["tts_notification_id"] for each in receiver.of(1)}) == 4
    for _, body, signature in receiver.got:
        assert webhook_is_genuine(seller.app["app_key"], seller.app["app_secret"], body, signature)
        assert not webhook_is_genuine(seller.app["app_key"], seller.app["app_secret"], body + b" ", signature)


def test_a_partial_shipment_sends_no_status_webhook(seller: Seller, receiver: Receiver) -> None:
    order_id = seller.place(lines=[("MUG-01", 2)])
    until(lambda: len(receiver.of(1)) == 3)
    lines = [line["id"] for line in seller.order(order_id)["line_items"]]
    info = {"tracking_number": "PART-1", "shipping_provider_id": seller.provider()}
    for line in lines:
        seller.data("POST", f"/fulfillment/202309/orders/{order_id}/packages", body={"order_line_item_ids": [line], **info})
    until(lambda: "AWAITING_COLLECTION" in statuses(receiver))
    assert "PARTIALLY_SHIPPING" not in statuses(receiver)


def test_an_address_change_and_a_cancellation_are_announced(seller: Seller, receiver: Receiver) -> None:
    order_id = seller.place()
    seller.control("POST", f"orders/{order_id}/address", {})
    moved = until(lambda: receiver.of(3))[0]["data"]
    assert moved == {"order_id": order_id, "update_time": seller.order(order_id)["update_time"]}
    seller.control("POST", f"orders/{order_id}/cancel")
    asked = until(lambda: receiver.of(11))[0]["data"]
    assert (asked["cancellations_role"], asked["cancel_status"]) == ("BUYER", "CANCELLATION_REQUEST_PENDING")
    seller.data("POST", f"/return_refund/202309/cancellations/{asked['cancel_id']}/approve")
    until(lambda: [each["data"]["cancel_status"] for each in receiver.of(11)][-1] == "CANCELLATION_REQUEST_SUCCESS")


def test_a_package_that_loses_lines_is_announced(seller: Seller, receiver: Receiver) -> None:
    order_id = seller.place("SG", [("MUG-01", 1), ("CAP-01", 1)])
    line = seller.order(order_id, "SG")["line_items"][0]
    seller.control("POST", f"orders/{order_id}/cancel", {"by": "OPERATOR", "line_ids": [line["id"]]})
    data = until(lambda: receiver.of(4))[0]["data"]
    assert (data["sc_type"], data["role_type"]) == ("PARTLY_CANCEL_SPLIT", "ROLE_OPERATOR")
    assert data["package_list"] == [{"package_id": line["package_id"], "order_id_list": [order_id]}]


def test_the_end_of_an_authorization_is_announced_before_and_when_it_comes(seller: Seller, receiver: Receiver) -> None:
    ends = seller.tokens["refresh_token_expire_in"]
    seller.control("POST", "clock", {"advance_seconds": ends - seller.now() - 30 * 86_400 + 60})
    assert until(lambda: receiver.of(7))[0]["data"]["expiration_time"] == ends
    seller.control("POST", "authorizations/revoke", {"shop": "GB"})
    assert until(lambda: receiver.of(6))[0]["data"]["message"]
    before = seller.control("GET", "webhooks")["deliveries"]
    seller.place()
    assert len(seller.control("GET", "webhooks")["deliveries"]) == len(before), "a shop without authorization sends nothing"


def test_addresses_are_set_listed_and_removed_per_shop(seller: Seller, receiver: Receiver) -> None:
    path = "/event/202309/webhooks"
    seller.control("POST", "app", {"webhook_url": ""})
    assert seller.data("PUT", path, body={"address": receiver.url, "event_type": "ORDER_STATUS_CHANGE"}) == {}
    listed = seller.data("GET", path)
    assert listed["total_count"] == 1
    assert (listed["webhooks"][0]["event_type"], listed["webhooks"][0]["address"]) == ("ORDER_STATUS_CHANGE", receiver.url)
    seller.place("US")
    seller.place("GB", release=False)
    until(lambda: len(receiver.of(1)) == 2)
    assert seller.data("DELETE", path, body={"event_type": "ORDER_STATUS_CHANGE"}) == {}
    assert seller.data("DELETE", path, body={"event_type": "ORDER_STATUS_CHANGE"}) == {}
    assert seller.data("GET", path)["total_count"] == 0
    assert seller.code("PUT", path, body={"address": receiver.url, "event_type": "NONSENSE"}) == 36009004


def test_a_receiver_that_fails_is_tried_again_on_the_shop_clock_and_then_given_up(seller: Seller, receiver: Receiver) -> None:
    receiver.status = 500
    seller.place(pay=False)
    until(lambda: len(receiver.got) == 1)
    first = seller.control("GET", "webhooks")["deliveries"][0]
    assert first["body"]["type"] == 1
    for attempt, wait in enumerate((121, 1801, 3 * HOUR + 1, 12 * HOUR + 1), 2):
        until(lambda n=attempt: seller.control("GET", "webhooks")["deliveries"][0]["attempts"] == n - 1)
        seller.control("POST", "clock", {"advance_seconds": wait})
        until(lambda n=attempt: len(receiver.got) == n)
    until(lambda: seller.control("GET", "webhooks")["deliveries"][0]["state"] == "given up")
    assert len({body for _, body, _ in receiver.got}) == 1, "every attempt carries the same bytes"


def test_an_answer_after_three_seconds_counts_as_none(seller: Seller, receiver: Receiver) -> None:
    receiver.delay = 30
    seller.place(pay=False)
    delivery = until(lambda: [each for each in seller.control("GET", "webhooks")["deliveries"] if each["attempts"]])[0]
    assert (delivery["state"], delivery["last_status"]) == ("waiting", "ReadTimeout")


def test_webhooks_are_lost_doubled_delayed_and_reordered_on_demand(seller: Seller, receiver: Receiver) -> None:
    def alone(kind: str, **more: Any) -> None:
        receiver.got.clear()
        seller.control("DELETE", "faults")
        seller.control("POST", "faults", {"kind": kind, "operation": "ORDER_STATUS_CHANGE", "times": 1, **more})

    alone("webhook_lost")
    seller.place(release=False)
    until(lambda: receiver.got)
    assert statuses(receiver) == ["ON_HOLD"]
    made = seller.control("GET", "webhooks")["deliveries"][:2]
    assert {each["body"]["data"]["order_status"]: each["state"] == "lost" for each in made} == {"ON_HOLD": False, "UNPAID": True}

    alone("webhook_duplicate")
    seller.place(pay=False)
    until(lambda: len(receiver.got) == 2)
    assert len({each["tts_notification_id"] for each in receiver.of(1)}) == 1

    alone("webhook_delay", seconds=600)
    seller.place(pay=False)
    (delivery,) = seller.control("GET", "webhooks")["deliveries"][:1]
    assert (delivery["attempts"], receiver.got) == (0, [])
    seller.control("POST", "clock", {"advance_seconds": 601})
    until(lambda: receiver.got)

    alone("webhook_reorder")
    seller.place(release=False)
    until(lambda: len(receiver.got) == 2)
    assert statuses(receiver) == ["ON_HOLD", "UNPAID"]


def test_bad_days_come_together_and_by_the_dice_of_a_seed(seller: Seller, receiver: Receiver) -> None:
    """Every webhook three times, out of order, a third of them lost, and the rest of an order's life later: all at once and the same again with the seed."""
    faults = [
        {"kind": "webhook_duplicate", "copies": 3},
        {"kind": "webhook_reorder"},
        {"kind": "webhook_lost", "probability": 0.33, "seed": 4},
        {"kind": "webhook_delay", "probability": 0.33, "seconds": HOUR, "seed": 5},
    ]

    def told() -> tuple[list[str], list[str]]:
        seller.control("DELETE", "faults")
        known = {each["id"] for each in seller.control("GET", "webhooks")["deliveries"]}
        for fault in faults:
            seller.control("POST", "faults", {"operation": "*", **fault})
        for _ in range(8):
            seller.place(pay=False)
        fresh = [each for each in seller.control("GET", "webhooks")["deliveries"] if each["id"] not in known]
        by_id: dict[str, list[dict[str, Any]]] = {}
        for each in reversed(fresh):
            by_id.setdefault(each["body"]["tts_notification_id"], []).append(each)
        lost = [group[0]["state"] for group in by_id.values() if group[0]["state"] == "lost"]
        assert all(len(group) == (1 if group[0]["state"] == "lost" else 3) for group in by_id.values()), "each came three times or not at all"
        return [group[0]["state"] for group in by_id.values()], lost

    first, lost = told()
    assert 1 <= len(lost) < 8
    assert [state == "lost" for state in told()[0]] == [state == "lost" for state in first]
    seller.control("POST", "clock", {"advance_seconds": HOUR + 1})
    until(lambda: not [each for each in seller.control("GET", "webhooks")["deliveries"] if each["state"] in ("waiting", "held")])
    order_of_arrival = [int(each["tts_notification_id"]) for each in receiver.of(1)]
    assert order_of_arrival != sorted(order_of_arrival)
    assert len(order_of_arrival) == 3 * (16 - 2 * len(lost))


def test_any_webhook_can_be_sent_by_hand(seller: Seller, receiver: Receiver) -> None:
    seller.control("POST", "webhooks", {"type": 12, "shop": "US", "data": {"order_id": "1", "return_id": "2"}})
    assert until(lambda: receiver.of(12))[0]["data"]["return_id"] == "2"

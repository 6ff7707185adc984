"""Returns from request to refund: every status and every decision (TTS §5.6.5-§5.6.8, §6.6; A213-A220)."""

from __future__ import annotations

import pytest
import requests

from connector.practice.tiktok.returns_life import STATUSES

from .aftersale_shop import AGREED, DAMAGED, DAY, HOUR, LINES, RETURN_DAMAGED, ROOT, Desk
from .seller import Seller

OFFER = {"partial_refund": {"amount": "1.00", "currency": "GBP"}}
OFFER_LATER = {"partial_refund_amount": {"partial_refund_total": "1.00", "currency": "GBP"}}
TO_SHIPPED = (("approve", "APPROVE_RETURN", {}), ("act", "ship", {}))
# how each status is come to: what the buyer asks, and what happens then
PATHS: dict[str, tuple[str, tuple[tuple[str, str, dict[str, object]], ...]]] = {
    "RETURN_OR_REFUND_REQUEST_PENDING": ("REFUND", ()),
    "REFUND_OR_RETURN_REQUEST_REJECT": ("REFUND", (("reject", "REJECT_REFUND", {}),)),
    "AWAITING_BUYER_SHIP": ("RETURN_AND_REFUND", (("reject", "REJECT_RETURN", {}), ("act", "appeal", {}), ("act", "arbitrate", {}))),
    "BUYER_SHIPPED_ITEM": ("RETURN_AND_REFUND", TO_SHIPPED),
    "REJECT_RECEIVE_PACKAGE": ("RETURN_AND_REFUND", (*TO_SHIPPED, ("reject", "REJECT_RECEIVED_PACKAGE", {}))),
    "AWAITING_BUYER_RESPONSE": ("RETURN_AND_REFUND", (*TO_SHIPPED, ("reject", "OFFER_PARTIAL_REFUND_AFTER_RECEIVING_PKG", OFFER_LATER))),
    "RETURN_OR_REFUND_REQUEST_SUCCESS": ("REFUND", (("approve", "OFFER_PARTIAL_REFUND", OFFER), ("act", "accept", {}))),
    "RETURN_OR_REFUND_REQUEST_COMPLETE": ("RETURN_AND_REFUND", (*TO_SHIPPED, ("approve", "APPROVE_RECEIVED_PACKAGE", {}), ("act", "refund", {}))),
    "RETURN_OR_REFUND_REQUEST_CANCEL": ("REFUND", (("act", "withdraw", {}),)),
    "REPLACEMENT_REQUEST_PENDING": ("REPLACEMENT", ()),
    "REPLACEMENT_REQUEST_REJECT": ("REPLACEMENT", (("reject", "REJECT_REPLACEMENT", {}),)),
    "REPLACEMENT_REQUEST_REFUND_SUCCESS": ("REPLACEMENT", (("approve", "ISSUE_REPLACEMENT_REFUND", {}),)),
    "REPLACEMENT_REQUEST_CANCEL": ("REPLACEMENT", (("act", "withdraw", {}),)),
    "REPLACEMENT_REQUEST_COMPLETE": ("REPLACEMENT", (("approve", "APPROVE_REPLACEMENT", {}),)),
    "EXCHANGE_REQUEST_PENDING": ("EXCHANGE", ()),
    "EXCHANGE_REQUEST_REFUND_SUCCESS": ("EXCHANGE", (("approve", "ISSUE_EXCHANGE_REFUND", {}),)),
    "EXCHANGE_REQUEST_CANCEL": ("EXCHANGE", (("act", "withdraw", {}),)),
    "EXCHANGE_REQUEST_COMPLETE": ("EXCHANGE", (("act", "exchange", {}),)),
}


@pytest.fixture
def desk(seller: Seller) -> Desk:
    return Desk(seller)


def test_every_status_of_the_contract_is_come_to(desk: Desk) -> None:
    """A219"""
    assert set(PATHS) == set(STATUSES)
    for status, (kind, steps) in PATHS.items():
        return_id = desk.ask(kind)
        for how, name, more in steps:
            if how == "act":
                desk.act(return_id, name, **more)
            else:
                assert (desk.approve if how == "approve" else desk.reject)(return_id, name, **more) == 0, (status, name)
        assert desk.status(return_id) == status
        assert [each["return_id"] for each in desk.find(return_status=[status])] == [return_id], status
        desk.seller.control("POST", "reset", {})
        desk.ahead = 0


def test_a_buyers_refund_waits_is_approved_and_paid(desk: Desk) -> None:
    order_id = desk.shipped()
    return_id = desk.ask("REFUND", order_id, note="It came broken", pictures=2)
    found = desk.one(return_id)
    assert desk.status(return_id) == "RETURN_OR_REFUND_REQUEST_PENDING"
    assert (found["return_type"], found["role"], found["return_reason"]) == ("REFUND", "BUYER", "ecom_order_delivered_refund_reason_missing_product")
    assert found["seller_next_action_response"][0]["action"] == "SELLER_RESPOND_REFUND"
    order = desk.order(order_id)
    assert found["refund_amount"]["refund_total"] == order["payment"]["total_amount"]
    assert [each["order_line_item_id"] for each in found["return_line_items"]] == [line["id"] for line in order["line_items"]]
    assert [each["refund_amount"]["refund_total"] for each in found["return_line_items"]] == [line["sale_price"] for line in order["line_items"]]
    assert not any(key.startswith("_") for key in found)
    assert desk.approve(return_id, "APPROVE_REFUND") == 0
    assert desk.status(return_id) == "RETURN_OR_REFUND_REQUEST_SUCCESS"
    assert desk.approve(return_id, "APPROVE_REFUND") == 25001001
    desk.advance(2 * HOUR)
    assert desk.status(return_id) == "RETURN_OR_REFUND_REQUEST_COMPLETE"
    assert desk.order(order_id)["status"] == "COMPLETED"


def test_goods_come_back_and_are_accepted(desk: Desk) -> None:
    return_id = desk.ask("RETURN_AND_REFUND")
    found = desk.one(return_id)
    assert (found["shipment_type"], found["handover_method"], found["return_method"]) == ("PLATFORM", "DROP_OFF", "PLATFORM_SHIPPED")
    assert "returns" not in found["return_warehouse_address"]["full_address"] and found["return_warehouse_address"]["full_address"]
    assert desk.approve(return_id, "APPROVE_RETURN") == 0
    assert desk.status(return_id) == "AWAITING_BUYER_SHIP"
    desk.act(return_id, "ship", tracking_number="BACK-1", provider="Evri")
    shipped = desk.one(return_id)
    assert desk.status(return_id) == "BUYER_SHIPPED_ITEM"
    assert (shipped["return_tracking_number"], shipped["return_provider_name"]) == ("BACK-1", "Evri")
    assert shipped["seller_next_action_response"][0]["action"] == "SELLER_RESPOND_RECEIVE_PACKAGE"
    desk.act(return_id, "arrive")
    assert desk.approve(return_id, "APPROVE_RECEIVED_PACKAGE") == 0
    desk.advance(2 * HOUR)
    assert desk.status(return_id) == "RETURN_OR_REFUND_REQUEST_COMPLETE"
    told = [each["description"] for each in desk.records(return_id)]
    assert told[0] == "The return was requested" and "The goods were sent: Evri BACK-1" in told and told[-1] == "The refund was paid"


@pytest.mark.parametrize(("decision", "more"), [("APPROVE_RETURN", {"buyer_keep_item": True}), ("DIRECT_REFUND", {})])
def test_the_buyer_may_keep_the_goods(desk: Desk, decision: str, more: dict[str, bool]) -> None:
    return_id = desk.ask("RETURN_AND_REFUND")
    assert desk.approve(return_id, decision, **more) == 0
    found = desk.one(return_id)
    assert (found["return_status"], found["can_buyer_keep_item"]) == ("RETURN_OR_REFUND_REQUEST_SUCCESS", True)


def test_a_partial_refund_is_offered_declined_and_cannot_be_offered_again(desk: Desk) -> None:
    return_id = desk.ask("REFUND")
    offer = {"partial_refund": {"amount": "3.50", "currency": "GBP"}}
    assert desk.approve(return_id, "OFFER_PARTIAL_REFUND") == 36009004
    assert desk.approve(return_id, "OFFER_PARTIAL_REFUND", partial_refund={"amount": "9999", "currency": "GBP"}) == 98001004
    assert desk.approve(return_id, "OFFER_PARTIAL_REFUND", partial_refund={"amount": "3.50", "currency": "USD"}) == 98001004
    assert desk.approve(return_id, "OFFER_PARTIAL_REFUND", **offer) == 0
    assert desk.status(return_id) == "AWAITING_BUYER_RESPONSE"
    found = desk.one(return_id)
    assert (found["partial_refund"], found["seller_proposed_return_type"]) == (offer["partial_refund"], "PARTIAL_REFUND")
    assert [each["return_id"] for each in desk.find(seller_proposed_return_type=["PARTIAL_REFUND"])] == [return_id]
    desk.act(return_id, "decline")
    assert desk.one(return_id)["buyer_rejected_partial_refund"] is True
    assert desk.status(return_id) == "RETURN_OR_REFUND_REQUEST_PENDING"
    assert desk.approve(return_id, "OFFER_PARTIAL_REFUND", **offer) == 25001001


def test_an_accepted_partial_refund_pays_the_part_and_leaves_the_order_delivered(desk: Desk) -> None:
    order_id = desk.shipped()
    return_id = desk.ask("REFUND", order_id)
    assert desk.approve(return_id, "OFFER_PARTIAL_REFUND", partial_refund={"amount": "3.51", "currency": "GBP"}) == 0
    desk.act(return_id, "accept")
    desk.advance(2 * HOUR)
    found = desk.one(return_id)
    assert (found["return_status"], found["refund_amount"]["refund_total"]) == ("RETURN_OR_REFUND_REQUEST_COMPLETE", "3.51")
    assert sorted(each["refund_amount"]["refund_total"] for each in found["return_line_items"]) in (["1.75", "1.76"], ["1.76", "1.75"])
    assert desk.order(order_id)["status"] == "DELIVERED"
    again = desk.ask("REFUND", order_id)
    total = sum(float(line["sale_price"]) for line in desk.order(order_id)["line_items"])
    assert desk.one(again)["refund_amount"]["refund_total"] == f"{total - 3.51:.2f}"


def test_received_goods_can_be_paid_in_part(desk: Desk) -> None:
    return_id = desk.ask("RETURN_AND_REFUND")
    desk.approve(return_id, "APPROVE_RETURN")
    desk.act(return_id, "ship")
    decision, offer = "OFFER_PARTIAL_REFUND_AFTER_RECEIVING_PKG", {"partial_refund_total": "2.00", "currency": "GBP"}
    assert desk.reject(return_id, decision, version="202309", partial_refund_amount=offer) == 36009004
    assert desk.reject(return_id, decision, partial_refund_amount=offer, comment="x" * 501) == 98001004
    assert desk.reject(return_id, decision) == 36009004
    assert desk.reject(return_id, decision, partial_refund_amount=offer, comment="Scratched") == 0
    assert desk.status(return_id) == "AWAITING_BUYER_RESPONSE"
    desk.act(return_id, "decline")
    assert desk.status(return_id) == "BUYER_SHIPPED_ITEM"
    assert desk.reject(return_id, decision, partial_refund_amount=offer) == 25001001


def test_a_rejection_is_appealed_and_the_platform_decides(desk: Desk) -> None:
    outcomes = {
        "SUPPORT_BUYER": "RETURN_OR_REFUND_REQUEST_SUCCESS",
        "SUPPORT_SELLER": "RETURN_OR_REFUND_REQUEST_CANCEL",
        "CLOSED": "RETURN_OR_REFUND_REQUEST_CANCEL",
    }
    for outcome, after in outcomes.items():
        return_id = desk.ask("REFUND", reason=DAMAGED)
        assert desk.reject(return_id, "REJECT_REFUND", comment="It was whole") == 0
        assert desk.status(return_id) == "REFUND_OR_RETURN_REQUEST_REJECT"
        desk.act(return_id, "appeal", note="It was not")
        assert [each["return_id"] for each in desk.find(arbitration_status=["IN_PROGRESS"])] == [return_id]
        assert desk.approve(return_id, "APPROVE_REFUND") == 25001001
        desk.act(return_id, "arbitrate", outcome=outcome)
        assert desk.one(return_id)["arbitration_status"] == outcome
        assert desk.status(return_id) == after


def test_arbitration_of_a_return_sends_the_goods_and_of_a_refused_package_pays(desk: Desk) -> None:
    return_id = desk.ask("RETURN_AND_REFUND")
    assert desk.reject(return_id, "REJECT_RETURN") == 0
    desk.act(return_id, "appeal")
    desk.advance(5 * DAY + 60)  # the platform's own time
    assert desk.status(return_id) == "AWAITING_BUYER_SHIP"
    desk.act(return_id, "ship")
    assert desk.reject(return_id, "REJECT_RECEIVED_PACKAGE") == 0
    assert desk.status(return_id) == "REJECT_RECEIVE_PACKAGE"
    with pytest.raises(requests.HTTPError):
        desk.act(return_id, "appeal")  # once is enough


def test_a_quick_refunds_package_cannot_be_refused(desk: Desk) -> None:
    return_id = desk.ask("RETURN_AND_REFUND", quick_refund=True)
    desk.approve(return_id, "APPROVE_RETURN")
    desk.act(return_id, "ship")
    assert desk.one(return_id)["is_quick_refund"] is True
    assert desk.eligible(return_id) == {"APPROVE_RECEIVED_PACKAGE"}
    assert desk.reject(return_id, "REJECT_RECEIVED_PACKAGE") == 25001001


def test_a_replacement_is_sent_refused_or_refunded_instead(desk: Desk) -> None:
    order_id = desk.shipped()
    return_id = desk.ask("REPLACEMENT", order_id)
    assert desk.status(return_id) == "REPLACEMENT_REQUEST_PENDING"
    assert desk.one(return_id)["seller_next_action_response"][0]["action"] == "SELLER_RESPOND_REPLACEMENT"
    assert desk.approve(return_id, "APPROVE_REPLACEMENT") == 0
    assert desk.status(return_id) == "REPLACEMENT_REQUEST_COMPLETE"
    orders = desk.data("POST", "/order/202309/orders/search", {}, page_size=10)["orders"]
    (new,) = [each for each in orders if each["is_replacement_order"]]
    assert (new["replaced_order_id"], new["status"], new["payment"]["total_amount"]) == (order_id, "AWAITING_SHIPMENT", "0.00")
    assert len(new["line_items"]) == 2 and new["recipient_address"]
    refused = desk.ask("REPLACEMENT")
    assert desk.reject(refused, "REJECT_REPLACEMENT") == 0
    assert desk.status(refused) == "REPLACEMENT_REQUEST_REJECT"
    desk.act(refused, "appeal")
    desk.act(refused, "arbitrate", outcome="SUPPORT_SELLER")
    assert desk.status(refused) == "REPLACEMENT_REQUEST_CANCEL"
    paid = desk.ask("REPLACEMENT")
    assert desk.approve(paid, "ISSUE_REPLACEMENT_REFUND") == 0
    assert desk.status(paid) == "REPLACEMENT_REQUEST_REFUND_SUCCESS"
    desk.advance(2 * HOUR)
    assert desk.status(paid) == "REPLACEMENT_REQUEST_COMPLETE"


def test_an_exchange_goes_out_is_withdrawn_or_refunded(desk: Desk) -> None:
    sent, taken_back, paid = (desk.ask("EXCHANGE") for _ in range(3))
    assert desk.status(sent) == "EXCHANGE_REQUEST_PENDING"
    assert "seller_next_action_response" not in desk.one(sent)
    desk.act(sent, "exchange")
    assert desk.status(sent) == "EXCHANGE_REQUEST_COMPLETE"
    desk.act(taken_back, "withdraw")
    assert desk.status(taken_back) == "EXCHANGE_REQUEST_CANCEL"
    assert desk.eligible(paid) == {"ISSUE_EXCHANGE_REFUND"}
    assert desk.approve(paid, "ISSUE_EXCHANGE_REFUND") == 0
    assert desk.status(paid) == "EXCHANGE_REQUEST_REFUND_SUCCESS"
    desk.act(paid, "refund")
    orders = desk.data("POST", "/order/202309/orders/search", {}, page_size=20)["orders"]
    assert len([each for each in orders if each["is_exchange_order"]]) == 1


def test_silence_is_consent_and_every_deadline_passes_by_the_clock(desk: Desk) -> None:
    refund, goods, swap = desk.ask("REFUND"), desk.ask("RETURN_AND_REFUND"), desk.ask("REPLACEMENT")
    unsent = desk.ask("RETURN_AND_REFUND")
    refused = desk.ask("REFUND")
    desk.reject(refused, "REJECT_REFUND")
    deadline = desk.one(refund)["seller_next_action_response"][0]["deadline"]
    desk.advance(4 * DAY + 60)
    found = desk.one(refund)
    assert (found["return_status"], found["update_time"] - deadline) == ("RETURN_OR_REFUND_REQUEST_SUCCESS", 0)
    assert [desk.status(each) for each in (goods, swap)] == ["AWAITING_BUYER_SHIP", "REPLACEMENT_REQUEST_COMPLETE"]
    desk.act(goods, "ship")
    desk.advance(DAY)
    assert desk.status(refused) == "RETURN_OR_REFUND_REQUEST_CANCEL"  # nobody appealed
    desk.advance(7 * DAY)
    assert desk.status(goods) == "RETURN_OR_REFUND_REQUEST_COMPLETE"
    assert desk.status(unsent) == "RETURN_OR_REFUND_REQUEST_CANCEL"
    offered = desk.ask("REFUND")
    desk.approve(offered, "OFFER_PARTIAL_REFUND", partial_refund={"amount": "1", "currency": "GBP"})
    desk.advance(3 * DAY + 60)
    assert desk.status(offered) == "RETURN_OR_REFUND_REQUEST_PENDING"  # the buyer did not answer: the seller's turn again


def test_the_buyer_withdraws_and_changes_a_request(desk: Desk) -> None:
    order_id = desk.shipped()
    first = desk.ask("REFUND", order_id)
    desk.act(first, "edit", type="RETURN_AND_REFUND")
    old = desk.one(first)
    new = desk.one(old["next_return_id"])
    assert (old["return_status"], new["pre_return_id"], new["return_type"]) == ("RETURN_OR_REFUND_REQUEST_CANCEL", first, "RETURN_AND_REFUND")
    desk.act(new["return_id"], "withdraw")
    assert desk.status(new["return_id"]) == "RETURN_OR_REFUND_REQUEST_CANCEL"
    assert desk.approve(new["return_id"], "APPROVE_RETURN") == 25001001
    assert desk.order(order_id)["status"] == "DELIVERED"


def test_an_open_return_keeps_the_order_from_being_completed(desk: Desk) -> None:
    order_id = desk.shipped()
    line = desk.order(order_id)["line_items"][0]["id"]
    desk.seller.control("POST", "settings", {"return_answer_seconds": 40 * DAY})
    return_id = desk.ask("REFUND", order_id, line_ids=[line])
    desk.advance(20 * DAY)
    assert desk.order(order_id)["status"] == "DELIVERED"
    desk.act(return_id, "withdraw")
    assert desk.order(order_id)["status"] == "COMPLETED"


def test_everything_refunded_under_way_completes_the_order(desk: Desk) -> None:
    order_id = desk.shipped(to="IN_TRANSIT")
    return_id = desk.ask("REFUND", order_id)
    desk.approve(return_id, "APPROVE_REFUND")
    desk.advance(3 * DAY)
    assert desk.order(order_id)["status"] == "COMPLETED"
    assert desk.status(return_id) == "RETURN_OR_REFUND_REQUEST_COMPLETE"


def test_search_filters_sorts_and_pages(desk: Desk) -> None:
    ids = [desk.ask(kind) for kind in ("REFUND", "RETURN_AND_REFUND", "REPLACEMENT") for _ in range(4)]
    search = f"{ROOT}/202602/returns/search"
    first = desk.data("POST", search, {}, page_size=10)
    assert (len(first["return_orders"]), first["total_count"]) == (10, 12)
    second = desk.data("POST", search, {}, page_size=10, page_token=first["next_page_token"])
    assert [each["return_id"] for each in first["return_orders"] + second["return_orders"]] == ids
    assert second["next_page_token"] == ""
    assert desk.call("POST", search, {"return_types": ["REFUND"]}, page_size=10, page_token=first["next_page_token"])["code"] == 98001004
    assert len(desk.find(return_types=["REFUND", "REPLACEMENT"])) == 8
    order_id = desk.find(return_ids=ids[:1])[0]["order_id"]
    assert [each["return_id"] for each in desk.find(order_ids=[order_id])] == ids[:1]
    buyer = desk.order(order_id)["user_id"]
    assert len(desk.find(buyer_user_ids=[buyer])) == 12 and not desk.find(buyer_user_ids=["1"])
    desk.advance(HOUR)
    desk.approve(ids[0], "APPROVE_REFUND")
    now = desk.now()
    assert [each["return_id"] for each in desk.find(update_time_ge=now - 60)] == ids[:1]
    assert len(desk.find(create_time_lt=now - 60)) == 12
    newest = desk.data("POST", search, {}, page_size=50, sort_field="update_time", sort_order="DESC")["return_orders"]
    assert newest[0]["return_id"] == ids[0]
    assert "return_orders" not in desk.data("POST", search, {"return_status": ["AWAITING_BUYER_SHIP"]}, page_size=10)
    assert desk.call("POST", search, {}, page_size=9)["code"] == 36009004


def test_records_hold_the_words_and_pictures_of_both_sides(desk: Desk) -> None:
    return_id = desk.ask("REFUND", note="Broken handle", pictures=3)
    picture = desk.upload()
    assert desk.reject(return_id, "REJECT_REFUND", images=[{"image_id": "nowhere"}]) == 98001004
    assert (
        desk.reject(return_id, "REJECT_REFUND", comment="It was whole", images=[{"image_id": picture, "mime_type": "image/png", "width": 320, "height": 320}])
        == 0
    )
    asked, refused = desk.records(return_id)
    assert (asked["role"], asked["note"], len(asked["images"]), asked["reason_text"]) == ("BUYER", "Broken handle", 3, "Missing product")
    assert (refused["role"], refused["note"], refused["event"]) == ("SELLER", "It was whole", "ORDER_RETURN")
    for image in (*asked["images"], *refused["images"]):
        answer = requests.get(image["url"], timeout=10)
        assert answer.headers["Content-Type"] == "image/png" and answer.content.startswith(b"\x89PNG")


def test_a_reject_reason_comes_from_the_list_of_the_return(desk: Desk) -> None:
    return_id = desk.ask("RETURN_AND_REFUND", reason=RETURN_DAMAGED)
    offered = desk.data("GET", f"{ROOT}/202309/reject_reasons", return_or_cancel_id=return_id)["reasons"]
    assert [each["name"] for each in offered] == [AGREED]
    assert desk.reject(return_id, "REJECT_RETURN", reject_reason="because") == 25001021
    assert desk.reject(return_id, "REJECT_REFUND") == 25001001
    assert desk.reject(return_id, "APPROVE_RETURN") == 36009004
    assert desk.approve(return_id, "APPROVE_REFUND", buyer_keep_item=True) == 98001004
    assert desk.approve("4035999999999999999", "APPROVE_RETURN") == 98001004
    going = desk.ask("REFUND", desk.shipped(to="IN_TRANSIT"))
    assert len(desk.data("GET", f"{ROOT}/202309/reject_reasons", return_or_cancel_id=going)["reasons"]) == 2


def test_the_same_key_answers_the_same_and_does_nothing_twice(desk: Desk) -> None:
    return_id = desk.ask("REFUND")
    path = f"{ROOT}/202309/returns/{return_id}/approve"
    for _ in range(2):
        assert desk.data("POST", path, {"decision": "APPROVE_REFUND"}, idempotency_key="once") == {}
    assert desk.call("POST", path, {"decision": "APPROVE_REFUND"}, idempotency_key="twice")["code"] == 25001001
    assert desk.call("POST", path, {"decision": "APPROVE_REFUND"}, idempotency_key="k" * 256)["code"] == 36009004


def test_who_may_ask_for_what_depends_on_market_and_status(seller: Seller) -> None:
    for shop, status, kind, allowed in (
        ("GB", "IN_TRANSIT", "REFUND", True),
        ("SG", "IN_TRANSIT", "REFUND", False),
        ("GB", "IN_TRANSIT", "RETURN_AND_REFUND", False),
        ("SG", "DELIVERED", "RETURN_AND_REFUND", True),
        ("SG", "DELIVERED", "REPLACEMENT", False),
        ("US", "AWAITING_COLLECTION", "REFUND", True),
    ):
        desk = Desk(seller, shop)
        order_id = desk.shipped(LINES, to=status)
        if allowed:
            assert desk.ask(kind, order_id)
        else:
            with pytest.raises(requests.HTTPError):
                desk.ask(kind, order_id)


def test_a_status_nobody_documented_is_sent_as_it_is(desk: Desk) -> None:
    return_id = desk.ask("REFUND")
    desk.act(return_id, "status", value="RETURN_UNDER_REVIEW_2027", arbitration_status="ESCALATED_2027")
    found = desk.one(return_id)
    assert (found["return_status"], found["arbitration_status"]) == ("RETURN_UNDER_REVIEW_2027", "ESCALATED_2027")
    assert desk.eligible(return_id) == set()
    desk.act(return_id, "withdraw")


def test_returns_survive_a_cancellation_of_the_order_and_can_be_seeded(desk: Desk) -> None:
    order_id = desk.shipped(to="IN_TRANSIT")
    return_id = desk.ask("REFUND", order_id)
    desk.seller.control("POST", f"orders/{order_id}/cancel", {"by": "SYSTEM"})
    assert desk.status(return_id) == "RETURN_OR_REFUND_REQUEST_CANCEL"
    desk.seller.control("POST", "seed", {"orders": 12, "status": "DELIVERED", "shops": ["GB"]})
    seeded = desk.seller.control("POST", "returns/seed", {"returns": 6, "shop": "GB"})
    assert seeded["returns"] == 6
    truth = desk.seller.control("GET", "returns?shop=GB")
    assert truth["total"] == 7 and set(seeded["ids"]) < {each["return_id"] for each in truth["returns"]}
    assert {each["return_type"] for each in desk.find(return_ids=seeded["ids"])} == {"REFUND", "RETURN_AND_REFUND", "REPLACEMENT"}

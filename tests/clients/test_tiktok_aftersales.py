"""Cancellations, returns and refunds: the client against the practice marketplace, real HTTP, its clock and its faults (TTS §5.6; A213-A220)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import requests

from connector.clients.errors import Rejected, Uncertain
from connector.clients.remedies import REMEDIES
from connector.clients.tiktok import CreatedReturn, RefundAmount, TikTokClient
from connector.domain.returns import ACTIONS, actions, arbitration, goods_back, read_return
from connector.practice.tiktok.markets import MARKETS, stable_id
from tests.clients.scripted import Reply, ScriptedServer
from tests.clients.test_practice_tiktok import Shop

AGREED = "seller_reject_apply_you_have_reached_an_agreement_with_the_buyer"
DAY = 86_400


class Buyer:
    """A shop with its buyers: what they order, send back and say."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.client = shop, shop.client()

    def shipped(self, lines: int = 1, *acts: str) -> str:
        order_id = self.shop.place(lines)
        (order,) = self.client.get_orders([order_id])
        provider = stable_id("6617", f"carrier:{self.shop.region}:{MARKETS[self.shop.region].carriers[0]}")
        ids = [line["id"] for line in order["line_items"]]
        self.client.mark_shipped(order_id, line_ids=ids, tracking_number=f"PARCEL-{order_id}", shipping_provider_id=provider)
        for act in acts or ("collect", "deliver"):
            self.shop.tell(f"orders/{order_id}/{act}")
        return order_id

    def asks(self, kind: str, order_id: str | None = None, **wish: Any) -> str:
        return str(self.shop.tell(f"orders/{order_id or self.shipped()}/return", type=kind, **wish)["returns"][-1]["return_id"])

    def does(self, return_id: str, act: str, **wish: Any) -> None:
        self.shop.tell(f"returns/{return_id}/{act}", **wish)

    def find(self, return_id: str) -> Any:
        (found,) = list(self.client.iter_returns({"return_ids": [return_id]}))
        return read_return(found, country=self.shop.region)

    def buttons(self, return_id: str) -> list[str]:
        declined = self.find(return_id).offer_declined
        return [action.decision for action in actions(self.client.decision_eligibility(return_id), offer_declined=declined)]

    def advance(self, seconds: int) -> None:
        self.shop.tell("clock", advance_seconds=seconds)


@pytest.fixture
def buyer(practice_tiktok: Any) -> Buyer:
    return Buyer(Shop(practice_tiktok.url))


@pytest.fixture
def us(practice_tiktok: Any) -> Buyer:
    return Buyer(Shop(practice_tiktok.url, "US"))


def test_a_return_goes_from_the_buyers_request_to_the_refund(buyer: Buyer) -> None:
    """A213, A214, A216"""
    client, return_id = buyer.client, buyer.asks("RETURN_AND_REFUND", note="Broken", pictures=2)
    asked = buyer.find(return_id)
    assert (asked.next_action, asked.deadline_estimated) == ("SELLER_RESPOND_RETURN", False)
    assert asked.deadline is not None and asked.deadline > datetime.now(UTC)
    assert buyer.buttons(return_id) == ["APPROVE_RETURN", "DIRECT_REFUND", "OFFER_PARTIAL_REFUND", "REJECT_RETURN"]
    (record,) = client.return_records(return_id)
    assert (record["note"], len(record["images"])) == ("Broken", 2)
    assert requests.get(record["images"][0]["url"], timeout=10).content.startswith(b"\x89PNG")
    client.approve_return(return_id, decision="APPROVE_RETURN", idempotency_key="a")
    assert goods_back(buyer.find(return_id)) == "no"
    buyer.does(return_id, "ship", tracking_number="BACK-1")
    assert buyer.buttons(return_id) == ["APPROVE_RECEIVED_PACKAGE", "REJECT_RECEIVED_PACKAGE", "OFFER_PARTIAL_REFUND_AFTER_RECEIVING_PKG"]
    client.approve_return(return_id, decision="APPROVE_RECEIVED_PACKAGE", idempotency_key="b")
    granted = buyer.find(return_id)
    assert (granted.meaning.phase, granted.tracking_number) == ("refunding", "BACK-1")
    assert goods_back(granted, package_accepted=True) == "received"
    buyer.advance(7200)
    assert buyer.find(return_id).meaning.phase == "done"


@pytest.mark.parametrize(
    ("kind", "decision", "more", "phase"),
    [
        ("REFUND", "APPROVE_REFUND", {}, "refunding"),
        ("REFUND", "OFFER_PARTIAL_REFUND", {"partial_refund": (Decimal("1.50"), "GBP")}, "buyer"),
        ("RETURN_AND_REFUND", "APPROVE_RETURN", {"buyer_keep_item": True}, "refunding"),
        ("RETURN_AND_REFUND", "DIRECT_REFUND", {}, "refunding"),
        ("REPLACEMENT", "APPROVE_REPLACEMENT", {}, "done"),
        ("REPLACEMENT", "ISSUE_REPLACEMENT_REFUND", {}, "refunding"),
        ("EXCHANGE", "ISSUE_EXCHANGE_REFUND", {}, "refunding"),
    ],
)
def test_every_approval_does_what_it_says(buyer: Buyer, kind: str, decision: str, more: dict[str, Any], phase: str) -> None:
    """A214"""
    return_id = buyer.asks(kind)
    assert decision in buyer.buttons(return_id)
    for _ in range(2):  # the key makes the repeat harmless
        buyer.client.approve_return(return_id, decision=decision, idempotency_key="once", **more)
    after = buyer.find(return_id)
    assert after.meaning.phase == phase
    assert after.offered_amount == (Decimal("1.50") if "partial_refund" in more else None)
    assert after.buyer_keeps_item == (decision in ("APPROVE_RETURN", "DIRECT_REFUND"))


@pytest.mark.parametrize(("kind", "decision", "sent"), [
    ("REFUND", "REJECT_REFUND", False), ("RETURN_AND_REFUND", "REJECT_RETURN", False),
    ("RETURN_AND_REFUND", "REJECT_RECEIVED_PACKAGE", True), ("REPLACEMENT", "REJECT_REPLACEMENT", False),
])  # fmt: skip
def test_every_rejection_takes_a_reason_of_the_list_and_may_be_appealed(buyer: Buyer, kind: str, decision: str, sent: bool) -> None:
    """A215, A220"""
    client, return_id = buyer.client, buyer.asks(kind)
    if sent:
        client.approve_return(return_id, decision="APPROVE_RETURN", idempotency_key="a")
        buyer.does(return_id, "ship")
    (button,) = [action for action in actions(client.decision_eligibility(return_id)) if action.decision == decision]
    assert button.reasons == tuple((each["name"], each["text"]) for each in client.reject_reasons(return_id))
    client.reject_return(return_id, decision=decision, reject_reason=button.reasons[0][0], comment="As agreed", idempotency_key="r")
    assert (buyer.find(return_id).meaning.phase, buyer.buttons(return_id)) == ("buyer", [])
    buyer.does(return_id, "appeal")
    said = arbitration(buyer.find(return_id).arbitration_status)
    assert said is not None and said.phase == "platform"
    assert not buyer.find(return_id).needs_answer


def test_received_goods_are_paid_in_part_with_the_older_version_refused(buyer: Buyer) -> None:
    client, return_id = buyer.client, buyer.asks("RETURN_AND_REFUND")
    client.approve_return(return_id, decision="APPROVE_RETURN", idempotency_key="a")
    buyer.does(return_id, "ship")
    offer: dict[str, Any] = {"decision": "OFFER_PARTIAL_REFUND_AFTER_RECEIVING_PKG", "reject_reason": AGREED, "partial_refund": (Decimal("2.00"), "GBP")}
    with pytest.raises(Rejected):
        buyer.shop.client(versions={"reject_return": "202309"}).reject_return(return_id, **offer, idempotency_key="r1")
    client.reject_return(return_id, **offer, comment="Scratched", idempotency_key="r2")
    assert buyer.find(return_id).offered_amount == Decimal("2.00")
    buyer.does(return_id, "accept")
    after = buyer.find(return_id)
    assert (after.amount, after.meaning.phase) == (Decimal("2.00"), "refunding")
    assert goods_back(after, seen_on_the_way=True) == "ask"


@pytest.mark.parametrize("version", ["202602", "202309"])
def test_the_sellers_own_refund_is_calculated_created_and_found_again(us: Buyer, version: str) -> None:
    client = us.shop.client(versions={"create_return": version, "calculate_refund": version})
    order_id = us.shipped(2)
    line = client.get_orders([order_id])[0]["line_items"][0]
    (terms,) = list(client.aftersale_eligibility(order_id, request_types=("REFUND",))[0]["line_item_eligibility"])
    reason = terms["available_reason_names"][0]
    due = client.calculate_refund(order_id, request_type="REFUND", reason_name=reason, line_ids=[line["id"]])
    assert isinstance(due, RefundAmount) and due.currency == "USD"
    assert due.total == due.subtotal + due.shipping_fee + due.tax + due.retail_delivery_fee == Decimal(line["sale_price"]) + due.tax
    amount = due.total - Decimal("0.50")
    made = [
        client.create_return(
            order_id, return_type="REFUND", return_reason=reason, line_ids=[line["id"]], refund_total=amount, currency="USD", idempotency_key="memo 1"
        )
        for _ in range(2)
    ]
    assert made[0] == made[1] == CreatedReturn(made[0].return_id, "RETURN_OR_REFUND_REQUEST_SUCCESS")
    snapshot = us.find(made[0].return_id)
    assert (snapshot.amount, snapshot.order_line_ids, snapshot.role) == (amount, (line["id"],), "SELLER")
    assert sum(item.amount for item in snapshot.items) == amount


def test_a_lost_answer_is_uncertain_and_the_key_makes_the_repeat_harmless(buyer: Buyer) -> None:
    return_id = buyer.asks("REFUND")
    buyer.shop.tell("faults", kind="lost_answer", operation="returns.approve", times=1)
    with pytest.raises(Uncertain):
        buyer.client.approve_return(return_id, decision="APPROVE_REFUND", idempotency_key="k")
    buyer.client.approve_return(return_id, decision="APPROVE_REFUND", idempotency_key="k")
    assert buyer.find(return_id).meaning.phase == "refunding"


def test_refusals_have_words_for_people(buyer: Buyer) -> None:
    return_id = buyer.asks("REFUND")
    cases: list[tuple[str, Callable[[], object]]] = [
        ("tts.cancel_status", lambda: buyer.client.approve_return(return_id, decision="APPROVE_RETURN", idempotency_key="1")),
        ("tts.cancel_reason", lambda: buyer.client.reject_return(return_id, decision="REJECT_REFUND", reject_reason="because", idempotency_key="2")),
        ("tts.parameter", lambda: buyer.client.approve_return("1", decision="APPROVE_REFUND", idempotency_key="3")),
        (
            "tts.parameter",
            lambda: buyer.client.approve_return(return_id, decision="OFFER_PARTIAL_REFUND", partial_refund=(Decimal(9999), "GBP"), idempotency_key="4"),
        ),
    ]
    for code, call in cases:
        with pytest.raises(Rejected) as refused:
            call()
        assert refused.value.code == code and refused.value.remote_message
        title, remedy = REMEDIES[code]
        assert title and remedy.endswith(".")
    buyer.shop.tell("faults", kind="refusal", operation="returns.approve", code=25020008, message="please try again", times=1)
    with pytest.raises(Exception, match="please try again") as busy:
        buyer.client.approve_return(return_id, decision="APPROVE_REFUND", idempotency_key="5")
    assert busy.value.code == "tts.try_again"  # type: ignore[attr-defined]


def test_arguments_that_can_never_be_right_are_refused_before_the_call(buyer: Buyer) -> None:
    calls: list[Callable[[], object]] = [
        lambda: buyer.client.approve_return("1", decision="OFFER_PARTIAL_REFUND", idempotency_key="k"),
        lambda: buyer.client.approve_return("1", decision="APPROVE_REFUND", partial_refund=(Decimal(1), "GBP"), idempotency_key="k"),
        lambda: buyer.client.reject_return("1", decision="REJECT_REFUND", reject_reason="r", partial_refund=(Decimal(1), "GBP"), idempotency_key="k"),
        lambda: buyer.client.create_return("1", return_type="REFUND", return_reason="r", refund_total=Decimal(1), idempotency_key="k"),
    ]
    for call in calls:
        with pytest.raises(ValueError):
            call()


def test_unknown_values_survive_the_whole_way(buyer: Buyer) -> None:
    return_id = buyer.asks("REFUND")
    buyer.does(return_id, "status", value="NEW_STATUS_2027", return_type="NEW_TYPE_2027", arbitration_status="NEW_CASE_2027")
    buyer.shop.tell("faults", kind="extra_fields", operation="returns.search", times=1)
    snapshot = buyer.find(return_id)
    assert (snapshot.status, snapshot.return_type, snapshot.arbitration_status) == ("NEW_STATUS_2027", "NEW_TYPE_2027", "NEW_CASE_2027")
    assert set(snapshot.unknown) == {"return_status", "return_type", "arbitration_status"}
    assert (snapshot.meaning.label, buyer.buttons(return_id)) == ("NEW_STATUS_2027", [])


def test_all_pages_of_returns_are_read_and_an_empty_list_is_no_fault(buyer: Buyer) -> None:
    assert list(buyer.client.iter_returns()) == []
    buyer.shop.tell("seed", orders=60, status="DELIVERED", shops=["GB"])
    seeded = buyer.shop.tell("returns/seed", returns=55, shop="GB")
    found = [read_return(each, country="GB") for each in buyer.client.iter_returns()]
    assert sorted(each.return_id for each in found) == sorted(seeded["ids"]) and len(found) == 55
    assert all(each.needs_answer and each.deadline and sum(item.amount for item in each.items) <= each.amount for each in found)


def test_a_label_of_our_own_reaches_the_return(buyer: Buyer) -> None:
    return_id = buyer.asks("RETURN_AND_REFUND", shipment_type="BUYER_ARRANGE")
    buyer.client.approve_return(return_id, decision="APPROVE_RETURN", idempotency_key="a")
    buyer.client.upload_return_label([return_id], name="label.pdf", content=b"%PDF-1.4", tracking_number="LABEL-1")
    assert buyer.find(return_id).tracking_number == "LABEL-1"


def test_a_rejected_cancellation_carries_its_comment_and_pictures(buyer: Buyer) -> None:
    order_id = buyer.shop.place()
    cancel_id = buyer.shop.tell(f"orders/{order_id}/cancel")["cancellations"][0]["cancel_id"]
    reason = buyer.client.reject_reasons(cancel_id)[0]["name"]
    with pytest.raises(Rejected):
        buyer.client.reject_cancellation(cancel_id, reject_reason=reason, images=[{"image_id": "nowhere"}], idempotency_key="1")
    buyer.client.reject_cancellation(cancel_id, reject_reason=reason, comment="Packed", idempotency_key="2")
    (found,) = list(buyer.client.iter_cancellations({"cancel_ids": [cancel_id]}))
    assert found["cancel_status"] == "CANCELLATION_REQUEST_CANCEL"
    assert set(ACTIONS).isdisjoint({each["decision"] for each in buyer.client.decision_eligibility(cancel_id)})


def test_the_coming_model_is_asked_in_its_own_words(tiktok: Callable[..., TikTokClient], server: ScriptedServer) -> None:
    """TTS §5.6.9: paging and sorting stand in the body, and so does the key."""
    client = tiktok()
    server.default = Reply(body={"code": 0, "message": "Success", "request_id": "r", "data": {"aftersales_requests": [{"id": "1"}]}})
    assert client.search_aftersales({"main_order_ids": ["5"]}, page_size=10, page_token="t")["aftersales_requests"] == [{"id": "1"}]
    client.search_rma()
    client.review_decision("77", check_decisions=("APPROVE_REFUND",))
    client.review_aftersales("AFTERSALES", [{"request_id": "1", "line_item_decisions": []}], idempotency_key="k")
    first, second, third, fourth = server.received
    assert (first.path, first.json["filters"], first.json["pagination"]) == (
        "/return_refund/202603/aftersales/search", {"main_order_ids": ["5"]}, {"page_size": 10, "page_token": "t"},
    )  # fmt: skip
    assert first.json["sort"] == {"sort_field": "UPDATE_TIME", "sort_order": "ASC"} and "LINE_ITEMS" in first.json["whitelisted_data_fields"]
    assert (second.path, second.json["pagination"]) == ("/return_refund/202604/rma/search", {"page_size": 100})
    assert (third.path, third.query["return_or_cancel_id"], third.query["check_decisions"]) == (
        "/return_refund/202606/review_decision", "77", "APPROVE_REFUND",
    )  # fmt: skip
    assert (fourth.path, fourth.json["idempotency_key"], "idempotency_key" in fourth.query) == ("/return_refund/202609/aftersales/review", "k", False)

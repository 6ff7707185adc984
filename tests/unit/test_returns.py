"""Reading TikTok's returns (TTS §5.6.4-§5.6.8; A213-A220)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connector.domain.returns import (
    ACTIONS,
    STATUSES,
    BadReturn,
    actions,
    arbitration,
    can_be_offered,
    goods_back,
    meaning,
    read_return,
    type_label,
)

TONES = {"danger", "info", "neutral", "progress", "success", "warning"}


def payload(**changes: Any) -> dict[str, Any]:
    return {
        "return_id": "4035000000000000001",
        "order_id": "576460000000000001",
        "return_type": "RETURN_AND_REFUND",
        "return_status": "RETURN_OR_REFUND_REQUEST_PENDING",
        "role": "BUYER",
        "return_reason": "ecom_order_delivered_refund_and_return_reason_product_damaged",
        "return_reason_text": "Product damaged",
        "refund_amount": {"currency": "GBP", "refund_total": "24.10", "refund_subtotal": "24.10"},
        "return_line_items": [
            {
                "return_line_item_id": f"40350000000000{n:04d}",
                "order_line_item_id": f"57646100000000000{n}",
                "sku_id": "1729",
                "seller_sku": "MUG-01",
                "product_name": "Mug",
                "sku_name": "Green",
                "refund_amount": {"currency": "GBP", "refund_total": "12.05"},
            }
            for n in (1, 2)
        ],
        "seller_next_action_response": [{"action": "SELLER_RESPOND_RETURN", "deadline": 1_767_600_000}],
        "create_time": 1_767_222_000,
        "update_time": 1_767_225_600,
        **changes,
    }


def decision(name: str, eligible: bool = True, **more: Any) -> dict[str, Any]:
    return {"decision": name, "eligible": eligible, "available_reject_reasons": [], **more}


def test_a_return_is_read_with_amounts_per_unit_and_its_order_lines() -> None:
    """A216, A218"""
    snapshot = read_return(payload())
    assert (snapshot.type_label, snapshot.meaning.label, snapshot.meaning.tone) == ("Return & Refund", "Waiting for your answer", "warning")
    assert (snapshot.amount, snapshot.currency, [item.amount for item in snapshot.items]) == (Decimal("24.10"), "GBP", [Decimal("12.05")] * 2)
    assert snapshot.order_line_ids == ("576461000000000001", "576461000000000002")
    assert snapshot.needs_answer and snapshot.open and snapshot.unknown == ()


def test_every_field_stands_where_tiktok_wrote_it() -> None:
    said = {"return_tracking_number": "RET1", "return_provider_name": "Royal Mail", "pre_return_id": "1", "next_return_id": "3", "is_quick_refund": True}
    found = read_return(payload(**said, can_buyer_keep_item=True))
    assert (found.role, found.reason[-7:], found.reason_text) == ("BUYER", "damaged", "Product damaged")
    assert (found.tracking_number, found.carrier, found.previous_id, found.next_id) == ("RET1", "Royal Mail", "1", "3")
    assert (found.quick_refund, found.buyer_keeps_item, found.offer_declined) == (True, True, False)
    assert (found.created_at, found.updated_at) == (datetime.fromtimestamp(1_767_222_000, UTC), datetime.fromtimestamp(1_767_225_600, UTC))
    item = found.items[0]
    assert (item.return_line_item_id, item.order_line_id) == ("403500000000000001", "576461000000000001")
    assert (item.sku_id, item.seller_sku, item.name, item.variant) == ("1729", "MUG-01", "Mug", "Green")


def test_the_deadline_is_tiktoks_own_and_the_earliest_of_several() -> None:
    later = {"action": "SELLER_RESPOND_REFUND", "deadline": 1_767_700_000}
    earlier = {"action": "SELLER_RESPOND_RETURN", "deadline": 1_767_600_000}
    snapshot = read_return(payload(seller_next_action_response=[later, earlier]), country="US")
    assert (snapshot.next_action, snapshot.deadline_estimated) == ("SELLER_RESPOND_RETURN", False)
    assert snapshot.deadline == datetime.fromtimestamp(1_767_600_000, UTC)


@pytest.mark.parametrize(("country", "hours"), [("GB", 48), ("US", 24), ("TH", 24), ("", 48)])
def test_the_table_of_the_country_serves_only_where_the_deadline_is_missing(country: str, hours: int) -> None:
    snapshot = read_return(payload(seller_next_action_response=[]), country=country)
    assert snapshot.deadline_estimated
    assert snapshot.deadline == datetime.fromtimestamp(1_767_222_000 + hours * 3600, UTC), "from the request on, whatever was added to it since"
    shipped = read_return(payload(seller_next_action_response=[], return_status="BUYER_SHIPPED_ITEM"), country=country)
    assert shipped.deadline == datetime.fromtimestamp(1_767_225_600 + 48 * 3600, UTC)
    named = read_return(payload(seller_next_action_response=[{"action": "SELLER_RESPOND_RETURN"}]), country=country)
    assert (named.next_action, named.deadline) == ("SELLER_RESPOND_RETURN", snapshot.deadline)
    asked_all_the_same = payload(seller_next_action_response=["?", {"action": "SELLER_ACT", "deadline": 0}], return_status="AWAITING_BUYER_SHIP")
    later = read_return(asked_all_the_same, country=country)
    assert (later.next_action, later.deadline, later.needs_answer) == ("SELLER_ACT", snapshot.deadline, True), "its own word comes before the status"


def test_nobody_waits_for_the_seller_while_tiktok_decides_or_the_buyer_acts() -> None:
    for changes in ({"return_status": "AWAITING_BUYER_SHIP"}, {"arbitration_status": "IN_PROGRESS"}, {"return_status": "RETURN_OR_REFUND_REQUEST_COMPLETE"}):
        snapshot = read_return(payload(seller_next_action_response=[], **changes))
        assert (snapshot.deadline, snapshot.needs_answer) == (None, False), changes


def test_every_status_of_the_contract_has_words_and_a_tone() -> None:
    """A219: TTS §5.6.8, in the practice marketplace's list too."""
    from connector.practice.tiktok.returns_life import STATUSES as practised

    assert set(practised) == set(STATUSES)
    for status in STATUSES:
        said = meaning(status)
        assert said.known and said.tone in TONES and said.label != status
    waiting = {status for status in STATUSES if meaning(status).phase == "seller"}
    assert waiting == {"RETURN_OR_REFUND_REQUEST_PENDING", "BUYER_SHIPPED_ITEM", "REPLACEMENT_REQUEST_PENDING"}
    assert {status for status in STATUSES if meaning(status).phase == "refunding"} == {status for status in STATUSES if status.endswith("_SUCCESS")}
    assert {status for status in STATUSES if meaning(status).phase == "platform"} == {"EXCHANGE_REQUEST_PENDING"}
    finals = {status for status in STATUSES if meaning(status).phase in ("done", "closed")}
    assert finals == {status for status in STATUSES if status.endswith(("_COMPLETE", "_CANCEL"))}


@pytest.mark.parametrize("field", ["return_status", "return_type", "arbitration_status"])
def test_values_nobody_documented_survive_verbatim_and_are_flagged(field: str) -> None:
    snapshot = read_return(payload(**{field: "SOMETHING_NEW_2027"}))
    assert snapshot.unknown == (field,)
    assert snapshot.open
    if field == "return_status":
        assert (snapshot.meaning.label, snapshot.meaning.known) == ("SOMETHING_NEW_2027", False)
    elif field == "return_type":
        assert snapshot.type_label == "SOMETHING_NEW_2027"
    else:
        said = arbitration(snapshot.arbitration_status)
        assert said is not None and said.label == "SOMETHING_NEW_2027" and not said.known


def test_other_spellings_of_a_status_mean_the_same() -> None:
    assert meaning("RETURN_OR_REFUND_REQUEST_CANCELLED") == meaning("RETURN_OR_REFUND_REQUEST_CANCEL")
    assert meaning("AWAITING_BUYER_SHIPPED") == meaning("AWAITING_BUYER_SHIP")
    assert meaning("AWAITING_BUYER_RETURN") == meaning("AWAITING_BUYER_SHIP")
    for kind in ("REPLACEMENT", "EXCHANGE"):
        assert meaning(f"{kind}_REQUEST_CANCELLED") == meaning(f"{kind}_REQUEST_CANCEL")
    assert [type_label(kind) for kind in ("REFUND", "REPLACEMENT", "EXCHANGE")] == ["Refund", "Replacement", "Exchange"]
    assert arbitration("") is None
    assert meaning("").label == "No status"


def test_a_decided_arbitration_is_known_and_waits_for_nobody() -> None:
    for status, phase in (("IN_PROGRESS", "platform"), ("SUPPORT_BUYER", "done"), ("SUPPORT_SELLER", "done"), ("CLOSED", "closed")):
        said = arbitration(status)
        assert said is not None and said.phase == phase
        assert read_return(payload(arbitration_status=status)).unknown == ()


def test_what_is_missing_is_nothing_and_what_was_never_changed_stands_since_it_was_made() -> None:
    bare = read_return({"return_id": "1", "order_id": "2", "return_status": "BUYER_SHIPPED_ITEM", "return_type": "RETURN_AND_REFUND"})
    assert (bare.amount, bare.offered_amount, bare.items, bare.deadline, bare.needs_answer) == (Decimal(0), None, (), None, True)
    offered = read_return(payload(partial_refund={"amount": "3.50"}, buyer_rejected_partial_refund=True, update_time=None, return_status="BUYER_SHIPPED_ITEM"))
    assert (offered.offered_amount, offered.offer_declined, offered.updated_at) == (Decimal("3.50"), True, offered.created_at)
    unpriced = payload(return_line_items=[{"order_line_item_id": "7", "refund_amount": None}])
    assert read_return(unpriced).items[0].amount == Decimal(0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"return_id": ""}, "return_id"),
        ({"order_id": None}, "order_id"),
        ({"refund_amount": {"refund_total": "a lot"}}, "refund_amount.refund_total"),
        ({"refund_amount": {"refund_total": "NaN"}}, "refund_amount.refund_total"),
        ({"refund_amount": {"refund_total": "-0.01"}}, "refund_amount.refund_total"),
        ({"partial_refund": {"amount": "some"}}, "partial_refund.amount"),
        ({"refund_amount": ["1"]}, "refund_amount"),
        ({"return_line_items": [{"sku_id": "1"}]}, "return_line_items[0].order_line_item_id"),
        ({"return_line_items": ["x"]}, "return_line_items[0]"),
        ({"update_time": "yesterday"}, "update_time"),
    ],
)
def test_a_payload_that_cannot_be_trusted_names_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadReturn) as refused:
        read_return(payload(**changes))
    assert refused.value.field == field
    assert refused.value.code == "return.bad_payload" and refused.value.remedy


def test_the_buttons_come_from_decision_eligibility_with_the_partial_offer_beside() -> None:
    """A214, A215, A220"""
    answer = [
        decision("APPROVE_REFUND", False),
        decision("REJECT_RETURN", available_reject_reasons=[{"name": "agreed", "text": "Agreed"}]),
        decision("APPROVE_RETURN", available_reject_reasons=[{"name": "not for an approval"}]),
        decision("DIRECT_REFUND"),
        decision("APPROVE_REQUEST_CANCEL"),
    ]
    offered = actions(answer)
    assert [action.decision for action in offered] == ["APPROVE_RETURN", "DIRECT_REFUND", "OFFER_PARTIAL_REFUND", "REJECT_RETURN"]
    assert offered[0].keep_item and offered[2].partial and not offered[2].rejects
    assert (offered[3].rejects, offered[3].reasons) == (True, (("agreed", "Agreed"),))
    assert offered[0].reasons == ()
    both = [action.decision for action in actions([decision("APPROVE_RETURN"), decision("APPROVE_REFUND"), {"eligible": True}])]
    assert both == ["APPROVE_REFUND", "APPROVE_RETURN", "OFFER_PARTIAL_REFUND"], "one offer, wherever it stands beside"
    assert "OFFER_PARTIAL_REFUND" not in [action.decision for action in actions(answer, offer_declined=True)]


def test_received_goods_may_be_taken_refused_or_paid_in_part() -> None:
    reasons = [{"name": "agreed", "text": "Agreed"}]
    offered = actions([decision("APPROVE_RECEIVED_PACKAGE"), decision("REJECT_RECEIVED_PACKAGE", available_reject_reasons=reasons)])
    assert [(action.decision, action.partial, bool(action.reasons)) for action in offered] == [
        ("APPROVE_RECEIVED_PACKAGE", False, False),
        ("REJECT_RECEIVED_PACKAGE", False, True),
        ("OFFER_PARTIAL_REFUND_AFTER_RECEIVING_PKG", True, True),
    ]


def test_an_offer_that_tiktok_itself_rules_out_is_not_added() -> None:
    assert [action.decision for action in actions([decision("APPROVE_REFUND"), decision("OFFER_PARTIAL_REFUND", False)])] == ["APPROVE_REFUND"]


def test_a_decision_nobody_documented_is_shown_and_flagged() -> None:
    (action,) = actions([decision("TELEPORT_GOODS")])
    assert (action.decision, action.label, action.known, action.rejects) == ("TELEPORT_GOODS", "TELEPORT_GOODS", False, False)
    assert actions([decision("REJECT_TELEPORT")])[0].rejects


@pytest.mark.parametrize(
    ("amount", "whole", "currency", "possible"),
    [
        ("3.50", "12.05", "GBP", True), ("0.01", "12.05", "GBP", True), ("12.05", "12.05", "GBP", False), ("0", "12.05", "GBP", False), ("0.005", "12.05", "GBP", False),
        ("NaN", "12.05", "GBP", False), ("500", "1200", "JPY", True), ("500.5", "1200", "JPY", False), ("90000", "120000", "VND", True),
    ],
)  # fmt: skip
def test_a_part_is_offered_in_steps_that_the_currency_has(amount: str, whole: str, currency: str, possible: bool) -> None:
    assert can_be_offered(Decimal(amount), Decimal(whole), currency) is possible
    assert can_be_offered(None, Decimal(whole), currency) is False


def test_every_decision_of_the_contract_has_a_button() -> None:
    named = {"APPROVE_REFUND", "REJECT_REFUND", "APPROVE_RETURN", "REJECT_RETURN", "APPROVE_RECEIVED_PACKAGE", "REJECT_RECEIVED_PACKAGE"}
    named |= {"APPROVE_REPLACEMENT", "REJECT_REPLACEMENT", "ISSUE_REPLACEMENT_REFUND", "ISSUE_EXCHANGE_REFUND", "DIRECT_REFUND"}
    assert named | {"OFFER_PARTIAL_REFUND", "OFFER_PARTIAL_REFUND_AFTER_RECEIVING_PKG"} == set(ACTIONS)


COMPLETE = {"return_status": "RETURN_OR_REFUND_REQUEST_COMPLETE"}
SENT = {"return_tracking_number": "RET1"}


@pytest.mark.parametrize(
    ("changes", "facts", "back"),
    [
        ({**COMPLETE, **SENT, "return_type": "REFUND"}, {}, "no"),
        (COMPLETE, {}, "no"),  # granted before anything was sent
        ({**COMPLETE, **SENT}, {}, "ask"),
        (COMPLETE, {"seen_on_the_way": True}, "ask"),
        ({"return_status": "BUYER_SHIPPED_ITEM", **SENT}, {}, "no"),
        ({"return_status": "RETURN_OR_REFUND_REQUEST_SUCCESS", **SENT}, {"package_accepted": True}, "received"),
        ({"return_status": "REJECT_RECEIVE_PACKAGE", **SENT}, {"seen_on_the_way": True}, "no"),
        ({**COMPLETE, **SENT, "can_buyer_keep_item": True}, {"package_accepted": True}, "no"),
        ({"return_type": "REPLACEMENT", "return_status": "REPLACEMENT_REQUEST_COMPLETE"}, {}, "no"),
        ({"return_status": "NEW_2027", **SENT}, {"seen_on_the_way": True}, "no"),
    ],
)
def test_only_goods_that_came_back_go_into_stock(changes: dict[str, Any], facts: dict[str, bool], back: str) -> None:
    """A214"""
    assert goods_back(read_return(payload(**changes)), **facts) == back

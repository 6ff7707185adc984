"""Shipping rules as tables: which call, which lines, which tracking numbers, which refusals, which carriers (TTS §5.5, §6.4; A113, A206, A256-A258)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.domain.carriers import CarrierMatch, Provider, match_carrier, normalise, similarity, suggest
from connector.domain.rejection import OUT_OF_STOCK, PRICING_ERROR, UNABLE_TO_DELIVER, read_eligibility, reason_name
from connector.domain.shipping import ShipFacts, Unit, choose_lines, clean_tracking, route, ship_verdict, tracking_problem, units_of

ROYAL = CarrierMatch("Royal Mail", "700", "Royal Mail")


def unit(line_id: str, sku: str = "TEE", status: str = "AWAITING_SHIPMENT", tracking: str = "", package: str = "") -> Unit:
    return Unit(line_id, sku, status, package, tracking)


def facts(**changes: object) -> ShipFacts:
    base = ShipFacts(
        number="5764", market="GB", status="AWAITING_SHIPMENT", fulfillment_type="FULFILLMENT_BY_SELLER", shipping_type="SELLER", cancel_requested=False,
        units=(unit("1"), unit("2"), unit("3", "MUG")), tracking="RM123456789GB", carrier=ROYAL,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("market", "shipping_type", "fulfillment_type", "expected"),
    [
        ("US", "SELLER", "FULFILLMENT_BY_SELLER", "mark_shipped"),
        ("GB", "SELLER", "FULFILLMENT_BY_SELLER", "mark_shipped"),
        ("UK", "SELLER", "", "mark_shipped"),
        ("JP", "SELLER", "FULFILLMENT_BY_SELLER", "mark_shipped"),
        ("DE", "SELLER", "FULFILLMENT_BY_SELLER", "mark_shipped"),
        ("PL", "SELLER", "FULFILLMENT_BY_SELLER", "mark_shipped"),
        ("SG", "SELLER", "FULFILLMENT_BY_SELLER", "ship_package"),
        ("MX", "SELLER", "FULFILLMENT_BY_SELLER", "ship_package"),
        ("GB", "TIKTOK", "FULFILLMENT_BY_SELLER", "label"),
        ("SG", "TIKTOK_DIGITAL", "FULFILLMENT_BY_SELLER", "label"),
        ("GB", "SELLER", "FULFILLMENT_BY_TIKTOK", "follow"),
        ("ID", "SELLER", "FULFILLMENT_BY_DILAYANI_TOKOPEDIA", "follow"),
        ("ZZ", "SELLER", "FULFILLMENT_BY_SELLER", "unknown"),
        ("GB", "DRONE", "FULFILLMENT_BY_SELLER", "unknown"),
    ],
)
def test_the_market_and_the_shipping_type_decide_which_call_ships(market: str, shipping_type: str, fulfillment_type: str, expected: str) -> None:
    assert route(market, shipping_type, fulfillment_type) == expected


@pytest.mark.parametrize(
    ("quantities", "taken", "expected", "missing"),
    [
        ({}, (), ("1", "2", "4"), {}),
        ({"TEE": 1}, (), ("1",), {}),
        ({"TEE": 2, "MUG": 1}, (), ("1", "2", "4"), {}),
        ({"TEE": 3}, (), ("1", "2"), {"TEE": 1}),
        ({"TEE": 1}, ("1",), ("2",), {}),
        ({"CAP": 1}, (), (), {"CAP": 1}),
        ({"TEE": 0, "MUG": 1}, (), ("4",), {}),
    ],
)
def test_a_parcel_takes_as_many_open_lines_of_a_sku_as_magento_shipped(
    quantities: dict[str, int], taken: tuple[str, ...], expected: tuple[str, ...], missing: dict[str, int]
) -> None:
    units = [unit("1"), unit("2"), unit("3", status="CANCELLED"), unit("4", "MUG"), unit("5", tracking="SENT1"), unit("6", status="IN_TRANSIT")]
    choice = choose_lines(units, quantities, taken)
    assert choice.line_ids == expected
    assert choice.missing == missing


def test_after_a_lost_answer_the_same_lines_are_chosen_again() -> None:
    assert choose_lines([unit("1"), unit("2"), unit("3")], {"TEE": 1}, prefer={"3"}).line_ids == ("3",)


@pytest.mark.parametrize(
    ("number", "fine"),
    [
        ("1Z999AA10123456784", True), ("RM.12/3_4-5", True), ("ABCD", True), ("A" * 50, True),
        ("ABC", False), ("A" * 51, False), ("", False), ("12 34", False), ("ÄÖÜ1234", False), ("1234;DROP", False),
    ],
)  # fmt: skip
def test_tracking_numbers_are_what_tiktok_accepts(number: str, fine: bool) -> None:
    assert (tracking_problem(number) is None) is fine


def test_spaces_in_a_tracking_number_are_taken_out() -> None:
    assert clean_tracking(" 1Z 999 AA1\t0123 ") == "1Z999AA10123"
    assert clean_tracking(None) == ""


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"status": "CANCELLED"}, "cancelled"),
        ({"status": "DELIVERED"}, "status"),
        ({"status": "SOMETHING_NEW"}, "status"),
        ({"status": "ON_HOLD"}, "not_on_hold"),
        ({"status": "UNPAID"}, "not_on_hold"),
        ({"fulfillment_type": "FULFILLMENT_BY_TIKTOK"}, "fulfilled_by_seller"),
        ({"shipping_type": "TIKTOK"}, "shipped_by_seller"),
        ({"market": "ZZ"}, "market_known"),
        ({"cancel_requested": True}, "no_open_cancellation"),
        ({"carrier": match_carrier("Unknown Van", {}, [Provider("1", "UPS")])}, "carrier"),
        ({"tracking": "x"}, "tracking"),
        ({"quantities": {"CAP": 1}}, "lines"),
        ({"taken": frozenset({"1", "2", "3"})}, "lines"),
    ],
)
def test_the_first_failing_check_refuses_with_a_remedy(changes: dict[str, object], check: str) -> None:
    verdict = ship_verdict(facts(**changes))
    assert verdict.outcome == "refused"
    assert verdict.refusal is not None
    assert verdict.refusal["check"] == check
    assert verdict.refusal["remedy"]
    assert verdict.refusal["message"]
    assert [step["ok"] for step in verdict.checks] == [True] * (len(verdict.checks) - 1) + [False]


@pytest.mark.parametrize(
    ("changes", "message", "remedy"),
    [
        (
            {"status": "CANCELLED"},
            "Order 5764 is cancelled on TikTok.",
            "Do not send the parcel. If it has left, have the carrier stop it; a recall opens for what the store has shipped.",
        ),
        ({"status": "DELIVERED"}, "Order 5764 is DELIVERED on TikTok.", "Only orders that await shipment can be shipped; use Sync Status."),
        ({"tracking": ""}, "There is no tracking number.", "Correct the number in Magento, or enter it with the Ship action."),
        ({"cancel_requested": True}, "The buyer of order 5764 has asked to cancel it.", "Accept or reject the request first."),
        (
            {"cancel_requested": True, "market": "US"},
            "The buyer of order 5764 has asked to cancel it.",
            "Accept or reject the request first. In the US, shipping the order rejects the request.",
        ),
        (
            {"quantities": {"CAP": 2}},
            "TikTok waits for none of the units of this parcel of order 5764 (2 x CAP).",
            "They are shipped or cancelled already; compare the order's lines.",
        ),
        ({"market": "SG"}, "TikTok has not made a package for order 5764 yet.", "It is tried again by itself."),
    ],
)
def test_a_refusal_says_what_is_and_what_to_do(changes: dict[str, object], message: str, remedy: str) -> None:
    refusal = ship_verdict(facts(**changes)).refusal
    assert refusal is not None
    assert (refusal["message"], refusal["remedy"]) == (message, remedy)


def test_an_order_that_may_leave_says_how_and_with_which_lines() -> None:
    verdict = ship_verdict(facts(quantities={"TEE": 1, "MUG": 1}))
    assert (verdict.outcome, verdict.route, verdict.choice.line_ids) == ("ship", "mark_shipped", ("1", "3"))
    assert [step["check"] for step in verdict.checks] == [
        "status", "not_on_hold", "fulfilled_by_seller", "shipped_by_seller", "market_known", "no_open_cancellation", "carrier", "tracking", "lines",
    ]  # fmt: skip
    assert [step["remedy"] for step in verdict.checks] == [""] * 9
    assert [step["message"] for step in verdict.checks[4:6]] == ["Shipped by mark shipped.", "No cancellation request is open."]
    assert verdict.checks[-1]["message"] == "2 lines in the parcel."
    assert ship_verdict(facts(quantities={"MUG": 1})).checks[-1]["message"] == "1 line in the parcel."
    assert ship_verdict(facts(quantities={"MUG": 2})).checks[-1]["facts"]["missing"] == {"MUG": 1}


def test_the_button_asks_the_same_rules_before_a_parcel_is_described() -> None:
    verdict = ship_verdict(facts(tracking=None, carrier=None))
    assert verdict.outcome == "ship"
    assert "carrier" not in [step["check"] for step in verdict.checks]


def test_the_same_tracking_at_tiktok_is_done_whatever_the_status_says_since() -> None:
    there = tuple(unit(line_id, status="IN_TRANSIT", tracking="rm123456789gb", package="p1") for line_id in ("1", "2"))
    verdict = ship_verdict(facts(status="IN_TRANSIT", units=there))
    assert (verdict.outcome, verdict.choice.line_ids) == ("done", ("1", "2"))
    assert verdict.checks[0]["facts"]["package_ids"] == ["p1"]
    assert verdict.checks[0]["message"] == "TikTok already shows tracking number RM123456789GB on 2 lines of order 5764."


def test_another_tracking_at_tiktok_is_refused_and_named() -> None:
    there = tuple(unit(line_id, status="AWAITING_COLLECTION", tracking="OTHER1") for line_id in ("1", "2"))
    verdict = ship_verdict(facts(status="AWAITING_COLLECTION", units=there))
    assert verdict.refusal is not None
    assert "OTHER1" in verdict.refusal["message"]
    assert (verdict.refusal["check"], verdict.refusal["facts"]["tracking_numbers"]) == ("other_tracking", ["OTHER1"])
    assert "or keep TikTok's" in verdict.refusal["remedy"]
    undescribed = ship_verdict(facts(status="AWAITING_COLLECTION", units=there, tracking=None)).refusal
    assert undescribed is not None and "on the order's page" in undescribed["remedy"]


def test_a_second_magento_shipment_under_the_same_number_sends_the_rest() -> None:
    units = (unit("1", status="AWAITING_COLLECTION", tracking="RM123456789GB"), unit("2"), unit("3", "MUG"))
    verdict = ship_verdict(facts(status="PARTIALLY_SHIPPING", units=units, quantities={"TEE": 1, "MUG": 1}))
    assert (verdict.outcome, verdict.choice.line_ids) == ("ship", ("3",))
    assert ship_verdict(facts(status="PARTIALLY_SHIPPING", units=units, quantities={"TEE": 1})).outcome == "done"
    half_sent = facts(status="PARTIALLY_SHIPPING", units=units, mine=frozenset({"1", "2"}))  # no quantities: everything that it was sent with before
    assert (ship_verdict(half_sent).outcome, ship_verdict(half_sent).choice.line_ids) == ("ship", ("2",))
    assert ship_verdict(replace(half_sent, mine=frozenset())).outcome == "done"


def test_a_package_is_not_torn_where_the_market_ships_whole_packages() -> None:
    units = (unit("1", package="p1"), unit("2", package="p1"))
    refused = ship_verdict(facts(market="SG", units=units, quantities={"TEE": 1})).refusal
    assert refused is not None
    assert "whole SKU only; TEE would be torn apart" in refused["message"]
    assert "the same tracking number" in refused["remedy"]
    assert refused["facts"]["left_out"] == ["2"]
    whole = ship_verdict(facts(market="SG", units=units, quantities={"TEE": 2}))
    assert (whole.outcome, whole.route) == ("ship", "ship_package")


def test_the_rules_of_a_split_in_each_market() -> None:
    """A268, TTS §5.5.1: by unit where TikTok allows it, never with a cancelled unit, never out of a combined package; every open line is named."""
    units = (
        Unit("1", "A", "AWAITING_SHIPMENT", "P", sku_id="a"), Unit("2", "A", "AWAITING_SHIPMENT", "P", sku_id="a"),
        Unit("3", "B", "AWAITING_SHIPMENT", "P", sku_id="b"), Unit("4", "C", "AWAITING_SHIPMENT", "Q", sku_id="c"),
    )  # fmt: skip
    chile = ShipFacts(
        number="5", market="CL", status="AWAITING_SHIPMENT", fulfillment_type="FULFILLMENT_BY_SELLER", shipping_type="SELLER", cancel_requested=False,
        units=units, quantities={"A": 1}, tracking="NV000001",
    )  # fmt: skip
    verdict = ship_verdict(chile)
    assert (verdict.outcome, verdict.split) == ("ship", (("1",), ("2", "3"), ("4",)))
    assert ship_verdict(replace(chile, quantities={"C": 1})).split == ()
    assert ship_verdict(replace(chile, quantities={"A": 2, "C": 1})).split == (("1", "2", "4"), ("3",))
    whole_sku = ship_verdict(replace(chile, market="BR", quantities={"A": 2}))
    assert (whole_sku.outcome, whole_sku.split) == ("ship", (("1", "2"), ("3",), ("4",)))
    assert whole_sku.checks[-1]["message"] == "2 lines in the parcel; TikTok is asked to split the other 1 line off first."
    for changed, word in (
        ({"market": "BR"}, "whole SKU"), ({"combined": True}, "combined"),
        ({"units": (*units, Unit("9", "D", "CANCELLED", "P", sku_id="d"))}, "cancelled"),
    ):  # fmt: skip
        refusal = ship_verdict(replace(chile, **changed)).refusal
        assert refusal is not None and word in refusal["message"] and refusal["remedy"], changed


def test_lines_of_a_tiktok_order_are_read_with_their_magento_skus() -> None:
    lines = [{"id": "11", "seller_sku": "tt-1", "display_status": "TO_SHIP"}, {"id": "12", "seller_sku": "tt-2"}]
    payload = {"status": "AWAITING_SHIPMENT", "line_items": lines}
    units = units_of(payload, {"11": "MAG-1"})
    assert [(one.line_id, one.sku, one.open) for one in units] == [("11", "MAG-1", True), ("12", "tt-2", True)]
    sent = {"id": 13, "sku_id": 1729, "package_id": 44, "tracking_number": "RM1", "display_status": "TO_SHIP"}
    assert units_of({"line_items": [sent]}) == (Unit("13", "", "TO_SHIP", "44", "RM1", "1729"),)
    assert not units_of({"line_items": [sent]})[0].open
    assert units_of({"line_items": None}) == ()


PROVIDERS = [Provider("1", "Royal Mail"), Provider("2", "DHL Parcel UK"), Provider("3", "UPS"), Provider("4", "DPD"), Provider("5", "Évri")]


@pytest.mark.parametrize(
    ("title", "mapping", "provider_id", "code"),
    [
        ("Delivery", {"Delivery": "DPD"}, "4", ""),
        ("delivery ", {"Delivery": "dpd"}, "4", ""),
        ("Royal-Mail®", {}, "1", ""),
        ("EVRI", {}, "5", ""),
        ("UPS", {"UPS": "Royal Mail"}, "1", ""),
        ("BlueDart", {}, "", "carrier.unknown"),
        ("Delivery", {"Delivery": "Ninja Van"}, "", "carrier.not_offered"),
        ("", {}, "", "carrier.missing"),
    ],
)
def test_a_carrier_is_found_by_the_policys_row_or_by_the_same_name(title: str, mapping: dict[str, str], provider_id: str, code: str) -> None:
    match = match_carrier(title, mapping, PROVIDERS)
    assert (match.provider_id, match.code, match.ok) == (provider_id, code, code == "")
    assert match.ok or match.remedy


def test_suggestions_are_ordered_by_what_was_accepted_before_and_then_by_name() -> None:
    names = [provider.name for provider in PROVIDERS]
    assert suggest("DHL Express", names)[0].provider == "DHL Parcel UK"
    assert suggest("Ups Ground", names)[0].provider == "UPS"
    assert suggest("Zorp", names) == []
    seen = {normalise("Express van"): {"DPD": 3, "UPS": 1}}
    assert [one.provider for one in suggest("Express van", names, seen)] == ["DPD", "UPS"]
    assert all(0 < one.confidence <= 1 for one in suggest("DHL Express", names, seen))
    assert similarity("FedEx", "fedex") == 1
    assert similarity("", "UPS") == 0


GB_REASONS = ["seller_cancel_reason_out_of_stock_uk", "seller_cancel_reason_wrong_price_uk", "seller_cancel_paid_reason_address_not_deliver_uk"]


@pytest.mark.parametrize(
    ("kind", "offered", "expected"),
    [
        (OUT_OF_STOCK, GB_REASONS, GB_REASONS[0]),
        (PRICING_ERROR, GB_REASONS, GB_REASONS[1]),
        (UNABLE_TO_DELIVER, GB_REASONS, GB_REASONS[2]),
        (UNABLE_TO_DELIVER, ["seller_cancel_unable_to_deliver_to_buyer_address"], "seller_cancel_unable_to_deliver_to_buyer_address"),
        (UNABLE_TO_DELIVER, ["seller_cancel_reason_out_of_stock"], None),
        (PRICING_ERROR, ["seller_pricing_error"], "seller_pricing_error"),
        (PRICING_ERROR, ["seller_price_error"], "seller_price_error"),
        (UNABLE_TO_DELIVER, ["seller_could_not_deliver", "seller_address_not_deliver"], "seller_address_not_deliver"),
        (OUT_OF_STOCK, [], None),
    ],
)
def test_a_reject_reason_is_one_of_the_names_that_tiktok_offers(kind: str, offered: list[str], expected: str | None) -> None:
    assert reason_name(kind, offered) == expected


def test_eligibility_keeps_the_reasons_that_every_line_shares() -> None:
    def entry(lines: list[str], names: list[str], eligible: bool = True, request: str = "CANCEL") -> dict[str, object]:
        return {"request_type": request, "eligible": eligible, "ineligible_reason": "shipped", "order_line_items_ids": lines, "available_reason_names": names}

    found = read_eligibility(
        [
            {"sku_id": "a", "line_item_eligibility": [entry(["1", "2"], ["x", "y"]), entry(["9"], ["z"], request="REFUND")]},
            {"sku_id": "b", "line_item_eligibility": [entry(["3"], ["y"]), entry(["4"], [], eligible=False)]},
        ]
    )
    assert (found.line_ids, found.reason_names, found.refused) == (("1", "2", "3"), ("y",), ("shipped",))
    other_spelling = [
        {"line_item_eligibility": [{"request_type": "CANCEL", "eligible": True, "order_line_list": [{"order_line_item_id": 7}]}]},
        {"line_item_eligibility": [{"request_type": "CANCEL", "ineligible_code": 21}, {"request_type": "CANCEL"}, {"request_type": "CANCEL"}]},
        {"line_item_eligibility": None},
    ]
    found = read_eligibility(other_spelling)
    assert (found.line_ids, found.reason_names, found.refused) == (("7",), (), ("21", "not eligible"))
    assert read_eligibility([{"line_item_eligibility": [entry(["1"], ["x"]), entry(["2"], ["y"]), entry(["3"], ["y"])]}]).reason_names == ()

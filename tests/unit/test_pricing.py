"""Which price is sent: the order of the steps, exactness, windows and guards (product.md 4, A093-A098)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.domain.money import minor_unit
from connector.domain.policies import PricingPolicy
from connector.domain.pricing import CURRENCIES, PriceFacts, SpecialPrice, nearest_ending, price, special_price

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def facts(value: str | None = "19.50", currency: str = "USD", **rest: Any) -> PriceFacts:
    values = {"price": None if value is None else D(value)} | rest.pop("values", {})
    return PriceFacts(sku="TEE-RED-M", values=values, currency=currency, now=NOW, base_currency=rest.pop("base_currency", currency), **rest)


@pytest.mark.parametrize(
    ("policy", "value", "currency", "sent"),
    [
        ({}, "19.50", "USD", "19.50"),
        ({"change": "increase_percent", "change_amount": "10"}, "19.50", "USD", "21.45"),
        ({"change": "decrease_percent", "change_amount": "12.5"}, "19.50", "USD", "17.06"),
        ({"change": "increase_fixed", "change_amount": "2.25"}, "19.50", "USD", "21.75"),
        ({"change": "decrease_fixed", "change_amount": "2.25"}, "19.50", "USD", "17.25"),
        ({"conversion_rate": "0.79"}, "19.50", "GBP", "15.41"),  # 15.405, half up
        ({"conversion_rate": "149.35"}, "19.50", "JPY", "2912"),
        ({"conversion_rate": "15650"}, "19.50", "IDR", "305175"),
        ({"conversion_rate": "25400.5"}, "19.50", "VND", "495310"),
        ({"rounding": "ending"}, "19.50", "USD", "19.99"),
        ({"rounding": "ending"}, "19.49", "USD", "19.99"),  # 18.99 and 19.99 are equally near: the higher
        ({"rounding": "ending"}, "19.48", "USD", "18.99"),
        ({"rounding": "ending"}, "0.20", "USD", "0.99"),  # never below zero
        ({"rounding": "ending", "rounding_ending": "0.50"}, "19.80", "USD", "19.50"),
        ({"rounding": "ending", "rounding_ending": "0"}, "19.80", "JPY", "20"),
        ({"rounding": "none"}, "19.50", "USD", "19.50"),
        # the order: change in the base currency, then conversion, then rounding
        ({"change": "increase_fixed", "change_amount": "1", "conversion_rate": "2", "rounding": "ending"}, "19.50", "USD", "40.99"),
        ({"change": "increase_percent", "change_amount": "10", "conversion_rate": "1.5"}, "19.99", "EUR", "32.98"),
    ],
)
def test_the_steps_are_taken_in_order_and_exactly(policy: dict[str, Any], value: str, currency: str, sent: str) -> None:
    """A095, A096"""
    assert price(PricingPolicy(**policy), facts(value, currency)).text == sent


def test_another_price_attribute_is_used_when_named() -> None:
    """A094"""
    policy = PricingPolicy(price_attribute="tiktok_price")
    assert price(policy, facts(values={"tiktok_price": D("24.90")})).text == "24.90"
    blocked = price(policy, facts())
    assert (blocked.amount, blocked.block and blocked.block.field) == (None, "tiktok_price")


@pytest.mark.parametrize(
    ("policy", "value", "key"),
    [
        ({}, None, "base"),
        ({}, "0", "base"),
        ({"change": "decrease_fixed", "change_amount": "19.50"}, "19.50", "change"),
        ({"change": "decrease_percent", "change_amount": "100"}, "19.50", "change"),
        ({"rounding": "none"}, "19.505", "rounding"),
        ({}, "0.004", "rounding"),
        ({"minimum_price": "19.51"}, "19.50", "minimum_price"),
        ({"minimum_margin_percent": "30", "cost_attribute": "cost"}, "19.50", "minimum_margin"),  # no cost known
    ],
)
def test_a_guard_that_trips_blocks_with_its_reason_and_sends_nothing(policy: dict[str, Any], value: str | None, key: str) -> None:
    answer = price(PricingPolicy(**policy), facts(value))
    assert answer.amount is None
    assert answer.block is not None
    assert answer.block.key == key
    assert answer.block.reason.endswith(".")
    assert answer.block.remedy.endswith(".")
    with pytest.raises(ValueError):
        _ = answer.text


def test_the_margin_guard_compares_in_the_shops_currency() -> None:
    policy = PricingPolicy(conversion_rate=D(2), minimum_margin_percent=D(30), cost_attribute="cost")
    assert price(policy, facts(values={"cost": D("15.00")})).text == "39.00"  # 15 x 2 x 1.3 = 39.00
    tripped = price(policy, facts(values={"cost": D("15.01")}))
    assert tripped.block is not None
    assert "39.026" in tripped.block.reason


def test_an_ending_that_the_currency_cannot_have_is_refused() -> None:
    answer = price(PricingPolicy(rounding="ending", conversion_rate=D(150)), facts(currency="JPY"))
    assert answer.block is not None
    assert answer.block.field == "rounding_ending"


def test_a_currency_that_tiktok_does_not_sell_in_is_refused() -> None:
    answer = price(PricingPolicy(), facts(currency="CHF"))
    assert answer.block is not None
    assert "CHF" in answer.block.reason


def test_each_step_is_explained() -> None:
    policy = PricingPolicy(change="increase_percent", change_amount=D(10), conversion_rate=D("0.79"), minimum_price=D(5))
    answer = price(policy, facts(currency="GBP", base_currency="USD"))
    assert [step.key for step in answer.steps] == ["base", "change", "conversion", "rounding", "minimum_price"]
    assert answer.explanation == (
        "price is 19.50 USD. Increased by 10 percent: 21.45 USD. Times 0.79: 16.9455 GBP. Rounded to the smallest unit of GBP: 16.95 GBP. "
        "Not below the minimum price of 5 GBP."
    )


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "running"),
    [
        (datetime(2026, 11, 19, 22, 59, tzinfo=UTC), False),  # 23:59 the day before in Berlin
        (datetime(2026, 11, 19, 23, 0, tzinfo=UTC), True),
        (datetime(2026, 11, 25, 22, 59, tzinfo=UTC), True),  # the last day counts to its end
        (datetime(2026, 11, 25, 23, 0, tzinfo=UTC), False),
    ],
)
def test_the_special_price_runs_on_whole_days_of_the_stores_time_zone(now: datetime, running: bool) -> None:
    special = special_price("15.000000", "2026-11-20 00:00:00", "2026-11-25 00:00:00", BERLIN)
    assert special is not None
    known = PriceFacts(sku="A", values={"price": D("19.50")}, currency="EUR", now=now, special=special)
    assert price(PricingPolicy(), known).text == ("15.00" if running else "19.50")
    assert price(PricingPolicy(use_special_price=False), known).text == "19.50"


def test_a_special_price_counts_only_when_it_is_lower() -> None:
    assert price(PricingPolicy(), facts(special=SpecialPrice(D("25.00")))).text == "19.50"
    assert price(PricingPolicy(), facts(special=SpecialPrice(D("0.00")))).block is not None


def test_the_next_change_of_the_price_is_known_beforehand() -> None:
    special = SpecialPrice(D(15), NOW + timedelta(hours=1), NOW + timedelta(hours=2))
    assert price(PricingPolicy(), facts(special=special)).next_change == NOW + timedelta(hours=1)
    assert special.next_change(NOW + timedelta(hours=1)) == NOW + timedelta(hours=2)
    assert special.next_change(NOW + timedelta(hours=2)) is None
    assert special_price(None, None, None, UTC) is None
    with pytest.raises(ValueError):
        special_price("cheap", None, None, UTC)


money = st.decimals(0, 99_999, places=4, allow_nan=False) | st.decimals(0, 200, places=2, allow_nan=False)


@st.composite
def policies(draw: st.DrawFn) -> PricingPolicy:
    return PricingPolicy(
        change=draw(st.sampled_from(["none", "increase_fixed", "decrease_fixed", "increase_percent", "decrease_percent"])), change_amount=draw(money),
        conversion_rate=draw(st.decimals("0.000001", 30_000, places=6, allow_nan=False)), rounding=draw(st.sampled_from(["none", "minor_unit", "ending"])),
        rounding_ending=draw(st.decimals(0, "0.99", places=2, allow_nan=False)), minimum_price=draw(st.none() | money), cost_attribute=draw(st.sampled_from(["", "cost"])),
        minimum_margin_percent=draw(st.none() | st.decimals(0, 1000, places=2, allow_nan=False)), use_special_price=draw(st.booleans()),
    )  # fmt: skip


@given(policies(), st.none() | money, st.none() | money, st.none() | money, st.sampled_from([*CURRENCIES, "CHF"]))
@settings(max_examples=300, deadline=None)
def test_the_formula_keeps_its_promises_for_any_input(policy: PricingPolicy, base: D | None, cost: D | None, special: D | None, currency: str) -> None:
    known = PriceFacts(
        sku="A",
        values={"price": base, "cost": cost},
        currency=currency,
        now=NOW,
        base_currency="USD",
        special=None if special is None else SpecialPrice(special),
    )
    answer = price(policy, known)
    assert (answer.amount is None) == (answer.block is not None)
    assert all(step.words.endswith(".") for step in answer.steps)
    if answer.amount is None:
        return
    assert answer.amount > 0
    assert answer.amount % minor_unit(currency) == 0
    assert -answer.amount.as_tuple().exponent <= (0 if currency in ("JPY", "IDR", "VND") else 2)
    if policy.minimum_price is not None:
        assert answer.amount >= policy.minimum_price
    if policy.minimum_margin_percent is not None:
        assert cost is not None
        assert answer.amount >= cost * policy.conversion_rate * (1 + policy.minimum_margin_percent / 100)
    if policy.rounding == "ending":
        assert answer.amount % 1 == policy.rounding_ending


@given(st.decimals("0.01", 99_999, places=4, allow_nan=False), st.decimals(0, "0.99", places=2, allow_nan=False))
@settings(max_examples=200, deadline=None)
def test_no_other_amount_with_the_ending_lies_nearer(value: D, ending: D) -> None:
    chosen = nearest_ending(value, ending)
    assert chosen > 0
    assert chosen % 1 == ending
    for other in (chosen - 1, chosen + 1):
        assert other <= 0 or abs(other - value) >= abs(chosen - value)

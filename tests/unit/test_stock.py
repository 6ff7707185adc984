"""What TikTok may sell: the worked rows of the formula, and its promises over the whole input space (product.md 4, A080-A092)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.domain.policies import InventoryPolicy, SourceRow
from connector.domain.stock import TIKTOK_MAXIMUM, SourceStock, StockFacts, quantity, running, share

THRESHOLD = {"use_threshold": True, "threshold_value": 10, "greater_quantity": 20, "lesser_quantity": 2}


@pytest.mark.parametrize(
    ("policy", "stock", "sent"),
    [
        ({"threshold_buffer": 5}, 28, 23),  # A082
        ({"threshold_buffer": 5}, 18, 13),  # A082
        (THRESHOLD, 100, 20),  # A091
        (THRESHOLD, 10, 10),  # A091: at exactly the threshold the real stock
        (THRESHOLD, 9, 2),  # A091
        (THRESHOLD, 1, 1),  # never more than is there
        (THRESHOLD, 0, 0),
        ({**THRESHOLD, "threshold_buffer": 5}, 15, 10),  # A083: the buffer first
        ({**THRESHOLD, "threshold_buffer": 5}, 14, 2),
        ({**THRESHOLD, "greater_quantity": None}, 37, 37),  # blank greater: safe
        ({**THRESHOLD, "lesser_quantity": None}, 9, 0),  # blank lesser: 0 (A088)
        ({**THRESHOLD, "greater_quantity": 500}, 37, 37),
        ({**THRESHOLD, "greater_quantity": 500, "may_oversell": True}, 37, 500),
        ({"use_threshold": True}, 37, 37),  # the seeded policy has no threshold value yet
        ({**THRESHOLD, "use_threshold": False}, 37, 37),  # values that are kept while the switch is off
        ({**THRESHOLD, "use_threshold": False}, 9, 9),
        ({"default_quantity": 7, "default_quantity_for_zero": True}, 12, 12),  # A081: for zero stock, not for all
        ({}, -4, 0),
        ({}, Decimal("2.9"), 2),
    ],
)
def test_the_worked_rows_hold(policy: dict[str, Any], stock: Any, sent: int) -> None:
    assert quantity(InventoryPolicy(**policy), StockFacts(quantity=stock)).sent == sent


def test_open_tiktok_units_are_taken_off_before_the_threshold_is_asked() -> None:
    ledger = quantity(InventoryPolicy(**THRESHOLD), StockFacts(quantity=13, open_units=3))
    assert (ledger.stock, ledger.open_units, ledger.safe, ledger.sent) == (13, 3, 10, 10)
    assert quantity(InventoryPolicy(**THRESHOLD), StockFacts(quantity=13, open_units=4)).sent == 2


def test_a_product_without_stock_management_has_the_default_quantity() -> None:
    """A092"""
    facts = StockFacts(manages_stock=False, quantity=0, is_in_stock=False)
    assert quantity(InventoryPolicy(default_quantity=50, threshold_buffer=5), facts).sent == 45
    nothing = quantity(InventoryPolicy(), facts)
    assert nothing.sent == 0
    assert "empty" in nothing.explanation


def test_zero_stock_gets_the_default_quantity_only_with_the_warned_switch() -> None:
    """A081"""
    policy = InventoryPolicy(default_quantity=7)
    assert quantity(policy, StockFacts(quantity=0)).sent == 0
    ledger = quantity(policy.model_copy(update={"default_quantity_for_zero": True}), StockFacts(quantity=0, open_units=2))
    assert ledger.sent == 5
    assert ledger.warnings == ("The policy offers a default quantity for a product that has no stock.",)
    msi_without_sources = policy.model_copy(update={"default_quantity_for_zero": True, "use_msi": True})
    assert quantity(msi_without_sources, StockFacts(warehouses=("w1", "w2"))).warehouses == {"w1": 7, "w2": 0}
    assert quantity(policy.model_copy(update={"default_quantity_for_zero": True}), StockFacts(quantity=1)).warnings == ()


def test_what_magento_marks_out_of_stock_is_not_offered() -> None:
    marked = quantity(InventoryPolicy(), StockFacts(quantity=12, is_in_stock=False))
    assert (marked.stock, marked.sent, [term.key for term in marked.terms]) == (0, 0, ["item", "out_of_stock", "open", "buffer"])
    for nothing in (0, -4):  # there is nothing to take off
        assert [term.key for term in quantity(InventoryPolicy(), StockFacts(quantity=nothing, is_in_stock=False)).terms][:2] == ["item", "open"]


SOURCES = (SourceStock("north", 10), SourceStock("south", 6), SourceStock("closed", 99, in_stock=False), SourceStock("shop", 8))
ROWS = (SourceRow(source_code="north", warehouse_id="w1"), SourceRow(source_code="south", warehouse_id="w2"))


def msi(**rest: Any) -> InventoryPolicy:
    return InventoryPolicy(**{"use_msi": True, "sources": ROWS, **rest})


def test_reservations_are_taken_off_the_chosen_sources_whole() -> None:
    """A089: 24 in all sources, 20 salable: 4 are reserved, and nobody knows in which source."""
    ledger = quantity(msi(), StockFacts(sources=SOURCES, salable=20, warehouses=("w1", "w2")))
    assert ledger.stock == 12
    assert sum(ledger.warehouses.values()) == ledger.sent == 12
    assert [(term.key, term.change) for term in ledger.terms][:3] == [("source", 10), ("source", 6), ("reserved", -4)]
    nobody_reserves = quantity(msi(), StockFacts(sources=SOURCES, salable=24))
    assert [term.key for term in nobody_reserves.terms] == ["source", "source", "open", "buffer"]
    assert "None of the chosen sources holds this product." in quantity(msi(), StockFacts(sources=SOURCES[2:])).explanation


def test_all_sources_chosen_gives_magentos_salable_quantity() -> None:
    rows = (*ROWS, SourceRow(source_code="shop", warehouse_id="w1"))
    for salable in (0, 5, 24, 30):
        assert quantity(msi(sources=rows), StockFacts(sources=SOURCES, salable=salable)).stock == salable


def test_every_warehouse_of_the_sku_is_in_the_update_and_no_other() -> None:
    """A090"""
    ledger = quantity(msi(), StockFacts(sources=SOURCES, warehouses=("w1", "w2", "w3")))
    assert ledger.warehouses == {"w1": 10, "w2": 6, "w3": 0}
    assert ledger.warnings == ()
    ledger = quantity(msi(), StockFacts(sources=SOURCES, warehouses=("w2", "w3")))
    assert ledger.warehouses == {"w2": 6, "w3": 0}
    assert ledger.sent == 6
    assert "w1" in ledger.warnings[0]


def test_only_the_warned_switch_sends_more_than_the_sources_hold_and_it_says_so() -> None:
    """A084-A087: in proportion to the sources; without the switch what is safe goes out, and nobody is warned."""
    wish = {"use_threshold": True, "threshold_value": 10, "greater_quantity": 160}
    facts = StockFacts(sources=SOURCES, warehouses=("w1", "w2"))
    ledger = quantity(msi(**wish, may_oversell=True), facts)
    assert (ledger.safe, ledger.sent, ledger.warehouses) == (16, 160, {"w1": 100, "w2": 60})
    assert ledger.warnings == ("Sent: 160 units, although only 16 would be safe. The policy allows to send more than is in stock.",)
    ledger = quantity(msi(**wish), facts)
    assert (ledger.sent, ledger.warehouses, ledger.warnings) == (16, {"w1": 10, "w2": 6}, ())
    assert ledger.terms[-1].words == "Limited to what is there: 16 units."


def test_without_sources_all_goes_to_the_default_warehouse() -> None:
    facts = StockFacts(quantity=9, warehouses=("w1", "w2"), default_warehouse="w2")
    assert quantity(InventoryPolicy(), facts).warehouses == {"w1": 0, "w2": 9}
    assert quantity(InventoryPolicy(sources=ROWS), facts).warehouses == {"w1": 0, "w2": 9}  # rows that are kept while Use MSI is off
    elsewhere = StockFacts(quantity=9, warehouses=("w1", "w2"), default_warehouse="gone")
    assert quantity(InventoryPolicy(), elsewhere).warehouses == {"w1": 9, "w2": 0}


def test_a_source_behind_two_warehouses_is_counted_once() -> None:
    rows = (SourceRow(source_code="north", warehouse_id="w1"), SourceRow(source_code="north", warehouse_id="w2"))
    ledger = quantity(msi(sources=rows), StockFacts(sources=SOURCES, warehouses=("w1", "w2")))
    assert ledger.warehouses == {"w1": 5, "w2": 5}


def test_a_default_quantity_reaches_the_mapped_warehouses_even_without_stock_in_their_sources() -> None:
    for sources in ((), SOURCES):  # what they hold says nothing of a product whose stock nobody manages
        ledger = quantity(msi(default_quantity=9), StockFacts(manages_stock=False, sources=sources, warehouses=("w1", "w2")))
        assert ledger.warehouses == {"w1": 5, "w2": 4}
        assert ledger.sent == 9


def test_more_than_tiktok_takes_is_cut() -> None:
    """99,999 units in a warehouse (TTS §5.3.8)."""
    ledger = quantity(InventoryPolicy(), StockFacts(quantity=250_000, warehouses=("w1",)))
    assert ledger.warehouses == {"w1": 99_999}
    assert ledger.sent == 99_999
    assert quantity(InventoryPolicy(), StockFacts(quantity=250_000)).sent == 99_999
    assert [term.key for term in quantity(InventoryPolicy(), StockFacts(quantity=99_999, warehouses=("w1",))).terms] == ["item", "open", "buffer"]
    one_of_two = StockFacts(sources=(SourceStock("north", 250_000), SourceStock("south", 6)), warehouses=("w1", "w2"))
    assert quantity(msi(), one_of_two).warehouses == {"w1": 99_999, "w2": 6}


def test_the_ledger_reads_like_an_account_statement() -> None:
    ledger = quantity(InventoryPolicy(threshold_buffer=5, **THRESHOLD), StockFacts(quantity=100, open_units=1))
    assert [(term.key, term.change, term.balance) for term in ledger.terms] == [
        ("item", 100, 100),
        ("open", -1, 99),
        ("buffer", -5, 94),
        ("threshold", -74, 20),
    ]
    assert ledger.explanation == (
        "Magento's stock item holds 100 units. In TikTok orders that Magento does not know about yet: 1 unit. Kept back by the policy: 5 units. "
        "More than 10 units: the policy sends 20."
    )
    stored = [{"key": term.key, "label": term.label, "change": term.change, "words": term.words} for term in ledger.terms]
    assert running(stored) == ledger.terms


amounts = st.integers(-50, 300_000) | st.integers(0, 40) | st.decimals(-5, 1000, places=4, allow_nan=False)
codes = st.sampled_from(["a", "b", "c", "d"])
places = st.sampled_from(["w1", "w2", "w3", "gone"])
maybe = st.none() | st.integers(0, 60) | st.integers(0, 1_000_000)


@st.composite
def policies(draw: st.DrawFn) -> InventoryPolicy:
    rows = draw(st.lists(st.builds(SourceRow, source_code=codes, warehouse_id=places), max_size=5))
    return InventoryPolicy(
        default_quantity=draw(maybe), threshold_buffer=draw(st.integers(0, 60)), use_threshold=draw(st.booleans()), threshold_value=draw(maybe),
        lesser_quantity=draw(maybe), greater_quantity=draw(maybe), use_msi=draw(st.booleans()), sources=tuple(rows),
        default_quantity_for_zero=draw(st.booleans()), may_oversell=draw(st.booleans()),
    )  # fmt: skip


@st.composite
def facts(draw: st.DrawFn) -> StockFacts:
    chosen = draw(st.lists(codes, unique=True, max_size=4))
    return StockFacts(
        manages_stock=draw(st.booleans()), quantity=draw(amounts), is_in_stock=draw(st.booleans()),
        sources=tuple(SourceStock(code, draw(amounts), draw(st.booleans())) for code in chosen), salable=draw(st.none() | amounts),
        open_units=draw(st.integers(0, 60)), warehouses=tuple(draw(st.lists(st.sampled_from(["w1", "w2", "w3"]), unique=True, max_size=3))),
        default_warehouse=draw(places),
    )  # fmt: skip


@given(policies(), facts())
@settings(max_examples=300, deadline=None)
def test_the_formula_keeps_its_promises_for_any_input(policy: InventoryPolicy, known: StockFacts) -> None:
    ledger = quantity(policy, known)
    assert ledger.sent >= 0
    assert ledger.safe == max(0, ledger.stock - known.open_units - policy.threshold_buffer)
    if not policy.may_oversell:
        assert ledger.sent <= ledger.safe
    elif ledger.sent > ledger.safe:
        assert ledger.warnings
    assert sum(term.change for term in ledger.terms) == ledger.sent == ledger.terms[-1].balance
    if known.warehouses:
        assert set(ledger.warehouses) == set(known.warehouses)
        assert sum(ledger.warehouses.values()) == ledger.sent
        assert all(0 <= amount <= TIKTOK_MAXIMUM for amount in ledger.warehouses.values())
    assert all(term.words.endswith(".") and term.label for term in ledger.terms)


@given(policies(), facts(), st.integers(0, 40))
@settings(max_examples=80, deadline=None)
def test_at_exactly_the_threshold_what_is_safe_is_sent(policy: InventoryPolicy, known: StockFacts, level: int) -> None:
    policy = policy.model_copy(update={"use_threshold": True, "threshold_value": level, "use_msi": False, "default_quantity_for_zero": False})
    exact = StockFacts(quantity=level + known.open_units + policy.threshold_buffer, open_units=known.open_units, warehouses=known.warehouses)
    ledger = quantity(policy, exact)
    assert ledger.safe == ledger.sent == level


@given(st.integers(0, 10_000), st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(0, 5_000), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_shares_add_up_and_none_exceeds_what_is_behind_it(total: int, weights: dict[str, int]) -> None:
    parts = share(total, weights)
    assert sum(parts.values()) == total
    assert set(parts) == set(weights)
    if total <= sum(weights.values()):
        assert all(parts[key] <= weights[key] for key in weights)

"""The arithmetic of a credit memo: it comes to what TikTok refunded, whatever Magento reckons for the lines (MAG §4.6.3; product.md 9)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domain import credit_memo

CENT = Decimal("0.01")
money = st.integers(1, 90_000).map(lambda cents: Decimal(cents) / 100)


def cents(value: Decimal) -> Decimal:
    return value.quantize(CENT, rounding=ROUND_HALF_UP)


def order(lines: list[tuple[int, Decimal]], *, rate: Decimal = Decimal(1), shipping: Decimal = Decimal(0), **changes: Any) -> dict[str, Any]:
    """A Magento order with these invoiced lines of (units, row total), as its REST answer shows it."""
    items = []
    for number, (quantity, row) in enumerate(lines, 1):
        base = cents(row / rate)
        items.append(
            {
                "item_id": number, "sku": f"SKU-{number}", "qty_ordered": quantity, "qty_invoiced": quantity, "qty_refunded": 0,
                "row_invoiced": float(row), "base_row_invoiced": float(base), "discount_invoiced": 0, "tax_invoiced": 0,
            }
        )  # fmt: skip
    total = sum((row for _, row in lines), Decimal(0)) + shipping
    base_total = sum((Decimal(str(item["base_row_invoiced"])) for item in items), Decimal(0)) + cents(shipping / rate)
    return {
        "entity_id": 7, "increment_id": "000000007", "state": "processing", "items": items, "base_to_order_rate": float(rate), "order_currency_code": "GBP",
        "total_paid": float(total), "base_total_paid": float(base_total), "shipping_amount": float(shipping), "base_shipping_amount": float(cents(shipping / rate)),
        **changes,
    }  # fmt: skip


@given(
    lines=st.lists(st.tuples(st.integers(1, 4), money), min_size=1, max_size=4),
    rate=st.sampled_from([Decimal(1), Decimal("0.8"), Decimal("0.7431")]),
    share=st.integers(1, 100),
    shipping=money,
    units=st.integers(1, 4),
    partial=st.booleans(),
)
def test_lines_shipping_and_adjustment_come_to_the_amount_to_the_cent(lines, rate, share, shipping, units, partial):
    facts = order(lines, rate=rate, shipping=shipping)
    paid = Decimal(str(facts["total_paid"]))
    amount = max(CENT, cents(paid * share / 100))
    taken = {"1": min(units, lines[0][0])}
    planned = credit_memo.plan(facts, taken, amount=amount, shipping=min(shipping, amount), partial=partial, back={"1"})
    assert planned.problem == ""
    rows = Decimal(0) if partial else credit_memo.line_total(facts["items"][0], taken["1"])
    fee = shipping if planned.shipping == Decimal(str(facts["base_shipping_amount"])) else cents(planned.shipping * rate)
    assert abs(rows + fee + planned.adjustment * rate - amount) < Decimal("0.02"), "to the cent, but for the conversion of the last one"
    base_rows = Decimal(0) if partial else credit_memo.line_total(facts["items"][0], taken["1"], "base_")
    assert base_rows + planned.shipping + planned.adjustment <= Decimal(str(facts["base_total_paid"])), "Magento refuses more than was paid"
    assert planned.items == ({"1": 0} if partial else taken)
    assert planned.return_to_stock == (() if partial else ("1",)), "money alone brings no goods back"


@pytest.mark.parametrize(
    ("changes", "units", "amount", "problem"),
    [
        ({"state": "closed"}, {"1": 1}, 5, credit_memo.ENDED),
        ({"total_paid": None}, {"1": 1}, 5, credit_memo.NOT_INVOICED),
        ({}, {"1": 3}, 5, credit_memo.UNITS_GONE),
        ({"total_refunded": 17.0}, {"1": 1}, 5, credit_memo.TOO_MUCH),
        ({}, {"9": 1}, 5, credit_memo.UNITS_GONE),
    ],
)
def test_what_magento_would_refuse_is_named_before_it_is_sent(changes, units, amount, problem):
    planned = credit_memo.plan(order([(2, Decimal("20.00"))], **changes), units, amount=Decimal(amount))
    assert planned.problem == problem
    assert "000000007" in planned.message


def test_the_last_unit_takes_the_cents_that_the_others_left():
    facts = order([(3, Decimal("10.00"))])
    assert credit_memo.line_total(facts["items"][0], 1) == Decimal("3.33")
    facts["items"][0] |= {"qty_refunded": 2, "amount_refunded": 6.66}
    assert credit_memo.line_total(facts["items"][0], 1) == Decimal("3.34")


def taxed(**changes: Any) -> dict[str, Any]:
    """Three units with tax, discount and its compensation, shipping with tax, in an order of 0.8 to the base currency."""
    line = {
        "item_id": 1, "sku": "TEE", "qty_invoiced": 3, "qty_refunded": 0, "row_invoiced": 30.0, "base_row_invoiced": 37.5, "tax_invoiced": 6.0,
        "base_tax_invoiced": 7.5, "discount_invoiced": 4.0, "base_discount_invoiced": 5.0, "discount_tax_compensation_invoiced": 0.3,
        "base_discount_tax_compensation_invoiced": 0.38,
    }  # fmt: skip
    return {
        "entity_id": 7, "state": "complete", "items": [line, {"item_id": 2, "parent_item_id": 1, "qty_invoiced": 3}], "base_to_order_rate": 0.8,
        "shipping_amount": 4.8, "base_shipping_amount": 6.0, "shipping_tax_amount": 0.96, "base_shipping_tax_amount": 1.2,
        "total_paid": 38.06, "base_total_paid": 47.58, **changes,
    }  # fmt: skip


SHIPPED_BACK = {
    "shipping_refunded": 1.0, "base_shipping_refunded": 1.25, "shipping_tax_refunded": 0.2, "base_shipping_tax_refunded": 0.25,
    "total_refunded": 1.2, "base_total_refunded": 1.5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "units", "amount", "shipping", "expected"),
    [
        ({}, 3, None, "4.80", ("6.00", "0", "38.06")),  # everything, as Magento itself reckons it
        ({}, 1, None, "0", ("0", "0", "10.77")),
        ({}, 1, "12.00", "1.00", ("1.25", "0.0375", "12.00")),  # 10.77 and 1.20 of shipping with its tax, 0.03 are missing
        ({}, 1, "10.00", "0", ("0", "-0.9625", "10.00")),
        (SHIPPED_BACK, 1, None, "5.00", ("4.75", "0", "15.33")),  # what is left of the shipping, and of its tax
        (SHIPPED_BACK, 1, None, "2.40", ("3.00", "0", "13.65")),
        ({**SHIPPED_BACK, "shipping_refunded": 4.8, "base_shipping_refunded": 6.0}, 1, None, "1.00", ("0", "0", "10.77")),
        ({"base_shipping_amount": 6.05, "base_total_paid": 47.63}, 3, None, "4.80", ("6.05", "0", "38.06")),  # all of it, however it converts
        (
            {**SHIPPED_BACK, "base_shipping_amount": 6.05, "shipping_tax_refunded": 0.21},
            1,
            None,
            "3.80",
            ("4.80", "0", "15.36"),
        ),  # the rest, to the cent of tax
        (
            {"shipping_refunded": 4.16, "base_shipping_refunded": 5.2, "shipping_tax_refunded": 0.83, "base_shipping_tax_refunded": 1.04},
            1,
            None,
            "0.64",
            ("0.80", "0", "11.54"),
        ),
        ({"base_shipping_amount": 5.9}, 1, None, "4.79", ("5.90", "0", "16.53")),  # never more than is left
    ],
)
def test_the_worked_memos_hold(changes, units, amount, shipping, expected):
    planned = credit_memo.plan(taxed(**changes), {"1": units}, amount=amount and Decimal(amount), shipping=Decimal(shipping), back=("1", "9"))
    assert (planned.problem, planned.items, planned.return_to_stock) == ("", {"1": units}, ("1",))
    assert (planned.shipping, planned.adjustment, planned.total) == tuple(map(Decimal, expected))


def test_money_alone_never_exceeds_what_magento_has_left_in_its_base_currency():
    rounded = {"base_to_order_rate": 0.7431, "total_paid": 10.0, "base_total_paid": 13.45, "base_shipping_amount": 0, "shipping_amount": 0}
    whole = credit_memo.plan(taxed(**rounded), {"1": 4}, amount=Decimal("10.00"), partial=True)
    assert (whole.items, whole.adjustment, whole.problem) == ({"1": 0}, Decimal("13.45"), "")  # 13.4571 by the rate
    rest = credit_memo.plan(taxed(**rounded, total_refunded=2.56, base_total_refunded=3.45), {"1": 1}, amount=Decimal("7.44"), partial=True)
    assert rest.adjustment == Decimal("10.00")
    assert credit_memo.plan(taxed(**rounded), {}, amount=Decimal("3.00"), partial=True).adjustment == Decimal("4.0371")


def test_a_cent_of_conversion_is_no_refusal_and_two_are():
    facts = order([(2, Decimal("20.00"))], total_refunded=5.0, base_total_refunded=5.0)
    assert credit_memo.plan(facts, {"1": 2}, amount=Decimal("15.01")).problem == ""
    assert credit_memo.plan(facts, {"1": 2}, amount=Decimal("15.02")).problem == credit_memo.TOO_MUCH


def test_an_order_that_says_little_is_read_all_the_same():
    ended = credit_memo.plan({"entity_id": 7, "state": "canceled"}, {}, amount=None)
    assert (ended.problem, ended.message[:15]) == (credit_memo.ENDED, "Magento order 7")
    assert credit_memo.plan({}, {}, amount=None).message == "Magento order  is not invoiced, and Magento refunds only what was invoiced."
    assert credit_memo.plan({"total_paid": 5}, {}, amount=Decimal(5)).adjustment == Decimal(0)  # nothing is left in the base currency
    child = credit_memo.plan(taxed(), {"2": 1}, amount=None)
    assert (child.problem, "item 2" in child.message) == (credit_memo.UNITS_GONE, True)

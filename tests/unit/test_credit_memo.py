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

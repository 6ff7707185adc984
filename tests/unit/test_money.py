"""Money is exact: what TikTok says adds up, and what Magento is told adds up to it (product.md 6, MAG §4.4.6, A107)."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.domain.money import Charges, Unit, check_parity, distribute, lay_out, minor_unit

CENT = D("0.01")
cents = st.integers(min_value=0, max_value=50_000).map(lambda n: D(n) / 100)


@st.composite
def orders(draw: st.DrawFn, max_lines: int = 30) -> tuple[list[Unit], Charges]:
    """A consistent TikTok order: any SKUs, prices, discounts, taxes (named per line or in sum only, outside or inside the prices), fees."""
    units = []
    per_line_tax = draw(st.booleans())
    for number in range(draw(st.integers(1, max_lines))):
        price = draw(cents)
        seller = draw(st.integers(0, int(price * 100)).map(lambda n: D(n) / 100))
        platform = draw(st.integers(0, int((price - seller) * 100)).map(lambda n: D(n) / 100))
        units.append(
            Unit(
                str(number),
                draw(st.sampled_from("ABCDE")),
                price,
                seller,
                platform,
                draw(st.integers(0, 900).map(lambda n: D(n) / 100)) if per_line_tax else D(0),
                price - seller - platform,
            )
        )
    net = sum(unit.price - unit.seller_discount - unit.platform_discount for unit in units)
    original_shipping = draw(cents)
    shipping_seller = draw(st.integers(0, int(original_shipping * 100)).map(lambda n: D(n) / 100))
    shipping = original_shipping - shipping_seller
    product_tax = sum((unit.tax for unit in units), D(0)) if per_line_tax else draw(st.integers(0, 5000).map(lambda n: D(n) / 100))
    shipping_tax = draw(st.integers(0, 300).map(lambda n: D(n) / 100)) if shipping else D(0)
    included = draw(st.booleans()) and product_tax < net and shipping_tax < shipping
    fee = draw(st.sampled_from([D(0), D("0.28"), D("1.50")]))
    total = net + shipping + fee + (D(0) if included else product_tax + shipping_tax)
    payment = {
        "currency": "USD", "sub_total": f"{net}", "original_shipping_fee": f"{original_shipping}", "shipping_fee_seller_discount": f"{shipping_seller}",
        "shipping_fee": f"{shipping}", "tax": f"{product_tax + shipping_tax}", "shipping_fee_tax": f"{shipping_tax}", "small_order_fee": f"{fee}",
        "total_amount": f"{total}",
    }  # fmt: skip
    return units, Charges.of(payment)


@given(orders(), st.sampled_from(["tiktok", "magento", "none"]), st.booleans())
@settings(max_examples=400, deadline=None)
def test_the_header_equals_the_sum_of_its_lines_and_tiktoks_total_for_any_order(order: tuple[list[Unit], Charges], taxes: str, by_price: bool) -> None:
    units, charges = order
    parity = check_parity(units, charges)
    assert parity.ok, parity.message
    money = lay_out(units, charges, parity, taxes=taxes, revenue="buyer_paid", by_price=by_price, percents={sku: D("8.25") for sku in "abcde"})
    assert money.grand_total == charges.total
    assert money.grand_total == sum(line.paid for line in money.lines) + money.shipping + money.shipping_tax
    assert money.tax == sum(line.tax for line in money.lines) + money.shipping_tax
    assert sum(line.qty for line in money.lines) == len(units)
    assert sorted(line_id for line in money.lines for line_id in line.line_ids) == sorted(unit.line_id for unit in units)
    for line in money.lines:
        for value in (line.row_total, line.discount, line.tax):
            assert value == value.quantize(CENT), "amounts are whole cents"
        assert (line.price * line.qty).quantize(CENT) == line.row_total, "row_total = price x qty, rounded"
    if taxes == "none":
        assert money.tax == 0
    if taxes == "tiktok":
        assert money.tax == charges.tax


@given(orders(max_lines=8), st.decimals("0.5", "2", places=4))
@settings(max_examples=150, deadline=None)
def test_the_base_currency_header_equals_the_sum_of_its_own_lines(order: tuple[list[Unit], Charges], rate: D) -> None:
    units, charges = order
    money = lay_out(units, charges, check_parity(units, charges), taxes="tiktok", revenue="buyer_paid")
    base = money.in_base(rate, CENT)
    assert base.grand_total == base.subtotal - base.discount + base.shipping + base.tax
    assert abs(base.grand_total - money.grand_total / rate) <= CENT * (3 * len(base.lines) + 2) / 2


@given(st.integers(-10_000, 10_000), st.lists(cents, min_size=1, max_size=40), st.sampled_from([D("0.01"), D(1)]))
def test_what_is_distributed_adds_up_again(total: int, weights: list[D], step: D) -> None:
    amount = D(total) * step
    shares = distribute(amount, weights, step)
    assert sum(shares) == amount
    whole = sum(weights)
    if whole:
        for share, weight in zip(shares, weights, strict=True):
            assert abs(share - amount * weight / whole) <= step


def payment(**changes: str) -> Charges:
    return Charges.of(
        {"currency": "GBP", "sub_total": "34.00", "original_shipping_fee": "3.49", "shipping_fee": "3.49", "tax": "0", "total_amount": "37.49"} | changes
    )


MUGS = [Unit(str(n), "MUG-GREEN", D("20.00"), D("2.00"), D("1.00"), D(0), D("17.00")) for n in (1, 2)]


def test_two_units_of_one_sku_become_one_line() -> None:
    money = lay_out(MUGS, payment(), check_parity(MUGS, payment()), taxes="tiktok", revenue="buyer_paid")
    (line,) = money.lines
    assert (line.qty, line.price, line.row_total, line.discount) == (2, D(20), D(40), D(6))
    assert (money.subtotal, money.discount, money.shipping, money.grand_total) == (D(40), D(6), D("3.49"), D("37.49"))


def test_one_sku_at_two_prices_is_one_weighted_line_for_a_cart_and_two_lines_otherwise() -> None:
    units = [Unit("1", "MUG", D("10.00")), Unit("2", "mug", D("9.99")), Unit("3", "MUG", D("10.00"))]
    charges = payment(sub_total="29.99", total_amount="33.48")
    parity = check_parity(units, charges)
    (line,) = lay_out(units, charges, parity, taxes="tiktok", revenue="buyer_paid").lines
    assert (line.price, line.row_total, line.qty) == (D("9.9967"), D("29.99"), 3)
    apart = lay_out(units, charges, parity, taxes="tiktok", revenue="buyer_paid", by_price=True).lines
    assert [(each.qty, each.price) for each in apart] == [(2, D(10)), (1, D("9.99"))]


def test_seller_revenue_leaves_out_what_tiktok_pays() -> None:
    charges = payment(original_shipping_fee="5.00", shipping_fee_platform_discount="1.51", payment_platform_discount="1.00", total_amount="36.49")
    parity = check_parity(MUGS, charges)
    paid = lay_out(MUGS, charges, parity, taxes="tiktok", revenue="buyer_paid")
    revenue = lay_out(MUGS, charges, parity, taxes="tiktok", revenue="seller_revenue")
    assert paid.grand_total == D("36.49")
    assert revenue.grand_total == D("36.49") + D("2.00") + D("1.51") + D("1.00")
    assert (paid.discount, revenue.discount) == (D("7.00"), D("4.00"))


def test_tax_inside_the_prices_is_taken_out_of_rows_and_discounts() -> None:
    units = [Unit("1", "MUG", D("24.00"), D("4.00"), D(0), D(0), D("20.00"))]
    charges = payment(sub_total="20.00", tax="3.33", total_amount="23.49")
    parity = check_parity(units, charges)
    assert parity.ok and parity.tax_included
    (line,) = (money := lay_out(units, charges, parity, taxes="tiktok", revenue="buyer_paid")).lines
    assert line.tax + money.shipping_tax == D("3.33")
    assert money.grand_total == D("23.49")


def test_a_partly_cancelled_order_is_laid_out_without_its_cancelled_lines() -> None:
    units = [MUGS[0], Unit("2", "MUG-GREEN", D("20.00"), D("2.00"), D("1.00"), D(0), D("17.00"), cancelled=True)]
    whole = payment()
    money = lay_out(units, whole, check_parity(units, whole), taxes="tiktok", revenue="buyer_paid")
    assert (money.lines[0].qty, money.grand_total) == (1, D("20.49"))
    recalculated = payment(sub_total="17.00", total_amount="20.49")
    parity = check_parity(units, recalculated)
    assert parity.ok and parity.open_lines_only
    assert lay_out(units, recalculated, parity, taxes="tiktok", revenue="buyer_paid").grand_total == D("20.49")


@pytest.mark.parametrize(
    ("changes", "difference", "words"),
    [
        ({"total_amount": "37.50"}, "0.01", "The amounts add up to 37.49 GBP, but TikTok's total is 37.50: a difference of 0.01."),
        ({"sub_total": "33.99"}, "-0.01", "The lines add up to 34.00 GBP, but TikTok's sub total is 33.99: a difference of -0.01."),
        ({"original_shipping_fee": "4.00"}, "-0.51", "Shipping less its discounts is 4.00 GBP, but TikTok's shipping fee is 3.49: a difference of -0.51."),
        ({"currency": ""}, "0", "TikTok sent no currency."),
    ],
)
def test_a_mismatch_names_the_difference_and_where_it_is(changes: dict[str, str], difference: str, words: str) -> None:
    parity = check_parity(MUGS, payment(**changes))
    assert (parity.ok, parity.difference, parity.message) == (False, D(difference), words)
    with pytest.raises(ValueError, match=r"\w"):
        lay_out(MUGS, payment(**changes), parity, taxes="tiktok", revenue="buyer_paid")


def test_a_line_whose_sale_price_disagrees_with_its_discounts_is_named() -> None:
    parity = check_parity([Unit("77", "MUG", D(20), D(2), D(1), D(0), D("17.50"))], payment(sub_total="17.50", total_amount="20.99"))
    assert not parity.ok
    assert parity.message == "Line 77 (MUG) sells at 17.50 GBP, but its price less its discounts is 17.00."


def test_currencies_without_cents_are_distributed_in_whole_units() -> None:
    assert minor_unit("JPY") == 1
    assert distribute(D(100), [D(1), D(1), D(1)], D(1)) == [D(33), D(34), D(33)]


def test_an_amount_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="'12,50' is not an amount"):
        payment(total_amount="12,50")

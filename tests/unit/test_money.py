"""Money is exact: what TikTok says adds up, and what Magento is told adds up to it (product.md 6, MAG §4.4.6, A107)."""

from __future__ import annotations

from dataclasses import replace
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
@settings(max_examples=120, deadline=None)
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
@settings(max_examples=80, deadline=None)
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
        ({"tax": "1.00", "total_amount": "38.50"}, "0.01", "The amounts add up to 38.49 GBP, but TikTok's total is 38.50: a difference of 0.01."),
        ({"tax": "1.00", "total_amount": "37.48"}, "-1.01", "The amounts add up to 38.49 GBP, but TikTok's total is 37.48: a difference of -1.01."),
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


TAXED = [Unit("1", "A", D(10), tax=D("0.80")), Unit("2", "A", D(10), tax=D("0.80")), Unit("3", "B", D(5), D(1), tax=D("0.32"), name="Bowl")]
UNTAXED = [Unit("1", "A", D(10)), Unit("2", "A", D(10)), Unit("3", "B", D(6), D(1), D(1))]


def american(**changes: str) -> Charges:
    """24.00 of goods, 6.00 of shipping, 2.40 of tax outside the prices."""
    return Charges.of(
        {"currency": "USD", "sub_total": "24.00", "original_shipping_fee": "6.00", "shipping_fee": "6.00", "tax": "2.40", "total_amount": "32.40"} | changes
    )


@pytest.mark.parametrize(
    ("units", "changes", "taxes"),
    [
        (TAXED, {"shipping_fee_tax": "0.48"}, ("1.60", "0.32", "0.48")),  # every part is named
        (TAXED, {"product_tax": "1.92"}, ("1.60", "0.32", "0.48")),
        (TAXED, {"tax": "", "product_tax": "1.92", "shipping_fee_tax": "0.48"}, ("1.60", "0.32", "0.48")),
        (TAXED, {}, ("1.60", "0.32", "0.48")),  # what the lines do not name is the shipping's
        (TAXED, {"original_shipping_fee": "0", "shipping_fee": "0", "total_amount": "26.40"}, ("2.00", "0.40", "0")),  # unless nothing is shipped for money
        (TAXED, {"tax": "1.00", "total_amount": "31.00"}, ("0.83", "0.17", "0")),  # less than the lines name: in proportion
        (UNTAXED, {}, ("2.00", "0.40", "0")),  # by what was paid for each
        (UNTAXED, {"shipping_fee_tax": "0"}, ("2.00", "0.40", "0")),
        (UNTAXED, {"product_tax": "1.92"}, ("1.60", "0.32", "0.48")),
        ([replace(TAXED[0], tax=D(0)), *UNTAXED[1:2], TAXED[2]], {"tax": "0.16", "total_amount": "30.16"}, ("0", "0.16", "0")),  # one of them is free of tax
    ],
)
def test_tax_goes_to_the_line_or_the_shipping_that_tiktok_means(units: list[Unit], changes: dict[str, str], taxes: tuple[str, ...]) -> None:
    charges = american(**changes)
    parity = check_parity(units, charges)
    assert parity.ok and not parity.tax_included
    money = lay_out(units, charges, parity, taxes="tiktok", revenue="buyer_paid")
    assert (*(line.tax for line in money.lines), money.shipping_tax) == tuple(map(D, taxes))
    assert money.grand_total == charges.total


def test_the_worked_order_of_each_way_with_taxes_holds() -> None:
    charges = american(shipping_fee_tax="0.48")
    parity = check_parity(TAXED, charges)
    assert parity.terms == {
        "lines": "25", "seller_discount": "-1", "shipping": "6.00", "tax": "2.40", "total": "32.40",
    }  # fmt: skip
    kept = lay_out(TAXED, charges, parity, taxes="tiktok", revenue="buyer_paid")
    first, second = kept.lines
    assert (first.row_total, first.discount, first.tax, first.tax_percent, first.price, first.price_incl_tax) == (D(20), 0, D("1.60"), 8, 10, D("10.80"))
    assert (second.name, second.row_total, second.discount, second.paid, second.tax_percent) == ("Bowl", D(5), D(1), D("4.32"), 8)
    assert (kept.subtotal, kept.subtotal_incl_tax, kept.shipping, kept.tax) == (D(25), D("26.92"), D(6), D("2.40"))
    folded = lay_out(TAXED, charges, parity, taxes="none", revenue="buyer_paid")
    assert [(line.row_total, line.discount, line.tax, line.tax_percent) for line in folded.lines] == [(D("21.60"), 0, 0, 0), (D("5.32"), D(1), 0, 0)]
    assert (folded.shipping, folded.shipping_tax, folded.grand_total) == (D("6.48"), 0, D("32.40"))
    own = lay_out(TAXED, charges, parity, taxes="magento", revenue="buyer_paid", percents={"a": D(10)})
    assert [(line.row_total, line.discount, line.tax, line.tax_percent) for line in own.lines] == [
        (D("19.64"), 0, D("1.96"), D("9.9796")), (D("5.32"), D(1), 0, 0),
    ]  # fmt: skip
    assert (own.shipping, own.shipping_tax, own.grand_total) == (D("6.48"), 0, D("32.40"))
    base = kept.in_base(D("0.8"), CENT)
    assert [(line.row_total, line.discount, line.tax) for line in base.lines] == [(D(25), 0, D(2)), (D("6.25"), D("1.25"), D("0.40"))]
    assert (base.currency, base.shipping, base.shipping_tax, base.grand_total) == ("", D("7.50"), D("0.60"), D("40.50"))
    assert kept.in_base(D(1), CENT) is kept


def test_tax_inside_the_shipping_is_taken_out_of_it_too() -> None:
    units = [Unit("1", "MUG", D("24.00"), D("4.00"), D(0), D(0), D("20.00"))]
    charges = payment(sub_total="20.00", tax="3.33", shipping_fee_tax="0.58", total_amount="23.49")
    parity = check_parity(units, charges)
    assert parity.message == "The amounts add up to 23.49 GBP; tax of 3.33 is inside the prices."
    (line,) = (money := lay_out(units, charges, parity, taxes="tiktok", revenue="buyer_paid")).lines
    assert (line.row_total, line.discount, line.tax, line.tax_percent) == (D("20.70"), D("3.45"), D("2.75"), D("15.9420"))
    assert (money.shipping, money.shipping_tax, money.grand_total) == (D("2.91"), D("0.58"), D("23.49"))


def test_the_payment_object_is_read_with_every_discount_and_fee_that_it_names() -> None:
    charges = payment(
        original_shipping_fee="6.49", shipping_fee_seller_discount="1.00", shipping_fee_platform_discount="1.50", shipping_fee_cofunded_discount="0.50",
        small_order_fee="0.28", retail_delivery_fee="0", payment_platform_discount="2.00", total_amount="35.77",
    )  # fmt: skip
    assert (charges.shipping_platform_discount, charges.fees, charges.payment_discount) == (D("2.00"), {"small_order_fee": D("0.28")}, D(2))
    parity = check_parity(MUGS, charges)
    assert parity.ok, parity.message
    assert parity.terms == {
        "lines": "40.00", "seller_discount": "-4.00", "platform_discount": "-2.00", "shipping": "3.49", "tax": "0", "small_order_fee": "0.28",
        "payment_discount": "-2.00", "total": "35.77",
    }  # fmt: skip
    money = lay_out(MUGS, charges, parity, taxes="tiktok", revenue="buyer_paid")
    assert (money.shipping, money.discount, money.grand_total) == (D("3.77"), D("8.00"), D("35.77"))


def test_what_tiktok_does_not_name_is_not_compared() -> None:
    silent = payment(sub_total="", original_shipping_fee="")
    assert (silent.sub_total, silent.original_shipping_fee) == (None, None)
    assert check_parity(MUGS, silent).ok
    assert check_parity([Unit("1", "MUG", D("34.00"))], payment()).ok  # no sale price


def test_nothing_is_distributed_over_nothing() -> None:
    assert distribute(D(0), [], CENT) == []
    with pytest.raises(ValueError, match="cannot be distributed over nothing"):
        distribute(CENT, [], CENT)
    assert distribute(D("0.05"), [D(0), D(0)], CENT) == [D("0.03"), D("0.02")]
    assert distribute(D("10.005"), [D(1), D(3)], CENT) == [D("2.50"), D("7.505")]  # what no step expresses goes to the heaviest
    nothing = check_parity([], payment(sub_total="0", total_amount="3.49"))
    assert lay_out([], payment(sub_total="0", total_amount="3.49"), nothing, taxes="tiktok", revenue="buyer_paid").grand_total == D("3.49")
    taxed = payment(sub_total="0", tax="0.58", total_amount="4.07")
    assert lay_out([], taxed, check_parity([], taxed), taxes="tiktok", revenue="buyer_paid").shipping_tax == D("0.58")


def test_a_mismatch_with_cancelled_lines_is_told_of_all_lines() -> None:
    units = [MUGS[0], Unit("2", "MUG-GREEN", D("20.00"), D("2.00"), D("1.00"), cancelled=True)]
    parity = check_parity(units, payment(sub_total="9.00", total_amount="12.49"))
    assert (parity.ok, parity.open_lines_only, parity.difference) == (False, False, D("-25.00"))

"""TikTok's amounts, checked to the cent and laid out as one Magento order (TTS §5.4.5, MAG §4.4.6).

TikTok sends one line a unit; Magento wants one line a SKU, a header that equals the sum of its lines, discounts positive in lines and negative
in the header. Everything is ``Decimal`` in the order's currency; distribution is exact: what is split adds up again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

ZERO = Decimal(0)
PRICE_STEP = Decimal("0.0001")  #: Magento keeps four decimals

_WHOLE_UNITS = frozenset({"JPY", "KRW", "VND", "IDR", "CLP", "PYG", "ISK"})

#: Amounts that TikTok adds to what the buyer pays; Magento has no place for them but the shipping amount.
FEES = (
    "retail_delivery_fee", "buyer_service_fee", "handling_fee", "small_order_fee", "item_insurance_fee", "item_insurance_tax",
    "shipping_insurance_fee", "payment_discount_service_fee", "distance_fee", "distance_shipping_fee",
)  # fmt: skip

Taxes = Literal["tiktok", "magento", "none"]
Revenue = Literal["buyer_paid", "seller_revenue"]


def amount(value: object) -> Decimal:
    """A remote amount: TikTok sends strings, and leaves out what is zero. Raises ``ValueError`` for what is not a number."""
    if value in (None, ""):
        return ZERO
    try:
        return Decimal(str(value).strip())
    except ArithmeticError:
        raise ValueError(f"{value!r} is not an amount") from None


def minor_unit(currency: str) -> Decimal:
    """The smallest amount TikTok uses in ``currency``."""
    return Decimal(1) if currency in _WHOLE_UNITS else Decimal("0.01")


def to_step(value: Decimal, step: Decimal) -> Decimal:
    """Rounded to whole steps; half a step goes away from zero."""
    return value.quantize(step, rounding=ROUND_HALF_UP)


def distribute(total: Decimal, weights: Sequence[Decimal], step: Decimal) -> list[Decimal]:
    """Split ``total`` by ``weights`` into whole steps that add up to ``total`` exactly.

    The share that a step cannot express goes to the heaviest; equal or zero weights share alike.
    """
    if not weights:
        if total:
            raise ValueError(f"{total} cannot be distributed over nothing")
        return []
    whole = sum(weights, ZERO)
    if whole <= 0:
        weights, whole = [Decimal(1)] * len(weights), Decimal(len(weights))
    shares: list[Decimal] = []
    passed, given = ZERO, ZERO
    for weight in weights:  # cumulative rounding: no share is more than one step off, and the last one closes the sum
        passed += weight
        upto = to_step(total * passed / whole, step)
        shares.append(upto - given)
        given = upto
    rest = total - given
    if rest:
        shares[max(range(len(weights)), key=lambda index: weights[index])] += rest
    return shares


@dataclass(frozen=True, slots=True)
class Unit:
    """One TikTok line item: one unit of one SKU. ``price`` is the list price; discounts and tax belong to this unit."""

    line_id: str
    sku: str  #: Magento's SKU once matched, else the seller SKU
    price: Decimal
    seller_discount: Decimal = ZERO
    platform_discount: Decimal = ZERO
    tax: Decimal = ZERO
    sale_price: Decimal | None = None
    cancelled: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """The ``payment`` object of a TikTok order (TTS §5.4.5)."""

    currency: str
    total: Decimal
    sub_total: Decimal | None = None
    shipping_fee: Decimal = ZERO
    original_shipping_fee: Decimal | None = None
    shipping_seller_discount: Decimal = ZERO
    shipping_platform_discount: Decimal = ZERO
    tax: Decimal = ZERO
    product_tax: Decimal | None = None
    shipping_tax: Decimal | None = None
    fees: Mapping[str, Decimal] = field(default_factory=dict)
    payment_discount: Decimal = ZERO  #: ``payment_platform_discount``: TikTok pays a part of the bill

    @classmethod
    def of(cls, payment: Mapping[str, Any]) -> Charges:
        """From TikTok's object. Raises ``ValueError`` when an amount is not a number."""

        def optional(key: str) -> Decimal | None:
            return amount(payment[key]) if payment.get(key) not in (None, "") else None

        product_tax, shipping_tax = optional("product_tax"), optional("shipping_fee_tax")
        tax = optional("tax")
        return cls(
            currency=str(payment.get("currency") or ""),
            total=amount(payment.get("total_amount")),
            sub_total=optional("sub_total"),
            shipping_fee=amount(payment.get("shipping_fee")),
            original_shipping_fee=optional("original_shipping_fee"),
            shipping_seller_discount=amount(payment.get("shipping_fee_seller_discount")),
            shipping_platform_discount=amount(payment.get("shipping_fee_platform_discount")) + amount(payment.get("shipping_fee_cofunded_discount")),
            tax=tax if tax is not None else (product_tax or ZERO) + (shipping_tax or ZERO),
            product_tax=product_tax,
            shipping_tax=shipping_tax,
            fees={name: amount(payment[name]) for name in FEES if amount(payment.get(name))},
            payment_discount=amount(payment.get("payment_platform_discount")),
        )


@dataclass(frozen=True, slots=True)
class Parity:
    """Do TikTok's own amounts add up? ``difference`` is TikTok's total minus the sum; ``terms`` are what was added."""

    ok: bool
    difference: Decimal
    message: str
    tax_included: bool
    terms: Mapping[str, str]
    #: The amounts describe the lines that were not cancelled only: TikTok has recalculated the order.
    open_lines_only: bool = False


def check_parity(units: Sequence[Unit], charges: Charges) -> Parity:
    """Lines + shipping + tax + fees - seller and platform discounts = TikTok's total, to the cent (product.md 6).

    Tax that is named but already inside the prices (most markets outside the US) is recognised by the sum itself. Cancelled lines may or may
    not be in TikTok's amounts any more; both readings are tried.
    """
    if not charges.currency:
        return Parity(False, ZERO, "TikTok sent no currency.", False, {})
    first: Parity | None = None
    for open_only in (False, True):
        chosen = [unit for unit in units if not (open_only and unit.cancelled)]
        found = _parity(chosen, charges, open_only)
        if found.ok:
            return found
        first = first or found
        if not any(unit.cancelled for unit in units):
            break
    assert first is not None
    return first


def _parity(units: Sequence[Unit], charges: Charges, open_only: bool) -> Parity:
    lines = sum((unit.price for unit in units), ZERO)
    seller = sum((unit.seller_discount for unit in units), ZERO)
    platform = sum((unit.platform_discount for unit in units), ZERO)
    fees = sum(charges.fees.values(), ZERO)
    terms = {
        "lines": lines,
        "seller_discount": -seller,
        "platform_discount": -platform,
        "shipping": charges.shipping_fee,
        "tax": charges.tax,
        **charges.fees,
        "payment_discount": -charges.payment_discount,
    }
    shown = {name: f"{value:f}" for name, value in terms.items() if value or name in ("lines", "shipping", "tax")} | {"total": f"{charges.total:f}"}
    money = charges.currency

    def wrong(difference: Decimal, text: str) -> Parity:
        return Parity(False, difference, text, False, shown, open_only)

    for unit in units:
        if unit.sale_price is not None and unit.sale_price != unit.price - unit.seller_discount - unit.platform_discount:
            off = unit.sale_price - (unit.price - unit.seller_discount - unit.platform_discount)
            return wrong(
                off, f"Line {unit.line_id} ({unit.sku}) sells at {unit.sale_price} {money}, but its price less its discounts is {unit.sale_price - off}."
            )
    net = lines - seller - platform
    if charges.sub_total is not None and charges.sub_total != net:
        return wrong(
            charges.sub_total - net,
            f"The lines add up to {net} {money}, but TikTok's sub total is {charges.sub_total}: a difference of {charges.sub_total - net}.",
        )
    if charges.original_shipping_fee is not None:
        shipping = charges.original_shipping_fee - charges.shipping_seller_discount - charges.shipping_platform_discount
        if shipping != charges.shipping_fee:
            return wrong(
                charges.shipping_fee - shipping,
                f"Shipping less its discounts is {shipping} {money}, but TikTok's shipping fee is {charges.shipping_fee}: "
                f"a difference of {charges.shipping_fee - shipping}.",
            )
    without_tax = net + charges.shipping_fee + fees - charges.payment_discount
    if without_tax + charges.tax == charges.total:
        return Parity(True, ZERO, f"The amounts add up to {charges.total} {money}.", False, shown, open_only)
    if charges.tax and without_tax == charges.total:
        return Parity(True, ZERO, f"The amounts add up to {charges.total} {money}; tax of {charges.tax} is inside the prices.", True, shown, open_only)
    difference = charges.total - without_tax - charges.tax
    return wrong(
        difference, f"The amounts add up to {charges.total - difference} {money}, but TikTok's total is {charges.total}: a difference of {difference}."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyLine:
    """One line of the Magento order, in the order's currency. ``row_total`` is net and before the discount, as Magento stores it."""

    sku: str
    line_ids: tuple[str, ...]
    qty: int
    row_total: Decimal
    discount: Decimal
    tax: Decimal
    tax_percent: Decimal
    name: str = ""

    @property
    def price(self) -> Decimal:
        """Net price of one unit; four decimals where the row does not divide (29.99 / 3 = 9.9967)."""
        return to_step(self.row_total / self.qty, PRICE_STEP)

    @property
    def row_total_incl_tax(self) -> Decimal:
        return self.row_total + self.tax

    @property
    def price_incl_tax(self) -> Decimal:
        return to_step(self.row_total_incl_tax / self.qty, PRICE_STEP)

    @property
    def paid(self) -> Decimal:
        """What this line adds to the grand total."""
        return self.row_total - self.discount + self.tax


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMoney:
    """The amounts of one Magento order. The header is computed from the lines and cannot disagree with them."""

    currency: str
    lines: tuple[MoneyLine, ...]
    shipping: Decimal = ZERO  #: net, after shipping discounts (MAG §4.4.6), market fees included
    shipping_tax: Decimal = ZERO

    @property
    def subtotal(self) -> Decimal:
        return sum((line.row_total for line in self.lines), ZERO)

    @property
    def subtotal_incl_tax(self) -> Decimal:
        return sum((line.row_total_incl_tax for line in self.lines), ZERO)

    @property
    def discount(self) -> Decimal:
        """Positive here; the header of a Magento order carries it negative."""
        return sum((line.discount for line in self.lines), ZERO)

    @property
    def tax(self) -> Decimal:
        return sum((line.tax for line in self.lines), ZERO) + self.shipping_tax

    @property
    def grand_total(self) -> Decimal:
        return self.subtotal - self.discount + self.shipping + self.tax

    def in_base(self, base_to_order_rate: Decimal, step: Decimal) -> OrderMoney:
        """The same order in Magento's base currency: every line is converted and rounded, so that header and lines agree there too."""
        if base_to_order_rate == 1:
            return self

        def convert(value: Decimal) -> Decimal:
            return to_step(value / base_to_order_rate, step)

        return OrderMoney(
            currency="",
            lines=tuple(
                MoneyLine(
                    sku=line.sku, line_ids=line.line_ids, qty=line.qty, row_total=convert(line.row_total), discount=convert(line.discount),
                    tax=convert(line.tax), tax_percent=line.tax_percent, name=line.name,
                )
                for line in self.lines
            ),
            shipping=convert(self.shipping),
            shipping_tax=convert(self.shipping_tax),
        )  # fmt: skip


def lay_out(
    units: Iterable[Unit],
    charges: Charges,
    parity: Parity,
    *,
    taxes: Taxes,
    revenue: Revenue,
    by_price: bool = False,
    percents: Mapping[str, Decimal] | None = None,
) -> OrderMoney:
    """The Magento order of TikTok's amounts.

    ``taxes``: ``tiktok`` keeps TikTok's tax; ``magento`` splits what the buyer paid by Magento's own rates (``percents``: SKU in lower case ->
    percent), the total staying TikTok's; ``none`` folds tax into the prices. ``revenue``: ``seller_revenue`` leaves out the discounts that TikTok
    pays. ``by_price`` keeps lines of one SKU with different prices apart (the cart cannot). Needs ``parity.ok``. The grand total equals
    TikTok's total less what was cancelled, plus, for ``seller_revenue``, the platform's discounts.
    """
    if not parity.ok:
        raise ValueError(parity.message)
    step = minor_unit(charges.currency)
    everything = [unit for unit in units if not (parity.open_lines_only and unit.cancelled)]
    product_tax, shipping_tax = _split_tax(everything, charges, step)
    weights = [unit.price - unit.seller_discount - unit.platform_discount for unit in everything]
    payment_parts = distribute(charges.payment_discount, weights, step) if revenue == "buyer_paid" else [ZERO] * len(everything)
    groups: dict[tuple[str, Decimal | None], list[tuple[Unit, Decimal, Decimal]]] = {}
    for unit, tax, extra in zip(everything, product_tax, payment_parts, strict=True):
        if not unit.cancelled:
            groups.setdefault((unit.sku.casefold(), unit.price if by_price else None), []).append((unit, tax, extra))
    lines = tuple(_line(members, parity.tax_included, taxes, revenue, percents or {}, step) for members in groups.values())
    shipping = charges.shipping_fee + sum(charges.fees.values(), ZERO)
    if revenue == "seller_revenue":
        shipping += charges.shipping_platform_discount
    if parity.tax_included:
        shipping -= shipping_tax
    if taxes != "tiktok":  # Magento's rate on shipping cannot be known through a free method: the tax stays inside the amount
        shipping, shipping_tax = shipping + shipping_tax, ZERO
    return OrderMoney(currency=charges.currency, lines=lines, shipping=shipping, shipping_tax=shipping_tax)


def _split_tax(units: Sequence[Unit], charges: Charges, step: Decimal) -> tuple[list[Decimal], Decimal]:
    """Tax per unit and tax of shipping; together exactly ``charges.tax``."""
    named = [unit.tax for unit in units]
    of_lines = sum(named, ZERO)
    of_shipping = charges.shipping_tax
    if of_shipping is None:
        if charges.product_tax is not None:
            of_shipping = charges.tax - charges.product_tax
        else:
            of_shipping = charges.tax - of_lines if of_lines and charges.tax >= of_lines and charges.shipping_fee else ZERO
    of_products = charges.tax - of_shipping
    if of_lines == of_products:
        return named, of_shipping
    weights = named if of_lines > 0 else [unit.price - unit.seller_discount - unit.platform_discount for unit in units]
    if not units:
        return [], charges.tax
    return distribute(of_products, weights, step), of_shipping


def _line(
    members: Sequence[tuple[Unit, Decimal, Decimal]],
    tax_included: bool,
    taxes: Taxes,
    revenue: Revenue,
    percents: Mapping[str, Decimal],
    step: Decimal,
) -> MoneyLine:
    first = members[0][0]
    row = sum((unit.price for unit, _, _ in members), ZERO)
    discount = sum((unit.seller_discount + extra + (unit.platform_discount if revenue == "buyer_paid" else ZERO) for unit, _, extra in members), ZERO)
    tax = sum((tax for _, tax, _ in members), ZERO)
    gross = row - discount + (ZERO if tax_included else tax)  # what this line brings in, tax and all
    if taxes == "none":
        row, tax = gross + discount, ZERO
    elif taxes == "magento":
        percent = percents.get(first.sku.casefold(), ZERO)
        tax = to_step(gross * percent / (100 + percent), step)
        discount, row = _net(discount, gross - tax, gross, step)
    elif tax_included:
        discount, row = _net(discount, gross - tax, gross, step)
    net = row - discount
    percent = to_step(tax * 100 / net, PRICE_STEP) if net and tax else ZERO
    return MoneyLine(
        sku=first.sku, line_ids=tuple(unit.line_id for unit, _, _ in members), qty=len(members), row_total=row, discount=discount, tax=tax,
        tax_percent=percent, name=first.name,
    )  # fmt: skip


def _net(discount: Decimal, net: Decimal, gross: Decimal, step: Decimal) -> tuple[Decimal, Decimal]:
    """Discount and row without the tax that was inside both: (net discount, net row before the discount)."""
    without = to_step(discount * net / gross, step) if gross else discount
    return without, net + without

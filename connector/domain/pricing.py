"""The TikTok price of one SKU: base price -> change -> conversion -> rounding -> guards (product.md 4, A093-A098).

Exact: every step is ``Decimal`` and is kept with its words. A guard that trips blocks the product with its reason; a price is never corrected
in silence. The store's own prices are not touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, tzinfo
from decimal import ROUND_FLOOR, Context, Decimal, localcontext

from connector.domain.money import minor_unit, to_step
from connector.domain.policies import PricingPolicy

#: What TikTok sells in (TTS §5.3.8).
CURRENCIES = ("USD", "GBP", "EUR", "IDR", "MYR", "PHP", "SGD", "THB", "VND", "JPY", "MXN", "BRL", "PLN", "CZK", "HUF")

_EXACT = Context(prec=60)  # 12 + 4 digits of money times 12 of percent times 14 of rate: nothing is lost


@dataclass(frozen=True, slots=True)
class SpecialPrice:
    """Magento's special price. ``starts`` and ``ends`` are aware instants, None is open; ``ends`` itself is no longer inside."""

    amount: Decimal
    starts: datetime | None = None
    ends: datetime | None = None

    def runs(self, now: datetime) -> bool:
        return (self.starts is None or self.starts <= now) and (self.ends is None or now < self.ends)

    def next_change(self, now: datetime) -> datetime | None:
        """When it will begin or end: the price has to be worked out again then."""
        return min((instant for instant in (self.starts, self.ends) if instant is not None and instant > now), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceFacts:
    """What is known of one SKU. ``values``: Magento's price attributes by code, in ``base_currency``; ``currency``: the TikTok shop's."""

    sku: str
    values: Mapping[str, Decimal | None]
    currency: str
    now: datetime
    base_currency: str = ""
    special: SpecialPrice | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the calculation, for the page and for the decision trace."""

    key: str
    label: str
    value: Decimal
    words: str


@dataclass(frozen=True, slots=True)
class Block:
    """Why no price is sent. ``key`` names the check, ``field`` the policy's field or the Magento attribute."""

    key: str
    field: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Price:
    """``amount`` is None exactly when ``block`` says why. ``next_change``: when the special price begins or ends."""

    currency: str
    amount: Decimal | None
    steps: tuple[Step, ...] = ()
    block: Block | None = None
    next_change: datetime | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def text(self) -> str:
        """As TikTok takes it; raises ``ValueError`` for a blocked price."""
        if self.amount is None:
            raise ValueError(self.block.reason if self.block else "there is no price")
        return f"{self.amount:f}"

    @property
    def explanation(self) -> str:
        return " ".join([step.words for step in self.steps] + ([self.block.reason] if self.block else []))


class _Blocked(Exception):
    def __init__(self, key: str, field: str, reason: str, remedy: str) -> None:
        self.block = Block(key, field, reason, remedy)


def price(policy: PricingPolicy, facts: PriceFacts) -> Price:
    """The formula, for one SKU under one policy version."""
    steps: list[Step] = []
    change = facts.special.next_change(facts.now) if policy.use_special_price and facts.special else None
    try:
        with localcontext(_EXACT):
            amount = _steps(policy, facts, steps)
    except _Blocked as blocked:
        return Price(facts.currency, None, tuple(steps), blocked.block, change)
    return Price(facts.currency, amount, tuple(steps), None, change)


def _steps(policy: PricingPolicy, facts: PriceFacts, steps: list[Step]) -> Decimal:
    if facts.currency not in CURRENCIES:
        raise _Blocked(
            "currency",
            "currency",
            f"TikTok Shop does not sell in {facts.currency or 'a currency without name'}.",
            "Check the account's shop: its currency is not known.",
        )
    value = _base(policy, facts, steps)
    value = _change(policy, value, facts, steps)
    if policy.conversion_rate != 1:
        value *= policy.conversion_rate
        steps.append(Step("conversion", "Currency conversion", value, f"Times {_plain(policy.conversion_rate)}: {_plain(value)} {facts.currency}."))
    value = _round(policy, value, facts, steps)
    _guards(policy, value, facts, steps)
    return value


def _base(policy: PricingPolicy, facts: PriceFacts, steps: list[Step]) -> Decimal:
    code = policy.price_attribute or "price"
    value = facts.values.get(code)
    money = facts.base_currency
    if value is None:
        raise _Blocked(
            "base", code, f"{facts.sku} has no value in {code}.", f"Fill in {code} in Magento, or choose another Price Attribute in the pricing policy."
        )
    steps.append(Step("base", "Base price", value, f"{code} is {_money(value, money)}."))
    if policy.use_special_price and facts.special is not None and facts.special.runs(facts.now) and facts.special.amount < value:
        value = facts.special.amount
        steps.append(Step("special", "Special price", value, f"The special price of {_money(value, money)} is running."))
    if value <= 0:
        raise _Blocked("base", code, f"{facts.sku} has a price of {_money(value, money)}.", f"Enter a price above zero in {code} in Magento.")
    return value


def _change(policy: PricingPolicy, value: Decimal, facts: PriceFacts, steps: list[Step]) -> Decimal:
    if policy.change == "none":
        return value
    by = policy.change_amount
    sign = 1 if policy.change.startswith("increase") else -1
    verb = "Increased" if sign > 0 else "Decreased"
    if policy.change.endswith("percent"):
        value, by_words = value * (100 + sign * by) / 100, f"{_plain(by)} percent"
    else:
        value, by_words = value + sign * by, _money(by, facts.base_currency)
    steps.append(Step("change", "Price change", value, f"{verb} by {by_words}: {_money(value, facts.base_currency)}."))
    if value <= 0:
        raise _Blocked(
            "change",
            "change_amount",
            f"Decreased by {by_words}, the price of {facts.sku} is {_money(value, facts.base_currency)}.",
            "Make the decrease smaller.",
        )
    return value


def _round(policy: PricingPolicy, value: Decimal, facts: PriceFacts, steps: list[Step]) -> Decimal:
    unit = minor_unit(facts.currency)
    if policy.rounding == "ending":
        ending = policy.rounding_ending
        if ending != to_step(ending, unit):
            raise _Blocked(
                "rounding",
                "rounding_ending",
                f"A price in {facts.currency} cannot end in {_plain(ending)}: it has no such part.",
                "Round to the currency's minor unit instead.",
            )
        rounded, words = nearest_ending(value, ending), f"Rounded to the nearest ending {_plain(ending)}"
    elif policy.rounding == "minor_unit":
        rounded, words = to_step(value, unit), f"Rounded to the smallest unit of {facts.currency}"
    else:
        if value != to_step(value, unit):
            raise _Blocked(
                "rounding",
                "rounding",
                f"{_plain(value)} has more decimals than {facts.currency} allows, and the policy does not round.",
                "Choose a rounding in the pricing policy.",
            )
        return to_step(value, unit)
    if rounded != value:
        steps.append(Step("rounding", "Rounding", rounded, f"{words}: {_plain(rounded)} {facts.currency}."))
    if rounded <= 0:
        raise _Blocked(
            "rounding", "rounding", f"Rounded, the price of {facts.sku} is {_plain(rounded)} {facts.currency}.", "Raise the price, or choose another rounding."
        )
    return to_step(rounded, unit)


def nearest_ending(value: Decimal, ending: Decimal) -> Decimal:
    """The positive amount with this fraction that lies nearest; the higher one of two that are equally near."""
    below = value.to_integral_value(rounding=ROUND_FLOOR) + ending
    candidates = [amount for amount in (below - 1, below, below + 1) if amount > 0]
    return min(candidates, key=lambda amount: (abs(amount - value), -amount))


def _guards(policy: PricingPolicy, value: Decimal, facts: PriceFacts, steps: list[Step]) -> None:
    money = facts.currency
    if policy.minimum_price is not None:
        if value < policy.minimum_price:
            reason = f"{_plain(value)} {money} is below the minimum price of {_plain(policy.minimum_price)} {money}."
            raise _Blocked("minimum_price", "minimum_price", reason, "Raise the product's price in Magento, or lower the Minimum price of the pricing policy.")
        steps.append(Step("minimum_price", "Minimum price", value, f"Not below the minimum price of {_plain(policy.minimum_price)} {money}."))
    if policy.minimum_margin_percent is not None:
        cost = facts.values.get(policy.cost_attribute)
        if cost is None or cost < 0:
            where = policy.cost_attribute or "no attribute"
            raise _Blocked(
                "minimum_margin",
                policy.cost_attribute,
                f"The margin of {facts.sku} cannot be checked: its cost ({where}) is empty.",
                "Enter the cost in Magento, or clear the Minimum margin.",
            )
        least = cost * policy.conversion_rate * (100 + policy.minimum_margin_percent) / 100
        if value < least:
            reason = f"{_plain(value)} {money} is below {_plain(least)} {money}, which is the cost plus {_plain(policy.minimum_margin_percent)} percent."
            raise _Blocked(
                "minimum_margin", "minimum_margin_percent", reason, "Raise the product's price in Magento, or lower the Minimum margin of the pricing policy."
            )
        words = f"At least the cost plus {_plain(policy.minimum_margin_percent)} percent, {_plain(least)} {money}."
        steps.append(Step("minimum_margin", "Minimum margin", value, words))


def special_price(amount: object, from_date: str | None, to_date: str | None, zone: tzinfo) -> SpecialPrice | None:
    """Magento's ``special_price`` attributes (MAG §4.2.2). Its dates are days of the store's time zone, and the last day still counts.

    None when there is no special price. Raises ``ValueError`` for what is neither a number nor a date.
    """
    if amount in (None, ""):
        return None
    try:
        value = Decimal(str(amount))
    except ArithmeticError:
        raise ValueError(f"{amount!r} is not a special price") from None
    last = _day(to_date, zone)
    return SpecialPrice(value, _day(from_date, zone), None if last is None else _next_day(last, zone))


def _day(text: str | None, zone: tzinfo) -> datetime | None:
    if not text:
        return None
    return datetime.combine(datetime.fromisoformat(text.strip()).date(), time(), zone)


def _next_day(day: datetime, zone: tzinfo) -> datetime:
    return datetime.combine(day.date() + timedelta(days=1), time(), zone)


def _plain(value: Decimal) -> str:
    """Without trailing zeros, at least two decimals where there are any: 19.5 -> 19.50, 1.250000 -> 1.25, 20 -> 20."""
    text = f"{value:f}"
    whole, dot, part = text.partition(".")
    part = part.rstrip("0")
    return f"{whole}.{part.ljust(2, '0')}" if dot and part else whole


def _money(value: Decimal, currency: str) -> str:
    return f"{_plain(value)} {currency}".strip()

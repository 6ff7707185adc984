"""How many units TikTok may sell: the formula of product.md 4, with every term it used (A080-A092).

::

    stock  = default quantity                                  product does not manage stock
           = salable quantity over the chosen MSI sources      Use MSI
           = stock item quantity                               otherwise
    open   = units in TikTok orders, holds included, that Magento does not yet know about
    safe   = max(0, stock - open - buffer)
    sent   = safe | greater value | lesser value               by the threshold, never above safe unless the warned switch is on

The ledger is additive: its terms' changes add up to what is sent, so it can be shown as an account statement. Quantities are whole units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from connector.domain.policies import InventoryPolicy

TIKTOK_MAXIMUM = 99_999  #: units of one SKU in one warehouse (TTS §5.3.8)

#: Terms, in the order in which they can appear.
DEFAULT, SOURCE, RESERVED, ITEM, OUT_OF_STOCK, DEFAULT_FOR_ZERO = "default", "source", "reserved", "item", "out_of_stock", "default_for_zero"
OPEN, BUFFER, FLOOR, THRESHOLD, LIMIT, PLACES, MAXIMUM = "open", "buffer", "floor", "threshold", "limit", "places", "maximum"


@dataclass(frozen=True, slots=True)
class SourceStock:
    """A Magento source item of the SKU. One that is marked out of stock counts nothing (MAG §4.3)."""

    code: str
    quantity: Decimal | int
    in_stock: bool = True

    @property
    def units(self) -> int:
        return max(0, whole(self.quantity)) if self.in_stock else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StockFacts:
    """What Magento and TikTok say of one SKU.

    ``sources``: the source items of the website's stock. ``salable``: Magento's salable quantity of that stock, reservations taken off; None when
    it was not asked for. ``open_units``: in TikTok orders that Magento does not know about, over all accounts. ``warehouses``: every warehouse the
    SKU is assigned to on TikTok; each of them is in every update (TTS §5.3.15).
    """

    manages_stock: bool = True
    quantity: Decimal | int = 0
    is_in_stock: bool = True
    sources: Sequence[SourceStock] = ()
    salable: Decimal | int | None = None
    open_units: int = 0
    warehouses: Sequence[str] = ()
    default_warehouse: str = ""


@dataclass(frozen=True, slots=True)
class Term:
    """One line of the ledger: ``change`` moves the running ``balance``; ``words`` say why."""

    key: str
    label: str
    change: int
    balance: int
    words: str


def running(terms: Iterable[Mapping[str, Any]]) -> tuple[Term, ...]:
    """Stored terms ``{"key", "label", "change", "words"}`` with their running balance."""
    lines: list[Term] = []
    for term in terms:
        balance = term["change"] + (lines[-1].balance if lines else 0)
        lines.append(Term(term["key"], term["label"], term["change"], balance, term["words"]))
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is sent, and how it came about. ``sent`` is the sum of ``warehouses`` and of the terms' changes."""

    stock: int
    open_units: int
    buffer: int
    safe: int
    sent: int
    terms: tuple[Term, ...]
    warehouses: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def explanation(self) -> str:
        return " ".join(term.words for term in self.terms)


def whole(value: Decimal | int) -> int:
    """Whole units: a part of a unit cannot be sold."""
    return int(Decimal(value).to_integral_value(rounding=ROUND_FLOOR))


def units(count: int) -> str:
    return f"{count:,} unit" if count == 1 else f"{count:,} units"


class _Account:
    """Collects terms; the balance follows."""

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.balance = 0

    def add(self, key: str, label: str, change: int, words: str) -> None:
        self.balance += change
        self.terms.append(Term(key, label, change, self.balance, words))

    def move_to(self, key: str, label: str, value: int, words: str) -> None:
        """A term only when it changes something."""
        if value != self.balance:
            self.add(key, label, value - self.balance, words)


def quantity(policy: InventoryPolicy, facts: StockFacts) -> Ledger:
    """The formula, for one SKU under one policy version."""
    account, warnings = _Account(), list[str]()
    _stock(account, policy, facts)
    stock = account.balance
    account.add(OPEN, "Open TikTok orders", -facts.open_units, f"In TikTok orders that Magento does not know about yet: {units(facts.open_units)}.")
    account.add(BUFFER, "Threshold buffer", -policy.threshold_buffer, f"Kept back by the policy: {units(policy.threshold_buffer)}.")
    account.move_to(FLOOR, "Not below zero", max(0, account.balance), "Less than nothing cannot be offered.")
    safe = account.balance
    _threshold(account, policy, safe)
    if account.balance > safe:
        if policy.may_oversell:
            warnings.append(f"Sent: {units(account.balance)}, although only {safe:,} would be safe. The policy allows to send more than is in stock.")
        else:
            account.move_to(LIMIT, "Never more than is safe", safe, f"Limited to what is there: {units(safe)}.")
    if policy.default_quantity_for_zero and any(term.key == DEFAULT_FOR_ZERO for term in account.terms):
        warnings.append("The policy offers a default quantity for a product that has no stock.")
    places = _places(policy, facts, account, warnings)
    return Ledger(stock, facts.open_units, policy.threshold_buffer, safe, account.balance, tuple(account.terms), places, tuple(warnings))


def _stock(account: _Account, policy: InventoryPolicy, facts: StockFacts) -> None:
    default = policy.default_quantity or 0
    if not facts.manages_stock:
        words = "Magento does not manage its stock; the policy's Default Quantity is used" + ("." if default else ", which is empty: nothing is offered.")
        account.add(DEFAULT, "Default quantity", default, words)
        return
    if policy.use_msi:
        _sources(account, policy, facts)
    else:
        account.add(ITEM, "Stock in Magento", whole(facts.quantity), f"Magento's stock item holds {units(whole(facts.quantity))}.")
    if not facts.is_in_stock and account.balance > 0:
        account.move_to(OUT_OF_STOCK, "Marked out of stock", 0, "The product is marked Out of Stock in Magento.")
    if policy.default_quantity_for_zero and account.balance <= 0:
        account.move_to(DEFAULT_FOR_ZERO, "Default quantity for zero stock", default, f"There is no stock; the policy offers {units(default)} all the same.")


def _sources(account: _Account, policy: InventoryPolicy, facts: StockFacts) -> None:
    """Salable quantity over the chosen sources: reservations belong to no source, so all of them are taken off the chosen ones."""
    chosen = {row.source_code for row in policy.sources}
    for source in facts.sources:
        if source.code in chosen:
            account.add(SOURCE, f"Source {source.code}", source.units, f"Source {source.code} holds {units(source.units)}.")
    if not account.terms:
        account.add(SOURCE, "Chosen sources", 0, "None of the chosen sources holds this product.")
    if facts.salable is not None:
        reserved = sum(source.units for source in facts.sources) - whole(facts.salable)
        if reserved > 0:
            account.add(RESERVED, "Reserved in Magento", -reserved, f"Reserved for Magento orders or held back by Magento: {units(reserved)}.")
        elif reserved < 0:
            account.add(RESERVED, "Backorders in Magento", -reserved, f"Magento sells more than its sources hold: {units(-reserved)}.")


def _threshold(account: _Account, policy: InventoryPolicy, safe: int) -> None:
    """Compared after the buffer (A083); at exactly the threshold the real figure goes out (A091)."""
    if not policy.use_threshold or policy.threshold_value is None or safe == policy.threshold_value:
        return
    limit = policy.threshold_value
    if safe > limit:
        if policy.greater_quantity is not None:
            account.move_to(
                THRESHOLD, "Above the threshold", policy.greater_quantity, f"More than {units(limit)}: the policy sends {policy.greater_quantity:,}."
            )
    else:
        lesser = policy.lesser_quantity or 0
        account.move_to(THRESHOLD, "Below the threshold", lesser, f"Fewer than {units(limit)}: the policy sends {lesser:,}.")


def _places(policy: InventoryPolicy, facts: StockFacts, account: _Account, warnings: list[str]) -> dict[str, int]:
    """Split over the SKU's TikTok warehouses, in proportion to the sources behind each; together exactly what the account says then."""
    if not facts.warehouses:
        account.move_to(MAXIMUM, "TikTok's maximum", min(account.balance, TIKTOK_MAXIMUM), f"TikTok takes at most {TIKTOK_MAXIMUM:,} units.")
        return {}
    places = dict.fromkeys(facts.warehouses, 0)
    held = _held(policy, facts)
    if held is None:
        home = facts.default_warehouse if facts.default_warehouse in places else facts.warehouses[0]
        held = {home: account.balance}
    gone = [warehouse for warehouse in held if warehouse not in places]
    here = {warehouse: amount for warehouse, amount in held.items() if warehouse in places}
    if gone:
        warnings.append(f"{', '.join(gone)}: this SKU is not in that TikTok warehouse; what its sources hold is not offered.")
    capacity = sum(here.values())
    if account.balance > capacity and not policy.may_oversell and not _is_default(account):
        account.move_to(PLACES, "Not in a TikTok warehouse of this SKU", capacity, "The sources of its TikTok warehouses do not hold more.")
    elif not here:
        account.move_to(PLACES, "Not in a TikTok warehouse of this SKU", 0, "None of its TikTok warehouses has a source.")
    places.update(share(account.balance, here))
    if any(amount > TIKTOK_MAXIMUM for amount in places.values()):
        places = {warehouse: min(amount, TIKTOK_MAXIMUM) for warehouse, amount in places.items()}
        account.move_to(MAXIMUM, "TikTok's maximum", sum(places.values()), f"TikTok takes at most {TIKTOK_MAXIMUM:,} units in a warehouse.")
    return places


def _held(policy: InventoryPolicy, facts: StockFacts) -> dict[str, int] | None:
    """Units behind each mapped warehouse; a source that is mapped to several shares its units between them. None: no sources are used."""
    if not policy.use_msi or not policy.sources:
        return None
    targets: dict[str, list[str]] = {}
    for row in policy.sources:
        targets.setdefault(row.source_code, []).append(row.warehouse_id)
    held = {row.warehouse_id: 0 for row in policy.sources}
    stock = {source.code: source.units for source in facts.sources} if facts.manages_stock else {}
    for code, warehouses in targets.items():
        for warehouse, part in share(stock.get(code, 0), dict.fromkeys(warehouses, 1)).items():
            held[warehouse] += part
    return held


def _is_default(account: _Account) -> bool:
    """The quantity comes from the policy and not from sources, so no source can limit it."""
    return any(term.key in (DEFAULT, DEFAULT_FOR_ZERO) for term in account.terms)


def share(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Whole parts of ``total`` by weight, adding up to it exactly; equal weights when all are zero. No part is more than one unit off its
    proportion, and none exceeds its weight while ``total`` does not exceed their sum."""
    if not weights:
        return {}
    whole_weight = sum(weights.values())
    if whole_weight == 0:
        weights, whole_weight = dict.fromkeys(weights, 1), len(weights)
    parts = {key: total * weight // whole_weight for key, weight in weights.items()}
    rest = total - sum(parts.values())
    for key in sorted(weights, key=lambda key: -(total * weights[key] % whole_weight))[:rest]:
        parts[key] += 1
    return parts

"""The arithmetic of a Magento credit memo: lines, shipping and an adjustment that together are exactly what TikTok refunded (MAG §4.6.3). Pure.

Magento reckons the lines and the shipping itself; what they lack or exceed becomes the adjustment. Arguments of the refund call are in the store's
base currency, the amount aimed at is in the order's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

ZERO, CENT, BASE_STEP = Decimal(0), Decimal("0.01"), Decimal("0.0001")
NOT_INVOICED, UNITS_GONE, TOO_MUCH, ENDED = "memo.not_invoiced", "memo.units_refunded", "memo.too_much", "memo.order_ended"

#: A line's money: what was invoiced, what was refunded of it, and its sign in the memo's total.
_MONEY = (
    ("row_invoiced", "amount_refunded", 1),
    ("tax_invoiced", "tax_refunded", 1),
    ("discount_invoiced", "discount_refunded", -1),
    ("discount_tax_compensation_invoiced", "discount_tax_compensation_refunded", 1),
)


@dataclass(frozen=True, slots=True)
class MemoPlan:
    """What the refund call is given. ``items``: order item id -> units (0 only names a line); ``shipping`` and ``adjustment`` in base currency, the
    latter of either sign; ``total`` in the order's currency. ``problem``: one of the codes above when there is nothing to be sent, said in ``message``."""

    items: Mapping[str, int]
    shipping: Decimal = ZERO
    adjustment: Decimal = ZERO
    total: Decimal = ZERO
    return_to_stock: tuple[str, ...] = ()
    problem: str = ""
    message: str = ""


def plan(
    facts: Mapping[str, Any], units: Mapping[str, int], *, amount: Decimal | None, shipping: Decimal = ZERO, partial: bool = False, back: Collection[str] = ()
) -> MemoPlan:
    """``facts`` is the Magento order; ``units`` the order item ids with their units; ``amount`` what the memo has to come to in the order's currency
    (None: what the lines come to), ``shipping`` the part of it that is shipping. ``partial``: money only, the units stay sold. ``back``: order item
    ids whose units go on the shelf."""
    number = str(facts.get("increment_id") or facts.get("entity_id") or "")
    lines = {str(item.get("item_id")): item for item in facts.get("items") or () if not item.get("parent_item_id")}
    if facts.get("state") in ("canceled", "closed"):
        return MemoPlan(units, problem=ENDED, message=f"Magento order {number} is {facts['state']}: everything of it is refunded or cancelled already.")
    if _dec(facts.get("total_paid")) <= 0:
        return MemoPlan(units, problem=NOT_INVOICED, message=f"Magento order {number} is not invoiced, and Magento refunds only what was invoiced.")
    for item_id, quantity in units.items():
        left = open_units(lines.get(item_id, {}))
        if not partial and quantity > left:
            name = lines.get(item_id, {}).get("sku") or f"item {item_id}"
            text = f"{quantity} of {name} are to be refunded in Magento order {number}, but only {left:f} of them are not refunded yet."
            return MemoPlan(units, problem=UNITS_GONE, message=text)
    rate = _dec(facts.get("base_to_order_rate")) or Decimal(1)
    chosen = {} if partial else dict(units)
    rows = sum((line_total(lines[item_id], quantity) for item_id, quantity in chosen.items()), ZERO)
    base_rows = sum((line_total(lines[item_id], quantity, "base_") for item_id, quantity in chosen.items()), ZERO)
    base_shipping, shipped, base_shipped = _shipping(facts, shipping, rate)
    total = rows + shipped if amount is None else amount
    rest = total - rows - shipped
    adjustment = (rest / rate).quantize(BASE_STEP, rounding=ROUND_HALF_UP)
    available = _dec(facts.get("total_paid")) - _dec(facts.get("total_refunded"))
    base_available = _dec(facts.get("base_total_paid")) - _dec(facts.get("base_total_refunded"))
    if total > available + CENT:
        text = f"{total:.2f} {facts.get('order_currency_code') or ''} are to be refunded in Magento order {number}, but only {available:.2f} are left of it."
        return MemoPlan(units, problem=TOO_MUCH, message=text)
    over = base_rows + base_shipped + adjustment - base_available
    if over > 0:  # less than a cent of conversion: Magento compares base amounts
        adjustment -= over
    # a memo without units still has to name lines, or Magento takes all that is open
    return MemoPlan(chosen or dict.fromkeys(units, 0), base_shipping, adjustment, total, tuple(item for item in chosen if item in back))


def open_units(item: Mapping[str, Any]) -> Decimal:
    """Units of a Magento line that are invoiced and not refunded."""
    return _dec(item.get("qty_invoiced")) - _dec(item.get("qty_refunded"))


def line_total(item: Mapping[str, Any], quantity: int, prefix: str = "") -> Decimal:
    """What Magento refunds for ``quantity`` units of a line: its share to the cent, or all that is left for the last ones."""
    invoiced = _dec(item.get("qty_invoiced"))
    last = quantity == open_units(item)
    total = ZERO
    for have, done, sign in _MONEY:
        whole = _dec(item.get(prefix + have))
        part = whole - _dec(item.get(prefix + done)) if last else (whole * quantity / invoiced).quantize(CENT, rounding=ROUND_HALF_UP) if invoiced else ZERO
        total += sign * part
    return total


def _shipping(facts: Mapping[str, Any], wanted: Decimal, rate: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """(argument in base currency, what it adds to the memo in the order's currency, and in the base currency); Magento adds the shipping's tax."""
    full, left = _dec(facts.get("base_shipping_amount")), _dec(facts.get("base_shipping_amount")) - _dec(facts.get("base_shipping_refunded"))
    if wanted <= 0 or left <= 0:
        return ZERO, ZERO, ZERO
    whole = wanted >= _dec(facts.get("shipping_amount")) - _dec(facts.get("shipping_refunded"))
    base = left if whole else min(left, (wanted / rate).quantize(CENT, rounding=ROUND_HALF_UP))
    adds = []
    for prefix, factor in (("", rate), ("base_", Decimal(1))):
        fee = _dec(facts.get(f"{prefix}shipping_amount")) if base == full else (base * factor).quantize(CENT, rounding=ROUND_HALF_UP)
        tax, taxed = _dec(facts.get(f"{prefix}shipping_tax_amount")), _dec(facts.get(f"{prefix}shipping_tax_refunded"))
        adds.append(fee + (tax - taxed if base == left else (tax * base / full).quantize(CENT, rounding=ROUND_HALF_UP)))
    return base, adds[0], adds[1]


def _dec(value: object) -> Decimal:
    return Decimal(str(value or 0))

"""Money and quantities: Decimal inside a calculation, a bare JSON number outside (whole values lose the fraction, MAG §0.2)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Number = int | float
CENT = Decimal("0.01")
ZERO = Decimal(0)


def dec(value: Any) -> Decimal:
    """The exact Decimal of a JSON number, a numeric string or None (0)."""
    return Decimal(str(value)) if value not in (None, "") else ZERO


def num(value: Decimal | Number) -> Number:
    """A JSON number with at most four decimals, as the database column holds it."""
    rounded = round(dec(value), 4)
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)


def cents(value: Decimal) -> Decimal:
    return value.quantize(CENT, ROUND_HALF_UP)


def now() -> str:
    """`YYYY-MM-DD HH:MM:SS`, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")

"""The filters a grid can offer. A filter reads its own parameters, says what they mean in SQL, and draws itself as chips.

``parse`` returns None for "not set" and raises ``ValueError`` with words for the person when what was typed makes no sense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, or_


class Args(Protocol):
    """What Flask's ``request.args`` offers and we need."""

    def get(self, key: str, default: Any = None) -> Any: ...

    def getlist(self, key: str) -> list[str]: ...

    def keys(self) -> Any: ...


class Chip(NamedTuple):
    """A filter in force. Removing it drops ``drop``: parameter names, or (name, value) for one of several values."""

    text: str
    drop: tuple[str | tuple[str, str], ...]


Options = list[tuple[str, str]]
#: (value, label) pairs, a mapping, or a callable that gives either (read once a request).
Choosable = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | Callable[[], Any]


class Filter:
    """Base: one parameter named ``key``. ``pinned`` shows it in the toolbar instead of the panel."""

    kind = "text"

    def __init__(self, key: str, label: str, *, pinned: bool = False) -> None:
        self.key, self.label, self.pinned = key, label, pinned

    @property
    def names(self) -> tuple[str, ...]:
        return (self.key,)

    def options(self) -> Options:
        return []

    def parse(self, args: Args, tz: ZoneInfo, options: Options) -> Any:
        raise NotImplementedError

    def clause(self, value: Any, tz: ZoneInfo) -> ColumnElement[bool]:
        raise NotImplementedError

    def params(self, value: Any) -> list[tuple[str, str]]:
        return [(self.key, str(value))]

    def chips(self, value: Any, options: Options) -> list[Chip]:
        return [Chip(f"{self.label}: {value}", (self.key,))]


class Choices(Filter):
    """One or several of a list. ``expr`` may also be ``by(values) -> clause`` for anything more than a column."""

    kind = "choices"

    def __init__(self, key: str, label: str, expr: Any, choices: Choosable, *, multiple: bool = True, pinned: bool = False) -> None:
        super().__init__(key, label, pinned=pinned)
        self.expr, self.choices, self.multiple = expr, choices, multiple and not pinned
        self._fixed = None if callable(choices) else self._pairs(choices)

    def options(self) -> Options:
        return self._fixed if self._fixed is not None else self._pairs(self.choices())  # type: ignore[operator]

    @staticmethod
    def _pairs(found: Any) -> Options:
        pairs = found.items() if isinstance(found, Mapping) else found
        return [(str(value), label if isinstance(label, str) else label[0]) for value, label in pairs]

    def parse(self, args: Args, tz: ZoneInfo, options: Options) -> tuple[str, ...] | None:
        known = {value for value, _ in options}
        chosen = tuple(dict.fromkeys(value for value in args.getlist(self.key) if value in known))
        return (chosen if self.multiple else chosen[:1]) or None

    def clause(self, value: tuple[str, ...], tz: ZoneInfo) -> ColumnElement[bool]:
        if callable(self.expr) and not hasattr(self.expr, "in_"):
            return self.expr(value)  # type: ignore[no-any-return]
        kind = self.expr.type.python_type
        typed = [int(each) if kind is int else each for each in value]
        return self.expr == typed[0] if len(typed) == 1 else self.expr.in_(typed)  # type: ignore[no-any-return]

    def params(self, value: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(self.key, each) for each in value]

    def chips(self, value: tuple[str, ...], options: Options) -> list[Chip]:
        words = dict(options)
        return [Chip(f"{self.label}: {words[each]}", ((self.key, each),)) for each in value]


class Flag(Filter):
    """Yes, no or either. ``clause`` is what "yes" means."""

    kind = "choices"
    multiple = False

    def __init__(self, key: str, label: str, clause: ColumnElement[bool], *, yes: str = "Yes", no: str = "No", pinned: bool = False) -> None:
        super().__init__(key, label, pinned=pinned)
        self.yes_clause, self.yes, self.no = clause, yes, no

    def options(self) -> Options:
        return [("yes", self.yes), ("no", self.no)]

    def parse(self, args: Args, tz: ZoneInfo, options: Options) -> tuple[str] | None:
        value = args.get(self.key)
        return (value,) if value in ("yes", "no") else None

    def clause(self, value: tuple[str], tz: ZoneInfo) -> ColumnElement[bool]:
        return self.yes_clause if value[0] == "yes" else ~self.yes_clause

    def params(self, value: tuple[str]) -> list[tuple[str, str]]:
        return [(self.key, value[0])]

    def chips(self, value: tuple[str], options: Options) -> list[Chip]:
        return [Chip(f"{self.label}: {dict(options)[value[0]]}", (self.key,))]


class Text(Filter):
    """Words in one column. ``mode``: contains, prefix, equals. ``expr`` may also be ``by(text) -> clause``."""

    def __init__(self, key: str, label: str, expr: Any, *, mode: str = "contains") -> None:
        super().__init__(key, label)
        self.expr, self.mode = expr, mode

    def parse(self, args: Args, tz: ZoneInfo, options: Options) -> str | None:
        return (args.get(self.key) or "").strip()[:200] or None

    def clause(self, value: str, tz: ZoneInfo) -> ColumnElement[bool]:
        if callable(self.expr) and not hasattr(self.expr, "in_"):
            return self.expr(value)  # type: ignore[no-any-return]
        if self.mode == "equals":
            return self.expr == value  # type: ignore[no-any-return]
        matcher = self.expr.istartswith if self.mode == "prefix" else self.expr.icontains
        return matcher(value, autoescape=True)  # type: ignore[no-any-return]


class _Range(Filter):
    """From and to, both optional, both included."""

    suffixes = ("_from", "_to")
    first, last = "from", "to"

    def __init__(self, key: str, label: str, expr: Any) -> None:
        super().__init__(key, label)
        self.expr = expr

    @property
    def names(self) -> tuple[str, ...]:
        return (self.key + self.suffixes[0], self.key + self.suffixes[1])

    def read(self, raw: str) -> Any:
        raise NotImplementedError

    def parse(self, args: Args, tz: ZoneInfo, options: Options) -> Any:
        texts = [(args.get(name) or "").strip() for name in self.names]
        low, high = (self.read(text) if text else None for text in texts)
        if low is not None and high is not None and low > high:
            raise ValueError(f"{self.label}: {self.first} {low} lies after {self.last} {high}. Swap them, or clear one.")
        return None if low is None and high is None else (low, high)

    def params(self, value: Any) -> list[tuple[str, str]]:
        return [(name, str(each)) for name, each in zip(self.names, value, strict=True) if each is not None]

    def chips(self, value: Any, options: Options) -> list[Chip]:
        low, high = value
        words = f"{low} – {high}" if None not in value else f"{self.first} {low}" if high is None else f"{self.last} {high}"
        return [Chip(f"{self.label}: {words}", self.names)]


class DateRange(_Range):
    """Whole days in the user's time zone."""

    kind = "date_range"

    def read(self, raw: str) -> date:
        try:
            return date.fromisoformat(raw)
        except ValueError:
            raise ValueError(f"{self.label}: {raw!r} is not a date. Write it as 2026-11-21.") from None

    def clause(self, value: tuple[date | None, date | None], tz: ZoneInfo) -> ColumnElement[bool]:
        low, high = value
        bounds = []
        if low is not None:
            bounds.append(self.expr >= datetime.combine(low, time(), tz).astimezone(UTC))
        if high is not None:
            bounds.append(self.expr < datetime.combine(high + timedelta(days=1), time(), tz).astimezone(UTC))
        return and_(*bounds)


class NumberRange(_Range):
    """Amounts or counts, as exact decimals."""

    kind = "number_range"
    suffixes = ("_min", "_max")
    first, last = "at least", "at most"

    def read(self, raw: str) -> Decimal:
        try:
            number = Decimal(raw)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or abs(number) >= 10**12 or abs(int(number.as_tuple().exponent)) > 4:
            raise ValueError(f"{self.label}: {raw!r} is not a number. Write it as 1234.56.")
        return number

    def clause(self, value: tuple[Decimal | None, Decimal | None], tz: ZoneInfo) -> ColumnElement[bool]:
        low, high = value
        bounds = ([self.expr >= low] if low is not None else []) + ([self.expr <= high] if high is not None else [])
        return and_(*bounds)


def contains_any(columns: Iterable[Any], q: str) -> ColumnElement[bool]:
    """Plain substring search: a typed % is a percent sign."""
    return or_(*(column.icontains(q, autoescape=True) for column in columns))

"""The query of a listing template: which Magento products belong to it (A145, A155, A156).

Pure. ``matches`` decides for one product; ``plan`` says the same without knowing any database, so that a service can ask for thousands at once.
Both follow one rule for each operator: text is compared without case, an attribute that a product does not have is empty, an empty value never
compares as more or less, and several values (categories, multiselects) match when one of them does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Kind = Literal["text", "number", "date", "choice"]
Operator = Literal[
    "eq", "neq", "contains", "not_contains", "starts_with", "ends_with", "in", "not_in", "gt", "gte", "lt", "lte", "before", "after", "within_days",
    "empty", "not_empty",
]  # fmt: skip

OPERATOR_LABELS: dict[str, str] = {
    "eq": "is",
    "neq": "is not",
    "contains": "contains",
    "not_contains": "does not contain",
    "starts_with": "starts with",
    "ends_with": "ends with",
    "in": "is one of",
    "not_in": "is none of",
    "gt": "is more than",
    "gte": "is at least",
    "lt": "is less than",
    "lte": "is at most",
    "before": "is before",
    "after": "is on or after",
    "within_days": "is within the last days",
    "empty": "is empty",
    "not_empty": "is not empty",
}
OPERATORS: dict[Kind, tuple[Operator, ...]] = {
    "text": ("eq", "neq", "contains", "not_contains", "starts_with", "ends_with", "in", "not_in", "empty", "not_empty"),
    "number": ("eq", "neq", "gt", "gte", "lt", "lte", "empty", "not_empty"),
    "date": ("before", "after", "within_days", "empty", "not_empty"),
    "choice": ("in", "not_in", "empty", "not_empty"),
}
#: Fields every product has; any other name is a Magento attribute code, of kind text unless the caller says otherwise.
FIELDS: dict[str, tuple[str, Kind]] = {
    "sku": ("SKU", "text"),
    "name": ("Name", "text"),
    "price": ("Price", "number"),
    "quantity": ("Quantity", "number"),
    "category": ("Category", "choice"),
    "attribute_set": ("Attribute set", "choice"),
    "type": ("Product type", "choice"),
    "status": ("Status", "choice"),
    "visibility": ("Visibility", "choice"),
    "created_at": ("Created at", "date"),
    "updated_at": ("Updated at", "date"),
}
_VALUELESS = ("empty", "not_empty")
_NEGATIVE: dict[str, Operator] = {"neq": "eq", "not_contains": "contains", "not_in": "in"}

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]


class Condition(BaseModel):
    """One row: attribute, operator, value. Several values (is one of) are separated by commas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attribute: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")] = Field(
        title="Attribute"
    )
    operator: Operator = Field(title="Operator")
    value: Text = Field(default="", title="Value")
    kind: Kind = Field(default="text", title="Kind", description="Of an attribute that is not one of the known fields.")

    @model_validator(mode="after")
    def _fits(self) -> Condition:
        if self.operator not in OPERATORS[self.of_kind]:
            raise ValueError(f"{self.label} cannot be asked for with: {OPERATOR_LABELS[self.operator]}.")
        if self.operator in _VALUELESS:
            return self
        if not self.value:
            raise ValueError(f"Enter a value for {self.label}.")
        if self.of_kind == "number" and _number(self.value) is None:
            raise ValueError(f"{self.value} is not a number.")
        if self.operator == "within_days" and not (self.value.isascii() and self.value.isdigit() and int(self.value) <= 36_500):
            raise ValueError(f"{self.value} is not a number of days.")
        if self.operator in ("before", "after") and _day(self.value) is None:
            raise ValueError(f"{self.value} is not a date; write it as 2026-11-21.")
        return self

    @property
    def of_kind(self) -> Kind:
        return FIELDS[self.attribute][1] if self.attribute in FIELDS else self.kind

    @property
    def label(self) -> str:
        return FIELDS[self.attribute][0] if self.attribute in FIELDS else self.attribute

    @property
    def operand(self) -> Any:
        """The value as what it is: Decimal, aware datetime, number of days, tuple of lower-case texts, or a lower-case text."""
        if self.operator in _VALUELESS:
            return None
        if self.operator == "within_days":
            return int(self.value)
        if self.of_kind == "number":
            return _number(self.value)
        if self.of_kind == "date":
            return _day(self.value)
        if self.operator in ("in", "not_in"):
            return tuple(part.strip().casefold() for part in self.value.split(",") if part.strip())
        return self.value.casefold()

    def words(self, names: Mapping[str, str] | None = None) -> str:
        """Such as: Price is at least 20. ``names``: labels of ids, for categories and attribute sets."""
        if self.operator in _VALUELESS:
            return f"{self.label} {OPERATOR_LABELS[self.operator]}"
        if self.operator == "within_days":
            return f"{self.label} is within the last {self.value} days"
        shown = ", ".join((names or {}).get(part.strip(), part.strip()) for part in self.value.split(",")) if self.operator in ("in", "not_in") else self.value
        return f"{self.label} {OPERATOR_LABELS[self.operator]} {shown}"


class Query(BaseModel):
    """All or any of the conditions. Without conditions it matches nothing: a template never takes the whole shop by accident."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: Literal["all", "any"] = Field(default="all", title="Conditions")
    conditions: tuple[Condition, ...] = Field(default=(), max_length=30)

    def matches(self, product: Mapping[str, Any], now: datetime) -> bool:
        """``product``: the known fields and attribute codes; Decimal or int for numbers, aware datetimes, lists for several values."""
        if not self.conditions:
            return False
        test = all if self.match == "all" else any
        return test(holds(condition, product.get(condition.attribute), now) for condition in self.conditions)

    def words(self, names: Mapping[str, str] | None = None) -> str:
        if not self.conditions:
            return "No conditions: no product matches."
        glue = " and " if self.match == "all" else " or "
        return glue.join(condition.words(names) for condition in self.conditions) + "."


@dataclass(frozen=True, slots=True)
class Clause:
    """One comparison for whoever translates it: ``operator`` is positive (eq, contains, starts_with, ends_with, in, gt, gte, lt, lte, empty) and
    ``negated`` turns it round, empty values included. ``operand`` is a Decimal, an aware datetime, a lower-case text or a tuple of them."""

    field: str
    is_attribute: bool
    kind: Kind
    operator: str
    operand: Any
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """``clauses`` joined by all or any; without clauses nothing matches."""

    match: Literal["all", "any"]
    clauses: tuple[Clause, ...]


def plan(query: Query, now: datetime) -> Filter:
    """The query as plain comparisons, dates worked out for ``now``."""
    return Filter(query.match, tuple(_clause(condition, now) for condition in query.conditions))


def fulfils(clauses: Filter, product: Mapping[str, Any]) -> bool:
    """Does a product fulfil a plan? The reference for translations of it; equal to ``Query.matches``."""
    test = all if clauses.match == "all" else any
    return bool(clauses.clauses) and test(_compare(clause, _values(product.get(clause.field))) is not clause.negated for clause in clauses.clauses)


def holds(condition: Condition, value: Any, now: datetime) -> bool:
    """One condition for one value."""
    clause = _clause(condition, now)
    return _compare(clause, _values(value)) is not clause.negated


def _clause(condition: Condition, now: datetime) -> Clause:
    operator, operand, negated = str(condition.operator), condition.operand, False
    if operator in _NEGATIVE:
        operator, negated = _NEGATIVE[operator], True
    elif operator == "not_empty":
        operator, negated = "empty", True
    elif operator == "before":
        operator = "lt"
    elif operator == "after":
        operator = "gte"
    elif operator == "within_days":
        operator, operand = "gte", now - timedelta(days=operand)
    return Clause(condition.attribute, condition.attribute not in FIELDS, condition.of_kind, operator, operand, negated)


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda value, operand: bool(value > operand),
    "gte": lambda value, operand: bool(value >= operand),
    "lt": lambda value, operand: bool(value < operand),
    "lte": lambda value, operand: bool(value <= operand),
}
_TEXT: dict[str, Callable[[str, Any], bool]] = {
    "eq": lambda value, operand: value == operand,
    "in": lambda value, operand: value in operand,
    "contains": lambda value, operand: operand in value,
    "starts_with": lambda value, operand: value.startswith(operand),
    "ends_with": lambda value, operand: value.endswith(operand),
}


def _compare(clause: Clause, values: Sequence[Any]) -> bool:
    if clause.operator == "empty":
        return not values
    if clause.kind == "number":
        numbers = [number for value in values if (number := _number(value)) is not None]
        return any(number == clause.operand if clause.operator == "eq" else _ORDER[clause.operator](number, clause.operand) for number in numbers)
    if clause.kind == "date":
        instants = [instant for value in values if (instant := _day(value)) is not None]
        return any(_ORDER[clause.operator](instant, clause.operand) for instant in instants)
    return any(_TEXT[clause.operator](str(value).casefold(), clause.operand) for value in values)


def _values(value: Any) -> list[Any]:
    found = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    return [each for each in found if each is not None and str(each).strip() != ""]


def _number(value: Any) -> Decimal | None:
    try:
        number = Decimal(str(value).strip())
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def _day(value: Any) -> datetime | None:
    """An instant; a day is its beginning in UTC, and so is what Magento writes without zone (MAG §2.1)."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    try:
        found = datetime.fromisoformat(str(value).strip())
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

"""Which products a query means, asked of the database: ``domain.query.plan`` as SQL, for SQLite and PostgreSQL (A145, product.md 5).

``domain.query.fulfils`` is the reference. Select attributes are compared by the labels of the account's store view, options without a label by their
id; values of the store view stand in front of those of scope "all".
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Numeric,
    Select,
    Text,
    and_,
    any_,
    case,
    cast,
    collate,
    column,
    event,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, JSONPATH
from sqlalchemy.engine import Engine
from sqlalchemy.orm import aliased
from sqlalchemy.sql import type_coerce

from connector.core.clock import utcnow
from connector.core.db import AMOUNT_SCALE, db
from connector.domain.listing import LISTABLE
from connector.domain.policies import SynchronizationPolicy
from connector.domain.query import Clause, Filter, Query, fulfils, plan
from connector.models.account import Account, StoreReference
from connector.models.product import Product, ProductView
from connector.services.products import switches

Bool = ColumnElement[bool]

#: What Magento calls a switch has these two options, which it does not list.
SWITCH = {"1": "Yes", "0": "No"}
#: Inputs of Magento whose values are option ids.
CHOSEN = ("select", "multiselect", "boolean")
_BLANK = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
_MOST = Decimal(10) ** 14  #: further than any price or quantity; keeps operands inside the databases' integers
_NUMBER = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*$"
_DAY = r"^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([ T][0-2][0-9]:[0-5][0-9](:[0-5][0-9])?)?$"


@dataclass(frozen=True, slots=True)
class Shelf:
    """The products that can be asked for: of one store, as one store view has them (``all``: without overrides), by Magento's status (``enabled``,
    ``disabled``, ``any``); ``not_visible``: also those that Magento does not show individually."""

    magento_id: int
    store_view: str = "all"
    status: str = "any"
    not_visible: bool = False


def shelf_of(account: Account) -> Shelf:
    """What the account's synchronization policy lets templates take. While Product Assign is off, what is assigned by hand are enabled products."""
    if account.magento_id is None:
        return Shelf(0)
    policy = sync_policy(account)
    status = "enabled" if policy.product_assign == "off" else policy.product_assign
    return Shelf(account.magento_id, account.store_view or "all", status, policy.sync_not_visible)


def sync_policy(account: Account) -> SynchronizationPolicy:
    """The synchronization policy in force for an account; before any was seeded, the defaults of its fields."""
    try:
        return switches.in_force(account).body
    except LookupError:
        return SynchronizationPolicy()


def count_and_first(query: Query, magento_id: int, store_view: str, limit: int = 10, *, shelf: Shelf | None = None) -> tuple[int, list[Product]]:
    """How many products a query matches and the first of them (Apply Query). ``shelf`` narrows it to what an account may take."""
    ids = matching(query, shelf or Shelf(magento_id, store_view))
    count = db.session.scalar(select(func.count()).select_from(ids.subquery())) or 0
    if not count or not limit:
        return count, []
    first = list(db.session.scalars(ids.order_by(Product.id).limit(limit)))
    return count, list(db.session.scalars(select(Product).where(Product.id.in_(first)).order_by(Product.id)))


def matching(query: Query, shelf: Shelf, *clauses: Bool, now: datetime | None = None) -> Select[tuple[int]]:
    """SELECT of the ids of the products that a query matches; ``clauses`` (on ``Product``) narrow it further."""
    return Question(shelf).matching(plan(query, now or utcnow()), *clauses)


class Question:
    """Translates plans for one shelf; several plans can be asked in one statement."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.postgres = db.engine.dialect.name == "postgresql"
        self.view: Any = None if shelf.store_view == "all" else aliased(ProductView)
        self._options: dict[str, tuple[Mapping[str, str], bool] | None] = {}

    def select(self, *columns: Any) -> Select[Any]:
        """SELECT of columns of ``Product`` over everything on the shelf."""
        stmt = select(*columns).select_from(Product).where(self._on_the_shelf())
        if self.view is not None:
            stmt = stmt.outerjoin(self.view, and_(self.view.product_id == Product.id, self.view.store_view == self.shelf.store_view))
        return stmt

    def matching(self, wanted: Filter, *clauses: Bool) -> Select[Any]:
        return self.select(Product.id).where(self.condition(wanted), *clauses)

    def condition(self, wanted: Filter) -> Bool:
        """A plan as one condition; never NULL."""
        if not wanted.clauses:
            return false()
        parts = [not_(self._clause(clause)) if clause.negated else self._clause(clause) for clause in wanted.clauses]
        return and_(*parts) if wanted.match == "all" else or_(*parts)

    def _on_the_shelf(self) -> Bool:
        parts: list[Bool] = [Product.magento_id == self.shelf.magento_id, Product.gone_at.is_(None), Product.type_id.in_(LISTABLE)]
        if self.shelf.status != "any":
            parts.append(self._field("status", Product.status) == (1 if self.shelf.status == "enabled" else 2))
        if not self.shelf.not_visible:
            parts.append(self._field("visibility", Product.visibility) != 1)
        return and_(*parts)

    # --- the known fields

    def _clause(self, clause: Clause) -> Bool:
        if clause.is_attribute:
            return self._attribute(clause)
        match clause.field:
            case "sku":
                return self._text(Product.sku_key, clause, folded=True)
            case "name":
                return self._text(self._field("name", Product.name), clause)
            case "price":
                return _whole(self._price(), clause, AMOUNT_SCALE)
            case "quantity":
                return _whole(Product.quantity, clause, Decimal(1))
            case "category":
                if clause.operator == "empty":
                    return func.replace(Product.category_ids, ",", "") == ""
                ids = [each for each in clause.operand if each.isdecimal()]
                return or_(false(), *(Product.category_ids.contains(f",{each},", autoescape=True) for each in ids))
            case "type":
                return Product.type_id == "" if clause.operator == "empty" else Product.type_id.in_(clause.operand)
            case "attribute_set":
                return _numbered(Product.attribute_set_id, clause)
            case "status" | "visibility":
                return _numbered(self._field(clause.field, getattr(Product, clause.field)), clause)
            case "created_at" | "updated_at":
                return _instant(getattr(Product, f"remote_{clause.field}"), clause)
        raise LookupError(f"the query knows a field {clause.field!r} that no column stands for")

    def _field(self, name: str, column: Any) -> Any:
        """A column, or what the store view has instead."""
        if self.view is None:
            return column
        if self.postgres:
            own = self._json(self.view.data)[name].astext
        else:
            own = func.json_extract(self.view.data, f"$.{name}")
        return func.coalesce(own if name == "name" else cast(own, BigInteger), column)

    def _price(self) -> Any:
        base = type_coerce(Product.price, BigInteger)
        if self.view is None:
            return base
        if self.postgres:
            node = self._json(self.view.data)["price"]
            return case((node.is_not(None), cast(cast(func.nullif(node.astext, ""), Numeric) * AMOUNT_SCALE, BigInteger)), else_=base)
        own = cast(func.round(cast(func.nullif(func.json_extract(self.view.data, "$.price"), ""), Numeric) * 10_000), BigInteger)
        return case((func.json_type(self.view.data, "$.price").is_not(None), own), else_=base)

    # --- attributes

    def _attribute(self, clause: Clause) -> Bool:
        options, several = self._options_of(clause.field) or (None, False)
        values, value = self._values(clause.field, several)
        filled = func.trim(value, _BLANK) != ""
        if clause.operator == "empty":
            return not_(exists(select(1).select_from(values).where(filled)))
        test = self._compare(value, clause)
        if options is not None:
            asked = Filter("all", (Clause(clause.field, True, clause.kind, clause.operator, clause.operand),))
            chosen = [key for key, label in options.items() if label.strip() and fulfils(asked, {clause.field: label})]
            labelled = [key for key, label in options.items() if label.strip()]
            test = or_(self._among(value, chosen), and_(not_(self._among(value, labelled)), test))
        return exists(select(1).select_from(values).where(filled, func.coalesce(test, false())))

    def _values(self, code: str, several: bool) -> tuple[Any, Any]:
        """The values of an attribute, one a row, as text; ``several``: Magento joins them by commas."""
        if self.postgres:
            document = self._json(Product.data)
            if self.view is not None:
                own = self._json(self.view.data)
                document = case((own["values"][code].is_not(None), own), else_=document)
            found = func.jsonb_path_query(document, cast(f"$.values.{code}[*]", JSONPATH)).table_valued(column("value", JSONB)).render_derived()
            value = found.c.value.op("#>>", return_type=Text())(literal([], ARRAY(Text)))
            if not several:
                return found, value
            parts = func.unnest(func.string_to_array(value, ",")).table_valued("value").render_derived().lateral()
            return found.join(parts, true()), func.trim(parts.c.value)
        path, source = f"$.values.{code}", type_coerce(Product.data, Text)
        if self.view is not None:
            source = case((func.json_type(self.view.data, path).is_not(None), type_coerce(self.view.data, Text)), else_=source)
        values = func.json_each(source, path).table_valued("value", "type")
        value = case((values.c.type.in_(("true", "false")), values.c.type), else_=cast(values.c.value, Text))
        if not several:
            return values, value
        split = literal("[") + func.replace(func.json_quote(func.coalesce(value, "")), ",", '","') + literal("]")
        parts = func.json_each(split).table_valued("value")
        return values.join(parts, true()), func.trim(cast(parts.c.value, Text))

    def _json(self, column: Any) -> Any:
        """A JSON document of PostgreSQL; the character NUL, which it refuses, left out."""
        text = type_coerce(column, Text)
        clean = case((func.strpos(text, "\\u0000") > 0, func.regexp_replace(text, r"(?<!\\)((?:\\\\)*)\\u0000", r"\1", "g")), else_=text)
        return cast(clean, JSONB)

    def _among(self, value: Any, ids: Collection[str]) -> Bool:
        """One bound value for any number of options."""
        if not ids:
            return false()
        if self.postgres:
            return value == any_(literal(list(ids), ARRAY(Text)))
        return value.in_(select(func.json_each(json.dumps(list(ids))).table_valued("value").c.value))

    def _options_of(self, code: str) -> tuple[Mapping[str, str], bool] | None:
        """Labels by option id in the store view, and whether a product can have several; None for other attributes."""
        if code not in self._options:
            self._options[code] = options_of(self.shelf.magento_id, code, self.shelf.store_view)
        return self._options[code]

    # --- comparisons

    def _compare(self, value: Any, clause: Clause) -> Bool:
        if clause.kind == "number":
            if self.postgres:
                number = case((value.op("~")(_NUMBER), cast(func.trim(value, _BLANK), Numeric)), else_=None)
                return _ordered(number, clause.operator, literal(clause.operand, Numeric))
            return _ordered(func.connector_number(value), clause.operator, literal(float(clause.operand)))
        if clause.kind == "date":
            operand = clause.operand.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
            if self.postgres:
                trimmed = func.trim(value, _BLANK)
                whole = func.replace(trimmed, "T", " ") + case((func.length(trimmed) == 10, " 00:00:00"), (func.length(trimmed) == 16, ":00"), else_="")
                return _ordered(collate(case((trimmed.op("~")(_DAY), whole), else_=None), "C"), clause.operator, literal(operand))
            return _ordered(func.connector_instant(value), clause.operator, literal(operand))
        return self._text(value, clause)

    def _text(self, value: Any, clause: Clause, *, folded: bool = False) -> Bool:
        if clause.operator == "empty":
            return func.trim(func.coalesce(value, ""), _BLANK) == ""
        plain = folded or not self.postgres  # the operand is folded already, as SQLite's function and the SKU's key do it
        mine = value if folded else self._fold(value)
        theirs = [literal(each) if plain else self._fold(literal(each)) for each in (clause.operand if clause.operator == "in" else (clause.operand,))]
        if clause.operator in ("eq", "in"):
            return func.coalesce(mine.in_(theirs), false()) if theirs else false()
        (wanted,) = theirs
        if clause.operator == "contains":
            place = func.strpos if self.postgres else func.instr
            return func.coalesce(place(mine, wanted) > 0, false())
        if clause.operator == "starts_with":
            return func.coalesce(func.substr(mine, 1, func.length(wanted)) == wanted, false())
        ends = and_(func.length(mine) >= func.length(wanted), func.substr(mine, func.length(mine) - func.length(wanted) + 1) == wanted)
        return func.coalesce(ends, false())

    def _fold(self, value: Any) -> Any:
        """``str.casefold`` in the database: capitals first, so that one sharp s is two; a final sigma is a sigma."""
        if not self.postgres:
            return func.connector_casefold(value)
        return func.replace(func.lower(func.upper(collate(cast(value, Text), "und-x-icu"))), "ς", "σ")


def options_of(magento_id: int, code: str, store_view: str) -> tuple[dict[str, str], bool] | None:
    """The options of a select attribute by id, labelled as the store view has them, and whether it takes several; None when it is none."""
    data = db.session.scalar(
        select(StoreReference.data).where(StoreReference.magento_id == magento_id, StoreReference.kind == "attribute", StoreReference.code == code)
    )
    return options_in(data or {}, store_view)


def options_in(data: Mapping[str, Any], store_view: str) -> tuple[dict[str, str], bool] | None:
    """The same of what ``StoreReference`` keeps of an attribute."""
    if data.get("input") not in CHOSEN:
        return None
    labels = {str(key): str(label) for key, label in (data.get("options") or {}).items()} or (SWITCH if data["input"] == "boolean" else {})
    own = {str(key): str(label) for key, label in ((data.get("options_by_view") or {}).get(store_view) or {}).items() if str(label).strip()}
    return {**labels, **own}, data["input"] == "multiselect"


def _whole(column: Any, clause: Clause, scale: Decimal) -> Bool:
    """A number that is kept as whole units: the operand is brought to them without rounding anything away."""
    if clause.operator == "empty":
        return column.is_(None)
    scaled = max(-_MOST, min(_MOST, clause.operand)) * scale
    if clause.operator == "eq":
        return func.coalesce(column == literal(int(scaled), BigInteger), false()) if scaled == scaled.to_integral_value() else false()
    rounding = ROUND_FLOOR if clause.operator in ("gt", "lte") else ROUND_CEILING
    return _ordered(column, clause.operator, literal(int(scaled.to_integral_value(rounding)), BigInteger))


def _numbered(column: Any, clause: Clause) -> Bool:
    if clause.operator == "empty":
        return false()
    return column.in_([int(each) for each in clause.operand if each.isdecimal() and str(int(each)) == each and len(each) < 10])


def _instant(column: Any, clause: Clause) -> Bool:
    return column.is_(None) if clause.operator == "empty" else _ordered(column, clause.operator, clause.operand)


_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "eq": lambda value, operand: value == operand,
    "gt": lambda value, operand: value > operand,
    "gte": lambda value, operand: value >= operand,
    "lt": lambda value, operand: value < operand,
    "lte": lambda value, operand: value <= operand,
}


def _ordered(value: Any, operator: str, operand: Any) -> Bool:
    return func.coalesce(_ORDER[operator](value, operand), false())


# --- what SQLite lacks


def _number(text: Any) -> float | None:
    try:
        number = float(Decimal(str(text).strip()))
    except (ArithmeticError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _instant_text(text: Any) -> str | None:
    try:
        found = datetime.fromisoformat(str(text).strip())
    except ValueError:
        return None
    return (found.astimezone(UTC) if found.tzinfo else found).replace(tzinfo=None).isoformat(sep=" ")


def _casefold(text: Any) -> str | None:
    return None if text is None else str(text).casefold()


@event.listens_for(Engine, "connect")
def _teach(connection: Any, record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        for name, function in (("connector_casefold", _casefold), ("connector_number", _number), ("connector_instant", _instant_text)):
            connection.create_function(name, 1, function, deterministic=True)

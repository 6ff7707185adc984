"""The query of a listing template: what it matches, what it says in words, and its plan for a database (A145, A155, A156)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connector.domain.query import FIELDS, OPERATORS, Condition, Query, fulfils, plan

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TEE: dict[str, Any] = {
    "sku": "TEE-RED-M", "name": "Plain Tee", "price": D("19.50"), "quantity": 5, "category": ["11", "12"], "attribute_set": "4", "type": "simple",
    "status": "1", "visibility": "4", "created_at": datetime(2026, 11, 20, tzinfo=UTC), "updated_at": "2026-11-21 09:00:00", "color": "58",
    "material": "", "features": ["a", "b"], "margin": "12.5",
}  # fmt: skip


def one(attribute: str, operator: str, value: str = "", **rest: Any) -> Query:
    return Query(conditions=(Condition(attribute=attribute, operator=operator, value=value, **rest),))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (one("sku", "eq", "tee-red-m"), True),
        (one("sku", "neq", "TEE-RED-M"), False),
        (one("name", "contains", "TEE"), True),
        (one("name", "not_contains", "mug"), True),
        (one("sku", "starts_with", "tee-"), True),
        (one("sku", "ends_with", "-L"), False),
        (one("sku", "in", "MUG, tee-red-m"), True),
        (one("sku", "not_in", "MUG, CAP"), True),
        (one("price", "gte", "19.5"), True),
        (one("price", "gt", "19.50"), False),
        (one("price", "eq", "19.5"), True),
        (one("quantity", "lt", "5"), False),
        (one("quantity", "lte", "5"), True),
        (one("category", "in", "12,99"), True),
        (one("category", "not_in", "12"), False),
        (one("type", "in", "simple,configurable"), True),
        (one("created_at", "within_days", "2"), True),
        (one("created_at", "within_days", "1"), False),
        (one("created_at", "before", "2026-11-20"), False),
        (one("created_at", "after", "2026-11-20"), True),
        (one("updated_at", "after", "2026-11-21T08:00:00+00:00"), True),
        (one("color", "eq", "58"), True),
        (one("material", "empty"), True),
        (one("material", "not_empty"), False),
        (one("material", "neq", "cotton"), True),
        (one("brand", "empty"), True),
        (one("brand", "eq", "x"), False),
        (one("brand", "gt", "1", kind="number"), False),
        (one("margin", "gt", "12", kind="number"), True),
        (one("features", "in", "b", kind="choice"), True),
        (one("features", "contains", "a"), True),
        (Query(), False),
        (Query(match="any"), False),
    ],
)
def test_a_condition_matches_as_its_words_say(query: Query, expected: bool) -> None:
    assert query.matches(TEE, NOW) is expected


def test_all_and_any() -> None:
    conditions = (Condition(attribute="price", operator="lt", value="10"), Condition(attribute="quantity", operator="gt", value="0"))
    assert Query(match="any", conditions=conditions).matches(TEE, NOW)
    assert not Query(match="all", conditions=conditions).matches(TEE, NOW)


@pytest.mark.parametrize(
    ("attribute", "operator", "value"),
    [
        ("price", "contains", "1"),
        ("price", "gt", "many"),
        ("price", "gt", "NaN"),
        ("price", "gt", ""),
        ("created_at", "before", "yesterday"),
        ("created_at", "within_days", "-3"),
        ("created_at", "eq", "2026-11-21"),
        ("category", "gt", "3"),
        ("sku", "gt", "3"),
        ("", "eq", "3"),
        ("sku; drop", "eq", "3"),
    ],
)
def test_what_makes_no_sense_is_refused(attribute: str, operator: str, value: str) -> None:
    with pytest.raises(ValidationError):
        Condition(attribute=attribute, operator=operator, value=value)  # type: ignore[arg-type]


def test_the_query_reads_in_words() -> None:
    query = Query(
        match="any",
        conditions=(
            Condition(attribute="price", operator="gte", value="20"),
            Condition(attribute="category", operator="in", value="11, 12"),
            Condition(attribute="created_at", operator="within_days", value="7"),
            Condition(attribute="material", operator="not_empty"),
        ),
    )
    assert query.words({"11": "Tops", "12": "Tees"}) == (
        "Price is at least 20 or Category is one of Tops, Tees or Created at is within the last 7 days or material is not empty."
    )
    assert Query().words() == "No conditions: no product matches."


def test_the_plan_names_columns_attributes_and_plain_comparisons() -> None:
    query = Query(
        conditions=(
            Condition(attribute="name", operator="not_contains", value="Mug"),
            Condition(attribute="created_at", operator="within_days", value="7"),
            Condition(attribute="color", operator="not_in", value="58, 59"),
        )
    )
    found = plan(query, NOW)
    assert [(clause.field, clause.is_attribute, clause.operator, clause.operand, clause.negated) for clause in found.clauses] == [
        ("name", False, "contains", "mug", True),
        ("created_at", False, "gte", NOW - timedelta(days=7), False),
        ("color", True, "in", ("58", "59"), True),
    ]


def test_a_query_survives_being_stored() -> None:
    query = one("price", "gt", "3")
    assert Query.model_validate_json(query.model_dump_json()) == query


values = (
    st.none() | st.sampled_from(["", "Tee", "12", "3.5", "2026-11-20", "11"]) | st.integers(-5, 20) | st.lists(st.sampled_from(["11", "12", "tee"]), max_size=3)
)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    attribute = draw(st.sampled_from([*FIELDS, "material"]))
    kind = FIELDS[attribute][1] if attribute in FIELDS else draw(st.sampled_from(["text", "number", "date", "choice"]))
    operator = draw(st.sampled_from(OPERATORS[kind]))
    value = {"number": "12", "date": "2026-11-20"}.get(kind, "12, tee")
    return Condition(attribute=attribute, operator=operator, value="3" if operator == "within_days" else value, kind=kind)


@given(
    st.lists(conditions(), max_size=4),
    st.sampled_from(["all", "any"]),
    st.dictionaries(st.sampled_from([*FIELDS, "material"]), values | st.datetimes(timezones=st.just(UTC)), max_size=6),
)
@settings(max_examples=300, deadline=None)
def test_the_plan_says_the_same_as_the_query_for_any_product(rows: list[Condition], match: Any, product: dict[str, Any]) -> None:
    query = Query(match=match, conditions=tuple(rows))
    assert fulfils(plan(query, NOW), product) is query.matches(product, NOW)
    assert query.words().endswith(".")


@given(conditions(), st.dictionaries(st.sampled_from([*FIELDS, "material"]), values, max_size=6))
@settings(max_examples=200, deadline=None)
def test_an_operator_and_its_opposite_never_agree(condition: Condition, product: dict[str, Any]) -> None:
    opposite = {"eq": "neq", "contains": "not_contains", "in": "not_in", "empty": "not_empty"}.get(condition.operator)
    if opposite and opposite in OPERATORS[condition.of_kind]:
        other = condition.model_copy(update={"operator": opposite})
        assert Query(conditions=(condition,)).matches(product, NOW) is not Query(conditions=(other,)).matches(product, NOW)

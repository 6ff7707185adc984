"""A template's query as SQL: it means what ``domain.query.fulfils`` says, on both databases (A145, A155)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.domain.query import FIELDS, OPERATORS, Condition, Query, fulfils, plan
from connector.models.account import StoreReference
from connector.models.product import Product, ProductView
from connector.services.templates.querying import Shelf, count_and_first, matching, options_of
from tests.factories.catalogue import a_magento, a_product

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
VIEW = "tiktok_gb"
#: kind, whether Magento's values are option ids
ATTRIBUTES = {"material": "text", "cost": "number", "news_from": "date", "color": "choice", "features": "choice", "is_new": "choice"}


@pytest.fixture
def magento_id(app: Flask) -> int:
    """A shop of products that differ in everything a query can ask for, awkward values among them."""
    magento_id = a_magento().id
    features = {"31": "Warm, soft", "32": "Pocket", "33": " ", "34": "STRASSE"}
    with unit_of_work() as session:
        for code, kind, options, by_view in (
            ("material", "text", {}, {}),
            ("cost", "price", {}, {}),
            ("news_from", "date", {}, {}),
            ("features", "multiselect", features, {VIEW: {"32": "Tasche"}}),
            ("is_new", "boolean", {}, {}),
        ):
            data = {"input": kind, "options": options, "options_by_view": by_view}
            session.add(StoreReference(magento_id=magento_id, kind="attribute", code=code, label=code, data=data))
        texts = (
            "",
            "  ",
            "Cotton",
            "COTTON 100%",
            "Größe_ß",
            "STRASSE",
            "Straße",
            "a\\b",
            "ΣΊΣΥΦΟΣ",
            "σίσυφος",
            "ÉCRU",
            "écru",
            "100",
            "back\\u0000slash",
            "\tTab ",
        )
        for number in range(60):
            values: dict[str, Any] = {
                "material": (texts[number % len(texts)], None, ["Wool", "Cotton"], 12, True)[number % 5 if number > 20 else 0],
                "cost": ("1", "2.50", "", None, "abc", "-3", "1e2", ".5", " 7 ", "12,5")[number % 10],
                "news_from": ("2026-11-20", "2026-11-21 09:00:00", "0000-00-00 00:00:00", "", "soon", None, "2026-11-20T23:59:59", "2025-01-31 10:15")[
                    number % 8
                ],
                "color": ("4", "5", "6", "99", "", None, "Red")[number % 7],
                "features": ("31", "31,32", "", None, ["32", "34"], "33", "32, 34", "98")[number % 8],
                "is_new": ("1", "0", None)[number % 3],
            }
            if number % 6 == 0:
                values.pop("material")
            own = {
                0: {},
                1: {"values": {"material": "Wool", "cost": "9.99"}},
                2: {"name": "Kleiderbügel STRASSE", "values": {"material": None}},
                3: {"price": "19.99", "status": 2},
                4: {"price": None, "visibility": 1, "values": {"features": "34", "color": ""}},
            }[number % 5]
            a_product(
                magento_id,
                f"SKU-{number}" if number % 4 else f"Größe/{number}%",
                quantity=None if number % 7 == 0 else number % 9,
                price=(None, "0", "19.5", "19.9999", "20")[number % 5],
                values=values,
                views={VIEW: own} if own else {},
                name=("Plain Tee", "TEE größe", "", "Mug 02", "ΤΣΆΙ ς", "plain\ttee")[number % 6],
                type_id=("simple", "configurable", "virtual")[number % 3],
                status=1 + number % 2,
                visibility=1 + number % 4,
                attribute_set_id=(4, 9, 14)[number % 3],
                category_ids=("", ",3,", ",3,11,", ",11,113,")[number % 4],
                remote_created_at=None if number % 11 == 0 else datetime(2026, 11, 1 + number % 28, tzinfo=UTC),
                remote_updated_at=datetime(2026, 11, 20, number % 24, 30, tzinfo=UTC),
            )
    return magento_id


def as_the_domain_sees_it(product: Product, view: Mapping[str, Any], store_view: str) -> dict[str, Any]:
    """A product's values in a store view: what stands there hides scope "all"; select options by label, without one by their id."""

    def own(name: str, otherwise: Any) -> Any:
        return view.get(name, otherwise)

    values = {**product.data["values"], **view.get("values", {})}
    found: dict[str, Any] = {
        "sku": product.sku,
        "name": own("name", product.name),
        "price": Decimal(view["price"]) if view.get("price") else None if "price" in view else product.price,
        "quantity": product.quantity,
        "category": [each for each in product.category_ids.split(",") if each],
        "attribute_set": str(product.attribute_set_id),
        "type": product.type_id,
        "status": str(own("status", product.status)),
        "visibility": str(own("visibility", product.visibility)),
        "created_at": product.remote_created_at,
        "updated_at": product.remote_updated_at,
    }
    for code in ATTRIBUTES:
        value = values.get(code)
        options = options_of(product.magento_id, code, store_view)
        if options is not None:
            labels, several = options
            ids = value if isinstance(value, list) else str(value).split(",") if several and value is not None else [value]
            ids = [str(each).strip() for each in ids if each is not None]
            value = [labels[each] if labels.get(each, "").strip() else each for each in ids]
        found[code] = value
    return found


TEXTS = st.sampled_from(
    [
        "cotton",
        "COTTON",
        "wool",
        "tee",
        "TEE GRÖSSE",
        "größe",
        "straße",
        "ss",
        "%",
        "_",
        "\\",
        "ς",
        "σίσυφος",
        "É",
        "100",
        "12",
        "true",
        "sku-1",
        "Sku-2, SKU-3",
        "ü",
        "nothing",
    ]
)
OPERANDS: dict[str, Any] = {
    "text": TEXTS,
    "number": st.sampled_from(["0", "19.5", "19.99", "19.99995", "20", "2.5", "-3", "100", "0.5", "7", "1e40", "-1E9"]),
    "date": st.sampled_from(["2026-11-20", "2026-11-21T09:00:00", "2025-01-31", "2026-11-20T23:30:00+01:00"]),
    "choice": st.sampled_from(
        ["simple", "Simple, virtual", "1", "2,3", "4", "9", "11", "3, 113", "Red", "black,white", "99", "tasche", "pocket", "Yes", "no", "straSSe", "warm", "²"]
    ),
}


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    attribute = draw(st.sampled_from([*FIELDS, *ATTRIBUTES]))
    kind = FIELDS[attribute][1] if attribute in FIELDS else draw(st.sampled_from([ATTRIBUTES[attribute], "text"]))
    operator = draw(st.sampled_from(OPERATORS[kind]))
    value = draw(OPERANDS["choice" if operator in ("in", "not_in") and draw(st.booleans()) else kind])
    try:
        return Condition(
            attribute=attribute, operator=operator, value=draw(st.sampled_from(["1", "9", "400"])) if operator == "within_days" else value, kind=kind
        )
    except ValidationError as error:
        raise AssertionError(f"{attribute} {operator} {value}") from error


def test_the_database_finds_exactly_what_the_domain_says(magento_id: int) -> None:
    """A145: every field and kind of attribute, all and any, in scope "all" and in a store view"""
    products = db.session.scalars(select(Product)).all()
    views = {view.product_id: view.data for view in db.session.scalars(select(ProductView))}
    seen = {
        store_view: {product.id: as_the_domain_sees_it(product, views.get(product.id, {}) if store_view != "all" else {}, store_view) for product in products}
        for store_view in ("all", VIEW)
    }
    hits: list[int] = []

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(conditions(), min_size=1, max_size=3), st.sampled_from(["all", "any"]), st.sampled_from(["all", VIEW]))
    def agree(chosen: list[Condition], match: str, store_view: str) -> None:
        query = Query(match=match, conditions=tuple(chosen))
        expected = [key for key, product in seen[store_view].items() if fulfils(plan(query, NOW), product)]
        found = db.session.scalars(matching(query, Shelf(magento_id, store_view, "any", not_visible=True), now=NOW)).all()
        assert sorted(found) == sorted(expected)
        hits.append(len(expected))

    agree()
    assert sum(0 < count < len(products) for count in hits) > len(hits) / 5  # questions that tell the products apart


def test_apply_query_counts_and_shows_the_first_within_what_may_be_listed(magento_id: int) -> None:
    """A145: bundles, products that Magento does not show individually, and products that are gone are not offered"""
    a_product(magento_id, "BUNDLE", type_id="bundle", name="Tee bundle")
    a_product(magento_id, "GONE", name="Tee", gone_at=NOW)
    query = Query(conditions=(Condition(attribute="name", operator="contains", value="tee"),))
    count, first = count_and_first(query, magento_id, "all", limit=3)
    visible = [each for each in db.session.scalars(select(Product)) if "tee" in each.name.casefold() and each.visibility != 1]
    assert count == len([each for each in visible if each.sku not in ("BUNDLE", "GONE")]) > 10
    assert [each.sku for each in first] == [each.sku for each in sorted(visible, key=lambda each: each.id)[:3]]
    enabled, _ = count_and_first(query, magento_id, "all", limit=0, shelf=Shelf(magento_id, "all", "enabled"))
    assert 0 < enabled < count
    assert count_and_first(Query(), magento_id, "all") == (0, [])

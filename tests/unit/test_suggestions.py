"""Suggestions for attributes, values and categories, each with a confidence and a reason (A124, A139)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domain.listing_category import CategoryAttribute
from connector.domain.suggestions import (
    LEAST,
    SURE,
    MagentoAttribute,
    category_paths,
    likeness,
    name_similarity,
    suggest,
    suggest_categories,
    suggest_values,
    vote,
)

COLOUR = CategoryAttribute(id="100", name="Color", is_sales=True, values={"1": "Black", "2": "Grey", "3": "Red", "4": "Multicolour"})
SIZE = CategoryAttribute(id="101", name="Size", values={"1": "S", "2": "M", "3": "L", "4": "XL"})
STORE = [
    MagentoAttribute("color", "Colour", {"58": "red", "59": "BLACK", "60": "Gray-ish", "61": "Multi-colour"}),
    MagentoAttribute("size", "Size", {"91": "S", "92": "M", "93": "XS"}),
    MagentoAttribute("manufacturer", "Manufacturer", {"7": "Example Works"}),
    MagentoAttribute("care", "Care instructions"),
    MagentoAttribute("finish", "Surface", {"1": "Black", "2": "Grey", "3": "Red"}),
]


def test_the_attribute_of_the_same_name_with_the_same_values_is_suggested_first_and_surely() -> None:
    best, *others = suggest(COLOUR, STORE)
    assert best.magento_attribute == "color"
    assert best.confidence >= 65
    assert best.reasons == ("The names Color and Colour are the same.", "3 of 4 options of color are values of Color.")
    assert [each.magento_attribute for each in others] == ["finish"], "the values alone are worth a look"
    assert others[0].confidence < best.confidence


def test_values_are_suggested_one_by_one_and_the_rest_stays_open() -> None:
    best = suggest(SIZE, STORE)[0]
    assert [(each.option, each.value, each.confidence) for each in best.values] == [("S", "S", 100), ("M", "M", 100)]
    assert best.open_options == ("XS",)
    assert best.confidence >= SURE


def test_nothing_is_suggested_where_nothing_fits() -> None:
    assert suggest(CategoryAttribute(id="1", name="Neckline", values={"1": "V-neck"}), STORE) == []


def test_free_text_attributes_are_judged_by_their_names() -> None:
    found = suggest(CategoryAttribute(id="1", name="Care Instructions", is_customizable=True), STORE)
    assert [(each.magento_attribute, each.confidence) for each in found] == [("care", 90)]


@pytest.mark.parametrize(
    ("one", "other", "at_least", "below"),
    [
        ("Color", "colour", 1.0, 1.1),
        ("Brand", "Manufacturer", 1.0, 1.1),
        ("Materials", "material", 0.8, 1.1),
        ("Main Colour", "Colour", 0.6, 1.0),
        ("Size", "Weight", 0, 0.5),
    ],
)
def test_names_are_compared_by_their_words_and_their_synonyms(one: str, other: str, at_least: float, below: float) -> None:
    assert at_least <= name_similarity(one, other) < below


def test_short_values_and_numbers_must_be_equal() -> None:
    assert likeness("xl", "xs") == 0
    assert likeness("size 38", "size 39") == 0
    assert suggest_values({"1": "XL"}, {"a": "XXL"}) == ()
    assert [each.value_id for each in suggest_values({"1": "Stainless steel"}, {"a": "Stainles steel", "b": "Édition"})] == ["1"]


@given(st.text(max_size=20), st.text(max_size=20))
def test_likeness_of_names_is_a_share_and_does_not_depend_on_the_order(one: str, other: str) -> None:
    assert 0 <= name_similarity(one, other) <= 1
    assert abs(name_similarity(one, other) - name_similarity(other, one)) < 0.35


TREE = [
    {"id": "1", "parent_id": "0", "local_name": "Kitchenware", "is_leaf": False},
    {"id": "2", "parent_id": "1", "local_name": "Cups & Mugs", "is_leaf": False},
    {"id": "3", "parent_id": "2", "local_name": "Stoneware Mugs", "is_leaf": True},
    {"id": "4", "parent_id": "2", "local_name": "Enamel Mugs", "is_leaf": True},
    {"id": "5", "parent_id": "0", "local_name": "Menswear", "is_leaf": False},
    {"id": "6", "parent_id": "5", "local_name": "Men's T-shirts", "is_leaf": True},
    {"id": "8", "parent_id": "9", "local_name": "Lost", "is_leaf": True},
    {"id": "9", "parent_id": "8", "local_name": "In a circle", "is_leaf": False},
]
PATHS = category_paths(TREE)


def test_leaves_are_shown_with_their_whole_path_and_a_circle_does_no_harm() -> None:
    assert PATHS["3"] == ("Kitchenware", "Cups & Mugs", "Stoneware Mugs")
    assert set(PATHS) == {"3", "4", "6", "8"}


def test_a_category_is_suggested_by_the_words_of_the_name_and_of_the_merchants_own_categories() -> None:
    first, second = suggest_categories(PATHS, "Stoneware mug, green")
    assert (first.category_id, second.category_id) == ("3", "4")
    assert first.confidence > second.confidence
    assert first.reason == "It shares the words mug and stoneware."
    assert suggest_categories(PATHS, "Green thing", ["Men's shirts"])[0].category_id == "6"
    assert suggest_categories(PATHS, "") == []


def test_tiktoks_recommendations_for_a_sample_are_counted() -> None:
    found = vote(["3", "3", "4", None], PATHS)
    assert [(each.category_id, each.confidence) for each in found] == [("3", 50), ("4", 25)]
    assert found[0].reason == "TikTok recommends it for 2 of 4 products."
    assert vote([], PATHS) == []


def test_weak_guesses_are_not_shown() -> None:
    assert all(each.confidence >= LEAST for attribute in (COLOUR, SIZE) for each in suggest(attribute, STORE))

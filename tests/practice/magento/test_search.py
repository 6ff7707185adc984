"""searchCriteria, paging and the `fields` filter (MAG §2)."""

from __future__ import annotations

import pytest

from .load_body import direct
from .shop import Refused, Shop

GROUP = "searchCriteria[filter_groups]"


@pytest.fixture
def orders(shop: Shop) -> Shop:
    """Twelve direct orders `T-0` to `T-11`, the even ones pending."""
    product = shop.rest("GET", "/products/CAP-01")
    for number in range(12):
        status = {"state": "new", "status": "pending"} if number % 2 == 0 else {}
        header = {"increment_id": f"T-{number}", "created_at": f"2025-01-{number + 1:02d} 10:00:00"}
        shop.rest("POST", "/orders", direct(product, 1, ext_order_id=f"X{number}", **header, **status))
    return shop


def search(shop: Shop, *query: tuple[str, object]) -> list[str]:
    found = shop.rest("GET", "/orders", query=[*query, ("fields", "items[increment_id],total_count")])
    return sorted((item["increment_id"] for item in found["items"] or []), key=lambda text: int(text[2:]))


def one(group: int, index: int, field: str, value: object, condition: str = "eq") -> list[tuple[str, object]]:
    prefix = f"{GROUP}[{group}][filters][{index}]"
    return [(f"{prefix}[field]", field), (f"{prefix}[value]", value), (f"{prefix}[condition_type]", condition)]


@pytest.mark.parametrize(
    ("field", "condition", "value", "found"),
    [
        ("increment_id", "in", "T-1,T-3", ["T-1", "T-3"]),
        ("increment_id", "in", "T-1, T-3", ["T-1"]),
        ("increment_id", "eq", "t-7 ", ["T-7"]),
        ("increment_id", "like", "T-1%", ["T-1", "T-10", "T-11"]),
        ("created_at", "gteq", "2025-01-11T10:00:00Z", ["T-10", "T-11"]),
        ("created_at", "lt", "2025-01-02 10:00:00", ["T-0"]),
        ("entity_id", "gt", "10", ["T-10", "T-11"]),
        ("entity_id", "lteq", 2, ["T-0", "T-1"]),
        ("ext_order_id", "null", "1", []),
        ("increment_id", "moreq", "T-5", ["T-5"]),
    ],
)
def test_conditions_find_what_they_say(orders: Shop, field: str, condition: str, value: object, found: list[str]) -> None:
    assert search(orders, *one(0, 0, field, value, condition)) == found


def test_filters_of_a_group_are_ored_and_groups_are_anded(orders: Shop) -> None:
    either = [*one(0, 0, "increment_id", "T-1"), *one(0, 1, "increment_id", "T-2")]
    assert search(orders, *either) == ["T-1", "T-2"]
    assert search(orders, *either, *one(1, 0, "status", "pending")) == ["T-2"]


def test_from_and_to_of_one_field_make_a_range(orders: Shop) -> None:
    dates = [*one(0, 0, "created_at", "2025-01-03 00:00:00", "from"), *one(0, 1, "created_at", "2025-01-04 23:00:00", "to")]
    assert search(orders, *dates) == ["T-2", "T-3"]


def test_camel_case_spellings_work(orders: Shop) -> None:
    prefix = "searchCriteria[filterGroups][0][filters][0]"
    query = [(f"{prefix}[field]", "increment_id"), (f"{prefix}[value]", "T-1,T-2"), (f"{prefix}[conditionType]", "in")]
    assert search(orders, *query, ("searchCriteria[pageSize]", 1), ("searchCriteria[currentPage]", 2)) == ["T-2"]


def test_past_the_last_page_is_empty_unless_the_old_clamping_is_on(orders: Shop) -> None:
    page = [("searchCriteria[pageSize]", 5), ("searchCriteria[currentPage]", 4)]
    assert search(orders, *page) == []
    orders.control("POST", "settings", {"legacy_last_page_repeat": True})
    assert search(orders, *page) == ["T-10", "T-11"]


def test_sorting_is_by_value_and_an_unknown_sort_field_is_ignored_for_products_only(orders: Shop) -> None:
    sort = [("searchCriteria[sortOrders][0][field]", "entity_id"), ("searchCriteria[sortOrders][0][direction]", "desc")]
    found = orders.rest("GET", "/orders", query=[*sort, ("searchCriteria[pageSize]", 2), ("fields", "items[increment_id]")])
    assert [item["increment_id"] for item in found["items"]] == ["T-11", "T-10"]
    unknown = [("searchCriteria[sortOrders][0][field]", "nope"), ("searchCriteria[pageSize]", 1)]
    assert orders.rest("GET", "/products", query=unknown)["total_count"] == 40
    with pytest.raises(Refused) as refused:
        orders.rest("GET", "/orders", query=unknown)
    assert refused.value.status == 500


def test_an_unknown_key_of_the_criteria_is_a_masked_500(shop: Shop) -> None:
    with pytest.raises(Refused, match="Report ID: webapi-"):
        shop.rest("GET", "/orders", query=[("searchCriteria[nope]", 1)])
    assert shop.rest("GET", "/orders", query=[("searchCriteria", "x")])["items"] == []


def test_products_are_found_by_category_website_and_attribute(shop: Shop) -> None:
    assert shop.find("/products", "category_id", 3)["total_count"] == 20
    assert shop.find("/products", "website_id", 1)["total_count"] == 40
    assert [p["sku"] for p in shop.find("/products", "color", 6)["items"]] == ["TEE-RED-S", "TEE-RED-M", "TEE-RED-L", "TEE-RED-XL"]
    listed = shop.find("/products", "sku", "MUG/02 slash")["items"][0]
    assert "stock_item" not in listed["extension_attributes"]

"""A good listing to break, and the category it is in."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from connector.domain.listing_body import body_of
from connector.domain.listing_category import CategoryFacts, category_of
from connector.domain.listing_codes import ListingProblem
from connector.domain.listing_rules import ShopFacts, check
from connector.domain.listing_text import HostedImage

Break = Callable[[dict[str, Any]], object]

WAREHOUSE, SECOND = "7068000000000000001", "7068000000000000002"
HOSTED = {
    uri: HostedImage(uri, f"https://p16.example/obj/{uri}", use_case, side, side)
    for uri, use_case, side in (
        ("tos/main", "MAIN_IMAGE", 800),
        ("tos/second", "MAIN_IMAGE", 800),
        ("tos/red", "ATTRIBUTE_IMAGE", 600),
        ("tos/blue", "ATTRIBUTE_IMAGE", 600),
        ("tos/text", "DESCRIPTION_IMAGE", 900),
        ("tos/wide", "DESCRIPTION_IMAGE", 5000),
        ("tos/tiny", "ATTRIBUTE_IMAGE", 200),
    )
}
ATTRIBUTES: list[dict[str, Any]] = [
    {"id": "100", "name": "Color", "type": "SALES_PROPERTY", "values": [{"id": "1001", "name": "Red"}, {"id": "1002", "name": "Blue"}]},
    {"id": "101", "name": "Size", "type": "SALES_PROPERTY"},
    {
        "id": "200", "name": "Material", "type": "PRODUCT_PROPERTY", "is_requried": True, "is_multiple_selection": True, "is_customizable": True,
        "values": [{"id": "2001", "name": "Cotton"}, {"id": "2002", "name": "Wool"}],
    },
    {"id": "201", "name": "Contains battery", "type": "PRODUCT_PROPERTY", "is_required": True, "values": [{"id": "3001", "name": "Yes"}, {"id": "3002", "name": "No"}]},
    {
        "id": "202", "name": "Battery type", "type": "PRODUCT_PROPERTY", "values": [{"id": "4001", "name": "Lithium"}],
        "requirement_conditions": [{"condition_type": "VALUE_ID_MATCH", "attribute_id": "201", "attribute_value_id": "3001"}],
    },
    {"id": "203", "name": "Capacity", "type": "PRODUCT_PROPERTY", "is_customizable": True, "value_data_format": "POSITIVE_INT_OR_DECIMAL"},
]  # fmt: skip
RULES: dict[str, Any] = {
    "product_certifications": [
        {"id": "901", "name": "Battery test", "is_required": False, "expiration_date": {"is_required": True},
         "requirement_conditions": [{"attribute_id": "202", "attribute_value_id": "4001"}]},
    ],
    "size_chart": {"is_required": False, "is_supported": True},
    "package_dimension": {"is_required": True},
}  # fmt: skip
NODE: dict[str, Any] = {"id": "600", "parent_id": "6", "local_name": "T-shirts", "is_leaf": True, "permission_statuses": ["AVAILABLE"]}

_BODY: dict[str, Any] = {
    "title": "Plain tee of organic cotton",
    "description": '<p>A tee.</p><img src="https://p16.example/obj/tos/text" width="900" height="900">',
    "category_id": "600",
    "category_version": "v2",
    "save_mode": "LISTING",
    "main_images": [{"uri": "tos/main"}],
    "package_weight": {"value": "0.250", "unit": "KILOGRAM"},
    "package_dimensions": {"length": "30", "width": "20", "height": "3", "unit": "CENTIMETER"},
    "product_attributes": [{"id": "200", "values": [{"id": "2001"}]}, {"id": "201", "values": [{"name": "No"}]}],
    "external_product_id": "magento:412",
    "skus": [
        {
            "seller_sku": f"TEE-{colour}-{size}",
            "external_sku_id": f"{number}",
            "price": {"amount": "19.50", "currency": "USD"},
            "inventory": [{"warehouse_id": WAREHOUSE, "quantity": 5}],
            "sales_attributes": [{"id": "100", "value_id": value, "sku_img": {"uri": image}}, {"name": "Size", "value_name": size}],
        }
        for number, (colour, value, image, size) in enumerate(
            [("RED", "1001", "tos/red", "M"), ("RED", "1001", "tos/red", "L"), ("BLUE", "1002", "tos/blue", "M")], 413
        )
    ],
}


def good() -> dict[str, Any]:
    return deepcopy(_BODY)


def category(**rest: Any) -> CategoryFacts:
    return category_of(NODE | rest.pop("node", {}), rest.pop("attributes", ATTRIBUTES), RULES | rest.pop("rules", {}), version=rest.pop("version", "v2"))


def shop(**rest: Any) -> ShopFacts:
    facts: dict[str, Any] = {"region": "US", "currency": "USD", "warehouses": {WAREHOUSE, SECOND}, "images": HOSTED, "now": datetime(2026, 11, 21, tzinfo=UTC)}
    return ShopFacts(**facts | rest)


def verdict(body: dict[str, Any], **rest: Any) -> list[ListingProblem]:
    live, draft = rest.pop("live", None), rest.pop("live_is_draft", False)
    found = rest.pop("category", category())
    return check(body_of(body), category=found, shop=rest.pop("shop", shop()), live=live, live_is_draft=draft)


def put(path: str, value: Any) -> Break:
    """Sets the value at a dotted path; numbers are places in lists. `...` removes it."""

    def act(body: dict[str, Any]) -> None:
        *way, last = path.split(".")
        at: Any = body
        for step in way:
            at = at[int(step)] if isinstance(at, list) else at[step]
        if value is ...:
            del at[int(last) if isinstance(at, list) else last]
        else:
            at[int(last) if isinstance(at, list) else last] = value

    return act

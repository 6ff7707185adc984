"""Attribute metadata, options per store view, attribute sets (MAG §4.2.1)."""

from __future__ import annotations

from typing import Any

from .errors import NOT_FOUND, RestError
from .routing import Call, route
from .search_criteria import search_list
from .storage import Doc

ATTRIBUTES = "Magento_Catalog::attributes_attributes"
SETS = "Magento_Catalog::sets"
_ONLY_FULL = [
    "is_wysiwyg_enabled",
    "is_html_allowed_on_front",
    "used_for_sort_by",
    "is_filterable",
    "is_filterable_in_search",
    "is_used_in_grid",
    "is_visible_in_grid",
    "is_filterable_in_grid",
    "position",
    "apply_to",
    "is_searchable",
    "is_visible_in_advanced_search",
    "is_comparable",
    "is_used_for_promo_rules",
    "is_visible_on_front",
    "used_in_product_listing",
    "is_visible",
    "scope",
    "backend_model",
    "frontend_class",
]


def attribute(attribute_id: int, code: str, label: str, frontend: str, backend: str, **more: Any) -> Doc:
    """One attribute as the metadata endpoint shows it; `options` are `[{value, labels: {store id: label}}]`."""
    return {
        "is_wysiwyg_enabled": False,
        "is_html_allowed_on_front": False,
        "used_for_sort_by": False,
        "is_filterable": False,
        "is_filterable_in_search": False,
        "is_used_in_grid": False,
        "is_visible_in_grid": False,
        "is_filterable_in_grid": False,
        "position": 0,
        "apply_to": [],
        "is_searchable": "0",
        "is_visible_in_advanced_search": "0",
        "is_comparable": "0",
        "is_used_for_promo_rules": "0",
        "is_visible_on_front": "0",
        "used_in_product_listing": "0",
        "is_visible": True,
        "scope": "global",
        "attribute_id": attribute_id,
        "attribute_code": code,
        "frontend_input": frontend,
        "entity_type_id": "4",
        "is_required": False,
        "options": [],
        "is_user_defined": False,
        "default_frontend_label": label,
        "frontend_labels": [],
        "backend_type": backend,
        "is_unique": "0",
        "validation_rules": [],
        **more,
    }


def choices(*labels: str, first: int = 1, suffixes: dict[str, str] | None = None) -> list[Doc]:
    """Select options with ids from `first`; `suffixes` adds a store view's own label, e.g. `{"2": " (fr)"}`."""
    return [{"value": str(first + n), "labels": {"0": label, **{s: label + end for s, end in (suffixes or {}).items()}}} for n, label in enumerate(labels)]


def option_list(entry: Doc, store_id: int) -> list[Doc]:
    """Options with the labels of a store view; a user-defined select starts with an empty placeholder."""
    shown = [{"label": o["labels"].get(str(store_id), o["labels"]["0"]), "value": o["value"]} for o in entry["options"]]
    if shown and entry["is_user_defined"]:
        shown.insert(0, {"label": " ", "value": ""})
    return shown


def full(entry: Doc, store_id: int) -> Doc:
    return {**entry, "options": option_list(entry, store_id)}


@route("GET", "/V1/products/attributes", ATTRIBUTES)
def list_attributes(call: Call) -> Doc:
    criteria = call.criteria()
    rows, total = search_list(call.world["attributes"], criteria)
    return call.found(criteria, [full(row, call.store["id"]) for row in rows], total)


def _require(call: Call, code: str) -> Doc:
    entry = next((a for a in call.world["attributes"] if code in (a["attribute_code"], str(a["attribute_id"]))), None)
    if entry is None:
        text = 'The attribute with a "%1" attributeCode doesn\'t exist. Verify the attribute and try again.'
        raise RestError(404, text, [code])
    return entry


@route("GET", "/V1/products/attributes/:attributeCode", ATTRIBUTES)
def get_attribute(call: Call, code: str) -> Doc:
    return full(_require(call, code), call.store["id"])


@route("GET", "/V1/products/attributes/:attributeCode/options", ATTRIBUTES)
def get_options(call: Call, code: str) -> list:
    return option_list(_require(call, code), call.store["id"])


@route("GET", "/V1/products/attribute-sets/sets/list", SETS)
def list_sets(call: Call) -> Doc:
    criteria = call.criteria()
    rows, total = search_list(call.world["attribute_sets"], criteria)
    return call.found(criteria, rows, total)


@route("GET", "/V1/products/attribute-sets/:attributeSetId/attributes", SETS)
def set_attributes(call: Call, set_id: str) -> list:
    """A bare list with the shorter attribute objects."""
    if not any(str(entry["attribute_set_id"]) == set_id for entry in call.world["attribute_sets"]):
        raise RestError(404, NOT_FOUND)
    shown = [full(entry, call.store["id"]) for entry in call.world["attributes"]]
    return [{key: value for key, value in entry.items() if key not in _ONLY_FULL} for entry in shown]

"""A listing template as a person fills it in, and everything that keeps it from being saved (A139-A142)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select

from connector.core.db import db
from connector.core.errors import DomainError
from connector.domain.listing_limits import limits
from connector.domain.policies import IMAGE, INVENTORY, KIND_TITLES, PRICING
from connector.domain.query import FIELDS, Condition, Query
from connector.models.account import Account, StoreReference
from connector.models.listing import ListingTemplate
from connector.models.policy import Policy
from connector.services.templates import categories
from connector.services.templates.plan import TemplateOptions

NAME_LENGTH = 80
PRIORITIES = (1, 9999)
#: The policies of a template: field -> kind.
POLICY_FIELDS = {"image_policy_id": IMAGE, "pricing_policy_id": PRICING, "inventory_policy_id": INVENTORY}
LABELS = {
    "name": "Template Name",
    "enabled": "Status",
    "priority": "Priority",
    "category": "Category",
    "image_policy_id": "Image Policy",
    "pricing_policy_id": "Pricing Policy",
    "inventory_policy_id": "Inventory Policy",
    "query": "Query",
    "options": "Options",
}
_FAULTS = {
    "string_pattern_mismatch": "is no attribute code: letters, digits and underscores only",
    "string_too_long": "is too long",
    "decimal_parsing": "must be a number",
    "decimal_max_places": "has too many decimals",
    "decimal_max_digits": "is too large",
    "greater_than": "must be more than 0",
    "less_than_equal": "is too large",
    "literal_error": "is not one of the choices",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A template as a person fills it in. ``query`` and ``options`` are checked already (``query_of``, ``options_from``)."""

    account_id: int
    name: str
    category_id: str
    image_policy_id: int
    pricing_policy_id: int
    inventory_policy_id: int
    query: Query = field(default_factory=Query)
    options: TemplateOptions = field(default_factory=TemplateOptions)
    priority: int = 100
    enabled: bool = True


class TemplateErrors(DomainError):
    """A template that cannot be saved; ``by_field`` has one message a field, condition rows as ``conditions-0``."""

    def __init__(self, by_field: dict[str, str]) -> None:
        name, message = next(iter(by_field.items()))
        super().__init__("template.invalid_input", message, "Correct the marked fields.", field=name)
        self.by_field = by_field


def query_of(match: str, rows: Sequence[Mapping[str, str]]) -> Query:
    """The query of typed rows ``{"attribute", "operator", "value", "kind"}``; empty rows are left out. Raises ``TemplateErrors`` by row."""
    found, errors = [], dict[str, str]()
    for place, row in enumerate(rows):
        if not row.get("attribute"):
            if row.get("value"):
                errors[f"conditions-{place}"] = "Choose an attribute for this value, or remove the condition."
            continue
        try:
            found.append(Condition.model_validate({key: row[key] for key in ("attribute", "operator", "value", "kind") if row.get(key)}))
        except ValidationError as error:
            errors[f"conditions-{place}"] = _words(error)
    if len(found) > 30:
        errors["conditions"] = "A query has 30 conditions at most."
    if errors:
        raise TemplateErrors(errors)
    return Query(match="any" if match == "any" else "all", conditions=tuple(found))


def options_from(values: Mapping[str, Any]) -> TemplateOptions:
    """The options of typed values. Raises ``TemplateErrors``."""
    given = {name: value for name, value in values.items() if name in TemplateOptions.model_fields and value not in (None, "")}
    try:
        return TemplateOptions.model_validate(given)
    except ValidationError as error:
        errors: dict[str, str] = {}
        for fault in error.errors():
            name = str(fault["loc"][0]) if fault["loc"] else ("usual_length" if "usual" in fault["msg"] else "length_attribute")
            label = TemplateOptions.model_fields[name].title or name
            text = (
                str(fault["msg"]).removeprefix("Value error, ") if fault["type"] == "value_error" else f"{label} {_FAULTS.get(fault['type'], 'is not valid')}."
            )
            errors.setdefault(name, text)
        raise TemplateErrors(errors) from error


def faults(draft: Draft, present: ListingTemplate | None = None) -> dict[str, str]:
    """Everything that keeps a draft from being saved, by field; ``present``: the template that it would replace."""
    try:
        checked(draft, present)
    except TemplateErrors as refused:
        return refused.by_field
    return {}


def checked(draft: Draft, present: ListingTemplate | None) -> dict[str, Any]:
    """The values to store, or every fault at once."""
    errors: dict[str, str] = {}
    account = db.session.get(Account, draft.account_id)
    if account is None:
        raise TemplateErrors({"account_id": "Choose an account."})
    name = " ".join(draft.name.split())
    if not name:
        errors["name"] = "Enter a template name."
    elif len(name) > NAME_LENGTH:
        errors["name"] = f"The name has {len(name)} characters; {NAME_LENGTH} are allowed. Shorten it."
    elif _taken(account.id, name, present):
        errors["name"] = f"Another template of {account.title} is called {name}. Choose another name."
    category_version, path = (present.category_version, present.category_path) if present else ("", "")
    if present is None or draft.category_id != present.category_id:
        if not draft.category_id:
            errors["category_id"] = "Choose a TikTok category."
        else:
            try:
                category = categories.choose(account, draft.category_id)
                category_version, path = limits(account.country).tree, " > ".join(category.path)
            except DomainError as error:
                errors["category_id"] = str(error)
    for field_name in POLICY_FIELDS:
        if message := policy_fault(field_name, getattr(draft, field_name)):
            errors[field_name] = message
    if not PRIORITIES[0] <= draft.priority <= PRIORITIES[1]:
        errors["priority"] = f"Priority must be {PRIORITIES[0]} to {PRIORITIES[1]}; the lowest number wins."
    known = set(
        db.session.scalars(select(StoreReference.code).where(StoreReference.magento_id == (account.magento_id or 0), StoreReference.kind == "attribute"))
    )
    for place, condition in enumerate(draft.query.conditions):
        if condition.attribute not in FIELDS and known and condition.attribute not in known:
            errors[f"conditions-{place}"] = f"Magento has no attribute {condition.attribute}. Choose one that exists, or remove the condition."
    for option in (
        "title_attribute",
        "description_attribute",
        "seller_sku_attribute",
        "identifier_attribute",
        "length_attribute",
        "width_attribute",
        "height_attribute",
        "image_axis",
    ):
        code = getattr(draft.options, option)
        if code and code != "sku" and known and code not in known:
            errors[option] = f"Magento has no attribute {code}. Choose one that exists."
    if errors:
        raise TemplateErrors(errors)
    return {
        "account_id": account.id,
        "name": name,
        "name_key": name.casefold()[:NAME_LENGTH],
        "enabled": draft.enabled,
        "priority": draft.priority,
        "category_id": draft.category_id,
        "category_version": category_version,
        "category_path": path,
        **{field_name: getattr(draft, field_name) for field_name in POLICY_FIELDS},
        "query": draft.query.model_dump(mode="json"),
        "options": draft.options.model_dump(mode="json", exclude_defaults=True),
    }


def _taken(account_id: int, name: str, present: ListingTemplate | None) -> bool:
    query = select(ListingTemplate.id).where(ListingTemplate.account_id == account_id, ListingTemplate.name_key == name.casefold()[:NAME_LENGTH])
    return db.session.scalar(query.where(ListingTemplate.id != present.id) if present else query) is not None


def policy_fault(field_name: str, policy_id: int) -> str:
    kind = POLICY_FIELDS[field_name]
    policy = db.session.get(Policy, policy_id) if policy_id else None
    if policy is None or policy.deleted_at is not None:
        return f"Choose {'an' if kind[0] in 'ai' else 'a'} {LABELS[field_name].lower()}."
    if policy.kind != kind:
        return f"{policy.title} is {KIND_TITLES[policy.kind]} policy; choose {KIND_TITLES[kind]} here."
    return ""


def _words(error: ValidationError) -> str:
    fault = error.errors()[0]
    if fault["type"] == "value_error":
        return str(fault["msg"]).removeprefix("Value error, ")
    return {"attribute": "Choose an attribute.", "operator": "Choose an operator.", "value": "The value is longer than 500 characters."}.get(
        str(fault["loc"][0]) if fault["loc"] else "", "This condition is not valid."
    )

"""What TikTok says of a leaf category: its attributes, rules and availability (TTS §5.3.2, §5.3.4, §5.3.5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SALES = "SALES_PROPERTY"
NUMBER = "POSITIVE_INT_OR_DECIMAL"


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds when attribute ``attribute_id`` has the value ``value_id``; any of several makes the thing required."""

    attribute_id: str
    value_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryAttribute:
    """A132-A134: required, variant axis or not, and the values it recommends by id."""

    id: str
    name: str
    is_sales: bool = False
    is_required: bool = False
    is_multiple: bool = False
    is_customizable: bool = False
    is_number: bool = False
    values: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()

    @property
    def takes_own_values(self) -> bool:
        """Free text is allowed, or there is no list to choose from."""
        return self.is_customizable or not self.values

    def value_named(self, name: str) -> str:
        """The id of the recommended value with this name, case aside; "" when there is none."""
        wanted = name.strip().casefold()
        return next((value_id for value_id, label in self.values.items() if label.casefold() == wanted), "")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A document that the category asks for: always, or when one of ``conditions`` holds."""

    id: str
    name: str
    is_required: bool
    needs_expiry: bool
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryFacts:
    """One category. ``exists`` False: the tree has no such id any more. ``dimensions_required`` None: the rules do not say."""

    id: str
    name: str = ""
    version: str = ""
    exists: bool = True
    is_leaf: bool = True
    permission_statuses: tuple[str, ...] = ("AVAILABLE",)
    attributes: Mapping[str, CategoryAttribute] = field(default_factory=dict)
    certificates: tuple[Certificate, ...] = ()
    size_chart_supported: bool = False
    size_chart_required: bool = False
    dimensions_required: bool | None = None

    @property
    def label(self) -> str:
        return f"{self.name} ({self.id})" if self.name else self.id

    def sales_attributes(self) -> list[CategoryAttribute]:
        return [attribute for attribute in self.attributes.values() if attribute.is_sales]

    def product_attributes(self) -> list[CategoryAttribute]:
        return [attribute for attribute in self.attributes.values() if not attribute.is_sales]


def category_of(
    node: Mapping[str, Any], attributes: Iterable[Mapping[str, Any]] = (), rules: Mapping[str, Any] | None = None, *, version: str = ""
) -> CategoryFacts:
    """From TikTok's own objects: a row of the tree, the attributes, the rules."""
    rules = rules or {}
    chart, size = rules.get("size_chart") or {}, rules.get("package_dimension") or {}
    return CategoryFacts(
        id=str(node["id"]),
        name=str(node.get("local_name") or ""),
        version=version,
        is_leaf=bool(node.get("is_leaf", True)),
        permission_statuses=tuple(node.get("permission_statuses") or ()),
        attributes={attribute.id: attribute for attribute in map(attribute_of, attributes)},
        certificates=tuple(
            Certificate(
                str(each["id"]),
                str(each.get("name") or ""),
                bool(each.get("is_required")),
                bool((each.get("expiration_date") or {}).get("is_required")),
                _conditions(each),
            )
            for each in rules.get("product_certifications") or ()
        ),
        size_chart_supported=bool(chart.get("is_supported")),
        size_chart_required=bool(chart.get("is_required")),
        dimensions_required=size.get("is_required"),
    )


def attribute_of(row: Mapping[str, Any]) -> CategoryAttribute:
    """From TikTok's row; ``is_requried`` is its own spelling, ``is_required`` is accepted too."""
    return CategoryAttribute(
        id=str(row["id"]),
        name=str(row.get("name") or ""),
        is_sales=row.get("type") == SALES,
        is_required=bool(row.get("is_requried") or row.get("is_required")),
        is_multiple=bool(row.get("is_multiple_selection")),
        is_customizable=bool(row.get("is_customizable")),
        is_number=row.get("value_data_format") == NUMBER,
        values={str(value["id"]): str(value.get("name") or "") for value in row.get("values") or ()},
        conditions=_conditions(row),
    )


def holds(conditions: Sequence[Condition], chosen: Mapping[str, Collection[str]]) -> Condition | None:
    """The first condition that is met by the chosen value ids of each attribute."""
    return next((each for each in conditions if each.value_id in chosen.get(each.attribute_id, ())), None)


def _conditions(row: Mapping[str, Any]) -> tuple[Condition, ...]:
    return tuple(Condition(str(each.get("attribute_id") or ""), str(each.get("attribute_value_id") or "")) for each in row.get("requirement_conditions") or ())

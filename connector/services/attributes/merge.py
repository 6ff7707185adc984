"""The rows of the Attributes grid, worked out from the fetched categories and the mappings (A128-A138)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.domain import attribute_mapping
from connector.domain.attribute_mapping import AttributeMapping
from connector.domain.listing_category import CategoryAttribute as Attribute
from connector.domain.listing_category import CategoryFacts, category_of
from connector.models.listing import CategoryAttribute, ListingCategory, MappingRow

#: The rows may have been written by a thread of the run since this session last looked.
_FRESH = {"populate_existing": True}
PRODUCT, SALES = "PRODUCT_PROPERTY", "SALES_PROPERTY"


def facts_of(row: ListingCategory) -> CategoryFacts:
    """What is stored of a category; ``exists`` False when TikTok's tree has lost it."""
    node = row.node or {"id": row.category_id, "local_name": row.name}
    facts = category_of(node, row.attributes, row.rules, version=row.version)
    return facts if row.node else _gone(facts)


def _gone(facts: CategoryFacts) -> CategoryFacts:
    return CategoryFacts(id=facts.id, name=facts.name, version=facts.version, exists=False, attributes=facts.attributes)


@dataclass(frozen=True)
class Fetched:
    """The account's fetched categories, parsed once."""

    rows: Mapping[str, ListingCategory]
    facts: Mapping[str, CategoryFacts]

    @classmethod
    def load(cls, session: Session, account_id: int) -> Fetched:
        query = select(ListingCategory).where(ListingCategory.account_id == account_id).order_by(ListingCategory.name, ListingCategory.id)
        by_id = {row.category_id: row for row in session.scalars(query, execution_options=_FRESH)}
        return cls(by_id, {key: facts_of(row) for key, row in by_id.items()})

    def label(self, category_id: str) -> str:
        facts = self.facts.get(category_id)
        return facts.name or category_id if facts else category_id

    def having(self, attribute_id: str) -> list[str]:
        return [key for key, facts in self.facts.items() if attribute_id in facts.attributes]

    def offered(self, attribute_id: str, categories: Collection[str] = ()) -> Attribute | None:
        """The attribute as all the given categories (blank: all that have it) know it together: every value of any, free text where all take it."""
        found = [
            facts.attributes[attribute_id] for key, facts in self.facts.items() if attribute_id in facts.attributes and (not categories or key in categories)
        ]
        if not found:
            return None
        values: dict[str, str] = {}
        for each in found:
            values |= each.values
        return Attribute(
            id=attribute_id,
            name=found[0].name,
            is_sales=found[0].is_sales,
            is_required=any(each.is_required for each in found),
            is_multiple=all(each.is_multiple for each in found),
            is_customizable=all(each.takes_own_values for each in found),
            is_number=any(each.is_number for each in found),
            values=values,
        )


def merge(session: Session, account_id: int) -> list[int]:
    """Bring the grid's rows in line with the fetched categories, in the caller's transaction.

    Returns the ids of rows that are new or offer other values than before: their suggestions want working out.
    """
    fetched = Fetched.load(session, account_id)
    of_account = select(CategoryAttribute).where(CategoryAttribute.account_id == account_id)
    existing = {row.attribute_id: row for row in session.scalars(of_account, execution_options=_FRESH)}
    changed: list[CategoryAttribute] = []
    seen = dict.fromkeys(key for facts in fetched.facts.values() for key in facts.attributes)
    for key in seen:
        attribute = fetched.offered(key)
        assert attribute is not None
        categories = fetched.having(key)
        values = [{"id": each, "name": name} for each, name in attribute.values.items()]
        row = existing.get(key)
        if row is None:
            row = existing[key] = CategoryAttribute(account_id=account_id, attribute_id=key, suggestions=[])
            session.add(row)
        if (row.name, row.values) != (attribute.name[:200], values):
            changed.append(row)
        row.name, row.type = attribute.name[:200], SALES if attribute.is_sales else PRODUCT
        row.required, row.is_variant = attribute.is_required, attribute.is_sales
        row.category_dependent = len(categories) < len(fetched.facts)
        row.categories, row.values, row.removed_at = categories, values, None
    session.flush()
    mapped = set(session.scalars(select(MappingRow.attribute_row_id).where(MappingRow.account_id == account_id)))
    for key, row in list(existing.items()):
        if key in seen:
            continue
        if row.id not in mapped:
            session.delete(existing.pop(key))
        elif row.removed_at is None:  # a mapping is a person's work: it stays until a person deletes it
            row.removed_at, row.categories, row.required, row.suggestions = utcnow(), [], False, []
    show(session, list(existing.values()), fetched)
    return [row.id for row in changed]


def show(session: Session, rows: Iterable[CategoryAttribute], fetched: Fetched) -> None:
    """Write the columns that come from the mappings (A135-A137), and what is wrong with them."""
    rows = list(rows)
    mappings: dict[int, list[AttributeMapping]] = {row.id: [] for row in rows}
    for start in range(0, len(rows), 500):
        ids = [row.id for row in rows[start : start + 500]]
        query = select(MappingRow).where(MappingRow.attribute_row_id.in_(ids)).order_by(MappingRow.id)
        for mapping in session.scalars(query, execution_options=_FRESH):
            mappings[mapping.attribute_row_id].append(AttributeMapping.model_validate(mapping.body))
    for row in rows:
        of_row = mappings[row.id]
        usual = next((each for each in of_row if not each.categories), None)
        names = {value["id"]: value["name"] for value in row.values}
        row.source = usual.source if usual else ""
        row.magento_attribute = usual.magento_attribute if usual and usual.source == "magento" else ""
        row.recommended_value = ", ".join(names.get(each, each) for each in usual.recommended_values) if usual and usual.source == "recommended" else ""
        row.custom_value = usual.custom_value if usual and usual.source == "custom" else ""
        row.problem = "" if row.removed_at else _problem(row, of_row, fetched)
    session.flush()


def _problem(row: CategoryAttribute, mappings: list[AttributeMapping], fetched: Fetched) -> str:
    found = [words for mapping in mappings if (words := misfit(mapping, fetched))]
    if row.required and not row.is_variant:
        unmapped = [key for key in row.categories if not any(each.applies_to(key) for each in mappings)]
        newly = [key for key in unmapped if any(each["what"] == "required" and each["attribute_id"] == row.attribute_id for each in fetched.rows[key].changes)]
        if newly:
            found.append(f"TikTok requires it now in {', '.join(fetched.label(key) for key in newly)}, and it is not mapped. Map it.")
    return " ".join(dict.fromkeys(found))


def misfit(mapping: AttributeMapping, fetched: Fetched) -> str:
    """Why a mapping no longer fits what TikTok offers, and what to do; "" when it does."""
    attribute = fetched.offered(mapping.attribute_id, mapping.categories)
    if attribute is None:
        return "" if not mapping.categories else "The categories that it was mapped for no longer have it. Delete the mapping, or choose other categories."
    stale = attribute_mapping.stale_values(mapping, attribute) if mapping.source in ("magento", "recommended") else {}
    if stale:
        names = _names(mapping.attribute_id, fetched)
        lost = list(dict.fromkeys(names.get(each, f"the value {each}") for each in stale.values()))
        return f"TikTok no longer offers {', '.join(lost)}, which {'is' if len(lost) == 1 else 'are'} mapped. Choose another value."
    if mapping.source == "custom" and not attribute.takes_own_values and not attribute.value_named(mapping.custom_value):
        return f"TikTok takes its own values only, and {mapping.custom_value} is none of them. Choose a recommended value."
    if mapping.source == "recommended" and len(mapping.recommended_values) > 1 and not attribute.is_multiple:
        return "TikTok takes one value only, and several are chosen. Keep one."
    return ""


def _names(attribute_id: str, fetched: Fetched) -> dict[str, str]:
    """Names of values that went, as the change that took them tells."""
    return {
        key: name
        for row in fetched.rows.values()
        for change in row.changes
        if change["attribute_id"] == attribute_id
        for key, name in change.get("values", {}).items()
    }

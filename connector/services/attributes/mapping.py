"""Mappings of TikTok attributes: saved in place, deleted, attached to listing templates (A124-A126, A138)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError
from sqlalchemy import delete as delete_rows
from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.domain.attribute_mapping import AttributeMapping, mapping_for
from connector.domain.listing_category import CategoryAttribute as Attribute
from connector.domain.listing_limits import ATTRIBUTE_VALUE
from connector.models.account import Account, StoreReference
from connector.models.listing import CategoryAttribute, ListingTemplate, MappingRow, TemplateMapping
from connector.models.trace import Event
from connector.services import events
from connector.services.attributes.merge import Fetched, misfit, show
from connector.services.products import due

CHOSEN = "attributes.chosen"  #: the event of a person's choice of a template's mappings
INVALID = "attributes.mapping_invalid"


@dataclass(frozen=True)
class Saved:
    """``attached``: names of the templates that got a new mapping; ``templates``: of all that use it now."""

    mapping_id: int
    attached: tuple[str, ...]
    templates: tuple[str, ...]


def attribute_row(row_id: int) -> CategoryAttribute:
    row = db.session.get(CategoryAttribute, row_id, populate_existing=True)
    if row is None:
        raise NotFoundError("attributes.unknown", f"There is no attribute {row_id} any more.", "Go back to the list; a refetch may have removed it.")
    return row


def get(mapping_id: int) -> MappingRow:
    row = db.session.get(MappingRow, mapping_id, populate_existing=True)
    if row is None:
        raise NotFoundError("attributes.mapping_gone", "This mapping was deleted in the meantime.", "Go back to the list of attributes.")
    return row


def of_attribute(row_id: int) -> list[tuple[MappingRow, AttributeMapping]]:
    """The mappings of an attribute, the one for all categories first."""
    rows = db.session.scalars(select(MappingRow).where(MappingRow.attribute_row_id == row_id).order_by(MappingRow.id))
    parsed = [(row, AttributeMapping.model_validate(row.body)) for row in rows]
    return sorted(parsed, key=lambda pair: (bool(pair[1].categories), pair[0].id))


def of_template(template_ids: Collection[int]) -> dict[int, list[AttributeMapping]]:
    """The mappings that are attached to each template; a template without any has an empty list."""
    found: dict[int, list[AttributeMapping]] = {template_id: [] for template_id in template_ids}
    query = (
        select(TemplateMapping.template_id, MappingRow.body)
        .join(MappingRow, MappingRow.id == TemplateMapping.mapping_id)
        .where(TemplateMapping.template_id.in_(list(found)))
        .order_by(MappingRow.id)
    )
    for template_id, body in db.session.execute(query):
        found[template_id].append(AttributeMapping.model_validate(body))
    return found


# --- saving ---------------------------------------------------------------------------------------------------------------------------------


def save(row_id: int, body: Mapping[str, Any], *, mapping_id: int | None = None, attach: bool = True, reason: str = "") -> Saved:
    """Save how an attribute gets its value; without ``mapping_id`` a new mapping.

    ``body``: the fields of ``AttributeMapping`` but the attribute's id; what does not belong to the chosen source is dropped. ``attach``: a new mapping is
    attached to every template of the account whose category it fits (a changed one to those that lack it). Raises ``DomainError`` attributes.mapping_invalid with its field.
    """
    with unit_of_work() as session:
        attribute = attribute_row(row_id)
        fetched = Fetched.load(session, attribute.account_id)
        wanted = _checked(session, attribute, body, fetched, mapping_id)
        row = get(mapping_id) if mapping_id else None
        if row is not None and row.attribute_row_id != row_id:
            raise NotFoundError("attributes.mapping_gone", "This mapping belongs to another attribute.", "Map the attribute anew.")
        before = row.body if row is not None else None
        if row is None:
            row = MappingRow(attribute_row_id=row_id, account_id=attribute.account_id, body={})
            session.add(row)
        row.body, row.updated_by = wanted.model_dump(mode="json"), events.actor_now.get()
        session.flush()
        attached = _attach_to_all(session, row, attribute, wanted) if attach else []
        show(session, [attribute], fetched)
        if before != row.body or attached:
            words = f"{attribute.name} mapped: {describe(wanted, fetched)}"
            events.record("attributes.mapped", "attribute", row_id, words, account_id=attribute.account_id, before=before, after=row.body, reason=reason)
            _due(session, [row.id], f"The mapping of {attribute.name} changed")
        users = used_by([row.id])[row.id]
        return Saved(row.id, tuple(attached), tuple(users))


def describe(mapping: AttributeMapping, fetched: Fetched) -> str:
    """One mapping in words."""
    where = f", for {', '.join(fetched.label(each) for each in mapping.categories)}" if mapping.categories else ""
    if mapping.source == "custom":
        return f"custom value {mapping.custom_value}{where}"
    if mapping.source == "recommended":
        attribute = fetched.offered(mapping.attribute_id)
        names = attribute.values if attribute else {}
        return f"recommended value {', '.join(names.get(each, each) for each in mapping.recommended_values)}{where}"
    count = len(mapping.values)
    return f"Magento attribute {mapping.magento_attribute}" + (f" with {count} value{'' if count == 1 else 's'} mapped" if count else "") + where


def _checked(session: Session, row: CategoryAttribute, body: Mapping[str, Any], fetched: Fetched, mapping_id: int | None) -> AttributeMapping:
    categories = tuple(dict.fromkeys(body.get("categories") or ()))
    _check_categories(session, row, categories, fetched, mapping_id)
    attribute = fetched.offered(row.attribute_id, categories)
    if attribute is None:
        raise _invalid("", f"No fetched category has {row.name} any more.", "Refetch the attributes, or delete its mapping.")
    kept = {"magento": ("magento_attribute", "values"), "recommended": ("recommended_values",), "custom": ("custom_value",)}
    source = str(body.get("source") or "")
    if source not in kept:
        raise _invalid("source", f"Where {row.name} gets its value is not chosen.", "Choose a Magento attribute, a recommended value or a custom value.")
    fields = {name: body[name] for name in kept[source] if name in body}
    try:
        wanted = AttributeMapping(attribute_id=row.attribute_id, source=source, categories=categories, **fields)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        raise _invalid(str(first["loc"][0]), f"{AttributeMapping.model_fields[str(first['loc'][0])].title}: {first['msg']}.", "Correct it.") from None
    {"magento": _check_magento, "recommended": _check_recommended, "custom": _check_custom}[source](session, row, wanted, attribute)
    return wanted.model_copy(update={"values": {ours: theirs for ours, theirs in wanted.values.items() if theirs}})


def _check_categories(session: Session, row: CategoryAttribute, categories: tuple[str, ...], fetched: Fetched, mapping_id: int | None) -> None:
    if unknown := [each for each in categories if each not in row.categories]:
        raise _invalid("categories", f"{', '.join(fetched.label(each) for each in unknown)} has no {row.name}.", "Untick it.")
    others = session.scalars(select(MappingRow).where(MappingRow.attribute_row_id == row.id, MappingRow.id != (mapping_id or 0)))
    for other in others:
        theirs = set(other.body.get("categories") or ())
        if not categories and not theirs:
            raise _invalid("scope", f"{row.name} has a mapping for all categories already.", "Edit that one, or choose the categories that this one is for.")
        if both := theirs & set(categories):
            raise _invalid(
                "categories", f"{', '.join(fetched.label(each) for each in sorted(both))} has a mapping of its own already.", "Untick it, or edit that mapping."
            )


def _check_magento(session: Session, row: CategoryAttribute, wanted: AttributeMapping, attribute: Attribute) -> None:
    code = wanted.magento_attribute
    if not code:
        raise _invalid("magento_attribute", "No Magento attribute is chosen.", "Choose one, or another source for the value.")
    magento_id = session.scalar(select(Account.magento_id).where(Account.id == row.account_id))
    known = select(StoreReference.id).where(StoreReference.magento_id == magento_id, StoreReference.kind == "attribute", StoreReference.code == code)
    if session.scalar(known) is None:
        raise _invalid("magento_attribute", f"The store has no attribute {code}.", "Choose another one; attributes are read anew with each product import.")
    for ours, theirs in wanted.values.items():
        if theirs and theirs not in attribute.values:
            raise _invalid(f"value-{ours}", f"TikTok does not offer the value {theirs} for {row.name}.", "Choose one of the list.")


def _check_recommended(session: Session, row: CategoryAttribute, wanted: AttributeMapping, attribute: Attribute) -> None:
    _check_axis(row)
    if not attribute.values:
        raise _invalid("source", f"TikTok recommends no values for {row.name}.", "Enter a custom value, or map a Magento attribute.")
    if not wanted.recommended_values:
        raise _invalid("recommended_values", "No recommended value is chosen.", "Choose one of TikTok's values.")
    if missing := [each for each in wanted.recommended_values if each not in attribute.values]:
        raise _invalid("recommended_values", f"TikTok no longer offers {', '.join(missing)} for {row.name}.", "Choose another value.")
    if len(wanted.recommended_values) > 1 and not attribute.is_multiple:
        raise _invalid("recommended_values", f"{row.name} takes one value, and {len(wanted.recommended_values)} are chosen.", "Keep one.")


def _check_custom(session: Session, row: CategoryAttribute, wanted: AttributeMapping, attribute: Attribute) -> None:
    _check_axis(row)
    value = wanted.custom_value
    if not value:
        raise _invalid("custom_value", "The custom value is empty.", "Enter the value that TikTok is to get.")
    if len(value) > ATTRIBUTE_VALUE:
        raise _invalid("custom_value", f"The custom value has {len(value)} characters.", f"Shorten it to {ATTRIBUTE_VALUE}.")
    if not attribute.takes_own_values and not attribute.value_named(value):
        raise _invalid("custom_value", f"TikTok takes its own values only for {row.name}, and {value} is none of them.", "Choose a recommended value.")
    if attribute.is_number and not _positive(value):
        raise _invalid("custom_value", f"{row.name} is a number, and {value} is none.", "Enter a positive number such as 12.5, without a unit.")


def _check_axis(row: CategoryAttribute) -> None:
    if row.is_variant:
        raise _invalid("source", f"{row.name} tells variants apart, so each variant has its own value.", "Map it to the Magento attribute of the variants.")


def _positive(value: str) -> bool:
    try:
        number = Decimal(value)
    except InvalidOperation:
        return False
    return number.is_finite() and number > 0


def _invalid(field: str, message: str, remedy: str) -> DomainError:
    return DomainError(INVALID, message, remedy, field=field or None)


# --- deleting -------------------------------------------------------------------------------------------------------------------------------


def delete(row_ids: Iterable[int]) -> int:
    """Delete all mappings of these attributes (A126); how many there were. Attributes that no category has any more go altogether."""
    deleted = 0
    with unit_of_work() as session:
        for row_id in row_ids:
            row = attribute_row(row_id)
            mappings = of_attribute(row_id)
            deleted += _delete(session, row, [mapping.id for mapping, _ in mappings])
            if row.removed_at is not None:
                session.delete(row)
                session.flush()
    return deleted


def delete_one(mapping_id: int) -> CategoryAttribute:
    """Delete one mapping; its attribute."""
    with unit_of_work() as session:
        row = attribute_row(get(mapping_id).attribute_row_id)
        _delete(session, row, [mapping_id])
        return row


def _delete(session: Session, row: CategoryAttribute, mapping_ids: list[int]) -> int:
    if not mapping_ids:
        return 0
    _due(session, mapping_ids, f"The mapping of {row.name} was deleted")
    before = [mapping.body for mapping in session.scalars(select(MappingRow).where(MappingRow.id.in_(mapping_ids)))]
    session.execute(delete_rows(TemplateMapping).where(TemplateMapping.mapping_id.in_(mapping_ids)))
    session.execute(delete_rows(MappingRow).where(MappingRow.id.in_(mapping_ids)))
    show(session, [row], Fetched.load(session, row.account_id))
    events.record("attributes.unmapped", "attribute", row.id, f"Mapping of {row.name} deleted", account_id=row.account_id, before=before)
    return len(mapping_ids)


# --- templates ------------------------------------------------------------------------------------------------------------------------------


def used_by(mapping_ids: Collection[int]) -> dict[int, list[str]]:
    """Names of the templates that use each mapping."""
    found: dict[int, list[str]] = {mapping_id: [] for mapping_id in mapping_ids}
    query = (
        select(TemplateMapping.mapping_id, ListingTemplate.name)
        .join(ListingTemplate, ListingTemplate.id == TemplateMapping.template_id)
        .where(TemplateMapping.mapping_id.in_(list(found)))
        .order_by(ListingTemplate.name)
    )
    for mapping_id, name in db.session.execute(query):
        found[mapping_id].append(name)
    return found


def matching(template: ListingTemplate) -> list[MappingRow]:
    """The account's mappings that fit the template's category."""
    query = select(MappingRow, CategoryAttribute.categories).join(CategoryAttribute, CategoryAttribute.id == MappingRow.attribute_row_id)
    rows = db.session.execute(query.where(MappingRow.account_id == template.account_id).order_by(MappingRow.id))
    return [row for row, categories in rows if _fits(row.body, categories, template.category_id)]


@dataclass(frozen=True)
class TemplateRow:
    """One TikTok attribute of a template (A153). ``options``: the mappings that fit its category, with whether they are attached; ``words``: what is sent."""

    attribute: Attribute
    row: CategoryAttribute | None
    options: tuple[tuple[MappingRow, bool, str], ...]
    chosen: AttributeMapping | None
    recommended: str
    problem: str


def overview(template: ListingTemplate) -> list[TemplateRow]:
    """Every attribute of the template's category: required ones first, then variants, then by name."""
    fetched = Fetched.load(db.session(), template.account_id)
    facts = fetched.facts.get(template.category_id)
    if facts is None:
        return []
    rows = {row.attribute_id: row for row in db.session.scalars(select(CategoryAttribute).where(CategoryAttribute.account_id == template.account_id))}
    attached = set(db.session.scalars(select(TemplateMapping.mapping_id).where(TemplateMapping.template_id == template.id)))
    fitting: dict[int, list[MappingRow]] = {}
    for mapping in matching(template):
        fitting.setdefault(mapping.attribute_row_id, []).append(mapping)
    found = []
    for attribute in facts.attributes.values():
        row = rows.get(attribute.id)
        bodies = [(each, AttributeMapping.model_validate(each.body)) for each in fitting.get(row.id if row else 0, [])]
        used = [body for each, body in bodies if each.id in attached]
        chosen = mapping_for(used, attribute.id, template.category_id)
        names = ", ".join(attribute.values.get(each, each) for each in chosen.recommended_values) if chosen else ""
        problem = misfit(chosen, fetched) if chosen else "Required by TikTok, and no mapping is attached." if attribute.is_required else ""
        found.append(TemplateRow(attribute, row, tuple((each, each.id in attached, describe(body, fetched)) for each, body in bodies), chosen, names, problem))
    return sorted(found, key=lambda each: (not each.attribute.is_required, not each.attribute.is_sales, each.attribute.name.casefold()))


def attach_matching(template: ListingTemplate) -> int:
    """Attach every mapping that fits the template's category, and detach those that no longer do; how many were attached anew.

    Where a person has chosen the template's mappings (``set_attached``) for this category, the choice stands and nothing is done.
    """
    chosen = select(Event.after).where(Event.subject_type == "template", Event.subject_id == str(template.id), Event.kind == CHOSEN)
    last = db.session.scalars(chosen.where(Event.at >= template.created_at).order_by(Event.id.desc()).limit(1)).first()
    if last is not None and last["category"] == template.category_id:
        return 0
    with unit_of_work() as session:
        return len(_set(session, template, {row.id for row in matching(template)}, keep=False)[0])


def assign(template_ids: Collection[int], row_ids: Collection[int] | None = None) -> dict[str, int]:
    """Assign Attributes (A125): attach the fitting mappings (of these attributes, or all) to the chosen templates; template name -> how many anew."""
    counts: dict[str, int] = {}
    with unit_of_work() as session:
        for template in session.scalars(select(ListingTemplate).where(ListingTemplate.id.in_(list(template_ids))).order_by(ListingTemplate.name)):
            fitting = {row.id for row in matching(template) if row_ids is None or row.attribute_row_id in row_ids}
            counts[template.name] = len(_set(session, template, fitting, keep=True)[0])
    return counts


def set_attached(template: ListingTemplate, mapping_ids: Collection[int]) -> tuple[int, int]:
    """Exactly these of the fitting mappings are attached; (attached, detached)."""
    with unit_of_work() as session:
        fitting = {row.id for row in matching(template)}
        added, removed = _set(session, template, fitting & set(mapping_ids), keep=False, kind=CHOSEN)
        return len(added), len(removed)


def _fits(body: Mapping[str, Any], categories: Collection[str], category_id: str) -> bool:
    return category_id in categories and (not body.get("categories") or category_id in body["categories"])


def _attach_to_all(session: Session, mapping: MappingRow, attribute: CategoryAttribute, wanted: AttributeMapping) -> list[str]:
    templates = session.scalars(select(ListingTemplate).where(ListingTemplate.account_id == attribute.account_id).order_by(ListingTemplate.name))
    present = set(session.scalars(select(TemplateMapping.template_id).where(TemplateMapping.mapping_id == mapping.id)))
    fitting = [template for template in templates if template.category_id in attribute.categories and wanted.applies_to(template.category_id)]
    chosen = [template for template in fitting if template.id not in present]
    session.add_all(TemplateMapping(template_id=template.id, mapping_id=mapping.id) for template in chosen)
    session.flush()
    return [template.name for template in chosen]


def _set(session: Session, template: ListingTemplate, wanted: set[int], *, keep: bool, kind: str = "attributes.assigned") -> tuple[set[int], set[int]]:
    """Attach ``wanted``; without ``keep`` detach everything else."""
    present = set(session.scalars(select(TemplateMapping.mapping_id).where(TemplateMapping.template_id == template.id)))
    added, removed = wanted - present, set[int]() if keep else present - wanted
    session.add_all(TemplateMapping(template_id=template.id, mapping_id=mapping_id) for mapping_id in sorted(added))
    if removed:
        session.execute(delete_rows(TemplateMapping).where(TemplateMapping.template_id == template.id, TemplateMapping.mapping_id.in_(removed)))
    session.flush()
    if added or removed:
        parts = [f"{len(added)} attached"] * bool(added) + [f"{len(removed)} detached"] * bool(removed)
        events.record(
            kind,
            "template",
            template.id,
            f"Attribute mappings: {', '.join(parts)}",
            account_id=template.account_id,
            before={"mappings": sorted(present)},
            after={"mappings": sorted((present | added) - removed), "category": template.category_id},
        )
        due.mark(reason="Attribute mappings were assigned", content=True, template_ids=[template.id])
    return added, removed


def _due(session: Session, mapping_ids: Collection[int], reason: str) -> None:
    templates = session.scalars(select(TemplateMapping.template_id).where(TemplateMapping.mapping_id.in_(list(mapping_ids))).distinct()).all()
    if templates:
        due.mark(reason=reason, content=True, template_ids=templates)

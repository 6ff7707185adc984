"""The TikTok attributes grid (A123-A138)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import url_for
from sqlalchemy import ColumnElement, Text, exists, func, or_, select, type_coerce

from connector.core.db import db
from connector.grids import Action, Choices, Column, Empty, Flag, Grid, Join, Label, Preview, Result, Tab
from connector.grids.activity import account_choices
from connector.models.account import Account
from connector.models.listing import CategoryAttribute, ListingCategory, MappingRow
from connector.services.attributes import mapping, suggest
from connector.services.attributes.merge import PRODUCT, SALES

TYPES = {PRODUCT: Label("Product property"), SALES: Label("Sales property")}

_is_mapped = exists().where(MappingRow.attribute_row_id == CategoryAttribute.id)
_count = select(func.count(MappingRow.id)).where(MappingRow.attribute_row_id == CategoryAttribute.id).correlate(CategoryAttribute).scalar_subquery()


def _category_names() -> dict[str, str]:
    rows = db.session.execute(select(ListingCategory.category_id, ListingCategory.name).order_by(ListingCategory.name))
    return {key: f"{name or key} ({key})" for key, name in rows}


def _in_category(values: Sequence[str]) -> ColumnElement[bool]:
    listed = type_coerce(CategoryAttribute.categories, Text)
    return or_(*(listed.contains(f'"{value}"', autoescape=True) for value in values))


def _rows(ids: Sequence[Any]) -> list[CategoryAttribute]:
    query = select(CategoryAttribute).where(CategoryAttribute.id.in_([int(each) for each in ids])).order_by(CategoryAttribute.name, CategoryAttribute.id)
    return list(db.session.scalars(query))


def _attributes(count: int) -> str:
    return f"{count} attribute{'' if count == 1 else 's'}"


def _preview_delete(ids: Sequence[Any]) -> list[Preview]:
    """Which templates use it, for those that can be deleted; why not, for the others."""
    rows = _rows(ids)
    of_rows = {row.id: [each.id for each, _ in mapping.of_attribute(row.id)] for row in rows}
    users = mapping.used_by([each for found in of_rows.values() for each in found])
    answers = []
    for row in rows:
        names = sorted({name for each in of_rows[row.id] for name in users[each]})
        told = f"used by {', '.join(names)}" if names else "used by no template"
        answers.append(Preview(row.id, row.name, bool(of_rows[row.id]), told if of_rows[row.id] else "is not mapped"))
    return answers


def _delete(ids: Sequence[Any], form: Any) -> Result:
    count = mapping.delete([int(each) for each in ids])
    return Result(f"{count} mapping{'' if count == 1 else 's'} deleted. The products of the templates that used them are looked at again.")


def _preview_assign(ids: Sequence[Any]) -> list[Preview]:
    mapped = suggest.mapped_rows([int(each) for each in ids])
    return [Preview(row.id, row.name, row.id in mapped, "" if row.id in mapped else "is not mapped yet") for row in _rows(ids)]


def _assign(ids: Sequence[Any], form: Any) -> Result:
    counts = mapping.assign([int(each) for each in form.templates.data], {int(each) for each in ids})
    return Result(assigned_words(counts))


def assigned_words(counts: dict[str, int]) -> str:
    """ "Shirts: 3 attached. Mugs: all that fit were attached already." """
    return " ".join(f"{name}: {count} attached." if count else f"{name}: all that fit were attached already." for name, count in counts.items())


def _preview_suggestions(ids: Sequence[Any]) -> list[Preview]:
    rows = _rows(ids)
    mapped = suggest.mapped_rows([row.id for row in rows])
    answers = []
    for row in rows:
        reason = suggest.why_not(row, row.id in mapped)
        found = suggest.best(row)
        words = reason or (suggestion_words(found) if found else "")
        answers.append(Preview(row.id, row.name, not reason, words))
    return answers


def suggestion_words(found: dict[str, Any]) -> str:
    """ "Color (color), 90 %; 4 values find one of TikTok's, 1 does not" """
    words = f"{found['label']} ({found['magento_attribute']}), {found['confidence']} %"
    if found["values"]:
        words += f"; {len(found['values'])} of {len(found['values']) + len(found['open_options'])} options find a value"
    return words


def _apply_suggestions(ids: Sequence[Any], form: Any) -> Result:
    done, left = suggest.apply([int(each) for each in ids], form.least.data)
    words = f"{_attributes(done)} mapped by suggestion."
    if left:
        words += f" Left as they are: {'; '.join(left[:5])}{f' and {len(left) - 5} more' if len(left) > 5 else ''}."
    return Result(words, tone="success" if done else "warning")


def attributes_grid(assign_form: type[Any], suggestions_form: type[Any]) -> Grid:
    """``assign_form`` has a field ``templates`` (ids), ``suggestions_form`` a field ``least`` (percent)."""
    return Grid(
        key="attributes",
        title="Attributes",
        noun="attribute",
        permission="attributes.read",
        model=CategoryAttribute,
        pk=CategoryAttribute.id,
        joins=(Join(Account, Account.id == CategoryAttribute.account_id),),
        columns=(
            Column(key="id", label="ID", expr=CategoryAttribute.id),
            Column(key="code", label="Code", expr=CategoryAttribute.attribute_id, cell="mono"),
            Column(
                key="name", label="Name", expr=CategoryAttribute.name, cell="attribute_name",
                also={"problem": CategoryAttribute.problem, "removed_at": CategoryAttribute.removed_at},
            ),
            Column(key="type", label="Type", expr=CategoryAttribute.type, labels=TYPES),
            Column(key="required", label="Required", expr=CategoryAttribute.required, cell="plain_yes_no"),
            Column(key="category_dependent", label="Category Dependent", expr=CategoryAttribute.category_dependent, cell="plain_yes_no"),
            Column(key="is_variant", label="Is Variant", expr=CategoryAttribute.is_variant, cell="plain_yes_no"),
            Column(
                key="magento_attribute", label="Magento Attribute", expr=CategoryAttribute.magento_attribute, cell="attribute_source",
                also={"source": CategoryAttribute.source, "suggestions": CategoryAttribute.suggestions, "mappings": _count, "gone": CategoryAttribute.removed_at},
            ),
            Column(key="recommended_value", label="Default Recommended Value", expr=CategoryAttribute.recommended_value, cell="long_text", sort=False),
            Column(key="custom_value", label="Default Custom Value", expr=CategoryAttribute.custom_value, cell="long_text", sort=False),
            Column(key="map_for", label="Actions", expr=CategoryAttribute.id, cell="attribute_actions", sort=False, export=lambda value, row: ""),
            Column(key="categories", label="Categories", expr=CategoryAttribute.categories, cell="json_list", sort=False, default=False),
            Column(key="account", label="Account", expr=Account.title, sort=False, default=False),
            Column(key="problem_words", label="Problem", expr=CategoryAttribute.problem, cell="long_text", sort=False, default=False),
            Column(key="updated_at", label="Updated", expr=CategoryAttribute.updated_at, cell="when", sort=False, default=False),
        ),
        filters=(
            Choices("account", "Account View", CategoryAttribute.account_id, account_choices, pinned=True),
            Choices("category", "Category", _in_category, _category_names),
            Choices("type", "Type", CategoryAttribute.type, TYPES),
            Flag("required", "Required", CategoryAttribute.required.is_(True)),
            Flag("dependent", "Category Dependent", CategoryAttribute.category_dependent.is_(True)),
            Flag("variant", "Is Variant", CategoryAttribute.is_variant.is_(True)),
            Flag("mapped", "Mapped", _is_mapped),
            Flag("suggested", "With a suggestion", type_coerce(CategoryAttribute.suggestions, Text) != "[]"),
        ),
        tabs=(
            Tab("all", "All"),
            Tab("to_map", "Required, not mapped", CategoryAttribute.required.is_(True) & ~_is_mapped, "warning"),
            Tab("mapped", "Mapped", _is_mapped, "success"),
            Tab("problems", "Broken by a refetch", CategoryAttribute.problem != "", "danger"),
            Tab("removed", "Removed by TikTok", CategoryAttribute.removed_at.is_not(None), "neutral"),
        ),
        search=(CategoryAttribute.name, CategoryAttribute.attribute_id, CategoryAttribute.magento_attribute),
        search_hint="Name, code or Magento attribute",
        default_sort="name",
        per_page=50,
        actions=(
            Action(
                key="suggest", label="Apply suggestions", icon="bolt", permission="attributes.write", preview=_preview_suggestions, submit=_apply_suggestions,
                form_class=suggestions_form, row=False, help="Attributes without a mapping get the Magento attribute that is most likely, with the options that find a value.",
            ),
            Action(
                key="assign", label="Assign Attributes", icon="template", permission="attributes.write", preview=_preview_assign, submit=_assign,
                form_class=assign_form, help="The mappings of these attributes are attached to the listing templates you choose, where they fit the template's category.",
            ),
            Action(
                key="delete", label="Delete", icon="trash", permission="attributes.write", danger=True, preview=_preview_delete, submit=_delete,
                help="The mappings are deleted and detached from their templates. The attributes themselves are TikTok's and stay.",
            ),
        ),
        row_label="name",
        row_url=lambda row: url_for("attributes.edit", attribute_id=row["pk"]),
        empty=Empty(
            "No attributes yet",
            "TikTok's attributes are fetched with the first listing template, for its category. Add a template, and they appear here to be mapped.",
            "Add Template",
            "templates.new",
        ),
    )  # fmt: skip

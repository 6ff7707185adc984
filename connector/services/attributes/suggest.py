"""Suggested mappings: worked out beforehand, shown with a confidence, never applied unasked (A124; product.md 5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain.listing_category import CategoryAttribute as Attribute
from connector.domain.suggestions import LEAST, MagentoAttribute, Suggestion, name_similarity, suggest, words
from connector.models.account import Account, StoreReference
from connector.models.listing import CategoryAttribute, MappingRow
from connector.services.attributes import mapping
from connector.services.attributes.merge import Fetched

#: Below it a name alone makes no suggestion.
_WORTH_A_LOOK = LEAST / 100
#: The part of its options that an attribute of another name must share.
_SHARED = 0.3
#: Inputs that hold nothing to be sent as an attribute.
_NOT_VALUES = frozenset(("gallery", "media_image", "tier_price"))


def store_attributes(magento_id: int | None) -> list[MagentoAttribute]:
    """The store's attributes as last imported, by label."""
    if magento_id is None:
        return []
    query = (
        select(StoreReference)
        .where(StoreReference.magento_id == magento_id, StoreReference.kind == "attribute")
        .order_by(StoreReference.label, StoreReference.code)
    )
    rows = [row for row in db.session.scalars(query) if row.data.get("frontend_input") not in _NOT_VALUES]
    return [MagentoAttribute(row.code, row.label, {str(key): str(label) for key, label in (row.data.get("options") or {}).items() if str(key)}) for row in rows]


def recompute(account_id: int, row_ids: Collection[int] | None = None) -> int:
    """Work out the suggestions of an account's attributes (or of some of them) again; how many were written."""
    query = select(CategoryAttribute).where(CategoryAttribute.account_id == account_id, CategoryAttribute.removed_at.is_(None))
    chosen = None if row_ids is None else set(row_ids)
    rows = [row for row in db.session.scalars(query) if chosen is None or row.id in chosen]
    if not rows:
        return 0
    candidates = store_attributes(db.session.scalar(select(Account.magento_id).where(Account.id == account_id)))
    fetched = Fetched.load(db.session(), account_id)
    shortlist = _Shortlist(candidates)
    found = {}
    for row in rows:
        attribute = fetched.offered(row.attribute_id) or _bare(row)
        found[row.id] = _as_dicts(suggest(attribute, shortlist.of(attribute)), candidates)
    db.session.commit()
    written = 0
    with unit_of_work() as session:
        for row in session.scalars(select(CategoryAttribute).where(CategoryAttribute.id.in_(found))):
            if row.suggestions != found[row.id]:
                row.suggestions = found[row.id]
                written += 1
    return written


def recompute_for_store(magento_id: int) -> int:
    """After the store's attributes were imported: for every account that lists from it."""
    account_ids = db.session.scalars(select(Account.id).where(Account.magento_id == magento_id)).all()
    return sum(recompute(account_id) for account_id in account_ids)


def best(row: CategoryAttribute) -> dict[str, Any] | None:
    """The most likely suggestion, or None."""
    return row.suggestions[0] if row.suggestions and row.removed_at is None else None


def why_not(row: CategoryAttribute, mapped: bool, least: int = 0) -> str:
    """Why a row's best suggestion cannot be applied; "" when it can."""
    found = best(row)
    if mapped:
        return "is mapped already"
    if found is None:
        return "has no suggestion: no Magento attribute is alike"
    return f"{found['label']} is only {found['confidence']} % likely" if found["confidence"] < least else ""


def mapped_rows(row_ids: Collection[int]) -> set[int]:
    """Those attributes that have a mapping."""
    return set(db.session.scalars(select(MappingRow.attribute_row_id).where(MappingRow.attribute_row_id.in_(list(row_ids)))))


def apply(row_ids: Iterable[int], least: int) -> tuple[int, list[str]]:
    """Map unmapped attributes by their best suggestion of at least ``least`` percent; how many, and what was left and why."""
    ids = list(row_ids)
    rows = list(db.session.scalars(select(CategoryAttribute).where(CategoryAttribute.id.in_(ids)).order_by(CategoryAttribute.id)))
    mapped = mapped_rows(ids)
    db.session.commit()
    done, left = 0, list[str]()
    for row in rows:
        if reason := why_not(row, row.id in mapped, least):
            left.append(f"{row.name} {reason}")
            continue
        found = row.suggestions[0]
        values = {value["option_id"]: value["value_id"] for value in found["values"]}
        try:
            mapping.save(
                row.id,
                {"source": "magento", "magento_attribute": found["magento_attribute"], "values": values},
                reason=f"Suggestion of {found['confidence']} %",
            )
        except DomainError as error:
            left.append(f"{row.name}: {error.message}")
        else:
            done += 1
    return done, left


class _Shortlist:
    """Which Magento attributes are worth a close look: comparing every value of every pair would take minutes in a big store."""

    def __init__(self, candidates: list[MagentoAttribute]) -> None:
        self._candidates = [(each, _normal(each.options)) for each in candidates]

    def of(self, attribute: Attribute) -> list[MagentoAttribute]:
        """Those of a similar name, and those of whose options a good part are its values to the letter."""
        values = _normal(attribute.values)
        return [each for each, options in self._candidates if (options and len(values & options) >= _SHARED * len(options)) or _alike(attribute.name, each)]


def _normal(names: Mapping[str, str]) -> set[str]:
    return {" ".join(words(name)) for name in names.values()} - {""}


def _alike(name: str, candidate: MagentoAttribute) -> bool:
    return any(name_similarity(name, other) >= _WORTH_A_LOOK for other in (candidate.label, candidate.code.replace("_", " ")))


def _bare(row: CategoryAttribute) -> Attribute:
    return Attribute(id=row.attribute_id, name=row.name, is_sales=row.is_variant, values={value["id"]: value["name"] for value in row.values})


def _as_dicts(found: list[Suggestion], candidates: list[MagentoAttribute]) -> list[dict[str, Any]]:
    labels = {each.code: each.label or each.code for each in candidates}
    return [
        {
            "magento_attribute": each.magento_attribute,
            "label": labels[each.magento_attribute],
            "confidence": each.confidence,
            "reasons": list(each.reasons),
            "values": [
                {"option_id": value.option_id, "option": value.option, "value_id": value.value_id, "value": value.value, "confidence": value.confidence}
                for value in each.values
            ],
            "open_options": list(each.open_options),
        }
        for each in found
    ]

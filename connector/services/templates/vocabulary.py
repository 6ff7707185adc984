"""What a query can ask about, with the words people read: the known fields and the store's attributes (A145)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from connector.core.db import db
from connector.domain.listing import LISTABLE
from connector.domain.query import FIELDS, OPERATOR_LABELS, OPERATORS, Kind
from connector.models.account import StoreReference
from connector.services.templates.querying import CHOSEN, options_in

_KINDS: dict[str, Kind] = {"price": "number", "weight": "number", "date": "date", "datetime": "date", **dict.fromkeys(CHOSEN, "choice")}  # type: ignore[dict-item]
#: Attributes that a field of the same meaning stands for, and those that hold no value worth asking for.
_HIDDEN = frozenset({*FIELDS, "category_ids", "quantity_and_stock_status", "media_gallery", "gallery", "tier_price", "custom_layout_update", "custom_design"})
_FIXED: dict[str, tuple[tuple[str, str], ...]] = {
    "type": tuple((each, each.capitalize()) for each in LISTABLE),
    "status": (("1", "Enabled"), ("2", "Disabled")),
    "visibility": (("4", "Catalog, Search"), ("2", "Catalog"), ("3", "Search"), ("1", "Not Visible Individually")),
}


@dataclass(frozen=True, slots=True)
class Askable:
    """``choices``: (value, label) of what it can be, for fields and attributes with a list of values."""

    code: str
    label: str
    kind: Kind
    choices: tuple[tuple[str, str], ...] = ()
    is_field: bool = False

    @property
    def operators(self) -> list[tuple[str, str]]:
        return [(each, OPERATOR_LABELS[each]) for each in OPERATORS[self.kind]]


def askable(magento_id: int, store_view: str) -> dict[str, Askable]:
    """Everything a query can ask about: the known fields first, then the store's attributes by label."""
    lists = {**_FIXED, "category": _category_choices(magento_id), "attribute_set": _references(magento_id, "attribute_set")}
    found = {code: Askable(code, label, kind, lists.get(code, ()), True) for code, (label, kind) in FIELDS.items()}
    query = select(StoreReference.code, StoreReference.label, StoreReference.data).where(
        StoreReference.magento_id == magento_id, StoreReference.kind == "attribute"
    )
    for code, label, data in sorted(db.session.execute(query), key=lambda row: (str(row.label).casefold(), row.code)):
        if code in _HIDDEN or data.get("input") in ("media_image", "gallery"):
            continue
        options = options_in(data, store_view)
        choices = tuple((label_, label_) for label_ in dict.fromkeys(options[0].values()) if label_.strip()) if options else ()
        found[code] = Askable(code, label or code, _KINDS.get(str(data.get("input")), "text"), choices)
    return found


def attribute_codes(magento_id: int) -> list[tuple[str, str]]:
    """(code, label) of the store's attributes, for fields that name one."""
    return [(code, label) for code, label in _references(magento_id, "attribute")]


def names(magento_id: int) -> dict[str, str]:
    """Labels of the ids that stand in queries for Magento's categories."""
    return dict(_references(magento_id, "category"))


def _category_choices(magento_id: int) -> tuple[tuple[str, str], ...]:
    query = select(StoreReference.code, StoreReference.label, StoreReference.data).where(
        StoreReference.magento_id == magento_id, StoreReference.kind == "category"
    )
    rows = [(row.code, " > ".join(row.data.get("path") or [row.label])) for row in db.session.execute(query)]
    return tuple(sorted(rows, key=lambda row: row[1].casefold()))


def _references(magento_id: int, kind: str) -> tuple[tuple[str, str], ...]:
    query = select(StoreReference.code, StoreReference.label).where(StoreReference.magento_id == magento_id, StoreReference.kind == kind)
    return tuple((code, label or code) for code, label in db.session.execute(query.order_by(StoreReference.label, StoreReference.code)))

"""Storing one page of the catalogue: new and changed products, their differences by store view, and those that are gone. Set-based, no calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import dialect_of
from connector.models.product import Product, ProductView
from connector.services.products import product_rows
from connector.services.products.product_rows import BadProduct

_COMPARED = (
    Product.id, Product.entity_id, Product.sku, Product.name, Product.type_id, Product.status, Product.visibility, Product.attribute_set_id,
    Product.price, Product.weight, Product.category_ids, Product.website_ids, Product.child_ids, Product.data,
)  # fmt: skip

ViewRows = Mapping[str, Mapping[int, Mapping[str, Any]]]  #: store view -> entity id -> Magento's row


@dataclass
class Page:
    """Products behind entity id ``after`` up to ``last``, with how each store view has them. ``left``: products behind it; ``vanished``: entity ids
    that we know in this range and Magento has no more."""

    after: int
    last: int
    final: bool
    left: int
    rows: Sequence[Mapping[str, Any]]
    views: ViewRows
    vanished: list[int] = field(default_factory=list)


@dataclass
class Stored:
    """What became of a page. ``marks``: reason -> our product ids that changed; ``values``: (attribute, value) of what was written;
    ``restructured``: which product is whose child may have changed."""

    seen: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0
    bad: list[tuple[str, str, BadProduct]] = field(default_factory=list)
    marks: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    values: set[tuple[str, Any]] = field(default_factory=set)
    restructured: bool = False

    @property
    def parked(self) -> int:
        return len(self.bad)


def store_page(session: Session, magento_id: int, page: Page, codes: Mapping[str, str]) -> Stored:
    """Write what differs, inside the caller's transaction. ``codes``: attribute id -> code."""
    stored = Stored(seen=len(page.rows))
    read = _read(page, codes, stored)
    known = {row.entity_id: row for row in _known(session, magento_id, read)}
    fresh = {number: columns for number, columns in read.items() if number not in known}
    touched = {number: columns for number, columns in read.items() if number in known and known[number].digest != columns["digest"]}
    changes = _changes(session, touched, known, stored)
    _upsert(session, magento_id, [*fresh.values(), *touched.values()])
    _come_back(session, [row for number, row in known.items() if row.gone_at is not None and number in read], changes, stored)
    _note_time(session, known, {number: columns for number, columns in read.items() if number in known and number not in touched})
    ids = {number: row.id for number, row in known.items()}
    if fresh:
        query = select(Product.entity_id, Product.id).where(Product.magento_id == magento_id, Product.entity_id.in_(fresh))
        ids |= dict(session.execute(query).all())
    _store_views(session, page.views, read, ids, changes, set(fresh), stored)
    for product_id, names in changes.items():
        stored.marks[product_rows.reason(names)].append(product_id)
    stored.new, stored.changed = len(fresh), len(changes)
    stored.restructured |= any(columns["child_ids"] for columns in fresh.values()) or bool(fresh)
    for columns in [*fresh.values(), *touched.values()]:
        stored.values |= {(code, value) for code, value in columns["data"]["values"].items() if isinstance(value, str) and len(value) <= 200}
    _vanish(session, magento_id, page.vanished, stored)
    return stored


def _read(page: Page, codes: Mapping[str, str], stored: Stored) -> dict[int, dict[str, Any]]:
    """Columns by entity id; what cannot be read is noted as bad, and stays as it was."""
    read = {}
    for row in page.rows:
        try:
            columns = product_rows.read_product(row, codes)
            for view, rows in page.views.items():
                if (own := rows.get(columns["entity_id"])) is not None:
                    columns.setdefault("views", {})[view] = product_rows.difference(columns, own)
        except BadProduct as error:
            sku = str(row.get("sku") or "").strip()
            ref = f"product:{row['id']}" if row.get("id") else f"sku:{sku or page.after}"
            stored.bad.append((ref[:120], sku or str(row.get("name") or row.get("id") or "without SKU"), error))
        else:
            read[columns["entity_id"]] = columns
    return read


def _known(session: Session, magento_id: int, numbers: Collection[int]) -> Sequence[Any]:
    if not numbers:
        return []
    columns = (Product.id, Product.entity_id, Product.digest, Product.gone_at, Product.remote_updated_at)
    return session.execute(select(*columns).where(Product.magento_id == magento_id, Product.entity_id.in_(list(numbers)))).all()


def _changes(session: Session, touched: Mapping[int, Mapping[str, Any]], known: Mapping[int, Any], stored: Stored) -> dict[int, list[str]]:
    """Our product id -> attribute codes that changed."""
    if not touched:
        return {}
    changes = {}
    rows = session.execute(select(*_COMPARED).where(Product.id.in_([known[number].id for number in touched]))).mappings()
    for before in rows:
        after = touched[before["entity_id"]]
        changes[before["id"]] = product_rows.changed_codes(before, after)
        stored.restructured |= (before["child_ids"], before["type_id"]) != (after["child_ids"], after["type_id"])
    return changes


def _upsert(session: Session, magento_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Two imports of one store may meet: the later one wins, row by row."""
    if not rows:
        return
    now = utcnow()
    given = [{**{name: value for name, value in row.items() if name != "views"}, "magento_id": magento_id, "changed_at": now, "read_at": now} for row in rows]
    insert = _insert(session)(Product)
    names = [name for name in given[0] if name not in ("magento_id", "entity_id")]
    statement = insert.on_conflict_do_update(index_elements=["magento_id", "entity_id"], set_={name: insert.excluded[name] for name in names})
    session.execute(statement, given)


def _come_back(session: Session, rows: Sequence[Any], changes: dict[int, list[str]], stored: Stored) -> None:
    if rows:
        ids = [row.id for row in rows]
        session.execute(update(Product).where(Product.id.in_(ids)).values(gone_at=None, changed_at=utcnow()).execution_options(synchronize_session=False))
        for product_id in ids:
            changes.setdefault(product_id, []).append("status")
        stored.restructured = True


def _note_time(session: Session, known: Mapping[int, Any], untouched: Mapping[int, Mapping[str, Any]]) -> None:
    """Saved again in Magento without a difference: only the time is kept."""
    later = [
        {"id": known[number].id, "remote_updated_at": columns["remote_updated_at"]}
        for number, columns in untouched.items()
        if columns["remote_updated_at"] != known[number].remote_updated_at
    ]
    if later:
        session.execute(update(Product), later)


def _store_views(
    session: Session,
    views: ViewRows,
    read: Mapping[int, Mapping[str, Any]],
    ids: Mapping[int, int],
    changes: dict[int, list[str]],
    fresh: Collection[int],
    stored: Stored,
) -> None:
    if not views or not read:
        return
    query = select(ProductView).where(ProductView.product_id.in_([ids[number] for number in read]), ProductView.store_view.in_(list(views)))
    rows = {(row.product_id, row.store_view): row for row in session.scalars(query)}
    added, emptied = [], []
    for number, columns in read.items():
        for view, data in columns.get("views", {}).items():
            row = rows.get((ids[number], view))
            if data == (row.data if row else {}):
                continue
            names = product_rows.changed_in_view(row.data if row else {}, data)
            if number not in fresh:
                changes[ids[number]] = list(dict.fromkeys([*changes.get(ids[number], []), *names]))
            stored.values |= {(code, value) for code, value in data.get("values", {}).items() if isinstance(value, str) and len(value) <= 200}
            if not data and row:
                emptied.append(row.id)
            elif row:
                row.data = data
            else:
                added.append({"product_id": ids[number], "store_view": view, "data": data})
    session.flush()
    for row in rows.values():
        session.expunge(row)
    if added:
        insert = _insert(session)(ProductView)
        session.execute(insert.on_conflict_do_update(index_elements=["product_id", "store_view"], set_={"data": insert.excluded.data}), added)
    if emptied:
        session.execute(delete(ProductView).where(ProductView.id.in_(emptied)).execution_options(synchronize_session=False))


def _vanish(session: Session, magento_id: int, numbers: Sequence[int], stored: Stored) -> None:
    for start in range(0, len(numbers), 500):
        part = numbers[start : start + 500]
        query = select(Product.id).where(Product.magento_id == magento_id, Product.entity_id.in_(part), Product.gone_at.is_(None))
        ids = list(session.scalars(query))
        session.execute(update(Product).where(Product.id.in_(ids)).values(gone_at=utcnow()).execution_options(synchronize_session=False))
        stored.marks["Gone from Magento"] += ids
        stored.gone += len(ids)
        stored.restructured = True


def _insert(session: Session) -> Any:
    return dialect_of(session).insert

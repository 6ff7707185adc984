"""Importing Magento's catalogue: whole or by change, in pages, scope ``all`` and every store view in use at once (product.md 5; MAG §2, §4.2; A162-A169).

A page of scope ``all`` is read by keyset (``entity_id`` above the last one), then the same products as each store view has them, while the page
before is being written. A page's rows, its differences by store view, the marks of the listings it concerns and the run's check-point are one
transaction. The cursor moves when the last page is stored. Magento's entity id is a product's identity: its SKU may be renamed, differ from
another's in case only, or be that of a product that is gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from connector.clients.magento import MagentoClient, SearchCriteria
from connector.clients.magento.search import chunks, sku_criteria
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.models.listing import Listing, ListingSku
from connector.models.product import Product, ProductCursor
from connector.services import connections
from connector.services.products import due, product_rows, store_attributes
from connector.services.products.product_writing import Page, Stored, store_page
from connector.services.products.reading import Readers, Unattended
from connector.services.runs import Run

#: Magento does not promise that a product is visible to a search at the very moment of its ``updated_at`` (MAG §4.2.3).
OVERLAP = timedelta(minutes=10)
#: Products of a page. A store with a lower limit says so, and the client keeps to it (MAG §2.4).
PAGE = 200
ALL = "all"


@dataclass
class Imported:
    """What an import found; ``parked``: bad records, left out with their reason."""

    seen: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0
    parked: int = 0

    def add(self, stored: Stored) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(stored, each.name))

    def sentence(self) -> str:
        parts = [f"{self.seen:,} products read", f"{self.new:,} new", f"{self.changed:,} changed"]
        parts += [f"{self.gone:,} gone from Magento"] if self.gone else []
        parts += [f"{self.parked:,} could not be taken in"] if self.parked else []
        return ", ".join(parts) + "."


def import_products(
    magento_id: int,
    store_view: str = ALL,
    *,
    full: bool = False,
    skus: Collection[str] | None = None,
    entity_ids: Collection[int] | None = None,
    run: Run | None = None,
) -> Imported:
    """Read what changed since the last import; everything when ``full``, or when a store view has never been read.

    ``store_view`` is read beside those that accounts use. ``skus``, ``entity_ids``: these only, whatever the cursor says. ``run``: carries check-point, progress and
    parked records; an interrupted import goes on where it stood. Raises ``ApiError`` as the store refuses or is away.
    """
    reader = _Import(magento_id, store_view, run or Unattended())
    if skus is not None or entity_ids is not None:
        return reader.some(list(skus or ()), list(entity_ids or ()))
    return reader.everything(full=full)


class _Import:
    def __init__(self, magento_id: int, store_view: str, run: Run) -> None:
        self.magento_id, self.run = magento_id, run
        views = {*store_attributes.views_in_use(magento_id), store_view} - {ALL, ""}
        known = store_attributes.store_views(magento_id)
        self.views = sorted(views & known) if known else sorted(views)
        self.client: MagentoClient = connections.magento(magento_id)
        self.found = Imported()

    def everything(self, *, full: bool) -> Imported:
        state = self._state(full)
        if not state.get("done"):
            self._walk(state)
        return self.found

    # --- everything, or everything changed

    def _state(self, full: bool) -> dict[str, Any]:
        """Where the reading stands: resumed from the run's check-point, or begun anew."""
        kept = self.run.checkpoint.get("products") or {}
        if kept.get("magento_id") == self.magento_id:
            self.found = Imported(**kept["found"])
            self.views = list(kept["views"])
            return dict(kept)
        cursors = {row.store_view: row for row in db.session.scalars(select(ProductCursor).where(ProductCursor.magento_id == self.magento_id))}
        unread = [view for view in (ALL, *self.views) if view not in cursors or cursors[view].full_at is None]
        since = None if full or unread else min(cursors[view].updated_after or _LONG_AGO for view in (ALL, *self.views))
        end_reading()
        if since is None:
            self.run.progress(stage="Reading attributes, options and categories")
            due_to_labels(self.magento_id, store_attributes.refresh(self.magento_id, self.views))
            self.views = sorted(set(self.views) & store_attributes.store_views(self.magento_id))
            end_reading()
        return {"magento_id": self.magento_id, "since": since and since.isoformat(), "after": 0, "views": self.views, "restructured": False}

    def _walk(self, state: dict[str, Any]) -> None:
        began = utcnow()
        rules = _Rules(self.magento_id)
        end_reading()
        criteria = SearchCriteria()
        if state["since"]:
            since = datetime.fromisoformat(state["since"]) - OVERLAP
            criteria = criteria.where("updated_at", "gteq", since.strftime("%Y-%m-%d %H:%M:%S"))
        missing: dict[str, set[str]] = defaultdict(set)
        for page in self._pages(criteria, state["after"]):
            state.setdefault("started", (began + timedelta(seconds=self.client.clock_offset)).isoformat())
            if not state["since"]:
                page.vanished = self._vanished(page)
            stored = self._store(page, rules, state)
            rules.note_unknown(stored.values, missing)
            self.run.progress(done=self.found.seen, total=self.found.seen + page.left, stage="Reading products")
            if self.run.cancelled:
                return
        if missing:
            due_to_labels(self.magento_id, store_attributes.refresh(self.magento_id, self.views, missing=missing))
        self._finish(state)

    def _pages(self, criteria: SearchCriteria, after: int) -> Iterator[Page]:
        with Readers(1) as readers:
            waiting: Future[Page] | None = readers.start(self._read, criteria, after)
            while waiting is not None:
                page = waiting.result()
                waiting = None if page.final or self.run.cancelled else readers.start(self._read, criteria, page.last)
                yield page

    def _read(self, criteria: SearchCriteria, after: int) -> Page:
        """The next page behind ``after``, as every scope has it."""
        wanted = criteria.where("entity_id", "gt", after).order_by("entity_id").page(1, PAGE)
        found = self.client.products(wanted.only(product_rows.FIELDS))
        ids = [number for row in found.items if (number := product_rows.entity_id(row))]
        if found.items and not ids:
            raise DomainError(
                "products.no_ids", f"Magento gave {len(found.items)} products and none of them has an id.", "Try again; ask the store's developer."
            )
        left = max(0, (found.total_count or 0) - len(found.items))
        final = not found.items or left == 0
        return Page(after, max(ids, default=after), final, left, found.items, self._in_views(ids))

    def _in_views(self, ids: Sequence[int]) -> dict[str, dict[int, Mapping[str, Any]]]:
        """Exactly these products, as each store view has them."""
        found: dict[str, dict[int, Mapping[str, Any]]] = {view: {} for view in self.views}
        for view, rows in found.items():
            rest = list(ids)
            while rest:
                criteria = SearchCriteria().where("entity_id", "in", rest).order_by("entity_id").page(1, len(rest)).only(product_rows.VIEW_FIELDS)
                answer = self.client.products(criteria, store=view)
                rows.update({number: row for row in answer.items if (number := product_rows.entity_id(row))})
                if not answer.items or not answer.page_size or answer.page_size >= len(rest):
                    break
                rest = [number for number in rest if number not in rows]
        return found

    def _vanished(self, page: Page) -> list[int]:
        """Entity ids that we know in the page's range and Magento did not show; asked for once more, so that one odd answer makes nothing gone."""
        query = select(Product.entity_id).where(Product.magento_id == self.magento_id, Product.entity_id > page.after, Product.gone_at.is_(None))
        if not page.final:
            query = query.where(Product.entity_id <= page.last)
        there = {product_rows.entity_id(row) for row in page.rows}
        absent = [number for number in db.session.scalars(query.order_by(Product.entity_id)) if number not in there]
        end_reading()
        for start in range(0, len(absent), PAGE):
            part = absent[start : start + PAGE]
            rows = self.client.products(SearchCriteria().where("entity_id", "in", part).page(1, len(part)).only("items[id],total_count")).items
            there |= {product_rows.entity_id(row) for row in rows}
        return [number for number in absent if number not in there]

    def _store(self, page: Page, rules: _Rules, state: dict[str, Any], *, keep: bool = True) -> Stored:
        moved: dict[str, Any] = {}
        with unit_of_work() as session:
            stored = store_page(session, self.magento_id, page, rules.codes)
            self.found.add(stored)
            for ref, label, error in stored.bad:
                self.run.park(ref, label, error)
            for words, ids in stored.marks.items():
                due.mark(product_ids=ids, content=True, reason=words)
            if keep:
                moved = {"after": page.last, "found": dict(vars(self.found)), "restructured": state["restructured"] or stored.restructured}
                self.run.save_checkpoint(session, products={**state, **moved})
        state.update(moved)
        return stored

    def _finish(self, state: dict[str, Any]) -> None:
        started, now = datetime.fromisoformat(state["started"]), utcnow()
        with unit_of_work() as session:
            if state["restructured"]:
                relate_children(session, self.magento_id)
            for view in (ALL, *self.views):
                cursor = _cursor(session, self.magento_id, view)
                cursor.updated_after = started
                if not state["since"]:
                    cursor.full_at = now
            self.run.save_checkpoint(session, products={**state, "done": True})

    # --- some products

    def some(self, skus: list[str], numbers: list[int]) -> Imported:
        rules, missing = _Rules(self.magento_id), defaultdict[str, set[str]](set)
        end_reading()
        groups: list[tuple[SearchCriteria, list[str]]] = [(sku_criteria(group), group) for group in chunks(skus)]
        groups += [(SearchCriteria().where("entity_id", "in", numbers[start : start + 100]), []) for start in range(0, len(numbers), 100)]
        restructured = False
        for criteria, group in groups:
            rows = self.client.products(criteria.order_by("entity_id").page(1, PAGE).only(product_rows.FIELDS)).items
            ids = [number for row in rows if (number := product_rows.entity_id(row))]
            stored = self._store(Page(0, 0, True, 0, rows, self._in_views(ids)), rules, {}, keep=False)
            restructured |= stored.restructured
            rules.note_unknown(stored.values, missing)
            there = {str(row.get("sku") or "").casefold() for row in rows}
            for sku in group:
                if sku.strip().casefold() not in there:
                    error = DomainError("product.unknown", f"Magento has no product with the SKU {sku}.", "Correct the SKU, or create the product in Magento.")
                    self.found.parked += 1
                    self.run.park(f"sku:{sku}"[:120], sku, error)
            self.run.progress(done=self.found.seen, total=len(skus) + len(numbers), stage="Reading products")
        if missing:
            due_to_labels(self.magento_id, store_attributes.refresh(self.magento_id, self.views, missing=missing))
        if restructured:
            with unit_of_work() as session:
                relate_children(session, self.magento_id)
        return self.found


class _Rules:
    """What a page is read with: attribute codes by id, and the option ids that are known."""

    def __init__(self, magento_id: int) -> None:
        self.codes = store_attributes.attribute_codes(magento_id)
        self._options = store_attributes.known_options(magento_id)

    def note_unknown(self, values: Collection[tuple[str, Any]], missing: dict[str, set[str]]) -> None:
        """Option ids that turn up and that nobody knows: the attributes have to be read again."""
        for code, value in values:
            known = self._options.get(code)
            if known is not None and isinstance(value, str) and value:
                missing_ids = {each for each in value.split(",") if each and each not in known}
                if missing_ids:
                    missing[code] |= missing_ids


_LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


def relate_children(session: Session, magento_id: int) -> None:
    """Set ``is_child`` from what the configurables say, and mark the listings of those for which it changed."""
    there = (Product.magento_id == magento_id, Product.gone_at.is_(None))
    parents = session.scalars(select(Product.child_ids).where(*there, Product.type_id == "configurable").execution_options(yield_per=1000))
    children = {child for ids in parents for child in ids}
    rows = session.execute(select(Product.id, Product.entity_id, Product.is_child).where(Product.magento_id == magento_id).execution_options(yield_per=1000))
    wrong: dict[bool, list[int]] = {True: [], False: []}
    for product_id, number, is_child in rows:
        if is_child != (number in children):
            wrong[not is_child].append(product_id)
    for value, ids in wrong.items():
        for start in range(0, len(ids), 500):
            session.execute(update(Product).where(Product.id.in_(ids[start : start + 500])).values(is_child=value).execution_options(synchronize_session=False))
        if ids:
            due.mark(product_ids=ids, content=True, reason=product_rows.reason(["variants"]))


def due_to_labels(magento_id: int, codes: Collection[str]) -> None:
    """Mark the listings of products that use an attribute whose labels changed."""
    if not codes:
        return
    listed = select(Listing.product_id).union(select(ListingSku.product_id))
    query = select(Product.id, Product.data).where(Product.magento_id == magento_id, Product.id.in_(listed)).execution_options(yield_per=500)
    ids = [number for number, data in db.session.execute(query) if any(data.get("values", {}).get(code) for code in codes)]
    with unit_of_work():
        due.mark(product_ids=ids, content=True, reason=product_rows.reason(f"labels of {code}" for code in sorted(codes)))


def _cursor(session: Session, magento_id: int, view: str) -> ProductCursor:
    row = session.scalar(select(ProductCursor).where(ProductCursor.magento_id == magento_id, ProductCursor.store_view == view))
    if row is None:
        row = ProductCursor(magento_id=magento_id, store_view=view)
        session.add(row)
    return row

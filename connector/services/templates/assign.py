"""Products find their listing template: those that a template's query matches become its listings (A145, A155, A156, Product Assign).

One product, one template in an account. Where queries overlap, a template that overrides comes first, then the template that has the product already,
then the lowest priority number, then the oldest template. What was assigned by hand stays. A product that no query takes any more loses its listing
while it is not on TikTok; one that is on TikTok keeps it and is marked (``Listing.unmatched_at``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import db, dialect_of, in_parts, unit_of_work
from connector.domain.query import Query, plan
from connector.models.listing import NOT_UPLOADED, Listing, ListingSku, ListingTemplate
from connector.models.product import Product
from connector.models.trace import Event
from connector.services import connections, events
from connector.services.products import due
from connector.services.templates.overlapping import Precedence, in_order
from connector.services.templates.querying import Question, Shelf, shelf_of

BY_QUERY = "query"

Guard = Callable[[Session], None]
Progress = Callable[[int, int], None]

#: Products looked at in one transaction.
_CHUNK = 5_000
CONFIGURABLE = "configurable"
_REASON = "Assigned to a listing template"


@dataclass(slots=True)
class Assigned:
    """``new``: products that became listings; ``moved``: from another template; ``released``: no longer match and were not on TikTok; ``lapsed``: no longer
    match but stand on TikTok; ``matched_again``; ``held``: variants that a parent's listing holds; ``overlapping``: products that several templates match."""

    looked_at: int = 0
    new: int = 0
    moved: int = 0
    released: int = 0
    lapsed: int = 0
    matched_again: int = 0
    held: int = 0
    overlapping: int = 0
    by_template: dict[str, int] = field(default_factory=dict)

    def sentence(self) -> str:
        parts = [
            f"{count:,} {words}"
            for count, words in (
                (self.moved, "moved to another template"),
                (self.released, "no longer match and were unassigned"),
                (self.lapsed, "no longer match but stay, because they are on TikTok"),
                (self.matched_again, "match again"),
                (self.overlapping, "match several templates"),
            )
            if count
        ]
        first = f"{self.new:,} {'product was' if self.new == 1 else 'products were'} assigned" if self.new else "No new product to assign"
        return "; ".join([first, *parts]) + "."


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    product_id: int
    template_id: int | None
    assigned_by: str
    unmatched_at: datetime | None
    on_tiktok: bool


@dataclass(slots=True)
class _Changes:
    new: list[tuple[int, int]] = field(default_factory=list)  #: (product, template)
    moved: list[tuple[_Row, int]] = field(default_factory=list)
    released: list[_Row] = field(default_factory=list)
    lapsed: list[_Row] = field(default_factory=list)
    again: list[_Row] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.moved or self.released or self.lapsed or self.again)


def assign(account_id: int, template_id: int | None = None, *, guard: Guard | None = None, progress: Progress | None = None) -> Assigned:
    """Give the account's products to its enabled templates. With ``template_id`` only that template gains and loses products.

    Goes through the catalogue in chunks, a transaction each (``guard`` is called inside it, before it commits), configurables first: their variants are
    not listed on their own while a parent holds them. Safe to repeat and to break off.
    """
    account = connections.account_of(account_id)
    now, shelf, templates = utcnow(), shelf_of(account), in_order(account_id)
    total = db.session.scalar(select(func.count()).select_from(Product).where(Product.magento_id == shelf.magento_id)) or 0
    work = _Work(account_id, shelf, templates, now, only=template_id)
    for parents in (True, False):
        held = frozenset() if parents else _held(account_id)
        for low, high in _ranges(shelf.magento_id, parents):
            changes = work.look(low, high, parents, held)
            if changes or guard is not None:
                with unit_of_work() as session:
                    if guard is not None:
                        guard(session)
                    work.write(session, changes)
            if progress is not None:
                progress(work.result.looked_at, total)
    work.say_new()
    return work.result


class _Work:
    def __init__(self, account_id: int, shelf: Shelf, templates: Sequence[ListingTemplate], now: datetime, *, only: int | None) -> None:
        self.account_id, self.only, self.now = account_id, only, now
        self.names = {each.id: each.name for each in templates}
        self.precedence = Precedence(templates)
        enabled = [each for each in templates if each.enabled]
        self.plans = {each.id: plan(Query.model_validate(each.query or {}), now) for each in enabled}
        self.question = Question(shelf)
        self.result = Assigned()
        self.started_new: dict[int, int] = defaultdict(int)

    def look(self, low: int, high: int, parents: bool, held: Collection[int]) -> _Changes:
        """What is to change for the products with ids in [low, high]; reads only."""
        kind = Product.type_id == CONFIGURABLE if parents else Product.type_id != CONFIGURABLE
        here = (Product.id >= low, Product.id <= high, kind)
        matched: dict[int, list[int]] = defaultdict(list)  # in the order of the templates
        for key, wanted in self.plans.items():
            if wanted.clauses:
                for product_id in db.session.scalars(self.question.matching(wanted, *here)):
                    matched[product_id].append(key)
        if held and not parents:
            for product_id, entity_id in db.session.execute(
                select(Product.id, Product.entity_id).where(*here, Product.is_child, Product.magento_id == self.question.shelf.magento_id)
            ):
                if entity_id in held and product_id in matched:
                    self.result.held += 1
                    del matched[product_id]
        self.result.looked_at += (
            db.session.scalar(select(func.count()).select_from(Product).where(*here, Product.magento_id == self.question.shelf.magento_id)) or 0
        )
        changes = self._decide(matched, self._rows(here))
        db.session.commit()
        return changes

    def _rows(self, here: Sequence[Any]) -> dict[int, _Row]:
        on_tiktok = or_(
            Listing.tiktok_id.is_not(None),
            Listing.upload_key != "",
            Listing.marketplace_state != NOT_UPLOADED,
            func.coalesce(Listing.busy_until > self.now, False),
        )
        query = select(Listing.id, Listing.product_id, Listing.template_id, Listing.assigned_by, Listing.unmatched_at, on_tiktok)
        rows = db.session.execute(query.join(Product, Product.id == Listing.product_id).where(Listing.account_id == self.account_id, *here))
        return {row.product_id: row for row in (_Row(*each[:5], bool(each[5])) for each in rows)}

    def _decide(self, matched: Mapping[int, list[int]], rows: Mapping[int, _Row]) -> _Changes:
        changes, counts = _Changes(), self.result
        for product_id, choices in matched.items():
            counts.overlapping += len(choices) > 1
            row = rows.get(product_id)
            if row is None:
                if self.only in (None, choices[0]):
                    changes.new.append((product_id, choices[0]))
                continue
            if row.assigned_by != BY_QUERY and row.template_id is not None:
                continue
            winner = self.precedence.winner(choices, row.template_id)
            if winner != row.template_id and self.only in (None, winner, row.template_id):
                changes.moved.append((row, winner))
            elif row.unmatched_at is not None:
                changes.again.append(row)
        for product_id, row in rows.items():
            if product_id in matched or row.assigned_by != BY_QUERY or row.template_id in self.precedence.disabled:
                continue
            if self.only is not None and row.template_id != self.only:
                continue
            if not row.on_tiktok:
                changes.released.append(row)
            elif row.unmatched_at is None and row.template_id is not None:
                changes.lapsed.append(row)
        return changes

    def write(self, session: Session, changes: _Changes) -> None:
        """Make the changes, in the caller's transaction; what changed meanwhile is left for the next time."""
        added = self._insert(session, changes.new)
        moved = defaultdict(list)
        for row, winner in changes.moved:
            moved[winner].append(row)
        touched: list[int] = []
        for winner, rows in moved.items():
            for part in in_parts([row.id for row in rows]):
                session.execute(update(Listing).where(Listing.id.in_(part)).values(template_id=winner, unmatched_at=None), execution_options=_PLAIN)
            touched += [row.id for row in rows]
        for part in in_parts([row.id for row in changes.released]):
            gone = (Listing.id.in_(part), Listing.tiktok_id.is_(None), Listing.upload_key == "", Listing.assigned_by == BY_QUERY)
            session.execute(delete(ListingSku).where(ListingSku.listing_id.in_(select(Listing.id).where(*gone))), execution_options=_PLAIN)
            session.execute(delete(Listing).where(*gone), execution_options=_PLAIN)
        for rows_, value in ((changes.lapsed, self.now), (changes.again, None)):
            for part in in_parts([row.id for row in rows_]):
                session.execute(update(Listing).where(Listing.id.in_(part)).values(unmatched_at=value), execution_options=_PLAIN)
        if touched:
            due.mark(reason=_REASON, content=True, listing_ids=touched)
        self._trace(session, changes)
        counts = self.result
        counts.new += added
        counts.moved += len(changes.moved)
        counts.released += len(changes.released)
        counts.lapsed += len(changes.lapsed)
        counts.matched_again += len(changes.again)

    def _insert(self, session: Session, chosen: Sequence[tuple[int, int]]) -> int:
        """Make listings of (product, template) pairs; how many are new. One that somebody else has just made stays his. Due from the start."""
        dialect = dialect_of(session)
        by_template = defaultdict(list)
        for product_id, template_id in chosen:
            by_template[template_id].append(product_id)
        total = 0
        for template_id, product_ids in by_template.items():
            values = {
                "account_id": self.account_id,
                "template_id": template_id,
                "assigned_by": BY_QUERY,
                "due_at": utcnow() + due.DEBOUNCE,
                "due_reason": _REASON,
                "content_due": True,
            }
            columns = [literal(value, Listing.__table__.c[name].type) for name, value in values.items()]
            for part in in_parts(product_ids):
                rows = select(Product.id, *columns).where(Product.id.in_(part))
                statement = dialect.insert(Listing.__table__).from_select(["product_id", *values], rows)
                added = session.execute(
                    statement.on_conflict_do_nothing(index_elements=["account_id", "product_id"]), execution_options={"preserve_rowcount": True}
                ).rowcount
                self.started_new[template_id] += added
                total += added
        return total

    def _trace(self, session: Session, changes: _Changes) -> None:
        """One event for each listing that changes hands (product rule 8); new ones are told by their template."""
        told = [
            *((row, "listing.moved", f"Moved to the listing template {self.names[winner]}.", winner) for row, winner in changes.moved),
            *((row, "listing.unassigned", "No listing template's query matches the product any more; it was not on TikTok.", None) for row in changes.released),
            *(
                (row, "listing.unmatched", "The template's query no longer matches the product; it stays, because it is on TikTok.", row.template_id)
                for row in changes.lapsed
            ),
            *((row, "listing.matched", "The template's query matches the product again.", row.template_id) for row in changes.again),
        ]
        rows = [
            {
                "kind": kind,
                "subject_type": "listing",
                "subject_id": str(row.id),
                "message": message,
                "account_id": self.account_id,
                "before": {"template": self.names.get(row.template_id or 0)},
                "after": {"template": self.names.get(after or 0)},
                "reason": "Product Assign",
                "actor": events.actor_now.get(),
                "run_id": events.run_now.get(),
            }
            for row, kind, message, after in told
        ]
        if rows:
            session.execute(insert(Event), rows)

    def say_new(self) -> None:
        """Tell each template what it gained."""
        self.result.by_template = {self.names[key]: count for key, count in self.started_new.items()}
        if self.started_new:
            with unit_of_work():
                for key, count in self.started_new.items():
                    words = f"{count:,} {'product was' if count == 1 else 'products were'} assigned by the query of {self.names[key]}."
                    events.record("template.assigned", "template", key, words, account_id=self.account_id, reason="Product Assign")


_PLAIN: dict[str, Any] = {"synchronize_session": False}


def _held(account_id: int) -> frozenset[int]:
    """Magento's ids of the variants of every configurable that has a listing in the account."""
    held: set[int] = set()
    query = select(Product.child_ids).join(Listing, Listing.product_id == Product.id).where(Listing.account_id == account_id, Product.type_id == CONFIGURABLE)
    for (children,) in db.session.execute(query.execution_options(yield_per=1000)):
        held.update(children or ())
    return frozenset(held)


def _ranges(magento_id: int, parents: bool) -> Iterator[tuple[int, int]]:
    """(first, last) product id of each chunk."""
    last = 0
    kind = Product.type_id == CONFIGURABLE if parents else Product.type_id != CONFIGURABLE
    while True:
        ids = select(Product.id).where(Product.magento_id == magento_id, Product.id > last, kind).order_by(Product.id).limit(_CHUNK).subquery()
        low, high = db.session.execute(select(func.min(ids.c.id), func.max(ids.c.id))).one()
        if low is None:
            return
        yield low, high
        last = high

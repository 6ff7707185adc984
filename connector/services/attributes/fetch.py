"""Attributes and rules of TikTok's leaf categories: fetched on demand, fetched again, compared with the last time (A123, A127; TTS §5.3.4, §5.3.5)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from connector.clients.errors import ApiError
from connector.clients.tiktok import TikTokClient
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain.attribute_mapping import AttributeMapping
from connector.domain.category_changes import MAY_BREAK, STOPPING, Change, compare
from connector.domain.listing_category import CategoryFacts
from connector.domain.listing_limits import limits
from connector.models.account import Account, ShopReference
from connector.models.listing import Listing, ListingCategory, ListingTemplate, MappingRow, TemplateMapping
from connector.models.run import JobItem
from connector.models.trace import Event
from connector.services import accounts, connections, events, runs
from connector.services.attributes import mapping, suggest
from connector.services.attributes.merge import Fetched, facts_of, merge, misfit
from connector.services.products import due

#: TTS §5.3.2: the tree is kept for hours, not weeks.
TREE_KEPT = timedelta(hours=6)
SUBJECT = "listing_category"  #: of the events of fetched categories
Guard = Callable[[Session], None]


@dataclass(frozen=True)
class Reading:
    """What came of fetching one category. ``products``: how many listings a change can stop."""

    category_id: str
    name: str
    new: bool
    changes: tuple[Change, ...] = ()
    products: int = 0

    def sentence(self) -> str:
        if self.new:
            return "Fetched."
        if not self.changes:
            return "Nothing changed."
        words = f"{len(self.changes)} change{'' if len(self.changes) == 1 else 's'}"
        return f"{words}; {breaks(self.products)}." if self.products else f"{words}; no product is affected."


def breaks(products: int) -> str:
    """ "breaks 3 products" """
    return f"breaks {products} product{'' if products == 1 else 's'}"


# --- asked by others ------------------------------------------------------------------------------------------------------------------------


def category_facts(account_id: int, category_id: str) -> CategoryFacts:
    """What is known of a category, from the database; ``exists`` False when it was never fetched or TikTok has it no more."""
    return categories_facts(account_id, [category_id])[category_id]


def categories_facts(account_id: int, category_ids: Collection[str]) -> dict[str, CategoryFacts]:
    """``category_facts`` of many, in one query."""
    wanted = list(dict.fromkeys(category_ids))
    rows = db.session.scalars(select(ListingCategory).where(ListingCategory.account_id == account_id, ListingCategory.category_id.in_(wanted)))
    known = {row.category_id: facts_of(row) for row in rows}
    return {key: known.get(key) or CategoryFacts(id=key, exists=False) for key in wanted}


def ensure(account_id: int, category_ids: Collection[str]) -> None:
    """Fetch those categories that are not there yet, over HTTP. A failing one does not stop the others.

    Raises the first failure at the end: ``DomainError`` attributes.no_category or attributes.not_leaf, or the client's ``ApiError``.
    """
    known = set(
        db.session.scalars(select(ListingCategory.category_id).where(ListingCategory.account_id == account_id, ListingCategory.category_id.in_(category_ids)))
    )
    missing = [key for key in dict.fromkeys(category_ids) if key not in known]
    end_reading()
    if not missing:
        return
    reader, failures = Reader(account_id, fresh=False), list[Exception]()
    for category_id in missing:
        try:
            reader.read(category_id)
        except (DomainError, ApiError) as error:
            failures.append(error)
    if len(failures) < len(missing):
        finish(account_id)
    if failures:
        raise failures[0]


def refetch(account_id: int, category_ids: Collection[str] | None = None) -> list[Reading]:
    """Fetch chosen categories again, or all; the work of the run ``attributes.refetch`` in one go. Raises the first failure at the end, as ``ensure``."""
    reader, readings, failures = Reader(account_id), list[Reading](), list[Exception]()
    for category_id, _ in wanted(account_id, category_ids):
        try:
            readings.append(reader.read(category_id))
        except (DomainError, ApiError) as error:
            failures.append(error)
    finish(account_id, forget=not category_ids)
    if failures:
        raise failures[0]
    return readings


def submit_refetch(account_id: int, category_ids: Collection[str] = (), *, started_by: str) -> runs.Submitted:
    """Refetch Attributes (A127); no categories: all of the account's."""
    items = wanted(account_id, category_ids or None)
    if not items:
        raise DomainError(
            "attributes.nothing_to_fetch",
            "No listing template of this account has a category yet.",
            "Add a listing template first: its category's attributes are fetched with it.",
        )
    title = f"Refetch attributes of {len(items)} {'category' if len(items) == 1 else 'categories'}"
    return runs.submit(
        "attributes.refetch",
        account_id=account_id,
        args={"all": not category_ids},
        items=items,
        key=f"attributes.refetch:{account_id}",
        title=title,
        started_by=started_by,
    )


def wanted(account_id: int, category_ids: Collection[str] | None = None) -> list[tuple[str, str]]:
    """(category id, name) of the account's categories that are used by templates or were asked for; the chosen ones where some are."""
    used = select(ListingTemplate.category_id, ListingTemplate.category_path).where(ListingTemplate.account_id == account_id).order_by(ListingTemplate.id)
    found = {key: path.rsplit(" > ", 1)[-1] for key, path in db.session.execute(used)}
    fetched = select(ListingCategory.category_id, ListingCategory.name).where(ListingCategory.account_id == account_id)
    known = {key: name for key, name in db.session.execute(fetched) if name}
    end_reading()
    if category_ids:
        return [(key, known.get(key) or found.get(key) or key) for key in dict.fromkeys(category_ids)]
    return [(key, known.get(key) or name or key) for key, name in found.items()]


def finish(account_id: int, *, forget: bool = False, guard: Guard | None = None) -> int:
    """After categories were read: the grid's rows, then their suggestions; how many attributes there are. ``forget``: drop categories of no template."""
    with unit_of_work() as session:
        if guard is not None:
            guard(session)
        if forget:
            used = select(ListingTemplate.category_id).where(ListingTemplate.account_id == account_id)
            session.execute(delete(ListingCategory).where(ListingCategory.account_id == account_id, ListingCategory.category_id.not_in(used)))
        changed = merge(session, account_id)
    suggest.recompute(account_id, changed)
    return len(changed)


# --- reading one category -------------------------------------------------------------------------------------------------------------------


class Reader:
    """Reads categories of one account; the tree is asked for once. ``fresh`` False: the onboarding data's tree will do while it is young."""

    def __init__(self, account_id: int, *, fresh: bool = True) -> None:
        account = accounts.get(account_id)
        self.account_id, self.locale, self.version = account_id, account.locale, limits(account.country).tree
        self._nodes: dict[str, dict[str, Any]] | None = None
        self._fresh = fresh

    def read(self, category_id: str, guard: Guard | None = None) -> Reading:
        """Fetch, store and compare one category. A new one that the tree does not have, or that is no leaf, is refused."""
        client = connections.tiktok(self.account_id)
        known = self._is_stored(category_id)
        end_reading()
        node = self._node(client, category_id)
        if not known and (node is None or not node.get("is_leaf", True)):
            raise _refusal(category_id, node)
        attributes, rules = None, None
        if node is not None and node.get("is_leaf", True):
            version = self.version or None
            attributes = client.category_attributes(category_id, version=version, locale=self.locale)
            rules = client.category_rules(category_id, version=version, locale=self.locale)
        return self._record(category_id, node, attributes, rules, guard)

    def _is_stored(self, category_id: str) -> bool:
        query = select(ListingCategory.id).where(ListingCategory.account_id == self.account_id, ListingCategory.category_id == category_id)
        return db.session.scalar(query) is not None

    def _node(self, client: TikTokClient, category_id: str) -> dict[str, Any] | None:
        if not self._fresh:
            # an import writes only what has changed, so the age of the others is that of the import
            young = (
                select(ShopReference.data)
                .join(Account, Account.id == ShopReference.account_id)
                .where(
                    ShopReference.account_id == self.account_id,
                    ShopReference.kind == "category",
                    ShopReference.remote_id == category_id,
                    or_(ShopReference.fetched_at > utcnow() - TREE_KEPT, Account.onboarded_at > utcnow() - TREE_KEPT),
                )
            )
            kept = db.session.scalar(young)
            end_reading()
            if kept:
                return dict(kept)
        if self._nodes is None:
            self._nodes = {str(node["id"]): node for node in client.categories(version=self.version or None, locale=self.locale)}
        return self._nodes.get(category_id)

    def _record(
        self, category_id: str, node: dict[str, Any] | None, attributes: list[dict[str, Any]] | None, rules: dict[str, Any] | None, guard: Guard | None
    ) -> Reading:
        with unit_of_work() as session:
            if guard is not None:
                guard(session)
            row = session.scalar(
                select(ListingCategory)
                .where(ListingCategory.account_id == self.account_id, ListingCategory.category_id == category_id)
                .execution_options(populate_existing=True)
            )
            before = facts_of(row) if row is not None else None
            if row is None:
                row = ListingCategory(account_id=self.account_id, category_id=category_id, changes=[], attributes=[], rules={})
                session.add(row)
            row.node, row.version, row.fetched_at = node or {}, self.version, utcnow()
            row.name = str((node or {}).get("local_name") or row.name or "")[:300]
            if attributes is not None:  # of a category that is gone, the last known ones stay, and with them what is mapped
                row.attributes, row.rules = attributes, rules or {}
            session.flush()
            if before is None:
                events.record("attributes.fetched", SUBJECT, row.id, f"{row.name}: {len(row.attributes)} attributes fetched", account_id=self.account_id)
                return Reading(category_id, row.name, True)
            changes = compare(before, facts_of(row))
            if not changes:
                return Reading(category_id, row.name, False)
            return self._changed(session, row, changes)

    def _changed(self, session: Session, row: ListingCategory, changes: list[Change]) -> Reading:
        kept, broken = list[dict[str, Any]](), set[int]()
        row.changes, row.changed_at = [each.as_dict() for each in changes], utcnow()
        session.flush()
        templates = _Templates(session, self.account_id, row.category_id)
        for change in changes:
            stopped = templates.stopped_by(change)
            broken |= stopped
            kept.append({**change.as_dict(), "products": templates.products(stopped)})
        row.changes = kept
        if templates.ids:
            due.mark(reason=f"TikTok changed the category {row.name}", content=True, template_ids=templates.ids)
        products = templates.products(broken)
        words = f"{row.name or row.category_id}: {' '.join(change.words for change in changes)}"
        events.record("attributes.changed", SUBJECT, row.id, words, account_id=self.account_id, after={"changes": kept, "products": products})
        return Reading(row.category_id, row.name, False, tuple(changes), products)


class _Templates:
    """The templates of a category, with their mappings and products."""

    def __init__(self, session: Session, account_id: int, category_id: str) -> None:
        of_category = select(ListingTemplate.id).where(ListingTemplate.account_id == account_id, ListingTemplate.category_id == category_id)
        self.ids = list(session.scalars(of_category))
        counted = select(Listing.template_id, func.count()).where(Listing.template_id.in_(self.ids)).group_by(Listing.template_id)
        self._counts: dict[int | None, int] = dict(session.execute(counted).all()) if self.ids else {}
        attached = select(TemplateMapping.template_id, MappingRow.body).join(MappingRow, MappingRow.id == TemplateMapping.mapping_id)
        rows: Iterable[Any] = session.execute(attached.where(TemplateMapping.template_id.in_(self.ids))) if self.ids else ()
        bodies = [(template_id, AttributeMapping.model_validate(body)) for template_id, body in rows]
        self._mappings = [(template_id, body) for template_id, body in bodies if body.applies_to(category_id)]
        self._fetched = Fetched.load(session, account_id)

    def stopped_by(self, change: Change) -> set[int]:
        """Templates whose products cannot be listed any more, as far as can be told without looking at each product."""
        if change.what in STOPPING:
            return set(self.ids)
        if change.what not in MAY_BREAK:
            return set()
        mine = [(template_id, each) for template_id, each in self._mappings if each.attribute_id == change.attribute_id]
        if change.what == "required":
            return set(self.ids) - {template_id for template_id, _ in mine}
        return {template_id for template_id, each in mine if misfit(each, self._fetched)}

    def products(self, template_ids: Collection[int]) -> int:
        return sum(self._counts.get(each, 0) for each in template_ids)


def _refusal(category_id: str, node: dict[str, Any] | None) -> DomainError:
    if node is None:
        return DomainError("attributes.no_category", f"TikTok's tree has no category {category_id}.", "Choose another category.", field="category")
    return DomainError(
        "attributes.not_leaf",
        f"{node.get('local_name')} ({category_id}) has subcategories, and TikTok lists in the lowest ones only.",
        "Choose one of its subcategories.",
        field="category",
    )


def changes_of(run_id: int | None = None, limit: int = 100) -> list[Event]:
    """What fetches found changed, newest first: of one run, or the last ones. ``after``: ``{"changes": [...], "products": n}``."""
    query = select(Event).where(Event.subject_type == SUBJECT, Event.kind == "attributes.changed").order_by(Event.id.desc()).limit(limit)
    return list(db.session.scalars(query if run_id is None else query.where(Event.run_id == run_id)))


def attach_new(run_id: int) -> int:
    """Attach the fitting mappings to the templates whose category this run has fetched for the first time; how many."""
    first = select(Event.subject_id).where(Event.subject_type == SUBJECT, Event.kind == "attributes.fetched", Event.run_id == run_id)
    rows = [int(each) for each in db.session.scalars(first)]
    query = select(ListingTemplate).join(
        ListingCategory, (ListingCategory.account_id == ListingTemplate.account_id) & (ListingCategory.category_id == ListingTemplate.category_id)
    )
    templates = db.session.scalars(query.where(ListingCategory.id.in_(rows))).all() if rows else []
    return sum(mapping.attach_matching(template) for template in templates)


def failed_items(run_id: int) -> list[JobItem]:
    """Categories that could not be fetched, with the reason."""
    return list(db.session.scalars(select(JobItem).where(JobItem.run_id == run_id, JobItem.state == "failed").order_by(JobItem.id)))


def accounts_with_templates() -> list[Account]:
    """Accounts that have something to fetch, by title."""
    return list(db.session.scalars(select(Account).where(Account.id.in_(select(ListingTemplate.account_id))).order_by(Account.title)))

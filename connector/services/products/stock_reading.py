"""Reading Magento's stock for one website, in bulk (MAG §4.3; A086-A088).

With MSI: the website's salable quantity and the source items of its stock, 100 products a call (MAG §2.1). Asked by product id and driven by our own list
of products, because the answer leaves out what is not in the stock and its ``total_count`` is the page's (MAG §4.3.4).
Without MSI: one stock item a SKU, as many at once as the store allows. Only rows that differ are written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from connector.clients import errors as api
from connector.clients.errors import NotFound
from connector.clients.magento import MagentoClient
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain.stock import whole
from connector.models.account import Account, MagentoConnection, StoreReference
from connector.models.product import Product, ProductCursor, ProductStock
from connector.services import connections
from connector.services.products import due
from connector.services.products.reading import Readers, Unattended
from connector.services.runs import Run

#: Types that have stock of their own; the others are sold by their children.
STOCKED = ("simple", "virtual", "downloadable", "giftcard")
#: Products of a group: three calls for salable quantities (worked out per SKU, so 100 a call) and three for source items (100 SKUs fit a URL).
GROUP = 300
_SALABLE = 100
REASON = "Magento stock changed"
_FIELDS = ("manages_stock", "in_stock", "quantity", "salable", "sources")
_LIMIT = 2**31 - 1


@dataclass
class StockRead:
    """``read``: products asked for; ``changed``: those whose stock differs from what was known; ``parked``: unreadable, left as they were."""

    read: int = 0
    changed: int = 0
    parked: int = 0

    def sentence(self) -> str:
        parked = f", {self.parked:,} could not be read" if self.parked else ""
        return f"Stock of {self.read:,} products read, {self.changed:,} changed{parked}."


@dataclass(frozen=True, slots=True)
class _Item:
    product_id: int
    entity_id: int
    sku: str


@dataclass(frozen=True)
class _Plan:
    """How this website's stock is read: with MSI the codes of the enabled sources behind it, without it None."""

    website: str
    sources: tuple[str, ...] | None


@dataclass
class _Group:
    """``asked_at``: before the first call, so that whatever happened in Magento since may be missing in the figures."""

    items: list[_Item]
    asked_at: datetime = field(default_factory=utcnow)
    levels: dict[int, dict[str, Any]] = field(default_factory=dict)
    failed: list[tuple[_Item, Exception]] = field(default_factory=list)


def read_stock(magento_id: int, website_code: str, *, product_ids: Collection[int] | None = None, run: Run | None = None) -> StockRead:
    """Read the stock of all products, or of these (a configurable stands for its children), and mark the listings of what changed.

    A whole reading notes its end in the cursor (``stock_at``). Raises ``DomainError`` when the website has no stock, ``ApiError`` as the store refuses.
    """
    run = run or Unattended()
    client, slots = connections.magento(magento_id), _slots(magento_id)
    primary = primary_website(magento_id) in (None, website_code)
    kept = run.checkpoint.get("stock") or {}
    resumed = kept if kept.get("website") == website_code and product_ids is None else {}
    found = StockRead(**resumed.get("found", {}))
    if resumed.get("done"):
        return found
    total = _count(magento_id, product_ids)
    end_reading()
    plan = _plan(client, website_code)
    with Readers(slots) as readers, Readers(2) as planners:

        def read(items: list[_Item]) -> _Group:
            return _read_group(client, plan, items, readers)

        for group in planners.ahead(read, _groups(magento_id, product_ids, int(resumed.get("after", 0)), plan)):
            with unit_of_work() as session:
                changed = _store(session, group, website_code, primary)
                if changed:
                    due.mark(product_ids=changed, content=False, reason=REASON)
                found.read += len(group.items)
                found.changed += len(changed)
                for item, error in group.failed:
                    found.parked += 1
                    run.park(f"stock:{item.product_id}", item.sku, error)
                if product_ids is None:
                    state = {"website": website_code, "after": group.items[-1].entity_id, "found": dict(vars(found))}
                    run.save_checkpoint(session, stock=state)
            run.progress(done=found.read, total=max(total, found.read), stage="Reading stock")
            if run.cancelled:
                return found
    if product_ids is None:
        _finish(magento_id, website_code, run, found)
    return found


def primary_website(magento_id: int) -> str | None:
    """The website whose figure the grids show: that of the store's first account; None when no account says."""
    query = select(Account.store_view).where(Account.magento_id == magento_id).order_by(Account.id).limit(1)
    view = db.session.scalar(query)
    return None if view is None else website_of(magento_id, view)


def website_of(magento_id: int, store_view: str) -> str | None:
    """A store view's website; for ``all`` the first one, as orders have it. None while the store has not been read."""
    query = select(StoreReference).where(StoreReference.magento_id == magento_id, StoreReference.kind.in_(("store_view", "website")))
    rows = list(db.session.scalars(query))
    websites = {int(row.data["id"]): row.code for row in rows if row.kind == "website" and row.data.get("id") is not None}
    if store_view in ("", "all"):
        return websites[min(websites)] if websites else None
    view = next((row for row in rows if row.kind == "store_view" and row.code == store_view), None)
    return websites.get(int(view.data.get("website_id") or 0)) if view else None


# --- what to ask --------------------------------------------------------------------------------------------------------------------------


def _plan(client: MagentoClient, website_code: str) -> _Plan:
    try:
        stock = client.stock_for_website(website_code)
    except NotFound as error:
        if error.code == "mag.route_unknown":
            return _Plan(website_code, None)
        raise DomainError(
            "stock.none", f"Website {website_code} has no stock in Magento: {error}", "Assign a stock to the website under Stores > Stocks."
        ) from error
    linked = [str(link["source_code"]) for link in client.stock_source_links() if str(link["stock_id"]) == str(stock["stock_id"])]
    enabled = {str(source["source_code"]) for source in client.sources() if source.get("enabled")}
    return _Plan(website_code, tuple(code for code in linked if code in enabled))


def _groups(magento_id: int, product_ids: Collection[int] | None, after: int, plan: _Plan) -> Iterator[list[_Item]]:
    """Groups of products in the order of their entity ids; a short query for each, so that none stays open during a call."""
    columns = (Product.id, Product.entity_id, Product.sku)
    stocked = (Product.magento_id == magento_id, Product.type_id.in_(STOCKED), Product.gone_at.is_(None))
    if product_ids is not None:
        wanted = sorted(_with_children(magento_id, product_ids))
        for start in range(0, len(wanted), GROUP):
            rows = db.session.execute(select(*columns).where(*stocked, Product.id.in_(wanted[start : start + GROUP])).order_by(Product.entity_id)).all()
            end_reading()
            if rows:
                yield [_Item(*row) for row in rows]
        return
    while True:
        rows = db.session.execute(select(*columns).where(*stocked, Product.entity_id > after).order_by(Product.entity_id).limit(GROUP)).all()
        end_reading()
        if not rows:
            return
        after = rows[-1].entity_id
        yield [_Item(*row) for row in rows]


def _with_children(magento_id: int, product_ids: Collection[int]) -> set[int]:
    wanted = set(product_ids)
    listed = sorted(wanted)
    for start in range(0, len(listed), 500):
        parents = select(Product.child_ids).where(Product.id.in_(listed[start : start + 500]), Product.type_id == "configurable")
        children = sorted({child for ids in db.session.scalars(parents) for child in ids})
        for place in range(0, len(children), 500):
            wanted |= set(db.session.scalars(select(Product.id).where(Product.magento_id == magento_id, Product.entity_id.in_(children[place : place + 500]))))
    return wanted


def _count(magento_id: int, product_ids: Collection[int] | None) -> int:
    if product_ids is not None:
        return len(product_ids)
    query = select(func.count()).where(Product.magento_id == magento_id, Product.type_id.in_(STOCKED), Product.gone_at.is_(None))
    return db.session.scalar(query) or 0


def _slots(magento_id: int) -> int:
    row = db.session.get(MagentoConnection, magento_id)
    return row.parallel_slots if row else 1


# --- asking -------------------------------------------------------------------------------------------------------------------------------


def _read_group(client: MagentoClient, plan: _Plan, items: list[_Item], readers: Readers) -> _Group:
    group = _Group(items)
    if plan.sources is None:
        return _stock_items(client, group, readers)
    calls = [readers.start(_salable, client, plan.website, items[start : start + _SALABLE]) for start in range(0, len(items), _SALABLE)]
    held = readers.start(_source_items, client, plan.sources, [item.sku for item in items]) if plan.sources else None
    salable = {sku: level for call in calls for sku, level in call.result().items()}
    sources = held.result() if held else {}
    for item in items:
        key = item.sku.casefold()
        level = salable.get(key)  # one that is left out is not in the website's stock: nothing of it can be sold
        quantity = 0 if level is None or level.quantity is None else _units(level.quantity)
        group.levels[item.product_id] = {
            "manages_stock": level is None or level.quantity is not None,
            "in_stock": level is not None and level.is_salable,
            "quantity": quantity,
            "salable": quantity,
            "sources": [] if level is None else sources.get(key, []),
        }
    return group


def _salable(client: MagentoClient, website: str, items: Sequence[_Item]) -> dict[str, Any]:
    found = client.salable_by_id([item.entity_id for item in items], website_code=website)
    return {level.sku.casefold(): level for level in found}


def _source_items(client: MagentoClient, sources: Sequence[str], skus: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """By SKU, case aside, in the order of the stock's sources."""
    rank = {code: place for place, code in enumerate(sources)}
    found: dict[str, list[dict[str, Any]]] = {}
    for row in client.source_items(skus, sources=sources, page_size=_SALABLE * len(sources)):
        entry = {"code": str(row["source_code"]), "quantity": _units(row["quantity"]), "in_stock": str(row.get("status")) == "1"}
        found.setdefault(str(row["sku"]).casefold(), []).append(entry)
    for entries in found.values():
        entries.sort(key=lambda entry: rank.get(entry["code"], len(rank)))
    return found


def _stock_items(client: MagentoClient, group: _Group, readers: Readers) -> _Group:
    calls = [(item, readers.start(_stock_item, client, item.sku)) for item in group.items]
    for item, call in calls:
        try:
            group.levels[item.product_id] = call.result()
        except api.Rejected as error:
            group.failed.append((item, error))
    return group


def _stock_item(client: MagentoClient, sku: str) -> dict[str, Any]:
    try:
        row = client.stock_item(sku)
    except NotFound as error:
        if error.code != "mag.sku_unknown":
            raise
        row = {"qty": 0, "is_in_stock": False, "manage_stock": True}
    manages = bool(row.get("manage_stock", True))
    quantity = _units(row.get("qty") or 0) if manages else 0
    return {"manages_stock": manages, "in_stock": bool(row.get("is_in_stock")), "quantity": quantity, "salable": None, "sources": []}


def _units(value: Any) -> int:
    return max(-_LIMIT, min(_LIMIT, whole(value)))


# --- storing ------------------------------------------------------------------------------------------------------------------------------


def _store(session: Session, group: _Group, website: str, primary: bool) -> list[int]:
    """Write the rows that differ, and when each was asked for, which settles what orders have taken before; the ids of the products that differ."""
    ids = list(group.levels)
    columns = [getattr(ProductStock, name) for name in _FIELDS]
    query = select(ProductStock.id, ProductStock.product_id, *columns).where(ProductStock.website_code == website, ProductStock.product_id.in_(ids))
    known: Mapping[int, Any] = {row.product_id: row for row in session.execute(query)}
    now, added, altered, same, changed = group.asked_at, [], [], [], []
    for product_id, level in group.levels.items():
        row = known.get(product_id)
        if row is None:
            added.append({"product_id": product_id, "website_code": website, "read_at": now, **level})
        elif any(getattr(row, name) != level[name] for name in _FIELDS):
            altered.append({"id": row.id, "read_at": now, **level})
        else:
            same.append(row.id)
            continue
        changed.append(product_id)
    if added:
        session.execute(insert(ProductStock), added)
    if altered:
        session.execute(update(ProductStock), altered)
    if same:
        session.execute(update(ProductStock).where(ProductStock.id.in_(same)).values(read_at=now).execution_options(synchronize_session=False))
    if primary and changed:
        shown = [{"id": each, "quantity": group.levels[each]["quantity"] if group.levels[each]["manages_stock"] else None} for each in changed]
        session.execute(update(Product), shown)
    return changed


def _finish(magento_id: int, website: str, run: Run, found: StockRead) -> None:
    with unit_of_work() as session:
        cursor = session.scalar(select(ProductCursor).where(ProductCursor.magento_id == magento_id, ProductCursor.store_view == "all"))
        if cursor is None:
            cursor = ProductCursor(magento_id=magento_id, store_view="all")
            session.add(cursor)
        cursor.stock_at = utcnow()
        run.save_checkpoint(session, stock={"website": website, "done": True, "found": dict(vars(found))})

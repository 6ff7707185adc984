"""Finding prices that changed in Magento without moving ``updated_at`` (MAG §4.2.3, §4.2.4): the price endpoints, which imports of other systems use.

Base and special prices are asked for in bulk and compared with what is known; only products that differ are read again, by the import, so that a price
which came this way is stored, told and evaluated like any other change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import func, select

from connector.clients.magento import MagentoClient
from connector.core.db import db, end_reading, unit_of_work
from connector.models.account import StoreReference
from connector.models.product import Product, ProductView
from connector.services import connections
from connector.services.products import catalogue, store_attributes
from connector.services.products.product_rows import instant
from connector.services.products.reading import Readers, Unattended
from connector.services.runs import Run

#: Types with a price of their own that are sold here; a configurable's means nothing.
PRICED = ("simple", "virtual", "downloadable")
#: SKUs of a call. They travel in the body, so no URL limits them.
GROUP = 500
_ALL_STORES = 0

Special = tuple[Decimal, Any, Any]  #: price, from, to


@dataclass
class PricesRead:
    """``read``: products asked for; ``changed``: those whose prices differed and were read again; ``parked``: could not be taken in."""

    read: int = 0
    changed: int = 0
    parked: int = 0

    def sentence(self) -> str:
        parked = f", {self.parked:,} could not be taken in" if self.parked else ""
        return f"Prices of {self.read:,} products read, {self.changed:,} changed{parked}."


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices as one scope has them."""

    base: Decimal | None
    special: Special | None


@dataclass(frozen=True, slots=True)
class _Known:
    """A product as it was stored last: prices in scope ``all``, and by the id of each store view that is read."""

    entity_id: int
    sku: str
    scopes: Mapping[int, Prices]


@dataclass(frozen=True, slots=True)
class _Group:
    last: int
    items: list[_Known]


def read_prices(magento_id: int, *, run: Run | None = None) -> PricesRead:
    """Compare the prices of all products with Magento's, and import those that differ. Two calls for ``GROUP`` products when nothing has changed.

    An interrupted reading goes on where it stood. Raises ``ApiError`` as the store refuses or is away.
    """
    run = run or Unattended()
    kept = run.checkpoint.get("prices") or {}
    found = PricesRead(**kept.get("found", {}))
    total = db.session.scalar(select(func.count()).where(Product.magento_id == magento_id, Product.type_id.in_(PRICED), Product.gone_at.is_(None))) or 0
    client = connections.magento(magento_id)
    end_reading()
    with Readers(2) as readers:
        for group in _groups(magento_id, int(kept.get("after", 0))):
            changed = _changed(client, group.items, readers)
            if changed:
                again = catalogue.import_products(magento_id, entity_ids=changed, run=_Within(run))
                found.parked += again.parked
            found.read += len(group.items)
            found.changed += len(changed)
            with unit_of_work() as session:
                run.save_checkpoint(session, prices={"after": group.last, "found": dict(vars(found))})
            run.progress(done=found.read, total=max(total, found.read), stage="Reading prices")
            if run.cancelled:
                break
    return found


class _Within:
    """The run of an import inside this one: it parks its bad records there, and has no check-point of its own."""

    def __init__(self, run: Run) -> None:
        self.checkpoint: dict[str, Any] = {}
        self.cancelled = False
        self.park = run.park

    def save_checkpoint(self, session: object, **values: object) -> None:
        """The reading around it keeps its place."""

    def progress(self, done: int | None = None, total: int | None = None, stage: str | None = None) -> None:
        """The reading around it tells how far it is."""


# --- what is known --------------------------------------------------------------------------------------------------------------------------


def _groups(magento_id: int, after: int) -> Iterator[_Group]:
    """Groups of products by id; short queries, so that no transaction is open during a call."""
    views = _views(magento_id)
    columns = (Product.id, Product.entity_id, Product.sku, Product.price, Product.data)
    here = (Product.magento_id == magento_id, Product.type_id.in_(PRICED), Product.gone_at.is_(None))
    while True:
        rows = db.session.execute(select(*columns).where(*here, Product.id > after).order_by(Product.id).limit(GROUP)).all()
        own: dict[tuple[int, str], Mapping[str, Any]] = {}
        if rows and views:
            query = select(ProductView.product_id, ProductView.store_view, ProductView.data)
            query = query.where(ProductView.product_id.in_([row.id for row in rows]), ProductView.store_view.in_(list(views)))
            own = {(product_id, view): data for product_id, view, data in db.session.execute(query)}
        end_reading()
        if not rows:
            return
        after = rows[-1].id
        yield _Group(after, [_known(row, {number: own.get((row.id, view), {}) for view, number in views.items()}) for row in rows])


def _views(magento_id: int) -> dict[str, int]:
    """Magento's id of each store view that accounts sell from."""
    query = select(StoreReference.code, StoreReference.data).where(StoreReference.magento_id == magento_id, StoreReference.kind == "store_view")
    used = set(store_attributes.views_in_use(magento_id))
    found = {code: int(data["id"]) for code, data in db.session.execute(query) if code in used and data.get("id") is not None}
    end_reading()
    return found


def _known(row: Any, views: Mapping[int, Mapping[str, Any]]) -> _Known:
    values = row.data.get("values", {})
    scopes = {_ALL_STORES: Prices(row.price, _special(values))}
    for number, own in views.items():
        base = _amount(own["price"]) if "price" in own else row.price
        scopes[number] = Prices(base, _special({**values, **own.get("values", {})}))
    return _Known(row.entity_id, row.sku, scopes)


def _special(values: Mapping[str, Any]) -> Special | None:
    price = _amount(values.get("special_price"))
    return None if price is None else (price, instant(values.get("special_from_date")), instant(values.get("special_to_date")))


def _amount(value: Any) -> Decimal | None:
    """As products are stored: ten-thousandths."""
    try:
        return None if value in (None, "") else Decimal(str(value)).quantize(Decimal("0.0001"))
    except InvalidOperation:
        return None


# --- what Magento says ----------------------------------------------------------------------------------------------------------------------


def _changed(client: MagentoClient, items: Sequence[_Known], readers: Readers) -> list[int]:
    """Entity ids of the products whose prices are others now."""
    skus = [item.sku for item in items]
    base, special = readers.start(client.base_prices, skus), readers.start(client.special_prices, skus)
    return differing(items, base.result(), special.result())


def differing(items: Iterable[_Known], base_rows: Iterable[Mapping[str, Any]], special_rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """``base_rows``, ``special_rows``: Magento's answers, a row for each scope that has a value; a store view without one has that of store 0. A product
    that Magento did not name is left to the import, which knows what is gone."""
    base = {(str(row["sku"]), int(row["store_id"])): _amount(row.get("price")) for row in base_rows}
    special: dict[tuple[str, int], Special | None] = {}
    for row in special_rows:
        values = {"special_price": row.get("price"), "special_from_date": row.get("price_from"), "special_to_date": row.get("price_to")}
        special[str(row["sku"]), int(row["store_id"])] = _special(values)
    found = []
    for item in items:
        everywhere = (item.sku, _ALL_STORES)
        if everywhere not in base:
            continue
        now = {
            number: Prices(base.get((item.sku, number), base[everywhere]), special.get((item.sku, number), special.get(everywhere))) for number in item.scopes
        }
        if now != item.scopes:
            found.append(item.entity_id)
    return found

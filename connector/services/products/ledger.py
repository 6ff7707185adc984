"""A SKU's stock as an account statement: what the present figure is made of, how it came about, which orders hold units, and what may go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import NotFoundError
from connector.domain.stock import Term, running, units
from connector.models.account import Account
from connector.models.listing import ListingSku, StockEntry
from connector.models.order import Order, Reservation
from connector.models.product import Product, ProductStock

#: Entries older than this are summed into one for each SKU.
KEEP = timedelta(days=90)
CARRIED = "carried"
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Holder:
    """A TikTok order that holds units which Magento does not know about."""

    order_id: int
    number: str
    account: str
    remote_status: str
    state: str
    units: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Seller:
    """The same product in another account: what it may sell and what TikTok offers there."""

    listing_id: int
    account: str
    seller_sku: str
    wanted: int | None
    live: int | None


@dataclass(frozen=True, slots=True)
class Risk:
    code: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class SkuLedger:
    """``sku`` has the wanted and the live figures. ``entries``: newest first. ``in_balance``: the entries add up to the wanted quantity."""

    sku: ListingSku
    magento_sku: str
    terms: tuple[Term, ...]
    entries: Sequence[StockEntry]
    more: bool
    in_balance: bool
    holders: tuple[Holder, ...]
    sellers: tuple[Seller, ...]
    risks: tuple[Risk, ...]


def of_sku(listing_sku_id: int, *, limit: int = 50, before: int | None = None) -> SkuLedger:
    """Everything for one SKU's ledger. ``before``: entries older than this entry id, for the next page. Raises ``NotFoundError``."""
    sku = db.session.get(ListingSku, listing_sku_id, populate_existing=True)
    if sku is None:
        raise NotFoundError("sku.unknown", f"There is no SKU {listing_sku_id}.", "Its variant may have been removed; open the product again.")
    product = db.session.get(Product, sku.product_id)
    assert product is not None  # a foreign key
    query = (
        select(StockEntry).where(StockEntry.listing_sku_id == sku.id).order_by(StockEntry.id.desc()).limit(limit + 1).execution_options(populate_existing=True)
    )
    entries = db.session.scalars(query.where(StockEntry.id < before) if before else query).all()
    total = db.session.scalar(select(func.coalesce(func.sum(StockEntry.change), 0)).where(StockEntry.listing_sku_id == sku.id))
    holders, sellers = _holders(sku, product), _sellers(sku)
    return SkuLedger(
        sku, product.sku, running(sku.stock_terms), entries[:limit], len(entries) > limit, total == (sku.wanted_quantity or 0), holders, sellers,
        tuple(_risks(sku, product, sellers)),
    )  # fmt: skip


def _holders(sku: ListingSku, product: Product) -> tuple[Holder, ...]:
    """Open reservations under any of the names of the product, oldest first."""
    named = db.session.execute(select(ListingSku.account_id, ListingSku.seller_sku_key).where(ListingSku.product_id == product.id)).all()
    names = {(row.account_id, row.seller_sku_key) for row in named}
    query = (
        select(Reservation.sku, Reservation.quantity, Reservation.account_id, Reservation.created_at, Order.id, Order.number, Order.remote_status, Order.state)
        .add_columns(Account.title)
        .join(Order, Order.id == Reservation.order_id)
        .join(Account, Account.id == Reservation.account_id)
        .where(Reservation.released_at.is_(None))
        .order_by(Reservation.id)
    )
    spellings = {product.sku, sku.seller_sku, product.sku_key} | {row.seller_sku_key for row in named}
    rows = db.session.execute(query.where(or_(Reservation.sku.in_(spellings), func.lower(Reservation.sku).in_({name.lower() for name in spellings}))))
    return tuple(
        Holder(row.id, row.number, row.title, row.remote_status, row.state, row.quantity, row.created_at)
        for row in rows
        if row.sku.casefold() == product.sku_key or (row.account_id, row.sku.casefold()) in names
    )


def _sellers(sku: ListingSku) -> tuple[Seller, ...]:
    query = (
        select(ListingSku.listing_id, Account.title, ListingSku.seller_sku, ListingSku.wanted_quantity, ListingSku.live_quantity)
        .join(Account, Account.id == ListingSku.account_id)
        .where(ListingSku.product_id == sku.product_id, ListingSku.id != sku.id)
        .order_by(Account.title)
    )
    return tuple(Seller(*row) for row in db.session.execute(query))


def _risks(sku: ListingSku, product: Product, sellers: Sequence[Seller]) -> list[Risk]:
    found = []
    if sku.stock_refused_code:
        found.append(Risk(sku.stock_refused_code, f"TikTok Shop refused the last figure: {sku.stock_refused}", "Correct the cause, then sync again."))
    if sku.stock_due and sku.stock_falls and sku.wanted_quantity is not None:
        offered = "an unknown number of units" if sku.live_quantity is None else units(sku.live_quantity)
        found.append(
            Risk("stock.falling", f"TikTok Shop offers {offered}; {units(sku.wanted_quantity)} may be sold.", "It is sent at once; see Queue Process.")
        )
    offered_everywhere = sum(one.live or 0 for one in sellers) + (sku.live_quantity or 0)
    stock = sum(term["change"] for term in sku.stock_terms if term["key"] in ("default", "source", "reserved", "item", "out_of_stock", "default_for_zero"))
    if sellers and offered_everywhere > max(0, stock):
        text = f"{len(sellers) + 1} accounts together offer {units(offered_everywhere)}, and there are {units(max(0, stock))}."
        found.append(Risk("stock.shared", text, "Raise the Threshold Buffer, or give the accounts sources of their own."))
    if sku.wanted_quantity is not None and sku.wanted_quantity > max(0, _safe(sku)):
        found.append(Risk("stock.may_oversell", "The inventory policy sends more than is safe.", "Switch May send more than is in stock off."))
    read_at = db.session.scalar(select(func.min(ProductStock.read_at)).where(ProductStock.product_id == product.id))
    if read_at is not None and read_at < utcnow() - timedelta(minutes=30):
        text = f"Magento's stock was last read at {read_at:%H:%M} UTC; what Magento sold since is not known."
        found.append(Risk("stock.old", text, "See the schedule of Read stock from Magento."))
    return found


def _safe(sku: ListingSku) -> int:
    """The balance after the buffer: what the formula calls safe."""
    balance = 0
    for term in sku.stock_terms:
        if term["key"] in ("threshold", "limit", "places", "maximum", "unavailable", "held_down"):
            break
        balance += term["change"]
    return balance


def carry(older_than: timedelta = KEEP) -> int:
    """Sum each SKU's old entries into one, so that the statement stays short and still adds up; how many entries went."""
    before, gone = utcnow() - older_than, 0
    while True:
        with unit_of_work() as session:
            last, count, total = func.max(StockEntry.id), func.count(), func.sum(StockEntry.change)
            query = select(StockEntry.listing_sku_id, last, count, total).where(StockEntry.at < before).group_by(StockEntry.listing_sku_id)
            rows = session.execute(query.having(count > 1).limit(_AT_ONCE)).all()
            for sku_id, last_id, entries, change in rows:
                session.execute(delete(StockEntry).where(StockEntry.listing_sku_id == sku_id, StockEntry.at < before, StockEntry.id < last_id))
                words = f"Carried over from {entries} earlier changes."
                values = {"term": CARRIED, "change": int(change), "balance": int(change), "words": words, "reason": "", "run_id": None}
                session.execute(update(StockEntry).where(StockEntry.id == last_id).values(**values).execution_options(synchronize_session=False))
                gone += entries - 1
        if len(rows) < _AT_ONCE:
            return gone

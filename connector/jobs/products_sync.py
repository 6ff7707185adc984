"""Job bodies that work out prices and stock and tell TikTok (product.md 4, A157-A161)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import select

from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.jobs.runtime import Item, JobContext, job
from connector.models.account import Account
from connector.models.listing import Listing
from connector.models.product import Product
from connector.models.run import JobItem
from connector.services import runs
from connector.services.products import evaluate, price_push, stock_push, switches

#: Listings between two looks at what else has become urgent.
SLICE = 200


@job("products.evaluate")
def evaluate_listings(ctx: JobContext) -> None:
    """The items, else the listings in ``args`` template_id, else every listing of the account that is due; falling stock is sent at once afterwards."""
    found = evaluate.Evaluated()
    while not ctx.cancelled:
        ids = _chosen(ctx) if found.looked_at == 0 else []
        ids = ids or evaluate.due_listings(ctx.account_id)
        if not ids:
            break
        found += evaluate.evaluate(ids, reason="", run_id=ctx.run_id, guard=ctx.commit_guard)
        ctx.progress(done=found.looked_at, stage="Working out prices and stock")
        _send_falls(ctx.account_id)
    _send_falls(ctx.account_id)
    text = f"{found.looked_at:,} products looked at, {found.changed:,} SKUs changed" if found.looked_at else "Nothing has changed"
    if found.parked:
        text += f", {found.parked:,} have a problem"
    ctx.finish(f"{text}.", looked_at=found.looked_at, changed=found.changed, parked=found.parked)


@job("products.stock_down")
def send_falling_stock(ctx: JobContext) -> None:
    """Nothing but falling stock; whatever else is wrong with a listing, selling what is not there is worse."""
    assert ctx.account_id is not None
    seen: set[int] = set()
    while not ctx.cancelled:
        ids = [one for one in stock_push.due_listings(ctx.account_id, falling=True, limit=SLICE + len(seen)) if one not in seen][:SLICE]
        if not ids:
            break
        seen |= set(ids)
        _push_stock(ctx, ids, rises=False)
        ctx.progress(done=len(seen), stage="Sending falling stock")
    ctx.finish(f"{len(seen):,} products with falling stock." if seen else "No stock has fallen.", products=len(seen))


@job("products.sync")
def sync(ctx: JobContext) -> None:
    """The items, whatever the policy says; without any the account's due ones: falls, then rises, then prices, as the synchronization policy allows."""
    assert ctx.account_id is not None
    refs = ctx.open_refs()
    account = db.session.get(Account, ctx.account_id)
    assert account is not None
    statuses = switches.synced_statuses(account) if ctx.started_by == "scheduler" else None
    end_reading()
    if refs:
        batches = _Batches(ctx, [int(ref) for ref in refs])
        ctx.map(batches.take)
        return
    account_id = ctx.account_id
    stock_done, stock_slices = 0, _slices(ctx, lambda: stock_push.due_listings(account_id, falling=False, statuses=statuses))
    fallen = _falls(ctx, account_id)
    for ids in stock_slices:
        _push_stock(ctx, ids, rises=True)
        stock_done += len(ids)
        ctx.progress(done=fallen + stock_done, stage="Sending stock")
        fallen += _falls(ctx, account_id)
    prices_done = 0
    for ids in _slices(ctx, lambda: price_push.due_listings(account_id, statuses=statuses)):
        _push_prices(ctx, ids)
        prices_done += len(ids)
        ctx.progress(done=fallen + stock_done + prices_done, stage="Sending prices")
        fallen += _falls(ctx, account_id)
    ctx.finish(
        f"Stock of {fallen + stock_done:,} products and prices of {prices_done:,} sent." if fallen + stock_done + prices_done else "Everything is in step.",
        stock=fallen + stock_done, prices=prices_done,
    )  # fmt: skip


class _Batches:
    """The items of a run, a hundred at a time: reading stock costs one call for all of them."""

    def __init__(self, ctx: JobContext, ids: list[int]) -> None:
        self._ctx, self._ids = ctx, ids
        self._stock: dict[int, stock_push.Pushed] = {}
        self._prices: dict[int, price_push.Pushed] = {}
        self._asked: set[int] = set()

    def take(self, item: Item) -> str:
        account_id, listing_id = self._ctx.account_id, int(item.ref)
        assert account_id is not None
        if listing_id not in self._asked:
            place = self._ids.index(listing_id)
            batch = self._ids[place : place + stock_push.AT_ONCE]
            self._stock |= stock_push.push_many(account_id, batch, guard=self._ctx.commit_guard)
            self._prices |= price_push.push_many(account_id, batch, guard=self._ctx.commit_guard)
            self._asked |= set(batch)
        stock = self._stock.pop(listing_id, None) or stock_push.push(listing_id)  # says why it was left out
        price = self._prices.pop(listing_id, None)
        stock.raise_refusal()
        if price is not None:
            price.raise_refusal()
        return " ".join(one.sentence for one in (stock, price) if one is not None)


def _slices(ctx: JobContext, due: Callable[[], list[int]]) -> Any:
    """What is due, in slices; what becomes due meanwhile is for the next run."""
    ids = due()
    for start in range(0, len(ids), SLICE):
        if ctx.cancelled:
            return
        yield ids[start : start + SLICE]


def _falls(ctx: JobContext, account_id: int) -> int:
    """Falling stock that has come up meanwhile goes first."""
    ids = stock_push.due_listings(account_id, falling=True, limit=SLICE)
    if ids:
        _push_stock(ctx, ids, rises=True)
    return len(ids)


def _push_stock(ctx: JobContext, ids: Collection[int], *, rises: bool) -> None:
    assert ctx.account_id is not None
    for one in stock_push.push_many(ctx.account_id, ids, rises=rises, guard=ctx.commit_guard).values():
        _park(ctx, one)


def _push_prices(ctx: JobContext, ids: Collection[int]) -> None:
    assert ctx.account_id is not None
    for one in price_push.push_many(ctx.account_id, ids, guard=ctx.commit_guard).values():
        _park(ctx, one)


def _park(ctx: JobContext, outcome: stock_push.Pushed | price_push.Pushed) -> None:
    try:
        outcome.raise_refusal()
    except DomainError as error:
        sku = db.session.scalar(select(Product.sku).join(Listing, Listing.product_id == Product.id).where(Listing.id == outcome.listing_id))
        end_reading()
        ctx.park(str(outcome.listing_id), sku or "", error)


def _chosen(ctx: JobContext) -> list[int]:
    """The listings that the run was submitted for."""
    refs = db.session.scalars(select(JobItem.ref).where(JobItem.run_id == ctx.run_id)).all()
    found = [int(ref) for ref in refs]
    if ctx.args.get("template_id"):
        found += db.session.scalars(select(Listing.id).where(Listing.template_id == int(ctx.args["template_id"]))).all()
    end_reading()
    return found


def _send_falls(account_id: int | None) -> None:
    """Ring for falling stock; an open run of the kind does it."""
    with unit_of_work():
        for one in stock_push.accounts_with_falls(account_id):
            runs.submit("products.stock_down", account_id=one, key=f"products.stock_down:{one}", started_by="stock")

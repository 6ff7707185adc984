"""Job bodies that read Magento's catalogue, stock and prices."""

from __future__ import annotations

from sqlalchemy import select

from connector.core.db import db
from connector.core.errors import DomainError
from connector.jobs.runtime import Item, JobContext, job
from connector.models.account import Account
from connector.services import runs
from connector.services.products import catalogue, price_reading, stock_reading, switches
from connector.services.runs import Run


@job("products.import")
def import_products(ctx: JobContext) -> None:
    """What changed since the last import, once a day and with ``args`` full everything, these only with skus. Without an account: a run for each store."""
    account = _account(ctx)
    if account is None:
        return
    magento_id, view = _store(account)
    if _again(ctx):
        ctx.map(lambda item: _take(item, magento_id, view))
        return
    skus = ctx.args.get("skus")
    full = bool(ctx.args.get("full")) or (ctx.started_by == "scheduler" and switches.whole_import_due(account))
    found = catalogue.import_products(magento_id, view, full=full, skus=skus, run=ctx)
    if found.new:  # without its stock a new product can be neither priced for sale nor uploaded, and the next regular reading may be minutes away
        runs.submit("products.import_stock", account_id=account.id, key=f"products.import_stock:{account.id}", started_by=ctx.started_by)
    ctx.finish(found.sentence(), **vars(found))


@job("products.import_stock")
def import_stock(ctx: JobContext) -> None:
    """The stock of the account's website, for the products in ``args`` product_ids or for all. Without an account: a run for each store."""
    account = _account(ctx)
    if account is None:
        return
    magento_id, view = _store(account)
    website = stock_reading.website_of(magento_id, view)
    if website is None:
        raise DomainError("magento.store_view", f"Magento's store view {view} is not known.", "Choose Test connection, or another store view.")
    if _again(ctx):
        ctx.map(lambda item: _take_stock(item, magento_id, website))
        return
    found = stock_reading.read_stock(magento_id, website, product_ids=ctx.args.get("product_ids"), run=ctx)
    ctx.finish(found.sentence(), **vars(found))


@job("products.import_prices")
def import_prices(ctx: JobContext) -> None:
    """Prices that changed without moving the product's time; the products are read again. Without an account: a run for each store."""
    account = _account(ctx)
    if account is None:
        return
    magento_id, view = _store(account)
    if _again(ctx):
        ctx.map(lambda item: _take(item, magento_id, view))
        return
    found = price_reading.read_prices(magento_id, run=ctx)
    ctx.finish(found.sentence(), **vars(found))


def _account(ctx: JobContext) -> Account | None:
    """The run's account; without one, a run is submitted for each store (import) or website (stock) that accounts sell for."""
    if ctx.account_id is not None:
        return db.session.get(Account, ctx.account_id)
    seen: set[tuple[int, str | None]] = set()
    query = select(Account).where(Account.magento_id.is_not(None), Account.active.is_(True)).order_by(Account.id)
    for account in list(db.session.scalars(query)):
        magento_id, view = _store(account)
        place = (magento_id, stock_reading.website_of(magento_id, view) if ctx.kind == "products.import_stock" else None)
        if place not in seen:
            seen.add(place)
            runs.submit(ctx.kind, account_id=account.id, args=ctx.args, key=f"{ctx.kind}:{magento_id}:{place[1] or ''}", started_by=ctx.started_by)
    ctx.finish(f"{len(seen)} stores to read.", stores=len(seen))
    return None


def _store(account: Account) -> tuple[int, str]:
    if account.magento_id is None:
        raise DomainError("magento.none", f"Account {account.title} has no Magento store.", "Connect Magento under Configuration > Magento.")
    return account.magento_id, account.store_view or "all"


def _again(ctx: JobContext) -> bool:
    """A run of items that an earlier one parked. One that reads pages has a check-point before it parks its first."""
    return ctx.has_items() and not ctx.checkpoint and not (ctx.args.get("skus") or ctx.args.get("product_ids"))


class _One:
    """The run of a single record: a bad one fails its item."""

    cancelled = False

    def __init__(self) -> None:
        self.checkpoint: dict[str, object] = {}

    def save_checkpoint(self, session: object, **values: object) -> None:
        """There is nothing to go on with."""

    def progress(self, done: int | None = None, total: int | None = None, stage: str | None = None) -> None:
        """The item tells its own end."""

    def park(self, ref: str, label: str, error: Exception, data: object = None) -> None:
        raise error


def _take(item: Item, magento_id: int, view: str) -> str:
    one: Run = _One()
    kind, _, rest = item.ref.partition(":")
    found = (
        catalogue.import_products(magento_id, view, entity_ids=[int(rest)], run=one)
        if kind == "product" and rest.isdigit()
        else catalogue.import_products(magento_id, view, skus=[item.label], run=one)
    )
    return found.sentence()


def _take_stock(item: Item, magento_id: int, website: str) -> str:
    return stock_reading.read_stock(magento_id, website, product_ids=[int(item.ref.partition(":")[2])], run=_One()).sentence()

"""``flask connector products ...`` and ``templates ...``: the catalogue desk's buttons for scripts (product.md 12)."""

from __future__ import annotations

import click
from sqlalchemy import select

from connector.cli import group
from connector.cli.orders import account_named
from connector.cli.work import ACTOR, command, json_option, wait_for
from connector.core.db import db
from connector.core.errors import DomainError
from connector.models.account import Account
from connector.models.listing import Listing
from connector.models.product import Product
from connector.services import runs


def listings_of(account: Account, skus: tuple[str, ...], *, everything: bool) -> list[tuple[str, str]]:
    """Items of a run: the account's listings of the named Magento SKUs, or all of them; raises ``DomainError`` naming what is not there."""
    query = select(Listing.id, Product.sku, Product.sku_key).join(Product, Product.id == Listing.product_id).where(Listing.account_id == account.id)
    if not everything:
        if not skus:
            raise DomainError("cli.none", "No product was named.", "Give Magento SKUs, or --all.")
        query = query.where(Product.sku_key.in_([sku.casefold() for sku in skus]))
    found = db.session.execute(query.order_by(Listing.id)).all()
    unknown = sorted({sku for sku in skus if sku.casefold() not in {row.sku_key for row in found}})
    if unknown:
        raise DomainError(
            "cli.product",
            f"No listing of {account.title}: {', '.join(unknown)}.",
            "Import the products and assign them to a listing template first: products import, templates assign.",
        )
    return [(str(row.id), row.sku) for row in found]


@group.group("products")
def products() -> None:
    """Import, validate, upload and synchronise products."""


@products.command("import")
@click.argument("account")
@click.option("--full", is_flag=True, help="Everything again; also finds what Magento has no more.")
@json_option
@command
def import_(account: str, full: bool, as_json: bool) -> None:
    """Read Magento's products for ACCOUNT: what changed, or everything."""
    found = account_named(account)
    wait_for(runs.submit("products.import", account_id=found.id, args={"full": full}, key=f"products.import:{found.id}:{full}", started_by=ACTOR), as_json)


@products.command("stock")
@click.argument("account")
@json_option
@command
def stock(account: str, as_json: bool) -> None:
    """Read Magento's stock for ACCOUNT."""
    found = account_named(account)
    wait_for(runs.submit("products.import_stock", account_id=found.id, key=f"schedule:products.import_stock:{found.id}", started_by=ACTOR), as_json)


@products.command("prices")
@click.argument("account")
@json_option
@command
def prices(account: str, as_json: bool) -> None:
    """Sweep Magento's prices for ACCOUNT: changes that move no update time."""
    found = account_named(account)
    wait_for(runs.submit("products.import_prices", account_id=found.id, key=f"schedule:products.import_prices:{found.id}", started_by=ACTOR), as_json)


def _on_listings(name: str, kind: str, help_text: str, **args: object) -> None:
    @products.command(name, help=help_text)
    @click.argument("account")
    @click.argument("skus", nargs=-1)
    @click.option("--all", "everything", is_flag=True, help="Every listing of the account.")
    @json_option
    @command
    def run(account: str, skus: tuple[str, ...], everything: bool, as_json: bool) -> None:
        found = account_named(account)
        items = listings_of(found, skus, everything=everything)
        wait_for(runs.submit(kind, account_id=found.id, args=dict(args), items=items, started_by=ACTOR), as_json)


_on_listings("validate", "products.validate", "Check everything that TikTok will check, for SKUS of ACCOUNT.")
_on_listings("upload", "products.upload", "Create or edit SKUS on ACCOUNT's shop.")
_on_listings("sync", "products.sync", "Send prices and stock of SKUS that differ, and read them back.")
_on_listings("sync-status", "products.sync_status", "Read audit and sale state of SKUS from TikTok.")
_on_listings("activate", "products.change_status", "Put SKUS on sale.", active=True)
_on_listings("deactivate", "products.change_status", "Take SKUS off sale.", active=False)


@group.group("templates")
def templates() -> None:
    """Listing templates."""


@templates.command("assign")
@click.argument("account")
@json_option
@command
def assign(account: str, as_json: bool) -> None:
    """Assign products to ACCOUNT's listing templates by their queries."""
    found = account_named(account)
    wait_for(runs.submit("templates.assign", account_id=found.id, key=f"schedule:templates.assign:{found.id}", started_by=ACTOR), as_json)

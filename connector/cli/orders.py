"""``flask connector orders ...`` and ``reconcile``: the order desk's buttons for scripts (product.md 12)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from sqlalchemy import select

from connector.cli import group
from connector.cli.work import ACTOR, command, json_option, wait_for
from connector.core.db import db
from connector.core.errors import DomainError
from connector.domain.rejection import REASONS
from connector.models.account import Account
from connector.models.order import READY, REVIEW, Order
from connector.services import reconcile, runs
from connector.services.orders import create as create_orders
from connector.services.orders import polling, refresh, reject, ship, ship_file


def account_named(title: str) -> Account:
    """An account by title or number; raises ``DomainError``."""
    found = db.session.scalar(select(Account).where(Account.title == title)) or (db.session.get(Account, int(title)) if title.isdigit() else None)
    if found is None:
        known = ", ".join(db.session.scalars(select(Account.title).order_by(Account.title)))
        raise DomainError("cli.account", f"There is no account {title!r}.", f"Known accounts: {known or 'none'}.")
    return found


def orders_numbered(numbers: tuple[str, ...]) -> list[Order]:
    """Stored orders by TikTok order id; raises ``DomainError`` naming the unknown ones."""
    found = list(db.session.scalars(select(Order).where(Order.number.in_(numbers)).order_by(Order.id)))
    unknown = sorted(set(numbers) - {order.number for order in found})
    if unknown:
        raise DomainError("cli.order", f"Not stored: {', '.join(unknown)}.", "Import them first: flask connector orders import ACCOUNT --id ORDER.")
    return found


@group.group("orders")
def orders() -> None:
    """Import, create, ship, reject and refresh orders."""


@orders.command("import")
@click.argument("account")
@click.option("--id", "order_ids", multiple=True, help="A TikTok order id; may be repeated.")
@click.option("--from", "start", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="UTC; placed at or after.")
@click.option("--to", "end", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="UTC; a day is included whole.")
@click.option("--status", default="", help="One TikTok order status.")
@click.option("--new", "only_new", is_flag=True, help="What was updated since the last import, as the schedule does.")
@json_option
@command
def import_(account: str, order_ids: tuple[str, ...], start: datetime | None, end: datetime | None, status: str, only_new: bool, as_json: bool) -> None:
    """Pull orders of ACCOUNT now and wait."""
    found = account_named(account)
    if only_new:
        wait_for(runs.submit("orders.import", account_id=found.id, key=f"schedule:orders.import:{found.id}", started_by=ACTOR), as_json)
    until = end.replace(tzinfo=UTC) + (timedelta(days=1) if end.time() == datetime.min.time() else timedelta()) if end else None
    wait_for(
        polling.request_import(found.id, status=status, start=start.replace(tzinfo=UTC) if start else None, end=until, order_ids=order_ids, started_by=ACTOR),
        as_json,
    )


@orders.command("create")
@click.argument("numbers", nargs=-1)
@click.option("--account", help="All orders of this account that wait to be created.")
@json_option
@command
def create(numbers: tuple[str, ...], account: str | None, as_json: bool) -> None:
    """Create Sales Order for NUMBERS, or for everything that waits."""
    found = orders_numbered(numbers) if numbers else []
    if account:
        found += list(db.session.scalars(select(Order).where(Order.account_id == account_named(account).id, Order.state.in_((READY, REVIEW)))))
    if not found:
        raise DomainError("cli.none", "No order was named.", "Give order numbers, or --account.")
    wait_for(create_orders.submit([order.id for order in found], started_by=ACTOR), as_json)


@orders.command("ship")
@click.argument("numbers", nargs=-1)
@click.option("--carrier", default="", help="TikTok carrier, when Magento has no shipment.")
@click.option("--tracking", default="", help="Tracking number, when Magento has no shipment; one order only.")
@click.option(
    "--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV: order number, carrier, tracking number[, SKU, quantity]."
)
@json_option
@command
def ship_(numbers: tuple[str, ...], carrier: str, tracking: str, path: Path | None, as_json: bool) -> None:
    """Send parcels of NUMBERS, or those of a file, to TikTok."""
    if path:
        parsed = ship_file.read(path.read_bytes())
        for line in parsed.refused:
            click.echo(f"line {line.number}: {line.problem}", err=True)
        wait_for(ship_file.submit(parsed, started_by=ACTOR), as_json)
    found = orders_numbered(numbers)
    given = {found[0].id: ship.Tracking(carrier, tracking)} if tracking and len(found) == 1 else None
    if tracking and len(found) != 1:
        raise DomainError("cli.tracking", "--tracking belongs to one order.", "Name one order, or use --file for many.")
    wait_for(ship.submit([order.id for order in found], given, started_by=ACTOR), as_json)


@orders.command("reject")
@click.argument("numbers", nargs=-1, required=True)
@click.option("--reason", required=True, type=click.Choice(list(REASONS)))
@json_option
@command
def reject_(numbers: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Reject NUMBERS at TikTok and cancel them in Magento."""
    wait_for(reject.submit([order.id for order in orders_numbered(numbers)], reason, started_by=ACTOR), as_json)


@orders.command("sync-status")
@click.argument("numbers", nargs=-1, required=True)
@json_option
@command
def sync_status(numbers: tuple[str, ...], as_json: bool) -> None:
    """Read NUMBERS again from TikTok."""
    wait_for(refresh.sync_status([order.id for order in orders_numbered(numbers)], started_by=ACTOR), as_json)


@group.command("reconcile")
@click.argument("account")
@click.option("--day", help="YYYY-MM-DD; default: yesterday and today.")
@json_option
@command
def reconcile_(account: str, day: str | None, as_json: bool) -> None:
    """Prove that no order of ACCOUNT is missing."""
    found = account_named(account)
    if day:
        wait_for(reconcile.submit(found.id, day, started_by=ACTOR), as_json)
    wait_for(runs.submit("reconcile", account_id=found.id, key=f"reconcile:{found.id}", started_by=ACTOR), as_json)

"""``flask connector worker|scheduler|keys``: the long processes, for hosts where systemd starts each of them."""

from __future__ import annotations

import click
from cryptography.fernet import Fernet
from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from connector.cli import group
from connector.cli.work import command
from connector.core.db import db, is_away
from connector.core.errors import DomainError
from connector.jobs import scheduler, worker
from connector.services import encryption
from connector.services.kinds import QUEUES


@group.command("worker")
@click.option("--queues", default=",".join(QUEUES), help="Queues to work on, most urgent first.")
@click.option("--burst", is_flag=True, help="Stop when the queues are empty.")
def work(queues: str, burst: bool) -> None:
    """Work off runs until stopped."""
    _check_keys()
    worker.run_forever(current_app._get_current_object(), tuple(queues.split(",")), burst=burst)  # type: ignore[attr-defined]


def _check_keys() -> None:
    """A host with keys of its own must not write; a database that is away is waited for as at any other time."""
    try:
        encryption.check()
    except DomainError as error:
        raise click.ClickException(str(error)) from error
    except SQLAlchemyError as error:
        if not is_away(error):
            raise
    finally:
        db.session.remove()


@group.command("scheduler")
def schedule() -> None:
    """Start what is due, ring for what waits."""
    _check_keys()
    scheduler.run_forever(current_app._get_current_object())  # type: ignore[attr-defined]


@group.command("keys")
@click.option("--check", is_flag=True, help="Say whether this host's keys fit the database; exit status 1 if not.")
@click.option("--renew", is_flag=True, help="Encrypt everything that is stored with the first key; the other ones can then be removed.")
@command
def keys(check: bool, renew: bool) -> None:
    """Print a new encryption key; put it in front of the old ones in CONNECTOR_ENCRYPTION_KEYS on every host, restart, then --renew."""
    if not check and not renew:
        click.echo(Fernet.generate_key().decode())
        return
    encryption.check()
    if renew:
        counts = encryption.renew(lambda name, count: click.echo(f"{name}: {count}", err=True))
        total = sum(counts.values())
        click.echo(f"{total} rows were rewritten with the first key. The other keys can be removed now; keep them as long as backups need them.")
    else:
        click.echo("The keys fit.")

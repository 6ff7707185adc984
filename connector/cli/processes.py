"""``flask connector worker|scheduler|keys``: the long processes, for hosts where systemd starts each of them."""

from __future__ import annotations

import click
from cryptography.fernet import Fernet
from flask import current_app

from connector.cli import group
from connector.jobs import scheduler, worker
from connector.services.kinds import QUEUES


@group.command("worker")
@click.option("--queues", default=",".join(QUEUES), help="Queues to work on, most urgent first.")
@click.option("--burst", is_flag=True, help="Stop when the queues are empty.")
def work(queues: str, burst: bool) -> None:
    """Work off runs until stopped."""
    worker.run_forever(current_app._get_current_object(), tuple(queues.split(",")), burst=burst)  # type: ignore[attr-defined]


@group.command("scheduler")
def schedule() -> None:
    """Start what is due, ring for what waits."""
    scheduler.run_forever(current_app._get_current_object())  # type: ignore[attr-defined]


@group.command("keys")
def keys() -> None:
    """Print a new encryption key; put it in front of the old ones in CONNECTOR_ENCRYPTION_KEYS."""
    click.echo(Fernet.generate_key().decode())

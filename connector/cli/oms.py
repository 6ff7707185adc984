"""``flask connector oms ...``: files of updates, pulling, feeds (A251-A255), as the dashboard does them."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
from sqlalchemy import func, select

from connector.cli import group
from connector.cli.orders import account_named
from connector.cli.work import ACTOR, command, json_option, report, wait_for
from connector.core.db import db
from connector.models.oms import IMPORT, UPDATE_FAILED, UPDATE_RECEIVED, OmsUpdate
from connector.services import runs
from connector.services.oms import batches, connection

#: How long an import waits for updates that are being carried out; those that wait for their order take longer and are told as waiting.
PATIENCE = 600.0


@group.group("oms")
def oms() -> None:
    """Updates from the OMS and order feeds for it."""


@oms.command("import")
@click.argument("account")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@command
def import_(account: str, path: Path, as_json: bool) -> None:
    """Take in a CSV or JSON file of updates for ACCOUNT, carry them out and say what became of each line."""
    with path.open("rb") as file:
        data = file.read(batches.MAX_BYTES + 1)
    taken = batches.take(account_named(account).id, data, file_name=path.name, source=IMPORT, actor=ACTOR)
    batch_id = taken.batch.id
    deadline = time.monotonic() + PATIENCE
    while _under_way(batch_id) and time.monotonic() < deadline:
        time.sleep(0.3)
    counts = batches.counts(batch_id)
    bad = db.session.scalars(
        select(OmsUpdate).where(OmsUpdate.batch_id == batch_id, OmsUpdate.state == UPDATE_FAILED).order_by(OmsUpdate.line).limit(200)
    ).all()
    for line in bad:
        click.echo(f"line {line.line}: {line.message} {line.remedy}".strip(), err=True)
    report({"batch": batch_id, "repeated": taken.repeated, "rows": taken.batch.rows, **counts}, as_json)
    sys.exit(1 if counts.get(UPDATE_FAILED) else 0)


@oms.command("pull")
@click.argument("account")
@json_option
@command
def pull_(account: str, as_json: bool) -> None:
    """Ask the OMS of ACCOUNT for its statuses now."""
    found = account_named(account)
    connection.known(found.id)
    wait_for(runs.submit("oms.pull", account_id=found.id, key=f"schedule:oms.pull:{found.id}", started_by=ACTOR), as_json)


@oms.command("feed")
@click.argument("account")
@json_option
@command
def feed_(account: str, as_json: bool) -> None:
    """Write a feed of the orders of ACCOUNT that are new or have changed, now."""
    found = account_named(account)
    connection.known(found.id)
    wait_for(runs.submit("oms.feed", account_id=found.id, key=f"schedule:oms.feed:{found.id}", started_by=ACTOR), as_json)


def _under_way(batch_id: int) -> bool:
    """Is something of the batch not carried out and not waiting for its order or its carrier?"""
    db.session.expire_all()
    query = select(func.count()).where(OmsUpdate.batch_id == batch_id, OmsUpdate.state == UPDATE_RECEIVED, OmsUpdate.code.is_(None))
    found = bool(db.session.scalar(query))
    db.session.commit()
    return found

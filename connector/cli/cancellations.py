"""``flask connector cancellations ...``: the cancellation desk's buttons for scripts (product.md 7, 12)."""

from __future__ import annotations

import click
from sqlalchemy import select

from connector.cli import group
from connector.cli.orders import account_named
from connector.cli.work import ACTOR, command, json_option, wait_for
from connector.core.db import db
from connector.core.errors import DomainError
from connector.domain.cancellations import APPROVE, REJECT
from connector.models.order import Cancellation
from connector.services import cancellations as desk
from connector.services import runs


@group.group("cancellations")
def cancellations() -> None:
    """Import, accept and reject cancellation requests."""


def _requests(cancel_ids: tuple[str, ...]) -> list[int]:
    """Stored requests by TikTok's id; raises ``DomainError`` naming the unknown ones."""
    found = db.session.execute(select(Cancellation.id, Cancellation.cancel_id).where(Cancellation.cancel_id.in_(cancel_ids)).order_by(Cancellation.id)).all()
    unknown = sorted(set(cancel_ids) - {row.cancel_id for row in found})
    if unknown:
        raise DomainError("cli.cancellation", f"Not stored: {', '.join(unknown)}.", "Import them first: flask connector cancellations import ACCOUNT.")
    return [row.id for row in found]


@cancellations.command("import")
@click.argument("account")
@json_option
@command
def import_(account: str, as_json: bool) -> None:
    """Read cancellations of ACCOUNT that changed since the last time, and wait."""
    found = account_named(account)
    wait_for(runs.submit("cancellations.import", account_id=found.id, key=f"schedule:cancellations.import:{found.id}", started_by=ACTOR), as_json)


@cancellations.command("accept")
@click.argument("requests", nargs=-1, required=True)
@json_option
@command
def accept(requests: tuple[str, ...], as_json: bool) -> None:
    """Accept REQUESTS (TikTok's cancellation ids): TikTok cancels, the store's orders are taken back."""
    wait_for(desk.submit(_requests(requests), APPROVE, started_by=ACTOR), as_json)


@cancellations.command("reject")
@click.argument("requests", nargs=-1, required=True)
@click.option("--reason", required=True, help="A reason name that TikTok offers for the request.")
@click.option("--comment", default="", help="For the buyer.")
@json_option
@command
def reject(requests: tuple[str, ...], reason: str, comment: str, as_json: bool) -> None:
    """Reject REQUESTS (TikTok's cancellation ids)."""
    wait_for(desk.submit(_requests(requests), REJECT, reason=reason, comment=comment, started_by=ACTOR), as_json)

"""``flask connector returns ...``: the returns desk's buttons for scripts (A214-A216)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import click
from sqlalchemy import select

from connector.cli import group
from connector.cli.orders import account_named
from connector.cli.work import ACTOR, command, json_option, wait_for
from connector.core.db import db
from connector.core.errors import DomainError
from connector.models.aftersales import Return
from connector.services import returns as desk
from connector.services import runs


def returns_numbered(return_ids: tuple[str, ...]) -> list[int]:
    """Keys of stored returns by TikTok return id; raises ``DomainError`` naming the unknown ones."""
    found = db.session.execute(select(Return.id, Return.return_id).where(Return.return_id.in_(return_ids)).order_by(Return.id)).all()
    unknown = sorted(set(return_ids) - {row.return_id for row in found})
    if unknown:
        raise DomainError("cli.return", f"Not stored: {', '.join(unknown)}.", "Import them first: flask connector returns import ACCOUNT.")
    return [row.id for row in found]


@group.group("returns")
def returns() -> None:
    """Import, accept and reject returns and refunds."""


@returns.command("import")
@click.argument("account")
@json_option
@command
def import_(account: str, as_json: bool) -> None:
    """Pull the returns of ACCOUNT now and wait."""
    found = account_named(account)
    wait_for(runs.submit("returns.import", account_id=found.id, key=f"schedule:returns.import:{found.id}", started_by=ACTOR), as_json)


@returns.command("accept")
@click.argument("return_ids", nargs=-1, required=True)
@click.option("--decision", default="", help="TikTok's decision; default: the plain one of the return's stage.")
@click.option("--amount", default="", help="Of a partial offer, for each return, in the order's currency.")
@click.option("--keep-item", is_flag=True, help="Refund and let the buyer keep the goods (APPROVE_RETURN).")
@click.option("--reason", default="", help="Needed by OFFER_PARTIAL_REFUND_AFTER_RECEIVING_PKG only.")
@json_option
@command
def accept(return_ids: tuple[str, ...], decision: str, amount: str, keep_item: bool, reason: str, as_json: bool) -> None:
    """Accept RETURN_IDS."""
    pks = returns_numbered(return_ids)
    try:
        amounts = dict.fromkeys(pks, Decimal(amount)) if amount else None
    except InvalidOperation:
        raise DomainError("cli.amount", f"{amount!r} is not an amount.", "Write it as 12.50.") from None
    wait_for(desk.submit(pks, "accept", decision=decision, reason=reason, amounts=amounts, keep_item=keep_item, started_by=ACTOR), as_json)


@returns.command("reject")
@click.argument("return_ids", nargs=-1, required=True)
@click.option("--reason", required=True, help="Name of one of the reasons that TikTok offers.")
@click.option("--comment", default="", help="For the buyer, at most 500 characters.")
@click.option("--decision", default="", help="TikTok's decision; default: the plain one of the return's stage.")
@json_option
@command
def reject(return_ids: tuple[str, ...], reason: str, comment: str, decision: str, as_json: bool) -> None:
    """Reject RETURN_IDS."""
    wait_for(desk.submit(returns_numbered(return_ids), "reject", decision=decision, reason=reason, comment=comment, started_by=ACTOR), as_json)

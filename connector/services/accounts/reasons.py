"""The reasons that TikTok offers for cancelling an order (A036). It offers them for a given order only (TTS §5.6.1), so they are kept as they are met."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.clock import utcnow
from connector.core.db import db, dialect_of, end_reading, unit_of_work
from connector.domain.rejection import read_eligibility
from connector.models.account import ShopReference
from connector.models.order import Order

CANCEL = "cancel_reason"
#: Statuses in which a seller may cancel, the likeliest first.
_ASKED = ("AWAITING_SHIPMENT", "AWAITING_COLLECTION", "ON_HOLD")


def keep(session: Session, account_id: int, names: Sequence[str]) -> None:
    """Remember reason names, verbatim, in the caller's transaction; known ones stay as they are."""
    if not names:
        return
    dialect = dialect_of(session)
    rows = [
        {"account_id": account_id, "kind": CANCEL, "parent_id": "", "remote_id": name, "name": _words(name), "data": {}, "fetched_at": utcnow()}
        for name in dict.fromkeys(names)
    ]
    insert = dialect.insert(ShopReference).on_conflict_do_nothing(index_elements=["account_id", "kind", "parent_id", "remote_id"])
    session.execute(insert, rows)


def ask(account_id: int, client: TikTokClient) -> int:
    """Ask TikTok about the newest order that may still be cancelled; how many reasons it offers. 0 while there is no such order."""
    newest = select(Order.number).where(Order.account_id == account_id, Order.remote_status.in_(_ASKED)).order_by(Order.placed_at.desc()).limit(1)
    number = db.session.scalar(newest)
    end_reading()
    if number is None:
        return 0
    try:
        names = read_eligibility(client.aftersale_eligibility(number)).reason_names
    except api.Rejected:
        return 0  # it went on its way meanwhile
    with unit_of_work() as session:
        keep(session, account_id, names)
    return len(names)


def _words(name: str) -> str:
    """``seller_cancel_reason_out_of_stock`` -> "Out of stock": the last words of TikTok's key; the key itself is kept beside it."""
    return name.rsplit("reason_", 1)[-1].replace("_", " ").strip().capitalize() or name

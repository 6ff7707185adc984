"""A person's word on the goods of a return: they came and can be sold, they cannot, or they did not come (product.md 9)."""

from __future__ import annotations

from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import unit_of_work
from connector.core.errors import DomainError
from connector.domain import returns as rules
from connector.models.aftersales import GOODS_LOST, GOODS_RECEIVED, Return
from connector.services import events
from connector.services.returns import importing


def received(return_pk: int, *, sellable: bool, actor: str, note: str = "") -> str:
    """The goods are here. Sellable ones go back into stock, once, as soon as the return is granted; saying it twice changes nothing.

    Raises ``DomainError`` for a return that brings no goods back, or whose goods were said to be lost.
    """
    with unit_of_work() as session:
        row = _locked(session, return_pk)
        if row.goods == GOODS_RECEIVED:
            return _already(row)
        if row.goods == GOODS_LOST:
            raise DomainError(
                "return.goods_lost", f"The goods of return {row.return_id} were said to be lost or not for sale.",
                "Put the units into stock in Magento by hand if they turned up after all.",
            )  # fmt: skip
        if row.return_type == rules.REFUND or importing.snapshot_of(row).buyer_keeps_item:
            raise DomainError("return.no_goods", f"Return {row.return_id} brings no goods back: the buyer keeps them.", "Nothing is to be received.")
        if row.phase == "closed":
            raise DomainError(
                "return.closed",
                f"Return {row.return_id} is closed without a refund: the goods belong to the buyer.",
                "Send them back, or refund in Seller Center.",
            )
        row.goods = GOODS_RECEIVED if sellable else GOODS_LOST
        text = f"The goods of return {row.return_id} were received" + (" and can be sold again." if sellable else ", but cannot be sold again.")
        _record(row, "return.goods_received" if sellable else "return.goods_unsellable", text, actor, note)
        if sellable:
            importing.ring_memos(row.account_id)
            text += " They go back into stock, once, when the refund is granted." if row.phase not in importing.GRANTED else " They go back into stock now."
        return text


def lost(return_pk: int, *, actor: str, note: str = "") -> str:
    """The goods did not come. Raises ``DomainError`` when they are in stock already."""
    with unit_of_work() as session:
        row = _locked(session, return_pk)
        if row.goods == GOODS_LOST:
            return f"The goods of return {row.return_id} were said to be lost before."
        if row.restocked_at is not None:
            raise DomainError(
                "return.restocked", f"The goods of return {row.return_id} went back into stock on {row.restocked_at:%d %b %Y %H:%M} UTC.",
                "Correct the stock in Magento if that was wrong.",
            )  # fmt: skip
        row.goods = GOODS_LOST
        text = f"The goods of return {row.return_id} did not come back; nothing goes into stock."
        _record(row, "return.goods_lost", text, actor, note)
        return text


def _locked(session: Session, return_pk: int) -> Return:
    row = importing.get(return_pk)
    session.refresh(row, with_for_update=True)
    return row


def _already(row: Return) -> str:
    when = f" and are in stock since {row.restocked_at:%d %b %Y %H:%M} UTC" if row.restocked_at else ""
    return f"The goods of return {row.return_id} were received before{when}."


def _record(row: Return, kind: str, text: str, actor: str, note: str) -> None:
    row.updated_at = utcnow()
    for subject, subject_id in (("return", row.id), ("order", row.order_id)):
        events.record(kind, subject, subject_id, text, account_id=row.account_id, actor=actor, reason=note)

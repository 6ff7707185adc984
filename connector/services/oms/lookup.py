"""One order for the OMS: the record that a feed holds of it, and what became of the OMS's own updates."""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect, select

from connector.core.db import db
from connector.core.errors import NotFoundError
from connector.models.account import Account
from connector.models.oms import OmsUpdate
from connector.models.order import Order, OrderLine, OrderPayload
from connector.services.oms import apply, records

_MOST = 200


def order(account_id: int, number: str) -> dict[str, Any]:
    """The order by TikTok's id or the store's number. Raises ``NotFoundError``."""
    found = apply.find_order(account_id, number) if number.isprintable() else None
    row = db.session.get(Order, found) if found else None
    account = db.session.get(Account, account_id)
    if row is None or account is None:
        raise NotFoundError("order.unknown", f"Account {account_id} has no order with this number.", "Check the number; TikTok's order id is the usual one.")
    lines = db.session.scalars(select(OrderLine).where(OrderLine.order_id == row.id).order_by(OrderLine.id)).all()
    payload = db.session.get(OrderPayload, row.id)
    body, address = (payload.body, payload.address) if payload else ({}, None)
    record = records.record({**_columns(row), "account": account.title}, [_columns(line) for line in lines], body, address)
    said = db.session.scalars(
        select(OmsUpdate).where(OmsUpdate.account_id == account_id, OmsUpdate.order_number.in_((row.number, number))).order_by(OmsUpdate.id.desc()).limit(_MOST)
    )
    return {**record, "updates": [_update(one) for one in said]}


def _columns(row: Any) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in inspect(type(row)).column_attrs}


def _update(row: OmsUpdate) -> dict[str, Any]:
    return {
        "id": row.event_id, "type": row.action, "state": row.state, "code": row.code, "message": row.message, "remedy": row.remedy,
        "received_at": row.received_at,
    }  # fmt: skip

"""One order for the OMS: the record that a feed holds of it, and what became of the OMS's own updates."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, inspect, not_, select

from connector.core.db import db
from connector.core.errors import DomainError, NotFoundError
from connector.models.account import Account
from connector.models.oms import UPDATE_IGNORED, OmsUpdate
from connector.models.order import Order, OrderLine, OrderPayload
from connector.services import policies
from connector.services.oms import apply, records, updates
from connector.services.orders.providers import known_providers

_MOST = 200


def order(account_id: int, number: str) -> dict[str, Any]:
    """The order by TikTok's id or the store's number. Raises ``NotFoundError``."""
    found = apply.find_order(account_id, number) if number.isprintable() else None
    row = db.session.get(Order, found) if found else None
    account = db.session.get(Account, account_id)
    if row is None or account is None:
        raise NotFoundError(
            "order.unknown",
            f"Account {account_id} has no order with this number.",
            "Check the number; TikTok's order id is the usual one. What you have said of an order that is not known yet stands under updates?order_id=.",
        )
    lines = db.session.scalars(select(OrderLine).where(OrderLine.order_id == row.id).order_by(OrderLine.id)).all()
    body, address = _payload(row.id)
    record = records.record({**_columns(row), "account": account.title}, [_columns(line) for line in lines], body, address)
    told = OmsUpdate.account_id == account_id, OmsUpdate.order_number.in_((row.number, number))
    repeats = and_(OmsUpdate.event_id.startswith(updates.ROW), OmsUpdate.state == UPDATE_IGNORED)
    said = db.session.scalars(select(OmsUpdate).where(*told, not_(repeats)).order_by(OmsUpdate.id.desc()).limit(_MOST))
    return {**record, "updates": [update(one) for one in said]}


def _columns(row: Any) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in inspect(type(row)).column_attrs}


def _payload(order_id: int) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """What TikTok sent of the order, and its last unmasked address; nothing when it cannot be decrypted, as in a feed."""
    try:
        found = db.session.execute(select(OrderPayload.body, OrderPayload.address).where(OrderPayload.order_id == order_id)).one_or_none()
    except ValueError:
        db.session.rollback()
        found = None
    return (found.body or {}, found.address) if found else ({}, None)


def carriers(account_id: int) -> dict[str, str]:
    """Name that a parcel may be shipped by -> TikTok's name: TikTok's own, and those of the order policy, which come first (``domain.carriers``)."""
    found = {one.name: one.name for one in known_providers(account_id)}
    try:
        policy, _ = policies.order_policy(db.session.get_one(Account, account_id))
    except DomainError:  # without a policy nothing is mapped
        return found
    return found | {row.magento_carrier: row.tiktok_carrier for row in policy.carrier_mapping}


def update(row: OmsUpdate) -> dict[str, Any]:
    """An update for the OMS, under its own id."""
    return {
        "id": updates.own_id(row) or ("" if row.event_id.startswith(updates.ROW) else row.event_id), "type": row.action, "state": row.state, "code": row.code, "message": row.message, "remedy": row.remedy,
        "received_at": row.received_at,
    }  # fmt: skip

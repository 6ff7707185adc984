"""The statements by which a page of orders is written: one a table, each built once a dialect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import and_, case, func, or_
from sqlalchemy.orm import Session

from connector.core.crypto import vault
from connector.core.db import dialect_of
from connector.domain import tiktok_order as tiktok
from connector.domain.tiktok_order import LineSnapshot, OrderSnapshot
from connector.models.order import BuyerToken, Order, OrderLine, OrderPayload
from connector.services.orders.received import Received

_BESIDE = {"lines", "address", "buyer_name", "buyer_email", "buyer_phone", "units"}
HEADER = tuple(f.name for f in fields(OrderSnapshot) if f.name not in _BESIDE)
header_of = attrgetter(*HEADER)
LINE = tuple(f.name for f in fields(LineSnapshot))
line_of = attrgetter(*LINE)


# Building a statement of forty columns costs as much as writing ten rows with it, so each is built once a dialect.


@cache
def upsert_orders(dialect: Any) -> Any:
    """Insert, or take over TikTok's side where this version is not older. An address once seen unmasked stays usable (TTS §5.4.5)."""
    table = Order.__table__
    statement = dialect.insert(table)
    new = statement.excluded
    values = {name: new[name] for name in (*HEADER, "digest", "updated_at") if name not in ("number", "has_address", "address_masked")}
    clear_now = and_(new.has_address, ~new.address_masked)
    clear_before = and_(table.c.has_address, ~table.c.address_masked)
    values["has_address"] = or_(table.c.has_address, new.has_address)
    values["address_masked"] = case((or_(clear_now, clear_before), False), else_=or_(table.c.address_masked, new.address_masked))
    return statement.on_conflict_do_update(index_elements=["account_id", "number"], set_=values, where=table.c.remote_updated_at <= new.remote_updated_at)


@cache
def upsert_lines(dialect: Any) -> Any:
    """Lines by TikTok's line id. Only what TikTok tells is replaced; what we know of a line (its Magento item) stays."""
    statement = dialect.insert(OrderLine.__table__)
    values = {name: statement.excluded[name] for name in LINE if name != "line_id"}
    return statement.on_conflict_do_update(index_elements=["order_id", "line_id"], set_=values)


@cache
def upsert_payloads(dialect: Any) -> Any:
    """The body is replaced; address, name and e-mail only by unmasked ones (the others come as NULL)."""
    table = OrderPayload.__table__
    statement = dialect.insert(table)
    kept = {name: func.coalesce(statement.excluded[name], table.c[name]) for name in ("address", "buyer_name", "buyer_email")}
    return statement.on_conflict_do_update(index_elements=["order_id"], set_={"body": statement.excluded.body, **kept})


@cache
def add_tokens(dialect: Any) -> Any:
    return dialect.insert(BuyerToken.__table__).on_conflict_do_nothing()


def write_beside(session: Session, ids: dict[str, int], written: Sequence[Received]) -> None:
    """Lines, the encrypted payload and the buyer's search tokens."""
    lines: list[dict[str, Any]] = []
    payloads: list[dict[str, Any]] = []
    tokens: list[dict[str, Any]] = []
    digest = vault().blind_index
    for one in written:
        snapshot, order_id = one.snapshot, ids[one.snapshot.number]
        for line in snapshot.lines:
            row = dict(zip(LINE, line_of(line), strict=True))
            row["order_id"] = order_id
            lines.append(row)
        clear = snapshot.has_address and not snapshot.address_masked
        payloads.append(
            {
                "order_id": order_id,
                "body": one.payload,
                "address": snapshot.address if clear else None,
                "buyer_name": snapshot.buyer_name if clear else None,
                "buyer_email": snapshot.buyer_email or None,
            }
        )
        words = tiktok.buyer_words(snapshot.buyer_name, snapshot.buyer_email, snapshot.buyer_phone)
        tokens += [{"order_id": order_id, "token": digest(word)} for word in words]
    dialect = dialect_of(session)
    for statement, rows in ((upsert_lines, lines), (upsert_payloads, payloads), (add_tokens, tokens)):
        if rows:
            session.execute(statement(dialect), rows)

"""The installation's encryption keys: whether they fit what is stored here, and changing them (product rule 12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from sqlalchemy import LargeBinary, Text, bindparam, column, delete, select, table, tuple_, update
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.crypto import vault
from connector.core.db import Base, EncryptedJSON, EncryptedText, db, dialect_of, unit_of_work
from connector.core.errors import DomainError
from connector.domain import tiktok_order
from connector.models.account import Account, MagentoConnection, Setting
from connector.models.oms import OrderFeedChunk
from connector.models.order import BuyerToken, OrderPayload
from connector.models.run import JobItem

SAMPLE = "encryption.sample"
BATCH = 200


def check() -> None:
    """Raise ``DomainError`` when the present keys do not fit this database. The first time a sample is left, so that a host with keys of its own is noticed
    before it writes what the others cannot read."""
    try:
        if _sample() is None:
            for secret in (Account.access_token, MagentoConnection.access_token):
                db.session.scalars(select(secret).limit(5)).all()
            with unit_of_work() as session:
                row = {"key": SAMPLE, "secret": "connector", "updated_at": utcnow()}
                session.execute(dialect_of(session).insert(Setting).on_conflict_do_nothing(index_elements=["key"]), [row])
            _sample()
    except ValueError as error:
        raise DomainError(
            "keys.other",
            "The encryption keys of this host are not those with which this database was written.",
            "Give every host the same CONNECTOR_ENCRYPTION_KEYS (a new key stands in front of the old ones), or put back instance/encryption.key.",
        ) from error
    finally:
        db.session.commit()


def _sample() -> str | None:
    return db.session.scalar(select(Setting.secret).where(Setting.key == SAMPLE))


def renew(progress: Callable[[str, int], None] = lambda name, count: None) -> dict[str, int]:
    """Encrypt everything that is stored with the first key, so that the others can be removed; counts of rewritten rows by table.

    May run while the product does, and again after a stop: a row that is changed meanwhile is left, for it was written with the first key already. Every process
    must know the first key. Raises ``DomainError`` when something fits none of the keys.
    """
    counts: dict[str, int] = {}
    try:
        for name, batch in _batches():
            with unit_of_work() as session:
                counts[name] = counts.get(name, 0) + batch(session)
            progress(name, counts[name])
    except ValueError as error:
        raise DomainError("keys.missing", str(error), "Then run this again; what was rewritten so far stays.") from error
    return {name: count for name, count in counts.items() if count}


Batch = Callable[[Session], int]


def _batches() -> Iterator[tuple[str, Batch]]:
    for mapped in Base.metadata.sorted_tables:
        for one in mapped.columns:
            if isinstance(one.type, EncryptedText | EncryptedJSON):
                yield from _walk(mapped.name, [key.name for key in mapped.primary_key], one.name, vault().renew, Text())
    yield from _walk(OrderFeedChunk.__tablename__, ["id"], "body", vault().renew_sealed, LargeBinary())
    yield from _walk(JobItem.__tablename__, ["id"], "data", _parked, Text(), only='%"payload"%')
    yield from _tokens()


def _walk(name: str, keys: list[str], value: str, renewed: Callable[[Any], Any], kind: Any, *, only: str = "") -> Iterator[tuple[str, Batch]]:
    """A column as it is stored, row by row in the order of the primary key; ``renewed`` gives None for what can stay."""
    raw = table(name, *(column(key) for key in keys), column(value, kind))
    here, key = raw.c[value], tuple_(*(raw.c[each] for each in keys))
    after: tuple[Any, ...] | None = None
    while True:
        wanted = select(*(raw.c[each] for each in keys), here).where(here.is_not(None)).order_by(*(raw.c[each] for each in keys)).limit(BATCH)
        if only:
            wanted = wanted.where(here.like(only))
        rows = db.session.execute(wanted if after is None else wanted.where(key > tuple_(*(bindparam(None, each) for each in after)))).all()
        db.session.commit()
        if not rows:
            return
        changed = [
            {"before": row[-1], "after": fresh, **{f"key_{n}": row[n] for n in range(len(keys))}} for row in rows if (fresh := renewed(row[-1])) is not None
        ]

        def write(session: Session, changed: list[dict[str, Any]] = changed) -> int:
            statement = (
                update(raw)
                .where(here == bindparam("before", type_=kind), *(raw.c[each] == bindparam(f"key_{n}") for n, each in enumerate(keys)))
                .values({value: bindparam("after", type_=kind)})
            )
            if changed:
                session.connection().execute(statement, changed)
            return len(changed)

        yield name, write
        after = tuple(rows[-1][:-1])


def _parked(data: str) -> str | None:
    """What a parked record keeps: its payload is encrypted inside the item's data."""
    told = orjson.loads(data)
    if not isinstance(told, dict) or not isinstance(told.get("payload"), str) or not told["payload"].startswith("gAAAA"):
        return None
    fresh = vault().renew(told["payload"])
    return None if fresh is None else orjson.dumps({**told, "payload": fresh}).decode()


def _tokens() -> Iterator[tuple[str, Batch]]:
    """Digests cannot be turned into others: they are made anew from the buyers' data."""
    if len(vault().blind_indexes("")) == 1:
        return
    last = 0
    while True:
        payloads = db.session.scalars(select(OrderPayload).where(OrderPayload.order_id > last).order_by(OrderPayload.order_id).limit(BATCH)).all()
        db.session.commit()
        if not payloads:
            return
        rows = [{"order_id": one.order_id, "token": vault().blind_index(word)} for one in payloads for word in _words(one)]
        ids = [one.order_id for one in payloads]
        db.session.expunge_all()

        def write(session: Session, rows: list[dict[str, Any]] = rows, ids: list[int] = ids) -> int:
            session.execute(delete(BuyerToken).where(BuyerToken.order_id.in_(ids)))
            if rows:
                session.execute(dialect_of(session).insert(BuyerToken).on_conflict_do_nothing(), rows)
            return len(rows)

        yield BuyerToken.__tablename__, write
        last = ids[-1]


def _words(payload: OrderPayload) -> set[str]:
    address = payload.address or payload.body.get("recipient_address") or {}
    name = payload.buyer_name or str(address.get("name") or "")
    return tiktok_order.buyer_words(name, payload.buyer_email or "", str(address.get("phone_number") or ""))

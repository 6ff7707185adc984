"""Database: engine, session, transactions and the column types of the house.

SQLAlchemy speaks to SQLite (embedded) and PostgreSQL (production) alike. Two rules are enforced here: writes on SQLite take their lock
at the start (``BEGIN IMMEDIATE``), so that they wait for each other instead of failing half-way, and an open transaction is visible to
the clients' ``before_send`` hook, so that no HTTP call can happen inside one (product rule 3).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import orjson
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, DateTime, Integer, MetaData, Text, event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from connector.core import crypto

T = TypeVar("T")

#: Ten-thousandths: Magento keeps four decimals, no TikTok currency has more than two.
AMOUNT_SCALE = Decimal(10000)

_write_lock_wanted: ContextVar[bool] = ContextVar("write_lock_wanted", default=False)


class Base(DeclarativeBase):
    """Declarative base; constraint names follow one convention so that migrations can name them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False, "autoflush": False})

#: A 64-bit key that SQLite still treats as its rowid.
BigId = BigInteger().with_variant(Integer, "sqlite")


class UTCDateTime(TypeDecorator[datetime]):
    """Aware UTC instants; a naive one is refused rather than guessed."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without a time zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Amount(TypeDecorator[Decimal]):
    """Exact money: ``Decimal`` in the code, whole ten-thousandths in the database (sortable, summable, never a float)."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> int | None:
        if value is None:
            return None
        scaled = Decimal(value) * AMOUNT_SCALE
        if scaled != scaled.to_integral_value():
            raise ValueError(f"{value} has more than four decimals")
        return int(scaled)

    def process_result_value(self, value: int | None, dialect: Any) -> Decimal | None:
        return None if value is None else Decimal(value) / AMOUNT_SCALE

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        return self


class EncryptedText(TypeDecorator[str]):
    """Text that is encrypted before it reaches the database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else crypto.vault().encrypt(value)

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else crypto.vault().decrypt(value)


class EncryptedJSON(TypeDecorator[Any]):
    """A JSON document that is encrypted before it reaches the database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else crypto.vault().encrypt(orjson.dumps(value).decode())

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else orjson.loads(crypto.vault().decrypt(value))


class JSONText(TypeDecorator[Any]):
    """A plain JSON document; the same text on every database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else orjson.dumps(value, default=str).decode()

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else json.loads(value)


@event.listens_for(Engine, "connect")
def _on_connect(connection: Any, record: Any) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.isolation_level = None  # we say BEGIN ourselves, or a savepoint would commit on release
    cursor = connection.cursor()
    # 8 MB: each connection of the pool fills a cache of its own, while the system keeps the file's pages for all of them
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000", "cache_size=-8000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


@event.listens_for(Engine, "begin")
def _on_begin(connection: Any) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if _write_lock_wanted.get() else "BEGIN")


@contextmanager
def unit_of_work() -> Iterator[Session]:
    """One write transaction: commits at the end, rolls back on any error.

    Nested use joins the outer one. A read transaction that happens to be open is ended first, because on SQLite a reader cannot become a
    writer once somebody else has written.
    """
    session = db.session
    if session.info.get("unit_of_work"):
        yield session()
        return
    if session().in_transaction():
        session.commit()
    token = _write_lock_wanted.set(True)
    session.info["unit_of_work"] = True
    try:
        yield session()
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.info.pop("unit_of_work", None)
        _write_lock_wanted.reset(token)


def in_parts(values: Iterable[T], size: int = 500) -> Iterator[list[T]]:
    """Each value once, at most ``size`` at a time: a statement takes a limited number of them."""
    every = list(dict.fromkeys(values))
    return (every[start : start + size] for start in range(0, len(every), size))


def dialect_of(session: Session) -> Any:
    """The database's own statements, such as ``insert(...).on_conflict_do_nothing``: ``sqlalchemy.dialects.postgresql`` or ``sqlite``."""
    return postgresql if session.get_bind().dialect.name == "postgresql" else sqlite


#: PostgreSQL's conditions that pass: connection lost, rolled back for another one, no resources left, locked, shutting down. Others of ``OperationalError``,
#: such as an index row that is too long, are the statement's own and would come again.
_PASSING = ("08", "40", "53", "55P03", "57P")


def is_away(error: BaseException) -> bool:
    """Whether the database did not answer, or could not go on, for a reason that passes: what asked is not at fault and asks again later."""
    if isinstance(error, exc.TimeoutError):  # every connection of the pool is taken
        return True
    if not isinstance(error, exc.OperationalError | exc.InterfaceError):
        return False
    if isinstance(error.orig, sqlite3.Error):  # SQLite says the same of a table that is missing
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
    state = getattr(error.orig, "sqlstate", None)  # none: no server has answered
    return state is None or state.startswith(_PASSING)


def end_reading() -> None:
    """End the present read transaction before something slow (an HTTP call) begins."""
    if db.session.info.get("unit_of_work"):
        raise RuntimeError("a write transaction is open: read and decide, then call, then record")
    db.session.commit()


def forbid_open_transaction() -> None:
    """The clients' ``before_send`` hook: refuse to talk HTTP while this thread's session is inside a transaction."""
    if db.session.registry.has() and db.session().in_transaction():
        if db.session.info.get("unit_of_work"):
            raise RuntimeError("an HTTP call was about to be made inside a database transaction")
        db.session.commit()  # nothing but reads: simply end it

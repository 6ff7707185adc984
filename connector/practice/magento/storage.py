"""The practice store's data: one SQLite file, many readers, one writer.

Entities are JSON documents beside the few columns that carry keys. Filters and indexes work on the same `json_extract` expressions, so any
column of an order is searchable and the hot ones are indexed. SIGKILL loses nothing that was committed (WAL); only a power failure could,
which a practice store may.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

Doc = dict[str, Any]


def expression(field: str) -> str:
    """The SQL of one document field, the same text in filters and in indexes."""
    return f"json_extract(doc,'$.{field}')"


_DOCUMENTS = ("sales_order", "invoice", "shipment", "creditmemo", "customer", "quote", "integration", "email")
_INDEXED = {
    "sales_order": ("increment_id", "ext_order_id", "customer_email", "status", "created_at", "updated_at"),
    "invoice": ("order_id", "created_at"),
    "shipment": ("order_id", "created_at"),
    "creditmemo": ("order_id", "created_at"),
    "customer": ("email",),
    "order_item": ("order_id", "sku"),
    "product": ("updated_at", "type_id"),
}
_NUMERIC = {"order_id", "quote_id"}

SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS config (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS product (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sku TEXT NOT NULL COLLATE NOCASE, url_key TEXT UNIQUE, doc TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS product_sku ON product (sku);
CREATE TABLE IF NOT EXISTS source_item (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sku TEXT NOT NULL COLLATE NOCASE, source_code TEXT NOT NULL,
    quantity NUMERIC NOT NULL, status INTEGER NOT NULL, UNIQUE (sku, source_code));
CREATE TABLE IF NOT EXISTS reservation (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stock_id INTEGER NOT NULL, sku TEXT NOT NULL COLLATE NOCASE, quantity NUMERIC NOT NULL,
    event TEXT NOT NULL, increment_id TEXT);
CREATE INDEX IF NOT EXISTS reservation_sum ON reservation (sku, stock_id, quantity);
CREATE INDEX IF NOT EXISTS reservation_order ON reservation (increment_id);
CREATE TABLE IF NOT EXISTS order_item (id INTEGER PRIMARY KEY AUTOINCREMENT, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS track (id INTEGER PRIMARY KEY AUTOINCREMENT, parent_id INTEGER NOT NULL, doc TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS track_parent ON track (parent_id);
"""
    + "".join(f"CREATE TABLE IF NOT EXISTS {name} (id INTEGER PRIMARY KEY AUTOINCREMENT, doc TEXT NOT NULL);\n" for name in _DOCUMENTS)
    + "CREATE INDEX IF NOT EXISTS sales_order_quote_id ON sales_order (json_extract(doc,'$.quote_id'));\n"
    + "CREATE INDEX IF NOT EXISTS quote_mask ON quote (json_extract(doc,'$.mask'));\n"
    + "CREATE UNIQUE INDEX IF NOT EXISTS sales_order_number ON sales_order"
    + " (json_extract(doc,'$.increment_id'), json_extract(doc,'$.store_id'));\n"
    + "".join(
        f"CREATE INDEX IF NOT EXISTS {table}_{field} ON {table} ({expression(field)}{'' if field in _NUMERIC else ' COLLATE NOCASE'});\n"
        for table, fields in _INDEXED.items()
        for field in fields
    )
)


class Tables:
    """One transaction's view of the data."""

    def __init__(self, connection: sqlite3.Connection, storage: Storage) -> None:
        self._connection = connection
        self.storage = storage
        self.generation = storage.generation
        self.dirty = False  # configuration changed in this transaction

    def all(self, sql: str, *args: Any) -> list[tuple]:
        return self._connection.execute(sql, args).fetchall()

    def one(self, sql: str, *args: Any) -> tuple | None:
        return self._connection.execute(sql, args).fetchone()

    def run(self, sql: str, *args: Any) -> sqlite3.Cursor:
        return self._connection.execute(sql, args)

    def run_many(self, sql: str, rows: list[tuple]) -> None:
        self._connection.executemany(sql, rows)

    def get(self, table: str, key: int) -> Doc | None:
        row = self.one(f"SELECT doc FROM {table} WHERE id = ?", key)
        return orjson.loads(row[0]) if row else None

    def where(self, table: str, condition: str, *args: Any) -> list[Doc]:
        return [orjson.loads(row[0]) for row in self.all(f"SELECT doc FROM {table} WHERE {condition}", *args)]

    def put(self, table: str, key: int, doc: Mapping[str, Any]) -> None:
        self.run(f"UPDATE {table} SET doc = ? WHERE id = ?", orjson.dumps(doc).decode(), key)

    def add(self, table: str, doc: Doc, id_field: str, **columns: Any) -> int:
        """Insert a document and write its new id into it."""
        names = "".join(f", {name}" for name in columns)
        marks = ", ?" * len(columns)
        values = tuple(columns.values())
        key = self.run(f"INSERT INTO {table} (doc{names}) VALUES ('{{}}'{marks})", *values).lastrowid
        doc[id_field] = key
        self.put(table, key, doc)
        return key

    def next(self, counter: str) -> int:
        """The next number of a named sequence, from 1."""
        sql = "INSERT INTO counter VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
        return self._connection.execute(sql, (counter,)).fetchone()[0]

    def config(self, name: str) -> Any:
        """A configuration document (shared, treat as read-only), or None."""
        return self.storage.config(name, self)

    def set_config(self, name: str, value: Any) -> None:
        self.run("INSERT OR REPLACE INTO config VALUES (?, ?)", name, orjson.dumps(value))
        self.dirty = True


class Storage:
    """Opens the file, hands out transactions, keeps small configuration documents in memory."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._path = data_dir / "magento.sqlite3"
        self._writer = threading.RLock()
        self._local = threading.local()
        self.flights: dict[str, int] = {}  # carts being placed right now
        self.leaks: dict[str, tuple[threading.Event, threading.Event]] = {}  # by cart: a second caller has come; the first is done
        self.flights_lock = threading.Lock()
        self._config: dict[str, Any] = {}
        self.generation = 0  # of the configuration, so that a slow reader does not cache an old one
        with self.write() as db:
            for statement in filter(str.strip, SCHEMA.split(";\n")):
                db.run(statement)

    def _connection(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")
            self._local.connection = connection
        return connection

    @contextmanager
    def read(self) -> Iterator[Tables]:
        connection = self._connection()
        connection.execute("BEGIN")
        try:
            yield Tables(connection, self)
        finally:
            connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[Tables]:
        """A transaction under the one writer lock; an exception with a true `keep` attribute commits all the same."""
        with self._writer:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            db = Tables(connection, self)
            try:
                yield db
            except BaseException as error:
                connection.execute("COMMIT" if getattr(error, "keep", False) else "ROLLBACK")
                raise
            connection.execute("COMMIT")
            if db.dirty:
                self.generation += 1
                self._config = {}

    def config(self, name: str, db: Tables) -> Any:
        cached = self._config
        if not db.dirty and name in cached:
            return cached[name]
        row = db.one("SELECT value FROM config WHERE name = ?", name)
        value = orjson.loads(row[0]) if row else None
        if not db.dirty and db.generation == self.generation:
            cached[name] = value
        return value

    def wipe(self, db: Tables) -> None:
        """Empty every table and restart the ids."""
        for (name,) in db.all("SELECT name FROM sqlite_master WHERE type = 'table'"):
            if name != "sqlite_sequence":
                db.run(f"DELETE FROM {name}")
        db.run("DELETE FROM sqlite_sequence")
        db.dirty = True

"""Storage of the practice marketplace: one SQLite file in WAL mode, documents as ready-made JSON beside the columns that are searched.

Reads go through one connection a thread and never wait for the writer. Writes take one lock, so that an operation is one transaction and a
killed process leaves either all of it or nothing.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS shops (id TEXT PRIMARY KEY, cipher TEXT NOT NULL UNIQUE, region TEXT NOT NULL, doc BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS grants (
  id INTEGER PRIMARY KEY, open_id TEXT NOT NULL, shop_ids BLOB NOT NULL, scopes BLOB NOT NULL, active INTEGER NOT NULL DEFAULT 1,
  refresh_expires INTEGER NOT NULL, next_warning INTEGER);
CREATE TABLE IF NOT EXISTS ended_shops (grant_id INTEGER NOT NULL, shop_id TEXT NOT NULL, PRIMARY KEY (grant_id, shop_id));
CREATE TABLE IF NOT EXISTS codes (code TEXT PRIMARY KEY, shop_ids BLOB NOT NULL, expires INTEGER NOT NULL, used INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS tokens (
  token TEXT PRIMARY KEY, kind TEXT NOT NULL, grant_id INTEGER NOT NULL, expires INTEGER NOT NULL, dead INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS orders (
  id TEXT PRIMARY KEY, shop_id TEXT NOT NULL, status TEXT NOT NULL, create_time INTEGER NOT NULL, update_time INTEGER NOT NULL,
  due_time INTEGER, shipping_type TEXT NOT NULL, buyer_user_id TEXT NOT NULL, cancel_requested INTEGER NOT NULL,
  warehouse_id TEXT NOT NULL, doc BLOB NOT NULL, inner BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS orders_update ON orders (shop_id, update_time, id);
CREATE INDEX IF NOT EXISTS orders_create ON orders (shop_id, create_time, id);
CREATE INDEX IF NOT EXISTS orders_status_update ON orders (shop_id, status, update_time, id);
CREATE INDEX IF NOT EXISTS orders_status_create ON orders (shop_id, status, create_time, id);
CREATE INDEX IF NOT EXISTS orders_due ON orders (due_time) WHERE due_time IS NOT NULL;
CREATE TABLE IF NOT EXISTS packages (
  id TEXT PRIMARY KEY, shop_id TEXT NOT NULL, order_id TEXT NOT NULL, status TEXT NOT NULL, tracking_number TEXT NOT NULL,
  create_time INTEGER NOT NULL, update_time INTEGER NOT NULL, order_pay_time INTEGER NOT NULL, doc BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS packages_create ON packages (shop_id, create_time, id);
CREATE INDEX IF NOT EXISTS packages_update ON packages (shop_id, update_time, id);
CREATE INDEX IF NOT EXISTS packages_tracking ON packages (tracking_number);
CREATE TABLE IF NOT EXISTS cancellations (
  id TEXT PRIMARY KEY, shop_id TEXT NOT NULL, order_id TEXT NOT NULL, status TEXT NOT NULL, type TEXT NOT NULL, buyer_user_id TEXT NOT NULL,
  create_time INTEGER NOT NULL, update_time INTEGER NOT NULL, doc BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS cancellations_create ON cancellations (shop_id, create_time, id);
CREATE INDEX IF NOT EXISTS cancellations_update ON cancellations (shop_id, update_time, id);
CREATE INDEX IF NOT EXISTS cancellations_order ON cancellations (order_id);
CREATE TABLE IF NOT EXISTS returns (
  id TEXT PRIMARY KEY, shop_id TEXT NOT NULL, order_id TEXT NOT NULL, status TEXT NOT NULL, type TEXT NOT NULL, buyer_user_id TEXT NOT NULL,
  arbitration TEXT NOT NULL, proposed TEXT NOT NULL, create_time INTEGER NOT NULL, update_time INTEGER NOT NULL, doc BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS returns_create ON returns (shop_id, create_time, id);
CREATE INDEX IF NOT EXISTS returns_update ON returns (shop_id, update_time, id);
CREATE INDEX IF NOT EXISTS returns_order ON returns (order_id);
CREATE TABLE IF NOT EXISTS external_orders (
  order_id TEXT NOT NULL, platform TEXT NOT NULL, external_id TEXT NOT NULL, shop_id TEXT NOT NULL, doc BLOB NOT NULL,
  PRIMARY KEY (order_id, platform));
CREATE INDEX IF NOT EXISTS external_orders_id ON external_orders (shop_id, platform, external_id);
CREATE TABLE IF NOT EXISTS products (
  id TEXT PRIMARY KEY, shop_id TEXT NOT NULL, status TEXT NOT NULL, audit_status TEXT NOT NULL, tree TEXT NOT NULL, quality TEXT NOT NULL,
  external_id TEXT, create_time INTEGER NOT NULL, update_time INTEGER NOT NULL, due_time INTEGER, doc BLOB NOT NULL, inner BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS products_create ON products (shop_id, create_time, id);
CREATE INDEX IF NOT EXISTS products_status ON products (shop_id, status, create_time, id);
CREATE INDEX IF NOT EXISTS products_update ON products (shop_id, update_time, create_time, id);
CREATE INDEX IF NOT EXISTS products_status_update ON products (shop_id, status, update_time, create_time, id);
CREATE INDEX IF NOT EXISTS products_external ON products (shop_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS products_due ON products (due_time) WHERE due_time IS NOT NULL;
CREATE TABLE IF NOT EXISTS product_versions (product_id TEXT NOT NULL, version TEXT NOT NULL, doc BLOB NOT NULL, PRIMARY KEY (product_id, version));
CREATE TABLE IF NOT EXISTS skus (
  id TEXT PRIMARY KEY, product_id TEXT NOT NULL, shop_id TEXT NOT NULL, position INTEGER NOT NULL, seller_sku TEXT NOT NULL, code TEXT,
  live INTEGER NOT NULL, status TEXT NOT NULL DEFAULT 'NORMAL', source TEXT, price BLOB NOT NULL, locked INTEGER NOT NULL DEFAULT 0, auto_restock INTEGER);
CREATE INDEX IF NOT EXISTS skus_product ON skus (product_id, position);
CREATE INDEX IF NOT EXISTS skus_seller ON skus (shop_id, seller_sku);
CREATE INDEX IF NOT EXISTS skus_code ON skus (shop_id, code) WHERE code IS NOT NULL;
CREATE TABLE IF NOT EXISTS stock (
  sku_id TEXT NOT NULL, warehouse_id TEXT NOT NULL, available INTEGER NOT NULL, committed INTEGER NOT NULL DEFAULT 0, more BLOB,
  PRIMARY KEY (sku_id, warehouse_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
  uri TEXT PRIMARY KEY, kind TEXT NOT NULL, use_case TEXT NOT NULL, format TEXT NOT NULL, name TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
  sha256 TEXT NOT NULL, size INTEGER NOT NULL, time INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS custom_brands (id TEXT PRIMARY KEY, name TEXT NOT NULL, open_id TEXT NOT NULL, time INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS idempotency (shop_id TEXT, operation TEXT, key TEXT, answer BLOB, PRIMARY KEY (shop_id, operation, key));
CREATE TABLE IF NOT EXISTS webhook_addresses (
  shop_id TEXT NOT NULL, event_type TEXT NOT NULL, address TEXT NOT NULL, create_time INTEGER NOT NULL, update_time INTEGER NOT NULL,
  PRIMARY KEY (shop_id, event_type));
CREATE TABLE IF NOT EXISTS deliveries (
  id INTEGER PRIMARY KEY, shop_id TEXT NOT NULL, type INTEGER NOT NULL, address TEXT NOT NULL, body BLOB NOT NULL, state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, due_time REAL, last_status TEXT);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due_time) WHERE due_time IS NOT NULL;
CREATE TABLE IF NOT EXISTS faults (id INTEGER PRIMARY KEY, doc BLOB NOT NULL, hits INTEGER NOT NULL DEFAULT 0);
"""

EPHEMERAL = (
    *("orders", "packages", "cancellations", "returns", "external_orders", "idempotency"),
    *("webhook_addresses", "deliveries", "faults"),
    *("products", "product_versions", "skus", "stock", "objects", "custom_brands"),
)


class Store:
    """`read` is this thread's connection; `write()` a transaction on it, entered by one thread at a time and re-enterable by that thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._lock = threading.RLock()
        self._depth = 0
        self.read.executescript(SCHEMA)

    @property
    def read(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=30, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "temp_store=MEMORY", "cache_size=-16000"):
                connection.execute(f"PRAGMA {pragma}")
            self._local.connection = connection
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self.read
            outermost = self._depth == 0
            if outermost:
                connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield connection
            except BaseException:
                if outermost:
                    connection.execute("ROLLBACK")
                raise
            else:
                if outermost:
                    connection.execute("COMMIT")
            finally:
                self._depth -= 1

    def meta(self, name: str, default: Any = None) -> Any:
        row = self.read.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return orjson.loads(row[0]) if row else default

    def set_meta(self, name: str, value: Any) -> None:
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, orjson.dumps(value)))

    def take_numbers(self, name: str, count: int = 1) -> range:
        """The next `count` numbers of a counter. They are never given twice, not even after a crash."""
        with self.write():
            first = self.meta(f"counter:{name}", 1)
            self.set_meta(f"counter:{name}", first + count)
        return range(first, first + count)

    def clear(self, *, authorizations: bool) -> None:
        with self.write() as db:
            for table in (*EPHEMERAL, *(("grants", "ended_shops", "codes", "tokens") if authorizations else ())):
                db.execute(f"DELETE FROM {table}")
            db.execute("DELETE FROM meta WHERE name IN ('category_changes', 'shop_failures')")

"""The OMS's memory: settings, the calls it got, the feeds and orders it collected, the events it knows."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from connector.practice.control import change
from connector.practice.notebook import Notebook

Doc = dict[str, Any]
TYPES = ("shipped", "cancelled", "delivered", "cancellation_answered", "goods_received")
#: How an event leaves: pushed as a signed call, offered at `/statuses`, kept for the next export.
WAYS = ("event", "pull", "export")
SETTINGS: Doc = {
    "product_url": os.environ.get("PRACTICE_CONNECTOR_URL", "http://127.0.0.1:5000"),
    "account_id": 1,
    "secret": "",
    "api_token": "",
    "pull_token": "",
    "collect": True,  # a feed-ready call starts the collection
    "break_after": 0,  # bytes after which every first attempt breaks off, so that the rest has to be resumed
    "auto_ship": False,  # every order that is to be shipped is shipped once, as soon as its feed is in
    "auto_ship_by": "event",
    "carrier": "USPS",
    "folder": "",
}
SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, doc BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS feeds (id TEXT PRIMARY KEY, state TEXT NOT NULL, doc BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
  order_id TEXT PRIMARY KEY, status TEXT NOT NULL, feed_id TEXT NOT NULL, seen INTEGER NOT NULL, shipped INTEGER NOT NULL DEFAULT 0, doc BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS events (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, way TEXT NOT NULL, exported INTEGER NOT NULL DEFAULT 0, doc BLOB NOT NULL);
"""


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Desk:
    """The state of one OMS under `data_dir`."""

    def __init__(self, data_dir: Path) -> None:
        from .collecting import Collector

        self.folder = data_dir
        self.notes = Notebook(data_dir / "oms.sqlite3", SCHEMA)
        self.collector = Collector(self)

    def reset(self) -> None:
        """Nothing collected, nothing known, settings as at first."""
        with self.notes.write() as db:
            for table in ("calls", "feeds", "orders", "events", "meta"):
                db.execute(f"DELETE FROM {table}")
        for path in self.collector.folder.glob("*"):
            path.unlink()

    @property
    def settings(self) -> Doc:
        return {**SETTINGS, **self.notes.meta("settings", {})}

    def change_settings(self, wishes: Doc) -> Doc:
        settings = change(self.settings, wishes)
        if settings["auto_ship_by"] not in WAYS:
            raise ValueError(f"auto_ship_by is one of {', '.join(WAYS)}")
        with self.notes.write() as db:
            self.notes.set_meta(db, "settings", settings)
        return settings

    # --- calls ----------------------------------------------------------------------------------------------------------

    def note_call(self, operation: str, outcome: int, **facts: Any) -> None:
        with self.notes.write() as db:
            doc = {"at": iso(time.time()), "operation": operation, "status": outcome, **facts}
            db.execute("INSERT INTO calls (doc) VALUES (?)", (orjson.dumps(doc),))

    def calls(self) -> list[Doc]:
        return [{"id": row["id"], **orjson.loads(row["doc"])} for row in self.notes.read.execute("SELECT * FROM calls ORDER BY id")]

    # --- feeds ----------------------------------------------------------------------------------------------------------

    def feed(self, feed_id: str) -> Doc:
        """Raises LookupError."""
        row = self.notes.read.execute("SELECT state, doc FROM feeds WHERE id = ?", (feed_id,)).fetchone()
        if row is None:
            raise LookupError(f"no feed {feed_id} was announced")
        return {**orjson.loads(row["doc"]), "state": row["state"]}

    def feeds(self) -> list[Doc]:
        return [self.feed(row["id"]) for row in self.notes.read.execute("SELECT id FROM feeds ORDER BY rowid").fetchall()]

    def save_feed(self, feed: Doc) -> None:
        with self.notes.write() as db:
            db.execute(
                "INSERT INTO feeds VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state, doc = excluded.doc",
                (str(feed["feed_id"]), feed["state"], orjson.dumps(feed)),
            )

    # --- orders ---------------------------------------------------------------------------------------------------------

    def take_orders(self, feed_id: str, orders: Iterable[tuple[str, str, Doc]]) -> None:
        """`(order id, status, document)`; a later feed replaces what an earlier one said."""
        with self.notes.write() as db:
            db.executemany(
                "INSERT INTO orders (order_id, status, feed_id, seen, doc) VALUES (?, ?, ?, 1, ?) ON CONFLICT (order_id) DO UPDATE SET "
                "status = excluded.status, feed_id = excluded.feed_id, seen = seen + 1, doc = excluded.doc",
                [(order_id, status, feed_id, orjson.dumps(doc)) for order_id, status, doc in orders],
            )

    def orders(self, *, limit: int = -1, after: str = "") -> list[Doc]:
        rows = self.notes.read.execute("SELECT * FROM orders WHERE order_id > ? ORDER BY order_id LIMIT ?", (after, limit))
        return [{**dict(row), "shipped": bool(row["shipped"]), "doc": orjson.loads(row["doc"])} for row in rows]

    def latest(self, limit: int) -> list[Doc]:
        """Those that a feed spoke of last, without their documents."""
        return [
            dict(row)
            for row in self.notes.read.execute("SELECT order_id, status, feed_id FROM orders ORDER BY feed_id + 0 DESC, order_id DESC LIMIT ?", (limit,))
        ]

    def order_counts(self) -> dict[str, int]:
        return dict(self.notes.read.execute("SELECT status, count(*) FROM orders GROUP BY status ORDER BY status").fetchall())

    def to_ship(self) -> list[str]:
        """Takes the orders that wait for shipping and were not shipped from here, and marks them: each comes once."""
        with self.notes.write() as db:
            rows = db.execute("UPDATE orders SET shipped = 1 WHERE status = 'AWAITING_SHIPMENT' AND shipped = 0 RETURNING order_id").fetchall()
        return [row["order_id"] for row in rows]

    # --- events ---------------------------------------------------------------------------------------------------------

    def add_events(self, wishes: Iterable[Doc], way: str) -> list[Doc]:
        """Events with `id` and `occurred_at` filled in; an id that is known keeps its first content. ValueError for an unknown type."""
        events = []
        for wish in wishes:
            if wish.get("type") not in TYPES:
                raise ValueError(f"there is no event {wish.get('type')!r}; known: {', '.join(TYPES)}")
            events.append({"id": f"evt-{secrets.token_hex(8)}", "occurred_at": iso(time.time()), **wish})
        with self.notes.write() as db:
            db.executemany(
                "INSERT INTO events (id, way, doc) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
                [(str(event["id"]), way, orjson.dumps(event)) for event in events],
            )
        return events

    def offered(self, after: int, limit: int) -> tuple[list[Doc], int, bool]:
        """Events for the pull beyond number `after`, the last number shown, whether more follow."""
        rows = self.notes.read.execute(
            "SELECT number, doc FROM events WHERE way = 'pull' AND number > ? ORDER BY number LIMIT ?", (after, limit + 1)
        ).fetchall()
        page = rows[:limit]
        return [orjson.loads(row["doc"]) for row in page], (page[-1]["number"] if page else after), len(rows) > limit

    def to_export(self) -> list[Doc]:
        """Takes what waits for an export."""
        with self.notes.write() as db:
            rows = db.execute("UPDATE events SET exported = 1 WHERE way = 'export' AND exported = 0 RETURNING number, doc").fetchall()
        return [orjson.loads(row["doc"]) for row in sorted(rows, key=lambda row: row["number"])]

"""Storage of a small practice server: one SQLite file in WAL mode, a connection a thread for reading, one writer at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

_META = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);"


class Notebook:
    """`read` is this thread's connection; `write()` a transaction on it. SIGKILL loses nothing that was committed."""

    def __init__(self, path: Path, schema: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._local = threading.local()
        self._writer = threading.Lock()
        self.read.executescript(_META + schema)

    @property
    def read(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=30, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")
            self._local.connection = connection
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction; not to be entered twice by one thread."""
        with self._writer:
            db = self.read
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def meta(self, name: str, default: Any = None) -> Any:
        row = self.read.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return orjson.loads(row[0]) if row else default

    @staticmethod
    def set_meta(db: sqlite3.Connection, name: str, value: Any) -> None:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, orjson.dumps(value)))

    def next(self, db: sqlite3.Connection, counter: str) -> int:
        """The next number of a named sequence, from 1; never given twice."""
        number = self.meta(f"counter:{counter}", 0) + 1
        self.set_meta(db, f"counter:{counter}", number)
        return number

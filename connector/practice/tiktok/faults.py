"""Faults, rate limits and call counters: everything that happens to a call beside its purpose (TTS §3.5, §8 points 11 and 12)."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import orjson

from ..held import MEANING, Gates
from .store import Store

API_KINDS: dict[str, str] = {
    "expired_token": "The access token counts as expired (401, 105002)",
    "rate_limit": "429, code 36009002; with retry_after also that header",
    "refusal": "Refused with a code and a message of your choice; nothing was done",
    "server_error": "500 or another 5xx, code 36009003",
    "gateway_timeout": "408, code 36009007, with or without the effect",
    "timeout_before": "No answer for a while, then closed; nothing was done",
    "timeout_after": "Done, then no answer for a while, then closed",
    "lost_answer": "Done, but the connection closes without an answer",
    "no_effect": "Answers success and does nothing",
    "slow": "The answer comes late",
    "held": MEANING,
    "malformed_json": "Done, but the answer is cut in half",
    "unknown_status": "Orders carry a status nobody has seen",
    "extra_fields": "Undocumented fields in every object",
}
WEBHOOK_KINDS: dict[str, str] = {
    "webhook_lost": "Never sent",
    "webhook_duplicate": "Sent more than once: `copies` times (default 2)",
    "webhook_delay": "Sent later, by seconds of the shop clock",
    "webhook_reorder": "Held back until the next one has gone out",
}


class Faults:
    """The active faults, kept in the database. `take` decides whether one strikes now and counts it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._passed: dict[int, int] = defaultdict(int)
        self._gates = Gates()
        self._faults: list[dict[str, Any]] = []
        self.load()

    def load(self) -> None:
        before = {fault["id"] for fault in self._faults}
        rows = self._store.read.execute("SELECT id, doc, hits FROM faults ORDER BY id").fetchall()
        self._faults = [{**orjson.loads(row["doc"]), "id": row["id"], "hits": row["hits"]} for row in rows]
        self._dice: dict[int, random.Random] = {}
        self._gates.open(before - {fault["id"] for fault in self._faults})

    def all(self) -> list[dict[str, Any]]:
        with self._lock:
            return [self._gates.shown(fault) for fault in self._faults]

    def add(self, fault: dict[str, Any]) -> dict[str, Any]:
        """Raises ValueError for an unknown kind or an impossible figure."""
        kind = fault.get("kind")
        if kind not in API_KINDS and kind not in WEBHOOK_KINDS:
            raise ValueError(f"there is no fault {kind!r}; known: {', '.join((*API_KINDS, *WEBHOOK_KINDS))}")
        for name, top in (("times", math.inf), ("after", math.inf), ("probability", 1), ("copies", 100)):
            value = fault.get(name)
            if value is not None and not (isinstance(value, (int, float)) and 0 <= value <= top):
                raise ValueError(f"{name} must be a number between 0 and {top}")
        doc = {"operation": "*", **{k: v for k, v in fault.items() if k not in ("id", "hits")}}
        with self._store.write() as db:
            number = db.execute("INSERT INTO faults (doc) VALUES (?)", (orjson.dumps(doc),)).lastrowid
        entry: dict[str, Any] = {**doc, "id": number, "hits": 0}
        with self._lock:
            self._passed.pop(entry["id"], None)  # the number of a fault that was removed is given again
            self._faults.append(entry)
        return dict(entry)

    def remove(self, number: int | None = None) -> int:
        """Removes one fault, or all. Returns how many there were."""
        with self._store.write() as db:
            if number is None:
                removed = db.execute("DELETE FROM faults").rowcount
            else:
                removed = db.execute("DELETE FROM faults WHERE id = ?", (number,)).rowcount
        with self._lock:
            self.load()
        return removed

    def take(self, names: tuple[str, ...], shop: dict[str, Any] | None) -> dict[str, Any] | None:
        """The first fault that strikes this call (`names`: operation name and path), or None; one that holds it comes with its `gate`."""
        with self._lock:
            struck = next((f for f in self._faults if self._strikes(f, names, shop, webhook=False)), None)
            gate = {"gate": self._gates.at(struck["id"])} if struck and struck["kind"] == "held" else {}
        return {**self._count([struck])[0], **gate} if struck else None

    def take_all(self, names: tuple[str, ...], shop: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
        """Every fault that strikes this webhook (`names`: event name and number) by its kind: bad days come together."""
        with self._lock:
            struck = [f for f in self._faults if self._strikes(f, names, shop, webhook=True)]
        return {fault["kind"]: fault for fault in self._count(struck)}

    def _count(self, struck: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if struck:
            with self._store.write() as db:
                db.executemany("UPDATE faults SET hits = hits + 1 WHERE id = ?", [(fault["id"],) for fault in struck])
        return [dict(fault) for fault in struck]

    def _strikes(self, fault: dict[str, Any], names: tuple[str, ...], shop: dict[str, Any] | None, webhook: bool) -> bool:
        if (fault["kind"] in WEBHOOK_KINDS) is not webhook:
            return False
        if not any(fnmatchcase(name, fault["operation"]) for name in names):
            return False
        if fault.get("shop") and (shop is None or fault["shop"] not in (shop["id"], shop["region"])):
            return False
        if fault.get("times") is not None and fault["hits"] >= fault["times"]:
            return False
        if self._passed[fault["id"]] < fault.get("after", 0):
            self._passed[fault["id"]] += 1
            return False
        if fault.get("probability") is not None:
            dice = self._dice.setdefault(fault["id"], random.Random(fault.get("seed", fault["id"])))
            if dice.random() >= fault["probability"]:
                return False
        fault["hits"] += 1
        return True


class Limits:
    """Token buckets per app, shop and operation, in real time: the limit protects machines, not the calendar."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self.rules: dict[str, dict[str, float]] = {}
        self._buckets: dict[tuple[str, ...], tuple[float, float]] = {}

    def set(self, pattern: str, per_second: float, burst: float | None = None) -> None:
        """Raises ValueError when the rate is not positive."""
        if per_second <= 0 or (burst is not None and burst < 1):
            raise ValueError("per_second must be above 0 and burst at least 1")
        self.rules[pattern] = {"per_second": per_second, "burst": burst or max(1.0, per_second)}

    def seconds_over(self, operation: str, *who: str) -> float:
        """0 when the call may pass, else the seconds until the next would."""
        for pattern, rule in list(self.rules.items()):
            if not fnmatchcase(operation, pattern):
                continue
            with self._lock:
                now = self._now()
                level, seen = self._buckets.get((pattern, operation, *who), (rule["burst"], now))
                level = min(rule["burst"], level + (now - seen) * rule["per_second"])
                if level < 1:
                    self._buckets[(pattern, operation, *who)] = (level, now)
                    return (1 - level) / rule["per_second"]
                self._buckets[(pattern, operation, *who)] = (level - 1, now)
        return 0.0


class Calls:
    """How often each operation was called and what it answered, since the start of the server or the last `clear`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self._counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def count(self, operation: str, outcome: str) -> None:
        """`outcome` is the answer's code, or the name of the fault that kept the caller from seeing one."""
        with self._lock:
            self._counts[operation][outcome] += 1

    def report(self) -> dict[str, Any]:
        with self._lock:
            operations = {name: {"count": sum(codes.values()), "codes": dict(codes)} for name, codes in sorted(self._counts.items())}
        return {"total": sum(each["count"] for each in operations.values()), "operations": operations}

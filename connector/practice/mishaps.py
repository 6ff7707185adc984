"""What goes wrong on purpose in a small practice server: injected faults (deterministic by seed), latency, and a count of all calls."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from flask import Blueprint, Response, g, request

from .held import MEANING, SECONDS, Gates

KINDS = {
    "server_error": "`status` (default 500), nothing done",
    "rate_limit": "429 with Retry-After `retry_after` (default 1), nothing done",
    "timeout_before": "nothing done; waits `seconds` (default 0), then the connection closes without an answer",
    "lost_answer": "done, then the connection closes without an answer",
    "error_after": "done, then answered with `status` (default 500)",
    "slow": "`ms` (default 2000) more before the call",
    "held": MEANING,
}
BEFORE = ("server_error", "rate_limit", "timeout_before")
_NAMES = {"kind", "operation", "times", "after", "probability", "seed", "status", "retry_after", "seconds", "ms", "effect"}


class Mishaps:
    """Watches a blueprint: every call's operation is the name of its view function. `refuse(status, detail)` makes the server's own error answer."""

    def __init__(self, refuse: Callable[[int, str], Response]) -> None:
        self._refuse = refuse
        self._lock = threading.Lock()
        self._faults: list[dict[str, Any]] = []
        self._dice: dict[int, random.Random] = {}
        self._gates = Gates()
        self._next = 1
        self.latency = 0.0
        self.calls: dict[str, Counter[str]] = defaultdict(Counter)

    def watch(self, api: Blueprint) -> None:
        api.before_request(self._before)
        api.after_request(self._after)

    # --- the faults in force ------------------------------------------------------------------------------------------

    def add(self, fault: dict[str, Any]) -> dict[str, Any]:
        """`{kind, operation?: shell pattern, times? | probability? + seed?, after?, ...}`; without times and probability it strikes once."""
        if fault.get("kind") not in KINDS:
            raise ValueError(f"there is no fault {fault.get('kind')!r}; known: {', '.join(KINDS)}")
        if unknown := set(fault) - _NAMES:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        entry = {"operation": "*", "times": None if "probability" in fault else 1, "after": 0, **fault, "matched": 0, "hits": 0}
        with self._lock:
            entry["id"] = self._next
            self._next += 1
            self._dice[entry["id"]] = random.Random(fault.get("seed", entry["id"]))
            self._faults.append(entry)
        return dict(entry)

    def all(self) -> list[dict[str, Any]]:
        with self._lock:
            return [self._gates.shown(fault) for fault in self._faults]

    def remove(self, number: int | None = None) -> int:
        with self._lock:
            gone = [fault["id"] for fault in self._faults if number in (None, fault["id"])]
            self._faults = [fault for fault in self._faults if fault["id"] not in gone]
            self._gates.open(gone)
            return len(gone)

    def clear(self) -> None:
        self.remove()
        self.latency = 0.0
        self.calls.clear()

    def _strikes(self, fault: dict[str, Any], operation: str) -> bool:
        if not fnmatchcase(operation, fault["operation"]):
            return False
        fault["matched"] += 1
        if fault["matched"] <= fault["after"] or (fault["times"] is not None and fault["hits"] >= fault["times"]):
            return False
        if "probability" in fault and self._dice[fault["id"]].random() >= fault["probability"]:
            return False
        fault["hits"] += 1
        return True

    # --- around a call ------------------------------------------------------------------------------------------------

    def _before(self) -> Response | None:
        operation = (request.endpoint or "").rpartition(".")[2]
        with self._lock:
            struck = {fault["kind"]: dict(fault) for fault in self._faults if self._strikes(fault, operation)}
            if "held" in struck:
                struck["held"]["gate"] = self._gates.at(struck["held"]["id"])
        g.struck = struck
        self._hold(struck, done=False)
        wait = self.latency + struck.get("slow", {}).get("ms", 2000 if "slow" in struck else 0) / 1000
        if wait:
            time.sleep(wait)
        kind = next((name for name in BEFORE if name in struck), None)
        if kind is None:
            return None
        fault = struck[kind]
        if kind == "timeout_before":
            time.sleep(fault.get("seconds", 0))
            hang_up()
        if kind == "rate_limit":
            answer = self._refuse(429, "Too many requests.")
            answer.headers["Retry-After"] = str(fault.get("retry_after", 1))
            return answer
        return self._refuse(fault.get("status", 500), "The server could not handle the call.")

    @staticmethod
    def _hold(struck: dict[str, dict[str, Any]], *, done: bool) -> None:
        fault = struck.get("held")
        if fault and done is (fault.get("effect") == "before"):
            fault["gate"].wait(fault.get("seconds", SECONDS))

    def _after(self, response: Response) -> Response:
        struck = g.get("struck", {})
        self._hold(struck, done=True)
        outcome = str(response.status_code)
        if "error_after" in struck:
            response = self._refuse(struck["error_after"].get("status", 500), "The server could not handle the call.")
            outcome = str(response.status_code)
        if "lost_answer" in struck:
            hang_up()
        if "lost_answer" in struck or "timeout_before" in struck:
            response.headers["Connection"] = "close"
            outcome = "no answer"
        with self._lock:
            self.calls[(request.endpoint or "").rpartition(".")[2]][outcome] += 1
        return response

    def report(self) -> dict[str, Any]:
        with self._lock:
            operations = {name: dict(counter) for name, counter in sorted(self.calls.items())}
        return {"total": sum(sum(each.values()) for each in operations.values()), "operations": operations}


def hang_up() -> None:
    """Close the connection of this request so that the caller gets no answer."""
    connection = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")
    if connection is not None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the caller has already gone

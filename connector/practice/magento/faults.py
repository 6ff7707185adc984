"""Injected faults, deterministic: the n-th matching call of a fault always decides alike."""

from __future__ import annotations

import random
import re
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

from ..held import SECONDS, Gate
from .errors import Masked, RestError

KINDS = [
    "lost_answer", "timeout_before", "http_500", "http_500_after", "http_429", "html_503", "transient_400", "slow", "held", "token_revoked", "deadlock_500",
]  # fmt: skip
BEFORE_EFFECT = {"http_500", "http_429", "html_503", "transient_400", "deadlock_500"}

# What a busy store answers for a moment (MAG §4.4.7), by call.
_TRANSIENT = (
    ("POST", r"/V1/inventory/source-items", "Could not save Source Item"),
    ("PUT", r"/V1/(guest-)?carts/[^/]+/order", "The requested sku is not assigned to given stock"),
    ("POST", r"/V1/(guest-)?carts/[^/]+/items", "Product that you are trying to add is not available."),
    ("POST", r"/V1/order/[^/]+/ship", "Could not save a shipment, see error log for details"),
    ("POST", r"/V1/order/[^/]+/refund", "Could not save a Creditmemo, see error log for details"),
    ("POST", r"/V1/order/[^/]+/invoice", "Could not save an invoice, see error log for details"),
)


@dataclass
class Fault:
    id: int
    kind: str
    method: str = ""
    path: str = ""
    times: int | None = None
    after: int = 0
    probability: float | None = None
    seed: int = 0
    ms: int = 2000
    seconds: float = 0
    effect: str = ""
    message: str = ""
    matched: int = 0
    fired: int = 0
    _pattern: re.Pattern = field(init=False, repr=False)
    _gate: Gate = field(init=False, repr=False, default_factory=Gate)

    def __post_init__(self) -> None:
        self._pattern = re.compile(self.path)

    def decide(self, method: str, path: str) -> bool:
        if (self.method and self.method != method) or not self._pattern.search(path):
            return False
        self.matched += 1
        if self.matched <= self.after or (self.times is not None and self.fired >= self.times):
            return False
        if self.probability is not None:
            draw = random.Random(f"{self.seed}:{self.kind}:{self.path}:{self.matched}").random()
            if draw >= self.probability:
                return False
        self.fired += 1
        return True

    def hold(self, *, done: bool) -> None:
        """Stand still before the call is carried out, or after, when this is a `held` fault that says so."""
        if self.kind == "held" and done is (self.effect == "before"):
            self._gate.wait(self.seconds)

    def shown(self) -> dict[str, Any]:
        values = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        standing = {"standing": self._gate.standing} if self.kind == "held" else {}
        return {**values, **standing, "match": {"method": values.pop("method"), "path": values.pop("path")}}

    def refusal(self, method: str, path: str) -> RestError:
        """The answer of a fault that does nothing else; `html_503` is rendered by the gateway."""
        match self.kind:
            case "http_429":
                return RestError(429, "Too Many Requests")
            case "transient_400":
                text = self.message or next(
                    (t for m, pattern, t in _TRANSIENT if m == method and re.fullmatch(pattern, path)),
                    "Could not save entity",
                )
                return RestError(400, text)
            case _:
                return Masked()


class Faults:
    """The faults in force."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._next = 1

    def add(self, definition: dict[str, Any]) -> Fault:
        """`{kind, match: {method, path}, times | probability + seed, ...}`; ValueError for an unknown kind."""
        if definition.get("kind") not in KINDS:
            raise ValueError(f"unknown kind of fault {definition.get('kind')!r}: one of {', '.join(KINDS)}")
        match = definition.get("match") or {}
        names = ("times", "after", "probability", "seed", "ms", "seconds", "effect", "message")
        options = {name: definition[name] for name in names if definition.get(name) is not None}
        if "times" not in options and "probability" not in options:
            options["times"] = 1
        if definition["kind"] == "held":
            options.setdefault("seconds", SECONDS)
        with self._lock:
            fault = Fault(self._next, definition["kind"], match.get("method", "").upper(), match.get("path", ""), **options)
            self._next += 1
            self._faults.append(fault)
        return fault

    def fire(self, method: str, path: str) -> list[Fault]:
        if not self._faults:
            return []
        with self._lock:
            return [fault for fault in self._faults if fault.decide(method, path)]

    def shown(self) -> list[dict[str, Any]]:
        return [fault.shown() for fault in self._faults]

    def remove(self, fault_id: int | None = None) -> int:
        with self._lock:
            gone = [f for f in self._faults if fault_id in (None, f.id)]
            self._faults = [f for f in self._faults if f not in gone]
        for fault in gone:
            fault._gate.open()
        return len(gone)


def hang_up(environ: dict[str, Any]) -> None:
    """Close the connection of this request so that the caller gets no answer."""
    connection = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if connection is not None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the caller has already gone

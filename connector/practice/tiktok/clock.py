"""The shop clock: real time plus an offset, times a rate. Everything in the practice marketplace that has a time has it from here."""

from __future__ import annotations

import threading
import time
from email.utils import formatdate
from typing import Any

from .store import Store


class ShopClock:
    """`now()` is Unix seconds as float. The settings survive a restart, and time goes on while the server is down."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        # shop time = shop + (real now - real) * rate
        self._real, self._shop, self.rate = store.meta("clock", [0.0, 0.0, 1.0])

    def now(self) -> float:
        return self._shop + (time.time() - self._real) * self.rate

    def seconds(self) -> int:
        return int(self.now())

    def http_date(self) -> str:
        return formatdate(self.now(), usegmt=True)

    def set(self, *, rate: float | None = None, advance_seconds: float = 0, reset: bool = False) -> None:
        """Raises ValueError for a negative rate."""
        if rate is not None and rate < 0:
            raise ValueError("rate must not be negative")
        with self._lock:
            real = time.time()
            shop = real if reset else self.now() + advance_seconds
            self._real, self._shop, self.rate = real, shop, 1.0 if reset and rate is None else (self.rate if rate is None else rate)
            self._store.set_meta("clock", [self._real, self._shop, self.rate])

    def state(self) -> dict[str, Any]:
        now = self.now()
        iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        return {"now": int(now), "iso": iso, "rate": self.rate, "offset_seconds": round(now - time.time(), 3)}

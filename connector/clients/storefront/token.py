"""Access tokens of client credentials (RFC 6749 §4.4), kept until shortly before they end and shared by the threads of a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

#: Seconds before its end from which a token is not used any more.
EARLY = 30.0


@dataclass(frozen=True, slots=True)
class Grant:
    """`lives` in seconds, from the moment of the answer."""

    token: str
    lives: float


class TokenCache:
    """Tokens by a key that names store, client and secret; only one thread at a time asks for a key's token."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}
        self._kept: dict[str, tuple[str, float]] = {}

    def get(self, key: str, ask: Callable[[], Grant]) -> str:
        with self._lock:
            asking = self._asking.setdefault(key, threading.Lock())
        with asking:
            token, until = self._kept.get(key, ("", 0.0))
            if not token or self._now() >= until:
                grant = ask()
                token = grant.token
                self._kept[key] = (token, self._now() + max(1.0, grant.lives - EARLY))
            return token

    def drop(self, key: str, refused: str) -> None:
        """Forget a token that the store has refused; a newer one stays."""
        with self._lock:
            if self._kept.get(key, ("", 0.0))[0] == refused:
                del self._kept[key]

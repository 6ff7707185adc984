"""The fault `held`, alike in every practice server: a call stands still until the fault is removed, so that what waits for it waits for a state, not for a time."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

MEANING = "Stands still until the fault is removed, at most `seconds` (default 30); with effect `before` it is done first"
SECONDS = 30.0


class Gate:
    """Where the calls of one fault stand still; ``standing`` says how many have come to it so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = threading.Event()
        self.standing = 0

    def wait(self, seconds: float) -> None:
        with self._lock:
            self.standing += 1
        self._open.wait(seconds)

    def open(self) -> None:
        self._open.set()


class Gates:
    """One gate for each `held` fault in force. Not thread-safe by itself: its owner asks under the lock that guards the faults."""

    def __init__(self) -> None:
        self._gates: dict[int, Gate] = {}

    def at(self, number: int) -> Gate:
        """The gate at which a call that this fault has struck waits."""
        return self._gates.setdefault(number, Gate())

    def shown(self, fault: dict[str, Any]) -> dict[str, Any]:
        """The fault as the control API shows it: a ``held`` one with how many calls stand, or stood, still."""
        return {**fault, "standing": self.at(fault["id"]).standing} if fault["kind"] == "held" else dict(fault)

    def open(self, numbers: Iterable[int]) -> None:
        """These faults are gone: their calls go on, also when the number is given again at once."""
        for number in numbers:
            self._gates.pop(number, Gate()).open()

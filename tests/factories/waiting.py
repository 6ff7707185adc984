"""Waiting for a state, never for a time: how fast a machine is decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
#: Generous: a wait that ends well never takes it.
SECONDS = 30.0


def until(state: Callable[[], T], what: str) -> T:
    """What ``state`` gives once it is true; AssertionError that names ``what`` when it never becomes so."""
    deadline = time.monotonic() + SECONDS
    while not (found := state()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)
    return found

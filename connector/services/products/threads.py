"""Several calls under way at once, for the run that is being worked on; the client's limiter keeps the remote side's pace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")

SLOTS = 8


def each(fn: Callable[[K], T], values: Sequence[K]) -> list[T]:
    """``fn`` of every value, in order. A single one stays in this thread; ``fn`` brings its own application context."""
    if len(values) <= 1:
        return [fn(value) for value in values]
    with ThreadPoolExecutor(max_workers=min(SLOTS, len(values)), thread_name_prefix="send") as pool:
        return [future.result() for future in [pool.submit(copy_context().run, fn, value) for value in values]]

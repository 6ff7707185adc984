"""Several calls under way at once, for the run that is being worked on; the client's limiter keeps the remote side's pace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from flask import current_app

from connector.clients import errors as api

K = TypeVar("K")
T = TypeVar("T")

SLOTS = 8


def each(fn: Callable[[K], T], values: Sequence[K]) -> list[T]:
    """``fn`` of every value, in order, each in an application context of its own. A single one stays in this thread."""
    app: Any = current_app._get_current_object()  # type: ignore[attr-defined]

    def one(value: K) -> T:
        with app.app_context():
            return fn(value)

    if len(values) <= 1:
        return [one(value) for value in values]
    with ThreadPoolExecutor(max_workers=min(SLOTS, len(values)), thread_name_prefix="send") as pool:
        return [future.result() for future in [pool.submit(copy_context().run, one, value) for value in values]]


def complain(failures: Mapping[int, api.ApiError], calls: int) -> None:
    """Raise the failure of a single call, or a lost authorisation: of many calls the others have gone through, and what failed is tried again."""
    lost = [error for error in failures.values() if isinstance(error, api.Unauthorized)]
    if lost or (failures and calls == 1):
        raise (lost or list(failures.values()))[0]

"""What the readers of Magento's catalogue share: a stand-in for the run they work for, and reading ahead while the last page is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from flask import current_app
from sqlalchemy.orm import Session

from connector.core import logs

T = TypeVar("T")
R = TypeVar("R")


class Unattended:
    """Stands in where nobody watches: nothing is resumed, bad records go to the log."""

    cancelled = False

    def __init__(self) -> None:
        self.checkpoint: dict[str, Any] = {}
        self._log = logs.get(__name__)

    def save_checkpoint(self, session: Session, **values: Any) -> None:
        self.checkpoint = {**self.checkpoint, **values}

    def park(self, ref: str, label: str, error: Exception, data: dict[str, Any] | None = None) -> None:
        self._log.warning("bad_record", ref=ref, label=label, error=str(error))

    def progress(self, done: int | None = None, total: int | None = None, stage: str | None = None) -> None:
        pass


class Readers:
    """Threads that call the store on behalf of this one, each with an application context of its own."""

    def __init__(self, slots: int) -> None:
        self._app = current_app._get_current_object()  # type: ignore[attr-defined]
        self._pool = ThreadPoolExecutor(max_workers=max(1, slots), thread_name_prefix="magento")

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self, call: Callable[..., R], *arguments: Any) -> Future[R]:
        def work() -> R:
            with self._app.app_context():
                return call(*arguments)

        return self._pool.submit(copy_context().run, work)

    def ahead(self, read: Callable[[T], R], units: Iterable[T], *, most: int = 2) -> Iterator[R]:
        """The answers in the order of the units, at most ``most`` of them waiting to be taken."""
        waiting: deque[Future[R]] = deque()
        for unit in units:
            waiting.append(self.start(read, unit))
            if len(waiting) >= most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

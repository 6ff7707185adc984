"""Reading a span of time in several windows at once (TTS §4).

Each window is read by a thread, oldest first, that stays a page ahead of the one writer. Orders do not come evenly: a thread that has finished takes over
the later half of the window with the most orders left. What is stored of each window is told by ``position``, from which an interrupted run continues.
"""

from __future__ import annotations

import contextvars
import gc
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from flask import current_app

from connector.clients.errors import PageTokenRefused
from connector.clients.tiktok import TikTokClient
from connector.core.db import db

PAGE_SIZE = 100
#: Refused page tokens in a row, without progress, before the window gives up.
REFUSALS = 5
#: A window with fewer orders left is not worth dividing.
WORTH_DIVIDING = 2 * PAGE_SIZE
#: Pages that wait are stored in one transaction, up to so many: a commit costs as much as writing twenty orders.
TOGETHER = 4


@dataclass(slots=True)
class Window:
    """Half-open, Unix seconds of TikTok's clock. ``read`` and ``stored`` are how far the reader and the writer are; ``left`` is how many
    orders are still to read, None while its first page is not there."""

    start: int
    end: int
    stored: int
    done: bool = False
    read: int = 0
    left: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """One page of one window; with it stored, everything of the window before ``reached`` is."""

    window: Window
    orders: list[dict[str, Any]]
    reached: int
    last: bool
    total: int | None  #: of the window, on its first page


def split(start: int, end: int, count: int) -> list[dict[str, Any]]:
    """Equal windows that together cover [start, end), as a first position."""
    count = max(1, min(count, end - start))
    edges = [start + (end - start) * number // count for number in range(count)] + [max(end, start)]
    return [{"start": low, "end": high, "stored": low, "done": False} for low, high in pairwise(edges)]


class Reading:
    """The windows of one import, shared by its threads. ``field`` is ``update_time`` or ``create_time``, ``filters`` are TikTok's."""

    def __init__(self, client: TikTokClient, position: Sequence[Mapping[str, Any]], field: str, filters: Mapping[str, Any]) -> None:
        self._client, self._field, self._filters = client, field, dict(filters)
        self._lock = threading.Lock()
        self._windows = [Window(**part, read=part["stored"]) for part in position]
        self._pages: queue.Queue[Fetched | BaseException] = queue.Queue(maxsize=TOGETHER)
        self._stop = threading.Event()
        self._app = current_app._get_current_object()  # type: ignore[attr-defined]

    def position(self) -> list[dict[str, Any]]:
        """What is stored, for the check-point."""
        with self._lock:
            return [{"start": w.start, "end": w.end, "stored": w.stored, "done": w.done} for w in self._windows]

    @property
    def finished(self) -> bool:
        with self._lock:
            return all(window.done for window in self._windows)

    def mark_stored(self, page: Fetched) -> None:
        """The writer stores this page: to be called before ``position`` is saved with it."""
        with self._lock:
            page.window.stored = max(page.window.stored, min(page.reached, page.window.end))
            page.window.done = page.window.done or page.last

    @contextmanager
    def pages(self, threads: int) -> Iterator[Iterator[list[Fetched]]]:
        """The pages as they come, all that are there at once (none now and then, to look at other things); the threads have ended when this is left."""
        waiting = [window for window in self._windows if not window.done]
        workers = [
            threading.Thread(target=contextvars.copy_context().run, args=(self._work, waiting[number : number + 1]), daemon=True)
            for number in range(max(threads, len(waiting)))
        ]
        for worker in workers:
            worker.start()
        thresholds = gc.get_threshold()
        # A page is thousands of objects in trees, which free themselves; looking for cycles after every few hundred costs a tenth of the import.
        gc.set_threshold(50_000, 20, 50)
        try:
            yield self._incoming()
        finally:
            gc.set_threshold(*thresholds)
            self._stop.set()
            for worker in workers:
                worker.join()

    def _incoming(self) -> Iterator[list[Fetched]]:
        while not self.finished:
            pages: list[Fetched] = []
            try:
                page = self._pages.get(timeout=0.5)
                while not isinstance(page, BaseException):
                    pages.append(page)
                    if len(pages) == TOGETHER:
                        break
                    page = self._pages.get_nowait()
            except queue.Empty:
                page = None
            yield pages
            if isinstance(page, BaseException):
                raise page

    # --- the threads

    def _work(self, mine: list[Window]) -> None:
        with self._app.app_context():
            try:
                window = mine[0] if mine else self._take_over()
                while window is not None and not self._stop.is_set():
                    self._read(window)
                    window = self._take_over()
            except BaseException as error:  # the writer's thread decides what it means
                self._hand_over(error)
            finally:
                db.session.remove()

    def _take_over(self) -> Window | None:
        """The later half of the window that has most left to read."""
        while not self._stop.wait(0.02):
            with self._lock:
                victim = max(self._windows, key=lambda window: window.left or 0)
                left = victim.left or 0
                if left >= WORTH_DIVIDING and victim.end - victim.read >= 4:
                    middle = (victim.read + victim.end) // 2
                    taken = Window(middle, victim.end, middle, read=middle)
                    victim.end, victim.left = middle, left // 2
                    self._windows.append(taken)
                    return taken
                if all(window.left is not None or window.done for window in self._windows):
                    return None
        return None

    def _read(self, window: Window) -> None:
        """Read one window to its end.

        A page token that is no longer accepted restarts it at its last position. When fewer orders were seen than TikTok counted at the start (some
        changed and left the window while it was read, which may shift the pages), it is read once more; what is known costs little then.
        """
        begin = first = window.read
        end = window.end
        token: str | None = None
        expected: int | None = None
        seen: set[Any] = set()
        refused, repeated = 0, False
        while not self._stop.is_set():
            with self._lock:
                if window.end != end:  # the later half was taken over: other filters, so another search
                    end, token, expected, begin = window.end, None, None, window.read
                    first, seen = begin, set()
            try:
                bounds = {**self._filters, f"{self._field}_ge": begin, f"{self._field}_lt": end}
                page = self._client.search_orders(bounds, page_size=PAGE_SIZE, page_token=token, sort_field=self._field)
            except PageTokenRefused:
                refused += 1
                if token is None or refused > REFUSALS:
                    raise
                token, begin = None, window.read
                continue
            opening = expected is None
            expected = page.total_count if expected is None else expected
            seen.update(order.get("id") for order in page.items if isinstance(order, dict))
            reached = max([window.read, *self._times(page.items, end)])
            refused = refused if reached == window.read else 0
            token = page.next_page_token
            short = token is None and not repeated and expected is not None and len(seen) < expected
            with self._lock:
                window.read = reached
                window.left = max(0, (expected or 0) - len(seen)) if token else 0
            self._hand_over(Fetched(window, page.items, reached, token is None and not short, page.total_count if opening else None))
            if short:
                repeated, begin = True, first
            elif token is None:
                return

    def _times(self, orders: list[Any], end: int) -> list[int]:
        """The sort values inside the window; an order that changed while being read is newer than its end."""
        return [at for order in orders if isinstance(order, dict) and isinstance(at := order.get(self._field), int) and at < end]

    def _hand_over(self, page: Fetched | BaseException) -> None:
        while not self._stop.is_set():
            try:
                self._pages.put(page, timeout=0.2)
                return
            except queue.Full:
                continue

"""Live pages: one Redis subscription a web process, fanned out to its open streams.

A stream holds a thread of the web server, so there is a ceiling of about half of them; a page that gets no stream polls the same partials instead
(the browser's script does both). Messages only say that something changed; the page then asks for what it shows.
"""

from __future__ import annotations

import json
import queue
import select
import socket
import threading
import time
from collections.abc import Iterator

from flask import Flask, current_app, g, request
from redis.exceptions import RedisError

from connector.core import redis as redis_connections
from connector.jobs.doorbell import CHANNEL

#: Streams at once in one web process (24 threads in the embedded one).
CEILING = 12
HEARTBEAT_SECONDS = 15.0
#: How often a stream looks whether its browser is still there; a page that was left frees its thread within this time.
LOOK_SECONDS = 1.0
#: A stream is closed after this long and the browser opens a new one: a thread is never lost to a dead peer for good.
LIFETIME_SECONDS = 600.0
#: What a message is about; a page hears ``<topic>:changed``.
TOPICS = ("run", "orders", "products")


class Hub:
    """Fans one subscription out to many streams."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._streams: set[queue.Queue[str]] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._listens_since = float("inf")
        self._changed_at: dict[str, float] = {}

    def missed(self, since: float) -> list[str]:
        """Topics that changed after ``since`` (epoch seconds), or of which nobody here can tell."""
        with self._lock:
            return [topic for topic in TOPICS if since < self._listens_since or self._changed_at.get(topic, 0.0) >= since]

    def open(self) -> queue.Queue[str] | None:
        """A mailbox for one stream, or None when the ceiling is reached."""
        with self._lock:
            if len(self._streams) >= CEILING:
                return None
            mailbox: queue.Queue[str] = queue.Queue(maxsize=200)
            self._streams.add(mailbox)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._listen, name="live-hub", daemon=True)
                self._thread.start()
            return mailbox

    def close(self, mailbox: queue.Queue[str]) -> None:
        with self._lock:
            self._streams.discard(mailbox)

    def _listen(self) -> None:
        while True:
            try:
                subscription = redis_connections.patient(self._redis_url).pubsub(ignore_subscribe_messages=True)
                subscription.subscribe(CHANNEL)
                self._listens_since = time.time()
                for message in subscription.listen():
                    self._deliver(message["data"].decode())
            except RedisError:
                threading.Event().wait(1.0)

    def _deliver(self, text: str) -> None:
        with self._lock:
            self._changed_at[json.loads(text)["topic"]] = time.time()
            for mailbox in self._streams:
                try:
                    mailbox.put_nowait(text)
                except queue.Full:  # a page that does not read; it learns the state by its next request
                    pass


def init_app(app: Flask) -> None:
    app.extensions["connector_live"] = Hub(app.config["CONNECTOR"].redis_url)
    app.before_request(_note_when)
    app.jinja_env.globals["page_asked_at"] = lambda: f"{g.get('asked_at') or time.time():.3f}"


def _note_when() -> None:
    g.asked_at = time.time()


def stream(since: float | None = None) -> Iterator[str] | None:
    """Server-sent events (``run:changed``, ``orders:changed``) for one page; None when there is no room for another stream.

    ``since``: epoch seconds when the page was asked for. What changed between that and the opening of the stream, or while a hidden page had closed it, is
    told at once.
    """
    hub: Hub = current_app.extensions["connector_live"]
    mailbox = hub.open()
    if mailbox is None:
        return None
    connection: socket.socket | None = request.environ.get("gunicorn.socket")

    def events() -> Iterator[str]:
        ends = time.monotonic() + LIFETIME_SECONDS
        spoke = time.monotonic()
        try:
            yield "retry: 3000\n\n"
            for topic in hub.missed(since) if since is not None else ():
                yield _event(topic, json.dumps({"topic": topic}))
            while (now := time.monotonic()) < ends and not _gone(connection):
                try:
                    message = mailbox.get(timeout=LOOK_SECONDS)
                except queue.Empty:
                    if now - spoke > HEARTBEAT_SECONDS:
                        spoke = now
                        yield ": still here\n\n"
                else:
                    spoke = now
                    yield _event(json.loads(message)["topic"], message)
        finally:
            hub.close(mailbox)

    return events()


def _event(topic: str, data: str) -> str:
    return f"event: {topic}:changed\ndata: {data}\n\n"


def _gone(connection: socket.socket | None) -> bool:
    """Whether the browser has closed its side; a thread that only waits would not notice."""
    if connection is None:
        return False
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True

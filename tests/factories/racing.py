"""Two workers at once: threads with the application and a database session of their own each, started together or one in the middle of another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any

from flask import Flask
from sqlalchemy import event, text

from connector.clients.errors import ApiError
from connector.core.db import db
from connector.core.errors import DomainError


def start(app: Flask, work: Callable[[], object]) -> Future[object]:
    """Begin it in a thread; what it gave, or the refusal that it met (``DomainError``, ``ApiError``), is the result; any other exception is raised there."""
    ended: Future[object] = Future()

    def run() -> None:
        result: object = None
        try:
            with app.app_context():
                try:
                    result = work()
                except (DomainError, ApiError) as refusal:
                    result = refusal
                finally:
                    db.session.remove()
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(result)

    threading.Thread(target=run).start()
    return ended


@contextmanager
def queue() -> Iterator[Callable[[], bool]]:
    """Gives a function that tells whether a transaction is waiting for another one: for SQLite's write lock, or for a row of PostgreSQL."""
    engine, asking = db.engine, set[int]()

    def asks(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement == "BEGIN IMMEDIATE":
            asking.add(threading.get_ident())

    def has_it(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asking.discard(threading.get_ident())

    def waits() -> bool:
        if engine.dialect.name == "sqlite":
            return bool(asking)
        with engine.connect() as apart:  # a transaction of its own: what it sees of the others stands still within one
            return bool(apart.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")))

    event.listen(engine, "before_cursor_execute", asks)
    event.listen(engine, "after_cursor_execute", has_it)
    try:
        yield waits
    finally:
        event.remove(engine, "before_cursor_execute", asks)
        event.remove(engine, "after_cursor_execute", has_it)


def at_a_shell(app: Flask, *words: str) -> Any:
    """Run ``connector`` with these words while a worker does what it submits; the result of the command."""
    from connector.jobs import worker

    answer = start(app, lambda: app.test_cli_runner().invoke(args=["connector", *words]))
    deadline = time.monotonic() + 300
    while not answer.done():
        assert time.monotonic() < deadline, f"the command has not ended: connector {' '.join(words)}"
        worker.run_forever(app, burst=True)
        wait([answer], timeout=0.1)
    return answer.result()


def race(app: Flask, *works: Callable[[], object]) -> list[object]:
    """They start together; what each of them gave (``start``)."""
    gate = threading.Barrier(len(works))

    def together(work: Callable[[], object]) -> Callable[[], object]:
        def begin() -> object:
            gate.wait()
            return work()

        return begin

    started = [start(app, together(work)) for work in works]
    for one in started:
        one.exception()  # all have ended before the first complaint
    return [one.result() for one in started]

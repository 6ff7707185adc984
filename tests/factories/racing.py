"""Two workers at once: threads that start together, each with the application and a database session of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flask import Flask

from connector.clients.errors import ApiError
from connector.core.db import db
from connector.core.errors import DomainError


def race(app: Flask, *works: Callable[[], object]) -> list[object]:
    """What each of them gave, or the refusal that it met (``DomainError``, ``ApiError``); any other exception is raised again."""
    gate = threading.Barrier(len(works))
    found: list[object] = [None] * len(works)

    def run(place: int) -> None:
        with app.app_context():
            gate.wait()
            try:
                found[place] = works[place]()
            except BaseException as error:
                found[place] = error
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, (DomainError, ApiError)):
            raise one
    return found

"""The worker process: imports the application first, then works, in one process with threads where a run asks for them.

RQ's ``SimpleWorker`` is used on purpose: runs are few and long, a fork each would buy nothing, and a SIGKILL takes the whole of it, so that no
orphan goes on working beside its successor (the fence would refuse its writes, but not its calls).
"""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

from flask import Flask
from rq import Queue, SimpleWorker

from connector.core import logs
from connector.core import redis as redis_connections
from connector.jobs import context, scheduler
from connector.services.kinds import QUEUES

log = logs.get(__name__)
_app: Flask | None = None


class Worker(SimpleWorker):
    """SIGTERM ends what is in hand; the rest of the run is handed back, so that a restart needs not wait for a long run."""

    def request_stop(self, signum: int, frame: Any) -> None:
        context.leaving.set()
        super().request_stop(signum, frame)


def worker_app() -> Flask:
    """The application of this worker process; made once."""
    global _app
    if _app is None:
        from connector import create_app

        _app = create_app()
    return _app


def run_forever(app: Flask, queues: tuple[str, ...] = QUEUES, *, burst: bool = False) -> None:
    """Work until SIGTERM (the present run is handed back between two items) or, with ``burst``, until the queues are empty."""
    global _app
    _app = app
    connection = redis_connections.patient(app.config["CONNECTOR"].redis_url)
    app.extensions["connector_redis"] = connection
    name = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(2).hex()}"
    stop = threading.Event()

    def sign_of_life() -> None:
        while not stop.wait(5):
            try:
                with app.app_context():
                    scheduler.beat(f"worker:{name}", queues=list(queues))
            except Exception as error:
                log.warning("heartbeat_missed", error=type(error).__name__)

    threading.Thread(target=sign_of_life, daemon=True).start()
    try:
        worker = Worker([Queue(queue, connection=connection) for queue in queues], connection=connection, name=name, log_job_description=False)
        worker.work(burst=burst, logging_level="WARNING")
    finally:
        stop.set()

"""The worker process: imports the application first, then works, in one process with threads where a run asks for them.

RQ's ``SimpleWorker`` is used on purpose: runs are few and long, a fork each would buy nothing, and a SIGKILL takes the whole of it, so that no
orphan goes on working beside its successor (the fence would refuse its writes, but not its calls).
"""

from __future__ import annotations

import os
import socket
import sys
import threading

from flask import Flask
from rq import Queue, SimpleWorker

from connector.core import redis as redis_connections
from connector.jobs import scheduler
from connector.services.kinds import QUEUES

_app: Flask | None = None


def worker_app() -> Flask:
    """The application of this worker process; made once."""
    global _app
    if _app is None:
        from connector import create_app

        _app = create_app()
    return _app


def run_forever(app: Flask, queues: tuple[str, ...] = QUEUES, *, burst: bool = False) -> None:
    """Work until SIGTERM (which lets the present run end) or, with ``burst``, until the queues are empty."""
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
                print(f"worker heartbeat missed: {error!r}", file=sys.stderr)

    threading.Thread(target=sign_of_life, daemon=True).start()
    try:
        worker = SimpleWorker([Queue(queue, connection=connection) for queue in queues], connection=connection, name=name, log_job_description=False)
        worker.work(burst=burst, logging_level="WARNING")
    finally:
        stop.set()

"""The doorbell: RQ is told that a run waits, and pages are told that something changed. Nothing depends on either arriving."""

from __future__ import annotations

import json
import time
from typing import Any

from flask import Flask, current_app
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.exceptions import DuplicateJobError

from connector.core import logs
from connector.core import redis as redis_connections
from connector.services import runs

log = logs.get(__name__)

PERFORM = "connector.jobs.runtime.perform"
CHANNEL = "connector:live"


def init_app(app: Flask) -> None:
    """Give this process an impatient connection; a worker exchanges it for a patient one."""
    app.extensions["connector_redis"] = redis_connections.impatient(app.config["CONNECTOR"].redis_url)
    runs.set_bell(ring)


def connection() -> Redis:
    return current_app.extensions["connector_redis"]


def ring(run_id: int, fence: int, queue: str, *, again: bool = False) -> bool:
    """Tell RQ about a run. False when Redis is away: the sweeper rings again.

    The RQ job id holds run and fence, so one pass of a run is queued once however often it is rung for. ``again`` adds the time, for a run whose
    earlier bell was swallowed by a worker that died between taking the message and taking the run.
    """
    job_id = f"run-{run_id}-{fence}" + (f"-{int(time.time()) // 15}" if again else "")
    try:
        Queue(queue, connection=connection()).enqueue_call(
            PERFORM, args=(run_id,), job_id=job_id, unique=True, timeout=4 * 3600, result_ttl=0, failure_ttl=86400, description=job_id
        )
    except DuplicateJobError:
        return True
    except RedisError as error:
        log.warning("doorbell_unreachable", run=run_id, error=type(error).__name__)
        return False
    return True


def announce(topic: str, **facts: Any) -> None:
    """Tell live pages that something changed; lost messages only mean that a page learns by its next poll."""
    try:
        connection().publish(CHANNEL, json.dumps({"topic": topic, **facts}))
    except RedisError:
        pass

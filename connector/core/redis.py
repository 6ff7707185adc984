"""Connections to Redis (or Valkey): patient ones for workers, impatient ones for web pages."""

from __future__ import annotations

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError
from redis.retry import Retry


def patient(url: str) -> Redis:
    """For workers and the scheduler: rides out a restart of Redis instead of dying with it."""
    return Redis.from_url(
        url,
        retry=Retry(ExponentialBackoff(cap=2, base=0.05), 30),
        retry_on_error=[ConnectionError, TimeoutError, BusyLoadingError],
        health_check_interval=30,
    )


def impatient(url: str) -> Redis:
    """For a web request: a hanging Redis must not hang the click; the sweeper rings later."""
    return Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5, retry=Retry(ExponentialBackoff(cap=0.05, base=0.01), 1))

"""Probes for supervisors and Prometheus. They say nothing about the merchant, so they need no sign-in."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from redis.exceptions import RedisError
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from connector.core.clock import utcnow
from connector.core.db import db
from connector.models.order import Order
from connector.models.run import Heartbeat, JobRun
from connector.web.auth import public

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
def healthz() -> Response:
    """The process answers."""
    return jsonify(status="ok", version=current_app.config["VERSION"])


@bp.get("/readyz")
@public
def readyz() -> tuple[Response, int]:
    """The database, Redis and the scheduler answer; each fault is named. 503 while the database is away."""
    database = _database()
    checks = {"database": database, "redis": _redis(), "scheduler": _scheduler() if database == "ok" else "Not known without the database."}
    ready = checks["database"] == "ok"  # without Redis pages still work and the sweeper catches up
    return jsonify(status="ok" if ready else "unavailable", checks=checks), 200 if ready else 503


@bp.get("/metrics")
@public
def metrics() -> Response:
    """What answers, and counts of orders by state and of runs by state, for Prometheus. Counts are left out while the database is away."""
    registry = CollectorRegistry()
    answers = Gauge("connector_up", "1 when this part answers", ["part"], registry=registry)
    database = _database()
    answers.labels("database").set(database == "ok")
    answers.labels("redis").set(_redis() == "ok")
    if database == "ok":
        _counts(registry)
    return Response(generate_latest(registry), mimetype="text/plain; version=0.0.4")


def _counts(registry: CollectorRegistry) -> None:
    orders = Gauge("connector_orders", "Orders by import state", ["state"], registry=registry)
    for state, count in db.session.execute(select(Order.state, func.count()).group_by(Order.state)):
        orders.labels(state).set(count)
    work = Gauge("connector_runs", "Job runs by state", ["state"], registry=registry)
    for state, count in db.session.execute(select(JobRun.state, func.count()).group_by(JobRun.state)):
        work.labels(state).set(count)
    age = Gauge("connector_scheduler_silent_seconds", "Seconds since the scheduler's last sign of life", registry=registry)
    beat = db.session.get(Heartbeat, "scheduler")
    age.set((utcnow() - beat.at).total_seconds() if beat else float("inf"))


def _database() -> str:
    try:
        db.session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        db.session.rollback()
        return f"The database does not answer: {type(error).__name__}. Check DATABASE_URL."
    return "ok"


def _redis() -> str:
    try:
        current_app.extensions["connector_redis"].ping()
    except RedisError as error:
        return f"Redis does not answer: {type(error).__name__}. Work goes on when it is back. Check REDIS_URL."
    return "ok"


def _scheduler() -> str:
    beat = db.session.get(Heartbeat, "scheduler")
    if beat is None:
        return "The scheduler has never run. Start it with the product, or with `flask connector scheduler`."
    silent = (utcnow() - beat.at).total_seconds()
    return "ok" if silent < 30 else f"The scheduler has been silent for {silent:.0f} s. Restart it."

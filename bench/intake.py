"""How fast orders are taken in, as ratios within one run, with a marketplace that answers after 200 ms as a real one does.

Four readers of the same orders: a bare client that reads one window and discards the pages, the product with one window, the product with four, and a
naive loop (page call, get-or-create and commit per order). The rounds alternate and the best of each counts, so that a noisy machine hits all alike.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import flask_migrate
import requests
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from bench.run import result
from connector import create_app
from connector.clients.base import Transport
from connector.clients.tiktok import TikTokClient, Window
from connector.config import Config
from connector.core.crypto import vault
from connector.core.db import db, end_reading, unit_of_work
from connector.domain.tiktok_order import buyer_words, read_order
from connector.models.account import Account
from connector.models.order import READY, SCHEDULE, BuyerToken, Order, OrderLine, OrderPayload, Reservation
from connector.models.run import JobItem, JobRun
from connector.models.trace import Event
from connector.practice.serve import PracticeServer
from connector.services import connections
from connector.services.orders import intake, order_rows, polling
from connector.supervisor.valkey import EmbeddedValkey

LATENCY_MS = 200
ORDERS, NAIVE_ORDERS, ROUNDS = 4800, 300, 2


class Watch:
    """Stands in for a run of the job runtime: the check-points are kept in memory, everything else is the product's own code."""

    run_id = 0

    def __init__(self) -> None:
        self.checkpoint: dict[str, Any] = {}
        self.cancelled = False

    def save_checkpoint(self, session: Any, **values: Any) -> None:
        self.checkpoint = {**self.checkpoint, **values}

    def park(self, ref: str, label: str, error: Exception, data: Any = None) -> None:
        raise error

    def progress(self, done: int | None = None, total: int | None = None, stage: str | None = None) -> None:
        pass


def results() -> list[dict[str, Any]]:
    return list(measure())


def measure(orders: int = ORDERS, rounds: int = ROUNDS) -> Iterator[dict[str, Any]]:
    """One result a line: ``{name, value, unit, bound, holds}``."""
    with tempfile.TemporaryDirectory(prefix="bench-intake-") as folder:
        root = Path(folder)
        valkey = EmbeddedValkey(root / "valkey").start()
        try:
            with PracticeServer("tiktok", root / "practice") as server:
                yield from _measure(root, valkey.url, server.url, orders, rounds)
        finally:
            valkey.stop()


def _measure(root: Path, redis_url: str, market: str, orders: int, rounds: int) -> Iterator[dict[str, Any]]:
    from tests.factories.shop import authorise

    config = Config.from_env({"CONNECTOR_INSTANCE": str(root / "instance"), "REDIS_URL": redis_url, "LOG_LEVEL": "ERROR"}, testing=True)
    app = create_app(replace(config, practice_tiktok_url=market))
    with app.app_context():
        flask_migrate.upgrade()
        account = authorise("GB")
        _post(market, "seed", region="GB", orders=orders)
        _post(market, "clock", rate=0)  # nothing moves while it is read
        _post(market, "latency", ms=LATENCY_MS)
        window = _window(account.id)
        best: dict[str, float] = {}
        for _ in range(rounds):
            for name, read in (("bare", _bare), ("one", _one), ("four", _four), ("naive", _naive)):
                _forget()
                began = time.perf_counter()
                count = read(account.id, window)
                best[name] = max(best.get(name, 0.0), count / (time.perf_counter() - began))
        db.session.remove()
        db.engine.dispose()
    for name in ("bare", "one", "four", "naive"):
        yield result(f"intake.{name}_rate", best[name], "orders/s", "reported", True)
    for name, ratio, bound in (
        ("intake.one_window_to_bare_client", best["one"] / best["bare"], 0.9),
        ("intake.four_windows_to_one_window", best["four"] / best["one"], 1.8),
        ("intake.four_windows_to_naive_loop", best["four"] / best["naive"], 15),
    ):
        yield result(name, ratio, "ratio", f">= {bound}", ratio >= bound)


def _post(market: str, path: str, **body: Any) -> Any:
    answer = requests.post(f"{market}/practice/{path}", json=body, timeout=300)
    answer.raise_for_status()
    return answer.json()


def _window(account_id: int) -> Window:
    now = connections.tiktok(account_id).now() + timedelta(seconds=2)
    end_reading()
    return Window(now - timedelta(days=3), now)


def _forget() -> None:
    """An empty order desk; the calls are made on it again."""
    with unit_of_work() as session:
        for model in (BuyerToken, Reservation, OrderLine, OrderPayload, Order, Event, JobRun):
            session.execute(delete(model))


def _stored() -> int:
    count = db.session.scalar(select(func.count()).select_from(Order)) or 0
    end_reading()
    return count


# --- the four readers


def _bare(account_id: int, window: Window) -> int:
    """The marketplace's own pace: one window, the pages are thrown away, no calls recorded, no limiter."""
    account = db.session.get(Account, account_id)
    assert account is not None
    app = connections.tiktok_app(account.environment)
    token = account.access_token or ""
    client = TikTokClient(
        Transport(),
        app_key=app.app_key,
        app_secret=app.app_secret,
        token=lambda: token,
        shop_cipher=account.shop_cipher,
        base_url=connections.settings.config().practice_tiktok_url,
        clock_offset=account.clock_offset_seconds,
    )
    end_reading()
    return sum(len(page.items) for page in client.iter_order_pages(window))


def _one(account_id: int, window: Window) -> int:
    return _product(account_id, window, 1)


def _four(account_id: int, window: Window) -> int:
    return _product(account_id, window, 4)


def _product(account_id: int, window: Window, windows: int) -> int:
    watch = Watch()
    assert window.start is not None
    assert window.end is not None
    start, end = int(window.start.timestamp()), int(window.end.timestamp())
    polling.import_range(watch, account_id, start=start, end=end, origin=SCHEDULE, parallel=windows)
    return _stored()


def _naive(account_id: int, window: Window) -> int:
    """Page call, then for every order: get or create each of its rows, commit. The rows are those that the product writes for the order."""
    client = connections.tiktok(account_id)
    done = 0
    for page in client.iter_order_pages(window):
        with Session(db.engine) as session:
            for payload in page.items:
                _store_one(session, account_id, payload)
                done += 1
                if done >= NAIVE_ORDERS:
                    return done
    return done


def _store_one(session: Session, account_id: int, payload: dict[str, Any]) -> None:
    snapshot = read_order(payload)
    header = {name: getattr(snapshot, name) for name in order_rows.HEADER if name != "number"}
    order = _get_or_create(session, Order, {"account_id": account_id, "number": snapshot.number}, {**header, "digest": ""})
    for line in snapshot.lines:
        values = {name: getattr(line, name) for name in order_rows.LINE if name != "line_id"}
        _get_or_create(session, OrderLine, {"order_id": order.id, "line_id": line.line_id}, values)
    buyer = {"address": snapshot.address, "buyer_name": snapshot.buyer_name, "buyer_email": snapshot.buyer_email}
    _get_or_create(session, OrderPayload, {"order_id": order.id}, {"body": payload, **buyer})
    for word in buyer_words(snapshot.buyer_name, snapshot.buyer_email, snapshot.buyer_phone):
        _get_or_create(session, BuyerToken, {"order_id": order.id, "token": vault().blind_index(word)}, {})
    for sku, quantity in snapshot.units.items():
        _get_or_create(session, Reservation, {"order_id": order.id, "sku": sku}, {"account_id": account_id, "quantity": quantity})
    session.add(Event(kind="order.imported", subject_type="order", subject_id=str(order.id), account_id=account_id, message="Imported from TikTok."))
    if intake.next_state(snapshot.remote_status, current=None, origin=SCHEDULE, policy=None) == READY:
        run = JobRun(kind="orders.create", title="Create sales orders", account_id=account_id, total=1)
        session.add(run)
        session.flush()
        session.add(JobItem(run_id=run.id, ref=str(order.id), label=order.number))
    session.commit()


def _get_or_create(session: Session, model: Any, keys: dict[str, Any], values: dict[str, Any]) -> Any:
    row = session.scalar(select(model).filter_by(**keys))
    if row is None:
        row = model(**keys)
        session.add(row)
    for name, value in values.items():
        setattr(row, name, value)
    session.flush()
    return row

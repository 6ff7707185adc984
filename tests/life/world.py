"""One running shop: the practice marketplace and store behind HTTP, the application with database and Valkey, and a twin that imports everything anew."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from flask import Flask
from sqlalchemy import delete, select, update
from werkzeug.serving import WSGIRequestHandler, make_server

from connector import create_app
from connector.config import Config
from connector.core import redis as redis_connections
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.jobs import runtime
from connector.models.account import Account, WebhookDelivery
from connector.models.aftersales import CreditMemo, RecallTask, Return
from connector.models.oms import OmsUpdate
from connector.models.order import (
    BuyerToken,
    Cancellation,
    MagentoOrderIntent,
    Order,
    OrderLine,
    OrderPayload,
    OutgoingAction,
    Reservation,
    Shipment,
    TracklessShipment,
)  # fmt: skip
from connector.models.run import QUEUED, WAITING, JobItem, JobRun, Schedule
from connector.models.trace import ApiCall, Event
from connector.practice.serve import PracticeServer
from connector.services import connections, runs
from tests.factories.accounts import connect
from tests.factories.shop import change_policy
from tests.factories.waiting import until

#: What is for sale, with the units on the shelf when a life begins.
SHELF = {"CAP-01": 9, "MUG-01": 12, "TEE-BLA-S": 6, "ONE-LEFT": 1}
TOKENS = "accounts.refresh_tokens"
WORK = (
    TOKENS, "orders.import", "cancellations.import", "returns.import", "orders.create", "orders.follow", "shipments.collect", "shipments.push", "oms.apply",
    "returns.memos", "orders.reference", "products.evaluate", "deadlines.warn",
)  # fmt: skip
_LONG = 10 * 365 * 86_400
#: Of orders imported at once.
_RANGE = 80 * 86_400
#: After this many rounds of all jobs something must be quiet.
ROUNDS = 10


class Refused(Exception):
    """The practice server does not allow that now."""


class _Silent(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        pass


class Remote:
    """The control interface of a practice server, on one connection."""

    def __init__(self, url: str) -> None:
        self._url, self._http = f"{url}/practice/", requests.Session()
        self._http.trust_env = False

    def ask(self, method: str, path: str, **more: Any) -> Any:
        answer = self._http.request(method, self._url + path, timeout=60, **more)
        if answer.status_code in (400, 404, 409):
            raise Refused(answer.text[:300])
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, params=query)

    def post(self, path: str, /, **body: Any) -> Any:
        return self.ask("POST", path, json=body)


class World:
    """``market`` and ``store`` are the outside; ``account_id`` is our account. ``begin`` makes everything new."""

    def __init__(self, folder: Path, template: Path, valkey_url: str, key: str) -> None:
        self.folder = folder
        self._servers = [PracticeServer(kind, folder / kind).start() for kind in ("tiktok", "magento")]
        self.market, self.store = (Remote(server.url) for server in self._servers)
        self._redis = redis_connections.patient(valkey_url)
        self._door = socket.socket()  # taken from the beginning, so that nobody else stands at the address that the application is told
        self._door.bind(("127.0.0.1", 0))
        self._door.listen(64)
        self._public = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        environment = {"REDIS_URL": valkey_url, "LOG_LEVEL": "CRITICAL", "CONNECTOR_ENCRYPTION_KEYS": key, "PUBLIC_URL": self._public}
        self.app, self.twin = (self._application(name, template, environment) for name in ("ours", "twin"))
        self._settings()
        with self.app.app_context():
            self.account_id = connect(self.app, "GB").id
            change_policy(db.session.get_one(Account, self.account_id), refund_from_magento=True)
            db.session.remove()
        self._listener = make_server("127.0.0.1", 0, self.app, threaded=True, request_handler=_Silent, fd=self._door.fileno())
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()
        self._kept = folder / "kept.sqlite3"
        self._copy(self._file(self.app), self._kept)
        self.context = self.app.app_context()
        self.context.push()
        self.seconds: Counter[str] = Counter()

    def _application(self, name: str, template: Path, environment: dict[str, str]) -> Flask:
        instance = self.folder / name
        instance.mkdir()
        shutil.copy(template, instance / "connector.sqlite3")
        config = Config.from_env({**environment, "CONNECTOR_INSTANCE": str(instance)}, testing=True)
        tiktok, magento = self._servers
        return create_app(replace(config, practice_tiktok_url=tiktok.url, practice_magento_url=magento.url))

    @staticmethod
    def _file(app: Flask) -> Path:
        return Path(app.config["CONNECTOR"].instance) / "connector.sqlite3"

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        for tail in ("", "-wal", "-shm"):
            Path(f"{target}{tail}").unlink(missing_ok=True)
        with sqlite3.connect(source) as one, sqlite3.connect(target) as other:
            one.backup(other)
        one.close()
        other.close()

    def _settings(self) -> None:
        """Consent outlives every life, however far its clock goes."""
        life = {"access_token_life_seconds": _LONG, "refresh_token_life_seconds": _LONG, "rotate_refresh_token": False}
        self.market.post("settings", **life)

    def close(self) -> None:
        db.session.remove()
        self.context.pop()
        self._listener.shutdown()
        for app in (self.app, self.twin):
            with app.app_context():
                db.engine.dispose()
        for server in self._servers:
            server.stop()

    # --- a new life -------------------------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Empty books everywhere, little stock on the shelf, the marketplace's clock at the present."""
        with self.timed("begin"):
            self.market.post("reset")
            self._settings()
            self.market.post("app", webhook_url=f"{self._public}/webhooks/tiktok")
            self.store.post("seed", keep_credentials=True)
            for sku, units in SHELF.items():
                for source, quantity in (("wh_main", units), ("wh_second", 0)):
                    self.store.post(f"products/{sku}/stock", source=source, quantity=quantity)
            db.session.remove()
            for app in (self.app, self.twin):
                with app.app_context():
                    db.session.remove()
                    db.engine.dispose()
                self._copy(self._kept, self._file(app))
            self._redis.flushall()
            connections.connections().clock_written.clear()

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begun
            self.seconds[what] += spent
            if spent > 5 and what in WORK:
                print(f"slow: {what} took {spent:.1f} s", flush=True)

    # --- our work ---------------------------------------------------------------------------------------------------------------------------

    def work(self, kind: str) -> None:
        """Submit a kind of scheduled work as the scheduler does, and carry it out as a worker does."""
        with self.timed(kind):
            account_id = None if kind == TOKENS else self.account_id  # one authorisation may stand behind several accounts
            self._carry_out(runs.submit(kind, account_id=account_id, key=f"schedule:{kind}:{account_id or ''}", quiet=True).run_id)

    def drain(self) -> None:
        """Carry out every run that is due, also those that these bring about."""
        with self.timed("drain"):
            for _ in range(60):
                db.session.expire_all()
                query = select(JobRun.id).where(JobRun.state.in_((QUEUED, WAITING)), JobRun.not_before.is_(None) | (JobRun.not_before <= utcnow()))
                due = list(db.session.scalars(query.order_by(JobRun.id)))
                db.session.commit()
                if not due:
                    return
                for run_id in due:
                    self._carry_out(run_id)
        raise AssertionError("runs bring about runs without an end")

    def _carry_out(self, run_id: int) -> None:
        db.session.commit()
        runtime.perform(run_id)
        db.session.expire_all()
        run = db.session.get(JobRun, run_id)
        assert run is None or run.error_code != "internal", f"run {run_id} ({run.kind}) broke: {run.message}"
        broken = select(JobItem.message).where(JobItem.run_id == run_id, JobItem.code == "internal").limit(1)
        assert (message := db.session.scalar(broken)) is None, f"an item of run {run_id} broke: {message}"
        db.session.commit()

    def pass_time(self, seconds: float = 0) -> None:
        """What waits on our own clock has waited long enough; what was received was received that much earlier."""
        claimed = timedelta(minutes=10)
        self._redis.flushall()  # paces and circuits
        with unit_of_work() as session:
            for model in (Shipment, Order, CreditMemo, OmsUpdate, JobItem):
                session.execute(update(model).where(model.retry_at.is_not(None)).values(retry_at=None))
            session.execute(update(JobRun).where(JobRun.not_before.is_not(None)).values(not_before=None))
            session.execute(update(TracklessShipment).values(read_again_at=utcnow()))
            session.execute(update(MagentoOrderIntent).where(MagentoOrderIntent.lease_until.is_not(None)).values(lease_until=utcnow()))
            for intent in session.scalars(select(MagentoOrderIntent).where(MagentoOrderIntent.placing_since.is_not(None))):
                intent.placing_since -= claimed
            for answer in session.scalars(select(Cancellation).where(Cancellation.answer_state == "sending")):
                answer.answered_at = answer.answered_at and answer.answered_at - claimed
            for action in session.scalars(select(OutgoingAction).where(OutgoingAction.state == "sent")):
                action.updated_at -= claimed
            for heard in (*session.scalars(select(OmsUpdate)), *session.scalars(select(WebhookDelivery))):
                heard.received_at -= timedelta(seconds=seconds)

    def webhooks_arrive(self) -> None:
        """Wait until everything that is due has been delivered."""

        def arrived() -> bool:
            now = self.market.get("clock")["now"]
            rows = self.market.get("webhooks", limit=200)["deliveries"]
            return not any(row["state"] in ("waiting", "retrying") and (row.get("due_time") or now) <= now for row in rows)

        with self.timed("webhooks"):
            until(arrived, "the webhooks that are due")

    def calm(self) -> None:
        """The network is well again and every job runs until nothing changes any more."""
        with self.timed("calm"):
            self.calm_network()
            self.webhooks_arrive()
            before = self._digest()
            for _ in range(ROUNDS):
                self.pass_time()
                self.drain()
                for kind in WORK:
                    self.work(kind)
                self.drain()
                now = self._digest()
                if now == before:
                    return
                before = now
        raise AssertionError(f"after {ROUNDS} rounds of all jobs something still changes")

    def calm_network(self) -> None:
        for remote in (self.market, self.store):
            remote.ask("DELETE", "faults")

    def _digest(self) -> list[Any]:
        columns = (
            (Order.number, Order.remote_status, Order.state, Order.magento_id, Order.magento_state, Order.failure_code, Order.cancel_requested, Order.tag),
            (OrderLine.line_id, OrderLine.remote_status, OrderLine.tracking_number), (Shipment.tracking_number, Shipment.order_id, Shipment.state),
            (Cancellation.cancel_id, Cancellation.remote_status, Cancellation.answer_state), (CreditMemo.order_id, CreditMemo.key, CreditMemo.state),
            (Return.return_id, Return.remote_status, Return.goods, Return.restocked_at), (RecallTask.order_id, RecallTask.state, RecallTask.restocked_at),
            (OmsUpdate.event_id, OmsUpdate.state),
        )  # fmt: skip
        found = [[tuple(row) for row in db.session.execute(select(*some).order_by(*some[:2]))] for some in columns]
        db.session.commit()
        return found

    # --- the marketplace's clock ------------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return float(self.market.get("clock")["now"])

    def advance(self, seconds: float) -> None:
        self.market.post("clock", advance_seconds=seconds)
        connections.connections().clock_written.clear()
        self.pass_time(seconds)

    # --- everything imported anew -----------------------------------------------------------------------------------------------------------

    @contextmanager
    def imported_anew(self) -> Iterator[None]:
        """In a second, empty database: all orders, cancellations and returns as a fresh import finds them."""
        begun = int(self.now()) + 60
        with self.timed("twin"), self.twin.app_context():
            try:
                with unit_of_work() as session:
                    for model in (
                        CreditMemo, RecallTask, Return, Cancellation, Shipment, Reservation, MagentoOrderIntent, OutgoingAction, BuyerToken, OrderPayload,
                        OrderLine, Order,
                    ):  # fmt: skip
                        session.execute(delete(model))
                    session.execute(update(Schedule).values(last_run_id=None))
                    for model in (JobItem, JobRun, Event, ApiCall):
                        session.execute(delete(model))
                    session.execute(update(Account).values(orders_cursor_at=None))
                oldest = min((int(one["create_time"]) for one in self.market.get("orders", shop="GB")["orders"]), default=begun)
                ranges = [{"from": end - _RANGE, "to": end} for end in range(begun, oldest, -_RANGE)]
                for kind, args in (*(("orders.import", each) for each in ranges), ("cancellations.import", {}), ("returns.import", {})):
                    self._carry_out(runs.submit(kind, account_id=self.account_id, args=args).run_id)
                yield
            finally:
                db.session.remove()


def environment(name: str, default: int) -> int:
    return int(os.environ.get(name) or default)

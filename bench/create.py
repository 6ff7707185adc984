"""How busy creation keeps the Magento store, as a ratio within one run, with a store that answers after 200 ms as a real one does.

Two writers of the same orders with the same parallelism: a bare client that makes the calls of one order and nothing else (no database, no record, no
gates), and the product's own job with its runtime. The rounds alternate and the best of each counts, so that a noisy machine hits both alike.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import flask_migrate
import requests
from sqlalchemy import select, update

from bench.run import result
from connector import create_app
from connector.clients.base import Transport
from connector.clients.magento import MagentoClient, OAuth1
from connector.config import Config
from connector.core.db import db, unit_of_work
from connector.jobs import runtime
from connector.models.account import Account, MagentoConnection
from connector.models.order import CREATED, READY, SCHEDULE, STORED, Order
from connector.models.run import JobRun
from connector.practice.serve import PracticeServer
from connector.services import connections, runs
from connector.services.orders import intake
from connector.supervisor.valkey import EmbeddedValkey

LATENCY_MS = 200
SLOTS, ORDERS, ROUNDS = 4, 100, 2
ADDRESS = {
    "firstname": "Buyer 0001", "lastname": "Example", "street": ["1 Sample Street"], "city": "Sampleton", "postcode": "ME1 2AB", "country_id": "GB",
    "telephone": "(+44)7700900001", "email": "7021@tiktok.com",
}  # fmt: skip


def results() -> list[dict[str, Any]]:
    return list(measure())


def measure(orders: int = ORDERS, rounds: int = ROUNDS) -> Iterator[dict[str, Any]]:
    """One result a line: ``{name, value, unit, bound, holds}``."""
    with tempfile.TemporaryDirectory(prefix="bench-create-") as folder:
        root = Path(folder)
        valkey = EmbeddedValkey(root / "valkey").start()
        try:
            with PracticeServer("tiktok", root / "tiktok") as market, PracticeServer("magento", root / "magento") as store:
                yield from _measure(root, valkey.url, market.url, store.url, orders, rounds)
        finally:
            valkey.stop()


def _measure(root: Path, redis_url: str, market: str, store: str, orders: int, rounds: int) -> Iterator[dict[str, Any]]:
    from tests.factories.accounts import connect
    from tests.factories.creation import complete

    config = Config.from_env({"CONNECTOR_INSTANCE": str(root / "instance"), "REDIS_URL": redis_url, "LOG_LEVEL": "ERROR"}, testing=True)
    app = create_app(replace(config, practice_tiktok_url=market, practice_magento_url=store))
    with app.app_context():
        flask_migrate.upgrade()
        account = complete(connect(app, "GB"))
        with unit_of_work() as session:
            session.execute(update(MagentoConnection).values(parallel_slots=SLOTS))
        _post(market, "seed", region="GB", orders=orders * rounds, status="AWAITING_SHIPMENT", lines=[1, 1], kinds={
            "platform_shipping": 0, "fulfilled_by_tiktok": 0, "thirty_lines": 0, "multi_line": 0, "multi_unit": 0, "cancel_request": 0})  # fmt: skip
        batches = _take_in(account.id, orders)
        _post(store, "latency", ms=LATENCY_MS)
        best: dict[str, float] = {}
        for batch in batches[:rounds]:
            for name, write in (("bare", _bare), ("product", _product)):
                began = time.perf_counter()
                count = write(account.id, batch)
                best[name] = max(best.get(name, 0.0), count / (time.perf_counter() - began))
        db.session.remove()
        db.engine.dispose()
    yield result("create.bare_rate", best["bare"], "orders/s", "reported", True)
    yield result("create.product_rate", best["product"], "orders/s", "reported", True)
    ratio = best["product"] / best["bare"]
    yield result(f"create.product_to_bare_client_with_{SLOTS}_slots", ratio, "ratio", ">= 0.95", ratio >= 0.95)


def _post(server: str, path: str, **body: Any) -> Any:
    answer = requests.post(f"{server}/practice/{path}", json=body, timeout=300)
    answer.raise_for_status()
    return answer.json()


def _take_in(account_id: int, size: int) -> list[list[tuple[str, str]]]:
    """Store every order of the marketplace; batches of run items, the runs that intake has submitted put out of the way."""
    client = connections.tiktok(account_id)
    numbers = [order["id"] for order in _get(connections.settings.config().practice_tiktok_url, "orders")["orders"]]
    rules = intake.rules_for(account_id, SCHEDULE)
    for start in range(0, len(numbers), 50):
        intake.store_page(rules, client.get_orders(numbers[start : start + 50]))
    with unit_of_work() as session:
        session.execute(update(JobRun).where(JobRun.state == "queued").values(state="cancelled"))
        rows = session.execute(select(Order.id, Order.number).where(Order.state == READY).order_by(Order.id)).all()
    items = [(str(row.id), row.number) for row in rows]
    return [items[start : start + size] for start in range(0, len(items), size)]


def _get(server: str, path: str) -> Any:
    answer = requests.get(f"{server}/practice/{path}", timeout=300)
    answer.raise_for_status()
    return answer.json()


# --- the two writers


def _product(account_id: int, batch: list[tuple[str, str]]) -> int:
    """The product's job, from taking the run to its end."""
    run_id = runs.submit("orders.create", account_id=account_id, items=batch).run_id
    runtime.perform(run_id)
    db.session.expire_all()
    ids = [int(ref) for ref, _ in batch]
    left = db.session.execute(select(Order.state, Order.failure_message).where(Order.id.in_(ids), Order.state != CREATED)).all()
    assert not left, left[:3]
    assert STORED not in {row.state for row in left}
    return len(batch)


def _bare(account_id: int, batch: list[tuple[str, str]]) -> int:
    """The same calls by a client that knows everything beforehand and writes nothing down."""
    account = db.session.get(Account, account_id)
    assert account is not None
    row = db.session.get(MagentoConnection, account.magento_id)
    assert row is not None
    auth = OAuth1(row.consumer_key or "", row.consumer_secret or "", row.access_token or "", row.access_token_secret or "")
    client = MagentoClient(Transport(pool_size=32), base_url=row.base_url, auth=auth)
    skus = {order.id: order.lines[0].seller_sku for order in db.session.scalars(select(Order).where(Order.id.in_([int(ref) for ref, _ in batch])))}
    db.session.commit()
    with ThreadPoolExecutor(SLOTS) as pool:
        return sum(pool.map(lambda item: _write(client, skus[int(item[0])], f"bare-{item[1]}"), batch))


def _write(client: MagentoClient, sku: str, number: str) -> int:
    cart_id = client.create_cart(store="default")
    client.add_item(cart_id, sku, 1, store="default")
    client.shipping_information(
        cart_id, shipping_address=ADDRESS, billing_address=ADDRESS, carrier_code="freeshipping", method_code="freeshipping", store="default"
    )
    entity_id = client.place_order(cart_id, method="checkmo", store="default")
    order = client.order(entity_id)
    line = order["items"][0]
    money = {key: line[key] for key in ("price", "base_price", "row_total", "base_row_total")}
    header = {key: order[key] for key in ("subtotal", "base_subtotal", "grand_total", "base_grand_total", "shipping_amount", "base_shipping_amount")}
    client.correct_order(
        {
            "entity_id": order["entity_id"],
            "increment_id": order["increment_id"],
            "ext_order_id": number[:32],
            **header,
            "items": [{"item_id": line["item_id"], **money}],
        },
        store="default",
    )
    client.order(entity_id)
    client.invoice(entity_id, capture=False, comment="Paid on TikTok Shop")
    status = client.order(entity_id)["status"]
    client.comment(entity_id, f"TikTok Shop order {number}", status=status)
    return 1

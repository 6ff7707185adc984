"""Prices and stock at scale: 50,000 listings worked out anew after a policy change, 10,000 stock changes sent to the practice marketplace.

The evaluation runs in a process of its own, so that its peak memory is its own; the naive loop does the same for one product at a time (its objects, its
rules, a commit each). Sending is measured without latency for all changes, and against the naive loop with a marketplace that answers after 200 ms.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import flask_migrate
import requests
from sqlalchemy import insert, select, update

from bench.run import result
from connector import create_app
from connector.clients.limits import Rate
from connector.config import Config
from connector.core.clock import utcnow
from connector.core.crypto import vault
from connector.core.db import db, end_reading, unit_of_work
from connector.domain import pricing, stock
from connector.domain.policies import InventoryPolicy, PricingPolicy
from connector.models.account import SANDBOX, Account, MagentoConnection
from connector.models.listing import Listing, ListingSku, ListingTemplate, StockEntry
from connector.models.policy import Policy
from connector.models.product import Product, ProductStock
from connector.practice.serve import PracticeServer
from connector.services import connections, policies
from connector.services.products import due, evaluate, facts, stock_push
from connector.supervisor.valkey import EmbeddedValkey

MANY, FEW, NAIVE = 50_000, 5_000, 200
CHANGES, SLOW_SAMPLE, SLOW_NAIVE, LATENCY_MS = 10_000, 200, 15, 200
ROOT = Path(__file__).resolve().parent.parent


def results() -> list[dict[str, Any]]:
    return list(measure())


def measure(many: int = MANY, few: int = FEW, changes: int = CHANGES) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="bench-products-sync-") as folder:
        root = Path(folder)
        valkey = EmbeddedValkey(root / "valkey").start()
        try:
            yield from _evaluation(root, valkey.url, many, few)
            with PracticeServer("tiktok", root / "practice") as server:
                yield from _sending(root, valkey.url, server.url, changes)
        finally:
            valkey.stop()


# --- evaluation


def _evaluation(root: Path, redis_url: str, many: int, few: int) -> Iterator[dict[str, Any]]:
    figures = {}
    for count in (few, many):
        home = root / f"listings-{count}"
        app = _app(home, redis_url)
        with app.app_context():
            flask_migrate.upgrade()
            _fill(count)
            db.session.remove()
            db.engine.dispose()
        figures[count] = _alone("evaluate", home, redis_url)
    naive = _alone("naive", root / f"listings-{many}", redis_url)
    rate = many / figures[many]["seconds"]
    yield result(f"listings evaluated a second, all {many:,} after a policy change", rate, "listings/s", "none", True)
    ratio = rate / (NAIVE / naive["seconds"])
    yield result("evaluation against a loop of one product at a time", ratio, "times", ">= 8", ratio >= 8)
    memory = figures[many]["peak"] / figures[few]["peak"]
    yield result(f"peak memory of evaluating {many:,} against {few:,}", memory, "times", "<= 1.3", memory <= 1.3)


def _alone(what: str, home: Path, redis_url: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.products_sync", what, str(home), redis_url]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=600)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _app(home: Path, redis_url: str, **changes: Any) -> Any:
    environment = {"CONNECTOR_INSTANCE": str(home), "REDIS_URL": redis_url, "LOG_LEVEL": "WARNING"}
    return create_app(replace(Config.from_env(environment, testing=True), **changes))


def _fill(count: int) -> None:
    """A store, an account, a template, and products with stock that are listed on TikTok with other figures."""
    from tests.factories.catalogue import a_magento, a_template
    from tests.factories.market import an_account

    magento = a_magento()
    account = an_account(magento)
    template = a_template(account)
    _rows(magento, account, template, [(f"BULK-{number:06d}", f"t{number}", f"s{number}", "w-main") for number in range(count)])


def _rows(magento: MagentoConnection, account: Account, template: ListingTemplate, articles: list[tuple[str, str, str, str]]) -> None:
    """Products, stock and listings for (SKU, TikTok product id, TikTok SKU id, warehouse)."""
    now = datetime.now(UTC)
    values = {
        "description": "<p>An article of the benchmark, described in a sentence or two as most of them are.</p>" * 5,
        "tax_class_id": "2",
        "image": "/b/u/bulk.jpg",
    }
    for start in range(0, len(articles), 5_000):
        part = list(enumerate(articles[start : start + 5_000], start + 1))
        with unit_of_work() as session:
            products = [
                {"id": n, "magento_id": magento.id, "entity_id": n, "sku": sku, "sku_key": sku.casefold(), "name": f"Article {n}", "type_id": "simple", "status": 1,
                 "price": Decimal(10) + n % 90, "weight": Decimal("0.2"), "data": {"values": {**values, "price": str(10 + n % 90)}, "images": [], "axes": []}}
                for n, (sku, _, _, _) in part
            ]  # fmt: skip
            session.execute(insert(Product), products)
            levels = [{"product_id": n, "website_code": "base", "quantity": n % 50, "salable": n % 50, "in_stock": True, "read_at": now} for n, _ in part]
            session.execute(insert(ProductStock), levels)
            heads = [
                {
                    "id": n,
                    "account_id": account.id,
                    "product_id": n,
                    "template_id": template.id,
                    "tiktok_id": product,
                    "remote_status": "ACTIVATE",
                    "marketplace_state": "live",
                }
                for n, (_, product, _, _) in part
            ]
            session.execute(insert(Listing), heads)
            skus = [
                {"listing_id": n, "account_id": account.id, "product_id": n, "seller_sku": sku, "seller_sku_key": sku.casefold(), "tiktok_sku_id": variant,
                 "live_quantity": 7, "live_warehouses": {place: 7}}
                for n, (sku, _, variant, place) in part
            ]  # fmt: skip
            session.execute(insert(ListingSku), skus)


def _evaluate_all() -> dict[str, Any]:
    """As the job does after a policy was saved: mark all, then due ones until none is left."""
    for kind, body in (("inventory", InventoryPolicy(threshold_buffer=1)), ("pricing", PricingPolicy(change="increase_percent", change_amount=Decimal(5)))):
        policy = db.session.scalars(select(Policy).where(Policy.kind == kind)).one()
        policies.save(policy.id, title=policy.title, body=body, actor="bench")
    template = db.session.scalars(select(ListingTemplate.id)).one()
    before, started = due.DEBOUNCE, time.perf_counter()
    due.DEBOUNCE = timedelta()
    due.mark(reason="policy saved", content=False, template_ids=[template])
    due.DEBOUNCE = before
    looked_at = changed = 0
    while ids := evaluate.due_listings():
        found = evaluate.evaluate(ids)
        looked_at, changed = looked_at + found.looked_at, changed + found.changed
    seconds = time.perf_counter() - started
    assert looked_at == changed > 0
    return {"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def _naive_loop() -> dict[str, Any]:
    started = time.perf_counter()
    for listing_id in range(1, NAIVE + 1):
        with unit_of_work() as session:
            listing = session.get(Listing, listing_id)
            assert listing is not None and listing.template is not None
            account = session.get(Account, listing.account_id)
            store = facts.store_facts(account)
            inventory = InventoryPolicy.model_validate(listing.template.inventory_policy.body)
            prices = PricingPolicy.model_validate(listing.template.pricing_policy.body)
            for sku in listing.skus:
                product = facts.magento_products([sku.product_id], store.store_view)
                price = pricing.price(prices, facts.price_facts(product, store, "GBP", utcnow())[sku.product_id])
                level = facts.stock_levels([sku.product_id], store.website_code)[sku.product_id]
                ledger = stock.quantity(inventory, stock.StockFacts(quantity=level.quantity + 1, salable=level.salable, warehouses=list(sku.live_warehouses)))
                sku.wanted_price, sku.wanted_quantity, sku.wanted_warehouses = price.amount, ledger.sent, dict(ledger.warehouses)
                session.add(StockEntry(listing_sku_id=sku.id, term="item", change=1, balance=ledger.sent))
        db.session.expunge_all()
    return {"seconds": time.perf_counter() - started}


# --- sending


def _sending(root: Path, redis_url: str, market: str, changes: int) -> Iterator[dict[str, Any]]:
    from tests.factories.catalogue import a_magento, a_template
    from tests.factories.shop import authorise

    connections._RATES[SANDBOX]["write"] = Rate(2000, 2000)  # the practice marketplace has no limit unless one is set; TikTok's own is a matter of the shop
    connections._RATES[SANDBOX]["read"] = Rate(2000, 2000)
    app = _app(root / "sending", redis_url, practice_tiktok_url=market)
    with app.app_context():
        flask_migrate.upgrade()
        account, magento = authorise("GB"), a_magento()
        with unit_of_work() as session:
            account = session.merge(account)
            account.magento_id, account.store_view = magento.id, "default"
        template = a_template(account)
        _control(market, "catalogue/seed", shop="GB", products=changes, bulk=True, stock=7)
        shown, after = [], ""
        while page := requests.get(f"{market}/practice/listings", params={"shop": "GB", "limit": 1000, "after": after}, timeout=60).json()["listings"]:
            shown += page
            after = page[-1]["id"]
        articles = [(sku["seller_sku"], one["id"], sku["id"], sku["stock"][0]["warehouse_id"]) for one in shown for sku in one["skus"]]
        _warehouse(account, articles[0][3])
        _rows(magento, account, template, articles)
        yield from _send(account, market, changes)
        db.session.remove()
        db.engine.dispose()


def _warehouse(account: Account, warehouse: str) -> None:
    from connector.models.account import ShopReference

    with unit_of_work() as session:
        data = {"id": warehouse, "type": "SALES_WAREHOUSE", "is_default": True}
        session.add(ShopReference(account_id=account.id, kind="warehouse", remote_id=warehouse, name=warehouse, data=data))


def _send(account: Account, market: str, changes: int) -> Iterator[dict[str, Any]]:
    ids = list(range(1, changes + 1))
    _new_stock(100)
    requests.delete(f"{market}/practice/calls", timeout=30)
    started = time.perf_counter()
    done = stock_push.push_many(account.id, ids)
    seconds = time.perf_counter() - started
    calls = requests.get(f"{market}/practice/calls", timeout=30).json()["total"]
    sent = sum(one.verified for one in done.values())
    assert sent == changes, f"{sent} of {changes} verified"
    yield result(f"products a second, {changes:,} stock changes worked out, sent and read back", changes / seconds, "products/s", "none", True)
    yield result("API calls a product, reading before and after included", calls / changes, "calls", "<= 1.03", calls / changes <= 1.03)
    _control(market, "latency", ms=LATENCY_MS)
    _new_stock(200)
    started = time.perf_counter()
    stock_push.push_many(account.id, ids[:SLOW_SAMPLE])
    together = SLOW_SAMPLE / (time.perf_counter() - started)
    client = connections.tiktok(account.id)
    rows = db.session.execute(select(ListingSku, Listing.tiktok_id).join(Listing).where(Listing.id > SLOW_SAMPLE).limit(SLOW_NAIVE)).all()
    end_reading()
    started = time.perf_counter()
    for sku, tiktok_id in rows:
        client.search_inventory(product_ids=[tiktok_id])
        client.update_inventory(tiktok_id, {sku.tiktok_sku_id: dict.fromkeys(sku.live_warehouses, 200)})
        client.search_inventory(product_ids=[tiktok_id])
    ratio = together / (len(rows) / (time.perf_counter() - started))
    yield result(f"sending against one product at a time, answers after {LATENCY_MS} ms", ratio, "times", ">= 8", ratio >= 8)


def _new_stock(quantity: int) -> None:
    with unit_of_work() as session:
        session.execute(update(ProductStock).values(quantity=quantity, salable=quantity))


def _control(market: str, path: str, **body: Any) -> None:
    answer = requests.post(f"{market}/practice/{path}", json=body, timeout=600)
    assert answer.ok, answer.text


if __name__ == "__main__":
    what, home, redis_url = sys.argv[1:]
    with _app(Path(home), redis_url).app_context():
        vault()
        print(json.dumps(_evaluate_all() if what == "evaluate" else _naive_loop()))

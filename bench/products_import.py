"""Importing 50,000 products and their stock against 5,000, and against a loop that takes one product at a time.

Each size is read by a process of its own, so that its peak memory is its own; the store is the practice store over HTTP with one store view beside scope
``all``, and SQLite has the page cache that the product gives it (8 MB a connection). The naive loop reads a sample of the same products in the same
process: a call for each scope and a commit a product, a call and a commit a stock figure. Calls are counted by the store.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import select

from bench.run import result

SMALL, LARGE, SAMPLE = 5_000, 50_000, 300
VIEW, WEBSITE = "tiktok_gb", "base"
ROOT = Path(__file__).resolve().parents[1]


def results() -> list[dict[str, Any]]:
    return list(measure())


def measure(small: int = SMALL, large: int = LARGE) -> Iterator[dict[str, Any]]:
    """One result a line: ``{name, value, unit, bound, holds}``."""
    few, many = _in_process(small), _in_process(large)
    memory = many["peak_growth"] / few["peak_growth"]
    yield result("products_import.rate", many["products"] / many["import_seconds"], "products/s", "reported", True)
    yield result("products_import.stock_rate", many["stocked"] / many["stock_seconds"], "SKUs/s", "reported", True)
    for name, value, bound in (
        ("products_import.calls_per_product", many["import_calls"] / many["products"], 0.011),
        ("products_import.stock_calls_per_sku", many["stock_calls"] / many["stocked"], 0.021),
        (f"products_import.peak_memory_{large}_to_{small}", memory, 1.3),
    ):
        yield result(name, value, "ratio", f"<= {bound}", value <= bound)
    yield result("products_import.unchanged_again_to_first_import", many["again_seconds"] / many["import_seconds"], "ratio", "reported", True)
    yield result("products_import.peak_growth", many["peak_growth"] / 1024, "MB", "reported", True)
    for name, ratio in (
        ("products_import.to_naive_loop", many["naive_import_seconds"] / (many["import_seconds"] / many["products"])),
        ("products_import.stock_to_naive_loop", many["naive_stock_seconds"] / (many["stock_seconds"] / many["stocked"])),
    ):
        yield result(name, ratio, "ratio", ">= 8", ratio >= 8)


def _in_process(count: int) -> dict[str, float]:
    """A store with ``count`` products more than the demo catalogue, read by a fresh process."""
    from connector.practice.serve import PracticeServer

    with tempfile.TemporaryDirectory(prefix="bench-products-") as folder, PracticeServer("magento", Path(folder) / "practice") as server:
        requests.post(f"{server.url}/practice/seed", json={"bulk": count}, timeout=600).raise_for_status()
        done = subprocess.run(
            [sys.executable, "-m", "bench.products_import", server.url, folder], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-4000:])
        measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return measured


# --- in the process of its own


def _read(url: str, folder: str) -> dict[str, float]:
    import flask_migrate

    from connector import create_app
    from connector.config import Config
    from connector.core.db import db
    from connector.models.account import SANDBOX
    from connector.services import policies
    from connector.services.accounts.editing import Choice, create
    from connector.services.accounts.practice import use_practice_store
    from connector.services.products import catalogue, stock_reading
    from connector.supervisor.valkey import EmbeddedValkey

    valkey = EmbeddedValkey(Path(folder) / "valkey").start()
    config = Config.from_env({"CONNECTOR_INSTANCE": f"{folder}/instance", "REDIS_URL": valkey.url, "LOG_LEVEL": "ERROR"}, testing=True)
    app = create_app(replace(config, practice_magento_url=url))
    try:
        with app.app_context():
            flask_migrate.upgrade()
            policies.seed(actor="bench")
            magento_id = use_practice_store(actor="bench").id
            create(Choice(title="Bench", country="GB", environment=SANDBOX, store_view=VIEW, magento_id=magento_id), actor="bench")
            catalogue.import_products(magento_id, skus=["CAP-01"])  # everything that is loaded once is loaded
            measured: dict[str, float] = {}
            before = _peak(reset=True)
            _calls(url)
            began = time.perf_counter()
            found = catalogue.import_products(magento_id, full=True)
            measured |= {"import_seconds": time.perf_counter() - began, "products": found.seen, "import_calls": _calls(url)}
            began = time.perf_counter()
            stock = stock_reading.read_stock(magento_id, WEBSITE)
            measured |= {"stock_seconds": time.perf_counter() - began, "stocked": stock.read, "stock_calls": _calls(url)}
            assert stock.changed == stock.read
            began = time.perf_counter()
            again = catalogue.import_products(magento_id, full=True)
            measured |= {"again_seconds": time.perf_counter() - began, "peak_growth": _peak() - before}
            assert (again.new, again.changed) == (0, 0)
            measured |= _naive(magento_id)
            db.session.remove()
            db.engine.dispose()
            return measured
    finally:
        valkey.stop()


def _naive(magento_id: int) -> dict[str, float]:
    """Seconds a product and a stock figure, taken one at a time into the same tables."""
    from sqlalchemy.orm import Session

    from connector.core.db import db, end_reading
    from connector.models.product import Product, ProductStock, ProductView
    from connector.services import connections
    from connector.services.products import product_rows

    client = connections.magento(magento_id)
    skus = list(db.session.scalars(select(Product.sku).where(Product.type_id == "simple").order_by(Product.id.desc()).limit(SAMPLE)))
    end_reading()
    began = time.perf_counter()
    for sku in skus:
        shown, viewed = client.product(sku), client.product(sku, store=VIEW)
        columns = product_rows.read_product(shown, {})
        with Session(db.engine) as session:
            row = session.scalars(select(Product).where(Product.magento_id == magento_id, Product.entity_id == columns["entity_id"])).one()
            for name, value in columns.items():
                setattr(row, name, value)
            if own := product_rows.difference(columns, viewed):
                session.add(ProductView(product_id=row.id, store_view=VIEW, data=own))
            session.commit()
    per_product = (time.perf_counter() - began) / len(skus)
    stock_id = client.stock_for_website(WEBSITE)["stock_id"]
    began = time.perf_counter()
    for sku in skus:
        salable, held = client.salable_quantity(sku, stock_id), client.source_items([sku])
        with Session(db.engine) as session:
            found = session.scalars(select(ProductStock).join(Product, Product.id == ProductStock.product_id).where(Product.sku == sku)).one()
            found.quantity, found.sources = int(salable), [{"code": each["source_code"], "quantity": int(each["quantity"])} for each in held]
            session.commit()
    return {"naive_import_seconds": per_product, "naive_stock_seconds": (time.perf_counter() - began) / len(skus)}


def _calls(url: str) -> int:
    """REST calls since the last time this was asked."""
    counted = requests.get(f"{url}/practice/calls", timeout=30).json()["total"]
    requests.delete(f"{url}/practice/calls", timeout=30)
    return int(counted)


def _peak(*, reset: bool = False) -> int:
    """Peak resident memory of this process in kB since the last reset; after a reset, what it is now."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    print(json.dumps(_read(sys.argv[1], sys.argv[2])))

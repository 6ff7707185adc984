"""The orders grid against its own size and against Flask-Admin's list view over the same table.

Both are asked in turns within one run, through their WSGI applications, so only ratios are reported: 100,000 orders against 1,000, and ours against
Flask-Admin 2.2 with 50 rows a page too: its list view as it comes (every column) and one cut to our eleven columns. Our page is the whole page with menu,
filters, actions and counts; theirs needs no sign-in. Searching is measured against our own first page.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.run import result

SMALL, LARGE, ROUNDS = 1_000, 100_000, 31
FIRST_NUMBER = 576_460_000_000_000_000


def results() -> list[dict[str, Any]]:
    large = _application(LARGE)
    small = _application(SMALL)
    admin = _flask_admin(large)
    ours_large, ours_small, theirs, same, nothing, number = _measure(
        [
            _asker(large, "/orders/?per_page=50", True),
            _asker(small, "/orders/?per_page=50", True),
            _asker(admin, "/admin/order/", False),
            _asker(admin, "/admin/same/", False),
            _asker(large, "/orders/?per_page=50&q=nothing+like+it", True, rows=0),
            _asker(large, f"/orders/?per_page=50&q={FIRST_NUMBER + 50_000}", True, rows=1),
        ]
    )
    grown, share, share_same = ours_large / ours_small, ours_large / theirs, ours_large / same
    return [
        result("orders grid: page 1 of 100,000 orders / of 1,000", grown, "ratio", "<= 1.3", grown <= 1.3),
        result("orders grid: page 1 of 100,000 / Flask-Admin's list view", share, "ratio", "<= 0.2", share <= 0.2),
        result("the same / Flask-Admin's list view cut to our columns", share_same, "ratio", "<= 0.3", share_same <= 0.3),
        result("search without a hit among 100,000 / page 1 of them", nothing / ours_large, "ratio", "<= 5", nothing <= 5 * ours_large),
        result("search of an order number among 100,000 / page 1 of them", number / ours_large, "ratio", "<= 3", number <= 3 * ours_large),
    ]


def _application(count: int) -> Any:
    """An installation of its own with ``count`` orders, in the state a shop has them."""
    import flask_migrate

    from connector import create_app
    from connector.config import Config
    from connector.core.db import db, unit_of_work
    from connector.models.user import User
    from connector.services import users

    folder = Path(tempfile.mkdtemp(prefix="connector-grids-"))
    app = create_app(
        Config.from_env(
            {"CONNECTOR_INSTANCE": str(folder), "LOG_LEVEL": "ERROR", "REDIS_URL": os.environ.get("REDIS_URL", "redis://127.0.0.1:1/0")}, testing=True
        )
    )
    with app.app_context():
        flask_migrate.upgrade()
        with unit_of_work() as session:
            session.add(
                User(email="bench@example.test", name="Bench", role="administrator", password_hash=users.hash_password("correct-horse-battery"), active=True)
            )
        _fill(count)
        db.session.remove()
        with db.engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")
    return app


def _fill(count: int) -> None:
    from connector.core.clock import utcnow
    from connector.core.db import unit_of_work
    from connector.models.account import Account
    from connector.models.order import Order, OrderLine

    dice = random.Random(7)
    now = utcnow()
    statuses = ["COMPLETED"] * 14 + ["DELIVERED", "IN_TRANSIT", "AWAITING_COLLECTION", "AWAITING_SHIPMENT", "CANCELLED", "ON_HOLD"]
    with unit_of_work() as session:
        session.add(Account(title="GB", country="GB", environment="sandbox"))
    for first in range(0, count, 10_000):
        rows = []
        for number in range(first, min(first + 10_000, count)):
            placed = now - timedelta(minutes=dice.randrange(60 * 24 * 90), seconds=dice.randrange(60))
            status = dice.choice(statuses)
            rows.append(
                {
                    "account_id": 1, "number": str(FIRST_NUMBER + number), "remote_status": status, "remote_updated_at": placed, "digest": "0" * 32, "placed_at": placed,
                    "currency": "GBP", "total": Decimal(dice.randrange(500, 20_000)) / 100, "state": "created" if status != "ON_HOLD" else "held", "item_count": dice.randrange(1, 5),
                    "magento_number": f"{number:09d}", "magento_status": "processing", "ship_by_at": placed + timedelta(days=2), "fulfillment_type": "FULFILLMENT_BY_SELLER",
                    "failure_code": "money.mismatch" if dice.random() < 0.01 else None, "failure_message": "The total differs.",
                }
            )  # fmt: skip
        with unit_of_work() as session:
            session.execute(Order.__table__.insert(), rows)
            lines = [
                {
                    "order_id": number + 1, "line_id": str(number), "name": f"Product {number % 200:03d} of the bench", "seller_sku": f"BULK-{number % 200:06d}",
                    "sale_price": Decimal("9.99"), "original_price": Decimal("9.99"),
                }
                for number in range(first, min(first + 10_000, count))
            ]  # fmt: skip
            session.execute(OrderLine.__table__.insert(), lines)


def _flask_admin(app: Any) -> Any:
    """Flask-Admin over the very same table: its list view as it comes (every column), and one with our eleven columns."""
    from flask import Flask
    from flask_admin import Admin
    from flask_admin.contrib.sqla import ModelView

    from connector.core.db import db
    from connector.models.order import Order

    admin_app = Flask("flask_admin_bench")
    admin_app.config.update(SQLALCHEMY_DATABASE_URI=app.config["SQLALCHEMY_DATABASE_URI"], SECRET_KEY="bench")
    db.init_app(admin_app)

    class AsItComes(ModelView):
        page_size = 50

    class SameColumns(ModelView):
        page_size = 50
        column_list = (
            "number",
            "account",
            "magento_number",
            "remote_status",
            "state",
            "magento_status",
            "failure_code",
            "total",
            "ship_by_at",
            "placed_at",
            "item_count",
        )
        column_filters = ("remote_status", "state")
        column_searchable_list = ("number", "magento_number")
        column_default_sort = ("placed_at", True)
        can_view_details = True

    admin = Admin(admin_app, name="bench")
    admin.add_view(AsItComes(Order, db.session, endpoint="order"))
    admin.add_view(SameColumns(Order, db.session, endpoint="same"))
    return admin_app


def _asker(app: Any, path: str, sign_in: bool, *, rows: int = 50) -> Any:
    client = app.test_client()
    if sign_in:
        token = client.get("/sign-in").text.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
        answer = client.post("/sign-in", data={"email": "bench@example.test", "password": "correct-horse-battery", "csrf_token": token})
        assert answer.status_code in (302, 303), answer.status_code

    def ask() -> float:
        began = time.perf_counter()
        answer = client.get(path)
        took = time.perf_counter() - began
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        assert answer.text.count("<tr") >= rows, path
        return took

    return ask


def _measure(askers: list[Any]) -> list[float]:
    """Medians of ``ROUNDS`` requests each, in shuffled turns."""
    dice = random.Random(3)
    times: list[list[float]] = [[] for _ in askers]
    for ask in askers:
        ask()
    for _ in range(ROUNDS):
        order = list(range(len(askers)))
        dice.shuffle(order)
        for index in order:
            times[index].append(askers[index]())
    return [statistics.median(each) for each in times]

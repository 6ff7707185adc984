"""An order feed of 100,000 orders against one of 10,000, and against the obvious way in the same run.

The obvious way loads every order of the account with its lines and its payload through the ORM and writes one JSON document. Peaks are the process's own
(``tracemalloc`` while the work runs), so that 100,000 orders can be compared with 10,000. The build is killed in the middle and continued; what is
downloaded twice is compared byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from bench.run import result

SMALL, LARGE, NAIVE = 10_000, 100_000, 10_000
KEY = Fernet.generate_key().decode()  #: one for both installations: a process has one set of keys


class Killed(BaseException):
    """What a power cut is to the build: nothing after it runs."""


def results() -> list[dict[str, Any]]:
    small, large = _application(SMALL), _application(LARGE)
    ours, naive, same = _speed(small)
    peak_small, _ = _peak(small)
    peak_large, digest = _peak(large)
    resumed, again, twice = _killed(large, digest)
    return [
        result("order feed: peak memory of 100,000 orders / of 10,000", peak_large / peak_small, "ratio", "<= 1.2", peak_large <= 1.2 * peak_small),
        result("order feed: peak memory of 100,000 orders", peak_large / 1e6, "MB", "<= 40", peak_large <= 40e6),
        result("order feed: orders a second / ORM and json.dumps of everything", ours / naive, "ratio", ">= 1", ours >= naive),
        result("order feed: orders a second (for this machine)", ours, "orders/s", "> 0", ours > 0),
        result("order feed: says of each order what the obvious way says", same, "share", "= 1", same == 1),
        result("order feed: killed and continued, the same sha256", resumed, "share", "= 1", resumed == 1),
        result("order feed: orders that were written again after the kill", again, "chunks", "= 0", again == 0),
        result("order feed: downloaded twice, byte-identical", twice, "share", "= 1", twice == 1),
    ]


def _application(count: int) -> Any:
    """An installation of its own with one account, its OMS, and ``count`` orders of two lines with their encrypted payloads."""
    import flask_migrate

    from connector import create_app
    from connector.config import Config
    from connector.core.db import db, unit_of_work
    from connector.models.account import Account
    from connector.services.oms import connection

    folder = Path(tempfile.mkdtemp(prefix="connector-feed-"))
    redis = os.environ.get("REDIS_URL", "redis://127.0.0.1:1/0")
    environment = {"CONNECTOR_INSTANCE": str(folder), "LOG_LEVEL": "ERROR", "REDIS_URL": redis, "CONNECTOR_ENCRYPTION_KEYS": KEY}
    app = create_app(Config.from_env(environment, testing=True))
    with app.app_context():
        flask_migrate.upgrade()
        with unit_of_work() as session:
            session.add(Account(title="GB", country="GB", environment="sandbox"))
        connection.save(1, connection.Choice(), actor="bench")
        _fill(count)
        db.session.remove()
        with db.engine.begin() as connection_:
            connection_.exec_driver_sql("ANALYZE")
    return app


def _fill(count: int) -> None:
    from connector.core.clock import utcnow
    from connector.core.db import unit_of_work
    from connector.models.order import Order, OrderLine, OrderPayload

    begin = utcnow() - timedelta(days=2)
    body = {
        "buyer_email": "buyer@example.test",
        "payment": {"currency": "GBP", "sub_total": "19.98", "shipping_fee": "3.52", "tax": "0.00", "total_amount": "23.50"},
        "line_items": [{"id": str(unit), "seller_sku": "BULK-000001", "sale_price": "9.99", "product_name": "Product of the bench"} for unit in (1, 2)],
    }
    address = {"name": "Buyer Example", "phone_number": "(+44)7700900123", "address_line1": "1 High Street", "postal_code": "AB1 2CD", "region_code": "GB"}
    sealed = OrderPayload.__table__.c.body.type.process_bind_param(body, None), OrderPayload.__table__.c.address.type.process_bind_param(address, None)
    for first in range(0, count, 5_000):
        numbers = range(first, min(first + 5_000, count))
        orders, lines, payloads = [], [], []
        for number in numbers:
            at = begin + timedelta(milliseconds=number)
            orders.append(
                {
                    "account_id": 1, "number": str(576_460_000_000_000_000 + number), "remote_status": "AWAITING_SHIPMENT", "remote_updated_at": at, "digest": "0" * 32,
                    "placed_at": at, "paid_at": at, "ship_by_at": at + timedelta(days=2), "currency": "GBP", "total": Decimal("23.50"), "state": "created",
                    "item_count": 2, "magento_number": f"{number:09d}", "updated_at": at,
                }
            )  # fmt: skip
            lines += [
                {
                    "order_id": number + 1, "line_id": f"{number}-{unit}", "name": f"Product {number % 200:03d} of the bench", "seller_sku": f"BULK-{number % 200:06d}",
                    "sale_price": Decimal("9.99"), "original_price": Decimal("9.99"),
                }
                for unit in (1, 2)
            ]  # fmt: skip
            payloads.append({"order_id": number + 1, "body": sealed[0], "address": sealed[1]})
        with unit_of_work() as session:
            session.execute(Order.__table__.insert(), orders)
            session.execute(OrderLine.__table__.insert(), lines)
            session.connection().exec_driver_sql("INSERT INTO order_payload (order_id, body, address) VALUES (:order_id, :body, :address)", payloads)


def _speed(app: Any) -> tuple[float, float, float]:
    """Orders a second: ours and the obvious way's, in turns; and the share of orders of which both say the same."""
    from connector.services.oms import feed

    ours: list[float] = []
    theirs: list[float] = []
    same = 0.0
    with app.app_context():
        for _ in range(2):
            _again()
            began = time.perf_counter()
            (feed_id,) = feed.make(1)
            ours.append(SMALL / (time.perf_counter() - began))
            began = time.perf_counter()
            document = _obvious()
            theirs.append(NAIVE / (time.perf_counter() - began))
            lines = [json.loads(line) for line in b"".join(feed.stream(feed_id)).splitlines()]
            same = sum(
                a["number"] == b["number"] and a["lines"] == b["lines"] and a["address"] == b["address"]
                for a, b in zip(lines, json.loads(document), strict=True)
            ) / len(lines)
    return max(ours), max(theirs), same


def _obvious() -> str:
    from sqlalchemy import select
    from sqlalchemy.orm import selectinload

    from connector.core.db import db
    from connector.models.order import Order
    from connector.services.oms import records

    db.session.expire_all()
    db.session.expunge_all()
    rows = db.session.scalars(
        select(Order).options(selectinload(Order.lines), selectinload(Order.payload), selectinload(Order.account)).order_by(Order.updated_at, Order.id)
    ).all()
    columns = [column.key for column in Order.__mapper__.column_attrs]
    document = []
    for order in rows:
        facts = {name: getattr(order, name) for name in columns} | {"account": order.account.title}
        lines = [{column.key: getattr(line, column.key) for column in type(line).__mapper__.column_attrs} for line in order.lines]
        document.append(records.record(facts, lines, order.payload.body, order.payload.address))
    db.session.commit()
    return json.dumps(document, sort_keys=True)


def _again() -> None:
    """Everything is new to the OMS once more."""
    from sqlalchemy import update

    from connector.core.db import db, unit_of_work
    from connector.models.oms import OmsConnection

    with unit_of_work() as session:
        session.execute(update(OmsConnection).values(feed_from_at=None))
    db.session.remove()


def _peak(app: Any) -> tuple[int, str]:
    """The most memory in use while a feed is built, beyond what was in use before; and the feed's digest."""
    from connector.services.oms import feed

    with app.app_context():
        _again()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        (feed_id,) = feed.make(1)
        for part in feed.stream(feed_id):
            del part
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        return peak, feed.get(feed_id).sha256


def _killed(app: Any, digest: str) -> tuple[float, int, float]:
    """Killed in the middle and continued: the same file? chunks written twice? the same bytes twice?"""
    from sqlalchemy import func, select

    from connector.core.db import db
    from connector.models.oms import FEED_BUILDING, OrderFeed, OrderFeedChunk
    from connector.services.oms import feed

    chunks = LARGE // feed.CHUNK

    def guard_until(most: int) -> Callable[[Any], None]:
        left = [most]

        def guard(session: Any) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        return guard

    with app.app_context():
        _again()
        try:
            feed.make(1, guard=guard_until(chunks // 2))
        except Killed:
            db.session.remove()
        unfinished = select(OrderFeed.id).where(OrderFeed.state == FEED_BUILDING)
        written = db.session.scalar(select(func.count()).select_from(OrderFeedChunk).where(OrderFeedChunk.feed_id.in_(unfinished))) or 0
        made: list[int] = []
        (feed_id,) = feed.make(1, progress=made.append)
        same = feed.get(feed_id).sha256 == digest
        files = [hashlib.sha256(b"".join(feed.stream(feed_id))).hexdigest() for _ in range(2)]
        return float(same), written + len(made) - chunks, float(files == [digest, digest])

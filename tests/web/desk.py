"""A desk that has worked for a while: real orders of the practice marketplace, brought to Magento and back over real HTTP, with something of every kind.

The cycle runs once a session in an instance folder of its own; each test gets a copy of that folder, so that no test sees another one's changes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from flask import Flask
from sqlalchemy import select

from connector import create_app
from connector.config import Config
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.jobs import scheduler, sweeper, worker
from connector.models.account import Account
from connector.models.listing import CategoryAttribute, TikTokProduct
from connector.models.order import CREATED, Order
from connector.models.run import QUEUED, WAITING, JobRun
from connector.practice.magento.pictures import picture
from connector.practice.serve import PracticeServer
from connector.services import api_tokens, events, policy_images, runs, settings, users
from connector.services.attributes import fetch, mapping
from connector.services.oms import batches, connection, feed
from connector.services.orders import ship
from tests.factories import catalogue

#: Of the one person who did everything by hand.
ADMINISTRATOR = "desk@example.test"
PASSWORD = "a-password-for-the-desk"


@dataclass
class Desk:
    """Where it lies, and what it must keep to itself: ``secrets`` and ``buyers`` are the texts that may appear nowhere in plain."""

    folder: Path
    environment: dict[str, str]
    secrets: dict[str, str] = field(default_factory=dict)
    buyers: dict[str, str] = field(default_factory=dict)
    log: str = ""

    def config(self, folder: Path | None = None) -> Config:
        return Config.from_env({**self.environment, "CONNECTOR_INSTANCE": str(folder or self.folder)}, testing=True)


class _Lines(logging.Handler):
    """Every line that the process would write to its log, at the lowest level, as its own formatter writes it."""

    def __init__(self, formatter: logging.Formatter | None) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def work(folder: Path, environment: dict[str, str], tiktok: PracticeServer, magento: PracticeServer) -> Desk:
    """Make the desk in ``folder``, which holds a migrated database already."""
    desk = Desk(folder, {**environment, "PRACTICE_TIKTOK_URL": tiktok.url, "PRACTICE_MAGENTO_URL": magento.url, "LOG_LEVEL": "DEBUG"})
    app = create_app(desk.config())
    root = logging.getLogger()
    lines = _Lines(root.handlers[0].formatter)
    root.addHandler(lines)
    try:
        with app.app_context():
            _cycle(app, desk, tiktok.url, magento.url)
            db.session.remove()
            db.engine.dispose()
    finally:
        root.removeHandler(lines)
        root.setLevel("WARNING")
    desk.log = "\n".join(lines.lines)
    return desk


def _cycle(app: Flask, desk: Desk, tiktok: str, magento: str) -> None:
    from connector.services.accounts.unattended import connect_practice_shop

    post(magento, "seed", world="demo", bulk=10)
    plain = {"platform_shipping": 0, "fulfilled_by_tiktok": 0, "sample": 0, "bundle": 0, "cancel_request": 0}
    post(tiktok, "seed", region="GB", orders=10, status="AWAITING_SHIPMENT", seed=5, since_hours=20, kinds={**plain, "message": 1, "multi_line": 1})
    post(tiktok, "seed", region="GB", orders=2, status="AWAITING_SHIPMENT", seed=6, skus=["BULK-000999"], kinds=plain)
    post(tiktok, "seed", region="GB", orders=2, status="AWAITING_SHIPMENT", seed=8, kinds={**plain, "cancel_request": 1})
    for number, status in enumerate(("UNPAID", "ON_HOLD", "IN_TRANSIT", "DELIVERED", "CANCELLED")):
        post(tiktok, "seed", region="GB", orders=1, status=status, seed=20 + number, kinds=plain)
    with unit_of_work():
        users.create(email=ADMINISTRATOR, password=PASSWORD, role="administrator", name="Desk", terms=True)
        session = users.open_session(users.get(1), address="127.0.0.1", browser="test")
        _, token = api_tokens.create(users.get(1), "script", list(api_tokens.SCOPES))
        users.create(email="second@example.test", password=PASSWORD + "-2", role="operator", name="Second", temporary=True)
    events.actor_now.set(ADMINISTRATOR)
    account_id = connect_practice_shop("GB", actor=ADMINISTRATOR).id
    scheduler.beat("scheduler")
    runs.submit("orders.import", account_id=account_id, key=f"schedule:orders.import:{account_id}", started_by="schedule")
    work_off(app)
    _ship(app, account_id, magento)
    delivered = db.session.scalar(select(Order.number).where(Order.remote_status == "DELIVERED").limit(1))
    post(tiktok, f"orders/{delivered}/return", type="REFUND", note="The seam is open on one side.", pictures=1)
    for kind in ("orders.refresh", "orders.import", "cancellations.import", "returns.import", "accounts.refresh_tokens", "orders.follow"):
        runs.submit(kind, account_id=account_id, key=f"schedule:{kind}:{account_id}", started_by="schedule")
    work_off(app)
    runs.submit("reconcile", account_id=account_id, args={"day": utcnow().date().isoformat()}, started_by=ADMINISTRATOR)
    work_off(app)
    _catalogue(account_id)
    desk.secrets["OMS secret"] = _oms(account_id)
    work_off(app)
    with unit_of_work() as db_session:
        order = db_session.scalar(select(Order).where(Order.state == CREATED).limit(1))
        events.record("note", "order", order.id, "The buyer will collect the parcel on Friday.", account_id=account_id)
    settings.put({"mail.sender": "desk@example.test", "notify.recipients": [ADMINISTRATOR]}, actor=ADMINISTRATOR)
    assert db.session.scalar(select(Order.id).where(Order.failure_code.is_not(None)).limit(1)), "the desk shows a failure as well"
    _remember(desk, account_id, tiktok, magento, session=session, token=token)


def _ship(app: Flask, account_id: int, magento: str) -> None:
    """Three parcels by the merchant in Magento, one by an unknown carrier, and one from the ship form."""
    created = list(
        db.session.scalars(
            select(Order).where(Order.state == CREATED, Order.remote_status == "AWAITING_SHIPMENT", Order.cancel_requested.is_(False)).order_by(Order.id)
        )
    )
    for number, order in enumerate(created[:4]):
        carrier = {"title": "Moon Courier", "carrier_code": "custom"} if number == 3 else {"title": "Royal Mail", "carrier_code": "royalmail"}
        post(magento, f"orders/{order.magento_id}/ship", tracks=[{"track_number": f"AB{number:09d}GB", **carrier}])
    runs.submit("shipments.collect", account_id=account_id, key=f"schedule:shipments.collect:{account_id}", started_by="schedule")
    work_off(app)
    last = created[4]
    ship.submit([last.id], {last.id: ship.Tracking("Royal Mail", "AB900000001GB")}, started_by=ADMINISTRATOR)
    work_off(app)


def _remember(desk: Desk, account_id: int, tiktok: str, magento: str, *, session: str, token: str) -> None:
    """What nobody may find lying about: the secrets as the two systems know them, and the buyers of the orders."""
    account = db.session.get(Account, account_id)
    assert account is not None
    assert account.magento is not None
    practice = requests.get(f"{tiktok}/practice/app", timeout=10).json()
    desk.secrets |= {
        "app secret": practice["app_secret"],
        "access token": str(account.access_token),
        "refresh token": str(account.refresh_token),
        "shop cipher": str(account.shop_cipher),
        "consumer key": str(account.magento.consumer_key),
        "consumer secret": str(account.magento.consumer_secret),
        "Magento token": str(account.magento.access_token),
        "Magento token secret": str(account.magento.access_token_secret),
        "session": session,
        "API token": token,
        "password": PASSWORD,
    }
    assert all(len(value) >= 8 for value in desk.secrets.values())
    for summary in requests.get(f"{tiktok}/practice/orders", timeout=30).json()["orders"]:
        order = requests.get(f"{tiktok}/practice/orders/{summary['id']}", timeout=10).json()["order"]
        address: dict[str, Any] = order.get("recipient_address") or {}
        for name in ("name", "phone_number", "address_line1"):
            if address.get(name):
                desk.buyers[f"{name} of {order['id']}"] = address[name]
        desk.buyers[f"e-mail of {order['id']}"] = order["buyer_email"]
        if order.get("buyer_message"):
            desk.buyers[f"message of {order['id']}"] = order["buyer_message"]
    assert len(desk.buyers) > 40


def work_off(app: Flask, passes: int = 25) -> None:
    """Everything that is due now or within a moment, through real RQ."""
    for _ in range(passes):
        sweeper.sweep()
        worker.run_forever(app, burst=True)
        db.session.expire_all()
        soon = utcnow() + timedelta(seconds=2)
        open_runs = db.session.scalars(select(JobRun).where(JobRun.state.in_((QUEUED, WAITING)))).all()
        db.session.commit()
        if not [run for run in open_runs if run.not_before is None or run.not_before < soon]:
            return


def post(base: str, path: str, **body: Any) -> Any:
    answer = requests.post(f"{base}/practice/{path}", json=body, timeout=60)
    assert answer.ok, answer.text[:500]
    return answer.json() if answer.content else None


def _oms(account_id: int) -> str:
    """An OMS that is connected, was given a feed in both formats, and sent a file with a line for an order that nobody knows; its secret."""
    secret = connection.save(account_id, connection.Choice(feed_formats=("jsonl", "csv"), drop_folder=True), actor=ADMINISTRATOR).secret
    with unit_of_work() as session:  # a feed leaves out what changed in the last seconds
        for order in session.scalars(select(Order)):
            order.updated_at = order.updated_at - timedelta(minutes=1)
    assert len(feed.make(account_id)) == 2
    batches.take(account_id, b"order_id,action\n576460000000000001,delivered\n", file_name="from-the-oms.csv", actor=ADMINISTRATOR)
    return str(secret)


def _catalogue(account_id: int) -> None:
    """A listing template with a product, and an attribute that is mapped."""
    account = db.session.get_one(Account, account_id)
    template = catalogue.a_template(account, "Shirts", category_id="610021")
    catalogue.a_listing(account, catalogue.a_product(account.magento_id, "DESK-TEE", entity_id=900_001), template)
    with unit_of_work() as session:
        session.add(
            TikTokProduct(
                account_id=account_id, tiktok_id="1729500000000099999", title="A product that is not linked", status="ACTIVATE", seller_skus="DESK-MUG"
            )
        )
    fetch.ensure(account_id, [template.category_id])
    row_id = db.session.scalar(select(CategoryAttribute.id).where(CategoryAttribute.name == "Care Instructions"))
    mapping.save(row_id, {"source": "custom", "custom_value": "Wash cold"})
    policy_images.store(picture("default.png").content, "default.png", actor=ADMINISTRATOR)

"""What the browser tests find in the house: made through the product's own functions, as the worker and the scheduler make it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench import listing
from bench.house import House

ADMINISTRATOR, PASSWORD = "ada@example.test", "correct-horse-battery-staple"
ORDERS = 40
PATIENCE = 180.0  #: seconds; a busy machine takes its time
LISTED = 12  #: load-test products that are listed beside the two with variants; the first two are refused by the audit


def open_shop(house: House) -> None:
    """An administrator, the GB practice shop, orders in every state, parcels by known and unknown carriers, orders that cannot be created; listings that are
    live, rejected and incomplete."""
    plain = {"platform_shipping": 0, "fulfilled_by_tiktok": 0, "sample": 0, "bundle": 0}
    house.post("magento", "seed", {"world": "demo", "bulk": LISTED + 1})
    house.post("tiktok", "seed", {"region": "GB", "orders": ORDERS - 3, "seed": 3, "since_hours": 48})
    house.post(
        "tiktok", "seed", {"region": "GB", "orders": 3, "seed": 9, "since_hours": 20, "skus": ["BULK-000990"], "status": "AWAITING_SHIPMENT", "kinds": plain}
    )
    app = house.app()
    with app.app_context():
        from connector.core.db import unit_of_work
        from connector.services import runs, settings, users
        from connector.services.accounts.unattended import connect_practice_shop

        with unit_of_work():
            users.create(email=ADMINISTRATOR, password=PASSWORD, role="administrator", name="Ada", terms=True)
        settings.put({"setup.finished": True}, actor=ADMINISTRATOR)
        account_id = connect_practice_shop("GB", actor=ADMINISTRATOR).id
        runs.submit("orders.import", account_id=account_id, key=f"schedule:orders.import:{account_id}", started_by=ADMINISTRATOR)
        settled(house, app)
        shipped = _ship_some(house)
        _ask_back(house)
        for kind in ("shipments.collect", "cancellations.import", "returns.import"):
            runs.submit(kind, account_id=account_id, key=f"schedule:{kind}:{account_id}", started_by=ADMINISTRATOR)
        settled(house, app)
        _cancel_a_parcel(house, shipped)
        _hear_an_oms(account_id)
        settled(house, app)
        from connector.services import reconcile

        reconcile.submit_all(started_by=ADMINISTRATOR)
        settled(house, app)
    listing.list_products(house, app, account_id, say=lambda words: None, audit_seconds=1)
    with app.app_context():
        _leave_incomplete(house, app, account_id)


def _leave_incomplete(house: House, app: Any, account_id: int) -> None:
    """A template whose required attributes nobody has mapped, and products that cannot be sent with it."""
    from sqlalchemy import select

    from connector.core.db import db
    from connector.models.account import ShopReference
    from connector.services import policies, runs
    from connector.services.templates import editing, filling

    mugs = db.session.scalar(
        select(ShopReference.remote_id).where(ShopReference.account_id == account_id, ShopReference.kind == "category", ShopReference.name == "Stoneware Mugs")
    )
    query = filling.query_of("all", [{"attribute": "sku", "operator": "starts_with", "value": "MUG"}])
    chosen = {name: policies.of_kind(kind)[0].id for name, kind in filling.POLICY_FIELDS.items()}
    template = editing.create(
        filling.Draft(account_id=account_id, name="Mugs", category_id=str(mugs), query=query, options=filling.options_from({}), **chosen), actor=ADMINISTRATOR
    )
    editing.learn_category(template.id, actor=ADMINISTRATOR)
    for kind in ("templates.assign", "products.validate"):
        runs.submit(kind, account_id=account_id, key=f"{kind}:browser", started_by=ADMINISTRATOR)
        settled(house, app)


def _ask_back(house: House) -> None:
    """Buyers who want something back, with words and pictures."""
    delivered = house.get("tiktok", "orders?status=DELIVERED")["orders"][:3]
    for order, kind in zip(delivered, ("REFUND", "RETURN_AND_REFUND", "REPLACEMENT"), strict=False):
        house.post("tiktok", f"orders/{order['id']}/return", {"type": kind, "note": "The seam is open on one side.", "pictures": 2})


def _cancel_a_parcel(house: House, shipped: set[str]) -> None:
    """TikTok cancels an order that has left the store: a recall, which its webhook brings about."""
    from sqlalchemy import select

    from connector.core.db import db
    from connector.models.aftersales import RecallTask

    left = [order["id"] for order in house.get("tiktok", "orders?status=AWAITING_COLLECTION")["orders"] if order["id"] in shipped]
    house.post("tiktok", f"orders/{left[-1]}/cancel", {"by": "OPERATOR"})

    def recalled() -> bool:
        db.session.rollback()
        return db.session.scalar(select(RecallTask.id)) is not None

    wait_until(recalled, otherwise=lambda: _log(house))


def _hear_an_oms(account_id: int) -> None:
    """An OMS that collects feeds by itself, and a file of its with lines of which none is right."""
    from connector.services.oms import batches, connection

    connection.save(account_id, connection.Choice(feed_formats=(connection.JSONL,), feed_minutes=60), actor=ADMINISTRATOR)
    lines = b"order_id,action,tracking_number,carrier\n576469999999999999,shipped,AB123456789GB,Royal Mail\n576469999999999998,exploded,,\n"
    batches.take(account_id, lines, file_name="warehouse.csv", actor=ADMINISTRATOR)


def _ship_some(house: House) -> set[str]:
    """TikTok's ids of what was shipped."""
    some = house.get("magento", "orders")[:8]
    for order in some:
        unknown = order["entity_id"] % 4 == 0
        track = {"title": "Moon Courier", "carrier_code": "custom"} if unknown else {"title": "Royal Mail", "carrier_code": "royalmail"}
        house.post("magento", f"orders/{order['entity_id']}/ship", {"tracks": [{"track_number": f"AB{order['entity_id']:09d}GB", **track}]})
    return {order["ext_order_id"] for order in some}


def settled(house: House, app: Any) -> None:
    """Wait until no run is open."""
    from sqlalchemy import func, select

    from connector.core.db import db
    from connector.models.run import QUEUED, RUNNING, JobRun

    def quiet() -> bool:
        db.session.rollback()
        return not db.session.scalar(select(func.count()).select_from(JobRun).where(JobRun.state.in_((QUEUED, RUNNING))))

    wait_until(quiet, otherwise=lambda: _log(house))


def _log(house: House) -> str:
    return (house.folder / "house.log").read_text()[-2000:]


def wait_until(true: Callable[[], bool], *, otherwise: Callable[[], str] = lambda: "") -> None:
    """Wait until ``true()`` holds."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"gave up after {PATIENCE:.0f} s. {otherwise()}"
        time.sleep(0.1)

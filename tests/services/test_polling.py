"""Reading orders over real HTTP: windows, cursor, page tokens, interruption, imports by hand (TTS §4, A181-A187, product rule 4)."""

from __future__ import annotations

from sqlalchemy import func, select

from connector.core.db import db
from connector.models.order import Order
from tests.factories.shop import perform


def test_a_scheduled_import_stores_every_order_the_marketplace_lists(account, market):
    seeded = market.post("seed", region="GB", orders=250)
    run = perform("orders.import", account.id)
    assert run.state == "succeeded", run.message
    assert set(db.session.scalars(select(Order.number))) == set(seeded["ids"])
    assert db.session.scalar(select(func.count()).select_from(Order)) == 250

"""Cancelled after shipping (A264): the tag, the recall task, and stock that comes back once, when the parcel did."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from connector.clients import errors as api
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.aftersales import CreditMemo, RecallTask
from connector.models.order import Order, Reservation
from connector.models.trace import Event
from connector.services.orders import push, recall, shipments
from tests.factories import shop
from tests.factories.parcels import Store, in_magento, parcel, place, take_in

pytestmark = pytest.mark.postgres
WHO = "operator@example.test"


@pytest.fixture
def account(connected_account):
    return connected_account


@pytest.fixture
def store(practice_magento):
    return Store(practice_magento.url)


def salable(store, sku: str) -> float:
    return sum(stock["salable"] for stock in store.get("ledger", sku=sku)["stocks"])


def task_of(order) -> RecallTask | None:
    db.session.expire_all()
    found = db.session.scalar(select(RecallTask).where(RecallTask.order_id == order.id))
    db.session.commit()
    return found


def now(order) -> Order:
    db.session.expire_all()
    found = db.session.get_one(Order, order.id)
    db.session.commit()
    return found


def cancelled_after_shipping(market, account, store, *lines: tuple[str, int]) -> Order:
    order = in_magento(market, account, *lines)
    store.ship(order, "RM000000001GB")
    shipments.collect(account.id)
    assert push.push_order(order.id)[0].state == "delivered"
    take_in(account, order.number)
    market.post(f"orders/{order.number}/cancel", by="SYSTEM")
    take_in(account, order.number)
    shop.perform("orders.follow", account.id, items=[(str(order.id), order.number)])
    return now(order)


def test_a_cancel_after_shipping_is_tagged_and_nothing_is_restocked_before_the_parcel_is_back(account, market, store):
    before = salable(store, "TEE-BLA-S")
    order = cancelled_after_shipping(market, account, store, ("TEE-BLA-S", 3))
    assert (order.remote_status, order.tag) == ("CANCELLED", recall.TAG)
    task = task_of(order)
    assert task is not None
    assert (task.state, task.units) == ("open", {"TEE-BLA-S": 3})
    assert salable(store, "TEE-BLA-S") == before - 3
    assert store.order(order)["state"] not in ("canceled", "closed")
    shop.perform("orders.follow", account.id, items=[(str(order.id), order.number)])
    assert len(db.session.scalars(select(Event).where(Event.kind == "recall.opened")).all()) == 1
    recall.move(order.id, "returning", actor=WHO)
    assert salable(store, "TEE-BLA-S") == before - 3
    with pytest.raises(DomainError, match="3 were sent"):
        recall.move(order.id, "received", received={"TEE-BLA-S": 4}, actor=WHO)
    said = recall.move(order.id, "received", received={"TEE-BLA-S": 2}, note="One is torn.", actor=WHO)
    assert "2 units went back into stock" in said
    assert salable(store, "TEE-BLA-S") == before - 1
    assert store.order(order)["state"] == "closed"
    for _ in range(2):
        recall.move(order.id, "received", actor=WHO)
        recall.settle(order.id)
    recall.settle_unfinished(account.id)
    assert salable(store, "TEE-BLA-S") == before - 1
    memos = db.session.scalars(select(CreditMemo).order_by(CreditMemo.id)).all()
    assert [(memo.key, memo.state, sum(memo.items.values()), bool(memo.return_to_stock)) for memo in memos] == [
        ("recall", "done", 2, True), ("recall:gone", "done", 1, False),
    ]  # fmt: skip
    task = task_of(order)
    assert task is not None
    assert (task.state, task.closed_by, task.note, task.received) == ("received", WHO, "One is torn.", {"TEE-BLA-S": 2})
    with pytest.raises(DomainError, match="cannot become"):
        recall.move(order.id, "lost", actor=WHO)


def test_after_a_lost_answer_of_the_store_the_credit_memo_is_found_and_not_written_again(account, market, store):
    before = salable(store, "MUG-01")
    order = cancelled_after_shipping(market, account, store, ("MUG-01", 2))
    store.post("faults", kind="lost_answer", match={"method": "POST", "path": "/refund"})
    with pytest.raises(api.Uncertain):
        recall.move(order.id, "received", actor=WHO)
    assert recall.unfinished(account.id) == [order.id]
    assert recall.settle_unfinished(account.id) == 1
    assert salable(store, "MUG-01") == before
    assert db.session.scalars(select(CreditMemo.state)).all() == ["done"]


def test_a_lost_parcel_is_refunded_in_the_store_and_nothing_returns_to_stock(account, market, store):
    before = salable(store, "MUG-01")
    order = cancelled_after_shipping(market, account, store, ("MUG-01", 2))
    recall.move(order.id, "lost", note="The carrier confirms the loss.", actor=WHO)
    assert salable(store, "MUG-01") == before - 2
    assert store.order(order)["state"] == "closed"
    recall.move(order.id, "lost", actor=WHO)
    assert len(db.session.scalars(select(CreditMemo)).all()) == 1


def test_only_the_store_had_shipped_and_the_order_is_not_cancelled_there(account, market, store):
    """The parcel has not reached TikTok when TikTok cancels: undoing finds shipped units and opens the recall."""
    order = in_magento(market, account, ("TEE-BLA-S", 2))
    store.ship(order, "RM000000009GB", units={"TEE-BLA-S": 1})
    market.post(f"orders/{order.number}/cancel", by="OPERATOR")
    take_in(account, order.number)
    assert task_of(order) is None
    shop.perform("orders.follow", account.id, items=[(str(order.id), order.number)])
    assert task_of(order) is not None
    assert now(order).tag == recall.TAG
    assert store.order(order)["state"] not in ("canceled", "closed")
    before = salable(store, "TEE-BLA-S")
    recall.move(order.id, "received", received={"TEE-BLA-S": 1}, actor=WHO)
    assert salable(store, "TEE-BLA-S") == before + 2, "the unit that came back, and the one that never left"


def test_an_order_that_was_shipped_without_the_store_keeps_its_units_until_they_are_back(account, market):
    order = place(market, account)
    push.push(parcel(order, "RM000000001GB", origin="form"))
    take_in(account, order.number)
    market.post(f"orders/{order.number}/cancel", by="SYSTEM")
    take_in(account, order.number)
    held = select(Reservation.quantity).where(Reservation.order_id == order.id, Reservation.released_at.is_(None))
    assert now(order).tag == recall.TAG
    assert db.session.scalar(held) == 1
    db.session.commit()
    recall.move(order.id, "received", actor=WHO)
    assert db.session.scalar(held) is None
    db.session.commit()
    number = place(market, account).number
    market.post(f"orders/{number}/cancel", by="SYSTEM")
    fresh = take_in(account, number)
    assert (fresh.tag, task_of(fresh)) == ("", None)


def test_a_parcel_that_the_store_knows_nothing_of_is_awaited_as_well_and_only_what_never_left_is_given_back(account, market, store):
    """Entered by a person, so that Magento shows nothing shipped: TikTok's cancellation does not put it on the shelf."""
    part = in_magento(market, account, ("TEE-BLA-S", 2))
    whole = in_magento(market, account, ("MUG-01", 1))
    part_number, whole_number = part.number, whole.number
    before = salable(store, "TEE-BLA-S") + 2, salable(store, "MUG-01") + 1
    push.push(parcel(part, "RM000000001GB", origin="form", quantities={"TEE-BLA-S": 1}))
    push.push(parcel(whole, "RM000000002GB", origin="form"))
    for order in (part, whole):
        take_in(account, order.number)
        market.post(f"orders/{order.number}/cancel", by="SYSTEM")
        take_in(account, order.number)
    for _ in range(2):
        shop.perform("orders.follow", account.id)
        shop.perform("returns.memos", account.id)
    part, whole = take_in(account, part_number), take_in(account, whole_number)
    assert (salable(store, "TEE-BLA-S"), salable(store, "MUG-01")) == (before[0] - 1, before[1] - 1)
    assert store.order(whole)["state"] == "processing"
    assert task_of(part).units == {"TEE-BLA-S": 1}
    recall.move(part.id, "lost", actor=WHO)
    assert "1 unit went back" in recall.move(whole.id, "received", actor=WHO)
    shop.perform("returns.memos", account.id)
    part, whole = take_in(account, part_number), take_in(account, whole_number)
    assert (salable(store, "TEE-BLA-S"), salable(store, "MUG-01")) == (before[0] - 1, before[1])
    assert [store.order(order)["state"] for order in (part, whole)] == ["closed", "closed"]
    assert store.get("ledger", sku="TEE-BLA-S")["balanced"]


def test_what_never_left_is_invoiced_before_it_is_refunded_where_only_the_parcel_was(account, market, store):
    """Invoiced by the merchant with the parcel: a refund of "one unit" would take the shipped one."""
    shop.change_policy(account, create_invoice=False)
    order = in_magento(market, account, ("TEE-BLA-S", 3))
    before = salable(store, "TEE-BLA-S") + 3
    store.ship(order, "RM000000001GB", units={"TEE-BLA-S": 1})
    item = store.order(order)["items"][0]["item_id"]
    store.post(f"orders/{order.magento_id}/invoice", capture=False, items=[{"order_item_id": item, "qty": 1}])
    shipments.collect(account.id)
    assert push.push_order(order.id)[0].state == "delivered"
    line = next(line["id"] for line in market.order(order.number)["line_items"] if line["display_status"] == "AWAITING_SHIPMENT")
    market.post(f"orders/{order.number}/cancel", by="SELLER", line_ids=[line])
    take_in(account, order.number)
    store.post("faults", kind="lost_answer", match={"method": "POST", "path": "/invoice$"}, times=1)
    for _ in range(3):
        with unit_of_work() as session:
            session.execute(update(CreditMemo).values(retry_at=None))
        shop.perform("returns.memos", account.id)
    (shown,) = store.order(order)["items"]
    assert [shown[f"qty_{name}"] for name in ("invoiced", "shipped", "refunded", "canceled")] == [2, 1, 1, 0]
    ledger = next(row for row in store.get("ledger", sku="TEE-BLA-S")["stocks"] if row["reservations"])
    assert (salable(store, "TEE-BLA-S"), ledger["reservations"]) == (before - 2, -1), "one is gone, one still to be shipped"

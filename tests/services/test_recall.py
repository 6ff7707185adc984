"""Cancelled after shipping (A264): the tag, the recall task, and stock that comes back once, when the parcel did."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.aftersales import CreditMemo, RecallTask
from connector.models.listing import Listing, ListingSku
from connector.models.order import Order, OutgoingAction, Reservation
from connector.models.run import JobRun
from connector.models.trace import Event
from connector.services import connections
from connector.services.orders import fence, push, recall, shipments
from tests.factories import shop
from tests.factories.catalogue import a_listing, a_product
from tests.factories.creation import fresh
from tests.factories.parcels import in_magento, parcel, place, take_in
from tests.factories.racing import start
from tests.factories.waiting import until

pytestmark = pytest.mark.postgres
WHO = "operator@example.test"


@pytest.fixture
def account(connected_account):
    return connected_account


def task_of(order) -> RecallTask | None:
    db.session.expire_all()
    found = db.session.scalar(select(RecallTask).where(RecallTask.order_id == order.id))
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
    return fresh(order)


def test_a_cancel_after_shipping_is_tagged_and_nothing_is_restocked_before_the_parcel_is_back(account, market, store):
    before = store.salable("TEE-BLA-S")
    order = cancelled_after_shipping(market, account, store, ("TEE-BLA-S", 3))
    assert (order.remote_status, order.tag) == ("CANCELLED", recall.TAG)
    task = task_of(order)
    assert task is not None
    assert (task.state, task.units) == ("open", {"TEE-BLA-S": 3})
    assert timedelta(days=2) < task.due_at - connections.shop_now(account) < timedelta(days=4)
    assert store.salable("TEE-BLA-S") == before - 3
    assert store.order(order)["state"] not in ("canceled", "closed")
    shop.perform("orders.follow", account.id, items=[(str(order.id), order.number)])
    assert len(db.session.scalars(select(Event).where(Event.kind == "recall.opened")).all()) == 1
    recall.move(order.id, "returning", actor=WHO)
    assert timedelta(days=13) < task_of(order).due_at - connections.shop_now(account) < timedelta(days=15), "it is to be back"
    assert store.salable("TEE-BLA-S") == before - 3
    with pytest.raises(DomainError, match="3 were sent"):
        recall.move(order.id, "received", received={"TEE-BLA-S": 4}, actor=WHO)
    said = recall.move(order.id, "received", received={"TEE-BLA-S": 2}, note="One is torn.", actor=WHO)
    assert "2 units went back into stock" in said
    assert store.salable("TEE-BLA-S") == before - 1
    assert store.order(order)["state"] == "closed"
    for _ in range(2):
        recall.move(order.id, "received", actor=WHO)
        recall.settle(order.id)
    recall.settle_unfinished(account.id)
    assert store.salable("TEE-BLA-S") == before - 1
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
    before = store.salable("MUG-01")
    order = cancelled_after_shipping(market, account, store, ("MUG-01", 2))
    store.post("faults", kind="lost_answer", match={"method": "POST", "path": "/refund"})
    with pytest.raises(api.Uncertain):
        recall.move(order.id, "received", actor=WHO)
    assert recall.unfinished(account.id) == [order.id]
    assert recall.settle_unfinished(account.id) == 1
    assert store.salable("MUG-01") == before
    assert db.session.scalars(select(CreditMemo.state)).all() == ["done"]


def test_of_three_workers_settling_a_recall_one_brings_the_goods_back(app, account, market, store):
    """Two at once, and one while the first memo is on its way; the units that came back fit twice into those that left."""
    before = store.salable("TEE-BLA-S")
    order = cancelled_after_shipping(market, account, store, ("TEE-BLA-S", 5))

    def receive() -> str:
        return recall.move(order.id, "received", received={"TEE-BLA-S": 2}, actor=WHO)

    with store.held(match={"method": "POST", "path": "/refund"}) as there:
        two = [start(app, receive) for _ in range(2)]
        there()
        third = start(app, receive)
        until(lambda: third.done() and any(one.done() for one in two), "the end of those who do not write the memo")
    ends = [one.result() for one in (*two, third)]
    (done,) = [one for one in ends if isinstance(one, str)]
    assert "2 units went back" in done
    assert all("right now" in str(one) for one in ends if one is not done)
    assert (store.salable("TEE-BLA-S"), store.order(order)["state"]) == (before - 3, "closed")
    assert (recall.settle_unfinished(account.id), store.salable("TEE-BLA-S")) == (0, before - 3)
    assert db.session.scalars(select(CreditMemo.attempts)).all() == [1, 1]


@pytest.mark.sqlite_only
def test_a_worker_that_was_believed_dead_writes_no_further_memo_of_a_recall(app, account, market, store):
    """It has written what came back when another one takes the recall over and writes the rest."""
    order = cancelled_after_shipping(market, account, store, ("TEE-BLA-S", 3))

    def receive() -> str:
        return recall.move(order.id, "received", received={"TEE-BLA-S": 1}, actor=WHO)

    with store.held(match={"method": "GET", "path": f"/orders/{order.magento_id}$"}, after=1) as there:
        believed_dead = start(app, receive)
        there()
        with unit_of_work() as session:
            assert session.scalars(select(CreditMemo.state).order_by(CreditMemo.id)).all() == ["done", "waiting"], "it has written what came back"
            session.execute(update(OutgoingAction).where(OutgoingAction.action == recall.ACTION).values(updated_at=utcnow() - 2 * fence.CLAIM))
        successor = receive()
    assert "right now" in str(believed_dead.result()) and "1 unit went back" in successor
    assert db.session.scalars(select(CreditMemo.attempts)).all() == [1, 1]
    assert fresh(order).failure_code is None
    assert db.session.scalar(select(OutgoingAction.state).where(OutgoingAction.action == recall.ACTION)) == "accepted"
    with unit_of_work() as session:  # a third one was killed with it in hand
        session.execute(update(OutgoingAction).where(OutgoingAction.action == recall.ACTION).values(state="sent", updated_at=utcnow()))
        session.execute(update(RecallTask).values(restocked_at=None))
    assert recall.settle_unfinished(account.id) == 0
    soon = db.session.scalar(select(JobRun.not_before).where(JobRun.kind == "cancellations.import", JobRun.not_before.is_not(None)))
    assert soon < utcnow() + fence.CLAIM, "it is looked at again before the schedule comes round"
    with unit_of_work() as session:  # nothing that it sent can be under way any more, be it a run's or a page's
        session.execute(update(OutgoingAction).where(OutgoingAction.action == recall.ACTION).values(updated_at=utcnow() - 1.1 * recall.UNDER_WAY_AT_MOST))
    assert recall.settle_unfinished(account.id) == 1


@pytest.mark.sqlite_only
def test_what_the_store_refuses_is_the_orders_error_until_it_takes_the_goods_in(account, market, store):
    shop.change_policy(account, create_invoice=False)
    order = cancelled_after_shipping(market, account, store, ("MUG-01", 1))
    store.post(f"orders/{order.magento_id}/hold")
    with pytest.raises(api.Rejected):
        recall.move(order.id, "received", actor=WHO)
    assert recall.settle_unfinished(account.id) == 0
    order = fresh(order)
    assert (order.failure_code, task_of(order).state, task_of(order).restocked_at) == ("recall.not_settled", "received", None)
    assert order.magento_number in order.failure_message
    assert "Try the store again" in order.failure_remedy
    store.post(f"orders/{order.magento_id}/unhold")
    assert recall.settle_unfinished(account.id) == 1
    assert (fresh(order).failure_code, store.order(order)["state"]) == (None, "closed")


def test_a_lost_parcel_is_refunded_in_the_store_and_nothing_returns_to_stock(account, market, store):
    before = store.salable("MUG-01")
    order = cancelled_after_shipping(market, account, store, ("MUG-01", 2))
    recall.move(order.id, "lost", note="The carrier confirms the loss.", actor=WHO)
    assert store.salable("MUG-01") == before - 2
    assert store.order(order)["state"] == "closed"
    recall.move(order.id, "lost", actor=WHO)
    assert len(db.session.scalars(select(CreditMemo)).all()) == 1


def test_only_the_store_had_shipped_and_the_order_is_not_cancelled_there(account, market, store):
    """The parcel has not reached TikTok when TikTok cancels: undoing finds shipped units and opens the recall. TikTok, which puts cancelled units on offer
    again by itself (TTS §5.3.18), is told the right quantity anew."""
    on_tiktok = {"tiktok_sku_id": "7", "live_quantity": 10, "live_warehouses": {"w-main": 10}}
    listing_id = a_listing(account, a_product(account.magento_id, "TEE-BLA-S"), sku=on_tiktok).id
    order = in_magento(market, account, ("TEE-BLA-S", 2))
    store.ship(order, "RM000000009GB", units={"TEE-BLA-S": 1})
    market.post(f"orders/{order.number}/cancel", by="OPERATOR")
    take_in(account, order.number)
    assert task_of(order) is None
    shop.perform("orders.follow", account.id, items=[(str(order.id), order.number)])
    assert task_of(order) is not None
    assert fresh(order).tag == recall.TAG
    assert store.order(order)["state"] not in ("canceled", "closed")
    query = select(ListingSku.live_quantity, Listing.due_at.is_not(None)).join(Listing, Listing.id == ListingSku.listing_id)
    assert db.session.execute(query.where(Listing.id == listing_id)).all() == [(None, True)]
    db.session.commit()
    before = store.salable("TEE-BLA-S")
    recall.move(order.id, "received", received={"TEE-BLA-S": 1}, actor=WHO)
    assert store.salable("TEE-BLA-S") == before + 2, "the unit that came back, and the one that never left"


def test_an_order_that_was_shipped_without_the_store_keeps_its_units_until_they_are_back(account, market):
    order = place(market, account)
    push.push(parcel(order, "RM000000001GB", origin="form"))
    take_in(account, order.number)
    market.post(f"orders/{order.number}/cancel", by="SYSTEM")
    take_in(account, order.number)
    held = select(Reservation.quantity).where(Reservation.order_id == order.id, Reservation.released_at.is_(None))
    assert fresh(order).tag == recall.TAG
    assert db.session.scalar(held) == 1
    db.session.commit()
    recall.move(order.id, "received", actor=WHO)
    assert db.session.scalar(held) is None
    db.session.commit()
    number = place(market, account).number
    market.post(f"orders/{number}/cancel", by="SYSTEM")
    unshipped = take_in(account, number)
    assert (unshipped.tag, task_of(unshipped)) == ("", None)


def test_a_parcel_that_the_store_knows_nothing_of_is_awaited_as_well_and_only_what_never_left_is_given_back(account, market, store):
    """Entered by a person, so that Magento shows nothing shipped: TikTok's cancellation does not put it on the shelf."""
    part = in_magento(market, account, ("TEE-BLA-S", 2))
    whole = in_magento(market, account, ("MUG-01", 1))
    part_number, whole_number = part.number, whole.number
    before = store.salable("TEE-BLA-S") + 2, store.salable("MUG-01") + 1
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
    assert (store.salable("TEE-BLA-S"), store.salable("MUG-01")) == (before[0] - 1, before[1] - 1)
    assert store.order(whole)["state"] == "processing"
    assert task_of(part).units == {"TEE-BLA-S": 1}
    recall.move(part.id, "lost", actor=WHO)
    assert "1 unit went back" in recall.move(whole.id, "received", actor=WHO)
    shop.perform("returns.memos", account.id)
    part, whole = take_in(account, part_number), take_in(account, whole_number)
    assert (store.salable("TEE-BLA-S"), store.salable("MUG-01")) == (before[0] - 1, before[1])
    assert [store.order(order)["state"] for order in (part, whole)] == ["closed", "closed"]
    assert store.get("ledger", sku="TEE-BLA-S")["balanced"]


def test_what_never_left_is_invoiced_before_it_is_refunded_where_only_the_parcel_was(account, market, store):
    """Invoiced by the merchant with the parcel: a refund of "one unit" would take the shipped one."""
    shop.change_policy(account, create_invoice=False)
    order = in_magento(market, account, ("TEE-BLA-S", 3))
    before = store.salable("TEE-BLA-S") + 3
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
    assert (store.salable("TEE-BLA-S"), ledger["reservations"]) == (before - 2, -1), "one is gone, one still to be shipped"

"""Carrying TikTok's later changes into Magento (product.md 6; A115; TTS §6.5): status, address, cancellation, references."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from connector.clients.errors import Unavailable
from connector.core.db import db, unit_of_work
from connector.models.account import Account
from connector.models.order import Order, OutgoingAction
from connector.models.run import JobItem
from connector.models.trace import Event
from connector.services import connections, returns
from connector.services.orders import create, follow, references
from tests.factories.creation import Store, complete, fresh, in_store
from tests.factories.parcels import in_magento, place, take_in
from tests.factories.returning import ask, delivered
from tests.factories.shop import Market

pytestmark = pytest.mark.postgres

MAPPING = [
    {"tiktok_status": "AWAITING_SHIPMENT", "magento_status": "tiktok_paid"},
    {"tiktok_status": "AWAITING_COLLECTION", "magento_status": "tiktok_packed"},
]


@pytest.fixture
def account(connected_account: Account) -> Account:
    return complete(connected_account, status_mapping=MAPPING)


def remote(order: Order, status: str) -> Order:
    with unit_of_work():
        fresh(order).remote_status = status
    return fresh(order)


def test_a_later_status_is_carried_by_a_comment_once(market: Market, store: Store, account: Account) -> None:
    order = in_magento(market, account)
    assert in_store(order)["status"] == "tiktok_paid"
    order = remote(order, "AWAITING_COLLECTION")
    assert follow.follow_one(order.id).sentence() == "Status tiktok_packed was set in Magento."
    assert (fresh(order).magento_status, in_store(order)["status"]) == ("tiktok_packed", "tiktok_packed")
    connections.magento_for(account.id).comment(order.magento_id or "", "by the merchant", status="processing")
    assert follow.follow_one(order.id).sentence() == "Magento is up to date."
    assert (fresh(order).magento_status, in_store(order)["status"]) == ("processing", "processing")


def test_a_lost_answer_of_the_status_comment_makes_one_comment(market: Market, store: Store, account: Account) -> None:
    order = remote(in_magento(market, account), "AWAITING_COLLECTION")
    store.fault("lost_answer", "POST", "/comments")
    follow.follow_one(order.id)
    comments = connections.magento_for(account.id).comments(order.magento_id or "")
    assert [row["comment"] for row in comments].count("TikTok Shop: Awaiting Collection.") == 1


def test_a_new_address_is_carried_over_before_shipping(market: Market, store: Store, account: Account, work_off: Callable[..., int]) -> None:
    order = in_magento(market, account)
    market.post(f"orders/{order.number}/address", address_line1="77 New Street", post_town="Newtown")
    take_in(account, order.number)
    work_off()
    there = in_store(fresh(order))
    shipping = there["extension_attributes"]["shipping_assignments"][0]["shipping"]["address"]
    assert (shipping["street"][0], there["billing_address"]["street"][0], shipping["city"]) == ("77 New Street", "77 New Street", "Newtown")
    kinds = db.session.scalars(select(Event.kind).where(Event.subject_id == str(fresh(order).id))).all()
    assert "order.address_carried" in kinds


def test_a_new_address_after_shipping_only_warns(market: Market, store: Store, account: Account) -> None:
    order = in_magento(market, account)
    store.ship(order, "RM1")
    market.post(f"orders/{order.number}/address", address_line1="77 New Street")
    order = take_in(account, order.number)
    follow.follow_one(order.id)
    assert "was shipped or closed" in fresh(order).warning
    assert in_store(order)["billing_address"]["street"][0] != "77 New Street"


def test_a_cancelled_order_is_taken_back_once_and_its_stock_returns_once(market: Market, store: Store, account: Account, work_off: Callable[..., int]) -> None:
    order = in_magento(market, account, ("MUG-01", 2))
    before = store.reserved("MUG-01")["salable"]
    market.post(f"orders/{order.number}/cancel", by="SYSTEM")
    take_in(account, order.number)
    work_off()
    order = fresh(order)
    assert order.magento_state in ("canceled", "closed")
    assert store.reserved("MUG-01")["salable"] == before + 2
    follow.follow_one(order.id)
    assert store.reserved("MUG-01")["salable"] == before + 2
    assert store.get("ledger")["balanced"]


def test_a_cancelled_replacement_that_costs_nothing_is_taken_back_as_well(market: Market, store: Store, account: Account) -> None:
    order = delivered(market, account, ("CAP-01", 1), store=store)
    before = store.reserved("CAP-01")["salable"]
    returns.answer_one(ask(market, account, order, "REPLACEMENT").id, "accept", actor="seller@example.test")
    number = next(one["id"] for one in market.get("orders")["orders"] if one["id"] != order.number)
    free = take_in(account, number)
    create.create_one(free.id, by_hand=True)
    (there,) = store.orders_of(free)
    assert (there["state"], float(there["grand_total"])) == ("processing", 0)
    market.post(f"orders/{number}/cancel", by="SYSTEM")
    take_in(account, number)
    follow.follow_one(free.id)
    assert fresh(free).magento_state == "closed"
    assert store.reserved("CAP-01")["salable"] == before
    assert store.get("ledger")["balanced"]


def test_a_cancelled_order_that_was_shipped_is_left_alone_with_a_warning(market: Market, store: Store, account: Account) -> None:
    order = in_magento(market, account)
    store.ship(order, "RM1")
    order = remote(order, "CANCELLED")
    follow.follow_one(order.id)
    order = fresh(order)
    assert order.magento_state == "complete"
    assert "has shipped units" in order.warning


def test_an_order_that_is_still_being_created_is_followed_later(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    with unit_of_work():
        fresh(order).state = "creating"
    with pytest.raises(Unavailable, match="still being created"):
        follow.follow_one(order.id)


def test_the_sweep_finds_what_no_webhook_told(market: Market, store: Store, account: Account, work_off: Callable[..., int]) -> None:
    from connector.services import runs

    order, other = remote(in_magento(market, account), "AWAITING_COLLECTION"), in_magento(market, account)
    desk = create.CreationDesk()
    assert follow.waiting(account.id, desk.rules(account.id)) == [(str(order.id), order.number)]
    runs.submit("orders.follow", account_id=account.id)
    work_off()
    assert (in_store(fresh(order))["status"], in_store(fresh(other))["status"]) == ("tiktok_packed", "tiktok_paid")


def test_an_order_left_half_way_by_a_cancelled_run_is_found_again(market: Market, store: Store, account: Account, work_off: Callable[..., int]) -> None:
    from connector.clients.errors import Uncertain
    from connector.services import runs

    order = place(market, account)
    store.fault("http_500_after", "POST", r"/V1/orders$", times=9)
    with pytest.raises(Uncertain):
        create.create_one(order.id)
    store.calm()
    assert fresh(order).state == "creating"
    runs.submit("orders.follow", account_id=account.id)
    work_off()
    assert fresh(order).state == "created"
    assert len(store.orders_of(fresh(order))) == 1


def test_references_are_written_in_batches_and_a_refused_one_is_named(market: Market, store: Store, account: Account, work_off: Callable[..., int]) -> None:
    good, bad = in_magento(market, account), in_magento(market, account)
    with unit_of_work():  # an order that TikTok does not know
        fresh(bad).number = "999999999999999999"
    refused = references.write_batch(account.id, references.waiting(account.id))
    assert [one.number for one in refused] == ["999999999999999999"]
    assert fresh(good).referenced_at is not None
    assert fresh(bad).referenced_at is None
    (reference,) = market.get(f"orders/{fresh(good).number}")["external_orders"]
    assert reference["id"] == fresh(good).magento_number
    assert {line["origin_id"] for line in reference["line_items"]} == {line.line_id for line in fresh(good).lines}
    action = db.session.scalars(select(OutgoingAction).where(OutgoingAction.action == references.ACTION)).one()
    assert (action.order_id, action.attempts) == (fresh(bad).id, 1)


def test_the_reference_job_parks_what_tiktok_refuses(market: Market, store: Store, account: Account, work_off: Callable[..., int]) -> None:
    from connector.services import runs

    orders = [in_magento(market, account) for _ in range(2)]
    with unit_of_work():
        fresh(orders[0]).number = "999999999999999999"
    runs.submit("orders.reference", account_id=account.id, key=f"orders.reference:{account.id}")
    work_off()
    items = {item.label: item.state for item in db.session.scalars(select(JobItem)) if item.label == "999999999999999999"}
    assert items == {"999999999999999999": "failed"}
    assert fresh(orders[1]).referenced_at is not None

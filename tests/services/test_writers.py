"""The writers under the accidents of a real store (MAG §4.4.7): lost answers, killed writers, transient refusals, doubled orders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from connector.clients.errors import Unavailable, Uncertain
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.models.account import Account
from connector.models.order import MagentoOrderIntent, Order
from connector.practice.serve import PracticeServer
from connector.services import connections, events
from connector.services.orders import create, intent
from connector.services.orders.writers import checkout
from tests.factories.creation import Store, complete, fresh
from tests.factories.parcels import place
from tests.factories.racing import race, start
from tests.factories.shop import Market
from tests.factories.waiting import until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def account(connected_account: Account) -> Account:
    return complete(connected_account)


def created(order: Order, tries: int = 8) -> Order:
    """Create it as the job does: what is to be continued later is continued."""
    for attempt in range(tries):
        try:
            result = create.create_one(order.id)
        except (Unavailable, Uncertain) as error:
            if attempt == tries - 1:
                raise
            time.sleep(min(5.0, error.retry_after or 0.2))
        else:
            assert result.outcome == "created", result
            return fresh(order)
    raise AssertionError("unreachable")


def whole(store: Store, order: Order, *, invoices: int = 1) -> dict[str, Any]:
    """The one Magento order, complete: amounts, invoice, one comment of ours, stock in balance."""
    assert order.state == "created"
    summary = store.get("summary")
    assert (summary["orders"], summary["invoices"], summary["duplicate_quote_ids"], summary["duplicate_ext_order_ids"]) == (1, invoices, [], [])
    client = connections.magento_for(order.account_id)
    magento = client.order(order.magento_id or "")
    assert magento["grand_total"] == order.total
    assert magento["total_paid"] == order.total
    assert magento["ext_order_id"] == order.number
    assert len([row for row in client.comments(order.magento_id or "") if "TikTok Shop order" in (row["comment"] or "")]) == 1
    assert store.get("ledger")["balanced"]
    return magento


CALLS = {
    "creating the cart": ("POST", r"/V1/carts/?$"),
    "adding an item": ("POST", r"/V1/carts/\d+/items"),
    "setting the addresses": ("POST", r"shipping-information"),
    "placing": ("PUT", r"/V1/carts/\d+/order"),
    "correcting the money": ("POST", r"/V1/orders$"),
    "invoicing": ("POST", r"/V1/order/\d+/invoice"),
    "commenting": ("POST", r"/V1/orders/\d+/comments"),
}


@pytest.mark.sqlite_only
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["lost_answer", "http_500_after", "http_500"])
def test_an_answer_lost_at_any_call_still_makes_one_order_with_the_right_totals(call: str, kind: str, market: Market, store: Store, account: Account) -> None:
    order = place(market, account, ("MUG-01", 2), ("CAP-01", 1))
    method, path = CALLS[call]
    store.fault(kind, method, path)
    whole(store, created(order))


@pytest.mark.postgres
@pytest.mark.parametrize("call", ["placing", "correcting the money", "invoicing"])
def test_two_answers_lost_in_a_row_still_make_one_order(call: str, market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    method, path = CALLS[call]
    store.fault("lost_answer", method, path, times=2)
    whole(store, created(order))


@pytest.mark.parametrize("call", ["adding an item", "placing"])
def test_a_transient_refusal_is_repeated_after_a_look(call: str, market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    method, path = CALLS[call]
    store.fault("transient_400", method, path)
    whole(store, created(order))


def test_a_placing_that_goes_on_at_the_server_is_waited_for_and_not_repeated(market: Market, store: Store, account: Account) -> None:
    """The answer is lost at once, the order appears 700 ms later: repeating in between could have made two."""
    order = place(market, account)
    create.create_one(place(market, account, ("CAP-01", 1)).id)  # the store's pace is known from here on
    store.fault("slow", "PUT", r"/V1/carts/\d+/order", ms=700)
    store.fault("lost_answer", "PUT", r"/V1/carts/\d+/order")
    order = created(order)
    assert len(store.orders_of(order)) == 1
    assert store.get("summary")["orders"] == 2


def test_the_wait_after_a_lost_answer_follows_the_pace_of_the_store() -> None:
    pace = checkout.Pace()
    assert pace.longest_run() == checkout.LONGEST_WAIT
    pace.note("fill", 0.02)
    assert pace.longest_run() == checkout.SHORTEST_WAIT
    pace.note("place", 1.0)
    assert pace.longest_run() == 20
    pace.note("place", 30.0)
    assert pace.longest_run() == checkout.LONGEST_WAIT


def basket(account: Account, sku: str, qty: int) -> str:
    """A cart that is ready to be placed."""
    client = connections.magento_for(account.id)
    cart_id = client.create_cart(store="default")
    client.add_item(cart_id, sku, qty, store="default")
    address = {
        "firstname": "A",
        "lastname": "B",
        "street": ["1"],
        "city": "C",
        "postcode": "ME1 2AB",
        "country_id": "GB",
        "telephone": "1",
        "email": "a@b.example",
    }
    client.shipping_information(
        cart_id, shipping_address=address, billing_address=address, carrier_code="freeshipping", method_code="freeshipping", store="default"
    )
    return cart_id


def begun(order: Order, **values: Any) -> None:
    """What a writer that died has left behind."""
    with unit_of_work() as session:
        session.add(MagentoOrderIntent(order_id=order.id, fence=1, facts={"place_limit": 1.0}, placing_since=utcnow(), **values))
        session.get(Order, order.id).state = "creating"


def test_two_orders_of_one_cart_are_reduced_to_the_first(app: Flask, market: Market, store: Store, account: Account) -> None:
    """#36313: the store's own lock leaks; the second order is cancelled and said so."""
    order = place(market, account, ("MUG-01", 2))
    cart_id = basket(account, "MUG-01", 2)
    store.post("settings", leaking_cart_lock=True)
    placed = race(app, *[lambda: connections.magento_for(account.id).place_order(cart_id, store="default")] * 2)
    store.post("settings", leaking_cart_lock=False)
    assert all(isinstance(each, str) for each in placed), f"the practice store's lock has not leaked: {placed}"
    begun(order, step=intent.PLACING, cart_id=cart_id)
    order = created(order)
    first, second = sorted(map(str, placed), key=int)
    client = connections.magento_for(account.id)
    assert order.magento_id == first
    assert (client.order(first)["grand_total"], client.order(second)["state"]) == (order.total, "canceled")
    assert "two orders of one cart" in order.warning
    assert (store.reserved("MUG-01")["open"], store.get("ledger")["balanced"]) == (2, True)


def test_a_cart_that_was_never_placed_is_placed_when_its_request_cannot_run_any_more(market: Market, store: Store, account: Account) -> None:
    order = place(market, account, ("MUG-01", 2))
    cart_id = basket(account, "MUG-01", 2)
    began = time.monotonic()
    begun(order, step=intent.PLACING, cart_id=cart_id)
    whole(store, created(order))
    assert time.monotonic() - began >= 1.0


def test_a_line_that_the_cart_has_lost_is_not_invoiced(market: Market, store: Store, account: Account) -> None:
    order = place(market, account, ("MUG-01", 2))
    cart_id = basket(account, "CAP-01", 1)
    entity_id = connections.magento_for(account.id).place_order(cart_id, store="default")
    begun(order, step=intent.PLACED, entity_id=entity_id, cart_id=cart_id)
    result = create.create_one(order.id)
    assert (result.outcome, result.code) == ("refused", "magento.line_lost")
    assert store.get("summary")["invoices"] == 0


def test_the_last_of_many_tries_leaves_a_failure_on_the_order(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    for _ in range(20):  # the circuit looks at the share of calls that failed
        connections.magento_for(account.id).websites()
    store.fault("http_500", "POST", "/V1/carts", probability=1.0)
    with pytest.raises(Uncertain):
        create.create_one(order.id)
    assert fresh(order).state == "creating"
    with pytest.raises(Uncertain):
        create.create_one(order.id, last_try=True)
    store.calm()
    assert (fresh(order).state, fresh(order).failure_code) == ("failed", "net.uncertain")
    whole(store, created(order))


# --- killed writers ------------------------------------------------------------------------------------------------------------------------------

_WRITER = """
import os, sys
from dataclasses import replace
from connector import create_app
from connector.config import Config
environment = {"CONNECTOR_INSTANCE": sys.argv[1], "REDIS_URL": sys.argv[2], "DATABASE_URL": sys.argv[6], "LOG_LEVEL": "ERROR"}
environment["CONNECTOR_ENCRYPTION_KEYS"] = sys.argv[7]
config = Config.from_env(environment, testing=True)
config = replace(config, practice_tiktok_url=sys.argv[3], practice_magento_url=sys.argv[4])
app = create_app(config)
with app.app_context():
    from connector.services.orders import create
    print("writing", flush=True)
    create.create_one(int(sys.argv[5]))
    print("done", flush=True)
"""


@pytest.mark.parametrize("call", ["adding an item", "placing", "correcting the money", "invoicing", "commenting"])
def test_a_writer_killed_in_the_middle_of_a_call_is_continued(
    call: str, app: Flask, market: Market, store: Store, account: Account, practice_tiktok: PracticeServer, practice_magento: PracticeServer
) -> None:
    """Its call has been carried out, but for the placing: that one goes on at the store and makes its order while the next writer looks for it."""
    order = place(market, account, ("MUG-01", 2))
    config = app.config["CONNECTOR"]
    method, path = CALLS[call]
    arguments = [str(config.instance), config.redis_url, practice_tiktok.url, practice_magento.url, str(order.id), config.database_url, *config.encryption_keys]
    with store.held(match={"method": method, "path": path}, effect="" if call == "placing" else "before") as there:
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline().strip() == "writing"
        there()
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        assert fresh(order).state == "creating"
        with pytest.raises(Unavailable, match="another run"):
            create.create_one(order.id)
        with unit_of_work() as session:
            session.get(MagentoOrderIntent, fresh(order).id).lease_until = utcnow() - timedelta(seconds=1)
        looked = store.calls().get("GET /V1/orders", 0)
        successor = start(app, lambda: created(order))
        if call == "placing":
            until(lambda: store.calls().get("GET /V1/orders", 0) >= looked + 3, "the next writer's looks for the order")
            assert not successor.done(), "it waits for the call of the first one"
        else:
            successor.result(60)
    assert isinstance(successor.result(), Order), successor.result()
    whole(store, fresh(order))


@pytest.mark.postgres
def test_a_later_pass_of_the_same_run_need_not_wait_for_the_lease(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    token = events.run_now.set(41)
    try:
        intent.claim(order, "checkout", {})
        intent.claim(order, "checkout", {})
        events.run_now.set(42)
        with pytest.raises(Unavailable, match="another run"):
            intent.claim(order, "checkout", {})
    finally:
        events.run_now.reset(token)


@pytest.mark.postgres
def test_a_writer_that_was_replaced_can_record_nothing_more(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    token = events.run_now.set(41)
    try:
        first = intent.claim(order, "checkout", {})
        second = intent.claim(order, "checkout", {})
    finally:
        events.run_now.reset(token)
    with pytest.raises(Unavailable, match="taken this order over"):
        intent.advance(first, intent.PLACING, cart_id="1")
    intent.advance(second, intent.PLACING, cart_id="2")
    assert db.session.scalar(select(MagentoOrderIntent.cart_id).where(MagentoOrderIntent.order_id == order.id)) == "2"


# --- the direct writer ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lost_answer", "http_500_after", "http_500"])
def test_the_direct_writer_makes_one_order_too_when_its_answer_is_lost(kind: str, market: Market, store: Store, account: Account) -> None:
    complete(account, writer="direct")
    order = place(market, account, ("MUG-01", 2))
    store.fault(kind, "POST", r"/V1/orders$")
    order = created(order)
    assert len(store.orders_of(order)) == 1
    assert store.get("summary")["orders"] == 1


def test_a_number_that_another_order_has_is_named(market: Market, store: Store, account: Account) -> None:
    complete(account, writer="direct", create_invoice=False)
    order = place(market, account)
    client = connections.magento_for(account.id)
    complete(account, writer="direct")
    other = created(place(market, account))
    magento = client.order(other.magento_id or "")
    client.correct_order({"entity_id": int(magento["entity_id"]), "increment_id": order.number, "ext_order_id": "another system's"})
    result = create.create_one(order.id)
    assert (result.outcome, result.code) == ("refused", "magento.number_taken")
    assert "Prefix" in result.remedy


# --- shipping and payment methods -----------------------------------------------------------------------------------------------------------------


def test_a_shipping_method_that_is_not_offered_is_replaced_by_one_that_is(market: Market, store: Store, account: Account) -> None:
    complete(account, shipping_method="dhl_express")
    whole(store, created(place(market, account)))


def test_a_payment_method_that_is_not_offered_is_a_refusal_with_a_remedy(market: Market, store: Store, account: Account) -> None:
    complete(account, payment_method="paypal")
    order = place(market, account)
    result = create.create_one(order.id)
    assert (result.outcome, result.code) == ("refused", "magento.payment_method")
    assert "Enable it for the store view" in result.remedy
    complete(account, payment_method="checkmo")
    whole(store, created(order))

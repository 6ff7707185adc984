"""Storing pages of orders that the practice marketplace really sent (product.md 6 Intake, product rules 2, 5, 7, 12)."""

from __future__ import annotations

import copy
import functools
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, text

from connector.core.crypto import vault
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain.tiktok_order import BadOrder
from connector.models.order import MANUAL, SCHEDULE, BuyerToken, Order, OrderLine, OutgoingAction, Reservation, SkuMapping
from connector.models.run import JobItem, JobRun
from connector.models.trace import Event
from connector.services.orders import intake, reservations, state
from tests.factories.racing import race
from tests.factories.shop import change_policy

pytestmark = pytest.mark.postgres


def place(market: Any, *, sku: str = "TEE-RED-M", quantity: int = 1, release: bool = True, **rest: Any) -> str:
    """An order of one SKU, paid; out of its hold when ``release``."""
    order = market.post("orders", shop="GB", lines=[{"sku": sku, "quantity": quantity}], pay=True, **rest)
    if release:
        market.post(f"orders/{order['id']}/release")
    return order["id"]


def take(account: Any, *payloads: dict[str, Any], origin: str = SCHEDULE, **rest: Any) -> intake.Outcome:
    return intake.store_page(intake.rules_for(account.id, origin), list(payloads), **rest)


def stored(number: str) -> Order:
    db.session.expire_all()
    order = db.session.scalar(select(Order).where(Order.number == number))
    assert order is not None
    db.session.commit()
    return order


def later(payload: dict[str, Any], seconds: int = 60, **changes: Any) -> dict[str, Any]:
    """A newer version of the same order."""
    return {**copy.deepcopy(payload), "update_time": payload["update_time"] + seconds, **changes}


def held(order: Order) -> dict[str, int]:
    rows = db.session.execute(select(Reservation.sku, Reservation.quantity).where(Reservation.order_id == order.id, Reservation.released_at.is_(None)))
    return {row.sku: row.quantity for row in rows}


@pytest.fixture
def sku(market) -> str:
    """A SKU of the shared demo catalogue that is sold as single units."""
    from connector.practice.catalogue import DEMO_PRODUCTS

    return next(product.sku for product in DEMO_PRODUCTS if product.sku.startswith("TEE-") and product.qty > 5)


def test_an_order_is_stored_with_its_lines_its_payload_and_its_event(account, market, sku):
    number = place(market, sku=sku, quantity=3)
    payload = market.order(number)
    outcome = take(account, payload)
    order = stored(number)
    assert (outcome.new, outcome.changed, outcome.bad) == (1, 0, 0)
    assert order.remote_status == "AWAITING_SHIPMENT"
    assert order.total == Decimal(payload["payment"]["total_amount"])
    assert {line.line_id for line in order.lines} == {item["id"] for item in payload["line_items"]}
    assert {line.seller_sku for line in order.lines} == {sku}
    assert order.payload.body == payload
    assert order.payload.address == payload["recipient_address"]
    assert db.session.scalar(select(Event.message).where(Event.kind == "order.imported", Event.subject_id == str(order.id))) == "Imported from TikTok."


def test_the_buyers_data_is_encrypted_at_rest_and_found_by_its_words(account, market, sku):
    number = place(market, sku=sku)
    payload = market.order(number)
    take(account, payload)
    raw = " ".join(str(column) for row in db.session.execute(text("SELECT body, address, buyer_name, buyer_email FROM order_payload")) for column in row)
    for secret in (payload["recipient_address"]["name"], payload["buyer_email"], payload["recipient_address"]["phone_number"]):
        assert secret not in raw
    word = payload["recipient_address"]["name"].split()[0]
    assert db.session.scalars(select(BuyerToken.order_id).where(BuyerToken.token == vault().blind_index(word))).all() == [stored(number).id]


def test_the_same_page_again_changes_nothing(account, market, sku):
    payloads = [market.order(place(market, sku=sku)) for _ in range(3)]
    take(account, *payloads)
    before = db.session.execute(select(Order.id, Order.updated_at)).all()
    outcome = take(account, *payloads)
    assert (outcome.new, outcome.changed, outcome.unchanged) == (0, 0, 3)
    assert db.session.execute(select(Order.id, Order.updated_at)).all() == before
    assert db.session.scalar(select(func.count()).select_from(OrderLine)) == 3


def test_an_older_version_never_overwrites_a_newer_one(account, market, sku):
    payload = market.order(place(market, sku=sku))
    newer = later(payload, status="IN_TRANSIT")
    take(account, newer)
    outcome = take(account, payload)
    assert (outcome.stale, outcome.changed) == (1, 0)
    assert stored(payload["id"]).remote_status == "IN_TRANSIT"
    assert stored(payload["id"]).payload.body == newer


def test_versions_that_come_in_the_wrong_order_inside_one_page_end_with_the_newest(account, market, sku):
    payload = market.order(place(market, sku=sku))
    take(account, later(payload, 30, status="IN_TRANSIT"), payload, later(payload, 10, status="AWAITING_COLLECTION"))
    assert stored(payload["id"]).remote_status == "IN_TRANSIT"


def test_writers_with_overlapping_pages_at_the_same_moment_store_each_order_once_and_the_newest_version(account, market, app):
    """Windows overlap, a webhook's run and a scheduled one meet: every order, line and event once, no dead-lock, the newest version at the end."""
    ids = market.post("seed", region="GB", orders=40, status="AWAITING_SHIPMENT")["ids"]
    first = [market.order(number) for number in ids]
    pages = [first, [later(one, 20, status="AWAITING_COLLECTION") for one in reversed(first)], [later(one, 40, status="IN_TRANSIT") for one in first[10:]]]
    outcomes = race(app, *[functools.partial(take, account, *page) for page in [*pages, *reversed(pages)]])
    assert all(isinstance(each, intake.Outcome) for each in outcomes), outcomes
    statuses = dict(db.session.execute(select(Order.number, Order.remote_status)).all())
    assert statuses == {number: "IN_TRANSIT" if place >= 10 else "AWAITING_COLLECTION" for place, number in enumerate(ids)}
    assert db.session.scalar(select(func.count()).select_from(OrderLine)) == sum(len(one["line_items"]) for one in first)
    assert db.session.scalar(select(func.count()).select_from(Event).where(Event.kind == "order.imported")) == 40
    submitted = db.session.scalars(select(JobItem.ref).join(JobRun, JobRun.id == JobItem.run_id).where(JobRun.kind == "orders.create")).all()
    assert len(submitted) == len(set(submitted)) == 40


def test_an_unpaid_order_is_stored_and_does_nothing_but_reserve(account, market, sku):
    order = market.post("orders", shop="GB", lines=[{"sku": sku}], pay=False)
    take(account, market.order(order["id"]))
    assert stored(order["id"]).state == "stored"
    assert held(stored(order["id"])) == {sku: 1}
    assert not db.session.scalars(select(JobRun).where(JobRun.kind == "orders.create")).all()


def test_an_order_on_hold_is_taken_in_at_once_and_reserved_and_created_only_after_the_hold(account, market, sku):
    """A245, A246: no address yet, a countdown, stock reserved; ready when TikTok lets it go."""
    number = place(market, sku=sku, quantity=2, release=False)
    payload = market.order(number)
    assert "recipient_address" not in payload
    take(account, payload)
    order = stored(number)
    assert (order.state, order.has_address) == ("held", False)
    assert order.hold_until == order.paid_at + timedelta(hours=1)
    assert held(order) == {sku: 2}
    assert not db.session.scalars(select(JobRun).where(JobRun.kind == "orders.create")).all()
    market.post(f"orders/{number}/release")
    outcome = take(account, market.order(number))
    order = stored(number)
    assert (order.state, order.has_address, order.hold_until) == ("ready", True, None)
    assert outcome.ready == [order.id]
    assert held(order) == {sku: 2}, "Magento does not know it yet"


def test_an_order_cancelled_inside_the_hold_never_gets_ready_and_gives_its_stock_back(account, market, sku):
    """A259."""
    number = place(market, sku=sku, release=False)
    take(account, market.order(number))
    market.post(f"orders/{number}/cancel", by="BUYER")
    take(account, market.order(number))
    order = stored(number)
    assert order.state == "cancelled"
    assert held(order) == {}
    assert db.session.scalar(select(Reservation.release_reason).where(Reservation.order_id == order.id)) == "cancelled"


def test_a_scheduled_order_is_submitted_for_creation_in_the_transaction_that_stores_it(account, market, sku):
    number = place(market, sku=sku)
    take(account, market.order(number))
    run = db.session.scalars(select(JobRun).where(JobRun.kind == "orders.create")).one()
    assert db.session.execute(select(JobItem.ref, JobItem.label).where(JobItem.run_id == run.id)).all() == [(str(stored(number).id), number)]


def test_a_manual_import_waits_for_create_sales_order(account, market, sku):
    """A182; also when a later scheduled import brings news of it."""
    payload = market.order(place(market, sku=sku))
    take(account, payload, origin=MANUAL)
    assert stored(payload["id"]).state == "review"
    take(account, later(payload, status="AWAITING_COLLECTION"))
    assert stored(payload["id"]).state == "review"
    assert not db.session.scalars(select(JobRun).where(JobRun.kind == "orders.create")).all()


def test_a_manual_import_follows_the_policy_when_the_policy_says_so(account, market, sku):
    change_policy(account, apply_to_manual_import=True)
    number = place(market, sku=sku)
    take(account, market.order(number), origin=MANUAL)
    assert stored(number).state == "ready"


def test_create_order_when_decides_when_an_order_gets_ready(account, market, sku):
    """A103: reached or passed."""
    change_policy(account, create_when="IN_TRANSIT")
    payload = market.order(place(market, sku=sku))
    take(account, payload)
    assert stored(payload["id"]).state == "stored"
    take(account, later(payload, status="DELIVERED"))
    assert stored(payload["id"]).state == "ready"


def test_creation_switched_off_leaves_orders_stored(account, market, sku):
    change_policy(account, create_in_magento=False)
    number = place(market, sku=sku)
    take(account, market.order(number))
    assert stored(number).state == "stored"


def test_create_when_cancelled_makes_a_cancelled_order_ready(account, market, sku):
    change_policy(account, create_when="CANCELLED")
    number = place(market, sku=sku)
    market.post(f"orders/{number}/cancel", by="SYSTEM")
    take(account, market.order(number))
    assert stored(number).state == "ready"
    assert held(stored(number)) == {}


def test_an_unknown_status_is_stored_verbatim_flagged_and_creates_nothing(account, market, sku):
    payload = market.order(place(market, sku=sku))
    take(account, {**payload, "status": "SHIPPED"})
    order = stored(payload["id"])
    assert (order.remote_status, order.state) == ("SHIPPED", "stored")
    assert "SHIPPED" in order.warning
    take(account, later(payload))
    assert stored(payload["id"]).state == "ready"


def test_one_bad_record_among_a_hundred_is_parked_and_its_neighbours_are_stored(account, market):
    ids = market.post("seed", region="GB", orders=100)["ids"]
    payloads = [market.order(number) for number in ids]
    payloads[41]["payment"]["total_amount"] = "a lot"
    parked: list[intake.BadRecord] = []
    outcome = take(account, *payloads, park=parked.append)
    assert (outcome.new, outcome.bad) == (99, 1)
    assert [(record.ref, record.error.field) for record in parked] == [(ids[41], "payment.total_amount")]
    kept = parked[0].parked_data()
    assert payloads[41]["buyer_email"] not in str(kept)
    assert "a lot" in vault().decrypt(kept["payload"])


def test_a_record_that_only_the_database_refuses_is_parked_as_well(account, market, sku):
    """A lone surrogate passes as a Python string and cannot be written anywhere."""
    good, bad = market.order(place(market, sku=sku)), market.order(place(market, sku=sku))
    bad["line_items"][0]["product_name"] = "broken \ud83d text"
    parked: list[intake.BadRecord] = []
    outcome = take(account, bad, good, park=parked.append)
    assert (outcome.new, [record.ref for record in parked]) == (1, [bad["id"]])


def test_without_a_place_to_park_a_bad_record_says_what_is_wrong(account, market, sku):
    payload = market.order(place(market, sku=sku))
    with pytest.raises(BadOrder, match=r"line_items\[0\]\.sale_price"):
        take(account, {**payload, "line_items": [{**payload["line_items"][0], "sale_price": "free"}]})


def test_emoji_thirty_lines_and_a_sku_with_a_slash_survive(account, market):
    lines = [{"sku": "MUG/02 slash", "quantity": 30}]
    number = market.post("orders", shop="GB", lines=lines, pay=True, message="Danke \U0001f98a\U0001f381")["id"]
    market.post(f"orders/{number}/release")
    take(account, market.order(number))
    order = stored(number)
    assert (order.item_count, len(order.lines)) == (30, 30)
    assert {line.seller_sku for line in order.lines} == {"MUG/02 slash"}
    assert order.payload.body["buyer_message"] == "Danke \U0001f98a\U0001f381"
    assert held(order) == {"MUG/02 slash": 30}


def test_a_masked_address_never_overwrites_an_unmasked_one(account, market, sku):
    payload = market.order(place(market, sku=sku))
    take(account, payload)
    masked = later(payload)
    masked["recipient_address"] = {**payload["recipient_address"], "name": "B****", "phone_number": "(+44)77*****00"}
    take(account, masked)
    order = stored(payload["id"])
    assert order.payload.address == payload["recipient_address"]
    assert (order.has_address, order.address_masked) == (True, False)
    assert order.payload.body == masked


def test_an_order_that_was_only_ever_masked_says_so(account, market, sku):
    payload = market.order(place(market, sku=sku))
    payload["recipient_address"] |= {"name": "B****"}
    take(account, payload)
    assert (stored(payload["id"]).address_masked, stored(payload["id"]).payload.address) == (True, None)


def test_partly_cancelled_lines_give_their_units_back(account, market, sku):
    payload = market.order(place(market, sku=sku, quantity=3))
    take(account, payload)
    partly = later(payload)
    partly["line_items"][0]["display_status"] = "CANCELLED"
    take(account, partly)
    assert held(stored(payload["id"])) == {sku: 2}


def test_a_mapped_sku_is_reserved_under_its_magento_name(account, market, sku):
    with unit_of_work() as session:
        session.add(SkuMapping(account_id=account.id, seller_sku=sku, magento_sku="OTHER-NAME"))
    number = place(market, sku=sku, quantity=2)
    take(account, market.order(number))
    assert held(stored(number)) == {"OTHER-NAME": 2}
    assert reservations.open_units(["OTHER-NAME", sku]) == {"OTHER-NAME": 2}


def test_a_status_change_of_an_order_in_magento_is_carried_over_and_its_units_stay_released(account, market, sku):
    payload = market.order(place(market, sku=sku))
    take(account, payload)
    order = stored(payload["id"])
    _pretend_created(order)
    take(account, later(payload, status="IN_TRANSIT"))
    order = stored(payload["id"])
    assert (order.state, order.remote_status) == ("created", "IN_TRANSIT")
    assert held(order) == {}
    follow = db.session.scalars(select(JobRun).where(JobRun.kind == "orders.follow")).one()
    assert db.session.scalars(select(JobItem.ref).where(JobItem.run_id == follow.id)).all() == [str(order.id)]
    event = db.session.scalars(select(Event).where(Event.kind == "order.status")).one()
    assert (event.before, event.after) == ({"status": "AWAITING_SHIPMENT"}, {"status": "IN_TRANSIT"})


def test_an_address_change_before_shipping_is_to_be_carried_over_and_after_shipping_warns(account, market, sku):
    """TTS §6.5."""
    payload = market.order(place(market, sku=sku))
    take(account, payload)
    _pretend_created(stored(payload["id"]))
    market.post(f"orders/{payload['id']}/address")
    moved = market.order(payload["id"])
    assert moved["recipient_address"] != payload["recipient_address"]
    take(account, moved)
    order = stored(payload["id"])
    assert db.session.scalars(select(OutgoingAction.action).where(OutgoingAction.order_id == order.id)).all() == ["address"]
    assert db.session.scalars(select(JobRun).where(JobRun.kind == "orders.follow")).one()
    assert order.payload.address == moved["recipient_address"]
    shipped = later(moved, status="IN_TRANSIT")
    take(account, shipped)
    again = later(shipped)
    again["recipient_address"] = {**moved["recipient_address"], "address_line1": "9 Another Street"}
    take(account, again)
    assert "after the order was shipped" in stored(payload["id"]).warning


def test_a_cancel_request_shows_on_the_order_and_in_its_timeline(account, market, sku):
    payload = market.order(place(market, sku=sku))
    take(account, payload)
    market.post(f"orders/{payload['id']}/cancel", by="BUYER")
    take(account, market.order(payload["id"]))
    order = stored(payload["id"])
    assert order.cancel_requested
    assert order.state == "ready", "the gate decides, not the intake"
    assert db.session.scalar(select(func.count()).select_from(Event).where(Event.kind == "order.cancel_requested")) == 1


def test_ready_orders_that_no_run_will_create_are_swept_up_once(account, market, sku):
    numbers = [place(market, sku=sku) for _ in range(2)]
    take(account, *[market.order(number) for number in numbers])
    assert intake.sweep_ready(account.id) is None, "the run that stored them has them"
    with unit_of_work() as session:
        for run in session.scalars(select(JobRun).where(JobRun.kind == "orders.create")):
            run.state = "failed"
    swept = intake.sweep_ready(account.id)
    assert swept is not None
    assert set(db.session.scalars(select(JobItem.label).where(JobItem.run_id == swept))) == set(numbers)
    assert intake.sweep_ready(account.id) is None


def test_two_accounts_may_have_the_same_order_id(account, market, sku):
    from tests.factories.shop import authorise

    other = authorise("US")
    payload = market.order(place(market, sku=sku))
    take(account, payload)
    take(other, payload)
    assert db.session.scalar(select(func.count()).select_from(Order).where(Order.number == payload["id"])) == 2


def test_an_account_without_a_policy_still_takes_orders_in(account, market, sku):
    from connector.models.policy import Policy

    with unit_of_work() as session:
        account.order_policy_id = None
        for policy in session.scalars(select(Policy)):
            policy.is_default = False
    number = place(market, sku=sku)
    take(account, market.order(number))
    assert stored(number).state == "ready", "the gates say what is missing"
    with pytest.raises(DomainError):
        intake.rules_for(99999, SCHEDULE)


def _pretend_created(order: Order) -> None:
    """What the creation in Magento leaves behind."""
    with unit_of_work() as session:
        fresh = session.get(Order, order.id, populate_existing=True)
        state.set_state(fresh, "created", reason="test")
        reservations.release(order.id, "created")
        for run in session.scalars(select(JobRun)):
            run.state = "succeeded"

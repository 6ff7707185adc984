"""Sending parcels to the practice marketplace over real HTTP (product.md 6 "Shipment push"; A234, A256-A258, TTS §5.5, §3.4)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.order import Order, OrderLine, Shipment
from connector.models.run import RUNNING, JobRun
from connector.models.trace import Decision, Event
from connector.services.orders import parcels, push, tracking
from tests.factories import shop
from tests.factories.parcels import packages, parcel, place, stored, take_in
from tests.factories.racing import race, start

pytestmark = pytest.mark.postgres


def test_a_gb_parcel_is_marked_as_shipped_and_its_package_id_is_kept(account, market):
    order = place(market, account, ("MUG-01", 1), ("TEE-BLA-S", 2))
    number = parcel(order, "RM 123 456 789 GB")
    (outcome,) = push.push_order(order.id)
    assert outcome.state == parcels.DELIVERED
    (package,) = packages(market, order)
    sent = stored(number)
    assert (sent.state, sent.package_id, sent.provider_name, len(sent.line_ids)) == ("delivered", package["id"], "Royal Mail", 3)
    assert package["tracking_number"] == "RM123456789GB"
    row = db.session.get(Order, order.id)
    assert (row.tracking_number, row.carrier_name) == ("RM123456789GB", "Royal Mail")
    assert row.dirty_at is not None
    assert take_in(account, order.number).remote_status == "AWAITING_COLLECTION"


def test_a_sg_parcel_is_shipped_by_its_package_id(app, market):
    account = shop.authorise("SG")
    order = place(market, account, ("MUG-01", 2))
    number = parcel(order, "NV123456", carrier="Ninja Van")
    assert push.push(number).state == parcels.DELIVERED
    (package,) = packages(market, order)
    assert (package["id"], package["tracking_number"]) == (stored(number).package_id, "NV123456")
    assert market.get("calls")["operations"]["packages.ship"]["count"] == 1


def test_half_of_a_sg_package_is_not_sent_and_says_what_to_do(app, market):
    account = shop.authorise("SG")
    order = place(market, account, ("MUG-01", 2))
    outcome = push.push(parcel(order, "NV123456", carrier="Ninja Van", quantities={"MUG-01": 1}))
    assert (outcome.state, outcome.code) == (parcels.PENDING, "ship.lines")
    assert "by whole SKU only" in outcome.message
    assert "under the same tracking number" in outcome.remedy
    assert packages(market, order) == []


def test_a_us_parcel_is_marked_as_shipped_and_tiktoks_warning_is_kept(app, market):
    account = shop.authorise("US")
    order = place(market, account)
    number = parcel(order, "1Z999AA10123456784", carrier="FedEx")
    assert push.push(number).state == parcels.DELIVERED
    assert "looks like one of UPS" in stored(number).warning


def test_partial_shipments_become_packages_of_their_own(account, market):
    order = place(market, account, ("TEE-BLA-S", 3), ("MUG-01", 1))
    first = parcel(order, "RM000000001GB", quantities={"TEE-BLA-S": 1})
    second = parcel(order, "RM000000002GB", quantities={"TEE-BLA-S": 2, "MUG-01": 1})
    assert [one.state for one in push.push_order(order.id)] == [parcels.DELIVERED] * 2
    found = {one["tracking_number"]: one["order_line_item_ids"] for one in packages(market, order)}
    assert sorted(map(len, found.values())) == [1, 3]
    assert set(stored(first).line_ids) == set(found["RM000000001GB"])
    assert set(stored(second).line_ids) == set(found["RM000000002GB"])
    assert take_in(account, order.number).remote_status == "AWAITING_COLLECTION"


def test_the_first_of_two_parcels_leaves_the_order_partially_shipped(account, market):
    order = place(market, account, ("TEE-BLA-S", 2))
    parcel(order, "RM000000001GB", quantities={"TEE-BLA-S": 1})
    push.push_order(order.id)
    assert take_in(account, order.number).remote_status == "PARTIALLY_SHIPPING"


def test_more_units_than_tiktok_waits_for_are_sent_as_far_as_they_go_with_a_warning(account, market):
    order = place(market, account, ("TEE-BLA-S", 2))
    line = market.order(order.number)["line_items"][0]["id"]
    market.post(f"orders/{order.number}/cancel", by="SELLER", line_ids=[line])
    number = parcel(order, "RM000000001GB", quantities={"TEE-BLA-S": 2})
    assert push.push(number).state == parcels.DELIVERED
    assert "1 x TEE-BLA-S" in stored(number).warning
    assert line not in stored(number).line_ids


def test_a_lost_answer_makes_one_package_not_two(account, market):
    order = place(market, account, ("TEE-BLA-S", 3))
    number = parcel(order, "RM000000001GB", quantities={"TEE-BLA-S": 1})
    market.post("faults", kind="lost_answer", operation="packages.mark_shipped", times=1)
    with pytest.raises(api.Uncertain):
        push.push(number)
    assert stored(number).state == parcels.SENDING
    assert push.push(number).state == parcels.DELIVERED
    (package,) = packages(market, order)
    assert stored(number).line_ids == package["order_line_item_ids"]
    assert stored(number).package_id == package["id"]
    assert market.get("calls")["operations"]["packages.mark_shipped"]["count"] == 1


def test_a_time_out_before_the_effect_is_sent_again(account, market):
    order = place(market, account)
    number = parcel(order, "RM000000001GB")
    market.post("faults", kind="server_error", operation="packages.mark_shipped", times=1)
    with pytest.raises(api.ApiError):
        push.push(number)
    assert push.push(number).state == parcels.DELIVERED
    assert len(packages(market, order)) == 1


def test_already_shipped_with_the_same_tracking_is_done(account, market):
    order = place(market, account)
    push.push(parcel(order, "RM000000001GB"))
    with unit_of_work() as session:  # our memory of it is lost
        session.query(Shipment).delete()
    again = parcel(order, "rm000000001gb")
    assert push.push(again).state == parcels.DELIVERED
    assert stored(again).package_id == packages(market, order)[0]["id"]
    assert len(packages(market, order)) == 1


def test_already_shipped_with_another_tracking_is_an_error_that_names_it(account, market):
    order = place(market, account)
    push.push(parcel(order, "RM000000001GB"))
    outcome = push.push(parcel(order, "RM000000009GB"))
    assert (outcome.state, outcome.code) == (parcels.FAILED, tracking.OTHER)
    assert "RM000000001GB" in outcome.message and "RM000000009GB" in outcome.message
    assert db.session.get(Order, order.id).failure_code == tracking.OTHER


def test_an_order_on_hold_waits_and_is_sent_when_the_hold_is_over(account, market):
    order = place(market, account, release=False)
    number = parcel(order, "RM000000001GB")
    outcome = push.push(number)
    assert (outcome.state, outcome.code) == (parcels.PENDING, "ship.not_on_hold")
    assert stored(number).retry_at > utcnow()
    assert db.session.get(Order, order.id).failure_code is None
    market.post(f"orders/{order.number}/release")
    assert push.push(number).state == parcels.DELIVERED


def test_an_open_cancellation_request_stops_the_parcel_until_it_is_answered(account, market):
    order = place(market, account)
    market.post(f"orders/{order.number}/cancel", by="BUYER")
    number = parcel(order, "RM000000001GB")  # stored while the connector does not know of the request yet
    outcome = push.push(number)
    assert (outcome.state, outcome.code) == (parcels.PENDING, "ship.no_open_cancellation")
    assert packages(market, order) == []
    market.post(f"orders/{order.number}/withdraw")
    assert push.push(number).state == parcels.DELIVERED


def test_a_cancelled_order_is_not_shipped_although_it_was_not_known_yet(account, market):
    order = place(market, account)
    number = parcel(order, "RM000000001GB")
    market.post(f"orders/{order.number}/cancel", by="SYSTEM")
    outcome = push.push(number)
    assert (outcome.state, outcome.code) == (parcels.FAILED, parcels.CANCELLED)
    assert "cancelled" in outcome.message
    row = db.session.get(Order, order.id)
    assert (row.failure_code, row.dirty_at is not None) == (None, True), "no error that nobody could solve: it is read again, and its recall opens"
    trace = db.session.scalars(select(Decision).where(Decision.subject_id == str(order.id))).one()
    assert not trace.allowed


def test_platform_shipping_and_fulfilment_by_tiktok_are_left_to_tiktok(account, market):
    for wish in ({"shipping_type": "TIKTOK"}, {"fulfillment_type": "FULFILLMENT_BY_TIKTOK"}):
        order = place(market, account, **wish)
        assert push.push(parcel(order, "RM000000001GB")).state == parcels.IGNORED


def test_a_tracking_number_that_tiktok_cannot_take_is_said_before_calling(account, market):
    order = place(market, account)
    outcome = push.push(parcel(order, "abc"))
    assert (outcome.state, outcome.code) == (parcels.FAILED, "ship.tracking")
    assert "packages.mark_shipped" not in market.get("calls")["operations"]


def test_what_tiktok_refuses_is_kept_in_its_own_words_and_tried_again(account, market):
    tracking = "RM000000001GB"
    for _ in range(20):  # one number serves twenty orders at most
        used = place(market, account)
        push.push(parcel(used, tracking))
    order = place(market, account)
    number = parcel(order, tracking)
    outcome = push.push(number)
    assert outcome.state == parcels.FAILED
    assert "already used on 20 orders" in outcome.message
    assert stored(number).retry_at > utcnow()
    assert db.session.get(Order, order.id).failure_code == outcome.code


def test_two_workers_send_one_parcel_once(app, account, market):
    order = place(market, account, ("TEE-BLA-S", 2))
    number = parcel(order, "RM000000001GB", quantities={"TEE-BLA-S": 1})
    with market.held(operation="packages.mark_shipped") as there:
        first = start(app, lambda: push.push(number).state)
        there()
        others = race(app, *[lambda: push.push(number).state] * 3)
    assert first.result() == parcels.DELIVERED
    assert all(isinstance(each, api.Unavailable) for each in others), others
    assert len(packages(market, order)) == 1
    assert market.get("calls")["operations"]["packages.mark_shipped"]["count"] == 1


@pytest.mark.sqlite_only
def test_what_a_killed_worker_was_sending_goes_on_with_its_run_and_waits_while_that_may_be_alive(app, account, market):
    """One that was only believed dead, and has read the order before its successor announced the parcel, announces nothing any more."""
    order = place(market, account)
    number, account_id = parcel(order, "RM000000001GB"), account.id
    killed = parcels.submit_due(account_id)

    def lease_until(seconds: float) -> None:
        with unit_of_work() as session:
            run, claimed = session.get(JobRun, killed), session.get(Shipment, number)
            run.state, run.lease_until = RUNNING, utcnow() + timedelta(seconds=seconds)
            claimed.state, claimed.retry_at = parcels.SENDING, utcnow() + push.CLAIM

    with market.held(operation="orders.detail", effect="before") as there:
        believed_dead = start(app, lambda: push.push(number))
        there()
        lease_until(20)
        beside = shop.perform("orders.ship", account_id, items=[(str(order.id), order.number)])
        assert (beside.state, packages(market, order)) == ("waiting", [])
        lease_until(-1)
        assert shop.carry_out(killed).done == 1
    assert isinstance(believed_dead.result(), api.Unavailable)
    assert [one["tracking_number"] for one in packages(market, order)] == ["RM000000001GB"]
    assert market.get("calls")["operations"]["packages.mark_shipped"]["count"] == 1


def test_a_wrong_number_is_corrected_within_72_hours_and_refused_later(account, market):
    order = place(market, account)
    number = parcel(order, "RM000000001GB")
    push.push(number)
    tracking.correct(number, "RM 000000002 GB", "Evri", actor="operator@example.test")
    (package,) = packages(market, order)
    assert package["tracking_number"] == "RM000000002GB"
    assert (stored(number).tracking_number, stored(number).provider_name) == ("RM000000002GB", "Evri")
    assert db.session.scalar(select(OrderLine.tracking_number).where(OrderLine.order_id == order.id)) == "RM000000002GB"
    with pytest.raises(DomainError, match="does not offer"):
        tracking.correct(number, "RM000000003GB", "Ninja Van", actor="operator@example.test")
    market.post("settings", edit_tracking_window_seconds=0)
    market.post("clock", advance_seconds=5)
    with pytest.raises(api.Rejected):
        tracking.correct(number, "RM000000003GB", "Evri", actor="operator@example.test")
    assert stored(number).tracking_number == "RM000000002GB"


def test_due_parcels_go_out_in_one_run_by_deadline(account, market):
    orders = [place(market, account) for _ in range(3)]
    for index, order in enumerate(orders):
        parcel(order, f"RM00000000{index}GB")
    rested = place(market, account)
    with unit_of_work() as session:
        waiting = session.get(Shipment, parcel(rested, "RM000000008GB"))
        waiting.retry_at = utcnow() + timedelta(hours=1)
    account_id, numbers, rested_number = account.id, [order.number for order in orders], rested.number
    run = shop.carry_out(parcels.submit_due(account_id))
    assert (run.state, run.total, run.done) == ("succeeded", 3, 3), run.message
    assert all(len(packages(market, number)) == 1 for number in numbers)
    assert packages(market, rested_number) == []
    assert parcels.submit_due(account_id) is None


def test_with_shipment_creation_off_only_what_a_person_entered_is_sent(account, market):
    shop.change_policy(account, push_shipments=False)
    order = place(market, account)
    parcel(order, "RM000000001GB")
    assert parcels.submit_due(account.id) is None
    parcel(order, "RM000000002GB", origin="form")
    assert parcels.submit_due(account.id) is not None


def test_a_delivered_parcel_leaves_a_trace_on_the_order(account, market):
    order = place(market, account)
    push.push(parcel(order, "RM000000001GB"))
    kinds = db.session.scalars(select(Event.kind).where(Event.subject_type == "order", Event.subject_id == str(order.id))).all()
    assert "parcel.stored" in kinds
    assert "parcel.delivered" in kinds
    assert db.session.scalar(select(func.count()).select_from(Decision).where(Decision.subject_id == str(order.id), Decision.action == "ship")) == 1

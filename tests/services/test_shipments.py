"""Magento shipments become TikTok parcels (A112, A113, A234; MAG §4.6.2), against the practice store and the practice marketplace."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.models.account import Account, StoreReference
from connector.models.order import Order, Shipment, TracklessShipment
from connector.services.orders import flags, parcels, push, shipments
from tests.factories import shop
from tests.factories.parcels import Store, in_magento, packages, place, stored, take_in

pytestmark = pytest.mark.postgres


@pytest.fixture
def account(connected_account):
    return connected_account


@pytest.fixture
def store(practice_magento):
    return Store(practice_magento.url)


def all_parcels(order) -> list[Shipment]:
    db.session.expire_all()
    found = list(db.session.scalars(select(Shipment).where(Shipment.order_id == order.id).order_by(Shipment.id)))
    db.session.commit()
    return found


def test_a_magento_shipment_reaches_tiktok_by_one_collection(account, market, store):
    order = in_magento(market, account, ("MUG-01", 1), ("TEE-BLA-S", 2))
    store.ship(order, "RM000000001GB")
    run = shop.perform("shipments.collect", account.id)
    assert run.state == "succeeded", run.message
    (parcel,) = all_parcels(order)
    assert parcel.quantities == {"MUG-01": 1, "TEE-BLA-S": 2}
    assert (parcel.magento_carrier, parcel.origin, parcel.state) == ("Royal Mail", "magento", "pending")
    due = parcels.submit_due(account.id)
    assert shop.carry_out(due).state == "succeeded"
    (package,) = packages(market, order.number)
    assert package["tracking_number"] == "RM000000001GB"
    assert take_in(account, order.number).remote_status == "AWAITING_COLLECTION"


def test_collecting_again_finds_nothing_new(account, market, store):
    order = in_magento(market, account)
    store.ship(order, "RM000000001GB")
    assert shipments.collect(account.id).parcels == 1
    push.push_order(order.id)
    again = shipments.collect(account.id)
    assert (again.parcels, len(all_parcels(order))) == (0, 1)
    assert all_parcels(order)[0].state == parcels.DELIVERED


def test_partial_magento_shipments_become_packages_with_their_own_lines(account, market, store):
    order = in_magento(market, account, ("TEE-BLA-S", 3), ("MUG-01", 1))
    store.ship(order, "RM000000001GB", units={"TEE-BLA-S": 2})
    shipments.collect(account.id)
    push.push_order(order.id)
    assert take_in(account, order.number).remote_status == "PARTIALLY_SHIPPING"
    store.ship(order, "RM000000002GB", units={"TEE-BLA-S": 1, "MUG-01": 1})
    shipments.collect(account.id)
    push.push_order(order.id)
    assert [len(one["order_line_item_ids"]) for one in sorted(packages(market, order), key=lambda one: one["tracking_number"])] == [2, 2]
    assert take_in(account, order.number).remote_status == "AWAITING_COLLECTION"


def test_two_magento_shipments_under_one_number_send_all_their_units(account, market, store):
    order = in_magento(market, account, ("TEE-BLA-S", 2))
    store.ship(order, "RM000000001GB", units={"TEE-BLA-S": 1})
    shipments.collect(account.id)
    push.push_order(order.id)
    store.ship(order, "RM000000001GB", units={"TEE-BLA-S": 1})
    shipments.collect(account.id)
    assert all_parcels(order)[0].quantities == {"TEE-BLA-S": 2}
    push.push_order(order.id)
    shipments.collect(account.id)
    (parcel,) = all_parcels(order)
    assert (parcel.state, len(parcel.line_ids)) == (parcels.DELIVERED, 2)
    assert take_in(account, order.number).remote_status == "AWAITING_COLLECTION"


def test_a_late_tracking_number_is_picked_up_although_nothing_searchable_changed(account, market, store):
    order = in_magento(market, account)
    shipment_id = store.ship(order, None)
    found = shipments.collect(account.id)
    assert (found.trackless, found.parcels) == (1, 0)
    db.session.expire_all()
    assert db.session.get(Order, order.id).failure_code == flags.NO_TRACKING
    store.add_track(shipment_id, "RM000000001GB")
    with unit_of_work() as session:
        session.execute(update(Account).values(shipments_cursor=shipment_id + 1000))  # the walk is far past it by now
        session.execute(update(TracklessShipment).values(read_again_at=utcnow()))
    assert shipments.collect(account.id).parcels == 1
    assert db.session.scalar(select(TracklessShipment.id)) is None
    push.push_order(order.id)
    assert len(packages(market, order)) == 1
    assert db.session.get(Order, order.id).failure_code is None


def test_a_complete_magento_order_without_tracking_is_flagged_as_an_error(account, market, store):
    """A234: order placed and processed without tracking details."""
    order = in_magento(market, account)
    store.ship(order, None)
    shop.perform("shipments.collect", account.id)
    flagged = db.session.get(Order, order.id)
    assert flagged.magento_state == "complete"
    assert flagged.failure_code == "ship.no_tracking"
    assert "no tracking number" in flagged.failure_message
    assert flagged.failure_remedy
    assert flagged.state == "created"


def test_shipments_of_the_stores_other_orders_are_left_alone(account, market, store):
    order = in_magento(market, account)
    store.ship(order, "RM000000001GB")
    with unit_of_work() as session:
        session.execute(update(Order).where(Order.id == order.id).values(magento_id="999999"))  # as if it were the store's own
    in_magento(market, account)
    assert shipments.collect(account.id).seen == 0


def test_the_ship_action_looks_into_magento_by_itself(account, market, store):
    order = in_magento(market, account)
    store.ship(order, "RM000000001GB")
    run = shop.perform("orders.ship", account.id, items=[(str(order.id), order.number)])
    assert (run.state, run.done) == ("succeeded", 1), run.message
    assert len(packages(market, order.number)) == 1


def test_several_tracks_of_one_shipment_send_the_first_and_warn(account, market, store):
    order = in_magento(market, account)
    store.add_track(store.ship(order, "RM000000001GB"), "RM000000002GB")
    shipments.collect(account.id)
    assert [one.tracking_number for one in all_parcels(order)] == ["RM000000001GB"]
    assert "RM000000002GB" in db.session.get(Order, order.id).warning


def test_carriers_seen_in_magento_are_remembered_for_the_policy(account, market, store):
    order = in_magento(market, account)
    store.ship(order, "X0001", title="Blue Dart")
    shipments.collect(account.id)
    assert db.session.scalar(select(StoreReference.label).where(StoreReference.kind == "carrier", StoreReference.code == "Blue Dart")) == "Blue Dart"
    push.push_order(order.id)
    assert stored(all_parcels(order)[0].id).state == parcels.WAITING_CARRIER


def test_a_killed_collection_goes_on_and_loses_nothing(account, market, store):
    orders = [in_magento(market, account) for _ in range(3)]
    for index, order in enumerate(orders):
        store.ship(order, f"RM00000000{index}GB")

    class Killed(BaseException):
        pass

    calls = 0

    def die_after_the_first_batch(session) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # the parcels are stored, the cursor is not moved
            raise Killed

    with pytest.raises(Killed):
        shipments.collect(account.id, guard=die_after_the_first_batch)
    shipments.collect(account.id)
    assert [len(all_parcels(order)) for order in orders] == [1, 1, 1]


def test_deadlines_are_announced_once_by_event_and_mail(account, market, store):
    from datetime import timedelta

    from connector.models.account import OutgoingMail
    from connector.models.trace import Event
    from connector.services import connections

    shop.change_policy(account, notify=True, notification_email="desk@example.test")
    order = in_magento(market, account)
    store.ship(order, None)
    with unit_of_work() as session:
        soon = connections.shop_now(session.get(Account, account.id)) + timedelta(hours=3)
        session.execute(update(Order).where(Order.id == order.id).values(ship_by_at=soon))
    shop.perform("shipments.collect", account.id)
    shop.perform("deadlines.warn", account.id)
    shop.perform("deadlines.warn", account.id)
    assert len(db.session.scalars(select(Event).where(Event.kind == "order.deadline")).all()) == 1
    (mail,) = db.session.scalars(select(OutgoingMail).where(OutgoingMail.subject.contains("deadline"))).all()
    assert f"{order.number}  ship by" in mail.body
    assert "no tracking number" in mail.body
    assert mail.state == "kept"  # a Sandbox account's mail stays on screen
    seen = flags.attention()
    assert {band.hours: band.orders for band in seen.to_ship}[4] == 1
    assert dict(seen.failed) == {"ship.no_tracking": 1}


def test_an_order_that_tiktok_still_holds_is_counted_by_hours_left(account, market):
    place(market, account)
    seen = flags.attention([account.id])
    assert sum(band.orders for band in seen.to_ship) == 1
    assert (seen.cancellations, seen.waiting_carrier, seen.expiring) == (0, 0, ())

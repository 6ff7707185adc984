"""Packages of an order: split, combined, taken apart, delivered by the seller's own fleet (TTS §5.5.10; A267-A269, A271)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.oms import OmsUpdate
from connector.models.order import Order, OrderLine, Shipment
from connector.models.trace import Event
from connector.services import cancellations, connections, deadlines
from connector.services.oms import updates
from connector.services.oms.apply import apply_one
from connector.services.orders import combining, fence, own_fleet, parcels, push, ship
from tests.factories import shop
from tests.factories.parcels import packages, parcel, place, stored, take_in

pytestmark = pytest.mark.postgres


@pytest.fixture
def sg(app):
    return shop.authorise("SG")


def calls(market, operation: str) -> int:
    return market.get("calls")["operations"].get(operation, {}).get("count", 0)


def of_one_buyer(market, account, count: int) -> list[Order]:
    """Orders that may go together; a shop sends one order in ten from its other warehouse, and such orders may not."""
    by_warehouse: dict[str, list[Order]] = {}
    while True:
        order = place(market, account, buyer=7)
        alike = by_warehouse.setdefault(order.warehouse_id, [])
        alike.append(order)
        if len(alike) == count:
            return alike


def kinds(order: Order) -> list[str]:
    found = db.session.scalars(select(Event.kind).where(Event.subject_type == "order", Event.subject_id == str(order.id)).order_by(Event.id)).all()
    db.session.commit()
    return list(found)


def test_a_parcel_with_some_of_the_lines_becomes_a_package_of_its_own_even_when_the_answers_get_lost(sg, market):
    """A268: three parcels of one package, the answer of the first split lost, that of the second shipment lost."""
    order = place(market, sg, ("MUG-01", 2), ("TEE-BLA-S", 1), ("TEE-BLA-M", 1))
    first = parcel(order, "NV000001", carrier="Ninja Van", quantities={"MUG-01": 2})
    second = parcel(order, "NV000002", carrier="Ninja Van", quantities={"TEE-BLA-S": 1})
    third = parcel(order, "NV000003", carrier="Ninja Van", quantities={"TEE-BLA-M": 1})
    market.post("faults", kind="lost_answer", operation="orders.split", times=1)
    with pytest.raises(api.Uncertain):
        push.push(first)
    assert (stored(first).state, packages(market, order)) == (parcels.SENDING, [])
    assert push.push(first).state == parcels.DELIVERED
    assert calls(market, "orders.split") == 1  # the second attempt found the package
    assert take_in(sg, order.number).remote_status == "PARTIALLY_SHIPPING"
    market.post("faults", kind="lost_answer", operation="packages.ship", times=1)
    with pytest.raises(api.Uncertain):
        push.push(second)
    assert [push.push(one).state for one in (second, third)] == [parcels.DELIVERED] * 2
    assert (calls(market, "orders.split"), calls(market, "packages.ship")) == (2, 3)
    found = {one["tracking_number"]: (one["id"], one["order_line_item_ids"]) for one in packages(market, order)}
    assert {number: len(lines) for number, (_, lines) in found.items()} == {"NV000001": 2, "NV000002": 1, "NV000003": 1}
    for one in (first, second, third):
        sent = stored(one)
        assert (sent.package_id, sorted(sent.line_ids)) == (found[sent.tracking_number][0], sorted(found[sent.tracking_number][1]))
    order = take_in(sg, order.number)
    assert order.remote_status == "AWAITING_COLLECTION"
    assert order.failure_code is None
    assert kinds(order).count("parcel.delivered") == 3


def test_what_may_not_be_split_waits_and_says_why(sg, market):
    """A268: whole SKUs only, no cancellation requested, TikTok's own refusal, and another parcel of the order under way."""
    order = place(market, sg, ("MUG-01", 2), ("TEE-BLA-S", 1))
    torn = push.push(parcel(order, "NV000001", carrier="Ninja Van", quantities={"MUG-01": 1, "TEE-BLA-S": 1}))
    assert (torn.state, torn.code) == (parcels.PENDING, "ship.lines")
    assert "by whole SKU only; MUG-01 would be torn apart" in torn.message
    assert "the same tracking number" in torn.remedy
    good = parcel(order, "NV000002", carrier="Ninja Van", quantities={"TEE-BLA-S": 1})
    with unit_of_work() as session:
        other = session.scalars(select(Shipment).where(Shipment.tracking_number == "NV000001")).one()
        other.state, other.retry_at = parcels.SENDING, utcnow() + timedelta(minutes=1)
    with pytest.raises(api.Unavailable, match="NV000001"):
        push.push(good)
    with unit_of_work() as session:
        other = session.scalars(select(Shipment).where(Shipment.tracking_number == "NV000001")).one()
        other.state, other.retry_at = parcels.PENDING, None
    market.post("faults", kind="refusal", operation="orders.split", code=21011029, message="the package is frozen", times=1)
    refused = push.push(good)
    assert (refused.state, refused.code) == (parcels.FAILED, "tts.package_status")
    assert "the package is frozen" in refused.message
    market.post(f"orders/{order.number}/cancel", by="BUYER")
    assert push.push(good).code == "ship.no_open_cancellation"
    assert packages(market, order) == []
    market.post(f"orders/{order.number}/withdraw")
    assert push.push(good).state == parcels.DELIVERED
    assert [one["tracking_number"] for one in packages(market, order)] == ["NV000002"]


def test_orders_of_one_buyer_leave_in_one_package_and_the_fence_holds_for_all_of_them(sg, market):
    """A269: offered where TikTok offers it, combined once though the answer is lost, taken apart, combined again, shipped with one number."""
    one, two, three = of_one_buyer(market, sg, 3)
    stranger = place(market, sg, buyer=8)
    (offer,) = combining.offers([one.id, two.id, stranger.id])
    assert {number for _, number in offer.orders} == {one.number, two.number}
    with pytest.raises(DomainError, match="does not offer to combine"):
        combining.combine([one.id, stranger.id], actor="tests")
    market.post("faults", kind="lost_answer", operation="packages.combine", times=1)
    combining.combine([one.id, two.id], actor="tests")
    combining.combine([one.id, two.id], actor="tests")  # again: as it is
    assert calls(market, "packages.combine") == 1
    assert combining.shares([one.id, three.id]) == {one.id: (two.number,), two.id: (one.number,)}
    assert combining.offers([one.id, two.id, three.id]) == []
    assert "was taken apart" in combining.take_apart(two.id, actor="tests")
    assert combining.shares([one.id, two.id]) == {}
    with pytest.raises(DomainError, match="not in one package"):
        combining.take_apart(two.id, actor="tests")
    combining.combine([one.id, two.id, three.id], actor="tests")
    assert [row.kind for row in ship.preview([one.id, two.id, three.id])] == [ship.FORM, ship.WITH, ship.WITH]
    number = parcel(one, "NV000001", carrier="Ninja Van")
    # while one order's parcel is being sent, no cancellation of another one in its package goes through, and the other way round
    with unit_of_work() as session:
        session.get(Shipment, number).state = parcels.SENDING
    assert fence.being_sent(three.id) == "NV000001"
    assert fence.being_sent(stranger.id) is None
    with pytest.raises(DomainError, match="being sent right now"):
        combining.take_apart(two.id, actor="tests")
    market.post(f"orders/{three.number}/cancel", by="BUYER")
    cancellations.import_account(sg.id)
    assert push.push(number).code == "ship.no_open_cancellation"
    market.post(f"orders/{three.number}/withdraw")
    cancellations.import_account(sg.id)
    assert push.push(number).state == parcels.DELIVERED
    assert {packages(market, each)[0]["tracking_number"] for each in (one, two, three)} == {"NV000001"}
    assert all(db.session.get(Order, each.id, populate_existing=True).dirty_at is not None for each in (one, two, three))
    db.session.commit()
    again = parcel(take_in(sg, two.number), "NV000001", carrier="Ninja Van")  # Magento ships the second order with the same number
    assert push.push(again).state == parcels.DELIVERED
    assert calls(market, "packages.ship") == 1
    with pytest.raises(DomainError):
        combining.take_apart(one.id, actor="tests")


def test_a_delivery_by_the_sellers_own_fleet_is_reported_once(sg, account, market):
    """A253, TTS §5.5.10: told by the OMS, repeated, with a lost answer; where the carrier reports, nothing is sent."""
    order, elsewhere = place(market, sg), place(market, account)
    assert own_fleet.delivered(order.id) == ""
    push.push(parcel(order, "NV000001", carrier="Ninja Van"))
    push.push(parcel(elsewhere, "RM000000001GB"))
    updates.receive(sg.id, "event", [{"id": "d1", "type": "delivered", "order_id": order.number}, {"id": "d2", "type": "delivered", "order_id": order.number}])
    updates.receive(account.id, "event", [{"id": "d3", "type": "delivered", "order_id": elsewhere.number}])
    ids = {row.event_id: row.id for row in db.session.scalars(select(OmsUpdate))}
    db.session.commit()
    market.post("faults", kind="lost_answer", operation="packages.deliver", times=1)
    with pytest.raises(api.Uncertain):
        apply_one(ids["d1"])
    said = [apply_one(ids[name]) for name in ("d1", "d2", "d3")]
    assert calls(market, "packages.deliver") == 1
    assert "no delivery to report" in said[0]
    assert "hears from the carrier" in said[2]
    assert take_in(sg, order.number).remote_status == "DELIVERED"
    late = place(market, sg)
    push.push(parcel(late, "NV000002", carrier="Ninja Van"))
    assert "arrived" in own_fleet.delivered(late.id)
    assert "order.delivery_reported" in kinds(late)


def test_a_label_that_tiktok_refuses_is_an_abnormal_package_until_it_is_arranged(sg, market):
    """A271"""
    order = place(market, sg, shipping_type="TIKTOK")
    assert deadlines.board("abnormal").counts["abnormal"] == 0
    market.post("faults", kind="refusal", operation="packages.ship", code=21011029, message="the package is frozen", times=1)
    with pytest.raises(api.Rejected):
        ship.label(order.id)
    (entry,) = deadlines.board("abnormal", ids=[order.number]).rows
    assert "the package is frozen" in entry.trouble
    assert ship.label(order.id).url
    assert deadlines.board("abnormal").counts["abnormal"] == 0
    package_id = db.session.scalar(select(OrderLine.package_id).where(OrderLine.order_id == order.id))
    assert connections.tiktok(sg.id).package(package_id)["package_status"] == "PROCESSING"

"""Whose tracking number is right, where TikTok shows another one than the parcel has (A234, TTS §5.5.4): on the order, and for a whole group at once."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from connector.clients import errors as api
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.order import Order, OrderLine
from connector.models.trace import Event
from connector.services import connections
from connector.services.orders import causes, parcels, providers, push, tracking
from tests.factories import shop
from tests.factories.parcels import packages, parcel, place, stored

pytestmark = pytest.mark.postgres

WHO = "operator@example.test"


def shipped_elsewhere(account, order: Order, *numbers: str) -> list[str]:
    """The seller ships the order in Seller Center under other numbers, one for each line; the line ids."""
    lines = list(db.session.scalars(select(OrderLine.line_id).where(OrderLine.order_id == order.id).order_by(OrderLine.id)))
    provider = next(one for one in providers.providers_for(account.id, order.delivery_option_id, buyer_region="") if one.name == "Evri")
    number, parts = order.number, [lines[index :: len(numbers)] for index in range(len(numbers))]
    db.session.commit()
    for said, part in zip(numbers, parts, strict=True):
        connections.tiktok(account.id).mark_shipped(number, line_ids=part, tracking_number=said, shipping_provider_id=provider.id)
    return lines


def refused(market, account, number: str, *elsewhere: str, lines: tuple[tuple[str, int], ...] = (("MUG-01", 1),)) -> tuple[Order, int]:
    """An order that the seller shipped in Seller Center, and its parcel of Magento, which TikTok does not need."""
    order = place(market, account, *lines)
    shipped_elsewhere(account, order, *elsewhere)
    parcel_id = parcel(order, number)
    assert push.push(parcel_id).code == tracking.OTHER
    return order, parcel_id


@pytest.mark.parametrize(("answer", "right"), [(tracking.OURS, "RM{}"), (tracking.THEIRS, "SC000000{}")])
def test_one_click_answers_every_order_whose_number_is_another_at_tiktok(account, market, answer, right):
    found = [refused(market, account, f"RM00000000{index}GB", f"SC000000{index}") for index in range(2)]
    (cause,) = causes.groups()
    assert (cause.fix, cause.orders, cause.code) == (causes.NUMBERS, 2, tracking.OTHER)
    assert "SC000000" in cause.message and "RM00000000" in cause.message
    for wrong in ("", "both"):
        with pytest.raises(DomainError, match="was not said"):
            causes.heal(cause.key, actor=WHO, answer=wrong)
    healed = causes.heal(cause.key, actor=WHO, answer=answer)
    run = shop.carry_out(healed.run_ids[0])
    assert (run.state, run.done, healed.retried) == ("succeeded", 2, 2)
    ours = answer == tracking.OURS
    for index, (order, parcel_id) in enumerate(found):
        (package,) = packages(market, order)
        assert package["tracking_number"] == (f"RM00000000{index}GB" if ours else f"SC000000{index}")
        sent = stored(parcel_id)
        assert (sent.state, sent.error_remedy or "") == ((parcels.DELIVERED if ours else parcels.IGNORED), "")
        assert sent.package_id == (package["id"] if ours else "")
        told = db.session.scalars(
            select(Event.actor).where(Event.kind == ("parcel.corrected" if ours else "parcel.not_sent"), Event.subject_id == str(order.id))
        )
        assert told.all() == [WHO]
    assert causes.groups() == []
    assert sum(market.get("calls")["operations"].get(f"{kind}.update_shipping_info", {}).get("count", 0) for kind in ("orders", "packages")) == 2 * ours
    assert push.push_order(found[0][0].id) == [], "nothing is left to be sent"
    assert tracking.settle(found[0][0].id, answer, actor=WHO).startswith("No parcel")


@pytest.mark.parametrize("answer_is_lost", [False, True])
def test_a_parcel_that_replaces_one_of_ours_takes_its_place(account, market, answer_is_lost):
    order = place(market, account, ("MUG-01", 2))
    first = parcel(order, "RM000000001GB")
    push.push(first)
    second = parcel(order, "RM000000009GB")
    assert push.push(second).code == tracking.OTHER
    if answer_is_lost:
        market.post("faults", kind="lost_answer", operation="*.update_shipping_info", times=1)
        with pytest.raises(api.Uncertain):
            tracking.settle(order.id, tracking.OURS, actor=WHO)
    assert tracking.settle(order.id, tracking.OURS, actor=WHO) == "TikTok has tracking number RM000000009GB instead of RM000000001GB."
    (package,) = packages(market, order)
    assert package["tracking_number"] == "RM000000009GB"
    assert (stored(first).state, stored(first).error_message) == (parcels.IGNORED, "TikTok has RM000000009GB instead.")
    assert (stored(second).state, len(stored(second).line_ids)) == (parcels.DELIVERED, 2)
    db.session.expire_all()
    assert set(db.session.scalars(select(OrderLine.tracking_number).where(OrderLine.order_id == order.id))) == {"RM000000009GB"}
    row = db.session.get(Order, order.id)
    assert (row.tracking_number, row.carrier_name, row.failure_code) == ("RM000000009GB", "Royal Mail", None)


def test_what_cannot_be_corrected_says_why_and_nothing_is_lost(account, market):
    several, _ = refused(market, account, "RM000000001GB", "SC0000001", "SC0000002", lines=(("MUG-01", 1), ("TEE-BLA-S", 1)))
    with pytest.raises(DomainError, match="shows 2 tracking numbers") as said:
        tracking.settle(several.id, tracking.OURS, actor=WHO)
    assert "keep TikTok's numbers" in said.value.remedy
    one, parcel_id = refused(market, account, "RM000000003GB", "SC0000003")
    market.post("settings", edit_tracking_window_seconds=0)
    market.post("clock", advance_seconds=5)
    with pytest.raises(api.Rejected):
        tracking.settle(one.id, tracking.OURS, actor=WHO)
    assert (stored(parcel_id).state, db.session.get(Order, one.id).failure_code) == (parcels.FAILED, tracking.OTHER)
    assert sorted(package["tracking_number"] for order in (several, one) for package in packages(market, order)) == ["SC0000001", "SC0000002", "SC0000003"]
    assert "is kept" in tracking.settle(one.id, tracking.THEIRS, actor=WHO)
    assert db.session.get(Order, one.id).failure_code is None


def test_after_a_lost_answer_the_same_answer_is_finished_and_a_stale_error_goes(account, market):
    order, parcel_id = refused(market, account, "RM000000004GB", "SC0000004")
    market.post("faults", kind="lost_answer", operation="*.update_shipping_info", times=1)
    with pytest.raises(api.Uncertain):
        tracking.settle(order.id, tracking.OURS, actor=WHO)
    assert "RM000000004GB" in tracking.settle(order.id, tracking.OURS, actor=WHO)
    assert stored(parcel_id).state == parcels.DELIVERED
    assert len(packages(market, order)) == 1
    with unit_of_work() as session:
        row = session.get(Order, order.id)
        row.failure_code, row.failure_message = tracking.OTHER, "of a parcel that is gone"
    tracking.settle(order.id, tracking.THEIRS, actor=WHO)
    assert db.session.get(Order, order.id).failure_code is None

"""Fix once, heal all (product.md 12): failures grouped by cause, one fix retries every member as one run."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import OutgoingMail
from connector.models.aftersales import RecallTask
from connector.models.order import FAILED, Order, SkuMapping
from connector.models.trace import Event
from connector.services import settings
from connector.services.orders import causes, create, failing, parcels, push, state
from tests.factories import shop
from tests.factories.parcels import Store, in_magento, packages, parcel, place, take_in

pytestmark = pytest.mark.postgres

WHO = "operator@example.test"


def unknown_products(market, account, count: int) -> list[Order]:
    """Orders whose SKU Magento does not have, refused by the creation gates."""
    found = []
    for _ in range(count):
        order = place(market, account, ("BULK-000777", 1))
        create.create_one(order.id, by_hand=True)
        found.append(order)
    db.session.expire_all()
    return found


def test_one_sku_mapping_creates_every_order_that_failed_for_it(connected_account, market, practice_magento):
    orders = unknown_products(market, connected_account, 3)
    (cause,) = [one for one in causes.groups() if one.fix == causes.MAP_SKU]
    assert (cause.subject, cause.orders) == ("BULK-000777", 3)
    ids = [order.id for order in orders]
    assert causes.members(cause.key) == ids
    healed = causes.heal(cause.key, actor=WHO, answer="MUG-01")
    assert (healed.retried, len(healed.run_ids)) == (3, 1)
    run = shop.carry_out(healed.run_ids[0])
    assert (run.state, run.done) == ("succeeded", 3), run.message
    listed = Store(practice_magento.url).get("orders")
    assert len(listed) == 3
    assert db.session.scalar(select(SkuMapping.magento_sku)) == "MUG-01"
    assert [one for one in causes.groups() if one.fix == causes.MAP_SKU] == []


def test_a_sku_that_magento_does_not_have_is_not_remembered(connected_account, market):
    unknown_products(market, connected_account, 1)
    (cause,) = causes.groups()
    with pytest.raises(DomainError) as refused:
        causes.heal(cause.key, actor=WHO, answer="NO-SUCH-SKU")
    assert (refused.value.code, refused.value.field) == ("sku.not_in_magento", "magento_sku")
    with pytest.raises(DomainError, match="No Magento SKU"):
        causes.heal(cause.key, actor=WHO, answer=" ")
    assert db.session.scalar(select(SkuMapping.id)) is None


def test_one_carrier_mapping_sends_every_parcel_that_waits_for_it(account, market):
    numbers = []
    for index in range(2):
        order = place(market, account)
        push.push(parcel(order, f"BD000{index}", carrier="DPD: classic"))
        numbers.append(order.number)
    (cause,) = causes.groups(account.id)
    assert (cause.fix, cause.subject, cause.orders, cause.suggestions[0][0]) == (causes.MAP_CARRIER, "DPD: classic", 2, "DPD UK")
    assert len(causes.members(cause.key)) == 2
    healed = causes.heal(cause.key, actor=WHO, answer="DPD UK")
    assert healed.retried == 2
    shop.carry_out(healed.run_ids[0])
    assert all(len(packages(market, number)) == 1 for number in numbers)
    assert causes.groups() == []


def test_any_other_cause_is_retried_as_one_run(account, market):
    orders = [place(market, account) for _ in range(2)]
    with unit_of_work() as session:
        for order in orders:
            row = session.get(Order, order.id)
            state.set_state(row, FAILED, reason="test", code="mag.internal", message="Magento had an internal error", remedy="Look in its log.")
    (cause,) = causes.groups()
    assert (cause.code, cause.fix, cause.orders, cause.message) == ("mag.internal", causes.RETRY, 2, "Magento had an internal error")
    healed = causes.heal(cause.key, actor=WHO)
    assert (healed.retried, len(healed.run_ids)) == (2, 1)
    assert causes.groups() == []


def test_refused_parcels_are_sent_again_by_a_retry(account, market):
    order = place(market, account)
    number = parcel(order, "RM000000001GB")
    market.post("faults", kind="server_error", operation="packages.mark_shipped", status=400, times=1)
    with unit_of_work() as session:
        row = session.get(Order, order.id)
        state.set_state(row, "created", reason="test")
    parcels.held_back(number, parcels.FAILED, "tts.parameter", "TikTok Shop did not accept a value", "", retry_in=None, flag=True)
    market.delete("faults")
    (cause,) = causes.groups()
    order_no = order.number
    healed = causes.heal(cause.key, actor=WHO)
    shop.carry_out(healed.run_ids[0])
    assert len(packages(market, order_no)) == 1
    assert causes.groups() == []


def test_a_parcel_of_a_cancelled_order_leaves_no_error_behind(connected_account, market):
    """What the store shipped becomes a recall; a number that a person entered is an error until somebody has seen it."""
    shipped, entered = in_magento(market, connected_account), in_magento(market, connected_account)
    for order, origin in ((shipped, "magento"), (entered, "form")):
        market.post(f"orders/{order.number}/cancel", by="SYSTEM")
        assert push.push(parcel(order, f"RM{order.number[-9:]}GB", origin=origin)).code == parcels.CANCELLED
        take_in(connected_account, order.number)
    (cause,) = causes.groups()
    assert (cause.code, causes.members(cause.key)) == (parcels.CANCELLED, [entered.id])
    assert db.session.scalars(select(RecallTask.order_id)).all() == [shipped.id]
    shop.carry_out(causes.heal(cause.key, actor=WHO).run_ids[0])
    assert causes.groups() == []
    assert db.session.get(Order, entered.id).magento_state == "closed", "it was invoiced: refunded"


@pytest.mark.parametrize("key", ["", "retry", "retry:x:y", "nonsense"])
def test_a_group_that_is_gone_is_said_plainly(app, key):
    with pytest.raises(DomainError, match="no such group"):
        causes.heal(key, actor=WHO)


def test_a050_orders_that_go_on_failing_are_mailed_once_an_hour_with_every_group_and_its_remedy(connected_account, market):
    def later(**by):
        with unit_of_work() as session:
            for event in session.scalars(select(Event)):
                event.at -= timedelta(**by)
                if event.kind == failing.KIND:
                    event.after = {**event.after, "until": (datetime.fromisoformat(event.after["until"]) - timedelta(**by)).isoformat()}

    def mailed():
        db.session.commit()
        return [(mail.subject, mail.body) for mail in db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id))]

    settings.put({"notify.recipients": ["desk@example.test"]}, actor=WHO)
    first, second = unknown_products(market, connected_account, 2)
    assert failing.warn(connected_account.id) == 0, "what somebody mends at once is not worth a mail"
    later(minutes=11)
    assert failing.warn(connected_account.id) == 2
    assert failing.warn(connected_account.id) == 0
    ((subject, body),) = mailed()
    assert subject == f"{connected_account.title}: 2 more orders need a person"
    assert "2 x No Magento product has the SKU 'BULK-000777'.\n    Map it to a Magento SKU" in body

    unknown_products(market, connected_account, 1)
    later(minutes=30)
    assert failing.warn(connected_account.id) == 0, "a mail an hour"
    later(minutes=40)
    assert failing.warn(connected_account.id) == 1, "only what is new counts; the groups hold all"
    assert "3 x No Magento product" in mailed()[1][1]

    third = unknown_products(market, connected_account, 1)[0]
    later(minutes=70)
    with unit_of_work():
        for order in (first, second, third):
            state.set_state(db.session.get_one(Order, order.id), "ready", reason="tests")
    assert failing.warn(connected_account.id) == 0, "solved meanwhile"
    assert len(mailed()) == 2

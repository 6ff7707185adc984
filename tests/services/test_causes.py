"""Fix once, heal all (product.md 12): failures grouped by cause, one fix retries every member as one run."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.order import FAILED, Order, SkuMapping
from connector.services.orders import causes, create, parcels, push, state
from tests.factories import shop
from tests.factories.parcels import Store, packages, parcel, place

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


@pytest.mark.parametrize("key", ["", "retry", "retry:x:y", "nonsense"])
def test_a_group_that_is_gone_is_said_plainly(app, key):
    with pytest.raises(DomainError, match="no such group"):
        causes.heal(key, actor=WHO)

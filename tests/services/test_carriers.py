"""Unknown carriers: parked, suggested, mapped once, all released (A113, A237; product.md 6 "Shipment push", 12 "Fix once, heal all")."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import ShopReference
from connector.models.order import Order
from connector.models.policy import Policy
from connector.services import policies
from connector.services.orders import carriers, parcels, providers, push
from tests.factories import shop
from tests.factories.parcels import packages, parcel, place, stored

pytestmark = pytest.mark.sqlite_only  # one small table, read and written whole


def parked(market, account, number: str, carrier: str = "Blue Dart"):
    """An order whose parcel waits for its carrier."""
    order = place(market, account)
    found = parcel(order, number, carrier=carrier)
    assert push.push(found).state == parcels.WAITING_CARRIER
    return order, found


def test_a_parcel_of_an_unknown_carrier_waits_and_says_so_on_its_order(account, market):
    order, number = parked(market, account, "BD0001")
    assert packages(market, order) == []
    assert stored(number).error_code == "carrier.unknown"
    flagged = db.session.get(Order, order.id)
    assert flagged.failure_code == "carrier.unknown"
    assert "Blue Dart" in flagged.failure_message
    assert parcels.submit_due(account.id) is None


def test_one_mapping_makes_a_policy_version_and_releases_every_parcel_that_waits_for_it(account, market):
    waiting = [parked(market, account, f"BD000{index}", carrier) for index, carrier in enumerate(("Blue Dart", "blue-dart", "BLUE DART"))]
    _, elsewhere = parked(market, account, "ZZ0001", "Zorp")
    before = policies.order_policy_row(account).version
    mapped = carriers.map_carrier(account.id, "Blue Dart", "dpd uk", actor="operator@example.test")
    assert (mapped.provider, mapped.released, len(mapped.run_ids)) == ("DPD UK", 3, 1)
    policy = db.session.scalars(select(Policy).where(Policy.kind == "order")).one()
    assert policy.version == before + 1
    assert policy.body["carrier_mapping"][-1] == {"magento_carrier": "Blue Dart", "tiktok_carrier": "DPD UK"}
    assert policies.versions(policy.id)[0].author == "operator@example.test"
    numbers = [order.number for order, _ in waiting]
    run = shop.carry_out(mapped.run_ids[0])
    assert (run.state, run.done) == ("succeeded", 3), run.message
    assert all(len(packages(market, number)) == 1 for number in numbers)
    assert {db.session.get(Order, order_id).failure_code for order_id in db.session.scalars(select(Order.id).where(Order.number.in_(numbers)))} == {None}
    assert stored(elsewhere).state == parcels.WAITING_CARRIER


def test_mapping_the_same_carrier_again_replaces_its_row(account, market):
    place(market, account)
    providers.providers_for(account.id, market.order(place(market, account).number)["delivery_option_id"])
    carriers.map_carrier(account.id, "Blue Dart", "DPD UK", actor="operator@example.test")
    carriers.map_carrier(account.id, "blue dart", "Evri", actor="operator@example.test")
    rows = policies.order_policy_row(account).body["carrier_mapping"]
    assert [row["tiktok_carrier"] for row in rows if row["magento_carrier"].casefold() == "blue dart"] == ["Evri"]


def test_a_carrier_that_tiktok_does_not_offer_is_refused_with_the_list(account, market):
    parked(market, account, "BD0001")
    with pytest.raises(DomainError, match="Ninja Van") as refused:
        carriers.map_carrier(account.id, "Blue Dart", "Ninja Van", actor="operator@example.test")
    assert "DPD UK" in refused.value.remedy
    assert refused.value.field == "tiktok_carrier"


def test_a_policy_row_that_names_a_carrier_tiktok_no_longer_offers_parks_the_parcel(account, market):
    shop.change_policy(account, carrier_mapping=[{"magento_carrier": "Delivery", "tiktok_carrier": "Pigeon Post"}])
    order = place(market, account)
    number = parcel(order, "PP0001", carrier="Delivery")
    outcome = push.push(number)
    assert (outcome.state, outcome.code) == (parcels.WAITING_CARRIER, "carrier.not_offered")
    assert "Royal Mail" in outcome.remedy


def test_waiting_carriers_are_listed_by_deadline_with_suggestions(account, market):
    parked(market, account, "BD0001", "DPD Classic")
    parked(market, account, "BD0002", "DPD Classic")
    parked(market, account, "BD0003", "Zorp")
    listed = {one.carrier: one for one in carriers.waiting()}
    assert (listed["DPD Classic"].parcels, listed["Zorp"].parcels) == (2, 1)
    assert listed["DPD Classic"].suggestions[0].provider == "DPD UK"
    assert listed["Zorp"].suggestions == ()
    assert listed["Zorp"].ship_by_at is not None


def test_what_was_accepted_before_is_suggested_first(account, market):
    parked(market, account, "BD0001", "Zorp Express")
    mapped = carriers.map_carrier(account.id, "Zorp Express", "Yodel", actor="operator@example.test")
    shop.carry_out(mapped.run_ids[0])
    (best, *_) = carriers.suggestions(account.id, "ZORP express")
    assert best.provider == "Yodel"
    assert best.confidence > 0.9
    assert "earlier parcels" in best.why


def test_providers_are_read_from_tiktok_once_a_day(account, market):
    option = market.order(place(market, account).number)["delivery_option_id"]

    def reads() -> int:
        return market.get("calls")["operations"].get("shipping_providers.list", {"count": 0})["count"]

    before = reads()
    names = [one.name for one in providers.providers_for(account.id, option)]
    providers.providers_for(account.id, option)
    assert reads() == before + 1
    assert "Royal Mail" in names
    old = utcnow() - timedelta(days=2)
    with unit_of_work() as session:
        session.execute(update(ShopReference).where(ShopReference.parent_id == option).values(fetched_at=old))
        session.add(ShopReference(account_id=account.id, kind="shipping_provider", parent_id=option, remote_id="1", name="Gone", fetched_at=old))
    assert "Gone" not in [one.name for one in providers.providers_for(account.id, option)]
    assert reads() == before + 2
    assert "Gone" not in [one.name for one in providers.known_providers(account.id, option)]

"""Stock and prices sent to the practice marketplace over real HTTP (TTS §5.3.15-§5.3.17, §6.7; A157, A172, A173)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain.policies import InventoryPolicy, SynchronizationPolicy
from connector.models.account import Account, ShopReference
from connector.models.listing import Listing, ListingSku, ListingTemplate
from connector.models.product import Product
from connector.models.run import JobItem, JobRun
from connector.services import runs
from connector.services.products import due, evaluate, price_push, stock_push, stock_terms
from tests.factories import shop
from tests.factories.catalogue import a_magento, a_policy, a_product, a_template, stock
from tests.factories.market import listed


class Shelf:
    """Bulk articles that stand on the practice marketplace and in our database."""

    def __init__(self, market: shop.Market, account: Account, count: int, *, quantity: int = 20, warehouses: int = 1) -> None:
        self.market, self.account = market, account
        self.magento = a_magento()
        with unit_of_work() as session:
            account = session.merge(account)
            account.magento_id, account.store_view = self.magento.id, "default"
            for place in market.get("app")["shops"]:
                if place["region"] == "GB":
                    self.shop_id = place["id"]
        market.post("catalogue/seed", shop="GB", products=count, bulk=True, stock=quantity, warehouses=warehouses)
        shown = market.get("listings", shop="GB", limit=10_000)["listings"]
        places = sorted({each["warehouse_id"] for one in shown for sku in one["skus"] for each in sku["stock"]})
        with unit_of_work() as session:
            for number, place in enumerate(places):
                data = {"id": place, "type": "SALES_WAREHOUSE", "is_default": number == 0}
                session.add(ShopReference(account_id=account.id, kind="warehouse", remote_id=place, name=place, data=data))
        skus = [(sku["seller_sku"], sku["price"]["amount"]) for one in shown for sku in one["skus"]]
        self.products: dict[str, Product] = {sku: a_product(self.magento.id, sku, quantity=quantity, price=price) for sku, price in skus}
        self.template: ListingTemplate = a_template(account, inventory=InventoryPolicy())
        self.listings = listed(market, account, self.products, self.template)
        self.forget_calls()

    def change(self, quantities: Iterable[int]) -> None:
        """Magento's stock is read with these figures, one a product, and the listings are evaluated."""
        for product, quantity in zip(self.products.values(), quantities, strict=False):
            stock(product, quantity)
        evaluate.evaluate([each.id for each in self.listings], reason="Magento stock changed")

    def forget_calls(self) -> None:
        self.market.delete("calls")

    def calls(self, operation: str) -> int:
        found: int = self.market.get("calls")["operations"].get(operation, {"count": 0})["count"]
        return found

    def shown(self) -> dict[str, Any]:
        return {sku["seller_sku"]: sku for one in self.market.get("listings", shop="GB", limit=10_000)["listings"] for sku in one["skus"]}

    def sku(self, name: str) -> ListingSku:
        return db.session.scalars(select(ListingSku).where(ListingSku.seller_sku == name).execution_options(populate_existing=True)).one()


@pytest.fixture
def shelf(app: Flask, market: shop.Market, account: Account) -> Shelf:
    return Shelf(market, account, 5, warehouses=2)


def test_only_skus_that_differ_are_sent_each_with_every_warehouse_and_read_back(shelf: Shelf) -> None:
    shelf.change([30, 40, 40, 40, 12])  # 40 is what both warehouses together offer already, but in the other places
    pushed = stock_push.push_many(shelf.account.id, [each.id for each in shelf.listings])
    assert shelf.calls("inventory.update") == 5 and shelf.calls("inventory.search") == 2, "one reading before and one after, for all products together"
    names = list(shelf.products)
    shown = shelf.shown()
    for name, quantity in zip(names, [30, 40, 40, 40, 12], strict=True):
        assert [place["available"] for place in shown[name]["stock"]] == [quantity, 0], "every warehouse is in the update, the unused one with 0"
        ours = shelf.sku(name)
        assert (ours.live_quantity, ours.stock_due, ours.stock_falls) == (quantity, False, False) and ours.stock_verified_at
    assert all(one.sent == 1 and not one.refused for one in pushed.values())
    shelf.forget_calls()
    shelf.change([29, 40, 40, 40, 12])
    again = stock_push.push_many(shelf.account.id, [each.id for each in shelf.listings])
    assert shelf.calls("inventory.update") == 1 and sum(one.sent for one in again.values()) == 1


def test_an_order_that_we_do_not_know_yet_counts_as_open_and_an_import_is_asked_for(shelf: Shelf) -> None:
    name = next(iter(shelf.products))
    shelf.market.post("orders", shop="GB", lines=[{"sku": name, "quantity": 3}])
    shelf.change([30, 40, 40, 40, 40])
    stock_push.push(shelf.listings[0].id)
    assert (shelf.shown()[name]["available"], shelf.shown()[name]["committed"]) == (27, 3)
    ours = shelf.sku(name)
    assert (ours.wanted_quantity, ours.live_quantity, ours.live_committed) == (27, 27, 3)
    assert [term["change"] for term in ours.stock_terms if term["key"] == stock_terms.UNKNOWN] == [-3]
    shop.perform("orders.import", shelf.account.id)
    with unit_of_work() as session:
        session.execute(update(Listing).values(due_at=utcnow()))
    evaluate.evaluate([shelf.listings[0].id])
    ours = shelf.sku(name)
    assert ours.wanted_quantity == 27 and not ours.stock_due, "the same units, now as an order that we know"
    assert [term["change"] for term in ours.stock_terms if term["key"] == "open"] == [-3]


def test_an_order_that_slips_in_between_reading_and_writing_is_seen_and_taken_off_at_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """TikTok's absolute figure overwrites what a buyer took a moment ago; the committed units show it (TTS §5.3.15)."""
    from connector.clients.tiktok import TikTokClient

    name = next(iter(shelf.products))
    real, slipped = TikTokClient.update_inventory, []

    def late(self: TikTokClient, *args: Any, **rest: Any) -> Any:
        if not slipped:
            slipped.append(shelf.market.post("orders", shop="GB", lines=[{"sku": name, "quantity": 2}]))
        return real(self, *args, **rest)

    monkeypatch.setattr(TikTokClient, "update_inventory", late)  # the real call, with a buyer's real order right before it
    shelf.change([30])
    pushed = stock_push.push(shelf.listings[0].id)
    assert pushed.slipped == 2
    assert (shelf.shown()[name]["available"], shelf.shown()[name]["committed"]) == (28, 2)
    assert shelf.calls("inventory.update") == 3, "as it was read, then carefully, then exactly"
    asked = db.session.scalars(select(JobRun).where(JobRun.kind == "orders.import")).all()
    assert len(asked) == 1, "the order is fetched soon"


def test_lost_answers_and_server_errors_are_settled_by_the_reading_back(shelf: Shelf) -> None:
    shelf.change([30, 31, 32, 33, 34])
    shelf.market.post("faults", kind="lost_answer", operation="inventory.update", times=2)
    shelf.market.post("faults", kind="server_error", operation="inventory.update", times=1)
    pushed = stock_push.push_many(shelf.account.id, [each.id for each in shelf.listings])
    assert [shelf.shown()[name]["available"] for name in shelf.products] == [30, 31, 32, 33, 34]
    assert all(one.left == 0 for one in pushed.values())
    assert not db.session.scalars(select(ListingSku).where(ListingSku.stock_due)).all()


def test_a_refused_sku_is_told_and_its_neighbours_go_on(shelf: Shelf) -> None:
    shelf.change([30, 31, 32, 33, 34])
    with unit_of_work() as session:
        session.execute(update(Listing).where(Listing.id == shelf.listings[1].id).values(tiktok_id="1729000000000000001"))
        session.execute(update(ListingSku).where(ListingSku.listing_id == shelf.listings[1].id).values(stock_due=True))
    pushed = stock_push.push_many(shelf.account.id, [each.id for each in shelf.listings])
    refused = [one for one in pushed.values() if one.refused]
    assert [one.listing_id for one in refused] == [shelf.listings[1].id]
    with pytest.raises(DomainError) as error:
        refused[0].raise_refusal()
    assert error.value.code == "tts.product.not_found" and error.value.remedy
    row = shelf.sku(list(shelf.products)[1])
    assert row.stock_refused_code == "tts.product.not_found" and row.stock_due
    assert [shelf.shown()[name]["available"] for name in list(shelf.products)[2:]] == [32, 33, 34]
    assert shelf.listings[1].id not in stock_push.due_listings(shelf.account.id, falling=True), "not again every few seconds"
    db.session.refresh(shelf.listings[1])
    assert shelf.listings[1].status_due


def test_warehouses_that_changed_on_tiktok_are_read_again(shelf: Shelf) -> None:
    """12019022, 12019024, 12019027: the list of warehouses must be TikTok's present one."""
    with unit_of_work() as session:
        session.execute(update(ListingSku).values(live_warehouses={"gone": 40}))
    shelf.change([30, 31, 32, 33, 34])
    pushed = stock_push.push_many(shelf.account.id, [each.id for each in shelf.listings])
    assert not any(one.refused for one in pushed.values())
    shelf.change([7, 7, 7, 7, 7])
    shelf.market.post("faults", kind="refusal", operation="inventory.update", code=12019024, message="warehouse list", times=1)
    pushed = stock_push.push_many(shelf.account.id, [each.id for each in shelf.listings])
    assert not any(one.refused for one in pushed.values()) and {shelf.shown()[name]["available"] for name in shelf.products} == {7}


def test_one_writer_at_a_time_and_none_for_a_disabled_account(shelf: Shelf) -> None:
    shelf.change([30])
    with unit_of_work() as session:
        session.execute(update(Listing).where(Listing.id == shelf.listings[0].id).values(busy_until=utcnow() + timedelta(seconds=60)))
    with pytest.raises(api.Unavailable) as busy:
        stock_push.push(shelf.listings[0].id)
    assert busy.value.code == "listing.busy" and shelf.calls("inventory.update") == 0
    with unit_of_work() as session:
        session.execute(update(Listing).values(busy_until=utcnow() - timedelta(seconds=1)))
    assert stock_push.push(shelf.listings[0].id).sent == 1
    with unit_of_work() as session:
        session.merge(shelf.account).active = False
    with pytest.raises(DomainError):
        stock_push.push(shelf.listings[1].id)


def test_a_promotion_holds_a_price_until_later_and_the_others_are_sent_and_read_back(shelf: Shelf) -> None:
    names = list(shelf.products)
    with unit_of_work() as session:
        for number, name in enumerate(names):
            product = session.get(Product, shelf.products[name].id)
            assert product is not None
            product.price = Decimal(10 + number)
    shelf.market.post(f"listings/{shelf.listings[0].tiktok_id}", promotion_lock=True)
    pushed = price_push.push_many(shelf.account.id, [each.id for each in shelf.listings])
    assert shelf.calls("prices.update") == 5
    assert pushed[shelf.listings[0].id].locked and shelf.sku(names[0]).price_retry_at is not None
    assert [Decimal(shelf.shown()[name]["price"]["amount"]) for name in names[1:]] == [11, 12, 13, 14]
    assert [shelf.sku(name).live_price for name in names[1:]] == [11, 12, 13, 14]
    assert price_push.due_listings(shelf.account.id) == []
    shelf.forget_calls()
    price_push.push_many(shelf.account.id, [each.id for each in shelf.listings])
    assert shelf.calls("prices.update") == 0, "nothing differs but the price that waits"
    shelf.market.post(f"listings/{shelf.listings[0].tiktok_id}", promotion_lock=False)
    with unit_of_work() as session:
        session.execute(update(ListingSku).values(price_retry_at=utcnow() - timedelta(seconds=1)).where(ListingSku.price_retry_at.is_not(None)))
    assert price_push.due_listings(shelf.account.id) == [shelf.listings[0].id]
    assert price_push.push(shelf.listings[0].id).verified == 1 and shelf.sku(names[0]).live_price == 10
    with unit_of_work() as session:
        session.execute(update(Listing).where(Listing.id == shelf.listings[1].id).values(remote_status="SELLER_DEACTIVATED"))
    with pytest.raises(DomainError) as refused:
        price_push.push(shelf.listings[1].id)
    assert refused.value.code == "listing.not_live"


def test_falling_stock_overtakes_through_the_jobs_and_rises_follow_the_policy(app: Flask, market: shop.Market, account: Account) -> None:
    """Evaluation submits the falls at once; a template that is switched off and a policy that is off keep back rises, never falls."""
    shelf = Shelf(market, account, 5, quantity=40)
    off = a_policy("synchronization", SynchronizationPolicy(inventory_price_sync="off"))
    with unit_of_work() as session:
        session.merge(shelf.account).sync_policy_id = off.id
        session.merge(shelf.template).enabled = False
    for product, quantity in zip(shelf.products.values(), [5, 60, 6, 61, 40], strict=True):
        stock(product, quantity)
    due.mark(reason="Magento stock changed", content=False, product_ids=[each.id for each in shelf.products.values()])
    with unit_of_work() as session:
        session.execute(update(Listing).values(due_at=utcnow()))
    worked = shop.perform("products.evaluate", shelf.account.id)
    assert worked.result["looked_at"] == 5
    down = db.session.scalars(select(JobRun).where(JobRun.kind == "products.stock_down")).one()
    assert down.queue == "actions"
    shop.carry_out(down.id)
    totals = [shelf.shown()[name]["available"] for name in shelf.products]
    assert totals[0] == 5 and totals[2] == 6
    scheduled = shop.perform("products.sync", shelf.account.id, started_by="scheduler")
    assert scheduled.state == "succeeded", scheduled.message
    assert [shelf.shown()[name]["available"] for name in shelf.products][1] == totals[1], "a rise waits for the policy"
    by_hand = shop.perform("products.sync", shelf.account.id, items=[(str(each.id), f"product {each.id}") for each in shelf.listings], started_by="a@b.test")
    assert by_hand.state == "succeeded" and by_hand.done == 5
    assert [shelf.shown()[name]["available"] for name in shelf.products] == [5, 60, 6, 61, 40]
    said = db.session.scalars(select(JobItem.message).where(JobItem.run_id == by_hand.id).order_by(JobItem.id)).all()
    assert "sent and read back" in said[1]
    assert runs.get(by_hand.id).failed == 0

"""Prices and stock of listings worked out from what is stored (product.md 4; A080-A098, A153-A156)."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import event, func, select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.domain.policies import InventoryPolicy, PricingPolicy, SourceRow, SynchronizationPolicy
from connector.models.account import Account, MagentoConnection
from connector.models.listing import Listing, ListingSku, StockEntry
from connector.models.policy import Policy
from connector.models.product import Product, ProductStock
from connector.services import policies
from connector.services.orders import reservations
from connector.services.products import due, evaluate, stock_terms
from tests.factories.catalogue import a_configurable, a_listing, a_magento, a_policy, a_product, a_template, stock
from tests.factories.market import an_account, an_order, created_in_magento
from tests.factories.racing import queue, start
from tests.factories.waiting import until


@pytest.fixture
def magento(app: Flask) -> MagentoConnection:
    return a_magento()


@pytest.fixture
def account(magento: MagentoConnection) -> Account:
    return an_account(magento)


def the_sku(listing: Listing, seller_sku: str = "") -> ListingSku:
    query = select(ListingSku).where(ListingSku.listing_id == listing.id).order_by(ListingSku.position)
    found = db.session.scalars(query.where(ListingSku.seller_sku == seller_sku) if seller_sku else query).first()
    assert found is not None
    db.session.refresh(found)
    return found


def again(listing: Listing) -> Listing:
    db.session.refresh(listing)
    return listing


def work_out(*listings: Listing, **more: object) -> evaluate.Evaluated:
    return evaluate.evaluate([each.id for each in listings], reason="test", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "held", "sent"),
    [
        (InventoryPolicy(threshold_buffer=5), 28, 23),
        (InventoryPolicy(threshold_buffer=5), 18, 13),
        *[(InventoryPolicy(use_threshold=True, threshold_value=10, greater_quantity=20, lesser_quantity=2), held, sent) for held, sent in ((100, 20), (10, 10), (9, 2), (1, 1))],
    ],
)  # fmt: skip
@pytest.mark.sqlite_only  # the formula knows no database
def test_the_worked_rows_of_the_inventory_formula_hold_on_stored_products(
    account: Account, magento: MagentoConnection, policy: InventoryPolicy, held: int, sent: int
) -> None:
    listing = a_listing(account, a_product(magento.id, "TEE-1", quantity=held), a_template(account, inventory=policy))
    work_out(listing)
    sku = the_sku(listing)
    assert (sku.wanted_quantity, sku.wanted_warehouses) == (sent, {"w-main": sent})
    assert sum(term["change"] for term in sku.stock_terms) == sent


def test_a_simple_product_gets_its_sku_price_stock_ledger_and_versions_and_nothing_is_written_twice(account: Account, magento: MagentoConnection) -> None:
    """A094-A098, A172, A173: in one go; the next evaluation finds nothing to write."""
    template = a_template(account, pricing=PricingPolicy(change="increase_percent", change_amount=Decimal(10), conversion_rate=Decimal("0.8")))
    product = a_product(magento.id, "TEE-1", quantity=28, price="19.50")
    with unit_of_work() as session:
        listing = Listing(account_id=account.id, product_id=product.id, template_id=template.id, due_at=utcnow(), due_reason="imported")
        session.add(listing)
    assert evaluate.due_listings(account.id) == [listing.id]
    found = work_out(listing)
    assert (found.looked_at, found.changed, found.parked) == (1, 1, 0)
    sku = the_sku(listing)
    assert (sku.seller_sku, sku.wanted_price, sku.currency, sku.wanted_quantity) == ("TEE-1", Decimal("17.16"), "GBP", 28)
    assert [step["key"] for step in sku.price_steps][:3] == ["base", "change", "conversion"]
    assert set(sku.policy_versions) == {"inventory", "pricing"}
    assert not sku.stock_due and not sku.price_due, "TikTok does not have it yet"
    entry = db.session.scalars(select(StockEntry)).one()
    assert (entry.term, entry.change, entry.balance, entry.reason) == ("item", 28, 28, "imported")
    assert evaluate.due_listings(account.id) == [] and again(listing).due_at is None
    writes: list[str] = []
    event.listen(
        db.engine, "before_cursor_execute", lambda conn, cur, sql, *rest: writes.append(sql) if sql.split()[0] in ("UPDATE", "INSERT", "DELETE") else None
    )
    assert work_out(listing).changed == 0
    assert writes == []


def test_units_of_orders_of_every_account_under_any_name_count_until_magento_has_taken_them_off(account: Account, magento: MagentoConnection) -> None:
    """A246 and TTS §6.7: held, handed over, settled by a reading that began afterwards; the entries always add up."""
    other = an_account(magento, "Shop_US", country="US")
    product = a_product(magento.id, "TEE-1", quantity=20)
    template = a_template(account)
    mine, theirs = a_listing(account, product, template), a_listing(other, product, a_template(other))
    with unit_of_work() as session:
        session.execute(update(ListingSku).where(ListingSku.listing_id == theirs.id).values(seller_sku="us-tee", seller_sku_key="us-tee", tiktok_sku_id="1"))
    work_out(mine, theirs)
    first = an_order(account, {"tee-1": 2})  # case differs
    second = an_order(other, {"US-TEE": 3}, status="ON_HOLD")
    an_order(other, {"tee-1": 1}, status="CANCELLED")
    assert {again(mine).due_reason, again(theirs).due_reason} == {"TikTok orders"}, "marked in the transaction that stores the order"
    work_out(mine, theirs)
    assert (the_sku(mine).wanted_quantity, the_sku(theirs).wanted_quantity) == (15, 15)
    created_in_magento(first)
    work_out(mine)
    assert the_sku(mine).wanted_quantity == 15, "Magento's figure is older than the order's creation there"
    assert [term["change"] for term in the_sku(mine).stock_terms if term["key"] == stock_terms.HANDED_OVER] == [-2]
    assert again(mine).due_at is not None, "it is looked at again by itself"
    stock(product, 18)
    work_out(mine)
    assert the_sku(mine).wanted_quantity == 15
    with unit_of_work():
        reservations.release(second.id, "cancelled")
    assert again(mine).due_reason
    work_out(mine)
    assert the_sku(mine).wanted_quantity == 18
    total = db.session.scalar(select(func.sum(StockEntry.change)).where(StockEntry.listing_sku_id == the_sku(mine).id))
    assert total == 18


def test_a_configurables_variants_come_in_axis_order_and_go_with_their_children(account: Account, magento: MagentoConnection) -> None:
    variants = ({"color": "Red", "size": "S"}, {"color": "Black", "size": "M"}, {"color": "Black", "size": "S"})
    parent, children = a_configurable(magento.id, "HOOD", variants)
    template = a_template(account)
    with unit_of_work() as session:
        listing = Listing(account_id=account.id, product_id=parent.id, template_id=template.id)
        session.add(listing)
    work_out(listing)
    names = select(ListingSku.seller_sku).where(ListingSku.listing_id == listing.id).order_by(ListingSku.position)
    assert db.session.scalars(names).all() == ["HOOD-BLACK-S", "HOOD-BLACK-M", "HOOD-RED-S"]
    with unit_of_work() as session:
        live = the_sku(listing, "HOOD-RED-S")
        session.execute(update(Listing).where(Listing.id == listing.id).values(tiktok_id="1", remote_status="ACTIVATE"))
        session.execute(update(ListingSku).where(ListingSku.id == live.id).values(tiktok_sku_id="77", live_quantity=10, live_warehouses={"w-second": 10}))
        session.execute(update(Product).where(Product.id == children[1].id).values(status=2))
        session.execute(update(Product).where(Product.id == parent.id).values(child_ids=[children[1].entity_id]))
    found = work_out(listing)
    assert db.session.scalars(names).all() == ["HOOD-BLACK-M", "HOOD-RED-S"], "TikTok never had the black one; what it has stays until it is removed there"
    disabled, removed = the_sku(listing, "HOOD-BLACK-M"), the_sku(listing, "HOOD-RED-S")
    assert disabled.wanted_quantity == 0 and disabled.stock_terms[-1]["words"] == "HOOD-BLACK-M is disabled in Magento."
    assert removed.wanted_warehouses == {"w-second": 0} and removed.stock_falls and found.falls == (listing.id,)
    assert removed.stock_terms[-1]["words"] == "HOOD-RED-S is not a variant of HOOD any more."


def test_a_seller_sku_that_another_listing_holds_in_other_case_parks_the_second_and_names_the_first(account: Account, magento: MagentoConnection) -> None:
    template = a_template(account, options={"seller_sku_attribute": "tiktok_sku"})
    one = a_product(magento.id, "TEE-1", values={"tiktok_sku": "Same-1"})
    two = a_product(magento.id, "TEE-2", values={"tiktok_sku": "SAME-1"})
    three = a_product(magento.id, "TEE-3")
    with unit_of_work() as session:
        listings = [Listing(account_id=account.id, product_id=each.id, template_id=template.id) for each in (one, two, three)]
        session.add_all(listings)
    assert work_out(*listings).parked == 2
    assert the_sku(listings[0]).seller_sku == "Same-1"
    parked = again(listings[1])
    assert parked.failure_code == "evaluation.seller_sku_taken"
    assert "SAME-1 is taken by Tee-1 (TEE-1)" in parked.failure_message and parked.failure_remedy
    assert again(listings[2]).failure_code == "evaluation.seller_sku_missing"
    with unit_of_work() as session:
        row = session.get(Product, two.id)
        assert row is not None
        row.data = {**row.data, "values": {**row.data["values"], "tiktok_sku": "OTHER-1"}}
        due.mark(reason="Magento product changed", content=True, product_ids=[two.id])
    work_out(listings[1])
    assert again(listings[1]).failure_code is None and the_sku(listings[1]).seller_sku == "OTHER-1"


def test_sources_are_mapped_to_warehouses_and_every_warehouse_that_tiktok_has_is_named(account: Account, magento: MagentoConnection) -> None:
    policy = InventoryPolicy(
        use_msi=True,
        threshold_buffer=3,
        sources=(SourceRow(source_code="wh_main", warehouse_id="w-main"), SourceRow(source_code="wh_second", warehouse_id="w-second")),
    )
    product = a_product(magento.id, "TEE-1")
    stock(product, 27, sources={"wh_main": 20, "wh_second": 10, "elsewhere": 0})
    listing = a_listing(account, product, a_template(account, inventory=policy), tiktok_id="1", remote_status="ACTIVATE",
                        sku={"tiktok_sku_id": "7", "live_quantity": 30, "live_warehouses": {"w-main": 10, "w-second": 10, "w-third": 10}})  # fmt: skip
    work_out(listing)
    sku = the_sku(listing)
    assert sku.wanted_warehouses == {"w-main": 16, "w-second": 8, "w-third": 0} and sku.wanted_quantity == 24
    assert sku.stock_due and sku.stock_falls, "one warehouse offers too much although the whole rises"


def test_a_blocked_price_is_not_sent_and_the_end_of_a_special_price_brings_the_listing_back(account: Account, magento: MagentoConnection) -> None:
    soon = utcnow() + timedelta(days=1)
    special = {"special_price": "9.00", "special_from_date": "2020-01-01 00:00:00", "special_to_date": f"{soon:%Y-%m-%d} 00:00:00"}
    product = a_product(magento.id, "TEE-1", price="20.00", values=special)
    on_tiktok = {"tiktok_sku_id": "7", "live_quantity": 10, "live_warehouses": {"w-main": 10}, "live_price": Decimal(20)}
    template = a_template(account, pricing=PricingPolicy(minimum_price=Decimal(10)))
    listing = a_listing(account, product, template, tiktok_id="1", remote_status="ACTIVATE", sku=on_tiktok)
    work_out(listing)
    sku = the_sku(listing)
    assert sku.wanted_price is None and not sku.price_due
    assert "below the minimum price" in sku.price_block and sku.price_block_remedy
    assert again(listing).due_at == sku.price_changes_at and sku.price_changes_at is not None and sku.price_changes_at > utcnow()
    row = db.session.get(Policy, template.pricing_policy_id)
    assert row is not None
    policies.save(row.id, title=row.title, body=PricingPolicy(), actor="tests")
    due.mark(reason="policy saved", content=False, template_ids=[template.id])
    assert again(listing).due_at is not None and again(listing).due_at < sku.price_changes_at, "a change is not put off until the special price ends"  # type: ignore[operator]
    work_out(listing)
    assert (the_sku(listing).wanted_price, the_sku(listing).price_due) == (Decimal(9), True)


def test_without_a_valid_policy_the_listing_is_parked_and_its_stock_can_only_fall(account: Account, magento: MagentoConnection) -> None:
    invalid = a_policy("inventory", InventoryPolicy(use_threshold=True))
    template = a_template(account, inventory=InventoryPolicy())
    with unit_of_work() as session:
        template = session.merge(template)
        template.inventory_policy_id = invalid.id
    product = a_product(magento.id, "TEE-1", quantity=50)
    listing = a_listing(
        account, product, template, tiktok_id="1", remote_status="ACTIVATE", sku={"tiktok_sku_id": "7", "live_quantity": 10, "live_warehouses": {"w-main": 10}}
    )
    work_out(listing)
    parked = again(listing)
    assert parked.failure_code == "evaluation.inventory_policy" and "Threshold Value is empty" in parked.failure_message
    assert the_sku(listing).wanted_quantity == 10 and not the_sku(listing).stock_due
    stock(product, 4)
    assert work_out(listing).falls == (listing.id,)
    assert the_sku(listing).wanted_quantity == 4
    with unit_of_work() as session:
        session.execute(update(Listing).where(Listing.id == listing.id).values(template_id=None))
        session.execute(update(ProductStock).values(quantity=3))
    work_out(listing)
    assert again(listing).failure_code == "evaluation.no_template" and the_sku(listing).wanted_quantity == 3


def test_an_account_without_warehouse_and_stock_that_was_never_read_are_told_apart(account: Account, magento: MagentoConnection) -> None:
    bare = an_account(magento, "Bare", warehouses=())
    product = a_product(magento.id, "TEE-1")
    one = a_listing(bare, product, a_template(bare))
    unread = a_product(magento.id, "TEE-2")
    with unit_of_work() as session:
        session.delete(session.scalars(select(ProductStock).where(ProductStock.product_id == unread.id)).one())
    two = a_listing(
        account,
        unread,
        a_template(account),
        tiktok_id="1",
        remote_status="ACTIVATE",
        sku={"tiktok_sku_id": "7", "live_quantity": 10, "live_warehouses": {"w-main": 10}},
    )
    work_out(one, two)
    assert again(one).failure_code == "evaluation.no_warehouse" and "Fetch Onboarding Data" in again(one).failure_remedy
    assert again(two).failure_code == "evaluation.stock_unread" and "TEE-2" in again(two).failure_message
    assert the_sku(two).wanted_quantity is None and the_sku(two).price_due, "the price needs no stock"


@pytest.mark.sqlite_only  # the switch is read in the same way everywhere
def test_products_without_stock_keep_their_price_on_tiktok_when_the_policy_skips_them_but_still_fall(account: Account, magento: MagentoConnection) -> None:
    """A077: No = skip; the fall to zero is sent all the same."""
    policy = a_policy("synchronization", SynchronizationPolicy(sync_out_of_stock=False))
    with unit_of_work() as session:
        session.merge(account).sync_policy_id = policy.id
    on_tiktok = {"tiktok_sku_id": "7", "live_quantity": 1, "live_warehouses": {"w-main": 1}, "live_price": Decimal(5)}
    listing = a_listing(account, a_product(magento.id, "TEE-1", quantity=0), a_template(account), tiktok_id="1", remote_status="ACTIVATE", sku=on_tiktok)
    work_out(listing)
    assert not the_sku(listing).price_due and the_sku(listing).stock_falls


def test_many_listings_cost_as_few_queries_as_one_and_many_changes_are_one_evaluation(
    account: Account, magento: MagentoConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "DEBOUNCE", timedelta(hours=1))
    template = a_template(account)
    listings = [a_listing(account, a_product(magento.id, f"TEE-{number}", quantity=number), template) for number in range(1, 41)]
    counts: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda conn, cur, sql, *rest: counts.append(sql))
    for _ in range(3):
        due.mark(reason="Magento stock changed", content=False, product_ids=[each.product_id for each in listings])
    assert again(listings[0]).due_at > utcnow(), "debounced"  # type: ignore[operator]
    assert evaluate.due_listings(account.id) == []
    with unit_of_work() as session:
        session.execute(update(Listing).values(due_at=utcnow()))
    counts.clear()
    work_out(listings[0])
    one = len(counts)
    counts.clear()
    work_out(*listings[1:])
    assert len(counts) <= one + 2
    assert sum(the_sku(each).wanted_quantity or 0 for each in listings) == sum(range(1, 41))


def test_a_change_that_is_being_written_while_its_listing_is_evaluated_is_never_lost(app: Flask, account: Account, magento: MagentoConnection) -> None:
    """The listing is due already, so that the second change leaves no new mark; the evaluation has to wait for it, or the listing has to stay due."""
    listing = a_listing(account, a_product(magento.id, "TEE-1"), a_template(account), due_at=utcnow(), due_reason="earlier")
    written, writers = threading.Event(), []

    with queue() as somebody_waits:

        def write_and_stay() -> None:
            with unit_of_work():
                an_order(account, {"TEE-1": 2})
                written.set()
                until(somebody_waits, "the evaluation that waits for the change")

        first = start(app, write_and_stay)
        assert written.wait(60)
        work_out(listing)
        first.result()
    assert the_sku(listing).wanted_quantity == 8, "it waited for the transaction that had marked it"

    def write() -> None:
        with unit_of_work():
            an_order(account, {"TEE-1": 2})

    with queue() as somebody_waits:

        def meanwhile(session: object) -> None:
            writers.append(start(app, write))
            until(lambda: writers[-1].done() or somebody_waits(), "a change in the middle of the evaluation")

        for _ in range(3):
            work_out(listing, guard=meanwhile)
        for each in writers:
            each.result()
    assert the_sku(listing).wanted_quantity == 2 or again(listing).due_at is not None
    work_out(listing)
    assert the_sku(listing).wanted_quantity == 2

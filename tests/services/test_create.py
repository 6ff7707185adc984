"""Creating TikTok orders in Magento against the practice servers (product.md 6; A101-A115, A182, A204, A205; MAG §4.4)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.models.account import Account
from connector.models.order import MagentoCustomer, MagentoOrderIntent, Order, OrderPayload
from connector.models.run import JobItem
from connector.models.trace import Decision, Event
from connector.practice.serve import PracticeServer
from connector.services import connections
from connector.services.orders import create, reservations
from tests.factories.creation import Store, complete, created, fresh, in_store, refused
from tests.factories.parcels import place
from tests.factories.racing import race, start
from tests.factories.shop import Market


@pytest.fixture
def account(connected_account: Account) -> Account:
    return complete(connected_account)


def move(order: Order, **changes: Any) -> None:
    """Change the address that TikTok is said to have sent; None takes a part away."""
    with unit_of_work() as session:
        payload, row = session.get(OrderPayload, order.id), session.get(Order, order.id)
        assert payload is not None
        assert row is not None
        payload.address = {**(payload.address or payload.body["recipient_address"]), **changes}
        row.address_masked = "*" in str(payload.address)


# --- the result ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_an_order_becomes_one_invoiced_magento_order_with_tiktoks_amounts(market: Market, store: Store, account: Account) -> None:
    order = created(place(market, account, ("MUG-01", 2), ("TEE-BLA-S", 1)))
    (there,) = store.orders_of(order)
    assert (str(there["entity_id"]), there["increment_id"]) == (order.magento_id, order.magento_number)
    magento = in_store(order)
    assert magento["grand_total"] == order.total == magento["total_paid"]
    assert (magento["order_currency_code"], magento["base_currency_code"], D(str(magento["base_to_order_rate"]))) == ("GBP", "USD", D("0.8"))
    assert (order.total_base, order.base_currency) == (D(str(magento["base_grand_total"])), "USD")
    assert abs(order.total_base * D("0.8") - order.total) < D("0.05")
    assert (order.magento_state, order.magento_status, order.invoiced) == ("processing", "processing", True) == (magento["state"], magento["status"], True)
    assert {item["sku"]: item["qty_ordered"] for item in magento["items"]} == {"MUG-01": 2, "TEE-BLA-S": 1}
    items = {item["sku"]: str(item["item_id"]) for item in magento["items"]}
    assert sorted((line.magento_sku, line.magento_item_id) for line in order.lines) == sorted((sku, items[sku]) for sku in ("MUG-01", "MUG-01", "TEE-BLA-S"))
    mug = next(item for item in magento["items"] if item["sku"] == "MUG-01")
    assert set(mug["ext_order_item_id"].split(",")) == {line.line_id for line in order.lines if line.seller_sku == "MUG-01"}
    assert store.get("ledger")["balanced"]
    assert (store.reserved("MUG-01")["open"], store.reserved("MUG-01")["reservations"]) == (2, -2)
    assert reservations.open_units() == {}


def test_the_trace_names_every_check_the_policy_version_and_the_account(market: Market, store: Store, account: Account) -> None:
    order = created(place(market, account))
    decision = db.session.scalars(select(Decision).where(Decision.subject_id == str(order.id), Decision.action == "create")).one()
    assert decision.allowed
    assert len(decision.checks) == 11
    assert order.policy_version_id == decision.policy_version_id is not None
    kinds = db.session.scalars(select(Event.kind).where(Event.subject_type == "order", Event.subject_id == str(order.id)).order_by(Event.id)).all()
    assert kinds[-2:] == ["order.creating", "order.created"]
    comments = connections.magento_for(account.id).comments(order.magento_id or "")
    assert [row["comment"] for row in comments if "TikTok Shop order" in (row["comment"] or "")] == [
        f"TikTok Shop order {order.number}, account {account.title}, {order.total.normalize():f} GBP."
    ]


def test_a_second_creation_finds_the_first_and_does_nothing(market: Market, store: Store, account: Account) -> None:
    order = created(place(market, account))
    again = create.create_one(order.id)
    assert (again.outcome, again.code) == ("left", "order.already_created")
    assert len(store.orders_of(order)) == 1
    assert fresh(order).state == "created"


@pytest.mark.postgres
def test_the_same_order_created_twice_at_once_becomes_one(app: Flask, market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    create_it = lambda: create.create_one(order.id).outcome  # noqa: E731
    with store.held(match={"method": "POST", "path": "/V1/carts/?$"}) as there:
        first = start(app, create_it)
        there()
        others = race(app, *[create_it] * 3)
    assert first.result() == "created"
    assert [getattr(each, "code", each) for each in others] == ["order.busy"] * 3, "the losers are told to come back"
    found = race(app, *[create_it] * 2)
    assert found == ["left"] * 2, found
    assert len(store.orders_of(order)) == 1
    summary = store.get("summary")
    assert (summary["orders"], summary["carts_active"]) == (1, 0)


@pytest.mark.postgres
def test_an_order_that_magento_has_already_is_linked_and_left_alone(market: Market, store: Store, account: Account) -> None:
    order = created(place(market, account))
    with unit_of_work() as session:  # as after the restore of an older backup: nothing is known of the Magento order
        session.delete(session.get(MagentoOrderIntent, order.id))
        row = session.get(Order, order.id)
        assert row is not None
        row.state, row.magento_id, row.magento_number = "ready", None, None
    again = create.create_one(order.id)
    linked = fresh(order)
    assert again.outcome == "created"
    assert (linked.magento_id, linked.state) == (order.magento_id, "created")
    assert "was linked and not changed" in linked.warning
    assert len(store.orders_of(order)) == 1


# --- shapes of orders ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "units"),
    [
        ([("MUG/02 slash", 1)], {"MUG/02 slash": 1}),
        ([("HOOD-GRE-L", 2)], {"HOOD-GRE-L": 2}),
        ([("LAMP-01", 1)], {"LAMP-01": 1}),
        ([("VIRT-01", 1)], {"VIRT-01": 1}),
        ([("VIRT-01", 2), ("MUG-01", 1)], {"VIRT-01": 2, "MUG-01": 1}),
        ([(f"BULK-{n:06d}", 1) for n in range(1, 31)], {f"BULK-{n:06d}": 1 for n in range(1, 31)}),
    ],
    ids=["a SKU with a slash", "a configurable's child", "a unicode name", "a virtual product only", "virtual and simple together", "thirty lines"],
)
def test_every_shape_of_order_is_created_to_the_cent(
    lines: list[tuple[str, int]], units: dict[str, int], practice_magento: PracticeServer, market: Market, store: Store, account: Account
) -> None:
    if any(sku.startswith("BULK-") for sku, _ in lines):
        store.post("seed", bulk=40, keep_credentials=True)
    order = created(place(market, account, *lines))
    magento = in_store(order)
    assert {item["sku"]: item["qty_ordered"] for item in magento["items"]} == units
    assert magento["grand_total"] == order.total == magento["total_paid"]
    assert store.get("ledger")["balanced"]


def test_discounts_of_seller_and_platform_arrive_as_one_discount_per_line(market: Market, store: Store, account: Account) -> None:
    order = created(place(market, account, ("MUG-01", 3), ("CAP-01", 1), kinds=["seller_discount", "platform_discount", "free_shipping"]))
    magento = in_store(order)
    discount = sum(line.seller_discount + line.platform_discount for line in order.lines)
    assert discount > 0
    assert (magento["grand_total"], -magento["discount_amount"]) == (order.total, discount)
    assert sum(item["discount_amount"] for item in magento["items"]) == discount


def test_seller_revenue_adds_what_tiktok_pays(market: Market, store: Store, account: Account) -> None:
    complete(account, revenue="seller_revenue")
    order = created(place(market, account, ("MUG-01", 3), kinds=["platform_discount"]))
    platform = sum(line.platform_discount for line in order.lines)
    assert platform > 0
    assert in_store(order)["grand_total"] == order.total + platform


def test_an_emoji_in_a_name_does_not_reach_magentos_tables(market: Market, store: Store, account: Account) -> None:
    order = created(place(market, account, kinds=["emoji"]))
    address = in_store(order)["billing_address"]
    assert address["lastname"] == "Example"
    assert "?" not in address["firstname"] + address["lastname"]


def test_a_masked_address_gets_placeholders_and_never_a_real_customer(market: Market, store: Store, account: Account) -> None:
    complete(account, customer_mode="real")
    order = created(place(market, account, shipping_type="TIKTOK"))
    assert order.address_masked
    magento = in_store(order)
    assert "*" not in str(magento["billing_address"])
    assert magento["billing_address"]["telephone"] == "0000000000"
    assert magento["customer_is_guest"] == 1
    assert db.session.scalars(select(MagentoCustomer)).all() == []


def test_a_missing_phone_is_replaced_because_magento_insists_on_one(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    move(order, phone_number="")
    assert in_store(created(order))["billing_address"]["telephone"] == "0000000000"


def test_a_british_address_needs_no_region_and_an_american_one_gets_magentos_id(market: Market, store: Store, account: Account) -> None:
    british = in_store(created(place(market, account)))["billing_address"]
    assert "region_id" not in british
    order = place(market, account)
    move(
        order, region_code="US", postal_code="73301", post_town=None,
        district_info=[{"address_level": "L1", "address_level_name": "State", "address_name": "Texas"}, {"address_level": "L3", "address_level_name": "City", "address_name": "Austin"}],
    )  # fmt: skip
    american = in_store(created(order))["billing_address"]
    assert (american["region_id"], american["region_code"], american["city"]) == (57, "TX", "Austin")


def test_an_order_without_an_address_waits_for_a_person(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    move(order, address_line1="", address_line2="", address_detail="", post_town="", district_info=[])
    order = refused(order, "address.incomplete", "failed")
    assert order.failure_message == "The address has no street and city."
    assert store.orders_of(order) == []


def test_an_order_by_tiktoks_warehouse_takes_no_stock(market: Market, store: Store, account: Account) -> None:
    order = created(place(market, account, ("MUG-01", 2), fulfillment_type="FULFILLMENT_BY_TIKTOK"))
    assert in_store(order)["grand_total"] == order.total
    assert store.reserved("MUG-01")["reservations"] == 0


def test_a_free_sample_is_created_invoiced_and_costs_nothing(market: Market, store: Store, account: Account) -> None:
    order = created(place(market, account, ("MUG-01", 1), kinds=["sample"]))
    magento = in_store(order)
    assert (magento["grand_total"], order.total, order.invoiced) == (0, 0, True)
    assert magento["items"][0]["qty_invoiced"] == 1


def test_a_virtual_bundle_takes_the_stock_of_what_is_in_it(market: Market, store: Store, account: Account) -> None:
    order = created(place(market, account, ("MUG-01", 1), kinds=["bundle"]))
    magento = in_store(order)
    assert {item["sku"]: item["qty_ordered"] for item in magento["items"]} == {"MUG-01": 2}
    assert magento["grand_total"] == order.total


# --- as a job -----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_the_job_creates_what_it_can_names_what_it_cannot_and_writes_the_numbers_to_tiktok(
    market: Market, store: Store, account: Account, work_off: Callable[..., int]
) -> None:
    orders = [place(market, account, ("MUG-01", 1)) for _ in range(4)]
    short = place(market, account, ("OOS-01", 1))
    work_off()
    assert [fresh(order).state for order in orders] == ["created"] * 4
    assert fresh(short).state == "skipped"
    item = db.session.scalars(select(JobItem).where(JobItem.ref == str(fresh(short).id))).first()
    assert item is not None
    assert (item.state, item.code) == ("failed", "stock.short")
    for order in orders:
        known = fresh(order)
        assert known.referenced_at is not None
        (reference,) = market.get(f"orders/{known.number}")["external_orders"]
        assert (reference["id"], reference["platform"]) == (known.magento_number, "MAGENTO")
    run_ids = db.session.scalars(select(Event.run_id).where(Event.kind == "order.created")).all()
    assert len(run_ids) == 4
    assert None not in run_ids
    assert store.get("ledger")["balanced"]


@pytest.mark.postgres
def test_create_sales_order_by_hand_twice_is_one_run(market: Market, store: Store, account: Account, work_off: Callable[..., int]) -> None:
    complete(account, create_in_magento=False)
    order = place(market, account)
    assert order.state == "stored"
    first = create.submit([order.id], started_by="operator@example.com")
    again = create.submit([order.id], started_by="operator@example.com")
    assert (first[0].existing, again[0].existing) == (False, True)
    assert first[0].run_id == again[0].run_id
    work_off()
    assert fresh(order).state == "created"


def test_a_store_that_is_away_makes_the_run_wait_and_then_go_on(market: Market, store: Store, account: Account, work_off: Callable[..., int]) -> None:
    orders = [place(market, account) for _ in range(2)]
    store.fault("html_503", path="/V1/", times=8)
    work_off(passes=20, wait_for=25)
    store.calm()
    work_off(passes=20, wait_for=25)
    assert [fresh(order).state for order in orders] == ["created", "created"]
    assert all(len(store.orders_of(fresh(order))) == 1 for order in orders)


def test_one_order_costs_no_call_more_than_it_needs(market: Market, store: Store, account: Account) -> None:
    orders = [place(market, account) for _ in range(3)]
    desk = create.CreationDesk()
    desk.prepare([order.id for order in orders])
    create.create_one(orders[0].id, desk=desk)
    requests.delete(f"{store.url}/practice/calls", timeout=30)
    for order in orders[1:]:
        create.create_one(order.id, desk=desk)
    assert store.calls() == {
        "POST /V1/carts": 2, "POST /V1/carts/:cartId/items": 2, "POST /V1/carts/:cartId/shipping-information": 2, "PUT /V1/carts/:cartId/order": 2,
        "GET /V1/orders/:id": 6, "POST /V1/orders": 2, "POST /V1/order/:orderId/invoice": 2, "POST /V1/orders/:id/comments": 2,
    }  # fmt: skip

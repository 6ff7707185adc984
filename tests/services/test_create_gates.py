"""What keeps a TikTok order from being created in Magento, and what the order policy changes about it (product.md 6; A101-A115; A20)."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.models.account import Account, OutgoingMail
from connector.models.order import MagentoCustomer, Order, OrderPayload, SkuMapping
from connector.models.trace import Decision
from connector.services import connections
from connector.services.orders import create, reservations
from tests.factories.creation import Store, complete, created, fresh, in_store, refused
from tests.factories.parcels import place
from tests.factories.shop import Market

pytestmark = pytest.mark.sqlite_only  # what the gates say is decided outside the database; creating is tested on both


@pytest.fixture
def account(connected_account: Account) -> Account:
    return complete(connected_account)


def repay(order: Order, **changes: str) -> None:
    """Change the amounts that TikTok is said to have sent."""
    with unit_of_work() as session:
        payload = session.get(OrderPayload, order.id)
        assert payload is not None
        payload.body = {**payload.body, "payment": {**payload.body["payment"], **changes}}


# --- what is refused ----------------------------------------------------------------------------------------------------------------------------


def test_amounts_that_differ_by_a_cent_are_held_with_the_difference(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    repay(order, total_amount=f"{order.total + D('0.01')}")
    order = refused(order, "money.mismatch", "failed")
    assert "a difference of 0.01" in (order.failure_message or "")
    assert store.orders_of(order) == []


def test_an_amount_that_is_no_number_is_held_too(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    repay(order, small_order_fee="1,50")
    assert "'1,50' is not an amount" in (refused(order, "money.mismatch", "failed").failure_message or "")


@pytest.mark.postgres
def test_an_order_whose_buyer_asks_to_cancel_waits_and_leaves_one_trace(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    with unit_of_work():
        fresh(order).cancel_requested = True
    for _ in range(2):
        assert create.create_one(order.id).code == "order.cancel_requested"
    waiting = fresh(order)
    assert (waiting.state, waiting.failure_code) == ("ready", None)
    assert waiting.retry_at is not None
    assert len(db.session.scalars(select(Decision).where(Decision.subject_id == str(order.id))).all()) == 1


def test_out_of_stock_is_skipped_unless_the_policy_creates_anyway(market: Market, store: Store, account: Account) -> None:
    order = refused(place(market, account, ("OOS-01", 1)), "stock.short", "skipped")
    assert "OOS-01" in (order.failure_message or "")
    complete(account, create_for_unavailable=True)
    order = created(order)
    assert "no stock is reserved" in order.warning
    assert in_store(order)["grand_total"] == order.total
    assert store.reserved("OOS-01")["reservations"] == 0


def test_a_disabled_product_is_skipped_unless_the_policy_creates_anyway(market: Market, store: Store, account: Account) -> None:
    order = refused(place(market, account, ("DISABLED-01", 1)), "product.disabled", "skipped")
    complete(account, create_for_unavailable=True)
    assert in_store(created(order))["items"][0]["sku"] == "DISABLED-01"


def test_the_last_unit_is_sold_once(market: Market, store: Store, account: Account) -> None:
    created(place(market, account, ("ONE-LEFT", 1)))
    refused(place(market, account, ("ONE-LEFT", 1)), "stock.short", "skipped")
    assert store.reserved("ONE-LEFT")["salable"] == 0


def test_stock_that_goes_between_the_check_and_the_cart_follows_the_policy(market: Market, store: Store, account: Account) -> None:
    first, second = place(market, account, ("ONE-LEFT", 1)), place(market, account, ("ONE-LEFT", 1))
    desk = create.CreationDesk()
    desk.prepare([first.id, second.id])
    created(first)  # by another desk: ours still believes in the unit
    result = create.create_one(second.id, desk=desk)
    assert (result.outcome, result.code) == ("refused", "stock.short")
    assert "Magento answered" in result.message
    complete(account, create_for_unavailable=True)
    assert created(second).magento_number


@pytest.mark.postgres
def test_an_unknown_sku_is_skipped_and_a_remembered_mapping_heals_it(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    with unit_of_work():
        for line in fresh(order).lines:
            line.seller_sku = "TT-MUG"
    order = refused(order, "mapping.sku_unknown", "skipped")
    assert "TT-MUG" in (order.failure_message or "")
    with unit_of_work() as session:
        session.add(SkuMapping(account_id=account.id, seller_sku="TT-MUG", magento_sku="MUG-01"))
    order = created(order)
    assert [line.magento_sku for line in order.lines] == ["MUG-01"]


def test_an_unknown_sku_becomes_a_placeholder_product_where_the_policy_says_so(market: Market, store: Store, account: Account) -> None:
    complete(account, if_product_missing="create_product")
    order = place(market, account, ("MUG-01", 2))
    with unit_of_work():
        for line in fresh(order).lines:
            line.seller_sku = "NEW/ITEM 7"
    order = created(order)
    product = connections.magento_for(account.id).product("NEW/ITEM 7")
    assert product["extension_attributes"]["stock_item"]["manage_stock"] is False
    assert in_store(order)["items"][0]["qty_ordered"] == 2
    assert store.get("ledger")["balanced"]


def test_a_configurables_own_sku_is_refused_with_advice(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    with unit_of_work():
        for line in fresh(order).lines:
            line.seller_sku = "TEE"
    refused(order, "product.composite", "skipped")


def test_an_order_on_hold_stays_held_and_is_created_when_the_hold_is_over(market: Market, store: Store, account: Account) -> None:
    order = place(market, account, release=False)
    assert order.state == "held"
    result = create.create_one(order.id, by_hand=True)
    assert (result.outcome, fresh(order).state) == ("left", "held")
    assert reservations.open_units(["MUG-01"]) == {"MUG-01": 1}


def test_a_cancelled_order_never_reaches_magento(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    with unit_of_work():
        fresh(order)
        db.session.get(Order, order.id).remote_status = "CANCELLED"
    assert create.create_one(order.id).code == "order.cancelled"
    assert fresh(order).state == "cancelled"
    assert store.orders_of(order) == []
    assert reservations.open_units() == {}


def test_create_when_cancelled_creates_for_the_books_and_cancels_at_once(market: Market, store: Store, account: Account) -> None:
    """A20, contradiction 14."""
    complete(account, create_when="CANCELLED")
    order = place(market, account)
    with unit_of_work():
        row = fresh(order)
        row.remote_status = "CANCELLED"
        for line in row.lines:
            line.remote_status = "CANCELLED"
    order = created(order)
    assert order.magento_state in ("canceled", "closed")
    ledger = store.reserved("MUG-01")
    assert (ledger["reservations"], ledger["balanced"]) == (0, True)


def test_the_preview_says_what_the_job_will_do_and_touches_nothing(market: Market, store: Store, account: Account) -> None:
    good, short = place(market, account), place(market, account, ("OOS-01", 1))
    before = store.calls()
    verdicts = create.preview([good.id, short.id, 987654])
    assert {order_id: verdict.allowed for order_id, verdict in verdicts.items()} == {good.id: True, short.id: False}
    assert "OOS-01" in verdicts[short.id].failing.message
    assert fresh(short).state == "ready"
    written = {route: count for route, count in store.calls().items() if not route.startswith("GET") and count != before.get(route, 0)}
    assert written == {}
    assert create.create_one(short.id).message == verdicts[short.id].failing.message


def test_the_preview_says_so_when_magento_cannot_be_asked(market: Market, store: Store, account: Account) -> None:
    order = place(market, account)
    store.fault("html_503", path="/V1/", probability=1.0)
    verdict = create.preview([order.id])[order.id]
    store.calm()
    assert not verdict.allowed
    assert verdict.failing.code.startswith("mag.")


# --- policy -------------------------------------------------------------------------------------------------------------------------------------


def test_without_invoice_creation_the_order_stays_open(market: Market, store: Store, account: Account) -> None:
    complete(account, create_invoice=False)
    order = created(place(market, account))
    assert (order.invoiced, order.magento_state) == (False, "new")
    assert in_store(order)["status"] == order.magento_status == "pending"


def test_the_mapped_status_is_set_after_the_invoice(market: Market, store: Store, account: Account) -> None:
    complete(account, status_mapping=[{"tiktok_status": "AWAITING_SHIPMENT", "magento_status": "tiktok_paid"}])
    order = created(place(market, account))
    magento = in_store(order)
    assert (magento["state"], magento["status"]) == ("processing", "tiktok_paid") == (order.magento_state, order.magento_status)


def test_the_prefix_stands_in_front_of_the_shown_number_and_in_the_comment(market: Market, store: Store, account: Account) -> None:
    """A110: a cart cannot carry it into Magento's own number."""
    complete(account, order_id_prefix="TT-")
    order = created(place(market, account))
    assert order.magento_number == f"TT-{in_store(order)['increment_id']}"
    comments = connections.magento_for(account.id).comments(order.magento_id or "")
    assert any(f"Shown as {order.magento_number}." in (row["comment"] or "") for row in comments)


@pytest.mark.postgres
def test_a_repeat_buyer_is_one_real_customer(market: Market, store: Store, account: Account) -> None:
    complete(account, customer_mode="real")
    first, second = created(place(market, account, buyer=7)), created(place(market, account, buyer=7))
    one, two = in_store(first), in_store(second)
    assert one["customer_id"] == two["customer_id"]
    assert one["customer_is_guest"] == 0
    assert one["customer_email"] == f"{first.buyer_id}@tiktok.com"
    assert len(db.session.scalars(select(MagentoCustomer)).all()) == 1


def test_the_one_fixed_customer_gets_every_order_and_an_unknown_one_is_named(market: Market, store: Store, account: Account) -> None:
    complete(account, customer_mode="same", same_customer_id="999")
    order = refused(place(market, account), "customer.unknown", "failed")
    client = connections.magento_for(account.id)
    customer = client.create_customer({"email": "tiktok@orders.example.com", "firstname": "TikTok", "lastname": "Orders", "website_id": 1, "store_id": 1})
    complete(account, customer_mode="same", same_customer_id=str(customer["id"]))
    magento = in_store(created(order))
    assert (magento["customer_id"], magento["customer_email"]) == (customer["id"], "tiktok@orders.example.com")


def test_taxes_of_tiktok_none_and_magento_all_keep_tiktoks_total(market: Market, store: Store, account: Account) -> None:
    for taxes in ("none", "magento"):
        complete(account, taxes=taxes)
        order = created(place(market, account, ("MUG-01", 2)))
        assert in_store(order)["grand_total"] == order.total


@pytest.mark.postgres
def test_a_notification_of_a_sandbox_account_stays_in_the_outbox(market: Market, store: Store, account: Account) -> None:
    """A108, A109, A249."""
    complete(account, notify=True, notification_email="desk@example.com")
    order = created(place(market, account))
    mail = db.session.scalars(select(OutgoingMail)).one()
    assert (mail.recipient, mail.state) == ("desk@example.com", "kept")
    assert order.number in mail.subject


def test_no_mail_reaches_the_buyer_where_the_stores_mails_are_off(market: Market, store: Store, account: Account) -> None:
    store.post("settings", emails=False)
    created(place(market, account))
    assert store.get("emails") == []
    store.post("settings", emails=True)


def test_the_direct_writer_gives_its_own_number_and_reserves_nothing(market: Market, store: Store, account: Account) -> None:
    complete(account, writer="direct", order_id_prefix="TT-")
    order = created(place(market, account, ("MUG-01", 2), ("CAP-01", 1), kinds=["seller_discount"]))
    magento = in_store(order)
    assert magento["increment_id"] == order.magento_number == f"TT-{order.number}"
    assert magento["grand_total"] == order.total == magento["total_paid"]
    assert magento["ext_order_id"] == order.number
    assert store.reserved("MUG-01")["reservations"] == 0
    assert reservations.open_units() == {"MUG-01": 2, "CAP-01": 1}, "Magento holds nothing back for it, so we do"
    for status, held in (("AWAITING_COLLECTION", True), ("IN_TRANSIT", False), ("CANCELLED", False)):
        assert reservations.reserves(status, "created", directly=True) is held
    assert not reservations.reserves("AWAITING_SHIPMENT", "created")

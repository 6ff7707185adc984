"""Orders of an account with an external storefront (S4; A243-A250, A259-A266), between the practice marketplace and the practice storefront."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import Account
from connector.models.aftersales import RecallTask
from connector.models.order import MagentoOrderIntent, Order, Shipment
from connector.models.run import JobItem
from connector.practice.serve import PracticeServer
from connector.services import accounts, connections, reconcile, storefronts
from connector.services.accounts import storefront
from connector.services.orders import create, follow, intent, reject, reservations, shipments
from connector.services.storefronts import creation
from tests.factories import shop
from tests.factories.creation import complete, fresh
from tests.factories.parcels import packages, place, take_in

pytestmark = pytest.mark.postgres
SKU = "MUG-01"


class Store(shop.Controls):
    """The practice storefront: the merchant at work in the store, and its own books."""

    def orders_of(self, order: Order) -> list[dict[str, Any]]:
        return self.get("orders", externalOrderId=order.number)["orders"]

    def order(self, order: Order) -> dict[str, Any]:
        return self.get(f"orders/{fresh(order).magento_number}")

    def shelf(self, sku: str = SKU) -> tuple[int, int, int]:
        """(available, allocated, shipped) units."""
        ledger = self.get("ledger", sku=sku)
        assert ledger["balanced"]
        row = ledger["stock"][0]
        return row["available"], row["allocated"], row["shipped"]


@pytest.fixture
def store(practice_storefront: PracticeServer) -> Store:
    return Store(practice_storefront.url)


@pytest.fixture
def account(connected_account: Account, store: Store) -> Account:
    """A GB Sandbox account whose orders go to the practice storefront."""
    complete(connected_account)
    assert storefront.use_practice_storefront(connected_account.id, actor="tests")["ok"]
    return fresh_account(connected_account.id)


def fresh_account(account_id: int) -> Account:
    db.session.expire_all()
    found = db.session.get_one(Account, account_id)
    db.session.commit()
    return found


def created(market: shop.Market, account: Account, *lines: tuple[str, int]) -> Order:
    order = place(market, account, *lines)
    assert create.create_one(order.id).outcome == "created"
    return fresh(order)


def test_an_order_waits_out_its_hour_and_is_then_one_new_order_paid_by_social_pay(
    market: shop.Market, store: Store, account: Account, work_off: Callable[..., int]
) -> None:
    """A243-A246, A249: nothing is in the store during the hold; afterwards one order, not captured, nobody notified; the store holds the units."""
    before, (available, _, _) = store.get("orders")["total"], store.shelf()
    order = place(market, account, (SKU, 2), ("TEE-BLA-S", 1), release=False)
    assert create.create_one(order.id).outcome == "left"
    assert fresh(order).state == "held"
    assert reservations.open_units([SKU]) == {SKU: 2}
    assert (store.get("orders")["total"], store.shelf()[0]) == (before, available)

    market.post(f"orders/{order.number}/release")
    order = take_in(account, order.number)
    verdict = create.preview([order.id])[order.id]
    assert verdict.allowed, verdict.failing
    assert "Storefront safe for tests" in [check.check for check in verdict.checks]
    end_reading()
    run = shop.perform("orders.create", account.id)
    assert run.state == "succeeded", run.message
    order = fresh(order)
    shown = store.order(order)
    assert (order.state, order.magento_number, order.magento_status, order.magento_state) == ("created", shown["orderNo"], "New", "NEW")
    assert (shown["c_externalOrderStatus"], shown["payment"]["method"], shown["payment"]["captured"], shown["notify"]) == ("New", "SOCIAL_PAY", False, False)
    assert shown["payment"]["amount"] == shown["total"] == f"{order.total:.2f}"
    assert {line_id for item in shown["items"] for line_id in item["externalLineIds"]} == {line.line_id for line in order.lines}
    assert all(line.magento_item_id for line in order.lines)
    assert reservations.open_units([SKU]) == {}
    assert store.shelf()[:2] == (available - 2, 2)
    assert store.get("payments")["captured"] == 0
    assert store.get("emails") == []
    work_off()  # the number goes back to TikTok under the store's platform
    assert [(one["platform"], one["id"]) for one in market.get(f"orders/{order.number}")["external_orders"]] == [
        ("SALESFORCE_COMMERCE_CLOUD", order.magento_number)
    ]
    day = reconcile.check_day(account.id, f"{connections.shop_now(account):%Y-%m-%d}")
    assert (day.missing, day.duplicates, day.created) == ([], [], 1)


@pytest.mark.parametrize("kind", ["lost_answer", "error_after", "timeout_before", "server_error"])
def test_an_answer_lost_while_creating_makes_exactly_one_store_order(kind: str, market: shop.Market, store: Store, account: Account) -> None:
    order = place(market, account)
    store.post("faults", kind=kind, operation="create")
    try:
        create.create_one(order.id)
    except (api.Uncertain, api.Unavailable):
        assert fresh(order).state == "creating"
        assert create.create_one(order.id).outcome == "created"
    (shown,) = store.orders_of(order)
    assert (fresh(order).state, fresh(order).magento_number) == ("created", shown["orderNo"])
    assert store.shelf()[1] == 1


@pytest.mark.parametrize("arrived", [True, False], ids=["the call had arrived", "the call had not left"])
def test_a_killed_writer_is_continued_and_a_meanwhile_cancelled_order_ends_right(arrived: bool, market: shop.Market, store: Store, account: Account) -> None:
    """What the dead writer's call has made is taken up with the parcel that left meanwhile, and cancelled; what it has not made is not made any more."""
    order = place(market, account, (SKU, 2))
    desk = create.CreationDesk()
    draft = desk.draft(order.id)
    claim = intent.claim(draft.order, creation.WRITER, {})
    intent.advance(claim, intent.PLACING, placing_since=utcnow())
    if arrived:
        made = connections.storefront_for(account.id).create_external_order(creation._body(draft))
        store.post(f"orders/{made.order_no}/ship", carrier="Royal Mail", trackingNumber="RM000000001GB", items=[{"sku": SKU, "quantity": 1}])
    with unit_of_work() as session:  # the process is gone: its lease runs out
        session.get_one(MagentoOrderIntent, order.id).lease_until = utcnow() - timedelta(seconds=1)
    market.post(f"orders/{order.number}/cancel", by="SYSTEM")
    take_in(account, order.number)
    create.create_one(order.id)
    found = store.orders_of(order)
    assert [one["status"] for one in found] == (["CANCELLED"] if arrived else [])
    assert fresh(order).state == ("created" if arrived else "cancelled")
    assert store.shelf()[1:] == (0, 1 if arrived else 0)
    assert fresh(order).tag == ("cancel after shipped" if arrived else "")
    assert reservations.open_units([SKU]) == {}


def test_a_cancellation_on_tiktok_sets_cancelled_once_and_returns_the_units_once(
    market: shop.Market, store: Store, account: Account, work_off: Callable[..., int]
) -> None:
    """A260, A262, A263, with a lost answer of the PATCH; and A266, the seller in the dashboard."""
    available = store.shelf()[0]
    order = created(market, account, (SKU, 2))
    market.post(f"orders/{order.number}/cancel", by="OPERATOR")
    take_in(account, order.number)
    store.post("faults", kind="lost_answer", operation="patch")
    work_off()
    assert follow.waiting(account.id, create.CreationDesk().rules(account.id)) == []
    follow.follow_one(order.id)
    shown = store.order(order)
    assert (shown["status"], shown["c_externalOrderStatus"], shown["tags"]) == ("CANCELLED", "CANCELLED", [])
    assert (fresh(order).magento_status, fresh(order).tag) == ("CANCELLED", "")
    rejected = created(market, account)
    assert "was set to CANCELLED" in reject.reject_one(rejected.id, "pricing_error", actor="tests")
    assert (market.order(rejected.number)["status"], store.order(rejected)["c_externalOrderStatus"]) == ("CANCELLED", "CANCELLED")
    assert store.shelf() == (available, 0, 0)


def test_a_cancellation_after_shipping_is_tagged_and_nothing_is_restocked_before_the_parcel_is_back(
    market: shop.Market, store: Store, account: Account
) -> None:
    """A264: CANCELLED and the tag 'cancel after shipped'; a recall is open."""
    order = created(market, account)
    store.post(f"orders/{order.magento_number}/ship", carrier="Royal Mail", trackingNumber="RM000000001GB")
    before = store.shelf()
    market.post(f"orders/{order.number}/cancel", by="SYSTEM")
    take_in(account, order.number)
    assert follow.follow_one(order.id).done[0].startswith(f"Store order {order.magento_number} was set to CANCELLED with the tag")
    follow.follow_one(order.id)
    shown = store.order(order)
    assert (shown["c_externalOrderStatus"], shown["tags"]) == ("CANCELLED", ["cancel after shipped"])
    assert fresh(order).tag == "cancel after shipped"
    assert db.session.scalars(select(RecallTask.state).where(RecallTask.order_id == order.id)).all() == ["open"]
    assert store.shelf() == before
    with pytest.raises(storefronts.NotPossible):
        storefronts.for_account(account.id).refund(order.id, items={}, shipping_amount=order.total)


def test_parcels_of_the_store_reach_tiktok(market: shop.Market, store: Store, account: Account) -> None:
    order = created(market, account, (SKU, 2), ("TEE-BLA-S", 1))
    store.post(f"orders/{order.magento_number}/ship", carrier="Royal Mail", trackingNumber="RM000000001GB", items=[{"sku": SKU, "quantity": 1}])
    assert shop.perform("shipments.collect", account.id).state == "succeeded"
    assert fresh(order).magento_state == "OPEN"
    store.post(f"orders/{order.magento_number}/ship", carrier="Royal Mail", trackingNumber="RM000000002GB")
    assert shipments.collect(account.id).parcels == 1
    assert shipments.collect(account.id).parcels == 0
    units = {one.tracking_number: one.quantities for one in db.session.scalars(select(Shipment).where(Shipment.order_id == order.id))}
    assert units == {"RM000000001GB": {SKU: 1}, "RM000000002GB": {SKU: 1, "TEE-BLA-S": 1}}
    end_reading()
    run = shop.perform("shipments.push", account.id)
    assert run.state == "succeeded", run.message
    assert sorted(one["tracking_number"] for one in packages(market, order)) == ["RM000000001GB", "RM000000002GB"]
    assert take_in(account, order.number).remote_status == "AWAITING_COLLECTION"
    assert fresh(order).failure_code is None


def test_an_order_that_the_store_cancels_is_cancelled_on_tiktok_and_a_refusal_is_shown(
    market: shop.Market, store: Store, account: Account, work_off: Callable[..., int]
) -> None:
    """A265: the store's cancellation becomes a seller cancellation; of a shipped order TikTok's no is shown, with what to do."""
    available = store.shelf()[0]
    order, late = created(market, account), created(market, account)
    store.post(f"orders/{late.magento_number}/ship", carrier="Royal Mail", trackingNumber="RM000000009GB")
    assert shipments.collect(account.id).parcels == 1
    shop.perform("shipments.push", account.id)
    take_in(account, late.number)
    store.post(f"orders/{order.magento_number}/cancel", reason="damaged in the warehouse")
    patch = connections.storefront_for(account.id)
    patch.patch_order(late.magento_number or "", {"c_externalOrderStatus": "CANCELLED"}, etag=patch.get_order(late.magento_number or "").etag)
    shipments.collect(account.id)
    shipments.collect(account.id)
    work_off()
    assert market.order(order.number)["status"] == "CANCELLED"
    assert (fresh(order).remote_status, fresh(order).magento_status) == ("CANCELLED", "CANCELLED")
    assert (fresh(late).failure_code, fresh(late).remote_status) == ("storefront.cancelled", "AWAITING_COLLECTION")
    assert [item.state for item in db.session.scalars(select(JobItem).where(JobItem.ref.in_([str(order.id), str(late.id)]), JobItem.code.is_not(None)))]
    assert store.shelf() == (available - 1, 0, 1)


def test_a_new_address_is_carried_over_before_shipping_and_warns_afterwards(
    market: shop.Market, store: Store, account: Account, work_off: Callable[..., int]
) -> None:
    order = created(market, account)
    market.post(f"orders/{order.number}/address", address_line1="77 New Street", post_town="Newtown")
    take_in(account, order.number)
    work_off()
    assert store.order(order)["shippingAddress"]["address1"] == "77 New Street"
    store.post(f"orders/{order.magento_number}/ship", carrier="Royal Mail", trackingNumber="RM000000001GB")
    market.post(f"orders/{order.number}/address", address_line1="78 New Street", post_town="Newtown")
    take_in(account, order.number)
    assert "the earlier address stands there" in follow.follow_one(order.id).sentence()
    assert "the earlier address stands there" in fresh(order).warning
    assert store.order(order)["shippingAddress"]["address1"] == "77 New Street"


@pytest.mark.sqlite_only
def test_what_the_store_does_not_take_is_shown_on_the_order_and_an_order_that_it_has_removed_ends(market: shop.Market, store: Store, account: Account) -> None:
    """GetOrder of an order that is not there: for a cancellation nothing is left to do, a new address is for a person; a wrong address of the store is neither."""
    gone, moved = created(market, account), created(market, account)
    store.post("reset")
    market.post(f"orders/{gone.number}/cancel", by="OPERATOR")
    market.post(f"orders/{moved.number}/address", address_line1="77 New Street", post_town="Newtown")
    gone, moved = take_in(account, gone.number), take_in(account, moved.number)
    url = store.url
    elsewhere(account, f"{url}/nowhere")
    with pytest.raises(api.NotFound):
        follow.follow_one(gone.id)
    shown = fresh(gone)
    assert (shown.failure_code, bool(shown.failure_remedy)) == ("magento.not_cancelled", True)
    assert f"does not take order {shown.magento_number} back" in (shown.failure_message or "")
    elsewhere(account, url)
    assert "has no order" in follow.follow_one(gone.id).sentence()
    assert fresh(gone).failure_code is None
    with pytest.raises(api.NotFound):
        follow.follow_one(moved.id)
    assert "Change it in the store by hand" in (fresh(moved).warning or "")
    assert follow.waiting(account.id, create.CreationDesk().rules(account.id)) == []


def elsewhere(account: Account, url: str) -> None:
    row = storefront.of(account.id)
    assert row is not None
    with unit_of_work():
        row.base_url = url


class _Changes(BaseHTTPRequestHandler):
    """A store whose clock is years ahead, and that lists something that is no order."""

    def do_POST(self) -> None:
        self._answer({"access_token": "token", "expires_in": 600})

    def do_GET(self) -> None:
        self._answer({"orders": [None, {"orderNo": "E1", "externalOrderId": "1", "lastModified": "2099-01-01T00:00:00Z"}], "more": False})

    def _answer(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.sqlite_only
def test_a_change_that_is_dated_ahead_does_not_carry_the_cursor_past_what_is_still_to_come(
    market: shop.Market, store: Store, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = created(market, account)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Changes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host, url = f"127.0.0.1:{server.server_port}", store.url
    allows = connections.Connections.allows
    monkeypatch.setattr(connections.Connections, "allows", lambda self, environment, name: name == host or allows(self, environment, name))
    try:
        elsewhere(account, f"http://{host}")
        shipments.collect(account.id)
    finally:
        server.shutdown()
        server.server_close()
    row = storefront.of(account.id)
    assert row is not None and row.orders_cursor_at is not None
    assert row.orders_cursor_at <= utcnow()
    with unit_of_work():
        row.orders_cursor_at = utcnow() + timedelta(days=365)  # as an earlier version may have left it
    elsewhere(account, url)
    store.post(f"orders/{order.magento_number}/ship", carrier="Royal Mail", trackingNumber="RM000000001GB")
    assert shipments.collect(account.id).parcels == 1
    row = storefront.of(account.id)
    assert row is not None and row.orders_cursor_at is not None and row.orders_cursor_at <= utcnow()


UNSAFE: dict[str, tuple[Any, str]] = {
    "storefrontProtection": (False, "protection is off"),
    "paymentCapture": (True, "capture is on"),
    "confirmationEmails": (True, "e-mails are on"),
    "environment": ("production", "environment is production"),
}


@pytest.mark.sqlite_only
def test_no_test_order_enters_a_storefront_that_is_not_safe_for_tests(
    market: shop.Market, store: Store, account: Account, work_off: Callable[..., int]
) -> None:
    """A247-A250: refused before any order is created, with what, why and what to do; tried again by itself once the test passes."""
    usual, order = store.get("settings"), place(market, account)
    for setting, (value, words) in UNSAFE.items():
        store.post("settings", **{setting: value})
        facts = storefront.test(account.id, actor="tests")
        assert not facts["ok"]
        assert words in facts["problems"][0]["message"]
        assert facts["problems"][0]["remedy"]
        assert create.create_one(order.id).code == "storefront.unsafe"
        assert (fresh(order).state, store.orders_of(order)) == ("failed", [])
        assert words in (fresh(order).failure_message or "")
        assert fresh(order).failure_remedy
        store.post("settings", **{setting: usual[setting]})
    assert storefront.test(account.id, actor="tests")["ok"]
    work_off()
    assert fresh(order).state == "created"


@pytest.mark.sqlite_only
def test_a_sandbox_account_reaches_the_practice_storefront_only_and_a_used_storefront_stays(market: shop.Market, store: Store, account: Account) -> None:
    """A247: a live address is refused when it is saved, and by the transport itself."""
    with pytest.raises(DomainError, match="practice storefront only"):
        storefront.save(account.id, base_url="https://store.example.com", client_id="x", client_secret="y", actor="tests")
    row = storefront.of(account.id)
    assert row is not None
    row.base_url = "https://store.example.com"
    db.session.expunge(row)
    with pytest.raises(api.ForbiddenHost):
        connections.storefront_client(row, environment=account.environment).environment()
    end_reading()
    created(market, account)
    choice = accounts.Choice(title=account.title, country="GB", environment="sandbox", store_view=account.store_view, magento_id=account.magento_id)
    with pytest.raises(DomainError, match="under way in External storefront"):
        accounts.update(account.id, choice, actor="tests")

"""The TikTok Shop client against the practice marketplace: real HTTP, real signatures, its clock and its faults."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import requests

from connector.clients.base import Transport
from connector.clients.errors import (
    Conflict,
    NotFound,
    PageTokenRefused,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Uncertain,
)
from connector.clients.tiktok import TikTokAuth, TikTokClient, TokenGrant, Window, external_order


class Shop:
    """A consented practice shop: its tokens, its client, and the buyers' and the fault panel's side of it."""

    def __init__(self, url: str, region: str = "GB") -> None:
        self.url, self.region = url, region
        self.transport = Transport(timeouts=(10.0, 30.0))
        self.app = requests.get(f"{url}/practice/app", timeout=10).json()
        self.auth = TikTokAuth(self.transport, app_key=self.app["app_key"], app_secret=self.app["app_secret"], base_url=url)
        code = self.tell("authorize", shops=[region], state="s")["code"]
        self.grant: TokenGrant = self.auth.token(code)
        self.refused: list[str] = []
        self.cipher = self.client(shop_cipher=None).authorized_shops()[0].cipher

    def client(self, **rest: Any) -> TikTokClient:
        facts: dict[str, Any] = {
            "app_key": self.app["app_key"],
            "app_secret": self.app["app_secret"],
            "token": lambda: self.grant.access_token,
            "refresh": self.refresh,
            "account_key": self.region,
            "base_url": self.url,
        }
        return TikTokClient(self.transport, **facts | ({} if "shop_cipher" in rest else {"shop_cipher": self.cipher}) | rest)

    def refresh(self, refused: str) -> None:
        self.refused.append(refused)
        self.grant = self.auth.refresh(self.grant.refresh_token)

    def tell(self, what: str, **body: Any) -> Any:
        answer = requests.post(f"{self.url}/practice/{what}", json=body, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def truth(self, order_id: str) -> Any:
        return requests.get(f"{self.url}/practice/orders/{order_id}", timeout=10).json()

    def place(self, lines: int = 1) -> str:
        """A paid order that may be shipped by the seller."""
        wanted = [{"sku": "MUG-01", "quantity": lines}]
        placed = self.tell("orders", shop=self.region, lines=wanted, shipping_type="SELLER", fulfillment_type="FULFILLMENT_BY_SELLER")
        self.tell(f"orders/{placed['id']}/release")
        return str(placed["id"])


@pytest.fixture
def shop(practice_tiktok: Any) -> Shop:
    return Shop(practice_tiktok.url)


@pytest.fixture
def client(shop: Shop) -> TikTokClient:
    return shop.client()


def provider(client: TikTokClient, order: dict[str, Any]) -> str:
    return str(client.shipping_providers(order["delivery_option_id"])[0]["id"])


def test_the_way_from_consent_to_a_shipped_order(shop: Shop, client: TikTokClient) -> None:
    assert "seller.order.info" in shop.grant.granted_scopes
    assert client.active_shops()[0]["region"] == "GB"
    warehouse = next(w for w in client.warehouses() if w["type"] == "SALES_WAREHOUSE")
    assert client.delivery_options(warehouse["id"])
    (order,) = client.get_orders([shop.place(3)])
    lines = [line["id"] for line in order["line_items"]]
    assert len(lines) == 3
    assert client.price_detail(order["id"])["currency"] == "GBP"
    written = client.put_external_orders([external_order(order["id"], "000000071", {line: str(n) for n, line in enumerate(lines)})])
    assert written.errors == {}
    assert client.search_external_orders("000000071")[0]["id"] == order["id"]
    assert client.get_external_orders(order["id"])[0]["id"] == "000000071"
    carrier = provider(client, order)
    first = client.mark_shipped(order["id"], line_ids=lines[:1], tracking_number="TT0001", shipping_provider_id=carrier)
    assert client.get_orders([order["id"]])[0]["status"] == "PARTIALLY_SHIPPING"
    client.mark_shipped(order["id"], line_ids=lines[1:], tracking_number="TT0002", shipping_provider_id=carrier)
    assert client.get_orders([order["id"]])[0]["status"] == "AWAITING_COLLECTION"
    client.update_package_shipping_info(first.package_id, tracking_number="TT0009", shipping_provider_id=carrier)
    assert client.package(first.package_id)["tracking_number"] == "TT0009"
    with pytest.raises(Conflict):
        client.mark_shipped(order["id"], line_ids=lines, tracking_number="TT0003", shipping_provider_id=carrier)
    assert client.order_tracking(order["id"])


def test_an_authorization_code_works_once(shop: Shop) -> None:
    code = shop.tell("authorize", shops=["GB"], state="s")["code"]
    shop.auth.token(code)
    with pytest.raises(Unauthorized) as caught:
        shop.auth.token(code)
    assert caught.value.code == "tts.auth_code_invalid"


def test_every_page_is_read_and_nothing_twice(shop: Shop, client: TikTokClient) -> None:
    seeded = set(shop.tell("seed", shops=["GB"], orders=130)["ids"])
    now = client.now()
    window = Window(now - timedelta(days=30), now + timedelta(days=1))
    ids = [order["id"] for order in client.iter_orders(window, page_size=20)]
    assert (len(ids), set(ids)) == (130, seeded)


def test_an_expired_page_token_asks_for_the_window_again(shop: Shop, client: TikTokClient) -> None:
    shop.tell("seed", shops=["GB"], orders=30)
    pages = client.iter_order_pages(Window(None, None), page_size=10)
    next(pages)
    shop.tell("clock", advance_seconds=601)
    with pytest.raises(PageTokenRefused):
        next(pages)


def test_an_expired_token_in_mid_run_is_refreshed_once(shop: Shop, client: TikTokClient) -> None:
    old = shop.grant.access_token
    shop.tell("authorizations/expire", access=True)
    assert client.warehouses()
    assert shop.refused == [old]
    assert shop.grant.access_token != old


def test_a_dead_refresh_token_asks_for_consent(shop: Shop, client: TikTokClient) -> None:
    shop.tell("authorizations/expire", access=True, refresh=True)
    with pytest.raises(Unauthorized) as caught:
        client.warehouses()
    assert caught.value.code == "tts.refresh_refused"


def test_a_revoked_authorization_and_a_missing_scope_are_told_apart(shop: Shop, client: TikTokClient) -> None:
    shop.tell("authorizations/scopes", revoke=["seller.order.info"])
    with pytest.raises(Unauthorized) as caught:
        client.search_orders()
    assert (caught.value.code, caught.value.reason) == ("tts.scope_missing", "scope")
    shop.tell("authorizations/revoke", shop="GB")
    with pytest.raises(Unauthorized) as caught:
        client.warehouses()
    assert caught.value.code == "tts.authorization_inactive"


def test_a_clock_moved_by_days_is_learnt_without_a_lost_call(shop: Shop, client: TikTokClient) -> None:
    order = client.get_orders([shop.place()])[0]
    carrier = provider(client, order)
    shop.tell("clock", advance_seconds=86400)
    line = order["line_items"][0]["id"]
    assert client.mark_shipped(order["id"], line_ids=[line], tracking_number="TT0001", shipping_provider_id=carrier).package_id
    assert client.clock_offset == pytest.approx(86400, abs=60)
    shop.tell("clock", reset=True)
    assert client.warehouses()
    assert client.clock_offset == pytest.approx(0, abs=60)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"app_secret": "x"}, "tts.signature"), ({"app_key": "nobody"}, "tts.app_key"), ({"shop_cipher": "ROW_foreign"}, "tts.cipher_foreign")],
)
def test_wrong_credentials_are_named(wrong: dict[str, str], code: str, shop: Shop) -> None:
    with pytest.raises(Unauthorized) as caught:
        shop.client(**wrong).warehouses()
    assert caught.value.code == code


def test_a_write_whose_answer_is_lost_happened_once_and_is_found_by_looking(shop: Shop, client: TikTokClient) -> None:
    order = client.get_orders([shop.place()])[0]
    carrier = provider(client, order)
    shop.tell("faults", kind="lost_answer", operation="/fulfillment/*", times=1)
    line = order["line_items"][0]["id"]
    with pytest.raises(Uncertain):
        client.mark_shipped(order["id"], line_ids=[line], tracking_number="TT0001", shipping_provider_id=carrier)
    assert len(shop.truth(order["id"])["packages"]) == 1
    assert client.get_orders([order["id"]])[0]["status"] == "AWAITING_COLLECTION"


@pytest.mark.parametrize("fault", [{"kind": "gateway_timeout"}, {"kind": "malformed_json"}, {"kind": "server_error"}, {"kind": "server_error", "html": True}])
def test_other_lost_answers_of_writes_are_uncertain_too(fault: dict[str, Any], shop: Shop, client: TikTokClient) -> None:
    order = client.get_orders([shop.place()])[0]
    carrier = provider(client, order)
    shop.tell("faults", operation="/fulfillment/*", times=1, **fault)
    with pytest.raises(Uncertain):
        client.mark_shipped(order["id"], line_ids=[order["line_items"][0]["id"]], tracking_number="TT0001", shipping_provider_id=carrier)


@pytest.mark.parametrize(
    "fault",
    [{"kind": "lost_answer"}, {"kind": "malformed_json"}, {"kind": "server_error"}, {"kind": "rate_limit"}, {"kind": "rate_limit", "retry_after": 1}],
)
def test_reads_survive_two_faults_in_a_row(fault: dict[str, Any], shop: Shop, client: TikTokClient) -> None:
    shop.tell("faults", operation="/logistics/*", times=2, **fault)
    assert client.warehouses()


def test_a_storm_of_429_is_handed_to_the_caller(shop: Shop, client: TikTokClient) -> None:
    shop.tell("faults", kind="rate_limit", operation="/logistics/*", retry_after=30)
    with pytest.raises(RateLimited) as caught:
        client.warehouses()
    assert caught.value.retry_after == 30
    assert not isinstance(caught.value, Rejected)


def test_refusals_of_shipping_are_named(shop: Shop, client: TikTokClient) -> None:
    held = shop.tell("orders", shop="GB", lines=[{"sku": "MUG-01"}], shipping_type="SELLER", fulfillment_type="FULFILLMENT_BY_SELLER")
    order = client.get_orders([held["id"]])[0]
    line = order["line_items"][0]["id"]
    with pytest.raises(Rejected) as caught:
        client.mark_shipped(held["id"], line_ids=[line], tracking_number="TT0001", shipping_provider_id=provider(client, order))
    assert caught.value.code == "tts.on_hold"
    with pytest.raises(NotFound):
        client.package("1")


def test_cancelling_and_answering_a_buyer(shop: Shop, client: TikTokClient) -> None:
    mine, asked, refused = shop.place(), shop.place(), shop.place()
    eligible = client.aftersale_eligibility(mine)[0]["line_item_eligibility"][0]
    assert client.cancel_order(mine, cancel_reason=eligible["available_reason_names"][0])["cancel_id"]
    with pytest.raises(Rejected) as caught:
        client.cancel_order(asked, cancel_reason="no such reason")
    assert caught.value.code == "tts.cancel_reason"
    for order_id in (asked, refused):
        shop.tell(f"orders/{order_id}/cancel", by="BUYER")
    requests_ = {c["order_id"]: c["cancel_id"] for c in client.iter_cancellations({"order_ids": [asked, refused]})}
    decisions = {d["decision"]: d["eligible"] for d in client.decision_eligibility(requests_[asked])}
    assert decisions["APPROVE_REQUEST_CANCEL"]
    client.approve_cancellation(requests_[asked], idempotency_key="k1")
    client.reject_cancellation(requests_[refused], reject_reason=client.reject_reasons(requests_[refused])[0]["name"], idempotency_key="k2")
    statuses = {o["id"]: o["status"] for o in client.get_orders([mine, asked, refused])}
    assert statuses == {mine: "CANCELLED", asked: "CANCELLED", refused: "AWAITING_SHIPMENT"}


def test_webhooks_are_set_listed_and_removed(client: TikTokClient) -> None:
    client.set_webhook("ORDER_STATUS_CHANGE", "https://127.0.0.1:9/hooks")
    assert [(w["event_type"], w["address"]) for w in client.webhooks()] == [("ORDER_STATUS_CHANGE", "https://127.0.0.1:9/hooks")]
    client.remove_webhook("ORDER_STATUS_CHANGE")
    assert client.webhooks() == []


def test_sixteen_threads_read_one_shop(shop: Shop, client: TikTokClient) -> None:
    ids = [shop.place() for _ in range(16)]
    read: Callable[[str], str] = lambda order_id: str(client.get_orders([order_id])[0]["id"])  # noqa: E731
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(read, ids * 4)) == ids * 4


def test_a_stopped_marketplace_is_unavailable(tmp_path: Any) -> None:
    from connector.practice.serve import PracticeServer

    with PracticeServer("tiktok", tmp_path) as server:
        shop = Shop(server.url)
        client = shop.client()
        client.warehouses()
    with pytest.raises(Unavailable) as caught:
        client.warehouses()
    assert caught.value.code == "net.unreachable"

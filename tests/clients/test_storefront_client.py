"""The client of an external storefront (S4; A243, A244, A247-A249) against the practice storefront, and against a server that misbehaves as told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from connector.clients import errors as api
from connector.clients.base import CallRecord, Transport
from connector.clients.storefront import Grant, StorefrontClient, TokenCache
from connector.practice.serve import PracticeServer
from tests.clients.scripted import Reply, ScriptedServer

ORDER: dict[str, Any] = {
    "externalOrderId": "5764", "externalChannel": "TIKTOK_SHOP", "c_externalOrderStatus": "New",
    "payment": {"method": "SOCIAL_PAY", "amount": "24.00", "currency": "GBP", "captured": False}, "customer": {"firstName": "Buyer"},
    "shippingAddress": {"address1": "1 Test Street"}, "items": [{"externalLineIds": ["1", "2"], "sku": "MUG-01", "quantity": 2, "unitPrice": "12.00"}],
    "shipping": "0.00", "tax": "0.00", "total": "24.00", "placedAt": "2026-01-31T12:00:00Z", "notify": False,
}  # fmt: skip
TOKEN = Reply(body={"access_token": "token-never-shown", "expires_in": 1800})


def control(server: PracticeServer, path: str, **body: Any) -> Any:
    answer = requests.post(f"{server.url}/practice/{path}", json=body, timeout=10)
    assert answer.ok, answer.text
    return answer.json()


@pytest.fixture
def store(practice_storefront: PracticeServer, transport: Transport) -> Callable[..., StorefrontClient]:
    given = requests.get(f"{practice_storefront.url}/practice/client", timeout=10).json()

    def make(**rest: Any) -> StorefrontClient:
        facts = {"base_url": practice_storefront.url, "client_id": given["client_id"], "client_secret": given["client_secret"], "account_key": "s1"}
        return StorefrontClient(transport, **facts | rest)

    return make


def test_an_order_is_created_once_found_changed_by_etag_and_listed_by_change(
    practice_storefront: PracticeServer, store: Callable[..., StorefrontClient], records: list[CallRecord]
) -> None:
    client = store()
    assert client.environment() == {"environment": "development", "storefrontProtection": True, "paymentCapture": False, "confirmationEmails": False}
    assert client.find_by_external_id("5764") is None
    began = datetime.now(UTC) - timedelta(seconds=1)
    first, again = client.create_external_order(ORDER), client.create_external_order(ORDER)
    assert (first.status, first.created, again) == ("New", True, type(first)(first.order_no, "New", False))
    found = client.find_by_external_id("5764")
    assert found is not None
    assert found["orderNo"] == first.order_no
    seen = client.get_order(first.order_no)
    client.patch_order(first.order_no, {"tags": ["a"]}, etag=seen.etag)
    with pytest.raises(api.Conflict) as changed:
        client.patch_order(first.order_no, {"tags": ["b"]}, etag=seen.etag)
    assert changed.value.code == "sto.changed"
    done = client.patch_order(first.order_no, {"c_externalOrderStatus": "CANCELLED"}, etag=client.get_order(first.order_no).etag)
    assert (done.order["status"], done.order["tags"]) == ("CANCELLED", ["a"])
    with pytest.raises(api.Conflict) as final:
        client.patch_order(first.order_no, {"c_externalOrderStatus": "New"}, etag=done.etag)
    assert final.value.code == "sto.conflict"
    control(practice_storefront, "stock", sku="MUG-01", available=1000)
    others = [client.create_external_order({**ORDER, "externalOrderId": f"x{number}"}).order_no for number in range(103)]
    assert [row["orderNo"] for row in client.orders_modified_since(began)] == [first.order_no, *others]
    assert list(client.orders_modified_since(datetime.now(UTC) + timedelta(hours=1))) == []
    with pytest.raises(api.NotFound):
        client.get_order("EXT99999999")
    assert [one.operation for one in records].count("token") == 1
    assert all(b"token-" not in (one.response_body or b"") for one in records if one.operation == "token")


def test_refusals_name_what_is_wrong_and_a_refused_token_is_renewed_once(
    practice_storefront: PracticeServer, store: Callable[..., StorefrontClient], records: list[CallRecord]
) -> None:
    client = store()
    client.environment()
    control(practice_storefront, "tokens/expire")
    client.environment()
    assert [one.operation for one in records] == ["token", "environment", "environment", "token", "environment"]
    with pytest.raises(api.Unauthorized) as stranger:
        store(client_secret="wrong").environment()
    assert stranger.value.code == "sto.client"
    for sku, quantity, code in (("NO-SUCH-SKU", 1, "sto.sku_unknown"), ("ONE-LEFT", 2, "sto.out_of_stock")):
        with pytest.raises(api.Rejected) as refused:
            client.create_external_order({**ORDER, "items": [{**ORDER["items"][0], "sku": sku, "quantity": quantity}]})
        assert refused.value.code == code
        assert sku in (refused.value.remote_message or "")
        assert api.describe(refused.value).advice
    control(practice_storefront, "faults", kind="lost_answer", operation="create")
    with pytest.raises(api.Uncertain):
        client.create_external_order(ORDER)
    assert not client.create_external_order(ORDER).created
    control(practice_storefront, "faults", kind="server_error", operation="get", times=1)
    assert client.get_order(str((client.find_by_external_id("5764") or {})["orderNo"])).etag


def test_a_store_that_answers_nonsense_is_told_apart_from_one_that_refuses(server: ScriptedServer, transport: Transport) -> None:
    client = StorefrontClient(transport, base_url=f"{server.url}/", client_id="id with space", client_secret="s&cret")
    server.then(TOKEN, Reply(body="<html>", content_type="text/html"), Reply(body="<html>"), Reply(body="<html>"))
    with pytest.raises(api.Unexpected):
        client.environment()
    assert server.received[0].headers["authorization"] == "Basic aWQlMjB3aXRoJTIwc3BhY2U6cyUyNmNyZXQ="
    server.then(Reply(200, {"no": "order"}))
    with pytest.raises(api.Uncertain):
        client.create_external_order(ORDER)
    server.then(Reply(403, {"title": "Forbidden", "detail": "orders:write is missing"}))
    with pytest.raises(api.Unauthorized) as missing:
        client.get_order("EXT1")
    assert (missing.value.code, missing.value.remote_message) == ("sto.forbidden", "Forbidden: orders:write is missing")
    server.then(Reply(429, {"title": "Too Many Requests"}, {"Retry-After": "7"}))
    with pytest.raises(api.RateLimited) as paced:
        client.create_external_order(ORDER)
    assert paced.value.retry_after == 7


def test_a_token_is_asked_for_again_shortly_before_it_ends() -> None:
    now, asked = [0.0], []

    def ask() -> Grant:
        asked.append(now[0])
        return Grant(f"t{len(asked)}", 1800)

    cache = TokenCache(now=lambda: now[0])
    assert [cache.get("k", ask), cache.get("k", ask)] == ["t1", "t1"]
    now[0] = 1771
    assert cache.get("k", ask) == "t2"
    cache.drop("k", "t1")
    assert cache.get("k", ask) == "t2"
    cache.drop("k", "t2")
    assert cache.get("k", ask) == "t3"

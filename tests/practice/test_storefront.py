"""The practice external storefront: S4's CreateExternalOrder, GetOrder, PATCH Order, over real HTTP (A243-A250, A260-A264)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from connector.practice.serve import PracticeServer
from tests.factories.shop import Controls

SKU = "ONE-LEFT"


class Caller:
    """A bare client: `api` with a bearer token, `control` for the merchant's side."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        self.authorize()

    def authorize(self) -> dict[str, Any]:
        client = self.control("GET", "client")
        answer = requests.post(
            f"{self.url}/oauth/token", auth=(client["client_id"], client["client_secret"]), data={"grant_type": "client_credentials"}, timeout=10
        )
        assert answer.status_code == 200
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer.json()

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        return self.http.request(method, f"{self.url}{path}", json=body, headers=headers, timeout=10)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, f"{self.url}/practice/{path}", json=body, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def create(self, external_id: str, *items: tuple[str, int], **more: Any) -> requests.Response:
        return self.api("POST", "/api/orders", {**an_order(external_id, *items), **more})

    def stock(self, sku: str) -> dict[str, int]:
        ledger = self.control("GET", f"ledger?sku={sku}")
        assert ledger["balanced"]
        return {name: ledger["stock"][0][name] for name in ("available", "allocated", "shipped")}


def an_order(external_id: str, *items: tuple[str, int]) -> dict[str, Any]:
    lines = [
        {"externalLineIds": [f"{external_id}-{sku}-{n}" for n in range(units)], "sku": sku, "name": sku, "quantity": units, "unitPrice": "10.00", "tax": "0.00",
         "discount": "0.00"} for sku, units in items or [("MUG-01", 1)]
    ]  # fmt: skip
    total = f"{10 * sum(line['quantity'] for line in lines) + 5}.00"
    return {
        "externalOrderId": external_id, "externalChannel": "TIKTOK_SHOP", "c_externalOrderStatus": "New",
        "payment": {"method": "SOCIAL_PAY", "amount": total, "currency": "GBP", "captured": False},
        "customer": {"name": "Buyer 0042 Example", "email": "buyer@example.test"}, "shippingAddress": {"line1": "1 Example Street", "city": "Leeds"},
        "items": lines, "shipping": "5.00", "tax": "0.00", "total": total, "placedAt": "2026-01-31T12:00:00Z", "notify": False,
    }  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeServer]:
    with PracticeServer("storefront", tmp_path_factory.mktemp("storefront"), threads=8) as running:
        yield running


@pytest.fixture
def store(server: PracticeServer) -> Caller:
    requests.post(f"{server.url}/practice/reset", timeout=10).raise_for_status()
    return Caller(server.url)


def test_an_order_is_created_once_shipped_in_part_and_cancelled_for_the_rest(store: Caller, server: PracticeServer) -> None:
    """A243, A244, A260, A264: idempotent creation, units conserved, CANCELLED final, the tag, and everything still there after a kill."""
    before = store.stock("MUG-01")["available"]
    answers: list[requests.Response] = []
    callers = [threading.Thread(target=lambda: answers.append(store.create("5770001", ("MUG-01", 3)))) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    (no,) = {answer.json()["orderNo"] for answer in answers}
    assert [answer.json()["created"] for answer in answers].count(True) == 1
    assert store.stock("MUG-01") == {"available": before - 3, "allocated": 3, "shipped": 0}

    read = store.api("GET", f"/api/orders/{no}")
    order = read.json()
    assert (order["status"], order["c_externalOrderStatus"], order["shippingStatus"], order["tags"]) == ("NEW", "New", "NOT_SHIPPED", [])
    moved = store.api("PATCH", f"/api/orders/{no}", {"shippingAddress": {"line1": "2 New Road"}}, **{"If-Match": read.headers["ETag"]})
    assert moved.json()["shippingAddress"] == {"line1": "2 New Road"}
    stale = store.api("PATCH", f"/api/orders/{no}", {"tags": ["x"]}, **{"If-Match": read.headers["ETag"]})
    assert (stale.status_code, stale.headers["Content-Type"]) == (412, "application/problem+json")

    store.control("POST", f"orders/{no}/ship", {"carrier": "DPD UK", "trackingNumber": "T1", "items": [{"sku": "MUG-01", "quantity": 2}]})
    found = store.api("GET", "/api/orders?externalOrderId=5770001").json()
    assert (found["shippingStatus"], found["shipments"][0]["trackingNumber"]) == ("PART_SHIPPED", "T1")
    assert found["shipments"][0]["items"][0]["externalLineIds"] == ["5770001-MUG-01-0", "5770001-MUG-01-1"]
    assert store.api("PATCH", f"/api/orders/{no}", {"shippingAddress": {"line1": "3 Late Lane"}}).status_code == 409

    for _ in range(3):  # returned to the shelf once, however often it is said
        cancelled = store.api("PATCH", f"/api/orders/{no}", {"c_externalOrderStatus": "CANCELLED", "tags": ["cancel after shipped"]})
        assert cancelled.status_code == 200
    assert store.stock("MUG-01") == {"available": before - 2, "allocated": 0, "shipped": 2}
    assert store.api("PATCH", f"/api/orders/{no}", {"c_externalOrderStatus": "New"}).status_code == 409
    refused = requests.post(f"{store.url}/practice/orders/{no}/ship", json={"trackingNumber": "T2"}, timeout=10)
    assert (refused.status_code, "cancelled" in refused.json()["error"]) == (409, True)

    server.kill()
    server.start()
    again = store.api("GET", f"/api/orders/{no}")
    assert again.json() == cancelled.json()
    assert again.json()["tags"] == ["cancel after shipped"]


def test_what_the_store_cannot_sell_or_read_is_a_problem_that_names_the_field(store: Caller) -> None:
    assert store.create("1", (SKU, 1)).status_code == 201
    short = store.create("2", (SKU, 1), ("MUG-01", 1))
    assert (short.status_code, [(error["sku"], error["code"]) for error in short.json()["errors"]]) == (422, [(SKU, "OUT_OF_STOCK")])
    assert store.stock("MUG-01")["allocated"] == 0, "all lines or none"
    assert store.create("3", ("NOBODY-KNOWS", 1)).json()["errors"][0]["code"] == "UNKNOWN_SKU"
    wrong = store.create("4", c_externalOrderStatus="CANCELLED", payment={"method": "CARD", "amount": "1.00", "currency": "GBP", "captured": True})
    fields = {error["field"] for error in wrong.json()["errors"]}
    assert fields == {"c_externalOrderStatus", "payment.method", "payment.amount", "payment.captured"}
    assert store.api("GET", "/api/orders?externalOrderId=4").status_code == 404
    store.control("POST", "settings", {"oversell": True})
    assert store.create("2", (SKU, 1)).status_code == 201
    assert store.stock(SKU) == {"available": -1, "allocated": 2, "shipped": 0}


def test_changes_are_read_in_pages_and_none_is_missed(store: Caller) -> None:
    numbers = [store.create(f"57{n:04d}").json()["orderNo"] for n in range(7)]
    query, seen, cursor = "/api/orders?modifiedSince=2026-01-01T00:00:00Z&limit=3", [], ""
    while True:
        page = store.api("GET", f"{query}&cursor={cursor}").json()
        seen += [order["orderNo"] for order in page["orders"]]
        if len(seen) == 3:  # it moves to the end while somebody is reading
            store.control("POST", f"orders/{numbers[0]}/ship", {"trackingNumber": "T"})
        cursor = page["nextCursor"]
        if not page["more"]:
            break
    assert seen == [*numbers, numbers[0]]
    store.control("POST", f"orders/{numbers[5]}/cancel", {"reason": "sold in the shop"})
    later = store.api("GET", f"{query}&cursor={cursor}").json()
    assert [(order["orderNo"], order["cancelledBy"]) for order in later["orders"]] == [(numbers[5], "merchant")]
    assert store.api("GET", "/api/orders?modifiedSince=2099-01-01T00:00:00Z").json()["orders"] == []
    for bad in ("cursor=x", "modifiedSince=yesterday", "limit=0"):
        assert store.api("GET", f"/api/orders?{bad}").status_code == 422


def test_the_safeguards_keep_strangers_money_and_mails_away(store: Caller) -> None:
    """A247-A249: protection answers 401 to strangers; without capture and mails the ledgers stay empty of both."""
    for page in ("/", "/orders"):
        assert requests.get(f"{store.url}{page}", timeout=10).status_code == 401
        assert requests.get(f"{store.url}{page}", auth=("storefront", "practice"), timeout=10).status_code == 200
    assert store.create("1", notify=True).status_code == 201
    assert (store.control("GET", "payments")["captured"], store.control("GET", "emails")) == (0, [])
    store.control("POST", "settings", {"environment": "production", "storefrontProtection": False, "paymentCapture": True, "confirmationEmails": True})
    expected = {"environment": "production", "storefrontProtection": False, "paymentCapture": True, "confirmationEmails": True}
    assert store.api("GET", "/api/environment").json() == expected
    assert requests.get(f"{store.url}/", timeout=10).status_code == 200
    store.create("2")
    assert (store.control("GET", "payments")["captured"], store.control("GET", "emails")) == (0, [])
    store.create("3", notify=True)
    assert [mail["kind"] for mail in store.control("GET", "emails")] == ["confirmation"]


def test_tokens_end_and_faults_strike_as_told(store: Caller) -> None:
    client = store.control("GET", "client")
    assert store.authorize()["expires_in"] == 1800
    wrong = requests.post(f"{store.url}/oauth/token", auth=(client["client_id"], "no"), data={"grant_type": "client_credentials"}, timeout=10)
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert requests.get(f"{store.url}/api/environment", timeout=10).status_code == 401
    store.control("POST", "tokens/expire")
    assert store.api("GET", "/api/environment").json()["error"] == "invalid_token"
    store.authorize()

    store.control("POST", "faults", {"kind": "lost_answer", "operation": "create"})
    with pytest.raises(requests.ConnectionError):
        store.create("9", ("MUG-01", 1))
    assert store.create("9", ("MUG-01", 1)).json()["created"] is False, "the order was made although the answer was lost"
    store.control("POST", "faults", {"kind": "server_error", "status": 503, "operation": "g*", "times": 1})
    store.control("POST", "faults", {"kind": "rate_limit", "operation": "patch", "retry_after": 2})
    assert [store.api("GET", "/api/orders/EXT99999999").status_code for _ in range(2)] == [503, 404]
    limited = store.api("PATCH", "/api/orders/EXT99999999", {"tags": []})
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "2")
    assert store.control("GET", "calls")["operations"]["create"] == {"no answer": 1, "200": 1}

    for effect, meanwhile in (("", 0), ("before", 1)):
        with ThreadPoolExecutor(1) as pool:
            with Controls(store.url).held(operation="create", effect=effect) as there:
                creating = pool.submit(store.create, f"held {effect}")
                there()
                orders = store.control("GET", f"orders?externalOrderId=held%20{effect}")["total"]
                assert (orders, creating.done()) == (meanwhile, False)
            assert (creating.result(20).status_code, store.control("GET", f"orders?externalOrderId=held%20{effect}")["total"]) == (201, 1)


def test_a_person_ships_and_cancels_in_the_console(store: Caller) -> None:
    first, second = (store.create(each).json()["orderNo"] for each in ("1", "2"))
    assert first in requests.get(f"{store.url}/console", timeout=10).text
    shipped = requests.post(f"{store.url}/console/orders/{first}/ship", data={"trackingNumber": "T77"}, timeout=10)
    assert (shipped.status_code, "T77" in shipped.text) == (200, True)
    requests.post(f"{store.url}/console/orders/{second}/cancel", timeout=10)
    assert "shipped already" in requests.post(f"{store.url}/console/orders/{first}/cancel", timeout=10).text
    foreign = requests.post(f"{store.url}/console/orders/{first}/cancel", headers={"Origin": "http://elsewhere.example"}, timeout=10)
    assert foreign.status_code == 403
    assert store.control("GET", "orders")["by_status"] == {"COMPLETED": 1, "CANCELLED": 1}

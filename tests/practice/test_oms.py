"""The practice OMS against a scripted product, over real HTTP (A251-A255, A265)."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.config import Config
from connector.practice.oms.signing import signed, what_is_wrong
from connector.practice.serve import PracticeServer
from connector.supervisor.tree import practice_urls
from tests.clients.scripted import Reply, ScriptedServer
from tests.factories.shop import Controls
from tests.factories.waiting import until

SECRET, API_TOKEN, PULL_TOKEN = "a shared secret", "api token", "pull token"


class Oms:
    """The OMS of account 7 of the scripted product."""

    def __init__(self, url: str, product: ScriptedServer) -> None:
        self.url, self.product = url, product
        self.control("POST", "reset")
        known = {"product_url": product.url, "account_id": 7, "secret": SECRET, "api_token": API_TOKEN, "pull_token": PULL_TOKEN}
        self.control("POST", "settings", known)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, f"{self.url}/practice/{path}", json=body, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def announce(self, feed_id: int, content: bytes, format_: str = "jsonl", secret: str = SECRET, age: int = 0, **more: Any) -> requests.Response:
        digest = hashlib.sha256(content).hexdigest()
        call = {
            "event": "feed.ready", "feed_id": feed_id, "account": "Shop", "number": feed_id, "format": format_, "rows": 2, "bytes": len(content),
            "sha256": digest, "url": f"{self.product.url}/api/v1/feeds/{feed_id}/file", "created_at": "2026-01-31T12:00:00Z", **more,
        }  # fmt: skip
        body = json.dumps(call).encode()
        return requests.post(f"{self.url}/feed-ready", data=body, headers=signed(secret, body, age=age), timeout=20)

    def settled(self, feed_id: int) -> dict[str, Any]:
        """The feed when its collection has ended, well or not."""

        def ended() -> dict[str, Any] | None:
            feed = next(each for each in self.control("GET", "feeds")["feeds"] if each["feed_id"] == feed_id)
            return None if feed["state"] in ("announced", "collecting") else feed

        return until(ended, f"the end of the collection of feed {feed_id}")

    def pull(self, cursor: str = "", limit: int = 2, token: str = PULL_TOKEN) -> requests.Response:
        return requests.get(f"{self.url}/statuses", params={"cursor": cursor, "limit": limit}, headers={"Authorization": f"Bearer {token}"}, timeout=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeServer]:
    with PracticeServer("oms", tmp_path_factory.mktemp("oms"), threads=8) as running:
        yield running


@pytest.fixture
def oms(server: PracticeServer) -> Iterator[Oms]:
    product = ScriptedServer()
    yield Oms(server.url, product)
    product.stop()


def lines(*orders: tuple[str, str]) -> bytes:
    return b"".join(json.dumps({"number": number, "status": status}).encode() + b"\n" for number, status in orders)


def test_a_feed_is_collected_resumed_checked_and_its_orders_shipped_once(oms: Oms, server: PracticeServer) -> None:
    """A251, A252: the call's signature, the authenticated download broken off and resumed, the digest, then one signed event an order."""
    feed = lines(("5770001", "AWAITING_SHIPMENT"), ("5770002", "ON_HOLD"))
    assert oms.announce(1, feed, secret="another").status_code == 401
    assert oms.announce(1, feed, age=301).status_code == 401
    assert oms.control("GET", "feeds")["feeds"] == []
    oms.control("POST", "settings", {"break_after": 40, "auto_ship": True, "carrier": "Royal Mail"})
    oms.product.then(Reply(200, feed), Reply(206, feed[40:]), Reply(202, {"accepted": 1, "repeated": 0, "rejected": []}))
    assert oms.announce(1, feed).status_code == 202
    collected = oms.settled(1)
    assert (collected["state"], collected["resumed"], collected["received"], collected["orders"]) == ("verified", 1, len(feed), 2)
    assert requests.get(f"{oms.url}/practice/feeds/1/file", timeout=10).content == feed

    until(lambda: len(oms.product.received) >= 3, "the shipment's event")
    whole, rest, event = oms.product.received
    assert {whole.headers["Authorization"], rest.headers["Authorization"]} == {f"Bearer {API_TOKEN}"}
    assert ("Range" in whole.headers, rest.headers["Range"], rest.headers["If-Range"]) == (False, "bytes=40-", f'"{collected["sha256"]}"')
    assert (event.path, what_is_wrong(SECRET, event.headers, event.body)) == ("/api/v1/accounts/7/events", "")
    (told,) = event.json["events"]
    assert (told["type"], told["order_id"], told["carrier"], bool(told["tracking_number"])) == ("shipped", "5770001", "Royal Mail", True)

    again = oms.announce(1, feed)
    assert (again.status_code, again.json()["repeated"]) == (200, True)
    oms.control("POST", "settings", {"break_after": 0})
    later = lines(("5770001", "AWAITING_SHIPMENT"))
    oms.product.then(Reply(200, later), Reply(200, b"other bytes " + b"x" * (len(later) - 12)))
    oms.announce(2, later)
    assert oms.settled(2)["state"] == "verified"
    oms.announce(3, later)
    assert "sha256" in oms.settled(3)["problem"]
    assert len(oms.product.received) == 5, "the order was shipped already: nothing more was told"

    oms.announce(4, later, url="http://127.0.0.1:9/steals/the/token")
    assert (oms.settled(4)["state"], len(oms.product.received)) == ("failed", 5)
    server.kill()
    server.start()
    assert {order["order_id"]: order["shipped"] for order in oms.control("GET", "orders")["orders"]} == {"5770001": True, "5770002": False}
    assert [call["status"] for call in oms.control("GET", "calls")["calls"]] == [401, 401, 202, 200, 202, 202, 202]


def test_a_csv_feed_is_read_order_by_order(oms: Oms) -> None:
    feed = b"order_number,status,sku\r\n1,AWAITING_SHIPMENT,A\r\n1,AWAITING_SHIPMENT,B\r\n2,CANCELLED,A\r\n"
    oms.product.then(Reply(200, feed))
    oms.announce(1, feed, "csv")
    assert oms.settled(1)["orders"] == 2
    orders = oms.control("GET", "orders")
    assert orders["by_status"] == {"AWAITING_SHIPMENT": 1, "CANCELLED": 1}
    assert [row["sku"] for row in orders["orders"][0]["doc"]["rows"]] == ["A", "B"]


def test_events_are_sent_signed_repeated_shuffled_and_badly_signed_on_demand(oms: Oms) -> None:
    oms.product.default = Reply(202, {"accepted": 1, "repeated": 0, "rejected": []})
    wishes = [{"type": "shipped", "order_id": str(n), "tracking_number": f"T{n}", "carrier": "USPS"} for n in range(4)]
    sent = oms.control("POST", "events", {"events": wishes, "repeat": 3, "shuffle": True, "per_call": 1, "seed": 3})
    told = [call.json["events"][0] for call in oms.product.received]
    assert len(told) == 12
    assert sorted(event["id"] for event in told) == sorted([event["id"] for event in sent["events"]] * 3)
    assert [event["order_id"] for event in told] != [event["order_id"] for event in sent["events"]] * 3
    assert all(what_is_wrong(SECRET, call.headers, call.body) == "" for call in oms.product.received)
    oms.control("POST", "events", {"type": "cancelled", "order_id": "1", "reason": "out of stock", "wrong_signature": True})
    oms.control("POST", "events", {"type": "delivered", "order_id": "1", "age": 600})
    forged, old = oms.product.received[-2:]
    assert what_is_wrong(SECRET, forged.headers, forged.body) == "the signature is wrong"
    assert what_is_wrong(SECRET, old.headers, old.body) == "the call is older than five minutes"
    assert requests.post(f"{oms.url}/practice/events", json={"type": "exploded", "order_id": "1"}, timeout=10).status_code == 400


def test_the_pull_gives_every_event_once_and_the_same_cursor_the_same_events(oms: Oms) -> None:
    for n in range(5):
        oms.control("POST", "events", {"id": f"e{n}", "type": "delivered", "order_id": str(n), "via": "pull"})
    oms.control("POST", "events", {"id": "e0", "type": "delivered", "order_id": "0", "via": "pull"})
    assert oms.pull(token="wrong").status_code == 401
    oms.control("POST", "faults", {"kind": "server_error", "operation": "statuses", "status": 503})
    assert oms.pull().status_code == 503
    with ThreadPoolExecutor(1) as pool:
        with Controls(oms.url).held(operation="statuses") as there:
            held = pool.submit(oms.pull)
            there()
            assert not held.done()
            assert oms.pull().status_code == 200, "only one call is held"
        assert held.result(20).status_code == 200
    seen, cursor, more = [], "", True
    while more:
        page = oms.pull(cursor).json()
        assert page == oms.pull(cursor).json()
        seen += [event["id"] for event in page["events"]]
        cursor, more = page["next_cursor"], page["more"]
    assert seen == ["e0", "e1", "e2", "e3", "e4"]
    assert oms.pull(cursor).json() == {"events": [], "next_cursor": cursor, "more": False}
    assert oms.product.received == []


def test_a_batch_is_exported_as_csv_or_json_into_a_folder_or_by_upload(oms: Oms, tmp_path: Path) -> None:
    """A255: one row an item in CSV, whole files only in the folder, what was exported does not come again."""
    parcel = {"type": "shipped", "order_id": "5770001", "tracking_number": "T1", "carrier": "USPS"}
    oms.control("POST", "events", {**parcel, "id": "a", "items": [{"sku": "MUG-01", "quantity": 2}, {"sku": "CAP, red", "quantity": 1}], "via": "export"})
    oms.control("POST", "events", {"id": "b", "type": "cancelled", "order_id": "5770002", "reason": "buyer asked", "via": "export"})
    made = oms.control("POST", "export", {"format": "csv", "folder": str(tmp_path / "in"), "name": "one.csv"})
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["one.csv"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "in" / "one.csv").read_text())))
    assert [(row["event_id"], row["order_id"], row["action"], row["sku"], row["quantity"], row["reason"]) for row in rows] == [
        ("a", "5770001", "shipped", "MUG-01", "2", ""), ("a", "5770001", "shipped", "CAP, red", "1", ""), ("b", "5770002", "cancelled", "", "", "buyer asked"),
    ]  # fmt: skip
    assert (made["rows"], oms.control("POST", "export", {"format": "json"})["rows"]) == (2, 0)
    oms.product.then(Reply(202, {"id": 5}))
    uploaded = oms.control("POST", "export", {"format": "json", "upload": True, "entries": [parcel]})
    (call,) = oms.product.received
    assert (call.path, call.headers["Authorization"], call.headers["Content-Type"]) == ("/api/v1/accounts/7/batches", f"Bearer {API_TOKEN}", "application/json")
    assert [event["tracking_number"] for event in call.json["events"]] == ["T1"]
    assert uploaded["answer"] == {"status": 202, "body": {"id": 5}}


def test_a_person_in_the_warehouse_tells_the_product_and_reads_its_refusal(oms: Oms) -> None:
    oms.product.then(Reply(200, lines(("5770001", "AWAITING_SHIPMENT"))))
    oms.announce(1, lines(("5770001", "AWAITING_SHIPMENT")))
    oms.settled(1)
    assert "5770001" in requests.get(f"{oms.url}/", timeout=10).text
    oms.product.then(Reply(202, {"accepted": 1, "repeated": 0, "rejected": []}), Reply(401, {"code": "api.signature"}))
    told = requests.post(f"{oms.url}/console/orders/5770001", data={"type": "shipped", "tracking_number": "T9"}, timeout=10)
    assert (told.status_code, "The connector answered" in told.text) == (200, False)
    assert oms.product.received[-1].json["events"][0]["tracking_number"] == "T9"
    refused = requests.post(f"{oms.url}/console/orders/5770001", data={"type": "cancelled"}, timeout=10)
    assert "The connector answered 401" in refused.text


def test_an_oms_at_another_host_than_127_0_0_1_is_a_real_one_and_no_practice_oms_is_started(tmp_path: Path) -> None:
    config = Config(instance=tmp_path, database_url="", redis_url="", secret_key="", encryption_keys=(), practice_oms_url="http://localhost:9000")
    assert list(practice_urls(config)) == ["tiktok", "magento", "storefront"]

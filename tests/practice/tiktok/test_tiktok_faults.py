"""Faults on demand (TTS §8 points 11 and 12)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.factories.shop import Controls
from tests.factories.waiting import until

from .seller import Seller

SEARCH = "/order/202309/orders/search"


def fault(seller: Seller, kind: str, operation: str = "orders.search", **more: Any) -> dict[str, Any]:
    return seller.control("POST", "faults", {"kind": kind, "operation": operation, **more})


def search(seller: Seller) -> requests.Response:
    return seller.call("POST", SEARCH, body={}, page_size=10)


def shipment(seller: Seller, order_id: str) -> tuple[str, dict[str, Any]]:
    return f"/fulfillment/202309/orders/{order_id}/packages", {"tracking_number": "FAULT-1", "shipping_provider_id": seller.provider()}


@pytest.mark.parametrize(
    ("kind", "more", "status", "code"),
    [
        ("expired_token", {}, 401, 105002),
        ("rate_limit", {}, 429, 36009002),
        ("server_error", {}, 500, 36009003),
        ("server_error", {"status": 503}, 503, 36009003),
        ("gateway_timeout", {"effect": False}, 408, 36009007),
    ],
)
def test_a_fault_strikes_when_and_as_often_as_it_was_told(seller: Seller, kind: str, more: dict[str, Any], status: int, code: int) -> None:
    fault(seller, kind, after=1, times=2, **more)
    answers = [search(seller) for _ in range(4)]
    assert [each.status_code for each in answers] == [200, status, status, 200]
    assert [each.json()["code"] for each in answers] == [0, code, code, 0]
    assert seller.control("GET", "faults")["faults"][0]["hits"] == 2


def test_a_429_carries_retry_after_only_when_asked(seller: Seller) -> None:
    fault(seller, "rate_limit", times=1)
    fault(seller, "rate_limit", times=1, retry_after=7)
    assert "Retry-After" not in search(seller).headers
    assert search(seller).headers["Retry-After"] == "7"


def test_a_proxy_page_is_not_json(seller: Seller) -> None:
    fault(seller, "server_error", status=502, html=True, times=1)
    answer = search(seller)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (502, "text/html")


def test_a_lost_answer_has_its_effect_and_closes_the_connection(seller: Seller) -> None:
    order_id = seller.place()
    path, body = shipment(seller, order_id)
    fault(seller, "lost_answer", "packages.*", times=1)
    with pytest.raises(requests.ConnectionError):
        seller.call("POST", path, body=body)
    assert seller.order(order_id)["status"] == "AWAITING_COLLECTION"
    assert seller.code("POST", path, body=body) == 21011006


def test_a_timeout_before_has_no_effect_and_a_timeout_after_has(seller: Seller) -> None:
    for kind, status in (("timeout_before", "AWAITING_SHIPMENT"), ("timeout_after", "AWAITING_COLLECTION")):
        order_id = seller.place()
        path, body = shipment(seller, order_id)
        fault(seller, kind, "packages.mark_shipped", times=1, seconds=0.5)
        started = time.monotonic()
        with pytest.raises(requests.ConnectionError):
            seller.call("POST", path, body=body)
        assert time.monotonic() - started >= 0.5
        assert seller.order(order_id)["status"] == status


def test_a_gateway_timeout_may_hide_an_effect(seller: Seller) -> None:
    order_id = seller.place()
    path, body = shipment(seller, order_id)
    fault(seller, "gateway_timeout", "packages.mark_shipped", times=1)
    assert seller.code("POST", path, body=body) == 36009007
    assert seller.order(order_id)["status"] == "AWAITING_COLLECTION"


def test_an_accepted_edit_can_do_nothing(seller: Seller) -> None:
    order_id = seller.place()
    path, body = shipment(seller, order_id)
    fault(seller, "no_effect", "packages.mark_shipped", times=1)
    assert seller.data("POST", path, body=body)["package_id"]
    assert seller.order(order_id)["status"] == "AWAITING_SHIPMENT"
    assert seller.control("GET", f"orders/{order_id}")["packages"] == []


def test_answers_can_be_slow_cut_odd_and_grown(seller: Seller) -> None:
    seller.place()
    fault(seller, "slow", times=1, ms=400)
    started = time.monotonic()
    assert search(seller).json()["code"] == 0
    assert time.monotonic() - started >= 0.4
    fault(seller, "malformed_json", times=1)
    with pytest.raises(requests.JSONDecodeError):
        search(seller).json()
    fault(seller, "unknown_status", times=1, value="TO_SHIP")
    assert search(seller).json()["data"]["orders"][0]["status"] == "TO_SHIP"
    fault(seller, "extra_fields", times=1)
    grown = search(seller).json()["data"]["orders"][0]
    assert grown["new_field_2027"]
    assert grown["line_items"][0]["new_object_2027"]["nested"]
    assert search(seller).json()["data"]["orders"][0]["status"] == "AWAITING_SHIPMENT"


@pytest.mark.parametrize(("effect", "meanwhile"), [("", "AWAITING_SHIPMENT"), ("before", "AWAITING_COLLECTION")])
def test_a_held_call_stands_still_until_its_fault_is_removed(seller: Seller, effect: str, meanwhile: str) -> None:
    order_id = seller.place()
    path, body = shipment(seller, order_id)
    other = Seller(seller.url)
    with ThreadPoolExecutor(1) as pool:
        with Controls(seller.url).held(operation="packages.mark_shipped", effect=effect) as there:
            shipping = pool.submit(other.code, "POST", path, body=body)
            there()
            assert (seller.order(order_id)["status"], shipping.done()) == (meanwhile, False)
        fault(seller, "held", "orders.search")  # takes the number of the one that is gone, and not its call
        assert shipping.result(20) == 0
    assert seller.order(order_id)["status"] == "AWAITING_COLLECTION"


def test_a_held_call_goes_on_by_itself_and_when_everything_is_reset(seller: Seller) -> None:
    fault(seller, "held", times=1, seconds=0)
    assert search(seller).status_code == 200
    fault(seller, "held", "token.refresh", seconds=600)
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(seller.token, "refresh", refresh_token=seller.tokens["refresh_token"], grant_type="refresh_token")
        until(lambda: requests.get(f"{seller.url}/practice/faults", timeout=20).json()["faults"][1]["standing"], "a held token call")
        assert not renewing.done()
        requests.post(f"{seller.url}/practice/reset", timeout=20).raise_for_status()
        assert renewing.result(20)["code"] == 0


def test_a_probability_with_a_seed_strikes_the_same_calls_each_time(seller: Seller) -> None:
    def run() -> list[int]:
        seller.control("DELETE", "faults")
        fault(seller, "server_error", probability=0.3, seed=5)
        return [search(seller).status_code for _ in range(40)]

    first = run()
    assert 3 < first.count(500) < 25
    assert run() == first


def test_a_badly_signed_call_uses_no_fault_up(seller: Seller) -> None:
    fault(seller, "server_error", times=1)
    assert seller.code("POST", SEARCH, body={}, page_size=10, sign="0" * 64) == 106001
    assert search(seller).status_code == 500


def test_a_fault_can_be_bound_to_a_shop_and_to_a_path(seller: Seller) -> None:
    fault(seller, "server_error", "/order/*", shop="US")
    assert search(seller).status_code == 200
    assert seller.call("POST", SEARCH, "US", {}, page_size=10).status_code == 500
    assert seller.code("GET", "/logistics/202309/warehouses", "US") == 0


def test_the_token_endpoints_can_fail_too(seller: Seller) -> None:
    fault(seller, "lost_answer", "token.refresh", times=1)
    old = seller.tokens["refresh_token"]
    with pytest.raises(requests.ConnectionError):
        seller.token("refresh", refresh_token=old, grant_type="refresh_token")
    assert seller.token("refresh", refresh_token=old, grant_type="refresh_token")["code"] == 36004001


def test_faults_are_listed_removed_and_checked(seller: Seller) -> None:
    first = fault(seller, "slow")
    fault(seller, "rate_limit")
    assert seller.control("DELETE", f"faults/{first['id']}") == {"removed": 1}
    assert [each["kind"] for each in seller.control("GET", "faults")["faults"]] == ["rate_limit"]
    for wrong in ({"kind": "earthquake"}, {"kind": "slow", "probability": 2}, {"kind": "slow", "times": "often"}):
        assert seller.http.post(f"{seller.url}/practice/faults", json=wrong, timeout=10).status_code == 400
    assert seller.control("POST", "faults", [{"kind": "slow"}, {"kind": "lost_answer"}])["faults"][1]["kind"] == "lost_answer"
    assert seller.control("DELETE", "faults")["removed"] == 3
    assert search(seller).status_code == 200


def test_latency_is_kept_and_parallel_calls_overlap(seller: Seller) -> None:
    seller.control("POST", "latency", {"ms": 200})
    started = time.monotonic()
    assert search(seller).json()["code"] == 0
    assert time.monotonic() - started >= 0.2
    sellers = [Seller(seller.url) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        with Controls(seller.url).held(operation="orders.search", times=10) as there:
            answers = [pool.submit(search, each) for each in sellers]
            there(10)  # all ten are at the same point, none waits for another
        assert [each.result(20).json()["code"] for each in answers] == [0] * 10

"""Injected faults, latency and what survives a kill."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from connector.practice.serve import PracticeServer
from tests.factories.shop import Controls

from .shop import Refused, Shop

PLACE = {"method": "PUT", "path": "/V1/carts/.*/order"}


def test_a_lost_answer_leaves_the_order_behind(shop: Shop) -> None:
    shop.control("POST", "faults", {"kind": "lost_answer", "match": PLACE})
    cart = shop.cart(("MUG-01", 1))
    with pytest.raises(requests.ConnectionError):
        shop.place(cart)
    assert shop.find("/orders", "quote_id", cart)["total_count"] == 1
    assert shop.rest("GET", f"/carts/{cart}")["is_active"] is False
    with pytest.raises(Refused) as refused:
        shop.place(cart)
    assert refused.value.status == 404


def test_a_time_out_before_the_effect_leaves_nothing_behind(shop: Shop) -> None:
    shop.control("POST", "faults", {"kind": "timeout_before", "match": PLACE})
    cart = shop.cart(("MUG-01", 1))
    with pytest.raises(requests.ConnectionError):
        shop.place(cart)
    assert shop.find("/orders", "quote_id", cart)["total_count"] == 0
    assert shop.place(cart)


@pytest.mark.parametrize(
    ("kind", "status", "orders"),
    [("http_500", 500, 0), ("http_500_after", 500, 1), ("http_429", 429, 0), ("html_503", 503, 0), ("transient_400", 400, 0),
     ("deadlock_500", 500, 0)],
)  # fmt: skip
def test_each_refusal_comes_before_or_after_the_effect(shop: Shop, kind: str, status: int, orders: int) -> None:
    shop.control("POST", "faults", {"kind": kind, "match": PLACE})
    cart = shop.cart(("MUG-01", 1))
    with pytest.raises(Refused) as refused:
        shop.place(cart)
    assert refused.value.status == status
    assert (refused.value.body is None) == (kind == "html_503")
    assert shop.control("GET", "summary")["orders"] == orders


def test_transient_refusals_use_the_texts_of_a_busy_store(shop: Shop) -> None:
    shop.control("POST", "faults", {"kind": "transient_400", "times": 10})
    for call, text in (
        (lambda: shop.rest("POST", "/inventory/source-items", {"sourceItems": []}), "Could not save Source Item"),
        (lambda: shop.rest("PUT", "/carts/1/order"), "The requested sku is not assigned to given stock"),
        (lambda: shop.rest("POST", "/carts/1/items"), "Product that you are trying to add is not available."),
        (lambda: shop.rest("POST", "/order/1/ship"), "Could not save a shipment, see error log for details"),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert (refused.value.status, refused.value.body["message"]) == (400, text)


def test_a_revoked_token_stays_revoked(shop: Shop) -> None:
    shop.control("POST", "faults", {"kind": "token_revoked", "match": {"path": "/V1/orders"}})
    for _ in range(2):
        assert shop.send("GET", "/rest/V1/orders", query=[("searchCriteria", "")]).status_code == 401
    assert shop.control("GET", "integrations")[0]["revoked"] is True


def test_a_probability_decides_alike_for_the_same_seed(shop: Shop) -> None:
    def statuses() -> list[int]:
        shop.control("DELETE", "faults")
        shop.control("POST", "faults", {"kind": "http_500", "probability": 0.3, "seed": 7, "match": {"path": "/store/"}})
        return [shop.send("GET", "/rest/V1/store/websites").status_code for _ in range(40)]

    first = statuses()
    assert first == statuses()
    assert 4 <= first.count(500) <= 20


def test_after_and_times_choose_the_calls(shop: Shop) -> None:
    shop.control("POST", "faults", {"kind": "http_429", "match": {"path": "/store/"}, "after": 2, "times": 1})
    got = [shop.send("GET", "/rest/V1/store/websites").status_code for _ in range(5)]
    assert got == [200, 200, 429, 200, 200]
    with pytest.raises(Refused, match="unknown kind of fault"):
        shop.control("POST", "faults", {"kind": "nonsense"})


@pytest.mark.parametrize(("effect", "meanwhile"), [("", 0), ("before", 1)])
def test_a_held_call_stands_still_until_its_fault_is_removed(shop: Shop, effect: str, meanwhile: int) -> None:
    cart = shop.cart(("MUG-01", 1))
    with ThreadPoolExecutor(1) as pool:
        with Controls(shop.url).held(match=PLACE, effect=effect) as there:
            placing = pool.submit(shop.place, cart)
            there()
            orders = requests.get(f"{shop.url}/practice/orders", timeout=20).json()
            assert (len(orders), placing.done()) == (meanwhile, False)
        assert placing.result(20)
    assert shop.find("/orders", "quote_id", cart)["total_count"] == 1
    shop.control("POST", "faults", {"kind": "held", "match": {"path": "/store/"}, "seconds": 0})
    assert shop.rest("GET", "/store/websites")


def test_waiting_calls_overlap(shop: Shop) -> None:
    """Each answer waits as long as it was told; eight stand side by side, none behind another."""
    shop.control("POST", "latency", {"ms": 300})

    def read(_: int) -> int:
        return requests.get(f"{shop.url}/rest/V1/directory/currency", timeout=30).status_code

    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        with Controls(shop.url).held(match={"path": "/V1/directory"}, times=8) as there:
            answers = [pool.submit(read, each) for each in range(8)]
            there(8)
        assert [each.result(20) for each in answers] == [200] * 8
    assert time.monotonic() - started >= 0.3


def test_calls_are_counted_by_route(shop: Shop) -> None:
    shop.rest("GET", "/store/websites")
    shop.send("GET", "/rest/V1/products/NOPE")
    counted = shop.control("GET", "calls")["by_route"]
    assert counted["GET /V1/store/websites"] == {"200": 1}
    assert counted["GET /V1/products/:sku"] == {"404": 1}


def test_everything_answered_survives_a_kill(tmp_path: Path) -> None:
    server = PracticeServer("magento", tmp_path)
    server.start()
    try:
        shop = Shop(server.url)
        shop.use_first_integration()
        placed = [shop.order(("MUG-01", 1))["increment_id"] for _ in range(3)]
        server.kill()
        server.start()
        assert [order["increment_id"] for order in shop.control("GET", "orders")] == placed
        assert shop.order(("MUG-01", 1))["increment_id"] == "000000004"
        assert shop.control("GET", "ledger")["balanced"]
    finally:
        server.stop()

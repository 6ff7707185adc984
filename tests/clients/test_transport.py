"""Transport behaviour over real sockets: lost answers, retries, redirects, guards, records."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connector.clients.base import CallRecord, Transport
from connector.clients.errors import (
    CircuitOpen,
    ForbiddenHost,
    RateLimited,
    Redirected,
    Rejected,
    Unavailable,
    Uncertain,
    Unexpected,
    describe,
)
from connector.clients.limits import Breaker, Limiter, Rate
from tests.clients.scripted import Reply, ScriptedServer, closed_port, tts

SHIP = {"line_ids": ["1"], "tracking_number": "TT0001", "shipping_provider_id": "9"}
LOST = [Reply(close=True), Reply(body=b'{"code":0', cut=True), Reply(silent=True), Reply(status=502, body="<html>"), Reply(status=408)]
LOST_IDS = ["closed", "cut", "timeout", "proxy page", "gateway timeout"]


@pytest.mark.parametrize("reply", LOST, ids=LOST_IDS)
def test_a_write_whose_answer_is_lost_is_uncertain_and_sent_once(reply: Reply, server: ScriptedServer, tiktok: Any) -> None:
    server.then(reply)
    transport = Transport(timeouts=(10.0, 0.5 if reply.silent else 30.0))
    with pytest.raises(Uncertain):
        tiktok(transport=transport).mark_shipped("576460000000000001", **SHIP)
    assert len(server.received) == 1


@pytest.mark.parametrize("reply", [LOST[0], LOST[1], LOST[3], LOST[4]], ids=["closed", "cut", "proxy page", "gateway timeout"])
def test_a_read_whose_answer_is_lost_is_repeated(reply: Reply, server: ScriptedServer, tiktok: Any) -> None:
    server.then(reply, reply).default = tts({"warehouses": [{"id": "1"}]})
    assert tiktok().warehouses() == [{"id": "1"}]
    assert len(server.received) == 3


def test_a_read_gives_up_after_three_tries(server: ScriptedServer, tiktok: Any, records: list[CallRecord]) -> None:
    server.default = Reply(status=503, body="<html>busy</html>", content_type="text/html")
    with pytest.raises(Unavailable) as caught:
        tiktok().warehouses()
    assert caught.value.status == 503
    assert [r.attempt for r in records] == [1, 2, 3]


def test_a_half_sent_write_answer_with_status_200_is_uncertain(server: ScriptedServer, tiktok: Any) -> None:
    """Malformed JSON after the effect: the package exists, so it is not reported as a refusal."""
    server.default = Reply(body=b'{"code":0,"data":{"package_id"')
    with pytest.raises(Uncertain):
        tiktok().mark_shipped("1", **SHIP)
    assert len(server.received) == 1


def test_a_success_without_the_field_we_need_is_uncertain_for_a_write(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts({"order_id": "1"})
    with pytest.raises(Uncertain):
        tiktok().mark_shipped("1", **SHIP)


def test_malformed_json_on_a_read_is_read_again_then_unexpected(server: ScriptedServer, tiktok: Any) -> None:
    server.default = Reply(body=b'{"code":0,')
    with pytest.raises(Unexpected):
        tiktok().warehouses()
    assert len(server.received) == 3


def test_refused_connection_is_unavailable_even_for_a_write(tiktok: Any, records: list[CallRecord]) -> None:
    client = tiktok(base_url=f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(Unavailable) as caught:
        client.mark_shipped("1", **SHIP)
    assert not isinstance(caught.value, Uncertain)
    assert caught.value.code == "net.unreachable"
    assert describe(caught.value).title == "The server cannot be reached"
    assert records[0].status is None
    assert records[0].error_class == "Unavailable"


def test_a_plain_server_under_https_is_named_a_certificate_problem(server: ScriptedServer, tiktok: Any) -> None:
    with pytest.raises(Unavailable) as caught:
        tiktok(base_url=server.url.replace("http:", "https:")).mark_shipped("1", **SHIP)
    assert caught.value.code == "net.certificate"


def test_redirects_are_not_followed_and_name_the_other_address(server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(status=301, headers={"Location": "https://www.shop.example/rest/V1/modules"})
    with pytest.raises(Redirected) as caught:
        magento().modules()
    assert caught.value.location == "https://www.shop.example/rest/V1/modules"
    assert len(server.received) == 1


def test_retry_after_is_honoured_when_short(server: ScriptedServer, tiktok: Any) -> None:
    server.then(tts(code=36009002, message="Too many requests", status=429, headers={"Retry-After": "1"}))
    server.default = tts({"warehouses": []})
    began = time.monotonic()
    tiktok().warehouses()
    assert time.monotonic() - began >= 1.0


def test_retry_after_longer_than_our_patience_is_left_to_the_caller(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts(code=36009002, message="Too many requests", status=429, headers={"Retry-After": "60"})
    began = time.monotonic()
    with pytest.raises(RateLimited) as caught:
        tiktok().warehouses()
    assert caught.value.retry_after == 60
    assert time.monotonic() - began < 30
    assert len(server.received) == 1


def test_a_rate_limited_write_is_not_repeated_and_did_nothing(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts(code=36009002, message="Too many requests", status=429)
    with pytest.raises(RateLimited):
        tiktok().mark_shipped("1", **SHIP)
    assert len(server.received) == 1


def test_a_429_halves_the_account_s_pace(server: ScriptedServer, tiktok: Any) -> None:
    limiter = Limiter(read=Rate(10, 10), now=lambda: 1000.0)
    server.then(tts(code=36009002, message="Too many requests", status=429, headers={"Retry-After": "0"})).default = tts({"warehouses": []})
    tiktok(transport=Transport(limiter=limiter)).warehouses()
    assert limiter._buckets["limit:a1:warehouses"].rate == 5


def test_the_limiter_refuses_before_sending_when_the_wait_is_too_long(server: ScriptedServer, tiktok: Any) -> None:
    client = tiktok(transport=Transport(limiter=Limiter(read=Rate(0.1, 1), now=lambda: 1000.0)))
    server.default = tts({"warehouses": []})
    client.warehouses()
    with pytest.raises(RateLimited) as caught:
        client.warehouses()
    assert caught.value.retry_after == pytest.approx(10)
    assert len(server.received) == 1


def test_an_open_circuit_stops_calls_of_that_account_only(server: ScriptedServer, tiktok: Any) -> None:
    breaker = Breaker(minimum=3, cool_down=30, now=lambda: 1000.0)
    transport = Transport(breaker=breaker)
    server.default = Reply(status=500, body="down")
    with pytest.raises(Unavailable):
        tiktok(transport=transport).warehouses()
    with pytest.raises(CircuitOpen) as caught:
        tiktok(transport=transport).warehouses()
    assert caught.value.retry_after is not None
    assert len(server.received) == 3
    server.default = tts({"warehouses": []})
    assert tiktok(transport=transport, account_key="a2").warehouses() == []
    assert breaker.state("a1").state == "open"


def test_refusals_do_not_open_the_circuit(server: ScriptedServer, tiktok: Any) -> None:
    breaker = Breaker(minimum=3)
    client = tiktok(transport=Transport(breaker=breaker))
    server.default = tts(code=21011044, message="on hold")
    for _ in range(5):
        with pytest.raises(Exception, match="on hold"):
            client.mark_shipped("1", **SHIP)
    assert breaker.state("a1").state == "closed"


def test_a_practice_account_cannot_call_a_live_host(server: ScriptedServer, tiktok: Any) -> None:
    guarded = Transport(allowed_hosts={server.host}.__contains__)
    server.default = tts({"warehouses": []})
    assert tiktok(transport=guarded).warehouses() == []
    with pytest.raises(ForbiddenHost):
        tiktok(transport=guarded, base_url="https://open-api.tiktokglobalshop.com").warehouses()


def test_nothing_is_sent_while_before_send_objects(server: ScriptedServer, tiktok: Any) -> None:
    def object_() -> None:
        raise RuntimeError("a transaction is open")

    with pytest.raises(RuntimeError, match="transaction"):
        tiktok(transport=Transport(before_send=object_)).warehouses()
    assert server.received == []


def test_records_tell_the_call_without_secrets(server: ScriptedServer, tiktok: Any, records: list[CallRecord]) -> None:
    transport = Transport(record=records.append, context=lambda: {"run": 7})
    server.default = tts({"orders": []})
    tiktok(transport=transport).search_orders({"order_status": "UNPAID"})
    (record,) = records
    assert (record.operation, record.method, record.status, record.code) == ("search_orders", "POST", 200, None)
    assert (record.path, record.host, record.account) == ("/order/202309/orders/search", server.host, "a1")
    assert record.request_body == b'{"order_status":"UNPAID"}'
    assert record.request_id == "202601010000059A8B7C"
    assert record.remote_code == "0"
    assert record.context == {"run": 7}
    assert record.query["sign"] == "***"
    assert record.query["shop_cipher"] == "ROW_ci***"
    assert record.ms > 0
    assert "never-shown" not in repr(record)


def test_a_fault_in_the_bookkeeping_does_not_hide_the_answer(server: ScriptedServer, tiktok: Any) -> None:
    def broken(record: CallRecord) -> None:
        raise OSError("disk full")

    server.default = tts({"package_id": "77"})
    assert tiktok(transport=Transport(record=broken)).mark_shipped("1", **SHIP).package_id == "77"


def test_proxies_and_cookies_of_the_surroundings_are_ignored(server: ScriptedServer, tiktok: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    server.default = tts({"warehouses": []}, headers={"Set-Cookie": "session=1"})
    client = tiktok(transport=Transport())
    client.warehouses()
    client.warehouses()
    assert "Cookie" not in server.received[1].headers


def test_a_forked_child_uses_connections_of_its_own(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts({"warehouses": []})
    transport = Transport()
    client = tiktok(transport=transport)
    client.warehouses()
    before = id(transport.session)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        client.warehouses()
        os.write(write, str(id(transport.session) != before).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 10) == b"True"


def test_threads_share_one_client(server: ScriptedServer, tiktok: Any) -> None:
    """Sixteen calls are under way at once: the server answers when all of them have come."""
    server.default = tts({"warehouses": [{"id": "1"}]}, together=threading.Barrier(16))
    client = tiktok()
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda _: client.warehouses(), range(16)))
    assert results == [[{"id": "1"}]] * 16
    assert len(server.received) == 16


@pytest.mark.parametrize("token", ["line\nbreak", "töken☕", " leading"])
def test_a_key_that_no_header_may_hold_is_refused_before_sending(token: str, server: ScriptedServer, tiktok: Any) -> None:
    with pytest.raises(Rejected) as caught:
        tiktok(token=lambda: token).warehouses()
    assert caught.value.code == "net.unsendable"
    assert token not in str(caught.value)
    assert server.received == []


def test_a_host_that_cannot_be_one_is_refused(tiktok: Any) -> None:
    with pytest.raises(Rejected) as caught:
        tiktok(base_url="https://.example").warehouses()
    assert caught.value.code == "net.unsendable"


def test_a_name_nobody_has_is_unreachable(tiktok: Any) -> None:
    with pytest.raises(Unavailable) as caught:
        tiktok(base_url="https://shop.invalid").mark_shipped("1", **SHIP)
    assert caught.value.code == "net.unreachable"

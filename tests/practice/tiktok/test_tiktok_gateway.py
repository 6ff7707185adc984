"""The gateway refuses in the real order with the real codes and HTTP statuses (TTS §3.2, §3.3, §8 point 1)."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from .seller import Seller

SEARCH = "/order/202309/orders/search"


def refusal(seller: Seller, *args: Any, **query: Any) -> tuple[int, int, str]:
    answer = seller.call(*args, **query)
    document = answer.json()
    assert "data" not in document
    assert len(document["request_id"]) > 20
    return answer.status_code, document["code"], document["message"]


def test_a_good_call_is_answered_in_the_envelope_with_the_date_of_the_shop_clock(seller: Seller) -> None:
    seller.control("POST", "clock", {"advance_seconds": 86_400})
    answer = seller.call("POST", SEARCH, body={}, page_size=20, timestamp=seller.now())
    assert answer.status_code == 200
    document = answer.json()
    assert (document["code"], document["message"]) == (0, "Success")
    assert document["data"] == {"orders": [], "next_page_token": "", "total_count": 0}
    assert answer.headers["Date"].count("GMT") == 1
    assert 86_390 < parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time() < 86_410


def test_an_unknown_path_a_wrong_version_and_a_wrong_method_are_told_apart(seller: Seller) -> None:
    assert refusal(seller, "GET", "/nothing/202309/here")[:2] == (404, 36009009)
    assert refusal(seller, "POST", "/order/202301/orders/search", body={})[:2] == (400, 36009014)
    assert refusal(seller, "GET", SEARCH)[:2] == (405, 36009010)


def test_the_path_is_checked_before_the_app_key_and_the_app_key_before_everything_else(seller: Seller) -> None:
    assert refusal(seller, "GET", "/nothing/202309/here", app_key="wrong")[:2] == (404, 36009009)
    status, code, message = refusal(seller, "POST", SEARCH, body={}, app_key="wrong", timestamp="1", sign="bad")
    assert (status, code) == (400, 36009004)
    assert "app_key" in message
    assert "app_key" in refusal(seller, "POST", SEARCH, body={}, app_key=None)[2]


@pytest.mark.parametrize("seconds", [-310, 40, "milliseconds", "missing"])
def test_a_timestamp_outside_the_window_is_named_before_the_signature_is_looked_at(seller: Seller, seconds: Any) -> None:
    now = int(time.time())
    stamp = {"milliseconds": now * 1000, "missing": None}.get(seconds, now + seconds if isinstance(seconds, int) else None)
    status, code, message = refusal(seller, "POST", SEARCH, body={}, page_size=1, timestamp=stamp, sign="bad")
    assert (status, code) == (400, 36009004)
    assert "timestamp" in message


@pytest.mark.parametrize("seconds", [-290, 25])
def test_a_timestamp_inside_the_window_is_accepted(seller: Seller, seconds: int) -> None:
    assert seller.code("POST", SEARCH, body={}, page_size=1, timestamp=int(time.time()) + seconds) == 0


def test_the_timestamp_window_follows_the_shop_clock(seller: Seller) -> None:
    seller.control("POST", "clock", {"advance_seconds": 3600})
    assert seller.code("POST", SEARCH, body={}, page_size=1) == 36009004
    assert seller.code("POST", SEARCH, body={}, page_size=1, timestamp=seller.now()) == 0


def test_a_wrong_or_upper_case_signature_is_refused_before_the_token_is_looked_at(seller: Seller) -> None:
    assert refusal(seller, "POST", SEARCH, body={}, sign="0" * 64, headers={"x-tts-access-token": "none"})[:2] == (401, 106001)
    stamp = str(int(time.time()))
    query = {"app_key": seller.app["app_key"], "timestamp": stamp, "page_size": "1", "shop_cipher": seller.ciphers["GB"]}
    good = seller.sign(SEARCH, query, b"{}")
    assert seller.code("POST", SEARCH, body={}, page_size=1, timestamp=stamp, sign=good.upper()) == 106001
    assert seller.code("POST", SEARCH, body={}, page_size=1, timestamp=stamp, sign=good) == 0
    assert "sign" in refusal(seller, "POST", SEARCH, body={}, sign=None)[2]


def test_the_signature_covers_the_bytes_that_were_sent(seller: Seller) -> None:
    stamp = str(int(time.time()))
    query = {"app_key": seller.app["app_key"], "timestamp": stamp, "page_size": "1", "shop_cipher": seller.ciphers["GB"]}
    compact, spaced = b'{"order_status":"UNPAID"}', b'{"order_status": "UNPAID"}'
    sign = seller.sign(SEARCH, query, compact)
    assert seller.code("POST", SEARCH, body=compact, page_size=1, timestamp=stamp, sign=sign) == 0
    assert seller.code("POST", SEARCH, body=spaced, page_size=1, timestamp=stamp, sign=sign) == 106001
    assert seller.code("POST", SEARCH, body=spaced, page_size=1) == 0


def test_the_query_is_verified_decoded(seller: Seller) -> None:
    assert "+" in seller.ciphers["GB"]
    assert "=" in seller.ciphers["GB"]
    assert seller.code("POST", SEARCH, body={}, page_size=1, keyword="Café & Müsli ☕+1") == 0


def test_a_multipart_body_is_not_signed(seller: Seller) -> None:
    values = {"app_key": seller.app["app_key"], "timestamp": str(int(time.time()))}
    values["sign"] = seller.sign("/seller/202309/shops", values)
    headers = {"x-tts-access-token": seller.tokens["access_token"], "content-type": "multipart/form-data; boundary=xyz"}
    answer = seller.http.get(f"{seller.url}/seller/202309/shops?{urlencode(values)}", data=b"--xyz--", headers=headers, timeout=10)
    assert answer.json()["code"] == 0


def test_token_errors_come_before_the_scope_and_the_cipher_rule(seller: Seller) -> None:
    status, code, message = refusal(seller, "POST", SEARCH, None, {}, headers={"x-tts-access-token": ""})
    assert (status, code) == (400, 36009004)
    assert "x-tts-access-token" in message
    assert refusal(seller, "POST", SEARCH, None, {}, headers={"x-tts-access-token": "GCP_unknown"})[:2] == (401, 105001)
    seller.control("POST", "authorizations/expire", {"access": True})
    assert refusal(seller, "POST", SEARCH, None, {})[:2] == (401, 105002)


def test_a_scope_that_was_taken_away_is_105005_until_it_is_granted_again(seller: Seller) -> None:
    seller.control("POST", "authorizations/scopes", {"revoke": ["seller.order.info"]})
    assert refusal(seller, "POST", SEARCH, None, {})[:2] == (403, 105005)
    seller.control("POST", "authorizations/scopes", {"grant": ["seller.order.info"]})
    assert seller.code("POST", SEARCH, body={}, page_size=1) == 0


def test_the_cipher_is_required_forbidden_or_foreign(seller: Seller) -> None:
    assert refusal(seller, "POST", SEARCH, None, {})[:2] == (400, 106013)
    status, code, message = refusal(seller, "GET", "/authorization/202309/shops", "GB")
    assert (status, code) == (400, 36009004)
    assert "shop_cipher" in message
    assert refusal(seller, "POST", SEARCH, None, {}, shop_cipher="GCP_none")[:2] == (401, 101000)
    seller.authorize("US")
    assert refusal(seller, "POST", SEARCH, "GB", {})[:2] == (401, 101000)
    assert seller.code("POST", SEARCH, "US", {}, page_size=1) == 0


def test_the_body_is_checked_last(seller: Seller) -> None:
    assert refusal(seller, "POST", SEARCH, None, b"{broken")[:2] == (400, 106013)
    assert refusal(seller, "POST", SEARCH, "GB", b"{broken", page_size=1)[:2] == (400, 36009022)
    status, code, message = refusal(seller, "PUT", "/event/202309/webhooks", "GB", {"event_type": "ORDER_STATUS_CHANGE"})
    assert (status, code, message) == (400, 36009004, "param body.address is missing")


def test_a_rate_limit_answers_429_for_one_operation_of_one_shop_only(seller: Seller) -> None:
    seller.control("POST", "limits", {"orders.search": {"per_second": 0.5, "burst": 2}})
    answers = [seller.call("POST", SEARCH, body={}, page_size=1) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == 36009002
    assert "Retry-After" not in answers[2].headers
    assert seller.code("POST", SEARCH, "US", {}, page_size=1) == 0
    assert seller.code("GET", "/logistics/202309/warehouses") == 0
    seller.control("POST", "settings", {"retry_after_seconds": 2})
    assert int(seller.call("POST", SEARCH, body={}, page_size=1).headers["Retry-After"]) >= 2


def test_a_deactivated_shop_is_refused_and_missing_among_the_active_ones(seller: Seller) -> None:
    seller.control("POST", "shops/SG", {"active": False})
    try:
        assert refusal(seller, "POST", SEARCH, "SG", {}, page_size=1)[:2] == (403, 36009043)
        assert [shop["region"] for shop in seller.data("GET", "/seller/202309/shops", None)["shops"]] == ["GB", "US"]
        assert len(seller.data("GET", "/authorization/202309/shops", None)["shops"]) == 3
    finally:
        seller.control("POST", "shops/SG", {"active": True})


def test_the_control_api_refuses_pages_of_other_sites(seller: Seller) -> None:
    answer = seller.http.post(f"{seller.url}/practice/reset", json={}, headers={"Origin": "http://evil.example"}, timeout=10)
    assert answer.status_code == 403


def test_reads_of_the_shop_have_the_documented_and_the_misspelt_fields(seller: Seller) -> None:
    shops = seller.data("GET", "/authorization/202309/shops", None)["shops"]
    assert {"id", "cipher", "code", "name", "region", "seller_type"} == set(shops[0])
    assert seller.data("GET", "/seller/202309/permissions", None) == {"permissions": []}
    warehouses = seller.data("GET", "/logistics/202309/warehouses")["warehouses"]
    assert {each["type"] for each in warehouses} == {"SALES_WAREHOUSE", "RETURN_WAREHOUSE"}
    assert "distict" in warehouses[0]["address"]
    options = seller.data("GET", f"/logistics/202309/warehouses/{warehouses[0]['id']}/delivery_options")["delivery_options"]
    own = next(each for each in options if each["type"] == "SEND_BY_SELLER")
    platform = next(each for each in options if each["type"] != "SEND_BY_SELLER")
    providers = "/logistics/202309/delivery_options/{}/shipping_providers"
    assert len(seller.data("GET", providers.format(own["id"]))["shipping_providers"]) > 2
    assert seller.code("GET", providers.format(platform["id"])) == 98001004
    scoped = seller.data("GET", f"/logistics/202309/warehouses/{warehouses[0]['id']}/delivery_options", scope="PRODUCT")
    assert set(scoped["delivery_options"][0]) == {"id", "name"}


def test_the_calls_are_counted_by_operation_and_answer(seller: Seller) -> None:
    seller.control("DELETE", "calls")
    seller.call("POST", SEARCH, body={}, page_size=1)
    seller.call("POST", SEARCH, None, {})
    assert seller.control("GET", "calls")["operations"]["orders.search"] == {"count": 2, "codes": {"0": 1, "106013": 1}}

"""OAuth 1.0a as a real Magento verifies it (MAG §1.2)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.clients.magento import Bearer, OAuth1, SearchCriteria
from connector.clients.magento.oauth1 import base_string, normal_url, signature, strnatcmp
from tests.clients.recorded import capture
from tests.clients.scripted import Reply, ScriptedServer

KEYS = OAuth1("ck", "consumer+secret/=", "at", "token secret~")


def test_the_path_is_signed_with_nine_escapes_decoded_and_all_others_as_sent() -> None:
    """The recorded call: sent /products/MUG%2F02%20slash, signed /products/MUG/02%20slash."""
    exchange = capture("auth-oauth-slash-signed-decoded")
    signed = exchange["request"]["headers"]["Authorization"].partition("over ")[2].rstrip(">")
    assert normal_url("http://magento.test" + exchange["request"]["path"]) == "http://magento.test" + signed
    assert normal_url("https://x.test/%2f%2B%26%3d%3A%40%24%2C%3B%20%25%27%C3%A9") == "https://x.test//+&=:@$,;%20%25%27%C3%A9"


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("HTTPS://Shop.Example:443/rest/V1/orders", "https://shop.example/rest/V1/orders"),
        ("http://shop.example:80/a", "http://shop.example/a"),
        ("http://127.0.0.1:5002/rest/V1/orders?x=1", "http://127.0.0.1:5002/rest/V1/orders"),
        ("https://shop.example:8443/a", "https://shop.example:8443/a"),
    ],
)
def test_host_is_lower_case_and_the_default_port_left_out(url: str, signed: str) -> None:
    assert normal_url(url) == signed


def test_parameters_are_sorted_naturally_so_that_two_comes_before_ten() -> None:
    pairs = [(f"searchCriteria[filter_groups][0][filters][{n}][value]", f"s{n}") for n in (10, 2, 1, 0, 11)]
    found = re.findall(r"s\d+", unquote(unquote(base_string("GET", "https://x.test/a", pairs))))
    assert found == ["s0", "s1", "s2", "s10", "s11"]


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("a2", "a10", -1),
        ("a10", "a2", 1),
        ("a", "a", 0),
        ("a", "ab", -1),
        ("a1", "a01", 1),
        ("x09", "x1", -1),
        ("007", "7", 0),
        ("B", "a", -1),
        ("5B2", "5B10", -1),
    ],
)
def test_natural_order_is_php_s(left: str, right: str, order: int) -> None:
    found = strnatcmp(left, right)
    assert (found > 0) - (found < 0) == order


@given(st.lists(st.integers(0, 10**6), min_size=2, unique=True))
def test_indexes_sort_as_numbers(numbers: list[int]) -> None:
    keys = [f"a%5B{n}%5D" for n in numbers]
    from functools import cmp_to_key

    assert sorted(keys, key=cmp_to_key(strnatcmp)) == [f"a%5B{n}%5D" for n in sorted(numbers)]


def test_the_known_base_string_and_signature() -> None:
    """A hand-made example, computed once with openssl."""
    text = base_string("get", "https://shop.example/rest/V1/orders", [("searchCriteria[pageSize]", "1"), ("a", "b c~+")])
    assert text == "GET&https%3A%2F%2Fshop.example%2Frest%2FV1%2Forders&a%3Db%2520c~%252B%26searchCriteria%255BpageSize%255D%3D1"
    assert signature(text, "c+s", "t s") == "pHY7WJPBm1F/4rjzQePvjvhxTzq+Nr0xoidomxxLRXQ="


def verified(request: Any, base: str) -> bool:
    """What a server does: split the header and the raw query, build the base string from what arrived, compare."""
    oauth = {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', request.headers["authorization"])}
    given_signature = oauth.pop("oauth_signature")
    raw = urlsplit(request.target).query
    pairs = [tuple(map(unquote, pair.partition("=")[::2])) for pair in raw.split("&")] if raw else []
    return (
        signature(base_string(request.method, base + request.path, [*pairs, *oauth.items()]), KEYS.consumer_secret, KEYS.access_token_secret) == given_signature
    )  # type: ignore[list-item]


@given(sku=st.text(min_size=1, max_size=20).filter(lambda s: s not in (".", "..") and not any(0xD800 <= ord(c) < 0xE000 for c in s)))
def test_any_sku_arrives_as_it_was_and_verifies(sku: str) -> None:
    url = f"https://shop.example/rest/all/V1/products/{quote(sku, safe='')}"
    assert unquote(urlsplit(url).path.rpartition("/")[2]) == sku
    header = KEYS.header("GET", url, [], 1767225600, nonce="n")
    assert re.search(r'oauth_signature="[^"]+"$', header)
    assert header == KEYS.header("GET", url, [], 1767225600, nonce="n")


def test_real_requests_verify_on_the_other_side_with_a_nonce_each(server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(body={"items": [], "total_count": 0, "sku": "x"})
    client = magento(auth=KEYS)
    client.product("MUG/02 slash")
    client.product("LÄMP-é☕'%+&=")
    client.find_orders(ext_order_id="a=b&c d")
    client.products(SearchCriteria().any_of(*[("sku", "eq", f"s,{n}") for n in range(12)]))
    assert [verified(r, server.url) for r in server.received] == [True] * 4
    assert server.received[0].path == "/rest/all/V1/products/MUG%2F02%20slash"
    nonces = {re.search(r'oauth_nonce="(\w+)"', r.headers["authorization"])[1] for r in server.received}  # type: ignore[index]
    assert len(nonces) == 4
    assert "HMAC-SHA256" in server.received[0].headers["authorization"]


def test_a_retry_is_signed_anew(server: ScriptedServer, magento: Any) -> None:
    server.then(Reply(503, "<html>")).default = Reply(body=[])
    magento(auth=KEYS).modules()
    first, second = (r.headers["authorization"] for r in server.received)
    assert first != second


def test_behind_a_proxy_the_signature_is_over_what_magento_sees(server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(body=[])
    magento(auth=KEYS, signing_base_url="http://backend.internal:8080").modules()
    assert verified(server.received[0], "http://backend.internal:8080")
    assert not verified(server.received[0], server.url)


def test_bearer_sends_the_token_alone_and_secrets_stay_out_of_repr(server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(body=[])
    magento(auth=Bearer("tok")).modules()
    assert server.received[0].headers["authorization"] == "Bearer tok"
    assert "tok" not in repr(Bearer("tok"))
    assert "secret" not in repr(KEYS).replace("access_token_secret", "").replace("consumer_secret", "")

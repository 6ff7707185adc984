"""Authentication of the practice store (MAG §1.2, §1.3)."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest

from connector.practice.magento.auth import natural_compare, sign

from .scenarios import oauth_header
from .shop import Shop


@pytest.fixture
def keys(shop: Shop) -> dict:
    return shop.control("GET", "integrations")[0]


def signed(shop: Shop, keys: dict, path: str, query: list[tuple[str, str]]) -> int:
    """GET with parameters in the natural order of their keys, as the store sorts them."""
    oauth = {
        "oauth_consumer_key": keys["consumer_key"], "oauth_nonce": f"n{time.time_ns()}", "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": str(int(time.time())), "oauth_token": keys["access_token"], "oauth_version": "1.0",
    }  # fmt: skip
    raw = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in query)
    oauth["oauth_signature"] = sign(keys["consumer_secret"], keys["access_token_secret"], "GET", shop.url + path, raw, oauth)
    header = "OAuth " + ",".join(f'{k}="{quote(v, safe="")}"' for k, v in oauth.items())
    response = shop.http.get(f"{shop.url}{path}?{raw}", headers={"Authorization": header}, timeout=10)
    return response.status_code


def eleven_filters() -> list[tuple[str, str]]:
    prefix = "searchCriteria[filter_groups][0][filters]"
    return [(f"{prefix}[{n}][{key}]", value) for n in range(11) for key, value in (("field", "entity_id"), ("value", str(n)))]


def test_an_index_above_nine_must_be_sorted_naturally(shop: Shop, keys: dict) -> None:
    query = eleven_filters()
    assert signed(shop, keys, "/rest/V1/orders", query) == 200
    byte_order = oauth_header(shop, keys, "GET", "/rest/V1/orders", query)
    assert shop.send("GET", "/rest/V1/orders", query=query, headers={"Authorization": byte_order}).status_code == 401


def test_natural_order_is_that_of_php() -> None:
    for left, right in (("a2", "a10"), ("a[2]", "a[10]"), ("%5B9%5D", "%5B10%5D"), ("a", "b"), ("a", "a1")):
        assert natural_compare(left, right) < 0 < natural_compare(right, left)
    assert natural_compare("a10", "a10") == 0


def test_a_path_signed_as_sent_is_refused(shop: Shop, keys: dict) -> None:
    path = "/rest/V1/products/MUG%2F02%20slash"
    as_sent = oauth_header(shop, keys, "GET", path, [])
    assert shop.send("GET", path, headers={"Authorization": as_sent}).status_code == 401
    decoded = oauth_header(shop, keys, "GET", "/rest/V1/products/MUG/02%20slash", [])
    assert shop.send("GET", path, headers={"Authorization": decoded}).status_code == 200


@pytest.mark.parametrize(
    ("override", "status", "text"),
    [
        ({"oauth_timestamp": str(int(time.time()) + 4000)}, 401, "An error occurred validating the nonce"),
        ({"oauth_consumer_key": "x" * 32}, 401, "A consumer having the specified key does not exist"),
        ({"oauth_token": "x" * 32}, 401, "Specified token does not exist"),
        ({"oauth_version": "2.0"}, 400, "not supported"),
        ({"oauth_nonce": ""}, 400, "is required"),
    ],
)
def test_wrong_oauth_parameters_are_named(shop: Shop, keys: dict, override: dict, status: int, text: str) -> None:
    header = oauth_header(shop, keys, "GET", "/rest/V1/store/websites", [], **override)
    response = shop.send("GET", "/rest/V1/store/websites", headers={"Authorization": header})
    assert (response.status_code, text in response.json()["message"]) == (status, True)


def test_an_old_timestamp_is_accepted(shop: Shop, keys: dict) -> None:
    header = oauth_header(shop, keys, "GET", "/rest/V1/store/websites", [], oauth_timestamp="1000000000")
    assert shop.send("GET", "/rest/V1/store/websites", headers={"Authorization": header}).status_code == 200


def test_the_bearer_switch_follows_the_version(shop: Shop) -> None:
    def status() -> int:
        return shop.send("GET", "/rest/V1/store/websites").status_code

    shop.control("POST", "settings", {"bearer": None})
    assert status() == 401
    shop.control("POST", "settings", {"version": "2.4.3"})
    assert status() == 200


def test_a_bad_token_does_not_matter_on_an_anonymous_route(shop: Shop) -> None:
    headers = {"Authorization": "Bearer nonsense"}
    assert shop.send("GET", "/rest/V1/directory/currency", headers=headers).status_code == 200


def test_each_resource_is_asked_for_by_its_name(shop: Shop) -> None:
    limited = shop.control("POST", "integrations", {"acl": ["Magento_Sales::ship"]})
    headers = {"Authorization": f"Bearer {limited['access_token']}"}
    refused = shop.send("GET", "/rest/V1/orders", query=[("searchCriteria", "")], headers=headers)
    assert (refused.status_code, refused.json()["parameters"]) == (401, {"resources": "Magento_Sales::actions_view"})
    assert shop.send("GET", "/rest/V1/modules", headers=headers).status_code == 200


@pytest.mark.parametrize("prefix", ["/rest", "/index.php/rest", "/rest/default", "/rest/tiktok_gb", "/rest/all"])
def test_every_form_of_the_base_path_works(shop: Shop, prefix: str) -> None:
    assert shop.send("GET", f"{prefix}/V1/store/websites").status_code == 200


@pytest.mark.parametrize("code", ["base", "main_website_store", "admin", "DEFAULT"])
def test_only_active_store_codes_are_a_scope(shop: Shop, code: str) -> None:
    response = shop.send("GET", f"/rest/{code}/V1/store/websites")
    assert (response.status_code, response.json()["message"]) == (400, "Specified request cannot be processed.")

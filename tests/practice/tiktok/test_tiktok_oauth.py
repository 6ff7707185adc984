"""Consent, codes and tokens (TTS §1.2-§1.7)."""

from __future__ import annotations

import threading
from urllib.parse import parse_qs, urlsplit

from bs4 import BeautifulSoup

from .seller import Seller

SHOPS = "/authorization/202309/shops"


def consent(seller: Seller, decision: str, shops: list[str] | None = None, state: str = "st+ate/1=") -> dict[str, list[str]]:
    """Opens the page and presses a button; returns the query of the redirect."""
    page = seller.http.get(f"{seller.url}/open/authorize", params={"service_id": seller.app["service_id"], "state": state}, timeout=10)
    form = BeautifulSoup(page.text, "html.parser").form
    boxes = [box["value"] for box in form.find_all("input", {"name": "shop_ids"})]
    hidden = form.find("input", {"name": "state"})["value"]
    assert hidden == state
    chosen = boxes if shops is None else shops
    answer = seller.http.post(seller.url + form["action"], data={"state": hidden, "decision": decision, "shop_ids": chosen}, allow_redirects=False, timeout=10)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(seller.app["redirect_url"])
    return parse_qs(urlsplit(answer.headers["Location"]).query)


def exchange(seller: Seller, code: str) -> dict:
    return seller.token("get", auth_code=code, grant_type="authorized_code")


def refresh(seller: Seller, token: str) -> dict:
    return seller.token("refresh", refresh_token=token, grant_type="refresh_token")


def test_accepting_returns_a_code_and_the_state_to_the_apps_own_redirect_url(seller: Seller) -> None:
    query = consent(seller, "accept")
    assert query["state"] == ["st+ate/1="]
    assert query["app_key"] == [seller.app["app_key"]]
    tokens = exchange(seller, query["code"][0])["data"]
    assert tokens["user_type"] == 0
    assert "seller.order.info" in tokens["granted_scopes"]
    assert abs(tokens["access_token_expire_in"] - seller.now() - 7 * 86_400) < 5
    assert tokens["refresh_token_expire_in"] > tokens["access_token_expire_in"]
    seller.tokens = tokens
    assert len(seller.data("GET", SHOPS, None)["shops"]) == 3


def test_refusing_returns_auth_denied_and_no_code(seller: Seller) -> None:
    query = consent(seller, "refuse")
    assert query["code"] == ["null"]
    assert query["error"] == ["auth_denied"]
    assert exchange(seller, "null")["code"] == 36004004


def test_only_the_chosen_shops_are_authorized(seller: Seller) -> None:
    gb = next(shop["id"] for shop in seller.app["shops"] if shop["region"] == "GB")
    seller.tokens = exchange(seller, consent(seller, "accept", [gb])["code"][0])["data"]
    assert [shop["id"] for shop in seller.data("GET", SHOPS, None)["shops"]] == [gb]


def test_an_unknown_service_id_gets_a_page_that_says_so(seller: Seller) -> None:
    answer = seller.http.get(f"{seller.url}/open/authorize?service_id=1&state=x", timeout=10)
    assert answer.status_code == 400
    assert "not known" in answer.text


def test_a_code_works_once_and_for_thirty_minutes(seller: Seller) -> None:
    code = consent(seller, "accept")["code"][0]
    assert exchange(seller, code)["code"] == 0
    assert exchange(seller, code)["code"] == 36004004
    late = consent(seller, "accept")["code"][0]
    seller.control("POST", "clock", {"advance_seconds": 1801})
    assert exchange(seller, late)["code"] == 36004004


def test_the_token_endpoints_refuse_with_http_200(seller: Seller) -> None:
    answer = seller.http.get(f"{seller.url}/api/v2/token/get", params={"app_key": seller.app["app_key"]}, timeout=10)
    assert answer.status_code == 200
    assert answer.json()["code"] == 36009004
    wrong = seller.http.get(
        f"{seller.url}/api/v2/token/refresh",
        params={"app_key": seller.app["app_key"], "app_secret": "no", "refresh_token": "x", "grant_type": "refresh_token"},
        timeout=10,
    )
    assert wrong.json()["code"] != 0
    assert seller.token("get", auth_code="x", grant_type="authorization_code")["code"] == 36009004


def test_a_refresh_rotates_the_refresh_token_and_refuses_the_old_one(seller: Seller) -> None:
    old = seller.tokens
    new = refresh(seller, old["refresh_token"])["data"]
    assert new["refresh_token"] != old["refresh_token"]
    assert new["access_token"] != old["access_token"]
    assert new["open_id"] == old["open_id"]
    assert new["refresh_token_expire_in"] == old["refresh_token_expire_in"]
    assert refresh(seller, old["refresh_token"])["code"] == 36004001
    seller.tokens = new
    assert seller.code("GET", SHOPS, None) == 0


def test_of_two_racing_refreshes_one_is_refused(seller: Seller) -> None:
    token, codes = seller.tokens["refresh_token"], []
    threads = [threading.Thread(target=lambda: codes.append(refresh(seller, token)["code"])) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(codes) == [0, 36004001]


def test_rotation_and_the_life_of_old_access_tokens_are_settings(seller: Seller) -> None:
    seller.control("POST", "settings", {"rotate_refresh_token": False, "old_access_token_dies": True})
    old = seller.tokens
    assert refresh(seller, old["refresh_token"])["data"]["refresh_token"] == old["refresh_token"]
    assert seller.code("GET", SHOPS, None) == 105001


def test_tokens_end_at_their_instant_and_lives_are_adjustable(seller: Seller) -> None:
    seller.control("POST", "settings", {"access_token_life_seconds": 100, "refresh_token_life_seconds": 1000})
    tokens = seller.authorize("GB")
    seller.control("POST", "clock", {"advance_seconds": 101})
    assert seller.code("GET", SHOPS, None, timestamp=seller.now()) == 105002
    seller.tokens = refresh(seller, tokens["refresh_token"])["data"]
    assert seller.code("GET", SHOPS, None, timestamp=seller.now()) == 0
    seller.control("POST", "clock", {"advance_seconds": 1000})
    assert refresh(seller, seller.tokens["refresh_token"])["code"] == 36004001


def test_a_shop_that_is_taken_back_is_105003_and_the_others_of_the_authorization_go_on(seller: Seller) -> None:
    assert seller.control("POST", "authorizations/revoke", {"shop": "GB"}) == {"ended": 1}
    assert seller.code("GET", "/logistics/202309/warehouses", "GB") == 105003
    assert seller.code("GET", "/logistics/202309/warehouses", "US") == 0
    assert [shop["region"] for shop in seller.data("GET", SHOPS, None)["shops"]] == ["US", "SG"]
    assert refresh(seller, seller.tokens["refresh_token"])["code"] == 0


def test_a_revoked_authorization_is_105003_and_cannot_be_refreshed(seller: Seller) -> None:
    seller.authorize("GB")
    seller.control("POST", "authorizations/revoke", {"shop": "GB"})
    assert seller.code("GET", SHOPS, None) == 105003
    assert refresh(seller, seller.tokens["refresh_token"])["code"] == 36004005
    seller.authorize("GB")
    assert seller.code("GET", SHOPS, None) == 0


def test_the_app_can_give_its_authorization_back(seller: Seller) -> None:
    seller.authorize("GB")
    assert seller.data("DELETE", "/authorization/202403/shops") == {}
    assert seller.code("GET", SHOPS, None) == 105003


def test_a_new_consent_grants_the_scopes_the_app_has_then(seller: Seller) -> None:
    scopes = seller.app["scopes"]
    seller.control("POST", "app", {"scopes": ["seller.authorization.info"]})
    try:
        assert seller.authorize("GB")["granted_scopes"] == ["seller.authorization.info"]
        assert seller.code("GET", SHOPS, None) == 0
        assert seller.code("GET", "/logistics/202309/warehouses") == 105005
    finally:
        seller.control("POST", "app", {"scopes": scopes})

"""The set-up wizard, as a newcomer walks through it (A007-A031), without JavaScript."""

from __future__ import annotations

import re
from html import unescape

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from connector.core.db import db
from connector.models.account import Account
from connector.models.policy import Policy
from connector.practice.serve import PracticeServer
from connector.services import policies, setup

REST = {"environment": "production", "store_view": "all", "locale": ""}


def token(client: FlaskClient, page: str) -> str:
    return re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get(page).text).group(1)


def send(client: FlaskClient, page: str, url: str, **data: str):
    return client.post(url, data={"csrf_token": token(client, page), **data})


def consent_address(client: FlaskClient, answer) -> str:
    """Where the page in between leads the browser."""
    assert answer.status_code == 303
    assert answer.location == "/accounts/oauth/consent"
    return unescape(re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', client.get(answer.location).text).group(1))


def follow_consent(client: FlaskClient, server: PracticeServer, answer) -> str:
    """Accept on the practice marketplace's own page, as the seller does, and come back; the address it leads to."""
    target = consent_address(client, answer)
    assert target.startswith(f"{server.url}/open/authorize?")
    page = requests.get(target, timeout=10)
    assert page.status_code == 200, page.text[:300]
    state = re.search(r"state=([\w-]+)", target).group(1)
    code = requests.post(f"{server.url}/practice/authorize", json={"state": state}, timeout=10).json()["code"]
    back = client.get(f"/accounts/oauth/callback?code={code}&state={state}")
    assert back.status_code == 303, back.text
    return back.location


def account() -> Account:
    db.session.commit()
    return db.session.scalar(select(Account).execution_options(populate_existing=True))


def test_a_newcomer_gets_to_a_connected_practice_shop_in_a_few_clicks(
    app: Flask, admin_client: FlaskClient, practice_tiktok: PracticeServer, practice_magento: PracticeServer
) -> None:
    assert admin_client.get("/setup/").location == "/setup/account"
    started = send(admin_client, "/setup/account", "/setup/practice", country="GB")
    assert follow_consent(admin_client, practice_tiktok, started) == "/setup/policies"
    page = admin_client.get("/setup/policies").text
    assert "Account Authorized Successfully" in page
    assert account().connected
    assert admin_client.get("/setup/").location == "/setup/policies"


def test_every_step_shows_the_four_markers_and_ticks_the_finished_ones(app: Flask, admin_client: FlaskClient) -> None:
    """A007, A008"""
    for page in ("registration", "account", "policies", "summary"):
        text = admin_client.get(f"/setup/{page}").text
        names = re.findall(r"step-item.*?</a>", text, re.S)
        assert [re.sub(r"<[^>]+>", "", name.split('">', 1)[1].split('">')[-1]).strip() for name in names] == [
            "Registration",
            "Account Onboarding",
            "Default Policies",
            "Summary",
        ]
        assert len(re.findall(r'aria-label="done"', text)) == 1  # only Registration


def test_the_third_step_is_the_grid_of_five_seeded_policies_of_which_two_are_not_valid(app: Flask, admin_client: FlaskClient) -> None:
    """A020-A023"""
    admin_client.get("/setup/")
    text = admin_client.get("/setup/policies").text
    for title in ("Default Image Policy", "Default Inventory Policy", "Default Pricing Policy", "Default Order Policy", "Default Synchronization Policy"):
        assert title in text
    assert "5 policies found" in text
    assert text.count("state-danger") >= 2
    assert "Threshold Value is empty." in text
    edit = admin_client.get(f"/setup/policies/{db.session.scalar(select(Policy.id).where(Policy.kind == 'order'))}")
    page = admin_client.get(edit.location).text
    assert "Update Order Policy" in page
    assert "/setup/policies" in page


def test_back_keeps_what_was_typed(app: Flask, admin_client: FlaskClient) -> None:
    """Product rule 11"""
    answer = send(admin_client, "/setup/account", "/setup/account", title="Tiktok_US", country="US", **REST, go="back")
    assert answer.location == "/setup/registration"
    page = admin_client.get("/setup/account").text
    assert 'value="Tiktok_US"' in page
    assert re.search(r'<option[^>]*selected[^>]*value="US"', page)


def test_an_incomplete_account_comes_back_filled_in_with_the_field_and_the_reason(app: Flask, admin_client: FlaskClient) -> None:
    answer = send(admin_client, "/setup/account", "/setup/account", title="Tiktok_US", country="", **REST, go="next")
    assert answer.status_code == 422
    assert "Choose a country" in unescape(answer.text)
    assert 'value="Tiktok_US"' in answer.text
    assert account() is None


def test_a_production_account_without_the_tiktok_app_is_saved_and_says_what_is_missing(app: Flask, admin_client: FlaskClient) -> None:
    answer = send(admin_client, "/setup/account", "/setup/account", title="Live", country="GB", **REST, go="next")
    assert answer.location == f"/accounts/{account().id}"
    page = unescape(admin_client.get(answer.location).text)
    assert "Live is saved, but not authorised." in page
    assert "Configuration > TikTok app" in page
    assert account().active is False


def test_a_wrong_magento_address_comes_back_at_its_field_and_nothing_is_saved(app: Flask, admin_client: FlaskClient) -> None:
    answer = send(admin_client, "/setup/account", "/setup/magento", base_url="shop.example", auth_kind="bearer", access_token="t" * 32, parallel_slots="2")
    assert answer.status_code == 422
    assert "https://shop.example" in answer.text
    assert 'value="shop.example"' in answer.text
    assert "t" * 32 not in answer.text


def test_finish_ends_the_wizard_and_the_reminder(app: Flask, admin_client: FlaskClient) -> None:
    """A025, A026"""
    assert "The set-up is not finished." in admin_client.get("/policies/").text
    assert "Almost done" in admin_client.get("/setup/summary").text
    answer = send(admin_client, "/setup/summary", "/setup/finish")
    assert answer.status_code == 303
    assert setup.finished()
    assert "The set-up is not finished." not in admin_client.get("/policies/").text


def test_a_complete_set_up_congratulates(app: Flask, admin_client: FlaskClient, practice_tiktok: PracticeServer, practice_magento: PracticeServer) -> None:
    from connector.domain.policies import InventoryPolicy
    from connector.services.accounts.unattended import connect_practice_shop

    connect_practice_shop("GB")
    row = policies.of_kind("inventory")[0]
    policies.save(row.id, title=row.title, body=InventoryPolicy(use_threshold=True, threshold_value=5), actor="tests")
    page = admin_client.get("/setup/summary").text
    assert "Congratulations" in page
    assert "Press Finish to create the Category Template and the Attribute Mapping." in page
    assert admin_client.get("/setup/").location == "/setup/summary"


@pytest.mark.parametrize("page", ["/setup/", "/setup/account", "/setup/summary"])
def test_the_wizard_is_for_administrators(operator_client: FlaskClient, page: str) -> None:
    assert operator_client.get(page).status_code == 403

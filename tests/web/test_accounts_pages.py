"""The accounts pages (A032-A049) and the configuration page (A050), without JavaScript."""

from __future__ import annotations

import re
from html import unescape

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.models.account import Account, MagentoConnection, OutgoingMail
from connector.models.run import JobRun
from connector.practice.serve import PracticeServer
from connector.services import accounts, mail, settings
from connector.services.accounts import Choice
from tests.web.test_wizard import consent_address, follow_consent, send

NEW = {"country": "GB", "environment": "sandbox", "store_view": "all", "locale": "", "sync_policy_id": "5", "order_policy_id": "4"}


def make(title: str = "Tiktok_GB", **changes: object) -> Account:
    return accounts.create(Choice(**{"title": title, "country": "GB", "environment": "sandbox", **changes}), actor="tests")


def test_the_grid_shows_every_column_of_an_account(app: Flask, admin_client: FlaskClient) -> None:
    """A038-A046; a NUL among what is typed is dropped, because PostgreSQL takes none"""
    make()
    answer = send(admin_client, "/accounts/1", "/accounts/1", **{**NEW, "title": "Tiktok\x00_GB", "storefront": "magento"})
    assert answer.status_code == 303
    assert db.session.scalars(select(Account.title)).all() == ["Tiktok_GB"]
    page = admin_client.get("/accounts/").text
    for heading in ("Account Id", "Title", "Active", "Country", "Store View", "Environment", "Synchronization policy", "Order policy"):
        assert heading in page
    for value in ("Tiktok_GB", "United Kingdom", "All Store View", "Sandbox", "Default Synchronization Policy", "Default Order Policy"):
        assert value in page


def test_without_an_account_the_grid_says_what_to_do(app: Flask, admin_client: FlaskClient) -> None:
    """A049"""
    page = admin_client.get("/accounts/").text
    assert "No Active/Valid Accounts Found" in page
    assert 'href="/accounts/new"' in page


def test_adding_an_account_saves_it_and_goes_to_the_consent_page_and_back(
    app: Flask, admin_client: FlaskClient, practice_tiktok: PracticeServer, practice_magento: PracticeServer
) -> None:
    """A033, A016-A019; the practice store is connected with the first Sandbox account, and the next practice shop offered is the one without an account"""
    answer = send(admin_client, "/accounts/new", "/accounts/new", **{**NEW, "title": "Tiktok_US", "country": "US"})
    location = follow_consent(admin_client, practice_tiktok, answer)
    page = admin_client.get(location).text
    assert "Account Authorized Successfully" in page
    account = db.session.scalar(select(Account).execution_options(populate_existing=True))
    assert (account.title, account.country, account.connected) == ("Tiktok_US", "US", True)
    assert account.magento.base_url == practice_magento.url
    assert "Use the practice shop</button>" in (index := admin_client.get("/accounts/").text), index
    accounts.use_practice_shop("GB", actor="tests")
    assert "Use the practice shop (SG)</button>" in admin_client.get("/accounts/").text
    refused = send(admin_client, "/accounts/new", "/accounts/new", **{**NEW, "title": "Tiktok_FR", "country": "FR"})
    assert refused.status_code == 422
    assert "The practice marketplace has no shop in France" in refused.text
    assert account.access_token not in page
    assert account.shop_cipher not in page


def test_a_refused_consent_gives_a_page_with_the_reason_and_the_remedy(app: Flask, admin_client: FlaskClient, practice_tiktok: PracticeServer) -> None:
    account = make()
    started = send(admin_client, f"/accounts/{account.id}", f"/accounts/{account.id}/authorise")
    state = re.search(r"state=([\w-]+)", consent_address(admin_client, started)).group(1)
    answer = admin_client.get(f"/accounts/oauth/callback?code=null&error=auth_denied&state={state}")
    assert answer.status_code == 400
    assert "did not authorise Tiktok_GB" in answer.text
    assert "Authorise again" in answer.text


def test_a_consent_that_comes_back_in_another_browser_is_refused(app: Flask, admin_client: FlaskClient, practice_tiktok: PracticeServer) -> None:
    import requests

    account = make()
    started = send(admin_client, f"/accounts/{account.id}", f"/accounts/{account.id}/authorise")
    state = re.search(r"state=([\w-]+)", consent_address(admin_client, started)).group(1)
    code = requests.post(f"{practice_tiktok.url}/practice/authorize", json={"state": state}, timeout=10).json()["code"]
    with admin_client.session_transaction() as session:
        session["oauth_binding"] = "another browser's"
    answer = admin_client.get(f"/accounts/oauth/callback?code={code}&state={state}")
    assert answer.status_code == 400
    assert "another browser" in answer.text


def test_editing_changes_the_policies_but_never_the_country(app: Flask, admin_client: FlaskClient) -> None:
    """A035, A014"""
    account = make()
    page = admin_client.get(f"/accounts/{account.id}").text
    assert 'name="country"' not in page
    answer = send(
        admin_client,
        f"/accounts/{account.id}",
        f"/accounts/{account.id}",
        title="Renamed",
        country="US",
        store_view="all",
        locale="en-GB",
        sync_policy_id=str(account.sync_policy_id),
        order_policy_id=str(account.order_policy_id),
    )
    assert answer.status_code == 303
    db.session.refresh(account)
    assert (account.title, account.country) == ("Renamed", "GB")


def test_a_title_that_is_taken_comes_back_with_its_reason(app: Flask, admin_client: FlaskClient) -> None:
    make("One")
    answer = send(admin_client, "/accounts/new", "/accounts/new", **{**NEW, "title": "one", "environment": "production"})
    assert answer.status_code == 422
    assert "Another account is called one." in answer.text


def test_fetch_onboarding_data_is_a_row_action_that_starts_one_run(app: Flask, admin_client: FlaskClient, practice_tiktok: PracticeServer) -> None:
    """A036"""
    from tests.services.test_accounts import authorise, new_account

    account = authorise(practice_tiktok, new_account())
    answer = send(admin_client, "/accounts/", "/accounts/bulk", row_action=f"onboard:{account.id}", state="")
    assert "Fetch Onboarding Data" in answer.text
    answer = send(admin_client, "/accounts/", "/accounts/bulk", row_action=f"onboard:{account.id}", state="", confirm="1")
    assert answer.status_code == 303
    assert len(db.session.scalars(select(JobRun.id).where(JobRun.kind == "accounts.onboard")).all()) == 1


def test_a_disabled_account_is_shown_as_such_and_the_go_live_list_is_shown_for_production(app: Flask, admin_client: FlaskClient) -> None:
    account = make("Live", environment="production")
    answer = send(admin_client, f"/accounts/{account.id}", f"/accounts/{account.id}/active", active="1")
    page = unescape(admin_client.get(answer.location).text)
    assert "Live cannot go live yet" in page
    for words in ("known before the shop is authorised", "known before Test connection has reached the store", "No clock has been compared yet"):
        assert words in page, "what could not be looked at is not green"
    assert "Staging storefront" in page
    db.session.refresh(account)
    assert account.active is False


def test_an_expired_authorisation_is_a_banner_on_every_page(app: Flask, admin_client: FlaskClient) -> None:
    account = make()
    with unit_of_work():
        account.auth_state, account.auth_message = "expired", "TikTok Shop no longer accepts the refresh token."
    page = admin_client.get("/policies/").text
    assert "Tiktok_GB: Authorisation expired." in page
    assert f'href="/accounts/{account.id}"' in page


def test_an_operator_reads_accounts_but_changes_none(app: Flask, operator_client: FlaskClient) -> None:
    account = make()
    assert operator_client.get("/accounts/").status_code == 200
    page = operator_client.get(f"/accounts/{account.id}").text
    assert "Tiktok_GB" in page
    assert "Authorise</button>" not in page
    assert operator_client.get("/accounts/new").status_code == 403
    assert operator_client.get("/configuration/").status_code == 403


def test_the_configuration_keeps_secrets_and_never_shows_them(app: Flask, admin_client: FlaskClient) -> None:
    """A050, product rule 12"""
    answer = send(admin_client, "/configuration/", "/configuration/tiktok", app_key="key1", app_secret="very-secret-1", service_id="77")
    assert answer.status_code == 303
    assert settings.tiktok_app("production").app_secret == "very-secret-1"
    page = admin_client.get("/configuration/").text
    assert "very-secret-1" not in page
    assert 'value="key1"' in page
    send(admin_client, "/configuration/", "/configuration/tiktok", app_key="key2", app_secret="", service_id="77")
    assert settings.tiktok_app("production").app_secret == "very-secret-1"
    answer = send(admin_client, "/configuration/", "/configuration/tiktok", app_key="key2", app_secret="", service_id="")
    assert answer.status_code == 422
    assert "belong together" in answer.text


def test_general_settings_and_notifications_are_checked_and_kept(app: Flask, admin_client: FlaskClient) -> None:
    send(admin_client, "/configuration/", "/configuration/general", time_zone="Europe/London", log_retention_days="7", debug_log="y")
    assert settings.many("time_zone", "log_retention_days", "debug_log") == {"time_zone": "Europe/London", "log_retention_days": 7, "debug_log": True}
    assert "Debug log" in admin_client.get("/configuration/").text
    answer = send(admin_client, "/configuration/", "/configuration/notifications", recipients="a@b.example\nnobody")
    assert answer.status_code == 422
    assert "nobody is not an e-mail address" in answer.text
    send(admin_client, "/configuration/", "/configuration/notifications", recipients="a@b.example", failures="y")
    assert settings.many("notify.recipients", "notify.failures", "notify.authorisation") == {
        "notify.recipients": ["a@b.example"],
        "notify.failures": True,
        "notify.authorisation": False,
    }


def test_the_practice_store_is_connected_and_tested_from_the_configuration(app: Flask, admin_client: FlaskClient, practice_magento: PracticeServer) -> None:
    send(admin_client, "/configuration/", "/configuration/magento/practice")
    row = db.session.scalar(select(MagentoConnection))
    page = admin_client.get("/configuration/").text
    assert row.base_url in page
    assert "Base currency" in page
    assert row.consumer_secret not in page


def test_sandbox_mail_is_kept_on_screen(app: Flask, admin_client: FlaskClient) -> None:
    """A249"""
    mail.queue("ops@example.test", subject="An order failed", body="Order 5768 failed.", account=make())
    page = admin_client.get("/configuration/outbox").text
    assert "An order failed" in page
    assert "Kept on screen" in page
    assert db.session.scalars(select(OutgoingMail.state)).all() == ["kept"]
    assert db.session.scalars(select(JobRun.kind)).all() == []


def test_live_mail_is_sent_by_a_job_and_a_failure_keeps_its_reason(app: Flask, admin_client: FlaskClient, work_off) -> None:
    mail.queue("ops@example.test", subject="Hello", body="Text")
    work_off()
    page = admin_client.get("/configuration/outbox").text
    assert "No mail server is configured." in page
    assert "Send again" in page

"""Authorising an account and keeping it authorised (A016-A019, product.md 3), against the practice marketplace over real HTTP."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Flask
from sqlalchemy import select

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import AUTH_CONNECTED, AUTH_EXPIRED, AUTH_NONE, AUTH_REVOKED, Account, OAuthState, OutgoingMail, ShopReference
from connector.models.run import WAITING, JobRun, Schedule
from connector.models.trace import ApiCall, Event
from connector.practice.serve import PracticeServer
from connector.services import accounts, connections, runs, settings, tokens
from connector.services.accounts import Choice

pytestmark = pytest.mark.postgres
BINDING = "this browser"


def post(server: PracticeServer, path: str, **body: Any) -> dict[str, Any]:
    answer = requests.post(f"{server.url}/practice/{path}", json=body, timeout=30)
    answer.raise_for_status()
    return answer.json()


def new_account(country: str = "GB", title: str | None = None) -> Account:
    return accounts.create(Choice(title=title or f"Shop {country}", country=country, environment="sandbox"), actor="tests")


def start(account: Account) -> str:
    """Start the consent; the state that TikTok will send back."""
    return parse_qs(urlsplit(accounts.start_authorisation(account.id, binding=BINDING, actor="tests")).query)["state"][0]


def consent(server: PracticeServer, state: str, *shops: str) -> str:
    return post(server, "authorize", state=state, **({"shops": list(shops)} if shops else {}))["code"]


def authorise(server: PracticeServer, account: Account, *shops: str) -> Account:
    state = start(account)
    accounts.finish_authorisation(state=state, code=consent(server, state, *shops), error="", binding=BINDING, actor="tests")
    return fresh(account)


def fresh(account: Account) -> Account:
    db.session.commit()
    return db.session.get(Account, account.id, populate_existing=True)


def calls(operation: str) -> list[ApiCall]:
    return list(db.session.scalars(select(ApiCall).where(ApiCall.operation == operation).order_by(ApiCall.id)))


def refused(state: str, code: str, *, error: str = "", binding: str = BINDING) -> DomainError:
    with pytest.raises(DomainError) as caught:
        accounts.finish_authorisation(state=state, code=code, error=error, binding=binding, actor="tests")
    return caught.value


def test_an_authorised_account_keeps_the_shop_of_its_country_and_its_cipher(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = authorise(practice_tiktok, new_account("US"))

    known = {shop["region"]: shop for shop in requests.get(f"{practice_tiktok.url}/practice/app", timeout=10).json()["shops"]}
    assert account.auth_state == AUTH_CONNECTED
    assert account.connected
    assert (account.shop_id, account.shop_cipher, account.shop_region) == (known["US"]["id"], known["US"]["cipher"], "US")
    assert account.access_expires_at > utcnow() + timedelta(days=6)
    assert "seller.order.info" in account.granted_scopes


def test_authorising_starts_the_onboarding_import_once(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = authorise(practice_tiktok, new_account())
    authorise(practice_tiktok, account)
    assert db.session.scalars(select(JobRun.kind).where(JobRun.account_id == account.id, JobRun.kind == "accounts.onboard")).all() == ["accounts.onboard"]


def test_consent_refused_by_the_seller_says_so_and_changes_nothing(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = new_account()
    error = refused(start(account), "null", error="auth_denied")
    assert error.code == "oauth.refused"
    assert "auth_denied" in error.message
    assert "Authorise again" in error.remedy
    assert fresh(account).auth_state == AUTH_NONE


def test_a_state_from_another_browser_is_refused_and_stays_usable_in_its_own(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = new_account()
    state = start(account)
    code = consent(practice_tiktok, state)
    assert refused(state, code, binding="another browser").code == "oauth.state_foreign"
    assert fresh(account).auth_state == AUTH_NONE
    accounts.finish_authorisation(state=state, code=code, error="", binding=BINDING, actor="tests")
    assert fresh(account).connected


def test_a_state_that_was_never_given_out_is_refused(app: Flask, practice_tiktok: PracticeServer) -> None:
    assert refused("made-up", "code").code == "oauth.state_unknown"
    assert refused("", "code").code == "oauth.state_unknown"


def test_a_replayed_answer_is_refused_and_leaves_the_connection_alone(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = new_account()
    state = start(account)
    code = consent(practice_tiktok, state)
    accounts.finish_authorisation(state=state, code=code, error="", binding=BINDING, actor="tests")
    before = tokens.stored(account.id)
    assert refused(state, code).code == "oauth.state_used"
    assert tokens.stored(account.id) == before
    assert fresh(account).connected


def test_a_state_older_than_half_an_hour_is_refused(app: Flask, practice_tiktok: PracticeServer) -> None:
    state = start(new_account())
    with unit_of_work() as session:
        session.get(OAuthState, state).created_at = utcnow() - timedelta(minutes=31)
    assert refused(state, "code").code == "oauth.state_old"


def test_a_code_that_was_used_before_is_refused_with_what_tiktok_said(app: Flask, practice_tiktok: PracticeServer) -> None:
    first, second = new_account("GB"), new_account("US")
    state = start(first)
    code = consent(practice_tiktok, state)
    accounts.finish_authorisation(state=state, code=code, error="", binding=BINDING, actor="tests")
    error = refused(start(second), code)
    assert error.code == "oauth.tts.auth_code_invalid"
    assert "TikTok said" in error.message
    assert "again" in error.remedy
    assert fresh(second).auth_state == AUTH_NONE


def test_a_consent_for_the_shop_of_another_country_names_both(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = new_account("GB")
    state = start(account)
    error = refused(state, consent(practice_tiktok, state, "US"))
    assert error.code == "oauth.wrong_country"
    assert "United Kingdom" in error.message
    assert "(US)" in error.message
    assert fresh(account).auth_state == AUTH_NONE
    assert tokens.stored(account.id).access_token is None


def test_a_shop_belongs_to_one_account_only(app: Flask, practice_tiktok: PracticeServer) -> None:
    authorise(practice_tiktok, new_account("GB", "First"))
    second = new_account("GB", "Second")
    state = start(second)
    assert refused(state, consent(practice_tiktok, state)).code == "oauth.shop_taken"


def test_missing_scopes_are_named_after_the_consent(app: Flask, practice_tiktok: PracticeServer) -> None:
    granted = requests.get(f"{practice_tiktok.url}/practice/app", timeout=10).json()["scopes"]
    post(practice_tiktok, "app", scopes=[scope for scope in granted if scope != "seller.logistics"])
    try:
        account = new_account()
        state = start(account)
        _, _, missing = accounts.finish_authorisation(state=state, code=consent(practice_tiktok, state), error="", binding=BINDING, actor="tests")
    finally:
        post(practice_tiktok, "app", scopes=granted)
    assert missing == ["seller.logistics"]


def test_a_token_that_expires_in_the_middle_is_refreshed_once_by_many_threads(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = authorise(practice_tiktok, new_account())
    db.session.remove()
    post(practice_tiktok, "authorizations/expire", access=True)
    requests.delete(f"{practice_tiktok.url}/practice/calls", timeout=10)
    outcomes: list[object] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        with app.app_context():
            client = connections.tiktok(account.id)
            end_reading()
            barrier.wait()
            try:
                outcomes.append(len(client.warehouses()))
            except Exception as error:
                outcomes.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == [outcomes[0]] * 8
    assert isinstance(outcomes[0], int)
    assert outcomes[0] > 0
    operations = requests.get(f"{practice_tiktok.url}/practice/calls", timeout=10).json()["operations"]
    assert operations["token.refresh"]["count"] == 1
    assert len(calls("refresh")) == 1


def test_a_refresh_changes_the_pair_of_every_account_of_the_same_consent(app: Flask, practice_tiktok: PracticeServer) -> None:
    first = authorise(practice_tiktok, new_account("GB"), "GB", "US")
    second = authorise(practice_tiktok, new_account("US"), "GB", "US")
    assert tokens.stored(first.id) == tokens.stored(second.id)
    end_reading()
    renewed = connections.renew_tokens(first.id, tokens.stored(first.id).access_token)
    assert tokens.stored(second.id).access_token == renewed


def test_a_refused_refresh_flags_the_account_and_its_work_waits_until_it_is_authorised_again(
    app: Flask, practice_tiktok: PracticeServer, work_off: Any
) -> None:
    account = authorise(practice_tiktok, new_account())
    work_off()
    post(practice_tiktok, "authorizations/expire", access=True, refresh=True)
    run_id = runs.submit("accounts.check_webhooks", account_id=account.id).run_id
    work_off(passes=1)

    account = fresh(account)
    assert account.auth_state == AUTH_EXPIRED
    assert "refresh token" in account.auth_message
    run = db.session.get(JobRun, run_id, populate_existing=True)
    assert run.state == WAITING
    assert run.finished_at is None
    assert db.session.scalar(select(Event).where(Event.kind == "account.authorisation_lost")) is not None

    account = authorise(practice_tiktok, account)
    assert account.auth_state == AUTH_CONNECTED
    assert account.auth_message is None
    work_off()
    assert db.session.get(JobRun, run_id, populate_existing=True).state == "succeeded"


def test_a_token_refused_although_just_given_out_does_not_stop_the_account_for_good(app: Flask, practice_tiktok: PracticeServer, work_off: Any) -> None:
    account = authorise(practice_tiktok, new_account())
    work_off()
    post(practice_tiktok, "faults", kind="expired_token", operation="webhooks.list", times=2)
    run_id = runs.submit("accounts.check_webhooks", account_id=account.id).run_id
    work_off(passes=1)
    assert fresh(account).auth_state == AUTH_EXPIRED
    assert db.session.get(JobRun, run_id, populate_existing=True).state == WAITING

    post(practice_tiktok, "faults", kind="expired_token", operation="shops.authorized", times=2)
    assert accounts.find_again() == []
    assert fresh(account).auth_state == AUTH_EXPIRED
    runs.submit("accounts.refresh_tokens")
    work_off()
    assert fresh(account).auth_state == AUTH_CONNECTED
    assert db.session.get(JobRun, run_id, populate_existing=True).state == "succeeded"


def test_a_revoked_authorisation_is_told_apart_and_mailed_on_screen(app: Flask, practice_tiktok: PracticeServer) -> None:
    settings.put({"notify.recipients": ["ops@example.test"]}, actor="tests")
    account = authorise(practice_tiktok, new_account())
    post(practice_tiktok, "authorizations/revoke", shop="GB")
    client = connections.tiktok(account.id)
    end_reading()
    with pytest.raises(api.Unauthorized) as caught:
        client.warehouses()
    accounts.authorisation_lost(account.id, caught.value)
    accounts.authorisation_lost(account.id, caught.value)
    assert fresh(account).auth_state == AUTH_REVOKED
    mails = db.session.scalars(select(OutgoingMail)).all()
    assert [(mail.state, mail.recipient) for mail in mails] == [("kept", "ops@example.test")]


def test_a_missing_scope_is_noted_but_does_not_disconnect(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = authorise(practice_tiktok, new_account())
    post(practice_tiktok, "authorizations/scopes", revoke=["seller.logistics"])
    client = connections.tiktok(account.id)
    end_reading()
    with pytest.raises(api.Unauthorized) as caught:
        client.warehouses()
    accounts.authorisation_lost(account.id, caught.value)
    account = fresh(account)
    assert account.auth_state == AUTH_CONNECTED
    assert "Partner Center" in account.auth_message


def test_tokens_are_refreshed_before_they_end(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = authorise(practice_tiktok, new_account())
    assert accounts.refresh_due_tokens() == (0, [])
    before = tokens.stored(account.id)
    with unit_of_work() as session:
        session.get(Account, account.id).access_expires_at = utcnow() + timedelta(hours=5)
    assert accounts.refresh_due_tokens() == (1, [])
    after = tokens.stored(account.id)
    assert after.access_token != before.access_token
    assert after.access_expires_at > utcnow() + timedelta(days=6)


def test_the_country_cannot_be_changed_after_saving(app: Flask) -> None:
    """A014"""
    account = new_account("GB")
    with pytest.raises(DomainError) as caught:
        accounts.update(account.id, Choice(title=account.title, country="US", environment="sandbox"), actor="tests")
    assert (caught.value.code, caught.value.field) == ("account.country_fixed", "country")
    assert fresh(account).country == "GB"


def test_two_accounts_cannot_have_the_same_title(app: Flask) -> None:
    new_account("GB", "Main")
    with pytest.raises(DomainError) as caught:
        new_account("US", "main ")
    assert caught.value.field == "title"


def test_a_new_account_has_its_schedules_and_the_default_policies(app: Flask) -> None:
    account = new_account()
    accounts.ensure_schedules(account)
    rows = {row.kind: row.interval_seconds for row in db.session.scalars(select(Schedule).where(Schedule.account_id == account.id))}
    assert rows["orders.import"] == 60
    assert rows["cancellations.import"] == 300
    assert {"shipments.collect", "shipments.push", "orders.follow", "reconcile", "accounts.check_webhooks"} <= set(rows)
    installation = db.session.scalars(select(Schedule.kind).where(Schedule.account_id.is_(None))).all()
    assert sorted(installation) == ["accounts.refresh_tokens", "housekeeping"]
    assert account.order_policy.title == "Default Order Policy"
    assert account.sync_policy.title == "Default Synchronization Policy"


def test_onboarding_imports_warehouses_options_carriers_and_statuses_and_registers_webhooks(app: Flask, practice_tiktok: PracticeServer, work_off: Any) -> None:
    """A036, A037"""
    account = authorise(practice_tiktok, new_account())
    work_off()
    run = db.session.scalar(select(JobRun).where(JobRun.kind == "accounts.onboard"))
    assert run.state == "succeeded"
    assert run.message.startswith("Onboarding Data Imported successfully: ")
    kinds = db.session.scalars(select(ShopReference.kind).where(ShopReference.account_id == account.id)).all()
    for kind in ("category", "warehouse", "delivery_option", "shipping_provider", "order_status"):
        assert kinds.count(kind) == run.result[kind] > 0
    client = connections.tiktok(account.id)
    end_reading()
    assert {row["event_type"] for row in client.webhooks()} >= {"ORDER_STATUS_CHANGE", "SELLER_DEAUTHORIZATION", "CANCELLATION_STATUS_CHANGE"}
    client.remove_webhook("ORDER_STATUS_CHANGE")
    assert accounts.check_webhooks(account.id) == "Registered again: ORDER_STATUS_CHANGE."
    assert accounts.check_webhooks(account.id).startswith("All 12 webhooks")


def test_the_category_tree_is_whole_and_that_of_the_shops_market(app: Flask, practice_tiktok: PracticeServer) -> None:
    """A036: every node's parent is there, and leaves are marked, in the tree version that the market asks for."""
    for country in ("GB", "US"):
        account = authorise(practice_tiktok, new_account(title=f"Tree_{country}", country=country))
        accounts.import_onboarding_data(account.id)
        nodes = db.session.scalars(select(ShopReference).where(ShopReference.account_id == account.id, ShopReference.kind == "category")).all()
        ids = {node.remote_id for node in nodes}
        assert {node.parent_id for node in nodes} - ids == {"0"}
        assert any(node.data["is_leaf"] for node in nodes)


def test_without_the_product_scope_the_orders_side_is_still_onboarded(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = authorise(practice_tiktok, new_account())
    post(practice_tiktok, "authorizations/scopes", revoke=["seller.product.basic"])
    counts = accounts.import_onboarding_data(account.id)
    assert counts["category"] == 0
    assert counts["shipping_provider"] > 0


def test_importing_onboarding_data_twice_gives_the_same_rows(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = authorise(practice_tiktok, new_account())
    assert accounts.import_onboarding_data(account.id) == accounts.import_onboarding_data(account.id)


def test_the_first_production_account_starts_disabled_and_needs_a_green_checklist(app: Flask) -> None:
    """A247-A250"""
    account = accounts.create(Choice(title="Live", country="GB"), actor="tests")
    assert account.active is False
    with pytest.raises(DomainError) as caught:
        accounts.set_active(account.id, True, actor="tests")
    assert caught.value.code == "account.go_live"
    account = fresh(account)
    assert account.active is False
    red = {check["check"] for check in account.go_live["checks"] if not check["ok"]}
    assert {"TikTok app", "Public address", "Authorisation", "Magento connection", "Order policy", "Staging storefront"} <= red
    green = {check["check"] for check in account.go_live["checks"] if check["ok"]}
    assert {"Storefront protection", "Payment capture off in tests", "No mail from tests"} <= green
    assert all(check["remedy"] for check in account.go_live["checks"] if not check["ok"])


def test_a_disabled_account_is_enabled_again_and_its_work_wakes(app: Flask) -> None:
    account = new_account()
    accounts.set_active(account.id, False, actor="tests")
    assert accounts.listed(working=True) == []
    accounts.set_active(account.id, True, actor="tests")
    assert fresh(account).active is True

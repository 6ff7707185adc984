"""Choosing and connecting the storefront of an account (A243, A247-A250), without JavaScript."""

from __future__ import annotations

import requests
from flask import Flask
from flask.testing import FlaskClient

from connector.core.db import db
from connector.models.account import Account
from connector.models.trace import ApiCall, Event
from connector.practice.serve import PracticeServer
from connector.services import accounts
from connector.services.accounts import Choice, storefront
from tests.web.test_wizard import send

FORM = {"title": "Tiktok_GB", "store_view": "all", "locale": "", "sync_policy_id": "5", "order_policy_id": "4"}


def test_an_account_chooses_its_storefront_connects_it_and_sees_what_is_wrong(
    app: Flask, admin_client: FlaskClient, viewer_client: FlaskClient, practice_storefront: PracticeServer
) -> None:
    account = accounts.create(Choice(title="Tiktok_GB", country="GB", environment="sandbox"), actor="tests")
    url = f"/accounts/{account.id}"
    assert "Client secret" not in admin_client.get(url).text

    answer = send(admin_client, url, url, **FORM, storefront="external")
    assert answer.status_code == 303
    page = admin_client.get(url).text
    assert "Not connected yet" in page
    assert "Use the practice storefront" in page

    for given, status, words in (
        ({"base_url": "", "client_id": ""}, 422, "Enter the address of the storefront"),
        ({"base_url": "https://store.example.com", "client_id": "x", "client_secret": "y"}, 422, "practice storefront only"),
        ({"base_url": practice_storefront.url, "client_id": "x", "client_secret": ""}, 422, "Client secret is empty"),
        ({"base_url": practice_storefront.url, "client_id": "x", "client_secret": "wrong-secret", "test": "1"}, 303, "does not know this client"),
    ):
        answer = send(admin_client, url, f"{url}/storefront", **given)
        assert answer.status_code == status, given
        assert words in (answer.text if status == 422 else admin_client.get(url).text)

    assert send(admin_client, url, f"{url}/storefront/practice").status_code == 303
    page = admin_client.get(url).text
    for words in ("In order", "development", "a stranger gets 401", "Payment capture", "Confirmation e-mails"):
        assert words in page
    row = storefront.of(account.id)
    assert row is not None
    assert row.client_secret not in page
    assert row.storefront_password == "practice"
    assert (
        send(admin_client, url, f"{url}/storefront", base_url=row.base_url, client_id=row.client_id, storefront_password="other", test="1").status_code == 303
    )
    page = admin_client.get(url).text
    assert "password does not open the storefront" in page  # the blank secret was kept, the new password was not right
    requests.post(f"{practice_storefront.url}/practice/settings", json={"paymentCapture": True}, timeout=10)
    assert send(admin_client, url, f"{url}/storefront/test").status_code == 303
    assert "Switch payment capture off in the store" in admin_client.get(url).text

    kept = " ".join(f"{call.request_body} {call.response_body}" for call in db.session.query(ApiCall)) + " ".join(
        f"{event.message} {event.before} {event.after}" for event in db.session.query(Event)
    )
    assert row.client_secret not in kept
    assert "other" not in kept
    assert viewer_client.get(url).status_code == 200
    assert "Client secret" not in viewer_client.get(url).text
    page = admin_client.get("/accounts/").text
    assert "External storefront" in page
    assert send(admin_client, url, url, **FORM, storefront="magento").status_code == 303
    db.session.expire_all()
    assert db.session.get_one(Account, account.id).storefront == "magento"

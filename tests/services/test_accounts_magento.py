"""The Magento connection against the practice store: Test connection and its messages (product.md 3, MAG §1)."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import requests
from flask import Flask

from connector.core.db import db
from connector.core.errors import DomainError
from connector.models.account import MagentoConnection
from connector.practice.serve import PracticeServer
from connector.services import accounts, magento
from connector.services.accounts.editing import store_views


def keys(server: PracticeServer, **body: Any) -> dict[str, str]:
    answer = requests.post(f"{server.url}/practice/integrations", json=body, timeout=30)
    answer.raise_for_status()
    found = answer.json()
    return {name: found[name] for name in magento.KEYS}


def save(server: PracticeServer, **changes: Any) -> MagentoConnection:
    values = {"environment": "sandbox", "base_url": server.url, "auth_kind": "oauth1", "actor": "tests", **changes}
    return magento.save(**values)


def test_the_practice_store_is_connected_in_one_step_and_everything_is_learned(app: Flask, practice_magento: PracticeServer) -> None:
    row = accounts.use_practice_store(actor="tests")
    facts = db.session.get(MagentoConnection, row.id, populate_existing=True).facts
    assert facts["ok"], facts["problems"]
    assert facts["problems"] == facts["missing"] == []
    assert facts["msi"] is True
    assert facts["currency"] == "USD"
    assert abs(facts["clock_offset"]) < 5
    assert len(store_views(row.id)) >= 2
    for kind in ("store_view", "website", "source", "stock", "attribute"):
        assert db.session.scalars(magento.references(row.id, kind)).all(), kind


def test_connecting_the_practice_store_again_keeps_one_connection(app: Flask, practice_magento: PracticeServer) -> None:
    """A034"""
    first = accounts.use_practice_store(actor="tests")
    assert accounts.use_practice_store(actor="tests").id == first.id


def test_missing_permissions_are_named_one_by_one(app: Flask, practice_magento: PracticeServer) -> None:
    row = save(practice_magento, **keys(practice_magento, acl=["Magento_Backend::store", "Magento_Catalog::products"]))
    facts = magento.test(row.id)
    assert not facts["ok"]
    assert "Magento_Sales::actions_view" in facts["missing"]
    assert "Magento_Sales::actions_view" in facts["problems"][0]["message"]
    assert "System > Integrations" in facts["problems"][0]["remedy"]


def test_a_wrong_token_is_said_with_magentos_own_words(app: Flask, practice_magento: PracticeServer) -> None:
    good = keys(practice_magento, acl="all")
    row = save(practice_magento, **{**good, "access_token": "z" * 32})
    facts = magento.test(row.id)
    assert not facts["ok"]
    assert "Magento said:" in facts["problems"][0]["message"]
    assert facts["problems"][0]["remedy"]


def test_a_store_that_is_not_there_is_said_as_such(app: Flask, practice_magento: PracticeServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    row = magento.save(
        environment="production",
        base_url=f"http://127.0.0.1:{port}",
        auth_kind="bearer",
        access_token="t" * 32,
        actor="tests",
    )
    facts = magento.test(row.id)
    assert "cannot be reached" in facts["problems"][0]["message"]
    assert "address" in facts["problems"][0]["remedy"]


@pytest.mark.parametrize(
    ("address", "words"),
    [("shop.example", "https://"), ("https://", "host name"), ("https://a:b@shop.example", "password"), ("https://shop.example/rest/V1", "without /rest")],
)
def test_an_address_that_cannot_be_one_is_refused_at_its_field(app: Flask, address: str, words: str) -> None:
    with pytest.raises(DomainError) as caught:
        magento.save(environment="production", base_url=address, auth_kind="bearer", access_token="t" * 32, actor="tests")
    assert caught.value.field == "base_url"
    assert words in caught.value.message


def test_a_sandbox_connection_may_not_point_to_another_store_and_a_live_one_not_to_the_practice_store(app: Flask, practice_magento: PracticeServer) -> None:
    """A247"""
    with pytest.raises(DomainError) as caught:
        save(practice_magento, base_url="https://shop.example.com")
    assert caught.value.code == "magento.not_practice"
    with pytest.raises(DomainError) as caught:
        save(practice_magento, environment="production")
    assert caught.value.code == "magento.is_practice"


def test_blank_keys_keep_the_stored_ones_but_not_for_another_address(app: Flask) -> None:
    first = {"environment": "production", "base_url": "https://one.example", "auth_kind": "bearer", "actor": "tests"}
    row = magento.save(**first, access_token="t" * 32)
    assert magento.save(**first, access_token="").access_token == "t" * 32
    with pytest.raises(DomainError) as caught:
        magento.save(**{**first, "base_url": "https://two.example"}, access_token="")
    assert caught.value.field == "access_token"
    db.session.expire_all()
    assert db.session.get(MagentoConnection, row.id).base_url == "https://one.example"


def test_a_newcomer_gets_a_practice_account_with_its_store(app: Flask, practice_tiktok: PracticeServer, practice_magento: PracticeServer) -> None:
    account = accounts.use_practice_shop("US", actor="tests")
    assert (account.environment, account.country, account.active, account.store_view) == ("sandbox", "US", True, "default")
    assert account.magento is not None
    assert accounts.use_practice_shop("US", actor="tests").id == account.id

"""Clients as the services get them: guards, records and masks (product rules 3 and 12, A247)."""

from __future__ import annotations

import pytest
import requests
from flask import Flask
from sqlalchemy import select, text

from connector.clients import errors as api
from connector.core.db import db, end_reading, unit_of_work
from connector.models.account import MagentoConnection
from connector.models.trace import ApiCall
from connector.practice.serve import PracticeServer
from connector.services import connections, events, recording
from tests.services.test_accounts import authorise, new_account

pytestmark = pytest.mark.sqlite_only  # clients and their limits; no query of its own


def test_a_sandbox_account_never_reaches_a_live_host(app: Flask, practice_tiktok: PracticeServer) -> None:
    """A247"""
    store = MagentoConnection(environment="sandbox", base_url="https://shop.example.com", auth_kind="bearer", access_token="x" * 32)
    with pytest.raises(api.ForbiddenHost):
        connections.magento_client(store).store_views()
    allows = connections.connections().allows
    assert not allows("sandbox", "open-api.tiktokglobalshop.com")
    assert allows("sandbox", practice_tiktok.url.removeprefix("http://"))
    assert allows("production", "open-api.tiktokglobalshop.com")


def test_no_call_is_made_inside_a_write_transaction(app: Flask, practice_tiktok: PracticeServer) -> None:
    """Product rule 3"""
    account = authorise(practice_tiktok, new_account())
    client = connections.tiktok(account.id)
    with unit_of_work() as session:
        session.get(MagentoConnection, 1)
        with pytest.raises(RuntimeError, match="inside a database transaction"):
            client.warehouses()


def test_every_call_is_recorded_with_its_account_run_and_order(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = authorise(practice_tiktok, new_account())
    run, order = events.run_now.set(41), connections.order_now.set(42)
    try:
        client = connections.tiktok(account.id)
        end_reading()
        client.warehouses()
    finally:
        events.run_now.reset(run)
        connections.order_now.reset(order)
    call = db.session.scalar(select(ApiCall).where(ApiCall.operation == "warehouses"))
    assert (call.system, call.account_id, call.run_id, call.order_id) == ("tiktok", account.id, 41, 42)
    assert (call.method, call.status, call.failed, call.safe) == ("GET", 200, False, True)
    assert call.url.startswith(f"{practice_tiktok.url}/logistics/202309/warehouses?")
    assert account.shop_cipher not in call.url


def test_neither_secrets_nor_buyer_data_stand_in_the_records(app: Flask, practice_tiktok: PracticeServer) -> None:
    """Product rule 12: the stored text is encrypted, and even the plain text holds no secret and no buyer."""
    account = authorise(practice_tiktok, new_account())
    requests.post(f"{practice_tiktok.url}/practice/seed", json={"shops": ["GB"], "orders": 5, "status": "AWAITING_SHIPMENT"}, timeout=30).raise_for_status()
    client = connections.tiktok(account.id)
    end_reading()
    orders = client.search_orders().items
    buyers = {
        value
        for order in orders
        for key, value in (order.get("recipient_address") or {}).items()
        if key in ("name", "phone_number", "full_address", "postal_code", "address_line1") and value
    } | {order["buyer_email"] for order in orders}
    assert len(buyers) >= 10
    written = " ".join(
        f"{call.url} {call.request_body} {call.response_body}" for call in db.session.scalars(select(ApiCall)) if call.operation in ("search_orders", "token")
    )
    from connector.services import settings, tokens

    secrets = {*tokens.stored(account.id)[::2], settings.get("practice.app_secret"), account.shop_cipher}
    assert orders[0]["id"] in written
    for value in buyers | secrets:
        assert value not in written
    for body in db.session.execute(text("SELECT response_body FROM api_call WHERE response_body IS NOT NULL")).scalars():
        assert body.startswith("gAAAA")


def test_a_successful_read_keeps_four_kilobytes_and_a_failure_more(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = authorise(practice_tiktok, new_account())
    requests.post(f"{practice_tiktok.url}/practice/seed", json={"shops": ["GB"], "orders": 40}, timeout=30).raise_for_status()
    client = connections.tiktok(account.id)
    end_reading()
    client.search_orders()
    read = db.session.scalar(select(ApiCall).where(ApiCall.operation == "search_orders"))
    assert 3000 < len(read.response_body) < 4200
    assert read.response_body.endswith("(cut)")
    db.session.commit()
    with pytest.raises(api.ApiError):
        client.mark_shipped("1" * 18, line_ids=["2"], tracking_number="T", shipping_provider_id="3")
    failed = db.session.scalar(select(ApiCall).where(ApiCall.operation == "mark_shipped").order_by(ApiCall.id.desc()))
    assert failed.failed
    assert not failed.safe
    assert failed.code


@pytest.mark.parametrize(
    ("system", "operation", "raw", "kept", "gone"),
    [
        ("tiktok", "get_orders", '{"name":"Buyer 0001 Example","seller_sku":"TEE"}', "TEE", "Buyer 0001"),
        ("tiktok", "warehouses", '{"name":"Main warehouse","phone_number":"(+44)77"}', "Main warehouse", "(+44)77"),
        ("magento", "order", '{"firstname":"Ann","street":["1 High St","Flat 2"],"sku":"TEE"}', "TEE", "High St"),
        ("magento", "order", '{"customer_email":"a@b.example","note":"write to c@d.example"}', "write to", "c@d.example"),
        ("magento", "order", '{"telephone":"+44 77", "street":["1 High', '"street":"***"', "High"),
        ("tiktok", "token", '{"access_token":"abc\\"def","open_id":"7"}', '"open_id":"7"', "def"),
    ],
)
def test_masking_blanks_private_values_even_in_a_text_that_was_cut(system: str, operation: str, raw: str, kept: str, gone: str) -> None:
    masked = recording.mask(raw, operation=operation, system=system)
    assert kept in masked
    assert gone not in masked


def test_tiktoks_clock_is_learned_and_kept_for_windows_and_deadlines(app: Flask, practice_tiktok: PracticeServer) -> None:
    account = authorise(practice_tiktok, new_account())
    requests.post(f"{practice_tiktok.url}/practice/clock", json={"advance_seconds": 7200}, timeout=10).raise_for_status()
    client = connections.tiktok(account.id)
    end_reading()
    client.warehouses()
    db.session.refresh(account)
    assert 7140 < account.clock_offset_seconds < 7260
    assert abs((connections.shop_now(account) - client.now()).total_seconds()) < 60
    assert connections.tiktok(account.id).clock_offset == account.clock_offset_seconds


def test_a_redirect_url_and_the_keys_of_the_practice_app_are_taken_over(app: Flask, practice_tiktok: PracticeServer) -> None:
    from connector.services.accounts import practice

    practice.connect_app(actor="tests")
    assert connections.tiktok_app("sandbox").complete
    present = requests.get(f"{practice_tiktok.url}/practice/app", timeout=10).json()
    assert present["redirect_url"] == f"{app.config['CONNECTOR'].public_url}/accounts/oauth/callback"


def test_without_an_app_a_client_says_where_to_enter_it(app: Flask) -> None:
    from connector.core.errors import DomainError

    with pytest.raises(DomainError) as caught:
        connections.tiktok_app("production")
    assert caught.value.code == "tiktok.no_app"
    assert "Configuration" in caught.value.remedy

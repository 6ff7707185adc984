"""Safeguards of tests, enforced where the call is made, whatever code asks for it (A247-A250)."""

from __future__ import annotations

import json

import pytest
import requests
from sqlalchemy import func, select, update

from connector.clients.errors import ForbiddenHost, ForbiddenRequest
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain import safeguards
from connector.models.account import PRODUCTION, SANDBOX, Account, MagentoConnection
from connector.models.oms import ExternalStore
from connector.models.order import CREATED, Order
from connector.models.trace import ApiCall, Event
from connector.services import accounts, connections, magento, mail
from connector.services.accounts import Choice
from connector.services.orders import create
from tests.factories.parcels import place
from tests.factories.shop import Market

pytestmark = pytest.mark.sqlite_only  # requests that never leave; no query of its own


def test_a248_a249_an_order_reaches_the_practice_store_without_capture_and_without_any_mail(
    connected_account: Account, practice_tiktok, practice_magento
) -> None:
    order = place(Market(practice_tiktok.url), connected_account, ("MUG-01", 2))
    create.create_one(order.id)
    order = db.session.get(Order, order.id, populate_existing=True)
    assert (order.state, order.invoiced) == (CREATED, True)
    bodies = [body or "" for body in db.session.scalars(select(ApiCall.request_body).where(ApiCall.operation == "invoice"))]
    assert bodies
    assert all(json.loads(body)["capture"] is False for body in bodies)
    assert requests.get(f"{practice_magento.url}/practice/emails", timeout=10).json() == []

    calls = db.session.scalar(select(func.count()).select_from(ApiCall))
    db.session.commit()
    client = connections.magento_for(connected_account.id)
    for asked in (
        lambda: client.invoice(order.magento_id),  # its default captures
        lambda: client._write("invoice", "POST", f"order/{order.magento_id}/invoice", {"capture": False, "notify": True}, read=lambda answer: answer),
        lambda: client._write("order mail", "POST", f"orders/{order.magento_id}/emails", None, read=lambda answer: answer),
    ):
        with pytest.raises(ForbiddenRequest, match="Sandbox account"):
            asked()
    assert requests.get(f"{practice_magento.url}/practice/emails", timeout=10).json() == []
    assert db.session.scalar(select(func.count()).select_from(ApiCall)) == calls  # nothing was sent

    kept = mail.queue("desk@example.test", subject="Late", body="An order is late.", account=connected_account)
    assert (kept.state, mail.send_queued()) == ("kept", (0, 0))


def test_a247_no_live_host_and_no_production_store_for_a_sandbox_account(connected_account: Account, practice_magento) -> None:
    live = {"environment": PRODUCTION, "base_url": "https://shop.example.com", "auth_kind": "bearer", "access_token": "t" * 32}
    own = magento.save(**live, actor="tests")
    with pytest.raises(DomainError, match="needs a Sandbox Magento connection"):
        accounts.update(connected_account.id, Choice(title="Tests", country="GB", environment=SANDBOX, store_view="all", magento_id=own.id), actor="tests")
    practice_store = connected_account.magento_id
    with unit_of_work() as session:  # whoever writes it past the form
        session.execute(update(Account).where(Account.id == connected_account.id).values(magento_id=own.id))
    db.session.expire_all()
    with pytest.raises(DomainError) as refused:
        connections.magento_for(connected_account.id)
    assert refused.value.code == "account.magento_environment"
    with unit_of_work() as session:  # nor a practice connection that was moved to a live address
        session.execute(update(Account).where(Account.id == connected_account.id).values(magento_id=practice_store))
        session.execute(update(MagentoConnection).where(MagentoConnection.id == practice_store).values(base_url="https://shop.example.com"))
    db.session.expire_all()
    with pytest.raises(ForbiddenHost):
        connections.magento_for(connected_account.id).order("1")
    with pytest.raises(DomainError, match="practice"):
        magento.save(**{**live, "environment": SANDBOX}, actor="tests")


def test_a250_the_checklist_names_every_store_that_is_not_safe_and_keeps_who_asked(connected_account: Account) -> None:
    def open_points(account_id: int) -> dict[str, str]:
        checks = accounts.check_go_live(account_id, actor="desk@example.test")
        return {check["check"]: check["message"] for check in checks if not check["ok"]}

    going_live = accounts.create(Choice(title="Live", country="US"), actor="tests")
    assert not going_live.active
    name = "Sandbox stores are for tests"
    first = open_points(going_live.id)
    assert name not in first
    assert first["Magento permissions"] == "They are not known before Test connection has reached the store.", "what nobody has tested is not green"
    safe = {"environment": "staging", "storefrontProtection": True, "paymentCapture": False, "confirmationEmails": False}
    with unit_of_work() as session:
        session.execute(update(Account).where(Account.id == connected_account.id).values(storefront="external"))
        session.add(ExternalStore(account_id=connected_account.id, base_url="http://127.0.0.1:1", environment="staging", facts={}))
    for facts, words in (
        ({}, "has not told its environment"),
        ({**safe, "environment": "production"}, "production"),
        ({**safe, "storefrontProtection": False}, "strangers can open"),
        ({**safe, "paymentCapture": True}, "capture is on"),
        ({**safe, "confirmationEmails": True}, "mails are on"),
    ):
        with unit_of_work() as session:
            session.scalars(select(ExternalStore)).one().facts = facts
        assert words in open_points(going_live.id)[name]
    with unit_of_work() as session:
        session.scalars(select(ExternalStore)).one().facts = safe
        session.execute(update(Account).where(Account.id == going_live.id).values(storefront="external"))
    points = open_points(going_live.id)
    assert name not in points
    assert points["External storefront"] == "No external storefront is connected."
    with unit_of_work() as session:  # it told its environment, and refused what came next
        facts = {"environment": "production", "ok": False, "problems": []}
        session.add(ExternalStore(account_id=going_live.id, base_url="https://store.example.com", facts=facts, checked_at=utcnow()))
    assert "has not passed Test connection" in open_points(going_live.id)["External storefront"]
    with pytest.raises(DomainError) as refused:
        accounts.set_active(going_live.id, True, actor="desk@example.test")
    assert refused.value.code == "account.go_live"
    kept = db.session.get(Account, going_live.id, populate_existing=True)
    assert (kept.active, kept.go_live["ok"], kept.go_live["by"]) == (False, False, "desk@example.test")
    assert db.session.scalar(select(func.count()).select_from(Event).where(Event.kind == "account.go_live_checked")) == 9


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("url", "body", "said"),
    [
        ("https://s/rest/V1/order/1/invoice", b'{"capture": true}', "captures no payment"),
        ("https://s/api/orders", '{"payment": {"captured": true}}', "captures no payment"),
        ("https://s/rest/V1/order/1/ship", b'{"items": [{"notify": 1}]}', "mail"),
        ("https://s/rest/V1/orders/1/comments", b'{"statusHistory": {"is_customer_notified": "1"}}', "mail"),
        ("https://s/rest/V1/orders/7/emails?x=1", None, "mail"),
        ("https://s/rest/V1/order/1/invoice", b'{"capture": false, "notify": false, "comment": "capture true"}', None),
        ("https://s/rest/V1/orders", b'{"entity": {"customer_note_notify": 0, "items": []}}', None),
        ("https://s/rest/V1/orders/7/emails/", None, "no order mail"),
        ("https://s/api/orders", b'[{"notify": true}, {"capture": "true"}]', "captures no payment"),
        ("https://s/api/orders", b'{"email_sent": true, "send_email": false}', "to a buyer"),
        ("https://s/api/orders", b'{"send_email": "yes", "x": {"true": true}}', None),
        ("https://s/files", b'\xff\xd8 "notify": true', None),
        ("https://s/files", None, None),
    ],
)
def test_a248_a249_the_rule_looks_at_the_finished_request(url: str, body: bytes | str | None, said: str | None) -> None:
    found = safeguards.danger(url, body)
    assert found is None if said is None else said in str(found)

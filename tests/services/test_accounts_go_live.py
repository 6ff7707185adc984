"""A Production account goes live, and housekeeping (A247-A250, A050). The "live" hosts are the practice servers under another name."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Flask
from sqlalchemy import func, select

from connector import create_app
from connector.config import Config
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain.order_policy import CarrierRow, OrderPolicy
from connector.models.account import Account, WebhookDelivery
from connector.models.run import JobItem, JobRun
from connector.models.trace import ApiCall, Event
from connector.practice.serve import PracticeServer
from connector.services import accounts, housekeeping, magento, policies, settings
from connector.services.accounts import Choice


@pytest.fixture
def live(config: Config, practice_tiktok: PracticeServer, practice_magento: PracticeServer) -> Iterator[Flask]:
    app_facts = requests.get(f"{practice_tiktok.url}/practice/app", timeout=10).json()
    config = replace(
        config,
        public_url="https://connector.example.test",
        tiktok_api_url=practice_tiktok.url,
        tiktok_auth_url=practice_tiktok.url,
        tiktok_app_key=app_facts["app_key"],
        tiktok_app_secret=app_facts["app_secret"],
        tiktok_service_id=app_facts["service_id"],
    )
    app = create_app(config)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def work_off_live(live: Flask) -> Callable[[], None]:
    from connector.jobs import sweeper, worker

    def run() -> None:
        sweeper.sweep()
        worker.run_forever(live, burst=True)
        db.session.expire_all()

    return run


class Guarded(BaseHTTPRequestHandler):
    """A staging storefront that asks strangers for a password."""

    def do_GET(self) -> None:
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def staging() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Guarded)
    server.answer = 401
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def connect_store(server: PracticeServer) -> int:
    keys = requests.post(f"{server.url}/practice/integrations", json={"acl": "all"}, timeout=10).json()
    row = magento.save(
        environment="production",
        base_url=server.url.replace("127.0.0.1", "localhost"),
        auth_kind="oauth1",
        actor="tests",
        **{name: keys[name] for name in magento.KEYS},
    )
    assert magento.test(row.id)["ok"]
    return row.id


def red(checks: list[dict]) -> set[str]:
    return {check["check"] for check in checks if not check["ok"]}


def test_a_production_account_goes_live_once_every_check_is_green(
    live: Flask, practice_tiktok: PracticeServer, practice_magento: PracticeServer, staging: HTTPServer, work_off_live: Callable[[], None]
) -> None:
    policies.seed()
    row = policies.of_kind("order")[0]
    store_id = connect_store(practice_magento)
    account = accounts.create(Choice(title="Live", country="GB", magento_id=store_id), actor="tests")
    assert account.active is False
    assert red(accounts.go_live_checks(account)) == {"Authorisation", "Scopes", "Order policy", "Staging storefront"}

    binding = secrets.token_hex(8)
    url = accounts.start_authorisation(account.id, binding=binding, actor="tests")
    state = parse_qs(urlsplit(url).query)["state"][0]
    code = requests.post(f"{practice_tiktok.url}/practice/authorize", json={"state": state}, timeout=10).json()["code"]
    accounts.finish_authorisation(state=state, code=code, error="", binding=binding, actor="tests")
    work_off_live()
    assert db.session.get(Account, account.id, populate_existing=True).onboarded_at  # before it is enabled, so that carriers can be mapped
    mapping = OrderPolicy(carrier_mapping=(CarrierRow(magento_carrier="Royal Mail", tiktok_carrier="Royal Mail"),))
    policies.save(row.id, title=row.title, body=mapping, actor="tests")
    settings.save_staging(url=f"http://127.0.0.1:{staging.server_address[1]}/", none=False, actor="tests")
    with pytest.raises(DomainError, match="no host name"):
        settings.save_staging(url=f"https://{'s' * 64}.example", none=False, actor="tests")
    staging.answer = 200
    account = db.session.get(Account, account.id, populate_existing=True)
    assert red(accounts.go_live_checks(account)) == {"Staging storefront"}
    staging.answer = 401

    accounts.set_active(account.id, True, actor="tests")
    account = db.session.get(Account, account.id, populate_existing=True)
    assert account.active is True
    assert account.go_live["ok"] is True
    assert db.session.scalar(select(func.count()).select_from(Event).where(Event.kind == "account.enabled")) == 1

    second = accounts.create(Choice(title="Second", country="US", magento_id=store_id), actor="tests")
    assert second.active is True  # the checklist guards the first one


def test_a_sandbox_invoice_that_captured_a_payment_turns_the_checklist_red(live: Flask) -> None:
    """A248; a staging storefront that cannot be reached is no protected one, and an address that can be none breaks nothing"""
    account = accounts.create(Choice(title="Live", country="GB"), actor="tests")
    for address in ("http://127.0.0.1:9/", f"https://{'s' * 64}.example"):
        settings.put({"go_live.staging_url": address}, actor="tests")
        last = accounts.go_live_checks(account)[-1]
        assert (last["ok"], last["message"]) == (False, f"{address} cannot be reached.")
        assert "Correct its address" in last["remedy"]
    practice = accounts.create(Choice(title="Practice", country="GB", environment="sandbox"), actor="tests")
    for capture in ("false", "true"):
        with unit_of_work() as session:
            body = f'{{"capture": {capture}, "notify": false}}'
            session.add(ApiCall(system="magento", operation="invoice", method="POST", url="http://x/", account_id=practice.id, request_body=body))
        assert ("Payment capture off in tests" in red(accounts.go_live_checks(account))) is (capture == "true")


def test_a_production_account_registers_its_webhooks_at_the_public_address(
    live: Flask, practice_tiktok: PracticeServer, practice_magento: PracticeServer
) -> None:
    account = accounts.create(Choice(title="Live", country="GB"), actor="tests")
    from connector.services.accounts import onboarding

    assert onboarding.webhook_address(account) == "https://connector.example.test/webhooks/tiktok"
    live.config["CONNECTOR"] = replace(live.config["CONNECTOR"], public_url="http://intranet.example")
    assert onboarding.webhook_address(account) is None
    assert accounts.check_webhooks(account.id).startswith("No webhooks: PUBLIC_URL")


def test_housekeeping_removes_what_is_old_and_keeps_what_is_needed(app: Flask) -> None:
    """A050"""
    old, now = utcnow() - timedelta(days=40), utcnow()
    with unit_of_work() as session:
        for at in (old, now):
            session.add(ApiCall(at=at, system="tiktok", operation="warehouses", method="GET", url="http://x/"))
            session.add(WebhookDelivery(notification_id=str(at), shop_id="1", type=1, received_at=at))
            for state in ("succeeded", "failed"):
                run = JobRun(kind="mail.send", title="Send mail", state=state, finished_at=at)
                session.add(run)
                session.flush()
                session.add(JobItem(run_id=run.id, ref="1"))
    counts = housekeeping.clean_up()
    gone = {
        "API calls": 1,
        "finished runs": 1,
        "webhook deliveries": 1,
        "mails": 0,
        "consent states": 0,
        "signs of life": 0,
        "stock ledger entries": 0,
        "order feeds": 0,
        "OMS updates": 0,
        "deadline warnings": 0,
    }
    assert counts == gone
    left = db.session.execute(select(JobRun.state, func.count()).group_by(JobRun.state)).all()
    assert dict(tuple(row) for row in left) == {"succeeded": 1, "failed": 2}
    assert db.session.scalar(select(func.count()).select_from(JobItem)) == 3
    assert housekeeping.clean_up()["API calls"] == 0

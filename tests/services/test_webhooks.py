"""Webhooks as the practice marketplace and its imitators send them (TTS §5.8)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.serving import make_server

from connector.clients.tiktok.signature import webhook_signature
from connector.core.db import db, unit_of_work
from connector.models.account import Account, WebhookDelivery
from connector.models.order import Order
from connector.models.run import JobRun
from connector.services.orders import refresh
from tests.factories.shop import carry_out, perform
from tests.factories.waiting import until


class Sender:
    """Signs as the practice marketplace does and posts to the real route."""

    def __init__(self, client: FlaskClient, market: Any, account: Account) -> None:
        app = market.get("app")
        self.key, self.secret = app["app_key"], app["app_secret"]
        self.client, self.shop_id = client, account.shop_id
        self.number = 0

    def body(self, kind: int, data: dict[str, Any], **changes: Any) -> bytes:
        self.number += 1
        envelope = {"type": kind, "tts_notification_id": f"75900{self.number}", "shop_id": self.shop_id, "timestamp": int(time.time()), "data": data}
        return orjson.dumps({**envelope, **changes})

    def send(self, raw: bytes, signature: str | None = None) -> int:
        signed = webhook_signature(self.key, self.secret, raw) if signature is None else signature
        return self.client.post("/webhooks/tiktok", data=raw, headers={"Authorization": signed, "Content-Type": "application/json"}).status_code


@pytest.fixture
def sender(account: Account, market: Any, app: Flask) -> Sender:
    return Sender(app.test_client(), market, account)


@pytest.fixture
def number(account: Account, market: Any) -> str:
    """A stored order that has moved on at TikTok since."""
    order_id = market.post("orders", shop="GB", lines=[{"sku": "MUG/02 slash"}], pay=True)["id"]
    perform("orders.import", account.id)
    market.post(f"orders/{order_id}/release")
    return order_id


def stored(number: str) -> Order:
    db.session.expire_all()
    order = db.session.scalar(select(Order).where(Order.number == number))
    db.session.commit()
    return order


def deliveries() -> int:
    count = db.session.scalar(select(func.count()).select_from(WebhookDelivery))
    db.session.commit()
    return count


def open_runs(kind: str) -> list[JobRun]:
    db.session.expire_all()
    return list(db.session.scalars(select(JobRun).where(JobRun.kind == kind, JobRun.state == "queued").order_by(JobRun.id)))


@pytest.mark.postgres
def test_a_signed_webhook_marks_the_order_and_a_run_reads_the_truth(sender, number):
    raw = sender.body(1, {"order_id": number, "order_status": "COMPLETED", "update_time": 1})
    assert sender.send(raw) == 200
    assert stored(number).dirty_at is not None
    assert stored(number).remote_status == "ON_HOLD", "what a webhook claims is never believed"
    (run,) = open_runs("orders.refresh")
    assert carry_out(run.id).state == "succeeded"
    order = stored(number)
    assert (order.remote_status, order.dirty_at, order.state) == ("AWAITING_SHIPMENT", None, "ready")
    assert db.session.scalar(select(WebhookDelivery.outcome)) == "read"


def test_an_order_nobody_knew_is_taken_in_and_follows_the_policy(sender, account, market):
    order_id = market.post("orders", shop="GB", lines=[{"sku": "MUG/02 slash"}], pay=True)["id"]
    market.post(f"orders/{order_id}/release")
    assert sender.send(sender.body(1, {"order_id": order_id, "order_status": "AWAITING_SHIPMENT"})) == 200
    carry_out(open_runs("orders.refresh")[0].id)
    assert (stored(order_id).state, stored(order_id).origin) == ("ready", "webhook")


def test_ids_may_come_as_integers_of_any_size(sender, number):
    assert sender.send(sender.body(3, {"order_id": int(number), "update_time": 1})) == 200
    assert stored(number).dirty_at is not None


@pytest.mark.parametrize("kind", [1, 3, 11, 12])
def test_every_kind_about_an_order_marks_it(sender, number, kind):
    assert sender.send(sender.body(kind, {"order_id": number, "cancel_id": "1", "return_id": "2"})) == 200
    assert stored(number).dirty_at is not None
    assert len(open_runs("orders.refresh")) == 1
    assert len(open_runs("cancellations.import")) == (1 if kind == 11 else 0)


def test_a_package_update_marks_every_order_it_lists(sender, number, account, market):
    other = market.post("orders", shop="GB", lines=[{"sku": "MUG/02 slash"}], pay=True)["id"]
    perform("orders.import", account.id)
    data = {"sc_type": "SPLIT", "package_list": [{"package_id": "1", "order_id_list": [number]}, {"package_id": "2", "order_id_list": [other]}]}
    assert sender.send(sender.body(4, data)) == 200
    assert stored(number).dirty_at is not None
    assert stored(other).dirty_at is not None


def test_a_repeat_is_answered_200_and_has_no_effect(sender, number):
    raw = sender.body(1, {"order_id": number})
    assert sender.send(raw) == 200
    carry_out(open_runs("orders.refresh")[0].id)
    assert sender.send(raw) == 200
    assert deliveries() == 1
    assert stored(number).dirty_at is None
    assert open_runs("orders.refresh") == []


def test_repeats_that_arrive_at_the_same_moment_count_once(bare_app, sender, number):
    raw = sender.body(1, {"order_id": number})
    signature = webhook_signature(sender.key, sender.secret, raw)
    answers: list[int] = []

    def deliver() -> None:
        answers.append(bare_app.test_client().post("/webhooks/tiktok", data=raw, headers={"Authorization": signature}).status_code)

    threads = [threading.Thread(target=deliver) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 6
    assert deliveries() == 1
    assert len(open_runs("orders.refresh")) == 1


def test_webhooks_in_the_wrong_order_end_with_the_newest_version(sender, number, market):
    market.post(f"orders/{number}/cancel", by="SYSTEM")
    for status, moment in (("CANCEL", 200), ("AWAITING_SHIPMENT", 100), ("ON_HOLD", 50)):
        assert sender.send(sender.body(1, {"order_id": number, "order_status": status, "update_time": moment})) == 200
    (run,) = open_runs("orders.refresh")
    carry_out(run.id)
    assert stored(number).remote_status == "CANCELLED"
    assert stored(number).state == "cancelled"


def test_a_tampered_body_is_refused_with_401_and_no_effect(sender, number):
    raw = sender.body(1, {"order_id": number})
    signature = webhook_signature(sender.key, sender.secret, raw)
    for bad, header in (
        (raw.replace(b'"type":1', b'"type":6'), signature),
        (raw + b" ", signature),
        (raw, signature[:-1] + ("0" if signature[-1] != "0" else "1")),
        (raw, signature.upper()),
        (raw, ""),
        (raw, "Bearer " + signature),
        (raw, "not-ascii-\u00e9"),
        (raw, webhook_signature(sender.key, "another secret", raw)),
        (raw, webhook_signature("another key", sender.secret, raw)),
    ):
        assert sender.send(bad, header) == 401
    assert sender.client.post("/webhooks/tiktok", data=raw).status_code == 401
    assert deliveries() == 0
    assert stored(number).dirty_at is None
    assert open_runs("orders.refresh") == []


def test_an_old_message_that_is_replayed_is_refused_although_its_signature_is_right(sender, number):
    assert sender.send(sender.body(1, {"order_id": number}, timestamp=int(time.time()) - 2 * 86400)) == 401
    assert deliveries() == 0
    assert sender.send(sender.body(1, {"order_id": number}, timestamp=int(time.time()) - 16 * 3600)) == 200, "TikTok's last repeat"


def test_an_unknown_shop_is_answered_200_and_only_logged(sender, number):
    assert sender.send(sender.body(1, {"order_id": number}, shop_id="7000000000000009999")) == 200
    assert deliveries() == 0
    assert stored(number).dirty_at is None


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"7", b'{"type": "x"}', b'{"type":1,"shop_id":"1"}'])
def test_a_signed_body_that_is_no_envelope_is_refused(sender, raw):
    assert sender.send(raw) == 400
    assert deliveries() == 0


@pytest.mark.parametrize("data", [{}, {"order_id": None}, {"order_id": "x'; --"}, {"order_id": {"a": 1}}, {"package_list": 7}, None])
def test_odd_data_in_a_known_kind_does_no_harm(sender, data):
    assert sender.send(sender.body(1, data)) == 200
    assert open_runs("orders.refresh") == []


def test_kinds_of_no_use_here_are_kept_and_nothing_is_done(sender, number):
    assert sender.send(sender.body(27, {"product_id": 1})) == 200
    assert db.session.scalar(select(WebhookDelivery.outcome)) == "of no use here"
    assert open_runs("orders.refresh") == []


def test_a_body_that_is_too_large_is_not_read(sender):
    assert sender.send(b"x" * 300_000) == 413


def test_the_seller_taking_the_authorisation_back_pauses_the_account(sender, account):
    assert sender.send(sender.body(6, {"message": "Seller removed the app"})) == 200
    db.session.expire_all()
    row = db.session.get(Account, account.id)
    assert row.auth_state == "revoked"
    assert "Seller removed the app" in row.auth_message


def test_an_announced_end_of_the_consent_is_shown_and_the_account_stays_connected(sender, account):
    assert sender.send(sender.body(7, {"message": "soon", "expiration_time": int(time.time()) + 20 * 86400})) == 200
    db.session.expire_all()
    row = db.session.get(Account, account.id)
    assert row.connected
    assert "Re-authorise" in row.auth_message


def test_an_order_that_is_not_readable_yet_is_read_by_a_later_run(sender, account, market):
    """TTS §5.4.2: up to half a minute."""
    market.post("settings", new_order_delay_seconds=3600)
    order_id = market.post("orders", shop="GB", lines=[{"sku": "MUG/02 slash"}])["id"]
    sender.send(sender.body(1, {"order_id": order_id}))
    carry_out(open_runs("orders.refresh")[0].id)
    assert stored(order_id) is None
    assert refresh.has_waiting(account.id)
    market.post("settings", new_order_delay_seconds=0)
    perform("orders.import", account.id)
    assert stored(order_id) is not None
    assert not refresh.has_waiting(account.id)


def test_a_webhook_about_an_order_that_never_appears_is_let_go(sender, account):
    sender.send(sender.body(1, {"order_id": "576000000000000001"}))
    with unit_of_work() as session:
        delivery = session.scalars(select(WebhookDelivery)).one()
        delivery.received_at = delivery.received_at - 2 * refresh.GIVE_UP
    carry_out(open_runs("orders.refresh")[0].id)
    assert not refresh.has_waiting(account.id)


def test_an_order_that_changes_again_while_it_is_read_stays_marked(sender, number, account, monkeypatch):
    sender.send(sender.body(1, {"order_id": number}))
    real = refresh.polling.ById.take
    again = sender.body(3, {"order_id": number})
    sent: list[int] = []

    def another_arrives(self: Any, wanted: str, also: Any = None) -> None:
        real(self, wanted, also)
        if not sent:
            sent.append(sender.send(again))

    monkeypatch.setattr(refresh.polling.ById, "take", another_arrives)
    carry_out(open_runs("orders.refresh")[0].id)
    assert sent == [200]
    assert stored(number).dirty_at is None, "the same run reads it once more"
    assert set(db.session.scalars(select(WebhookDelivery.outcome))) == {"read"}


def test_get_is_not_answered_and_no_sign_in_is_needed(sender):
    assert sender.client.get("/webhooks/tiktok").status_code == 405


@pytest.fixture
def listening(bare_app: Flask) -> Iterator[str]:
    """The application behind a real socket."""
    server = make_server("127.0.0.1", 0, bare_app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/webhooks/tiktok"
    server.shutdown()
    thread.join()


def test_the_marketplaces_own_webhooks_arrive_over_http_even_doubled(account, market, listening):
    market.post("app", webhook_url=listening)
    market.post("faults", kind="webhook_duplicate", operation="*")
    try:
        order_id = market.post("orders", shop="GB", lines=[{"sku": "MUG/02 slash"}], pay=True)["id"]
        until(lambda: {row["state"] for row in _about(market, order_id)} == {"delivered"}, "the delivery of the order's webhooks")
        sent = _about(market, order_id)
        assert {row["last_status"] for row in sent} == {"200"}
        assert len(sent) == 2 * deliveries()
        carry_out(open_runs("orders.refresh")[0].id)
        assert stored(order_id).remote_status == "ON_HOLD"
    finally:
        market.post("app", webhook_url="")


def _about(market: Any, order_id: str) -> list[dict[str, Any]]:
    answer = market.get("webhooks")
    rows = answer if isinstance(answer, list) else next(iter(answer.values()))
    return [row for row in rows if str(row["body"]["data"].get("order_id")) == order_id]

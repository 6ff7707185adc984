"""Secrets and buyer data after a whole order cycle: encrypted at rest, masked on screen until revealed, never in a log (product rule 12).

The values searched for are the ones the practice marketplace and store themselves hold.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from connector.config import Config
from connector.core import crypto
from connector.core.db import db
from connector.models.order import Order, OrderPayload
from connector.models.trace import ApiCall, Event
from tests.web.desk import PASSWORD, Desk
from tests.web.walking import csrf_of, doors


@pytest.fixture
def config(desk: Desk) -> Config:
    return desk.config()


def spellings(text: str) -> Iterator[str]:
    """How a value may be written down: plain, percent-encoded, JSON with escapes."""
    from urllib.parse import quote, quote_plus

    yield from {text, quote(text, safe=""), quote_plus(text), text.encode("unicode_escape").decode(), text.replace('"', '\\"')}


def leaks(where: str, desk: Desk) -> list[str]:
    return [what for what, value in {**desk.secrets, **desk.buyers}.items() if any(each in where for each in spellings(value))]


def test_no_log_line_holds_a_secret_or_buyer_data(desk: Desk) -> None:
    assert "run_ended" in desk.log, "the cycle did write a log"
    assert leaks(desk.log, desk) == []


def test_the_practice_servers_alone_know_what_is_searched_for(desk: Desk) -> None:
    """Each value is long enough to be found by accident nowhere, and there is one of every kind."""
    kinds = {name.split(" of ")[0] for name in desk.buyers}
    assert kinds == {"name", "phone_number", "address_line1", "e-mail", "message"}
    assert min(len(value) for value in desk.buyers.values()) >= 8


def test_no_byte_of_the_database_file_holds_a_secret_or_buyer_data(desk: Desk) -> None:
    """The file itself is searched: rows, deleted rows, indexes and the write-ahead log."""
    raw = b"".join(path.read_bytes() for path in sorted(desk.folder.glob("connector.sqlite3*")))
    assert b"Practice_GB" in raw, "what is not secret is there in plain"
    found = [what for what, value in {**desk.secrets, **desk.buyers}.items() if any(each.encode() in raw for each in spellings(value))]
    assert found == []


def test_what_is_encrypted_can_be_read_back_with_the_key_and_only_with_it(app: Flask, desk: Desk) -> None:
    """Otherwise an empty column would pass for a kept secret."""
    payloads = db.session.scalars(select(OrderPayload)).all()
    texts = " ".join(f"{each.buyer_name} {each.buyer_email} {each.address} {each.body}" for each in payloads)
    assert [what for what, value in desk.buyers.items() if what.startswith(("name", "e-mail")) and value not in texts] == []
    plain = sqlite3.connect(desk.folder / "connector.sqlite3").execute("SELECT buyer_name, body FROM order_payload WHERE buyer_name IS NOT NULL").fetchone()
    with pytest.raises(Exception, match=r"(?s).*"):
        crypto.Vault([crypto.read_or_create_key(desk.folder / "other.key")]).decrypt(plain[0])
    twice = [row[0] for row in sqlite3.connect(desk.folder / "connector.sqlite3").execute("SELECT buyer_name FROM order_payload WHERE buyer_name IS NOT NULL")]
    assert len(set(twice)) == len(twice), "the same name looks different in every row"


def test_no_page_shows_a_secret_and_none_shows_buyer_data_until_it_is_asked_for(app: Flask, desk: Desk, admin_client: FlaskClient) -> None:
    pages = [door.path for door in doors(app) if door.reads and door.endpoint != "live.stream"]
    for order_id in db.session.scalars(select(Order.id)):
        pages += [f"/orders/{order_id}", f"/orders/{order_id}/data", f"/orders/{order_id}/items"]
    shown = {}
    for path in dict.fromkeys(pages):
        answer = admin_client.get(path)
        if answer.mimetype in ("text/html", "text/csv", "application/json", "text/plain"):
            shown[path] = leaks(unescape(answer.text), desk)
    assert len(shown) > 90
    assert {path: found for path, found in shown.items() if found} == {}


def test_every_kept_call_is_masked_on_its_page_and_at_rest(app: Flask, desk: Desk, admin_client: FlaskClient) -> None:
    ids = db.session.scalars(select(ApiCall.id)).all()
    assert len(ids) > 100
    kept = db.session.execute(select(ApiCall.operation, ApiCall.url, ApiCall.request_body, ApiCall.response_body, ApiCall.error)).all()
    assert {row.operation: found for row in kept if (found := leaks(" ".join(str(each) for each in row), desk))} == {}
    for call_id in [*ids[:40], *ids[-40:]]:
        page = unescape(admin_client.get(f"/api-calls/{call_id}").text)
        assert leaks(page, desk) == [], call_id
    assert any(row.response_body and "***" in row.response_body for row in kept)


def test_revealing_shows_the_buyer_and_writes_down_who_looked(app: Flask, desk: Desk, operator_client: FlaskClient, viewer_client: FlaskClient) -> None:
    name = next(what for what in desk.buyers if what.startswith("name of"))
    number = name.removeprefix("name of ")
    order = db.session.scalar(select(Order).where(Order.number == number))
    hidden = unescape(operator_client.get(f"/orders/{order.id}").text)
    shown = unescape(operator_client.get(f"/orders/{order.id}?reveal=1").text)
    assert desk.buyers[name] not in hidden
    assert desk.buyers[name] in shown
    assert desk.buyers[f"e-mail of {number}"] in shown
    seen = db.session.scalars(select(Event).where(Event.kind == "order.revealed", Event.subject_id == str(order.id))).all()
    assert [event.actor for event in seen] == ["operator@example.test"]
    for path in (f"/orders/{order.id}?reveal=1", f"/orders/{order.id}/data?reveal=1"):
        assert leaks(unescape(viewer_client.get(path).text), desk) == [], "a viewer cannot reveal"


def test_the_raw_data_of_an_order_is_revealed_with_a_trace_as_well(app: Flask, desk: Desk, operator_client: FlaskClient) -> None:
    number = next(what for what in desk.buyers if what.startswith("name of")).removeprefix("name of ")
    order = db.session.scalar(select(Order).where(Order.number == number))
    assert leaks(unescape(operator_client.get(f"/orders/{order.id}/data").text), desk) == []
    assert desk.buyers[f"name of {number}"] in unescape(operator_client.get(f"/orders/{order.id}/data?reveal=1").text)
    assert db.session.scalar(select(Event.actor).where(Event.kind == "order.revealed", Event.subject_id == str(order.id))) == "operator@example.test"


def test_secrets_typed_into_forms_never_come_back(app: Flask, admin_client: FlaskClient) -> None:
    """An invalid form comes back filled in, but for its passwords and keys."""
    typed = {
        "/configuration/tiktok": {"app_key": "abc", "app_secret": "typed-secret-app-5512", "service_id": ""},
        "/configuration/magento": {
            "base_url": "nonsense",
            "access_token": "typed-secret-token-5512",
            "access_token_secret": "typed-secret-token-5513",
            "consumer_secret": "typed-secret-5514",
        },
        "/configuration/mail": {"url": "smtp://user:typed-secret-mail-5512@", "smtp_url": "nonsense://user:typed-secret-mail-5512@", "sender": "x"},
        "/me/password": {"current": "typed-secret-present-5512", "password": "short", "repeat": "other"},
        "/users/new": {"email": "nobody", "password": "typed-secret-first-5512", "role": "viewer"},
        "/sign-in": {"email": "desk@example.test", "password": "typed-secret-guess-5512"},
    }
    for path, form in typed.items():
        answer = admin_client.post(path, data={"csrf_token": csrf_of(admin_client), **form}, follow_redirects=True)
        assert "typed-secret" not in answer.text, path
    assert "typed-secret" not in " ".join(f"{event.message} {event.before} {event.after}" for event in db.session.scalars(select(Event)))


def test_an_export_holds_no_buyer_data(app: Flask, desk: Desk, admin_client: FlaskClient) -> None:
    text = admin_client.get("/orders/export.csv").text
    assert len(text.splitlines()) > 10
    assert leaks(text, desk) == []


def test_the_files_that_keep_keys_are_the_owners_alone(desk: Desk, worked_desk: Desk) -> None:
    for name in ("encryption.key", "session.key", "connector.sqlite3"):
        mode = (worked_desk.folder / name).stat().st_mode & 0o777
        if name.endswith(".key"):
            assert mode == 0o600, (name, oct(mode))
    assert not re.search(r"[A-Za-z0-9_-]{43}=", desk.log), "no key in the log"
    assert PASSWORD not in desk.log

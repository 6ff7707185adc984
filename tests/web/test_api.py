"""The JSON API for an OMS: who may ask, what is signed, ranges of a file, problem documents (A251-A255; product.md 8, 12)."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, select, text, update

from connector.config import Config
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.models.account import Account
from connector.models.oms import OmsBatch, OmsConnection, OmsUpdate, OrderFeed, OrderFeedChunk
from connector.models.order import Order
from connector.models.user import ADMINISTRATOR, VIEWER, ApiToken, User
from connector.services import api_tokens, users
from connector.services.oms import connection, feed, signing
from tests.web.desk import Desk
from tests.web.walking import csrf_of

SECRET = "the-secret-of-the-connection"
PROBLEM = "application/problem+json"


@pytest.fixture
def config(desk: Desk) -> Config:
    return desk.config()


@dataclass
class Oms:
    """The OMS at the door: its tokens by scope, and its calls."""

    client: FlaskClient
    tokens: dict[str, str]

    def get(self, path: str, scope: str = "feeds", **headers: str) -> Any:
        answer = self.client.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {self.tokens[scope]}", **headers})
        answer.get_data()  # a streamed file is read to its end
        return answer

    def batch(self, body: Any, *, scope: str = "updates", account: int = 1, **more: Any) -> Any:
        return self.client.post(f"/api/v1/accounts/{account}/batches", data=body, headers={"Authorization": f"Bearer {self.tokens[scope]}"}, **more)

    def events(self, *events: Any, secret: str = SECRET, account: int = 1, body: bytes | None = None, age: int = 0, **headers: str) -> Any:
        raw = orjson.dumps({"events": events}) if body is None else body
        signed = signing.sign([secret], raw, at=utcnow() - timedelta(seconds=age))
        return self.client.post(f"/api/v1/accounts/{account}/events", data=raw, content_type="application/json", headers={**signed, **headers})


@pytest.fixture
def oms(app: Flask, client: FlaskClient) -> Oms:
    """An OMS connected to the desk's account, with one feed in each format."""
    with unit_of_work() as session:
        for model in (OmsUpdate, OmsBatch, OrderFeedChunk, OrderFeed, OmsConnection):
            session.execute(delete(model))  # what the desk has of its own
        session.add(OmsConnection(account_id=1, secret=SECRET, feed_formats=["jsonl", "csv"]))
        session.execute(update(Order).values(updated_at=utcnow() - timedelta(minutes=1)))
        tokens = {scope: api_tokens.create(users.get(1), scope, [scope])[1] for scope in api_tokens.SCOPES}
        tokens["other account"] = api_tokens.create(users.get(1), "limited", list(api_tokens.SCOPES), account_id=1)[1]
        session.execute(update(ApiToken).where(ApiToken.name == "limited").values(account_id=99))
    assert len(feed.make(1)) == 2
    return Oms(client, tokens)


def some_order() -> str:
    return str(db.session.scalar(select(Order.number).where(Order.remote_status == "AWAITING_SHIPMENT").limit(1)))


def fault(answer: Any, status: int) -> dict[str, Any]:
    """The problem document of a refusal."""
    assert (answer.status_code, answer.mimetype) == (status, PROBLEM), (answer.status_code, answer.text[:300])
    body = answer.get_json(force=True)
    assert body["status"] == status
    assert body["title"] and body["detail"]
    return body


# --- who may ask ----------------------------------------------------------------------------------------------------------------------------


def test_nothing_but_a_valid_token_of_the_scope_opens_a_door(app: Flask, oms: Oms, admin_client: FlaskClient) -> None:
    doors = {"feeds": "feeds", "feeds/1/file": "feeds", f"accounts/1/orders/{some_order()}": "orders", "batches/1": "updates"}
    dead = api_tokens.create(users.get(1), "dead", list(api_tokens.SCOPES), days=1)
    with unit_of_work():
        dead[0].expires_at = utcnow() - timedelta(seconds=1)
    for path, scope in doors.items():
        assert admin_client.get(f"/api/v1/{path}").status_code == 401, "a session cookie counts for nothing"
        missing = oms.client.get(f"/api/v1/{path}")
        assert fault(missing, 401)["code"] == "api.token_missing"
        assert missing.headers["WWW-Authenticate"] == 'Bearer realm="connector"'
        assert "Set-Cookie" not in missing.headers
        for header in (f"Bearer {dead[1]}", "Bearer ctt_wrong"):
            refused = oms.client.get(f"/api/v1/{path}", headers={"Authorization": header})
            assert fault(refused, 401)["code"] == "api.token_refused"
            assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
        other = next(name for name in api_tokens.SCOPES if name != scope)
        beyond = oms.get(path, other)
        assert fault(beyond, 403)["remedy"]
        assert f'scope="{scope}"' in beyond.headers["WWW-Authenticate"]
        assert oms.get(path, scope).status_code in (200, 404), path
    assert fault(oms.batch(b"x", scope="orders"), 403)["code"] == "api.scope"
    db.session.expire_all()
    assert db.session.scalar(select(ApiToken.last_used_at).where(ApiToken.name == "feeds")) is not None


def test_a_token_never_reaches_beyond_its_account_or_its_users_role(app: Flask, oms: Oms) -> None:
    assert oms.get("feeds", "other account").get_json() == {"feeds": [], "more": False}
    assert oms.get("feeds?account=1", "other account").get_json()["feeds"] == []
    number = some_order()
    for answer in (oms.get("feeds/1/file", "other account"), oms.get(f"accounts/1/orders/{number}", "other account"), oms.batch(b"x", scope="other account")):
        fault(answer, 404)
    with unit_of_work() as session:
        session.execute(update(User).where(User.id == 1).values(role=VIEWER))
    for answer in (oms.batch(b"x"), oms.get("feeds"), oms.get("feeds/1/file"), oms.get(f"accounts/1/orders/{number}", "orders")):
        assert fault(answer, 403)["code"] == "api.role", "a feed and an order hold what a viewer may not reveal on screen"
    with unit_of_work() as session:
        session.execute(update(User).where(User.id == 1).values(role=ADMINISTRATOR, active=False))
    fault(oms.get("feeds"), 401)


def test_thirty_wrong_tokens_close_the_door_for_a_while(oms: Oms) -> None:
    for _ in range(30):
        assert oms.client.get("/api/v1/feeds", headers={"Authorization": "Bearer ctt_guess"}).status_code == 401
    refused = oms.get("feeds")
    assert "signature" in fault(refused, 429)["remedy"], "a program has no password"
    assert int(refused.headers["Retry-After"]) > 0


def test_every_error_below_the_api_is_a_problem_document(app: Flask, oms: Oms) -> None:
    fault(oms.client.get("/api/v1/nothing", headers={"Accept": "text/html"}), 404)
    wrong = oms.client.delete("/api/v1/feeds")
    assert "Allow" in fault(wrong, 405)["remedy"]
    assert "GET" in wrong.headers["Allow"]
    assert fault(oms.get("feeds?limit=many"), 422)["field"] == "limit"
    fault(oms.get("feeds/99999999999999999999999/file"), 404)
    assert fault(oms.get("accounts/1/orders/123", "orders"), 404)["code"] == "order.unknown"
    assert fault(oms.batch(b"x" * 3_000_000), 413)["remedy"]
    assert fault(oms.batch(b"name\n1\n"), 422)["field"] == "file"
    app.config["PROPAGATE_EXCEPTIONS"] = None
    app.view_functions["api.openapi"] = _broken
    body = fault(oms.client.get("/api/v1/openapi.json"), 500)
    assert body["reference"]
    assert "secret" not in str(body)


def _broken() -> str:
    raise RuntimeError("secret")


_broken.is_public = True  # type: ignore[attr-defined]


# --- feeds and orders -----------------------------------------------------------------------------------------------------------------------


def test_a_feed_is_listed_and_collected_in_one_piece_or_in_parts(oms: Oms) -> None:
    listed = oms.get("feeds?format=jsonl").get_json()
    (row,) = listed["feeds"]
    assert oms.get(f"feeds?after={oms.get('feeds').get_json()['feeds'][-1]['id']}").get_json() == {"feeds": [], "more": False}
    assert oms.get("feeds?limit=1").get_json()["more"] is True
    path = row["url"].removeprefix("/api/v1/")
    whole = oms.get(path)
    assert (whole.status_code, whole.mimetype, whole.headers["Accept-Ranges"]) == (200, "application/x-ndjson", "bytes")
    data = whole.data
    assert (len(data), hashlib.sha256(data).hexdigest(), data.count(b"\n")) == (row["bytes"], row["sha256"], row["rows"])
    etag = whole.headers["ETag"]
    assert etag == f'"{row["sha256"]}"'
    db.session.expire_all()
    assert db.session.get_one(OrderFeed, row["id"]).collected_count == 1
    first, rest = oms.get(path, Range="bytes=0-99"), oms.get(path, Range="bytes=100-", **{"If-Range": etag})
    assert (first.status_code, first.headers["Content-Range"]) == (206, f"bytes 0-99/{len(data)}")
    assert first.data + rest.data == data
    assert oms.get(path, Range="bytes=-10").data == data[-10:]
    assert oms.get(path, Range="bytes=100-", **{"If-Range": '"another"'}).data == data
    beyond = oms.get(path, Range=f"bytes={len(data)}-")
    fault(beyond, 416)
    assert beyond.headers["Content-Range"] == f"bytes */{len(data)}"
    unchanged = oms.get(path, **{"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    head = oms.client.head(f"/api/v1/{path}", headers={"Authorization": f"Bearer {oms.tokens['feeds']}"})
    assert (head.status_code, head.headers["Content-Length"], head.data) == (200, str(len(data)), b"")
    (other,) = oms.get("feeds?format=csv").get_json()["feeds"]
    assert oms.get(other["url"].removeprefix("/api/v1/")).mimetype == "text/csv"
    with unit_of_work() as session:
        session.execute(update(OrderFeed).where(OrderFeed.id == row["id"]).values(state="building"))
    assert oms.get("feeds").get_json() == {"feeds": [], "more": False}, "a later feed waits: whoever has seen it would not ask for this one any more"
    assert [one["id"] for one in oms.get("feeds?format=csv").get_json()["feeds"]] == [other["id"]]
    with unit_of_work() as session:
        session.execute(update(OrderFeed).values(state="building"))
    assert fault(oms.get(path), 409)["code"] == "oms.feed_not_ready"


def test_an_order_is_looked_up_by_tiktoks_number_or_the_stores_as_it_stands_in_a_feed(oms: Oms) -> None:
    row = db.session.scalars(select(Order).where(Order.magento_number.is_not(None)).limit(1)).one()
    found = oms.get(f"accounts/1/orders/{row.number}", "orders").get_json()
    assert found == oms.get(f"accounts/1/orders/{row.magento_number}", "orders").get_json()
    assert (found["number"], found["status"], found["store_order"]["number"]) == (row.number, row.remote_status, row.magento_number)
    assert oms.events({"id": "d1", "type": "delivered", "order_id": row.number}).status_code == 202
    (said,) = oms.get(f"accounts/1/orders/{row.number}", "orders").get_json()["updates"]
    assert (said["id"], said["state"]) == ("d1", "received")
    (feed_row,) = oms.get("feeds?format=jsonl").get_json()["feeds"]
    in_feed = {entry["number"]: entry for entry in map(orjson.loads, oms.get(feed_row["url"].removeprefix("/api/v1/")).data.splitlines())}
    assert {key: value for key, value in found.items() if key != "updates"} == in_feed[row.number]
    assert oms.batch(f"id,order,action\nd1,{row.number},delivered\nb1,{row.number},flown\n".encode()).status_code == 202
    said = oms.get(f"accounts/1/orders/{row.number}", "orders").get_json()["updates"]
    assert [(one["id"], one["state"]) for one in said] == [("b1", "failed"), ("d1", "received")], "under your own ids, and a repetition is no update"
    listed = oms.get("accounts/1/updates", "updates").get_json()
    assert ([(one["id"], one["state"]) for one in listed["updates"]], listed["more"]) == ([("d1", "received"), ("b1", "failed")], False)
    assert [one["id"] for one in oms.get(f"accounts/1/updates?state=failed&order_id={row.number}", "updates").get_json()["updates"]] == ["b1"]
    first = oms.get("accounts/1/updates?limit=1", "updates").get_json()
    assert first["more"]
    assert [one["id"] for one in oms.get(f"accounts/1/updates?after={first['updates'][0]['number']}", "updates").get_json()["updates"]] == ["b1"]
    named = {one["name"]: one["tiktok"] for one in oms.get("accounts/1/carriers", "updates").get_json()["carriers"]}
    assert named["Royal Mail"] == "Royal Mail"
    with unit_of_work() as session:
        session.execute(text("UPDATE order_payload SET body = 'not-encrypted' WHERE order_id = :id"), {"id": row.id})
    unread = oms.get(f"accounts/1/orders/{row.number}", "orders").get_json()
    assert (unread["number"], unread["total"], unread["address"]["name"]) == (row.number, found["total"], "")


# --- updates --------------------------------------------------------------------------------------------------------------------------------


def test_events_need_a_fresh_signature_over_the_very_bytes(app: Flask, oms: Oms) -> None:
    event = {"id": "e1", "type": "delivered", "order_id": "1"}
    raw = orjson.dumps({"events": [event]})
    for answer in (
        oms.events(event, secret="wrong"),
        oms.events(event, age=301),
        oms.events(event, age=-301),
        oms.events(event, account=99),
        oms.events(event, **{signing.SIGNATURE: "v1=" + "0" * 64}),
        oms.events(event, **{signing.TIMESTAMP: "now"}),
        oms.client.post("/api/v1/accounts/1/events", data=raw + b" ", headers=signing.sign([SECRET], raw)),
        oms.client.post("/api/v1/accounts/1/events", data=raw, headers={"Authorization": f"Bearer {oms.tokens['updates']}"}),
    ):
        assert fault(answer, 401)["code"] == "api.signature"
    assert "400 seconds behind ours" in fault(oms.events(event, age=400), 401)["detail"], "whoever holds the secret is told that it is the clock"
    assert "clock" not in fault(oms.events(event, secret="wrong", age=400), 401)["remedy"]
    bare = fault(oms.client.post("/api/v1/accounts/1/events", data=raw), 401)
    assert bare["detail"] == "The header X-Connector-Timestamp is missing."
    assert "milliseconds" in fault(oms.events(event, **{signing.TIMESTAMP: "1795338193000"}), 401)["detail"]
    assert "64 hexadecimal digits" in fault(oms.events(event, **{signing.SIGNATURE: "deadbeef"}), 401)["detail"]
    assert db.session.scalar(select(OmsUpdate.id)) is None
    assert oms.events(event, age=290).get_json() == {"accepted": 1, "repeated": 0, "rejected": []}
    newest = [connection.new_secret(1, actor="tests") for _ in range(2)]
    assert [oms.events({**event, "id": f"e{n}"}, secret=secret).status_code for n, secret in enumerate([SECRET, *newest])] == [202] * 3, (
        "each counts for a while"
    )
    row = db.session.scalars(select(OmsConnection)).one()
    assert timedelta(hours=23) < connection.old_until(row) - utcnow() < timedelta(hours=25)
    with unit_of_work() as session:
        kept = session.scalars(select(OmsConnection)).one()
        kept.old_secrets = [{**one, "until": (utcnow() - timedelta(seconds=1)).isoformat()} for one in kept.old_secrets[1:]]
    fault(oms.events(event), 401)
    assert oms.events(event, secret=newest[1]).status_code == 202
    with unit_of_work() as session:
        session.execute(update(OmsConnection).values(active=False))
    fault(oms.events(event, secret=newest[1]), 401)


def test_each_event_is_taken_or_rejected_by_itself_and_known_ones_are_counted(oms: Oms) -> None:
    good = {"id": "e1", "type": "shipped", "order_id": some_order(), "tracking_number": "EV 0001", "carrier": "Evri"}
    when = {**good, "id": "e4", "occurred_at": "yesterday"}
    answer = oms.events(good, {"id": "e2", "type": "shipped", "order_id": 576460000000000001}, "nonsense", {"id": "e3", "type": "flown"}, when, good)
    assert answer.status_code == 202
    body = answer.get_json()
    assert (body["accepted"], body["repeated"]) == (1, 1)
    assert [(one["index"], one["id"], one["field"]) for one in body["rejected"]] == [
        (1, "e2", "order_id"),
        (2, "", ""),
        (3, "e3", "type"),
        (4, "e4", "occurred_at"),
    ]
    assert "2026-03-01T12:00:00Z" in body["rejected"][3]["message"]
    assert "lose digits" in body["rejected"][0]["message"]
    assert all(one["remedy"] for one in body["rejected"])
    assert oms.events(good, {**good, "tracking_number": "ev0001"}).get_json() == {"accepted": 0, "repeated": 2, "rejected": []}
    (other,) = oms.events({**good, "tracking_number": "EV0002"}).get_json()["rejected"]
    assert (other["id"], other["field"]) == ("e1", "id"), "another event under a used id is not taken for a repetition"
    odd = [{**good, "item": [{"sku": "A", "quantity": 1}]}, {**good, "items": []}, {**good, "shippedBy": "Ada"}, {**good, "quantity": 2}]
    assert [one["field"] for one in oms.events(*odd).get_json()["rejected"]] == ["item", "items", "quantity"], "none ships everything where a part was meant"
    assert fault(oms.events(body=b"{"), 422)["field"] == "body"
    assert fault(oms.events(body=b'{"events":[]}'), 422)["field"] == "events"
    fault(oms.events(body=b" " * (1024 * 1024 + 1)), 413)
    assert db.session.scalars(select(OmsUpdate.event_id)).all() == ["e1"]


def test_a_batch_comes_as_csv_as_json_or_as_a_form_and_is_read_line_by_line(oms: Oms) -> None:
    number = some_order()
    content = f"id,order_id,action,tracking_number,carrier\ns1,{number},shipped,EV0001,Evri\n,{number},flown,,\n".encode()
    made = oms.batch(content, content_type="text/csv")
    assert made.status_code == 202
    body = made.get_json()
    assert (body["rows"], body["repeated"], body["counts"]) == (2, False, {"received": 1, "failed": 1})
    assert [(line["line"], line["id"], line["state"], line["code"]) for line in body["lines"]] == [
        (2, "s1", "received", None), (3, "", "failed", "oms.unreadable"),
    ]  # fmt: skip
    again = oms.batch({"file": (io.BytesIO(content), "../export.csv")}, content_type="multipart/form-data")
    assert (again.status_code, again.get_json()["id"], again.get_json()["repeated"]) == (200, body["id"], True)
    assert oms.batch(orjson.dumps([{"type": "delivered", "order_id": number}]), content_type="application/json").status_code == 202
    assert fault(oms.batch({}, content_type="multipart/form-data"), 422)["field"] == "file"
    fault(oms.batch(content, account=99), 404)
    page = oms.get(f"batches/{body['id']}?limit=1", "updates").get_json()
    assert (len(page["lines"]), page["more"]) == (1, True)
    assert oms.get(f"batches/{body['id']}?after=2", "updates").get_json()["lines"][0]["line"] == 3
    assert made.headers["Location"] == f"/api/v1/batches/{body['id']}"
    fault(oms.get("batches/99", "updates"), 404)


# --- tokens on screen, and the description --------------------------------------------------------------------------------------------------


def test_a_token_is_made_with_scopes_shown_once_and_revoked_by_its_user_or_an_administrator(
    app: Flask, admin_client: FlaskClient, viewer_client: FlaskClient, client: FlaskClient
) -> None:
    assert "Collect order feeds" not in viewer_client.get("/me").text, "what a viewer may not do is not offered"
    csrf = csrf_of(admin_client)
    refused = admin_client.post("/me/tokens", data={"csrf_token": csrf, "name": "warehouse", "days": "30"})
    assert refused.status_code == 422
    assert "Choose what the token may do" in refused.text
    made = admin_client.post("/me/tokens", data={"csrf_token": csrf, "name": "warehouse", "days": "30", "scopes": ["feeds", "orders"], "account_id": "1"})
    row = db.session.scalars(select(ApiToken).where(ApiToken.name == "warehouse")).one()
    text = made.text.split("ctt_")[1][:43]
    assert users.digest(f"ctt_{text}") == row.token_hash
    assert (row.scopes, row.account_id) == (["feeds", "orders"], 1)
    assert text not in admin_client.get("/me").text
    page = admin_client.get("/me").text
    for words in ("Collect order feeds", "Look up orders", db.session.get_one(Account, 1).title):
        assert words in page
    assert client.get("/api/v1/feeds", headers={"Authorization": f"Bearer ctt_{text}"}).status_code == 200
    with unit_of_work():
        mine, _ = api_tokens.create(users.get(1), "of another", ["feeds"])
    assert "of another" in admin_client.get("/users/1").text
    assert admin_client.post(f"/users/1/tokens/{mine.id}/revoke", data={"csrf_token": csrf}).status_code == 303
    assert admin_client.post(f"/me/tokens/{row.id}/revoke", data={"csrf_token": csrf}).status_code == 303
    fault(client.get("/api/v1/feeds", headers={"Authorization": f"Bearer ctt_{text}"}), 401)


def test_the_page_of_the_api_names_every_endpoint_and_needs_no_sign_in(app: Flask, client: FlaskClient) -> None:
    described = client.get("/api/v1/openapi.json").get_json()
    assert described["openapi"] == "3.1.0"
    routes = {rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint.startswith("api.")} - {"api.openapi", "api.docs"}
    assert {f"api.{each['operationId']}" for methods in described["paths"].values() for each in methods.values()} == routes
    page = client.get("/api/docs")
    assert page.status_code == 200
    for path in described["paths"]:
        assert path in page.text

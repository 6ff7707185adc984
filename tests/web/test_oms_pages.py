"""The OMS pages (A251-A255): connecting, the secret that is shown once, feeds made, announced and downloaded, files of updates with their results."""

from __future__ import annotations

import hashlib
import io
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.serving import make_server

from connector.config import Config
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.models.account import SANDBOX, Account
from connector.models.oms import OmsBatch, OmsConnection, OmsUpdate, OrderFeed
from connector.models.trace import Event
from connector.models.user import ApiToken
from connector.practice.serve import PracticeServer
from tests.factories.waiting import until
from tests.services.test_oms_feed import place
from tests.web.walking import csrf_of


@pytest.fixture(scope="module")
def practice_oms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeServer]:
    with PracticeServer("oms", tmp_path_factory.mktemp("practice-oms")) as server:
        yield server


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """The port at which the application says it stands: nobody else can take it; who serves there listens to it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken


@pytest.fixture
def config(config: Config, practice_oms: PracticeServer, door: socket.socket) -> Config:
    for path, wish in (("reset", {}), ("settings", {"collect": False})):
        requests.post(f"{practice_oms.url}/practice/{path}", json=wish, timeout=10).raise_for_status()
    return replace(config, practice_oms_url=practice_oms.url, public_url=f"http://127.0.0.1:{door.getsockname()[1]}")


@pytest.fixture
def shop(app: Flask) -> int:
    with unit_of_work() as session:
        account = Account(title="GB shop", country="GB", environment=SANDBOX)
        session.add(account)
        session.flush()
        return account.id


def test_an_administrator_connects_an_oms_tests_it_and_gives_it_a_feed_that_an_operator_downloads(
    shop: int, admin_client: FlaskClient, operator_client: FlaskClient, viewer_client: FlaskClient, practice_oms: PracticeServer, work_off: Callable[..., int]
) -> None:
    assert "Connect an OMS" in admin_client.get("/oms/").text, "an empty page says what to do"
    assert "Not connected" in admin_client.get("/oms/connections/").text
    csrf = csrf_of(admin_client)
    page = f"/oms/connections/{shop}"
    form = {"csrf_token": csrf, "active": "y", "feed_formats": ["jsonl", "csv"], "feed_minutes": "10", "pull_minutes": "5"}
    wrong = admin_client.post(page, data={**form, "notify_url": "https://oms.example.com/", "feed_minutes": "soon"})
    assert wrong.status_code == 422
    assert "https://oms.example.com/" in wrong.text, "what was typed is still there"
    wrong = admin_client.post(page, data={**form, "notify_url": "https://oms.example.com/"})
    assert "a Sandbox account may not call" in wrong.text
    assert operator_client.post(page, data={**form, "csrf_token": csrf_of(operator_client)}).status_code == 403

    made = admin_client.post(page, data={**form, "notify_url": f"{practice_oms.url}/feed-ready"})
    row = db.session.scalars(select(OmsConnection)).one()
    db.session.commit()
    assert made.status_code == 200
    assert made.text.count(row.secret) == 2, "shown once, with a button that copies it"
    assert row.secret not in admin_client.get(page).text
    assert made.headers["Cache-Control"] == "no-store"
    old = row.secret
    second = admin_client.post(f"{page}/secret", data={"csrf_token": csrf})
    secret = db.session.scalars(select(OmsConnection.secret)).one()
    db.session.commit()
    assert secret != old
    assert secret in second.text
    assert "The old one counts beside it until" in second.text

    def tell(path: str) -> str:
        return " ".join(admin_client.post(f"{page}/{path}", data={"csrf_token": csrf}, follow_redirects=True).text.split())

    assert "The test call failed. The OMS answered HTTP 401" in tell("test"), "the OMS knows no secret yet"
    for known in (old, secret):
        requests.post(f"{practice_oms.url}/practice/settings", json={"secret": known}, timeout=10).raise_for_status()
        assert "The OMS took the test call: HTTP 200" in tell("test"), "our calls are signed with both, so it verifies with either"
    assert "End now" in admin_client.get(page).text
    assert "Only the newest one counts" in tell("secret/end")
    assert "No old secret counted any more" in tell("secret/end")
    assert "End now" not in re.sub(r"choose End now afterwards", "", admin_client.get(page).text)
    requests.post(f"{practice_oms.url}/practice/settings", json={"secret": old}, timeout=10).raise_for_status()
    assert "The test call failed. The OMS answered HTTP 401" in tell("test")
    requests.post(f"{practice_oms.url}/practice/settings", json={"secret": secret}, timeout=10).raise_for_status()

    place(shop, 5)
    csrf = csrf_of(operator_client)
    started = operator_client.post("/oms/make", data={"csrf_token": csrf, "account": str(shop)})
    assert "/queue/runs/" in started.headers["Location"]
    work_off(2)
    feeds = db.session.scalars(select(OrderFeed).order_by(OrderFeed.id)).all()
    assert [(each.format, each.notify_state) for each in feeds] == [("jsonl", "announced"), ("csv", "announced")]
    heard = requests.get(f"{practice_oms.url}/practice/feeds", timeout=10).json()["feeds"]
    assert [(each["sha256"], each["rows"]) for each in heard] == [(each.sha256, each.rows) for each in feeds]
    listed = operator_client.get("/oms/").text
    assert "Announced" in listed
    assert "not yet" in listed
    for each in feeds:
        file = operator_client.get(f"/oms/feeds/{each.id}/file")
        assert hashlib.sha256(file.data).hexdigest() == each.sha256
        assert (file.content_length, file.headers["ETag"]) == (each.size, f'"{each.sha256}"')
        rest = operator_client.get(f"/oms/feeds/{each.id}/file", headers={"Range": "bytes=700-", "If-Range": f'"{each.sha256}"'})
        assert (rest.status_code, rest.headers["Content-Range"], rest.data) == (206, f"bytes 700-{each.size - 1}/{each.size}", file.data[700:])
        assert viewer_client.get(f"/oms/feeds/{each.id}/file").status_code == 403, "it holds buyers' addresses"
    assert "Download" not in viewer_client.get("/oms/").text
    assert "not yet" not in operator_client.get("/oms/").text, "a download is noted"
    asked = operator_client.post("/oms/bulk", data={"csrf_token": csrf, "row_action": f"announce:{feeds[0].id}"})
    assert "Announce again" in asked.text
    assert "feed-ready" in db.session.scalars(select(Event.message).where(Event.kind == "oms.tested")).first()
    assert operator_client.get("/oms/feeds/999/file").status_code == 404

    digests = list(db.session.scalars(select(OrderFeed.sha256).order_by(OrderFeed.id)))
    say = {"csrf_token": csrf, "since": "soon"}
    assert "is no day" in operator_client.post(f"{page}/begin-again", data=say, follow_redirects=True).text
    refused = operator_client.post(f"{page}/begin-again", data={**say, "since": "2999-01-01"}, follow_redirects=True).text
    assert "would be left out" in refused
    operator_client.post(f"{page}/begin-again", data={**say, "since": ""})
    operator_client.post("/oms/make", data={"csrf_token": csrf, "account": str(shop)})
    work_off(2)
    again = list(db.session.scalars(select(OrderFeed.sha256).where(OrderFeed.number == 2).order_by(OrderFeed.id)))
    assert again == digests, "everything once more"


def test_the_practice_oms_is_connected_by_one_click_and_collects_what_it_is_told_of_byte_for_byte(
    app: Flask, shop: int, admin_client: FlaskClient, practice_oms: PracticeServer, work_off: Callable[..., int], door: socket.socket
) -> None:
    """A251, A252: the call is signed, the file is collected with the token over real HTTP, its digest is right, its orders arrive; a pull is answered."""
    door.listen(64)
    server = make_server("127.0.0.1", 0, app, threaded=True, fd=door.fileno())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        page = f"/oms/connections/{shop}"
        csrf = csrf_of(admin_client)
        assert "The practice OMS is connected" in admin_client.post(f"{page}/practice", data={"csrf_token": csrf}, follow_redirects=True).text
        admin_client.post(f"{page}/practice", data={"csrf_token": csrf})
        mine = select(ApiToken).where(ApiToken.revoked_at.is_(None))
        assert [one.name for one in db.session.scalars(mine)] == ["Practice OMS"], "another click leaves no second key behind"
        assert requests.get(f"{practice_oms.url}/practice/settings", timeout=10).json()["carrier"] == "Royal Mail", "one that the practice shop has"
        db.session.commit()
        requests.post(f"{practice_oms.url}/practice/settings", json={"collect": True}, timeout=10).raise_for_status()
        place(shop, 1200)
        admin_client.post("/oms/make", data={"csrf_token": csrf, "account": str(shop)})
        work_off(2)

        def collected() -> list[tuple[str, int]]:
            feeds = requests.get(f"{practice_oms.url}/practice/feeds", timeout=10).json()["feeds"][-2:]
            return [(each["state"], each.get("orders")) for each in feeds]

        until(lambda: collected() == [("verified", 1200)] * 2, "both feeds at the OMS")
        assert requests.get(f"{practice_oms.url}/practice/orders?limit=1", timeout=10).json()["total"] >= 1200
        assert admin_client.get("/oms/").text.count("not yet") == 0, "both are collected"
        admin_client.post(page, data={"csrf_token": csrf, "active": "", "feed_minutes": "5", "pull_minutes": "5"})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_of_updates_is_uploaded_read_line_by_line_and_its_results_come_back_as_csv(
    shop: int, operator_client: FlaskClient, work_off: Callable[..., int], tmp_path: Path
) -> None:
    csrf = csrf_of(operator_client)
    assert "No batch yet" in operator_client.get("/oms/batches").text
    empty = operator_client.post("/oms/batches/upload", data={"csrf_token": csrf, "account": str(shop)})
    assert empty.status_code == 422
    assert "No file was chosen" in empty.text
    content = b"order_id,action,tracking_number,carrier\n576460000000000001,shipped,AB1,Royal Mail\n576460000000000002,=burnt,,\n"
    sent = operator_client.post(
        "/oms/batches/upload",
        data={"csrf_token": csrf, "account": str(shop), "file": (io.BytesIO(content), "monday.csv")},
        content_type="multipart/form-data",
    )
    batch = db.session.scalars(select(OmsBatch)).one()
    assert sent.headers["Location"].endswith(f"/oms/batches/{batch.id}")
    work_off(2)
    page = operator_client.get(f"/oms/batches/{batch.id}").text
    assert "monday.csv" in page
    assert "burnt" in page
    results = operator_client.get(f"/oms/batches/{batch.id}/results.csv").text.splitlines()
    assert results[0].endswith("line,event_id,order_id,action,state,message,remedy")
    assert [line.split(",")[0] for line in results[1:]] == ["2", "3"]
    again = operator_client.post(
        "/oms/batches/upload",
        data={"csrf_token": csrf, "account": str(shop), "file": (io.BytesIO(content), "again.csv")},
        content_type="multipart/form-data",
        follow_redirects=True,
    )
    assert "sent before" in again.text
    with unit_of_work() as session:
        session.execute(update(OmsUpdate).where(OmsUpdate.line == 2).values(state="failed", code="order.unknown", retry_at=utcnow() + timedelta(hours=1)))
    listed = operator_client.get("/oms/updates").text
    assert re.search(r"Retry 1\s+failed", listed)
    elsewhere = operator_client.get(f"/oms/updates?account={shop + 1}").text
    assert not re.search(r"Retry \d+\s+failed", elsewhere)
    form = re.search(rf'name="account" value="{shop}"', operator_client.get(f"/oms/updates?account={shop}").text)
    assert form, "the button retries what it counts: the failed ones of the account that is shown"
    told = operator_client.post("/oms/updates/retry", data={"csrf_token": csrf, "account": str(shop + 1)}, follow_redirects=True)
    assert "Nothing that failed can be tried again" in told.text
    assert re.search(r'tab=failed"><strong class="big">2</strong> failed updates', operator_client.get("/").text)
    unread = db.session.scalar(select(OmsUpdate.id).where(OmsUpdate.line == 3))
    chosen = {"csrf_token": csrf, "action": "aside", "ids": str(unread), "confirm": "1"}
    operator_client.post("/oms/updates/bulk", data=chosen)
    assert re.search(r'tab=failed"><strong class="big">1</strong> failed update<', operator_client.get("/").text), "what was set aside waits for nobody"
    told = operator_client.post("/oms/updates/retry", data={"csrf_token": csrf, "batch": str(batch.id)}, follow_redirects=True)
    assert "1 update will be carried out again" in told.text
    assert db.session.scalar(select(OmsUpdate.state).where(OmsUpdate.line == 2)) == "received"

"""Pictures from the practice store to the practice marketplace over real HTTP: what arrives is decoded, what is spared is counted (A062-A066)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
import requests
from flask import Flask
from PIL import Image
from sqlalchemy import func, select, update

from connector.clients import errors as api
from connector.clients.base import Transport
from connector.clients.magento import Bearer, MagentoClient
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.models.account import Account
from connector.models.product import HostedImage, PolicyImage, SourceImage
from connector.models.trace import ApiCall
from connector.practice.serve import PracticeServer
from connector.services.products import images
from tests.clients.scripted import Reply, ScriptedServer

pytestmark = pytest.mark.sqlite_only  # pictures and their upload; rows are plain

MAIN, TEXT = "MAIN_IMAGE", "DESCRIPTION_IMAGE"
GOOD = "/g/o/good-01.jpg"


def uploads(server: PracticeServer) -> int:
    calls = requests.get(f"{server.url}/practice/calls", timeout=10).json()["operations"]
    return calls.get("images.upload", {}).get("count", 0)


def downloads() -> list[int | None]:
    """HTTP statuses of the pictures that were asked for."""
    found = list(db.session.scalars(select(ApiCall.status).where(ApiCall.operation == "media").order_by(ApiCall.id)))
    db.session.commit()
    return found


def host(account: Account, wanted: dict[str, str], **rest: Any) -> images.Hosted:
    assert account.magento_id is not None
    return images.host(account, account.magento_id, wanted, **rest)


def arrived(server: PracticeServer, uri: str) -> Image.Image:
    image = Image.open(BytesIO(requests.get(f"{server.url}/obj/{uri}", timeout=10).content))
    image.load()
    return image


def test_what_merchants_have_arrives_as_tiktok_takes_it(connected_account: Account, practice_tiktok: PracticeServer) -> None:
    wanted = {
        GOOD: (900, 900),
        "/c/m/cmyk-odd-01.jpg": (900, 900),
        "/a/n/animated-odd-02.gif": (500, 500),
        "/c/l/clear-mug-04.png": (900, 900),
        "/w/i/wide-odd-05.jpg": (2400, 2400),
        "/s/p/space in its name & ümlaut.png": (900, 900),
    }
    broken = {
        "/g/o/gone-bad.jpg": ("picture.missing", "HTTP 404"),
        "/p/a/page-bad.jpg": ("picture.format", "web page"),
        "/b/r/broken-bad.jpg": ("picture.broken", "cut off"),
        "/t/i/tiny-bad.png": ("picture.too_small", "80 x 80"),
    }
    found = host(connected_account, dict.fromkeys([*broken, *wanted], MAIN))
    assert set(found.images) == set(wanted) and set(found.refused) == set(broken)
    for source, size in wanted.items():
        image, known = arrived(practice_tiktok, found.images[source].uri), found.images[source]
        assert (image.format, image.mode, image.size, (known.width, known.height)) == ("JPEG", "RGB", size, size)
        assert known.use_case == MAIN and known.url.endswith(known.uri)
    assert all(part > 245 for part in arrived(practice_tiktok, found.images["/c/l/clear-mug-04.png"].uri).getpixel((2, 2)))  # type: ignore[union-attr]
    assert "first of its 2 frames" in found.notes["/a/n/animated-odd-02.gif"][0]
    for source, (code, words) in broken.items():
        assert found.refused[source].code == code and words in found.refused[source].message and found.refused[source].remedy
    again = images.known(connected_account, dict.fromkeys([*broken, *wanted], MAIN))
    assert again == found


def test_one_picture_of_many_products_is_downloaded_and_uploaded_once(app: Flask, connected_account: Account, practice_tiktok: PracticeServer) -> None:
    account, before = connected_account, uploads(practice_tiktok)

    def one(_: int) -> str:
        with app.app_context():
            mine = db.session.get(Account, account.id)
            assert mine is not None
            return host(mine, {GOOD: MAIN}).images[GOOD].uri

    with ThreadPoolExecutor(8) as pool:
        uris = set(pool.map(one, range(40)))
    assert len(uris) == 1 and downloads() == [200] and uploads(practice_tiktok) - before == 1
    same = host(account, {"/o/t/good-01.jpg": MAIN})  # the same bytes under another name
    assert same.images["/o/t/good-01.jpg"].uri in uris and uploads(practice_tiktok) - before == 1
    other_use = host(account, {GOOD: "ATTRIBUTE_IMAGE"})
    assert other_use.images[GOOD].uri not in uris and uploads(practice_tiktok) - before == 2
    assert db.session.scalar(select(func.count()).select_from(HostedImage)) == 2


def test_two_workers_that_meet_at_one_picture_upload_it_once(connected_account: Account, practice_tiktok: PracticeServer) -> None:
    """The unique constraint decides: the loser waits for the winner's uri, and takes over when the winner died."""
    host(connected_account, {GOOD: MAIN})
    row = db.session.scalars(select(HostedImage)).one()
    before, uri = uploads(practice_tiktok), row.uri
    values = {"environment": row.environment, "content_hash": row.content_hash, "use_case": row.use_case}
    assert images._claim(**values) == (row.id, False)
    with unit_of_work() as session:
        session.execute(update(HostedImage).values(uri="", created_at=utcnow()))
    assert images._claim(**values) == (0, False)  # another worker is at it
    with unit_of_work() as session:
        session.execute(update(HostedImage).values(created_at=utcnow() - images.CLAIM))
    assert images._claim(**values) == (row.id, True) and images._claim(**values) == (0, False)
    with unit_of_work() as session:
        session.execute(update(HostedImage).values(uri="", created_at=utcnow() - images.CLAIM))
        session.execute(update(SourceImage).values(checked_at=utcnow() - images.FRESH))
    again = host(connected_account, {GOOD: MAIN}).images[GOOD]
    assert again.uri not in ("", uri) and uploads(practice_tiktok) - before == 1
    assert db.session.scalar(select(func.count()).select_from(HostedImage)) == 1


def test_a_known_picture_is_asked_for_again_after_a_day_and_only_if_it_changed(connected_account: Account, practice_tiktok: PracticeServer) -> None:
    first = host(connected_account, {GOOD: MAIN, "/g/o/gone-1.jpg": MAIN})
    host(connected_account, {GOOD: MAIN, "/g/o/gone-1.jpg": MAIN})
    assert downloads() == [200, 404] and uploads(practice_tiktok) >= 1
    before = uploads(practice_tiktok)
    with unit_of_work() as session:
        session.execute(update(SourceImage).values(checked_at=utcnow() - timedelta(days=2), retry_at=utcnow() - timedelta(seconds=1)))
    later = host(connected_account, {GOOD: MAIN, "/g/o/gone-1.jpg": MAIN})
    assert later == first and downloads() == [200, 404, 304, 404] and uploads(practice_tiktok) == before
    assert host(connected_account, {GOOD: MAIN, "/g/o/gone-1.jpg": MAIN}, again=True) == first
    assert downloads()[4:] == [304, 404]
    row = db.session.scalars(select(SourceImage).where(SourceImage.source == "/g/o/gone-1.jpg")).one()
    assert row.retry_at is not None and row.retry_at > utcnow() and row.code == "picture.missing"


@pytest.mark.sqlite_only  # its statements run on both databases in the tests above
def test_an_outage_leaves_no_trace_and_a_lost_answer_no_second_picture(connected_account: Account, practice_tiktok: PracticeServer) -> None:
    faults = f"{practice_tiktok.url}/practice/faults"
    requests.post(faults, json={"kind": "server_error", "operation": "images.upload", "times": 9}, timeout=10).raise_for_status()
    with pytest.raises((api.Unavailable, api.Uncertain)):
        host(connected_account, {GOOD: MAIN})
    assert db.session.scalar(select(func.count()).select_from(HostedImage)) == 0
    assert images.known(connected_account, {GOOD: MAIN}) == images.Hosted()
    requests.delete(faults, timeout=10)
    requests.post(faults, json={"kind": "lost_answer", "operation": "images.upload", "times": 1}, timeout=10).raise_for_status()
    hosted = host(connected_account, {GOOD: MAIN}).images[GOOD]
    assert arrived(practice_tiktok, hosted.uri).size == (900, 900)
    assert db.session.scalar(select(func.count()).select_from(HostedImage)) == 1


@pytest.mark.sqlite_only  # its statements run on both databases in the tests above
def test_tiktoks_own_refusal_is_kept_in_its_words(connected_account: Account, practice_tiktok: PracticeServer) -> None:
    fault = {"kind": "refusal", "operation": "images.upload", "code": 12038002, "message": "the image is not to our taste", "times": 1}
    requests.post(f"{practice_tiktok.url}/practice/faults", json=fault, timeout=10).raise_for_status()
    found = host(connected_account, {GOOD: MAIN, "/o/d/odd-06.jpg": MAIN})
    assert "the image is not to our taste" in found.refused[GOOD].message and set(found.images) == {"/o/d/odd-06.jpg"}


@pytest.mark.sqlite_only  # its statements run on both databases in the tests above
def test_the_policys_default_image_and_pictures_of_descriptions(connected_account: Account, practice_tiktok: PracticeServer) -> None:
    out = BytesIO()
    Image.new("RGB", (700, 500), (10, 120, 90)).save(out, "PNG")
    with unit_of_work() as session:
        row = PolicyImage(
            file_name="logo.png", media_type="image/png", content=out.getvalue(), sha256=hashlib.sha256(out.getvalue()).hexdigest(), width=700, height=500
        )
        session.add(row)
        session.flush()
        source = f"upload:{row.id}"
    inside, absolute = "catalog/product/t/e/text-picture.jpg", "/media/catalog/product/t/e/other-picture.jpg"
    strange, embedded = "https://elsewhere.example/a.jpg", "data:image/png;base64,AAAA"
    found = host(connected_account, {source: MAIN, "upload:4711": MAIN, **dict.fromkeys((inside, absolute, strange, embedded), TEXT)})
    assert set(found.images) == {source, inside, absolute}
    assert arrived(practice_tiktok, found.images[source].uri).size == (700, 700)  # 7:5 is wider than 4:3
    assert {key: value.code for key, value in found.refused.items()} == {
        "upload:4711": "picture.missing",
        strange: "picture.elsewhere",
        embedded: "picture.embedded",
    }
    assert len(downloads()) == 2


# --- the download itself, against a server that misbehaves as told


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.stop()


@pytest.mark.sqlite_only  # no database at all
def test_a_download_keeps_to_its_host_its_size_and_its_time(server: ScriptedServer) -> None:
    client = MagentoClient(Transport(timeouts=(10.0, 30.0), sleep=lambda _: None), base_url=server.url, auth=Bearer("secret-token"))
    address = f"{server.url}/media/a.jpg"
    server.replies.append(Reply(301, headers={"Location": "/media/b.jpg"}))
    server.replies.append(Reply(200, b"bytes", headers={"ETag": '"1"', "Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"}, content_type="image/jpeg"))
    media = client.media(address)
    assert media is not None and (media.content, media.etag, media.media_type) == (b"bytes", '"1"', "image/jpeg")
    assert [each.path for each in server.received] == ["/media/a.jpg", "/media/b.jpg"]
    assert all("authorization" not in {name.lower() for name in each.headers} for each in server.received)
    server.replies.append(Reply(304))
    assert client.media(address, etag='"1"', last_modified="Sat, 21 Nov 2026 10:00:00 GMT") is None
    sent = {name.lower(): value for name, value in server.received[-1].headers.items()}
    assert (sent["if-none-match"], sent["if-modified-since"]) == ('"1"', "Sat, 21 Nov 2026 10:00:00 GMT")
    for reply, kind, code in (
        (Reply(302, headers={"Location": "https://elsewhere.example/a.jpg"}), api.Redirected, "net.redirected"),
        (Reply(200, b"x" * 2000), api.Rejected, "net.too_large"),
        (Reply(404), api.NotFound, "mag.media_missing"),
        (Reply(403), api.Rejected, "mag.media_refused"),
    ):
        server.replies.append(reply)
        with pytest.raises(kind) as caught:
            client.media(address, most_bytes=1000)
        assert caught.value.code == code
    server.default = Reply(503)
    with pytest.raises(api.Unavailable):
        client.media(address)
    guarded = MagentoClient(Transport(allowed_hosts=lambda host: False), base_url=server.url, auth=Bearer("secret-token"))
    with pytest.raises(api.ForbiddenHost):
        guarded.media(address)

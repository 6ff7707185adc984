"""Order feeds and their announcement (A251, A252, A243, A245): nothing missed, nothing built twice, the same bytes whenever they are asked for."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, func, insert, select, text, update
from sqlalchemy.orm import Session

from connector.config import Config
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import PRODUCTION, SANDBOX, Account, OutgoingMail
from connector.models.oms import FEED_BUILDING, OmsConnection, OrderFeed, OrderFeedChunk
from connector.models.order import CREATED, HELD, Order, OrderLine, OrderPayload
from connector.models.run import JobRun, Schedule
from connector.models.trace import ApiCall, Event
from connector.services import housekeeping, runs, settings
from connector.services.oms import announce, connection, feed, signing, standing
from connector.services.oms.connection import Choice

PAST = timedelta(hours=2)


class Receiver(ThreadingHTTPServer):
    """The OMS's end of the feed-ready call: keeps what it was told, answers what the test wants."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[tuple[int, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((dict(self.headers), body))
        status, answer = self.server.answers.pop(0) if self.server.answers else (200, b'{"collected":"soon"}')
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def oms() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def config(config: Config, oms: Receiver) -> Config:
    return replace(config, practice_oms_url=oms.url)


@pytest.fixture
def shop(app: Flask) -> int:
    with unit_of_work() as session:
        account = Account(title="GB shop", country="GB", environment=SANDBOX)
        session.add(account)
        session.flush()
        return account.id


def place(account_id: int, count: int, *, first: int = 1, changed: datetime | None = None, state: str = CREATED, status: str = "AWAITING_SHIPMENT") -> None:
    """Orders as intake leaves them behind, two lines each, a second apart."""
    changed = changed or utcnow() - PAST
    with unit_of_work() as session:
        for number in range(first, first + count):
            at = changed + timedelta(seconds=(number - first) // 3)  # three share an instant
            order_id = session.execute(
                insert(Order).values(
                    account_id=account_id, number=f"5764600000000{number:05d}", remote_status=status, remote_updated_at=at, digest="0" * 32, placed_at=at,
                    paid_at=at, currency="GBP", total=Decimal("23.5"), state=state, item_count=2, updated_at=at, magento_number=f"{number:09d}",
                    carrier_name="Royal Mail",
                )
            ).inserted_primary_key[0]  # fmt: skip
            lines = [
                {
                    "order_id": order_id, "line_id": f"{number}-{unit}", "seller_sku": "TEE-RED-S", "name": 'Tee "red", S', "sale_price": Decimal("9.99"),
                    "original_price": Decimal("12.3456"), "package_id": f"P{number}", "tracking_number": f"AB{number:09d}GB",
                }
                for unit in (1, 2)
            ]  # fmt: skip
            session.execute(insert(OrderLine), lines)
            body = {
                "buyer_email": "buyer@example.test",
                "buyer_message": "Leave it\nat the door",
                "payment": {"currency": "GBP", "sub_total": "19.98", "shipping_fee": "3.52", "total_amount": "23.50"},
                "recipient_address": {"name": "B*** E***"},
            }
            address = {"name": f"Buyer {number:04d} Example", "phone_number": "(+44)7700900123", "address_line1": "1 High Street", "postal_code": "AB1 2CD"}
            session.execute(insert(OrderPayload).values(order_id=order_id, body=body, address=address))


def whole(feed_id: int) -> bytes:
    return b"".join(feed.stream(feed_id))


def numbers(feed_id: int) -> list[str]:
    return [json.loads(line)["number"] for line in whole(feed_id).splitlines()]


def connect(account_id: int, oms: Receiver | None = None, **choice: object) -> str:
    url = f"{oms.url}/feed-ready" if oms else ""
    return str(connection.save(account_id, replace(Choice(notify_url=url), **choice), actor="tests").secret)  # type: ignore[arg-type]


def test_a_feed_holds_what_is_new_or_changed_since_the_last_one_in_both_formats_with_everything_an_oms_needs(shop: int) -> None:
    """A251; A243, A245: not what is unpaid or on hold."""
    connect(shop, feed_formats=("jsonl", "csv"))
    assert feed.make(shop) == [], "a feed with no orders is not made"
    place(shop, 7)
    place(shop, 2, first=50, state=HELD, status="ON_HOLD")
    place(shop, 1, first=60, state="stored", status="UNPAID")
    with unit_of_work() as session:
        session.execute(update(OmsConnection).values(feed_from_at=None))
    first, second = feed.make(shop)
    lines = [json.loads(line) for line in whole(first).splitlines()]
    one = lines[0]
    assert [line["number"] for line in lines] == [f"5764600000000{number:05d}" for number in range(1, 8)]
    assert one["buyer"] == {
        "id": "", "name": "Buyer 0001 Example", "email": "buyer@example.test", "phone": "(+44)7700900123", "message": "Leave it\nat the door",
    }  # fmt: skip
    assert (one["total"], one["totals"]["shipping_fee"], one["currency"]) == ("23.50", "3.52", "GBP")
    assert [(line["sku"], line["quantity"], line["sale_price"], line["original_price"]) for line in one["lines"]] == [("TEE-RED-S", 1, "9.99", "12.3456")] * 2
    assert one["packages"] == [
        {"id": "P1", "tracking_number": "AB000000001GB", "carrier": "Royal Mail", "shipping_provider_id": "", "line_ids": ["1-1", "1-2"]}
    ]
    assert one["placed_at"].endswith("Z")
    assert (one["status"], one["state"], one["store_order"]["number"]) == ("AWAITING_SHIPMENT", "created", "000000001")
    rows = list(csv.DictReader(io.StringIO(whole(second).decode(), newline="")))
    assert [row["line_id"] for row in rows] == [f"{number}-{unit}" for number in range(1, 8) for unit in (1, 2)]
    assert (rows[0]["address_masked"], rows[0]["shipping_type"]) == ("no", "")
    assert (rows[0]["product_name"], rows[0]["buyer_message"], rows[0]["carrier"]) == ('Tee "red", S', "Leave it\nat the door", "Royal Mail")
    stored = [db.session.get_one(OrderFeed, feed_id) for feed_id in (first, second)]
    assert [(each.number, each.rows, each.position["orders"]) for each in stored] == [(1, 7, 7), (1, 14, 7)]
    assert [(each.size, each.sha256) for each in stored] == [(len(whole(each.id)), hashlib.sha256(whole(each.id)).hexdigest()) for each in stored]
    assert b"Example" not in b"".join(db.session.scalars(select(OrderFeedChunk.body))), "buyers' addresses lie encrypted"
    db.session.commit()

    assert feed.make(shop) == [], "nothing has changed"
    with unit_of_work() as session:
        session.execute(update(Order).where(Order.state == HELD).values(state=CREATED, remote_status="AWAITING_SHIPMENT", updated_at=utcnow()))
        session.execute(update(Order).where(Order.remote_status == "UNPAID").values(state="cancelled", remote_status="CANCELLED", updated_at=utcnow()))
    _wait_for_the_margin()
    third, _ = feed.make(shop)
    assert sorted(number[-2:] for number in numbers(third)) == ["50", "51", "60"], "the hold has ended, and an order that never left it is told as CANCELLED"


def _wait_for_the_margin() -> None:
    """What has just changed is old enough to be settled: the margin is for other machines' clocks, of which there are none here."""
    with unit_of_work() as session:
        back = feed.MARGIN + timedelta(seconds=1)
        for row in session.scalars(select(Order).where(Order.updated_at > utcnow() - back)):
            row.updated_at = row.updated_at - back
        for row in session.scalars(select(OmsConnection)):
            if row.feed_from_at is not None:
                row.feed_from_at = row.feed_from_at - back


def test_a_change_that_is_committed_while_and_after_a_feed_is_made_is_in_this_one_or_in_the_next(
    app: Flask, shop: int, database_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that wrote its instant before the feed's end and commits only afterwards. SQLite lets the feed wait; PostgreSQL ends the window before."""
    monkeypatch.setattr(feed, "MARGIN", timedelta())
    place(shop, 4)
    connect(shop)
    changed, may_commit = threading.Event(), threading.Event()

    def late() -> None:
        with app.app_context(), unit_of_work() as session:
            order = session.scalars(select(Order).order_by(Order.id).limit(1)).one()
            order.tag = "late"
            session.flush()  # its updated_at is now, and nobody can see it yet
            changed.set()
            assert may_commit.wait(60)

    if database_kind == "postgresql":  # an answer that comes late must not move the window's end past the open transaction
        asked = Session.scalar

        def slowly(self: Session, statement: Any, *args: Any, **options: Any) -> Any:
            found = asked(self, statement, *args, **options)
            if "pg_stat_activity" in str(statement):
                time.sleep(0.3)
            return found

        monkeypatch.setattr(Session, "scalar", slowly)
    writer = threading.Thread(target=late)
    writer.start()
    assert changed.wait(60)
    if database_kind == "sqlite":  # commits once the feed asks for the write lock, which it gets afterwards

        @event.listens_for(db.engine, "before_cursor_execute")
        def asks(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if statement == "BEGIN IMMEDIATE":
                may_commit.set()

    seen: list[str] = []
    for feed_id in feed.make(shop):
        seen += numbers(feed_id)
    may_commit.set()
    writer.join()
    tags: dict[str, str] = {}
    for feed_id in [*db.session.scalars(select(OrderFeed.id).order_by(OrderFeed.id)), *feed.make(shop)]:
        for line in whole(feed_id).splitlines():
            record = json.loads(line)
            tags[record["number"]] = record["tag"]
    assert tags["576460000000000001"] == "late", "the change is in one of the two feeds"
    assert len(tags) == 4
    if database_kind == "postgresql":
        assert len(seen) == 4, "the window was cut before the open transaction, not given up"
    again = [number for feed_id in feed.make(shop) for number in numbers(feed_id)]
    assert again == [], "and nothing is told a third time"


def test_a_build_that_was_killed_is_continued_where_it_stopped_and_gives_the_same_bytes(shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also: ranges join to the whole; two builders do not write the same chunk; an order that changes meanwhile is in the next feed."""
    monkeypatch.setattr(feed, "CHUNK", 4)
    place(shop, 30)
    connect(shop, feed_formats=("jsonl", "csv"))
    straight = {db.session.get_one(OrderFeed, each).format: whole(each) for each in feed.make(shop)}
    assert db.session.scalar(select(func.count()).select_from(OrderFeedChunk)) == 16
    with unit_of_work() as session:
        session.execute(update(OmsConnection).values(feed_from_at=None))

    class Killed(BaseException):
        pass

    survived = 0

    def guard(session: Session) -> None:
        nonlocal survived
        survived += 1
        if survived % 4 == 0:
            raise Killed

    ready: list[int] = []
    for _ in range(20):
        try:
            ready = feed.make(shop, guard=guard)
        except Killed:
            continue
        break
    assert survived > 10
    resumed = {row.format: row for row in db.session.scalars(select(OrderFeed).where(OrderFeed.number == 2))}
    assert ready
    assert {name: whole(row.id) for name, row in resumed.items()} == straight
    assert {name: row.sha256 for name, row in resumed.items()} == {name: hashlib.sha256(data).hexdigest() for name, data in straight.items()}
    data, feed_id = straight["csv"], resumed["csv"].id
    cuts = [0, 1, 700, 701, 2500, len(data)]
    assert b"".join(b"".join(feed.stream(feed_id, start, end)) for start, end in pairwise(cuts)) == data
    assert b"".join(feed.stream(feed_id, len(data) - 5)) == data[-5:]

    with unit_of_work() as session:
        session.execute(update(OmsConnection).values(feed_from_at=None, feed_formats=["jsonl"]))

    def meddle(session: Session) -> None:
        """After the first chunk is read: the last order changes, and another builder writes the chunk first."""
        if session.scalar(select(OrderFeedChunk.id).join(OrderFeed, OrderFeed.id == OrderFeedChunk.feed_id).where(OrderFeed.number == 3).limit(1)):
            return
        last = session.scalars(select(Order).order_by(Order.id.desc()).limit(1)).one()
        last.tag = "meanwhile"

    (third,) = feed.make(shop, guard=meddle)
    missing = {json.loads(line)["number"] for line in straight["jsonl"].splitlines()} - set(numbers(third))
    assert missing == {"576460000000000030"}
    _wait_for_the_margin()
    (fourth,) = feed.make(shop)
    assert numbers(fourth) == ["576460000000000030"]

    with unit_of_work() as session:
        session.execute(update(OrderFeed).where(OrderFeed.id == fourth).values(state=FEED_BUILDING, position={"at": "x", "id": 1, "chunks": 1}))

    def overtake(session: Session) -> None:
        session.execute(update(OrderFeed).where(OrderFeed.id == fourth).values(position={"chunks": 9}))

    with unit_of_work() as session:
        session.execute(update(OrderFeed).where(OrderFeed.id == fourth).values(position={}))
    with pytest.raises(RuntimeError, match="somebody else"):
        feed.build(fourth, guard=overtake)


def test_the_oms_is_told_of_each_feed_once_signed_and_again_after_growing_pauses_until_it_answers(
    app: Flask, shop: int, oms: Receiver, work_off: Callable[..., int]
) -> None:
    """A251. Through the scheduled job; the answer is kept in the OMS's words; no buyer data is sent."""
    secret = connect(shop, oms)
    place(shop, 3)
    oms.answers = [(503, b"stock-taking until six")]
    schedule = db.session.scalars(select(Schedule).where(Schedule.kind == "oms.feed")).one()
    assert (schedule.interval_seconds, schedule.enabled) == (900, True)
    runs.submit("oms.feed", account_id=shop, key="schedule:oms.feed", started_by="scheduler")
    work_off(1)
    row = db.session.scalars(select(OrderFeed)).one()
    assert (row.notify_state, row.notify_attempts) == ("waiting", 1)
    assert "503: stock-taking until six" in row.notify_message
    retry = db.session.scalars(select(JobRun).where(JobRun.kind == "oms.announce")).one()
    assert retry.not_before is not None
    assert row.notified_at is not None and retry.not_before == row.notified_at + announce.FIRST_PAUSE
    with unit_of_work() as session:  # the pause is over
        session.execute(update(OrderFeed).values(notified_at=utcnow() - timedelta(minutes=1)))
        session.execute(update(JobRun).where(JobRun.id == retry.id).values(not_before=utcnow()))
    work_off(2)
    row = feed.get(row.id)
    assert (row.notify_state, row.notify_attempts, row.notify_message) == ("announced", 2, 'HTTP 200: {"collected":"soon"}')
    headers, body = oms.calls[-1]
    assert len(oms.calls) == 2
    assert signing.age([secret], headers, body) < signing.WINDOW < signing.age([secret], headers, body, at=utcnow() + timedelta(minutes=6))
    assert signing.age([secret], headers, body.replace(b"feed.ready", b"feed.wrong")) is None
    assert signing.age(["another"], headers, body) is None
    told = json.loads(body)
    public = app.config["CONNECTOR"].public_url
    assert told == {
        "event": "feed.ready", "feed_id": row.id, "account": "GB shop", "account_id": shop, "number": 1, "format": "jsonl", "rows": 3, "bytes": row.size,
        "sha256": row.sha256, "url": f"{public}/api/v1/feeds/{row.id}/file", "created_at": told["created_at"],
    }  # fmt: skip
    assert db.session.scalar(select(func.count()).select_from(ApiCall).where(ApiCall.system == "oms")) == 2

    runs.submit("oms.feed", account_id=shop, key="schedule:oms.feed", started_by="scheduler")
    work_off(1)
    quiet = db.session.scalars(select(JobRun).where(JobRun.kind == "oms.feed").order_by(JobRun.id.desc())).first()
    assert quiet is not None
    assert (quiet.quiet, quiet.message) == (True, "Nothing has changed since the last feed. What changed in the last seconds is in the next one.")
    announce.again(row.id, actor="a person")
    work_off(1)
    assert len(oms.calls) == 3
    assert announce.test(shop, actor="a person") == announce.Told(True, 'HTTP 200: {"collected":"soon"}')
    oms.answers = [(302, b""), (500, b"")]
    assert not announce.test(shop, actor="a person").ok
    with unit_of_work() as session:
        session.execute(update(OrderFeed).values(notify_state="waiting", notify_attempts=announce.MOST_ATTEMPTS - 1, notified_at=None))
    assert not announce.announce(row.id).ok
    row = feed.get(row.id)
    assert row.notify_state == "failed"
    assert db.session.scalar(select(Event.message).where(Event.kind == "oms.announce_failed"))

    list(feed.stream(row.id, 0, 10, by="the OMS"))
    assert feed.get(row.id).collected_count == 0
    list(feed.stream(row.id, by="the OMS"))
    assert feed.get(row.id).collected_count == 1


def test_a_connection_is_refused_in_words_and_never_shows_its_secrets_again(shop: int, oms: Receiver) -> None:
    for choice, field in (
        (Choice(notify_url="ftp://oms.example"), "notify_url"),
        (Choice(notify_url="http://user:pass@oms.example/"), "notify_url"),
        (Choice(notify_url="https://oms.example.com/ready"), "notify_url"),  # a Sandbox account reaches the practice servers only (A247)
        (Choice(notify_url="http://[broken"), "notify_url"),
        (Choice(pull_url=f"{oms.url}/events"), "pull_token"),
        (Choice(feed_formats=("xml",)), "feed_formats"),
        (Choice(feed_minutes=0), "feed_minutes"),
        (Choice(pull_minutes=2000), "pull_minutes"),
    ):
        with pytest.raises(DomainError) as refused:
            connection.save(shop, choice, actor="tests")
        assert refused.value.field == field
        assert refused.value.remedy
        assert connection.get(shop) is None
    saved = connection.save(shop, Choice(pull_url=f"{oms.url}/events", pull_token="pull-token-of-the-oms", notify_url=oms.url), actor="tests")
    assert saved.secret == saved.connection.secret
    again = connection.save(shop, Choice(pull_url=f"{oms.url}/events", feed_minutes=5, active=False), actor="tests")
    assert (again.secret, again.connection.pull_token) == (None, "pull-token-of-the-oms")
    assert db.session.scalar(select(Schedule.enabled).where(Schedule.kind == "oms.feed")) is False
    other = connection.new_secret(shop, actor="tests")
    assert other == connection.known(shop).secret != saved.secret
    told = " ".join(str((event.message, event.before, event.after)) for event in db.session.scalars(select(Event)))
    assert all(word not in told for word in (other, str(saved.secret), "pull-token-of-the-oms"))
    with unit_of_work() as session:
        production = Account(title="Live", country="GB", environment=PRODUCTION)
        session.add(production)
    with pytest.raises(DomainError, match="not encrypted"):
        connection.save(production.id, Choice(notify_url="http://oms.example.com"), actor="tests")
    assert connection.save(production.id, Choice(notify_url="https://oms.example.com/x"), actor="tests").connection.notify_url


def test_housekeeping_removes_old_feeds_with_their_chunks_but_no_number_is_used_twice(shop: int) -> None:
    connect(shop)
    place(shop, 1)
    feed.make(shop)
    place(shop, 1, first=2, changed=utcnow() - timedelta(minutes=1))
    with unit_of_work() as session:
        session.execute(update(OmsConnection).values(feed_from_at=utcnow() - timedelta(minutes=2)))
    (second,) = feed.make(shop)
    assert not standing.warn(shop)
    with unit_of_work() as session:
        session.execute(update(OrderFeed).values(created_at=utcnow() - timedelta(days=400)))
    settings.put({"notify.recipients": ["desk@example.test"]}, actor="tests")
    assert standing.standing() == standing.Standing(connected=True, failed=0, not_announced=0, uncollected=2)
    assert [standing.warn(shop), standing.warn(shop)] == [True, False], "once, before anything is removed"
    (mail,) = db.session.scalars(select(OutgoingMail)).all()
    assert mail.subject == "GB shop: the OMS does not collect its feeds"
    assert "2 order feeds have waited for more than a day" in mail.body
    feed.note_collected(second, by="the OMS")
    assert not standing.warn(shop), "what it left before is known"
    assert standing.standing().uncollected == 1
    assert housekeeping.clean_up()["order feeds"] == 1
    assert list(db.session.scalars(select(OrderFeed.id))) == [second]
    assert set(db.session.scalars(select(OrderFeedChunk.feed_id))) == {second}
    db.session.commit()
    with pytest.raises(DomainError, match="no feed"):
        feed.get(second - 1)


def test_an_order_whose_payload_cannot_be_read_does_not_stop_its_neighbours(shop: int) -> None:
    connect(shop, feed_formats=("jsonl",))
    place(shop, 5)
    with unit_of_work() as session:
        session.execute(update(OmsConnection).values(feed_from_at=None))
        broken = session.scalars(select(Order).order_by(Order.id)).all()[2]
        session.execute(text("UPDATE order_payload SET body = 'not-encrypted' WHERE order_id = :id"), {"id": broken.id})
    (ready,) = feed.make(shop)
    lines = [json.loads(line) for line in whole(ready).splitlines()]
    assert [bool(line["address"]["name"]) for line in lines] == [True, True, False, True, True]
    assert lines[2]["number"] == broken.number
    told = db.session.scalars(select(Event).where(Event.subject_type == "order", Event.kind == "oms.feed_unreadable")).one()
    assert broken.number in told.message

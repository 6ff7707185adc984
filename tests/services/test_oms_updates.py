"""What the OMS says, by events, pull, upload and drop folder (A253-A255, A265, A266), against the practice servers."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import func, select, update

from connector.clients.errors import Rejected, Unavailable, Uncertain
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.jobs.context import MAX_ATTEMPTS
from connector.models.aftersales import RecallTask
from connector.models.oms import EVENT, FOLDER, IMPORT, OmsConnection, OmsUpdate
from connector.models.order import Cancellation, Order, OutgoingAction, Shipment
from connector.models.run import JobItem
from connector.services import cancellations, connections
from connector.services.oms import apply, batches, folder, pull, updates
from tests.factories import shop
from tests.factories.parcels import packages, place, take_in


def shipped(order: Order | str, number: str, **more: Any) -> dict[str, Any]:
    return {"type": "shipped", "order_id": order if isinstance(order, str) else order.number, "tracking_number": number, "carrier": "Evri", **more}


def connect(account: Any, **facts: Any) -> None:
    with unit_of_work() as session:
        session.add(OmsConnection(account_id=account.id, secret="secret", feed_formats=["jsonl"], **facts))


def work(account: Any) -> Any:
    """Carry out what waits, as the worker does."""
    return shop.perform("oms.apply", account.id)


def states(account: Any) -> dict[str, tuple[str, str]]:
    """event id -> (state, code) of everything that was said."""
    db.session.expire_all()
    rows = db.session.scalars(select(OmsUpdate).where(OmsUpdate.account_id == account.id)).all()
    db.session.commit()
    return {row.event_id: (row.state, row.code or "") for row in rows}


def said(account: Any, event_id: str) -> OmsUpdate:
    db.session.expire_all()
    row = db.session.scalars(select(OmsUpdate).where(OmsUpdate.account_id == account.id, OmsUpdate.event_id == event_id)).one()
    db.session.commit()
    return row


def test_the_same_updates_by_all_four_ways_three_times_and_shuffled_have_one_effect(account, market, app, tmp_path):
    """A253-A255, A265: a parcel, a parcel with some of the units, a cancellation; every way ends in the functions of the buttons."""
    whole, part, gone = place(market, account), place(market, account, ("TEE-BLA-S", 2), ("MUG-01", 1)), place(market, account)
    numbers = whole.number, part.number, gone.number
    connect(account, drop_folder=True)
    entries = [
        {"id": "e1", **shipped(whole, "EV0001")},
        {"id": "e2", **shipped(part, "EV0002", items=[{"sku": "TEE-BLA-S", "quantity": 2}])},
        {"id": "e3", **shipped(part, "EV0003", items=[{"sku": "MUG-01", "quantity": 1}])},
        {"id": "e4", "type": "cancelled", "order_id": gone.number, "reason": "Out of stock in the warehouse"},
    ]
    account_id = account.id

    def tell(_: int) -> updates.Received:
        with app.app_context():
            return updates.receive(account_id, EVENT, entries)

    with ThreadPoolExecutor(3) as senders:  # the OMS's own retries overtake each other
        told = list(senders.map(tell, range(3)))
    assert (sum(one.accepted for one in told), sum(one.repeated for one in told), [one.bad for one in told]) == (4, 8, [[]] * 3)
    run = work(account)
    assert (run.state, run.done, run.failed) == ("succeeded", 4, 0), run.message
    one, two, three = (packages(market, number) for number in numbers)
    assert [package["tracking_number"] for package in one] == ["EV0001"]
    assert sorted((package["tracking_number"], len(package["order_line_item_ids"])) for package in two) == [("EV0002", 2), ("EV0003", 1)]
    assert three == []
    assert market.order(numbers[2])["status"] == "CANCELLED"

    def effects() -> tuple[Any, ...]:
        cancels = [name for name in market.get("calls") if "cancel" in str(name)]
        db.session.expire_all()
        parcels = db.session.scalar(select(func.count()).select_from(Shipment))
        db.session.commit()
        return [packages(market, number) for number in numbers], market.order(numbers[2])["status"], parcels, cancels

    before = effects()
    wave = entries * 3
    random.Random(4).shuffle(wave)
    again = updates.receive(account_id, EVENT, wave)
    assert (again.accepted, again.repeated) == (0, 12)
    # the same content under no id, by upload and drop folder: new updates that say what is so already
    rows = "\n".join(
        [
            "order_id;action;tracking_number;carrier;sku;quantity;reason",
            f"{numbers[0]};shipped;EV0001;Evri;;;",
            f"{numbers[1]};shipped;EV0002;Evri;TEE-BLA-S;1;",
            f"{numbers[1]};shipped;EV0002;Evri;TEE-BLA-S;1;",
            f"{numbers[1]};shipped;EV0003;Evri;MUG-01;1;",
            f"{numbers[2]};cancelled;;;;;out of stock",
        ]
    )
    taken = batches.take(account_id, b"\xef\xbb\xbf" + rows.encode(), file_name="export.csv", source=IMPORT, actor="tests")
    assert not taken.repeated
    assert batches.take(account_id, b"\xef\xbb\xbf" + rows.encode(), source=IMPORT, actor="tests").batch.id == taken.batch.id
    inbox = folder.place(account_id) / "in"
    inbox.mkdir(parents=True)
    (inbox / "updates.json").write_text(json.dumps({"events": [{key: value for key, value in entry.items() if key != "id"} for entry in wave]}))
    assert folder.look(account_id, stable_seconds=0) == ["updates.json"]
    run = work(account)
    assert (run.state, run.failed) == ("succeeded", 0), run.message
    assert effects() == before
    lines = {row.line: (row.state, row.message) for row in batches.lines(taken.batch.id)}
    assert [lines[line][0] for line in range(2, 7)] == ["ignored"] * 5
    assert "line 3" in lines[4][1]
    assert {state for state, _ in states(account).values()} == {"done", "ignored"}


def test_updates_of_one_order_keep_their_order_and_a_cancel_after_a_ship_is_refused(account, market):
    late, soon = place(market, account), place(market, account)
    late_number, soon_number = late.number, soon.number
    at = utcnow()
    updates.receive(
        account.id,
        EVENT,
        [
            {"id": "cancel", "type": "cancelled", "order_id": late.number, "reason": "pricing_error", "occurred_at": (at + timedelta(minutes=5)).isoformat()},
            {"id": "ship", **shipped(late, "EV0001"), "occurred_at": at.isoformat()},
            {"id": "cancel first", "type": "cancelled", "order_id": soon.number, "reason": "pricing_error"},
            {"id": "ship later", **shipped(soon, "EV0002")},
        ],
    )
    run = work(account)
    assert states(account) == {
        "ship": ("done", ""), "cancel": ("failed", "oms.cancel_after_ship"), "cancel first": ("done", ""), "ship later": ("failed", "oms.ship_after_cancel"),
    }  # fmt: skip
    assert (run.state, run.done, run.failed) == ("partial", 2, 2)
    assert len(packages(market, late_number)) == 1
    assert packages(market, soon_number) == []
    refused = said(account, "cancel")
    assert "has left with parcel EV0001" in refused.message
    assert refused.remedy
    item = db.session.scalars(select(JobItem).where(JobItem.run_id == run.id, JobItem.code == "oms.ship_after_cancel")).one()
    assert "is CANCELLED on TikTok" in item.message


def test_an_update_for_an_unknown_order_waits_for_it_a_day_and_a_failed_one_can_be_retried(account, market):
    placed = market.post("orders", shop="GB", lines=[{"sku": "MUG-01", "quantity": 1}])
    market.post(f"orders/{placed['id']}/release")
    updates.receive(account.id, EVENT, [{"id": "early", **shipped(placed["id"], "EV0001")}, {"id": "never", **shipped("576460000000000000", "EV0002")}])
    run = work(account)
    assert run.state == "succeeded"
    assert states(account) == {"early": ("received", "oms.order_unknown"), "never": ("received", "oms.order_unknown")}
    assert said(account, "early").retry_at > utcnow()
    assert not work(account).total  # it waits
    take_in(account, placed["id"])
    with unit_of_work() as session:
        session.execute(update(OmsUpdate).values(retry_at=None))
        session.execute(update(OmsUpdate).where(OmsUpdate.event_id == "never").values(received_at=utcnow() - timedelta(hours=25)))
    work(account)
    assert states(account) == {"early": ("done", ""), "never": ("failed", "oms.order_unknown")}
    never = said(account, "never")
    assert "did not come within a day" in never.message
    assert "Retry" in never.remedy
    submitted = updates.retry([never.id], actor="operator@example.test")
    assert submitted is not None
    assert states(account)["never"] == ("received", "")
    assert shop.carry_out(submitted.run_id).failed == 1
    assert updates.retry([said(account, "early").id], actor="operator@example.test") is None


@pytest.mark.sqlite_only
def test_a_cancellation_that_tiktok_took_while_the_worker_was_killed_is_finished(account, market):
    told, asked = place(market, account), place(market, account)
    market.post(f"orders/{asked.number}/cancel", by="BUYER")
    cancellations.import_account(account.id)
    for operation in ("create", "approve"):
        market.post("faults", kind="lost_answer", operation=f"cancellations.{operation}", times=1)
    updates.receive(
        account.id, EVENT, [{"id": key, "type": "cancelled", "order_id": one.number, "reason": "out_of_stock"} for key, one in (("a", told), ("b", asked))]
    )
    for key in ("a", "b"):
        with pytest.raises(Uncertain):
            apply.apply_one(said(account, key).id)
    for one in (told, asked):
        take_in(account, one.number)
    for key in ("a", "b"):
        apply.apply_one(said(account, key).id)
    assert {state for state, _ in states(account).values()} == {"done"}
    assert db.session.scalar(select(OutgoingAction.state).where(OutgoingAction.action == "reject")) == "accepted"
    assert db.session.scalar(select(Cancellation.answer_state).where(Cancellation.order_id == asked.id)) == "accepted"


@pytest.mark.sqlite_only
def test_an_update_that_another_worker_carries_out_is_looked_at_again_soon_and_outlasts_a_dead_one(account, market):
    order = place(market, account)
    updates.receive(account.id, EVENT, [{"id": "ship", **shipped(order, "EV0001")}, {"id": "then", "type": "delivered", "order_id": order.number}])
    first, then = said(account, "ship").id, said(account, "then").id
    apply._claim(first)  # and the worker dies
    at, pauses = timedelta(), []
    while at < apply.CLAIM:
        with unit_of_work() as session:
            session.execute(update(OmsUpdate).where(OmsUpdate.id == first).values(retry_at=utcnow() + apply.CLAIM - at))
        with pytest.raises(Unavailable) as busy:
            apply.apply_one(then)  # it waits for the earlier one of its order
        pauses.append(round(busy.value.retry_after or 0))
        at += timedelta(seconds=pauses[-1])
    assert pauses == [3, 3, 6, 12, 24, 48, 24]
    assert len(pauses) < MAX_ATTEMPTS
    with unit_of_work() as session:
        session.execute(update(OmsUpdate).where(OmsUpdate.id == first).values(retry_at=utcnow()))
    apply.apply_one(then)
    assert {key: state for key, (state, _) in states(account).items()} == {"ship": "done", "then": "ignored"}
    updates.receive(account.id, EVENT, [{"id": "late", "type": "delivered", "order_id": order.number}])
    late = said(account, "late").id
    apply._claim(late)
    assert shop.perform("oms.apply", account.id, items=[(str(late), "late")]).done == 1, "no run is alive that may have it in hand"


def test_what_cannot_be_carried_out_says_why_and_a_hold_only_delays_it(account, market):
    held, wrong = place(market, account, release=False), place(market, account)
    held_number = held.number
    updates.receive(
        account.id,
        EVENT,
        [
            {"id": "held", **shipped(held, "EV0001")},
            {"id": "sku", **shipped(wrong, "EV0002", items=[{"sku": "NO-SUCH", "quantity": 1}])},
            {"id": "nobody asked", "type": "cancellation_answered", "order_id": wrong.number, "accept": True},
            {"id": "no return", "type": "goods_received", "order_id": wrong.number},
            {"id": "delivered", "type": "delivered", "order_id": wrong.number},
        ],
    )
    work(account)
    assert states(account) == {
        "held": ("received", "ship.not_on_hold"), "sku": ("failed", "oms.sku_unknown"), "nobody asked": ("failed", "oms.no_request"),
        "no return": ("failed", "oms.no_goods_expected"), "delivered": ("ignored", ""),
    }  # fmt: skip
    assert "MUG-01" in said(account, "sku").message
    market.post(f"orders/{held_number}/release")
    with unit_of_work() as session:
        session.execute(update(OmsUpdate).where(OmsUpdate.event_id == "held").values(retry_at=None))
        session.execute(update(Shipment).values(retry_at=None))
    work(account)
    assert states(account)["held"] == ("done", "")
    assert len(packages(market, held_number)) == 1


def test_the_oms_answers_the_buyers_wish_to_cancel(account, market):
    yes, no = place(market, account), place(market, account)
    yes_number, no_number = yes.number, no.number
    for order in (yes, no):
        market.post(f"orders/{order.number}/cancel", by="BUYER")
    updates.receive(
        account.id,
        EVENT,
        [
            {"id": "yes", "type": "cancellation_answered", "order_id": yes.number, "accept": True},
            {"id": "no", "type": "cancellation_answered", "order_id": no.number, "accept": False, "reason": "no such reason"},
            {"id": "again", "type": "cancellation_answered", "order_id": yes.number, "accept": True},
        ],
    )
    work(account)
    assert states(account)["yes"] == ("done", "")
    assert states(account)["again"] == ("ignored", "")
    assert states(account)["no"] == ("failed", "cancellation.reason")
    assert market.order(yes_number)["status"] == "CANCELLED"
    assert market.order(no_number)["status"] == "AWAITING_SHIPMENT"


def test_every_line_of_a_file_says_what_became_of_it_and_a_bad_file_is_refused_whole(account, market):
    """A255."""
    order = place(market, account)
    text = "\n".join(
        [
            "event_id,order_id,action,tracking_number,carrier,sku,quantity,reason",
            f"a,{order.number},shipped,EV0001,Evri,,,",
            ",5.76E+17,shipped,EV0001,Evri,,,",
            f",{order.number},teleported,,,,,",
            f",{order.number},shipped,!,Evri,,,",
            f",{order.number},shipped,EV0002,Evri,MUG-01,many,",
            f",{order.number},cancelled,,,,,bad mood",
            f",{order.number},cancellation_answered,,,,,",
            f"a,{order.number},shipped,EV0009,Evri,,,",
            ",,delivered,,,,,",
            f',{order.number},cancelled,,,,,"bad',
            'mood"',  # a cell may hold a line break; the entry is called by its first line
            f',{order.number},shipped,EV0003,Evri,MUG-01,"1,000",',
            f",{order.number},shipped,EV0004,Evri,,2,",
            f",{order.number},shipped,EV0004,Evri,MUG-01,1,",  # a faulty line of a parcel does not take the others along
        ]
    )
    taken = batches.take(account.id, text.encode(), file_name="../../etc/passwd", source=IMPORT, actor="tests")
    work(account)
    lines = {row.line: row for row in batches.lines(taken.batch.id)}
    assert taken.batch.rows == len(lines) == 13
    assert [lines[line].state for line in range(2, 12)] == ["done", *["failed"] * 9]
    fields = {line: row.data["field"] for line, row in lines.items() if row.code == updates.UNREADABLE}
    assert fields == {
        3: "order_id", 4: "action", 5: "tracking_number", 6: "quantity", 7: "reason", 8: "accept", 9: "id", 10: "order_id", 11: "reason", 13: "quantity", 14: "sku",
    }  # fmt: skip
    assert all(lines[line].message and lines[line].remedy for line in fields)
    assert f"a is the id of another event: shipped of order {order.number}" in lines[9].message, "a second parcel is not lost under a used id"
    assert (lines[15].data["items"], updates.own_id(lines[15]), updates.own_id(lines[9]), updates.own_id(lines[2])) == (
        [{"sku": "MUG-01", "quantity": 1}], "", "a", "a",
    )  # fmt: skip
    assert batches.counts(taken.batch.id) == {"done": 1, "failed": 12}
    assert updates.retry([lines[3].id], actor="tests") is None  # there is nothing in it to carry out
    for data, words in (
        (b"", "empty"),
        (b"name,price\n1,2\n", "no column"),
        (b"PK\x03\x04", "Excel workbook"),
        (b"[1", "no JSON"),
        (b'{"a":1}', "no list"),
        (b"[]", "no update"),
        (b'order_id,action,reason\n1,cancelled,"sold out\n2,delivered,\n', "begins in line 2 is never closed"),
    ):
        with pytest.raises(DomainError, match=words):
            batches.take(account.id, data, source=IMPORT, actor="tests")
    assert db.session.scalar(select(func.count()).select_from(OmsUpdate)) == 13
    # ids of an OMS that look like our own names for lines
    ours = [f"line:{taken.batch.id + 1}:{line}" for line in (2, 3)]
    updates.receive(account.id, EVENT, [{"id": each, "type": "delivered", "order_id": order.number} for each in ours])
    other = batches.take(account.id, f"id,order,action\n{ours[0]},{order.number},delivered\n,,delivered\n".encode(), source=IMPORT, actor="tests")
    assert batches.counts(other.batch.id) == {"ignored": 1, "failed": 1}
    entry = f'{{"type": "delivered", "order_id": "{order.number}"}}'
    lined = batches.take(account.id, f'{entry}\n\n{{"type": \n{{"type": "shipped", "order_id": "{order.number}.0"}}\n'.encode(), source=IMPORT, actor="tests")
    assert [(row.line, row.state) for row in batches.lines(lined.batch.id)] == [(1, "received"), (3, "failed"), (4, "failed")], "JSON Lines"
    odd = f"order_id,action,carrier\n{order.number},delivered,a,b\n{order.number}.0,delivered,\n".encode()
    said = [row.message for row in batches.lines(batches.take(account.id, odd, source=IMPORT, actor="tests").batch.id)]
    assert ["4 cells" in said[0], "last digits may be wrong" in said[1]] == [True, True], said


@pytest.mark.sqlite_only
def test_the_drop_folder_takes_whole_files_and_nothing_from_elsewhere(account, market, tmp_path, monkeypatch):
    order = place(market, account)
    connect(account, drop_folder=True)
    home = folder.place(account.id)
    inbox = home / "in"
    inbox.mkdir(parents=True)
    good = f"order_id,action,tracking_number,carrier\n{order.number},shipped,EV0001,Evri\n"
    outside = tmp_path / "secret.csv"
    outside.write_text(good)
    (inbox / "link.csv").symlink_to(outside)
    (inbox / "half.csv.part").write_text(good)
    (inbox / ".hidden.csv").write_text(good)
    (inbox / "a folder.csv").mkdir()
    (inbox / "good.csv").write_text(good)
    assert folder.look(account.id) == []  # it may still be written
    assert folder.look(account.id, stable_seconds=0) == ["good.csv"]
    (inbox / "good.csv").write_text(good)  # delivered again under the same name
    (inbox / "broken.csv").write_text("name\nmug\n")
    (inbox / "picture.png").write_bytes(b"\x89PNG")
    assert sorted(folder.look(account.id, stable_seconds=0)) == ["broken.csv", "good.csv", "picture.png"]
    assert sorted(os.listdir(home / "done")) == ["good-2.csv", "good-2.csv.result.json", "good.csv", "good.csv.result.json"]
    assert sorted(os.listdir(home / "failed")) == ["broken.csv", "broken.csv.result.json", "picture.png", "picture.png.result.json"]
    assert sorted(os.listdir(inbox)) == [".hidden.csv", "a folder.csv", "half.csv.part", "link.csv"]
    result = json.loads((home / "done" / "good.csv.result.json").read_text())
    assert (result["rows"], result["rejected"], result["same_file_as_before"]) == (1, [], False)
    assert json.loads((home / "done" / "good-2.csv.result.json").read_text())["same_file_as_before"] is True
    assert "no column" in json.loads((home / "failed" / "broken.csv.result.json").read_text())["rejected"][0]["message"]
    assert said(account, next(iter(states(account)))).source == FOLDER
    # cannot be moved, has a name that is no UTF-8 or leaves no room for its result, is dated ahead: none of them holds up the others
    latin, long = os.fsdecode(b"caf\xe9.csv"), "n" * 250 + ".csv"
    for letter, name in enumerate(("stuck.csv", latin, long, "ahead.csv", "last.csv")):
        (inbox / name).write_text(f"{good}{order.number},shipped,EV100{letter},Evri\n")
    os.utime(inbox / "ahead.csv", (4e9, 4e9))
    move = shutil.move

    def refuse(source: Any, target: Any) -> Any:
        if source.name == "stuck.csv":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return move(source, target)

    monkeypatch.setattr(shutil, "move", refuse)
    for _ in range(2):
        with pytest.raises(DomainError, match=r"stuck\.csv \(Operation not permitted\)") as refused:
            folder.look(account.id, stable_seconds=0)
        assert str(home) in refused.value.remedy
    there = os.listdir(home / "done")
    assert {latin, f"{latin}.result.json", "ahead.csv", "last.csv"} <= set(there)
    assert json.loads((home / "done" / f"{latin}.result.json").read_text())["file"] == "caf?.csv"
    assert sum(name.startswith("nnn") for name in there) == 2
    assert not [name for name in there if name.startswith("stuck")], "no result is left for what was not moved"
    assert "stuck.csv" in os.listdir(inbox)


class _Statuses(BaseHTTPRequestHandler):
    """An OMS that is asked: three pages of events, and whatever else ``server.mood`` says."""

    def do_GET(self) -> None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}
        self.server.asked.append((query["cursor"], self.headers["Authorization"]))
        at = int(query["cursor"] or 0)
        events = self.server.events[at : at + 2]
        body = {"events": events, "next_cursor": str(at + len(events)), "more": at + 2 < len(self.server.events)}
        status = 401 if self.server.mood == "token" else 200
        data = b"<html>" if self.server.mood == "html" else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def test_statuses_are_pulled_page_by_page_and_the_cursor_follows_what_is_stored(account, market, monkeypatch):
    """A254."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Statuses)
    server.asked, server.mood = [], ""
    server.events = [{"id": f"p{number}", **shipped("576460000000000001", f"EV000{number}")} for number in range(5)]
    server.events[3] = {"id": "bad", "type": "shipped"}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        host = f"127.0.0.1:{server.server_port}"
        allows = connections.Connections.allows
        monkeypatch.setattr(connections.Connections, "allows", lambda self, environment, name: name == host or allows(self, environment, name))
        connect(account, pull_url=f"http://{host}/statuses?shop=1", pull_token="pull-token")
        account_id = account.id
        found = pull.pull(account_id)
        assert (found.accepted, found.repeated, len(found.bad)) == (4, 0, 1)
        assert server.asked == [("", "Bearer pull-token"), ("2", "Bearer pull-token"), ("4", "Bearer pull-token")]
        assert pull.pull(account_id).accepted == 0
        server.mood = "token"
        with pytest.raises(Rejected, match="pull token"):
            pull.pull(account_id)
        server.mood = "html"
        assert shop.perform("oms.pull", account_id).state == "failed"
        server.mood = ""
        with unit_of_work() as session:
            session.execute(update(OmsConnection).values(pull_cursor=""))  # an OMS that was restored tells everything again
        found = pull.pull(account_id)
        assert (found.accepted, found.repeated, len(found.bad)) == (0, 4, 1)
        assert len(states(account)) == 5
        with unit_of_work() as session:
            session.execute(update(OmsConnection).values(pull_url=""))
        asked = shop.perform("oms.pull", account_id)
        assert (asked.state, "no pull address" in asked.message) == ("failed", True), "a person who asks is told"
    finally:
        server.shutdown()
        server.server_close()


def test_goods_that_came_back_of_a_recalled_parcel_are_taken_in_once(account, market):
    """A264: TikTok cancelled after the parcel had left."""
    order = place(market, account, ("MUG-01", 2))
    number = order.number
    updates.receive(account.id, EVENT, [{"id": "ship", **shipped(order, "EV0001")}])
    work(account)
    market.post(f"orders/{number}/cancel", by="SYSTEM")
    take_in(account, number)
    back = {"type": "goods_received", "order_id": number, "items": [{"sku": "MUG-01", "quantity": 1}]}
    updates.receive(
        account.id,
        EVENT,
        [{"id": "back", **back}, {"id": "back again", **back}, {"id": "too late", "type": "cancelled", "order_id": number, "reason": "out_of_stock"}],
    )
    work(account)
    assert states(account) == {"ship": ("done", ""), "back": ("done", ""), "back again": ("ignored", ""), "too late": ("ignored", "")}
    task = db.session.scalars(select(RecallTask)).one()
    assert (task.state, task.received, task.closed_by) == ("received", {"MUG-01": 1}, "OMS")
    assert task.restocked_at is not None

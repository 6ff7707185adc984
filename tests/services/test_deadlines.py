"""Upcoming deadlines, warnings once for each level, and the board of pending actions (A229-A231, A263, A270, A271)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.models.account import SANDBOX, Account, OutgoingMail
from connector.models.aftersales import DeadlineWarning, RecallTask, Return
from connector.models.order import Cancellation, Order, Shipment
from connector.models.policy import Policy
from connector.models.trace import Event
from connector.services import connections, deadlines, settings
from connector.services.deadlines.finding import SOURCES, rows
from tests.factories import shop
from tests.factories.market import an_order

AHEAD = 900.0  # seconds by which the shop's clock leads ours


@pytest.fixture
def account(app: Flask) -> Account:
    settings.put({"notify.recipients": ["desk@example.test"]}, actor="tests")
    from connector.services import policies

    policies.seed(actor="tests")
    with unit_of_work() as session:
        found = Account(title="Shop", environment=SANDBOX, country="GB", auth_state="connected", shop_cipher="c", clock_offset_seconds=AHEAD)
        session.add(found)
    return found


@pytest.fixture
def shop_time(account: Account) -> Callable[..., datetime]:
    start = connections.shop_now(account)
    return lambda **ahead: start + timedelta(**ahead)


def order(account: Account, **values: Any) -> Order:
    made = an_order(account, {"TEE": 1}, status=values.pop("remote_status", "AWAITING_SHIPMENT"))
    with unit_of_work() as session:
        session.execute(update(Order).where(Order.id == made.id).values(**values))
    return db.session.get(Order, made.id, populate_existing=True)


def requests_for(of: Order, shop_time: Callable[..., datetime], *, cancel: dict[str, Any] | None = None, back: dict[str, Any] | None = None) -> None:
    start = shop_time(hours=-20)
    with unit_of_work() as session:
        if cancel is not None:
            facts = {"cancel_type": "BUYER_CANCEL", "remote_status": "CANCELLATION_REQUEST_PENDING", "remote_created_at": start, "remote_updated_at": start}
            session.add(Cancellation(account_id=of.account_id, order_id=of.id, cancel_id=f"C{of.number}", **{**facts, **cancel}))
        if back is not None:
            facts = {
                "remote_status": "RETURN_OR_REFUND_REQUEST_PENDING",
                "needs_answer": True,
                "remote_created_at": start,
                "remote_updated_at": start,
                "body": {},
            }
            session.add(Return(account_id=of.account_id, order_id=of.id, return_id=f"R{of.number}", **{**facts, **back}))


def kinds(found: list[deadlines.Deadline]) -> list[tuple[str, str, bool]]:
    return [(one.kind, one.number, one.estimated) for one in found]


def mails() -> list[OutgoingMail]:
    db.session.commit()
    return list(db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id)))


def move_shop_clock(account: Account, **by: Any) -> None:
    with unit_of_work() as session:
        session.execute(
            update(Account).where(Account.id == account.id).values(clock_offset_seconds=Account.clock_offset_seconds + timedelta(**by).total_seconds())
        )
    db.session.expire_all()


def test_a263_a270_everything_that_is_due_comes_in_order_by_the_shops_own_clock(account: Account, shop_time: Callable[..., datetime]) -> None:
    late = order(account, ship_by_at=shop_time(minutes=-5), cancel_by_at=shop_time(days=3))
    silent = order(account, remote_status="PARTIALLY_SHIPPING", ship_by_at=None, cancel_by_at=None, placed_at=shop_time(days=-20))
    moving = order(account, remote_status="IN_TRANSIT", ship_by_at=shop_time(days=-9), cancel_by_at=shop_time(hours=30))
    asked = order(account, ship_by_at=shop_time(days=9), cancel_by_at=shop_time(days=10), placed_at=shop_time(hours=-30))
    requests_for(asked, shop_time, cancel={"respond_by_at": None}, back={"respond_by_at": shop_time(hours=3), "deadline_estimated": True})
    for status in ("UNPAID", "ON_HOLD", "DELIVERED", "COMPLETED", "CANCELLED", "", "SOMETHING_NEW"):  # the seller owes nothing
        order(account, remote_status=status, ship_by_at=shop_time(hours=1), cancel_by_at=shop_time(hours=1))
    order(account, fulfillment_type="FULFILLMENT_BY_TIKTOK", ship_by_at=shop_time(hours=1), cancel_by_at=None)
    gone = order(account, remote_status="CANCELLED")
    with unit_of_work() as session:
        session.add(RecallTask(account_id=account.id, order_id=gone.id, why="The parcel had left already.", due_at=shop_time(days=3)))

    found = deadlines.upcoming()
    assert kinds(found) == [
        ("ship_by", silent.number, True),
        ("auto_cancel", silent.number, True),
        ("ship_by", late.number, False),
        ("answer_return", asked.number, True),  # TikTok named none when it was imported
        ("answer_cancellation", asked.number, True),  # 48 hours after it was made, 20 hours ago
        ("auto_cancel", moving.number, False),
        ("auto_cancel", late.number, False),
        ("recall", gone.number, False),  # ours: three days to stop the parcel
        ("ship_by", asked.number, False),
        ("auto_cancel", asked.number, False),
    ]
    assert found[2].here_at == late.ship_by_at - timedelta(seconds=AHEAD)  # TikTok's minute, on the clock of the person who looks
    assert "unless it is delivered" in found[5].what_then
    assert kinds(deadlines.upcoming(within=timedelta(hours=4), passed=False)) == [("answer_return", asked.number, True)]
    assert len(deadlines.upcoming(limit=3)) == 3
    with unit_of_work() as session:
        session.execute(update(Account).values(active=False))
    assert deadlines.upcoming() == []  # a disabled account does nothing


def test_a263_each_deadline_is_warned_about_once_a_level_in_one_mail_that_stays_on_screen(account: Account, shop_time: Callable[..., datetime]) -> None:
    shop.change_policy(account, notify=True, notification_email="orders@example.test")
    soon = [order(account, ship_by_at=shop_time(hours=20 + n), cancel_by_at=shop_time(days=9)) for n in range(3)]
    guess = order(account, ship_by_at=None, cancel_by_at=shop_time(days=9), placed_at=shop_time(days=-30))
    asked = order(account, ship_by_at=shop_time(days=9), cancel_by_at=shop_time(days=9))
    requests_for(asked, shop_time, cancel={"respond_by_at": shop_time(hours=10)}, back={"respond_by_at": shop_time(days=3)})
    gone = order(account, remote_status="CANCELLED", ship_by_at=None, cancel_by_at=None)
    with unit_of_work() as session:
        session.add(RecallTask(account_id=account.id, order_id=gone.id, why="parcel AB1 had left", due_at=shop_time(hours=15)))

    run = shop.perform("deadlines.warn", account.id)
    assert run.state == "succeeded", run.message
    sent = mails()
    assert sorted(mail.recipient for mail in sent) == ["desk@example.test", "orders@example.test"]
    assert {mail.state for mail in sent} == {"kept"}  # A249: a Sandbox account's mail stays on screen
    assert sent[0].subject == "Shop: 5 deadlines close, 1 deadline passed"
    assert all(one.number in sent[0].body for one in (*soon, guess, asked))
    assert re.search(rf"{gone.number}  see to the recalled parcel by .*  parcel AB1 had left\n", sent[0].body)
    assert "Half of the time to answer is over" in sent[0].body  # the cancellation: 20 of 30 hours
    levels = {(row.subject_type, row.kind, row.level) for row in db.session.scalars(select(DeadlineWarning))}
    assert levels == {
        ("order", "ship_by", "soon"),
        ("order", "ship_by", "passed"),
        ("cancellation", "answer_cancellation", "half"),
        ("recall", "recall", "soon"),
    }
    told = db.session.scalars(select(Event.message).where(Event.kind == "order.deadline", Event.subject_id == str(soon[0].id))).one()
    assert soon[0].number in told
    assert deadlines.warn(account.id) == 0

    move_shop_clock(account, hours=5)  # the answer is due in 5 hours: the sharper warning
    assert deadlines.warn(account.id) == 1
    assert "Due soon" in mails()[-1].body
    move_shop_clock(account, minutes=10)
    order(account, ship_by_at=shop_time(hours=24), cancel_by_at=shop_time(days=9))
    assert deadlines.warn(account.id) == 0  # it has time until the next mail may go
    urgent = order(account, ship_by_at=shop_time(hours=6), cancel_by_at=shop_time(days=9))
    assert deadlines.warn(account.id) == 2  # but not this one, and then both go
    assert urgent.number in mails()[-1].body

    move_shop_clock(account, hours=30)
    assert deadlines.warn(account.id) == 8  # five orders, the cancellation and the recall have passed, half of the time for the return is over
    count = len(mails())
    with unit_of_work() as session:
        session.execute(update(Order).where(Order.id == soon[0].id).values(ship_by_at=shop_time(hours=50)))
    move_shop_clock(account, hours=2)
    assert deadlines.warn(account.id) == 1  # TikTok gave more time: the new instant is a deadline of its own
    assert len(mails()) == count + 2
    move_shop_clock(account, days=30)
    while deadlines.warn(account.id):
        move_shop_clock(account, hours=2)
    due = {(one.subject_type, str(one.subject_id), one.kind, one.due_at) for one in deadlines.upcoming(limit=1000)}
    warned = {
        (row.subject_type, row.subject_id, row.kind, row.due_at) for row in db.session.scalars(select(DeadlineWarning).where(DeadlineWarning.level == "passed"))
    }
    assert due <= warned  # every deadline either met or warned about


@pytest.mark.sqlite_only
def test_a_shop_without_an_order_policy_is_warned_all_the_same_in_the_configured_time_zone(account: Account, shop_time: Callable[..., datetime]) -> None:
    settings.put({"time_zone": "Asia/Singapore"}, actor="tests")
    with unit_of_work() as session:
        session.execute(update(Policy).values(is_default=False))
    late = order(account, ship_by_at=datetime(2020, 5, 4, 9, 30, tzinfo=UTC), cancel_by_at=shop_time(days=9))
    assert shop.perform("deadlines.warn", account.id).state == "succeeded"
    assert db.session.scalars(select(DeadlineWarning.subject_id)).all() == [str(late.id)]
    (mail,) = mails()
    assert "ship by 2020-05-04 17:30 +08" in mail.body


def test_a271_the_board_holds_six_states_and_recalls_and_finds_a_hundred_ids(account: Account, shop_time: Callable[..., datetime]) -> None:
    far = {"ship_by_at": shop_time(days=9), "cancel_by_at": shop_time(days=9)}
    today = [order(account, ship_by_at=shop_time(hours=hours), cancel_by_at=shop_time(days=9)) for hours in (2, 23)]
    doomed = order(account, remote_status="AWAITING_COLLECTION", ship_by_at=shop_time(days=-3), cancel_by_at=shop_time(hours=3))
    overdue = order(account, ship_by_at=shop_time(hours=-1), cancel_by_at=shop_time(days=9))
    asked, back = order(account, **far), order(account, remote_status="DELIVERED")
    requests_for(asked, shop_time, cancel={"respond_by_at": shop_time(hours=9)})
    requests_for(back, shop_time, back={"respond_by_at": shop_time(days=2)})
    refused = order(account, **far, failure_code="tts.bad_tracking", failure_message="TikTok refused the tracking number.")
    trackless = order(account, **far, failure_code="ship.no_tracking")
    gone = order(account, remote_status="CANCELLED")
    with unit_of_work() as session:
        session.add(Shipment(account_id=account.id, order_id=refused.id, tracking_number="AB1", state="failed"))
        session.add(RecallTask(account_id=account.id, order_id=gone.id, due_at=shop_time(days=3)))
    expected = {
        "ship": {one.number for one in today}, "auto_cancel": {doomed.number}, "overdue": {overdue.number}, "cancel_requested": {asked.number},
        "abnormal": {refused.number, trackless.number}, "return_requested": {back.number}, "recall": {gone.number},
    }  # fmt: skip
    for state, numbers in expected.items():
        page = deadlines.board(state)
        assert {one.number for one in page.rows} == numbers, state
        assert page.counts == {key: len(value) for key, value in expected.items()}
    words = deadlines.ids_in(f"{today[0].number}, C{asked.number}\n{back.number};{back.number} nothing-like-it {refused.number}")
    assert len(words) == 5
    page = deadlines.board(ids=words)
    assert (page.state, page.unknown) == ("ship", ["nothing-like-it"])
    assert page.counts == {"ship": 1, "auto_cancel": 0, "overdue": 0, "cancel_requested": 1, "abnormal": 1, "return_requested": 1, "recall": 0}
    assert len(deadlines.ids_in(" ".join(str(n) for n in range(500)))) == 100


@pytest.mark.sqlite_only
def test_deadlines_are_found_along_an_index_however_many_orders_there_are(account: Account, shop_time: Callable[..., datetime]) -> None:
    now = utcnow()
    with unit_of_work() as session:
        for source in SOURCES.values():
            for case in source.cases:
                wanted = source.select(source.account == account.id, case, source.due.is_not(None), source.due <= now).order_by(source.due, source.pk)
                compiled = wanted.limit(100).compile(session.get_bind(), compile_kwargs={"literal_binds": True})
                plan = " ".join(row.detail for row in session.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
                assert "SCAN" not in plan, plan
                if source.subject_type == "order":
                    assert "TEMP B-TREE" not in plan, plan
    assert list(rows(SOURCES["ship_by"], account, limit=5)) == []

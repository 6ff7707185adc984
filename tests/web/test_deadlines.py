"""The board of pending actions, the deadlines on Today, the banner, the columns and filters of the orders grid (A229-A231, A263, A271)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from bs4 import BeautifulSoup, Tag
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from connector.core.db import db, unit_of_work
from connector.models.account import SANDBOX, Account
from connector.models.aftersales import RecallTask
from connector.models.order import Cancellation, Order
from connector.services import connections
from tests.factories.market import an_order
from tests.web.test_html_quality import complaints

AHEAD = 1800.0  #: the shop's clock leads ours by half an hour
LONG = "Magento has no carrier for " + "an-endless-word-without-a-single-space-in-it" * 4


@pytest.fixture
def account(app: Flask) -> Account:
    with unit_of_work() as session:
        found = Account(
            title="Shop", environment=SANDBOX, country="GB", auth_state="connected", shop_cipher="c", shop_id="1", clock_offset_seconds=AHEAD, onboarded_at=None
        )
        session.add(found)
    return found


def page(client: FlaskClient, address: str) -> BeautifulSoup:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text[:2000]
    assert complaints(answer.text, whole=True) == [], address
    return BeautifulSoup(answer.text, "html.parser")


def numbers(rows: Iterable[Tag]) -> list[str]:
    return [row.th.a.text for row in rows]


def order(account: Account, **values: object) -> Order:
    made = an_order(account, {"TEE": 1})
    with unit_of_work() as session:
        session.execute(update(Order).where(Order.id == made.id).values(**values))
    return made


def test_a271_what_is_due_is_read_on_today_on_the_board_in_the_banner_and_in_the_grid(
    account: Account, admin_client: FlaskClient, viewer_client: FlaskClient
) -> None:
    empty = page(admin_client, "/deadlines/")
    assert "Nothing is pending" in empty.main.text
    assert page(admin_client, "/").find(id="deadlines-title") is None

    now = connections.shop_now(account)
    far = {"ship_by_at": now + timedelta(days=9), "cancel_by_at": now + timedelta(days=9)}
    urgent = order(account, **{**far, "ship_by_at": now + timedelta(minutes=40), "failure_message": LONG, "failure_code": "carrier.unknown"})
    today = [order(account, **{**far, "ship_by_at": now + timedelta(hours=3 + n / 10)}) for n in range(12)]
    late = order(account, **{**far, "ship_by_at": now - timedelta(minutes=1)})  # passed by the shop's clock, not by ours
    asked, recalled = order(account, **far), order(account, **far, remote_status="CANCELLED")
    guessed = order(account, ship_by_at=None, cancel_by_at=far["cancel_by_at"], placed_at=now - timedelta(days=30))
    with unit_of_work() as session:
        facts = {"cancel_type": "BUYER_CANCEL", "remote_status": "CANCELLATION_REQUEST_PENDING", "respond_by_at": now + timedelta(minutes=50)}
        session.add(Cancellation(account_id=account.id, order_id=asked.id, cancel_id="4035000000000000001", **facts))
        session.add(RecallTask(account_id=account.id, order_id=recalled.id, why="The parcel had left already.", due_at=now + timedelta(days=3)))

    home = page(admin_client, "/")
    assert home.main.find("h2")["id"] == "deadlines-title"  # first of all
    answers, due = home.select("main table.deadlines")
    assert numbers(answers.select("tbody tr")) == [asked.number, recalled.number]
    assert numbers(due.select("tbody tr")) == [guessed.number, late.number, urgent.number, *(one.number for one in today[:5])]
    countdown = due.select("tbody time[data-countdown]")[2]
    assert countdown["data-deadline"] == "soon"
    assert countdown["datetime"].startswith((now + timedelta(minutes=40) - timedelta(seconds=AHEAD)).isoformat()[:15])
    (request_id,) = db.session.scalars(select(Cancellation.id))
    db.session.commit()
    wanted = [f"/cancellations/answer?answer={answer}&id={request_id}&back=/" for answer in ("approve", "reject")]
    assert [link["href"] for link in answers.select("a.btn")] == wanted, "a recall has a page, and no answer"
    assert due.select_one(f"a.btn[href='/orders/ship?order={urgent.id}&back=/']") is not None
    assert page(viewer_client, "/").select("table.deadlines a.btn") == []
    for link in home.select("article:has(h3:-soup-contains('To ship')) a")[::2]:
        listed = page(admin_client, f"{link['href']}&per_page=50").select_one(".grid-count").text
        assert listed.split()[0] == link.strong.text, f"{link.text} on Today leads to {listed}"
    banner = home.select_one(".alert, .banner")
    assert "2 deadlines pass within the hour" in home.text
    assert urgent.number in home.text
    assert banner is not None

    board = page(admin_client, "/deadlines/")
    assert [tab.text.split()[-1] for tab in board.select(".page-tabs a")] == ["13", "0", "2", "1", "1", "0", "1"]
    assert board.select_one(".page-tabs a[aria-current]").text.startswith("Ship within 24 hours")
    assert numbers(board.select("table.deadlines tbody tr"))[0] == urgent.number
    overdue = page(admin_client, "/deadlines/?state=overdue")
    assert numbers(overdue.select("table.deadlines tbody tr")) == [guessed.number, late.number]
    assert "estimated" in overdue.select_one("table.deadlines tbody tr").text
    found = page(admin_client, f"/deadlines/?ids=4035000000000000001+{late.number}%0Anobody")
    assert [tab.text.split()[-1] for tab in found.select(".page-tabs a")] == ["0", "0", "1", "1", "0", "0", "0"]
    assert "Nothing is pending for 1 of the ids: nobody" in " ".join(found.main.text.split())
    assert page(admin_client, f"/deadlines/?account={account.id}&page=9&state=ship").select("table.deadlines tbody tr")
    for odd in ("?state=%3Cb%3E&page=-1&account=x", "?page=99999999&account=999999999999", "?ids=%3Cscript%3E%27%22%00", "?ids=" + "9," * 3000):
        page(admin_client, f"/deadlines/{odd}")
    part = admin_client.get("/deadlines/?state=ship", headers={"HX-Request": "true"})
    assert "<html" not in part.text
    assert urgent.number in part.text

    def grid(query: str) -> set[str]:
        rows = page(admin_client, f"/orders/?per_page=100&cols=number,ship_by_at,cancel_by_at&{query}").select("tbody tr")
        return {link.text.strip() for row in rows for link in row.select("a") if link.text.strip().isdigit() and len(link.text.strip()) > 15}

    assert grid("due=late") == {late.number}
    assert grid("due=ship4") == {urgent.number, *(one.number for one in today[:11])}
    assert grid("due=late&due=ship24") == {late.number, urgent.number, *(one.number for one in today)}
    assert grid("due=cancel72") == set()
    assert "Auto-cancel on" in page(admin_client, "/orders/?cols=number,cancel_by_at&sort=cancel_by_at").thead.text


@pytest.mark.sqlite_only
def test_one_account_is_named_nowhere_until_somebody_asks_for_its_column(account: Account, admin_client: FlaskClient) -> None:
    order(account, ship_by_at=connections.shop_now(account) - timedelta(minutes=1))

    def named(address: str) -> tuple[bool, bool]:
        """Whether a page has the column of the account, and the choice between accounts."""
        shown = page(admin_client, address)
        return any("Account" in head.text for head in shown.select("main thead th")), shown.select_one("select[name=account]") is not None

    addresses = ("/orders/", "/deadlines/?state=overdue")
    assert [named(each) for each in addresses] == [(False, False)] * 2
    assert named("/orders/?cols=number,account") == (True, False)
    box = page(admin_client, "/orders/").select_one("input[name=columns][value=account]")
    assert not box.has_attr("checked")
    with unit_of_work() as session:
        session.add(Account(title="Second", environment=SANDBOX, country="US"))
    assert [named(each) for each in addresses] == [(True, True)] * 2


def test_a250_the_go_live_page_is_checked_by_a_button_and_read_by_everybody(account: Account, admin_client: FlaskClient, viewer_client: FlaskClient) -> None:
    with unit_of_work() as session:
        live = Account(title="Live", environment="production", country="US", active=False)
        session.add(live)
    assert "has not been gone through yet" in page(viewer_client, f"/accounts/{live.id}/go-live").main.text
    shown = page(admin_client, f"/accounts/{live.id}/go-live")
    token = shown.select_one("main input[name=csrf_token]")["value"]
    assert viewer_client.post(f"/accounts/{live.id}/go-live", data={"csrf_token": token}).status_code in (400, 403)
    assert admin_client.post(f"/accounts/{live.id}/go-live", data={"csrf_token": token}).status_code == 303
    checked = page(admin_client, f"/accounts/{live.id}/go-live")
    assert "administrator@example.test" in checked.main.text
    points = checked.select(".decision li")
    assert len(points) >= 12
    authorisation = next(point for point in points if point.strong.text == "Authorisation")
    assert authorisation.a["href"] == f"/accounts/{live.id}"
    assert "What to do:" in authorisation.text
    refused = admin_client.post(f"/accounts/{live.id}/active", data={"csrf_token": token, "active": "1"}, follow_redirects=True)
    assert "cannot go live yet" in refused.text
    assert "points open" in page(viewer_client, f"/accounts/{live.id}/go-live").main.text

"""A buyer's request answered through the pages, against the practice marketplace and store (A213-A220): imported, read, accepted, rejected, offered a part."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask.testing import FlaskClient
from sqlalchemy import delete, select
from werkzeug.test import TestResponse

from connector.core.db import db, unit_of_work
from connector.domain.picture import thumbnail
from connector.models.account import Account
from connector.models.aftersales import GOODS_RECEIVED, MEMO_DONE, MEMO_FAILED, MEMO_WAITING, CreditMemo, Return
from connector.models.run import JobRun
from connector.models.trace import Event
from connector.practice.magento.pictures import picture
from connector.services import return_pictures
from tests.factories.creation import Store, complete
from tests.factories.returning import delivered, memos
from tests.factories.shop import Market
from tests.web.walking import csrf_of

AGREED = "seller_reject_apply_you_have_reached_an_agreement_with_the_buyer"


@pytest.fixture
def account(connected_account: Account) -> Account:
    return complete(connected_account)


@pytest.fixture
def market(practice_tiktok: Any) -> Market:
    return Market(practice_tiktok.url)


@pytest.fixture
def store(practice_magento: Any) -> Store:
    return Store(practice_magento.url)


class Desk:
    """The pages as a person uses them without JavaScript."""

    def __init__(self, client: FlaskClient, work_off: Callable[..., int]) -> None:
        self.client, self.work_off = client, work_off
        self.csrf = csrf_of(client)

    def see(self, address: str) -> BeautifulSoup:
        answer = self.client.get(address)
        assert answer.status_code == 200, (address, answer.text[:1500])
        return BeautifulSoup(answer.text, "html.parser")

    def send(self, address: str, **form: Any) -> TestResponse:
        return self.client.post(address, data={"csrf_token": self.csrf, **form})

    def run_of(self, answer: TestResponse) -> BeautifulSoup:
        """The page of the run that was started, once it has ended."""
        assert answer.status_code == 303, answer.text[:1500]
        self.work_off()
        return self.see(answer.headers["Location"])


def _row(return_id: str) -> Return:
    """The return as the database has it now, for looking at only."""
    db.session.expire_all()
    found = db.session.scalars(select(Return).where(Return.return_id == return_id)).one()
    db.session.expunge(found)
    db.session.commit()
    return found


def test_a_refund_is_imported_looked_at_accepted_and_credited(
    account: Account, operator_client: FlaskClient, work_off: Callable[..., int], market: Market, store: Store
) -> None:
    order = delivered(market, account, ("TEE-BLA-M", 2), store=store)
    asked = market.post(f"orders/{order.number}/return", type="REFUND", note="The seam is <i>open</i>.", pictures=2)["returns"][-1]
    desk = Desk(operator_client, work_off)
    assert "No return waits for you" in desk.see("/returns/").text
    desk.run_of(desk.send("/returns/import"))
    row = _row(asked["return_id"])

    line = desk.see("/returns/").select_one("tbody tr[data-row]")
    assert line.select_one("a[data-open]").text == row.return_id
    assert "RETURN_OR_REFUND_REQUEST_PENDING" in line.text
    assert line.select_one("time[data-countdown]") is not None
    page = desk.see(f"/returns/{row.id}")
    live = page.select_one("#return")
    assert live["hx-trigger"].startswith("orders:changed"), "an open page follows what happens to the return"
    asked_before = market.get("calls")["operations"]
    with_answers = desk.see(live["hx-get"])
    assert [link["href"] for link in with_answers.select("#return a[href*='decision=']")] == [
        link["href"] for link in page.select("#return a[href*='decision=']")
    ]
    assert market.get("calls")["operations"] == asked_before, "and costs TikTok nothing while nothing changes"
    assert page.select_one("blockquote").text == "The seam is <i>open</i>."
    pictures = [image["src"] for image in page.select(".talk img")]
    assert len(pictures) == 2
    for address in pictures:
        answer = desk.client.get(address)
        assert (answer.mimetype, answer.data[8:12]) == ("image/webp", b"WEBP")
        assert answer.headers["Cache-Control"].startswith("private, ")

    chosen = desk.send("/returns/bulk", action="accept", scope="ids", ids=str(row.id))
    confirm = desk.see(chosen.headers["Location"])
    words = confirm.select_one("form[action='/returns/answer']").text
    for part in (row.return_id, order.number, "Accept refund", "2 ×", f"{row.amount:.2f}", "credit memo"):
        assert part in words, (part, words)
    run = desk.run_of(desk.send("/returns/answer", kind="accept", decision="", ids=str(row.id)))
    assert row.return_id in run.text
    assert market.get(f"returns/{row.return_id}")["return_status"] == "RETURN_OR_REFUND_REQUEST_SUCCESS"

    work_off()
    (memo,) = memos(order)
    assert memo.state == MEMO_DONE, memo.failure_message
    assert memo.memo_id in desk.see("/returns/?tab=all").select_one("tbody tr[data-row]").text
    assert memo.memo_id in desk.see(f"/returns/{row.id}").select_one("#magento").text
    assert row.return_id in desk.see(f"/orders/{order.id}").text
    left_out = desk.see(f"/returns/answer?kind=reject&ids={row.id}")
    assert left_out.select_one("form[action='/returns/answer']") is None
    assert row.return_id in left_out.select_one("td.remarks").text
    _a_failed_credit_memo_is_tried_again(desk, row, memo)
    _raw_data_hides_the_buyer_until_asked(desk, row)


def _a_failed_credit_memo_is_tried_again(desk: Desk, row: Return, memo: CreditMemo) -> None:
    with unit_of_work() as session:
        kept = session.get_one(CreditMemo, memo.id)
        kept.state, kept.failure_code, kept.failure_message, kept.failure_remedy = MEMO_FAILED, "mag.refund", "Magento was away.", "Try again."
    assert "Magento was away." in desk.see(f"/returns/{row.id}").select_one("#magento").text
    desk.send(f"/returns/{row.id}/credit-memo")
    desk.work_off()
    db.session.expire_all()
    assert db.session.get_one(CreditMemo, memo.id).state == MEMO_DONE
    with unit_of_work() as session:
        facts = {"account_id": memo.account_id, "order_id": memo.order_id, "direction": "from_magento", "currency": "GBP", "amount": Decimal(1)}
        stuck = CreditMemo(key="memo:999", memo_id="999", state=MEMO_FAILED, failure_message="TikTok refused it.", failure_remedy="Try again.", **facts)
        recall = CreditMemo(key="recall", state=MEMO_FAILED, failure_message="Magento refused it.", **facts)
        session.add_all([stuck, recall])
    others = desk.see(f"/orders/{memo.order_id}").select_one("#refunds")
    assert "TikTok refused it." in others.text and "Magento refused it." in others.text, "a refund that belongs to no return is seen on the order's page"
    (link,) = [link for link in desk.see("/").select("main a") if "with a refund not carried over" in link.text]
    assert (link.strong.text, len(desk.see(link["href"]).select("tbody tr[data-row]"))) == ("1", 1), "Today's number leads to what it counts"
    assert [form["action"] for form in others.select("form")] == [f"/returns/memos/{stuck.id}/retry"]
    assert desk.send(f"/returns/memos/{stuck.id}/retry").headers["Location"].endswith(f"/orders/{memo.order_id}#refunds")
    assert desk.send("/returns/memos/999999/retry").status_code == 404
    db.session.expire_all()
    assert db.session.get_one(CreditMemo, stuck.id).state == MEMO_WAITING
    desk.send(f"/returns/memos/{recall.id}/retry")
    db.session.expire_all()
    assert db.session.get_one(CreditMemo, recall.id).state == MEMO_FAILED, "the recall desk writes its own"
    with unit_of_work() as session:
        session.execute(delete(CreditMemo).where(CreditMemo.id.in_([stuck.id, recall.id])))


def _raw_data_hides_the_buyer_until_asked(desk: Desk, row: Return) -> None:
    assert row.return_id in desk.see(f"/returns/{row.id}/data").text
    assert "Show buyer data" not in desk.see(f"/returns/{row.id}/data?reveal=1").select_one("main").text
    assert db.session.scalar(select(Event.id).where(Event.kind == "return.revealed", Event.subject_id == str(row.id)))
    db.session.commit()


def test_rejecting_asks_for_tiktoks_reason_and_a_part_is_offered_and_goods_come_back(
    account: Account, operator_client: FlaskClient, work_off: Callable[..., int], market: Market
) -> None:
    orders = [delivered(market, account, ("TEE-BLA-M", 2), tracking=f"RM00000000{number}GB") for number in range(1, 4)]
    kinds = ("REFUND", "REFUND", "RETURN_AND_REFUND")
    ids = [market.post(f"orders/{order.number}/return", type=kind)["returns"][-1]["return_id"] for order, kind in zip(orders, kinds, strict=True)]
    desk = Desk(operator_client, work_off)
    desk.run_of(desk.send("/returns/import"))
    rejected, offered, sent = (_row(each) for each in ids)

    page = desk.see(f"/returns/answer?kind=reject&ids={rejected.id}")
    reasons = [box["value"] for box in page.select("input[type=radio]")]
    assert AGREED in reasons
    refused = desk.send("/returns/answer", kind="reject", ids=str(rejected.id))
    assert refused.status_code == 422
    assert "Choose a reason." in refused.text
    wrong = {"reason-1": AGREED, "pictures": (io.BytesIO(b"no picture"), "notes.txt")}
    refused = desk.send("/returns/answer", kind="reject", ids=str(rejected.id), **wrong)
    assert refused.status_code == 422
    assert "notes.txt cannot be sent" in refused.text
    shot = (io.BytesIO(picture("default.png").content), "shelf.png")
    desk.run_of(desk.send("/returns/answer", kind="reject", ids=str(rejected.id), **{"reason-1": AGREED, "comment-1": "As agreed by chat", "pictures": shot}))
    there = market.get(f"returns/{rejected.return_id}")
    assert there["return_status"] == "REFUND_OR_RETURN_REQUEST_REJECT"
    assert there["records"][-1]["note"] == "As agreed by chat"
    assert len(there["records"][-1]["_pictures"]) == 1
    assert desk.see(f"/returns/{rejected.id}").select_one(".talk-seller img") is not None

    offer = {"kind": "accept", "decision": "OFFER_PARTIAL_REFUND", "ids": str(offered.id)}
    for amount in ("", "abc", "0", "9999", f"{offered.amount:f}"):
        answer = desk.send("/returns/answer", **offer, **{f"amount-{offered.id}": amount})
        assert answer.status_code == 422, amount
        assert f"below {offered.amount:f}" in answer.text
    desk.run_of(desk.send("/returns/answer", **offer, **{f"amount-{offered.id}": "3.50"}))
    assert market.get(f"returns/{offered.return_id}")["partial_refund"]["amount"] == "3.50"
    assert offered.return_id in desk.see("/returns/?tab=buyer").text

    desk.run_of(desk.send("/returns/answer", kind="accept", decision="APPROVE_RETURN", ids=str(sent.id)))
    market.post(f"returns/{sent.return_id}/ship", tracking_number="BACK0001GB")
    desk.run_of(desk.send("/returns/import"))
    assert "BACK0001GB" in desk.see("/returns/?q=BACK0001GB&cols=return_id,tracking_number").select_one("tbody tr[data-row]").text
    desk.send(f"/returns/{sent.id}/goods", what="received", sellable="1", note="Unworn")
    assert _row(sent.return_id).goods == GOODS_RECEIVED
    assert "Received" in desk.see(f"/returns/{sent.id}").select_one("#goods").text
    assert "Accept received goods" in desk.see(f"/returns/{sent.id}").text


def test_a_viewer_looks_and_finds_nothing_that_writes_and_tiktok_away_shows_what_was_read(
    account: Account, viewer_client: FlaskClient, operator_client: FlaskClient, work_off: Callable[..., int], market: Market
) -> None:
    order = delivered(market, account, ("TEE-BLA-M", 1))
    return_id = market.post(f"orders/{order.number}/return", type="REFUND", note="Too small")["returns"][-1]["return_id"]
    Desk(operator_client, work_off).run_of(Desk(operator_client, work_off).send("/returns/import"))
    row = _row(return_id)
    page = Desk(viewer_client, work_off).see(f"/returns/{row.id}")
    assert "Too small" in page.text
    assert not page.select_one("main").select("form")
    assert not page.select("a[href*='/returns/answer']")
    assert not Desk(viewer_client, work_off).see("/returns/").select("form[action='/returns/import']")
    assert viewer_client.get(f"/returns/answer?kind=accept&ids={row.id}").status_code == 403
    market.post("faults", kind="server_error", operation="returns.records", times=9)
    with unit_of_work():
        db.session.get_one(Return, row.id).records_read_at = None
    assert "what was read last" in Desk(operator_client, work_off).see(f"/returns/{row.id}").text
    market.delete("faults")
    for query in ("", "?kind=teleport&ids=1", "?kind=accept&ids=", "?kind=accept&ids=x"):
        assert operator_client.get(f"/returns/answer{query}").headers["Location"] == "/returns/"
    assert "None of the chosen returns is there any more." in Desk(operator_client, work_off).see("/returns/answer?kind=accept&ids=999999").text
    assert operator_client.get("/returns/999999").status_code == 404
    assert db.session.scalar(select(JobRun.id).where(JobRun.kind == "returns.answer")) is None


@pytest.mark.parametrize(
    "address",
    ["http://pictures.example/1.jpg", "https://127.0.0.1/1.jpg", "https://[::1]/1.jpg", "https://localhost/1.jpg", "https://pictures.example:8443/1.jpg", "file:///etc/passwd", ""],
)  # fmt: skip
def test_a_picture_of_the_own_network_is_never_fetched(address: str) -> None:
    assert not return_pictures.allowed(address)


def test_a_picture_is_drawn_anew_and_what_is_none_is_refused() -> None:
    found = thumbnail(picture("default.png").content, return_pictures.SIDE)
    assert re.match(rb"RIFF....WEBP", found or b"", re.DOTALL)
    assert thumbnail(b"<svg onload=alert(1)>", return_pictures.SIDE) is None

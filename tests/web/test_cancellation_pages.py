"""The cancellation desk, the recalls and the hold-hour board as people use them (A245, A246, A259-A264, A271)."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup
from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.models.order import Cancellation, Order
from connector.models.run import JobRun
from connector.practice.serve import PracticeServer
from connector.services import cancellations
from connector.services.orders import push
from tests.factories import shop
from tests.factories.parcels import parcel, place, take_in
from tests.web.walking import csrf_of

HTMX = {"HX-Request": "true"}


@pytest.fixture
def market(practice_tiktok: PracticeServer) -> shop.Market:
    return shop.Market(practice_tiktok.url)


@pytest.fixture
def account(connected_account):
    return connected_account


def asked(market, account, *, lines=(("MUG-01", 1),)) -> tuple[Order, Cancellation]:
    order = place(market, account, *lines)
    market.post(f"orders/{order.number}/cancel", by="BUYER")
    cancellations.import_account(account.id)
    db.session.expire_all()
    request = db.session.scalars(select(Cancellation).where(Cancellation.order_id == order.id)).one()
    db.session.commit()
    return order, request


def test_requests_are_found_by_deadline_and_answered_from_the_confirm_page(account, market, operator_client, viewer_client):
    """Single and bulk, a reason for each order; the viewer sees and may not answer."""
    first, one = asked(market, account)
    second, other = asked(market, account, lines=(("TEE-BLA-S", 2),))
    gone, third = asked(market, account)
    market.post(f"orders/{gone.number}/withdraw")
    cancellations.import_account(account.id)
    grid = operator_client.get("/cancellations/").text
    assert one.cancel_id in grid
    assert third.cancel_id not in grid, "the first tab holds what waits for an answer"
    assert "h left" in grid
    assert re.search(r"2 units, [\d.]+\sGBP", grid)
    assert "Closed without our answer" in operator_client.get("/cancellations/?tab=other").text
    assert operator_client.get("/cancellations/", headers=HTMX).text.count("<h1>") == 0
    bulk = operator_client.post(
        "/cancellations/bulk", data={"csrf_token": csrf_of(operator_client), "action": "reject", "scope": "ids", "ids": [one.id, other.id]}
    )
    assert bulk.status_code == 303
    page = operator_client.get(bulk.location)
    assert page.text.count("Will be done") == 2
    names = re.findall(r'<option value="([^"]+)">', page.text)
    assert "seller_reject_apply_product_has_been_packed" in names
    form = {"csrf_token": csrf_of(operator_client), "answer": "reject", "id": [one.id, other.id], "comment": "It is packed."}
    refused = operator_client.post("/cancellations/answer", data={**form, f"reason-{one.id}": names[0]})
    assert refused.status_code == 422
    assert "Choose a reason" in refused.text
    sent = operator_client.post("/cancellations/answer", data={**form, f"reason-{one.id}": names[0], "reason": names[1]})
    assert sent.status_code == 303
    run = db.session.scalars(select(JobRun).where(JobRun.kind == "cancellations.answer")).one()
    assert f"/queue/runs/{run.id}" in sent.location
    assert shop.carry_out(run.id).done == 2
    db.session.expire_all()
    assert [db.session.get_one(Cancellation, each.id).answer_reason for each in (one, other)] == [names[0], names[1]]
    db.session.commit()
    assert "Rejected by operator@example.test" in operator_client.get("/cancellations/?tab=rejected").text
    for order, request in ((first, one), (second, other)):
        assert request.cancel_id in operator_client.get(f"/orders/{order.id}").text
        shown = operator_client.get(f"/cancellations/{request.id}").text
        assert request.reason in shown
        assert "was rejected" in shown, "the order's timeline"
        assert "Answer cancellation requests, for operator@example.test" in shown and f'href="/queue/runs/{run.id}"' in shown, "who did it, in words"
        assert "job cancellations.answer" not in shown and "Times in" in shown
    assert viewer_client.get("/cancellations/").status_code == 200
    assert viewer_client.get(f"/cancellations/answer?id={one.id}").status_code == 403
    assert "answer?answer=approve" not in viewer_client.get(f"/cancellations/{one.id}").text


def test_accepting_says_for_each_order_what_happens_in_the_store_and_leaves_shipped_ones_out(account, market, operator_client):
    order, request = asked(market, account)
    _, shipped = asked(market, account)
    parcel(db.session.get_one(Order, shipped.order_id), "RM000000001GB")
    order_page = operator_client.get(f"/orders/{order.id}").text
    assert f"/cancellations/answer?answer=approve&amp;id={request.id}" in order_page
    address = f"/cancellations/answer?answer=approve&id={request.id}&id={shipped.id}"
    many = BeautifulSoup(operator_client.get(f"{address}&chosen=250&back=/").text, "html.parser").main
    assert "250 requests were chosen" in many.text and "the 248 others stay as they are" in many.text
    assert [many.select_one(f"input[name={name}]")["value"] for name in ("chosen", "back")] == ["250", "/"]
    page = operator_client.get(address).text
    assert "not in the store" in page
    assert "RM000000001GB" in page
    assert "Accept (1)" in page
    form = {"csrf_token": csrf_of(operator_client), "answer": "approve", "id": [request.id, shipped.id]}
    assert operator_client.post("/cancellations/answer", data={**form, "back": "/"}).location == "/"
    shop.carry_out(db.session.scalars(select(JobRun.id).where(JobRun.kind == "cancellations.answer")).one())
    assert market.order(order.number)["status"] == "CANCELLED"
    assert "Accepted by operator@example.test" in operator_client.get("/cancellations/?tab=accepted").text


def test_a_status_and_a_reason_that_nobody_knows_are_shown_as_they_came(account, market, operator_client):
    order, request = asked(market, account)
    with unit_of_work() as session:
        row = session.get_one(Cancellation, request.id)
        row.remote_status, row.role, row.cancel_type, row.reason, row.reason_text, row.data = (
            "CANCELLATION_REQUEST_ODD",
            "ROBOT",
            "ODD_CANCEL",
            "odd_reason",
            "",
            {"refund_amount": {"refund_total": "12345.6", "currency": "GBP"}},
        )
        session.get_one(Order, order.id).remote_status = "ODD_STAGE"
    for path in (
        "/cancellations/?tab=all",
        "/cancellations/?tab=other",
        f"/cancellations/{request.id}",
        f"/orders/{order.id}",
        "/cancellations/export.csv?tab=all",
    ):
        answer = operator_client.get(path)
        assert answer.status_code == 200, path
        assert "CANCELLATION_REQUEST_ODD" in answer.text, path
        assert "12,345.60" in answer.text or not path.startswith(("/cancellations/?", f"/cancellations/{request.id}")), path
    assert "odd_reason" in operator_client.get("/cancellations/?tab=all&status=other").text


def test_a_recall_is_moved_by_hand_and_a_wrong_number_of_units_is_refused(account, market, operator_client):
    """A264."""
    order = place(market, account, ("MUG-01", 2))
    push.push(parcel(order, "RM000000001GB", origin="form"))
    take_in(account, order.number)
    market.post(f"orders/{order.number}/cancel", by="SYSTEM")
    take_in(account, order.number)
    assert "cancel after shipped" in operator_client.get(f"/orders/{order.id}").text
    grid = operator_client.get("/cancellations/recalls").text
    assert order.number in grid
    (path,) = set(re.findall(r"/cancellations/recalls/\d+", operator_client.get(f"/orders/{order.id}").text))
    assert "Received" in operator_client.get(path).text
    move = {"csrf_token": csrf_of(operator_client)}
    operator_client.post(f"{path}/move", data={**move, "to": "returning"})
    for typed in ("3", "many"):
        refused = operator_client.post(f"{path}/move", data={**move, "to": "received", "units-0": typed})
        assert refused.status_code == 422
        assert "Nothing was changed" in refused.text
    operator_client.post(f"{path}/move", data={**move, "to": "received", "units-0": "1", "note": "One is broken."})
    shown = operator_client.get(path).text
    assert "1 back on the shelf" in shown
    assert "One is broken." in shown
    assert "settled" in shown
    assert operator_client.get("/cancellations/recalls/99").status_code == 303


def test_the_hold_board_counts_down_and_says_what_is_reserved_and_what_comes_then(account, market, operator_client):
    held = place(market, account, ("MUG-01", 3), release=False)
    other = place(market, account, ("TEE-BLA-S", 1))
    page = operator_client.get("/holds/").text
    assert held.number in page
    assert other.number not in page
    assert "3 × MUG-01" in page
    assert "Created in the store" in page
    seconds = int(re.search(r'data-countdown="(\d+)"', page)[1])
    assert 3000 < seconds <= 3600
    assert re.search(r"<time datetime=", page), "the instant itself, for those without a script"
    assert ">3</strong> units" in operator_client.get("/holds/totals").text
    shop.change_policy(account, create_in_magento=False)
    assert "Stored; the policy" in operator_client.get("/holds/").text
    market.post(f"orders/{held.number}/cancel", by="BUYER")
    take_in(account, held.number)
    assert "No order is on hold" in operator_client.get("/holds/").text

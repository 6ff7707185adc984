"""Refunds between TikTok and Magento, in both directions, to the cent and to the unit (product.md 9; MAG §4.6.3)."""

from __future__ import annotations

from decimal import Decimal

import pytest
import requests
from sqlalchemy import select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.aftersales import MEMO_DONE, MEMO_FAILED, MEMO_IGNORED, MEMO_SENDING, MEMO_WAITING, CreditMemo
from connector.models.oms import OmsUpdate
from connector.models.order import Order
from connector.models.run import JobRun
from connector.services import returns
from connector.services.oms import updates
from connector.services.orders import create, push
from connector.services.returns import credit_memos, owed, planning
from connector.services.returns.terms import words
from tests.factories import shop
from tests.factories.parcels import Store, in_magento, parcel, take_in
from tests.factories.racing import start
from tests.factories.returning import again, ask, delivered, imported, in_store, memos, physical, salable

pytestmark = pytest.mark.postgres

WHO = "operator@example.test"


@pytest.fixture
def store(practice_magento) -> Store:
    return Store(practice_magento.url)


def run_memos(account) -> None:
    """What the schedule does, with everything due now."""
    with unit_of_work() as session:
        session.execute(update(CreditMemo).values(retry_at=None))
    assert shop.perform("returns.memos", account.id).state == "succeeded"


def test_an_accepted_refund_becomes_one_memo_of_the_same_amount_without_goods(connected_account, market, store):
    order = delivered(market, connected_account, ("CAP-01", 2), ("MUG-01", 1), store=store)
    shelf = physical(store, "CAP-01")
    row = ask(market, connected_account, order, "REFUND", 1)
    (seen,) = returns.preview([row.id], "accept")
    assert f"A credit memo of {row.amount:.2f} GBP" in seen.memo and "no goods" in seen.memo
    returns.answer_one(row.id, "accept", actor=WHO)
    for _ in range(2):
        run_memos(connected_account)
    (memo,) = in_store(order)
    assert Decimal(str(memo["grand_total"])).quantize(Decimal("0.01")) == row.amount
    assert [(item["sku"], item["qty"]) for item in memo["items"]] == [("CAP-01", 1)]
    (kept,) = memos(order)
    assert (kept.state, kept.memo_id, kept.return_to_stock) == (MEMO_DONE, str(memo["entity_id"]), [])
    assert physical(store, "CAP-01") == shelf
    market.post(f"returns/{row.return_id}/refund")
    imported(connected_account, row.return_id)
    run_memos(connected_account)
    assert len(in_store(order)) == 1, "paid is not another refund than granted"


def test_goods_that_were_accepted_go_back_into_stock_with_the_memo_once(connected_account, market, store):
    before = salable(store, "CAP-01"), physical(store, "CAP-01")
    order = delivered(market, connected_account, ("CAP-01", 2), store=store)
    assert physical(store, "CAP-01") == before[1] - 2
    row = ask(market, connected_account, order, "RETURN_AND_REFUND")
    returns.answer_one(row.id, "accept", actor=WHO)
    run_memos(connected_account)
    assert memos(order) == [], "nothing is refunded before TikTok does"
    market.post(f"returns/{row.return_id}/ship")
    market.post(f"returns/{row.return_id}/arrive")
    returns.answer_one(row.id, "accept", actor=WHO)
    for _ in range(3):
        run_memos(connected_account)
    (memo,) = in_store(order)
    assert abs(Decimal(str(memo["grand_total"])) - row.amount) < Decimal("0.005")
    assert (salable(store, "CAP-01"), physical(store, "CAP-01")) == before
    assert again(row).restocked_at is not None
    assert [one.key for one in memos(order)] == [f"return:{row.return_id}"]
    assert store.order(order)["state"] == "closed", "everything was refunded, shipping too"
    assert "before" in returns.goods.received(row.id, sellable=True, actor=WHO)
    with pytest.raises(DomainError, match="went back into stock"):
        returns.goods.lost(row.id, actor=WHO)


def test_goods_that_a_person_receives_after_the_money_are_put_back_once_without_a_second_refund(connected_account, market, store):
    before = physical(store, "CAP-01")
    order = delivered(market, connected_account, ("CAP-01", 2), store=store)
    row = ask(market, connected_account, order, "RETURN_AND_REFUND")
    returns.answer_one(row.id, "accept", actor=WHO)
    market.post(f"returns/{row.return_id}/ship")
    market.post("settings", rotate_refresh_token=False)  # the account is put back for later tests as it was
    market.post("clock", advance_seconds=5 * 86400)
    row = imported(connected_account, row.return_id)
    run_memos(connected_account)
    assert (len(in_store(order)), physical(store, "CAP-01"), again(row).goods) == (1, before - 2, "ask")
    came = {"type": "goods_received", "order_id": order.number, "return_id": row.return_id}
    entries = [{**came, "id": "scan-1"}, {**came, "id": "scan-2"}, {**came, "id": "wrong", "return_id": "404"}]
    updates.receive(connected_account.id, "event", [*entries, entries[0]])  # the warehouse says it twice, and of a return that is none
    assert shop.perform("oms.apply", connected_account.id).done == 2
    told = {one.event_id: (one.state, one.message) for one in db.session.scalars(select(OmsUpdate))}
    db.session.commit()
    assert (again(row).goods, told["scan-1"][0], told["scan-2"][0], told["wrong"][0]) == ("received", "done", "ignored", "failed")
    assert "has no return 404" in told["wrong"][1]
    store.post("faults", kind="lost_answer", match={"method": "POST", "path": "/source-items$"}, times=1)
    for _ in range(3):
        run_memos(connected_account)
    assert (len(in_store(order)), physical(store, "CAP-01")) == (1, before)
    assert [(one.key, one.state) for one in memos(order)] == [(f"return:{row.return_id}", MEMO_DONE), (f"restock:{row.return_id}", MEMO_DONE)]
    assert again(row).restocked_at is not None

    other = delivered(market, connected_account, ("CAP-01", 1), store=store, tracking="RM000000002GB")
    broken = ask(market, connected_account, other, "RETURN_AND_REFUND")
    returns.answer_one(broken.id, "accept", actor=WHO)
    market.post(f"returns/{broken.return_id}/ship")
    market.post("clock", advance_seconds=5 * 86400)
    imported(connected_account, broken.return_id)
    assert "cannot be sold" in returns.goods.received(broken.id, sellable=False, actor=WHO, note="Stained")
    run_memos(connected_account)
    assert physical(store, "CAP-01") == before - 1

    asked = delivered(market, connected_account, ("CAP-01", 1), store=store, tracking="RM000000003GB")
    last = ask(market, connected_account, asked, "RETURN_AND_REFUND")
    returns.answer_one(last.id, "accept", actor=WHO)
    market.post(f"returns/{last.return_id}/ship")
    imported(connected_account, last.return_id)
    store.post(f"orders/{asked.magento_id}/refund", items=[{"sku": "CAP-01", "qty": 1}], return_to_stock=True)
    market.post("clock", advance_seconds=5 * 86400)
    imported(connected_account, last.return_id)
    returns.goods.received(last.id, sellable=True, actor=WHO)
    run_memos(connected_account)
    assert physical(store, "CAP-01") == before - 1, "the merchant's memo has put it back already"
    run_memos(connected_account)
    told = next(memo for memo in memos(asked) if memo.key.startswith("restock:"))
    assert told.state == MEMO_FAILED and "may have put them into stock" in told.failure_message


def test_a_partial_refund_is_money_only_and_the_units_stay_sold(connected_account, market, store):
    order = delivered(market, connected_account, ("CAP-01", 1), store=store)
    row = ask(market, connected_account, order)
    returns.answer_one(row.id, "accept", decision="OFFER_PARTIAL_REFUND", amount=Decimal("3.33"), actor=WHO)
    market.post(f"returns/{row.return_id}/accept")
    row = imported(connected_account, row.return_id)
    run_memos(connected_account)
    (memo,) = in_store(order)
    assert abs(Decimal(str(memo["grand_total"])) - Decimal("3.33")) < Decimal("0.005")
    assert store.order(order)["items"][0]["qty_refunded"] == 0
    assert memos(order)[0].amount == Decimal("3.33")


def test_a_writer_that_was_believed_dead_writes_nothing_and_goods_are_back_once(app, connected_account, market, store):
    shelf = physical(store, "CAP-01")
    order = delivered(market, connected_account, ("CAP-01", 2), store=store)
    row = ask(market, connected_account, order, "RETURN_AND_REFUND", 1)
    returns.answer_one(row.id, "accept", actor=WHO)
    market.post(f"returns/{row.return_id}/ship")
    returns.answer_one(row.id, "accept", actor=WHO)
    owed.prepare(connected_account.id)
    (memo,) = memos(order)
    memo_id = memo.id
    with store.held(match={"method": "GET", "path": f"/orders/{order.magento_id}$"}) as there:
        believed_dead = start(app, lambda: credit_memos.write_one(memo_id))
        there()
        assert credit_memos.write_one(memo_id) == MEMO_SENDING, "somebody has it"
        with unit_of_work() as session:
            session.execute(update(CreditMemo).values(retry_at=None))  # as if its lease were over
        assert credit_memos.write_one(memo_id) == MEMO_DONE
    believed_dead.result()
    assert (len(in_store(order)), physical(store, "CAP-01")) == (1, shelf - 1)
    assert memos(order)[0].state == MEMO_DONE and again(row).restocked_at is not None


@pytest.mark.sqlite_only
def test_money_alone_that_the_merchant_gives_before_shipping_is_told_with_its_remedy(connected_account, market, store):
    shop.change_policy(connected_account, refund_from_magento=True)
    order = in_magento(market, connected_account, ("CAP-01", 1))
    merchants_memo(store, order, 0, adjustment_positive=1.0)
    run_memos(connected_account)
    (memo,) = memos(order)
    assert (memo.state, memo.failure_code) == (MEMO_FAILED, "memo.money_only") and "when the order is delivered" in memo.failure_remedy


@pytest.mark.sqlite_only
def test_goods_whose_memo_failed_are_not_brought_back_by_the_memo_as_well(connected_account, market, store):
    shelf = physical(store, "CAP-01")
    order = delivered(market, connected_account, ("CAP-01", 1), store=store)
    row = ask(market, connected_account, order, "RETURN_AND_REFUND")
    returns.answer_one(row.id, "accept", actor=WHO)
    market.post(f"returns/{row.return_id}/ship")
    returns.answer_one(row.id, "accept", actor=WHO)
    owed.prepare(connected_account.id)
    with unit_of_work() as session:
        session.execute(update(CreditMemo).values(state=MEMO_FAILED))
    owed.prepare(connected_account.id)
    credit_memos.retry(memos(order)[0].id, actor=WHO)
    run_memos(connected_account)
    assert [(memo.key.partition(":")[0], memo.state, memo.return_to_stock) for memo in memos(order)] == [("return", MEMO_DONE, []), ("restock", MEMO_DONE, [])]
    assert (len(in_store(order)), physical(store, "CAP-01")) == (1, shelf)


@pytest.mark.sqlite_only
def test_goods_that_come_back_for_less_than_was_paid_are_refunded_units_in_the_orders_own_currency_only(connected_account, market, store):
    shelf = physical(store, "CAP-01")
    order = delivered(market, connected_account, ("CAP-01", 1), store=store)
    row = ask(market, connected_account, order, "RETURN_AND_REFUND", amount="2.00")
    returns.answer_one(row.id, "accept", actor=WHO)
    market.post(f"returns/{row.return_id}/ship")
    imported(connected_account, row.return_id)
    returns.answer_one(row.id, "accept", actor=WHO)
    run_memos(connected_account)
    (memo,) = in_store(order)
    assert abs(Decimal(str(memo["grand_total"])) - Decimal("2.00")) < Decimal("0.005")
    assert store.order(order)["items"][0]["qty_refunded"] == 1 and physical(store, "CAP-01") == shelf
    facts = store.order(order) | {"order_currency_code": "JPY"}
    with pytest.raises(DomainError, match=r"in GBP, but Magento order .* is in JPY"):
        planning.plan_return(row.id, facts)
    assert [words(Decimal(amount), currency) for amount, currency in (("1200.0000", "JPY"), ("2.5", "GBP"), ("1.234", "KWD"))] == [
        "1200 JPY",
        "2.50 GBP",
        "1.234 KWD",
    ]


def test_lost_answers_and_a_killed_writer_leave_one_memo(connected_account, market, store):
    order = delivered(market, connected_account, ("CAP-01", 3), store=store)
    lines = [line["id"] for line in market.order(order.number)["line_items"]]
    one = ask(market, connected_account, order, line_ids=lines[:1])
    store.post("faults", kind="lost_answer", match={"method": "POST", "path": "/refund$"}, times=1)
    returns.answer_one(one.id, "accept", actor=WHO)
    run_memos(connected_account)
    assert len(in_store(order)) == 1 and memos(order)[0].state == MEMO_DONE

    two = ask(market, connected_account, order, line_ids=lines[1:2])
    returns.answer_one(two.id, "accept", actor=WHO)
    store.post("faults", kind="http_500_after", match={"method": "POST", "path": "/refund$"}, times=1)
    store.post("faults", kind="http_500", match={"method": "GET", "path": "/creditmemos"}, times=20)
    credit_memos.write_due(connected_account.id)
    assert memos(order)[1].state == MEMO_SENDING
    assert credit_memos.write_due(connected_account.id)["written"] == 0, "the row is leased: nobody else touches it meanwhile"
    with unit_of_work() as session:
        leased = session.get(CreditMemo, memos(order)[1].id)
        leased.retry_at = over = utcnow() + credit_memos.LEASE
    for _ in range(2):
        credit_memos.again(connected_account.id)
    again_at = select(JobRun.not_before).where(JobRun.kind == "returns.memos", JobRun.not_before.is_not(None))
    assert db.session.scalars(again_at).all() == [over], "a dead writer's row waits for the end of its lease, not for the schedule"
    requests.delete(f"{store.url}/practice/faults", timeout=10).raise_for_status()
    for _ in range(2):
        run_memos(connected_account)
    assert len(in_store(order)) == 2
    assert [memo.state for memo in memos(order)] == [MEMO_DONE, MEMO_DONE]
    assert store.order(order)["items"][0]["qty_refunded"] == 2

    three = ask(market, connected_account, order, line_ids=lines[2:])
    returns.answer_one(three.id, "accept", actor=WHO)
    store.post("faults", kind="transient_400", match={"method": "POST", "path": "/refund$"}, times=2)
    run_memos(connected_account)
    assert memos(order)[2].state == MEMO_SENDING, "Magento could not for a moment"
    with unit_of_work() as session:
        session.execute(update(CreditMemo).where(CreditMemo.id == memos(order)[2].id).values(attempts=credit_memos.MANY))
    run_memos(connected_account)
    assert memos(order)[2].state == MEMO_FAILED and memos(order)[2].failure_remedy, "a moment that does not end is for a person"
    credit_memos.retry(memos(order)[2].id, actor=WHO)
    run_memos(connected_account)
    assert memos(order)[2].state == MEMO_DONE and len(in_store(order)) == 3


def test_an_order_that_is_not_invoiced_waits_and_the_policy_may_forbid_memos(connected_account, market, store):
    shop.change_policy(connected_account, create_invoice=False)
    order = delivered(market, connected_account, ("CAP-01", 1), store=store)
    row = ask(market, connected_account, order)
    returns.answer_one(row.id, "accept", actor=WHO)
    run_memos(connected_account)
    (waiting,) = memos(order)
    assert waiting.state == MEMO_WAITING and "not invoiced" in waiting.failure_message
    store.post(f"orders/{order.magento_id}/invoice", capture=False)
    assert credit_memos.write_due(connected_account.id)["written"] == 0, "it is looked at again in an hour"
    credit_memos.retry(waiting.id, actor=WHO)
    credit_memos.write_due(connected_account.id)
    assert memos(order)[0].state == MEMO_DONE and len(in_store(order)) == 1, "or at once, when a person says so"

    shop.change_policy(connected_account, credit_memos=False)
    other = delivered(market, connected_account, ("MUG-01", 1), store=store, tracking="RM000000002GB")
    row = ask(market, connected_account, other)
    assert "by hand" in returns.preview([row.id], "accept")[0].memo
    returns.answer_one(row.id, "accept", actor=WHO)
    run_memos(connected_account)
    assert [memo.state for memo in memos(other)] == [MEMO_IGNORED] and in_store(other) == []


def test_lines_that_tiktok_cancels_are_taken_off_the_magento_order_with_their_stock(connected_account, market, store):
    before = salable(store, "CAP-01")
    order = in_magento(market, connected_account, ("CAP-01", 3))
    line = market.order(order.number)["line_items"][0]["id"]
    market.post(f"orders/{order.number}/cancel", by="SELLER", line_ids=[line])
    order = take_in(connected_account, order.number)
    assert order.remote_status == "AWAITING_SHIPMENT"
    for _ in range(2):
        run_memos(connected_account)
    assert salable(store, "CAP-01") == [quantity - 2 for quantity in before]
    assert store.order(order)["items"][0]["qty_refunded"] == 1
    assert len(in_store(order)) == 1
    market.post(f"orders/{order.number}/cancel", by="SYSTEM")
    take_in(connected_account, order.number)
    shop.perform("orders.follow", connected_account.id)
    run_memos(connected_account)
    assert salable(store, "CAP-01") == before
    assert store.get("ledger", sku="CAP-01")["balanced"]


def merchants_memo(store: Store, order: Order, quantity: int, **arguments: float) -> None:
    item = store.order(order)["items"][0]["item_id"]
    body = {
        "items": [{"order_item_id": item, "qty": quantity}],
        "arguments": {"shipping_amount": 0, "adjustment_positive": 0, "adjustment_negative": 0, **arguments},
    }
    store.post(f"orders/{order.magento_id}/refund", **body)


def test_a_memo_made_in_magento_is_shown_and_refunds_on_tiktok_only_where_the_policy_says_so(connected_account, market, store):
    order = delivered(market, connected_account, ("CAP-01", 2), store=store)
    merchants_memo(store, order, 1)
    run_memos(connected_account)
    (ignored,) = memos(order)
    assert (ignored.direction, ignored.state) == ("from_magento", MEMO_IGNORED) and "Seller Center" in ignored.failure_message
    assert market.get("returns", order_id=order.number)["total"] == 0

    shop.change_policy(connected_account, refund_from_magento=True)
    other = delivered(market, connected_account, ("CAP-01", 2), store=store, tracking="RM000000002GB")
    merchants_memo(store, other, 1)
    market.post("faults", kind="lost_answer", operation="returns.create", times=1)
    for _ in range(3):
        run_memos(connected_account)
    found = market.get("returns", order_id=other.number)
    assert found["total"] == 1 and found["returns"][0]["role"] == "SELLER"
    assert market.get("calls")["operations"]["returns.create"]["count"] == 1, "what a lost answer may have made is looked up before it is made again"
    (memo,) = memos(other)
    assert memo.state == MEMO_DONE and memo.return_pk
    assert Decimal(found["returns"][0]["refund_amount"]["refund_total"]) == memo.amount.quantize(Decimal("0.01"))
    assert len(in_store(other)) == 1, "a refund that came from Magento is not answered with another memo"


def test_a_memo_that_the_merchant_made_for_the_same_refund_is_taken_for_it_until_a_person_says_otherwise(connected_account, market, store):
    order = delivered(market, connected_account, ("CAP-01", 2), store=store)
    row = ask(market, connected_account, order, "REFUND", 1)
    merchants_memo(store, order, 1)
    by_hand = in_store(order)[0]
    assert abs(Decimal(str(by_hand["grand_total"])) - row.amount) < Decimal("0.005")
    returns.answer_one(row.id, "accept", actor=WHO)
    for _ in range(2):
        run_memos(connected_account)
    assert len(in_store(order)) == 1, "nothing is refunded twice"
    ours = next(memo for memo in memos(order) if memo.direction == "to_magento")
    assert ours.state == MEMO_IGNORED and str(by_hand["entity_id"]) in ours.failure_message
    credit_memos.retry(ours.id, actor=WHO)
    run_memos(connected_account)
    assert len(in_store(order)) == 2
    with pytest.raises(DomainError, match="has not failed"):
        credit_memos.retry(ours.id, actor=WHO)

    shop.change_policy(connected_account, create_invoice=False)
    open_order = in_magento(market, connected_account, ("MUG-01", 1))
    number = open_order.number
    push.push(parcel(open_order, "RM000000005GB"))
    market.post(f"orders/{number}/collect")
    take_in(connected_account, number)
    early = ask(market, connected_account, open_order)
    returns.answer_one(early.id, "accept", actor=WHO)
    run_memos(connected_account)
    (memo,) = memos(open_order)
    assert memo.state == MEMO_DONE and store.order(open_order)["state"] == "canceled", "not invoiced and not shipped in Magento: cancelled instead"


def test_before_shipping_a_merchants_memo_cancels_the_units_and_in_between_it_waits(connected_account, market, store):
    shop.change_policy(connected_account, refund_from_magento=True)
    order = in_magento(market, connected_account, ("CAP-01", 2))
    merchants_memo(store, order, 1)
    run_memos(connected_account)
    assert sorted(line["display_status"] for line in market.order(order.number)["line_items"]) == ["AWAITING_SHIPMENT", "CANCELLED"]
    for _ in range(2):
        run_memos(connected_account)
    assert len(in_store(order)) == 1, "the units that were refunded in Magento are not taken off twice"
    states = {memo.key.partition(":")[0]: memo.state for memo in memos(order)}
    assert states == {"memo": MEMO_DONE, "lines": MEMO_IGNORED}

    going = in_magento(market, connected_account, ("MUG-01", 1))
    store.ship(going, "RM000000009GB")
    push.push(parcel(going, "RM000000009GB"))
    market.post(f"orders/{going.number}/collect")
    take_in(connected_account, going.number)
    merchants_memo(store, going, 1)
    run_memos(connected_account)
    (memo,) = memos(going)
    assert memo.state == MEMO_WAITING and "delivered" in memo.failure_message
    market.post(f"orders/{going.number}/deliver")
    run_memos(connected_account)
    assert memos(going)[0].state == MEMO_DONE

    gone = delivered(market, connected_account, ("MUG-01", 1), store=store, tracking="RM000000010GB")
    market.post(f"orders/{gone.number}/complete")
    merchants_memo(store, gone, 1)
    run_memos(connected_account)
    (failed,) = memos(gone)
    assert failed.state == MEMO_FAILED and failed.failure_remedy and "Seller Center" in failed.failure_remedy


def test_a_replacement_costs_nothing_and_is_created_and_shipped_like_any_order(connected_account, market, store):
    order = delivered(market, connected_account, ("CAP-01", 1), store=store)
    row = ask(market, connected_account, order, "REPLACEMENT")
    returns.answer_one(row.id, "accept", actor=WHO)
    run_memos(connected_account)
    assert memos(order) == [], "goods instead of money: nothing is refunded"
    number = next(one["id"] for one in market.get("orders")["orders"] if one["id"] != order.number)
    free = take_in(connected_account, number)
    result = create.create_one(free.id, by_hand=True)
    assert result.outcome == "created", result
    db.session.expire_all()
    free = db.session.get_one(Order, free.id)
    assert free.total == 0 and free.magento_id
    store.ship(free, "RM000000003GB")
    assert "accepted" in push.push(parcel(free, "RM000000003GB")).message or market.order(number)["status"] != "AWAITING_SHIPMENT"

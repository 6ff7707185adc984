"""Importing and answering returns (A213-A220; TTS §5.6.5-§5.6.8), against the practice marketplace."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import select

from connector.clients import errors as api
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.aftersales import GOODS_ASK, GOODS_EXPECTED, GOODS_NONE, GOODS_RECEIVED, Return
from connector.models.order import Order, OutgoingAction
from connector.models.run import JobItem, JobRun
from connector.models.trace import Event
from connector.services import connections, events, returns
from tests.factories import shop
from tests.factories.returning import again, ask, delivered, imported
from tests.services.test_webhooks import Sender

pytestmark = pytest.mark.postgres

WHO = "operator@example.test"
AGREED = "seller_reject_apply_you_have_reached_an_agreement_with_the_buyer"


def test_import_stores_what_tiktok_says_oldest_first_and_an_older_version_never_overwrites(account, market):
    order = delivered(market, account, ("TEE-BLA-S", 2))
    first = ask(market, account, order, "REFUND", 1, note="It arrived broken", pictures=2)
    assert (first.phase, first.needs_answer, first.goods, first.item_count, first.order_id) == ("seller", True, GOODS_NONE, 1, order.id)
    assert first.respond_by_at and not first.deadline_estimated and first.next_action == "SELLER_RESPOND_REFUND"
    assert first.amount == Decimal(market.get(f"returns/{first.return_id}")["refund_amount"]["refund_total"])
    assert [entry["note"] for entry in returns.records(first.id)] == ["It arrived broken"]
    assert len(returns.records(first.id)[0]["images"]) == 2

    counts = returns.import_account(account.id)
    assert (counts["changed"], counts["open"], counts["bad"]) == (0, 1, 0)
    newer = dict(again(first).body)
    market.post(f"returns/{first.return_id}/withdraw")
    assert imported(account, first.return_id).phase == "closed"
    returns.importing.store(account.id, connections.tiktok(account.id), [newer], counts, None)
    assert again(first).remote_status == "RETURN_OR_REFUND_REQUEST_CANCEL", "a late copy of an earlier version changes nothing"
    seen = db.session.scalars(select(Event.kind).where(Event.subject_type == "return", Event.subject_id == str(first.id)).order_by(Event.id)).all()
    assert seen == ["return.imported", "return.status"]


def test_unknown_words_are_kept_unknown_orders_imported_and_a_bad_payload_stops_nobody(account, market):
    order = delivered(market, account, ("TEE-BLA-S", 2))
    odd = ask(market, account, order, "REFUND", 1)
    market.post(f"returns/{odd.return_id}/status", value="RETURN_TELEPORTED", return_type="WORMHOLE", arbitration_status="COIN_TOSS")
    odd = imported(account, odd.return_id)
    assert (odd.remote_status, odd.return_type, odd.arbitration_status, odd.phase) == ("RETURN_TELEPORTED", "WORMHOLE", "COIN_TOSS", "unknown")
    with unit_of_work() as session:
        session.delete(session.get_one(Order, order.id))
    run = shop.perform("returns.import", account.id)
    assert run.state == "succeeded" and imported(account, odd.return_id).order_id is not None, "its order came along"

    good = market.get(f"returns/{odd.return_id}")
    broken = [{**good, "return_id": "9001", "refund_amount": "lots"}, {**good, "return_id": None}, {**good, "return_id": "9003", "order_id": "404"}, "nonsense"]
    parked: list[tuple[str, str]] = []
    counts = {"read": 0, "changed": 0, "bad": 0}
    fine = {**good, "return_id": "9002"}
    client = connections.tiktok(account.id)
    returns.importing.store(account.id, client, [*broken, fine], counts, lambda ref, label, error, data: parked.append((ref, error.field or "")))
    assert (counts["read"], counts["bad"], counts["changed"]) == (5, 4, 1)
    assert dict(parked)["return-9001"] == "refund_amount" and dict(parked)["return-9003"] == "order_id"
    assert db.session.scalar(select(Return.phase).where(Return.return_id == "9002")) == "unknown"


def test_a_webhook_marks_the_return_and_rings_and_a_lost_one_only_costs_time(app, account, market):
    order = delivered(market, account)
    row = ask(market, account, order)
    market.post(f"returns/{row.return_id}/withdraw")
    sender = Sender(app.test_client(), market, account)
    assert sender.send(sender.body(12, {"order_id": order.number, "return_id": row.return_id, "return_status": "WHATEVER"})) == 200
    assert again(row).dirty_at is not None
    (run,) = db.session.scalars(select(JobRun).where(JobRun.kind == "returns.import"))
    assert shop.carry_out(run.id).state == "succeeded"
    assert (again(row).phase, again(row).dirty_at) == ("closed", None), "the return was read, what the message claims was not believed"


def test_the_walk_of_a_return_accept_goods_on_the_way_accept_package(account, market):
    order = delivered(market, account, ("TEE-BLA-S", 2))
    row = ask(market, account, order, "RETURN_AND_REFUND")
    (seen,) = returns.preview([row.id], "accept")
    assert seen.possible and seen.action and seen.action.decision == "APPROVE_RETURN" and seen.action.keep_item
    assert [action.decision for action in seen.actions] == ["APPROVE_RETURN", "DIRECT_REFUND", "OFFER_PARTIAL_REFUND", "REJECT_RETURN"]
    assert sum(units for _, units, _ in seen.items) == 2
    assert "not in the store" in seen.memo
    submitted, late = (returns.submit([row.id], "accept", started_by=WHO)[0] for _ in range(2))
    run = shop.carry_out(submitted.run_id)
    assert (run.state, run.done) == ("succeeded", 1)
    row = again(row)
    assert (row.remote_status, row.goods, row.decision, row.answered_by) == ("AWAITING_BUYER_SHIP", GOODS_EXPECTED, "APPROVE_RETURN", WHO)
    (waits,) = returns.preview([row.id], "accept")
    assert not waits.possible and "does not wait for your answer" in waits.why_not["message"]

    market.post(f"returns/{row.return_id}/ship", tracking_number="RET1")
    row = imported(account, row.return_id)
    assert (row.seen_on_the_way, row.needs_answer, row.tracking_number) == (True, True, "RET1")
    assert shop.carry_out(late.run_id).failed == 1, "it meant to let the goods come, not to pay for what nobody has looked at"
    assert again(row).remote_status == "BUYER_SHIPPED_ITEM"
    assert "Accept received goods" in returns.answer_one(row.id, "accept", actor=WHO)
    row = again(row)
    assert (row.phase, row.goods, row.package_accepted) == ("refunding", GOODS_RECEIVED, True)
    with pytest.raises(DomainError, match=r"settled|does not wait"):
        returns.answer_one(row.id, "reject", reason=AGREED, actor=WHO)


def test_refuse_appeal_and_arbitration(account, market):
    order = delivered(market, account, ("TEE-BLA-S", 1))
    row = ask(market, account, order, "RETURN_AND_REFUND")
    with pytest.raises(DomainError, match="needs a reason"):
        returns.submit([row.id], "reject", started_by=WHO)
    with pytest.raises(DomainError, match="does not offer the reason because"):
        returns.answer_one(row.id, "reject", reason="because", actor=WHO)
    assert again(row).answer_state == "failed" and AGREED in again(row).failure_remedy
    returns.answer_one(row.id, "reject", reason=AGREED, comment="We agreed by message", actor=WHO)
    row = again(row)
    assert (row.phase, row.needs_answer, row.decision, row.answer_state) == ("buyer", False, "REJECT_RETURN", "")
    assert returns.records(row.id)[-1]["note"] == "We agreed by message"
    market.post(f"returns/{row.return_id}/appeal", note="No we did not")
    row = imported(account, row.return_id)
    assert (row.phase, row.arbitration_status, row.needs_answer) == ("platform", "IN_PROGRESS", False)
    market.post(f"returns/{row.return_id}/arbitrate", outcome="SUPPORT_BUYER")
    row = imported(account, row.return_id)
    assert (row.remote_status, row.arbitration_status, row.goods) == ("AWAITING_BUYER_SHIP", "SUPPORT_BUYER", GOODS_EXPECTED)
    market.post(f"returns/{row.return_id}/ship")
    imported(account, row.return_id)
    market.post("clock", advance_seconds=5 * 86400)  # nobody inspects: TikTok approves at the deadline
    row = imported(account, row.return_id)
    assert row.phase in ("refunding", "done")
    assert row.goods == GOODS_ASK, "nobody said that the goods came"
    assert "go back into stock" in returns.goods.received(row.id, sellable=True, actor=WHO)
    assert "before" in returns.goods.received(row.id, sellable=True, actor=WHO)
    assert again(row).goods == GOODS_RECEIVED


def test_a_partial_offer_needs_an_amount_is_made_once_and_may_be_declined(account, market):
    order = delivered(market, account, ("TEE-BLA-S", 1))
    row = ask(market, account, order)
    with pytest.raises(DomainError, match="needs an amount"):
        returns.submit([row.id], "accept", decision="OFFER_PARTIAL_REFUND", started_by=WHO)
    with pytest.raises(DomainError, match="cannot be offered"):
        returns.answer_one(row.id, "accept", decision="OFFER_PARTIAL_REFUND", amount=row.amount + 1, actor=WHO)
    (submitted,) = returns.submit([row.id], "accept", decision="OFFER_PARTIAL_REFUND", amounts={row.id: Decimal("3.50")}, started_by=WHO)
    assert shop.carry_out(submitted.run_id).done == 1
    assert again(row).remote_status == "AWAITING_BUYER_RESPONSE"
    market.post(f"returns/{row.return_id}/decline")
    imported(account, row.return_id)
    assert "OFFER_PARTIAL_REFUND" not in [action.decision for action in returns.decisions(row.id)], "it is not offered twice"
    returns.answer_one(row.id, "accept", actor=WHO)
    assert again(row).phase == "refunding"


def test_lost_answers_are_looked_up_and_answers_of_others_are_recognised(account, market):
    order = delivered(market, account, ("TEE-BLA-S", 3))
    lost = ask(market, account, order, "REFUND", 1)
    market.post("faults", kind="lost_answer", operation="returns.approve", times=1)
    assert "Accept refund" in returns.answer_one(lost.id, "accept", actor=WHO)
    assert market.get("calls")["operations"]["returns.approve"]["count"] == 1
    lines = [line["id"] for line in market.order(order.number)["line_items"]]

    away = ask(market, account, order, "RETURN_AND_REFUND", line_ids=lines[1:2])
    market.post("faults", kind="lost_answer", operation="returns.approve", times=1)
    market.post("faults", kind="server_error", operation="returns.search", after=1)
    with pytest.raises(api.ApiError):  # the answer is lost, and TikTok cannot be asked what became of it: as if the worker had died
        returns.answer_one(away.id, "accept", actor=WHO)
    market.delete("faults")
    assert (again(away).remote_status, again(away).answer_state) == ("RETURN_OR_REFUND_REQUEST_PENDING", "sending")
    assert shop.perform("returns.import", account.id).state == "succeeded"
    away = again(away)
    assert (away.remote_status, away.answer_state, away.decision, away.answered_by) == ("AWAITING_BUYER_SHIP", "", "APPROVE_RETURN", WHO)
    assert market.get("calls")["operations"]["returns.approve"]["count"] == 2

    other = ask(market, account, order, "REFUND", line_ids=lines[2:3])
    connections.tiktok(account.id).approve_return(other.return_id, decision="APPROVE_REFUND", idempotency_key="seller-center")
    with pytest.raises(DomainError, match=r"does not wait for your answer|settled"):
        returns.answer_one(other.id, "accept", actor=WHO)
    assert again(other).phase == "refunding" and again(other).decision == ""


@pytest.mark.sqlite_only
def test_a_run_answers_a_return_once_however_often_it_is_begun_again_and_what_it_gave_up_is_told(account, market):
    order = delivered(market, account, ("TEE-BLA-S", 2))
    lines = [line["id"] for line in market.order(order.number)["line_items"]]
    row = ask(market, account, order, "RETURN_AND_REFUND", line_ids=lines[:1])
    with unit_of_work() as session:
        run = JobRun(kind="returns.answer", title="Answer", queue="default", account_id=account.id, state="running", started_by=WHO)
        session.add(run)
    token = events.run_now.set(run.id)
    market.post("faults", kind="server_error", operation="returns.search", after=1)  # read before the answer, not after it
    said = returns.answer_one(row.id, "accept", actor=WHO)
    market.delete("faults")
    assert "read again with the next import" in said, "TikTok took it; that it cannot be read just now is no failure"
    assert (again(row).decision, again(row).answer_state, again(row).failure_code) == ("APPROVE_RETURN", "", None)
    market.post(f"returns/{row.return_id}/ship")
    assert "Accept return" in returns.answer_one(row.id, "accept", actor=WHO), "begun again after its worker died: the goods are another question"
    assert (again(row).remote_status, again(row).package_accepted) == ("BUYER_SHIPPED_ITEM", False)

    lost = ask(market, account, order, "RETURN_AND_REFUND", line_ids=lines[1:])
    market.post("faults", kind="server_error", operation="returns.approve")
    with pytest.raises(api.Uncertain):
        returns.answer_one(lost.id, "accept", actor=WHO)
    market.delete("faults")
    events.run_now.reset(token)
    returns.settle(account.id)
    assert again(lost).answer_state == "sending", "its run is still there"
    with unit_of_work() as session:
        session.get_one(JobRun, run.id).state = "failed"
    returns.settle(account.id)
    assert (again(lost).answer_state, again(lost).failure_remedy) == ("failed", "Answer the return again.")
    connections.tiktok(account.id).approve_return(lost.return_id, decision="APPROVE_RETURN", idempotency_key="it arrived after all")
    assert shop.perform("returns.import", account.id).state == "succeeded"
    assert (again(lost).decision, again(lost).failure_code) == ("APPROVE_RETURN", None)


@pytest.mark.sqlite_only
def test_each_return_of_a_mass_rejection_may_have_a_reason_of_its_own(account, market):
    order = delivered(market, account, ("TEE-BLA-S", 2), still_going=True)
    lines = [line["id"] for line in market.order(order.number)["line_items"]]
    rows = [ask(market, account, order, line_ids=[line]) for line in lines]
    offered = [name for name, _ in returns.decisions(rows[0].id)[-1].reasons]
    assert len(offered) > 1
    with pytest.raises(DomainError, match="needs a reason"):
        returns.submit([row.id for row in rows], "reject", reasons={rows[0].id: offered[0]}, started_by=WHO)
    market.post("faults", kind="refusal", operation="returns.reject", code=25013999, message="Not this time", times=1)
    with pytest.raises(api.Rejected):
        returns.answer_one(rows[0].id, "reject", reason=offered[0], actor=WHO)
    refused = again(rows[0])
    assert (refused.answer_state, refused.decision, "Not this time" in refused.failure_message) == ("failed", "", True), "what TikTok refuses is told"
    (submitted,) = returns.submit([row.id for row in rows], "reject", reason=offered[0], reasons={rows[1].id: offered[1]}, started_by=WHO)
    assert shop.carry_out(submitted.run_id).done == 2
    told = db.session.scalars(select(OutgoingAction.request).where(OutgoingAction.action == "return_answer").order_by(OutgoingAction.id)).all()
    assert {one["return"]: one["reason"] for one in told} == {rows[0].id: offered[0], rows[1].id: offered[1]}
    assert again(rows[0]).failure_code is None, "and forgotten when it takes the next one"


def test_many_are_answered_in_one_run_with_a_result_for_each(account, market):
    order = delivered(market, account, ("TEE-BLA-S", 3))
    number, region = order.number, account.shop_region
    lines = [line["id"] for line in market.order(number)["line_items"]]
    rows = [ask(market, account, order, kind, line_ids=[line]) for kind, line in zip(("REFUND", "RETURN_AND_REFUND", "REPLACEMENT"), lines, strict=True)]
    (submitted,) = returns.submit([row.id for row in rows], "accept", started_by=WHO)
    market.post(f"returns/{rows[0].return_id}/withdraw")
    run = shop.carry_out(submitted.run_id)
    assert (run.done, run.failed) == (2, 1)
    assert [again(row).decision for row in rows] == ["", "APPROVE_RETURN", "APPROVE_REPLACEMENT"]
    item = db.session.scalars(select(JobItem).where(JobItem.run_id == run.id, JobItem.state == "failed")).one()
    assert item.message and item.remedy
    replacement = [one for one in market.get("orders", shop=region)["orders"] if one["id"] != number]
    assert len(replacement) == 1

"""Answering cancellation requests and the cancel/ship fence (A259-A263, A266, A271; TTS §5.6.4, §6.2), against the practice marketplace and store."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.aftersales import RecallTask
from connector.models.order import Cancellation, Order, Reservation, Shipment
from connector.models.run import JobRun
from connector.models.trace import Decision, Event
from connector.services import cancellations, connections
from connector.services.cancellations import importing
from connector.services.orders import causes, push
from tests.factories import shop
from tests.factories.creation import fresh
from tests.factories.parcels import in_magento, packages, parcel, place, stored, take_in
from tests.factories.racing import race, start
from tests.factories.waiting import until

pytestmark = pytest.mark.postgres
WHO = "operator@example.test"
PACKED = "seller_reject_apply_product_has_been_packed"


@pytest.fixture
def account(connected_account):
    return connected_account


def asked(market, account, order) -> int:
    """The buyer asks to cancel, and the desk has read it; our id of the request."""
    market.post(f"orders/{order.number}/cancel", by="BUYER")
    cancellations.import_account(account.id)
    return request_of(order).id


def request_of(order) -> Cancellation:
    db.session.expire_all()
    found = db.session.scalars(select(Cancellation).where(Cancellation.order_id == order.id).order_by(Cancellation.id.desc())).first()
    assert found is not None
    db.session.commit()
    return found


def kinds_of(order) -> list[str]:
    found = list(db.session.scalars(select(Event.kind).where(Event.subject_type == "order", Event.subject_id == str(order.id)).order_by(Event.id)))
    db.session.commit()
    return found


def count(market, operation: str) -> int:
    return market.get("calls")["operations"].get(operation, {"count": 0})["count"]


def test_an_accepted_request_cancels_on_tiktok_and_gives_the_stock_of_the_store_back_once(account, market, store):
    """A260, with what the confirm page says before and a second press afterwards."""
    before = store.salable("TEE-BLA-S")
    order = in_magento(market, account, ("TEE-BLA-S", 2))
    request = asked(market, account, order)
    (seen,) = cancellations.preview([request], "approve")
    assert (seen.possible, seen.number) == (True, order.number)
    assert "stock" in seen.effect
    (submitted,) = cancellations.submit([request], "approve", started_by=WHO)
    run = shop.carry_out(submitted.run_id)
    assert (run.state, run.done, run.title) == ("succeeded", 1, "Accept cancellation requests"), run.message
    assert market.order(order.number)["status"] == "CANCELLED"
    assert store.order(order)["state"] in ("canceled", "closed")
    assert store.salable("TEE-BLA-S") == before
    answered, row = request_of(order), fresh(order)
    assert (answered.answer, answered.answer_state, answered.answered_by) == ("approve", "accepted", WHO)
    assert (row.remote_status, row.cancel_requested, row.tag) == ("CANCELLED", False, "")
    assert cancellations.answer_one(request, "approve", actor="somebody@example.test").startswith("The request was accepted")
    assert (count(market, "cancellations.approve"), kinds_of(order).count("order.cancel_accepted")) == (1, 1)
    assert store.salable("TEE-BLA-S") == before
    accepted = db.session.scalars(select(Event).where(Event.kind == "order.cancel_accepted")).one()
    assert accepted.actor == WHO
    with pytest.raises(DomainError, match="CANCELLATION_REQUEST"):
        cancellations.answer_one(request, "reject", reason=PACKED, actor=WHO)


def test_a_rejected_request_takes_the_flag_off_and_the_parcel_that_waited_leaves(account, market, store):
    """A261: with TikTok's own reasons and no other."""
    order = in_magento(market, account)
    request = asked(market, account, order)
    assert fresh(order).cancel_requested
    waiting = parcel(order, "RM000000001GB")
    assert push.push(waiting).code == "ship.no_open_cancellation"
    assert stored(waiting).retry_at is not None
    (seen,) = cancellations.preview([request], "reject")
    names = [name for name, _ in seen.reasons]
    assert names
    with pytest.raises(DomainError, match="Choose a reason"):
        cancellations.submit([request], "reject", started_by=WHO)
    with pytest.raises(DomainError) as refused:
        cancellations.answer_one(request, "reject", reason="because", actor=WHO)
    assert refused.value.code == "cancellation.reason"
    assert names[0] in refused.value.message
    assert request_of(order).answer_state == "failed"
    (submitted,) = cancellations.submit([request], "reject", reasons={request: names[0]}, comment="It is packed.", started_by=WHO)
    assert shop.carry_out(submitted.run_id).state == "succeeded"
    answered = request_of(order)
    assert (answered.answer_state, answered.answer_reason, answered.remote_status) == ("accepted", names[0], "CANCELLATION_REQUEST_CANCEL")
    assert not fresh(order).cancel_requested
    assert stored(waiting).retry_at is None
    assert push.push(waiting).state == "delivered"
    assert len(packages(market, order)) == 1
    assert [one.allowed for one in db.session.scalars(select(Decision).where(Decision.action == "cancellation_reject").order_by(Decision.id))] == [False, True]


@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_after_a_lost_answer_tiktok_is_asked_and_the_answer_not_repeated(account, market, answer):
    order = place(market, account)
    request = asked(market, account, order)
    reason = cancellations.preview([request], "reject")[0].reasons[-1][0]
    market.post("faults", kind="lost_answer", operation=f"cancellations.{answer}", times=1)
    with pytest.raises(api.Uncertain):
        cancellations.answer_one(request, answer, reason=reason, actor=WHO)
    assert request_of(order).answer_state == "sending"
    if answer == "approve":
        with pytest.raises(DomainError):
            cancellations.answer_one(request, "reject", reason=reason, actor=WHO)
    cancellations.answer_one(request, answer, reason=reason, actor=WHO)
    assert request_of(order).answer_state == "accepted"
    assert count(market, f"cancellations.{answer}") == 1
    kind = {"approve": "order.cancel_accepted", "reject": "order.cancel_rejected"}[answer]
    assert kinds_of(order).count(kind) == 1


def test_a_request_that_nobody_answers_is_known_as_granted_by_tiktok(account, market, store):
    """The deadline is TikTok's own; the store's order is taken back all the same. A withdrawn one is told apart."""
    order, other = in_magento(market, account), place(market, account)
    asked(market, account, order)
    asked(market, account, other)
    market.post(f"orders/{other.number}/withdraw")
    due = request_of(order).respond_by_at
    assert due is not None
    market.post("clock", advance_seconds=49 * 3600)
    counts = cancellations.import_account(account.id)
    assert counts["pending"] == 0
    assert (request_of(order).answer_state, request_of(order).respond_by_at) == ("automatic", due)
    assert request_of(other).answer_state == "withdrawn"
    assert not fresh(other).cancel_requested
    take_in(account, order.number)
    shop.perform("orders.follow", account.id, items=[(str(order.id), order.number)])
    assert store.order(order)["state"] in ("canceled", "closed")
    with pytest.raises(DomainError, match="CANCELLATION_REQUEST"):
        cancellations.answer_one(request_of(order).id, "approve", actor=WHO)


def test_inside_the_hold_a_cancellation_needs_no_answer_and_the_reserved_units_are_free(account, market):
    """A259: by the buyer, A262: by TikTok for fraud; neither ever reaches the store."""
    for by in ("BUYER", "OPERATOR"):
        order = place(market, account, release=False)
        held = select(Reservation).where(Reservation.order_id == order.id, Reservation.released_at.is_(None))
        assert db.session.scalar(held) is not None
        db.session.commit()
        market.post(f"orders/{order.number}/cancel", by=by)
        cancellations.import_account(account.id)
        take_in(account, order.number)
        row = fresh(order)
        assert (row.state, row.remote_status, row.magento_id, row.tag) == ("cancelled", "CANCELLED", None, "")
        assert db.session.scalar(held) is None
        db.session.commit()
        (seen,) = cancellations.preview([request_of(order).id], "approve")
        assert not seen.possible
        assert seen.why_not["check"] == "waits_for_answer"


def test_the_limit_without_shipping_cancels_the_order_and_its_order_in_the_store(account, market, store):
    """A263: TikTok's own clock. An order that the merchant keeps on hold in Magento shows what to do, and is taken back when the hold is off."""
    order = in_magento(market, account)
    store.post(f"orders/{order.magento_id}/hold")
    market.post("settings", rotate_refresh_token=False)  # the account is put back for later tests as it was
    market.post("clock", advance_seconds=30 * 86400)
    take_in(account, order.number)
    assert fresh(order).remote_status == "CANCELLED"
    assert shop.perform("orders.follow", account.id).failed == 1
    kept = fresh(order)
    assert (kept.failure_code, kept.magento_state, store.order(order)["state"]) == ("magento.not_cancelled", "holded", "holded")
    assert kept.magento_number in kept.failure_message
    assert "Take it off hold" in kept.failure_remedy
    store.post(f"orders/{order.magento_id}/unhold")
    (cause,) = [one for one in causes.groups() if one.code == kept.failure_code]
    (retried,) = causes.heal(cause.key, actor=WHO).run_ids
    assert shop.carry_out(retried).done == 1
    assert store.order(order)["state"] in ("canceled", "closed")
    assert (fresh(order).tag, fresh(order).failure_code) == ("", None)
    assert db.session.scalar(select(RecallTask.id)) is None


def test_a_request_is_not_accepted_while_a_parcel_is_sent_or_has_left(account, market, store):
    """A261: known to us, or only to the store."""
    order = in_magento(market, account, ("TEE-BLA-S", 2))
    request = asked(market, account, order)
    sent = parcel(order, "RM000000001GB")
    for parcel_state, words in (("sending", "right now"), ("pending", "has left"), ("delivered", "TikTok has accepted it")):
        with unit_of_work() as session:
            session.execute(update(Shipment).where(Shipment.id == sent).values(state=parcel_state, retry_at=utcnow() + timedelta(minutes=5)))
        with pytest.raises(DomainError, match=words):
            cancellations.answer_one(request, "approve", actor=WHO)
        assert not cancellations.preview([request], "approve")[0].possible
    with unit_of_work() as session:
        session.execute(update(Shipment).where(Shipment.id == sent).values(state="ignored"))
    store.ship(order, None)
    with pytest.raises(DomainError, match="The store has shipped 2 units"):
        cancellations.answer_one(request, "approve", actor=WHO)
    assert count(market, "cancellations.approve") == 0


@pytest.mark.sqlite_only
def test_a_request_in_words_that_nobody_knows_does_not_let_the_order_go(account, market):
    """Whether the buyer still waits cannot be told, so the flag that TikTok's order carries stays (TTS §5.6.3); when the words are known again it moves."""
    order = place(market, account)
    request = asked(market, account, order)
    client = connections.tiktok(account.id)
    shown = client.search_cancellations({"cancel_ids": [request_of(order).cancel_id]}).items[0]
    said = ({"cancel_status": "CANCELLATION_REQUEST_REVIEWING"}, {"cancel_type": "BUYER_CANCEL_AGAIN"}, {"cancel_status": "CANCELLATION_REQUEST_CANCEL"})
    for later, words in enumerate(said, 1):
        item = {**shown, **words, "update_time": shown["update_time"] + later}
        importing._store(account.id, client, [item], {"read": 0, "changed": 0, "bad": 0}, None)
        assert (request_of(order).cancel_type, request_of(order).remote_status) == (item["cancel_type"], item["cancel_status"])
        assert fresh(order).cancel_requested == (later < 3)
        assert not cancellations.preview([request], "approve")[0].possible


@pytest.mark.sqlite_only
def test_a_cancellation_that_cannot_be_read_is_parked_and_stops_nobody(account, market):
    """Product rule 5: the import goes on behind it, so it would never be seen again."""
    order = place(market, account)
    asked(market, account, order)
    client = connections.tiktok(account.id)
    good = client.search_cancellations({"cancel_ids": [request_of(order).cancel_id]}).items[0]
    broken = [
        {**good, "cancel_id": "9001", "update_time": "soon"}, {**good, "cancel_id": None}, {**good, "cancel_id": "9003", "order_id": "404"}, "nonsense",
        {**good, "cancel_id": "9004", "refund_amount": "lots"}, {**good, "cancel_id": "9005", "cancel_line_items": ["1"]}, {**good, "update_time": 10**20},
    ]  # fmt: skip
    parked: list[str] = []
    counts = {"read": 0, "changed": 0, "bad": 0}
    importing._store(account.id, client, [*broken, {**good, "cancel_id": "9002"}], counts, lambda ref, label, error, data: parked.append(f"{label}: {error}"))
    assert (counts, len(parked)) == ({"read": 8, "changed": 1, "bad": 7}, 7)
    assert [line for line in parked if line.startswith("Cancellation 9003") and "names the order 404" in line]
    assert importing.open_requests(order.id)[-1].cancel_id == "9002"


#: At which call the one stands when the other comes, before or after TikTok has carried it out, and whether the request is accepted in the end.
MEETINGS = (
    ("accept", "cancellations.search", "", False),
    ("accept", "orders.detail", "before", False),
    ("accept", "aftersales.decision_eligibility", "before", False),
    ("accept", "cancellations.approve", "", True),
    ("accept", "cancellations.approve", "before", True),
    ("ship", "orders.detail", "", False),
    ("ship", "orders.detail", "before", False),
)


def test_of_two_workers_one_accepting_and_one_shipping_only_one_gets_through(app, account, market):
    """The fence: never shipped after an accepted cancellation, never accepted after shipping; wherever they meet."""
    for number, (first, operation, effect, accepted) in enumerate((*MEETINGS, ("both", "", "", None), ("both", "", "", None))):
        order = place(market, account)
        request = asked(market, account, order)

        def accept(request=request) -> object:
            return cancellations.answer_one(request, "approve", actor=WHO)

        def ship(order=order, number=number) -> object:
            return push.push(parcel(db.session.get_one(Order, order.id), f"RM0000001{number:02d}GB"))

        if first == "both":
            race(app, accept, ship)
        else:
            one, other = (accept, ship) if first == "accept" else (ship, accept)
            with market.held(operation=operation, effect=effect) as there:
                standing = start(app, one)
                there()
                start(app, other).result(60)
            standing.result()
        db.session.expire_all()
        cancelled = market.order(order.number)["status"] == "CANCELLED"
        delivered = db.session.scalar(select(Shipment.id).where(Shipment.order_id == order.id, Shipment.state == "delivered")) is not None
        db.session.commit()
        assert not delivered
        assert not packages(market, order)
        assert cancelled == (request_of(order).answer_state == "accepted")
        assert accepted in (None, cancelled), (first, operation, effect)


def test_of_three_workers_giving_the_same_answer_one_is_heard_and_it_stays_accepted(app, account, market):
    """Each may send it, under one idempotency key; it is accepted once, on the timeline too. The others come while TikTok has the first one's call, or has just
    carried it out."""
    for effect in ("", "before"):
        order = place(market, account)
        request = asked(market, account, order)

        def accept(request=request) -> object:
            return cancellations.answer_one(request, "approve", actor=WHO)

        with market.held(operation="cancellations.approve", effect=effect) as there:
            first = start(app, accept)
            there()
            others = race(app, accept, accept)
        ends = [first.result(), *others]
        assert any(isinstance(end, str) for end in ends), ends
        assert (request_of(order).answer_state, market.order(order.number)["status"]) == ("accepted", "CANCELLED")
        assert kinds_of(order).count("order.cancel_accepted") == 1


def test_an_answer_that_another_worker_has_just_given_is_not_sent_once_more(app, account, market):
    """The other one's answer is stored, its request still as waiting for one: it has not been read again yet."""
    order = place(market, account)
    request, before = asked(market, account, order), count(market, "cancellations.approve")
    with market.held(operation="cancellations.search", after=2) as reads_again:
        with market.held(operation="aftersales.decision_eligibility", effect="before") as may_answer:
            late = start(app, lambda: cancellations.answer_one(request, "approve", actor=WHO))
            may_answer()
            first = start(app, lambda: cancellations.answer_one(request, "approve", actor=WHO))
            reads_again()
        assert isinstance(late.result(60), str), late.result()
    assert isinstance(first.result(), str), first.result()
    assert count(market, "cancellations.approve") - before == 1
    assert (request_of(order).answer_state, kinds_of(order).count("order.cancel_accepted")) == ("accepted", 1)


def test_many_requests_are_accepted_in_one_run_and_a_shipped_one_stops_nobody(account, market):
    orders = [place(market, account) for _ in range(3)]
    ids = [asked(market, account, order) for order in orders]
    shipped = parcel(orders[1], "RM000000001GB")
    seen = {one.cancellation_id: one.possible for one in cancellations.preview(ids, "approve")}
    assert [seen[one] for one in ids] == [True, False, True]
    (submitted,) = cancellations.submit(ids, "approve", started_by=WHO)
    run = shop.carry_out(submitted.run_id)
    assert (run.total, run.done, run.failed) == (2, 2, 0)
    assert [market.order(order.number)["status"] for order in orders] == ["CANCELLED", "AWAITING_SHIPMENT", "CANCELLED"]
    assert stored(shipped).state == "pending"


def test_a_part_of_an_order_is_cancelled_and_the_rest_is_shipped(account, market):
    order = in_magento(market, account, ("TEE-BLA-S", 1), ("MUG-01", 1))
    line = next(line["id"] for line in market.order(order.number)["line_items"] if line["seller_sku"] == "MUG-01")
    market.post(f"orders/{order.number}/cancel", by="BUYER", line_ids=[line])
    cancellations.import_account(account.id)
    message = cancellations.answer_one(request_of(order).id, "approve", actor=WHO)
    assert "1 of the order's lines" in message
    row = fresh(order)
    assert (row.remote_status, row.cancel_requested) == ("AWAITING_SHIPMENT", False)
    assert row.warning == "", "the same units are taken off the Magento order by themselves"
    assert push.push(parcel(order, "RM000000001GB", quantities={"TEE-BLA-S": 1})).state == "delivered"

    shop.change_policy(account, credit_memos=False)
    other = in_magento(market, account, ("TEE-BLA-S", 1), ("MUG-01", 1))
    line = next(line["id"] for line in market.order(other.number)["line_items"] if line["seller_sku"] == "MUG-01")
    market.post(f"orders/{other.number}/cancel", by="BUYER", line_ids=[line])
    cancellations.import_account(account.id)
    assert "by hand" in cancellations.preview([request_of(other).id], "approve")[0].effect
    cancellations.answer_one(request_of(other).id, "approve", actor=WHO)
    assert "writes no credit memos: take the same units off" in fresh(other).warning


def test_scripts_answer_with_the_same_functions_and_unknown_requests_are_named(app, account, market):
    order = place(market, account)
    request = asked(market, account, order)
    runner = app.test_cli_runner()
    unknown = runner.invoke(args=["connector", "cancellations", "accept", "4035999"])
    assert unknown.exit_code == 1
    assert "4035999" in unknown.output
    shown = request_of(order)
    db.session.commit()
    worker = start(app, _carry_out_when_submitted)
    answer = runner.invoke(args=["connector", "cancellations", "accept", shown.cancel_id, "--json"])
    worker.result()
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.output.splitlines()[-1])["runs"][0]["done"] == 1
    assert market.order(order.number)["status"] == "CANCELLED"
    assert db.session.get_one(Cancellation, request).answered_by == "command line"


def _carry_out_when_submitted() -> None:
    def submitted() -> int | None:
        found = db.session.scalar(select(JobRun.id).where(JobRun.kind == "cancellations.answer"))
        db.session.commit()
        return found

    shop.carry_out(until(submitted, "the run of the command"))

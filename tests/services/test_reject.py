"""Reject with a reason (A206; TTS §5.6.1, §5.6.2, §5.6.10), before and after the order reached Magento."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain.rejection import OUT_OF_STOCK, PRICING_ERROR, UNABLE_TO_DELIVER
from connector.models.account import ShopReference
from connector.models.order import Order, OutgoingAction, Reservation
from connector.models.run import RUNNING, JobRun
from connector.models.trace import Decision, Event
from connector.services import runs
from connector.services.orders import push, reject, undo
from tests.factories import shop
from tests.factories.parcels import Store, in_magento, parcel, place
from tests.factories.racing import start

pytestmark = pytest.mark.postgres

WHO = "operator@example.test"


def cancellations(market, number: str) -> list[dict]:
    return market.get(f"orders/{number}")["cancellations"]


def events_of(kind: str) -> list[Event]:
    return list(db.session.scalars(select(Event).where(Event.kind == kind).order_by(Event.id)))


@pytest.mark.parametrize(
    ("country", "reason", "name"),
    [
        ("GB", OUT_OF_STOCK, "seller_cancel_reason_out_of_stock_uk"),
        ("US", PRICING_ERROR, "seller_cancel_reason_wrong_price"),
        ("GB", UNABLE_TO_DELIVER, "seller_cancel_paid_reason_address_not_deliver_uk"),
    ],
)
def test_the_reason_is_the_name_that_tiktok_offers_for_this_order(app, market, country, reason, name):
    account = shop.authorise(country)
    order = place(market, account)
    assert "Rejected" in reject.reject_one(order.id, reason, actor=WHO)
    (cancellation,) = cancellations(market, order.number)
    assert (cancellation["cancel_reason"], cancellation["role"]) == (name, "SELLER")
    db.session.expire_all()
    rejected = db.session.get(Order, order.id)
    assert (rejected.remote_status, rejected.state) == ("CANCELLED", "cancelled")
    assert events_of("order.rejected")[0].actor == WHO
    kept = db.session.scalars(select(ShopReference.remote_id).where(ShopReference.account_id == account.id, ShopReference.kind == "cancel_reason")).all()
    assert name in kept and len(kept) > 1, "what TikTok offers is kept, verbatim (A036)"


def test_an_order_that_never_reached_magento_gives_its_reservation_back(account, market):
    order = place(market, account, ("TEE-BLA-S", 2), release=False)
    held = select(Reservation).where(Reservation.order_id == order.id, Reservation.released_at.is_(None))
    assert db.session.scalar(held) is not None
    reject.reject_one(order.id, OUT_OF_STOCK, actor=WHO)
    db.session.expire_all()
    assert db.session.scalar(held) is None


def test_after_out_of_stock_the_stock_is_to_be_pushed_again_and_after_another_reason_not(account, market):
    order, other = place(market, account, ("TEE-BLA-S", 2), ("MUG-01", 1)), place(market, account)
    reject.reject_one(other.id, PRICING_ERROR, actor=WHO)
    assert events_of("stock.push_again") == []
    reject.reject_one(order.id, OUT_OF_STOCK, actor=WHO)
    assert {event.subject_id for event in events_of("stock.push_again")} == {"TEE-BLA-S", "MUG-01"}


@pytest.mark.parametrize("invoiced", [True, False])
def test_an_order_in_magento_is_taken_back_there_and_its_stock_returned_once(connected_account, market, practice_magento, invoiced):
    shop.change_policy(connected_account, create_invoice=invoiced)
    store = Store(practice_magento.url)

    before = salable(store, "CAP-01")
    order = in_magento(market, connected_account, ("CAP-01", 2))
    assert salable(store, "CAP-01") == [quantity - 2 for quantity in before]
    message = reject.reject_one(order.id, PRICING_ERROR, actor=WHO)
    assert "Magento order" in message
    assert store.order(order)["state"] == ("closed" if invoiced else "canceled")
    action = db.session.scalars(select(OutgoingAction).where(OutgoingAction.action == "cancel_magento")).one()
    assert (action.state, action.answer["how"]) == ("accepted", "refunded" if invoiced else "canceled")
    assert salable(store, "CAP-01") == before
    assert store.get("ledger", sku="CAP-01")["balanced"]


def test_a_lost_answer_of_the_store_takes_the_order_back_once(connected_account, market, practice_magento):
    store = Store(practice_magento.url)
    before = salable(store, "CAP-01")
    order = in_magento(market, connected_account, ("CAP-01", 2))
    store.post("faults", kind="lost_answer", match={"method": "POST", "path": "/refund$"}, times=1)
    with pytest.raises(api.Uncertain):
        reject.reject_one(order.id, PRICING_ERROR, actor=WHO)
    reject.reject_one(order.id, PRICING_ERROR, actor=WHO)
    assert store.order(order)["state"] == "closed"
    assert salable(store, "CAP-01") == before


def test_a_magento_order_with_shipped_units_is_left_alone_with_a_warning(connected_account, market, practice_magento):
    store = Store(practice_magento.url)
    order = in_magento(market, connected_account, ("CAP-01", 2))
    store.ship(order, None, units={"CAP-01": 1})
    reject.reject_one(order.id, PRICING_ERROR, actor=WHO)
    assert store.order(order)["state"] == "processing"
    assert "has shipped units" in db.session.get(Order, order.id).warning


def salable(store: Store, sku: str) -> list[float]:
    """The salable quantity of a SKU per stock, as the store itself reckons it."""
    return [stock["salable"] for stock in store.get("ledger", sku=sku)["stocks"]]


def test_rejecting_twice_cancels_once(connected_account, market, practice_magento):
    order = in_magento(market, connected_account)
    reject.reject_one(order.id, OUT_OF_STOCK, actor=WHO)
    reject.reject_one(order.id, OUT_OF_STOCK, actor=WHO)
    assert len(cancellations(market, order.number)) == 1
    assert market.get("calls")["operations"]["cancellations.create"]["count"] == 1
    assert len(events_of("order.rejected")) == 1
    assert len(events_of("stock.push_again")) == 1
    taken_back = select(OutgoingAction.state).where(OutgoingAction.action == undo.ACTION)
    holder = runs.submit("orders.reject", account_id=connected_account.id).run_id

    def held_until(lease_until: datetime) -> None:
        with unit_of_work() as session:
            session.execute(update(JobRun).where(JobRun.id == holder).values(state=RUNNING, lease_until=lease_until))
            begun = {"state": "sent", "answer": {}, "request": {"run": holder}}
            session.execute(update(OutgoingAction).where(OutgoingAction.action == undo.ACTION).values(**begun))

    held_until(utcnow() + timedelta(minutes=1))
    assert (shop.perform("orders.follow", connected_account.id).state, db.session.scalar(taken_back)) == ("waiting", "sent"), "another one is at it"
    held_until(utcnow())  # it was killed before it wrote down what Magento shows already
    assert shop.perform("orders.follow", connected_account.id).done == 1
    assert db.session.scalar(taken_back) == "accepted"


def test_after_a_lost_answer_the_order_is_read_and_not_cancelled_again(account, market):
    order = place(market, account)
    market.post("faults", kind="lost_answer", operation="cancellations.create", times=1)
    with pytest.raises(api.Uncertain):
        reject.reject_one(order.id, OUT_OF_STOCK, actor=WHO)
    assert "Rejected" in reject.reject_one(order.id, PRICING_ERROR, actor=WHO)
    assert len(cancellations(market, order.number)) == 1
    assert market.get("calls")["operations"]["cancellations.create"]["count"] == 1
    assert events_of("order.rejected")[0].reason == OUT_OF_STOCK, "the reason that TikTok took"
    assert db.session.get(Order, order.id).state == "cancelled"
    assert len(events_of("stock.push_again")) == 1


@pytest.mark.sqlite_only
def test_of_two_who_reject_an_order_the_one_that_tiktok_refuses_takes_nothing_back(app, account, market):
    order = place(market, account)
    with market.held(operation="aftersales.eligibility", effect="before") as there:
        first = start(app, lambda: reject.reject_one(order.id, UNABLE_TO_DELIVER, actor="late@example.test"))
        there()  # TikTok has told the first one that it may
        second = reject.reject_one(order.id, OUT_OF_STOCK, actor=WHO)
    assert all("Rejected on TikTok" in str(one) for one in (first.result(), second)), (first.result(), second)
    assert market.get("calls")["operations"]["cancellations.create"]["count"] == 2
    assert len(cancellations(market, order.number)) == 1
    db.session.rollback()  # what the first one wrote as well
    (action,) = db.session.scalars(select(OutgoingAction).where(OutgoingAction.action == reject.ACTION))
    (event,) = events_of("order.rejected")
    assert (action.state, action.error_code, action.request["reason"], action.created_by) == ("accepted", None, OUT_OF_STOCK, WHO), "what TikTok took"
    assert (event.reason, event.actor, len(events_of("stock.push_again"))) == (OUT_OF_STOCK, WHO, 1)


def test_an_order_that_somebody_else_cancelled_is_not_called_our_rejection(account, market):
    order = place(market, account)
    market.post(f"orders/{order.number}/cancel", by="SYSTEM")
    with pytest.raises(DomainError, match="cancelled on TikTok already"):
        reject.reject_one(order.id, OUT_OF_STOCK, actor=WHO)
    assert events_of("order.rejected") == []


def test_a_shipped_order_is_refused_with_the_check_that_failed(account, market):
    order = place(market, account)
    push.push(parcel(order, "RM000000001GB"))
    (seen,) = reject.preview([order.id])
    assert not seen.possible
    assert "RM000000001GB" in seen.why_not["message"]
    with pytest.raises(DomainError) as refused:
        reject.reject_one(order.id, OUT_OF_STOCK, actor=WHO)
    assert refused.value.remedy
    assert cancellations(market, order.number) == []
    trace = db.session.scalars(select(Decision).where(Decision.action == "reject")).one()
    assert not trace.allowed


def test_a_reason_that_tiktok_does_not_offer_is_refused_with_what_it_offers(account, market):
    unpaid = place(market, account, release=False, pay=False)
    with pytest.raises(DomainError) as refused:
        reject.reject_one(unpaid.id, UNABLE_TO_DELIVER, actor=WHO)
    assert refused.value.code == "reject.reason"
    assert "seller_cancel_unpaid_reason_out_of_stock" in refused.value.message
    assert cancellations(market, unpaid.number) == []


def test_the_rest_of_a_partly_shipped_order_is_rejected_line_by_line(account, market):
    order = place(market, account, ("TEE-BLA-S", 2))
    push.push(parcel(order, "RM000000001GB", quantities={"TEE-BLA-S": 1}))
    shop.perform("orders.refresh", account.id, items=[(str(order.id), order.number)])
    number = order_number(order.id)
    message = reject.reject_one(order.id, OUT_OF_STOCK, actor=WHO)
    assert "not shipped" in message
    statuses = sorted(line["display_status"] for line in market.order(number)["line_items"])
    assert statuses == ["AWAITING_COLLECTION", "CANCELLED"]
    assert "before" in reject.reject_one(order.id, OUT_OF_STOCK, actor=WHO)


def order_number(order_id: int) -> str:
    found = db.session.scalar(select(Order.number).where(Order.id == order_id))
    db.session.commit()
    return found


def test_many_are_rejected_in_one_run_and_one_bad_one_stops_nobody(account, market):
    orders = [place(market, account) for _ in range(3)]
    push.push(parcel(orders[0], "RM000000001GB"))
    numbers = [order.number for order in orders]
    (submitted,) = reject.submit([order.id for order in orders], OUT_OF_STOCK, started_by=WHO)
    market.post(f"orders/{numbers[1]}/cancel", by="SYSTEM")
    run = shop.carry_out(submitted.run_id)
    assert (run.total, run.done, run.failed, run.title) == (2, 1, 1, "Reject orders: Out of Stock")
    assert [len([one for one in cancellations(market, number) if one["role"] == "SELLER"]) for number in numbers] == [0, 0, 1]


def test_a_rejection_needs_a_known_reason_and_an_order_that_can_be_rejected(account, market):
    order = place(market, account)
    with pytest.raises(DomainError, match="Choose a reason"):
        reject.submit([order.id], "because", started_by=WHO)
    market.post(f"orders/{order.number}/cancel", by="SYSTEM")
    shop.perform("orders.refresh", account.id, items=[(str(order.id), order.number)])
    with pytest.raises(DomainError, match="None of these orders"):
        reject.submit([order.id], OUT_OF_STOCK, started_by=WHO)

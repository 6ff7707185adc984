"""The no-order-lost certificate and cancellation requests, against both practice servers (product.md 12, TTS §5.6.3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import Account
from connector.models.order import Cancellation, Order, ReconciliationDay
from connector.models.run import JobRun
from connector.models.trace import Event
from connector.services import cancellations, connections, reconcile
from connector.services.orders import state
from tests.factories.shop import carry_out, change_policy, perform


def seed(market: Any, count: int, **rest: Any) -> list[str]:
    return market.post("seed", region="GB", orders=count, **rest)["ids"]


def days_of(market: Any) -> dict[str, list[str]]:
    """Order ids by UTC day of creation, as the marketplace itself sees them."""
    found: dict[str, list[str]] = {}
    for order in market.get("orders", shop="GB")["orders"]:
        found.setdefault(datetime.fromtimestamp(order["create_time"], UTC).date().isoformat(), []).append(order["id"])
    return found


def forget(*numbers: str) -> None:
    with unit_of_work() as session:
        for order in session.scalars(select(Order).where(Order.number.in_(numbers))):
            session.delete(order)


@pytest.mark.postgres
def test_a_missing_order_is_found_and_healed_and_then_follows_the_policy(account, market):
    ids = seed(market, 30, status="AWAITING_SHIPMENT")
    perform("orders.import", account.id)
    day, listed = max(days_of(market).items(), key=lambda entry: len(entry[1]))
    lost = listed[:2]
    forget(*lost)
    with unit_of_work() as session:  # the cursor has long passed them
        session.get(Account, account.id, populate_existing=True).orders_cursor_at = datetime.now(UTC)

    found = reconcile.check_day(account.id, day)
    assert (found.listed, found.stored) == (len(listed), len(listed) - 2)
    assert sorted(found.missing) == sorted(lost)

    healed = carry_out(reconcile.heal(account.id, day, started_by="operator@example.test").run_id)
    assert (healed.state, healed.done) == ("succeeded", 2)
    assert set(db.session.scalars(select(Order.number))) == set(ids)
    assert set(db.session.scalars(select(Order.state).where(Order.number.in_(lost)))) == {"ready"}, "not waiting for review"

    again = reconcile.check_day(account.id, day)
    assert (again.missing, again.stored) == ([], len(listed))
    with pytest.raises(DomainError, match="is missing"):
        reconcile.heal(account.id, day, started_by="x")
    assert db.session.scalar(select(func.count()).select_from(ReconciliationDay)) == 1


def test_every_listed_order_is_in_exactly_one_place(account, market):
    seed(market, 120)
    change_policy(account, create_when="IN_TRANSIT")
    perform("orders.import", account.id)
    day, listed = max(days_of(market).items(), key=lambda entry: len(entry[1]))
    ready = [number for number in listed if _order(number).state == "ready"]
    with unit_of_work() as session:
        first, second, third = (session.scalar(select(Order).where(Order.number == number)) for number in ready[:3])
        state.set_state(first, "created", reason="test")
        state.set_state(second, "skipped", reason="test", code="sku.unknown", message="SKU A1 is not in Magento.")
        state.set_state(third, "failed", reason="test", code="x", message="broken")
    found = reconcile.check_day(account.id, day)
    assert found.listed == len(listed) == found.created + found.skipped + found.pending + len(found.missing)
    assert found.missing == []
    assert found.created == 1
    assert found.totals["failed"] == 1
    assert sum(found.skip_reasons.values()) == found.skipped
    assert found.skip_reasons["SKU A1 is not in Magento."] == 1
    assert any(reason.startswith("the order policy does not create orders that are Awaiting") for reason in found.skip_reasons)
    sums = found.totals["currencies"]["GBP"]
    assert sums["tiktok"] == sums["stored"]


def test_an_order_that_is_twice_in_the_store_is_named(connected_account, practice_tiktok, practice_magento):
    from tests.factories.shop import Market

    market = Market(practice_tiktok.url)
    number = market.post("orders", shop="GB", lines=[{"sku": "MUG/02 slash"}], pay=True)["id"]
    market.post(f"orders/{number}/release")
    perform("orders.import", connected_account.id)
    store = connections.magento_for(connected_account.id)
    for copy in ("A", "B"):
        store.create_order_direct(_bare_order(number, f"TT-{copy}-{number[-6:]}"))
    day = next(day for day, ids in days_of(market).items() if number in ids)
    found = reconcile.check_day(connected_account.id, day)
    assert found.duplicates == [number]
    assert found.missing == []


def test_the_job_checks_yesterday_and_today_by_the_shops_clock(account, market):
    market.post("clock", advance_seconds=86400 + 43200 - market.get("clock")["now"] % 86400)  # noon: the day does not end meanwhile
    seed(market, 20)
    perform("orders.import", account.id)
    run = perform("reconcile", account.id)
    assert run.state == "succeeded", run.message
    assert "0 orders missing" in run.message
    rows = db.session.scalars(select(ReconciliationDay).order_by(ReconciliationDay.day)).all()
    today = datetime.fromtimestamp(market.get("clock")["now"], UTC).date()
    assert [row.day for row in rows] == [(today - timedelta(days=1)).isoformat(), today.isoformat()]
    assert sum(row.listed for row in rows) == sum(len(ids) for day, ids in days_of(market).items() if day in {row.day for row in rows})


def test_the_scheduled_reconciliation_makes_a_run_for_each_account_that_can_work(account):
    reconcile.submit_all(started_by="scheduler")
    assert db.session.scalars(select(JobRun.account_id).where(JobRun.kind == "reconcile")).all() == [account.id]


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", ""])
def test_a_day_that_is_none_is_refused(account, day):
    with pytest.raises(DomainError) as refused:
        reconcile.submit(account.id, day, started_by="x")
    assert refused.value.field == "day"


# --- cancellation requests


@pytest.mark.postgres
def test_a_buyers_request_is_imported_with_tiktoks_deadline_and_flags_the_order(account, market):
    number = _awaiting(market)
    perform("orders.import", account.id)
    market.post(f"orders/{number}/cancel", by="BUYER")
    run = perform("cancellations.import", account.id)
    assert run.state == "succeeded", run.message
    order = _order(number)
    request = db.session.scalars(select(Cancellation)).one()
    assert order.cancel_requested
    assert (request.order_id, request.cancel_type, request.remote_status, request.role) == (order.id, "BUYER_CANCEL", cancellations.PENDING, "BUYER")
    deadline = request.data["seller_next_action_response"][0]["deadline"]
    assert request.respond_by_at == datetime.fromtimestamp(int(deadline), UTC)
    assert [row.id for row in cancellations.open_requests(order.id)] == [request.id]
    assert run.result["pending"] == 1


def test_a_request_that_was_withdrawn_clears_the_flag(account, market):
    number = _awaiting(market)
    perform("orders.import", account.id)
    market.post(f"orders/{number}/cancel", by="BUYER")
    perform("cancellations.import", account.id)
    market.post(f"orders/{number}/withdraw")
    perform("cancellations.import", account.id)
    assert not _order(number).cancel_requested
    assert cancellations.open_requests(_order(number).id) == []
    kinds = db.session.scalars(select(Event.kind).where(Event.kind.like("order.cancel_%")).order_by(Event.id)).all()
    assert kinds == ["order.cancel_requested", "order.cancel_answered"]


def test_importing_cancellations_again_changes_nothing(account, market):
    number = _awaiting(market)
    perform("orders.import", account.id)
    market.post(f"orders/{number}/cancel", by="BUYER")
    assert perform("cancellations.import", account.id).result["changed"] == 1
    assert perform("cancellations.import", account.id).result["changed"] == 0


def test_a_cancellation_of_an_order_nobody_knew_brings_the_order_in(account, market):
    number = _awaiting(market)
    market.post(f"orders/{number}/cancel", by="BUYER")
    perform("cancellations.import", account.id)
    assert _order(number).cancel_requested
    assert db.session.scalar(select(func.count()).select_from(Cancellation)) == 1


def _awaiting(market: Any) -> str:
    number = market.post("orders", shop="GB", lines=[{"sku": "MUG/02 slash"}], pay=True)["id"]
    market.post(f"orders/{number}/release")
    return number


def _order(number: str) -> Order:
    db.session.expire_all()
    order = db.session.scalar(select(Order).where(Order.number == number))
    assert order is not None
    db.session.commit()
    return order


def _bare_order(number: str, increment_id: str) -> dict[str, Any]:
    """As somebody would enter it by hand through the API (MAG §4.4.5)."""
    address = {
        "firstname": "Buyer", "lastname": "Example", "street": ["1 Sample Street"], "city": "Sampleton", "postcode": "AB1 2CD",
        "country_id": "GB", "telephone": "0770", "address_type": "billing", "email": "buyer@example.test",
    }  # fmt: skip
    item = {"sku": "MUG/02 slash", "name": "Mug", "qty_ordered": 1, "price": 5, "base_price": 5, "row_total": 5, "base_row_total": 5, "product_type": "simple"}
    return {
        "increment_id": increment_id, "ext_order_id": number, "store_id": 1, "state": "new", "status": "pending", "customer_is_guest": 1,
        "customer_email": "buyer@example.test", "base_currency_code": "USD", "order_currency_code": "USD", "global_currency_code": "USD",
        "store_currency_code": "USD", "grand_total": 5, "base_grand_total": 5, "subtotal": 5, "base_subtotal": 5, "billing_address": address,
        "payment": {"method": "checkmo"}, "items": [item],
        "extension_attributes": {"shipping_assignments": [{"shipping": {"address": {**address, "address_type": "shipping"}, "method": "freeshipping_freeshipping"}, "items": [item]}]},
    }  # fmt: skip

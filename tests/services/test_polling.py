"""Reading orders over real HTTP: windows, cursor, page tokens, interruption, imports by hand (TTS §4, A181-A187, product rule 4)."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import orjson
import pytest
from sqlalchemy import func, select

from connector.core.crypto import vault
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.jobs import runtime
from connector.models.account import Account
from connector.models.order import Order
from connector.models.run import JobItem, JobRun
from connector.services import runs
from connector.services.orders import intake, polling, windows
from tests.factories.racing import start
from tests.factories.shop import carry_out, perform


def numbers() -> set[str]:
    return set(db.session.scalars(select(Order.number)))


def cursor(account: Account) -> datetime | None:
    value = db.session.scalar(select(Account.orders_cursor_at).where(Account.id == account.id))
    db.session.commit()
    return value


def shop_time(market) -> datetime:
    return datetime.fromtimestamp(market.get("clock")["now"], UTC)


def spoil(practice_tiktok, number: str) -> None:
    """The marketplace sends nonsense for this order from now on."""
    with sqlite3.connect(practice_tiktok.data_dir / "marketplace.sqlite3", timeout=10) as database:
        (raw,) = database.execute("SELECT doc FROM orders WHERE id = ?", (number,)).fetchone()
        doc = orjson.loads(raw)
        doc["payment"]["total_amount"] = "a lot"
        database.execute("UPDATE orders SET doc = ? WHERE id = ?", (orjson.dumps(doc), number))
    database.close()


@pytest.mark.postgres
def test_a_scheduled_import_stores_every_order_the_marketplace_lists(account, market):
    seeded = market.post("seed", region="GB", orders=250)
    run = perform("orders.import", account.id)
    assert run.state == "succeeded", run.message
    assert numbers() == set(seeded["ids"])
    assert run.result["new"] == 250


def test_other_shops_orders_are_left_alone(account, market):
    market.post("seed", region="US", orders=5)
    perform("orders.import", account.id)
    assert numbers() == set()


def test_the_cursor_moves_to_the_start_of_the_run_and_the_next_run_overlaps_it(account, market):
    market.post("seed", region="GB", orders=3)
    before = shop_time(market)
    perform("orders.import", account.id)
    first = cursor(account)
    assert first is not None
    assert abs(first - before) < timedelta(seconds=10)
    market.delete("calls")
    number = market.post("orders", shop="GB", lines=[{"sku": "MUG/02 slash"}])["id"]
    run = perform("orders.import", account.id)
    assert number in numbers()
    assert run.result["new"] == 1
    assert market.get("calls")["operations"]["orders.search"]["count"] == 1, "one short window, one page"
    assert cursor(account) > first


def test_an_order_updated_just_before_the_cursor_is_read_again(account, market):
    number = market.post("orders", shop="GB", lines=[{"sku": "MUG/02 slash"}])["id"]
    perform("orders.import", account.id)
    with unit_of_work() as session:
        session.get(Account, account.id, populate_existing=True).orders_cursor_at = shop_time(market) + timedelta(seconds=3)
        session.query(Order).delete()
    perform("orders.import", account.id)
    assert number in numbers(), "the window begins ten minutes before the cursor"


def test_the_cursor_stays_when_a_page_could_not_be_read_and_the_run_goes_on_later(account, market):
    market.post("seed", region="GB", orders=120)
    market.post("faults", kind="server_error", operation="orders.search", times=3)  # as often as the client tries
    run = perform("orders.import", account.id, args={"parallel": 1})
    assert run.state == "waiting"
    assert cursor(account) is None
    with unit_of_work() as session:
        session.get(JobRun, run.id, populate_existing=True).not_before = None
    run = carry_out(run.id)
    assert run.state == "succeeded", run.wait_reason
    assert len(numbers()) == 120
    assert cursor(account) is not None


def test_a_worker_killed_in_the_middle_is_followed_by_one_that_goes_on_from_its_check_point(account, market, monkeypatch):
    """Product rule 2: the pages that were stored are not read again, and none is left out."""
    seeded = market.post("seed", region="GB", orders=600)

    class Killed(BaseException):
        pass

    stored_pages = []
    real = polling.intake.store

    def dies_at_the_third_page(*positional, **named):
        if len(stored_pages) == 2:
            raise Killed
        outcome = real(*positional, **named)
        stored_pages.append(outcome)
        return outcome

    run_id = runs.submit("orders.import", account_id=account.id, args={"parallel": 1}).run_id
    monkeypatch.setattr(polling.intake, "store", dies_at_the_third_page)
    with pytest.raises(Killed):
        runtime.perform(run_id)
    monkeypatch.undo()
    db.session.rollback()
    before = len(numbers())
    assert 200 <= before < 600
    assert before == sum(outcome.new for outcome in stored_pages)
    db.session.expire_all()
    run = db.session.get(JobRun, run_id)
    assert run.state == "running", "nobody has told the database yet"
    assert run.checkpoint["windows"][0]["stored"] > run.checkpoint["windows"][0]["start"]
    with unit_of_work() as session:
        session.get(JobRun, run_id).lease_until = datetime(2020, 1, 1, tzinfo=UTC)
    run = carry_out(run_id)
    assert run.state == "succeeded", run.message
    assert numbers() == set(seeded["ids"])
    assert run.result["new"] == 600 - before
    assert run.result["read"] < 600, "it did not begin at the start"


def test_four_windows_store_the_same_orders_as_one_and_take_over_from_each_other(account, market):
    """Orders lie unevenly: the whole seed is in the last two days of a ninety-day range."""
    seeded = market.post("seed", region="GB", orders=700)
    now = int(shop_time(market).timestamp())
    run = perform("orders.import", account.id, args={"from": now - 80 * 86400, "to": now + 5, "origin": "schedule", "parallel": 4})
    assert run.state == "succeeded", run.message
    assert numbers() == set(seeded["ids"])
    parts = run.checkpoint["windows"]
    assert len(parts) > 4, "the first three windows are empty; their threads took over parts of the last"
    assert all(part["done"] for part in parts)
    edges = sorted((part["start"], part["end"]) for part in parts)
    assert edges[0][0] == now - 80 * 86400
    assert edges[-1][1] == now + 5
    assert all(left[1] == right[0] for left, right in pairwise(edges)), "no gap and no overlap"


def test_windows_cover_the_span_without_gap_or_overlap():
    parts = windows.split(1000, 1011, 4)
    assert (parts[0]["start"], parts[-1]["end"]) == (1000, 1011)
    assert all(left["end"] == right["start"] for left, right in pairwise(parts))
    assert len(windows.split(1000, 1002, 4)) == 2


def test_a_page_token_that_expires_restarts_the_window_where_it_was(account, market):
    seeded = market.post("seed", region="GB", orders=450)
    market.post("settings", page_token_life_seconds=1)
    market.post("latency", ms=700)
    run = perform("orders.import", account.id, args={"parallel": 1})
    calls = market.get("calls")["operations"]["orders.search"]
    assert run.state == "succeeded", run.message
    assert numbers() == set(seeded["ids"])
    assert any(code != "0" for code in calls["codes"]), f"the marketplace refused a token: {calls}"


def test_page_tokens_that_are_always_refused_still_lead_to_the_end_of_the_window(account, market):
    """Every page is then the first of a search that begins where the last one ended."""
    seeded = market.post("seed", region="GB", orders=250)
    market.post("settings", page_token_life_seconds=-60)
    run = perform("orders.import", account.id, args={"parallel": 1})
    assert run.state == "succeeded", run.message
    assert numbers() == set(seeded["ids"])


def test_orders_that_change_while_they_are_read_are_not_lost(app, account, market):
    seeded = market.post("seed", region="GB", orders=400, status="AWAITING_SHIPMENT")["ids"]
    account_id = account.id
    with market.held(operation="orders.search", after=1, seconds=600) as there:
        reading = start(app, lambda: perform("orders.import", account_id, args={"parallel": 1}).state)
        there()  # it has read the first page
        for number in seeded[::8]:
            market.post(f"orders/{number}/cancel", by="SYSTEM")
    assert reading.result() == "succeeded"
    perform("orders.import", account.id)
    assert numbers() == set(seeded)
    cancelled = set(db.session.scalars(select(Order.number).where(Order.remote_status == "CANCELLED")))
    assert cancelled == set(seeded[::8])


def test_a_clock_that_was_moved_forward_is_caught_up_within_the_same_run(account, market):
    number = market.post("orders", shop="GB", lines=[{"sku": "MUG/02 slash"}], pay=True)["id"]
    perform("orders.import", account.id)
    market.post("clock", advance_seconds=7200)
    run = perform("orders.import", account.id)
    assert run.state == "succeeded", run.message
    order = db.session.scalar(select(Order).where(Order.number == number).execution_options(populate_existing=True))
    assert order.remote_status == "AWAITING_SHIPMENT", "the hold has ended on the shop's clock"


def test_a_clock_that_was_moved_back_does_not_leave_the_cursor_in_the_future(account, market):
    market.post("clock", advance_seconds=86400)
    perform("orders.import", account.id)
    market.post("clock", reset=True)
    perform("orders.import", account.id)
    perform("orders.import", account.id)
    assert cursor(account) <= shop_time(market) + timedelta(seconds=3)


def test_an_unchanged_shop_costs_no_writes(account, market):
    market.post("seed", region="GB", orders=120)
    perform("orders.import", account.id)
    with unit_of_work() as session:
        session.get(Account, account.id, populate_existing=True).orders_cursor_at = None
    run = perform("orders.import", account.id)
    assert (run.result["new"], run.result["changed"], run.result["unchanged"]) == (0, 0, 120)


def test_a_bad_record_is_parked_in_the_run_with_its_payload_encrypted_and_the_page_goes_on(account, market, practice_tiktok):
    ids = market.post("seed", region="GB", orders=30)["ids"]
    spoil(practice_tiktok, ids[7])
    run = perform("orders.import", account.id)
    assert run.state == "partial"
    assert numbers() == set(ids) - {ids[7]}
    item = db.session.scalars(select(JobItem).where(JobItem.run_id == run.id)).one()
    assert (item.ref, item.state, item.code) == (ids[7], "failed", "order.bad_payload")
    assert "payment.total_amount" in item.message
    assert item.remedy
    assert orjson.loads(vault().decrypt(item.data["payload"]))["id"] == ids[7]
    again = perform("orders.import", account.id)
    assert again.state == "succeeded", "the same bad content is parked once, not every minute"


def test_a_parked_record_is_imported_by_retry_once_it_is_right(account, market, practice_tiktok):
    number = market.post("orders", shop="GB", lines=[{"sku": "MUG/02 slash"}])["id"]
    good = market.order(number)
    spoil(practice_tiktok, number)
    run = perform("orders.import", account.id)
    with sqlite3.connect(practice_tiktok.data_dir / "marketplace.sqlite3", timeout=10) as database:
        database.execute("UPDATE orders SET doc = ? WHERE id = ?", (orjson.dumps(good), number))
    database.close()
    retried = carry_out(runs.retry_failed(run.id, actor="operator@example.test").run_id)
    assert retried.state == "succeeded", retried.message
    assert number in numbers()


def test_unknown_statuses_from_the_marketplace_are_stored_as_they_came(account, market):
    market.post("seed", region="GB", orders=10)
    market.post("faults", kind="unknown_status", operation="orders.search", value="TO_SHIP")
    run = perform("orders.import", account.id)
    assert run.state == "succeeded", run.message
    assert db.session.scalar(select(func.count()).select_from(Order).where(Order.remote_status == "TO_SHIP", Order.warning != "")) == 10
    assert not db.session.scalars(select(Order).where(Order.state == "ready")).all()


def test_fields_nobody_documented_do_no_harm(account, market):
    market.post("seed", region="GB", orders=10)
    market.post("faults", kind="extra_fields", operation="orders.search")
    assert perform("orders.import", account.id).result["new"] == 10


# --- by hand


@pytest.mark.postgres
def test_import_by_id_reads_fifty_at_a_time_and_creates_nothing(account, market):
    """A186, A182."""
    ids = market.post("seed", region="GB", orders=120, status="AWAITING_SHIPMENT")["ids"]
    market.delete("calls")
    run = carry_out(polling.request_import(account.id, order_ids=ids, started_by="operator@example.test").run_id)
    assert (run.state, run.done) == ("succeeded", 120)
    assert numbers() == set(ids)
    assert market.get("calls")["operations"]["orders.detail"]["count"] == 3
    assert set(db.session.scalars(select(Order.state))) == {"review"}


def test_an_id_that_tiktok_does_not_know_fails_alone_and_says_what_to_do(account, market):
    number = market.post("orders", shop="GB", lines=[{"sku": "MUG/02 slash"}])["id"]
    run = carry_out(polling.request_import(account.id, order_ids=[number, "576000000000000001"], started_by="x").run_id)
    assert run.state == "partial"
    assert numbers() == {number}
    item = db.session.scalars(select(JobItem).where(JobItem.run_id == run.id, JobItem.state == "failed")).one()
    assert (item.ref, item.code) == ("576000000000000001", "order.not_at_tiktok")
    assert item.remedy


def test_import_by_range_and_status_takes_only_those(account, market):
    """A184, A185."""
    market.post("seed", region="GB", orders=60)
    wanted = {order["id"] for order in market.get("orders", shop="GB", status="IN_TRANSIT")["orders"]}
    now = shop_time(market)
    run = carry_out(polling.request_import(account.id, status="IN_TRANSIT", start=now - timedelta(days=5), end=now, started_by="operator@example.test").run_id)
    assert run.state == "succeeded", run.message
    assert numbers() == wanted
    assert set(db.session.scalars(select(Order.state))) == {"review"}
    assert cursor(account) is None, "an import by hand leaves the schedule's cursor alone"


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"start": datetime(2026, 5, 2, tzinfo=UTC), "end": datetime(2026, 5, 1, tzinfo=UTC)}, "import.dates_reversed", "start"),
        ({"start": datetime(2026, 5, 2, tzinfo=UTC), "end": datetime(2026, 5, 2, tzinfo=UTC)}, "import.dates_reversed", "start"),
        ({"start": datetime(2026, 1, 1, tzinfo=UTC), "end": datetime(2026, 5, 1, tzinfo=UTC)}, "import.range_too_long", "end"),
        ({"status": "SHIPPED"}, "import.status", "status"),
        ({"order_ids": ["12a"]}, "import.order_id", "order_id"),
    ],
)
def test_a_wrong_field_of_the_pop_up_is_named_with_what_to_do(account, fields, code, field):
    with pytest.raises(DomainError) as refused:
        polling.request_import(account.id, started_by="x", **fields)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert refused.value.remedy
    assert not db.session.scalars(select(JobRun).where(JobRun.kind == "orders.import", JobRun.started_by == "x")).all()


def test_the_range_limit_is_stated(account):
    with pytest.raises(DomainError, match="at most 90 can be imported at once"):
        polling.check_range(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))


@pytest.mark.parametrize("change", [{"active": False}, {"auth_state": "expired"}])
def test_a_disabled_or_unauthorised_account_cannot_be_asked(account, change):
    with unit_of_work() as session:
        row = session.get(Account, account.id, populate_existing=True)
        for name, value in change.items():
            setattr(row, name, value)
    with pytest.raises(DomainError) as refused:
        polling.request_import(account.id, started_by="x")
    assert refused.value.field == "account"


def test_the_same_range_asked_for_twice_is_one_run(account):
    now = datetime.now(UTC)
    first = polling.request_import(account.id, start=now - timedelta(days=1), end=now, started_by="x")
    again = polling.request_import(account.id, start=now - timedelta(days=1), end=now, started_by="y")
    assert (again.run_id, again.existing) == (first.run_id, True)


def test_a_cancelled_import_keeps_what_it_stored_and_leaves_the_cursor(account, market, monkeypatch):
    market.post("seed", region="GB", orders=300)
    run_id = runs.submit("orders.import", account_id=account.id, args={"parallel": 1}).run_id
    real = intake.store

    def cancelled_after_the_first_page(*positional, **named):
        outcome = real(*positional, **named)
        context._cancelled.set()
        return outcome

    original = runtime.JobContext

    def remember(*positional):
        nonlocal context
        context = original(*positional)
        return context

    context = None
    monkeypatch.setattr(runtime, "JobContext", remember)
    monkeypatch.setattr(intake, "store", cancelled_after_the_first_page)
    run = carry_out(run_id)
    assert run.state == "cancelled"
    assert len(numbers()) == 100
    assert cursor(account) is None

"""The job runtime: rows are the truth, Redis is a doorbell (product rules 1, 2, 5, 10; A221-A225)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from connector.clients import errors as api
from connector.core import redis as redis_connections
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.grids.activity import ACTIVITY
from connector.jobs import runtime, scheduler, sweeper, worker
from connector.jobs.runtime import Item, JobContext, LeaseLost, Skip
from connector.models.run import JobItem, JobRun, Schedule
from connector.models.trace import Event
from connector.services import events, kinds, runs
from tests.factories.racing import race, start
from tests.factories.waiting import until

pytestmark = pytest.mark.postgres


@pytest.fixture
def body(app: Flask) -> Iterator[Callable[[runtime.Body], str]]:
    """Register a body under a kind of its own for one test."""
    names: list[str] = []

    def register(fn: runtime.Body) -> str:
        name = f"test.{len(names)}"
        kinds.KINDS[name] = kinds.Kind(name, "A test run", lease_seconds=4, remote=False)
        runtime.BODIES[name] = fn
        names.append(name)
        return name

    yield register
    for name in names:
        del kinds.KINDS[name], runtime.BODIES[name]


def _run(run_id: int) -> JobRun:
    run = db.session.get(JobRun, run_id, populate_existing=True)
    db.session.commit()
    assert run is not None
    return run


def _items(run_id: int) -> dict[str, JobItem]:
    found = {
        item.ref: item
        for item in db.session.scalars(select(JobItem).where(JobItem.run_id == run_id).order_by(JobItem.id).execution_options(populate_existing=True))
    }
    db.session.commit()
    return found


def test_one_bad_item_never_stops_its_neighbours(body, work_off) -> None:
    def ship(ctx: JobContext) -> None:
        def one(item: Item) -> str:
            if item.ref == "2":
                raise DomainError("ship.no_tracking", "Order 2 has no tracking number.", "Enter one.")
            if item.ref == "3":
                raise Skip("ship.done", "Order 3 is shipped already.")
            return f"shipped {item.ref}"

        ctx.map(one, parallel=3)
        ctx.finish("Done.", shipped=2)

    run_id = runs.submit(body(ship), items=[(str(n), f"order {n}") for n in range(1, 5)]).run_id
    work_off()
    run, items = _run(run_id), _items(run_id)
    assert (run.state, run.done, run.failed, run.skipped, run.total) == ("partial", 2, 1, 1, 4)
    assert items["1"].message == "shipped 1"
    assert (items["2"].state, items["2"].code, items["2"].remedy) == ("failed", "ship.no_tracking", "Enter one.")
    assert items["3"].state == "skipped"


def test_a_second_click_returns_the_open_run(body, work_off) -> None:
    kind = body(lambda ctx: None)
    first = runs.submit(kind, key="ship:7")
    second = runs.submit(kind, key="ship:7")
    assert second.existing
    assert second.run_id == first.run_id
    work_off()
    assert not runs.submit(kind, key="ship:7").existing


def test_two_submitters_at_once_make_one_run(app, body) -> None:
    kind = body(lambda ctx: None)
    answers = race(app, *[lambda: runs.submit(kind, key="same").run_id] * 6)
    assert answers == [answers[0]] * 6
    assert db.session.scalar(select(func.count()).select_from(JobRun)) == 1


def test_a_rolled_back_submission_rings_for_nothing(app, body, work_off) -> None:
    seen: list[int] = []
    kind = body(lambda ctx: seen.append(ctx.run_id))

    def submit_and_break() -> None:
        with unit_of_work():
            runs.submit(kind)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        submit_and_break()
    work_off()
    assert seen == []
    assert db.session.scalar(select(func.count()).select_from(JobRun)) == 0


def test_flushing_redis_loses_nothing(app, body, work_off, config) -> None:
    kind = body(lambda ctx: ctx.finish("done after all"))
    submitted = [runs.submit(kind).run_id for _ in range(5)]
    redis_connections.patient(config.redis_url).flushall()
    work_off()
    assert [_run(run_id).state for run_id in submitted] == ["succeeded"] * 5


def test_an_unavailable_remote_side_is_tried_again_for_the_open_items_only(body, work_off) -> None:
    calls: list[str] = []

    def flaky(ctx: JobContext) -> None:
        def one(item: Item) -> None:
            calls.append(item.ref)
            if item.ref == "b" and calls.count("b") == 1:
                raise api.Unavailable("The store answers 503.", system="magento", operation="order", retry_after=0.2)

        ctx.map(one)

    run_id = runs.submit(body(flaky), items=[("a", "a"), ("b", "b")]).run_id
    work_off()
    assert _run(run_id).state == "succeeded"
    assert calls == ["a", "b", "b"]
    assert _items(run_id)["b"].attempts == 2


def test_unknown_errors_show_a_reference_and_five_in_a_row_stop_the_run(body, work_off) -> None:
    def broken(ctx: JobContext) -> None:
        ctx.map(lambda item: {}[item.ref])

    run_id = runs.submit(body(broken), items=[(str(n), "") for n in range(9)]).run_id
    work_off()
    states = [item.state for item in _items(run_id).values()]
    assert _run(run_id).state == "failed"
    assert states.count("failed") == 5
    assert states.count("cancelled") == 4
    assert "reference" in next(iter(_items(run_id).values())).message


def test_a_worker_that_was_replaced_cannot_write(app, body) -> None:
    def slow(ctx: JobContext) -> None:
        with unit_of_work() as session:  # another worker takes the run over meanwhile
            session.execute(update(JobRun).where(JobRun.id == ctx.run_id).values(fence=JobRun.fence + 1))
        with pytest.raises(LeaseLost), unit_of_work() as session:
            ctx.save_checkpoint(session, page=7)
        raise LeaseLost

    run_id = runs.submit(body(slow)).run_id
    runtime.perform(run_id)
    run = _run(run_id)
    assert run.checkpoint == {}
    assert run.state == "running"


def test_a_silent_worker_loses_its_run_to_the_next_one_which_goes_on_where_it_stood(app, body, work_off) -> None:
    passes: list[dict] = []

    def resumable(ctx: JobContext) -> None:
        passes.append(dict(ctx.checkpoint))
        if not ctx.checkpoint:
            with unit_of_work() as session:
                ctx.save_checkpoint(session, page=3)
            with unit_of_work() as session:  # the worker dies here: its lease runs out and nobody ends the run
                session.execute(update(JobRun).where(JobRun.id == ctx.run_id).values(lease_until=utcnow() - timedelta(seconds=60)))
            raise LeaseLost
        ctx.finish("resumed")

    run_id = runs.submit(body(resumable)).run_id
    runtime.perform(run_id)
    assert _run(run_id).state == "running"
    sweeper.requeue_stale()
    work_off()
    assert passes == [{}, {"page": 3}]
    assert _run(run_id).message == "resumed"


def test_a_run_that_kills_its_workers_is_stopped(app, body) -> None:
    def deadly(ctx: JobContext) -> None:
        with unit_of_work() as session:
            session.execute(update(JobRun).where(JobRun.id == ctx.run_id).values(lease_until=utcnow() - timedelta(seconds=60)))
        raise LeaseLost

    run_id = runs.submit(body(deadly)).run_id
    for _ in range(runtime.MAX_TAKES + 1):
        runtime.perform(run_id)
    assert (_run(run_id).state, _run(run_id).error_code) == ("failed", "run.kills_workers")


def test_cancel_stops_a_waiting_run_at_once_and_a_running_one_after_its_item(app, body, work_off) -> None:
    started = threading.Event()

    def long(ctx: JobContext) -> None:
        def one(item: Item) -> None:
            started.set()
            until(lambda: ctx.cancelled, "the wish to stop")

        ctx.map(one)

    kind = body(long)
    queued = runs.submit(kind, not_before=utcnow() + timedelta(hours=1)).run_id
    assert runs.cancel(queued, actor="operator@example.test").state == "cancelled"
    running = runs.submit(kind, items=[("1", ""), ("2", ""), ("3", "")]).run_id

    worker = start(app, lambda: runtime.perform(running))
    assert started.wait(60)
    runs.cancel(running, actor="operator@example.test")
    worker.result()
    assert _run(running).state == "cancelled"
    assert [item.state for item in _items(running).values()] == ["done", "cancelled", "cancelled"]


def test_retry_failed_makes_a_child_run_of_the_failed_items_only(body, work_off) -> None:
    fixed = threading.Event()

    def ship(ctx: JobContext) -> None:
        def one(item: Item) -> None:
            if item.ref != "1" and not fixed.is_set():
                raise DomainError("carrier.unmapped", "Carrier DFL is not mapped.", "Map it.")

        ctx.map(one)

    run_id = runs.submit(body(ship), items=[("1", ""), ("2", ""), ("3", "")]).run_id
    work_off()
    assert _run(run_id).state == "partial"
    fixed.set()
    child = runs.retry_failed(run_id, actor="operator@example.test").run_id
    work_off()
    assert set(_items(child)) == {"2", "3"}
    assert (_run(child).state, _run(child).parent_id) == ("succeeded", run_id)


def test_paused_work_waits_with_its_reason_and_goes_on_when_resumed(body, work_off) -> None:
    kind = body(lambda ctx: None)
    runs.pause(account_id=None, kind=kind, reason="stock-taking", actor="admin@example.test")
    run_id = runs.submit(kind).run_id
    runtime.perform(run_id)
    assert _run(run_id).state == "waiting"
    assert "stock-taking" in _run(run_id).wait_reason
    from connector.models.run import Pause

    runs.resume(db.session.scalar(select(Pause.id)))
    work_off()
    assert _run(run_id).state == "succeeded"


def test_a_bad_record_is_parked_with_its_reason(body, work_off) -> None:
    def intake(ctx: JobContext) -> None:
        ctx.park("5764", "order 5764", DomainError("order.no_currency", "Order 5764 has no currency.", "Report it."), {"payload": {"id": "5764"}})
        ctx.finish("1 of 100 orders could not be read.", stored=99)

    run_id = runs.submit(body(intake)).run_id
    work_off()
    item = _items(run_id)["5764"]
    assert (item.state, item.code, item.data) == ("failed", "order.no_currency", {"payload": {"id": "5764"}})
    assert _run(run_id).state == "partial"


def test_a_due_schedule_starts_one_run_and_two_schedulers_do_not_double_it(app, body) -> None:
    kind = body(lambda ctx: None)
    with unit_of_work() as session:
        session.add(Schedule(kind=kind, interval_seconds=60, next_due_at=utcnow() - timedelta(seconds=1)))
    assert scheduler.start_due() == 1
    assert scheduler.start_due() == 0
    assert db.session.scalar(select(func.count()).select_from(JobRun)) == 1


def test_every_kind_has_a_body_and_every_queue_a_worker(app) -> None:
    assert set(runtime.BODIES) == set(kinds.KINDS)
    assert {kind.queue for kind in kinds.KINDS.values()} <= set(kinds.QUEUES)
    assert worker.run_forever.__defaults__ is not None
    assert worker.run_forever.__defaults__[0] == kinds.QUEUES


def test_scheduled_runs_that_found_nothing_are_forgotten_and_those_that_did_something_stay(app, body, work_off) -> None:
    idle = body(lambda ctx: ctx.finish("Nothing new.", stored=0))
    busy = body(lambda ctx: ctx.finish("3 orders stored.", stored=3))
    quiet, useful = runs.submit(idle, started_by="scheduler").run_id, runs.submit(busy, started_by="scheduler").run_id
    by_hand = runs.submit(idle, started_by="operator@example.test").run_id
    work_off()
    assert sweeper.forget_quiet(timedelta(0)) == 1
    assert [db.session.get(JobRun, run_id, populate_existing=True) is None for run_id in (quiet, useful, by_hand)] == [True, False, False]


def test_a_quiet_run_is_shown_among_the_work_only_when_it_does_not_succeed(app, body, work_off) -> None:
    def breaks(ctx) -> None:
        raise DomainError("test.broken", "It cannot be done.", "Do something else.")

    fine, broken = body(lambda ctx: ctx.finish("3 products read.", read=3)), body(breaks)
    quiet, loud = runs.submit(fine, started_by="webhook", quiet=True).run_id, runs.submit(broken, started_by="webhook", quiet=True).run_id
    work_off()
    assert [runs.get(run_id).quiet for run_id in (quiet, loud)] == [True, False]
    shown = {tab.key: set(db.session.scalars(select(JobRun.id).where(tab.clause))) for tab in ACTIVITY.tabs if tab.clause is not None}
    assert (shown["all"], shown["done"], shown["failed"], shown["quiet"]) == ({loud}, set(), {loud}, {quiet})
    assert sweeper.forget_quiet(timedelta(0)) == 1


def test_what_an_item_records_carries_its_run_and_who_started_it(app, body, work_off) -> None:
    kind = body(lambda ctx: ctx.map(lambda item: events.record("test", "order", item.ref, "happened") and db.session.commit(), parallel=2))
    run_id = runs.submit(kind, items=[("1", ""), ("2", "")], started_by="operator@example.test").run_id
    work_off()
    found = db.session.scalars(select(Event).where(Event.kind == "test")).all()
    assert {(event.run_id, event.actor) for event in found} == {(run_id, f"job {kind} for operator@example.test")}


def test_the_last_progress_of_a_quick_run_is_not_lost(app, body, work_off) -> None:
    def quick(ctx: JobContext) -> None:
        for done in range(101):
            ctx.progress(done=done, total=100)

    run_id = runs.submit(body(quick)).run_id
    work_off()
    assert (_run(run_id).done, _run(run_id).total) == (100, 100)


def test_a_long_outage_is_waited_out_and_is_not_taken_for_dying_workers(app, body) -> None:
    passes: list[int] = []

    def away(ctx: JobContext) -> None:
        passes.append(ctx.run_id)
        if len(passes) <= runtime.MAX_TAKES + 3:
            raise api.Unavailable("TikTok answers 503.", system="tiktok", operation="search_orders", retry_after=0.01)
        ctx.finish("back again")

    run_id = runs.submit(body(away)).run_id
    for _ in range(runtime.MAX_TAKES + 4):
        runtime.perform(run_id)
        time.sleep(0.02)
    assert (_run(run_id).state, _run(run_id).message) == ("succeeded", "back again")

"""Queue Process: runs, one run with its items, pausing and resuming, the schedule (A221-A225, product.md 10)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, make_response, render_template, request, url_for
from flask_wtf import FlaskForm
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse
from wtforms import SelectField, StringField
from wtforms.validators import Length

from connector.blueprints.queue.cells import QUEUE_CELLS, product_url
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.grids.activity import ACTIVITY, ITEMS, account_choices
from connector.grids.queue_products import queue_products_grid
from connector.models.run import Heartbeat, JobRun, Pause, Schedule
from connector.services import events, runs, schedules
from connector.services.kinds import KINDS
from connector.web.auth import requires
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, is_htmx, toast

bp = Blueprint("queue", __name__, url_prefix="/queue")


def _pauses() -> list[Pause]:
    return list(db.session.scalars(select(Pause).order_by(Pause.id)))


grid_routes(bp, ACTIVITY, "queue/index.html", context=lambda: {"pauses": _pauses(), "kinds": KINDS, "accounts": account_choices()})


QUEUE_PRODUCTS = queue_products_grid(product_url)
grid_routes(bp, QUEUE_PRODUCTS, "queue/products.html", rule="/products", name="products", cells=QUEUE_CELLS)


def _run() -> JobRun:
    """The run that the address names."""
    found = db.session.get(JobRun, (request.view_args or {})["run_id"])
    if found is None:
        abort(404)
    return found


grid_routes(bp, ITEMS, "queue/run.html", scope=lambda: _run().id, context=lambda: {"run": _run()}, rule="/runs/<int:run_id>", name="run")


@bp.get("/runs/<int:run_id>/card")
@requires("queue.read")
def card(run_id: int) -> Response:
    """The run's card alone; 204 when the page already has this version."""
    found = db.session.get(JobRun, run_id)
    if found is None:
        abort(404)
    if request.args.get("version") == str(found.version):
        return make_response("", 204)
    return make_response(render_template("queue/_card.html", run=found))


@bp.post("/runs/<int:run_id>/cancel")
@requires("queue.write")
def cancel(run_id: int) -> AnyResponse:
    return _act(run_id, lambda: runs.cancel(run_id, actor=events.actor_now.get()) and None, "The run was asked to stop.")


@bp.post("/runs/<int:run_id>/retry")
@requires("queue.write")
def retry(run_id: int) -> AnyResponse:
    try:
        child = runs.retry_failed(run_id, actor=events.actor_now.get())
    except DomainError as error:
        toast(str(error), "danger")
        return go_to(url_for("queue.run", run_id=run_id))
    toast("A run of the failed items was started." if not child.existing else "The failed items are already being retried.")
    return go_to(url_for("queue.run", run_id=child.run_id))


def _act(run_id: int, action: Any, message: str) -> AnyResponse:
    try:
        action()
        toast(message)
    except DomainError as error:
        toast(str(error), "danger")
    if is_htmx():
        found = db.session.get(JobRun, run_id, populate_existing=True)
        return make_response(render_template("queue/_card.html", run=found))
    return go_to(url_for("queue.run", run_id=run_id))


class PauseForm(FlaskForm):
    """What to pause: an account, a kind of work, or both."""

    account = SelectField("Account")
    kind = SelectField("Kind of work")
    reason = StringField("Reason", validators=[Length(max=200)])


@bp.post("/pause")
@requires("queue.write")
def pause() -> AnyResponse:
    form = PauseForm()
    form.account.choices = {"": "All accounts"} | account_choices()
    form.kind.choices = {"*": "All work"} | {kind.name: kind.title for kind in KINDS.values()}
    if not form.validate_on_submit():
        toast("Nothing was paused: choose an account and a kind of work from the lists.", "danger")
        return go_to(url_for("queue.index"))
    with unit_of_work():
        runs.pause(
            account_id=int(form.account.data) if form.account.data else None, kind=form.kind.data, reason=form.reason.data or "", actor=events.actor_now.get()
        )
        events.record("queue.paused", "queue", form.kind.data, f"Paused {form.kind.choices[form.kind.data]}", reason=form.reason.data or "")
    toast("Paused. Work of this kind waits until it is resumed.")
    return go_to(url_for("queue.index"))


@bp.post("/pauses/<int:pause_id>/resume")
@requires("queue.write")
def resume(pause_id: int) -> AnyResponse:
    runs.resume(pause_id)
    toast("Resumed. Waiting work goes on now.")
    return go_to(url_for("queue.index"))


@bp.get("/schedule")
@requires("queue.read")
def schedule() -> str:
    """Every scheduled task with its last and next run and outcome; two missed periods are marked."""
    rows = db.session.scalars(select(Schedule).order_by(Schedule.account_id, Schedule.kind)).all()
    beat = db.session.get(Heartbeat, "scheduler")
    return render_template(
        "queue/schedule.html", schedules=rows, kinds=KINDS, missed=schedules.missed(), scheduler_seen=beat.at if beat else None, now=utcnow()
    )


@bp.post("/schedule/<int:schedule_id>/run")
@requires("queue.write")
def run_now(schedule_id: int) -> AnyResponse:
    found = db.session.get(Schedule, schedule_id)
    if found is None:
        abort(404)
    with unit_of_work() as session:
        submitted = runs.submit(
            found.kind, account_id=found.account_id, key=f"schedule:{found.kind}:{found.account_id or 'all'}", started_by=events.actor_now.get()
        )
        row = session.get(Schedule, schedule_id)
        row.last_run_id, row.last_started_at = submitted.run_id, utcnow()
    toast("Already running." if submitted.existing else "Started.")
    return go_to(url_for("queue.run", run_id=submitted.run_id))


@bp.post("/schedule/<int:schedule_id>/switch")
@requires("queue.write")
def switch(schedule_id: int) -> AnyResponse:
    with unit_of_work() as session:
        found = session.get(Schedule, schedule_id)
        if found is None:
            abort(404)
        found.enabled = not found.enabled
        found.next_due_at = utcnow()
        events.record("schedule.switched", "schedule", found.id, f"{KINDS[found.kind].title}: {'on' if found.enabled else 'off'}", account_id=found.account_id)
        toast(f"{KINDS[found.kind].title} is {'on' if found.enabled else 'off'}.")
    return go_to(url_for("queue.schedule"))

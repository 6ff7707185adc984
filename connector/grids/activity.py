"""Queue Process / Activity: every run with who started it, how far it is and what it waits for (A221-A225, product.md 10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, func, select

from connector.core.db import db
from connector.core.errors import DomainError
from connector.grids import Action, Choices, Column, DateRange, Empty, Grid, Join, Label, Preview, Result, Tab
from connector.models.account import Account
from connector.models.run import CANCELLED, FAILED, OPEN_STATES, PARTIAL, QUEUED, RUNNING, SUCCEEDED, WAITING, JobItem, JobRun
from connector.services import events, runs
from connector.services.kinds import KINDS

RUN_LABELS = {
    QUEUED: Label("Pending", "neutral"),
    RUNNING: Label("Running", "progress"),
    WAITING: Label("Waiting", "warning"),
    SUCCEEDED: Label("Done", "success"),
    PARTIAL: Label("Partly failed", "warning"),
    FAILED: Label("Failed", "danger"),
    CANCELLED: Label("Cancelled", "neutral"),
}
ITEM_LABELS = {
    "open": Label("Pending", "neutral"),
    "done": Label("Done", "success"),
    "failed": Label("Parked", "danger"),
    "skipped": Label("Skipped", "neutral"),
    "cancelled": Label("Cancelled", "neutral"),
}


#: Without routine: scheduled runs that found nothing to do, readings that follow webhooks. Such a run is here when it fails.
_SHOWN = JobRun.quiet.is_(False)
_TITLES = select(Account.id, Account.title).order_by(Account.title)


def account_choices() -> dict[str, str]:
    """Account ids and titles, for filters."""
    return {str(id_): title for id_, title in db.session.connection().execute(_TITLES)}


def _found(ids: Sequence[Any]) -> dict[int, JobRun]:
    return {run.id: run for run in db.session.scalars(select(JobRun).where(JobRun.id.in_([int(one) for one in ids])))}


def _preview_cancel(ids: Sequence[Any]) -> list[Preview]:
    return [
        Preview(run.id, f"{run.title} (run {run.id})", run.state in OPEN_STATES, "" if run.state in OPEN_STATES else "It has already ended.")
        for run in _found(ids).values()
    ]


def _cancel(ids: Sequence[Any], form: Any) -> Result:
    stopped = 0
    for run_id in ids:
        try:
            runs.cancel(int(run_id), actor=events.actor_now.get())
            stopped += 1
        except DomainError:  # ended between the preview and the click
            continue
    return Result(f"{stopped} run{'s' if stopped != 1 else ''} asked to stop.")


def _preview_retry(ids: Sequence[Any]) -> list[Preview]:
    answers = []
    for run in _found(ids).values():
        reason = "It is still open." if run.state in OPEN_STATES else "" if run.failed or run.state in (FAILED, CANCELLED) else "Nothing failed in it."
        answers.append(Preview(run.id, f"{run.title} (run {run.id})", not reason, reason))
    return answers


def _retry(ids: Sequence[Any], form: Any) -> Result:
    started = [runs.retry_failed(int(run_id), actor=events.actor_now.get()).run_id for run_id in ids]
    return Result(f"{len(started)} run{'s' if len(started) != 1 else ''} started for what had failed.", run_id=started[0] if len(started) == 1 else None)


ACTIVITY = Grid(
    key="activity",
    title="Queue Process",
    noun="run",
    permission="queue.read",
    model=JobRun,
    pk=JobRun.id,
    joins=(Join(Account, Account.id == JobRun.account_id, outer=True),),
    columns=(
        Column(key="title", label="Work", expr=JobRun.title, cell="link"),
        Column(key="account", label="Account Name", expr=func.coalesce(Account.title, "all"), sort=False),
        Column(key="state", label="Queue Status", expr=JobRun.state, cell="state", labels=RUN_LABELS),
        Column(
            key="progress", label="Progress", expr=JobRun.done, cell="run_progress", sort=False,
            also={"total": JobRun.total, "failed": JobRun.failed, "skipped": JobRun.skipped, "run_state": JobRun.state},
        ),
        Column(key="why", label="Stage or reason", expr=func.coalesce(func.nullif(JobRun.wait_reason, ""), func.nullif(JobRun.stage, ""), JobRun.message), cell="long_text", sort=False),
        Column(key="started_by", label="Started by", expr=JobRun.started_by, sort=False),
        Column(key="created_at", label="Asked for", expr=JobRun.created_at, cell="when"),
        Column(key="finished_at", label="Ended", expr=JobRun.finished_at, cell="when", sort=False),
        Column(key="id", label="Run", expr=JobRun.id, cell="number", default=False),
        Column(key="queue", label="Queue", expr=JobRun.queue, default=False, sort=False),
    ),
    filters=(
        Choices("account", "Account", JobRun.account_id, account_choices, pinned=True),
        Choices("kind", "Work", JobRun.kind, {kind.name: kind.title for kind in KINDS.values()}),
        Choices("state", "Status", JobRun.state, {key: label.text for key, label in RUN_LABELS.items()}),
        DateRange("asked", "Asked for", JobRun.created_at),
    ),
    tabs=(
        Tab("all", "All", _SHOWN),
        Tab("open", "Open", and_(JobRun.state.in_(OPEN_STATES), _SHOWN), "progress"),
        Tab("failed", "Failed", JobRun.state.in_((FAILED, PARTIAL)), "danger"),
        Tab("done", "Done", and_(JobRun.state == SUCCEEDED, _SHOWN), "success"),
        Tab("quiet", "Routine", JobRun.quiet),
    ),
    search=(JobRun.title, JobRun.started_by),
    search_hint="Work or person",
    default_sort="-created_at",
    actions=(
        Action(
            key="cancel", label="Cancel", icon="player-stop", permission="queue.write", preview=_preview_cancel, submit=_cancel, danger=True,
            help="Runs stop after their present item; what is done stays done.", visible=lambda row: row["state"] in OPEN_STATES,
        ),
        Action(
            key="retry", label="Retry failed", icon="refresh", permission="queue.write", preview=_preview_retry, submit=_retry,
            help="A new run of the failed items only.", visible=lambda row: bool(row["failed"]) and row["state"] not in OPEN_STATES,
        ),
    ),
    always={"failed": JobRun.failed, "state": JobRun.state},
    row_label="title",
    row_url=lambda row: f"/queue/runs/{row['pk']}",
    cells="queue/_cells.html",
    events=("run:changed",),
    empty=Empty("Nothing has run yet", "Imports, order actions and scheduled work appear here with their progress.", "Import orders", "orders.import_form"),
)  # fmt: skip


#: The units of one run, with their results; the scope is the run's id.
ITEMS = Grid(
    key="run_items",
    title="Items",
    noun="item",
    permission="queue.read",
    model=JobItem,
    pk=JobItem.id,
    where=lambda scope: [JobItem.run_id == scope],
    columns=(
        Column(key="label", label="Item", expr=func.coalesce(func.nullif(JobItem.label, ""), JobItem.ref), sort=False),
        Column(key="state", label="Result", expr=JobItem.state, cell="state", labels=ITEM_LABELS, sort=False),
        Column(key="message", label="What happened", expr=JobItem.message, cell="prose", sort=False),
        Column(key="remedy", label="What to do", expr=JobItem.remedy, cell="prose", sort=False),
        Column(key="code", label="Cause", expr=JobItem.code, cell="mono", sort=False),
        Column(key="attempts", label="Attempts", expr=JobItem.attempts, cell="number", default=False, sort=False),
        Column(key="id", label="No.", expr=JobItem.id, cell="number", default=False),
    ),
    filters=(Choices("state", "Result", JobItem.state, {key: label.text for key, label in ITEM_LABELS.items()}),),
    tabs=(Tab("all", "All"), Tab("failed", "Parked", JobItem.state == "failed", "danger"), Tab("done", "Done", JobItem.state == "done", "success")),
    search=(JobItem.label, JobItem.message),
    default_sort="id",
    events=("run:changed",),
    empty=Empty("This run has no items of its own", "Its progress stands above."),
)

"""Queue Process / Products: one row a product and piece of work, in whatever state it waits, runs or ended (A221-A225)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, func, literal_column, or_

from connector.grids.activity import account_choices
from connector.grids.filters import Choices, DateRange
from connector.grids.grid import Action, Column, Empty, Grid, Join, Label, Preview, Result, Tab
from connector.grids.products_narrowing import template_choices
from connector.models.account import Account
from connector.models.listing import Listing, ListingTemplate
from connector.models.product import Product
from connector.models.run import CANCELLED, FINAL_STATES, QUEUED, RUNNING, WAITING, JobItem, JobRun
from connector.services import events
from connector.services.kinds import KINDS
from connector.services.products import queue

_OPEN = JobItem.state.in_(("open", "waiting"))
_EMPTY: ColumnElement[str] = literal_column("''")

#: Queue Status (A225): what an item and its run mean together. An open item of a run that ended was left behind: it is parked.
STATUSES: dict[str, tuple[Label, ColumnElement[bool]]] = {
    "running": (Label("Running", "progress"), and_(_OPEN, JobRun.state == RUNNING, JobItem.retry_at.is_(None), JobItem.stage != _EMPTY)),
    "retrying": (Label("Retrying", "warning"), and_(_OPEN, JobRun.state.not_in(FINAL_STATES), JobItem.retry_at.is_not(None))),
    "waiting": (Label("Waiting", "warning"), and_(_OPEN, JobRun.state == WAITING, JobItem.retry_at.is_(None))),
    "scheduled": (Label("Scheduled", "info"), and_(_OPEN, JobRun.state == QUEUED, JobRun.not_before.is_not(None), JobItem.retry_at.is_(None))),
    "pending": (
        Label("Pending", "neutral"),
        and_(
            _OPEN, JobItem.retry_at.is_(None),
            or_(and_(JobRun.state == QUEUED, JobRun.not_before.is_(None)), and_(JobRun.state == RUNNING, JobItem.stage == _EMPTY)),
        ),
    ),
    "parked": (Label("Parked", "danger"), or_(JobItem.state == "failed", and_(_OPEN, JobRun.state.in_([each for each in FINAL_STATES if each != CANCELLED])))),
    "done": (Label("Done", "success"), JobItem.state == "done"),
    "cancelled": (Label("Cancelled", "neutral"), or_(JobItem.state == "cancelled", and_(_OPEN, JobRun.state == CANCELLED))),
    "skipped": (Label("Left out", "neutral"), JobItem.state == "skipped"),
}  # fmt: skip
STATUS_LABELS = {key: label for key, (label, _) in STATUSES.items()}
_STATUS = case(*((clause, key) for key, (_, clause) in STATUSES.items()), else_=JobItem.state)

#: The listing that an item is about; other refs have none.
_LISTING_ID = case((JobItem.ref.regexp_match("^[0-9]{1,18}$"), cast(JobItem.ref, BigInteger)))


def _by_status(values: Sequence[str]) -> ColumnElement[bool]:
    return or_(*(STATUSES[value][1] for value in values))


def _preview(ids: Sequence[Any]) -> list[Preview]:
    return [
        Preview(unit.item_id, f"{unit.label}: {KINDS[unit.kind].title}", not unit.why_not, unit.why_not) for unit in queue.units([int(each) for each in ids])
    ]


def _retry(ids: Sequence[Any], form: Any) -> Result:
    started = queue.retry([int(each) for each in ids], actor=events.actor_now.get())
    count = f"{len(ids):,} {'product' if len(ids) == 1 else 'products'}"
    return Result(f"{count} put into the queue again.", run_id=started[0].run_id if len(started) == 1 else None)


def queue_products_grid(row_url: Callable[[Mapping[str, Any]], str]) -> Grid:
    """The grid; ``row_url`` is the address of a row's product."""
    return Grid(
        key="queue_products",
        title="Queue Process",
        noun="product",
        permission="queue.read",
        model=JobItem,
        pk=JobItem.id,
        where=lambda scope: [JobRun.kind.in_(queue.KINDS)],
        joins=(
            Join(JobRun, JobRun.id == JobItem.run_id),
            Join(Account, Account.id == JobRun.account_id, outer=True),
            Join(Listing, Listing.id == _LISTING_ID, outer=True),
            Join(Product, Product.id == Listing.product_id, outer=True),
            Join(ListingTemplate, ListingTemplate.id == Listing.template_id, outer=True),
        ),
        columns=(
            Column(
                key="name", label="Name", expr=func.coalesce(func.nullif(Product.name, _EMPTY), func.nullif(JobItem.label, _EMPTY), JobItem.ref), cell="queued_name",
                sort=False, also={"product_id": Product.id, "sku": Product.sku, "account_id": JobRun.account_id},
            ),
            Column(key="account", label="Account Name", expr=Account.title, sort=False),
            Column(key="template", label="Template Name", expr=ListingTemplate.name, sort=False),
            Column(
                key="status", label="Queue Status", expr=_STATUS, cell="queue_status", labels=STATUS_LABELS, sort=False,
                also={"stage": JobItem.stage, "retry_at": JobItem.retry_at, "wait_reason": JobRun.wait_reason, "not_before": JobRun.not_before},
            ),
            Column(
                key="message", label="What happened", expr=JobItem.message, cell="queued_outcome", sort=False,
                also={"remedy": JobItem.remedy, "code": JobItem.code, "run_message": JobRun.message},
            ),
            Column(key="kind", label="Work", expr=JobRun.kind, labels={kind: KINDS[kind].title for kind in queue.KINDS}, sort=False, also={"run_id": JobRun.id}, cell="queued_work"),
            Column(key="sku_shown", label="SKU", expr=Product.sku, cell="mono", sort=False),
            Column(key="started_by", label="Started by", expr=JobRun.started_by, sort=False),
            Column(key="asked_at", label="Asked for", expr=JobRun.created_at, cell="when", sort=False),
            Column(key="finished_at", label="Ended", expr=JobItem.finished_at, cell="when", sort=False),
            Column(key="attempts", label="Attempts", expr=JobItem.attempts, cell="number", align="end", sort=False, default=False),
            Column(key="id", label="No.", expr=JobItem.id, cell="number", default=False),
        ),
        filters=(
            Choices("account", "Account View", JobRun.account_id, account_choices, pinned=True),
            Choices("status", "Queue status", _by_status, {key: label.text for key, label in STATUS_LABELS.items()}),
            Choices("kind", "Work", JobRun.kind, {kind: KINDS[kind].title for kind in queue.KINDS}),
            Choices("template", "Listing template", Listing.template_id, template_choices),
            DateRange("asked", "Asked for", JobRun.created_at),
        ),
        tabs=(
            Tab("all", "All"),
            *(
                Tab(key, STATUS_LABELS[key].text, STATUSES[key][1], STATUS_LABELS[key].tone)
                for key in ("pending", "scheduled", "waiting", "running", "retrying", "parked", "done", "cancelled")
            ),
        ),
        search=(JobItem.label, JobItem.message),
        search_hint="Product, SKU or message",
        default_sort="-id",
        actions=(
            Action(
                key="retry", label="Retry", icon="refresh", permission="queue.write", preview=_preview, submit=_retry,
                help="Parked and cancelled products are put into the queue again.", visible=lambda row: row["raw_status"] in ("parked", "cancelled"),
            ),
        ),
        always={"raw_status": _STATUS},
        row_label="name",
        row_url=row_url,
        events=("run:changed",),
        empty=Empty("Nothing is queued", "Products appear here when they are validated, uploaded or synchronised, by hand or by schedule.", "Open the products", "products.index"),
    )  # fmt: skip

"""What goes to an OMS and what comes from it: feeds, updates, batches (A251-A255)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import and_, select

from connector.core.db import db
from connector.domain import oms_events
from connector.grids import Action, Choices, Column, DateRange, Empty, Filter, Flag, Grid, Join, Label, Preview, Result, Tab
from connector.grids.activity import account_choices
from connector.models.account import Account
from connector.models.oms import (
    EVENT,
    FEED_BUILDING,
    FEED_FAILED,
    FEED_READY,
    FOLDER,
    IMPORT,
    PULL,
    UPDATE_DONE,
    UPDATE_FAILED,
    UPDATE_IGNORED,
    UPDATE_RECEIVED,
    OmsBatch,
    OmsUpdate,
    OrderFeed,
)
from connector.services import events
from connector.services.oms import announce, updates
from connector.services.oms.connection import FORMATS
from connector.services.oms.feed import ANNOUNCED, FAILED, WAITING

FEED_LABELS = {FEED_BUILDING: Label("Being written", "progress"), FEED_READY: Label("Ready", "success"), FEED_FAILED: Label("Failed", "danger")}
NOTIFY_LABELS = {
    "": Label("No address", "neutral"),
    WAITING: Label("Not yet", "warning"),
    ANNOUNCED: Label("Announced", "success"),
    FAILED: Label("Given up", "danger"),
}
UPDATE_LABELS = {
    UPDATE_RECEIVED: Label("Waits", "progress"),
    UPDATE_DONE: Label("Done", "success"),
    UPDATE_IGNORED: Label("Nothing to do", "neutral"),
    UPDATE_FAILED: Label("Failed", "danger"),
}
SOURCES = {EVENT: Label("Event"), PULL: Label("Pull"), IMPORT: Label("File"), FOLDER: Label("Drop folder")}
ACTIONS = {
    oms_events.SHIPPED: Label("Shipped"),
    oms_events.CANCELLED: Label("Cancelled"),
    oms_events.DELIVERED: Label("Delivered"),
    oms_events.CANCELLATION_ANSWERED: Label("Cancellation answered"),
    oms_events.GOODS_RECEIVED: Label("Goods received"),
    "": Label("Not understood", "warning"),
}


Row = TypeVar("Row", OrderFeed, OmsUpdate)
_ACCOUNT = Column(key="account", label="Account", expr=Account.title, sort=False)


def _grid(model: Any, *filters: Filter, **facts: Any) -> Grid:
    """A grid of something that belongs to an account, which has its column (``_ACCOUNT``) and its filter in the toolbar."""
    whose = Choices("account", "Account", model.account_id, account_choices, pinned=True)
    return Grid(
        model=model, pk=model.id, permission="oms.read", joins=(Join(Account, Account.id == model.account_id),), filters=(whose, *filters),
        cells="oms/_cells.html", events=("run:changed",), **facts,
    )  # fmt: skip


def _rows(model: type[Row], ids: Sequence[Any]) -> list[Row]:
    return list(db.session.scalars(select(model).where(model.id.in_([int(one) for one in ids])).order_by(model.id)))


def _preview_announce(ids: Sequence[Any]) -> list[Preview]:
    return [
        Preview(row.id, f"{row.number} ({row.format})", row.state == FEED_READY, "" if row.state == FEED_READY else "It is not ready yet.")
        for row in _rows(OrderFeed, ids)
    ]


def _announce(ids: Sequence[Any], form: Any) -> Result:
    started = [announce.again(int(feed_id), actor=events.actor_now.get()) for feed_id in ids]
    run_id = started[0].run_id if len(started) == 1 else None
    return Result(f"{len(started)} feed{'' if len(started) == 1 else 's'} will be announced again.", run_id=run_id)


FEEDS = _grid(
    OrderFeed,
    Choices("format", "Format", OrderFeed.format, FORMATS),
    Choices("announced", "Announced", OrderFeed.notify_state, {key: label for key, label in NOTIFY_LABELS.items() if key}),
    Flag("collected", "Collected", OrderFeed.collected_at.is_not(None)),
    DateRange("made", "Made", OrderFeed.created_at),
    key="oms_feeds",
    title="Order feeds",
    noun="feed",
    columns=(
        Column(key="number", label="Feed", expr=OrderFeed.number, cell="number", sort=False),
        Column(key="file", label="File", expr=OrderFeed.id, cell="feed_file", sort=False, also={"ready": OrderFeed.state}),
        _ACCOUNT,
        Column(key="format", label="Format", expr=OrderFeed.format, labels=FORMATS, sort=False),
        Column(key="state", label="State", expr=OrderFeed.state, cell="state", labels=FEED_LABELS, sort=False),
        Column(key="orders", label="Orders", expr=OrderFeed.position, cell="feed_orders", align="end", sort=False, export=lambda value, row: (value or {}).get("orders", 0)),
        Column(key="rows", label="Rows", expr=OrderFeed.rows, cell="number", align="end", sort=False, default=False),
        Column(key="size", label="Size", expr=OrderFeed.size, cell="feed_size", align="end", sort=False),
        Column(key="created_at", label="Made", expr=OrderFeed.created_at, cell="when"),
        Column(
            key="notify_state", label="Announced", expr=OrderFeed.notify_state, cell="feed_announced", labels=NOTIFY_LABELS, sort=False,
            also={"notify_message": OrderFeed.notify_message, "notified_at": OrderFeed.notified_at, "notify_attempts": OrderFeed.notify_attempts},
        ),
        Column(key="collected_at", label="Collected", expr=OrderFeed.collected_at, cell="feed_collected", sort=False, also={"times": OrderFeed.collected_count}),
        Column(key="sha256", label="SHA-256", expr=OrderFeed.sha256, cell="mono", sort=False, default=False),
    ),
    tabs=(
        Tab("all", "All"),
        Tab("open", "Not collected", and_(OrderFeed.state == FEED_READY, OrderFeed.collected_at.is_(None)), "warning"),
        Tab("failed", "Not announced", OrderFeed.notify_state.in_((WAITING, FAILED)), "danger"),
    ),
    default_sort="-created_at",
    actions=(
        Action(
            key="announce", label="Announce again", icon="send", permission="oms.write", preview=_preview_announce, submit=_announce,
            help="The signed feed-ready call is made once more. An OMS that knows the feed has nothing to do.", visible=lambda row: row["is_ready"] == FEED_READY,
        ),
    ),
    always={"is_ready": OrderFeed.state},
    row_label="number",
    empty=Empty("No feed yet", "A feed is written when orders are new or have changed, once an OMS is connected.", "Connect an OMS", "oms.connections"),
)  # fmt: skip


def _why_not(row: OmsUpdate) -> str:
    if row.state != UPDATE_FAILED:
        return "It has not failed."
    return "It could not be read; the OMS has to send it again." if row.code == updates.UNREADABLE or not row.action else ""


def _preview_retry(ids: Sequence[Any]) -> list[Preview]:
    return [
        Preview(row.id, f"{updates.own_id(row) or row.event_id.strip()} ({row.order_number})", not _why_not(row), _why_not(row))
        for row in _rows(OmsUpdate, ids)
    ]


def _retry(ids: Sequence[Any], form: Any) -> Result:
    submitted = updates.retry([int(one) for one in ids], actor=events.actor_now.get())
    return Result(f"{len(ids)} update{'' if len(ids) == 1 else 's'} will be carried out again.", run_id=submitted.run_id if submitted else None)


def _preview_aside(ids: Sequence[Any]) -> list[Preview]:
    return [
        Preview(
            row.id,
            f"{updates.own_id(row) or row.event_id.strip()} ({row.order_number})",
            row.state == UPDATE_FAILED,
            "It has not failed." if row.state != UPDATE_FAILED else "",
        )
        for row in _rows(OmsUpdate, ids)
    ]


def _set_aside(ids: Sequence[Any], form: Any) -> Result:
    count = updates.set_aside([int(one) for one in ids], actor=events.actor_now.get())
    return Result(f"{count} update{'' if count == 1 else 's'} set aside.")


_STATE = Choices("state", "State", OmsUpdate.state, UPDATE_LABELS)

UPDATES = _grid(
    OmsUpdate,
    Choices("source", "Came by", OmsUpdate.source, SOURCES),
    Choices("action", "It says", OmsUpdate.action, {key: label for key, label in ACTIONS.items() if key}),
    _STATE,
    DateRange("received", "Received", OmsUpdate.received_at),
    key="oms_updates",
    title="OMS updates",
    noun="update",
    columns=(
        Column(key="received_at", label="Received", expr=OmsUpdate.received_at, cell="when"),
        Column(key="line", label="Line", expr=OmsUpdate.line, cell="number", sort=False, default=False),
        Column(key="order", label="Order", expr=OmsUpdate.order_number, cell="order_link", sort=False, also={"known_order": OmsUpdate.order_id}),
        Column(key="action", label="It says", expr=OmsUpdate.action, cell="text", labels=ACTIONS, sort=False),
        Column(key="source", label="Came by", expr=OmsUpdate.source, labels=SOURCES, sort=False),
        _ACCOUNT,
        Column(
            key="state", label="State", expr=OmsUpdate.state, cell="update_state", labels=UPDATE_LABELS, sort=False,
            also={"message_now": OmsUpdate.message, "remedy_now": OmsUpdate.remedy, "code_now": OmsUpdate.code},
        ),
        Column(key="message", label="What happened", expr=OmsUpdate.message, cell="long_text", sort=False),
        Column(key="remedy", label="What to do", expr=OmsUpdate.remedy, cell="long_text", sort=False, default=False),
        Column(key="code", label="Cause", expr=OmsUpdate.code, cell="mono", sort=False, default=False),
        Column(key="event_id", label="Event id", expr=OmsUpdate.event_id, cell="mono", sort=False, default=False),
        Column(key="done_at", label="Carried out", expr=OmsUpdate.done_at, cell="when", sort=False, default=False),
    ),
    tabs=(
        Tab("all", "All"),
        Tab("failed", "Failed", OmsUpdate.state == UPDATE_FAILED, "danger"),
        Tab("waiting", "Waiting", OmsUpdate.state == UPDATE_RECEIVED, "progress"),
        Tab("done", "Done", OmsUpdate.state == UPDATE_DONE, "success"),
    ),
    search=(OmsUpdate.order_number, OmsUpdate.event_id),
    search_hint="Order number or event id",
    default_sort="-received_at",
    actions=(
        Action(
            key="retry", label="Retry", icon="refresh", permission="oms.write", preview=_preview_retry, submit=_retry,
            help="Failed updates are carried out again; what is done already is not done twice.", visible=lambda row: row["is_state"] == UPDATE_FAILED,
        ),
        Action(
            key="aside", label="Set aside", icon="check", permission="oms.write", preview=_preview_aside, submit=_set_aside,
            help="What failed was seen to, or nothing is to be done. It is not carried out and waits for nobody any more.",
            visible=lambda row: row["is_state"] == UPDATE_FAILED,
        ),
    ),
    always={"is_state": OmsUpdate.state},
    row_label="order",
    empty=Empty("Nothing was said yet", "Shipments and cancellations of the OMS appear here, whichever way they came.", "Connect an OMS", "oms.connections"),
)  # fmt: skip

BATCHES = _grid(
    OmsBatch,
    Choices("source", "Came by", OmsBatch.source, {source: SOURCES[source] for source in (IMPORT, FOLDER)}),
    DateRange("received", "Received", OmsBatch.created_at),
    key="oms_batches",
    title="Batches of updates",
    noun="batch",
    plural="batches",
    columns=(
        Column(key="file", label="File", expr=OmsBatch.file_name, cell="link", sort=False),
        _ACCOUNT,
        Column(key="source", label="Came by", expr=OmsBatch.source, labels=SOURCES, sort=False),
        Column(key="rows", label="Lines", expr=OmsBatch.rows, cell="number", align="end", sort=False),
        Column(key="created_by", label="By", expr=OmsBatch.created_by, sort=False),
        Column(key="created_at", label="Received", expr=OmsBatch.created_at, cell="when"),
    ),
    search=(OmsBatch.file_name,),
    search_hint="File name",
    default_sort="-created_at",
    row_url=lambda row: f"/oms/batches/{row['pk']}",
    empty=Empty("No batch yet", "A file of shipments and cancellations that is uploaded here, sent to the API or dropped into the folder is listed with its results."),
)  # fmt: skip

#: The lines of one batch; the scope is the batch's id.
BATCH_LINES = replace(
    UPDATES,
    key="oms_batch_lines",
    title="Lines",
    noun="line",
    where=lambda scope: [OmsUpdate.batch_id == scope],
    columns=(
        Column(key="line", label="Line", expr=OmsUpdate.line, cell="number"),
        *(column for column in UPDATES.columns if column.key in ("order", "action", "state")),
        Column(key="message", label="What happened", expr=OmsUpdate.message, cell="prose", sort=False),
        *(column for column in UPDATES.columns if column.key in ("remedy", "code")),
    ),
    filters=(_STATE,),
    search=(OmsUpdate.order_number,),
    search_hint="Order number",
    default_sort="line",
    row_label="line",
    empty=Empty("This batch has no lines", ""),
)

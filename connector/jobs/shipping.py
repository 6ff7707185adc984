"""Job bodies of the shipping desk: thin, they call the services."""

from __future__ import annotations

from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.jobs.context import JobContext, Skip
from connector.jobs.runtime import job
from connector.services.orders import flags, parcels, push, reject, ship, shipments, tracking
from connector.services.orders.parcels import DELIVERED, PENDING, Outcome
from connector.services.storefronts import external

#: Parcels sent at once; the limiter of the client keeps TikTok's pace.
SLOTS = 8


@job("orders.ship")
def ship_orders(ctx: JobContext) -> None:
    ctx.map(lambda item: _said(ship.ship_one(int(item.ref))), parallel=SLOTS)


@job("orders.settle_tracking")
def settle_tracking(ctx: JobContext) -> None:
    """The items (our order ids). ``args``: answer (ours, theirs)."""
    answer = str(ctx.args.get("answer", ""))
    ctx.map(lambda item: tracking.settle(int(item.ref), answer, actor=ctx.started_by), parallel=SLOTS)


@job("shipments.push")
def push_parcels(ctx: JobContext) -> None:
    assert ctx.account_id is not None
    due = parcels.due_orders(ctx.account_id)
    db.session.commit()
    if due:
        ctx.add_items(due)
    ctx.map(lambda item: _said(push.push_order(int(item.ref))), parallel=SLOTS)


@job("orders.reject")
def reject_orders(ctx: JobContext) -> None:
    reason = str(ctx.args.get("reason", ""))
    if ctx.args.get("from_store"):
        ctx.map(lambda item: external.reject_for_store(int(item.ref)), parallel=SLOTS)
        return
    ctx.map(lambda item: reject.reject_one(int(item.ref), reason, actor=ctx.started_by), parallel=SLOTS)


@job("shipments.collect")
def collect_shipments(ctx: JobContext) -> None:
    assert ctx.account_id is not None
    found = shipments.collect(ctx.account_id, guard=ctx.commit_guard)
    flags.sweep(ctx.account_id)
    with unit_of_work() as session:
        ctx.commit_guard(session)
        parcels.submit_due(ctx.account_id, started_by="schedule")
    db.session.commit()
    parts = [f"{found.seen} shipments read", f"{found.parcels} parcels to send"]
    if found.trackless:
        parts.append(f"{found.trackless} without a tracking number yet")
    ctx.finish("; ".join(parts) + ".", seen=found.seen, parcels=found.parcels, trackless=found.trackless)


def _said(outcomes: list[Outcome]) -> str:
    """What the item says. Parcels that wait for something that passes are skipped; refused ones fail the item."""
    refused = [one for one in outcomes if one.state not in (DELIVERED, PENDING)]
    waiting = [one for one in outcomes if one.state == PENDING]
    if refused:
        raise DomainError(refused[0].code, " ".join(one.message for one in refused), refused[0].remedy)
    if waiting:
        raise Skip(waiting[0].code, " ".join(one.message for one in waiting), waiting[0].remedy)
    return " ".join(one.message for one in outcomes) or "Nothing was waiting to be sent."

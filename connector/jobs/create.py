"""Job bodies of the creation desk: creating in Magento, following TikTok's changes, writing order numbers back. Thin; they call services."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select

from connector.core.clock import utcnow
from connector.core.db import db
from connector.core.errors import DomainError
from connector.jobs.context import MAX_ATTEMPTS, Item, Skip
from connector.jobs.runtime import JobContext, job
from connector.models.account import Account
from connector.models.order import READY, Order
from connector.models.run import RUNNING, JobRun
from connector.services import events, runs
from connector.services.orders import create, follow, references
from connector.services.orders.creation_desk import CreationDesk

#: Writers at once into an external storefront; its own limits slow them down.
EXTERNAL_SLOTS = 4


@job("orders.create")
def create_orders(ctx: JobContext) -> None:
    """Create the run's orders; without items, all of the account that are ready or were left half-way. ``args``: by_hand."""
    by_hand = bool(ctx.args.get("by_hand"))
    if not ctx.has_items():
        ctx.add_items([*_ready(ctx.account_id), *follow.unfinished(ctx.account_id)] if ctx.account_id else [])
    desk = CreationDesk(by_hand=by_hand)
    ctx.progress(stage="Asking Magento for products and stock", force=True)
    desk.prepare([int(ref) for ref in ctx.open_refs()])
    ctx.progress(stage="Creating orders", force=True)

    def one(item: Item) -> str | None:
        result = create.create_one(int(item.ref), desk=desk, last_try=item.attempts + 1 >= MAX_ATTEMPTS)
        if result.outcome == "refused":
            raise DomainError(result.code, result.message, result.remedy)
        if result.outcome == "left":
            raise Skip(result.code, result.message, result.remedy)
        return result.message

    try:
        ctx.map(_traced(ctx, one), parallel=_slots(ctx, desk))
    finally:
        if ctx.account_id and references.count_waiting(ctx.account_id):
            runs.submit("orders.reference", account_id=ctx.account_id, key=f"orders.reference:{ctx.account_id}")


@job("orders.follow")
def follow_orders(ctx: JobContext) -> None:
    """Carry TikTok's changes into Magento for the run's orders; without items, for all of the account that need it."""
    desk = CreationDesk()
    if not ctx.has_items() and ctx.account_id:
        ctx.add_items(follow.waiting(ctx.account_id, desk.rules(ctx.account_id)))
        left = follow.unfinished(ctx.account_id)
        if left:
            runs.submit("orders.create", account_id=ctx.account_id, items=left, key=f"orders.create:unfinished:{ctx.account_id}")
    ctx.map(_traced(ctx, lambda item: follow.follow_one(int(item.ref), desk=desk).sentence()), parallel=_slots(ctx, desk))


@job("orders.reference")
def write_references(ctx: JobContext) -> None:
    """Write Magento's numbers to TikTok in batches until none is left; refused ones become failed items."""
    assert ctx.account_id is not None
    written, last = 0, 0
    ctx.progress(done=0, total=references.count_waiting(ctx.account_id))
    while (batch := references.waiting(ctx.account_id, after=last)) and not ctx.cancelled:
        refused = references.write_batch(ctx.account_id, batch, guard=ctx.commit_guard)
        for one in refused:
            ctx.park(str(one.order_id), one.number, DomainError(one.code, f"TikTok refused the number of order {one.number}: {one.message}"))
        written, last = written + len(batch) - len(refused), batch[-1]
        ctx.progress(done=written)
    ctx.finish(f"{written} order numbers written to TikTok.", written=written)


# --- shared ---------------------------------------------------------------------------------------------------------------------------------


def _traced(ctx: JobContext, fn: Callable[[Item], str | None]) -> Callable[[Item], str | None]:
    """Events of the run's threads name the run and its starter, as those of its own thread do."""
    actor, run_id = events.actor_now.get(), ctx.run_id

    def traced(item: Item) -> str | None:
        events.actor_now.set(actor)
        events.run_now.set(run_id)
        return fn(item)

    return traced


def _slots(ctx: JobContext, desk: CreationDesk) -> int:
    """As many writers at once as the store is given (MAG §4.4.7), shared with the other runs that write into it at this moment."""
    if not ctx.account_id:
        return 1
    rules = desk.rules(ctx.account_id)
    if rules.external is not None:
        return EXTERNAL_SLOTS
    connection = rules.connection
    if connection is None:
        return 1
    neighbours = db.session.scalar(
        select(func.count())
        .select_from(JobRun)
        .join(Account, Account.id == JobRun.account_id)
        .where(Account.magento_id == connection.id, JobRun.kind == ctx.kind, JobRun.state == RUNNING, JobRun.lease_until > utcnow(), JobRun.id != ctx.run_id)
    )
    db.session.commit()
    return max(1, connection.parallel_slots // (1 + (neighbours or 0)))


def _ready(account_id: int) -> list[tuple[str, str]]:
    rows = db.session.execute(select(Order.id, Order.number).where(Order.account_id == account_id, Order.state == READY).order_by(Order.id)).all()
    db.session.commit()
    return [(str(row.id), row.number) for row in rows]

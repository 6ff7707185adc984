"""Job bodies of the intake: importing, refreshing, cancellation requests, reconciliation."""

from __future__ import annotations

from connector.jobs.runtime import Item, JobContext, job
from connector.models.order import SCHEDULE
from connector.services import reconcile
from connector.services.orders import intake, polling, refresh
from connector.services.orders.intake import Outcome


@job("orders.import")
def import_orders(ctx: JobContext) -> None:
    """By id when the run has items; by date when it has a range; else everything since the cursor (``args``: origin, from, to, status, parallel)."""
    account_id = _account_of(ctx)
    origin = str(ctx.args.get("origin", SCHEDULE))
    if _is_by_id(ctx):
        numbers = ctx.open_refs()
        reader = polling.ById(account_id, numbers, origin)
        ctx.map(lambda item: reader.take(item.ref))
        ctx.finish(reader.outcome.sentence(), **reader.outcome.facts())
        return
    if "from" in ctx.args:
        outcome = polling.import_range(
            ctx,
            account_id,
            start=int(ctx.args["from"]),
            end=int(ctx.args["to"]),
            status=str(ctx.args.get("status", "")),
            origin=origin,
            parallel=ctx.args.get("parallel"),
        )
    else:
        intake.sweep_ready(account_id)
        outcome = Outcome()
        if refresh.has_waiting(account_id):
            outcome.add(refresh.read_waiting(account_id))
        outcome.add(polling.poll(ctx, account_id, parallel=ctx.args.get("parallel")))
    ctx.finish(outcome.sentence(), **outcome.facts())


@job("orders.refresh")
def refresh_orders(ctx: JobContext) -> None:
    """The items (our order ids) when the run has some, else every order that a webhook pointed at."""
    account_id = _account_of(ctx)
    refs = ctx.open_refs()
    if refs:
        reader = refresh.Refresher(account_id, refs)

        def again(item: Item) -> str:
            return reader.take(item.ref)

        ctx.map(again)
        return
    outcome = refresh.read_waiting(account_id)
    ctx.finish(outcome.sentence(), **outcome.facts())


@job("reconcile")
def reconcile_orders(ctx: JobContext) -> None:
    """``args``: day (YYYY-MM-DD, UTC); without it yesterday and today by the shop's clock. Without an account: a run for each."""
    if ctx.account_id is None:
        submitted = reconcile.submit_all(started_by=ctx.started_by)
        ctx.finish(f"{submitted} accounts to reconcile.", accounts=submitted)
        return
    missing = 0
    days = [str(ctx.args["day"])] if ctx.args.get("day") else reconcile.default_days(ctx.account_id)
    for number, day in enumerate(days):
        ctx.progress(number, len(days), f"Reconciling {day}", force=True)
        missing += len(reconcile.check_day(ctx.account_id, day, guard=ctx.commit_guard).missing)
    ctx.finish(f"{', '.join(days)}: {missing} orders missing.", missing=missing)


def _account_of(ctx: JobContext) -> int:
    if ctx.account_id is None:
        raise ValueError(f"{ctx.kind} needs an account")
    return ctx.account_id


def _is_by_id(ctx: JobContext) -> bool:
    """A run that was submitted with items. One that reads windows has a check-point before it parks its first bad record."""
    return ctx.has_items() and not ctx.checkpoint

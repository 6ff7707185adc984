"""Job bodies of the returns desk: thin, they call the services."""

from __future__ import annotations

from decimal import Decimal

from connector.core.db import db
from connector.jobs.context import JobContext
from connector.jobs.runtime import Item, job
from connector.services import returns
from connector.services.returns import credit_memos

#: Returns answered at once; the limiter of the client keeps TikTok's pace.
SLOTS = 8


@job("returns.import")
def import_returns(ctx: JobContext) -> None:
    """What TikTok updated since the last import, and what webhooks pointed at."""
    assert ctx.account_id is not None
    counts = returns.import_account(ctx.account_id, park=ctx.park)
    returns.settle(ctx.account_id)
    text = f"{counts['read']} returns read, {counts['changed']} new or changed, {counts['open']} open"
    ctx.finish(text + (f"; {counts['bad']} could not be read and are listed here." if counts["bad"] else "."), **counts)


@job("returns.answer")
def answer_returns(ctx: JobContext) -> None:
    """``args``: kind, decision, decisions, reason, reasons, comment, amounts, keep_item, pictures; an item is a return."""
    amounts = {pk: Decimal(amount) for pk, amount in dict(ctx.args.get("amounts") or {}).items()}
    reasons, decisions = (dict(ctx.args.get(name) or {}) for name in ("reasons", "decisions"))

    def one(item: Item) -> str:
        return returns.answer_one(
            int(item.ref),
            str(ctx.args["kind"]),
            decision=str(decisions.get(item.ref) or ctx.args.get("decision") or ""),
            reason=str(reasons.get(item.ref) or ctx.args.get("reason") or ""),
            comment=str(ctx.args.get("comment") or ""),
            amount=amounts.get(item.ref),
            keep_item=bool(ctx.args.get("keep_item")),
            pictures=list(ctx.args.get("pictures") or []),
            actor=ctx.started_by,
        )

    ctx.map(one, parallel=SLOTS)


@job("returns.memos")
def write_memos(ctx: JobContext) -> None:
    """Credit memos in both directions: collect the merchant's, write what is owed."""
    assert ctx.account_id is not None
    collected = credit_memos.collect(ctx.account_id, guard=ctx.commit_guard)
    counts = credit_memos.write_due(ctx.account_id)
    db.session.commit()
    credit_memos.again(ctx.account_id)
    text = f"{counts['written']} written, {counts['waiting']} wait, {counts['failed']} failed; {collected} new ones of the store."
    ctx.finish(text, collected=collected, **counts)

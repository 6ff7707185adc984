"""Job bodies of the cancellation desk: importing requests, answering them."""

from __future__ import annotations

from connector.jobs.runtime import JobContext, job
from connector.services import cancellations
from connector.services.orders import recall

#: Requests answered at once; the limiter of the client keeps TikTok's pace.
SLOTS = 4


@job("cancellations.import")
def import_cancellations(ctx: JobContext) -> None:
    """What changed since the last time; recalls whose goods are back and not yet in the store go on as well."""
    assert ctx.account_id is not None
    counts = cancellations.import_account(ctx.account_id, park=ctx.park)
    recall.settle_unfinished(ctx.account_id)
    text = f"{counts['read']} cancellations read, {counts['changed']} new or changed, {counts['pending']} wait for an answer"
    ctx.finish(text + (f"; {counts['bad']} could not be read and are listed here." if counts["bad"] else "."), **counts)


@job("cancellations.answer")
def answer_cancellations(ctx: JobContext) -> None:
    """``args``: answer (approve, reject), reason, comment, reasons (request id -> reason where it differs)."""
    answer, reason, comment = (str(ctx.args.get(name, "")) for name in ("answer", "reason", "comment"))
    reasons = dict(ctx.args.get("reasons") or {})

    def one(ref: str) -> str:
        return cancellations.answer_one(int(ref), answer, reason=reasons.get(ref, reason), comment=comment, actor=ctx.started_by)

    ctx.map(lambda item: one(item.ref), parallel=SLOTS)

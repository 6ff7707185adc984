"""Job bodies of what the OMS says: carrying updates out, pulling statuses, looking into the drop folder."""

from __future__ import annotations

from connector.jobs.context import Item
from connector.jobs.runtime import JobContext, job
from connector.services.oms import apply, folder, pull

#: Updates carried out at once; those of one order wait for each other.
SLOTS = 6


@job("oms.apply")
def apply_updates(ctx: JobContext) -> None:
    assert ctx.account_id is not None
    newest = 0
    while True:
        due = apply.due(ctx.account_id, after=newest)
        if due:
            newest = int(due[-1][0])
            ctx.add_items(due)
        elif newest:
            break
        ctx.map(_one, parallel=SLOTS)
        if not due or ctx.cancelled:
            break


def _one(item: Item) -> str:
    return apply.apply_one(int(item.ref))


@job("oms.pull")
def pull_updates(ctx: JobContext) -> None:
    assert ctx.account_id is not None
    found = pull.pull(ctx.account_id, guard=ctx.commit_guard, by_hand=ctx.started_by != "scheduler")
    if found is not None:
        ctx.finish(f"{found.accepted} new updates, {found.repeated} known, {len(found.bad)} not understood.", accepted=found.accepted, bad=len(found.bad))


@job("oms.folder")
def look_into_folder(ctx: JobContext) -> None:
    assert ctx.account_id is not None
    taken = folder.look(ctx.account_id)
    if taken:
        ctx.finish(f"{len(taken)} {'file' if len(taken) == 1 else 'files'} taken: {', '.join(taken)[:300]}.", files=len(taken))

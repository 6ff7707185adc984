"""Job body of Refetch Attributes (A127). Thin; it calls the service."""

from __future__ import annotations

from connector.core.db import db
from connector.jobs.context import Item
from connector.jobs.runtime import JobContext, job
from connector.services.attributes import fetch


@job("attributes.refetch")
def refetch(ctx: JobContext) -> None:
    """Fetch the run's categories again; without items, all of the account's. ``args``: all (categories of no template are forgotten then)."""
    assert ctx.account_id is not None
    if not ctx.has_items():
        ctx.add_items(fetch.wanted(ctx.account_id))
    db.session.commit()
    reader = fetch.Reader(ctx.account_id)

    def one(item: Item) -> str:
        return reader.read(item.ref, guard=ctx.commit_guard).sentence()

    ctx.progress(stage="Asking TikTok for attributes and rules", force=True)
    try:
        ctx.map(one)
    finally:
        fetch.finish(ctx.account_id, forget=bool(ctx.args.get("all", True)) and not ctx.cancelled, guard=ctx.commit_guard)
    fetch.attach_new(ctx.run_id)
    changed = fetch.changes_of(ctx.run_id)
    products = sum(event.after["products"] for event in changed)
    words = f"{len(changed)} {'category' if len(changed) == 1 else 'categories'} changed" if changed else "Nothing changed"
    ctx.finish(f"{words}; {fetch.breaks(products)}." if products else f"{words}.", changed=len(changed), products=products)

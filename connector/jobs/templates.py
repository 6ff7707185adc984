"""Job body of Product Assign (A145, A155). Thin; it calls the service."""

from __future__ import annotations

from dataclasses import asdict

from connector.jobs.runtime import JobContext, job
from connector.services.templates import assign


@job("templates.assign")
def assign_products(ctx: JobContext) -> None:
    """Give products to the listing templates whose queries match them. ``args``: template_id, for one template only."""
    assert ctx.account_id is not None
    template_id = ctx.args.get("template_id")
    ctx.progress(stage="Looking for products that match")
    found = assign.assign(
        ctx.account_id,
        int(template_id) if template_id else None,
        guard=ctx.commit_guard,
        progress=lambda done, total: ctx.progress(done=done, total=total),
    )
    ctx.finish(found.sentence(), **asdict(found))

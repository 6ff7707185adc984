"""Job body of Validate. Thin; the service checks."""

from __future__ import annotations

from sqlalchemy import select

from connector.core.db import db
from connector.core.errors import DomainError
from connector.domain.listing_codes import ListingProblem
from connector.jobs.context import Item
from connector.jobs.runtime import JobContext, job
from connector.models.listing import Listing
from connector.models.product import Product
from connector.models.run import JobItem
from connector.services.products import drafts, recheck, validate

_PARALLEL = 4  #: listings whose pictures are on their way at once
_AT_ONCE = 1000


@job("products.validate")
def validate_products(ctx: JobContext) -> None:
    """Check the run's listings; without items, all of the account. ``args``: images (have TikTok host the pictures first, and judge them too).

    The scheduled one looks at what has changed since it was checked.
    """
    if ctx.started_by == "scheduler" and ctx.account_id is not None:
        count = recheck.check_due(ctx.account_id, guard=ctx.commit_guard, cancelled=lambda: ctx.cancelled)
        ctx.finish(f"{count:,} changed products looked at again." if count else "Nothing has changed.", checked=count)
        return
    if not ctx.has_items() and ctx.account_id is not None:
        _add_all(ctx, ctx.account_id)
    ready: dict[int, list[ListingProblem]] = {}

    def with_pictures(item: Item) -> str:
        return _verdict(validate.with_pictures(int(item.ref)))

    def checked(item: Item) -> str:
        listing_id = int(item.ref)
        if listing_id not in ready:
            ready.clear()
            ready.update(validate.validate([listing_id, *_next(ctx, item.id)], guard=ctx.commit_guard))
        return _verdict(ready.get(listing_id))

    if ctx.args.get("images"):
        ctx.map(with_pictures, parallel=_PARALLEL)
    else:
        ctx.map(checked)


def _verdict(problems: list[ListingProblem] | None) -> str:
    if problems is None:
        raise DomainError("listing.unknown", "The listing does not exist any more.", "Nothing needs to be done.")
    stopping = [problem for problem in problems if not problem.warning]
    if stopping:
        more = f" And {len(stopping) - 1} more." if len(stopping) > 1 else ""
        raise DomainError("listing.incomplete", f"{stopping[0].message}{more}", stopping[0].remedy, field=stopping[0].field)
    warnings = len(problems)
    return "Ready." if not warnings else f"Ready, with {warnings} warning{'' if warnings == 1 else 's'}."


def _next(ctx: JobContext, item_id: int) -> list[int]:
    """The listings after this one: they are checked together, in a few queries."""
    query = select(JobItem.ref).where(JobItem.run_id == ctx.run_id, JobItem.state == "open", JobItem.id > item_id).order_by(JobItem.id)
    refs = db.session.scalars(query.limit(drafts.BATCH - 1)).all()
    db.session.commit()
    return [int(ref) for ref in refs]


def _add_all(ctx: JobContext, account_id: int) -> None:
    last = 0
    while True:
        query = select(Listing.id, Product.sku).join(Product, Product.id == Listing.product_id).where(Listing.account_id == account_id, Listing.id > last)
        rows = db.session.execute(query.order_by(Listing.id).limit(_AT_ONCE)).all()
        db.session.commit()
        if not rows:
            return
        ctx.add_items((str(listing_id), sku) for listing_id, sku in rows)
        last = rows[-1][0]

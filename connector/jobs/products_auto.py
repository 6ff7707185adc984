"""What goes to TikTok by itself: new products and changed ones, as each account's synchronization policy says (A068, A069, A073, A074)."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import select

from connector.clients import errors as api
from connector.core.db import db, end_reading
from connector.core.errors import DomainError
from connector.domain.automation import UPDATE, UPLOAD, in_words
from connector.domain.checks import first_failing
from connector.jobs.runtime import Item, JobContext, Skip, job
from connector.models.account import Account
from connector.models.listing import Listing
from connector.models.run import JobItem
from connector.services.products import automation, prerequisites, recheck, switches, upload

#: Products sent at once; the limiter of the client keeps TikTok's pace.
SLOTS = 4
#: Products of one run; the next one goes on.
MOST = 5_000


@job("products.auto_upload")
def auto_upload(ctx: JobContext) -> None:
    """Listings that TikTok does not have yet."""
    _run(ctx, UPLOAD)


@job("products.auto_update")
def auto_update(ctx: JobContext) -> None:
    """Listings whose content differs from what TikTok was sent."""
    _run(ctx, UPDATE)


def _run(ctx: JobContext, action: str) -> None:
    assert ctx.account_id is not None
    account = db.session.get(Account, ctx.account_id)
    assert account is not None
    policy = switches.in_force(account)
    switch = policy.body.product_upload if action == UPLOAD else policy.body.product_update
    label = "Product Upload" if action == UPLOAD else "Product Update"
    end_reading()
    if switch == "off":
        ctx.finish(f"{label} is off in the synchronization policy {policy.title}.")
        return
    left_out = Counter[str]() if ctx.has_items() else _take_up(ctx, ctx.account_id, action)
    shared = upload.Uploads()
    if action == UPLOAD and ctx.has_items():
        shared.blocked = prerequisites.blocking(prerequisites.read(ctx.account_id))
    ctx.map(lambda item: _one(ctx, item, shared), parallel=SLOTS)
    total = len(db.session.scalars(select(JobItem.id).where(JobItem.run_id == ctx.run_id)).all())
    end_reading()
    verb = "to upload" if action == UPLOAD else "to update"
    parts = [f"{total:,} {verb}" if total else f"Nothing {verb}"]
    if left_out:
        parts.append(f"left alone: {in_words(left_out)}")
    ctx.finish("; ".join(parts) + ".", taken_up=total)


def _take_up(ctx: JobContext, account_id: int, action: str) -> Counter[str]:
    """Make an item of every listing whose checks are all ok; counts of the first failing check of the other ones."""
    left_out: Counter[str] = Counter()
    taken = 0
    for ids in automation.waiting(account_id, action):
        end_reading()
        if ctx.cancelled or taken >= MOST:
            break
        if stale := automation.unsure(ids):
            end_reading()
            recheck.check(stale, guard=ctx.commit_guard)  # what changed may be complete now, or need no update at all
        ready = []
        for listing_id, checks in automation.decide_many(ids, thorough=action == UPDATE).items():
            failing = first_failing(checks)
            if failing is None:
                ready.append(listing_id)
            else:
                left_out[failing.code] += 1
        names = automation.labels(ready)
        end_reading()
        if ready:
            ctx.add_items([(str(listing_id), names[listing_id]) for listing_id in ready])
        taken += len(ready)
        ctx.progress(total=taken, stage="Looking for what to send")
    return left_out


def _one(ctx: JobContext, item: Item, shared: upload.Uploads) -> str:
    """Decide once more, because time has passed, then send it."""
    listing_id = int(item.ref)
    listing = db.session.get(Listing, listing_id, populate_existing=True)
    if listing is None:
        raise Skip("auto.gone", "The listing was removed.")
    failing = first_failing(automation.decide_many([listing_id])[listing_id])
    end_reading()
    if failing is not None:
        raise Skip(failing.code, failing.message, failing.remedy)
    try:
        return upload.upload_one(listing_id, stage=lambda words: ctx.stage(item.ref, words), shared=shared)
    except upload.Waits as waits:  # its time is on the listing: a run that waited for one product would keep the others from being taken up
        raise Skip(waits.code, waits.message, waits.remedy) from waits
    except (DomainError, api.Rejected, api.Unexpected):
        db.session.rollback()
        automation.note_refusal(listing_id)
        raise

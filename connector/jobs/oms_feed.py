"""Job bodies of the order feeds: thin, they call the services."""

from __future__ import annotations

from connector.jobs.context import JobContext
from connector.jobs.runtime import job
from connector.services.oms import announce, connection, feed, standing


class _Stopped(Exception):
    """A person cancelled the run between two chunks."""


@job("oms.feed")
def make_feeds(ctx: JobContext) -> None:
    """Write what has changed since the last feed and announce it."""
    assert ctx.account_id is not None

    def progress(orders: int) -> None:
        ctx.progress(done=orders, stage="Writing the feed")
        if ctx.cancelled:
            raise _Stopped

    try:
        made = feed.make(ctx.account_id, guard=ctx.commit_guard, progress=progress)
    except _Stopped:
        ctx.finish("Stopped. What was written so far is kept, and the next run continues there.")
        return
    told, failed = _announce(ctx)
    standing.warn(ctx.account_id)
    if not made and not told and not failed:
        ctx.finish("Nothing has changed since the last feed. What changed in the last seconds is in the next one.")
        return
    words = [f"{len(made)} feed{'' if len(made) == 1 else 's'} written" if made else "nothing has changed since the last feed"]
    if told:
        words.append(f"{told} announced")
    if failed:
        words.append(f"{failed} not announced yet, tried again soon")
    ctx.finish(f"{'; '.join(words).capitalize()}.", feeds=len(made), announced=told)


@job("oms.announce")
def announce_feeds(ctx: JobContext) -> None:
    """Feeds whose announcement failed before, or that a person wants announced again."""
    told, failed = _announce(ctx)
    ctx.finish(f"{told} announced" + (f", {failed} not announced yet and tried again soon." if failed else "."), announced=told, failed=failed)


def _announce(ctx: JobContext) -> tuple[int, int]:
    assert ctx.account_id is not None
    row = connection.get(ctx.account_id)
    if row is None or not row.active:
        return 0, 0
    if not row.notify_url:
        announce.forget(ctx.account_id)
        return 0, 0
    return announce.announce_due(ctx.account_id)

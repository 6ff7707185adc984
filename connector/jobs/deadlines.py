"""Job body of the warnings about deadlines."""

from __future__ import annotations

from connector.core.db import db
from connector.jobs.context import JobContext
from connector.jobs.runtime import job
from connector.services import deadlines


@job("deadlines.warn")
def warn(ctx: JobContext) -> None:
    assert ctx.account_id is not None
    count = deadlines.warn(ctx.account_id)
    db.session.commit()
    ctx.finish(f"{count} warning{'' if count == 1 else 's'} given." if count else "Nothing to warn about.", warned=count)

"""Job body of the warnings about deadlines and failing orders."""

from __future__ import annotations

from connector.core.db import db
from connector.jobs.context import JobContext
from connector.jobs.runtime import job
from connector.services import deadlines
from connector.services.orders import failing


@job("deadlines.warn")
def warn(ctx: JobContext) -> None:
    assert ctx.account_id is not None
    count = deadlines.warn(ctx.account_id)
    db.session.commit()
    failed = failing.warn(ctx.account_id)
    db.session.commit()
    said = [f"{count} warning{'' if count == 1 else 's'} given."] if count else []
    said += [f"Mail about {failed} failed order{'' if failed == 1 else 's'}."] if failed else []
    ctx.finish(" ".join(said) or "Nothing to warn about.", warned=count, failed_orders=failed)

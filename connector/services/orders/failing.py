"""Mail about orders that need a person (A050; product.md 12): one mail an hour for each account, with every group of errors and its remedy."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import String, cast, func, select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.models.account import Account
from connector.models.order import Order
from connector.models.trace import Event
from connector.services import events, mail, settings
from connector.services.orders import causes

KIND = "orders.failing"
BETWEEN_MAILS = timedelta(hours=1)
#: What is solved within this time, by itself or by whoever looks at the screen, is not worth a mail.
GRACE = timedelta(minutes=10)
#: The first mail of an account speaks of nothing older.
AT_FIRST = timedelta(days=1)
_NEW = ("order.failed", "order.skipped", "order.flagged")


def warn(account_id: int) -> int:
    """Mail about orders that failed since the last mail and still do; their number, 0 when no mail was due. Safe to call at any time."""
    now = utcnow()
    query = select(Event).where(Event.subject_type == "account", Event.subject_id == str(account_id), Event.kind == KIND)
    last = db.session.scalar(query.order_by(Event.id.desc()).limit(1))
    if last is not None and last.at > now - BETWEEN_MAILS:
        return 0
    since, until = datetime.fromisoformat(last.after["until"]) if last is not None else now - AT_FIRST, now - GRACE
    still = [Order.account_id == account_id, Order.failure_code.is_not(None)]
    new = [Event.account_id == account_id, Event.subject_type == "order", Event.kind.in_(_NEW), Event.at > since, Event.at <= until]
    found = select(func.count(Order.id.distinct())).join(Event, Event.subject_id == cast(Order.id, String))
    count = db.session.scalar(found.where(*still, *new))
    if not count:
        return 0
    groups = causes.groups(account_id)
    with unit_of_work() as session:
        account = session.get_one(Account, account_id)
        subject = f"{account.title}: {count:,} more order{' needs' if count == 1 else 's need'} a person"
        lines = [f"{one.orders:,} x {one.message}\n    {one.remedy}".rstrip() for one in groups]
        body = "All errors of the account, the largest group first:\n\n" + "\n\n".join(lines)
        body += f"\n\nToday has the fix for each group: {settings.config().public_url}/"
        events.record(KIND, "account", account_id, f"{subject}.", account_id=account_id, after={"until": until.isoformat(), "orders": count})
        mail.notify("failures", subject=subject, body=body, account=account)
    return count

"""What of the OMS needs a person: updates that failed, feeds that it was not told of or does not collect (product.md 12)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, distinct, exists, func, select
from sqlalchemy.orm import aliased

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.models.account import Account
from connector.models.oms import FEED_READY, UPDATE_FAILED, OmsConnection, OmsUpdate, OrderFeed
from connector.models.trace import Event
from connector.services import events, mail, settings
from connector.services.oms import connection, feed

#: An OMS that has not collected a feed for as long does not collect.
PATIENCE = timedelta(days=1)
KIND = "oms.not_collected"
_Other = aliased(OrderFeed)


@dataclass(frozen=True, slots=True)
class Standing:
    """The figures of the Today page. ``uncollected`` counts feeds by number: an OMS takes one of the formats."""

    connected: bool
    failed: int
    not_announced: int
    uncollected: int


def standing() -> Standing:
    """Over the active accounts whose OMS is active; failed updates over all, since they wait for a person whatever became of the connection."""
    of_active = OrderFeed.account_id.in_(
        select(Account.id).join(OmsConnection, OmsConnection.account_id == Account.id).where(Account.active, OmsConnection.active)
    )
    counted = select(func.count()).select_from(OrderFeed)
    along_the_index = OmsUpdate.account_id.in_(select(Account.id)), OmsUpdate.state == UPDATE_FAILED
    return Standing(
        connected=bool(db.session.scalar(select(OmsConnection.id).limit(1))),
        failed=db.session.scalar(select(func.count()).select_from(OmsUpdate).where(*along_the_index)) or 0,
        not_announced=db.session.scalar(counted.where(of_active, OrderFeed.notify_state == feed.FAILED)) or 0,
        uncollected=len(db.session.execute(select(OrderFeed.account_id, OrderFeed.number).where(of_active, _late()).distinct()).all()),
    )


def warn(account_id: int) -> bool:
    """Say that the account's OMS does not collect: an event, and a mail to whoever is told of failures. Once, until it has collected again."""
    row = connection.known(account_id)
    said = db.session.scalar(select(func.max(Event.at)).where(Event.subject_type == "oms", Event.subject_id == str(row.id), Event.kind == KIND))
    late = [OrderFeed.account_id == account_id, _late()]
    if said is not None:
        if not db.session.scalar(select(exists().where(OrderFeed.account_id == account_id, OrderFeed.collected_at > said))):
            return False
        late.append(OrderFeed.created_at > said)
    count, first = db.session.execute(select(func.count(distinct(OrderFeed.number)), func.min(OrderFeed.created_at)).where(*late)).one()
    if first is None:
        return False
    with unit_of_work() as session:
        account = session.get_one(Account, account_id)
        waits = "1 order feed has waited" if count == 1 else f"{count:,} order feeds have waited"
        kept = settings.get("log_retention_days")
        text = f"{waits} for more than a day, and the OMS of {account.title} has not collected {'it' if count == 1 else 'them'}; the first is of {first:%Y-%m-%d %H:%M} UTC."
        remedy = f"Feeds are removed {kept} days after they were made. Let the OMS collect them, or clear Formats on its connection if it wants none."
        events.record(KIND, "oms", row.id, f"{text} {remedy}", account_id=account_id)
        url = f"{settings.config().public_url}/oms/?tab=open&account={account_id}"
        mail.notify(
            "failures", subject=f"{account.title}: the OMS does not collect its feeds", body=f"{text}\n\n{remedy}\n\nThey are listed at {url}", account=account
        )
    return True


def _late() -> ColumnElement[bool]:
    """Ready for more than ``PATIENCE``, and no format of it was collected."""
    collected = exists().where(_Other.account_id == OrderFeed.account_id, _Other.number == OrderFeed.number, _Other.collected_at.is_not(None))
    return and_(OrderFeed.state == FEED_READY, OrderFeed.collected_at.is_(None), OrderFeed.created_at < utcnow() - PATIENCE, ~collected)

"""Telling the OMS that a feed is ready (A251): one signed POST a feed, tried again with growing pauses, its answer kept.

The call holds no buyer data: what happened, which file, its size and digest, and where to collect it. The OMS collects it with a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import requests
from sqlalchemy import select, update

from connector.clients.answer import Answer
from connector.clients.base import Call
from connector.clients.errors import ApiError, Rejected, describe
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.models.oms import FEED_READY, OrderFeed
from connector.services import accounts, connections, events, runs, settings
from connector.services.oms import connection, feed, signing
from connector.services.oms.feed import ANNOUNCED, FAILED, WAITING

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
#: With the pauses between them: about seventeen hours.
MOST_ATTEMPTS = 25
_KEPT = 300


@dataclass(frozen=True)
class Told:
    """What came of one call; ``message`` quotes the OMS."""

    ok: bool
    message: str


def announce_due(account_id: int) -> tuple[int, int]:
    """Call for every feed of the account that is due: (announced, failed this time). What failed is tried again by a run of its own."""
    now, told, failed = utcnow(), 0, 0
    waiting = select(OrderFeed.id, OrderFeed.notify_attempts, OrderFeed.notified_at).where(
        OrderFeed.account_id == account_id, OrderFeed.state == FEED_READY, OrderFeed.notify_state == WAITING
    )
    rows = db.session.execute(waiting.order_by(OrderFeed.id)).all()
    end_reading()
    for feed_id, attempts, last in rows:
        if _next(attempts, last) <= now:
            ok = announce(feed_id).ok
            told, failed = told + ok, failed + (not ok)
    _try_again(account_id)
    return told, failed


def announce(feed_id: int) -> Told:
    """One call now. Its answer is recorded on the feed; raises only when there is no such feed or no OMS."""
    row = feed.get(feed_id)
    told = call(
        row.account_id,
        "feed.ready",
        feed_id=row.id,
        number=row.number,
        format=row.format,
        rows=row.rows,
        bytes=row.size,
        sha256=row.sha256,
        url=f"{settings.config().public_url}/api/v1/feeds/{row.id}/file",
        created_at=row.created_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    )
    with unit_of_work():
        row = feed.get(feed_id)
        row.notify_attempts += 1
        row.notified_at, row.notify_message = utcnow(), told.message
        row.notify_state = ANNOUNCED if told.ok else FAILED if row.notify_attempts >= MOST_ATTEMPTS else WAITING
        if row.notify_state == FAILED:
            message = f"Order feed {row.number} ({row.format}) could not be announced in {row.notify_attempts} attempts: {told.message}"
            events.record("oms.announce_failed", "order_feed", row.id, message, account_id=row.account_id)
    return told


def again(feed_id: int, *, actor: str) -> runs.Submitted:
    """A person asks for another call, whatever came of the ones before."""
    with unit_of_work():
        row = feed.get(feed_id)
        if row.state != FEED_READY:
            raise DomainError("oms.feed_not_ready", f"Feed {row.number} is not ready yet.", "Wait until it is built.")
        if not connection.known(row.account_id).notify_url:
            raise DomainError("oms.no_notify_url", "The OMS connection has no feed-ready address.", "Enter it on the OMS connection of the account.")
        row.notify_state, row.notify_attempts, row.notified_at = WAITING, 0, None
        message = f"Order feed {row.number} ({row.format}) is announced again."
        events.record("oms.announce_again", "order_feed", row.id, message, account_id=row.account_id, actor=actor)
        return runs.submit("oms.announce", account_id=row.account_id, args={"feed": feed_id}, key=f"oms.announce:feed:{feed_id}", started_by=actor)


def test(account_id: int, *, actor: str) -> Told:
    """Send test call: signed as the real one, event ``test``."""
    told = call(account_id, "test", created_at=utcnow().isoformat(timespec="seconds").replace("+00:00", "Z"))
    with unit_of_work():
        verdict = "was answered" if told.ok else "failed"
        row = connection.known(account_id)
        events.record("oms.tested", "oms", row.id, f"The test call to {row.notify_url} {verdict}: {told.message}", account_id=account_id, actor=actor)
    return told


def call(account_id: int, event: str, **facts: Any) -> Told:
    """POST one signed message to the account's feed-ready address. No transaction may be open; redirects are not followed."""
    account, row = accounts.get(account_id), connection.known(account_id)
    if not row.notify_url:
        raise DomainError("oms.no_notify_url", "The OMS connection has no feed-ready address.", "Enter it on the OMS connection of the account.")
    body = orjson.dumps({"event": event, "account": account.title, "account_id": account.id, **facts})
    url, secrets = row.notify_url, connection.all_secrets(row)
    transport = connections.Scoped(connections.connections().transport("oms", account.environment), url, account_id=account_id)
    end_reading()

    def prepare() -> requests.PreparedRequest:
        headers = {"Content-Type": "application/json", "User-Agent": "tiktok-shop-connector", **signing.sign(secrets, body)}
        return requests.Request("POST", url, data=body, headers=headers).prepare()

    try:
        answer: Answer = transport.send(
            Call(
                system="oms",
                operation=event,
                account=f"oms:{account_id}",
                family="announce",
                safe=False,
                prepare=prepare,
                read=_answer,
                most_bytes=1 << 16,
                read_timeout=10.0,
            )
        )
    except ApiError as error:
        said = str(error) if isinstance(error, Rejected) else f"{describe(error).title}: {error}"
        return Told(False, said[: 2 * _KEPT])
    return Told(True, _quoted(answer))


def _answer(answer: Answer) -> Answer:
    if not 200 <= answer.status < 300:
        raise Rejected(f"The OMS answered {_quoted(answer)}", system="oms", operation="announce", status=answer.status)
    return answer


def _quoted(answer: Answer) -> str:
    words = " ".join(answer.body.decode("utf-8", "replace").split())[:_KEPT]
    return f"HTTP {answer.status}" + (f": {words}" if words else ".")


def _next(attempts: int, last: datetime | None) -> datetime:
    """When the next call is due: 15 s after the first failure, then twice as long each time, at most an hour."""
    if last is None or not attempts:
        return datetime.min.replace(tzinfo=utcnow().tzinfo)
    return last + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 12))


def _try_again(account_id: int) -> None:
    """A quiet run for the next call that is due."""
    waiting = select(OrderFeed.notify_attempts, OrderFeed.notified_at).where(
        OrderFeed.account_id == account_id, OrderFeed.state == FEED_READY, OrderFeed.notify_state == WAITING
    )
    due = [_next(attempts, last) for attempts, last in db.session.execute(waiting)]
    end_reading()
    if due:
        at = max(min(due), utcnow())
        runs.submit("oms.announce", account_id=account_id, key=f"oms.announce:{account_id}:{int(at.timestamp())}", not_before=at, quiet=True)


def forget(account_id: int) -> None:
    """The OMS has no feed-ready address any more: nothing waits to be announced."""
    with unit_of_work() as session:
        session.execute(update(OrderFeed).where(OrderFeed.account_id == account_id, OrderFeed.notify_state == WAITING).values(notify_state=""))

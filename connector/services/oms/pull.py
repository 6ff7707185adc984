"""Asking the OMS what is new (A254). The cursor moves in the same transaction that stores what it has passed, so nothing is lost or needed twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson
import requests
from sqlalchemy.orm import Session

from connector.clients.answer import Answer
from connector.clients.base import USER_AGENT, Call
from connector.clients.errors import Rejected, Unavailable, Unexpected
from connector.core.db import end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.models.oms import PULL
from connector.services import accounts, connections
from connector.services.oms import connection, updates
from connector.services.oms.updates import Received

PAGE = 500
#: In one go; the next run goes on from the cursor.
MOST_PAGES = 100
MOST_BYTES = 8 << 20


def pull(account_id: int, *, guard: Callable[[Session], Any] | None = None, by_hand: bool = False) -> Received | None:
    """Read the OMS's events page by page from the stored cursor until it says that there are no more. None when the account does not pull.

    ``guard`` runs inside every transaction (fencing). Raises ``ApiError`` when the OMS cannot be read; what was stored stays.
    """
    row = connection.get(account_id)
    if row is None or not row.active or not row.pull_url:
        end_reading()
        if by_hand:
            raise DomainError("oms.no_pull_url", "The account's OMS connection has no pull address.", "Enter it on the OMS connection of the account.")
        return None
    url, token, cursor, environment = row.pull_url, row.pull_token or "", row.pull_cursor, accounts.get(account_id).environment
    end_reading()
    transport = connections.Scoped(connections.connections().transport("oms", environment), url, account_id=account_id)
    found = Received()
    for _ in range(MOST_PAGES):
        page = transport.send(_ask(account_id, url, token, cursor))
        following = str(page.get("next_cursor") or "") or cursor
        with unit_of_work() as session:
            if guard:
                guard(session)
            kept = connection.known(account_id)
            session.refresh(kept, with_for_update=True)
            if kept.pull_url != url or kept.pull_cursor != cursor:
                return found  # somebody connected another address, or another pull went on
            taken = updates.receive(account_id, PULL, page["events"])
            kept.pull_cursor = following
        found.accepted, found.repeated = found.accepted + taken.accepted, found.repeated + taken.repeated
        found.bad += taken.bad
        if not page.get("more"):
            break
        if following == cursor:
            raise Unexpected("The OMS says that there is more, but gives the same cursor again", system="oms", operation="pull", code="oms.pull_stuck")
        cursor = following
    return found


def _ask(account_id: int, url: str, token: str, cursor: str) -> Call[dict[str, Any]]:
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("cursor", cursor), ("limit", str(PAGE))])
    address = urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))

    def prepare() -> requests.PreparedRequest:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "User-Agent": USER_AGENT}
        return requests.Request("GET", address, headers=headers).prepare()

    return Call(
        system="oms", operation="pull", account=f"oms:{account_id}", family="pull", safe=True, prepare=prepare, read=_page, most_bytes=MOST_BYTES,
    )  # fmt: skip


def _page(answer: Answer) -> dict[str, Any]:
    facts: dict[str, Any] = {"system": "oms", "operation": "pull", "status": answer.status}
    words = " ".join(answer.body[:2000].decode("utf-8", "replace").split())[:200]
    if answer.status in (401, 403):
        raise Rejected(f"The OMS does not accept the pull token (HTTP {answer.status}: {words})", code="oms.pull_token", **facts)
    if answer.status == 429 or answer.status >= 500:
        raise Unavailable(f"The OMS answered HTTP {answer.status}: {words}", retry_after=answer.retry_after, **facts)
    if answer.status != 200:
        raise Rejected(f"The OMS answered HTTP {answer.status}: {words}", **facts)
    try:
        page = orjson.loads(answer.body)
    except orjson.JSONDecodeError as fault:
        raise Unexpected(f"The OMS answered something that is no JSON: {words}", **facts) from fault
    cursor = page.get("next_cursor") if isinstance(page, dict) else None
    if not isinstance(page, dict) or not isinstance(page.get("events"), list) or not (cursor is None or (isinstance(cursor, str) and len(cursor) <= 200)):
        raise Unexpected("The OMS's answer is not {events: [...], next_cursor: text of at most 200 characters, more: true or false}", **facts)
    return page

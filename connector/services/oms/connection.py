"""The OMS of an account: its addresses, its secret, and the schedules that follow from them (A251-A255).

``save``, ``new_secret`` and ``end_old_secrets`` are the only writers of what a person enters. The secret is ours and is shown once, when it is made; one
that it replaces counts on for a while, in both directions. The pull token is the OMS's and is never shown again.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.models.account import SANDBOX, Account
from connector.models.oms import OmsConnection
from connector.models.run import Schedule
from connector.services import accounts, connections, events
from connector.services.kinds import KINDS

JSONL, CSV = "jsonl", "csv"
FORMATS = {JSONL: "JSON Lines", CSV: "CSV"}
MOST_MINUTES = 1440
#: How often the drop folder is looked into.
FOLDER_SECONDS = 30
#: How long a secret counts beside the one that replaced it, and how many may: a signature header holds five.
OVERLAP = timedelta(hours=24)
MOST_OLD = 4


@dataclass(frozen=True)
class Choice:
    """What a person chose. ``pull_token``: blank keeps the stored one while the pull address stays the same."""

    active: bool = True
    feed_formats: tuple[str, ...] = (JSONL,)
    feed_minutes: int = 15
    notify_url: str = ""
    pull_url: str = ""
    pull_token: str = field(default="", repr=False)
    pull_minutes: int = 5
    drop_folder: bool = False


@dataclass(frozen=True)
class Saved:
    """``secret`` is there only when one was made: it is shown this once."""

    connection: OmsConnection
    secret: str | None = field(default=None, repr=False)


def get(account_id: int) -> OmsConnection | None:
    """The account's OMS, active or not; None when none was ever connected."""
    return db.session.scalar(select(OmsConnection).where(OmsConnection.account_id == account_id))


def known(account_id: int) -> OmsConnection:
    """The same, or ``NotFoundError``."""
    found = get(account_id)
    if found is None:
        title = accounts.get(account_id).title
        raise NotFoundError("oms.none", f"{title} has no OMS.", "Connect one on the account's page under OMS.")
    return found


def save(account_id: int, choice: Choice, *, actor: str) -> Saved:
    """Connect an OMS, or change how it is connected. Raises ``DomainError`` that names the field."""
    account = accounts.get(account_id)
    values = _checked(account, choice)
    with unit_of_work() as session:
        row = get(account_id)
        secret = None if row is not None else _secret()
        if row is None:
            row = OmsConnection(account_id=account_id, secret=secret, pull_url="")
            session.add(row)
            before: dict[str, Any] | None = None
        else:
            before = _facts(row)
        token = choice.pull_token.strip() or (row.pull_token if row.pull_url == values["pull_url"] else None)
        if values["pull_url"] and not token:
            raise DomainError("oms.pull_token", "Pull token is empty.", "Copy it from your OMS; without it the OMS cannot tell who asks.", field="pull_token")
        if row.pull_url != values["pull_url"]:
            row.pull_cursor = ""  # a cursor is the word of the address that gave it
        row.pull_token = token if values["pull_url"] else None
        for name, value in values.items():
            setattr(row, name, value)
        session.flush()
        _schedule(row)
        after = _facts(row) | ({"pull_token": "changed"} if choice.pull_token.strip() else {})
        if before != after:
            words = "was connected" if before is None else "was changed"
            events.record("oms.saved", "oms", row.id, f"The OMS of {account.title} {words}.", account_id=account_id, before=before, after=after, actor=actor)
        return Saved(row, secret)


def new_secret(account_id: int, *, actor: str) -> str:
    """Another secret for both directions, shown this once. The one before counts beside it for ``OVERLAP``, or until a person ends that."""
    with unit_of_work() as session:
        row = _locked(session, account_id)
        until = utcnow() + OVERLAP
        row.old_secrets = [{"secret": row.secret, "until": until.isoformat()}, *_counting(row)][:MOST_OLD]
        row.secret = _secret()
        text = f"The OMS of {accounts.get(account_id).title} was given a new secret. The old one counts until {until:%Y-%m-%d %H:%M} UTC."
        events.record("oms.secret_changed", "oms", row.id, text, account_id=account_id, actor=actor)
        return row.secret


def end_old_secrets(account_id: int, *, actor: str) -> bool:
    """Only the newest secret counts from now on; False when that was so already."""
    with unit_of_work() as session:
        row = _locked(session, account_id)
        counted, row.old_secrets = bool(_counting(row)), None
        if counted:
            text = f"The old secret of the OMS of {accounts.get(account_id).title} was ended."
            events.record("oms.secret_ended", "oms", row.id, text, account_id=account_id, actor=actor)
        return counted


def begin_again(account_id: int, since: datetime | None, *, actor: str) -> None:
    """The next feed holds every order that was changed since then (None: every order), as if no feed had been made after it."""
    with unit_of_work() as session:
        row = _locked(session, account_id)
        if since is not None and row.feed_from_at is not None and since > row.feed_from_at:
            raise DomainError(
                "oms.begin_again", f"Orders changed after {row.feed_from_at:%Y-%m-%d %H:%M} UTC are in no feed yet, and would be left out.",
                "Choose an earlier day.", field="since",
            )  # fmt: skip
        row.feed_from_at = since
        held = f"every order changed since {since:%Y-%m-%d %H:%M} UTC" if since else "every order"
        text = f"The next feed of {accounts.get(account_id).title} will hold {held}."
        events.record("oms.begin_again", "oms", row.id, text, account_id=account_id, actor=actor)


def all_secrets(row: OmsConnection) -> list[str]:
    """Every secret that counts now, the newest first."""
    return [row.secret, *(one["secret"] for one in _counting(row))]


def old_until(row: OmsConnection) -> datetime | None:
    """Until when an old secret counts; None when none does."""
    return max((datetime.fromisoformat(one["until"]) for one in _counting(row)), default=None)


def _counting(row: OmsConnection) -> list[dict[str, str]]:
    now = utcnow()
    return [one for one in row.old_secrets or () if datetime.fromisoformat(one["until"]) > now]


def _locked(session: Session, account_id: int) -> OmsConnection:
    row = known(account_id)
    session.refresh(row, with_for_update=True)
    return row


def address(account: Account, url: str, name: str, label: str) -> str:
    """A web address that this account may call. Raises ``DomainError`` that names the field."""
    text = url.strip()
    if not text:
        return ""

    def refuse(message: str, remedy: str) -> DomainError:
        return DomainError("oms.address", f"{label} {message}", remedy, field=name)

    if len(text) > 500:
        raise refuse("is longer than 500 characters.", "Shorten it.")
    try:
        parts = urlsplit(text)
        port_given = parts.port is not None or not parts.netloc.endswith(":")
    except ValueError:
        raise refuse("is no web address.", "Write it as https://oms.example.com/path.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_given or any(letter.isspace() for letter in text):
        raise refuse("is no web address.", "Write it as https://oms.example.com/path.")
    if parts.username or parts.password:
        raise refuse("holds a user name or a password.", "Remove it: calls are signed, and pulls carry the pull token.")
    if parts.fragment:
        raise refuse("holds a fragment.", f"Remove #{parts.fragment}.")
    if not connections.connections().allows(account.environment, parts.netloc):
        raise refuse(
            f"leads to {parts.netloc}, which a Sandbox account may not call.", "Use the practice OMS, or connect a Production account to your own OMS."
        )
    if account.environment != SANDBOX and parts.scheme == "http":
        raise refuse("is not encrypted.", "Write it with https://.")
    return text


def _checked(account: Account, choice: Choice) -> dict[str, Any]:
    unknown = [each for each in choice.feed_formats if each not in FORMATS]
    if unknown:
        raise DomainError("oms.format", f"{unknown[0]} is not a feed format.", f"Choose {' or '.join(FORMATS.values())}.", field="feed_formats")
    for name, label in (("feed_minutes", "Feed every"), ("pull_minutes", "Pull every")):
        if not 1 <= getattr(choice, name) <= MOST_MINUTES:
            raise DomainError("oms.minutes", f"{label} must be 1 to {MOST_MINUTES} minutes.", "15 suits most shops.", field=name)
    return {
        "active": choice.active,
        "feed_formats": [each for each in FORMATS if each in choice.feed_formats],
        "feed_minutes": choice.feed_minutes,
        "notify_url": address(account, choice.notify_url, "notify_url", "Feed-ready address"),
        "pull_url": address(account, choice.pull_url, "pull_url", "Pull address"),
        "pull_minutes": choice.pull_minutes,
        "drop_folder": choice.drop_folder,
    }


def _schedule(row: OmsConnection) -> None:
    """The account's schedule rows as the connection wants them. A person's own switch stays until the connection's is changed."""
    wanted = {
        "oms.feed": (row.active and bool(row.feed_formats), row.feed_minutes * 60),
        "oms.pull": (row.active and bool(row.pull_url), row.pull_minutes * 60),
        "oms.folder": (row.active and row.drop_folder, FOLDER_SECONDS),
    }
    present = {each.kind: each for each in db.session.scalars(select(Schedule).where(Schedule.account_id == row.account_id, Schedule.kind.in_(wanted)))}
    now = utcnow()
    for kind, (on, seconds) in wanted.items():
        if kind not in KINDS:
            continue
        schedule = present.get(kind)
        if schedule is None and on:
            db.session.add(Schedule(kind=kind, account_id=row.account_id, interval_seconds=seconds, next_due_at=now))
        elif schedule is not None:
            schedule.interval_seconds = seconds
            schedule.next_due_at = min(schedule.next_due_at, now + timedelta(seconds=seconds))
            if schedule.enabled != on:
                schedule.enabled = on
                schedule.next_due_at = now
                schedule.last_outcome = schedule.last_outcome if on else "Off: the OMS connection does not ask for it."
    db.session.flush()


def _secret() -> str:
    return secrets.token_urlsafe(32)


def _facts(row: OmsConnection) -> dict[str, Any]:
    """What the audit log may know: no secret, no token."""
    return {name: getattr(row, name) for name in ("active", "feed_formats", "feed_minutes", "notify_url", "pull_url", "pull_minutes", "drop_folder")}

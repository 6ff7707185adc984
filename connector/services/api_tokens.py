"""API tokens: how an OMS or a script shows who it is (product.md 12). Local use cases: they flush, the caller commits.

A token acts for the user who made it, but only within its scopes, only for its account if it names one, and never beyond the user's own role. Its text
is shown once; what is kept is a SHA-256 of it, which is enough for 256 random bits.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.models.account import Account
from connector.models.user import ApiToken, User
from connector.services import events
from connector.services.users import digest

PREFIX = "ctt_"
FEEDS, ORDERS, UPDATES = "feeds", "orders", "updates"


@dataclass(frozen=True)
class Scope:
    """What a token of this scope may do, in words, and the permission that its user must hold as well."""

    label: str
    permission: str


SCOPES: dict[str, Scope] = {
    FEEDS: Scope("Collect order feeds", "orders.write"),  # they hold buyers' names and addresses, which only those who work may reveal
    ORDERS: Scope("Look up orders", "orders.write"),
    UPDATES: Scope("Send batches of updates, see what became of updates", "orders.write"),
}
#: A busy token's last use is written once in this time.
SEEN_EVERY = timedelta(minutes=1)


def create(
    user: User, name: str, scopes: Sequence[str], *, account_id: int | None = None, days: int | None = None, actor: str | None = None
) -> tuple[ApiToken, str]:
    """A new token and its text, which is shown once. Raises ``DomainError`` that names the field."""
    if not name.strip():
        raise DomainError("token.name", "The token has no name.", "Name what will use it.", field="name")
    unknown = [each for each in scopes if each not in SCOPES]
    if unknown or not scopes:
        raise DomainError(
            "token.scopes",
            f"{unknown[0]} is not a scope." if unknown else "The token may do nothing.",
            f"Choose what the token may do: {', '.join(SCOPES)}.",
            field="scopes",
        )
    account = None if account_id is None else db.session.get(Account, account_id)
    if account_id is not None and account is None:
        raise DomainError("token.account", f"There is no account {account_id}.", "Choose one of the list.", field="account_id")
    text = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        user_id=user.id, name=name.strip()[:80], prefix=text[:10], token_hash=digest(text), scopes=[each for each in SCOPES if each in scopes],
        account_id=account_id, expires_at=utcnow() + timedelta(days=days) if days else None,
    )  # fmt: skip
    db.session.add(token)
    db.session.flush()
    reach = f"{', '.join(token.scopes)}; {account.title if account else 'every account'}"
    events.record(
        "token.created",
        "user",
        user.id,
        f"API token “{token.name}” ({token.prefix}…; {reach}) was created for {user.email}.",
        account_id=account_id,
        actor=actor,
    )
    return token, text


def find(text: str) -> ApiToken | None:
    """The valid token behind a text, or None."""
    found = db.session.scalar(select(ApiToken).where(ApiToken.token_hash == digest(text), ApiToken.revoked_at.is_(None)))
    if found is None or not found.user.active or (found.expires_at is not None and found.expires_at < utcnow()):
        return None
    return found


def used(token: ApiToken) -> None:
    """Note the use, now and then."""
    now = utcnow()
    if token.last_used_at is None or now - token.last_used_at > SEEN_EVERY:
        with unit_of_work():
            token.last_used_at = now


def of(user: User) -> list[ApiToken]:
    """The tokens of a user that are not revoked."""
    return list(db.session.scalars(select(ApiToken).where(ApiToken.user_id == user.id, ApiToken.revoked_at.is_(None)).order_by(ApiToken.id)))


def revoke(user: User, token_id: int, *, actor: str | None = None) -> ApiToken:
    """From now on the token is worth nothing."""
    token = db.session.scalar(select(ApiToken).where(ApiToken.id == token_id, ApiToken.user_id == user.id, ApiToken.revoked_at.is_(None)))
    if token is None:
        raise NotFoundError("token.unknown", "That API token does not exist any more.", "Look at the list again.")
    token.revoked_at = utcnow()
    db.session.flush()
    events.record("token.revoked", "user", user.id, f"API token “{token.name}” ({token.prefix}…) of {user.email} was revoked.", actor=actor)
    return token


def accounts() -> dict[int, str]:
    """Accounts that a token can be limited to."""
    return dict(db.session.execute(select(Account.id, Account.title).order_by(Account.title)).all())

"""People and their ways in: passwords, sessions, roles (product.md 12). Local use cases: they flush, the caller commits."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta
from zoneinfo import available_timezones

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import bindparam, func, select, update

from connector.core.clock import utcnow
from connector.core.db import db
from connector.core.errors import DomainError, NotFoundError
from connector.models.user import ADMINISTRATOR, ROLES, User, UserSession
from connector.services import events

#: OWASP's minimum for argon2id: 19 MiB, two passes, one lane; the sign-in rate is limited beside it.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODY = _hasher.hash(secrets.token_hex(16))

MIN_PASSWORD = 10
IDLE_LIMIT = timedelta(days=14)
SEEN_EVERY = timedelta(minutes=5)


#: Asked at every request, so put together once.
_LIVE_SESSION = select(UserSession).where(UserSession.token_hash == bindparam("hash"), UserSession.ended_at.is_(None))


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def hash_password(password: str) -> str:
    """The argon2id hash that is kept."""
    return _hasher.hash(password)


def any_user() -> bool:
    """Has the first administrator been made?"""
    return db.session.scalar(select(User.id).limit(1)) is not None


def get(user_id: int) -> User:
    user = db.session.get(User, user_id)
    if user is None:
        raise NotFoundError("user.unknown", f"There is no user {user_id}.", "Open the list of users.")
    return user


def create(*, email: str, password: str, role: str, name: str = "", time_zone: str = "UTC", terms: bool = False, temporary: bool = False) -> User:
    """A new user; ``temporary`` makes them choose another password at the first sign-in."""
    email = normal_email(email)
    _check_role(role)
    _check_zone(time_zone)
    check_password(password, email)
    if db.session.scalar(select(User.id).where(User.email == email)) is not None:
        raise DomainError("user.email_taken", f"{email} already has a user.", "Use another email address, or edit that user.", field="email")
    user = User(
        email=email,
        name=name.strip(),
        role=role,
        time_zone=time_zone,
        password_hash=hash_password(password),
        must_change_password=temporary,
        terms_accepted_at=utcnow() if terms else None,
    )
    db.session.add(user)
    db.session.flush()
    events.record("user.created", "user", user.id, f"User {email} was created as {ROLES[role]}.", after={"role": role, "name": user.name})
    return user


def change(user: User, *, name: str, role: str, active: bool, time_zone: str) -> None:
    """Change what an administrator may change; the last active administrator keeps the role."""
    _check_role(role)
    _check_zone(time_zone)
    before = {"name": user.name, "role": user.role, "active": user.active, "time_zone": user.time_zone}
    if user.role == ADMINISTRATOR and user.active and (role != ADMINISTRATOR or not active) and active_administrators() == 1:
        raise DomainError(
            "user.last_administrator",
            f"{user.email} is the last active administrator, so the role and the access stay.",
            "Make another user an administrator first.",
            field="role" if role != ADMINISTRATOR else "active",
        )
    user.name, user.role, user.active, user.time_zone = name.strip(), role, active, time_zone
    if not active:
        end_sessions(user)
    db.session.flush()
    after = {"name": user.name, "role": user.role, "active": user.active, "time_zone": user.time_zone}
    if after != before:
        events.record("user.changed", "user", user.id, f"User {user.email} was changed.", before=before, after=after)


def set_password(user: User, password: str, *, temporary: bool = False) -> None:
    """A new password; every session of the user ends."""
    check_password(password, user.email)
    user.password_hash, user.must_change_password = hash_password(password), temporary
    end_sessions(user)
    db.session.flush()
    events.record("user.password_changed", "user", user.id, f"The password of {user.email} was changed.")


def verify_password(user: User, password: str) -> bool:
    try:
        return _hasher.verify(user.password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def authenticate(email: str, password: str) -> User | None:
    """The user, or None. Takes as long for an unknown address as for a wrong password."""
    user = db.session.scalar(select(User).where(User.email == email.strip().lower()))
    if user is None:
        try:
            _hasher.verify(_NOBODY, password)
        except VerificationError:
            pass
        return None
    return user if verify_password(user, password) and user.active else None


def open_session(user: User, *, address: str, browser: str) -> str:
    """The token of a new session; only its hash is kept."""
    token = secrets.token_urlsafe(32)
    user.last_sign_in_at = utcnow()
    db.session.add(UserSession(user_id=user.id, token_hash=digest(token), address=address[:64], browser=browser[:300]))
    events.record("user.signed_in", "user", user.id, f"{user.email} signed in from {address}.", actor=user.email)
    db.session.flush()
    return token


def find_session(token: str) -> UserSession | None:
    """The live session behind a token: not ended, not idle too long, its user active."""
    found = db.session.scalar(_LIVE_SESSION, {"hash": digest(token)})
    if found is None or not found.user.active or utcnow() - found.last_seen_at > IDLE_LIMIT:
        return None
    return found


def sessions_of(user: User) -> list[UserSession]:
    stmt = select(UserSession).where(UserSession.user_id == user.id, UserSession.ended_at.is_(None))
    return list(db.session.scalars(stmt.order_by(UserSession.last_seen_at.desc(), UserSession.id.desc())))


def end_sessions(user: User, *, keep: int | None = None, only: int | None = None) -> int:
    """End all sessions of a user, all but one, or one; how many ended."""
    stmt = update(UserSession).where(UserSession.user_id == user.id, UserSession.ended_at.is_(None)).values(ended_at=utcnow())
    if keep is not None:
        stmt = stmt.where(UserSession.id != keep)
    if only is not None:
        stmt = stmt.where(UserSession.id == only)
    return int(db.session.execute(stmt).rowcount)  # type: ignore[attr-defined]


def active_administrators() -> int:
    return db.session.scalar(select(func.count()).select_from(User).where(User.role == ADMINISTRATOR, User.active)) or 0


def normal_email(email: str) -> str:
    email = email.strip().lower()
    if len(email) > 254 or not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
        raise DomainError("user.email_invalid", f"{email or 'Nothing'} is not an email address.", "Write it like name@example.com.", field="email")
    return email


def check_password(password: str, email: str = "") -> None:
    if len(password) < MIN_PASSWORD:
        raise DomainError("user.password_short", f"The password has fewer than {MIN_PASSWORD} characters.", "Choose a longer one.", field="password")
    if len(password) > 500 or password.lower() == email or len(set(password)) < 4:
        raise DomainError("user.password_weak", "The password is easy to guess.", "Choose another one.", field="password")


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise DomainError("user.role_unknown", f"There is no role {role!r}.", f"Choose one of {', '.join(ROLES.values())}.", field="role")


def _check_zone(time_zone: str) -> None:
    if time_zone not in available_timezones():
        raise DomainError("user.zone_unknown", f"There is no time zone {time_zone!r}.", "Choose one of the list.", field="time_zone")

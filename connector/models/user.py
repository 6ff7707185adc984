"""People who sign in, their sessions and their API tokens (product.md 12)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from connector.core.clock import utcnow
from connector.core.db import Base, BigId, JSONText, UTCDateTime

ADMINISTRATOR, OPERATOR, VIEWER = "administrator", "operator", "viewer"
ROLES = {ADMINISTRATOR: "Administrator", OPERATOR: "Operator", VIEWER: "Viewer"}


class User(Base):
    """Somebody who may sign in. ``email`` is lower case; users are switched off, never deleted, so that traces keep their author."""

    __tablename__ = "user"
    __table_args__ = (
        Index("uq_user_email", "email", unique=True),
        Index("ix_user_created_at", "created_at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(String(120), default="")
    role: Mapped[str] = mapped_column(String(20), default=VIEWER)
    password_hash: Mapped[str] = mapped_column(String(200))  #: argon2id
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    time_zone: Mapped[str] = mapped_column(String(60), default="UTC")
    must_change_password: Mapped[bool] = mapped_column(Boolean, default=False)
    terms_accepted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    last_sign_in_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    # What Flask-Login asks of a user.
    is_authenticated = True
    is_anonymous = False

    @property
    def is_active(self) -> bool:
        return self.active

    #: Set when a session is opened or recognised: the cookie names the session, so that each one can be ended by itself.
    session_token = ""

    def get_id(self) -> str:
        return self.session_token

    @property
    def display_name(self) -> str:
        return self.name or self.email


class UserSession(Base):
    """One browser that is signed in. Only the SHA-256 of its token is kept."""

    __tablename__ = "user_session"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    last_seen_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    address: Mapped[str] = mapped_column(String(64), default="")
    browser: Mapped[str] = mapped_column(String(300), default="")
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class ApiToken(Base):
    """A token for the OMS endpoints and scripts; it acts as its user. Only its SHA-256 is kept, and its first letters to know it by."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    prefix: Mapped[str] = mapped_column(String(12))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSONText, default=list, server_default="[]")  #: what it may do; none: nothing
    account_id: Mapped[int | None] = mapped_column(Integer)  #: the only account it may touch; none: every one
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)

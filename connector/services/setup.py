"""How far the set-up has come (A007): four steps, judged by what is there, not by what was clicked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from connector.core.db import db
from connector.models.account import Account
from connector.models.policy import Policy
from connector.models.user import User
from connector.services import settings


@dataclass(frozen=True)
class Step:
    """One marker of the progress bar."""

    key: str
    title: str
    done: bool


def steps() -> list[Step]:
    """Registration > Account Onboarding > Default Policies > Summary, each with its tick."""
    invalid = db.session.scalar(select(func.count()).select_from(Policy).where(Policy.is_default, Policy.valid.is_(False), Policy.deleted_at.is_(None)))
    seeded = db.session.scalar(select(func.count()).select_from(Policy))
    return [
        Step("registration", "Registration", db.session.scalar(select(User.id).limit(1)) is not None),
        Step("account", "Account Onboarding", account() is not None and _connected()),
        Step("policies", "Default Policies", bool(seeded) and not invalid),
        Step("summary", "Summary", finished()),
    ]


def account() -> Account | None:
    """The account that the wizard is about: the newest."""
    return db.session.scalar(select(Account).order_by(Account.id.desc()).limit(1))


def finished() -> bool:
    return bool(settings.get("setup.finished"))


def finish(*, actor: str) -> None:
    settings.put({"setup.finished": True}, actor=actor)


def draft() -> dict[str, Any]:
    """What was typed in a step and not saved yet; never a secret."""
    return dict(settings.get("setup.draft"))


def keep_draft(values: dict[str, Any], *, actor: str) -> None:
    settings.put({"setup.draft": values}, actor=actor)


def _connected() -> bool:
    return any(account.connected for account in db.session.scalars(select(Account)))

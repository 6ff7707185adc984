"""The users grid (product.md 12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import url_for
from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.grids.filters import Choices, DateRange, Flag
from connector.grids.grid import Action, Column, Empty, Grid, Label, Preview, Result
from connector.models.user import ADMINISTRATOR, ROLES, User
from connector.services import users

ROLE_LABELS = {role: Label(words, "info" if role == ADMINISTRATOR else "neutral") for role, words in ROLES.items()}
ACTIVE_LABELS = {True: Label("Active", "success"), False: Label("Switched off", "neutral")}


def _load(ids: Sequence[int]) -> list[User]:
    return list(db.session.scalars(select(User).where(User.id.in_(ids)).order_by(User.id)))


def _preview(active: bool) -> Any:
    def preview(ids: Sequence[int]) -> list[Preview]:
        found = _load(ids)
        already = "is active already" if active else "is switched off already"
        checks = [Preview(user.id, user.email, user.active is not active, "" if user.active is not active else already) for user in found]
        if not active and users.active_administrators() <= sum(user.role == ADMINISTRATOR and user.active for user in found):
            reason = "somebody must remain who can administer"
            admins = {user.id for user in found if user.role == ADMINISTRATOR and user.active}
            checks = [check._replace(ok=False, reason=reason) if check.id in admins else check for check in checks]
        return checks

    return preview


def _submit(active: bool) -> Any:
    def submit(ids: Sequence[int], form: Any) -> Result:
        with unit_of_work():
            for user in _load(ids):
                users.change(user, name=user.name, role=user.role, active=active, time_zone=user.time_zone)
        words = "user" if len(ids) == 1 else "users"
        return Result(f"{len(ids)} {words} {'switched on' if active else 'switched off; their sessions have ended'}.")

    return submit


USERS = Grid(
    key="users",
    title="Users",
    noun="user",
    permission="users.read",
    model=User,
    pk=User.id,
    columns=(
        Column(key="email", label="Email", expr=User.email, cell="link"),
        Column(key="name", label="Name", expr=User.name),
        Column(key="role", label="Role", expr=User.role, cell="state", labels=ROLE_LABELS),
        Column(key="active", label="Access", expr=User.active, cell="state", labels=ACTIVE_LABELS),
        Column(key="last_sign_in_at", label="Last sign-in", expr=User.last_sign_in_at, cell="ago"),
        Column(key="created_at", label="Created At", expr=User.created_at, cell="when"),
        Column(key="time_zone", label="Time zone", expr=User.time_zone, default=False),
    ),
    filters=(
        Choices("role", "Role", User.role, ROLES),
        Flag("active", "Access", User.active.is_(True), yes="Active", no="Switched off"),
        DateRange("created", "Created", User.created_at),
    ),
    search=(User.email, User.name),
    search_hint="Email or name",
    default_sort="email",
    actions=(
        Action(
            key="switch_off",
            label="Switch off",
            permission="users.write",
            icon="ban",
            danger=True,
            help="They cannot sign in any more, and are signed out everywhere. What they did keeps their name.",
            preview=_preview(False),
            submit=_submit(False),
            visible=lambda row: bool(row["is_active"]),
        ),
        Action(
            key="switch_on",
            label="Switch on",
            permission="users.write",
            icon="check",
            preview=_preview(True),
            submit=_submit(True),
            visible=lambda row: not row["is_active"],
        ),
    ),
    always={"is_active": User.active},
    row_url=lambda row: url_for("auth.edit_user", user_id=row["pk"]),
    empty=Empty("No users yet", "Add the people who work with this shop.", "Add a user", "auth.new_user"),
)

"""The policies grid (A020-A022, A052-A058)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import url_for
from flask_login import current_user
from sqlalchemy import func, or_, select

from connector.core.db import db, unit_of_work
from connector.domain.policies import KIND_TITLES
from connector.grids.filters import Choices, DateRange, Flag
from connector.grids.grid import Action, Column, Empty, Grid, Preview, Result, Tab
from connector.models.account import Account
from connector.models.listing import ListingTemplate
from connector.models.policy import Policy
from connector.services import policies, policy_users

_used_by = (
    select(func.aggregate_strings(Account.title, ", "))
    .where(or_(Account.order_policy_id == Policy.id, Account.sync_policy_id == Policy.id))
    .correlate(Policy)
    .scalar_subquery()
)

_templates = (
    select(func.aggregate_strings(ListingTemplate.name, ", "))
    .where(or_(ListingTemplate.image_policy_id == Policy.id, ListingTemplate.pricing_policy_id == Policy.id, ListingTemplate.inventory_policy_id == Policy.id))
    .correlate(Policy)
    .scalar_subquery()
)


def _users(value: Any, row: Any) -> str:
    """Accounts, then listing templates, in one cell of the CSV."""
    return "; ".join(part for part in (value, row["templates"]) if part)


def _load(ids: Sequence[int]) -> list[Policy]:
    return list(db.session.scalars(select(Policy).where(Policy.id.in_(ids), Policy.deleted_at.is_(None)).order_by(Policy.id)))


def _preview_delete(ids: Sequence[int]) -> list[Preview]:
    """Every policy can be deleted once it has a successor; a type's last policy cannot."""
    found = []
    for policy in _load(ids):
        others = [other for other in policies.of_kind(policy.kind) if other.id not in ids]
        reason = "" if others else f"is the last {KIND_TITLES[policy.kind]} policy"
        users = policy_users.in_words(policy_users.used_by(policy.id))
        found.append(Preview(policy.id, f"{policy.title}, used by {users}" if users else policy.title, not reason, reason))
    return found


def _delete(ids: Sequence[int], form: Any) -> Result:
    successor = int(form.successor.data) if form.successor.data else None
    with unit_of_work():  # all of them or none
        for policy_id in ids:
            policies.delete(policy_id, actor=current_user.email, reassign_to=successor)
    return Result(f"{len(ids)} {'policy' if len(ids) == 1 else 'policies'} deleted.")


def _duplicate(ids: Sequence[int], form: Any) -> Result:
    copies = [policies.duplicate(policy_id, actor=current_user.email) for policy_id in ids]
    url = url_for("policies.edit", policy_id=copies[0].id) if len(copies) == 1 else None
    return Result(f"{len(copies)} {'copy' if len(copies) == 1 else 'copies'} made.", url=url)


def _make_default(ids: Sequence[int], form: Any) -> Result:
    for policy_id in ids:
        policies.make_default(policy_id, actor=current_user.email)
    return Result("The default was changed.")


def _all_fine(ids: Sequence[int]) -> list[Preview]:
    return [Preview(policy.id, policy.title, True) for policy in _load(ids)]


def _not_default_yet(ids: Sequence[int]) -> list[Preview]:
    return [Preview(policy.id, policy.title, not policy.is_default, "is the default already" if policy.is_default else "") for policy in _load(ids)]


def policies_grid(delete_form: type[Any], *, key: str = "policies", title: str = "TikTok Policies", edit_endpoint: str = "policies.edit") -> Grid:
    """The policies page's grid, and with another key the wizard's third step. ``delete_form`` has a field ``successor``: a policy id or blank."""
    return Grid(
        key=key,
        title=title,
        noun="policy",
        plural="policies",
        permission="policies.read",
        model=Policy,
        pk=Policy.id,
        where=lambda scope: (Policy.deleted_at.is_(None),),
        columns=(
            Column(key="id", label="ID", expr=Policy.id, cell="link"),
            Column(key="title", label="Title", expr=Policy.title, cell="link"),
            Column(key="kind", label="Type", expr=Policy.kind, cell="words", labels=KIND_TITLES),
            Column(key="created_at", label="Created At", expr=Policy.created_at, cell="when"),
            Column(key="updated_at", label="Updated At", expr=Policy.updated_at, cell="when"),
            Column(key="is_default", label="Is Default", expr=Policy.is_default, cell="yes_no"),
            Column(key="valid", label="Valid", expr=Policy.valid, cell="valid", also={"problems": Policy.problems}),
            Column(key="used_by", label="Used By", expr=_used_by, sort=False, cell="used_by", also={"templates": _templates}, export=_users),
            Column(key="edit", label="Action", expr=Policy.id, cell="edit", sort=False, export=lambda value, row: ""),
            Column(key="version", label="Version", expr=Policy.version, cell="number", default=False),
        ),
        filters=(
            Choices("kind", "Type", Policy.kind, KIND_TITLES, pinned=True),
            Flag("valid", "Valid", Policy.valid.is_(True)),
            Flag("default", "Is Default", Policy.is_default.is_(True)),
            DateRange("updated", "Updated", Policy.updated_at),
        ),
        tabs=(Tab("all", "All"), Tab("invalid", "Not valid", Policy.valid.is_(False), "danger")),
        search=(Policy.title,),
        search_hint="Title",
        default_sort="id",
        actions=(
            Action(key="duplicate", label="Duplicate", icon="copy", permission="policies.write", preview=_all_fine, submit=_duplicate),
            Action(key="default", label="Make default", icon="flag", permission="policies.write", preview=_not_default_yet, submit=_make_default, bulk=False),
            Action(
                key="delete",
                label="Delete",
                icon="trash",
                permission="policies.write",
                danger=True,
                help="Earlier versions stay readable, because orders and listings were handled under them. Accounts and listing templates that use a "
                "deleted policy get the one you choose.",
                preview=_preview_delete,
                submit=_delete,
                form_class=delete_form,
            ),
        ),
        row_label="title",
        row_url=lambda row: url_for(edit_endpoint, policy_id=row["pk"]),
        cells="policies/_cells.html",
        empty=Empty("No policies yet", "Policies are the rules by which orders, prices, stock and pictures are handled."),
    )

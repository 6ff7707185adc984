"""Which accounts and listing templates a policy is assigned to (A047, A145)."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Select, or_, select

from connector.core.db import db
from connector.models.account import Account
from connector.models.listing import ListingTemplate


class User(NamedTuple):
    """An account or a listing template that uses a policy. ``kind``: account, template."""

    kind: str
    id: int
    title: str


def used_by(policy_id: int) -> list[User]:
    """The accounts and listing templates that a policy is assigned to, by title."""
    accounts = select(Account.id, Account.title).where(or_(Account.order_policy_id == policy_id, Account.sync_policy_id == policy_id))
    return [
        *(User("account", *row) for row in db.session.execute(accounts.order_by(Account.title))),
        *(User("template", *row) for row in db.session.execute(templates_of(policy_id).order_by(ListingTemplate.name))),
    ]


def templates_of(policy_id: int) -> Select[tuple[int, str]]:
    """Id and name of the listing templates that a policy is assigned to."""
    chosen = (ListingTemplate.image_policy_id, ListingTemplate.pricing_policy_id, ListingTemplate.inventory_policy_id)
    return select(ListingTemplate.id, ListingTemplate.name).where(or_(*(column == policy_id for column in chosen)))


def in_words(users: list[User]) -> str:
    """Who uses it: "the accounts GB, US and the listing template Shirts"."""
    parts = []
    for kind, one, many in (("account", "the account", "the accounts"), ("template", "the listing template", "the listing templates")):
        titles = [user.title for user in users if user.kind == kind]
        if titles:
            shown = ", ".join(titles[:5]) + (f" and {len(titles) - 5} more" if len(titles) > 5 else "")
            parts.append(f"{one if len(titles) == 1 else many} {shown}")
    return " and ".join(parts)


def account_ids(policy_id: int) -> set[int]:
    """The accounts in which a policy works: assigned to themselves or to one of their templates."""
    users = used_by(policy_id)
    templates = [user.id for user in users if user.kind == "template"]
    found = {user.id for user in users if user.kind == "account"}
    return found | set(db.session.scalars(select(ListingTemplate.account_id).where(ListingTemplate.id.in_(templates)))) if templates else found

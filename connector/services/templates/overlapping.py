"""Products that several listing templates match: which template gets them, and how many there are (A145)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, or_, select

from connector.core.clock import utcnow
from connector.core.db import db
from connector.domain.query import Query, plan
from connector.models.account import Account
from connector.models.listing import Listing, ListingTemplate
from connector.models.product import Product
from connector.services.templates.plan import options_of
from connector.services.templates.querying import Question, shelf_of


@dataclass(frozen=True, slots=True)
class Overlap:
    """A product that several enabled templates match, best first, and the one that has or gets it."""

    product_id: int
    sku: str
    name: str
    templates: tuple[str, ...]
    winner: str


@dataclass(frozen=True, slots=True)
class Shared:
    """How many products of a query another template matches as well, and which of the two gets those that neither has yet."""

    template_id: int
    name: str
    count: int
    wins: bool


def in_order(account_id: int) -> list[ListingTemplate]:
    """The account's templates as overlaps are decided: lowest priority number first, then the oldest."""
    query = select(ListingTemplate).where(ListingTemplate.account_id == account_id)
    return list(db.session.scalars(query.order_by(ListingTemplate.priority, ListingTemplate.created_at, ListingTemplate.id)))


class Precedence:
    """Who gets a product, among an account's templates in their order."""

    def __init__(self, templates: Sequence[ListingTemplate]) -> None:
        self.disabled = {each.id for each in templates if not each.enabled}
        self._overriding = {each.id for each in templates if options_of(each).override_existing}

    def winner(self, choices: Sequence[int], present: int | None) -> int:
        """``choices``: the templates that match, in order; ``present``: the one that has the product now."""
        stealing = next((key for key in choices if key in self._overriding), None)
        if stealing is not None:
            return stealing
        return present if present is not None and (present in choices or present in self.disabled) else choices[0]


def overlaps(account_id: int, limit: int = 20) -> tuple[int, list[Overlap]]:
    """How many products several enabled templates match, and the first of them with who has or gets them."""
    account = db.session.get(Account, account_id)
    templates = [each for each in in_order(account_id) if each.enabled and (each.query or {}).get("conditions")]
    if account is None or len(templates) < 2:
        return 0, []
    now = utcnow()
    question = Question(shelf_of(account))
    tests = {each.id: question.condition(plan(Query.model_validate(each.query), now)) for each in templates}
    flags = [case((test, 1), else_=0) for test in tests.values()]
    several = question.select(Product.id).where(or_(*tests.values()), sum(flags[1:], flags[0]) > 1)
    count = db.session.scalar(select(func.count()).select_from(several.subquery())) or 0
    if not count:
        return 0, []
    stmt = question.select(Product.id, Product.sku, Product.name, *flags).where(
        Product.id.in_(list(db.session.scalars(several.order_by(Product.id).limit(limit))))
    )
    rows = db.session.execute(stmt.order_by(Product.id)).all()
    have = dict(
        db.session.execute(
            select(Listing.product_id, Listing.template_id).where(Listing.account_id == account_id, Listing.product_id.in_([row[0] for row in rows]))
        ).all()
    )
    names = {each.id: each.name for each in templates}
    precedence = Precedence(templates)
    found = []
    for product_id, sku, name, *hits in rows:
        choices = [each.id for each, hit in zip(templates, hits, strict=True) if hit]
        winner = precedence.winner(choices, have.get(product_id))
        found.append(Overlap(product_id, sku, name, tuple(names[key] for key in choices), names.get(winner, "")))
    return count, found


def shared_with(account: Account, query: Query, *, template_id: int | None = None, priority: int = 100) -> list[Shared]:
    """The other enabled templates that match products of this query too: for the page where the query is written, before it is saved."""
    others = [each for each in in_order(account.id) if each.enabled and each.id != template_id and (each.query or {}).get("conditions")]
    if not others or not query.conditions:
        return []
    now = utcnow()
    question = Question(shelf_of(account))
    mine = plan(query, now)
    sums = [func.coalesce(func.sum(case((question.condition(plan(Query.model_validate(each.query), now)), 1), else_=0)), 0) for each in others]
    counts = db.session.execute(question.select(*sums).where(question.condition(mine))).one()
    own = db.session.get(ListingTemplate, template_id) if template_id else None
    rank = (priority, own.created_at if own else now, own.id if own else math.inf)
    return [
        Shared(each.id, each.name, int(count), rank < (each.priority, each.created_at, each.id)) for each, count in zip(others, counts, strict=True) if count
    ]

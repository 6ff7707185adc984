"""Which listings the scheduled runs upload and update by themselves, and why each is or is not touched (A067-A079).

The checks are ``domain.automation``; here their facts are gathered, for the runs, a product's page and the policy's preview alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import defer

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.domain.automation import UPLOAD, Facts, checks
from connector.domain.checks import Check
from connector.domain.listing_diff import behind
from connector.domain.policies import IMAGE, PRICING, ImagePolicy, PricingPolicy, SynchronizationPolicy
from connector.models.account import Account
from connector.models.listing import INCOMPLETE, UNCHECKED, Listing, ListingSku, ListingTemplate
from connector.models.policy import Policy
from connector.models.product import Product
from connector.services.products import diff, due, switches
from connector.services.templates import plan as plans

_AT_ONCE = 500


def decide(listing: Listing) -> list[dict[str, Any]]:
    """Why this listing is, or is not, uploaded or updated by itself: ``[{"check", "ok", "message", "facts", "remedy"}]``, first failing one first to fix."""
    found = decide_many([listing.id], thorough=True).get(listing.id)
    return [check.as_dict() for check in found or ()]


def decide_many(listing_ids: Collection[int], *, policy: SynchronizationPolicy | None = None, thorough: bool = False) -> dict[int, tuple[Check, ...]]:
    """The checks of many listings in a handful of queries. ``policy``: another body than the one in force, for a preview. ``thorough``: what differs
    from TikTok is worked out where the policy reacts to some attributes only."""
    decided: dict[int, tuple[Check, ...]] = {}
    rows = _rows(listing_ids)
    policies = switches.all_in_force(list({row.account.id: row.account for row in rows}.values()))
    for row in rows:
        if (force := policies.get(row.account.id)) is None:
            continue
        body = policy or force.body
        changed = None
        if thorough and body.react_only and row.listing.tiktok_id:
            changed = changed_attributes(row.listing)
        decided[row.listing.id] = checks(body, force.title, _facts(row, changed))
    return decided


def decide_under(listing_ids: Collection[int], bodies: Sequence[SynchronizationPolicy]) -> dict[int, list[tuple[Check, ...]]]:
    """The checks under each of several policies, read once: for comparing them."""
    found: dict[int, list[tuple[Check, ...]]] = {}
    for row in _rows(listing_ids):
        facts = _facts(row, None)
        found[row.listing.id] = [checks(body, "the policy", facts) for body in bodies]
    return found


class _Row(NamedTuple):
    listing: Listing
    product: Product
    template: ListingTemplate | None
    account: Account
    evaluated: int
    units: int | None


def _rows(listing_ids: Collection[int]) -> list[_Row]:
    ids = sorted(listing_ids)
    rows: list[_Row] = []
    for start in range(0, len(ids), _AT_ONCE):
        units = (
            select(ListingSku.listing_id, func.count(ListingSku.wanted_quantity).label("evaluated"), func.sum(ListingSku.wanted_quantity).label("units"))
            .where(ListingSku.listing_id.in_(ids[start : start + _AT_ONCE]))
            .group_by(ListingSku.listing_id)
            .subquery()
        )
        query = (
            select(Listing, Product, ListingTemplate, Account, func.coalesce(units.c.evaluated, 0), units.c.units)
            .join(Product, Product.id == Listing.product_id)
            .join(Account, Account.id == Listing.account_id)
            .outerjoin(ListingTemplate, ListingTemplate.id == Listing.template_id)
            .outerjoin(units, units.c.listing_id == Listing.id)
            .where(Listing.id.in_(ids[start : start + _AT_ONCE]))
            .order_by(Listing.id)
            .options(defer(Product.data), defer(Listing.live), defer(Listing.upload_body))  # large, and not looked at
        )
        rows += [_Row(*row) for row in db.session.execute(query).all()]
    return rows


def _facts(row: _Row, changed: frozenset[str] | None) -> Facts:
    listing, product, template = row.listing, row.product, row.template
    problem = next((each for each in listing.problems or () if not each.get("warning")), None)
    later = [at for at in (product.changed_at, template.updated_at if template else None) if at is not None]
    return Facts(
        sku=product.sku,
        account=row.account.title,
        account_active=row.account.active,
        connected=row.account.connected,
        status=product.status,
        visibility=product.visibility,
        gone=product.gone_at is not None,
        template=template.name if template else None,
        template_enabled=bool(template and template.enabled),
        units=int(row.units or 0) if row.evaluated else product.quantity if product.type_id != "configurable" else None,
        uploaded=bool(listing.tiktok_id),
        marketplace_state=listing.marketplace_state,
        validation=listing.validation,
        content_due=listing.content_due,
        first_problem=(str(problem.get("reason", "")), str(problem.get("remedy", ""))) if problem else None,
        content_hash=listing.content_hash,
        sent_hash=listing.sent_hash,
        failure=(listing.failure_message, listing.failure_remedy) if listing.failure_code else None,
        failed_hash=listing.failed_hash,
        retry_at=listing.retry_at,
        changed_since_failure=listing.failed_at is None or any(at > listing.failed_at for at in later),
        changed=changed,
        now=utcnow(),
    )


# --- what the scheduled runs take up


def waiting(account_id: int, action: str) -> Iterator[list[int]]:
    """Chunks of listings that may concern an automatic upload or update; ``decide_many`` has the last word."""
    last = 0
    here = [Listing.account_id == account_id, Listing.template_id.is_not(None)]
    if action == UPLOAD:
        here += [Listing.tiktok_id.is_(None), or_(Listing.validation != INCOMPLETE, Listing.content_due)]
    else:
        differs = and_(Listing.content_hash != "", Listing.content_hash != Listing.sent_hash)
        here += [Listing.tiktok_id.is_not(None), or_(Listing.content_due, due.cut_off(), differs)]
    while ids := list(db.session.scalars(select(Listing.id).where(*here, Listing.id > last).order_by(Listing.id).limit(_AT_ONCE))):
        last = ids[-1]
        yield ids


def unsure(listing_ids: Collection[int]) -> list[int]:
    """Those whose content has to be worked out again before anything can be said: it was never validated, or it changed since."""
    query = select(Listing.id).where(Listing.id.in_(listing_ids), or_(Listing.content_due, Listing.validation == UNCHECKED, Listing.content_hash == ""))
    return list(db.session.scalars(query.order_by(Listing.id)))


def labels(listing_ids: Collection[int]) -> dict[int, str]:
    query = select(Listing.id, Product.sku, Product.name).join(Product, Product.id == Listing.product_id).where(Listing.id.in_(listing_ids))
    return {listing_id: f"{sku}: {name}"[:200] for listing_id, sku, name in db.session.execute(query)}


def note_refusal(listing_id: int) -> None:
    """Remember which content was refused, so that the same one is not sent again by itself."""
    with unit_of_work() as session:
        listing = session.get(Listing, listing_id, populate_existing=True)
        if listing is not None:
            listing.failed_hash = listing.content_hash


def changed_attributes(listing: Listing) -> frozenset[str]:
    """Codes of the Magento attributes behind what would be sent and TikTok has otherwise; the listing template's own settings have none."""
    found = diff.preview(listing.id)
    template = listing.template
    if template is None:
        return frozenset()
    plan = plans.plans([template.id])[template.id]
    bodies = {
        policy.kind: policy.body for policy in db.session.scalars(select(Policy).where(Policy.id.in_([template.image_policy_id, template.pricing_policy_id])))
    }
    images = ImagePolicy.model_validate(bodies.get(IMAGE, {}))
    pricing = PricingPolicy.model_validate(bodies.get(PRICING, {}))
    codes: set[str] = set()
    for change in found.changes:
        codes |= set(behind(change.field, plan, images, pricing))
    return frozenset(code for code in codes if code)

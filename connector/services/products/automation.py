"""What the synchronization policy does by itself: its switches as schedules of each account, and why a listing is or is not touched (A067-A079).

``decide`` is the one list of checks behind the scheduled uploads and updates, a product's page and the policy's preview. The bodies of the runs are
in ``jobs/products_auto.py``; falling stock goes out whatever the switches say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import defer

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.domain.gates import Check
from connector.domain.listing import ListingPlan
from connector.domain.policies import IMAGE, PRICING, SYNCHRONIZATION, ImagePolicy, PricingPolicy, SynchronizationPolicy
from connector.models.account import Account
from connector.models.listing import INCOMPLETE, UNCHECKED, Listing, ListingSku, ListingTemplate
from connector.models.policy import Policy
from connector.models.product import Product, ProductCursor
from connector.models.run import Schedule
from connector.services import events
from connector.services.kinds import KINDS
from connector.services.products import due

UPLOAD, UPDATE = "upload", "update"
#: Kind of work -> the policy's switch and its interval.
SWITCHES: dict[str, tuple[str, str]] = {
    "templates.assign": ("product_assign", "assign_every_minutes"),
    "products.auto_upload": ("product_upload", "upload_every_minutes"),
    "products.auto_update": ("product_update", "update_every_minutes"),
    "products.sync": ("inventory_price_sync", "inventory_price_every_minutes"),
}
_STATUSES = {"off": frozenset[int](), "enabled": frozenset({1}), "disabled": frozenset({2}), "any": frozenset({1, 2})}
_STATUS_WORDS = {1: "Enabled", 2: "Disabled"}
_NOT_VISIBLE = 1
_AT_ONCE = 500


# --- the policy in force


class InForce(NamedTuple):
    """A synchronization policy as it applies to an account."""

    policy_id: int
    title: str
    body: SynchronizationPolicy


def in_force(account: Account) -> InForce:
    """The account's synchronization policy: the assigned one, else the default (A045). Raises ``LookupError`` before anything was seeded."""
    found = _all_in_force([account]).get(account.id)
    if found is None:
        raise LookupError("there is no synchronization policy")
    return found


def _all_in_force(accounts: Sequence[Account]) -> dict[int, InForce]:
    rows = db.session.scalars(select(Policy).where(Policy.kind == SYNCHRONIZATION, Policy.deleted_at.is_(None))).all()
    by_id = {row.id: InForce(row.id, row.title, SynchronizationPolicy.model_validate(row.body)) for row in rows}
    default = next((by_id[row.id] for row in rows if row.is_default), None)
    chosen = {account.id: by_id.get(account.sync_policy_id or 0) or default for account in accounts}
    return {account_id: policy for account_id, policy in chosen.items() if policy is not None}


def fits(switch: str, status: int) -> bool:
    """Whether a switch is on for products of this Magento status (1 enabled, 2 disabled)."""
    return status in _STATUSES[switch]


def synced_statuses(account: Account) -> frozenset[int]:
    """Magento statuses whose rising stock and whose prices are sent by themselves; empty while Inventory/Price Sync is off."""
    return _STATUSES[in_force(account).body.inventory_price_sync]


# --- schedules


@contextmanager
def following() -> Iterator[None]:
    """Whatever happens inside (a policy saved, assigned, replaced): each account's schedules are as its policy says afterwards.

    A person's own switch on the Schedule page stays until the policy's switch itself is changed.
    """
    before = _all_in_force(_accounts())
    yield
    with unit_of_work() as session:
        session.flush()
        accounts = _accounts()
        for account_id, now in _all_in_force(accounts).items():
            earlier = before.get(account_id)
            if earlier is None or earlier.body != now.body:
                apply(account_id, now, earlier)


def apply(account_id: int, policy: InForce, earlier: InForce | None = None) -> None:
    """Make the account's schedule rows those of the policy, in the caller's transaction. Rows that are missing are made."""
    with unit_of_work() as session:
        rows = {row.kind: row for row in session.scalars(select(Schedule).where(Schedule.account_id == account_id, Schedule.kind.in_(SWITCHES)))}
        now = utcnow()
        for kind, (switch, every) in SWITCHES.items():
            on, seconds = getattr(policy.body, switch) != "off", 60 * getattr(policy.body, every)
            row = rows.get(kind)
            if row is None:
                session.add(
                    Schedule(kind=kind, account_id=account_id, interval_seconds=seconds, enabled=on, next_due_at=now, last_outcome=_off_words(on, policy))
                )
                continue
            was_on = earlier is not None and getattr(earlier.body, switch) != "off"
            if row.interval_seconds != seconds:
                row.interval_seconds = seconds
                row.next_due_at = min(row.next_due_at, now + timedelta(seconds=seconds))
            if (earlier is None or on != was_on) and row.enabled != on:
                row.enabled, row.next_due_at = on, now
                row.last_outcome = _off_words(on, policy) or row.last_outcome
                state = "on" if on else "off"
                message = f"{KINDS[kind].title}: {state}, as {policy.title} says."
                events.record("schedule.switched", "schedule", row.id, message, account_id=account_id)
        session.flush()


def ensure(account: Account) -> None:
    """The rows of an account that has none yet; existing ones stay as they are."""
    kinds = set(db.session.scalars(select(Schedule.kind).where(Schedule.account_id == account.id, Schedule.kind.in_(SWITCHES))))
    policy = _all_in_force([account]).get(account.id)
    if policy is not None and kinds != set(SWITCHES):
        apply(account.id, policy, policy)


def whole_import_due(account: Account) -> bool:
    """Whether the account's store was last read completely more than a day ago: deleted products are found only then."""
    views = {"all", account.store_view or "all"}
    query = select(func.min(ProductCursor.full_at)).where(ProductCursor.magento_id == account.magento_id, ProductCursor.store_view.in_(views))
    last = db.session.scalar(query)
    return last is not None and last < utcnow() - timedelta(days=1)


def _off_words(on: bool, policy: InForce) -> str:
    return "" if on else f"Off in the synchronization policy {policy.title}."


def _accounts() -> list[Account]:
    return list(db.session.scalars(select(Account).order_by(Account.id)))


# --- decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the checks look at. ``units``: what would be offered over all variants, None when nothing limits it. ``changed``: Magento attributes
    behind what differs from TikTok, None when nobody asked."""

    sku: str
    account: str = ""
    account_active: bool = True
    connected: bool = True
    status: int = 1
    visibility: int = 4
    gone: bool = False
    template: str | None = None
    template_enabled: bool = True
    units: int | None = None
    uploaded: bool = False
    marketplace_state: str = "not_uploaded"
    validation: str = UNCHECKED
    content_due: bool = False
    first_problem: tuple[str, str] | None = None  #: reason and remedy
    content_hash: str = ""
    sent_hash: str = ""
    failure: tuple[str, str] | None = None  #: message and remedy
    failed_hash: str = ""
    retry_at: datetime | None = None
    changed_since_failure: bool = False
    changed: frozenset[str] | None = None
    now: datetime


def checks(policy: SynchronizationPolicy, title: str, facts: Facts) -> tuple[Check, ...]:
    """Every check in order; the listing is uploaded (or updated, when TikTok has it) by itself when all are ok."""
    action = UPDATE if facts.uploaded else UPLOAD
    switch = policy.product_update if facts.uploaded else policy.product_upload
    label = "Product Update" if facts.uploaded else "Product Upload"
    found = [
        _account(facts),
        Check(
            "switch",
            switch != "off",
            f"{label} is on in {title}." if switch != "off" else f"{label} is off in {title}: this is done by hand.",
            {"switch": switch},
            f"Switch {label} on in the synchronization policy.",
            f"auto.{action}_off",
        ),
        _status(switch, label, facts),
        _template(facts),
        _visibility(policy, facts),
        _stock(policy, facts),
        _content(facts),
    ]
    if facts.uploaded:
        found += [_state(facts), _changed(facts), _reacts(policy, facts)]
    return (*found, _parked(facts))


def _account(facts: Facts) -> Check:
    ok = facts.account_active and facts.connected
    why = "is disabled" if not facts.account_active else "is not authorised"
    return Check(
        "account",
        ok,
        f"The account {facts.account} is active and authorised." if ok else f"The account {facts.account} {why}.",
        {},
        "Enable it on the Accounts page." if not facts.account_active else "Re-authorise it on the Accounts page.",
        "auto.account",
    )


def _status(switch: str, label: str, facts: Facts) -> Check:
    word = _STATUS_WORDS.get(facts.status, f"status {facts.status}")
    ok = not facts.gone and (switch == "off" or fits(switch, facts.status))
    wanted = {"enabled": "Enabled", "disabled": "Disabled"}.get(switch, "any")
    text = f"{facts.sku} is {word} in Magento."
    if facts.gone:
        text = f"{facts.sku} is not in Magento any more."
    elif not ok:
        text = f"{facts.sku} is {word} in Magento; {label} is on for {wanted} products only."
    return Check("magento_status", ok, text, {"status": word}, "Change the product's status in Magento, or the switch of the policy.", "auto.status")


def _template(facts: Facts) -> Check:
    ok = facts.template is not None and facts.template_enabled
    text = f"The listing template {facts.template} is enabled." if ok else f"The listing template {facts.template} is disabled."
    if facts.template is None:
        text = "It has no listing template."
    remedy = "Enable the template." if facts.template else "Assign a listing template, or widen a template's query."
    return Check("template", ok, text, {}, remedy, "auto.template")


def _visibility(policy: SynchronizationPolicy, facts: Facts) -> Check:
    hidden = facts.visibility == _NOT_VISIBLE
    ok = not hidden or policy.sync_not_visible
    text = "It is visible in Magento's catalogue." if not hidden else "It is Not Visible Individually in Magento"
    if hidden:
        text += "; the policy syncs such products too." if ok else ", and the policy leaves such products out."
    return Check("visibility", ok, text, {"visibility": facts.visibility}, "Switch Sync Not Visible Individually on.", "auto.not_visible")


def _stock(policy: SynchronizationPolicy, facts: Facts) -> Check:
    empty = facts.units is not None and facts.units <= 0
    ok = not empty or policy.sync_out_of_stock
    count = "Magento does not limit its stock." if facts.units is None else f"{facts.units:,} units can be offered."
    text = count if not empty else "It is out of stock" + ("; the policy syncs such products too." if ok else ", and the policy leaves such products out.")
    return Check("stock", ok, text, {"units": facts.units}, "Switch Sync Out of Stock Products on, or fill up its stock.", "auto.out_of_stock")


def _content(facts: Facts) -> Check:
    """One whose data changed since is looked at again before anything is sent."""
    ok = facts.validation != INCOMPLETE or facts.content_due
    reason, remedy = facts.first_problem or ("Something is missing.", "Validate it and correct what is listed.")
    words = {UNCHECKED: "It is validated before it is sent."}.get(facts.validation, "Nothing that TikTok Shop needs is missing.")
    return Check("content", ok, words if ok else f"It is incomplete: {reason}", {"validation": facts.validation}, remedy, "auto.incomplete")


def _state(facts: Facts) -> Check:
    refused = {"deleted": "was deleted on TikTok Shop", "frozen": "is frozen by TikTok Shop", "in_review": "is being reviewed by TikTok Shop"}
    why = refused.get(facts.marketplace_state)
    text = f"It {why}." if why else "TikTok Shop takes changes of it."
    remedy = "Nothing needs to be done: it is sent after the review." if facts.marketplace_state == "in_review" else "See the product in Seller Center."
    return Check("marketplace_state", why is None, text, {"state": facts.marketplace_state}, remedy, "auto.state")


def _changed(facts: Facts) -> Check:
    differs = not facts.content_hash or facts.content_hash != facts.sent_hash
    ok = differs or facts.content_due
    text = "Its content differs from what TikTok Shop was sent." if differs else "TikTok Shop has its present content."
    if facts.content_due and not differs:
        text = "Something that it depends on has changed; it is compared first, and sent only if its content differs."
    return Check("changed", ok, text, {}, "Nothing needs to be done.", "auto.unchanged")


def _reacts(policy: SynchronizationPolicy, facts: Facts) -> Check:
    wanted = frozenset(policy.react_only)
    if not wanted:
        return Check("react_only", True, "The policy reacts to every change.")
    if facts.changed is None:
        return Check("react_only", True, f"The policy reacts to {', '.join(policy.react_only)} only; what has changed is looked at before it is sent.")
    ok = bool(wanted & facts.changed)
    seen = ", ".join(sorted(facts.changed)) or "nothing that comes from a Magento attribute"
    text = f"Changed: {seen}. The policy reacts to {', '.join(policy.react_only)} only."
    return Check(
        "react_only", ok, text, {"changed": sorted(facts.changed)}, "Update it by hand, or let the policy react to more attributes.", "auto.not_reacting"
    )


def _parked(facts: Facts) -> Check:
    """A refusal is not repeated for the same content: only when it changed, or when the time for another try has come."""
    if facts.failure is None:
        return Check("not_parked", True, "Nothing stands against it.")
    message, remedy = facts.failure
    if facts.retry_at is not None:
        ok = facts.retry_at <= facts.now
        return Check(
            "not_parked",
            ok,
            f"It failed before: {message}" + (" It is tried again now." if ok else " It is tried again later."),
            {},
            remedy,
            "auto.retry_later",
        )
    changed = facts.content_hash != facts.failed_hash if facts.failed_hash else facts.changed_since_failure
    if changed or facts.content_due:
        return Check("not_parked", True, "It failed before, and its content has changed since.")
    return Check("not_parked", False, f"The same content was refused: {message}", {}, remedy, "auto.parked")


def decide(listing: Listing) -> list[dict[str, Any]]:
    """Why this listing is, or is not, uploaded or updated by itself: ``[{"check", "ok", "message", "facts", "remedy"}]``, first failing one first to fix."""
    found = decide_many([listing.id], thorough=True).get(listing.id)
    return [check.as_dict() for check in found or ()]


def decide_many(listing_ids: Collection[int], *, policy: SynchronizationPolicy | None = None, thorough: bool = False) -> dict[int, tuple[Check, ...]]:
    """The checks of many listings in a handful of queries. ``policy``: another body than the one in force, for a preview. ``thorough``: what differs
    from TikTok is worked out where the policy reacts to some attributes only."""
    decided: dict[int, tuple[Check, ...]] = {}
    rows = _rows(listing_ids)
    policies = _all_in_force(list({row.account.id: row.account for row in rows}.values()))
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


def in_words(reasons: Mapping[str, int]) -> str:
    """Counts of what was left out: "3 parked, 2 out of stock"."""
    return ", ".join(f"{count:,} {_SHORT.get(code, code)}" for code, count in Counter(reasons).most_common())


_SHORT = {
    "auto.account": "in an account that cannot work",
    "auto.upload_off": "with Product Upload off",
    "auto.update_off": "with Product Update off",
    "auto.status": "of another Magento status",
    "auto.template": "without an enabled template",
    "auto.not_visible": "not visible individually",
    "auto.out_of_stock": "out of stock",
    "auto.incomplete": "incomplete",
    "auto.state": "in review, frozen or deleted on TikTok Shop",
    "auto.unchanged": "unchanged",
    "auto.not_reacting": "changed elsewhere than the policy reacts to",
    "auto.retry_later": "tried again later",
    "auto.parked": "refused with the same content",
}


# --- which Magento attributes stand behind a difference


def changed_attributes(listing: Listing) -> frozenset[str]:
    """Codes of the Magento attributes behind what would be sent and TikTok has otherwise; the listing template's own settings have none."""
    from connector.services.products import diff  # these look at policies, which look at this module
    from connector.services.templates import plan as plans

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


def behind(field: str, plan: ListingPlan, images: ImagePolicy, pricing: PricingPolicy) -> tuple[str, ...]:
    """Magento attribute codes behind one field of a listing (``domain.listing_diff.Change.field``)."""
    pictures = (images.main_image_attribute, "media_gallery")
    simple: dict[str, tuple[str, ...]] = {
        "title": (plan.title_attribute,),
        "description": (plan.description_attribute,),
        "main_images": pictures,
        "package_weight": ("weight",),
        "package_dimensions": tuple(plan.dimension_attributes),
    }
    if field in simple:
        return simple[field]
    if field.startswith("product_attributes["):
        wanted = field.removeprefix("product_attributes[").removesuffix("]")
        return tuple(mapping.magento_attribute for mapping in plan.mappings if mapping.attribute_id == wanted and mapping.magento_attribute)
    part = field.rpartition("].")[2].partition("[")[0]
    of_sku: dict[str, tuple[str, ...]] = {
        "seller_sku": (plan.seller_sku_attribute,),
        "price": (pricing.price_attribute or "price", "special_price"),
        "inventory": ("quantity",),
        "identifier": (plan.identifier_attribute,),
        "sku_img": pictures,
    }
    if part in of_sku:
        return of_sku[part]
    axes = tuple(mapping.magento_attribute for mapping in plan.mappings if mapping.magento_attribute)
    return axes if field.startswith("skus[") else ()

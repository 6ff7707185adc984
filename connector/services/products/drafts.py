"""What would be sent for a listing, with everything that is wrong with it: in bulk, from the database alone (product.md 5 and 14, A157, A158).

``prepare`` gathers facts, policies, the template's plan, what TikTok has and which pictures it hosts; the domain makes the body and judges it. Nothing is
stored and nothing is called, so the same function serves Validate, the dry run and the upload.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar, cast

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from connector.core.clock import utcnow
from connector.core.db import db
from connector.core.errors import DomainError
from connector.domain import listing_codes as codes
from connector.domain import pricing
from connector.domain.listing import Draft, ListingPlan, Offer, build, files_needed
from connector.domain.listing_body import ListingBody, live_body
from connector.domain.listing_codes import ListingProblem
from connector.domain.listing_limits import limits
from connector.domain.listing_rules import ShopFacts, check
from connector.domain.listing_text import HostedImage
from connector.domain.magento_product import ENABLED, MagentoProduct
from connector.domain.policies import ImagePolicy
from connector.domain.stock import Ledger, running
from connector.models.listing import DELETED, NOT_UPLOADED, Listing, ListingTemplate
from connector.models.policy import Policy
from connector.models.product import HostedImage as HostedRow
from connector.models.product import Product
from connector.services import connections
from connector.services.products import evaluate, evaluation_facts, images
from connector.services.products.evaluation_facts import CONFIGURABLE, NO_TEMPLATE, SIMPLE, Known, Market, Rules
from connector.services.products.in_use import InUse, in_use
from connector.services.templates import plan as plans

T = TypeVar("T")

#: Listings whose facts are in memory at once.
BATCH = 200
#: A picture that TikTok does not have yet stands in a body as this and its source; such a body is shown, judged and never sent.
PENDING = "not uploaded yet: "
KEPT = 3.0
_PRESUMED = 1000  #: pixels a side of such a picture, which no rule minds
_LIVES_NOT = (NOT_UPLOADED, DELETED)
#: Our code of a refused picture -> TikTok's (TTS §3.4: image format, readability, size).
_PICTURE_CODES = {"picture.format": 12019116, "picture.too_small": 12038005, "picture.too_many_pixels": 12038014, "picture.too_long": 12038015}
_PICTURE_CODE = 12038002


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One listing as it would go out. ``draft`` and ``body`` are None when it cannot be made at all; ``problems`` say why.

    ``body``: with the pictures that TikTok hosts, ready to be sent when nothing is pending and no problem stops it. ``shown``: the same, with pictures that
    are still to be uploaded; ``problems`` are about this one. ``pending``: sources of those. ``live``: what TikTok has, None when it has nothing.
    ``fingerprint`` changes with everything that would go out and with what TikTok has; ``content_hash`` with the content alone.
    """

    listing: Listing
    record: Product
    template: ListingTemplate | None = None
    product: MagentoProduct | None = None
    plan: ListingPlan | None = None
    image_policy: ImagePolicy | None = None
    offers: tuple[Offer, ...] = ()
    draft: Draft | None = None
    body: ListingBody | None = None
    shown: ListingBody | None = None
    live: ListingBody | None = None
    problems: tuple[ListingProblem, ...] = ()
    needed_files: Mapping[str, str] = field(default_factory=dict)
    hosted: images.Hosted = field(default_factory=images.Hosted)
    pending: tuple[str, ...] = ()
    region: str = ""
    fingerprint: str = ""
    content_hash: str = ""

    @property
    def refusals(self) -> list[ListingProblem]:
        """Problems that stop the listing."""
        return [problem for problem in self.problems if not problem.warning]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was changed or left out on the way, in words."""
        of_pictures = (f"{source}: {note}" for source, notes in self.hosted.notes.items() for note in notes)
        waiting = [f"{len(self.pending)} pictures are not uploaded yet; each is checked when it is."] if self.pending else []
        of_draft = (note for note in (self.draft.notes if self.draft else ()) if not note.endswith("is not uploaded yet."))
        return tuple(dict.fromkeys([*of_draft, *of_pictures, *waiting]))


class Common:
    """What listings have in common (the account's market, policies, plans with their categories), kept for a run that prepares them one by one.

    For ``KEPT`` seconds: a policy that is saved meanwhile counts as if it had been saved right after, and marks its listings as due then.
    """

    def __init__(self) -> None:
        self._kept: dict[object, tuple[float, Any]] = {}

    def get(self, key: object, read: Callable[[], T]) -> T:
        """What ``read`` gave a moment ago, else what it gives now."""
        until, found = self._kept.get(key, (0.0, None))
        if until < time.monotonic():
            found = read()
            self._kept[key] = time.monotonic() + KEPT, found
        return cast(T, found)


def prepare(listing_ids: Collection[int], *, common: Common | None = None) -> dict[int, Prepared]:
    """Each listing that exists, by id. The number of queries does not depend on how many there are (up to ``BATCH`` of an account)."""
    found: dict[int, Prepared] = {}
    ids = sorted(set(listing_ids))
    for start in range(0, len(ids), BATCH):
        for listings in _by_account(ids[start : start + BATCH]):
            found |= {one.listing.id: one for one in _prepared(listings, common or Common())}
    return found


def content_hash(body: ListingBody) -> str:
    """Of the content: price and stock have endpoints of their own, and TikTok's ids say nothing about what we want."""
    return replace(body, skus=tuple(replace(sku, id="", amount="", currency="", sale_price="", inventory=()) for sku in body.skus)).fingerprint


# --- gathering ------------------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Desk:
    """What the listings of one account share."""

    market: Market
    known: Known
    plans: Mapping[int, ListingPlan]
    rules: Mapping[int, Rules]
    shop: ShopFacts
    now: datetime


def _by_account(ids: list[int]) -> Iterable[list[Listing]]:
    template = joinedload(Listing.template)
    query = (
        select(Listing)
        .where(Listing.id.in_(ids))
        .order_by(Listing.account_id, Listing.id)
        .options(
            joinedload(Listing.account),
            joinedload(Listing.product),
            template.joinedload(ListingTemplate.image_policy),
            template.joinedload(ListingTemplate.pricing_policy),
            template.joinedload(ListingTemplate.inventory_policy),
        )
        .execution_options(populate_existing=True)
    )
    groups: dict[int, list[Listing]] = {}
    for listing in db.session.scalars(query):
        groups.setdefault(listing.account_id, []).append(listing)
    return groups.values()


def _prepared(listings: list[Listing], common: Common) -> Iterator[Prepared]:
    session, account = db.session(), listings[0].account
    now, region = utcnow(), (account.shop_region or account.country or "").upper()
    try:
        market = common.get(("market", account.id), lambda: evaluation_facts.market(session, account.id))
        trouble = (market.trouble.message, market.trouble.remedy) if market.trouble else None
    except DomainError as unknown:  # the store was never read, or not this store view
        market, trouble = None, (unknown.message, unknown.remedy)
    if market is None or market.store is None:
        assert trouble is not None
        for one in listings:
            yield Prepared(listing=one, record=one.product, template=one.template, region=region, problems=(_stop("account", *trouble),))
        return
    template_ids = frozenset(one.template_id for one in listings if one.template_id is not None)
    rules = common.get(("rules", template_ids), lambda: evaluation_facts.rules(session, template_ids))
    known = evaluation_facts.known(session, market, listings, rules, now)  # type: ignore[arg-type]  # a listing has a head's columns
    shop = ShopFacts(region=region, currency=market.currency, now=connections.shop_now(account), warehouses=frozenset(market.warehouses))
    desk = _Desk(market, known, common.get(("plans", template_ids), lambda: plans.plans(template_ids)) if template_ids else {}, rules, shop, now)
    started = [_started(one, desk) for one in listings]
    wanted = {key for one in started for key in one.needed_files.items()}
    rows = images.known_rows(market.store.magento_id, account.environment, wanted) if wanted else {}
    started = [replace(one, hosted=images.gathered(one.needed_files, rows)) for one in started]
    charts = _charts({one.plan.size_chart_uri for one in started if one.plan is not None and one.plan.size_chart_uri})
    taken = in_use(account.id, *_wanted(started))
    for one in started:
        yield one if one.plan is None or one.product is None or one.problems else _finished(one, desk, charts, taken)


def _started(listing: Listing, desk: _Desk) -> Prepared:
    """The listing with its offers and the pictures it wants; or with the problems that leave nothing to judge."""
    template, record = listing.template, listing.product
    base = Prepared(listing=listing, record=record, template=template, region=desk.shop.region, live=_live(listing))
    problems = list(_cannot_start(listing, desk))
    product = desk.known.values.get(record.id)
    if template is None or product is None or problems:
        return replace(base, product=product, problems=tuple(problems))
    plan, rules = desk.plans[template.id], desk.rules.get(template.id, NO_TEMPLATE)
    image_policy = ImagePolicy.model_validate(template.image_policy.body)
    offers = tuple(_offers(listing, desk, rules))
    needed = files_needed(product, offers, plan=plan, images=image_policy)
    return replace(base, product=product, plan=plan, image_policy=image_policy, offers=offers, needed_files=needed)


def _cannot_start(listing: Listing, desk: _Desk) -> Iterator[ListingProblem]:
    record, template = listing.product, listing.template
    if record.gone_at is not None:
        yield _stop("product", f"{record.sku} is not in Magento any more.", "Remove the listing, or create the product in Magento again and import it.")
        return
    if record.type_id not in (*SIMPLE, CONFIGURABLE):
        text = f"{record.sku} is a {record.type_id} product; TikTok Shop sells simple and configurable ones."
        yield _stop("type", text, "List its simple products instead.")
        return
    if template is None:
        yield _stop("template", f"{record.sku} is in no listing template.", "Assign it to a listing template.")
        return
    if not template.enabled:
        yield _stop("template", f"The listing template {template.name} is disabled.", "Enable the template, or assign the product to another one.")
    for kind, policy in (("image", template.image_policy), ("pricing", template.pricing_policy), ("inventory", template.inventory_policy)):
        yield from _policy(kind, policy, template.name)
    if desk.market.trouble is not None:
        yield _stop("account", desk.market.trouble.message, desk.market.trouble.remedy)
    if record.id not in desk.known.values:
        yield _stop("product", f"{record.sku} cannot be read from the imported catalogue.", "Import the product from Magento again.")


def _policy(kind: str, policy: Policy | None, template: str) -> Iterator[ListingProblem]:
    if policy is None or policy.deleted_at is not None:
        yield _stop(
            f"{kind}_policy", f"The {kind} policy of the listing template {template} does not exist any more.", "Choose another policy in the template."
        )
    elif not policy.valid:
        why = " ".join(str(problem.get("message") or "") for problem in policy.problems) or "It is not complete."
        text = f"The {kind} policy {policy.title} of the listing template {template} is not valid: {why}"
        yield _stop(f"{kind}_policy", text, f"Open TikTok Policies > {policy.title} and complete it.")


def _offers(listing: Listing, desk: _Desk, rules: Rules) -> Iterator[Offer]:
    """The product itself, or its variants in the order of their options, priced and counted as the evaluation does it."""
    known, record = desk.known, listing.product
    assert rules.pricing is not None
    for product_id in known.children.get(record.id, ()) if record.type_id == CONFIGURABLE else (record.id,):
        product, facts = known.values.get(product_id), known.prices.get(product_id)
        if product is None or facts is None:
            continue
        yield Offer(product=product, price=pricing.price(rules.pricing, facts), stock=_ledger(listing, desk, rules, product_id))


def _ledger(listing: Listing, desk: _Desk, rules: Rules, product_id: int) -> Ledger:
    found = evaluate.stock_of(db.session(), desk.known, listing, rules, product_id, now=desk.now)
    terms, sent = running(found.terms), found.quantity or 0
    return Ledger(terms[-1].balance if terms else 0, 0, 0, sent, sent, terms, found.warehouses)


def _live(listing: Listing) -> ListingBody | None:
    return live_body(listing.live) if listing.tiktok_id and listing.live and listing.marketplace_state not in _LIVES_NOT else None


# --- judging --------------------------------------------------------------------------------------------------------------------------------


def _finished(one: Prepared, desk: _Desk, charts: Mapping[str, HostedImage], taken: InUse) -> Prepared:
    assert one.product is not None and one.plan is not None and one.image_policy is not None
    hosted, refused = one.hosted.images, one.hosted.refused
    presumed = {source: _presumed(source, use) for source, use in one.needed_files.items() if source not in hosted and source not in refused}
    facts: dict[str, Any] = {"plan": one.plan, "images": one.image_policy, "region": one.region, "live": one.live}
    draft = build(one.product, one.offers, hosted=hosted, **facts)
    shown = build(one.product, one.offers, hosted={**hosted, **presumed}, **facts) if presumed else draft
    at_tiktok = {image.uri: image for image in (*hosted.values(), *presumed.values(), *charts.values())}
    shop = replace(desk.shop, images=at_tiktok, **taken.facts(one.listing.id, shown.body))
    is_draft = "DRAFT" in (one.listing.remote_status, one.listing.product_status)
    found = check(shown.body, category=one.plan.category, shop=shop, live=one.live, live_is_draft=is_draft)
    problems = _together([*_sources(one, desk), *shown.problems], found, one)
    canonical = build(
        one.product, one.offers, hosted={source: _presumed(source, use) for source, use in one.needed_files.items() if source not in refused}, **facts
    )
    return replace(
        one,
        draft=draft,
        body=draft.body,
        shown=shown.body,
        problems=tuple(problems),
        pending=tuple(presumed),
        fingerprint=_fingerprint(one, canonical.body),
        content_hash=content_hash(shown.body),
    )


def _presumed(source: str, use_case: str) -> HostedImage:
    return HostedImage(f"{PENDING}{source}", f"{PENDING}{source}", use_case, _PRESUMED, _PRESUMED)


def _sources(one: Prepared, desk: _Desk) -> Iterator[ListingProblem]:
    """What is wrong on Magento's side and cannot be seen in the body."""
    record, known = one.record, desk.known
    listed = list(record.child_ids or ()) if record.type_id == CONFIGURABLE else []
    here = known.children.get(record.id, ())
    if record.type_id == CONFIGURABLE and not listed:
        yield ListingProblem(codes.NO_SKU, "skus", f"{record.sku} is a configurable product without variants.", "Add simple products to it in Magento.")
    elif len(here) < len(listed):
        text = f"{len(listed) - len(here)} of {len(listed)} variants of {record.sku} are not in the imported catalogue."
        yield ListingProblem(codes.INPUT_INVALID, "skus", text, "Import products from Magento again.", warning=bool(here))
    assert one.product is not None and one.plan is not None
    chosen, read = one.plan.category_version or one.plan.category.version, one.plan.category.version
    if one.plan.category.exists and not limits(one.region).tree and (chosen or "v1") != (read or "v1"):
        text = f"The listing template's category was chosen from the {chosen or 'v1'} tree; the shop's is the {read or 'v1'} tree now."
        yield ListingProblem(codes.CATEGORY_OTHER_TREE, "category_version", text, "Choose the category anew in the listing template.")
    if one.product.status != ENABLED:
        text = f"{record.sku} is disabled in Magento."
        yield ListingProblem(codes.INVENTORY_RANGE, "status", text, "Enable the product in Magento.", warning=one.live is not None)
    by_entity = {known.values[product_id].product_id: product_id for product_id in (*here, record.id) if product_id in known.values}
    place = 0
    assert one.draft is None
    for offer in one.offers:
        product_id = by_entity.get(offer.product.product_id)
        if product_id is not None and product_id not in known.stock and offer.product.status == ENABLED:
            text = f"The stock of {offer.product.sku} has not been read from Magento yet."
            yield ListingProblem(
                codes.INVENTORY_MISSING,
                f"skus[{place}].inventory",
                text,
                "Run Read stock from Magento; see whether the product belongs to the account's website.",
            )
        place += offer.product.status == ENABLED or offer.product is one.product


def _together(ours: Sequence[ListingProblem], found: Sequence[ListingProblem], one: Prepared) -> list[ListingProblem]:
    """Ours first: where both speak of the same thing, ours knows the cause."""
    said = {(problem.code, problem.field) for problem in ours}
    said |= {(problem.code, f"{problem.field}.amount") for problem in ours if problem.code == codes.PRICE_INVALID}
    refused = [(source, one.hosted.refused[source]) for source in one.needed_files if source in one.hosted.refused]
    problems = list(ours)
    for problem in found:
        if (problem.code, problem.field) in said:
            continue
        if problem.code == codes.MAIN_IMAGE_MISSING and (mains := [each for each in refused if one.needed_files[each[0]] == "MAIN_IMAGE"]):
            source, why = mains[0]
            problem = replace(problem, message=f"There is no main image: {source} cannot be used. {why.message}", remedy=why.remedy)
        problems.append(problem)
    for source, why in refused:
        use = one.needed_files[source]
        where = {"MAIN_IMAGE": "main_images", "DESCRIPTION_IMAGE": "description"}.get(use, "skus.sales_attributes.sku_img")
        code = _PICTURE_CODES.get(why.code, _PICTURE_CODE)
        problems.append(ListingProblem(code, where, f"The picture {source} is left out. {why.message}", why.remedy, warning=True))
    return list(dict.fromkeys(problems))


def _fingerprint(one: Prepared, body: ListingBody) -> str:
    """Quantities of variants that TikTok has apart: units are sold every minute, and stock has its own way."""

    def still(given: ListingBody) -> dict[str, Any]:
        return replace(given, skus=tuple(replace(sku, inventory=()) if sku.id else sku for sku in given.skus)).as_dict()

    seen = {
        "send": still(body),
        "live": still(one.live) if one.live else None,
        "product": one.listing.tiktok_id,
        "status": one.listing.remote_status,
        "audit": one.listing.audit_status,
    }
    return hashlib.sha256(json.dumps(seen, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def _stop(where: str, reason: str, remedy: str) -> ListingProblem:
    return ListingProblem(codes.INPUT_INVALID, where, reason, remedy)


def _wanted(prepared: Sequence[Prepared]) -> tuple[set[str], set[str]]:
    """Seller SKUs (casefolded) and identifier codes that these listings would send."""
    skus, found = set[str](), set[str]()
    for one in prepared:
        if one.plan is None:
            continue
        skus |= {offer.product.text(one.plan.seller_sku_attribute).strip().casefold() for offer in one.offers}
        if one.plan.identifier_attribute:
            found |= {offer.product.text(one.plan.identifier_attribute).strip() for offer in one.offers}
    return skus, found


def _charts(uris: Collection[str]) -> dict[str, HostedImage]:
    """Size charts of templates, which were uploaded by hand."""
    return {row.uri: images.as_domain(row) for row in db.session.scalars(select(HostedRow).where(HostedRow.uri.in_(uris)))} if uris else {}

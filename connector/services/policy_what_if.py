"""What saving a policy would change over the whole catalogue: the policy as typed against the one in force (product.md 14). No HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, or_, select

from connector.core.db import db
from connector.domain import stock
from connector.domain.magento_product import MagentoProduct
from connector.domain.policies import IMAGE, INVENTORY, PRICING, SYNCHRONIZATION, ImagePolicy, SynchronizationPolicy
from connector.domain.policy_body import PolicyBody
from connector.models.account import Account
from connector.models.listing import Listing, ListingSku, ListingTemplate
from connector.models.policy import Policy
from connector.models.product import Product
from connector.services import policies
from connector.services.policy_preview import ledgers, price_words, prices
from connector.services.products import automation, evaluation_facts, facts
from connector.services.products.evaluation_facts import Market

FIRST_ROWS = 20
#: Of one answer: a longer catalogue is counted in part, and says so.
PATIENCE_SECONDS = 12.0
_AT_ONCE = 500


class Row(NamedTuple):
    """One thing that would change."""

    sku: str
    name: str
    before: str
    after: str
    note: str = ""


@dataclass(slots=True)
class WhatIf:
    """What would change. ``complete`` False: ``looked`` of ``total`` were looked at, the time for one answer was over."""

    noun: str
    total: int = 0
    looked: int = 0
    altered: int = 0
    blocked: int = 0  #: would be sent no more
    released: int = 0  #: are blocked now and would be sent
    oversell: int = 0  #: more than is safe would be offered
    unknown: int = 0  #: not imported or not read yet
    rows: list[Row] = field(default_factory=list)
    complete: bool = True
    empty: str = ""

    def add(self, row: Row) -> None:
        self.altered += 1
        if len(self.rows) < FIRST_ROWS:
            self.rows.append(row)


def what_if(kind: str, body: PolicyBody, *, policy_id: int | None, patience: float = PATIENCE_SECONDS) -> WhatIf:
    """Compare ``body`` with the policy in force, over every SKU (pricing, inventory) or listing (image, synchronization) that it concerns."""
    result = WhatIf(_NOUNS[kind])
    policy = db.session.get(Policy, policy_id) if policy_id else None
    if policy is None:
        result.empty = "Nothing uses this policy yet, so nothing would change. Save it, and choose it in a listing template or account."
        return result
    now = policies.body_of(policy)
    where = _concerned(kind, policy)
    skus = kind in (INVENTORY, PRICING)
    counted = ListingSku.id if skus else Listing.id
    base = select(counted).join(Listing, Listing.id == ListingSku.listing_id) if skus else select(counted)
    result.total = db.session.scalar(select(func.count()).select_from(base.where(*where).subquery())) or 0
    if not result.total:
        result.empty = "No product is in a listing template or account that uses this policy, so nothing would change."
        return result
    if now == body:
        result.looked = result.total
        return result
    ends = time.monotonic() + patience
    for account_id in db.session.scalars(select(Listing.account_id).where(*_concerned(kind, policy)).distinct().order_by(Listing.account_id)).all():
        market = evaluation_facts.market(db.session(), account_id)
        last = 0
        while True:
            if time.monotonic() > ends:
                result.complete = False
                return result
            chunk = db.session.execute(
                base.add_columns(ListingSku.product_id if skus else Listing.product_id)
                .where(*where, Listing.account_id == account_id, counted > last)
                .order_by(counted)
                .limit(_AT_ONCE)
            ).all()
            if not chunk:
                break
            last = chunk[-1][0]
            _COMPARE[kind](result, [tuple(row) for row in chunk], market, now, body)
            result.looked += len(chunk)
    return result


def _concerned(kind: str, policy: Policy) -> list[ColumnElement[bool]]:
    if kind == SYNCHRONIZATION:
        own = Account.sync_policy_id == policy.id
        mine = or_(own, Account.sync_policy_id.is_(None)) if policy.is_default else own
        return [Listing.account_id.in_(select(Account.id).where(mine))]
    column = policies.ASSIGNED_BY[kind]
    return [Listing.template_id.in_(select(ListingTemplate.id).where(column == policy.id))]


Pairs = list[tuple[int, int]]  #: (id of the SKU or listing, product id)


def _names(product_ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    return {row.id: (row.sku, row.name) for row in db.session.execute(select(Product.id, Product.sku, Product.name).where(Product.id.in_(list(product_ids))))}


def _compare_prices(result: WhatIf, pairs: Pairs, market: Market, now: Any, then: Any) -> None:
    ids = [product_id for _, product_id in pairs]
    found, names = dict(prices(ids, market, [now, then])), _names(ids)
    for product_id in ids:
        if product_id not in found:
            result.unknown += 1
            continue
        before, after = found[product_id]
        if before.amount == after.amount:
            continue
        result.blocked += after.block is not None
        result.released += before.block is not None
        result.add(Row(*names[product_id], price_words(before), price_words(after), after.block.reason if after.block else ""))


def _compare_stock(result: WhatIf, pairs: Pairs, market: Market, now: Any, then: Any) -> None:
    ids = [product_id for _, product_id in pairs]
    found, names = dict(ledgers(ids, market, [now, then])), _names(ids)
    for product_id in ids:
        if product_id not in found:
            result.unknown += 1
            continue
        before, after = found[product_id]
        risky = after.sent > after.safe or any(term.key == stock.DEFAULT_FOR_ZERO for term in after.terms)
        result.oversell += risky
        if before.sent == after.sent and before.warehouses == after.warehouses:
            continue
        result.blocked += after.sent == 0 and before.sent > 0
        result.released += before.sent == 0 and after.sent > 0
        note = after.warnings[0] if after.warnings else "Spread otherwise over the warehouses." if before.sent == after.sent else ""
        result.add(Row(*names[product_id], f"{before.sent:,}", f"{after.sent:,}", note))


def _compare_pictures(result: WhatIf, pairs: Pairs, market: Market, now: ImagePolicy, then: ImagePolicy) -> None:
    ids = [product_id for _, product_id in pairs]
    products: dict[int, MagentoProduct] = {} if market.store is None else facts.magento_products(ids, market.store.store_view, with_children=False)
    names = _names(ids)
    for product_id in ids:
        if product_id not in products:
            result.unknown += 1
            continue
        before, after = products[product_id].pictures(now), products[product_id].pictures(then)
        if before == after:
            continue
        result.blocked += bool(before) and not after
        result.released += bool(after) and not before
        note = "It would have no picture." if not after else "Another main picture." if before[:1] != after[:1] else ""
        result.add(Row(*names[product_id], f"{len(before)} pictures", f"{len(after)} pictures", note))


def _compare_automation(result: WhatIf, pairs: Pairs, market: Market, now: SynchronizationPolicy, then: SynchronizationPolicy) -> None:
    found = automation.decide_under([listing_id for listing_id, _ in pairs], (now, then))
    names = _names(product_id for _, product_id in pairs)
    for listing_id, product_id in pairs:
        if listing_id not in found:
            continue
        (old, new), after = (all(check.ok for check in checks) for checks in found[listing_id]), found[listing_id][1]
        if old == new:
            continue
        result.blocked += old
        result.released += new
        first = next((check.message for check in after if not check.ok), "")
        action = "updated" if any(check.check == "changed" for check in after) else "uploaded"
        result.add(Row(*names[product_id], *(f"{action} by itself" if on else "left alone" for on in (old, new)), first))


_NOUNS = {PRICING: "price", INVENTORY: "quantity", IMAGE: "set of pictures", SYNCHRONIZATION: "listing"}
_COMPARE: dict[str, Callable[[WhatIf, Pairs, Market, Any, Any], None]] = {
    PRICING: _compare_prices, INVENTORY: _compare_stock, IMAGE: _compare_pictures, SYNCHRONIZATION: _compare_automation,
}  # fmt: skip

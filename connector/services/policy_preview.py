"""What a policy would do, before it is saved: every step in words, worked out on three real products (product.md 14). No HTTP.

``policy_what_if`` counts the same over the whole catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, or_, select

from connector.core.clock import utcnow
from connector.core.db import db
from connector.domain import pricing, stock
from connector.domain.automation import fits
from connector.domain.policies import IMAGE, INVENTORY, ORDER, PRICING, SYNCHRONIZATION, InventoryPolicy, PricingPolicy
from connector.domain.policy_body import PolicyBody
from connector.domain.pricing import Price
from connector.domain.stock import Ledger, SourceStock, StockFacts
from connector.models.account import Account
from connector.models.listing import Listing
from connector.models.product import Product, ProductStock
from connector.services import policy_users
from connector.services.orders import reservations
from connector.services.products import automation, evaluation_facts, facts
from connector.services.products.evaluation_facts import Market

PRODUCTS = 3
_WINDOW = 300  #: products looked through for a special one while somebody types
LOW_STOCK = 5
_SOLD = ("simple", "virtual", "downloadable")


class Line(NamedTuple):
    """One step. ``tone``: "", warning, danger or success."""

    label: str
    value: str
    words: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One product under the policy. ``pictures``: files or ``upload:<id>`` in the order in which they would go."""

    product_id: int
    sku: str
    name: str
    why: str
    lines: tuple[Line, ...] = ()
    result: str = ""
    tone: str = ""
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """``empty`` says why there are no samples."""

    samples: tuple[Sample, ...] = ()
    remarks: tuple[str, ...] = ()
    account: str = ""
    empty: str = ""


def supported(kind: str) -> bool:
    return kind != ORDER


def preview(kind: str, body: PolicyBody, *, policy_id: int | None = None, search: str = "") -> Preview:
    """The policy on three products: those that show its cases, or the first that match ``search``."""
    remarks = (*(f"{problem.message} {problem.remedy}" for problem in body.missing()), *body.remarks())
    account = _account(policy_id)
    if account is None:
        return Preview((), remarks, "", "There is no account with a Magento store yet, so there are no products to show it on.")
    chosen = _chosen(kind, account, policy_id, search)
    if not chosen:
        text = f"No product matches {search}." if search else "No products have been imported from Magento yet."
        return Preview((), remarks, account.title, text)
    if isinstance(body, PricingPolicy) and (odd := _unconverted(body, account)):
        remarks = (*remarks, odd)
    return Preview(tuple(_SAMPLES[kind](body, account, chosen)), remarks, account.title)


def _unconverted(body: PricingPolicy, account: Account) -> str:
    """Two currencies and the rate 1: the figure would be sent as it is."""
    market = evaluation_facts.market(db.session(), account.id)
    base = market.store.base_currency if market.store else ""
    if body.conversion_rate != 1 or not base or not market.currency or base == market.currency:
        return ""
    return (
        f"Magento's prices are in {base}, {account.title} sells in {market.currency}, and the Currency Conversion Rate is 1: the figures are sent as they are."
    )


def _account(policy_id: int | None) -> Account | None:
    """Where the policy works, else the first account that can work."""
    query = select(Account).where(Account.magento_id.is_not(None)).order_by(Account.active.desc(), Account.id)
    accounts = list(db.session.scalars(query))
    users = policy_users.account_ids(policy_id) if policy_id else set()
    return next((account for account in accounts if account.id in users), accounts[0] if accounts else None)


# --- which products

Chosen = dict[int, str]  #: our product id -> why it was chosen


def _chosen(kind: str, account: Account, policy_id: int | None, search: str) -> Chosen:
    here = [Product.magento_id == account.magento_id, Product.gone_at.is_(None)]
    here += [Product.type_id.in_(_SOLD)] if kind in (INVENTORY, PRICING) else [Product.is_child.is_(False)]
    if search.strip():
        key = search.strip().casefold()
        match = or_(Product.sku_key.icontains(key, autoescape=True), Product.name.icontains(search.strip(), autoescape=True))
        exact = (Product.sku_key == key).desc()
        found = db.session.scalars(select(Product.id).where(*here, match).order_by(exact, Product.id).limit(PRODUCTS))
        return dict.fromkeys(found, "")
    chosen: Chosen = {}
    for why, find in _SLOTS[kind](here, account):
        product_id = find(list(chosen))
        if product_id is not None:
            chosen[product_id] = why
    if len(chosen) < PRODUCTS:
        rest = select(Product.id).where(*here, Product.id.not_in(list(chosen))).order_by(Product.status, Product.id).limit(PRODUCTS - len(chosen))
        chosen |= dict.fromkeys(db.session.scalars(rest), "")
    return dict(list(chosen.items())[:PRODUCTS])


Slot = tuple[str, Callable[[list[int]], int | None]]
Where = list[ColumnElement[bool]]


def _first(here: Where, *more: ColumnElement[bool], order: Any = Product.id) -> Callable[[list[int]], int | None]:
    def find(taken: list[int]) -> int | None:
        return db.session.scalar(select(Product.id).where(*here, *more, Product.id.not_in(taken)).order_by(order, Product.id).limit(1))

    return find


def _stock_slots(here: Where, account: Account) -> Iterable[Slot]:
    enabled = Product.status == 1
    yield "In stock", _first(here, enabled, Product.quantity > 4 * LOW_STOCK)
    yield "Low stock", _first(here, enabled, Product.quantity > 0, Product.quantity <= LOW_STOCK, order=Product.quantity)
    yield "Stock not managed", _first(here, enabled, Product.quantity.is_(None))
    yield "Out of stock", _first(here, enabled, Product.quantity <= 0)


def _price_slots(here: Where, account: Account) -> Iterable[Slot]:
    def special(taken: list[int]) -> int | None:
        rows = db.session.execute(select(Product.id, Product.data).where(*here, Product.status == 1).order_by(Product.id).limit(_WINDOW))
        return next((row.id for row in rows if (row.data.get("values") or {}).get("special_price") and row.id not in taken), None)

    yield "Special price", special
    yield "Variant", _first(here, Product.is_child.is_(True), Product.price > 0)
    yield "Ordinary", _first(here, Product.is_child.is_(False), Product.price > 0, Product.status == 1)


def _picture_slots(here: Where, account: Account) -> Iterable[Slot]:
    def several(taken: list[int]) -> int | None:
        rows = db.session.execute(select(Product.id, Product.data).where(*here, Product.image != "").order_by(Product.id).limit(_WINDOW)).all()
        best = max(rows, key=lambda row: len(row.data.get("images") or ()), default=None)
        return best.id if best is not None else None

    yield "Several pictures", several
    yield "No picture", _first(here, Product.image == "")
    yield "", _first(here, Product.image != "")


def _listing_slots(here: Where, account: Account) -> Iterable[Slot]:
    def listed(*more: ColumnElement[bool]) -> ColumnElement[bool]:
        return Product.id.in_(select(Listing.product_id).where(Listing.account_id == account.id, *more))

    yield "Not on TikTok Shop yet", _first(here, listed(Listing.tiktok_id.is_(None)))
    yield "Changed", _first(here, listed(Listing.tiktok_id.is_not(None), Listing.content_hash != Listing.sent_hash))
    yield "On TikTok Shop", _first(here, listed(Listing.tiktok_id.is_not(None)))
    yield "Disabled in Magento", _first(here, listed(), Product.status == 2)


_SLOTS: dict[str, Callable[[Where, Account], Iterable[Slot]]] = {
    INVENTORY: _stock_slots, PRICING: _price_slots, IMAGE: _picture_slots, SYNCHRONIZATION: _listing_slots,
}  # fmt: skip


# --- each kind on its products


def _heads(chosen: Collection[int]) -> dict[int, Any]:
    query = select(Product.id, Product.sku, Product.name, Product.type_id, Product.status, Product.quantity).where(Product.id.in_(chosen))
    return {row.id: row for row in db.session.execute(query)}


def _stock_samples(body: Any, account: Account, chosen: Chosen) -> Iterator[Sample]:
    market = evaluation_facts.market(db.session(), account.id)
    found = dict(ledgers(list(chosen), market, [body]))
    heads = _heads(chosen)
    for product_id, why in chosen.items():
        head = heads[product_id]
        if product_id not in found:
            text = "Its stock has not been read from Magento yet."
            yield Sample(product_id, head.sku, head.name, why, (Line("Stock", "", text, "warning"),), "not known", "warning")
            continue
        ledger = found[product_id][0]
        lines = [Line(term.label, _signed(term.change, first=number == 0), term.words) for number, term in enumerate(ledger.terms)]
        lines += [Line("Warning", "", warning, "danger") for warning in ledger.warnings]
        places = f" in {len(ledger.warehouses)} warehouses" if len(ledger.warehouses) > 1 else ""
        yield Sample(
            product_id, head.sku, head.name, why, tuple(lines), f"{stock.units(ledger.sent)}{places}", "danger" if ledger.sent > ledger.safe else "success"
        )


def _signed(change: int, *, first: bool) -> str:
    return f"{change:,}" if first or not change else f"{change:+,}".replace("-", "−")


def _price_samples(body: Any, account: Account, chosen: Chosen) -> Iterator[Sample]:
    market = evaluation_facts.market(db.session(), account.id)
    found = dict(prices(list(chosen), market, [body]))
    heads = _heads(chosen)
    for product_id, why in chosen.items():
        head = heads[product_id]
        if product_id not in found:
            yield Sample(product_id, head.sku, head.name, why, (Line("Price", "", "Its prices are not known.", "warning"),), "not known", "warning")
            continue
        price = found[product_id][0]
        lines = [Line(step.label, _plain(step.value), step.words) for step in price.steps]
        if price.block is not None:
            lines.append(Line("Blocked", "", f"{price.block.reason} {price.block.remedy}", "danger"))
        yield Sample(product_id, head.sku, head.name, why, tuple(lines), price_words(price), "danger" if price.block else "success")


def _plain(value: Decimal) -> str:
    """At least two decimals where there are any: 19.5 -> 19.50."""
    whole, dot, part = f"{value.normalize():f}".partition(".")
    return f"{whole}{dot}{part.ljust(2, '0')}" if dot else whole


def price_words(price: Price) -> str:
    return "no price is sent" if price.block is not None else f"{price.text} {price.currency}"


def _picture_samples(body: Any, account: Account, chosen: Chosen) -> Iterator[Sample]:
    heads = _heads(chosen)
    for product_id, product in facts.magento_products(list(chosen), facts.store_facts(account).store_view, with_children=False).items():
        head, pictures = heads[product_id], product.pictures(body)
        own = {image.file for image in product.images} | set(product.raw(body.main_image_attribute))
        lines = [
            Line("Main picture" if place == 0 else f"Picture {place + 1}", "", file if file in own else "the default image of the policy")
            for place, file in enumerate(pictures)
        ]
        left = len({image.file for image in product.images} - set(pictures))
        if left:
            lines.append(Line("Left out", str(left), f"{left} more in Magento's gallery than the policy sends."))
        if not pictures:
            lines.append(Line("Pictures", "", "It has none and the policy has no default image: TikTok Shop takes no product without a picture.", "danger"))
        count = f"{len(pictures)} {'picture' if len(pictures) == 1 else 'pictures'}"
        yield Sample(product_id, head.sku, head.name, chosen[product_id], tuple(lines), count, "success" if pictures else "danger", pictures)


def _sync_samples(body: Any, account: Account, chosen: Chosen) -> Iterator[Sample]:
    heads = _heads(chosen)
    listings = dict(db.session.execute(select(Listing.product_id, Listing.id).where(Listing.account_id == account.id, Listing.product_id.in_(chosen))).all())
    decided = automation.decide_many(list(listings.values()), policy=body)
    for product_id, why in chosen.items():
        head, lines, result, tone = heads[product_id], [], "nothing by itself", ""
        found = decided.get(listings.get(product_id, 0))
        if found is None:
            assigns = fits(body.product_assign, head.status)
            text = "It gets a listing template by itself when one's query matches it." if assigns else "It is in no listing template; assign one by hand."
            lines.append(Line("Template", "", text))
        else:
            lines += [
                Line(_CHECKS.get(check.check, check.check), "", check.message if check.ok else f"{check.message} {check.remedy}", "" if check.ok else "warning")
                for check in found
            ]
            if all(check.ok for check in found):
                uploads = not any(check.check == "changed" for check in found)
                result, tone = ("is uploaded by itself" if uploads else "is updated by itself"), "success"
        moves = fits(body.inventory_price_sync, head.status)
        lines.append(Line("Stock and price", "", "Every change is sent by itself." if moves else "Only falling stock is sent by itself."))
        yield Sample(product_id, head.sku, head.name, why, tuple(lines), result, tone)


_CHECKS = {
    "account": "Account", "switch": "Switch", "magento_status": "Magento status", "template": "Template", "visibility": "Visibility", "stock": "Stock",
    "content": "Content", "marketplace_state": "On TikTok Shop", "changed": "Change", "react_only": "Reacts", "not_parked": "Earlier failure",
}  # fmt: skip
_SAMPLES: dict[str, Callable[[Any, Account, Chosen], Iterator[Sample]]] = {
    INVENTORY: _stock_samples, PRICING: _price_samples, IMAGE: _picture_samples, SYNCHRONIZATION: _sync_samples,
}  # fmt: skip


# --- the formulas, in bulk


def ledgers(product_ids: Sequence[int], market: Market, bodies: Sequence[InventoryPolicy]) -> Iterator[tuple[int, list[Ledger]]]:
    """Each product's ledger under each of the policies; products whose stock was not read are left out."""
    if market.store is None:
        return
    levels = facts.stock_levels(list(product_ids), market.store.website_code)
    skus = dict(db.session.execute(select(Product.id, Product.sku).where(Product.id.in_(product_ids))).all())
    held = reservations.open_units(list(skus.values()))
    for product_id, level in levels.items():
        yield product_id, [stock.quantity(body, _stock_facts(level, held.get(skus[product_id], 0), body, market)) for body in bodies]


def _stock_facts(level: ProductStock, held: int, body: InventoryPolicy, market: Market) -> StockFacts:
    mapped = tuple(dict.fromkeys(row.warehouse_id for row in body.sources)) if body.use_msi else ()
    return StockFacts(
        manages_stock=level.manages_stock,
        quantity=level.quantity,
        is_in_stock=level.in_stock,
        sources=[SourceStock(each["code"], each["quantity"], each.get("in_stock", True)) for each in level.sources],
        salable=level.salable,
        open_units=held,
        warehouses=mapped or ((market.default_warehouse,) if market.default_warehouse else ()),
        default_warehouse=market.default_warehouse,
    )


def prices(product_ids: Sequence[int], market: Market, bodies: Sequence[PricingPolicy]) -> Iterator[tuple[int, list[Price]]]:
    if market.store is None:
        return
    products = facts.magento_products(list(product_ids), market.store.store_view, with_children=False)
    for product_id, known in facts.price_facts(products, market.store, market.currency, utcnow()).items():
        yield product_id, [pricing.price(body, known) for body in bodies]

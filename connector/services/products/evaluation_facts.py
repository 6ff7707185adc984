"""What an evaluation of listings looks at, read in bulk: the account's market, the templates' policies, products with their variants, open units."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from connector.domain.magento_product import MagentoProduct
from connector.domain.policies import InventoryPolicy, PricingPolicy, SynchronizationPolicy
from connector.domain.pricing import PriceFacts
from connector.models.account import Account, ShopReference
from connector.models.listing import Listing, ListingSku, ListingTemplate
from connector.models.policy import Policy, PolicyVersion
from connector.models.product import Product, ProductStock
from connector.services.orders import reservations
from connector.services.products import facts
from connector.services.products.facts import StoreFacts

#: The currency of a shop by its region (TTS §5.3.8).
CURRENCY_OF = {
    "US": "USD", "GB": "GBP", "ID": "IDR", "MY": "MYR", "PH": "PHP", "SG": "SGD", "TH": "THB", "VN": "VND", "JP": "JPY", "MX": "MXN", "BR": "BRL",
    "PL": "PLN", "CZ": "CZK", "HU": "HUF",
} | dict.fromkeys(("DE", "ES", "FR", "IE", "IT", "AT", "BE", "NL", "PT", "GR"), "EUR")  # fmt: skip
SIMPLE = ("simple", "virtual", "downloadable")
CONFIGURABLE = "configurable"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a listing cannot be evaluated completely: it is parked with these words."""

    code: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Market:
    """An account: its store, currency and TikTok warehouses. ``trouble``: why nothing of it can be evaluated."""

    account_id: int
    title: str
    store: StoreFacts | None
    currency: str
    warehouses: tuple[str, ...] = ()
    default_warehouse: str = ""
    out_of_stock_too: bool = True
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """A template's policies. One that is missing or not valid is None and has its ``trouble``."""

    inventory: InventoryPolicy | None
    pricing: PricingPolicy | None
    versions: Mapping[str, int] = field(default_factory=dict)
    seller_sku_attribute: str = "sku"
    trouble: Trouble | None = None


NO_TEMPLATE = Rules(
    None,
    None,
    trouble=Trouble(
        "evaluation.no_template", "The product is in no listing template, so its price and stock cannot be worked out.", "Assign it to a listing template."
    ),
)


@dataclass(slots=True)
class Known:
    """Everything that a batch of listings of one account needs. Rows, not objects: they are many."""

    market: Market
    products: Mapping[int, Row[Any]]  #: ours, parents and variants
    children: Mapping[int, Sequence[int]]  #: our id of a configurable -> ids of its variants that the catalogue has, in axis order
    values: Mapping[int, MagentoProduct]
    prices: Mapping[int, PriceFacts]
    stock: Mapping[int, ProductStock]
    rules: Mapping[int, Rules]
    skus: Mapping[int, Sequence[Row[Any]]]  #: listing id -> its SKUs
    open_units: Mapping[int, int]
    handed_over: Mapping[int, int]  #: units of orders that Magento has taken since its stock was read


def market(session: Session, account_id: int) -> Market:
    account = session.get(Account, account_id)
    assert account is not None  # a foreign key
    currency = CURRENCY_OF.get((account.shop_region or account.country or "").upper(), "")
    if account.magento_id is None:
        trouble = Trouble("evaluation.no_store", f"Account {account.title} has no Magento store.", "Connect Magento under Configuration > Magento.")
        return Market(account_id, account.title, None, currency, trouble=trouble)
    query = select(ShopReference.remote_id, ShopReference.data).where(ShopReference.account_id == account_id, ShopReference.kind == "warehouse")
    places = {
        remote_id: data for remote_id, data in session.execute(query.order_by(ShopReference.id)) if data.get("type", "SALES_WAREHOUSE") == "SALES_WAREHOUSE"
    }
    default = next((remote_id for remote_id, data in places.items() if data.get("is_default")), next(iter(places), ""))
    trouble = None
    if not places:
        text = f"No TikTok warehouse of account {account.title} is known."
        trouble = Trouble("evaluation.no_warehouse", text, "Choose Fetch Onboarding Data on the account's page.")
    policy = session.get(Policy, account.sync_policy_id) if account.sync_policy_id else session.scalar(_default("synchronization"))
    wanted = SynchronizationPolicy.model_validate(policy.body) if policy is not None else SynchronizationPolicy()
    return Market(account_id, account.title, facts.store_facts(account), currency, tuple(places), default, wanted.sync_out_of_stock, trouble)


def _default(kind: str) -> Any:
    return select(Policy).where(Policy.kind == kind, Policy.is_default, Policy.deleted_at.is_(None))


def rules(session: Session, template_ids: Collection[int]) -> dict[int, Rules]:
    """The policies of these templates, in two queries."""
    columns = (ListingTemplate.id, ListingTemplate.name, ListingTemplate.options, ListingTemplate.inventory_policy_id, ListingTemplate.pricing_policy_id)
    templates = session.execute(select(*columns).where(ListingTemplate.id.in_(template_ids))).all()
    wanted = {policy_id for row in templates for policy_id in (row.inventory_policy_id, row.pricing_policy_id)}
    query = select(Policy.id, Policy.title, Policy.kind, Policy.body, Policy.valid, Policy.problems, Policy.deleted_at, PolicyVersion.id.label("version_id"))
    query = query.outerjoin(PolicyVersion, (PolicyVersion.policy_id == Policy.id) & (PolicyVersion.number == Policy.version))
    policies = {row.id: row for row in session.execute(query.where(Policy.id.in_(wanted)))}
    return {row.id: _rules(row, policies.get(row.inventory_policy_id), policies.get(row.pricing_policy_id)) for row in templates}


def _rules(template: Row[Any], inventory: Row[Any] | None, pricing: Row[Any] | None) -> Rules:
    stock_rule, stock_trouble = _body(InventoryPolicy, inventory, template.name, "inventory")
    price_rule, price_trouble = _body(PricingPolicy, pricing, template.name, "pricing")
    versions = {row.kind: row.version_id for row in (inventory, pricing) if row is not None and row.version_id is not None}
    seller_sku = str((template.options or {}).get("seller_sku_attribute") or "sku")
    return Rules(stock_rule, price_rule, versions, seller_sku, stock_trouble or price_trouble)


def _body(model: Any, policy: Row[Any] | None, template: str, kind: str) -> tuple[Any, Trouble | None]:
    if policy is None or policy.deleted_at is not None:
        text = f"The {kind} policy of listing template {template} does not exist any more."
        return None, Trouble(f"evaluation.{kind}_policy", text, "Choose another policy in the listing template.")
    if not policy.valid:
        why = " ".join(str(problem.get("message", "")) for problem in policy.problems) or "it is not complete."
        return None, Trouble(
            f"evaluation.{kind}_policy", f"The {kind} policy {policy.title} is not valid: {why}", f"Open TikTok Policies > {policy.title} and complete it."
        )
    try:
        return model.model_validate(policy.body), None
    except ValidationError as error:
        text = f"The {kind} policy {policy.title} cannot be read: {error.error_count()} fields are wrong."
        return None, Trouble(f"evaluation.{kind}_policy", text, f"Open TikTok Policies > {policy.title}, correct it and save.")


_PRODUCT = (
    Product.id,
    Product.magento_id,
    Product.entity_id,
    Product.sku,
    Product.sku_key,
    Product.type_id,
    Product.status,
    Product.child_ids,
    Product.gone_at,
)


def known(session: Session, market: Market, heads: Sequence[Row[Any]], rules: Mapping[int, Rules], now: datetime) -> Known:
    """Read for a batch of listings of one account; the number of queries does not depend on how many there are."""
    assert market.store is not None
    skus = _skus(session, [head.id for head in heads])
    wanted = {head.product_id for head in heads} | {row.product_id for rows in skus.values() for row in rows}
    products = {row.id: row for row in session.execute(select(*_PRODUCT).where(Product.id.in_(wanted)))}
    entities = {entity_id for row in products.values() if row.type_id == CONFIGURABLE for entity_id in row.child_ids or ()}
    families: dict[int, list[int]] = {}
    if entities:
        query = select(*_PRODUCT).where(Product.magento_id == market.store.magento_id, Product.entity_id.in_(entities))
        found = {row.entity_id: row for row in session.execute(query)}
        products |= {row.id: row for row in found.values()}
        for row in list(products.values()):
            if row.type_id == CONFIGURABLE:
                families[row.id] = [found[entity_id].id for entity_id in row.child_ids or () if entity_id in found]
    values = facts.magento_products(list(products), market.store.store_view, with_children=False)
    for parent_id, children in families.items():
        children.sort(key=_axis_order(values.get(parent_id), values, children))
    sold = [row.id for row in products.values() if row.type_id != CONFIGURABLE]
    stock = facts.stock_levels(sold, market.store.website_code)
    prices = facts.price_facts({one: values[one] for one in sold if one in values}, market.store, market.currency, now)
    held, moving = _units(session, products, sold, stock)
    return Known(market, products, families, values, prices, stock, rules, skus, held, moving)


def _skus(session: Session, listing_ids: list[int]) -> dict[int, list[Row[Any]]]:
    found: dict[int, list[Row[Any]]] = {}
    for row in session.execute(
        select(*ListingSku.__table__.columns).where(ListingSku.listing_id.in_(listing_ids)).order_by(ListingSku.position, ListingSku.id)
    ):
        found.setdefault(row.listing_id, []).append(row)
    return found


def _axis_order(parent: MagentoProduct | None, values: Mapping[int, MagentoProduct], children: Sequence[int]) -> Any:
    """By the options of the axes in Magento's order; children that have none stay in Magento's order of children, at the end."""
    place = {child: number for number, child in enumerate(children)}
    axes = parent.axes if parent is not None else ()

    def order(child: int) -> tuple[Any, ...]:
        variant = values.get(child)
        if variant is None:
            return ((1, 0),) * len(axes) + (place[child],)
        ranks = []
        for axis in axes:
            options = list(variant.options.get(axis, ()))
            chosen = next(iter(variant.raw(axis)), "")
            ranks.append((0, options.index(chosen)) if chosen in options else (1, 0))
        return (*ranks, place[child])

    return order


def _units(
    session: Session, products: Mapping[int, Row[Any]], sold: Collection[int], stock: Mapping[int, ProductStock]
) -> tuple[dict[int, int], dict[int, int]]:
    """(open units, units handed over to Magento since its stock was read) by product, over all accounts that sell it, under whatever seller SKU."""
    names = _names(session, products, sold)
    held: dict[int, int] = {}
    for (account_id, key), quantity in reservations.held(session).items():
        for product_id in names.get((0, key), set()) | names.get((account_id, key), set()):
            held[product_id] = held.get(product_id, 0) + quantity
    moving: dict[int, int] = {}
    since = min((row.read_at for row in stock.values()), default=None)
    for account_id, key, quantity, at in reservations.handed_over(session, since) if since else ():
        for product_id in names.get((0, key), set()) | names.get((account_id, key), set()):
            if product_id in stock and stock[product_id].manages_stock and at > stock[product_id].read_at:
                moving[product_id] = moving.get(product_id, 0) + quantity
    return held, moving


def _names(session: Session, products: Mapping[int, Row[Any]], sold: Iterable[int]) -> dict[tuple[int, str], set[int]]:
    """What orders may call a product: its Magento SKU anywhere (account 0), its seller SKU in the account that uses it."""
    names: dict[tuple[int, str], set[int]] = {}
    for product_id in sold:
        names.setdefault((0, products[product_id].sku_key), set()).add(product_id)
    query = select(ListingSku.account_id, ListingSku.seller_sku_key, ListingSku.product_id).where(ListingSku.product_id.in_(list(sold)))
    for account_id, key, product_id in session.execute(query):
        names.setdefault((account_id, key), set()).add(product_id)
    return names


HEAD = (
    Listing.id, Listing.account_id, Listing.product_id, Listing.template_id, Listing.tiktok_id, Listing.remote_status, Listing.due_at, Listing.due_reason,
    Listing.failure_code, Listing.failure_message,
)  # fmt: skip

"""Listings that can really be uploaded: products imported from the practice store, a template whose required attributes are mapped, prices and stock worked out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import requests
from sqlalchemy import select

from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.domain.policies import InventoryPolicy, PricingPolicy
from connector.models.account import Account, ShopReference
from connector.models.listing import LIVE, CategoryAttribute, Listing, ListingSku, ListingTemplate, TikTokProduct
from connector.models.product import Product
from connector.models.run import JobItem, JobRun
from connector.services.attributes import fetch, mapping
from connector.services.products import catalogue, evaluate, status_sync, stock_reading, store_attributes
from tests.factories.catalogue import a_listing, a_product, a_template
from tests.factories.shop import Market, carry_out, perform

#: A leaf of the practice marketplace's tree that takes anything.
CATEGORY = "Shopping Bags"
SKUS = ("MUG-01", "LAMP-01", "CAP-01", "TEE", "TEE-BLA-S", "TEE-BLA-M", "TEE-RED-S")


def imported(account: Account, skus: Sequence[str]) -> None:
    """These products of the practice store, with their stock, as an import leaves them."""
    assert account.magento_id is not None
    end_reading()
    store_attributes.refresh(account.magento_id)
    catalogue.import_products(account.magento_id, account.store_view, skus=list(skus))
    ids = db.session.scalars(select(Product.id).where(Product.magento_id == account.magento_id, Product.sku.in_(skus))).all()
    website = stock_reading.website_of(account.magento_id, account.store_view)
    assert len(ids) == len(skus)
    assert website is not None
    end_reading()
    stock_reading.read_stock(account.magento_id, website, product_ids=ids)
    db.session.commit()


def product(account: Account, sku: str) -> Product:
    found = db.session.scalars(select(Product).where(Product.magento_id == account.magento_id, Product.sku == sku)).one()
    db.session.commit()
    return found


def template_of(account: Account, name: str = "Bags", **more: Any) -> ListingTemplate:
    """A template in ``CATEGORY`` with every required attribute mapped to its last recommended value, and the usual measures."""
    node = db.session.scalars(select(ShopReference).where(ShopReference.account_id == account.id, ShopReference.kind == "category")).all()
    leaf = next(row for row in node if row.data.get("local_name") == CATEGORY and row.data.get("is_leaf"))
    end_reading()
    fetch.ensure(account.id, [leaf.remote_id])
    options = {"usual_length": "30", "usual_width": "20", "usual_height": "5", "usual_weight": "0.5"}
    template = a_template(
        account, name, category_id=leaf.remote_id, options=options, inventory=InventoryPolicy(), pricing=PricingPolicy(), **more
    )  # fmt: skip
    for row in db.session.scalars(select(CategoryAttribute).where(CategoryAttribute.account_id == account.id, CategoryAttribute.required)).all():
        chosen = {"source": "recommended", "recommended_values": [row.values[-1]["id"]]} if row.values else {"source": "custom", "custom_value": "12"}
        mapping.save(row.id, {"attribute_id": row.attribute_id, **chosen})
    mapping.attach_matching(template)
    db.session.commit()
    return template


def ready(account: Account, template: ListingTemplate | None, sku: str) -> Listing:
    """A listing of one imported product (a configurable with its imported children), its price and stock worked out."""
    head = product(account, sku)
    children = db.session.scalars(select(Product).where(Product.magento_id == account.magento_id, Product.entity_id.in_(head.child_ids))).all()
    listing = a_listing(account, head, template, children=children)
    evaluate.evaluate([listing.id], reason="test")
    db.session.commit()
    return fresh(listing)


def fresh(listing: Listing) -> Listing:
    """The row as it is now."""
    found = db.session.get(Listing, listing.id, populate_existing=True)
    assert found is not None
    _ = found.product, found.template
    db.session.commit()
    return found


def skus_of(listing: Listing) -> dict[str, ListingSku]:
    rows = db.session.scalars(select(ListingSku).where(ListingSku.listing_id == listing.id).execution_options(populate_existing=True)).all()
    db.session.commit()
    return {row.seller_sku: row for row in rows}


def rename(listing: Listing, name: str) -> None:
    """Somebody changes the name in Magento, and the import sees it."""
    with unit_of_work() as session:
        row = session.get(Product, listing.product_id)
        assert row is not None
        row.name, row.changed_at = name, utcnow()


def on_tiktok(market_url: str, listing: Listing) -> dict[str, Any]:
    """The marketplace's own truth of a listing's product."""
    return requests.get(f"{market_url}/practice/listings/{listing.tiktok_id}", timeout=30).json()


def rows_of(account: Account) -> dict[str, TikTokProduct]:
    """TikTok products that were read for linking, by their first seller SKU."""
    rows = db.session.scalars(select(TikTokProduct).where(TikTokProduct.account_id == account.id).execution_options(populate_existing=True)).all()
    db.session.commit()
    return {row.seller_skus.split("\n")[0]: row for row in rows}


@dataclass
class Desk:
    """An account with imported products and a template whose attributes are mapped."""

    account: Account
    market: Market
    template: ListingTemplate

    def listing(self, sku: str = "MUG-01") -> Listing:
        return ready(self.account, self.template, sku)

    def upload(self, *chosen: Listing, **args: Any) -> tuple[JobRun, list[JobItem]]:
        items = [(str(one.id), one.product.sku) for one in chosen]
        run = perform("products.upload", self.account.id, items=items, args=args)
        return run, self.items(run)

    def again(self, run: JobRun) -> tuple[JobRun, list[JobItem]]:
        """The next pass of a run that waits, now."""
        with unit_of_work() as session:
            session.get(JobRun, run.id).not_before = None  # type: ignore[union-attr]
        run = carry_out(run.id)
        return run, self.items(run)

    def items(self, run: JobRun) -> list[JobItem]:
        found = list(db.session.scalars(select(JobItem).where(JobItem.run_id == run.id).order_by(JobItem.id).execution_options(populate_existing=True)))
        db.session.commit()
        return found

    def live(self, listing: Listing) -> Listing:
        """Upload it, and let the audit end."""
        self.market.post("audit", delay_seconds=0)
        _, (item,) = self.upload(listing)
        assert item.state == "done", item.message
        status_sync.sync(self.account.id)
        self.market.post("audit", delay_seconds=120)
        found = fresh(listing)
        assert found.marketplace_state == LIVE
        return found

    def audit(self, listing: Listing, outcome: str, **more: Any) -> Listing:
        self.market.post(f"listings/{listing.tiktok_id}", audit=outcome, **more)
        status_sync.sync(self.account.id)
        return fresh(listing)

    def truth(self, **query: Any) -> list[dict[str, Any]]:
        return self.market.get("listings", shop="GB", **query)["listings"]

    def calls(self, name: str) -> int:
        return int(self.market.get("calls")["operations"].get(name, {}).get("count", 0))


def a_desk(account: Account, market: Market, skus: Sequence[str] = SKUS) -> Desk:
    imported(account, skus)
    return Desk(account, market, template_of(account))


def standing(account: Account, market: Market, count: int, *, first: int = 1) -> list[Listing]:
    """Live bulk products of the marketplace, each with a listing that knows its id and nothing else."""
    assert account.magento_id is not None
    seeded = market.post("catalogue/seed", shop=account.country, products=count, bulk=True, first=first)
    made = []
    for number, tiktok_id in enumerate(seeded["ids"], first):
        made.append(a_listing(account, a_product(account.magento_id, f"BULK-{number:06d}", quantity=5), tiktok_id=tiktok_id))
    db.session.commit()
    return made

"""Accounts with a store and warehouses, orders that hold units, and listings of the practice marketplace: for prices and stock."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from connector.core.clock import utcnow
from connector.core.db import unit_of_work
from connector.models.account import AUTH_CONNECTED, SANDBOX, Account, MagentoConnection, ShopReference
from connector.models.listing import Listing, ListingSku, ListingTemplate
from connector.models.order import CREATED, READY, Order, OrderLine
from connector.models.product import Product
from connector.services.orders import reservations
from tests.factories.shop import Market

WAREHOUSES = ("w-main", "w-second")
_numbers = itertools.count(1)


def an_account(
    magento: MagentoConnection, title: str = "Shop_GB", *, country: str = "GB", warehouses: Sequence[str] = WAREHOUSES, view: str = "default"
) -> Account:
    """An account that could work; nothing stands behind it."""
    with unit_of_work() as session:
        account = Account(
            title=title, environment=SANDBOX, country=country, shop_region=country, magento_id=magento.id, store_view=view, auth_state=AUTH_CONNECTED,
            shop_cipher="cipher", onboarded_at=utcnow(),
        )  # fmt: skip
        session.add(account)
        session.flush()
        for place, warehouse in enumerate(warehouses):
            data = {"id": warehouse, "type": "SALES_WAREHOUSE", "is_default": place == 0}
            session.add(ShopReference(account_id=account.id, kind="warehouse", remote_id=warehouse, name=warehouse, data=data))
        session.flush()
        return account


def an_order(account: Account, units: Mapping[str, int], *, status: str = "AWAITING_SHIPMENT", state: str = READY) -> Order:
    """An order that the intake has stored, with its reservations."""
    now, number = utcnow(), f"58{next(_numbers):016d}"
    with unit_of_work() as session:
        order = Order(
            account_id=account.id,
            number=number,
            remote_status=status,
            remote_updated_at=now,
            digest="",
            placed_at=now,
            currency="GBP",
            total=Decimal(10),
            state=state,
        )
        session.add(order)
        session.flush()
        for sku, quantity in units.items():
            for unit in range(quantity):
                session.add(
                    OrderLine(
                        order_id=order.id,
                        line_id=f"{number}-{sku}-{unit}",
                        seller_sku=sku,
                        sale_price=Decimal(10),
                        original_price=Decimal(10),
                        remote_status=status,
                    )
                )
        session.flush()
        if reservations.reserves(status, state):
            reservations.keep(session, account.id, {order.id: units}, {order.id}, {})
        return order


def created_in_magento(order: Order) -> None:
    """Magento knows the order from now on."""
    with unit_of_work() as session:
        session.merge(order).state = CREATED
        reservations.release(order.id, "created")


def listed(
    market: Market, account: Account, products: Mapping[str, Product], template: ListingTemplate | None, *, parents: Mapping[str, Product] | None = None
) -> list[Listing]:
    """Our rows for everything that stands on the practice marketplace, matched by seller SKU. ``parents``: by the SKU of any variant."""
    made = []
    with unit_of_work() as session:
        for shown in market.get("listings", shop=account.country, limit=100_000)["listings"]:
            variants = [products[sku["seller_sku"]] for sku in shown["skus"] if sku["seller_sku"] in products]
            if not variants:
                continue
            head = (parents or {}).get(variants[0].sku, variants[0])
            listing = Listing(
                account_id=account.id, product_id=head.id, template_id=template.id if template else None, tiktok_id=shown["id"], remote_status=shown["status"],
                marketplace_state="live" if shown["status"] == "ACTIVATE" else "inactive",
            )  # fmt: skip
            session.add(listing)
            session.flush()
            made.append(listing)
            session.add_all(_sku(listing, place, sku, products[sku["seller_sku"]]) for place, sku in enumerate(shown["skus"]) if sku["seller_sku"] in products)
    return made


def _sku(listing: Listing, place: int, shown: Mapping[str, Any], product: Product) -> ListingSku:
    places = {each["warehouse_id"]: each["available"] for each in shown["stock"]}
    return ListingSku(
        listing_id=listing.id, account_id=listing.account_id, product_id=product.id, position=place, seller_sku=shown["seller_sku"],
        seller_sku_key=shown["seller_sku"].casefold(), tiktok_sku_id=shown["id"], live_price=Decimal(shown["price"]["amount"]),
        live_quantity=sum(places.values()), live_warehouses=places, live_committed=shown["committed"], currency=shown["price"]["currency"],
    )  # fmt: skip

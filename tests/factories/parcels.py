"""Orders that await shipment, placed as a buyer at the practice marketplace and taken in through the product's own intake."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.models.account import Account
from connector.models.order import SCHEDULE, Order, Shipment
from connector.services import connections
from connector.services.orders import create, intake, parcels
from tests.factories.shop import Controls, Market


def place(market: Market, account: Account, *lines: tuple[str, int], release: bool = True, **wish: Any) -> Order:
    """An order of these (SKU, quantity) lines, as the connector knows it; past its hold hour unless told otherwise."""
    placed = market.post("orders", shop=account.shop_region, lines=[{"sku": sku, "quantity": quantity} for sku, quantity in lines or (("MUG-01", 1),)], **wish)
    if release:
        market.post(f"orders/{placed['id']}/release")
    return take_in(account, placed["id"])


def take_in(account: Account, number: str) -> Order:
    """Read the order from TikTok and store it."""
    intake.store_page(intake.rules_for(account.id, SCHEDULE), connections.tiktok(account.id).get_orders([number]))
    db.session.expire_all()
    order = db.session.scalars(select(Order).where(Order.account_id == account.id, Order.number == number)).one()
    db.session.commit()
    return order


def parcel(order: Order, number: str, carrier: str = "Royal Mail", **rest: Any) -> int:
    """A parcel as the collection of Magento's shipments stores it; its id."""
    with unit_of_work() as session:
        found, _ = parcels.keep(session.get(Order, order.id), number, origin=rest.pop("origin", "magento"), carrier=carrier, **rest)
        return found.id


def stored(parcel_id: int) -> Shipment:
    db.session.expire_all()
    found = db.session.get(Shipment, parcel_id)
    assert found is not None
    db.session.commit()
    return found


def packages(market: Market, order: Order | str) -> list[dict[str, Any]]:
    """The packages of an order (or order number) that have left, as the marketplace itself sees them."""
    number = order if isinstance(order, str) else order.number
    return [one for one in market.get(f"orders/{number}")["packages"] if one.get("tracking_number")]


class Store(Controls):
    """The practice store: the merchant at work in the admin."""

    def order(self, order: Order) -> dict[str, Any]:
        """The Magento order as the store itself sees it."""
        return next(one for one in self.get("orders", ext_order_id=order.number) if str(one["entity_id"]) == order.magento_id)

    def ship(self, order: Order, number: str | None, title: str = "Royal Mail", *, units: dict[str, int] | None = None) -> int:
        """The merchant ships in the admin: everything, or these units per SKU; with a tracking number or without. The shipment id."""
        lines = {item["sku"]: item["item_id"] for item in connections.magento_for(order.account_id).order(order.magento_id)["items"]}
        body: dict[str, Any] = {"tracks": [{"track_number": number, "title": title, "carrier_code": "custom"}]} if number else {}
        if units:
            body["items"] = [{"order_item_id": lines[sku], "qty": quantity} for sku, quantity in units.items()]
        return int(self.post(f"orders/{order.magento_id}/ship", **body)["shipment_id"])

    def add_track(self, shipment_id: int, number: str, title: str = "Royal Mail") -> None:
        self.post(f"shipments/{shipment_id}/tracks", track_number=number, title=title, carrier_code="custom")


def in_magento(market: Market, account: Account, *lines: tuple[str, int], **wish: Any) -> Order:
    """An order that awaits shipment and exists in Magento, created by the product's own writer."""
    order = place(market, account, *lines, **wish)
    create.create_one(order.id, by_hand=True)
    db.session.expire_all()
    created = db.session.get(Order, order.id)
    assert created is not None
    assert created.magento_id, (created.state, created.failure_message)
    db.session.commit()
    return created

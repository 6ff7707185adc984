"""What TikTok shows of the stock of products: read, kept on our SKUs, and how many of its committed units belong to orders that we know (TTS §5.3.16)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, func, select, update
from sqlalchemy.orm import Session

from connector.clients.tiktok import TikTokClient
from connector.domain import tiktok_order
from connector.models.listing import ListingSku
from connector.models.order import Order, OrderLine

#: Line statuses whose units TikTok holds as committed.
_COMMITTED = (tiktok_order.UNPAID, tiktok_order.ON_HOLD, tiktok_order.AWAITING_SHIPMENT, "")
_OPEN = (*_COMMITTED, tiktok_order.PARTIALLY_SHIPPING)


@dataclass(frozen=True, slots=True)
class Reading:
    """What TikTok shows of a SKU: units for sale and units in orders, by warehouse."""

    available: Mapping[str, int]
    committed: Mapping[str, int]

    @property
    def units(self) -> int:
        return sum(self.available.values())

    @property
    def held(self) -> int:
        return sum(self.committed.values())


def read(client: TikTokClient, tiktok_ids: Sequence[str]) -> dict[str, Reading]:
    """What TikTok shows, by its SKU id. Costs one call a hundred products."""
    found = {}
    for product in client.iter_inventory(tiktok_ids):
        for sku in product.get("skus") or ():
            places = sku.get("warehouse_inventory") or ()
            found[str(sku["id"])] = Reading(
                {str(place["warehouse_id"]): int(place.get("available_quantity") or 0) for place in places},
                {str(place["warehouse_id"]): int(place.get("committed_quantity") or 0) for place in places},
            )
    return found


def keep(session: Session, rows: Iterable[Row[Any]], readings: Mapping[str, Reading]) -> None:
    """Write what TikTok shows onto our SKUs (id, tiktok_sku_id)."""
    values = [
        {"id_": row.id, "live_quantity": shown.units, "live_warehouses": dict(shown.available), "live_committed": shown.held}
        for row in rows
        if (shown := readings.get(row.tiktok_sku_id)) is not None
    ]
    if values:
        session.connection().execute(update(ListingSku.__table__).where(ListingSku.__table__.c.id == bindparam("id_")), values)


def forget(session: Session, account_id: int, seller_skus: Iterable[str]) -> None:
    """What TikTok offers of the listings of these SKUs is not known any more, so that their evaluation finds a difference. In the caller's transaction."""
    keys = [sku.casefold() for sku in seller_skus]
    listings = select(ListingSku.listing_id).where(ListingSku.account_id == account_id, ListingSku.seller_sku_key.in_(keys))
    statement = update(ListingSku).where(ListingSku.listing_id.in_(listings), ListingSku.tiktok_sku_id != "").values(live_quantity=None, live_warehouses={})
    session.execute(statement.execution_options(synchronize_session=False))


def known_units(session: Session, account_id: int, seller_skus: list[str]) -> dict[str, int]:
    """Units of orders that we know and TikTok holds as committed, by seller SKU of this account."""
    query = (
        select(OrderLine.seller_sku, func.count())
        .join(Order, Order.id == OrderLine.order_id)
        .where(OrderLine.seller_sku.in_(seller_skus), OrderLine.remote_status.in_(_COMMITTED))
        .where(Order.account_id == account_id, Order.remote_status.in_(_OPEN), Order.fulfillment_type != tiktok_order.BY_TIKTOK)
        .group_by(OrderLine.seller_sku)
    )
    return {sku: int(count) for sku, count in session.execute(query)} if seller_skus else {}

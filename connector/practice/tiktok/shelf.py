"""Stock of listed SKUs: what may still be sold and what open orders hold, and how orders move it (TTS §5.3.15, §5.6.10, §6.7).

`available` is what a buyer can still take. Placing an order moves units from available to committed; shipping takes them out of committed; cancelling
before shipping moves them back, unless the seller has switched the automatic restock off; a seller's cancellation for lack of stock empties the listing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from .orderbook import Document, Order

if TYPE_CHECKING:
    from .marketplace import Marketplace

SHIPPED = ("AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED")
EVER_LIVE = ("ACTIVATE", "SELLER_DEACTIVATED", "PLATFORM_DEACTIVATED", "FREEZE")


class SoldOut(ValueError):
    """A listed SKU is not for sale, or not in that quantity."""


@dataclass(frozen=True)
class Offer:
    """A listed SKU as a buyer sees it. `available` counts the warehouses that sell now."""

    product_id: str
    sku_id: str
    seller_sku: str
    title: str
    sku_name: str
    image_uri: str
    price: Decimal
    available: int


def offer(market: Marketplace, shop: Document, seller_sku: str) -> Offer | None:
    """The live listing of a SKU; None when no listing of the SKU was ever live. Raises SoldOut when there is one and it is not for sale."""
    rows = market.store.read.execute(
        "SELECT skus.*, products.doc AS head FROM skus JOIN products ON products.id = product_id WHERE skus.shop_id = ? AND seller_sku = ? AND live = 1",
        (shop["id"], seller_sku),
    ).fetchall()
    known = [(row, orjson.loads(row["head"])) for row in rows]
    known = [(row, head) for row, head in known if head["product_status"] in EVER_LIVE]
    if not known:
        return None
    row, head = next((pair for pair in known if pair[1]["status"] == "ACTIVATE" and pair[0]["status"] == "NORMAL"), known[0])
    if head["status"] != "ACTIVATE" or row["status"] != "NORMAL":
        raise SoldOut(f"SKU {seller_sku} is listed as product {head['id']}, but that is {head['status']} and not for sale")
    content = market.store.read.execute("SELECT doc FROM product_versions WHERE product_id = ? AND version = 'live'", (row["product_id"],)).fetchone()
    content = orjson.loads(content["doc"])
    doc = next(each for each in content["skus"] if each["id"] == row["id"])
    image = next((each["sku_img"]["uri"] for each in doc["sales_attributes"] if "sku_img" in each), None) or content["main_images"][0]["uri"]
    return Offer(
        row["product_id"],
        row["id"],
        seller_sku,
        content["title"],
        ", ".join(each["value_name"] for each in doc["sales_attributes"]) or "Default",
        image,
        Decimal(orjson.loads(row["price"])["amount"]),
        sum(quantity for _, quantity in _sellable(market, shop, row["id"])),
    )


def _sellable(market: Marketplace, shop: Document, sku_id: str) -> list[tuple[str, int]]:
    """(warehouse, available) of the warehouses whose stock can be sold now, in the shop's order. Holiday mode sells nothing."""
    rows = market.store.read.execute("SELECT warehouse_id, available FROM stock WHERE sku_id = ?", (sku_id,)).fetchall()
    available = {row["warehouse_id"]: row["available"] for row in rows}
    enabled = [each["id"] for each in shop["warehouses"] if each["type"] == "SALES_WAREHOUSE" and each["effect_status"] == "ENABLED"]
    return [(warehouse, available[warehouse]) for warehouse in enabled if available.get(warehouse, 0) > 0]


def take(market: Marketplace, shop: Document, chosen: Offer, units: int, prefer: str, at: int) -> list[str]:
    """Commits units and returns the warehouse of each. Runs in the writer's transaction, so that the last unit is sold once. Raises SoldOut."""
    stock = sorted(_sellable(market, shop, chosen.sku_id), key=lambda each: each[0] != prefer)
    if sum(quantity for _, quantity in stock) < units:
        left = sum(quantity for _, quantity in stock)
        raise SoldOut(f"SKU {chosen.seller_sku} has {left} units left, {units} were asked for")
    taken: list[str] = []
    for warehouse, quantity in stock:
        part = min(quantity, units - len(taken))
        if part:
            move(market, chosen.sku_id, warehouse, -part, part, "ORDER_PLACED", at)
            taken += [warehouse] * part
    return taken


def move(market: Marketplace, sku_id: str, warehouse_id: str, available: int, committed: int, why: str, at: int) -> None:
    """Adds to available and committed."""
    with market.store.write() as db:
        db.execute(
            "UPDATE stock SET available = available + ?, committed = committed + ? WHERE sku_id = ? AND warehouse_id = ?",
            (available, committed, sku_id, warehouse_id),
        )
    tell(market, [sku_id], why, {"available_delta": available, "committed_delta": committed}, at)


def follow(market: Marketplace, order: Order) -> None:
    """Moves the stock that an order holds along with its lines: out when shipped, back when cancelled. Called whenever an order is saved."""
    emptied: set[str] = set()
    at = order.doc["update_time"]
    for line in order.lines:
        hold = order.inner["holds"].get(line["id"])
        if hold is None or hold[2] != "committed":
            continue
        sku_id, warehouse, _ = hold
        if line["display_status"] in SHIPPED:
            hold[2] = "shipped"
            move(market, sku_id, warehouse, 0, -1, "ORDER_SHIPPED", at)
        elif line["display_status"] == "CANCELLED":
            back = int(_restocks(market, sku_id))
            hold[2] = "returned" if back else "dropped"
            move(market, sku_id, warehouse, back, -1, "ORDER_CANCELLED", at)
            if line.get("cancel_user") == "SELLER" and "out_of_stock" in line.get("cancel_reason", ""):
                emptied.add(sku_id)
    for sku_id in emptied:
        empty_listing(market, sku_id, at)


def _restocks(market: Marketplace, sku_id: str) -> bool:
    row = market.store.read.execute("SELECT auto_restock FROM skus WHERE id = ?", (sku_id,)).fetchone()
    chosen = row["auto_restock"] if row else None
    return bool(market.settings.auto_restock if chosen is None else chosen)


def empty_listing(market: Marketplace, sku_id: str, at: int) -> None:
    """Cancelling for lack of stock sets the listed stock of the whole product to 0 (TTS §5.6.10)."""
    with market.store.write() as db:
        rows = db.execute("SELECT id FROM skus WHERE product_id = (SELECT product_id FROM skus WHERE id = ?)", (sku_id,)).fetchall()
        db.executemany("UPDATE stock SET available = 0 WHERE sku_id = ?", [(row["id"],) for row in rows])
    tell(market, [row["id"] for row in rows], "OUT_OF_STOCK_CANCELLATION", {}, at)


def totals(market: Marketplace, sku_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
    """(available, committed) over all warehouses by SKU."""
    ids = list(sku_ids)
    query = f"SELECT sku_id, sum(available), sum(committed) FROM stock WHERE sku_id IN ({','.join('?' * len(ids))}) GROUP BY sku_id"
    return {row[0]: (row[1], row[2]) for row in market.store.read.execute(query, ids).fetchall()}


def tell(market: Marketplace, sku_ids: list[str], why: str, deltas: dict[str, Any], at: int) -> None:
    """Webhooks 71 and 27, when the setting `inventory_webhooks` is on and somebody listens."""
    if not market.settings.inventory_webhooks:
        return
    known = totals(market, sku_ids)
    for sku_id in sku_ids:
        row = market.store.read.execute("SELECT product_id, shop_id FROM skus WHERE id = ?", (sku_id,)).fetchone()
        if row is None:
            continue
        available, committed = known.get(sku_id, (0, 0))
        occurred = datetime.fromtimestamp(at, UTC).isoformat()
        number = market.store.take_numbers("inventory_event")[0]
        quantities = {"total_quantity": available + committed, "total_available_quantity": available, "total_committed_quantity": committed}
        changed = {
            "event_id": f"inventory-{number}",
            "occurred_at": occurred,
            "shop_id": int(row["shop_id"]),
            "product_id": int(row["product_id"]),
            "sku_id": int(sku_id),
            "quantity_snapshot_after_change": {**quantities, "in_shop_quantity": available},
            "change_detail": [{"idempotency_key": f"inventory-{number}", "trigger_source": why, "occurred_at": occurred, **deltas}],
        }
        market.webhooks.enqueue(row["shop_id"], 71, changed, at)
        low = int(market.settings.low_stock_threshold)
        level = "OUT_OF_STOCK" if available <= 0 else "LOW_STOCK" if available <= low else "SUFFICIENT_STOCK"
        if level != "SUFFICIENT_STOCK" or deltas.get("available_delta", 0) > 0:
            status = {
                "product_id": row["product_id"],
                "sku_id": sku_id,
                "current_inventory_status": level,
                "trigger_reason": {"alert_type": "REALTIME", "lead_days": 0, "low_stock_threshold": low},
                "inventory_distribution": {"total_quantity": available + committed, "available_quantity": available, "committed_quantity": committed},
                "update_time": at,
            }
            market.webhooks.enqueue(row["shop_id"], 27, status, at)

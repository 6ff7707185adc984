"""The marketplace's own truth, for tests, benchmarks and the demonstration to ask instead of our tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import orjson

from .orderbook import Document, Order, from_row, load, public
from .returns_life import TYPES, returnable

if TYPE_CHECKING:
    from .marketplace import Marketplace


def references(market: Marketplace, order_ids: list[str] | None = None) -> dict[str, list[Document]]:
    """External references by order id."""
    found: dict[str, list[Document]] = defaultdict(list)
    if order_ids is not None and len(order_ids) <= 500:
        marks = ",".join("?" * len(order_ids))
        rows = market.store.read.execute(f"SELECT order_id, doc FROM external_orders WHERE order_id IN ({marks})", order_ids)
    else:
        rows = market.store.read.execute("SELECT order_id, doc FROM external_orders")
    for row in rows:
        found[row["order_id"]].append(orjson.loads(row["doc"]))
    return found


def summary(order: Order, external: list[Document]) -> Document:
    doc = order.doc
    packages = [
        {
            "id": each["id"],
            "status": each["status"],
            "tracking_number": each.get("tracking_number", ""),
            "shipping_provider_id": each.get("shipping_provider_id", ""),
            "shipping_provider_name": each.get("shipping_provider_name", ""),
            "order_line_item_ids": each["order_line_item_ids"],
        }
        for each in order.packages.values()
    ]
    cancellations = [
        {name: each[name] for name in ("cancel_id", "cancel_status", "cancel_type", "role", "cancel_reason")} for each in order.cancellations.values()
    ]
    return {
        **{name: doc[name] for name in ("id", "status", "create_time", "update_time", "shipping_type", "fulfillment_type")},
        "shop_id": order.inner["shop_id"],
        "region": order.inner["region"],
        "total_amount": doc["payment"]["total_amount"],
        "currency": doc["payment"]["currency"],
        "units": len(order.lines),
        "is_buyer_request_cancel": doc["is_buyer_request_cancel"],
        "external_orders": external,
        "packages": packages,
        "cancellations": cancellations,
        "returns": [
            {name: each.get(name, "") for name in ("return_id", "return_type", "return_status", "arbitration_status", "role", "return_reason")}
            | {"refund_total": each["refund_amount"]["refund_total"]}
            for each in order.inner.get("returns", {}).values()
        ],
    }


def listing(market: Marketplace, shop_id: str | None, status: str | None, ids: list[str] | None, limit: int | None, after: str) -> dict[str, Any]:
    where, values = "1", []
    for column, sign, value in (("id", ">", after), ("shop_id", "=", shop_id), ("status", "=", status)):
        if value:
            where += f" AND +{column} {sign} ?" if ids is not None else f" AND {column} {sign} ?"
            values.append(value)
    if ids is not None:
        rows = []
        for first in range(0, len(ids), 500):
            part = ids[first : first + 500]
            query = f"SELECT doc, inner FROM orders WHERE {where} AND id IN ({','.join('?' * len(part))}) ORDER BY id"
            rows += market.store.read.execute(query, (*values, *part)).fetchall()
    else:
        rows = market.store.read.execute(f"SELECT doc, inner FROM orders WHERE {where} ORDER BY id LIMIT ?", (*values, limit or -1)).fetchall()
    orders = [from_row(row) for row in rows]
    external = references(market, [order.id for order in orders])
    if ids is None:
        counted = market.store.read.execute(f"SELECT status, count(*) FROM orders WHERE {where} GROUP BY status", values).fetchall()
        by_status = dict(counted)
    else:
        by_status = Counter(order.status for order in orders)
    return {"total": sum(by_status.values()), "by_status": by_status, "orders": [summary(order, external[order.id]) for order in orders]}


def everything(market: Marketplace, order_id: str) -> dict[str, Any]:
    """Raises Refusal when there is no such order."""
    order = load(market, order_id)
    external = references(market, [order.id])[order.id]
    return {
        "order": order.doc,
        "summary": summary(order, external),
        "packages": [public(each) for each in order.packages.values()],
        "cancellations": [public(each) for each in order.cancellations.values()],
        "returns": [public(each) for each in order.inner.get("returns", {}).values()],
        "may_return": [kind for kind in TYPES if returnable(order, kind, "BUYER")],
        "external_orders": external,
        "timeline": order.inner["timeline"],
    }

"""An order as the marketplace keeps it: the document the API shows, and what only the marketplace knows.

Packages and cancellations belong to their order and are saved with it; their own tables are mirrors for searching.
Keys that begin with `_` never leave the marketplace.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from .refusals import NOT_THIS_SELLER, Refusal

if TYPE_CHECKING:
    from .marketplace import Marketplace

Document = dict[str, Any]


@dataclass
class Order:
    """`doc` is the order object of TTS §5.4.5. `inner` holds the address before it is shown, plans, packages, cancellations and timeline."""

    doc: Document
    inner: Document
    events: list[tuple[int, Document, int]] = field(default_factory=list)
    born: list[Order] = field(default_factory=list)  # orders that come into being with the next save
    left: list[Document] = field(default_factory=list)  # combined packages that this order left; the others in them are told by the next save

    @property
    def id(self) -> str:
        return self.doc["id"]

    @property
    def status(self) -> str:
        return self.doc["status"]

    @property
    def lines(self) -> list[Document]:
        return self.doc["line_items"]

    @property
    def packages(self) -> dict[str, Document]:
        return self.inner["packages"]

    @property
    def cancellations(self) -> dict[str, Document]:
        return self.inner["cancellations"]

    @property
    def returns(self) -> dict[str, Document]:
        return self.inner.setdefault("returns", {})

    def lines_in(self, *display_statuses: str) -> list[Document]:
        return [line for line in self.lines if line["display_status"] in display_statuses]

    def open_request(self) -> Document | None:
        """The buyer's cancellation that waits for an answer."""
        return next((c for c in self.cancellations.values() if c["cancel_status"] == "CANCELLATION_REQUEST_PENDING"), None)

    def note(self, at: int, event: str, detail: str = "") -> None:
        self.inner["timeline"].append({"time": at, "event": event, "detail": detail})

    def touch(self, at: int) -> None:
        self.doc["update_time"] = max(at, self.doc["update_time"])

    def announce(self, kind: int, data: Document, at: int) -> None:
        """A webhook that goes out when the order is saved."""
        self.events.append((kind, data, at))


def public(document: Document) -> Document:
    return {name: value for name, value in document.items() if not name.startswith("_")}


def from_row(row: Any) -> Order:
    return Order(orjson.loads(row["doc"]), orjson.loads(row["inner"]))


def load(market: Marketplace, order_id: str, shop: Document | None = None) -> Order:
    """Raises Refusal 21008111 when the order does not exist or is another shop's."""
    row = market.store.read.execute("SELECT shop_id, doc, inner FROM orders WHERE id = ?", (order_id,)).fetchone()
    if row is None or (shop is not None and row["shop_id"] != shop["id"]):
        raise Refusal(NOT_THIS_SELLER, f"order {order_id} does not belong to this seller")
    return from_row(row)


def load_by_package(market: Marketplace, package_id: str, shop: Document) -> Order | None:
    row = market.store.read.execute("SELECT order_id FROM packages WHERE id = ? AND shop_id = ?", (package_id, shop["id"])).fetchone()
    return load(market, row["order_id"], shop) if row else None


def load_by_cancellation(market: Marketplace, cancel_id: str, shop: Document) -> Order | None:
    row = market.store.read.execute("SELECT order_id FROM cancellations WHERE id = ? AND shop_id = ?", (cancel_id, shop["id"])).fetchone()
    return load(market, row["order_id"], shop) if row else None


def load_by_return(market: Marketplace, return_id: str, shop: Document | None = None) -> Order | None:
    row = market.store.read.execute("SELECT order_id FROM returns WHERE id = ? AND shop_id = coalesce(?, shop_id)", (return_id, shop and shop["id"]))
    found = row.fetchone()
    return load(market, found["order_id"], shop) if found else None


def save(market: Marketplace, *orders: Order) -> None:
    """Writes orders with their packages, cancellations, returns, held stock and webhooks, in one transaction."""
    from .combining import take_out
    from .schedule import next_due
    from .shelf import follow

    orders = (*orders, *(born for order in orders for born in order.born))
    with market.store.write() as db:
        for order in orders:
            if "holds" in order.inner:
                follow(market, order)
        rows = [_row(order, next_due(market, order)) for order in orders]
        packages = [_package_row(order, package) for order in orders for package in order.packages.values()]
        cancellations = [_cancellation_row(order, each) for order in orders for each in order.cancellations.values()]
        db.executemany("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        returns = [_return_row(order, each) for order in orders for each in order.inner.get("returns", {}).values()]
        db.executemany("INSERT OR REPLACE INTO packages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", packages)
        db.executemany("INSERT OR REPLACE INTO cancellations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", cancellations)
        db.executemany("INSERT OR REPLACE INTO returns VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", returns)
        for order in orders:
            for kind, data, at in order.events:
                market.webhooks.enqueue(order.inner["shop_id"], kind, data, at)
            order.events.clear()
            order.born.clear()
        for order in orders:
            while order.left:
                take_out(market, order, order.left.pop())


def all_orders(market: Marketplace, *, batch: int = 500) -> Iterable[list[Order]]:
    """Every order, in batches in id order."""
    last = ""
    while True:
        rows = market.store.read.execute("SELECT id, doc, inner FROM orders WHERE id > ? ORDER BY id LIMIT ?", (last, batch)).fetchall()
        if not rows:
            return
        last = rows[-1]["id"]
        yield [from_row(row) for row in rows]


def _row(order: Order, due: tuple[Any, ...] | None) -> tuple[Any, ...]:
    doc = order.doc
    return (
        *(doc["id"], order.inner["shop_id"], doc["status"], doc["create_time"], doc["update_time"], due[0] if due else None),
        *(doc["shipping_type"], doc["user_id"], int(bool(doc.get("is_buyer_request_cancel"))), doc["warehouse_id"]),
        *(orjson.dumps(doc), orjson.dumps(order.inner)),
    )


def _package_row(order: Order, package: Document) -> tuple[Any, ...]:
    return (
        *(package["id"], order.inner["shop_id"], order.id, package["status"], package.get("tracking_number", "")),
        *(package["create_time"], package["update_time"], order.doc.get("paid_time", 0), orjson.dumps(public(package))),
    )


def _cancellation_row(order: Order, cancellation: Document) -> tuple[Any, ...]:
    return (
        *(cancellation["cancel_id"], order.inner["shop_id"], order.id, cancellation["cancel_status"], cancellation["cancel_type"]),
        *(order.doc["user_id"], cancellation["create_time"], cancellation["update_time"], orjson.dumps(public(cancellation))),
    )


def _return_row(order: Order, document: Document) -> tuple[Any, ...]:
    return (
        *(document["return_id"], order.inner["shop_id"], order.id, document["return_status"], document["return_type"], order.doc["user_id"]),
        *(document.get("arbitration_status", ""), document.get("seller_proposed_return_type", "")),
        *(document["create_time"], document["update_time"], orjson.dumps(public(document))),
    )

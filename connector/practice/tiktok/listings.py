"""A listing as the marketplace keeps it: head, versions of its content, SKUs, stock.

`products.doc` is the head that product search shows. The content lives in `product_versions`: `live` is what buyers see (or would see), `review` an edit of
a live product that waits for its audit, `draft` an unpublished edit. Prices and stock belong to no version: they count at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from . import refusals as codes
from .orderbook import Document
from .refusals import Refusal
from .variants import Variant

if TYPE_CHECKING:
    from .marketplace import Marketplace

STATUSES = ("DRAFT", "PENDING", "FAILED", "ACTIVATE", "SELLER_DEACTIVATED", "PLATFORM_DEACTIVATED", "FREEZE", "DELETED")
PRODUCT_STATUSES = ("INITIAL", "DRAFT", "ACTIVATE", "SELLER_DEACTIVATED", "PLATFORM_DEACTIVATED", "FREEZE", "DELETED")


@dataclass
class Listing:
    """`doc` is the head; `inner` holds what only the marketplace knows: `shop_id`, `reasons` of a failed audit, `plan` of a running one."""

    doc: Document
    inner: Document
    due: int | None = None
    events: list[tuple[int, Document, int]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.doc["id"]

    @property
    def status(self) -> str:
        return self.doc["status"]

    @property
    def product_status(self) -> str:
        return self.doc["product_status"]

    def touch(self, at: int) -> None:
        self.doc["update_time"] = max(at, self.doc["update_time"])

    def announce(self, kind: int, data: Document, at: int) -> None:
        """A webhook that goes out when the listing is saved."""
        self.events.append((kind, data, at))

    def set_status(self, product_status: str, at: int) -> None:
        """Moves the product status; the status follows from it and from the audit (TTS §5.3.10)."""
        before = self.status
        self.doc["product_status"] = product_status
        self.derive_status(at)
        if self.status != before and "PENDING" not in (before, self.status):
            data = {"product_id": int(self.id), "status": "PRODUCT_STATUS_CHANGED", "suspended_reason": "", "update_time": self.doc["update_time"]}
            self.announce(5, data, at)

    def derive_status(self, at: int) -> None:
        waiting = self.product_status == "INITIAL" or self.inner.get("plan") == "reactivate"
        if waiting:
            status = "FAILED" if self.doc["audit"]["status"] == "FAILED" else "PENDING"
        else:
            status = self.product_status
        if status != self.status:
            self.doc["status"] = status
            self.touch(at)


def new_listing(market: Marketplace, shop: Document, content: Document, at: int) -> Listing:
    product_id = market.ids("product")[0]
    doc = {
        "id": product_id,
        "title": content["title"],
        "status": "DRAFT",
        "product_status": "DRAFT",
        "audit": {"status": "NONE", "pre_approved_reasons": []},
        "has_draft": False,
        "create_time": at,
        "update_time": at,
        "sales_regions": [shop["region"]],
        "is_not_for_sale": bool(content.get("is_not_for_sale", False)),
        "listing_quality_tier": "",
    }
    return Listing(doc, {"shop_id": shop["id"], "reasons": []})


# -- storage ------------------------------------------------------------------------------------------------------------------------------


def from_row(row: Any) -> Listing:
    return Listing(orjson.loads(row["doc"]), orjson.loads(row["inner"]), row["due_time"])


def load(market: Marketplace, product_id: str, shop: Document | None = None) -> Listing:
    """Raises Refusal 12052032 or 12052048."""
    row = market.store.read.execute("SELECT shop_id, doc, inner, due_time FROM products WHERE id = ?", (product_id,)).fetchone()
    if row is None:
        raise Refusal(codes.PRODUCT_MISSING, f"product {product_id} does not exist")
    if shop is not None and row["shop_id"] != shop["id"]:
        raise Refusal(codes.PRODUCT_OF_ANOTHER, f"product {product_id} belongs to another seller")
    return from_row(row)


def save(market: Marketplace, *listings: Listing) -> None:
    """Writes heads and webhooks, in one transaction."""
    with market.store.write() as db:
        db.executemany("INSERT OR REPLACE INTO products VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [_row(each) for each in listings])
        for listing in listings:
            for kind, data, at in listing.events:
                market.webhooks.enqueue(listing.inner["shop_id"], kind, data, at)
            listing.events.clear()


def _row(listing: Listing) -> tuple[Any, ...]:
    doc, inner = listing.doc, listing.inner
    return (
        *(doc["id"], inner["shop_id"], doc["status"], doc["audit"]["status"], inner.get("tree", "v1"), doc["listing_quality_tier"]),
        *(inner.get("external_id"), doc["create_time"], doc["update_time"], listing.due, orjson.dumps(doc), orjson.dumps(inner)),
    )


def version(market: Marketplace, product_id: str, name: str) -> Document | None:
    """The content of `live`, `review` or `draft`."""
    row = market.store.read.execute("SELECT doc FROM product_versions WHERE product_id = ? AND version = ?", (product_id, name)).fetchone()
    return orjson.loads(row["doc"]) if row else None


def put_version(market: Marketplace, listing: Listing, name: str, content: Document) -> None:
    """Keeps a version, and in the head what the search shows of the live one."""
    with market.store.write() as db:
        db.execute("INSERT OR REPLACE INTO product_versions VALUES (?, ?, ?)", (listing.id, name, orjson.dumps(content)))
    if name == "live":
        listing.doc |= {"title": content["title"], "is_not_for_sale": bool(content.get("is_not_for_sale", False))}
        listing.inner |= {"tree": content.get("category_version", "v1"), "external_id": content.get("external_product_id")}


def drop_versions(market: Marketplace, product_id: str, *names: str) -> None:
    with market.store.write() as db:
        db.executemany("DELETE FROM product_versions WHERE product_id = ? AND version = ?", [(product_id, name) for name in names])


# -- SKUs ---------------------------------------------------------------------------------------------------------------------------------


def sku_rows(market: Marketplace, product_ids: list[str], *, pending: bool = False) -> dict[str, list[Any]]:
    """Rows of the live SKUs by product in their order; with `pending` also those that an edit under review adds."""
    found: dict[str, list[Any]] = {product_id: [] for product_id in product_ids}
    query = (
        f"SELECT * FROM skus WHERE product_id IN ({','.join('?' * len(product_ids))})" + ("" if pending else " AND live = 1") + " ORDER BY product_id, position"
    )
    for row in market.store.read.execute(query, product_ids).fetchall():
        found[row["product_id"]].append(row)
    return found


def stock_rows(market: Marketplace, sku_ids: list[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {sku_id: [] for sku_id in sku_ids}
    for first in range(0, len(sku_ids), 30_000):
        part = sku_ids[first : first + 30_000]
        query = f"SELECT * FROM stock WHERE sku_id IN ({','.join('?' * len(part))}) ORDER BY sku_id, warehouse_id"
        for row in market.store.read.execute(query, part).fetchall():
            found[row["sku_id"]].append(row)
    return found


def write_variants(market: Marketplace, listing: Listing, variants: list[Variant], *, live: bool) -> list[Document]:
    """Gives new SKUs their ids, price and stock; returns the SKUs for the version. Without `live` what is there stays as it is beside them."""
    fresh = iter(market.ids("sku", sum(variant.id is None for variant in variants)))
    docs: list[Document] = []
    with market.store.write() as db:
        for position, variant in enumerate(variants):
            doc = {"id": variant.id or next(fresh), **variant.doc}
            docs.append(doc)
            if variant.id is None:
                row = (doc["id"], listing.id, listing.inner["shop_id"], position, variant.seller_sku, variant.code, int(live), orjson.dumps(variant.price))
                db.execute("INSERT INTO skus (id, product_id, shop_id, position, seller_sku, code, live, price) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
                stocked = [(doc["id"], each["warehouse_id"], each["quantity"], orjson.dumps(each["more"]) if each["more"] else None) for each in variant.stock]
                db.executemany("INSERT INTO stock (sku_id, warehouse_id, available, more) VALUES (?, ?, ?, ?)", stocked)
            elif live:
                _place(db, doc, position)
    return docs


def _place(db: Any, doc: Document, position: int) -> None:
    code = doc.get("identifier_code", {}).get("code")
    db.execute("UPDATE skus SET position = ?, seller_sku = ?, code = ?, live = 1 WHERE id = ?", (position, doc["seller_sku"], code, doc["id"]))


def drop_skus(market: Marketplace, listing: Listing, keep: set[str], *, pending_only: bool) -> list[str]:
    """Deletes the SKUs that are not among `keep`; with `pending_only` only such as were never live. Returns their ids."""
    rows = sku_rows(market, [listing.id], pending=True)[listing.id]
    gone = [row["id"] for row in rows if row["id"] not in keep and not (pending_only and row["live"])]
    with market.store.write() as db:
        for sku_id in gone:
            db.execute("DELETE FROM skus WHERE id = ?", (sku_id,))
            db.execute("DELETE FROM stock WHERE sku_id = ?", (sku_id,))
    return gone


def publish(market: Marketplace, listing: Listing, content: Document, at: int) -> None:
    """Makes a content the live one: its SKUs count, the others are deleted (webhook 50)."""
    before = {row["id"] for row in sku_rows(market, [listing.id])[listing.id]}
    ids = {doc["id"] for doc in content["skus"]}
    gone = drop_skus(market, listing, ids, pending_only=False)
    with market.store.write() as db:
        for position, doc in enumerate(content["skus"]):
            _place(db, doc, position)
    put_version(market, listing, "live", content)
    drop_versions(market, listing.id, "review")
    told = [(sku_id, "CREATED") for sku_id in sorted(ids - before)] + [(sku_id, "DELETED") for sku_id in gone if sku_id in before]
    announce_skus(listing, told, at)


def announce_skus(listing: Listing, changes: list[tuple[str, str]], at: int, source: str = "") -> None:
    if changes:
        skus = [{"sku_id": sku_id, "status": status, "deactivation_source": source} for sku_id, status in changes]
        listing.announce(50, {"product_id": listing.id, "skus": skus, "update_time": at}, at)

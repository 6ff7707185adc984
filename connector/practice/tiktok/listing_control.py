"""The catalogue in the control API: listings as the marketplace knows them, and everything that happens to them beside the API (README.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from flask import Response, request

from .audits import failure, finish, pre_approve, submit
from .categories import CHECKS
from .control import blueprint, market, wish
from .listing_seeds import seed_listings
from .listings import PRODUCT_STATUSES, Listing, announce_skus, from_row, load, put_version, save, sku_rows, stock_rows, version
from .orderbook import Document
from .schedule import settle
from .tree import PERMISSIONS, VERSIONS, tree

if TYPE_CHECKING:
    from .marketplace import Marketplace

CHANGES = ("status", "audit", "reasons", "suggestions", "position", "pre_approved_reasons", "promotion_lock", "title", "stock", "price", "sku_status", "skus")
CATEGORY_CHANGES = ("leaf", "status", "available", "required", "rules")
TOP_STOCK = 99_999


@blueprint.post("/catalogue/seed")
def seed_catalogue() -> Document:
    return seed_listings(market(), wish())


# -- listings -----------------------------------------------------------------------------------------------------------------------------


def truth(shelf: Marketplace, listings: list[Listing]) -> list[Document]:
    """The marketplace's own truth of listings."""
    skus = sku_rows(shelf, [each.id for each in listings], pending=True)
    stock = stock_rows(shelf, [row["id"] for rows in skus.values() for row in rows])
    return [
        {
            **{name: listing.doc[name] for name in ("id", "title", "status", "product_status", "audit", "has_draft", "create_time", "update_time")},
            "shop_id": listing.inner["shop_id"],
            "external_product_id": listing.inner.get("external_id"),
            "audit_failed_reasons": listing.inner["reasons"],
            "audit_due": listing.due,
            "under_review": listing.inner.get("plan") == "edit",
            "promotion_lock": bool(listing.inner.get("promotion")),
            "skus": [_sku_truth(row, stock[row["id"]]) for row in skus[listing.id]],
        }
        for listing in listings
    ]


def _sku_truth(row: Any, stock: list[Any]) -> Document:
    return {
        **{name: row[name] for name in ("id", "seller_sku", "status")},
        "live": bool(row["live"]),
        "promotion_lock": bool(row["locked"]),
        "price": orjson.loads(row["price"]),
        "available": sum(each["available"] for each in stock),
        "committed": sum(each["committed"] for each in stock),
        "stock": [{name: each[name] for name in ("warehouse_id", "available", "committed")} for each in stock],
    }


def find_listings(shelf: Marketplace, args: Any) -> Document:
    """Listings in id order by shop, status, ids, seller SKU; `limit` and `after` page."""
    where, values = "1", []
    if name := args.get("shop"):
        where, values = where + " AND shop_id = ?", [*values, shelf.shop(name)["id"]]
    if status := args.get("status"):
        where, values = where + " AND status = ?", [*values, status]
    if ids := args.get("ids"):
        where, values = where + f" AND id IN ({','.join('?' * len(ids.split(',')))})", [*values, *ids.split(",")]
    if sku := args.get("seller_sku"):
        where, values = where + " AND id IN (SELECT product_id FROM skus WHERE seller_sku = ?)", [*values, sku]
    db = shelf.store.read
    counted = dict(db.execute(f"SELECT status, count(*) FROM products WHERE {where} GROUP BY status", values).fetchall())
    query = f"SELECT doc, inner, due_time FROM products WHERE {where} AND id > ? ORDER BY id LIMIT ?"
    rows = db.execute(query, (*values, args.get("after", ""), args.get("limit", -1, type=int))).fetchall()
    listings = [from_row(row) for row in rows]
    shown = [each for first in range(0, len(listings), 500) for each in truth(shelf, listings[first : first + 500])]
    return {"total": sum(counted.values()), "by_status": counted, "listings": shown}


@blueprint.get("/listings")
def listings() -> Response:
    settle(market())
    return Response(orjson.dumps(find_listings(market(), request.args)), mimetype="application/json")


@blueprint.get("/listings/<product_id>")
def listing(product_id: str) -> Document:
    settle(market())
    found = load(market(), product_id)
    versions = {name: version(market(), product_id, name) for name in ("live", "review", "draft")}
    return {**truth(market(), [found])[0], "versions": versions}


@blueprint.post("/listings/<product_id>")
def change_listing(product_id: str) -> Document:
    settle(market())
    change(market(), product_id, wish())
    return listing(product_id)


def change(shelf: Marketplace, product_id: str, asked: Document) -> None:
    """What the marketplace or the seller in the Seller Center does to a listing. Raises ValueError, KeyError or Refusal."""
    if unknown := set(asked) - set(CHANGES):
        raise ValueError(f"a listing has no {', '.join(sorted(unknown))}; known: {', '.join(CHANGES)}")
    with shelf.store.write():
        found, now = load(shelf, product_id), shelf.clock.seconds()
        chosen = _chosen(shelf, found, asked.get("skus"))
        if "audit" in asked:
            _audit(shelf, found, asked, now)
        if "status" in asked:
            _status(shelf, found, asked["status"], now)
        if "promotion_lock" in asked:
            _lock(shelf, found, chosen if asked.get("skus") else None, bool(asked["promotion_lock"]))
        if "title" in asked:
            _title(shelf, found, str(asked["title"]), now)
        if "sku_status" in asked:
            _sku_status(shelf, found, chosen, asked["sku_status"], now)
        if "stock" in asked:
            _stock(shelf, chosen, asked["stock"])
        if "price" in asked:
            prices = [(orjson.dumps({**orjson.loads(row["price"]), "amount": str(asked["price"])}), row["id"]) for row in chosen]
            shelf.store.read.executemany("UPDATE skus SET price = ? WHERE id = ?", prices)
        save(shelf, found)


def _chosen(shelf: Marketplace, found: Listing, names: list[str] | None) -> list[Any]:
    """The rows of the named SKUs (seller_sku or id), or all."""
    rows = sku_rows(shelf, [found.id], pending=True)[found.id]
    if names is None:
        return rows
    chosen = [row for row in rows if row["seller_sku"] in names or row["id"] in names]
    if len(chosen) < len(set(names)):
        raise ValueError(f"listing {found.id} does not have all of the SKUs {', '.join(names)}")
    return chosen


def _audit(shelf: Marketplace, found: Listing, asked: Document, now: int) -> None:
    outcome = asked["audit"]
    if outcome == "AUDITING":
        submit(shelf, found, "edit" if version(shelf, found.id, "review") else "quiet" if found.product_status == "ACTIVATE" else "first", now)
    elif outcome == "PRE_APPROVED":
        pre_approve(found, asked.get("pre_approved_reasons") or ["KYC_PENDING"], now)
    elif outcome == "APPROVED":
        finish(shelf, found, [], now)
    elif outcome == "FAILED":
        reasons = asked.get("reasons") or ["The product information is incomplete"]
        suggestions = asked.get("suggestions") or ["Complete the product information and submit it again"]
        finish(shelf, found, [failure(asked.get("position", "product"), reasons, suggestions)], now)
    else:
        raise ValueError("audit is AUDITING, PRE_APPROVED, APPROVED or FAILED")


def _status(shelf: Marketplace, found: Listing, status: str, now: int) -> None:
    if status not in PRODUCT_STATUSES:
        raise ValueError(f"status is one of {', '.join(PRODUCT_STATUSES)}")
    if found.inner.get("plan") in ("first", "reactivate"):
        found.inner["plan"], found.due = "", None
    found.set_status(status, now)
    told = {"ACTIVATE": "ACTIVATED", "DELETED": "DELETED"}.get(status, "DEACTIVATED")
    source = "PLATFORM" if status in ("PLATFORM_DEACTIVATED", "FREEZE") else "SELLER"
    announce_skus(found, [(row["id"], told) for row in sku_rows(shelf, [found.id])[found.id]], now, source if told == "DEACTIVATED" else "")


def _lock(shelf: Marketplace, found: Listing, rows: list[Any] | None, locked: bool) -> None:
    """A promotion on the whole product (12052038) or on some SKUs (12019045)."""
    if rows is None:
        found.inner["promotion"] = locked
    else:
        shelf.store.read.executemany("UPDATE skus SET locked = ? WHERE id = ?", [(int(locked), row["id"]) for row in rows])


def _title(shelf: Marketplace, found: Listing, title: str, now: int) -> None:
    """The seller edits in the Seller Center; no audit follows."""
    content = version(shelf, found.id, "live") or {}
    put_version(shelf, found, "live", {**content, "title": title})
    found.touch(now)
    data = {"product_id": found.id, "change_source": "SELLER_CENTER", "changed_fields": ["title"], "update_time": found.doc["update_time"]}
    found.announce(15, data, now)


def _sku_status(shelf: Marketplace, found: Listing, rows: list[Any], status: str, now: int) -> None:
    if status not in ("NORMAL", "DEACTIVATED"):
        raise ValueError("sku_status is NORMAL or DEACTIVATED")
    source = "SELLER" if status == "DEACTIVATED" else None
    shelf.store.read.executemany("UPDATE skus SET status = ?, source = ? WHERE id = ?", [(status, source, row["id"]) for row in rows])
    told = "DEACTIVATED" if source else "ACTIVATED"
    announce_skus(found, [(row["id"], told) for row in rows], now, source or "")


def _stock(shelf: Marketplace, rows: list[Any], quantity: Any) -> None:
    if isinstance(quantity, bool) or not isinstance(quantity, int) or not 0 <= quantity <= TOP_STOCK:
        raise ValueError(f"stock is the quantity in each warehouse, a whole number between 0 and {TOP_STOCK}")
    shelf.store.read.executemany("UPDATE stock SET available = ? WHERE sku_id = ?", [(quantity, row["id"]) for row in rows])


# -- audit, shop, categories --------------------------------------------------------------------------------------------------------------


@blueprint.route("/audit", methods=["GET", "POST"])
def audit() -> Document:
    if request.method == "POST":
        asked = wish()
        if unknown := set(asked) - {"delay_seconds", "reject_words"}:
            raise ValueError(f"the audit has no {', '.join(sorted(unknown))}")
        changes: Document = {}
        if "delay_seconds" in asked:
            changes["audit_delay_seconds"] = asked["delay_seconds"]
        if "reject_words" in asked:
            changes["audit_reject_words"] = ",".join(asked["reject_words"])
        market().settings.update(changes)
    words = market().settings.audit_reject_words
    return {"delay_seconds": market().settings.audit_delay_seconds, "reject_words": [word for word in words.split(",") if word]}


@blueprint.post("/shops/<name>/prerequisites")
def change_prerequisites(name: str) -> Document:
    """Failed checks of a shop: `{check_item: [reasons]}`; an empty object passes them all. `SELLER` stands for a seller who is not active."""
    asked, shop = wish(), market().shop(name)
    if unknown := set(asked) - {*CHECKS, "SELLER"}:
        raise ValueError(f"there is no check {', '.join(sorted(unknown))}; known: {', '.join((*CHECKS, 'SELLER'))}")
    failed = {**market().store.meta("shop_failures", {}), shop["id"]: {item: [str(each) for each in reasons] for item, reasons in asked.items()}}
    market().store.set_meta("shop_failures", failed)
    return failed[shop["id"]]


@blueprint.post("/categories/<category_id>")
def change_category(category_id: str) -> Document:
    """What happens to a category: `leaf`, `status`, `available`, `required` (attribute ids), `rules`."""
    if not any(category_id in tree(each) for each in VERSIONS):
        raise KeyError(f"there is no category {category_id}")
    asked = wish()
    if unknown := set(asked) - set(CATEGORY_CHANGES):
        raise ValueError(f"a category has no {', '.join(sorted(unknown))}; known: {', '.join(CATEGORY_CHANGES)}")
    if asked.get("status", "AVAILABLE") not in ("AVAILABLE", *PERMISSIONS.values()):
        raise ValueError(f"status is AVAILABLE or one of {', '.join(PERMISSIONS.values())}")
    changed = market().store.meta("category_changes", {})
    changed[category_id] = {**changed.get(category_id, {}), **asked}
    market().store.set_meta("category_changes", changed)
    return changed[category_id]

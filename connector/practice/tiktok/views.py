"""How products are shown: get and search (TTS §5.3.10, §5.3.11)."""

from __future__ import annotations

from typing import Any

import orjson

from . import refusals as codes
from .categories import SHOP_LOCALES, changes, is_leaf
from .listings import STATUSES, Listing, load, sku_rows, stock_rows, version
from .operations import Call, Raw, operation
from .orderbook import Document
from .pages import Page, joined, time_window
from .refusals import Refusal
from .tree import LOCALES, chain, local_name, tree
from .uploads import address

SCOPE = "seller.product.basic"
AUDITS = ("AUDITING", "FAILED", "APPROVED")
MOST_FILTER_IDS = 10
NEW_FIELDS = ("audit", "has_draft", "listing_quality_tier", "product_status")  # of 202502


def shown_price(price: Document, *, old: bool = False) -> Document:
    """Not `amount`: local sellers find the shelf price in `sale_price`, in older searches in `tax_exclusive_price`."""
    if old:
        return {"currency": price["currency"], "tax_exclusive_price": price["amount"]}
    return {"currency": price["currency"], "sale_price": price["amount"], "tax_exclusive_price": price["amount"]}


def shown_stock(rows: list[Any]) -> list[Document]:
    return [{"warehouse_id": row["warehouse_id"], "quantity": row["available"], **(orjson.loads(row["more"]) if row["more"] else {})} for row in rows]


def status_info(row: Any) -> Document:
    return {"status": row["status"], "deactivation_source": row["source"] or ""}


# -- get ----------------------------------------------------------------------------------------------------------------------------------


@operation("products.get", "GET /product/{version}/products/{product_id}", "202309", SCOPE)
def get_product(call: Call) -> dict[str, Any]:
    review, draft = (call.parameter(name, "true", "false", default="false") == "true" for name in ("return_under_review_version", "return_draft_version"))
    if review and draft:
        raise Refusal(codes.BAD_REQUEST, "return_under_review_version and return_draft_version exclude each other")
    locale = call.parameter("locale", *LOCALES, default=SHOP_LOCALES[call.shop["region"]])
    listing = load(call.market, call.path["product_id"], call.shop)
    if listing.status in ("FREEZE", "DELETED"):
        raise Refusal(codes.PRODUCT_STATUS, f"product {listing.id} is {listing.status} and cannot be read")
    wanted = "review" if review else "draft" if draft else "live"
    content = version(call.market, listing.id, wanted) or version(call.market, listing.id, "live")
    return product_document(call, listing, content, locale)


def product_document(call: Call, listing: Listing, content: Document, locale: str) -> Document:
    doc = {
        **{name: value for name, value in content.items() if name not in ("category_id", "skus", "main_images", "brand")},
        **{name: listing.doc[name] for name in ("id", "status", "product_status", "audit", "has_draft", "create_time", "update_time", "listing_quality_tier")},
        "audit_failed_reasons": listing.inner["reasons"],
        "product_types": [],
        "category_chains": _chains(call, content, locale),
        "main_images": [
            {**image, "urls": [address(call.root, image["uri"])], "thumb_urls": [address(call.root, image["uri"])]} for image in content["main_images"]
        ],
        "skus": _skus(call, listing, content),
    }
    if content.get("brand"):
        doc["brand"] = content["brand"]
    return doc


def _chains(call: Call, content: Document, locale: str) -> list[Document]:
    nodes = tree(content.get("category_version", "v1"))
    if content["category_id"] not in nodes:
        return []
    changed = changes(call.market)
    return [
        {"id": node.id, "parent_id": node.parent_id, "local_name": local_name(node.name, locale), "is_leaf": is_leaf(node, changed)}
        for node in chain(nodes, content["category_id"])
    ]


def _skus(call: Call, listing: Listing, content: Document) -> list[Document]:
    rows = {row["id"]: row for row in sku_rows(call.market, [listing.id], pending=True)[listing.id]}
    stock = stock_rows(call.market, list(rows))
    shown = []
    for doc in content["skus"]:
        if (row := rows.get(doc["id"])) is None:
            continue
        price = orjson.loads(row["price"])
        entry = {
            **doc,
            "price": {**shown_price(price), "unit_price": price["amount"]},
            "inventory": shown_stock(stock[doc["id"]]),
            "status_info": status_info(row),
        }
        if "list_price" in price:
            entry["list_price"] = price["list_price"]
        shown.append(entry)
    return shown


# -- search -------------------------------------------------------------------------------------------------------------------------------


@operation("products.search", "POST /product/{version}/products/search", "202502 202312 202309", SCOPE)
def search_products(call: Call) -> Raw:
    """At most `search_ceiling` results can be reached with one set of filters (12052180)."""
    size = call.whole("page_size", 1, 100)
    where, values = _filters(call)
    narrowed = any(name in where for name in ("update_time", " id IN "))
    page = Page(call, "products", "+create_time" if narrowed else "create_time", True, size, where, values)
    rows, token, total = page.fetch()
    ceiling = int(call.market.settings.search_ceiling)
    if total > ceiling and (call.market.settings.search_refuses_wide_windows or page.passed() + len(rows) > ceiling):
        raise Refusal(codes.SEARCH_TOO_WIDE, f"the search window holds more than {ceiling} results: narrow it")
    heads = [orjson.loads(row["doc"]) for row in rows]
    return Raw(joined(b"products", [orjson.dumps(each) for each in _with_skus(call, heads)], token, total))


def _filters(call: Call) -> tuple[str, tuple[Any, ...]]:
    where, values = "shop_id = ?", [call.shop["id"]]
    status = call.field("status") or "ALL"
    if status != "ALL":
        if status not in STATUSES:
            raise Refusal(codes.BAD_REQUEST, f"param body.status is invalid: {status}")
        where, values = where + " AND status = ?", [*values, status]
    elif call.field("listing_platforms", list):
        raise Refusal(codes.BAD_REQUEST, "param body.listing_platforms needs a status other than ALL")
    if audits := call.strings("audit_status"):
        if unknown := set(audits) - set(AUDITS):
            raise Refusal(codes.BAD_REQUEST, f"param body.audit_status is invalid: {', '.join(sorted(unknown))}")
        where, values = where + f" AND audit_status IN ({_marks(audits)})", [*values, *audits]
    chosen = call.query.get("category_version") if call.version == "202309" else call.field("category_version")
    if chosen is not None:
        where, values = where + " AND tree = ?", [*values, chosen]
    if tiers := call.strings("listing_quality_tiers"):
        where, values = where + f" AND quality IN ({_marks(tiers)})", [*values, *tiers]
    for name, column, code in (("seller_skus", "seller_sku", codes.TOO_MANY_SELLER_SKUS), ("sku_ids", "id", codes.TOO_MANY_SKU_IDS)):
        wanted = call.strings(name)
        if len(wanted) > MOST_FILTER_IDS:
            raise Refusal(code, f"{name} holds {len(wanted)} entries, at most {MOST_FILTER_IDS} are allowed")
        if wanted:
            query = f"SELECT DISTINCT product_id FROM skus WHERE {column} IN ({_marks(wanted)}) AND shop_id = ?"
            ids = [row[0] for row in call.market.store.read.execute(query, (*wanted, call.shop["id"]))]
            where, values = where.replace("shop_id = ?", "+shop_id = ?") + f" AND id IN ({_marks(ids)})", [*values, *ids]
    window, bounds = time_window(call, "create_time", "update_time", closed=True)
    return where + window, (*values, *bounds)


def _marks(values: list[str]) -> str:
    return ",".join("?" * len(values))


def _with_skus(call: Call, heads: list[Document]) -> list[Document]:
    old = call.version != "202502"
    if call.field("return_draft_version", bool):
        for head in heads:
            if head["has_draft"] and (draft := version(call.market, head["id"], "draft")):
                head["title"] = draft["title"]
    skus = sku_rows(call.market, [head["id"] for head in heads])
    stock = stock_rows(call.market, [row["id"] for rows in skus.values() for row in rows])
    for head in heads:
        head["skus"] = []
        for row in skus[head["id"]]:
            price = orjson.loads(row["price"])
            entry = {
                "id": row["id"],
                "seller_sku": row["seller_sku"],
                "price": shown_price(price, old=old),
                "inventory": shown_stock(stock[row["id"]]),
                "status_info": status_info(row),
            }
            if "list_price" in price:
                entry["list_price"] = price["list_price"]
            head["skus"].append(entry)
        for name in NEW_FIELDS if old else ("product_status",):
            head.pop(name, None)
    return heads

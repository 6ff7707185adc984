"""Create, check, edit and partly edit a product (TTS §5.3.8, §5.3.9, §5.3.12, §5.3.13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from . import refusals as codes
from .audits import submit
from .categories import failures
from .contents import changed_fields, check_content
from .findings import Findings
from .listings import (
    Listing,
    announce_skus,
    drop_skus,
    drop_versions,
    load,
    new_listing,
    put_version,
    save,
    sku_rows,
    version,
    write_variants,
)
from .operations import Call, operation
from .orderbook import Document
from .refusals import Refusal
from .variants import Variant, check_variants

if TYPE_CHECKING:
    from .marketplace import Marketplace

SCOPE = "seller.product.write"
KEY_CHARACTERS = 128
GATES = {"SHOP_STATUS": codes.SHOP_NOT_READY, "SELLER": codes.SELLER_NOT_ACTIVE, "RETURN_WAREHOUSE": codes.NO_RETURN_WAREHOUSE}


def _body(call: Call) -> Document:
    if not isinstance(call.body, dict):
        raise Refusal(codes.BAD_REQUEST, "param body is missing")
    return call.body


def _is_draft(body: Document) -> bool:
    mode = body.get("save_mode") or "LISTING"
    if mode not in ("LISTING", "AS_DRAFT"):
        raise Refusal(codes.BAD_REQUEST, f"param body.save_mode is invalid: {mode} is not one of LISTING, AS_DRAFT")
    return mode == "AS_DRAFT"


def examine(
    market: Marketplace, shop: Document, body: Document, listing: Listing | None = None, before: dict[str, Document] | None = None, *, draft: bool = False
) -> tuple[Findings, Document, list[Variant]]:
    """Everything there is to say about a product body: findings, content without SKUs, SKUs."""
    found = Findings(draft)
    failed = failures(market, shop)
    for item, code in GATES.items():
        if item in failed and not draft:
            found.wrong(code, "; ".join(failed[item]) or f"the check {item} of the shop has failed")
    content, node = check_content(found, market, shop, body, listing.id if listing else None)
    variants = check_variants(found, market, shop, body, node, listing.doc if listing else None, before or {})
    return found, content, variants


def answer(listing: Listing, docs: list[Document], found: Findings) -> Document:
    skus = [
        {
            **{name: doc[name] for name in ("id", "seller_sku", "external_sku_id")},
            "sales_attributes": [{"id": each["id"], "value_id": each["value_id"]} for each in doc["sales_attributes"]],
        }
        for doc in docs
    ]
    return {"product_id": listing.id, "skus": skus, "warnings": [{"message": message} for message in found.warnings]}


# -- create -------------------------------------------------------------------------------------------------------------------------------


@operation("products.listing_check", "POST /product/{version}/products/listing_check", "202309", SCOPE)
def check_listing(call: Call) -> dict[str, Any]:
    """`warnings` is an object here, not a list. Takes nothing from the listing quota."""
    body = _body(call)
    found, _, _ = examine(call.market, call.shop, body, draft=_is_draft(body))
    answered: Document = {
        "check_result": "FAILED" if found.problems else "PASS",
        "fail_reasons": [{"code": code, "message": message} for code, message in found.problems],
    }
    if found.warnings:
        answered["warnings"] = {"message": "; ".join(found.warnings)}
    return answered


@operation("products.create", "POST /product/{version}/products", "202309", SCOPE, writes=True)
def create_product(call: Call) -> dict[str, Any]:
    body, market, shop = _body(call), call.market, call.shop
    key = call.field("idempotency_key")
    if key is not None and len(key) > KEY_CHARACTERS:
        raise Refusal(codes.BAD_REQUEST, f"param body.idempotency_key is invalid: at most {KEY_CHARACTERS} characters")
    earlier = market.store.read.execute(
        "SELECT answer FROM idempotency WHERE shop_id = ? AND operation = 'products.create' AND key = ?", (shop["id"], key or "")
    )
    if key and (row := earlier.fetchone()):
        return orjson.loads(row["answer"])
    draft = _is_draft(body)
    found, content, variants = examine(market, shop, body, draft=draft)
    if not draft and (limit := failures(market, shop).get("PRODUCT_QUANTITY_LIMIT")):
        found.problems.insert(0, (codes.LISTING_LIMIT, "; ".join(limit)))
    found.refuse(wrapped=market.settings.wrap_product_errors)
    listing, docs = create(market, shop, content, variants, call.now, draft=draft)
    save(market, listing)
    answered = answer(listing, docs, found)
    if key:
        market.store.read.execute("INSERT INTO idempotency VALUES (?, 'products.create', ?, ?)", (shop["id"], key, orjson.dumps(answered)))
    return answered


def create(market: Marketplace, shop: Document, content: Document, variants: list[Variant], at: int, *, draft: bool) -> tuple[Listing, list[Document]]:
    """A new listing, as a draft or on its way to the audit; not saved yet."""
    listing = new_listing(market, shop, content, at)
    docs = write_variants(market, listing, variants, live=True)
    put_version(market, listing, "live", {**content, "skus": docs})
    listing.announce(16, {"product_id": int(listing.id), "product_types": [], "update_time": at}, at)
    if not draft:
        listing.doc["product_status"] = "INITIAL"
        submit(market, listing, "first", at)
    return listing, docs


# -- edit ---------------------------------------------------------------------------------------------------------------------------------


def _editable(call: Call) -> Listing:
    listing = load(call.market, call.path["product_id"], call.shop)
    if listing.status in ("FREEZE", "DELETED", "PENDING"):
        raise Refusal(codes.PRODUCT_STATUS, f"product {listing.id} is {listing.status} and cannot be edited")
    return listing


def known_skus(market: Marketplace, listing: Listing) -> dict[str, Document]:
    """SKUs an edit may name, by id, as the newest version has them."""
    rows = {row["id"] for row in sku_rows(market, [listing.id], pending=True)[listing.id]}
    versions = [version(market, listing.id, name) for name in ("draft", "review", "live")]
    return {doc["id"]: doc for each in versions if each for doc in each["skus"] if doc["id"] in rows}


@operation("products.edit", "PUT /product/{version}/products/{product_id}", "202509 202309", SCOPE, writes=True)
def edit_product(call: Call) -> dict[str, Any]:
    """Replaces everything but prices and stock. SKUs that are left out are deleted."""
    return _edit(call, _editable(call), _body(call))


@operation("products.partial_edit", "POST /product/{version}/products/{product_id}/partial_edit", "202509 202309", SCOPE, writes=True)
def partial_edit(call: Call) -> dict[str, Any]:
    """What is sent replaces the whole property, what is not sent stays."""
    listing, body = _editable(call), _body(call)
    newest = version(call.market, listing.id, "review") or version(call.market, listing.id, "live") or {}
    as_sent = {**newest, "brand_id": (newest.get("brand") or {}).get("id")}
    return _edit(call, listing, {**as_sent, **body})


def _edit(call: Call, listing: Listing, body: Document) -> dict[str, Any]:
    market, draft = call.market, _is_draft(body)
    found, content, variants = examine(market, call.shop, body, listing, known_skus(market, listing), draft=draft)
    found.refuse(wrapped=market.settings.wrap_product_errors)
    docs = apply_edit(market, listing, content, variants, call.now, draft=draft)
    save(market, listing)
    return {**answer(listing, docs, found), "audit": listing.doc["audit"]}


def apply_edit(
    market: Marketplace, listing: Listing, content: Document, variants: list[Variant], at: int, *, draft: bool, source: str = "OPEN_API"
) -> list[Document]:
    """A live product keeps its version until the audit passes; every other one takes the new content at once."""
    before = version(market, listing.id, "live") or {}
    beside = listing.product_status == "ACTIVATE" or (draft and listing.product_status != "DRAFT")
    docs = write_variants(market, listing, variants, live=not beside)
    gone = drop_skus(market, listing, {doc["id"] for doc in docs}, pending_only=beside)
    content = {**content, "skus": docs}
    put_version(market, listing, ("draft" if draft else "review") if beside else "live", content)
    listing.touch(at)
    if draft:
        listing.doc["has_draft"] = beside
        return docs
    drop_versions(market, listing.id, "draft")
    listing.doc["has_draft"] = False
    if not beside:
        announce_skus(listing, [(sku_id, "DELETED") for sku_id in gone], at)
    fields = changed_fields(before, content)
    listing.announce(15, {"product_id": listing.id, "change_source": source, "changed_fields": fields, "update_time": at}, at)
    if before.get("category_id") != content.get("category_id") and before:
        moved = {"previous_category_id": before.get("category_id", ""), "current_category_id": content["category_id"], "update_time": at}
        listing.announce(18, {"product_id": listing.id, **moved}, at)
    if listing.product_status in ("DRAFT", "INITIAL"):
        listing.doc["product_status"] = "INITIAL"
        submit(market, listing, "first", at)
    else:
        plan = "edit" if beside else "reactivate" if listing.product_status == "PLATFORM_DEACTIVATED" else "quiet"
        submit(market, listing, plan, at)
    return docs

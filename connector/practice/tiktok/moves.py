"""Activate, deactivate, recover and delete, at most twenty products at a time, each standing alone (TTS §5.3.14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import refusals as codes
from .audits import submit
from .listings import Listing, announce_skus, load, publish, save, sku_rows, version
from .operations import Call, operation
from .products import SCOPE
from .refusals import Refusal

MOST_PRODUCTS = 20


def _each(call: Call, act: Callable[[Call, Listing], None]) -> dict[str, Any]:
    ids = call.strings("product_ids", required=True)
    if len(ids) > MOST_PRODUCTS:
        raise Refusal(codes.TOO_MANY_PRODUCT_IDS, f"product_ids holds {len(ids)} ids, at most {MOST_PRODUCTS} are allowed")
    errors = []
    for product_id in dict.fromkeys(ids):
        try:
            listing = load(call.market, product_id, call.shop)
            act(call, listing)
            save(call.market, listing)
        except Refusal as refusal:
            errors.append(refusal.as_error(product_id=product_id, extra_errors=[]))
    return {"errors": errors} if errors else {}


def _only(listing: Listing, action: str, *statuses: str) -> None:
    if listing.status not in statuses:
        raise Refusal(codes.PRODUCT_STATUS, f"product {listing.id} is {listing.status} and cannot be {action}")


@operation("products.activate", "POST /product/{version}/products/activate", "202309", SCOPE, writes=True)
def activate(call: Call) -> dict[str, Any]:
    def act(call: Call, listing: Listing) -> None:
        _only(listing, "activated", "SELLER_DEACTIVATED", "PLATFORM_DEACTIVATED")
        if content := version(call.market, listing.id, "review"):  # it is audited again anyway
            publish(call.market, listing, content, call.now)
        submit(call.market, listing, "reactivate", call.now)

    return _each(call, act)


@operation("products.deactivate", "POST /product/{version}/products/deactivate", "202309", SCOPE, writes=True)
def deactivate(call: Call) -> dict[str, Any]:
    def act(call: Call, listing: Listing) -> None:
        _only(listing, "deactivated", "ACTIVATE")
        listing.set_status("SELLER_DEACTIVATED", call.now)
        announce_skus(listing, [(row["id"], "DEACTIVATED") for row in sku_rows(call.market, [listing.id])[listing.id]], call.now, "SELLER")

    return _each(call, act)


@operation("products.recover", "POST /product/{version}/products/recover", "202309", SCOPE, writes=True)
def recover(call: Call) -> dict[str, Any]:
    def act(call: Call, listing: Listing) -> None:
        _only(listing, "recovered", "DELETED")
        taken = "SELECT 1 FROM skus JOIN products ON products.id = product_id WHERE skus.shop_id = ? AND seller_sku = ? AND product_id != ? AND products.status != 'DELETED'"
        for row in sku_rows(call.market, [listing.id])[listing.id]:
            used = row["seller_sku"] and call.market.store.read.execute(taken, (call.shop["id"], row["seller_sku"], listing.id)).fetchone()
            if used and call.market.settings.unique_seller_sku:
                raise Refusal(codes.SELLER_SKU_DUPLICATE, f"seller_sku {row['seller_sku']} is used by another product by now")
        listing.set_status("SELLER_DEACTIVATED", call.now)

    return _each(call, act)


@operation("products.delete", "DELETE /product/{version}/products", "202309", SCOPE, writes=True)
def delete(call: Call) -> dict[str, Any]:
    """Ends a running audit as well. Prices and stock are kept for a recovery."""

    def act(call: Call, listing: Listing) -> None:
        if listing.status in ("FREEZE", "DELETED"):
            raise Refusal(codes.PRODUCT_STATUS, f"product {listing.id} is {listing.status} and cannot be deleted")
        if content := version(call.market, listing.id, "review"):
            publish(call.market, listing, content, call.now)
        listing.due, listing.inner["plan"] = None, ""
        listing.doc["has_draft"] = False
        if listing.doc["audit"]["status"] in ("AUDITING", "PRE_APPROVED"):
            listing.doc["audit"] = {"status": "NONE", "pre_approved_reasons": []}
        listing.set_status("DELETED", call.now)
        announce_skus(listing, [(row["id"], "DELETED") for row in sku_rows(call.market, [listing.id])[listing.id]], call.now)

    return _each(call, act)

"""Listings: check, create, read, change, and their stock and prices (TTS §5.3.8-§5.3.18).

Bodies are TikTok's own dicts. What is read is untouched but for one thing: every SKU price gets `amount`, the shelf price, so that what is read
and what is sent have the same name (`shelf_price`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from connector.clients.tiktok.caller import Caller, Data, Page
from connector.clients.tiktok.envelope import BatchResult, read_batch

STATUS_LIMIT = 20  # products per activate, deactivate, recover, delete
SELLER_SKU_LIMIT = SKU_ID_LIMIT = 10  # per search
INVENTORY_PRODUCTS, INVENTORY_SKUS = 100, 600
SETTINGS_SKUS = 500


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why TikTok would not list it: `code` as in create, `message` verbatim."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class ListingCheck:
    """`data` holds the rest, such as `pre_check_results`."""

    passed: bool
    refusals: tuple[Refusal, ...]
    warnings: tuple[str, ...]
    data: Data


@dataclass(frozen=True, slots=True)
class SavedSku:
    """Match back by `seller_sku`, else by `sales_attributes`: pairs of attribute id and value id."""

    id: str
    seller_sku: str
    external_sku_id: str
    sales_attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SavedProduct:
    """What a create or an edit left behind. `warnings` name fields that TikTok cleared: show them."""

    product_id: str
    skus: tuple[SavedSku, ...]
    warnings: tuple[str, ...]
    data: Data


class ProductsApi(Caller):
    def check_listing(self, body: Mapping[str, Any]) -> ListingCheck:
        """Would this body be listed (TTS §5.3.9)? Creates nothing."""

        def read(data: Data) -> ListingCheck:
            refusals = tuple(Refusal(int(reason["code"]), str(reason.get("message") or "")) for reason in data.get("fail_reasons") or [])
            return ListingCheck(data.get("check_result") == "PASS", refusals, _warnings(data), data)

        return self._call("check_listing", read, body=body)

    def create_product(self, body: Mapping[str, Any], *, idempotency_key: str) -> SavedProduct:
        """TTS §5.3.8. After `Uncertain` send the same body with the same key again: TikTok makes one product only."""
        return self._call("create_product", lambda data: _saved(data, ""), body={**body, "idempotency_key": idempotency_key})

    def get_product(self, product_id: str, *, under_review: bool = False, draft: bool = False, locale: str | None = None) -> Data:
        """The whole product (TTS §5.3.10): as buyers see it, or the version in review, or the unpublished draft. Not for FREEZE or DELETED."""
        if under_review and draft:
            raise ValueError("a product is read either in review or as a draft")
        query = {"return_under_review_version": "true" if under_review else None, "return_draft_version": "true" if draft else None, "locale": locale}
        return self._call("get_product", with_amounts, path={"product_id": product_id}, query=query)

    def search_products(self, filters: Mapping[str, Any] | None = None, *, page_size: int = 100, page_token: str | None = None) -> Page:
        """One page (TTS §5.3.11): no images, attributes or external ids. `update_time_le` here, not `_lt`. At most 10,000 rows per filter."""
        for key, limit in (("seller_skus", SELLER_SKU_LIMIT), ("sku_ids", SKU_ID_LIMIT)):
            _at_most(limit, key, (filters or {}).get(key) or ())
        page = self._page("search_products", "products", query={"page_size": str(page_size), "page_token": page_token}, body=filters or {})
        return Page([with_amounts(product) for product in page.items], page.next_page_token, page.total_count)

    def iter_products(self, filters: Mapping[str, Any] | None = None, *, page_size: int = 100) -> Iterator[Data]:
        """All products of a filter. On `PageTokenRefused` start again; on `Rejected` tts.product.too_many_results narrow the times."""
        token = None
        while True:
            page = self.search_products(filters, page_size=page_size, page_token=token)
            yield from page.items
            token = page.next_page_token
            if token is None:
                return

    def products_by_seller_sku(self, seller_skus: Iterable[str]) -> Iterator[Data]:
        """Products that hold any of these seller SKUs, ten asked for at a time. A product may come twice."""
        for group in _groups(seller_skus, SELLER_SKU_LIMIT):
            yield from self.iter_products({"seller_skus": group})

    def edit_product(self, product_id: str, body: Mapping[str, Any]) -> SavedProduct:
        """Replace everything but price and inventory (TTS §5.3.12): what is left out is blanked, a SKU left out is deleted."""
        return self._call("edit_product", lambda data: _saved(data, product_id), path={"product_id": product_id}, body=body)

    def partial_edit_product(self, product_id: str, body: Mapping[str, Any]) -> SavedProduct:
        """Replace the named top-level properties only (TTS §5.3.13); with `skus` send them all."""
        return self._call("partial_edit_product", lambda data: _saved(data, product_id), path={"product_id": product_id}, body=body)

    def activate_products(self, product_ids: Sequence[str]) -> BatchResult:
        """SELLER_DEACTIVATED or PLATFORM_DEACTIVATED -> PENDING -> ACTIVATE. At most 20; errors by product id (TTS §5.3.14)."""
        return self._products("activate_products", product_ids)

    def deactivate_products(self, product_ids: Sequence[str]) -> BatchResult:
        """ACTIVATE -> SELLER_DEACTIVATED. At most 20; errors by product id."""
        return self._products("deactivate_products", product_ids)

    def recover_products(self, product_ids: Sequence[str]) -> BatchResult:
        """DELETED -> SELLER_DEACTIVATED. At most 20; errors by product id."""
        return self._products("recover_products", product_ids)

    def delete_products(self, product_ids: Sequence[str]) -> BatchResult:
        """Any status but FREEZE -> DELETED. At most 20; errors by product id."""
        return self._products("delete_products", product_ids)

    def update_inventory(self, product_id: str, skus: Mapping[str, Mapping[str, int]]) -> BatchResult:
        """Units that may still be sold, absolute: {sku id: {warehouse id: quantity}} (TTS §5.3.15). Every warehouse of a SKU, and no other.

        Errors by SKU id; the warehouse of each is in `data["errors"][..]["detail"]["extra_errors"]`. No re-audit; repeating is harmless.
        """
        rows = [{"id": sku, "inventory": [{"warehouse_id": w, "quantity": q} for w, q in places.items()]} for sku, places in skus.items()]
        return self._call("update_inventory", lambda data: read_batch(data, "sku_id"), path={"product_id": product_id}, body={"skus": rows})

    def search_inventory(self, *, product_ids: Sequence[str] = (), sku_ids: Sequence[str] = ()) -> list[Data]:
        """Available and committed units (TTS §5.3.16) of at most 100 products or 600 SKUs: {product_id, skus: [{id, warehouse_inventory, ...}]}."""
        if bool(product_ids) == bool(sku_ids):
            raise ValueError("inventory is asked for by product ids or by SKU ids, one of them")
        _at_most(INVENTORY_PRODUCTS, "product_ids", product_ids)
        _at_most(INVENTORY_SKUS, "sku_ids", sku_ids)
        body = {"sku_ids": list(sku_ids)} if sku_ids else {"product_ids": list(product_ids)}
        return self._call("search_inventory", lambda data: list(data.get("inventory") or []), body=body)

    def iter_inventory(self, product_ids: Iterable[str]) -> Iterator[Data]:
        """`search_inventory` for any number of products, a hundred at a time."""
        for group in _groups(product_ids, INVENTORY_PRODUCTS):
            yield from self.search_inventory(product_ids=group)

    def update_prices(self, product_id: str, prices: Mapping[str, Mapping[str, str]]) -> None:
        """{sku id: {amount, currency}} of a live product outside promotions (TTS §5.3.17). All or nothing; no re-audit.

        Errors: `Conflict` tts.product.price_locked (a promotion runs: try again later), `Rejected` tts.product.price.
        """
        rows = [{"id": sku, "price": dict(price)} for sku, price in prices.items()]
        self._call("update_prices", lambda data: None, path={"product_id": product_id}, body={"skus": rows})

    def stock_settings(self, seller_id: str, sku_ids: Sequence[str], *, auto_restock: bool) -> None:
        """Does TikTok put stock back after a seller-fulfilled order is cancelled (TTS §5.3.18)? 1-500 SKUs."""
        _at_most(SETTINGS_SKUS, "sku_ids", sku_ids)
        body = {"seller_id": seller_id, "sku_ids": list(sku_ids), "stock_operation_setting": {"enable_auto_restock": auto_restock}}
        self._call("stock_settings", lambda data: None, body=body)

    def _products(self, name: str, product_ids: Sequence[str]) -> BatchResult:
        _at_most(STATUS_LIMIT, "product_ids", product_ids)
        return self._call(name, lambda data: read_batch(data, "product_id"), body={"product_ids": list(product_ids)})


def shelf_price(price: Mapping[str, Any]) -> str | None:
    """The shelf price of a SKU that was read: `sale_price`, else `tax_exclusive_price` (TTS §5.3.10); None when neither is there."""
    return str(price.get("sale_price") or price.get("tax_exclusive_price") or "") or None


def with_amounts(product: Mapping[str, Any]) -> Data:
    """The product with `price.amount` filled in for each of its SKUs."""
    skus = [sku | {"price": sku["price"] | {"amount": shelf_price(sku["price"])}} if sku.get("price") else sku for sku in product.get("skus") or []]
    return {**product, "skus": skus}


def _saved(data: Data, product_id: str) -> SavedProduct:
    skus = tuple(
        SavedSku(
            str(sku["id"]),
            str(sku.get("seller_sku") or ""),
            str(sku.get("external_sku_id") or ""),
            tuple((str(pair.get("id") or ""), str(pair.get("value_id") or "")) for pair in sku.get("sales_attributes") or []),
        )
        for sku in data.get("skus") or []
    )
    return SavedProduct(str(data.get("product_id") or product_id) or str(data["product_id"]), skus, _warnings(data), data)


def _warnings(data: Data) -> tuple[str, ...]:
    """A list in create and edit, one object in the listing check (TTS §5.3.8, §5.3.9)."""
    found = data.get("warnings") or []
    return tuple(str(row.get("message") or "") for row in ([found] if isinstance(found, Mapping) else found) if row.get("message"))


def _at_most(limit: int, what: str, values: Sequence[str]) -> None:
    if len(values) > limit:
        raise ValueError(f"{what} takes {limit} at most, not {len(values)}")


def _groups(values: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(values)
    while group := list(islice(rest, size)):
        yield group

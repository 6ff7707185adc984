"""Products, attributes, categories (MAG §4.2). Products default to scope "all", the values without store overrides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connector.clients.magento.caller import Caller, Row, rows, segment
from connector.clients.magento.search import (
    PAGE_SIZE,
    SearchCriteria,
    SearchResult,
    chunks,
    keyset,
    pages,
    sku_criteria,
)


class CatalogApi(Caller):
    def products(self, criteria: SearchCriteria, *, store: str | None = "all") -> SearchResult:
        """Without stock: `stock_item` is only in `product()`. Disabled products are included."""
        return self._search("products", "products", criteria, store=store)

    def iter_products(
        self,
        criteria: SearchCriteria | None = None,
        *,
        store: str | None = "all",
        page_size: int = PAGE_SIZE,
        after: str = "0",
    ) -> Iterator[Row]:
        """All matching products in the order of their id. With `fields`, ask for `id` and total_count too."""

        def fetch(page: SearchCriteria) -> SearchResult:
            return self.products(page, store=store)

        return keyset(fetch, criteria or SearchCriteria(), after=after, row_key="id", key="entity_id", page_size=page_size)

    def products_by_sku(self, skus: Sequence[str], *, store: str | None = "all", fields: str | None = None) -> list[Row]:
        """Those that exist; Magento compares without case, so compare `sku.casefold()`. `fields` as in §2.3, with items[sku,...]."""
        found: list[Row] = []
        for group in chunks(skus):
            criteria = sku_criteria(group).order_by("entity_id").only(fields)
            for page in pages(lambda c: self.products(c, store=store), criteria):
                found += page
        return found

    def product(self, sku: str, *, store: str | None = "all") -> Row:
        """One product with extension_attributes.stock_item. Errors: `NotFound` mag.sku_unknown."""
        return self._get("product", f"products/{segment(sku)}", store=store, read=dict)

    def create_product(self, product: Mapping[str, Any]) -> Row:
        """Create (or replace, by SKU) in scope all. Send a unique url_key among custom_attributes (MAG §4.2.5)."""
        return self._write("create_product", "POST", "products", {"product": product, "saveOptions": True}, store="all", read=dict)

    def product_media(self, sku: str) -> list[Row]:
        return self._get("product_media", f"products/{segment(sku)}/media", read=rows)

    def children(self, sku: str) -> list[Row]:
        """The simple products of a configurable; [] for any other type."""
        return self._get("children", f"configurable-products/{segment(sku)}/children", read=rows)

    def attributes(self, criteria: SearchCriteria | None = None, *, store: str | None = None) -> SearchResult:
        """Metadata with the options inline, labelled as that store has them."""
        return self._search("attributes", "products/attributes", criteria or SearchCriteria().page(1), store=store)

    def attribute(self, code: str) -> Row:
        return self._get("attribute", f"products/attributes/{segment(code)}", read=dict)

    def attribute_sets(self, criteria: SearchCriteria | None = None) -> SearchResult:
        """{attribute_set_id, attribute_set_name, sort_order, entity_type_id}"""
        return self._search("attribute_sets", "products/attribute-sets/sets/list", criteria or SearchCriteria().page(1))

    def categories(self, *, store: str | None = "all") -> Row:
        """The tree: {id, parent_id, name, is_active, position, level, product_count, children_data}."""
        return self._get("categories", "categories", store=store, read=dict)

    def base_prices(self, skus: Sequence[str]) -> list[Row]:
        """[{price, store_id, sku}]; unknown SKUs are left out (MAG §4.2.4)."""
        return self._write("base_prices", "POST", "products/base-prices-information", {"skus": list(skus)}, read=rows, safe=True)

    def special_prices(self, skus: Sequence[str]) -> list[Row]:
        """[{price, store_id, sku, price_from, price_to}]; SKUs without a special price and unknown ones are left out (MAG §4.2.4)."""
        return self._write("special_prices", "POST", "products/special-price-information", {"skus": list(skus)}, read=rows, safe=True)

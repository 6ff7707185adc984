"""Sources, stocks and what can still be sold (MAG §4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connector.clients.errors import NotFound, Unavailable
from connector.clients.magento.caller import Caller, Row, nothing, segment
from connector.clients.magento.search import PAGE_SIZE, SearchCriteria, SearchResult, chunks, pages, sku_criteria


@dataclass(frozen=True, slots=True)
class Salable:
    """`quantity` None: stock is not managed, so it is unlimited. Reservations are already subtracted."""

    sku: str
    quantity: Decimal | None
    is_salable: bool


class InventoryApi(Caller):
    """Without MSI every call here but `stock_item` raises `NotFound` mag.route_unknown."""

    def sources(self) -> list[Row]:
        return self._all("sources", "inventory/sources", SearchCriteria().order_by("source_code"))

    def stocks(self) -> list[Row]:
        """{stock_id, name, extension_attributes: {sales_channels: [{type: "website", code}]}}"""
        return self._all("stocks", "inventory/stocks", SearchCriteria().order_by("stock_id"))

    def stock_source_links(self) -> list[Row]:
        """{stock_id, source_code, priority}"""
        return self._all("stock_source_links", "inventory/stock-source-links", SearchCriteria().order_by("stock_id").order_by("source_code"))

    def stock_for_website(self, website_code: str) -> Row:
        """Errors: `NotFound` when no stock is linked."""
        return self._get("stock_for_website", f"inventory/stock-resolver/website/{segment(website_code)}", read=dict)

    def source_items(self, skus: Sequence[str], *, sources: Sequence[str] = (), page_size: int = PAGE_SIZE) -> list[Row]:
        """{sku, source_code, quantity, status}: physical quantities, reservations not counted.

        `sources` leaves out the others; a `page_size` of 100 for each of them saves calls.
        """
        found: list[Row] = []
        for group in chunks(skus):
            criteria = sku_criteria(group).order_by("sku").order_by("source_code")
            if sources:
                criteria = criteria.where("source_code", "in", sources)
            found += self._all("source_items", "inventory/source-items", criteria, page_size=page_size)
        return found

    def save_source_items(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Absolute quantities: {sku, source_code, quantity, status}; all or nothing, at most 100. Magento accepts unknown SKUs here.

        Errors: `Rejected` mag.source_item, transient: also every deadlock.
        """
        self._write("save_source_items", "POST", "inventory/source-items", {"sourceItems": list(items)}, read=nothing)

    def stock_item(self, sku: str) -> Row:
        """Legacy stock item; `qty` is the physical quantity of source `default` (MAG §4.3.2)."""
        return self._get("stock_item", f"stockItems/{segment(sku)}", read=dict)

    def salable_quantities(self, skus: Sequence[str], *, website_code: str) -> dict[str, Salable]:
        """By SKU in Magento's spelling. SKUs that are unknown or not assigned to the website's stock are missing (MAG §4.3.4).

        Simple and virtual SKUs only: composite ones come back with quantity None.
        """
        path = f"inventory/export-stock-salable-qty/website/{segment(website_code)}"
        found: dict[str, Salable] = {}
        for group in chunks(skus):
            criteria, number, size = sku_criteria(group), 1, PAGE_SIZE
            while True:
                result = self._search("salable_quantities", path, criteria.page(number, size))
                found |= {item["sku"]: _salable(item) for item in result.items}
                size = result.page_size or size
                if number * size >= len(group):  # its total_count is that of the page
                    break
                number += 1
        return found

    def salable_by_id(self, entity_ids: Sequence[int], *, website_code: str) -> list[Salable]:
        """The same by product id, a call for 100 of them: ids fit a URL whatever the SKUs look like."""
        path = f"inventory/export-stock-salable-qty/website/{segment(website_code)}"
        found: list[Salable] = []
        ids, size = list(entity_ids), PAGE_SIZE
        while ids:
            group, ids = ids[:size], ids[size:]
            result = self._search("salable_quantities", path, SearchCriteria().where("entity_id", "in", group).page(1, len(group)))
            if result.page_size and result.page_size < len(group):  # the store allows less: again, in smaller groups
                ids, size = [*group, *ids], result.page_size
            else:
                found += [_salable(item) for item in result.items]
        return found

    def salable_quantity(self, sku: str, stock_id: int | str) -> Decimal:
        """One SKU in one stock, negative with backorders. Errors: `NotFound` for an unknown SKU, `Rejected` for composite types."""
        path = f"inventory/get-product-salable-quantity/{segment(sku)}/{segment(stock_id)}"
        try:
            return self._get("salable_quantity", path, read=lambda payload: Decimal(str(payload)))
        except Unavailable as error:
            if error.status != 500 or error.request_id:
                raise
            # an unknown SKU answers a bare PHP type error instead of 404
            raise NotFound(
                f"Magento does not know the SKU {sku}",
                system="magento",
                operation="salable_quantity",
                status=500,
                code="mag.sku_unknown",
                remote_message=error.remote_message,
            ) from error

    def source_selection(self, stock_id: int | str, items: Mapping[str, Decimal | int], *, algorithm: str = "priority") -> Row:
        """{source_selection_items: [{source_code, sku, qty_to_deduct, qty_available}], shippable}; `items` is quantity by SKU."""
        wanted = [{"sku": sku, "qty": qty} for sku, qty in items.items()]
        body = {"inventoryRequest": {"stockId": int(stock_id), "items": wanted}, "algorithmCode": algorithm}
        return self._write("source_selection", "POST", "inventory/source-selection-algorithm-result", body, read=dict, safe=True)

    def _all(self, operation: str, path: str, criteria: SearchCriteria, *, page_size: int = PAGE_SIZE) -> list[Row]:
        def fetch(page: SearchCriteria) -> SearchResult:
            return self._search(operation, path, page)

        found: list[Row] = []
        for page in pages(fetch, criteria, page_size=page_size):
            found += page
        return found


def _salable(item: Row) -> Salable:
    quantity, salable = Decimal(str(item["qty"] or 0)), bool(item["is_salable"])
    return Salable(str(item["sku"]), None if salable and quantity == 0 else quantity, salable)

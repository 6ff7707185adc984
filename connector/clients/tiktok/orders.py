"""Orders and their external references (TTS §5.4). Order objects are the marketplace's own dicts, untouched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal

from connector.clients.tiktok.caller import Caller, Data, Page
from connector.clients.tiktok.envelope import BatchResult, read_batch

DETAIL_LIMIT = 50


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open: `start` <= time < `end`, aware instants of the marketplace's clock. `field` update_time or create_time."""

    start: datetime | None
    end: datetime | None
    field: Literal["update_time", "create_time"] = "update_time"

    def filters(self) -> dict[str, int]:
        bounds = {f"{self.field}_ge": self.start, f"{self.field}_lt": self.end}
        return {name: int(instant.timestamp()) for name, instant in bounds.items() if instant is not None}


class OrdersApi(Caller):
    def search_orders(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        page_size: int = 100,
        page_token: str | None = None,
        sort_field: str = "update_time",
        sort_order: str = "ASC",
    ) -> Page:
        """One page of full orders (TTS §5.4.1). `filters` must be the same on every page. Errors: `PageTokenRefused`."""
        return self._search("search_orders", "orders", filters, page_size, page_token, sort_field, sort_order)

    def iter_order_pages(self, window: Window, *, page_size: int = 100, filters: Mapping[str, Any] | None = None) -> Iterator[Page]:
        """All pages of a window, oldest first. On `PageTokenRefused` start the window again (upsert by id)."""
        body, token = {**(filters or {}), **window.filters()}, None
        while True:
            page = self.search_orders(body, page_size=page_size, page_token=token, sort_field=window.field)
            yield page
            token = page.next_page_token
            if token is None:
                return

    def iter_orders(self, window: Window, *, page_size: int = 100, filters: Mapping[str, Any] | None = None) -> Iterator[Data]:
        for page in self.iter_order_pages(window, page_size=page_size, filters=filters):
            yield from page.items

    def get_orders(self, ids: Sequence[str]) -> list[Data]:
        """At most 50 orders by id (TTS §5.4.2). Unknown ids may be left out: compare what came back."""
        if len(ids) > DETAIL_LIMIT:
            raise ValueError(f"order detail takes {DETAIL_LIMIT} ids, not {len(ids)}")
        return self._rows("get_orders", "orders", query={"ids": ",".join(ids)}) if ids else []

    def get_all_orders(self, ids: Iterable[str]) -> Iterator[Data]:
        """Any number of orders by id, fetched fifty at a time."""
        rest = iter(ids)
        while chunk := list(islice(rest, DETAIL_LIMIT)):
            yield from self.get_orders(chunk)

    def price_detail(self, order_id: str) -> Data:
        """TTS §5.4.3: exact amounts and taxes of the order and in line_items[]."""
        return self._call("price_detail", lambda data: data, path={"order_id": order_id})

    def put_external_orders(self, orders: Sequence[Mapping[str, Any]]) -> BatchResult:
        """Write our order numbers to TikTok, 1-100 at once; the same order and platform again is an edit (TTS §5.4.4)."""
        return self._call("put_external_orders", lambda data: read_batch(data, "order_id"), body={"orders": list(orders)})

    def get_external_orders(self, order_id: str, *, platform: str = "MAGENTO") -> list[Data]:
        return self._rows("get_external_orders", "external_orders", path={"order_id": order_id}, query={"platform": platform})

    def search_external_orders(self, external_order_id: str, *, platform: str = "MAGENTO") -> list[Data]:
        """TikTok orders that carry our order number: [{id, external_order}]."""
        query = {"platform": platform, "external_order_id": external_order_id}
        return self._rows("search_external_orders", "orders", query=query)


def external_order(order_id: str, external_id: str, lines: Mapping[str, str], *, platform: str = "MAGENTO") -> Data:
    """One entry for `put_external_orders`; `lines` maps TikTok line ids to ours."""
    items = [{"id": ours, "origin_id": theirs} for theirs, ours in lines.items()]
    return {"id": order_id, "external_order": {"id": external_id, "platform": platform, "line_items": items}}

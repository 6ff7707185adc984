"""Orders: finding, reading, correcting, importing directly, commenting, changing state (MAG §4.4.5-§4.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connector.clients.errors import Rejected
from connector.clients.magento.caller import LONG, Caller, Row, nothing, rows, segment
from connector.clients.magento.search import PAGE_SIZE, SearchCriteria, SearchResult, keyset


class OrdersApi(Caller):
    def find_orders(
        self,
        *,
        ext_order_id: str | None = None,
        quote_id: str | None = None,
        increment_id: str | None = None,
        fields: str | None = None,
    ) -> list[Row]:
        """Orders that match all that is given, oldest first; the look-up before and after every creation (MAG §4.4.7)."""
        given = {"ext_order_id": ext_order_id, "quote_id": quote_id, "increment_id": increment_id}
        criteria = SearchCriteria().order_by("entity_id").page(1, 20).only(fields)
        for name, value in given.items():
            if value is not None:
                criteria = criteria.where(name, "eq", value)
        if not criteria.groups:
            raise ValueError("find_orders needs something to find")
        return self.orders(criteria).items

    def orders(self, criteria: SearchCriteria) -> SearchResult:
        return self._search("orders", "orders", criteria)

    def iter_orders(self, criteria: SearchCriteria | None = None, *, after: str = "0", page_size: int = PAGE_SIZE) -> Iterator[Row]:
        """Orders with an entity id above `after`. With `fields`, ask for items[entity_id] and total_count too."""
        return keyset(self.orders, criteria or SearchCriteria(), after=after, page_size=page_size)

    def order(self, entity_id: str | int) -> Row:
        """By entity id. `row_total*` of lines is shown minus the discount: never send a line back as read (MAG §4.4.6)."""
        return self._get("order", f"orders/{segment(entity_id)}", read=dict)

    def correct_order(self, entity: Mapping[str, Any], *, store: str | None = None) -> Row:
        """Partial save: only the keys sent are written, per line too. The answer is a stub: read the order again.

        `entity` needs entity_id and increment_id; each line needs its own item_id. The same body twice gives the same result, so
        after `Uncertain` it may be sent again.
        """
        if not entity.get("entity_id") or not entity.get("increment_id"):
            raise ValueError("a partial save needs entity_id and increment_id")
        if any(not line.get("item_id") for line in entity.get("items") or ()):
            raise ValueError("a line without item_id would be added to the order")
        return self._write("correct_order", "POST", "orders", {"entity": entity}, store=store, read=dict, read_timeout=LONG)

    def create_order_direct(self, entity: Mapping[str, Any], *, store: str | None = None) -> Row:
        """Direct import without stock reservation (MAG §4.4.5). Errors: `Conflict` mag.duplicate: look it up by increment_id."""
        if entity.get("entity_id"):
            raise ValueError("an entity with entity_id is a correction")
        return self._write("create_order_direct", "POST", "orders", {"entity": entity}, store=store, read=dict, read_timeout=LONG)

    def comment(self, order_id: str | int, text: str, *, status: str, visible: bool = False) -> None:
        """`status` is the order's own or a new one of its state; without it Magento would set the status to NULL (MAG §4.5.3)."""
        if not status:
            raise ValueError("a comment needs a status")
        history = {
            "comment": text,
            "is_customer_notified": 0,
            "is_visible_on_front": int(visible),
            "parent_id": int(order_id),
            "status": status,
        }
        self._write("comment", "POST", f"orders/{segment(order_id)}/comments", {"statusHistory": history}, read=nothing)

    def comments(self, order_id: str | int) -> list[Row]:
        return self._get("comments", f"orders/{segment(order_id)}/comments", read=lambda payload: rows(payload.get("items")))

    def cancel(self, order_id: str | int) -> bool:
        """False when it cannot be cancelled (invoiced, on hold, complete, closed, canceled before); only the open part is cancelled."""
        return self._write("cancel", "POST", f"orders/{segment(order_id)}/cancel", None, read=_done)

    def hold(self, order_id: str | int) -> None:
        """Errors: `Rejected` when it cannot be held."""
        self._write("hold", "POST", f"orders/{segment(order_id)}/hold", None, read=self._must("hold"))

    def unhold(self, order_id: str | int) -> None:
        self._write("unhold", "POST", f"orders/{segment(order_id)}/unhold", None, read=self._must("unhold"))

    def update_address(self, order_id: str | int, address: Mapping[str, Any]) -> Row:
        """Replace one address of the order; `address` carries the address's own entity_id and parent_id (MAG §4.5.2)."""
        return self._write("update_address", "PUT", f"orders/{segment(order_id)}", {"entity": address}, read=dict)

    @staticmethod
    def _must(operation: str) -> Any:
        def read(payload: Any) -> None:
            if not _done(payload):
                raise Rejected(
                    f"Magento answered {operation} with false",
                    system="magento",
                    operation=operation,
                    code="mag.rejected",
                )

        return read


def _done(payload: Any) -> bool:
    if not isinstance(payload, bool):
        raise TypeError(f"not true or false: {payload!r}")
    return payload

"""Invoices, shipments, tracks and credit memos (MAG §4.6). All amounts and notes are ours; Magento never e-mails the buyer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from connector.clients.magento.caller import LONG, Caller, Row, as_id, segment
from connector.clients.magento.search import PAGE_SIZE, SearchCriteria, SearchResult, keyset

Quantities = Mapping[str, Decimal | int]  # by order_item_id
Amount = Decimal | int


class DocumentsApi(Caller):
    """Creating one is never repeated blindly: after `Uncertain` look at `invoices_of`, `shipments_of`, `creditmemos_of`."""

    def invoice(self, order_id: str | int, *, items: Quantities | None = None, comment: str | None = None, capture: bool = True) -> str:
        """The invoice id; `items` None invoices everything open. Errors: `Rejected` mag.document when nothing is open."""
        body: Row = {"capture": capture, "notify": False, **_comment(comment)}
        if items is not None:
            body["items"] = _items(items)
        return self._document("invoice", order_id, body)

    def ship(
        self,
        order_id: str | int,
        *,
        items: Quantities,
        tracks: Sequence[Mapping[str, str]] = (),
        source_code: str | None = None,
        comment: str | None = None,
    ) -> str:
        """The shipment id. Quantities are explicit, because Magento silently cuts what is too much; `source_code` is needed on
        stocks with several sources, else the wrong one is deducted. Tracks: {track_number, carrier_code, title}.

        Errors: `Rejected` mag.shipment_not_saved (transient: too little in the source, or a deadlock), mag.document.
        """
        if not items:
            raise ValueError("a shipment needs quantities")
        body: Row = {"items": _items(items), "notify": False, "tracks": list(tracks), **_comment(comment)}
        if source_code:
            body["arguments"] = {"extension_attributes": {"source_code": source_code}}
        return self._document("ship", order_id, body)

    def add_track(
        self,
        *,
        order_id: str | int,
        shipment_id: str | int,
        track_number: str,
        title: str,
        carrier_code: str = "custom",
    ) -> str:
        """The track id. The same number twice is accepted by Magento: look first."""
        entity = {
            "order_id": int(order_id),
            "parent_id": int(shipment_id),
            "track_number": track_number,
            "title": title,
            "carrier_code": carrier_code,
            "qty": 1,
            "weight": 0,
            "description": "",
        }
        return self._write("add_track", "POST", "shipment/track", {"entity": entity}, read=_track_id)

    def delete_track(self, track_id: str | int) -> bool:
        return self._write("delete_track", "DELETE", f"shipment/track/{segment(track_id)}", None, read=bool)

    def refund(
        self,
        order_id: str | int,
        *,
        items: Quantities,
        shipping_amount: Amount,
        adjustment_positive: Amount = 0,
        adjustment_negative: Amount = 0,
        return_to_stock: Sequence[str] = (),
        comment: str | None = None,
    ) -> str:
        """The credit memo id. `shipping_amount` is in base currency; unshipped lines not in `return_to_stock` count as gone."""
        arguments: Row = {
            "shipping_amount": shipping_amount,
            "adjustment_positive": adjustment_positive,
            "adjustment_negative": adjustment_negative,
        }
        if return_to_stock:
            arguments["extension_attributes"] = {"return_to_stock_items": [int(item) for item in return_to_stock]}
        return self._document("refund", order_id, {"items": _items(items), "notify": False, "arguments": arguments, **_comment(comment)})

    def invoices_of(self, order_id: str | int) -> list[Row]:
        return list(self._of("invoices", order_id))

    def shipments_of(self, order_id: str | int) -> list[Row]:
        """With items[], tracks[] and extension_attributes.source_code."""
        return list(self._of("shipments", order_id))

    def creditmemos_of(self, order_id: str | int) -> list[Row]:
        return list(self._of("creditmemos", order_id))

    def iter_shipments(self, after: str = "0", *, criteria: SearchCriteria | None = None) -> Iterator[Row]:
        """Shipments with an entity id above `after` that match `criteria`. A track added later changes nothing that can be searched: read those
        without a track again with `get_shipment`."""
        return self._above("shipments", criteria or SearchCriteria(), after)

    def shipments_since(self, moment: datetime) -> Iterator[Row]:
        """Shipments created at or after `moment` (Magento keeps UTC)."""
        created = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        return self._above("shipments", SearchCriteria().where("created_at", "gteq", created), "0")

    def iter_creditmemos(self, after: str = "0", *, criteria: SearchCriteria | None = None) -> Iterator[Row]:
        """Credit memos with an entity id above `after` that match `criteria`."""
        return self._above("creditmemos", criteria or SearchCriteria(), after)

    def get_invoice(self, invoice_id: str | int) -> Row:
        return self._get("get_invoice", f"invoices/{segment(invoice_id)}", read=dict)

    def get_shipment(self, shipment_id: str | int) -> Row:
        return self._get("get_shipment", f"shipment/{segment(shipment_id)}", read=dict)

    def get_creditmemo(self, creditmemo_id: str | int) -> Row:
        return self._get("get_creditmemo", f"creditmemo/{segment(creditmemo_id)}", read=dict)

    def _document(self, kind: str, order_id: str | int, body: Row) -> str:
        path = f"order/{segment(order_id)}/{kind}"
        return self._write(kind, "POST", path, body, read=as_id, read_timeout=LONG)

    def _of(self, documents: str, order_id: str | int) -> Iterator[Row]:
        return self._above(documents, SearchCriteria().where("order_id", "eq", order_id), "0")

    def _above(self, documents: str, criteria: SearchCriteria, after: str) -> Iterator[Row]:
        def fetch(page: SearchCriteria) -> SearchResult:
            return self._search(documents, documents, page)

        return keyset(fetch, criteria, after=after, page_size=PAGE_SIZE)


def _items(quantities: Quantities) -> list[dict[str, Any]]:
    return [{"order_item_id": int(item), "qty": qty} for item, qty in quantities.items()]


def _comment(text: str | None) -> dict[str, Any]:
    # appendComment would put the comment into the e-mail that we do not send
    return {"appendComment": False} | ({"comment": {"comment": text, "is_visible_on_front": 0}} if text else {})


def _track_id(payload: Any) -> str:
    """Magento answers the saved track, or its bare id."""
    return str(payload["entity_id"]) if isinstance(payload, dict) else as_id(payload)

"""Packages, shipping and tracking (TTS §5.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connector.clients.tiktok.caller import Caller, Data, Page
from connector.clients.tiktok.envelope import BatchResult, read_batch


@dataclass(frozen=True, slots=True)
class MarkedShipped:
    """Store `package_id`. `warning` is TikTok's text, e.g. that the number fits another carrier."""

    order_id: str
    package_id: str
    line_ids: tuple[str, ...]
    warning: str | None


@dataclass(frozen=True, slots=True)
class ShippingDocument:
    url: str  # valid for 24 hours
    tracking_number: str | None


@dataclass(frozen=True, slots=True)
class TrackingEvent:
    at: datetime | None
    description: str
    tracking_number: str | None = None
    carrier: str | None = None
    action_code: int | None = None


class FulfillmentApi(Caller):
    def search_packages(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        page_size: int = 50,
        page_token: str | None = None,
        sort_field: str | None = None,
        sort_order: str | None = None,
    ) -> Page:
        """TTS §5.5.5; page_size 1-50."""
        return self._search("search_packages", "packages", filters, page_size, page_token, sort_field, sort_order)

    def package(self, package_id: str) -> Data:
        return self._call("package", lambda data: data, path={"package_id": package_id})

    def mark_shipped(self, order_id: str, *, line_ids: Sequence[str], tracking_number: str, shipping_provider_id: str) -> MarkedShipped:
        """Seller shipping in US, UK, EU and JP (TTS §5.5.2): these lines become one package.

        Errors: `Conflict` tts.already_shipped (read the order: with the same tracking it is done), `Rejected` tts.on_hold,
        tts.aftersale_open; `Uncertain` when the answer is lost (read the order first).
        """

        def body(version: str) -> Data:
            if version < "202610":
                return {
                    "order_line_item_ids": list(line_ids),
                    "tracking_number": tracking_number,
                    "shipping_provider_id": shipping_provider_id,
                }
            return {
                "order_line_list": [{"order_line_id": line} for line in line_ids],
                "shipping_info_list": [_shipping_info(tracking_number, shipping_provider_id)],
            }

        def read(data: Data) -> MarkedShipped:
            warning = (data.get("warning") or {}).get("message")
            shipped = tuple(map(str, data.get("order_line_item_ids") or line_ids))
            return MarkedShipped(str(data.get("order_id") or order_id), str(data["package_id"]), shipped, warning)

        return self._call("mark_shipped", read, path={"order_id": order_id}, body=body)

    def ship_package(
        self,
        package_id: str,
        *,
        tracking_number: str | None = None,
        shipping_provider_id: str | None = None,
        handover_method: str | None = None,
        pickup_slot: Mapping[str, int] | None = None,
    ) -> None:
        """TTS §5.5.3: with tracking and provider it is seller shipping (SEA, LATAM), else the handover of platform shipping."""
        body: Data = {}
        if tracking_number and shipping_provider_id:
            body["self_shipment"] = _shipping_info(tracking_number, shipping_provider_id)
        if handover_method:
            body["handover_method"] = handover_method
        if pickup_slot:
            body["pickup_slot"] = dict(pickup_slot)
        self._call("ship_package", lambda data: None, path={"package_id": package_id}, body=body)

    def batch_ship(self, packages: Sequence[Mapping[str, Any]]) -> BatchResult:
        """At most 50 of {id, handover_method, pickup_slot, self_shipment}; errors by package id."""
        return self._call("batch_ship", lambda data: read_batch(data, "package_id"), body={"packages": list(packages)})

    def update_order_shipping_info(self, order_id: str, *, tracking_number: str, shipping_provider_id: str) -> None:
        """Correct the tracking of an unsplit order, within 72 hours after shipping (TTS §5.5.4)."""
        info = _shipping_info(tracking_number, shipping_provider_id)
        self._call("update_order_shipping_info", lambda data: None, path={"order_id": order_id}, body=info)

    def update_package_shipping_info(self, package_id: str, *, tracking_number: str, shipping_provider_id: str) -> None:
        """Correct the tracking of one package, within 72 hours after shipping (TTS §5.5.4)."""
        info = _shipping_info(tracking_number, shipping_provider_id)
        self._call(
            "update_package_shipping_info",
            lambda data: None,
            path={"package_id": package_id},
            body=lambda version: info if version < "202610" else {"shipping_info_list": [info]},
        )

    def shipping_services(self, order_id: str, *, line_ids: Sequence[str], dimension: Mapping[str, str], weight: Mapping[str, str]) -> Data:
        """Platform shipping, US/UK/JP (TTS §5.5.7): {shipping_services: [{id, name, price, currency, ...}], ...}."""
        body = {"order_line_item_ids": list(line_ids), "dimension": dict(dimension), "weight": dict(weight)}
        return self._call("shipping_services", lambda data: data, path={"order_id": order_id}, body=body)

    def create_package(
        self,
        order_id: str,
        *,
        line_ids: Sequence[str] | None = None,
        shipping_service_id: str | None = None,
        dimension: Mapping[str, str] | None = None,
        weight: Mapping[str, str] | None = None,
    ) -> Data:
        """Buys a label for the order, or for these lines (TTS §5.5.7): {package_id, shipping_service_info, ...}."""
        rest = {"shipping_service_id": shipping_service_id, "dimension": dimension, "weight": weight}
        common = {"order_id": order_id} | {k: v for k, v in rest.items() if v}

        def body(version: str) -> Data:
            if version < "202512":
                return common | ({"order_line_item_ids": list(line_ids)} if line_ids else {})
            if not line_ids:
                return common | {"ship_type": "1"}
            return common | {"ship_type": "2", "order_line_item": [{"order_line_id": line} for line in line_ids]}

        return self._call("create_package", lambda data: data, body=body)

    def handover_time_slots(self, package_id: str) -> Data:
        """{can_pickup, can_drop_off, can_van_collection, drop_off_point_url, pickup_slots: [{start_time, end_time, avaliable}]}."""
        return self._call("handover_time_slots", lambda data: data, path={"package_id": package_id})

    def shipping_document(
        self,
        package_id: str,
        *,
        document_type: str = "SHIPPING_LABEL",
        document_size: str | None = None,
        document_format: str | None = None,
    ) -> ShippingDocument:
        """TTS §5.5.8: platform shipping only, after shipping was arranged."""
        query = {"document_type": document_type, "document_size": document_size, "document_format": document_format}
        return self._call(
            "shipping_document",
            lambda data: ShippingDocument(str(data["doc_url"]), data.get("tracking_number") or None),
            path={"package_id": package_id},
            query=query,
        )

    def order_tracking(self, order_id: str) -> list[TrackingEvent]:
        """TTS §5.5.9, both versions in one shape, in the order TikTok gives."""
        return self._call("order_tracking", _tracking, path={"order_id": order_id})

    def split_attributes(self, order_ids: Sequence[str]) -> list[Data]:
        """TTS §5.5.10: {order_id, can_split, reason, must_split, must_split_reasons}."""
        return self._rows("split_attributes", "split_attributes", query={"order_ids": ",".join(order_ids)})

    def split_order(self, order_id: str, groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Each group of lines becomes a package (TTS §5.5.10). ``groups``: own label -> line ids; the answer: own label -> package id.

        Errors: `Conflict` tts.already_shipped, `Rejected` tts.on_hold, tts.package_status, tts.parameter; `Uncertain` when the answer is lost (read the
        order: its lines name their packages).
        """
        body = {"splittable_groups": [{"id": label, "order_line_item_ids": list(line_ids)} for label, line_ids in groups.items()]}

        def read(data: Data) -> dict[str, str]:
            return {str(one["splittable_group_id"]): str(one["id"]) for one in data.get("packages") or []}

        return self._call("split_order", read, path={"order_id": order_id}, body=body)

    def combinable_packages(self, *, page_size: int = 50, page_token: str | None = None) -> Page:
        """Groups of orders that may leave in one package (TTS §5.5.10): {id, order_ids}."""
        return self._page("combinable_packages", "combinable_packages", query={"page_size": str(page_size), "page_token": page_token})

    def combine_packages(self, groups: Mapping[str, Sequence[str]]) -> BatchResult:
        """One package of each group (TTS §5.5.10). ``groups``: id of the combinable group -> order ids. Errors by that id; ``data["packages"]``: {id, order_ids}.

        `Uncertain` when the answer is lost (read the orders: their lines name their packages).
        """
        body = {"combinable_packages": [{"id": group_id, "order_ids": list(order_ids)} for group_id, order_ids in groups.items()]}
        return self._call("combine_packages", lambda data: read_batch(data, "id"), body=body)

    def uncombine_package(self, package_id: str, order_ids: Sequence[str]) -> list[Data]:
        """These orders leave the combined package, each into one of its own (TTS §5.5.10): {id, order_ids} of every package there is then.

        Errors: `NotFound` tts.package_not_found, `Rejected` tts.package_status when it is not combined or its shipment is arranged.
        """
        return self._call(
            "uncombine_package", lambda data: list(data.get("packages") or []), path={"package_id": package_id}, body={"order_ids": list(order_ids)}
        )

    def report_delivery(self, packages: Sequence[Mapping[str, str]]) -> BatchResult:
        """What became of packages of the seller's own fleet (TTS §5.5.10, SEA): {id, delivery_type, fail_delivery_reason, file_type, file_url}; errors by
        package id."""
        return self._call("report_delivery", lambda data: read_batch(data, "package_id"), body={"packages": [dict(one) for one in packages]})


def _shipping_info(tracking_number: str, shipping_provider_id: str) -> Data:
    return {"tracking_number": tracking_number, "shipping_provider_id": shipping_provider_id}


def _tracking(data: Data) -> list[TrackingEvent]:
    events = [
        TrackingEvent(
            _millis(track.get("update_time_millis")),
            str(track.get("description") or ""),
            track.get("tracking_no") or parcel.get("newest_tracking_no") or None,
            parcel.get("carrier_name") or None,
            track.get("action_code"),
        )
        for parcel in data.get("logistics_details") or []
        for track in parcel.get("track_list") or []
    ]
    older = data.get("tracking") or []
    return events + [TrackingEvent(_millis(t.get("update_time_millis")), str(t.get("description") or "")) for t in older]


def _millis(value: int | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(int(value) / 1000, UTC)

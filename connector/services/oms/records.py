"""What a feed says of an order, as JSON Lines and as CSV (A251). The same order always gives the same bytes.

Money is a decimal string, instants are ISO 8601 in UTC, TikTok's statuses, ids and amounts stand as TikTok wrote them. JSON has its keys in order;
CSV has one row for each line item, which is one unit (TTS §0 point 4), and repeats the order's facts.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

_CENT = Decimal("0.01")
_ADDRESS = (
    "name", "first_name", "last_name", "phone_number", "full_address", "address_line1", "address_line2", "address_line3", "address_line4",
    "address_detail", "post_town", "postal_code", "region_code",
)  # fmt: skip

CSV_COLUMNS = (
    "order_number", "account", "status", "state", "store_order_number", "placed_at", "paid_at", "ship_by", "cancel_by", "currency", "total",
    "sub_total", "shipping_fee", "tax", "buyer_name", "buyer_email", "buyer_phone", "address_line1", "address_line2", "address_line3",
    "address_line4", "city", "postal_code", "region", "buyer_message", "line_id", "sku", "sku_id", "product_name", "variant", "quantity",
    "sale_price", "original_price", "seller_discount", "platform_discount", "line_tax", "gift", "line_status", "package_id", "tracking_number",
    "carrier", "fulfillment_type", "delivery_option", "cancel_requested", "cancelled_at", "cancelled_by", "cancel_reason", "tag", "shipping_type", "address_masked",
)  # fmt: skip


def record(order: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], body: Mapping[str, Any], address: Mapping[str, Any] | None) -> dict[str, Any]:
    """One order. ``order``: columns of the order and ``account``; ``lines``: columns of its lines; ``body``: TikTok's payload; ``address``: the last one
    that was seen unmasked."""
    place = address or body.get("recipient_address") or {}
    payment = body.get("payment") or {}
    return {
        "number": order["number"],
        "account": order["account"],
        "status": order["remote_status"],
        "state": order["state"],
        "tag": order["tag"],
        "store_order": {"number": order["magento_number"], "state": order["magento_state"], "status": order["magento_status"]},
        "placed_at": _instant(order["placed_at"]),
        "paid_at": _instant(order["paid_at"]),
        "held_until": _instant(order["hold_until"]),
        "ship_by": _instant(order["ship_by_at"]),
        "cancel_by": _instant(order["cancel_by_at"]),
        "changed_at": _instant(order["remote_updated_at"]),
        "currency": order["currency"],
        "total": _money(order["total"]),
        "totals": {name: str(payment[name]) for name in payment if isinstance(payment[name], str | int)},
        "fulfillment": {
            "type": order["fulfillment_type"],
            "shipping_type": order["shipping_type"],
            "delivery_option": order["delivery_option_name"],
            "warehouse_id": order["warehouse_id"],
        },
        "buyer": {
            "id": order["buyer_id"],
            "name": str(place.get("name") or ""),
            "email": str(body.get("buyer_email") or ""),
            "phone": str(place.get("phone_number") or ""),
            "message": str(body.get("buyer_message") or ""),
        },
        "address": {name: str(place.get(name) or "") for name in _ADDRESS} | {"districts": _districts(place), "masked": order["address_masked"]},
        "lines": [_line(each) for each in lines],
        "packages": _packages(order, lines),
        "cancellation": {
            "requested": order["cancel_requested"],
            "cancelled_at": _instant(order["cancelled_at"]),
            "by": order["cancelled_by"],
            "reason": order["cancel_reason"],
        },
    }


def jsonl(records: Iterable[Mapping[str, Any]]) -> tuple[bytes, int]:
    """The bytes and how many rows they hold."""
    rows = [orjson.dumps(each, option=orjson.OPT_SORT_KEYS) + b"\n" for each in records]
    return b"".join(rows), len(rows)


def as_csv(records: Iterable[Mapping[str, Any]], *, heading: bool) -> tuple[bytes, int]:
    """The bytes and how many rows they hold; the heading does not count."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    if heading:
        writer.writerow(CSV_COLUMNS)
    rows = [row for each in records for row in _csv_rows(each)]
    writer.writerows(rows)
    return buffer.getvalue().encode(), len(rows)


def _csv_rows(one: Mapping[str, Any]) -> Iterable[list[Any]]:
    totals, buyer, place, fulfillment, cancellation = (one[name] for name in ("totals", "buyer", "address", "fulfillment", "cancellation"))
    carriers = {package["id"]: package["carrier"] for package in one["packages"]}
    city = place["post_town"] or (place["districts"][-1]["name"] if place["districts"] else "")
    for line in one["lines"] or [{}]:
        row = {
            "order_number": one["number"], "account": one["account"], "status": one["status"], "state": one["state"],
            "store_order_number": one["store_order"]["number"], "placed_at": one["placed_at"], "paid_at": one["paid_at"], "ship_by": one["ship_by"],
            "cancel_by": one["cancel_by"], "currency": one["currency"], "total": one["total"], "sub_total": totals.get("sub_total"),
            "shipping_fee": totals.get("shipping_fee"), "tax": totals.get("tax"), "buyer_name": buyer["name"], "buyer_email": buyer["email"],
            "buyer_phone": buyer["phone"], "address_line1": place["address_line1"], "address_line2": place["address_line2"],
            "address_line3": place["address_line3"], "address_line4": place["address_line4"], "city": city, "postal_code": place["postal_code"],
            "region": place["region_code"], "buyer_message": buyer["message"], "line_id": line.get("id"), "sku": line.get("sku"),
            "sku_id": line.get("sku_id"), "product_name": line.get("name"), "variant": line.get("variant"), "quantity": line.get("quantity"),
            "sale_price": line.get("sale_price"), "original_price": line.get("original_price"), "seller_discount": line.get("seller_discount"),
            "platform_discount": line.get("platform_discount"), "line_tax": line.get("tax"), "gift": line.get("gift"),
            "line_status": line.get("status"), "package_id": line.get("package_id"), "tracking_number": line.get("tracking_number"),
            "carrier": carriers.get(line.get("package_id") or "", ""), "fulfillment_type": fulfillment["type"],
            "delivery_option": fulfillment["delivery_option"], "cancel_requested": cancellation["requested"],
            "cancelled_at": cancellation["cancelled_at"], "cancelled_by": cancellation["by"], "cancel_reason": cancellation["reason"],
            "tag": one["tag"], "shipping_type": fulfillment["shipping_type"], "address_masked": place["masked"],
        }  # fmt: skip
        yield [_cell(row[name]) for name in CSV_COLUMNS]


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    money = ("sale_price", "original_price", "seller_discount", "platform_discount", "tax")
    return {
        "id": line["line_id"],
        "sku": line["seller_sku"],
        "sku_id": line["sku_id"],
        "product_id": line["product_id"],
        "name": line["name"],
        "variant": line["variant"],
        "quantity": 1,
        "gift": line["is_gift"],
        "status": line["remote_status"],
        "package_id": line["package_id"],
        "tracking_number": line["tracking_number"],
        "cancel_reason": line["cancel_reason"],
        "cancelled_by": line["cancelled_by"],
        **{name: _money(line[name]) for name in money},
    }


def _packages(order: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    packed: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        if line["package_id"]:
            packed.setdefault(line["package_id"], []).append(line)
    return [
        {
            "id": package,
            "tracking_number": next((line["tracking_number"] for line in inside if line["tracking_number"]), ""),
            "carrier": order["carrier_name"],
            "shipping_provider_id": next((line["shipping_provider_id"] for line in inside if line["shipping_provider_id"]), ""),
            "line_ids": [line["line_id"] for line in inside],
        }
        for package, inside in sorted(packed.items())
    ]


def _districts(place: Mapping[str, Any]) -> list[dict[str, str]]:
    found = [each for each in place.get("district_info") or () if isinstance(each, Mapping)]
    return [{"level": str(each.get("address_level_name") or ""), "name": str(each.get("address_name") or "")} for each in found]


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _money(amount: Decimal) -> str:
    return f"{amount.quantize(_CENT) if amount == amount.quantize(_CENT) else amount:f}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)

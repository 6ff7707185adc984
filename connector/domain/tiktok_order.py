"""What a TikTok order says, read once and kept as plain facts (TTS §5.4.5, §6.1).

``read_order`` turns a payload into an ``OrderSnapshot``: money is ``Decimal``, instants are aware UTC, statuses and ids are TikTok's own strings. A
payload that cannot be trusted raises ``BadOrder`` with the name of the field, so that one bad record is parked and its neighbours go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from connector.core.errors import DomainError

UNPAID, ON_HOLD = "UNPAID", "ON_HOLD"
AWAITING_SHIPMENT, PARTIALLY_SHIPPING, AWAITING_COLLECTION = "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION"
IN_TRANSIT, DELIVERED, COMPLETED, CANCELLED = "IN_TRANSIT", "DELIVERED", "COMPLETED", "CANCELLED"

#: The ladder in order; CANCELLED is a branch of its own and stands on no rung. PARTIALLY_SHIPPING has passed Awaiting Shipment and not yet
#: reached Awaiting Collection.
LADDER = (UNPAID, ON_HOLD, AWAITING_SHIPMENT, PARTIALLY_SHIPPING, AWAITING_COLLECTION, IN_TRANSIT, DELIVERED, COMPLETED)
STATUSES = (*LADDER, CANCELLED)
_RANK = {status: rank for rank, status in enumerate(LADDER)}

LABELS = {
    UNPAID: "Unpaid",
    ON_HOLD: "On Hold",
    AWAITING_SHIPMENT: "Awaiting Shipment",
    PARTIALLY_SHIPPING: "Partially Shipping",
    AWAITING_COLLECTION: "Awaiting Collection",
    IN_TRANSIT: "In Transit",
    DELIVERED: "Delivered",
    COMPLETED: "Completed",
    CANCELLED: "Cancelled",
}

#: Orders rest about one hour after payment before anybody may act on them (TTS §6.1, A245).
HOLD = timedelta(hours=1)
BY_TIKTOK = "FULFILLMENT_BY_TIKTOK"

_LARGEST = Decimal(10) ** 13


class BadOrder(DomainError):
    """A payload that cannot be stored as an order; ``field`` says where (``line_items[2].sale_price``)."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(
            "order.bad_payload",
            f"TikTok sent an order that cannot be read: {field} {problem}.",
            "Open the record to see what TikTok sent; import the order again by its id once it is right in Seller Center.",
            field=field,
        )


def is_known(status: str) -> bool:
    """Whether the status is one that TikTok documents. Others are kept as they came and flagged."""
    return status in LABELS


def label(status: str) -> str:
    """What a person reads: our label, or an unknown status as it came (product rule 7)."""
    return LABELS.get(status, status)


def rank(status: str) -> int | None:
    """Rung on the ladder; None for CANCELLED and for statuses that TikTok does not document."""
    return _RANK.get(status)


def reached(status: str, wanted: str) -> bool:
    """Whether an order in ``status`` has reached or passed ``wanted``; Cancelled reaches only Cancelled."""
    if status == CANCELLED or wanted == CANCELLED:
        return status == wanted
    here, there = rank(status), rank(wanted)
    return here is not None and there is not None and here >= there


def is_shipped(status: str) -> bool:
    """Whether the parcel is arranged or gone, as far as the order's status tells (TTS §6.4)."""
    return reached(status, AWAITING_COLLECTION)


def masked(text: str) -> bool:
    """TikTok hides buyer data by asterisks."""
    return "*" in text


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """One line item, which is one unit; field names are those of the order_line table."""

    line_id: str
    product_id: str
    sku_id: str
    seller_sku: str
    name: str
    variant: str
    image_url: str
    sale_price: Decimal
    original_price: Decimal
    seller_discount: Decimal
    platform_discount: Decimal
    tax: Decimal
    is_gift: bool
    remote_status: str
    package_id: str
    tracking_number: str
    shipping_provider_id: str
    cancel_reason: str
    cancelled_by: str


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """The header of an order, field names as in the order table, with its lines and the buyer's data beside it."""

    number: str
    remote_status: str
    remote_updated_at: datetime
    placed_at: datetime
    paid_at: datetime | None
    hold_until: datetime | None
    ship_by_at: datetime | None
    cancel_by_at: datetime | None
    cancelled_at: datetime | None
    currency: str
    total: Decimal
    fulfillment_type: str
    shipping_type: str
    delivery_option_id: str
    delivery_option_name: str
    warehouse_id: str
    buyer_id: str
    item_count: int
    has_address: bool
    address_masked: bool
    cancel_requested: bool
    cancel_reason: str
    cancelled_by: str
    tracking_number: str
    carrier_name: str
    # beside the header
    lines: tuple[LineSnapshot, ...]
    address: Mapping[str, Any] | None
    buyer_name: str
    buyer_email: str
    buyer_phone: str
    units: Mapping[str, int]  #: seller SKU -> units of lines that are not cancelled; a bundle counts as what is in it


def read_order(payload: Mapping[str, Any]) -> OrderSnapshot:
    """The facts of one order object as order search and order detail give it (TTS §5.4.5). Raises ``BadOrder``."""
    if not isinstance(payload, Mapping):
        raise BadOrder("order", f"is {type(payload).__name__}, not an object")
    status = _required(payload, "status", 60)
    order_type = _text(payload, "order_type")
    created = _required_time(payload, "create_time")
    paid = _time(payload, "paid_time")
    payment = payload.get("payment")
    if not isinstance(payment, Mapping):
        raise BadOrder("payment", "is missing")
    currency = _required(payment, "currency", 3, "payment.")
    if len(currency) != 3:
        raise BadOrder("payment.currency", f"is {currency!r}, not a currency code")
    lines, units = _lines(payload)
    address = payload.get("recipient_address") or None
    if address is not None and not isinstance(address, Mapping):
        raise BadOrder("recipient_address", "is not an object")
    name, phone = _text(address or {}, "name", 200), _text(address or {}, "phone_number", 60)
    return OrderSnapshot(
        number=_required(payload, "id", 40),
        remote_status=status,
        remote_updated_at=_time(payload, "update_time") or created,
        placed_at=created,
        paid_at=paid,
        hold_until=_hold_until(payload, status, order_type, paid or created),
        ship_by_at=_first_time(payload, "rts_sla_time", "shipping_due_time", "tts_sla_time"),
        cancel_by_at=_first_time(payload, *_CANCEL_CLOCKS.get(status, ("cancel_order_sla_time",))),
        cancelled_at=_time(payload, "cancel_time"),
        currency=currency,
        total=_money(payment, "total_amount", "payment."),
        fulfillment_type=_text(payload, "fulfillment_type", 40),
        shipping_type=_text(payload, "shipping_type", 40),
        delivery_option_id=_text(payload, "delivery_option_id", 64),
        delivery_option_name=_text(payload, "delivery_option_name", 200),
        warehouse_id=_text(payload, "warehouse_id", 64),
        buyer_id=_text(payload, "user_id", 64),
        item_count=len(lines),
        has_address=address is not None,
        address_masked=masked(name) or masked(phone) or masked(_text(address or {}, "address_line1", 400)),
        cancel_requested=payload.get("is_buyer_request_cancel") is True and status != CANCELLED,
        cancel_reason=_text(payload, "cancel_reason", 200),
        cancelled_by=_text(payload, "cancellation_initiator", 40),
        tracking_number=_text(payload, "tracking_number", 120),
        carrier_name=_text(payload, "shipping_provider", 120),
        lines=lines,
        address=address,
        buyer_name=name,
        buyer_email=_text(payload, "buyer_email", 254),
        buyer_phone=phone,
        units=units,
    )


#: Which of TikTok's clocks cancels an order of that status by itself (TTS §5.4.5, §6.2).
_CANCEL_CLOCKS = {
    AWAITING_SHIPMENT: ("cancel_order_sla_time", "shipping_due_time"),
    PARTIALLY_SHIPPING: ("cancel_order_sla_time", "shipping_due_time"),
    AWAITING_COLLECTION: ("collection_due_time", "cancel_order_sla_time"),
    IN_TRANSIT: ("delivery_due_time",),
    DELIVERED: (),
    COMPLETED: (),
    CANCELLED: (),
}


def buyer_words(name: str, email: str, phone: str) -> set[str]:
    """By which words a buyer is found: each word of the name, the whole e-mail address, the digits of the phone number; all lower case, nothing
    that TikTok masked. A search box asks for every word it was given, a number with its punctuation removed."""
    words = {word for word in name.lower().split() if not masked(word)}
    if email and not masked(email):
        words.add(email.lower())
    digits = "".join(filter(str.isdigit, phone))
    if len(digits) >= 5 and not masked(phone):
        words.add(digits)
    return words


def _hold_until(payload: Mapping[str, Any], status: str, order_type: str, paid: datetime) -> datetime | None:
    """When an order on hold is expected to leave it: one hour after payment, a pre-order at its release date (TTS §6.1)."""
    if status != ON_HOLD:
        return None
    release = _time(payload, "release_date") if order_type == "PRE_ORDER" else None
    return release or paid + HOLD


def _lines(payload: Mapping[str, Any]) -> tuple[tuple[LineSnapshot, ...], dict[str, int]]:
    items = payload.get("line_items")
    if not isinstance(items, list) or not items:
        raise BadOrder("line_items", "is missing or empty")
    lines: list[LineSnapshot] = []
    units: Counter[str] = Counter()
    seen: set[str] = set()
    for number, item in enumerate(items):
        where = f"line_items[{number}]."
        if not isinstance(item, Mapping):
            raise BadOrder(where.rstrip("."), "is not an object")
        line = _line(item, where)
        if line.line_id in seen:
            raise BadOrder(f"{where}id", f"is {line.line_id} a second time")
        seen.add(line.line_id)
        lines.append(line)
        if line.remote_status != CANCELLED:
            _count_units(units, item, line.seller_sku, where)
    return tuple(lines), dict(units)


def _line(item: Mapping[str, Any], where: str) -> LineSnapshot:
    sale_price = _money(item, "sale_price", where)
    taxes = item.get("item_tax") or ()
    return LineSnapshot(
        line_id=_required(item, "id", 40, where),
        product_id=_text(item, "product_id", 40),
        sku_id=_text(item, "sku_id", 40),
        seller_sku=_bounded(item, "seller_sku", 120, where),
        name=_text(item, "product_name", 500),
        variant=_text(item, "sku_name", 300),
        image_url=_text(item, "sku_image", 500),
        sale_price=sale_price,
        original_price=_money(item, "original_price", where, sale_price),
        seller_discount=_money(item, "seller_discount", where, Decimal(0)),
        platform_discount=_money(item, "platform_discount", where, Decimal(0)),
        tax=sum((_money(tax, "tax_amount", f"{where}item_tax.", Decimal(0)) for tax in taxes), Decimal(0)) if taxes else Decimal(0),
        is_gift=item.get("is_gift") is True,
        remote_status=_text(item, "display_status", 60),
        package_id=_text(item, "package_id", 40),
        tracking_number=_text(item, "tracking_number", 120),
        shipping_provider_id=_text(item, "shipping_provider_id", 64),
        cancel_reason=_text(item, "cancel_reason", 200),
        cancelled_by=_text(item, "cancel_user", 40),
    )


def _count_units(units: Counter[str], item: Mapping[str, Any], seller_sku: str, where: str) -> None:
    """A virtual bundle takes the stock of its parts (``combined_listing_skus``); anything else takes one of its own."""
    parts = item.get("combined_listing_skus") or ()
    for part in parts:
        sku, count = _bounded(part, "seller_sku", 120, f"{where}combined_listing_skus."), part.get("sku_count", 1)
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 1_000_000:
            raise BadOrder(f"{where}combined_listing_skus.sku_count", f"is {count!r}, not a quantity")
        if sku:
            units[sku] += count
    if not parts and seller_sku:
        units[seller_sku] += 1


def _text(source: Mapping[str, Any], field: str, longest: int = 200) -> str:
    """A text to show, cut to what its column holds; missing is empty. NUL is dropped: PostgreSQL cannot keep it."""
    value = source.get(field)
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    if "\0" in text:
        text = text.replace("\0", "")
    return text[:longest]


def _bounded(source: Mapping[str, Any], field: str, longest: int, where: str = "") -> str:
    """A text that means something: too long is refused, never cut."""
    text = _text(source, field, longest + 1)
    if len(text) > longest:
        raise BadOrder(where + field, f"is longer than {longest} characters")
    return text


def _required(source: Mapping[str, Any], field: str, longest: int, where: str = "") -> str:
    text = _bounded(source, field, longest, where)
    if not text:
        raise BadOrder(where + field, "is missing")
    return text


def _money(source: Mapping[str, Any], field: str, where: str, missing: Decimal | None = None) -> Decimal:
    value = source.get(field)
    if value is None or value == "":
        if missing is None:
            raise BadOrder(where + field, "is missing")
        return missing
    try:
        return _amount(value) if isinstance(value, str) else _whole(value)
    except (InvalidOperation, TypeError, ValueError):
        raise BadOrder(where + field, f"is {value!r}, not an exact amount with up to four decimals") from None


@lru_cache(maxsize=8192)
def _amount(text: str) -> Decimal:
    """The same few prices come again and again."""
    amount = Decimal(text)
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -4 or abs(amount) >= _LARGEST:
        raise ValueError(text)
    return amount


def _whole(value: Any) -> Decimal:
    """A number that JSON gave as an integer; a binary float is never money."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(value)
    return _amount(str(value))


def _time(source: Mapping[str, Any], field: str) -> datetime | None:
    """Unix seconds; 0, empty and missing mean "no such moment"."""
    value = source.get(field)
    if not value:
        return None
    try:
        return datetime.fromtimestamp(int(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise BadOrder(field, f"is {value!r}, not a time in Unix seconds") from None


def _required_time(source: Mapping[str, Any], field: str) -> datetime:
    moment = _time(source, field)
    if moment is None:
        raise BadOrder(field, "is missing")
    return moment


def _first_time(source: Mapping[str, Any], *fields: str) -> datetime | None:
    for field in fields:
        if moment := _time(source, field):
            return moment
    return None

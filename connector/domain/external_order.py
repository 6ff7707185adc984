"""A TikTok order as an external storefront takes it (S4; A243, A244), and what the storefront must be before a test order may enter it (A247-A249).

Pure rules. Amounts are in the order's currency and add up to the cent: unit price times quantity, less discount, plus tax, plus shipping and its
tax, is the total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from connector.domain.magento_address import RecipientAddress
from connector.domain.money import MoneyLine, OrderMoney, distribute, minor_unit

NEW, CANCELLED = "New", "CANCELLED"
SOCIAL_PAY = "SOCIAL_PAY"
CHANNEL = "TIKTOK_SHOP"
#: A264: the order was cancelled, but its parcel is on its way.
AFTER_SHIPPED = "cancel after shipped"
NOT_SHIPPED = "NOT_SHIPPED"
#: Environments in which test orders belong.
TEST_ENVIRONMENTS = ("development", "staging")


def create_body(number: str, money: OrderMoney, address: RecipientAddress, *, email: str, placed_at: datetime) -> dict[str, Any]:
    """The body of CreateExternalOrder: born New, paid by SOCIAL_PAY, nothing captured, nobody notified."""
    items = [item for line in money.lines for item in _items(line, minor_unit(money.currency))]
    return {
        "externalOrderId": number,
        "externalChannel": CHANNEL,
        "c_externalOrderStatus": NEW,
        "currency": money.currency,
        "payment": {"method": SOCIAL_PAY, "amount": _text(money.grand_total), "currency": money.currency, "captured": False},
        "customer": {"firstName": address.firstname, "lastName": address.lastname, "email": email, "phone": address.telephone},
        "shippingAddress": address_body(address),
        "items": items,
        "shipping": _text(money.shipping),
        "tax": _text(money.tax),
        "total": _text(money.grand_total),
        "placedAt": placed_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "notify": False,
    }


def address_body(address: RecipientAddress) -> dict[str, Any]:
    """The storefront's address: the first street line, all others in one, and the region's code where there is one (S4)."""
    street = [*address.street, ""]
    return {
        "firstName": address.firstname,
        "lastName": address.lastname,
        "address1": street[0],
        "address2": ", ".join(line for line in street[1:] if line),
        "city": address.city,
        "stateCode": address.region_code or address.region,
        "postalCode": address.postcode,
        "countryCode": address.country_id,
        "phone": address.telephone,
    }


def _items(line: MoneyLine, step: Decimal) -> list[dict[str, Any]]:
    """One item a line; one a unit where the line's price does not divide to the smallest coin. Discount and tax are those of the whole item."""
    if line.row_total % (step * line.qty) == 0:
        return [_item(line, line.line_ids, line.qty, (line.row_total / line.qty).quantize(step), line.discount, line.tax)]
    even = [Decimal(1)] * line.qty
    rows, discounts, taxes = (distribute(amount, even, step) for amount in (line.row_total, line.discount, line.tax))
    return [_item(line, (line_id,), 1, *amounts) for line_id, *amounts in zip(line.line_ids, rows, discounts, taxes, strict=True)]


def _item(line: MoneyLine, line_ids: Sequence[str], quantity: int, price: Decimal, discount: Decimal, tax: Decimal) -> dict[str, Any]:
    return {
        "externalLineIds": list(line_ids), "sku": line.sku, "name": line.name, "quantity": quantity, "unitPrice": _text(price), "tax": _text(tax),
        "discount": _text(discount),
    }  # fmt: skip


def _text(amount: Decimal) -> str:
    return format(amount, "f")


def shipped(order: Mapping[str, Any]) -> bool:
    """Whether anything of the store's order has left."""
    return str(order.get("shippingStatus") or NOT_SHIPPED) != NOT_SHIPPED or bool(order.get("shipments"))


def cancelled(order: Mapping[str, Any]) -> bool:
    """Whether the store's order has the final external status CANCELLED (A264)."""
    return str(order.get("c_externalOrderStatus") or "") == CANCELLED


def unsafe_for_tests(environment: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Why a Sandbox account may not send orders to this storefront, and what to do; None when it may (A247-A250)."""
    if not environment:
        return "The external storefront has not told its environment.", "Open the account and choose Test connection."
    name = str(environment.get("environment") or "")
    if name not in TEST_ENVIRONMENTS:
        return (
            f"The external storefront says that its environment is {name or 'unknown'}; a Sandbox account sends orders to development and staging only.",
            "Connect the store's development or staging instance, or use a Production account.",
        )
    if environment.get("storefrontProtection") is not True:
        return (
            "Storefront protection is off: strangers can open the test storefront.",
            "Switch storefront protection on in the store, then choose Test connection.",
        )
    if environment.get("paymentCapture") is not False:
        return (
            "Payment capture is on: test orders could move real money.",
            "Switch payment capture off in the store, then choose Test connection.",
        )
    if environment.get("confirmationEmails") is not False:
        return (
            "Order confirmation e-mails are on: buyers would get mail about test orders.",
            "Switch order confirmation e-mails off in the store, then choose Test connection.",
        )
    return None

"""TikTok's own checks of a shop before it may list, as last read, and what to do about the failed ones (A177; TTS §5.3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from connector.core.db import db
from connector.models.account import ShopReference
from connector.services.products import prerequisites

#: (what a check is about, what to do), by TikTok's word for it, its spelling included.
_KNOWN = {
    "SHOP_STATUS": ("Shop status", "Finish the shop's set-up in Seller Center."),
    "SHOP_TAX": ("Tax information", "Complete the shop's tax information in Seller Center."),
    "PICKUP_WAREHOUSE": ("Pickup warehouse", "Add a pickup warehouse in Seller Center, then fetch onboarding data again."),
    "RETURN_WAREHOUSE": ("Return warehouse", "Add a return warehouse in Seller Center, then fetch onboarding data again."),
    "DELIVERY_OPTION": ("Delivery option", "Switch on a delivery option in Seller Center, then fetch onboarding data again."),
    "SHIPPING_TEMPLATE": ("Shipping template", "Add a shipping template in Seller Center."),
    "PRODUCT_QUANTITY_LIMIT": ("Limit of new listings", "Wait until TikTok renews the limit; uploads that wait for it go on by themselves."),
    "EXTENDED_PRODUCER_RESPONSIBILITY": ("Extended producer responsibility", "Enter the registration numbers in Seller Center."),
    "BANK_ACCOUNT": ("Bank account", "Add a bank account in Seller Center."),
    "CONTACT_INFO": ("Contact information", "Complete the shop's contact information in Seller Center."),
}
_OTHER = "Settle it in Seller Center."


@dataclass(frozen=True, slots=True)
class ShopCheck:
    """One check. ``item`` and ``reasons``: TikTok's words, verbatim; ``stops``: nothing new can be listed while it has failed."""

    item: str
    title: str
    failed: bool
    stops: bool
    reasons: tuple[str, ...]
    remedy: str
    read_at: datetime


def of(account_id: int) -> list[ShopCheck]:
    """The checks of a shop, those that stop listing first, then the other failed ones; [] when they were never read."""
    rows = db.session.scalars(select(ShopReference).where(ShopReference.account_id == account_id, ShopReference.kind == prerequisites.KIND))
    checks = [_check(row) for row in rows]
    return sorted(checks, key=lambda check: (not (check.failed and check.stops), not check.failed, check.title))


def _check(row: ShopReference) -> ShopCheck:
    title, remedy = _KNOWN.get(row.remote_id.upper(), (row.remote_id, _OTHER))
    reasons = tuple(row.data.get("fail_reasons") or ())
    return ShopCheck(row.remote_id, title, bool(row.data.get("is_failed")), row.remote_id in prerequisites.STOPPING, reasons, remedy, row.fetched_at)

"""The three practice shops and the rules of their markets (TTS §5.5.1, §6.2, §6.3)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Market:
    """Rules of one region. Days are business days where `business_days` says so; `marks_shipped`: lines are marked as shipped,
    no package exists before (US, UK); otherwise a package id exists from the end of the hold and is what ships (SEA)."""

    region: str
    country: str
    currency: str
    shipping_fee: Decimal
    arrange_days: int
    cancel_days: int
    business_days: bool
    request_hours: int
    marks_shipped: bool
    cancels_lines: bool
    ship_rejects_request: bool
    reason_suffix: str
    carriers: tuple[str, ...]
    seller_option: str
    platform_option: str


MARKETS = {
    "GB": Market(
        *("GB", "United Kingdom", "GBP", Decimal("3.49"), 2, 7, True, 48, True, True, False, "_uk"),
        ("Royal Mail", "Evri", "DPD UK", "Yodel", "DHL Parcel UK"),
        *("Seller standard shipping", "Standard shipping"),
    ),
    "US": Market(
        *("US", "United States", "USD", Decimal("4.99"), 2, 5, True, 24, True, True, True, ""),
        ("USPS", "UPS", "FedEx", "DHL eCommerce", "OnTrac"),
        *("Shipped by seller", "TikTok Shipping Standard"),
    ),
    "SG": Market(
        *("SG", "Singapore", "SGD", Decimal("1.99"), 2, 5, True, 48, False, False, False, ""),
        ("Ninja Van", "J&T Express", "SingPost", "Qxpress"),
        *("Seller own fleet", "Standard delivery"),
    ),
}

SENDERS = {
    "GB": ("Unit 4, Harbour Industrial Estate", "Bristol", "England", "BS1 4ST", "+44"),
    "US": ("4200 Warehouse Road", "Columbus", "Ohio", "43004", "+1"),
    "SG": ("12 Tuas Avenue 9", "Singapore", "Singapore", "639150", "+65"),
}


def stable_id(prefix: str, name: str, digits: int = 19) -> str:
    """An id of 18-19 digits that depends on nothing but the name."""
    size = digits - len(prefix)
    return prefix + str(int(hashlib.sha1(name.encode()).hexdigest(), 16) % 10**size).zfill(size)


def add_days(instant: int, days: int, business: bool) -> int:
    """`instant` plus days in Unix seconds; Saturdays and Sundays (UTC) do not count when `business`."""
    moment = datetime.fromtimestamp(instant, UTC)
    while days:
        moment += timedelta(days=1)
        if not business or moment.weekday() < 5:
            days -= 1
    return int(moment.timestamp())


def _warehouse(region: str, name: str, kind: str, status: str, default: bool) -> dict[str, Any]:
    street, city, state, postcode, prefix = SENDERS[region]
    market = MARKETS[region]
    return {
        "id": stable_id("7068", f"warehouse:{region}:{name}"),
        "name": name,
        "entity_id": stable_id("7069", f"entity:{region}:{street}"),
        "type": kind,
        "sub_type": "DOMESTIC_WAREHOUSE",
        "effect_status": status,
        "is_default": default,
        "address": {
            "region": market.country,
            "region_code": region,
            "state": state,
            "city": city,
            "distict": city,  # the API's own spelling
            "town": city,
            "postal_code": postcode,
            "address_line1": street,
            "full_address": f"{street}, {city}, {postcode}, {market.country}",
            "contact_person": "Practice Warehouse",
            "phone_number": f"({prefix})77*****00",
            "geolocation": {"latitude": "0", "longitude": "0"},
        },
    }


def _option(region: str, name: str, kind: str) -> dict[str, Any]:
    return {
        "id": stable_id("7091", f"option:{region}:{name}"),
        "name": name,
        "description": f"{name} within {MARKETS[region].country}",
        "type": kind,
        "platform": ["TIKTOK_SHOP"],
        "dimension_limit": {"max_length": 120, "max_width": 60, "max_height": 60, "unit": "CM"},
        "weight_limit": {"min_weight": 1, "max_weight": 30000, "unit": "GRAM"},
    }


def shop_document(region: str) -> dict[str, Any]:
    """Everything that belongs to the shop of a region and does not move: warehouses, delivery options, carriers."""
    market = MARKETS[region]
    shop_id = stable_id("7490", f"shop:{region}")
    opaque = hashlib.sha1(f"cipher:{region}".encode()).hexdigest()[:32]
    return {
        "id": shop_id,
        "name": f"Practice Shop {region}",
        "region": region,
        "code": f"{region}LC{shop_id[-8:]}",
        # ciphers are opaque and may hold what a URL must escape (TTS §1.6)
        "cipher": f"GCP_{opaque}+/{region}==",
        "seller_type": "LOCAL",
        "currency": market.currency,
        "warehouses": [
            _warehouse(region, f"{market.country} main warehouse", "SALES_WAREHOUSE", "ENABLED", True),
            _warehouse(region, f"{market.country} second warehouse", "SALES_WAREHOUSE", "ENABLED", False),
            _warehouse(region, f"{market.country} holiday warehouse", "SALES_WAREHOUSE", "RESTRICTED", False),
            _warehouse(region, f"{market.country} returns", "RETURN_WAREHOUSE", "ENABLED", True),
        ],
        "delivery_options": [
            _option(region, market.platform_option, "STANDARD"),
            _option(region, f"{market.country} express", "EXPRESS"),
            _option(region, market.seller_option, "SEND_BY_SELLER"),
        ],
        "shipping_providers": [{"id": stable_id("6617", f"carrier:{region}:{name}"), "name": name} for name in market.carriers],
    }


def provider_name(shop: dict[str, Any], provider_id: str) -> str | None:
    return next((each["name"] for each in shop["shipping_providers"] if each["id"] == provider_id), None)

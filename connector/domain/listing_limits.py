"""What differs from market to market in a listing (TTS §5.3.8), and the limits that hold everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

IMAGES, IMAGE_SIDES = 9, (300, 4000)
DESCRIPTION_CHARACTERS, DESCRIPTION_IMAGES, DESCRIPTION_IMAGE_SIDE = 10_000, 30, 4000
EXTERNAL_ID, ATTRIBUTE_VALUE = 999, 2000
AXES, AXIS_NAME, AXIS_VALUE = 3, 20, 50
UNITS = 99_999
CERTIFICATES = 10

_EU = frozenset((
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
    "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
))  # fmt: skip
_SHORT_TITLES = frozenset(("US", "GB", "IE", "DE", "FR", "IT", "ES", "JP"))
#: Newest text, one source: 6-50 letters, digits, - and _ (TTS §5.3.8, skus[].seller_sku).
_STRICT_SELLER_SKU = frozenset(("DE", "ES", "FR", "IT", "PL", "NL", "BE", "CZ", "AT", "GR", "PT", "HU"))
_SEA = frozenset(("ID", "MY", "PH", "SG", "TH", "VN"))
#: US from the contract; the others from the market table it refers to, a setting rather than a constant.
_PRICES = {"US": ("0.01", 7600), "GB": ("0.01", 5600), "SG": ("0.01", 10_000)}
_NO_DIMENSIONS = frozenset(("ID", "TH", "VN"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one market. ``weight_units``: unit -> decimals. ``prices``: None where no range is known. ``tree``: the category tree it asks for, ""
    when the older one is its default and both are taken (TTS §5.3.2)."""

    region: str
    title: tuple[int, int]
    skus: int
    weight_units: dict[str, int]
    dimensions_required: bool
    strict_seller_sku: bool
    prices: tuple[Decimal, Decimal] | None
    tree: str

    @property
    def imperial(self) -> bool:
        return "POUND" in self.weight_units


def limits(region: str) -> Limits:
    """The limits of a market by its two letters; UK is GB. A market we do not know has the strictest common ones."""
    region = {"UK": "GB"}.get(region.upper(), region.upper())
    weights = {"KILOGRAM": 3}
    if region in ("BR", "JP", "MX"):
        weights["GRAM"] = 0
    if region == "US":
        weights["POUND"] = 2
    return Limits(
        region=region,
        title=(1, 255) if region in _SHORT_TITLES else (1, 300) if region in ("BR", "MX") else (25, 255),
        skus=300 if region in _EU or region in ("BR", "GB", "JP", "MX", "US") else 100,
        weight_units=weights,
        dimensions_required=region not in _NO_DIMENSIONS,
        strict_seller_sku=region in _STRICT_SELLER_SKU,
        prices=(Decimal(_PRICES[region][0]), Decimal(_PRICES[region][1])) if region in _PRICES else None,
        tree="v2" if region == "US" or region in _SEA else "",
    )

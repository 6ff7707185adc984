"""The demonstration catalogue that the practice marketplace and the practice store share.

Both servers seed these products; a TikTok `seller_sku` and a Magento `sku` are the same string. Forty fixed products cover what an
order desk meets (a SKU with a slash, a unicode name, a virtual, a disabled, a sold-out and a one-left product, two configurables with
their children); `bulk_product` makes as many more as a load test wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

MANY = 100_000  # practically unlimited: load runs must not sell a demo product out by accident


@dataclass(frozen=True)
class DemoProduct:
    """One product. `price` is USD, `weight_kg` kilograms, `qty` units on hand; `type_id` and `status` are Magento's own values."""

    sku: str
    name: str
    price: Decimal
    weight_kg: Decimal
    qty: int
    colour: str = ""
    size: str = ""
    parent_sku: str | None = None
    attrs: Mapping[str, str] = field(default_factory=dict)
    type_id: str = "simple"
    status: int = 1

    @property
    def sellable(self) -> bool:
        """True when an order line of this SKU can become a plain Magento line: simple or virtual, enabled and in stock."""
        return self.type_id in ("simple", "virtual") and self.status == 1 and self.qty > 0


def _variants(prefix: str, name: str, price: str, weight: str, colours: tuple[str, ...], sizes: tuple[str, ...]):
    """A configurable product followed by its simple children, `<PREFIX>-<COL>-<SIZE>`."""
    yield DemoProduct(prefix, name, Decimal(price), Decimal(weight), 0, type_id="configurable", attrs={"material": "cotton"})
    for colour in colours:
        for size in sizes:
            sku = f"{prefix}-{colour[:3].upper()}-{size}"
            label = f"{name} {colour.lower()} {size}"
            yield DemoProduct(sku, label, Decimal(price), Decimal(weight), MANY, colour, size, prefix, attrs={"material": "cotton"})


def _plain(sku: str, name: str, price: str, weight: str, qty: int = MANY, **more) -> DemoProduct:
    return DemoProduct(sku, name, Decimal(price), Decimal(weight), qty, **more)


DEMO_PRODUCTS: tuple[DemoProduct, ...] = (
    *_variants("TEE", "Plain tee", "19.50", "0.2", ("Black", "White", "Red"), ("S", "M", "L", "XL")),
    *_variants("HOOD", "Hooded sweatshirt", "49.00", "0.6", ("Black", "Grey"), ("S", "M", "L")),
    _plain("MUG-01", "Stoneware mug", "12.50", "0.35"),
    _plain("MUG/02 slash", "Travel mug with lid", "17.90", "0.4"),
    _plain("LAMP-01", "Lämpchen «Ängström» 灯", "45.00", "1.2"),
    _plain("SALE-01", "Canvas weekend bag", "79.99", "1.1"),
    _plain("VIRT-01", "Gift message card (virtual)", "3.00", "0", type_id="virtual"),
    _plain("OOS-01", "Sold-out scarf", "24.00", "0.2", qty=0),
    _plain("ONE-LEFT", "Last ceramic bowl", "31.00", "0.8", qty=1),
    _plain("DISABLED-01", "Discontinued poster", "9.00", "0.1", status=2),
    _plain("SOCK-3PK", "Cotton socks, three pairs", "11.00", "0.15"),
    _plain("CAP-01", "Baseball cap", "16.00", "0.12"),
    _plain("BELT-01", "Leather belt", "28.00", "0.3"),
    _plain("BAG-01", "Shopping bag", "7.50", "0.1"),
    _plain("PEN-01", "Fountain pen", "22.40", "0.05"),
    _plain("NOTE-A5", "Notebook A5, dotted", "8.90", "0.25"),
    _plain("CANDLE-01", "Soy candle", "14.30", "0.3"),
    _plain("SOAP-01", "Olive soap", "4.25", "0.12"),
    _plain("PLANT-01", "Desk plant", "13.75", "0.9"),
    _plain("CABLE-USB", "USB-C cable 2 m", "9.99", "0.06"),
    _plain("CHARGER-01", "Wall charger 30 W", "25.00", "0.15"),
    _plain("STAND-01", "Phone stand", "18.60", "0.35"),
)

BY_SKU: Mapping[str, DemoProduct] = {product.sku: product for product in DEMO_PRODUCTS}


def bulk_product(n: int) -> DemoProduct:
    """The n-th product of a load test, `BULK-00000n`; the same n always gives the same product."""
    price = Decimal(500 + (n * 137) % 4500) / 100
    weight = Decimal(100 + (n * 31) % 900) / 1000
    return DemoProduct(f"BULK-{n:06d}", f"Bulk article {n}", price, weight, MANY)

"""What is known of an order before it is created in Magento: the order, its account and policy, and the products its lines were matched to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from connector.domain.money import Parity
from connector.domain.order_policy import OrderPolicy

#: Product types whose SKU a cart takes as it is (MAG §4.4.4 step 2); the other ones need options or have no stock of their own.
PLAIN_TYPES = frozenset({"simple", "virtual", "downloadable"})


@dataclass(frozen=True, slots=True)
class Product:
    """What Magento knows of a SKU. ``salable`` is the salable quantity, None without limit (stock not managed)."""

    sku: str
    product_id: str
    name: str = ""
    type_id: str = "simple"
    enabled: bool = True
    salable: Decimal | None = None
    is_salable: bool = True
    weight: Decimal = Decimal(0)
    price: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Units of one seller SKU in the order, and the Magento product they were matched to."""

    seller_sku: str
    quantity: int
    product: Product | None
    matched_by: str = ""  #: sku, alternate attribute, remembered mapping
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the checks look at; collected once, so that the verdict can be shown with what it saw."""

    number: str
    remote_status: str
    now: datetime  #: TikTok's clock
    by_hand: bool = False
    magento_number: str | None = None
    account: str = ""
    account_active: bool = True
    connected: bool = True
    auth_state: str = "connected"
    auth_message: str = ""
    has_store: bool = True
    policy: OrderPolicy | None
    policy_title: str = ""
    policy_problems: Sequence[Mapping[str, str]] = ()
    hold_until: datetime | None = None
    cancel_requested: bool = False
    wanted: Sequence[Wanted] = ()
    has_address: bool = True
    address_masked: bool = False
    address_missing: Sequence[str] = ()
    buyer_id: str = ""
    parity: Parity
    currency: str
    base_currency: str = ""
    rate: Decimal | None = Decimal(1)  #: base to order currency; None: the store has no rate
    fulfilled_by_tiktok: bool = False  #: sent from TikTok's warehouse: takes no stock of the merchant
    external: bool = False  #: the order goes to an external storefront instead of Magento (A243)
    sandbox: bool = False
    environment: Mapping[str, Any] | None = None  #: what the external storefront says of itself (A247-A249); None: it has not been asked

    @property
    def store(self) -> str:
        return "the external storefront" if self.external else "Magento"

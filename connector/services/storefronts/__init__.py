"""Where the orders of an account go: Magento, or an external storefront in the shape of S4 (product.md 8).

Everything that is done to an order in its store stands behind ``Storefront``; ``for_account`` gives the account's own. The functions of
``services.orders`` (``create_one``, ``follow_one``, ``cancel_in_magento``, ``collect``) may be called for any account: they ask ``external_of`` first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from sqlalchemy.orm import Session

from connector.core.db import db
from connector.core.errors import DomainError
from connector.models.account import Account

if TYPE_CHECKING:
    from connector.services.orders.create import Result
    from connector.services.orders.follow import Followed
    from connector.services.orders.shipments import Collected
    from connector.services.orders.undo import Undone
    from connector.services.storefronts.external import External

#: Values of ``Account.storefront``.
MAGENTO, EXTERNAL = "magento", "external"
LABELS = {MAGENTO: "Magento", EXTERNAL: "External storefront"}


@dataclass(frozen=True, slots=True)
class StoreOrder:
    """The store's order as it is now, in the store's own words; ``shipped``: something of it has left."""

    number: str
    state: str
    status: str
    shipped: bool


class NotPossible(DomainError):
    """The store has nothing like it; the message says what to do there instead."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__("storefront.not_possible", message, remedy)


class Storefront(Protocol):
    """What is done to orders in their store. Every method may be called again at any point; ``ApiError`` kinds are continued by calling again."""

    name: str  #: for people: "Magento", "External storefront"
    platform: str  #: TikTok's name of it in external order references (TTS §5.4.4)

    def create(self, order_id: int, *, by_hand: bool = False) -> Result:
        """Write the order there once. ``by_hand``: a person asked, so that what only automatic creation waits for is not asked."""

    def cancel(self, order_id: int, *, reason: str, after_shipped: bool = False) -> Undone:
        """Take the order back; what has left stays and becomes a recall. ``after_shipped``: it is known to have left."""

    def follow(self, order_id: int) -> Followed:
        """Carry over what TikTok changed since: a cancellation, an address, a status."""

    def read(self, order_id: int) -> StoreOrder | None:
        """The store's order as it is now; None when it is not there."""

    def refund(self, order_id: int, *, items: Mapping[str, Decimal], shipping_amount: Decimal, comment: str = "") -> str:
        """Refund these units by the store's line ids, and shipping in the order's currency; the refund's id. Raises ``NotPossible``."""

    def restock(self, order_id: int, quantities: Mapping[str, int]) -> str:
        """Put units of these SKUs on the shelf; a sentence about what was done. Raises ``NotPossible``."""

    def collect(self, account_id: int, *, guard: Callable[[Session], None] | None = None) -> Collected:
        """The parcels of the account's orders that are new in the store. ``guard``: called in each transaction before it commits."""

    def collect_order(self, order_id: int) -> Collected:
        """The same for one order."""


def for_account(account_id: int) -> Storefront:
    """The store that the account has chosen."""
    from connector.services.storefronts.magento import Magento

    return external_of(account_id) or Magento()


def external_of(account_id: int) -> External | None:
    """The account's external storefront; None when its orders go to Magento."""
    account = db.session.get(Account, account_id)
    if account is None or account.storefront != EXTERNAL:
        return None
    from connector.services.storefronts.external import External

    return External()

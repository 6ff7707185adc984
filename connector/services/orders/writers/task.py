"""What a writer is given, what it gives back, and the parts that both writers share: amounts as Magento's keys, and reading them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from connector.clients.errors import Uncertain
from connector.clients.magento import MagentoClient
from connector.core.errors import DomainError
from connector.domain.magento_address import RecipientAddress
from connector.domain.money import MoneyLine, OrderMoney, minor_unit
from connector.domain.order_facts import Product
from connector.domain.order_policy import OrderPolicy
from connector.services.orders.intent import Claim
from connector.services.orders.magento_store import MagentoStore

Row = dict[str, Any]
DISCOUNT_WORDS = "TikTok Shop discount"


@dataclass(frozen=True, slots=True)
class Customer:
    """The customer that a Magento order is attached to; a guest has no ``customer_id``."""

    email: str
    customer_id: int | None = None
    group_id: int = 0
    firstname: str = ""
    lastname: str = ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One order to write. ``money`` lays the amounts out, given Magento's tax percents by SKU (only ``taxes = magento`` looks at them)."""

    number: str
    store: MagentoStore
    claim: Claim
    policy: OrderPolicy
    money: Callable[[Mapping[str, Decimal]], OrderMoney]
    currency: str
    rate: Decimal  #: base to order currency
    products: Mapping[str, Product]  #: by SKU in lower case
    address: RecipientAddress
    customer: Customer
    buyer_id: str = ""
    shipping_title: str = ""
    placed_at: str = ""  #: ``YYYY-MM-DD HH:MM:SS`` UTC, when the buyer ordered
    existing: Row | None = None  #: the Magento order, when the look-up found one

    @property
    def client(self) -> MagentoClient:
        return self.store.client

    @property
    def virtual(self) -> bool:
        """Nothing to send: every product is virtual."""
        return all(product.type_id != "simple" for product in self.products.values())

    @property
    def shipping_description(self) -> str:
        return f"TikTok Shop - {self.shipping_title}" if self.shipping_title else "TikTok Shop"


@dataclass(frozen=True)
class Written:
    """The order as read back from Magento, verified; ``items`` maps a SKU in lower case to its order item ids."""

    order: Row
    money: OrderMoney
    items: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...] = field(default=())
    adopted: bool = False  #: it was there before us: linked, not touched

    @property
    def entity_id(self) -> str:
        return str(self.order["entity_id"])


# --- amounts in Magento's keys (MAG §4.4.6) ---------------------------------------------------------------------------------------------------


def header_amounts(money: OrderMoney, base: OrderMoney) -> Row:
    """Every money key of the header and its ``base_`` twin."""
    return _twins(_header(money), _header(base))


def line_amounts(line: MoneyLine, base: MoneyLine) -> Row:
    """Every money key of a line, computed and never echoed, with its ``base_`` twin."""
    return _twins(_line(line), _line(base)) | {"tax_percent": line.tax_percent, "discount_percent": 0}


def _header(money: OrderMoney) -> Row:
    return {
        "subtotal": money.subtotal,
        "subtotal_incl_tax": money.subtotal_incl_tax,
        "shipping_amount": money.shipping,
        "shipping_incl_tax": money.shipping + money.shipping_tax,
        "shipping_tax_amount": money.shipping_tax,
        "shipping_discount_amount": Decimal(0),
        "tax_amount": money.tax,
        "discount_amount": -money.discount,
        "discount_tax_compensation_amount": Decimal(0),
        "grand_total": money.grand_total,
        "total_due": money.grand_total,
    }


def _line(line: MoneyLine) -> Row:
    return {
        "price": line.price,
        "original_price": line.price,
        "price_incl_tax": line.price_incl_tax,
        "row_total": line.row_total,
        "row_total_incl_tax": line.row_total_incl_tax,
        "tax_amount": line.tax,
        "discount_amount": line.discount,
        "discount_tax_compensation_amount": Decimal(0),
    }


def _twins(own: Row, base: Row) -> Row:
    return own | {f"base_{key}": value for key, value in base.items()}


def currency_keys(task: Task) -> Row:
    """What makes the order one in TikTok's currency; nothing when that is the store's base currency anyway."""
    return {"order_currency_code": task.currency, "base_to_order_rate": task.rate, "store_to_order_rate": task.rate}


def customer_keys(customer: Customer) -> Row:
    """Attaching a customer after placing (MAG §4.4.4); carts of shoppers are never touched."""
    if customer.customer_id is None:
        return {}
    return {
        "customer_id": customer.customer_id, "customer_is_guest": 0, "customer_group_id": customer.group_id, "customer_email": customer.email,
        "customer_firstname": customer.firstname, "customer_lastname": customer.lastname,
    }  # fmt: skip


def base_step(task: Task) -> Decimal:
    """The smallest amount of the store's base currency."""
    return minor_unit(task.store.facts.base_currency)


def adopted(task: Task, money: OrderMoney) -> Written:
    """The order that somebody else has made for this TikTok order: it is linked and otherwise left alone."""
    assert task.existing is not None
    order = task.client.order(task.existing["entity_id"])
    wrong = differences(order, money, money.in_base(task.rate, base_step(task)), task.number)
    told = f" Its amounts are not TikTok's: {'; '.join(wrong[:2])}." if wrong else ""
    warning = f"Magento had order {order.get('increment_id')} for this TikTok order already; it was linked and not changed.{told}"
    return Written(order, money, items_by_sku(order), (warning,), adopted=True)


# --- reading back -----------------------------------------------------------------------------------------------------------------------------


def order_lines(order: Row) -> list[Row]:
    """The lines that can be invoiced and shipped: not the children of a configurable (MAG §4.5.1)."""
    return [item for item in order.get("items") or () if not item.get("parent_item_id")]


def differences(order: Row, money: OrderMoney, base: OrderMoney, number: str) -> list[str]:
    """What of a Magento order, as read, is not what TikTok charged; empty when all agrees to the cent."""
    wrong = []
    if str(order.get("ext_order_id") or "") != number:
        wrong.append(f"ext_order_id is {order.get('ext_order_id')!r} instead of {number!r}")
    for prefix, wanted in (("", money), ("base_", base)):
        for key, value in _header(wanted).items():
            if key in ("total_due", "shipping_discount_amount", "discount_tax_compensation_amount"):
                continue
            shown = amount(order.get(f"{prefix}{key}"))
            if shown != value:
                wrong.append(f"{prefix}{key} is {shown} instead of {value}")
    lines = {str(item["sku"]).casefold(): [] for item in order_lines(order)}  # type: dict[str, list[Row]]
    for item in order_lines(order):
        lines[str(item["sku"]).casefold()].append(item)
    for sku in {line.sku.casefold() for line in money.lines} | set(lines):
        ours = [line for line in money.lines if line.sku.casefold() == sku]
        theirs = lines.get(sku, [])
        facts = (
            ("units", sum((line.qty for line in ours), 0), sum((amount(item.get("qty_ordered")) for item in theirs), Decimal(0))),
            ("tax", sum((line.tax for line in ours), Decimal(0)), sum((amount(item.get("tax_amount")) for item in theirs), Decimal(0))),
            ("discount", sum((line.discount for line in ours), Decimal(0)), sum((amount(item.get("discount_amount")) for item in theirs), Decimal(0))),
            # a row is shown minus its discount
            ("row", sum((line.row_total - line.discount for line in ours), Decimal(0)), sum((amount(item.get("row_total")) for item in theirs), Decimal(0))),
        )
        wrong += [f"{name} of {sku} is {shown} instead of {value}" for name, value, shown in facts if shown != value]
    return wrong


def verified(task: Task, order: Row, money: OrderMoney) -> None:
    """Raise ``DomainError("money.readback")`` unless the order as read equals TikTok's amounts."""
    wrong = differences(order, money, money.in_base(task.rate, base_step(task)), task.number)
    if wrong:
        raise DomainError(
            "money.readback",
            f"Magento order {order.get('increment_id')} does not hold TikTok's amounts: {'; '.join(wrong[:3])}. It was not invoiced.",
            "Look at the order in Magento; an extension may recalculate totals. Then choose Create Sales Order again: the same Magento order is corrected.",
        )


def items_by_sku(order: Row) -> dict[str, tuple[str, ...]]:
    """SKU, case aside -> Magento's item ids in the order's own sequence; one SKU at several prices is several items."""
    found: dict[str, tuple[str, ...]] = {}
    for item in order_lines(order):
        key = str(item["sku"]).casefold()
        found[key] = (*found.get(key, ()), str(item["item_id"]))
    return found


def repeated(call: Callable[[], Any], *, tries: int = 3) -> Any:
    """A call that may be made again after a lost answer, because the same body gives the same result."""
    for attempt in range(1, tries + 1):
        try:
            return call()
        except Uncertain:
            if attempt == tries:
                raise
    raise AssertionError("unreachable")


def amount(value: object) -> Decimal:
    """A number of Magento's, missing ones as zero."""
    return Decimal(str(value)) if value not in (None, "") else Decimal(0)

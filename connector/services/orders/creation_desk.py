"""The facts of orders that want to be created in Magento, and the verdict of the gates on them.

One desk serves one run, or one preview: what it learns of the store is shared by all its orders (MAG §4.4: as few calls an order as possible).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from connector.clients import errors as api
from connector.core.db import db, end_reading
from connector.core.errors import DomainError, NotFoundError
from connector.domain import gates, money, tiktok_order
from connector.domain.checks import Check
from connector.domain.gates import Verdict
from connector.domain.magento_address import RecipientAddress, country_of, read_address
from connector.domain.money import Charges, OrderMoney, Parity, Unit
from connector.domain.order_facts import Facts, Product, Wanted
from connector.domain.order_policy import OrderPolicy
from connector.models.account import SANDBOX, Account, MagentoConnection
from connector.models.oms import ExternalStore
from connector.models.order import CREATED, Order, OrderLine, SkuMapping
from connector.models.policy import Policy
from connector.services import connections, policies
from connector.services.orders import state
from connector.services.orders.magento_store import MagentoStore, together
from connector.services.orders.writers.task import Customer
from connector.services.storefronts import EXTERNAL, environment

Row = dict[str, Any]


@dataclass
class AccountRules:
    """What holds for every order of an account during one run."""

    account: Account
    connection: MagentoConnection | None
    policy: OrderPolicy | None
    policy_version_id: int | None
    policy_title: str
    problems: Sequence[Mapping[str, str]]
    store: MagentoStore | None
    external: ExternalStore | None = None
    customers: dict[str, Customer] = field(default_factory=dict)


@dataclass
class Draft:
    """One order with everything that was found out about it; ``products`` by SKU in lower case."""

    order: Order
    lines: Sequence[OrderLine]
    payload: Row
    rules: AccountRules
    units: list[Unit]
    charges: Charges
    parity: Parity
    address: RecipientAddress
    products: dict[str, Product]
    wanted: Sequence[Wanted]
    rate: Decimal | None

    def money(self, percents: Mapping[str, Decimal], *, by_price: bool = False) -> OrderMoney:
        """The amounts as the policy wants them written (``domain.money.lay_out``). ``percents``: SKU in lower case -> the store's own rate."""
        assert self.rules.policy is not None
        taxes = "tiktok" if self.rules.external and self.rules.policy.taxes == "magento" else self.rules.policy.taxes
        return money.lay_out(self.units, self.charges, self.parity, taxes=taxes, revenue=self.rules.policy.revenue, by_price=by_price, percents=percents)


class CreationDesk:
    """Threads share it; what is not thread-safe in it is prepared before they start, or idempotent."""

    def __init__(self, *, by_hand: bool = False) -> None:
        self.by_hand = by_hand
        self._rules: dict[int, AccountRules] = {}

    def prepare(self, order_ids: Sequence[int]) -> None:
        """Ask the store, in batches, what all these orders need: the store itself, products with stock, orders that exist already."""
        by_account: dict[int, tuple[set[str], set[str]]] = {}
        for start in range(0, len(order_ids), 500):
            chunk = order_ids[start : start + 500]
            for account_id, number in db.session.execute(select(Order.account_id, Order.number).where(Order.id.in_(chunk))):
                by_account.setdefault(account_id, (set(), set()))[0].add(number)
            rows = db.session.execute(
                select(Order.account_id, OrderLine.seller_sku).join(OrderLine, OrderLine.order_id == Order.id).where(Order.id.in_(chunk)).distinct()
            )
            for account_id, sku in rows:
                by_account[account_id][1].add(sku)
        for account_id, (numbers, skus) in by_account.items():
            rules = self.rules(account_id)
            if rules.store is None or rules.policy is None:
                continue
            wanted = sorted((skus | set(_mappings(account_id, skus).values())) - {""})
            end_reading()
            _learn(rules.store, wanted, rules.policy.alternate_sku_attribute, sorted(numbers), rules.account.country)

    def rules(self, account_id: int) -> AccountRules:
        """Account, policy and store as they were when this desk first asked: one run writes all its orders by the same rules."""
        if account_id not in self._rules:
            self._rules[account_id] = _rules_of(account_id)
        return self._rules[account_id]

    def draft(self, order_id: int) -> Draft:
        """Read the order as it is now and match its lines. Raises ``ApiError`` when the store cannot be asked."""
        order = db.session.scalar(
            select(Order).where(Order.id == order_id).options(selectinload(Order.lines), joinedload(Order.payload)).execution_options(populate_existing=True)
        )
        if order is None:
            raise state.unknown(order_id)
        rules = self.rules(order.account_id)
        payload: Row = dict(order.payload.body) if order.payload else {}
        shown_address = (order.payload.address if order.payload else None) or payload.get("recipient_address") or {}
        lines = list(order.lines)
        parts = _parts(lines, payload)
        mapped = _mappings(order.account_id, {sku for _, sku, _, _ in parts})
        end_reading()
        matches: dict[str, tuple[Product | None, str]] = {}
        rate: Decimal | None = Decimal(1)
        regions: Any = ()
        if rules.store is not None and rules.policy is not None:
            rules.store.learn_products([*(sku for _, sku, _, _ in parts), *mapped.values()], attribute=rules.policy.alternate_sku_attribute)
            matches = {sku: _match(rules.store, sku, mapped) for _, sku, _, _ in parts}
            rate = rules.store.rate(order.currency)
            regions = rules.store.regions(country_of(shown_address)) if shown_address else ()
        gone = set() if order.remote_status == tiktok_order.CANCELLED else {line.line_id for line in lines if line.remote_status == tiktok_order.CANCELLED}
        units = _units(parts, matches, gone)
        charges, parity = _amounts(order, payload, units)
        products = {product.sku.casefold(): product for product, _ in matches.values() if product}
        return Draft(
            order, lines, payload, rules, units, charges, parity, read_address(shown_address, regions, directory=rules.external is None), products,
            _wanted(parts, matches, gone), rate,
        )  # fmt: skip

    def decide(self, draft: Draft) -> Verdict:
        """The gates' verdict on a draft."""
        return gates.decide(self._facts(draft))

    def judge(self, order_id: int) -> Verdict:
        """Draft and verdict in one, for a preview: a store that cannot be asked is a failing check instead of an error."""
        try:
            return self.decide(self.draft(order_id))
        except (api.ApiError, DomainError) as error:
            if isinstance(error, NotFoundError):
                raise
            code, message, remedy = problem(error)
            order = db.session.get(Order, order_id)
            assert order is not None
            return Verdict((Check("Store can be asked", False, message, {}, remedy, code, gates.READY),))

    def _facts(self, draft: Draft) -> Facts:
        order, rules = draft.order, draft.rules
        account = rules.account
        return Facts(
            number=order.number, remote_status=order.remote_status, now=connections.shop_now(account), by_hand=self.by_hand,
            magento_number=order.magento_number if order.state == CREATED else None, account=account.title, account_active=account.active,
            connected=account.connected, auth_state=account.auth_state, auth_message=account.auth_message or "",
            has_store=rules.store is not None or rules.external is not None, external=account.storefront == EXTERNAL,
            sandbox=account.environment == SANDBOX, environment=environment.of(rules.external, account) if rules.external else None,
            policy=rules.policy, policy_title=rules.policy_title, policy_problems=rules.problems, hold_until=order.hold_until,
            cancel_requested=order.cancel_requested, wanted=draft.wanted, has_address=order.has_address, address_masked=order.address_masked,
            address_missing=draft.address.missing, buyer_id=order.buyer_id, parity=draft.parity, currency=order.currency,
            base_currency=rules.store.facts.base_currency if rules.store else "", rate=draft.rate,
            fulfilled_by_tiktok=order.fulfillment_type == tiktok_order.BY_TIKTOK,
        )  # fmt: skip


def _learn(store: MagentoStore, skus: Sequence[str], attribute: str, numbers: Sequence[str], country: str) -> None:
    together(lambda: store.learn_products(skus, attribute=attribute), lambda: store.learn_existing(numbers), lambda: store.regions(country))


def problem(error: api.ApiError | DomainError) -> tuple[str, str, str]:
    """Code, message and remedy of an error, for people."""
    if isinstance(error, DomainError):
        return error.code, error.message, error.remedy
    code, title, advice = api.describe(error)
    return code, f"{title}: {error}", advice


def _amounts(order: Order, payload: Row, units: list[Unit]) -> tuple[Charges, Parity]:
    try:
        charges = Charges.of(payload.get("payment") or {"currency": order.currency, "total_amount": str(order.total)})
    except ValueError as error:
        return Charges(currency=order.currency, total=order.total), Parity(False, Decimal(0), f"TikTok sent an amount that cannot be read: {error}.", False, {})
    return charges, money.check_parity(units, charges)


def _rules_of(account_id: int) -> AccountRules:
    account = db.session.get(Account, account_id, populate_existing=True)
    assert account is not None
    policy: OrderPolicy | None = None
    version_id, title, problems = None, "", ()
    try:
        policy, version_id = policies.order_policy(account)
        row: Policy = policies.order_policy_row(account)
        title, problems = row.title, [] if row.valid else row.problems or [{"message": "It is not complete.", "remedy": "Open the policy and complete it."}]
    except DomainError:
        pass
    if account.storefront == EXTERNAL:
        external = db.session.scalar(select(ExternalStore).where(ExternalStore.account_id == account_id))
        return AccountRules(account, None, policy, version_id, title, problems, None, external)
    connection = db.session.get(MagentoConnection, account.magento_id) if account.magento_id else None
    store = MagentoStore(connections.magento_for(account_id), connection.base_url, account.store_view) if connection else None
    return AccountRules(account, connection, policy, version_id, title, problems, store)


def _mappings(account_id: int, skus: Iterable[str]) -> dict[str, str]:
    """Seller SKUs that a person matched; remembered for every later order."""
    query = select(SkuMapping.seller_sku, SkuMapping.magento_sku).where(SkuMapping.account_id == account_id, SkuMapping.seller_sku.in_(set(skus)))
    return dict(db.session.execute(query).all())  # type: ignore[arg-type]


def _match(store: MagentoStore, seller_sku: str, mapped: Mapping[str, str]) -> tuple[Product | None, str]:
    """SKU, then alternate SKU attribute, then remembered manual mapping (product.md 6)."""
    if product := store.product(seller_sku):
        return product, "sku"
    if product := store.product_by_attribute(seller_sku):
        return product, "alternate attribute"
    if seller_sku in mapped and (product := store.product(mapped[seller_sku])):
        return product, "remembered mapping"
    return None, ""


def _parts(lines: Sequence[OrderLine], payload: Row) -> list[tuple[OrderLine, str, Decimal, int]]:
    """Each line with its seller SKU, or with those of the products inside a virtual bundle: (line, SKU, share of the line, of how many)."""
    bundles = {str(item.get("id")): item.get("combined_listing_skus") or () for item in payload.get("line_items") or ()}
    found: list[tuple[OrderLine, str, Decimal, int]] = []
    for line in lines:
        inside = [str(part.get("seller_sku") or "") for part in bundles.get(line.line_id, ()) for _ in range(int(part.get("sku_count") or 1))]
        skus = inside or [line.seller_sku]
        found += [(line, sku, Decimal(position), len(skus)) for position, sku in enumerate(skus)]
    return found


def _units(parts: Sequence[tuple[OrderLine, str, Decimal, int]], matches: Mapping[str, tuple[Product | None, str]], gone: set[str]) -> list[Unit]:
    """``gone``: lines that were cancelled while the order lives on; of a cancelled order every line still counts."""
    units = []
    for line, sku, position, count in parts:
        product = matches.get(sku, (None, ""))[0]

        def share(value: Decimal, at: int = int(position), of: int = count) -> Decimal:
            return value if of == 1 else money.distribute(value, [Decimal(1)] * of, Decimal("0.01"))[at]

        price, seller, platform = share(line.original_price), share(line.seller_discount), share(line.platform_discount)
        units.append(
            Unit(
                line.line_id,
                product.sku if product else sku,
                price,
                seller,
                platform,
                share(line.tax),
                line.sale_price if count == 1 else None,
                cancelled=line.line_id in gone,
                name=line.name,
            )
        )
    return units


def _wanted(parts: Sequence[tuple[OrderLine, str, Decimal, int]], matches: Mapping[str, tuple[Product | None, str]], gone: set[str]) -> list[Wanted]:
    counts: dict[str, list[str]] = {}
    for line, sku, _, _ in parts:
        if line.line_id not in gone:
            counts.setdefault(sku, []).append(line.name)
    return [Wanted(sku, len(names), *matches.get(sku, (None, "")), name=names[0]) for sku, names in counts.items()]

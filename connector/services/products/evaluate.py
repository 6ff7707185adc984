"""Price and stock of listings, worked out in bulk from what is stored: no remote call (product.md 4; A080-A098, A172, A173).

One batch of listings is one transaction: their rows are locked first, so that a change that is being written is either seen or marks them again,
then everything is read in a few queries, decided, and only what differs is written. The ledger stays exact: a SKU's entries add up to its quantity.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import db, dialect_of, unit_of_work
from connector.domain import pricing, stock
from connector.domain.magento_product import ENABLED
from connector.domain.policies import InventoryPolicy
from connector.domain.stock import SourceStock, StockFacts
from connector.models.listing import Listing, ListingSku, StockEntry
from connector.models.product import Product
from connector.services.products import due, evaluation_facts
from connector.services.products.evaluation_facts import CONFIGURABLE, HEAD, NO_TEMPLATE, SIMPLE, Known, Market, Rules, Trouble
from connector.services.products.stock_terms import UNAVAILABLE, changes, difference, held_down, split

#: Listings of one transaction: its lock is held for a fraction of a second.
BATCH = 250
#: Between two batches other writers have their turn.
_PAUSE = 0.005
#: Units on their way into Magento's stock figure: looked at again after this time.
SETTLE = timedelta(seconds=30)
#: Failures of a listing that are written and taken back here.
OURS = "evaluation."
#: Product statuses at TikTok in which it takes no stock (TTS §5.3.15).
CLOSED = ("FREEZE", "DELETED")

_WRITABLE = (
    "product_id", "position", "seller_sku", "seller_sku_key", "wanted_price", "currency", "price_block", "price_block_remedy", "price_steps", "price_changes_at",
    "price_due", "wanted_quantity", "wanted_warehouses", "stock_terms", "stock_due", "stock_falls", "policy_versions",
)  # fmt: skip
_FRESH: dict[str, Any] = {
    "tiktok_sku_id": "", "wanted_price": None, "currency": "", "price_block": "", "price_block_remedy": "", "price_steps": [], "price_changes_at": None,
    "live_price": None, "price_due": False, "price_retry_at": None, "wanted_quantity": None, "wanted_warehouses": {}, "stock_terms": [],
    "live_quantity": None, "live_warehouses": {}, "live_committed": 0, "stock_due": False, "stock_falls": False, "stock_refused_code": None,
    "stock_refused": "", "stock_sent_at": None, "stock_verified_at": None, "policy_versions": {},
}  # fmt: skip

Guard = Callable[[Session], None]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """``looked_at``: listings; ``changed``: SKUs; ``falls``: listings of which TikTok offers more than it may; ``parked``: listings that have a problem."""

    looked_at: int = 0
    changed: int = 0
    falls: tuple[int, ...] = ()
    parked: int = 0

    def __add__(self, other: Evaluated) -> Evaluated:
        return Evaluated(self.looked_at + other.looked_at, self.changed + other.changed, self.falls + other.falls, self.parked + other.parked)


def due_listings(account_id: int | None = None, limit: int = 1000) -> list[int]:
    """Listings that wait for an evaluation now, those that wait longest first; without an account those of all that are enabled."""
    found = list(db.session.scalars(select(Listing.id).where(due.waits(account_id)).order_by(Listing.due_at, Listing.id).limit(limit)))
    if not db.session.info.get("unit_of_work"):
        db.session.commit()
    return found


def evaluate(
    listing_ids: Collection[int],
    *,
    reason: str = "",
    run_id: int | None = None,
    guard: Guard | None = None,
    committed: Mapping[int, int] | None = None,
) -> Evaluated:
    """Work out price and stock of every SKU of these listings and store what changed; SKUs are made and removed as the product's variants are.

    ``reason``: what set it off, where the listing does not say so itself. ``guard``: called in each transaction, see ``JobContext.commit_guard``.
    ``committed``: by SKU (our id) the units that TikTok holds in orders we do not know, read a moment ago; they count as open.
    """
    ids, done = sorted(set(listing_ids)), Evaluated()
    for start in range(0, len(ids), BATCH):
        if start:
            time.sleep(_PAUSE)
        with unit_of_work() as session:
            if guard is not None:
                guard(session)
            done += _evaluate(session, ids[start : start + BATCH], reason, run_id, committed or {})
    return done


def _evaluate(session: Session, ids: list[int], reason: str, run_id: int | None, committed: Mapping[int, int]) -> Evaluated:
    now = utcnow()
    heads = session.execute(select(*HEAD).where(Listing.id.in_(ids)).order_by(Listing.id).with_for_update()).all()
    rules = evaluation_facts.rules(session, {head.template_id for head in heads if head.template_id is not None})
    done = Evaluated()
    for account_id in dict.fromkeys(head.account_id for head in heads):
        mine = [head for head in heads if head.account_id == account_id]
        market = evaluation_facts.market(session, account_id)
        if market.trouble is not None and market.store is None:
            batch = _Batch(session, None, now, reason, run_id, committed)
            for head in mine:
                batch.settle(head, market.trouble, None)
        else:
            batch = _Batch(session, evaluation_facts.known(session, market, mine, rules, now), now, reason, run_id, committed)
            for head in mine:
                batch.add(head, rules.get(head.template_id, NO_TEMPLATE))
        done += batch.write()
    return done


@dataclass(slots=True)
class _Batch:
    """Decides one listing after the other and collects what is to be written."""

    session: Session
    known: Known | None
    now: datetime
    reason: str
    run_id: int | None
    committed: Mapping[int, int]
    inserts: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    deletes: list[int] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    heads: list[dict[str, Any]] = field(default_factory=list)
    looked_at: int = 0
    parked: int = 0
    falls: list[int] = field(default_factory=list)
    taken: dict[str, int] | None = None

    # --- one listing

    def add(self, head: Row[Any], rules: Rules) -> None:
        assert self.known is not None
        known, market = self.known, self.known.market
        trouble = market.trouble or rules.trouble
        rows = list(known.skus.get(head.id, ()))
        by_product = {row.product_id: row for row in rows}
        product = known.products[head.product_id]
        variants = known.children.get(product.id, ()) if product.type_id == CONFIGURABLE else ((product.id,) if product.type_id in SIMPLE else ())
        next_look: datetime | None = None
        falls = False
        for place, product_id in enumerate(chain(variants, (row.product_id for row in rows if row.product_id not in variants))):
            row = by_product.get(product_id)
            if row is not None and product_id not in variants and not row.tiktok_sku_id:
                self.deletes.append(row.id)  # TikTok never had it
                continue
            seller_sku, problem = self._seller_sku(head, rules, product_id, row)
            trouble = trouble or problem
            if row is None and not seller_sku:
                continue
            values = self._values(head, rules, product_id, row, in_family=product_id in variants)
            if values.pop("unread"):
                trouble = trouble or self._unread(product_id)
            settles = values.pop("settles")
            values |= {"product_id": product_id, "position": place, "seller_sku": seller_sku, "seller_sku_key": seller_sku.casefold()}
            self._record(head, row, values)
            falls = falls or values["stock_falls"]
            instants = (values["price_changes_at"], self.now + SETTLE if settles else None, next_look)
            next_look = min((each for each in instants if each is not None and each > self.now), default=None)
        if falls:
            self.falls.append(head.id)
        self.settle(head, trouble, next_look)

    def settle(self, head: Row[Any], trouble: Trouble | None, next_look: datetime | None) -> None:
        """What the listing itself keeps: its problem, and when it is to be looked at again."""
        self.looked_at += 1
        values: dict[str, Any] = {"due_at": next_look, "due_reason": "" if next_look is None else "A price or a stock figure was to change"}
        ours = (head.failure_code or "").startswith(OURS)
        if trouble is not None:
            self.parked += 1
            if (head.failure_code, head.failure_message) != (trouble.code, trouble.message):
                values |= {"failure_code": trouble.code, "failure_message": trouble.message, "failure_remedy": trouble.remedy, "failed_at": self.now}
        elif ours:
            values |= {"failure_code": None, "failure_message": "", "failure_remedy": "", "failed_at": None}
        if len(values) > 2 or head.due_at != next_look:
            self.heads.append({"id_": head.id, **values})

    # --- seller SKUs

    def _seller_sku(self, head: Row[Any], rules: Rules, product_id: int, row: Row[Any] | None) -> tuple[str, Trouble | None]:
        """(the variant's seller SKU, why it cannot be had). What TikTok has stays: it is changed by an update of the listing."""
        assert self.known is not None
        if row is not None and row.tiktok_sku_id:
            return row.seller_sku, None
        product = self.known.products[product_id]
        values = self.known.values.get(product_id)
        sku = values.text(rules.seller_sku_attribute).strip() if values is not None and rules.seller_sku_attribute != "sku" else product.sku
        if not sku:
            text = f"{product.sku} has no value in {rules.seller_sku_attribute}, which the listing template uses as seller SKU."
            return row.seller_sku if row else "", Trouble("evaluation.seller_sku_missing", text, f"Fill in {rules.seller_sku_attribute} in Magento.")
        sku = sku[:128]
        holder = self._holders().get(sku.casefold(), head.id)
        mine = row is not None and row.seller_sku_key == sku.casefold()
        if holder != head.id or (not mine and sku.casefold() in self._holders()):
            return row.seller_sku if row else "", self._taken(head, sku, holder)
        if row is not None and not mine:
            self._holders().pop(row.seller_sku_key, None)
        self._holders()[sku.casefold()] = head.id
        return sku, None

    def _holders(self) -> dict[str, int]:
        """Seller SKU without case -> listing that has it, for every SKU that this batch may want."""
        assert self.known is not None
        if self.taken is None:
            wanted = {value.text(rules.seller_sku_attribute).strip().casefold() for rules in self._attributes() for value in self.known.values.values()}
            wanted |= {row.sku_key for row in self.known.products.values()}
            keys, self.taken = sorted(wanted - {""}), {}
            for start in range(0, len(keys), 500):
                query = select(ListingSku.seller_sku_key, ListingSku.listing_id).where(
                    ListingSku.account_id == self.known.market.account_id, ListingSku.seller_sku_key.in_(keys[start : start + 500])
                )
                self.taken |= dict(self.session.execute(query).all())
        return self.taken

    def _attributes(self) -> Iterator[Rules]:
        assert self.known is not None
        return (rules for rules in self.known.rules.values() if rules.seller_sku_attribute != "sku")

    def _taken(self, head: Row[Any], sku: str, holder: int) -> Trouble:
        query = select(Product.name, Product.sku).join(Listing, Listing.product_id == Product.id).where(Listing.id == holder)
        other = self.session.execute(query).one_or_none()
        name = f"{other.name} ({other.sku})" if other is not None and holder != head.id else "another variant of the same product"
        text = f"The seller SKU {sku} is taken by {name}: TikTok Shop takes each once in a shop, whatever its case."
        return Trouble("evaluation.seller_sku_taken", text, "Give one of the two another SKU in Magento, or remove one of them from its listing template.")

    def _unread(self, product_id: int) -> Trouble:
        assert self.known is not None
        text = f"The stock of {self.known.products[product_id].sku} has not been read from Magento yet."
        return Trouble("evaluation.stock_unread", text, "Run Read stock from Magento; see whether the product belongs to the account's website.")

    # --- one SKU

    def _values(self, head: Row[Any], rules: Rules, product_id: int, row: Row[Any] | None, *, in_family: bool) -> dict[str, Any]:
        there = row is not None and bool(head.tiktok_id and row.tiktok_sku_id) and head.remote_status not in CLOSED
        values = self._price(rules, product_id, row)
        values |= self._stock(head, rules, product_id, row, in_family=in_family, there=there)
        live = None if row is None else row.live_price
        quiet = not self._market.out_of_stock_too and values["wanted_quantity"] == 0
        values["price_due"] = there and values["wanted_price"] is not None and values["wanted_price"] != live and not quiet
        values["policy_versions"] = dict(rules.versions)
        return values

    @property
    def _market(self) -> Market:
        assert self.known is not None
        return self.known.market

    def _price(self, rules: Rules, product_id: int, row: Row[Any] | None) -> dict[str, Any]:
        assert self.known is not None
        facts = self.known.prices.get(product_id)
        names = ("wanted_price", "currency", "price_block", "price_block_remedy", "price_steps", "price_changes_at")
        if rules.pricing is None or facts is None:
            why = rules.trouble or Trouble("", "Its prices are not known.", "Import the product from Magento.")
            kept = {name: getattr(row, name) for name in names} if row is not None else {name: _FRESH[name] for name in names}
            return kept | {"wanted_price": None, "price_block": why.message, "price_block_remedy": why.remedy}
        price = pricing.price(rules.pricing, facts)
        steps = [{"key": step.key, "label": step.label, "value": f"{step.value:f}", "words": step.words} for step in price.steps]
        block = price.block
        return dict(
            zip(names, (price.amount, price.currency, block.reason if block else "", block.remedy if block else "", steps, price.next_change), strict=True)
        )

    def _stock(self, head: Row[Any], rules: Rules, product_id: int, row: Row[Any] | None, *, in_family: bool, there: bool) -> dict[str, Any]:
        assert self.known is not None
        level = self.known.stock.get(product_id)
        why_not = self._unavailable(head, product_id, in_family)
        if level is None and not why_not:
            kept = {name: getattr(row, name) if row is not None else _FRESH[name] for name in ("wanted_quantity", "wanted_warehouses", "stock_terms")}
            return {**kept, **difference(row, kept["wanted_quantity"], kept["wanted_warehouses"], there), "unread": True, "settles": False}
        handed = self.known.handed_over.get(product_id, 0)
        unknown = self.committed.get(row.id, 0) if row is not None else 0
        opened = self.known.open_units.get(product_id, 0)
        policy = rules.inventory if rules.inventory is not None else InventoryPolicy()
        live = tuple(row.live_warehouses) if row is not None and there and row.live_warehouses else ()
        facts = StockFacts(
            manages_stock=level is None or level.manages_stock,
            quantity=0 if level is None else level.quantity,
            is_in_stock=level is None or level.in_stock,
            sources=[] if level is None else [SourceStock(each["code"], each["quantity"], each.get("in_stock", True)) for each in level.sources],
            salable=None if level is None else level.salable,
            open_units=opened + handed + unknown,
            warehouses=live or self._places(policy),
            default_warehouse=self._market.default_warehouse,
        )
        ledger = stock.quantity(policy, facts)
        terms = split(ledger.terms, opened, handed, unknown)
        places, sent = dict(ledger.warehouses), ledger.sent
        if why_not and sent > 0:
            terms.append({"key": UNAVAILABLE, "label": "Not for sale", "change": -sent, "words": why_not})
            places, sent = dict.fromkeys(places, 0), 0
        elif rules.inventory is None:
            places, sent = held_down(terms, places, sent, row, rules.trouble.message if rules.trouble else "", there)
        return {
            "wanted_quantity": sent, "wanted_warehouses": places, "stock_terms": terms, **difference(row, sent, places, there),
            "unread": False, "settles": handed > 0,
        }  # fmt: skip

    def _places(self, policy: InventoryPolicy) -> tuple[str, ...]:
        """Where a SKU that TikTok does not have yet will be: the warehouses of the policy's sources, else the shop's usual one."""
        if policy.use_msi and policy.sources:
            chosen = tuple(dict.fromkeys(row.warehouse_id for row in policy.sources if row.warehouse_id in self._market.warehouses))
            if chosen:
                return chosen
        return (self._market.default_warehouse,) if self._market.default_warehouse else ()

    def _unavailable(self, head: Row[Any], product_id: int, in_family: bool) -> str:
        """Why Magento does not sell the product at all; "" when it does."""
        assert self.known is not None
        for one in dict.fromkeys((head.product_id, product_id)):
            product, values = self.known.products[one], self.known.values.get(one)
            if product.gone_at is not None:
                return f"{product.sku} does not exist in Magento any more."
            if (values.status if values is not None else product.status) != ENABLED:
                return f"{product.sku} is disabled in Magento."
        if not in_family:
            return f"{self.known.products[product_id].sku} is not a variant of {self.known.products[head.product_id].sku} any more."
        return ""

    # --- writing

    def _record(self, head: Row[Any], row: Row[Any] | None, values: dict[str, Any]) -> None:
        before, balance = (row.stock_terms, row.wanted_quantity or 0) if row is not None else ([], 0)
        if values["stock_terms"] is not before:
            why = head.due_reason or self.reason
            for entry in changes(before or (), values["stock_terms"], balance):
                entry |= {"at": self.now, "reason": why[:200], "run_id": self.run_id, "sku": row.id if row is not None else (head.id, values["product_id"])}
                self.entries.append(entry)
        if row is None:
            self.inserts.append({**_FRESH, **values, "listing_id": head.id, "account_id": head.account_id, "evaluated_at": self.now})
        elif any(getattr(row, name) != values[name] for name in _WRITABLE):
            self.updates.append({"id_": row.id, "evaluated_at": self.now, **{name: values[name] for name in _WRITABLE}})

    def write(self) -> Evaluated:
        session = self.session
        if self.deletes:
            session.execute(delete(ListingSku).where(ListingSku.id.in_(self.deletes)).execution_options(synchronize_session=False))
        if self.updates:
            session.connection().execute(update(ListingSku.__table__).where(ListingSku.__table__.c.id == bindparam("id_")), self.updates)
        if self.inserts:
            dialect = dialect_of(session)
            statement = dialect.insert(ListingSku.__table__).on_conflict_do_nothing(index_elements=["account_id", "seller_sku_key"])
            session.connection().execute(statement, self.inserts)
        self._write_entries()
        self._write_heads()
        return Evaluated(self.looked_at, len(self.inserts) + len(self.updates) + len(self.deletes), tuple(self.falls), self.parked)

    def _write_entries(self) -> None:
        if not self.entries:
            return
        made: dict[tuple[int, int], int] = {}
        if self.inserts:
            listings = sorted({one["listing_id"] for one in self.inserts})
            query = select(ListingSku.listing_id, ListingSku.product_id, ListingSku.id).where(ListingSku.listing_id.in_(listings))
            made = {(listing_id, product_id): sku_id for listing_id, product_id, sku_id in self.session.execute(query)}
        rows = [{**entry, "listing_sku_id": sku if isinstance(sku, int) else made.get(sku)} for entry in self.entries for sku in (entry.pop("sku"),)]
        self.session.execute(insert(StockEntry), [row for row in rows if row["listing_sku_id"] is not None])

    def _write_heads(self) -> None:
        table = Listing.__table__
        clear = [one["id_"] for one in self.heads if len(one) == 3 and one["due_at"] is None]
        if clear:
            self.session.execute(table.update().where(table.c.id.in_(clear)).values(due_at=None, due_reason="", updated_at=table.c.updated_at))
        for one in self.heads:
            if len(one) > 3 or one["due_at"] is not None:
                values = {key: value for key, value in one.items() if key != "id_"}
                self.session.execute(table.update().where(table.c.id == one["id_"]).values(**values))


@dataclass(frozen=True, slots=True)
class StockNow:
    """``quantity`` None: the stock was not read yet. ``terms`` as in ``ListingSku.stock_terms``."""

    quantity: int | None
    warehouses: Mapping[str, int]
    terms: Sequence[Mapping[str, Any]]


def stock_of(session: Session, known: Known, head: Any, rules: Rules, product_id: int, *, now: datetime) -> StockNow:
    """What an evaluation would say of one variant's stock now, without writing anything: for dry runs. ``head``: the listing, or its columns."""
    row = next((row for row in known.skus.get(head.id, ()) if row.product_id == product_id), None)
    there = row is not None and bool(head.tiktok_id and row.tiktok_sku_id) and head.remote_status not in CLOSED
    found = _Batch(session, known, now, "", None, {})._stock(head, rules, product_id, row, in_family=True, there=there)
    return StockNow(found["wanted_quantity"], found["wanted_warehouses"], found["stock_terms"])

"""Fix once, heal all (product.md 12): orders with an error grouped by what one fix would solve, and that fix, which retries every member as one run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain import tiktok_order as tiktok
from connector.models.account import Account
from connector.models.order import CANCELLED, CREATED, CREATING, READY, Order, OrderLine, Shipment, SkuMapping
from connector.services import connections, events, runs, storefronts
from connector.services.orders import carriers, parcels, recall, state, tracking

MAP_CARRIER, MAP_SKU, RETRY, NUMBERS = "map_carrier", "map_sku", "retry", "numbers"
#: What the creation gates say when a line has no Magento product that can be ordered.
SKU_CODES = ("mapping.sku_unknown", "product.composite")


@dataclass(frozen=True, slots=True)
class Cause:
    """One group: ``key`` names it for ``heal``; ``fix`` is map_carrier, map_sku, numbers (whose tracking number is right) or retry; ``subject`` the carrier or SKU to be mapped."""

    key: str
    account_id: int
    account: str
    code: str
    fix: str
    subject: str
    message: str
    remedy: str
    orders: int
    suggestions: tuple[tuple[str, float], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Healed:
    """``retried`` orders are being tried again by these runs."""

    retried: int
    run_ids: tuple[int, ...]
    message: str


def groups(account_id: int | None = None) -> list[Cause]:
    """All causes, the largest group first."""
    titles: dict[int, str] = {row.id: row.title for row in db.session.execute(select(Account.id, Account.title))}
    found = [
        Cause(
            f"{MAP_CARRIER}:{one.account_id}:{one.carrier}", one.account_id, titles[one.account_id], "carrier.unknown", MAP_CARRIER, one.carrier,
            f"The carrier {one.carrier!r} is not mapped to a TikTok carrier that is offered.", "Map it; every parcel that waits for it is sent then.",
            one.parcels, tuple((suggestion.provider, suggestion.confidence) for suggestion in one.suggestions),
        )
        for one in carriers.waiting(account_id)
    ]  # fmt: skip
    skus = _unmatched_skus(account_id)
    found += [
        Cause(
            f"{MAP_SKU}:{account}:{sku}", account, titles[account], SKU_CODES[0], MAP_SKU, sku,
            f"No Magento product has the SKU {sku!r}.",
            "Map it to a Magento SKU, or create the product in Magento; the orders are tried again then.", len(orders),
        )
        for (account, sku), orders in skus.items()
    ]  # fmt: skip
    found += _others(account_id, titles)
    return sorted(found, key=lambda cause: (-cause.orders, cause.key))


def map_sku(account_id: int, seller_sku: str, magento_sku: str, *, actor: str) -> Healed:
    """Remember which Magento product a seller SKU is, after asking the store that it exists; then retry every order that failed for it."""
    magento_sku = magento_sku.strip()
    if not magento_sku:
        raise DomainError("sku.empty", "No Magento SKU is given.", "Enter the SKU of the product in Magento.", field="magento_sku")
    client = None if storefronts.external_of(account_id) else connections.magento_for(account_id)  # an external storefront has no catalogue to ask
    db.session.commit()
    if client is not None and not any(str(one.get("sku")).casefold() == magento_sku.casefold() for one in client.products_by_sku([magento_sku])):
        raise DomainError(
            "sku.not_in_magento", f"Magento has no product with the SKU {magento_sku}.", "Check the spelling in Magento's catalogue.", field="magento_sku"
        )
    with unit_of_work() as session:
        mapping = session.scalar(select(SkuMapping).where(SkuMapping.account_id == account_id, SkuMapping.seller_sku == seller_sku))
        before = mapping.magento_sku if mapping else None
        if mapping is None:
            mapping = SkuMapping(account_id=account_id, seller_sku=seller_sku)
            session.add(mapping)
        mapping.magento_sku, mapping.created_by, mapping.created_at = magento_sku, actor, utcnow()
        events.record(
            "sku.mapped", "sku", seller_sku, f"{seller_sku} is {magento_sku} in Magento.", account_id=account_id, actor=actor,
            before={"magento_sku": before}, after={"magento_sku": magento_sku},
        )  # fmt: skip
        session.flush()
        members = _unmatched_skus(account_id).get((account_id, seller_sku), [])
        return retry(members, actor=actor, why=f"{seller_sku} mapped to {magento_sku}")


def heal(key: str, *, actor: str, answer: str = "") -> Healed:
    """Do the one fix of a group: ``answer`` is the TikTok carrier, the Magento SKU or whose number is right (ours, theirs); a plain retry needs none.

    ``key`` as ``groups`` gave it. Raises ``DomainError`` for input that cannot work; then nothing is changed.
    """
    fix, account, subject = (*key.split(":", 2), "", "")[:3]
    if not account.isdigit():
        raise DomainError("cause.unknown", "There is no such group of errors any more.", "Open Today for the present ones.")
    if fix == MAP_CARRIER:
        done = carriers.map_carrier(int(account), subject, answer, actor=actor)
        return Healed(done.released, done.run_ids, f"{subject} is {done.provider} on TikTok; {done.released} parcels are being sent.")
    if fix == MAP_SKU:
        return map_sku(int(account), subject, answer, actor=actor)
    if fix == NUMBERS:
        return settle_numbers(members(key), answer, actor=actor)
    return retry(members(key), actor=actor, why=f"retry of {subject}")


def members(key: str) -> list[int]:
    """The ids of the orders in a group."""
    fix, account, subject = (*key.split(":", 2), "", "")[:3]
    if not account.isdigit():
        return []
    if fix == MAP_SKU:
        return _unmatched_skus(int(account)).get((int(account), subject), [])
    if fix == MAP_CARRIER:
        query = select(Shipment.order_id).where(
            Shipment.account_id == int(account), Shipment.state == parcels.WAITING_CARRIER, Shipment.magento_carrier == subject
        )
    else:
        query = select(Order.id).where(Order.account_id == int(account), Order.failure_code == subject)
    return list(dict.fromkeys(db.session.scalars(query.order_by(Shipment.id if fix == MAP_CARRIER else Order.id))))


def settle_numbers(order_ids: Sequence[int], answer: str, *, actor: str) -> Healed:
    """Of these orders, shipped on TikTok with other tracking numbers, give TikTok ours or keep TikTok's: one run per account."""
    if answer not in (tracking.OURS, tracking.THEIRS):
        raise DomainError("ship.answer", "Which number is right was not said.", "Choose the parcels' numbers or TikTok's.")
    items: dict[int, list[tuple[str, str]]] = defaultdict(list)
    with unit_of_work() as session:
        for order in session.scalars(select(Order).where(Order.id.in_(list(order_ids))).order_by(Order.id)):
            items[order.account_id].append((str(order.id), order.number))
        args = {"answer": answer}
        submitted = [runs.submit("orders.settle_tracking", account_id=account, items=rows, args=args, started_by=actor) for account, rows in items.items()]
    count = sum(map(len, items.values()))
    return Healed(
        count,
        tuple(one.run_id for one in submitted),
        f"{count} orders: " + ("TikTok is given our numbers." if answer == tracking.OURS else "TikTok's numbers are kept."),
    )


def retry(order_ids: Sequence[int], *, actor: str, why: str) -> Healed:
    """Try these orders again, as one run per account and kind of work: those in Magento are shipped, or taken back where TikTok cancelled them; the others
    are created."""
    undoing: dict[int, list[tuple[str, str]]] = defaultdict(list)
    shipping: dict[int, list[tuple[str, str]]] = defaultdict(list)
    creating: dict[int, list[tuple[str, str]]] = defaultdict(list)
    with unit_of_work() as session:
        for order in session.scalars(select(Order).where(Order.id.in_(list(order_ids))).order_by(Order.id)):
            item = (str(order.id), order.number)
            if order.state == CREATED and order.remote_status == tiktok.CANCELLED:
                state.clear_flag(order, *recall.ANSWERED, reason=why)  # a person has seen that its parcel must not leave
                undoing[order.account_id].append(item)
            elif order.state == CREATED:
                for parcel in session.scalars(select(Shipment).where(Shipment.order_id == order.id, Shipment.state == parcels.FAILED)):
                    parcel.state, parcel.retry_at = parcels.PENDING, None
                shipping[order.account_id].append(item)
            elif order.state not in (CREATING, CANCELLED):
                state.set_state(order, READY, reason=why)
                creating[order.account_id].append(item)
        submitted = [runs.submit("orders.ship", account_id=account, items=items, started_by=actor) for account, items in shipping.items()]
        submitted += [runs.submit("orders.follow", account_id=account, items=items, started_by=actor) for account, items in undoing.items()]
        submitted += [runs.submit("orders.create", account_id=account, items=items, started_by=actor) for account, items in creating.items()]
    count = sum(map(len, (*undoing.values(), *shipping.values(), *creating.values())))
    return Healed(count, tuple(one.run_id for one in submitted), f"{count} orders are tried again.")


def _unmatched_skus(account_id: int | None) -> dict[tuple[int, str], list[int]]:
    """Orders that failed because a line has no Magento product, by (account, seller SKU) of the lines that the failure names."""
    query = (
        select(Order.account_id, Order.id, Order.failure_message, OrderLine.seller_sku)
        .join(OrderLine, OrderLine.order_id == Order.id)
        .where(Order.failure_code.in_(SKU_CODES), Order.state != CREATED, OrderLine.seller_sku != "")
        .order_by(Order.id, OrderLine.id)
    )
    if account_id is not None:
        query = query.where(Order.account_id == account_id)
    lines: dict[tuple[int, int, str], list[str]] = defaultdict(list)
    for account, order_id, message, sku in db.session.execute(query):
        lines[account, order_id, message or ""].append(sku)
    found: dict[tuple[int, str], list[int]] = defaultdict(list)
    for (account, order_id, message), skus in lines.items():
        for sku in dict.fromkeys([sku for sku in skus if sku in message] or skus):
            found[account, sku].append(order_id)
    return dict(found)


def _others(account_id: int | None, titles: dict[int, str]) -> list[Cause]:
    """Everything that is solved elsewhere (or by itself) and then only needs another try."""
    query = (
        select(Order.account_id, Order.failure_code, func.count(), func.max(Order.failure_message), func.max(Order.failure_remedy))
        .where(Order.failure_code.is_not(None), Order.failure_code.not_in((*SKU_CODES, *carriers.WAITING_CODES)))
        .group_by(Order.account_id, Order.failure_code)
    )
    if account_id is not None:
        query = query.where(Order.account_id == account_id)
    found = []
    for account, code, count, message, remedy in db.session.execute(query):
        fix = NUMBERS if code == tracking.OTHER else RETRY
        found.append(Cause(f"{fix}:{account}:{code}", account, titles[account], code, fix, code, message or "", remedy or "", count))
    return found

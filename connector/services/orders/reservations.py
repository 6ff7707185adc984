"""The ledger of units that TikTok orders hold and Magento does not know about: the ``open`` term of the stock formula (product.md 4, A246, TTS §6.7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import db, dialect_of, unit_of_work
from connector.domain import tiktok_order as tiktok
from connector.models.order import CREATED, CREATING, READY, MagentoOrderIntent, Reservation, SkuMapping
from connector.services.products import due

#: Why a reservation ended: Magento knows the order.
CREATED_THERE = "created"


def reserves(status: str, state: str, fulfillment_type: str = "", *, directly: bool = False) -> bool:
    """Whether an order of this TikTok status and state of ours holds stock of the merchant.

    From the moment it is placed (UNPAID and ON_HOLD included) until Magento counts it: when it exists there, or, written ``directly`` past Magento's
    reservations (MAG §4.3.1), when its goods have left. An order that was shipped without Magento holds nothing any more, unless it is still to be
    created; one fulfilled by TikTok never takes the merchant's stock.
    """
    if status == tiktok.CANCELLED or (state == CREATED and not directly) or fulfillment_type == tiktok.BY_TIKTOK:
        return False
    return state in (READY, CREATING) or not tiktok.reached(status, tiktok.IN_TRANSIT)


def keep(session: Session, account_id: int, wanted: Mapping[int, Mapping[str, int]], fresh: set[int], reason: Mapping[int, str]) -> None:
    """Make the open reservations of these orders what they should be, inside the caller's transaction; listings that sell what changed become due.

    ``wanted``: order id -> seller SKU -> units (empty: release everything, for ``reason[order id]``). ``fresh`` ids have none yet. SKUs that a person
    mapped are reserved under their Magento SKU.
    """
    names = _mapped(session, account_id, {sku for units in wanted.values() for sku in units})
    rows: list[dict[str, Any]] = []
    now = utcnow()
    for order_id, units in wanted.items():
        totals: Counter[str] = Counter()
        for sku, quantity in units.items():
            totals[names.get(sku, sku)] += quantity
        rows += [_row(order_id, account_id, sku, quantity, now) for sku, quantity in totals.items()]
    held = _held(session, [order_id for order_id in wanted if order_id not in fresh])
    changed = {row["sku"] for row in rows if held.get((row["order_id"], row["sku"]), (0, None))[1] != row["quantity"]}
    changed |= _release_others(session, held, {(row["order_id"], row["sku"]) for row in rows}, reason, now)
    if rows:
        session.execute(_upsert(dialect_of(session)), rows)
    if changed:
        due.mark(reason="TikTok orders", content=False, skus=changed)


@cache
def _upsert(dialect: Any) -> Any:
    statement = dialect.insert(Reservation.__table__)
    return statement.on_conflict_do_update(
        index_elements=["order_id", "sku"], set_={"quantity": statement.excluded.quantity, "released_at": None, "release_reason": ""}
    )


def written_directly(session: Session, order_ids: Collection[int]) -> frozenset[int]:
    """Those of the orders that were written past Magento's checkout, which reserves nothing there."""
    query = select(MagentoOrderIntent.order_id).where(MagentoOrderIntent.order_id.in_(order_ids), MagentoOrderIntent.writer == "direct")
    return frozenset(session.scalars(query)) if order_ids else frozenset()


def release(order_id: int, reason: str) -> int:
    """Give back everything an order holds (``created``: Magento counts it from now on; ``cancelled``). The number of SKUs released."""
    with unit_of_work() as session:
        open_ones = (Reservation.order_id == order_id, Reservation.released_at.is_(None))
        skus = session.scalars(select(Reservation.sku).where(*open_ones)).all()
        if not skus:
            return 0
        released = update(Reservation).where(*open_ones).values(released_at=utcnow(), release_reason=reason).execution_options(synchronize_session=False)
        count: int = session.execute(released).rowcount  # type: ignore[attr-defined]
        due.mark(reason="Order created in Magento" if reason == CREATED_THERE else "TikTok orders", content=False, skus=skus)
        return count


def narrow(session: Session, account_id: int, order_id: int, units: Mapping[str, int]) -> None:
    """Let an order hold no more than ``units`` (seller SKU -> units) of what it holds; the rest is free."""
    names = _mapped(session, account_id, set(units))
    wanted: Counter[str] = Counter()
    for sku, quantity in units.items():
        wanted[names.get(sku, sku)] += quantity
    query = select(Reservation).where(Reservation.order_id == order_id, Reservation.released_at.is_(None))
    changed = set()
    for row in session.scalars(query.execution_options(populate_existing=True)):
        keep_units = wanted[row.sku]
        if keep_units >= row.quantity:
            continue
        changed.add(row.sku)
        if keep_units:
            row.quantity = keep_units
        else:
            row.released_at, row.release_reason = utcnow(), "cancelled"
    if changed:
        due.mark(reason="TikTok orders", content=False, skus=changed)


def open_units(skus: list[str] | None = None) -> dict[str, int]:
    """Units held per SKU over all accounts; of all SKUs that have any when none are named."""
    query = select(Reservation.sku, func.sum(Reservation.quantity)).where(Reservation.released_at.is_(None)).group_by(Reservation.sku)
    if skus is not None:
        query = query.where(Reservation.sku.in_(skus))
    return {sku: int(total) for sku, total in db.session.execute(query)}


def held(session: Session) -> dict[tuple[int, str], int]:
    """Units that orders hold now, by (account id, SKU without case)."""
    found: Counter[tuple[int, str]] = Counter()
    query = select(Reservation.account_id, Reservation.sku, func.sum(Reservation.quantity)).where(Reservation.released_at.is_(None))
    for account_id, sku, quantity in session.execute(query.group_by(Reservation.account_id, Reservation.sku)):
        found[account_id, sku.casefold()] += int(quantity)
    return found


def handed_over(session: Session, since: datetime) -> list[tuple[int, str, int, datetime]]:
    """(account id, SKU without case, units, when) of orders that were created in Magento after ``since``.

    Magento took their units off after that instant, so a stock figure that was read before it still contains them.
    """
    query = select(Reservation.account_id, Reservation.sku, Reservation.quantity, Reservation.released_at)
    query = query.where(Reservation.released_at > since, Reservation.release_reason == CREATED_THERE)
    return [(account_id, sku.casefold(), int(quantity), at) for account_id, sku, quantity, at in session.execute(query)]


def _row(order_id: int, account_id: int, sku: str, quantity: int, now: datetime) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "account_id": account_id,
        "sku": sku,
        "quantity": quantity,
        "created_at": now,
        "released_at": None,
        "release_reason": "",
    }


def _mapped(session: Session, account_id: int, skus: set[str]) -> dict[str, str]:
    if not skus:
        return {}
    rows = session.execute(select(SkuMapping.seller_sku, SkuMapping.magento_sku).where(SkuMapping.account_id == account_id, SkuMapping.seller_sku.in_(skus)))
    return {row.seller_sku: row.magento_sku for row in rows}


def _held(session: Session, order_ids: list[int]) -> dict[tuple[int, str], tuple[int, int]]:
    """(order id, SKU) -> (reservation id, units) of what these orders hold now."""
    if not order_ids:
        return {}
    query = select(Reservation.id, Reservation.order_id, Reservation.sku, Reservation.quantity)
    rows = session.execute(query.where(Reservation.order_id.in_(order_ids), Reservation.released_at.is_(None)))
    return {(row.order_id, row.sku): (row.id, row.quantity) for row in rows}


def _release_others(
    session: Session, held: Mapping[tuple[int, str], tuple[int, int]], kept: set[tuple[int, str]], reason: Mapping[int, str], now: datetime
) -> set[str]:
    """Release what is held and not kept; the SKUs."""
    released = set()
    for (order_id, sku), (reservation_id, _) in held.items():
        if (order_id, sku) not in kept:
            session.execute(
                update(Reservation)
                .where(Reservation.id == reservation_id)
                .values(released_at=now, release_reason=reason.get(order_id, "changed"))
                .execution_options(synchronize_session=False)
            )
            released.add(sku)
    return released

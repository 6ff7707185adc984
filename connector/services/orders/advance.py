"""How an order moves on when TikTok's does: our state of it, and what has to be carried over to Magento (product.md 6)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.core.db import dialect_of
from connector.domain import tiktok_order as tiktok
from connector.domain.order_policy import OrderPolicy
from connector.domain.tiktok_order import OrderSnapshot
from connector.models.order import CANCELLED, CREATED, CREATING, FAILED, HELD, MANUAL, READY, REVIEW, SKIPPED, STORED, Order, OrderPayload, OutgoingAction
from connector.services import events
from connector.services.orders import recall, state
from connector.services.orders.received import Received


@dataclass(frozen=True, slots=True)
class Rules:
    """How a page is taken in: from where it comes and under which policy (None: the account has none; the gates will say so)."""

    account_id: int
    origin: str
    policy: OrderPolicy | None
    policy_version_id: int | None = None


class Advanced(NamedTuple):
    """What follows from a page: orders that are newly ready, orders to be followed in Magento, both as (id, number), and our state of every one."""

    ready: list[tuple[int, str]]
    follow: list[tuple[int, str]]
    states: dict[int, str]


def next_state(status: str, *, current: str | None, origin: str, policy: OrderPolicy | None) -> str:
    """Our state for an order of TikTok's ``status``; ``current`` None for a new one.

    Orders that Magento knows, or is getting, keep theirs: what happens to them is carried over by ``orders.follow``. A decision that a person or a
    gate has taken (review, ready, skipped, failed) stands until TikTok cancels.
    """
    rules = policy or OrderPolicy()
    by_hand = origin == MANUAL and not rules.apply_to_manual_import
    if current in (CREATING, CREATED):
        return current
    if status == tiktok.CANCELLED:
        wanted = rules.create_in_magento and rules.create_when == tiktok.CANCELLED and not by_hand
        return READY if wanted and current != CANCELLED else CANCELLED
    if current in (REVIEW, READY, SKIPPED, FAILED, CANCELLED):
        return current
    if status == tiktok.ON_HOLD:
        return HELD
    if not tiktok.reached(status, tiktok.AWAITING_SHIPMENT):
        return STORED
    if by_hand:
        return REVIEW
    return READY if rules.create_in_magento and tiktok.reached(status, rules.create_when) else STORED


def unknown_status(status: str) -> str:
    return f"TikTok gave the order the status {status}, which the connector does not know; nothing is done with it until the status changes."


def addresses_of_created(session: Session, known: dict[str, Any], writing: Sequence[Received]) -> dict[int, Any]:
    """The addresses we hold for orders that Magento has: only theirs can need carrying over (TTS §6.5)."""
    ids = [before.id for one in writing if (before := known.get(one.snapshot.number)) is not None and before.state in (CREATING, CREATED)]
    if not ids:
        return {}
    rows = session.execute(select(OrderPayload.order_id, OrderPayload.address).where(OrderPayload.order_id.in_(ids)))
    return {row.order_id: row.address for row in rows}


def advance(
    session: Session,
    rules: Rules,
    known: dict[str, Any],
    written: Sequence[Received],
    ids: dict[str, Any],
    fresh: dict[str, int],
    addresses: dict[int, Any],
) -> Advanced:
    """Move existing orders on. ``known``: their rows before this page; ``ids``: those of every written order, by number; ``fresh``: ids of the new ones."""
    done = Advanced([], [], {})
    changed = {ids[one.snapshot.number].id: one for one in written if one.snapshot.number not in fresh}
    by_number = {one.snapshot.number: one.snapshot for one in written}
    for number, order_id in fresh.items():
        done.states[order_id] = next_state(by_number[number].remote_status, current=None, origin=rules.origin, policy=rules.policy)
        if done.states[order_id] == READY:
            done.ready.append((order_id, number))
    if not changed:
        return done
    orders = session.scalars(select(Order).where(Order.id.in_(changed)).execution_options(populate_existing=True)).all()
    for order in orders:
        before, snapshot = known.get(order.number), changed[order.id].snapshot
        was = before.remote_status if before else order.remote_status
        if was != order.remote_status:
            events.record(
                "order.status",
                "order",
                order.id,
                f"TikTok: {tiktok.label(was)} to {tiktok.label(order.remote_status)}.",
                account_id=order.account_id,
                before={"status": was},
                after={"status": order.remote_status},
            )
            if not tiktok.is_known(order.remote_status):
                state.warn(order, unknown_status(order.remote_status))
            if order.remote_status == tiktok.CANCELLED and (why := recall.why_left(session, order, was)):
                recall.open_for(session, order, why)
        if order.cancel_requested and before is not None and not before.cancel_requested:
            events.record("order.cancel_requested", "order", order.id, "The buyer asks to cancel this order.", account_id=order.account_id)
        moved = _move(order, rules)
        done.states[order.id] = order.state
        if moved and order.state == READY:
            done.ready.append((order.id, order.number))
        new_address = _carry_address(session, order, snapshot, addresses.get(order.id))
        if order.state in (CREATING, CREATED) and (was != order.remote_status or new_address):
            done.follow.append((order.id, order.number))
    return done


def _move(order: Order, rules: Rules) -> bool:
    target = next_state(order.remote_status, current=order.state, origin=order.origin, policy=rules.policy)
    if target == order.state:
        return False
    order.policy_version_id = rules.policy_version_id
    return state.set_state(order, target, reason=f"TikTok status {order.remote_status}")


def _carry_address(session: Session, order: Order, snapshot: OrderSnapshot, held: Any) -> bool:
    """Note a new delivery address of an order that Magento has: before shipping it is to be carried over, afterwards it warns (TTS §6.5)."""
    if order.state not in (CREATING, CREATED) or not snapshot.has_address or snapshot.address_masked or held is None or held == dict(snapshot.address or {}):
        return False
    if tiktok.is_shipped(order.remote_status):
        state.warn(order, "The buyer changed the delivery address after the order was shipped; the parcel goes to the earlier address.")
        return False
    key = hashlib.blake2b(orjson.dumps(snapshot.address, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
    session.execute(
        dialect_of(session).insert(OutgoingAction.__table__).on_conflict_do_nothing(index_elements=["account_id", "order_id", "action", "key"]),
        [{"account_id": order.account_id, "order_id": order.id, "action": "address", "key": key}],
    )
    events.record("order.address_changed", "order", order.id, "The buyer changed the delivery address.", account_id=order.account_id)
    return True

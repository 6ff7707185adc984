"""Parcels that left although their order is cancelled (A264): stop it, await it, take it in. Nothing is restocked before it came back, and then once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.clients import errors as api
from connector.core import logs
from connector.core.clock import utcnow
from connector.core.db import db, dialect_of, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import deadlines
from connector.domain import tiktok_order as tiktok
from connector.models.account import Account
from connector.models.aftersales import (
    RECALL_LOST,
    RECALL_OPEN,
    RECALL_RECEIVED,
    RECALL_RETURNING,
    RecallTask,
)
from connector.models.order import Order, OrderLine, Shipment
from connector.services import connections, events, policies, runs, storefronts
from connector.services.orders import actions, fence, recall_memos, reservations, state
from connector.services.products import due, shop_stock

log = logs.get(__name__)

TAG = "cancel after shipped"
MOVES = {
    RECALL_OPEN: (RECALL_RETURNING, RECALL_RECEIVED, RECALL_LOST),
    RECALL_RETURNING: (RECALL_RECEIVED, RECALL_LOST),
    RECALL_RECEIVED: (),
    RECALL_LOST: (),
}
WORDS = {RECALL_OPEN: "Stop the parcel", RECALL_RETURNING: "On its way back", RECALL_RECEIVED: "Received", RECALL_LOST: "Lost"}
UNDER_WAY = (RECALL_OPEN, RECALL_RETURNING)
#: The outgoing action that one worker at a time holds while it settles a recall in the store.
ACTION = "recall"
#: Errors of a parcel that TikTok refused because the order was cancelled: the recall is what is left to do.
ANSWERED = ("ship.cancelled", "ship.status")
NOT_SETTLED, BUSY = "recall.not_settled", "recall.busy"
#: No call to the store lasts longer.
UNDER_WAY_AT_MOST = timedelta(seconds=75)


# --- opening --------------------------------------------------------------------------------------------------------------------------------


def why_left(session: Session, order: Order, was: str = "") -> str:
    """How it is known that something of the order has left; "" when nothing has. ``was``: TikTok's status before."""
    left = Shipment.state == "delivered"
    from_store = (Shipment.origin == "magento") & (Shipment.state != "ignored")
    parcel = session.scalar(select(Shipment.tracking_number).where(Shipment.order_id == order.id, left | from_store).limit(1))
    if parcel:
        return f"parcel {parcel} had left"
    shown = session.scalar(select(OrderLine.tracking_number).where(OrderLine.order_id == order.id, OrderLine.tracking_number != "").limit(1))
    if shown:
        return f"TikTok shows tracking number {shown}"
    return f"it was {was} on TikTok" if was and was != tiktok.CANCELLED and tiktok.is_shipped(was) else ""


def open_for(session: Session, order: Order, why: str, *, shipped: Mapping[str, int] | None = None) -> RecallTask | None:
    """Tag the order and open its recall in the caller's transaction, once; None for goods that are TikTok's to handle.

    ``shipped``: the store's SKU -> units that left, where only the store knows. What never left is held for nobody any more.
    """
    if order.fulfillment_type == tiktok.BY_TIKTOK:
        return None
    order.tag = TAG
    state.clear_flag(order, *ANSWERED, reason="the recall says what is to be done")
    query = select(RecallTask).where(RecallTask.order_id == order.id)
    known = session.scalar(query)
    if known is not None:
        return known
    dialect = dialect_of(session)
    values: dict[str, Any] = {
        "account_id": order.account_id, "order_id": order.id, "state": RECALL_OPEN, "why": why[:300], "units": _sent(session, order, shipped or {}), "received": {},
        "note": "", "opened_at": utcnow(), "due_at": _due(session, order, RECALL_OPEN), "closed_by": "",
    }  # fmt: skip
    session.execute(dialect.insert(RecallTask).values(**values).on_conflict_do_nothing(index_elements=["order_id"]))
    task = session.scalars(query).one()
    text = f"TikTok cancelled the order after it was shipped: {why}. Stop the parcel or await it; nothing goes back into stock before it was received."
    events.record("recall.opened", "order", order.id, text, account_id=order.account_id, after={"units": task.units})
    reservations.narrow(session, order.account_id, order.id, task.units)
    # TikTok puts the units of a cancelled order on offer again by itself (TTS §5.3.18): what it offers is read and sent anew
    due.mark(reason=f"Order {order.number} was cancelled after shipping", content=False, skus=task.units, account_id=order.account_id)
    shop_stock.forget(session, order.account_id, task.units)
    return task


def _due(session: Session, order: Order, state: str) -> datetime:
    """By when somebody should have seen to it, by the shop's clock as every deadline."""
    return connections.shop_now(session.get_one(Account, order.account_id)) + (deadlines.RECALL_STOP if state == RECALL_OPEN else deadlines.RECALL_BACK)


def _store_units(session: Session, task: RecallTask) -> Counter[str]:
    """The store's SKU -> units that left."""
    rows = session.execute(select(OrderLine.seller_sku, OrderLine.magento_sku).where(OrderLine.order_id == task.order_id))
    names = {seller: magento or seller for seller, magento in rows}
    found: Counter[str] = Counter()
    for sku, units in task.units.items():
        found[names.get(sku, sku)] += units
    return found


def away(order_id: int) -> Counter[str] | None:
    """The store's SKU -> units of an order's recall, whatever the store itself has shipped; None when it has none."""
    task = of_order(order_id)
    return _store_units(db.session(), task) if task is not None else None


def _sent(session: Session, order: Order, shipped: Mapping[str, int]) -> dict[str, int]:
    """Seller SKU -> units that left, as far as is known; all of them when nobody says which."""
    lines = session.scalars(select(OrderLine).where(OrderLine.order_id == order.id)).all()
    sent = list(session.scalars(select(Shipment).where(Shipment.order_id == order.id, Shipment.state != "ignored")))
    ids = {line_id for parcel in sent for line_id in parcel.line_ids}
    named = [line for line in lines if line.tracking_number or line.line_id in ids]
    if not named:
        wanted: Counter[str] = Counter()
        for parcel in sent:
            wanted.update(parcel.quantities)
        wanted = wanted or Counter(shipped)
        for line in lines:
            sku = line.magento_sku or line.seller_sku
            if wanted[sku] > 0:
                wanted[sku] -= 1
                named.append(line)
    return dict(Counter(line.seller_sku for line in named or lines))


def under_way(session: Session, order_ids: Collection[int]) -> frozenset[int]:
    """Those of the orders whose parcel is neither back nor lost: what they hold stays held."""
    query = select(RecallTask.order_id).where(RecallTask.order_id.in_(order_ids), RecallTask.state.in_(UNDER_WAY))
    return frozenset(session.scalars(query)) if order_ids else frozenset()


def of_order(order_id: int) -> RecallTask | None:
    return db.session.scalar(select(RecallTask).where(RecallTask.order_id == order_id))


# --- moving ---------------------------------------------------------------------------------------------------------------------------------


def move(order_id: int, to_state: str, *, received: Mapping[str, int] | None = None, note: str = "", actor: str) -> str:
    """Move a recall on; what was done, as a sentence. ``received``: seller SKU -> units that may be sold again (None: all that were sent).

    Receiving it puts the units into the store's stock once; calling again continues what was interrupted. Raises ``DomainError`` for a move that is not
    there, and ``ApiError`` of the store.
    """
    with unit_of_work() as session:
        order = session.get_one(Order, order_id, populate_existing=True, with_for_update=True)
        task = session.scalar(select(RecallTask).where(RecallTask.order_id == order_id).execution_options(populate_existing=True))
        if task is None:
            raise DomainError("recall.unknown", f"Order {order.number} has no recall.", "A recall is opened when TikTok cancels an order that has left.")
        if task.state != to_state:
            _move(session, order, task, to_state, received, note, actor)
        settled = to_state == RECALL_RETURNING or task.restocked_at is not None
    if settled:
        return f"Recall of order {order.number}: {WORDS[to_state]}."
    token = connections.order_now.set(order_id)
    try:
        return settle(order_id)
    finally:
        connections.order_now.reset(token)


def _move(session: Session, order: Order, task: RecallTask, to_state: str, received: Mapping[str, int] | None, note: str, actor: str) -> None:
    if to_state not in MOVES.get(task.state, ()):
        raise DomainError(
            "recall.move", f"The recall of order {order.number} is {WORDS.get(task.state, task.state)} and cannot become {WORDS.get(to_state, to_state)}.",
            "Open the order; its timeline tells what happened.",
        )  # fmt: skip
    before = task.state
    task.state, task.note = to_state, note.strip() or task.note
    if to_state == RECALL_RECEIVED:
        given = task.units if received is None else received
        wrong = [sku for sku, units in given.items() if units < 0 or units > task.units.get(sku, 0)]
        if wrong:
            sku = wrong[0]
            raise DomainError(
                "recall.units", f"{given[sku]} units of {sku} cannot have come back: {task.units.get(sku, 0)} were sent.", "Enter what can be sold again.",
                field=f"units-{sku}",
            )  # fmt: skip
        task.received = {sku: int(units) for sku, units in given.items() if units > 0}
    if to_state in (RECALL_RECEIVED, RECALL_LOST):
        task.closed_at, task.closed_by = utcnow(), actor
    else:
        task.due_at = _due(session, order, to_state)
    words = f"Recall: {WORDS[to_state]}."
    if to_state == RECALL_RECEIVED:
        words += " To be sold again: " + (", ".join(f"{units} x {sku}" for sku, units in task.received.items()) or "nothing") + "."
    events.record(
        f"recall.{to_state}", "order", order.id, words, account_id=order.account_id, actor=actor, reason=note.strip(),
        before={"state": before}, after={"state": to_state, "received": task.received},
    )  # fmt: skip


def unfinished(account_id: int) -> list[int]:
    """Orders whose recall is closed and not yet settled in the store (it was away, or the worker died)."""
    query = select(RecallTask.order_id).where(
        RecallTask.account_id == account_id, RecallTask.state.in_((RECALL_RECEIVED, RECALL_LOST)), RecallTask.restocked_at.is_(None)
    )
    found = list(db.session.scalars(query.order_by(RecallTask.id).limit(200)))
    end_reading()
    return found


def settle_unfinished(account_id: int) -> int:
    """Go on with them; how many were settled. One that the store refuses, or that cannot be read, stops nobody."""
    done = 0
    for order_id in unfinished(account_id):
        try:
            settle(order_id)
            done += 1
        except (api.ApiError, DomainError) as error:
            log.warning("recall_not_settled", order=order_id, fault=str(error)[:200])
            if error.code == BUSY:  # perhaps in the hands of a dead worker: that is known soon
                key, soon = f"cancellations.import:again:{account_id}", utcnow() + UNDER_WAY_AT_MOST
                runs.submit("cancellations.import", account_id=account_id, key=key, not_before=soon, quiet=True)
        except Exception as error:
            db.session.rollback()
            log.error("recall_broken", order=order_id, exc_info=error)
    return done


# --- the store ------------------------------------------------------------------------------------------------------------------------------


def settle(order_id: int) -> str:
    """Bring a closed recall into the store: what came back goes on the shelf, the rest is refunded without. At most once in effect; repeatable.

    One worker at a time: another gets ``Unavailable``. What the store refuses is the order's error as well, for it is tried unattended too.
    """
    turn = _hold(order_id)
    ended = "pending"
    try:
        said = _settle(order_id, turn)
        ended = "accepted"
        return said
    except api.Rejected as refused:
        if not refused.transient:
            with unit_of_work() as session:
                order = session.get_one(Order, order_id, populate_existing=True)
                text = f"The parcel of order {order.number} is not in the books of Magento order {order.magento_number or order.magento_id} yet: {refused}"
                state.flag(
                    order, NOT_SETTLED, text, "Put it right in Magento, then choose Try the store again on the recall's page. It is tried by itself too."
                )
        raise
    finally:
        db.session.rollback()
        with unit_of_work() as session:
            action = actions.take(session.get_one(Order, order_id), ACTION)
            if action.attempts == turn:
                action.state = ended


def _hold(order_id: int, turn: int = 0) -> int:
    """Take the recall, or go on holding it with the ``turn`` that was given, right before something is sent; the turn. Raises ``Unavailable`` when another
    worker has it, or has sent something with it that may still be under way: whoever was silent for longer is not believed to be at it, in a run or a page."""
    with unit_of_work() as session:
        order = fence.lock(session, order_id)
        action = actions.take(order, ACTION)
        held = action.state == "sent" and action.updated_at > utcnow() - UNDER_WAY_AT_MOST
        if (turn and action.attempts != turn) or (held and not turn):
            text = f"The recall of order {order.number} is being brought into the store right now."
            raise api.Unavailable(text, system="connector", operation="recall", code=BUSY, retry_after=30)
        action.state, action.attempts, action.updated_at = "sent", action.attempts + (not turn), utcnow()
        return action.attempts


def _settle(order_id: int, turn: int) -> str:
    order = db.session.get_one(Order, order_id, populate_existing=True)
    task = db.session.scalars(select(RecallTask).where(RecallTask.order_id == order_id).execution_options(populate_existing=True)).one()
    account = db.session.get_one(Account, order.account_id)
    names = {line.seller_sku: line.magento_sku or line.seller_sku for line in db.session.scalars(select(OrderLine).where(OrderLine.order_id == order_id))}
    policy, _ = policies.order_policy(account)
    end_reading()
    if not order.magento_id:
        reservations.release(order_id, task.state)
        return _settled(order_id, "The order is not in the store; what it held here is free again.", names)
    sellable: Counter[str] = Counter()
    for sku, units in task.received.items():
        sellable[names.get(sku, sku)] += units
    if external := storefronts.external_of(account.id):
        return _settled(order_id, external.restock(order_id, sellable), names)
    if task.state == RECALL_LOST and not policy.credit_memos:
        return _settled(order_id, "The parcel is lost; the store's order stays as it is.", names)
    said = recall_memos.refund(order, sellable, away(order_id) or Counter(), lambda: _hold(order_id, turn))
    return _settled(order_id, said, names)


def _settled(order_id: int, message: str, names: Mapping[str, str]) -> str:
    with unit_of_work() as session:
        order = session.get_one(Order, order_id, populate_existing=True, with_for_update=True)
        task = session.scalars(select(RecallTask).where(RecallTask.order_id == order_id).execution_options(populate_existing=True)).one()
        if task.restocked_at is None:
            task.restocked_at = utcnow()
            state.clear_flag(order, NOT_SETTLED, reason=message)
            events.record("recall.settled", "order", order_id, message, account_id=order.account_id, actor=task.closed_by or None)
            due.mark(reason=f"Order {order.number} came back", content=False, skus={names.get(sku, sku) for sku in task.units})
    return message

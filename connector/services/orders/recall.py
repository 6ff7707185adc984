"""Parcels that left although their order is cancelled (A264): stop it, await it, take it in. Nothing is restocked before it came back, and then once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from connector.clients import errors as api
from connector.core import logs
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import tiktok_order as tiktok
from connector.models.account import Account
from connector.models.aftersales import (
    MEMO_DONE,
    MEMO_IGNORED,
    MEMO_SENDING,
    MEMO_WAITING,
    RECALL_LOST,
    RECALL_OPEN,
    RECALL_RECEIVED,
    RECALL_RETURNING,
    TO_MAGENTO,
    CreditMemo,
    RecallTask,
)
from connector.models.order import Order, OrderLine, Shipment
from connector.services import connections, events, policies, storefronts
from connector.services.orders import reservations
from connector.services.products import due

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
#: The credit memos of a recall: what goes back on the shelf, and what does not.
BACK, GONE = "recall", "recall:gone"


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
    query = select(RecallTask).where(RecallTask.order_id == order.id)
    known = session.scalar(query)
    if known is not None:
        return known
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    values: dict[str, Any] = {
        "account_id": order.account_id, "order_id": order.id, "state": RECALL_OPEN, "why": why[:300], "units": _sent(session, order, shipped or {}), "received": {},
        "note": "", "opened_at": utcnow(), "closed_by": "",
    }  # fmt: skip
    session.execute(dialect.insert(RecallTask).values(**values).on_conflict_do_nothing(index_elements=["order_id"]))
    task = session.scalars(query).one()
    text = f"TikTok cancelled the order after it was shipped: {why}. Stop the parcel or await it; nothing goes back into stock before it was received."
    events.record("recall.opened", "order", order.id, text, account_id=order.account_id, after={"units": task.units})
    reservations.narrow(session, order.account_id, order.id, task.units)
    return task


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
            _move(order, task, to_state, received, note, actor)
        settled = to_state == RECALL_RETURNING or task.restocked_at is not None
    if settled:
        return f"Recall of order {order.number}: {WORDS[to_state]}."
    token = connections.order_now.set(order_id)
    try:
        return settle(order_id)
    finally:
        connections.order_now.reset(token)


def _move(order: Order, task: RecallTask, to_state: str, received: Mapping[str, int] | None, note: str, actor: str) -> None:
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
    """Go on with them; how many were settled. One that the store refuses stops nobody."""
    done = 0
    for order_id in unfinished(account_id):
        try:
            settle(order_id)
            done += 1
        except (api.ApiError, DomainError) as error:
            log.warning("recall_not_settled", order=order_id, fault=str(error)[:200])
    return done


# --- the store ------------------------------------------------------------------------------------------------------------------------------


def settle(order_id: int) -> str:
    """Bring a closed recall into the store: what came back goes on the shelf, the rest is refunded without. At most once in effect; repeatable."""
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
    return _settled(order_id, _refund(order, sellable), names)


def _refund(order: Order, sellable: Counter[str]) -> str:
    """Magento's way of giving a shipped order back: a credit memo with return to stock, and one without for what cannot be sold."""
    client = connections.magento_for(order.account_id)
    assert order.magento_id is not None
    number = order.magento_number or order.magento_id
    memos = _memos(order.id)
    if not memos:
        _alone(order)
    facts = client.order(order.magento_id)
    if not memos:
        items = [item for item in facts.get("items") or () if not item.get("parent_item_id")]
        if any(_open(item) > 0 for item in items):  # shipped units that were never invoiced: only what is invoiced can be refunded
            client.invoice(order.magento_id, capture=False, comment=f"Closes TikTok order {order.number}, which was cancelled after shipping")
            facts = client.order(order.magento_id)
            items = [item for item in facts.get("items") or () if not item.get("parent_item_id")]
        memos = _plan(order, items, sellable, away(order.id) or Counter())
    if not memos:
        return f"Magento order {number} was refunded before; its credit memos say which units went back to stock."
    for memo in memos:
        _write(client, order, memo, facts)
    returned = sum(sum(memo.items.values()) for memo in memos if memo.return_to_stock)
    with unit_of_work() as session:
        after = session.get_one(Order, order.id, populate_existing=True)
        after.magento_state, after.magento_status = facts.get("state"), facts.get("status")
    return f"Magento order {number} was refunded; {returned} unit{'' if returned == 1 else 's'} went back into stock."


def _alone(order: Order) -> None:
    """The memo of the units that never left is written by now, or is left to the recall. Raises ``Unavailable`` while one is being written."""
    with unit_of_work() as session:
        query = select(CreditMemo).where(CreditMemo.order_id == order.id, CreditMemo.key.startswith("lines:"))
        for memo in session.scalars(query.with_for_update().execution_options(populate_existing=True)):
            if memo.state == MEMO_SENDING:
                text = f"The units of order {order.number} that never left are being taken off its Magento order"
                raise api.Unavailable(text, system="connector", operation="recall", code="recall.busy", retry_after=30)
            if memo.state == MEMO_WAITING:
                memo.state, memo.failure_message = MEMO_IGNORED, "The recall has taken these units along."


def _plan(order: Order, items: list[dict[str, Any]], sellable: Counter[str], away: Counter[str]) -> list[CreditMemo]:
    """Which units each credit memo takes, written down before the first call. Units that never left go back on the shelf as well."""
    back: dict[str, int] = {}
    gone: dict[str, int] = {}
    for item in items:
        left = int(_number(item, "qty_invoiced") - _number(item, "qty_refunded"))
        if left <= 0:
            continue
        sent = max(int(_number(item, "qty_shipped")), min(away[str(item["sku"])], int(_number(item, "qty_ordered"))))
        away[str(item["sku"])] -= sent
        kept = min(left, max(0, int(_number(item, "qty_invoiced") - _number(item, "qty_refunded")) - sent))
        taken = min(left - kept, sellable[str(item["sku"])])
        sellable[str(item["sku"])] -= taken
        back |= {str(item["item_id"]): kept + taken} if kept + taken else {}
        gone |= {str(item["item_id"]): left - kept - taken} if left > kept + taken else {}
    with unit_of_work() as session:
        for key, units in ((BACK, back), (GONE, gone)):
            if units:
                session.add(
                    CreditMemo(
                        account_id=order.account_id, order_id=order.id, key=key, direction=TO_MAGENTO, state=MEMO_WAITING, currency=order.currency,
                        items=units, return_to_stock=list(units) if key == BACK else [],
                    )
                )  # fmt: skip
    return _memos(order.id)


def _write(client: Any, order: Order, memo: CreditMemo, facts: dict[str, Any]) -> None:
    """One planned credit memo. After a lost answer the order's refunded units tell whether it is there."""
    assert order.magento_id is not None
    if memo.state in (MEMO_DONE, MEMO_IGNORED):
        return
    if memo.state == MEMO_SENDING:
        facts |= client.order(order.magento_id)
        if memo_id := _written(client, order, memo):
            _done(memo.id, memo_id)
            return
    with unit_of_work() as session:
        row = session.get_one(CreditMemo, memo.id, populate_existing=True, with_for_update=True)
        row.state, row.attempts = MEMO_SENDING, row.attempts + 1
    shipping = Decimal(str(facts.get("base_shipping_invoiced") or 0)) - Decimal(str(facts.get("base_shipping_refunded") or 0))
    memo_id = client.refund(
        order.magento_id, items=memo.items, shipping_amount=max(shipping, Decimal(0)), return_to_stock=memo.return_to_stock, comment=_comment(order, memo)
    )
    _done(memo.id, memo_id)
    facts |= client.order(order.magento_id)


def _written(client: Any, order: Order, memo: CreditMemo) -> str:
    """The id of a credit memo that was sent before and whose answer was lost: ours by its items, and no other row's."""
    wanted = {item: Decimal(units) for item, units in memo.items.items()}
    taken = set(db.session.scalars(select(CreditMemo.memo_id).where(CreditMemo.order_id == order.id, CreditMemo.memo_id.is_not(None))))
    end_reading()
    for found in client.creditmemos_of(order.magento_id):
        units = {str(item["order_item_id"]): Decimal(str(item.get("qty") or 0)) for item in found.get("items") or ()}
        if str(found["entity_id"]) not in taken and {item: qty for item, qty in units.items() if qty} == wanted:
            return str(found["entity_id"])
    return ""


def _comment(order: Order, memo: CreditMemo) -> str:
    what = "came back" if memo.return_to_stock else "did not come back or cannot be sold"
    return f"TikTok order {order.number} was cancelled after shipping; these units {what}."


def _done(memo_pk: int, memo_id: str) -> None:
    with unit_of_work() as session:
        row = session.get_one(CreditMemo, memo_pk, populate_existing=True)
        row.state, row.memo_id, row.done_at = MEMO_DONE, memo_id, utcnow()


def _memos(order_id: int) -> list[CreditMemo]:
    query = select(CreditMemo).where(CreditMemo.order_id == order_id, CreditMemo.key.in_((BACK, GONE))).order_by(CreditMemo.id)
    found = list(db.session.scalars(query.execution_options(populate_existing=True)))
    end_reading()
    return found


def _settled(order_id: int, message: str, names: Mapping[str, str]) -> str:
    with unit_of_work() as session:
        order = session.get_one(Order, order_id, populate_existing=True, with_for_update=True)
        task = session.scalars(select(RecallTask).where(RecallTask.order_id == order_id).execution_options(populate_existing=True)).one()
        if task.restocked_at is None:
            task.restocked_at = utcnow()
            events.record("recall.settled", "order", order_id, message, account_id=order.account_id, actor=task.closed_by or None)
            due.mark(reason=f"Order {order.number} came back", content=False, skus={names.get(sku, sku) for sku in task.units})
    return message


def _open(item: Mapping[str, Any]) -> Decimal:
    """Units that are ordered and neither invoiced nor cancelled."""
    return _number(item, "qty_ordered") - _number(item, "qty_invoiced") - _number(item, "qty_canceled")


def _number(item: Mapping[str, Any], name: str) -> Decimal:
    return Decimal(str(item.get(name) or 0))

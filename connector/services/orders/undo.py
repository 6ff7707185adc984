"""Taking back a Magento order whose TikTok order was cancelled (product.md 6, 7; MAG §4.5.2, §4.6.3): once, and only what was not shipped.

Magento cancels what is not invoiced. An invoiced order is refunded offline instead, with every unit returned to stock, so that stock comes back
exactly once either way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connector.clients import errors as api
from connector.clients.magento import MagentoClient
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.models.order import Order
from connector.services import connections, events, runs, storefronts
from connector.services.orders import actions, fence, recall, state

ACTION = "cancel_magento"
NOT_POSSIBLE = "magento.not_cancelled"


@dataclass(frozen=True, slots=True)
class Undone:
    """``how``: nothing (no Magento order), canceled, refunded, shipped (left alone), already (it was canceled or closed)."""

    how: str
    message: str


def cancel_in_magento(order_id: int, *, reason: str) -> Undone:
    """Cancel or refund the Magento order of a cancelled TikTok order. At most once in effect: what Magento shows is read before anything is done,
    and one living run at a time is at it.

    An order of which something was shipped is left alone with a warning. Raises ``ApiError``; calling again continues.
    """
    order = db.session.get(Order, order_id, populate_existing=True)
    if order is None or not order.magento_id:
        return Undone("nothing", "The order is not in Magento.")
    if external := storefronts.external_of(order.account_id):
        return external.cancel(order_id, reason=reason)
    magento_id, account_id, number = order.magento_id, order.account_id, order.magento_number or order.magento_id
    client = connections.magento_for(account_id)
    end_reading()
    _claim(order, reason)
    try:
        try:
            undone, facts = _undo(client, magento_id, number, reason, recalled=recall.of_order(order_id) is not None)
        except api.Rejected as refused:
            undone, facts = _done_meanwhile(order_id, client, magento_id, number, refused)
    except api.ApiError:
        with unit_of_work() as session:
            action = actions.take(session.get_one(Order, order_id), ACTION)
            action.request = {**action.request, "run": None}
        raise
    with unit_of_work() as session:
        order = session.get(Order, order_id, populate_existing=True)
        assert order is not None
        action = actions.take(order, ACTION)
        repeated = bool(action.answer)
        action.state, action.answer = "accepted", {"how": undone.how}
        order.magento_state, order.magento_status = facts.get("state"), facts.get("status")
        if undone.how == "shipped":
            state.warn(order, undone.message)
            recall.open_for(session, order, f"Magento order {number} has shipped units", shipped=_shipped(facts))
            runs.submit("returns.memos", account_id=account_id, key=f"returns.memos:{account_id}", quiet=True)  # units that never left
        else:
            state.clear_flag(order, NOT_POSSIBLE, reason=undone.message)
            if not repeated:
                events.record("order.undone", "order", order.id, undone.message, account_id=account_id, reason=reason)
    return undone


def _claim(order: Order, reason: str) -> None:
    """Write down that this run takes the order back. Raises ``Unavailable`` while another living one is at it: of two refunds at once Magento may write both.
    What a dead one had begun is gone on with at once, by what Magento shows."""
    run_id = events.run_now.get()
    with unit_of_work():
        action = actions.take(order, ACTION)
        holder = action.request.get("run")
        believed = action.state == "sent" and holder not in (None, run_id) and action.updated_at > utcnow() - fence.CLAIM
        if believed and runs.alive(holder):
            text = f"Order {order.number} is being taken back in Magento right now."
            raise api.Unavailable(text, system="connector", operation="undo", code="order.busy", retry_after=5)
        action.attempts += 1
        if not action.answer:  # what was settled before stays so, whoever looks again
            action.state = "sent"
        action.request = {"reason": reason, **action.request, "run": run_id}


def shipped_units(order: Order) -> Decimal:
    """How many units of the order have left by what the store says now; 0 for an order that is not there. An external storefront tells only whether
    (1) or not (0). Raises ``ApiError``."""
    if not order.magento_id:
        return Decimal(0)
    if external := storefronts.external_of(order.account_id):
        there = external.read(order.id)
        return Decimal(1 if there and there.shipped else 0)
    facts = connections.magento_for(order.account_id).order(order.magento_id)
    return sum((Decimal(str(item.get("qty_shipped") or 0)) for item in facts.get("items") or () if not item.get("parent_item_id")), Decimal(0))


def _done_meanwhile(order_id: int, client: MagentoClient, magento_id: str, number: str, refused: api.Rejected) -> tuple[Undone, dict[str, Any]]:
    """Magento refuses what somebody else has just done; anything else it refuses is shown on the order and raised again."""
    facts = client.order(magento_id)
    if facts.get("state") not in ("canceled", "closed"):
        if not refused.transient:
            with unit_of_work() as session:
                order = session.get_one(Order, order_id, populate_existing=True)
                order.magento_state, order.magento_status = facts.get("state"), facts.get("status")
                text = f"TikTok cancelled order {order.number}, and Magento does not take order {number} back: {refused}"
                state.flag(order, NOT_POSSIBLE, text, "Take it off hold, or cancel or refund it in Magento by hand. It is tried again by itself.")
        raise refused
    return Undone("already", f"Magento order {number} is {facts['state']} already."), facts


def _undo(client: MagentoClient, magento_id: str, number: str, reason: str, *, recalled: bool) -> tuple[Undone, dict[str, Any]]:
    end_reading()
    facts = client.order(magento_id)
    if facts.get("state") in ("canceled", "closed"):
        return Undone("already", f"Magento order {number} is {facts['state']} already."), facts
    items = [item for item in facts.get("items") or () if not item.get("parent_item_id")]
    if recalled or _shipped(facts):
        why = "has shipped units" if _shipped(facts) else "had a parcel that left"
        text = f"TikTok cancelled the order, but Magento order {number} {why}: what left waits for the parcel. See the order's recall."
        return Undone("shipped", text), facts
    if any(_left(item) > 0 for item in items) or _shipping_left(facts) > 0:  # units that the merchant refunded leave their shipping behind
        return _refund(client, magento_id, number, items, facts, reason)
    if items and not any(_standing(item) for item in items):  # an order of nothing may stay complete with every unit given back
        return Undone("already", f"Magento order {number} has no unit left: all were refunded or canceled."), facts
    if client.cancel(magento_id):
        return Undone("canceled", f"Magento order {number} was cancelled: {reason}."), client.order(magento_id)
    raise api.Rejected(
        f"Magento answered that order {number} cannot be cancelled; it is {facts.get('state')} ({facts.get('status')}).",
        system="magento", operation="cancel", code=NOT_POSSIBLE,
    )  # fmt: skip


def _refund(
    client: MagentoClient, magento_id: str, number: str, items: list[dict[str, Any]], facts: dict[str, Any], reason: str
) -> tuple[Undone, dict[str, Any]]:
    """An offline credit memo over everything invoiced and not refunded; unshipped units must be listed as returned, or Magento counts them as gone."""
    quantities = {str(item["item_id"]): _left(item) for item in items if _left(item) > 0}
    client.refund(
        magento_id, items=quantities, shipping_amount=_shipping_left(facts), return_to_stock=list(quantities), comment=f"Cancelled on TikTok: {reason}"
    )
    after = client.order(magento_id)
    if after.get("state") not in ("canceled", "closed"):
        client.cancel(magento_id)  # units that were never invoiced
        after = client.order(magento_id)
    return Undone("refunded", f"Magento order {number} was refunded and its units returned to stock: {reason}."), after


def _shipped(facts: dict[str, Any]) -> dict[str, int]:
    """SKU -> units that Magento has shipped."""
    found: Counter[str] = Counter()
    for item in facts.get("items") or ():
        if not item.get("parent_item_id"):
            found[str(item.get("sku"))] += int(Decimal(str(item.get("qty_shipped") or 0)))
    return dict(+found)


def _standing(item: dict[str, Any]) -> Decimal:
    given_back = Decimal(str(item.get("qty_refunded") or 0)) + Decimal(str(item.get("qty_canceled") or 0))
    return Decimal(str(item.get("qty_ordered") or 0)) - given_back


def _left(item: dict[str, Any]) -> Decimal:
    return Decimal(str(item.get("qty_invoiced") or 0)) - Decimal(str(item.get("qty_refunded") or 0))


def _shipping_left(facts: dict[str, Any]) -> Decimal:
    return Decimal(str(facts.get("base_shipping_invoiced") or 0)) - Decimal(str(facts.get("base_shipping_refunded") or 0))

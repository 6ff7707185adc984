"""The credit memos of a recall (A264; MAG §4.6.3): Magento's way of giving a shipped order back. One returns units to stock, the other does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.models.aftersales import MEMO_DONE, MEMO_IGNORED, MEMO_SENDING, MEMO_WAITING, TO_MAGENTO, CreditMemo
from connector.models.order import Order
from connector.services import connections

#: Their keys: what goes back on the shelf, and what does not.
BACK, GONE = "recall", "recall:gone"


def refund(order: Order, sellable: Counter[str], away: Counter[str], hold: Callable[[], object]) -> str:
    """Give a shipped order back in Magento; what was done, as a sentence. Raises ``ApiError``; calling again continues.

    ``sellable``: the store's SKU -> units that came back whole; ``away``: the same for those that left. ``hold`` is called right before
    anything is planned or sent and raises ``Unavailable`` when another worker has the recall.
    """
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
            hold()
            client.invoice(order.magento_id, capture=False, comment=f"Closes TikTok order {order.number}, which was cancelled after shipping")
            facts = client.order(order.magento_id)
            items = [item for item in facts.get("items") or () if not item.get("parent_item_id")]
        hold()
        memos = _plan(order, items, sellable, away)
    if not memos:
        return f"Magento order {number} was refunded before; its credit memos say which units went back to stock."
    for memo in memos:
        _write(client, order, memo, facts, hold)
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


def _write(client: Any, order: Order, memo: CreditMemo, facts: dict[str, Any], hold: Callable[[], object]) -> None:
    """One planned credit memo. After a lost answer the order's refunded units tell whether it is there."""
    assert order.magento_id is not None
    if memo.state in (MEMO_DONE, MEMO_IGNORED):
        return
    if memo.state == MEMO_SENDING:
        facts |= client.order(order.magento_id)
        if memo_id := _written(client, order, memo):
            _done(memo.id, memo_id)
            return
    hold()
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


def _open(item: Mapping[str, Any]) -> Decimal:
    """Units that are ordered and neither invoiced nor cancelled."""
    return _number(item, "qty_ordered") - _number(item, "qty_invoiced") - _number(item, "qty_canceled")


def _number(item: Mapping[str, Any], name: str) -> Decimal:
    return Decimal(str(item.get(name) or 0))

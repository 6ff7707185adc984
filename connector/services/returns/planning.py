"""What a credit memo to Magento would hold, and what an answer would do there (MAG §4.6.3; product.md 9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import and_, or_, select

from connector.core.db import db, end_reading
from connector.core.errors import DomainError
from connector.domain import credit_memo as arithmetic
from connector.domain import returns as rules
from connector.domain.credit_memo import MemoPlan
from connector.domain.returns import Action
from connector.models.aftersales import GOODS_RECEIVED, MEMO_DONE, CreditMemo, Return
from connector.models.order import Order, OrderLine
from connector.services import connections, storefronts
from connector.services.orders import recall
from connector.services.returns import importing
from connector.services.returns.terms import Ignored, policy_of, words

#: Whether the buyer gets money for a granted return, as far as it says; a replacement or exchange that was settled with goods does not.
PAYS = and_(
    Return.amount > 0,
    or_(
        Return.return_type.not_in((rules.REPLACEMENT, rules.EXCHANGE)),
        Return.remote_status.endswith("REFUND_SUCCESS"),
        Return.decision.in_(("ISSUE_REPLACEMENT_REFUND", "ISSUE_EXCHANGE_REFUND")),
    ),
)


def plan_return(return_pk: int, facts: Mapping[str, Any]) -> MemoPlan:
    """The credit memo of a return. Raises ``DomainError`` when its units are not in the Magento order, or that is in another currency.

    Less than the buyer paid is money alone, the units stay sold, where he keeps the goods or took an offer; goods that he sends back are refunded units,
    whatever TikTok takes off for the way.
    """
    row = importing.get(return_pk)
    snapshot = importing.snapshot_of(row)
    policy = policy_of(row.account_id)
    query = select(OrderLine).where(OrderLine.order_id == row.order_id, OrderLine.line_id.in_(row.line_ids))
    lines = list(db.session.scalars(query.order_by(OrderLine.id)))
    units = Counter(line.magento_item_id for line in lines if line.magento_item_id)
    paid = sum((line.sale_price for line in lines), Decimal(0))
    end_reading()
    if not units or sum(units.values()) < len(row.line_ids):
        raise DomainError(
            "memo.units_unknown", f"Return {row.return_id} is about units that Magento order {facts.get('increment_id')} does not have.",
            "Refund them in Magento by hand.",
        )  # fmt: skip
    there = str(facts.get("order_currency_code") or row.currency)
    if row.currency and there != row.currency:
        raise DomainError(
            "memo.currency", f"TikTok refunds return {row.return_id} in {row.currency}, but Magento order {facts.get('increment_id')} is in {there}.",
            "Refund it in Magento by hand.",
        )  # fmt: skip
    offered = snapshot.offered_amount is not None and not snapshot.offer_declined and snapshot.meaning.phase in importing.GRANTED
    amount = snapshot.offered_amount if offered and snapshot.offered_amount is not None and snapshot.offered_amount < row.amount else row.amount
    keeps = row.return_type == rules.REFUND or snapshot.buyer_keeps_item
    partial = amount < paid and (offered or keeps)
    shipping = Decimal(str((row.body.get("refund_amount") or {}).get("refund_shipping_fee") or 0))
    alone = select(CreditMemo.id).where(CreditMemo.order_id == row.order_id, CreditMemo.key == f"restock:{row.return_id}")
    here = row.goods == GOODS_RECEIVED and row.restocked_at is None and db.session.scalar(alone) is None  # else they go onto the shelf without this memo
    end_reading()
    back = set(units) if policy.restock_returns and here else set()
    named = {str(item): count for item, count in units.items()}
    return arithmetic.plan(facts, named, amount=amount, shipping=shipping, partial=partial, back=back)


def cancelled_units(order_id: int, facts: Mapping[str, Any]) -> dict[str, int]:
    """Magento order item id -> units that TikTok cancelled, that never left and that Magento still counts. Those that left are for the order's recall, or,
    where the order lives on, for a person. Raises ``Ignored`` when there are none, ``DomainError`` for a person."""
    sent_away = recall.away(order_id)
    query = select(OrderLine.magento_item_id).where(
        OrderLine.order_id == order_id, OrderLine.remote_status == "CANCELLED", OrderLine.magento_item_id.is_not(None)
    )
    cancelled = Counter(str(item) for item in db.session.scalars(query))
    returned: Counter[str] = Counter()
    memos = select(CreditMemo.items).where(CreditMemo.order_id == order_id, CreditMemo.key.startswith("return:"), CreditMemo.state == MEMO_DONE)
    for items in db.session.scalars(memos):
        returned.update(items)
    end_reading()
    units: dict[str, int] = {}
    for item in facts.get("items") or ():
        wanted = cancelled.get(str(item.get("item_id")), 0)
        if not wanted:
            continue
        # what is neither sent, nor refunded, nor cancelled can be taken off; the living lines of the item keep theirs
        dec = {name: Decimal(str(item.get(f"qty_{name}") or 0)) for name in ("ordered", "invoiced", "shipped", "refunded", "canceled")}
        gone = max(int(dec["refunded"] + dec["canceled"]) - returned[str(item.get("item_id"))], 0)
        sent = max(int(dec["shipped"]), min(sent_away[str(item.get("sku"))], int(dec["ordered"]))) if sent_away is not None else int(dec["shipped"])
        unsent = int(dec["ordered"]) - sent - gone
        take = min(wanted - min(wanted, gone), max(unsent, 0))
        if take < wanted - gone and sent_away is None:
            raise DomainError(
                "memo.shipped", f"TikTok cancelled {wanted} of {item.get('sku')}, but Magento order {facts.get('increment_id')} has shipped units of it.",
                "Recall the parcel; refund the units in Magento when they are back.",
            )  # fmt: skip
        if take:
            units[str(item.get("item_id"))] = take
    if not units:
        raise Ignored("Magento has taken the cancelled units off already.")
    return units


def plan(return_pk: int) -> MemoPlan:
    """What the credit memo of a return would hold now; reads the order in Magento. Raises ``ApiError``, ``DomainError``."""
    row = importing.get(return_pk)
    order = db.session.get_one(Order, row.order_id)
    account_id, magento_id, number = row.account_id, order.magento_id, order.number
    if not magento_id:
        raise DomainError("memo.no_order", f"Order {number} is not in Magento.", "Nothing is to be refunded there.")
    client = connections.magento_for(account_id)
    end_reading()
    return plan_return(return_pk, client.order(magento_id))


def sentence(row: Return, action: Action) -> str:
    """What this answer would do in Magento, before it is given; local knowledge only."""
    order = db.session.get_one(Order, row.order_id)
    if not order.magento_id:
        return "The order is not in the store; nothing happens there."
    policy, number = policy_of(row.account_id), order.magento_number or order.magento_id
    if action.rejects and not action.partial:
        return "Nothing happens in the store."
    if storefronts.external_of(row.account_id):
        return "The external storefront books no refunds: TikTok pays the buyer back."
    if action.decision == "APPROVE_REPLACEMENT":
        return "TikTok makes a new order for nothing; it is created in the store and shipped like any other."
    if not policy.credit_memos:
        return "The order policy writes no credit memos: refund it in Magento by hand."
    if action.partial:
        return f"When the buyer accepts, a credit memo of the amount is written for Magento order {number}; no goods go into stock."
    if action.decision == "APPROVE_RETURN":
        return f"Nothing yet: the credit memo for Magento order {number} is written when TikTok refunds the buyer."
    goods = "; the units go back into stock" if action.decision == "APPROVE_RECEIVED_PACKAGE" and policy.restock_returns else "; no goods go into stock"
    return f"A credit memo of {words(row.amount, row.currency)} is written for Magento order {number}{goods}."

"""Goods that come back after their money was refunded: the units go onto the shelf without a second refund, once (MAG §4.3.3, §4.6.3).

A credit memo cannot bring them back any more (its units are refunded, and a fully refunded order is closed), so the source that they were sent from gets
them. Source quantities are absolute: what was read and what is written are kept first, so that a lost answer is recognised by the figure itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from connector.clients import errors as api
from connector.clients.magento import MagentoClient
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.models.aftersales import FROM_MAGENTO, CreditMemo, Return
from connector.models.order import Order, OrderLine
from connector.services import connections, storefronts
from connector.services.orders import actions
from connector.services.returns import importing

ACTION = "restock"


def put_back(order_id: int, return_pk: int, *, hold: Callable[[], None]) -> str:
    """Put the units of a return back into stock, at most once; what was done, in a sentence. ``hold`` is called right before stock is written and raises
    when somebody else does it. Raises ``ApiError``; ``DomainError`` when a person has to."""
    row = importing.get(return_pk)
    order = db.session.get_one(Order, order_id)
    return_id, account_id, magento_id = row.return_id, row.account_id, order.magento_id or ""
    if row.restocked_at is not None:
        return f"The goods of return {return_id} are in stock since {row.restocked_at:%d %b %Y %H:%M} UTC."
    units = units_of(order_id, return_pk)
    if external := storefronts.external_of(account_id):
        return external.restock(order_id, units)
    memo = _refunded_by_hand(order_id, return_pk)
    client = connections.magento_for(account_id)
    end_reading()
    try:
        moves = _begun(order_id, return_id)
        if not moves and memo:  # Magento does not say whether a credit memo has put its units back
            raise _by_hand(return_id, units, f"Credit memo {memo}, made in Magento, refunds the same units and may have put them into stock")
        moves = moves or _begin(client, order_id, return_id, magento_id, units)
        now = _quantities(client, [move["sku"] for move in moves])
        wanted = {(move["sku"], move["source"]): (Decimal(move["before"]), Decimal(move["after"])) for move in moves}
        seen = [now.get(place, (Decimal(0), 1))[0] for place in wanted]
        if seen == [before for before, _ in wanted.values()]:
            hold()
            _save(client, order_id, return_id, [(sku, source, after) for (sku, source), (_, after) in wanted.items()])
        elif seen != [after for _, after in wanted.values()]:
            raise _by_hand(return_id, units, "Its stock moved while it was being put back, and Magento's answer was lost")
    except api.NotFound as error:
        raise _by_hand(return_id, units, "Magento has no sources (MSI is off)") from error
    with unit_of_work():
        action = actions.take(db.session.get_one(Order, order_id), ACTION, return_id)
        action.state = "accepted"
    what = ", ".join(f"{count} of {sku}" for sku, count in units.items())
    return f"The goods of return {return_id} are in stock again: {what}, in {', '.join(sorted({move['source'] for move in moves}))}."


def units_of(order_id: int, return_pk: int) -> Counter[str]:
    """Magento SKU -> units of a return."""
    line_ids = importing.get(return_pk).line_ids
    lines = db.session.execute(select(OrderLine.magento_sku, OrderLine.seller_sku).where(OrderLine.order_id == order_id, OrderLine.line_id.in_(line_ids)))
    return Counter(magento or seller for magento, seller in lines)


def _refunded_by_hand(order_id: int, return_pk: int) -> str:
    """A credit memo that the merchant made for units which this return brings back; "" when his memos can have been about other units."""
    of_order = select(OrderLine.line_id, OrderLine.magento_item_id).where(OrderLine.order_id == order_id)
    lines: dict[str, str | None] = {line_id: item for line_id, item in db.session.execute(of_order)}  # noqa: C416 - rows are not pairs to a type checker
    back: Counter[str | None] = Counter()
    for row in db.session.scalars(select(Return).where(Return.order_id == order_id)):
        if row.id == return_pk or row.restocked_at is not None:
            back.update(lines.get(line_id) for line_id in row.line_ids)
    sold = Counter(lines.values())
    query = select(CreditMemo).where(CreditMemo.order_id == order_id, CreditMemo.direction == FROM_MAGENTO).order_by(CreditMemo.id)
    taken: Counter[str] = Counter()
    for memo in db.session.scalars(query):
        taken.update({item: int(count) for item, count in memo.items.items()})
        if any(back[item] and taken[item] + back[item] > sold[item] for item in memo.items):
            return memo.memo_id or ""
    return ""


def _save(client: MagentoClient, order_id: int, return_id: str, rows: list[tuple[str, str, Decimal]]) -> None:
    try:
        client.save_source_items([{"sku": sku, "source_code": source, "quantity": float(after), "status": 1} for sku, source, after in rows])
    except (api.Unavailable, api.Rejected):  # it was not done: the next attempt reads the figures anew
        with unit_of_work():
            actions.take(db.session.get_one(Order, order_id), ACTION, return_id).request = {}
        raise


def _begun(order_id: int, return_id: str) -> list[dict[str, str]]:
    """What an earlier attempt set out to write."""
    with unit_of_work():
        action = actions.take(db.session.get_one(Order, order_id), ACTION, return_id)
        return list((action.request or {}).get("moves") or [])


def _begin(client: MagentoClient, order_id: int, return_id: str, magento_id: str, units: Mapping[str, int]) -> list[dict[str, str]]:
    now = _quantities(client, list(units))
    left_from = _sources(client, magento_id)
    moves = []
    for sku, count in units.items():
        places = [place for place in now if place[0] == sku]
        if not places:
            raise _by_hand(return_id, units, f"Magento keeps no stock of {sku}")
        source = left_from.get(sku.casefold())
        place = next((each for each in places if each[1] == source), max(places, key=lambda each: now[each][0]))
        before = now[place][0]
        moves.append({"sku": sku, "source": place[1], "before": f"{before:f}", "after": f"{before + count:f}"})
    with unit_of_work():
        action = actions.take(db.session.get_one(Order, order_id), ACTION, return_id)
        action.state, action.attempts, action.request = "sent", action.attempts + 1, {"moves": moves}
    return moves


def _quantities(client: MagentoClient, skus: list[str]) -> dict[tuple[str, str], tuple[Decimal, int]]:
    """(SKU, source) -> (physical quantity, status)."""
    rows = client.source_items(skus)
    named = {sku.casefold(): sku for sku in skus}
    return {
        (named.get(str(row["sku"]).casefold(), str(row["sku"])), str(row["source_code"])): (Decimal(str(row["quantity"])), int(row.get("status") or 0))
        for row in rows
    }


def _sources(client: MagentoClient, magento_id: str) -> dict[str, str]:
    """From which source each SKU of the order was sent last."""
    found: dict[str, str] = {}
    for shipment in client.shipments_of(magento_id):
        code = (shipment.get("extension_attributes") or {}).get("source_code")
        for item in shipment.get("items") or ():
            if code:
                found[str(item.get("sku") or "").casefold()] = str(code)
    return found


def _by_hand(return_id: str, units: Mapping[str, Any], why: str) -> DomainError:
    what = ", ".join(f"{count} of {sku}" for sku, count in units.items())
    return DomainError(
        "restock.by_hand", f"The goods of return {return_id} are not in stock yet: {what}. {why}.", "Put the units into stock in Magento by hand."
    )

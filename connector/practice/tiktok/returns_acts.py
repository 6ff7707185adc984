"""What a buyer, a carrier or the platform does to a return, for the console and the control API. Raises ValueError when it cannot be done."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import orjson

from .orderbook import Document, Order, load, load_by_return, public, save
from .reasons import return_reasons
from .returns_decisions import possible
from .returns_life import (
    APPEALABLE,
    AWAITING_ANSWER,
    AWAITING_SHIP,
    EXCHANGE,
    FINAL,
    GRANTED,
    OUTCOMES,
    SHIPPED,
    SUCCESS,
    TYPES,
    Request,
    amount_of,
    appeal,
    approve,
    arbitrate,
    close,
    decline_offer,
    move,
    open_return,
    record,
    refund,
    returnable,
    send_back,
    set_amount,
)
from .schedule import settle
from .uploads import drawn_picture

if TYPE_CHECKING:
    from .marketplace import Marketplace

COLOURS = ((156, 39, 55), (46, 107, 62), (120, 84, 160), (176, 110, 20))
MOST_PICTURES = 9


def ask_return(market: Marketplace, order: Order, wish: Document, now: int) -> None:
    """`type`, and any of `reason`, `line_ids`, `amount`, `note`, `pictures` (how many), `by`, `quick_refund`, `shipment_type`, `handover_method`."""
    kind, by = wish.get("type", "REFUND"), wish.get("by", "BUYER")
    if kind not in TYPES:
        raise ValueError(f"type is one of {', '.join(TYPES)}")
    if by not in ("BUYER", "OPERATOR", "SYSTEM"):
        raise ValueError("by is BUYER, OPERATOR or SYSTEM; the seller's own returns are made by API")
    open_lines = {line["id"]: line for line in returnable(order, kind, "BUYER")}
    chosen = list(dict.fromkeys(wish.get("line_ids") or open_lines))
    if not chosen or not set(chosen) <= set(open_lines):
        raise ValueError(f"no {kind} can be asked for these lines: order {order.id} is {order.status} and has {len(open_lines)} lines open to it")
    lines = [open_lines[each] for each in open_lines if each in chosen]
    reasons = return_reasons(kind, "BUYER")
    reason = wish.get("reason") or reasons[0]
    if reason not in reasons:
        raise ValueError(f"reason is one of {', '.join(reasons)}")
    pictures = drawn(market, int(wish.get("pictures") or 0), now)
    shipment, handover = wish.get("shipment_type", "PLATFORM"), wish.get("handover_method", "DROP_OFF")
    amount, note = _amount(order, lines, wish.get("amount")), str(wish.get("note", ""))
    request = Request(kind, by, reason, lines, amount, note, pictures, shipment, handover, bool(wish.get("quick_refund")))
    open_return(market, order, request, now)


def _amount(order: Order, lines: list[Document], text: Any) -> Decimal | None:
    if text in (None, ""):
        return None
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        raise ValueError(f"amount {text!r} is no amount") from None
    most = Decimal(amount_of(order, lines)["refund_total"])
    if not 0 < amount <= most:
        raise ValueError(f"amount {amount} is not between 0.01 and {most}")
    return amount


def drawn(market: Marketplace, count: int, now: int) -> list[str]:
    """Uris of pictures such as a buyer sends, made once for each colour."""
    if not 0 <= count <= MOST_PICTURES:
        raise ValueError(f"pictures is between 0 and {MOST_PICTURES}")
    return [drawn_picture(market, f"returns-{number}", (480, 360), COLOURS[number % len(COLOURS)], now) for number in range(count)]


# -- acts ---------------------------------------------------------------------------------------------------------------------------------


def _only(document: Document, *statuses: str) -> None:
    if document["return_status"] not in statuses:
        raise ValueError(f"return {document['return_id']} is {document['return_status']}, not {' or '.join(statuses)}")


def _open(document: Document) -> None:
    if document["return_status"] in FINAL or document["return_status"] in GRANTED:
        raise ValueError(f"return {document['return_id']} is {document['return_status']}: nothing is left to do")


def _withdraw(market: Marketplace, order: Order, document: Document, wish: Document, now: int) -> None:
    _open(document)
    close(market, order, document, now, "BUYER", "The buyer took the request back")


def _ship(market: Marketplace, order: Order, document: Document, wish: Document, now: int) -> None:
    _only(document, AWAITING_SHIP)
    send_back(market, order, document, now, str(wish.get("tracking_number", "")), str(wish.get("provider", "")))


def _arrive(market: Marketplace, order: Order, document: Document, wish: Document, now: int) -> None:
    """The parcel is at the seller's; the status stays, the seller inspects."""
    _only(document, SHIPPED)
    document["update_time"] = now
    record(document, now, "SYSTEM", "The return parcel was delivered to the seller")
    order.note(now, "return", f"{document['return_id']}: delivered to the seller")


def _accept(market: Marketplace, order: Order, document: Document, wish: Document, now: int) -> None:
    _only(document, AWAITING_ANSWER)
    ids = [each["order_line_item_id"] for each in document["return_line_items"]]
    lines = [line for line in order.lines if line["id"] in ids]
    set_amount(order, document, amount_of(order, lines, Decimal(document["partial_refund"]["amount"])))
    document["can_buyer_keep_item"] = document["return_type"] == "REFUND" or "return_tracking_number" not in document
    move(market, order, document, SUCCESS, now, "BUYER", "The buyer accepted the partial refund")


def _decline(market: Marketplace, order: Order, document: Document, wish: Document, now: int) -> None:
    _only(document, AWAITING_ANSWER)
    decline_offer(market, order, document, now)


def _appeal(market: Marketplace, order: Order, document: Document, wish: Document, now: int) -> None:
    _only(document, *APPEALABLE)
    if document.get("arbitration_status"):
        raise ValueError(f"return {document['return_id']} was before the platform already: {document['arbitration_status']}")
    appeal(market, order, document, now, str(wish.get("note", "")))


def _arbitrate(market: Marketplace, order: Order, document: Document, wish: Document, now: int) -> None:
    outcome = wish.get("outcome", "SUPPORT_BUYER")
    if document.get("arbitration_status") != "IN_PROGRESS" or outcome not in OUTCOMES:
        raise ValueError(f"the platform decides {', '.join(OUTCOMES)} on a return that was appealed; this one is {document.get('arbitration_status') or 'not'}")
    arbitrate(market, order, document, outcome, now)


def _refund(market: Marketplace, order: Order, document: Document, wish: Document, now: int) -> None:
    _only(document, *GRANTED)
    refund(market, order, document, now)


def _exchange(market: Marketplace, order: Order, document: Document, wish: Document, now: int) -> None:
    _only(document, EXCHANGE + "PENDING")
    approve(market, order, document, now, "SYSTEM")


def _edit(market: Marketplace, order: Order, document: Document, wish: Document, now: int) -> None:
    """The buyer changes the request, which thereby gets a new id."""
    if not document.get("seller_next_action_response"):
        raise ValueError(f"return {document['return_id']} is {document['return_status']} and cannot be changed any more")
    close(market, order, document, now, "BUYER", "The buyer changed the request")
    before = {"type": document["return_type"], "line_ids": [each["order_line_item_id"] for each in document["return_line_items"]]}
    ask_return(market, order, {**before, **wish}, now)
    newest = list(order.returns.values())[-1]
    newest["pre_return_id"], document["next_return_id"] = document["return_id"], newest["return_id"]


def _status(market: Marketplace, order: Order, document: Document, wish: Document, now: int) -> None:
    """A status, type or arbitration that nobody documented yet: the client must survive it."""
    value = str(wish.get("value") or "RETURN_UNDER_REVIEW_2027")
    move(market, order, document, value, now, "SYSTEM", f"The platform moved the return to {value}")
    document |= {name: str(wish[name]) for name in ("return_type", "arbitration_status") if name in wish}


RETURN_ACTS: dict[str, Callable[[Any, Order, Document, Document, int], None]] = {
    "withdraw": _withdraw,
    "ship": _ship,
    "arrive": _arrive,
    "accept": _accept,
    "decline": _decline,
    "appeal": _appeal,
    "arbitrate": _arbitrate,
    "refund": _refund,
    "exchange": _exchange,
    "edit": _edit,
    "status": _status,
}


def act_on_return(market: Marketplace, return_id: str, name: str, wish: Document) -> Document:
    """One of RETURN_ACTS, in one transaction. Raises KeyError when there is no such return."""
    settle(market)
    with market.store.write():
        order = load_by_return(market, return_id)
        if order is None:
            raise KeyError(f"there is no return {return_id}")
        RETURN_ACTS[name](market, order, order.returns[return_id], wish, market.clock.seconds())
        save(market, order)
    return truth(order, return_id)


def truth(order: Order, return_id: str) -> Document:
    """A return as the marketplace knows it, with what the seller may decide."""
    document = order.returns[return_id]
    return {**public(document), "region": order.inner["region"], "decisions": list(possible(document)), "records": document["_records"]}


def find_returns(market: Marketplace, shop: str | None, status: str | None, order_id: str | None) -> Document:
    """`{total, by_status, returns: [...]}`, oldest first."""
    where, values = "1", []
    for column, value in (("shop_id", market.shop(shop)["id"] if shop else None), ("status", status), ("order_id", order_id)):
        if value:
            where, values = where + f" AND {column} = ?", [*values, value]
    rows = market.store.read.execute(f"SELECT doc FROM returns WHERE {where} ORDER BY create_time, id", values).fetchall()
    counted = market.store.read.execute(f"SELECT status, count(*) FROM returns WHERE {where} GROUP BY status", values).fetchall()
    return {"total": len(rows), "by_status": dict(counted), "returns": [orjson.loads(row["doc"]) for row in rows]}


def seed_returns(market: Marketplace, wish: Document) -> Document:
    """Requests of buyers on orders that are delivered, the types in turn, the same for the same `seed`."""
    count, dice = int(wish.get("returns", 10)), random.Random(wish.get("seed", 7))
    kinds = wish.get("types") or ["REFUND", "RETURN_AND_REFUND", "REPLACEMENT"]
    where, values = "status = 'DELIVERED'", []
    if wish.get("shop"):
        where, values = where + " AND shop_id = ?", [market.shop(wish["shop"])["id"]]
    settle(market)
    made: list[str] = []
    with market.store.write() as db:
        for row in db.execute(f"SELECT id FROM orders WHERE {where} ORDER BY id", values).fetchall():
            if len(made) == count:
                break
            order, kind = load(market, row["id"]), kinds[len(made) % len(kinds)]
            lines = returnable(order, kind, "BUYER")
            if not lines:
                continue
            chosen = [line["id"] for line in dice.sample(lines, dice.randint(1, len(lines)))]
            reason = dice.choice(return_reasons(kind, "BUYER"))
            wanted = {"type": kind, "line_ids": chosen, "reason": reason, "note": "It is not as I expected", "pictures": dice.randint(0, 3)}
            ask_return(market, order, wanted, market.clock.seconds())
            made.append(list(order.returns)[-1])
            save(market, order)
    return {"returns": len(made), "ids": made}

"""Credit memos that the merchant makes in Magento, carried to TikTok where the policy asks for it (TTS §5.6.2, §5.6.7; product.md 9).

Before shipping the units are cancelled at TikTok, after delivery a refund is made there; in between, and where TikTok does not allow it, the row says
why and what to do. The line of an order decides, not the order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from connector.clients import errors as api
from connector.clients.magento.search import SearchCriteria
from connector.clients.tiktok import TikTokClient
from connector.core.db import db, dialect_of, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import returns as rules
from connector.domain.rejection import read_eligibility
from connector.domain.shipping import LINE_CANCEL_MARKETS
from connector.models.account import Account
from connector.models.aftersales import FROM_MAGENTO, MEMO_IGNORED, MEMO_SENDING, MEMO_WAITING, CreditMemo, Return
from connector.models.order import Order, OrderLine, OutgoingAction
from connector.services import connections, events
from connector.services.orders import actions, intake
from connector.services.orders.push import market_of, read_order
from connector.services.returns import importing
from connector.services.returns.terms import OWN, Ignored, Wait, policy_of, words

ACTION = "refund_from_magento"
#: Entity ids are given before the transaction that holds them is committed: the last ones are read again.
OVERLAP, BATCH, CLOCK_SLACK = 50, 100, timedelta(days=1)
NOT_SHIPPED = ("UNPAID", "ON_HOLD", "AWAITING_SHIPMENT")
ON_THE_WAY = ("AWAITING_COLLECTION", "IN_TRANSIT", "PARTIALLY_SHIPPING")
#: Which of the cancel reasons that TikTok offers a merchant's refund means; one about stock empties the listing (TTS §5.6.10), so it comes last.
_CANCEL_WORDS = ("buyer_requested", "wrong_price", "price", "")
_RETURN_WORDS = ("not_as_described", "defective", "damaged", "missing", "")

Row = dict[str, Any]


def collect(account_id: int, *, guard: Callable[[Session], None] | None = None) -> int:
    """Store the memos that somebody made in Magento for this account's orders; how many are new. Ours are recognised by row and comment.

    The cursor is the account's, although the memos are the store's. ``guard`` runs inside every transaction. Raises ``ApiError``.
    """
    account = db.session.get(Account, account_id, populate_existing=True)
    assert account is not None
    since = db.session.scalar(select(func.min(Order.magento_created_at)).where(Order.account_id == account_id, Order.magento_id.is_not(None)))
    if account.magento_id is None or account.storefront != "magento" or since is None:
        end_reading()
        return 0
    after = max(0, account.creditmemos_cursor - OVERLAP)
    wanted = policy_of(account_id).refund_from_magento
    client = connections.magento_for(account_id)
    end_reading()
    criteria = SearchCriteria().where("created_at", "gteq", f"{(since - CLOCK_SLACK).astimezone(UTC):%Y-%m-%d %H:%M:%S}")
    new = 0
    for batch in _batches(client.iter_creditmemos(str(after), criteria=criteria)):
        with unit_of_work() as session:
            if guard:
                guard(session)
            new += _store(session, account_id, batch, wanted)
            row = session.get_one(Account, account_id, populate_existing=True)
            row.creditmemos_cursor = max(row.creditmemos_cursor, max(int(one["entity_id"]) for one in batch))
    return new


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _store(session: Session, account_id: int, batch: Sequence[Row], wanted: bool) -> int:
    ids = {str(row["order_id"]) for row in batch}
    orders = {order.magento_id: order for order in session.scalars(select(Order).where(Order.account_id == account_id, Order.magento_id.in_(ids)))}
    known = set(
        session.scalars(select(CreditMemo.memo_id).where(CreditMemo.account_id == account_id, CreditMemo.memo_id.in_(str(row["entity_id"]) for row in batch)))
    )
    dialect = dialect_of(session)
    new = 0
    for row in batch:
        order, memo_id = orders.get(str(row["order_id"])), str(row["entity_id"])
        if order is None or memo_id in known or _ours(row):
            continue
        items = {str(one["order_item_id"]): int(Decimal(str(one.get("qty") or 0))) for one in row.get("items") or () if Decimal(str(one.get("qty") or 0)) > 0}
        values: Row = {
            "account_id": account_id, "order_id": order.id, "key": f"memo:{memo_id}", "direction": FROM_MAGENTO, "memo_id": memo_id, "items": items,
            "currency": str(row.get("order_currency_code") or order.currency)[:3], "amount": Decimal(str(row.get("grand_total") or 0)), "state": MEMO_WAITING,
        }  # fmt: skip
        if not wanted:
            text = "Made in Magento. The order policy does not refund on TikTok from credit memos: refund the buyer in Seller Center if that is meant."
            values |= {"state": MEMO_IGNORED, "failure_code": "memo.ignored", "failure_message": text}
        added = session.execute(dialect.insert(CreditMemo).values(**values).on_conflict_do_nothing(index_elements=["order_id", "key"])).rowcount
        if added:
            new += 1
            text = f"Credit memo {row.get('increment_id') or memo_id} of {words(values['amount'], values['currency'])} was made in Magento."
            events.record("memo.collected", "order", order.id, text, account_id=account_id, after={"memo": memo_id, "state": values["state"]})
    return new


def _ours(row: Row) -> bool:
    return any(OWN.search(str(one.get("comment") or "")) for one in row.get("comments") or ())


def in_doubt(session: Session, row: Return) -> bool:
    """Whether this granted return may be one that a Magento memo is making at TikTok right now; its own memo must not be answered with another."""
    if str((row.body or {}).get("role") or "") != "SELLER":
        return False
    query = select(CreditMemo.id).where(
        CreditMemo.order_id == row.order_id,
        CreditMemo.direction == FROM_MAGENTO,
        CreditMemo.return_pk.is_(None),
        CreditMemo.state.in_((MEMO_SENDING, MEMO_WAITING)),
    )
    return session.scalar(query.limit(1)) is not None


def refund(memo_pk: int) -> str:
    """Carry one memo to TikTok, at most once in effect; what was done, in a sentence.

    Raises ``Wait`` while the goods are on their way, ``Ignored`` when TikTok has refunded the units already, ``DomainError``
    where TikTok does not allow it, ``ApiError``.
    """
    row = db.session.get_one(CreditMemo, memo_pk, populate_existing=True)
    order = db.session.get_one(Order, row.order_id)
    account = db.session.get_one(Account, row.account_id)
    items, amount, currency, memo_id, order_id = dict(row.items), row.amount, row.currency, row.memo_id or "", order.id
    number, account_id, market = order.number, account.id, market_of(account)
    client = connections.tiktok(account_id)
    end_reading()
    payload = read_order(client, number)
    chosen = _begun(order_id, memo_id) or _choose(order_id, memo_id, items, payload)
    statuses = {str(line["id"]): str(line.get("display_status") or "") for line in payload.get("line_items") or ()}
    living = {line_id for line_id, status in statuses.items() if status != "CANCELLED"}
    if chosen and all(statuses.get(line_id) == "CANCELLED" for line_id in chosen):
        return _after_cancelling(order_id, memo_id, payload, number, len(chosen))
    present = {statuses.get(line_id, "") for line_id in chosen or living}
    if chosen and present <= set(NOT_SHIPPED):
        _cancel(client, order_id, number, memo_id, chosen, set(chosen) >= living, market)
        return _after_cancelling(order_id, memo_id, read_order(client, number), number, len(chosen))
    if present & set(NOT_SHIPPED) and not chosen:
        raise DomainError(
            "memo.money_only", f"The credit memo gives back money alone, and TikTok refunds order {number} in part only after its delivery.",
            "Try it again when the order is delivered, or refund the buyer in Seller Center.",
        )  # fmt: skip
    if present & set(NOT_SHIPPED):
        raise DomainError(
            "memo.mixed", f"The credit memo covers units of order {number} that were shipped and units that were not.",
            "Cancel the units that were not shipped with Reject, and refund the other ones in Seller Center.",
        )  # fmt: skip
    return _refund_delivered(client, memo_pk, order_id, account_id, number, memo_id, chosen, amount, currency, present)


# -- which units --------------------------------------------------------------------------------------------------------------------------


def _begun(order_id: int, memo_id: str) -> list[str]:
    with unit_of_work():
        action = actions.take(db.session.get_one(Order, order_id), ACTION, memo_id)
        return list((action.request or {}).get("line_ids") or [])


def _choose(order_id: int, memo_id: str, items: Mapping[str, int], payload: Mapping[str, Any]) -> list[str]:
    """The TikTok lines that the memo's units mean: living ones that no return and no other memo has taken, unshipped ones first."""
    statuses = {str(line["id"]): str(line.get("display_status") or "") for line in payload.get("line_items") or ()}
    taken = _taken(order_id, memo_id)
    rows = db.session.execute(select(OrderLine.line_id, OrderLine.magento_item_id).where(OrderLine.order_id == order_id).order_by(OrderLine.id)).all()
    end_reading()
    free: dict[str, list[str]] = {}
    for line_id, item_id in sorted(rows, key=lambda one: statuses.get(one.line_id) not in NOT_SHIPPED):
        if item_id and line_id not in taken and statuses.get(line_id) != "CANCELLED":
            free.setdefault(str(item_id), []).append(line_id)
    chosen = [line_id for item_id, count in items.items() for line_id in free.get(item_id, [])[:count]]
    if items and len(chosen) < sum(items.values()):
        raise Ignored("TikTok has cancelled or refunded these units already; nothing is refunded twice.")
    return chosen


def _taken(order_id: int, memo_id: str) -> set[str]:
    """Lines with a return that is not closed, and lines that another memo has refunded."""
    found = {line for lines in db.session.scalars(select(Return.line_ids).where(Return.order_id == order_id, Return.phase != "closed")) for line in lines}
    others = select(OutgoingAction.request).where(OutgoingAction.order_id == order_id, OutgoingAction.action == ACTION, OutgoingAction.key != memo_id)
    return found | {line for request in db.session.scalars(others) for line in (request or {}).get("line_ids") or ()}


def _intend(order_id: int, memo_id: str, request: Row) -> None:
    """What is about to be sent, before it is."""
    with unit_of_work():
        action = actions.take(db.session.get_one(Order, order_id), ACTION, memo_id)
        action.state, action.attempts, action.request = "sent", action.attempts + 1, request


def _accepted(order_id: int, memo_id: str, answer: Row) -> None:
    with unit_of_work():
        action = actions.take(db.session.get_one(Order, order_id), ACTION, memo_id)
        action.state, action.answer = "accepted", answer


# -- before shipping ----------------------------------------------------------------------------------------------------------------------


def _cancel(client: TikTokClient, order_id: int, number: str, memo_id: str, chosen: list[str], whole: bool, market: str) -> None:
    eligible = read_eligibility(client.aftersale_eligibility(number))
    if not set(chosen) <= set(eligible.line_ids):
        why = "; ".join(eligible.refused) or "it does not name these units"
        raise DomainError("memo.not_cancellable", f"TikTok does not let the seller cancel these units of order {number}: {why}.", "Ask the buyer to cancel.")
    if not whole and market not in LINE_CANCEL_MARKETS:
        raise DomainError(
            "memo.part_of_order", f"TikTok cancels orders of this market only as a whole, and the credit memo covers {len(chosen)} units of order {number}.",
            "Agree with the buyer, then reject the whole order or ship all of it.",
        )  # fmt: skip
    reason = _prefer(eligible.reason_names, _CANCEL_WORDS)
    _intend(order_id, memo_id, {"line_ids": chosen, "cancel_reason": reason})
    try:
        client.cancel_order(number, cancel_reason=reason, line_ids=None if whole else chosen)
    except api.Uncertain:
        statuses = {str(line["id"]): line.get("display_status") for line in read_order(client, number).get("line_items") or ()}
        if any(statuses.get(line_id) != "CANCELLED" for line_id in chosen):
            raise


def _after_cancelling(order_id: int, memo_id: str, payload: Row, number: str, count: int) -> str:
    order = db.session.get_one(Order, order_id)
    intake.store_page(intake.rules_for(order.account_id, order.origin), [payload])
    _accepted(order_id, memo_id, {"how": "cancelled"})
    return f"{count} {'unit' if count == 1 else 'units'} of order {number} {'was' if count == 1 else 'were'} cancelled on TikTok, as credit memo {memo_id} in Magento says."


# -- after delivery -----------------------------------------------------------------------------------------------------------------------


def _refund_delivered(
    client: TikTokClient, memo_pk: int, order_id: int, account_id: int, number: str, memo_id: str, chosen: list[str], amount: Decimal, currency: str, present: set[str]
) -> str:  # fmt: skip
    lines, reasons, against = _refundable(client.aftersale_eligibility(number, request_types=("REFUND",)))
    named = chosen or lines
    begun = bool(_begun(order_id, memo_id))
    if not begun and (not named or not set(named) <= set(lines)):
        if present and present <= set(ON_THE_WAY):
            raise Wait(f"TikTok lets the seller refund order {number} when it is delivered; it is asked again then.")
        why = "; ".join(against) or f"the units are {', '.join(sorted(present)) or 'not there'}"
        raise DomainError(
            "memo.not_refundable",
            f"TikTok does not let the seller refund these units of order {number}: {why}.",
            "Refund the buyer in Seller Center, or agree on a return.",
        )
    with unit_of_work():
        kept = actions.take(db.session.get_one(Order, order_id), ACTION, memo_id).request or {}
    reason = str(kept.get("return_reason") or _prefer(reasons, _RETURN_WORDS))
    if not begun:
        most = client.calculate_refund(number, request_type="REFUND", reason_name=reason, line_ids=named)
        if amount > most.total or amount <= 0 or most.currency != currency:
            raise DomainError(
                "memo.amount", f"The credit memo refunds {words(amount, currency)}, but TikTok refunds at most {words(most.total, most.currency)} for these units.",
                "Refund the buyer in Seller Center, and correct the difference in Magento.",
            )  # fmt: skip
        _intend(order_id, memo_id, {"line_ids": named, "return_reason": reason})
    key = f"memo-{account_id}-{order_id}-{memo_id}"
    return_id = _made_before(client, order_id, number, named, amount) if begun else ""
    if not return_id:
        made = client.create_return(
            number, return_type="REFUND", return_reason=reason, line_ids=named, refund_total=amount, currency=currency, idempotency_key=key
        )
        return_id = made.return_id
    importing.store(account_id, client, client.search_returns({"return_ids": [return_id]}, page_size=10).items, {"read": 0, "changed": 0, "bad": 0}, None)
    with unit_of_work() as session:
        pk = session.scalar(select(Return.id).where(Return.account_id == account_id, Return.return_id == return_id))
        session.get_one(CreditMemo, memo_pk).return_pk = pk
    _accepted(order_id, memo_id, {"how": "refunded", "return_id": return_id})
    return f"{words(amount, currency)} of order {number} are refunded on TikTok (return {return_id}), as credit memo {memo_id} in Magento says."


def _made_before(client: TikTokClient, order_id: int, number: str, named: Sequence[str], amount: Decimal) -> str:
    """The refund that an earlier attempt made although its answer was lost; "" when there is none. One that belongs to another memo is not it."""
    taken = select(Return.return_id).join(CreditMemo, CreditMemo.return_pk == Return.id).where(CreditMemo.order_id == order_id)
    known = set(db.session.scalars(taken.where(CreditMemo.direction == FROM_MAGENTO)))
    end_reading()
    for payload in client.search_returns({"order_ids": [number]}, page_size=50).items:
        found = rules.read_return(payload)
        if (
            found.role == "SELLER"
            and found.return_id not in known
            and set(found.order_line_ids) == set(named)
            and found.amount == amount
            and found.meaning.phase != "closed"
        ):
            return found.return_id
    return ""


def _refundable(sku_eligibility: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str], list[str]]:
    """(line ids that the seller may refund, reasons that all of them share, why others may not)."""
    lines: list[str] = []
    shared: list[str] | None = None
    against: list[str] = []
    for sku in sku_eligibility:
        for entry in sku.get("line_item_eligibility") or ():
            if entry.get("request_type") != "REFUND":
                continue
            if not entry.get("eligible"):
                against.append(str(entry.get("ineligible_reason") or entry.get("ineligible_code") or "not eligible"))
                continue
            named = [str(line) for line in entry.get("order_line_items_ids") or ()]
            lines += named or [str(line["order_line_item_id"]) for line in entry.get("order_line_list") or ()]
            names = [str(name) for name in entry.get("available_reason_names") or ()]
            shared = names if shared is None else [name for name in shared if name in names]
    return list(dict.fromkeys(lines)), shared or [], list(dict.fromkeys(against))


def _prefer(offered: Sequence[str], words: Sequence[str]) -> str:
    """The offered reason that fits best; one that empties the listing only when there is no other."""
    if not offered:
        raise DomainError("memo.no_reason", "TikTok offers no reason for refunding this order.", "Refund the buyer in Seller Center.")
    harmless = [name for name in offered if "out_of_stock" not in name] or list(offered)
    return next(name for word in words for name in harmless if word in name)

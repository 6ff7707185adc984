"""Answering a buyer's cancellation request (A259-A261, TTS §5.6.4): Accept or Reject, single and bulk, at most once in effect.

The order is read again before, the cancel/ship fence is taken, the answer goes out under a key of its own, and after a lost answer TikTok is asked before
anything is repeated. An accepted request takes the store's order back once; a rejected one lets the order be shipped again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import cancellations as requests
from connector.domain.cancellations import ANSWERS, APPROVE, DECISIONS, PENDING, REJECT, Offer
from connector.domain.shipping import Check
from connector.models.account import Account
from connector.models.order import Cancellation, Order, Shipment
from connector.services import connections, events, runs
from connector.services.cancellations import importing
from connector.services.orders import fence, intake, parcels, undo
from connector.services.orders.push import market_of, read_order

#: Requests whose reasons TikTok is asked for one by one before the confirm page; beyond these the first of each account speaks for the others.
ASKED = 20


@dataclass(frozen=True, slots=True)
class AnswerPreview:
    """One request on the confirm page. ``reasons``: (name, text) as TikTok offers them for a rejection; ``effect``: what happens in the store."""

    cancellation_id: int
    cancel_id: str
    order_id: int
    number: str
    account_id: int
    possible: bool
    why_not: Check | None
    reasons: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    effect: str


def preview(ids: Sequence[int], answer: str, *, ask: bool = True) -> list[AnswerPreview]:
    """What answering these would do. ``ask``: TikTok is asked what it allows and for its reasons (``ASKED`` requests at most)."""
    _known(answer)
    query = select(Cancellation, Order).join(Order, Order.id == Cancellation.order_id).where(Cancellation.id.in_(list(ids)))
    rows = [
        (one, order) for one, order in db.session.execute(query.order_by(Cancellation.respond_by_at.is_(None), Cancellation.respond_by_at, Cancellation.id))
    ]
    local = {one.id: checks(one, order, answer) for one, order in rows}
    effects = {one.id: _effect(order, one, answer) for one, order in rows}
    markets = {one.account_id: market_of(db.session.get_one(Account, one.account_id)) for one, _ in rows}
    end_reading()
    found: list[AnswerPreview] = []
    first: dict[int, Offer] = {}
    asked = 0
    for one, order in rows:
        why = next((check for check in local[one.id] if not check["ok"]), None)
        warnings: list[str] = []
        reasons: tuple[tuple[str, str], ...] = ()
        if why is None and ask:
            offer = first.get(one.account_id) if asked >= ASKED else None
            if offer is None:
                asked += 1
                try:
                    offer = first[one.account_id] = _offer(connections.tiktok(one.account_id), one.cancel_id, answer)
                except (api.ApiError, DomainError) as error:
                    warnings.append(f"TikTok could not be asked: {error}")
                    offer = Offer(True)
            reasons = offer.reasons
            step = _eligible(one, order, offer, answer)
            why = None if step["ok"] else step
        if answer == REJECT and markets[one.account_id] == "US":
            warnings.append("TikTok prefers that US sellers let the request pass or be granted; a rejection may count against the shop.")
        found.append(AnswerPreview(one.id, one.cancel_id, order.id, order.number, one.account_id, why is None, why, reasons, tuple(warnings), effects[one.id]))
    return found


def submit(
    ids: Sequence[int], answer: str, *, reason: str = "", comment: str = "", reasons: Mapping[int, str] | None = None, started_by: str
) -> list[runs.Submitted]:
    """One run an account. ``reasons``: request id -> reason name where they differ from ``reason``. Raises ``DomainError`` when nothing can be answered."""
    each = {str(one): name for one, name in (reasons or {}).items() if name}
    if answer == REJECT and not reason and (missing := [one for one in ids if str(one) not in each]):
        raise DomainError("cancellation.reason", "Choose a reason for the rejection.", "TikTok gives the reasons that it takes.", field=f"reason-{missing[0]}")
    possible = [one for one in preview(ids, answer, ask=False) if one.possible]
    if not possible:
        raise DomainError("cancellation.none", "None of these requests can be answered.", "The list says why for each.")
    by_account: dict[int, list[tuple[str, str]]] = {}
    for one in possible:
        by_account.setdefault(one.account_id, []).append((str(one.cancellation_id), one.number))
    title = f"{ANSWERS[answer]} cancellation requests"
    with unit_of_work():
        return [
            runs.submit(
                "cancellations.answer", account_id=account_id, items=items, title=title, started_by=started_by,
                args={"answer": answer, "reason": reason, "comment": comment[:500], "reasons": each},
            )
            for account_id, items in by_account.items()
        ]  # fmt: skip


def checks(one: Cancellation, order: Order, answer: str) -> list[Check]:
    """May this request get this answer, by what is stored; stops at the first refusal. TikTok's eligibility has the last word."""
    steps: list[Check] = []
    for check in _steps(one, order, answer):
        steps.append(check)
        if not check["ok"]:
            break
    return steps


def _steps(one: Cancellation, order: Order, answer: str) -> Any:
    number, status = order.number, one.remote_status
    said = f"Cancellation {one.cancel_id} of order {number} is {status}" + (f" of the type {one.cancel_type}." if status == PENDING else ".")
    yield _check(
        "waits_for_answer", status == PENDING and one.cancel_type == requests.BUYER_CANCEL, said,
        "Nothing is to be answered; use Sync Status if the order looks otherwise.", status=status, type=one.cancel_type,
    )  # fmt: skip
    other = one.answer_state == requests.SENDING and one.answer != answer and one.answered_at is not None and one.answered_at >= utcnow() - fence.CLAIM
    yield _check(
        "no_other_answer", not other, f"Another answer to cancellation {one.cancel_id} is under way: {ANSWERS.get(one.answer, one.answer)}." if other else
        "No other answer is under way.", "Wait for it; the request then shows what became of it.",
    )  # fmt: skip
    if answer == APPROVE:
        yield _nothing_left(order)


def _nothing_left(order: Order) -> Check:
    """Whether a parcel of the order is on its way, or being announced to TikTok right now (A261)."""
    number = order.number
    if (sending := fence.being_sent(order.id)) is not None:
        text = f"Parcel {sending} of order {number} is being sent to TikTok right now."
        return _check("not_being_sent", False, text, "Try again in a minute, when it is known whether TikTok took it.", tracking_number=sending)
    query = select(Shipment.tracking_number, Shipment.state).where(Shipment.order_id == order.id, Shipment.state != parcels.IGNORED).order_by(Shipment.id)
    rows = [(tracking, now) for tracking, now in db.session.execute(query)]
    announced = next((tracking for tracking, now in rows if now == parcels.DELIVERED), None)
    waiting = next((tracking for tracking, now in rows if now != parcels.DELIVERED), None)
    if waiting is not None:
        text = f"Parcel {waiting} of order {number} has left; TikTok does not have it yet."
        return _check("not_shipped", False, text, "Reject the request; the parcel is then sent to TikTok by itself.", tracking_number=waiting)
    if announced is not None and order.remote_status != "PARTIALLY_SHIPPING":
        text = f"Parcel {announced} of order {number} has left and TikTok has accepted it."
        return _check("not_shipped", False, text, "The cancellation does not proceed. The buyer may return the goods.", tracking_number=announced)
    return _check("not_shipped", True, "Nothing that the request is about has left.")


def answer_one(cancellation_id: int, answer: str, *, reason: str = "", comment: str = "", actor: str) -> str:
    """Answer one request; the message for the run's item. Raises ``DomainError`` with the first failing check, or ``ApiError``.

    Safe to call again at any point: an answer that TikTok has taken already is only finished on our side.
    """
    _known(answer)
    one = importing.get(cancellation_id)
    order = db.session.get_one(Order, one.order_id)
    end_reading()
    token = connections.order_now.set(order.id)
    try:
        client = connections.tiktok(one.account_id)
        importing.read_again(client, one.account_id, one.cancel_id)
        payload = read_order(client, order.number)
        intake.store_page(intake.rules_for(order.account_id, order.origin), [payload])
        if not _taken_before(cancellation_id, answer):
            _send(client, cancellation_id, payload, answer, reason, comment, actor)
        return _finish(client, cancellation_id, answer)
    finally:
        connections.order_now.reset(token)


def _taken_before(cancellation_id: int, answer: str) -> bool:
    """Has TikTok taken this answer of ours already, whether or not we heard it?"""
    with unit_of_work() as session:
        one = session.get_one(Cancellation, cancellation_id, populate_existing=True, with_for_update=True)
        if one.answer != answer or one.answer_state not in (requests.SENDING, requests.ACCEPTED) or one.remote_status not in requests.TAKEN[answer]:
            return False
        if one.answer_state == requests.SENDING:
            _accepted(one)
        return True


def _send(client: TikTokClient, cancellation_id: int, payload: Mapping[str, Any], answer: str, reason: str, comment: str, actor: str) -> None:
    """Decide by what both sides say now, take the fence, call, write down the answer."""
    one = importing.get(cancellation_id)
    order = db.session.get_one(Order, one.order_id, populate_existing=True)
    ready = all(check["ok"] for check in checks(one, order, answer))
    end_reading()
    remote: list[Check] = []
    if ready:
        offer = _offer(client, one.cancel_id, answer)
        remote = [_eligible(one, order, offer, answer)]
        if answer == APPROVE:
            remote += [_on_the_shelf(order, payload)]
        elif remote[0]["ok"]:
            remote += [_reason(order, offer, reason)]
    with unit_of_work() as session:
        order = fence.lock(session, one.order_id)
        one = session.get_one(Cancellation, cancellation_id, populate_existing=True, with_for_update=True)
        steps = [*checks(one, order, answer), *remote]
        refused = next((step for step in steps if not step["ok"]), None)
        just_given = one.answered_at is not None and one.answered_at >= utcnow() - fence.CLAIM
        if (one.answer, one.answer_state) == (answer, requests.ACCEPTED) and (refused is not None or just_given):
            return  # another worker gave the same answer meanwhile; its request may still be stored as waiting
        events.record_decision("order", order.id, f"cancellation_{answer}", [dict(step) for step in steps])
        if refused is None:
            one.answer, one.answer_state, one.answer_reason, one.answered_by, one.answered_at = answer, requests.SENDING, reason, actor, utcnow()
            one.failure_code = one.failure_message = one.failure_remedy = None
        elif one.remote_status == PENDING:
            _failed(one, f"cancellation.{refused['check']}", refused["message"], refused["remedy"])
    if refused is not None:
        raise DomainError(f"cancellation.{refused['check']}", refused["message"], refused["remedy"], field="reason" if refused["check"] == "reason" else None)
    key = f"{one.cancel_id}:{answer}"
    try:
        if answer == APPROVE:
            client.approve_cancellation(one.cancel_id, idempotency_key=key)
        else:
            client.reject_cancellation(one.cancel_id, reject_reason=reason, idempotency_key=key, comment=comment or None)
    except (api.Uncertain, api.Unavailable, api.Unauthorized):
        raise  # the next attempt asks TikTok first
    except api.ApiError as error:
        code, title, advice = api.describe(error)
        with unit_of_work() as session:
            one = session.get_one(Cancellation, cancellation_id, populate_existing=True, with_for_update=True)
            if one.answer_state == requests.ACCEPTED:
                return  # another worker gave the same answer; TikTok refuses its repetition
            _failed(one, code, f"{title}: {error.remote_message or error}", advice)
        raise
    with unit_of_work() as session:
        _accepted(session.get_one(Cancellation, cancellation_id, populate_existing=True, with_for_update=True))


def _accepted(one: Cancellation) -> None:
    """TikTok took our answer: on the request and, once, on the order's timeline with who gave it."""
    if one.answer_state == requests.ACCEPTED:
        return
    one.answer_state, one.answered_at = requests.ACCEPTED, utcnow()
    one.failure_code = one.failure_message = one.failure_remedy = None
    if one.answer == APPROVE:
        kind, text = "order.cancel_accepted", f"The buyer's cancellation request {one.cancel_id} was accepted."
    else:
        kind, text = "order.cancel_rejected", f"The buyer's cancellation request {one.cancel_id} was rejected: {one.answer_reason}."
    events.record(kind, "order", one.order_id, text, account_id=one.account_id, actor=one.answered_by or None, reason=one.answer_reason)


def _failed(one: Cancellation, code: str, message: str, remedy: str) -> None:
    one.answer_state = requests.FAILED
    one.failure_code, one.failure_message, one.failure_remedy = code[:60], message, remedy


def _finish(client: TikTokClient, cancellation_id: int, answer: str) -> str:
    """Our side of an answer that TikTok has taken: take request and order in anew; undo the store's order, or let the order go on. Repeatable."""
    one = importing.get(cancellation_id)
    order = db.session.get_one(Order, one.order_id)
    end_reading()
    importing.read_again(client, one.account_id, one.cancel_id)
    payload = read_order(client, order.number)
    intake.store_page(intake.rules_for(order.account_id, order.origin), [payload])
    if answer == REJECT:
        with unit_of_work() as session:
            row = fence.lock(session, order.id)
            if not importing.open_requests(row.id):
                importing.let_go(session, row)
            parcels.submit_due(row.account_id)
        return f"The request was rejected: {one.answer_reason}. The order may be shipped."
    if str(payload.get("status")) == "CANCELLED":
        undone = undo.cancel_in_magento(order.id, reason="the buyer's cancellation was accepted")
        return "The request was accepted." if undone.how == "nothing" else f"The request was accepted. {undone.message}"
    return _part(order.id, one, payload)


def _part(order_id: int, one: Cancellation, payload: Mapping[str, Any]) -> str:
    """The order lives on: a part of it was cancelled, or TikTok has not carried the cancellation out yet."""
    about = set(requests.line_ids(one.data))
    gone = {str(line["id"]) for line in payload.get("line_items") or () if line.get("display_status") == "CANCELLED"}
    from connector.services.returns import credit_memos

    with unit_of_work() as session:
        order = fence.lock(session, order_id)
        if not about <= gone:
            order.dirty_at = order.dirty_at or utcnow()
            return "The request was accepted; TikTok is still carrying it out."
        done = credit_memos.lines_cancelled(session, order)
    return f"The request was accepted: {len(about)} of the order's lines are cancelled, the others go on. {done}".rstrip()


def _offer(client: TikTokClient, cancel_id: str, answer: str) -> Offer:
    offer = requests.read_offer(client.decision_eligibility(cancel_id, check_decisions=[DECISIONS[answer]]), answer)
    if answer == REJECT and offer.eligible and not offer.reasons:
        return Offer(True, reasons=requests.read_reasons(client.reject_reasons(cancel_id)))
    return offer


def _eligible(one: Cancellation, order: Order, offer: Offer, answer: str) -> Check:
    text = f"TikTok does not let you {ANSWERS[answer].lower()} cancellation {one.cancel_id} of order {order.number}: {offer.why_not}."
    remedy = "Accept it, or let it pass; TikTok decides at the deadline." if answer == REJECT else "Use Sync Status; the order has moved on."
    return _check("eligible", offer.eligible, text if not offer.eligible else "TikTok allows this answer.", remedy, decision=DECISIONS[answer])


def _reason(order: Order, offer: Offer, reason: str) -> Check:
    names = [name for name, _ in offer.reasons]
    text = f"TikTok does not take the reason {reason or 'that is missing'!r} for order {order.number}. It offers: {', '.join(names) or 'none'}."
    return _check("reason", reason in names, f"{reason} is offered by TikTok." if reason in names else text, "Choose one of TikTok's reasons.", offered=names)


def _on_the_shelf(order: Order, payload: Mapping[str, Any]) -> Check:
    """The goods are still there: TikTok does not show the order as shipped, and the store has not shipped more units than TikTok knows of."""
    status = str(payload.get("status") or "")
    lines = payload.get("line_items") or ()
    known = sum(1 for line in lines if line.get("tracking_number"))
    if status not in ("ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING"):
        text = f"Order {order.number} is {status} on TikTok; the cancellation does not proceed."
        return _check("on_the_shelf", False, text, "The buyer may return the goods.", status=status)
    shipped = undo.shipped_units(order)
    if shipped > known:
        text = f"The store has shipped {shipped:f} units of order {order.number}, and TikTok knows of {known}."
        return _check("on_the_shelf", False, text, "Reject the request; its parcel is then sent to TikTok. Or stop the parcel first.", shipped=str(shipped))
    return _check("on_the_shelf", True, "The store has shipped nothing that TikTok does not know of.", shipped=str(shipped), status=status)


def _effect(order: Order, one: Cancellation, answer: str) -> str:
    from connector.services.returns import credit_memos

    if answer == REJECT:
        return "The order stays and may be shipped; the answer is recorded."
    if not order.magento_id:
        return "The order is not in the store; its reserved units become free."
    if len(requests.line_ids(one.data)) not in (0, order.item_count):
        number = order.magento_number or order.magento_id
        if credit_memos.by_hand(order):
            return f"Only a part is cancelled: take the same units off order {number} in the store by hand."
        return f"Only a part is cancelled: its units are taken off order {number} in the store and return to stock, once."
    what = "refunded by a credit memo" if order.invoiced and not credit_memos.by_hand(order) else "cancelled"
    return f"Order {order.magento_number or order.magento_id} is {what} in the store and its units return to stock, once."


def _known(answer: str) -> None:
    if answer not in ANSWERS:
        raise DomainError("cancellation.answer", f"{answer!r} is no answer to a cancellation.", "Accept it or reject it.")


def _check(name: str, ok: bool, message: str, remedy: str = "", **facts: Any) -> Check:
    return {"check": name, "ok": ok, "facts": facts, "message": message, "remedy": "" if ok else remedy}

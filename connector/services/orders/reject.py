"""Rejecting orders: Out of Stock, Pricing Error, Unable to Deliver (A206; TTS §5.6.1, §5.6.2).

TikTok is asked first which reasons it offers for the very order; then the order is cancelled there, once, and undone in Magento when it exists
there. After a lost answer the order is read before anything is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain.rejection import OUT_OF_STOCK, REASONS, Eligibility, read_eligibility, reason_name
from connector.domain.shipping import LINE_CANCEL_MARKETS, Check
from connector.models.account import Account
from connector.models.order import Order, OrderLine, OutgoingAction, Shipment
from connector.services import connections, events, runs, storefronts
from connector.services.accounts import reasons
from connector.services.orders import actions, fence, intake, parcels, state, undo
from connector.services.orders.push import market_of, read_order
from connector.services.products import due, shop_stock

ACTION = "reject"
REJECTABLE = ("UNPAID", "ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION")
#: The event that tells why the stock of these SKUs is pushed again (TTS §5.6.10, side effect of an out-of-stock reason).
PUSH_STOCK = "stock.push_again"


@dataclass(frozen=True, slots=True)
class RejectPreview:
    """One order on the confirm page: whether it can be rejected as far as we know, why not, and what happens in Magento."""

    order_id: int
    number: str
    possible: bool
    checks: tuple[Check, ...]
    effect: str

    @property
    def why_not(self) -> Check | None:
        return next((check for check in self.checks if not check["ok"]), None)


def checks(order: Order, *, status: str | None = None) -> tuple[Check, ...]:
    """May the order be rejected: the button, the confirm page and the job ask this. TikTok's eligibility call has the last word."""
    status = status or order.remote_status
    sent = db.session.scalar(
        select(Shipment.tracking_number).where(Shipment.order_id == order.id, Shipment.state.in_((parcels.SENDING, parcels.DELIVERED))).limit(1)
    )
    steps = [
        _check(
            "status", status in REJECTABLE, f"Order {order.number} is {status} on TikTok.",
            "Nothing is to be rejected." if status == "CANCELLED" else "It has left; the buyer may return it instead.", status=status,
        ),
        _check(
            "fulfilled_by_seller", order.fulfillment_type in ("", "FULFILLMENT_BY_SELLER"),
            f"Order {order.number} is {order.fulfillment_type or 'fulfilled by the seller'}.",
            "TikTok ships it; cancel it in Seller Center.", fulfillment_type=order.fulfillment_type,
        ),
        _check(
            "not_shipped", sent is None or status == "PARTIALLY_SHIPPING",
            f"Parcel {sent} of order {order.number} is on its way." if sent else "Nothing was shipped.",
            "Recall the parcel; only what was not shipped can be rejected.", tracking_number=sent,
        ),
    ]  # fmt: skip
    failed = next((index for index, check in enumerate(steps) if not check["ok"]), None)
    return tuple(steps if failed is None else steps[: failed + 1])


def preview(order_ids: Sequence[int]) -> list[RejectPreview]:
    """What rejecting these orders would do; local knowledge only, so it is quick for many."""
    found = []
    for order in db.session.scalars(select(Order).where(Order.id.in_(list(order_ids))).order_by(Order.id)):
        steps = checks(order)
        store = "Store" if order.account.storefront != storefronts.MAGENTO else "Magento"
        effect = f"It is not in {'the external storefront' if store == 'Store' else store}."
        if order.magento_id:
            effect = f"{store} order {order.magento_number or order.magento_id} is cancelled and its stock returned, unless something was shipped."
        found.append(RejectPreview(order.id, order.number, all(step["ok"] for step in steps), steps, effect))
    return found


def submit(order_ids: Sequence[int], reason: str, *, started_by: str) -> list[runs.Submitted]:
    """One run per account. ``reason`` is a key of ``rejection.REASONS``. Raises ``DomainError`` for another one or when nothing can be rejected."""
    if reason not in REASONS:
        raise DomainError("reject.reason", "Choose a reason for the rejection.", f"One of: {', '.join(REASONS.values())}.", field="reason")
    possible = {one.order_id for one in preview(order_ids) if one.possible}
    if not possible:
        raise DomainError("reject.none", "None of these orders can be rejected.", "The list says why for each.")
    by_account: dict[int, list[tuple[str, str]]] = {}
    for order in db.session.scalars(select(Order).where(Order.id.in_(possible)).order_by(Order.id)):
        by_account.setdefault(order.account_id, []).append((str(order.id), order.number))
    title = f"Reject orders: {REASONS[reason]}"
    with unit_of_work():
        return [
            runs.submit("orders.reject", account_id=account_id, args={"reason": reason}, items=items, title=title, started_by=started_by)
            for account_id, items in by_account.items()
        ]


def reject_one(order_id: int, reason: str, *, actor: str) -> str:
    """Reject one order; the message for the run's item. Raises ``DomainError`` with the first failing check, or ``ApiError``.

    Safe to call again at any point: an order that is cancelled already is only finished on our side.
    """
    order = db.session.get(Order, order_id, populate_existing=True)
    if order is None:
        raise state.unknown(order_id)
    account = db.session.get(Account, order.account_id)
    assert account is not None
    end_reading()
    token = connections.order_now.set(order_id)
    try:
        client = connections.tiktok(account.id)
        payload = read_order(client, order.number)
        if payload.get("status") != "CANCELLED":
            if (done := _accepted(order_id)) and done["line_ids"]:
                return f"{len(done['line_ids'])} lines were rejected before."
            _cancel(client, order, account, payload, reason, actor)
            payload = read_order(client, order.number)
        elif not _ours(order_id):
            raise DomainError("reject.status", f"Order {order.number} is cancelled on TikTok already.", "Nothing is to be rejected; use Sync Status.")
        return _finish(order_id, payload, reason)
    finally:
        connections.order_now.reset(token)


def _cancel(client: TikTokClient, order: Order, account: Account, payload: Mapping[str, Any], reason: str, actor: str) -> None:
    """Decide by what TikTok says now, write down the intention, call, write down the answer."""
    steps = list(checks(order, status=str(payload.get("status") or "")))
    end_reading()
    name, lines, offered = "", None, ()
    if all(step["ok"] for step in steps):
        eligible = read_eligibility(client.aftersale_eligibility(order.number))
        offered = eligible.reason_names
        name = reason_name(reason, offered) or ""
        step, lines = _eligibility_check(order, payload, eligible, reason, name, market_of(account))
        steps.append(step)
    mine = {"reason": reason, "cancel_reason": name, "line_ids": lines or []}, actor
    with unit_of_work() as session:
        fence.lock(session, order.id)
        if (sending := fence.being_sent(order.id)) is not None:
            text = f"Parcel {sending} of order {order.number} is being sent to TikTok right now."
            steps.append(_check("not_being_sent", False, text, "Try again when it is known whether TikTok took it."))
        reasons.keep(session, order.account_id, offered)
        events.record_decision("order", order.id, ACTION, [dict(step) for step in steps])
        refused = next((step for step in steps if not step["ok"]), None)
        if refused is None:
            action = actions.take(order, ACTION)
            before = (dict(action.request), action.created_by) if action.state in ("sent", "accepted") else None
            action.state, action.attempts = "sent", action.attempts + 1
            action.request, action.created_by = mine
            session.flush()
            turn = action.attempts
    if refused is not None:
        raise DomainError(f"reject.{refused['check']}", refused["message"], refused["remedy"])
    try:
        answer = client.cancel_order(order.number, cancel_reason=name, line_ids=lines)
    except (api.Uncertain, api.Unavailable, api.Unauthorized):
        raise  # the next attempt reads the order first
    except api.ApiError as error:
        if _through(read_order(client, order.number), lines or _open_lines(payload)):
            # another worker's rejection went through meanwhile; TikTok refuses its repetition, and the reason that it took stays written down
            with unit_of_work():
                action = actions.take(order, ACTION)
                if action.attempts == turn and before is not None:
                    action.request, action.created_by = before
            return
        with unit_of_work():
            action = actions.take(order, ACTION)
            action.state, action.error_code, action.error_message = "failed", error.code, error.remote_message or str(error)
        raise
    with unit_of_work():
        action = actions.take(order, ACTION)
        action.state, action.error_code, action.error_message = "accepted", None, None
        action.answer = {**(action.answer or {}), **answer}  # somebody else may have finished it already
        action.request, action.created_by = mine  # what TikTok took, whoever has asked since


def _eligibility_check(order: Order, payload: Mapping[str, Any], eligible: Eligibility, reason: str, name: str, market: str) -> tuple[Check, list[str] | None]:
    """TikTok's word on this order: (check, the line ids to name, or None for the whole order)."""
    open_lines = _open_lines(payload)
    whole = set(open_lines) <= set(eligible.line_ids)
    facts = {"offered": list(eligible.reason_names), "eligible_lines": list(eligible.line_ids), "reasons_against": list(eligible.refused)}
    if not eligible.line_ids or (not whole and market not in LINE_CANCEL_MARKETS):
        why = "; ".join(eligible.refused) or "it names no line that may be cancelled"
        text = f"TikTok does not let the seller cancel order {order.number}: {why}."
        return _check("eligible", False, text, "Ask the buyer to request the cancellation.", **facts), None
    if not name:
        offered = ", ".join(eligible.reason_names) or "none"
        text = f"TikTok offers no reason for order {order.number} that means {REASONS[reason]}. It offers: {offered}."
        return _check("reason", False, text, "Choose another reason.", **facts), None
    return _check("reason", True, f"{REASONS[reason]} is {name} at TikTok.", **facts), None if whole else list(eligible.line_ids)


def _open_lines(payload: Mapping[str, Any]) -> list[str]:
    return [str(line["id"]) for line in payload.get("line_items") or () if line.get("display_status") != "CANCELLED"]


def _through(payload: Mapping[str, Any], line_ids: Sequence[str]) -> bool:
    """Whether the seller has cancelled all these lines, by what TikTok shows now."""
    lines = {str(line["id"]): line for line in payload.get("line_items") or ()}
    found = [lines[one] for one in line_ids if one in lines]
    return bool(found) and all((one.get("display_status"), one.get("cancel_user")) == ("CANCELLED", "SELLER") for one in found)


def _finish(order_id: int, payload: Mapping[str, Any], reason: str) -> str:
    """Our side of a rejection that TikTok has accepted: take the order in anew, undo it in Magento, ask for the stock to be pushed again.

    ``reason``: of whoever finishes it; the one that TikTok took stands in the ledger and is what is told.
    """
    from connector.services.returns import credit_memos

    order = db.session.get(Order, order_id, populate_existing=True)
    assert order is not None
    intake.store_page(intake.rules_for(order.account_id, order.origin), [payload])
    with unit_of_work() as session:
        order = session.get(Order, order_id, populate_existing=True)
        assert order is not None
        action = actions.take(order, ACTION)
        first = not (action.answer or {}).get("finished")
        lines, reason = list((action.request or {}).get("line_ids") or []), str((action.request or {}).get("reason") or reason)
        action.state, action.answer = "accepted", {**(action.answer or {}), "finished": True}
        if first:
            what = f"{len(lines)} lines of the order were rejected" if lines else "The order was rejected"
            events.record(
                "order.rejected", "order", order.id, f"{what} on TikTok: {REASONS[reason]} ({action.request.get('cancel_reason', '')}).",
                account_id=order.account_id, actor=action.created_by or None, reason=reason,
            )  # fmt: skip
            if reason == OUT_OF_STOCK:
                _ask_for_stock(order, lines)
        whole = str(payload.get("status")) == "CANCELLED"
        done = "" if whole else credit_memos.lines_cancelled(session, order)
    if not whole:
        return f"The lines that were not shipped were rejected on TikTok. {done}".rstrip()
    undone = undo.cancel_in_magento(order_id, reason=f"rejected, {REASONS[reason]}")
    return "Rejected on TikTok." if undone.how == "nothing" else f"Rejected on TikTok. {undone.message}"


def _ask_for_stock(order: Order, line_ids: list[str]) -> None:
    """TikTok sets the stock of the whole listing to 0 after an out-of-stock reason (TTS §5.6.10): its listings are evaluated and pushed again."""
    query = select(OrderLine.seller_sku, OrderLine.magento_sku, OrderLine.line_id).where(OrderLine.order_id == order.id)
    skus = {seller: magento or seller for seller, magento, line_id in db.session.execute(query) if not line_ids or line_id in line_ids}
    for seller_sku, magento_sku in skus.items():
        events.record(
            PUSH_STOCK, "sku", seller_sku, f"TikTok may have set the stock of {seller_sku} to 0; it must be pushed again.",
            account_id=order.account_id, after={"magento_sku": magento_sku, "order": order.number},
        )  # fmt: skip
    due.mark(reason=f"Order {order.number} was rejected as out of stock", content=False, skus=skus, account_id=order.account_id)
    shop_stock.forget(db.session(), order.account_id, list(skus))


def _ours(order_id: int) -> bool:
    """We asked for this cancellation, whether or not we heard the answer."""
    query = select(OutgoingAction.id).where(
        OutgoingAction.order_id == order_id, OutgoingAction.action == ACTION, OutgoingAction.state.in_(("sent", "accepted"))
    )
    found = db.session.scalar(query) is not None
    end_reading()
    return found


def unfinished(order_id: int) -> bool:
    """A rejection was sent and its end is not written down: its answer was lost, or its worker was killed."""
    query = select(OutgoingAction.id).where(OutgoingAction.order_id == order_id, OutgoingAction.action == ACTION, OutgoingAction.state == "sent")
    found = db.session.scalar(query) is not None
    end_reading()
    return found


def _accepted(order_id: int) -> dict[str, Any] | None:
    query = select(OutgoingAction.request).where(OutgoingAction.order_id == order_id, OutgoingAction.action == ACTION, OutgoingAction.state == "accepted")
    found = db.session.scalar(query)
    end_reading()
    return found


def _check(name: str, ok: bool, message: str, remedy: str = "", **facts: Any) -> Check:
    return {"check": name, "ok": ok, "facts": facts, "message": message, "remedy": "" if ok else remedy}

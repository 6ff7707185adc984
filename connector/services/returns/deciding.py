"""What may be answered to a return, as TikTok's decision eligibility says (TTS §5.6.4, §5.6.6), and what an answer would do."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from flask import current_app
from sqlalchemy import select

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import returns as rules
from connector.domain.returns import Action
from connector.domain.shipping import Check
from connector.models.aftersales import Return
from connector.models.order import Order
from connector.services import connections
from connector.services.returns import importing, planning

#: Returns that are asked for at once.
SLOTS = 8
#: Older eligibility is asked again before anything is shown.
FRESH = timedelta(minutes=1)
#: What "accept" and "reject" mean where no decision is chosen: the plain answer of each stage (TTS §5.6.6).
_PLAIN = {
    "accept": ("APPROVE_REFUND", "APPROVE_RETURN", "APPROVE_RECEIVED_PACKAGE", "APPROVE_REPLACEMENT"),
    "reject": ("REJECT_REFUND", "REJECT_RETURN", "REJECT_RECEIVED_PACKAGE", "REJECT_REPLACEMENT"),
}


@dataclass(frozen=True, slots=True)
class ReturnPreview:
    """One return on the confirm page. ``actions`` is everything that may be answered now, ``action`` what this answer would be (None: not possible);
    ``amount`` what TikTok would refund; ``items`` are (name, units, amount); ``memo`` says in one sentence what happens in Magento."""

    return_pk: int
    return_id: str
    order_number: str
    account_id: int
    possible: bool
    why_not: Check | None
    actions: tuple[Action, ...]
    action: Action | None
    amount: Decimal
    currency: str
    items: tuple[tuple[str, int, Decimal], ...]
    memo: str


def decisions(return_pk: int, *, fresh: bool = True) -> tuple[Action, ...]:
    """What may be answered now, most usual first. ``fresh`` asks TikTok and keeps the answer; else the stored one. Raises ``ApiError``."""
    row = importing.get(return_pk)
    if fresh:
        _ask(row)
        row = importing.get(return_pk)
    found = _actions(row)
    end_reading()
    return found


def records(return_pk: int, *, fresh: bool = False) -> list[dict[str, Any]]:
    """What both sides said and showed, oldest first: [{event, role, description, reason_text, note, images, videos, create_time}] (TTS §5.6.5). Read
    from TikTok when nothing is stored, the return changed since, or ``fresh``; otherwise the stored ones. Raises ``ApiError``."""
    row = importing.get(return_pk)
    known, read_at, return_id, account_id = row.records, row.records_read_at, row.return_id, row.account_id
    stale = read_at is None or row.updated_at > read_at
    end_reading()
    if known is not None and not fresh and not stale:
        return known
    found = connections.tiktok(account_id).return_records(return_id)
    with unit_of_work():
        row = importing.get(return_pk)
        row.records, row.records_read_at = found, utcnow()
        row.updated_at = row.records_read_at
    return found


def preview(pks: Sequence[int], kind: Literal["accept", "reject"], decision: str = "") -> list[ReturnPreview]:
    """What this answer would do to each return. Eligibility older than a minute is asked anew; a return that cannot be asked for says so."""
    query = select(Return).where(Return.id.in_(list(pks))).order_by(Return.respond_by_at.is_(None), Return.respond_by_at, Return.id)
    rows = list(db.session.scalars(query))
    old = [row.id for row in rows if row.phase not in ("done", "closed") and (row.decisions_read_at is None or row.decisions_read_at < utcnow() - FRESH)]
    order = [row.id for row in rows]
    end_reading()
    troubles = _ask_all(old)
    found = [_preview(importing.get(pk), kind, decision, troubles.get(pk)) for pk in order]
    end_reading()
    return found


def _ask_all(pks: Sequence[int]) -> dict[int, api.ApiError | DomainError]:
    """Ask for several returns at the same time; what went wrong, by return."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def one(pk: int) -> api.ApiError | DomainError | None:
        with app.app_context():
            try:
                _ask(importing.get(pk))
            except (api.ApiError, DomainError) as error:
                return error
            return None

    if not pks:
        return {}
    with ThreadPoolExecutor(max_workers=min(SLOTS, len(pks))) as pool:
        return {pk: error for pk, error in zip(pks, pool.map(one, pks), strict=True) if error is not None}


def _ask(row: Return) -> None:
    """Ask TikTok what may be decided and keep it on the row."""
    pk, return_id, account_id = row.id, row.return_id, row.account_id
    client = connections.tiktok(account_id)
    end_reading()
    answer = client.decision_eligibility(return_id)
    with unit_of_work():
        row = importing.get(pk)
        row.decisions, row.decisions_read_at = answer, utcnow()


def _actions(row: Return) -> tuple[Action, ...]:
    return rules.actions(row.decisions or (), offer_declined=bool((row.body or {}).get("buyer_rejected_partial_refund")))


def pick(actions: Sequence[Action], kind: str, decision: str = "") -> Action | None:
    """The action that this answer means: the named decision, else the plain one of the return's stage. One that nobody knows cannot be sent."""
    if decision:
        return next((each for each in actions if each.decision == decision and each.known), None)
    return next((each for each in actions if each.decision in _PLAIN[kind]), None)


def plain(row: Return, kind: str) -> str:
    """The decision that a plain answer means now, by what TikTok offered when it was asked last; "" when the return has changed since."""
    action = pick(_actions(row), kind) if row.decisions_read_at is not None else None
    return action.decision if action else ""


def choose(return_pk: int, kind: str, decision: str) -> Action:
    """The action that this answer is, of those that TikTok offers now (TTS §5.6.6). Raises ``DomainError`` return.<check> with why it offers none."""
    found = decisions(return_pk)
    action = pick(found, kind, decision)
    if action is None:
        why = _refusal(importing.get(return_pk), found, kind, decision)
        end_reading()
        raise DomainError(f"return.{why['check']}", why["message"], why["remedy"])
    return action


def _refusal(row: Return, found: Sequence[Action], kind: str, decision: str) -> Check:
    """Why a return cannot be answered so."""
    said = rules.meaning(row.remote_status).label
    facts = {"status": row.remote_status, "decisions": [each.decision for each in found]}
    if row.phase in ("done", "closed"):
        text = f"Return {row.return_id} is settled: {said}."
        return _check("settled", text, "Nothing is to be answered any more.", facts)
    if not found:
        against = next((str(one.get("ineligible_reason")) for one in row.decisions or () if one.get("ineligible_reason")), "")
        text = f"TikTok does not wait for your answer to return {row.return_id}: {said}." + (f" TikTok says: {against}" if against else "")
        return _check("not_waiting", text, "It goes on by itself; come back when it waits for you.", facts)
    if decision:
        label = rules.ACTIONS[decision].label if decision in rules.ACTIONS else decision
        text = f"TikTok does not offer {label} for return {row.return_id} now ({said})."
    else:
        text = f"TikTok offers no plain {kind} for return {row.return_id} now ({said})."
    return _check("decision", text, f"It offers: {', '.join(each.label for each in found)}.", facts)


def _preview(row: Return, kind: str, decision: str, trouble: api.ApiError | DomainError | None) -> ReturnPreview:
    found = _actions(row)
    action = pick(found, kind, decision) if row.phase not in ("done", "closed") else None
    why = None if action is not None else _refusal(row, found, kind, decision)
    if trouble is not None:
        action = None
        remedy = trouble.remedy if isinstance(trouble, DomainError) else api.describe(trouble).advice
        why = _check("eligibility", f"TikTok could not be asked about return {row.return_id}: {trouble}", remedy, {})
    order = db.session.get(Order, row.order_id)
    units: dict[str, tuple[int, Decimal]] = {}
    for item in importing.snapshot_of(row).items:
        name = " ".join(part for part in (item.name or item.seller_sku, f"({item.variant})" if item.variant else "") if part)
        count, total = units.get(name, (0, Decimal(0)))
        units[name] = (count + 1, total + item.amount)
    items = tuple((name, count, total) for name, (count, total) in units.items())
    number = order.number if order else ""
    memo = planning.sentence(row, action) if action else ""
    return ReturnPreview(row.id, row.return_id, number, row.account_id, action is not None, why, found, action, row.amount, row.currency, items, memo)


def _check(name: str, message: str, remedy: str, facts: dict[str, Any]) -> Check:
    return {"check": name, "ok": False, "facts": facts, "message": message, "remedy": remedy}

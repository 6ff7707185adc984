"""Answering returns: Accept, Reject, offers (A214, A215, A220; TTS §5.6.4, §5.6.6). What may be answered is TikTok's decision eligibility, nothing else.

TikTok decides what became of an answer: the return is read before each call and after it, so that a lost answer is looked up and an answer that
somebody else, or a deadline, gave in the meantime is recognised. One run answers a return once, however often it is begun again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import or_, select

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import returns as rules
from connector.domain.returns import Action
from connector.models.aftersales import Return
from connector.models.order import Order, OutgoingAction
from connector.models.run import OPEN_STATES, JobRun
from connector.services import connections, events, runs
from connector.services.orders import actions as ledger
from connector.services.returns import deciding, importing
from connector.services.returns.terms import words

KINDS = ("accept", "reject")
ACTION = "return_answer"
COMMENT_LIMIT = 500
NOT_SENT = "return.not_sent"
#: An answer that no run stands behind is believed to be under way for so long.
PATIENCE = timedelta(minutes=10)


def submit(
    pks: Sequence[int],
    kind: Literal["accept", "reject"],
    *,
    decision: str = "",
    reason: str = "",
    reasons: Mapping[int, str] | None = None,
    comment: str = "",
    amounts: Mapping[int, Decimal] | None = None,
    keep_item: bool = False,
    pictures: Sequence[Mapping[str, Any]] = (),
    started_by: str,
) -> list[runs.Submitted]:
    """One run an account. ``reason`` is TikTok's name of a reject reason, ``reasons`` (return key -> name) are those of single returns that have another
    one; ``amounts`` (return key -> amount) are those of partial offers; ``pictures`` are uploaded ones (TTS §5.6.6). Raises ``DomainError`` for what
    cannot be sent or when none can be answered."""
    if kind not in KINDS:
        raise DomainError("return.kind", f"{kind} is no answer.", "Choose Accept or Reject.")
    own = dict(reasons or {})
    _check_words(kind, decision, bool(reason) or all(own.get(pk) for pk in pks), comment)
    chosen = rules.ACTIONS.get(decision)
    if chosen is not None and chosen.partial:
        missing = [pk for pk in pks if not (amounts or {}).get(pk)]
        if missing:
            raise DomainError("return.amount", "A partial offer needs an amount for each return.", "Enter the amount to offer.", field="amount")
    rows = db.session.scalars(select(Return).where(Return.id.in_(list(pks)), Return.phase.not_in(("done", "closed"))).order_by(Return.id)).all()
    if not rows:
        raise DomainError("return.none", "None of these returns can be answered.", "The list says why for each.")
    args: dict[str, Any] = {"kind": kind, "decision": decision, "reason": reason, "comment": comment, "keep_item": keep_item}
    args |= {"pictures": [dict(one) for one in pictures], "amounts": {str(pk): f"{amount:f}" for pk, amount in (amounts or {}).items()}}
    args["reasons"] = {str(pk): name for pk, name in own.items() if name}
    # a return that moves on before the run comes to it is not given the plain answer of its next stage
    args["decisions"] = {str(row.id): plain for row in rows if not decision and (plain := deciding.plain(row, kind))}
    by_account: dict[int, list[tuple[str, str]]] = {}
    for row in rows:
        by_account.setdefault(row.account_id, []).append((str(row.id), row.return_id))
    title = "Answer returns: " + (chosen.label if chosen else decision or kind.title())
    with unit_of_work():
        return [
            runs.submit("returns.answer", account_id=account_id, args=args, items=items, title=title, started_by=started_by)
            for account_id, items in by_account.items()
        ]


def answer_one(
    return_pk: int,
    kind: str,
    *,
    decision: str = "",
    reason: str = "",
    comment: str = "",
    amount: Decimal | None = None,
    keep_item: bool = False,
    pictures: Sequence[Mapping[str, Any]] = (),
    actor: str,
) -> str:
    """Answer one return; the message for the run's item. Raises ``DomainError`` with why it is not possible, or ``ApiError``.

    Safe to call again at any point: an answer that TikTok took already is only finished on our side, one whose fate is unknown goes out again under the
    same idempotency key, and a run that has answered does not answer what came of it.
    """
    _check_words(kind, decision, bool(reason), comment)
    row = importing.read_one(return_pk)
    order_id, account_id = row.order_id, row.account_id
    end_reading()
    token = connections.order_now.set(order_id)
    try:
        if (done := _finished_already(return_pk)) is not None:
            return done
        action = deciding.choose(return_pk, kind, decision)
        return _answer(connections.tiktok(account_id), return_pk, action, reason, comment, amount, keep_item, pictures, actor)
    except (DomainError, api.Rejected) as refused:
        _keep_failure(return_pk, refused)
        raise
    finally:
        connections.order_now.reset(token)


def _check_words(kind: str, decision: str, has_reason: bool, comment: str) -> None:
    chosen = rules.ACTIONS.get(decision)
    rejects = chosen.rejects if chosen else kind == "reject"
    if rejects and not has_reason:
        raise DomainError("return.reason", "A rejection needs a reason.", "Choose one of the reasons that TikTok offers.", field="reason")
    if len(comment) > COMMENT_LIMIT:
        raise DomainError("return.comment", f"The comment has {len(comment)} characters.", f"TikTok takes at most {COMMENT_LIMIT}.", field="comment")


# -- sending ------------------------------------------------------------------------------------------------------------------------------


def _answer(
    client: TikTokClient,
    return_pk: int,
    action: Action,
    reason: str,
    comment: str,
    amount: Decimal | None,
    keep_item: bool,
    pictures: Sequence[Mapping[str, Any]],
    actor: str,
) -> str:
    row = importing.get(return_pk)
    return_id, stage, currency = row.return_id, row.remote_status, row.currency
    _check_terms(row, action, reason, amount, keep_item)
    offer = (amount, currency) if action.partial and amount is not None else None
    said = f"{return_id}|{stage}|{amount if offer else ''}|{keep_item if action.keep_item else ''}|{reason}|{comment}"
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    key = f"{return_id}:{action.decision}:{digest}"[:120]
    with unit_of_work() as session:
        row = importing.get(return_pk)
        sent = ledger.take(session.get_one(Order, row.order_id), ACTION, key)
        sent.state, sent.attempts, sent.created_by = "sent", sent.attempts + 1, actor
        sent.request = {
            "return": return_pk, "decision": action.decision, "stage": stage, "reason": reason, "keep_item": keep_item, "run": events.run_now.get(),
        }  # fmt: skip
        row.answer_state, row.failure_code, row.failure_message, row.failure_remedy = "sending", None, None, None
    try:
        if action.rejects:
            client.reject_return(
                return_id, decision=action.decision, reject_reason=reason, comment=comment or None, images=pictures, partial_refund=offer, idempotency_key=key
            )
        else:
            client.approve_return(
                return_id, decision=action.decision, buyer_keep_item=keep_item and action.keep_item, partial_refund=offer, idempotency_key=key
            )
    except api.Uncertain:
        if not _taken(importing.read_one(return_pk), action.decision, stage):
            raise
    except api.Rejected as refused:
        if (now := importing.read_one(return_pk)).remote_status == stage:
            _ended(return_pk, key, "failed", refused)
            raise
        _ended(return_pk, key, "failed", refused)
        said = rules.meaning(now.remote_status).label
        raise DomainError(
            "return.answered_meanwhile",
            f"Return {return_id} was answered elsewhere in the meantime: {said}.",
            "Look at it again; nothing of yours was changed.",
        ) from refused
    return _finish(return_pk, key)


def _check_terms(row: Return, action: Action, reason: str, amount: Decimal | None, keep_item: bool) -> None:
    if action.rejects and reason not in [name for name, _ in action.reasons]:
        offered = "; ".join(f"{text} ({name})" for name, text in action.reasons) or "none"
        raise DomainError("return.reason", f"TikTok does not offer the reason {reason} for return {row.return_id}.", f"It offers: {offered}.", field="reason")
    if action.partial and not rules.can_be_offered(amount, row.amount, row.currency):
        text = f"{amount if amount is not None else 'No amount'} cannot be offered for return {row.return_id}."
        raise DomainError("return.amount", text, f"Offer more than 0 and less than {words(row.amount, row.currency)}.", field="amount")
    if keep_item and not action.keep_item:
        raise DomainError(
            "return.keep_item", f"{action.label} does not leave the goods with the buyer by choice.", "Choose it with Accept return only.", field="keep_item"
        )


def _finished_already(return_pk: int) -> str | None:
    """An answer of ours went out, its fate was unknown, and the return stands elsewhere now: it was taken. Or this very run has answered before."""
    row, run = importing.get(return_pk), events.run_now.get()
    found = given = None
    for sent in ledger_rows(row, "sent", "accepted"):
        decision = str(sent.request.get("decision"))
        if sent.state == "accepted":
            given = _outcome(decision, row) if run is not None and sent.request.get("run") == run else given
        elif row.answer_state and _taken(row, decision, str(sent.request.get("stage"))):
            found = sent.key
    end_reading()
    return _finish(return_pk, found) if found else given


def _taken(row: Return, decision: str, stage: str) -> bool:
    """Whether the return stands where this answer, given at ``stage``, would have brought it; somebody else may have answered, or the buyer withdrawn."""
    if row.remote_status == stage or row.phase == "closed":
        return False
    action = rules.ACTIONS[decision]
    refused = "REJECT" in rules.ALIASES.get(row.remote_status, row.remote_status).removesuffix("_CANCEL")
    if action.partial:
        return bool((row.body or {}).get("partial_refund"))
    return refused == action.rejects and row.remote_status != "AWAITING_BUYER_RESPONSE"


def settle(account_id: int) -> int:
    """Finish the answers whose fate became known by importing; how many. One that was given up, and of which the import shows nothing, did not arrive."""
    unknown = or_(Return.answer_state == "sending", Return.failure_code == NOT_SENT)
    rows = db.session.execute(select(Return.id, Return.answer_state).where(Return.account_id == account_id, unknown)).all()
    end_reading()
    settled = 0
    for pk, answer_state in rows:
        if _finished_already(pk) is not None:
            settled += 1
        elif answer_state == "sending" and not _under_way(pk):
            text = "The answer did not reach TikTok, and nobody tries it any more."
            _keep_failure(pk, DomainError(NOT_SENT, text, "Answer the return again."))
    return settled


def _under_way(return_pk: int) -> bool:
    """Whether a run that is not over, or a script a moment ago, is answering this return."""
    sent = ledger_rows(importing.get(return_pk), "sent")
    named = {int(one.request["run"]) for one in sent if one.request.get("run")}
    young = any(not one.request.get("run") and one.updated_at > utcnow() - PATIENCE for one in sent)
    found = young or db.session.scalar(select(JobRun.id).where(JobRun.id.in_(named), JobRun.state.in_(OPEN_STATES)).limit(1)) is not None
    end_reading()
    return found


def ledger_rows(row: Return, *states: str) -> list[OutgoingAction]:
    """What we sent about this return, newest last."""
    query = select(OutgoingAction).where(
        OutgoingAction.order_id == row.order_id, OutgoingAction.action == ACTION, OutgoingAction.state.in_(states),
        OutgoingAction.key.startswith(f"{row.return_id}:", autoescape=True),
    )  # fmt: skip
    return list(db.session.scalars(query.order_by(OutgoingAction.id)))


def _finish(return_pk: int, key: str) -> str:
    """Our side of an answer that TikTok took; the return as it stands afterwards. When it cannot be read just now, the next import reads it."""
    with unit_of_work() as session:
        row = importing.get(return_pk)
        sent = ledger.take(session.get_one(Order, row.order_id), ACTION, key)
        first, sent.state = sent.state != "accepted", "accepted"
        decision, actor = str(sent.request["decision"]), sent.created_by
        label = rules.ACTIONS[decision].label
        row.decision, row.answered_by, row.answered_at, row.answer_state = decision, actor, utcnow(), ""
        row.failure_code = row.failure_message = row.failure_remedy = None
        row.decisions_read_at = None
        row.package_accepted = row.package_accepted or decision == "APPROVE_RECEIVED_PACKAGE"
        row.goods = importing.goods_now(row, importing.snapshot_of(row))
        return_id, account_id = row.return_id, row.account_id
        if first:
            text = f"Return {return_id}: {label}" + (f", {sent.request['reason']}" if sent.request.get("reason") else "") + "."
            for subject, subject_id in (("return", row.id), ("order", row.order_id)):
                events.record("return.answered", subject, subject_id, text, account_id=row.account_id, actor=actor or None, after={"decision": decision})
    try:
        importing.read_one(return_pk)
    except (api.ApiError, DomainError):
        with unit_of_work() as session:
            importing.mark(session, account_id, [return_id])
        return f"{label}. TikTok has taken it; the return is read again with the next import."
    with unit_of_work():
        row = importing.get(return_pk)
        row.goods = importing.goods_now(row, importing.snapshot_of(row))
        if row.phase in importing.GRANTED:
            importing.ring_memos(row.account_id)
        return _outcome(decision, row)


def _outcome(decision: str, row: Return) -> str:
    return f"{rules.ACTIONS[decision].label}. TikTok: {rules.meaning(row.remote_status).label}."


def _ended(return_pk: int, key: str, state: str, error: api.ApiError) -> None:
    with unit_of_work() as session:
        row = importing.get(return_pk)
        sent = ledger.take(session.get_one(Order, row.order_id), ACTION, key)
        sent.state, sent.error_code, sent.error_message = state, error.code, str(error)


def _keep_failure(return_pk: int, error: DomainError | api.Rejected) -> None:
    """Say on the return why its answer did not go through."""
    if isinstance(error, DomainError):
        code, text, remedy = error.code, error.message, error.remedy
    else:
        code, title, remedy = api.describe(error)
        text = f"{title}: {error}"
    with unit_of_work():
        row = importing.get(return_pk)
        row.answer_state, row.failure_code, row.failure_message, row.failure_remedy = "failed", code[:60], text, remedy

"""TikTok's refunds as Magento credit memos (MAG §4.6.3; product.md 9): each at most once, to the cent, goods on the shelf only when they were received.

``write_due`` has ``owed`` keep a ``CreditMemo`` row for everything that is owed, and sends them one by one. What is sent carries its key in its comment,
so that after a lost answer, or a worker's death, Magento is asked before anything is repeated. The other way, memos made in Magento, is ``from_magento``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, or_, select, update

from connector.clients import errors as api
from connector.clients.magento import MagentoClient
from connector.core import logs
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import credit_memo as arithmetic
from connector.domain.credit_memo import MemoPlan
from connector.models.aftersales import (
    FROM_MAGENTO,
    MEMO_DONE,
    MEMO_FAILED,
    MEMO_IGNORED,
    MEMO_SENDING,
    MEMO_WAITING,
    CreditMemo,
    Return,
)
from connector.models.order import Order
from connector.services import connections, events, runs, storefronts
from connector.services.orders import state
from connector.services.products import due as evaluation
from connector.services.returns import from_magento, importing, owed, planning, restock
from connector.services.returns.terms import Ignored, Wait, words

log = logs.get(__name__)

#: How long a silent sender is believed alive (longer than any one call may take, for what a dead one has sent may still arrive), when an unreachable
#: store and an order that only has to wait are looked at again.
LEASE, SOON, LATER = timedelta(seconds=75), timedelta(seconds=30), timedelta(hours=1)
_COUNTS = ("ordered", "invoiced", "shipped", "refunded", "canceled")
#: After so many attempts what Magento refuses "for the moment", or breaks on, is for a person: it may never work (a stock source that is gone).
MANY = 20
#: The keys that are carried out here.
KINDS = ("return", "lines", "restock", "memo")
FAILED_CODE = "memo.failed"
#: What a person may have tried again.
RETRIED = (MEMO_FAILED, MEMO_IGNORED, MEMO_WAITING)

collect, plan, sentence = from_magento.collect, planning.plan, planning.sentence
lines_cancelled, by_hand = owed.lines_cancelled, owed.by_hand


@dataclass(frozen=True, slots=True)
class _Task:
    """One claimed row and what it is about."""

    memo_id: int
    account_id: int
    order_id: int
    order_number: str
    magento_id: str
    magento_number: str
    key: str
    direction: str
    return_pk: int | None
    attempt: int  #: after the first one: look before anything is sent


class _Lost(Exception):
    """Another worker believed this one dead and has taken the row."""


def write_due(account_id: int) -> dict[str, int]:
    """Write what is owed now; ``{written, waiting, failed, ignored}``. Raises ``ApiError`` only when the store or TikTok cannot be used at all."""
    owed.prepare(account_id)
    counts = {"written": 0, "waiting": 0, "failed": 0, "ignored": 0}
    due = or_(CreditMemo.retry_at.is_(None), CreditMemo.retry_at <= utcnow())
    mine = or_(*(CreditMemo.key.startswith(f"{kind}:") for kind in KINDS))  # a recall writes its own
    query = select(CreditMemo.id).where(CreditMemo.account_id == account_id, CreditMemo.state.in_((MEMO_WAITING, MEMO_SENDING)), mine, due)
    ids = db.session.scalars(query.order_by(CreditMemo.id)).all()
    end_reading()
    names = {MEMO_DONE: "written", MEMO_WAITING: "waiting", MEMO_SENDING: "waiting", MEMO_FAILED: "failed", MEMO_IGNORED: "ignored"}
    for memo_id in ids:
        try:
            counts[names[write_one(memo_id)]] += 1
        except api.Unauthorized:
            raise
        except Exception as error:  # whatever is wrong with one, its neighbours go on; it is tried again when its lease is over
            db.session.rollback()
            log.error("memo_broken", memo=memo_id, exc_info=error)
            counts["failed"] += 1
    if db.session.scalar(select(CreditMemo.id).where(CreditMemo.account_id == account_id, CreditMemo.state == MEMO_DONE).limit(1)):
        owed.prepare(account_id)  # goods whose money memo has just been settled
    end_reading()
    return counts


def again(account_id: int) -> None:
    """Look again when the lease of what somebody has in hand is over: his worker may be dead, and its rows need not wait for the schedule."""
    in_hand = (CreditMemo.account_id == account_id, CreditMemo.state == MEMO_SENDING, CreditMemo.retry_at > utcnow() + SOON)
    with unit_of_work() as session:
        if at := session.scalar(select(func.min(CreditMemo.retry_at)).where(*in_hand)):
            key = f"returns.memos:again:{account_id}:{at.timestamp():.0f}"
            runs.submit("returns.memos", account_id=account_id, key=key, not_before=at, quiet=True)


def write_one(memo_id: int) -> str:
    """Carry out one row; its state afterwards. Safe to call again at any point. Raises ``Unauthorized``."""
    task = _claim(memo_id)
    if task is None:
        found = db.session.get(CreditMemo, memo_id, populate_existing=True)
        end_reading()
        return found.state if found else MEMO_IGNORED
    token = connections.order_now.set(task.order_id)
    try:
        if external := storefronts.external_of(task.account_id):
            return _in_external(task, external)
        if task.direction == FROM_MAGENTO:
            text = from_magento.refund(task.memo_id)
            return _settle(task, MEMO_DONE, text=text)
        if task.key.startswith("restock:"):
            assert task.return_pk is not None
            text = restock.put_back(task.order_id, task.return_pk, hold=lambda: _hold(task))
            return _settle(task, MEMO_DONE, text=text, restocked=True)
        return _write(task)
    except _Lost:
        return MEMO_SENDING
    except Wait as reason:
        return _settle(task, MEMO_WAITING, code="memo.waits", text=str(reason), retry=LATER)
    except Ignored as reason:
        return _settle(task, MEMO_IGNORED, code="memo.ignored", text=str(reason))
    except DomainError as error:
        return _settle(task, MEMO_FAILED, code=error.code, text=error.message, remedy=error.remedy)
    except api.Unauthorized as error:
        _settle(task, MEMO_SENDING, code=error.code, text=str(error), retry=SOON)
        raise
    except api.ApiError as error:
        code, title, advice = api.describe(error)
        hopeful = isinstance(error, api.Unavailable) or ((error.transient or isinstance(error, api.Uncertain)) and task.attempt < MANY)
        return _settle(task, MEMO_SENDING if hopeful else MEMO_FAILED, code=code, text=f"{title}: {error}", remedy=advice, retry=SOON if hopeful else None)
    finally:
        connections.order_now.reset(token)


def _in_external(task: _Task, external: storefronts.Storefront) -> str:
    """A storefront without credit memos says itself what is to be done there."""
    if task.key.startswith("restock:") and task.return_pk is not None:
        return _settle(task, MEMO_DONE, text=external.restock(task.order_id, restock.units_of(task.order_id, task.return_pk)), restocked=True)
    try:
        memo = external.refund(task.order_id, items={}, shipping_amount=Decimal(0), comment=comment(task))
    except storefronts.NotPossible as refused:
        raise Ignored(str(refused)) from refused
    return _settle(task, MEMO_DONE, text=f"The refund was booked in the store: {memo}.")


def retry(memo_id: int, *, actor: str) -> None:
    """Try a failed or ignored memo again, or one that waits for something at once, by hand."""
    with unit_of_work() as session:
        row = session.get(CreditMemo, memo_id, populate_existing=True)
        if row is None or row.state not in RETRIED or row.key.partition(":")[0] not in KINDS:
            raise DomainError("memo.not_failed", "This credit memo has not failed.", "Nothing is to be tried again.")
        row.state, row.retry_at = MEMO_WAITING, None
        events.record("memo.retried", "order", row.order_id, "The credit memo is tried again.", account_id=row.account_id, actor=actor)
        importing.ring_memos(row.account_id)


# -- one row ------------------------------------------------------------------------------------------------------------------------------


def _claim(memo_id: int) -> _Task | None:
    """Take the row for a while; None when somebody else has it, or nothing is to be done. The attempt is counted before anything is sent."""
    now = utcnow()
    with unit_of_work() as session:
        free = or_(CreditMemo.retry_at.is_(None), CreditMemo.retry_at <= now)
        taken = session.execute(
            update(CreditMemo)
            .where(CreditMemo.id == memo_id, CreditMemo.state.in_((MEMO_WAITING, MEMO_SENDING)), free)
            .values(state=MEMO_SENDING, attempts=CreditMemo.attempts + 1, retry_at=now + LEASE)
            .execution_options(synchronize_session=False)
        ).rowcount
        row = session.get(CreditMemo, memo_id, populate_existing=True)
        if not taken or row is None:
            return None
        order = session.get_one(Order, row.order_id)
        number = order.magento_number or order.magento_id or ""
        return _Task(row.id, row.account_id, order.id, order.number, order.magento_id or "", number, row.key, row.direction, row.return_pk, row.attempts)


def _hold(task: _Task, **values: Any) -> None:
    """Write ``values`` and keep the row for another while, right before something is sent. Raises ``_Lost`` when somebody else has taken it."""
    with unit_of_work() as session:
        held = session.execute(
            update(CreditMemo)
            .where(CreditMemo.id == task.memo_id, CreditMemo.state == MEMO_SENDING, CreditMemo.attempts == task.attempt)
            .values(retry_at=utcnow() + LEASE, **values)
            .execution_options(synchronize_session=False)
        ).rowcount
    if not held:
        raise _Lost


def _settle(
    task: _Task, outcome: str, *, code: str = "", text: str = "", remedy: str = "", retry: timedelta | None = None, restocked: bool = False, magento: str = ""
) -> str:
    """Write down how it ended, unless somebody else has taken the row; one event for each change of the story. The state afterwards."""
    skus = restock.units_of(task.order_id, task.return_pk) if task.return_pk is not None else {}
    with unit_of_work() as session:
        row = session.get_one(CreditMemo, task.memo_id, populate_existing=True, with_for_update=True)
        if row.attempts != task.attempt:
            return row.state
        told = (row.state, row.failure_message)
        row.state, row.retry_at = outcome, utcnow() + retry if retry else None
        row.memo_id = magento or row.memo_id
        done = outcome == MEMO_DONE
        row.done_at = utcnow() if done else None
        row.failure_code, row.failure_message, row.failure_remedy = (None, None, None) if done else (code[:60] or FAILED_CODE, text, remedy)
        if row.return_pk is not None and done and (restocked or row.return_to_stock):
            back = session.get(Return, row.return_pk, populate_existing=True)
            if back is not None:
                evaluation.mark(reason=f"Goods of return {back.return_id} are in stock again", content=False, skus=set(skus), account_id=task.account_id)
                back.restocked_at = back.restocked_at or utcnow()
        if done or outcome in (MEMO_FAILED, MEMO_IGNORED) or told[1] != text:
            kind = f"memo.{outcome}"
            events.record(kind, "order", task.order_id, text, account_id=task.account_id, after={"key": task.key, "memo": row.memo_id}, reason=remedy)
            if row.return_pk is not None:
                events.record(kind, "return", row.return_pk, text, account_id=task.account_id, after={"key": task.key, "memo": row.memo_id}, reason=remedy)
        if outcome == MEMO_FAILED:
            state.warn(session.get_one(Order, task.order_id), f"{text} {remedy}".strip())
    return outcome


def _write(task: _Task) -> str:
    """Send one credit memo to Magento, unless it is there."""
    client = connections.magento_for(task.account_id)
    end_reading()
    if task.attempt > 1 and (found := find(client, task.magento_id, task.key)):
        return _written(client, task, found)
    facts = client.order(task.magento_id)
    if task.return_pk is not None:
        planned = planning.plan_return(task.return_pk, facts)
    else:
        units = planning.cancelled_units(task.order_id, facts)
        facts = _invoiced(client, task, units, facts)
        planned = arithmetic.plan(facts, units, amount=None, back=units)
    if planned.problem:
        return _settle(task, MEMO_DONE, text=_instead(client, task, planned, facts))
    if task.return_pk is not None and (number := _made_by_hand(task, planned)):
        raise Ignored(f"Credit memo {number}, made in Magento, refunds the same units. Choose Try again when another one is meant.")
    plan_kept = {"items": dict(planned.items), "return_to_stock": list(planned.return_to_stock), "amount": planned.total}
    if currency := str(facts.get("order_currency_code") or ""):
        plan_kept["currency"] = currency
    _hold(task, **plan_kept)
    positive, negative = max(planned.adjustment, Decimal(0)), max(-planned.adjustment, Decimal(0))
    try:
        memo = client.refund(
            task.magento_id, items=planned.items, shipping_amount=planned.shipping, adjustment_positive=positive, adjustment_negative=negative,
            return_to_stock=planned.return_to_stock, comment=comment(task),
        )  # fmt: skip
    except api.Uncertain:
        found = find(client, task.magento_id, task.key)
        if not found:
            raise
        memo = found
    return _written(client, task, memo)


def _invoiced(client: MagentoClient, task: _Task, units: Mapping[str, int], facts: dict[str, Any]) -> dict[str, Any]:
    """The order with these units, and what was shipped beside them, invoiced: Magento refunds only what is, and takes shipped units for refunded ones when
    they are more than the invoiced. An order of which nothing remains is cancelled instead (``_instead``); what is there already is not done again."""
    lines = {str(item["item_id"]): item for item in facts.get("items") or () if not item.get("parent_item_id")}
    number = {key: {name: int(Decimal(str(item.get(f"qty_{name}") or 0))) for name in _COUNTS} for key, item in lines.items()}
    if _whole(units, lines.values()) and not any(each["invoiced"] or each["shipped"] for each in number.values()):
        return facts
    missing = {}
    for key, take in units.items():
        each = number[key]
        wanted = min(each["ordered"] - each["canceled"], each["shipped"] + each["refunded"] + take)
        if wanted > each["invoiced"]:
            missing[key] = wanted - each["invoiced"]
    if not missing or facts.get("state") in ("canceled", "closed"):
        return facts
    client.invoice(task.magento_id, items=missing, capture=False, comment=f"Units that TikTok Shop cancelled are refunded from it. [{task.key}]")
    return client.order(task.magento_id)


def _whole(units: Mapping[str, int], lines: Iterable[Mapping[str, Any]]) -> bool:
    return all(units.get(str(item.get("item_id")), 0) >= Decimal(str(item.get("qty_ordered") or 0)) for item in lines)


def comment(task: _Task) -> str:
    what = task.key.partition(":")[2] if task.key.startswith("return:") else ""
    said = f"TikTok Shop refunded return {what}" if what else "TikTok Shop cancelled units of the order"
    return f"{said}, order {task.order_number}. [{task.key}]"


def find(client: MagentoClient, magento_id: str, key: str) -> str:
    """The id of the credit memo that carries ``key`` in its comment; "" when Magento has none."""
    for row in client.creditmemos_of(magento_id):
        if any(f"[{key}]" in str(one.get("comment") or "") for one in row.get("comments") or ()):
            return str(row["entity_id"])
    return ""


def _written(client: MagentoClient, task: _Task, memo: str) -> str:
    """What Magento wrote, compared with what was meant; the order's state afterwards."""
    shown, facts = client.get_creditmemo(memo), client.order(task.magento_id)
    number, total = str(shown.get("increment_id") or memo), Decimal(str(shown.get("grand_total") or 0))
    with unit_of_work() as session:
        row = session.get_one(CreditMemo, task.memo_id, populate_existing=True)
        meant, back, currency = row.amount, bool(row.return_to_stock), row.currency
        order = session.get_one(Order, task.order_id)
        order.magento_state, order.magento_status = facts.get("state"), facts.get("status")
        if abs(total - meant) >= arithmetic.CENT:
            state.warn(
                order,
                f"Credit memo {number} came to {words(total, currency)}, but TikTok refunded {words(meant, currency)}. Correct the difference in Magento.",
            )
    goods = "; its units are in stock again" if back else ""
    return _settle(
        task, MEMO_DONE, text=f"Credit memo {number} of {words(total, currency)} was written for Magento order {task.magento_number}{goods}.", magento=memo
    )


def _made_by_hand(task: _Task, planned: MemoPlan) -> str:
    """A memo that the merchant made for the same units and amount and that belongs to no return yet; it is taken for this one, once."""
    with unit_of_work() as session:
        query = select(CreditMemo).where(
            CreditMemo.order_id == task.order_id, CreditMemo.direction == FROM_MAGENTO, CreditMemo.return_pk.is_(None),
            CreditMemo.state.in_((MEMO_IGNORED, MEMO_FAILED)),
        )  # fmt: skip
        for row in session.scalars(query.order_by(CreditMemo.id)):
            if row.items == {item: count for item, count in planned.items.items() if count} and abs(row.amount - planned.total) < arithmetic.CENT:
                row.return_pk = task.return_pk
                return row.memo_id or ""
    return ""


def _instead(client: MagentoClient, task: _Task, planned: MemoPlan, facts: Mapping[str, Any]) -> str:
    """What is done where Magento takes no such memo, when something is; raises ``Wait``, ``Ignored`` or ``DomainError`` otherwise."""
    if planned.problem == arithmetic.NOT_INVOICED:
        lines = [item for item in facts.get("items") or () if not item.get("parent_item_id")]
        if _whole(planned.items, lines) and not any(Decimal(str(item.get("qty_shipped") or 0)) for item in lines) and client.cancel(task.magento_id):
            return f"Magento order {task.magento_number} was cancelled instead of refunded: it was not invoiced, and nothing of it was shipped."
        raise Wait(f"{planned.message} The credit memo is written once it is.")
    if planned.problem in (arithmetic.UNITS_GONE, arithmetic.ENDED):
        raise Ignored(f"{planned.message} Nothing is refunded twice.")
    raise DomainError(planned.problem, planned.message, "Compare the refunds of the order in Magento and on TikTok, and correct the difference by hand.")

"""What becomes of an order that was to be created, whichever store it goes to: refused by a gate, by the store, or left for later."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain import gates
from connector.domain.checks import Check
from connector.domain.gates import Verdict
from connector.models.order import CREATED, CREATING, FAILED, READY, MagentoOrderIntent, Order
from connector.models.trace import Decision
from connector.services import events, mail
from connector.services.orders import intent, reservations, state
from connector.services.orders.creation_desk import Draft, problem

#: Checks that an order which is half-way in its store need not pass again: it is finished first, then what changed is carried over.
_PASSED_ONCE = frozenset(
    {
        "Order policy valid and creation on",
        "Status reached",
        "Hold over",
        "Not cancelled, no open cancellation request",
        "Products enabled and in stock",
        "Storefront safe for tests",
    }
)
#: When an order that only has to wait (for the answer to a cancellation request, for its account) is looked at again.
LOOK_AGAIN = timedelta(minutes=5)
#: The stores' refusals under the cause codes by which failures are grouped.
_CAUSES = {
    "mag.product_unavailable": "stock.short", "mag.qty_unavailable": "stock.short", "mag.stock_unassigned": "stock.unassigned",
    "mag.sku_unknown": "mapping.sku_unknown", "mag.address": "address.refused", "mag.payment_method": "magento.payment_method",
    "mag.shipping_method": "magento.shipping_method", "mag.options_required": "product.composite",
    "sto.sku_unknown": "mapping.sku_unknown", "sto.out_of_stock": "stock.short", "sto.offline": "product.disabled",
}  # fmt: skip
_STORES = {"magento": "Magento", "storefront": "The external storefront"}


@dataclass(frozen=True)
class Result:
    """What became of one order. ``outcome``: created, left (not now, or nothing to do), refused (with code, message, remedy)."""

    outcome: str
    message: str
    code: str = ""
    remedy: str = ""
    data: dict[str, Any] = field(default_factory=dict)


def begun(order_id: int) -> bool:
    """Whether the store may already have something of this order, so that it has to be finished."""
    row = db.session.get(MagentoOrderIntent, order_id, populate_existing=True)
    found = row is not None and row.step != intent.DONE and (bool(row.entity_id) or row.step == intent.PLACING)
    db.session.commit()
    return found


def blocking(verdict: Verdict, *, begun: bool) -> Check | None:
    """The first failed check that stops the order; ``begun``: what was passed before the store was first written to is not asked again."""
    return next((check for check in verdict.checks if not check.ok and not (begun and check.check in _PASSED_ONCE)), None)


def refuse(draft: Draft, verdict: Verdict, check: Check) -> Result:
    """Record the verdict and move the order to where the failing check leaves it."""
    refused = check.outcome in (gates.SKIPPED, gates.FAILED)
    with unit_of_work() as session:
        order = session.get(Order, draft.order.id, populate_existing=True)
        assert order is not None
        record_decision(draft, verdict)
        if refused:
            state.set_state(order, check.outcome, reason=check.check, code=check.code, message=check.message, remedy=check.remedy)
        elif check.outcome in (gates.STORED, gates.HELD, gates.CANCELLED):
            state.set_state(order, check.outcome, reason=check.message)
        else:
            if order.state == CREATING:
                state.set_state(order, READY, reason=check.message)
            order.retry_at = utcnow() + LOOK_AGAIN  # nothing is wrong with the order: it only has to wait
        if check.outcome == gates.CANCELLED:
            reservations.release(order.id, "cancelled")
    return Result("refused" if refused else "left", check.message, check.code, check.remedy)


def record_decision(draft: Draft, verdict: Verdict) -> None:
    """Keep the decision trace; the same refusal again adds nothing to it."""
    failing = verdict.failing
    query = select(Decision).where(Decision.subject_type == "order", Decision.subject_id == str(draft.order.id), Decision.action == "create")
    last = db.session.scalar(query.order_by(Decision.id.desc()).limit(1))
    if failing is not None and last is not None and failing.as_dict() in last.checks:
        return
    events.record_decision("order", draft.order.id, "create", verdict.as_list(), policy_version_id=draft.rules.policy_version_id)


def failed(draft: Draft, verdict: Verdict, claim: intent.Claim, error: api.ApiError | DomainError) -> Result:
    """A refusal that needs a person. What the store already has is kept, so that the next attempt continues there."""
    code, message, remedy = problem(error)
    if isinstance(error, api.ApiError) and error.system in _STORES:
        remote, store = error.remote_message or str(error), _STORES[error.system]
        code, message = _CAUSES.get(code, f"{error.system}.refused"), f"Order {draft.order.number} was not created. {store} answered: {remote}"
    with unit_of_work():
        reset = {} if claim.entity_id else {"cart_id": None, "placing_since": None}
        intent.record(claim, claim.step if claim.entity_id else intent.NEW, lease=False, **reset)
        record_decision(draft, verdict)
        mark_failed(draft.order.id, code, message, remedy)
    return Result("refused", message, code, remedy)


def fail(order_id: int, code: str, message: str, remedy: str) -> None:
    with unit_of_work():
        mark_failed(order_id, code, message, remedy)


def mark_failed(order_id: int, code: str, message: str, remedy: str) -> None:
    """The order failed, in the caller's transaction. One that is in the store stays ``created``, whatever came after."""
    order = db.session.get(Order, order_id, populate_existing=True)
    if order is not None and order.state != CREATED:
        state.set_state(order, FAILED, reason="creation in the store", code=code, message=message, remedy=remedy)


def notify(draft: Draft, number: str, order: Order) -> None:
    """The mail that the order policy asks for (A108)."""
    policy, store = draft.rules.policy, "the external storefront" if draft.rules.external else "Magento"
    assert policy is not None
    mail.queue(
        policy.notification_email,
        subject=f"TikTok order {order.number} is {'store' if draft.rules.external else 'Magento'} order {number}",
        body=f"TikTok Shop order {order.number} of account {draft.rules.account.title} was created in {store} as {number}: "
        f"{order.total.normalize():f} {order.currency}.\n",
        account=draft.rules.account,
    )

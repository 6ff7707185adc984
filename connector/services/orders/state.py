"""The one door through which an order's state changes (product rule 8): nobody else assigns ``state`` or ``failure_*``.

``state`` is ours and stands beside TikTok's ``remote_status`` and Magento's ``magento_status`` (inventory A20, contradictions 3 and 4). "Error" is
not a state: it is a failure code, which a failed or skipped order always has and a created one may have (``flag``).
"""

from __future__ import annotations

from connector.core.clock import utcnow
from connector.core.errors import DomainError, NotFoundError
from connector.models.order import CANCELLED, CREATED, CREATING, FAILED, HELD, ORDER_STATES, READY, REVIEW, SKIPPED, STORED, Order
from connector.services import events

_BEFORE_MAGENTO = frozenset({STORED, REVIEW, HELD, READY, CREATING, SKIPPED, FAILED, CANCELLED, CREATED})

#: From which state to which. An order that exists in Magento stays ``created``; what happens to it later shows in the remote statuses.
MOVES: dict[str, frozenset[str]] = {
    STORED: _BEFORE_MAGENTO,
    REVIEW: _BEFORE_MAGENTO,
    HELD: _BEFORE_MAGENTO,
    READY: _BEFORE_MAGENTO,
    CREATING: frozenset({CREATED, FAILED, SKIPPED, READY, HELD, STORED, CANCELLED}),
    SKIPPED: _BEFORE_MAGENTO,
    FAILED: _BEFORE_MAGENTO,
    #: "Create Order When = Cancelled" creates an order that is cancelled already, for the books (A20, contradiction 14).
    CANCELLED: frozenset({CANCELLED, READY, CREATING, CREATED}),
    CREATED: frozenset({CREATED}),
}

_WORDS = {
    STORED: "Stored; nothing is done for now",
    REVIEW: "Waits for Create Sales Order",
    HELD: "On hold; stock is reserved here",
    READY: "Ready to be created in Magento",
    CREATING: "Is being created in Magento",
    CREATED: "Exists in Magento",
    SKIPPED: "Deliberately not created in Magento",
    FAILED: "Could not be created in Magento",
    CANCELLED: "Cancelled before it reached Magento",
}


def unknown(order_id: int) -> NotFoundError:
    """What is raised for the id of no order."""
    return NotFoundError("order.unknown", f"There is no order {order_id}.", "It may have been removed; open Orders for the present ones.")


def set_state(order: Order, new_state: str, *, reason: str, code: str | None = None, message: str | None = None, remedy: str | None = None) -> bool:
    """Move ``order`` to ``new_state`` inside the caller's transaction, with one event; True when anything changed.

    ``reason`` says why, for the timeline. ``code``, ``message`` and ``remedy`` become the order's failure; without a code an earlier failure is
    cleared. Raises ``DomainError("order.state")`` for a move that the table does not know.
    """
    if new_state not in ORDER_STATES:
        raise ValueError(f"unknown order state {new_state!r}")
    before = order.state or STORED
    if new_state not in MOVES[before] and new_state != before:
        raise DomainError(
            "order.state", f"Order {order.number} is {before} and cannot become {new_state}.", "Open the order; its timeline tells what happened."
        )
    changed = before != new_state
    failed = _set_failure(order, code, message, remedy)
    if new_state == FAILED and (changed or failed):
        order.attempts = (order.attempts or 0) + 1
    if new_state == CREATED:
        order.attempts = 0
    if not changed and not failed:
        return False
    if changed:
        order.state, order.state_changed_at = new_state, utcnow()
    words = _WORDS[new_state]
    if "Magento" in words and order.account is not None and order.account.storefront != "magento":
        words = words.replace("Magento", "the external storefront")
    text = f"{words}: {message}" if code and message else f"{words}."
    events.record(
        f"order.{new_state}",
        "order",
        order.id,
        text,
        account_id=order.account_id,
        before={"state": before},
        after={"state": new_state, "code": code},
        reason=reason,
    )
    return True


def flag(order: Order, code: str, message: str, remedy: str = "", *, reason: str = "") -> bool:
    """Show an error on an order without changing its state (a parcel without tracking at TikTok, a cancel that Magento refused)."""
    if not _set_failure(order, code, message, remedy):
        return False
    events.record("order.flagged", "order", order.id, message, account_id=order.account_id, after={"code": code}, reason=reason)
    return True


def clear_flag(order: Order, *codes: str, reason: str = "") -> bool:
    """Take an error off an order that stays in its state: one of ``codes``, or any when none is named."""
    if not order.failure_code or (codes and order.failure_code not in codes):
        return False
    cleared = order.failure_code
    _set_failure(order, None, None, None)
    events.record("order.cleared", "order", order.id, "The error was solved.", account_id=order.account_id, before={"code": cleared}, reason=reason)
    return True


def warn(order: Order, text: str) -> bool:
    """Add a warning to the order (shown, never blocking); the same one is not added twice."""
    present = [line for line in (order.warning or "").split("\n") if line]
    if text in present:
        return False
    order.warning = "\n".join([*present, text])
    events.record("order.warning", "order", order.id, text, account_id=order.account_id)
    return True


def _set_failure(order: Order, code: str | None, message: str | None, remedy: str | None) -> bool:
    """True when the failure is another one than before; the moment of an unchanged one is moved on all the same."""
    same = (order.failure_code, order.failure_message) == (code, message)
    order.failure_code, order.failure_message, order.failure_remedy = code, message, remedy
    order.failed_at = utcnow() if code else None
    if code is None:
        order.retry_at = None
    return not same

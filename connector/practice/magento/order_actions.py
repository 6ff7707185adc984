"""Cancel, hold, unhold, comments, emails (MAG §4.5.2-4.5.4)."""

from __future__ import annotations

from decimal import Decimal

from .auth import release
from .emails import log_email
from .errors import Crash, RestError
from .inventory import managed, reserve
from .numbers import ZERO, dec, now, num
from .orders import load_order, order_items
from .routing import Call, route
from .storage import Doc, Tables

# The statuses of each state in a fresh store.
STATUSES = {
    "new": ("pending",),
    "pending_payment": ("pending_payment",),
    "processing": ("processing", "fraud"),
    "complete": ("complete",),
    "closed": ("closed",),
    "canceled": ("canceled",),
    "holded": ("holded",),
    "payment_review": ("payment_review", "fraud"),
}
_NOT_HOLDABLE = ("canceled", "complete", "closed", "payment_review", "holded")
_NOT_CANCELABLE = ("canceled", "complete", "closed", "payment_review", "holded")


def open_to_cancel(item: Doc) -> Decimal:
    """Units neither invoiced nor shipped nor cancelled yet."""
    gone = max(dec(item.get("qty_invoiced")), dec(item.get("qty_shipped")))
    return max(dec(item.get("qty_ordered")) - gone - dec(item.get("qty_canceled")), ZERO)


def default_status(state: str) -> str:
    return STATUSES[state][0]


def set_state(order: Doc, state: str) -> None:
    """A state change of Magento's own always brings the state's default status."""
    order["state"], order["status"] = state, default_status(state)


def add_history(db: Tables, order: Doc, **entry) -> Doc:
    """Append one history row with a new id; None values are left out when shown."""
    row = {key: value for key, value in entry.items() if value is not None}
    row.update(created_at=now(), entity_id=db.next("order_history"), parent_id=order["entity_id"])
    order["_histories"].append(row)
    return row


@route("POST", "/V1/orders/:id/cancel", "Magento_Sales::cancel")
def cancel(call: Call, order_id: str) -> bool:
    return cancel_order(call.db, load_order(call.db, order_id))


def cancel_order(db: Tables, order: Doc) -> bool:
    """Cancel what is open; False (with HTTP 200) when nothing can be cancelled."""
    items = order_items(db, order["entity_id"])
    lines = [item for item in items if not item.get("parent_item_id")]
    if order.get("state") in _NOT_CANCELABLE or not any(open_to_cancel(item) for item in lines):
        return False
    if any(item.get("product_type") is None for item in lines):
        raise Crash()
    undefined = False
    for item in lines:
        quantity = open_to_cancel(item)
        if not quantity:
            continue
        if managed(db, {**item, "product_id": item.get("_child_product_id") or item.get("product_id")}):
            reserve(db, order["_stock_id"], item["sku"], quantity, "order_canceled", order.get("increment_id"))
        undefined = undefined or not item.get("product_id")
    if undefined:  # the reservation above stays, the order does not change (MAG §4.4.3)
        raise RestError(400, "We can't rebuild the index for an undefined product.", keep=True)
    fully = True
    for item in items:
        quantity = open_to_cancel(item)
        share = quantity / dec(item["qty_ordered"]) if dec(item.get("qty_ordered")) else ZERO
        item["qty_canceled"] = num(dec(item.get("qty_canceled")) + quantity)
        if not item.get("parent_item_id"):
            item["tax_canceled"] = num(dec(item.get("tax_amount")) * share)
            compensation = dec(item.get("discount_tax_compensation_amount")) * share
            item["discount_tax_compensation_canceled"] = num(compensation)
            fully = fully and item["qty_canceled"] == item["qty_ordered"]
        item["updated_at"] = now()
        db.put("order_item", item["item_id"], item)
    for prefix in ("", "base_"):
        for name in ("subtotal", "tax", "shipping", "discount"):
            amount = dec(order.get(f"{prefix}{name}" if name == "subtotal" else f"{prefix}{name}_amount"))
            order[f"{prefix}{name}_canceled"] = num(abs(amount) - abs(dec(order.get(f"{prefix}{name}_invoiced"))))
        order[f"{prefix}total_canceled"] = num(dec(order.get(f"{prefix}grand_total")) - dec(order.get(f"{prefix}total_paid")))
    if fully:
        set_state(order, "canceled")
    order["updated_at"] = now()
    db.put("sales_order", order["entity_id"], order)
    return True


@route("POST", "/V1/orders/:id/hold", "Magento_Sales::hold")
def hold(call: Call, order_id: str) -> bool:
    order = load_order(call.db, order_id)
    if order.get("state") in _NOT_HOLDABLE:
        raise RestError(400, "A hold action is not available.")
    order["hold_before_state"], order["hold_before_status"] = order.get("state"), order.get("status")
    set_state(order, "holded")
    return _saved(call.db, order)


@route("POST", "/V1/orders/:id/unhold", "Magento_Sales::unhold")
def unhold(call: Call, order_id: str) -> bool:
    """Back to the state before; after a hold that was written by `POST /V1/orders` that is NULL."""
    order = load_order(call.db, order_id)
    if order.get("state") != "holded":
        raise RestError(400, "You cannot remove the hold.")
    order["state"], order["status"] = order.pop("hold_before_state", None), order.pop("hold_before_status", None)
    return _saved(call.db, order)


def _saved(db: Tables, order: Doc) -> bool:
    order["updated_at"] = now()
    db.put("sales_order", order["entity_id"], order)
    return True


@route("POST", "/V1/orders/:id/comments", "Magento_Sales::comment")
def comment(call: Call, order_id: str) -> bool:
    """Without a status 2.4.6 sets the order's status to NULL; from 2.4.7 a foreign status is refused."""
    order = load_order(call.db, order_id)
    return add_comment(call, order, call.param("statusHistory"))


def add_comment(call: Call, order: Doc, given: Doc) -> bool:
    status = given.get("status")
    if release(call.settings) >= (2, 4, 7) and status not in STATUSES.get(order.get("state") or "", (status,)):
        text = 'Unable to add comment: The status "%1" is not part of the order status history.'
        raise RestError(400, text, [status])
    notified = int(given.get("is_customer_notified", given.get("isCustomerNotified")) or 0)
    add_history(
        call.db,
        order,
        comment=given.get("comment"),
        entity_name=given.get("entity_name"),
        is_customer_notified=notified,
        is_visible_on_front=int(given.get("is_visible_on_front", given.get("isVisibleOnFront")) or 0),
        status=status,
    )
    order["status"] = status
    if notified:
        log_email(call.db, "comment", order)
    call.db.put("sales_order", order["entity_id"], order)
    return True


@route("POST", "/V1/orders/:id/emails", "Magento_Sales::emails")
def emails(call: Call, order_id: str) -> bool:
    order = load_order(call.db, order_id)
    if not call.settings["emails"]:
        return False
    log_email(call.db, "order", order)
    order["email_sent"] = 1
    call.db.put("sales_order", order["entity_id"], order)
    return True

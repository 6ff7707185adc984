"""Writer A+: place the order through a cart, as Magento's own checkout does, then correct its money to TikTok's (MAG §4.4.3-§4.4.7).

Calls of a one-line order: cart, item, addresses, place, read, correct, read. Every lost answer is looked up before anything is repeated; a cart is
placed a second time only when the first request cannot be running any more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

from connector.clients.errors import Conflict, NotFound, Rejected, Uncertain
from connector.core.clock import utcnow
from connector.core.errors import DomainError
from connector.domain.money import OrderMoney
from connector.services.orders import intent
from connector.services.orders.writers.task import (
    DISCOUNT_WORDS,
    Row,
    Task,
    Written,
    adopted,
    amount,
    base_step,
    currency_keys,
    customer_keys,
    differences,
    header_amounts,
    items_by_sku,
    line_amounts,
    order_lines,
    repeated,
    verified,
)

#: How long the first request of a placing may still be running at the server: bounds, in seconds (MAG §4.4.7 point 3).
SHORTEST_WAIT, LONGEST_WAIT = 3.0, 60.0
#: A wait above this is given back to the job, which comes again, instead of keeping a slot of the store.
PATIENCE = 8.0
TRANSIENT_PAUSES = (0.4, 1.5)


class Pace:
    """How slow this store answers, as seen by this process: the wait after a lost answer follows it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slowest: dict[str, float] = {}

    def note(self, operation: str, seconds: float) -> None:
        with self._lock:
            self._slowest[operation] = max(seconds, self._slowest.get(operation, 0.0) * 0.98)

    def longest_run(self) -> float:
        """Seconds after which a placing that was started cannot be running any more: many times the slowest answer seen so far."""
        place, other = self._slowest.get("place", 0.0), self._slowest.get("fill", 0.0)
        if not place and not other:
            return LONGEST_WAIT
        return min(LONGEST_WAIT, max(SHORTEST_WAIT, 20 * place, 30 * other))


_paces: dict[str, Pace] = {}


def pace_of(task: Task) -> Pace:
    return _paces.setdefault(task.client.base_url, Pace())


def write(task: Task) -> Written:
    """Raises ``ApiError`` kinds (the order can be taken up again at its step) and ``DomainError`` for a refusal that needs a person."""
    if task.existing is not None and not task.claim.resumed:
        return adopted(task, task.money({}))
    warnings: list[str] = []
    order = _begun(task, warnings)
    if order is None:
        cart_id = _filled_cart(task)
        limit = pace_of(task).longest_run()
        intent.advance(task.claim, intent.PLACING, cart_id=cart_id, placing_since=utcnow(), facts={**task.claim.facts, "place_limit": limit})
        order = _placed(task, _place(task, cart_id, warnings))
    money, order = _corrected(task, order)
    return Written(order, money, items_by_sku(order), tuple(warnings))


# --- taking up what an earlier writer began -------------------------------------------------------------------------------------------------


def _begun(task: Task, warnings: list[str]) -> Row | None:
    """The Magento order that exists already, by the look-up, by its id, or by its cart; None when it has to be placed."""
    claim = task.claim
    if claim.entity_id:
        return task.client.order(claim.entity_id)
    if task.existing is not None:
        return _placed(task, str(task.existing["entity_id"]))
    if claim.step == intent.PLACING and claim.cart_id:
        found = _after_lost_answer(task, claim.cart_id, warnings)
        return _placed(task, found or _place(task, claim.cart_id, warnings))
    return None


def _placed(task: Task, entity_id: str) -> Row:
    """The order is there: keep its id at once, then read it."""
    if task.claim.entity_id != entity_id:
        intent.advance(task.claim, intent.PLACED, entity_id=entity_id)
    return task.client.order(entity_id)


# --- the cart -------------------------------------------------------------------------------------------------------------------------------


def _filled_cart(task: Task) -> str:
    """A cart with all lines and addresses. Carts cost nothing: whatever goes wrong for a moment is answered with another one."""
    for attempt in (1, 2, 3):
        started = time.monotonic()
        try:
            cart_id = str(repeated(lambda: task.client.create_cart(store=task.store.facts.code)))
            pace_of(task).note("fill", time.monotonic() - started)
            unsure = _add_items(task, cart_id)
            unsure = _address(task, cart_id) or unsure
            if not unsure or _holds_what_is_wanted(task, cart_id):
                return cart_id
        except Uncertain:
            if attempt == 3:
                raise
    raise Uncertain("The cart could not be filled: answers were lost three times.", system="magento", operation="add_item")


def _add_items(task: Task, cart_id: str) -> bool:
    """True when an answer was lost on the way and the cart has to be looked at before it is placed."""
    unsure = False
    for line in task.money({}).lines:
        added = False
        for pause in (*TRANSIENT_PAUSES, None):
            try:
                task.client.add_item(cart_id, line.sku, line.qty, store=task.store.facts.code)
                added = True
            except Uncertain:
                unsure = True
                there = {str(item["sku"]).casefold() for item in task.client.cart_items(cart_id, store=task.store.facts.code)}
                added = line.sku.casefold() in there
            except Rejected as refusal:
                if not refusal.transient or pause is None:
                    raise
            if added:
                break
            time.sleep(pause or 0)
        if not added:
            raise Uncertain(f"{line.sku} could not be put into the cart: answers were lost.", system="magento", operation="add_item")
    return unsure


def _address(task: Task, cart_id: str) -> bool:
    address, store = task.address.as_magento(task.customer.email), task.store.facts.code
    if task.virtual:
        return _twice(lambda: task.client.billing_address(cart_id, address, store=store))
    address["save_in_address_book"] = 0
    carrier, _, method = task.policy.shipping_method.partition("_")

    def send() -> None:
        task.client.shipping_information(cart_id, shipping_address=address, billing_address=address, carrier_code=carrier, method_code=method, store=store)

    try:
        return _twice(send)
    except NotFound as refusal:
        if refusal.code != "mag.shipping_method":
            raise
        carrier, method = _fallback_method(task, cart_id, address, store, refusal)
        return _twice(send)


def _fallback_method(task: Task, cart_id: str, address: Row, store: str, refusal: NotFound) -> tuple[str, str]:
    """The policy's shipping method is not offered: the cheapest one that is, for its amount is corrected anyway."""
    rates = [rate for rate in task.client.estimate_shipping(cart_id, address, store=store) if rate.get("available", True) and not rate.get("error_message")]
    if not rates:
        raise refusal
    cheapest = min(rates, key=lambda rate: float(rate.get("amount") or 0))
    return str(cheapest["carrier_code"]), str(cheapest["method_code"])


def _twice(send: Callable[[], None]) -> bool:
    """Send what may be sent again; True when the first answer was lost."""
    try:
        send()
    except Uncertain:
        send()
        return True
    return False


def _holds_what_is_wanted(task: Task, cart_id: str) -> bool:
    """After a lost answer: exactly our units, no line merged twice."""
    items = task.client.cart_items(cart_id, store=task.store.facts.code)
    return {str(item["sku"]).casefold(): int(item["qty"]) for item in items} == {line.sku.casefold(): line.qty for line in task.money({}).lines}


# --- placing --------------------------------------------------------------------------------------------------------------------------------


def _place(task: Task, cart_id: str, warnings: list[str]) -> str:
    """The entity id. A second placing of the same cart could make two orders: look, wait, look, and only then repeat."""
    for attempt, pause in enumerate((*TRANSIENT_PAUSES, None), 1):
        started = time.monotonic()
        try:
            entity_id = task.client.place_order(
                cart_id, method=task.policy.payment_method, po_number=task.number if task.policy.payment_method == "purchaseorder" else None,
                store=task.store.facts.code,
            )  # fmt: skip
        except (Uncertain, Conflict, NotFound):  # lost, being placed, or placed before
            found = _after_lost_answer(task, cart_id, warnings)
            if found:
                return found
            if attempt == 3:
                raise
        except Rejected as refusal:
            found = _by_cart(task, cart_id, warnings)
            if found:
                return found
            if pause is None or not (refusal.transient or (refusal.code == "mag.qty_unavailable" and attempt == 1)):
                raise
            time.sleep(pause)
        else:
            pace_of(task).note("place", time.monotonic() - started)
            return entity_id
        intent.advance(task.claim, intent.PLACING, placing_since=utcnow())
    raise AssertionError("unreachable")


def _after_lost_answer(task: Task, cart_id: str, warnings: list[str]) -> str | None:
    """The order of a cart whose placing was not answered; None when it certainly made none and may be placed again.

    Waits until the first request cannot be running any more; a long wait is given back to the job (``Uncertain`` with ``retry_after``).
    """
    since = task.claim.placing_since or utcnow()
    limit = float(task.claim.facts.get("place_limit") or LONGEST_WAIT)
    ends = since + timedelta(seconds=limit)
    given_up = time.monotonic() + PATIENCE
    pause = 0.15
    while True:
        found = _by_cart(task, cart_id, warnings)
        if found:
            return found
        left = (ends - utcnow()).total_seconds()
        if left <= 0:
            if _still_active(task, cart_id):
                return None
            return _by_cart(task, cart_id, warnings) or _vanished(task, cart_id)
        if time.monotonic() > given_up:
            raise Uncertain(
                f"Whether cart {cart_id} became an order is not known yet; it is looked up again.", system="magento", operation="place_order", retry_after=left,
            )  # fmt: skip
        time.sleep(min(pause, max(left, 0.05)))
        pause = min(pause * 1.6, 2.0)


def _by_cart(task: Task, cart_id: str, warnings: list[str]) -> str | None:
    found = task.client.find_orders(quote_id=cart_id, fields="items[entity_id,increment_id,state,status],total_count")
    if not found:
        return None
    for double in found[1:]:  # #36313: one cart may become two orders; the first counts
        if str(double.get("state")) != "canceled":
            task.client.cancel(str(double["entity_id"]))
            warnings.append(f"Magento made two orders of one cart; {double.get('increment_id')} was cancelled.")
    return str(found[0]["entity_id"])


def _still_active(task: Task, cart_id: str) -> bool:
    return bool(task.client.cart(cart_id, store=task.store.facts.code).get("is_active"))


def _vanished(task: Task, cart_id: str) -> NoReturn:
    raise DomainError(
        "magento.cart_vanished",
        f"Magento closed cart {cart_id} of order {task.number}, but shows no order for it.",
        "Look for the order in Magento by its time; if there is none, choose Create Sales Order again.",
    )


# --- the correction -------------------------------------------------------------------------------------------------------------------------


def _corrected(task: Task, order: Row) -> tuple[OrderMoney, Row]:
    """TikTok's money in lines and header by one partial save, read back; before anything is invoiced."""
    money = task.money({str(item["sku"]).casefold(): amount(item.get("tax_percent")) for item in order_lines(order)})
    base = money.in_base(task.rate, base_step(task))
    invoiced = bool(amount(order.get("total_paid")))
    if invoiced or (task.claim.resumed and not differences(order, money, base, task.number)):
        verified(task, order, money)
        return money, order
    entity = _entity(task, order, money, base)
    for last in (False, True):
        repeated(lambda: task.client.correct_order(entity, store=task.store.facts.code))
        order = task.client.order(order["entity_id"])
        if not differences(order, money, base, task.number) or last:
            break
    verified(task, order, money)
    return money, order


def _entity(task: Task, order: Row, money: OrderMoney, base: OrderMoney) -> Row:
    lines = {str(item["sku"]).casefold(): item for item in order_lines(order)}
    items = []
    for line, base_line in zip(money.lines, base.lines, strict=True):
        item = lines.get(line.sku.casefold())
        if item is None:
            raise DomainError(
                "magento.line_lost", f"Magento order {order['increment_id']} has no line for {line.sku}.",
                "The product was probably disabled meanwhile. Cancel the Magento order, then choose Create Sales Order again.",
            )  # fmt: skip
        items.append({"item_id": int(item["item_id"]), "ext_order_item_id": ",".join(line.line_ids)[:255], **line_amounts(line, base_line)})
    return {
        "entity_id": int(order["entity_id"]),
        "increment_id": str(order["increment_id"]),
        "ext_order_id": task.number,
        **({"ext_customer_id": task.buyer_id[:32]} if task.buyer_id else {}),
        **customer_keys(task.customer),
        **(currency_keys(task) if order.get("order_currency_code") != task.currency else {}),
        **header_amounts(money, base),
        **({"discount_description": DISCOUNT_WORDS} if money.discount else {}),
        "shipping_description": task.shipping_description,
        "items": items,
    }

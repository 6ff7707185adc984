"""An external storefront behind the storefront interface (S4): what TikTok changes goes there, what the store ships or cancels comes back.

A change is made on the order as it was just read (ETag); when the store has changed it meanwhile it is read again and judged anew. ``CANCELLED`` is final
there, so nothing is carried into a cancelled order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from connector.clients import errors as api
from connector.clients.storefront import StorefrontClient
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import external_order, tiktok_order
from connector.domain.magento_address import read_address
from connector.domain.shipping import clean_tracking
from connector.models.oms import ExternalStore
from connector.models.order import CREATED, CREATING, Order, OutgoingAction
from connector.services import connections, events, runs
from connector.services.orders import actions, create, flags, parcels, recall, reject, state, undo
from connector.services.orders.follow import ADDRESS, Followed
from connector.services.orders.shipments import Collected
from connector.services.storefronts import EXTERNAL, LABELS, NotPossible, StoreOrder
from connector.services.storefronts.creation import words

Row = dict[str, Any]
Guard = Callable[[Session], None]

#: What was changed in the store this long before the newest change seen is read again: a change is dated before it is readable.
OVERLAP = timedelta(minutes=1)
CLOCK_SLACK = timedelta(days=1)
BATCH = 100
TRIES = 3
#: The seller's reason on TikTok for an order that the store has cancelled (A265).
STORE_REASON = "unable_to_deliver"
#: The store cancelled an order that TikTok will not let the seller cancel.
NOT_CANCELLED = "storefront.cancelled"
#: The order was changed again and again while we wanted to change it.
CHANGED = "sto.changed"


class External:
    """See ``Storefront``."""

    name = LABELS[EXTERNAL]
    platform = "SALESFORCE_COMMERCE_CLOUD"

    def create(self, order_id: int, *, by_hand: bool = False) -> create.Result:
        return create.create_one(order_id, by_hand=by_hand)

    def read(self, order_id: int) -> StoreOrder | None:
        """The store's order as it is now, kept on our row too; None when there is none."""
        place = _place(order_id)
        if place is None:
            return None
        shown = connections.storefront_for(place.account_id).get_order(place.number).order
        _keep(order_id, shown)
        return StoreOrder(place.number, *words(shown), external_order.shipped(shown))

    # --- cancelling (A260, A262-A264)

    def cancel(self, order_id: int, *, reason: str, after_shipped: bool = False) -> undo.Undone:
        """Set CANCELLED, and the tag where something has left: the store returns what it has not shipped to its stock, once, and nothing else."""
        place = _place(order_id)
        if place is None:
            return undo.Undone("nothing", "The order is not in the external storefront.")
        with unit_of_work() as session:
            order = session.get_one(Order, order_id)
            action = actions.take(order, undo.ACTION)
            action.attempts, action.state = action.attempts + 1, "sent"
            action.request = action.request or {"reason": reason}
            left = after_shipped or bool(recall.why_left(session, order))
            external_id = order.number
        client = connections.storefront_for(place.account_id)
        try:
            undone, shown = _cancel(client, place.number, reason, left)
        except api.Rejected as refused:
            if refused.code == CHANGED:
                raise
            if not (isinstance(refused, api.NotFound) and _gone(client, external_id)):
                with unit_of_work() as session:
                    text = f"TikTok cancelled order {external_id}, and the external storefront does not take order {place.number} back: {refused}"
                    remedy = "Cancel it in the store by hand, or put right what its answer names. It is tried again by itself."
                    state.flag(session.get_one(Order, order_id, populate_existing=True), undo.NOT_POSSIBLE, text, remedy)
                raise
            text = f"The external storefront has no order {place.number} any more; nothing is left to cancel there."
            undone, shown = undo.Undone("shipped" if left else "nothing", text), {}
        with unit_of_work() as session:
            order = session.get_one(Order, order_id, populate_existing=True)
            action = actions.take(order, undo.ACTION)
            repeated = bool(action.answer)
            action.state, action.answer = "accepted", {"how": undone.how}
            order.magento_state, order.magento_status = words(shown)
            if undone.how == "shipped":
                state.warn(order, undone.message)
                recall.open_for(session, order, f"store order {place.number} has shipped units" if external_order.shipped(shown) else "its parcel had left")
            else:
                state.clear_flag(order, undo.NOT_POSSIBLE, NOT_CANCELLED, reason=undone.message)
            if not repeated:
                events.record("order.undone", "order", order_id, undone.message, account_id=place.account_id, reason=reason)
        return undone

    def refund(self, order_id: int, *, items: Mapping[str, Decimal], shipping_amount: Decimal, comment: str = "") -> str:
        raise NotPossible("The external storefront has no refunds for external orders: TikTok pays the buyer back.", "Nothing needs to be done in the store.")

    def restock(self, order_id: int, quantities: Mapping[str, int]) -> str:
        """The store keeps its own stock and has no call for it: says what a person puts back there."""
        end_reading()
        units = ", ".join(f"{count} x {sku}" for sku, count in quantities.items() if count)
        return f"The external storefront counts its own stock: put {units} back on its shelf there." if units else "Nothing goes back into the store's stock."

    # --- following TikTok

    def follow(self, order_id: int) -> Followed:
        """Carry a cancellation or a new address over and read the store's order back."""
        order = db.session.get(Order, order_id, populate_existing=True)
        if order is None:
            raise state.unknown(order_id)
        if order.state == CREATING:
            raise api.Unavailable(
                f"Order {order.number} is still being created in the external storefront.", system="connector", operation="follow", code="order.busy",
                retry_after=3,
            )  # fmt: skip
        place, cancelled = _place(order_id), order.remote_status == tiktok_order.CANCELLED
        end_reading()
        if place is None:
            return Followed(("The order is not in the external storefront.",))
        if cancelled:
            return Followed((self.cancel(order_id, reason="cancelled on TikTok Shop").message,))
        done = self._address(order_id, place)
        self.read(order_id)
        return Followed(tuple(done))

    def _address(self, order_id: int, place: _Place) -> list[str]:
        pending = (OutgoingAction.order_id == order_id, OutgoingAction.action == ADDRESS, OutgoingAction.state == "pending")
        keys = list(db.session.scalars(select(OutgoingAction.key).where(*pending)))
        order = db.session.get_one(Order, order_id)
        held = (order.payload.address if order.payload else None) or {}
        end_reading()
        if not keys or not held:
            return []
        body = external_order.address_body(read_address(held, (), directory=False))
        client = connections.storefront_for(place.account_id)
        done, text = True, "The new delivery address was carried over to the external storefront."
        try:
            carried = _patched(client, place.number, lambda shown: {} if _closed(shown) else {"shippingAddress": body})
        except api.Rejected as refused:
            if refused.code == CHANGED:
                raise
            done, text = False, f"The external storefront does not take the buyer's new delivery address: {refused} Change it in the store by hand."
        else:
            if _closed(carried):
                why = "was cancelled" if external_order.cancelled(carried) else "was shipped"
                done, text = False, f"The buyer changed the delivery address after store order {place.number} {why}; the earlier address stands there."
        with unit_of_work() as session:
            order = session.get_one(Order, order_id, populate_existing=True)
            for key in keys:
                action = actions.take(order, ADDRESS, key)
                action.state, action.answer, action.attempts = "accepted", {"carried": done}, action.attempts + 1
            if done:
                events.record("order.address_carried", "order", order_id, text, account_id=place.account_id)
            else:
                state.warn(order, text)
        return [text]

    # --- collecting what the store does (A265)

    def collect(self, account_id: int, *, guard: Guard | None = None) -> Collected:
        """Read every order that the store has changed: its shipments become parcels, its cancellations go to TikTok. Goes on from the stored cursor."""
        found = Collected()
        store = db.session.scalar(select(ExternalStore).where(ExternalStore.account_id == account_id))
        first = db.session.scalar(select(func.min(Order.magento_created_at)).where(Order.account_id == account_id, Order.magento_id.is_not(None)))
        if store is None or first is None:
            end_reading()
            return found
        # What is dated ahead must not carry the cursor past what is still to come; a cursor that it has carried is none.
        began, cursor = utcnow(), store.orders_cursor_at
        since = cursor - OVERLAP if cursor and cursor <= began else first - CLOCK_SLACK
        client = connections.storefront_for(account_id)
        end_reading()
        for batch in _batches(client.orders_modified_since(since)):
            self._take(account_id, batch, found, guard)
            newest = max((min(at, began) for row in batch if (at := _instant(row.get("lastModified")))), default=None)
            with unit_of_work() as session:
                if guard:
                    guard(session)
                row = session.scalars(select(ExternalStore).where(ExternalStore.account_id == account_id).execution_options(populate_existing=True)).one()
                if newest and not (row.orders_cursor_at and newest <= row.orders_cursor_at <= began):
                    row.orders_cursor_at = newest
        self._cancel_on_tiktok(account_id, guard)
        return found

    def collect_order(self, order_id: int) -> Collected:
        """Read one order now (the Ship action does not wait for the next collection)."""
        found, place = Collected(), _place(order_id)
        if place is not None:
            self._take(place.account_id, [connections.storefront_for(place.account_id).get_order(place.number).order], found, None)
        return found

    def _take(self, account_id: int, rows: list[Row], found: Collected, guard: Guard | None) -> None:
        """Keep what the store shows of this account's orders; those that it has from elsewhere are none of ours."""
        by_number = {str(row.get("externalOrderId") or ""): row for row in rows}
        with unit_of_work() as session:
            if guard:
                guard(session)
            query = select(Order).where(Order.account_id == account_id, Order.number.in_(by_number), Order.state == CREATED)
            for order in session.scalars(query.execution_options(populate_existing=True)).all():
                shown = by_number[order.number]
                if str(shown.get("orderNo")) != order.magento_number:
                    continue
                before, (order.magento_state, order.magento_status) = order.magento_status, words(shown)
                if before != order.magento_status:
                    text = f"External storefront: {before or 'none'} to {order.magento_status or 'none'}."
                    events.record("order.magento_status", "order", order.id, text, account_id=account_id)
                try:
                    parcels_of = _parcels_of(shown)
                except (KeyError, TypeError, ValueError, AttributeError) as fault:  # one order that cannot be read stops no other
                    state.warn(
                        order, f"The shipments of store order {order.magento_number} cannot be read ({fault!r}); enter the parcels with the Ship action."
                    )
                    continue
                for parcel in parcels_of:
                    found.seen += 1
                    if not parcel.number:
                        found.trackless += 1  # the store dates a number that is added later as a change of the order
                        continue
                    kept = parcels.keep(
                        order, parcel.number, origin="magento", carrier=parcel.carrier, quantities=parcel.units, shipped_at=parcel.shipped_at
                    )  # fmt: skip
                    found.parcels += kept[1]
                flags.judge(order)

    def _cancel_on_tiktok(self, account_id: int, guard: Guard | None) -> None:
        """Submit, once an order, the cancellation of what the store has cancelled and TikTok still waits for."""
        asked = select(OutgoingAction.order_id).where(OutgoingAction.account_id == account_id, OutgoingAction.action == NOT_CANCELLED)
        query = select(Order).where(
            Order.account_id == account_id, Order.state == CREATED, Order.magento_status == external_order.CANCELLED,
            Order.remote_status.in_(reject.REJECTABLE), Order.id.not_in(asked),
        )  # fmt: skip
        with unit_of_work() as session:
            if guard:
                guard(session)
            items = []
            for order in session.scalars(query.order_by(Order.id).limit(500)).all():
                actions.take(order, NOT_CANCELLED).state = "sent"
                items.append((str(order.id), order.number))
                text = f"Store order {order.magento_number} was cancelled in the store; TikTok is told."
                events.record("order.store_cancelled", "order", order.id, text, account_id=account_id)
            if items:
                runs.submit(
                    "orders.reject", account_id=account_id, items=items, args={"reason": STORE_REASON, "from_store": True}, started_by="storefront",
                    title="Cancel orders that the store has cancelled",
                )  # fmt: skip


def reject_for_store(order_id: int) -> str:
    """Tell TikTok that the store has cancelled an order (A265). A refusal is shown on the order, with what to do."""
    try:
        return reject.reject_one(order_id, STORE_REASON, actor="storefront")
    except (DomainError, api.Rejected) as error:
        with unit_of_work() as session:
            order = session.get_one(Order, order_id, populate_existing=True)
            if order.remote_status != tiktok_order.CANCELLED:
                state.flag(
                    order, NOT_CANCELLED, f"The store cancelled order {order.magento_number}, but TikTok keeps order {order.number}: {error}",
                    "Choose Reject with another reason, cancel it in Seller Center, or place the order in the store again and ship it.",
                )  # fmt: skip
        raise


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an order stands in the store."""

    account_id: int
    number: str


@dataclass(slots=True)
class _Parcel:
    """What travels under one tracking number; without a number, one shipment that waits for it."""

    number: str
    carrier: str
    units: dict[str, int]
    shipped_at: datetime | None


def _parcels_of(shown: Mapping[str, Any]) -> list[_Parcel]:
    """The shipments of the store's order; those that carry the same number travel together."""
    found: list[_Parcel] = []
    for shipment in shown.get("shipments") or ():
        number = clean_tracking(str(shipment.get("trackingNumber") or ""))
        parcel = next((one for one in found if number and one.number.casefold() == number.casefold()), None)
        if parcel is None:
            parcel = _Parcel(number, str(shipment.get("carrier") or ""), {}, _instant(shipment.get("shippedAt")))
            found.append(parcel)
        for item in shipment.get("items") or ():
            parcel.units[str(item["sku"])] = parcel.units.get(str(item["sku"]), 0) + int(item["quantity"])
    return found


def _place(order_id: int) -> _Place | None:
    row = db.session.execute(select(Order.account_id, Order.magento_number, Order.magento_id).where(Order.id == order_id)).one_or_none()
    end_reading()
    return _Place(row.account_id, row.magento_number or row.magento_id) if row is not None and row.magento_id else None


def _keep(order_id: int, shown: Mapping[str, Any]) -> None:
    with unit_of_work() as session:
        order = session.get_one(Order, order_id, populate_existing=True)
        order.magento_state, order.magento_status = words(shown)
        flags.judge(order)


def _closed(shown: Mapping[str, Any]) -> bool:
    """An address changes nothing any more."""
    return external_order.cancelled(shown) or external_order.shipped(shown)


def _cancel(client: StorefrontClient, number: str, reason: str, left: bool) -> tuple[undo.Undone, Row]:
    """GetOrder, then PATCH Order: CANCELLED, with the tag when the store or we know that something has left (A264)."""
    before: Row = {}

    def change(shown: Row) -> Row:
        before.clear()
        before.update(shown)
        changes: Row = {} if external_order.cancelled(shown) else {"c_externalOrderStatus": external_order.CANCELLED, "c_cancelReason": reason}
        tags = list(shown.get("tags") or ())
        if (left or external_order.shipped(shown)) and external_order.AFTER_SHIPPED not in tags:
            changes["tags"] = [*tags, external_order.AFTER_SHIPPED]
        return changes

    after = _patched(client, number, change)
    if left or external_order.shipped(after):
        text = f'Store order {number} was set to CANCELLED with the tag "{external_order.AFTER_SHIPPED}". Recall the parcel; nothing is restocked before it is back.'
        return undo.Undone("shipped", text), after
    if external_order.cancelled(before):
        return undo.Undone("already", f"Store order {number} is CANCELLED already."), after
    return undo.Undone("canceled", f"Store order {number} was set to CANCELLED: {reason}."), after


def _gone(client: StorefrontClient, external_id: str) -> bool:
    """Whether the store itself, and no wrong address, says that it has no order of this TikTok order id."""
    try:
        return bool(client.environment()) and client.find_by_external_id(external_id) is None
    except api.ApiError:
        return False


def _patched(client: StorefrontClient, number: str, change: Callable[[Row], Row]) -> Row:
    """Read, decide, patch what was read; the order afterwards. A lost answer is not repeated blindly: what is there is read, and then nothing is left
    to change."""
    last: api.ApiError | None = None
    for _ in range(TRIES):
        present = client.get_order(number)
        changes = change(present.order)
        if not changes:
            return present.order
        try:
            return client.patch_order(number, changes, etag=present.etag or "*").order
        except (api.Conflict, api.Uncertain) as error:
            last = error
    assert last is not None
    raise last


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _instant(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

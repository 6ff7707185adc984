"""The orders grid (A179-A212, A226-A241): the central workspace for all TikTok orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, exists, func, literal_column, or_, select, union_all

from connector.core import crypto
from connector.core.db import db
from connector.domain import deadlines
from connector.domain import tiktok_order as tiktok
from connector.grids import Action, Choices, Column, DateRange, Empty, Flag, Grid, Join, Label, NumberRange, Preview, Result, Tab, Text
from connector.grids.activity import account_choices
from connector.models.account import Account
from connector.models.aftersales import MEMO_FAILED, CreditMemo
from connector.models.order import CANCELLED, CREATED, CREATING, FAILED, HELD, READY, REVIEW, SKIPPED, STORED, BuyerToken, Order, OrderLine, Shipment
from connector.services import connections, events
from connector.services.orders import create, flags, refresh, reject, ship
from connector.services.orders.ship import CANNOT, FORM, LABEL

_TONES = {
    tiktok.UNPAID: "neutral",
    tiktok.ON_HOLD: "warning",
    tiktok.AWAITING_SHIPMENT: "progress",
    tiktok.PARTIALLY_SHIPPING: "progress",
    tiktok.AWAITING_COLLECTION: "info",
    tiktok.IN_TRANSIT: "info",
    tiktok.DELIVERED: "success",
    tiktok.COMPLETED: "success",
    tiktok.CANCELLED: "neutral",
}
STATUS_LABELS = {status: Label(text, _TONES[status]) for status, text in tiktok.LABELS.items()}
STATE_LABELS = {
    STORED: Label("Stored", "neutral"),
    REVIEW: Label("Ready for review", "warning"),
    HELD: Label("On hold", "warning"),
    READY: Label("To be created", "progress"),
    CREATING: Label("Being created", "progress"),
    CREATED: Label("In Magento", "success"),
    SKIPPED: Label("Skipped", "neutral"),
    FAILED: Label("Failed", "danger"),
    CANCELLED: Label("Cancelled before creation", "neutral"),
}


# --- search (A188) --------------------------------------------------------------------------------------------------------------------------


def search(statement: Select[Any], words: str) -> Select[Any]:
    """TikTok id, Magento number, tracking number and SKU by equality; a buyer by whole words; product and SKU by substring; an account's title.

    Every way of being found is a query of its own over an index, and the orders are those of their union: joined by OR they would make the
    database walk the whole table. A pasted number is looked up by equality alone.
    """
    words = words.strip()
    orders, lines = select(Order.id), select(OrderLine.order_id)
    ways: list[Select[Any]] = [
        *(orders.where(column == words) for column in (Order.number, Order.magento_number, Order.tracking_number)),
        *(lines.where(column == words) for column in (OrderLine.seller_sku, OrderLine.tracking_number)),
        select(Shipment.order_id).where(Shipment.tracking_number == words),
    ]
    if words.isdigit() and len(words) > 9:
        return statement.where(Order.id.in_(union_all(*ways)))
    if words:
        buyers = [select(BuyerToken.order_id).where(BuyerToken.token.in_(crypto.vault().blind_indexes(word))) for word in words.split()]
        ways.append(buyers[0].where(*(BuyerToken.order_id.in_(others) for others in buyers[1:])))
    accounts: Sequence[int] = ()
    if len(words) >= 3:
        ways += [lines.where(column.in_(containing(column, words))) for column in (OrderLine.name, OrderLine.seller_sku)]
    if len(words) >= 2:
        accounts = db.session.scalars(select(Account.id).where(Account.title.icontains(words, autoescape=True))).all()
    found = Order.id.in_(union_all(*ways))
    return statement.where(or_(found, Order.account_id.in_(accounts)) if accounts else found)


def containing(column: Any, words: str) -> Select[Any]:
    """The values of an indexed column that contain the words. A shop sells few products in many lines, so the index is walked from one value
    to the next one, which is a look-up a product and not a look at every line."""
    first = select(func.min(column).label("value")).cte(f"each_{column.key}", recursive=True)
    following = select(func.min(column)).where(column > first.c.value).scalar_subquery()
    values = first.union_all(select(following).where(first.c.value.is_not(None)))
    return select(values.c.value).where(values.c.value.icontains(words, autoescape=True))


# --- filters (A189, A211) -------------------------------------------------------------------------------------------------------------------

SHIPMENTS = {"none": "No parcel", "open": "Parcel to send", "waiting": "Waits for a carrier", "sent": "Sent to TikTok", "failed": "Refused by TikTok"}
CANCELLATIONS = {"requested": "Requested by the buyer", "cancelled": "Cancelled", "tag": "Cancelled after shipping"}


def _has_parcel(*states: str) -> ColumnElement[bool]:
    clause = Shipment.order_id == Order.id
    return exists().where(and_(clause, Shipment.state.in_(states)) if states else clause)


def _with_parcel(*states: str) -> ColumnElement[bool]:
    return Order.id.in_(select(Shipment.order_id).where(Shipment.state.in_(states)))


def _shipment(values: Sequence[str]) -> ColumnElement[bool]:
    """Most orders have no parcel or a sent one, so those are met quickly on the way through the newest; the other states are rare and indexed."""
    clauses = {
        "none": ~_has_parcel(),
        "open": _with_parcel("pending", "sending", "waiting_tracking"),
        "waiting": _with_parcel("waiting_carrier"),
        "sent": _has_parcel("delivered"),
        "failed": _with_parcel("failed"),
    }
    return or_(*(clauses[value] for value in values))


def _cancellation(values: Sequence[str]) -> ColumnElement[bool]:
    clauses = {
        "requested": Order.cancel_requested.is_(True),
        "cancelled": Order.remote_status == tiktok.CANCELLED,
        "tag": and_(Order.tag != literal_column("''"), Order.tag == "cancel after shipped"),
    }
    return or_(*(clauses[value] for value in values))


DUE = {
    "late": "Late: ship-by has passed", "ship4": "Ship within 4 hours", "ship24": "Ship within 24 hours", "ship48": "Ship within 48 hours",
    "later": "Ship in more than 48 hours",
    "cancel24": "Auto-cancel within 24 hours", "cancel72": "Auto-cancel within 72 hours",
}  # fmt: skip


#: Hours: what has more time left than this comes "later", on Today as well.
LATER = flags.SHIP_BANDS[-1]


def _due(values: Sequence[str]) -> ColumnElement[bool]:
    """Open orders by the time they have left, by each shop's own clock."""
    clauses = []
    for account in db.session.scalars(select(Account)):
        now = connections.shop_now(account)
        for value in values:
            word, hours = value.rstrip("0123456789"), int(value.lstrip("abcdefghijklmnopqrstuvwxyz") or 0)
            column = Order.cancel_by_at if word == "cancel" else Order.ship_by_at
            which = Order.remote_status.in_(deadlines.MAY_BE_CANCELLED) if word == "cancel" else flags.awaits_shipping()
            window = and_(column > now, column <= now + timedelta(hours=hours))
            if word in ("late", "later"):
                window = column <= now if word == "late" else column > now + timedelta(hours=LATER)
            clauses.append(and_(Order.account_id == account.id, which, window))
    return or_(*clauses) if clauses else Order.id.is_(None)


class PackageId(Text):
    """Orders with a line in this package."""

    def clause(self, value: str, tz: ZoneInfo) -> ColumnElement[bool]:
        return Order.id.in_(select(OrderLine.order_id).where(super().clause(value, tz)))


#: The form for tracking numbers takes so many orders at once.
SHIP_LIMIT = 200

# --- actions --------------------------------------------------------------------------------------------------------------------------------


def _many(ids: Sequence[Any]) -> list[int]:
    return [int(one) for one in ids]


def _orders(count: int) -> str:
    return f"{count} order{'' if count == 1 else 's'}"


def _one_run(submitted: Sequence[Any]) -> int | None:
    return submitted[0].run_id if len(submitted) == 1 else None


def _preview_create(ids: Sequence[Any]) -> list[Preview]:
    numbers = dict(db.session.execute(select(Order.id, Order.number).where(Order.id.in_(_many(ids)))).all())
    answers = []
    for order_id, verdict in create.preview(_many(ids), by_hand=True).items():
        why = verdict.failing
        answers.append(Preview(order_id, numbers[order_id], verdict.allowed, f"{why.message} {why.remedy}" if why else " ".join(verdict.warnings)))
    return answers


def _create(ids: Sequence[Any], form: Any) -> Result:
    submitted = create.submit(_many(ids), started_by=events.actor_now.get())
    return Result(f"Creating {_orders(len(ids))} in the store.", run_id=_one_run(submitted), url="/queue/")


def _preview_ship(ids: Sequence[Any]) -> list[Preview]:
    answers = []
    for one in ship.preview(_many(ids)):
        why = one.why_not
        reason = f"{why['message']} {why['remedy']}" if why else "Print TikTok's label on the order's page." if one.kind == LABEL else ""
        answers.append(Preview(one.order_id, one.number, one.kind not in (CANNOT, LABEL), reason))
    return answers


def ship_page(ids: Sequence[Any]) -> str:
    """The form, which previews as the confirm page does, where a tracking number has to be entered; else nothing, and the confirm page asks. The form is
    told how many were chosen when they are too many for it; those that can be shipped come first."""
    previews = sorted(ship.preview(_many(ids)), key=lambda one: one.kind in (CANNOT, LABEL))
    if not any(one.kind == FORM for one in previews):
        return ""
    more = [("chosen", len(previews))] if len(previews) > SHIP_LIMIT else []
    return "/orders/ship?" + urlencode([*(("order", one.order_id) for one in previews[:SHIP_LIMIT]), *more])


def _ship(ids: Sequence[Any], form: Any) -> Result:
    if form_page := ship_page(ids):
        return Result("Enter carrier and tracking number where Magento has none.", url=form_page, tone="info")
    submitted = ship.submit(_many(ids), started_by=events.actor_now.get())
    return Result(f"Shipping {_orders(len(ids))}.", run_id=_one_run(submitted), url="/queue/")


def _preview_reject(ids: Sequence[Any]) -> list[Preview]:
    answers = []
    for one in reject.preview(_many(ids)):
        why = one.why_not
        answers.append(Preview(one.order_id, one.number, one.possible, f"{why['message']} {why['remedy']}" if why else one.effect))
    return answers


def _reject(ids: Sequence[Any], form: Any) -> Result:
    submitted = reject.submit(_many(ids), form.reason.data, started_by=events.actor_now.get())
    return Result(f"Rejecting {_orders(len(ids))}.", run_id=_one_run(submitted), url="/queue/")


def _preview_sync(ids: Sequence[Any]) -> list[Preview]:
    return [Preview(one.order_id, one.number, True) for one in reject.preview(_many(ids))]


def _sync(ids: Sequence[Any], form: Any) -> Result:
    submitted = refresh.sync_status(_many(ids), started_by=events.actor_now.get())
    return Result(f"Reading {_orders(len(ids))} again from TikTok.", run_id=_one_run(submitted), url="/queue/")


def orders_grid(reject_form: type[Any]) -> Grid:
    """The grid; the form of the reject action comes from the blueprint (forms are the web's)."""
    return Grid(
        key="orders",
        title="Orders",
        noun="order",
        permission="orders.read",
        model=Order,
        pk=Order.id,
        joins=(Join(Account, Account.id == Order.account_id),),
        columns=(
            Column(key="number", label="Marketplace Order ID", expr=Order.number, cell="link", sort=Order.number),
            Column(key="account", label="Account ID", expr=Account.title, sort=False),
            Column(key="magento_number", label="Sales Order Increment ID", expr=Order.magento_number, cell="mono", sort=Order.magento_number),
            Column(
                key="remote_status", label="Marketplace Order Status", expr=Order.remote_status, cell="order_status", labels=STATUS_LABELS, sort=False,
                also={"cancel_reason": Order.cancel_reason, "cancelled_by": Order.cancelled_by, "cancel_requested": Order.cancel_requested, "tag": Order.tag},
            ),
            Column(key="ship_by_at", label="Ship by", expr=Order.ship_by_at, cell="ship_by", sort=Order.ship_by_at, also={"offset": Account.clock_offset_seconds, "status_now": Order.remote_status}),
            Column(key="state", label="Import state", expr=Order.state, cell="order_state", labels=STATE_LABELS, sort=Order.state, also={"storefront": Account.storefront}),
            Column(
                key="failure", label="Reason for Order Failure", expr=Order.failure_code, cell="order_failure", sort=False,
                also={"failure_message": Order.failure_message, "failure_remedy": Order.failure_remedy, "warning": Order.warning},
                export=lambda value, row: row["failure_message"] or "",
            ),
            Column(key="total", label="Grand Total", expr=Order.total, cell="money", align="end", sort=Order.total, also={"currency": Order.currency}),
            Column(key="magento_status", label="Order Status", expr=Order.magento_status, sort=False),
            Column(
                key="total_base", label="Grand Total (Base)", expr=Order.total_base, cell="base_money", align="end", sort=False, default=False,
                also={"base_currency": Order.base_currency},
            ),
            Column(key="cancel_by_at", label="Auto-cancel on", expr=Order.cancel_by_at, cell="cancel_by", sort=Order.cancel_by_at, default=False, also={"offset": Account.clock_offset_seconds, "status_now": Order.remote_status}),
            Column(key="placed_at", label="Order Placed On", expr=Order.placed_at, cell="when", sort=Order.placed_at),
            Column(key="created_at", label="Order Created On", expr=Order.created_at, cell="when", sort=False, default=False),
            Column(key="remote_updated_at", label="Order Updated On", expr=Order.remote_updated_at, cell="when", sort=False, default=False),
            Column(key="data", label="Order Data", expr=Order.id, cell="order_data", sort=False, export=lambda value, row: ""),
            Column(key="items", label="Ordered Items", expr=Order.item_count, cell="order_items", sort=False),
            Column(key="tracking_number", label="Tracking number", expr=Order.tracking_number, cell="mono", sort=False, default=False),
            Column(key="fulfillment_type", label="Fulfilment", expr=Order.fulfillment_type, sort=False, default=False, labels=FULFILMENT),
            Column(key="hold_until", label="Hold ends", expr=Order.hold_until, cell="when", sort=False, default=False),
        ),
        filters=(
            Choices("account", "Account View", Order.account_id, account_choices, pinned=True),
            Choices("status", "Marketplace status", Order.remote_status, {status: label.text for status, label in STATUS_LABELS.items()}),
            Choices("state", "Import state", Order.state, {state: label.text for state, label in STATE_LABELS.items()}),
            DateRange("placed", "Placed", Order.placed_at),
            DateRange("imported", "Imported", Order.created_at),
            DateRange("ship_by", "Ship by", Order.ship_by_at),
            DateRange("cancel_by", "Auto-cancel on", Order.cancel_by_at),
            Choices("due", "Due within", _due, DUE),
            Choices("shipment", "Shipment", _shipment, SHIPMENTS),
            Choices("cancellation", "Cancellation", _cancellation, CANCELLATIONS),
            Flag("errors", "With an error", Order.failure_code.is_not(None)),
            Flag("refund", "Refund not carried over", Order.id.in_(select(CreditMemo.order_id).where(CreditMemo.state == MEMO_FAILED))),
            Text("cause", "Cause code", lambda words: and_(Order.failure_code.is_not(None), Order.failure_code.icontains(words, autoescape=True))),
            Choices("fulfilment", "Fulfilment", Order.fulfillment_type, FULFILMENT),
            NumberRange("total", "Total", Order.total),
            PackageId("package", "Package id", OrderLine.package_id, mode="equals"),
        ),
        tabs=(
            Tab("all", "All"),
            *(Tab(status.lower(), STATUS_LABELS[status].text, Order.remote_status == status, STATUS_LABELS[status].tone) for status in _TABS),
            Tab("error", "Error", Order.failure_code.is_not(None), "danger"),
        ),
        search=search,
        search_hint="Order, tracking number, SKU, product or buyer",
        default_sort="-placed_at",
        actions=(
            Action(
                key="create", label="Create Sales Order", icon="plus", permission="orders.write", preview=_preview_create, submit=_create,
                help="Are you sure you want to import these orders? They become sales orders in Magento, or in the account's external storefront.", visible=lambda row: row["raw_state"] != CREATED,
            ),
            Action(
                key="ship", label="Ship", icon="truck-delivery", permission="orders.write", preview=_preview_ship, submit=_ship, page=ship_page,
                help="Orders that the store has shipped use its tracking number; for the others you enter one.", visible=_shippable,
            ),
            Action(
                key="reject", label="Reject", icon="ban", permission="orders.write", preview=_preview_reject, submit=_reject, danger=True, form_class=reject_form,
                help="TikTok cancels the orders for the reason you give; orders that exist in the store are cancelled too.", visible=lambda row: row["raw_status"] in reject.REJECTABLE,
            ),
            Action(
                key="sync", label="Sync Status", icon="refresh", permission="orders.write", preview=_preview_sync, submit=_sync,
                help="Reads the orders again from TikTok: shipped elsewhere, cancelled, changed.",
            ),
        ),
        always={"raw_status": Order.remote_status, "raw_state": Order.state},
        row_label="number",
        row_url=lambda row: f"/orders/{row['pk']}",
        events=("orders:changed",),
        empty=Empty("No orders yet", "Orders appear here within a minute of the first import.", "Import orders", "orders.import_form"),
    )  # fmt: skip


FULFILMENT = {"FULFILLMENT_BY_SELLER": "By seller", "FULFILLMENT_BY_TIKTOK": "By TikTok"}
_TABS = (
    tiktok.ON_HOLD, tiktok.AWAITING_SHIPMENT, tiktok.AWAITING_COLLECTION, tiktok.IN_TRANSIT, tiktok.DELIVERED, tiktok.COMPLETED, tiktok.CANCELLED,
)  # fmt: skip


def _shippable(row: Mapping[str, Any]) -> bool:
    return row["raw_status"] in (tiktok.AWAITING_SHIPMENT, tiktok.PARTIALLY_SHIPPING)

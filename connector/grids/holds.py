"""The hold-hour board (A245, A246): every order that its buyer may still cancel freely, what it reserves and what happens when the hold ends."""

from __future__ import annotations

from sqlalchemy import String, cast, func, select

from connector.domain import tiktok_order as tiktok
from connector.grids import Choices, Column, DateRange, Empty, Flag, Grid, Join, Text
from connector.grids.activity import account_choices
from connector.grids.orders import STATE_LABELS
from connector.models.account import Account
from connector.models.order import Order, OrderLine, Reservation

_RESERVED = (
    select(func.aggregate_strings(cast(Reservation.quantity, String) + " × " + Reservation.sku, ", "))
    .where(Reservation.order_id == Order.id, Reservation.released_at.is_(None))
    .correlate(Order)
    .scalar_subquery()
)  # fmt: skip


def _of_sku(words: str) -> object:
    return Order.id.in_(select(OrderLine.order_id).where(OrderLine.seller_sku == words))


HOLDS = Grid(
    key="holds",
    title="On hold",
    noun="order",
    permission="holds.read",
    model=Order,
    pk=Order.id,
    where=lambda scope: (Order.remote_status == tiktok.ON_HOLD,),
    joins=(Join(Account, Account.id == Order.account_id),),
    columns=(
        Column(key="number", label="Marketplace Order ID", expr=Order.number, cell="link", sort=False),
        Column(key="account", label="Account ID", expr=Account.title, sort=False),
        Column(key="hold_until", label="Hold ends", expr=Order.hold_until, cell="hold_ends", also={"offset": Account.clock_offset_seconds}),
        Column(key="reserved", label="Reserved", expr=_RESERVED, cell="reserved", sort=False),
        Column(
            key="then", label="What happens at zero", expr=Order.state, cell="at_zero", sort=False,
            also={"account_id": Order.account_id, "origin": Order.origin, "cancel_requested": Order.cancel_requested, "magento_number": Order.magento_number},
        ),
        Column(key="state", label="Import state", expr=Order.state, cell="state", labels=STATE_LABELS, sort=False),
        Column(key="total", label="Grand Total", expr=Order.total, cell="money", align="end", sort=False, also={"currency": Order.currency}),
        Column(key="items", label="Units", expr=Order.item_count, cell="number", align="end", sort=False),
        Column(key="placed_at", label="Order Placed On", expr=Order.placed_at, cell="when", sort=Order.placed_at),
    ),
    filters=(
        Choices("account", "Account View", Order.account_id, account_choices, pinned=True),
        Text("sku", "SKU", _of_sku),
        DateRange("ends", "Hold ends", Order.hold_until),
        Flag("asked", "Cancellation requested", Order.cancel_requested.is_(True)),
    ),
    search=(Order.number,),
    search_hint="Order",
    default_sort="hold_until",
    row_label="number",
    row_url=lambda row: f"/orders/{row['pk']}",
    events=("orders:changed",),
    empty=Empty("No order is on hold", "TikTok holds every new order for about an hour; its buyer may cancel freely in that time."),
)  # fmt: skip

"""Deliveries that nobody scans: in South-East Asia a seller with a fleet of its own tells TikTok (TTS §5.5.10)."""

from __future__ import annotations

from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import shipping
from connector.models.account import Account
from connector.models.order import Order
from connector.services import connections, events
from connector.services.orders.push import market_of, read_order

#: Package statuses in which a delivery can be reported (TTS §5.5.5): shipment arranged, on its way.
UNDER_WAY = ("PROCESSING", "FULFILLING")


def reports(order: Order) -> bool:
    """Does the seller report the delivery of this order itself?"""
    account = db.session.get(Account, order.account_id)
    assert account is not None
    market = market_of(account)
    return market in shipping.OWN_FLEET_MARKETS and shipping.route(market, order.shipping_type, order.fulfillment_type) == shipping.SHIP_PACKAGE


def delivered(order_id: int) -> str:
    """Report every package of the order that is on its way as delivered; a sentence, or "" when there is none.

    The packages are read before: one that TikTok has as delivered is not reported again. Raises ``DomainError`` when TikTok refuses, and ``ApiError``.
    """
    order = db.session.get(Order, order_id)
    assert order is not None
    account_id, number = order.account_id, order.number
    end_reading()
    client = connections.tiktok(account_id)
    token = connections.order_now.set(order_id)
    try:
        units = shipping.units_of(read_order(client, number))
        packages = shipping.packages_of(units, [unit.line_id for unit in units if unit.tracking_number])
        waiting = [one for one in packages if client.package(one).get("package_status") in UNDER_WAY]
        if not waiting:
            return ""
        result = client.report_delivery([{"id": one, "delivery_type": "DELIVERY_SUCCESS"} for one in waiting])
    finally:
        connections.order_now.reset(token)
    problem = next(iter([*result.errors.values(), *result.unnamed]), None)
    if problem is not None:
        raise DomainError(
            "packages.delivery_refused", f"TikTok did not take the delivery of order {number}. TikTok answered: {problem.message} (code {problem.code})",
            "Where the carrier reports deliveries itself, nothing is to be done; else look at the package in Seller Center.",
        )  # fmt: skip
    text = f"TikTok was told that {'package ' + waiting[0] if len(waiting) == 1 else f'{len(waiting)} packages'} of order {number} arrived."
    with unit_of_work() as session:
        row = session.get(Order, order_id, populate_existing=True)
        assert row is not None
        row.dirty_at = row.dirty_at or utcnow()
        events.record("order.delivery_reported", "order", order_id, text, account_id=account_id, after={"packages": waiting})
    return text

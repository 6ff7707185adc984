"""Rows of returns as an import leaves them: every status, type, arbitration and decision of the contract and some nobody documented. No HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from connector.core.clock import to_epoch, utcnow
from connector.core.db import db, unit_of_work
from connector.domain import returns
from connector.models.account import SANDBOX, Account
from connector.models.aftersales import Return
from connector.models.order import Order, OrderLine

LONG = "It arrived with a crack along the whole left side and the box was wet, which nobody had told me about before I opened it at home"


def an_account(title: str = "Shop_GB") -> Account:
    with unit_of_work() as session:
        account = Account(title=title, country="GB", environment=SANDBOX, store_view="all")
        session.add(account)
        session.flush()
        return account


def an_order(account: Account, number: str = "576460000000000001", *, units: int = 2, status: str = "DELIVERED") -> Order:
    now = utcnow()
    with unit_of_work() as session:
        order = Order(
            account_id=account.id, number=number, remote_status=status, remote_updated_at=now, digest=number[-8:], placed_at=now - timedelta(days=5),
            currency="GBP", total=Decimal("31.20"), item_count=units,
        )  # fmt: skip
        session.add(order)
        session.flush()
        for unit in range(units):
            session.add(
                OrderLine(
                    order_id=order.id, line_id=f"{number}{unit}", seller_sku="TEE-BLA-M", name="Plain tee", variant="Black, M", remote_status=status,
                    original_price=Decimal("15.60"), sale_price=Decimal("15.60"), seller_discount=Decimal(0), platform_discount=Decimal(0),
                )
            )  # fmt: skip
        session.flush()
        return order


def payload(order: Order, return_id: str, **fields: Any) -> dict[str, Any]:
    """One object of ``return_orders`` (TTS §5.6.5)."""
    now = to_epoch(utcnow())
    items = [
        {
            "return_line_item_id": f"{return_id}{place}",
            "order_line_item_id": line.line_id,
            "seller_sku": line.seller_sku,
            "product_name": line.name,
            "sku_name": line.variant,
            "refund_amount": {"currency": "GBP", "refund_total": "15.60"},
        }
        for place, line in enumerate(order.lines)
    ]
    return {
        "return_id": return_id, "order_id": order.number, "return_type": "REFUND", "return_status": "RETURN_OR_REFUND_REQUEST_PENDING", "role": "BUYER",
        "return_reason": "ecom_order_delivered_refund_reason_damaged", "return_reason_text": LONG, "refund_amount": {"currency": "GBP", "refund_total": "31.20"},
        "return_line_items": items, "create_time": now - 7200, "update_time": now - 3600, **fields,
    }  # fmt: skip


def a_return(order: Order, return_id: str, *, decisions: Sequence[dict[str, Any]] = (), columns: dict[str, Any] | None = None, **fields: Any) -> Return:
    """The row that an import makes of ``payload``; its records and decisions count as read, so that no page asks TikTok."""
    body = payload(order, return_id, **fields)
    found = returns.read_return(body, country="GB")
    later = utcnow() + timedelta(hours=1)
    with unit_of_work() as session:
        row = Return(
            account_id=order.account_id, order_id=order.id, return_id=return_id, return_type=found.return_type, remote_status=found.status,
            arbitration_status=found.arbitration_status, reason=found.reason, reason_text=found.reason_text, currency=found.currency, amount=found.amount,
            item_count=len(found.items), line_ids=list(found.order_line_ids), next_action=found.next_action, respond_by_at=found.deadline,
            deadline_estimated=found.deadline_estimated, tracking_number=found.tracking_number, carrier_name=found.carrier,
            remote_created_at=found.created_at, remote_updated_at=found.updated_at, body=body, phase=found.meaning.phase, needs_answer=found.needs_answer,
            decisions=list(decisions), decisions_read_at=later, records=[], records_read_at=later, **(columns or {}),
        )  # fmt: skip
        session.add(row)
        session.flush()
        db.session.refresh(row)
        return row


def eligible(*decisions: str) -> list[dict[str, Any]]:
    """Decision eligibility that allows these (TTS §5.6.4)."""
    reasons = [{"name": "seller_reject_apply_you_have_reached_an_agreement_with_the_buyer", "text": "Reached an agreement with the buyer"}]
    return [{"decision": name, "eligible": True, "available_reject_reasons": reasons if name.startswith("REJECT") else []} for name in decisions]

"""Sync Status: reading orders again (A208), and those that a webhook pointed at (product.md 6, TTS §5.8.4)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import NotFoundError
from connector.domain.tiktok_order import BadOrder
from connector.models.account import WebhookDelivery
from connector.models.order import WEBHOOK, Order
from connector.services import runs
from connector.services.orders import polling
from connector.services.orders.intake import Outcome

#: ``WebhookDelivery.outcome`` while its orders have not been read again.
WAITING, READ, ABSENT = "waiting", "read", "not found at TikTok"
#: A new order can take half a minute to be readable (TTS §5.4.2); after this a webhook about an order that TikTok does not give is let go.
GIVE_UP = timedelta(minutes=10)
_BATCH = 500


def sync_status(order_ids: Iterable[int], *, started_by: str) -> list[runs.Submitted]:
    """Submit the re-reading of these orders, one run an account."""
    wanted = list(order_ids)
    by_account: dict[int, list[tuple[str, str]]] = {}
    for first in range(0, len(wanted), _BATCH):
        rows = db.session.execute(select(Order.id, Order.number, Order.account_id).where(Order.id.in_(wanted[first : first + _BATCH])))
        for row in rows:
            by_account.setdefault(row.account_id, []).append((str(row.id), row.number))
    return [runs.submit("orders.refresh", account_id=account_id, items=items, started_by=started_by) for account_id, items in by_account.items()]


class Refresher:
    """Reads orders again by our id; for the items of one run."""

    def __init__(self, account_id: int, refs: Iterable[str]) -> None:
        ids = [int(ref) for ref in refs if ref.isdigit()]
        self._numbers: dict[str, str] = {}
        for first in range(0, len(ids), _BATCH):
            rows = db.session.execute(select(Order.id, Order.number).where(Order.account_id == account_id, Order.id.in_(ids[first : first + _BATCH])))
            self._numbers |= {str(row.id): row.number for row in rows}
        self._account_id = account_id
        self._reader = polling.ById(account_id, list(self._numbers.values()), WEBHOOK)

    def take(self, ref: str) -> str:
        """Read one order again; a sentence about what is now known. Raises ``NotFoundError`` or ``BadOrder``."""
        if ref not in self._numbers:
            raise NotFoundError("order.unknown", f"There is no order {ref} in this account.", "It may have been removed.")
        number, since = self._numbers[ref], utcnow()
        self._reader.take(number)
        _clean(self._account_id, [number], since)
        status = db.session.scalar(select(Order.remote_status).where(Order.id == int(ref)))
        return f"TikTok status: {status}"


def has_waiting(account_id: int) -> bool:
    """Whether a webhook pointed at an order that has not been read since."""
    return bool(_waiting_numbers(account_id, 1))


def read_waiting(account_id: int) -> Outcome:
    """Read every order that webhooks pointed at, until none is left; orders that TikTok does not give yet stay for the next time."""
    total, absent = Outcome(), set[str]()
    while numbers := [number for number in _waiting_numbers(account_id, _BATCH) if number not in absent]:
        since = utcnow()
        reader = polling.ById(account_id, numbers, WEBHOOK)
        for number in numbers:
            try:
                reader.take(number)
            except NotFoundError:
                absent.add(number)
            except BadOrder:
                pass  # it will not get better by reading it again; the scheduled import parks it with its payload
        total.add(reader.outcome)
        _clean(account_id, [number for number in numbers if number not in absent], since)
    if absent:
        _let_go(account_id)
    return total


def submit_waiting(account_id: int) -> runs.Submitted:
    """Ring for ``read_waiting``; while such a run is open it will see this order as well, or the next scheduled import does."""
    key = f"orders.refresh:{account_id}:webhooks"
    return runs.submit("orders.refresh", account_id=account_id, key=key, title="Read orders that changed", started_by="webhook")


def _waiting_numbers(account_id: int, most: int) -> list[str]:
    dirty = db.session.scalars(
        select(Order.number).where(Order.account_id == account_id, Order.dirty_at.is_not(None)).order_by(Order.dirty_at).limit(most)
    ).all()
    told = db.session.scalars(
        select(WebhookDelivery.data).where(WebhookDelivery.account_id == account_id, WebhookDelivery.outcome == WAITING).limit(most)
    ).all()
    db.session.commit()
    return list(dict.fromkeys([*dirty, *(number for data in told for number in data.get("order_ids", ()))]))


def _clean(account_id: int, numbers: list[str], since: object) -> None:
    """The mark goes only from orders that no webhook pointed at after the reading began."""
    if not numbers:
        return
    with unit_of_work() as session:
        session.execute(
            update(Order)
            .where(Order.account_id == account_id, Order.number.in_(numbers), Order.dirty_at.is_not(None), Order.dirty_at <= since)
            .values(dirty_at=None, updated_at=Order.updated_at)
            .execution_options(synchronize_session=False)
        )
        _settle(session, account_id, set(numbers), since)


def _settle(session: Session, account_id: int, numbers: set[str], since: object) -> None:
    waiting = session.scalars(
        select(WebhookDelivery).where(WebhookDelivery.account_id == account_id, WebhookDelivery.outcome == WAITING, WebhookDelivery.received_at <= since)
    ).all()
    for delivery in waiting:
        if set(delivery.data.get("order_ids", ())) <= numbers:
            delivery.outcome = READ


def _let_go(account_id: int) -> None:
    with unit_of_work() as session:
        session.execute(
            update(WebhookDelivery)
            .where(
                WebhookDelivery.account_id == account_id,
                WebhookDelivery.outcome == WAITING,
                WebhookDelivery.received_at < utcnow() - GIVE_UP,
            )
            .values(outcome=ABSENT)
        )
        session.execute(
            update(Order)
            .where(Order.account_id == account_id, Order.dirty_at < utcnow() - GIVE_UP)
            .values(dirty_at=None, updated_at=Order.updated_at)
            .execution_options(synchronize_session=False)
        )

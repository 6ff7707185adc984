"""Carrying TikTok's later changes into an order that Magento has (product.md 6): status, address before shipping, cancellation; and reading Magento's
status back. Each change is made once; what Magento shows is read before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, exists, or_, select

from connector.clients.errors import Unavailable, Uncertain
from connector.core.clock import utcnow
from connector.core.db import db, dialect_of, end_reading, unit_of_work
from connector.domain import tiktok_order
from connector.domain.magento_address import RecipientAddress, country_of, read_address
from connector.models.order import CREATED, CREATING, MagentoOrderIntent, Order, OutgoingAction
from connector.models.run import OPEN_STATES, JobItem, JobRun
from connector.services import connections, events, storefronts
from connector.services.orders import flags, intent, state, undo
from connector.services.orders.creation_desk import AccountRules, CreationDesk
from connector.services.orders.magento_store import MagentoStore
from connector.services.orders.writers.task import amount, order_lines

Row = dict[str, Any]

ADDRESS, STATUS = "address", "status"
#: Magento states that are the end: nothing is carried into them.
CLOSED = ("canceled", "closed", "complete")
#: How many orders one unasked sweep looks at.
SWEEP_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Followed:
    """What was carried over; empty when all was as it should be."""

    done: tuple[str, ...]

    def sentence(self) -> str:
        return " ".join(self.done) or "Magento is up to date."


def waiting(account_id: int, rules: AccountRules) -> list[tuple[str, str]]:
    """Orders of the account with something to carry over, as run items: cancelled on TikTok, a new address, a mapped status not yet sent."""
    new_address = exists().where(OutgoingAction.order_id == Order.id, OutgoingAction.action == ADDRESS, OutgoingAction.state == "pending")
    undone = exists().where(OutgoingAction.order_id == Order.id, OutgoingAction.action == undo.ACTION, OutgoingAction.state == "accepted")
    if rules.account.storefront != storefronts.MAGENTO:  # the status mapping names Magento's statuses
        return _items(account_id, [new_address, and_(Order.remote_status == tiktok_order.CANCELLED, ~undone)])
    done_status = exists().where(
        OutgoingAction.order_id == Order.id, OutgoingAction.action == STATUS, OutgoingAction.key == Order.remote_status, OutgoingAction.state == "accepted"
    )
    begun = exists().where(OutgoingAction.order_id == Order.id, OutgoingAction.action == undo.ACTION, OutgoingAction.state == "sent")  # and not recorded
    standing = and_(or_(Order.magento_state.is_(None), Order.magento_state.not_in(CLOSED)), ~undone)
    wanted = [new_address, and_(Order.remote_status == tiktok_order.CANCELLED, or_(standing, begun))]
    for row in rules.policy.status_mapping if rules.policy else ():
        wanted.append(
            and_(
                Order.remote_status == row.tiktok_status,
                Order.magento_status != row.magento_status,
                or_(Order.magento_state.is_(None), Order.magento_state.not_in(CLOSED)),
                ~done_status,
            )
        )
    return _items(account_id, wanted)


def _items(account_id: int, wanted: list[Any]) -> list[tuple[str, str]]:
    query = select(Order.id, Order.number).where(Order.account_id == account_id, Order.state == CREATED, or_(*wanted)).order_by(Order.id).limit(SWEEP_LIMIT)
    rows = db.session.execute(query).all()
    db.session.commit()
    return [(str(row.id), row.number) for row in rows]


def follow_one(order_id: int, *, desk: CreationDesk | None = None) -> Followed:
    """Carry over what one order needs. Raises ``Unavailable`` while it is still being created; ``ApiError`` kinds are continued by calling again."""
    desk = desk or CreationDesk()
    known = connections.order_now.set(order_id)
    try:
        order = db.session.get(Order, order_id, populate_existing=True)
        if order is not None and (external := storefronts.external_of(order.account_id)):
            return external.follow(order_id)
        return _follow(desk, order_id)
    finally:
        connections.order_now.reset(known)


def _follow(desk: CreationDesk, order_id: int) -> Followed:
    order = db.session.get(Order, order_id, populate_existing=True)
    if order is None:
        raise state.unknown(order_id)
    if order.state == CREATING:
        raise Unavailable(f"Order {order.number} is still being created in Magento.", system="connector", operation="follow", code="order.busy", retry_after=3)
    if order.state != CREATED or not order.magento_id:
        end_reading()
        return Followed(("The order is not in Magento.",))
    rules = desk.rules(order.account_id)
    entity_id, remote_status = order.magento_id, order.remote_status
    end_reading()
    assert rules.store is not None
    done: list[str] = []
    if remote_status == tiktok_order.CANCELLED:
        undone = undo.cancel_in_magento(order_id, reason="cancelled on TikTok Shop")
        done.append(undone.message)
    facts = rules.store.client.order(entity_id)
    done += _address(order_id, rules.store, facts)
    sent = _status(order_id, rules, facts, remote_status)
    if sent:
        done.append(f"Status {sent} was set in Magento.")
    read_back(order_id, {**facts, "status": sent or facts.get("status")})
    return Followed(tuple(done))


def read_back(order_id: int, facts: Row) -> None:
    """Keep Magento's state and status as they are now (A194), and judge whether they fit TikTok's (A234)."""
    with unit_of_work() as session:
        order = session.get(Order, order_id, populate_existing=True)
        assert order is not None
        before, after = order.magento_status, str(facts.get("status") or "")
        order.magento_state, order.magento_status = str(facts.get("state") or ""), after
        order.invoiced = order.invoiced or amount(facts.get("total_paid")) > 0
        if before != after:
            events.record(
                "order.magento_status", "order", order.id, f"Magento: {before or 'none'} to {after or 'none'}.", account_id=order.account_id,
                before={"status": before}, after={"status": after},
            )  # fmt: skip
        flags.judge(order)


# --- status ---------------------------------------------------------------------------------------------------------------------------------


def _status(order_id: int, rules: AccountRules, facts: Row, remote_status: str) -> str | None:
    """Set the mapped status by a comment, once for each TikTok status (A115); the status sent, or None."""
    mapped = rules.policy.magento_status(remote_status) if rules.policy else None
    if mapped is None or facts.get("status") == mapped or facts.get("state") in CLOSED:
        return None
    if not _begin(order_id, STATUS, remote_status):
        return None
    assert rules.store is not None
    client, text = rules.store.client, f"TikTok Shop: {tiktok_order.label(remote_status)}."
    try:
        client.comment(facts["entity_id"], text, status=mapped)
    except Uncertain:  # a comment twice is two comments: look first
        if not any(row.get("comment") == text for row in client.comments(facts["entity_id"])):
            client.comment(facts["entity_id"], text, status=mapped)
    _end(order_id, STATUS, remote_status, {"status": mapped})
    return mapped


# --- address --------------------------------------------------------------------------------------------------------------------------------


def _address(order_id: int, store: MagentoStore, facts: Row) -> list[str]:
    """Carry a changed delivery address over while nothing is shipped; afterwards warn (TTS §6.5)."""
    pending = db.session.scalars(
        select(OutgoingAction).where(OutgoingAction.order_id == order_id, OutgoingAction.action == ADDRESS, OutgoingAction.state == "pending")
    ).all()
    order = db.session.get(Order, order_id)
    assert order is not None
    shown = (order.payload.address if order.payload else None) or {}
    keys = [action.key for action in pending]
    end_reading()
    if not keys or not shown:
        return []
    if any(amount(line.get("qty_shipped")) > 0 for line in order_lines(facts)) or facts.get("state") in CLOSED:
        text = f"The buyer changed the delivery address after Magento order {order.magento_number} was shipped or closed; the earlier address stands there."
        with unit_of_work() as session:
            current = session.get(Order, order_id, populate_existing=True)
            assert current is not None
            state.warn(current, text)
        for key in keys:
            _end(order_id, ADDRESS, key, {"carried": False})
        return [text]
    address = read_address(shown, store.regions(country_of(shown)))
    for present in _addresses(facts):
        store.client.update_address(facts["entity_id"], _changed(present, address))
    for key in keys:
        _end(order_id, ADDRESS, key, {"carried": True})
    with unit_of_work():
        events.record("order.address_carried", "order", order_id, "The new delivery address was carried over to Magento.", account_id=order.account_id)
    return ["The new delivery address was carried over to Magento."]


def _addresses(facts: Row) -> list[Row]:
    """The order's own addresses: shipping (only under its assignment) and billing, which we made the same (MAG §4.5.1)."""
    assignments = (facts.get("extension_attributes") or {}).get("shipping_assignments") or ()
    shipping = [assignment["shipping"]["address"] for assignment in assignments if (assignment.get("shipping") or {}).get("address")]
    return [*shipping, *([facts["billing_address"]] if facts.get("billing_address") else [])]


def _changed(present: Row, address: RecipientAddress) -> Row:
    body = address.as_magento(str(present.get("email") or ""))
    return body | {"entity_id": present["entity_id"], "parent_id": present["parent_id"], "address_type": present["address_type"]}


# --- once -----------------------------------------------------------------------------------------------------------------------------------


def _begin(order_id: int, action: str, key: str) -> bool:
    """Note that something is about to be sent; False when it was accepted before."""
    with unit_of_work() as session:
        order = session.get(Order, order_id)
        assert order is not None
        dialect = dialect_of(session)
        session.execute(
            dialect.insert(OutgoingAction)
            .values(
                account_id=order.account_id, order_id=order_id, action=action, key=key, state="pending", attempts=0, request={}, answer={},
                created_by=events.actor_now.get(),
            )
            .on_conflict_do_nothing(index_elements=["account_id", "order_id", "action", "key"])
        )  # fmt: skip
        row = _row(order_id, action, key)
        if row.state == "accepted":
            return False
        row.state, row.attempts = "sent", row.attempts + 1
        return True


def _end(order_id: int, action: str, key: str, answer: Row) -> None:
    with unit_of_work():
        row = _row(order_id, action, key)
        row.state, row.answer = "accepted", answer


def _row(order_id: int, action: str, key: str) -> OutgoingAction:
    query = select(OutgoingAction).where(OutgoingAction.order_id == order_id, OutgoingAction.action == action, OutgoingAction.key == key)
    return db.session.scalars(query.execution_options(populate_existing=True)).one()


def unfinished(account_id: int) -> list[tuple[str, str]]:
    """Orders that a writer has begun and nobody goes on with (it was killed, or its run was cancelled), as run items for ``orders.create``."""
    expected = set(
        db.session.scalars(
            select(JobItem.ref)
            .join(JobRun, JobRun.id == JobItem.run_id)
            .where(JobRun.kind == "orders.create", JobRun.account_id == account_id, JobRun.state.in_(OPEN_STATES), JobItem.state == "open")
        )
    )
    rows = db.session.execute(
        select(Order.id, Order.number)
        .join(MagentoOrderIntent, MagentoOrderIntent.order_id == Order.id)
        .where(Order.account_id == account_id, Order.state == CREATING, MagentoOrderIntent.step != intent.DONE)
        .where(or_(MagentoOrderIntent.lease_until.is_(None), MagentoOrderIntent.lease_until < utcnow()))
        .order_by(Order.id)
        .limit(SWEEP_LIMIT)
    ).all()
    db.session.commit()
    return [(str(row.id), row.number) for row in rows if str(row.id) not in expected]

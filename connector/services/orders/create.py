"""Creating TikTok orders in their store (product.md 6): gates, writer, invoice, comment with status, record. An external storefront takes the order whole.

``create_one`` may be run again at any point: what an earlier writer began is looked up and continued, never repeated blindly (MAG §4.4.7).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain import gates, tiktok_order
from connector.domain.gates import Verdict
from connector.domain.money import FEES, OrderMoney, minor_unit
from connector.models.order import CREATED, Order, OrderLine
from connector.services import connections, events, runs
from connector.services import magento as magento_desk
from connector.services.orders import creation_results as results
from connector.services.orders import customers, intent, placeholder, reservations, state, undo
from connector.services.orders.creation_desk import CreationDesk, Draft, problem
from connector.services.orders.creation_results import Result
from connector.services.orders.writers import WRITERS, Task, Written
from connector.services.orders.writers.task import amount
from connector.services.storefronts import creation as external_creation

__all__ = ["Result", "create_one", "preview", "submit"]

#: Refusals of a cart that the policy may answer with "create anyway".
_NOT_SOLD = frozenset({"mag.product_unavailable", "mag.qty_unavailable", "mag.stock_unassigned"})


def preview(order_ids: Sequence[int], *, by_hand: bool = True) -> dict[int, Verdict]:
    """The verdict of the same gates for each order that exists, without doing anything: for the button and the bulk confirm page."""
    desk = CreationDesk(by_hand=by_hand)
    try:
        desk.prepare(order_ids)
    except (api.ApiError, DomainError):
        pass  # each order then says so itself
    known = set(db.session.scalars(select(Order.id).where(Order.id.in_(order_ids))))
    return {order_id: desk.judge(order_id) for order_id in order_ids if order_id in known}


def submit(order_ids: Sequence[int], *, started_by: str, by_hand: bool = True) -> list[runs.Submitted]:
    """Create Sales Order for these orders (A204, A205): one run an account; the same orders again give the run that is open already."""
    with unit_of_work() as session:
        rows = session.execute(select(Order.id, Order.number, Order.account_id).where(Order.id.in_(order_ids)).order_by(Order.id)).all()
        by_account: dict[int, list[tuple[str, str]]] = {}
        for row in rows:
            by_account.setdefault(row.account_id, []).append((str(row.id), row.number))
        submitted = []
        for account_id, items in by_account.items():
            digest = hashlib.sha256(",".join(ref for ref, _ in items).encode()).hexdigest()[:16]
            key = f"orders.create:{account_id}:{digest}"
            submitted.append(runs.submit("orders.create", account_id=account_id, args={"by_hand": by_hand}, items=items, key=key, started_by=started_by))
        return submitted


def create_one(order_id: int, *, by_hand: bool = False, desk: CreationDesk | None = None, last_try: bool = False) -> Result:
    """Create one order, or say why not. Raises ``Unavailable`` and ``Uncertain`` for what is continued later; with ``last_try`` the order is marked
    failed first."""
    desk = desk or CreationDesk(by_hand=by_hand)
    known = connections.order_now.set(order_id)
    try:
        return _create(desk, order_id)
    except (api.Unavailable, api.Uncertain) as error:
        if last_try and error.code != "order.busy":
            results.fail(order_id, *problem(error))
        raise
    finally:
        connections.order_now.reset(known)


def _create(desk: CreationDesk, order_id: int) -> Result:
    draft = desk.draft(order_id)
    verdict = desk.decide(draft)
    if verdict.allowed and verdict.create_products:
        _create_products(draft, verdict.create_products)
        draft = desk.draft(order_id)
        verdict = desk.decide(draft)
    begun = results.begun(order_id)
    if begun and draft.rules.external:
        begun = external_creation.is_there(draft)  # one call makes the whole order: the store knows whether it arrived
    blocking = results.blocking(verdict, begun=begun)
    if blocking is not None:
        return results.refuse(draft, verdict, blocking)
    if draft.rules.external:
        return external_creation.create(draft, verdict)
    claim = intent.claim(draft.order, verdict.writer, {"customer": verdict.customer})
    try:
        written, verdict = _write(draft, verdict, claim)
        invoiced = _invoice(draft, claim, written)
        order, status = _comment(draft, claim, written, invoiced)
    except (api.Unavailable, api.Uncertain, api.Unauthorized):
        intent.release(claim)
        raise
    except (api.ApiError, DomainError) as error:
        return results.failed(draft, verdict, claim, error)
    return _record(draft, verdict, claim, written, order, status, invoiced)


# --- before the first call ------------------------------------------------------------------------------------------------------------------


def _create_products(draft: Draft, seller_skus: Sequence[str]) -> None:
    store = draft.rules.store
    assert store is not None
    for sku in seller_skus:
        unit = next(unit for unit in draft.units if unit.sku == sku)
        placeholder.create(store, sku, unit.name, unit.price)
        with unit_of_work():
            events.record(
                "order.product_created", "order", draft.order.id, f"Created the placeholder product {sku} in Magento.",
                account_id=draft.order.account_id, reason="If Product Not Exist",
            )  # fmt: skip


# --- writing --------------------------------------------------------------------------------------------------------------------------------


def _write(draft: Draft, verdict: Verdict, claim: intent.Claim) -> tuple[Written, Verdict]:
    task = _task(draft, verdict, claim)
    try:
        return WRITERS[claim.writer](task), verdict
    except api.Rejected as refusal:
        assert draft.rules.policy is not None
        if not (draft.rules.policy.create_for_unavailable and claim.writer == "checkout" and refusal.code in _NOT_SOLD and not claim.entity_id):
            raise
        intent.advance(claim, intent.NEW, writer="direct", cart_id=None)
        skus = [product.sku for product in draft.products.values()]
        anyway = replace(verdict, writer="direct", warnings=(*verdict.warnings, gates.unreserved_warning(skus)))
        return WRITERS["direct"](_task(draft, anyway, claim)), anyway


def _task(draft: Draft, verdict: Verdict, claim: intent.Claim) -> Task:
    order, rules, store = draft.order, draft.rules, draft.rules.store
    assert store is not None and rules.policy is not None and rules.connection is not None and draft.rate is not None
    customer = customers.resolve(
        verdict.customer, store=store, magento_id=rules.connection.id, policy=rules.policy, buyer_id=order.buyer_id, number=order.number,
        address=draft.address, known=rules.customers,
    )  # fmt: skip
    direct = claim.writer == "direct"
    found = [row for row in store.existing(order.number, again=claim.resumed) if str(row.get("state")) != "canceled"]
    return Task(
        number=order.number, store=store, claim=claim, policy=rules.policy, money=lambda percents: draft.money(percents, by_price=direct),
        currency=order.currency, rate=draft.rate, products=draft.products, address=draft.address, customer=customer, buyer_id=order.buyer_id,
        shipping_title=order.delivery_option_name, placed_at=f"{order.placed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}", existing=found[0] if found else None,
    )  # fmt: skip


def _invoice(draft: Draft, claim: intent.Claim, written: Written) -> bool:
    """Invoice everything, once, without capture: TikTok has the money (A111, A250). True when the order is invoiced."""
    items = written.order.get("items") or ()
    open_units = sum(amount(item.get("qty_ordered")) - amount(item.get("qty_invoiced")) - amount(item.get("qty_canceled")) for item in items)
    policy, store = draft.rules.policy, draft.rules.store
    assert policy is not None and store is not None
    if not policy.create_invoice or written.adopted or open_units <= 0:
        return open_units <= 0
    client, entity_id = store.client, written.entity_id
    if claim.resumed and client.invoices_of(entity_id):
        return True
    for last in (False, True):
        try:
            client.invoice(entity_id, capture=False, comment=f"Paid on TikTok Shop, order {draft.order.number}")
            return True
        except (api.Uncertain, api.Rejected):
            if client.invoices_of(entity_id):
                return True
            if last:
                raise
    raise AssertionError("unreachable")


def _comment(draft: Draft, claim: intent.Claim, written: Written, invoiced: bool) -> tuple[dict[str, Any], str]:
    """The history comment with the mapped status (A115); a comment always carries one. Returns the order's facts and its status afterwards."""
    policy, store = draft.rules.policy, draft.rules.store
    assert policy is not None and store is not None
    order, client = written.order, store.client
    if written.adopted:
        return order, str(order.get("status") or "")
    mapped = policy.magento_status(draft.order.remote_status)
    if invoiced and mapped is None:  # invoicing has reset the status to the state's default: ask for it
        order = client.order(written.entity_id)
    elif invoiced:
        order = {**order, "state": "complete" if order.get("is_virtual") else "processing"}
    status = mapped or str(order.get("status") or "pending")
    text = _comment_text(draft, written)
    if claim.resumed and any(text == row.get("comment") for row in client.comments(written.entity_id)):
        return order, str(order.get("status") or status)
    try:
        client.comment(written.entity_id, text, status=status)
    except api.Uncertain:
        if not any(text == row.get("comment") for row in client.comments(written.entity_id)):
            client.comment(written.entity_id, text, status=status)
    return order, status


def _comment_text(draft: Draft, written: Written) -> str:
    order, policy = draft.order, draft.rules.policy
    assert policy is not None
    parts = [f"TikTok Shop order {order.number}, account {draft.rules.account.title}, {order.total.normalize():f} {order.currency}."]
    if policy.order_id_prefix:
        parts.append(f"Shown as {_number(draft, written)}.")
    fees = [f"{name.replace('_', ' ')} {value} {order.currency}" for name, value in draft.charges.fees.items() if name in FEES]
    if fees:
        parts.append(f"Shipping includes {', '.join(fees)}.")
    return " ".join(parts)


def _number(draft: Draft, written: Written) -> str:
    """The order number as shown here: Magento's, with the prefix in front where the cart could not carry it (A110)."""
    policy, number = draft.rules.policy, str(written.order.get("increment_id") or written.entity_id)
    assert policy is not None
    prefix = policy.order_id_prefix
    return number if not prefix or number.startswith(prefix) or written.adopted else f"{prefix}{number}"


# --- recording ------------------------------------------------------------------------------------------------------------------------------


def _record(draft: Draft, verdict: Verdict, claim: intent.Claim, written: Written, magento: dict[str, Any], status: str, invoiced: bool) -> Result:
    """One transaction: the order, its lines, its reservation, the decision, the end of the claim."""
    number, rules = _number(draft, written), draft.rules
    assert rules.store is not None and rules.policy is not None
    base_currency = rules.store.facts.base_currency
    with unit_of_work() as session:
        intent.record(claim, intent.DONE, lease=False, facts={**claim.facts, "increment_id": str(written.order.get("increment_id") or "")})
        order = session.get(Order, draft.order.id, populate_existing=True)
        assert order is not None
        order.magento_id, order.magento_number = written.entity_id, number
        order.magento_state, order.magento_status = str(magento.get("state") or ""), status
        order.magento_created_at = _instant(written.order.get("created_at"))
        assert rules.connection is not None
        magento_desk.note_status(rules.connection.id, status, order.magento_state)
        order.invoiced, order.base_currency = invoiced, base_currency
        order.total_base = written.money.in_base(_rate(draft), minor_unit(base_currency)).grand_total
        order.policy_version_id = rules.policy_version_id
        _record_lines(draft, written.money, written)
        how = "was there already" if written.adopted else "through a cart" if claim.writer == "checkout" else "written directly"
        state.set_state(order, CREATED, reason=f"Magento order {number}, {how}")
        if claim.writer == "checkout" or written.adopted:  # one that was written directly reserves nothing in Magento before it ships
            reservations.release(order.id, "created")
        for warning in (*verdict.warnings, *written.warnings):
            state.warn(order, warning)
        results.record_decision(draft, verdict)
        if rules.policy.notify and rules.policy.notification_email and not written.adopted:
            results.notify(draft, number, order)
    for line in written.money.lines:
        rules.store.take(line.sku, line.qty)
    if draft.order.remote_status == tiktok_order.CANCELLED:  # created for the books (A20, contradiction 14), or cancelled meanwhile
        undo.cancel_in_magento(draft.order.id, reason="cancelled on TikTok Shop")
    return Result("created", f"Magento order {number}", data={"magento_number": number, "magento_id": written.entity_id})


def _record_lines(draft: Draft, money: OrderMoney, written: Written) -> None:
    """Which Magento line carries each TikTok unit; lines of one SKU at several prices are several Magento lines, in the same order."""
    taken: dict[str, int] = {}
    places: dict[str, tuple[str, str]] = {}
    for line in money.lines:
        ids = written.items.get(line.sku.casefold(), ())
        at = taken.get(line.sku.casefold(), 0)
        taken[line.sku.casefold()] = at + 1
        if ids:
            for line_id in line.line_ids:
                places.setdefault(line_id, (line.sku, ids[min(at, len(ids) - 1)]))
    for row in db.session.query(OrderLine).filter(OrderLine.order_id == draft.order.id):
        if row.line_id in places:
            row.magento_sku, row.magento_item_id = places[row.line_id]


def _rate(draft: Draft) -> Decimal:
    assert draft.rate is not None
    return draft.rate


def _instant(value: Any) -> datetime | None:
    """Magento's ``YYYY-MM-DD HH:MM:SS`` in UTC."""
    try:
        return datetime.strptime(str(value), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return utcnow() if value else None

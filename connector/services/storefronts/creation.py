"""Creating an order in an external storefront (A243, A244): one CreateExternalOrder call, found again by the TikTok order id after a lost answer."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain import external_order, tiktok_order
from connector.domain.gates import Verdict
from connector.models.order import CREATED, Order, OrderLine
from connector.services import connections, storefronts
from connector.services.orders import creation_results as results
from connector.services.orders import intent, reservations, state
from connector.services.orders.creation_desk import Draft

Row = dict[str, Any]

WRITER = "external"


def is_there(draft: Draft) -> bool:
    """Whether the store has the order of a call whose answer nobody heard."""
    return connections.storefront_for(draft.order.account_id).find_by_external_id(draft.order.number) is not None


def create(draft: Draft, verdict: Verdict) -> results.Result:
    """Write one order, or say why not. Raises ``Unavailable`` and ``Uncertain`` for what is continued later; may be called again at any point."""
    claim = intent.claim(draft.order, WRITER, {})
    try:
        shown = _write(draft, claim)
    except (api.Unavailable, api.Uncertain, api.Unauthorized):
        intent.release(claim)
        raise
    except (api.ApiError, DomainError) as error:
        return results.failed(draft, verdict, claim, error)
    return _record(draft, verdict, claim, shown)


def _write(draft: Draft, claim: intent.Claim) -> Row:
    """The store's order as it shows it; made unless it is there."""
    number, client = draft.order.number, connections.storefront_for(draft.order.account_id)
    if claim.resumed and (found := client.find_by_external_id(number)):
        return found
    if not claim.entity_id:
        intent.advance(claim, intent.PLACING, placing_since=utcnow())
        try:
            order_no = client.create_external_order(_body(draft)).order_no
        except api.Uncertain:
            found = client.find_by_external_id(number)
            if found is None:
                raise
            order_no = str(found["orderNo"])
        intent.advance(claim, intent.PLACED, entity_id=order_no[:20], facts={**claim.facts, "order_no": order_no})
    return client.get_order(str(claim.facts.get("order_no") or claim.entity_id)).order


def _body(draft: Draft) -> Row:
    policy, buyer = draft.rules.policy, draft.payload
    assert policy is not None
    email = str(buyer.get("buyer_email") or "")
    return external_order.create_body(
        draft.order.number, draft.money({}, by_price=True), draft.address, email="" if tiktok_order.masked(email) else email, placed_at=draft.order.placed_at
    )


def _record(draft: Draft, verdict: Verdict, claim: intent.Claim, shown: Mapping[str, Any]) -> results.Result:
    """One transaction: the order, its lines, its reservation, the decision, the end of the claim."""
    number, policy = str(shown["orderNo"]), draft.rules.policy
    assert policy is not None
    with unit_of_work() as session:
        intent.record(claim, intent.DONE, lease=False, facts={**claim.facts, "order_no": number})
        order = session.get(Order, draft.order.id, populate_existing=True)
        assert order is not None
        order.magento_id, order.magento_number, order.magento_created_at = number[:20], number, utcnow()
        order.magento_state, order.magento_status = words(shown)
        order.policy_version_id = draft.rules.policy_version_id
        _record_lines(order.id, shown)
        state.set_state(order, CREATED, reason=f"store order {number}{', continued' if claim.resumed else ''}")
        reservations.release(order.id, reservations.CREATED_THERE)  # the store has taken the units off its own stock
        if Decimal(str(shown.get("total") or 0)) != draft.money({}, by_price=True).grand_total:
            state.warn(order, f"Store order {number} shows a total of {shown.get('total')}, TikTok's is {order.total.normalize():f} {order.currency}.")
        results.record_decision(draft, verdict)
        if policy.notify and policy.notification_email:
            results.notify(draft, number, order)
    external = storefronts.external_of(draft.order.account_id)
    assert external is not None
    if external_order.shipped(shown):  # while a killed writer's order waited to be taken up
        external.collect_order(draft.order.id)
    if draft.order.remote_status == tiktok_order.CANCELLED:  # created for the books, or cancelled meanwhile
        external.cancel(draft.order.id, reason="cancelled on TikTok Shop")
    return results.Result("created", f"Store order {number}", data={"magento_number": number, "magento_id": number[:20]})


def words(shown: Mapping[str, Any]) -> tuple[str, str]:
    """(state, status) of the store's order, verbatim: its own status, and the one that S4 gives to external orders."""
    return str(shown.get("status") or "")[:40], str(shown.get("c_externalOrderStatus") or "")[:60]


def _record_lines(order_id: int, shown: Mapping[str, Any]) -> None:
    """Which line of the store carries each TikTok unit, and under which SKU."""
    places: dict[str, tuple[str, str]] = {}
    for item in shown.get("items") or ():
        for line_id in item.get("externalLineIds") or ():
            places.setdefault(str(line_id), (str(item.get("sku") or ""), str(item.get("itemId") or "")))
    for row in db.session.query(OrderLine).filter(OrderLine.order_id == order_id):
        if row.line_id in places:
            row.magento_sku, row.magento_item_id = places[row.line_id][0], places[row.line_id][1][:20]

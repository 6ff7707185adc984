"""Every status, type, role and reason that the contract says a server may send, and words nobody knows, on every screen that shows them (TTS §5.4.5,
§5.6.3, §5.6.8, §5.6.10; A227-A235)."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterator
from pprint import pformat
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.domain import returns as domain
from connector.domain import tiktok_order
from connector.grids.cancellations import ROLE_LABELS
from connector.models.account import SANDBOX, Account
from connector.models.aftersales import Return
from connector.models.order import SCHEDULE, Cancellation, Order, OrderLine
from connector.services import deadlines, policies
from connector.services.orders import causes, flags, intake
from tests.web.test_html_quality import complaints
from tests.web.walking import HTMX, csrf_of

MARKUP = "<script>alert('x')</script><b>"
#: What a server may send one day: unknown, as long as our column, lower case, other scripts, markup, spaces, nothing to see.
ODD = ("SOMETHING_NEW", "X" * 60, "awaiting_shipment", "ΑΝΑΜΟΝΗ_待處理_🚚", MARKUP, "TWO  WORDS", '\'; DROP TABLE "order"; --', "%s %(name)s {0} ${1}")
LINE_STATUSES = ("UNPAID", "AWAITING_SHIPMENT", "TO_SHIP", "AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED", "CANCELLED", "", *ODD)
PACKAGE_STATUSES = ("TO_FULFILL", "PROCESSING", "FULFILLING", "COMPLETED", "CANCELLED", "", *ODD)
ORDER_TYPES = ("NORMAL", "ZERO_LOTTERY", "PRE_ORDER", "MADE_TO_ORDER", "BACK_ORDER", "AUCTION", "VIRTUAL_ORDER", "", *ODD)
FULFILMENTS = ("FULFILLMENT_BY_SELLER", "FULFILLMENT_BY_TIKTOK", "FULFILLMENT_BY_DILAYANI_TOKOPEDIA", "", ODD[0], MARKUP)
SHIPPING_TYPES = ("TIKTOK", "SELLER", "TIKTOK_DIGITAL", "", ODD[0], MARKUP)
ROLES = ("BUYER", "SELLER", "SYSTEM", "OPERATOR", "", "SOMEBODY_NEW", "<b>x</b>")
CANCEL_TYPES = ("CANCEL", "BUYER_CANCEL", "", *ODD)
CANCEL_STATUSES = (*(f"CANCELLATION_REQUEST_{end}" for end in ("PENDING", "SUCCESS", "CANCEL", "CANCELLED", "COMPLETE")), "", *ODD)
RETURN_TYPES = ("REFUND", "RETURN_AND_REFUND", "REPLACEMENT", "EXCHANGE", "", *ODD)
RETURN_STATUSES = (*domain.STATUSES, *domain.ALIASES, "", *ODD)
ARBITRATION = ("IN_PROGRESS", "SUPPORT_BUYER", "SUPPORT_SELLER", "CLOSED", "", *ODD)
_UNPAID = ("out_of_stock", "wrong_price", "buyer_hasnt_paid_within_time_allowed", "buyer_requested_cancellation")
REASONS = (
    *f"""
    {" ".join(f"seller_cancel_unpaid_reason_{end}" for end in _UNPAID)}
    seller_cancel_reason_out_of_stock seller_cancel_reason_wrong_price seller_cancel_paid_reason_address_not_deliver
    seller_cancel_paid_reason_buyer_requested_cancellation seller_cancel_order_reason_potential_fraud seller_cancel_reason_out_of_stock_uk
    seller_cancel_unable_to_deliver_to_buyer_address ecom_order_unpaid_canceled_reason_created_by_mistakes
    ecom_order_to_ship_canceled_reason_created_by_mistakes ecom_order_to_ship_canceled_reason_created_by_mistakes_uk buyer_cancel_late_shipment
    ecom_order_delivered_refund_reason_missing_product ecom_order_delivered_refund_and_return_reason_damaged
    ecom_order_delivered_refund_reason_missing_product_seller system_cancel_unpaid_time_out system_cancel_anti_span_block
    system_cancel_order_reason_shipping_timeout system_cancel_order_untracked system_cancel_order_exceed_edt_not_arrive
    system_cancel_add_address_overtime package_cancel platform_cancel package_lost package_damagaed package_damaged package_scrap
    returned_to_shipper_refused returned_to_shipper_other threepl_breach system_cancel_order_reason_potential_fraud
    system_cancel_order_reason_experience_related operator_cancel_risk_control_block system_cancel_order_reason_nrr_related
    ecom_reverse_reject_refund_request_package_delivery_multiple_boxes seller_reject_apply_unable_to_change_address
    ecom_reverse_reject_cancel_reason_product_packed order_manage_list_action_respond_popup_reject_reason_invalid_cancellation_reason_uk
    seller_reject_apply_product_has_been_packed ecom_refund_reject_reason_cancel_unacceptable_uk reverse_reject_request_reason_5
    seller_reject_apply_package_has_not_exceeded_estimated_delivery_time seller_reject_apply_you_have_reached_an_agreement_with_the_buyer
    """.split(), "", *ODD,
)  # fmt: skip
STATES = ("stored", "review", "held", "ready", "creating", "created", "skipped", "failed", "cancelled")
START = 1_767_222_000
_numbers = itertools.count(576_460_000_000_000_001)


@pytest.fixture
def account(app: Flask) -> Account:
    policies.seed(actor="tests")
    with unit_of_work() as session:
        found = Account(title="Shop", environment=SANDBOX, country="GB", auth_state="connected", shop_cipher="c", shop_id="1")
        session.add(found)
    return found


def payload(number: int, **rest: Any) -> dict[str, Any]:
    """The contract's example of an order (TTS §5.4.5), with these words in it."""
    line = {"id": f"{number}1", "product_name": "Example mug", "seller_sku": "MUG", "sale_price": "17.00", "original_price": "20.00", "currency": "GBP"}
    line |= rest.pop("line", {})
    payment = {"currency": "GBP", "sub_total": "17.00", "shipping_fee": "3.00", "tax": "0", "total_amount": "20.00"}
    return {"id": str(number), "status": "UNPAID", "create_time": START, "update_time": START + number % 1000, "payment": payment, "line_items": [line], **rest}


def at(values: tuple[str, ...], place: int) -> str:
    return values[place % len(values)]


@pytest.fixture
def everything(account: Account) -> list[str]:
    """An order for every word of every list, taken in as the schedule does it; their cancellations and returns. The words that were stored."""
    orders = []
    statuses = (*tiktok_order.STATUSES, *ODD)
    for place in range(max(len(statuses) * 3, len(REASONS), len(LINE_STATUSES))):
        line = {"display_status": at(LINE_STATUSES, place), "package_id": f"P{place}", "package_status": at(PACKAGE_STATUSES, place)}
        orders.append(
            payload(
                next(_numbers), status=at(statuses, place), order_type=at(ORDER_TYPES, place), fulfillment_type=at(FULFILMENTS, place // 2),
                shipping_type=at(SHIPPING_TYPES, place // 3), cancel_reason=at(REASONS, place), cancellation_initiator=at(ROLES, place),
                is_buyer_request_cancel=bool(place % 2), rts_sla_time=START + 86_400, cancel_order_sla_time=START + 9 * 86_400, tracking_number=at(ODD, place),
                shipping_provider=at(ODD, place + 1), delivery_option_name=MARKUP,
                line={**line, "cancel_reason": at(REASONS, place + 1), "cancel_user": at(ROLES, place), "tracking_number": at(ODD, place)},
            )
        )  # fmt: skip
    parked: list[Any] = []
    broken = [payload(next(_numbers), status=status) for status in ("", "Y" * 200, None, 7)]
    outcome = intake.store_page(intake.rules_for(account.id, SCHEDULE), [*orders, *broken], park=parked.append)
    assert {record.ref for record in parked} <= {one["id"] for one in broken}  # a bad record is parked, its neighbours go on
    assert outcome.bad == len(parked) >= 1
    with unit_of_work() as session:
        stored = session.scalars(select(Order).order_by(Order.id)).all()
        for place, order in enumerate(stored):
            order.state = at(STATES, place)
            order.magento_status = at(ODD, place)
            if order.state in ("failed", "skipped") or not place % 5:
                order.failure_code, order.failure_message, order.failure_remedy = at(ODD, place), at(ODD, place + 1), at(ODD, place + 2)
        session.flush()
        _requests(session, account, [order.id for order in stored])
    with unit_of_work() as session:  # and one that got an empty status past the intake
        session.execute(update(Order).where(Order.id == stored[0].id).values(remote_status=""))
    return [word for word in {*statuses} if word != MARKUP]


def _requests(session: Any, account: Account, ids: list[int]) -> None:
    now = utcnow()
    for place in range(max(len(CANCEL_STATUSES) * len(CANCEL_TYPES), len(REASONS))):
        session.add(
            Cancellation(
                account_id=account.id, order_id=ids[place % len(ids)], cancel_id=f"C{place}", cancel_type=at(CANCEL_TYPES, place),
                remote_status=at(CANCEL_STATUSES, place), role=at(ROLES, place), reason=at(REASONS, place), reason_text=at(REASONS, place + 1),
                respond_by_at=now if place % 3 else None, remote_created_at=now if place % 4 else None, remote_updated_at=now, data={},
            )
        )  # fmt: skip
    for place in range(max(len(RETURN_STATUSES) * 3, len(REASONS))):
        status, kind = at(RETURN_STATUSES, place), at(RETURN_TYPES, place)
        arbitrated = at(ARBITRATION, place)
        body = {"return_id": f"R{place}", "order_id": "1", "return_status": status, "return_type": kind, "arbitration_status": arbitrated, "create_time": START}
        read = domain.read_return(body, country="GB")
        session.add(
            Return(
                account_id=account.id, order_id=ids[place % len(ids)], return_id=f"R{place}", return_type=kind[:40], remote_status=status,
                arbitration_status=arbitrated[:40], reason=at(REASONS, place), reason_text=at(REASONS, place + 1), next_action=at(ODD, place),
                phase=read.meaning.phase, needs_answer=read.needs_answer, respond_by_at=now if place % 3 else None, remote_updated_at=now, body=body,
                goods=at(("", "expected", "ask", "received", "lost", "odd"), place), decision=at(ODD, place),
            )
        )  # fmt: skip


def screens(app: Flask) -> Iterator[str]:
    """Every screen that shows such words: the orders grid in every state, each order, Today, deadlines, and the desks that stand beside them."""
    from connector.blueprints.orders.views import ORDERS

    columns = ",".join(column.key for column in ORDERS.columns)
    yield from ("/", "/today", "/queue/", "/queue/products", "/reconciliation/")
    yield from (f"/orders/?per_page=200&cols={columns}", f"/orders/export.csv?cols={columns}", "/orders/?tab=error", "/orders/?errors=1")
    yield from (f"/orders/?tab={tab.key}&per_page=50" for tab in ORDERS.tabs)
    for each in ORDERS.filters:
        yield from (f"/orders/?per_page=20&{each.key}={value}" for value, _ in each.options() if value)
    yield from (f"/deadlines/?state={state}" for state in deadlines.STATES)
    for order_id in db.session.scalars(select(Order.id)):
        yield f"/orders/{order_id}"
    for order_id in db.session.scalars(select(Order.id).limit(8)):
        yield from (f"/orders/{order_id}/data", f"/orders/{order_id}/items")
    adapter = app.url_map.bind("localhost")
    for endpoint in ("cancellations.index", "cancellations.recalls", "returns.index", "holds.index"):
        if endpoint in app.view_functions:
            yield f"{adapter.build(endpoint)}?per_page=200"
    yield from (f"/cancellations/{cancellation_id}" for cancellation_id in telling())


def telling() -> list[int]:
    """Cancellations that together have every status, type, role and reason."""
    seen: set[tuple[int, str]] = set()
    found = []
    query = select(Cancellation.id, Cancellation.remote_status, Cancellation.cancel_type, Cancellation.role, Cancellation.reason)
    for cancellation_id, *words in db.session.execute(query.order_by(Cancellation.id)):
        if new := set(enumerate(words)) - seen:
            seen |= new
            found.append(cancellation_id)
    return found


def amiss(path: str, text: str) -> list[str]:
    """What a cancellation's page leaves out of the words that TikTok sent, or offers although it cannot tell what they mean."""
    one = db.session.get_one(Cancellation, int(path.rpartition("/")[2]))
    facts = " ".join(BeautifulSoup(text, "html.parser").main.get_text(" ").split())
    sent = (one.remote_status, one.cancel_type, ROLE_LABELS.get(one.role, one.role), one.reason, one.reason_text)
    found = [f"{word!r} is not there" for word in sent if " ".join(word.split()) not in facts]
    known = one.remote_status in CANCEL_STATUSES[:5] and one.cancel_type in CANCEL_TYPES[:2]
    if ("is not known to this version" in facts) == known:
        found.append(f"{one.remote_status!r} of type {one.cancel_type!r} is {'' if known else 'not '}flagged as unknown")
    waits = (one.remote_status, one.cancel_type) == (CANCEL_STATUSES[0], "BUYER_CANCEL")
    if ("answer=approve" in text) != waits:
        found.append("Accept and Reject are " + ("missing" if waits else "offered for what waits for no answer"))
    return found


def test_every_status_type_role_and_reason_known_or_not_is_handled_on_every_screen(
    app: Flask, account: Account, everything: list[str], admin_client: FlaskClient
) -> None:
    wrong: dict[str, Any] = {}
    checked = 0
    for path in dict.fromkeys(screens(app)):
        answer = admin_client.get(path)
        if answer.status_code != 200:
            wrong[path] = (answer.status_code, answer.text[:300])
            continue
        if answer.mimetype == "text/html":
            checked += 1
            thorough = "?" not in path or "cols=" in path or not path.startswith("/orders/")
            found = complaints(answer.text, whole="<html" in answer.text) if thorough and checked % 5 == 0 else []
            if MARKUP in answer.text or "<b>x</b>" in answer.text:
                found = [*found, "words of the server came out as markup"]
            if found:
                wrong[path] = sorted(set(found))[:8]
        if path.startswith("/cancellations/") and "?" not in path:
            said = amiss(path, answer.text)
            if said:
                wrong[path] = said
    assert not wrong, pformat(wrong, width=150)
    assert checked > 150

    grid = admin_client.get("/orders/?per_page=200").text
    shown = BeautifulSoup(grid, "html.parser").tbody.text
    labels = tiktok_order.LABELS
    assert [
        word for word in everything if labels.get(word, word) not in shown and " ".join(labels.get(word, word).split()) not in " ".join(shown.split())
    ] == []
    lines = admin_client.get("/orders/export.csv?per_page=200").text
    assert lines.count("\n") >= db.session.query(Order).count()
    for word in ODD:
        order = db.session.scalars(select(Order).where(Order.remote_status == word)).first()
        assert order is not None, word
        assert html.escape(word, quote=False)[:40] in admin_client.get(f"/orders/{order.id}").text.replace("&#34;", '"').replace("&#39;", "'"), word
    assert db.session.scalars(select(OrderLine.remote_status).where(OrderLine.remote_status == MARKUP)).first()


def test_the_actions_answer_for_orders_of_every_status_and_do_nothing_by_themselves(
    app: Flask, account: Account, everything: list[str], admin_client: FlaskClient
) -> None:
    before = db.session.execute(select(Order.id, Order.state, Order.remote_status).order_by(Order.id)).all()
    ids = [row.id for row in before]
    csrf = csrf_of(admin_client)
    for action in ("create", "ship", "reject", "sync"):
        answer = admin_client.post(
            "/orders/bulk", data={"csrf_token": csrf, "scope": "ids", "ids": ids, "action": action}, headers=HTMX if action == "sync" else {}
        )
        assert answer.status_code in (200, 303), (action, answer.text[:500])
        assert MARKUP not in answer.text
    assert flags.attention().total >= 0
    assert causes.groups() is not None
    flags.sweep(account.id)
    while deadlines.warn(account.id):
        pass
    assert len(deadlines.upcoming(limit=1000)) > 20
    db.session.expire_all()
    assert db.session.execute(select(Order.id, Order.state, Order.remote_status).order_by(Order.id)).all() == before

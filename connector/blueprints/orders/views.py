"""Orders: the grid, one order, its raw data, its items, notes (A179-A204)."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response, abort, make_response, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.orders.cells import ORDER_CELLS
from connector.blueprints.orders.forms import NoteForm, RejectForm
from connector.clients.errors import ApiError
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain.shipping import OPEN_LINE
from connector.grids.orders import STATE_LABELS, STATUS_LABELS, orders_grid
from connector.models.aftersales import CreditMemo, Return
from connector.models.order import Cancellation, MagentoOrderIntent, Order, OrderLine, OrderPayload, Reservation, Shipment
from connector.models.trace import ApiCall, Decision, Event
from connector.services import connections, events
from connector.services.orders import combining, recall, reject, ship, splitting
from connector.services.recording import mask
from connector.web.auth import can, requires
from connector.web.forms import render_form
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast, wants_partial

bp = Blueprint("orders", __name__, url_prefix="/orders")

ORDERS = orders_grid(RejectForm)
grid_routes(bp, ORDERS, "orders/index.html", cells=ORDER_CELLS)


def find(order_id: int) -> Order:
    found = db.session.get(Order, order_id)
    if found is None:
        abort(404)
    return found


@bp.get("/<int:order_id>")
@requires("orders.read")
def order(order_id: int) -> str:
    """Order & Account Information (A202, A203) with packages, timeline, decisions, calls and notes."""
    found = find(order_id)
    revealed = request.args.get("reveal") == "1" and can("orders.write")
    if revealed:
        _write_down_the_look(found)
    return render_template("orders/order.html", **_facts(found, revealed), note=NoteForm())


def _write_down_the_look(found: Order) -> None:
    with unit_of_work():
        events.record("order.revealed", "order", found.id, "Buyer data shown", account_id=found.account_id)


def _facts(found: Order, revealed: bool) -> dict[str, Any]:
    payload = db.session.get(OrderPayload, found.id)
    address = (payload.address if payload else None) or {}
    about = (Event.subject_type == "order", Event.subject_id == str(found.id))
    lines = db.session.scalars(select(OrderLine).where(OrderLine.order_id == found.id).order_by(OrderLine.id)).all()
    return {
        "order": found,
        "account": found.account,
        "now": connections.shop_now(found.account),
        "lines": lines,
        "several_units": sum(line.remote_status in OPEN_LINE for line in lines) > 1,
        "parcels": db.session.scalars(select(Shipment).where(Shipment.order_id == found.id).order_by(Shipment.id)).all(),
        "packages": packages_of(payload),
        "combined_with": combining.shares([found.id]).get(found.id, ()),
        "cancellations": db.session.scalars(select(Cancellation).where(Cancellation.order_id == found.id).order_by(Cancellation.id)).all(),
        "returns": db.session.scalars(select(Return).where(Return.order_id == found.id).order_by(Return.id)).all(),
        "credit_memos": db.session.scalars(select(CreditMemo).where(CreditMemo.order_id == found.id).order_by(CreditMemo.id)).all(),
        "recall": recall.of_order(found.id),
        "reservations": db.session.scalars(select(Reservation).where(Reservation.order_id == found.id).order_by(Reservation.id)).all(),
        "intent": db.session.get(MagentoOrderIntent, found.id),
        "timeline": db.session.scalars(select(Event).where(*about).order_by(Event.id.desc()).limit(100)).all(),
        "decisions": db.session.scalars(select(Decision).where(Decision.subject_type == "order", Decision.subject_id == str(found.id)).order_by(Decision.id.desc()).limit(5)).all(),
        "calls": db.session.execute(
            select(ApiCall.id, ApiCall.at, ApiCall.system, ApiCall.operation, ApiCall.status, ApiCall.failed, ApiCall.milliseconds, ApiCall.error)
            .where(ApiCall.order_id == found.id).order_by(ApiCall.id.desc()).limit(50)
        ).all(),
        "buyer": buyer(payload, address, revealed),
        "payment": (payload.body.get("payment") if payload else None) or {},
        "payment_method": payload.body.get("payment_method_name", "") if payload else "",
        "buyer_message": (payload.body.get("buyer_message") or "") if payload and revealed else "",
        "revealed": revealed,
        "status_label": STATUS_LABELS.get(found.remote_status),
        "state_label": STATE_LABELS.get(found.state),
        "ship_refusal": ship.why_not(found),
        "can_reject": found.remote_status in reject.REJECTABLE,
    }  # fmt: skip


@bp.get("/<int:order_id>/split")
@requires("orders.read")
def split(order_id: int) -> AnyResponse | str:
    """Whether TikTok takes the order in several parcels only. Only TikTok knows, so the order's page asks when it stands there already."""
    found = find(order_id)
    problem = ""
    try:
        demand = splitting.demands([order_id]).get(order_id)
    except (ApiError, DomainError) as error:
        demand, problem = None, str(error)
    if wants_partial():
        return render_template("orders/_split.html", demand=demand, problem=problem)
    words = f"{demand['message']} {demand['remedy']}" if demand else problem or f"TikTok takes order {found.number} in one parcel."
    toast(words, "warning" if demand or problem else "success")
    return go_to(url_for("orders.order", order_id=order_id, _anchor="packages"))


def packages_of(payload: OrderPayload | None) -> list[dict[str, Any]]:
    """TikTok's packages of the order as last read (TTS §5.4.5): id, status, tracking number, units by SKU, and what made them: a split, a combination."""
    body = payload.body if payload else {}
    mark = str(body.get("split_or_combine_tag") or "")
    rows: dict[str, dict[str, Any]] = {}
    for line in body.get("line_items") or ():
        if package_id := str(line.get("package_id") or ""):
            row = rows.setdefault(package_id, {"id": package_id, "status": "", "tracking": "", "units": {}, "mark": mark})
            row["status"] = row["status"] or str(line.get("package_status") or "")
            row["tracking"] = row["tracking"] or str(line.get("tracking_number") or "")
            sku = str(line.get("seller_sku") or line.get("sku_name") or "unit")
            row["units"][sku] = row["units"].get(sku, 0) + 1
    return list(rows.values())


def buyer(payload: OrderPayload | None, address: dict[str, Any], revealed: bool) -> dict[str, Any]:
    """Name, e-mail and address as lines of text; masked until a person who may asks to see them (product rule 12)."""
    name = (payload.buyer_name if payload else "") or address.get("name") or ""
    email = (payload.buyer_email if payload else "") or ""
    lines = [
        address.get("name", ""), address.get("address_line1", ""), address.get("address_line2", ""), address.get("address_line3", ""),
        " ".join(part for part in (address.get("postal_code", ""), address.get("post_town", "")) if part), address.get("region_code", ""), address.get("phone_number", ""),
    ]  # fmt: skip
    lines = [line for line in lines if line]
    if revealed:
        return {"name": name, "email": email, "address": lines}
    return {"name": _hide(name), "email": _hide(email), "address": [_hide(line) for line in lines]}


def _hide(text: str) -> str:
    return f"{text[:1]}{'•' * min(8, max(3, len(text) - 1))}" if text else ""


@bp.get("/<int:order_id>/data")
@requires("orders.read")
def data(order_id: int) -> Response:
    """The order as TikTok sent it (A200); buyer data masked unless revealed."""
    found = find(order_id)
    payload = db.session.get(OrderPayload, order_id)
    text = orjson.dumps(payload.body, option=orjson.OPT_INDENT_2).decode() if payload else "{}"
    if request.args.get("reveal") == "1" and can("orders.write"):
        _write_down_the_look(found)
    else:
        text = mask(text, operation="order", system="tiktok")
    template = "orders/_data.html" if wants_partial() else "orders/data.html"
    return make_response(render_template(template, order=found, text=text))


@bp.get("/<int:order_id>/items")
@requires("orders.read")
def items(order_id: int) -> Response:
    """View Items (A201): name, variant, SKU, quantity, price, discount."""
    found = find(order_id)
    lines = db.session.scalars(select(OrderLine).where(OrderLine.order_id == order_id).order_by(OrderLine.id)).all()
    template = "orders/_items.html" if wants_partial() else "orders/items.html"
    return make_response(render_template(template, order=found, groups=grouped(lines)))


@bp.app_template_global("group_lines")
def grouped(lines: Any) -> list[dict[str, Any]]:
    """Units of the same SKU, price and status as one row with a quantity."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in lines:
        key = (line.seller_sku, line.sale_price, line.original_price, line.remote_status, line.tracking_number)
        row = rows.setdefault(key, {"line": line, "quantity": 0})
        row["quantity"] += 1
    return list(rows.values())


@bp.post("/<int:order_id>/notes")
@requires("orders.write")
def add_note(order_id: int) -> AnyResponse:
    found = find(order_id)
    form = NoteForm()
    if form.validate_on_submit():
        with unit_of_work():
            events.record("note", "order", order_id, form.text.data, account_id=found.account_id)
        toast("Note added.")
        return go_to(url_for("orders.order", order_id=order_id, _anchor="notes"))
    return render_form("orders/order.html", form=form, note=form, **_facts(found, False))

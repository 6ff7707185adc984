"""The buyer console and the fault panel: HTML pages where a person plays the buyer, the carrier and the bad day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for

from connector.practice.catalogue import DEMO_PRODUCTS

from .acts import ACTS, act, place
from .control import only_from_here
from .faults import API_KINDS, WEBHOOK_KINDS
from .marketplace import Marketplace
from .operations import REGISTER
from .orders import STATUSES
from .refusals import Refusal
from .schedule import settle
from .seeding import seed
from .truth import everything
from .webhooks import EVENTS

blueprint = Blueprint("console", __name__)
PAGE = 50
LINES = 4
NEXT_ACTS = {
    "UNPAID": ("pay", "cancel"),
    "ON_HOLD": ("release", "cancel", "address", "risk"),
    "AWAITING_SHIPMENT": ("cancel", "withdraw", "address", "risk"),
    "PARTIALLY_SHIPPING": ("collect", "address", "risk"),
    "AWAITING_COLLECTION": ("collect", "return", "risk"),
    "IN_TRANSIT": ("deliver", "return", "risk"),
    "DELIVERED": ("return", "complete"),
}
LABELS = {
    "pay": "Pay",
    "release": "End the hold now",
    "cancel": "Cancel as the buyer",
    "withdraw": "Take the request back",
    "address": "Change the address",
    "collect": "Carrier scans the parcel",
    "deliver": "Carrier delivers",
    "complete": "End the after-sales window",
    "return": "Ask for a return",
    "risk": "Risk control cancels it",
}

blueprint.before_request(only_from_here)


def market() -> Marketplace:
    return current_app.extensions["marketplace"]


@blueprint.app_template_filter("instant")
def instant(seconds: int | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if seconds else ""


@blueprint.context_processor
def frame() -> dict[str, Any]:
    return {"clock": market().clock.state(), "shops": list(market().shops.values()), "statuses": STATUSES}


@blueprint.get("/")
def root() -> Response:
    return redirect(url_for("console.orders"))


@blueprint.get("/console")
def orders() -> str:
    return _orders_page()


def _orders_page(complaint: str = "") -> str:
    settle(market())
    shop_id, status, page = request.args.get("shop", ""), request.args.get("status", ""), max(1, request.args.get("page", 1, type=int))
    where, values = "1", []
    for column, value in (("shop_id", shop_id), ("status", status)):
        if value:
            where += f" AND {column} = ?"
            values.append(value)
    db = market().store.read
    rows = db.execute(
        "SELECT id, shop_id, status, create_time, update_time, json_extract(doc, '$.buyer_nickname') AS buyer, "
        "json_extract(doc, '$.payment.total_amount') AS total, json_extract(doc, '$.payment.currency') AS currency, "
        f"json_array_length(doc, '$.line_items') AS units FROM orders WHERE {where} ORDER BY create_time DESC, id DESC LIMIT ? OFFSET ?",
        (*values, PAGE, (page - 1) * PAGE),
    ).fetchall()
    total = db.execute(f"SELECT count(*) FROM orders WHERE {where}", values).fetchone()[0]
    products = [product for product in DEMO_PRODUCTS if product.type_id != "configurable"]
    regions = {shop["id"]: shop["region"] for shop in market().shops.values()}
    return render_template(
        "orders.html", rows=rows, total=total, page=page, pages=-(-total // PAGE), shop_id=shop_id, status=status, regions=regions,
        products=products, lines=range(LINES), complaint=complaint,
    )  # fmt: skip


@blueprint.post("/console/orders")
def place_order() -> Response | tuple[str, int]:
    form = request.form
    lines = [
        {"sku": sku, "quantity": int(quantity) if quantity.isdecimal() else 0}
        for sku, quantity in zip(form.getlist("sku"), form.getlist("quantity"), strict=False)
        if sku
    ]
    wishes = {name: form[name] for name in ("shop", "shipping_type", "message") if form.get(name)}
    try:
        order = place(market(), {**wishes, "lines": lines, "pay": "pay" in form, "buyer": form.get("buyer", 42, type=int)})
    except (ValueError, KeyError) as error:
        return _orders_page(str(error.args[0])), 400
    return redirect(url_for("console.order", order_id=order.id), 303)


@blueprint.get("/console/orders/<order_id>")
def order(order_id: str) -> str | tuple[str, int]:
    return _order_page(order_id)


def _order_page(order_id: str, complaint: str = "") -> str | tuple[str, int]:
    settle(market())
    try:
        truth = everything(market(), order_id)
    except Refusal as refusal:
        return render_template("message.html", text=refusal.message), 404
    acts = [name for name in NEXT_ACTS.get(truth["order"]["status"], ()) if _offered(name, truth)]
    page = render_template("order.html", **truth, acts=[(name, LABELS[name]) for name in acts], complaint=complaint)
    return (page, 400) if complaint else page


def _offered(name: str, truth: dict[str, Any]) -> bool:
    waiting = any(each["cancel_status"] == "CANCELLATION_REQUEST_PENDING" for each in truth["cancellations"])
    if name == "cancel":
        return not waiting
    if name == "return":
        return bool(truth["may_return"])
    return waiting if name == "withdraw" else True


@blueprint.post("/console/orders/<order_id>/<name>")
def act_on_order(order_id: str, name: str) -> Any:
    if name not in ACTS:
        return render_template("message.html", text=f"There is no act {name}."), 404
    wish = {key: value for key, value in request.form.items() if value}
    try:
        act(market(), order_id, name, wish)
    except Refusal as refusal:
        return render_template("message.html", text=refusal.message), 404
    except ValueError as error:
        return _order_page(order_id, str(error))
    return redirect(url_for("console.order", order_id=order_id), 303)


@blueprint.post("/console/clock")
def set_clock() -> Response:
    form = request.form
    market().clock.set(rate=form.get("rate", type=float), advance_seconds=form.get("advance_seconds", 0, type=float), reset="reset" in form)
    settle(market())
    target = form.get("back", "")
    return redirect(target if target.startswith("/console") else url_for("console.orders"), 303)


@blueprint.post("/console/seed")
def seed_orders() -> Response | tuple[str, int]:
    form = request.form
    try:
        seed(market(), {"orders": form.get("orders", 20, type=int), "status": form.get("status") or None, "seed": market().clock.seconds()})
    except (ValueError, KeyError) as error:
        return _orders_page(str(error.args[0])), 400
    return redirect(url_for("console.orders"), 303)


@blueprint.get("/console/faults")
def faults() -> str:
    return _faults_page()


def _faults_page(complaint: str = "") -> str:
    names = sorted({operation.name for operation in REGISTER} | {"token.get", "token.refresh"} | set(EVENTS.values()))
    return render_template(
        "faults.html", faults=market().faults.all(), kinds={**API_KINDS, **WEBHOOK_KINDS}, names=names, complaint=complaint,
        deliveries=market().webhooks.recent(50), calls=market().calls.report(), latency=market().settings.latency_ms, app=market().app,
    )  # fmt: skip


@blueprint.post("/console/faults")
def add_fault() -> Response | tuple[str, int]:
    form = request.form
    fault: dict[str, Any] = {"kind": form.get("kind", ""), "operation": form.get("operation") or "*"}
    whole, any_ = ("times", "seed", "copies", "retry_after", "status"), ("probability", "seconds", "ms")
    for name, convert in (*((name, int) for name in whole), *((name, float) for name in any_)):
        if form.get(name):
            try:
                fault[name] = convert(form[name])
            except ValueError:
                return _faults_page(f"{name} must be a number."), 400
    try:
        market().faults.add(fault)
    except ValueError as error:
        return _faults_page(str(error)), 400
    return redirect(url_for("console.faults"), 303)


@blueprint.post("/console/faults/remove")
def remove_fault() -> Response:
    market().faults.remove(request.form.get("id", type=int))
    return redirect(url_for("console.faults"), 303)


@blueprint.post("/console/latency")
def set_latency() -> Response:
    market().settings.update({"latency_ms": request.form.get("ms", 0, type=float)})
    return redirect(url_for("console.faults"), 303)

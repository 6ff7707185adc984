"""Returns in the control API and in the buyer console (README.md)."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for

from .console import blueprint as console
from .control import blueprint as control
from .control import market, wish
from .orderbook import Document, load_by_return
from .returns_acts import RETURN_ACTS, act_on_return, find_returns, seed_returns, truth
from .returns_life import APPEALABLE, AWAITING_ANSWER, AWAITING_SHIP, EXCHANGE, GRANTED, OUTCOMES, SHIPPED, STATUSES
from .schedule import settle

LABELS = {
    "withdraw": "Take the request back",
    "ship": "Send the goods",
    "arrive": "The parcel reaches the seller",
    "accept": "Accept the offer",
    "decline": "Decline the offer",
    "appeal": "Ask the platform to decide",
    "refund": "Pay the refund now",
    "exchange": "Send the exchange",
}


@control.post("/returns/seed")
def seed() -> Document:
    return seed_returns(market(), wish())


@control.get("/returns")
def returns() -> Document:
    settle(market())
    args = request.args
    return find_returns(market(), args.get("shop"), args.get("status"), args.get("order_id"))


@control.get("/returns/<return_id>")
def one_return(return_id: str) -> Document:
    settle(market())
    order = load_by_return(market(), return_id)
    if order is None:
        raise KeyError(f"there is no return {return_id}")
    return truth(order, return_id)


@control.post("/returns/<return_id>/<name>")
def act(return_id: str, name: str) -> Document:
    if name not in RETURN_ACTS:
        raise KeyError(f"there is no act {name!r}; known: {', '.join(RETURN_ACTS)}")
    return act_on_return(market(), return_id, name, wish())


# -- console --------------------------------------------------------------------------------------------------------------------------------


def offered(document: Document) -> list[tuple[str, str, str]]:
    """(act, label, outcome) of the buttons that a return has now."""
    status = document["return_status"]
    if document.get("arbitration_status") == "IN_PROGRESS" and status in APPEALABLE:
        return [("arbitrate", f"The platform decides: {outcome}", outcome) for outcome in OUTCOMES]
    names = {
        AWAITING_SHIP: ("ship", "withdraw"),
        SHIPPED: ("arrive",),
        AWAITING_ANSWER: ("accept", "decline", "withdraw"),
        EXCHANGE + "PENDING": ("exchange", "withdraw"),
        **dict.fromkeys(GRANTED, ("refund",)),
        **dict.fromkeys(APPEALABLE, ("withdraw",) if document.get("arbitration_status") else ("appeal", "withdraw")),
    }.get(status, ("withdraw",) if status.endswith("_PENDING") else ())
    return [(name, LABELS[name], "") for name in names]


@console.app_context_processor
def for_pages() -> dict[str, Any]:
    return {"return_acts": offered}


@console.get("/console/returns")
def return_list() -> str:
    return _page()


def _page(complaint: str = "") -> str:
    settle(market())
    shop, status = request.args.get("shop") or None, request.args.get("status") or None
    found = find_returns(market(), shop, status, None)
    return render_template("returns.html", **found, shop_id=shop, status=status, return_statuses=STATUSES, complaint=complaint)


@console.post("/console/returns/<return_id>/<name>")
def act_in_console(return_id: str, name: str) -> Any:
    if name not in RETURN_ACTS:
        return render_template("message.html", text=f"There is no act {name}."), 404
    try:
        document = act_on_return(market(), return_id, name, {key: value for key, value in request.form.items() if value})
    except KeyError as error:
        return render_template("message.html", text=str(error.args[0])), 404
    except ValueError as error:
        return _page(str(error)), 400
    return redirect(url_for("console.order", order_id=document["order_id"]), 303)

"""Recalls (A264): parcels that left although their order is cancelled, and what a person says became of them."""

from __future__ import annotations

from datetime import timedelta

from flask import render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.cancellations.cells import RECALL_CELLS
from connector.blueprints.cancellations.views import bp
from connector.clients.errors import ApiError, describe
from connector.core.clock import utcnow
from connector.core.db import db
from connector.core.errors import DomainError
from connector.grids.cancellations import RECALL_LABELS, RECALLS
from connector.models.aftersales import RECALL_RECEIVED, RecallTask
from connector.services.orders import recall
from connector.web.auth import requires
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast

grid_routes(bp, RECALLS, "cancellations/recalls.html", name="recalls", rule="/recalls", cells=RECALL_CELLS)


@bp.route("/recalls/<int:recall_id>", methods=["GET"])
@requires("cancellations.read")
def recall_page(recall_id: int) -> AnyResponse | str:
    """One recall with its three moves."""
    found = db.session.get(RecallTask, recall_id)
    return _page(found) if found else _gone()


@bp.post("/recalls/<int:recall_id>/move")
@requires("cancellations.write")
def recall_move(recall_id: int) -> AnyResponse | str | tuple[str, int]:
    """On its way back, received (with the units that can be sold again), lost; or once more what the store did not take."""
    found = db.session.get(RecallTask, recall_id)
    if found is None:
        return _gone()
    wanted = request.form.get("to", "")
    try:
        received = _units(found) if wanted == RECALL_RECEIVED and found.state != RECALL_RECEIVED else None
        said = recall.move(found.order_id, wanted, received=received, note=request.form.get("note", "")[:1000], actor=current_user.email)
    except DomainError as error:
        return _page(db.session.get_one(RecallTask, recall_id), error), 422
    except ApiError as error:
        toast(f"{describe(error).title}: {error} What you said is kept; the store is tried again by itself.", "warning")
    else:
        toast(said)
    return go_to(url_for("cancellations.recall_page", recall_id=recall_id))


def _units(found: RecallTask) -> dict[str, int]:
    units = {}
    for number, sku in enumerate(found.units):
        typed = request.form.get(f"units-{number}", "").strip() or "0"
        if not typed.isdigit():
            raise DomainError("recall.units", f"{typed!r} is no number of units of {sku}.", "Enter a whole number.", field=f"units-{number}")
        units[sku] = int(typed)
    return units


def _page(found: RecallTask, problem: DomainError | None = None) -> str:
    return render_template(
        "cancellations/recall.html", task=found, order=found.order, label=RECALL_LABELS.get(found.state), moves=recall.MOVES.get(found.state, ()), problem=problem,
        entered=request.form, now=utcnow() + timedelta(seconds=found.order.account.clock_offset_seconds or 0),
    )  # fmt: skip


def _gone() -> AnyResponse:
    toast("There is no such recall.", "warning")
    return go_to(url_for("cancellations.recalls"))

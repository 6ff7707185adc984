"""What was said to TikTok and Magento and what they answered (product.md 12)."""

from __future__ import annotations

from flask import Blueprint, abort, render_template, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from connector.core.db import db
from connector.core.errors import DomainError
from connector.grids.api_calls import API_CALLS
from connector.models.trace import ApiCall
from connector.services import replay
from connector.web.auth import requires
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast

bp = Blueprint("api_calls", __name__, url_prefix="/api-calls")

grid_routes(bp, API_CALLS, "api_calls/index.html")


@bp.get("/<int:call_id>")
@requires("api_calls.read")
def call(call_id: int) -> str:
    found = db.session.get(ApiCall, call_id)
    if found is None:
        abort(404)
    replays = db.session.scalars(select(ApiCall).where(ApiCall.replay_of == call_id).order_by(ApiCall.id)).all()
    return render_template("api_calls/call.html", call=found, curl=replay.as_curl(found), replays=replays)


@bp.post("/<int:call_id>/replay")
@requires("api_calls.write")
def run_again(call_id: int) -> Response:
    """Send a read again, signed afresh; writes are refused."""
    try:
        new_id = replay.replay(call_id)
    except DomainError as error:
        toast(str(error), "danger")
        return go_to(url_for("api_calls.call", call_id=call_id))
    toast("Sent again. This is its new answer.")
    return go_to(url_for("api_calls.call", call_id=new_id))

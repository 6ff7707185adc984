"""The stream of changes that open pages listen to."""

from __future__ import annotations

from flask import Blueprint, Response, request

from connector.core.db import db
from connector.web import live
from connector.web.auth import requires

bp = Blueprint("live", __name__)


@bp.get("/live")
@requires("home.read")
def stream() -> Response:
    """Server-sent events ``run:changed`` and ``orders:changed``; 204 when this process has no room, then the page polls."""
    db.session.remove()  # a stream lives for minutes: it must not hold a connection
    events = live.stream(request.args.get("since", type=float))
    if events is None:
        return Response(status=204)
    return Response(events, mimetype="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

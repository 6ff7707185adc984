"""Privacy policy, reporting an issue, light or dark. Nothing here needs a sign-in."""

from __future__ import annotations

import platform

from flask import Blueprint, current_app, render_template, request
from werkzeug.wrappers import Response

from connector.web.auth import public, safe_next
from connector.web.htmx import go_to

bp = Blueprint("about", __name__)


@bp.get("/privacy")
@public
def privacy() -> str:
    """What this installation keeps about people (A027)."""
    return render_template("about/privacy.html")


@bp.get("/report-an-issue")
@public
def report_issue() -> str:
    """What to say when something does not work, with the facts ready to copy (A027)."""
    engine = "PostgreSQL" if "postgresql" in current_app.config["SQLALCHEMY_DATABASE_URI"] else "SQLite"
    facts = f"Connector {current_app.config.get('VERSION', '')}, Python {platform.python_version()}, {engine}, {platform.system()}"
    return render_template("about/report_issue.html", facts=facts, browser=request.user_agent.string)


@bp.post("/theme")
@public
def theme() -> Response:
    """Keep the chosen theme in a cookie."""
    chosen = "dark" if request.form.get("theme") == "dark" else "light"
    here = (request.referrer or "").removeprefix(request.host_url.rstrip("/"))
    response = go_to(safe_next(here, "/"))
    response.set_cookie("theme", chosen, max_age=31_536_000, samesite="Lax")
    return response

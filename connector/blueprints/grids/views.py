"""Choosing columns, saving and deleting views (A022). Each is a plain form that leads back to the grid."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from flask import Blueprint, abort, current_app, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from connector.core.db import db, unit_of_work
from connector.grids.state import GridState
from connector.models.grid import GridPreference, SavedView
from connector.web.auth import can, safe_next
from connector.web.grids import MountedGrid, mounted
from connector.web.htmx import go_to, toast

bp = Blueprint("grids", __name__, url_prefix="/grids")

VIEWS_EACH = 50


def _grid(key: str) -> MountedGrid:
    found = mounted().get(key)
    if found is None:
        abort(404)
    if not can(found.grid.permission):
        abort(403)
    return found


def _back_url(found: MountedGrid) -> str:
    """Where the form came from; else the grid's own address, if that needs no more than its name (a run's items need the run)."""
    needs = next(current_app.url_map.iter_rules(found.endpoint)).arguments
    return safe_next(request.form.get("back"), "/" if needs else url_for(found.endpoint))


def _back(found: MountedGrid) -> Response:
    return go_to(_back_url(found))


@bp.post("/<key>/columns")
def choose_columns(key: str) -> Response:
    """Keep which columns the present user sees."""
    found = _grid(key)
    wanted = set(request.form.getlist("columns"))
    chosen = [column.key for column in found.grid.columns if column.key in wanted]
    with unit_of_work() as session:
        kept = session.get(GridPreference, (current_user.id, key))
        if "reset" in request.form:
            if kept is not None:
                session.delete(kept)
        elif not chosen:
            toast("The columns stay as they are: choose at least one.", "warning")
        elif kept is None:
            session.add(GridPreference(user_id=current_user.id, grid_key=key, columns=chosen))
        else:
            kept.columns = chosen
    return _back(found)


@bp.post("/<key>/views")
def save_view(key: str) -> Response:
    """Keep the grid's present state under a name; the same name again replaces it."""
    found = _grid(key)
    name = request.form.get("name", "").strip()[:60]
    if not name:
        toast("The view was not saved: give it a name.", "warning")
        return _back(found)
    pairs = parse_qs(request.form.get("query", ""), keep_blank_values=True)
    args: MultiDict[str, str] = MultiDict([(key, value) for key, values in pairs.items() for value in values])
    query = GridState.parse(found.grid, args).view_query  # what the grid does not know is dropped here already
    mine = select(SavedView).where(SavedView.user_id == current_user.id, SavedView.grid_key == key)
    with unit_of_work() as session:
        views = {view.name: view for view in session.scalars(mine)}
        if name not in views and len(views) >= VIEWS_EACH:
            toast(f"The view was not saved: you have {VIEWS_EACH} of this grid already. Delete one first.", "warning")
            return _back(found)
        view = views.get(name)
        if view is None:
            view = SavedView(user_id=current_user.id, grid_key=key, name=name)
            session.add(view)
        view.query, view.shared = query, request.form.get("shared") == "1"
    toast(f"View “{name}” saved.")
    return go_to(f"{urlsplit(_back_url(found)).path}?{query}")


@bp.post("/<key>/views/<int:view_id>/delete")
def delete_view(key: str, view_id: int) -> Response:
    """Delete one of the present user's own views."""
    found = _grid(key)
    view = db.session.get(SavedView, view_id)
    if view is None or view.user_id != current_user.id or view.grid_key != key:
        abort(404)
    with unit_of_work() as session:
        session.delete(view)
    toast(f"View “{view.name}” deleted.")
    return _back(found)

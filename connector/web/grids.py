"""A grid's routes: page and partial, bulk actions with their confirm page, CSV export. See ``connector/grids/__init__.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from flask import Blueprint, Response, abort, current_app, make_response, render_template, request, stream_with_context, url_for
from flask_login import current_user
from markupsafe import Markup, escape
from sqlalchemy import bindparam, or_, select
from werkzeug.datastructures import MultiDict

from connector.core.clock import utcnow
from connector.core.db import db
from connector.core.errors import DomainError
from connector.grids.export import csv_lines
from connector.grids.grid import BULK_LIMIT, PAGE_SIZES, Action, Grid, Preview, Result
from connector.grids.query import Page, allowed_ids, matching_ids, run
from connector.grids.state import GridState, without_choice
from connector.models.grid import GridPreference, SavedView
from connector.web.auth import can, requires
from connector.web.cells import CELLS, Cell, rows_drawer
from connector.web.filters import user_zone
from connector.web.htmx import go_to, is_htmx, toast, wants_partial

Scope = Callable[[], Any]

# Asked at every page, so put together once.
_VIEWS = (
    select(SavedView)
    .where(SavedView.grid_key == bindparam("grid"), or_(SavedView.user_id == bindparam("user"), SavedView.shared))
    .order_by(SavedView.name, SavedView.id)
)
_PREFERRED = select(GridPreference.columns).where(GridPreference.user_id == bindparam("user"), GridPreference.grid_key == bindparam("grid"))


@dataclass(frozen=True)
class MountedGrid:
    """Where a grid lives, for saved views and column choice, and what its blueprint draws its cells with."""

    grid: Grid
    endpoint: str
    cells: Mapping[str, Cell]


def mounted() -> dict[str, MountedGrid]:
    """Every grid of this application by key."""
    found: dict[str, MountedGrid] = current_app.extensions.setdefault("connector.grids", {})
    return found


def grid_routes(
    bp: Blueprint,
    grid: Grid,
    template: str,
    *,
    scope: Scope = lambda: None,
    context: Callable[[], dict[str, Any]] = dict,
    rule: str = "/",
    name: str = "index",
    cells: Mapping[str, Cell] | None = None,
) -> None:
    """Add ``<bp>.<name>``, and ``bulk`` and ``export`` beside it (``<name>_bulk``, ``<name>_export`` unless the name is "index").

    ``cells`` are cells of the grid's own, by name.
    """
    prefix = "" if name == "index" else f"{name}_"

    @requires(grid.permission)
    def index(**path: Any) -> Response:
        return render_grid(template, grid, grid_state(grid), scope=scope(), context=context)

    @requires(grid.permission)
    def bulk(**path: Any) -> Any:
        return _bulk(grid, scope(), url_for(f"{bp.name}.{name}", **path))

    @requires(grid.permission)
    def export(**path: Any) -> Response:
        return _export(grid, scope())

    bp.add_url_rule(rule, name, index, methods=["GET"])
    bp.add_url_rule(rule.rstrip("/") + "/bulk", f"{prefix}bulk", bulk, methods=["POST"])
    bp.add_url_rule(rule.rstrip("/") + "/export.csv", f"{prefix}export", export, methods=["GET"])
    bp.record(lambda setup: _mount(setup, MountedGrid(grid, f"{bp.name}.{name}", cells or {})))


def _mount(setup: Any, found: MountedGrid) -> None:
    setup.app.extensions.setdefault("connector.grids", {})[found.grid.key] = found


def render_grid(template: str, grid: Grid, state: GridState, *, scope: Any = None, context: Callable[[], dict[str, Any]] = dict) -> Response:
    """The grid's page; for an htmx swap of the grid, the grid alone."""
    page = run(grid, state, scope)
    shared = grid_context(grid, state, page)
    if wants_partial():
        response = make_response(shared["draw_grid"]())
        if request.headers.get("HX-Source", "").startswith("form"):
            response.headers["HX-Push-Url"] = state.url()  # the tidy address, not one with every empty filter
        return response
    return make_response(render_template(template, **shared, **context()))


def grid_context(grid: Grid, state: GridState, page: Page) -> dict[str, Any]:
    """What ``components/_grid.html`` needs; also for pages that show a grid beside something else."""
    endpoint = mounted()[grid.key].endpoint
    prefix = endpoint.removesuffix("index") if endpoint.endswith(".index") else f"{endpoint}_"
    allowed = [action for action in grid.actions if can(action.permission)]
    views = _views(grid)
    columns = [(column, _cell(grid, column.cell)) for column in state.visible]
    bulk_actions, row_actions = [action for action in allowed if action.bulk], [action for action in allowed if action.row]
    pinned, panel = _filters(grid, state, pinned=True), _filters(grid, state, pinned=False)
    parts = {
        "grid": grid,
        "state": state,
        "page": page,
        "swap": _swapper(grid),
        "once": _once(grid, state, pinned, panel),
        "pinned_filters": pinned,
        "panel_filters": panel,
        "column_boxes": _column_boxes(grid, state),
        "draw_rows": rows_drawer(grid, columns, row_actions, selectable=bool(bulk_actions)),
        "bulk_actions": bulk_actions,
        "row_actions": row_actions,
        "bulk_url": url_for(f"{prefix}bulk", **(request.view_args or {})),
        "export_url": state.url(path=url_for(f"{prefix}export", **(request.view_args or {}))),
        "page_sizes": PAGE_SIZES,
        "views": views,
        "current_view": next((view for view in views if view.query == state.view_query), None),
        "current_user": current_user,
    }
    body = current_app.jinja_env.get_template("components/_grid_body.html")
    return {"grid": grid, "state": state, "page": page, "draw_grid": lambda: Markup(body.render(parts))}  # noqa: S704 - a template's own output


def _swapper(grid: Grid) -> Callable[[str], Markup]:
    """The attributes of a link that swaps the grid; without JavaScript it is a plain link."""
    rest = f'hx-target="#{escape(grid.key)}-grid" hx-swap="outerMorph" hx-push-url="true"'

    def swap(url: str) -> Markup:
        safe = escape(url)
        return Markup(f'href="{safe}" hx-get="{safe}" {rest}')  # noqa: S704 - escaped

    return swap


def _fragment(key: tuple[Any, ...], draw: Callable[[], Markup]) -> Markup:
    """What depends on nothing but ``key`` is drawn once in a process."""
    known: dict[tuple[Any, ...], Markup] = current_app.extensions.setdefault("connector.fragments", {})
    if key not in known or current_app.debug:
        if len(known) > 500:
            known.clear()
        known[key] = draw()
    return known[key]


def _once(grid: Grid, state: GridState, *parts: Markup) -> Callable[[str, Callable[[], Markup]], Markup]:
    """``once(name, draw)`` for what a page draws of the grid, its state and ``parts`` alone; kept while nothing is searched or filtered."""
    if state.raw or state.q or state.values:
        return lambda name, draw: draw()
    key = (grid.key, state.path, state.columns_chosen, *state.params(paging=False, columns=True), *parts)
    return lambda name, draw: _fragment((name, *key), draw)


def _filters(grid: Grid, state: GridState, *, pinned: bool) -> Markup:
    """The filters' inputs. While nothing is filled in they are the same for everybody, and they are half of what the page's template would do."""
    alone = without_choice(grid, state.options)
    shown = [each for each in grid.filters if each.pinned is pinned and each.key not in alone]

    def draw() -> Markup:
        kinds = current_app.jinja_env.get_template("components/filters.html").module
        return Markup().join(getattr(kinds, each.kind)(each, state, grid.key) for each in shown)

    if any(name in state.raw for each in shown for name in each.names):
        return draw()
    return _fragment(("filters", grid.key, pinned, *(tuple(state.options[each.key]) for each in shown)), draw)


def _column_boxes(grid: Grid, state: GridState) -> Markup:
    box = Markup(
        '<label class="form-check"><input class="form-check-input" type="checkbox" name="columns" value="{}"{}><span class="form-check-label">{}</span></label>'
    )
    checked = Markup(" checked")
    return _fragment(
        ("columns", grid.key, state.columns),
        lambda: Markup().join(box.format(each.key, checked if each.key in state.columns else "", each.label) for each in grid.columns),
    )


def _cell(grid: Grid, name: str) -> Any:
    """What draws a cell: the blueprint's function, a macro of the grid's own template, else one of the shared cells."""
    if (given := mounted()[grid.key].cells.get(name)) is not None:
        return given
    own = getattr(current_app.jinja_env.get_template(grid.cells).module, name, None) if grid.cells else None
    if own is None and name not in CELLS:
        raise LookupError(f"grid {grid.key} asks for a cell {name!r} that nothing defines")
    return own or CELLS[name]


def _views(grid: Grid) -> list[SavedView]:
    return list(db.session.scalars(_VIEWS, {"grid": grid.key, "user": current_user.id}))


def grid_state(grid: Grid, args: Any = None, path: str = "") -> GridState:
    preferred = db.session.scalar(_PREFERRED, {"grid": grid.key, "user": current_user.id})
    return GridState.parse(
        grid,
        request.args if args is None else args,
        path=path or request.path,
        tz=user_zone(),
        preferred_columns=preferred,
    )


def _export(grid: Grid, scope: Any) -> Response:
    lines: Iterator[str] = csv_lines(grid, grid_state(grid), scope)
    response = Response(stream_with_context(lines), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{grid.key}-{utcnow():%Y-%m-%d}.csv"'
    return response


def _posted_state(grid: Grid, path: str) -> GridState:
    pairs = parse_qs(request.form.get("state", ""), keep_blank_values=True)
    return grid_state(grid, MultiDict([(name, value) for name, values in pairs.items() for value in values]), path)


def _bulk(grid: Grid, scope: Any, back: str) -> Any:
    state = _posted_state(grid, back)
    back = state.url()
    key, _, row_id = request.form.get("row_action", "").partition(":")
    action = grid.action(key or request.form.get("action", ""))
    if action is None:
        toast("Nothing was done: choose an action first.", "warning")
        return go_to(back)
    if not can(action.permission):
        abort(403)
    which = "row" if row_id else request.form.get("scope", "ids")
    ids = _chosen(grid, state, scope, which, row_id)
    if not ids:
        toast(f"Nothing was done: no {grid.noun} is selected. Tick the rows first, or choose all matching.", "warning")
        return go_to(back)
    if action.page is not None and (address := action.page(ids)):
        return go_to(address)
    given = (scope,) if action.scoped else ()
    checks = list(action.preview(ids, *given))
    form = action.form_class() if action.form_class is not None else None
    ready = [check.id for check in checks if check.ok]
    confirmed = request.form.get("confirm") == "1"
    if confirmed and ready and (form is None or form.validate_on_submit()):
        try:
            return _done(action.submit(ready, form, *given), back)
        except DomainError as refusal:
            if form is None:
                raise
            form.refuse(refusal)
    if form is not None and not confirmed:
        form = action.form_class(formdata=None)  # type: ignore[misc]
    return _confirm_page(grid, action, checks, form, which=which, row_id=row_id, ids=ids, back=back, status=422 if confirmed else 200)


def _chosen(grid: Grid, state: GridState, scope: Any, which: str, row_id: str) -> list[Any]:
    if which == "all":
        return matching_ids(grid, state, scope)
    if which == "row":
        return allowed_ids(grid, [row_id], scope)
    posted = request.form.get("page_ids", "").split(",") if which == "page" else request.form.getlist("ids")
    return allowed_ids(grid, [each for each in posted if each], scope)


def _done(result: Result, back: str) -> Any:
    toast(result.message, result.tone)
    if result.run_id is not None and "queue.run" in current_app.view_functions:
        return go_to(url_for("queue.run", run_id=result.run_id))
    return go_to(result.url or back)


def _confirm_page(grid: Grid, action: Action, checks: list[Preview], form: Any, *, which: str, row_id: str, ids: list[Any], back: str, status: int) -> Response:
    refused = [check for check in checks if not check.ok]
    page = render_template(
        "components/confirm_bulk.html",
        grid=grid,
        action=action,
        form=form,
        ready=[check for check in checks if check.ok],
        refused=refused,
        reasons=Counter(check.reason for check in refused).most_common(),
        which=which,
        row_id=row_id,
        # "All matching" posts the filters again, so 10,000 ids never travel; hand-picked rows post themselves.
        ids=[] if which in ("all", "row") else ids,
        limited=which == "all" and len(ids) >= BULK_LIMIT,
        limit=BULK_LIMIT,
        back=back,
        posted_state=request.form.get("state", ""),
    )
    response = make_response(page, status)
    if is_htmx():
        response.headers["HX-Retarget"] = "body"
    return response

"""TikTok attributes: the grid, a row opened in place, Assign Attributes, Refetch Attributes, what changed (A123-A138, A153)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint, Response, abort, make_response, render_template, request, url_for
from sqlalchemy import select
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.attributes.cells import ATTRIBUTE_CELLS
from connector.blueprints.attributes.forms import AssignForm, RefetchForm, SuggestionsForm
from connector.blueprints.attributes.panel import Panel
from connector.core.db import db
from connector.core.errors import DomainError
from connector.grids.attributes import assigned_words, attributes_grid
from connector.grids.query import run
from connector.models.listing import ListingTemplate
from connector.models.run import JobRun
from connector.services import events
from connector.services.attributes import fetch, mapping
from connector.web.auth import can, requires
from connector.web.forms import render_form
from connector.web.grids import grid_context, grid_routes, grid_state
from connector.web.htmx import go_to, toast, wants_partial

bp = Blueprint("attributes", __name__, url_prefix="/attributes")

ATTRIBUTES = attributes_grid(AssignForm, SuggestionsForm)
grid_routes(bp, ATTRIBUTES, "attributes/index.html", cells=ATTRIBUTE_CELLS)


# --- one attribute, opened in place ---------------------------------------------------------------------------------------------------------


@bp.get("/<int:attribute_id>")
@requires("attributes.read")
def edit(attribute_id: int) -> Response:
    """How the attribute is mapped (A124): the row opened in place, or a page. ``mapping``: which one, or "new"; ``suggest``: fill in a suggestion."""
    panel = Panel.load(attribute_id, request.args)
    return _panel(panel)


@bp.post("/<int:attribute_id>")
@requires("attributes.write")
def save(attribute_id: int) -> Any:
    """Save the mapping; with ``then=show`` only show the values of the Magento attribute that was chosen."""
    panel = Panel.load(attribute_id, request.form, posted=True)
    if request.form.get("then") == "show":
        return _panel(panel)
    if panel.form.validate_on_submit():
        body, saved = panel.form.body(panel.posted_values), None
        if not panel.form.summary:
            try:
                saved = mapping.save(attribute_id, body, mapping_id=panel.mapping_id, attach=panel.form.attach.data)
            except DomainError as refusal:
                panel.refuse(refusal)
        if saved is not None:
            used = f"It is used by {', '.join(saved.templates)}." if saved.templates else "No listing template uses it yet: attach it with Assign Attributes."
            toast(f"{panel.row.name} is mapped. {used}", "success" if saved.templates else "info")
            return _back_to_row(panel)
    return _panel(panel, 422)


def _panel(panel: Panel, status: int = 200) -> Response:
    template = "attributes/_row.html" if wants_partial() else "attributes/edit.html"
    return make_response(render_template(template, panel=panel, form=panel.form, row=panel.row, grid_url=_grid_url(), writable=can("attributes.write")), status)


def _grid_url() -> str:
    """The grid as the person sees it, for coming back to it."""
    given = request.form.get("grid_url") or request.headers.get("HX-Current-URL", "")
    parts, index = urlsplit(given), url_for("attributes.index")
    return f"{index}?{parts.query}" if parts.path == index and parts.query else index


def _back_to_row(panel: Panel) -> Any:
    """The grid, of which htmx takes the row that was open; it goes when the filters in force leave it out now."""
    if not wants_partial():
        return go_to(_grid_url())
    query = MultiDict(parse_qsl(urlsplit(_grid_url()).query, keep_blank_values=True))
    state = grid_state(ATTRIBUTES, query, url_for("attributes.index"))
    answer = make_response(grid_context(ATTRIBUTES, state, run(ATTRIBUTES, state, None))["draw_grid"]())
    answer.headers["HX-Reselect"] = f"#attributes-{panel.row.id}"
    return answer


@bp.route("/mappings/<int:mapping_id>/delete", methods=["GET", "POST"])
@requires("attributes.write")
def delete(mapping_id: int) -> AnyResponse | str:
    """Delete one mapping, after a question that names the templates that use it."""
    if request.form.get("confirm") == "1":
        row = mapping.delete_one(mapping_id)
        toast(f"A mapping of {row.name} was deleted.")
        return go_to(url_for("attributes.edit", attribute_id=row.id))
    found = mapping.get(mapping_id)
    names = mapping.used_by([mapping_id])[mapping_id]
    return render_template(
        "layouts/confirm.html",
        title=f"Delete a mapping of {found.attribute.name}",
        text=f"It is used by {', '.join(names)}. Their products will be checked again without it." if names else "No listing template uses it.",
        action=request.path,
        label="Delete",
        tone="danger",
        back=url_for("attributes.edit", attribute_id=found.attribute_row_id, mapping=mapping_id),
    )


# --- templates ------------------------------------------------------------------------------------------------------------------------------


@bp.route("/assign", methods=["GET", "POST"])
@requires("attributes.write")
def assign() -> Any:
    """Assign Attributes (A125): every fitting mapping to the chosen listing templates."""
    form = AssignForm()
    if form.validate_on_submit():
        toast(assigned_words(mapping.assign([int(each) for each in form.templates.data])))
        return go_to(url_for("attributes.index"))
    return render_form("attributes/assign.html", form=form)


@bp.get("/template/<int:template_id>")
@requires("attributes.read")
def of_template(template_id: int) -> str:
    """TikTok attributes of a listing template with Magento attribute, default custom and recommended value (A153)."""
    template = _template(template_id)
    return render_template("attributes/template.html", template=template, rows=mapping.overview(template), writable=can("attributes.write"))


@bp.post("/template/<int:template_id>")
@requires("attributes.write")
def attach(template_id: int) -> AnyResponse:
    """Use exactly the ticked mappings in this template."""
    template = _template(template_id)
    added, removed = mapping.set_attached(template, [int(each) for each in request.form.getlist("mapping") if each.isdigit()])
    toast(f"{template.name}: {added} attached, {removed} detached." if added or removed else "Nothing was changed.", "success" if added or removed else "info")
    return go_to(url_for("attributes.of_template", template_id=template_id))


def _template(template_id: int) -> ListingTemplate:
    found = db.session.get(ListingTemplate, template_id)
    if found is None:
        abort(404)
    return found


# --- fetching again -------------------------------------------------------------------------------------------------------------------------


@bp.route("/refetch", methods=["GET", "POST"])
@requires("attributes.write")
def refetch() -> Any:
    """Refetch Attributes (A127): choose categories, or none for all."""
    accounts = fetch.accounts_with_templates()
    form = RefetchForm()
    form.account.choices = {account.id: account.title for account in accounts}
    chosen = form.account.data if form.account.data in {account.id for account in accounts} else accounts[0].id if accounts else None
    wanted = fetch.wanted(chosen) if chosen else []
    form.categories.choices = {key: f"{name} ({key})" for key, name in wanted}
    if request.method == "POST" and request.form.get("then") != "show" and form.validate_on_submit():
        known = {key for key, _ in wanted}
        with form.catching():
            submitted = fetch.submit_refetch(form.account.data, [each for each in form.categories.data if each in known], started_by=events.actor_now.get())
            toast("The attributes are being fetched already." if submitted.existing else "The attributes are being fetched.", "info")
            return go_to(url_for("attributes.changes", run=submitted.run_id))
    if request.method == "POST" and request.form.get("then") == "show":
        form = RefetchForm(formdata=None, data={"account": chosen})
        form.account.choices = {account.id: account.title for account in accounts}
        form.categories.choices = {key: f"{name} ({key})" for key, name in wanted}
    return render_form("attributes/refetch.html", form=form, accounts=accounts, several=len(accounts) > 1)


@bp.get("/changes")
@requires("attributes.read")
def changes() -> str:
    """What changed, with the progress of the refetch while it runs; ``run``: of one refetch, else the last changes of all."""
    number = request.args.get("run", "")
    found = db.session.get(JobRun, int(number)) if number.isdigit() and len(number) < 18 else None
    run_row = found if found is not None and found.kind == "attributes.refetch" else None
    recent = db.session.scalars(select(JobRun).where(JobRun.kind == "attributes.refetch").order_by(JobRun.id.desc()).limit(20)).all()
    failed = fetch.failed_items(run_row.id) if run_row else []
    return render_template("attributes/changes.html", run=run_row, changes=fetch.changes_of(run_row.id if run_row else None), failed=failed, recent=recent)

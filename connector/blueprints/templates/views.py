"""Listing templates: the grid, the template's page with its query builder and category browser, assigning products (A139-A156).

The page is one form. A button that is not Save ("Add condition", "Apply Query", a category) posts the whole form and gets it back with what was
asked for; with htmx only the part that changes comes back. Nothing that was typed is lost either way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import func, select
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.templates.forms import PoliciesForm, StatusForm, TemplateForm, blank_form, filled_form, posted_form
from connector.clients.errors import ApiError
from connector.core.db import db
from connector.core.errors import DomainError
from connector.domain.query import OPERATOR_LABELS, Query
from connector.grids.templates import templates_grid
from connector.models.account import Account
from connector.models.listing import Listing, ListingTemplate
from connector.models.product import Product
from connector.services import runs
from connector.services.templates import categories, editing, filling, querying, size_charts, vocabulary
from connector.services.templates.categories import Brand, Category, Recommended
from connector.services.templates.filling import TemplateErrors
from connector.services.templates.overlapping import Shared, in_order, overlaps, shared_with
from connector.web.auth import can, requires
from connector.web.forms import render_form
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast, wants_partial

bp = Blueprint("templates", __name__, url_prefix="/templates")


def _beside_the_grid() -> dict[str, Any]:
    """The template that was just created, with how many products wait for it."""
    key = request.args.get("created", "")
    created = db.session.get(ListingTemplate, int(key)) if key.isdecimal() and len(key) < 10 else None
    count = 0
    if created is not None:
        count = _matching(created.account, Query.model_validate(created.query or {}))
    return {"created": created, "created_count": count, "any_template": db.session.scalar(select(ListingTemplate.id).limit(1)) is not None}


TEMPLATES = templates_grid(PoliciesForm, StatusForm)
grid_routes(bp, TEMPLATES, "templates/index.html", context=_beside_the_grid)


@dataclass
class Panel:
    """What a button of the form asked to see."""

    applied: Query | None = None
    count: int = 0
    first: list[Product] = field(default_factory=list)
    present: dict[int, str] = field(default_factory=dict)  #: product -> name of the template that has it
    shared: list[Shared] = field(default_factory=list)
    browsing: str = ""
    trail: list[Category] = field(default_factory=list)
    level: list[Category] = field(default_factory=list)
    found: list[Category] | None = None
    recommended: Recommended | None = None
    brands: list[Brand] | None = None
    note: str = ""
    focus: str = ""  #: id of the control that takes the focus


@bp.route("/new", methods=["GET", "POST"])
@requires("templates.write")
def new() -> Any:
    """Add Listing Template (A139)."""
    accounts = list(db.session.scalars(select(Account).order_by(Account.title)))
    wanted = request.values.get("account", "")
    account = next((each for each in accounts if str(each.id) == wanted), accounts[0] if len(accounts) == 1 else None)
    if account is None:
        return render_template("templates/choose_account.html", accounts=accounts)
    if request.method == "GET":
        return _page(blank_form(account), None, Panel())
    return _posted(account, None)


@bp.get("/<int:template_id>")
@requires("templates.read")
def edit(template_id: int) -> Response:
    """Edit (A141): the page of one template."""
    template = editing.get(template_id)
    return _page(filled_form(template), template, Panel())


@bp.post("/<int:template_id>")
@requires("templates.write")
def save(template_id: int) -> Any:
    template = editing.get(template_id)
    return _posted(template.account, template)


@bp.post("/<int:template_id>/assign")
@requires("templates.write")
def assign_one(template_id: int) -> AnyResponse:
    """Assign now: the products that match this template."""
    template = editing.get(template_id)
    return _assign(template.account, template)


@bp.route("/assign", methods=["GET", "POST"])
@requires("templates.write")
def assign() -> Any:
    """Product Assign by hand: what the queries of an account will take, where they overlap, and the button (A145, A155)."""
    used = select(ListingTemplate.account_id).distinct()
    accounts = list(db.session.scalars(select(Account).where(Account.id.in_(used)).order_by(Account.title)))
    wanted = request.values.get("account", "")
    account = next((each for each in accounts if str(each.id) == wanted), accounts[0] if accounts else None)
    if account is not None and request.method == "POST":
        return _assign(account, None)
    templates = in_order(account.id) if account else []
    count, found = overlaps(account.id) if account else (0, [])
    return render_template(
        "templates/assign.html",
        accounts=accounts,
        account=account,
        templates=templates,
        matching={each.id: _matching(account, Query.model_validate(each.query or {})) for each in templates} if account else {},
        have=editing.products_of([each.id for each in templates]),
        queries={each.id: _in_words(account, Query.model_validate(each.query or {})) for each in templates} if account else {},
        overlap_count=count,
        overlapping=found,
        shelf=querying.shelf_of(account) if account else None,
    )


def _assign(account: Account, template: ListingTemplate | None) -> AnyResponse:
    key = f"templates.assign:{template.id}" if template else f"schedule:templates.assign:{account.id}"
    submitted = runs.submit(
        "templates.assign",
        account_id=account.id,
        args={"template_id": template.id} if template else {},
        key=key,
        title=f"Assign products to {template.name}"[:200] if template else None,
        started_by=current_user.email,
    )
    if submitted.existing:
        toast("Products are being assigned already; this is that run.", "info")
    return go_to(url_for("queue.run", run_id=submitted.run_id))


# --- the form ---------------------------------------------------------------------------------------------------------------------------


def _posted(account: Account, template: ListingTemplate | None) -> Any:
    form = posted_form(account, request.form)
    verb, _, wanted = request.form.get("then", "").partition(":")
    if verb not in ("save", "close"):
        return _asked(form, template, verb, wanted)
    if form.validate_on_submit():
        saved = None
        try:
            saved = _store(form, template)
        except TemplateErrors as error:
            form.refuse_fields(error)
        except DomainError as error:
            form.refuse(error)
        except ApiError as error:
            form.form_errors.append(f"TikTok refused: {error}")
        if saved is not None:
            return _after(saved, verb, new=template is None)
    return _page(form, template, Panel())


def _store(form: TemplateForm, template: ListingTemplate | None) -> ListingTemplate:
    chart = form.size_chart.data
    if chart is not None and getattr(chart, "filename", ""):
        form.draft(template)  # a template that cannot be saved uploads nothing
        form.size_chart_uri.data = size_charts.upload(form.account, chart.read(), chart.filename)
        form.size_chart_name.data = chart.filename[:200]
    draft, actor = form.draft(template), current_user.email
    if template is None:
        return editing.create(draft, actor=actor)
    seen = request.form.get("seen_version", "")
    return editing.save(template.id, draft, actor=actor, seen_version=int(seen) if seen.isdecimal() else None)


def _after(template: ListingTemplate, verb: str, *, new: bool) -> AnyResponse:
    toast("Template successfully created" if new else f"{template.name} is saved.")
    if said := editing.learn_category(template.id, actor=current_user.email):
        toast(said, "warning" if "later" in said else "info")
    if new:
        return go_to(url_for("templates.index", created=template.id))
    return go_to(url_for("templates.index") if verb == "close" else url_for("templates.edit", template_id=template.id))


#: Which part of the page a button changes.
PARTS = {
    **dict.fromkeys(("add", "remove", "refresh", "apply"), "query"),
    **dict.fromkeys(("browse", "search", "recommend", "choose"), "category"),
    **dict.fromkeys(("brands", "brand", "own-brand"), "brand"),
}


def _asked(form: TemplateForm, template: ListingTemplate | None, verb: str, wanted: str) -> Response:
    """Any button but Save; Enter in a field is none of them: it searches where something is to be searched, else it applies the query."""
    if verb not in PARTS:
        verb = "search" if form.category_search.data else "brands" if form.brand_search.data else "apply"
    panel = Panel()
    match verb:
        case "add":
            form.rows.append(form.row())
            panel.focus = f"conditions-{len(form.rows) - 1}-attribute"
        case "remove":
            form.rows = [row for place, row in enumerate(form.rows) if str(place) != wanted]
            panel.focus = "add-condition"
        case "refresh":
            panel.focus = f"conditions-{wanted}-operator" if wanted.isdecimal() else ""
        case "apply":
            _apply(form, template, panel)
        case "browse":
            panel.browsing = wanted or categories.ROOT
        case "search":
            panel.found = categories.search(form.account.id, form.category_search.data or "")
        case "recommend":
            _recommend(form, panel)
        case "choose":
            form.category_id.data = wanted
            try:
                categories.choose(form.account, wanted)
            except DomainError as error:
                panel.note = str(error)
        case _:
            _brand(form, verb, wanted, panel)
    return _page(form, template, panel, part=PARTS[verb])


def _apply(form: TemplateForm, template: ListingTemplate | None, panel: Panel) -> None:
    """Apply Query: how many products, the first of them, and what other templates want of them (A145, A156)."""
    try:
        query = form.query()
    except TemplateErrors as error:
        form.refuse_fields(error)
        return
    account = form.account
    panel.applied = query
    panel.count, panel.first = querying.count_and_first(query, account.magento_id or 0, account.store_view, shelf=querying.shelf_of(account))
    rows = select(Listing.product_id, ListingTemplate.name).join(ListingTemplate, ListingTemplate.id == Listing.template_id)
    panel.present = dict(db.session.execute(rows.where(Listing.account_id == account.id, Listing.product_id.in_([each.id for each in panel.first]))).all())
    priority = (form.priority.data or "").strip()
    panel.shared = shared_with(
        account, query, template_id=template.id if template else None, priority=int(priority) if priority.isdecimal() and len(priority) < 9 else 100
    )


def _recommend(form: TemplateForm, panel: Panel) -> None:
    try:
        panel.recommended = categories.recommend(form.account, form.query())
    except TemplateErrors as error:
        panel.note = f"The query has to be right first: {error.message}"


def _brand(form: TemplateForm, verb: str, wanted: str, panel: Panel) -> None:
    asked = form.brand_search.data or ""
    try:
        if verb == "brand":
            form.brand_id.data, _, form.brand_name.data = wanted.partition(":")
        elif verb == "own-brand":
            own = categories.create_brand(form.account, asked, actor=current_user.email)
            form.brand_id.data, form.brand_name.data = own.id, own.name
        else:
            panel.brands = categories.brands(form.account, asked, form.category_id.data or "")
    except DomainError as error:
        panel.note = str(error)
    except ApiError as error:
        panel.note = f"TikTok could not be asked: {error}"


def _page(form: TemplateForm, template: ListingTemplate | None, panel: Panel, *, part: str = "") -> Response:
    account = form.account
    chosen = categories.get(account.id, form.category_id.data or "") if form.category_id.data else None
    if panel.browsing:
        panel.trail = categories.ancestors(account.id, panel.browsing)
        panel.level = categories.level(account.id, panel.browsing)
    context: dict[str, Any] = {
        "form": form,
        "template": template,
        "account": account,
        "panel": panel,
        "chosen": chosen,
        "chosen_path": " > ".join(chosen.path) if chosen else template.category_path if template and template.category_id == form.category_id.data else "",
        "categories_known": categories.any_fetched(account.id),
        "writable": can("templates.write"),
        "form_url": url_for("templates.save", template_id=template.id) if template else url_for("templates.new", account=account.id),
        "shelf": querying.shelf_of(account),
        "policy_fields": filling.POLICY_FIELDS,
        "all_operators": list(OPERATOR_LABELS.items()),
    }
    if part and wants_partial():
        return make_response(render_template(f"templates/_{part}.html", **context))
    codes = vocabulary.attribute_codes(account.magento_id or 0)
    own = editing.products_of([template.id]).get(template.id) if template else None
    response = render_form("templates/edit.html", codes=codes, own=own, **context)
    if part:
        response.status_code = 200
    return response


def _matching(account: Account, query: Query) -> int:
    if not query.conditions:
        return 0
    return db.session.scalar(select(func.count()).select_from(querying.matching(query, querying.shelf_of(account)).subquery())) or 0


def _in_words(account: Account, query: Query) -> str:
    return query.words(vocabulary.names(account.magento_id or 0))

"""TikTok policies: the grid, a page for each policy with its preview, its versions, default images."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, make_response, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.policies.forms import DeleteForm, PolicyForm, blank_form, posted_form, show, suggestions
from connector.core.errors import DomainError
from connector.domain.policies import IMAGE, KIND_TITLES
from connector.domain.policy_body import PolicyBody
from connector.grids.policies import policies_grid
from connector.models.policy import Policy
from connector.services import policies, policy_images, policy_preview, policy_users, policy_what_if
from connector.services.policies import PolicyErrors
from connector.services.products.thumbnails import version
from connector.web.auth import requires
from connector.web.forms import render_form
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast

bp = Blueprint("policies", __name__, url_prefix="/policies")
grid_routes(bp, policies_grid(DeleteForm), "policies/index.html", context=lambda: {"kinds": KIND_TITLES})

#: A picture of 2 MB with everything beside it, and some that are too large: those come back with their reason instead of an error page.
MOST_BYTES = 16 * 1024 * 1024

#: Pages that a policy may have been opened from.
BACK = {"setup": "setup.policies", "": "policies.index"}


@bp.url_value_preprocessor
def _larger_requests(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Before anything reads the form: a default image may come with it."""
    if endpoint in ("policies.new", "policies.save"):
        request.max_content_length = MOST_BYTES


@bp.route("/new/<kind>", methods=["GET", "POST"])
@requires("policies.write")
def new(kind: str) -> Any:
    """New Policy of a type (A055)."""
    if kind not in KIND_TITLES:
        abort(404)
    if request.method == "GET":
        return _page(blank_form(kind), None)
    return _save(kind, None)


@bp.get("/<int:policy_id>")
@requires("policies.read")
def edit(policy_id: int) -> Response:
    """Edit (A053): the page of one policy."""
    policy = policies.get(policy_id)
    return _page(show(policy), policy)


@bp.post("/<int:policy_id>")
@requires("policies.write")
def save(policy_id: int) -> Any:
    """Save, Save & Duplicate, Save & Close (A056), or one more row."""
    policy = policies.get(policy_id)
    return _save(policy.kind, policy)


@bp.get("/<int:policy_id>/versions")
@requires("policies.read")
def versions(policy_id: int) -> str:
    """History: what changed from one version to another."""
    policy = policies.get(policy_id)
    listed = policies.versions(policy_id)
    numbers = [version.number for version in listed]
    after = _number("to", policy.version, numbers)
    before = _number("from", max(after - 1, numbers[-1]), numbers)
    changes = policies.compare(policy_id, before, after) if before != after else []
    return render_template("policies/versions.html", policy=policy, versions=listed, before=before, after=after, changes=changes)


@bp.post("/<int:policy_id>/restore")
@requires("policies.write")
def restore(policy_id: int) -> AnyResponse:
    """Put an earlier version on top."""
    number = request.form.get("number", "")
    policy = policies.restore(policy_id, int(number) if number.isdigit() else 0, actor=current_user.email)
    toast(f"Version {number} of {policy.title} was restored as version {policy.version}.")
    return go_to(url_for("policies.edit", policy_id=policy_id))


@bp.post("/preview/<kind>")
@requires("policies.read")
def preview(kind: str) -> str:
    """The preview alone, for the form as it stands now; half-typed input is told, not refused (product.md 14)."""
    form, policy_id = _typed(kind)
    return render_template("policies/_preview.html", preview=_preview(form, policy_id), picture_url=_picture_url)


@bp.post("/what-if/<kind>")
@requires("policies.read")
def what_if(kind: str) -> str:
    """What saving would change over the whole catalogue."""
    form, policy_id = _typed(kind)
    return render_template("policies/_what_if.html", answer=_what_if(form, policy_id))


@bp.get("/gallery")
@requires("policies.read")
def gallery() -> str:
    """Pictures to pick from."""
    return render_template(
        "policies/_gallery.html", pictures=policy_images.gallery(request.args.get("gallery_q", "")), search=request.args.get("gallery_q", "")
    )


@bp.get("/pictures/<int:image_id>")
@requires("policies.read")
def picture(image_id: int) -> Response:
    """An uploaded default image; its bytes never change."""
    found = policy_images.get(image_id)
    response = make_response(found.content)
    response.mimetype = found.media_type
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    response.headers["Content-Disposition"] = f"inline; filename=policy-picture-{image_id}.{'jpg' if found.media_type == 'image/jpeg' else 'png'}"
    response.set_etag(found.sha256)
    return response.make_conditional(request)


def _typed(kind: str) -> tuple[PolicyForm, int | None]:
    if kind not in KIND_TITLES:
        abort(404)
    chosen = request.args.get("policy", "")
    return posted_form(kind, request.form), int(chosen) if chosen.isdigit() else None


def _body(form: PolicyForm) -> tuple[PolicyBody | None, list[str]]:
    """The body that the form describes, or every reason why it describes none."""
    try:
        return form.body(), []
    except PolicyErrors as error:
        return None, list(error.by_field.values())


def _preview(form: PolicyForm, policy_id: int | None) -> dict[str, Any] | None:
    if not policy_preview.supported(form.kind):
        return None
    search = request.values.get("preview_q", "")
    body, faults = _body(form)
    shown = policy_preview.preview(form.kind, body, policy_id=policy_id, search=search) if body is not None else None
    return {"faults": faults, "shown": shown, "search": search, "kind": form.kind}


def _what_if(form: PolicyForm, policy_id: int | None) -> dict[str, Any]:
    body, faults = _body(form)
    result = policy_what_if.what_if(form.kind, body, policy_id=policy_id) if body is not None and policy_preview.supported(form.kind) else None
    return {"faults": faults, "result": result}


def _picture_url(reference: str) -> str | None:
    """Where a picture can be looked at: an uploaded one, or the thumbnail of a product that shows it."""
    if (uploaded := policy_images.described(reference)) is not None:
        return url_for("policies.picture", image_id=uploaded.id)
    product_id = policy_images.shows(reference) if reference else None
    return url_for("products.thumbnail", product_id=product_id, v=version(reference)) if product_id is not None else None


#: Buttons of the form that save nothing.
_LOOKING = ("preview", "what_if", "upload", "gallery")


def _save(kind: str, policy: Policy | None) -> Any:
    form = posted_form(kind, request.form)
    then = request.form.get("then", "")
    _take_picture(form)
    if then.startswith("add:"):  # one more row, nothing saved
        name = then.removeprefix("add:")
        if name in form.rows:
            form.rows[name] += [dict.fromkeys(form.rows[name][0], "") for _ in range(3)]
        return _page(form, policy, status=200)
    if then.startswith("pick:") and kind == IMAGE:
        form["default_image"].data = then.removeprefix("pick:")
        return _page(form, policy, status=200)
    if then in _LOOKING:
        answer = _what_if(form, policy.id if policy else None) if then == "what_if" else None
        return _page(form, policy, status=422 if form.summary else 200, what_if=answer)
    if form.validate_on_submit() and not form.picture_refused:
        saved = None
        try:
            saved = _store(kind, policy, form)
        except PolicyErrors as error:
            form.refuse_fields(error)
        except DomainError as error:
            form.refuse(error)
        if saved is not None:
            return _after(saved, then)
    form.show_refused_picture()
    return _page(form, policy)


def _take_picture(form: PolicyForm) -> None:
    """An uploaded file is kept at once, whatever becomes of the rest: a browser does not send it a second time."""
    file = request.files.get("image_file")
    if form.kind != IMAGE or file is None or not file.filename:
        return
    try:
        form["default_image"].data = policy_images.reference(policy_images.store(file.read(), file.filename, actor=current_user.email))
    except DomainError as error:
        form.picture_refused = str(error)
        form.show_refused_picture()


def _store(kind: str, policy: Policy | None, form: PolicyForm) -> Policy:
    body, note, actor = form.body(), form.note.data or "", current_user.email
    if policy is None:
        return policies.create(kind, title=form.title.data or "", body=body, actor=actor, is_default=form.is_default.data, note=note)
    seen = request.form.get("seen_version", "")
    return policies.save(
        policy.id,
        title=form.title.data or "",
        body=body,
        actor=actor,
        is_default=form.is_default.data,
        seen_version=int(seen) if seen.isdigit() else None,
        note=note,
    )


def _after(policy: Policy, then: str) -> AnyResponse:
    if policy.valid:
        toast(f"{policy.title} is saved and valid.")
    else:
        toast(f"{policy.title} is saved, but not valid yet: {policy.problems[0]['message']} {policy.problems[0]['remedy']}", "warning")
    back = request.form.get("back", "")
    if then == "duplicate":
        copy = policies.duplicate(policy.id, actor=current_user.email)
        toast(f"You are looking at {copy.title}.", "info")
        return go_to(url_for("policies.edit", policy_id=copy.id))
    if then == "close":
        return go_to(url_for(BACK.get(back, "policies.index")))
    return go_to(url_for("policies.edit", policy_id=policy.id, back=back or None))


def _page(form: PolicyForm, policy: Policy | None, *, status: int | None = None, what_if: dict[str, Any] | None = None) -> Response:
    back = request.values.get("back", "")
    policy_id = policy.id if policy else None
    response = render_form(
        "policies/edit.html",
        form=form,
        policy=policy,
        kind=form.kind,
        kind_title=KIND_TITLES[form.kind],
        choices=suggestions(),
        back=back if back in BACK else "",
        back_url=url_for(BACK.get(back, "policies.index")),
        used_by=policy_users.used_by(policy.id) if policy else [],
        preview=_preview(form, policy_id),
        answer=what_if,
        picture_url=_picture_url,
        uploaded=policy_images.described(form["default_image"].data or "") if form.kind == IMAGE else None,
        pictures=policy_images.gallery(request.form.get("gallery_q", "")) if request.form.get("then") == "gallery" else None,
        gallery_q=request.form.get("gallery_q", ""),
    )
    if status is not None:
        response.status_code = status
    return response


def _number(name: str, default: int, allowed: list[int]) -> int:
    value = request.args.get(name, "")
    return int(value) if value.isdigit() and int(value) in allowed else default

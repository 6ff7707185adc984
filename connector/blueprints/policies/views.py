"""TikTok policies: the grid, a page for each policy, its versions."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.policies.forms import DeleteForm, PolicyForm, blank_form, posted_form, show, suggestions
from connector.core.errors import DomainError
from connector.domain.policies import KIND_TITLES
from connector.grids.policies import policies_grid
from connector.models.policy import Policy
from connector.services import policies
from connector.services.policies import PolicyErrors
from connector.web.auth import requires
from connector.web.forms import render_form
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast

bp = Blueprint("policies", __name__, url_prefix="/policies")
grid_routes(bp, policies_grid(DeleteForm), "policies/index.html", context=lambda: {"kinds": KIND_TITLES})

#: Pages that a policy may have been opened from.
BACK = {"setup": "setup.policies", "": "policies.index"}


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


def _save(kind: str, policy: Policy | None) -> Any:
    form = posted_form(kind, request.form)
    then = request.form.get("then", "")
    if then.startswith("add:"):  # one more row, nothing saved
        name = then.removeprefix("add:")
        if name in form.rows:
            form.rows[name] += [dict.fromkeys(form.rows[name][0], "") for _ in range(3)]
        return _page(form, policy, status=200)
    if form.validate_on_submit():
        saved = None
        try:
            saved = _store(kind, policy, form)
        except PolicyErrors as error:
            form.refuse_fields(error)
        except DomainError as error:
            form.refuse(error)
        if saved is not None:
            return _after(saved, then)
    return _page(form, policy)


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


def _page(form: PolicyForm, policy: Policy | None, *, status: int | None = None) -> Response:
    back = request.values.get("back", "")
    response = render_form(
        "policies/edit.html",
        form=form,
        policy=policy,
        kind=form.kind,
        kind_title=KIND_TITLES[form.kind],
        choices=suggestions(),
        back=back if back in BACK else "",
        back_url=url_for(BACK.get(back, "policies.index")),
        used_by=policies.used_by(policy.id) if policy else [],
    )
    if status is not None:
        response.status_code = status
    return response


def _number(name: str, default: int, allowed: list[int]) -> int:
    value = request.args.get(name, "")
    return int(value) if value.isdigit() and int(value) in allowed else default

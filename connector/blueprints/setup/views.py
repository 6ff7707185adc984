"""The wizard: Registration > Account Onboarding > Default Policies > Summary. It can be left and resumed at any point."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.accounts.forms import filled
from connector.blueprints.accounts.views import to_consent
from connector.blueprints.configuration.forms import MagentoForm, TikTokAppForm
from connector.blueprints.policies.forms import DeleteForm
from connector.blueprints.setup.forms import WizardAccountForm, WizardEditForm
from connector.domain.policies import KIND_TITLES
from connector.grids.policies import policies_grid
from connector.models.account import PRODUCTION, SANDBOX
from connector.services import accounts, magento, policies, settings, setup
from connector.web.auth import can, home_url, requires
from connector.web.forms import Form, render_form
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast
from connector.web.layout import Banner, banner_provider

bp = Blueprint("setup", __name__, url_prefix="/setup")


def _context(step: str) -> dict[str, Any]:
    return {"steps": setup.steps(), "step": step}


GRID = policies_grid(DeleteForm, key="default_policies", title="Default Policies", edit_endpoint="setup.policy")
grid_routes(bp, GRID, "setup/policies.html", rule="/policies", name="policies", context=lambda: {**_context("policies"), "kinds": KIND_TITLES})


@banner_provider
def unfinished() -> list[Banner]:
    """Until the wizard is finished, every other page offers to go on with it."""
    if not can("accounts.write") or (request.blueprint or "") == "setup" or setup.finished():
        return []
    todo = next((step.title for step in setup.steps() if not step.done), "Summary")
    return [Banner("info", "The set-up is not finished.", f"Next step: {todo}.", "Continue set-up", url_for("setup.index"))]


@bp.get("/")
@requires("accounts.write")
def index() -> AnyResponse:
    """Go on where the set-up was left."""
    policies.seed(actor=current_user.email)
    todo = next((step.key for step in setup.steps() if not step.done), "summary")
    return redirect(url_for(f"setup.{todo}"), 303)


@bp.get("/registration")
@requires("accounts.write")
def registration() -> str:
    """Step 1 as it was done (A009, A010); it is done by the very first page, before anybody can sign in."""
    return render_template("setup/registration.html", **_context("registration"))


@bp.get("/account")
@requires("accounts.write")
def account() -> Response:
    """Step 2: the Magento panel, the TikTok app, the account's fields."""
    return _account_page()


@bp.post("/magento")
@requires("accounts.write")
def save_magento() -> Any:
    """Save and test the Magento connection."""
    form = MagentoForm()
    if form.validate_on_submit():
        row = None
        with form.catching():
            row = magento.save(environment=PRODUCTION, **form.values(), actor=current_user.email)
        if row is not None:
            facts = magento.test(row.id)
            if facts["ok"]:
                toast(f"{row.base_url} is connected.")
            else:
                toast(f"{facts['problems'][0]['message']} {facts['problems'][0]['remedy']}", "danger")
            return go_to(url_for("setup.account"))
    return _account_page(magento_form=form)


@bp.post("/tiktok")
@requires("accounts.write")
def save_tiktok() -> Any:
    """Save the TikTok app."""
    form = TikTokAppForm()
    if form.validate_on_submit():
        with form.catching():
            settings.save_tiktok_app(**form.values(), actor=current_user.email)
        if not form.summary:
            toast("The TikTok app is saved.")
            return go_to(url_for("setup.account"))
    return _account_page(app_form=form)


@bp.post("/practice")
@requires("accounts.write")
def practice() -> AnyResponse:
    """Use the practice shop: from zero to TikTok's consent page in one click."""
    made = accounts.use_practice_shop(request.form.get("country", "GB"), actor=current_user.email)
    return to_consent(made, "setup")


@bp.post("/account")
@requires("accounts.write")
def save_account() -> Any:
    """Next: save, and go to TikTok's consent page (A016). Back keeps what was typed."""
    present = setup.account()
    form: Any = WizardEditForm() if present else WizardAccountForm()
    if request.form.get("go") == "back":
        setup.keep_draft(form.values(), actor=current_user.email)
        return go_to(url_for("setup.registration"))
    if form.validate_on_submit():
        saved = None
        with form.catching():
            saved = _keep_account(form)
        if saved is not None:
            setup.keep_draft({}, actor=current_user.email)
            return go_to(url_for("setup.policies")) if saved.connected else to_consent(saved, "setup")
    return _account_page(account_form=form)


@bp.get("/policies/<int:policy_id>")
@requires("policies.read")
def policy(policy_id: int) -> AnyResponse:
    """Edit from the wizard's grid (A024): the policy's page, which leads back here."""
    return redirect(url_for("policies.edit", policy_id=policy_id, back="setup"), 303)


@bp.get("/summary")
@requires("accounts.write")
def summary() -> str:
    """Step 4 (A025)."""
    return render_template("setup/summary.html", account=setup.account(), finished=setup.finished(), **_context("summary"))


@bp.post("/finish")
@requires("accounts.write")
def finish() -> AnyResponse:
    """Finish (A026): on to template creation and attribute mapping, or to the home page while those are not installed."""
    setup.finish(actor=current_user.email)
    toast("The set-up is finished.")
    target = next((name for name in ("templates.new", "templates.index") if name in current_app.view_functions), None)
    return go_to(url_for(target) if target else home_url())


def _keep_account(form: Any) -> Any:
    present = setup.account()
    if present is None:
        return accounts.create(form.new_choice(actor=current_user.email), actor=current_user.email)
    return accounts.update(present.id, form.choice(present), actor=current_user.email)


def _account_page(*, account_form: Form | None = None, magento_form: Form | None = None, app_form: Form | None = None) -> Response:
    present = setup.account()
    if account_form is None:
        values = {**(filled(present) if present else {}), **setup.draft()}
        account_form = (WizardEditForm if present else WizardAccountForm)(formdata=None, data=values)
    store = magento.connection(PRODUCTION)
    stored = {name: getattr(store, name) or "" for name in ("base_url", "auth_kind", "parallel_slots", "signing_base_url")} if store else {}
    app = settings.tiktok_app(PRODUCTION)
    magento_form = magento_form or MagentoForm(formdata=None, data=stored)
    app_form = app_form or TikTokAppForm(formdata=None, data={"app_key": app.app_key, "service_id": app.service_id})
    sent = next((form for form in (account_form, magento_form, app_form) if form.is_submitted() and form.summary), account_form)
    return render_form(
        "setup/account.html",
        form=sent,
        account_form=account_form,
        magento_form=magento_form,
        app_form=app_form,
        account=present,
        country=accounts.COUNTRIES.get(present.country, present.country) if present else "",
        store=store,
        practice=magento.connection(SANDBOX),
        app=app,
        callback_url=f"{settings.config().public_url}{url_for('accounts.callback')}",
        **_context("account"),
    )

"""TikTok accounts: the grid, one account, and the way to TikTok's consent page and back."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request, session, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.accounts.forms import EditAccountForm, NewAccountForm, filled
from connector.core.db import db
from connector.core.errors import DomainError
from connector.grids.accounts import ACCOUNTS
from connector.models.account import AUTH_CONNECTED, AUTH_EXPIRED, AUTH_REVOKED, PRODUCTION, Account
from connector.models.run import Schedule
from connector.models.trace import Event
from connector.services import accounts, policies, runs, setup
from connector.services.accounts import onboarding, onboarding_changes, shop_checks, storefront
from connector.services.kinds import KINDS
from connector.web.auth import requires
from connector.web.forms import Form, render_form
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast
from connector.web.layout import Banner, banner_provider

bp = Blueprint("accounts", __name__, url_prefix="/accounts")
grid_routes(bp, ACCOUNTS, "accounts/index.html", context=lambda: {"practice_country": accounts.next_practice_country()})

#: Where a seller may be sent on to after the consent.
NEXT_PAGES = {"setup": "setup.policies", "": ""}


@banner_provider
def lost_authorisations() -> list[Banner]:
    """What an account needs from a person, on every page until it is done."""
    rows = db.session.execute(
        select(Account.id, Account.title, Account.auth_state, Account.auth_message).where(Account.active, Account.auth_message.is_not(None))
    )
    found = []
    for account_id, title, state, message in rows:
        words = {AUTH_EXPIRED: "Authorisation expired", AUTH_REVOKED: "Authorisation ended"}.get(state, "Authorisation needs attention")
        tone = "danger" if state != AUTH_CONNECTED else "warning"
        found.append(Banner(tone, f"{title}: {words}.", message or "", "Re-authorise", url_for("accounts.show", account_id=account_id)))
    if not found and setup.finished() and not accounts.listed(working=True):  # A049
        text = "No account is active and authorised, so nothing is imported or sent."
        found.append(Banner("warning", "No Active/Valid Accounts Found.", text, "Open accounts", url_for("accounts.index")))
    return found


@bp.route("/new", methods=["GET", "POST"])
@requires("accounts.write")
def new() -> Any:
    """Add Account (A033): saving goes on to TikTok's consent page."""
    policies.seed(actor=current_user.email)
    form = NewAccountForm()
    if form.validate_on_submit():
        account = None
        with form.catching():
            account = accounts.create(form.new_choice(actor=current_user.email), actor=current_user.email)
        if account is not None:
            return to_consent(account)
    return render_form("accounts/new.html", form=form)


@bp.post("/practice")
@requires("accounts.write")
def practice() -> AnyResponse:
    """Use the practice shop: account, practice store and consent page in one click."""
    account = accounts.use_practice_shop(request.form.get("country", "GB"), actor=current_user.email)
    return to_consent(account, request.form.get("next", ""))


@bp.get("/<int:account_id>")
@requires("accounts.read")
def show(account_id: int) -> Response:
    """One account: facts, authorisation, onboarding data, schedules, go-live checklist, what happened."""
    account = accounts.get(account_id)
    return page_of(account, EditAccountForm(formdata=None, data=filled(account)))


@bp.post("/<int:account_id>")
@requires("accounts.write")
def save(account_id: int) -> Any:
    """Edit (A035)."""
    account = accounts.get(account_id)
    form = EditAccountForm()
    if form.validate_on_submit():
        with form.catching():
            accounts.update(account_id, form.choice(account), actor=current_user.email)
        if not form.summary:
            toast(f"{form.title.data} is saved.")
            return go_to(url_for("accounts.show", account_id=account_id))
    return page_of(account, form)


@bp.post("/<int:account_id>/authorise")
@requires("accounts.write")
def authorise(account_id: int) -> AnyResponse:
    """To TikTok's consent page."""
    return to_consent(accounts.get(account_id), request.form.get("next", ""))


@bp.get("/oauth/consent")
@requires("accounts.write")
def consent() -> Any:
    """The page in between: the content security policy lets no form lead to another site, so the browser goes on from here by itself."""
    target = session.get("oauth_target")
    if not target:
        return go_to(url_for("accounts.index"))
    return render_template("accounts/consent.html", target=target)


@bp.get("/oauth/callback")
@requires("accounts.write")
def callback() -> Any:
    """The seller's browser comes back from TikTok (TTS §1.3)."""
    arguments = request.args
    session.pop("oauth_target", None)
    try:
        account, following, missing = accounts.finish_authorisation(
            state=arguments.get("state", ""),
            code=arguments.get("code", ""),
            error=arguments.get("error", ""),
            binding=session.get("oauth_binding", ""),
            actor=current_user.email,
        )
    except DomainError as error:
        return make_response(render_template("accounts/not_authorised.html", error=error), 400)
    toast("Account Authorized Successfully")
    if missing:
        toast(f"The app lacks {', '.join(missing)}. Enable them in Partner Center, then Re-authorise.", "warning")
    return go_to(url_for(NEXT_PAGES[following]) if NEXT_PAGES.get(following) else url_for("accounts.show", account_id=account.id))


@bp.post("/<int:account_id>/onboard")
@requires("accounts.write")
def onboard(account_id: int) -> AnyResponse:
    """Fetch Onboarding Data (A036)."""
    account = accounts.get(account_id)
    if not account.connected:
        raise DomainError("account.not_connected", f"{account.title} is not authorised.", "Choose Authorise first.")
    submitted = runs.submit("accounts.onboard", account_id=account_id, key=f"accounts.onboard:{account_id}", started_by=current_user.email)
    toast("Onboarding data is being fetched already." if submitted.existing else "Onboarding data is being fetched.", "info")
    return go_to(url_for("queue.run", run_id=submitted.run_id))


@bp.post("/<int:account_id>/active")
@requires("accounts.write")
def set_active(account_id: int) -> AnyResponse:
    """Enable or disable."""
    try:
        account = accounts.set_active(account_id, request.form.get("active") == "1", actor=current_user.email)
    except DomainError as error:
        toast(str(error), "warning")
        return go_to(url_for("accounts.go_live" if error.code == "account.go_live" else "accounts.show", account_id=account_id))
    toast(f"{account.title} is {'enabled' if account.active else 'disabled'}.")
    return go_to(url_for("accounts.show", account_id=account_id))


def to_consent(account: Account, following: str = "") -> AnyResponse:
    """Start the consent, bound to this browser's session; a refusal leads back to the account, which is saved."""
    binding = session.setdefault("oauth_binding", secrets.token_urlsafe(24))
    try:
        target = accounts.start_authorisation(account.id, binding=binding, next_url=following if following in NEXT_PAGES else "", actor=current_user.email)
    except DomainError as error:
        toast(f"{account.title} is saved, but not authorised. {error}", "warning")
        return go_to(url_for("accounts.show", account_id=account.id))
    session["oauth_target"] = target
    return go_to(url_for("accounts.consent"))


def page_of(account: Account, form: EditAccountForm, store_form: Form | None = None) -> Response:
    """One account's page; ``form`` and ``store_form`` as they were sent, where they were refused."""
    from connector.blueprints.accounts.storefront import form_of

    events = select(Event).where(Event.subject_type == "account", Event.subject_id == str(account.id)).order_by(Event.id.desc()).limit(30)
    checks = (account.go_live or {}).get("checks", [])
    store = storefront.of(account.id)
    answer = render_form(
        "accounts/show.html",
        form=form,
        store=store,
        store_form=store_form or form_of(store),
        account=account,
        country=accounts.COUNTRIES.get(account.country, account.country),
        production=account.environment == PRODUCTION,
        references={kind: onboarding.references(account.id, kind) for kind in onboarding.COUNT_LABELS},
        labels=onboarding.COUNT_LABELS,
        fetched=onboarding_changes.last(account.id),
        broken=onboarding_changes.broken_now(account),
        shop_checks=shop_checks.of(account.id),
        webhook_address=onboarding.webhook_address(account),
        kinds=KINDS,
        schedules=db.session.scalars(select(Schedule).where(Schedule.account_id == account.id).order_by(Schedule.kind)).all(),
        checks=checks,
        events=db.session.scalars(events).all(),
    )
    if store_form is not None and store_form.summary:
        answer.status_code = 422
    return answer

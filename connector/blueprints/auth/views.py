"""Signing in and out, one's own page, and the users page for administrators (product.md 12)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.auth.forms import (
    EditUserForm,
    FirstAdministratorForm,
    NewUserForm,
    PasswordForm,
    ProfileForm,
    ResetPasswordForm,
    SignInForm,
    TokenForm,
)
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.grids.users import USERS
from connector.models.trace import Event
from connector.models.user import ADMINISTRATOR, User
from connector.services import api_tokens, users
from connector.web import auth
from connector.web.auth import limiter, public, requires
from connector.web.forms import render_form
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast

bp = Blueprint("auth", __name__)

grid_routes(bp, USERS, "auth/users.html", rule="/users", name="users")


@bp.before_request
def _under_one_name() -> AnyResponse | None:
    """Who opens http://localhost:5000 goes on under PUBLIC_URL's own name for this machine: TikTok's consent page leads back there, and a session begun
    under another name would not be found."""
    ours = urlsplit(current_app.config["CONNECTOR"].public_url)
    here = urlsplit(f"//{request.host}")
    if request.method == "GET" and here.hostname == "localhost" and ours.hostname == "127.0.0.1" and here.port == ours.port:
        return redirect(f"{ours.scheme}://{ours.netloc}{request.full_path.rstrip('?')}", 303)
    return None


def _typed_email() -> str:
    return request.form.get("email", "").strip().lower()[:254]


def _failed(response: Response) -> bool:
    return response.status_code == 422


@bp.route("/sign-in", methods=["GET", "POST"])
@public
@limiter.limit("10 per 5 minutes", methods=["POST"], key_func=_typed_email, deduct_when=_failed)
@limiter.limit("30 per 5 minutes", methods=["POST"], deduct_when=_failed)
def sign_in() -> Any:
    """Email and password. Failed attempts are counted per address and per computer; a wrong email and a wrong password answer alike."""
    target = auth.safe_next(request.args.get("next"), auth.home_url())
    if current_user.is_authenticated:
        return go_to(target)
    if not users.any_user():
        return go_to(url_for("auth.first_administrator"))
    form = SignInForm()
    if form.validate_on_submit():
        user = users.authenticate(form.email.data or "", form.password.data or "")
        if user is not None:
            auth.sign_in(user, remember=form.remember.data)
            return go_to(target)
        words = "The email address or the password is wrong, or the user is switched off."
        form.refuse(DomainError("user.sign_in_refused", words, "Check both, or ask an administrator for a new password."))
    return render_form("auth/sign_in.html", form=form)


@bp.post("/sign-out")
@public
def sign_out() -> AnyResponse:
    """End this session."""
    auth.sign_out()
    toast("You are signed out.", "info")
    return go_to(url_for("auth.sign_in"))


@bp.route("/welcome", methods=["GET", "POST"])
@public
@limiter.limit("20 per 5 minutes", methods=["POST"], deduct_when=_failed)
def first_administrator() -> Any:
    """Registration, the wizard's first step (A009-A010): possible exactly once, while there is no user."""
    if users.any_user():
        return go_to(url_for("auth.sign_in"))
    form = FirstAdministratorForm()
    if form.validate_on_submit():
        user: User | None = None
        with form.catching(), unit_of_work():
            if users.any_user():  # somebody was quicker; the write lock makes this check final
                raise DomainError("user.first_exists", "The first administrator has been made in the meantime.", "Sign in.")
            user = users.create(
                email=form.email.data or "",
                name=form.name.data or "",
                password=form.password.data or "",
                role=ADMINISTRATOR,
                time_zone=form.time_zone.data,
                terms=True,
            )
        if user is not None:
            auth.sign_in(user)
            wizard = next((name for name in ("wizard.index", "setup.index") if name in current_app.view_functions), None)
            return go_to(url_for(wizard) if wizard else auth.home_url())
    return render_form("auth/welcome.html", form=form)


def _me(profile: ProfileForm | None = None, password: PasswordForm | None = None, token: TokenForm | None = None, made: str = "") -> Response:
    sent = next((form for form in (profile, password, token) if form is not None), None)
    return render_form(
        "auth/me.html",
        form=sent or ProfileForm(formdata=None, obj=current_user),
        profile=profile or ProfileForm(formdata=None, obj=current_user),
        password=password or PasswordForm(formdata=None),
        token=token or TokenForm(formdata=None),
        made=made,
        sessions=users.sessions_of(current_user),
        session_id=g.get("session_id"),
        tokens=api_tokens.of(current_user),
        token_accounts=api_tokens.accounts(),
        scopes=api_tokens.SCOPES,
        revoke_url=lambda each: url_for("auth.revoke_token", token_id=each.id),
    )


def _before_password_change(view: Any) -> Any:
    view.before_password_change = True
    return view


@bp.get("/me")
@_before_password_change
def me() -> Response:
    """One's own name, time zone, password, sessions and API tokens."""
    return _me()


@bp.post("/me")
def save_me() -> Any:
    """Change one's own name and time zone."""
    form = ProfileForm()
    if form.validate_on_submit():
        user = users.get(current_user.id)
        with form.catching(), unit_of_work():
            users.change(user, name=form.name.data or "", role=user.role, active=user.active, time_zone=form.time_zone.data)
        if not form.summary:
            toast("Saved.")
            return go_to(url_for("auth.me"))
    return _me(profile=form)


@bp.post("/me/password")
@_before_password_change
@limiter.limit("10 per 5 minutes", key_func=lambda: str(current_user.get_id()), deduct_when=_failed)
def change_password() -> Any:
    """Change one's own password; the other sessions end, this one is renewed."""
    form = PasswordForm()
    if form.validate_on_submit():
        user = users.get(current_user.id)
        if not users.verify_password(user, form.current.data or ""):
            form.refuse(DomainError("user.password_wrong", "This is not your present password.", "Enter it again.", field="current"))
        else:
            with form.catching(), unit_of_work():
                users.set_password(user, form.password.data or "")
            if not form.summary:
                auth.sign_in(user)
                toast("Your password is changed; every other session has ended.")
                return go_to(url_for("auth.me"))
    return _me(password=form)


@bp.post("/me/sessions/end")
def end_sessions() -> AnyResponse:
    """End one of one's own sessions (``session``), or all but this one."""
    chosen = request.form.get("session", "")
    with unit_of_work():
        ended = users.end_sessions(users.get(current_user.id), keep=None if chosen else g.get("session_id"), only=int(chosen) if chosen.isdigit() else None)
    toast(f"{ended} {'session' if ended == 1 else 'sessions'} ended.")
    return go_to(url_for("auth.me", _anchor="sessions"))


@bp.post("/me/tokens")
def create_token() -> Any:
    """Make an API token; its text is shown once, on the page that answers."""
    form = TokenForm()
    made = ""
    if form.validate_on_submit():
        with form.catching(), unit_of_work():
            _, made = api_tokens.create(
                users.get(current_user.id),
                form.name.data or "",
                form.scopes.data or [],
                account_id=int(form.account_id.data or 0) or None,
                days=int(form.days.data or 0) or None,
            )
        if made:
            return _me(made=made)
    return _me(token=form)


@bp.post("/me/tokens/<int:token_id>/revoke")
def revoke_token(token_id: int) -> AnyResponse:
    """Revoke one of one's own API tokens."""
    with unit_of_work():
        api_tokens.revoke(users.get(current_user.id), token_id)
    toast("The token is revoked.")
    return go_to(url_for("auth.me", _anchor="tokens"))


@bp.get("/account-activity")
def activity() -> str:
    """What the present user did lately (A027)."""
    stmt = select(Event).where(Event.actor == current_user.email).order_by(Event.at.desc(), Event.id.desc()).limit(100)
    return render_template("auth/activity.html", events=list(db.session.scalars(stmt)))


@bp.route("/users/new", methods=["GET", "POST"])
@requires("users.write")
def new_user() -> Any:
    """Add a user with a first password."""
    form = NewUserForm()
    if form.validate_on_submit():
        with form.catching(), unit_of_work():
            users.create(**form.values(), temporary=True)
        if not form.summary:
            toast(f"{form.email.data} can sign in now.")
            return go_to(url_for("auth.users"))
    return render_form("auth/new_user.html", form=form)


@bp.route("/users/<int:user_id>", methods=["GET", "POST"])
@requires("users.write")
def edit_user(user_id: int) -> Any:
    """Change name, role, time zone and access."""
    user = users.get(user_id)
    form = EditUserForm(obj=user)
    if form.validate_on_submit():
        with form.catching(), unit_of_work():
            users.change(user, **form.values())
        if not form.summary:
            toast(f"{user.email} is saved.")
            return go_to(url_for("auth.users"))
    return _user_page(user, form, ResetPasswordForm(formdata=None))


@bp.post("/users/<int:user_id>/password")
@requires("users.write")
def reset_password(user_id: int) -> Any:
    """Give a user a new first password."""
    user = users.get(user_id)
    form = ResetPasswordForm()
    if form.validate_on_submit():
        with form.catching(), unit_of_work():
            users.set_password(user, form.password.data or "", temporary=True)
        if not form.summary:
            toast(f"{user.email} has a new first password.")
            return redirect(url_for("auth.users"), 303)
    return _user_page(user, EditUserForm(formdata=None, obj=user), form)


@bp.post("/users/<int:user_id>/tokens/<int:token_id>/revoke")
@requires("users.write")
def revoke_user_token(user_id: int, token_id: int) -> AnyResponse:
    """Revoke an API token of any user."""
    user = users.get(user_id)
    with unit_of_work():
        token = api_tokens.revoke(user, token_id)
    toast(f"The token “{token.name}” of {user.email} is revoked.")
    return go_to(url_for("auth.edit_user", user_id=user_id, _anchor="tokens"))


def _user_page(user: User, edit: EditUserForm, reset: ResetPasswordForm) -> Response:
    events = select(Event).where(Event.subject_type == "user", Event.subject_id == str(user.id)).order_by(Event.id.desc()).limit(50)
    sent = reset if request.endpoint == "auth.reset_password" else edit
    return render_form(
        "auth/edit_user.html",
        form=sent,
        edit=edit,
        reset=reset,
        user=user,
        sessions=users.sessions_of(user),
        events=db.session.scalars(events),
        tokens=api_tokens.of(user),
        token_accounts=api_tokens.accounts(),
        scopes=api_tokens.SCOPES,
        revoke_url=lambda each: url_for("auth.revoke_user_token", user_id=user.id, token_id=each.id),
    )

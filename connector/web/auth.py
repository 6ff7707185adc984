"""Who is asking, and may they: Flask-Login over session rows, permissions checked in one place, sign-in throttled.

Every view needs a signed-in user unless it is marked ``@public``; ``@requires("orders.write")`` names the permission it needs, ``@token("feeds")`` asks programs for an API token. They only
mark the function: ``_guard`` judges before every request, so a test can walk ``url_map`` and read what each view asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, g, request, session, url_for
from flask_limiter import Limiter
from flask_login import LoginManager, current_user, login_user, logout_user
from werkzeug.wrappers import Response

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.models.user import User
from connector.services import events, users
from connector.web import again
from connector.web.htmx import go_to, is_htmx
from connector.web.permissions import allows

View = TypeVar("View", bound=Callable[..., Any])

login_manager = LoginManager()


def client_address() -> str:
    return request.remote_addr or "unknown"


hash_password = users.hash_password

#: Counts live in Redis; while it is away each web process counts for itself.
limiter = Limiter(key_func=client_address, in_memory_fallback_enabled=True, strategy="fixed-window", key_prefix="connector")


def public(view: View) -> View:
    """Anybody may open this view."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def requires(permission: str) -> Callable[[View], View]:
    """The signed-in user needs this permission."""

    def mark(view: View) -> View:
        view.permission = permission  # type: ignore[attr-defined]
        return view

    return mark


def can(permission: str) -> bool:
    """May the present user? Templates ask the same question."""
    return bool(current_user.is_authenticated) and allows(current_user.role, permission)


def sign_in(user: User, *, remember: bool = False) -> None:
    """Open a session for a user who has proved who they are. The old cookie's content is dropped, so no session can be fixed in advance."""
    with unit_of_work():
        user.session_token = users.open_session(user, address=client_address(), browser=request.user_agent.string)
    session.clear()
    session.permanent = remember
    login_user(user)
    events.actor_now.set(user.email)


def sign_out() -> None:
    """End the present session, here and in the database."""
    found = users.find_session(str(session.get("_user_id", "")))
    if found is not None:
        with unit_of_work():
            users.end_sessions(found.user, only=found.id)
    logout_user()
    session.clear()


def safe_next(target: str | None, default: str) -> str:
    """A path of this site to go on to, or the default: never another site."""
    parts = urlsplit(target or "")
    local = bool(target) and not parts.scheme and not parts.netloc and str(target).startswith("/") and "\\" not in str(target)
    return str(target) if local and not str(target).startswith("//") else default


def home_url() -> str:
    return url_for("home.index") if "home.index" in current_app.view_functions else url_for("auth.me")


def init_app(app: Flask) -> None:
    redis_url = app.config["CONNECTOR"].redis_url if "CONNECTOR" in app.config else "memory://"
    app.config.setdefault("RATELIMIT_STORAGE_URI", redis_url.replace("unix://", "redis+unix://", 1) if redis_url else "memory://")
    app.config.setdefault("RATELIMIT_HEADERS_ENABLED", True)
    limiter.init_app(app)
    app.config.setdefault("SESSION_PROTECTION", None)  # a session is a row; a changed browser string is no reason to drop it
    login_manager.init_app(app)
    login_manager.user_loader(_load)
    app.before_request(_guard)
    app.before_request_funcs[None].insert(0, _forget_last_request)
    app.jinja_env.globals["can"] = can


def _load(token: str) -> User | None:
    found = users.find_session(token)
    if found is None:
        return None
    g.session_id = found.id
    found.user.session_token = token
    now = utcnow()
    if now - found.last_seen_at > users.SEEN_EVERY:
        with unit_of_work():
            found.last_seen_at = now
    return found.user


def _forget_last_request() -> None:
    """``g`` belongs to the application context, which may outlive a request (shells, tests): each request begins with nobody in it."""
    for name in list(g):
        g.pop(name)


def _guard() -> Response | None:
    view = current_app.view_functions.get(request.endpoint or "")
    events.actor_now.set("anonymous")
    if view is None or request.endpoint == "static" or getattr(view, "is_public", False):
        return None
    if hasattr(view, "token_scope"):  # it judges the caller's API token itself (``connector.web.tokens``)
        return None
    if not current_user.is_authenticated:
        return ask_to_sign_in()
    events.actor_now.set(current_user.email)
    if current_user.must_change_password and not getattr(view, "before_password_change", False):
        return go_to(url_for("auth.me", _anchor="password"))
    permission = getattr(view, "permission", None)
    if permission is not None and not can(permission):
        abort(403)
    return None


def ask_to_sign_in() -> Response:
    """To the sign-in page (or the making of the first administrator), and afterwards back to the page that was asked for."""
    if not users.any_user():
        return go_to(url_for("auth.first_administrator"))
    if (kept := again.handed_back(401)) is not None:
        return kept
    back = request.full_path.rstrip("?") if request.method == "GET" and not is_htmx() else None
    if is_htmx():
        here = urlsplit(request.headers.get("HX-Current-URL", ""))
        back = here.path + (f"?{here.query}" if here.query else "")
    db.session.commit()
    return go_to(url_for("auth.sign_in", next=back if back and back != "/" else None))

"""What a person sees when something does not work: a page, a toast for htmx, JSON for programs; always what, why and what to do."""

from __future__ import annotations

import secrets

import structlog
from flask import Flask, Response, current_app, g, jsonify, make_response, render_template, request
from flask_limiter.errors import RateLimitExceeded
from flask_login import AnonymousUserMixin
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from connector.core.db import db, is_away
from connector.core.errors import DomainError, NotFoundError
from connector.web import again, problems
from connector.web.htmx import is_htmx

log = structlog.get_logger(__name__)

#: status -> (title, what happened and why, what to do)
WORDS: dict[int, tuple[str, str, str]] = {
    400: ("The request was not understood", "Something in it is missing or malformed.", "Go back, reload the page and try again."),
    401: ("Sign in first", "This address needs a signed-in user or a valid API token.", "Sign in, or check the token."),
    403: ("Not allowed", "Your role does not include this.", "Ask an administrator for the role, or for the change itself."),
    404: ("Page not found", "There is nothing at this address, or it was removed.", "Check the address, or start from the menu."),
    405: ("Not possible this way", "This address does not take this kind of request.", "Use the page's own buttons."),
    413: ("The upload is too large", "The file is larger than this form takes.", "Send a smaller file, or split it."),
    421: (
        "Not the name of this connector",
        "The page was asked for under a host name that is not the one in PUBLIC_URL.",
        "Open it under the address in PUBLIC_URL, or set PUBLIC_URL to the address you use.",
    ),
    429: ("Too many attempts", "There were too many attempts in a short time.", "Wait a little, then try again."),
    500: ("Something broke on our side", "The cause was written to the log under the reference below.", "Try again; if it stays, report it."),
    503: ("Not available at the moment", "A part the page needs does not answer.", "Try again in a minute."),
}

#: The same for programs, who have no menu and no buttons.
API_WORDS: dict[int, tuple[str, str, str]] = {
    404: (
        "Not found",
        "The API has nothing at this address, or the token is limited to another account.",
        "Compare it with /api/docs; ids in it are whole numbers.",
    ),
    405: (
        "Not possible this way",
        "This address does not take this kind of request.",
        "Use a method that the header Allow names; /api/docs says what each does.",
    ),
    429: (
        "Too many attempts",
        "There were more than 30 failed attempts from this computer within 5 minutes.",
        "Mend the token or the signature, and wait as long as Retry-After says.",
    ),
}


def init_app(app: Flask) -> None:
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(RateLimitExceeded, _too_many)
    app.register_error_handler(DomainError, _domain)
    app.register_error_handler(Exception, _unexpected)


def answer(status: int, title: str, text: str, remedy: str, *, code: str = "", reference: str = "") -> Response:
    """The error in the form the asker reads."""
    if problems.wanted():
        if code in ("", "web.too_many_attempts"):
            title, text, remedy = API_WORDS.get(status, (title, text, remedy))
        return problems.problem(status, title, text or title, remedy=remedy, code=code, reference=reference)
    if is_htmx():
        response = make_response(render_template("errors/_error.html", title=title, text=text, remedy=remedy, reference=reference, code=code), status)
        response.headers["HX-Retarget"] = "#toasts"
        response.headers["HX-Reswap"] = "beforeend"
        return response
    best = request.accept_mimetypes.best_match(["text/html", "application/json"], default="text/html")
    if best == "application/json" and request.accept_mimetypes[best] > request.accept_mimetypes["text/html"]:
        body = {"code": code or str(status), "message": f"{title}. {text}", "remedy": remedy, "reference": reference or None}
        response = jsonify(body)
        response.status_code = status
        return response
    page = render_template("errors/error.html", status=status, title=title, text=text, remedy=remedy, reference=reference, code=code)
    return make_response(page, status)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return error.get_response()  # type: ignore[return-value]
    title, text, remedy = WORDS.get(status, WORDS[500 if status >= 500 else 400])
    response = answer(status, title, text, remedy)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "www-authenticate"):
            response.headers[name] = value
    return response


def _csrf(error: CSRFError) -> Response:
    return again.handed_back(400) or answer(
        400,
        "The form has expired",
        "It was opened before you signed in (or in another session), so it was not accepted and nothing was saved.",
        "Go back, reload the page and send the form again.",
        code="web.csrf",
    )


def _too_many(error: RateLimitExceeded) -> Response:
    response = answer(
        429,
        "Too many attempts",
        f"No more than {error.description} are accepted, so that passwords cannot be guessed.",
        "Wait until the time has passed, then try again. An administrator can set a new password.",
        code="web.too_many_attempts",
    )
    if error.limit is not None:
        response.headers["Retry-After"] = str(int(error.limit.limit.get_expiry()))
    return response


def _domain(error: DomainError) -> Response:
    db.session.rollback()
    return answer(404 if isinstance(error, NotFoundError) else 409, error.message, "", error.remedy, code=error.code)


def _unexpected(error: Exception) -> Response:
    if current_app.config.get("PROPAGATE_EXCEPTIONS"):
        raise error
    reference = secrets.token_hex(5)
    db.session.rollback()
    if is_away(error):
        log.warning("database_away", method=request.method, path=request.path, error=type(error).__name__)
        g._login_user = AnonymousUserMixin()  # who asks cannot be looked up either
        title, _, remedy = WORDS[503]
        response = answer(
            503, title, "The database does not answer. Nothing is lost: work goes on by itself when it is back.", remedy, code="web.database_away"
        )
        response.headers["Retry-After"] = "5"
        return response
    # The path without its query: a search term may be a buyer's name.
    log.error("request failed", reference=reference, method=request.method, path=request.path, exc_info=error)
    title, text, remedy = WORDS[500]
    return answer(500, title, text, remedy, code="web.internal", reference=reference)

"""Views for programs: ``@token("feeds")`` asks for ``Authorization: Bearer ctt_...`` with that scope. A session cookie counts for nothing there.

Wrong tokens are counted as wrong passwords are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import Response, abort, g, request

from connector.models.user import ApiToken
from connector.services import api_tokens, events
from connector.web.auth import limiter
from connector.web.permissions import allows
from connector.web.problems import problem

View = TypeVar("View", bound=Callable[..., Any])


def token(scope: str) -> Callable[[View], View]:
    """The caller needs an API token of this scope."""

    def guard(view: View) -> View:
        @wraps(view)
        def judged(*args: Any, **values: Any) -> Any:
            refusal = judge(scope)
            return view(*args, **values) if refusal is None else refusal

        guarded = throttled(judged)
        guarded.token_scope = scope  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return guard


def _refused(response: Response) -> bool:
    return response.status_code == 401


#: Failed attempts of one computer over all views for programs: as many as failed sign-ins.
throttled = limiter.shared_limit("30 per 5 minutes", scope="api", deduct_when=_refused)


def judge(scope: str) -> Response | None:
    """None when the caller may go on; ``current()`` is the token then."""
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not text.strip():
        return problem(
            401, "No API token", "The request carries no API token.", code="api.token_missing",
            remedy="Send the header Authorization: Bearer <token>; tokens are made on your own page of the dashboard.",
        )  # fmt: skip
    found = api_tokens.find(text.strip())
    if found is None:
        answer = problem(
            401, "API token refused", "The API token is unknown, revoked or past its end, or its user is switched off.", code="api.token_refused",
            remedy="Make another token on your own page of the dashboard.",
        )  # fmt: skip
        answer.headers["WWW-Authenticate"] = 'Bearer realm="connector", error="invalid_token"'
        return answer
    wanted = api_tokens.SCOPES[scope]
    if scope not in found.scopes:
        return _forbidden(scope, "api.scope", f"The token “{found.name}” does not have the scope {scope}.", "Make a token with this scope.")
    if not allows(found.user.role, wanted.permission) or found.user.must_change_password:
        return _forbidden(
            scope,
            "api.role",
            f"The token's user, {found.user.email}, may not do this.",
            "Make the token as an Operator or an Administrator whose password is set.",
        )
    g.api_token = found
    events.actor_now.set(f"{found.user.email} (API token {found.name})"[:200])
    api_tokens.used(found)
    return None


def current() -> ApiToken:
    """The token of the present request."""
    found: ApiToken = g.api_token
    return found


def check_account(account_id: int) -> None:
    """A token that is limited to one account does not learn that others exist."""
    limit = current().account_id
    if limit is not None and limit != account_id:
        abort(404)


def _forbidden(scope: str, code: str, detail: str, remedy: str) -> Response:
    answer = problem(403, "Not allowed", detail, code=code, remedy=remedy)
    answer.headers["WWW-Authenticate"] = f'Bearer realm="connector", error="insufficient_scope", scope="{scope}"'
    return answer

"""Page or partial, decided in one place, and the headers that htmx reads (htmx 4)."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, flash, make_response, redirect, render_template, request, session
from werkzeug.wrappers import Response as AnyResponse


def init_app(app: Flask) -> None:
    @app.after_request
    def vary(response: Response) -> Response:
        if response.mimetype == "text/html":
            response.vary.update(["HX-Request", "Cookie"])
        return _carry_toasts(response)


def is_htmx() -> bool:
    return request.headers.get("HX-Request") == "true"


def wants_partial() -> bool:
    """htmx asks for a fragment. When it restores history or targets the body it wants the page ("full")."""
    return is_htmx() and request.headers.get("HX-Request-Type") != "full" and "HX-History-Restore-Request" not in request.headers


def render(page: str, partial: str | None = None, status: int = 200, **context: Any) -> Response:
    """The partial alone for an htmx swap, else the page."""
    template = partial if partial and wants_partial() else page
    return make_response(render_template(template, **context), status)


def go_to(url: str) -> AnyResponse:
    """See another page: 303, or ``HX-Redirect`` for htmx (which would swap the page it was redirected to into its target)."""
    if is_htmx():
        return Response(status=204, headers={"HX-Redirect": url})
    return redirect(url, 303)


def toast(message: str, tone: str = "success") -> None:
    """Say something in the corner: on the next page, or beside the swap when the answer is a partial."""
    flash(message, tone)


def _carry_toasts(response: Response) -> Response:
    swaps = response.mimetype == "text/html" and response.status_code != 204 and "HX-Redirect" not in response.headers
    if swaps and wants_partial() and not response.is_streamed and "_flashes" in session:
        response.set_data(response.get_data(as_text=True) + render_template("components/_toasts_partial.html"))
    return response

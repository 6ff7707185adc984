"""A form that came too late, because its session had ended or another one began, is handed back with what was typed: one click sends it again (rule 11)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from flask import Response, make_response, render_template, request, url_for

from connector.web import problems
from connector.web.htmx import is_htmx

#: Never written into a page again. A form that lacks them asks for them, or keeps what is stored.
SECRET = re.compile(r"password|secret|token|^consumer_key$|^current$|^smtp_url$")


def handed_back(status: int) -> Response | None:
    """The page that keeps what was typed; None for everything that no page of ours sent (another site, a program, htmx, which leaves its page standing)."""
    if request.method != "POST" or is_htmx() or problems.wanted() or urlsplit(request.headers.get("Origin", "")).netloc != request.host:
        return None
    typed = [(name, value) for name, value in request.form.items(multi=True) if name != "csrf_token" and not SECRET.search(name)]
    left_out = bool(request.files) or any(value and SECRET.search(name) for name, value in request.form.items() if name != "csrf_token")
    sign_in = url_for("auth.sign_in")
    return make_response(render_template("errors/again.html", action=request.full_path.rstrip("?"), typed=typed, left_out=left_out, sign_in=sign_in), status)

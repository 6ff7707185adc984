"""Headers that bound what a page can do, and CSRF protection of every form."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, request
from flask_wtf import CSRFProtect

csrf = CSRFProtect()


def init_app(app: Flask) -> None:
    # The token lives as long as the session: operators keep a page open all day.
    app.config.setdefault("WTF_CSRF_TIME_LIMIT", None)
    csrf.init_app(app)
    app.before_request_funcs.setdefault(None, []).insert(0, _known_host)
    app.after_request(_headers)


#: Asked by supervisors and load balancers under any name; they tell nothing about the merchant.
PROBES = frozenset({"health.healthz", "health.readyz", "health.metrics"})


def _known_host() -> None:
    """Refuse a name that is not ours: a page of another site could point its own name at this address (DNS rebinding).

    Ours are the host of ``PUBLIC_URL``, localhost, and plain IP addresses, which no DNS answer can lend to another site.
    """
    name = urlsplit(f"//{request.host}").hostname or ""
    config = current_app.config.get("CONNECTOR")
    if request.endpoint in PROBES or name == "localhost" or name.endswith(".localhost") or (config and name == urlsplit(config.public_url).hostname):
        return
    try:
        ipaddress.ip_address(name)
    except ValueError:
        abort(421)


def _headers(response: Response) -> Response:
    response.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    )
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("X-Frame-Options", "DENY")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    if request.endpoint != "static" and "Cache-Control" not in response.headers:
        # Pages hold buyer data: neither a proxy nor the browser's disk keeps them.
        response.headers["Cache-Control"] = "no-store"
    return response

"""What every page shares: security, sign-in, forms, htmx, Jinja filters, error pages. Only blueprints import it."""

from __future__ import annotations

from flask import Flask

from connector.web import assets, auth, errors, filters, htmx, incoming, layout, live, security


def init_app(app: Flask) -> None:
    """Bind everything of the web to the application, before its blueprints are registered."""
    for part in (incoming, assets, filters, htmx, security, auth, layout, live, errors):
        part.init_app(app)

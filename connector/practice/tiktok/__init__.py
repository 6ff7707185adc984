"""The practice marketplace: TikTok Shop as a real HTTP server (README.md one level up; the contract's section 8)."""

from __future__ import annotations

import atexit
from pathlib import Path

from flask import Flask, Response

from . import (  # noqa: F401  they register their operations and pages
    aftersales,
    brands,
    cancellations,
    categories,
    console,
    control,
    events,
    fulfillment,
    gateway,
    inventory,
    listing_console,
    listing_control,
    moves,
    oauth,
    orders,
    packages,
    products,
    returns,
    returns_control,
    shops,
    splitting,
    uploads,
    views,
)
from .marketplace import Marketplace


def create_app(data_dir: Path) -> Flask:
    """The marketplace whose state lives in `data_dir`, as a thread-safe WSGI application. Starts its ticker thread."""
    app = Flask(__name__)
    market = app.extensions["marketplace"] = Marketplace(Path(data_dir))
    for blueprint in (control.blueprint, console.blueprint, oauth.blueprint, packages.blueprint, uploads.blueprint, gateway.blueprint):
        app.register_blueprint(blueprint)

    @app.after_request
    def date(response: Response) -> Response:
        response.headers["Date"] = market.clock.http_date()
        return response

    market.start()
    atexit.register(market.stop)
    return app

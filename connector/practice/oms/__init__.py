"""The practice OMS: collects order feeds, sends signed events, answers pulls and exports batches, over real HTTP (product.md 8)."""

from __future__ import annotations

from pathlib import Path

import orjson
from flask import Flask, Response

from connector.practice.mishaps import Mishaps

from . import api, control, pages
from .desk import Desk


def _refuse(status: int, detail: str) -> Response:
    return Response(orjson.dumps({"error": detail}), status, content_type="application/json")


def create_app(data_dir: Path) -> Flask:
    """The OMS whose state lives in `data_dir`, as a thread-safe WSGI application. Goes on collecting what it had not finished."""
    app = Flask(__name__, static_folder=None)
    desk = Desk(Path(data_dir))
    mishaps = Mishaps(_refuse)
    app.register_blueprint(api.blueprint(desk, mishaps))
    app.register_blueprint(control.blueprint(desk, mishaps))
    app.register_blueprint(pages.blueprint(desk))
    desk.collector.resume()
    return app

"""Static files under addresses that change with their content, so that browsers may keep them for good."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flask import Flask, Response, request, url_for


def init_app(app: Flask) -> None:
    folder = Path(app.static_folder or "")
    known: dict[str, str] = {}

    def asset(name: str) -> str:
        if name not in known or app.debug:
            version = hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12]
            known[name] = url_for("static", filename=name, v=version)
        return known[name]

    @app.after_request
    def keep_static(response: Response) -> Response:
        if request.endpoint == "static" and response.status_code in (200, 304):
            response.cache_control.no_cache = None
            response.cache_control.public = True
            response.cache_control.max_age = 31_536_000 if request.args.get("v") else 3600
            response.cache_control.immutable = bool(request.args.get("v"))
        return response

    app.jinja_env.globals["asset"] = asset

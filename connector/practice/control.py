"""What the control APIs (`/practice/*`) of the small practice servers have in common: loopback only, JSON, faults, latency, counters."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, abort, request

from .mishaps import Mishaps

Doc = dict[str, Any]
LOOPBACK = ("127.0.0.1", "::1", None)


def only_from_here() -> None:
    """403 for callers from elsewhere and for pages of other sites in a browser here."""
    if request.remote_addr not in LOOPBACK:
        abort(403)
    origin = request.headers.get("Origin")
    if origin and request.method != "GET" and urlsplit(origin).netloc != request.host:
        abort(403)


def wish() -> Doc:
    """The JSON body as an object; empty when there is none. Raises ValueError for anything else."""
    given = request.get_json(silent=True) if request.get_data(cache=True) else {}
    if not isinstance(given, dict):
        raise ValueError("the body must be a JSON object")
    return given


def blueprint(mishaps: Mishaps) -> Blueprint:
    """`/practice/*` with what every practice server has; the server adds its own. ValueError answers 400, LookupError 404, KeyError 400."""
    api = Blueprint("practice", __name__, url_prefix="/practice", template_folder="templates")
    api.before_request(only_from_here)

    @api.errorhandler(ValueError)
    def refused(error: ValueError) -> tuple[Doc, int]:
        return {"error": str(error)}, 400

    @api.errorhandler(LookupError)
    def unknown(error: LookupError) -> tuple[Doc, int]:
        if isinstance(error, KeyError):
            return {"error": f"{error.args[0]} is missing in the body"}, 400
        return {"error": str(error)}, 404

    @api.get("/ping")
    def ping() -> Doc:
        return {"ok": True}

    @api.get("/faults")
    def faults() -> Doc:
        return {"faults": mishaps.all()}

    @api.post("/faults")
    def add_fault() -> Doc:
        return mishaps.add(wish())

    @api.delete("/faults")
    @api.delete("/faults/<int:number>")
    def remove_fault(number: int | None = None) -> Doc:
        return {"removed": mishaps.remove(number)}

    @api.post("/latency")
    def latency() -> Doc:
        mishaps.latency = max(float(wish().get("ms", 0)), 0) / 1000
        return {"ms": mishaps.latency * 1000}

    return api


def change(settings: Doc, wishes: Doc) -> Doc:
    """The settings with the wishes applied: known names, values of the type the default has. Raises ValueError."""
    for name, value in wishes.items():
        if name not in settings:
            raise ValueError(f"there is no setting {name!r}; known: {', '.join(sorted(settings))}")
        if type(value) is not type(settings[name]) and not (isinstance(value, int) and isinstance(settings[name], float)):
            raise ValueError(f"{name} must be of the type {type(settings[name]).__name__}")
    return {**settings, **wishes}

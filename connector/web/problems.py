"""Errors of the JSON API as RFC 7807 documents: what happened, which field, what to do."""

from __future__ import annotations

from flask import Response, json, request

#: Below this path every error is a problem document, whatever the caller says it accepts.
API = "/api/v1/"


def wanted() -> bool:
    return request.path.startswith(API)


def problem(status: int, title: str, detail: str, *, remedy: str = "", code: str = "", field: str = "", reference: str = "") -> Response:
    """``application/problem+json``; empty members are left out."""
    members = {"title": title, "status": status, "detail": detail, "code": code, "field": field, "remedy": remedy, "reference": reference}
    body = {"type": f"/api/docs#{code or status}", **{name: value for name, value in members.items() if value}}
    response = Response(json.dumps(body) + "\n", status, mimetype="application/problem+json")
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="connector"'
    return response

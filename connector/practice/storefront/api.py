"""The store's API: OAuth client credentials, CreateExternalOrder, GetOrder, PATCH Order, the list of changes, the environment."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from hmac import compare_digest
from typing import Any

import orjson
from flask import Blueprint, Response, request

from connector.practice.mishaps import Mishaps

from .book import Book, etag
from .problems import Problem, problem

PAGE, TOP = 50, 200


def answer(body: Any, status: int = 200, **headers: str) -> Response:
    return Response(orjson.dumps(body), status, content_type="application/json", headers=headers)


def blueprint(book: Book, mishaps: Mishaps) -> Blueprint:
    api = Blueprint("api", __name__)
    mishaps.watch(api)

    @api.errorhandler(Problem)
    def refused(error: Problem) -> Response:
        return error.answer()

    @api.before_request
    def bearer() -> Response | None:
        if request.endpoint == "api.token":
            return None
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            return problem(401, "The call carries no bearer token.", error="invalid_request")
        if not book.token_lives(token.strip()):
            return problem(401, "The access token is not valid or has expired.", error="invalid_token")
        return None

    @api.post("/oauth/token")
    def token() -> Response:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            name, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name = secret = ""
        client = book.client
        known = compare_digest(name.encode(), client["client_id"].encode()) & compare_digest(secret.encode(), client["client_secret"].encode())
        if kind.lower() != "basic" or not known:
            return problem(401, "The client id or the client secret is wrong.", error="invalid_client")
        grant = request.form.get("grant_type") or (request.get_json(silent=True) or {}).get("grant_type")
        if grant != "client_credentials":
            return problem(400, "grant_type must be client_credentials.", error="unsupported_grant_type")
        access, seconds = book.new_token()
        return answer({"access_token": access, "token_type": "Bearer", "expires_in": seconds}, **{"Cache-Control": "no-store"})

    @api.get("/api/environment")
    def environment() -> Response:
        settings = book.settings
        return answer({name: settings[name] for name in ("environment", "storefrontProtection", "paymentCapture", "confirmationEmails")})

    @api.post("/api/orders")
    def create() -> Response:
        order, created = book.create(_body())
        short = {"orderNo": order["orderNo"], "c_externalOrderStatus": order["c_externalOrderStatus"], "created": created}
        return answer(short, 201 if created else 200, ETag=etag(order), Location=f"/api/orders/{order['orderNo']}")

    @api.get("/api/orders/<no>")
    def get(no: str) -> Response:
        return _order(book.order(no))

    @api.get("/api/orders")
    def find() -> Response:
        if "externalOrderId" in request.args:
            return _order(book.order(external_id=request.args["externalOrderId"] or "-"))
        since, after = _instant(request.args.get("modifiedSince")), _cursor(request.args.get("cursor"))
        limit = request.args.get("limit", PAGE, type=int)
        if not 1 <= limit <= TOP:
            raise Problem(422, f"limit must be between 1 and {TOP}.")
        page, last, more = book.changed(since, after, limit)
        return answer({"orders": page, "nextCursor": base64.urlsafe_b64encode(f"c{last}".encode()).decode(), "more": more})

    @api.patch("/api/orders/<no>")
    def patch(no: str) -> Response:
        return _order(book.patch(no, _body(), request.headers.get("If-Match")))

    return api


def _order(order: dict[str, Any]) -> Response:
    shown = {name: value for name, value in order.items() if name != "version"}
    return answer(shown, ETag=etag(order))


def _body() -> Any:
    try:
        return orjson.loads(request.get_data())
    except orjson.JSONDecodeError:
        raise Problem(400, "The body is not JSON.") from None


def _instant(text: str | None) -> float:
    if not text:
        return 0.0
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Problem(422, "modifiedSince must be an instant such as 2026-01-31T12:00:00Z.")
    return instant.timestamp()


def _cursor(text: str | None) -> int:
    if not text:
        return 0
    try:
        plain = base64.urlsafe_b64decode(text).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        plain = ""
    if plain[:1] != "c" or not plain[1:].isdecimal():
        raise Problem(422, "cursor is not one that this store has given out.")
    return int(plain[1:])

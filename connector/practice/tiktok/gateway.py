"""The gateway: every API call passes here, is checked in the real order, answered in the envelope, delayed and disturbed (TTS §3, §8).

Order of checks: path and method, app key, timestamp, signature, token, scope, cipher rule, body.
"""

from __future__ import annotations

import math
import secrets
import socket
import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import orjson
from flask import Blueprint, Response, current_app, request

from . import refusals as codes
from .faulty import bend, hold, wait_and_close
from .marketplace import Marketplace
from .operations import REGISTER, Call, Operation, Raw
from .refusals import Refusal
from .schedule import settle
from .signature import request_is_genuine

blueprint = Blueprint("gateway", __name__)
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]


class Rollback(Exception):
    """Takes an effect back after the answer is known."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer


def request_id(now: float) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(now)) + secrets.token_hex(10).upper()


def envelope(market: Marketplace, code: int, message: str, data: bytes | None, http: int = 200, headers: dict | None = None) -> Response:
    """The answer as TikTok frames it; `data` is JSON, or None on errors (TTS §3.1)."""
    text = b'{"code":%d,"message":%s,"request_id":"%s"' % (code, orjson.dumps(message), request_id(market.clock.now()).encode())
    text += b"}" if data is None else b',"data":' + data + b"}"
    return Response(text, status=http, mimetype="application/json", headers=headers)


def refuse(market: Marketplace, refusal: Refusal) -> Response:
    data = None if refusal.data is None else orjson.dumps(refusal.data)
    return envelope(market, refusal.code, refusal.message, data, refusal.http, refusal.headers)


def raw_path() -> str:
    """The path as sent, not as decoded."""
    sent = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.path
    return sent.split("?", 1)[0]


def hold_for_latency(market: Marketplace, started: float) -> None:
    """Sleeps until the answer is as old as `latency_ms` wants; no lock is held here, so parallel calls overlap."""
    left = market.settings.latency_ms / 1000 - (time.monotonic() - started)
    if left > 0:
        time.sleep(left)


def close_without_answer() -> Response:
    """Ends the connection under the server's feet. The returned answer reaches nobody."""
    wire = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")
    try:
        wire.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the client was faster
    return Response(status=500)


@blueprint.route("/<path:path>", methods=METHODS)
def call(path: str) -> Response:
    market: Marketplace = current_app.extensions["marketplace"]
    started = time.monotonic()
    operation_name, fault = "unknown", None
    try:
        operation, variables = find(request.method, "/" + path)
        operation_name = operation.name
        admitted = admit(market, operation, variables)
        fault = market.faults.take((operation.name, request.path), admitted.shop)
        response, outcome = answer(market, operation, admitted, fault)
    except Refusal as refusal:
        response, outcome = refuse(market, refusal), str(refusal.code)
    market.calls.count(operation_name, outcome)
    hold_for_latency(market, started)
    return response


def find(method: str, path: str) -> tuple[Operation, dict[str, str]]:
    """The operation of a path. Tells a wrong path, a wrong version and a wrong method apart."""
    other_version = other_method = False
    for operation in REGISTER:
        match = operation.pattern.fullmatch(path)
        if match is None:
            continue
        if match["version"] not in operation.versions:
            other_version = True
        elif operation.method != method:
            other_method = True
        else:
            return operation, match.groupdict()
    if other_method:
        raise Refusal(codes.METHOD_NOT_ALLOWED, f"method {method} is not allowed on {path}")
    if other_version:
        raise Refusal(codes.BAD_VERSION, f"the version of {path} is not valid for this API")
    raise Refusal(codes.NO_SUCH_PATH, f"path {path} does not exist")


def admit(market: Marketplace, operation: Operation, variables: dict[str, str]) -> Call:
    """All checks up to the body. Raises Refusal."""
    pairs = parse_qsl(request.query_string.decode("utf-8", "replace"), keep_blank_values=True)
    query = dict(pairs)
    body = request.get_data(cache=True)
    if not query.get("app_key"):
        raise Refusal(codes.BAD_REQUEST, "param app_key is missing")
    if query["app_key"] != market.app["app_key"]:
        raise Refusal(codes.BAD_REQUEST, "param app_key is invalid")
    check_timestamp(market, query.get("timestamp", ""))
    if not query.get("sign"):
        raise Refusal(codes.BAD_REQUEST, "param sign is missing")
    if not request_is_genuine(market.app["app_secret"], raw_path(), pairs, request.content_type, body, query["sign"]):
        raise Refusal(codes.BAD_SIGNATURE, "signature is invalid")
    grant = check_token(market, request.headers.get("x-tts-access-token", ""))
    if operation.scope not in grant["scopes"]:
        raise Refusal(codes.SCOPE_MISSING, f"access denied: scope {operation.scope} is not granted")
    shop = check_cipher(market, operation, grant, query)
    over = market.limits.seconds_over(operation.name, query["app_key"], shop["id"] if shop else "")
    if over:
        raise too_many(market, over)
    return Call(market, shop, grant, query, variables, parse_body(body), market.clock.seconds(), request.host_url.rstrip("/"))


def too_many(market: Marketplace, seconds: float) -> Refusal:
    wait = market.settings.retry_after_seconds
    headers = {} if wait is None else {"Retry-After": str(max(math.ceil(seconds), math.ceil(wait)))}
    return Refusal(codes.TOO_MANY_REQUESTS, "too many requests", headers=headers)


def check_timestamp(market: Marketplace, text: str) -> None:
    if not text:
        raise Refusal(codes.BAD_REQUEST, "param timestamp is missing")
    stretch = max(1.0, market.clock.rate)  # the window is a matter of real seconds
    if not text.isdecimal() or len(text) != 10 or not -300 * stretch <= int(text) - market.clock.now() <= 30 * stretch:
        raise Refusal(codes.BAD_REQUEST, "param timestamp is invalid: expired or too far ahead")


def check_token(market: Marketplace, token: str) -> dict[str, Any]:
    if not token:
        raise Refusal(codes.BAD_REQUEST, "header x-tts-access-token is missing")
    row = market.store.read.execute(
        "SELECT tokens.expires, tokens.dead, grants.* FROM tokens JOIN grants ON grants.id = grant_id WHERE token = ? AND kind = 'access'",
        (token,),
    ).fetchone()
    if row is None or row["dead"]:
        raise Refusal(codes.BAD_TOKEN, "access token is invalid")
    if not row["active"]:
        raise Refusal(codes.AUTHORIZATION_INACTIVE, "the seller's authorization is inactive")
    if row["expires"] <= market.clock.now():
        raise Refusal(codes.TOKEN_EXPIRED, "access token is expired")
    return {**dict(row), "shop_ids": orjson.loads(row["shop_ids"]), "scopes": orjson.loads(row["scopes"])}


def check_cipher(market: Marketplace, operation: Operation, grant: dict[str, Any], query: dict[str, str]) -> dict[str, Any] | None:
    if "shop_id" in query:
        raise Refusal(codes.BAD_REQUEST, "param shop_id is not valid")
    cipher = query.get("shop_cipher")
    if not operation.cipher:
        if cipher is not None:
            raise Refusal(codes.BAD_REQUEST, "unexpected identifier shop_cipher")
        return None
    if not cipher:
        raise Refusal(codes.CIPHER_MISSING, "param shop_cipher is missing")
    shop = market.by_cipher.get(cipher)
    if shop is None or shop["id"] not in grant["shop_ids"]:
        ended = "SELECT 1 FROM ended_shops WHERE grant_id = ? AND shop_id = ?"
        if shop and market.store.read.execute(ended, (grant["id"], shop["id"])).fetchone():
            raise Refusal(codes.AUTHORIZATION_INACTIVE, "the seller's authorization of this shop is inactive")
        raise Refusal(codes.TOKEN_NOT_OF_CIPHER, "the access token does not belong to this shop_cipher")
    if shop["id"] in market.app.get("inactive_shops", ()):
        raise Refusal(codes.SHOP_DEACTIVATED, "the shop is deactivated")
    return shop


def parse_body(body: bytes) -> Any:
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if not body or media_type == "multipart/form-data":
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(codes.BODY_NOT_PARSED, "the request body cannot be parsed") from None


def answer(market: Marketplace, operation: Operation, admitted: Call, fault: dict[str, Any] | None) -> tuple[Response, str]:
    """Runs the operation and lets the fault do its work. Returns the response and what to count it as."""
    kind = fault["kind"] if fault else ""
    if kind == "expired_token":
        raise Refusal(codes.TOKEN_EXPIRED, "access token is expired")
    if kind == "rate_limit":
        wait = fault.get("retry_after")
        raise Refusal(codes.TOO_MANY_REQUESTS, "too many requests", headers={} if wait is None else {"Retry-After": str(wait)})
    if kind == "refusal":
        raise Refusal(int(fault.get("code", codes.INTERNAL_ERROR)), str(fault.get("message", "refused by a fault")))
    if kind == "server_error":
        return server_error(market, fault), kind
    if kind == "timeout_before":
        return wait_and_close(fault, close_without_answer), kind
    if kind == "gateway_timeout" and fault.get("effect") is False:
        raise Refusal(codes.GATEWAY_TIMEOUT, "gateway timeout")
    if kind == "held":
        hold(fault, done=False)
    try:
        data = perform(market, operation, admitted, keep=kind != "no_effect")
    except Refusal as refusal:
        if kind not in ("lost_answer", "timeout_after"):
            raise
        data, response = b"{}", refuse(market, refusal)
    else:
        response = envelope(market, 0, "Success", data)
    if kind == "lost_answer":
        return close_without_answer(), kind
    if kind == "timeout_after":
        return wait_and_close(fault, close_without_answer), kind
    if kind == "gateway_timeout":
        raise Refusal(codes.GATEWAY_TIMEOUT, "gateway timeout")
    if kind in ("slow", "held", "malformed_json", "unknown_status", "extra_fields"):
        return bend(response, fault), kind
    return response, "0"


def perform(market: Marketplace, operation: Operation, admitted: Call, *, keep: bool) -> bytes:
    """The handler's `data` as JSON. With `keep` false the effect is rolled back."""
    settle(market)
    if not operation.writes:
        result = operation.handler(admitted)
    else:
        try:
            with market.store.write():
                result = operation.handler(replace(admitted, now=market.clock.seconds()))
                if not keep:
                    raise Rollback(result)
        except Rollback as undone:
            result = undone.answer
    return result.json if isinstance(result, Raw) else orjson.dumps(result)


def server_error(market: Marketplace, fault: dict[str, Any]) -> Response:
    status = int(fault.get("status", 500))
    if fault.get("html"):
        page = f"<html><head><title>{status}</title></head><body><center><h1>{status} Bad Gateway</h1></center></body></html>"
        return Response(page, status=status, mimetype="text/html")
    return refuse(market, Refusal(codes.INTERNAL_ERROR, "internal error", http=status))

"""Authorization: the consent page a seller sees, single-use codes, access and refresh tokens (TTS §1.2-§1.5)."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Blueprint, Response, current_app, redirect, render_template, request

from . import refusals as codes
from .faulty import bend, hold, wait_and_close
from .gateway import close_without_answer, envelope, hold_for_latency, refuse, server_error
from .marketplace import Marketplace
from .refusals import Refusal
from .webhooks import WARN_BEFORE

blueprint = Blueprint("oauth", __name__)


# -- consent ------------------------------------------------------------------------------------------------------------------------------


@blueprint.get("/open/authorize")
@blueprint.get("/oauth/authorize")
def consent() -> tuple[str, int] | str:
    market: Marketplace = current_app.extensions["marketplace"]
    known = request.args.get("service_id") == market.app["service_id"] or request.args.get("app_key") == market.app["app_key"]
    page = render_template("consent.html", market=market, known=known, state=request.args.get("state", ""))
    return page if known else (page, 400)


@blueprint.post("/open/authorize")
def decide() -> Response | tuple[str, int]:
    market: Marketplace = current_app.extensions["marketplace"]
    state = request.form.get("state", "")
    if request.form.get("decision") != "accept":
        return redirect(with_query(market.app["redirect_url"], {"code": "null", "error": "auth_denied", "state": state}))
    chosen = [shop_id for shop_id in request.form.getlist("shop_ids") if shop_id in market.shops]
    if not chosen:
        page = render_template("consent.html", market=market, known=True, state=state, complaint="Choose at least one shop.")
        return page, 400
    return redirect(accept(market, chosen, state)[1])


def with_query(address: str, values: dict[str, str]) -> str:
    return address + ("&" if "?" in address else "?") + urlencode(values)


def accept(market: Marketplace, shop_ids: list[str], state: str) -> tuple[str, str]:
    """The seller says yes: a code, and where the browser goes with it."""
    code = "GCP_" + secrets.token_urlsafe(36)
    expires = market.clock.seconds() + int(market.settings.code_life_seconds)
    with market.store.write() as db:
        db.execute("INSERT INTO codes (code, shop_ids, expires) VALUES (?, ?, ?)", (code, orjson.dumps(shop_ids), expires))
    region = market.shops[shop_ids[0]]["region"]
    values = {"app_key": market.app["app_key"], "code": code, "locale": "en", "shop_region": region, "state": state}
    return code, with_query(market.app["redirect_url"], values)


# -- tokens -------------------------------------------------------------------------------------------------------------------------------


@blueprint.get("/api/v2/token/get")
def token_get() -> Response:
    return _answer("token.get", _exchange)


@blueprint.get("/api/v2/token/refresh")
def token_refresh() -> Response:
    return _answer("token.refresh", _refresh)


def _answer(name: str, act: Any) -> Response:
    """Refusals come back with HTTP 200 here (TTS §1.4)."""
    market: Marketplace = current_app.extensions["marketplace"]
    started = time.monotonic()
    try:
        _check_app(market)
        fault = market.faults.take((name, request.path), None)
        kind = fault["kind"] if fault else ""
        response = _disturbed_before(market, kind, fault) or envelope(market, 0, "success", orjson.dumps(act(market)))
        if kind == "lost_answer":
            response = close_without_answer()
        elif kind == "timeout_after":
            response = wait_and_close(fault, close_without_answer)
        elif kind in ("slow", "held", "malformed_json", "extra_fields"):
            response = bend(response, fault)
        outcome = kind or "0"
    except Refusal as refusal:
        response, outcome = refuse(market, refusal), str(refusal.code)
    market.calls.count(name, outcome)
    hold_for_latency(market, started)
    return response


def _disturbed_before(market: Marketplace, kind: str, fault: dict[str, Any] | None) -> Response | None:
    if kind == "server_error":
        return server_error(market, fault)
    if kind == "timeout_before":
        return wait_and_close(fault, close_without_answer)
    if kind == "held":
        hold(fault, done=False)
    if kind == "rate_limit":
        wait = fault.get("retry_after")
        raise Refusal(codes.TOO_MANY_REQUESTS, "too many requests", headers={} if wait is None else {"Retry-After": str(wait)})
    return None


def _wanted(name: str) -> str:
    value = request.args.get(name)
    if not value:
        raise Refusal(codes.BAD_REQUEST, f"param {name} is missing", http=200)
    return value


def _check_app(market: Marketplace) -> None:
    app_key, secret = _wanted("app_key"), _wanted("app_secret")
    right = secrets.compare_digest(secret.encode(), market.app["app_secret"].encode())
    if app_key != market.app["app_key"] or not right:
        raise Refusal(codes.BAD_REQUEST, "param app_key or app_secret is invalid", http=200)


def _exchange(market: Marketplace) -> dict[str, Any]:
    code = _wanted("auth_code")
    if _wanted("grant_type") != "authorized_code":
        raise Refusal(codes.BAD_REQUEST, "param grant_type is invalid: must be authorized_code", http=200)
    now = market.clock.seconds()
    with market.store.write() as db:
        row = db.execute("SELECT * FROM codes WHERE code = ?", (code,)).fetchone()
        if row is None or row["used"] or row["expires"] <= now:
            raise Refusal(codes.CODE_REFUSED, "auth_code is invalid or expired")
        db.execute("UPDATE codes SET used = 1 WHERE code = ?", (code,))
        shop_ids = orjson.loads(row["shop_ids"])
        ends = now + int(market.settings.refresh_token_life_seconds)
        grant_id = db.execute(
            "INSERT INTO grants (open_id, shop_ids, scopes, refresh_expires, next_warning) VALUES (?, ?, ?, ?, ?)",
            (open_id(market, shop_ids), row["shop_ids"], orjson.dumps(market.app["scopes"]), ends, max(now, ends - WARN_BEFORE)),
        ).lastrowid
        return _issue(market, db, grant_id, ends)


def open_id(market: Marketplace, shop_ids: list[str]) -> str:
    """Stable per app and account: the same shops are the same seller account."""
    return "practice_" + hashlib.sha1(f"{market.app['app_key']}:{','.join(sorted(shop_ids))}".encode()).hexdigest()[:24]


def _refresh(market: Marketplace) -> dict[str, Any]:
    token = _wanted("refresh_token")
    if _wanted("grant_type") != "refresh_token":
        raise Refusal(codes.BAD_REQUEST, "param grant_type is invalid: must be refresh_token", http=200)
    now = market.clock.seconds()
    with market.store.write() as db:
        row = db.execute("SELECT * FROM tokens WHERE token = ? AND kind = 'refresh'", (token,)).fetchone()
        if row is None or row["dead"] or row["expires"] <= now:
            raise Refusal(codes.REFRESH_TOKEN_REFUSED, "refresh_token is invalid or expired")
        grant = db.execute("SELECT * FROM grants WHERE id = ?", (row["grant_id"],)).fetchone()
        if not grant["active"]:
            raise Refusal(codes.NO_AUTHORIZATION, "there is no authorization of this seller for this app")
        ends = row["expires"]
        if market.settings.refresh_moves_expiry:
            ends = now + int(market.settings.refresh_token_life_seconds)
            db.execute("UPDATE grants SET refresh_expires = ?, next_warning = ? WHERE id = ?", (ends, max(now, ends - WARN_BEFORE), grant["id"]))
        if market.settings.rotate_refresh_token:
            db.execute("UPDATE tokens SET dead = 1 WHERE grant_id = ? AND kind = 'refresh'", (grant["id"],))
        if market.settings.old_access_token_dies:
            db.execute("UPDATE tokens SET dead = 1 WHERE grant_id = ? AND kind = 'access'", (grant["id"],))
        kept = None if market.settings.rotate_refresh_token else token
        return _issue(market, db, grant["id"], ends, kept)


def _issue(market: Marketplace, db: Any, grant_id: int, refresh_ends: int, refresh_token: str | None = None) -> dict[str, Any]:
    """A pair of tokens; both ends are instants, not durations."""
    grant = db.execute("SELECT * FROM grants WHERE id = ?", (grant_id,)).fetchone()
    access_ends = min(refresh_ends, market.clock.seconds() + int(market.settings.access_token_life_seconds))
    access = "GCP_" + secrets.token_urlsafe(48)
    db.execute("INSERT INTO tokens (token, kind, grant_id, expires) VALUES (?, 'access', ?, ?)", (access, grant_id, access_ends))
    if refresh_token is None:
        refresh_token = "GCP_" + secrets.token_urlsafe(40)
        db.execute("INSERT INTO tokens (token, kind, grant_id, expires) VALUES (?, 'refresh', ?, ?)", (refresh_token, grant_id, refresh_ends))
    region = market.shops[orjson.loads(grant["shop_ids"])[0]]["region"]
    return {
        "access_token": access,
        "access_token_expire_in": access_ends,
        "refresh_token": refresh_token,
        "refresh_token_expire_in": refresh_ends,
        "open_id": grant["open_id"],
        "seller_name": f"Practice Seller {region}",
        "seller_base_region": region,
        "user_type": 0,
        "granted_scopes": orjson.loads(grant["scopes"]),
    }


def revoke(market: Marketplace, shop_id: str) -> int:
    """Takes the shop out of every authorization and says farewell by webhook 6; an authorization without shops is over.
    Returns how many covered it."""
    with market.store.write() as db:
        rows = db.execute("SELECT id, shop_ids FROM grants WHERE active = 1").fetchall()
        covering = {row["id"]: orjson.loads(row["shop_ids"]) for row in rows}
        covering = {grant_id: shop_ids for grant_id, shop_ids in covering.items() if shop_id in shop_ids}
        for grant_id, shop_ids in covering.items():
            db.execute("INSERT OR IGNORE INTO ended_shops VALUES (?, ?)", (grant_id, shop_id))
            if left := [each for each in shop_ids if each != shop_id]:
                db.execute("UPDATE grants SET shop_ids = ? WHERE id = ?", (orjson.dumps(left), grant_id))
            else:
                db.execute("UPDATE grants SET active = 0, next_warning = NULL WHERE id = ?", (grant_id,))
        if covering:
            market.webhooks.enqueue(shop_id, 6, {"message": "The seller has removed the authorization"}, market.clock.now(), forced=True)
    return len(covering)

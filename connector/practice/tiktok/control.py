"""The control API `/practice/*`: how tests, benchmarks and the demonstration steer the marketplace (README.md one level up). Loopback only."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

import orjson
from flask import Blueprint, Response, abort, current_app, request

from .acts import ACTS, act, place
from .marketplace import Marketplace
from .oauth import accept, revoke
from .orderbook import Document
from .refusals import Refusal
from .schedule import reschedule, settle
from .seeding import seed
from .truth import everything, listing, references, summary

blueprint = Blueprint("control", __name__, url_prefix="/practice")
LOOPBACK = ("127.0.0.1", "::1")


def market() -> Marketplace:
    return current_app.extensions["marketplace"]


def only_from_here() -> None:
    """403 for callers from elsewhere and for pages of other sites in a browser here."""
    if request.remote_addr not in (*LOOPBACK, None):
        abort(403)
    origin = request.headers.get("Origin")
    if origin and request.method != "GET" and urlsplit(origin).netloc != request.host:
        abort(403)


def wish() -> dict[str, Any]:
    """The JSON body as an object; empty when there is none."""
    if not request.get_data(cache=True):
        return {}
    document = request.get_json(force=True, silent=True)
    if not isinstance(document, dict):
        raise ValueError("the body must be a JSON object")
    return document


blueprint.before_request(only_from_here)


@blueprint.errorhandler(ValueError)
@blueprint.errorhandler(TypeError)
def refused(error: Exception) -> tuple[Document, int]:
    return {"error": str(error)}, 400


@blueprint.errorhandler(KeyError)
def unknown(error: KeyError) -> tuple[Document, int]:
    text = str(error.args[0])
    return ({"error": text}, 404) if " " in text else ({"error": f"{text} is missing in the body"}, 400)


@blueprint.errorhandler(Refusal)
def not_there(error: Refusal) -> tuple[Document, int]:
    return {"error": error.message}, 404


@blueprint.get("/ping")
def ping() -> Document:
    return {"kind": "tiktok"}


@blueprint.get("/app")
def app() -> Document:
    shops = [{name: each[name] for name in ("id", "cipher", "code", "name", "region", "currency")} for each in market().shops.values()]
    return {**market().app, "shops": shops}


@blueprint.post("/app")
def change_app() -> Document:
    asked = wish()
    changes = {name: asked[name] for name in ("redirect_url", "webhook_url") if isinstance(asked.get(name), str)}
    if "scopes" in asked:
        changes["scopes"] = [str(scope) for scope in asked["scopes"]]
    if not changes or set(asked) - set(changes):
        raise ValueError("redirect_url, webhook_url (strings) and scopes (a list) can be changed")
    market().change_app(**changes)
    return app()


@blueprint.post("/shops/<name>")
def change_shop(name: str) -> Document:
    shop_id, inactive = market().shop(name)["id"], set(market().app.get("inactive_shops", []))
    inactive = inactive - {shop_id} if wish().get("active", True) else inactive | {shop_id}
    market().change_app(inactive_shops=sorted(inactive))
    return app()


@blueprint.post("/authorize")
def authorize() -> Document:
    asked = wish()
    shop_ids = [market().shop(name)["id"] for name in asked.get("shops") or market().shops]
    state = asked.get("state") or secrets.token_urlsafe(16)
    code, address = accept(market(), shop_ids, state)
    return {"code": code, "state": state, "redirect_to": address}


@blueprint.post("/authorizations/revoke")
def revoke_authorization() -> Document:
    return {"ended": revoke(market(), market().shop(wish()["shop"])["id"])}


@blueprint.post("/authorizations/scopes")
def change_scopes() -> Document:
    asked = wish()
    with market().store.write() as db:
        for row in db.execute("SELECT id, scopes FROM grants").fetchall():
            scopes = (set(orjson.loads(row["scopes"])) | set(asked.get("grant", ()))) - set(asked.get("revoke", ()))
            db.execute("UPDATE grants SET scopes = ? WHERE id = ?", (orjson.dumps(sorted(scopes)), row["id"]))
    return {}


@blueprint.post("/authorizations/expire")
def expire_tokens() -> Document:
    asked, now = wish(), market().clock.seconds()
    with market().store.write() as db:
        for kind, wanted in (("access", asked.get("access", True)), ("refresh", asked.get("refresh", False))):
            if wanted:
                db.execute("UPDATE tokens SET expires = min(expires, ?) WHERE kind = ?", (now, kind))
    return {}


@blueprint.post("/reset")
def reset() -> Document:
    market().reset(authorizations=bool(wish().get("authorizations")))
    return {}


@blueprint.post("/seed")
def seed_orders() -> Document:
    return seed(market(), wish())


@blueprint.get("/clock")
def clock() -> Document:
    return market().clock.state()


@blueprint.post("/clock")
def set_clock() -> Document:
    asked = wish()
    if unknown_names := set(asked) - {"rate", "advance_seconds", "reset"}:
        raise ValueError(f"the clock has no {', '.join(sorted(unknown_names))}")
    rate = asked.get("rate")
    market().clock.set(rate=None if rate is None else float(rate), advance_seconds=float(asked.get("advance_seconds", 0)), reset=bool(asked.get("reset")))
    settle(market())
    return clock()


@blueprint.get("/settings")
def settings() -> Document:
    return market().settings.as_dict()


@blueprint.post("/settings")
def change_settings() -> Document:
    market().settings.update(wish())
    reschedule(market())
    return settings()


@blueprint.route("/latency", methods=["GET", "POST"])
def latency() -> Document:
    if request.method == "POST":
        market().settings.update({"latency_ms": float(wish()["ms"])})
    return {"ms": market().settings.latency_ms}


@blueprint.get("/orders")
def orders() -> Response:
    settle(market())
    args = request.args
    name = args.get("shop") or args.get("shop_id")
    ids = args["ids"].split(",") if args.get("ids") else None
    shop_id = market().shop(name)["id"] if name else None
    found = listing(market(), shop_id, args.get("status"), ids, args.get("limit", type=int), args.get("after", ""))
    return Response(orjson.dumps(found), mimetype="application/json")


@blueprint.get("/orders/<order_id>")
def order(order_id: str) -> Document:
    settle(market())
    return everything(market(), order_id)


@blueprint.post("/orders")
def place_order() -> Document:
    return summary(place(market(), wish()), [])


@blueprint.post("/orders/<order_id>/<name>")
def act_on_order(order_id: str, name: str) -> Document:
    if name not in ACTS:
        raise KeyError(f"there is no act {name!r}; known: {', '.join(ACTS)}")
    changed = act(market(), order_id, name, wish())
    return summary(changed, references(market(), [order_id])[order_id])


@blueprint.get("/calls")
def calls() -> Document:
    return market().calls.report()


@blueprint.delete("/calls")
def forget_calls() -> Document:
    market().calls.clear()
    return {}


@blueprint.route("/limits", methods=["GET", "POST", "DELETE"])
def limits() -> Document:
    if request.method == "DELETE":
        market().limits.clear()
    elif request.method == "POST":
        for pattern, rule in wish().items():
            market().limits.set(pattern, float(rule["per_second"]), rule.get("burst"))
    return dict(market().limits.rules)


@blueprint.route("/faults", methods=["GET", "POST", "DELETE"])
def faults() -> Document | Response:
    if request.method == "DELETE":
        return {"removed": market().faults.remove()}
    if request.method == "POST":
        document = request.get_json(force=True, silent=True)
        if isinstance(document, dict):
            return market().faults.add(document)
        if not isinstance(document, list):
            raise ValueError("the body must be a fault or a list of faults")
        return {"faults": [market().faults.add(each) for each in document]}
    return {"faults": market().faults.all()}


@blueprint.delete("/faults/<int:number>")
def remove_fault(number: int) -> Document:
    return {"removed": market().faults.remove(number)}


@blueprint.get("/webhooks")
def webhooks() -> Document:
    return {"deliveries": market().webhooks.recent(request.args.get("limit", 500, type=int))}


@blueprint.post("/webhooks")
def send_webhook() -> Document:
    asked = wish()
    market().webhooks.enqueue(market().shop(asked["shop"])["id"], int(asked["type"]), asked.get("data", {}), market().clock.now(), forced=True)
    market().webhooks.dispatch()
    return webhooks()

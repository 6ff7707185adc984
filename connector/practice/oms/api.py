"""What the product calls: the signed feed-ready call, and the pull of statuses with a bearer token."""

from __future__ import annotations

from hmac import compare_digest
from typing import Any

import orjson
from flask import Blueprint, request

from connector.practice.mishaps import Mishaps

from .desk import Desk
from .signing import what_is_wrong

TOP = 1000


def blueprint(desk: Desk, mishaps: Mishaps) -> Blueprint:
    api = Blueprint("api", __name__)
    mishaps.watch(api)

    @api.post("/feed-ready")
    def feed_ready() -> tuple[dict[str, Any], int]:
        """202 for a new feed, 200 for one that was announced before and for a test call, 401 for a wrong or old signature, 400 for anything that is no announcement."""
        raw = request.get_data()
        wrong = what_is_wrong(desk.settings["secret"], request.headers, raw)
        if wrong:
            desk.note_call("feed_ready", 401, problem=wrong)
            return {"error": wrong}, 401
        try:
            call = orjson.loads(raw)
            missing = [name for name in ("event", "feed_id", "format", "rows", "bytes", "sha256", "url") if name not in call]
        except (orjson.JSONDecodeError, TypeError):
            call, missing = None, ["a JSON object"]
        if isinstance(call, dict) and call.get("event") == "test":
            desk.note_call("feed_ready", 200, body=call)
            return {"accepted": True, "test": True}, 200
        if missing or call["event"] != "feed.ready":
            desk.note_call("feed_ready", 400, problem=f"missing: {', '.join(missing)}", body=call)
            return {"error": f"The call lacks {', '.join(missing) or 'the event feed.ready'}."}, 400
        fresh = desk.collector.announce(call)
        desk.note_call("feed_ready", 202 if fresh else 200, body=call)
        return {"accepted": True, "repeated": not fresh}, 202 if fresh else 200

    @api.get("/statuses")
    def statuses() -> tuple[dict[str, Any], int]:
        """`?cursor=&limit=`: `{events, next_cursor, more}`; the cursor never expires, the same one always gives the same events first."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        expected = desk.settings["pull_token"]
        if not expected or not compare_digest(token.encode(), expected.encode()):
            desk.note_call("statuses", 401)
            return {"error": "The bearer token is wrong."}, 401
        cursor, limit = request.args.get("cursor") or "0", request.args.get("limit", 100, type=int)
        if not cursor.isdecimal() or not 1 <= limit <= TOP:
            desk.note_call("statuses", 400, cursor=cursor, limit=limit)
            return {"error": f"cursor must be one that this OMS gave out, limit between 1 and {TOP}."}, 400
        events, last, more = desk.offered(int(cursor), limit)
        desk.note_call("statuses", 200, cursor=cursor, limit=limit, events=len(events))
        return {"events": events, "next_cursor": str(last), "more": more}, 200

    return api

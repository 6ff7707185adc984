"""``POST /webhooks/tiktok``: no sign-in and no CSRF token, the signature over the raw body is the door (TTS §5.8.3)."""

from __future__ import annotations

from flask import Blueprint, Response, request

from connector.services import webhooks
from connector.web.auth import public
from connector.web.security import csrf

bp = Blueprint("webhooks", __name__, url_prefix="/webhooks")
csrf.exempt(bp)

#: TikTok's messages have well under this; more is not read.
LARGEST = 256 * 1024


@bp.post("/tiktok")
@public
def tiktok() -> Response:
    """Answers within TikTok's three seconds: verify, keep, submit. The body is read raw, before anything looks at it."""
    if (request.content_length or 0) > LARGEST:
        return Response("The message is too large.\n", 413, mimetype="text/plain")
    raw = request.get_data(cache=True)
    verdict = webhooks.receive(raw, request.headers.get("Authorization"))
    return Response(f"{verdict.reason}\n", verdict.status, mimetype="text/plain")

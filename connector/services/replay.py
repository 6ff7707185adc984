"""Looking at a recorded call again: as a curl command, and sent anew (product.md 12, "safe replay").

Only reads are sent again. A replay is signed afresh with the present token; nothing secret comes from the record.
"""

from __future__ import annotations

import shlex
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import select

from connector.clients.errors import ApiError
from connector.core.db import db, end_reading
from connector.core.errors import DomainError
from connector.models.trace import ApiCall
from connector.services import connections

#: Computed anew for every request.
FRESH = frozenset({"app_key", "timestamp", "sign", "shop_cipher", "access_token"})


def as_curl(call: ApiCall) -> str:
    """A shell command that shows the request; secrets stand as placeholders."""
    parts = ["curl", "-X", call.method, shlex.quote(call.url)]
    if call.system == "tiktok":
        parts += ["-H", "'x-tts-access-token: $ACCESS_TOKEN'", "-H", "'content-type: application/json'"]
    else:
        parts += ["-H", "'Authorization: Bearer $ACCESS_TOKEN'", "-H", "'Accept: application/json'"]
    if call.request_body:
        if call.system == "magento":
            parts += ["-H", "'Content-Type: application/json'"]
        parts += ["--data-binary", shlex.quote(call.request_body)]
    return " ".join(parts)


def refusal(call: ApiCall) -> DomainError | None:
    """Why this call may not be sent again, if it may not."""
    if not call.safe:
        return DomainError(
            "replay.write",
            f"{call.operation} changes something, so it is not sent again from here.",
            "Use the action on the order; it looks first whether the effect is there.",
        )
    if "***" in (call.request_body or "") or "... (cut)" in (call.request_body or ""):
        return DomainError("replay.masked", "The recorded request was masked or cut and cannot be sent as it was.", "Sync the order instead.")
    if call.system not in ("tiktok", "magento"):
        return DomainError("replay.system", "Calls of an external storefront are not sent again from here.", "Choose Sync Status on the order instead.")
    if (call.system == "tiktok" and call.account_id is None) or (call.system == "magento" and call.magento_id is None):
        return DomainError("replay.no_account", "The record does not say which account made the call.", "Make the call again from the account's page.")
    return None


def replay(call_id: int) -> int:
    """Send a recorded read again; the id of the new record. Raises ``DomainError`` when it may not or cannot be sent."""
    call = db.session.get(ApiCall, call_id)
    if call is None:
        raise DomainError("replay.unknown", f"There is no call {call_id}.", "It may have been removed by housekeeping.")
    if (error := refusal(call)) is not None:
        raise error
    address = urlsplit(call.url)
    query = {key: value for key, value in parse_qsl(address.query) if key not in FRESH}
    end_reading()
    token = connections.replay_now.set(call_id)
    try:
        if call.system == "tiktok":
            connections.tiktok(call.account_id).send_again(call.operation, address.path, query, (call.request_body or "").encode() or None)
        else:
            connections.magento(call.magento_id).read_again(call.operation, address.path, list(parse_qsl(address.query)))
    except ApiError:
        pass  # a refused replay is recorded too, and shown
    finally:
        connections.replay_now.reset(token)
    found = db.session.scalar(select(ApiCall.id).where(ApiCall.replay_of == call_id).order_by(ApiCall.id.desc()))
    db.session.commit()
    if found is None:
        raise DomainError("replay.not_sent", "The call could not be sent.", "Check that the account is authorised, then try again.")
    return found

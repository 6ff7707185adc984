"""Webhook addresses of a shop (TTS §5.8.1)."""

from __future__ import annotations

from typing import Any

from .operations import Call, operation
from .refusals import BAD_REQUEST, Refusal
from .webhooks import CONFIGURABLE

SCOPE = "seller.authorization.info"


@operation("webhooks.list", "GET /event/{version}/webhooks", "202309", SCOPE)
def list_webhooks(call: Call) -> dict[str, Any]:
    rows = call.market.store.read.execute(
        "SELECT event_type, address, create_time, update_time FROM webhook_addresses WHERE shop_id = ? ORDER BY event_type", (call.shop["id"],)
    ).fetchall()
    return {"webhooks": [dict(row) for row in rows], "total_count": len(rows)}


@operation("webhooks.set", "PUT /event/{version}/webhooks", "202309", SCOPE, writes=True)
def set_webhook(call: Call) -> dict[str, Any]:
    address = call.field("address", required=True)
    event = _event(call)
    if len(address) > 255 or not address.startswith(("http://", "https://")):
        raise Refusal(BAD_REQUEST, "param body.address is invalid: an address of at most 255 characters")
    with call.market.store.write() as db:
        db.execute(
            "INSERT INTO webhook_addresses VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET address = excluded.address, update_time = excluded.update_time",
            (call.shop["id"], event, address, call.now, call.now),
        )
    return {}


@operation("webhooks.remove", "DELETE /event/{version}/webhooks", "202309", SCOPE, writes=True)
def remove_webhook(call: Call) -> dict[str, Any]:
    """Succeeds even if none was set."""
    with call.market.store.write() as db:
        db.execute("DELETE FROM webhook_addresses WHERE shop_id = ? AND event_type = ?", (call.shop["id"], _event(call)))
    return {}


def _event(call: Call) -> str:
    event = call.field("event_type", required=True)
    if event not in CONFIGURABLE:
        raise Refusal(BAD_REQUEST, f"param body.event_type is invalid: {event}")
    return event

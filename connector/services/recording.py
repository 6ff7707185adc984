"""Keeping every call to TikTok and Magento for the API-calls page, with secrets and buyer data masked (product rule 12).

Masking works on the raw text, so that it costs little on a full page of orders and also holds for a body that was cut.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

from sqlalchemy import insert

from connector.clients.base import CallRecord
from connector.clients.tiktok import OPERATIONS
from connector.core.db import db
from connector.models.trace import ApiCall

READ_BYTES, WRITE_BYTES = 4096, 65536

#: Keys whose values are secrets or the buyer's data (TTS §1.4, §5.4.5; MAG orders, addresses, customers).
_PRIVATE = (
    "access_token|refresh_token|app_secret|cipher|consumer_secret|token_secret|oauth_token|password|auth_code|"
    "first_name|last_name|first_name_local_script|last_name_local_script|phone_number|phone|full_address|address_detail|address_line_?[1-4]|"
    "postal_code|postcode|post_town|address_name|buyer_email|buyer_nickname|buyer_avatar|buyer_message|cpf|cpf_name|contact_person|"
    "firstname|lastname|middlename|street|telephone|fax|email|customer_email|customer_firstname|customer_lastname|customer_middlename|"
    "customer_dob|customer_taxvat|customer_note|company|vat_id|remote_ip|x_forwarded_for|dob|taxvat|latitude|longitude|drop_off_location|"
    "firstName|lastName|address1|address2|postalCode"
)
_VALUE = r'("(?:[^"\\]|\\.)*"?|\[[^\]]*\]?|-?\d[\d.]*)'
_ANYWHERE = re.compile(rf'("(?:{_PRIVATE})"\s*:\s*){_VALUE}')
#: TikTok calls a recipient's name plainly ``name``; elsewhere that key names warehouses, carriers and shops.
_WITH_NAME = re.compile(rf'("(?:{_PRIVATE}|name)"\s*:\s*){_VALUE}')
_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_NAMED = re.compile(r"order|package|cancel|return|aftersale|tracking|document")


def mask(text: str, *, operation: str = "", system: str = "") -> str:
    """The text without secrets and buyer data."""
    pattern = _WITH_NAME if system == "tiktok" and _NAMED.search(operation) else _ANYWHERE
    masked = pattern.sub(r'\1"***"', text)
    return _EMAIL.sub("***", masked) if "@" in masked else masked


def is_read(system: str, operation: str, method: str) -> bool:
    """Whether the call changes nothing and may be replayed. TikTok's searches are reads although they are POSTs."""
    known = OPERATIONS.get(operation) if system == "tiktok" else None
    return known.read if known else method == "GET" and operation not in ("token", "refresh")


def record(call: CallRecord) -> None:
    """Write one call in a short transaction of its own; the caller has none open."""
    safe = is_read(call.system, call.operation, call.method)
    failed = call.error_class is not None
    limit = READ_BYTES if safe and not failed else WRITE_BYTES
    context = call.context
    query = f"?{urlencode({k: _EMAIL.sub('***', v) for k, v in call.query.items()}, safe='*[]$')}" if call.query else ""
    row = {
        "at": call.started_at,
        "system": call.system,
        "account_id": context.get("account"),
        "magento_id": context.get("magento"),
        "operation": call.operation[:80],
        "method": call.method,
        "url": f"{context.get('scheme', 'https')}://{call.host}{call.path}{query}",
        "status": call.status,
        "code": (call.remote_code or call.code or "")[:40],
        "request_id": (call.request_id or "")[:80],
        "milliseconds": round(call.ms),
        "failed": failed,
        "error": f"{call.error_class}: {call.code}" if failed else "",
        "request_body": _body(call, call.request_body, limit),
        "response_body": _body(call, call.response_body, limit),
        "safe": safe,
        "run_id": context.get("run"),
        "order_id": context.get("order"),
        "replay_of": context.get("replay_of"),
    }
    with db.engine.begin() as connection:
        connection.execute(insert(ApiCall), row)


def _body(call: CallRecord, body: bytes | None, limit: int) -> str | None:
    if not body:
        return None
    start = body[: limit + 1024]
    if b"\0" in start:  # a picture: no text, and PostgreSQL's text takes no zero bytes
        return f"({len(body):,} bytes that are no text)"
    text = start.decode("utf-8", "replace")
    masked = mask(text, operation=call.operation, system=call.system)
    return masked[:limit] + ("... (cut)" if len(body) > limit else "")

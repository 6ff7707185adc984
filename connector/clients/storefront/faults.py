"""A storefront's refusals (RFC 7807 `application/problem+json`) as our errors."""

from __future__ import annotations

import json
from typing import Any

from connector.clients.answer import Answer
from connector.clients.errors import ApiError, Conflict, NotFound, RateLimited, Rejected, Unauthorized, Unavailable, Uncertain, Unexpected

SYSTEM = "storefront"
#: What a store says of a single line, as our codes.
_CODES = {"UNKNOWN_SKU": "sto.sku_unknown", "OFFLINE": "sto.offline", "OUT_OF_STOCK": "sto.out_of_stock"}


def refusal(answer: Answer, *, operation: str, safe: bool) -> ApiError:
    """The error for an answer that is not a success. `remote_code` is the first code that the problem names, `remote_message` its own words."""
    problem = _problem(answer.body)
    named = [str(each["code"]) for each in problem.get("errors") or () if isinstance(each, dict) and each.get("code")]
    words = ": ".join(str(problem[name]) for name in ("title", "detail") if problem.get(name)) or answer.body[:300].decode("utf-8", "replace")
    facts: dict[str, Any] = {
        "system": SYSTEM,
        "operation": operation,
        "status": answer.status,
        "remote_message": words,
        "remote_code": next(iter(named), None) or problem.get("error") or None,
        "parameters": problem.get("errors"),
        "request_id": answer.headers.get("X-Request-Id"),
        "retry_after": answer.retry_after,
    }
    message = f"The storefront refused {operation}: {words or f'HTTP {answer.status}'}"
    if answer.status == 429:
        return RateLimited(message, code="sto.rate_limited", **facts)
    if answer.status == 408 or answer.status >= 500:
        if safe:
            return Unavailable(message, code="sto.unavailable", **facts)
        return Uncertain(f"{message}; the change may have been made", **facts)
    if answer.status in (401, 403):
        code = "sto.client" if operation == "token" else "sto.token" if answer.status == 401 else "sto.forbidden"
        return Unauthorized(message, reason={"sto.token": "expired", "sto.forbidden": "scope"}.get(code, "revoked"), code=code, **facts)
    if answer.status == 404:
        return NotFound(message, code="sto.not_found", **facts)
    if answer.status in (409, 412):
        return Conflict(message, code="sto.changed" if answer.status == 412 else "sto.conflict", **facts)
    if answer.status < 400:
        return Unexpected(message, **facts)
    if operation == "token":
        return Unauthorized(message, reason="revoked", code="sto.client", **facts)
    return Rejected(message, code=next((code for name, code in _CODES.items() if name in named), "sto.rejected"), **facts)


def _problem(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

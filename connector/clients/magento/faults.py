"""Magento's refusals: from status, template and parameters to our errors (MAG §3, §4.4.7).

Texts are translated by the store's locale, so they only refine what the status already says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.clients.answer import Answer
from connector.clients.errors import (
    ApiError,
    Conflict,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Uncertain,
    Unexpected,
)


@dataclass(frozen=True, slots=True)
class Hint:
    """Part of the English template (or of the filled text), and what it means."""

    text: str
    code: str
    kind: type[ApiError] = Rejected
    transient: bool = False
    reason: str = ""


HINTS: dict[int, tuple[Hint, ...]] = {
    400: (
        Hint("Specified request cannot be processed", "mag.store_code"),
        Hint("Maximum SearchCriteria pageSize", "mag.page_size"),
        Hint("Unique constraint violation found", "mag.duplicate", Conflict),
        Hint("A customer with the same email", "mag.customer_exists", Conflict),
        Hint("A server error stopped your order", "mag.cart_busy", Conflict, transient=True),
        Hint("Could not save Source Item", "mag.source_item", transient=True),
        Hint("The requested sku is not assigned to given stock", "mag.stock_unassigned", transient=True),
        Hint("Product that you are trying to add is not available", "mag.product_unavailable", transient=True),
        Hint("Could not save a shipment", "mag.shipment_not_saved", transient=True),
        Hint("Could not save a Creditmemo", "mag.creditmemo_not_saved", transient=True),
        Hint("The requested qty is not available", "mag.qty_unavailable"),
        Hint("Some of the products are out of stock", "mag.qty_unavailable"),
        Hint("Not all of your products are available", "mag.qty_unavailable"),
        Hint("Document Validation Error", "mag.document"),
        Hint("The order does not allow", "mag.document"),
        Hint("The requested Payment Method is not available", "mag.payment_method"),
        Hint("Some addresses can't be used", "mag.address"),
        Hint("Please check the shipping address", "mag.address"),
        Hint("Failed address validation", "mag.address"),
        Hint("The shipping information was unable to be saved", "mag.address"),
        Hint("We can't save the address", "mag.address"),
        Hint("Email has a wrong format", "mag.address"),
        Hint("You need to choose options", "mag.options_required"),
        Hint("required option(s)", "mag.options_required"),
        Hint("Signature method", "mag.oauth", Unauthorized, reason="signature"),
    ),
    401: (
        Hint("The signature is invalid", "mag.signature", Unauthorized, reason="signature"),
        Hint("The nonce is already being used", "mag.nonce_used", Unauthorized, reason="signature"),
        Hint("An error occurred validating the nonce", "mag.clock", Unauthorized, reason="clock"),
        Hint("A consumer having the specified key", "mag.consumer_unknown", Unauthorized, reason="revoked"),
        Hint("Specified token does not exist", "mag.token_unknown", Unauthorized, reason="revoked"),
    ),
    404: (
        Hint("Request does not match any route", "mag.route_unknown", NotFound),
        Hint("Carrier with such method not found", "mag.shipping_method", NotFound),
        Hint("The product that was requested", "mag.sku_unknown", NotFound),
    ),
}
_DEFAULTS = {400: Hint("", "mag.rejected"), 404: Hint("", "mag.not_found", NotFound)}
_REPORT = re.compile(r"webapi-[0-9a-f]{13}")


def refusal(answer: Answer, *, operation: str, safe: bool, bearer: bool) -> ApiError:
    """The error for an answer that is not a success."""
    payload = _json(answer.body)
    template, parameters = _message(payload)
    text = fill(template, parameters)
    for inner in (payload or {}).get("errors") or []:
        text += " " + fill(str(inner.get("message", "")), inner.get("parameters"))
    shown = text if payload is not None else f"HTTP {answer.status} without JSON ({answer.media_type or 'no type'})"
    report = _REPORT.search(text)
    facts: dict[str, Any] = {
        "system": "magento",
        "operation": operation,
        "status": answer.status,
        "remote_message": text or answer.body[:300].decode("utf-8", "replace"),
        "remote_code": str(payload["code"]) if payload and "code" in payload else None,
        "parameters": parameters,
        "request_id": report[0] if report else None,
        "retry_after": answer.retry_after,
    }
    message = f"Magento refused {operation}: {shown}"
    if answer.status == 429:
        return RateLimited(message, code="mag.rate_limited", **facts)
    if answer.status == 408 or answer.status >= 500:
        code = "mag.maintenance" if answer.status in (502, 503, 504) else "mag.internal"
        if safe:
            return Unavailable(message, code=code, **facts)
        return Uncertain(f"{message}; the change may have been made", code="net.uncertain", **facts)
    hint = _hint(answer.status, f"{template}\n{text}")
    if answer.status == 401 and hint is None:
        return _not_authorized(message, parameters, facts, bearer=bearer)
    if answer.status == 403:
        return Unauthorized(message, reason="ip", code="mag.blocked", **facts)
    if payload is None or answer.status < 400:
        return Unexpected(message, **facts)
    hint = hint or _DEFAULTS.get(answer.status, _DEFAULTS[400])
    if issubclass(hint.kind, Unauthorized):
        return hint.kind(message, reason=hint.reason, code=hint.code, **facts)
    return hint.kind(message, code=hint.code, transient=hint.transient, **facts)


def fill(template: str, parameters: Mapping[str, Any] | Sequence[Any] | None) -> str:
    """A template with `%1` (list) or `%name` (object) placeholders, filled."""
    if isinstance(parameters, Mapping):
        values = {str(name): str(value) for name, value in parameters.items()}
    else:
        values = {str(number): str(value) for number, value in enumerate(parameters or (), 1)}
    return re.sub(r"%(\w+)", lambda found: values.get(found[1], found[0]), template)


def _not_authorized(message: str, parameters: Any, facts: dict[str, Any], *, bearer: bool) -> ApiError:
    """A refused bearer is treated as anonymous, so it looks like a missing permission (MAG §1.2 a)."""
    named = parameters.get("resources") if isinstance(parameters, Mapping) else None
    missing = [part.strip() for part in str(named or "").split(",") if part.strip()]
    if bearer:
        return Unauthorized(message, reason="acl" if missing else "revoked", missing=missing, code="mag.not_authorized", **facts)
    if missing:
        return Unauthorized(message, reason="acl", missing=missing, code="mag.acl_missing", **facts)
    return Unauthorized(message, reason="revoked", code="mag.oauth", **facts)


def _hint(status: int, text: str) -> Hint | None:
    return next((hint for hint in HINTS.get(status, ()) if hint.text in text), None)


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        payload = json.loads(body)
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None


def _message(payload: dict[str, Any] | None) -> tuple[str, Any]:
    if payload is None:
        return "", None
    if "message" in payload:
        return str(payload["message"]), payload.get("parameters")
    listed = (payload.get("messages") or {}).get("error") or [] if isinstance(payload.get("messages"), dict) else []
    return "; ".join(str(entry.get("message", "")) for entry in listed), None

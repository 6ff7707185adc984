"""Reading TikTok Shop's answers: the envelope of TTS §3.1, refusals, and batch results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from connector.clients.answer import Answer
from connector.clients.errors import ApiError, Unauthorized, Uncertain, Unexpected
from connector.clients.tiktok.codes import Known, by_status, classify


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one object of a batch was refused. `code` is text because TikTok sends numbers here and strings there."""

    id: str
    code: str
    message: str
    extra: tuple[tuple[str, str], ...] = ()  # (code, message) of extra_errors


@dataclass(frozen=True, slots=True)
class BatchResult:
    """`errors` by object id; an id that is absent succeeded. `unnamed` holds errors that named no object."""

    errors: Mapping[str, ItemError]
    data: Mapping[str, Any] = field(default_factory=dict)
    unnamed: tuple[ItemError, ...] = ()


def read_data(answer: Answer, trace: dict[str, str], *, operation: str, safe: bool, paged: bool = False) -> dict[str, Any]:
    """`data` of a successful answer; raises the translated error otherwise.

    Success is `code` 0, whatever the HTTP status below 400. A body that is no envelope is judged by the HTTP status.
    """
    envelope = _envelope(answer)
    if envelope is None:
        meaning = by_status(answer.status)
        text = f"TikTok Shop answered HTTP {answer.status} without its envelope"
        if meaning is not None:
            raise _error(meaning, text, operation=operation, answer=answer, safe=safe)
        if not safe and answer.status < 400:
            raise Uncertain(f"{text}; the change may have been made", system="tiktok", operation=operation, status=answer.status)
        error = Unexpected(text, system="tiktok", operation=operation, status=answer.status)
        error.retriable = answer.status < 400  # a mangled answer is worth another look
        raise error
    code, message = int(envelope["code"]), str(envelope.get("message") or "")
    request_id = str(envelope.get("request_id") or "")
    trace.update(request_id=request_id, remote_code=str(code))
    if code == 0 and answer.status < 400:
        return envelope.get("data") or {}
    meaning = classify(code, message, status=answer.status, paged=paged)
    refusal = _error(meaning, message, operation=operation, answer=answer, safe=safe, code=code, request_id=request_id)
    refusal.parameters = _causes(envelope.get("data"))
    raise refusal


def read_batch(data: Mapping[str, Any], id_key: str) -> BatchResult:
    """The partial failures inside a successful answer (TTS §3.1); `id_key` names the object in `detail`."""
    errors: dict[str, ItemError] = {}
    unnamed: list[ItemError] = []
    for item in data.get("errors") or []:
        detail = item.get("detail") or {}
        extra = tuple((str(e.get("code", "")), str(e.get("message", ""))) for e in detail.get("extra_errors") or [])
        error = ItemError(str(detail.get(id_key) or ""), str(item.get("code", "")), str(item.get("message", "")), extra)
        if error.id:
            errors[error.id] = error
        else:
            unnamed.append(error)
    return BatchResult(errors, data, tuple(unnamed))


def _causes(data: Any) -> tuple[tuple[str, str], ...]:
    """(code, message) of everything that a refusal names as its cause (TTS §3.1, §3.4 12052990)."""
    rows = data.get("errors") if isinstance(data, Mapping) else None
    extra = [each for row in rows or () for each in (row.get("detail") or {}).get("extra_errors") or ()]
    return tuple((str(each.get("code", "")), str(each.get("message", ""))) for each in extra)


def _envelope(answer: Answer) -> dict[str, Any] | None:
    try:
        payload = orjson.loads(answer.body)
        int(payload["code"])
    except (ValueError, KeyError, TypeError):
        return None
    return payload  # type: ignore[no-any-return]


def _error(
    meaning: Known,
    message: str,
    *,
    operation: str,
    answer: Answer,
    safe: bool,
    code: int | None = None,
    request_id: str = "",
) -> ApiError:
    facts: dict[str, Any] = {
        "system": "tiktok",
        "operation": operation,
        "status": answer.status,
        "code": meaning.code,
        "request_id": request_id or None,
        "retry_after": answer.retry_after,
        "remote_code": None if code is None else str(code),
        "remote_message": message,
    }
    text = f"TikTok Shop refused {operation}: {message}" + (f" (code {code})" if code is not None else "")
    if meaning.retry == "read_back" and not safe:
        return Uncertain(f"{text}; the change may have been made", **facts)
    if issubclass(meaning.kind, Unauthorized):
        return meaning.kind(text, reason=meaning.reason, **facts)
    return meaning.kind(text, **facts)

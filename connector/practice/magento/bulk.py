"""Asynchronous and bulk calls, executed at once; the answer is the 202 of a real store (MAG §4.8)."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import orjson

from .errors import RestError
from .numbers import now
from .routing import Call, Route, route
from .search_criteria import snake
from .storage import Doc, Storage

OPERATIONS = "Magento_Logging::system_magento_logging_bulk_operations"


def split(path: str) -> tuple[str, str]:
    """(`""`, `"async"` or `"bulk"`, the path from `/V1` on)."""
    for prefix, kind in (("/async/bulk/", "bulk"), ("/async/", "async")):
        if path.startswith(prefix):
            return kind, "/" + path.removeprefix(prefix)
    return "", path


def accept(storage: Storage, kind: str, entry: Route, arguments: list[str], query: Doc, body: Any, store: Doc, root: str, caller: Doc | None) -> Doc:
    """Run every element in its own transaction and keep the outcome for the status call."""
    elements = body if kind == "bulk" else [body]
    if entry.method == "GET" or not isinstance(elements, list):
        raise RestError(404, "Request does not match any route.")
    bulk_id, operations, shown = str(uuid.uuid4()), [], []
    for number, element in enumerate(elements):
        values = [_argument(argument, element) for argument in arguments]
        outcome = {"id": number, "status": 1, "result_message": f"Service execution success {entry.path}", "error_code": None}
        try:
            with storage.write() as db:
                entry.handler(Call(db, entry, values, query, element, store, root), *values)
        except RestError as error:
            outcome.update(status=3, result_message=error.message, error_code=error.status)
        operations.append(outcome)
        digest = hashlib.sha256(orjson.dumps(element)).hexdigest()
        shown.append({"id": number, "data_hash": digest, "status": "accepted"})
    topic = entry.path.removeprefix("/V1/").replace("/", ".").replace(":", "").lower()
    status = {
        "operations_list": operations,
        "user_type": 1,
        "bulk_id": bulk_id,
        "description": f"Topic async.{topic}.{entry.method.lower()}",
        "start_time": now(),
        "user_id": caller["id"] if caller else 0,
        "operation_count": len(operations),
    }
    with storage.write() as db:
        db.run("INSERT INTO config VALUES (?, ?)", f"bulk:{bulk_id}", orjson.dumps(status))
    return {"bulk_uuid": bulk_id, "request_items": shown, "errors": False}


def _argument(argument: str, element: Doc) -> str:
    name = snake(argument)
    if not name.startswith("by_"):
        return argument
    wanted = name.removeprefix("by_")
    found = next((v for k, v in _flat(element) if snake(k) == wanted), None)
    return str(found if found is not None else argument)


def _flat(element: Any) -> list[tuple[str, Any]]:
    if not isinstance(element, dict):
        return []
    return [pair for key, value in element.items() for pair in [(key, value), *_flat(value)]]


@route("GET", "/V1/bulk/:bulkUuid/status", OPERATIONS)
def status(call: Call, bulk_id: str) -> Doc:
    row = call.db.one("SELECT value FROM config WHERE name = ?", f"bulk:{bulk_id}")
    if row is None:
        raise RestError(404, "Bulk uuid %bulkUuid not exist", {"bulkUuid": bulk_id})
    return orjson.loads(row[0])

"""Faults that bend an answer after it was made."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
from flask import Response

from ..held import SECONDS


def wait_and_close(fault: dict[str, Any], close: Callable[[], Response]) -> Response:
    time.sleep(float(fault.get("seconds", 35)))
    return close()


def hold(fault: dict[str, Any], *, done: bool) -> None:
    """Stand still before the call is carried out, or after, as the `held` fault says."""
    if done is (fault.get("effect") == "before"):
        fault["gate"].wait(float(fault.get("seconds", SECONDS)))


def bend(response: Response, fault: dict[str, Any]) -> Response:
    """The answer later, held, cut, with an unknown status or with fields nobody documented."""
    kind = fault["kind"]
    if kind == "slow":
        time.sleep(float(fault.get("ms", 5000)) / 1000)
        return response
    if kind == "held":
        hold(fault, done=True)
        return response
    body = response.get_data()
    if kind == "malformed_json":
        response.set_data(body[: len(body) // 2])
        return response
    document = orjson.loads(body)
    if kind == "unknown_status":
        for order in document.get("data", {}).get("orders", []):
            order["status"] = fault.get("value", "SHIPPED")
    else:
        document = with_extra_fields(document)
    response.set_data(orjson.dumps(document))
    return response


def with_extra_fields(value: Any) -> Any:
    if isinstance(value, list):
        return [with_extra_fields(each) for each in value]
    if isinstance(value, dict):
        grown = {name: with_extra_fields(each) for name, each in value.items()}
        return {**grown, "new_field_2027": "unannounced", "new_object_2027": {"nested": [1, None, "é"]}}
    return value

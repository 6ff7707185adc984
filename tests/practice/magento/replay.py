"""Replays recorded exchanges against the practice store and compares them: status, content type, key sets, types, error texts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from .shop import Shop

CAPTURES = Path(__file__).resolve().parents[2] / "contracts" / "magento-captures"
_ID_KEYS = [
    "quote_id",
    "entity_id",
    "increment_id",
    "item_id",
    "order_item_id",
    "order_id",
    "parent_id",
    "product_id",
    "customer_id",
    "return_to_stock_items",
    "fieldValue",
    "id",
]
_IDENTITY = ("attribute_code", "source_code", "code", "key", "sku", "carrier_code", "name", "field")
_VOLATILE = re.compile(r"(_id|_at|^id|^mask|protect_code|remote_ip|updated|created|_time|uuid|hash)$")
_REPORT = re.compile(r"webapi-[0-9a-f]{13}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")


@dataclass
class Capture:
    name: str
    request: dict[str, Any]
    response: dict[str, Any]
    truncated: bool


def load(name: str) -> Capture:
    raw = json.loads((CAPTURES / f"{name}.json").read_text())
    return Capture(name, raw["request"], raw["response"], bool(raw.get("truncated")))


def names() -> list[str]:
    return sorted(path.stem for path in CAPTURES.glob("*.json"))


def kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "string", list: "list", dict: "object"}[type(value)]


def swapped(value: Any, swap: dict[str, Any], key: str = "") -> Any:
    """The same value with recorded ids replaced by ours, under id-like keys only."""
    if isinstance(value, dict):
        return {k: swapped(v, swap, k) for k, v in value.items()}
    if isinstance(value, list):
        return [swapped(v, swap, key) for v in value]
    if key in _ID_KEYS and str(value) in swap:
        new = swap[str(value)]
        return str(new) if isinstance(value, str) else new
    return value


@dataclass
class Comparison:
    truncated: bool
    values: bool = False
    differences: list[str] = field(default_factory=list)

    def note(self, path: str, text: str) -> None:
        self.differences.append(f"{path or '/'}: {text}")

    def compare(self, recorded: Any, actual: Any, path: str = "") -> None:
        if kind(recorded) != kind(actual):
            self.note(path, f"recorded {kind(recorded)} {recorded!r:.80}, got {kind(actual)} {actual!r:.80}")
        elif isinstance(recorded, dict):
            missing, extra = recorded.keys() - actual.keys(), actual.keys() - recorded.keys()
            if missing or extra:
                self.note(path, f"missing keys {sorted(missing)}, extra keys {sorted(extra)}")
            if "message" in recorded and path.count("/") < 3:
                self._message(recorded, actual, path)
            for key in recorded.keys() & actual.keys():
                self.compare(recorded[key], actual[key], f"{path}/{key}")
        elif isinstance(recorded, list):
            self._list(recorded, actual, path)
        elif isinstance(recorded, str) and _DATE.match(recorded):
            if not _DATE.match(actual):
                self.note(path, f"recorded a date, got {actual!r}")
        elif self.values and recorded != actual and not _VOLATILE.search(path):
            self.note(path, f"recorded {recorded!r:.100}, got {actual!r:.100}")

    def _message(self, recorded: dict, actual: dict, path: str) -> None:
        def text(body: dict) -> tuple:
            return _REPORT.sub("webapi-…", str(body.get("message"))), body.get("parameters")

        if text(recorded) != text(actual):
            self.note(path, f"recorded error {text(recorded)}, got {text(actual)}")

    def _list(self, recorded: list, actual: list, path: str) -> None:
        if bool(recorded) != bool(actual):
            self.note(path, f"recorded {len(recorded)} elements, got {len(actual)}")
        for position, element in enumerate(recorded):
            partner = self._partner(element, actual, position)
            if partner is None:
                self.note(path, f"no partner for element {position} {element!r:.100}")
            else:
                self.compare(element, partner, f"{path}/{position}")
        if recorded and isinstance(recorded[0], dict) and "attribute_code" in recorded[0] and not self.truncated:
            extra = {e["attribute_code"] for e in actual} - {e["attribute_code"] for e in recorded}
            if extra:
                self.note(path, f"extra attributes {sorted(extra)}")

    @staticmethod
    def _partner(element: Any, actual: list, position: int) -> Any:
        if isinstance(element, dict):
            for key in _IDENTITY:
                if key in element:
                    same = [e for e in actual if isinstance(e, dict) and e.get(key) == element[key]]
                    if same:
                        return same[0] if len(same) == 1 or position >= len(actual) else next((e for e in same if e is actual[position]), same[0])
        return actual[position] if position < len(actual) else None


class Replay:
    """Sends recorded requests with our ids and keeps what differed, per capture."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.differences: dict[str, list[str]] = {}

    def __call__(
        self,
        name: str,
        swap: dict[Any, Any] | None = None,
        *,
        headers: dict | None = None,
        values: bool = False,
        body: Any = None,
        path: str | None = None,
    ) -> Any:
        """Replay one capture; `swap` maps recorded ids to ours. Returns the actual body."""
        capture = load(name)
        known = {str(old): new for old, new in (swap or {}).items()}
        response = self._send(capture, known, headers or {}, body, path)
        comparison = Comparison(capture.truncated, values)
        expected = capture.response
        if response.status_code != expected["status"]:
            comparison.note("status", f"recorded {expected['status']}, got {response.status_code} {response.text[:200]}")
        wanted, got = (text.split(";")[0] for text in (expected["content_type"], response.headers.get("Content-Type", "")))
        if wanted != got:
            comparison.note("content type", f"recorded {wanted}, got {got}")
        actual = response.json() if got == "application/json" else response.text
        if wanted == "application/json":
            comparison.compare(swapped(expected["body"], known), actual)
        elif wanted == "text/html":
            self._same_page(expected["body"], actual, comparison)
        elif expected["body"].strip() != actual.strip():
            comparison.note("body", f"recorded {expected['body']!r}, got {actual!r}")
        self.differences[name] = comparison.differences
        return actual

    def _send(self, capture: Capture, swap: dict, headers: dict, body: Any, path: str | None) -> requests.Response:
        request = capture.request
        segments = [str(swap.get(part, part)) for part in request["path"].split("/")]
        query = [(key, swap.get(value, value)) for key, value in request.get("query") or []]
        given = {**(request.get("headers") or {}), **headers}
        if "Authorization" not in headers:
            given.pop("Authorization", None) if given.get("Authorization") != "none" else given.update(Authorization=None)
        payload = request.get("body") if body is None else body
        if isinstance(payload, str):
            sent = {"Authorization": f"Bearer {self.shop.token}", "Content-Type": "application/json", **given}
            return requests.request(request["method"], self.shop.url + request["path"], data=payload, headers=sent, timeout=60)
        return self.shop.send(request["method"], path or "/".join(segments), swapped(payload, swap), query, given)

    @staticmethod
    def _same_page(recorded: str, actual: str, comparison: Comparison) -> None:
        def title(page: str) -> str:
            return re.search(r"<title>(.*?)</title>", page)[1]

        if title(recorded) != title(actual):
            comparison.note("page", f"recorded {title(recorded)!r}, got {title(actual)!r}")

"""What the OMS tells the product: signed events, and exports as CSV or JSON, uploaded or put into a folder."""

from __future__ import annotations

import csv
import io
import random
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import requests

from .signing import signed

if TYPE_CHECKING:
    from .desk import Desk

COLUMNS = ("event_id", "order_id", "action", "tracking_number", "carrier", "sku", "quantity", "reason")
FORMATS = {"csv": "text/csv", "json": "application/json"}
PER_CALL = 500


def send(
    desk: Desk, events: list[dict[str, Any]], *, repeat: int = 1, shuffle: bool = False, seed: int = 7, per_call: int = PER_CALL, wrong_signature: bool = False, age: int = 0
) -> list[dict[str, Any]]:  # fmt: skip
    """Sends events, `per_call` together, everything `repeat` times, shuffled across the calls if asked. `[{status, body}]`, 0 for no answer."""
    settings = desk.settings
    wave = events * max(repeat, 1)
    if shuffle:
        random.Random(seed).shuffle(wave)
    answers = []
    with requests.Session() as http:
        http.trust_env = False
        for at in range(0, len(wave), per_call):
            body = orjson.dumps({"events": wave[at : at + per_call]})
            headers = signed(secrets.token_hex(16) if wrong_signature else settings["secret"], body, age=age)
            url = f"{settings['product_url']}/api/v1/accounts/{settings['account_id']}/events"
            try:
                answer = http.post(url, data=body, headers={**headers, "Content-Type": "application/json"}, timeout=60)
                answers.append({"status": answer.status_code, "body": _body(answer)})
            except requests.RequestException as error:
                answers.append({"status": 0, "body": str(error)})
    return answers


def ship_what_waits(desk: Desk) -> list[dict[str, Any]]:
    """One `shipped` event for each order that waits, by the way the settings say; what was not taken is offered at the pull."""
    settings = desk.settings
    wishes = [
        {"type": "shipped", "order_id": order_id, "tracking_number": f"OMS{order_id[-10:]}", "carrier": settings["carrier"]} for order_id in desk.to_ship()
    ]
    events = desk.add_events(wishes, settings["auto_ship_by"])
    return send(desk, events) if events and settings["auto_ship_by"] == "event" else []


def export(desk: Desk, format_: str, entries: list[dict[str, Any]], *, name: str = "", folder: str = "", upload: bool = False) -> dict[str, Any]:
    """A file of the entries: `{name, format, rows, content}`, with `path` when it was put into a folder, with `answer` when it was uploaded."""
    if format_ not in FORMATS:
        raise ValueError(f"format is one of {', '.join(FORMATS)}")
    content = as_csv(entries) if format_ == "csv" else orjson.dumps({"events": entries}, option=orjson.OPT_INDENT_2).decode()
    name = Path(name).name or f"export-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}.{format_}"
    result: dict[str, Any] = {"name": name, "format": format_, "rows": len(entries), "content": content}
    if folder:
        target = Path(folder) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{name}.part")  # the product must not see half a file
        part.write_text(content, newline="")
        part.replace(target)
        result["path"] = str(target)
    if upload:
        settings = desk.settings
        http = requests.Session()
        http.trust_env = False
        answer = http.post(
            f"{settings['product_url']}/api/v1/accounts/{settings['account_id']}/batches",
            data=content.encode(),
            headers={"Authorization": f"Bearer {settings['api_token']}", "Content-Type": FORMATS[format_]},
            timeout=60,
        )
        result["answer"] = {"status": answer.status_code, "body": _body(answer)}
    return result


def as_csv(entries: list[dict[str, Any]]) -> str:
    """One row an event, or one for each of its items."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for entry in entries:
        for item in entry.get("items") or [{}]:
            writer.writerow({**entry, **item, "event_id": entry.get("id", ""), "action": _action(entry)})
    return file.getvalue()


def _action(entry: dict[str, Any]) -> str:
    """The word of the action column; an answered cancellation says there how it was answered."""
    if entry["type"] == "cancellation_answered":
        return "cancellation accepted" if entry.get("accept") else "cancellation rejected"
    return entry["type"].replace("_", " ")


def _body(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return answer.text[:1000]

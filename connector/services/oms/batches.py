"""Files of updates, uploaded or found in the drop folder (A255): CSV or JSON, a result for every line, the same bytes again are the same batch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.domain import oms_events as oms
from connector.models.oms import IMPORT, OmsBatch, OmsUpdate
from connector.services import csv_lines, events
from connector.services.oms import updates
from connector.services.oms.updates import Line

MAX_BYTES = csv_lines.MAX_BYTES
MAX_LINES = 20_000
COLUMNS = ("event_id", "order_id", "action", "tracking_number", "carrier", "sku", "quantity", "reason", "accept")
_NAMES: dict[str, tuple[str, ...]] = {
    "event_id": ("eventid", "event", "id"),
    "order_id": ("orderid", "order", "ordernumber", "tiktokorderid", "orderno"),
    "action": ("action", "type", "status"),
    "tracking_number": ("trackingnumber", "tracking", "trackingno", "trackingid", "trackingcode"),
    "carrier": ("carrier", "carriername", "shippingprovider", "courier"),
    "sku": ("sku", "sellersku"),
    "quantity": ("quantity", "qty", "units"),
    "reason": ("reason", "cancelreason"),
    "accept": ("accept", "accepted"),
}
#: What stands in the action column -> the type of the update and what goes with it.
_ACTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "ship": (oms.SHIPPED, {}), "shipped": (oms.SHIPPED, {}), "shipment": (oms.SHIPPED, {}),
    "cancel": (oms.CANCELLED, {}), "cancelled": (oms.CANCELLED, {}), "canceled": (oms.CANCELLED, {}),
    "deliver": (oms.DELIVERED, {}), "delivered": (oms.DELIVERED, {}),
    "cancellation accepted": (oms.CANCELLATION_ANSWERED, {"accept": True}), "cancellation rejected": (oms.CANCELLATION_ANSWERED, {"accept": False}),
    "cancellation answered": (oms.CANCELLATION_ANSWERED, {}), "goods received": (oms.GOODS_RECEIVED, {}),
}  # fmt: skip
_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Taken:
    """A batch and whether these bytes were sent before."""

    batch: OmsBatch
    repeated: bool


def take(account_id: int, data: bytes, *, file_name: str = "", source: str = IMPORT, actor: str) -> Taken:
    """Store a file's updates and ring for them. JSON is a list of entries or ``{"events": [...]}``, anything else is read as CSV (``COLUMNS``).

    Raises ``DomainError`` (field ``file``) for a file that cannot be read at all; then nothing of it is stored.
    """
    updates.known_account(account_id)
    digest = hashlib.sha256(data).hexdigest()
    known = select(OmsBatch).where(OmsBatch.account_id == account_id, OmsBatch.digest == digest)
    found = db.session.scalar(known)
    if found is not None:
        return Taken(found, True)
    lines = read(data)
    try:
        with unit_of_work() as session:
            batch = OmsBatch(
                account_id=account_id, source=source, file_name=_printable(file_name)[:200], digest=digest, rows=len(lines), created_by=actor[:200]
            )
            session.add(batch)
            session.flush()
            received = updates.receive(account_id, source, lines, batch_id=batch.id)
            text = f"A file of {len(lines)} OMS updates was taken in: {received.accepted} new, {received.repeated} known, {len(received.bad)} not understood."
            events.record("oms.batch", "oms_batch", batch.id, text, account_id=account_id, actor=actor)
            return Taken(batch, False)
    except IntegrityError:  # the same bytes a moment ago
        found = db.session.scalar(known)
        if found is None:
            raise
        return Taken(found, True)


def get(batch_id: int) -> OmsBatch:
    """Raises ``NotFoundError``."""
    found = db.session.get(OmsBatch, batch_id)
    if found is None:
        raise NotFoundError("oms.batch_unknown", f"There is no batch {batch_id}.", "Use the id that the upload was answered with.")
    return found


def lines(batch_id: int, *, after: int = 0, limit: int = 1000) -> list[OmsUpdate]:
    """What became of each line of a batch, after line ``after``."""
    query = select(OmsUpdate).where(OmsUpdate.batch_id == batch_id, OmsUpdate.line > after).order_by(OmsUpdate.line, OmsUpdate.id).limit(limit)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def counts(batch_id: int) -> dict[str, int]:
    """Lines by state."""
    query = select(OmsUpdate.state, func.count()).where(OmsUpdate.batch_id == batch_id).group_by(OmsUpdate.state)
    return dict(db.session.execute(query).all())


def read(data: bytes) -> list[Line]:
    """The entries of a file with their lines: a JSON document, JSON Lines or CSV. Raises ``DomainError`` (field ``file``)."""
    if len(data) > MAX_BYTES:
        raise DomainError(
            "oms.too_large", f"The file has {len(data) / 1024 / 1024:.1f} MB; at most {MAX_BYTES // 1024 // 1024} MB are read.", "Split it into several files.",
            field="file",
        )  # fmt: skip
    found = _json(data) if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{") else _csv(data)
    if not found:
        raise csv_lines.bad_shape("The file holds no update.", "Send one line, or one entry, for each update.")
    if len(found) > MAX_LINES:
        raise csv_lines.bad_shape(f"The file has {len(found)} updates; {MAX_LINES} are read at once.", "Split it.")
    return found


def _json(data: bytes) -> list[Line]:
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as fault:
        if found := _json_lines(data):
            return found
        raise csv_lines.bad_shape(f"The file is no JSON: {fault}.", "Send a list of updates, or an object with the list under events.") from fault
    entries = body.get("events") if isinstance(body, dict) else body
    if entries is None and "order_id" in body:  # JSON Lines of one line
        entries = [body]
    if not isinstance(entries, list):
        raise csv_lines.bad_shape("The JSON holds no list of updates.", "Send a list of updates, or an object with the list under events.")
    return [Line(number, entry) for number, entry in enumerate(entries, 1)]


def _json_lines(data: bytes) -> list[Line]:
    """One entry a line; nothing when the first line is no entry, so that this is a JSON document which is broken."""
    found = []
    for number, text in enumerate(data.splitlines(), 1):
        if not text.strip():
            continue
        try:
            found.append(Line(number, orjson.loads(text)))
        except orjson.JSONDecodeError as fault:
            if not found:
                return []
            found.append(
                Line(number, {}, fault=oms.BadEntry("", f"The line is no JSON: {fault.msg} at character {fault.colno}.", "Correct it and send the line again."))
            )
    return found if isinstance(found[0].entry, dict) else []


def _csv(data: bytes) -> list[Line]:
    rows = iter(csv_lines.rows_of(csv_lines.text_of(data)))
    header = next(rows, None)
    if header is None:
        raise csv_lines.bad_shape("The file is empty.", f"The first line must name the columns: {', '.join(COLUMNS)}.")
    places = csv_lines.places_of(header[1], _NAMES)
    lacking = [column for column in ("order_id", "action") if places[column] < 0]
    if lacking:
        raise csv_lines.bad_shape(
            f"The file has no column for {', '.join(lacking)}. Its first line holds: {csv_lines.heading_words(header[1])}.",
            f"The first line must name the columns: {', '.join(COLUMNS)}.",
        )
    width = len(header[1])
    return _together([_line(number, row, places, width) for number, row in rows if any(cell.strip() for cell in row)])


def _line(number: int, row: list[str], places: Mapping[str, int], width: int) -> Line:
    cells = {column: csv_lines.cell_of(row, place) for column, place in places.items()}
    entry: dict[str, Any] = {"id": cells["event_id"], "order_id": cells["order_id"]}
    fault = None
    try:
        if any(cell.strip() for cell in row[width:]):
            raise oms.BadEntry(
                "", f"The line has {len(row)} cells, but the first line names {width} columns.", "Put a cell that holds a comma into quotation marks."
            )
        entry |= _entry(cells)
        if "items" in entry:
            oms.read(entry)  # before it is put together with others, which a fault of its own would take along
    except oms.BadEntry as found:
        fault = found
    return Line(number, entry, fault=fault)


def _entry(cells: Mapping[str, str]) -> dict[str, Any]:
    if csv_lines.rounded_by_excel(cells["order_id"]):
        raise oms.BadEntry("order_id", f"Excel has rounded the order number to {cells['order_id']}.", "Format the column as text before you save.")
    if re.fullmatch(r"[0-9]{15,}[.,]0+", cells["order_id"]):
        text = f"A program has read the order number {cells['order_id']} as a number with decimals, so its last digits may be wrong."
        raise oms.BadEntry("order_id", text, "Export the column as text.")
    kind = _ACTIONS.get(cells["action"].casefold().replace("_", " ").replace("-", " "))
    if kind is None:
        allowed = "shipped, cancelled, delivered, cancellation_accepted, cancellation_rejected or goods_received"
        said = f"The action {cells['action'][:60]!r} is not known." if cells["action"] else "The action is empty."
        raise oms.BadEntry("action", said, f"Use {allowed}.")
    action, more = kind
    entry: dict[str, Any] = {"type": action, **more}
    if action == oms.SHIPPED:
        entry |= {"tracking_number": cells["tracking_number"], "carrier": cells["carrier"]}
    if action == oms.CANCELLATION_ANSWERED and not more:
        if cells["accept"].casefold() not in _YES_NO:
            raise oms.BadEntry("accept", "It is not said whether the request is accepted.", "Write yes or no, or use the action cancellation_accepted.")
        entry["accept"] = _YES_NO[cells["accept"].casefold()]
    if cells["reason"] and action in (oms.CANCELLED, oms.CANCELLATION_ANSWERED):
        entry["reason"] = cells["reason"]
    if action in (oms.SHIPPED, oms.GOODS_RECEIVED) and (cells["sku"] or cells["quantity"]):
        if not cells["sku"]:
            raise oms.BadEntry("sku", "A quantity is given, but no SKU.", "Add the SKU, or leave the quantity empty: the parcel then holds all that is left.")
        entry["items"] = [{"sku": cells["sku"], "quantity": _quantity(cells["quantity"])}]
    return entry


def _quantity(text: str) -> int:
    """2, 2.0 and 2,00; 1,000 may be one or a thousand, so it is neither."""
    found = re.fullmatch(r"([0-9]{1,6})([.,]0{1,2}|[.,]0{4,})?", text or "1")
    if found is None or not int(found[1]):
        raise oms.BadEntry("quantity", f"The quantity {text[:20]!r} is not a whole number above 0.", "Correct it and send the line again.")
    return int(found[1])


def _together(found: list[Line]) -> list[Line]:
    """Lines of one order with the same parcel (or the same returned goods) are one update; the first of them carries it."""
    first: dict[tuple[str, ...], int] = {}
    kept: list[Line] = []
    for line in found:
        entry = line.entry
        if line.fault is None and entry.get("items"):
            key = (entry["type"], entry["order_id"], entry.get("tracking_number", "").casefold(), entry.get("carrier", ""))
            if key in first:
                owner = kept[first[key]]
                owner.entry["items"] += entry["items"]
                line = Line(line.number, {**entry, "items": list(entry["items"])}, of=owner.number)
            else:
                first[key] = len(kept)
        kept.append(line)
    return kept


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)

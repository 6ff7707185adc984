"""Shipping from a CSV file: order number, carrier, tracking number, and for partial parcels SKU and quantity (A207).

Made for what people have: Excel's semicolons and ``sep=`` line, tabs, a byte order mark, UTF-16, numbers that Excel has turned into 5.76E+17.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain import shipping
from connector.models.order import Order
from connector.services import csv_lines, runs
from connector.services.orders import ship

MAX_BYTES = csv_lines.MAX_BYTES
MAX_LINES = 20_000
COLUMNS = ("order number", "carrier", "tracking number", "sku", "quantity")
_REQUIRED = COLUMNS[:3]
_NAMES: dict[str, tuple[str, ...]] = {
    "order number": ("ordernumber", "order", "orderid", "tiktokorderid", "tiktokordernumber", "tiktokid", "orderno"),
    "carrier": ("carrier", "carriername", "courier", "shippingprovider", "shippingprovidername", "provider", "shippingcarrier"),
    "tracking number": ("trackingnumber", "tracking", "trackingid", "trackingno", "trackingcode", "tracknumber", "track"),
    "sku": ("sku", "sellersku", "productsku"),
    "quantity": ("quantity", "qty", "units", "qtyshipped"),
}


@dataclass(slots=True)
class Line:
    """One line of the file and what became of it; ``problem`` is empty when it is accepted."""

    number: int
    order_number: str
    carrier: str
    tracking: str
    sku: str = ""
    quantity: int | None = None
    order_id: int | None = None
    problem: str = ""


@dataclass(slots=True)
class ShipFile(csv_lines.CheckedLines):
    lines: list[Line] = field(default_factory=list)


def read(data: bytes, *, account_id: int | None = None) -> ShipFile:
    """Parse and check a file, line by line, against the orders that are stored.

    Raises ``DomainError`` (field ``file``) when it is too large, no text, or of another shape; then no line is read.
    """
    rows = iter(csv_lines.rows_of(csv_lines.text_of(data)))
    header = next(rows, None)
    if header is None:
        raise _shape("The file is empty.")
    places = _places(header[1])
    parsed = ShipFile([_line(number, row, places) for number, row in rows if any(cell.strip() for cell in row)])
    if not parsed.lines:
        raise _shape("The file has a heading but no line below it.")
    if len(parsed.lines) > MAX_LINES:
        raise _shape(f"The file has {len(parsed.lines)} lines; {MAX_LINES} are read at once.", "Split it.")
    _find_orders(parsed.lines, account_id)
    return parsed


def submit(parsed: ShipFile, *, started_by: str) -> list[runs.Submitted]:
    """Store the parcels of the accepted lines and submit one run per account. A line that turns out wrong gets its ``problem`` and is left out."""
    parcels: dict[tuple[int, str], list[Line]] = {}
    for line in parsed.accepted:
        assert line.order_id is not None
        parcels.setdefault((line.order_id, line.tracking.casefold()), []).append(line)
    items: dict[int, dict[str, str]] = {}
    with unit_of_work() as session:
        for (order_id, _), lines in parcels.items():
            order = session.get(Order, order_id)
            assert order is not None
            try:
                ship.enter(order, ship.Tracking(lines[0].carrier, lines[0].tracking, _quantities(lines)), origin="csv")
            except DomainError as error:
                for line in lines:
                    line.problem = str(error)
                continue
            items.setdefault(order.account_id, {})[str(order.id)] = order.number
        if not items:
            raise DomainError("csv.nothing", "No line of the file can be shipped.", "Each line says why.", field="file")
        return [runs.submit("orders.ship", account_id=account_id, items=list(found.items()), started_by=started_by) for account_id, found in items.items()]


def _quantities(lines: list[Line]) -> dict[str, int]:
    """Units per SKU over the lines of one parcel; a line without a SKU means the whole order."""
    if any(not line.sku for line in lines):
        return {}
    units: dict[str, int] = {}
    for line in lines:
        units[line.sku] = units.get(line.sku, 0) + (line.quantity or 1)
    return units


def _places(header: list[str]) -> dict[str, int]:
    places = csv_lines.places_of(header, _NAMES)
    lacking = [column for column in _REQUIRED if places[column] < 0]
    if lacking:
        raise _shape(f"The file has no column for {', '.join(lacking)}. Its first line holds: {csv_lines.heading_words(header)}.")
    return places


def _line(number: int, row: list[str], places: dict[str, int]) -> Line:
    def cell(column: str) -> str:
        return csv_lines.cell_of(row, places[column])

    line = Line(number, cell("order number"), cell("carrier"), shipping.clean_tracking(cell("tracking number")), cell("sku"))
    line.problem = _problem(line, cell("quantity"))
    return line


def _problem(line: Line, quantity: str) -> str:
    if not line.order_number:
        return "The order number is empty."
    if csv_lines.rounded_by_excel(line.order_number):
        return f"Excel has rounded the order number to {line.order_number}: format the column as text before you save."
    if problem := shipping.tracking_problem(line.tracking):
        return problem
    if not line.carrier:
        return "The carrier is empty."
    if quantity:
        if not re.fullmatch(r"\d{1,6}([.,]0+)?", quantity) or int(re.split(r"[.,]", quantity)[0]) < 1:
            return f"The quantity {quantity!r} is not a whole number above 0."
        if not line.sku:
            return "A quantity needs a SKU beside it."
        line.quantity = int(re.split(r"[.,]", quantity)[0])
    return ""


def _find_orders(lines: list[Line], account_id: int | None) -> None:
    wanted = sorted({line.order_number.lstrip("#") for line in lines if not line.problem})
    found: dict[str, list[Order]] = {}
    for start in range(0, len(wanted), 500):
        chunk = wanted[start : start + 500]
        query = select(Order).where(Order.number.in_(chunk) | Order.magento_number.in_(chunk))
        if account_id is not None:
            query = query.where(Order.account_id == account_id)
        for order in db.session.scalars(query):
            for name in {order.number, order.magento_number}:
                if name:
                    found.setdefault(name, []).append(order)
    verdicts = {one.order_id: one for one in ship.preview([order.id for orders in found.values() for order in orders])}
    for line in lines:
        if line.problem:
            continue
        orders = found.get(line.order_number.lstrip("#"), [])
        if len(orders) != 1:
            line.problem = f"Order {line.order_number} is not known here." if not orders else f"Order number {line.order_number} exists in several accounts."
            continue
        line.order_id = orders[0].id
        refusal = verdicts[line.order_id].why_not
        if refusal:
            line.problem = f"{refusal['message']} {refusal['remedy']}".strip()


def _shape(message: str, remedy: str = "") -> DomainError:
    columns = "order number, carrier, tracking number, and for partial parcels sku and quantity"
    return csv_lines.bad_shape(message, remedy or f"The first line must name the columns: {columns}.")

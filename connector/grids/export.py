"""The current view as CSV, row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from connector.grids.grid import Column, Grid
from connector.grids.query import stream
from connector.grids.state import GridState

#: A spreadsheet runs a cell that begins with one of these as a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_cell(value: Any) -> str:
    """One cell as text: instants in ISO 8601, numbers plain, and no text that a spreadsheet would run as a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, Decimal | int | float):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    text = str(value)
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def _value(column: Column, row: Any) -> Any:
    value = row[column.key]
    if column.export is not None:
        return column.export(value, row)
    if isinstance(value, datetime):
        return value
    return column.label_of(value).text if column.labels is not None and value is not None else value


def csv_lines(grid: Grid, state: GridState, scope: Any = None) -> Iterator[str]:
    """Header and rows, in chunks of about 64 kB. Begins with a byte order mark, without which Excel misreads everything but ASCII."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    writer.writerow([column.label for column in state.visible])
    for row in stream(grid, state, scope):
        writer.writerow([csv_cell(_value(column, row)) for column in state.visible])
        if buffer.tell() > 65_536:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()

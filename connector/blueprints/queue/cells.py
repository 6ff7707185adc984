"""The cells of the products' queue (A221-A225)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from connector.grids import Column
from connector.web import filters
from connector.web.cells import Cell, badge

Row = Mapping[str, Any]


def product_url(row: Row) -> str:
    return f"/products/{row['product_id']}?account={row['account_id']}"


def queued_name(value: str, row: Row, column: Column) -> Any:
    """The product, which leads to its page while there is one."""
    name = Markup('<span class="product-name" title="{}">{}</span>').format(value, value)
    return name if row["product_id"] is None else Markup('<a href="{}" data-open>{}</a>').format(product_url(row), name)


def queued_work(value: str, row: Row, column: Column) -> Markup:
    return Markup('<a href="/queue/runs/{}" title="Run {}">{}</a>').format(row["run_id"], row["run_id"], column.label_of(value).text)


def queue_status(value: str, row: Row, column: Column) -> Markup:
    """The status (A225), with what it waits for, what is being done, or when it is tried again."""
    drawn = badge(*column.label_of(value))
    words: Any = ""
    if value == "running":
        words = row["stage"]
    elif value == "retrying":
        words = Markup("at {}").format(filters.when(row["retry_at"]))
    elif value == "waiting":
        words = row["wait_reason"]
    elif value == "scheduled":
        words = Markup("for {}").format(filters.when(row["not_before"]))
    return drawn + (Markup(' <span class="queue-words">{}</span>').format(words) if words else "")


def queued_outcome(value: str, row: Row, column: Column) -> Any:
    """What happened and what to do about it."""
    message = value or (row["run_message"] if row["raw_status"] == "parked" else "")
    if not message:
        return ""
    if row["raw_status"] != "parked":
        return Markup('<span class="clip" title="{}">{}</span>').format(message, message)
    remedy = Markup("<p><strong>What to do:</strong> {}</p>").format(row["remedy"]) if row["remedy"] else ""
    code = Markup('<p class="small text-secondary">{}</p>').format(row["code"]) if row["code"] else ""
    return Markup(
        '<details class="pop error-pop" data-pop><summary class="clip">{}</summary><div class="pop-sheet error-pop-body"><p>{}</p>{}{}</div></details>'
    ).format(message, message, remedy, code)


QUEUE_CELLS: dict[str, Cell] = {each.__name__: each for each in (queued_name, queued_work, queue_status, queued_outcome)}

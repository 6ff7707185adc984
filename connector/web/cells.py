"""The cells every grid can name: ``cell(value, row, column)`` gives text (escaped by the template) or finished markup.

Plain functions rather than macros because a page calls them hundreds of times; a grid's own cells are macros in its template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from connector.grids.grid import Column
from connector.web import filters

Row = Mapping[str, Any]
Cell = Callable[[Any, Mapping[str, Any], Column], Any]


@lru_cache(maxsize=2048)
def badge(text: str, tone: str) -> Markup:
    """The same markup as ``state_badge`` in ``components/state.html``."""
    return Markup('<span class="state state-{}">{}</span>').format(tone, text)


def text(value: Any, row: Row, column: Column) -> Any:
    if column.labels is not None and value is not None:
        return column.label_of(value).text
    return "" if value is None else value


def mono(value: Any, row: Row, column: Column) -> Any:
    return "" if value is None else Markup(f"<code>{escape(value)}</code>")  # noqa: S704 - escaped


def number(value: Any, row: Row, column: Column) -> str:
    return filters.number(value)


def money(value: Any, row: Row, column: Column) -> str:
    """``also={"currency": ...}`` names the row's currency."""
    return filters.money(value, row.get("currency"))


def when(value: Any, row: Row, column: Column) -> Any:
    return filters.when(value)


def date(value: Any, row: Row, column: Column) -> Any:
    return filters.day(value)


def ago(value: Any, row: Row, column: Column) -> Any:
    return filters.ago(value)


def deadline(value: Any, row: Row, column: Column) -> Any:
    """``also={"now": ...}`` may hold the clock that the deadline belongs to."""
    return filters.deadline(value, row.get("now"))


def duration(value: Any, row: Row, column: Column) -> str:
    return filters.duration(value)


def state(value: Any, row: Row, column: Column) -> Any:
    return "" if value is None else badge(*column.label_of(value))


def yes_no(value: Any, row: Row, column: Column) -> Markup:
    return badge("Yes", "success") if value else badge("No", "neutral")


def json_list(value: Any, row: Row, column: Column) -> str:
    return ", ".join(str(each) for each in value or ())


def long_text(value: Any, row: Row, column: Column) -> Any:
    safe = escape(value or "")
    return Markup(f'<span class="clip" title="{safe}">{safe}</span>') if value else ""  # noqa: S704 - escaped


def secret(value: Any, row: Row, column: Column) -> str:
    return "••••••" if value else ""


CELLS: dict[str, Cell] = {
    "text": text, "link": text, "mono": mono, "number": number, "money": money, "when": when, "date": date, "ago": ago, "deadline": deadline,
    "duration": duration, "state": state, "yes_no": yes_no, "json_list": json_list, "long_text": long_text, "secret": secret,
}  # fmt: skip


def cells_drawer(columns: Sequence[tuple[Column, Cell]], row_url: Callable[[Row], str] | None) -> Callable[[Row], Markup]:
    """A function that draws all ``<td>`` of a row; the "link" cell leads to the row's page."""
    plan = [
        (column, column.key, cell, "<td>" if column.align == "start" else f'<td class="text-{column.align}">', column.cell == "link" and row_url)
        for column, cell in columns
    ]

    def draw(row: Row) -> Markup:
        parts: list[str] = []
        for column, key, cell, opening, url in plan:
            content = escape(cell(row[key], row, column))
            parts.append(f'{opening}<a href="{escape(url(row))}" data-open>{content}</a></td>' if url else f"{opening}{content}</td>")
        return Markup("".join(parts))  # noqa: S704 - every part is escaped above

    return draw

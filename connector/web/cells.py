"""The cells every grid can name, and how a page's rows are drawn.

A cell is ``cell(value, row, column)``: it gives text (escaped here) or finished markup. Cells are plain functions and rows are joined
strings, because a page calls them hundreds of times: drawn by a template they cost several times what the query costs. A grid has cells
of its own from its blueprint (``grid_routes(..., cells={...})``) or, where there are few rows, as macros in its ``cells`` template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from html import escape as plain_escape
from typing import Any

from markupsafe import Markup, escape

from connector.grids.grid import Action, Column, Grid
from connector.web import filters

Row = Mapping[str, Any]
Cell = Callable[[Any, Mapping[str, Any], Column], Any]


@lru_cache(maxsize=2048)
def badge(text: str, tone: str, title: str = "") -> Markup:
    """The same markup as ``state_badge`` in ``components/state.html``."""
    says = Markup(' title="{}"').format(title) if title else ""
    return Markup('<span class="state state-{}"{}>{}</span>').format(tone, says, text)


def text(value: Any, row: Row, column: Column) -> Any:
    if column.labels is not None and value is not None:
        return column.label_of(value).text
    return "" if value is None else value


def mono(value: Any, row: Row, column: Column) -> Any:
    return "" if value is None else Markup("<code>" + plain_escape(str(value)) + "</code>")  # noqa: S704 - escaped


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


def doer(value: str | None, row: Row, column: Column) -> str:
    return filters.doer(value or "")


def occasion(value: str | None, row: Row, column: Column) -> Any:
    return long_text(filters.occasion(value or ""), row, column)


def prose(value: Any, row: Row, column: Column) -> Any:
    """Words that are read in full, on as many lines as they take."""
    return Markup('<span class="outcome">{}</span>').format(value) if value else ""


def secret(value: Any, row: Row, column: Column) -> str:
    return "••••••" if value else ""


CELLS: dict[str, Cell] = {
    "text": text, "link": text, "mono": mono, "number": number, "money": money, "when": when, "date": date, "ago": ago, "deadline": deadline,
    "duration": duration, "state": state, "yes_no": yes_no, "json_list": json_list, "long_text": long_text, "doer": doer, "occasion": occasion, "prose": prose,
    "secret": secret,
}  # fmt: skip


def rows_drawer(grid: Grid, columns: Sequence[tuple[Column, Cell]], actions: Sequence[Action], *, selectable: bool) -> Callable[[Sequence[Row]], Markup]:
    """A function that draws the ``<tr>`` of a page: the checkbox, the cells ("link" leads to the row's page), the menu of ``actions``."""
    key, noun, name_of, row_url = plain_escape(grid.key), plain_escape(grid.noun), grid.label_key, grid.row_url
    plan = [
        (
            column, column.key, cell,
            f'<td data-label="{plain_escape(column.label)}"' + (">" if column.align == "start" else f' class="text-{column.align}">'),
            row_url if column.cell == "link" else None,
        )
        for column, cell in columns
    ]  # fmt: skip
    danger = ' class="text-danger"'
    buttons = [
        (
            action.visible,
            f'<button name="row_action" value="{plain_escape(action.key)}:',
            f'"{danger if action.danger else ""}>{plain_escape(action.label)}</button>',
        )
        for action in actions
    ]

    def draw(rows: Sequence[Row]) -> Markup:
        text: list[str] = []
        for row in rows:
            pk, name = plain_escape(str(row["pk"])), plain_escape(str(row[name_of]))
            text.append(f'<tr id="{key}-{pk}" data-row tabindex="-1">')
            if selectable:
                text.append(
                    f'<td class="col-check"><input class="form-check-input" type="checkbox" name="ids" value="{pk}" aria-label="Select {noun} {name}"></td>'
                )
            for column, value_key, cell, opening, url in plan:
                content = cell(row[value_key], row, column)
                if type(content) is str:  # most cells; html.escape takes half the time of markupsafe's
                    content = plain_escape(content)
                elif type(content) is not Markup:
                    content = escape(content)
                text += (opening, f'<a href="{plain_escape(url(row))}" data-open>{content}</a></td>') if url else (opening, content, "</td>")
            if buttons:
                text.append(
                    f'<td class="col-menu"><details class="pop" data-pop><summary aria-label="Actions for {noun} {name}">⋯</summary><div class="pop-sheet">'
                )
                for visible, first, rest in buttons:
                    if visible is None or visible(row):
                        text += (first, pk, rest)
                text.append("</div></details></td>")
            text.append("</tr>\n")
        return Markup("".join(text))  # noqa: S704 - every part is escaped above

    return draw

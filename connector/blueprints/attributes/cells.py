"""The cells of the attributes grid that no other grid has (A130-A138)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from connector.grids import Column
from connector.web.cells import Cell, badge

Row = Mapping[str, Any]

#: A click opens the row in place; without JavaScript the same address is a page.
_OPEN = Markup('<a class="{kind}" href="{url}" hx-get="{url}" hx-target="closest tr" hx-swap="outerHTML" {more}>{text}</a>')


def opener(row: Row, text: str, *, query: str = "", kind: str = "row-action", more: str | Markup = "") -> Markup:
    url = f"/attributes/{int(row['pk'])}{query}"
    return _OPEN.format(kind=kind, url=url, text=text, more=more)


def attribute_name(value: str, row: Row, column: Column) -> Markup:
    """The link that opens the row, and what the last fetch broke behind a badge."""
    drawn = opener(row, value, kind="row-link", more=Markup("data-open"))
    if row["problem"]:
        drawn += Markup(' <details class="pop error-pop" data-pop><summary>{}</summary><div class="pop-sheet error-pop-body"><p>{}</p></div></details>').format(
            badge("Broken", "danger"), row["problem"]
        )
    if row["removed_at"]:
        drawn += Markup(' <span class="chip" title="No category of your templates has it any more">removed</span>')
    return drawn


def plain_yes_no(value: bool, row: Row, column: Column) -> str:
    return "Yes" if value else "No"


def attribute_source(value: str, row: Row, column: Column) -> Markup | str:
    """The mapped Magento attribute; mappings for chosen categories; else the best suggestion, which one click fills in."""
    more = row["mappings"] - bool(row["source"])
    extra = Markup(' <span class="chip">{} for chosen categories</span>').format(more) if more else Markup("")
    if value:
        return Markup("<code>{}</code>{}").format(value, extra)
    if row["mappings"]:
        return extra
    if row["suggestions"] and not row["gone"]:
        best = row["suggestions"][0]
        query = f"?{urlencode({'suggest': best['magento_attribute']})}"
        title = Markup('title="Fills in the form; nothing is saved yet"')
        return opener(row, f"Suggestion: {best['magento_attribute']}, {best['confidence']} %", query=query, kind="row-action suggestion", more=title)
    return ""


def attribute_actions(value: int, row: Row, column: Column) -> Markup:
    """Map for all categories or for chosen ones (A138)."""
    label = Markup('aria-label="Map {} for {}"')
    return Markup('<span class="row-actions">{} {}</span>').format(
        opener(row, "All", query="?scope=all", more=label.format(row["name"], "all categories")),
        opener(row, "Chosen categories", query="?scope=chosen", more=label.format(row["name"], "chosen categories")),
    )


ATTRIBUTE_CELLS: dict[str, Cell] = {each.__name__: each for each in (attribute_name, plain_yes_no, attribute_source, attribute_actions)}

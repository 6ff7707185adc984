"""What a grid is made of: declarations only, no queries and no HTML. ``connector/grids/__init__.py`` shows how to write one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select

from connector.grids.filters import Filter

PAGE_SIZES = (20, 50, 100, 200)
#: Names in the query string that belong to the machine; a filter may not take them.
RESERVED = frozenset({"q", "sort", "page", "per_page", "tab", "cols", "after", "before"})
#: The most rows one bulk action takes at once.
BULK_LIMIT = 10_000


class Label(NamedTuple):
    """How a stored value is shown. ``tone``: neutral, info, progress, success, warning, danger."""

    text: str
    tone: str = "neutral"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column. ``expr`` is selected under ``key``; ``also`` selects more values the cell macro needs (as ``row[name]``).

    ``sort`` is True (by ``expr``), False, or another expression; it should be indexed together with the primary key. ``cell`` names a
    shared cell (``connector/web/cells.py``), one of the blueprint's, or a macro of the grid's ``cells`` template: ``cell(value, row, column)``. ``labels``
    turns stored values into words and tones. ``export`` turns ``(value, row)`` into the CSV cell where the plain value will not do.
    """

    key: str
    label: str
    expr: Any
    cell: str = "text"
    sort: Any = True
    default: bool = True
    align: str = "start"
    also: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[Any, Label | str] | None = None
    export: Callable[[Any, Mapping[str, Any]], Any] | None = None
    help: str = ""

    @property
    def sort_expr(self) -> Any:
        return self.expr if self.sort is True else self.sort

    def label_of(self, value: Any) -> Label:
        """An unknown value is shown as it came, and flagged."""
        found = (self.labels or {}).get(value)
        if found is None:
            return Label(str(value), "neutral" if self.labels is None else "warning")
        return found if isinstance(found, Label) else Label(found)


@dataclass(frozen=True)
class Join:
    """A many-to-one table; joined only when a visible column, filter, sort or search looks at it. It must not multiply rows.

    ``on`` may be ``on(scope) -> clause`` where it depends on who looks at what: a product's listing in the account in view.
    """

    target: Any
    on: ColumnElement[bool] | Callable[[Any], ColumnElement[bool]]
    outer: bool = False

    def clause(self, scope: Any) -> ColumnElement[bool]:
        return self.on if isinstance(self.on, ColumnElement) else self.on(scope)


@dataclass(frozen=True)
class Tab:
    """A status tab: ``clause`` None means everything."""

    key: str
    label: str
    clause: ColumnElement[bool] | None = None
    tone: str = "neutral"


class Preview(NamedTuple):
    """What an action would do to one row: ``ok``, or the ``reason`` why not."""

    id: Any
    label: str
    ok: bool
    reason: str = ""


class Result(NamedTuple):
    """What came of a bulk action. ``run_id`` leads to the run's page, ``url`` anywhere else, neither back to the grid."""

    message: str
    run_id: Any = None
    url: str | None = None
    tone: str = "success"


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something done to one or many rows.

    ``preview(ids)`` answers for every id (one ``Preview`` each); ``submit(ids, form)`` gets only the ids that were ok a moment ago and
    the validated ``form`` (an instance of ``form_class``, or None) and returns a ``Result``. ``visible(row)`` hides the action in a
    row's menu. ``danger`` colours the button and asks in stronger words. A ``scoped`` action is called with the grid's scope as well:
    ``preview(ids, scope)``, ``submit(ids, form, scope)``. An action that asks more than a form can has ``page(ids)``, the address of a
    page of its own, in place of both; an empty address is for rows that need no more than a form.
    """

    key: str
    label: str
    permission: str
    preview: Callable[..., Iterable[Preview]] = lambda *asked: ()
    submit: Callable[..., Result] = lambda *asked: Result("")
    page: Callable[[Sequence[Any]], str] | None = None
    help: str = ""
    icon: str = ""
    danger: bool = False
    bulk: bool = True
    row: bool = True
    form_class: type[Any] | None = None
    visible: Callable[[Mapping[str, Any]], bool] | None = None
    scoped: bool = False


@dataclass(frozen=True)
class Empty:
    """What to say, and what to do next, when there is nothing yet."""

    title: str
    text: str
    action_label: str = ""
    endpoint: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """One grid. ``where(scope)`` gives the clauses that bound what this person may see; everything else adds to them.

    ``search`` is a tuple of columns (substring search) or ``search(stmt, q) -> stmt``. ``noun`` is the singular ("order"), ``row_label``
    the key of the column that names a row. ``always`` selects extra values for ``row_url``, ``Action.visible`` and cells. ``events``
    are the live events after which the grid fetches itself again. ``tab_counts(scope)`` replaces the machine's capped counts.
    """

    key: str
    title: str
    model: Any
    pk: Any
    columns: tuple[Column, ...]
    permission: str
    noun: str = "record"
    plural: str = ""
    where: Callable[[Any], Sequence[ColumnElement[bool]]] = lambda scope: ()
    joins: tuple[Join, ...] = ()
    filters: tuple[Filter, ...] = ()
    search: tuple[Any, ...] | Callable[[Select[Any], str], Select[Any]] = ()
    search_hint: str = "Search"
    tabs: tuple[Tab, ...] = ()
    tab_counts: Callable[[Any], Mapping[str, int]] | None = None
    default_sort: str = ""
    per_page: int = 20
    actions: tuple[Action, ...] = ()
    always: Mapping[str, Any] = field(default_factory=dict)
    row_label: str = ""
    row_url: Callable[[Mapping[str, Any]], str] | None = None
    cells: str = ""
    events: tuple[str, ...] = ()
    empty: Empty = Empty("Nothing here yet", "")

    def __post_init__(self) -> None:
        keys = [column.key for column in self.columns]
        names = [name for each in self.filters for name in each.names]
        for what, used in (("column", keys), ("filter parameter", names)):
            if len(set(used)) != len(used):
                raise ValueError(f"grid {self.key}: a {what} is declared twice")
        if clash := RESERVED & set(names):
            raise ValueError(f"grid {self.key}: filter names {sorted(clash)} belong to the machine")
        if self.sort_column is None:
            raise ValueError(f"grid {self.key}: default_sort {self.default_sort!r} is no sortable column")

    @property
    def sort_column(self) -> Column | None:
        return self.sortable(self.default_sort or f"-{self.columns[0].key}")

    def sortable(self, sort: str) -> Column | None:
        column = self.column(sort.lstrip("-"))
        return column if column is not None and column.sort is not False else None

    def column(self, key: str) -> Column | None:
        return next((column for column in self.columns if column.key == key), None)

    def action(self, key: str) -> Action | None:
        return next((action for action in self.actions if action.key == key), None)

    def tab(self, key: str) -> Tab | None:
        return next((tab for tab in self.tabs if tab.key == key), None)

    @property
    def default_columns(self) -> tuple[str, ...]:
        return tuple(column.key for column in self.columns if column.default)

    @property
    def label_key(self) -> str:
        return self.row_label or self.columns[0].key

    def count_words(self, count: int, *, capped: bool = False) -> str:
        """'1 order found', '10,000+ orders found'."""
        noun = self.noun if count == 1 else self.plural or f"{self.noun}s"
        return f"{count - 1:,}+ {noun} found" if capped else f"{count:,} {noun} found"

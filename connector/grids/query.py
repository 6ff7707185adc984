"""The one query behind every grid: Core columns only, keyset paging, capped counts.

Page *numbers* use OFFSET and stop at the 10,000th row; the "next" link carries the last row's sort values instead and is equally fast
at any depth. NULLs sort where the database puts them by itself (SQLite first, PostgreSQL last), so that indexes stay usable.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, and_, false, func, inspect, literal, literal_column, or_, select, tuple_
from sqlalchemy.exc import StatementError
from sqlalchemy.sql import visitors

from connector.core.db import db
from connector.grids.filters import contains_any
from connector.grids.grid import BULK_LIMIT, Column, Grid, Tab
from connector.grids.state import GridState

COUNT_CAP = 10_001
TAB_COUNT_CAP = 1_001
COUNT_SECONDS = 15
DEAR_SECONDS = 0.005  #: of processor time here (SQLite counts in this process): a count that took more is not repeated at every page
LAST_NUMBERED_ROW = 10_000


@dataclass(frozen=True)
class TabCount:
    key: str
    label: str
    tone: str
    count: int
    capped: bool
    url: str
    current: bool


@dataclass(frozen=True)
class Page:
    """One page of rows (mappings by column key, plus ``pk``), and everything the pager, the tabs and the bulk bar need."""

    grid: Grid
    state: GridState
    rows: Sequence[Mapping[str, Any]]
    total: int
    capped: bool
    next_url: str
    previous_url: str
    tabs: tuple[TabCount, ...]

    @property
    def count_words(self) -> str:
        return self.grid.count_words(self.total, capped=self.capped)

    @property
    def matching_words(self) -> str:
        return f"{self.total - 1:,}+" if self.capped else f"{self.total:,}"

    @property
    def last_page(self) -> int:
        return max(1, -(-min(self.total, LAST_NUMBERED_ROW) // self.state.per_page))

    @property
    def numbers(self) -> list[int | None]:
        """Page numbers to offer, None for a gap."""
        near = {1, self.last_page, *range(self.state.page - 2, self.state.page + 3)}
        numbers: list[int | None] = []
        for number in sorted(n for n in near if 1 <= n <= self.last_page):
            if numbers and numbers[-1] is not None and number - numbers[-1] > 1:
                numbers.append(None)
            numbers.append(number)
        return numbers

    @property
    def ids(self) -> list[Any]:
        return [row["pk"] for row in self.rows]


def run(grid: Grid, state: GridState, scope: Any = None) -> Page:
    """The page ``state`` asks for, within ``scope``."""
    try:
        rows, more = _fetch(grid, state, scope)
    except StatementError:
        if not (state.after or state.before):
            raise
        db.session.rollback()  # a hand-made cursor whose values do not fit the column: begin at the first page
        state = GridState.parse(grid, _NoArgs(state), path=state.path, tz=state.tz, preferred_columns=state.default_columns)
        rows, more = _fetch(grid, state, scope)
    first_page = state.page == 1 and not state.after and not state.before
    if first_page and not more:
        total = len(rows)
    else:
        total = _count(grid, state, scope)
    sort = _sort_column(grid, state)
    forward = more if not state.before else True
    backward = state.page > 1 or bool(state.after) if not state.before else more
    next_url = previous_url = ""
    if rows and forward:
        next_url = state.url(page=state.page + 1, after=_encode(sort, rows[-1]))
    if rows and backward:
        previous_url = _previous_url(state, sort, rows[0])
    return Page(grid, state, rows, total, total >= COUNT_CAP, next_url, previous_url, _tabs(grid, state, scope))


def _previous_url(state: GridState, sort: Column, row: Mapping[str, Any]) -> str:
    if state.page <= 2:
        return state.url(page=None)
    return state.url(page=state.page - 1, before=_encode(sort, row))


class _NoArgs:
    """The same state's parameters without its cursor, for reading it again."""

    def __init__(self, state: GridState) -> None:
        self.pairs = state.params(paging=False)

    def keys(self) -> list[str]:
        return [name for name, value in self.pairs]

    def getlist(self, key: str) -> list[str]:
        return [value for name, value in self.pairs if name == key]

    def get(self, key: str, default: Any = None) -> Any:
        return next(iter(self.getlist(key)), default)


def _sort_column(grid: Grid, state: GridState) -> Column:
    column = grid.sortable(state.sort)
    assert column is not None, "GridState.parse only lets sortable columns through"
    return column


def _fetch(grid: Grid, state: GridState, scope: Any) -> tuple[Sequence[Mapping[str, Any]], bool]:
    """Rows of the page and whether there are more in the direction we read."""
    backwards = bool(state.before)
    # Columns, no entities: the session has nothing to add to what its connection gives.
    result = db.session.connection().execute(_statement(grid, state, scope))
    names = tuple(result.keys())
    rows = [dict(zip(names, row, strict=True)) for row in result.all()]
    more = len(rows) > state.per_page
    rows = rows[: state.per_page]
    return (rows[::-1] if backwards else rows), more


_first_pages: dict[tuple[Any, ...], Select[Any]] = {}


def _statement(grid: Grid, state: GridState, scope: Any) -> Select[Any]:
    """The rows ``state`` asks for and one more. The page that is asked for most (the first, nothing narrowed but the tab) is put together once."""
    key = (grid, state.columns, state.sort, state.tab, state.per_page)
    plain = scope is None and not (state.values or state.q or state.after or state.before or state.page > 1)
    if plain and (known := _first_pages.get(key)) is not None:
        return known
    sort = _sort_column(grid, state)
    descending = state.descending != bool(state.before)
    stmt = _ordered(_rows(grid, state, scope, state.visible), grid, sort, descending).limit(state.per_page + 1)
    cursor = _decode(sort, state.after or state.before)
    if cursor is not None:
        stmt = stmt.where(_beyond(grid, sort, cursor, descending=descending))
    elif state.page > 1:
        stmt = stmt.offset(min((state.page - 1) * state.per_page, LAST_NUMBERED_ROW))
    if plain:
        if len(_first_pages) > 500:
            _first_pages.clear()
        _first_pages[key] = stmt
    return stmt


def _rows(grid: Grid, state: GridState, scope: Any, columns: Sequence[Column]) -> Select[Any]:
    wanted: dict[str, Any] = {"pk": grid.pk, "_sort": _sort_column(grid, state).sort_expr, **grid.always}
    label = grid.column(grid.label_key)
    for column in [*columns, *([label] if label else [])]:
        wanted[column.key] = column.expr
        wanted.update(column.also)
    return _select(grid, state, scope, wanted)


def _select(
    grid: Grid, state: GridState, scope: Any, wanted: Mapping[str, Any], *, extra: Sequence[Any] = (), tab: bool = True, narrow: bool = True
) -> Select[Any]:
    """The rows the state lets through. ``tab`` and ``narrow`` off leave the tab, and everything but pinned filters, out."""
    clauses = [*grid.where(scope), *extra]
    chosen = grid.tab(state.tab) if tab else None
    if chosen is not None and chosen.clause is not None:
        clauses.append(chosen.clause)
    for each in grid.filters:
        if each.key in state.values and (narrow or each.pinned):
            clauses.append(each.clause(state.values[each.key], state.tz))
    if state.q and narrow and not callable(grid.search):
        clauses.append(contains_any(grid.search, state.q) if grid.search else false())
    stmt = _bounded(grid, wanted, clauses, scope)
    return grid.search(stmt, state.q) if state.q and narrow and callable(grid.search) else stmt


def _bounded(grid: Grid, wanted: Mapping[str, Any], clauses: Sequence[Any], scope: Any) -> Select[Any]:
    """SELECT of the wanted expressions, with those joins that something in it looks at."""
    stmt = select(*(expr.label(name) for name, expr in wanted.items())).select_from(grid.model).where(*clauses)
    if not grid.joins:
        return stmt
    needed = set[Any]().union(*(_tables_of_declared(expr) for expr in wanted.values()), *(_tables(clause) for clause in clauses))
    joins = []
    for join in reversed(grid.joins):
        if inspect(join.target).selectable in needed:
            on = join.clause(scope)
            joins.append((join, on))
            needed |= _tables_of_declared(on) if on is join.on else _tables(on)
    for join, on in reversed(joins):
        stmt = stmt.join(join.target, on, isouter=join.outer)
    return stmt


def _tables(clause: Any) -> frozenset[Any]:
    element: Any = clause.__clause_element__() if hasattr(clause, "__clause_element__") else clause
    return frozenset(table for part in visitors.iterate(element) if (table := getattr(part, "table", None)) is not None)


#: The expressions of a declaration live as long as the program, so what they look at is found out once.
_tables_of_declared = lru_cache(maxsize=4096)(_tables)


def _ordered(stmt: Select[Any], grid: Grid, sort: Column, descending: bool) -> Select[Any]:
    """Always ends with the primary key, or pages would repeat rows."""
    exprs = [sort.sort_expr, grid.pk]
    return stmt.order_by(*(expr.desc() if descending else expr.asc() for expr in exprs))


def _beyond(grid: Grid, sort: Column, cursor: tuple[Any, Any], *, descending: bool) -> Any:
    expr, (value, pk) = sort.sort_expr, cursor
    nulls_last = (db.engine.dialect.name == "sqlite") == descending
    after_pk = grid.pk < pk if descending else grid.pk > pk
    if value is None:
        return and_(expr.is_(None), after_pk) if nulls_last else or_(and_(expr.is_(None), after_pk), expr.is_not(None))
    left, right = tuple_(expr, grid.pk), tuple_(literal(value, expr.type), literal(pk, grid.pk.type))
    beyond = left < right if descending else left > right
    return or_(beyond, expr.is_(None)) if nulls_last and getattr(expr, "nullable", True) else beyond


def _encode(sort: Column, row: Mapping[str, Any]) -> str:
    value = row["_sort"]
    if isinstance(value, datetime):
        value = {"t": value.isoformat()}
    elif isinstance(value, Decimal):
        value = {"n": str(value)}
    text = json.dumps([sort.key, value, row["pk"]], separators=(",", ":"), default=str)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(sort: Column, cursor: str) -> tuple[Any, Any] | None:
    """The sort value and key a cursor stands for; None when it is empty, damaged or made for another sort."""
    if not cursor:
        return None
    try:
        key, value, pk = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(value, dict):
            value = datetime.fromisoformat(value["t"]) if "t" in value else Decimal(value["n"])
    except (ValueError, TypeError, KeyError, ArithmeticError, binascii.Error):
        return None
    return (value, pk) if key == sort.key else None


_counts: dict[Any, tuple[float, int]] = {}  #: question -> (until when it holds, answer)
_count_statements: dict[tuple[Any, ...], Select[Any]] = {}


def forget_counts() -> None:
    """Count afresh at the next page (dear counts are otherwise kept in this process)."""
    _counts.clear()
    _given.clear()


def _kept_counts(asked: Mapping[tuple[Any, ...], tuple[Callable[[], Select[Any]], int]], lasting: Grid | None = None) -> list[int]:
    """How many rows each question has, but never counting past its cap; what has to be asked is asked in one statement.

    A count that was dear, or is so large that a few rows more go unseen, is kept for ``COUNT_SECONDS``; the others are asked afresh every time,
    so that a row never stands beside a tab that does not count it. The statement of questions that mean the same for ever is kept with their ``lasting`` grid.
    """
    database, now, busy = str(db.engine.url), time.monotonic(), time.thread_time()
    found = {key: known[1] for key in asked if (known := _counts.get((database, *key))) is not None and now < known[0]}
    missing = tuple(key for key in asked if key not in found)
    if missing:
        stmt = _count_statements.get((lasting, *missing)) if lasting else None
        if stmt is None:
            stmt = select(*(_capped(*asked[key]) for key in missing))
            if lasting:
                if len(_count_statements) > 500:
                    _count_statements.clear()
                _count_statements[(lasting, *missing)] = stmt
        fresh = dict(zip(missing, db.session.connection().execute(stmt).one(), strict=True))
        dear = time.thread_time() - busy > DEAR_SECONDS * len(missing)
        if len(_counts) > 2000:
            _counts.clear()
        _counts.update({(database, *key): (now + COUNT_SECONDS, count) for key, count in fresh.items() if dear or count >= asked[key][1]})
        found |= fresh
    return [found[key] for key in asked]


_given: dict[Any, tuple[float, Mapping[str, int]]] = {}  #: what a grid counted itself -> as above


def _own_counts(grid: Grid, scope: Any) -> Mapping[str, int]:
    """The numbers that the grid's own ``tab_counts`` gives, kept for as long as others when they were dear."""
    assert grid.tab_counts is not None
    key, now, busy = (str(db.engine.url), grid.key, repr(scope)), time.monotonic(), time.thread_time()
    if (known := _given.get(key)) is not None and now < known[0]:
        return known[1]
    counts = grid.tab_counts(scope)
    if time.thread_time() - busy > DEAR_SECONDS * len(grid.tabs):
        if len(_given) > 200:
            _given.clear()
        _given[key] = (now + COUNT_SECONDS, counts)
    return counts


def _capped(ask: Callable[[], Select[Any]], cap: int) -> Any:
    inner = ask().with_only_columns(literal_column("1")).order_by(None).limit(cap).subquery()
    return select(func.count()).select_from(inner).scalar_subquery()


def _question(grid: Grid, state: GridState, scope: Any, *, pinned_only: bool = False) -> tuple[Any, ...]:
    """What a count depends on: the grid, who asks (``scope`` must tell itself apart by its repr), and what narrows."""
    pinned = {each.key for each in grid.filters if each.pinned}
    values = tuple((key, repr(value)) for key, value in state.values.items() if key in pinned or not pinned_only)
    return (grid.key, repr(scope), state.tz.key, values, *(() if pinned_only else (state.q, state.tab)))


def _count(grid: Grid, state: GridState, scope: Any) -> int:
    return _kept_counts({_question(grid, state, scope): (lambda: _select(grid, state, scope, {"pk": grid.pk}), COUNT_CAP)})[0]


def _tabs(grid: Grid, state: GridState, scope: Any) -> tuple[TabCount, ...]:
    known = dict(_own_counts(grid, scope)) if grid.tabs and grid.tab_counts else {}
    question = _question(grid, state, scope, pinned_only=True)

    def asking(tab: Tab) -> Callable[[], Select[Any]]:
        clauses = () if tab.clause is None else (tab.clause,)
        return lambda: _select(grid, state, scope, {"pk": grid.pk}, extra=clauses, tab=False, narrow=False)

    unknown = [tab for tab in grid.tabs if tab.key not in known]
    asked = {(*question, "tab", tab.key): (asking(tab), TAB_COUNT_CAP) for tab in unknown}
    plain = scope is None and not any(each.pinned and each.key in state.values for each in grid.filters)
    counted = dict(zip((tab.key for tab in unknown), _kept_counts(asked, grid if plain else None), strict=True))
    first = grid.tabs[0].key if grid.tabs else ""
    return tuple(
        TabCount(
            tab.key, tab.label, tab.tone, counted.get(tab.key, known.get(tab.key, 0)), counted.get(tab.key, 0) >= TAB_COUNT_CAP,
            state.url(tab=None if tab.key == first else tab.key), tab.key == state.tab,
        )
        for tab in grid.tabs
    )  # fmt: skip


def matching_ids(grid: Grid, state: GridState, scope: Any = None, *, limit: int = BULK_LIMIT) -> list[Any]:
    """The primary keys of every row the filters let through, in the grid's order, at most ``limit``."""
    sort = _sort_column(grid, state)
    stmt = _select(grid, state, scope, {"pk": grid.pk, "_sort": sort.sort_expr})
    return [row.pk for row in db.session.execute(_ordered(stmt, grid, sort, state.descending).limit(limit))]


def allowed_ids(grid: Grid, raw_ids: Sequence[str], scope: Any = None) -> list[Any]:
    """Of the posted ids, those that exist within ``scope``, in the order they were posted."""
    kind = grid.pk.type.python_type
    wanted = []
    for raw in dict.fromkeys(raw_ids):
        try:
            wanted.append(kind(raw))
        except (TypeError, ValueError):
            continue
    found: set[Any] = set()
    for start in range(0, len(wanted[:BULK_LIMIT]), 500):
        stmt = _bounded(grid, {"pk": grid.pk}, [*grid.where(scope), grid.pk.in_(wanted[start : start + 500])], scope)
        found.update(db.session.scalars(stmt))
    return [each for each in wanted if each in found]


def stream(grid: Grid, state: GridState, scope: Any = None) -> Iterator[Mapping[str, Any]]:
    """Every matching row of the current view, in its order, on a connection of its own, 500 at a time."""
    sort = _sort_column(grid, state)
    stmt = _ordered(_rows(grid, state, scope, state.visible), grid, sort, state.descending)
    with db.engine.connect() as connection:
        result = connection.execution_options(yield_per=500).execute(stmt)
        names = tuple(result.keys())
        for row in result:
            yield dict(zip(names, row, strict=True))

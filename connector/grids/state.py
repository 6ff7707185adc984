"""What a grid shows at the moment, read from its URL and written back to it. The URL is the state: a saved view is a query string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import quote_plus
from zoneinfo import ZoneInfo

from connector.grids.filters import Args, Choices, Options
from connector.grids.grid import PAGE_SIZES, Column, Grid

UTC_ZONE = ZoneInfo("UTC")

#: A page names the same few dozen words in every one of its links.
_quoted = lru_cache(maxsize=4096)(quote_plus)


def _encoded(pairs: Sequence[tuple[str, str]]) -> str:
    return "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in pairs])


@dataclass(frozen=True)
class StateChip:
    text: str
    url: str


@dataclass(frozen=True)
class GridState:
    """Frozen and Flask-free. Unknown keys, sorts, choices and columns are dropped, never trusted.

    ``values`` holds the filters in force by filter key; ``raw`` what was typed by parameter name (shown again when it made no sense);
    ``problems`` what to tell the person about it.
    """

    grid: Grid
    path: str
    values: Mapping[str, Any]
    raw: Mapping[str, Sequence[str]]
    problems: tuple[str, ...]
    options: Mapping[str, Options]
    q: str
    sort: str
    page: int
    per_page: int
    tab: str
    columns: tuple[str, ...]
    columns_chosen: bool
    default_columns: tuple[str, ...]
    after: str
    before: str
    tz: ZoneInfo = field(default=UTC_ZONE)

    @classmethod
    def parse(cls, grid: Grid, args: Args, *, path: str = "", tz: ZoneInfo = UTC_ZONE, preferred_columns: Sequence[str] | None = None) -> GridState:
        values: dict[str, Any] = {}
        problems: list[str] = []
        options = {each.key: each.options() for each in grid.filters}
        asked = set(args.keys())
        named = [each for each in grid.filters if not asked.isdisjoint(each.names)]
        for each in named:
            try:
                value = each.parse(args, tz, options[each.key])
            except ValueError as problem:
                problems.append(str(problem))
                continue
            if value is not None:
                values[each.key] = value
        sort = args.get("sort") or ""
        alone = without_choice(grid, options)
        defaults = _known(grid, preferred_columns or ()) or tuple(key for key in grid.default_columns if key not in alone)
        chosen = _known(grid, (args.get("cols") or "").split(","))
        return cls(
            grid=grid,
            path=path,
            values=values,
            raw={name: args.getlist(name) for each in named for name in each.names},
            problems=tuple(problems),
            options=options,
            q=(args.get("q") or "").strip()[:200],
            sort=sort if sort and grid.sortable(sort) else grid.default_sort or f"-{grid.columns[0].key}",
            page=_number(args.get("page"), 1, highest=10_000_000),
            per_page=size if (size := _number(args.get("per_page"), grid.per_page)) in PAGE_SIZES else grid.per_page,
            tab=args.get("tab") if grid.tab(args.get("tab") or "") else (grid.tabs[0].key if grid.tabs else ""),
            columns=chosen or defaults,
            columns_chosen=bool(chosen),
            default_columns=defaults,
            after=args.get("after") or "",
            before=args.get("before") or "",
            tz=tz,
        )

    @property
    def visible(self) -> tuple[Column, ...]:
        return tuple(column for column in self.grid.columns if column.key in self.columns)

    @property
    def descending(self) -> bool:
        return self.sort.startswith("-")

    @property
    def sort_key(self) -> str:
        return self.sort.lstrip("-")

    @property
    def filtered(self) -> bool:
        """Is anything narrowed, so that "nothing found" may be the filters' doing?"""
        return bool(self.values or self.q or (self.grid.tabs and self.tab != self.grid.tabs[0].key))

    def params(self, *, paging: bool = True, columns: bool = False) -> list[tuple[str, str]]:
        """The state as query parameters, defaults left out (``columns`` names them even so), always in the same order."""
        return [*(self._named if columns else self._pairs), *(self._paging if paging else ())]

    @cached_property
    def _pairs(self) -> list[tuple[str, str]]:
        return self._params(self.columns_chosen)

    @cached_property
    def _named(self) -> list[tuple[str, str]]:
        return self._params(True)

    @cached_property
    def _paging(self) -> list[tuple[str, str]]:
        pairs = [("page", str(self.page))] if self.page > 1 else []
        return pairs + [(name, value) for name, value in (("after", self.after), ("before", self.before)) if value]

    def _params(self, columns: bool) -> list[tuple[str, str]]:
        pairs: list[tuple[str, str]] = []
        if self.grid.tabs and self.tab != self.grid.tabs[0].key:
            pairs.append(("tab", self.tab))
        if self.q:
            pairs.append(("q", self.q))
        for each in self.grid.filters:
            if each.key in self.values:
                pairs += each.params(self.values[each.key])
        if self.sort != (self.grid.default_sort or f"-{self.grid.columns[0].key}"):
            pairs.append(("sort", self.sort))
        if self.per_page != self.grid.per_page:
            pairs.append(("per_page", str(self.per_page)))
        if columns:
            pairs.append(("cols", ",".join(self.columns)))
        return pairs

    def url(self, *, drop: Sequence[str | tuple[str, str]] = (), path: str | None = None, **changes: Any) -> str:
        """This state's address with changes: ``url(sort="-placed_at")``, ``url(drop=("q",))``. Any change begins at page 1 again."""
        paging = not changes and not drop
        pairs = [(name, value) for name, value in self.params(paging=paging) if name not in changes]
        if drop:
            pairs = [(name, value) for name, value in pairs if name not in drop and (name, value) not in drop]
        pairs += [(name, str(value)) for name, value in changes.items() if value not in (None, "")]
        query = _encoded(pairs)
        target = self.path if path is None else path
        return f"{target}?{query}" if query else target

    @property
    def query(self) -> str:
        """The query string without the page."""
        return _encoded(self.params(paging=False))

    @property
    def full_query(self) -> str:
        """The query string as it is: what a bulk action posts ("all matching") and returns to."""
        return _encoded(self.params())

    @property
    def view_query(self) -> str:
        """What a saved view keeps: filters, search, sort, page size and the columns by name."""
        return _encoded(self.params(paging=False, columns=True))

    def sort_url(self, column: Column) -> str:
        up = self.sort_key != column.key or self.descending
        return self.url(sort=column.key if up else f"-{column.key}")

    def aria_sort(self, column: Column) -> str:
        if self.sort_key != column.key:
            return "none"
        return "descending" if self.descending else "ascending"

    @property
    def chips(self) -> list[StateChip]:
        chips = [StateChip(f"Search: {self.q}", self.url(drop=("q",)))] if self.q else []
        for each in self.grid.filters:
            if each.key in self.values:
                for chip in each.chips(self.values[each.key], self.options[each.key]):
                    chips.append(StateChip(chip.text, self.url(drop=chip.drop)))
        return chips

    @property
    def clear_url(self) -> str:
        kept = {"sort", "per_page", "cols", *(each.key for each in self.grid.filters if each.kind == "one_of")}
        keep = [(name, value) for name, value in self.params(paging=False) if name in kept]
        return f"{self.path}?{_encoded(keep)}" if keep else self.path

    def shown(self, name: str) -> str:
        """What stands in a single filter input."""
        return (list(self.raw.get(name, ())) or [""])[0]


def without_choice(grid: Grid, options: Mapping[str, Options]) -> frozenset[str]:
    """Keys of the toolbar's filters that offer one choice at most. Where there is one account, neither its filter nor its column tells anything: the
    filter is left out, and the column is shown to those who ask for it."""
    return frozenset(each.key for each in grid.filters if each.pinned and isinstance(each, Choices) and len(options[each.key]) < 2)


def _known(grid: Grid, keys: Sequence[str]) -> tuple[str, ...]:
    wanted = set(keys)
    return tuple(column.key for column in grid.columns if column.key in wanted)


def _number(raw: str | None, default: int, *, highest: int = 1000) -> int:
    try:
        return min(max(int(raw or default), 1), highest)
    except ValueError:
        return default

"""searchCriteria and the `fields` filter (MAG §2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_plus

import orjson

from .errors import Crash, Masked, RestError, required, wrong_type
from .storage import Tables, expression

_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_KEY = re.compile(r"\[([^\]]*)\]")


def snake(name: str) -> str:
    return _CAMEL.sub(r"_\1", name).lower() if not name.islower() else name


def parse_query(raw: str) -> dict[str, Any]:
    """PHP's reading of a query string: `a[b][0]=x` becomes nested dicts, `a[]=x` counts up."""
    tree: dict[str, Any] = {}
    for pair in filter(None, raw.split("&")):
        name, _, value = pair.partition("=")
        name = unquote_plus(name)
        head, bracket, _ = name.partition("[")
        path = [head, *_KEY.findall(name[len(head) :])] if bracket else [head]
        node = tree
        for step in path[:-1]:
            if step == "":
                step = str(len(node))
            child = node.get(step)
            if not isinstance(child, dict):
                child = node[step] = {}
            node = child
        node[path[-1] if path[-1] != "" else str(len(node))] = unquote_plus(value)
    return tree


def raw_decode(text: str) -> str:
    """PHP's rawurldecode: a plus stays a plus."""
    return unquote(text)


@dataclass
class Filter:
    field: str
    value: Any
    condition: str = "eq"


@dataclass
class Criteria:
    groups: list[list[Filter]] = field(default_factory=list)
    sorts: list[tuple[str, str]] = field(default_factory=list)
    page_size: int | None = None
    page: int | None = None

    def echo(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "filter_groups": [{"filters": [{"field": f.field, "value": f.value, "condition_type": f.condition} for f in group]} for group in self.groups]
        }
        if self.sorts:
            shown["sort_orders"] = [{"field": name, "direction": direction} for name, direction in self.sorts]
        if self.page_size is not None:
            shown["page_size"] = self.page_size
        if self.page is not None:
            shown["current_page"] = self.page
        return shown


def _integer(name: str, value: Any) -> int:
    if not re.fullmatch(r"-?\d+", str(value).strip()):
        raise wrong_type(name, value, "int")
    return int(value)


def parse_criteria(query: Mapping[str, Any], max_page_size: int | None = None) -> Criteria:
    """The criteria of a list call; 400 without any, a masked 500 for an unknown key (MAG §2.1)."""
    given = next((query[key] for key in ("searchCriteria", "search_criteria") if key in query), None)
    if given is None:
        raise required("searchCriteria")
    criteria = Criteria()
    if not isinstance(given, dict):
        return criteria
    for key, value in given.items():
        match snake(key):
            case "filter_groups":
                for group in value.values() if isinstance(value, dict) else ():
                    filters = group.get("filters", {}) if isinstance(group, dict) else {}
                    criteria.groups.append([_filter(item) for item in filters.values()])
            case "sort_orders":
                for item in value.values() if isinstance(value, dict) else ():
                    direction = str(item.get("direction", "ASC")).upper()
                    if direction not in ("ASC", "DESC"):
                        text = "The sort order has to be specified as %1 for ascending order or %2 for descending order."
                        raise RestError(400, text, ["ASC", "DESC"])
                    criteria.sorts.append((item.get("field", ""), direction))
            case "page_size":
                criteria.page_size = _integer("pageSize", value)
            case "current_page":
                criteria.page = _integer("currentPage", value)
            case _:
                raise Masked()
    if max_page_size is not None and (criteria.page_size or 0) > max_page_size:
        raise RestError(400, "Maximum SearchCriteria pageSize is %max", {"max": max_page_size})
    return criteria


def _filter(item: Mapping[str, Any]) -> Filter:
    values = {snake(key): value for key, value in item.items()}
    return Filter(values.get("field", ""), values.get("value", ""), values.get("condition_type", "eq") or "eq")


# --- SQL ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """One searchable column: its SQL and how a filter value compares with it (`int`, `float`, `str`, `date`)."""

    sql: str
    kind: str = "str"


def document_columns(types: Mapping[str, str]) -> dict[str, Column]:
    return {name: Column(expression(name), kind) for name, kind in types.items()}


_COMPARE = {"eq": "=", "neq": "!=", "gt": ">", "gteq": ">=", "lt": "<", "lteq": "<=", "from": ">=", "to": "<="}


def _value(kind: str, value: Any) -> Any:
    text = str(value).rstrip()
    if kind in ("int", "float"):
        number = re.match(r"\s*-?\d+(\.\d+)?", text)
        return float(number[0]) if number and "." in number[0] else int(number[0]) if number else 0
    if kind == "date":
        return text.replace("T", " ").removesuffix("Z")
    return text


def condition_sql(column: Column, item: Filter) -> tuple[str, list[Any]]:
    sql = f"{column.sql} COLLATE NOCASE" if column.kind in ("str", "date") else column.sql
    match item.condition.lower():
        case "in" | "nin" as kind:
            values = [_value(column.kind, part) for part in str(item.value).split(",")]
            marks = ",".join("?" * len(values))
            return f"{sql} {'NOT ' if kind == 'nin' else ''}IN ({marks})", values
        case "like" | "nlike" as kind:
            return f"{column.sql} {'NOT ' if kind == 'nlike' else ''}LIKE ? ESCAPE '\\'", [str(item.value)]
        case "null":
            return f"{column.sql} IS NULL", []
        case "notnull":
            return f"{column.sql} IS NOT NULL", []
        case "finset" | "nfinset" as kind:
            inside = "NOT LIKE" if kind == "nfinset" else "LIKE"
            return f"(',' || {column.sql} || ',') {inside} ?", [f"%,{item.value},%"]
        case other:  # unknown conditions degrade to equality, `moreq` included
            return f"{sql} {_COMPARE.get(other, '=')} ?", [_value(column.kind, item.value)]


def where(criteria: Criteria, columns: Mapping[str, Column], unknown: Callable[[str], Exception]) -> tuple[str, list]:
    """The WHERE text (without the word): groups AND-ed, filters OR-ed, a from/to pair of one field makes a range."""
    parts, args = [], []
    for group in criteria.groups:
        ranges: dict[str, list[str]] = {}
        alternatives = []
        for item in group:
            if item.field not in columns:
                raise unknown(item.field)
            sql, values = condition_sql(columns[item.field], item)
            if item.condition in ("from", "to"):
                ranges.setdefault(item.field, []).append((sql, values))
            else:
                alternatives.append((sql, values))
        for pair in ranges.values():
            alternatives.append(("(" + " AND ".join(p[0] for p in pair) + ")", [v for p in pair for v in p[1]]))
        if alternatives:
            parts.append("(" + " OR ".join(a[0] for a in alternatives) + ")")
            args.extend(v for a in alternatives for v in a[1])
    return " AND ".join(parts) or "1", args


def search_rows(
    db: Tables,
    table: str,
    columns: Mapping[str, Column],
    criteria: Criteria,
    *,
    select: str = "doc",
    unknown: Callable[[str], Exception] = lambda name: Masked(),
    ignore_bad_sort: bool = False,
    repeat_last_page: bool = False,
) -> tuple[list[tuple], int]:
    """One page of raw rows and the true total."""
    condition, args = where(criteria, columns, unknown)
    total = db.one(f"SELECT COUNT(*) FROM {table} WHERE {condition}", *args)[0]
    order = []
    for name, direction in criteria.sorts:
        if name in columns:
            order.append(f"{columns[name].sql} {direction}")
        elif not ignore_bad_sort:
            raise Masked()
    sql = f"SELECT {select} FROM {table} WHERE {condition} ORDER BY {', '.join([*order, 'id'])}"
    limit, offset = page_window(criteria, total, repeat_last_page)
    if limit is not None:
        sql += f" LIMIT {limit} OFFSET {offset}"
    return db.all(sql, *args), total


def page_window(criteria: Criteria, total: int, repeat_last_page: bool) -> tuple[int | None, int]:
    if not criteria.page_size or criteria.page_size < 0:
        return None, 0
    page = max(criteria.page or 1, 1)
    if repeat_last_page:
        page = min(page, max(-(-total // criteria.page_size), 1))
    return criteria.page_size, (page - 1) * criteria.page_size


def search_docs(db: Tables, table: str, columns: Mapping[str, Column], criteria: Criteria, **options: Any):
    rows, total = search_rows(db, table, columns, criteria, **options)
    return [orjson.loads(row[0]) for row in rows], total


def search_list(items: Iterable[Mapping[str, Any]], criteria: Criteria, unknown: Callable[[str], Exception] = lambda name: Masked()) -> tuple[list, int]:
    """The same over a small list of equal-shaped dicts (stores, sources, tax classes)."""
    rows = list(items)
    known = {name for row in rows for name in row}
    for group in criteria.groups:
        for item in group:
            if rows and item.field not in known:
                raise unknown(item.field)
        rows = [row for row in rows if any(_matches(row.get(item.field), item) for item in group)]
    for name, direction in reversed(criteria.sorts):
        if rows and name not in known:
            raise unknown(name)
        rows.sort(key=lambda row: (row.get(name) is not None, row.get(name)), reverse=direction == "DESC")
    limit, offset = page_window(criteria, len(rows), False)
    return (rows if limit is None else rows[offset : offset + limit]), len(rows)


def _matches(value: Any, item: Filter) -> bool:
    kind = "float" if isinstance(value, (int, float)) and not isinstance(value, bool) else "str"
    wanted = _value(kind, item.value)
    have = value if kind == "float" else str(int(value) if isinstance(value, bool) else value or "").lower()
    wanted = wanted if kind == "float" else str(wanted).lower()
    match item.condition.lower():
        case "in" | "nin" as kind_of:
            inside = str(have) in [part.lower() for part in str(item.value).split(",")]
            return inside == (kind_of == "in")
        case "like" | "nlike" as kind_of:
            pattern = re.escape(str(item.value).lower()).replace("%", ".*").replace("_", ".")
            return bool(re.fullmatch(pattern, str(have))) == (kind_of == "like")
        case "null":
            return value is None
        case "notnull":
            return value is not None
        case "neq":
            return have != wanted
        case "gt":
            return have > wanted
        case "gteq" | "from":
            return have >= wanted
        case "lt":
            return have < wanted
        case "lteq" | "to":
            return have <= wanted
        case _:
            return have == wanted


# --- fields filter --------------------------------------------------------------------------------------------------------


def parse_fields(text: str) -> dict[str, Any] | None:
    """`a,b[c]` as `{"a": None, "b": {"c": None}}`; None when malformed."""
    if not re.fullmatch(r"[A-Za-z0-9_\[\],]+", text) or text.count("[") != text.count("]"):
        return None
    root: dict[str, Any] = {}
    stack, name = [root], ""
    for char in text + ",":
        if char in ",[]":
            if name:
                stack[-1][name] = {} if char == "[" else None
            elif char == "[":
                return None
            if char == "[":
                stack.append(stack[-1][name])
            elif char == "]":
                if len(stack) == 1:
                    return None
                stack.pop()
            name = ""
        else:
            name += char
    return root if len(stack) == 1 else None


def apply_fields(value: Any, wanted: dict[str, Any]) -> Any:
    """MAG §2.3, its two traps included."""
    if isinstance(value, list):
        if value and not isinstance(value[0], (dict, list)):
            raise Crash()
        return [apply_fields(element, wanted) for element in value] if value else None
    if not isinstance(value, dict):
        raise Crash()
    shown: dict[str, Any] = {}
    for name, inner in wanted.items():
        if name not in value:
            continue
        if inner is None:
            shown[name] = value[name]
        elif name == "custom_attributes" and isinstance(value[name], list):
            shown[name] = {str(position): entry for position, entry in enumerate(value[name]) if entry.get("attribute_code") in inner}
        else:
            shown[name] = apply_fields(value[name], inner)
    return shown or []

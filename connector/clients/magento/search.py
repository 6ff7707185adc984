"""searchCriteria: building, reading and walking lists (MAG §2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Row = dict[str, Any]
Filter = tuple[str, str, str]  # field, condition type, value

CONDITIONS = frozenset(
    {
        "eq",
        "neq",
        "gt",
        "gteq",
        "lt",
        "lteq",
        "in",
        "nin",
        "like",
        "nlike",
        "finset",
        "nfinset",
        "null",
        "notnull",
        "from",
        "to",
    }
)
PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class SearchCriteria:
    """Immutable; each method gives a changed copy. Filters of one group are OR-ed, groups are AND-ed.

    Only columns of the entity itself can be searched. `moreq` does not exist in Magento: use gteq.
    """

    groups: tuple[tuple[Filter, ...], ...] = ()
    sort: tuple[tuple[str, str], ...] = ()
    page_size: int | None = None
    current_page: int | None = None
    fields: str | None = None

    def where(self, field_: str, condition: str, value: object = "1") -> SearchCriteria:
        return self.any_of((field_, condition, value))

    def any_of(self, *filters: tuple[str, str, object]) -> SearchCriteria:
        for _, condition, _ in filters:
            if condition not in CONDITIONS:
                raise ValueError(f"{condition!r} is no condition type of searchCriteria")
        group = tuple((name, condition, _text(value)) for name, condition, value in filters)
        return replace(self, groups=(*self.groups, group))

    def order_by(self, field_: str, direction: str = "ASC") -> SearchCriteria:
        return replace(self, sort=(*self.sort, (field_, direction)))

    def page(self, current_page: int, page_size: int = PAGE_SIZE) -> SearchCriteria:
        return replace(self, current_page=current_page, page_size=page_size)

    def only(self, fields: str | None) -> SearchCriteria:
        """`fields` of a whole answer, e.g. "items[entity_id,status],total_count" (MAG §2.3)."""
        return replace(self, fields=fields)

    def pairs(self) -> list[tuple[str, str]]:
        """Query parameters, decoded; at least one searchCriteria parameter, because lists require it."""
        pairs: list[tuple[str, str]] = []
        for g, group in enumerate(self.groups):
            for f, (name, condition, value) in enumerate(group):
                prefix = f"searchCriteria[filter_groups][{g}][filters][{f}]"
                pairs += [
                    (f"{prefix}[field]", name),
                    (f"{prefix}[value]", value),
                    (f"{prefix}[condition_type]", condition),
                ]
        for s, (name, direction) in enumerate(self.sort):
            pairs += [
                (f"searchCriteria[sortOrders][{s}][field]", name),
                (f"searchCriteria[sortOrders][{s}][direction]", direction),
            ]
        if self.page_size is not None:
            pairs.append(("searchCriteria[pageSize]", str(self.page_size)))
        if self.current_page is not None:
            pairs.append(("searchCriteria[currentPage]", str(self.current_page)))
        if not pairs:
            pairs.append(("searchCriteria", ""))
        if self.fields:
            pairs.append(("fields", self.fields))
        return pairs


@dataclass(frozen=True, slots=True)
class SearchResult:
    items: list[Row] = field(default_factory=list)
    total_count: int | None = None
    page_size: int | None = None  # as sent, after shrinking to the store's limit

    @classmethod
    def read(cls, payload: Any) -> SearchResult:
        """`items` may be null on an empty result with a `fields` filter; a malformed `fields` gives a bare []."""
        if payload == []:
            return cls()
        total = payload.get("total_count")
        return cls(list(payload.get("items") or []), None if total is None else int(total))


Fetch = Callable[[SearchCriteria], SearchResult]


def pages(fetch: Fetch, criteria: SearchCriteria, *, page_size: int = PAGE_SIZE) -> Iterator[list[Row]]:
    """Page by page until the count is reached, a page is empty, or a page repeats (stores before 2.4 repeat the last one)."""
    before: Row | None = None
    number = 1
    while True:
        result = fetch(criteria.page(number, page_size))
        if not result.items or result.items[0] == before:
            return
        yield result.items
        if result.total_count is not None and number * (result.page_size or page_size) >= result.total_count:
            return
        before, number = result.items[0], number + 1


def keyset(
    fetch: Fetch,
    criteria: SearchCriteria,
    *,
    after: str = "0",
    key: str = "entity_id",
    row_key: str | None = None,
    page_size: int = PAGE_SIZE,
) -> Iterator[Row]:
    """Every row whose column `key` is above `after`, ascending, always page 1: rows neither repeat nor get lost, and deep pages
    stay fast. `row_key` is the column's name in the answer when it differs."""
    while True:
        found = fetch(criteria.where(key, "gt", after).order_by(key).page(1, page_size))
        yield from found.items
        if not found.items or (found.total_count is not None and len(found.items) >= found.total_count):
            return
        last = str(found.items[-1][row_key or key])
        if last == after:
            return
        after = last


def sku_criteria(skus: Sequence[str]) -> SearchCriteria:
    """Any of these SKUs; one with a comma cannot stand in an `in` list and becomes an `eq` of the same group (MAG §2.1)."""
    plain = [sku for sku in skus if "," not in sku]
    filters: list[tuple[str, str, object]] = [("sku", "eq", sku) for sku in skus if "," in sku]
    if plain:
        filters.append(("sku", "in", ",".join(plain)))
    return SearchCriteria().any_of(*filters)


def chunks(skus: Sequence[str], *, most: int = 100, url_bytes: int = 4500) -> Iterator[list[str]]:
    """Groups of SKUs that fit one URL: at most 100, and below 6 kB in all however they are encoded."""
    group: list[str] = []
    size = 0
    for sku in dict.fromkeys(skus):
        # percent-encoding triples a byte at worst; a comma also costs a filter of its own
        cost = 3 * len(sku.encode()) + 3 + (250 if "," in sku else 0)
        if group and (len(group) == most or size + cost > url_bytes):
            yield group
            group, size = [], 0
        group.append(sku)
        size += cost
    if group:
        yield group


def _text(value: object) -> str:
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(map(str, value))
    return str(value)

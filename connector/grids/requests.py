"""What the grids of buyers' requests share (cancellations, returns): the order of urgency, and values that the contract does not name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, literal, or_

from connector.core.db import UTCDateTime

#: A choice of a filter that stands for everything that the contract does not name.
OTHER, NOT_KNOWN = "other", "Not known to this version"
#: The deadline of what has none: it comes after everything that has one, in both databases.
NEVER: Any = literal(datetime(9999, 12, 31, tzinfo=UTC), UTCDateTime())


def or_other(column: Any, known: Sequence[str], spellings: Mapping[str, str] | None = None) -> Callable[[Sequence[str]], ColumnElement[bool]]:
    """A filter's clause: the chosen values, each with its other ``spellings`` (other -> usual); ``OTHER`` is everything that is not among ``known``."""

    def clause(values: Sequence[str]) -> ColumnElement[bool]:
        chosen = [value for value in values if value != OTHER]
        chosen += [other for other, usual in (spellings or {}).items() if usual in chosen]
        return or_(column.in_(chosen), column.not_in(known)) if OTHER in values else column.in_(chosen)

    return clause

"""What differs between two readings of a shop's onboarding data, in words (A036; TTS §5.2, §5.3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

CATEGORY, WAREHOUSE, DELIVERY_OPTION, CARRIER, ORDER_STATUS = "category", "warehouse", "delivery_option", "shipping_provider", "order_status"
ALLOWED, ENABLED = "AVAILABLE", "ENABLED"
#: (one, many) of a kind.
NOUNS = {
    CATEGORY: ("category", "categories"),
    WAREHOUSE: ("warehouse", "warehouses"),
    DELIVERY_OPTION: ("delivery option", "delivery options"),
    CARRIER: ("carrier", "carriers"),
    ORDER_STATUS: ("order status", "order statuses"),
    "cancel_reason": ("cancel reason", "cancel reasons"),
    "reject_reason": ("reject reason", "reject reasons"),
}
#: What can happen to one row, the worst first, and how it is said after a number and a noun.
VERBS = {
    "removed": "removed",
    "not_leaf": "with subcategories now",
    "not_allowed": "no longer open to the shop",
    "permission": "with another permission",
    "allowed": "open to the shop now",
    "leaf": "without subcategories now",
    "changed": "changed",
    "moved": "moved",
    "renamed": "renamed",
    "added": "added",
}
#: Of these a listing's content hears nothing: the category is what it was.
COSMETIC = frozenset(("renamed", "moved"))


class Reference(NamedTuple):
    """One row of onboarding data. ``data``: what TikTok said; ``id``: of the stored row, 0 for one that was just read."""

    kind: str
    parent_id: str
    remote_id: str
    name: str
    data: Mapping[str, Any]
    id: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same thing in both readings. A category that moves stays the same category."""
        return (self.kind, "" if self.kind == CATEGORY else self.parent_id, self.remote_id)


class Change(NamedTuple):
    """Two readings of one row; ``old`` None: it is new, ``new`` None: it is gone. ``whats``: keys of ``VERBS``."""

    old: Reference | None
    new: Reference | None
    whats: tuple[str, ...]

    @property
    def row(self) -> Reference:
        row = self.new or self.old
        assert row is not None
        return row

    def words(self) -> str:
        """What happened to it, for a list of its like: its name, and what it was before."""
        name = self.row.name or self.row.remote_id
        if self.old is None or self.new is None:
            return name
        details = []
        if "renamed" in self.whats:
            details.append(f"was called {self.old.name or self.old.remote_id}")
        if {"not_allowed", "allowed", "permission"} & set(self.whats):
            details.append(f"TikTok says {_statuses(self.new.data)}, before {_statuses(self.old.data)}")
        if "changed" in self.whats:
            details += [f"{field} is {_plain(self.new.data.get(field))}, was {_plain(self.old.data.get(field))}" for field in _fields(self.old, self.new)]
        return f"{name} ({'; '.join(details)})" if details else name


@dataclass(frozen=True, slots=True)
class Difference:
    """``changes``: every row that differs. ``first``: kinds of which nothing was known, so that being new says nothing."""

    changes: tuple[Change, ...]
    first: frozenset[str]

    def notable(self) -> list[Change]:
        """What is told: all but the rows of a kind that is read for the first time."""
        return [change for change in self.changes if change.row.kind not in self.first]

    def of(self, kind: str) -> list[Change]:
        return [change for change in self.notable() if change.row.kind == kind]


def compare(old: Iterable[Reference], new: Iterable[Reference]) -> Difference:
    """Everything that differs, in one pass over both."""
    before = {row.key: row for row in old}
    known = frozenset(row.kind for row in before.values())
    changes, kinds = list[Change](), set[str]()
    for key, row in {row.key: row for row in new}.items():
        kinds.add(row.kind)
        was = before.pop(key, None)
        if was is None:
            changes.append(Change(None, row, ("added",)))
        elif whats := _whats(was, row):
            changes.append(Change(was, row, whats))
    changes += [Change(row, None, ("removed",)) for row in before.values()]
    return Difference(tuple(changes), frozenset(kinds - known))


def summary(changes: Iterable[Change], shown: int = 20) -> list[dict[str, Any]]:
    """``[{"kind", "what", "count", "rows": [words], "more"}]``, the worst first within a kind. A carrier counts once, whatever options offer it."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for change in changes:
        row = change.row
        for what in change.whats:
            same = row.name if row.kind == CARRIER else "|".join(row.key)
            found.setdefault((row.kind, what), {}).setdefault(same, change.words())
    kinds, verbs = list(NOUNS), list(VERBS)
    ordered = sorted(found.items(), key=lambda pair: (kinds.index(pair[0][0]), verbs.index(pair[0][1])))
    return [
        {"kind": kind, "what": what, "count": len(rows), "rows": sorted(rows.values())[:shown], "more": max(0, len(rows) - shown)}
        for (kind, what), rows in ordered
    ]


def sentence(lines: Iterable[Mapping[str, Any]]) -> str:
    """Of ``summary``: "3 categories removed, 1 renamed; 1 carrier added." """
    parts: dict[str, list[str]] = {}
    for line in lines:
        of_kind = parts.setdefault(line["kind"], [])
        of_kind.append(f"{line['count']} {'' if of_kind else noun(line['kind'], line['count']) + ' '}{VERBS[line['what']]}")
    return "; ".join(", ".join(each) for each in parts.values()) + "." if parts else "Nothing changed."


def noun(kind: str, count: int) -> str:
    return NOUNS[kind][count != 1]


def misfit(node: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Why nothing can be listed in a category of the tree, and what to do; None when it can. ``node`` None: the tree has it no more (TTS §5.3.2)."""
    if node is None:
        return "is no longer in TikTok's tree", "Choose another category."
    if not node.get("is_leaf", True):
        return "has subcategories now, and TikTok lists in the lowest ones only", "Choose one of its subcategories."
    if not _allowed(node):
        return f"is not open to the shop: TikTok says {_statuses(node)}", "Apply for it in Seller Center, or choose another category."
    return None


def _whats(old: Reference, new: Reference) -> tuple[str, ...]:
    found = []
    if new.kind == CATEGORY:
        leaf, was_leaf = bool(new.data.get("is_leaf", True)), bool(old.data.get("is_leaf", True))
        if leaf != was_leaf:
            found.append("leaf" if leaf else "not_leaf")
        if _statuses(new.data) != _statuses(old.data):
            found.append("permission" if _allowed(new.data) == _allowed(old.data) else "allowed" if _allowed(new.data) else "not_allowed")
        if new.parent_id != old.parent_id:
            found.append("moved")
    elif _fields(old, new):
        found.append("changed")
    if new.name != old.name:
        found.append("renamed")
    if not found and new.data != old.data:
        found.append("changed")
    return tuple(found)


def _fields(old: Reference, new: Reference) -> list[str]:
    """What TikTok says otherwise than before, the name apart."""
    return [field for field in sorted({*old.data, *new.data} - {"name", "local_name"}) if old.data.get(field) != new.data.get(field)]


def _allowed(node: Mapping[str, Any]) -> bool:
    statuses = node.get("permission_statuses")
    return statuses is None or ALLOWED in statuses


def _statuses(node: Mapping[str, Any]) -> str:
    return ", ".join(sorted(node.get("permission_statuses") or ())) or "nothing"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    return "nothing" if value in (None, "") else str(value)

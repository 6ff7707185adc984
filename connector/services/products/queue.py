"""The products' queue: single units of work across runs (A221-A225)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from connector.core.db import db, unit_of_work
from connector.models.run import FINAL_STATES, JobItem, JobRun
from connector.services import runs

#: The kinds of work whose units are products; their refs are listing ids.
KINDS = ("products.upload", "products.auto_upload", "products.auto_update", "products.sync", "products.change_status", "products.validate")
#: What is tried again by hand is tried as this: the automatic kinds choose their units themselves.
_AGAIN = {"products.auto_upload": "products.upload", "products.auto_update": "products.upload"}
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Unit:
    """One item of the queue. ``why_not``: why it cannot be tried again, or ""."""

    item_id: int
    ref: str
    label: str
    kind: str
    account_id: int | None
    args: dict[str, Any]
    why_not: str


def units(item_ids: Sequence[int]) -> list[Unit]:
    """These items, in the order given, and whether they can be tried again. One that has a later unit of the same work is told as such."""
    later, later_run = aliased(JobItem), aliased(JobRun)
    after = (
        select(func.max(later.id))
        .join(later_run, later_run.id == later.run_id)
        .where(later.ref == JobItem.ref, later.id > JobItem.id, later_run.account_id == JobRun.account_id, later_run.kind.in_((*KINDS,)))
        .scalar_subquery()
    )
    found: dict[int, Unit] = {}
    for first in range(0, len(item_ids), _AT_ONCE):
        rows = db.session.execute(
            select(
                JobItem.id, JobItem.ref, JobItem.label, JobItem.state, JobRun.kind, JobRun.account_id, JobRun.args, JobRun.state.label("run_state"),
                after.label("later"),
            )
            .join(JobRun, JobRun.id == JobItem.run_id)
            .where(JobItem.id.in_(item_ids[first : first + _AT_ONCE]))
        )  # fmt: skip
        for row in rows:
            parked = row.state in ("failed", "cancelled") or (row.state in ("open", "waiting") and row.run_state in FINAL_STATES)
            why_not = "" if parked else "It is done." if row.state in ("done", "skipped") else "It is still in the queue."
            if parked and row.later is not None:
                why_not = "It was tried again already."
            found[row.id] = Unit(row.id, row.ref, row.label, row.kind, row.account_id, row.args, why_not)
    return [found[each] for each in item_ids if each in found]


def retry(item_ids: Sequence[int], *, actor: str) -> list[runs.Submitted]:
    """Try parked or cancelled units again: one run for each account and kind of work."""
    groups: dict[tuple[str, int | None, str], list[tuple[str, str]]] = {}
    for unit in units(item_ids):
        if not unit.why_not:
            kind = _AGAIN.get(unit.kind, unit.kind)
            args = unit.args if kind == unit.kind else {}
            groups.setdefault((kind, unit.account_id, json.dumps(args, sort_keys=True)), []).append((unit.ref, unit.label))
    with unit_of_work():
        return [
            runs.submit(kind, account_id=account_id, args=json.loads(args), items=items, started_by=actor) for (kind, account_id, args), items in groups.items()
        ]

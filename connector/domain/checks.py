"""One check of a list of checks: what was looked at, whether it is well, and what to do about it (product rule 9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """One verdict. ``code`` (the cause) and ``outcome`` (of an order: our state of it) matter only where it failed."""

    check: str
    ok: bool
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    remedy: str = ""
    code: str = ""
    outcome: str = "failed"

    def as_dict(self) -> dict[str, Any]:
        """The shape that is stored and shown: {check, ok, facts, message, remedy}, plus the code of a failed one."""
        shown = {"check": self.check, "ok": self.ok, "facts": dict(self.facts), "message": self.message, "remedy": self.remedy}
        return shown if self.ok else shown | {"code": self.code, "outcome": self.outcome}


def first_failing(checks: Iterable[Check]) -> Check | None:
    """The one that is shown as the reason; None when all passed (product rule 9)."""
    return next((check for check in checks if not check.ok), None)


class Checked:
    """Something that was checked: ``checks`` in their order."""

    __slots__ = ()
    checks: tuple[Check, ...]

    @property
    def allowed(self) -> bool:
        return self.failing is None

    @property
    def failing(self) -> Check | None:
        """The first check that failed."""
        return first_failing(self.checks)

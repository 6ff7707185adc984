"""What the check of a product finds: problems with their codes, and warnings for what was cleared (TTS §3.1, §3.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from .orderbook import Document
from .refusals import BAD_REQUEST, CHECK_FAILED, Refusal

PLAIN_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass
class Findings:
    """`absent` problems are of something left out: a draft may leave it out."""

    draft: bool = False
    problems: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def wrong(self, code: int, message: str, *, absent: bool = False) -> None:
        if not (absent and self.draft) and (code, message) not in self.problems:
            self.problems.append((code, message))

    def warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)

    def refuse(self, *, wrapped: bool) -> None:
        """Raises the first problem, or all of them in the wrapper 12052990."""
        if not self.problems:
            return
        if not wrapped:
            raise Refusal(*self.problems[0])
        causes = [{"code": code, "message": message} for code, message in self.problems]
        error = {"code": CHECK_FAILED, "message": "check failed", "detail": {"extra_errors": causes}}
        raise Refusal(CHECK_FAILED, "check failed", data={"errors": [error]})


def text(holder: Document, name: str, where: str = "body") -> str | None:
    """A string field, None when absent or empty. A parameter error when it is something else."""
    return _typed(holder, name, where, str)


def listed(holder: Document, name: str, where: str = "body") -> list[Document]:
    """A list of objects; empty when absent."""
    values = _typed(holder, name, where, list) or []
    if not all(isinstance(value, dict) for value in values):
        raise Refusal(BAD_REQUEST, f"param {where}.{name} is invalid: must hold objects")
    return values


def nested(holder: Document, name: str, where: str = "body") -> Document:
    """An object; empty when absent."""
    return _typed(holder, name, where, dict) or {}


def whole(holder: Document, name: str, where: str = "body") -> int | None:
    return _typed(holder, name, where, int)


def _typed(holder: Document, name: str, where: str, kind: type) -> Any:
    value = holder.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Refusal(BAD_REQUEST, f"param {where}.{name} is invalid: wrong type")
    return value


def number(value: Any) -> Decimal | None:
    """A plain decimal string, as amounts and weights are sent; None for everything else."""
    if not isinstance(value, str) or not PLAIN_NUMBER.fullmatch(value):
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def decimals(value: Decimal) -> int:
    """Decimals that count: 4.50 has one."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -int(exponent))

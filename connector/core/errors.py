"""Refusals that a person is meant to read."""

from __future__ import annotations


class DomainError(Exception):
    """Something was refused for a reason the product knows.

    ``code`` is stable (grids filter by it, documents link to it), ``message`` says what happened and why, ``remedy`` what to do about
    it, ``field`` names the form field at fault where there is one.
    """

    def __init__(self, code: str, message: str, remedy: str = "", *, field: str | None = None, **facts: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.field = field
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class NotFoundError(DomainError):
    """A row that the address names does not exist (any more)."""

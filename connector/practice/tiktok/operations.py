"""The register of operations: method, path, versions, scope, cipher rule, handler (TTS §5.0, §1.5, §1.6)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .refusals import BAD_REQUEST, Refusal

if TYPE_CHECKING:
    from .marketplace import Marketplace


@dataclass(frozen=True)
class Raw:
    """`data` as JSON that is ready already: order pages are joined from stored documents, not built."""

    json: bytes


@dataclass
class Call:
    """One admitted call. `shop` is None for operations without a cipher; `body` is None when none was sent."""

    market: Marketplace
    shop: dict[str, Any] | None
    grant: dict[str, Any]
    query: dict[str, str]
    path: dict[str, str]
    body: Any
    now: int
    root: str

    @property
    def version(self) -> str:
        return self.path["version"]

    def parameter(self, name: str, *choices: str, default: str | None = None) -> str:
        """A query parameter. Required when there is no default; one of `choices` when there are any."""
        value = self.query.get(name) or default
        if value is None:
            raise Refusal(BAD_REQUEST, f"param {name} is missing")
        if choices and value not in choices:
            raise Refusal(BAD_REQUEST, f"param {name} is invalid: {value} is not one of {', '.join(choices)}")
        return value

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A query parameter that is a whole number within bounds."""
        text = self.parameter(name, default=None if default is None else str(default))
        if not text.isdecimal() or not low <= int(text) <= high:
            raise Refusal(BAD_REQUEST, f"param {name} is invalid: must be between {low} and {high}")
        return int(text)

    def field(self, name: str, kind: type | tuple[type, ...] = str, *, required: bool = False, inside: dict | None = None) -> Any:
        """A body field of a type, or None. `inside` looks into a nested object instead of the body."""
        holder = self.body if inside is None else inside
        value = holder.get(name) if isinstance(holder, dict) else None
        if value is None or value == "":
            if required:
                raise Refusal(BAD_REQUEST, f"param body.{name} is missing")
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            raise Refusal(BAD_REQUEST, f"param body.{name} is invalid: wrong type")
        return value

    def strings(self, name: str, *, required: bool = False, most: int | None = None, inside: dict | None = None) -> list[str]:
        """A body field that is a list of strings; empty when absent."""
        values = self.field(name, list, required=required, inside=inside) or []
        if not all(isinstance(value, str) for value in values):
            raise Refusal(BAD_REQUEST, f"param body.{name} is invalid: must hold strings")
        if most is not None and len(values) > most:
            raise Refusal(BAD_REQUEST, f"param body.{name} is invalid: at most {most}")
        return values

    def objects(self, name: str, *, required: bool = False, most: int | None = None, inside: dict | None = None) -> list[dict[str, Any]]:
        """A body field that is a list of objects; empty when absent."""
        values = self.field(name, list, required=required, inside=inside) or []
        if required and not values:
            raise Refusal(BAD_REQUEST, f"param body.{name} is missing")
        if not all(isinstance(value, dict) for value in values):
            raise Refusal(BAD_REQUEST, f"param body.{name} is invalid: must hold objects")
        if most is not None and len(values) > most:
            raise Refusal(BAD_REQUEST, f"param body.{name} is invalid: at most {most}")
        return values


Handler = Callable[[Call], dict[str, Any] | Raw]


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    template: str
    versions: tuple[str, ...]
    scope: str
    cipher: bool
    writes: bool
    handler: Handler
    pattern: re.Pattern[str]


REGISTER: list[Operation] = []


def operation(name: str, route: str, versions: str, scope: str, *, cipher: bool = True, writes: bool = False) -> Callable[[Handler], Handler]:
    """Registers a handler. `route` is `METHOD /path/{version}/...`; with `writes` it runs in one transaction."""
    method, template = route.split(" ", 1)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template).replace("(?P<version>[^/]+)", r"(?P<version>\d{6})")

    def register(handler: Handler) -> Handler:
        REGISTER.append(Operation(name, method, template, tuple(versions.split()), scope, cipher, writes, handler, re.compile(pattern)))
        return handler

    return register

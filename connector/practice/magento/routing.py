"""Routes of the REST API: Magento's own notation (`/V1/carts/:cartId/items`), one ACL resource each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote_plus

from .errors import NO_ROUTE, RestError, required
from .search_criteria import Criteria, parse_criteria, snake
from .storage import Doc, Storage, Tables

ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    resource: str
    handler: Callable[..., Any]
    guard: Callable | None = None

    @cached_property
    def steps(self) -> tuple[str, ...]:
        return tuple(self.path.strip("/").split("/"))


class Call:
    """One REST call while it runs: its transaction, its store view, its input."""

    def __init__(self, db: Tables, route: Route, arguments: list[str], query: Doc, body: Any, store: Doc, root: str) -> None:
        self.db = db
        self.route = route
        self.arguments = arguments
        self.query = query
        self.body = body if isinstance(body, dict) else {}
        self.raw_body = body
        self.store = store
        self.root = root  # scheme://host of the request
        self.leak: Any = None  # what a guard let through
        self._body = {snake(key): value for key, value in self.body.items()}

    @property
    def storage(self) -> Storage:
        return self.db.storage

    @property
    def settings(self) -> Doc:
        return self.db.config("settings")

    @property
    def world(self) -> Doc:
        return self.db.config("world")

    def param(self, name: str, *default: Any) -> Any:
        """A method parameter from the body (either spelling) or the query; 400 when it is required and missing."""
        for source in (self._body, {snake(key): value for key, value in self.query.items()}):
            if source.get(snake(name)) is not None:
                return source[snake(name)]
        if default:
            return default[0]
        raise required(name)

    def criteria(self) -> Criteria:
        limit = self.settings.get("input_limit")
        return parse_criteria(self.query, limit["maximum_page_size"] if limit else None)

    def found(self, criteria: Criteria, items: list, total: int) -> Doc:
        return {"items": items, "search_criteria": criteria.echo(), "total_count": total}

    @property
    def repeats_last_page(self) -> bool:
        return bool(self.settings.get("legacy_last_page_repeat"))


_ROUTES: dict[tuple[str, int], list[Route]] = {}


def route(method: str, path: str, resource: str, guard: Callable | None = None) -> Callable:
    """Register a handler `(call, *path arguments) -> JSON value`; path arguments arrive url-decoded, `+` as a space."""

    def register(handler: Callable) -> Callable:
        entry = Route(method, path, resource, handler, guard)
        bucket = _ROUTES.setdefault((method, len(entry.steps)), [])
        bucket.append(entry)
        bucket.sort(key=lambda r: sum(step.startswith(":") for step in r.steps))
        return handler

    return register


def match(method: str, path: str) -> tuple[Route, list[str]]:
    """The route of a still encoded path; 404 for an unknown route and for a wrong method alike."""
    steps = path.strip("/").split("/")
    for entry in _ROUTES.get((method, len(steps)), ()):
        arguments = []
        for pattern, step in zip(entry.steps, steps, strict=True):
            if pattern.startswith(":"):
                arguments.append(unquote_plus(step))
            elif pattern != step:
                break
        else:
            return entry, arguments
    raise RestError(404, NO_ROUTE)


def perform(db: Tables, method: str, path: str, body: Doc, root: str = "http://localhost") -> Any:
    """Run a REST handler inside the caller's transaction, as the merchant in the admin panel: no token, default store view."""
    entry, arguments = match(method, path)
    store = next(s for s in db.config("world")["stores"] if s["id"] == 1)
    return entry.handler(Call(db, entry, arguments, {}, body, store, root), *arguments)

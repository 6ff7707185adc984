"""The OpenAPI 3.1 description, put together from the routes themselves and from the models that the views use, so that it cannot drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from connector.blueprints.api import models
from connector.services import api_tokens
from connector.services.oms import batches, signing
from connector.services.oms.records import CSV_COLUMNS

View = TypeVar("View", bound=Callable[..., Any])
PROBLEM = "application/problem+json"
REF = "#/components/schemas/{model}"
_WORDS = {
    304: "Not changed since the copy that you have.", 401: "Not proved who is asking.", 403: "The token may not do this.",
    404: "There is no such thing, or the caller may not see it.", 409: "Not possible at the moment.", 413: "The body is too large.",
    416: "The file has no such range.", 422: "Something sent does not fit; the answer names it.", 429: "Too many failed attempts.",
}  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """What an endpoint takes and answers. ``answers``: status -> model, or a media type -> schema map."""

    summary: str
    answers: Mapping[int, Any]
    query: type[BaseModel] | None = None
    body: Mapping[str, Any] = field(default_factory=dict)  #: media type -> model or schema
    headers: Mapping[str, str] = field(default_factory=dict)  #: request header -> what it says
    problems: tuple[int, ...] = ()
    signed: bool = False


def operation(summary: str, answers: Mapping[int, Any], **facts: Any) -> Callable[[View], View]:
    """Describe a view; the description is what ``/api/v1/openapi.json`` says of it."""

    def mark(view: View) -> View:
        view.operation = Operation(summary, answers, **facts)  # type: ignore[attr-defined]
        return view

    return mark


def describe(app: Flask, version: str) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        found: Operation | None = getattr(view, "operation", None)
        if found is None:
            continue
        path = "".join(part if not dynamic else f"{{{part}}}" for dynamic, part in rule._trace).removeprefix("|")
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            paths.setdefault(path, {})[method.lower()] = _operation(rule, view, found)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "TikTok Shop connector: API for an OMS",
            "version": version,
            "description": "Order feeds, order lookup, and updates from the OMS. Errors are RFC 7807 problem documents that name the field and the remedy.",
        },
        "paths": dict(sorted(paths.items())),
        "webhooks": {
            "feed.ready": {
                "post": {
                    "summary": "A feed is ready: we call the feed-ready address of the OMS connection",
                    "requestBody": {"required": True, "content": {"application/json": {"schema": _schema(models.FeedReady)}}},
                    "responses": {"200": {"description": "Any 2xx: heard. Anything else is called again later."}},
                }
            }
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": f"An API token with one of the scopes {', '.join(api_tokens.SCOPES)}."},
                "signature": {
                    "type": "apiKey", "in": "header", "name": signing.SIGNATURE,
                    "description": "v1=<hex HMAC-SHA256 of timestamp, full stop and raw body, keyed with the secret of the OMS connection>; five minutes.",
                },
                "timestamp": {"type": "apiKey", "in": "header", "name": signing.TIMESTAMP, "description": "Epoch seconds of the signature."},
            },
        },
    }  # fmt: skip


def _operation(rule: Rule, view: Any, found: Operation) -> dict[str, Any]:
    scope = getattr(view, "token_scope", None)
    problems = {429, *found.problems} | ({401, 404} if found.signed else set()) | ({401, 403, 404} if scope else set())
    answers = {str(status): _answer(status, answer) for status, answer in found.answers.items()}
    answers |= {str(status): {"description": _WORDS[status], "content": {PROBLEM: {"schema": _schema(models.Problem)}}} for status in sorted(problems)}
    described: dict[str, Any] = {
        "operationId": rule.endpoint.split(".")[-1],
        "summary": found.summary,
        "description": " ".join((view.__doc__ or "").split()),
        "security": [{"token": [scope]}] if scope else [{"signature": [], "timestamp": []}] if found.signed else [],
        "parameters": [*_path_parameters(rule), *_query_parameters(found.query), *_header_parameters(found.headers)],
        "responses": dict(sorted(answers.items())),
    }
    if found.body:
        described["requestBody"] = {"required": True, "content": {media: {"schema": _schema(schema)} for media, schema in found.body.items()}}
    return described


def _answer(status: int, answer: Any) -> dict[str, Any]:
    if answer is None:
        return {"description": _WORDS.get(status, "Done.")}
    content = answer if isinstance(answer, Mapping) else {"application/json": answer}
    words = " ".join((getattr(answer, "__doc__", "") or "").split()) if isinstance(answer, type) else "The bytes of the file."
    return {"description": words or "Done.", "content": {media: {"schema": _schema(schema)} for media, schema in content.items()}}


def _schema(model: Any) -> dict[str, Any]:
    return {"$ref": REF.format(model=model.__name__)} if isinstance(model, type) else dict(model)


def _path_parameters(rule: Rule) -> list[dict[str, Any]]:
    found = []
    for name, converter in rule._converters.items():
        number = type(converter).__name__ == "IntegerConverter"
        schema = {"type": "integer", "minimum": 0, "maximum": converter.max} if number else {"type": "string", "minLength": 1, "maxLength": 60}  # type: ignore[attr-defined]
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _query_parameters(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    properties = model.model_json_schema()["properties"]
    found = []
    for name, schema in properties.items():
        words = schema.pop("description", "")
        given = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)  # left out, not null
        found.append({"name": name, "in": "query", "required": False, "description": words, "schema": {key: given[key] for key in given if key != "title"}})
    return found


def _header_parameters(headers: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "header", "required": False, "description": words, "schema": {"type": "string"}} for name, words in headers.items()]


@cache
def _schemas() -> dict[str, Any]:
    wanted = [found for found in vars(models).values() if isinstance(found, type) and issubclass(found, BaseModel) and found.__module__ == models.__name__]
    kept = [(found, "validation" if found is models.EventsBody else "serialization") for found in wanted if not found.__name__.endswith("Query")]
    _, schema = models_json_schema(kept, ref_template=REF)  # type: ignore[arg-type]
    return dict(sorted(schema["$defs"].items()))


FILE = {"type": "string", "format": "binary"}
FEED_BODY: dict[str, Any] = {
    "application/x-ndjson": {"type": "string", "description": "JSON Lines: each line is an OrderRecord."},
    "text/csv": {
        "type": "string",
        "description": f"A heading, then a row for each line of an order, which is one unit; the order's facts stand in each. Columns: {', '.join(CSV_COLUMNS)}.",
    },
}
BATCH_BODY: dict[str, Any] = {
    "text/csv": {"type": "string", "description": f"Columns: {', '.join(batches.COLUMNS)}."},
    "application/json": models.EventsBody,
    "application/x-ndjson": {"type": "string", "description": "JSON Lines: each line is an event."},
    "multipart/form-data": {"type": "object", "properties": {"file": FILE}, "required": ["file"]},
}

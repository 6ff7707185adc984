"""Errors of the store's API as RFC 7807 problem documents."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from flask import Response


class Problem(Exception):
    """A refusal: HTTP status, what happened, and further members of the document (`errors`: `[{field, message}]`)."""

    def __init__(self, status: int, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.members = status, detail, members

    def answer(self) -> Response:
        return problem(self.status, self.detail, **self.members)


def problem(status: int, detail: str, **members: Any) -> Response:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **members}
    answer = Response(orjson.dumps(body), status, content_type="application/problem+json")
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="storefront"'
    return answer

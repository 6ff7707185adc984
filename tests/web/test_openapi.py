"""The API is what its description says, and no input breaks it: schemathesis makes requests up from ``/api/v1/openapi.json``.

Half of the requests keep to the description, and ask for what is there; half of them do not. Each answer has to be one that is described, and none may
be a 500.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from sqlalchemy import delete, select, update

from connector.config import Config
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.models.oms import OmsConnection
from connector.models.order import Order
from connector.services import api_tokens, users
from connector.services.oms import batches, feed, signing
from connector.web.auth import limiter
from tests.web.desk import Desk

SECRET = "the-secret-of-the-connection"
#: Requests made up for each operation, once of those that fit its description and once of those that do not.
EXAMPLES = 5
OPERATIONS = ("feeds", "feed_file", "order", "events", "update_list", "carriers", "batch", "batch_result")
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@pytest.fixture
def config(desk: Desk) -> Config:
    return desk.config()


class SigningOms:
    """An OMS that signs what it sends: events come to the application with the headers that prove their bytes."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].endswith("/events"):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            for name, value in signing.sign([SECRET], body).items():
                environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        answer: Iterable[bytes] = self.inner(environ, start_response)
        return answer


@pytest.mark.timeout(300)
def test_no_request_breaks_the_api_and_every_answer_is_a_described_one(app: Flask) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = None  # a fault is a 500, as in production
    limiter.enabled = False
    with unit_of_work() as session:
        session.execute(delete(OmsConnection))
        session.add(OmsConnection(account_id=1, secret=SECRET, feed_formats=["jsonl", "csv"]))
        session.execute(update(Order).values(updated_at=utcnow() - timedelta(minutes=1)))
        token = api_tokens.create(users.get(1), "schemathesis", list(api_tokens.SCOPES))[1]
    number = str(db.session.scalar(select(Order.number).where(Order.account_id == 1).limit(1)))
    batch_id = batches.take(1, f"order_id,action\n{number},delivered\n".encode(), actor="tests").batch.id
    there = {"account_id": 1, "feed_id": feed.make(1)[0], "number": number, "batch_id": batch_id}
    db.session.remove()
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", SigningOms(app))
    answered: dict[str, set[int]] = {}
    try:
        for result in schema.get_all_operations():
            operation = result.ok()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                _knock(operation, mode, token, there, answered.setdefault(operation.definition.raw["operationId"], set()))
    finally:
        limiter.enabled = True
    assert set(answered) == set(OPERATIONS)
    wanted = {
        "feeds": {200, 422},
        "feed_file": {200},
        "order": {200},
        "events": {202, 422},
        "update_list": {200},
        "carriers": {200},
        "batch": {202},
        "batch_result": {200},
    }
    assert {name: statuses - answered[name] for name, statuses in wanted.items() if statuses - answered[name]} == {}, answered


def _knock(operation: Any, mode: GenerationMode, token: str, there: dict[str, Any], answered: set[int]) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def knock(case: Any) -> None:
        if mode is GenerationMode.POSITIVE or operation.method == "post":
            case.path_parameters.update({name: there[name] for name in case.path_parameters})
        answer = case.call(headers={"Authorization": f"Bearer {token}"})
        case.validate_response(answer, checks=list(CHECKS))
        answered.add(answer.status_code)

    knock()

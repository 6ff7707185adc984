"""``flask connector returns ...`` (A214-A216; product.md 12), with a real worker beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from connector.core.db import db
from connector.models.account import Account
from connector.models.aftersales import Return
from tests.factories.racing import at_a_shell
from tests.factories.returning import ask, delivered
from tests.factories.shop import Market

pytestmark = pytest.mark.sqlite_only  # the commands submit runs and wait; services and jobs are tested on both databases


@pytest.fixture
def connector(app: Flask) -> Callable[..., Any]:
    """Run a command as a shell would, while a worker does what it submits."""

    def run(*words: str) -> Any:
        db.session.commit()
        return at_a_shell(app, *words)

    return run


def stored(return_id: str) -> Return:
    db.session.expire_all()
    return db.session.scalars(select(Return).where(Return.return_id == return_id)).one()


def test_import_accept_and_reject_wait_for_the_end_and_say_what_became_of_each(connector: Callable[..., Any], account: Account, market: Market) -> None:
    title = account.title
    order = delivered(market, account, ("TEE-BLA-S", 2))
    lines = [line["id"] for line in market.order(order.number)["line_items"]]
    asked = zip(("REFUND", "RETURN_AND_REFUND"), lines, strict=True)
    refund, back = [ask(market, account, order, kind, line_ids=[line]).return_id for kind, line in asked]

    read = connector("returns", "import", title, "--json")
    assert read.exit_code == 0, read.output
    assert json.loads(read.stdout.splitlines()[-1])["runs"][0]["open"] == 2

    offered = connector("returns", "accept", refund, "--decision", "OFFER_PARTIAL_REFUND", "--amount", "1.50", "--json")
    assert offered.exit_code == 0, offered.output
    assert stored(refund).remote_status == "AWAITING_BUYER_RESPONSE"

    refused = connector("returns", "reject", back, "--reason", "because", "--json")
    assert refused.exit_code == 1
    assert "It offers" in json.loads(refused.stdout.splitlines()[-1])["failed"][0]["remedy"]
    accepted = connector("returns", "accept", back, "--json")
    assert accepted.exit_code == 0, accepted.output
    assert stored(back).decision == "APPROVE_RETURN"

    unknown = connector("returns", "accept", "12345")
    assert unknown.exit_code == 1
    assert "Not stored: 12345" in unknown.stderr

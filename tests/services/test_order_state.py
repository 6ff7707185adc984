"""One door for an order's state (product rule 8): every change is an event with a reason, failures are set and cleared with it."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import SANDBOX, Account
from connector.models.order import CANCELLED, CREATED, CREATING, FAILED, HELD, ORDER_STATES, READY, SKIPPED, STORED, Order
from connector.models.trace import Event
from connector.services.orders import state

ROOT = Path(state.__file__).resolve().parents[2]


@pytest.fixture
def order(app: Flask) -> Order:
    now = datetime.now(UTC)
    with unit_of_work() as session:
        account = Account(title="Shop", country="GB", environment=SANDBOX)
        session.add(account)
        session.flush()
        row = Order(
            account_id=account.id, number="576460000000000001", remote_status="AWAITING_SHIPMENT", remote_updated_at=now, digest="", placed_at=now,
            currency="GBP", total=Decimal("37.49"),
        )  # fmt: skip
        session.add(row)
        session.flush()
    return row


def events() -> list[tuple[str, str]]:
    return [(event.kind, event.message) for event in db.session.scalars(select(Event).order_by(Event.id))]


def test_every_pair_of_states_is_allowed_or_refused_as_the_table_says(order: Order) -> None:
    with unit_of_work():
        for before in ORDER_STATES:
            for after in ORDER_STATES:
                order.state = before
                if after == before or after in state.MOVES[before]:
                    assert state.set_state(order, after, reason="test") is (before != after), (before, after)
                    assert order.state == after, (before, after)
                else:
                    with pytest.raises(DomainError, match=f"is {before} and cannot become {after}"):
                        state.set_state(order, after, reason="test")
                    assert order.state == before, (before, after)


def test_an_order_in_magento_stays_there_and_a_cancelled_one_is_only_created_for_the_books() -> None:
    assert state.MOVES[CREATED] == {CREATED}
    assert state.MOVES[CANCELLED] == {CANCELLED, READY, CREATING, CREATED}
    assert set(state.MOVES) == set(ORDER_STATES)


def test_a_failure_is_set_counted_and_cleared_with_the_state(order: Order) -> None:
    with unit_of_work():
        state.set_state(order, FAILED, reason="creation", code="money.mismatch", message="A cent is missing.", remedy="Look.")
    assert (order.failure_code, order.failure_message, order.failure_remedy, order.attempts) == ("money.mismatch", "A cent is missing.", "Look.", 1)
    assert order.failed_at is not None
    with unit_of_work():
        assert not state.set_state(order, FAILED, reason="creation", code="money.mismatch", message="A cent is missing.", remedy="Look.")
        state.set_state(order, READY, reason="again")
    assert (order.failure_code, order.failed_at, order.attempts) == (None, None, 1)
    with unit_of_work():
        state.set_state(order, CREATED, reason="Magento order 000000001")
    assert order.attempts == 0
    assert [kind for kind, _ in events()] == ["order.failed", "order.ready", "order.created"]


def test_an_error_and_a_warning_can_stand_on_an_order_that_stays_in_its_state(order: Order) -> None:
    with unit_of_work():
        state.set_state(order, CREATED, reason="test")
        assert state.flag(order, "ship.no_tracking", "No tracking.")
        assert not state.flag(order, "ship.no_tracking", "No tracking.")
        assert state.warn(order, "Mind the gap.")
        assert not state.warn(order, "Mind the gap.")
    assert (order.state, order.failure_code, order.warning) == (CREATED, "ship.no_tracking", "Mind the gap.")
    with unit_of_work():
        assert not state.clear_flag(order, "money.mismatch")
        assert state.clear_flag(order, "ship.no_tracking", "ship.refused")
    assert order.failure_code is None


def test_an_unknown_state_is_a_mistake_of_ours(order: Order) -> None:
    with pytest.raises(ValueError, match="unknown order state"):
        state.set_state(order, "teleported", reason="test")


def test_nobody_else_assigns_an_orders_state_or_failure() -> None:
    """``order.state = ...`` and ``....failure_* = ...`` stand in one module only."""
    offenders = []
    for path in ROOT.rglob("*.py"):
        if path.name == "state.py" or "practice" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign) else []
            flat = [inner for target in targets for inner in (target.elts if isinstance(target, ast.Tuple) else [target])]
            for target in flat:
                if not isinstance(target, ast.Attribute):
                    continue
                of_order = isinstance(target.value, ast.Name) and target.value.id == "order"  # other rows have failures of their own
                if of_order and (target.attr == "state" or target.attr.startswith("failure_")):
                    offenders.append(f"{path.relative_to(ROOT)}:{target.lineno}")
    assert offenders == []


def test_the_states_before_magento_are_those_the_words_know() -> None:
    assert {STORED, HELD, SKIPPED} <= set(state._WORDS) == set(ORDER_STATES)

"""What a step of a life is and keeps count of, and what every rule asks of the shop: its orders on either side, its jobs."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from sqlalchemy import select

from connector.clients.errors import ApiError
from connector.core.db import db
from connector.core.errors import DomainError
from connector.models.order import Order
from tests.life import truth
from tests.life.world import SHELF, WORK, Refused, World

T = TypeVar("T")
WHO = "seller@example.test"
HOUR, DAY = 3600, 86_400
picks = st.integers(0, 999)
skus = st.sampled_from(sorted(SHELF))

#: Over all lives: steps, and of each rule how often it did something, was refused, or had nothing to do.
done: Counter[str] = Counter()
failures: list[BaseException] = []


def step(**strategies: Any) -> Callable[[Callable[..., str | None]], Any]:
    """A rule that returns what happened, in words; None: there was nothing to do it to."""

    def decorate(body: Callable[..., str | None]) -> Any:
        @functools.wraps(body)
        def run(self: Shop, **given: Any) -> None:
            self.steps += 1
            done["steps"] += 1
            name = body.__name__
            try:
                said = body(self, **given)
                outcome = "nothing" if said is None else "done"
            except Refused as refused:
                said, outcome = f"the practice server refuses: {refused}", "refused"
            except DomainError as refused:
                said, outcome = f"refused: {refused.code}: {refused.message}", "refused"
            except ApiError as error:
                said, outcome = f"the network: {error}", "network"
            except Exception as error:
                self.fail(error)
                raise
            finally:
                db.session.rollback()
            done[f"{name}: {outcome}"] += 1
            if said is not None:
                self.story.append(f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())}): {said[:260]}")

        return rule(**strategies)(run)

    return decorate


class Shop(RuleBasedStateMachine):
    """The shop that all rules are about, and what was done in it."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.steps, self.checked, self.failed = 0, 0, False
        self.story: list[str] = []
        self.deeds = truth.Deeds()
        self.numbers = itertools.count(1)
        self.told: Counter[str] = Counter()
        done["lives"] += 1
        self.world.begin()

    def fail(self, error: BaseException) -> None:
        if not self.failed:
            self.failed = True
            failures.append(error)
            error.add_note("What happened:\n" + "\n".join(f"{number:4} {line}" for number, line in enumerate(self.story, 1)))

    @staticmethod
    def first(start: int, ways: Sequence[Callable[..., str | None]], *args: Any) -> str | None:
        """What the first of the ways, from the named one on, found to do."""
        for way in (*ways[start:], *ways[:start]):
            if (said := way(*args)) is not None:
                return said
        return None

    @staticmethod
    def one(found: Sequence[T], pick: int) -> T | None:
        return found[pick % len(found)] if found else None

    def listed(self, *statuses: str) -> list[dict[str, Any]]:
        """Orders as the marketplace has them."""
        found = self.world.market.get("orders", shop="GB")["orders"]
        return [one for one in found if not statuses or one["status"] in statuses]

    def returns_in(self, *statuses: str) -> list[dict[str, Any]]:
        found = self.world.market.get("returns")["returns"]
        return [one for one in found if not statuses or one["return_status"] in statuses]

    @staticmethod
    def ours(*conditions: Any) -> list[Any]:
        """(id, number) of our orders."""
        found = list(db.session.execute(select(Order.id, Order.number).where(*conditions).order_by(Order.id)))
        db.session.commit()
        return found

    def in_store(self) -> list[dict[str, Any]]:
        """Magento orders that can be shipped."""
        found = self.world.store.get("orders")
        return [one for one in found if one["state"] == "processing" and any(float(item["qty_shipped"]) < float(item["qty_ordered"]) for item in one["items"])]

    def line_ids(self, number: str, count: int) -> list[str]:
        lines = self.world.market.get(f"orders/{number}")["order"]["line_items"]
        return [line["id"] for line in lines if line["display_status"] != "CANCELLED"][:count]

    def tracking(self, prefix: str) -> str:
        return f"{prefix}{next(self.numbers):08d}GB"

    def _acts(self, orders: list[dict[str, Any]], pick: int, what: str, **body: Any) -> str | None:
        order = self.one(orders, pick)
        if order is None:
            return None
        self.world.market.post(f"orders/{order['id']}/{what}", **body)
        return f"{what}: order {order['id']}"

    def _scans(self, pick: int) -> str | None:
        return self._acts(self.listed("IN_TRANSIT"), pick, "deliver") or self._acts(self.listed("AWAITING_COLLECTION"), pick, "collect")

    def _our_work(self, which: str) -> None:
        if which == "import":
            self.world.work("orders.import")
        elif which == "all":
            for kind in WORK:
                self.world.work(kind)
        if which:
            self.world.drain()

"""Buyers, seller, marketplace clock, OMS, network and our own jobs, each as rules that hypothesis puts into random order.

A rule picks its subject by a number among those that allow it now, so that a sequence of steps can be repeated and shortened. What a service or a server
refuses is part of life; what breaks is not.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant
from sqlalchemy import select

from connector.core.db import db
from connector.models.aftersales import Return
from connector.services import returns
from tests.life import truth
from tests.life.buyer import Buyer
from tests.life.outside import Outside
from tests.life.seller import Seller
from tests.life.steps import WHO, done, skus, step
from tests.life.world import WORK

#: Everything is checked after this many steps.
EVERY = 20


class Life(Buyer, Seller, Outside):
    """One life of the shop, from empty books: how it begins, our jobs, and what must hold."""

    @initialize(orders=st.lists(st.tuples(skus, st.integers(1, 3)), min_size=6, max_size=8), by=st.sampled_from(["SYSTEM", "OPERATOR"]))
    def a_shop_at_work(self, orders: list[tuple[str, int]], by: str) -> None:
        """Two orders delivered and asked back, one of them under way to us; one cancelled after it was shipped, one that the buyer wants to cancel, the
        others waiting: hypothesis leaves out some of the rules in each life, perhaps those that lead there."""
        market, numbers = self.world.market, [self._place([line], True) for line in orders]
        for number in numbers:
            market.post(f"orders/{number}/release")
        self._our_work("all")
        for _ in range(3):
            self._ships_in_magento(0, False, True)
        self._our_work("all")
        for order in self.listed("AWAITING_COLLECTION")[:1]:
            market.post(f"orders/{order['id']}/cancel", by=by)
        for status, where in (("AWAITING_COLLECTION", "collect"), ("IN_TRANSIT", "deliver")):
            for order in self.listed(status):
                market.post(f"orders/{order['id']}/{where}")
        for order in self.listed("DELIVERED"):
            market.post(f"orders/{order['id']}/return", type="RETURN_AND_REFUND")
        for order in self.listed("AWAITING_SHIPMENT")[:1]:
            market.post(f"orders/{order['id']}/cancel", by="BUYER")
        self._our_work("all")
        for pk in list(db.session.scalars(select(Return.id).where(Return.needs_answer).order_by(Return.id).limit(1))):
            db.session.rollback()
            returns.answer_one(pk, "accept", decision="APPROVE_RETURN", actor=WHO)
        for found in self.returns_in("AWAITING_BUYER_SHIP"):
            market.post(f"returns/{found['return_id']}/ship")
        self._our_work("all")
        self.story += [f"order {number}: {line}, {market.get(f'orders/{number}')['order']['status']}" for number, line in zip(numbers, orders, strict=True)]

    # --- our jobs -----------------------------------------------------------------------------------------------------------------------------

    @step(kind=st.sampled_from(WORK))
    def a_job_runs(self, kind):
        self.world.work(kind)
        return "has run"

    @step()
    def what_is_queued_runs(self):
        self.world.pass_time()
        self.world.drain()
        return "has run"

    @step()
    def every_job_runs(self):
        if self.story[-1:] == ["every_job_runs(): have run"]:
            return None
        self.world.pass_time()
        self._our_work("all")
        return "have run"

    # --- what must hold -----------------------------------------------------------------------------------------------------------------------

    @invariant()
    def everything_holds_every_few_steps(self) -> None:
        if len(self.story) - self.checked >= EVERY:
            self._check()

    def teardown(self) -> None:
        try:
            if not self.failed and len(self.story) > self.checked:
                self._check()
        finally:
            db.session.remove()
            print(f"life {done['lives']}: {done['steps']} steps, {done['checks']} checks", flush=True)

    def _check(self) -> None:
        done["checks"] += 1
        try:
            self.world.calm()
            with self.world.timed("check"):
                truth.check(self.world, self.deeds)
            self.story.append("--- all is quiet, everything holds")
            self.checked = len(self.story)
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            db.session.rollback()

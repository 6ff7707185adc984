"""Buyers, seller, marketplace clock, OMS, network and our own jobs, each as rules that hypothesis puts into random order.

A rule picks its subject by a number among those that allow it now, so that a sequence of steps can be repeated and shortened. What a service or a server
refuses is part of life; what breaks is not.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from connector.clients.errors import ApiError
from connector.core.db import db
from connector.core.errors import DomainError
from connector.models.aftersales import GOODS_LOST, RecallTask, Return
from connector.models.order import Cancellation, Order
from connector.services import cancellations, returns
from connector.services.oms import updates
from connector.services.orders import recall, reject, ship
from tests.life import truth
from tests.life.world import SHELF, TOKENS, WORK, Refused, World

T = TypeVar("T")
WHO = "seller@example.test"
#: Everything is checked after this many steps.
EVERY = 20
#: Parcels that the OMS tells of one order.
TELLS = 3
HOUR, DAY = 3600, 86_400
picks = st.integers(0, 999)
skus = st.sampled_from(sorted(SHELF))
CANCELLABLE = ("UNPAID", "ON_HOLD", "AWAITING_SHIPMENT")
ON_THE_WAY = ("AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED")

#: Over all lives: steps, and of each rule how often it did something, was refused, or had nothing to do.
done: Counter[str] = Counter()
failures: list[BaseException] = []


def step(**strategies: Any) -> Callable[[Callable[..., str | None]], Any]:
    """A rule that returns what happened, in words; None: there was nothing to do it to."""

    def decorate(body: Callable[..., str | None]) -> Any:
        @functools.wraps(body)
        def run(self: Life, **given: Any) -> None:
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


class Life(RuleBasedStateMachine):
    """One life of the shop, from empty books."""

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

    # --- what is there ------------------------------------------------------------------------------------------------------------------------

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

    # --- the buyer ----------------------------------------------------------------------------------------------------------------------------

    def _place(self, lines: list[tuple[str, int]], pay: bool) -> str:
        wanted = [{"sku": sku, "quantity": units} for sku, units in lines]
        return self.world.market.post("orders", shop="GB", lines=wanted, pay=pay)["id"]

    @step(lines=st.lists(st.tuples(skus, st.integers(1, 3)), min_size=1, max_size=2), pay=st.sampled_from([True, True, True, False]))
    def buyer_places(self, lines, pay):
        return f"order {self._place(lines, pay)}"

    @step(lines=st.lists(st.tuples(skus, st.integers(1, 2)), min_size=1, max_size=2), by=st.sampled_from(["", "import", "all"]))
    def buyer_places_and_the_hold_ends(self, lines, by):
        number = self._place(lines, True)
        self.world.market.post(f"orders/{number}/release")
        self._our_work(by)
        return f"order {number}"

    @step(pick=picks, what=st.integers(0, 4))
    def buyer_changes_his_mind(self, pick, what):
        return self.first(what, (self._cancels, self._cancels_a_line, self._moves, self._withdraws, self._pays), pick)

    def _cancels(self, pick: int, whole: bool = True) -> str | None:
        order = self.one(self.listed(*CANCELLABLE), pick)
        if order is None:
            return None
        body = {} if whole else {"line_ids": self.line_ids(order["id"], 1)}
        self.world.market.post(f"orders/{order['id']}/cancel", by="BUYER", **body)
        return f"cancels, or asks to cancel, {'order' if whole else 'a line of order'} {order['id']} ({order['status']})"

    def _cancels_a_line(self, pick: int) -> str | None:
        return self._cancels(pick, whole=False)

    def _pays(self, pick: int) -> str | None:
        return self._acts(self.listed("UNPAID"), pick, "pay")

    def _withdraws(self, pick: int) -> str | None:
        return self._acts([one for one in self.listed() if one["is_buyer_request_cancel"]], pick, "withdraw")

    def _moves(self, pick: int) -> str | None:
        return self._acts(self.listed("ON_HOLD", "AWAITING_SHIPMENT"), pick, "address", address_line1=f"{next(self.numbers)} New Street")

    def _acts(self, orders: list[dict[str, Any]], pick: int, what: str, **body: Any) -> str | None:
        order = self.one(orders, pick)
        if order is None:
            return None
        self.world.market.post(f"orders/{order['id']}/{what}", **body)
        return f"{what}: order {order['id']}"

    @step(pick=picks, kind=st.sampled_from(["REFUND", "RETURN_AND_REFUND", "RETURN_AND_REFUND", "REPLACEMENT"]), units=st.integers(1, 3))
    def buyer_asks_for_something_back(self, pick, kind, units):
        order = self.one(self.listed(*(ON_THE_WAY if kind == "REFUND" else ("DELIVERED",))), pick)
        if order is None:
            return self._scans(pick)
        found = self.world.market.post(f"orders/{order['id']}/return", type=kind, line_ids=self.line_ids(order["id"], units))
        return f"return {found['returns'][-1]['return_id']} of order {order['id']}"

    @step(pick=picks, well=st.booleans())
    def a_return_goes_on(self, pick, well):
        """The buyer's next move, or the platform's: mostly the one that leads on."""
        found = self.one([one for one in self.returns_in() if not one["return_status"].endswith(("COMPLETE", "CANCEL", "SUCCESS"))], pick)
        if found is None:
            return None
        status, body = found["return_status"], {}
        if found.get("arbitration_status") == "IN_PROGRESS":
            what, body = "arbitrate", {"outcome": "SUPPORT_BUYER" if well else "SUPPORT_SELLER"}
        elif status == "AWAITING_BUYER_SHIP":
            what = "ship"
        elif status == "BUYER_SHIPPED_ITEM":
            what = "arrive"
        elif status == "AWAITING_BUYER_RESPONSE":
            what = "accept" if well else "decline"
        else:
            what = "appeal" if "REJECT" in status else "withdraw"
        self.world.market.post(f"returns/{found['return_id']}/{what}", **body)
        return f"{what}: return {found['return_id']}, which was {status}"

    # --- the marketplace ----------------------------------------------------------------------------------------------------------------------

    @step(seconds=st.sampled_from([600, HOUR, HOUR, 6 * HOUR, DAY, DAY, 3 * DAY, 8 * DAY, 16 * DAY]))
    def time_goes_on(self, seconds):
        """Our jobs run at least once shortly before each deadline: in life they run every minute."""
        world, stops = self.world, 0
        until, now = world.now() + seconds, world.now()
        known = truth.waiting(world)
        looked: set[int] = set()
        while now < until:
            near = [one.due - truth.LAST_LOOK for one in known if now < one.due <= until + truth.LAST_LOOK and one.due not in looked]
            at = min([*(max(moment, now) for moment in near), until, now + 2 * DAY])
            if at > now:
                world.advance(at - now)
            if at < until:
                stops += 1
                world.calm_network()
                for kind in (TOKENS, "orders.import", "cancellations.import", "returns.import", "deadlines.warn"):
                    world.work(kind)
                world.drain()
                known, now = truth.waiting(world), world.now()
                truth.answered_or_warned(known, now)
                looked |= {one.due for one in known if one.due - now <= truth.LAST_LOOK}
            now = world.now()
        return f"{seconds / HOUR:g} h, {stops} stops"

    @step(pick=picks, by=st.sampled_from(["OPERATOR", "SYSTEM", "SELLER"]))
    def marketplace_cancels(self, pick, by):
        """For fraud, without shipping, or the seller a line in the Seller Center."""
        open_ones = ("AWAITING_SHIPMENT",) if by == "SELLER" else ("ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION", "IN_TRANSIT")
        order = self.one(self.listed(*open_ones), pick)
        if order is None:
            return None
        body = {"line_ids": self.line_ids(order["id"], 1)} if by == "SELLER" else {}
        self.world.market.post(f"orders/{order['id']}/cancel", by=by, **body)
        return f"order {order['id']} ({order['status']})"

    @step(pick=picks)
    def carrier_scans(self, pick):
        return self._scans(pick)

    def _scans(self, pick: int) -> str | None:
        return self._acts(self.listed("IN_TRANSIT"), pick, "deliver") or self._acts(self.listed("AWAITING_COLLECTION"), pick, "collect")

    # --- the seller ---------------------------------------------------------------------------------------------------------------------------

    def _ships_in_magento(self, pick: int, part: bool, tracked: bool) -> str | None:
        order = self.one(self.in_store(), pick)
        if order is None:
            return None
        items = [(item["item_id"], float(item["qty_ordered"]) - float(item["qty_shipped"]) - float(item["qty_refunded"])) for item in order["items"]]
        items = [(item, units) for item, units in items if units > 0]
        if not items:  # the store would let units leave that were refunded; nobody does
            return None
        chosen = [(items[0][0], 1.0)] if part else items
        number = self.tracking("RM")
        body: dict[str, Any] = {"items": [{"order_item_id": item, "qty": units} for item, units in chosen]}
        if tracked:
            body["tracks"] = [{"track_number": number, "title": "Royal Mail", "carrier_code": "custom"}]
        shipment = self.world.store.post(f"orders/{order['entity_id']}/ship", **body)["shipment_id"]
        if not tracked:
            self.world.store.post(f"shipments/{shipment}/tracks", track_number=number, title="Royal Mail", carrier_code="custom")
        return f"order {order['ext_order_id']}: {chosen} as {number}"

    @step(pick=picks, how=st.sampled_from(["whole", "part", "tracking later", "by form", "delivered at once", "delivered at once"]))
    def seller_ships(self, pick, how):
        if how == "by form":
            return self._ships_by_form(pick)
        said = self._ships_in_magento(pick, how == "part", how != "tracking later")
        if said and how == "delivered at once":
            self._our_work("all")
            for status, where in (("AWAITING_COLLECTION", "collect"), ("IN_TRANSIT", "deliver")):
                for order in self.listed(status):
                    self.world.market.post(f"orders/{order['id']}/{where}")
        return said

    def _ships_by_form(self, pick: int) -> str | None:
        order = self.one(self.ours(Order.remote_status.in_(("AWAITING_SHIPMENT", "PARTIALLY_SHIPPING"))), pick)
        if order is None:
            return None
        number = self.tracking("FO")
        ship.submit([order.id], {order.id: ship.Tracking("Royal Mail", number)}, started_by=WHO)
        self.world.drain()
        return f"order {order.number} as {number}"

    @step(pick=picks, reason=st.sampled_from(["out_of_stock", "pricing_error", "unable_to_deliver"]))
    def seller_rejects(self, pick, reason):
        order = self.one(self.ours(Order.remote_status.in_(("ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING"))), pick)
        return order and f"order {order.number}: {reject.reject_one(order.id, reason, actor=WHO)}"

    @step(what=st.integers(0, 1), pick=picks, way=picks)
    def seller_answers(self, what, pick, way):
        """What waits for an answer: a buyer's wish to cancel, or a return."""
        return self.first(what, (self._answers_a_cancellation, self._answers_a_return), pick, way)

    def _answers_a_cancellation(self, pick: int, way: int) -> str | None:
        waits = select(Cancellation.id, Cancellation.cancel_id).where(Cancellation.remote_status == "CANCELLATION_REQUEST_PENDING")
        found = self.one(db.session.execute(waits.order_by(Cancellation.id)).all(), pick)
        if found is None:
            return None
        answer = ("approve", "reject")[way % 2]
        reasons = cancellations.preview([found.id], answer)[0].reasons
        reason = reasons[way % len(reasons)][0] if reasons and answer == "reject" else ""
        return f"{answer} {found.cancel_id}: {cancellations.answer_one(found.id, answer, reason=reason, actor=WHO)}"

    def _answers_a_return(self, pick: int, way: int) -> str | None:
        waits = select(Return.id, Return.return_id, Return.amount, Return.goods).where(Return.needs_answer)
        found = self.one(db.session.execute(waits.order_by(Return.id)).all(), pick)
        db.session.rollback()
        if found is None:
            return None
        action = self.one(returns.decisions(found.id), way)
        if action is None:
            return f"{found.return_id}: TikTok allows nothing"
        reason = action.reasons[way % len(action.reasons)][0] if action.reasons else ""
        offer = max((found.amount / 3).quantize(Decimal("0.01")), Decimal("0.01")) if action.partial else None
        takes_in = action.decision == "APPROVE_RECEIVED_PACKAGE" and found.goods != GOODS_LOST  # what was said to be lost stays so
        if takes_in:
            self.deeds.came.setdefault(found.return_id, "perhaps")
        said = returns.answer_one(found.id, "reject" if action.rejects else "accept", decision=action.decision, reason=reason, amount=offer, actor=WHO)
        if takes_in:
            self.deeds.came[found.return_id] = "sure"
        return f"{found.return_id} {action.decision}: {said}"

    @step(what=st.integers(0, 1), pick=picks, how=st.sampled_from(["sellable", "sellable", "under way", "broken", "lost"]))
    def seller_says_what_became_of_the_goods(self, what, pick, how):
        return self.first(what, (self._recalls, self._takes_in), pick, how)

    def _takes_in(self, pick: int, how: str) -> str | None:
        expected = select(Return.id, Return.return_id, Return.goods).where(Return.return_type != "REFUND", Return.goods != "")
        found = self.one(db.session.execute(expected.order_by(Return.id)).all(), pick)
        db.session.rollback()
        if found is None:
            return None
        if how in ("lost", "under way"):
            said = returns.goods.lost(found.id, actor=WHO)
            self.deeds.came.pop(found.return_id, None)
        else:
            said = returns.goods.received(found.id, sellable=how == "sellable", actor=WHO)
            if how == "sellable" and found.goods != "received":
                self.deeds.came[found.return_id] = "sure"
        return f"return {found.return_id}: {said}"

    def _recalls(self, pick: int, how: str) -> str | None:
        query = select(RecallTask.order_id, RecallTask.units, Order.number).join(Order, Order.id == RecallTask.order_id)
        task = self.one(db.session.execute(query.where(RecallTask.state.in_(recall.UNDER_WAY)).order_by(RecallTask.id)).all(), pick)
        db.session.rollback()
        if task is None:
            return None
        to = {"under way": "returning", "lost": "lost"}.get(how, "received")
        given = {sku: count - (how == "broken" and place == 0) for place, (sku, count) in enumerate(sorted(task.units.items()))}
        try:
            return f"order {task.number}: {recall.move(task.order_id, to, received=given if to == 'received' else None, actor=WHO)}"
        finally:
            db.session.rollback()
            if to == "received" and db.session.scalar(select(RecallTask.state).where(RecallTask.order_id == task.order_id)) == "received":
                self.deeds.recalled[task.number] = "sure", Counter(given)

    @step(pick=picks, back=st.booleans())
    def seller_makes_a_credit_memo_in_magento(self, pick, back):
        order = self.one([one for one in self.world.store.get("orders") if one["state"] in ("processing", "complete")], pick)
        item = order and self.one([one for one in order["items"] if float(one["qty_invoiced"]) > float(one["qty_refunded"])], pick)
        if not item:
            return None
        sums = {"shipping_amount": 0, "adjustment_positive": 0, "adjustment_negative": 0}
        body = {"items": [{"order_item_id": item["item_id"], "qty": 1}], "return_to_stock": back, "arguments": sums}
        self.world.store.post(f"orders/{order['entity_id']}/refund", **body)
        number = order["ext_order_id"]
        self.deeds.by_hand.add(number)
        if back:
            self.deeds.refunded[number][item["sku"]] += 1
        return f"order {number}: 1 of {item['sku']}, {'into stock' if back else 'gone'}"

    @step(sku=skus, units=st.integers(1, 6))
    def goods_arrive_from_the_maker(self, sku, units):
        row = next(one for one in self.world.store.get("ledger", sku=sku)["stocks"] if one["stock_id"] != 1)
        self.world.store.post(f"products/{sku}/stock", source="wh_main", quantity=float(row["sources"]["wh_main"]) + units)
        self.deeds.arrived[sku] += units
        return f"{units} of {sku}"

    # --- the OMS ------------------------------------------------------------------------------------------------------------------------------

    @step(what=st.integers(0, 4), pick=picks, repeat=st.integers(1, 3), yes=st.booleans())
    def oms_says(self, what, pick, repeat, yes):
        return self.first(what, (self._oms_ships, self._oms_ships, self._oms_cancels, self._oms_answers, self._oms_takes_in), pick, repeat, yes)

    def _hears(self, order_id: str, key: str, kind: str, repeat: int, **more: Any) -> str:
        entry = {"id": f"{order_id}-{key}", "type": kind, "order_id": order_id, **more}
        for _ in range(repeat):
            updates.receive(self.world.account_id, "event", [entry])
        return f"{kind}, {repeat} times: {entry}"

    def _oms_ships(self, pick: int, repeat: int, part: bool) -> str | None:
        found = self.listed("ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "CANCELLED")
        order = self.one([one for one in found if self.told[one["id"]] < TELLS], pick)
        if order is None:
            return None
        self.told[order["id"]] += 1
        number, more = self.tracking("OM"), {}
        if part:
            more["items"] = [{"sku": self.world.market.get(f"orders/{order['id']}")["order"]["line_items"][0]["seller_sku"], "quantity": 1}]
        return self._hears(order["id"], number, "shipped", repeat, tracking_number=number, carrier="Royal Mail", **more)

    def _oms_cancels(self, pick: int, repeat: int, _: bool) -> str | None:
        order = self.one(self.listed("AWAITING_SHIPMENT", "AWAITING_COLLECTION"), pick)
        return order and self._hears(order["id"], "cancel", "cancelled", repeat, reason="out_of_stock")

    def _oms_answers(self, pick: int, repeat: int, accept: bool) -> str | None:
        order = self.one([one for one in self.listed() if one["is_buyer_request_cancel"]], pick)
        return order and self._hears(order["id"], self.tracking("AN"), "cancellation_answered", repeat, accept=accept)

    def _oms_takes_in(self, pick: int, repeat: int, _: bool) -> str | None:
        found = self.one(self.returns_in("BUYER_SHIPPED_ITEM", "RETURN_OR_REFUND_REQUEST_COMPLETE"), pick)
        if found is None:
            return None
        if found["return_type"] != "REFUND":
            self.deeds.came.setdefault(found["return_id"], "perhaps")
        return self._hears(found["order_id"], "goods" + found["return_id"], "goods_received", repeat, return_id=found["return_id"])

    # --- the network --------------------------------------------------------------------------------------------------------------------------

    @step(
        kind=st.sampled_from(["lost_answer", "lost_answer", "server_error", "gateway_timeout", "malformed_json", "expired_token", "rate_limit"]),
        operation=st.sampled_from(
            ["packages.mark_shipped", "cancellations.*", "returns.approve", "returns.*", "orders.detail", "orders.search", "external_orders.add"]
        ),
        after=st.integers(1, 2),
    )
    def tiktok_stumbles(self, kind, operation, after):
        self.world.market.post("faults", kind=kind, operation=operation, times=after)
        return "the next calls fail"

    @step(
        kind=st.sampled_from(["lost_answer", "lost_answer", "http_500", "http_500_after", "http_429", "html_503"]),
        path=st.sampled_from(
            ["/guest-carts|/carts", "/order$", "/refund$", "/cancel$", "/invoice$", "/source-items$", "/comments$", "/orders", "/shipments", "/creditmemos"]
        ),
    )
    def magento_stumbles(self, kind, path):
        self.world.store.post("faults", kind=kind, match={"method": "", "path": path}, times=1)
        return "the next call fails"

    @step(kind=st.sampled_from(["webhook_lost", "webhook_duplicate", "webhook_delay", "webhook_reorder"]), seed=picks)
    def webhooks_go_astray(self, kind, seed):
        more = {"webhook_duplicate": {"copies": 3}, "webhook_delay": {"seconds": HOUR}}.get(kind, {})
        self.world.market.post("faults", kind=kind, operation="*", probability=0.5, seed=seed, times=10, **more)
        return "for ten of them"

    # --- our jobs -----------------------------------------------------------------------------------------------------------------------------

    def _our_work(self, which: str) -> None:
        if which == "import":
            self.world.work("orders.import")
        elif which == "all":
            for kind in WORK:
                self.world.work(kind)
        if which:
            self.world.drain()

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

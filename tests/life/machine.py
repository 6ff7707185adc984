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
from connector.models.aftersales import RecallTask, Return
from connector.models.order import Cancellation, Order
from connector.services import cancellations, returns
from connector.services.oms import updates
from connector.services.orders import recall, reject, ship
from tests.life import truth
from tests.life.world import SHELF, WORK, Refused, World

T = TypeVar("T")
WHO = "seller@example.test"
#: Everything is checked after this many steps.
EVERY = 20
HOUR, DAY = 3600, 86_400
picks = st.integers(0, 999)
skus = st.sampled_from(sorted(SHELF))
CANCELLABLE = ("UNPAID", "ON_HOLD", "AWAITING_SHIPMENT")
ON_THE_WAY = ("AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED")

#: Over all lives: steps, and of each rule how often it did something, was refused, or had nothing to do.
done: Counter[str] = Counter()


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
        done["lives"] += 1
        self.world.begin()

    # --- what is there ------------------------------------------------------------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        if not self.failed:
            self.failed = True
            error.add_note("What happened:\n" + "\n".join(f"{number:4} {line}" for number, line in enumerate(self.story, 1)))

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

    def ours(self, *conditions: Any) -> list[Order]:
        found = list(db.session.scalars(select(Order).where(*conditions).order_by(Order.id)))
        db.session.commit()
        return found

    def in_store(self) -> list[dict[str, Any]]:
        """Magento orders that can be shipped."""
        found = self.world.store.get("orders")
        return [one for one in found if one["state"] == "processing" and any(float(item["qty_shipped"]) < float(item["qty_ordered"]) for item in one["items"])]

    def line_ids(self, number: str, count: int) -> list[str]:
        return [line["id"] for line in self.world.market.get(f"orders/{number}")["order"]["line_items"]][:count]

    def tracking(self, prefix: str) -> str:
        return f"{prefix}{next(self.numbers):08d}GB"

    @initialize(orders=st.lists(st.tuples(skus, st.integers(1, 3)), min_size=4, max_size=6))
    def some_orders_wait(self, orders: list[tuple[str, int]]) -> None:
        """Hypothesis leaves out some of the rules in each life, perhaps those that place orders."""
        for line in orders:
            self.world.market.post(f"orders/{(number := self._place([line], True))}/release")
            self.story.append(f"order {number} waits: {line}")
        self._our_work("all")

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

    @step(pick=picks)
    def buyer_pays(self, pick):
        order = self.one(self.listed("UNPAID"), pick)
        return order and str(self.world.market.post(f"orders/{order['id']}/pay") and f"order {order['id']}")

    @step(pick=picks, whole=st.booleans())
    def buyer_cancels_or_asks_to(self, pick, whole):
        order = self.one(self.listed(*CANCELLABLE), pick)
        if order is None:
            return None
        body = {} if whole else {"line_ids": self.line_ids(order["id"], 1)}
        self.world.market.post(f"orders/{order['id']}/cancel", by="BUYER", **body)
        return f"order {order['id']} ({order['status']})"

    @step(pick=picks)
    def buyer_withdraws(self, pick):
        order = self.one([one for one in self.listed() if one["is_buyer_request_cancel"]], pick)
        return order and str(self.world.market.post(f"orders/{order['id']}/withdraw") and f"order {order['id']}")

    @step(pick=picks)
    def buyer_moves(self, pick):
        order = self.one(self.listed("ON_HOLD", "AWAITING_SHIPMENT"), pick)
        return order and str(
            self.world.market.post(f"orders/{order['id']}/address", address_line1=f"{next(self.numbers)} New Street") and f"order {order['id']}"
        )

    @step(pick=picks, kind=st.sampled_from(["REFUND", "RETURN_AND_REFUND", "RETURN_AND_REFUND", "REPLACEMENT"]), units=st.integers(1, 3))
    def buyer_asks_for_something_back(self, pick, kind, units):
        order = self.one(self.listed(*(ON_THE_WAY if kind == "REFUND" else ("DELIVERED",))), pick)
        if order is None:
            return None
        found = self.world.market.post(f"orders/{order['id']}/return", type=kind, line_ids=self.line_ids(order["id"], units))
        return f"return {found['returns'][-1]['return_id']} of order {order['id']}"

    @step(pick=picks)
    def buyer_sends_the_goods_back(self, pick):
        found = self.one(self.returns_in("AWAITING_BUYER_SHIP"), pick)
        return found and str(self.world.market.post(f"returns/{found['return_id']}/ship") and f"return {found['return_id']}")

    @step(pick=picks, what=st.sampled_from(["withdraw", "accept", "decline", "appeal", "arrive"]))
    def buyer_goes_on_with_a_return(self, pick, what):
        open_ones = [one for one in self.returns_in() if not one["return_status"].endswith(("COMPLETE", "CANCEL"))]
        found = self.one(open_ones, pick)
        if found is None:
            return None
        self.world.market.post(f"returns/{found['return_id']}/{what}")
        return f"return {found['return_id']}, which was {found['return_status']}"

    # --- the marketplace ----------------------------------------------------------------------------------------------------------------------

    @step(seconds=st.sampled_from([600, HOUR, HOUR, 6 * HOUR, DAY, DAY, 3 * DAY, 8 * DAY, 16 * DAY]))
    def time_goes_on(self, seconds):
        """Our jobs run at least once shortly before each deadline: in life they run every minute."""
        world, stops = self.world, 0
        until = world.now() + seconds
        looked: set[int] = set()
        while (now := world.now()) < until:
            near = [due for due in {one[3] for one in truth.deadlines(truth.Truth(world))} if now < due <= until + truth.LAST_LOOK and due not in looked]
            near = [due for due in near if due - truth.LAST_LOOK <= until]
            at = min([*(max(due - truth.LAST_LOOK, now) for due in near), until, now + 2 * DAY])
            if at > now:
                world.advance(at - now)
            if at < until:
                world.calm_network()
                for kind in ("orders.import", "cancellations.import", "returns.import", "deadlines.warn"):
                    world.work(kind)
                world.drain()
                after = truth.Truth(world)
                truth.answered_or_warned(after)
                looked |= {due for *_, due in truth.deadlines(after) if due - after.now <= truth.LAST_LOOK}
                stops += 1
        return f"{seconds / HOUR:g} h, {stops} stops"

    @step(pick=picks, by=st.sampled_from(["OPERATOR", "SYSTEM"]))
    def marketplace_cancels(self, pick, by):
        order = self.one(self.listed("ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION", "IN_TRANSIT"), pick)
        if order is None:
            return None
        self.world.market.post(f"orders/{order['id']}/cancel", by=by)
        return f"order {order['id']} ({order['status']})"

    @step(pick=picks)
    def seller_center_cancels_a_line(self, pick):
        order = self.one(self.listed("AWAITING_SHIPMENT"), pick)
        if order is None:
            return None
        self.world.market.post(f"orders/{order['id']}/cancel", by="SELLER", line_ids=self.line_ids(order["id"], 1))
        return f"order {order['id']}"

    @step(pick=picks, where=st.sampled_from(["collect", "deliver", "deliver"]))
    def carrier_scans(self, pick, where):
        order = self.one(self.listed("AWAITING_COLLECTION" if where == "collect" else "IN_TRANSIT"), pick)
        return order and str(self.world.market.post(f"orders/{order['id']}/{where}") and f"order {order['id']}")

    @step(pick=picks, outcome=st.sampled_from(["SUPPORT_BUYER", "SUPPORT_SELLER", "CLOSED"]))
    def platform_decides(self, pick, outcome):
        found = self.one([one for one in self.returns_in() if one.get("arbitration_status") == "IN_PROGRESS"], pick)
        return found and str(self.world.market.post(f"returns/{found['return_id']}/arbitrate", outcome=outcome) and f"return {found['return_id']}")

    # --- the seller ---------------------------------------------------------------------------------------------------------------------------

    def _ships_in_magento(self, pick: int, part: bool, tracked: bool) -> str | None:
        order = self.one(self.in_store(), pick)
        if order is None:
            return None
        items = [(item["item_id"], float(item["qty_ordered"]) - float(item["qty_shipped"]) - float(item["qty_refunded"])) for item in order["items"]]
        items = [(item, units) for item, units in items if units > 0]
        chosen = [(items[0][0], 1.0)] if part and items else items
        number = self.tracking("RM")
        body: dict[str, Any] = {"items": [{"order_item_id": item, "qty": units} for item, units in chosen]}
        if tracked:
            body["tracks"] = [{"track_number": number, "title": "Royal Mail", "carrier_code": "custom"}]
        shipment = self.world.store.post(f"orders/{order['entity_id']}/ship", **body)["shipment_id"]
        if not tracked:
            self.world.store.post(f"shipments/{shipment}/tracks", track_number=number, title="Royal Mail", carrier_code="custom")
        return f"order {order['ext_order_id']}: {chosen} as {number}"

    @step(pick=picks, part=st.booleans(), tracked=st.booleans())
    def seller_ships_in_magento(self, pick, part, tracked):
        return self._ships_in_magento(pick, part, tracked)

    @step(pick=picks)
    def seller_ships_in_magento_and_it_is_delivered(self, pick):
        said = self._ships_in_magento(pick, False, True)
        if said is None:
            return None
        self._our_work("all")
        for where in ("collect", "deliver"):
            for order in self.listed("AWAITING_COLLECTION" if where == "collect" else "IN_TRANSIT"):
                self.world.market.post(f"orders/{order['id']}/{where}")
        return said

    @step(pick=picks)
    def seller_ships_by_form(self, pick):
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

    @step(pick=picks, answer=st.sampled_from(["approve", "reject"]))
    def seller_answers_a_cancellation(self, pick, answer):
        found = self.one(
            [*db.session.scalars(select(Cancellation).where(Cancellation.remote_status == "CANCELLATION_REQUEST_PENDING").order_by(Cancellation.id))], pick
        )
        if found is None:
            return None
        pk, name = found.id, found.cancel_id
        reasons = cancellations.preview([pk], answer)[0].reasons
        return f"{name}: {cancellations.answer_one(pk, answer, reason=reasons[0][0] if reasons and answer == 'reject' else '', actor=WHO)}"

    @step(pick=picks, way=picks)
    def seller_answers_a_return(self, pick, way):
        found = self.one([*db.session.scalars(select(Return).where(Return.needs_answer).order_by(Return.id))], pick)
        if found is None:
            return None
        pk, return_id, amount = found.id, found.return_id, found.amount
        action = self.one(returns.decisions(pk), way)
        if action is None:
            return f"{return_id}: TikTok allows nothing"
        reason = action.reasons[way % len(action.reasons)][0] if action.reasons else ""
        offer = max((amount / 3).quantize(Decimal("0.01")), Decimal("0.01")) if action.partial else None
        takes_in = action.decision == "APPROVE_RECEIVED_PACKAGE"
        if takes_in:
            self.deeds.came.setdefault(return_id, "perhaps")
        said = returns.answer_one(pk, "reject" if action.rejects else "accept", decision=action.decision, reason=reason, amount=offer, actor=WHO)
        if takes_in:
            self.deeds.came[return_id] = "sure"
        return f"{return_id} {action.decision}: {said}"

    @step(pick=picks, what=st.sampled_from(["sellable", "sellable", "broken", "lost"]))
    def seller_says_what_became_of_the_goods(self, pick, what):
        wanted = Return.return_type != "REFUND", Return.goods != ""
        found = self.one([*db.session.scalars(select(Return).where(*wanted).order_by(Return.id))], pick)
        if found is None:
            return None
        pk, return_id, before = found.id, found.return_id, found.goods
        db.session.commit()
        if what == "lost":
            said = returns.goods.lost(pk, actor=WHO)
            self.deeds.came.pop(return_id, None)
        else:
            said = returns.goods.received(pk, sellable=what == "sellable", actor=WHO)
            if what == "sellable" and before != "received":
                self.deeds.came[return_id] = "sure"
        return f"{return_id}: {said}"

    @step(pick=picks, to=st.sampled_from(["returning", "received", "received", "lost"]), short=st.booleans())
    def seller_recalls(self, pick, to, short):
        task = self.one([*db.session.scalars(select(RecallTask).where(RecallTask.state.in_(recall.UNDER_WAY)).order_by(RecallTask.id))], pick)
        if task is None:
            return None
        order_id, units = task.order_id, dict(task.units)
        number = db.session.get_one(Order, order_id).number
        given = {sku: count - (short and place == 0) for place, (sku, count) in enumerate(sorted(units.items()))}
        db.session.commit()
        try:
            return f"order {number}: {recall.move(order_id, to, received=given if to == 'received' else None, actor=WHO)}"
        finally:
            db.session.rollback()
            if to == "received" and db.session.scalar(select(RecallTask.state).where(RecallTask.order_id == order_id)) == "received":
                self.deeds.recalled[number] = "sure", Counter(given)

    @step(pick=picks, back=st.booleans())
    def seller_makes_a_credit_memo_in_magento(self, pick, back):
        open_ones = [one for one in self.world.store.get("orders") if one["state"] in ("processing", "complete")]
        order = self.one(open_ones, pick)
        if order is None:
            return None
        item = self.one([one for one in order["items"] if float(one["qty_invoiced"]) > float(one["qty_refunded"])], pick)
        if item is None:
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

    def _hears(self, *entries: dict[str, Any], repeat: int = 1) -> None:
        for _ in range(repeat):
            updates.receive(self.world.account_id, "event", [{"id": f"oms-{entry['order_id']}-{entry['key']}", **entry} for entry in entries])

    @step(pick=picks, repeat=st.integers(1, 3), part=st.booleans())
    def oms_ships(self, pick, repeat, part):
        order = self.one(self.listed("ON_HOLD", "AWAITING_SHIPMENT", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "CANCELLED"), pick)
        if order is None:
            return None
        number = self.tracking("OM")
        entry: dict[str, Any] = {"key": number, "type": "shipped", "order_id": order["id"], "tracking_number": number, "carrier": "Royal Mail"}
        if part:
            entry["items"] = [{"sku": self.world.market.get(f"orders/{order['id']}")["order"]["line_items"][0]["seller_sku"], "quantity": 1}]
        self._hears(entry, repeat=repeat)
        return f"order {order['id']} ({order['status']}) as {number}, said {repeat} times"

    @step(pick=picks, repeat=st.integers(1, 2))
    def oms_cancels(self, pick, repeat):
        order = self.one(self.listed("AWAITING_SHIPMENT", "AWAITING_COLLECTION"), pick)
        if order is None:
            return None
        self._hears({"key": "cancel", "type": "cancelled", "order_id": order["id"], "reason": "out_of_stock"}, repeat=repeat)
        return f"order {order['id']}"

    @step(pick=picks, accept=st.booleans())
    def oms_answers_a_cancellation(self, pick, accept):
        order = self.one([one for one in self.listed() if one["is_buyer_request_cancel"]], pick)
        if order is None:
            return None
        self._hears({"key": self.tracking("AN"), "type": "cancellation_answered", "order_id": order["id"], "accept": accept})
        return f"order {order['id']}"

    @step(pick=picks, repeat=st.integers(1, 2))
    def oms_takes_goods_in(self, pick, repeat):
        found = self.one(self.returns_in("BUYER_SHIPPED_ITEM", "RETURN_OR_REFUND_REQUEST_COMPLETE"), pick)
        if found is None:
            return None
        self._hears(
            {"key": "goods" + found["return_id"], "type": "goods_received", "order_id": found["order_id"], "return_id": found["return_id"]}, repeat=repeat
        )
        if found["return_type"] != "REFUND":
            self.deeds.came.setdefault(found["return_id"], "perhaps")
        return f"return {found['return_id']}"

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

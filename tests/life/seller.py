"""What the seller does, in Magento and in the connector: ships, rejects, answers, takes goods back, makes credit memos, buys goods."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import select

from connector.core.db import db
from connector.models.aftersales import GOODS_LOST, RecallTask, Return
from connector.models.order import Cancellation, Order
from connector.services import cancellations, returns
from connector.services.orders import recall, reject, ship
from tests.life.steps import WHO, Shop, picks, skus, step


class Seller(Shop):
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
            self.deeds.further[number][item["sku"]] += float(item["qty_refunded"]) > 0
        return f"order {number}: 1 of {item['sku']}, {'into stock' if back else 'gone'}"

    @step(sku=skus, units=st.integers(1, 6))
    def goods_arrive_from_the_maker(self, sku, units):
        row = next(one for one in self.world.store.get("ledger", sku=sku)["stocks"] if one["stock_id"] != 1)
        self.world.store.post(f"products/{sku}/stock", source="wh_main", quantity=float(row["sources"]["wh_main"]) + units)
        self.deeds.arrived[sku] += units
        return f"{units} of {sku}"

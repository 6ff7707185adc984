"""What neither buyer nor seller does: the marketplace with its clock and carriers, the OMS, and the network between all of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from connector.services.oms import updates
from tests.life import truth
from tests.life.steps import DAY, HOUR, Shop, picks, step
from tests.life.world import TOKENS

#: Parcels that the OMS tells of one order.
TELLS = 3


class Outside(Shop):
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

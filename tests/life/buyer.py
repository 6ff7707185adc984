"""What buyers do: they place, pay, move, change their minds, and send back."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.life.steps import Shop, picks, skus, step

CANCELLABLE = ("UNPAID", "ON_HOLD", "AWAITING_SHIPMENT")
ON_THE_WAY = ("AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED")


class Buyer(Shop):
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

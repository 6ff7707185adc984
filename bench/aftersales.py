"""The demonstration after the order: hold hours that end, cancellation requests, returns, credit memos, a parcel called back; and an account whose orders
go to an external storefront and whose parcels are an OMS's business.

Buyers, carriers and the merchant in Magento act through the control interfaces of the practice servers, the seller through the functions behind the
buttons, everything else is done by the product's own jobs. What is counted is asked of the practice servers.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from bench.house import House

Say = Callable[[str], None]
Wait = Callable[[str, Callable[[], int], int, House], None]
HOUR = 3600
WHO = "demo@example.test"
#: Orders placed; of them cancelled within the hour, asked to be cancelled later (granted, refused), cancelled by the platform when their parcel has left.
PLACED, REGRETTED, GRANTED, REFUSED, CALLED_BACK = 24, 4, 4, 3, 1
#: Returns: the money alone (granted, refused), goods and money (granted, taken back by the buyer).
MONEY, NO_MONEY, GOODS, WITHDRAWN = 3, 2, 3, 1
#: Products that the orders of the first part left alone; the store has sold none of them.
FIRST_SKU, SKUS = 61, 20
ABROAD = 10
PENDING = "PENDING"
#: What the figures of a demonstration that went well are.
WANTED = {
    "holds_ended": PLACED - REGRETTED,
    "cancellations_answered": GRANTED + REFUSED,
    "returns_answered": MONEY + NO_MONEY + GOODS,
    "storefront_orders": ABROAD,
    "oms_updates_applied": ABROAD,
}


class AfterSales:
    """One account's orders from the hold hour to the credit memo."""

    def __init__(self, house: House, app: Any, account_id: int, say: Say, wait: Wait) -> None:
        self.house, self.app, self.account_id, self.say, self.wait = house, app, account_id, say, wait
        self.orders: list[str] = []
        self.came_back: Counter[str] = Counter()  #: SKU -> units that a person said are here again

    def run(self) -> dict[str, Any]:
        shelf = self._shelf()
        held = self._holds()
        answered = self._cancellations(held[: GRANTED + REFUSED])
        sent = self._ship([number for number in held if self._status(number) != "CANCELLED"])
        self._call_back(sent[:CALLED_BACK])
        returned = self._returns(sent[CALLED_BACK:])
        twice, lost = self._restocked(shelf)
        return {
            "holds_ended": len(held),
            "cancellations_answered": answered,
            "returns_answered": returned,
            "credit_memos": self.house.get("magento", "summary")["creditmemos"],
            "restocked_twice": twice,
            "not_restocked": lost,
        }

    # --- the steps ----------------------------------------------------------------------------------------------------------------------------

    def _holds(self) -> list[str]:
        """Ids of the orders whose hold hour ended with an order in Magento, which was not there before."""
        for number in range(PLACED):
            lines = [{"sku": _sku(number), "quantity": 1 + number % 2}, {"sku": _sku(number + 7), "quantity": 1}]
            self.orders.append(self.house.post("tiktok", "orders", {"shop": "GB", "lines": lines, "pay": True, "buyer": 9000 + number})["id"])
        self.wait("on hold here", lambda: self._ours("held"), PLACED, self.house)
        early = set(self._in_magento(self.orders))
        for number in self.orders[:REGRETTED]:
            self.house.post("tiktok", f"orders/{number}/cancel", {"by": "BUYER"})
        self.wait("cancelled within the hour", lambda: self._ours("cancelled"), REGRETTED, self.house)
        self.house.post("tiktok", "clock", {"advance_seconds": HOUR + 60})
        kept = self.orders[REGRETTED:]
        self.wait("created in Magento when their hold ended", lambda: len(self._in_magento(kept)), len(kept), self.house)
        return [number for number in kept if number in self._in_magento(kept) and number not in early]

    def _cancellations(self, asked: Sequence[str]) -> int:
        """How many requests of buyers the marketplace has as answered."""
        for number in asked:
            self.house.post("tiktok", f"orders/{number}/cancel", {"by": "BUYER"})
        self.wait("requests to cancel known here", lambda: len(self._requests(asked)), len(asked), self.house)
        with self.app.app_context():
            from connector.services import cancellations

            known = self._requests(asked)
            grant, refuse = [known[number] for number in asked[:GRANTED]], [known[number] for number in asked[GRANTED:]]
            reason = cancellations.preview(refuse, "reject")[0].reasons[0][0]
            cancellations.submit(grant, "approve", started_by=WHO)
            cancellations.submit(refuse, "reject", reason=reason, started_by=WHO)

        def answered() -> int:
            return sum(not one["cancel_status"].endswith(PENDING) for order in self._orders(asked) for one in order["cancellations"])

        self.wait("requests answered", answered, len(asked), self.house)
        self.wait("of them taken back in Magento", lambda: self._closed(asked[:GRANTED]), GRANTED, self.house)
        return answered()

    def _ship(self, numbers: Sequence[str]) -> list[str]:
        """The merchant ships in Magento; the carrier takes and delivers what the marketplace knows, but for the parcels that are to be called back."""
        store = self._in_magento(numbers)
        for place, number in enumerate(numbers):
            track = {"track_number": f"GB{900_000_000 + place}XY", "title": "Royal Mail", "carrier_code": "royalmail"}
            self.house.post("magento", f"orders/{store[number]['entity_id']}/ship", {"tracks": [track]})
        self._ring("shipments.collect")
        self.wait(
            "shipped at TikTok", lambda: sum(order["status"] == "AWAITING_COLLECTION" for order in self._orders(numbers)), len(numbers), self.house
        )  # fmt: skip
        for place, number in enumerate(numbers):
            self.house.post("tiktok", f"orders/{number}/collect")
            if place >= CALLED_BACK:
                self.house.post("tiktok", f"orders/{number}/deliver")
        return list(numbers)

    def _call_back(self, numbers: Sequence[str]) -> None:
        """The platform cancels what is on its way; the parcel comes back and is put on the shelf, once."""
        for number in numbers:
            self.house.post("tiktok", f"orders/{number}/cancel", {"by": "OPERATOR"})
        self.wait("parcels to be called back", lambda: len(self._recalls()), len(numbers), self.house)
        with self.app.app_context():
            from connector.services.orders import recall

            for order_id, units in self._recalls().items():
                recall.move(order_id, "returning", actor=WHO)
                for _ in range(2):  # said twice
                    recall.move(order_id, "received", received=units, actor=WHO)
                self.came_back.update(units)

    def _returns(self, delivered: Sequence[str]) -> int:
        """How many requests for a return the marketplace has as answered by the seller."""
        money, rest = delivered[: MONEY + NO_MONEY], delivered[MONEY + NO_MONEY :]
        goods = rest[: GOODS + WITHDRAWN]
        asked = {number: self._ask(number, "REFUND") for number in money} | {number: self._ask(number, "RETURN_AND_REFUND") for number in goods}
        for number in goods[GOODS:]:
            self.house.post("tiktok", f"returns/{asked[number]}/withdraw")
        self.wait("returns known here", lambda: len(self._rows(asked.values())), len(asked), self.house)
        granted = [*money[:MONEY], *goods[:GOODS]]
        self._answer("accept", [asked[number] for number in granted])
        self._answer("reject", [asked[number] for number in money[MONEY:]])
        answerable = [*granted, *money[MONEY:]]

        def answered() -> int:
            found = {one["return_id"]: one["return_status"] for one in self.house.get("tiktok", "returns", shop="GB")["returns"]}
            return sum(not found[asked[number]].endswith(PENDING) for number in answerable)

        self.wait("returns answered", answered, len(answerable), self.house)
        self._take_in({number: asked[number] for number in goods[:GOODS]})
        self.house.post("tiktok", "clock", {"advance_seconds": 2 * HOUR})
        self._ring("returns.import")
        self._ring("returns.memos")
        self.wait("refunds with a credit memo in Magento", lambda: self._refunded(granted), len(granted), self.house)
        return answered()

    def _take_in(self, asked: dict[str, str]) -> None:
        """The buyer sends the goods, a person takes them in and lets the refund go."""
        for return_id in asked.values():
            self.house.post("tiktok", f"returns/{return_id}/ship")
            self.house.post("tiktok", f"returns/{return_id}/arrive")
        self.wait("returns on their way known here", lambda: self._on_the_way(asked.values()), len(asked), self.house)
        with self.app.app_context():
            from connector.services import returns

            for return_id, pk in self._rows(asked.values()).items():
                for _ in range(2):  # said twice
                    returns.goods.received(pk, sellable=True, actor=WHO)
                lines = self.house.get("tiktok", f"returns/{return_id}")["return_line_items"]
                self.came_back.update(item["seller_sku"] for item in lines)
        self._answer("accept", list(asked.values()))

        def through() -> int:
            return sum(
                one["return_id"] in asked.values() and one["return_status"] not in ("BUYER_SHIPPED_ITEM", "AWAITING_BUYER_SHIP")
                for one in self.house.get("tiktok", "returns", shop="GB")["returns"]
            )

        self.wait("returned parcels accepted", through, len(asked), self.house)

    def _restocked(self, shelf: dict[str, float]) -> tuple[int, int]:
        """(units that can be sold though they should not be, units that should be and cannot), by the store's own ledger.

        At first, less what its orders took, and what of it was never sent because the order was cancelled, or came back.
        """
        wanted = Counter(shelf)
        for number, order in self._in_magento(self.orders).items():
            lines = self.house.get("tiktok", f"orders/{number}")["order"]["line_items"]
            sent = {item["sku"]: float(item["qty_shipped"]) for item in order["items"]}
            for sku, units in Counter(line["seller_sku"] for line in lines).items():
                wanted[sku] -= units
                if self._status(number) == "CANCELLED":
                    wanted[sku] += units - sent[sku]
        wanted.update(self.came_back)
        now = self._shelf()
        differences = [int(now[sku] - wanted[sku]) for sku in shelf]
        return sum(units for units in differences if units > 0), -sum(units for units in differences if units < 0)

    # --- what the servers know ------------------------------------------------------------------------------------------------------------------

    def _shelf(self) -> dict[str, float]:
        """SKU -> units that the store can still sell."""
        skus = {_sku(number) for number in range(SKUS)}
        return {row["sku"]: float(row["salable"]) for row in self.house.get("magento", "ledger")["stocks"] if row["stock_id"] == 2 and row["sku"] in skus}

    def _orders(self, numbers: Sequence[str]) -> list[dict[str, Any]]:
        return list(self.house.get("tiktok", "orders", ids=",".join(numbers))["orders"]) if numbers else []

    def _status(self, number: str) -> str:
        return str(self._orders([number])[0]["status"])

    def _in_magento(self, numbers: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {order["ext_order_id"]: order for order in self.house.get("magento", "orders") if order["ext_order_id"] in numbers}

    def _closed(self, numbers: Sequence[str]) -> int:
        return sum(order["state"] in ("canceled", "closed") for order in self._in_magento(numbers).values())

    def _refunded(self, numbers: Sequence[str]) -> int:
        return sum(any(float(item["qty_refunded"]) for item in order["items"]) for order in self._in_magento(numbers).values())

    def _ask(self, number: str, kind: str) -> str:
        return str(self.house.post("tiktok", f"orders/{number}/return", {"type": kind})["returns"][-1]["return_id"])

    # --- what the product knows, and is told -----------------------------------------------------------------------------------------------------

    def _ring(self, kind: str) -> None:
        ring(self.app, kind, self.account_id)

    def _ours(self, state: str) -> int:
        from connector.models.order import Order

        return len(self._found([Order.number], Order.number.in_(self.orders), Order.state == state))

    def _requests(self, numbers: Sequence[str]) -> dict[str, int]:
        """TikTok order id -> our key of the request that waits for an answer."""
        from connector.models.order import Cancellation, Order

        waiting = Cancellation.remote_status.endswith(PENDING)
        return dict(tuple(row) for row in self._found([Order.number, Cancellation.id], Order.id == Cancellation.order_id, Order.number.in_(numbers), waiting))

    def _rows(self, return_ids: Any, *conditions: Any) -> dict[str, int]:
        """TikTok's return id -> our key."""
        from connector.models.aftersales import Return

        return dict(tuple(row) for row in self._found([Return.return_id, Return.id], Return.return_id.in_(list(return_ids)), *conditions))

    def _on_the_way(self, return_ids: Any) -> int:
        from connector.models.aftersales import Return

        return len(self._rows(return_ids, Return.remote_status == "BUYER_SHIPPED_ITEM"))

    def _recalls(self) -> dict[int, dict[str, int]]:
        from connector.models.aftersales import RecallTask

        return dict(tuple(row) for row in self._found([RecallTask.order_id, RecallTask.units], RecallTask.account_id == self.account_id))

    def _found(self, columns: Sequence[Any], *conditions: Any) -> list[Any]:
        from sqlalchemy import select

        from connector.core.db import db

        with self.app.app_context():
            return list(db.session.execute(select(*columns).where(*conditions)).all())

    def _answer(self, kind: str, return_ids: Sequence[str]) -> None:
        """By what TikTok offers for each now; returns of one kind share their decision."""
        with self.app.app_context():
            from connector.services import returns

            chosen: dict[tuple[str, str], list[int]] = {}
            for pk in self._rows(return_ids).values():
                action = next(each for each in returns.decisions(pk) if each.rejects == (kind == "reject") and not each.partial)
                chosen.setdefault((action.decision, action.reasons[0][0] if action.reasons else ""), []).append(pk)
            for (decision, reason), pks in chosen.items():
                returns.submit(pks, kind, decision=decision, reason=reason, started_by=WHO)


class Elsewhere:
    """A second account: its orders go to the practice storefront; the practice OMS collects the feed, ships, and says so by signed events."""

    def __init__(self, house: House, app: Any, say: Say, wait: Wait) -> None:
        self.house, self.app, self.wait = house, app, wait
        with app.app_context():
            from connector.core.db import unit_of_work
            from connector.services import users
            from connector.services.accounts import storefront
            from connector.services.accounts.unattended import connect_practice_shop
            from connector.services.oms.practice import use_practice_oms

            self.account_id = connect_practice_shop("US", actor="demo").id
            with unit_of_work():
                person = users.create(email=WHO, password=secrets.token_urlsafe(24), role="administrator", name="Demonstration")
            facts = storefront.use_practice_storefront(self.account_id, actor="demo")
            use_practice_oms(self.account_id, person)
        house.post("oms", "settings", {"auto_ship": True, "auto_ship_by": "event"})
        say(f"Connected the US practice shop to the practice storefront ({facts['environment']}, safe for tests: {facts['ok']}) and to the practice OMS.")

    def place(self) -> None:
        self.orders: list[str] = []
        for number in range(ABROAD):
            order = self.house.post("tiktok", "orders", {"shop": "US", "lines": [{"sku": "MUG-01", "quantity": 1 + number % 2}], "pay": True})
            self.house.post("tiktok", f"orders/{order['id']}/release")
            self.orders.append(order["id"])
        self.wait("created in the external storefront", self._stored, ABROAD, self.house)

    def ship(self) -> dict[str, Any]:
        ring(self.app, "oms.feed", self.account_id)
        self.wait("shipped at TikTok because the OMS said so", self._shipped, ABROAD, self.house)
        return {"storefront_orders": self._stored(), "oms_updates_applied": self._shipped()}

    def _stored(self) -> int:
        return sum(order["externalOrderId"] in self.orders for order in self.house.get("storefront", "orders")["orders"])

    def _shipped(self) -> int:
        found = self.house.get("tiktok", "orders", ids=",".join(self.orders))["orders"]
        return sum(any(package["tracking_number"].startswith("OMS") for package in order["packages"]) for order in found)


def ring(app: Any, kind: str, account_id: int) -> None:
    """The scheduled work, now."""
    with app.app_context():
        from connector.services import runs

        runs.submit(kind, account_id=account_id, key=f"schedule:{kind}:{account_id}", started_by="demo")


def _sku(number: int) -> str:
    return f"BULK-{FIRST_SKU + number % SKUS:06d}"

"""Who acts on the orders of the after-sales drill, and what must have become of each.

A ``Part`` says how an order stands when the troubles begin, what people do to it step by step as soon as it can be done, and how it must end. Buyers,
carriers, the platform and the merchant act through the control interfaces of the practice servers, the OMS by signed events, the seller through the
functions behind the buttons. A person whose act fails, or seems to come to nothing, does it again.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import requests

from bench.house import House

WHO = "drill@example.test"
#: How the orders stand when the troubles begin.
HELD, OPEN, AWAY, THERE = "on hold", "in Magento", "on its way", "delivered"
#: A person acts on the same thing again when nothing has come of it after so many seconds.
AGAIN = 30.0
PENDING = "PENDING"


@dataclass(frozen=True)
class Part:
    """``ends``: TikTok's status at the end, or several. ``gives_back``: all or none of the order's units are on the shelf again, or ``said``: those that
    people said are. ``memos``: how many credit memos the order has in Magento; ``refund``: ``all`` of its total, ``none``, or ``tiktok``: what TikTok
    refunded."""

    count: int
    begins: str
    ends: tuple[str, ...]
    gives_back: str = "none"
    memos: tuple[int, ...] = (0,)
    refund: str = "none"


GONE, SENT, KEPT = ("CANCELLED",), ("AWAITING_COLLECTION",), ("DELIVERED", "COMPLETED")
PARTS = {
    "regretted": Part(8, HELD, GONE),
    "granted": Part(14, OPEN, GONE, "all", (1,), "all"),
    "granted by OMS": Part(5, OPEN, GONE, "all", (1,), "all"),
    "granted in part": Part(6, OPEN, ("AWAITING_SHIPMENT",), "said", (1,), "tiktok"),
    "refused": Part(10, OPEN, SENT),
    "raced": Part(8, OPEN, (*GONE, *SENT), "raced", (0, 1), "raced"),
    "platform": Part(8, OPEN, GONE, "all", (1,), "all"),
    "rejected": Part(8, OPEN, GONE, "all", (1,), "all"),
    "cancelled by OMS": Part(6, OPEN, GONE, "all", (1,), "all"),
    "shipped": Part(12, OPEN, SENT),
    "shipped by OMS": Part(8, OPEN, SENT),
    "refunded before": Part(5, OPEN, GONE, "all", (1,), "all"),
    "refunded after": Part(5, THERE, ("COMPLETED",), "none", (1,), "tiktok"),
    "called back": Part(8, AWAY, GONE, "said", (1, 2), "all"),
    "money": Part(8, THERE, KEPT, "none", (1,), "tiktok"),
    "no money": Part(5, THERE, KEPT),
    "offered": Part(4, THERE, KEPT, "none", (1,), "tiktok"),
    "goods": Part(8, THERE, KEPT, "said", (1,), "tiktok"),
    "no goods": Part(4, THERE, KEPT),
}


@dataclass
class Case:
    """One order: ``entity`` is its id in Magento, ``track`` the number of the parcel that the merchant or the OMS sends."""

    number: str
    part: str
    place: int
    entity: int = 0
    track: str = ""
    steps: set[str] = field(default_factory=set)  #: what was done for good
    tried: dict[str, float] = field(default_factory=dict)  #: when something was tried last
    said: Counter[str] = field(default_factory=Counter)  #: SKU -> units that people said are on the shelf again


class People:
    """``act`` is called again and again with the marketplace's orders, and does what can be done now."""

    def __init__(self, house: House, account_id: int, cases: list[Case]) -> None:
        self.house, self.account_id, self.cases = house, account_id, cases
        self.refused: Counter[str] = Counter()  #: why an act did not go through at once
        self._acts = {
            "regretted": self._regret, "granted": self._granted, "granted by OMS": self._granted, "granted in part": self._granted, "refused": self._refused,
            "raced": self._raced, "platform": self._platform, "rejected": self._rejected, "cancelled by OMS": self._oms, "shipped": self._ship,
            "shipped by OMS": self._oms, "refunded before": self._refund, "refunded after": self._refund, "called back": self._called_back,
            "money": self._return, "no money": self._return, "offered": self._return, "goods": self._return, "no goods": self._return,
        }  # fmt: skip

    def act(self, orders: dict[str, dict[str, Any]]) -> None:
        from connector.core.db import db

        self._answers: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._known = self._rows()
        for case in self.cases:
            try:
                self._acts[case.part](case, orders[case.number])
            except requests.HTTPError as refused:
                self.refused[f"{case.part}: {refused.response.text[:120]}"] += 1
            except Exception as error:  # a lost answer, another worker at it: a person reads the message and tries again
                db.session.rollback()
                self.refused[f"{case.part}: {type(error).__name__} {str(error)[:120]}"] += 1
        self._submit()

    # --- small words ----------------------------------------------------------------------------------------------------------------------------

    def _once(self, case: Case, step: str) -> bool:
        """True the first time; who asks does it at once, and ``_undo`` when it did not work."""
        if step in case.steps:
            return False
        case.steps.add(step)
        return True

    def _may(self, case: Case, step: str) -> bool:
        """True now and then, as often as a person tries something."""
        if time.monotonic() - case.tried.get(step, -AGAIN) < AGAIN:
            return False
        case.tried[step] = time.monotonic()
        return True

    def _do(self, case: Case, step: str, system: str, path: str, body: Any = None) -> None:
        """An act at a practice server, once."""
        if step not in case.steps:
            self.house.post(system, path, body)
            case.steps.add(step)

    def _event(self, case: Case, kind: str, **more: Any) -> None:
        """The OMS tells it until it is taken, under the same id."""
        name = f"oms {kind}"
        if name in case.steps:
            return
        event = {"type": kind, "order_id": case.number, "id": f"drill-{kind}-{case.number}", **more}
        answers = self.house.post("oms", "events", {"events": [event]})["answers"]
        if all(one["status"] == 202 for one in answers):
            case.steps.add(name)
        else:
            self.refused[f"oms {kind}: {answers[0]['status']} {str(answers[0]['body'])[:80]}"] += 1

    def _rows(self) -> dict[str, dict[str, Any]]:
        """What the product knows: order number -> {id, request, returns, recall}."""
        from sqlalchemy import select

        from connector.core.db import db
        from connector.models.aftersales import RecallTask, Return
        from connector.models.order import Cancellation, Order

        found: dict[str, dict[str, Any]] = {
            number: {"id": pk, "request": None, "returns": {}, "recall": None} for pk, number in db.session.execute(select(Order.id, Order.number))
        }
        numbers = {row["id"]: number for number, row in found.items()}
        waits = select(Cancellation.order_id, Cancellation.id).where(Cancellation.remote_status.endswith(PENDING))
        for order_id, pk in db.session.execute(waits):
            found[numbers[order_id]]["request"] = pk
        for order_id, return_id, pk, status in db.session.execute(select(Return.order_id, Return.return_id, Return.id, Return.remote_status)):
            found[numbers[order_id]]["returns"][return_id] = (pk, status)
        for order_id, state, units in db.session.execute(select(RecallTask.order_id, RecallTask.state, RecallTask.units)):
            found[numbers[order_id]]["recall"] = (state, units)
        db.session.commit()
        return found

    # --- before shipping ------------------------------------------------------------------------------------------------------------------------

    def _regret(self, case: Case, order: dict[str, Any]) -> None:
        self._do(case, "cancel", "tiktok", f"orders/{case.number}/cancel", {"by": "BUYER"})

    def _platform(self, case: Case, order: dict[str, Any]) -> None:
        self._do(case, "cancel", "tiktok", f"orders/{case.number}/cancel", {"by": ("OPERATOR", "SYSTEM")[case.place % 2]})

    def _granted(self, case: Case, order: dict[str, Any]) -> None:
        body: dict[str, Any] = {"by": "BUYER"}
        if case.part == "granted in part" and "ask" not in case.steps:
            line = self.house.get("tiktok", f"orders/{case.number}")["order"]["line_items"][0]
            body["line_ids"] = [line["id"]]
            case.said[line["seller_sku"]] += 1
        self._do(case, "ask", "tiktok", f"orders/{case.number}/cancel", body)
        if case.part == "granted by OMS":
            self._event(case, "cancellation_answered", accept=True)
        else:
            self._decide(case, order, "approve")

    def _refused(self, case: Case, order: dict[str, Any]) -> None:
        self._do(case, "ask", "tiktok", f"orders/{case.number}/cancel", {"by": "BUYER"})
        self._decide(case, order, "reject")
        if not self._asks(order):
            self._ship(case, order)

    def _raced(self, case: Case, order: dict[str, Any]) -> None:
        """The buyer asks, the seller grants, and in the same moment the merchant ships; who loses the race is told, and the seller thinks again."""
        self._do(case, "ask", "tiktok", f"orders/{case.number}/cancel", {"by": "BUYER"})
        request = self._known[case.number]["request"]
        if request and "ship" not in case.steps:
            self._decide(case, order, "approve")
            if time.monotonic() - case.tried.get("answer approve", time.monotonic()) >= case.place % 4:  # seconds
                self._ship(case, order)
        elif self._asks(order):
            self._decide(case, order, "reject" if case.track else "approve")
        self._take_in(case, whole=True)

    def _asks(self, order: dict[str, Any]) -> bool:
        return any(one["cancel_status"].endswith(PENDING) for one in order["cancellations"])

    def _decide(self, case: Case, order: dict[str, Any], answer: str) -> None:
        request = self._known[case.number]["request"]
        if request and self._asks(order) and self._may(case, f"answer {answer}"):
            self._answers["cancellation", answer].append(request)

    def _rejected(self, case: Case, order: dict[str, Any]) -> None:
        if order["status"] != "CANCELLED" and self._may(case, "reject"):
            self._answers["order", ("out_of_stock", "pricing_error")[case.place % 2]].append(self._known[case.number]["id"])

    def _oms(self, case: Case, order: dict[str, Any]) -> None:
        if case.part == "cancelled by OMS":
            self._event(case, "cancelled", reason="out of stock")
        else:
            case.track = f"OMS{case.number[-10:]}"
            self._event(case, "shipped", tracking_number=case.track, carrier="Royal Mail")
            self._event(case, "delivered")

    def _ship(self, case: Case, order: dict[str, Any]) -> None:
        if "ship" in case.steps:
            return
        number = f"GB{800_000_000 + case.place}XY"
        case.steps.add("ship")  # the store refuses what was cancelled meanwhile; nobody ships that
        self.house.post("magento", f"orders/{case.entity}/ship", {"tracks": [{"track_number": number, "title": "Royal Mail", "carrier_code": "royalmail"}]})
        case.track = number

    def _refund(self, case: Case, order: dict[str, Any]) -> None:
        """The merchant's own credit memo; before shipping its units go back on the shelf."""
        self._do(case, "refund", "magento", f"orders/{case.entity}/refund", {"return_to_stock": case.part == "refunded before"})

    # --- after shipping -------------------------------------------------------------------------------------------------------------------------

    def _called_back(self, case: Case, order: dict[str, Any]) -> None:
        self._platform(case, order)
        self._take_in(case, whole=case.place % 4 > 1)

    def _take_in(self, case: Case, *, whole: bool) -> None:
        """The parcel came back: all of it, or one unit of each SKU is fit for sale. Every second one is told by the OMS; it is always said twice."""
        from connector.services.orders import recall

        found = self._known[case.number]["recall"]
        if found is None or "received" in case.steps:
            return
        state, units = found
        back = dict(units) if whole else dict.fromkeys(units, 1)
        case.said = Counter(back)
        if case.place % 2:
            self._event(case, "goods_received", items=[{"sku": sku, "quantity": count} for sku, count in back.items()])
            if "oms goods_received" not in case.steps:
                return
        elif self._may(case, "receive"):
            case.tried.pop("receive")
            if state == "open":
                recall.move(self._known[case.number]["id"], "returning", actor=WHO)
            for _ in range(2):
                recall.move(self._known[case.number]["id"], "received", received=back, actor=WHO)
        case.steps.add("received")

    def _return(self, case: Case, order: dict[str, Any]) -> None:
        from connector.services import returns

        kind = "RETURN_AND_REFUND" if case.part in ("goods", "no goods") else "REFUND"
        self._do(case, "ask", "tiktok", f"orders/{case.number}/return", {"type": kind})
        known = self._known[case.number]["returns"]
        if not order["returns"] or order["returns"][0]["return_id"] not in known:
            return
        one = order["returns"][0]
        (pk, ours), status = known[one["return_id"]], one["return_status"]
        if status == "AWAITING_BUYER_SHIP":
            self._do(case, "send", "tiktok", f"returns/{one['return_id']}/ship")
            self._do(case, "arrive", "tiktok", f"returns/{one['return_id']}/arrive")
        elif status == "AWAITING_BUYER_RESPONSE":
            self._do(case, "accept", "tiktok", f"returns/{one['return_id']}/accept")
        elif status == "BUYER_SHIPPED_ITEM":
            if ours == status and self._once(case, "received"):
                lines = self.house.get("tiktok", f"returns/{one['return_id']}")["return_line_items"]
                for _ in range(2):
                    returns.goods.received(pk, sellable=True, actor=WHO)
                case.said = Counter(item["seller_sku"] for item in lines)
            if "received" in case.steps and self._may(case, "package"):
                self._answers["return", "accept"].append(pk)
        elif status.endswith("_PENDING") and ours == status and self._may(case, "answer"):
            answer = {"no money": "reject", "no goods": "reject", "offered": "offer"}.get(case.part, "accept")
            self._answers["return", answer].append(pk)

    # --- the seller's buttons -------------------------------------------------------------------------------------------------------------------

    def _submit(self) -> None:
        """All that is to be answered alike is answered at once, as on a confirm page."""
        from connector.core.db import db
        from connector.core.errors import DomainError

        for (subject, answer), pks in self._answers.items():
            try:
                self._submit_one(subject, answer, pks)
            except (DomainError, StopIteration) as refused:
                db.session.rollback()
                self.refused[f"{subject} {answer}: {refused}"[:120]] += 1
            except Exception as error:
                db.session.rollback()
                self.refused[f"{subject} {answer}: {type(error).__name__} {error}"[:120]] += 1

    def _submit_one(self, subject: str, answer: str, pks: list[int]) -> None:
        from connector.services import cancellations, returns
        from connector.services.orders import reject

        if subject == "order":
            reject.submit(pks, answer, started_by=WHO)
        elif subject == "cancellation":
            reason = cancellations.preview(pks[:1], "reject")[0].reasons[0][0] if answer == "reject" else ""
            cancellations.submit(pks, answer, reason=reason, started_by=WHO)
        elif answer == "offer":
            offers = {pk: (returns.get(pk).amount / 2).quantize(Decimal("0.01")) for pk in pks}
            returns.submit(pks, "accept", decision="OFFER_PARTIAL_REFUND", amounts=offers, started_by=WHO)
        else:
            returns.preview(pks, answer)  # type: ignore[arg-type]
            reasons = {pk: next(each.reasons for each in returns.decisions(pk) if each.rejects)[0][0] for pk in pks} if answer == "reject" else {}
            returns.submit(pks, answer, reasons=reasons, started_by=WHO)  # type: ignore[arg-type]

"""The after-sales side, exactly once: cancellations, recalls, returns, credit memos, parcels and OMS updates while everything is killed that can be.

140 orders of every kind (``bench/drill_people.py``). Meanwhile workers, the web server and the scheduler are killed with SIGKILL at random moments, Redis
is flushed and killed, and 2 % of the answers of both practice servers are lost after the effect. At the end the practice servers are asked: every request
is answered as it was decided, every refund has one credit memo of the right amount, every unit of stock is where people said it is, and nothing was
shipped after an accepted cancellation. Then it is measured how long a parcel and a credit memo wait when their worker is killed with them in hand.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from bench import drill_verdict
from bench.aftersales import ring
from bench.drill_people import AWAY, HELD, PARTS, THERE, WHO, Case, People
from bench.house import House
from bench.run import result
from bench.troubles import FLUSH, RESTART, Troubles, all_is_well, lose_answers

KILLS = {"worker": 24, "web": 6, "scheduler": 6, FLUSH: 3, RESTART: 2}
LOST = 0.02
#: SKUs of the practice store that only this drill sells.
FIRST_SKU, SKUS = 61, 40
#: Work that people would wait minutes for comes round in seconds, so that more of it is under way when something is killed.
OFTEN = ("orders.import", "orders.follow", "cancellations.import", "returns.import", "returns.memos", "shipments.collect", "shipments.push", "oms.apply")
EVERY = 8
#: What a killed worker had in hand goes on after so many seconds: a parcel when the run has a new worker, a credit memo when besides nothing that was
#: sent to Magento can still be under way.
DELAYS = {"parcel": 45.0, "credit memo": 100.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    began = time.monotonic()
    report = drill(arguments.seed)
    report["seconds"] = round(time.monotonic() - began, 1)
    print(json.dumps(report) if arguments.json else "\n".join(f"{name:>24}  {value}" for name, value in report.items()))
    return 0 if report["holds"] else 1


def drill(seed: int) -> dict[str, Any]:
    with House(workers=3, oms=True) as house:
        report = run(house, random.Random(seed))
        if not report["holds"]:
            print((house.folder / "house.log").read_text()[-4000:], file=sys.stderr)
    return report


def results() -> list[dict[str, Any]]:
    """The drill as lines of ``make bench``."""
    report = drill(11)
    what = f"{report['orders']} orders, {report['kills']} SIGKILLs"
    wrong = sum(len(found) for found in report["wrong"].values())
    return [
        result(f"after sales: not as it was decided ({what})", wrong, "orders", "== 0", wrong == 0),
        result("after sales: units restocked twice or not at all", report["stock_off"], "units", "== 0", report["stock_off"] == 0),
        result("after sales: left open here", sum(report["left_open"].values()), "rows", "== 0", not report["left_open"]),
        *(
            result(f"after sales: a {name} waits for its killed worker", seconds, "s", f"<= {DELAYS[name]:.0f}", seconds <= DELAYS[name])
            for name, seconds in report["delays"].items()
        ),
    ]


def run(house: House, dice: random.Random, kills: dict[str, int] | None = None, *, measure: bool = True) -> dict[str, Any]:
    house.post("magento", "seed", {"world": "demo", "bulk": 201})
    house.post("tiktok", "settings", {"refund_seconds": 1, "carrier_moves": False})
    app = house.app()
    with app.app_context():
        account_id = _connect(app)
        cases = [Case(number=_place(house, place), part=part, place=place) for place, part in enumerate(_parts(dice))]
        shelf = drill_verdict.shelf(house)
        _prepare(house, app, account_id, cases)
        from connector.core import redis as redis_connections

        people = People(house, account_id, cases)
        redis = redis_connections.patient(app.config["CONNECTOR"].redis_url)
        troubles = Troubles(house, dice, kills or KILLS, pause=(0.5, 4.0))
        lose_answers(house, dice, LOST)
        _go_through(house, people, troubles, redis)
        all_is_well(house)
        wrong = _settle_down(house, account_id, people)
        report = {
            "orders": len(cases),
            "kills": sum(count for name, count in troubles.done.items() if name not in (FLUSH, RESTART)),
            "troubles": dict(troubles.done),
            "wrong": wrong,
            **drill_verdict.stock(house, cases, shelf),
            "late_parcels": drill_verdict.shipped_too_late(house, cases),
            "left_open": drill_verdict.left_open(account_id),
            "tried_again": dict(people.refused.most_common(12)),
            "delays": {"parcel": parcel_delay(house, app, account_id), "credit memo": memo_delay(house, app, account_id)} if measure else {},
        }
    report["holds"] = not (wrong or report["stock_off"] or not report["balanced"] or report["late_parcels"] or report["left_open"])
    report["holds"] = report["holds"] and all(seconds <= DELAYS[name] for name, seconds in report["delays"].items())
    return report


# --- before -------------------------------------------------------------------------------------------------------------------------------------


def _connect(app: Any) -> int:
    """The GB shop with the practice store and the practice OMS; what a merchant refunds in Magento is refunded on TikTok; the schedules come often."""
    from sqlalchemy import update

    from connector.core.db import unit_of_work
    from connector.domain.order_policy import OrderPolicy
    from connector.models.run import Schedule
    from connector.services import policies, users
    from connector.services.accounts.unattended import connect_practice_shop
    from connector.services.oms.practice import use_practice_oms

    account = connect_practice_shop("GB", actor="drill")
    row = policies.order_policy_row(account)
    policies.save(row.id, title=row.title, body=OrderPolicy.model_validate({**row.body, "refund_from_magento": True}), actor="drill")
    with unit_of_work():
        person = users.create(email=WHO, password=secrets.token_urlsafe(24), role="administrator", name="Drill")
    use_practice_oms(account.id, person)
    with unit_of_work() as session:
        session.execute(update(Schedule).where(Schedule.account_id == account.id, Schedule.kind.in_(OFTEN)).values(interval_seconds=EVERY))
    return account.id


def _parts(dice: random.Random) -> list[str]:
    names = [name for name, part in PARTS.items() for _ in range(part.count)]
    dice.shuffle(names)
    return names


def _place(house: House, place: int) -> str:
    lines = [{"sku": _sku(place), "quantity": 1 + place % 2}, {"sku": _sku(place + 7), "quantity": 1}]
    return str(house.post("tiktok", "orders", {"shop": "GB", "lines": lines, "pay": True, "buyer": 9000 + place})["id"])


def _sku(number: int) -> str:
    return f"BULK-{FIRST_SKU + number % SKUS:06d}"


def _prepare(house: House, app: Any, account_id: int, cases: list[Case]) -> None:
    """Undisturbed: every order stands as its part says when the troubles begin."""
    for case in cases:
        if PARTS[case.part].begins != HELD:
            house.post("tiktok", f"orders/{case.number}/release")
    ring(app, "orders.import", account_id)
    wanted = {case.number: case for case in cases if PARTS[case.part].begins != HELD}
    _wait("in Magento", lambda: len(_in_magento(house, wanted)) == len(wanted))
    for number, entity in _in_magento(house, wanted).items():
        wanted[number].entity = entity
    sent = [case for case in cases if PARTS[case.part].begins in (AWAY, THERE)]
    for case in sent:
        ship(house, case, f"GB{700_000_000 + case.place}XY")
    ring(app, "shipments.collect", account_id)
    numbers = {case.number for case in sent}
    _wait("shipped", lambda: sum(one["status"] == "AWAITING_COLLECTION" for one in orders(house).values() if one["id"] in numbers) == len(sent))
    for case in sent:
        house.post("tiktok", f"orders/{case.number}/collect")
        if PARTS[case.part].begins == THERE:
            house.post("tiktok", f"orders/{case.number}/deliver")


def ship(house: House, case: Case, number: str) -> None:
    """The merchant ships the order in Magento."""
    house.post("magento", f"orders/{case.entity}/ship", {"tracks": [{"track_number": number, "title": "Royal Mail", "carrier_code": "royalmail"}]})
    case.track = number


def orders(house: House) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in house.get("tiktok", "orders", shop="GB")["orders"]}


def _in_magento(house: House, numbers: Any) -> dict[str, int]:
    """Orders that are there and invoiced, as the policy wants them."""
    found = house.get("magento", "orders")
    return {one["ext_order_id"]: one["entity_id"] for one in found if one["ext_order_id"] in numbers and float(one["total_paid"] or 0) > 0}


def _wait(what: str, done: Callable[[], bool], patience: float = 180.0) -> None:
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"After {patience:.0f} s the orders are still not {what}.")
        time.sleep(0.5)


# --- meanwhile ----------------------------------------------------------------------------------------------------------------------------------


def _go_through(house: House, people: People, troubles: Troubles, redis: Any) -> None:
    """Until the troubles are over, and everybody has done what they came for or could not for a while."""
    deadline = time.monotonic() + 420
    while time.monotonic() < deadline and not troubles.over:
        troubles.step(redis)
        people.act(orders(house))
        time.sleep(0.1)


def _settle_down(house: House, account_id: int, people: People) -> dict[str, list[str]]:
    """Everything is well again: the product has five minutes to bring all to its end. What is wrong then, by part."""
    deadline = time.monotonic() + 300
    while True:
        people.act(orders(house))
        wrong = drill_verdict.wrong(house, account_id, people.cases)
        if not wrong and not drill_verdict.left_open(account_id):
            time.sleep(2 * EVERY)  # what comes round once more must not change anything
            wrong = drill_verdict.wrong(house, account_id, people.cases)
            if not wrong:
                return wrong
        if time.monotonic() > deadline:
            return wrong
        time.sleep(2)


# --- how long a killed worker delays what it had in hand -------------------------------------------------------------------------------------------


def parcel_delay(house: House, app: Any, account_id: int) -> float:
    """Seconds from the SIGKILL of the worker that was sending a parcel until TikTok has it, with the schedules as they are by default."""
    from sqlalchemy import select

    from connector.models.order import Shipment

    case = _fresh(house, app, account_id)
    house.post("tiktok", "faults", {"kind": "timeout_before", "operation": "packages.mark_shipped", "times": 1, "seconds": 4})
    ship(house, case, f"GB{600_000_000 + case.entity}XY")
    ring(app, "shipments.collect", account_id)
    killed = _kill_with_in_hand("shipments.push", select(Shipment.id).where(Shipment.state == "sending"))
    _wait("at TikTok", lambda: any(each["tracking_number"] == case.track for each in orders(house)[case.number]["packages"]), 400)
    return round(time.monotonic() - killed, 1)


def memo_delay(house: House, app: Any, account_id: int) -> float:
    """Seconds from the SIGKILL of the worker that was writing a credit memo until Magento has it, with the schedules as they are by default."""
    from sqlalchemy import select

    from connector.models.aftersales import CreditMemo

    case = _fresh(house, app, account_id)
    path = f"/V1/order/{case.entity}/refund"
    house.post("magento", "faults", {"kind": "timeout_before", "match": {"method": "POST", "path": path}, "times": 1, "seconds": 4})
    line = house.get("tiktok", f"orders/{case.number}")["order"]["line_items"][0]
    house.post("tiktok", f"orders/{case.number}/cancel", {"by": "OPERATOR", "line_ids": [line["id"]]})
    ring(app, "orders.import", account_id)
    _wait("known to be cancelled in part", lambda: _ring_until_owed(app, account_id, case), 60)
    killed = _kill_with_in_hand("returns.memos", select(CreditMemo.id).where(CreditMemo.state == "sending"))
    _wait("refunded in Magento", lambda: drill_verdict.refunded(house, case) > 0, 400)
    return round(time.monotonic() - killed, 1)


def _ring_until_owed(app: Any, account_id: int, case: Case) -> bool:
    from sqlalchemy import select

    from connector.core.db import db
    from connector.models.order import Order, OrderLine

    query = select(OrderLine.id).join(Order, Order.id == OrderLine.order_id).where(Order.number == case.number, OrderLine.remote_status == "CANCELLED")
    known = db.session.scalar(query.limit(1)) is not None
    db.session.commit()
    if known:
        ring(app, "returns.memos", account_id)
    return known


def _fresh(house: House, app: Any, account_id: int) -> Case:
    """A new order that stands in Magento; from now on the schedules are the product's own."""
    from sqlalchemy import update

    from connector.core.db import unit_of_work
    from connector.models.run import Schedule
    from connector.services.accounts.editing import ACCOUNT_SCHEDULES

    for kind in OFTEN:
        with unit_of_work() as session:
            session.execute(update(Schedule).where(Schedule.account_id == account_id, Schedule.kind == kind).values(interval_seconds=ACCOUNT_SCHEDULES[kind]))
    case = Case(number=_place(house, 1), part="shipped", place=0)
    house.post("tiktok", f"orders/{case.number}/release")
    ring(app, "orders.import", account_id)
    _wait("in Magento", lambda: bool(_in_magento(house, {case.number})))
    case.entity = _in_magento(house, {case.number})[case.number]
    return case


def _kill_with_in_hand(kind: str, in_hand: Any) -> float:
    """SIGKILL for the worker of a run of this kind while the query ``in_hand`` finds a row; when."""
    from sqlalchemy import select

    from connector.core.db import db
    from connector.models.run import RUNNING, JobRun

    found: list[str] = []

    def seen() -> bool:
        if db.session.scalar(in_hand.limit(1)) is not None:
            found.extend(db.session.scalars(select(JobRun.worker).where(JobRun.kind == kind, JobRun.state == RUNNING)))
        db.session.commit()
        return bool(found)

    _wait("in a worker's hands", seen, 120)
    time.sleep(1)  # its call is under way
    os.kill(int(found[0].rpartition(":")[2]), signal.SIGKILL)
    return time.monotonic()


if __name__ == "__main__":
    sys.exit(main())

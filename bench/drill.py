"""Exactly once: orders flow into Magento while workers are killed, Redis is flushed and restarted, and the practice servers lose answers.

500 orders; a worker is killed with SIGKILL at 25 random moments; Redis is flushed twice and killed once; 2 % of the answers of both practice servers are
lost after the effect. At the end the practice store is asked: every order that should exist in Magento exists once, none is missing, stock and
reservations add up, and no run is stuck.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from typing import Any

from bench.demo import created
from bench.house import House
from bench.run import result
from bench.troubles import CUT, FLUSH, RESTART, Troubles, all_is_well, lose_answers

ORDERS, KILLS, LOST = 500, 25, 0.02


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--external", action="store_true", help="on the empty PostgreSQL and Redis of DATABASE_URL and REDIS_URL, whose connections are cut")
    arguments = parser.parse_args()
    began = time.monotonic()
    with House(workers=2, external=arguments.external) as house:
        report = run(house, arguments.orders, arguments.kills, random.Random(arguments.seed))
        report["seconds"] = round(time.monotonic() - began, 1)
        passed = (
            not (report["missing"] or report["duplicates"] or report["stuck_runs"] or report["failed"])
            and report["balanced"]
            and report["reservations_open"] == 0
        )
        if not passed:
            print((house.folder / "house.log").read_text()[-4000:], file=sys.stderr)
    report["holds"] = passed
    print(json.dumps(report) if arguments.json else "\n".join(f"{name:>20}  {value}" for name, value in report.items()))
    return 0 if passed else 1


def results() -> list[dict[str, Any]]:
    """The drill as lines of ``make bench``."""
    with House(workers=2) as house:
        report = run(house, ORDERS, KILLS, random.Random(11))
    what = f"{report['orders']} orders, {report['kills']} SIGKILLs, {report['flushes']} flushes, {report['restarts']} restart of Redis, 2 % of answers lost"
    return [
        result(f"exactly once: missing in Magento ({what})", report["missing"], "orders", "== 0", report["missing"] == 0),
        result("exactly once: twice in Magento", report["duplicates"], "orders", "== 0", report["duplicates"] == 0),
        result("exactly once: failed", report["failed"], "orders", "== 0", report["failed"] == 0),
        result("exactly once: stuck runs", report["stuck_runs"], "runs", "== 0", report["stuck_runs"] == 0),
        result("exactly once: reservations left open", report["reservations_open"], "SKUs", "== 0", report["reservations_open"] == 0),
        result("exactly once: the store's ledger adds up", float(report["balanced"]), "yes = 1", "== 1", report["balanced"]),
    ]


def run(house: House, count: int, kills: int, dice: random.Random) -> dict[str, Any]:
    house.post("magento", "seed", {"world": "demo", "bulk": 201})
    house.post("tiktok", "seed", {"region": "GB", "orders": count, "status": "AWAITING_SHIPMENT", "bulk": 200, "since_hours": 20,
                                  "kinds": {"platform_shipping": 0, "fulfilled_by_tiktok": 0, "sample": 0, "bundle": 0, "cancel_request": 0}})  # fmt: skip
    app = house.app()
    with app.app_context():
        from connector.core import redis as redis_connections
        from connector.core.db import db
        from connector.models.run import OPEN_STATES, JobRun
        from connector.services import runs
        from connector.services.accounts.unattended import connect_practice_shop

        account_id = connect_practice_shop("GB", actor="drill").id
        lose_answers(house, dice, LOST)
        runs.submit("orders.import", account_id=account_id, key=f"schedule:orders.import:{account_id}", started_by="drill")
        redis = redis_connections.patient(app.config["CONNECTOR"].redis_url)

        listed = {order["id"] for order in house.get("tiktok", "orders")["orders"]}
        troubles = Troubles(house, dice, {"worker": kills, FLUSH: 2, **({CUT: 3} if house.servers else {RESTART: 1})})
        deadline = time.monotonic() + 900
        best, moved = -1, time.monotonic()
        while time.monotonic() < deadline:
            now_created = len(created(house, listed))
            if now_created != best:
                best, moved = now_created, time.monotonic()
            troubles.step(redis)
            open_runs = db.session.query(JobRun).filter(JobRun.state.in_(OPEN_STATES), JobRun.kind.in_(("orders.create", "orders.import"))).count()
            db.session.commit()
            if troubles.over and now_created >= len(listed) and not open_runs:
                break
            if troubles.over and time.monotonic() - moved > 150:
                break
            time.sleep(0.25)
        all_is_well(house)
        _once_more(account_id)
        return _verdict(house, listed, troubles.done)


def _once_more(account_id: int, patience: float = 180) -> None:
    """Every schedule of orders comes round once more, and whatever is still going on ends; gives up after ``patience`` seconds, and the verdict tells why."""
    from sqlalchemy import and_, func, or_, select, update

    from connector.core.clock import utcnow
    from connector.core.db import db, unit_of_work
    from connector.models.run import QUEUED, RUNNING, WAITING, JobRun, Schedule

    now = utcnow()
    ours = (Schedule.account_id == account_id, Schedule.enabled, Schedule.kind.in_(("orders.import", "orders.follow", "shipments.collect", "shipments.push")))
    with unit_of_work() as session:
        session.execute(update(Schedule).where(*ours).values(next_due_at=now))
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        db.session.expire_all()
        late = db.session.scalar(
            select(func.count()).select_from(Schedule).where(*ours, or_(Schedule.last_started_at.is_(None), Schedule.last_started_at < now))
        )
        still = db.session.scalar(
            select(func.count())
            .select_from(JobRun)
            .where(or_(JobRun.state.in_((QUEUED, RUNNING)), and_(JobRun.state == WAITING, JobRun.kind.like("orders.%"))))
        )
        db.session.commit()
        if not late and not still:
            return
        time.sleep(0.25)


def _verdict(house: House, listed: set[str], troubles: Counter[str]) -> dict[str, Any]:
    from sqlalchemy import func, select

    from connector.core.clock import utcnow
    from connector.core.db import db
    from connector.models.order import FAILED, Order, Reservation
    from connector.models.run import RUNNING, JobRun

    store = created(house, listed)
    db.session.expire_all()
    failed = dict(db.session.execute(select(Order.failure_code, func.count()).where(Order.state == FAILED).group_by(Order.failure_code)).all())
    stuck = db.session.scalar(select(func.count()).select_from(JobRun).where(JobRun.state == RUNNING, JobRun.lease_until < utcnow()))
    open_reservations = db.session.scalar(
        select(func.count())
        .select_from(Reservation)
        .join(Order, Order.id == Reservation.order_id)
        .where(Reservation.released_at.is_(None), Order.number.in_(store))
    )
    return {
        "orders": len(listed),
        "created": len(store),
        "missing": len(listed - set(store)),
        "duplicates": sum(len(entities) - 1 for entities in store.values()),
        "failed": sum(failed.values()),
        "causes": failed,
        "stuck_runs": stuck,
        "reservations_open": open_reservations,
        "balanced": bool(house.get("magento", "ledger").get("balanced")),
        "kills": troubles["worker"],
        "flushes": troubles[FLUSH],
        "restarts": troubles[RESTART],
        "cuts": troubles[CUT],
    }


if __name__ == "__main__":
    sys.exit(main())

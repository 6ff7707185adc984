"""The main job, unattended, on the practice shop: connect, list a hundred products, import orders, create them in Magento, ship them; then what comes after
an order: hold hours, cancellation requests, returns and credit memos; then an account with an external storefront and an OMS. It says what happened.

What is reported about listings and orders is asked of the practice marketplace and the practice store, not of the connector's own tables.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from typing import Any

from bench import aftersales, listing
from bench.house import House

TRACKING = "GB{:09d}XY"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--external", action="store_true", help="on the empty PostgreSQL and Redis of DATABASE_URL and REDIS_URL")
    arguments = parser.parse_args()
    began = time.monotonic()
    with House(storefront=True, oms=True, external=arguments.external) as house:
        report = run(house, arguments.orders)
    report["seconds"] = round(time.monotonic() - began, 1)
    table(report)
    if arguments.json:
        print(json.dumps(report))
    wrong = [name for name in ("missing", "duplicates", "failed", "oversold", "restocked_twice", "not_restocked") if report[name]]
    done = all(report[name] == wanted for name, wanted in aftersales.WANTED.items())
    return 0 if not wrong and done and report["listings_live"] >= 100 else 1


def say(text: str) -> None:
    print(f"  {text}", flush=True)


def run(house: House, count: int) -> dict[str, Any]:
    """The job itself. Returns the report without the time it took."""
    print("Practice shop", flush=True)
    house.post("magento", "seed", {"world": "demo", "bulk": listing.BULK + 1})
    app = house.app()
    with app.app_context():
        from connector.services import runs
        from connector.services.accounts import onboarding
        from connector.services.accounts.unattended import connect_practice_shop

        account_id = connect_practice_shop("GB", actor="demo").id
        say("Connected the account of the GB practice shop and the practice store.")
        say(f"Onboarding data: {onboarding.describe_counts(onboarding.import_onboarding_data(account_id))}.")
    listings = listing.list_products(house, app, account_id, say)

    skus = [f"BULK-{number:06d}" for number in range(listing.REFUSED + 1, 41)]
    house.post("tiktok", "seed", {"region": "GB", "orders": count, "status": "AWAITING_SHIPMENT", "skus": skus, "since_hours": 20, "arriving": True,
                                  "kinds": {"platform_shipping": 0, "fulfilled_by_tiktok": 0, "sample": 0, "bundle": 0, "cancel_request": 0}})  # fmt: skip
    with app.app_context():
        runs.submit("orders.import", account_id=account_id, key=f"schedule:orders.import:{account_id}", started_by="demo")
    listed = {order["id"] for order in house.get("tiktok", "orders")["orders"]}
    say(f"The marketplace lists {len(listed)} orders.")

    wait_until("created in Magento", lambda: len(created(house, listed)), len(listed), house)
    store = created(house, listed)
    for number, entity_id in enumerate(sorted({entity for entities in store.values() for entity in entities}), start=1):
        house.post(
            "magento", f"orders/{entity_id}/ship", {"tracks": [{"track_number": TRACKING.format(number), "title": "Royal Mail", "carrier_code": "royalmail"}]}
        )
    say(f"The merchant shipped {len(store)} orders in Magento.")
    with app.app_context():
        runs.submit("shipments.collect", account_id=account_id, key=f"schedule:shipments.collect:{account_id}", started_by="demo")
    wait_until("shipped at TikTok", lambda: len(shipped(house)), len(store), house)
    wait_until("referenced at TikTok", lambda: len(referenced(house)), len(store), house)
    elsewhere = aftersales.Elsewhere(house, app, say, wait_until)
    elsewhere.place()
    later = aftersales.AfterSales(house, app, account_id, say, wait_until)
    after = later.run()
    abroad = elsewhere.ship()

    store = created(house, listed)
    with app.app_context():
        from sqlalchemy import func, select

        from connector.core.db import db
        from connector.models.order import FAILED, Order

        failed = db.session.scalar(select(func.count()).select_from(Order).where(Order.state == FAILED))
        left = db.session.execute(
            select(Order.number, Order.state, Order.failure_code, Order.failure_message).where(Order.magento_id.is_(None), Order.number.in_(listed))
        ).all()
        for row in left:
            say(f"Not created: {row.number} is {row.state}. {row.failure_code or ''} {row.failure_message or ''}")
        causes = dict(db.session.execute(select(Order.failure_code, func.count()).where(Order.state == FAILED).group_by(Order.failure_code)).all())
    return {
        "orders_listed": len(listed),
        "orders_stored": len(referenced(house) & listed),
        "orders_created": len(store),
        "orders_shipped": len(shipped(house) & listed),
        "missing": len(listed - set(store)),
        "duplicates": sum(len(entities) - 1 for entities in created(house, listed | set(later.orders)).values()),
        "failed": failed,
        "causes": causes,
        **listings,
        "oversold": listing.oversold(house),
        **after,
        **abroad,
    }


def created(house: House, listed: set[str]) -> dict[str, list[str]]:
    """TikTok order id -> Magento entity ids, as the store itself has them."""
    found: dict[str, list[str]] = {}
    for order in house.get("magento", "orders"):
        if order.get("ext_order_id") in listed and order["state"] != "canceled":
            found.setdefault(order["ext_order_id"], []).append(str(order["entity_id"]))
    return found


def shipped(house: House) -> set[str]:
    """Ids whose every unit has a parcel with a tracking number at the marketplace."""
    return {
        order["id"]
        for order in house.get("tiktok", "orders")["orders"]
        if order["packages"]
        and order["status"] in ("AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED")
        and all(package["tracking_number"] for package in order["packages"])
    }


def referenced(house: House) -> set[str]:
    """Ids that carry the Magento order number at the marketplace: it has been told that they are stored."""
    return {order["id"] for order in house.get("tiktok", "orders")["orders"] if any(each["platform"] == "MAGENTO" for each in order["external_orders"])}


def wait_until(what: str, count: Any, wanted: int, house: House, *, patience: float = 60.0) -> None:
    """Wait while the number grows; give up when it has not moved for ``patience`` seconds."""
    best, moved = -1, time.monotonic()
    while True:
        now = count()
        if now != best:
            best, moved = now, time.monotonic()
        if now >= wanted or time.monotonic() - moved > patience:
            say(f"{now} of {wanted} {what}.")
            if now < wanted:
                print((house.folder / "house.log").read_text()[-2000:], file=sys.stderr)
            return
        time.sleep(0.3)


def table(report: dict[str, Any]) -> None:
    rows = [
        ("Products imported from Magento", report["products_imported"]),
        ("Listings live on TikTok", report["listings_live"]),
        ("Listings refused by TikTok's audit", report["listings_rejected"]),
        ("SKUs oversold", report["oversold"]),
        ("Orders the marketplace lists", report["orders_listed"]),
        ("Stored by the connector (known to the marketplace)", report["orders_stored"]),
        ("Created in Magento", report["orders_created"]),
        ("Shipped at TikTok", report["orders_shipped"]),
        ("Missing in Magento", report["missing"]),
        ("Twice in Magento", report["duplicates"]),
        ("Failed", report["failed"]),
        ("Hold hours that ended with an order in Magento", report["holds_ended"]),
        ("Cancellation requests answered", report["cancellations_answered"]),
        ("Returns answered", report["returns_answered"]),
        ("Credit memos in Magento", report["credit_memos"]),
        ("Units restocked twice", report["restocked_twice"]),
        ("Units not restocked", report["not_restocked"]),
        ("Orders in the external storefront", report["storefront_orders"]),
        ("Parcels that the OMS announced", report["oms_updates_applied"]),
        ("Seconds", report["seconds"]),
    ]
    width = max(len(label) for label, _ in rows)
    print("\n" + "\n".join(f"{label.ljust(width)}  {value:>8}" for label, value in rows))
    for cause, number in Counter(report.get("causes", {})).items():
        print(f"  {cause}: {number}")


if __name__ == "__main__":
    sys.exit(main())

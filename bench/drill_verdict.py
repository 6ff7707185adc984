"""The verdict on the after-sales drill, told from what the practice marketplace and the practice store themselves know and from what people said."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

from bench.drill_people import OPEN, PARTS, PENDING, Case
from bench.house import House

CENT = Decimal("0.01")
#: How TikTok ends a request of the buyer that was granted, and a return whose money was paid or will be.
GRANTED = ("CANCELLATION_REQUEST_SUCCESS", "CANCELLATION_REQUEST_COMPLETE")
REFUNDED = ("RETURN_OR_REFUND_REQUEST_SUCCESS", "RETURN_OR_REFUND_REQUEST_COMPLETE")

Row = dict[str, Any]


def wrong(house: House, account_id: int, cases: list[Case]) -> dict[str, list[str]]:
    """What is not as it was decided: part -> sentences. Empty when all is well."""
    marketplace = {one["id"]: one for one in house.get("tiktok", "orders", shop="GB")["orders"]}
    store: dict[str, list[Row]] = defaultdict(list)
    for one in house.get("magento", "orders"):
        store[one["ext_order_id"] or ""].append(one)
    memos = _memos(account_id)
    found: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        for text in _case(house, case, marketplace[case.number], store[case.number], memos):
            found[case.part].append(f"{case.number}: {text}")
    return dict(found)


def _case(house: House, case: Case, order: Row, there: list[Row], memos: dict[int, list[Row]]) -> list[str]:
    part, found = PARTS[case.part], []
    if order["status"] not in part.ends:
        found.append(f"is {order['status']}")
    if any(one["cancel_status"].endswith(PENDING) for one in order["cancellations"]):
        found.append("the buyer waits for an answer")
    if case.part.startswith("granted") and not any(one["cancel_status"] in GRANTED and one["role"] == "BUYER" for one in order["cancellations"]):
        found.append("the request was not granted")
    if case.part == "refused" and any(one["cancel_status"] in GRANTED for one in order["cancellations"]):
        found.append("the request was granted")
    found += _returns(case, order)
    if len(there) != (0 if case.part == "regretted" else 1):
        return [*found, f"is {len(there)} times in Magento"]
    if there:
        found += _parcels(case, order) + _money(house, case, order, there[0], memos.get(case.entity, []))
    return found


def _returns(case: Case, order: Row) -> list[str]:
    made, wanted = order["returns"], 0 if PARTS[case.part].begins == OPEN else int(case.part in _RETURNS)
    if len(made) != wanted:
        return [f"has {len(made)} returns"]
    refused = case.part in ("no money", "no goods")
    if made and ((made[0]["return_status"] in REFUNDED) == refused or made[0]["return_status"].endswith(PENDING)):
        return [f"return {made[0]['return_id']} is {made[0]['return_status']}"]
    return []


_RETURNS = ("refunded after", "money", "no money", "offered", "goods", "no goods")


def _parcels(case: Case, order: Row) -> list[str]:
    """The merchant's parcel is at TikTok, once; an order that was cancelled before it left has none."""
    numbers = [each["tracking_number"] for each in order["packages"] if each["tracking_number"]]
    left = PARTS[case.part].begins != OPEN or order["status"] == "AWAITING_COLLECTION"
    return [] if numbers == ([case.track] if left else []) else [f"has the parcels {numbers}, sent was {case.track or 'none'}"]


def _money(house: House, case: Case, order: Row, there: Row, memos: list[Row]) -> list[str]:
    """As many credit memos as there are to be, of the right amount."""
    part, total = PARTS[case.part], Decimal(str(there["grand_total"]))
    paid, count, refund = sum((Decimal(str(one["grand_total"])) for one in memos), Decimal(0)), part.memos, part.refund
    if refund == "raced":
        cancelled = order["status"] == "CANCELLED"
        count, refund = ((1, 2), "all") if cancelled else ((0,), "none")
    found = [] if len(memos) in count else [f"has {len(memos)} credit memos: {[one['increment_id'] for one in memos]}"]
    wanted = {"all": total, "none": Decimal(0)}.get(refund)
    if wanted is None:
        document = house.get("tiktok", f"orders/{case.number}")
        refunds = [one["refund_amount"] for one in (*document["returns"], *document["cancellations"]) if _counts(one)]
        wanted = sum((Decimal(str(one["refund_total"])) for one in refunds), Decimal(0))
    if abs(paid - wanted) >= CENT:
        found.append(f"was refunded {paid} in Magento, not {wanted}")
    return found


def _counts(one: Row) -> bool:
    return one.get("return_status") in REFUNDED or one.get("cancel_status") in GRANTED


def _memos(account_id: int) -> dict[int, list[Row]]:
    """Every credit memo of the store, by the Magento order's id."""
    from connector.core.db import end_reading
    from connector.services import connections

    client = connections.magento_for(account_id)
    end_reading()
    found: dict[int, list[Row]] = defaultdict(list)
    for one in client.iter_creditmemos():
        found[int(one["order_id"])].append(one)
    return found


# --- stock ----------------------------------------------------------------------------------------------------------------------------------------


def shelf(house: House) -> dict[str, Decimal]:
    """SKU -> units that the store can still sell."""
    return {row["sku"]: Decimal(str(row["salable"])) for row in house.get("magento", "ledger")["stocks"] if row["stock_id"] == 2}


def stock(house: House, cases: list[Case], before: dict[str, Decimal]) -> Row:
    """Units that can be sold though they should not be, and the other way round: at first, less what was sold, and what is here again."""
    wanted = Counter(before)
    why: dict[str, list[str]] = defaultdict(list)
    status = {one["id"]: one["status"] for one in house.get("tiktok", "orders", shop="GB")["orders"]}
    by_number = {one["ext_order_id"]: one for one in house.get("magento", "orders") if one["ext_order_id"]}
    for case in cases:
        if case.number not in by_number:
            continue
        for item in by_number[case.number]["items"]:
            sku, sold = item["sku"], Decimal(str(item["qty_ordered"]))
            back = _back(case, sku, sold, status[case.number])
            wanted[sku] += back - sold
            why[sku].append(f"{case.number} ({case.part}): {back} of {sold} back")
    now = shelf(house)
    off = {sku: now[sku] - wanted[sku] for sku in before if now[sku] != wanted[sku]}
    return {
        "stock_off": int(sum(abs(units) for units in off.values())),
        "stock_why": {sku: [f"{units:+f}", *why[sku]] for sku, units in off.items()},
        "balanced": bool(house.get("magento", "ledger")["balanced"]),
    }


def _back(case: Case, sku: str, sold: Decimal, status: str) -> Decimal:
    how = PARTS[case.part].gives_back
    if how == "raced":
        how = "none" if status != "CANCELLED" else "said" if "received" in case.steps else "all"
    return sold if how == "all" else Decimal(case.said[sku]) if how == "said" else Decimal(0)


def refunded(house: House, case: Case) -> Decimal:
    """Units of the order that Magento has refunded."""
    items = next(one for one in house.get("magento", "orders") if one["entity_id"] == case.entity)["items"]
    return sum((Decimal(str(item["qty_refunded"] or 0)) for item in items), Decimal(0))


def shipped_too_late(house: House, cases: list[Case]) -> list[str]:
    """Orders that TikTok was told a parcel of after they were cancelled."""
    late = []
    for case in cases:
        timeline = house.get("tiktok", f"orders/{case.number}")["timeline"]
        ends = [place for place, step in enumerate(timeline) if step["event"] == "status" and step["detail"] == "CANCELLED"]
        late += [case.number] if ends and any(step["event"] == "shipment arranged" for step in timeline[ends[0] :]) else []
    return late


# --- our own books ----------------------------------------------------------------------------------------------------------------------------------


def left_open(account_id: int) -> dict[str, int]:
    """Rows that should be settled by now and are not; empty when there are none."""
    from sqlalchemy import func, select

    from connector.core.clock import utcnow
    from connector.core.db import db
    from connector.models.aftersales import CreditMemo, RecallTask, Return
    from connector.models.oms import OmsUpdate
    from connector.models.order import Cancellation, Order, OutgoingAction, Reservation, Shipment
    from connector.models.run import RUNNING, JobRun

    conditions: dict[str, tuple[Any, ...]] = {
        "runs of silent workers": (JobRun.state == RUNNING, JobRun.lease_until < utcnow()),
        "reservations": (Reservation.released_at.is_(None), Reservation.account_id == account_id),
        "parcels": (
            Shipment.state.in_(("sending", "pending", "waiting_carrier")),
            Shipment.order_id.in_(select(Order.id).where(Order.remote_status != "CANCELLED")),
        ),
        "parcels being sent": (Shipment.state == "sending",),
        "credit memos": (CreditMemo.state.in_(("sending", "waiting", "failed")),),
        "answers to requests": (Cancellation.answer_state == "sending",),
        "answers to returns": (Return.answer_state == "sending",),
        "recalls not settled": (RecallTask.state == "received", RecallTask.restocked_at.is_(None)),
        "OMS updates": (OmsUpdate.state == "received",),
    }
    found = {}
    for name, terms in conditions.items():
        if count := db.session.scalar(select(func.count()).where(*terms)):
            found[name] = count
    open_actions = select(OutgoingAction.action, func.count()).where(OutgoingAction.state.in_(("sent", "pending"))).group_by(OutgoingAction.action)
    found |= {f"outgoing actions: {action}": count for action, count in db.session.execute(open_actions)}
    db.session.commit()
    return found

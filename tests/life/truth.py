"""What must hold once all is quiet, told from what the marketplace and the store themselves know and from what people did; our rows are only compared."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import func, select

from connector.core.clock import from_epoch
from connector.core.db import db
from connector.models.account import Account
from connector.models.aftersales import CreditMemo, DeadlineWarning, RecallTask, Return
from connector.models.order import CREATED, Cancellation, Order, OrderLine, Reservation, Shipment
from connector.services import connections, returns
from tests.life.world import SHELF, World

Row = dict[str, Any]
GRANTED_CANCELLATION = ("CANCELLATION_REQUEST_SUCCESS", "CANCELLATION_REQUEST_COMPLETE")
_REFUNDED = ("RETURN_OR_REFUND_REQUEST_SUCCESS", "RETURN_OR_REFUND_REQUEST_COMPLETE", "REPLACEMENT_REQUEST_REFUND_SUCCESS", "REPLACEMENT_REQUEST_COMPLETE")
#: How long before a deadline the jobs run at least once: the shortest lead of a warning that does not wait for the next mail.
LAST_LOOK = 50 * 60
WAITS_FOR_THE_SELLER = ("AWAITING_SHIPMENT", "PARTIALLY_SHIPPING")


class Deadline(NamedTuple):
    kind: str
    subject: str  #: order, cancellation, return
    name: str  #: TikTok's id
    due: int


@dataclass
class Deeds:
    """What people and the OMS did that no server knows. Values of ``came``: sure, or perhaps (the answer was lost, or the OMS said it)."""

    arrived: Counter[str] = field(default_factory=Counter)  #: SKU -> units put on the shelf
    came: dict[str, str] = field(default_factory=dict)  #: return id -> how sure it is that its goods came and can be sold
    recalled: dict[str, tuple[str, Counter[str]]] = field(default_factory=dict)  #: order -> how sure, units that came back
    refunded: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  #: order -> units that the merchant put back by a memo
    further: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  #: of those, units refunded after others had been refunded
    by_hand: set[str] = field(default_factory=set)  #: orders for which the merchant made a credit memo


class Truth:
    """The marketplace's and the store's books at one moment."""

    def __init__(self, world: World) -> None:
        listed = world.market.get("orders", shop="GB")["orders"]
        self.orders: dict[str, Row] = {one["id"]: world.market.get(f"orders/{one['id']}") for one in listed}
        self.returns: list[Row] = world.market.get("returns")["returns"]
        self.store: dict[str, list[Row]] = defaultdict(list)
        for one in world.store.get("orders"):
            self.store[one["ext_order_id"] or ""].append(one)
        self.ledger: Row = world.store.get("ledger")
        self.now = world.now()

    def status(self, number: str) -> str:
        return str(self.orders[number]["order"]["status"])

    def lines(self, number: str) -> list[Row]:
        return list(self.orders[number]["order"]["line_items"])


def check(world: World, deeds: Deeds) -> None:
    """Every invariant; ``AssertionError`` names what does not hold."""
    db.session.expire_all()
    truth = Truth(world)
    _nothing_lost(truth)
    _nothing_doubled(truth, deeds)
    _stock(truth, deeds)
    _nothing_shipped_after_a_cancellation(truth)
    _holds(truth)
    answered_or_warned(deadlines(truth.orders.values(), truth.returns), truth.now)
    with world.timed("compare"):
        _as_a_fresh_import(world, truth)
    db.session.commit()


def _nothing_lost(truth: Truth) -> None:
    ours = dict(Counter(db.session.scalars(select(Order.number))))
    assert ours == dict.fromkeys(truth.orders, 1), f"lost {sorted(set(truth.orders) - set(ours))}, invented {sorted(set(ours) - set(truth.orders))}"


def _nothing_doubled(truth: Truth, deeds: Deeds) -> None:
    ours = {order.number: order for order in db.session.scalars(select(Order))}
    for number, found in truth.store.items():
        living = [one for one in found if one["state"] != "canceled"]
        assert len(living) <= 1, f"order {number} is {len(living)} times in Magento: {[one['increment_id'] for one in living]}"
        order = ours[number]
        assert order.magento_id in {str(one["entity_id"]) for one in found}, f"Magento order {found[0]['increment_id']} of {number} is not ours: {order.state}"
    for number, order in ours.items():
        if order.state == CREATED:
            assert truth.store.get(number), f"order {number} is said to be in Magento, but it is not"
            there = next(one for one in truth.store[number] if str(one["entity_id"]) == order.magento_id)
            told = order.failure_code or order.warning if number in deeds.by_hand else _a_person_has_to(order)
            undone = there["state"] in ("canceled", "closed")
            assert undone or truth.status(number) != "CANCELLED" or _left(truth, number) or _announced(order.id) or told, (
                f"order {number} is cancelled and nothing of it has left, but Magento order {there['increment_id']} is {there['state']}, and nobody is told"
            )
        elif truth.status(number) == "AWAITING_SHIPMENT":
            told = order.failure_code or order.cancel_requested  # one whose buyer asks to cancel waits for the answer
            assert told, f"order {number} awaits shipment, is not in Magento ({order.state}) and no reason is given"


def _left(truth: Truth, number: str) -> bool:
    """Whether something of the order has left: TikTok has tracking, the store has shipped, or a parcel was announced or waits to be."""
    if any(line.get("tracking_number") or line.get("rts_time") for line in truth.lines(number)):
        return True
    return any(float(item["qty_shipped"]) > 0 for one in truth.store.get(number, ()) for item in one["items"])


# --- stock ----------------------------------------------------------------------------------------------------------------------------------


def _stock(truth: Truth, deeds: Deeds) -> None:
    """On the shelf and free = at first + arrived - sold + given back; more than that was restocked twice, less was lost. Bounds where a person has
    yet to put something right (a failed memo) or where it is not known whether a word was heard."""
    assert truth.ledger["balanced"], f"the store's reservations do not fit its orders: {truth.ledger['open_orders']}"
    least, most = Counter[str](), Counter[str]()
    why: dict[str, list[str]] = defaultdict(list)
    for number, found in truth.store.items():
        for one in found:
            for item in one["items"]:
                sku, units = item["sku"], int(float(item["qty_ordered"]))
                low, high = _given_back(truth, deeds, number, sku, units) if one["state"] != "canceled" else (units, units)
                least[sku] += low - units
                most[sku] += high - units
                if (low, high) != (0, 0):
                    why[sku].append(f"{number} ({one['state']}, {truth.status(number)}): {low} to {high} of {units} back")
    for sku, first in SHELF.items():
        free = next(float(row["salable"]) for row in truth.ledger["stocks"] if row["sku"] == sku and row["stock_id"] != 1)
        low, high = first + deeds.arrived[sku] + least[sku], first + deeds.arrived[sku] + most[sku]
        assert low <= free <= high, f"{free} of {sku} can be sold, which should be {low} to {high}:\n  " + "\n  ".join(why[sku])


def _given_back(truth: Truth, deeds: Deeds, number: str, sku: str, units: int) -> tuple[int, int]:
    lines = [line for line in truth.lines(number) if line["seller_sku"] == sku]
    shipped = sum(int(float(item["qty_shipped"])) for one in truth.store[number] for item in one["items"] if item["sku"] == sku)
    sent = max(shipped, sum(bool(line.get("rts_time")) for line in lines))
    order = db.session.scalars(select(Order).where(Order.number == number)).one()
    sure = not _a_person_has_to(order) and number not in deeds.by_hand
    low = high = 0
    for one in truth.returns:
        if one["order_id"] == number and one["return_id"] in deeds.came and one["return_status"] in _REFUNDED:
            count = sum(item["seller_sku"] == sku for item in one["return_line_items"])
            high += count
            low += count if deeds.came[one["return_id"]] == "sure" else 0
    memo, further = deeds.refunded[number][sku], deeds.further[number][sku]
    if truth.status(number) == "CANCELLED":
        if not _left(truth, number) and not _announced(order.id):
            return (units if sure else 0), units
        certain, recalled = deeds.recalled.get(number, ("", Counter()))
        high += units - sent + recalled[sku] + memo
        low += recalled[sku] if certain == "sure" else 0
    else:
        unsent = sum(line["display_status"] == "CANCELLED" and not line.get("rts_time") for line in lines)
        unsent -= len(lines) - units  # those that were cancelled before the store knew the order
        unsent = max(0, min(unsent, units - shipped))
        high += max(unsent, memo - further) + further  # a memo for what was still to be refunded comes on top of ours
        low += unsent
    # whether a memo's units went into stock cannot be read in Magento: when somebody takes the same units in as well, they count twice
    return (min(low, units) if sure else 0), min(high, units + memo)


def _announced(order_id: int) -> bool:
    """Whether TikTok took a parcel, or the store made one: a number that was only entered has not left."""
    left = (Shipment.state == "delivered") | ((Shipment.origin == "magento") & (Shipment.state != "ignored"))
    return db.session.scalar(select(Shipment.id).where(Shipment.order_id == order_id, left).limit(1)) is not None


def _a_person_has_to(order: Order) -> bool:
    """Whether a credit memo of the order failed, waits or was left to the merchant, who was told."""
    stuck = select(CreditMemo.id).where(CreditMemo.order_id == order.id, CreditMemo.state.in_(("failed", "ignored", "waiting", "sending")))
    return db.session.scalar(stuck.limit(1)) is not None


# --- cancellations --------------------------------------------------------------------------------------------------------------------------


def _nothing_shipped_after_a_cancellation(truth: Truth) -> None:
    for number, found in truth.orders.items():
        cancelled_at: dict[str, int] = {}
        for one in found["cancellations"]:
            if one["cancel_status"] in GRANTED_CANCELLATION:
                for item in one["cancel_line_items"]:
                    cancelled_at[item["order_line_item_id"]] = one["update_time"]
        for line in truth.lines(number):
            sent, gone = line.get("rts_time"), cancelled_at.get(line["id"])
            assert not (sent and gone and sent > gone), f"line {line['id']} of {number} was shipped at {sent}, after it was cancelled at {gone}"
        ends = [place for place, step in enumerate(found["timeline"]) if step["event"] == "status" and step["detail"] == "CANCELLED"]
        late = [step for step in found["timeline"][ends[0] :] if step["event"] == "shipment arranged"] if ends else []
        assert not late, f"order {number} was cancelled and shipped afterwards: {late}"
    query = (
        select(Order.number, Shipment.tracking_number, Shipment.delivered_at, Cancellation.answered_at, Shipment.line_ids, Cancellation.data)
        .join(Shipment, Shipment.order_id == Order.id)
        .join(Cancellation, Cancellation.order_id == Order.id)
        .where(Shipment.state == "delivered", Cancellation.answer == "approve", Cancellation.answer_state == "accepted")
    )
    for row in db.session.execute(query):
        both = set(row.line_ids) & {str(item["order_line_item_id"]) for item in row.data.get("cancel_line_items") or ()}
        assert not (both and row.delivered_at > row.answered_at), f"parcel {row.tracking_number} of {row.number} went out after its cancellation was accepted"


def _holds(truth: Truth) -> None:
    """Units are held here only for orders that the store does not know, or whose parcel is being recalled."""
    query = select(Order, Reservation.sku).join(Reservation, Reservation.order_id == Order.id).where(Reservation.released_at.is_(None))
    for order, sku in db.session.execute(query):
        assert order.state != CREATED, f"{sku} is held for order {order.number}, which is in Magento"
        recall = db.session.scalar(select(RecallTask.state).where(RecallTask.order_id == order.id))
        assert order.remote_status != "CANCELLED" or recall in ("open", "returning"), f"{sku} is held for the cancelled order {order.number} ({recall=})"
    for order in db.session.scalars(select(Order).where(Order.remote_status == "ON_HOLD")):
        assert order.number not in truth.store, f"order {order.number} is inside its hold hour and in Magento already"


# --- deadlines ------------------------------------------------------------------------------------------------------------------------------


def deadlines(orders: Iterable[Row], returns: Iterable[Row]) -> list[Deadline]:
    """Everything that waits for the seller now, as the marketplace says."""
    found: list[Deadline] = []
    for order in orders:
        doc = order["order"]
        if doc["status"] in WAITS_FOR_THE_SELLER:
            found += [Deadline("ship_by", "order", doc["id"], int(doc["rts_sla_time"]))]
            found += [Deadline("auto_cancel", "order", doc["id"], int(doc["cancel_order_sla_time"]))]
        for one in order["cancellations"]:
            actions = one.get("seller_next_action_response") or ()
            found += [Deadline("answer_cancellation", "cancellation", one["cancel_id"], int(action["deadline"])) for action in actions]
    for one in returns:
        actions = one.get("seller_next_action_response") or ()
        found += [Deadline("answer_return", "return", one["return_id"], int(action["deadline"])) for action in actions]
    return found


def waiting(world: World) -> list[Deadline]:
    """The same, asked for alone."""
    listed = world.market.get("orders", shop="GB")["orders"]
    open_ones = [world.market.get(f"orders/{one['id']}") for one in listed if one["status"] in WAITS_FOR_THE_SELLER]
    return deadlines(open_ones, world.market.get("returns")["returns"])


def answered_or_warned(found: Iterable[Deadline], now: float) -> None:
    """What waits still and is near or over was warned about. What is over and does not wait any more was looked at when it was near: the clock
    never passes a deadline without a stop ``LAST_LOOK`` before it."""
    keys = {
        "order": dict(db.session.execute(select(Order.number, Order.id)).all()),
        "cancellation": dict(db.session.execute(select(Cancellation.cancel_id, Cancellation.id)).all()),
        "return": dict(db.session.execute(select(Return.return_id, Return.id)).all()),
    }
    query = select(DeadlineWarning.kind, DeadlineWarning.subject_type, DeadlineWarning.subject_id, DeadlineWarning.due_at)
    warned = {(kind, subject, pk, int(due.timestamp())) for kind, subject, pk, due in db.session.execute(query)}
    for kind, subject, name, due in found:
        if due - now <= LAST_LOOK:
            pk = keys[subject].get(name)
            assert pk is not None, f"{subject} {name} is due at {from_epoch(due)} and not known here"
            assert (kind, subject, str(pk), due) in warned, (
                f"nobody was warned that {kind} of {subject} {name} is due at {from_epoch(due)}, in {due - now:.1f} s; warned: {_of(subject, pk)}"
            )


def _of(subject: str, pk: int) -> list[str]:
    """What is known here of a subject that nobody was warned about, and of the clock."""
    account = db.session.scalars(select(Account)).one()
    kept = select(DeadlineWarning.kind, DeadlineWarning.due_at, DeadlineWarning.level, DeadlineWarning.warned_at)
    found = [" ".join(map(str, row)) for row in db.session.execute(kept.where(DeadlineWarning.subject_type == subject, DeadlineWarning.subject_id == str(pk)))]
    last = db.session.scalar(select(func.max(DeadlineWarning.warned_at)))
    order = db.session.get(Order, pk) if subject == "order" else None
    ours = f"here {order.remote_status}, ship by {order.ship_by_at}, cancelled by {order.cancel_by_at}, {order.state}" if order else ""
    return [*found, ours, f"shop's time here {connections.shop_now(account)}, last warning {last}"]


# --- a fresh import -------------------------------------------------------------------------------------------------------------------------

_ORDER = (
    "remote_status", "remote_updated_at", "placed_at", "paid_at", "hold_until", "ship_by_at", "cancel_by_at", "cancelled_at", "currency", "total", "item_count",
    "cancel_requested", "cancel_reason", "cancelled_by", "tracking_number", "carrier_name", "shipping_type", "fulfillment_type", "has_address",
)  # fmt: skip
_LINE = ("seller_sku", "remote_status", "sale_price", "original_price", "package_id", "tracking_number", "cancel_reason", "cancelled_by")
_CANCELLATION = ("cancel_type", "remote_status", "role", "reason", "remote_updated_at")
_RETURN = (
    "return_type", "remote_status", "arbitration_status", "reason", "amount", "currency", "line_ids", "next_action", "respond_by_at", "phase", "needs_answer",
    "tracking_number", "remote_updated_at",
)  # fmt: skip


def _facts() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for order in db.session.scalars(select(Order)):
        found[f"order {order.number}"] = {name: getattr(order, name) for name in _ORDER}
    for line in db.session.scalars(select(OrderLine)):
        found[f"line {line.line_id}"] = {name: getattr(line, name) for name in _LINE}
    for one in db.session.scalars(select(Cancellation)):
        found[f"cancellation {one.cancel_id}"] = {name: getattr(one, name) for name in _CANCELLATION}
    for row in db.session.scalars(select(Return)):
        found[f"return {row.return_id}"] = {name: getattr(row, name) for name in _RETURN}
    return found


def _tags() -> dict[str, str]:
    return dict(db.session.execute(select(Order.number, Order.tag)).all())


def _as_a_fresh_import(world: World, truth: Truth) -> None:
    ours, tags = _facts(), _tags()
    recalls = {order for (order,) in db.session.execute(select(Order.number).join(RecallTask, RecallTask.order_id == Order.id))}
    db.session.commit()
    with world.imported_anew():
        fresh, other = _facts(), _tags()
    for subject, facts in fresh.items():
        assert subject in ours, f"a fresh import finds {subject}, which is not here"
        differs = {name: (ours[subject][name], value) for name, value in facts.items() if ours[subject][name] != value}
        assert not differs, f"{subject}: here, and in a fresh import: {differs}"
    reach = from_epoch(int(truth.now)) - returns.importing.FIRST_REACH
    beyond = {subject for subject, facts in ours.items() if subject.startswith("return ") and facts["remote_updated_at"] < reach}
    # a first import of cancellations reaches back a week: those are compared with the marketplace's below
    missing = {subject for subject in set(ours) - set(fresh) - beyond if not subject.startswith("cancellation ")}
    assert not missing, f"a fresh import does not find {sorted(missing)}"
    for number, tag in other.items():
        assert not tag or tags[number] == tag, f"order {number} is tagged {tag!r} by a fresh import, and {tags[number]!r} here"
    for number, tag in tags.items():
        assert not tag or truth.status(number) == "CANCELLED", f"order {number} is {truth.status(number)} and tagged {tag!r}"
        assert bool(tag) == (number in recalls), f"order {number} is tagged {tag!r} and {'has' if number in recalls else 'has no'} recall"
        shown = any(line.get("tracking_number") for line in truth.lines(number))
        assert not (truth.status(number) == "CANCELLED" and shown) or tag, f"order {number} was cancelled after it was shipped, and not tagged"
    for number, found in truth.orders.items():
        for one in found["cancellations"]:
            stored = ours.get(f"cancellation {one['cancel_id']}")
            assert stored is not None, f"cancellation {one['cancel_id']} of {number} is not known here"
            assert stored["remote_status"] == one["cancel_status"], (
                f"cancellation {one['cancel_id']} of {number} is {one['cancel_status']}, here {stored['remote_status']}"
            )

"""Shipping rules: which call ships, which lines a parcel holds, whether an order may be shipped and why not (TTS §5.5, §6.4; A256-A258).

Pure. The button, the bulk confirm page, the job and the tests all ask ``ship_verdict``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from connector.domain.carriers import CarrierMatch

# How an order leaves (TTS §5.5.1).
MARK_SHIPPED, SHIP_PACKAGE, LABEL, FOLLOW, UNKNOWN = "mark_shipped", "ship_package", "label", "follow", "unknown"

_EU = frozenset((
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
    "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
))  # fmt: skip
MARK_SHIPPED_MARKETS = frozenset({"US", "GB", "UK", "JP"}) | _EU
#: South-East Asia: here sellers with a fleet of their own report deliveries themselves (TTS §5.5.10).
OWN_FLEET_MARKETS = frozenset(("SG", "MY", "TH", "VN", "PH", "ID"))
SHIP_PACKAGE_MARKETS = OWN_FLEET_MARKETS | frozenset(("BR", "MX", "CL", "CO", "AR", "PE"))
#: Markets in which a package is split by whole SKU only (TTS §5.5.1); what the other SHIP_PACKAGE markets allow, TikTok says.
SPLIT_BY_SKU_MARKETS = OWN_FLEET_MARKETS | frozenset(("BR", "MX"))
#: Markets in which platform shipping means buying a label (TTS §5.5.7).
BUYS_LABELS = frozenset({"US", "GB", "UK", "JP"})
#: Markets in which single lines of an order may be cancelled (TTS §5.6.2).
LINE_CANCEL_MARKETS = frozenset({"US", "GB", "UK"})

SHIPPABLE = ("AWAITING_SHIPMENT", "PARTIALLY_SHIPPING")
BEFORE_SHIPPING = ("UNPAID", "ON_HOLD")
#: Line statuses of a unit that still has to leave; ``TO_SHIP`` is an older spelling (TTS §5.4.5).
OPEN_LINE = ("AWAITING_SHIPMENT", "TO_SHIP")

_TRACKING = re.compile(r"[A-Za-z0-9._/-]{4,50}")


class Check(TypedDict):
    """One step of a decision trace (product rule 9)."""

    check: str
    ok: bool
    facts: dict[str, Any]
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Unit:
    """One TikTok order line, which is one unit. ``sku``: the Magento SKU it was matched to, else the seller SKU."""

    line_id: str
    sku: str
    status: str
    package_id: str = ""
    tracking_number: str = ""
    sku_id: str = ""  #: TikTok's own id of the SKU

    @property
    def open(self) -> bool:
        return self.status in OPEN_LINE and not self.tracking_number


@dataclass(frozen=True, slots=True)
class Choice:
    """The lines a parcel takes, and the units its Magento shipment names that TikTok no longer waits for (SKU -> units)."""

    line_ids: tuple[str, ...]
    missing: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipFacts:
    """What the shipping rules look at. ``tracking`` and ``carrier`` are None when the parcel is not described yet (the form asks for them)."""

    number: str
    market: str
    status: str
    fulfillment_type: str
    shipping_type: str
    cancel_requested: bool
    units: tuple[Unit, ...]
    quantities: Mapping[str, int] = field(default_factory=dict)
    mine: frozenset[str] = frozenset()  #: line ids that this parcel was sent with before, should the answer have been lost
    taken: frozenset[str] = frozenset()  #: line ids that another parcel of the order holds
    tracking: str | None = None
    carrier: CarrierMatch | None = None
    combined: bool = False  #: its package holds lines of other orders too


@dataclass(frozen=True, slots=True)
class Verdict:
    """``outcome``: ship, done (TikTok has this tracking number already) or refused. ``route`` names the call; ``choice`` the lines; ``split`` the
    packages that TikTok has to make first, this parcel's lines before the others (empty: none)."""

    outcome: str
    route: str
    checks: tuple[Check, ...]
    choice: Choice = Choice(())
    split: tuple[tuple[str, ...], ...] = ()

    @property
    def refusal(self) -> Check | None:
        """The first failing check."""
        return next((check for check in self.checks if not check["ok"]), None)


def route(market: str, shipping_type: str, fulfillment_type: str) -> str:
    """Which call ships an order (TTS §5.5.1): mark_shipped, ship_package, label (platform shipping), follow (fulfilled by TikTok) or unknown."""
    if fulfillment_type and fulfillment_type != "FULFILLMENT_BY_SELLER":
        return FOLLOW
    if shipping_type != "SELLER":
        return LABEL if shipping_type.startswith("TIKTOK") else UNKNOWN
    if market in MARK_SHIPPED_MARKETS:
        return MARK_SHIPPED
    return SHIP_PACKAGE if market in SHIP_PACKAGE_MARKETS else UNKNOWN


def choose_lines(units: Iterable[Unit], quantities: Mapping[str, int], taken: Collection[str] = (), prefer: Collection[str] = ()) -> Choice:
    """As many open lines of each SKU as the Magento shipment's quantities name (TTS §6.4); without quantities every open line.

    ``taken`` lines belong to another parcel. Lines are taken in the order TikTok lists them, ``prefer`` first: a parcel whose answer was lost is
    sent with the same lines again, which TikTok refuses as a repeat, instead of with others, which would be a second package.
    """
    free = sorted((unit for unit in units if unit.open and unit.line_id not in taken), key=lambda unit: unit.line_id not in prefer)
    if not quantities:
        return Choice(tuple(unit.line_id for unit in free))
    left = {sku: int(quantity) for sku, quantity in quantities.items() if int(quantity) > 0}
    chosen: list[str] = []
    for unit in free:
        if left.get(unit.sku, 0) > 0:
            left[unit.sku] -= 1
            chosen.append(unit.line_id)
    return Choice(tuple(chosen), {sku: rest for sku, rest in left.items() if rest})


def clean_tracking(raw: str | None) -> str:
    """The number without the spaces that people and carriers put into it; letters keep their case."""
    return re.sub(r"\s+", "", raw or "")


def tracking_problem(number: str) -> str | None:
    """Why TikTok would not take this tracking number (TTS §5.5.2), or None."""
    if not number:
        return "There is no tracking number."
    if not _TRACKING.fullmatch(number):
        return f"The tracking number {number!r} is not one that TikTok accepts: 4 to 50 letters, digits, and - _ . /"
    return None


def same_tracking(one: str, other: str) -> bool:
    """The same number, spaces and case aside; no number is the same as none."""
    return bool(one) and clean_tracking(one).casefold() == clean_tracking(other).casefold()


def shipped_with(units: Iterable[Unit], quantities: Mapping[str, int]) -> list[Unit]:
    """The units that a parcel of these SKUs (none named: of all) may mean when TikTok shows them as shipped already."""
    return [unit for unit in units if unit.tracking_number and (not quantities or unit.sku in quantities)]


def already_there(facts: ShipFacts) -> list[Unit]:
    """The lines that TikTok already shows with this parcel's tracking number."""
    return [unit for unit in facts.units if same_tracking(unit.tracking_number, facts.tracking or "")]


def _rest(facts: ShipFacts, there: Sequence[Unit]) -> Choice:
    """What is still to be sent of a parcel of which TikTok shows a part: a second Magento shipment under the same number, or a lost answer."""
    if not facts.quantities:
        open_ones = {unit.line_id for unit in facts.units if unit.open}
        return Choice(tuple(line_id for line_id in facts.mine if line_id in open_ones))
    left = dict(facts.quantities)
    for unit in there:
        left[unit.sku] = left.get(unit.sku, 0) - 1
    left = {sku: quantity for sku, quantity in left.items() if quantity > 0}
    return choose_lines(facts.units, left, facts.taken, facts.mine) if left else Choice(())


def ship_verdict(facts: ShipFacts) -> Verdict:
    """May this parcel leave, and by which call. Checks run in order and stop at the first refusal.

    A tracking number that TikTok already shows on the order is the end of the matter, whatever else has happened since.
    """
    way = route(facts.market, facts.shipping_type, facts.fulfillment_type)
    there = already_there(facts)
    choice = _rest(facts, there) if there else choose_lines(facts.units, facts.quantities, facts.taken, facts.mine)
    if there and not choice.line_ids:
        message = f"TikTok already shows tracking number {facts.tracking} on {_lines(len(there))} of order {facts.number}."
        done = _check("already_shipped", True, message, line_ids=[unit.line_id for unit in there], package_ids=sorted({u.package_id for u in there}))
        return Verdict("done", way, (done,), Choice(tuple(unit.line_id for unit in there)))
    checks: list[Check] = []
    for check in _refusals(facts, way, choice):
        checks.append(check)
        if not check["ok"]:
            return Verdict("refused", way, tuple(checks))
    return Verdict("ship", way, tuple(checks), choice, split_groups(facts.units, choice.line_ids) if way == SHIP_PACKAGE else ())


def _refusals(facts: ShipFacts, way: str, choice: Choice) -> Iterable[Check]:
    number, status = facts.number, facts.status
    yield _status(facts)
    yield _check(
        "not_on_hold",
        status not in BEFORE_SHIPPING,
        f"Order {number} is {status} on TikTok; the buyer may still cancel freely." if status in BEFORE_SHIPPING else "The hold is over.",
        "Ship it when TikTok shows AWAITING_SHIPMENT; the parcel is sent by itself then.",
        status=status,
    )
    yield _check(
        "fulfilled_by_seller",
        way != FOLLOW,
        f"Order {number} is {facts.fulfillment_type}: TikTok ships it." if way == FOLLOW else "The seller fulfils the order.",
        "Nothing is to be shipped; status and tracking are followed.",
        fulfillment_type=facts.fulfillment_type,
    )
    yield _check(
        "shipped_by_seller",
        way != LABEL,
        f"Order {number} has platform shipping ({facts.shipping_type})." if way == LABEL else "The seller ships the order.",
        "Print TikTok's label instead; TikTok gives the tracking number.",
        shipping_type=facts.shipping_type,
    )
    yield _check(
        "market_known",
        way != UNKNOWN,
        f"It is not known which call ships an order of market {facts.market!r} with shipping type {facts.shipping_type!r}."
        if way == UNKNOWN
        else f"Shipped by {way.replace('_', ' ')}.",
        "Ship this order in Seller Center and report the market.",
        market=facts.market,
        shipping_type=facts.shipping_type,
    )
    yield _check(
        "no_open_cancellation",
        not facts.cancel_requested,
        f"The buyer of order {number} has asked to cancel it." if facts.cancel_requested else "No cancellation request is open.",
        "Accept or reject the request first." + (" In the US, shipping the order rejects the request." if facts.market == "US" else ""),
    )
    if facts.carrier is not None:
        yield carrier_check(facts.carrier, number)
    if facts.tracking is not None:
        problem = tracking_problem(facts.tracking)
        yield _check(
            "tracking",
            problem is None,
            problem or f"Tracking number {facts.tracking}.",
            "Correct the number in Magento, or enter it with the Ship action.",
            tracking_number=facts.tracking,
        )
    yield _lines_left(facts, way, choice)


def _status(facts: ShipFacts) -> Check:
    allowed = facts.status in SHIPPABLE or facts.status in BEFORE_SHIPPING  # the hold has a check of its own, with its own remedy
    if allowed:
        return _check("status", True, f"TikTok's status is {facts.status}.", status=facts.status)
    trackings = sorted({unit.tracking_number for unit in facts.units if unit.tracking_number})
    if facts.status == "CANCELLED":
        remedy = "Do not send the parcel. If it has left, have the carrier stop it; a recall opens for what the store has shipped."
        return _check("cancelled", False, f"Order {facts.number} is cancelled on TikTok.", remedy, status=facts.status)
    if trackings:
        return other_tracking(facts.number, facts.status, trackings, facts.tracking)
    remedy = "Only orders that await shipment can be shipped; use Sync Status."
    return _check("status", False, f"Order {facts.number} is {facts.status} on TikTok.", remedy, status=facts.status)


def other_tracking(number: str, status: str, trackings: Sequence[str], mine: str | None) -> Check:
    """The refusal of a parcel whose number ``mine`` (None: not described yet) is none of those that TikTok shows on the shipped order (TTS §5.5.4)."""
    message = f"Order {number} is already {status} on TikTok, with tracking number {', '.join(trackings) or 'not shown'}" + (
        f"; this parcel has {mine}." if mine else "."
    )
    choice = "Give TikTok this parcel's number, within 72 hours after shipping, or keep TikTok's."
    remedy = choice if mine else "If that number is wrong, correct it on the order's page within 72 hours after shipping."
    return _check("other_tracking", False, message, remedy, status=status, tracking_numbers=list(trackings))


def carrier_check(match: CarrierMatch, number: str) -> Check:
    return _check("carrier", match.ok, match.message or f"{match.title} goes to TikTok as {match.provider_name}.", match.remedy, **match.facts, order=number)


def _lines_left(facts: ShipFacts, way: str, choice: Choice) -> Check:
    if not choice.line_ids:
        wanted = ", ".join(f"{quantity} x {sku}" for sku, quantity in facts.quantities.items())
        message = f"TikTok waits for none of the units of this parcel of order {facts.number}" + (f" ({wanted})." if wanted else ".")
        return _check("lines", False, message, "They are shipped or cancelled already; compare the order's lines.", quantities=dict(facts.quantities))
    if way == SHIP_PACKAGE:
        chosen = set(choice.line_ids)
        packages = {unit.package_id for unit in facts.units if unit.line_id in chosen}
        if "" in packages:
            return _check("lines", False, f"TikTok has not made a package for order {facts.number} yet.", "It is tried again by itself.", line_ids=list(chosen))
        if rest := left_out(facts.units, choice.line_ids):
            return _splittable(facts, choice, rest)
    return _check("lines", True, f"{_lines(len(choice.line_ids))} in the parcel.", line_ids=list(choice.line_ids), missing=dict(choice.missing))


def _splittable(facts: ShipFacts, choice: Choice, rest: list[str]) -> Check:
    """May the parcel's lines become a package of their own (A268)? TikTok has the last word: it is asked before it splits."""
    number, chosen = facts.number, set(choice.line_ids)
    what = f"Order {number} is one package on TikTok, and this parcel holds only {len(chosen)} of its {len(chosen) + len(rest)} lines."
    together = "Ship the rest under the same tracking number; it is tried again by itself."
    known: dict[str, Any] = {"package_ids": packages_of(facts.units, chosen), "left_out": rest}
    if facts.combined:
        return _check("lines", False, f"{what} The package is combined with other orders.", f"Take it apart on the order's page first. {together}", **known)
    if any(unit.status == "CANCELLED" for unit in facts.units):
        return _check("lines", False, f"{what} TikTok does not split an order of which units are cancelled.", together, **known)
    torn = sorted({unit.sku for unit in facts.units if unit.line_id in chosen and _same_sku_stays(unit, facts.units, rest)})
    if torn and facts.market in SPLIT_BY_SKU_MARKETS:
        return _check("lines", False, f"{what} In {facts.market} TikTok splits by whole SKU only; {', '.join(torn)} would be torn apart.", together, **known)
    return _check("lines", True, f"{_lines(len(chosen))} in the parcel; TikTok is asked to split the other {_lines(len(rest))} off first.", **known)


def _same_sku_stays(unit: Unit, units: Sequence[Unit], rest: Collection[str]) -> bool:
    return any(other.line_id in rest and (other.sku_id or other.sku) == (unit.sku_id or unit.sku) for other in units)


def left_out(units: Sequence[Unit], line_ids: Collection[str]) -> list[str]:
    """The open lines that share a package with these lines and are none of them."""
    packages = set(packages_of(units, line_ids))
    return [unit.line_id for unit in units if unit.package_id in packages and unit.open and unit.line_id not in line_ids]


def split_groups(units: Sequence[Unit], line_ids: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """The packages that all open lines are to form so that these lines leave alone, theirs first. Empty when they are whole packages already.

    Every open line is named: what a split does with unnamed ones is TikTok's choice.
    """
    if not left_out(units, line_ids):
        return ()
    groups: dict[str, list[str]] = {}
    for unit in units:
        if unit.open and unit.line_id not in line_ids:
            groups.setdefault(unit.package_id, []).append(unit.line_id)
    return (tuple(line_ids), *map(tuple, groups.values()))


def packages_of(units: Sequence[Unit], line_ids: Collection[str]) -> list[str]:
    """The package ids of these lines, in the order TikTok lists them, without repeats."""
    return list(dict.fromkeys(unit.package_id for unit in units if unit.line_id in line_ids and unit.package_id))


def units_of(payload: Mapping[str, Any], skus: Mapping[str, str] | None = None) -> tuple[Unit, ...]:
    """The lines of a TikTok order object (TTS §5.4.5). ``skus``: line id -> Magento SKU, where they differ."""
    known = skus or {}
    return tuple(
        Unit(
            line_id=str(line["id"]),
            sku=known.get(str(line["id"])) or str(line.get("seller_sku") or ""),
            status=str(line.get("display_status") or payload.get("status") or ""),
            package_id=str(line.get("package_id") or ""),
            tracking_number=str(line.get("tracking_number") or ""),
            sku_id=str(line.get("sku_id") or ""),
        )
        for line in payload.get("line_items") or ()
    )


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _check(name: str, ok: bool, message: str, remedy: str = "", **facts: Any) -> Check:
    return {"check": name, "ok": ok, "facts": facts, "message": message, "remedy": "" if ok else remedy}

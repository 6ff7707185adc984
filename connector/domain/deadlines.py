"""Until when TikTok waits, and for what: its own field where it gives one, else the country's table, marked as an estimate (A263, A270; TTS §5.4.5, §6.3).

Pure. The table serves orders and requests that name no deadline and nothing else: policies move, the fields are right by definition. A recall's date is
ours: TikTok waits for nothing there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.domain import returns
from connector.domain import tiktok_order as tiktok

# What is due.
SHIP_BY, AUTO_CANCEL, ANSWER_CANCELLATION, ANSWER_RETURN, RECALL = "ship_by", "auto_cancel", "answer_cancellation", "answer_return", "recall"
#: A parcel that was cancelled on its way is to be stopped, and one that was stopped is to be back, within these times.
RECALL_STOP, RECALL_BACK = timedelta(days=3), timedelta(days=14)
# How near it is. ``half``: half of the time to answer is over.
HALF, SOON, PASSED = "half", "soon", "passed"

#: Statuses in which an order waits for the seller to ship it.
TO_SHIP = (tiktok.AWAITING_SHIPMENT, tiktok.PARTIALLY_SHIPPING)
#: Statuses in which TikTok's clock may cancel an order the seller answers for (TTS §6.2).
MAY_BE_CANCELLED = (*TO_SHIP, tiktok.AWAITING_COLLECTION, tiktok.IN_TRANSIT)


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time: working days (Monday to Friday, by UTC) first, then ``rest``."""

    working_days: int = 0
    rest: timedelta = timedelta()

    def after(self, start: datetime) -> datetime:
        """The instant at which the span that began at ``start`` is over. Later starts never end earlier."""
        at = start
        while at.weekday() > 4:  # what begins at the weekend begins on Monday
            at = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        if not self.working_days:
            return start + self.rest
        for _ in range(self.working_days):
            at += timedelta(days=1)
            while at.weekday() > 4:
                at += timedelta(days=1)
        return at + self.rest

    @property
    def shortest(self) -> timedelta:
        """No span that began at t is over before t + shortest."""
        return timedelta(days=self.working_days) + self.rest


@dataclass(frozen=True, slots=True)
class Clocks:
    """One market's row: ship within, cancelled when nothing was shipped, hours to answer the buyer's cancellation and return."""

    ship: Span
    cancel: Span
    answer_cancellation: Span
    answer_return: Span


_TWO_WORKING_DAYS = Span(2)
#: Answers 48 hours, 24 in the US and Thailand (TTS §6.2); cancelled 15 days after payment unless the market says otherwise (A263).
_EVERYWHERE = Clocks(_TWO_WORKING_DAYS, Span(rest=timedelta(days=15)), Span(rest=timedelta(hours=48)), Span(rest=timedelta(hours=returns.ANSWER_HOURS[""])))
_SEA = Span(2, timedelta(days=3))
_SHIP_AND_CANCEL: Mapping[str, tuple[Span, Span]] = {
    "US": (_TWO_WORKING_DAYS, Span(5)),
    "GB": (_TWO_WORKING_DAYS, Span(7)),
    **dict.fromkeys(("SG", "MY", "TH", "VN", "PH", "ID"), (_TWO_WORKING_DAYS, _SEA)),
}
_ANSWER_CANCELLATION: Mapping[str, int] = {"US": 24, "TH": 24}


def clocks(country: str) -> Clocks:
    """The row of a market by its ISO code (``UK`` counts as GB); the general one for a market without a row of its own."""
    country = "GB" if country == "UK" else country
    ship, cancel = _SHIP_AND_CANCEL.get(country, (_EVERYWHERE.ship, _EVERYWHERE.cancel))
    hours = _ANSWER_CANCELLATION.get(country)
    return Clocks(
        ship,
        cancel,
        Span(rest=timedelta(hours=hours)) if hours else _EVERYWHERE.answer_cancellation,
        Span(rest=timedelta(hours=returns.ANSWER_HOURS.get(country, returns.ANSWER_HOURS[""]))),
    )


def span(kind: str, country: str) -> Span:
    """The market's span for one kind of deadline."""
    row = clocks(country)
    return {SHIP_BY: row.ship, AUTO_CANCEL: row.cancel, ANSWER_CANCELLATION: row.answer_cancellation, ANSWER_RETURN: row.answer_return}[kind]


def due(kind: str, country: str, *, given: datetime | None, start: datetime | None) -> tuple[datetime | None, bool]:
    """(instant, whether it is an estimate). ``given``: TikTok's own field; ``start``: payment of the order, or when the request was made."""
    if given is not None:
        return given, False
    return (None, False) if start is None else (span(kind, country).after(start), True)


@dataclass(frozen=True, slots=True)
class Leads:
    """How long before it passes a deadline is warned about."""

    ship: timedelta = timedelta(hours=24)
    answer: timedelta = timedelta(hours=6)

    def of(self, kind: str) -> timedelta:
        return self.answer if kind in (ANSWER_CANCELLATION, ANSWER_RETURN) else self.ship


def level(kind: str, *, due_at: datetime, start: datetime | None, now: datetime, leads: Leads) -> str | None:
    """How near a deadline is: ``passed``, ``soon``, for an answer also ``half``; None while there is time."""
    if due_at <= now:
        return PASSED
    if due_at - now <= leads.of(kind):
        return SOON
    if kind in (ANSWER_CANCELLATION, ANSWER_RETURN) and start is not None and now - start >= (due_at - start) / 2:
        return HALF
    return None


def what_then(kind: str, status: str = "") -> str:
    """What happens at TikTok (or does not happen here) when the deadline passes: one sentence. ``status``: the order's."""
    if kind == AUTO_CANCEL:
        unless = {tiktok.AWAITING_COLLECTION: " unless the carrier has collected it", tiktok.IN_TRANSIT: " unless it is delivered"}
        return f"TikTok cancels the order by itself{unless.get(status, '')}."
    return {
        SHIP_BY: "TikTok counts the order as shipped late.",
        ANSWER_CANCELLATION: "TikTok accepts the cancellation by itself.",
        ANSWER_RETURN: "TikTok accepts the request by itself.",
        RECALL: "The units stay out of stock until somebody says what became of the parcel.",
    }.get(kind, "")

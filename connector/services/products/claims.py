"""One writer at a time for a product on TikTok: claims on listings (``Listing.busy_until``), for many at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import or_, select, update

from connector.clients import errors as api
from connector.core.clock import utcnow
from connector.core.db import unit_of_work
from connector.models.listing import Listing

T = TypeVar("T")

#: How long a claim is believed; longer than a call may take with its repetitions.
CLAIM = timedelta(seconds=90)
#: No call is begun with less than this left of the claim: it could land after somebody else's.
MARGIN = timedelta(seconds=30)


@dataclass(slots=True)
class Claim:
    """The listings that this worker alone may write, until ``until``, which also is the claim's name."""

    listing_ids: list[int]
    until: datetime

    @property
    def safe(self) -> bool:
        return utcnow() + MARGIN < self.until

    def prolong(self) -> None:
        """Keep what is still ours. Raises ``Unavailable`` when somebody else has taken a part of it: whatever was decided is out of date."""
        until = _until()
        with unit_of_work() as session:
            kept = session.scalars(
                update(Listing)
                .where(Listing.id.in_(self.listing_ids), Listing.busy_until == self.until)
                .values(busy_until=until, updated_at=Listing.updated_at)
                .returning(Listing.id)
                .execution_options(synchronize_session=False)
            ).all()
        lost, self.listing_ids, self.until = len(self.listing_ids) - len(kept), sorted(kept), until
        if lost:
            self.give_back()
            raise busy(None)

    def give_back(self) -> None:
        with unit_of_work() as session:
            session.execute(
                update(Listing)
                .where(Listing.id.in_(self.listing_ids), Listing.busy_until == self.until)
                .values(busy_until=None, updated_at=Listing.updated_at)
                .execution_options(synchronize_session=False)
            )


def claim(listing_ids: Collection[int]) -> Claim:
    """Claim those of these listings that TikTok has and nobody is writing to."""
    until, now = _until(), utcnow()
    with unit_of_work() as session:
        locked = select(Listing.id).where(Listing.id.in_(sorted(listing_ids)), Listing.tiktok_id.is_not(None)).order_by(Listing.id).with_for_update()
        taken: Sequence[int] = session.scalars(
            update(Listing)
            .where(Listing.id.in_(locked), or_(Listing.busy_until.is_(None), Listing.busy_until <= now))
            .values(busy_until=until, updated_at=Listing.updated_at)
            .returning(Listing.id)
            .execution_options(synchronize_session=False)
        ).all()
    return Claim(sorted(taken), until)


def in_batches(listing_ids: Iterable[int], size: int, work: Callable[[Claim], dict[int, T]], *, progress: Callable[[int], None] | None = None) -> dict[int, T]:
    """``work`` for claims of up to ``size`` of these listings, in their order; its answers together. What somebody else writes to is left out.

    ``progress``: called with the number of listings done so far.
    """
    ids, done = list(dict.fromkeys(listing_ids)), dict[int, T]()
    for start in range(0, len(ids), size):
        mine = claim(ids[start : start + size])
        try:
            if mine.listing_ids:
                done |= work(mine)
        finally:
            mine.give_back()
        if progress is not None:
            progress(min(len(ids), start + size))
    return done


def busy(until: datetime | None) -> api.Unavailable:
    rest = 1.0 if until is None else max(1.0, min(10.0, (until - utcnow()).total_seconds()))
    return api.Unavailable("The product is being sent by another worker", system="connector", operation="claim", code="listing.busy", retry_after=rest)


def _until() -> datetime:
    """Different for every claim, so that it can be told apart."""
    return utcnow() + CLAIM + timedelta(microseconds=random.randrange(1_000_000))

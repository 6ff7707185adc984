"""Marketplace Status Sync: what TikTok decided and what people changed there (A161, A170, A175; product.md 5).

Webhooks only mark listings; the truth is always fetched. A lost webhook costs minutes, because the scheduled reading goes through everything that TikTok
updated since the last one, and looks at listings that have been in review for long all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.clock import from_epoch, to_epoch, utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain.listing_state import UNREADABLE
from connector.models.account import Account
from connector.models.listing import IN_REVIEW, Listing
from connector.services import connections, runs
from connector.services.products import state
from connector.services.products.shop_reading import pages

OVERLAP = timedelta(minutes=10)
#: The upper end of a reading lies that far ahead, because the shop's clock is known from its last answer only; the cursor goes no further than now.
AHEAD = timedelta(days=1)
#: A listing that is still in review is looked at again after that long, in case TikTok moved no update time.
REVIEW_AGAIN = timedelta(minutes=30)
#: Webhooks of a bulk upload come one by one; they are waited for that long.
GATHER = timedelta(seconds=2)
_CHUNK = 500

Guard = Callable[[Session], None]


@dataclass
class Synced:
    """Figures of one reading; ``failed`` holds (listing id, name, error) of those that could not be read."""

    read: int = 0
    changed: int = 0
    failed: list[tuple[int, str, Exception]] = field(default_factory=list)

    def sentence(self) -> str:
        if not self.read and not self.failed:
            return "Nothing has changed on TikTok Shop."
        text = f"{self.read} products read, {self.changed} changed."
        return f"{text} {len(self.failed)} could not be read." if self.failed else text


def submit_marked(account_id: int) -> runs.Submitted:
    """Ring for the listings that webhooks marked: one run for all of the next seconds. An open one sees these as well, or the next scheduled one does."""
    return runs.submit(
        "products.sync_status", account_id=account_id, args={"marked": True}, key=f"products.sync_status:{account_id}:webhooks",
        title="Read products that changed", started_by="webhook", not_before=utcnow() + GATHER, quiet=True,
    )  # fmt: skip


def mark(session: Session, account_id: int, tiktok_ids: Collection[str]) -> int:
    """A webhook pointed at these products: they are read first. How many of them are ours."""
    return session.execute(
        update(Listing)
        .where(Listing.account_id == account_id, Listing.tiktok_id.in_(tiktok_ids))
        .values(status_due=True, updated_at=Listing.updated_at)
        .execution_options(synchronize_session=False)
    ).rowcount


def sync_one(client: TikTokClient, listing_id: int, guard: Guard | None = None) -> list[str]:
    """Read one listing's product and write it down; what changed, in words. Raises ``DomainError`` when it has none, and ``ApiError``."""
    listing = db.session.get(Listing, listing_id, populate_existing=True)
    if listing is None:
        raise state.unknown(listing_id)
    if listing.tiktok_id is None:
        raise DomainError("listing.not_uploaded", f"{state.name_of(listing)} is not on TikTok Shop.", "Upload it, or link it to a product that is there.")
    with unit_of_work():  # marks that come while it is being read stay
        db.session.execute(
            update(Listing).where(Listing.id == listing_id, Listing.status_due).values(status_due=False).execution_options(synchronize_session=False)
        )
    try:
        found = state.fetch_listing(client, listing_id)
    except api.ApiError:
        with unit_of_work() as session:
            session.execute(update(Listing).where(Listing.id == listing_id).values(status_due=True).execution_options(synchronize_session=False))
        raise
    return write(listing_id, found, guard)


def write(listing_id: int, found: state.Read, guard: Guard | None = None) -> list[str]:
    """Record what was read of a listing's product."""
    with unit_of_work() as session:
        if guard is not None:
            guard(session)
        listing = session.get(Listing, listing_id, populate_existing=True, with_for_update=True)
        if listing is None or listing.tiktok_id != str(found.product.get("id")):
            return []  # unlinked meanwhile
        return state.read(listing, found.product, whole=found.whole, content=found.content)


def sync(
    account_id: int, listing_ids: Collection[int] | None = None, *, guard: Guard | None = None, progress: Callable[[int], None] = lambda done: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Synced:  # fmt: skip
    """Read these listings; without ids everything that changed since the last time: marked ones first, then by update time, then long reviews.

    One product that cannot be read stops none of its neighbours. Raises ``Unavailable`` and ``Unauthorized``: what is marked stays marked and the
    cursor stays where it was, so that the next run goes on.
    """
    client = connections.tiktok(account_id)
    end_reading()
    done = Synced()
    if listing_ids is not None:
        _read_all(client, listing_ids, done, guard, progress, cancelled)
        return done
    _read_marked(account_id, client, done, guard, progress, cancelled)
    if not cancelled():
        _read_updated(account_id, client, done, guard, progress, cancelled)
    if not cancelled():
        _read_all(client, _long_in_review(account_id), done, guard, progress, cancelled)
    return done


def sync_marked(account_id: int, *, guard: Guard | None = None, progress: Callable[[int], None], cancelled: Callable[[], bool]) -> Synced:
    """Only the listings that webhooks pointed at."""
    client, done = connections.tiktok(account_id), Synced()
    end_reading()
    _read_marked(account_id, client, done, guard, progress, cancelled)
    return done


def _read_marked(
    account_id: int, client: TikTokClient, done: Synced, guard: Guard | None, progress: Callable[[int], None], cancelled: Callable[[], bool]
) -> None:
    """Every listing that a webhook pointed at, until none is left."""
    tried: set[int] = set()
    while not cancelled():
        query = select(Listing.id).where(Listing.account_id == account_id, Listing.status_due, Listing.tiktok_id.is_not(None)).limit(_CHUNK + len(tried))
        found = [each for each in db.session.scalars(query) if each not in tried]
        end_reading()
        if not found:
            return
        tried.update(found)
        _read_all(client, found, done, guard, progress, cancelled)


def _read_all(
    client: TikTokClient, listing_ids: Iterable[int], done: Synced, guard: Guard | None, progress: Callable[[int], None], cancelled: Callable[[], bool]
) -> None:
    for listing_id in listing_ids:
        if cancelled():
            return
        try:
            done.changed += bool(sync_one(client, listing_id, guard))
            done.read += 1
        except (api.Unavailable, api.Unauthorized):
            raise
        except (api.ApiError, DomainError) as error:
            done.failed.append((listing_id, _name(listing_id), error))
        progress(done.read)


def _read_updated(
    account_id: int, client: TikTokClient, done: Synced, guard: Guard | None, progress: Callable[[int], None], cancelled: Callable[[], bool]
) -> None:
    """By update time since the cursor. A product is fetched whole only when the search shows another update time or status than we have."""
    start, began = _bounds(account_id, client)
    if start is None:
        return
    for page in pages(client, "update_time", [(to_epoch(start), to_epoch(began + AHEAD))]):
        if cancelled():
            return
        changed = []
        for listing_id, head in _ours(account_id, page.products):
            if head.get("status") in UNREADABLE:
                words = write(listing_id, state.Read(head, False, None), guard)
                done.read, done.changed = done.read + 1, done.changed + bool(words)
            else:
                changed.append(listing_id)
        _read_all(client, changed, done, guard, progress, cancelled)
    with unit_of_work() as session:
        if guard is not None:
            guard(session)
        account = session.get(Account, account_id, populate_existing=True)
        assert account is not None
        reached = min(began, client.now())
        if account.products_cursor_at is None or account.products_cursor_at > client.now() or account.products_cursor_at < reached:
            account.products_cursor_at = reached


def _bounds(account_id: int, client: TikTokClient) -> tuple[datetime | None, datetime]:
    """Where to begin: at the cursor, or at the first product that was read here, None while there is none. And the shop's time now."""
    cursor = db.session.scalar(select(Account.products_cursor_at).where(Account.id == account_id))
    first = select(func.min(func.coalesce(Listing.read_at, Listing.sent_at, Listing.created_at))).where(
        Listing.account_id == account_id, Listing.tiktok_id.is_not(None)
    )
    start = cursor or db.session.scalar(first)
    end_reading()
    now = client.now()
    return (None if start is None else min(start, now) - OVERLAP), now


def _ours(account_id: int, heads: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """The listings among these search results that are not as we have them."""
    by_id = {str(head["id"]): head for head in heads if head.get("id")}
    rows = db.session.execute(
        select(Listing.id, Listing.tiktok_id, Listing.remote_updated_at, Listing.remote_status, Listing.audit_status).where(
            Listing.account_id == account_id, Listing.tiktok_id.in_(by_id)
        )
    ).all()
    end_reading()
    found = []
    for row in rows:
        head = by_id[row.tiktok_id]
        seen = (row.remote_updated_at, row.remote_status, row.audit_status)
        if seen != (from_epoch(head.get("update_time")), str(head.get("status") or ""), str((head.get("audit") or {}).get("status") or "")):
            found.append((row.id, head))
    return found


def _long_in_review(account_id: int) -> list[int]:
    query = (
        select(Listing.id)
        .where(Listing.account_id == account_id, Listing.marketplace_state == IN_REVIEW, Listing.read_at < utcnow() - REVIEW_AGAIN)
        .order_by(Listing.read_at)
        .limit(_CHUNK)
    )
    found = list(db.session.scalars(query))
    end_reading()
    return found


def _name(listing_id: int) -> str:
    listing = db.session.get(Listing, listing_id)
    name = f"Listing {listing_id}" if listing is None else state.name_of(listing)
    end_reading()
    return name

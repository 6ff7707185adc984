"""Telling TikTok what a live product costs (TTS §5.3.17): only SKUs that differ, one call a product, read back.

A price that a rule of ours blocks is never sent. A running promotion holds the price (12052038, 12019045): it is tried again later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import Row, or_, select, update
from sqlalchemy.orm import Session

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient, explain_all
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain.money import minor_unit, to_step
from connector.models.listing import Listing, ListingSku
from connector.services import connections, events
from connector.services.products import claims, evaluate, state, switches
from connector.services.products.threads import complain, each

#: Products of one batch, and SKUs of one reading back (TTS §5.3.11).
AT_ONCE, READ_SKUS = 100, 10
#: TikTok takes prices of live products only.
SENDABLE = "ACTIVATE"
LOCKED = "tts.product.price_locked"
#: A promotion ends at some time; TikTok does not say when.
LOCKED_AGAIN = timedelta(hours=1)
REFUSED_AGAIN = timedelta(hours=6)


@dataclass(slots=True)
class Pushed:
    """What became of one listing. ``sent``: SKUs told to TikTok; ``verified``: SKUs that TikTok shows with their price; ``locked``: a promotion holds
    the price; ``refused``: (code, words, remedy)."""

    listing_id: int
    sent: int = 0
    verified: int = 0
    locked: bool = False
    refused: tuple[str, str, str] | None = None

    @property
    def sentence(self) -> str:
        if self.locked:
            return "A running promotion holds the price; it is sent again later."
        return f"{self.sent} prices sent and read back." if self.sent else "TikTok Shop has the right prices already."

    def raise_refusal(self) -> None:
        """For a run's item. Raises ``DomainError``."""
        if self.refused is not None:
            raise DomainError(*self.refused)


def due_listings(account_id: int, *, statuses: Collection[int] | None = None, limit: int = 100_000) -> list[int]:
    """Live listings with a price to be sent now. ``statuses``: Magento statuses that are synchronised by themselves (None: any)."""
    query = (
        select(ListingSku.listing_id)
        .join(Listing, Listing.id == ListingSku.listing_id)
        .where(ListingSku.account_id == account_id, ListingSku.price_due, _not_waiting(), Listing.remote_status == SENDABLE, Listing.tiktok_id.is_not(None))
        .distinct()
        .order_by(ListingSku.listing_id)
    )
    if statuses is not None:
        query = switches.synchronised(query, statuses)
    found = list(db.session.scalars(query.limit(limit)))
    end_reading()
    return found


def _not_waiting() -> Any:
    return or_(ListingSku.price_retry_at.is_(None), ListingSku.price_retry_at <= utcnow())


def push(listing_id: int) -> Pushed:
    """Send one listing's prices. Raises ``DomainError`` when it is not live, ``Unavailable`` while somebody else writes to it, and ``ApiError``."""
    row = db.session.execute(select(Listing.account_id, Listing.remote_status, Listing.busy_until).where(Listing.id == listing_id)).one_or_none()
    if row is None:
        raise state.unknown(listing_id)
    if row.remote_status != SENDABLE:
        shown = row.remote_status or "not uploaded"
        raise DomainError("listing.not_live", f"TikTok Shop takes prices of live products only; this one is {shown}.", "Its price is sent when it is live.")
    found = push_many(row.account_id, [listing_id], patient=False).get(listing_id)
    if found is None:
        raise claims.busy(row.busy_until)
    return found


def push_many(
    account_id: int,
    listing_ids: Collection[int],
    *,
    patient: bool = True,
    guard: Callable[[Session], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[int, Pushed]:
    """Send the prices of many listings; those that are not live or that somebody else is writing to are missing in the answer.

    ``patient``: prices that wait for a promotion's end are left alone until their time.
    """
    state.working_account(account_id)
    end_reading()
    client = connections.tiktok(account_id)
    return claims.in_batches(listing_ids, AT_ONCE, lambda claim: _Push(account_id, client, claim, patient, guard).run(), progress=progress)


@dataclass(slots=True)
class _Push:
    account_id: int
    client: TikTokClient
    claim: claims.Claim
    patient: bool
    guard: Callable[[Session], None] | None
    outcomes: dict[int, Pushed] = field(default_factory=dict)
    failures: dict[int, api.ApiError] = field(default_factory=dict)

    def run(self) -> dict[int, Pushed]:
        with unit_of_work() as session:
            if self.guard is not None:
                self.guard(session)
            evaluate.evaluate(self.claim.listing_ids, reason="Prices are sent", run_id=events.run_now.get())
        chosen = select(Listing.id, Listing.tiktok_id).where(Listing.id.in_(self.claim.listing_ids), Listing.remote_status == SENDABLE)
        live = {row.id: str(row.tiktok_id) for row in db.session.execute(chosen)}
        wanted: dict[int, list[Row[Any]]] = {}
        query = select(ListingSku.id, ListingSku.listing_id, ListingSku.seller_sku, ListingSku.tiktok_sku_id, ListingSku.wanted_price, ListingSku.currency)
        query = query.where(ListingSku.listing_id.in_(live), ListingSku.price_due, ListingSku.wanted_price.is_not(None))
        for row in db.session.execute((query.where(_not_waiting()) if self.patient else query).order_by(ListingSku.position)):
            wanted.setdefault(row.listing_id, []).append(row)
        end_reading()
        self.outcomes = {listing_id: Pushed(listing_id) for listing_id in live}

        def one(listing_id: int) -> api.ApiError | None:
            prices = {
                row.tiktok_sku_id: {"amount": f"{to_step(row.wanted_price, minor_unit(row.currency)):f}", "currency": row.currency}
                for row in wanted[listing_id]
            }
            if not self.claim.safe:
                return claims.busy(None)
            try:
                self.client.update_prices(live[listing_id], prices)
            except api.ApiError as error:
                return error
            return None

        answers = dict(zip(wanted, each(one, list(wanted)), strict=True))
        self._record_refusals(answers, wanted)
        told = {listing_id: rows for listing_id, rows in wanted.items() if not isinstance(answers[listing_id], api.Rejected)}
        if told:
            self._verify(told)
        complain(self.failures, calls=len(live))
        return self.outcomes

    def _record_refusals(self, answers: Mapping[int, api.ApiError | None], wanted: Mapping[int, Sequence[Row[Any]]]) -> None:
        for listing_id, error in answers.items():
            outcome = self.outcomes[listing_id]
            if error is None:
                outcome.sent = len(wanted[listing_id])
            elif not isinstance(error, api.Rejected):
                self.failures[listing_id] = error  # the reading back shows whether it arrived all the same
            elif error.code == LOCKED:
                outcome.locked = True
                self._wait([row.id for row in wanted[listing_id]], LOCKED_AGAIN)
            else:
                causes = explain_all(error.remote_code or "", error.remote_message or str(error), tuple(error.parameters or ()))
                said = "; ".join(f"{cause.message} ({cause.code})" for cause in causes)
                outcome.refused = (causes[0].family, f"TikTok Shop refused the price: {said}.", causes[0].remedy)
                self._refused(listing_id, [row.id for row in wanted[listing_id]], outcome.refused)

    def _wait(self, sku_ids: Sequence[int], how_long: timedelta) -> None:
        with unit_of_work() as session:
            again = utcnow() + how_long
            session.execute(update(ListingSku).where(ListingSku.id.in_(sku_ids)).values(price_retry_at=again).execution_options(synchronize_session=False))

    def _refused(self, listing_id: int, sku_ids: Sequence[int], why: tuple[str, str, str]) -> None:
        with unit_of_work() as session:
            self._wait(sku_ids, REFUSED_AGAIN)
            listing = session.get(Listing, listing_id, populate_existing=True)
            assert listing is not None
            state.fail(listing, *why)
            if why[0] in ("tts.product.status", "tts.product.not_found", "tts.product.foreign"):
                listing.status_due = True

    def _verify(self, told: Mapping[int, Sequence[Row[Any]]]) -> None:
        """Read the prices back, ten SKUs a call, and keep what TikTok shows."""
        ids = [row.tiktok_sku_id for rows in told.values() for row in rows]
        shown: dict[str, Decimal] = {}
        for start in range(0, len(ids), READ_SKUS):
            for product in self.client.iter_products({"sku_ids": ids[start : start + READ_SKUS]}):
                shown |= {str(sku["id"]): price for sku in product.get("skus") or () if (price := _amount(sku)) is not None}
        with unit_of_work() as session:
            for listing_id, rows in told.items():
                right = [row for row in rows if shown.get(row.tiktok_sku_id) == row.wanted_price]
                self.outcomes[listing_id].verified = len(right)
                if len(right) == len(rows):
                    self.outcomes[listing_id].sent = len(rows)
                    self.failures.pop(listing_id, None)
                    _forget_refusal(session, listing_id)
                for row in rows:
                    if row.tiktok_sku_id in shown:
                        values = {"live_price": shown[row.tiktok_sku_id], "price_due": row not in right, "price_retry_at": None}
                        session.execute(update(ListingSku).where(ListingSku.id == row.id).values(**values).execution_options(synchronize_session=False))


def _forget_refusal(session: Session, listing_id: int) -> None:
    listing = session.get(Listing, listing_id, populate_existing=True)
    if listing is not None and listing.failure_message.startswith("TikTok Shop refused the price"):
        state.clear_failure(listing)


def _amount(sku: Mapping[str, Any]) -> Decimal | None:
    try:
        return Decimal(str((sku.get("price") or {}).get("amount")))
    except InvalidOperation:
        return None

"""Telling TikTok how many units it may sell (TTS §5.3.15, §5.3.16, §6.7; product.md 4).

For up to a hundred products at once: claim them, read what TikTok has, work their stock out anew with that reading, send the SKUs that differ with every
warehouse of theirs, read back. TikTok takes absolute figures and knows no "only if unchanged": an order that is placed between the reading and the writing
is overwritten. The read-back sees it, because the committed units have grown, and the figure is sent again without them at once: first
with as many units less as were sold meanwhile, since a SKU that sells that fast is likely to do it again, and exactly when a round has passed in peace.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, func, or_, select, update
from sqlalchemy.orm import Session

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.clients.tiktok.envelope import ItemError
from connector.clients.tiktok.product_codes import PRODUCT_CODES
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain.stock import units
from connector.models.account import Account
from connector.models.listing import Listing, ListingSku
from connector.services import connections, events, runs
from connector.services.products import claims, due, evaluate, shop_stock, state, switches
from connector.services.products.evaluate import CLOSED
from connector.services.products.shop_stock import Reading
from connector.services.products.threads import complain, each

#: Products of one reading (TTS §5.3.16).
AT_ONCE = 100
#: Sends of one product before it is left for the next time.
ROUNDS = 6
_WAREHOUSES = "tts.product.warehouse"

_ON_TIKTOK = select(ListingSku.id, ListingSku.listing_id, ListingSku.seller_sku, ListingSku.tiktok_sku_id).where(ListingSku.tiktok_sku_id != "")
#: Refusals after which the product is read again.
_LOOK_AGAIN = ("tts.product.not_found", "tts.product.foreign", "tts.product.status")
#: A SKU that was refused is tried again after that long, or as soon as its figure changes.
PATIENCE = timedelta(minutes=15)

Places = Mapping[str, int]


@dataclass(slots=True)
class Pushed:
    """What became of one listing. ``sent``: SKUs told to TikTok; ``verified``: SKUs that TikTok shows as they were sent, or that needed nothing; ``refused``:
    (seller SKU, code, TikTok's words, remedy); ``slipped``: units sold while we were sending, which were taken off again; ``left``: SKUs still to be sent."""

    listing_id: int
    sent: int = 0
    verified: int = 0
    refused: list[tuple[str, str, str, str]] = field(default_factory=list)
    slipped: int = 0
    left: int = 0

    @property
    def sentence(self) -> str:
        parts = [f"{self.sent} SKUs sent and read back" if self.sent else "TikTok Shop has the right stock already"]
        if self.slipped:
            parts.append(f"{units(self.slipped)} sold meanwhile and taken off")
        if self.left:
            parts.append(f"{self.left} left for the next time")
        return "; ".join(parts) + "."

    def raise_refusal(self) -> None:
        """For a run's item: a refused SKU fails it. Raises ``DomainError``."""
        if self.refused:
            sku, code, message, remedy = self.refused[0]
            more = f" And {len(self.refused) - 1} more SKUs." if len(self.refused) > 1 else ""
            raise DomainError(code, f"TikTok Shop refused the stock of {sku}: {message}.{more}", remedy)


# --- which ones


def due_listings(account_id: int, *, falling: bool, statuses: Collection[int] | None = None, limit: int = 100_000) -> list[int]:
    """Listings of which TikTok has to be told another stock. ``falling``: those of which it offers too much, the greatest excess first; otherwise those
    that may only rise, where ``statuses`` names the Magento statuses that are synchronised by themselves (None: any)."""
    query = (
        select(ListingSku.listing_id)
        .join(Listing, Listing.id == ListingSku.listing_id)
        .where(ListingSku.account_id == account_id, ListingSku.stock_due, Listing.tiktok_id.is_not(None), Listing.remote_status.not_in(CLOSED))
        .where(_not_refused_lately())
        .group_by(ListingSku.listing_id)
    )
    if falling:
        excess = func.max(func.coalesce(ListingSku.live_quantity - ListingSku.wanted_quantity, 1_000_000))
        query = query.where(ListingSku.stock_falls).order_by(excess.desc())
    else:
        query = query.where(~ListingSku.stock_falls).order_by(ListingSku.listing_id)
        if statuses is not None:
            query = switches.synchronised(query, statuses)
    found = list(db.session.scalars(query.limit(limit)))
    end_reading()
    return found


def accounts_with_falls(account_id: int | None = None) -> list[int]:
    """Accounts that can work and of which TikTok offers too much somewhere."""
    query = (
        select(ListingSku.account_id)
        .join(Account, Account.id == ListingSku.account_id)
        .where(ListingSku.stock_due, ListingSku.stock_falls, _not_refused_lately(), Account.active)
        .distinct()
    )
    return list(db.session.scalars(query.where(Account.id == account_id) if account_id is not None else query))


def _not_refused_lately() -> ColumnElement[bool]:
    return or_(ListingSku.stock_refused_code.is_(None), ListingSku.stock_sent_at < utcnow() - PATIENCE, ListingSku.evaluated_at > ListingSku.stock_sent_at)


# --- sending


def push(listing_id: int) -> Pushed:
    """Send one listing's stock, falls and rises. Raises ``DomainError`` when TikTok does not have it or its account cannot work, ``Unavailable`` while
    somebody else is writing to it, and ``ApiError`` of the remote side."""
    row = db.session.execute(select(Listing.account_id, Listing.tiktok_id, Listing.busy_until).where(Listing.id == listing_id)).one_or_none()
    if row is None:
        raise state.unknown(listing_id)
    if row.tiktok_id is None:
        raise DomainError("listing.not_uploaded", "The product is not on TikTok Shop.", "Upload it, or link it to a product that is there.")
    found = push_many(row.account_id, [listing_id]).get(listing_id)
    if found is None:
        raise claims.busy(row.busy_until)
    return found


def push_many(
    account_id: int,
    listing_ids: Collection[int],
    *,
    rises: bool = True,
    guard: Callable[[Session], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[int, Pushed]:
    """Send the stock of many listings of one account, in the given order; one that somebody else is writing to is missing in the answer.

    ``rises`` False: only SKUs of which TikTok offers too much are sent. ``progress``: called with the number of listings done so far.
    """
    state.working_account(account_id)
    end_reading()
    client = connections.tiktok(account_id)
    return claims.in_batches(listing_ids, AT_ONCE, lambda claim: _Push(account_id, client, claim, rises, guard).run(), progress=progress)


@dataclass(slots=True)
class _Push:
    """A claimed batch on its way."""

    account_id: int
    client: TikTokClient
    claim: claims.Claim
    rises: bool
    guard: Callable[[Session], None] | None
    outcomes: dict[int, Pushed] = field(default_factory=dict)
    sent: dict[int, dict[int, Places]] = field(default_factory=dict)  #: listing -> SKU -> what was sent in this round
    failures: dict[int, api.ApiError] = field(default_factory=dict)
    verified: dict[int, set[int]] = field(default_factory=dict)
    margins: dict[int, int] = field(default_factory=dict)  #: SKU -> units that were sold while we were sending, which is likely to happen again
    short: set[int] = field(default_factory=set)  #: SKUs that were sent with such a margin
    warehouses_again: set[int] = field(default_factory=set)
    tiktok_ids: dict[int, str] = field(default_factory=dict)

    def run(self) -> dict[int, Pushed]:
        query = select(Listing.id, Listing.tiktok_id).where(Listing.id.in_(self.claim.listing_ids))
        self.tiktok_ids = {row.id: row.tiktok_id for row in db.session.execute(query)}
        end_reading()
        self.outcomes = {listing_id: Pushed(listing_id) for listing_id in self.tiktok_ids}
        waiting, slipped = sorted(self.tiktok_ids), set[str]()
        readings = self._shown(waiting)
        for number in range(ROUNDS):
            if number and not self.claim.safe:
                self.claim.prolong()
            self._work_out(waiting, readings)
            self._send(waiting)
            told = [listing_id for listing_id in waiting if listing_id in self.sent]
            if not told:
                break
            before, readings = readings, self._shown(told)
            waiting = self._verify(told, before, readings, slipped)
            if not waiting:
                break
        for listing_id in waiting:
            self.outcomes[listing_id].left = len(self.sent.get(listing_id, ()))
        if slipped:
            self._ask_for_orders(slipped)
        complain(self.failures, calls=len(self.outcomes))
        for listing_id in self.failures:
            self.outcomes[listing_id].left = max(1, self.outcomes[listing_id].left)
        return self.outcomes

    # --- reading

    def _shown(self, listing_ids: Sequence[int]) -> dict[str, Reading]:
        return shop_stock.read(self.client, [self.tiktok_ids[listing_id] for listing_id in listing_ids])

    def _work_out(self, listing_ids: Sequence[int], readings: Mapping[str, Reading]) -> None:
        """Keep the reading and evaluate with it; units that TikTok holds for orders we do not know count as open."""
        with unit_of_work() as session:
            if self.guard is not None:
                self.guard(session)
            rows = session.execute(_ON_TIKTOK.where(ListingSku.listing_id.in_(listing_ids))).all()
            shop_stock.keep(session, rows, readings)
            known = shop_stock.known_units(session, self.account_id, [row.seller_sku for row in rows if row.tiktok_sku_id in readings])
            unknown = {row.id: readings[row.tiktok_sku_id].held - known.get(row.seller_sku, 0) for row in rows if row.tiktok_sku_id in readings}
            evaluate.evaluate(
                listing_ids, reason="TikTok's stock was read", run_id=events.run_now.get(), committed={key: held for key, held in unknown.items() if held > 0}
            )

    # --- sending

    def _send(self, listing_ids: Sequence[int]) -> None:
        """One call a product, several at once; what was sent is in ``self.sent``."""
        self.sent, self.short, rows = {}, set(), {row.id: row for row in self._differing(listing_ids)}
        for row in rows.values():
            places = less(row.wanted_warehouses, self.margins.pop(row.id, 0))
            self.sent.setdefault(row.listing_id, {})[row.id] = places
            if places != row.wanted_warehouses:
                self.short.add(row.id)
        end_reading()

        def one(listing_id: int) -> tuple[int, dict[int, ItemError], api.ApiError | None]:
            skus = self.sent[listing_id]
            if not self.claim.safe:
                return listing_id, {}, claims.busy(None)
            try:
                answer = self.client.update_inventory(self.tiktok_ids[listing_id], {rows[sku_id].tiktok_sku_id: places for sku_id, places in skus.items()})
            except api.ApiError as error:
                return listing_id, {}, error
            named = {sku_id: answer.errors[rows[sku_id].tiktok_sku_id] for sku_id in skus if rows[sku_id].tiktok_sku_id in answer.errors}
            if answer.unnamed:
                named |= dict.fromkeys((sku_id for sku_id in skus if sku_id not in named), answer.unnamed[0])
            return listing_id, named, None

        self._record_answers(each(one, list(self.sent)), rows)

    def _differing(self, listing_ids: Sequence[int]) -> Sequence[Row[Any]]:
        query = select(ListingSku.id, ListingSku.listing_id, ListingSku.seller_sku, ListingSku.tiktok_sku_id, ListingSku.wanted_warehouses)
        query = query.where(ListingSku.listing_id.in_(listing_ids), ListingSku.stock_due, ListingSku.wanted_quantity.is_not(None))
        if not self.rises:
            query = query.where(ListingSku.stock_falls)
        return db.session.execute(query.order_by(ListingSku.position)).all()

    def _record_answers(self, answers: Iterable[tuple[int, dict[int, ItemError], api.ApiError | None]], rows: Mapping[int, Row[Any]]) -> None:
        refused: dict[int, tuple[str, str, str]] = {}
        for listing_id, named, error in answers:
            self.failures.pop(listing_id, None)
            if error is not None:
                if isinstance(error, api.Rejected) and error.remote_code is not None:
                    named = dict.fromkeys(self.sent[listing_id], ItemError("", error.remote_code, error.remote_message or str(error)))
                else:
                    self.failures[listing_id] = error  # the read-back shows whether it arrived all the same
                    if isinstance(error, api.Unauthorized):
                        self.sent.pop(listing_id)
                    continue
            for sku_id, item in named.items():
                code, message, remedy = _words(item)
                if code == _WAREHOUSES and listing_id not in self.warehouses_again:
                    continue  # its warehouses are other ones than we knew: read again and repeat once
                refused[sku_id] = (code, message, remedy)
                self.sent[listing_id].pop(sku_id)
                self.outcomes[listing_id].refused.append((rows[sku_id].seller_sku, code, message, remedy))
            if any(_words(item)[0] == _WAREHOUSES for item in named.values()):
                self.warehouses_again.add(listing_id)
        look_again = {rows[sku_id].listing_id for sku_id, (code, _, _) in refused.items() if code in _LOOK_AGAIN}
        with unit_of_work() as session:
            now = utcnow()
            if look_again:
                session.execute(update(Listing).where(Listing.id.in_(look_again)).values(status_due=True).execution_options(synchronize_session=False))
            told = [sku_id for skus in self.sent.values() for sku_id in skus]
            if told:
                values = {"stock_sent_at": now, "stock_refused_code": None, "stock_refused": ""}
                session.execute(update(ListingSku).where(ListingSku.id.in_(told)).values(**values).execution_options(synchronize_session=False))
            for sku_id, (code, message, remedy) in refused.items():
                words = {"stock_sent_at": now, "stock_refused_code": code, "stock_refused": f"{message}. {remedy}"}
                session.execute(update(ListingSku).where(ListingSku.id == sku_id).values(**words).execution_options(synchronize_session=False))
                events.record(
                    "listing.stock_refused", "listing", rows[sku_id].listing_id, f"TikTok Shop refused the stock of {rows[sku_id].seller_sku}: {message}.",
                    account_id=self.account_id, reason=code,
                )  # fmt: skip

    # --- reading back

    def _verify(self, told: Sequence[int], before: Mapping[str, Reading], after: Mapping[str, Reading], slipped: set[str]) -> list[int]:
        """Compare what was sent with what TikTok shows and keep that; the listings that have to be sent again."""
        again, verified = set[int](), list[int]()
        with unit_of_work() as session:
            if self.guard is not None:
                self.guard(session)
            rows = session.execute(_ON_TIKTOK.where(ListingSku.listing_id.in_(told))).all()
            shop_stock.keep(session, rows, after)
            for row in rows:
                if row.id not in self.sent[row.listing_id]:
                    continue
                shown, was, outcome = after.get(row.tiktok_sku_id), before.get(row.tiktok_sku_id), self.outcomes[row.listing_id]
                grown = {} if shown is None or was is None else {place: max(0, held - was.committed.get(place, 0)) for place, held in shown.committed.items()}
                if any(grown.values()):
                    slipped.add(row.seller_sku)
                    self.margins[row.id] = sum(grown.values())
                    outcome.slipped += sum(grown.values())
                sent = self.sent[row.listing_id][row.id]
                right = shown is not None and all(shown.available.get(place) == told_units - grown.get(place, 0) for place, told_units in sent.items())
                if right and row.id not in self.short:
                    verified.append(row.id)
                    self.verified.setdefault(row.listing_id, set()).add(row.id)
                else:
                    again.add(row.listing_id)
            if verified:
                values = {"stock_due": False, "stock_falls": False, "stock_verified_at": utcnow()}
                session.execute(update(ListingSku).where(ListingSku.id.in_(verified)).values(**values).execution_options(synchronize_session=False))
        for listing_id in told:
            self.outcomes[listing_id].sent = max(self.outcomes[listing_id].sent, len(self.sent[listing_id]))
            self.outcomes[listing_id].verified = len(self.verified.get(listing_id, ()))
            if listing_id not in again:
                self.failures.pop(listing_id, None)
        return sorted(again)

    def _ask_for_orders(self, seller_skus: set[str]) -> None:
        """Orders came in while we were sending: fetch them soon, and work out again with them."""
        with unit_of_work():
            runs.submit("orders.import", account_id=self.account_id, key=f"schedule:orders.import:{self.account_id}", started_by="stock")
            due.mark(reason="Sold on TikTok while its stock was sent", content=False, skus=seller_skus, account_id=self.account_id)


def less(places: Places, margin: int) -> dict[str, int]:
    """The figures with ``margin`` units less, as far as there are any, taken where most are."""
    left = dict(places)
    for place in sorted(left, key=lambda place: -left[place]):
        off = min(left[place], margin)
        left[place], margin = left[place] - off, margin - off
    return left


def _words(error: ItemError) -> tuple[str, str, str]:
    """(our code, TikTok's words, remedy) of a SKU's refusal; the cause under a wrapper counts."""
    causes = [*error.extra, (error.code, error.message)]
    for code, message in causes:
        family = PRODUCT_CODES.get(int(code)) if code.isdigit() else None
        if family is not None and family.ours != "tts.product.check_failed":
            return family.ours, f"{message or family.title} ({code})", family.remedy
    return f"tts.{error.code}", f"{error.message} ({error.code})", "Read TikTok's message; correct the cause and sync again."

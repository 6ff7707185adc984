"""Change Status: show products to buyers or hide them, delete and recover them, twenty at a time, each read back (A159, A170; TTS §5.3.14)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from connector.clients.tiktok import BatchResult, ItemError, TikTokClient, explain_all
from connector.clients.tiktok.products import STATUS_LIMIT
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.models.listing import Listing
from connector.services import connections, events
from connector.services.products import state, status_sync

ACTIVATE, DEACTIVATE, DELETE, RECOVER = "activate", "deactivate", "delete", "recover"


@dataclass(frozen=True, slots=True)
class Action:
    """``reached``: statuses that mean it is done; ``done``: the words for it."""

    title: str
    call: Callable[[TikTokClient, Sequence[str]], BatchResult]
    reached: tuple[str, ...]
    done: str
    of_template: bool = True  #: refused while the listing's template is disabled


ACTIONS: dict[str, Action] = {
    ACTIVATE: Action("Activate", TikTokClient.activate_products, ("ACTIVATE", "PENDING"), "Active"),
    DEACTIVATE: Action("Deactivate", TikTokClient.deactivate_products, ("SELLER_DEACTIVATED",), "Inactive"),
    DELETE: Action("Delete on TikTok Shop", TikTokClient.delete_products, ("DELETED",), "Deleted on TikTok Shop", of_template=False),
    RECOVER: Action("Recover on TikTok Shop", TikTokClient.recover_products, ("SELLER_DEACTIVATED",), "Recovered; it is inactive until it is set active"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one listing: a sentence, or the refusal."""

    message: str = ""
    error: DomainError | None = None


def change(
    account_id: int, listing_ids: Iterable[int], active: bool = True, *, action: str = "", guard: Callable[[Session], None] | None = None
) -> dict[int, Outcome]:
    """Carry out an action (``active``: activate or deactivate) for these listings; what became of each.

    Raises ``Unavailable``, ``Uncertain`` and ``Unauthorized``; repeating is harmless, because what TikTok shows afterwards decides.
    """
    state.working_account(account_id)
    name = action or (ACTIVATE if active else DEACTIVATE)
    client, outcomes, ready = connections.tiktok(account_id), dict[int, Outcome](), list[tuple[int, str]]()
    for listing_id in dict.fromkeys(listing_ids):
        try:
            ready.append((listing_id, _acceptable(account_id, listing_id, name)))
        except DomainError as refused:
            outcomes[listing_id] = Outcome(error=refused)
    end_reading()
    for first in range(0, len(ready), STATUS_LIMIT):
        chunk = ready[first : first + STATUS_LIMIT]
        result = ACTIONS[name].call(client, [tiktok_id for _, tiktok_id in chunk])
        for listing_id, tiktok_id in chunk:
            outcomes[listing_id] = _read_back(client, listing_id, name, result.errors.get(tiktok_id) or _unnamed(result, len(chunk)), guard)
    return outcomes


class Changer:
    """``change`` for the items of a run: the first of every twenty carries them all out."""

    def __init__(self, account_id: int, refs: Iterable[str], action: str, guard: Callable[[Session], None] | None = None) -> None:
        ids = [int(ref) for ref in refs]
        self._chunk_of = {one: ids[first : first + STATUS_LIMIT] for first in range(0, len(ids), STATUS_LIMIT) for one in ids[first : first + STATUS_LIMIT]}
        self._account_id, self._action, self._guard = account_id, action, guard
        self._outcomes: dict[int, Outcome] = {}

    def take(self, ref: str) -> str:
        """A sentence about one listing. Raises ``DomainError`` with TikTok's words, and ``ApiError``."""
        listing_id = int(ref)
        if listing_id not in self._outcomes:
            self._outcomes |= change(self._account_id, self._chunk_of[listing_id], action=self._action, guard=self._guard)
        outcome = self._outcomes[listing_id]
        if outcome.error is not None:
            raise outcome.error
        return outcome.message


def _acceptable(account_id: int, listing_id: int, action: str) -> str:
    """The TikTok id of a listing that the action may be tried on. Raises ``DomainError``."""
    listing = db.session.get(Listing, listing_id, populate_existing=True)
    if listing is None or listing.account_id != account_id:
        raise NotFoundError("listing.unknown", f"There is no listing {listing_id} in this account.", "It may have been removed; reload the page.")
    if ACTIONS[action].of_template:
        state.refuse_disabled_template(listing)
    if listing.tiktok_id is None:
        raise DomainError("listing.not_uploaded", f"{state.name_of(listing)} is not on TikTok Shop.", "Upload it first, or link it to a product that is there.")
    return listing.tiktok_id


def _read_back(client: TikTokClient, listing_id: int, action: str, error: ItemError | None, guard: Callable[[Session], None] | None) -> Outcome:
    """What TikTok shows decides, whatever it answered: already so is done, accepted without effect is not."""
    wanted = ACTIONS[action]
    found = state.fetch_listing(client, listing_id)
    status = str(found.product.get("status") or "")
    status_sync.write(listing_id, found, guard)
    with unit_of_work() as session:
        listing = session.get(Listing, listing_id)
        assert listing is not None
        name = state.name_of(listing)
        if status in wanted.reached:
            message = f"{wanted.done} (TikTok Shop shows {status})."
            if error is None:
                events.record(f"listing.{action}", "listing", listing_id, message, account_id=listing.account_id)
            return Outcome(message)
    if error is None:
        return Outcome(
            error=DomainError(
                "listing.not_applied", f"TikTok Shop accepted {wanted.title.lower()!r} for {name}, but still shows {status}.",
                "Try again in a moment; if it stays so, do it in Seller Center.",
            )
        )  # fmt: skip
    return Outcome(error=refusal(name, wanted.title.lower(), error, status))


def refusal(name: str, what: str, error: ItemError, status: str = "") -> DomainError:
    """TikTok's refusal of one product of a batch, its words verbatim."""
    causes = explain_all(error.code, error.message, error.extra)
    said = "; ".join(f"{cause.message} ({cause.code})" for cause in causes)
    shows = f" It shows {status}." if status else ""
    remedy = " ".join(dict.fromkeys(cause.remedy for cause in causes))
    return DomainError(causes[0].family, f"TikTok Shop refused to {what} {name}: {said}.{shows}", remedy)


def _unnamed(result: BatchResult, asked: int) -> ItemError | None:
    """An error that names no product is about the only one that was asked for, or about all."""
    return result.unnamed[0] if result.unnamed and (asked == 1 or not result.errors) else None

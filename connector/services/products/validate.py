"""Validate: everything TikTok will check, checked here first and kept on the listing with field and remedy (A157, A176; product.md 5)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.domain.listing_codes import ListingProblem
from connector.models.listing import INCOMPLETE, READY, Listing, ListingSku
from connector.services.products import drafts, images
from connector.services.products.drafts import Prepared

Guard = Callable[[Session], None]


def validate(listing_ids: Collection[int], *, guard: Guard | None = None) -> dict[int, list[ListingProblem]]:
    """Check these listings and store the result; all problems by listing, warnings among them. No HTTP: pictures that TikTok does not have yet are
    believed to be good, refused ones are not. ``guard``: called in each transaction, see ``JobContext.commit_guard``."""
    answer: dict[int, list[ListingProblem]] = {}
    ids = sorted(set(listing_ids))
    for start in range(0, len(ids), drafts.BATCH):
        prepared = drafts.prepare(ids[start : start + drafts.BATCH])
        keep(prepared, guard)
        answer |= {listing_id: list(one.problems) for listing_id, one in prepared.items()}
    return answer


def with_pictures(listing_id: int) -> list[ListingProblem]:
    """Check one listing after TikTok was given its pictures. Raises ``ApiError`` when the store or TikTok is away."""
    one = drafts.prepare([listing_id]).get(listing_id)
    end_reading()
    if one is not None and one.pending:
        images.host(one.listing.account, one.record.magento_id, one.needed_files)
    return validate([listing_id]).get(listing_id, [])


def as_row(problem: ListingProblem) -> dict[str, Any]:
    """As ``Listing.problems`` keeps it."""
    return {"code": problem.code, "field": problem.field, "reason": problem.message, "remedy": problem.remedy, "warning": problem.warning}


def keep(prepared: Mapping[int, Prepared], guard: Guard | None = None) -> None:
    """Store the verdict on these listings, by id, as they were prepared a moment ago."""
    now = utcnow()
    rows = [
        {
            "id_": listing_id,
            "validation": INCOMPLETE if one.refusals else READY,
            "problems": [as_row(problem) for problem in one.problems],
            "validated_at": now,
            "content_hash": one.content_hash or one.listing.content_hash,
        }
        for listing_id, one in prepared.items()
    ]
    table = Listing.__table__
    with unit_of_work() as session:
        if guard is not None:
            guard(session)
        if rows:
            values = {name: bindparam(name) for name in rows[0] if name != "id_"}
            session.connection().execute(update(table).where(table.c.id == bindparam("id_")).values(**values), rows)
        _identifiers(session, prepared)
    for one in prepared.values():
        db.session.expire(one.listing, ["validation", "problems", "validated_at", "content_hash"])


def _identifiers(session: Session, prepared: Mapping[int, Prepared]) -> None:
    """Codes that the variants would be sent with: the next listing may not use them again."""
    wanted = {
        (listing_id, sku.seller_sku.casefold()): sku.identifier.code if sku.identifier else ""
        for listing_id, one in prepared.items()
        if one.shown is not None
        for sku in one.shown.skus
    }
    if not wanted:
        return
    query = select(ListingSku.id, ListingSku.listing_id, ListingSku.seller_sku_key, ListingSku.identifier)
    found = session.execute(query.where(ListingSku.listing_id.in_({listing_id for listing_id, _ in wanted})))
    rows = [
        {"id_": sku_id, "code": wanted[listing_id, key][:40]}
        for sku_id, listing_id, key, identifier in found
        if (listing_id, key) in wanted and identifier != wanted[listing_id, key][:40]
    ]
    if rows:
        table = ListingSku.__table__
        session.connection().execute(update(table).where(table.c.id == bindparam("id_")).values(identifier=bindparam("code")), rows)

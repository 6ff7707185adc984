"""Looking again at listings whose content may have changed: their problems and the hash that tells whether an update is due (A074, A176)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from connector.core.db import db, end_reading, unit_of_work
from connector.models.listing import UNCHECKED, Listing
from connector.services.products import due, validate

_AT_ONCE = 200


def check(listing_ids: Collection[int], *, guard: Callable[[Session], None] | None = None) -> int:
    """Validate these and take their mark away; how many there were. A change that arrives meanwhile marks them anew.

    The mark goes first, and the listing counts as unchecked until the answer is stored: work that is cut off in between is found again.
    """
    ids = sorted(listing_ids)
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        with unit_of_work() as session:
            if guard is not None:
                guard(session)
            session.execute(
                update(Listing).where(Listing.id.in_(part)).values(content_due=False, validation=UNCHECKED).execution_options(synchronize_session=False)
            )
        validate.validate(part, guard=guard)
    return len(ids)


def check_due(account_id: int, *, guard: Callable[[Session], None] | None = None, cancelled: Callable[[], bool] = lambda: False) -> int:
    """Every marked listing of an account that has a template, and those that were cut off; one that never was checked is left to the person who validates or uploads it."""
    done, last = 0, 0
    here = (Listing.account_id == account_id, or_(Listing.content_due, due.cut_off()), Listing.template_id.is_not(None))
    while not cancelled():
        ids = list(db.session.scalars(select(Listing.id).where(*here, Listing.id > last).order_by(Listing.id).limit(_AT_ONCE)))
        end_reading()
        if not ids:
            break
        done, last = done + check(ids, guard=guard), ids[-1]
    return done

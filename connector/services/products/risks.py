"""What stands between the figures that are wanted and those on TikTok Shop, as conditions on ``ListingSku``; the grid's filters and the Today page use the same."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, literal_column, or_

from connector.core.clock import utcnow
from connector.models.listing import ListingSku

#: Falling stock that waits longer than this may be sold twice.
TOO_LONG = timedelta(minutes=5)

#: TikTok offers more than is wanted, and was not told yet.
FALLING: tuple[ColumnElement[bool], ...] = (ListingSku.stock_due.is_(True), ListingSku.stock_falls.is_(True))
#: On TikTok, and nobody knows how much there is.
UNREAD: tuple[ColumnElement[bool], ...] = (ListingSku.wanted_quantity.is_(None), ListingSku.tiktok_sku_id != literal_column("''"))
#: No price is sent, for a reason that is written beside it.
PRICE_BLOCKED: tuple[ColumnElement[bool], ...] = (ListingSku.price_block != literal_column("''"),)


def oversell() -> tuple[ColumnElement[bool], ...]:
    """TikTok offers more than is wanted, and either refused the lower figure or has waited for it too long."""
    return (*FALLING, or_(ListingSku.stock_refused_code.is_not(None), ListingSku.evaluated_at < utcnow() - TOO_LONG))

"""The stock ledger of a product: what each quantity is made of, where it stands, who holds units, and how it came about (product.md 14)."""

from __future__ import annotations

from flask import abort, render_template, request
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from connector.blueprints.products.page import find, head_of
from connector.blueprints.products.views import bp
from connector.core.db import db
from connector.models.listing import ListingSku, StockEntry
from connector.services.products import actions, ledger, side_by_side
from connector.web.auth import requires

_ENTRIES = 50


@bp.get("/<int:product_id>/stock")
@requires("products.read")
def stock(product_id: int) -> str:
    """One SKU's account statement, chosen from all SKUs of the listing. ``before``: entries older than this one."""
    here = find(product_id)
    rows = _skus(here.listing.id) if here.listing is not None else []
    wanted, before = request.args.get("sku", ""), request.args.get("before", "")
    chosen = next((row for row in rows if str(row.id) == wanted), None)
    if wanted and chosen is None:
        abort(404)
    chosen = chosen or next((row for row in rows if row.stock_due and row.stock_falls), rows[0] if rows else None)
    account = ledger.of_sku(chosen.id, limit=_ENTRIES, before=int(before) if before.isdigit() else None) if chosen else None
    verdict = None
    if here.account is not None:
        (subject,) = actions.subjects(here.account.id, product_ids=[product_id])
        verdict = actions.decide(actions.SYNC, subject, here.account)
    return render_template(
        "products/stock.html", **head_of(here), rows=rows, chosen=chosen, ledger=account, adds_up=_adding_up(rows), verdict=verdict, before=before,
        warehouses=side_by_side.warehouses(here.account.id) if here.account else {},
    )  # fmt: skip


def _skus(listing_id: int) -> list[ListingSku]:
    query = select(ListingSku).where(ListingSku.listing_id == listing_id).options(joinedload(ListingSku.product))
    return list(db.session.scalars(query.order_by(ListingSku.position, ListingSku.id).execution_options(populate_existing=True)))


def _adding_up(rows: list[ListingSku]) -> dict[int, bool]:
    """Whether the ledger of each SKU adds up to what is wanted."""
    query = select(StockEntry.listing_sku_id, func.sum(StockEntry.change)).where(StockEntry.listing_sku_id.in_([row.id for row in rows]))
    sums = {sku_id: int(total) for sku_id, total in db.session.execute(query.group_by(StockEntry.listing_sku_id))}
    return {row.id: sums.get(row.id, 0) == (row.wanted_quantity or 0) for row in rows}

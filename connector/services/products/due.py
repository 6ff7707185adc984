"""Which listings have to be looked at again: marked where something changes, evaluated a moment later, once for many changes (debounce)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, or_, select, true, update

from connector.core.clock import utcnow
from connector.core.db import unit_of_work
from connector.models.account import Account, MagentoConnection
from connector.models.listing import UNCHECKED, Listing, ListingSku
from connector.models.product import Product

#: Changes within this time are one evaluation.
DEBOUNCE = timedelta(seconds=2)
_AT_ONCE = 500


def mark(
    *,
    reason: str,
    content: bool,
    product_ids: Collection[int] | None = None,
    listing_ids: Collection[int] | None = None,
    template_ids: Collection[int] | None = None,
    skus: Collection[str] | None = None,
    account_id: int | None = None,
) -> int:
    """Ask for an evaluation of every listing that one of these concerns, inside the caller's transaction; how many there are.

    A variant's product concerns the listing that holds it. ``skus``: Magento's or seller SKUs, case aside. ``account_id`` limits it to one account,
    and alone means all of its listings. ``content``: more than price and stock may have changed. A listing that is due already keeps its instant
    and its first reason. Its row is written all the same: an evaluation that is about to read has to wait for the caller's commit, or it would
    clear the mark without having seen what the mark is about.
    """
    named: list[tuple[Collection[Any], Callable[[list[Any]], ColumnElement[bool]]]] = [
        (ids, make)
        for ids, make in (
            (listing_ids, lambda part: Listing.id.in_(part)),
            (template_ids, lambda part: Listing.template_id.in_(part)),
            (product_ids, _of_products),
            (None if skus is None else {sku.casefold() for sku in skus}, _of_skus),
        )
        if ids is not None
    ]
    if not named:
        if account_id is None:
            raise ValueError("name what has changed")
        return _update(true(), reason, content, account_id)
    marked = 0
    with unit_of_work():
        for ids, make in named:
            rows: list[Any] = sorted(ids)
            for start in range(0, len(rows), _AT_ONCE):
                marked += _update(make(rows[start : start + _AT_ONCE]), reason, content, account_id)
    return marked


def _of_products(ids: list[int]) -> ColumnElement[bool]:
    return or_(Listing.product_id.in_(ids), Listing.id.in_(select(ListingSku.listing_id).where(ListingSku.product_id.in_(ids))))


def _of_skus(keys: list[str]) -> ColumnElement[bool]:
    """Every listing of the products that are called so: in Magento, or as seller SKU of some account. What one account sells, the others lack.

    The leading columns of the indexes are named, so that this stays a few look-ups in a big catalogue.
    """
    products = select(Product.id).where(Product.magento_id.in_(select(MagentoConnection.id)), Product.sku_key.in_(keys))
    sold_as = select(ListingSku.product_id).where(ListingSku.account_id.in_(select(Account.id)), ListingSku.seller_sku_key.in_(keys))
    meant = products.union(sold_as)
    return or_(Listing.product_id.in_(meant), Listing.id.in_(select(ListingSku.listing_id).where(ListingSku.product_id.in_(meant))))


def _update(which: ColumnElement[bool], reason: str, content: bool, account_id: int | None) -> int:
    here = [which] if account_id is None else [which, Listing.account_id == account_id]
    soon = utcnow() + DEBOUNCE
    sooner = Listing.due_at.is_(None) | (Listing.due_at > soon)  # an evaluation may be set for later, such as when a special price begins
    values: dict[str, Any] = {
        "due_at": case((sooner, soon), else_=Listing.due_at),
        "due_reason": case((sooner, reason[:200]), else_=Listing.due_reason),
        "updated_at": Listing.updated_at,
    }
    if content:
        values["content_due"] = True
    with unit_of_work() as session:
        if session.get_bind().dialect.name == "postgresql":
            # locked in one order everywhere, so that two callers wait for each other instead of blocking each other
            here = [Listing.id.in_(select(Listing.id).where(*here).order_by(Listing.id).with_for_update())]
        statement = update(Listing).where(*here).values(**values)
        return session.execute(statement.execution_options(synchronize_session=False)).rowcount  # type: ignore[attr-defined, no-any-return]


def waits(account_id: int | None = None) -> ColumnElement[bool]:
    """The listings whose evaluation is due now, as a condition. Paused accounts' wait."""
    condition = Listing.due_at.is_not(None) & (Listing.due_at <= utcnow())
    if account_id is not None:
        return condition & (Listing.account_id == account_id)
    return condition & exists().where(Account.id == Listing.account_id, Account.active)


def cut_off() -> ColumnElement[bool]:
    """Listings whose mark was taken away by a worker that died before it stored the answer: validated once, and unchecked again."""
    return and_(Listing.validation == UNCHECKED, Listing.validated_at.is_not(None))

"""How the products grid is narrowed: the account in view, its rows, the search, the filters and the numbers on the tabs (A157-A177)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, case, exists, false, func, or_, select, true, type_coerce, union_all
from sqlalchemy.orm import aliased

from connector.core.db import db
from connector.grids.filters import Args, Chip, Choices, Flag, Options
from connector.models import listing as states
from connector.models.account import AUTH_CONNECTED, Account, MagentoConnection
from connector.models.listing import Listing, ListingSku, ListingTemplate
from connector.models.product import Product
from connector.services.products import risks

#: Marketplace Statuses that have a tab of their own.
STATE_TABS = (states.IN_REVIEW, states.LIVE, states.REJECTED, states.INACTIVE)


@dataclass(frozen=True)
class View:
    """What is looked at: an account's products. ``variants``: the children of configurables as rows of their own too."""

    account_id: int
    magento_id: int
    variants: bool = False


def bounds(view: View | None) -> Sequence[ColumnElement[bool]]:
    """A variant is no row of its own, unless it is asked for or has a listing of its own."""
    if view is None:
        return (false(),)
    bounds = [Product.magento_id == view.magento_id]
    if not view.variants:
        bounds.append(or_(Product.is_child.is_(False), Product.visibility != 1, Listing.id.is_not(None)))
    return bounds


def own_listing(view: View | None) -> ColumnElement[bool]:
    """What makes a listing the row's."""
    return and_(Listing.product_id == Product.id, Listing.account_id == (view.account_id if view else 0))


def tab_counts(view: View | None) -> Mapping[str, int]:
    """Exact numbers from the narrow indexes: the machine's own counts would look at every product for each tab."""
    if view is None:
        return {}
    products = select(func.count()).select_from(Product).where(Product.magento_id == view.magento_id)
    listings = select(func.count()).select_from(Listing).where(Listing.account_id == view.account_id)
    own = exists().where(Listing.account_id == view.account_id, Listing.product_id == Product.id)
    variant = and_(Product.is_child, Product.visibility == 1)
    templates = select(ListingTemplate.id).where(ListingTemplate.account_id == view.account_id)
    asked = {
        "hidden": products.where(variant, ~own),
        "all": products,
        "assigned": select(func.count()).select_from(Listing).where(Listing.template_id.in_(templates)),
        "not_uploaded": listings.where(Listing.marketplace_state == states.NOT_UPLOADED, Listing.template_id.is_not(None)),
        **{state: listings.where(Listing.marketplace_state == state) for state in STATE_TABS},
        "incomplete": listings.where(Listing.validation == states.INCOMPLETE),
        "error": listings.where(Listing.failure_code.is_not(None)),
    }
    row = db.session.connection().execute(select(*(question.scalar_subquery().label(key) for key, question in asked.items()))).one()
    counts = dict(row._mapping)
    hidden, assigned = counts.pop("hidden"), counts.pop("assigned")
    counts["all"] -= 0 if view.variants else hidden
    return counts | {"unassigned": max(0, counts["all"] - assigned)}


# --- search ---------------------------------------------------------------------------------------------------------------------------------


def search(statement: Select[Any], words: str) -> Select[Any]:
    """Name and SKU by substring, a variant's SKU too; TikTok's ids of product and SKU, Magento's id by equality. Each way is a query over an index."""
    words = words.strip()
    stores = select(MagentoConnection.id)
    ways: list[Select[Any]] = [
        select(Product.id).where(Product.name.icontains(words, autoescape=True)),
        select(Product.id).where(Product.sku.icontains(words, autoescape=True)),
        select(Listing.product_id).join(ListingSku, ListingSku.listing_id == Listing.id).where(ListingSku.seller_sku.icontains(words, autoescape=True)),
    ]
    if words.isdigit():
        accounts = select(Account.id)
        ways.append(select(Listing.product_id).where(Listing.account_id.in_(accounts), Listing.tiktok_id == words))
        by_sku = select(Listing.product_id).join(ListingSku, ListingSku.listing_id == Listing.id)
        ways.append(by_sku.where(ListingSku.account_id.in_(accounts), ListingSku.tiktok_sku_id == words))
        if len(words) < 10:
            ways.append(select(Product.id).where(Product.magento_id.in_(stores), Product.entity_id == int(words)))
    ways += _parents_of(words)
    return statement.where(Product.id.in_(union_all(*ways)))


def _parents_of(words: str) -> list[Select[Any]]:
    """The configurables of the child that has exactly this SKU, by their lists of children: not every one has a listing that knows its SKUs."""
    here = (Product.magento_id.in_(select(MagentoConnection.id)), Product.sku_key == words.casefold())
    found = db.session.scalars(select(Product.entity_id).where(*here, Product.is_child).limit(5)).all()
    if not found:
        return []
    listed = func.replace(func.replace(type_coerce(Product.child_ids, Text), "[", ","), "]", ",")
    return [select(Product.id).where(Product.type_id == "configurable", or_(*(listed.contains(f",{entity_id},") for entity_id in found)))]


# --- filters --------------------------------------------------------------------------------------------------------------------------------


class AccountView(Choices):
    """Whose listings are shown (the Account View of A180): always exactly one, the first unless another is chosen."""

    kind = "one_of"

    def __init__(self) -> None:
        super().__init__("account", "Account View", None, account_choices, multiple=False, pinned=True)

    def parse(self, args: Args, tz: Any, options: Options) -> tuple[str, ...] | None:
        chosen = super().parse(args, tz, options)
        return None if chosen is None or chosen[0] == options[0][0] else chosen

    def clause(self, value: Any, tz: Any) -> ColumnElement[bool]:
        return true()  # the scope has it

    def chips(self, value: Any, options: Options) -> list[Chip]:
        return []


class Variants(Flag):
    """The children of configurables too; the scope has what it means."""

    def __init__(self) -> None:
        super().__init__("variants", "Variants of configurables", true(), yes="Shown too", no="Inside their product")

    def clause(self, value: tuple[str], tz: Any) -> ColumnElement[bool]:
        return true()


_IN_ORDER = select(Account.id, Account.title).order_by(Account.active.desc(), case((Account.auth_state == AUTH_CONNECTED, 0), else_=1), Account.title)


def account_choices() -> dict[str, str]:
    """Account ids and titles; those that work come first."""
    return {str(id_): title for id_, title in db.session.connection().execute(_IN_ORDER)}


def template_choices() -> dict[str, str]:
    """Template ids and names; the account beside the name where there are several."""
    rows = db.session.execute(select(ListingTemplate.id, ListingTemplate.name, Account.title).join(Account).order_by(ListingTemplate.name)).all()
    several = len({row.title for row in rows}) > 1
    return {str(row.id): f"{row.name} ({row.title})" if several else row.name for row in rows}


def by_state(values: Sequence[str]) -> ColumnElement[bool]:
    """A product without a listing is not uploaded."""
    known = Listing.marketplace_state.in_(values)
    return or_(known, Listing.id.is_(None)) if states.NOT_UPLOADED in values else known


def by_sync(values: Sequence[str]) -> ColumnElement[bool]:
    """Products with a SKU of which one of these is true."""
    found = union_all(*(select(ListingSku.listing_id).where(*conditions()) for key, (_, conditions) in SYNC.items() if key in values))
    return and_(Listing.id.in_(found), Product.id.in_(select(_Rare.product_id).where(_Rare.id.in_(found))))


#: Few listings are wrong in a good shop. They are named by product too, so that the database begins with them instead of walking the catalogue in its order.
_Rare = aliased(Listing)
FAILED = and_(Listing.failure_code.is_not(None), Product.id.in_(select(_Rare.product_id).where(_Rare.failure_code.is_not(None))))


#: What may be outstanding between the figures that are wanted and those on TikTok.
SYNC: dict[str, tuple[str, Callable[[], Sequence[ColumnElement[bool]]]]] = {
    "stock_due": ("Stock to be sent", lambda: (ListingSku.stock_due.is_(True),)),
    "falling": ("Falling stock not yet sent", lambda: risks.FALLING),
    "oversell": ("Oversell risk", risks.oversell),
    "refused": ("Stock refused by TikTok", lambda: (ListingSku.stock_refused_code.is_not(None),)),
    "unread": ("Stock unread", lambda: risks.UNREAD),
    "price_due": ("Price to be sent", lambda: (ListingSku.price_due.is_(True),)),
    "price_blocked": ("Price blocked", lambda: risks.PRICE_BLOCKED),
}

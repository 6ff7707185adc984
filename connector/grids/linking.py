"""Product Linking: the products that stand on TikTok, with what each of them is in Magento (A178)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, false, not_, select
from sqlalchemy.orm import aliased

from connector.core.db import db
from connector.grids.filters import Choices
from connector.grids.grid import Action, Column, Empty, Grid, Join, Label, Preview, Result, Tab
from connector.grids.products_narrowing import AccountView, View
from connector.models.listing import Listing, TikTokProduct
from connector.models.product import Product
from connector.services import events
from connector.services.products import linking
from connector.services.products.matching import CASE, EXACT, PARTIAL

SUGGESTIONS = {
    EXACT: Label("Same SKU", "success"),
    CASE: Label("Same SKU, other case", "success"),
    PARTIAL: Label("Some SKUs fit", "warning"),
    "": Label("None", "neutral"),
}
_Linked, _Suggested = aliased(Product), aliased(Product)
_TO_LINK = TikTokProduct.listing_id.is_(None)
_READY = and_(*linking.ready())


def _rows(ids: Sequence[Any]) -> list[Any]:
    query = select(
        TikTokProduct.id,
        TikTokProduct.title,
        TikTokProduct.tiktok_id,
        TikTokProduct.listing_id,
        TikTokProduct.suggested_product_id,
        TikTokProduct.problem,
        _Suggested.sku,
    )
    query = query.outerjoin(_Suggested, _Suggested.id == TikTokProduct.suggested_product_id)
    found: dict[int, Any] = {}
    wanted = [int(each) for each in ids]
    for first in range(0, len(wanted), 500):
        found |= {row.id: row for row in db.session.execute(query.where(TikTokProduct.id.in_(wanted[first : first + 500])))}
    return [found[each] for each in wanted if each in found]


def _may_link(ids: Sequence[Any], view: View) -> list[Preview]:
    """A suggestion is needed, and a Magento product that is not another listing already."""
    rows = _rows(ids)
    wanted = sorted({row.suggested_product_id for row in rows if row.suggested_product_id is not None})
    taken: set[int] = set()
    for first in range(0, len(wanted), 500):
        query = select(Listing.product_id).where(
            Listing.account_id == view.account_id, Listing.product_id.in_(wanted[first : first + 500]), Listing.tiktok_id.is_not(None)
        )
        taken |= set(db.session.scalars(query))
    found = []
    for row in rows:
        label = f"{row.title} ({row.tiktok_id})"
        if row.listing_id is not None:
            found.append(Preview(row.id, label, False, "It is linked already."))
        elif row.suggested_product_id is None:
            found.append(Preview(row.id, label, False, row.problem or "It has no suggestion. Choose its Magento product by hand."))
        elif row.suggested_product_id in taken:
            found.append(Preview(row.id, label, False, f"{row.sku} is linked to another TikTok product already. Unlink that one first."))
        else:
            found.append(Preview(row.id, f"{label}: {row.sku}", True, row.problem))
    return found


def _may_unlink(ids: Sequence[Any], view: View) -> list[Preview]:
    return [
        Preview(row.id, f"{row.title} ({row.tiktok_id})", row.listing_id is not None, "" if row.listing_id is not None else "It is not linked.")
        for row in _rows(ids)
    ]


def _link(ids: Sequence[Any], form: Any, view: View) -> Result:
    template = form.template.data
    submitted = linking.submit(
        view.account_id, [(int(each), None) for each in ids], started_by=events.actor_now.get(), template_id=int(template) if template else None
    )
    return Result(f"Linking {len(ids):,} {'product' if len(ids) == 1 else 'products'}.", run_id=submitted.run_id)


def _unlink(ids: Sequence[Any], form: Any, view: View) -> Result:
    done = [linking.unlink(row.listing_id, actor=events.actor_now.get()) for row in _rows(ids) if row.listing_id is not None]
    return Result(done[0] if len(done) == 1 else f"{len(done):,} products unlinked. They stay on TikTok Shop as they are.")


def linking_grid(link_form: type[Any], row_url: Callable[[Mapping[str, Any]], str]) -> Grid:
    """The grid; ``link_form`` asks for a listing template, ``row_url`` is where a row's Magento product is chosen. The scope is a ``View``, or None."""
    return Grid(
        key="linking",
        title="Link listings",
        noun="TikTok product",
        permission="products.read",
        model=TikTokProduct,
        pk=TikTokProduct.id,
        where=lambda view: [TikTokProduct.account_id == view.account_id] if view else [false()],
        joins=(
            Join(Listing, Listing.id == TikTokProduct.listing_id, outer=True),
            Join(_Linked, _Linked.id == Listing.product_id, outer=True),
            Join(_Suggested, _Suggested.id == TikTokProduct.suggested_product_id, outer=True),
        ),
        columns=(
            Column(key="title", label="Title on TikTok", expr=TikTokProduct.title, cell="tiktok_title", sort=TikTokProduct.title),
            Column(key="tiktok_id", label="TikTok id", expr=TikTokProduct.tiktok_id, cell="mono", sort=TikTokProduct.tiktok_id),
            Column(key="status", label="Status", expr=TikTokProduct.status, cell="mono", sort=False),
            Column(key="seller_skus", label="Seller SKUs", expr=TikTokProduct.seller_skus, cell="seller_skus", sort=False, export=lambda value, row: (value or "").replace("\n", " ")),
            Column(key="suggestion", label="Suggestion", expr=TikTokProduct.suggestion, cell="suggestion", labels=SUGGESTIONS, sort=False, also={"linked_as": TikTokProduct.listing_id}),
            Column(
                key="product", label="Magento product", expr=_Suggested.sku, cell="magento_product", sort=False, export=lambda value, row: row["linked_sku"] or value,
                also={"suggested_name": _Suggested.name, "linked_id": _Linked.id, "linked_sku": _Linked.sku, "linked_name": _Linked.name},
            ),
            Column(key="problem", label="Problem", expr=TikTokProduct.problem, cell="long_text", sort=False),
            Column(key="read_at", label="Read", expr=TikTokProduct.read_at, cell="ago", sort=False, default=False),
        ),
        filters=(
            AccountView(),
            Choices("suggestion", "Suggestion", TikTokProduct.suggestion, {EXACT: "Same SKU", CASE: "Same SKU, other case", PARTIAL: "Some SKUs fit"}),
            Choices("status", "TikTok status", TikTokProduct.status, {each: each for each in ("ACTIVATE", "PENDING", "FAILED", "DRAFT", "SELLER_DEACTIVATED", "PLATFORM_DEACTIVATED", "DELETED")}),
        ),
        tabs=(
            Tab("to_link", "To link", _TO_LINK),
            Tab("suggested", "Suggested", _READY, "success"),
            Tab("decision", "Needs a decision", and_(_TO_LINK, not_(_READY)), "warning"),
            Tab("linked", "Linked", TikTokProduct.listing_id.is_not(None)),
            Tab("all", "All"),
        ),
        search=(TikTokProduct.title, TikTokProduct.seller_skus, TikTokProduct.tiktok_id),
        search_hint="Title, seller SKU or TikTok id",
        default_sort="title",
        actions=(
            Action(
                key="link", label="Link as suggested", icon="link", permission="products.write", preview=_may_link, submit=_link, form_class=link_form, scoped=True,
                visible=lambda row: row["linked_as"] is None and row["suggested_id"] is not None,
                help="The TikTok product becomes the listing of the Magento product. Nothing is sent by that. In a listing template stock and prices come from Magento from then on.",
            ),
            Action(
                key="unlink", label="Unlink", icon="unlink", permission="products.write", preview=_may_unlink, submit=_unlink, scoped=True, danger=True,
                visible=lambda row: row["linked_as"] is not None,
                help="They stay on TikTok Shop as they are, and get neither stock nor prices from Magento any more.",
            ),
        ),
        always={"linked_as": TikTokProduct.listing_id, "suggested_id": TikTokProduct.suggested_product_id},
        row_label="title",
        row_url=row_url,
        events=("run:changed",),
        empty=Empty("No products were read from TikTok Shop yet", "Choose Initiate Import: it reads what stands on TikTok Shop and suggests what each product is in Magento."),
    )  # fmt: skip

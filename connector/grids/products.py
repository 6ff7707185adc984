"""The products grid: Magento's products with their listing in the account in view (A157-A177)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import aliased

from connector.grids import filters
from connector.grids.filters import Choices, Flag, NumberRange
from connector.grids.grid import Action, Column, Empty, Grid, Join, Label, Preview, Result, Tab
from connector.grids.products_narrowing import (
    FAILED,
    STATE_TABS,
    SYNC,
    AccountView,
    Variants,
    View,
    bounds,
    by_state,
    by_sync,
    own_listing,
    search,
    tab_counts,
    template_choices,
)
from connector.models import listing as states
from connector.models.listing import Listing, ListingSku, ListingTemplate
from connector.models.product import Product
from connector.services import events
from connector.services.products import actions

STATE_LABELS = {
    states.NOT_UPLOADED: Label("Not uploaded", "neutral"),
    states.IN_REVIEW: Label("In review", "progress"),
    states.LIVE: Label("Live", "success"),
    states.REJECTED: Label("Rejected", "danger"),
    states.INACTIVE: Label("Inactive", "warning"),
    states.DRAFT: Label("Draft", "neutral"),
    states.FROZEN: Label("Frozen", "danger"),
    states.DELETED: Label("Deleted on TikTok", "neutral"),
    states.UNKNOWN: Label("Unknown", "warning"),
}
VALIDATION_LABELS = {
    states.READY: Label("Ready", "success"),
    states.INCOMPLETE: Label("Details missing", "warning"),
    states.UNCHECKED: Label("Not checked", "neutral"),
}
TYPES = {
    "simple": "Simple", "configurable": "Configurable", "virtual": "Virtual", "downloadable": "Downloadable", "bundle": "Bundle", "grouped": "Grouped",
}  # fmt: skip
ENABLED = {1: Label("Enabled", "success"), 2: Label("Disabled", "neutral")}
VISIBILITY = {1: "Not Visible Individually", 2: "Catalog", 3: "Search", 4: "Catalog, Search"}
ASSIGNED_BY = {"query": "A template's query", "hand": "By hand", "link": "Linked"}


# --- what a row is --------------------------------------------------------------------------------------------------------------------------


def _over_skus(expression: Any, *more: Any) -> Any:
    """A figure over the SKUs of the row's listing."""
    return select(expression).where(ListingSku.listing_id == Listing.id, *more).correlate(Listing).scalar_subquery()


_Variant = aliased(Product)


def _over_variants(expression: Any) -> Any:
    """A figure over the Magento products of the listing's SKUs; for configurables, which have no price or stock of their own."""
    return case(
        (
            Product.type_id == "configurable",
            select(expression)
            .join(ListingSku, ListingSku.product_id == _Variant.id)
            .where(ListingSku.listing_id == Listing.id)
            .correlate(Listing)
            .scalar_subquery(),
        )
    )


_STATE = func.coalesce(Listing.marketplace_state, states.NOT_UPLOADED)
_SALE_STATE = case((Listing.tiktok_id.is_(None), None), (Listing.marketplace_state == states.LIVE, "active"), else_="inactive")
SALE_LABELS = {"active": Label("Active", "success"), "inactive": Label("Inactive", "neutral")}


# --- actions --------------------------------------------------------------------------------------------------------------------------------


def _preview(action: str) -> Callable[[Sequence[Any], View], list[Preview]]:
    def preview(ids: Sequence[Any], view: View) -> list[Preview]:
        found = actions.verdicts(action, view.account_id, product_ids=[int(each) for each in ids])
        return [Preview(verdict.subject.product_id, verdict.subject.label, verdict.allowed, verdict.reason) for verdict in found]

    return preview


def _products(count: int) -> str:
    return f"{count:,} product{'' if count == 1 else 's'}"


def _submit(action: str, words: str) -> Callable[[Sequence[Any], Any, View], Result]:
    def submit(ids: Sequence[Any], form: Any, view: View) -> Result:
        submitted = actions.submit(action, view.account_id, [int(each) for each in ids], started_by=events.actor_now.get())
        if submitted.existing:
            return Result("The same work is in the queue already.", run_id=submitted.run_id, tone="info")
        return Result(f"{words} {_products(len(ids))}.", run_id=submitted.run_id)

    return submit


def _assign(ids: Sequence[Any], form: Any, view: View) -> Result:
    changed = actions.assign_by_hand(view.account_id, [int(each) for each in ids], int(form.template.data))
    return Result(f"{_products(changed)} assigned. Their prices and stock are worked out now; Validate shows what is missing.")


def _remove(ids: Sequence[Any], form: Any, view: View) -> Result:
    changed = actions.assign_by_hand(view.account_id, [int(each) for each in ids], None)
    return Result(f"{_products(changed)} removed from their template.")


def _on_tiktok(row: Mapping[str, Any]) -> bool:
    return bool(row["listed_as"])


def _in_template(row: Mapping[str, Any]) -> bool:
    return row["template_id"] is not None


def _actions(assign_form: type[Any]) -> tuple[Action, ...]:
    def runs_it(key: str, label: str, icon: str, words: str, help: str, **rest: Any) -> Action:
        return Action(
            key=key, label=label, icon=icon, permission="products.write", preview=_preview(key), submit=_submit(key, words), help=help, scoped=True, **rest
        )

    return (
        runs_it(
            actions.VALIDATE, "Validate", "checklist", "Validating", "Checks everything that TikTok will check. Nothing is sent.", visible=_in_template
        ),
        runs_it(
            actions.UPLOAD, "Upload", "upload", "Uploading", "Validates, sends pictures and details to TikTok Shop, then waits for its review.", visible=_in_template
        ),
        runs_it(
            actions.ACTIVATE, "Change Status: Active", "player-play", "Activating", "TikTok Shop reviews them again, then shows them to buyers.",
            visible=lambda row: _on_tiktok(row) and row["raw_state"] == states.INACTIVE,
        ),
        runs_it(
            actions.DEACTIVATE, "Change Status: Inactive", "player-pause", "Deactivating", "Takes them off sale on TikTok Shop. Nothing is deleted.", danger=True,
            visible=lambda row: _on_tiktok(row) and row["raw_state"] == states.LIVE,
        ),
        runs_it(
            actions.SYNC, "Inventory Price Sync", "send", "Sending stock and prices of", "Sends stock and prices that differ, and reads them back.",
            visible=_on_tiktok,
        ),
        runs_it(
            actions.SYNC_STATUS, "Marketplace Status Sync", "refresh", "Reading the status of", "Reads review and sale status from TikTok Shop.", visible=_on_tiktok
        ),
        Action(
            key=actions.ASSIGN, label="Assign to template", icon="template", permission="products.write", preview=_preview(actions.ASSIGN), submit=_assign,
            form_class=assign_form, scoped=True, help="They stay in the template you choose, whatever its query says.",
        ),
        Action(
            key=actions.REMOVE, label="Remove from template", icon="x", permission="products.write", preview=_preview(actions.REMOVE), submit=_remove, danger=True,
            scoped=True, visible=_in_template,
            help="They stay out of templates until they are assigned by hand again. What is on TikTok Shop stays there and gets no new stock or prices.",
        ),
    )  # fmt: skip


# --- the grid -------------------------------------------------------------------------------------------------------------------------------


def products_grid(assign_form: type[Any], row_url: Callable[[Mapping[str, Any]], str]) -> Grid:
    """The grid; its form and addresses are the blueprint's. The scope is a ``View``, or None while there is no account."""
    return Grid(
        key="products",
        title="Products",
        noun="product",
        permission="products.read",
        model=Product,
        pk=Product.id,
        where=bounds,
        joins=(
            Join(Listing, own_listing, outer=True),
            Join(ListingTemplate, ListingTemplate.id == Listing.template_id, outer=True),
        ),
        columns=(
            Column(key="entity_id", label="Product ID", expr=Product.entity_id, cell="plain_id", sort=Product.entity_id),
            Column(key="image", label="Thumbnail", expr=Product.image, cell="thumbnail", sort=False, also={"alt": Product.name}),
            Column(key="name", label="Name", expr=Product.name, cell="product_name", sort=Product.name, also={"gone_at": Product.gone_at, "is_child": Product.is_child}),
            Column(key="sku", label="SKU", expr=Product.sku, cell="mono", sort=Product.sku),
            Column(
                key="state", label="Marketplace Status", expr=_STATE, cell="marketplace_state", labels=STATE_LABELS, sort=False,
                also={
                    "remote_status": Listing.remote_status, "audit_status": Listing.audit_status, "audit_reasons": Listing.audit_reasons, "drift": Listing.drift,
                    "failure_code": Listing.failure_code, "failure_message": Listing.failure_message, "failure_remedy": Listing.failure_remedy,
                },
            ),
            Column(
                key="validation", label="Validation Status", expr=Listing.validation, cell="validation", labels=VALIDATION_LABELS, sort=False,
                also={"problems": Listing.problems, "template_id": Listing.template_id},
            ),
            Column(key="type", label="Type", expr=Product.type_id, labels=TYPES, sort=Product.type_id),
            Column(
                key="price", label="Price", expr=Product.price, cell="magento_price", align="end", sort=Product.price,
                also={"price_low": _over_variants(func.min(_Variant.price)), "price_high": _over_variants(func.max(_Variant.price)), "type_id": Product.type_id},
            ),
            Column(key="visibility", label="Visibility", expr=Product.status, cell="enabled", labels=ENABLED, sort=False, also={"shown_in": Product.visibility}),
            Column(
                key="quantity", label="Quantity", expr=Product.quantity, cell="magento_quantity", align="end", sort=Product.quantity,
                also={"variant_quantity": _over_variants(func.sum(_Variant.quantity)), "type_id": Product.type_id},
            ),
            Column(
                key="product_status", label="Product Status", expr=_SALE_STATE, cell="sale_state", labels=SALE_LABELS, sort=False,
                also={"sale_words": Listing.product_status},
            ),
            Column(key="template", label="Listing Template", expr=ListingTemplate.name, cell="template_name", sort=False, also={"template_enabled": ListingTemplate.enabled}),
            Column(
                key="live_price", label="Marketplace Price", expr=_over_skus(func.min(ListingSku.live_price)), cell="live_price", align="end", sort=False,
                also={
                    "live_price_high": _over_skus(func.max(ListingSku.live_price)), "currency": _over_skus(func.max(ListingSku.currency)),
                    "price_due": _over_skus(func.count(), ListingSku.price_due.is_(True)), "price_block": _over_skus(func.max(ListingSku.price_block)),
                },
            ),
            Column(
                key="live_quantity", label="Marketplace Quantity", expr=_over_skus(func.min(ListingSku.live_quantity)), cell="live_quantity", align="end", sort=False,
                also={
                    "live_quantity_high": _over_skus(func.max(ListingSku.live_quantity)), "live_quantity_sum": _over_skus(func.sum(ListingSku.live_quantity)),
                    "skus": _over_skus(func.count()), "stock_due": _over_skus(func.count(), ListingSku.stock_due.is_(True)),
                },
            ),
            Column(key="tiktok_id", label="Marketplace Item Id", expr=Listing.tiktok_id, cell="mono", sort=False),
            Column(key="failure", label="Reason of the error", expr=Listing.failure_message, cell="long_text", sort=False, default=False),
            Column(key="assigned_by", label="Assigned by", expr=Listing.assigned_by, labels=ASSIGNED_BY, sort=False, default=False),
            Column(key="sent_at", label="Details sent", expr=Listing.sent_at, cell="ago", sort=False, default=False),
            Column(key="read_at", label="Read from TikTok", expr=Listing.read_at, cell="ago", sort=False, default=False),
            Column(key="remote_updated_at", label="Updated in Magento", expr=Product.remote_updated_at, cell="when", sort=Product.remote_updated_at, default=False),
        ),
        filters=(
            AccountView(),
            Choices("state", "Marketplace status", by_state, {state: label.text for state, label in STATE_LABELS.items()}),
            Choices("validation", "Validation", Listing.validation, {key: label.text for key, label in VALIDATION_LABELS.items()}),
            Choices("template", "Listing template", Listing.template_id, template_choices),
            Choices("type", "Type", Product.type_id, TYPES),
            Choices("status", "Magento status", Product.status, {value: label.text for value, label in ENABLED.items()}),
            Choices("visibility", "Magento visibility", Product.visibility, VISIBILITY),
            Choices("sync", "Stock and price", by_sync, {key: words for key, (words, _) in SYNC.items()}),
            Choices("assigned", "Assigned by", Listing.assigned_by, ASSIGNED_BY),
            Flag("drift", "Differs on TikTok", and_(Listing.id.is_not(None), Listing.drift != [])),
            Flag("errors", "With an error", Listing.failure_code.is_not(None)),
            Flag("gone", "In Magento", Product.gone_at.is_(None), yes="Still there", no="Gone"),
            Variants(),
            NumberRange("price", "Magento price", Product.price),
            NumberRange("quantity", "Magento quantity", Product.quantity),
            filters.Text("cause", "Cause code", lambda words: and_(Listing.failure_code.is_not(None), Listing.failure_code.icontains(words, autoescape=True))),
        ),
        tabs=(
            Tab("all", "All"),
            Tab("not_uploaded", "Not uploaded", and_(Listing.marketplace_state == states.NOT_UPLOADED, Listing.template_id.is_not(None))),
            *(
                Tab(state, STATE_LABELS[state].text, Listing.marketplace_state == state, STATE_LABELS[state].tone)
                for state in STATE_TABS
            ),
            Tab("incomplete", "Incomplete", Listing.validation == states.INCOMPLETE, "warning"),
            Tab("error", "Error", FAILED, "danger"),
            Tab("unassigned", "Not assigned", Listing.template_id.is_(None)),
        ),
        tab_counts=tab_counts,
        search=search,
        search_hint="Name, SKU, TikTok or Magento id",
        default_sort="-entity_id",
        actions=_actions(assign_form),
        always={"listed_as": Listing.tiktok_id, "raw_state": _STATE, "template_id": Listing.template_id, "listing_id": Listing.id, "sku": Product.sku},
        row_label="sku",
        row_url=row_url,
        events=("products:changed",),
        empty=Empty("No products yet", "Magento's products appear here after the first import.", "Import from Magento", "products.import_form"),
    )  # fmt: skip

"""The listing templates grid (A142-A154)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import url_for
from flask_login import current_user
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from connector.core.db import db
from connector.grids.filters import Choices, DateRange, Text
from connector.grids.grid import Action, Column, Empty, Grid, Join, Label, Preview, Result, Tab
from connector.models.account import Account
from connector.models.listing import LIVE, Listing, ListingTemplate
from connector.models.policy import Policy
from connector.services.templates import editing, filling
from connector.services.templates.editing import Products

_Image, _Pricing, _Inventory = aliased(Policy), aliased(Policy), aliased(Policy)
_STATUS = {True: Label("Enabled", "success"), False: Label("Disabled", "neutral")}


def _count(*clauses: Any) -> Any:
    return select(func.count()).select_from(Listing).where(Listing.template_id == ListingTemplate.id, *clauses).correlate(ListingTemplate).scalar_subquery()


def _accounts() -> list[tuple[str, str]]:
    used = select(ListingTemplate.account_id)
    return [(str(key), title) for key, title in db.session.execute(select(Account.id, Account.title).where(Account.id.in_(used)).order_by(Account.title))]


def _load(ids: Sequence[int]) -> tuple[list[ListingTemplate], dict[int, Products]]:
    rows = db.session.scalars(select(ListingTemplate).where(ListingTemplate.id.in_(ids)).order_by(ListingTemplate.id))
    return list(rows), editing.products_of(ids)


def _words(found: Products) -> str:
    return f"{found.total:,} {'product' if found.total == 1 else 'products'}, {found.active:,} active on TikTok"


def _preview_policies(ids: Sequence[int]) -> list[Preview]:
    rows, counts = _load(ids)
    return [Preview(each.id, each.name, True, f"{_words(counts.get(each.id, Products()))}; they are worked out anew") for each in rows]


def _set_policies(ids: Sequence[int], form: Any) -> Result:
    changed = editing.set_policies(ids, {name: int(form[name].data) if form[name].data else None for name in filling.POLICY_FIELDS}, actor=current_user.email)
    return Result(f"The policies of {_templates(changed)} were changed." if changed else "Nothing was changed: they have these policies already.")


def _preview_status(ids: Sequence[int]) -> list[Preview]:
    rows, counts = _load(ids)
    return [Preview(each.id, each.name, True, f"is {'enabled' if each.enabled else 'disabled'}; {_words(counts.get(each.id, Products()))}") for each in rows]


def _set_status(ids: Sequence[int], form: Any) -> Result:
    enabled = form.status.data == "enable"
    changed = editing.set_status(ids, enabled, actor=current_user.email)
    word = "enabled" if enabled else "disabled"
    return Result(f"{_templates(changed)} {'was' if changed == 1 else 'were'} {word}." if changed else f"Nothing was changed: all of them are {word} already.")


def _preview_delete(ids: Sequence[int]) -> list[Preview]:
    rows, counts = _load(ids)
    found = []
    for each in rows:
        own = counts.get(each.id, Products())
        loses = f"{_words(own)}: they stay there, without a template" if own.on_tiktok else f"{_words(own)}" if own.total else "has no products"
        found.append(Preview(each.id, each.name, True, loses))
    return found


def _delete(ids: Sequence[int], form: Any) -> Result:
    freed = editing.delete(ids, actor=current_user.email)
    words = f" {freed:,} {'product has' if freed == 1 else 'products have'} no template now; Assign products gives them to others that match." if freed else ""
    return Result(f"{_templates(len(ids))} {'was' if len(ids) == 1 else 'were'} deleted.{words}")


def _templates(count: int) -> str:
    return f"{count:,} {'template' if count == 1 else 'templates'}"


def templates_grid(policies_form: type[Any], status_form: type[Any]) -> Grid:
    """``policies_form`` has a field for each of ``filling.POLICY_FIELDS`` (blank: stays), ``status_form`` a field ``status``: enable or disable."""
    return Grid(
        key="templates",
        title="Listing Templates",
        noun="listing template",
        permission="templates.read",
        model=ListingTemplate,
        pk=ListingTemplate.id,
        joins=(
            Join(Account, Account.id == ListingTemplate.account_id),
            Join(_Image, _Image.id == ListingTemplate.image_policy_id),
            Join(_Pricing, _Pricing.id == ListingTemplate.pricing_policy_id),
            Join(_Inventory, _Inventory.id == ListingTemplate.inventory_policy_id),
        ),
        columns=(
            Column(key="id", label="ID", expr=ListingTemplate.id, cell="link"),
            Column(key="name", label="Template Name", expr=ListingTemplate.name, cell="link"),
            Column(key="account", label="Account", expr=Account.title),
            Column(key="enabled", label="Status", expr=ListingTemplate.enabled, cell="state", labels=_STATUS),
            Column(
                key="category", label="TikTok Category", expr=ListingTemplate.category_path, cell="category", also={"category_id": ListingTemplate.category_id}
            ),
            Column(key="image", label="Image Policy", expr=_Image.title, also={"image_policy_id": ListingTemplate.image_policy_id}, cell="policy"),
            Column(key="pricing", label="Pricing Policy", expr=_Pricing.title, also={"pricing_policy_id": ListingTemplate.pricing_policy_id}, cell="policy"),
            Column(
                key="inventory",
                label="Inventory Policy",
                expr=_Inventory.title,
                also={"inventory_policy_id": ListingTemplate.inventory_policy_id},
                cell="policy",
            ),
            Column(key="total", label="Total Products", expr=_count(), cell="count", sort=False, align="end", help="Products assigned"),
            Column(key="active", label="Active Products", expr=_count(Listing.marketplace_state == LIVE), cell="count", sort=False, align="end"),
            Column(key="inactive", label="Inactive Products", expr=_count(Listing.marketplace_state != LIVE), cell="number", sort=False, align="end"),
            Column(key="priority", label="Priority", expr=ListingTemplate.priority, cell="number", align="end", help="Where queries overlap the lowest wins"),
            Column(key="action", label="Action", expr=ListingTemplate.id, cell="action", sort=False, export=lambda value, row: ""),
            Column(key="version", label="Version", expr=ListingTemplate.version, cell="number", default=False),
            Column(key="created_at", label="Created At", expr=ListingTemplate.created_at, cell="when", default=False),
            Column(key="updated_at", label="Updated At", expr=ListingTemplate.updated_at, cell="when", default=False),
        ),
        always={"account_id": ListingTemplate.account_id},
        filters=(
            Choices("account", "Account", ListingTemplate.account_id, _accounts, pinned=True),
            Text("category", "TikTok category", ListingTemplate.category_path),
            DateRange("created", "Created", ListingTemplate.created_at),
            DateRange("updated", "Updated", ListingTemplate.updated_at),
        ),
        tabs=(
            Tab("all", "All"),
            Tab("enabled", "Enabled", ListingTemplate.enabled.is_(True)),
            Tab("disabled", "Disabled", ListingTemplate.enabled.is_(False), "warning"),
        ),
        search=(ListingTemplate.name, ListingTemplate.category_path, ListingTemplate.category_id),
        search_hint="Name or category",
        default_sort="id",
        actions=(
            Action(
                key="policies",
                label="Update Policy",
                icon="adjustments",
                permission="templates.write",
                help="What is left blank stays as it is. Prices, stock and pictures of the products are worked out anew and sent where they differ.",
                preview=_preview_policies,
                submit=_set_policies,
                form_class=policies_form,
            ),
            Action(
                key="status",
                label="Change Status",
                icon="refresh",
                permission="templates.write",
                help="A disabled template takes no new products, and its products can be neither uploaded nor acted upon. Falling stock still goes out, so that nothing is sold that is not there.",
                preview=_preview_status,
                submit=_set_status,
                form_class=status_form,
            ),
            Action(
                key="delete",
                label="Delete",
                icon="trash",
                permission="templates.write",
                danger=True,
                help="Nothing is deleted on TikTok. The products of a deleted template stay in the products grid and wait for another template.",
                preview=_preview_delete,
                submit=_delete,
            ),
        ),
        row_label="name",
        row_url=lambda row: url_for("templates.edit", template_id=row["pk"]),
        cells="templates/_cells.html",
        empty=Empty(
            "No listing templates yet",
            "A template says which Magento products go to TikTok, in which category, and by which policies. Products are uploaded through their template.",
            "Add Template",
            "templates.new",
        ),
    )

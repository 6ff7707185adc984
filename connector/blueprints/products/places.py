"""Where a person goes to set something right: the page behind a problem's field, and the one button that answers a failure."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from flask import url_for
from sqlalchemy import select

from connector.core.db import db
from connector.models.listing import DELETED, INACTIVE, CategoryAttribute, Listing
from connector.services.products import actions
from connector.web.auth import can
from connector.web.layout import _may_open as may_open

_ATTRIBUTE = re.compile(r"^product_attributes\[(\d+)\]")
#: Fields of a listing that its template decides.
_OF_TEMPLATE = ("category_id", "category_version", "brand_id", "size_chart", "package_dimensions", "template", "product_certifications", "certifications")
_POLICY_OF = {"price": "pricing_policy_id", "inventory": "inventory_policy_id"}


class Place(NamedTuple):
    """``url`` None: it is not one of our pages, or this person may not open it."""

    words: str
    url: str | None = None


class Fix(NamedTuple):
    """One button. ``action``: of the grid, posted to its route; else ``url`` is opened."""

    label: str
    icon: str
    url: str = ""
    action: str = ""


def of_field(path: str, listing: Listing) -> Place:
    """Where the field of a problem (``ListingProblem.field``) is set right."""
    template = listing.template
    if (found := _ATTRIBUTE.match(path)) is not None:
        return _attribute(listing.account_id, found[1])
    if path.endswith("_policy") or (part := path.rpartition("].")[2].partition("[")[0].partition(".")[0]) in _POLICY_OF:
        name = f"{path}_id" if path.endswith("_policy") else _POLICY_OF[part]
        policy_id = getattr(template, name, None) if template is not None else None
        words = f"{name.removesuffix('_policy_id').title()} policy"
        return Place(words, _if_open("policies.edit", policy_id=policy_id)) if policy_id else Place(words)
    if path == "account":
        return Place("TikTok Account", _if_open("accounts.show", account_id=listing.account_id))
    if path.startswith(_OF_TEMPLATE):
        return (
            Place("Listing template", _if_open("templates.edit", template_id=template.id))
            if template
            else Place("Listing template", _if_open("templates.index"))
        )
    if "sales_attributes" in path and "sku_img" not in path:
        return Place("Attribute mapping", _if_open("attributes.index", account=listing.account_id))
    if "identifier" in path:
        return Place("Magento, or the listing template", _if_open("templates.edit", template_id=template.id) if template else None)
    return Place("Magento")


def _attribute(account_id: int, attribute_id: str) -> Place:
    row_id = db.session.scalar(select(CategoryAttribute.id).where(CategoryAttribute.account_id == account_id, CategoryAttribute.attribute_id == attribute_id))
    return Place("Attribute mapping", _if_open("attributes.edit", attribute_id=row_id) if row_id else _if_open("attributes.index"))


def _if_open(endpoint: str, **values: Any) -> str | None:
    return url_for(endpoint, **values) if may_open(endpoint) else None


def fix(listing: Listing) -> Fix | None:
    """What answers the listing's failure; None when nothing here does, or this person may not."""
    if not listing.failure_code or not can("products.write"):
        return None
    here = {"product_id": listing.product_id, "account": listing.account_id}
    code = listing.failure_code
    if code == "listing.no_template":
        return Fix("Assign to template", "template", action=actions.ASSIGN)
    if code == "listing.template_disabled" and listing.template is not None:
        return Fix("Open the listing template", "template", url=url_for("templates.edit", template_id=listing.template.id))
    if code.startswith(("account.", "listing.account", "tts.auth", "tts.scope")):
        return Fix("Open the account", "building-store", url=url_for("accounts.edit", account_id=listing.account_id))
    if listing.marketplace_state == DELETED:
        return Fix("Recover on TikTok Shop", "arrow-back-up", url=url_for("products.recover", **here))
    if code == "listing.platform_deactivated" and listing.marketplace_state == INACTIVE:
        return Fix("Change Status: Active", "player-play", action=actions.ACTIVATE)
    if code in ("listing.frozen", "listing.in_audit", "listing.pre_approved", "listing.unknown_status", "tts.product.not_found", "tts.product.status"):
        return Fix("Marketplace Status Sync", "refresh", action=actions.SYNC_STATUS)
    words = "Look at the preview again" if code == "listing.changed_since" else "Look at the preview"
    return Fix(words, "eye", url=url_for("products.preview", **here))

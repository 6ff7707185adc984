"""What keeps a policy from being valid: details that are missing, and references to what Magento or the shop does not have (A058)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from connector.core.db import db
from connector.domain import tiktok_order
from connector.domain.policies import IMAGE, INVENTORY, ORDER, PRICING, SYNCHRONIZATION, field_label
from connector.domain.policy_body import PolicyBody, Problem
from connector.models.account import ShopReference, StoreReference
from connector.models.product import PolicyImage
from connector.services.policy_users import account_ids

#: How ``ImagePolicy.default_image`` names a ``PolicyImage``; anything else is a file of Magento's gallery.
UPLOADED = "upload:"
#: What attributes may be named beside Magento's own: the stock is none of them (A079).
BESIDE_ATTRIBUTES = ("quantity",)


def check(kind: str, body: PolicyBody, *, policy_id: int | None = None) -> list[Problem]:
    """Everything that keeps a body from being valid: missing details, then references that do not exist (A058, contradiction 25).

    References are compared with what the last onboarding import and Magento test brought; kinds of which nothing was imported are not checked.
    """
    return [*body.missing(), *_dead_references(kind, body, policy_id)]


def _dead_references(kind: str, body: PolicyBody, policy_id: int | None) -> list[Problem]:
    problems: list[Problem] = []

    def expect(field: str, wanted: list[str], known: set[str], what: str, where: str) -> None:
        gone = [name for name in wanted if name and name not in known]
        if known and gone:
            problems.append(
                Problem(field, f"{field_label(kind, field)}: {what} {', '.join(gone)} does not exist.", f"Choose one that exists in {where}, or import again.")
            )

    values = body.model_dump()
    attributes = _store_codes("attribute")
    if kind == SYNCHRONIZATION and attributes:
        attributes |= set(BESIDE_ATTRIBUTES)
    attribute_fields = {
        ORDER: ("alternate_sku_attribute",),
        PRICING: ("price_attribute", "cost_attribute"),
        IMAGE: ("main_image_attribute",),
        SYNCHRONIZATION: ("send_only", "react_only"),
    }
    for field in attribute_fields.get(kind, ()):
        value = values[field]
        expect(field, list(value) if isinstance(value, tuple | list) else [value], attributes, "the attribute", "Magento")
    if kind == ORDER:
        known = _shop_values("shipping_provider", ShopReference.name, policy_id)
        expect("carrier_mapping", [row["tiktok_carrier"] for row in values["carrier_mapping"]], known, "the TikTok carrier", "the shop")
        statuses = set(tiktok_order.LABELS) | _shop_values("order_status", ShopReference.remote_id, policy_id)
        expect("status_mapping", [row["tiktok_status"] for row in values["status_mapping"]], statuses, "the TikTok status", "TikTok's list")
    if kind == INVENTORY:
        expect("sources", [row["source_code"] for row in values["sources"]], _store_codes("source"), "the source", "Magento")
        warehouses = _shop_values("warehouse", ShopReference.remote_id, policy_id)
        expect("sources", [row["warehouse_id"] for row in values["sources"]], warehouses, "the TikTok warehouse", "the shop")
    if kind == IMAGE and (picture := values["default_image"]).startswith(UPLOADED):
        number = picture.removeprefix(UPLOADED)
        if not number.isdigit() or db.session.get(PolicyImage, int(number)) is None:
            problems.append(Problem("default_image", "Default Image: the uploaded picture does not exist.", "Upload it again, or choose another one."))
    return problems


def _store_codes(kind: str) -> set[str]:
    return set(db.session.scalars(select(StoreReference.code).where(StoreReference.kind == kind)))


def _shop_values(kind: str, column: Any, policy_id: int | None) -> set[str]:
    """Over the accounts that use the policy; over all of them while none does."""
    query = select(column).where(ShopReference.kind == kind).distinct()
    users = account_ids(policy_id) if policy_id else set()
    if users:
        query = query.where(ShopReference.account_id.in_(users))
    return set(db.session.scalars(query))

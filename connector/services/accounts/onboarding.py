"""Onboarding data and webhooks of a shop (A036, A037, TTS §5.2, §5.8.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import delete, func, insert, select

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.domain.listing_limits import limits
from connector.domain.policies import ORDER_STATUSES
from connector.models.account import SANDBOX, Account, ShopReference
from connector.services import connections, events, policies, settings
from connector.services.accounts.editing import ensure_schedules, get

#: The happenings that the order desk and the catalogue desk want to hear of (TTS §5.8.2). SKU status changes (type 50) can be chosen in Partner Center only.
WEBHOOK_EVENTS = (
    "ORDER_STATUS_CHANGE",
    "RECIPIENT_ADDRESS_UPDATE",
    "PACKAGE_UPDATE",
    "CANCELLATION_STATUS_CHANGE",
    "RETURN_STATUS_CHANGE",
    "PRODUCT_STATUS_CHANGE",
    "PRODUCT_INFORMATION_CHANGE",
    "PRODUCT_CREATION",
    "PRODUCT_CATEGORY_CHANGE",
    "PRODUCT_AUDIT_STATUS_CHANGE",
    "SELLER_DEAUTHORIZATION",
    "UPCOMING_AUTHORIZATION_EXPIRATION",
)
WEBHOOK_PATH = "/webhooks/tiktok"

#: What a count is called on screen.
COUNT_LABELS = {
    "category": "categories",
    "warehouse": "warehouses",
    "delivery_option": "delivery options",
    "shipping_provider": "carriers",
    "order_status": "order statuses",
    "cancel_reason": "cancel reasons",
    "reject_reason": "reject reasons",
}

#: (kind, parent id, remote id, name, what TikTok said)
Row = tuple[str, str, str, str, dict[str, Any]]
Progress = Callable[[str], None]


def import_onboarding_data(account_id: int, progress: Progress = lambda stage: None) -> dict[str, int]:
    """Read the shop's category tree, warehouses, delivery options, carriers and order statuses, and replace what was known; the counts by kind.

    Cancel and reject reasons are offered by TikTok only for a given order (TTS §5.6.1), so they are collected from the orders that were asked about
    and counted here. Also reads the shop cipher again, which may have been reissued (TTS §1.6), and registers the webhooks.
    """
    account = get(account_id)
    client = connections.tiktok(account_id)
    end_reading()
    _reread_cipher(account, client)
    client = connections.tiktok(account_id)
    end_reading()
    progress("Categories")
    rows = list(_categories(client, account))
    progress("Warehouses")
    rows += _read(client, progress)
    rows += [("order_status", "", status, label, {}) for status, label in ORDER_STATUSES.items()]
    counts = _replace(account_id, rows)
    progress("Webhooks")
    registered = register_webhooks(account_id)
    with unit_of_work():
        account = get(account_id)
        account.onboarded_at = utcnow()
        ensure_schedules(account)
        message = f"Onboarding Data Imported successfully: {describe_counts(counts)}."
        events.record("account.onboarded", "account", account_id, message, account_id=account_id, after={**counts, "webhooks": len(registered)})
        policies.recheck_all()
    return counts


def describe_counts(counts: dict[str, int]) -> str:
    """ "2 warehouses, 3 carriers, ..." """
    return ", ".join(f"{count} {COUNT_LABELS.get(kind, kind)}" for kind, count in counts.items())


def references(account_id: int, kind: str) -> list[ShopReference]:
    """Onboarding data of one kind, by name."""
    query = select(ShopReference).where(ShopReference.account_id == account_id, ShopReference.kind == kind).order_by(ShopReference.name)
    return list(db.session.scalars(query))


def every(kind: str) -> list[ShopReference]:
    """Onboarding data of one kind over all shops, by name."""
    return list(db.session.scalars(select(ShopReference).where(ShopReference.kind == kind).order_by(ShopReference.name)))


def carrier_names() -> list[str]:
    """The TikTok carriers of all shops, by name, each once: what an order policy can map to (A113)."""
    query = select(ShopReference.name).where(ShopReference.kind == "shipping_provider").distinct().order_by(ShopReference.name)
    return list(db.session.scalars(query))


def register_webhooks(account_id: int) -> list[str]:
    """Tell TikTok where to call for each event type; returns the types that were set now. Without a public https address nothing is set."""
    account = get(account_id)
    address = webhook_address(account)
    if address is None:
        return []
    client = connections.tiktok(account_id)
    end_reading()
    present = {row.get("event_type"): row.get("address") for row in client.webhooks()}
    changed = []
    for event_type in WEBHOOK_EVENTS:
        if present.get(event_type) != address:
            client.set_webhook(event_type, address)
            changed.append(event_type)
    if changed:
        with unit_of_work():
            message = f"Webhooks registered at {address}: {', '.join(changed)}."
            events.record("account.webhooks", "account", account_id, message, account_id=account_id)
    return changed


def check_webhooks(account_id: int) -> str:
    """Set again what somebody removed or changed; what was found, in words."""
    if webhook_address(get(account_id)) is None:
        return "No webhooks: PUBLIC_URL is not an https address, so new orders are found by polling alone."
    changed = register_webhooks(account_id)
    return f"Registered again: {', '.join(changed)}." if changed else f"All {len(WEBHOOK_EVENTS)} webhooks are in place."


def webhook_address(account: Account) -> str | None:
    """Where TikTok shall call, or None when it could not reach us (TTS §5.8.1 asks for https; the practice marketplace is on this machine)."""
    public = settings.config().public_url
    if urlsplit(public).scheme == "https" or account.environment == SANDBOX:
        return f"{public}{WEBHOOK_PATH}"
    return None


def _reread_cipher(account: Account, client: TikTokClient) -> None:
    mine = next((shop for shop in client.authorized_shops() if shop.id == account.shop_id), None)
    if mine is None:
        raise api.Unauthorized(
            f"The shop {account.shop_name} is no longer among the authorised shops.", system="tiktok", operation="authorized_shops", reason="revoked"
        )
    with unit_of_work():
        row = get(account.id)
        row.shop_cipher, row.shop_name, row.shop_code = mine.cipher, mine.name, mine.code


def _read(client: TikTokClient, progress: Progress) -> Iterator[Row]:
    warehouses = client.warehouses()
    for warehouse in warehouses:
        yield "warehouse", "", str(warehouse["id"]), str(warehouse.get("name") or ""), _public(warehouse)
    for warehouse in warehouses:
        if warehouse.get("type") != "SALES_WAREHOUSE":
            continue
        progress(f"Delivery options of {warehouse.get('name')}")
        region = str((warehouse.get("address") or {}).get("region_code") or "") or None
        for option in client.delivery_options(str(warehouse["id"])):
            option_id = str(option["id"])
            yield "delivery_option", str(warehouse["id"]), option_id, str(option.get("name") or ""), option
            progress(f"Carriers of {option.get('name')}")
            for provider in _providers(client, option_id, region):
                yield "shipping_provider", option_id, str(provider["id"]), str(provider.get("name") or ""), provider


def _categories(client: TikTokClient, account: Account) -> Iterator[Row]:
    """The whole tree in the version that the shop's market asks for (TTS §5.3.2). Without the product scope there is none: orders need no categories."""
    try:
        tree = client.categories(version=limits(account.country).tree or None, locale=account.locale)
    except api.Unauthorized as error:
        if error.reason != "scope":
            raise
        return
    for node in tree:
        yield "category", str(node.get("parent_id") or ""), str(node["id"]), str(node.get("local_name") or ""), node


def _providers(client: TikTokClient, option_id: str, region: str | None) -> list[dict[str, Any]]:
    """The option's carriers; one that TikTok itself ships answers with a refusal (TTS §5.2.3), which means that it has none to choose."""
    try:
        return client.shipping_providers(option_id, warehouse_region=region, buyer_region=region)
    except api.Rejected:
        return []


def _public(warehouse: dict[str, Any]) -> dict[str, Any]:
    """A warehouse without the contact person and the telephone number."""
    address = {k: v for k, v in (warehouse.get("address") or {}).items() if k in ("region", "region_code", "state", "city", "postal_code")}
    return {**{k: v for k, v in warehouse.items() if k != "address"}, "address": address}


def _replace(account_id: int, rows: list[Row]) -> dict[str, int]:
    """Replace the kinds that were read, in one transaction; reasons that orders brought stay."""
    now = utcnow()
    kinds = ("category", "warehouse", "delivery_option", "shipping_provider", "order_status")
    unique = {(kind, parent, remote): (name, data) for kind, parent, remote, name, data in rows}
    fresh = [
        {"account_id": account_id, "kind": kind, "parent_id": parent, "remote_id": remote, "name": name[:300], "data": data, "fetched_at": now}
        for (kind, parent, remote), (name, data) in unique.items()
    ]
    with unit_of_work() as session:
        session.execute(delete(ShopReference).where(ShopReference.account_id == account_id, ShopReference.kind.in_(kinds)))
        if fresh:
            session.execute(insert(ShopReference), fresh)
        counted = select(ShopReference.kind, func.count()).where(ShopReference.account_id == account_id).group_by(ShopReference.kind)
        found = dict(session.execute(counted).all())
    return {kind: found.get(kind, 0) for kind in COUNT_LABELS}

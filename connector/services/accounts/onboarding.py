"""Onboarding data and webhooks of a shop (A036, A037, TTS §5.2, §5.8.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.domain import tiktok_order
from connector.domain.listing_limits import limits
from connector.domain.onboarding_changes import CATEGORY, NOUNS, Reference
from connector.models.account import SANDBOX, Account, ShopReference
from connector.services import connections, events, settings
from connector.services.accounts import onboarding_changes, reasons
from connector.services.accounts.editing import ensure_schedules, get
from connector.services.products import prerequisites

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
COUNT_LABELS = {kind: many for kind, (_, many) in NOUNS.items()}
#: What an import reads. Reasons come with the orders that were asked about.
READ = ("warehouse", "delivery_option", "shipping_provider", "order_status")

Progress = Callable[[str], None]


def import_onboarding_data(account_id: int, progress: Progress = lambda stage: None) -> dict[str, int]:
    """Read the shop's category tree, warehouses, delivery options, carriers and order statuses, and compare them with what was known; the counts by kind.

    What changed and what it breaks is kept with the event ``account.onboarded`` and followed up in the same transaction (``onboarding_changes``).
    Cancel reasons are offered by TikTok only for a given order (TTS §5.6.1): the newest one that may be cancelled is asked about, and every rejection adds
    what it was offered. Also reads the listing prerequisites (TTS §5.3.1) and the shop cipher, which may have been reissued (TTS §1.6), and registers the
    webhooks.
    """
    account = get(account_id)
    client = connections.tiktok(account_id)
    end_reading()
    _reread_cipher(account, client)
    client = connections.tiktok(account_id)
    end_reading()
    progress("Categories")
    tree = _categories(client, account)
    progress("Warehouses")
    rows = [*(tree or ()), *_read(client, progress)]
    rows += [Reference("order_status", "", status, label, {}) for status, label in tiktok_order.LABELS.items()]
    progress("Listing prerequisites")
    _read_prerequisites(account_id)
    progress("Cancel reasons")
    reasons.ask(account_id, client)
    progress("Webhooks")
    registered = register_webhooks(account_id)
    with unit_of_work() as session:
        account = session.get(Account, account_id, with_for_update=True, populate_existing=True) or get(account_id)
        before = _counts(session, account_id)
        found = onboarding_changes.store(session, account_id, rows, READ if tree is None else (CATEGORY, *READ))
        counts = _counts(session, account_id)
        outcome = onboarding_changes.follow(session, account, found)
        account.onboarded_at = utcnow()
        ensure_schedules(account)
        message = f"Onboarding Data Imported successfully: {describe_counts(counts)}."
        after = {**counts, "webhooks": len(registered), **outcome.after()}
        events.record(onboarding_changes.EVENT, "account", account_id, message, account_id=account_id, before=before, after=after, reason=outcome.reason())
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


def _read(client: TikTokClient, progress: Progress) -> Iterator[Reference]:
    warehouses = client.warehouses()
    for warehouse in warehouses:
        yield _reference("warehouse", "", warehouse, _public(warehouse))
    for warehouse in warehouses:
        if warehouse.get("type") != "SALES_WAREHOUSE":
            continue
        progress(f"Delivery options of {warehouse.get('name')}")
        region = str((warehouse.get("address") or {}).get("region_code") or "") or None
        for option in client.delivery_options(str(warehouse["id"])):
            yield _reference("delivery_option", str(warehouse["id"]), option, option)
            progress(f"Carriers of {option.get('name')}")
            for provider in _providers(client, str(option["id"]), region):
                yield _reference("shipping_provider", str(option["id"]), provider, provider)


def _reference(kind: str, parent_id: str, row: dict[str, Any], data: dict[str, Any], name: str = "name") -> Reference:
    return Reference(kind, parent_id, str(row["id"]), str(row.get(name) or "")[:300], data)


def _categories(client: TikTokClient, account: Account) -> list[Reference] | None:
    """The whole tree in the version that the shop's market asks for (TTS §5.3.2).

    None when there is nothing to compare: without the product scope (orders need no categories), or when TikTok answers with an empty tree, which is no
    reason to take every listing template's category for removed.
    """
    try:
        tree = client.categories(version=limits(account.country).tree or None, locale=account.locale)
    except api.Unauthorized as error:
        if error.reason != "scope":
            raise
        return None
    return [_reference(CATEGORY, str(node.get("parent_id") or ""), node, node, "local_name") for node in tree] or None


def _read_prerequisites(account_id: int) -> None:
    """Whether the shop may list, for the account's page; without the product scope nobody can know."""
    try:
        prerequisites.read(account_id)
    except api.Unauthorized as error:
        if error.reason != "scope":
            raise


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


def _counts(session: Session, account_id: int) -> dict[str, int]:
    counted = select(ShopReference.kind, func.count()).where(ShopReference.account_id == account_id).group_by(ShopReference.kind)
    found = dict(session.execute(counted).all())
    return {kind: found.get(kind, 0) for kind in COUNT_LABELS}

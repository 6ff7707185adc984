"""The kinds of long work: what a run is called on screen and which queue it waits in.

Job bodies live in ``connector.jobs`` and are looked up by the same name; a test compares both lists.
"""

from __future__ import annotations

from dataclasses import dataclass

ACTIONS, DEFAULT, IMPORTS = "actions", "default", "imports"
QUEUES = (ACTIONS, DEFAULT, IMPORTS)


@dataclass(frozen=True)
class Kind:
    """``lease_seconds``: how long a silent worker is believed alive; ``needs_account``: paused while the account cannot work."""

    name: str
    title: str
    queue: str = DEFAULT
    lease_seconds: int = 20
    remote: bool = True  #: talks to TikTok: waits while the account's authorisation is expired


_ALL = (
    Kind("orders.import", "Import orders", IMPORTS),
    Kind("orders.refresh", "Sync status", ACTIONS),
    Kind("orders.create", "Create sales orders", ACTIONS),
    Kind("orders.ship", "Ship orders", ACTIONS),
    Kind("orders.settle_tracking", "Settle tracking numbers", ACTIONS),
    Kind("orders.reject", "Reject orders", ACTIONS),
    Kind("orders.follow", "Carry status to Magento", DEFAULT),
    Kind("orders.reference", "Write order numbers to TikTok", DEFAULT),
    Kind("shipments.collect", "Collect the store's shipments", IMPORTS, remote=False),
    Kind("shipments.push", "Send parcels to TikTok", ACTIONS),
    Kind("cancellations.import", "Import cancellation requests", IMPORTS),
    Kind("cancellations.answer", "Answer cancellation requests", ACTIONS),
    Kind("returns.import", "Import returns", IMPORTS),
    Kind("returns.answer", "Answer returns", ACTIONS),
    Kind("returns.memos", "Credit memos", DEFAULT),
    Kind("products.import", "Import products from Magento", IMPORTS, remote=False),
    Kind("products.import_stock", "Read stock from Magento", IMPORTS, remote=False),
    Kind("products.import_prices", "Read prices from Magento", IMPORTS, remote=False),
    Kind("products.evaluate", "Work out prices and stock", DEFAULT, remote=False),
    Kind("products.stock_down", "Send falling stock", ACTIONS),
    Kind("products.sync", "Inventory Price Sync", DEFAULT),
    Kind("products.validate", "Validate products", DEFAULT, remote=False),
    Kind("products.upload", "Upload products", DEFAULT),
    Kind("products.change_status", "Change product status", ACTIONS),
    Kind("products.sync_status", "Marketplace Status Sync", DEFAULT),
    Kind("products.read_listings", "Read listings from TikTok", IMPORTS),
    Kind("products.link", "Link products", DEFAULT),
    Kind("products.auto_upload", "Upload new products", DEFAULT),
    Kind("products.auto_update", "Update changed products", DEFAULT),
    Kind("attributes.refetch", "Refetch attributes", IMPORTS),
    Kind("templates.assign", "Assign products to templates", DEFAULT, remote=False),
    Kind("accounts.onboard", "Fetch Onboarding Data", IMPORTS, remote=False),  # an account is filled before it is enabled (go-live checks)
    Kind("accounts.refresh_tokens", "Refresh authorisations", DEFAULT, remote=False),
    Kind("accounts.check_webhooks", "Check webhooks", DEFAULT),
    Kind("oms.feed", "Write order feeds", DEFAULT, remote=False),
    Kind("oms.announce", "Announce order feeds", DEFAULT, remote=False),
    Kind("oms.apply", "Carry out OMS updates", ACTIONS),
    Kind("oms.pull", "Pull statuses from the OMS", IMPORTS, remote=False),
    Kind("oms.folder", "Look into the OMS drop folder", IMPORTS, remote=False),
    Kind("reconcile", "Reconcile orders", IMPORTS),
    Kind("deadlines.warn", "Warn about deadlines and failures", DEFAULT, remote=False),
    Kind("mail.send", "Send mail", DEFAULT, remote=False),
    Kind("housekeeping", "Housekeeping", DEFAULT, remote=False),
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}

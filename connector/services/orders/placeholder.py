"""A placeholder product for a SKU that Magento does not have ("Create Product and Order", A105, A119; MAG §4.2.5, §4.4.8).

It does not manage stock, so an order of it moves none; a source item with quantity 0 in a linked source makes it salable all the same.
"""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal

from connector.clients.errors import Rejected, Uncertain
from connector.services.orders.magento_store import MagentoStore

DEFAULT_ATTRIBUTE_SET = 4
NOT_VISIBLE, ENABLED = 1, 1


def create(store: MagentoStore, seller_sku: str, name: str, price: Decimal) -> None:
    """Create the product unless it is there already; safe to repeat, because products are saved by SKU."""
    slug = re.sub(r"[^a-z0-9]+", "-", seller_sku.lower()).strip("-")
    product = {
        "sku": seller_sku, "name": name or seller_sku, "attribute_set_id": DEFAULT_ATTRIBUTE_SET, "price": price, "status": ENABLED, "visibility": NOT_VISIBLE,
        "type_id": "simple", "weight": 0,
        "extension_attributes": {"stock_item": {"qty": 0, "is_in_stock": True, "use_config_manage_stock": False, "manage_stock": False}},
        "custom_attributes": [{"attribute_code": "url_key", "value": f"tiktok-{slug}-{hashlib.blake2b(seller_sku.encode(), digest_size=4).hexdigest()}"}],
    }  # fmt: skip
    try:
        store.client.create_product(product)
    except Uncertain:
        store.client.create_product(product)
    source = _linked_source(store)
    if source:
        item = {"sku": seller_sku, "source_code": source, "quantity": 0, "status": 1}
        try:
            store.client.save_source_items([item])
        except (Uncertain, Rejected) as error:  # an absolute value; a deadlock answers as a refusal
            if isinstance(error, Rejected) and not error.transient:
                raise
            store.client.save_source_items([item])
    store.learn_products([seller_sku], again=True)


def _linked_source(store: MagentoStore) -> str:
    """The first source of the website's stock; empty where there is no MSI."""
    try:
        stock = store.client.stock_for_website(store.facts.website_code)
    except Rejected:
        return ""
    links = [link for link in store.client.stock_source_links() if int(link["stock_id"]) == int(stock["stock_id"])]
    return str(min(links, key=lambda link: int(link["priority"]))["source_code"]) if links else ""

"""Which Magento customer an order gets (A114, A20 contradiction 13): a guest, the buyer's own, or one fixed for all.

A real shopper's cart is never touched: the order is placed as a guest and attached afterwards (MAG §4.4.4).
"""

from __future__ import annotations

from typing import Any

from connector.clients.errors import Conflict, NotFound, Uncertain
from connector.core.db import dialect_of, unit_of_work
from connector.core.errors import DomainError
from connector.domain.magento_address import RecipientAddress
from connector.domain.order_policy import OrderPolicy
from connector.models.order import MagentoCustomer
from connector.services.orders.magento_store import MagentoStore
from connector.services.orders.writers.task import Customer


def resolve(
    mode: str, *, store: MagentoStore, magento_id: int, policy: OrderPolicy, buyer_id: str, number: str, address: RecipientAddress, known: dict[str, Customer]
) -> Customer:
    """The customer for ``mode`` as the gates decided it. ``known`` is kept by the run, so that a repeat buyer costs no second look-up."""
    guest = Customer(email=policy.guest_email_for(buyer_id or number))
    if mode == "guest":
        return guest
    key = policy.same_customer_id if mode == "same" else buyer_id
    if f"{mode}:{key}" not in known:
        known[f"{mode}:{key}"] = _same(store, key) if mode == "same" else _real(store, magento_id, policy, buyer_id, address)
    return known[f"{mode}:{key}"]


def _same(store: MagentoStore, customer_id: str) -> Customer:
    try:
        return _customer(store.client.customer(customer_id))
    except NotFound as error:
        raise DomainError(
            "customer.unknown",
            f"Magento has no customer {customer_id}, whom the order policy names for all orders.",
            "Correct the customer ID in the order policy.",
        ) from error


def _real(store: MagentoStore, magento_id: int, policy: OrderPolicy, buyer_id: str, address: RecipientAddress) -> Customer:
    """Keyed by the buyer's TikTok id: the e-mail carries it, so a repeat buyer finds the same customer (and no mail reaches the buyer)."""
    email = policy.guest_email_for(buyer_id) if "{buyer" in policy.guest_email else f"{buyer_id}@tiktok.com"
    website = store.facts.website_id
    found = store.client.search_customers(email, website_id=website)
    if not found:
        try:
            found = [store.client.create_customer(_new(store, email, address))]
        except (Conflict, Uncertain):  # made by a neighbour, or by us without an answer
            found = store.client.search_customers(email, website_id=website)
            if not found:
                raise
    customer = _customer(found[0])
    with unit_of_work() as session:
        dialect = dialect_of(session)
        session.execute(
            dialect.insert(MagentoCustomer)
            .values(magento_id=magento_id, buyer_id=buyer_id, customer_id=str(customer.customer_id))
            .on_conflict_do_nothing(index_elements=["magento_id", "buyer_id"])
        )
    return customer


def _new(store: MagentoStore, email: str, address: RecipientAddress) -> dict[str, Any]:
    body = address.as_magento()
    if address.region or address.region_id:
        body["region"] = {"region": address.region, **({"region_id": address.region_id, "region_code": address.region_code} if address.region_id else {})}
    for key in ("region_id", "region_code"):
        body.pop(key, None)
    return {
        "email": email, "firstname": address.firstname, "lastname": address.lastname, "website_id": store.facts.website_id, "store_id": store.facts.store_id,
        "addresses": [body | {"default_shipping": True, "default_billing": True}],
    }  # fmt: skip


def _customer(row: dict[str, Any]) -> Customer:
    return Customer(str(row["email"]), int(row["id"]), int(row.get("group_id") or 1), str(row.get("firstname") or ""), str(row.get("lastname") or ""))

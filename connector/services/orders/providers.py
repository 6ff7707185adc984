"""TikTok's shipping providers per delivery option, and the one a parcel goes by (TTS §5.2.3, A257)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import func, select

from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.domain.carriers import CarrierMatch, Provider, match_carrier, normalise
from connector.domain.order_policy import OrderPolicy
from connector.models.account import Account, ShopReference
from connector.models.order import Shipment
from connector.services import connections

PROVIDER = "shipping_provider"
#: TTS §5.2.3: cache a day.
FRESH = timedelta(days=1)


def known_providers(account_id: int, delivery_option_id: str | None = None) -> list[Provider]:
    """The providers stored for a delivery option, or the names over all options (ids then are those of the first option)."""
    query = select(ShopReference.remote_id, ShopReference.name).where(ShopReference.account_id == account_id, ShopReference.kind == PROVIDER)
    if delivery_option_id is not None:
        query = query.where(ShopReference.parent_id == delivery_option_id)
    found: dict[str, Provider] = {}
    for remote_id, name in db.session.execute(query.order_by(ShopReference.name, ShopReference.id)):
        found.setdefault(normalise(name), Provider(remote_id, name))
    return list(found.values())


def providers_for(account_id: int, delivery_option_id: str, *, buyer_region: str = "") -> list[Provider]:
    """The providers of one delivery option; read from TikTok when the stored ones are missing or older than a day (TTS §5.2.3).

    Talks to TikTok: call it outside a transaction.
    """
    newest = db.session.scalar(
        select(func.max(ShopReference.fetched_at)).where(
            ShopReference.account_id == account_id, ShopReference.kind == PROVIDER, ShopReference.parent_id == delivery_option_id
        )
    )
    known = known_providers(account_id, delivery_option_id)
    end_reading()
    if known and newest and newest > utcnow() - FRESH:
        return known
    rows = connections.tiktok(account_id).shipping_providers(delivery_option_id, buyer_region=buyer_region or None)
    keep_providers(account_id, delivery_option_id, rows)
    return [Provider(str(row["id"]), str(row["name"])) for row in rows]


def keep_providers(account_id: int, delivery_option_id: str, rows: Iterable[dict[str, str]]) -> None:
    """Store TikTok's list for one delivery option; what TikTok no longer offers is removed."""
    with unit_of_work() as session:
        session.get(Account, account_id, with_for_update=True)
        query = select(ShopReference).where(
            ShopReference.account_id == account_id, ShopReference.kind == PROVIDER, ShopReference.parent_id == delivery_option_id
        )
        present = {row.remote_id: row for row in session.scalars(query)}
        for row in rows:
            known = present.pop(str(row["id"]), None)
            if known is None:
                known = ShopReference(account_id=account_id, kind=PROVIDER, parent_id=delivery_option_id, remote_id=str(row["id"]))
                session.add(known)
            known.name, known.data, known.fetched_at = str(row["name"]), dict(row), utcnow()
        for gone in present.values():
            session.delete(gone)


def resolve(parcel: Shipment, policy: OrderPolicy, providers: list[Provider], *, delivery_option: str = "") -> CarrierMatch:
    """The provider of a parcel: what a person chose in the form, else the policy's row for the Magento carrier, else the same name."""
    mapping = {row.magento_carrier: row.tiktok_carrier for row in policy.carrier_mapping}
    title = parcel.provider_name if parcel.provider_name and not parcel.magento_carrier else parcel.magento_carrier
    return match_carrier(title, mapping, providers, delivery_option=delivery_option)

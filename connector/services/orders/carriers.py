"""Magento carriers that nobody has mapped yet: the parcels that wait for them, suggestions, and one mapping that releases all (A113, A237)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain.carriers import Suggestion, normalise, suggest
from connector.domain.order_policy import CarrierRow, OrderPolicy
from connector.models.account import Account
from connector.models.order import Order, Shipment
from connector.models.policy import Policy
from connector.services import connections, events, policies
from connector.services.orders import parcels, state
from connector.services.orders.providers import known_providers

WAITING_CODES = ("carrier.unknown", "carrier.not_offered", "carrier.missing")


@dataclass(frozen=True, slots=True)
class WaitingCarrier:
    """Parcels of one account that wait for one Magento carrier. ``parcels`` counts them; ``ship_by_at`` is the earliest deadline among them."""

    account_id: int
    carrier: str
    parcels: int
    ship_by_at: datetime | None
    suggestions: tuple[Suggestion, ...]


@dataclass(frozen=True, slots=True)
class Mapped:
    """What one mapping did: parcels released, the runs that send them."""

    carrier: str
    provider: str
    released: int
    run_ids: tuple[int, ...]


def map_carrier(account_id: int, magento_carrier: str, tiktok_carrier: str, *, actor: str) -> Mapped:
    """Add one row to the account's order policy (a new version) and send every parcel that waited for it, over all accounts with that policy.

    Raises ``DomainError`` when the account has no order policy or TikTok does not offer the carrier.
    """
    magento_carrier = magento_carrier.strip()
    with unit_of_work():
        account = connections.account_of(account_id)
        policy = policies.order_policy_row(account)
        offered = known_providers(account_id)
        provider = next((one.name for one in offered if normalise(one.name) == normalise(tiktok_carrier)), None)
        if provider is None or not magento_carrier:
            raise DomainError(
                "carrier.not_offered",
                f"TikTok does not offer a carrier {tiktok_carrier!r} to {account.title}.",
                f"Choose one of: {', '.join(one.name for one in offered)}." if offered else "Fetch Onboarding Data for the account first.",
                field="tiktok_carrier",
            )
        body = OrderPolicy.model_validate(policy.body)
        rows = [row for row in body.carrier_mapping if normalise(row.magento_carrier) != normalise(magento_carrier)]
        body = body.model_copy(update={"carrier_mapping": (*rows, CarrierRow(magento_carrier=magento_carrier, tiktok_carrier=provider))})
        policies.save(policy.id, title=policy.title, body=body, actor=actor, note=f"Carrier {magento_carrier} mapped to {provider}")
        released = _release(policy, magento_carrier, provider, actor)
        runs = [run for account_id in sorted(released) if (run := parcels.submit_due(account_id, started_by=actor))]
        return Mapped(magento_carrier, provider, sum(released.values()), tuple(runs))


def _release(policy: Policy, magento_carrier: str, provider: str, actor: str) -> dict[int, int]:
    """Make the parcels that waited for this carrier due; the number per account."""
    ruled = Account.order_policy_id == policy.id
    if policy.is_default:
        ruled = or_(ruled, Account.order_policy_id.is_(None))
    query = select(Shipment).join(Account, Account.id == Shipment.account_id).where(Shipment.state == parcels.WAITING_CARRIER, ruled)
    released: dict[int, int] = defaultdict(int)
    for parcel in db.session.scalars(query).all():
        if normalise(parcel.magento_carrier) != normalise(magento_carrier):
            continue
        parcel.state, parcel.retry_at = parcels.PENDING, None
        parcel.error_code = parcel.error_message = parcel.error_remedy = None
        order = db.session.get(Order, parcel.order_id)
        assert order is not None  # a foreign key
        state.clear_flag(order, *WAITING_CODES, reason=f"carrier {magento_carrier} mapped to {provider}")
        events.record(
            "parcel.released", "order", order.id, f"Parcel {parcel.tracking_number} is sent: {magento_carrier} is mapped to {provider}.",
            account_id=parcel.account_id, actor=actor,
        )  # fmt: skip
        released[parcel.account_id] += 1
    db.session.flush()
    return released


def waiting(account_id: int | None = None) -> list[WaitingCarrier]:
    """Parcels that wait for a carrier, by account and carrier, each with suggestions; the most urgent first."""
    query = (
        select(Shipment.account_id, Shipment.magento_carrier, func.count(), func.min(Order.ship_by_at))
        .join(Order, Order.id == Shipment.order_id)
        .where(Shipment.state == parcels.WAITING_CARRIER)
        .group_by(Shipment.account_id, Shipment.magento_carrier)
    )
    if account_id is not None:
        query = query.where(Shipment.account_id == account_id)
    far = datetime.max.replace(tzinfo=utcnow().tzinfo)
    rows = sorted(db.session.execute(query).all(), key=lambda row: (row[3] or far, row[1]))
    return [WaitingCarrier(account, title, count, due, tuple(suggestions(account, title))) for account, title, count, due in rows]


def suggestions(account_id: int, magento_carrier: str) -> list[Suggestion]:
    """TikTok carriers that a Magento carrier may mean: parcels that went that way before (any account), then similar names."""
    query = (
        select(Shipment.magento_carrier, Shipment.provider_name, func.count())
        .where(Shipment.state == parcels.DELIVERED, Shipment.magento_carrier != "", Shipment.provider_name != "")
        .group_by(Shipment.magento_carrier, Shipment.provider_name)
    )
    seen: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for title, provider, count in db.session.execute(query):
        seen[normalise(title)][provider] += count
    return suggest(magento_carrier, (one.name for one in known_providers(account_id)), seen)

"""Orders of one buyer in one parcel (TTS §5.5.10, A269): offered only where TikTok says that they may be combined; undone until a shipment is arranged.

Combining arranges nothing: it moves the orders' lines into one package. Whoever ships that package then ships all of them (``fence.together``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain import shipping
from connector.models.account import Account
from connector.models.order import WEBHOOK, Order, OrderLine
from connector.services import connections, events
from connector.services.orders import fence, intake, state
from connector.services.orders.push import cancellation_open, market_of

#: Orders in one package at most (A269); a tracking number serves no more anyway.
MOST = 20
#: Pages of TikTok's list of combinable groups that are looked through, at fifty groups a page.
_PAGES = 20


@dataclass(frozen=True, slots=True)
class Offer:
    """Orders that TikTok would put into one package: (our id, TikTok's order id) each."""

    account_id: int
    group_id: str
    orders: tuple[tuple[int, str], ...]


def offers(order_ids: Sequence[int]) -> list[Offer]:
    """Which of these orders may go together. TikTok is asked only where two of them could: same buyer and delivery option, no request to cancel.

    Raises ``ApiError`` when TikTok cannot be asked.
    """
    alike: dict[tuple[int, str, str], dict[str, int]] = defaultdict(dict)
    for order in db.session.scalars(select(Order).where(Order.id.in_(list(order_ids))).order_by(Order.id)):
        account = db.session.get(Account, order.account_id)
        assert account is not None
        way = shipping.route(market_of(account), order.shipping_type, order.fulfillment_type)
        if way == shipping.SHIP_PACKAGE and order.remote_status == "AWAITING_SHIPMENT" and order.buyer_id and not order.cancel_requested:
            alike[order.account_id, order.buyer_id, order.delivery_option_id][order.number] = order.id
    wanted: dict[int, dict[str, int]] = defaultdict(dict)
    for (account_id, _, _), numbers in alike.items():
        if len(numbers) > 1:
            wanted[account_id] |= numbers
    end_reading()
    found = []
    for account_id, known in wanted.items():
        for group_id, together in _groups(connections.tiktok(account_id)):
            chosen = [(known[number], number) for number in together if number in known][:MOST]
            if len(chosen) > 1:
                found.append(Offer(account_id, group_id, tuple(chosen)))
    return found


def _groups(client: TikTokClient) -> Iterator[tuple[str, list[str]]]:
    token: str | None = None
    for _ in range(_PAGES):
        page = client.combinable_packages(page_token=token)
        for group in page.items:
            yield str(group.get("id")), [str(one) for one in group.get("order_ids") or []]
        token = page.next_page_token
        if token is None:
            return


def combine(order_ids: Sequence[int], *, actor: str) -> str:
    """Put these orders into one package; a sentence about it. Safe to call again: orders that share a package already are left as they are.

    Raises ``DomainError`` when they may not be combined and ``ApiError``.
    """
    wanted = list(db.session.scalars(select(Order).where(Order.id.in_(list(order_ids))).order_by(Order.id)))
    accounts = {order.account_id for order in wanted}
    if not 1 < len(wanted) <= MOST or len(accounts) != 1:
        raise DomainError("packages.which", f"One parcel takes 2 to {MOST} orders of one account.", "Choose such orders in the list.")
    numbers = [order.number for order in wanted]
    account_id, first = accounts.pop(), wanted[0]
    end_reading()
    client = connections.tiktok(account_id)
    text = f"Orders {', '.join(numbers)} leave in one package now; one tracking number serves all."
    if _one_package(client, numbers):
        return text
    group = next((group_id for group_id, there in _groups(client) if set(numbers) <= set(there)), None)
    if group is None:
        raise DomainError(
            "packages.not_combinable", f"TikTok does not offer to combine orders {', '.join(numbers)}.",
            "Only orders of one buyer with the same address and delivery option, awaiting shipment and without a request to cancel, go together.",
        )  # fmt: skip
    with unit_of_work() as session:
        for order in wanted:
            row = fence.lock(session, order.id)
            if cancellation_open(order.id) or fence.cancelling(order.id):
                raise DomainError("packages.cancellation", f"A cancellation of order {row.number} is open or under way.", "Accept or reject the request first.")
            if (sending := fence.being_sent(order.id)) is not None:
                raise DomainError("packages.sending", f"Parcel {sending} of order {row.number} is being sent right now.", "Try again in a minute.")
    try:
        result = client.combine_packages({group: numbers})
    except api.Uncertain:
        if not _one_package(client, numbers):
            raise
    else:
        problem = next(iter([*result.errors.values(), *result.unnamed]), None)
        if problem is not None and not _one_package(client, numbers):
            raise DomainError(
                "packages.refused", f"TikTok did not combine orders {', '.join(numbers)}. TikTok answered: {problem.message} (code {problem.code})",
                "Use Sync Status on these orders, then look whether they still await shipment.",
            )  # fmt: skip
    _read_again(client, account_id, numbers)
    _record("order.combined", [order.id for order in wanted], first.account_id, text, actor)
    return text


def take_apart(order_id: int, *, actor: str) -> str:
    """Undo a combination: every order gets a package of its own again. Raises ``DomainError`` when there is nothing to undo, and ``ApiError``."""
    order = db.session.get(Order, order_id)
    if order is None:
        raise state.unknown(order_id)
    account_id, number = order.account_id, order.number
    end_reading()
    client = connections.tiktok(account_id)
    package_id = next((one for one in sorted(_packages(client, [number])[number]) if one), "")
    package = client.package(package_id) if package_id else {}
    members = [str(one.get("id")) for one in package.get("orders") or []]
    if len(members) < 2:
        _read_again(client, account_id, [number])
        raise DomainError("packages.not_combined", f"Order {number} is not in one package with other orders.", "Nothing is to be taken apart.")
    if package.get("package_status") != "TO_FULFILL":
        raise DomainError(
            "packages.arranged", f"The shipment of package {package_id} is arranged ({package.get('package_status')}), so its orders stay together.",
            "Send the parcel as it is.",
        )  # fmt: skip
    with unit_of_work() as session:
        for one in fence.lock_together(session, order_id):
            if (sending := fence.being_sent(one)) is not None:
                raise DomainError("packages.sending", f"Parcel {sending} is being sent right now.", "Try again in a minute.")
    try:
        client.uncombine_package(package_id, members)
    except api.Uncertain:
        if _one_package(client, members):
            raise
    _read_again(client, account_id, members)
    text = f"Package {package_id} was taken apart: orders {', '.join(members)} leave separately."
    ids = db.session.scalars(select(Order.id).where(Order.account_id == account_id, Order.number.in_(members))).all()
    end_reading()
    _record("order.uncombined", ids, account_id, text, actor)
    return text


def shares(order_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """For each of these orders that shares an unshipped package: the numbers of the other orders in it, as last read."""
    found: dict[int, tuple[str, ...]] = {}
    packages: dict[str, dict[int, str]] = defaultdict(dict)
    mine = select(OrderLine.package_id).where(OrderLine.order_id.in_(list(order_ids)), OrderLine.package_id != "", OrderLine.tracking_number == "")
    query = select(OrderLine.package_id, Order.id, Order.number).join(Order, Order.id == OrderLine.order_id).where(OrderLine.package_id.in_(mine))
    for package_id, order_id, number in db.session.execute(query.order_by(Order.id)):
        packages[package_id][order_id] = number
    for members in packages.values():
        if len(members) > 1:
            found |= {one: tuple(number for other, number in members.items() if other != one) for one in members}
    return found


def _packages(client: TikTokClient, numbers: Sequence[str]) -> dict[str, set[str]]:
    """Order -> the packages of its open lines, as TikTok has it now."""
    found: dict[str, set[str]] = {number: set() for number in numbers}
    for payload in client.get_orders(list(numbers)):
        found[str(payload.get("id"))] = {unit.package_id for unit in shipping.units_of(payload) if unit.open}
    return found


def _one_package(client: TikTokClient, numbers: Sequence[str]) -> bool:
    packages = list(_packages(client, numbers).values())
    return len(packages[0]) == 1 and "" not in packages[0] and all(one == packages[0] for one in packages)


def _read_again(client: TikTokClient, account_id: int, numbers: Sequence[str]) -> None:
    """Take the orders in as they are now; one that cannot be read is left to the scheduled import, which parks it."""
    known = set(db.session.scalars(select(Order.number).where(Order.account_id == account_id, Order.number.in_(numbers))))
    end_reading()
    intake.store_page(intake.rules_for(account_id, WEBHOOK), client.get_orders([number for number in numbers if number in known]), park=lambda bad: None)


def _record(kind: str, order_ids: Sequence[int], account_id: int, text: str, actor: str) -> None:
    with unit_of_work():
        for order_id in order_ids:
            events.record(kind, "order", order_id, text, account_id=account_id, actor=actor)

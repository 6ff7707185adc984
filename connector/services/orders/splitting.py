"""A parcel with some of an order's lines in markets that ship by package: TikTok makes it a package of its own first (TTS §5.5.10, A268); and which orders
TikTok takes in several parcels only.

At most once in effect: the order was read right before, so lines that are a package of their own already are not split again; after a lost answer the
next attempt reads the order and ships the package that is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.db import db, end_reading, unit_of_work
from connector.domain.shipping import OPEN_LINE, SHIPPABLE, Check
from connector.models.order import Order, OrderLine
from connector.services import connections, events

#: Orders that TikTok is asked about with one call.
ASKED_AT_ONCE = 50


def demands(order_ids: Sequence[int]) -> dict[int, Check]:
    """Our id -> the check that fails, for the orders among these that TikTok takes in several parcels only (``must_split``). It is asked about orders of
    which several units still have to leave.

    Raises ``ApiError`` when TikTok cannot be asked, ``DomainError`` while the account is not authorised.
    """
    waiting = select(OrderLine.order_id).where(OrderLine.order_id.in_(list(order_ids)), OrderLine.remote_status.in_(OPEN_LINE))
    several = waiting.group_by(OrderLine.order_id).having(func.count() > 1)
    asked: dict[int, dict[str, int]] = defaultdict(dict)
    for order in db.session.scalars(select(Order).where(Order.id.in_(several), Order.remote_status.in_(SHIPPABLE)).order_by(Order.id)):
        asked[order.account_id][order.number] = order.id
    end_reading()
    found: dict[int, Check] = {}
    for account_id, known in asked.items():
        client = connections.tiktok(account_id)
        numbers = list(known)
        for start in range(0, len(numbers), ASKED_AT_ONCE):
            for said in client.split_attributes(numbers[start : start + ASKED_AT_ONCE]):
                number = str(said.get("order_id"))
                if said.get("must_split") and number in known:
                    found[known[number]] = _demand(number, said)
    return found


def _demand(number: str, said: Mapping[str, Any]) -> Check:
    limits = "; ".join(_limits(said.get("must_split_reasons") or ())) or "it names no reason"
    return {
        "check": "must_split", "ok": False, "facts": dict(said), "message": f"TikTok takes order {number} in several parcels only: {limits}.",
        "remedy": "Give each parcel a tracking number of its own: make several shipments in Magento, or ship from a file with SKU and quantity in each line.",
    }  # fmt: skip


def _limits(reasons: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """TikTok's reasons in words; one that the contract does not name as it came."""
    for reason in reasons:
        most = f"at most {reason.get('max_count')} units"
        match reason.get("type"):
            case "TOTAL_COUNT_LIMITATION":
                yield f"{most} in one"
            case "CATEGORY_ITEM_LIMITATION":
                yield f"{most} of category {reason.get('category_id')} in one"
            case other:
                yield str(other or "a reason without a name")


def why_not(client: TikTokClient, number: str) -> Check | None:
    """TikTok's own reason why the order cannot be split now, or None."""
    said = next((one for one in client.split_attributes([number]) if str(one.get("order_id")) == number), None)
    if said is None or said.get("can_split"):
        return None
    reason = str(said.get("reason") or "no reason was given")
    return {
        "check": "split", "ok": False, "facts": dict(said),
        "message": f"This parcel holds some of the lines of order {number}, and TikTok does not split the order. TikTok answered: {reason}",
        "remedy": "Ship the rest under the same tracking number; it is tried again by itself.",
    }  # fmt: skip


def split_off(client: TikTokClient, order: Order, groups: Sequence[Sequence[str]]) -> str:
    """Make these groups of lines packages; the package id of the first. Raises ``ApiError``: ``Uncertain`` when the answer was lost."""
    made = client.split_order(order.number, {str(label): line_ids for label, line_ids in enumerate(groups, 1)})
    if "1" not in made:
        raise api.Uncertain("TikTok split the order without naming the package", system="tiktok", operation="split_order", code="split.unnamed")
    with unit_of_work():
        text = f"TikTok split the order into {len(made)} packages: {', '.join(made.values())}."
        events.record("order.split", "order", order.id, text, account_id=order.account_id, after={"packages": made})
    return made["1"]

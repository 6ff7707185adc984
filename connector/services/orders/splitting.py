"""A parcel with some of an order's lines in markets that ship by package: TikTok makes it a package of its own first (TTS §5.5.10, A268).

At most once in effect: the order was read right before, so lines that are a package of their own already are not split again; after a lost answer the
next attempt reads the order and ships the package that is there.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.db import unit_of_work
from connector.domain.shipping import Check
from connector.models.order import Order
from connector.services import events


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

"""Rejecting an order: which of the reasons TikTok offers for it is meant (A206; TTS §5.6.1, §5.6.2, §5.6.10). Pure.

The names differ by market and change, so none of them stands here: only the words by which a family of them is recognised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OUT_OF_STOCK, PRICING_ERROR, UNABLE_TO_DELIVER = "out_of_stock", "pricing_error", "unable_to_deliver"
REASONS: dict[str, str] = {OUT_OF_STOCK: "Out of Stock", PRICING_ERROR: "Pricing Error", UNABLE_TO_DELIVER: "Unable to Deliver"}

_WORDS: dict[str, tuple[str, ...]] = {
    OUT_OF_STOCK: ("out_of_stock",),
    PRICING_ERROR: ("wrong_price", "pricing_error", "price_error"),
    UNABLE_TO_DELIVER: ("address_not_deliver", "unable_to_deliver", "not_deliver"),
}


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What TikTok allows for cancelling an order: the lines that may be cancelled, the reason names all of them share, why others may not."""

    line_ids: tuple[str, ...]
    reason_names: tuple[str, ...]
    refused: tuple[str, ...] = ()


def read_eligibility(sku_eligibility: Sequence[Mapping[str, Any]]) -> Eligibility:
    """Read the answer of the eligibility call (``order_line_items_ids`` is spelt so, TTS §5.6.1)."""
    lines: list[str] = []
    shared: list[str] | None = None
    refused: list[str] = []
    for sku in sku_eligibility:
        for entry in sku.get("line_item_eligibility") or ():
            if entry.get("request_type") != "CANCEL":
                continue
            if not entry.get("eligible"):
                refused.append(str(entry.get("ineligible_reason") or entry.get("ineligible_code") or "not eligible"))
                continue
            named = [str(line) for line in entry.get("order_line_items_ids") or ()]
            lines += named or [str(line["order_line_item_id"]) for line in entry.get("order_line_list") or ()]
            names = [str(name) for name in entry.get("available_reason_names") or ()]
            shared = names if shared is None else [name for name in shared if name in names]
    return Eligibility(tuple(dict.fromkeys(lines)), tuple(shared or ()), tuple(dict.fromkeys(refused)))


def reason_name(kind: str, offered: Sequence[str]) -> str | None:
    """The offered name that means ``kind`` (one of ``REASONS``), or None when TikTok does not offer one for this order."""
    for word in _WORDS[kind]:
        for name in offered:
            if word in name:
                return name
    return None

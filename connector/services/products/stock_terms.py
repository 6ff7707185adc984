"""The terms of a SKU's stock as they are stored: what the domain's ledger says, and what an evaluation adds to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Row

from connector.domain import stock

#: Terms beside those of ``domain.stock``.
HANDED_OVER, UNKNOWN, UNAVAILABLE, HELD_DOWN = "handed_over", "unknown_orders", "unavailable", "held_down"


def changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], balance: int) -> list[dict[str, Any]]:
    """Ledger lines that lead from the terms of one evaluation to those of the next: {term, change, balance, words}. Terms are told apart by their label."""
    old: dict[str, int] = {}
    for term in before:
        old[term["label"]] = old.get(term["label"], 0) + term["change"]
    lines = []
    now = {term["label"]: term for term in after}
    gone = [
        {**term, "change": 0, "words": f"{term['label']}: no longer."} for term in {term["label"]: term for term in before}.values() if term["label"] not in now
    ]
    for term in chain(now.values(), gone):
        change = term["change"] - old.get(term["label"], 0)
        if change:
            balance += change
            lines.append({"term": term["key"], "change": change, "balance": balance, "words": term["words"]})
    return lines


def split(terms: Sequence[stock.Term], opened: int, handed: int, unknown: int) -> list[dict[str, Any]]:
    """The domain's terms as they are stored; the open units are told apart by what is known of them."""
    found: list[dict[str, Any]] = []
    for term in terms:
        words = term.words
        if term.key != stock.OPEN:
            found.append({"key": term.key, "label": term.label, "change": term.change, "words": words})
            continue
        words = f"In TikTok orders that Magento does not know about yet: {stock.units(opened)}."
        found.append({"key": term.key, "label": term.label, "change": -opened, "words": words})
        if handed:
            words = f"In orders that Magento took after its stock was read: {stock.units(handed)}."
            found.append({"key": HANDED_OVER, "label": "On the way to Magento", "change": -handed, "words": words})
        if unknown:
            words = f"TikTok holds {stock.units(unknown)} for orders that were not imported yet."
            found.append({"key": UNKNOWN, "label": "Orders not imported yet", "change": -unknown, "words": words})
    return found


def held_down(terms: list[dict[str, Any]], places: dict[str, int], sent: int, row: Row[Any] | None, why: str, there: bool) -> tuple[dict[str, int], int]:
    """Without a valid inventory policy nothing rises: what TikTok offers may only fall to what is there."""
    most = (row.live_quantity if row is not None and there and row.live_quantity is not None else row.wanted_quantity if row is not None else None) or 0
    if sent <= most:
        return places, sent
    terms.append({"key": HELD_DOWN, "label": "Not more than before", "change": most - sent, "words": f"The quantity is not raised. {why}".strip()})
    return stock.share(most, places), most


def difference(row: Row[Any] | None, quantity: int | None, places: Mapping[str, int], there: bool) -> dict[str, bool]:
    """Whether TikTok has to be told, and whether it offers too much in some warehouse."""
    if not there or row is None or quantity is None:
        return {"stock_due": False, "stock_falls": False}
    if row.live_quantity is None or not row.live_warehouses:
        return {"stock_due": True, "stock_falls": True}  # what it offers is not known
    differs = dict(row.live_warehouses) != dict(places)
    return {"stock_due": differs, "stock_falls": differs and any(places.get(place, 0) < amount for place, amount in row.live_warehouses.items())}

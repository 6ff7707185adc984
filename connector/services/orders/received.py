"""Reading what TikTok sent: a page of payloads becomes snapshots, and records that cannot be read. No database, no HTTP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from connector.core.crypto import vault
from connector.core.errors import DomainError
from connector.domain import tiktok_order as tiktok
from connector.domain.tiktok_order import BadOrder, OrderSnapshot


@dataclass(frozen=True, slots=True)
class Received:
    """A payload that could be read."""

    snapshot: OrderSnapshot
    payload: dict[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A payload that could not; ``ref`` is TikTok's order id, or made from the digest when there is none."""

    ref: str
    payload: Any
    error: DomainError

    def parked_data(self) -> dict[str, str]:
        """What the parked item keeps: the payload, encrypted (it holds the buyer's data), and its digest."""
        text = json.dumps(self.payload, default=str)
        return {"payload": vault().encrypt(text), "digest": hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}


ReadPage = tuple[list[Received], list[BadRecord]]


def read_page(payloads: Iterable[Any]) -> ReadPage:
    """Read what TikTok sent; of an order that comes twice the newer version counts."""
    good: dict[str, Received] = {}
    bad: list[BadRecord] = []
    for payload in payloads:
        try:
            snapshot = tiktok.read_order(payload)
            body = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
        except BadOrder as error:
            bad.append(BadRecord(_ref(payload), payload, error))
            continue
        except Exception as error:  # whatever is wrong with one record, its neighbours are taken in
            bad.append(BadRecord(_ref(payload), payload, BadOrder("order", f"has an unknown shape ({type(error).__name__}: {error})")))
            continue
        known = good.get(snapshot.number)
        if known is None or known.snapshot.remote_updated_at <= snapshot.remote_updated_at:
            good[snapshot.number] = Received(snapshot, payload, hashlib.blake2b(body, digest_size=16).hexdigest())
    return list(good.values()), bad


def _ref(payload: Any) -> str:
    number = payload.get("id") if isinstance(payload, dict) else None
    if isinstance(number, str | int) and str(number).isdigit() and len(str(number)) <= 40:
        return str(number)
    return "unreadable-" + hashlib.blake2b(repr(payload).encode("utf-8", "replace"), digest_size=8).hexdigest()

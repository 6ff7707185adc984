"""What an external storefront says of itself, asked at most once a minute while all is well: whether test orders may enter it (A247-A250)."""

from __future__ import annotations

import time
from typing import Any

from connector.clients import errors as api
from connector.core.db import end_reading
from connector.domain.external_order import unsafe_for_tests
from connector.models.account import SANDBOX, Account
from connector.models.oms import ExternalStore
from connector.services import connections

FRESH = 60.0
_seen: dict[tuple[int, str, str], tuple[float, dict[str, Any]]] = {}


def of(store: ExternalStore, account: Account) -> dict[str, Any]:
    """The environment of a Sandbox account's storefront; {} for a Production account, whose orders are meant.

    A storefront that refuses the question has told nothing (``{}``), which the gate refuses too. Raises ``Unavailable`` when it is away.
    """
    if account.environment != SANDBOX:
        return {}
    key = (store.id, store.base_url, store.client_id)
    known = _seen.get(key)
    if known is None or time.monotonic() - known[0] > FRESH:
        end_reading()
        try:
            told = connections.storefront_client(store, environment=account.environment).environment()
        except api.Unavailable:
            raise
        except api.ApiError as error:
            return {"refused": str(error)}
        if unsafe_for_tests(told) is not None:
            return told  # asked again for the next order: somebody is about to put it right
        known = _seen[key] = (time.monotonic(), told)
    return known[1]


def forget(store: ExternalStore) -> None:
    """Ask again: somebody has changed the store, or its address."""
    _seen.pop((store.id, store.base_url, store.client_id), None)

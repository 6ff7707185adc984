"""The client of one external storefront: CreateExternalOrder, GetOrder, PATCH Order (S4; A243, A244, A260-A265)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import orjson
import requests

from connector.clients.answer import Answer
from connector.clients.base import USER_AGENT, Call, Transport
from connector.clients.errors import NotFound, Unauthorized
from connector.clients.magento.caller import normalise_base_url, segment
from connector.clients.storefront.faults import SYSTEM, refusal
from connector.clients.storefront.token import Grant, TokenCache

T = TypeVar("T")
Row = dict[str, Any]

#: The end of an order in the store's own words; nothing leads out of it.
CANCELLED = "CANCELLED"
LONG = 60.0  # seconds a creation may take: giving up sooner only makes it uncertain
PAGE = 100


@dataclass(frozen=True, slots=True)
class Created:
    """The answer of CreateExternalOrder. `created` is False when the store had the order of this externalOrderId already."""

    order_no: str
    status: str
    created: bool


@dataclass(frozen=True, slots=True)
class Versioned:
    """An order as the store shows it, and the ETag by which a change of it is guarded."""

    order: Row
    etag: str


class StorefrontClient:
    """One method an endpoint. Cheap to make; threads may share it, and clients of a process share a `TokenCache`.

    Amounts are sent as strings with the currency's decimals and are returned as they came. Raises `ApiError` kinds only, and ValueError for an
    argument that can never be right.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        base_url: str,
        client_id: str,
        client_secret: str,
        account_key: str = "",
        tokens: TokenCache | None = None,
    ) -> None:
        self._transport = transport
        self.base_url = normalise_base_url(base_url)
        self._id, self._secret = client_id, client_secret
        self._account = account_key
        self._tokens = tokens or TokenCache()
        self._key = hashlib.sha256("\n".join((self.base_url, client_id, client_secret)).encode()).hexdigest()

    # --- the store itself

    def environment(self) -> Row:
        """`{"environment": development|staging|production, "storefrontProtection", "paymentCapture", "confirmationEmails"}` (A247-A249)."""
        return self._call("environment", "GET", "/api/environment", read=_object)

    # --- orders

    def create_external_order(self, body: Mapping[str, Any]) -> Created:
        """CreateExternalOrder. The same externalOrderId gives the same order, so a lost answer may be followed by the same call."""

        def read(answer: Answer) -> Created:
            shown = _object(answer)
            return Created(str(shown["orderNo"]), str(shown.get("c_externalOrderStatus") or ""), bool(shown.get("created", answer.status == 201)))

        return self._call("create_external_order", "POST", "/api/orders", body=body, read=read, read_timeout=LONG)

    def get_order(self, order_no: str) -> Versioned:
        """GetOrder with its ETag. Raises `NotFound`."""
        return self._call("get_order", "GET", f"/api/orders/{segment(order_no)}", read=_versioned)

    def find_by_external_id(self, external_order_id: str) -> Row | None:
        """GetOrder by the TikTok order id; None when the store has no such order."""
        path = f"/api/orders?externalOrderId={quote(external_order_id, safe='')}"
        try:
            found = self._call("find_order", "GET", path, read=_listed)[0]
        except NotFound:
            return None
        return next((row for row in found if str(row.get("externalOrderId")) == external_order_id), None)

    def orders_modified_since(self, since: datetime) -> Iterator[Row]:
        """Every order that was changed at or after `since`, page by page, oldest change first."""
        cursor = ""
        while True:
            query = {"modifiedSince": since.isoformat().replace("+00:00", "Z"), "limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
            rows, following = self._call("orders_modified_since", "GET", f"/api/orders?{urlencode(query)}", read=_listed)
            yield from rows
            if not following or following == cursor:
                return
            cursor = following

    def patch_order(self, order_no: str, changes: Mapping[str, Any], *, etag: str) -> Versioned:
        """PATCH Order. Raises `Conflict` sto.changed when the order is no longer the one of `etag`, sto.conflict when it forbids the change."""
        if not changes or not etag:
            raise ValueError("a patch needs changes and the ETag of the order that was read")
        return self._call("patch_order", "PATCH", f"/api/orders/{segment(order_no)}", body=changes, read=_versioned, headers={"if-match": etag})

    # --- how

    def _call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        read: Callable[[Answer], T],
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        read_timeout: float | None = None,
    ) -> T:
        """Send with the kept token; one that the store refuses is dropped and the call made once more (it had no effect)."""
        for last in (False, True):
            token = self._tokens.get(self._key, self._ask_for_token)
            sent = {"authorization": f"Bearer {token}", **(headers or {})}
            payload = None if body is None else orjson.dumps(body, default=_exact)
            try:
                return self._send(operation, method, path, sent, payload, read, "application/json", read_timeout)
            except Unauthorized as error:
                if error.code != "sto.token" or last:
                    raise
                self._tokens.drop(self._key, token)
        raise AssertionError("unreachable")

    def _ask_for_token(self) -> Grant:
        """Client credentials by Basic authentication; id and secret are form-encoded first (RFC 6749 §2.3.1)."""
        pair = f"{quote(self._id, safe='')}:{quote(self._secret, safe='')}".encode()
        headers = {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
        body = b"grant_type=client_credentials"
        return self._send("token", "POST", "/oauth/token", headers, body, _grant, "application/x-www-form-urlencoded", None)

    def _send(
        self,
        operation: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        payload: bytes | None,
        read: Callable[[Answer], T],
        media_type: str,
        read_timeout: float | None,
    ) -> T:
        safe = method == "GET" or operation == "token"
        trace: dict[str, str] = {}

        def prepare() -> requests.PreparedRequest:
            sent = {"accept": "application/json", "user-agent": USER_AGENT, "accept-encoding": "gzip, deflate", **headers}
            if payload is not None:
                sent["content-type"] = media_type
            return requests.Request(method, self.base_url + path, headers=sent, data=payload).prepare()

        def understand(answer: Answer) -> T:
            trace["request_id"] = answer.headers.get("X-Request-Id", "")
            if answer.status not in (200, 201):
                raise refusal(answer, operation=operation, safe=safe)
            return read(answer)

        return self._transport.send(
            Call(
                system=SYSTEM,
                operation=operation,
                account=self._account,
                family="read" if safe else "write",
                safe=safe,
                prepare=prepare,
                read=understand,
                secret_answer=operation == "token",
                trace=trace,
                read_timeout=read_timeout,
            )
        )


def _object(answer: Answer) -> Row:
    found = json.loads(answer.body, parse_float=Decimal)
    if not isinstance(found, dict):
        raise TypeError("not an object")
    return found


def _versioned(answer: Answer) -> Versioned:
    order = _object(answer)
    order["orderNo"] = str(order["orderNo"])
    return Versioned(order, answer.headers.get("ETag", ""))


def _listed(answer: Answer) -> tuple[Sequence[Row], str]:
    """Orders and the next cursor; a store may answer one order alone when it was asked by the external id."""
    found = _object(answer)
    if "orderNo" in found:
        return [found], ""
    return [row for row in found["orders"] if isinstance(row, dict)], str(found.get("nextCursor") or "") if found.get("more", True) else ""


def _grant(answer: Answer) -> Grant:
    shown = _object(answer)
    token = str(shown["access_token"])
    if not token:
        raise ValueError("an empty token")
    return Grant(token, float(shown.get("expires_in") or 0))


def _exact(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} cannot be sent")

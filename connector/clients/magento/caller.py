"""How every Magento call is made: URL and store scope, authorization per attempt, exact numbers, refusals."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import orjson
import requests

from connector.clients.answer import Answer
from connector.clients.base import USER_AGENT, Call, Transport
from connector.clients.clock import KeepsTheirTime
from connector.clients.errors import Rejected
from connector.clients.magento.faults import refusal
from connector.clients.magento.oauth1 import Authorization, Bearer
from connector.clients.magento.search import SearchCriteria, SearchResult

T = TypeVar("T")
Row = dict[str, Any]

LONG = 60.0  # seconds a place, invoice, ship or refund may take: giving up sooner only makes it uncertain


class BadBaseUrl(ValueError):
    """The text says what is wrong with the address and what to type instead."""


def normalise_base_url(text: str) -> str:
    """The store's address as the client wants it: scheme, host, optional path; no query, no trailing slash, no /rest."""
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  a port that is no number raises here
    except ValueError as error:
        raise BadBaseUrl(f"{text!r} is not a web address: {error}") from error
    if parts.scheme.lower() not in ("http", "https"):
        raise BadBaseUrl(f"Start the address with https://, for example https://{url.rpartition('://')[2] or 'shop.example'}")
    if not parts.hostname:
        raise BadBaseUrl("The address has no host name, for example https://shop.example")
    try:
        parts.hostname.encode("idna")
    except UnicodeError:
        raise BadBaseUrl(f"{parts.hostname} is no host name: a part of it is empty or longer than 63 characters") from None
    if parts.username or parts.password:
        raise BadBaseUrl("Leave user name and password out of the address")
    if parts.query or parts.fragment:
        raise BadBaseUrl("Leave everything from ? or # on out of the address")
    before, rest, _ = f"{url}/".partition("/rest/")
    if rest:
        raise BadBaseUrl(f"Enter the store's base URL without /rest: {before}")
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path}"


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Caller(KeepsTheirTime):
    """See `MagentoClient`."""

    def __init__(
        self,
        transport: Transport,
        *,
        base_url: str,
        auth: Authorization,
        account_key: str = "",
        signing_base_url: str | None = None,
        clock_offset: float = 0.0,
        on_clock_offset: Callable[[float], None] | None = None,
    ) -> None:
        super().__init__(transport, clock_offset, on_clock_offset)
        self.base_url = normalise_base_url(base_url)
        self._signing_base_url = normalise_base_url(signing_base_url) if signing_base_url else self.base_url
        self._auth = auth
        self._account = account_key
        self._largest_page: int | None = None

    def _get(
        self,
        operation: str,
        path: str,
        *,
        store: str | None = None,
        query: Sequence[tuple[str, str]] = (),
        read: Callable[[Any], T],
    ) -> T:
        return self._send(operation, "GET", path, store=store, query=query, read=read, safe=True)

    def read_again(self, operation: str, path: str, query: Sequence[tuple[str, str]]) -> Any:
        """A recorded read once more, signed anew: `path` as it was sent, from /rest on."""
        found = re.match(r"/rest(?:/([^/]+))?/V1/(.+)", path)
        if found is None:
            raise ValueError(f"{path} is no path of Magento's REST interface")
        return self._get(operation, found[2], store=found[1], query=query, read=lambda payload: payload)

    def _write(
        self,
        operation: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        read: Callable[[Any], T],
        store: str | None = None,
        safe: bool = False,
        read_timeout: float | None = None,
    ) -> T:
        return self._send(operation, method, path, store=store, body=body, read=read, safe=safe, read_timeout=read_timeout)

    def _search(self, operation: str, path: str, criteria: SearchCriteria, *, store: str | None = None) -> SearchResult:
        """A list call. Pages shrink to what the store allows (MAG §2.4); `SearchResult.page_size` tells the size used."""
        size = criteria.page_size
        if size and self._largest_page:
            size = min(size, self._largest_page)
        sent = replace(criteria, page_size=size)
        try:
            result = self._get(operation, path, store=store, query=sent.pairs(), read=SearchResult.read)
        except Rejected as error:
            largest = error.parameters.get("max") if isinstance(error.parameters, Mapping) else None
            if error.code != "mag.page_size" or not size or not largest or int(largest) >= size:
                raise
            self._largest_page = int(largest)
            return self._search(operation, path, criteria, store=store)
        return replace(result, page_size=size)

    def _send(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        safe: bool,
        read: Callable[[Any], T],
        store: str | None = None,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        read_timeout: float | None = None,
    ) -> T:
        target = "/rest" + (f"/{quote(store, safe='')}" if store else "") + f"/V1/{path}"
        payload = None if body is None else orjson.dumps(body, default=_exact)
        sent_query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in query)
        trace: dict[str, str] = {}

        def prepare() -> requests.PreparedRequest:
            timestamp = int(self._their_time())
            headers = {
                "authorization": self._auth.header(method, self._signing_base_url + target, query, timestamp),
                "accept": "application/json",
                "user-agent": USER_AGENT,
                "accept-encoding": "gzip, deflate",
            }
            if payload is not None:
                headers["content-type"] = "application/json"
            url = self.base_url + target + (f"?{sent_query}" if sent_query else "")
            return requests.Request(method, url, headers=headers, data=payload).prepare()

        def understand(answer: Answer) -> T:
            self._learn_clock(answer)
            if answer.status not in (200, 202):
                error = refusal(answer, operation=operation, safe=safe, bearer=isinstance(self._auth, Bearer))
                raise error
            return read(json.loads(answer.body, parse_float=Decimal))

        return self._transport.send(
            Call(
                system="magento",
                operation=operation,
                account=self._account,
                family="read" if safe else "write",
                safe=safe,
                prepare=prepare,
                read=understand,
                trace=trace,
                read_timeout=read_timeout,
            )
        )


def segment(value: object) -> str:
    """One path segment, percent-encoded whole (`/` too). A dot segment would be resolved on the way and is refused."""
    text = str(value)
    if text in ("", ".", ".."):
        raise ValueError(f"{text!r} cannot stand in a URL path")
    return quote(text, safe="")


def rows(payload: Any) -> list[Row]:
    """A bare list; Magento shows an empty one as [] or null, and a filtered one as an object keyed by position (MAG §2.3)."""
    if payload is None:
        return []
    return list(payload.values()) if isinstance(payload, dict) else list(payload)


def as_id(payload: Any) -> str:
    """A bare id, which arrives as a string here and as a number there (MAG §0.2)."""
    if isinstance(payload, bool) or not isinstance(payload, (str, int)) or not str(payload).isdigit():
        raise TypeError(f"not an id: {payload!r}")
    return str(payload)


def nothing(payload: Any) -> None:
    """The answer of a void service, `[]`."""


def _exact(value: object) -> object:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"{type(value).__name__} cannot be sent")

"""How every TikTok Shop call is made: path, cipher, clock, signature, token, and the three things done once and only once -
a new token, a new clock, an older version. All three follow a refusal at the gateway, so even a write may be sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

import orjson
import requests

from connector.clients.answer import Answer
from connector.clients.base import USER_AGENT, Call, Transport
from connector.clients.clock import KeepsTheirTime
from connector.clients.errors import Rejected, Unauthorized
from connector.clients.tiktok.envelope import read_data
from connector.clients.tiktok.registry import OPERATIONS, Operation
from connector.clients.tiktok.signature import sign

T = TypeVar("T")
Data = dict[str, Any]
Body = Mapping[str, Any] | Callable[[str], Mapping[str, Any]]  # a callable gets the version

UPLOAD_TIMEOUT = 60.0  # seconds; ten megabytes over a shop's line

API_HOST = "https://open-api.tiktokglobalshop.com"
CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart body: text parts by name, and one file as (part, file name, bytes, media type). It takes no part in the signature."""

    fields: Mapping[str, str]
    file: tuple[str, str, bytes, str]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `next_page_token` None is the end; a short page is not (TTS §4)."""

    items: list[Data]
    next_page_token: str | None
    total_count: int | None


class Caller(KeepsTheirTime):
    """See `TikTokClient`."""

    def __init__(
        self,
        transport: Transport,
        *,
        app_key: str,
        app_secret: str,
        token: Callable[[], str],
        refresh: Callable[[str], object] | None = None,
        shop_cipher: str | None = None,
        account_key: str = "",
        base_url: str = API_HOST,
        clock_offset: float = 0.0,
        on_clock_offset: Callable[[float], None] | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(transport, clock_offset, on_clock_offset)
        self._app_key, self._app_secret = app_key, app_secret
        self._token, self._refresh = token, refresh
        self._cipher = shop_cipher
        self._account = account_key
        self._base_url = base_url.rstrip("/")
        self._versions = dict(versions or {})

    def now(self) -> datetime:
        """The marketplace's time, as learnt from its last answer."""
        return datetime.fromtimestamp(self._their_time(), UTC)

    def _call(
        self,
        name: str,
        extract: Callable[[Data], T],
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str | None] | None = None,
        body: Body | Form | None = None,
    ) -> T:
        """Send the operation and hand its `data` to `extract`. Query values that are None or empty are left out."""
        operation = OPERATIONS[name]
        parameters = {k: v for k, v in (query or {}).items() if v}
        if operation.cipher:
            if not self._cipher:
                raise ValueError(f"{name} needs a shop cipher")
            parameters["shop_cipher"] = self._cipher
        done: set[str] = set()
        while True:
            version = self._versions.get(name, operation.version)
            used: list[str] = []
            try:
                return self._transport.send(self._prepare(name, operation, version, extract, path, parameters, body, used))
            except Unauthorized as error:
                remedy = {"tts.token_expired": "token", "tts.token_invalid": "token", "tts.clock": "clock"}.get(error.code)
                if remedy is None or remedy in done or (remedy == "token" and self._refresh is None):
                    raise
                done.add(remedy)
                if remedy == "token" and self._refresh is not None:
                    self._refresh(used[-1])  # the clock was learnt anew from the refusal's own Date header
            except Rejected as error:
                older = operation.fallback
                if error.code != "tts.version_unavailable" or older is None or older == version:
                    raise
                self._versions[name] = older

    def send_again(self, name: str, path: str, query: Mapping[str, str], body: bytes | None) -> Data:
        """A recorded read once more, with a fresh signature and the present token: `path` with its parameters filled in, `query` without
        what is computed per request. Raises ValueError for an operation that is no read."""
        operation = OPERATIONS[name]
        if not operation.read:
            raise ValueError(f"{name} changes something and is not sent again")
        parameters = dict(query)
        if operation.cipher and self._cipher:
            parameters["shop_cipher"] = self._cipher
        again = replace(operation, path=path.replace("{", "").replace("}", ""), fallback=None, fallback_path=None)
        payload = orjson.loads(body) if body else None
        return self._transport.send(self._prepare(name, again, operation.version, dict, None, parameters, payload, []))

    def _rows(
        self,
        name: str,
        key: str,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str | None] | None = None,
    ) -> list[Data]:
        """A list under `key`, which may be missing instead of empty (TTS §3.1)."""
        return self._call(name, lambda data: list(data.get(key) or []), path=path, query=query)

    def _page(
        self,
        name: str,
        key: str,
        *,
        query: Mapping[str, str | None],
        body: Mapping[str, Any] | None = None,
    ) -> Page:
        """A search whose rows are under `key` (which may be missing, TTS §3.1)."""
        return self._call(
            name,
            lambda data: Page(
                list(data.get(key) or []),
                str(data.get("next_page_token") or "") or None,
                int(data["total_count"]) if data.get("total_count") is not None else None,
            ),
            query=query,
            body=body,
        )

    def _search(
        self,
        name: str,
        key: str,
        filters: Mapping[str, Any] | None,
        page_size: int,
        page_token: str | None,
        sort_field: str | None,
        sort_order: str | None,
    ) -> Page:
        """A search whose filters are the body; they must be the same on every page (TTS §4)."""
        query = {"page_size": str(page_size), "page_token": page_token, "sort_field": sort_field, "sort_order": sort_order}
        return self._page(name, key, query=query, body=filters or {})

    def _prepare(
        self,
        name: str,
        operation: Operation,
        version: str,
        extract: Callable[[Data], T],
        path: Mapping[str, str] | None,
        parameters: Mapping[str, str],
        body: Body | Form | None,
        used: list[str],
    ) -> Call[T]:
        segments = {k: quote(str(v), safe="") for k, v in (path or {}).items()}
        target = operation.template(version).format(version=version, **segments)
        form = body if isinstance(body, Form) else None
        payload = None if body is None or isinstance(body, Form) else orjson.dumps(body(version) if callable(body) else body)
        media_type = CONTENT_TYPE if form is None else "multipart/form-data"
        trace: dict[str, str] = {}

        def prepare() -> requests.PreparedRequest:
            token = self._token()
            used.append(token)
            timestamp = str(int(self._their_time()))
            query = {**parameters, "app_key": self._app_key, "timestamp": timestamp}
            query["sign"] = sign(self._app_secret, target, query, payload, media_type)
            headers = {
                "accept": CONTENT_TYPE,
                "x-tts-access-token": token,
                "user-agent": USER_AGENT,
                "accept-encoding": "gzip, deflate",
            }
            url = f"{self._base_url}{target}?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())
            if form is not None:
                part, *_ = form.file
                return requests.Request(operation.method, url, headers=headers, data=dict(form.fields), files={part: form.file[1:]}).prepare()
            headers["content-type"] = CONTENT_TYPE
            return requests.Request(operation.method, url, headers=headers, data=payload).prepare()

        def read(answer: Answer) -> T:
            self._learn_clock(answer)
            paged = "page_token" in parameters
            return extract(read_data(answer, trace, operation=name, safe=operation.read, paged=paged))

        return Call(
            system="tiktok",
            operation=name,
            account=self._account,
            family=name,
            safe=operation.read,
            prepare=prepare,
            read=read,
            read_timeout=None if form is None else UPLOAD_TIMEOUT,
            trace=trace,
        )

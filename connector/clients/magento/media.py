"""Pictures of the store, as its web server gives them to anybody (MAG §4.2.3): no REST, no authorization."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

import requests

from connector.clients.answer import Answer
from connector.clients.base import USER_AGENT, Call
from connector.clients.errors import ApiError, NotFound, RateLimited, Redirected, Rejected, Unavailable
from connector.clients.magento.caller import Caller

#: Of one picture, before it is converted. TikTok takes 10 MB; a camera's original may be larger and still become one that fits.
MOST_BYTES = 32 * 1024 * 1024
REDIRECTS = 2
_PLAIN = "/!$&'()*+,;=:@~-._"
READ_TIMEOUT = 30.0  # seconds without a byte


@dataclass(frozen=True, slots=True)
class Media:
    """A file of the store. ``etag`` and ``last_modified`` verbatim, "" when the server gives none: send them next time."""

    content: bytes
    media_type: str
    etag: str = ""
    last_modified: str = ""


class MediaApi(Caller):
    def media(self, url: str, *, etag: str = "", last_modified: str = "", most_bytes: int = MOST_BYTES) -> Media | None:
        """The file at an address of the store, or None when it is still the one with these validators (HTTP 304).

        Redirects are followed within the same host only. Errors: `NotFound` mag.media_missing; `Rejected` mag.media_refused, net.too_large;
        `Redirected`; `ForbiddenHost` when the account may not call that host; `Unavailable` for a moment.
        """
        for _ in range(REDIRECTS):
            try:
                return self._media(url, etag, last_modified, most_bytes)
            except Redirected as error:
                target = urljoin(url, error.location)
                if urlsplit(target).netloc.lower() != urlsplit(url).netloc.lower():
                    raise
                url = target
        return self._media(url, etag, last_modified, most_bytes)

    def _media(self, url: str, etag: str, last_modified: str, most_bytes: int) -> Media | None:
        headers = {"accept": "image/*,*/*;q=0.5", "user-agent": USER_AGENT}
        headers |= {name: value for name, value in (("if-none-match", etag), ("if-modified-since", last_modified)) if value}

        def understand(answer: Answer) -> Media | None:
            if answer.status == 304:
                return None
            if answer.status != 200:
                raise _refusal(answer, url)
            return Media(answer.body, answer.media_type, answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", ""))

        return self._transport.send(
            Call(
                system="magento",
                operation="media",
                account=f"{self._account}:media",  # a broken picture server does not stop the calls of the store
                family="read",
                safe=True,
                prepare=lambda: requests.Request("GET", url, headers=headers).prepare(),
                read=understand,
                read_timeout=READ_TIMEOUT,
                most_bytes=most_bytes,
            )
        )


def media_url(base_media_url: str, path: str) -> str:
    """The address of a file below the media folder, its name percent-encoded."""
    return f"{base_media_url.rstrip('/')}/{quote(path.lstrip('/'), safe=_PLAIN)}"


def _refusal(answer: Answer, url: str) -> ApiError:
    facts = {"system": "magento", "operation": "media", "status": answer.status, "retry_after": answer.retry_after}
    message = f"The store answers HTTP {answer.status} for {url}"
    if answer.status in (404, 410):
        return NotFound(message, code="mag.media_missing", **facts)  # type: ignore[arg-type]
    if answer.status == 429:
        return RateLimited(message, code="mag.rate_limited", **facts)  # type: ignore[arg-type]
    if answer.status == 408 or answer.status >= 500:
        return Unavailable(message, **facts)  # type: ignore[arg-type]
    return Rejected(message, code="mag.media_refused", **facts)  # type: ignore[arg-type]

"""Pictures that TikTok Shop names in its answers, as its file servers give them to anybody: no API, no signature, no token (TTS §5.6.5, records)."""

from __future__ import annotations

import requests

from connector.clients.answer import Answer
from connector.clients.base import USER_AGENT, Call, Transport
from connector.clients.errors import ApiError, NotFound, RateLimited, Rejected, Unavailable

READ_TIMEOUT = 10.0  # seconds without a byte


def picture(transport: Transport, url: str, *, most_bytes: int) -> bytes:
    """The file at ``url``. Redirects are not followed. Errors: `NotFound`; `Rejected`, also net.too_large; `Redirected`;
    `ForbiddenHost` where only the practice servers may be called; `Unavailable` for a moment."""

    def understand(answer: Answer) -> bytes:
        if answer.status != 200:
            raise _refusal(answer, url)
        return answer.body

    return transport.send(
        Call(
            system="tiktok",
            operation="picture",
            account="pictures",  # a broken file server does not stop the calls of a shop
            family="read",
            safe=True,
            prepare=lambda: requests.Request("GET", url, headers={"accept": "image/*,*/*;q=0.5", "user-agent": USER_AGENT}).prepare(),
            read=understand,
            read_timeout=READ_TIMEOUT,
            most_bytes=most_bytes,
        )
    )


def _refusal(answer: Answer, url: str) -> ApiError:
    facts = {"system": "tiktok", "operation": "picture", "status": answer.status, "retry_after": answer.retry_after}
    message = f"The file server answers HTTP {answer.status} for {url}"
    if answer.status in (404, 410):
        return NotFound(message, **facts)  # type: ignore[arg-type]
    if answer.status == 429:
        return RateLimited(message, code="tts.rate_limited", **facts)  # type: ignore[arg-type]
    if answer.status == 408 or answer.status >= 500:
        return Unavailable(message, **facts)  # type: ignore[arg-type]
    return Rejected(message, **facts)  # type: ignore[arg-type]

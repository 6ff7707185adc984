"""What can go wrong when we talk to TikTok Shop or Magento, as types.

`code` is ours and stable ("tts.token_expired", "mag.acl_missing"): screens, tests and filters use it. `remote_code`,
`remote_message` and `parameters` are the remote system's own, verbatim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from connector.clients.remedies import FALLBACKS, REMEDIES

Parameters = Mapping[str, Any] | Sequence[Any]


class ApiError(Exception):
    """A call that did not give what was asked.

    `status` is the HTTP status or None when no answer came; `request_id` is TikTok's request id or Magento's report id;
    `retry_after` is in seconds.
    """

    default_code: ClassVar[str] = "api.error"
    retriable: bool = False  # by the client itself, and only for reads

    def __init__(
        self,
        message: str,
        *,
        system: str,
        operation: str,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        remote_code: str | None = None,
        remote_message: str | None = None,
        parameters: Parameters | None = None,
        transient: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.system = system
        self.operation = operation
        self.status = status
        self.code = code or self.default_code
        self.request_id = request_id
        self.retry_after = retry_after
        self.remote_code = remote_code
        self.remote_message = remote_message
        self.parameters = parameters
        self.transient = transient

    def __str__(self) -> str:
        return self.message


class Unavailable(ApiError):
    """The remote system did not do it and may do it later: not reachable, overloaded, failing, in maintenance."""

    default_code = "net.unavailable"
    retriable = True


class RateLimited(Unavailable):
    """Too many requests, said by the remote system or by our own limiter before sending."""

    default_code = "net.rate_limited"


class CircuitOpen(Unavailable):
    """Not sent: so many recent calls of this account failed that we wait for `retry_after` seconds."""

    default_code = "net.circuit_open"
    retriable = False


class Unauthorized(ApiError):
    """Not allowed. `reason`: expired, revoked, scope, acl, signature, clock, cipher, ip or deactivated; `missing`: Magento ACL ids."""

    default_code = "net.unauthorized"

    def __init__(self, message: str, *, reason: str = "revoked", missing: Sequence[str] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.reason = reason
        self.missing = tuple(missing)


class Rejected(ApiError):
    """Understood and refused; nothing changed. `transient` ones are worth one more try after a look-up (MAG §4.4.7)."""

    default_code = "api.rejected"


class NotFound(Rejected):
    default_code = "api.not_found"


class Conflict(Rejected):
    """Already there, already done, or somebody else is doing it."""

    default_code = "api.conflict"


class PageTokenRefused(Rejected):
    """The page token is no longer accepted: read the window again from its start (TTS §4)."""

    default_code = "tts.page_token_refused"


class Redirected(Rejected):
    """An answer 3xx. Redirects are never followed; `location` is where the server wanted us to go."""

    default_code = "net.redirected"

    def __init__(self, message: str, *, location: str, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.location = location


class ForbiddenHost(Rejected):
    """Not sent: this account may not call that host (a practice account never calls a live one)."""

    default_code = "net.forbidden_host"


class ForbiddenRequest(Rejected):
    """Not sent: a practice account captures no payment and has no mail sent."""

    default_code = "net.forbidden_request"


class Unexpected(ApiError):
    """An answer in a shape we do not know."""

    default_code = "api.unexpected"


class Uncertain(ApiError):
    """A write whose answer was lost. It may have happened: look it up, then decide. Never repeated by the client."""

    default_code = "net.uncertain"


class Remedy(NamedTuple):
    code: str
    title: str
    advice: str


def describe(error: ApiError) -> Remedy:
    """What to tell a person: our code, what happened, what to do. The remote system's own words are in `error.remote_message`."""
    if error.code in REMEDIES:
        return Remedy(error.code, *REMEDIES[error.code])
    for kind in type(error).__mro__:
        if kind.__name__ in FALLBACKS:
            return Remedy(error.code, *FALLBACKS[kind.__name__])
    return Remedy(error.code, *FALLBACKS["ApiError"])

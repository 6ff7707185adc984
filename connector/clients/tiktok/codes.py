"""TikTok Shop's error codes: what each is to us, and whether repeating helps (TTS §1.4, §3.3, §3.4, §5.9).

Products have a table of their own, `product_codes`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from connector.clients.errors import (
    ApiError,
    Conflict,
    NotFound,
    PageTokenRefused,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from connector.clients.tiktok.product_codes import PRODUCT_CODES, Kind

Retry = Literal["no", "backoff", "refresh", "reauthorize", "read_back"]


@dataclass(frozen=True, slots=True)
class Known:
    """`retry`: backoff = wait and repeat, refresh = new token then once more, reauthorize = the seller must consent again,
    read_back = the outcome is unknown (a write becomes `Uncertain`)."""

    code: str
    kind: type[ApiError] = Rejected
    retry: Retry = "no"
    reason: str = ""


_INTERNAL = Known("tts.internal", Unavailable, "read_back")
_TRY_AGAIN = Known("tts.try_again", Unavailable, "backoff")
_PARAMETER = Known("tts.parameter")
_TRACKING = Known("tts.tracking")
_DEACTIVATED = Known("tts.deactivated", Unauthorized, reason="deactivated")
_INACTIVE = Known("tts.authorization_inactive", Unauthorized, "reauthorize", "revoked")

KNOWN: dict[int, Known] = {
    # token endpoints
    36004001: Known("tts.refresh_refused", Unauthorized, "reauthorize", "revoked"),
    36004004: Known("tts.auth_code_invalid", Unauthorized, "reauthorize", "revoked"),
    36004005: Known("tts.not_authorized", Unauthorized, "reauthorize", "revoked"),
    # gateway
    36009002: Known("tts.rate_limited", RateLimited, "backoff"),
    36009003: _INTERNAL,
    36009007: Known("tts.timeout", Unavailable, "read_back"),
    36009009: Known("tts.version_unavailable"),
    36009010: Known("tts.method_not_allowed"),
    36009014: Known("tts.version_unavailable"),
    36009021: Known("tts.file_too_large"),
    36009022: Known("tts.request_malformed"),
    36009023: Known("tts.request_malformed"),
    36009033: Known("tts.ip_not_allowed", Unauthorized, reason="ip"),
    36009037: Known("tts.rate_limited", RateLimited, "backoff"),
    36009043: _DEACTIVATED,
    36009044: _DEACTIVATED,
    98001004: _PARAMETER,
    101000: Known("tts.cipher_foreign", Unauthorized, reason="cipher"),
    105001: Known("tts.token_invalid", Unauthorized, "refresh", "expired"),
    105002: Known("tts.token_expired", Unauthorized, "refresh", "expired"),
    105003: _INACTIVE,
    105004: _INACTIVE,
    105005: Known("tts.scope_missing", Unauthorized, reason="scope"),
    106001: Known("tts.signature", Unauthorized, reason="signature"),
    106013: Known("tts.cipher_missing", Unauthorized, reason="cipher"),
    12001000: _INTERNAL,
    33001002: _INTERNAL,
    # orders
    10002014: _TRY_AGAIN,
    10002015: _TRY_AGAIN,
    10037002: _TRY_AGAIN,
    10037003: _TRY_AGAIN,
    10037004: _TRY_AGAIN,
    10006402: _TRY_AGAIN,
    11050001: _PARAMETER,
    36020001: Known("tts.order_not_found", NotFound),
    21008111: Known("tts.order_not_found", NotFound),
    # fulfillment
    21001001: _PARAMETER,
    21011001: Known("tts.package_not_found", NotFound),
    21011006: Known("tts.already_shipped", Conflict),
    21011007: Known("tts.aftersale_open"),
    21011029: Known("tts.package_status"),
    21011037: Known("tts.no_shipping_service"),
    21011044: Known("tts.on_hold"),
    21011048: Known("tts.lines_required"),
    10007014: Known("tts.package_status"),
    11007016: _TRACKING,
    11007018: _TRACKING,
    11007021: _TRACKING,
    # cancel, return, refund
    25001001: Known("tts.cancel_status"),
    25001021: Known("tts.cancel_reason"),
    25020008: _TRY_AGAIN,
}

_PRODUCT_KINDS: dict[Kind, type[ApiError]] = {"rejected": Rejected, "not_found": NotFound, "conflict": Conflict, "rate_limited": RateLimited}

# 36009004 is overloaded: its message tells what was wrong (TTS §3.3). First match wins.
OVERLOADED = 36009004
_BY_MESSAGE: tuple[tuple[re.Pattern[str], Known], ...] = (
    (re.compile(r"page[_ ]?token", re.I), Known("tts.page_token_refused", PageTokenRefused)),
    (re.compile(r"timestamp", re.I), Known("tts.clock", Unauthorized, reason="clock")),
    (re.compile(r"shop_cipher|shop cipher", re.I), Known("tts.cipher_unexpected")),
    (re.compile(r"app_?key", re.I), Known("tts.app_key", Unauthorized, reason="signature")),
    (re.compile(r"access[_-]token", re.I), Known("tts.token_invalid", Unauthorized, "refresh", "expired")),
    (re.compile(r"\bsign(ature)?\b", re.I), Known("tts.signature", Unauthorized, reason="signature")),
)
_PAGE_TOKEN_REFUSED = _BY_MESSAGE[0][1]


def classify(code: int, message: str, *, status: int, paged: bool) -> Known:
    """The meaning of a code that is not 0. An unknown one is judged by the HTTP status, else it is a plain refusal.

    `paged`: the request carried a page token, so a refused parameter of that name is the token (TTS §4).
    """
    known = KNOWN.get(code)
    if paged and known in (None, _PARAMETER) and _BY_MESSAGE[0][0].search(message):
        return _PAGE_TOKEN_REFUSED
    if code == OVERLOADED:
        return next((meaning for pattern, meaning in _BY_MESSAGE if pattern.search(message)), _PARAMETER)
    if known is not None:
        return known
    if (product := PRODUCT_CODES.get(code)) is not None:
        return Known(product.ours, _PRODUCT_KINDS[product.kind])
    return by_status(status) or Known("tts.rejected")


def by_status(status: int) -> Known | None:
    """What a bare HTTP status means; None when it does not say."""
    if status == 429:
        return KNOWN[36009002]
    if status == 408:
        return KNOWN[36009007]
    if status >= 500:
        return _INTERNAL
    if status == 401:
        return Known("tts.unauthorized", Unauthorized, reason="revoked")
    if status == 403:
        return Known("tts.forbidden", Unauthorized, reason="scope")
    return None

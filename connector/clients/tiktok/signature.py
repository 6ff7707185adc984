"""Signing of TikTok Shop requests and webhooks (TTS §2, §5.8.3)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

UNSIGNED = frozenset({"sign", "access_token"})


def sign(secret: str, path: str, query: Mapping[str, str], body: bytes | None, content_type: str | None) -> str:
    """The `sign` parameter: 64 lower-case hex digits over the path as sent, the decoded query and the exact body bytes.

    The body of a multipart upload takes no part; `body` None means that none is sent, which is not the same as `b"{}"`.
    """
    pairs = "".join(f"{name}{query[name]}" for name in sorted(query) if name not in UNSIGNED)
    message = f"{secret}{path}{pairs}".encode()
    if body and media_type(content_type) != "multipart/form-data":
        message += body
    return _hex(secret, message + secret.encode())


def webhook_signature(app_key: str, app_secret: str, raw_body: bytes) -> str:
    return _hex(app_secret, app_key.encode() + raw_body)


def verify_webhook(app_key: str, app_secret: str, raw_body: bytes, header: str | None) -> bool:
    """Whether the `Authorization` header is the signature of these raw bytes; compared in constant time."""
    expected = webhook_signature(app_key, app_secret, raw_body)
    return hmac.compare_digest(expected.encode(), (header or "").encode("utf-8", "surrogateescape"))


def media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _hex(key: str, message: bytes) -> str:
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()

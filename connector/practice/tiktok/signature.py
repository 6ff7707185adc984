"""What the marketplace does with a signature: compute it from the bytes that came in, and compare (TTS §2.2, §5.8.3).

Written for the receiving side alone; the connector's signer is another piece of code, so that the two check each other.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256

UNSIGNED = ("sign", "access_token")


def request_text(secret: str, path: str, query: Iterable[tuple[str, str]], content_type: str | None, body: bytes) -> bytes:
    """The signed text of a request. `query` holds decoded pairs in any order, `body` the bytes as received (empty = no body)."""
    pairs = sorted((name, value) for name, value in query if name not in UNSIGNED)
    text = path + "".join(name + value for name, value in pairs)
    media_type = (content_type or "").partition(";")[0].strip().lower()
    payload = b"" if media_type == "multipart/form-data" else body
    return secret.encode() + text.encode() + payload + secret.encode()


def request_digest(secret: str, path: str, query: Iterable[tuple[str, str]], content_type: str | None, body: bytes) -> str:
    return hmac.new(secret.encode(), request_text(secret, path, query, content_type, body), sha256).hexdigest()


def request_is_genuine(secret: str, path: str, query: Iterable[tuple[str, str]], content_type: str | None, body: bytes, sign: str) -> bool:
    """Upper-case hex is refused, as the real gateway refuses it."""
    expected = request_digest(secret, path, query, content_type, body)
    return hmac.compare_digest(expected.encode(), sign.encode())


def webhook_digest(app_key: str, secret: str, body: bytes) -> str:
    """The `Authorization` header of a webhook: bare lower-case hex over app key and raw body."""
    return hmac.new(secret.encode(), app_key.encode() + body, sha256).hexdigest()


def webhook_is_genuine(app_key: str, secret: str, body: bytes, authorization: str) -> bool:
    return hmac.compare_digest(webhook_digest(app_key, secret, body).encode(), authorization.encode())

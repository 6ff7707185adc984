"""The signature of both directions: `v1=` + hex HMAC-SHA256(secret, timestamp + "." + raw body), good for five minutes."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping

TIMESTAMP, SIGNATURE = "X-Connector-Timestamp", "X-Connector-Signature"
WINDOW_SECONDS = 300


def signature(secret: str, timestamp: str, body: bytes) -> str:
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, "sha256").hexdigest()


def signed(secret: str, body: bytes, *, age: int = 0) -> dict[str, str]:
    """The two headers of a call that is sent now, or was `age` seconds ago."""
    timestamp = str(int(time.time()) - age)
    return {TIMESTAMP: timestamp, SIGNATURE: signature(secret, timestamp, body)}


def what_is_wrong(secret: str, headers: Mapping[str, str], body: bytes) -> str:
    """Empty for a genuine, fresh call. Of several signatures (the product has an old and a new secret for a while) one that fits is enough."""
    timestamp, given = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    if not timestamp.isdecimal() or not given:
        return "the call carries no signature"
    expected = signature(secret, timestamp, body)
    if not any(hmac.compare_digest(one.strip(), expected) for one in given.split(",")):
        return "the signature is wrong"
    if abs(time.time() - int(timestamp)) > WINDOW_SECONDS:
        return "the call is older than five minutes"
    return ""

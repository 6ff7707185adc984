"""The header pair that proves who sent a call between us and the OMS, in both directions (A251, A253).

``X-Connector-Timestamp`` is the sender's time in epoch seconds; ``X-Connector-Signature`` is ``v1=`` and the lower-case hexadecimal HMAC-SHA256, keyed with
the connection's secret, over the timestamp, a full stop and the raw body. A pair older or younger than five minutes proves nothing: it may be a replay.
While an old secret counts beside a new one, we sign with both, with a comma between, and take a signature of either.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from connector.core.clock import to_epoch, utcnow

TIMESTAMP, SIGNATURE = "X-Connector-Timestamp", "X-Connector-Signature"
WINDOW = timedelta(minutes=5)


def sign(secrets: Sequence[str], body: bytes, *, at: datetime | None = None) -> dict[str, str]:
    """The two headers for ``body``, signed with each of the secrets now (or ``at``)."""
    timestamp = str(to_epoch(at or utcnow()))
    return {TIMESTAMP: timestamp, SIGNATURE: ",".join(f"v1={_digest(secret, timestamp, body)}" for secret in secrets)}


def age(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, *, at: datetime | None = None) -> timedelta | None:
    """How long before now (or ``at``) a holder of one of the secrets signed ``body``; None when none has. More than ``WINDOW`` proves nothing. Constant time.

    Several signatures may stand beside each other with commas; one that fits is enough, and those of unknown versions are passed over.
    """
    timestamp = str(headers.get(TIMESTAMP, "")).strip()
    given = str(headers.get(SIGNATURE, ""))
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return None
    wanted = [f"v1={_digest(secret, timestamp, body)}".encode() for secret in secrets]
    shown = [one.strip().lower().encode() for one in given.split(",")[:5]]
    fits = sum(hmac.compare_digest(right, one) for right in wanted for one in shown) > 0  # all of them, whichever fits
    return timedelta(seconds=to_epoch(at or utcnow()) - int(timestamp)) if fits else None


def unreadable(headers: Mapping[str, str]) -> str:
    """What is wrong with the headers whatever the secret is; empty when they can be judged."""
    for name in (TIMESTAMP, SIGNATURE):
        if not str(headers.get(name, "")).strip():
            return f"The header {name} is missing."
    timestamp = str(headers[TIMESTAMP]).strip()
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        hint = " They look like milliseconds." if re.fullmatch(r"[0-9]{13}", timestamp) else ""
        return f"{TIMESTAMP} is no time in seconds since 1970.{hint}"
    if not any(re.fullmatch(r"v1=[0-9a-f]{64}", one.strip().lower()) for one in str(headers[SIGNATURE]).split(",")[:5]):
        return f"{SIGNATURE} holds no v1= with 64 hexadecimal digits."
    return ""


def _digest(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()

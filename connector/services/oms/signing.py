"""The header pair that proves who sent a call between us and the OMS, in both directions (A251, A253).

``X-Connector-Timestamp`` is the sender's time in epoch seconds; ``X-Connector-Signature`` is ``v1=`` and the lower-case hexadecimal HMAC-SHA256, keyed with
the connection's secret, over the timestamp, a full stop and the raw body. A pair older or younger than five minutes proves nothing: it may be a replay.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from connector.core.clock import to_epoch, utcnow

TIMESTAMP, SIGNATURE = "X-Connector-Timestamp", "X-Connector-Signature"
WINDOW = timedelta(minutes=5)


def sign(secret: str, body: bytes, *, at: datetime | None = None) -> dict[str, str]:
    """The two headers for ``body``, signed now (or ``at``)."""
    timestamp = str(to_epoch(at or utcnow()))
    return {TIMESTAMP: timestamp, SIGNATURE: f"v1={_digest(secret, timestamp, body)}"}


def age(secret: str, headers: Mapping[str, str], body: bytes, *, at: datetime | None = None) -> timedelta | None:
    """How long before now (or ``at``) a holder of ``secret`` signed ``body``; None when none has. More than ``WINDOW`` proves nothing. Constant time.

    Several signatures may stand beside each other with commas; one that fits is enough, and those of unknown versions are passed over.
    """
    timestamp = str(headers.get(TIMESTAMP, "")).strip()
    given = str(headers.get(SIGNATURE, ""))
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return None
    wanted = f"v1={_digest(secret, timestamp, body)}".encode()
    fits = sum(hmac.compare_digest(wanted, one.strip().encode()) for one in given.split(",")[:5]) > 0  # all of them, whichever fits
    return timedelta(seconds=to_epoch(at or utcnow()) - int(timestamp)) if fits else None


def _digest(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()

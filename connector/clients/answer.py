"""An HTTP answer as both systems' clients read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: the body as bytes, header names in any case, times of our clock in Unix seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    sent_at: float
    received_at: float

    @property
    def media_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def retry_after(self) -> float | None:
        """`Retry-After` in seconds, given as a number or a date."""
        value = self.headers.get("Retry-After")
        if not value:
            return None
        if value.strip().isdigit():
            return float(value)
        until, now = http_date(value), http_date(self.headers.get("Date"))
        return None if until is None else max(0.0, until - (self.received_at if now is None else now))

    @property
    def clock_offset(self) -> float | None:
        """How many seconds the server's clock is ahead of ours, from `Date` (whole seconds; cached answers do not count)."""
        date = http_date(self.headers.get("Date"))
        if date is None or "Age" in self.headers:
            return None
        return date + 0.5 - (self.sent_at + self.received_at) / 2


def http_date(text: str | None) -> float | None:
    try:
        return None if not text else parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None

"""The one place where the program asks what time it is."""

from __future__ import annotations

from datetime import UTC, datetime


def utcnow() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


def from_epoch(seconds: int | float | str | None) -> datetime | None:
    """TikTok's Unix seconds as an aware instant; 0, empty and None mean "no such moment"."""
    if seconds in (None, "", 0, "0"):
        return None
    return datetime.fromtimestamp(int(float(seconds)), UTC)


def to_epoch(moment: datetime) -> int:
    """Whole Unix seconds of an aware instant."""
    return int(moment.timestamp())

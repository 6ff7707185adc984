"""E-mail addresses."""

from __future__ import annotations


def looks_like_email(text: str) -> bool:
    """Whether the text has the shape name@host.tld without spaces; no more is known before a mail arrives."""
    name, at, host = text.partition("@")
    return bool(at and name) and "." in host.strip(".") and not any(c.isspace() for c in text) and "@" not in host and len(text) <= 254

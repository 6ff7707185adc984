"""Magento's authentication: OAuth 1.0a with HMAC-SHA256 as Magento verifies it, and bearer (MAG §1.2)."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, urlsplit

Pairs = Sequence[tuple[str, str]]

# Magento decodes these in the path before it signs; everything else stays as sent.
_DECODED = {"%2F": "/", "%2B": "+", "%26": "&", "%3D": "=", "%3A": ":", "%40": "@", "%24": "$", "%2C": ",", "%3B": ";"}
_DECODABLE = re.compile("|".join(_DECODED), re.I)


class Authorization(Protocol):
    def header(self, method: str, url: str, query: Pairs, timestamp: int) -> str:
        """The `Authorization` header of one attempt; `url` is as sent, without the query, `query` decoded."""
        ...


@dataclass(frozen=True, slots=True)
class Bearer:
    """From 2.4.4 refused unless the store allows access tokens as bearer tokens (MAG §1.2 a)."""

    access_token: str = field(repr=False)

    def header(self, method: str, url: str, query: Pairs, timestamp: int) -> str:
        return f"Bearer {self.access_token}"


@dataclass(frozen=True, slots=True)
class OAuth1:
    """The four values of an activated integration."""

    consumer_key: str
    consumer_secret: str = field(repr=False)
    access_token: str = field(repr=False)
    access_token_secret: str = field(repr=False)

    def header(self, method: str, url: str, query: Pairs, timestamp: int, nonce: str | None = None) -> str:
        """A nonce works once: each attempt is signed anew."""
        oauth = {
            "oauth_consumer_key": self.consumer_key,
            "oauth_nonce": nonce or secrets.token_hex(16),
            "oauth_signature_method": "HMAC-SHA256",
            "oauth_timestamp": str(timestamp),
            "oauth_token": self.access_token,
            "oauth_version": "1.0",
        }
        text = base_string(method, url, [*query, *oauth.items()])
        oauth["oauth_signature"] = signature(text, self.consumer_secret, self.access_token_secret)
        return "OAuth " + ",".join(f'{name}="{encode(value)}"' for name, value in oauth.items())


def encode(text: str) -> str:
    """RFC 3986: a space is %20, `~` stays."""
    return quote(text, safe="")


def base_string(method: str, url: str, parameters: Pairs | Mapping[str, str]) -> str:
    """METHOD & URL without query & parameters sorted naturally by their encoded names."""
    pairs = parameters.items() if isinstance(parameters, Mapping) else parameters
    encoded = sorted(((encode(k), encode(v)) for k, v in pairs), key=lambda pair: _natural(pair[0]))
    joined = "&".join(f"{k}={v}" for k, v in encoded)
    return "&".join((method.upper(), encode(normal_url(url)), encode(joined)))


def signature(text: str, consumer_secret: str, token_secret: str) -> str:
    key = f"{encode(consumer_secret)}&{encode(token_secret)}".encode()
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def normal_url(url: str) -> str:
    """The URL as Magento signs it: without query, lower-case host, no default port, nine escapes of the path decoded."""
    parts = urlsplit(url)
    scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    if port is not None and port != {"http": 80, "https": 443}.get(scheme):
        host = f"{host}:{port}"
    return f"{scheme}://{host}" + _DECODABLE.sub(lambda found: _DECODED[found[0].upper()], parts.path)


def strnatcmp(left: str, right: str) -> int:
    """PHP's natural order: runs of digits compare as numbers, so `[2]` comes before `[10]`.

    A run that starts with 0 compares digit by digit, like a fraction; leading zeros of the whole text do not count.
    """
    lefts, rights = _runs(left), _runs(right)
    for a, b in zip(lefts, rights, strict=False):
        if a == b:
            continue
        if a[0].isdigit() and b[0].isdigit() and "0" not in (a[0], b[0]) and len(a) != len(b):
            return -1 if len(a) < len(b) else 1
        return -1 if a < b else 1
    return (len(lefts) > len(rights)) - (len(lefts) < len(rights))


def _runs(text: str) -> list[str]:
    return re.findall(r"[0-9]+|[^0-9]", re.sub(r"^0+(?=[0-9])", "", text), re.S)


_natural = functools.cmp_to_key(strnatcmp)

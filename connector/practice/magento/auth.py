"""Who calls: bearer token or OAuth 1.0a with HMAC-SHA256, and what the integration may do (MAG §1.2, §1.3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from functools import cmp_to_key
from urllib.parse import quote, unquote

from .errors import RestError, required
from .routing import ANONYMOUS
from .storage import Doc, Tables

_ENCODED_BUT_SIGNED_DECODED = {"%2F": "/", "%2B": "+", "%26": "&", "%3D": "=", "%3A": ":", "%40": "@", "%24": "$", "%2C": ",", "%3B": ";"}
_REQUIRED = ("oauth_consumer_key", "oauth_signature", "oauth_signature_method", "oauth_nonce", "oauth_timestamp", "oauth_token")
EVERY_INTEGRATION = "Magento_Backend::admin"
_FUTURE = 600  # seconds a timestamp may be ahead
_NONCES_KEPT = 200_000


def new_integration(name: str, acl: str | list[str], bearer: bool = True) -> Doc:
    keys = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
    return {"name": name, **{key: secrets.token_hex(16) for key in keys}, "acl": acl, "bearer": bearer, "revoked": False}


class Nonces:
    """Nonces already used, per consumer; the oldest are forgotten."""

    def __init__(self) -> None:
        self._used: OrderedDict[tuple[int, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def use(self, consumer: int, nonce: str) -> bool:
        with self._lock:
            if (consumer, nonce) in self._used:
                return False
            self._used[consumer, nonce] = None
            if len(self._used) > _NONCES_KEPT:
                self._used.popitem(last=False)
            return True


def unauthorised(resource: str) -> RestError:
    return RestError(401, "The consumer isn't authorized to access %resources.", {"resources": resource})


def authorise(db: Tables, resource: str, header: str, method: str, url: str, query: str, nonces: Nonces) -> Doc | None:
    """The calling integration, or None on an anonymous route.

    `url` is scheme, host and path as sent, without the query; `query` is the raw query string.
    """
    scheme, _, rest = header.partition(" ")
    caller = None
    if scheme.lower() == "oauth":
        caller = _oauth(db, rest, method, url, query, nonces)
    elif scheme.lower() == "bearer":
        caller = _bearer(db, rest.strip())
    if resource == ANONYMOUS:
        return caller
    if caller is None or not (caller["acl"] == "all" or resource in caller["acl"] or resource == EVERY_INTEGRATION):
        raise unauthorised(resource)
    return caller


def bearer_enabled(settings: Doc) -> bool:
    """The merchant's switch; off by default from 2.4.4 on."""
    if settings.get("bearer") is not None:
        return bool(settings["bearer"])
    return release(settings) < (2, 4, 4)


def release(settings: Doc) -> tuple[int, ...]:
    """The version as numbers, e.g. (2, 4, 6)."""
    return tuple(int(part) for part in str(settings["version"]).split("-")[0].split("."))


def _by(db: Tables, field: str, value: str) -> Doc | None:
    integrations = db.config("integrations_cache")
    if integrations is None:
        integrations = db.where("integration", "1")
    return next((entry for entry in integrations if entry[field] == value), None)


def _bearer(db: Tables, token: str) -> Doc | None:
    if not bearer_enabled(db.config("settings")):
        return None
    found = _by(db, "access_token", token)
    return found if found and found["bearer"] and not found["revoked"] else None


def _oauth(db: Tables, header: str, method: str, url: str, query: str, nonces: Nonces) -> Doc:
    given = {}
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        given[unquote(name)] = unquote(value.strip('"'))
    for name in _REQUIRED:
        if not given.get(name):
            raise required(name)
    if given.get("oauth_version", "1.0") != "1.0":
        raise RestError(400, "The OAuth version %1 is not supported.", [given["oauth_version"]])
    consumer = _by(db, "consumer_key", given["oauth_consumer_key"])
    if consumer is None:
        raise RestError(401, "A consumer having the specified key does not exist")
    if given["oauth_signature_method"] != "HMAC-SHA256":
        raise RestError(400, "Signature method %1 is not supported", [given["oauth_signature_method"]])
    timestamp = given["oauth_timestamp"]
    if not timestamp.isdigit() or int(timestamp) > time.time() + _FUTURE:
        raise RestError(401, "An error occurred validating the nonce")
    if not nonces.use(consumer["id"], given["oauth_nonce"]):
        raise RestError(401, "The nonce is already being used by the consumer with ID %1", [str(consumer["id"])])
    if given["oauth_token"] != consumer["access_token"] or consumer["revoked"]:
        raise RestError(401, "Specified token does not exist")
    expected = sign(consumer["consumer_secret"], consumer["access_token_secret"], method, url, query, given)
    if not hmac.compare_digest(expected, given["oauth_signature"]):
        raise RestError(401, "The signature is invalid. Verify and try again.")
    return consumer


def sign(consumer_secret: str, token_secret: str, method: str, url: str, query: str, oauth: dict[str, str]) -> str:
    """Magento's own base string: decoded path separators, natural order of the encoded keys (MAG §1.2)."""
    pairs = [(encode(k), encode(v)) for k, v in oauth.items() if k not in ("oauth_signature", "realm")]
    for part in filter(None, query.split("&")):
        pieces = part.split("=")
        pairs.append((encode(unquote(pieces[0])), encode(unquote(pieces[1] if len(pieces) > 1 else ""))))
    pairs.sort(key=lambda pair: pair[1])
    pairs.sort(key=lambda pair: _natural(pair[0]))
    joined = "&".join(f"{key}={value}" for key, value in pairs)
    base = "&".join((method.upper(), encode(normalise(url)), encode(joined)))
    key = f"{encode(consumer_secret)}&{encode(token_secret)}"
    return base64.b64encode(hmac.new(key.encode(), base.encode(), hashlib.sha256).digest()).decode()


def encode(text: str) -> str:
    return quote(text, safe="~")


def normalise(url: str) -> str:
    """Decode exactly the nine separators that Magento decodes in a path; the rest stays as sent."""
    for code, char in _ENCODED_BUT_SIGNED_DECODED.items():
        url = url.replace(code, char).replace(code.lower(), char)
    return url


def natural_compare(left: str, right: str) -> int:
    """PHP's strnatcmp: digit runs compare as numbers, a run that starts with 0 as a fraction."""
    i = j = 0
    while True:
        if i >= len(left) or j >= len(right):
            return (len(left) - i > 0) - (len(right) - j > 0)
        a, b = left[i], right[j]
        if "0" <= a <= "9" and "0" <= b <= "9":
            end_a, end_b = _run(left, i), _run(right, j)
            one, two = left[i:end_a], right[j:end_b]
            if a == "0" or b == "0":
                if one != two and (verdict := (one > two) - (one < two)):
                    return verdict
            elif len(one) != len(two):
                return 1 if len(one) > len(two) else -1
            elif one != two:
                return 1 if one > two else -1
            i, j = end_a, end_b
            continue
        if a != b:
            return 1 if a > b else -1
        i, j = i + 1, j + 1


def _run(text: str, start: int) -> int:
    end = start
    while end < len(text) and "0" <= text[end] <= "9":
        end += 1
    return end


_natural = cmp_to_key(natural_compare)


def save_integration(db: Tables, integration: Doc) -> Doc:
    """Store an integration (new without `id`) and refresh the copy that authentication reads."""
    if "id" in integration:
        db.put("integration", integration["id"], integration)
    else:
        db.add("integration", integration, "id")
    db.set_config("integrations_cache", db.where("integration", "1 ORDER BY id"))
    return integration


def revoke(db: Tables, integration: Doc) -> None:
    save_integration(db, {**integration, "revoked": True})

"""Pages by keyset: tokens that are opaque, hold `+ / =`, expire, and belong to one set of filters (TTS §4)."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from .operations import Call
from .refusals import BAD_PARAMETER, Refusal

HEAD = b"\xfb\xff\xbf"  # "+/+/" in base64: every token needs escaping on the wire
SEAL = 8


@dataclass(frozen=True)
class Page:
    """One page request against a mirror table. `column` is the sort column; rows of equal value follow their id."""

    call: Call
    table: str
    column: str
    descending: bool
    size: int
    where: str
    values: tuple[Any, ...]

    def fetch(self) -> tuple[list[Any], str, int]:
        """Rows with `id`, the sort column and `doc`; the next page token ("" at the end); the count over all pages."""
        token = self.call.query.get("page_token")
        where, values, total = self.where, self.values, None
        if token:
            last_value, last_id, total = self._open(token)
            where += f" AND ({self.column}, id) {'<' if self.descending else '>'} (?, ?)"
            values = (*values, last_value, last_id)
        db = self.call.market.store.read
        order = "DESC" if self.descending else "ASC"
        rows = db.execute(
            f"SELECT id, {self.column} AS sort_value, doc FROM {self.table} WHERE {where} ORDER BY {self.column} {order}, id {order} LIMIT ?",
            (*values, self.size + 1),
        ).fetchall()
        if total is None:
            total = db.execute(f"SELECT count(*) FROM {self.table} WHERE {self.where}", self.values).fetchone()[0]
        if len(rows) <= self.size:
            return rows, "", total
        last = rows[self.size - 1]
        return rows[: self.size], self._seal(last["sort_value"], last["id"], total), total

    def _fingerprint(self) -> str:
        """Filters, order and page size; what must be the same on every page."""
        market_shop = self.call.shop["id"] if self.call.shop else ""
        text = orjson.dumps([self.table, self.column, self.descending, self.where, list(self.values), market_shop])
        return sha256(text).hexdigest()[:12]

    def _seal(self, value: int, row_id: str, total: int) -> str:
        expires = self.call.market.clock.seconds() + int(self.call.market.settings.page_token_life_seconds)
        payload = orjson.dumps([self._fingerprint(), value, row_id, total, expires])
        payload += b" " * ((2 - len(HEAD + payload) - SEAL) % 3 or 3)  # a length that base64 has to pad with "="
        return base64.b64encode(HEAD + self._stamp(payload) + payload).decode()

    def _open(self, token: str) -> tuple[int, str, int]:
        refused = Refusal(BAD_PARAMETER, "page_token is invalid or expired")
        try:
            raw = base64.b64decode(token, validate=True)
            stamp, payload = raw[len(HEAD) : len(HEAD) + SEAL], raw[len(HEAD) + SEAL :]
        except ValueError:
            raise refused from None
        if not hmac.compare_digest(stamp, self._stamp(payload)):
            raise refused
        fingerprint, value, row_id, total, expires = orjson.loads(payload)
        if expires < self.call.market.clock.now():
            raise refused
        if fingerprint != self._fingerprint():
            raise Refusal(BAD_PARAMETER, "page_token does not belong to these filters")
        return value, row_id, total

    def _stamp(self, payload: bytes) -> bytes:
        return hmac.new(self.call.market.app["app_secret"].encode(), payload, sha256).digest()[:SEAL]


def time_window(call: Call, *columns: str) -> tuple[str, tuple[Any, ...]]:
    """`<column>_ge` and `<column>_lt` of the body as half-open conditions."""
    where, values = "", []
    for column in columns:
        for suffix, sign in (("ge", ">="), ("lt", "<")):
            bound = call.field(f"{column}_{suffix}", int)
            if bound is not None:
                where += f" AND {column} {sign} ?"
                values.append(bound)
    return where, tuple(values)


def joined(name: bytes, documents: list[bytes], token: str, total: int) -> bytes:
    """`{"<name>": [...], "next_page_token": ..., "total_count": n}` from documents that are JSON already."""
    head = b'{"' + name + b'":[' + b",".join(documents) + b"]"
    return head + b',"next_page_token":' + orjson.dumps(token) + b',"total_count":' + str(total).encode() + b"}"

"""Pages by keyset: tokens that are opaque, hold `+ / =`, expire, and belong to one set of filters (TTS §4)."""

from __future__ import annotations

import base64
import hmac
from bisect import bisect_right
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
    """One page request against a mirror table. `column` is the sort column, with a `+` in front when no index should be followed for it;
    rows of equal value follow their id."""

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
            last_value, last_id, total = unseal(self.call, self._fingerprint(), token)
            where += f" AND ({self.column}, id) {'<' if self.descending else '>'} (?, ?)"
            values = (*values, last_value, last_id)
        db = self.call.market.store.read
        order = "DESC" if self.descending else "ASC"
        chosen = f"SELECT id AS chosen, {self.column} AS sort_value FROM {self.table} WHERE {where} ORDER BY {self.column} {order}, id {order} LIMIT ?"
        rows = db.execute(  # ids first: what has to be sorted is sorted without its documents
            f"SELECT id, sort_value, doc FROM ({chosen}) JOIN {self.table} ON id = chosen ORDER BY sort_value {order}, chosen {order}",
            (*values, self.size + 1),
        ).fetchall()
        if total is None:
            total = db.execute(f"SELECT count(*) FROM {self.table} WHERE {self.where}", self.values).fetchone()[0]
        if len(rows) <= self.size:
            return rows, "", total
        last = rows[self.size - 1]
        return rows[: self.size], seal(self.call, self._fingerprint(), last["sort_value"], last["id"], total), total

    def passed(self) -> int:
        """How many rows the pages before this one held."""
        if not (token := self.call.query.get("page_token")):
            return 0
        last_value, last_id, _ = unseal(self.call, self._fingerprint(), token)
        where = f"{self.where} AND ({self.column}, id) {'>=' if self.descending else '<='} (?, ?)"
        query = f"SELECT count(*) FROM {self.table} WHERE {where}"
        return self.call.market.store.read.execute(query, (*self.values, last_value, last_id)).fetchone()[0]

    def _fingerprint(self) -> str:
        return fingerprint(self.call, [self.table, self.column, self.descending, self.where, list(self.values)])


def fingerprint(call: Call, filters: list[Any]) -> str:
    """Filters and order; what must be the same on every page."""
    return sha256(orjson.dumps([*filters, call.shop["id"] if call.shop else ""])).hexdigest()[:12]


def seal(call: Call, filters: str, value: Any, row_id: str, total: int) -> str:
    expires = call.market.clock.seconds() + int(call.market.settings.page_token_life_seconds)
    payload = orjson.dumps([filters, value, row_id, total, expires])
    payload += b" " * ((2 - len(HEAD + payload) - SEAL) % 3 or 3)  # a length that base64 has to pad with "="
    return base64.b64encode(HEAD + _stamp(call, payload) + payload).decode()


def unseal(call: Call, filters: str, token: str) -> tuple[Any, str, int]:
    """Value and id of the last row of the page before, and the total. Raises Refusal."""
    refused = Refusal(BAD_PARAMETER, "page_token is invalid or expired")
    try:
        raw = base64.b64decode(token, validate=True)
        stamp, payload = raw[len(HEAD) : len(HEAD) + SEAL], raw[len(HEAD) + SEAL :]
    except ValueError:
        raise refused from None
    if not hmac.compare_digest(stamp, _stamp(call, payload)):
        raise refused
    found, value, row_id, total, expires = orjson.loads(payload)
    if expires < call.market.clock.now():
        raise refused
    if found != filters:
        raise Refusal(BAD_PARAMETER, "page_token does not belong to these filters")
    return value, row_id, total


def _stamp(call: Call, payload: bytes) -> bytes:
    return hmac.new(call.market.app["app_secret"].encode(), payload, sha256).digest()[:SEAL]


def keyset(call: Call, name: str, filters: list[Any], ids: list[str], size: int) -> tuple[list[str], str]:
    """One page of a list of ids in ascending order of number, and the token of the next."""
    seal_of = fingerprint(call, [name, *filters])
    start = 0
    if token := call.query.get("page_token"):
        last = unseal(call, seal_of, token)[1]
        start = bisect_right(ids, int(last), key=int)
    page = ids[start : start + size]
    return page, seal(call, seal_of, 0, page[-1], len(ids)) if start + size < len(ids) else ""


def time_window(call: Call, *columns: str, closed: bool = False) -> tuple[str, tuple[Any, ...]]:
    """`<column>_ge` and `<column>_lt` of the body as half-open conditions; `closed`: `_le`, as product search has both ends in (TTS §5.3.11)."""
    where, values = "", []
    for column in columns:
        for suffix, sign in (("ge", ">="), ("le", "<=") if closed else ("lt", "<")):
            bound = call.field(f"{column}_{suffix}", int)
            if bound is not None:
                where += f" AND {column} {sign} ?"
                values.append(bound)
    return where, tuple(values)


def joined(name: bytes, documents: list[bytes], token: str, total: int) -> bytes:
    """`{"<name>": [...], "next_page_token": ..., "total_count": n}` from documents that are JSON already."""
    head = b'{"' + name + b'":[' + b",".join(documents) + b"]"
    return head + b',"next_page_token":' + orjson.dumps(token) + b',"total_count":' + str(total).encode() + b"}"

"""Collecting an announced feed: authenticated download in the background, resumed with Range, checked by its sha256, then read order by order."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import orjson
import requests

if TYPE_CHECKING:
    from .desk import Desk

CHUNK = 64 * 1024
ATTEMPTS = 5
AT_ONCE = 500
OPEN = ("announced", "collecting")


class Broken(Exception):
    """The download stopped before its end."""


class Collector:
    """One download at a time. A feed's state: announced, collecting, verified, mismatch (other bytes than announced), failed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.folder = desk.folder / "feeds"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="practice-oms-collector")

    def announce(self, call: dict[str, Any]) -> bool:
        """Notes the feed and starts collecting it; False when it was announced before."""
        try:
            known = self._desk.feed(str(call["feed_id"]))
        except LookupError:
            known = None
        if known is not None and known["sha256"] == call.get("sha256"):
            return False
        self._desk.save_feed({**call, "state": "announced", "resumed": 0, "received": 0, "problem": ""})
        if self._desk.settings["collect"]:
            self._pool.submit(self.collect, str(call["feed_id"]))
        return True

    def resume(self) -> None:
        """What a restart interrupted."""
        for feed in self._desk.feeds():
            if feed["state"] in OPEN and self._desk.settings["collect"]:
                self._pool.submit(self.collect, str(feed["feed_id"]))

    def path(self, feed: dict[str, Any]) -> Path:
        return self.folder / f"{Path(str(feed['feed_id'])).name}.{'csv' if feed.get('format') == 'csv' else 'jsonl'}"

    def collect(self, feed_id: str) -> dict[str, Any]:
        """Downloads, checks and reads one feed. The feed with its new state; never raises for what the product does."""
        desk = self._desk
        feed = {**desk.feed(feed_id), "state": "collecting", "problem": "", "resumed": 0}
        desk.save_feed(feed)
        target = self.path(feed)
        part = target.with_suffix(target.suffix + ".part")
        break_after = desk.settings["break_after"]
        try:
            for attempt in range(1, ATTEMPTS + 1):
                have = part.stat().st_size if part.exists() else 0
                feed["resumed"] += bool(have)
                try:
                    self._download(feed, part, have, break_after if attempt == 1 else 0)
                    break
                except (requests.RequestException, Broken) as error:
                    feed["problem"] = str(error)
                    if attempt == ATTEMPTS:
                        raise
            feed["received"] = part.stat().st_size
            digest = _sha256(part)
            if digest != feed["sha256"]:
                part.unlink()
                feed |= {"state": "mismatch", "problem": f"the file's sha256 is {digest}"}
            else:
                part.replace(target)
                feed |= {"state": "verified", "problem": "", "orders": self._read(feed, target)}
        except (requests.RequestException, Broken, ValueError, LookupError) as error:
            feed |= {"state": "failed", "problem": f"{type(error).__name__}: {error}"}
        desk.save_feed(feed)
        if feed["state"] == "verified" and desk.settings["auto_ship"]:
            from .sending import ship_what_waits

            ship_what_waits(desk)
        return feed

    def _download(self, feed: dict[str, Any], part: Path, have: int, break_after: int) -> None:
        settings = self._desk.settings
        url = urljoin(settings["product_url"] + "/", feed["url"])
        if urlsplit(url).netloc != urlsplit(settings["product_url"]).netloc:
            raise ValueError(f"{url} is not at {settings['product_url']}; the token is not sent there")
        headers = {"Authorization": f"Bearer {settings['api_token']}"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": f'"{feed["sha256"]}"'}
        http = requests.Session()
        http.trust_env = False  # the practice OMS speaks to this machine, never through a proxy
        with http, http.get(url, headers=headers, stream=True, timeout=60) as answer:
            if answer.status_code == 416 and have == feed.get("bytes"):
                return
            if answer.status_code not in (200, 206):
                raise Broken(f"the product answered {answer.status_code}: {answer.text[:300]}")
            got = have if answer.status_code == 206 else 0
            with part.open("ab" if got else "wb") as file:
                for chunk in answer.iter_content(min(CHUNK, break_after or CHUNK)):
                    file.write(chunk)
                    got += len(chunk)
                    if break_after and got >= break_after:
                        raise Broken(f"broken off after {got} bytes, as the settings ask")
        if feed.get("bytes") is not None and got != feed["bytes"]:
            raise Broken(f"{got} of {feed['bytes']} bytes came")

    def _read(self, feed: dict[str, Any], path: Path) -> int:
        """Keeps the orders of a file a few hundred at a time; how many there were."""
        count, some = 0, []
        for entry in _csv_orders(path) if feed.get("format") == "csv" else _json_orders(path):
            some.append(entry)
            count += 1
            if len(some) == AT_ONCE:
                self._desk.take_orders(str(feed["feed_id"]), some)
                some = []
        self._desk.take_orders(str(feed["feed_id"]), some)
        return count


def _json_orders(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                order = orjson.loads(line)
                yield str(order["number"]), str(order.get("status", "")), order


def _csv_orders(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """One row a line of an order; the rows of an order stand together."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        for order_id, rows in groupby(csv.DictReader(file), key=lambda row: row["order_number"]):
            lines = list(rows)
            yield order_id, lines[0].get("status", ""), {"number": order_id, "rows": lines}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

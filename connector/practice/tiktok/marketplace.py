"""The marketplace as one object: storage, clock, settings and what the modules around it share."""

from __future__ import annotations

import hashlib
import logging
import secrets
import shutil
import threading
from pathlib import Path
from typing import Any

import orjson

from .clock import ShopClock
from .faults import Calls, Faults, Limits
from .markets import MARKETS, shop_document
from .settings import Settings
from .store import Store
from .webhooks import Webhooks

SCOPES = (
    *("seller.authorization.info", "seller.shop.info", "seller.product.basic", "seller.product.write", "seller.order.info"),
    *("seller.fulfillment.basic", "seller.logistics", "seller.delivery.status.write", "seller.return_refund.basic"),
    *("seller.finance.info", "seller.promotion.info"),
)
ID_BASES = {
    "order": 576_460_000_000_000_000,
    "line": 576_461_000_000_000_000,
    "package": 1_153_000_000_000_000_000,
    "product": 1_729_500_000_000_000_000,
    "sku": 1_729_600_000_000_000_000,
    "brand": 7_082_000_000_000_000_000,
    "return": 4_036_000_000_000_000_000,  # the eligibility of a decision is asked for by the id alone, be it a cancellation's or a return's
}
REDIRECT_URL = "http://127.0.0.1:5000/accounts/oauth/callback"


class Marketplace:
    """One practice marketplace in one directory. Thread-safe: reads are free, writes go through `store.write()`."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.files = data_dir / "objects"
        self.store = Store(data_dir / "marketplace.sqlite3")
        self.clock = ShopClock(self.store)
        self.settings = Settings(self.store)
        self._seed_once()
        self.app: dict[str, Any] = self.store.meta("app")
        rows = self.store.read.execute("SELECT doc FROM shops ORDER BY rowid").fetchall()
        self.shops: dict[str, dict[str, Any]] = {doc["id"]: doc for doc in (orjson.loads(row["doc"]) for row in rows)}
        self.by_cipher = {shop["cipher"]: shop for shop in self.shops.values()}
        self.faults = Faults(self.store)
        self.limits = Limits()
        self.calls = Calls()
        self.webhooks = Webhooks(self)
        self._stop = threading.Event()

    def _seed_once(self) -> None:
        with self.store.write() as db:
            if self.store.meta("app") is not None:
                return
            app = {
                "app_key": "6" + secrets.token_hex(6),
                "app_secret": hashlib.sha1(secrets.token_bytes(32)).hexdigest(),
                "service_id": str(7_390_000_000_000_000_000 + secrets.randbelow(10**15)),
                "redirect_url": REDIRECT_URL,
                "webhook_url": "",
                "scopes": list(SCOPES),
            }
            self.store.set_meta("app", app)
            for region in MARKETS:
                shop = shop_document(region)
                db.execute("INSERT INTO shops VALUES (?, ?, ?, ?)", (shop["id"], shop["cipher"], region, orjson.dumps(shop)))

    def shop(self, name: str) -> dict[str, Any]:
        """By id or region. Raises KeyError."""
        for shop in self.shops.values():
            if name in (shop["id"], shop["region"]):
                return shop
        raise KeyError(f"there is no shop {name!r}; known: {', '.join(shop['region'] for shop in self.shops.values())}")

    def change_app(self, **changes: Any) -> None:
        self.app = {**self.app, **changes}
        self.store.set_meta("app", self.app)

    def ids(self, kind: str, count: int = 1) -> list[str]:
        """New ids of 18-19 digits, as strings, in ascending order."""
        base = ID_BASES.get(kind, 4_035_000_000_000_000_000)
        return [str(base + number) for number in self.store.take_numbers(kind, count)]

    def reset(self, *, authorizations: bool = False) -> None:
        self.store.clear(authorizations=authorizations)
        shutil.rmtree(self.files, ignore_errors=True)
        self.settings.reset()
        self.clock.set(reset=True)
        self.faults.load()
        self.webhooks.behind.clear()
        self.limits.clear()
        self.calls.clear()

    def start(self) -> None:
        """The ticker: lets time pass for orders nobody looks at, and sends webhooks."""
        threading.Thread(target=self._tick, name="practice-ticker", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _tick(self) -> None:
        from .schedule import settle

        while not self._stop.wait(0.2):
            try:
                settle(self)
                self.webhooks.dispatch()
            except Exception:  # a bad order must not stop the time of all others
                logging.getLogger(__name__).exception("practice marketplace: the ticker stumbled")

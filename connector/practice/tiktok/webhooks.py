"""Webhooks: queued with the change that causes them, signed, sent within 3 seconds, repeated on the shop clock (TTS §5.8)."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import orjson
import requests

from .signature import webhook_digest

if TYPE_CHECKING:
    from .marketplace import Marketplace

EVENTS = {
    1: "ORDER_STATUS_CHANGE",
    3: "RECIPIENT_ADDRESS_UPDATE",
    4: "PACKAGE_UPDATE",
    5: "PRODUCT_STATUS_CHANGE",
    6: "SELLER_DEAUTHORIZATION",
    7: "UPCOMING_AUTHORIZATION_EXPIRATION",
    11: "CANCELLATION_STATUS_CHANGE",
    12: "RETURN_STATUS_CHANGE",
    15: "PRODUCT_INFORMATION_CHANGE",
    16: "PRODUCT_CREATION",
    18: "PRODUCT_CATEGORY_CHANGE",
    27: "INVENTORY_STATUS_CHANGE",
    37: "PRODUCT_AUDIT_STATUS_CHANGE",
    50: "SKU_STATUS_CHANGE",
    71: "INVENTORY_CHANGE",
}
ONLY_APP_WIDE = (27, 50, 71)  # the newer types can only be set in Partner Center
# accepted by the configuration call, whether the practice shop ever sends them or not (TTS §5.8.1)
CONFIGURABLE = (
    *(name for number, name in EVENTS.items() if number not in ONLY_APP_WIDE),
    *("REVERSE_STATUS_UPDATE", "INVOICE_STATUS_CHANGE", "NEW_CONVERSATION", "NEW_MESSAGE", "NEW_MESSAGE_LISTENER"),
)
RETRY_AFTER = (120, 1800, 3 * 3600, 12 * 3600)
ANSWER_SECONDS = 3.0
REORDER_SECONDS = 20
DAY = 86_400
WARN_BEFORE = 30 * DAY


class Webhooks:
    """The outbox. `enqueue` belongs into the transaction of the change; `dispatch` is called by the ticker."""

    def __init__(self, market: Marketplace) -> None:
        self._market = market
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="practice-webhook")
        self._busy: set[int] = set()
        self.behind: dict[int, int] = {}  # released deliveries, and the one that each of them lets overtake it
        self._busy_lock = threading.Lock()
        self._session = threading.local()
        self.muted = False

    def addresses(self, shop_id: str, kind: int) -> list[str]:
        """The shop's own address for the event, and the app-wide one."""
        row = self._market.store.read.execute(
            "SELECT address FROM webhook_addresses WHERE shop_id = ? AND event_type = ?", (shop_id, EVENTS.get(kind, str(kind)))
        ).fetchone()
        own = row["address"] if row else ""
        return [address for address in dict.fromkeys((own, self._market.app["webhook_url"])) if address]

    def enqueue(self, shop_id: str, kind: int, data: dict[str, Any], at: float, *, forced: bool = False) -> None:
        """Nothing is sent for a shop that has not authorized the app (`forced`: the farewell itself)."""
        if self.muted:
            return
        addresses = self.addresses(shop_id, kind)
        if not addresses or not (forced or self._authorized(shop_id)):
            return
        with self._market.store.write() as db:
            body = orjson.dumps(
                {
                    "type": kind,
                    "tts_notification_id": str(7_590_000_000_000_000_000 + self._market.store.take_numbers("notification")[0]),
                    "shop_id": shop_id,
                    "timestamp": int(at),
                    "data": data,
                }
            )
            for address in addresses:
                self._queue(db, shop_id, kind, address, body)

    def _queue(self, db: Any, shop_id: str, kind: int, address: str, body: bytes) -> None:
        faults = self._market.faults.take_all((EVENTS.get(kind, ""), str(kind)), self._market.shops[shop_id])
        now = self._market.clock.now()
        state, due = "waiting", now
        released: list[int] = []
        if "webhook_lost" in faults:
            state, due = "lost", None
        elif "webhook_delay" in faults:
            due = now + float(faults["webhook_delay"].get("seconds", 60))
        elif not (released := self._released_reordered(db, shop_id, now)) and "webhook_reorder" in faults:
            state, due = "held", now + float(faults["webhook_reorder"].get("seconds", REORDER_SECONDS)) * max(1.0, self._market.clock.rate)
        copies = int(faults["webhook_duplicate"].get("copies", 2)) if "webhook_duplicate" in faults and state != "lost" else 1
        db.executemany(
            "INSERT INTO deliveries (shop_id, type, address, body, state, due_time) VALUES (?, ?, ?, ?, ?, ?)",
            [(shop_id, kind, address, body, state, due)] * copies,
        )
        if released:
            self.behind.update(dict.fromkeys(released, db.execute("SELECT max(id) FROM deliveries").fetchone()[0]))

    @staticmethod
    def _released_reordered(db: Any, shop_id: str, now: float) -> list[int]:
        """What was held back goes out right after the one that overtakes it now: its ids."""
        held = [row["id"] for row in db.execute("SELECT id FROM deliveries WHERE shop_id = ? AND state = 'held'", (shop_id,)).fetchall()]
        db.executemany("UPDATE deliveries SET state = 'waiting', due_time = ? WHERE id = ?", [(now + 0.5, number) for number in held])
        return held

    def _overtaker_first(self, number: int) -> bool:
        """Whether the one that is to overtake this delivery has still to be sent, however late the ticker comes."""
        due = "SELECT 1 FROM deliveries WHERE id = ? AND state = 'waiting' AND attempts = 0 AND due_time <= ?"
        waits = self._market.store.read.execute(due, (self.behind.get(number, 0), self._market.clock.now())).fetchone() is not None
        if not waits:
            self.behind.pop(number, None)
        return waits

    def _authorized(self, shop_id: str) -> bool:
        rows = self._market.store.read.execute("SELECT shop_ids FROM grants WHERE active = 1").fetchall()
        return any(shop_id in orjson.loads(row["shop_ids"]) for row in rows)

    def dispatch(self) -> None:
        """Starts what is due and not under way. A crash between sending and noting it sends again, as the real thing may."""
        self._warn_of_expiry()
        rows = self._market.store.read.execute(
            "SELECT id, address, body, attempts FROM deliveries WHERE due_time <= ? ORDER BY due_time, id LIMIT 200", (self._market.clock.now(),)
        ).fetchall()
        for row in rows:
            if row["id"] in self.behind and self._overtaker_first(row["id"]):
                continue
            with self._busy_lock:
                if row["id"] in self._busy:
                    continue
                self._busy.add(row["id"])
            self._pool.submit(self._send, row["id"], row["address"], row["body"], row["attempts"])

    def _send(self, number: int, address: str, body: bytes, attempts: int) -> None:
        market = self._market
        try:
            signature = webhook_digest(market.app["app_key"], market.app["app_secret"], body)
            try:
                if not hasattr(self._session, "http"):
                    self._session.http = requests.Session()
                    self._session.http.trust_env = False
                answer = self._session.http.post(
                    address,
                    data=body,
                    headers={"Content-Type": "application/json", "Authorization": signature},
                    timeout=ANSWER_SECONDS,
                    allow_redirects=False,
                )
                outcome, accepted = str(answer.status_code), answer.status_code == 200
            except requests.RequestException as error:
                outcome, accepted = type(error).__name__, False
            due = None
            state = "delivered"
            if not accepted:
                again = attempts < len(RETRY_AFTER)
                due = market.clock.now() + RETRY_AFTER[attempts] if again else None
                state = "waiting" if again else "given up"
            with market.store.write() as db:
                db.execute(
                    "UPDATE deliveries SET state = ?, attempts = ?, due_time = ?, last_status = ? WHERE id = ?",
                    (state, attempts + 1, due, outcome, number),
                )
        finally:
            with self._busy_lock:
                self._busy.discard(number)

    def _warn_of_expiry(self) -> None:
        """Webhook 7, daily from 30 days before the authorization ends."""
        market = self._market
        now = market.clock.seconds()
        query = "SELECT id, shop_ids, refresh_expires FROM grants WHERE active = 1 AND next_warning <= ?"
        if market.store.read.execute(query + " LIMIT 1", (now,)).fetchone() is None:
            return
        with market.store.write() as db:
            for row in db.execute(query, (now,)).fetchall():
                left = row["refresh_expires"] > now
                db.execute("UPDATE grants SET next_warning = ? WHERE id = ?", (now + DAY if left else None, row["id"]))
                if left:
                    data = {"message": "The authorization will expire soon", "expiration_time": row["refresh_expires"]}
                    for shop_id in orjson.loads(row["shop_ids"]):
                        self.enqueue(shop_id, 7, data, now)

    def recent(self, limit: int = 500) -> list[dict[str, Any]]:
        rows = self._market.store.read.execute("SELECT * FROM deliveries ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return [{**dict(row), "body": orjson.loads(row["body"])} for row in rows]

"""The store's order book and stock: what can be done with an order, and what it does to the units.

A unit is available, allocated to an order or shipped; `initial = available + allocated + shipped` holds for every SKU at every moment.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from connector.practice.catalogue import DEMO_PRODUCTS, bulk_product
from connector.practice.control import change
from connector.practice.notebook import Notebook

from .checking import checked_address, checked_order
from .problems import Problem

Doc = dict[str, Any]
CANCELLED = "CANCELLED"
SETTINGS: Doc = {
    "environment": "development",
    "storefrontProtection": True,
    "storefrontPassword": "practice",
    "paymentCapture": False,
    "confirmationEmails": False,
    "oversell": False,  # sells what is not there, and SKUs nobody knows
    "tokenSeconds": 1800,
    "requireIfMatch": False,
}
ENVIRONMENTS = ("development", "staging", "production")
SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
  no TEXT PRIMARY KEY, external_id TEXT NOT NULL UNIQUE, change INTEGER NOT NULL UNIQUE, modified REAL NOT NULL, doc BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS orders_modified ON orders (modified);
CREATE TABLE IF NOT EXISTS stock (
  sku TEXT PRIMARY KEY, name TEXT NOT NULL, price TEXT NOT NULL, online INTEGER NOT NULL, initial INTEGER NOT NULL, available INTEGER NOT NULL,
  allocated INTEGER NOT NULL DEFAULT 0, shipped INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS tokens (digest TEXT PRIMARY KEY, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS payments (id INTEGER PRIMARY KEY, doc BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS emails (id INTEGER PRIMARY KEY, doc BLOB NOT NULL);
"""


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def left(item: Doc) -> int:
    """Units of a line that are neither shipped nor cancelled."""
    return item["quantity"] - item["shippedQuantity"] - item["cancelledQuantity"]


class Book:
    """The state of one store under `data_dir`. Every method that changes something is one transaction; `Problem` says why not."""

    def __init__(self, data_dir: Path) -> None:
        self._notes = Notebook(data_dir / "storefront.sqlite3", SCHEMA)
        if self._notes.meta("client") is None:
            self.reset(keep_client=False)

    # --- the shop itself ------------------------------------------------------------------------------------------------

    def reset(self, *, keep_client: bool = True, bulk: int = 0) -> None:
        """No orders, the demonstration catalogue on the shelf, settings as in a fresh store; with `bulk` also `BULK-000000` and on."""
        with self._notes.write() as db:
            for table in ("orders", "stock", "payments", "emails", *(() if keep_client else ("tokens",))):
                db.execute(f"DELETE FROM {table}")
            products = [product for product in DEMO_PRODUCTS if product.type_id != "configurable"] + [bulk_product(n) for n in range(bulk)]
            db.executemany(
                "INSERT INTO stock (sku, name, price, online, initial, available) VALUES (?, ?, ?, ?, ?, ?)",
                [(p.sku, p.name, str(p.price), int(p.status == 1), p.qty, p.qty) for p in products],
            )
            self._notes.set_meta(db, "settings", SETTINGS)
            if not keep_client:
                self._notes.set_meta(db, "client", {"client_id": secrets.token_hex(8), "client_secret": secrets.token_urlsafe(32)})

    @property
    def client(self) -> Doc:
        return self._notes.meta("client")

    @property
    def settings(self) -> Doc:
        return {**SETTINGS, **self._notes.meta("settings", {})}

    def change_settings(self, wishes: Doc) -> Doc:
        settings = change(self.settings, wishes)
        if settings["environment"] not in ENVIRONMENTS:
            raise ValueError(f"environment is one of {', '.join(ENVIRONMENTS)}")
        with self._notes.write() as db:
            self._notes.set_meta(db, "settings", settings)
        return settings

    def new_token(self) -> tuple[str, int]:
        token, seconds = secrets.token_urlsafe(32), self.settings["tokenSeconds"]
        with self._notes.write() as db:
            db.execute("DELETE FROM tokens WHERE expires < ?", (time.time(),))
            db.execute("INSERT INTO tokens VALUES (?, ?)", (_digest(token), time.time() + seconds))
        return token, seconds

    def token_lives(self, token: str) -> bool:
        row = self._notes.read.execute("SELECT expires FROM tokens WHERE digest = ?", (_digest(token),)).fetchone()
        return row is not None and row["expires"] > time.time()

    def end_tokens(self) -> int:
        with self._notes.write() as db:
            return db.execute("DELETE FROM tokens").rowcount

    # --- reading --------------------------------------------------------------------------------------------------------

    def order(self, no: str = "", *, external_id: str = "") -> Doc:
        """Raises Problem 404."""
        column, value = ("external_id", external_id) if external_id else ("no", no)
        found = self._find(self._notes.read, column, value)
        if found is None:
            raise Problem(404, f"There is no order with the {'external id' if external_id else 'number'} {value}.")
        return found

    def changed(self, since: float, after: int, limit: int) -> tuple[list[Doc], int, bool]:
        """Orders modified at or after `since`, in the order of their changes, beyond the change `after`; the last change shown; whether more follow."""
        rows = self._notes.read.execute(
            "SELECT doc, change FROM orders WHERE change > ? AND modified >= ? ORDER BY change LIMIT ?", (after, since, limit + 1)
        ).fetchall()
        page = rows[:limit]
        return [orjson.loads(row["doc"]) for row in page], (page[-1]["change"] if page else after), len(rows) > limit

    def orders(self, *, limit: int = -1) -> list[Doc]:
        """Newest first."""
        rows = self._notes.read.execute("SELECT doc FROM orders ORDER BY no DESC LIMIT ?", (limit,)).fetchall()
        return [orjson.loads(row["doc"]) for row in rows]

    def stock(self, sku: str | None = None) -> list[Doc]:
        where, values = ("WHERE sku = ?", (sku,)) if sku else ("", ())
        rows = [dict(row) for row in self._notes.read.execute(f"SELECT * FROM stock {where} ORDER BY sku", values)]
        return [{**row, "online": bool(row["online"]), "balanced": row["initial"] == row["available"] + row["allocated"] + row["shipped"]} for row in rows]

    def papers(self, table: str) -> list[Doc]:
        """`payments` or `emails`, oldest first."""
        return [orjson.loads(row["doc"]) for row in self._notes.read.execute(f"SELECT doc FROM {table} ORDER BY id")]

    # --- writing --------------------------------------------------------------------------------------------------------

    def create(self, given: Any) -> tuple[Doc, bool]:
        """CreateExternalOrder: the order and whether it is new. The same `externalOrderId` again changes nothing, whatever else is in the body."""
        settings = self.settings
        order = checked_order(given, may_capture=settings["paymentCapture"])
        with self._notes.write() as db:
            known = self._find(db, "external_id", order["externalOrderId"])
            if known is not None:
                return known, False
            self._allocate(db, order["items"], oversell=settings["oversell"])
            number, now = f"EXT{self._notes.next(db, 'order'):08d}", time.time()
            order |= {"orderNo": number, "status": "NEW", "shippingStatus": "NOT_SHIPPED", "tags": [], "shipments": [], "createdAt": iso(now), "version": 0}
            payment = {"orderNo": number, **order["payment"], "captured": bool(order["payment"]["captured"]), "at": iso(now)}
            db.execute("INSERT INTO payments (doc) VALUES (?)", (orjson.dumps(payment),))
            if order["notify"] and settings["confirmationEmails"]:
                email = {"orderNo": number, "kind": "confirmation", "to": order["customer"].get("email", ""), "at": iso(now)}
                db.execute("INSERT INTO emails (doc) VALUES (?)", (orjson.dumps(email),))
            return self._save(db, order, now), True

    def patch(self, no: str, given: Any, if_match: str | None) -> Doc:
        """PATCH Order: `c_externalOrderStatus`, `c_cancelReason`, `tags`, `shippingAddress`. What is so already changes nothing."""
        if not isinstance(given, dict):
            raise Problem(400, "The body must be a JSON object.")
        if unknown := set(given) - {"c_externalOrderStatus", "c_cancelReason", "tags", "shippingAddress"}:
            raise Problem(422, f"These fields cannot be changed: {', '.join(sorted(unknown))}.")
        with self._notes.write() as db:
            order = self._require(db, no)
            if if_match is None and self.settings["requireIfMatch"]:
                raise Problem(428, "Send If-Match with the ETag of the order you have read.")
            if if_match is not None and if_match != "*" and etag(order) not in [tag.strip() for tag in if_match.split(",")]:
                raise Problem(412, f"Order {no} was changed since you read it.", currentETag=etag(order))
            before = orjson.dumps(order)
            if "shippingAddress" in given:
                address = checked_address(given["shippingAddress"])
                if address != order["shippingAddress"] and (order["status"] == CANCELLED or order["shippingStatus"] != "NOT_SHIPPED"):
                    why = "it is cancelled" if order["status"] == CANCELLED else "a parcel has left"
                    raise Problem(409, f"The address of order {no} can no longer be changed: {why}.")
                order["shippingAddress"] = address
            if "tags" in given:
                if not isinstance(given["tags"], list) or not all(isinstance(tag, str) and 0 < len(tag) <= 100 for tag in given["tags"]):
                    raise Problem(422, "tags must be a list of texts of at most 100 characters.")
                order["tags"] = list(dict.fromkeys(given["tags"]))
            status = given.get("c_externalOrderStatus", order["c_externalOrderStatus"])
            if not isinstance(status, str) or not 0 < len(status) <= 50:
                raise Problem(422, "c_externalOrderStatus must be a text of at most 50 characters.")
            if order["status"] == CANCELLED and status != CANCELLED:
                raise Problem(409, f"Order {no} is cancelled; that is final.")
            if status == CANCELLED:
                self._cancel(db, order, "api", str(given.get("c_cancelReason", "")))
            order["c_externalOrderStatus"] = status
            return order if orjson.dumps(order) == before else self._save(db, order, time.time())

    def cancel(self, no: str, reason: str = "") -> Doc:
        """The merchant cancels in the store: what is not shipped goes back on the shelf. A shipped or cancelled order is refused (409)."""
        with self._notes.write() as db:
            order = self._require(db, no)
            if order["status"] == CANCELLED or order["shippingStatus"] == "SHIPPED":
                raise Problem(409, f"Order {no} is {'cancelled' if order['status'] == CANCELLED else 'shipped'} already.")
            self._cancel(db, order, "merchant", reason)
            order["c_externalOrderStatus"] = CANCELLED
            return self._save(db, order, time.time())

    def ship(self, no: str, carrier: str, tracking_number: str, items: list[Doc] | None = None) -> Doc:
        """The merchant ships `[{sku, quantity?}]` (default: everything open). Problem 409 for a cancelled order, 422 for more than is open."""
        with self._notes.write() as db:
            order = self._require(db, no)
            if order["status"] == CANCELLED:
                raise Problem(409, f"Order {no} is cancelled and must not be shipped.")
            wanted: dict[str, int] = {}
            for wish in items or [{"sku": item["sku"], "quantity": left(item)} for item in order["items"] if left(item)]:
                open_units = sum(left(item) for item in order["items"] if item["sku"] == wish["sku"])
                wanted[wish["sku"]] = wanted.get(wish["sku"], 0) + int(wish.get("quantity", open_units))
            if not wanted:
                raise Problem(409, f"Order {no} is shipped already.")
            parcel = []
            for sku, units in wanted.items():
                if not 0 < units <= sum(left(item) for item in order["items"] if item["sku"] == sku):
                    raise Problem(422, f"Order {no} has no {units} open units of {sku}.")
                parcel += self._take(order, sku, units)
                db.execute("UPDATE stock SET allocated = allocated - ?, shipped = shipped + ? WHERE sku = ?", (units, units, sku))
            shipment = {"id": f"{no}-{len(order['shipments']) + 1}", "carrier": carrier, "trackingNumber": tracking_number}
            order["shipments"].append({**shipment, "items": parcel, "shippedAt": iso(time.time())})
            done = all(left(item) == 0 for item in order["items"])
            order |= {"shippingStatus": "SHIPPED" if done else "PART_SHIPPED", "status": "COMPLETED" if done else "OPEN"}
            return self._save(db, order, time.time())

    def put_on_shelf(self, sku: str, *, available: int | None = None, add: int = 0) -> Doc:
        """Sets or adds units, as a person in the warehouse does (goods of a recalled parcel come back this way). Raises LookupError."""
        with self._notes.write() as db:
            row = db.execute("SELECT available FROM stock WHERE sku = ?", (sku,)).fetchone()
            if row is None:
                raise LookupError(f"there is no SKU {sku} in this store")
            by = add if available is None else available - row["available"]
            db.execute("UPDATE stock SET available = available + ?, initial = initial + ? WHERE sku = ?", (by, by, sku))
        return self.stock(sku)[0]

    # --- inside a transaction -------------------------------------------------------------------------------------------

    @staticmethod
    def _find(db: sqlite3.Connection, column: str, value: str) -> Doc | None:
        row = db.execute(f"SELECT doc FROM orders WHERE {column} = ?", (value,)).fetchone()
        return orjson.loads(row["doc"]) if row else None

    def _require(self, db: sqlite3.Connection, no: str) -> Doc:
        found = self._find(db, "no", no)
        if found is None:
            raise Problem(404, f"There is no order with the number {no}.")
        return found

    def _save(self, db: sqlite3.Connection, order: Doc, now: float) -> Doc:
        order |= {"lastModified": iso(now), "version": order["version"] + 1}
        db.execute(
            "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?)",
            (order["orderNo"], order["externalOrderId"], self._notes.next(db, "change"), now, orjson.dumps(order)),
        )
        return order

    @staticmethod
    def _allocate(db: sqlite3.Connection, items: list[Doc], *, oversell: bool) -> None:
        """Takes the units from the shelf, all or none."""
        wanted: dict[str, int] = {}
        for item in items:
            wanted[item["sku"]] = wanted.get(item["sku"], 0) + item["quantity"]
        errors = []
        for sku, units in wanted.items():
            row = db.execute("SELECT available, online FROM stock WHERE sku = ?", (sku,)).fetchone()
            if row is None and oversell:
                db.execute("INSERT INTO stock (sku, name, price, online, initial, available) VALUES (?, ?, '0', 1, 0, 0)", (sku, sku))
            elif row is None:
                errors.append({"field": "items.sku", "sku": sku, "code": "UNKNOWN_SKU", "message": f"{sku} is not sold in this store."})
                continue
            elif not row["online"] and not oversell:
                errors.append({"field": "items.sku", "sku": sku, "code": "OFFLINE", "message": f"{sku} is offline."})
                continue
            elif row["available"] < units and not oversell:
                message = f"{sku}: {units} ordered, {max(row['available'], 0)} available."
                errors.append({"field": "items.quantity", "sku": sku, "code": "OUT_OF_STOCK", "message": message})
                continue
            db.execute("UPDATE stock SET available = available - ?, allocated = allocated + ? WHERE sku = ?", (units, units, sku))
        if errors:
            raise Problem(422, "The order cannot be taken: " + " ".join(error["message"] for error in errors), errors=errors)

    @staticmethod
    def _cancel(db: sqlite3.Connection, order: Doc, by: str, reason: str) -> None:
        """Once: units that were not shipped are available again."""
        if order["status"] == CANCELLED:
            return
        for item in order["items"]:
            units = left(item)
            item["cancelledQuantity"] += units
            db.execute("UPDATE stock SET available = available + ?, allocated = allocated - ? WHERE sku = ?", (units, units, item["sku"]))
        order |= {"status": CANCELLED, "cancelledBy": by, "cancelledAt": iso(time.time()), "c_cancelReason": reason}

    @staticmethod
    def _take(order: Doc, sku: str, units: int) -> list[Doc]:
        """Marks the first open units of a SKU as shipped and says which external lines they are."""
        parcel = []
        for item in order["items"]:
            taken = min(left(item), units) if item["sku"] == sku else 0
            if taken:
                lines = item["externalLineIds"][item["shippedQuantity"] : item["shippedQuantity"] + taken]
                parcel.append({"itemId": item["itemId"], "sku": sku, "quantity": taken, "externalLineIds": lines})
                item["shippedQuantity"] += taken
                units -= taken
        return parcel


def etag(order: Doc) -> str:
    return f'"{order["orderNo"]}-{order["version"]}"'


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

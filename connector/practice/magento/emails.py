"""The email log: what the store would have sent, so that a test can assert that the buyer got nothing."""

from __future__ import annotations

from .numbers import now
from .storage import Doc, Tables


def log_email(db: Tables, kind: str, order: Doc | None, to: str | None = None) -> None:
    """Record one email of `kind` (order, invoice, shipment, creditmemo, comment, welcome)."""
    entry = {"at": now(), "kind": kind, "to": to or (order or {}).get("customer_email")}
    entry["order_id"] = order["entity_id"] if order else None
    entry["increment_id"] = order["increment_id"] if order else None
    db.add("email", entry, "id")

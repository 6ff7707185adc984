"""The control API of the practice store (`/practice/*`): seeding, faults, looking inside. JSON, no authentication, loopback only."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from . import auth, demo_world, documents, load, products, recorded_world, shelf
from . import ledger as books
from .errors import Crash, RestError
from .faults import Faults
from .inventory import Stock, set_source_item, stock_of_store
from .numbers import num
from .orders import order_items
from .routing import perform
from .search_criteria import snake
from .shipments import add_track
from .storage import Doc

_SETTINGS = ["version", "bearer", "maintenance", "emails", "legacy_last_page_repeat", "input_limit", "leaking_cart_lock", "base_url", "msi"]
_MERGED = ("carriers", "payments")
_MEMO_SUMS = ("shipping_amount", "adjustment_positive", "adjustment_negative")


def first_source(db: Any, store_id: int) -> str | None:
    """The source that a store view ships from first."""
    stock = stock_of_store(db.config("world"), store_id)
    codes = Stock(db, stock["stock_id"]).codes if stock else []
    return codes[0] if codes else None


def blueprint(gateway: Any) -> Blueprint:
    """The control routes over one gateway."""
    api = Blueprint("practice", __name__, url_prefix="/practice")
    storage = gateway.storage

    def body() -> Doc:
        return request.get_json(silent=True) or {}

    @api.errorhandler(RestError)
    def refused(error: RestError) -> tuple[Response, int]:
        return jsonify(error.body()), error.status

    @api.errorhandler(Crash)
    @api.errorhandler(ValueError)
    @api.errorhandler(KeyError)
    def wrong(error: Exception) -> tuple[Response, int]:
        return jsonify(error=f"{type(error).__name__}: {error}"), 400

    @api.get("/ping")
    @api.get("/health")
    def health() -> Doc:
        with storage.read() as db:
            return {"ok": True, "world": db.config("world")["name"]}

    # --- worlds ---------------------------------------------------------------------------------------------------------

    def plant(given: Doc) -> Doc:
        world = given.get("world", "demo")
        if world not in ("demo", "recorded"):
            raise ValueError("world is demo or recorded")
        keep = bool(given.get("keep_credentials"))
        with storage.write() as db:
            if world == "recorded":
                recorded_world.seed(db, keep_credentials=keep)
            else:
                demo_world.seed(db, bulk=int(given.get("bulk", 0)), emails=bool(given.get("emails", True)), keep_credentials=keep)
            if given.get("shelf"):
                shelf.seed(db)
            counted = {name: db.one(f"SELECT COUNT(*) FROM {name}")[0] for name in ("product", "sales_order")}
            integrations = db.where("integration", "1 ORDER BY id")
        gateway.faults.remove()
        gateway.latency = 0.0
        gateway.calls.clear()
        return {"world": world, "products": counted["product"], "orders": counted["sales_order"], "integrations": integrations}

    @api.post("/reset")
    def reset() -> Doc:
        return plant({})

    @api.post("/seed")
    def seed() -> Doc:
        return plant(body())

    @api.post("/bulk-orders")
    def bulk_orders() -> Doc:
        with storage.write() as db:
            return {"orders": load.bulk_orders(db, int(body().get("count", 1000)))}

    # --- integrations, settings, faults, latency ------------------------------------------------------------------------

    @api.get("/integrations")
    def integrations() -> Response:
        with storage.read() as db:
            return jsonify(db.where("integration", "1 ORDER BY id"))

    @api.post("/integrations")
    def add_integration() -> Doc:
        given = body()
        entry = auth.new_integration(given.get("name", "Integration"), given.get("acl", "all"), bool(given.get("bearer", True)))
        with storage.write() as db:
            return auth.save_integration(db, entry)

    @api.post("/integrations/<int:integration_id>")
    def change_integration(integration_id: int) -> Doc:
        given = body()
        with storage.write() as db:
            entry = db.get("integration", integration_id)
            if entry is None:
                raise ValueError(f"no integration {integration_id}")
            entry.update({key: given[key] for key in ("acl", "bearer", "revoked") if key in given})
            return auth.save_integration(db, entry)

    @api.get("/settings")
    def settings() -> Doc:
        with storage.read() as db:
            return db.config("settings")

    @api.post("/settings")
    def change_settings() -> Doc:
        given = body()
        unknown = set(given) - {*_SETTINGS, *_MERGED}
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        with storage.write() as db:
            current = {**db.config("settings")}
            for name, value in given.items():
                if name in _MERGED:
                    merged = {**current[name]}
                    for code, entry in value.items():
                        merged[code] = {"price": 0, "title": code, "name": code, **merged.get(code, {}), **entry}
                    current[name] = merged
                else:
                    current[name] = value
            db.set_config("settings", current)
            return current

    faults: Faults = gateway.faults

    @api.get("/faults")
    def list_faults() -> Response:
        return jsonify(faults.shown())

    @api.post("/faults")
    def add_fault() -> Doc:
        return faults.add(body()).shown()

    @api.delete("/faults")
    @api.delete("/faults/<int:fault_id>")
    def remove_fault(fault_id: int | None = None) -> Doc:
        return {"removed": faults.remove(fault_id)}

    @api.post("/latency")
    def latency() -> Doc:
        gateway.latency = max(float(body().get("ms", 0)), 0) / 1000
        return {"ms": gateway.latency * 1000}

    @api.get("/calls")
    def calls() -> Doc:
        by_route = {key: dict(counter) for key, counter in list(gateway.calls.items())}
        return {"total": sum(sum(counter.values()) for counter in by_route.values()), "by_route": by_route}

    @api.delete("/calls")
    def clear_calls() -> Doc:
        gateway.calls.clear()
        return {"total": 0, "by_route": {}}

    # --- looking inside -------------------------------------------------------------------------------------------------

    @api.get("/orders")
    def orders() -> Response:
        args = request.args
        with storage.read() as db:
            found = books.orders(db, args.get("ext_order_id"), args.get("status"), args.get("limit", type=int))
            return jsonify(found)

    @api.get("/summary")
    def summary() -> Doc:
        with storage.read() as db:
            return books.summary(db)

    @api.get("/ledger")
    def ledger() -> Doc:
        with storage.read() as db:
            return books.ledger(db, request.args.get("sku"))

    @api.get("/emails")
    def emails() -> Response:
        with storage.read() as db:
            return jsonify(db.where("email", "1 ORDER BY id"))

    @api.delete("/emails")
    def clear_emails() -> Doc:
        with storage.write() as db:
            return {"removed": db.run("DELETE FROM email").rowcount}

    # --- the merchant at work -------------------------------------------------------------------------------------------

    def as_merchant(method: str, path: str, given: Doc) -> Any:
        with storage.write() as db:
            return perform(db, method, path, given, request.host_url.rstrip("/"))

    @api.post("/orders/<int:order_id>/ship")
    def ship(order_id: int) -> Doc:
        given = {snake(key): value for key, value in body().items()}
        source = given.pop("source_code", None)
        if source is None:
            with storage.read() as db:
                source = first_source(db, (db.get("sales_order", order_id) or {}).get("store_id", 1))
        given["arguments"] = {"extension_attributes": {"source_code": source}}
        return {"shipment_id": int(as_merchant("POST", f"/V1/order/{order_id}/ship", given))}

    @api.post("/orders/<int:order_id>/invoice")
    def invoice(order_id: int) -> Response:
        return jsonify(as_merchant("POST", f"/V1/order/{order_id}/invoice", body()))

    @api.post("/orders/<int:order_id>/refund")
    def refund(order_id: int) -> Doc:
        """A credit memo made in the admin: items by id or SKU, all of them back to stock or none."""
        given = {snake(key): value for key, value in body().items()}
        with storage.read() as db:
            lines = documents.top_lines(order_items(db, order_id))
        by_sku = {line["sku"]: line["item_id"] for line in lines}
        items = [{"order_item_id": item.get("order_item_id") or by_sku[item["sku"]], "qty": item["qty"]} for item in given.get("items") or []]
        arguments = {**given.pop("arguments", {}), **{name: given.pop(name) for name in _MEMO_SUMS if name in given}}
        if given.pop("return_to_stock", False):
            back = [item["order_item_id"] for item in items] or list(by_sku.values())
            arguments["extension_attributes"] = {"return_to_stock_items": back}
        memo = as_merchant("POST", f"/V1/order/{order_id}/refund", {**given, "items": items, "arguments": arguments})
        return {"creditmemo_id": int(memo)}

    @api.post("/orders/<int:order_id>/<any(cancel, hold, unhold):action>")
    def act(order_id: int, action: str) -> Response:
        return jsonify(as_merchant("POST", f"/V1/orders/{order_id}/{action}", body()))

    @api.post("/orders/<int:order_id>/comment")
    def comment(order_id: int) -> Response:
        given = body()
        return jsonify(as_merchant("POST", f"/V1/orders/{order_id}/comments", given if "statusHistory" in given else {"statusHistory": given}))

    @api.post("/shipments/<int:shipment_id>/tracks")
    def track(shipment_id: int) -> Doc:
        with storage.write() as db:
            shipment = db.get("shipment", shipment_id)
            if shipment is None:
                raise ValueError(f"no shipment {shipment_id}")
            return {"track_id": add_track(db, shipment, {"title": "", **body()})["entity_id"]}

    # The SKU is a <path:> because a decoded %2F is a slash.
    @api.post("/products/<path:sku>/stock")
    def stock(sku: str) -> Doc:
        given = body()
        with storage.write() as db:
            product = products.require(db, sku)
            status = given.get("status", int(float(given["quantity"]) > 0))
            set_source_item(db, product["sku"], given["source"], given["quantity"], int(status))
            entry = stock_of_store(db.config("world"), 1)
            return {"salable": num(Stock(db, entry["stock_id"]).quantity(product["sku"]))}

    @api.post("/products/<path:sku>")
    def change_product(sku: str) -> Doc:
        given = body()
        with storage.write() as db:
            product = products.require(db, sku)
            for name in ("status", "price", "name", "visibility"):
                if name in given:
                    product[name] = given[name]
            stock_item = {name: given[name] for name in ("manage_stock", "backorders") if name in given}
            if stock_item:
                flags = {f"use_config_{name}": False for name in stock_item}
                products.apply_stock_item(db, product, {**flags, **stock_item})
            product["attributes"].update(given.get("attributes", {}))
            products.store(db, product)
            return products.view(db, product, 0)

    @api.delete("/products/<path:sku>")
    def delete_product(sku: str) -> Doc:
        with storage.write() as db:
            db.run("DELETE FROM product WHERE id = ?", products.require(db, sku)["id"])
        return {"deleted": True}

    return api

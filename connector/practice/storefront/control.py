"""The control API of the practice storefront (`/practice/*`): the merchant at work in the store, and a look into its books."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from connector.practice import control
from connector.practice.control import Doc, wish
from connector.practice.mishaps import Mishaps

from .book import Book, left
from .problems import Problem

_SUMMARY = ("orderNo", "externalOrderId", "status", "c_externalOrderStatus", "shippingStatus", "tags", "total", "cancelledBy", "shipments", "lastModified")


def summary(order: Doc) -> Doc:
    lines = [{name: item[name] for name in ("sku", "quantity", "shippedQuantity", "cancelledQuantity")} | {"open": left(item)} for item in order["items"]]
    return {name: order.get(name) for name in _SUMMARY} | {"items": lines}


def blueprint(book: Book, mishaps: Mishaps) -> Blueprint:
    api = control.blueprint(mishaps)

    @api.errorhandler(Problem)
    def refused(error: Problem) -> tuple[Doc, int]:
        return {"error": error.detail}, error.status

    @api.get("/client")
    def client() -> Doc:
        return {**book.client, "storefront_password": book.settings["storefrontPassword"]}

    @api.post("/reset")
    def reset() -> Doc:
        """`{client?: true}` makes a new client id and secret as well."""
        book.reset(keep_client=not wish().get("client", False))
        mishaps.clear()
        return book.settings

    @api.post("/seed")
    def seed() -> Doc:
        """`{bulk: N}`: empty books, the demonstration catalogue and `BULK-000000` to N-1 on the shelf."""
        book.reset(bulk=int(wish().get("bulk", 0)))
        return {"skus": len(book.stock())}

    @api.get("/settings")
    def settings() -> Doc:
        return book.settings

    @api.post("/settings")
    def change_settings() -> Doc:
        return book.change_settings(wish())

    @api.post("/tokens/expire")
    def expire() -> Doc:
        return {"expired": book.end_tokens()}

    @api.get("/orders")
    def orders() -> Doc:
        found = [summary(order) for order in reversed(book.orders())]
        wanted = request.args.get("externalOrderId")
        found = [order for order in found if wanted in (None, order["externalOrderId"])]
        by_status: dict[str, int] = {}
        for order in found:
            by_status[order["status"]] = by_status.get(order["status"], 0) + 1
        return {"total": len(found), "by_status": by_status, "orders": found}

    @api.get("/orders/<no>")
    def order(no: str) -> Doc:
        return book.order(no)

    @api.post("/orders/<no>/ship")
    def ship(no: str) -> Doc:
        given = wish()
        return summary(book.ship(no, given.get("carrier", "USPS"), given["trackingNumber"], given.get("items")))

    @api.post("/orders/<no>/cancel")
    def cancel(no: str) -> Doc:
        return summary(book.cancel(no, wish().get("reason", "")))

    @api.get("/ledger")
    def ledger() -> Doc:
        rows = book.stock(request.args.get("sku"))
        return {"balanced": all(row["balanced"] for row in rows), "stock": rows}

    @api.post("/stock")
    def stock() -> Doc:
        given = wish()
        return book.put_on_shelf(given["sku"], available=given.get("available"), add=int(given.get("add", 0)))

    @api.get("/payments")
    def payments() -> Doc:
        found = book.papers("payments")
        return {"captured": sum(payment["captured"] for payment in found), "payments": found}

    @api.get("/emails")
    def emails() -> Response:
        return jsonify(book.papers("emails"))

    @api.get("/calls")
    def calls() -> Doc:
        return mishaps.report()

    @api.delete("/calls")
    def forget_calls() -> Doc:
        mishaps.calls.clear()
        return mishaps.report()

    return api

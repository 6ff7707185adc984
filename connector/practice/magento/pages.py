"""The console of the practice store, where a person plays the merchant: ships orders, changes prices and stock. The store itself has no shop window."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for

from connector.practice.control import only_from_here

from . import products
from .control import first_source
from .errors import Crash, RestError
from .inventory import Stock, set_source_item, stock_of_store
from .numbers import num
from .orders import order_items
from .routing import perform

PAGE = 50
STORE = 1  #: the store view that the catalogue is shown and changed for


def blueprint(gateway: Any) -> Blueprint:
    """``/`` and ``/console*`` over one gateway."""
    pages = Blueprint("pages", "connector.practice", template_folder="templates")  # where the frame is; the page itself is found by the app
    pages.before_request(only_from_here)
    storage = gateway.storage

    def again(complaint: object = None) -> Response:
        return redirect(url_for(".console", complaint=complaint), 303)

    @pages.get("/")
    def root() -> Response:
        return redirect(url_for(".console"))

    @pages.get("/console")
    def console() -> str:
        with storage.read() as db:
            orders = db.where("sales_order", f"1 ORDER BY id DESC LIMIT {PAGE}")
            lines = {order["entity_id"]: [line for line in order_items(db, order["entity_id"]) if not line.get("parent_item_id")] for order in orders}
            stock = stock_of_store(db.config("world"), STORE)
            shelf = Stock(db, stock["stock_id"]) if stock else None
            goods = [each for each in db.where("product", "1 ORDER BY id LIMIT 200") if each["type_id"] in ("simple", "virtual")]
            rows = [(each["sku"], each["name"], each["price"], num(shelf.quantity(each["sku"])) if shelf else "") for each in goods]
        return render_template(
            "store_console.html", server="Practice store", orders=orders, lines=lines, rows=rows, complaint=request.args.get("complaint", "")
        )

    @pages.post("/console/orders/<int:order_id>/ship")
    def ship(order_id: int) -> Response:
        """All that is left, as one shipment with one tracking number."""
        carrier, number = request.form.get("carrier", "").strip(), request.form.get("number", "").strip()
        if not carrier or not number:
            return again("Enter the carrier and the tracking number.")
        try:
            with storage.write() as db:
                source = first_source(db, (db.get("sales_order", order_id) or {}).get("store_id", STORE))
                given = {"tracks": [{"track_number": number, "title": carrier, "carrier_code": "custom"}]}
                given["arguments"] = {"extension_attributes": {"source_code": source}}  # type: ignore[assignment]
                perform(db, "POST", f"/V1/order/{order_id}/ship", given, request.host_url.rstrip("/"))
        except (RestError, Crash) as error:
            return again(error.body()["message"] if isinstance(error, RestError) else "Magento broke on it.")
        return again()

    @pages.post("/console/products")
    def change() -> Response:
        """Another price, another quantity, or both."""
        try:
            price, quantity = (Decimal(text) if (text := request.form.get(name, "").strip()) else None for name in ("price", "quantity"))
            if any(each is not None and not 0 <= each < 10**9 for each in (price, quantity)):
                raise InvalidOperation
            with storage.write() as db:
                product = products.require(db, request.form.get("sku", "").strip())
                if price is not None:
                    product["price"] = num(price)
                    products.store(db, product)
                if quantity is not None and (source := first_source(db, STORE)):
                    set_source_item(db, product["sku"], source, quantity, int(quantity > 0))
        except InvalidOperation:
            return again("Price and quantity are numbers from 0 on.")
        except RestError as error:
            return again(error.body()["message"])
        return again()

    return pages

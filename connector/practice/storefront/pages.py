"""The store's pages: the public ones behind storefront protection (A247), and the console where a person plays the merchant."""

from __future__ import annotations

import secrets
from hmac import compare_digest

from flask import Blueprint, Response, redirect, render_template, request, url_for

from connector.practice.control import only_from_here

from .book import Book, left
from .problems import Problem

PAGE = 50
SERVER = "Practice storefront"


def blueprint(book: Book) -> Blueprint:
    pages = Blueprint("pages", __name__)

    def stranger() -> Response | None:
        """401 while the storefront is protected and the visitor has no password."""
        settings, given = book.settings, request.authorization
        if not settings["storefrontProtection"]:
            return None
        if given and compare_digest((given.password or "").encode(), settings["storefrontPassword"].encode()):
            return None
        return Response("This storefront is protected.", 401, {"WWW-Authenticate": 'Basic realm="Storefront", charset="UTF-8"'}, content_type="text/plain")

    @pages.get("/")
    def shop() -> str | Response:
        return stranger() or render_template("shop.html", server=SERVER, settings=book.settings, stock=[row for row in book.stock() if row["online"]][:PAGE])

    @pages.get("/orders")
    def order_status() -> str | Response:
        refused = stranger()
        if refused:
            return refused
        number, order, complaint = request.args.get("orderNo", "").strip(), None, ""
        if number:
            try:
                order = book.order(number)
            except Problem as error:
                complaint = error.detail
        return render_template("status.html", server=SERVER, settings=book.settings, number=number, order=order, complaint=complaint)

    @pages.get("/console")
    def console() -> str:
        only_from_here()
        return render_template(
            "console.html", server=SERVER, settings=book.settings, orders=book.orders(limit=PAGE), left=left, complaint=request.args.get("complaint", "")
        )

    @pages.post("/console/orders/<no>/<any(ship, cancel):action>")
    def act(no: str, action: str) -> Response:
        only_from_here()
        complaint = None
        try:
            if action == "ship":
                tracking = request.form.get("trackingNumber", "").strip() or f"TRK{secrets.randbelow(10**10):010d}"
                book.ship(no, request.form.get("carrier", "USPS"), tracking)
            else:
                book.cancel(no, request.form.get("reason", ""))
        except Problem as error:
            complaint = error.detail
        return redirect(url_for(".console", complaint=complaint), 303)

    return pages

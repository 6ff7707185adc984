"""The console of the practice OMS, where a person plays the warehouse."""

from __future__ import annotations

import secrets

from flask import Blueprint, Response, redirect, render_template, request, url_for

from connector.practice.control import only_from_here

from .desk import Desk
from .sending import send

PAGE = 100


def blueprint(desk: Desk) -> Blueprint:
    pages = Blueprint("pages", __name__)
    pages.before_request(only_from_here)

    @pages.get("/")
    def root() -> Response:
        return redirect(url_for(".console"))

    @pages.get("/console")
    def console() -> str:
        feeds = list(reversed(desk.feeds()))[:PAGE]
        return render_template(
            "console.html", server="Practice OMS", settings=desk.settings, orders=desk.latest(PAGE), feeds=feeds, complaint=request.args.get("complaint", "")
        )

    @pages.post("/console/orders/<order_id>")
    def tell(order_id: str) -> Response:
        """One signed event; what the connector does not take is shown in its words."""
        event = {"type": request.form.get("type", ""), "order_id": order_id}
        if event["type"] == "shipped":
            tracking = request.form.get("tracking_number", "").strip() or f"TRK{secrets.randbelow(10**10):010d}"
            event |= {"tracking_number": tracking, "carrier": desk.settings["carrier"]}
        elif event["type"] == "cancelled":
            event["reason"] = "out of stock"
        try:
            answers = send(desk, desk.add_events([event], "event"))
        except ValueError as error:
            answers = [{"status": 0, "body": str(error)}]
        taken = answers[0]["status"] == 202 and not answers[0]["body"].get("rejected")
        return redirect(url_for(".console", complaint=None if taken else f"The connector answered {answers[0]['status']}: {answers[0]['body']}"), 303)

    return pages

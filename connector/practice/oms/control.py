"""The control API of the practice OMS (`/practice/*`): what the people and machines behind the OMS do."""

from __future__ import annotations

from flask import Blueprint, Response, request, send_file

from connector.practice import control
from connector.practice.control import Doc, wish
from connector.practice.mishaps import Mishaps

from .desk import WAYS, Desk
from .sending import PER_CALL, export, send, ship_what_waits

_OPTIONS = ("repeat", "shuffle", "seed", "per_call", "wrong_signature", "age")


def blueprint(desk: Desk, mishaps: Mishaps) -> Blueprint:
    api = control.blueprint(mishaps)

    @api.post("/reset")
    def reset() -> Doc:
        desk.reset()
        mishaps.clear()
        return desk.settings

    @api.get("/settings")
    def settings() -> Doc:
        return desk.settings

    @api.post("/settings")
    def change_settings() -> Doc:
        return desk.change_settings(wish())

    @api.get("/calls")
    def calls() -> Doc:
        return {"calls": desk.calls(), **mishaps.report()}

    @api.get("/feeds")
    def feeds() -> Doc:
        return {"feeds": desk.feeds()}

    @api.post("/feeds/<feed_id>/collect")
    def collect(feed_id: str) -> Doc:
        """Again and at once: the file has to be the same, byte by byte."""
        desk.feed(feed_id)
        return desk.collector.collect(feed_id)

    @api.get("/feeds/<feed_id>/file")
    def file(feed_id: str) -> Response:
        path = desk.collector.path(desk.feed(feed_id)).resolve()
        if not path.exists():
            raise LookupError(f"feed {feed_id} was not collected")
        return send_file(path, mimetype="application/octet-stream")

    @api.get("/orders")
    def orders() -> Doc:
        limit, after = request.args.get("limit", 1000, type=int), request.args.get("after", "")
        by_status = desk.order_counts()
        return {"total": sum(by_status.values()), "by_status": by_status, "orders": desk.orders(limit=limit, after=after)}

    @api.post("/orders/ship")
    def ship() -> Doc:
        """Ships everything that waits, as `auto_ship` would."""
        answers = ship_what_waits(desk)
        return {"answers": answers}

    @api.post("/events")
    def events() -> Doc:
        """`{type, order_id, ...}` or `{events: [...]}`, with `via`, `repeat`, `shuffle` + `seed`, `per_call`, `wrong_signature`, `age`."""
        given = wish()
        via, options = given.pop("via", "event"), {name: given.pop(name) for name in _OPTIONS if name in given}
        ways = ("event", "pull") if via == "both" else (via,)
        if not set(ways) <= set(WAYS):
            raise ValueError(f"via is one of {', '.join((*WAYS, 'both'))}")
        made = desk.add_events(given.get("events", [given]), ways[-1])
        answers = send(desk, made, **{"per_call": PER_CALL, **options}) if "event" in ways else []
        return {"events": made, "answers": answers}

    @api.post("/export")
    def make_export() -> Doc:
        """`{format: "csv" | "json", entries?: [events], folder?: path or true, upload?: bool, name?}`; without entries: what waits for an export."""
        given = wish()
        entries = desk.add_events(given["entries"], "sent") if "entries" in given else desk.to_export()
        folder = desk.settings["folder"] if given.get("folder") is True else given.get("folder", "")
        return export(desk, given.get("format", "csv"), entries, name=given.get("name", ""), folder=folder, upload=bool(given.get("upload")))

    return api

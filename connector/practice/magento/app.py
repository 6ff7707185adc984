"""The practice store's gateway: scope, faults, authentication, transaction, `fields` filter, answer (MAG §1, §3)."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections import Counter, defaultdict
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import orjson
from flask import Flask, Response, request

from . import bulk, control, demo_world, handlers, pages
from .auth import Nonces, authorise, revoke
from .errors import CRASH_TEXT, NO_ROUTE, Crash, Masked, RestError, error_page, maintenance_page, to_xml
from .faults import BEFORE_EFFECT, Fault, Faults, hang_up
from .pictures import picture
from .routing import Call, Route, match
from .search_criteria import apply_fields, parse_fields, parse_query
from .storage import Doc, Storage

JSON = "application/json; charset=utf-8"
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]
handlers.load()


class Gateway:
    """Everything one practice store shares between its requests."""

    def __init__(self, data_dir: Path) -> None:
        self.storage = Storage(data_dir)
        self.faults = Faults()
        self.nonces = Nonces()
        self.latency = 0.0  # seconds
        self.calls: dict[str, Counter] = defaultdict(Counter)
        self._count = threading.Lock()
        with self.storage.write() as db:
            if db.config("world") is None:
                demo_world.seed(db)

    # --- one REST call ------------------------------------------------------------------------------------------------

    def rest(self, raw_path: str, raw_query: str) -> Response:
        """`raw_path` begins after the host, still encoded, e.g. `/rest/all/V1/products/MUG%2F02`."""
        started = raw_path.removeprefix("/index.php").removeprefix("/rest").lstrip("/")
        accept = request.headers.get("Accept", "*/*")
        with self.storage.read() as db:
            settings, world = db.config("settings"), db.config("world")
        if settings["maintenance"]:
            return Response(maintenance_page(), 503, content_type="text/html; charset=utf-8")
        if not any(kind in accept for kind in ("application/json", "*/*", "application/xml")):
            return Response(error_page(), 500, content_type="text/html; charset=UTF-8")
        xml = "application/xml" in accept and "application/json" not in accept
        key, status, fired = "unmatched", 500, []
        try:
            store, path = scope(started, world)
            asynchronous, path = bulk.split(path)
            if not settings["msi"] and path.startswith("/V1/inventory/"):
                raise RestError(404, NO_ROUTE)
            route, arguments = match(request.method, path)
            key = f"{route.method} {route.path}"
            fired = self.faults.fire(request.method, path)
            body = self._run(route, arguments, raw_path, raw_query, store, settings, fired, asynchronous)
            status = 202 if asynchronous else 200
        except RestError as error:
            body, status = error.body(), error.status
        except Crash:
            return self._counted(key, Response(CRASH_TEXT, 500, content_type="text/plain;charset=UTF-8"))
        except HtmlFault:
            return self._counted(key, Response(maintenance_page(), 503, content_type="text/html; charset=UTF-8"))
        except HungUp:
            self._counted(key, None)
            hang_up(request.environ)
            return Response(b"", 500, headers={"Connection": "close"})
        except Exception:
            traceback.print_exc(file=sys.stderr)
            body = Masked().body()
        if any(fault.kind == "http_500_after" for fault in fired) and status == 200:
            body, status = Masked().body(), 500
        if any(fault.kind == "lost_answer" for fault in fired):
            self._counted(key, None)
            hang_up(request.environ)
            return Response(b"", status, headers={"Connection": "close"})
        if xml:
            return self._counted(key, Response(to_xml(body), status, content_type="application/xml; charset=utf-8"))
        return self._counted(key, Response(orjson.dumps(body), status, content_type=JSON))

    def _run(
        self,
        route: Route,
        arguments: list[str],
        raw_path: str,
        raw_query: str,
        store: Doc,
        settings: Doc,
        fired: list[Fault],
        asynchronous: str,
    ) -> Any:
        root = settings["base_url"] or f"{request.scheme}://{request.host}"
        kinds = {fault.kind: fault for fault in fired}
        header = request.headers.get("Authorization", "")
        with self.storage.read() as db:
            caller = authorise(db, route.resource, header, request.method, root + raw_path, raw_query, self.nonces)
        if "token_revoked" in kinds and caller:
            with self.storage.write() as db:
                revoke(db, caller)
            with self.storage.read() as db:  # the same call again, now with a dead token
                authorise(db, route.resource, header, request.method, root + raw_path, raw_query, Nonces())
        if "timeout_before" in kinds:
            time.sleep(kinds["timeout_before"].seconds)
            raise HungUp
        guard = route.guard(self.storage, arguments) if route.guard else nullcontext()
        with guard as leak:
            # The wait of a real store, outside every lock, inside the per-cart guard: a repeated placing meets the first one.
            delay = self.latency + (kinds["slow"].ms / 1000 if "slow" in kinds else 0)
            if delay:
                time.sleep(delay)
            for fault in fired:
                fault.hold(done=False)
                if fault.kind == "html_503":
                    raise HtmlFault
                if fault.kind in BEFORE_EFFECT:
                    raise fault.refusal(route.method, route.path.replace(":", ""))
            query = parse_query(raw_query)
            body = self._body()
            if asynchronous:
                return bulk.accept(self.storage, asynchronous, route, arguments, query, body, store, root, caller)
            with self.storage.read() if route.method == "GET" else self.storage.write() as db:
                call = Call(db, route, arguments, query, body, store, root)
                call.leak = leak
                answer = route.handler(call, *arguments)
        for fault in fired:
            fault.hold(done=True)
        if "fields" in query and isinstance(answer, (dict, list)):
            wanted = parse_fields(str(query["fields"]))
            answer = [] if wanted is None else apply_fields(answer, wanted)
        return answer

    @staticmethod
    def _body() -> Any:
        raw = request.get_data()
        if not raw or request.method == "GET":
            return {}
        kind = request.headers.get("Content-Type", "").split(";")[0].strip()
        if not kind:
            raise RestError(400, "Content-Type header is empty.")
        if kind != "application/json":
            raise RestError(400, f"Server cannot understand Content-Type HTTP header media type {kind}")
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise RestError(400, "Decoding error.") from None

    def _counted(self, key: str, response: Response | None) -> Response | None:
        with self._count:
            self.calls[key][str(response.status_code) if response else "no answer"] += 1
        return response


class HungUp(Exception):
    """The connection is to be closed without an answer."""


class HtmlFault(Exception):
    """The HTML 503 of a front server."""


def scope(path: str, world: Doc) -> tuple[Doc, str]:
    """The store view a path names and the path from `/V1` (or `/async`) on; 400 for anything but an active store code."""
    first, _, rest = path.partition("/")
    if first in ("V1", "async"):
        website = next(w for w in world["websites"] if w["id"] == 1)
        group = next(g for g in world["groups"] if g["id"] == website["default_group_id"])
        return next(s for s in world["stores"] if s["id"] == group["default_store_id"]), f"/{path}"
    if first == "all":
        return next(s for s in world["stores"] if s["id"] == 0), f"/{rest}"
    for store in world["stores"]:
        if store["code"] == first and store["id"] != 0 and store["is_active"]:
            return store, f"/{rest}"
    raise RestError(400, "Specified request cannot be processed.")


def create_app(data_dir: Path) -> Flask:
    """The practice store as a WSGI application; thread-safe, one process per data directory."""
    gateway = Gateway(Path(data_dir))
    app = Flask(__name__, static_folder=None)
    app.extensions["practice_magento"] = gateway
    app.register_blueprint(control.blueprint(gateway))
    app.register_blueprint(pages.blueprint(gateway))

    @app.route("/", defaults={"path": ""}, methods=[method for method in METHODS if method != "GET"])
    @app.route("/<path:path>", methods=METHODS)
    def everything(path: str) -> Response:
        raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.full_path
        raw = raw[raw.index("/", raw.index("//") + 2) :] if "://" in raw.split("?")[0] else raw
        raw_path, _, raw_query = raw.partition("?")
        if raw_path.startswith(("/rest/", "/index.php/rest/")):
            return gateway.rest(raw_path, raw_query)
        if path.startswith("media/catalog/product/"):
            served = picture(path.removeprefix("media/catalog/product/"))
            kept = {"Cache-Control": "public, max-age=31536000"} if served.status == 200 else {}
            answer = Response(served.content, served.status, content_type=served.media_type, headers=kept)
            if served.status == 200:
                answer.add_etag()
            return answer.make_conditional(request)
        return Response("Not Found", 404, content_type="text/html; charset=UTF-8")

    return app

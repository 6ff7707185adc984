"""Who is told by webhook, and waiting for it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.factories import waiting


class Receiver:
    """A real HTTP receiver that notes raw bodies and signatures, and answers what it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, Any], bytes, str]] = []
        self.status = 200
        self.delay = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((json.loads(body), body, self.headers.get("Authorization", "")))
                time.sleep(outer.delay)
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, kind: int) -> list[dict[str, Any]]:
        return [document for document, _, _ in self.got if document["type"] == kind]


def until(condition: Callable[[], Any]) -> Any:
    return waiting.until(condition, "what the marketplace was to tell")

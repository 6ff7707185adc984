"""A real HTTP server on a free port that answers as told, misbehaves as told, and keeps what it received."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Reply:
    status: int = 200
    body: bytes | str | dict[str, Any] | list[Any] = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    close: bool = False  # take the request, close without a word
    cut: bool = False  # promise more bytes than are sent
    silent: bool = False  # take the request, say nothing as long as the server runs
    together: threading.Barrier | None = None  # answer when so many requests have come
    date: float | None = None  # the server's clock, Unix seconds

    def payload(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass
class Received:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedServer:
    """Answers the queued replies in order, then `default` for ever."""

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self.default = Reply(body={})
        self.received: list[Received] = []
        self._stopped = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                owner.received.append(Received(self.command, self.path, dict(self.headers.items()), self.rfile.read(length)))
                reply = owner.replies.popleft() if owner.replies else owner.default
                if reply.together:
                    reply.together.wait(30)
                if reply.silent:
                    owner._stopped.wait()
                if reply.close or reply.silent:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                body = reply.payload()
                self.send_response_only(reply.status)
                self.send_header("Date", formatdate(reply.date if reply.date is not None else time.time(), usegmt=True))
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(body) + (100 if reply.cut else 0)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                if reply.cut:
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def then(self, *replies: Reply) -> ScriptedServer:
        self.replies.extend(replies)
        return self

    def stop(self) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()


def tts(data: Any = None, *, code: int | str = 0, message: str = "Success", status: int = 200, **rest: Any) -> Reply:
    """An answer in TikTok Shop's envelope; `data` is missing on errors."""
    envelope = {"code": code, "message": message, "request_id": "202601010000059A8B7C"}
    return Reply(status, envelope if data is None else envelope | {"data": data}, **rest)


_taken: list[socket.socket] = []


def closed_port() -> int:
    """A port of this machine on which nobody listens, and nobody will: it stays taken."""
    _taken.append(socket.socket())
    _taken[-1].bind(("127.0.0.1", 0))
    return int(_taken[-1].getsockname()[1])

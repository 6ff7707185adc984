"""`python -m connector.practice tiktok|magento|storefront|oms --port N --data DIR`: one practice server in the foreground.

The first line on stdout is `listening on http://HOST:PORT`, also with `--port 0` (a free port). SIGTERM and SIGINT stop it; state stays in DIR.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.http import wsgi

KINDS = ("tiktok", "magento", "storefront", "oms")


def _create(kind: str, data_dir: Path) -> Flask:
    return import_module(f"connector.practice.{kind}").create_app(data_dir)


def _let_the_application_date_its_answers() -> None:
    """gunicorn drops an application's `Date` and writes the host's time; the practice marketplace answers with its own clock."""
    process, default = wsgi.Response.process_headers, wsgi.Response.default_headers

    def process_headers(self: wsgi.Response, headers: list[tuple[str, str]]) -> None:
        self.date = next((value for name, value in headers if name.lower() == "date"), None)
        process(self, headers)

    def default_headers(self: wsgi.Response) -> list[str]:
        date = getattr(self, "date", None)
        lines = default(self)
        return lines if date is None else [f"Date: {date}\r\n" if line.startswith("Date:") else line for line in lines]

    wsgi.Response.process_headers = process_headers
    wsgi.Response.default_headers = default_headers


class PracticeApplication(BaseApplication):
    """One process, many threads: the store's single writer lock lives in that process."""

    def __init__(self, create: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._create = create
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._create()


def _announce(arbiter: Any) -> None:
    host, port = arbiter.LISTENERS[0].sock.getsockname()[:2]
    print(f"listening on http://{host}:{port}", flush=True)


def _say_nothing(arbiter: Any) -> None:
    """For a server whose place is known to whoever starts it."""


def serve(kind: str, data_dir: Path, *, host: str = "127.0.0.1", port: int = 0, threads: int = 32, announce: bool = True) -> None:
    """Runs one practice server in this process until it is told to stop. `announce` prints where it listens."""
    data_dir.mkdir(parents=True, exist_ok=True)
    _let_the_application_date_its_answers()
    PracticeApplication(
        lambda: _create(kind, data_dir),
        {
            "bind": f"{host}:{port}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": threads,
            "keepalive": 75,
            "graceful_timeout": 1,
            "timeout": 120,
            "loglevel": "warning",
            "control_socket_disable": True,
            "when_ready": _announce if announce else _say_nothing,
            "proc_name": f"practice-{kind}",
        },
    ).run()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m connector.practice", description="A practice server on loopback.")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free port")
    parser.add_argument("--data", type=Path, required=True, help="directory of the server's state")
    parser.add_argument("--threads", type=int, default=32)
    args = parser.parse_args()
    serve(args.kind, args.data, host=args.host, port=args.port, threads=args.threads)


if __name__ == "__main__":
    main()

"""A whole product of one's own in a temporary folder: supervised tree, practice servers and a way to act in it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from redis import Redis
from sqlalchemy import create_engine, inspect

from connector.config import Config

ROOT = Path(__file__).resolve().parent.parent


def free_ports(count: int) -> list[int]:
    """Ports nobody uses at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _empty_servers() -> dict[str, str]:
    """``DATABASE_URL`` and ``REDIS_URL`` of the environment, if nobody has anything in them. Raises ``SystemExit`` otherwise."""
    named = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL") if os.environ.get(name)}
    if len(named) < 2:
        sys.exit("--external needs DATABASE_URL and REDIS_URL, of an empty PostgreSQL database and an empty Redis.")
    config = Config.from_env({**named, "CONNECTOR_INSTANCE": tempfile.mkdtemp(prefix="connector-house-")})
    shutil.rmtree(config.instance)
    engine = create_engine(config.database_url)
    used = [
        name
        for name, empty in (("DATABASE_URL", not inspect(engine).get_table_names()), ("REDIS_URL", not Redis.from_url(config.redis_url).dbsize()))
        if not empty
    ]
    engine.dispose()
    if used:
        sys.exit(f"{' and '.join(used)}: there is something in it already. Name an empty one: what stands there would be mixed up or flushed away.")
    return named


class House:
    """``with House() as house:`` starts ``app.py`` and waits until it answers; everything is gone afterwards.

    ``storefront`` and ``oms`` start the practice external storefront and the practice OMS as well. ``external`` takes PostgreSQL and Redis from the
    environment's ``DATABASE_URL`` and ``REDIS_URL`` instead of the embedded ones; both must be empty, because the house writes and flushes as it likes.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        environment: dict[str, str] | None = None,
        storefront: bool = False,
        oms: bool = False,
        external: bool = False,
    ) -> None:
        self.servers = _empty_servers() if external else {}
        self.folder = Path(tempfile.mkdtemp(prefix="connector-house-"))
        web, *ports = free_ports(5)
        self.url = f"http://127.0.0.1:{web}"
        wanted = {"tiktok": True, "magento": True, "storefront": storefront, "oms": oms}
        self._bases = {system: f"http://127.0.0.1:{port}" if wanted[system] else "" for system, port in zip(wanted, ports, strict=True)}
        self.tiktok_url, self.magento_url, self.storefront_url, self.oms_url = self._bases.values()
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("TIKTOK_", "DATABASE_URL", "REDIS_URL", "CONNECTOR_"))},
            "CONNECTOR_INSTANCE": str(self.folder),
            "PORT": str(web),
            **{f"PRACTICE_{system.upper()}_URL": base for system, base in self._bases.items()},
            "CONNECTOR_WORKERS": str(workers),
            "LOG_LEVEL": "WARNING",
            **self.servers,
            **(environment or {}),
        }
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        log = (self.folder / "house.log").open("w")
        self._process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT, text=True)
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                paths = {"tiktok": "/practice/app", "magento": "/practice/summary", "storefront": "/practice/ping", "oms": "/practice/ping"}
                questions = [f"{self.url}/readyz", *(f"{base}{paths[system]}" for system, base in self._bases.items() if base)]
                if all(requests.get(question, timeout=10).ok for question in questions):
                    return self
            except requests.RequestException:
                pass
            time.sleep(0.1)
        tail = (self.folder / "house.log").read_text()[-3000:]
        self.close()
        raise RuntimeError(f"The product did not start:\n{tail}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def app(self) -> Any:
        """The application of this house in this process, for acting in it as a script does."""
        practice = [f"PRACTICE_{system.upper()}_URL" for system in self._bases]
        os.environ.update({key: self.environment[key] for key in ("CONNECTOR_INSTANCE", "PORT", *practice, "LOG_LEVEL")})
        for key in ("DATABASE_URL", "REDIS_URL"):
            if key in self.environment:
                os.environ[key] = self.environment[key]
        from connector import create_app

        return create_app()

    def post(self, system: str, path: str, body: Any = None) -> Any:
        """A call of a practice server's control interface; ``system`` is tiktok, magento, storefront or oms."""
        answer = requests.post(f"{self._base(system)}/practice/{path}", json=body or {}, timeout=300)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def delete(self, system: str, path: str) -> None:
        requests.delete(f"{self._base(system)}/practice/{path}", timeout=60).raise_for_status()

    @property
    def supervisor(self) -> int:
        """Process id of ``app.py``."""
        assert self._process is not None
        return self._process.pid

    def get(self, system: str, path: str, **query: Any) -> Any:
        answer = requests.get(f"{self._base(system)}/practice/{path}", params=query, timeout=300)
        answer.raise_for_status()
        return answer.json()

    def _base(self, system: str) -> str:
        return self._bases[system]

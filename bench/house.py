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


class House:
    """``with House() as house:`` starts ``app.py`` and waits until it answers; everything is gone afterwards."""

    def __init__(self, *, workers: int = 2, environment: dict[str, str] | None = None, quiet: bool = True) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="connector-house-"))
        web, tiktok, magento = free_ports(3)
        self.url = f"http://127.0.0.1:{web}"
        self.tiktok_url = f"http://127.0.0.1:{tiktok}"
        self.magento_url = f"http://127.0.0.1:{magento}"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("TIKTOK_", "DATABASE_URL", "REDIS_URL", "CONNECTOR_"))},
            "CONNECTOR_INSTANCE": str(self.folder),
            "PORT": str(web),
            "PRACTICE_TIKTOK_URL": self.tiktok_url,
            "PRACTICE_MAGENTO_URL": self.magento_url,
            "CONNECTOR_WORKERS": str(workers),
            "LOG_LEVEL": "WARNING",
            **(environment or {}),
        }
        self._quiet = quiet
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        log = (self.folder / "house.log").open("w")
        self._process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT, text=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                if all(
                    requests.get(f"{base}{path}", timeout=2).ok
                    for base, path in ((self.url, "/readyz"), (self.tiktok_url, "/practice/app"), (self.magento_url, "/practice/summary"))
                ):
                    return self
            except requests.RequestException:
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
        os.environ.update({key: self.environment[key] for key in ("CONNECTOR_INSTANCE", "PORT", "PRACTICE_TIKTOK_URL", "PRACTICE_MAGENTO_URL", "LOG_LEVEL")})
        for key in ("DATABASE_URL", "REDIS_URL"):
            if key in self.environment:
                os.environ[key] = self.environment[key]
        from connector import create_app

        return create_app()

    def post(self, system: str, path: str, body: Any = None) -> Any:
        """A call of a practice server's control interface."""
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
        return self.tiktok_url if system == "tiktok" else self.magento_url

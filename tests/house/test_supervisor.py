"""The supervised tree: one command starts everything, what dies is started again, Ctrl-C stops all of it, a busy port is a clear error."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from bench.house import ROOT, House
from bench.troubles import processes

pytestmark = pytest.mark.timeout(600)


def _until(true: Callable[[], bool], seconds: float = 120.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.1)
    return False


def _tree(supervisor: int) -> set[int]:
    """Process ids of the supervisor's children and their children (Linux)."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found = {pid for pid, parent in parents.items() if parent == supervisor}
    return found | {pid for pid, parent in parents.items() if parent in found}


@pytest.fixture(scope="module")
def house():
    with House() as running:
        yield running


def test_one_command_starts_web_workers_scheduler_valkey_and_practice_servers(house: House) -> None:
    ready = requests.get(f"{house.url}/readyz", timeout=60).json()
    assert ready["checks"]["database"] == ready["checks"]["redis"] == "ok"
    assert _until(lambda: requests.get(f"{house.url}/readyz", timeout=60).json()["checks"]["scheduler"] == "ok")
    assert requests.get(f"{house.tiktok_url}/practice/app", timeout=60).json()["app_key"]
    assert requests.get(f"{house.magento_url}/practice/summary", timeout=60).json()["balanced"]
    assert _until(lambda: len(processes(house, "worker")) == 2)
    assert "connector_orders" in requests.get(f"{house.url}/metrics", timeout=60).text or requests.get(f"{house.url}/metrics", timeout=60).status_code == 200


def test_a_part_that_dies_is_started_again_and_said_so(house: House) -> None:
    assert _until(lambda: len(processes(house, "worker")) == 2)
    victim = processes(house, "worker")[0]
    os.kill(victim, signal.SIGKILL)
    assert _until(lambda: len(processes(house, "worker")) == 2 and victim not in processes(house, "worker"))
    assert "was killed by signal 9; starting it again" in (house.folder / "house.log").read_text()


def test_a_second_copy_of_the_same_installation_is_refused(house: House) -> None:
    second = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=house.environment, capture_output=True, text=True, timeout=300)
    assert second.returncode == 1
    assert "already runs from" in second.stderr


def test_a_busy_port_is_named_with_the_variable_that_moves_it(house: House, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = {
            **house.environment,
            "CONNECTOR_INSTANCE": str(tmp_path),
            "PORT": str(port),
            "PRACTICE_TIKTOK_URL": "http://127.0.0.1:1",
            "CONNECTOR_PRACTICE": "0",
        }
        answer = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 1
    assert f"Port {port} for the web is in use" in answer.stderr
    assert "PORT" in answer.stderr


def test_a_half_configured_environment_is_refused_with_every_fault_at_once(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "CONNECTOR_INSTANCE": str(tmp_path),
        "TIKTOK_APP_KEY": "k",
        "PORT": "http",
        "DATABASE_URL": "mysql://x",
        "CONNECTOR_ENCRYPTION_KEYS": "short",
    }
    answer = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 1
    for name in ("PORT", "DATABASE_URL", "CONNECTOR_ENCRYPTION_KEYS", "TIKTOK_APP_SECRET"):
        assert name in answer.stderr


def test_ctrl_c_stops_everything(house: House) -> None:
    """The last of this module: the house is closed afterwards."""
    assert _until(lambda: len(_tree(house.supervisor)) >= 6)
    children = _tree(house.supervisor)
    os.kill(house.supervisor, signal.SIGINT)
    assert _until(lambda: not any(_lives(pid) for pid in children))
    assert _until(lambda: "Stopped." in (house.folder / "house.log").read_text())


def _lives(pid: int) -> bool:
    """There, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False

"""The worked desk (``tests/web/desk.py``), made once, and copies of it for the tests that ask for ``desk``; the grid of calls (``calls_grid.py``)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from flask import Blueprint, Flask

from connector.core import redis as redis_connections
from connector.grids.query import forget_counts
from connector.practice.serve import PracticeServer
from connector.supervisor.valkey import EmbeddedValkey
from connector.web.grids import grid_routes
from tests.web.calls_grid import CALLS, done, fill
from tests.web.desk import Desk, work


@pytest.fixture(scope="session")
def worked_desk(
    tmp_path_factory: pytest.TempPathFactory,
    sqlite_template: Path,
    valkey_server: EmbeddedValkey,
    _practice_tiktok: PracticeServer,
    _practice_magento: PracticeServer,
) -> Desk:
    """A desk after a whole order cycle; never change it, take a copy (``desk``)."""
    for server in (_practice_tiktok, _practice_magento):
        requests.post(f"{server.url}/practice/reset", timeout=30).raise_for_status()
    redis_connections.patient(valkey_server.url).flushall()
    folder = tmp_path_factory.mktemp("desk")
    shutil.copy(sqlite_template, folder / "connector.sqlite3")
    return work(folder, {"REDIS_URL": valkey_server.url}, _practice_tiktok, _practice_magento)


@pytest.fixture
def desk(worked_desk: Desk, tmp_path: Path, valkey_server: EmbeddedValkey) -> Desk:
    """A copy of the worked desk; modules that want it as their application override ``config`` with ``desk.config()``."""
    redis_connections.patient(valkey_server.url).flushall()
    folder = tmp_path / "instance"
    shutil.copytree(worked_desk.folder, folder)
    environment = {**worked_desk.environment, "LOG_LEVEL": "WARNING"}
    return Desk(folder, environment, worked_desk.secrets, worked_desk.buyers, worked_desk.log)


@pytest.fixture
def grid_app(app: Flask) -> Iterator[Flask]:
    bp = Blueprint("testcalls", __name__, url_prefix="/calls")
    grid_routes(bp, CALLS, "layouts/grid.html")
    app.register_blueprint(bp)
    forget_counts()
    done.clear()
    yield app
    forget_counts()


@pytest.fixture
def calls(grid_app: Flask) -> Flask:
    fill()
    return grid_app

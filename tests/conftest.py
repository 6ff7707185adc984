"""Fixtures: a migrated database (SQLite, and PostgreSQL where asked), a real Valkey, the real practice servers over HTTP, signed-in clients."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from connector import create_app
from connector.config import Config
from connector.core import redis as redis_connections
from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.jobs import sweeper
from connector.models.account import Account
from connector.models.user import User
from connector.practice.serve import PracticeServer
from connector.supervisor.valkey import EmbeddedValkey

PASSWORD = "correct-horse-battery-staple"
#: One key for the whole session, so that rows which a test stored can be read by another (``tests.factories.accounts``).
KEY = Fernet.generate_key().decode()
#: Pages that write SQL of their own; the other ones show what services read.
OWN_SQL = {
    "test_grid_machine.py", "test_grid_pages.py", "test_linking_pages.py", "test_order_desk_pages.py", "test_orders_grid_rows.py", "test_products_grid.py", "test_queue_products.py",
}  # fmt: skip


# --- every test makes an application: what is the same each time is worked out once ------------------------------------------------------

_builders: dict[object, Callable[..., tuple[str, str]]] = {}
_compile_builder = Rule._compile_builder


def _remembered_builder(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
    """werkzeug compiles a function for each address (a millisecond, nine tenths of making an application); it depends on the rule's text alone."""
    if rule.defaults:
        return _compile_builder(rule, append_unknown)
    key = (rule.rule, tuple(rule._trace), append_unknown)
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


Rule._compile_builder = _remembered_builder  # type: ignore[method-assign]


# --- servers, one of each for the whole session -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _practice_tiktok(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeServer]:
    server = PracticeServer("tiktok", tmp_path_factory.mktemp("practice-tiktok"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _practice_magento(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeServer]:
    server = PracticeServer("magento", tmp_path_factory.mktemp("practice-magento"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _practice_storefront(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeServer]:
    server = PracticeServer("storefront", tmp_path_factory.mktemp("practice-storefront"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def practice_storefront(_practice_storefront: PracticeServer) -> PracticeServer:
    """The practice external storefront, without orders and faults, its settings as in a fresh store."""
    requests.post(f"{_practice_storefront.url}/practice/reset", timeout=30).raise_for_status()
    return _practice_storefront


@pytest.fixture
def practice_tiktok(_practice_tiktok: PracticeServer) -> PracticeServer:
    """The practice marketplace, empty of orders, without faults, its clock at the present."""
    requests.post(f"{_practice_tiktok.url}/practice/reset", timeout=30).raise_for_status()
    return _practice_tiktok


@pytest.fixture
def practice_magento(_practice_magento: PracticeServer) -> PracticeServer:
    """The practice store with its demo catalogue and no orders; its integrations stay, as the marketplace's authorisations do."""
    requests.post(f"{_practice_magento.url}/practice/seed", json={"keep_credentials": True}, timeout=30).raise_for_status()
    return _practice_magento


# --- PostgreSQL, started by the tests themselves from Debian's package --------------------------------------------------------------------


def _postgres_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server on a unix socket; it refuses to run as root, so it is given to the ``postgres`` user there."""
    binaries = _postgres_binaries()
    assert binaries is not None, "PostgreSQL is missing; `make test` installs it"
    folder = Path("/tmp") / f"connector-pg-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    as_owner: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_owner = ["runuser", "-u", "postgres", "--"]

    def run(*command: str) -> None:
        subprocess.run([*as_owner, *command], check=True, capture_output=True, cwd=folder)

    run(str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "connector", "--auth=trust", "--encoding=UTF8", "--no-sync")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off -c full_page_writes=off -c max_connections=200"
    run(str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-o", options, "-w", "-l", str(folder / "log"), "start")
    try:
        run(str(binaries / "createdb"), "-h", str(folder), "-U", "connector", "template_connector")
        yield f"postgresql+psycopg://connector@/template_connector?host={folder}"
    finally:
        run(str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


# --- application ----------------------------------------------------------------------------------------------------------------------------


def _migrate(app: Flask) -> None:
    import flask_migrate

    with app.app_context():
        flask_migrate.upgrade()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One migrated SQLite file that every test copies."""
    folder = tmp_path_factory.mktemp("template")
    app = create_app(Config.from_env({"CONNECTOR_INSTANCE": str(folder), "LOG_LEVEL": "WARNING"}, testing=True))
    _migrate(app)
    with app.app_context():
        db.engine.dispose()
    return folder / "connector.sqlite3"


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "sqlite"))


#: The modules that take longest. They start first, so that no worker is left alone with one at the end.
LONG = ("test_accessibility.py", "test_tour.py", "test_tour_desks.py", "test_live.py", "test_life.py", "test_cancellation_matrix.py")


#: The modules that look at the browser's shop: one worker has them all, so that it is opened once.
SHOP = ("test_accessibility.py", "test_live.py", "test_catalogue.py", "test_tour_returns.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """``--dist loadfile``, with the modules of ``SHOP`` as one. (Its own groups, ``--dist loadgroup``, do nothing under pytest 9.)"""
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = super()._split_scope(nodeid)
            return "shop" if path.endswith(SHOP) else path

    return Together(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Service tests and those of pages with SQL of their own run on SQLite and on PostgreSQL, but for those that look into SQLite's own file."""
    place = metafunc.definition.path
    on_both = (place.parent.name == "services" or (place.parent.name == "web" and place.name in OWN_SQL)) and not metafunc.definition.get_closest_marker(
        "sqlite_only"
    )
    if "database_kind" in metafunc.fixturenames and on_both:
        metafunc.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path, valkey_server: EmbeddedValkey, sqlite_template: Path, database_kind: str) -> Config:
    redis_connections.patient(valkey_server.url).flushall()
    environment = {"CONNECTOR_INSTANCE": str(tmp_path / "instance"), "REDIS_URL": valkey_server.url, "LOG_LEVEL": "WARNING", "CONNECTOR_ENCRYPTION_KEYS": KEY}
    if database_kind == "postgresql":
        environment["DATABASE_URL"] = request.getfixturevalue("fresh_postgres")
    else:
        (tmp_path / "instance").mkdir()
        shutil.copy(sqlite_template, tmp_path / "instance" / "connector.sqlite3")
    config = Config.from_env(environment, testing=True)
    if "practice_storefront" in request.fixturenames:
        config = replace(config, practice_storefront_url=request.getfixturevalue("practice_storefront").url)
    for name, server in (("practice_tiktok", "practice_tiktok_url"), ("practice_magento", "practice_magento_url")):
        if name in request.fixturenames or "connected_account" in request.fixturenames:
            config = replace(config, **{server: request.getfixturevalue(name).url})
    return config


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One migrated database for the whole session."""
    folder = tmp_path_factory.mktemp("postgres-app")
    app = create_app(Config.from_env({"CONNECTOR_INSTANCE": str(folder), "DATABASE_URL": postgres_url, "LOG_LEVEL": "WARNING"}, testing=True))
    _migrate(app)
    with app.app_context():
        db.engine.dispose()
    return postgres_url


@pytest.fixture
def fresh_postgres(migrated_postgres: str) -> str:
    """The migrated database without a row and without anybody else's connection: emptying it is much quicker than making another one."""
    import psycopg

    with psycopg.connect(migrated_postgres.replace("postgresql+psycopg:", "postgresql:"), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'").fetchall()
        used = connection.execute(" UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM \"{name}\")" for (name,) in tables)).fetchall()
        connection.execute("SET session_replication_role = replica")  # rows go in any order
        for (name,) in used:
            connection.execute(f'DELETE FROM "{name}"')
        connection.execute("SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence")
    return migrated_postgres


@pytest.fixture
def bare_app(config: Config) -> Iterator[Flask]:
    """The application without an application context."""
    app = create_app(config)
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def app(bare_app: Flask) -> Iterator[Flask]:
    with bare_app.app_context():
        yield bare_app
        db.session.remove()


@pytest.fixture
def work_off(app: Flask) -> Callable[..., int]:
    """Work off everything that is due, through real RQ on a real Valkey, until nothing is left; returns the number of passes.

    ``wait_for``: how many seconds to sit idle for what is due later. The time that the work takes does not count, however slow the machine is.
    """
    from connector.jobs import doorbell, worker
    from connector.models.run import QUEUED, WAITING, JobRun

    def run(passes: int = 12, *, wait_for: float = 6.0) -> int:
        import time

        count, idle = 0, wait_for
        while count < passes:
            sweeper.sweep()
            worker.run_forever(app, burst=True)
            db.session.expire_all()
            count += 1
            waiting = db.session.query(JobRun).filter(JobRun.state.in_((QUEUED, WAITING))).all()
            db.session.commit()
            due = [run.not_before for run in waiting if run.not_before is not None]
            left = max(0.0, (min(due) - utcnow()).total_seconds()) if due else 0.0
            if not waiting or idle <= 0 or (left > idle and len(due) == len(waiting)):
                break
            time.sleep(min(1.0, left))
            idle -= min(1.0, left)
        _ = doorbell
        return count

    return run


# --- people ---------------------------------------------------------------------------------------------------------------------------------


def _sign_in(app: Flask, role: str) -> FlaskClient:
    from connector.web import auth

    email = f"{role}@example.test"
    with unit_of_work() as session:
        session.add(User(email=email, name=role.title(), role=role, password_hash=auth.hash_password(PASSWORD), active=True))
    client = app.test_client()
    page = client.get("/sign-in")
    token = page.text.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
    answer = client.post("/sign-in", data={"email": email, "password": PASSWORD, "csrf_token": token})
    assert answer.status_code in (302, 303), answer.text[:500]
    return client


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def admin_client(app: Flask) -> FlaskClient:
    return _sign_in(app, "administrator")


@pytest.fixture
def operator_client(app: Flask) -> FlaskClient:
    return _sign_in(app, "operator")


@pytest.fixture
def viewer_client(app: Flask) -> FlaskClient:
    return _sign_in(app, "viewer")


# --- a connected account --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def connected_account(app: Flask, practice_tiktok: PracticeServer, practice_magento: PracticeServer) -> Account:
    """A GB sandbox account, authorised at the practice marketplace over real HTTP, connected to the practice store, with a valid order policy."""
    from tests.factories.accounts import connect_again

    return connect_again(app, "GB")
